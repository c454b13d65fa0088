"""pellucid.data: real files where they are there, and damaged ones, each with its clear error."""

import gzip
import re
import struct
import sys
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid import ArgumentError, data
from pellucid.data import DataError, Dataset, Table
from pellucid.data.tablefile import names_of


def fails(call, *parts):
    """The call raises a DataError whose message has all these parts."""
    with pytest.raises((ArgumentError, DataError)) as caught:
        call()
    for part in parts:
        assert str(part) in str(caught.value), f"{part!r} is not in: {caught.value}"


# Dataset


def test_dataset_unpacks_and_shows_itself():
    dataset = Dataset(np.zeros((5, 3), np.float32), np.arange(5.0), name="five")
    x, y = dataset
    assert x is dataset.x and y is dataset.y and len(dataset) == 5
    assert repr(dataset) == "Dataset 'five': x (5, 3) float32, y (5,) float64"


def test_dataset_of_unequal_lengths():
    fails(lambda: Dataset(np.zeros((5, 3)), np.zeros(4), name="odd"), "odd", "5 samples", "4")


def test_split_is_a_partition_with_the_same_classes():
    whole = data.digits()
    train, test = whole.split(test_size=0.2, seed=3)
    assert (len(train), len(test)) == (1437, 360)
    rows = np.concatenate([train.x, test.x])
    assert sorted(map(bytes, rows)) == sorted(map(bytes, whole.x))
    shares = [np.bincount(part.y) / len(part) for part in (train, test)]
    np.testing.assert_allclose(*shares, atol=0.004)
    assert train.class_names == whole.class_names and train.feature_names == whole.feature_names


def test_split_depends_on_the_seed_alone():
    splits = [data.digits().split(seed=seed)[1].y for seed in (1, 1, 2)]
    assert np.array_equal(splits[0], splits[1]) and not np.array_equal(splits[0], splits[2])


def test_split_keeps_x_and_y_together():
    dataset = Dataset(np.arange(50.0)[:, None], np.arange(50.0))  # a target of real numbers is not stratified
    for part in dataset.split(test_size=10):
        assert np.array_equal(part.x[:, 0], part.y)
    assert len(dataset.split(test_size=10)[1]) == 10


def test_split_that_is_impossible():
    fails(lambda: data.xor().split(0.25), "'xor'", "4 samples", "stratify=False")
    assert [len(part) for part in data.xor().split(0.25, stratify=False)] == [3, 1]
    fails(lambda: data.digits().split(1.5), "'digits'", "test_size=1.5")


# sets that need no file


def test_digits():
    flat, pictures = data.digits(), data.digits(images=True)
    assert flat.x.shape == (1797, 64) and flat.x.dtype == np.float32 and flat.y.dtype == np.int64
    assert flat.x.min() == 0 and flat.x.max() == 1 and set(flat.y) == set(range(10))
    assert pictures.x.shape == (1797, 1, 8, 8) and pictures.x.flags.c_contiguous
    assert np.array_equal(pictures.x.reshape(1797, 64), flat.x)
    assert flat.class_names == tuple("0123456789") and len(flat.feature_names) == 64


def test_xor():
    x, y = data.xor()
    assert np.array_equal(y, (x[:, 0] != x[:, 1]))


TOYS = [(data.moons, 2), (data.circles, 2), (data.spirals, 2), (data.blobs, 3)]


@pytest.mark.parametrize("toy, classes", TOYS)
def test_toys(toy, classes):
    dataset = toy(101, seed=4)
    assert dataset.x.shape == (101, 2) and dataset.x.dtype == np.float32 and dataset.y.dtype == np.int64
    counts = np.bincount(dataset.y)
    assert len(counts) == classes == len(dataset.class_names) and np.ptp(counts) <= 1
    assert np.array_equal(dataset.x, toy(101, seed=4).x) and not np.array_equal(dataset.x, toy(101, seed=5).x)


@pytest.mark.parametrize("toy, classes", TOYS)
def test_toys_refuse_nonsense(toy, classes):
    fails(lambda: toy(1), toy.__name__, "n=1", f"{classes} classes")
    fails(lambda: toy(100, noise=-1), toy.__name__, "noise=-1")
    fails(lambda: toy(100, noise=float("nan")), toy.__name__, "noise=nan")


def test_spirals_lie_on_their_arms():
    x, y = data.spirals(300, noise=0.0, arms=3, turns=1.5)
    radius = np.hypot(x[:, 0], x[:, 1])
    angle = 2 * np.pi * (1.5 * radius + y / 3)
    np.testing.assert_allclose(x, radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1), atol=1e-5)
    fails(lambda: data.spirals(10, arms=0), "spirals", "0 classes")


def test_circles_and_blobs_have_the_given_noise():
    x, y = data.circles(2000, noise=0.1)
    assert abs(np.hypot(*x[y == 0].T).mean() - 1) < 0.02
    x, y = data.blobs(3000, noise=0.5, classes=1)
    np.testing.assert_allclose(x.std(0), 0.5, rtol=0.05)


# idx files

CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx_bytes(array) -> bytes:
    array = np.asarray(array)
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, CODES[array.dtype.name], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("shape", [(7,), (2, 3, 4), (0, 5)])
@pytest.mark.parametrize("packed", [False, True])
def test_idx_round_trip(dtype, shape, packed, tmp_path):
    array = (np.random.default_rng(0).normal(0, 60, shape)).astype(np.int8).astype(dtype)
    raw = idx_bytes(array)
    path = tmp_path / "numbers"  # gzip is told from the content
    path.write_bytes(gzip.compress(raw) if packed else raw)
    read = data.idx(path)
    assert read.dtype == array.dtype and read.dtype.isnative and read.flags.writeable
    np.testing.assert_array_equal(read, array)


RAW = idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 4))  # 12 bytes of header, 12 of numbers
DAMAGED = {
    "empty": (b"", ["not an idx file", "empty"]),
    "short": (b"\0\0", ["not an idx file", "00 00"]),
    "text": (b"hello world", ["not an idx file", "68 65 6c 6c", "expected 00 00"]),
    "unknown type": (b"\0\0\x0a\1" + RAW[4:], ["not an idx file", "00 00 0a 01", "08, 09, 0b, 0c, 0d, 0e"]),
    "no dimensions": (b"\0\0\x08\0" + RAW[4:], ["not an idx file", "number of dimensions"]),
    "too many dimensions": (b"\0\0\x08\xff" + RAW[4:], ["not an idx file", "number of dimensions"]),
    "header cut": (RAW[:9], ["truncated", "9 bytes", "2 dimensions", "takes 12"]),
    "truncated": (RAW[:-1], ["truncated", "23 bytes", "expected 24", "uint8 of shape (3, 4)"]),
    "trailing": (RAW + b"\0\0", ["trailing", "26 bytes", "expected 24"]),
    "nothing of a huge size": (b"\0\0\x0e\3" + bytes(4) + b"\xff" * 8, ["no array can have", "(0, 4294967295, 42949"]),
    "huge": (b"\0\0\x0e\3" + b"\xff" * 12, ["truncated", "16 bytes", "(4294967295, 4294967295, 4294967295)"]),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_idx(name, packed, tmp_path):
    raw, parts = DAMAGED[name]
    path = tmp_path / "damaged-idx2-ubyte"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    fails(lambda: data.idx(path), path, *parts)


def test_damaged_gzip(tmp_path):
    packed = gzip.compress(RAW * 50)
    path = tmp_path / "x.gz"
    damaged = [packed[:-12], packed[:5], packed[:20] + b"\xff\xff\xff" + packed[23:], packed[:-8] + bytes(8)]
    for content in damaged:
        path.write_bytes(content)
        fails(lambda: data.idx(path), path, "damaged gzip")


def test_idx_that_is_not_there(tmp_path):
    fails(lambda: data.idx(tmp_path / "none"), tmp_path / "none", "no such file")
    fails(lambda: data.idx(tmp_path), tmp_path, "cannot be read")


@pytest.mark.parametrize("dot", "-.")
@pytest.mark.parametrize("end", ["", ".gz"])
def test_mnist_names(dot, end, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    labels = np.array([3, 1, 4, 1, 5], np.uint8)
    pack = gzip.compress if end else bytes
    for start, shift in [("train", 0), ("t10k", 1)]:
        (tmp_path / f"{start}-images{dot}idx3-ubyte{end}").write_bytes(pack(idx_bytes(images)))
        (tmp_path / f"{start}-labels{dot}idx1-ubyte{end}").write_bytes(pack(idx_bytes(labels + np.uint8(shift))))
    flat = data.mnist(tmp_path)
    assert flat.x.shape == (5, 784) and flat.x.dtype == np.float32 and flat.name == "mnist train"
    np.testing.assert_array_equal(flat.x, images.reshape(5, 784).astype(np.float32) / np.float32(255))
    assert flat.y.tolist() == [3, 1, 4, 1, 5] and flat.y.dtype == np.int64 and len(flat.class_names) == 10
    test = data.mnist(str(tmp_path), "test", images=True)
    assert test.x.shape == (5, 1, 28, 28) and test.y.tolist() == [4, 2, 5, 2, 6]


def test_mnist_errors(tmp_path):
    images, labels = tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte"
    fails(lambda: data.mnist(tmp_path, "valid"), "'valid'", "'train' or 'test'")
    fails(lambda: data.mnist(tmp_path / "none"), tmp_path / "none", "no such folder", "train-images-idx3-ubyte.gz")
    names = ["train-images-idx3-ubyte", "train-images.idx3-ubyte", "train-images-idx3-ubyte.gz"]
    fails(lambda: data.mnist(tmp_path), tmp_path, "none of these files", *names)
    images.write_bytes(idx_bytes(np.zeros((4, 28, 28), np.uint8)))
    fails(lambda: data.mnist(tmp_path), tmp_path, "train-labels.idx1-ubyte")
    labels.write_bytes(idx_bytes(np.zeros(3, np.uint8)))
    fails(lambda: data.mnist(tmp_path), images, "4 images", labels, "3 labels")
    labels.write_bytes(idx_bytes(np.zeros((4, 1), np.uint8)))
    fails(lambda: data.mnist(tmp_path), labels, "(4, 1)", "1 dimension")
    images.write_bytes(idx_bytes(np.zeros((4, 28, 28), np.float32)))
    fails(lambda: data.mnist(tmp_path), images, "float32", "expected uint8")
    images.write_bytes(idx_bytes(np.zeros((0, 28, 28), np.uint8)))
    labels.write_bytes(idx_bytes(np.zeros(0, np.uint8)))
    fails(lambda: data.mnist(tmp_path), images, "no pixels")


def test_real_mnist(shared_data):
    counts = {
        "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    }
    for part, expected in counts.items():
        x, y = data.mnist(shared_data / "mnist", part)
        assert x.shape == (sum(expected), 784) and np.bincount(y).tolist() == expected
        assert x.min() == 0 and x.max() == 1
    x, y = data.mnist(shared_data / "mnist")
    assert y[:5].tolist() == [5, 0, 4, 1, 9]
    assert abs(x.mean() - 0.1307) < 5e-5  # the published mean and standard deviation of the training pixels
    assert abs(x.std(dtype=np.float64) - 0.3081) < 5e-5


# tables


@pytest.fixture
def csv(tmp_path):
    """Writes text (or bytes) to a CSV file and gives its path."""

    def write(content):
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_read_csv(csv):
    table = data.read_csv(csv('a,b, c ,d\n1,x,"y, z",\n 2.5 ,NA,"say ""hi""",null\n-1e3,?,two words,nan\n'))
    assert table.names == ["a", "b", "c", "d"] and len(table) == 3
    assert table["a"].dtype == np.float64 and table["a"].tolist() == [1, 2.5, -1000]
    assert table["b"].tolist() == ["x", "NA", "?"] and table["b"].dtype == object
    assert table["c"].tolist() == ["y, z", 'say "hi"', "two words"]
    assert table.kind("d") == "numbers" and np.isnan(table["d"]).all()
    assert [table.kind(name) for name in table.names] == ["numbers", "categories", "categories", "numbers"]


@pytest.mark.parametrize("text", ["", "NA", "NaN", "nan", "null", "?", "  ", " ? ", "N/A", "#N/A", "NULL", "-", "."])
def test_missing_entries(csv, text):
    """A word for "missing" is one among numbers and dates, which is said; text stays what it was."""
    table = data.read_csv(csv(f"n,c,d\n1,a,2020-01-31\n{text},{text},{text}\n"))
    assert np.isnan(table["n"][1]) and np.isnat(table["d"][1])
    word = text.strip()
    assert table["c"].tolist() == ["a", word or None]
    assert table.remarks == ((f"taken as missing: {word!r} in n (1), d (1)",) if word else ())


def test_words_that_mean_missing_can_be_said(csv):
    path = csv("n,c\n1,NA\n-999,none\n2,-999\n")
    table = data.read_csv(path, missing=["-999", "none"])
    np.testing.assert_array_equal(table["n"], [1, np.nan, 2])
    assert table["c"].tolist() == ["NA", None, None]
    assert data.read_csv(csv("n\n1\nNA\n"), missing=["-"]).kind("n") == "categories"


IDENTIFIERS = [str(2**53 + i) for i in range(1, 6)]


@pytest.mark.parametrize(
    "entries",
    [IDENTIFIERS, ["-" + text for text in IDENTIFIERS], ["01", "02", "10"], ["007", "5.5"], ["+01", "2"], ["-05", "1"],
     ["00", "0"], ["123456789012345678901234567891", "1"]],
)  # fmt: skip
def test_text_that_says_more_than_its_number_stays_text(csv, entries):
    """Leading zeros, and whole numbers that float64 does not have; wherever in the file they come."""
    for before in (0, 5000):
        path = csv("c\n" + "1\n" * before + "\n".join(entries) + "\n")
        table = data.read_csv(path)
        assert table["c"].tolist() == ["1"] * before + entries
        numbers = data.read_csv(path, numeric=["c"])["c"]
        np.testing.assert_array_equal(numbers, [float(text) for text in table["c"]])
    for fine in (str(2**53), str(2**60), "0", "0.5", "-0.5", "0", "1e300", "12345678901234567890.5"):
        assert data.read_csv(csv(f"c\n{fine}\n1\n"))["c"].tolist() == [float(fine), 1]


def test_columns_are_what_is_said(csv):
    path = csv("a,b,c\n1,01,3.4.2021\n2,2,\n")
    table = data.read_csv(path, categorical=["a"], numeric=["b"], dates={"c": "%d.%m.%Y"})
    assert table["a"].tolist() == ["1", "2"] and table["b"].tolist() == [1, 2]
    assert table["c"][0] == np.datetime64("2021-04-03") and np.isnat(table["c"][1]) and table.kind("c") == "dates"
    fails(lambda: data.read_csv(path, dates=["c"]), "column 'c' holds '3.4.2021' in row 1, expected a date (ISO 8601")
    fails(lambda: data.read_csv(path, numeric=["c"]), "column 'c' holds '3.4.2021' in row 1, expected a number")
    fails(lambda: data.read_csv(path, numeric=["cc"]), "no column 'cc'", "did you mean 'c'?")
    fails(lambda: data.read_csv(path, numeric=["c"], dates=["c"]), "column 'c' is said to be of two kinds")
    fails(lambda: data.read_csv(path, categorical="a"), "must be a list of columns, for example ['a']")
    fails(lambda: data.read_csv(path, decimal=",", thousands=","), "decimal and thousands are both ','")


@pytest.mark.parametrize("text, date", [
    ("2020-02-29", "2020-02-29"), ("2020/02/29", "2020-02-29"), ("2020-02-29 13:45", "2020-02-29T13:45"),
    ("2020-02-29T13:45:01.5", "2020-02-29T13:45:01.5"), ("2020-02-29T13:45+02:00", "2020-02-29T11:45"),
    ("2020-02-29T13:45:00Z", "2020-02-29T13:45"), ("2021-02-29", None), ("20200229", None), ("2020-02", None),
    ("2020-02-29 noon", None),
])  # fmt: skip
def test_dates(csv, text, date):
    column = data.read_csv(csv(f"d\n2020-01-01\n{text}\n"))["d"]
    assert column[1] == (text if date is None else np.datetime64(date))


@given(st.lists(st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr), st.floats(-1e6, 1e6).map(lambda v: f"{v:.6f}"),
    st.integers().map(str), st.integers(0, 10**19).map(lambda v: f"{v:019}"), st.text("0123456789.-+e ", max_size=22),
    st.decimals(-10, 10, places=18).map(str), st.sampled_from(["", "-", ".", "5.", ".5", "-0.0", "1.2.3", "7é", "0"]),
), min_size=1, max_size=50))  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_blocks_are_read_as_python_reads_their_fields(texts):
    """Numbers that are found in blocks of bytes are those of `float`, to the last bit; others are named."""
    from pellucid.data.numerals import Fields

    fields = Fields.of("".join(f"{text};x\n" for text in texts).encode(), ";", 2)
    (values,), (odd,) = fields.numbers([0])
    others = np.flatnonzero(odd)
    assert fields.texts(0) == texts and fields.texts(0, others) == [texts[i] for i in others]
    for i in {*range(len(texts))} - {*others.tolist()}:
        expected = float(texts[i] or "nan")
        assert repr(values[i].item()) == repr(expected), texts[i]
        assert not re.match("-?0[0-9]", texts[i]), "leading zeros are looked at"


def test_lines_with_and_without_quotes_give_the_same(csv):
    """What the fast way reads and what is read field by field."""
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=9000).astype(str), rng.integers(0, 99, 9000).astype(str),
               rng.choice(["red", " é ", ""], 9000),
               rng.choice(["NA", "1.5", "", "-2e3", " 7"], 9000), np.r_[["1"] * 8000, ["01"] * 1000]]  # fmt: skip
    lines = [",".join(row) for row in zip(*columns, strict=True)]
    quoted = ['"' + line.replace(",", '","') + '"' for line in lines]
    plain = data.read_csv(csv("\n".join(["a,b,c,d,e", *lines])))
    for body in (quoted, [*lines[:5000], *quoted[5000:]], [line + "\r" for line in lines], [*lines, "", ""]):
        table = data.read_csv(csv("\n".join(["a,b,c,d,e", *body])))
        assert table.remarks == plain.remarks and table.names == plain.names
        for name in plain.names:
            np.testing.assert_array_equal(table[name], plain[name])
    np.testing.assert_array_equal(plain["a"], columns[0].astype(float))
    assert [plain.kind(name) for name in plain.names] == ["numbers", "numbers", "categories", "numbers", "categories"]


DIALECTS = {
    "space before a quote": ('a, "b c",d\n1,  "x, y",2\n', {}, {"a": [1], "b c": ["x, y"], "d": [2]}),
    "sep line": ("sep=;\na;b\n1;2,5\n", {"decimal": ","}, {"a": [1], "b": [2.5]}),
    "quoted sep line": ('"sep=|"\r\na|b\r\n1|x\r\n', {}, {"a": [1], "b": ["x"]}),
    "decimal comma": ("a;b\n1,5;1.234,5\n-2;-12.345\n", {"delimiter": ";", "decimal": ",", "thousands": "."},
                      {"a": [1.5, -2], "b": [1234.5, -12345]}),
    "thousands": ('a\n"1,234"\n"12,345,678.5"\n7\n', {"thousands": ","}, {"a": [1234, 12345678.5, 7]}),
    "not thousands": ('a\n"1,23"\n"12,34,5678"\n', {"thousands": ","}, {"a": ["1,23", "12,34,5678"]}),
    "spaces": ("a\n1 234\n56 789\n", {"thousands": " "}, {"a": [1234, 56789]}),
    "money": ('a,b,c\n$5,"-$1,200.50",7 €\n$ 6.25,£3,€8\n', {}, {"a": [5, 6.25], "b": [-1200.5, 3], "c": [7, 8]}),
    "per cent": ("a\n12%\n3.5 %\n", {}, {"a": [0.12, 0.035]}),
    "one column": ("a\n\n1\n\n3\n\n\n", {}, {"a": [np.nan, 1, np.nan, 3]}),
    "quotes in a tab-separated file": ('a\tb\n5" pipe\t"x\n"y\tz"\n', {"delimiter": "\t"},
                                       {"a": ['5" pipe', '"y'], "b": ['"x', 'z"']}),
    "quoted tabs": ('a\tb\n"x\ty"\t1\n', {"delimiter": "\t"}, {"a": ["x\ty"], "b": [1]}),
}  # fmt: skip


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects(csv, name):
    content, options, columns = DIALECTS[name]
    table = data.read_csv(csv(content), **options)
    assert table.names == list(columns)
    for column, entries in columns.items():
        np.testing.assert_array_equal(table[column], np.array(entries, table[column].dtype))


@pytest.mark.parametrize("packing", ["gzip", "lzma", "bz2", "zip"])
def test_packed_tables(csv, packing):
    import importlib
    import io
    import zipfile

    content = b"a,b\n1,x\n2,y\n"
    if packing == "zip":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("__MACOSX/._t.csv", "")
            archive.writestr("t.csv", content * 20)
        packed = file.getvalue()
        archive = zipfile.ZipFile(io.BytesIO(), "w")
        archive.writestr("a.csv", content), archive.writestr("b.csv", content)
        two = archive.fp
        archive.close()
        path = csv(two.getvalue())
        fails(lambda: data.read_csv(path), "zip file of 2 files (a.csv, b.csv)", "expected one")
    else:
        packed = importlib.import_module(packing).compress(content * 20)
    table = data.read_csv(csv(packed))
    assert table["b"].tolist()[:2] == ["x", "y"] and len(table) == 59
    for cut in range(8, len(packed)):
        path = csv(packed[:cut])
        fails(lambda path=path: data.read_csv(path), path)


@pytest.mark.parametrize("text", ["1_000", "12a", "0x1f", "1,5", "--3", "yes"])
def test_not_a_number(csv, text):
    assert data.read_csv(csv(f'n\n1\n"{text}"\n'))["n"].tolist() == ["1", text]


def test_line_ends_byte_order_mark_and_blank_lines(csv):
    for content in ["a,b\r\n1,2\r\n\r\n3,4\r\n", "\ufeffa,b\n1,2\n3,4", "\n\na,b\n1,2\n\n3,4\n\n\n", "a,b\r1,2\r3,4"]:
        table = data.read_csv(csv(content))
        assert table.names == ["a", "b"] and table["a"].tolist() == [1, 3] and table["b"].tolist() == [2, 4]


def test_fields_over_lines_and_odd_characters(csv):
    table = data.read_csv(csv('a,b\n"one\ntwo",1\n"x\u2028y\x0cz",2\nÄ,3\n'))
    assert table["a"].tolist() == ["one\ntwo", "x\u2028y\x0cz", "Ä"]


@pytest.mark.parametrize(
    "text, said",
    [
        ("start,end\n2020-01-01,2020-02-01\n", False),
        ("2020-01-01,2020-02-01\n2020-01-02,2020-02-02\n", True),
        ("2020-01-01,n\n2020-01-02,5\n", False),
        ("2020-01-01,7\n2020-01-02,5\n", True),
    ],
)
def test_only_names_that_are_dates_look_like_dates(csv, text, said):
    remarks = data.read_csv(csv(text)).remarks
    assert any("looks like data" in remark for remark in remarks) is said


@pytest.mark.parametrize("read", [data.read_table, data.read_csv])
def test_tsv_is_separated_by_tabs(tmp_path, read):
    path = tmp_path / "t.TSV"
    path.write_text("town\tsize\nBern, BE\t5\n")
    assert read(path)["town"].tolist() == ["Bern, BE"] and names_of(path) == ["town", "size"]
    path.write_text("a,b\n1,2\n")
    assert read(path, ",").names == ["a", "b"]
    path.write_text("sep=;\na;b\n1;2\n")
    assert read(path).names == ["a", "b"]


@pytest.mark.parametrize("name", ["t.xls", "t.ods"])
def test_old_workbooks(tmp_path, name):
    for read in (data.read_table, names_of):
        with pytest.raises(DataError, match="there is no such file"):
            read(tmp_path / name)
    (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0" * 9)
    for read in (data.read_table, names_of):
        with pytest.raises(DataError, match=r"files are not read; save it as \.xlsx, or as CSV"):
            read(tmp_path / name)


def test_arff_beyond_ascii(tmp_path):
    path = tmp_path / "t.arff"
    head = "@relation r\n@attribute größe numeric\n@attribute ort {Zürich,'Genève lac',x\\y,東京}\n@data\n"
    path.write_text(head + "2,'Genève lac'\n1,Zürich\n?,東京\n4,?\n5,x\\y\n", encoding="utf-8")
    table = data.read_table(path)
    assert table.names == ["größe", "ort"] and np.isnan(table["größe"][2])
    assert table["ort"].tolist() == ["Genève lac", "Zürich", "東京", None, "x\\y"]
    path.write_text(head + "1,Köln\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"Köln value not in .*Zürich"):
        data.read_table(path)


def test_other_delimiter(csv):
    assert data.read_csv(csv("a;b\n1;x\n"), delimiter=";").names == ["a", "b"]


WRONG_TABLES = {
    "empty": ("", ["is empty", "column names"]),
    "blank": ("\n\n\n", ["is empty"]),
    "header only": ("a,b\n", ["'a', 'b'", "no rows"]),
    "nameless": ("a,,c,\n1,2,3,4\n", ["no name for column 2, 4", "index=False"]),
    "twice": ("a,b,a, b\n1,2,3,4\n", ["more than once", "'a', 'b'"]),
    "long line": ("a,b\n1,2\n3,4,5\n", ["expected 2 fields", "line 3 has 3"]),
    "short line": ("a,b\n1\n3,4\n", ["expected 2 fields", "line 2 has 1"]),
    "both": ("a,b\n1\n\n3,4\n5,6,7\n", ["line 2 has 1, line 5 has 3"]),
    "after a long field": ('a,b\n"x\ny",1\n2\n', ["line 4 has 1"]),
    "many": ("a,b\n" + "1\n" * 9, ["line 2 has 1", "line 6 has 1 and 4 more"]),
    "open quote": ('a,b\n1,2\n3,"4\n5,6\n', ["line 3 cannot be read", "double quote"]),
    "a line behind sep=": ("sep=;\na;b\n1;2\n3\n", ["line 4 has 1"]),
    "text after a quote": ('a,b\n1,2\n3,"4"5\n', ["line 3 cannot be read", "double quote"]),
    "latin-1": ("a,b\n1,2\n3,Zürich\n".encode("latin-1"), ["not in UTF-8", "byte 0xfc", "line 3"]),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), ["not in UTF-8", "line 1"]),
    "zero bytes": ("a,b\n1,2\n".encode("utf-16-le"), ["zero bytes", "UTF-8"]),
}


@pytest.mark.parametrize("name", WRONG_TABLES)
def test_wrong_table(name, csv):
    content, parts = WRONG_TABLES[name]
    path = csv(content)
    fails(lambda: data.read_csv(path), path, *parts)


def test_csv_that_is_not_there(tmp_path):
    fails(lambda: data.read_csv(tmp_path / "none.csv"), tmp_path / "none.csv", "no such file")
    fails(lambda: data.read_csv(tmp_path), tmp_path, "cannot be read")


def test_sets_and_generators_are_refused():
    rows, labels = [[1.0], [2.0]] * 5, [0, 1] * 5
    for call in (lambda: data.split((r for r in rows), labels), lambda: data.split(rows, iter(labels)),
                 lambda: data.split(rows, {0, 1}), lambda: data.balance(v for v in labels),
                 lambda: data.oversample({0, 1}), lambda: data.outliers(r for r in rows),
                 lambda: data.split(rows, labels, groups=iter(labels))):  # fmt: skip
        fails(call, "give a list or an array of its rows")


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-32", "idna", "punycode", "undefined", "rot13", "hex", "utf-7", "x"]
)
def test_text_that_an_encoding_does_not_have(tmp_path, encoding):
    path = tmp_path / "t.txt"
    path.write_bytes("Zürich\n".encode("latin-1") * 3)
    fails(lambda: data.read_text(path, encoding), path)


def test_packed_files_do_not_take_more_than_their_header_says(tmp_path):
    """40 MB of zeros behind the numbers of an idx file, or where a table should be, or a line without end."""
    import tracemalloc

    path = tmp_path / "packed.gz"
    for content, call in ((RAW + bytes(40 << 20), data.idx), (bytes(40 << 20), data.read_csv),
                          (b"a,b\n" + b"1" * (40 << 20), data.read_csv)):  # fmt: skip
        path.write_bytes(gzip.compress(content))
        assert path.stat().st_size < 50_000
        tracemalloc.start()
        fails(lambda call=call: call(path), path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 20 << 20


def test_damaged_arrays_on_the_way_in(tmp_path):
    """Each byte of the header of a .npy file changed: an error that names the file, or an array."""
    from pellucid.data.files import array_of

    path = tmp_path / "x.npy"
    np.save(path, np.arange(6.0).reshape(2, 3))
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in range(128):
        for value in (*rng.integers(0, 256, 3).tolist(), 0, ord("9"), ord("("), ord('"')):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                assert isinstance(array_of(path), np.ndarray)
            except DataError as error:
                assert str(path) in str(error)


def test_unknown_column_lists_close_matches(csv):
    path = csv("Survived,Pclass,Age\n1,2,3\n")
    table = data.read_csv(path)
    fails(lambda: table["survive"], path, "'survive'", "did you mean 'Survived'?")
    fails(lambda: table.kind("AGE"), "did you mean 'Age'?")
    fails(lambda: table.drop("zzz"), "'zzz'", "'Survived', 'Pclass', 'Age'")
    with pytest.raises(DataError) as caught:
        table["zzz"]
    assert "did you mean" not in str(caught.value)


def test_drop_and_take():
    table = Table({"a": np.arange(4.0), "b": np.array(["x", "y", None, "z"], object)}, "here")
    assert table.drop("a").names == ["b"] and table.names == ["a", "b"] and table.drop("a").source == "here"
    assert table.take([3, 0])["b"].tolist() == ["z", "x"]
    assert table.take(table["a"] > 1)["a"].tolist() == [2, 3]
    assert len(table.drop("a").drop("b")) == 0
    fails(lambda: Table({"a": np.zeros(2), "b": np.zeros(3)}), "different lengths", "'a': 2", "'b': 3")


def test_real_tables(shared_data):
    titanic = data.read_csv(shared_data / "titanic" / "titanic.csv")
    assert len(titanic) == 891 and len(titanic.names) == 12
    numbers = [name for name in titanic.names if titanic.kind(name) == "numbers"]
    assert numbers == ["PassengerId", "Survived", "Pclass", "Age", "SibSp", "Parch", "Fare"]
    assert np.isnan(titanic["Age"]).sum() == 177 and titanic["Survived"].sum() == 342
    assert sum(v is None for v in titanic["Cabin"]) == 687 and sum(v is None for v in titanic["Embarked"]) == 2
    assert titanic["Name"][0] == "Braund, Mr. Owen Harris"
    weather = data.read_csv(shared_data / "daily-min-temperatures" / "daily-min-temperatures.csv")
    assert len(weather) == 3650 and [weather.kind(name) for name in weather.names] == ["dates", "numbers"]


def test_from_frame_is_as_from_csv(shared_data):
    pandas = pytest.importorskip("pandas")
    path = shared_data / "titanic" / "titanic.csv"
    from_csv, from_frame = data.read_csv(path), data.from_frame(pandas.read_csv(path))
    assert from_csv.names == from_frame.names
    for name in from_csv.names:
        np.testing.assert_array_equal(from_csv[name], from_frame[name])


def test_from_frame_kinds():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "int": [1, 2, 3],
            "float": [0.5, None, 2],
            "nullable": pandas.array([1, None, 3], "Int64"),
            "mixed": [1, "two", None],
            "bool": [True, False, True],
            "category": pandas.Categorical(["a", None, "b"]),
            "text": [" a ", "?", ""],
            "digits": ["1", "2", "NA"],
            "date": pandas.to_datetime(["2020-01-01", None, "2020-01-03"]),
            7: [1, 2, 3],
        }
    )
    table = data.from_frame(frame)
    kinds = {name: table.kind(name) for name in table.names}
    assert [n for n in kinds if kinds[n] == "numbers"] == ["int", "float", "nullable", "bool", "7"]
    np.testing.assert_array_equal(table["nullable"], [1, np.nan, 3])
    assert table["mixed"].tolist() == ["1", "two", None] and table["digits"].tolist() == ["1", "2", "NA"]
    assert table["bool"].tolist() == [1, 0, 1]
    assert table["category"].tolist() == ["a", None, "b"] and table["text"].tolist() == ["a", "?", None]
    assert kinds["date"] == "dates" and np.isnat(table["date"][1]) and table["date"][0] == np.datetime64("2020-01-01")


FRAMES = {  # entries, dtype, kind, the column of the table
    "NA first, nullable": ([None, 1, 3], "Int64", "numbers", [np.nan, 1, 3]),
    "NA first, nullable floats": ([None, 1.5, 3], "Float64", "numbers", [np.nan, 1.5, 3]),
    "NA first, string": ([None, "a", "b"], "string", "categories", [None, "a", "b"]),
    "NA first, boolean": ([None, True, False], "boolean", "numbers", [np.nan, 1, 0]),
    "NA first, objects": (["<NA>", "a", "b"], "object", "categories", [None, "a", "b"]),
    "NA first, numbers as objects": (["<NA>", 2, 3.5], "object", "numbers", [np.nan, 2, 3.5]),
    "NA first, Arrow numbers": ([None, 2, 3], "int64[pyarrow]", "numbers", [np.nan, 2, 3]),
    "NA first, Arrow text": ([None, "a", "b"], "string[pyarrow]", "categories", [None, "a", "b"]),
    "NA first, Arrow truth": ([None, True, False], "bool[pyarrow]", "numbers", [np.nan, 1, 0]),
    "categories of numbers": ([101, 205, None], "category", "categories", ["101", "205", None]),
    "categories of truth": ([True, False, None], "category", "categories", ["True", "False", None]),
    "large numbers": ([2**53 + 1, 2**53 + 2, 5], "int64", "categories", [str(2**53 + 1), str(2**53 + 2), "5"]),
    "large nullable numbers": ([2**53 + 1, None, 5], "Int64", "categories", [str(2**53 + 1), None, "5"]),
    "unsigned": ([2**64 - 1, 5, 6], "uint64", "categories", [str(2**64 - 1), "5", "6"]),
    "exact large numbers": ([2**60, 5, 6], "int64", "numbers", [2**60, 5, 6]),
    "text of numbers": (["01", "2", "3"], "object", "categories", ["01", "2", "3"]),
    "numbers and text": ([1, "2.5", None], "object", "numbers", [1, 2.5, np.nan]),
    "durations": ([1, None, 3], "timedelta64[s]", "numbers", [1, np.nan, 3]),
}


@pytest.mark.parametrize("name", FRAMES)
def test_columns_of_a_frame_are_what_their_dtype_says(name):
    pandas = pytest.importorskip("pandas")
    entries, dtype, kind, expected = FRAMES[name]
    if "pyarrow" in dtype:
        pytest.importorskip("pyarrow")
    entries = [pandas.NA if entry == "<NA>" else entry for entry in entries]
    series = pandas.Series(pandas.to_timedelta(entries, "s") if "delta" in dtype else entries, dtype=dtype)
    table = data.from_frame(pandas.DataFrame({"c": series}))
    assert table.kind("c") == kind
    np.testing.assert_array_equal(table["c"], np.array(expected, table["c"].dtype))


def test_dates_of_frames_and_arrays():
    import datetime

    pandas = pytest.importorskip("pandas")
    day = datetime.date(2024, 5, 6)
    zone = pandas.Series(pandas.to_datetime(["2024-05-06 23:30"])).dt.tz_localize("Europe/Berlin")
    frame = pandas.DataFrame({"date": [day], "stamp": [pandas.Timestamp(day)], "zone": zone})
    frame["period"], frame["object"] = pandas.PeriodIndex([day], freq="D"), np.array([day], object)
    table = data.from_frame(frame)
    assert {table.kind(name) for name in table.names} == {"dates"}
    assert table["zone"][0] == np.datetime64("2024-05-06T23:30") and table["object"][0] == np.datetime64(day)
    assert data.as_table(np.array([["2024-05-06"]], "datetime64[D]")).kind("x0") == "dates"


def test_polars_frames():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"n": [None, 1], "c": [None, "a"], "b": [True, None], "d": [None, "x"]},
                             schema_overrides={"d": polars.Categorical})  # fmt: skip
    table = data.from_frame(frame)
    assert [table.kind(name) for name in table.names] == ["numbers", "categories", "numbers", "categories"]
    assert table["c"].tolist() == [None, "a"] and table["d"].tolist() == [None, "x"]
    np.testing.assert_array_equal(table["b"], [1, np.nan])


def test_what_is_no_column_or_has_no_rows():
    pandas = pytest.importorskip("pandas")
    for odd in ([1, 2], {"a": 1}, np.ones(2), (1,)):
        fails(
            lambda odd=odd: data.from_frame(pandas.DataFrame({"c": [odd, odd]})),
            "column 'c' holds",
            "columns of their own",
        )
    fails(lambda: data.as_table(row for row in [[1], [2]]), "X is a generator", "X = list(X)")
    fails(lambda: data.as_table({1, 2}), "X is a set, which has no order")
    for large in (10**400, -(10**5000), Fraction(10**400)):
        fails(lambda large=large: data.as_table(np.array([[1], [large]], object), ["a"]), "column 'a' holds a number")
    fails(lambda: data.as_table([[1, 2], [3]]), "rows differ in their lengths")


def test_from_frame_errors():
    pandas = pytest.importorskip("pandas")
    fails(lambda: data.from_frame([[1, 2]]), "expected a DataFrame", "list")
    fails(lambda: data.from_frame(pandas.DataFrame()), "no columns")
    fails(lambda: data.from_frame(pandas.DataFrame({"a": []})), "'a'", "no rows")
    fails(lambda: data.from_frame(pandas.DataFrame([[1, 2]], columns=["a", "a"])), "more than once", "'a'")
    fails(lambda: data.from_frame(pandas.DataFrame([[1, 2]], columns=["a", " "])), "no name for column 2")


def test_from_frame_of_another_library():
    class Column(list):
        def to_numpy(self):
            return np.array(self)

    class Frame(dict):
        columns = ("n", "c")

        def to_numpy(self):
            raise AssertionError("column by column, or the numbers would become text")

    table = data.from_frame(Frame(n=Column([1, 2]), c=Column(["x", "y"])))
    assert table["n"].tolist() == [1.0, 2.0] and table["c"].tolist() == ["x", "y"]


# pictures


@pytest.fixture
def pictures(tmp_path):
    """Two classes of two pictures of 4 x 6 pixels: red and blue; gray where asked."""
    image = pytest.importorskip("PIL.Image")

    def make(mode="RGB", size=(6, 4)):
        for name, colour in [("blue", (0, 0, 255)), ("red", (255, 0, 0))]:
            (tmp_path / name).mkdir(exist_ok=True)
            for i, end in enumerate(["png", "bmp"]):
                image.new("RGB", size, colour).convert(mode).save(tmp_path / name / f"{i}.{end}")
        return tmp_path

    return make


def test_images(pictures):
    folder = pictures()
    dataset = data.images(folder)
    assert dataset.x.shape == (4, 3, 4, 6) and dataset.x.dtype == np.float32 and dataset.y.tolist() == [0, 0, 1, 1]
    assert dataset.class_names == ("blue", "red") and dataset.name == folder.name
    assert dataset.x[:, :, 0, 0].tolist() == [[0, 0, 1], [0, 0, 1], [1, 0, 0], [1, 0, 0]]
    assert data.images(str(folder), size=(2, 5)).x.shape == (4, 3, 2, 5)
    gray = data.images(folder, size=3, gray=True).x
    assert gray.shape == (4, 1, 3, 3) and np.unique(gray).tolist() == [np.float32(29 / 255), np.float32(76 / 255)]


def test_grey_pictures_have_one_channel_unless_asked(pictures):
    folder = pictures("L")
    assert data.images(folder).x.shape == (4, 1, 4, 6)
    assert data.images(folder, gray=False).x.shape == (4, 3, 4, 6)


def test_one_color_picture_makes_all_of_them_color(pictures):
    from PIL import Image

    folder = pictures("L")
    Image.new("P", (6, 4)).save(folder / "red" / "2.png")
    assert data.images(folder).x.shape == (5, 3, 4, 6)


def test_modes_of_pictures(tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "one").mkdir()
    image.new("1", (2, 2), 1).save(tmp_path / "one" / "a.png")
    image.new("LA", (2, 2), (255, 0)).save(tmp_path / "one" / "b.png")
    image.fromarray(np.full((2, 2), 65535, np.uint16)).save(tmp_path / "one" / "c.png")
    dataset = data.images(tmp_path)
    assert dataset.x.shape == (3, 1, 2, 2) and (dataset.x == 1).all()


def test_pictures_are_upright(tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "one").mkdir()
    exif = image.Exif()
    exif[0x0112] = 6  # a camera held sideways
    image.new("RGB", (6, 4)).save(tmp_path / "one" / "a.jpg", exif=exif)
    assert data.images(tmp_path).x.shape == (1, 3, 6, 4)


def test_files_that_are_no_pictures(pictures):
    folder = pictures()
    (folder / "red" / "notes.txt").write_text("red things")
    (folder / "red" / "cut.png").write_bytes((folder / "red" / "0.png").read_bytes()[:45])
    (folder / "blue" / "empty.jpg").touch()
    (folder / "blue" / "more").mkdir()
    parts = ["empty.jpg", "cut.png", "notes.txt", "more (a folder inside a class)", "skip_bad=True"]
    fails(lambda: data.images(folder), folder, *parts)
    with pytest.warns(UserWarning, match=r"left out.*empty\.jpg.*more.*cut\.png.*notes\.txt"):
        dataset = data.images(folder, skip_bad=True)
    assert len(dataset) == 4


def test_hidden_files_and_files_beside_the_classes_are_ignored(pictures):
    folder = pictures()
    (folder / "README.md").touch()
    (folder / ".git").mkdir()
    (folder / "red" / ".DS_Store").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(data.images(folder)) == 4


def test_pictures_of_different_sizes(pictures):
    from PIL import Image

    folder = pictures()
    Image.new("RGB", (9, 5)).save(folder / "red" / "wide.png")
    fails(lambda: data.images(folder), folder, "4 x 6", "wide.png", "5 x 9", "give size=")
    assert data.images(folder, size=8).x.shape == (5, 3, 8, 8)


def test_folders_that_do_not_fit(pictures, tmp_path):
    fails(lambda: data.images(tmp_path / "none"), "none", "no such folder")
    fails(lambda: data.images(tmp_path), tmp_path, "no subfolders", "each class")
    folder = pictures()
    (folder / "violet").mkdir()
    fails(lambda: data.images(folder), "no pictures in violet")
    for size in (0, (3,), (4, -1)):
        fails(lambda size=size: data.images(folder, size=size), repr(size), "(height, width)")


def test_without_pillow(pictures, monkeypatch):
    folder = pictures()
    monkeypatch.setitem(sys.modules, "PIL", None)
    fails(lambda: data.images(folder), "pip install 'pellucid[images]'")


# the names of columns


def test_names_of_columns_are_checked_in_scikit_learns_words():
    import pandas
    from sklearn.linear_model import LinearRegression

    from pellucid.data.names import check_names, column_names

    frame = pandas.DataFrame(np.eye(8)[:, :7], columns=list("abcdefg"))
    fitted = LinearRegression().fit(frame, frame["a"])
    seen = column_names(frame)
    for other in ("gfedcba", "abcdefx", "hijklmn", "abc", "abcdefgh"):
        given = pandas.DataFrame(np.zeros((2, len(other))), columns=list(other))
        with pytest.raises(ValueError) as theirs:
            fitted.predict(given)
        with pytest.raises(DataError) as ours:
            check_names(seen, column_names(given))
        assert str(ours.value) == str(theirs.value)
    check_names(seen, column_names(frame))
    assert column_names(Table({"a": np.zeros(1)})) == ("a",)
    assert column_names(np.zeros((2, 2))) is column_names(pandas.DataFrame(np.zeros((2, 2)))) is None


@pytest.mark.parametrize("digits", [400, 5000])
def test_whole_numbers_beyond_float64_are_names(digits, tmp_path):
    long = "1" + "0" * digits
    (tmp_path / "a.csv").write_text(f"a,b\n{long},2\n3,4\n")
    table = data.read_csv(tmp_path / "a.csv")
    assert table["a"].tolist() == [long, "3"] and table.kind("b") == "numbers"
    assert data.as_table(np.array([[long]]))["x0"].tolist() == [long]
