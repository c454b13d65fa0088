"""Gradients of tables: values added to rows by number, on the native executor and on the reference."""

import numpy as np
import pytest
from native_tools import LANES, agree

import pellucid as pel
from pellucid import ops
from pellucid.executors import native
from pellucid.executors.native.kernels import scatter
from pellucid.executors.native.plan import classify
from pellucid.executors.native.plan import planner as plan

random = np.random.default_rng(5)
N = 2 * LANES + 3


@pytest.fixture(params=["one unit", "many units"])
def units(request, monkeypatch):
    """Tables in one piece, and cut into few rows at a time."""
    if request.param == "many units":
        monkeypatch.setenv("PELLUCID_CACHE", "")  # what is there was made for other sizes
        monkeypatch.setattr(scatter, "TABLE_BYTES", 300)


def normal(*shape, dtype="float32"):
    return random.normal(size=shape).astype(dtype)


def scattering(run) -> int:
    return sum(g.scatter for g in run.built.plan.groups)


@pytest.mark.parametrize("inner", [(), (1,), (3,), (LANES,), (2 * LANES + 1,), (2, LANES + 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shapes(inner, dtype, units):
    size, places = 23, (4, 2)
    x, rows = pel.input("x", places + inner, dtype), pel.input("rows", places, "int64")
    table = ops.batch_sum(ops.scatter_rows(x, rows, size))
    run = native.Run(pel.Program([x, rows], {"table": table, "twice": table * 2 + 1}))
    assert scattering(run) == 1
    given = {"x": normal(N, *places, *inner, dtype=dtype), "rows": random.integers(0, size, (N, *places))}
    given["rows"][:, 0] = 7  # a row that everybody has
    agree(run.program, given, run=run)


@pytest.mark.parametrize("values_kind", ["sample", "shared"])
@pytest.mark.parametrize("rows_kind", ["sample", "shared"])
def test_kinds(values_kind, rows_kind, units):
    lead = {"sample": (N,), "shared": ()}
    x, rows = pel.input("x", (5, LANES + 1), kind=values_kind), pel.input("rows", (5,), "int32", rows_kind)
    y = ops.scatter_rows(ops.tanh(x), rows, 30)
    y = ops.batch_sum(y) if y.kind == "sample" else y
    given = {"x": normal(*lead[values_kind], 5, LANES + 1)}
    given["rows"] = random.integers(0, 30, (*lead[rows_kind], 5)).astype("int32")
    run = native.Run(pel.Program([x, rows], {"y": y}))
    assert scattering(run) == 1
    agree(run.program, given, run=run, batch=None if values_kind == rows_kind == "shared" else N)


@pytest.mark.parametrize("places", [(), (0,), (3, 0)])
def test_one_row_and_none(places):
    x, rows = pel.input("x", (*places, 5)), pel.input("rows", places, "int32")
    program = pel.Program([x, rows], {"y": ops.batch_sum(ops.scatter_rows(x, rows, 9))})
    agree(program, {"x": normal(N, *places, 5), "rows": random.integers(0, 9, (N, *places)).astype("int32")})


def test_values_and_rows_that_are_views(units):
    x, rows = pel.input("x", (LANES + 2, 3)), pel.input("rows", (3,), "int32")
    shared, flat = pel.input("shared", (LANES + 2, 3), kind="shared"), pel.input("flat", (2, 3), "int32")
    turned = {"sample": ops.scatter_rows(ops.transpose(x), ops.flip(rows, 0), 9)}
    turned["cut"] = ops.scatter_rows(ops.reshape(x, (3, LANES + 2)), flat[1], 9)
    turned["shared"] = ops.scatter_rows(ops.to_samples(ops.transpose(shared)), rows, 9)
    turned["the same"] = ops.scatter_rows(ops.fill(0.5, (3, 2), "float32"), rows, 9)
    turned["number"] = ops.scatter_rows(ops.broadcast_to(ops.sample_index(), (3, 2)), rows, 9)
    turned["whole"] = ops.scatter_rows(ops.broadcast_to(ops.expand_dims(rows, 1), (3, LANES)), rows, 9)
    outputs = {name: ops.batch_sum(y) for name, y in turned.items()}
    outputs["turned after"] = ops.transpose(outputs["sample"]) + normal(LANES + 2, 9)
    given = {"x": normal(N, LANES + 2, 3), "shared": normal(LANES + 2, 3)}
    given |= {k: random.integers(0, 9, (N, *s)).astype("int32") for k, s in (("rows", (3,)), ("flat", (2, 3)))}
    agree(pel.Program([x, rows, shared, flat], outputs), given)


def test_a_table_that_others_need_for_each_sample():
    x, rows = pel.input("x", (3, 4)), pel.input("rows", (3,), "int32")
    y = ops.scatter_rows(x, rows, 6)
    run = native.Run(pel.Program([x, rows], {"each": y, "sum": ops.batch_sum(y)}))
    assert scattering(run) == 0
    agree(run.program, {"x": normal(N, 3, 4), "rows": random.integers(0, 6, (N, 3)).astype("int32")}, run=run)


def test_rows_too_long_for_a_threads_stack(monkeypatch):
    monkeypatch.setattr(classify, "MAX_ROW_BYTES", 100)
    monkeypatch.setenv("PELLUCID_CACHE", "")
    x, rows = pel.input("x", (3, 20)), pel.input("rows", (3,), "int32")
    run = native.Run(pel.Program([x, rows], {"y": ops.batch_sum(ops.scatter_rows(x, rows, 6))}))
    assert scattering(run) == 0
    agree(run.program, {"x": normal(N, 3, 20), "rows": random.integers(0, 6, (N, 3)).astype("int32")}, run=run)


# ---- training ---------------------------------------------------------------------------------------------------


def embedding(size: int, features: int, places: int, dtype="float32"):
    """The mean of the words' vectors, a layer behind it, and Adam-like updates."""
    words, y = pel.input("words", (places,), "int32"), pel.input("y", (3,), dtype)
    table, w = pel.state("table", (size, features), dtype), pel.state("w", (3, features), dtype)
    square = pel.state("square", (size, features), dtype)
    h = ops.tanh(ops.mean(ops.take(table, words), axis=0))
    cost = ops.batch_mean(ops.sum((ops.contract(w, h, "ij,j->i") - y) ** 2))
    g, gw = pel.grad(cost, [table, w])
    new = square * 0.9 + g * g * 0.1
    updates = {table: table - 0.1 * g / (ops.sqrt(new) + 1e-3), square: new, w: w - 0.1 * gw}
    return pel.Program([words, y], {"cost": cost}, updates)


def start(size, features, places, n, dtype="float32"):
    state = {"table": normal(size, features, dtype=dtype), "w": normal(3, features, dtype=dtype)}
    state["square"] = np.ones((size, features), dtype)
    words = np.minimum(random.geometric(0.05, (n, places)) - 1, size - 1).astype("int32")
    return state, {"words": words, "y": normal(n, 3, dtype=dtype)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size, features", [(200, 24), (7, 3), (300, 1)])
def test_training_an_embedding(size, features, dtype, units):
    """The same as the reference, the same bits for any number of threads, and no table of gradients in memory."""
    program = embedding(size, features, 6, dtype)
    run = native.Run(program)
    assert scattering(run) == 1
    state, given = start(size, features, 6, N, dtype)
    agree(program, given, state, run=run, tolerance=1e-4 if dtype == "float32" else 1e-10)
    bits = []
    for run.threads in (1, 2, 3, 4, 1):
        now = dict(state)
        run.steps(now, given, np.arange(4 * N) % N, LANES + 2)
        bits.append({name: a.tobytes() for name, a in now.items()})
    assert all(b == bits[0] for b in bits)
    if size * features > plan.MAX_COPIED:
        assert max(b.size for b in run.built.scratch) < size * features


def test_a_table_used_twice(units):
    """Tied weights: rows of the table at the start, all of it at the end."""
    words, table = pel.input("words", (4,), "int32"), pel.state("table", (70, 20))
    other, position = pel.input("other", (2,), "int32"), pel.state("position", (5, 20))
    h = ops.tanh(ops.sum(ops.take(table, words) + ops.take(position, ops.iota(4)), axis=0))
    h = h + ops.sum(ops.take(table, other), axis=0)
    cost = ops.batch_sum(ops.sum(ops.tanh(ops.contract(table, h, "ij,j->i"))))
    program = pel.Program([words, other], {"cost": cost}, {s: s - 0.1 * pel.grad(cost, s) for s in (table, position)})
    run = native.Run(program)
    assert scattering(run) == 3
    given = {name: random.integers(0, 70, (N, n)).astype("int32") for name, n in (("words", 4), ("other", 2))}
    agree(program, given, {"table": normal(70, 20), "position": normal(5, 20)}, run=run, tolerance=1e-4)


# ---- rows outside -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [-1, 50, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", ["sample", "shared"])
def test_a_row_outside_changes_nothing(kind, bad, threads, units):
    x, rows = pel.input("x", (3, 6), kind=kind), pel.input("rows", (3,), "int32", kind)
    table, y = pel.state("table", (50, 6)), ops.scatter_rows(x, rows, 50)
    y = ops.batch_sum(y) if kind == "sample" else y
    lead = (N,) if kind == "sample" else ()
    given = {"x": normal(*lead, 3, 6), "rows": np.zeros((*lead, 3), "int32")}
    given["rows"].flat[-1] = bad
    state = {"table": normal(50, 6)}
    run = native.Run(pel.Program([x, rows], {}, {table: table + y}), threads=threads)
    before = dict(state)
    with pytest.raises(IndexError, match=rf"scatter_rows: row {bad} is outside 0..49 \(1 such\)"):
        run(state, given)
    assert state["table"] is before["table"]


def test_the_plan_says_so():
    run = native.Run(embedding(200, 24, 6))
    text = run.listing()
    assert "  <- scatter" in text and "scatter by 1 unit over 200 x 24" in text and "-> table in place" in text
