"""Sequences as arrays: padding, windows of one long sequence, streams; and what bad ones are told."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import ArgumentError, data, nn, optim
from pellucid.data import DataError, pad_sequences, streams, windows


def fails(call, *parts):
    """The call raises a DataError whose message has all these parts."""
    with pytest.raises((ArgumentError, DataError)) as caught:
        call()
    for part in parts:
        assert str(part) in str(caught.value), f"{part!r} is not in: {caught.value}"


# ---- padding ------------------------------------------------------------------------------------------------------


def test_padding_on_either_side():
    found = pad_sequences([[1, 2, 3], (4,), np.array([5, 6], np.int64)])
    assert found.tolist() == [[1, 2, 3], [4, 0, 0], [5, 6, 0]] and found.dtype == np.int32
    assert pad_sequences([[1, 2, 3], [4]], 4, value=-1, side="before").tolist() == [[-1, 1, 2, 3], [-1, -1, -1, 4]]


@pytest.mark.parametrize("side", ["before", "after"])
def test_truncation(side):
    cut = [pad_sequences([[1, 2, 3], [4]], 2, side=side, truncate=t)[0].tolist() for t in ("after", "before")]
    assert cut == [[1, 2], [2, 3]]


def test_padding_of_vectors_and_floats():
    found = pad_sequences([np.ones((2, 3)), np.zeros((1, 3), int)], value=np.nan)
    assert found.shape == (2, 2, 3) and found.dtype == np.float32
    assert np.isnan(found[1, 1]).all() and found[1, 0].tolist() == [0, 0, 0]


def test_labels_for_every_step():
    words = [[5, 2, 7], [4]]
    assert pad_sequences([[1, 0, 2], [1]], value=-1, like=words).tolist() == [[1, 0, 2], [1, -1, -1]]
    fails(lambda: pad_sequences([[1, 0, 2], [1, 2]], like=words), "sequence 1 has 2 steps, but its input has 1")
    fails(lambda: pad_sequences([[1, 0], [1]], like=words), "sequence 0 has 2 steps, but its input has 3")
    fails(lambda: pad_sequences([[1, 0, 2]], like=words), "1 sequences of labels for 2 inputs")


PADDING = {
    "nothing": (lambda: pad_sequences([]), "there is no sequence"),
    "length 0": (lambda: pad_sequences([[1], [], [2], []]), "sequence 1, 3 have length 0; leave out what is empty"),
    "too long": (lambda: pad_sequences([[1], [1, 2, 3]], 2), "sequence 1 has 3 steps, more than length=2",
                 "truncate='after'"),
    "length": (lambda: pad_sequences([[1]], 0), "length must be a whole number >= 1, got 0"),
    "side": (lambda: pad_sequences([[1]], side="left"), "side is 'left', expected 'after' or 'before'"),
    "truncate": (lambda: pad_sequences([[1]], truncate="pre"), "truncate is 'pre'"),
    "a text": (lambda: pad_sequences("abc"), "got one text", "Vocabulary"),
    "texts": (lambda: pad_sequences(["abc"]), "sequence 0 holds text", "Vocabulary"),
    "numbers": (lambda: pad_sequences([1, 2]), "sequence 0 is a single number"),
    "ragged": (lambda: pad_sequences([[[1], [1, 2]]]), "sequence 0 cannot become an array: its steps differ"),
    "other steps": (lambda: pad_sequences([np.ones((2, 3)), np.ones((2, 4))]), "sequence 1 has steps of shape (4,)"),
    "half": (lambda: pad_sequences([[1]], value=0.5), "padding with 0.5 is not possible among whole numbers"),
    "nan": (lambda: pad_sequences([[1]], value=np.nan), "padding with nan is not possible"),
    "large": (lambda: pad_sequences([[1], [2**31]]), "sequence 1 has whole numbers that int32 cannot hold"),
}  # fmt: skip


@pytest.mark.parametrize("case", PADDING.values(), ids=list(PADDING))
def test_bad_padding(case):
    fails(*case)


def test_a_model_says_how_mixed_lengths_are_given():
    model = pel.Model(nn.Dense(1), loss="mse")
    fails(lambda: model.fit([[1.0, 2.0], [3.0]], [0.0, 1.0]), "rows differ in length", "pad_sequences", "Buckets")


# ---- windows ------------------------------------------------------------------------------------------------------


def test_windows_for_forecasting():
    s = np.arange(10.0)
    x, y = windows(s, 4)
    assert x.shape == (6, 4) and y.tolist() == [4, 5, 6, 7, 8, 9] and (x[:, -1] + 1 == y).all()
    x, y = windows(s, 4, step=2, ahead=3)
    assert x[:, 0].tolist() == [0, 2] and y.tolist() == [[4, 5, 6], [6, 7, 8]]
    x, y = windows(s[:, None] * [1, 10], 4)
    assert x.shape == (6, 4, 2) and y.tolist() == [[v, 10 * v] for v in range(4, 10)]
    assert windows(s, 9)[0].shape == (1, 9)


def test_windows_for_language_models():
    s = np.arange(11, dtype=np.int32)
    x, y = windows(s, 3, shifted=True)
    assert x.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]] and (y == x + 1).all() and x.dtype == np.int32
    x, y = windows(s, 3, step=1, ahead=2, shifted=True)
    assert x.shape == y.shape == (7, 3) and (y == x + 2).all()


def test_windows_take_no_memory():
    s = np.arange(1000.0)
    for a in windows(s, 100):
        assert np.shares_memory(a, s) and not a.flags.writeable


def test_streams_go_on():
    s = np.arange(100)
    x, y = streams(s, batch=4, length=3)
    assert x.shape == (8 * 4, 3) and (y == x + 1).all()
    chunks = x.reshape(8, 4, 3)
    assert (chunks[1:, :, 0] == chunks[:-1, :, -1] + 1).all()  # sample i goes on where it ended
    assert len(np.unique(x)) == x.size
    assert streams(s[:, None], 4, 3, ahead=5)[1].shape == (7 * 4, 3, 1)
    assert streams(np.arange(7), 2, 3)[1].tolist() == [[1, 2, 3], [4, 5, 6]]  # exactly long enough


WINDOWS = {
    "short": (lambda: windows([1, 2, 3], 3), "windows of 3 steps with 1 ahead need 4 steps, the sequence has 3"),
    "short streams": (lambda: streams(range(6), 2, 3), "2 streams of 3 steps with 1 ahead need 7", "has 6"),
    "length": (lambda: windows([1, 2], 0), "length must be a whole number >= 1, got 0"),
    "step": (lambda: windows([1, 2], 1, step=0.5), "step must be"),
    "ahead": (lambda: windows([1, 2], 1, ahead=True), "ahead must be"),
    "batch": (lambda: streams([1, 2], 0, 1), "batch must be"),
    "text": (lambda: windows("hello", 2), "takes a sequence of numbers", "Vocabulary"),
    "empty": (lambda: windows([], 2), "the sequence has 0"),
}


@pytest.mark.parametrize("case", WINDOWS.values(), ids=list(WINDOWS))
def test_bad_windows(case):
    fails(*case)


def test_a_model_learns_from_windows():
    """The average of two neighbors continues a line: y = 2 x[1] - x[0]. Views of views of one array will do."""
    x, y = windows(np.linspace(-1, 1, 60, dtype=np.float32), 2)
    model = pel.Model(nn.Dense(1, bias=False), loss="mse", optimizer=optim.SGD(0.5))
    model.fit(x, y, epochs=300, batch_size=10, verbose=0)
    assert model.evaluate(x, y)["loss"] < 1e-3


def test_temperatures(shared_data):
    table = data.read_csv(shared_data / "daily-min-temperatures" / "daily-min-temperatures.csv")
    x, y = windows(table["Temp"][:, None], 30)
    assert x.shape == (3650 - 30, 30, 1) and y.shape == (3620, 1)
    np.testing.assert_array_equal(x[7, :, 0], table["Temp"][7:37])
    assert y[7, 0] == table["Temp"][37]
