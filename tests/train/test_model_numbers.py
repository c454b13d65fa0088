"""Whole numbers and floats as a model's inputs: which a net needs is found from its graph, not from the first array."""

import numpy as np
import pandas as pd
import pytest

import pellucid as pel
from pellucid import DataError, GraphError, Model, nn, ops, optim

FIRST = {  # samples at the first fit that look like whole numbers
    "lists": [[22, 1], [35, 0]],
    "int64": np.array([[22, 1], [35, 0]]),
    "int8": np.array([[22, 1], [35, 0]], "int8"),
    "bool": np.array([[True, False], [False, True]]),
    "uint8": np.array([[250, 1], [35, 0]], "uint8"),
    "frame": pd.DataFrame({"age": [22, 35], "member": [1, 0]}),
    "frame of bool": pd.DataFrame({"a": [True, False], "b": [False, False]}),
}
Y = [1.0, 2.0]
LATER = np.array([[22.5, 1.0], [0.25, -3.0]])


def line(**options):
    return Model(nn.Dense(1), "mse", optim.SGD(1e-5), **options)


def tokens(rows=10, **options):
    return Model(nn.Sequential(nn.Embedding(rows, 4), nn.Flatten(), nn.Dense(1)), "mse", optim.SGD(0.01), **options)


@pytest.mark.parametrize("x", FIRST.values(), ids=list(FIRST))
@pytest.mark.parametrize("executor", ["native", "reference"])
def test_numbers_are_floats_whatever_came_first(x, executor):
    model, other = line(executor=executor), line(executor=executor)
    later = pd.DataFrame(LATER, columns=x.columns) if isinstance(x, pd.DataFrame) else LATER
    model.fit(x, Y, verbose=0, validation_data=(later, Y))
    other.fit(np.asarray(x, float), Y, verbose=0, validation_data=(LATER, Y))
    assert model.history["val_loss"] == other.history["val_loss"]
    np.testing.assert_array_equal(model.predict(later), other.predict(LATER))
    np.testing.assert_array_equal(model.predict(x), other.predict(np.asarray(x, float)))
    assert model.evaluate(later, Y) == other.evaluate(LATER, Y)
    model.fit(later, Y, verbose=0)
    other.fit(LATER, Y, verbose=0)
    np.testing.assert_array_equal(model.parameters["weight"], other.parameters["weight"])


def test_a_saved_model_of_whole_numbers_takes_floats(tmp_path):
    model = line()
    model.fit(FIRST["lists"], Y, verbose=0)
    model.save(tmp_path / "m.pel")
    again = pel.load(tmp_path / "m.pel")
    np.testing.assert_array_equal(again.predict(LATER), model.predict(LATER))
    old = line(input_shape=(2,), input_dtype="int32")  # as files of older models have it
    assert old.predict(LATER).shape == (2, 1)


def test_sequences_of_whole_numbers():
    x = np.arange(24).reshape(4, 3, 2)
    model = Model(nn.Sequential(nn.LSTM(3), nn.Dense(1)), "mse")
    model.fit(x, np.ones(4), verbose=0)
    np.testing.assert_array_equal(model.predict(x), model.predict(x.astype(float)))
    assert np.isfinite(model.predict(x + 0.5)).all()


def test_buckets_of_whole_numbers_and_floats():
    """Each sequence has its own dtype, and so has each bucket."""
    x = [np.ones((t, 2), int if t < 4 else float) * 0.5 for t in (2, 3, 5, 6)]
    x[0] = np.ones((2, 2), int)
    model = Model(nn.Sequential(nn.LSTM(3), nn.Dense(1)), "mse")
    model.fit(pel.data.Buckets(x, Y * 2, boundaries=[3]), verbose=0)
    padded = pel.data.Buckets([a.astype(float) for a in x], Y * 2, boundaries=[3])
    np.testing.assert_array_equal(model.predict(padded), model.predict(pel.data.Buckets(x, Y * 2, boundaries=[3])))


def test_arithmetic_on_whole_numbers_is_that_of_floats():
    """A division, and a square beyond int32."""
    dense = nn.Dense(1, weight_init=nn.init.constant)
    for function in (lambda x: dense(x / 255), lambda x: dense(x * x), lambda x: dense(ops.where(x > 0, x, 0.5))):
        model, other = (Model(function, "mse", optim.SGD(1e-12)) for _ in "ab")
        model.fit([[100_000, 1], [2, 3]], Y, verbose=0)
        other.fit([[100_000.0, 1.0], [2.0, 3.0]], Y, verbose=0)
        np.testing.assert_array_equal(model.predict(LATER), other.predict(LATER))
        assert model.history["loss"] == other.history["loss"]
        for first in (np.array([[100, 1], [2, 3]], "uint8"), np.array([[True, False], [False, True]])):
            model, other = (Model(function, "mse", optim.SGD(1e-12)) for _ in "ab")
            model.fit(first, Y, verbose=0)
            other.fit(first.astype(float), Y, verbose=0)
            np.testing.assert_array_equal(model.predict(LATER), other.predict(LATER))
            np.testing.assert_array_equal(model.predict(first), other.predict(first.astype(float)))


def test_bytes_stay_bytes_and_floats_may_follow():
    images, y = np.arange(96, dtype="uint8").reshape(8, 3, 4), np.arange(8) % 2
    model = Model(nn.Sequential(nn.Flatten(), nn.Dense(2)), "cross_entropy", optim.SGD(1e-4))
    model.fit(images, y, verbose=0)
    assert model.specs["x"].dtype == "uint8"
    assert [a.dtype for a in model._arrays(images, y).values()] == ["uint8", "int32"]
    np.testing.assert_array_equal(model.predict(images), model.predict(images.astype("float32")))
    assert not np.array_equal(model.predict(images / 255), model.predict(images))
    model.fit(images / 255, y, verbose=0)


# ---- codes --------------------------------------------------------------------------------------------------------

WRONG = {
    "beyond int32": ([[1, 2**40]], r"holds 1099511627776 \(row 0\), expected whole numbers 0\.\.9"),
    "beyond the table": ([[1, 2], [3, 10]], r"holds 10 \(row 1\), expected .* 0\.\.9, the rows of 'layers\.0\.weight'"),
    "negative": ([[-1, 2]], r"holds -1 \(row 0\), expected whole numbers 0\.\.9"),
    "unsigned": (np.array([[1, 2**63 + 1]], "uint64"), r"holds 9223372036854775809 \(row 0\)"),
    "bytes": (np.array([[1, 200]], "uint8"), r"holds 200 \(row 0\)"),
    "floats": (np.array([[1.0, 2.0**40]]), r"holds 1099511627776\.0 \(row 0\)"),
}


@pytest.mark.parametrize("x, text", WRONG.values(), ids=list(WRONG))
def test_codes_outside_are_refused_before_anything_is_built(x, text):
    model, y = tokens(), np.ones(len(x))
    with pytest.raises(DataError, match=f"^x {text}"):
        model.fit(x, y, verbose=0)
    assert model.traced is None and not model._runs and not model.state
    model.fit([[1, 2], [3, 4]], Y, verbose=0)  # others may follow, of another shape too
    for use in (lambda: model.predict(x), lambda: model.evaluate(x, y), lambda: model.fit(x, y, verbose=0)):
        with pytest.raises(DataError, match=f"^x {text}"):
            use()
    with pytest.raises(DataError, match=f"^validation_data x {text}"):
        model.fit([[1, 2], [3, 4]], Y, validation_data=(x, y), verbose=0)
    assert model.epochs == 1


def test_codes_of_large_arrays_and_memory_maps(tmp_path):
    x = np.zeros((1_500_000, 2), np.int64)  # 24 MB
    x[-1, 1] = 2**33
    np.save(tmp_path / "x.npy", x)
    model = tokens()
    for given in (x, np.load(tmp_path / "x.npy", mmap_mode="r")):
        with pytest.raises(DataError, match=r"x holds 8589934592 \(row 1499999\)"):
            model.fit(given, np.zeros(len(x)), verbose=0)
    assert model.traced is None
    model.fit([[1, 2, 3]], [1.0], verbose=0)


def test_whole_floats_are_codes_and_fractions_are_not():
    """A column of numbers of which one was missing once comes as floats."""
    model, other = tokens(), tokens()
    model.fit(np.array([[1.0, 2.0], [3.0, 4.0]]), Y, verbose=0)
    other.fit([[1, 2], [3, 4]], Y, verbose=0)
    for x in ([[5, 6]], np.array([[5.0, 6.0]]), np.array([[5, 6]], "uint8"), np.array([[5, 6]], object)):
        np.testing.assert_array_equal(model.predict(x), other.predict([[5, 6]]))
    with pytest.raises(DataError, match=r"x holds 2\.5 \(row 1\), but the net takes whole numbers there"):
        model.predict([[1, 2], [2.5, 1]])
    with pytest.raises(GraphError, match="expects tokens"):
        tokens().fit([[1, 2], [2.5, 1]], Y, verbose=0)


def test_codes_and_numbers_side_by_side():
    table, dense = nn.Embedding(10, 4), nn.Dense(1)

    def net(word, number):
        return dense(ops.concatenate([table(word), number / 2]))

    model = Model(net, "mse")
    model.fit({"word": [1, 2], "number": [[1], [2]]}, Y, verbose=0)
    assert {k: s.dtype for k, s in model.specs.items()} == {"x.word": "int32", "x.number": "float32"}
    assert model.predict({"word": [3], "number": [[0.5]]}).shape == (1, 1)
    with pytest.raises(DataError, match=r"x\.word holds 10 "):
        model.predict({"word": [10], "number": [[0.5]]})


def test_numbers_that_are_compared_exactly_stay_whole():
    """As float32 these two would be equal."""
    dense = nn.Dense(1)

    def net(a, b):
        return dense(ops.reshape(ops.cast(ops.equal(a, b), "float32"), (1,)))

    model = Model(net, "mse")
    a, b = np.array([2**24, 5]), np.array([2**24 + 1, 5])
    model.fit((a, b), Y, verbose=0)
    same, other = model.predict((a, a))[0], model.predict((a, b))[0]
    assert same != other


def test_before_any_data_a_net_for_tokens_is_built_for_them():
    assert tokens(input_shape=(3,)).predict([[1, 2, 3]]).shape == (1, 1)
    with pytest.raises(GraphError, match="expects tokens"):
        tokens(input_shape=(3,), input_dtype="float32")


def test_augmentations_of_bytes_and_of_whole_numbers():
    """A function may make floats of bytes; whole numbers come to it as floats, codes as they are."""
    images, y = np.arange(96, dtype="uint8").reshape(8, 3, 4), np.arange(8) % 2
    seen = []

    def scaled(x, rows, seed, epoch):
        seen.append(x.dtype)
        return x / 255

    for given in (images, images.astype(int)):
        model, other = (Model(nn.Sequential(nn.Flatten(), nn.Dense(2)), "cross_entropy", optim.SGD(0.1)) for _ in "ab")
        model.fit(given, y, augment=scaled, epochs=2, verbose=0)
        other.fit(images / 255, y, epochs=2, verbose=0)
        np.testing.assert_allclose(model.parameters["layers.1.weight"], other.parameters["layers.1.weight"], atol=1e-6)
    assert set(seen) == {np.dtype("uint8"), np.dtype("float32")}
    mixed = Model(nn.Sequential(nn.Flatten(), nn.Dense(2)), "cross_entropy")
    mixed.fit(images.astype(int), y, augment=pel.data.Mixup(0.2), verbose=0)
    words = tokens()
    words.fit(
        np.ones((4, 2), int), np.ones(4), augment=lambda x, rows, seed, epoch: seen.append(x.dtype) or x, verbose=0
    )
    assert seen[-1] == np.dtype("int32")
