"""The command line's routes: tables of any kind of file, free text, unequal classes, leaks, nets for pictures."""

import csv
import io
import re

import numpy as np
import pytest
from test_cli import fails, last, names, ok, people

import pellucid as pel
from conftest import ROOT

QUICK = ("--no-plot", "--epochs", 1)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# ---- tables without a header, without quoting, of other kinds of files


def test_without_a_header(here):
    (here / "p.data").write_text("\n".join(people().splitlines()[1:]) + "\n")
    text = ok("train", "p.data", "--no-header", "--target", 5, "--no-plot", "--epochs", 20, "--learning-rate", 0.01)
    assert "p.data: 120 rows" in text and "numbers: 2\n" in text and "categories: 3\n" in text
    assert len(rows_of(ok("predict", "p.pel", "p.data"))) == 120
    assert last(ok("evaluate", "p.pel", "p.data")).startswith("accuracy")
    assert "--no-header" in ok("summary", "p.pel")
    assert "no column '6'; without a header they are 1 to 5" in fails("train", "p.data", "--no-header", "--target", 6)


def test_a_header_that_looks_like_data_is_said(here):
    (here / "d.csv").write_text("5.1,3.5,a\n" + "".join(f"{i % 7},{i % 5},{'ab'[i % 2]}\n" for i in range(40)))
    assert "looks like data, not like names; --no-header takes it as a row" in ok(
        "train", "d.csv", "--target", "a", *QUICK
    )
    assert "looks like data: give --no-header too, and the columns are called 1 to 3" in fails("train", "d.csv")
    assert "give --no-header, and the columns are called 1 to 3" in fails("train", "d.csv", "--target", "3")
    assert ok("train", "d.csv", "--no-header", "--target", "3", *QUICK)  # as advised
    (here / "twice.csv").write_text("1,1,a\n" + "2,3,b\n" * 9)
    assert "If that line is data, give --no-header" in fails("train", "twice.csv", "--target", "a")
    (here / "years.csv").write_text("1990,1991,y\n" + "".join(f"{i % 7},{i % 5},{'ab'[i % 2]}\n" for i in range(40)))
    assert "looks like data" not in ok("train", "years.csv", "--target", "y", *QUICK)  # columns called by years


def test_quotes_as_plain_signs(here):
    lines = ["name\tsize\ty", *(f'"{i % 3}" wide\tx"{i % 4}\t{"ab"[i % 2]}' for i in range(40))]
    (here / "t.tsv").write_text("\n".join(lines) + "\n")
    ok("train", "t.tsv", "--target", "y", "--no-quotes", *QUICK)
    preprocessing, _ = pel.tabular.restore(pel.load("t.pel"))
    assert '"2" wide' in preprocessing.categories()["name"]
    (here / "c.csv").write_text("a,y\n" + 'x" 5,1\n"x 6,2\n' * 20)
    assert "--no-quotes takes them as plain signs" in fails("train", "c.csv", "--target", "y")
    ok("train", "c.csv", "--target", "y", "--no-quotes", *QUICK)


TABLE = {"a": [float(i % 7) for i in range(40)], "colour": ["red", "blue"] * 20, "y": ["yes", "no"] * 20}


def frame(here, name):
    pandas = pytest.importorskip("pandas")
    made = pandas.DataFrame(TABLE)
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
        made.to_parquet(here / name)
    else:
        pytest.importorskip("openpyxl")
        made.to_excel(here / name, index=False)


def arff(here, name):
    head = "@relation r\n@attribute a numeric\n@attribute colour {red,blue}\n@attribute y {yes,no}\n@data\n"
    (here / name).write_text(head + "".join(f"{a},{c},{y}\n" for a, c, y in zip(*TABLE.values(), strict=True)))


@pytest.mark.parametrize("name, make", [("t.parquet", frame), ("t.xlsx", frame), ("t.arff", arff)])
def test_other_kinds_of_tables(here, name, make):
    make(here, name)
    text = ok("train", name, "--target", "y", *QUICK)
    assert "numbers: a\n" in text and "categories: colour\n" in text and "classes: no 20 (50%), yes 20 (50%)" in text
    (here / "t.csv").write_text(
        "a,colour,y\n" + "".join(f"{a},{c},{y}\n" for a, c, y in zip(*TABLE.values(), strict=True))
    )
    assert ok("predict", "t.pel", name) == ok("predict", "t.pel", "t.csv")
    assert "--sep is for CSV files" in fails("train", name, "--target", "y", "--sep", ";")
    assert "no column 'z'" in fails("train", name, "--target", "z")


def test_a_reader_that_is_not_there_is_named(here, monkeypatch):
    import sys

    (here / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert "needs pandas and pyarrow: pip install 'pellucid[files]'" in fails("train", "t.parquet", "--target", "y")


def test_series_of_sktime(here):
    rng = np.random.default_rng(0)
    lines = ["@problemName p", "@timeStamps false", "@classLabel true up down", "@data"]
    for i in range(40):
        values = np.linspace(0, 1, 6) * (1 if i % 2 else -1) + rng.normal(0, 0.1, 6)
        lines.append(",".join(f"{v:.3f}" for v in values) + (":up" if i % 2 else ":down"))
    (here / "p.ts").write_text("\n".join(lines) + "\n")
    assert last(ok("train", "p.ts", "--no-plot", "--epochs", 60, "--learning-rate", 0.01)) == "test accuracy 1.0000"
    assert last(ok("evaluate", "p.pel", "p.ts")) == "accuracy 1.0000"
    (here / "q.ts").write_text("\n".join([*lines, "1,2:up"]))
    assert "line 45 has series of 2 values, line 5 of 6; expected equal lengths" in fails("train", "q.ts")
    (here / "q.ts").write_text("@problemName p\n")
    assert "no line @data" in fails("train", "q.ts")


@pytest.mark.parametrize("name, way", [
    ("s.wav", "scipy.io.wavfile"), ("s.json", "pandas.read_json"), ("s.png", "a subfolder for each class"),
    ("s.pel", "it is a model"), ("s.npy", "no targets"), ("s.ods", ".xlsx, or as CSV"), ("s.xyz", "give a table"),
])  # fmt: skip
def test_errors_point_to_what_can_do_it(here, name, way):
    (here / name).write_bytes(b"")
    assert way in fails("train", name)


# ---- a test file, unequal classes, leaks, outliers


def test_a_test_file(here):
    (here / "a.csv").write_text(people())
    (here / "b.csv").write_text("label,age,colour\nold,75,red\nyoung,22,blue\nold,,\n,30,red\n")
    text = ok("train", "a.csv", "--target", "label", "--test", "b.csv", "--no-plot", "--epochs", 30)
    assert "120 training and 3 test rows" in text and "b.csv, 3 rows" in text
    (here / "c.csv").write_text("label,age\nold,75\n")
    assert "c.csv lacks the column colour" in fails("train", "a.csv", "--target", "label", "--test", "c.csv")
    (here / "c.csv").write_text("label,age,colour\nolder,75,red\n")
    assert "none of the classes old, young" in fails("train", "a.csv", "--target", "label", "--test", "c.csv")
    assert "--folds does not go with --test" in fails(
        "train", "a.csv", "--target", "label", "--test", "b.csv", "--folds", 3
    )
    assert names(here) == ["a.csv", "a.pel", "b.csv", "c.csv"]


def uneven(here) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    answers = np.where(x.sum(1) + rng.normal(0, 0.5, 300) > 2, "rare", "common")
    text = "".join(f"{a:.3f},{b:.3f},{y}\n" for (a, b), y in zip(x, answers, strict=True))
    (here / "u.csv").write_text("a,b,y\n" + text)


def test_unequal_classes(here):
    uneven(here)
    train = ("train", "u.csv", "--target", "y", "--no-plot", "--epochs", 20, "--learning-rate", 0.01)
    found = {}
    for name, options in {"plain": (), "weight": ("--class-weight", "balanced"), "repeat": ("--oversample",)}.items():
        text = ok(*train, *options)
        assert re.search(r"^test f1_macro 0\.\d{4}$", text, re.M) and last(text).startswith("test accuracy")
        found[name] = float(re.search(r"^test balanced_accuracy (\S+)$", text, re.M)[1])
        assert (" --class-weight balanced or --oversample makes" in text) == (name == "plain")
    assert found["weight"] > found["plain"] + 0.05 and found["repeat"] > found["plain"] + 0.05
    text = ok("evaluate", "u.pel", "u.csv")
    truth = np.array([row["y"] for row in rows_of((here / "u.csv").read_text())])
    said = np.array([row["y"] for row in rows_of(ok("predict", "u.pel", "u.csv"))])
    recall = np.mean([np.mean(said[truth == c] == c) for c in ("common", "rare")])
    assert f"balanced_accuracy {recall:.4f}" in text
    assert pel.load("u.pel").notes["test"].keys() == {"accuracy", "balanced_accuracy", "f1_macro"}
    assert "does not go with --class-weight" in fails(*train, "--oversample", "--class-weight", "balanced")
    (here / "v.csv").write_text(people(target="value"))
    assert "--oversample is for classes" in fails("train", "v.csv", "--target", "value", "--oversample")


def test_leaks_are_noticed(here):
    rng = np.random.default_rng(0)
    casual, member, code = rng.poisson(50, 200), rng.poisson(90, 200), rng.integers(0, 3, 200)
    rows = zip(casual, member, casual + member, [f"{'abc'[k]},{'xyz'[k]}" for k in code], strict=True)
    (here / "b.csv").write_text("casual,member,all,code,name\n" + "".join(f"{a},{b},{c},{d}\n" for a, b, c, d in rows))
    text = ok("train", "b.csv", "--target", "all", "--drop", "code", "--drop", "name", *QUICK)
    assert "casual and member together give the target 'all' without error (it is a sum of them)" in text
    assert "--drop casual --drop member" in text

    def told(name, *dropped):
        table = pel.data.read_csv("b.csv")
        columns = pel.tabular.choose_columns(table.drop(name), drop=dropped)
        return [names for _, names in pel.tabular.leaks(table, columns, pel.tabular.read_target(table, name))]

    assert told("all") == [("casual", "member")] and told("casual") == [("member", "all")]  # a sum that contains it
    assert told("all", "casual") == told("casual", "all") == []
    assert told("code") == [("name",)] and told("code", "name") == []


def test_far_values_are_one_line(here):
    """Skewed columns are no news; a value that decides the scale is."""
    rng = np.random.default_rng(0)
    x = rng.exponential(size=(200, 5))
    x[3, 4] = 900
    text = "".join(",".join(f"{v:.3f}" for v in row) + f",{row[0]:.1f}\n" for row in x)
    (here / "o.csv").write_text("a,b,c,d,e,y\n" + text)
    found = [line for line in ok("train", "o.csv", "--target", "y", *QUICK).splitlines() if "outliers" in line]
    assert len(found) == 1 and "e: 1 value" in found[0] and "a:" not in found[0] and "--clip iqr" in found[0]


# ---- text


def reviews(n: int = 60) -> list[tuple[str, str]]:
    rng = np.random.default_rng(0)
    words = {"pos": ["good", "great", "fine", "warm"], "neg": ["bad", "poor", "dull", "cold"]}
    fill = ["the", "film", "with", "a", "plot", "and", "music", "about", "people", "who"]
    made = []
    for i in range(n):
        label = ("pos", "neg")[i % 2]
        text = [*rng.choice(fill, 6), *rng.choice(words[label], 2)]
        made.append((" ".join(rng.permutation(text)) + f" no{i}", label))
    return made


def test_free_text_in_a_table(here):
    """Sentences are used without being asked for, beside the other columns; names of two words are not."""
    lines = [f'"{text}",{i % 7},person {i},{label}' for i, (text, label) in enumerate(reviews())]
    (here / "r.csv").write_text("review,stars,who,y\n" + "\n".join(lines) + "\n")
    text = ok("train", "r.csv", "--target", "y", "--no-plot", "--epochs", 40, "--learning-rate", 0.01)
    assert "numbers: stars\n" in text and "texts: review\n" in text and last(text) == "test accuracy 1.0000"
    assert "left out: who" in text and "--text who learns from its words" in text
    assert "texts: review, who\n" in ok("train", "r.csv", "--target", "y", "--text", "who", *QUICK)
    assert "left out: review, as asked" in ok("train", "r.csv", "--target", "y", "--drop", "review", *QUICK)
    assert "'stars' is no text" in fails("train", "r.csv", "--target", "y", "--text", "stars")


def test_a_text_of_a_folder_in_another_encoding(here):
    (here / "films" / "neg").mkdir(parents=True)
    (here / "films" / "neg" / "1.txt").write_bytes("Käse".encode("cp1252"))
    said = fails("train", "films")
    assert "1.txt is not in UTF-8" in said and "save it as UTF-8" in said and "encoding=" not in said


def test_folders_of_texts(here):
    for i, (text, label) in enumerate(reviews()):
        (here / "films" / label).mkdir(parents=True, exist_ok=True)
        (here / "films" / label / f"{i}.txt").write_text(text)
    text = ok("train", "films", "--no-plot", "--epochs", 40, "--learning-rate", 0.01)
    assert "texts: text\n" in text and "left out" not in text and last(text) == "test accuracy 1.0000"
    assert last(ok("evaluate", "films.pel", "films")) == "accuracy 1.0000"
    found = rows_of(ok("predict", "films.pel", "films"))
    assert found[0]["file"] == "neg/1.txt" and all(row["file"].startswith(row["class"]) for row in found)
    assert rows_of(ok("predict", "films.pel", "films/pos/0.txt"))[0]["class"] == "pos"
    (here / "none").mkdir()
    assert "has no subfolders" in fails("train", "none")


# ---- pictures


def stripes(folder, n: int = 24, size: int = 12) -> None:
    """Pictures with a horizontal or an upright stripe."""
    image = pytest.importorskip("PIL.Image")
    for name in ("flat", "upright"):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            x = np.zeros((size, size), np.uint8)
            x[(i % size, slice(None)) if name == "flat" else (slice(None), i % size)] = 255
            image.fromarray(x).save(folder / name / f"{i}.png")


def test_nets_for_pictures(here):
    stripes(here / "lines")
    text = ok("train", "lines", "--no-plot", "--epochs", 12)
    assert "net: lenet5, for 38 pictures of 12 x 12 pixels" in text and last(text) == "test accuracy 1.0000"
    assert [type(layer).__name__ for layer in pel.load("lines.pel").net.layers][:1] == ["FirstConv"]
    assert last(ok("evaluate", "lines.pel", "lines")) == "accuracy 1.0000"
    assert "net: dense, as --hidden is given" in ok("train", "lines", "--hidden", 8, *QUICK)
    assert "--hidden is for --net dense" in fails("train", "lines", "--hidden", 8, "--net", "lenet5")
    assert "--net lenet5 takes square pictures up to 32 x 32, these are 8 x 12; give --size 32" in fails(
        "train", "lines", "--net", "lenet5", "--size", "8x12"
    )
    (here / "x.csv").write_text("x,y\n1,2\n")
    assert "--net does not go with x.csv" in fails("train", "x.csv", "--target", "y", "--net", "dense")


def test_a_folder_for_the_test(here):
    stripes(here / "lines", 12)
    stripes(here / "more", 6)
    text = ok("train", "lines", "--test", "more", "--hidden", 8, *QUICK)
    assert "24 training and 12 test samples" in text
    (here / "more" / "flat").rename(here / "more" / "level")
    assert "more has the class 'level'" in fails("train", "lines", "--test", "more", "--hidden", 8)


def test_cifar_and_names_of_classes(here):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 255, (24, 32, 32, 3)).astype(np.uint8), np.arange(24) % 2
    np.savez("c.npz", x_train=x, y_train=y, x_test=x[:8], y_test=y[:8])
    train = ("train", "cifar", "--data", "c.npz", "--net", "dense", *QUICK)
    text = ok(*train, "--class-names", "cat,dog")
    assert "24 training and 8 test samples of 2 classes" in text and "net: dense, as asked" in text
    assert pel.load("cifar.pel").notes["class_names"] == ["cat", "dog"]
    (here / "names.txt").write_text("cat\ndog\n")
    assert "  cat " in ok(*train, "--class-names", "names.txt")
    assert "expected 2 different names, of the classes 0 to 1, got 1" in fails(*train, "--class-names", "cat")
    assert "'cat' is there twice" in fails(*train, "--class-names", "cat,cat")
    assert "cifar needs --data FOLDER" in fails("train", "cifar")


# ---- what else is asked for by mistake


def test_test_rows_that_are_among_the_training_rows(here):
    (here / "p.csv").write_text(people())
    (here / "other.csv").write_text(people().splitlines()[0] + "\n" + "\n".join(people().splitlines()[-3:]) + "\n")
    train = ("train", "p.csv", "--target", "label", *QUICK, "--test")
    assert "note: 120 of 120 test rows are among the training rows" in ok(*train, "p.csv")
    assert "note: 3 of 3 test rows" in ok(*train, "other.csv")
    (here / "other.csv").write_text("id,age,colour,empty,label\n1,101,red,,old\n2,102,blue,,young\n")
    assert "among the training rows" not in ok(*train, "other.csv")


def test_a_flat_folder_of_texts_and_a_folder_for_a_table(here):
    (here / "flat").mkdir()
    for i in range(3):
        (here / "flat" / f"{i}.txt").write_text("a good film")
    assert "flat has texts but no subfolders; expected one for each class" in fails("train", "flat")
    said = fails("predict", ROOT / "tests" / "data" / "format-2-table.pel", "flat")
    assert "flat is a folder, but the model was trained on a table: give a file with its columns" in said
    assert "it was trained on a table" in fails("sample", ROOT / "tests" / "data" / "format-2-table.pel")


@pytest.mark.parametrize(
    "option, said",
    [("--lr", "--learning-rate?"), ("--layers", "--hidden?"), ("--optimizer", "pellucid.Model(net, loss, optimizer)")],
)
def test_options_of_other_programs(here, option, said):
    text = fails("train", "digits", option, "1")
    assert f"no option {option}; " in text and said in text and "(see" in text


# ---- models saved from Python, and models of commands loaded there


def test_models_from_python_say_classes(here):
    x, y = pel.data.digits()
    np.save("x.npy", x[:6])
    model = pel.Model(pel.nn.Dense(10), "cross_entropy", seed=0)
    model.fit(x, y, epochs=2, verbose=0)
    model.save("m.pel")
    found = rows_of(ok("predict", "m.pel", "x.npy"))
    assert list(found[0]) == ["row", "prediction", "probability", *(f"p({c})" for c in range(10))]
    assert [row["prediction"] for row in found] == [str(c) for c in model.predict(x[:6]).argmax(1)]
    assert last(ok("evaluate", "m.pel", "digits")).startswith("accuracy 0.")
    one = pel.Model(pel.nn.Dense(1), "binary_cross_entropy", seed=0)
    one.fit(x, (y > 4).astype(int)[:, None], epochs=1, verbose=0)
    one.save("one.pel")
    found = rows_of(ok("predict", "one.pel", "x.npy"))
    p = one.predict(x[:6])[:, 0]
    assert [float(row["p(1)"]) for row in found] == pytest.approx(p, abs=1e-6)
    assert [row["prediction"] for row in found] == [str(int(v > 0.5)) for v in p]
    hinge = pel.Model(pel.nn.Dense(10), "hinge", input_shape=(64,))
    hinge.save("h.pel")
    assert ok("predict", "h.pel", "x.npy").startswith("row,prediction,score,score(0)")
    values = pel.Model(pel.nn.Dense(2), "mse", input_shape=(64,))
    values.save("v.pel")
    np.save("t.npy", values.predict(x[:6]) + np.float32([0, 1]))
    assert "output 2: MAE 1" in ok("evaluate", "v.pel", "x.npy", "--target", "t.npy")
    assert "expected values of shape (6, 2)" in fails("evaluate", "v.pel", "x.npy", "--target", "x.npy")


def test_models_of_commands_in_python(here):
    """Pixels as `data.digits` gives them; of a table, the file through the preprocessing that is in the model."""
    ok("train", "digits", "--hidden", 8, *QUICK)
    x, _ = pel.data.digits()
    model = pel.load("digits.pel")
    assert model.predict(x[:5]).shape == (5, 10) and model.notes["class_names"] == [str(i) for i in range(10)]
    (here / "p.csv").write_text(people())
    ok("train", "p.csv", "--target", "label", *QUICK)
    model = pel.load("p.pel")
    preprocessing, target = pel.tabular.restore(model)
    found = model.predict(preprocessing.transform(pel.data.read_csv("p.csv"))).argmax(1)
    assert [target.class_names[i] for i in found] == [r["label"] for r in rows_of(ok("predict", "p.pel", "p.csv"))]


def test_every_option_of_train_has_help():
    import click

    from pellucid.cli.train import command

    assert [o.name for o in command.params if isinstance(o, click.Option) and not o.help] == ["dtype"]
