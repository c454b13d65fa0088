"""What machine code reads and writes lies in memory of its own: checked for each plan before anything is compiled."""

import re

import numpy as np
import pytest
from tools import distinct

import pellucid as pel
from pellucid import Program, Value, ops
from pellucid.executors import native
from pellucid.executors.native.codegen.nest import Nest
from pellucid.executors.native.llvm import ir
from pellucid.executors.native.llvm.affine import Index
from pellucid.executors.native.plan.bounds import OutOfBounds, check_maps
from pellucid.executors.native.plan.buffer import Buffer
from pellucid.graph import Option, Type
from pellucid.ops.loop import result_of, scan_of

X = pel.input("x", (6, 4))


def altered(v: Value, like: Type | None = None, **attributes) -> Value:
    """The Value with other options, past its rule."""
    return Value(v.primitive, v.inputs, dict(v.attributes) | attributes, like or v.type)


def loop(**attributes) -> Program:
    """The sums of a sequence, by a loop with other options than it may have."""
    _, sums = ops.scan(lambda s, x: (s + x, s + x), ops.fill(0, (4,), "float32"), X)
    (result,) = (v for v in pel.graph.toposort([sums]) if v.primitive is result_of)
    other = altered(result.inputs[0], **attributes)
    return Program([X], {"y": Value(result_of, (other,), result.attributes, result.type)})


ARRAYS = {"x": distinct((3, 6, 4), 0, "float32")}


@pytest.mark.parametrize("reverse", [2, -1, 100])
def test_a_loop_that_begins_elsewhere(reverse, monkeypatch):
    with pytest.raises(pel.ArgumentError, match="reverse must be True or False"):
        native.Run(loop(reverse=reverse))({}, ARRAYS)
    monkeypatch.setitem(scan_of.options, "reverse", Option("anything", lambda given: True))
    with pytest.raises(OutOfBounds, match=r"internal error.*place"):
        native.Run(loop(reverse=reverse))({}, ARRAYS)


def test_a_loop_of_more_steps_than_there_are():
    with pytest.raises(pel.GraphError, match="7 steps"):
        native.Run(loop(length=7))({}, ARRAYS)


SMALL = pel.input("s", (1, 4))
VIEWS = {
    "a slice": altered(X[1:3], starts=(5, 0)),
    "a slice from before the first": altered(X[1:3], starts=(-1, 0)),
    "steps": altered(X[::2], steps=(3, 1)),
    "windows": altered(ops.windows(X, (2,)), dilations=(2,)),
    "windows apart": altered(ops.windows(X, (2,)), strides=(2,)),
    "another order": altered(ops.transpose(X, (1, 0)), axes=(-2, -1)),
    "a longer copy": altered(ops.broadcast_to(SMALL, (3, 4)), Type((3, 5), "float32", "sample")),
    "another shape": altered(ops.reshape(X, (24,)), Type((25,), "float32", "sample")),
    "a flip of more": altered(ops.flip(X, 0), Type((7, 4), "float32", "sample")),
    "padding": altered(ops.pad(X, [(1, 1), (0, 0)]), low=(-1, 0)),
    "less padding": altered(ops.pad(X, [(1, 1), (0, 0)]), low=(0, 0)),
}


@pytest.mark.parametrize("what", VIEWS)
def test_a_view_of_what_is_not_there(what):
    with pytest.raises(OutOfBounds, match="reads places"):
        check_maps(pel.graph.toposort([VIEWS[what]]))


def test_views_that_lie_within():
    y = ops.transpose(ops.pad(ops.flip(X[::2, 1:]), [(1, 2), (0, 3)]), (1, 0))
    y = ops.windows(ops.broadcast_to(y[None], (3, *y.shape)), (2, 3), (2, 1), (1, 2))
    check_maps(pel.graph.toposort([ops.reshape(y, -1), X[3:3]]))


def nest(size: int) -> tuple[Nest, Buffer]:
    buffer = Buffer("memory", "shared", size, "float32")
    return Nest(None, {}, [buffer], 8), buffer


@pytest.mark.parametrize("lengths", [(4, 5), (3, 7), (21,), (1, 21)])
def test_each_load_and_store_lies_in_its_buffer(lengths):
    """The largest place that loops take, of 20 elements."""
    size = int(np.prod(lengths))
    for access in ("load", "store"):
        n, buffer = nest(20)

        def element(index, _, n=n, buffer=buffer, access=access):
            place = Index()
            for i, length in zip(index, lengths, strict=True):
                place = place * length + i
            n.load(buffer, place, None) if access == "load" else n.store(n.constant(0, "float32"), buffer, place, None)

        if size <= 20:
            n.over(lengths, [], element)
            continue
        with pytest.raises(OutOfBounds, match=re.escape("elements 0..20 of memory, which has 20")):
            n.over(lengths, [], element)


def test_vectors_and_places_before_the_first():
    n, buffer = nest(20)

    def read(v, _):
        n.load_vector(buffer, Index.of(v), 8, False)

    n.load_vector(buffer, Index(12), 8, False)
    for at in (Index(13), Index(-1)):
        with pytest.raises(OutOfBounds):
            n.load_vector(buffer, at, 8, False)
    with pytest.raises(OutOfBounds):
        n.loop(0, 20, [], read, step=8)
    n.loop(0, 16, [], read, step=8)
    n.loop(ir.IntType(64)(0), n.hi, [], read)  # known when it runs


@pytest.mark.parametrize("n", [1, 3])
def test_all_samples_lie_in_their_buffer(n):
    """The block of a sample is known then: its lanes are no elements of the sample."""
    x = pel.input("x", ())
    found = native.Run(Program([x], {"y": ops.exp(ops.all_samples(x, n))}))({}, {"x": np.arange(n, dtype=np.float32)})
    np.testing.assert_allclose(found["y"], np.exp(np.arange(n)), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("rows", [[-1], [5], [2**31 - 1], [-(2**31)], [4, 4, -5]])
def test_rows_from_data_are_looked_at_when_it_runs(rows, dtype):
    table, numbers = pel.state("table", (5, 3)), pel.input("rows", (), dtype)
    values = pel.input("values", (3,))
    programs = [
        Program([numbers], {"y": ops.take(table, numbers)}),
        Program([numbers, values], {
            "y": ops.batch_sum(ops.scatter_rows(values[None], ops.reshape(numbers, (1,)), 5))}),
    ]  # fmt: skip
    for program in programs:
        given = {"rows": np.array(rows, dtype), "values": distinct((len(rows), 3), 1, "float32")}
        with pytest.raises(IndexError):
            native.Run(program)({"table": distinct((5, 3), 0, "float32")} if program.state else {},
                                {name: given[name] for name in program.inputs})  # fmt: skip
