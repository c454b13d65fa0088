"""Learning rates: suggestions lie in the range that was searched, and a training that came to nothing is said."""

import warnings

import numpy as np
import pytest
from click.testing import CliRunner

import pellucid as pel
from pellucid import ArgumentError, Model, nn, ops, optim
from pellucid.cli import cli
from pellucid.train.doctor.nothing import nothing_learnt
from pellucid.train.lr_finder import RateSearch

TRAIN = pel.data.digits()


def made(rate=0.003, **options):
    return Model(nn.Sequential(nn.Dense(32), nn.tanh, nn.Dense(10)), "cross_entropy", optim.Adam(rate), **options)


def test_a_trained_model_has_no_suggestion_outside_the_range():
    model = made()
    model.fit(TRAIN, epochs=60, verbose=0)
    for low, high in ((1e-6, 10), (1e-2, 10), (1e-1, 100)):
        found = model.find_learning_rate(TRAIN, low=low, high=high)
        assert found.suggestion is None or low <= found.suggestion <= high
    assert found.suggestion is None and "no suggestion: the loss hardly falls at any rate" in repr(found)
    assert "low=" not in found.why and found.why.endswith("model.clone().find_learning_rate(...)")
    with pytest.raises(ArgumentError, match="learning_rate must be a number > 0, got None"):
        model.learning_rate = found.suggestion
    new = model.clone().find_learning_rate(TRAIN)  # what the words advise
    assert new.suggestion is not None and new.rates[0] <= new.suggestion <= new.rates[-1]


def test_a_trained_model_has_no_suggestion_that_follows_the_smallest_rate():
    model = made()
    model.fit(TRAIN, epochs=1, verbose=0)
    assert model.find_learning_rate(TRAIN).suggestion > 1e-4  # its loss falls yet
    model.fit(TRAIN, epochs=60, verbose=0)
    for low in (1e-9, 1e-6):
        assert model.find_learning_rate(TRAIN, low=low).suggestion is None
    new = RateSearch(np.geomspace(0.1, 1, 10), np.arange(1.0, 11))
    assert new.why.endswith("too near to the smallest rate; search from a smaller low=")


@pytest.mark.parametrize("lowest", range(40))
def test_suggestions_lie_in_the_range(lowest):
    rates = np.geomspace(1.26e-5, 1.0, 40)
    found = RateSearch(rates, np.abs(np.arange(40) - lowest) + 1.0)
    assert found.suggestion is None or rates[0] <= found.suggestion <= rates[-1]
    assert (found.suggestion is None) == (rates[lowest] / 10 < rates[0])


def test_no_suggestion_is_drawn_without_a_line(tmp_path):
    pytest.importorskip("matplotlib")
    found = RateSearch(np.geomspace(0.1, 1, 10), np.arange(1.0, 11))
    (axes,) = found.plot(tmp_path / "rates.png").axes
    assert axes.get_legend() is None and (tmp_path / "rates.png").exists()


def test_a_search_is_drawn_into_a_subfigure(tmp_path):
    figures = pytest.importorskip("matplotlib.figure")
    found, figure = RateSearch(np.geomspace(0.1, 1, 10), np.arange(1.0, 11)), figures.Figure()
    axes = figure.subfigures(1, 2)[1].subplots()
    assert found.plot(tmp_path / "rates.png", axes=axes) is figure and axes.lines
    assert (tmp_path / "rates.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    "model, x, y",
    [
        (made(1e9), TRAIN.x, TRAIN.y),
        (Model(nn.Dense(1), "binary_cross_entropy", optim.SGD(1e6)), TRAIN.x, TRAIN.y % 2),
    ],
    ids=["classes", "two classes"],
)
def test_a_loss_that_explodes_is_said(model, x, y):
    with pytest.warns(UserWarning, match="the training loss is .* after 3 epochs.*find_learning_rate") as caught:
        model.fit(x, y, epochs=3, verbose=0)
    assert caught[0].filename == __file__
    good = model.clone()
    good.learning_rate = good.find_learning_rate(x, y).suggestion
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        good.fit(x, y, epochs=3, verbose=0)


def test_values_that_run_away_later_are_said():
    model = Model(nn.Dense(1), "mse", optim.Adam(0.01))
    model.fit(TRAIN.x, TRAIN.x[:, 3], epochs=3, verbose=0)
    model.learning_rate = 1e3
    with pytest.warns(UserWarning, match="after 6 epochs; it is .* in the first epoch: learning_rate=1000 is too"):
        model.fit(TRAIN.x, TRAIN.x[:, 3], epochs=3, verbose=0)


def test_a_training_that_begins_badly_is_not_blamed():
    """Targets far from 0, an ignored class, a net that knows the answer: no word."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Model(nn.Dense(1), "mse").fit(TRAIN.x, TRAIN.x[:, 3] + 1000, verbose=0)
        made().fit(TRAIN, verbose=0)
        model = Model(nn.Dense(1), "mse", optim.Adam(0.01))
        model.fit(TRAIN.x, TRAIN.x @ np.ones(64), epochs=3, verbose=0)


def test_nothing_learnt():
    assert nothing_learnt(trained := fitted(made(), 20), *TRAIN) == "" and trained.epochs == 20
    with pytest.warns(UserWarning):
        bad = fitted(made(1e9), 2)
    said = nothing_learnt(bad, *TRAIN)
    assert said.startswith("nothing was learnt: the loss of the training samples is")
    rate = float(said.rpartition("try ")[2])
    assert nothing_learnt(fitted(made(rate), 5), *TRAIN) == ""


def test_a_rate_that_was_too_large_is_called_so():
    with pytest.warns(UserWarning):
        bad = fitted(made(100.0), 2)
    said = nothing_learnt(bad, *TRAIN)
    assert "the learning rate was 100, too large, try" in said and float(said.rpartition("try ")[2]) < 1


def test_a_rate_with_which_steps_are_worse_than_a_constant_is_not_advised(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 3)), rng.integers(0, 2, 200)  # nothing to learn
    model = Model(nn.Dense(2), "cross_entropy", optim.SGD(1e-9))
    model.fit(x, y, verbose=0)
    found = RateSearch(np.geomspace(1e4, 1e6, 3), np.array([3.0, 2.0, 1.0]))
    monkeypatch.setattr(Model, "find_learning_rate", lambda *_, **__: found)
    assert found.suggestion == 1e5
    assert nothing_learnt(model, x, y).endswith("take more epochs, or samples that tell more of the target")


@pytest.mark.parametrize("how", [("--class-weight", "balanced"), ("--oversample",)])
def test_small_classes_that_count_as_much_are_no_failure(tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = [f"{(i % 20 == 0) * 1.0 + rng.normal():.3f},{'rare' if i % 20 == 0 else 'usual'}" for i in range(300)]
    (tmp_path / "t.csv").write_text("\n".join(["value,kind", *rows]))
    found = CliRunner().invoke(cli, ["train", "t.csv", "--target", "kind", "--no-plot", "--epochs", "30", *how])
    assert found.exit_code == 0 and "balanced_accuracy" in found.output and "warning" not in found.stderr


def fitted(model, epochs):
    model.fit(TRAIN, epochs=epochs, verbose=0)
    return model


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_the_command_line_says_it(tmp_path, monkeypatch, quiet):
    monkeypatch.chdir(tmp_path)
    command = ["train", "digits", "--no-plot", "--epochs", "3", "--output", "m.pel", *quiet]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = CliRunner().invoke(cli, [*command, "--learning-rate", "1e9"])
    assert found.exit_code == 0 and "warning: nothing was learnt" in found.stderr
    advised = found.stderr.rpartition("try ")[2].strip()
    found = CliRunner().invoke(cli, [*command, "--learning-rate", advised])
    assert found.exit_code == 0 and "warning" not in found.stderr, found.stderr


def test_a_loss_below_zero_that_falls_is_no_explosion(recwarn):
    """As that of a density may be, its negative log-likelihood."""
    model = Model(nn.Dense(1, bias=False), lambda y, t: ops.sum((y - t) ** 2) - 2.0, optim.SGD(0.25), seed=0)
    loss = model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=5, verbose=0)["loss"]
    assert loss[0] < 0 and loss[-1] < loss[0] and not recwarn
