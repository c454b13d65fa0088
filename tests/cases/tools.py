"""Test tools: run a function of Values on arrays, and check its static types, its kinds and its derivative."""

from __future__ import annotations

import itertools

import numpy as np

import pellucid as pel
from pellucid import ops
from pellucid.executors import reference
from pellucid.program import verify

BATCH = 5
TOLERANCE = 1e-6


# ---- arrays and kinds -------------------------------------------------------------------------------------------


def distinct(shape, seed=0, dtype="float64"):
    """Numbers in (-2, 2) in random order, no two equal and none 0: far from every tie and kink."""
    n = int(np.prod(shape))
    order = np.random.default_rng(seed).permutation(n)
    return ((order + 0.3) / max(n, 1) * 4 - 2).reshape(shape).astype(dtype)


def kind_choices(n: int, only: str | None = None):
    """Every combination of sample and shared for ``n`` inputs (or the one kind that an operation takes)."""
    return list(itertools.product([only] if only else ["sample", "shared"], repeat=n))


def fill_in(inputs, kinds, seed=0):
    """The arrays of a `Sample` for these kinds: shapes filled at random, given arrays rolled sample by sample."""
    arrays = []
    for i, (given, kind) in enumerate(zip(inputs, kinds, strict=True)):
        lead = (BATCH,) if kind == "sample" else ()
        if isinstance(given, tuple):
            arrays.append(distinct(lead + given, seed + i))
        else:
            arrays.append(np.stack([np.roll(given, r) for r in range(BATCH)]) if lead else np.asarray(given))
    return arrays


def in_dtype(arrays, dtype):
    """The float arrays in another float dtype, the others as they are."""
    return [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]


# ---- running ----------------------------------------------------------------------------------------------------


def placeholders(arrays, kinds):
    """One input Value for each array; the array of a sample input has a leading axis of samples."""
    return [
        pel.input(f"x{i}", a.shape[kind == "sample" :], str(a.dtype), kind)
        for i, (a, kind) in enumerate(zip(arrays, kinds, strict=True))
    ]


def kinds_of(arrays, kinds):
    return (kinds,) * len(arrays) if isinstance(kinds, str) else tuple(kinds)


def run(function, *arrays, kinds="shared"):
    """What the reference executor computes of a function of Values; a list if the function gives several."""
    arrays = [np.asarray(a) for a in arrays]
    kinds = kinds_of(arrays, kinds)
    inputs = placeholders(arrays, kinds)
    result = function(*inputs)
    values = result if isinstance(result, (list, tuple)) else [result]
    outputs = execute(inputs, values, arrays)
    return outputs if isinstance(result, (list, tuple)) else outputs[0]


def execute(inputs, values, arrays):
    program = pel.Program(inputs, dict(enumerate(values)))
    verify(program)
    batch = None if any(v.kind == "sample" for v in inputs) else BATCH
    outputs = reference.compile(program)({}, {v.name: a for v, a in zip(inputs, arrays, strict=True)}, batch)
    return list(outputs.values())


def total(y):
    """All elements of all samples as one shared number."""
    y = ops.sum(y)
    return ops.batch_sum(y) if y.kind == "sample" else y


def gradients(function, *arrays, kinds="shared"):
    """The derivatives of the total of a function's result in each of its float inputs."""

    def derivative(*inputs):
        return pel.grad(total(function(*inputs)), [v for v in inputs if v.dtype.startswith("float")])

    return run(derivative, *arrays, kinds=kinds)


def with_parameters(t, values):
    """A traced net's output with other Values in the place of its parameters."""
    return substituted(t, {p.value: values[name] for name, p in t.parameters.items()})


def substituted(t, values):
    """A traced net's output with other Values in the place of some, by these."""
    new = dict(values)
    for v in pel.graph.toposort([t.output]):
        if v not in new:
            new[v] = v.primitive(*(new[i] for i in v.inputs), **v.attributes) if v.inputs else v
    return new[t.output]


# ---- checks -----------------------------------------------------------------------------------------------------


def check_type(function, *arrays, kinds="shared"):
    """The array that the executor computes has the shape and dtype that the shape rule says."""
    arrays = [np.asarray(a) for a in arrays]
    inputs = placeholders(arrays, kinds_of(arrays, kinds))
    y = function(*inputs)
    (array,) = execute(inputs, [y], arrays)
    expected = (BATCH,) * (y.kind == "sample") + y.shape
    assert array.shape == expected, f"the shape rule says {expected}, the array has {array.shape}"
    assert array.dtype == y.dtype, f"the shape rule says {y.dtype}, the array has {array.dtype}"


def check_samples(function, *arrays, kinds="sample"):
    """The batch together gives what each sample gives alone."""
    arrays = [np.asarray(a) for a in arrays]
    kinds = kinds_of(arrays, kinds)
    together = run(function, *arrays, kinds=kinds)
    for r in range(BATCH if "sample" in kinds else 0):
        alone = run(function, *(a[r] if kind == "sample" else a for a, kind in zip(arrays, kinds, strict=True)))
        np.testing.assert_allclose(together[r], alone, rtol=1e-12, err_msg=f"sample {r} of kinds {kinds}")


def check_gradient(function, *arrays, kinds="shared", tolerance=TOLERANCE):
    """`grad` agrees with finite differences, for a random weighted sum of all that the function gives."""
    arrays = in_dtype([np.asarray(a) for a in arrays], "float64")
    inputs = placeholders(arrays, kinds_of(arrays, kinds))
    y = function(*inputs)
    lead = (BATCH,) if y.kind == "sample" else ()
    weight = pel.input("weight", y.shape, y.dtype, y.kind)
    cost = total(y * weight)
    floats = [i for i, v in enumerate(inputs) if v.dtype == "float64"]
    targets = [inputs[i] for i in floats]
    derivatives = pel.grad(cost, targets)
    for v, d in zip(targets, derivatives, strict=True):
        assert d.type == v.type, f"the derivative in {v!r} is {d!r}"

    leaves, drawn = [*inputs, weight], np.random.default_rng(1).uniform(0.5, 1.5, lead + y.shape)
    exact = execute(leaves, derivatives, [*arrays, drawn])
    run_cost = reference.compile(pel.Program(leaves, {"cost": cost}))
    batch = None if "sample" in {v.kind for v in leaves} else BATCH

    def evaluate(changed):
        given = {v.name: a for v, a in zip(leaves, [*changed, drawn], strict=True)}
        return run_cost({}, given, batch)["cost"]

    numeric = [
        finite_differences(lambda a, i=i: evaluate([*arrays[:i], a, *arrays[i + 1 :]]), arrays[i]) for i in floats
    ]
    for i, a, b in zip(floats, exact, numeric, strict=True):
        error = relative_error(a, b)
        assert error < tolerance, f"derivative in input {i} ({kinds}): relative error {error:.1e}\n{a}\n{b}"


def finite_differences(cost, x, step=1e-5):
    """Central differences of a number in each element of an array."""
    slopes = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        slopes[i] = (cost(up) - cost(down)) / (2 * step)
    return slopes


def relative_error(a, b):
    """|a - b| / (|a| + |b|), 0 where both are 0."""
    assert a.shape == b.shape
    scale = np.linalg.norm(a) + np.linalg.norm(b)
    return np.linalg.norm(a - b) / scale if scale else 0.0
