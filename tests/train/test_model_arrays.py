"""What may be given as x, y and weights: everything that NumPy makes numbers of; all else is one clear error."""

import collections

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from pellucid import DataError, GraphError, Model, nn, optim

X = np.array([[1.0, 2.0], [3.0, 4.0]])
Y = np.array([1.0, 2.0])


def line(**options):
    return Model(nn.Dense(1), "mse", optim.SGD(1e-3), **options)


REFUSED = {
    "a generator": ((row for row in X), "a generator, which can be read only once; give an array: np.stack"),
    "a map": (map(list, X), "a map, which can be read only once"),
    "a zip": (zip(Y, Y, strict=True), "a zip, which can be read only once"),
    "an iterator": (iter(X), "a .*iterator, which can be read only once"),
    "a set": ({1.0, 2.0}, "a set, which is no sequence"),
    "a frozenset": (frozenset([1.0]), "a frozenset, which is no sequence"),
    "values of a dict": ({"a": 1.0}.values(), "a dict_values, which is no sequence"),
    "nothing": (None, "is missing|is None"),
    "text": ("abc", "is 'abc'; expected an array"),
    "a function": (lambda: X, "expected an array with one row per sample"),
    "a sparse matrix": (scipy.sparse.csr_matrix(X), r"a sparse matrix \(csr_matrix\); give what its toarray\(\) gives"),
    "dates": (np.array([["2020-01-01"], ["2021-01-01"]], "datetime64[D]"), "holds dates, e.g. .*timedelta64"),
    "spans of time": (np.array([[1], [2]], "timedelta64[D]"), "holds spans of time"),
    "complex numbers": (X * 1j, "holds complex numbers, e.g. .*real and imaginary"),
    "records": (np.array([(1, 2.0), (3, 4.0)], [("a", int), ("b", float)]), "holds records with fields"),
    "a mask": (np.ma.array(X[:, 0], mask=[1, 0]), r"a masked array with 1 numbers masked.*filled\(0\)"),
    "a number beyond floats": ([[10**400], [1]], "column 0 holds 1000"),
    "float64 beyond float32": (
        np.array([1.0, 50e200]),
        r"numbers up to 5e\+201 in 1 of 2 rows \(row 1\), beyond float",
    ),
    "missing in a nullable column": (pd.array([1, None], "Int64"), "NaN|<NA>"),
}


@pytest.mark.parametrize("given, text", REFUSED.values(), ids=list(REFUSED))
@pytest.mark.parametrize("place", ["x", "y", "sample_weight", "validation_data"])
def test_refused(given, text, place):
    if place == "sample_weight" and given is None:
        return
    model = line()
    arguments = {"x": X, "y": Y} | ({place: given} if place != "validation_data" else {place: (X, given)})
    with pytest.raises(DataError, match=text) as info:
        model.fit(**arguments, verbose=0)
    assert model.traced is None and str(info.value).startswith(place)


TAKEN = {
    "float16": X.astype("float16"),
    "longdouble": X.astype("longdouble"),
    "big-endian": X.astype(">f4"),
    "big-endian whole": X.astype(">i2"),
    "column-ordered": np.asfortranarray(X),
    "backwards": X[::-1][::-1],
    "a mask of nothing": np.ma.array(X),
    "a deque": collections.deque(X.tolist()),
    "objects": X.astype(object),
    "a memoryview": memoryview(X),
    "a frame with another index": pd.DataFrame(X, index=[7, 3]),
    "a nullable frame": pd.DataFrame(X).astype("Float64"),
}


@pytest.mark.parametrize("x", TAKEN.values(), ids=list(TAKEN))
def test_taken(x):
    model, other = line(), line()
    model.fit(x, pd.Series(Y, index=[5, 9]), verbose=0)
    other.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(model.predict(x), other.predict(X))


def test_arrays_that_are_views():
    """Of one row for all samples, and not to be written to."""
    for x in (np.broadcast_to(np.float32([1, 2]), (40, 2)), np.broadcast_to(np.float32(1), (40, 2))):
        model, other = line(), line()
        model.fit(x, np.ones(40), batch_size=7, verbose=0)
        other.fit(x.copy(), np.ones(40), batch_size=7, verbose=0)
        np.testing.assert_array_equal(model.predict(x), other.predict(x.copy()))


def test_a_model_of_doubles_takes_what_floats_have_no_room_for():
    model = line(dtype="float64", input_shape=(2,))
    assert np.isfinite(model.predict(X * 1e100)).all()
    assert np.isfinite(model.evaluate(X, Y * 1e100)["loss"])
    for use in (lambda m: m.evaluate(X * 1e100, Y), lambda m: m.evaluate(X, Y, sample_weight=Y * 1e100)):
        with pytest.raises(DataError, match=r"beyond float32, which ends at 3\.4e"):
            use(line(input_shape=(2,)))


def test_a_dict_of_columns_for_a_net_of_one_input():
    with pytest.raises(GraphError, match=r"cannot be called with inputs named a, b .*give one array or a DataFrame"):
        line().fit({"a": [1, 2], "b": [3, 4]}, Y, verbose=0)
    with pytest.raises(GraphError, match="cannot be called with 2 inputs"):
        line().fit((X, X), Y, verbose=0)
