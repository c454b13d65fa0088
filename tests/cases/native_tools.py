"""What the tests of the native executor share: a program run on both executors, and compared."""

from __future__ import annotations

import numpy as np
from tools import distinct

import pellucid as pel
from pellucid import ops
from pellucid.executors import native, reference
from pellucid.executors.native.jit.target import host

LANES = host().width  # of this machine
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def filled(inputs, kinds, batch: int):
    """The arrays of a `Sample` for these kinds and this many samples; see tools.fill_in."""
    arrays = []
    for i, (given, kind) in enumerate(zip(inputs, kinds, strict=True)):
        lead = (batch,) if kind == "sample" else ()
        if isinstance(given, tuple):
            arrays.append(distinct(lead + given, i))
        else:
            arrays.append(np.stack([np.roll(given, r) for r in range(batch)]) if lead else np.asarray(given))
    return arrays


def assert_same(found, expected, tolerance=None, name=""):
    """Arrays of one shape and dtype; whole numbers equal, floats near each other, measured by the largest of them."""
    assert found.shape == expected.shape and found.dtype == expected.dtype, name
    if found.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected, err_msg=name)
        return
    tolerance = TOLERANCE[str(found.dtype)] if tolerance is None else tolerance
    largest = np.abs(expected).max(initial=0, where=np.isfinite(expected))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * largest, err_msg=name)


def agree(program, inputs=(), state=(), batch=None, width=None, threads=None, tolerance=None, run=None, early=True):
    """Call a program on both executors, and compare outputs and state; gives the native ones.

    ``early``: the code that is compiled quickly, too, which must give the same bits as the fast code.
    """
    run = run or native.Run(program, threads, width)
    states = [dict(state), dict(state), dict(state)]
    expected = reference.compile(program)(states[0], dict(inputs), batch)
    _ = run.function
    found = run(states[1], dict(inputs), batch)
    if early and "single_sample" not in run.__dict__:  # a few samples have code of their own, always fast
        first = {**run.quick(states[2], dict(inputs), batch), **states[2]}
        for name, array in {**found, **states[1]}.items():
            assert np.asarray(first[name]).tobytes() == np.asarray(array).tobytes(), name
    assert found.keys() == expected.keys() and states[0].keys() == states[1].keys()
    for name, array in expected.items():
        assert_same(found[name], array, tolerance, f"output {name}")
    for name, array in states[0].items():
        assert_same(np.asarray(states[1][name]), np.asarray(array), tolerance, f"state {name}")
    return found, states[1]


def with_slopes(y, inputs):
    """A value and the derivatives of a weighted sum of it in its float inputs."""
    floats = [v for v in inputs if v.dtype == y.dtype and v.dtype.startswith("float")]
    if not floats:
        return [y]
    cost = ops.sum(y * ops.constant(distinct(y.shape, 9, y.dtype)))
    return [y, *pel.grad(ops.batch_sum(cost) if cost.kind == "sample" else cost, floats)]
