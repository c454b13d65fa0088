"""The command line, as a user has it: what it prints, what it writes, and what it says to mistakes."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import pellucid as pel
from pellucid.cli import cli


def call(*args):
    """The result of ``pellucid ARGS``, which must not be an unforeseen error."""
    result = CliRunner().invoke(cli, [str(a) for a in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def ok(*args) -> str:
    """What a command that succeeds prints."""
    result = call(*args)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def fails(*args) -> str:
    """The one line of a command that fails with exit code 2."""
    result = call(*args)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def last(text: str) -> str:
    return text.rstrip().splitlines()[-1]


def people(n: int = 120, target: str = "label") -> str:
    """A CSV file of n rows with numbers, categories, missing entries, an identifier, a target that can be learnt."""
    rng = np.random.default_rng(0)
    lines = [f"id,age,colour,empty,{target}"]
    for i in range(n):
        age, colour = int(rng.integers(20, 80)), rng.choice(["red", "blue", "green"])
        value = age + 20 * (colour == "red") + rng.normal(0, 2)
        answer = f"{value:.3f}" if target == "value" else ("old" if value > 60 else "young")
        lines.append(f"{i + 1},{'' if i % 9 == 0 else age},{'' if i % 11 == 0 else colour},,{answer}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A working folder with people.csv in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "people.csv").write_text(people())
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with models of people.csv, of values.csv and of the digits."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "people.csv").write_text(people())
    (folder / "values.csv").write_text(people(target="value"))
    quick = ("--quiet", "--no-plot", "--epochs", 40, "--learning-rate", 0.01)
    ok("train", folder / "people.csv", "--target", "label", "--output", folder / "people.pel", *quick)
    ok("train", folder / "values.csv", "--target", "value", "--output", folder / "values.pel", *quick)
    ok("train", "digits", "--output", folder / "digits.pel", "--hidden", 32, "--quiet", "--no-plot", "--epochs", 8)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- train


def test_digits(here):
    """The first command of the README."""
    text = ok("train", "digits")
    accuracy = re.fullmatch(r"test accuracy (0\.\d{4})", last(text))
    assert accuracy and float(accuracy[1]) >= 0.97
    assert names(here) == ["digits.pel", "digits.png", "people.csv"]
    assert (here / "digits.png").read_bytes().startswith(b"\x89PNG")
    for shown in ("1437 training and 360 test samples of 10 classes", "confusion matrix", "precision  recall", "epoch"):
        assert shown in text
    # the held-out samples are the test set: nothing else gives this number
    model = pel.load("digits.pel")
    _, test = pel.data.digits().split(0.2, seed=0)
    assert f"{(model.predict(test.x).argmax(1) == test.y).mean():.4f}" == accuracy[1]
    assert last(ok("evaluate", "digits.pel", "digits")) == f"accuracy {accuracy[1]}"


def test_same_seed_same_model(here):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        ok(
            "train",
            "digits",
            "--epochs",
            2,
            "--hidden",
            "16,8",
            "--seed",
            seed,
            "--output",
            f"{name}.pel",
            "--no-plot",
            "--quiet",
        )
    a, b, c = (pel.load(f"{name}.pel").parameters for name in "abc")
    assert all((a[k] == b[k]).all() for k in a) and any((a[k] != c[k]).any() for k in a)


def test_options_reach_the_model(here):
    text = ok(
        "train",
        "digits",
        "--epochs",
        2,
        "--batch-size",
        "all",
        "--learning-rate",
        0.5,
        "--hidden",
        "none",
        "--dtype",
        "float64",
        "--dropout",
        0,
        "--output",
        "d.safetensors",
        "--plot",
        "curve.svg",
        "-q",
    )
    assert text == last(text) + "\n"  # quiet: the result alone
    model = pel.load("d.safetensors")
    assert list(model.parameters) == ["layers.0.weight", "layers.0.bias"]
    assert model.dtype == "float64" and model.optimizer.learning_rate == 0.5 and model.epochs == 2
    assert names(here) == ["curve.svg", "d.safetensors", "people.csv"]


def test_a_table(here):
    text = ok("train", "people.csv", "--target", "label")
    assert re.fullmatch(r"test accuracy 0\.[89]\d{3}|test accuracy 1\.0000", last(text))
    for shown in ("classification into 2 classes, because the target 'label' is text: old, young",
                  "numbers: age", "categories: colour", "left out: id, numbers the rows",
                  "left out: empty, empty in every row", "96 training and 24 test rows"):  # fmt: skip
        assert shown in text
    assert names(here) == ["people.csv", "people.pel", "people.png"]


def test_a_regression(here):
    (here / "values.csv").write_text(people(target="value") + "999,40,red,,\n")
    text = ok("train", "values.csv", "--target", "value", "--no-plot", "--learning-rate", 0.01)
    assert "regression, because the target 'value' has" in text and "(1 more without a target, left out)" in text
    assert "MAE" in text and "RMSE" in text
    score = re.fullmatch(r"test R2 (0\.\d{4})", last(text))
    assert score and float(score[1]) > 0.5


def test_other_ways_to_prepare_columns(here):
    how = ("--impute", "neighbors", "--scale", "none", "--encode", "binary", "--clip", "robust-z")
    (here / "more.csv").write_text(people() + "999,5000,red,,old\n")
    text = ok("train", "more.csv", "--target", "label", "--no-plot", "--epochs", 2, *how)
    assert "missing: age 14, colour 11; numbers are filled with the mean of the nearest rows" in text
    assert re.search(r"classes: old \d+ \(\d+%\), young \d+ \(\d+%\)\n", text)
    assert re.search(r"outliers, clipped: age: 1 value outside .*, the farthest 5000\n", text)
    assert "outliers, kept: age" in ok("train", "more.csv", "--target", "label", "--no-plot", "--epochs", 1)
    ok("train", "more.csv", "--target", "label", "--no-plot", "--epochs", 2, *how)
    preprocessing, _ = pel.tabular.restore(pel.load("more.pel"))
    x = preprocessing.transform(pel.data.read_csv("more.csv"))
    assert x.shape == (121, 4) and x[:, 0].max() > 79  # (missing), blue, green, red in two bits; not scaled
    assert last(ok("evaluate", "more.pel", "more.csv")).startswith("accuracy")


def test_folds(here):
    text = ok(
        "train", "people.csv", "--target", "label", "--folds", 3, "--epochs", 15, "--no-plot", "--learning-rate", 0.01
    )
    folds = [float(score) for score in re.findall(r"^fold \d/3  accuracy (\S+)", text, re.M)]
    mean, deviation = map(float, re.fullmatch(r"3-fold accuracy (\S+), standard deviation (\S+)", last(text)).groups())
    assert len(folds) == 3 and mean == pytest.approx(np.mean(folds), abs=1e-3)
    assert deviation == pytest.approx(np.std(folds, ddof=1), abs=1e-3)
    assert "all folds together, 120 rows" in text


def test_titanic(here, shared_data):
    text = ok(
        "train", shared_data / "titanic" / "titanic.csv", "--target", "Survived", "--folds", 5, "--quiet", "--no-plot"
    )
    assert float(re.match(r"5-fold accuracy (\S+),", text)[1]) >= 0.79


def test_mnist_in_small(here):
    """idx files, here of 400 made-up pictures of 4 x 4 pixels with a bright row that tells the class."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 300), ("t10k", 100)):
        y = rng.integers(0, 4, n).astype(np.uint8)
        x = rng.integers(0, 100, (n, 4, 4)).astype(np.uint8)
        x[np.arange(n), y] += 150
        for array, name in ((x, f"{part}-images-idx3-ubyte"), (y, f"{part}-labels-idx1-ubyte")):
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (here / name).write_bytes(head + array.tobytes())
    assert last(ok("train", "mnist", "--data", ".", "--no-plot")) == "test accuracy 1.0000"
    assert last(ok("evaluate", "mnist.pel", ".")) == "accuracy 1.0000"
    images, answers = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
    assert last(ok("evaluate", "mnist.pel", images, "--target", answers)) == "accuracy 1.0000"
    predicted = [row["prediction"] for row in csv.DictReader(io.StringIO(ok("predict", "mnist.pel", images)))]
    assert predicted == [str(c) for c in pel.data.idx(answers)]
    assert "did you mean: pellucid train mnist --data" in fails("train", ".")


def test_pictures(here):
    from PIL import Image

    for name, colour in (("day", 220), ("night", 30)):
        (here / "sky" / name).mkdir(parents=True)
        for i in range(20):
            Image.new("L", (6, 5), colour + i % 10).save(here / "sky" / name / f"{i}.png")
    (here / "sky" / "day" / "notes.txt").write_text("none")
    assert "give --skip-bad" in fails("train", "sky")
    text = ok("train", "sky", "--skip-bad", "--size", "4x3", "--epochs", 60, "--no-plot")
    assert "left out, not pictures: day/notes.txt" in text and last(text) == "test accuracy 1.0000"
    assert last(ok("evaluate", "sky.pel", "sky")) == "accuracy 1.0000"
    rows = list(csv.DictReader(io.StringIO(ok("predict", "sky.pel", "sky"))))
    assert rows[0]["file"] == "day/0.png" and {r["file"].split("/")[0] == r["prediction"] for r in rows} == {True}
    assert "1.png,night" in ok("predict", "sky.pel", "sky/day/1.png", "--invert")


def test_without_matplotlib(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = call("train", "digits", "--epochs", 1)
    assert result.exit_code == 0 and "pip install 'pellucid[plot]'" in result.stderr
    assert names(here) == ["digits.pel", "people.csv"]


# ---- predict, evaluate, summary


def test_predict_a_table(trained, here):
    """Extra columns are ignored, the target too; missing entries and new categories are no error."""
    (here / "new.csv").write_text("colour,more,age,label\nred,1,70,?\nblue,2,21,\npink,3,,old\n")
    result = call("predict", trained / "people.pel", "new.csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert list(rows[0]) == ["row", "label", "probability", "p(old)", "p(young)"]
    assert [row["label"] for row in rows[:2]] == ["old", "young"]
    assert float(rows[0]["p(old)"]) + float(rows[0]["p(young)"]) == pytest.approx(1, abs=1e-5)
    assert "colour has 1 value not seen in training, such as 'pink' in row 3" in result.stderr
    assert "3 predictions written to out.csv" in ok("predict", trained / "people.pel", "new.csv", "--output", "out.csv")
    assert (here / "out.csv").read_text() == result.stdout and names(here) == ["new.csv", "out.csv", "people.csv"]


def test_predict_values(trained, here):
    (here / "new.csv").write_text("age\tcolour\n70\tred\n25\tblue\n")
    rows = list(csv.DictReader(io.StringIO(ok("predict", trained / "values.pel", "new.csv", "--delimiter", "tab"))))
    assert float(rows[0]["value"]) == pytest.approx(90, abs=15) and float(rows[1]["value"]) == pytest.approx(25, abs=15)


def test_evaluate_a_table(trained, here):
    result = call("evaluate", trained / "people.pel", trained / "people.csv")
    assert float(last(result.stdout).removeprefix("accuracy ")) > 0.8
    assert "the file that the model was trained on" in result.stderr
    (here / "new.csv").write_text("age,colour,truth\n70,red,old\n21,blue,young\n30,red,\n")
    result = call("evaluate", trained / "people.pel", "new.csv", "--target", "truth")
    assert last(result.stdout) == "accuracy 1.0000" and "1 rows without 'truth'" in result.stderr
    assert last(ok("evaluate", trained / "values.pel", trained / "values.csv")).startswith("R2 0.")


def test_predict_arrays(trained, here):
    x, y = pel.data.digits(images=True)
    np.save("x.npy", x[:9, 0])
    np.save("bytes.npy", (x[:9, 0] * 16).astype(np.uint8))
    np.save("one.npy", x[0, 0])
    np.save("y.npy", y[:9])
    np.save("far.npy", x[:9] * 16)
    text = ok("predict", trained / "digits.pel", "x.npy")
    assert ok("predict", trained / "digits.pel", "bytes.npy") == text
    assert ok("predict", trained / "digits.pel", "one.npy").count("\n") == 2
    assert "accuracy" in last(ok("evaluate", trained / "digits.pel", "x.npy", "--target", "y.npy"))
    assert "values from 0 to 16; the model takes pixels from 0 to 1" in fails(
        "predict", trained / "digits.pel", "far.npy"
    )
    np.save("shape.npy", x[:, 0, :7])
    assert "samples of shape (7, 8), but the model takes (1, 8, 8)" in fails(
        "predict", trained / "digits.pel", "shape.npy"
    )
    np.save("nan.npy", np.where(x[:3] > 0.5, np.nan, x[:3]))
    assert "NaN or infinity in 3 of 3 samples" in fails("predict", trained / "digits.pel", "nan.npy")
    (here / "no.npy").write_text("hello")
    assert "not a .npy file" in fails("predict", trained / "digits.pel", "no.npy")
    assert "does not say the classes" in fails("evaluate", trained / "digits.pel", "x.npy")
    assert "expected 9 class numbers 0..9" in fails("evaluate", trained / "digits.pel", "x.npy", "--target", "x.npy")
    assert "trained on digits, not on a table" in fails("predict", trained / "digits.pel", "people.csv")
    assert "is not an idx file" in fails("predict", trained / "digits.pel", trained / "digits.pel")


def test_a_model_saved_from_python(here):
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    model = pel.Model(pel.nn.Dense(1), "mse", input_shape=(3,))
    model.save("m.pel")
    np.save("x.npy", x)
    rows = list(csv.DictReader(io.StringIO(ok("predict", "m.pel", "x.npy"))))
    assert [float(r["prediction"]) for r in rows] == pytest.approx(model.predict(x)[:, 0], rel=1e-6)
    assert "4 parameters" in ok("summary", "m.pel")


def test_summary(trained):
    text = ok("summary", trained / "people.pel")
    for shown in ("layers.0 (MemberDense)", "parameters", "CrossEntropy", "label (classification", "left out",
                  "id, numbers the rows", "old, young"):  # fmt: skip
        assert shown in text
    assert "8 x 8 pixels" in ok("summary", trained / "digits.pel")


# ---- how a file is read


def write(name: str, columns: str, rows) -> None:
    Path(name).write_text("\n".join([columns, *(",".join(map(str, row)) for row in rows)]) + "\n")


def learnt(name: str, *options) -> list[dict[str, str]]:
    """The predictions for the file that a model was trained on, after a training that must be right."""
    quick = ("--quiet", "--no-plot", "--epochs", 60, "--learning-rate", 0.02, "--dropout", 0, "--output", "m.pel")
    assert float(last(ok("train", name, "--target", "y", *quick, *options)).split()[-1]) > 0.85
    assert float(last(ok("evaluate", "m.pel", name)).split()[-1]) > 0.85
    return list(csv.DictReader(io.StringIO(ok("predict", "m.pel", name))))


@pytest.mark.parametrize("classes", [
    ("01", "02"), (str(2**60), str(2**60 + 1)), ("NA", "null"), ("1.0", "2.0"), ("NA", "x"), ("007", "5"),
])  # fmt: skip
def test_a_class_is_predicted_as_it_was_written(here, classes):
    x = np.random.default_rng(0).normal(size=80)
    truth = [classes[int(v > 0)] for v in x]
    write("t.csv", "x,y", zip(x, truth, strict=True))
    predicted = [row["y"] for row in learnt("t.csv")]
    assert np.mean([a == b for a, b in zip(predicted, truth, strict=True)]) > 0.85
    assert {*predicted} == {*classes}


def test_the_type_of_the_target_can_be_said(here):
    x = np.random.default_rng(0).normal(size=80)
    write("t.csv", "x,y", [(v, ("1", "01", "2")[int(v > 0) * (1 + i % 2)]) for i, v in enumerate(x)])
    train = ("train", "t.csv", "--target", "y", "--no-plot", "--epochs", 1)
    assert "into 3 classes" in ok(*train) and "classes: 01 " in ok(*train)
    assert "into 2 classes" in ok(*train, "--target-type", "number")
    assert "column 'x' holds" in fails("train", "t.csv", "--target", "y", "--dates", "x")
    write("n.csv", "x,y", [(v, ("NA", "1", "2")[i % 3]) for i, v in enumerate(x)])
    assert "53 rows (27 more without a target" in ok("train", "n.csv", "--target", "y", "--no-plot", "--epochs", 1)
    text = ok("train", "n.csv", "--target", "y", "--no-plot", "--epochs", 1, "--target-type", "text")
    assert "into 3 classes" in text and "'NA' is taken as a class of 'y'; --missing NA" in text
    assert "give --target-type text or number" in fails("train", "t.csv", "--target", "y", "--numeric", "y")


def test_predict_reads_files_as_training_did(here):
    """Signs, words, dates and kinds are kept in the model; columns are found by name, in any order."""
    rng = np.random.default_rng(0)
    days = np.datetime64("2024-01-01") + rng.integers(0, 300, 120)
    codes, x = rng.integers(1, 3, 120), rng.normal(size=120)
    lines = ["code;day;x;y"]
    for code, day, v in zip(codes, days.tolist(), x, strict=True):
        shown = "gone" if v > 1.5 else f"{v * 1000:,.1f}".translate(str.maketrans(",.", ".,"))
        lines.append(f"{code:02};{day:%d.%m.%Y};{shown};{('no', 'yes')[int(code == 2)]}")
    Path("t.txt").write_text("\n".join(lines) + "\n")
    options = ("--sep", ";", "--decimal", ",", "--thousands", ".", "--missing", "gone", "--dates", "day=%d.%m.%Y")
    rows = learnt("t.txt", *options)
    text = ok("summary", "m.pel")
    assert "numbers     x" in text and "categories  code" in text and "dates       day" in text
    assert "read with   --sep ; --dates day=%d.%m.%Y --missing gone --decimal , --thousands ." in text
    Path("u.txt").write_text("x;day;code\n-1.234,5;31.12.2024;02\ngone;;01\n")
    more = list(csv.DictReader(io.StringIO(ok("predict", "m.pel", "u.txt"))))
    assert [row["y"] for row in more] == ["yes", "no"] and len(rows) == 120
    Path("u.txt").write_text("x,day,code\n5,2024-12-31,2\n")
    assert "column 'day' holds '2024-12-31' in row 1, expected a date such as %d.%m.%Y" in fails(
        "predict", "m.pel", "u.txt", "--sep", ","
    )


def test_what_is_taken_as_missing_is_said(here):
    write("t.csv", "x,z,y", [(i % 7 + 0.5 if i % 5 else "N/A", "-" if i % 9 else "b", "ab"[i % 2]) for i in range(60)])
    train = ("train", "t.csv", "--target", "y", "--no-plot", "--epochs", 1)
    text = ok(*train)
    assert text.count("note: taken as missing: 'N/A' in x (12)") == 1 and "missing: x 12;" in text
    assert "categories: z" in ok(*train) and "z is taken" not in text
    assert "column 'x' holds 'N/A' in row 1" in fails(*train, "--numeric", "x", "--missing", "-")


@pytest.mark.parametrize("ending", ["gz", "xz", "bz2", "zip"])
def test_packed_tables(here, ending):
    import bz2
    import gzip
    import lzma
    import zipfile

    name, content = f"t.csv.{ending}", Path("people.csv").read_bytes()
    if ending == "zip":
        with zipfile.ZipFile(name, "w") as archive:
            archive.writestr("people.csv", content)
    else:
        Path(name).write_bytes({"gz": gzip, "xz": lzma, "bz2": bz2}[ending].compress(content))
    ok("train", name, "--target", "label", "--no-plot", "--epochs", 1)
    assert ok("predict", "t.pel", name) == ok("predict", "t.pel", "people.csv")


def test_numbers_too_large_to_compute_with(trained, here):
    (here / "new.csv").write_text("age,colour\n30,red\n1e300,red\n")
    assert "column 'age' holds 1e+300 in row 2, too large" in fails("predict", trained / "people.pel", "new.csv")
    model = pel.Model(pel.nn.Dense(1), "mse", input_shape=(2,))
    model.state["weight"][:] = 2
    model.save("m.pel")
    for value in (3e38, 1e300):
        np.save("x.npy", np.array([[1.0, 2.0], [-1.0, value]]))
        said = fails("predict", "m.pel", "x.npy", "--output", "out.csv")
        assert "row 2 is not a finite number; column 2 is" in said and not Path("out.csv").exists()
    (here / "new.csv").write_text("x,y\n" + "".join(f"{i % 7}.5,{i % 11}.5\n" for i in range(40)) + "1,50e200\n")
    assert "column 'y' holds 5e+201 in row 41, too large" in fails("train", "new.csv", "--target", "y", "--no-plot")
    assert names(here) == ["m.pel", "new.csv", "people.csv", "x.npy"]


# ---- mistakes

TRAIN = ("train", "people.csv", "--target", "label")


@pytest.mark.parametrize(
    "args, message",
    [
        (("train", "people.csv", "--target", "lable"), "no column 'lable'; did you mean 'label'?"),
        (("train", "people.csv"), "needs --target COLUMN, the column to predict, one of id, age, colour, empty, label"),
        (("train", "none.csv", "--target", "y"), "none.csv: there is no such file or folder"),
        (
            ("train", "ragged.csv", "--target", "y"),
            "ragged.csv: expected 2 fields on each line, as in the header, but line 3",
        ),
        (("train", "empty.csv", "--target", "y"), "empty.csv is empty"),
        (("train", "header.csv", "--target", "y"), "but no rows"),
        (("train", "semicolons.csv", "--target", "y"), "Give --sep ';'"),
        (("train", "one.csv", "--target", "y"), "one class only"),
        (("train", "typo.csv", "--target", "y"), "column 'x' holds numbers, but 'abc' in row 31"),
        (("train", "tiny.csv", "--target", "y"), "tiny.csv: 4 rows are too few"),
        (("train", "rare.csv", "--target", "y"), "the class 'c' of 'y' occurs only once"),
        (("train", "rare.csv", "--target", "y", "--folds", "2"), "the class 'c' has only 1 rows"),
        (("train", "people.csv", "--target", "id", "--task", "classification"), "too many to learn classes from"),
        (("train", "people.csv", "--target", "label", "--task", "regression"), "no target for a regression"),
        ((*TRAIN, "--drop", "age", "--drop", "colour"), "no column to learn from"),
        ((*TRAIN, "--drop", "agee"), "no column 'agee'"),
        ((*TRAIN, "--keep", "label"), "for other columns than the target"),
        ((*TRAIN, "--batch-size", "500"), "batch_size=500 is larger than the"),
        ((*TRAIN, "--batch-size", "x"), "expected a whole number >= 1, or all"),
        ((*TRAIN, "--learning-rate", "1e30", "--epochs", "5"), "became NaN or infinite"),
        ((*TRAIN, "--learning-rate", "0"), "expected a number > 0"),
        ((*TRAIN, "--hidden", "64,x"), "expected whole numbers such as 64,32"),
        ((*TRAIN, "--epochs", "0"), "--epochs"),
        ((*TRAIN, "--dropout", "1"), "--dropout"),
        ((*TRAIN, "--folds", "1"), "--folds"),
        ((*TRAIN, "--scale", "big"), "'big' is not one of 'standard', 'minmax', 'robust', 'pieces', 'none'"),
        (("train", "digits", "--encode", "binary"), "--encode does not go with digits"),
        ((*TRAIN, "--executor", "abacus"), "executor must be one of"),
        ((*TRAIN, "--dtype", "float16"), "--dtype"),
        ((*TRAIN, "--output", "nowhere/m.pel"), "there is no folder 'nowhere'"),
        ((*TRAIN, "--output", "people.csv"), "the name of a model ends in .pel"),
        ((*TRAIN, "--output", "folder.pel"), "is a folder"),
        ((*TRAIN, "--plot", "curve.txt"), "the name of a picture ends in .png"),
        ((*TRAIN, "--plot", "curve.png", "--no-plot"), "not both"),
        ((*TRAIN, "--size", "8"), "--size does not go with people.csv"),
        ((*TRAIN, "--delimiter", "ab"), "one character"),
        (("train", "digits", "--target", "y"), "--target does not go with digits"),
        (("train", "mnist"), "mnist needs --data FOLDER"),
        (("train", "mnist", "--data", "."), "none of these files is in it"),
        (("train", "folder.pel", "--output", "m.pel"), "has no subfolders"),
        (("train", "m.npy"), "cannot train on a .npy file"),
        (("train", "digits", "--epoch", "1"), "No such option '--epoch'"),
        (("trian", "digits"), "no command 'trian'; did you mean train?"),
        (("train",), "Missing argument 'DATA'"),
    ],
)
def test_mistakes_in_training(here, args, message):
    files = {
        "ragged.csv": "x,y\n1,2\n3\n",
        "semicolons.csv": "x;y\n1;2\n",
        "empty.csv": "",
        "header.csv": "x,y\n",
        "one.csv": "x,y\n1,a\n2,a\n3,a\n",
        "tiny.csv": "x,y\n1,0\n2,1\n1,1\n2,0\n",
        "rare.csv": "x,y\n" + "1,a\n2,b\n" * 20 + "3,c\n",
        "typo.csv": "x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(30)) + "abc,1\n",
        "m.npy": "",
    }
    for name, text in files.items():
        (here / name).write_text(text)
    (here / "folder.pel").mkdir()
    before = names(here)
    assert message in fails(*args)
    assert names(here) == before, "nothing is left behind"


@pytest.mark.parametrize(
    "args, message",
    [
        (("{people}", "lacking.csv"), "lacking.csv lacks the column age, which the model needs"),
        (("{people}", "text.csv"), "text.csv: column 'age' holds 'young' in row 2, expected a number"),
        (("{people}", "none.csv"), "none.csv: there is no such file"),
        (("{people}", "empty.csv"), "empty.csv is empty"),
        (("{people}", "fine.csv", "--output", "fine.csv"), "is read by this command"),
        (("{people}", "fine.csv", "--output", "out.txt"), "ends in .csv"),
        (("{people}", "fine.csv", "--output", "no/out.csv"), "no folder"),
        (("none.pel", "fine.csv"), "there is no model file 'none.pel'"),
        (("cut.pel", "fine.csv"), "not a Pellucid model, or is cut short or damaged"),
        (("fine.csv", "fine.csv"), "not a Pellucid model"),
        ((".", "fine.csv"), "it is a folder"),
        (("{digits}", "none.npy"), "there is no such file or folder"),
        (("{digits}", "."), "no pictures in it"),
    ],
)
def test_mistakes_in_prediction(trained, here, args, message):
    files = {"lacking.csv": "colour\nred\n", "text.csv": "age,colour\n1,red\nyoung,red\n", "empty.csv": "",
             "fine.csv": "age,colour\n30,red\n"}  # fmt: skip
    for name, text in files.items():
        (here / name).write_text(text)
    (here / "cut.pel").write_bytes((trained / "people.pel").read_bytes()[:9000])
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    assert message in fails(
        "predict", *(a.format(people=trained / "people.pel", digits=trained / "digits.pel") for a in args)
    )
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


def test_mistakes_in_evaluation(trained, here):
    (here / "new.csv").write_text("age,colour,label\n30,red,middle\n")
    assert "holds 'middle' in row 1, none of the classes old, young" in fails(
        "evaluate", trained / "people.pel", "new.csv"
    )
    (here / "new.csv").write_text("age,colour\n30,red\n")
    assert "no column 'label'" in fails("evaluate", trained / "people.pel", "new.csv")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_cannot_be_written(here):
    (here / "locked").mkdir(mode=0o500)
    assert "cannot be written to" in fails(*TRAIN, "--output", "locked/m.pel")


def test_a_failed_save_leaves_the_old_model(here, monkeypatch):
    """A full disk while saving: one line, the old model is still there, no part of the new one."""
    ok(*TRAIN, "--epochs", 1, "--quiet", "--no-plot")
    before = (here / "people.pel").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device", "people.pel")

    monkeypatch.setattr(os, "replace", full)
    assert "No space left on device" in fails(*TRAIN, "--epochs", 30, "--quiet", "--no-plot")
    assert (here / "people.pel").read_bytes() == before and names(here) == ["people.csv", "people.pel"]


def test_debug_shows_the_traceback(here):
    with pytest.raises(pel.DataError, match="no column 'lable'"):
        call("train", "people.csv", "--target", "lable", "--debug")


# ---- as processes


def process(*args, **options):
    return subprocess.run(
        [sys.executable, "-c", "from pellucid.cli import main; main()", *args],
        capture_output=True,
        text=True,
        **options,
    )


def test_as_a_process(here):
    done = process("train", "people.csv", "--target", "label", "--quiet", "--no-plot", "--epochs", "30")
    assert done.returncode == 0 and last(done.stdout).startswith("test accuracy") and done.stderr == ""
    done = process("train", "none.csv", "--target", "label")
    assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith("error: none.csv")
    assert process("--version").stdout.strip() == f"pellucid, version {pel.__version__}"


def test_help_is_light_and_has_examples():
    heavy = ["sklearn", "scipy", "matplotlib", "rich", "pandas", "PIL", "llvmlite", "skops"]
    code = (
        "import sys\nfrom pellucid.cli import cli\n"
        f"try: cli(['train', '--help'])\nexcept SystemExit: print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert last(done.stdout) == "[]"
    for command in ("train", "predict", "evaluate", "sample", "summary"):
        text = ok(command, "--help")
        assert "Example" in text and f"pellucid {command} " in text.split("Example")[1]
    assert "train" in ok("--help")
    assert call().exit_code == 2 and "Usage" in call().output


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c(here):
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # in the background too
    begin = f"{heard}; from pellucid.cli import main; main()"
    command = [sys.executable, "-c", begin, "train", "digits", "--epochs", "100000"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout.readline().startswith("digits: ")  # the training begins
    time.sleep(0.5)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=20)
    assert running.returncode == 130 and errors.strip() == "stopped by Ctrl-C"
    assert names(here) == ["people.csv"]


def test_checkpoints(here):
    """Training that goes on from a checkpoint ends with the same model."""
    small = ("train", "digits", "--hidden", 8, "--no-plot", "--quiet")
    ok(*small, "--epochs", 3, "--output", "whole.pel")
    ok(*small, "--epochs", 2, "--output", "cut.pel", "--checkpoint", "kept", "--resume")
    assert len(names(here / "kept")) == 3
    ok(*small, "--epochs", 3, "--output", "cut.pel", "--checkpoint", "kept", "--resume")
    whole, cut = pel.load("whole.pel"), pel.load("cut.pel")
    assert all((whole.state[name] == cut.state[name]).all() for name in whole.state)
    assert "kept holds checkpoints of an earlier training; go on with it by --resume" in fails(
        *small, "--checkpoint", "kept"
    )
    assert "seed is 0 in it, 1 here" in fails(*small, "--seed", 1, "--checkpoint", "kept", "--resume")
    assert "--resume needs --checkpoint FOLDER" in fails(*small, "--resume")
    table = ("train", "people.csv", "--target", "label", "--folds", 3)
    assert "does not go with --folds" in fails(*table, "--checkpoint", "kept")
    assert "people.csv is a file, expected a folder for the checkpoints" in fails(*small, "--checkpoint", "people.csv")


def test_a_model_that_cannot_be_saved_is_not_lost(tmp_path, monkeypatch):
    """The disk fills while the net is trained: the model is beside, and the error says where."""
    from pellucid.train import container

    (tmp_path / "full").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    replace = os.replace

    def full(part, path):
        if "full" in str(path):
            raise OSError(28, "No space left on device")
        replace(part, path)

    monkeypatch.setattr(container.os, "replace", full)
    (tmp_path / "people.csv").write_text(people())
    model = tmp_path / "full" / "people.pel"
    error = fails("train", tmp_path / "people.csv", "--target", "label", "--epochs", 30, "--output", model, "--no-plot")
    assert f"{model} could not be written (No space left on device); the trained model is in" in error
    (beside,) = (tmp_path / "here").iterdir()
    assert str(beside) in error and pel.load(beside).epochs == 30 and not list((tmp_path / "full").iterdir())


NOTES = {
    "a table without a target": ("target", lambda n: n.update(kind="table")),
    "a size that is text": ("image", lambda n: n.update(image=[1, 8, "8"])),
    "a size that is not the net's": ("image", lambda n: n.update(image=[1, 10**6, 10**6])),
    "no size": ("image", lambda n: n.pop("image")),
    "scale 0": ("scale", lambda n: n.update(scale=0)),
    "classes of numbers": ("class_names", lambda n: n.update(class_names=[1] * 10)),
    "a class too few": ("class_names", lambda n: n["class_names"].pop()),
    "results of text": ("test", lambda n: n.update(test={"accuracy": "x"})),
    "a text without its characters": ("vocabulary", lambda n: n.update(kind="text")),
}


@pytest.mark.parametrize("name, change", NOTES.values(), ids=list(NOTES))
def test_notes_that_are_damaged(name, change, tmp_path):
    """As if they were written so: whatever the command, one line says which note."""
    model = pel.Model(pel.nn.Sequential(pel.nn.Flatten(), pel.nn.Dense(10)), "cross_entropy", input_shape=(1, 8, 8))
    model.notes |= {"kind": "pixels", "source": "digits", "image": [1, 8, 8], "scale": 16,
                    "class_names": [str(i) for i in range(10)]}  # fmt: skip
    model.save(tmp_path / "good.pel")
    np.save(tmp_path / "x.npy", np.zeros((2, 8, 8), "uint8"))
    ok("summary", tmp_path / "good.pel"), ok("predict", tmp_path / "good.pel", tmp_path / "x.npy")
    change(model.notes)
    model.save(tmp_path / "m.pel")
    for command in (["summary"], ["predict", tmp_path / "x.npy"], ["evaluate", tmp_path / "x.npy"], ["sample"]):
        error = fails(command[0], tmp_path / "m.pel", *command[1:])
        assert "the model's notes are damaged" in error and repr(name) in error


def test_notes_of_a_users_own(tmp_path):
    """They may mean something else under the same names."""
    model = pel.Model(pel.nn.Dense(2), "mse", input_shape=(3,))
    model.notes |= {"test": 0.5, "class_names": 3, "kind": ["mine"]}
    model.save(tmp_path / "m.pel")
    assert "parameters" in ok("summary", tmp_path / "m.pel")
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    assert len(ok("predict", tmp_path / "m.pel", tmp_path / "x.npy").splitlines()) == 3
