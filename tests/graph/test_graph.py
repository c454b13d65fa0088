"""Values and Programs: what is checked, the listing, updates of state, and that no array is shared with the user's."""

import numpy as np
import pytest
from tools import BATCH

import pellucid as pel
from pellucid import ops
from pellucid.executors import reference
from pellucid.graph import Type, Value, toposort
from pellucid.program import verify

X = np.arange(6.0).reshape(3, 2)


def parts():
    return pel.input("x", (2,), "float64"), pel.state("w", (2,), "float64")


# ---- values -----------------------------------------------------------------------------------------------------


def test_what_a_value_knows():
    x, w = parts()
    y = w * x
    assert (y.shape, y.dtype, y.kind, y.ndim, y.size) == ((2,), "float64", "sample", 1, 2)
    assert repr(y) == "<multiply: sample float64 (2,)>" and repr(w) == "<state 'w': shared float64 (2,)>"
    assert (w * w).kind == "shared" and ops.batch_sum(y).kind == "shared"


def test_unknown_dtype():
    with pytest.raises(pel.ArgumentError, match="'float16' is not one of float32"):
        pel.input("x", (2,), "float16")


def test_order_has_inputs_first_each_once():
    x, w = parts()
    a = x * w
    y = a + a * x
    order = toposort([y, a])
    assert len(order) == len(set(order)) == 5
    assert all(order.index(i) < order.index(v) for v in order for i in v.inputs)


# ---- checks -----------------------------------------------------------------------------------------------------


def test_listing():
    x, w = parts()
    cost = ops.batch_sum(ops.sum(w * x))
    text = pel.Program([x], {"cost": cost}, {w: w - pel.grad(cost, w)}).listing(full=True)
    lines = [line.strip() for line in text.splitlines()]
    assert lines[:3] == ["program", "inputs  x: sample float64 (2,)", "state   w: shared float64 (2,)"]
    assert "%2 = multiply(w, x): sample float64 (2,)" in lines
    assert "%3 = sum[axes=(-1,)](%2): sample float64 ()" in lines
    assert lines[-1] == "return cost = %4" and lines[-2].startswith("w' = %")


def test_listing_shortens_long_constants():
    long, short = (pel.Program((), {"y": ops.constant(np.zeros(n))}).listing(full=True) for n in (100, 2))
    assert "array(100,)" in long and "[0. 0.]" in short


X1, W1 = parts()
LOSS = ops.batch_sum(X1 * W1)


@pytest.mark.parametrize(("program", "words"), [
    (lambda: pel.Program([], {"y": X1}), "needs input 'x', which is not among its inputs"),
    (lambda: pel.Program([W1]), "inputs are made by"),
    (lambda: pel.Program({"x": X1 * 2}), "inputs are made by"),
    (lambda: pel.Program([X1], {}, {X1: W1}), "only state can be updated"),
    (lambda: pel.Program([X1], {}, {W1 * 2: W1}), "only state can be updated"),
    (lambda: pel.Program([X1], {}, {W1: X1 * W1}), "Use batch_mean or batch_sum"),
    (lambda: pel.Program([X1], {}, {W1: LOSS[0]}), r"has type shared float64 \(\)"),
    (lambda: pel.Program([X1], {}, {W1: ops.cast(LOSS, "float32")}), "has type shared float32"),
    (lambda: pel.Program([], {"y": W1[0] + pel.state("w", (), "float64")}), "two different state Values are named 'w'"),
    (lambda: pel.Program([X1], {"y": X1 == W1}), "a program is made of Values, got bool"),
    (lambda: pel.Program([], {}, {W1: 3.0}), "a program is made of Values, got float"),
])  # fmt: skip
def test_refused(program, words):
    with pytest.raises(pel.GraphError, match=words):
        program()


def test_verify():
    x, w = parts()
    cost = ops.batch_mean(ops.logsumexp(x * w))
    verify(pel.Program([x], {"cost": cost}, {w: pel.grad(cost, w)}))
    y = ops.exp(x)
    for wrong in (Type((3,), "float64", "sample"), Type((2,), "float32", "sample"), Type((2,), "float64", "shared")):
        with pytest.raises(pel.GraphError, match=r"its shape rule says sample float64 \(2,\)"):
            verify(pel.Program([x], {"y": Value(y.primitive, y.inputs, y.attributes, wrong)}))


def test_needs_batch():
    x, w = parts()
    assert pel.Program([x], {"y": x}).needs_batch and pel.Program([], {"n": ops.batch_size()}).needs_batch
    assert not pel.Program([], {"y": w * 2}).needs_batch


# ---- running ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "inputs", "batch", "words"), [
    ({"w": [1, 2]}, {}, None, "input 'x' .* is missing"),
    ({}, {"x": X}, None, "state 'w' .* is missing"),
    ({"w": [1, 2]}, {"x": X, "z": 1}, None, "no such input: 'z'"),
    ({"w": [1, 2]}, {"x": X[:, :1]}, None, r"shape \(3, 1\), expected n samples of shape \(2,\)"),
    ({"w": [1, 2]}, {"x": X[0]}, None, r"shape \(2,\), expected n samples"),
    ({"w": [1, 2]}, {"x": 1.0}, None, r"shape \(\), expected n samples"),
    ({"w": [1, 2]}, {"x": X}, 4, "expected 4 samples"),
    ({"w": [1, 2, 3]}, {"x": X}, None, r"state 'w' has shape \(3,\), expected \(2,\)"),
])  # fmt: skip
def test_wrong_calls_leave_state_alone(state, inputs, batch, words):
    x, w = parts()
    before = dict(state)
    with pytest.raises(pel.GraphError, match=words):
        reference.compile(pel.Program([x], {}, {w: w + ops.batch_sum(x)}))(state, inputs, batch)
    assert state == before


def test_inputs_must_agree_on_the_number_of_samples():
    x, y = pel.input("x"), pel.input("y")
    with pytest.raises(pel.GraphError, match=r"'y' has shape .* expected 3 samples"):
        reference.compile(pel.Program([x, y], {"z": x + y}))({}, {"x": np.ones(3), "y": np.ones(4)})


def test_batch_size_is_asked_for_where_nothing_tells_it():
    run = reference.compile(pel.Program([], {"n": ops.batch_size(), "i": ops.sample_index()}))
    with pytest.raises(pel.GraphError, match="give batch_size="):
        run()
    assert run(batch_size=4)["n"] == 4
    np.testing.assert_array_equal(run(batch_size=2)["i"], [0, 1])


@pytest.mark.parametrize("kind", ["all_samples", "each_sample"])
def test_samples_of_a_fixed_batch(kind):
    x = pel.input("x", (2,), "float64", kind="sample" if kind == "all_samples" else "shared")
    x = x if x.kind == "sample" else pel.input("x", (BATCH, 2), "float64", kind="shared")
    y = ops.all_samples(x, BATCH) if kind == "all_samples" else ops.each_sample(x)
    run = reference.compile(pel.Program([x], {"y": y}))
    np.testing.assert_array_equal(run({}, {"x": np.ones((BATCH, 2))}, BATCH)["y"], np.ones((BATCH, 2)))
    with pytest.raises(pel.GraphError, match=kind):
        run({}, {"x": np.ones((BATCH + (kind == "all_samples"), 2))}, BATCH + 1)


def test_a_batch_of_none():
    x, w = parts()
    out = reference.compile(pel.Program([x], {"s": ops.batch_sum(x * w), "y": x + w}))({"w": [1, 2]}, {"x": X[:0]})
    assert out["y"].shape == (0, 2) and not out["s"].any()


def test_updates_see_the_state_before_the_call():
    a, b, n = pel.state("a"), pel.state("b"), pel.state("n", (), "int32")
    run = reference.compile(pel.Program([], {"sum": a + b, "a": a}, {a: b, b: a + b, n: n + 1}))
    state = {"a": 0.0, "b": 1.0, "n": 0, "other": "kept"}
    outputs = [run(state) for _ in range(10)]
    assert [int(o["sum"]) for o in outputs] == [1, 2, 3, 5, 8, 13, 21, 34, 55, 89]
    assert [int(o["a"]) for o in outputs[:5]] == [0, 1, 1, 2, 3]
    assert state["n"] == 10 and state["n"].dtype == "int32" and state["other"] == "kept"


def test_state_only_read_is_not_replaced():
    x, w = parts()
    state = {"w": np.ones(2)}
    own = state["w"]
    reference.compile(pel.Program([x], {"y": x * w}))(state, {"x": X})
    assert state["w"] is own


def test_a_call_that_fails_changes_nothing():
    rows, table = pel.input("rows", (), "int32"), pel.state("table", (3,))
    n = pel.state("n")
    run = reference.compile(pel.Program([rows], {}, {n: n + 1, table: table + ops.batch_sum(ops.take(table, rows))}))
    state = {"table": np.ones(3, "float32"), "n": 0.0}
    with pytest.raises(IndexError):
        run(state, {"rows": [1, 7]})
    assert state["n"] == 0 and (state["table"] == 1).all()


# everything that could hand on an array without copying it
PASSED_ON = {
    "itself": lambda x, s, w: w,
    "input": lambda x, s, w: s,
    "stop_gradient": lambda x, s, w: ops.stop_gradient(s),
    "all_samples": lambda x, s, w: ops.all_samples(x, 3)[0],
    "all_samples whole": lambda x, s, w: ops.each_sample(ops.all_samples(x, 3)),
    "ruled": lambda x, s, w: ops.with_vjp(lambda g, y, v: (g,))(lambda v: v)(s),
    "cast": lambda x, s, w: ops.cast(s, "float64"),
    "reshape": lambda x, s, w: s.reshape(1, 2).reshape(2),
    "slice": lambda x, s, w: ops.stack([s, s])[1],
    "flip": lambda x, s, w: ops.flip(w),
    "constant": lambda x, s, w: ops.constant(CONSTANT),
    "fill": lambda x, s, w: ops.fill(1.0, (2,), "float64"),
    "computed": lambda x, s, w: w + s,
}
CONSTANT = np.array([5.0, 6.0])


@pytest.mark.parametrize("formula", list(PASSED_ON.values()), ids=list(PASSED_ON))
def test_no_array_is_shared(formula):
    """Neither between state, inputs, outputs and constants, nor between two states or outputs of one Value."""
    x, s = pel.input("x", (2,), "float64"), pel.input("s", (2,), "float64", kind="shared")
    w, v = pel.state("w", (2,), "float64"), pel.state("v", (2,), "float64")
    y = formula(x, s, w)
    updates = {w: y, v: y} if y.kind == "shared" else {w: ops.all_samples(y, 3)[0], v: ops.batch_sum(y)}
    run = reference.compile(pel.Program([x, s], {"y": y, "again": y, "w": w}, updates))
    state = {"w": np.array([1.0, 2.0]), "v": np.zeros(2)}
    given = {"x": X.copy(), "s": np.array([3.0, 4.0]), "constant": CONSTANT, "w": state["w"], "v": state["v"]}
    out = run(state, {"x": given["x"], "s": given["s"]})
    arrays = [*out.values(), *state.values(), *given.values()]
    for i, a in enumerate(arrays):
        assert not any(np.shares_memory(a, b) for b in arrays[:i])
    assert all(a.flags.writeable for a in (*out.values(), *state.values()))


def test_a_whole_batch_kept_as_state_is_a_copy():
    x, kept = pel.input("x", (2,), "float64"), pel.state("kept", (3, 2), "float64")
    run = reference.compile(pel.Program([x], {}, {kept: ops.all_samples(x, 3)}))
    state, given = {"kept": np.zeros((3, 2))}, X.copy()
    run(state, {"x": given})
    given[:] = 0
    np.testing.assert_array_equal(state["kept"], X)


def test_later_calls_do_not_change_earlier_outputs():
    x, w = parts()
    run = reference.compile(pel.Program([x], {"w": w, "y": x * w}, {w: w + ops.batch_sum(x)}))
    state = {"w": np.zeros(2)}
    first = run(state, {"x": X})
    copies = {name: a.copy() for name, a in first.items()}
    run(state, {"x": X})
    for name, a in first.items():
        np.testing.assert_array_equal(a, copies[name])


def test_fused_sum_of_a_product_that_is_also_an_output():
    """batch_sum(contract) is one contraction, unless the product itself is wanted too."""
    x, w = parts()
    for extra in ({}, {"y": ops.contract(x, w, "i,i->")}):
        product = extra.get("y", ops.contract(x, w, "i,i->"))
        out = reference.compile(pel.Program([x], {"s": ops.batch_sum(product), **extra}))({"w": [2.0, 3.0]}, {"x": X})
        assert out["s"] == (X @ [2.0, 3.0]).sum()
        assert out.get("y", X @ [2.0, 3.0]).tolist() == (X @ [2.0, 3.0]).tolist()


def test_given_numbers_take_the_dtype_of_the_value():
    x = pel.input("x", (), "float32")
    out = reference.compile(pel.Program([x], {"y": x * 2}))({}, {"x": [1, 2]})["y"]
    assert out.dtype == "float32" and out.tolist() == [2, 4]
