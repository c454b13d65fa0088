"""The reference executor at its edges: what it refuses to bind, and `Run.steps`, the loop over mini-batches."""

import numpy as np
import pytest
from tools import distinct

import pellucid as pel
from pellucid import ops
from pellucid.executors import NotFinite, reference

# ---- binding ----------------------------------------------------------------------------------------------------


def bound(given, dtype, place="input"):
    """What a leaf of this dtype takes for an array."""
    v = pel.input("v", (2,), dtype, kind="shared") if place == "input" else pel.state("v", (2,), dtype)
    run = reference.compile(pel.Program([v] if place == "input" else [], {"y": v}))
    return (run({}, {"v": given}) if place == "input" else run({"v": given}))["y"]


places = pytest.mark.parametrize("place", ["input", "state"])


@places
@pytest.mark.parametrize(("given", "dtype", "words"), [
    ([1.5, 2], "int32", "holds float64, expected int32"),
    ([1.0, 2.0], "int32", "holds float64, expected int32"),
    (np.ones(2, "float32"), "int64", "holds float32, expected int64"),
    ([1.0, 0.0], "uint32", "holds float64"),
    ([1.0, 0.0], "bool", "holds float64"),
    ([1, 0], "bool", "holds int64, expected bool"),
    ([1, -1], "uint32", "holds -1, which is no uint32"),
    ([1, 256], "uint8", "holds 256, which is no uint8"),
    ([1, 2**31], "int32", "holds 2147483648, which is no int32"),
    (["a", "b"], "float32", "holds <U1, expected float32"),
    (["1", "2"], "float32", "holds <U1, expected float32"),
    ([1, None], "float64", "holds object"),
    ([1j, 2], "float32", "holds complex128"),
    (np.array(["2020-01-01", "2020-01-02"], "datetime64[D]"), "int64", "holds datetime64"),
    ([[1], [2, 3]], "float32", "its rows differ in length"),
])  # fmt: skip
def test_what_a_leaf_refuses(given, dtype, words, place):
    with pytest.raises(pel.GraphError, match=f"{place} 'v' .*{words}"):
        bound(given, dtype, place)


@places
@pytest.mark.parametrize(("given", "dtype"), [
    ([1, 2], "float32"), ([True, False], "float64"), (np.ones(2, "float64"), "float32"), (np.ones(2, "uint8"), "int32"),
    ([0, 2**32 - 1], "uint32"), ([True, False], "int32"), ([True, False], "bool"), ((0, 255), "uint8"),
    ([np.nan, np.inf], "float32"),
])  # fmt: skip
def test_what_a_leaf_takes(given, dtype, place):
    y = bound(given, dtype, place)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, given)


# ---- steps ------------------------------------------------------------------------------------------------------

X = distinct((10, 2))


def counting():
    """Adds the rows it sees to a total; its outputs are the sum of their logarithms and their number."""
    x, total, n = pel.input("x", (2,), "float64"), pel.state("total", (2,), "float64"), pel.state("n", (), "int32")
    outputs = {"logs": ops.batch_sum(ops.sum(ops.log(x))), "count": ops.batch_size("float64")}
    return reference.compile(pel.Program([x], outputs, {total: total + ops.batch_sum(x), n: n + 1}))


def start():
    return {"total": np.zeros(2), "n": np.array(0, "int32")}


@pytest.mark.parametrize("batch_size", [1, 3, 5, 10, 99])
@pytest.mark.parametrize("rows", [None, np.arange(10)[::-1], np.array([7, 7, 0])], ids=["all", "reversed", "some"])
def test_sums_and_updates(rows, batch_size):
    x = np.abs(X)
    seen = x if rows is None else x[rows]
    state, calls = start(), []
    sums = counting().steps(state, {"x": x}, rows, batch_size, watch="logs", on_step=calls.append)
    assert set(sums) == {"logs", "count"} and all(type(s) is float for s in sums.values())
    np.testing.assert_allclose(sums["logs"], np.log(seen).sum(), rtol=1e-12)
    assert sums["count"] == len(seen)
    np.testing.assert_allclose(state["total"], seen.sum(0), rtol=1e-12)
    assert state["n"] == -(-len(seen) // batch_size)
    assert calls == [min(i + batch_size, len(seen)) for i in range(0, len(seen), batch_size)]


def test_each_batch_has_its_rows_in_the_given_order():
    rows = np.array([4, 1, 9, 0, 2])
    x, last = pel.input("x", (), "int32"), pel.state("last", (2,), "int32")
    run = reference.compile(pel.Program([x], {}, {last: last * 100 + ops.all_samples(x, 2)}))
    state = {"last": np.zeros(2, "int32")}
    run.steps(state, {"x": np.arange(10, dtype="int32")}, rows[:4], 2)
    np.testing.assert_array_equal(state["last"], [409, 100])


def test_steps_are_the_calls_one_by_one():
    state, alone, x = start(), start(), np.abs(X)
    rows = np.array([3, 8, 1, 0, 5])
    sums = counting().steps(state, {"x": x}, rows, 2)
    outputs = [counting()(alone, {"x": x[part]}) for part in (rows[:2], rows[2:4], rows[4:])]
    assert sums == {name: sum(float(o[name]) for o in outputs) for name in outputs[0]}
    assert all((state[name] == alone[name]).all() for name in state)


@pytest.mark.parametrize("bad", [-1.0, 0.0, np.nan, np.inf])
@pytest.mark.parametrize("rows", [None, np.array([9, 8, 5, 6, 7, 4, 3])], ids=["all", "some"])
def test_a_step_that_is_not_finite_changes_nothing_and_says_which_rows(rows, bad):
    x = np.abs(X)
    x[7, 1] = bad
    state, calls = start(), []
    with pytest.raises(NotFinite) as caught:
        counting().steps(state, {"x": x}, rows, 3, watch="logs", on_step=calls.append)
    step, its_rows = (2, [6, 7, 8]) if rows is None else (1, [6, 7, 4])
    good = np.arange(6) if rows is None else rows[:3]
    assert caught.value.step == step and caught.value.rows.tolist() == its_rows
    assert calls == [3, 6][:step] and state["n"] == step
    np.testing.assert_allclose(state["total"], x[good].sum(0), rtol=1e-12)


def test_without_a_watch_anything_goes():
    state = start()
    sums = counting().steps(state, {"x": -np.ones((4, 2))}, None, 2)
    assert np.isnan(sums["logs"]) and sums["count"] == 4 and state["n"] == 2


def test_no_rows_no_steps():
    state = start()
    sums = counting().steps(state, {"x": X}, np.array([], int), 2, "logs", on_step=lambda done: pytest.fail("a step"))
    assert sums == {"logs": 0, "count": 0} and state["n"] == 0
