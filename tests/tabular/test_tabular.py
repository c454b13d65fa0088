"""Tables to arrays: what the target is, which columns are used, the transformers, and how they are kept in a model."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

from pellucid import DataError, Model, data, nn, tabular
from pellucid.data import Table, read_csv
from pellucid.tabular import (
    FittedPreprocessing,
    PreprocessingSpec,
    Preprocessor,
    choose_columns,
    keep_in,
    read_target,
    restore,
    with_target,
)
from pellucid.tabular.transformers import OutlierClipper


def table(**columns) -> Table:
    """Columns of numbers (None or nan: missing) or of text."""
    made = {}
    for name, entries in columns.items():
        text = any(isinstance(entry, str) for entry in entries)
        made[name] = (
            np.array(entries, object) if text else np.array([np.nan if e is None else e for e in entries], float)
        )
    return Table(made, "people.csv")


def trained_on(t: Table, target: str = "y") -> tuple[Model, FittedPreprocessing]:
    """A model with first weights only, with the preprocessing of a table in it."""
    columns = choose_columns(t.drop(target))
    preprocessing = FittedPreprocessing.fit(t, columns)
    aim = read_target(t, target).scaled_on(t[target])
    features = preprocessing.transform(t).shape[1]
    model = Model(nn.Dense(max(len(aim.class_names), 1)), "mse", input_shape=(features,))
    keep_in(model, preprocessing, aim)
    return model, preprocessing


# ---- the target


@pytest.mark.parametrize(
    "entries, task, why, classes",
    [
        (["yes", "no"] * 10, "classification", "is text", ("no", "yes")),
        (["True", "False"] * 10, "classification", "is text", ("False", "True")),
        ([0, 1] * 10, "classification", "two values", ("0", "1")),
        ([0.5, 1.5] * 10, "classification", "two values", ("0.5", "1.5")),
        ([1, 2, 10] * 10, "classification", "few whole numbers", ("1", "2", "10")),
        (list(range(30)) * 10, "regression", "30 different whole numbers", ()),
        ([1, 2, 3, 4, 5], "regression", "5 different whole numbers", ()),
        ([0.1, 0.2, 0.3] * 10, "regression", "not whole", ()),
    ],
)
def test_the_task_is_told_from_the_target(entries, task, why, classes):
    target = read_target(table(y=entries), "y")
    assert (target.task, target.class_names) == (task, classes)
    assert why in target.sentence and target.sentence.startswith(task)


def test_the_task_can_be_said():
    t = table(y=[0, 1, 2] * 10)
    assert read_target(t, "y", "regression").task == "regression"
    assert read_target(table(y=[0.5, 1.5, 2.5] * 9), "y", "classification").class_names == ("0.5", "1.5", "2.5")
    with pytest.raises(DataError, match=r"people.csv: column 'y' holds 'a' in row 1"):
        read_target(table(y=["a", "b"]), "y", "regression")


@pytest.mark.parametrize(
    "entries, error",
    [
        (["a", "a", "a"], "one class only"),
        ([3, 3, None], "'3' in all 2 rows"),
        ([None, None], "missing in all 2 rows"),
        ([1.5, np.inf, 2.5], "infinite in 1 row .row 2."),
        (["a", "b", "c", "d"], "too many to learn classes from"),
        ([*map(str, range(30)), "x"], "holds numbers, but 'x' in row 31"),
    ],
)
def test_a_target_of_no_use(entries, error):
    with pytest.raises(DataError, match=error):
        read_target(table(y=entries), "y")


def test_rows_without_a_target_are_dropped():
    kept, dropped = with_target(table(x=[1, 2, 3], y=["a", None, "b"]), "y")
    assert kept["x"].tolist() == [1, 3] and dropped == 1


def test_encoding_and_decoding():
    t = table(c=["b", "a", None], v=[10.0, 20.0, 30.0])
    classes = read_target(table(c=["b", "a"] * 3), "c")
    assert classes.encode(t["c"]).tolist() == [1, 0, -1]
    with pytest.raises(DataError, match="'z' in row 2, none of the classes a, b"):
        classes.encode(np.array(["a", "z"], object))
    values = read_target(table(v=np.arange(9) / 2), "v").scaled_on(t["v"])
    scaled = values.encode(t["v"])
    assert scaled.mean() == pytest.approx(0) and scaled.std() == pytest.approx(1)
    assert values.decode(scaled[:, None]) == pytest.approx(t["v"])


# ---- the columns


def test_columns_of_no_use_are_left_out_with_the_reason():
    n = 12
    columns = choose_columns(
        table(
            id=range(1, n + 1), code_id=np.arange(n) * 7 + 100, year=range(1990, 1990 + n), age=[20, None, 30] * 4,
            name=[f"person {i}" for i in range(n)], colour=["red", "blue", None] * 4, empty=[None] * n, same=[5] * n,
            word=["x"] * n, cabin=[None] * 9 + ["A1", "B2", "C3"],
        )
    )  # fmt: skip
    assert columns.numbers == ("year", "age") and columns.categories == ("colour", "cabin")
    assert columns.left_out == {
        "id": "numbers the rows",
        "code_id": "an identifier, different in every row",
        "name": "text that differs in almost every row (12 different in 12); --text name learns from its words",
        "empty": "empty in every row",
        "same": "'5' in every row",
        "word": "'x' in every row",
    }


def test_keep_and_drop():
    t = table(id=range(6), a=[1.5, 2, 3, 4, 5, 6], b=["u", "v"] * 3)
    columns = choose_columns(t, keep=["id"], drop=["a"])
    assert columns.numbers == ("id",) and columns.left_out == {"a": "as asked"}
    with pytest.raises(DataError, match="no column 'c'"):
        choose_columns(t, drop=["c"])
    with pytest.raises(DataError, match=r"no column to learn from.*a: as asked"):
        choose_columns(t, drop=["a", "b"])


def test_text_among_numbers():
    ages = [*map(str, range(40)), "abc"]
    with pytest.raises(DataError, match=r"column 'age' holds numbers, but 'abc' in row 41.*--drop age"):
        choose_columns(table(age=ages))
    few = choose_columns(table(grade=["1", "2", "3"] * 10 + ["x"]))
    assert few.categories == ("grade",) and "row 31 holds 'x'" in few.remarks[0]
    with pytest.raises(DataError, match=r"'a' is infinite in 1 row \(row 2\)"):
        choose_columns(table(a=[1, np.inf, 3]))


# ---- the transformers


def test_features():
    t = table(a=[1.0, 3.0, None, 5.0], b=["u", "v", "u", "v"])
    x = FittedPreprocessing.fit(t, choose_columns(t)).transform(t)
    assert x.shape == (4, 4)  # a, a is missing, u, v
    assert x.mean(axis=0)[:2] == pytest.approx([0, 0]) and x.std(axis=0)[:2] == pytest.approx([1, 1])
    assert x[2, 0] == pytest.approx(0)  # the median is the mean here
    assert x[:, 2:].tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]


def test_rare_categories_are_taken_together():
    t = table(b=["u"] * 10 + ["v"] * 10 + ["rare 1", "rare 2"])
    preprocessing = FittedPreprocessing.fit(t, choose_columns(t))
    x = preprocessing.transform(t)
    assert x.shape == (22, 3) and (x[-1] == x[-2]).all()
    new = table(b=["unheard of", "u", None])
    assert (preprocessing.transform(new)[0] == x[-1]).all()
    assert preprocessing.unseen(new) == ["b has 1 value not seen in training, such as 'unheard of' in row 1"]


def test_a_table_to_predict():
    t = table(a=[1.0, 2.0, 4.0, 4.0], b=["1", "x", "1", "x"])
    preprocessing = FittedPreprocessing.fit(t, choose_columns(t))
    x = preprocessing.transform(t)
    more = table(y=["?"] * 2, b=[1, None], extra=[0, 0], a=["2", None])  # the kinds of a column may change
    assert (preprocessing.transform(more)[0, 1:] == x[0, 1:]).all()
    with pytest.raises(DataError, match=r"people.csv lacks the columns a, b, which the model needs.*columns are c"):
        preprocessing.transform(table(c=[1]))
    with pytest.raises(DataError, match=r"people.csv: column 'a' holds 'two' in row 2, expected a number"):
        preprocessing.transform(table(a=["1", "two"], b=["1", "1"]))
    with pytest.raises(DataError, match=r"people.csv: column 'a' is infinite in 1 row \(row 1\)"):
        preprocessing.transform(table(a=[np.inf], b=["1"]))


# ---- kept in the model


def test_kept_in_the_saved_model_without_pickle(tmp_path):
    from pellucid import load

    t = table(a=[1.0, None, 4.0, 5.0] * 3, b=["u", None, "v", "v"] * 3, y=[1.5, 2.5, 3.5, 9.5] * 3)
    model, preprocessing = trained_on(t)
    model.save(tmp_path / "m.pel")
    again, target = restore(load(tmp_path / "m.pel"))
    assert again.transform(t).tolist() == preprocessing.transform(t).tolist()
    assert again.columns == preprocessing.columns and target.mean == pytest.approx(4.25)
    assert model.blobs[tabular.BLOB].dtype == np.uint8 and b"pickle" not in (tmp_path / "m.pel").read_bytes()


def test_other_types_are_not_loaded():
    import json
    import zlib

    model, _ = trained_on(table(a=[1.5, 2.5, 4.5], y=["u", "v", "u"]))
    kept = model.blobs[tabular.BLOB]
    scaler = {"class": "StandardScaler", "attributes": {"dict": []}}
    for thing in ({"class": "Evil"}, {"dict": [["numbers", {"class": "Evil", "attributes": {"dict": []}}]]},
                  {"dict": [["numbers", {"class": "os.system"}]]}, {"dict": [["numbers", scaler]]}, [1, 2], 5, None,
                  {"array": "<f8", "shape": [10**9], "values": []}, {"dict": 5}):  # fmt: skip
        model.blobs[tabular.BLOB] = np.frombuffer(zlib.compress(json.dumps(thing).encode()), np.uint8)
        with pytest.raises(DataError, match="preprocessing"):
            restore(model)
    nested = zlib.compress(b"[" * 10**6)
    for damaged in (kept[: len(kept) // 2], kept[:0], kept[::-1], np.frombuffer(nested, np.uint8)):
        model.blobs[tabular.BLOB] = damaged
        with pytest.raises(DataError, match="damaged"):
            restore(model)
    model.blobs[tabular.BLOB] = kept
    restore(model)
    del model.notes["columns"]
    with pytest.raises(DataError, match="damaged"):
        restore(model)
    with pytest.raises(DataError, match="not trained on a table"):
        restore(Model(nn.Dense(1), "mse"))


def test_models_of_earlier_versions_are_read():
    """Their transformers were kept by skops."""
    import skops.io

    t = table(a=[1.0, None, 4.0, 5.0] * 3, b=["u", None, "v", "v"] * 3, y=[1.5, 2.5, 3.5, 9.5] * 3)
    model, preprocessing = trained_on(t)
    model.blobs[tabular.BLOB] = np.frombuffer(skops.io.dumps(preprocessing.steps), np.uint8)
    assert restore(model)[0].transform(t).tolist() == preprocessing.transform(t).tolist()


def test_a_model_of_a_table_is_read_without_slow_packages(tmp_path):
    import subprocess
    import sys

    model, _ = trained_on(table(a=[1.5, 2.5, 4.5], y=["u", "v", "u"]))
    model.save(tmp_path / "m.pel")
    code = ("import sys; from pellucid import load, tabular; tabular.restore(load(sys.argv[1]));"
            "print([m for m in ('torch', 'skops', 'matplotlib') if m in sys.modules])")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "m.pel"], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_titanic(shared_data):
    t = read_csv(shared_data / "titanic" / "titanic.csv")
    columns = choose_columns(t.drop("Survived"))
    assert columns.names == ("Pclass", "Age", "SibSp", "Parch", "Fare", "Sex", "Cabin", "Embarked")
    assert sorted(columns.left_out) == ["Name", "PassengerId", "Ticket"]
    assert np.isfinite(FittedPreprocessing.fit(t, columns).transform(t)).all()


# ---- other ways to prepare columns


def prepared(t: Table, more: Table | None = None, **how) -> np.ndarray:
    return FittedPreprocessing.fit(t, choose_columns(t), PreprocessingSpec(**how)).transform(
        t if more is None else more
    )


def test_imputation():
    t = table(a=[1.0, 2.0, 2.0, 9.0, None], b=[1.5, 2.0, 2.5, 9.5, 9.0])
    for impute, expected in {"median": 2, "mean": 3.5, "most_frequent": 2, "constant": -1, "neighbors": 9}.items():
        x = prepared(t, impute=impute, scale=None, fill_value=-1, neighbors=1)
        assert x[:4, 0].tolist() == [1, 2, 2, 9] and x[4, 0] == expected, impute
        assert x[:, -1].tolist() == [0, 0, 0, 0, 1]
    assert prepared(t, indicator=False).shape == (5, 2)


def test_scales():
    t = table(a=[1.0, 2.0, 3.0, 5.0, 100.0])
    assert prepared(t, scale="minmax")[:, 0].tolist() == pytest.approx([0, 1 / 99, 2 / 99, 4 / 99, 1])
    assert prepared(t, scale="robust")[:, 0].tolist() == pytest.approx([-2 / 3, -1 / 3, 0, 2 / 3, 97 / 3])
    assert prepared(t, scale=None)[:, 0].tolist() == [1, 2, 3, 5, 100]
    assert prepared(t, scale=None, clip="iqr")[:, 0].tolist() == [1, 2, 3, 5, 9.5]
    clipped = prepared(t, table(a=[-50, None, 4]), scale=None, clip="iqr")
    assert clipped[:, 0].tolist() == [-2.5, 3, 4]


def test_codes_of_categories():
    t = table(c=["red", "green", "blue", "red", None] * 4)
    assert prepared(t, encode="one_hot").shape == (20, 4)
    binary = prepared(t, table(c=["blue", "green", "red", "unheard of", None]), encode="binary")
    assert binary.tolist() == [[0, 1], [1, 0], [1, 1], [0.5, 0.5], [0, 0]]  # (missing), blue, green, red
    ordinal = prepared(t, encode="ordinal", scale=None)
    assert ordinal[:4, 0].tolist() == [2, 1, 0, 2] and ordinal[4].tolist() == [
        1.5,
        1,
    ]  # the median, and that it was missing


def test_a_given_order():
    t = table(size=["S", "L", "M", None] * 3, price=[1.0, 3, 2, 2] * 3)
    fitted = FittedPreprocessing.fit(
        t, choose_columns(t), PreprocessingSpec(order={"size": ["S", "M", "L"]}, scale=None)
    )
    assert fitted.columns.ordered == ("size",) and fitted.columns.categories == ()
    assert fitted.transform(t)[:4].tolist() == [[1, 0, 0], [3, 2, 0], [2, 1, 0], [2, 1, 1]]
    assert fitted.feature_names() == ["price", "size", "missingindicator_size"]
    new = table(size=["XL"], price=[1.0])
    assert fitted.unseen(new) == ["size has 1 value not seen in training, such as 'XL' in row 1"]
    assert fitted.transform(new).tolist() == [[1, 1, 1]]
    grades = table(grade=[1.0, 2, 3] * 5)
    assert prepared(grades, order={"grade": [3, 2, 1]}, scale=None)[:3, 0].tolist() == [2, 1, 0]


@pytest.mark.parametrize("option", ["impute", "scale", "encode", "clip"])
def test_unknown_ways(option):
    with pytest.raises(DataError, match=f"{option} must be one of .*, got 'magic'"):
        PreprocessingSpec(**{option: "magic"})


@pytest.mark.parametrize(
    "how",
    [
        {"impute": "neighbors", "scale": "robust", "encode": "binary", "clip": "iqr"},
        {"scale": "minmax", "encode": "ordinal", "clip": "robust_z"},
        {"scale": None, "order": {"b": ["v", "u"]}},
        {},
    ],
)
def test_all_ways_are_kept_in_the_model(how, tmp_path):
    from pellucid import load

    t = table(a=[1.0, None, 4.0, 5.0] * 3, b=["u", None, "v", "v"] * 3, y=[1.5, 2.5, 3.5, 9.5] * 3)
    dates = np.datetime64("2024-01-01T12:30", "us") + np.arange(12) * np.timedelta64(11, "D")
    dates[5] = np.datetime64("NaT")
    words = np.array([f"some {'red' if i % 2 else 'blue'} thing {i}" for i in range(12)], object)
    t = Table(t.columns | {"d": dates, "t": words}, t.source)
    fitted = FittedPreprocessing.fit(t, choose_columns(t.drop("y"), keep=["t"]), PreprocessingSpec(**how))
    assert fitted.columns.dates == ("d",) and fitted.columns.texts == ("t",)
    model = Model(nn.Dense(1), "mse", input_shape=(fitted.transform(t).shape[1],))
    keep_in(model, fitted, read_target(t, "y").scaled_on(t["y"]))
    model.save(tmp_path / "m.pel")
    again, _ = restore(load(tmp_path / "m.pel"))
    assert again.transform(t).tolist() == fitted.transform(t).tolist() and again.columns == fitted.columns
    assert again.feature_names() == fitted.feature_names()


def test_what_is_missing_is_said():
    t = table(a=[1.0, None, 4.0], b=["u", None, "v"], c=[1.5, 2.5, 3.0])
    said = PreprocessingSpec(impute="most_frequent").filled(t, choose_columns(t, keep=["b"]))
    assert said == (
        "missing: a 1, b 1; numbers are filled with the column's most frequent; a missing category is a category"
    )
    assert PreprocessingSpec().filled(t, choose_columns(t, drop=["a", "b"])) == ""


# ---- the transformer


def test_preprocessor_takes_arrays_frames_and_tables():
    import pandas

    frame = pandas.DataFrame({"age": [20.0, None, 40.0, 30.0], "sex": ["f", "m", "f", "m"]})
    array, t = frame.to_numpy(), table(age=[20.0, None, 40.0, 30.0], sex=["f", "m", "f", "m"])
    expected = Preprocessor().fit_transform(frame)
    assert expected.shape == (4, 4)
    for X in (array, t):
        assert Preprocessor().fit(X).transform(X).tolist() == expected.tolist()
    fitted = Preprocessor().fit(frame)
    assert fitted.get_feature_names_out().tolist() == ["age", "missingindicator_age", "sex_f", "sex_m"]
    assert fitted.feature_names_in_.tolist() == ["age", "sex"] and fitted.n_features_in_ == 2
    with pytest.raises(DataError, match="must be in the same order as they were in fit"):
        fitted.transform(frame[["sex", "age"]])
    with pytest.raises(DataError, match="yet now missing:\n- age"):
        fitted.transform(frame[["sex"]])
    with pytest.raises(DataError, match="X has 1 features, but Preprocessor is expecting 2"):
        Preprocessor().fit(array).transform(array[:, :1])


@parametrize_with_checks([Preprocessor(), OutlierClipper()])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_preprocessor_is_one_of_scikit_learns():
    import pickle

    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    x = np.random.default_rng(0).normal(50, [1, 1000], (60, 2))
    y = (x[:, 0] > 50).astype(int)
    pipe = make_pipeline(Preprocessor(), LogisticRegression())
    search = GridSearchCV(pipe, {"preprocessor__scale": ["standard", None]}, cv=3).fit(x, y)
    assert search.best_params_ == {"preprocessor__scale": "standard"}
    fitted = search.best_estimator_[0]
    assert clone(fitted).get_params() == fitted.get_params()
    assert pickle.loads(pickle.dumps(fitted)).transform(x).tolist() == fitted.transform(x).tolist()
    assert list(Preprocessor().set_output(transform="pandas").fit_transform(x).columns) == ["x0", "x1"]
    assert np.allclose(Preprocessor().fit_transform(x), (x - x.mean(0)) / x.std(0))


def test_ordered_categories_of_a_frame_keep_their_order():
    import pandas

    frame = pandas.DataFrame({"size": pandas.Categorical(["S", "L", "M"], ["S", "M", "L"], ordered=True)})
    assert Preprocessor(scale=None).fit_transform(frame)[:, 0].tolist() == [0, 2, 1]
    with pytest.raises(DataError, match="no column 'sise'; did you mean 'size'"):
        Preprocessor(order={"sise": ["S"]}).fit(frame)


def test_report():
    x = np.array([*np.linspace(0, 1, 19), 50.0, np.nan])[:, None]
    said = Preprocessor().fit(x).report(x)
    assert said[0] == "missing: x0 1; numbers are filled with the column's median"
    assert said[1].startswith("outliers: x0: 1 value outside") and "the farthest 50 (rows 19)" in said[1]
    assert Preprocessor().fit(x[:10]).report(x[:10]) == []


# ---- columns by name, whatever their dtypes


def mixed_frame(n: int = 12):
    """A column of each dtype that a table may have."""
    import pandas

    rng = np.random.default_rng(0)
    word = rng.choice(["red", "green"], n)
    frame = {
        "float": rng.normal(size=n), "int": rng.integers(0, 9, n), "bool": rng.random(n) < 0.5,
        "str": pandas.array(word, "str"), "string": pandas.array(word, "string"), "object": np.array(word, object),
        "category": pandas.Categorical(word), "numbered": pandas.Categorical(rng.choice([101, 205], n)),
        "truth": pandas.Categorical(rng.random(n) < 0.5), "ordered": pandas.Categorical(word, ordered=True),
        "date": pandas.date_range("2024-01-01", periods=n, freq="37h"),
        "Int": pandas.array([None, *range(n - 1)], "Int64"),
        "boolean": pandas.array([None, *[True, False] * n][:n], "boolean"),
        "text": [f"a {w} thing, number {i}" for i, w in enumerate(word)],
    }  # fmt: skip
    return pandas.DataFrame(frame)


@given(st.permutations(list(mixed_frame(3).columns)), st.integers(1, 5), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_columns_by_name_on_every_dtype(order, k, random):
    """The same names in the same order are right; in another order, missing or new they are refused."""
    frame = mixed_frame()[order[:k]]
    fitted = Preprocessor().fit(frame)
    expected = fitted.transform(frame)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(fitted.transform(frame.copy()), expected)
    np.testing.assert_array_equal(fitted.transform(frame.iloc[3:5]), expected[3:5])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):  # what shap passes
        np.testing.assert_array_equal(fitted.transform(frame.astype(object).to_numpy()), expected)
    shuffled = random.sample(order[:k], k)
    if shuffled != order[:k]:
        with pytest.raises(DataError, match="must be in the same order as they were in fit"):
            fitted.transform(frame[shuffled])
    with pytest.raises(DataError, match=f"unseen at fit time:\n- new\n.*yet now missing:\n- {order[0]}\n"):
        fitted.transform(frame.rename(columns={order[0]: "new"}))
    with pytest.raises(DataError, match="unseen at fit time:\n- more"):
        fitted.transform(frame.assign(more=1))


KINDS = [("bool", "int"), ("int", "bool"), ("int", "object"), ("int", "float"), ("category", "object"),
         ("string", "category"), ("object", "string")]  # fmt: skip


@pytest.mark.parametrize("first, later", KINDS)
def test_other_dtypes_than_at_fit(first, later):
    """What is in a column decides, not how it is stored; and names are checked all the same."""
    import pandas

    entries = [1, 0, 0, 1] if first in ("bool", "int") else ["b", "a", "a", "b"]
    frame = pandas.DataFrame({"c": pandas.Series(entries).astype(first), "d": [1.5, 2.5, 3.5, 4.5]})
    fitted = Preprocessor().fit(frame)
    changed = frame.assign(c=pandas.Series(entries).astype(later))
    np.testing.assert_array_equal(fitted.transform(changed), fitted.transform(frame))
    with pytest.raises(DataError, match="same order"):
        fitted.transform(changed[["d", "c"]])


def test_categories_of_numbers_are_categories():
    import pandas

    frame = pandas.DataFrame({"c": pandas.Categorical([101, 205] * 5)})
    assert Preprocessor().fit(frame).get_feature_names_out().tolist() == ["c_101", "c_205"]
    one = np.tile([[1.0, 0.0], [0.0, 1.0]], (5, 1))
    assert Preprocessor().fit_transform(frame).tolist() == one.tolist()
    assert Preprocessor(encode="binary").fit_transform(frame).ravel().tolist() == [0, 1] * 5


def test_a_column_all_missing_at_predict():
    import pandas

    frame = pandas.DataFrame({"n": [1.0, 2, 3, 4], "c": ["a", "b", "a", "b"],
                              "d": pandas.to_datetime(["2024-01-01", "2024-01-02"] * 2)})  # fmt: skip
    fitted = Preprocessor().fit(frame)
    for nothing in (None, np.nan, pandas.NA, pandas.NaT):
        empty = pandas.DataFrame({name: np.array([nothing] * 2, object) for name in frame})
        x = fitted.transform(empty)
        assert np.isfinite(x).all() and x[:, 1:3].tolist() == [[0, 0], [0, 0]]


def test_large_whole_numbers_are_names():
    import pandas

    ids = 2**60 + np.arange(2)
    frame = pandas.DataFrame({"id": np.repeat(ids, 4), "n": np.arange(8.0)})
    for X in (frame, np.repeat(ids, 4)[:, None]):
        x = Preprocessor(scale=None).fit_transform(X)
        assert x.shape[1] >= 2 and len(np.unique(x[:, -2:], axis=0)) == 2
    with pytest.warns(UserWarning, match="left out of the features: id: text that differs in almost every row"):
        fitted = Preprocessor().fit(pandas.DataFrame({"id": 2**60 + np.arange(8), "n": np.arange(8.0)}))
    assert fitted.get_feature_names_out().tolist() == ["n"]


def test_dates_are_features():
    """A target that depends on the day of the week, and one on the time since, can be learnt from a date."""
    import pandas
    from sklearn.linear_model import LinearRegression

    dates = pandas.date_range("2023-01-01", periods=400, freq="D")
    frame = pandas.DataFrame({"date": dates})
    weekend, since = (dates.day_of_week >= 5).astype(float), np.arange(400.0)
    for X in (frame, frame.to_numpy(), frame.astype(object), frame.assign(date=dates.tz_localize("Asia/Tokyo"))):
        x = Preprocessor().fit_transform(X)
        assert np.isfinite(x).all() and (x.std(axis=0) > 0.5).all()
        assert LinearRegression().fit(x, since).score(x, since) > 0.999
        assert LinearRegression().fit(x, weekend).score(x, weekend) > 0.5
    names = Preprocessor().fit(frame).get_feature_names_out().tolist()
    assert names == [f"date_{part}" for part in ("days", "year", "month", "day", "weekday", "year_sin", "year_cos",
                                                 "week_sin", "week_cos")]  # fmt: skip
    gone = frame.mask((np.arange(400) % 7 == 0)[:, None])
    x = Preprocessor().fit_transform(gone)
    assert np.isfinite(x).all() and len(np.unique(x[:, names.index("date_week_cos") + 1])) == 2
    with pytest.raises(DataError, match="column 'date' holds 'soon' in row 1, expected a date"):
        Preprocessor().fit(frame).transform(pandas.DataFrame({"date": ["soon"]}))


def test_free_text_is_a_bag_of_words_or_left_out_by_name():
    import pandas

    rng = np.random.default_rng(0)
    good = rng.random(60) < 0.5
    text = [f"{'lovely' if g else 'awful'} weather in town {i}" for i, g in enumerate(good)]
    names = [f"name{i}" for i in range(60)]
    frame = pandas.DataFrame({"text": text, "name": names, "n": rng.normal(size=60)})
    with pytest.warns(UserWarning, match=r"left out of the features: name: text that differs in almost every row \(60"):
        fitted = Preprocessor().fit(frame)
    made = fitted.get_feature_names_out().tolist()
    assert made == ["n", "text_awful", "text_in", "text_lovely", "text_town", "text_weather"]
    assert ((fitted.transform(frame)[:, made.index("text_lovely")] > 0) == good).all()
    assert (fitted.transform(frame.assign(text=None))[:, 1:] == 0).all()
    with pytest.raises(DataError, match=r"no column to learn from .name: text that differs"):
        Preprocessor().fit(frame[["name"]])
    kept = choose_columns(data.from_frame(frame), keep=["text"])
    assert kept.texts == ("text",) and list(kept.left_out) == ["name"]


def test_numbers_too_large_to_compute_with():
    t = table(a=[1.5, 2.0, 3.0])
    fitted = FittedPreprocessing.fit(t, choose_columns(t))
    for value in (1e300, -1e39):
        with pytest.raises(DataError, match=r"column 'a' holds -?1e\+.* in row 2, too large a number"):
            fitted.transform(table(a=[1, value]))
    tiny = table(a=[1e-10, 2e-10, 3e-10])
    with pytest.raises(DataError, match=r"a is 1.2.*e\+40 in row 1 after scaling, too far from the training rows"):
        FittedPreprocessing.fit(tiny, choose_columns(tiny)).transform(table(a=[1e30]))
    with pytest.raises(DataError, match=r"column 'y' holds 5e.201 in row 3"):
        read_target(table(y=[1.5, 2.5, 50e200]), "y")
