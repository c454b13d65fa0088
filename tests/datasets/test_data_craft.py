"""Splits, classes of different size, outliers, codes for categories."""

import numpy as np
import pytest

from pellucid import DataError, data
from pellucid.data import (
    BinaryCode,
    Dataset,
    OneHotCode,
    OrdinalCode,
    Table,
    as_table,
    balance,
    clip_outliers,
    outliers,
    oversample,
    split,
    undersample,
)

N = 200
X = np.arange(2.0 * N).reshape(N, 2)
CLASSES = np.array([0] * 140 + [1] * 40 + [2] * 20)[np.random.default_rng(0).permutation(N)]


def rows(part: Dataset) -> list[int]:
    return (part.x[:, 0] / 2).astype(int).tolist()


# ---- splits


def test_three_parts_without_overlap_in_the_proportions_of_the_whole():
    parts = split(X, CLASSES, test_size=0.2, validation_size=0.1, seed=3)
    assert [len(part) for part in parts] == [140, 20, 40]
    assert sorted(row for part in parts for row in rows(part)) == list(range(N))
    assert [np.bincount(part.y).tolist() for part in parts] == [[98, 28, 14], [14, 4, 2], [28, 8, 4]]
    assert all((part.y == CLASSES[rows(part)]).all() for part in parts)
    again, other = split(X, CLASSES, seed=3), split(X, CLASSES, seed=4)
    assert rows(again.test) == rows(parts.test) != rows(other.test)


def test_numbers_of_samples_and_parts_that_are_not_wanted():
    train, validation, test = split(X, X[:, 0], test_size=7, validation_size=0)
    assert validation is None and len(test) == 7 and len(train) == N - 7
    train, validation, test = split(X, CLASSES, test_size=0, validation_size=5)
    assert test is None and len(validation) == 5


def test_whole_numbers_that_are_no_classes():
    for counts in (np.arange(30), np.arange(300) % 50):
        train, validation, test = split(counts[:, None], counts)
        assert len(train) + len(validation) + len(test) == len(counts)
    with pytest.raises(DataError, match="stratify=False"):
        split(np.arange(30)[:, None], np.arange(30), stratify=True)


def test_a_group_is_in_one_part():
    groups = np.repeat(np.arange(20), 10)
    parts = split(X, CLASSES, groups=groups)
    held = [set(groups[rows(part)]) for part in parts]
    assert [len(h) for h in held] == [14, 2, 4] and len(set.union(*held)) == 20


def test_time_order():
    train, validation, test = split(X, CLASSES, time_ordered=True)
    assert rows(train) + rows(validation) + rows(test) == list(range(N))


def test_tables_and_frames():
    import pandas

    table = Table({"a": X[:, 0], "b": np.array(["u", "v"] * 100, object)})
    train, _, test = split(table, CLASSES)
    assert (train.x["a"] / 2 == np.round(train.x["a"] / 2)).all() and len(test.x) == 40
    assert "Table of 140 rows" in repr(train)
    frame = pandas.DataFrame({"a": X[:, 0]})
    train, _, test = split(frame, CLASSES)
    assert (CLASSES[(test.x["a"] / 2).astype(int)] == test.y).all()


@pytest.mark.parametrize(
    "options, text",
    [
        ({"y": CLASSES[:5]}, "x has 200 samples and y has 5"),
        ({"groups": [1, 2]}, "groups has 2 labels for 200 samples"),
        ({"groups": np.zeros(N)}, "test_size=0.2 of 1 is less than one"),
        ({"groups": np.arange(N) % 2, "test_size": 1, "validation_size": 1}, "of 2 groups leave none to train on"),
        ({"groups": np.arange(N), "time_ordered": True}, "groups or time_ordered, not both"),
        ({"stratify": True, "time_ordered": True}, "stratify goes neither"),
        ({"test_size": 0.7, "validation_size": 0.3}, "leave none to train on"),
        ({"test_size": 1.5}, "test_size must be a fraction between 0 and 1, or a number of samples, got 1.5"),
        ({"test_size": -3}, "test_size must be a fraction"),
        ({"test_size": True}, "test_size must be a fraction"),
        ({"validation_size": 0.001}, "validation_size=0.001 of 200 is less than one"),
        ({"y": [7, *CLASSES[1:]]}, r"class.*only 1 member.*stratify=False"),
    ],
)
def test_splits_that_cannot_be(options, text):
    with pytest.raises(DataError, match=text):
        split(X, options.pop("y", CLASSES), **options)


# ---- classes of different size


def test_balance():
    found = balance(CLASSES, ["a", "b", "c"])
    assert found.counts == (140, 40, 20) and found.ratio == 7 and found.majority == 0.7 and found.uneven
    assert str(found).startswith("classes: a 140 (70%), b 40 (20%), c 20 (10%); always saying the largest is right for")
    assert not balance([0, 1, 1]).uneven


@pytest.mark.parametrize("make, count", [(oversample, 140), (undersample, 20)])
def test_as_many_of_each(make, count):
    chosen = make(CLASSES, seed=1)
    assert np.bincount(CLASSES[chosen]).tolist() == [count] * 3
    assert (chosen != make(CLASSES, seed=2)).any() and (chosen == make(CLASSES, seed=1)).all()
    if make is oversample:  # none is lost, and none is there more often than needed
        assert set(np.bincount(chosen)[CLASSES == 1]) == {3, 4} and set(np.bincount(chosen)[CLASSES == 0]) == {1}
    else:
        assert len(set(chosen)) == 60


def test_what_are_no_classes():
    for y in ([0.5, 1.0], [[0, 1]], []):
        with pytest.raises(DataError, match="expected"):
            balance(y)


# ---- outliers


def test_outliers_are_told_and_nothing_is_changed():
    column = np.array([*np.linspace(0, 1, 99), 50.0])
    table = Table({"far": column, "same": np.ones(100), "word": np.array(["u"] * 100, object), "gone": column * np.nan})
    for method in ("iqr", "robust_z"):
        found = outliers(table, method)
        (far,) = found.columns
        assert far.name == "far" and far.rows.tolist() == found.rows.tolist() == [99] and far.farthest == 50
    assert str(outliers(np.linspace(0, 1, 9)[:, None])) == "no outliers"
    low, high = np.quantile(column, [0.25, 0.75])
    assert far.low != far.high and outliers(table).columns[0].high == pytest.approx(high + 1.5 * (high - low))
    assert len(outliers(table, "iqr", 1000).columns) == 0
    clipped = clip_outliers(column[:, None])[:, 0]
    assert (clipped[:99] == column[:99]).all() and clipped[99] == outliers(table).columns[0].high
    for options, text in (({"method": "z"}, "method must be 'iqr' or 'robust_z', got 'z'"), ({"threshold": 0}, "> 0")):
        with pytest.raises(DataError, match=text):
            outliers(table, **options)


def test_as_table():
    assert as_table(X, ["a", "b"]).names == ["a", "b"] and as_table(X > 3).kind("x0") == "numbers"
    for wrong, text in ((X[0], r"got shape \(2,\)"), (np.zeros((0, 2)), "0 sample"), (X * 1j, "Complex data")):
        with pytest.raises(DataError, match=text):
            as_table(wrong)
    with pytest.raises(DataError, match="3 names are given for 2 columns"):
        as_table(X, "abc")


# ---- codes


@pytest.mark.parametrize("k", [2, 3, 4, 5, 8, 9, 17])
@pytest.mark.parametrize("make", [OneHotCode, BinaryCode, OrdinalCode])
def test_codes_are_decoded_by_the_nearest(make, k):
    values = [f"c{i}" for i in range(k)]
    code = make(values)
    assert code.nodes == {OneHotCode: k, BinaryCode: int(np.ceil(np.log2(k))), OrdinalCode: 1}[make]
    rows = code.encode(values)
    assert code.decode(rows).tolist() == values and len(np.unique(rows, axis=0)) == k
    signs = np.random.default_rng(k).choice([-1, 1], rows.shape)
    assert code.decode(rows + 0.4 / max(k - 1, 1) * signs).tolist() == values
    noise = np.random.default_rng(k).random((50, code.nodes))
    nearest = np.linalg.norm(noise[:, None] - code.table[None], axis=-1).argmin(axis=1)
    assert code.decode(noise).tolist() == [values[i] for i in nearest]


def test_codes_of_data_and_errors():
    code = BinaryCode.of(np.array([30, 10, 20, 10]))
    assert code.categories == (10, 20, 30) and code.decode(code.encode([20, 30])).tolist() == [20, 30]
    with pytest.raises(DataError, match=r"BinaryCode: 40 \(row 1\) is none of the categories 10, 20, 30"):
        code.encode([10, 40])
    with pytest.raises(DataError, match="rows of 2 numbers"):
        code.decode([0.5, 0.5])
    with pytest.raises(DataError, match="at least two different"):
        OneHotCode("aa")


def test_a_net_with_log2_k_outputs():
    from pellucid import Model, nn, optim

    random = np.random.default_rng(0)
    y = np.array(["a", "b", "c", "d", "e"])[np.arange(300) % 5]
    x = OneHotCode.of(y).encode(y) + 0.1 * random.normal(size=(300, 5))
    code = BinaryCode.of(y)
    model = Model(nn.Dense(code.nodes), "binary_cross_entropy", optim.Adam(0.1))
    model.fit(x, code.encode(y), epochs=20, verbose=0)
    assert code.nodes == 3 and (code.decode(model.predict(x)) == y).mean() > 0.99


@pytest.mark.parametrize(
    "y, said", [([5, 5, 9], ("5", "9")), (["n", "y", "y"], ("n", "y")), ([-1, 0, 1], ("-1", "no", "yes"))]
)
def test_labels_that_are_no_places_among_the_names_stand_for_themselves(y, said):
    found = data.balance(data.Dataset(np.zeros((3, 1)), np.array(y), class_names=["no", "yes"]))
    assert found.names == said
