"""The examples, run small on real data."""

import gzip
import importlib.util
import itertools
import math
import re

import numpy as np
import pytest

import pellucid as pel
from conftest import ROOT


def example(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_lenet_learns_mnist(shared_data, capsys):
    assert example("mnist_lenet").main(shared_data / "mnist", 1) > 0.96
    assert "after 1 epochs" in capsys.readouterr().out


def test_what_was_learnt_of_some_digits_helps_with_others(shared_data):
    found = example("transfer_digits").main(shared_data / "mnist", 1)
    assert found["convolutions frozen"] > found["from scratch"]
    assert found["features and SVM"] > 0.7


def test_a_text_is_learnt_a_character_at_a_time(shared_data, tmp_path, capsys):
    text = (shared_data / "tinyshakespeare" / "input.txt").read_text()
    (tmp_path / "part.txt").write_text(text[:100_000])
    assert example("shakespeare").main(tmp_path / "part.txt", 4, units=64) < 2.4  # by how often each occurs: 3.3
    assert len(capsys.readouterr().out.split("of CPU\n\n")[1]) == 501


def test_a_text_is_learnt_a_word_at_a_time(shared_data, tmp_path, capsys):
    text = (shared_data / "tinyshakespeare" / "input.txt").read_text()
    (tmp_path / "part.txt").write_text(text[:150_000])
    found = example("word_model").main(tmp_path / "part.txt", 3, units=32, batch_size=4)
    assert all(found[name][part] < found["single words"][part] for name in ("bigrams", "LSTM") for part in (0, 1))
    said = capsys.readouterr().out
    assert "<unk>" not in said.split("\n", 1)[1] and "single words" in said


def test_perplexities_of_single_words_and_pairs_by_hand():
    """a b a b a c, then "a b b": p(b | a) = (2 - d)/3 + d 2/3 p(b), p(b | b) = d 1/2 p(b), with p(b) = 3/9."""
    single, pairs = example("word_model").perplexities(
        np.array([0, 1, 0, 1, 0, 2]), np.array([0, 1, 1]), 3, discount=0.5
    )
    assert single == pytest.approx(3)
    b_after_a, b_after_b = 1.5 / 3 + 0.5 * 2 / 3 / 3, 0.5 * 1 / 2 / 3
    assert pairs == pytest.approx((b_after_a * b_after_b) ** -0.5)
    of_all = [
        1 / example("word_model").perplexities(np.array([0, 1, 0, 1, 0, 2]), np.array([0, w]), 3)[1] for w in range(3)
    ]
    assert sum(of_all) == pytest.approx(1)


@pytest.mark.slow
def test_a_small_resnet_learns_pictures(shared_data):
    accuracy = example("cifar_resnet").main(shared_data / "cifar10-subset" / "cifar10-subset.npz", 10)
    assert accuracy > 0.6  # 0.83 after 50 epochs, 8 minutes on two processors


def test_sentences_about_films_like_them_or_not(shared_data, capsys):
    assert example("sentiment").main(shared_data / "rt-polarity", epochs=3) > 0.7  # 0.77 after 6
    assert "positive, in truth 1" in capsys.readouterr().out


def test_sketches(shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sketches = example("sketches")
    found = sketches.main(shared_data / "omniglot-strokes" / "omniglot-strokes.npz", 2, drawings=1500, units=32)
    assert found["loss"] < found["baseline"] - 0.5
    assert (tmp_path / "sketches.png").stat().st_size > 5000


def test_moves_are_drawn_from_the_mixture():
    """Two Gaussians and three states of the pen: means, covariance and shares of many draws; no chance at 0."""
    sketches = example("sketches")
    m = sketches.COMPONENTS
    p = np.zeros(6 * m + 3)
    p[[0, 1]] = 0.25, 0.75  # weights
    p[[m, m + 1]], p[[2 * m, 2 * m + 1]] = (3, -3), (1, 2)  # means
    p[3 * m : 5 * m], p[5 * m : 6 * m] = 0.5, 0.8  # deviations, correlation
    p[6 * m :] = 0.7, 0.2, 0.1
    moves = sketches.draw(np.tile(p, (20000, 1)), np.random.default_rng(0), 1.0)
    first = moves[:, 0] > 0
    assert first.mean() == pytest.approx(0.25, abs=0.01)
    for rows, mean in ((moves[first], (3, 1)), (moves[~first], (-3, 2))):
        np.testing.assert_allclose(rows[:, :2].mean(0), mean, atol=0.03)
        np.testing.assert_allclose(np.cov(rows[:, :2].T), [[0.25, 0.2], [0.2, 0.25]], atol=0.02)
    np.testing.assert_allclose(np.bincount(moves[:, 2].astype(int)) / 20000, p[6 * m :], atol=0.01)
    assert (sketches.draw(p[None], np.random.default_rng(0), 0) == [[-3, 2, sketches.DOWN]]).all()


CAPTION = re.compile(r"an? (\w+) (above|below|left of|right of) an? (\w+)")


def test_captions(shared_data, capsys):
    """After so little training the captions are sentences; which digits they name takes longer: 0.95 by default."""
    exact = example("captions").main(shared_data / "mnist", 3, n=1000)
    *lines, result = capsys.readouterr().out.splitlines()[-9:]
    assert all(CAPTION.match(line) for line in lines)
    assert result.startswith(f"captions without an error: {exact:.4f}")
    assert exact > 0.015  # a guess is right once in 200 times


def test_pictures_are_what_their_captions_say():
    """Digits of one brightness each, so that a look tells where which is."""
    captions = example("captions")
    digits = pel.data.Dataset(np.stack([np.full((1, 28, 28), (10 + d) / 255) for d in range(10)]), np.arange(10))
    seen, true = captions.pictures(digits, 60, seed=0)
    heard = set()
    for (picture,), both in zip(seen, true, strict=True):
        for caption in both:
            first, relation, second = CAPTION.fullmatch(caption).groups()
            pixels = {name: np.argwhere(picture == 10 + captions.NAMES.index(name)) for name in (first, second)}
            assert len(pixels[first]) == 28 * 28 * (2 if first == second else 1)
            down, right = pixels[second].mean(0) - pixels[first].mean(0)
            along = {"above": down, "below": -down, "left of": right, "right of": -right}[relation]
            assert along == (0 if first == second else 28)
            heard.add(relation)
    assert heard == {"above", "below", "left of", "right of"}


@pytest.mark.slow
def test_captions_of_unseen_pictures(shared_data):
    assert example("captions").main(shared_data / "mnist") > 0.9


def test_words_of_a_treebank_get_their_tags(shared_data, capsys):
    assert example("pos_tagging").main(shared_data / "ud-english-ewt", 2, most=1000) > 0.7  # 0.93 after 4 of all
    assert "What/PRON" in capsys.readouterr().out


def test_a_day_of_power_demand_says_its_season(shared_data):
    files = [shared_data / "ucr-italypowerdemand" / f"ItalyPowerDemand_{part}.tsv" for part in ("TRAIN", "TEST")]
    assert example("power_demand").main(*files, epochs=60, repeats=1, seeds=2) > 0.93


def test_tomorrow_is_foretold_better_than_by_a_linear_function(shared_data):
    found = example("temperatures").main(shared_data / "daily-min-temperatures" / "daily-min-temperatures.csv")
    assert found["GRU"] < found["linear, with the season"] < found["linear"] < found["as today"]


def test_sentences_are_translated(shared_data, tmp_path, capsys):
    for part, n in (("train", 320), ("val", 64), ("test_2016_flickr", 4)):
        for language in ("en", "de"):
            with gzip.open(shared_data / "multi30k-en-de" / f"{part}.{language}.gz", "rt", encoding="utf-8") as f:
                lines = "".join(itertools.islice(f, n))
            (tmp_path / f"{part}.{language}.gz").write_bytes(gzip.compress(lines.encode()))
    score, translator = example("translation").main(tmp_path, minutes=0.001, pieces=500, units=16, lengths=(30,))
    assert 0 <= score <= 100 and "BLEU" in capsys.readouterr().out
    assert translator.model.history["val_loss"][-1] < math.log(500)  # that of 500 pieces alike
    words, translated, weights = translator.attention("Two dogs run.", "Zwei Hunde rennen.")
    assert (words, translated) == (["Two", "dogs", "run", "."], ["Zwei", "Hunde", "rennen", ".", "<end>"])
    assert weights.shape == (5, 4) and abs(weights.sum(1) - 1).max() < 1e-5


@pytest.mark.slow
def test_sentences_are_translated_well(shared_data):
    assert example("translation").main(shared_data / "multi30k-en-de", minutes=10)[0] > 20


def test_optimizer_paths(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["optimizer_paths.py", "--steps", "3", "--folder", str(tmp_path)])
    paths = example("optimizer_paths")
    monkeypatch.setattr(paths, "RATES", [0.001, 0.01])
    pytest.importorskip("matplotlib")
    paths.main()
    assert {p.name for p in tmp_path.iterdir()} == {"rosenbrock.png", "ravine.png"}
    assert capsys.readouterr().out.count("in the end") == 20


def test_overfitting(tmp_path):
    pytest.importorskip("matplotlib")
    overfitting = example("overfitting")
    by_units, by_way, shown = overfitting.main(epochs=300, seeds=1, units=(1, 16))
    assert by_units[1][0] > 2 * by_units[16][0]  # one unit cannot bend enough
    assert list(by_way) == list(overfitting.WAYS) == list(shown)
    overfitting.draw(by_units, shown, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"overfitting.png", "hidden_units.png"}


def test_wrong_labels_are_not_learnt(capsys):
    found = example("regularization").main(2, 100, ["nothing", "nn.L2(1e-2)", "dropout, noise, MaxNorm"])
    (_, plain), (learnt, l2), (_, several) = (each.mean(0) for each in found.values())
    assert plain < 0.83 and l2 > plain + 0.05 and several > plain + 0.08 and learnt < 0.85
    assert capsys.readouterr().out.count("±") == 3
