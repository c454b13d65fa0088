"""The command line on texts: `pellucid train FILE.txt`, `sample`, and what other commands say of such models."""

import gzip
import re

import pytest
from test_cli import call, fails, last, names, ok, people

import pellucid as pel

RHYME = (
    "Row, row, row your boat,\ngently down the stream.\nMerrily, merrily, merrily, merrily,\nlife is but a dream.\n\n"
)
QUICK = ("--units", 32, "--learning-rate", 0.02, "--no-plot")


@pytest.fixture(scope="module")
def rhyme(tmp_path_factory):
    """A folder with a rhyme that is repeated, rhyme.txt, and a model of it."""
    folder = tmp_path_factory.mktemp("rhyme")
    (folder / "rhyme.txt").write_text(RHYME * 30)
    text = ok("train", folder / "rhyme.txt", "--output", folder / "rhyme.pel", "--epochs", 25, *QUICK)
    (folder / "printed").write_text(text)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_train(rhyme):
    text = (rhyme / "printed").read_text()
    loss = re.fullmatch(r"validation loss (\d\.\d{4}) nats a character", last(text))
    assert loss and float(loss[1]) < 0.15
    shown = "rhyme.txt: 2,889 characters to learn from and the last 321 to test with, 24 different ones"
    assert shown in text and "epoch" in text
    assert "merrily, merrily" in text.split("written by the model:")[1]
    model = pel.load(rhyme / "rhyme.pel")
    assert pel.data.Vocabulary.from_json(model.notes["vocabulary"]) == pel.data.Vocabulary(RHYME * 30, special=())
    assert model.notes["test"] == {"loss": pytest.approx(float(loss[1]), abs=1e-4)}


def test_sample(rhyme):
    """The rhyme is known by heart; so many characters follow the prompt, and a seed fixes which."""
    model = rhyme / "rhyme.pel"
    after = ok("sample", model, "--prompt", "gently down", "--length", 25, "--temperature", 0)
    start = RHYME.index("gently")
    assert after == RHYME[start : start + 36] + "\n"
    wild = [ok("sample", model, "--temperature", 5, "--length", 80, "--seed", seed) for seed in (1, 1, 2)]
    assert wild[0] == wild[1] != wild[2] and len(wild[0]) == 81
    assert ok("sample", model, "--top-k", 1) == ok("sample", model, "--temperature", 0)


def test_a_text_is_written_as_it_is_drawn(rhyme, monkeypatch):
    """Each character is written before the next one is drawn."""
    from pellucid.cli import sample

    seen, echo, draw = [], sample.click.echo, pel.decode.draw
    monkeypatch.setattr(pel.decode, "draw", lambda *a: seen.append("draw") or draw(*a))
    monkeypatch.setattr(sample.click, "echo", lambda *a, **k: seen.append("write") or echo(*a, **k))
    ok("sample", rhyme / "rhyme.pel", "--prompt", "Row", "--length", 3)
    assert seen == ["write", *["draw", "write"] * 3, "write"]


def test_evaluate_and_summary(rhyme, here):
    (here / "new.txt").write_text("life is but a stream")
    assert re.fullmatch(
        r"20 characters\nloss \d\.\d{4} nats a character\n", ok("evaluate", rhyme / "rhyme.pel", "new.txt")
    )
    assert "trained on" in call("evaluate", rhyme / "rhyme.pel", rhyme / "rhyme.txt").stderr
    text = ok("summary", rhyme / "rhyme.pel")
    assert "rhyme.txt, a text of 24 different characters" in text and "LSTM" in text


def test_options_and_what_is_a_text(here):
    """A gzipped text is one too, a .txt file with a target is a table, and the same seed gives the same model."""
    (here / "short.txt.gz").write_bytes(gzip.compress((RHYME * 2).encode()))
    text = ok("train", "short.txt.gz", "--units", "8,4", "--dropout", 0.5, "--epochs", 2, "--no-plot", "--quiet")
    assert text == last(text) + "\n" and names(here) == ["short.pel", "short.txt.gz"]
    assert [type(layer).__name__ for layer in pel.load("short.pel").net.layers] == [
        "Embedding", "LSTM", "Dropout", "LSTM", "Dropout", "TimeDistributed"]  # fmt: skip
    ok("train", "short.txt.gz", "--units", "8,4", "--dropout", 0.5, "--epochs", 2, "--no-plot", "--model", "b.pel")
    assert ok("sample", "short.pel", "--length", 50) == ok("sample", "b.pel", "--length", 50)
    (here / "people.txt").write_text(people())
    assert "accuracy" in last(ok("train", "people.txt", "--target", "label", "--no-plot", "--epochs", 1))
    ok("train", "short.txt.gz", "--units", "none", "--epochs", 1, "--no-plot")  # what follows a character, by it alone
    assert len(ok("sample", "short.pel", "--length", 20)) == 21


@pytest.mark.parametrize("args, message", [
    (("train", "latin.txt"), "latin.txt is not in UTF-8: byte 0xfc on line 1, byte 3 of it; it would be 'ü'"),
    (("train", "latin.txt"), "older files: save it as UTF-8"),
    (("train", "wide.txt"), "it begins as UTF-16 does: save it as UTF-8"),
    (("train", "empty.txt"), "empty.txt is empty"),
    (("train", "tiny.txt"), "tiny.txt has 5 characters, 4 different ones, too little to learn to write; expected at"),
    (("train", "same.txt"), "same.txt has 500 characters, 1 different ones"),
    (("train", "none.txt"), "none.txt: there is no such file"),
    (("train", "tiny.txt", "--folds", "3"), "--folds does not go with tiny.txt; if it is a table, give --target"),
    (("sample", "none.pel"), "there is no model file 'none.pel'"),
    (("sample", "tiny.txt"), "not a Pellucid model"),
    (("sample", "other.pel"), "other.pel is no model of a text (it was trained on arrays); make one with"),
    (("sample", "{rhyme}", "--prompt", "Röw, Ångström"), "--prompt has 'ö' (character 2) and 1 more, not in the text"),
    (("sample", "{rhyme}", "--prompt", ""), "--prompt is empty"),
    (("sample", "{rhyme}", "--temperature", "nan"), "temperature must be a number"),
    (("sample", "{rhyme}", "--top-k", "0"), "--top-k"),
    (("sample", "{rhyme}", "--length", "0"), "--length"),
    (("evaluate", "{rhyme}", "latin.txt"), "latin.txt is not in UTF-8"),
    (("evaluate", "{rhyme}", "short.txt"), "short.txt has one character"),
    (("evaluate", "{rhyme}", "tiny.txt"), "tiny.txt has 'H' (character 1), not in the text that the model learnt from"),
    (("evaluate", "{rhyme}", "short.txt", "--target", "y"), "--target does not go with a model of a text"),
    (("predict", "{rhyme}", "short.txt"), "is a model of a text, which writes: pellucid sample"),
])  # fmt: skip
def test_mistakes(rhyme, here, args, message):
    (here / "latin.txt").write_bytes("Grüße\n".encode("cp1252") * 100)
    (here / "wide.txt").write_text("Hello", encoding="utf-16")
    for name, text in {"empty.txt": "", "tiny.txt": "Hello", "same.txt": "a" * 500, "short.txt": "R"}.items():
        (here / name).write_text(text)
    pel.Model(pel.nn.Dense(1), "mse", input_shape=(3,)).save("other.pel")
    before = names(here)
    assert message in fails(*(a.format(rhyme=rhyme / "rhyme.pel") for a in args))
    assert names(here) == before
