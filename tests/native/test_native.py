"""The native executor computes what the reference computes: primitives, composites, state, errors, odd programs."""

import os

import numpy as np
import pytest
from composite_cases import TABLE
from native_tools import LANES, agree, assert_same, filled, with_slopes
from primitive_cases import LEAVES, ONLY_KIND
from tools import distinct, in_dtype, kind_choices

import pellucid as pel
from pellucid import ops
from pellucid.executors import native, reference
from pellucid.executors.native.kernels import contraction_plan
from pellucid.executors.native.runtime import run as native_run
from pellucid.graph import PRIMITIVES

FLOATS = ("float32", "float64")
random = np.random.default_rng(3)


def normal(*shape, dtype="float32"):
    return random.normal(size=shape).astype(dtype)


# ---- every primitive --------------------------------------------------------------------------------------------


def all_cases(p, dtype, batch, derived=True):
    """One program with all samples of a primitive in all kinds, with derivatives; its arrays for any batch."""
    leaves, outputs, makers = {}, {}, []
    for s in p.samples:
        for kinds in kind_choices(len(s.inputs), ONLY_KIND.get(p.name)):
            arrays = in_dtype(filled(s.inputs, kinds, batch), dtype)
            values = [pel.input(f"x{len(leaves) + i}", a.shape[k == "sample" :], str(a.dtype), k)
                      for i, (a, k) in enumerate(zip(arrays, kinds, strict=True))]  # fmt: skip
            leaves |= {v.name: v for v in values}
            y = p(*values, **s.attributes)
            found = with_slopes(y, values) if derived and p.vjp and s.check_gradient else [y]
            outputs |= {f"{'-'.join(kinds)} {len(outputs) + i}": v for i, v in enumerate(found)}
            makers.append((s, kinds))

    def arrays_for(batch):
        given = [a for s, kinds in makers for a in in_dtype(filled(s.inputs, kinds, batch), dtype)]
        return dict(zip(leaves, given, strict=True))

    return pel.Program(leaves.values(), outputs), arrays_for


COMPUTED = [p for name, p in PRIMITIVES.items() if p.samples and name not in LEAVES]
BATCHES = [(w, d) for w in (4, 8, 16) for d in FLOATS if w == LANES or d == "float32"]


@pytest.mark.parametrize(("width", "dtype"), BATCHES)
@pytest.mark.parametrize("p", COMPUTED, ids=lambda p: p.name)
def test_primitive(p, width, dtype):
    fixed = p.name in ("all_samples", "each_sample")
    batches = [5] if fixed else [1, width - 1, width, width + 1, 37]
    program, arrays_for = all_cases(p, dtype, batches[0])
    run = native.Run(program, width=width)
    for batch in batches:
        agree(program, arrays_for(batch), batch=batch, run=run)


@pytest.mark.parametrize("dtype", FLOATS)
def test_composites(dtype):
    leaves, outputs, inputs = [], {}, {}
    for name, (function, _, arrays) in TABLE.items():
        for kinds in [("sample",) * len(arrays), ("shared",) * len(arrays), ("sample", "shared")[: len(arrays)]]:
            given = in_dtype(filled(arrays, kinds, LANES + 3), dtype)
            values = [pel.input(f"x{len(leaves) + i}", a.shape[k == "sample" :], str(a.dtype), k)
                      for i, (a, k) in enumerate(zip(given, kinds, strict=True))]  # fmt: skip
            leaves += values
            inputs |= {v.name: a for v, a in zip(values, given, strict=True)}
            found = with_slopes(function(*values), values)
            outputs |= {f"{name} {kinds[0]} {i} {len(outputs)}": v for i, v in enumerate(found)}
    names = list(outputs)
    for part in range(0, len(names), 60):  # LLVM's time grows faster than a function
        some = {name: outputs[name] for name in names[part : part + 60]}
        used = [v for v in pel.graph.toposort(some.values()) if not v.inputs and v.name in inputs]
        agree(pel.Program(used, some), {v.name: inputs[v.name] for v in used}, batch=LANES + 3)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", ["sample", "shared"])
def test_values_that_are_not_finite(kind, dtype):
    inf = np.inf
    x = pel.input("x", (8,), dtype, kind)
    given = np.array([[0, -0.0, inf, -inf, np.nan, 1e30, -1e30, 1], [np.nan] * 8, [inf, 1, inf, 1, 1, 1, 1, 1]], dtype)
    row = given if kind == "sample" else given[0]
    outputs = {
        "max": ops.max(x),
        "min": ops.min(x),
        "argmax": ops.argmax(x),
        "sum": ops.sum(x),
        "sign": ops.sign(x),
        "floor": ops.floor(x),
        "abs": abs(x),
        "more": ops.maximum(x, 0),
        "less": x < 1,
        "same": ops.equal(x, x),
        "bool": ops.cast(x, "bool"),
        "root": ops.sqrt(x),
        "over": 1 / x,
        "logsumexp": ops.logsumexp(x),
    }
    agree(pel.Program([x], outputs), {"x": row})


# ---- whole numbers and random numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sample", "shared"])
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32"])
def test_integers_wrap_as_numpy_does(dtype, kind):
    ends = np.iinfo(dtype)
    given = np.array([ends.min, ends.max, 0, 1, 77, ends.max - 3, 5], dtype)
    x, y = (pel.input(n, (7,), dtype, kind) for n in "xy")
    outputs = {
        "add": x + y,
        "multiply": x * y,
        "subtract": x - y,
        "max": ops.maximum(x, y),
        "less": x < y,
        "sum": ops.sum(x),
        "largest": ops.max(x),
        "argmax": ops.argmax(x),
        **{d: ops.cast(x, d) for d in ("int32", "int64", "uint32", "uint8", "bool", "float64", "float32")},
    }
    lead = (lambda a: np.stack([a] * 3)) if kind == "sample" else lambda a: a
    agree(pel.Program([x, y], outputs), {"x": lead(given), "y": lead(given[::-1])})


KEY = np.array([9, 2**31 + 5], "uint32")


@pytest.mark.parametrize("dtype", FLOATS)
def test_random_numbers_are_those_of_the_reference(dtype):
    key = pel.state("key", (2,), "uint32")
    outputs, exact = {}, set()
    for kind in ("sample", "shared"):
        for shape in [(), (5,), (3, 7), (40,)]:
            stream = ops.fold_in(key, len(outputs))
            draws = {
                "bits": ops.random_bits(stream, shape, kind),
                "uniform": ops.uniform(stream, shape, dtype, kind=kind),
                "bernoulli": ops.bernoulli(stream, 0.3, shape, dtype, kind),
                "normal": ops.normal(stream, shape, dtype, kind=kind),
                "range": ops.uniform(stream, shape, dtype, -3, 5, kind),
            }
            exact |= {f"{n} {kind} {shape}" for n in draws if n not in ("normal", "range")}
            outputs |= {f"{n} {kind} {shape}": v for n, v in draws.items()}
    program = pel.Program([], outputs, {key: ops.fold_in(key, 0)})
    states = [{"key": KEY}, {"key": KEY}]
    expected, found = reference.compile(program)(states[0], {}, 37), native.Run(program)(states[1], {}, 37)
    for name, array in expected.items():
        if name in exact:
            np.testing.assert_array_equal(found[name], array, err_msg=name)
        else:
            assert_same(found[name], array, 2e-6 if dtype == "float32" else 1e-12, name)
    np.testing.assert_array_equal(states[0]["key"], states[1]["key"])


# ---- rows by number ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows_kind", ["sample", "shared"])
@pytest.mark.parametrize("table_kind", ["sample", "shared"])
def test_take_and_scatter(table_kind, rows_kind):
    n = LANES + 2
    lead = {"sample": (n,), "shared": ()}
    table = pel.input("table", (7, 3), kind=table_kind)
    rows = pel.input("rows", (4,), "int64", rows_kind)
    outputs = with_slopes(ops.take(table, rows), [table])
    outputs += with_slopes(ops.scatter_rows(ops.take(table, rows), rows, 9), [table])
    inputs = {"table": normal(*lead[table_kind], 7, 3), "rows": random.integers(0, 7, (*lead[rows_kind], 4))}
    agree(pel.Program([table, rows], dict(enumerate(outputs))), inputs, batch=n)


def taking(kind="sample"):
    """Adds the taken rows of a table to a small and a large state, and counts steps."""
    rows, x = pel.input("rows", (2,), "int32", kind), pel.input("x", ())
    table, large, n = pel.state("table", (5, 3)), pel.state("large", (1500,)), pel.state("n", (), "int32")
    taken = ops.sum(ops.take(table, rows))
    total = ops.batch_sum(taken + x) if kind == "sample" else ops.batch_sum(x) + taken
    return pel.Program([rows, x], {"total": total}, {table: table + total, large: large * 0.5 + total, n: n + 1})


def taking_state():
    return {"table": normal(5, 3), "large": normal(1500), "n": np.array(0, "int32")}


@pytest.mark.parametrize("bad", [-1, 5, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("kind", ["sample", "shared"])
def test_a_row_outside_is_an_error_and_changes_nothing(kind, bad):
    rows = np.zeros((LANES + 1, 2) if kind == "sample" else 2, "int32")
    rows.flat[-1] = bad
    inputs, state = {"rows": rows, "x": normal(LANES + 1)}, taking_state()
    for run in (reference.compile(taking(kind)), native.Run(taking(kind))):
        given = dict(state)
        with pytest.raises(IndexError, match=f"take: row {bad} is outside 0..4"):
            run(given, inputs)
        assert all(given[name] is state[name] for name in state)


def test_steps_before_a_row_outside_are_kept():
    rows = random.integers(0, 5, (50, 2)).astype("int32")
    rows[33, 1] = 7
    inputs, order = {"rows": rows, "x": normal(50)}, random.permutation(50)
    start = taking_state()
    states = []
    for run in (reference.compile(taking()), native.Run(taking()), native.Run(taking(), threads=3)):
        states.append(dict(start))
        with pytest.raises(IndexError, match=r"row 7 is outside 0..4 \(1 such\)"):
            run.steps(states[-1], inputs, order, 8)
    assert states[0]["n"] == np.flatnonzero(order == 33)[0] // 8
    for name in start:
        assert_same(states[1][name], states[0][name], 1e-4)
        assert states[1][name].tobytes() == states[2][name].tobytes()


def test_rows_that_no_sample_has_are_no_error():
    """Lanes beyond the batch, and lanes beyond a row of features, may hold any number."""
    table = pel.input("table", (LANES + 1,), kind="shared")
    by_index = ops.take(table, ops.cast(ops.sample_index(), "int32"))
    by_feature = ops.take(table, ops.iota(LANES + 1) + ops.iota(1))
    program = pel.Program([table], {"a": by_index, "b": by_feature, "c": ops.batch_sum(by_index)})
    agree(program, {"table": normal(LANES + 1)}, batch=LANES + 1)
    scattered = ops.scatter_rows(ops.sample_index(), ops.cast(ops.sample_index(), "int32"), LANES + 1)
    agree(pel.Program([], {"a": scattered, "b": ops.batch_sum(scattered)}), batch=LANES + 1)
    with pytest.raises(IndexError, match=f"row {LANES + 1} is outside"):
        native.Run(program)({}, {"table": normal(LANES + 1)}, LANES + 2)


@pytest.mark.parametrize("kind", ["sample", "shared"])
def test_scatter_outside_is_an_error(kind):
    x, rows = pel.input("x", (3,), kind=kind), pel.input("rows", (3,), "int32", kind)
    program = pel.Program([x, rows], {"y": ops.scatter_rows(x, rows, 4)})
    given = {"x": np.ones((2, 3), "float32"), "rows": np.array([[0, 1, 2], [3, 4, 0]], "int32")}
    given = given if kind == "sample" else {name: a[1] for name, a in given.items()}
    with pytest.raises(IndexError, match=r"scatter_rows: row 4 is outside 0..3 \(1 such\)"):
        native.Run(program)({}, given)


def test_a_table_without_rows():
    table, rows = pel.input("table", (0,), kind="shared"), pel.input("rows", (), "int32")
    run = native.Run(pel.Program([table, rows], {"y": ops.take(table, rows)}))
    with pytest.raises(IndexError, match=r"take: row 0 is outside"):
        run({}, {"table": np.zeros(0, "float32"), "rows": np.zeros(3, "int32")})


# ---- kinds ------------------------------------------------------------------------------------------------------


def test_each_sample_and_all_samples():
    n = LANES + 2
    x, table = pel.input("x", (3,)), pel.input("table", (n, 2), kind="shared")
    together, apart = ops.all_samples(x, n), ops.each_sample(table)
    outputs = {
        "all": together,
        "each": apart,
        "products": ops.contract(together, together, "ij,kj->ik"),
        "back": ops.each_sample(together * 2),
        "transposed": together.T,
        "shifted": ops.flip(together, 0),
        **{f"slope{i}": g for i, g in enumerate(with_slopes(together, [x]) + with_slopes(apart, [table]))},
    }
    program = pel.Program([x, table], outputs)
    given = {"x": normal(n, 3), "table": normal(n, 2)}
    agree(program, given)
    for batch in (1, n - 1, n + 1):
        for run in (reference.compile(program), native.Run(program)):
            with pytest.raises(pel.GraphError, match=f"{n} samples, got|for {n} samples, got a batch of {batch}"):
                run({}, {"x": normal(batch, 3), "table": given["table"]})
    whole = native.Run(pel.Program([x], {"y": ops.sum(together)}))
    assert whole.steps({}, {"x": normal(3 * n, 3)}, None, n)
    with pytest.raises(pel.GraphError, match=f"batches of {n} samples, got 5"):
        whole.steps({}, {"x": normal(2 * n + 5, 3)}, None, n)


def test_a_program_without_sample_inputs():
    key, w = pel.state("key", (2,), "uint32"), pel.state("w", (3,))
    noise = ops.uniform(key, (3,), "float32", kind="sample") * w
    program = pel.Program([], {"mean": ops.batch_mean(noise), "each": noise, "index": ops.sample_index()})
    for batch in (1, 5, LANES, 2 * LANES + 1):
        agree(program, state={"key": KEY, "w": normal(3)}, batch=batch)
    with pytest.raises(pel.GraphError, match="give batch_size="):
        native.Run(program)({"key": KEY, "w": normal(3)})
    agree(pel.Program([], {"w2": w * w}, {w: w + 1}), state={"w": normal(3)})


@pytest.mark.parametrize("kind", ["sample", "shared"])
def test_outputs_that_are_not_computed(kind):
    """Leaves, constants, views of both, and one value under several names."""
    x = pel.input("x", (3, 4), kind=kind)
    s, c, b = pel.state("s", (4,)), ops.constant(normal(2, 3)), pel.input("b", (2,), "bool", kind)
    outputs = {
        "x": x,
        "xT": x.T,
        "row": x[1],
        "s": s,
        "more": ops.broadcast_to(s, (2, 4)),
        "c": c,
        "cT": c.T,
        "b": b,
        "fill": ops.fill(3, (2, 2), "int32"),
        "iota": ops.iota(5),
        "flip": ops.flip(x),
        "same": x,
        "samples": ops.to_samples(s),
        "index": ops.sample_index(),
        "n": ops.batch_size(),
        "y": x * 2,
        "yT": (x * 2).T,
    }
    n = LANES + 1
    lead = (n,) if kind == "sample" else ()
    agree(
        pel.Program([x, b], outputs),
        {"x": normal(*lead, 3, 4), "b": random.random((*lead, 2)) < 0.5},
        {"s": normal(4)},
        n,
    )


def test_inputs_that_are_not_used():
    x, y, s = pel.input("x", (3,)), pel.input("y", ()), pel.state("s", (2,))
    agree(pel.Program([x, y], {"y": y + 1}), {"x": normal(5, 3), "y": normal(5)})
    agree(pel.Program([x, y], {}), {"x": normal(5, 3), "y": normal(5)})
    agree(pel.Program([x], {"s": s}), {"x": normal(5, 3)}, {"s": normal(2)})


def test_inputs_under_other_names():
    """Two inputs may have one name of their own; what counts is what the program calls them."""
    a, b, c, d = (pel.input("x", (3,), kind=k) for k in ("sample", "sample", "shared", "shared"))
    program = pel.Program({"p": a, "q": b, "r": c, 0: d}, {"y": a * b + c - d})
    agree(program, {"p": normal(5, 3), "q": normal(5, 3), "r": normal(3), 0: normal(3)})
    agree(pel.Program({"p": a, "q": a}, {"y": a}), {"p": normal(5, 3), "q": normal(5, 3)})


def test_numbers_counted_in_every_dtype():
    outputs = {d: ops.iota(LANES + 3, d) for d in ("float32", "float64", "int32", "int64", "uint32", "uint8")}
    x = pel.input("x", (LANES + 3,))
    agree(pel.Program([x], outputs | {"sum": x + ops.iota(LANES + 3, "float32")}), {"x": normal(4, LANES + 3)})


def test_arrays_that_do_not_begin_at_a_multiple():
    raw = bytearray(4 * 3 * (LANES + 5) + 1)
    shifted = np.frombuffer(raw, "float32", 3 * (LANES + 5), 1).reshape(LANES + 5, 3)
    shifted[:] = normal(LANES + 5, 3)
    x, w = pel.input("x", (3,)), pel.state("w", (LANES + 5, 3))
    program = pel.Program([x], {"y": ops.batch_sum(x * 2)}, {w: w + ops.batch_sum(x)})
    assert not shifted.flags.aligned
    agree(program, {"x": shifted}, {"w": shifted})


def test_no_samples():
    x, s = pel.input("x", (3,)), pel.state("s", (3,))
    program = pel.Program([x], {"x": x * 2, "n": ops.batch_size()}, {s: s * 2 + ops.batch_sum(x)})
    agree(program, {"x": np.zeros((0, 3), "float32")}, {"s": normal(3)})


def test_values_without_elements():
    x = pel.input("x", (0, 3))
    outputs = {
        "x": x,
        "sum": ops.sum(x, 0),
        "join": ops.concatenate([x, x]),
        "more": ops.concatenate([x, x[:, :2].reshape(0, 3), ops.pad(x, [(1, 0), (0, 0)], 4)]),
        "pad": ops.pad(x, [(1, 1), (0, 0)], 2.5),
        "product": ops.contract(x, x, "ij,ik->jk"),
        "batch": ops.batch_sum(x),
        "reshape": x.reshape(3, 0),
        "twice": x * 2,
        "T": x.T,
        "flat": ops.sum(ops.concatenate([x, x + 1])),
    }
    agree(pel.Program([x], outputs), {"x": np.zeros((4, 0, 3), "float32")})


# ---- state ------------------------------------------------------------------------------------------------------

SIZES = [(), (3,), (1024,), (1025,), (41, 43)]


@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_all_updates_are_from_the_state_before(shape):
    a, b, c, d, e = (pel.state(name, shape) for name in "abcde")
    x = pel.input("x", shape)
    shared = a * b
    program = pel.Program(
        [x],
        {"old": a, "new": a + 1, "sum": ops.sum(a), "of new": ops.sum(a + shared), "view": ops.flip(b)},
        {a: b, b: a, c: shared + c, d: shared - c + ops.batch_sum(x) * d, e: ops.sum(d) - e},
    )
    state = {name: normal(*shape) for name in "abcde"}
    inputs, n = {"x": normal(5, *shape)}, 0
    run = native.Run(program)
    for _ in range(3):
        kept = {k: v.copy() for k, v in state.items()}
        _, new = agree(program, inputs, state, run=run, tolerance=1e-4)
        assert all((state[k] == kept[k]).all() for k in state), "the arrays that were given are as they were"
        state, n = new, n + 1


@pytest.mark.parametrize("shape", SIZES[1:], ids=str)
def test_updates_one_behind_the_other(shape):
    """Momentum: the new velocity goes into the weight; a weight may also read its own neighbors."""
    w, v, u = (pel.state(name, shape) for name in "wvu")
    x = pel.input("x", shape)
    v_new = v * 0.9 - ops.batch_mean(w * x)
    u_new = ops.flip(u) * 0.5 + v_new
    program = pel.Program([x], {"loss": ops.batch_mean(ops.sum(w * x))}, {v: v_new, w: w + v_new, u: u_new})
    agree(program, {"x": normal(LANES + 1, *shape)}, {name: normal(*shape) for name in "wvu"}, tolerance=1e-4)


def test_new_values_that_are_stored_together_and_read_each_others_old_ones():
    """What is stored first must not be what the second reads."""
    a, b, c, z = (pel.state(name, (50, 41)) for name in "abcz")
    common = ops.exp(z)
    program = pel.Program([], {}, {a: common + b, b: common - c, c: common * a})
    agree(program, state={name: normal(50, 41) for name in "abcz"})


def test_a_new_value_that_is_also_given_out():
    w = pel.state("w", (40, 40))
    new = w * 2
    program = pel.Program([], {"new": new, "old": w, "sum": ops.sum(new)}, {w: new})
    agree(program, state={"w": normal(40, 40)})
    a, b = pel.state("a", (2000,)), pel.state("b", (2000,))
    both = a + b
    agree(pel.Program([], {"a": a}, {a: both, b: both}), state={"a": normal(2000), "b": normal(2000)})


def test_a_state_keeps_its_dtype():
    names = ("int32", "int64", "uint32", "uint8", "bool", "float64")
    states = [pel.state(d, (3,), d) for d in names]
    updates = {s: ops.cast(ops.cast(s, "int32") + 1, s.dtype) for s in states}
    state = {d: np.array([0, 1, 200], "uint8").astype(d) for d in names}
    agree(pel.Program([], {}, updates), state=state)


# ---- weights: sums over samples with features in lanes ----------------------------------------------------------


def gradient_of(function, shape):
    w, x = pel.state("w", shape), pel.input("x", (shape[1],))
    return w, x, pel.grad(ops.batch_mean(ops.sum(ops.tanh(function(w, x)))), w)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (7, 16), (10, 17), (33, 70), (40, 31)], ids=str)
@pytest.mark.parametrize("dtype", FLOATS)
def test_gradients_of_weights(shape, dtype):
    w, x = pel.state("w", shape, dtype), pel.input("x", (shape[1],), dtype)
    y = ops.tanh(ops.contract(w, x, "ij,j->i"))
    back = ops.contract(w, y, "ij,i->j")  # the same weight, transposed
    cost = ops.batch_mean(ops.sum(y * y) + ops.sum(back * x))
    g = pel.grad(cost, w)
    program = pel.Program([x], {"cost": cost, "slope": pel.grad(cost, x)}, {w: w - 0.1 * g})
    run = native.Run(program)
    for n in (1, LANES, 37):
        agree(program, {"x": normal(n, shape[1], dtype=dtype)}, {"w": normal(*shape, dtype=dtype)}, run=run,
              tolerance=1e-5 if dtype == "float32" else 1e-12)  # fmt: skip


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (10, 17), (33, 70), (100, 41)], ids=str)
def test_threads_that_share_the_rows_of_a_weight(shape, monkeypatch):
    """As they do with large ones: each computes some rows for all samples, and waits for the others."""
    monkeypatch.setattr(contraction_plan, "SPLIT_BYTES", 0)
    monkeypatch.setenv("PELLUCID_CACHE", "")
    w, x = pel.state("w", shape), pel.input("x", (shape[1],))
    y = ops.tanh(ops.contract(w, x, "ij,j->i"))
    cost = ops.batch_mean(ops.sum(y * y) + ops.sum(ops.contract(w, y, "ij,i->j") * x))
    program = pel.Program([x], {"cost": cost}, {w: w - 0.1 * pel.grad(cost, w)})
    arrays, start = {"x": normal(101, shape[1])}, {"w": normal(*shape) * 0.1}
    agree(program, {"x": arrays["x"][:37]}, start)
    bits = set()
    for threads in (1, 2, 3, 5):
        state = dict(start)
        native.Run(program, threads=threads).steps(state, arrays, None, 37)
        bits.add(state["w"].tobytes())
    expected = dict(start)
    reference.compile(program).steps(expected, arrays, None, 37)
    assert len(bits) == 1
    assert_same(state["w"], expected["w"])


EPILOGUES = {
    "transposed": lambda w, g: g * ops.constant(normal(30, 40)).T,
    "flipped": lambda w, g: ops.flip(w) - g,
    "flipped rows": lambda w, g: ops.flip(w, 0) - g,
    "reshaped": lambda w, g: g * ops.constant(normal(30, 40)).reshape(40, 30),
    "padded": lambda w, g: g + ops.pad(w[:, 1:-1], [(0, 0), (1, 1)], 2.0),
    "joined": lambda w, g: g + ops.concatenate([w[:, 5:], w[:, :5]], 1),
    "taken": lambda w, g: g + ops.take(w.T, ops.flip(ops.iota(30))).T,
    "strided": lambda w, g: g + ops.constant(normal(40, 60))[:, ::2],
    "row": lambda w, g: g + w[3] * ops.expand_dims(w[:, 2], -1),
    "counted": lambda w, g: g + ops.cast(ops.iota(30), "float32") * ops.batch_size(),
    "normed": lambda w, g: g / (ops.norm(g) + 1),
    "both ways": lambda w, g: w - ops.dot(ops.dot(g, g.T), g) * 0.01,
}


@pytest.mark.parametrize("name", EPILOGUES)
def test_what_stands_behind_a_gradient(name):
    w, x, g = gradient_of(lambda w, x: ops.contract(w, x, "ij,j->i"), (40, 30))
    program = pel.Program([x], {}, {w: EPILOGUES[name](w, g)})
    agree(program, {"x": normal(37, 30)}, {"w": normal(40, 30) * 0.1}, tolerance=1e-4)


def test_tied_weights():
    w, x, g = gradient_of(
        lambda w, x: ops.contract(w.T, ops.tanh(ops.contract(w, x, "ij,j->i")), "ij,j->i") - x, (19, 30)
    )
    agree(pel.Program([x], {"g": g}, {w: w - 0.1 * g}), {"x": normal(37, 30)}, {"w": normal(19, 30) * 0.1})


def test_outer_products_with_shared_values():
    """Only one side differs from sample to sample: the other is a weight, a number, or computed from one."""
    x, s = pel.input("x", (5,)), pel.state("s", (7,))
    others = {
        "state": s,
        "computed": ops.tanh(s),
        "number": ops.reshape(ops.batch_size(), (1,)),
        "fill": ops.fill(2, (3,), "float32"),
    }
    outputs = {name: ops.batch_sum(ops.contract(x, ops.to_samples(v), "i,j->ij")) for name, v in others.items()}
    outputs |= {
        f"{name} first": ops.batch_sum(ops.contract(ops.to_samples(v), x, "i,j->ij")) for name, v in others.items()
    }
    agree(pel.Program([x], outputs, {s: s - ops.sum(outputs["state"], 0)}), {"x": normal(37, 5)}, {"s": normal(7)})


SPECS = ["i,j->ij", "i,j->ji", "i,jk->ikj", "ij,k->jik", "ij,jk->ik", "ij,kj->ik", "ij,ij->ij", "ij,ij->j", "ij,ij->",
         "hij,hk->hkji", "ij,->ij", "i,i->i", "hi,hj->ij", "hi,hj->hij"]  # fmt: skip
LENGTHS = {"h": 3, "i": 5, "j": 18, "k": 2}


@pytest.mark.parametrize("kinds", kind_choices(2), ids="-".join)
def test_contractions(kinds):
    leaves, outputs, inputs = [], {}, {}
    for n, spec in enumerate(SPECS):
        operands = []
        for letters, kind, name in zip(spec.split("->")[0].split(","), kinds, "ab", strict=True):
            shape = tuple(LENGTHS[c] for c in letters)
            leaves.append(pel.input(f"{name}{n}", shape, kind=kind))
            operands.append(leaves[-1])
            inputs[f"{name}{n}"] = normal(*(LANES + 3,) * (kind == "sample"), *shape)
        y = ops.contract(*operands, spec)
        outputs[spec] = y
        if y.kind == "sample":
            outputs[f"sum {spec}"] = ops.batch_sum(y)
    agree(pel.Program(leaves, outputs), inputs)


def test_inner_products_of_numbers_that_are_not_in_memory():
    ones, counts = ops.fill(1, (LANES + 5,), "float32"), ops.cast(ops.iota(LANES + 5), "float32")
    s = pel.state("s", ())
    outputs = {
        "a": ops.dot(ones, ones),
        "b": ops.dot(counts, ones),
        "c": ops.dot(ones * s, counts),
        "d": ops.dot(ops.broadcast_to(s, (5,)), ops.broadcast_to(s, (5,))),
    }
    agree(pel.Program([], outputs), state={"s": normal()})


def test_an_inner_product_updates_each_weight_once():
    """1027 is no multiple of the rows that are computed together."""
    a, q, r = pel.state("a", (1027,)), pel.state("q", (1027, 3)), pel.state("r", (3,))
    agree(
        pel.Program([], {}, {a: a * 0.5 + ops.dot(q, r)}),
        state={"a": normal(1027), "q": normal(1027, 3), "r": normal(3)},
    )


# ---- groups -----------------------------------------------------------------------------------------------------


def test_nests_that_would_need_each_other():
    """a1 -> b1 and b2 -> a2, where (a1, a2) and (b1, b2) could each be one nest."""
    x, y = pel.input("x", (5,)), pel.input("y", (5,))
    a1, b2 = ops.exp(x), ops.tanh(y)
    b1, a2 = ops.flip(a1) + b2, ops.flip(b2) + a1
    program = pel.Program([x, y], {"a1": a1, "a2": a2 * a1, "b1": b1 * b2, "b2": b2})
    agree(program, {"x": normal(9, 5), "y": normal(9, 5)})


def test_statistics_of_a_batch():
    """Means over samples that go back into samples, several times, and running means of them (batch normalization)."""
    x, gamma = pel.input("x", (6,)), pel.state("gamma", (6,))
    running = pel.state("running", (6,))
    mean = ops.batch_mean(x)
    d = x - mean
    variance = ops.batch_mean(d * d)
    y = d / ops.sqrt(variance + 1e-3) * gamma
    cost = ops.batch_mean(ops.sum(ops.tanh(y)))
    program = pel.Program(
        [x], {"y": y, "cost": cost, "dx": pel.grad(cost, x)},
        {gamma: gamma - pel.grad(cost, gamma), running: running * 0.9 + mean - variance},
    )  # fmt: skip
    agree(program, {"x": normal(37, 6)}, {"gamma": normal(6), "running": normal(6)}, tolerance=1e-4)


@pytest.mark.parametrize("kind", ["sample", "shared"])
def test_long_chains(kind):
    """Longer than Python's stack; and with more paths than could be walked."""
    x = pel.input("x", (), kind=kind)
    y = z = x
    for _ in range(1500):
        y = y * 0.999 + 0.001
    for _ in range(80):
        z = z + z * 0.01 * z
    agree(pel.Program([x], {"y": y, "z": z}), {"x": np.full((3,) if kind == "sample" else (), 0.1, "float32")})


@pytest.mark.parametrize("kind", ["sample", "shared"])
def test_views_of_views(kind):
    """Flips below reshapes, slices of pads, lengths that do not divide by the lanes."""
    n = LANES + 3
    x = pel.input("x", (6, n), kind=kind)
    views = {
        "flip, reshape": ops.flip(x).reshape(3, 2 * n),
        "flip, flat": ops.flip(x, 0).reshape(6 * n),
        "transpose, flat": x.T.reshape(6 * n),
        "slice, flat": x[::2, 1:].reshape(3 * (n - 1)),
        "flat, flip, split": ops.flip(x.reshape(6 * n)).reshape(2, n, 3),
        "split, transpose": ops.transpose(x.reshape(2, 3, n), (1, 2, 0)).reshape(n * 3, 2),
        "broadcast, flat": ops.broadcast_to(x[:, None], (6, 4, n)).reshape(24, n)[5:],
        "strided": ops.flip(x[:, ::3]).reshape(-1),
        "three axes, flat, flip": ops.flip(ops.transpose(x.reshape(2, 3, n), (1, 0, 2)).reshape(6 * n)),
        "three axes, flip, two": ops.flip(ops.flip(x.reshape(3, 2, n), 1).reshape(6, n)).reshape(n, 6),
    }
    outputs = views | {f"{k} * 2": v * 2 for k, v in views.items()} | {f"sum {k}": ops.sum(v) for k, v in views.items()}
    agree(pel.Program([x], outputs), {"x": normal(*(5,) * (kind == "sample"), 6, n)})


# ---- steps ------------------------------------------------------------------------------------------------------


def counting(threads=None):
    """Adds the rows it sees to a total; its outputs are the sum of their logarithms and their number."""
    x, total, n = pel.input("x", (2,), "float64"), pel.state("total", (2,), "float64"), pel.state("n", (), "int32")
    outputs = {"logs": ops.batch_sum(ops.sum(ops.log(x))), "count": ops.batch_size("float64")}
    program = pel.Program([x], outputs, {total: total + ops.batch_sum(x), n: n + 1})
    return native.Run(program, threads=threads), reference.compile(program)


def start():
    return {"total": np.zeros(2), "n": np.array(0, "int32")}


X = np.abs(distinct((50, 2)))
ORDERS = {
    "all": None,
    "reversed": np.arange(50)[::-1],
    "some": np.array([7, 7, 0]),
    "from the end": np.array([-1, 3, -50]),
    "none": np.array([], int),
    "mask": np.arange(50) % 3 == 0,
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("rows", ORDERS.values(), ids=ORDERS)
def test_steps(rows, threads):
    runs = counting(threads)
    for batch in (1, 3, LANES, 50, 99):
        states, calls, sums = [start(), start()], [], []
        for run, state in zip(runs, states, strict=True):
            calls.clear()
            given = rows if rows is None or rows.dtype != bool else np.flatnonzero(rows)
            sums.append(run.steps(state, {"x": X}, given if run is runs[1] else rows, batch, "logs", calls.append))
        np.testing.assert_allclose(list(sums[0].values()), list(sums[1].values()), rtol=1e-12)
        assert list(sums[0]) == ["logs", "count"] and all(type(s) is float for s in sums[0].values())
        np.testing.assert_allclose(states[0]["total"], states[1]["total"], rtol=1e-12)
        assert states[0]["n"] == states[1]["n"] and states[0]["n"].dtype == "int32"


def test_progress_is_told():
    run, calls = counting(1)[0], []
    run.steps(start(), {"x": X}, None, 7, on_step=calls.append)
    assert calls == sorted(calls) and calls[-1] == 50
    run.steps(start(), {"x": X}, np.array([], int), 7, on_step=lambda done: pytest.fail("a step"))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("bad", [-1.0, 0.0, np.nan, np.inf])
def test_a_step_that_is_not_finite_changes_nothing_and_says_which_rows(bad, threads):
    x = X.copy()
    x[7, 1] = bad
    for rows in (None, np.array([9, 8, 5, 6, 7, 4, 3]), np.array([7])):
        caught, states = [], [start(), start()]
        for run, state in zip(counting(threads), states, strict=True):
            with pytest.raises(pel.executors.NotFinite) as failure:
                run.steps(state, {"x": x}, rows, 3, "logs")
            caught.append((failure.value.step, failure.value.rows.tolist()))
        assert caught[0] == caught[1]
        assert states[0]["n"] == states[1]["n"]
        np.testing.assert_allclose(states[0]["total"], states[1]["total"], rtol=1e-12)
    run = counting(threads)[0]
    assert np.isnan(run.steps(start(), {"x": -X}, None, 3)["logs"])


@pytest.mark.parametrize(("arrays", "rows", "batch", "error", "words"), [
    ({"x": X}, np.array([50]), 2, IndexError, "row 50 is outside the 50 samples"),
    ({"x": X}, np.array([-51]), 2, IndexError, "row -51"),
    ({"x": X}, None, 0, pel.ArgumentError, "batch_size must be"),
    ({"x": X[:, :1]}, None, 2, pel.GraphError, r"has shape \(50, 1\), expected n samples of shape \(2,\)"),
    ({}, None, 2, pel.GraphError, "number of samples"),
    ({"x": X, "y": X[:4]}, None, 2, pel.GraphError, "number of samples"),
    ({"y": X}, None, 2, pel.GraphError, "no such input: 'y'"),
    ({"x": X.astype(complex)}, None, 2, pel.GraphError, "holds complex128"),
    ({"x": X[0, 0]}, None, 2, pel.GraphError, "number of samples"),
])  # fmt: skip
def test_arrays_that_do_not_fit(arrays, rows, batch, error, words):
    state = start()
    with pytest.raises(error, match=words):
        counting()[0].steps(state, arrays, rows, batch)
    assert state["n"] == 0
    with pytest.raises(pel.GraphError, match="state 'total'"):
        counting()[0].steps({"n": 0}, {"x": X}, None, 2)
    with pytest.raises(pel.GraphError, match="state 'total' has shape"):
        counting()[0].steps({"n": 0, "total": np.zeros(3)}, {"x": X}, None, 2)


def test_whole_numbers_that_do_not_fit():
    label = pel.input("label", (), "int32")
    run = native.Run(pel.Program([label], {"sum": ops.batch_sum(label)}))
    assert run.steps({}, {"label": np.arange(10, dtype="int64")}, None, 4) == {"sum": 45.0}
    with pytest.raises(pel.GraphError, match="holds 2147483648, which is no int32"):
        run.steps({}, {"label": np.array([1, 2**31])}, None, 4)
    with pytest.raises(pel.GraphError, match="holds float64, expected int32"):
        run.steps({}, {"label": np.array([1.0, 2.0])}, None, 4)


SOURCES = {
    "float64": lambda x: x,
    "float32": lambda x: x.astype("float32"),
    "big-endian": lambda x: x.astype(">f8"),
    "int64": lambda x: (x * 4).astype("int64"),
    "uint8": lambda x: (x * 4).astype("uint8"),
    "bool": lambda x: x > 1,
    "fortran": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, 0)[::2],
    "reversed": lambda x: x[::-1],
    "read-only": lambda x: np.broadcast_to(x[0], x.shape),
}


@pytest.mark.parametrize("small", [False, True], ids=["whole", "in pieces"])
@pytest.mark.parametrize("name", SOURCES)
def test_arrays_of_other_dtypes_and_layouts(name, small, monkeypatch):
    if small:
        monkeypatch.setattr(native_run, "PIECE_BYTES", 100)
    x, order = SOURCES[name](X + 1), random.permutation(50)[:40]
    states, calls = [start(), start()], []
    sums = [run.steps(s, {"x": x}, order, 7, "logs", calls.append) for run, s in zip(counting(), states, strict=True)]
    np.testing.assert_allclose(list(sums[0].values()), list(sums[1].values()), rtol=1e-12)
    np.testing.assert_allclose(states[0]["total"], states[1]["total"], rtol=1e-12)
    assert states[0]["n"] == 6
    if not name.startswith("bool"):
        bad = x.astype("float64")[:, ::1].copy(order="F")
        bad[order[30]] = -5
        for run, state in zip(counting(), states, strict=True):
            with pytest.raises(pel.executors.NotFinite) as failure:
                run.steps(state, {"x": bad}, order, 7, "logs")
            assert failure.value.step == 4 and failure.value.rows.tolist() == order[28:35].tolist()
        np.testing.assert_allclose(states[0]["total"], states[1]["total"], rtol=1e-12)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [7, 16, 50])
def test_arrays_are_added_up(batch, threads):
    """Numbers of any type and arrays among each other, in any order; the watched one is still the right one."""
    x, n = pel.input("x", (3,)), pel.state("n", (2,))
    sums = {
        "total": ops.batch_sum(x),
        "number": ops.batch_sum(ops.sum(x)),
        "pairs": ops.batch_sum(ops.contract(x, x, "i,j->ij")),
        "one": ops.batch_sum(x[:1]),
        "counts": ops.batch_sum(ops.cast(x > 0, "int32")),
        "any": ops.batch_sum(ops.max(x)) > 0,
        "each": ops.batch_sum(x) > 0,
        "logs": ops.batch_sum(ops.sum(ops.log(x + 30))),
    }
    program = pel.Program([x], sums, {n: n + sums["total"][:2]})
    given, states = normal(50, 3), [{"n": np.zeros(2)}, {"n": np.zeros(2)}]
    runs = [native.Run(program, threads=threads), reference.compile(program)]
    found, expected = (run.steps(s, {"x": given}, None, batch, "logs") for run, s in zip(runs, states, strict=True))
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert type(found[name]) is type(value) and np.shape(found[name]) == sums[name].shape
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(states[0]["n"], states[1]["n"], rtol=1e-5)
    if threads == 1:  # the same arrays again, which the native executor has made ready
        order = random.permutation(50)
        again = [
            [run.steps(s, {"x": given}, order, batch, "logs")["pairs"] for _ in range(3)]
            for run, s in zip(runs, states, strict=True)
        ]
        np.testing.assert_allclose(again[0], again[1], rtol=1e-5)
    given[41] = -50
    for run in runs:
        with pytest.raises(pel.executors.NotFinite) as failure:
            run.steps({"n": np.zeros(2)}, {"x": given}, None, batch, "logs")
        assert failure.value.step == 41 // batch
    none = [run.steps({"n": np.zeros(2)}, {"x": given[:0]}, None, batch) for run in runs]
    assert none[0]["pairs"].tolist() == none[1]["pairs"].tolist() == [[0.0] * 3] * 3


def test_outputs_that_are_not_shared_cannot_be_added_up():
    x = pel.input("x", (2,))
    with pytest.raises(pel.GraphError, match="must be shared"):
        native.Run(pel.Program([x], {"y": x})).steps({}, {"x": normal(3, 2)}, None, 2)


def test_sums_over_samples_begin_at_once():
    """A sum of an input needs the whole batch to be gathered by all threads first."""
    x, y = pel.input("x", (300,)), pel.input("y", (40,))
    w, total = pel.state("w", (300, 40)), pel.state("total", (300,))
    outer = ops.batch_sum(ops.contract(x, y, "i,j->ij"))
    program = pel.Program([x, y], {"n": ops.batch_size()}, {w: w * 0.5 + outer, total: total + ops.batch_sum(x)})
    arrays = {"x": normal(1000, 300), "y": normal(1000, 40)}
    bits = set()
    for threads in (1, 2, 3, 4, 4, 4):
        state = {"w": np.zeros((300, 40), "float32"), "total": np.zeros(300, "float32")}
        native.Run(program, threads=threads).steps(state, arrays, None, 100)
        bits.add((state["w"].tobytes(), state["total"].tobytes()))
    assert len(bits) == 1
    expected = {"w": np.zeros((300, 40), "float32"), "total": np.zeros(300, "float32")}
    reference.compile(program).steps(expected, arrays, None, 100)
    assert_same(state["w"], expected["w"])
    assert_same(state["total"], expected["total"])


def test_the_executor_is_listed():
    assert pel.executors.get("native").compile(pel.Program([], {"y": ops.iota(3)}))()["y"].tolist() == [0, 1, 2]
    assert os.environ["PELLUCID_CACHE"], "tests leave the user's cache alone"


@pytest.mark.parametrize("shape", [(2, 3), (9, 4), (20, 33)])
def test_one_number_turned(shape):
    """A matrix that is one number everywhere has no memory to be turned in."""
    x = pel.input("x", (), kind="shared")
    given = {
        "spread": ops.transpose(ops.broadcast_to(x, shape)),
        "a number": ops.transpose(ops.fill(2.5, shape, "float32")),
    }
    agree(pel.Program([x], given), {"x": np.float32(3)})
