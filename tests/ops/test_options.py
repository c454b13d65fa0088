"""Options of operations: each primitive says what its own may be, and nothing else reaches a rule or machine code."""

import math

import numpy as np
import pytest

import pellucid as pel
from pellucid import ArgumentError, GraphError, nn, ops
from pellucid.graph import PRIMITIVES, sample_input, shared_input, state_leaf
from pellucid.ops.gather import scatter_of, take_rows
from pellucid.ops.loop import Body, result_of, scan_of
from pellucid.ops.movement import concatenate_of, constant_of, flip_axes, pad_with, slice_of
from pellucid.ops.reduce import argmax_axis, reduce_sum
from pellucid.program import Program

LEAVES = (sample_input, shared_input, state_leaf)  # whose types are what they are asked for
OURS = {name: p for name, p in PRIMITIVES.items() if p.rule.__module__.startswith("pellucid.") and p not in LEAVES}
X, ROWS = pel.input("x", (4, 6)), pel.input("rows", (4,), "int32")
WRONG = [2, -1, True, None, 1.0, "1", np.int64(1), np.bool_(True), math.nan, 1 << 70, (), (1,), (1.0,), (True,), [1],
         (np.int64(0),), b"", object(), np.array([1])]  # fmt: skip


@pytest.mark.parametrize("name", OURS)
def test_every_primitive_says_what_its_options_may_be(name):
    p = OURS[name]
    assert p.options is not None
    for sample in p.samples:
        assert sample.attributes.keys() == p.options.keys()
        assert all(p.options[k].test(a) for k, a in sample.attributes.items())


@pytest.mark.parametrize("name", OURS)
def test_what_an_option_may_not_be_is_refused_by_name(name):
    p = OURS[name]
    for sample in p.samples[:1]:
        inputs = [pel.input(f"x{i}", a if isinstance(a, tuple) else a.shape, "float64" if isinstance(a, tuple) else
                            str(a.dtype), "sample" if p.kind != "sample" else "shared")
                  for i, a in enumerate(sample.inputs)]  # fmt: skip
        good = dict(sample.attributes)
        p(*inputs, **good)
        with pytest.raises(GraphError, match=f"{name}: takes the options"):
            p(*inputs, **good, other=1)
        for option in good:
            with pytest.raises(GraphError, match=f"{name}: takes the options"):
                p(*inputs, **{k: a for k, a in good.items() if k != option})
            for wrong in WRONG:
                if not p.options[option].test(wrong):
                    with pytest.raises(ArgumentError, match=f"{name}: {option} must be"):
                        p(*inputs, **good | {option: wrong})


def scanned(**options):
    return ops.scan(lambda s, v: (s + v, s), X[0], X, **options)


def body(x=X, new=None):
    s, v = pel.input("s", (6,)), pel.input("v", (6,))
    return Body((s,), (v,), (), (s + v if new is None else new,))


REFUSED = {
    "a direction that is no bool": lambda: scanned(reverse=2),
    "a direction of NumPy for the loop itself": lambda: scan_of(X[0], X, body=body(), length=4,
                                                                reverse=np.bool_(True), remat=False),
    "remat": lambda: scanned(remat=1),
    "a length that is a bool": lambda: ops.scan(lambda s, _: (s, s), X[0], length=True),
    "steps between cuts": lambda: scanned(truncate=True),
    "the loop itself": lambda: scan_of(X[0], X, body=body(), length=4, reverse=3, remat=False),
    "a longer loop": lambda: scan_of(X[0], X, body=body(), length=5, reverse=False, remat=False),
    "a step that changes the shape": lambda: scan_of(X[0], X, body=body(new=pel.input("z", (7,))), length=4,
                                                     reverse=False, remat=False),
    "a step that reads what it is not given": lambda: scan_of(X[0], X, body=body(new=pel.input("z", (6,))), length=4,
                                                              reverse=False, remat=False),
    "a loop without state": lambda: scan_of(body=Body((), (), (), ()), length=4, reverse=False, remat=False),
    "a longer result": lambda: result_of(scanned()[1].inputs[0].inputs[0], of=X, length=9, carry=True),
    "axes out of order": lambda: reduce_sum(pel.input("y", (2, 3, 4)), axes=(-1, -3)),
    "an axis twice": lambda: reduce_sum(X, axes=(-1, -1)),
    "an axis that is not there": lambda: reduce_sum(X, axes=(-3,)),
    "an axis from the left": lambda: argmax_axis(X, axis=0),
    "no such axis": lambda: argmax_axis(X, axis=-3),
    "a flip of no axis": lambda: flip_axes(X, axes=(-5,)),
    "a concatenation of nothing": lambda: concatenate_of(axis=-1),
    "a concatenation along no axis": lambda: concatenate_of(X, axis=-3),
    "a slice beyond the end": lambda: slice_of(X, starts=(0, 0), stops=(5, 6), steps=(1, 1)),
    "steps of nothing": lambda: slice_of(X, starts=(0, 0), stops=(4, 6), steps=(1, 0)),
    "a width below 0": lambda: pad_with(X, low=(-1, 0), high=(0, 0), interior=(0, 0), value=0),
    "padding of whole numbers by a half": lambda: ops.pad(ROWS, [(1, 1)], 0.5),
    "half a width": lambda: ops.pad(X, [(0.5, 1), (0, 0)]),
    "a table's axes": lambda: take_rows(X, ROWS, table_ndim=1, rows_ndim=1),
    "the rows' axes": lambda: scatter_of(X, ROWS, size=3, values_ndim=3, rows_ndim=1),
    "whole numbers that are none": lambda: ops.fill(math.nan, (), "int32"),
    "a number too large": lambda: ops.fill(256, (), "uint8"),
    "an array in another order": lambda: constant_of(value=np.ones((3, 4)).T),
    "a list for an array": lambda: constant_of(value=[1.0]),
    "a shape below 0": lambda: pel.input("y", (-1,)),
    "a shape of floats": lambda: pel.state("y", (2.0,)),
    "a shape of bools": lambda: pel.input("y", (True,)),
    "more elements than there can be": lambda: ops.broadcast_to(X[:1, :1], (1 << 30, 1 << 30)),
    "another kind": lambda: pel.input("y", (), kind="both"),
    "an axis that is a bool": lambda: ops.sum(X, True),
    "keepdims": lambda: ops.max(X, 0, 1),
    "groups": lambda: ops.correlate(X, pel.state("w", (4, 4, 2)), groups=True),
    "strides": lambda: ops.correlate(X, pel.state("w", (4, 4, 2)), strides=1.0),
    "floor": lambda: ops.max_pool(X, 2, floor=1),
    "padding": lambda: ops.max_pool(X, 3, padding=True),
    "a table without rows": lambda: ops.scatter_rows(X, ops.iota(X.shape[0]), 0),
    "more results than there can be": lambda: ops.upsample(X, 1 << 50, "linear"),
    "padding far beyond the windows": lambda: ops.max_pool(X, 3, padding=(1 << 40) + 1),
    "padding as an array": lambda: ops.max_pool(X, 3, padding=np.array([1, 1])),
    "a method": lambda: ops.upsample(X, 2, ["nearest"]),
    "padding of the mean": lambda: ops.avg_pool(X, 3, padding=1, count_include_pad=1),
    "a factor": lambda: ops.upsample(X, True),
    "codes": lambda: ops.one_hot(ROWS, 2.0),
    "a table of half a row": lambda: ops.scatter_rows(X, ROWS, 0.5),
    "a direction of a layer": lambda: nn.LSTM(3, reverse=2),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    with pytest.raises((ArgumentError, GraphError)):
        REFUSED[what]()


def test_whole_numbers_of_numpy_are_taken():
    """Where users write them."""
    two = np.int64(2)
    y = ops.max_pool(
        ops.pad(pel.input("x", (np.int32(2), 4)), [(0, two), (two, 0)]), two, strides=(two,), padding=(np.int64(0),)
    )
    y = ops.transpose(ops.flip(ops.reshape(y, (two, -1, two)), two), np.array([1, 0, 2]))
    y = ops.sum(ops.concatenate([y, ops.expand_dims(y[0], np.int8(0))], np.int64(0)), np.int64(-1), keepdims=True)
    assert all(type(n) is int for n in y.shape)
    Program(list(pel.graph.toposort([y]))[:1], {"y": y})
