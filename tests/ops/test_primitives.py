"""Every primitive of the registry, on the samples that stand in its own block."""

import numpy as np
import pytest
from primitive_cases import LEAVES, ONLY_KIND, cases, has_gradient
from tools import (
    BATCH,
    check_gradient,
    check_samples,
    check_type,
    execute,
    fill_in,
    gradients,
    in_dtype,
    placeholders,
    run,
)

import pellucid as pel
from pellucid import ops
from pellucid.graph import PRIMITIVES

NO_SAMPLES = {
    "scan": "a loop of several results: tests/ops/test_scan.py",
    "result": "of a loop: tests/ops/test_scan.py",
    "ruled": "its derivative is whatever with_vjp was given: test_composites.py, test_autodiff.py",
    "orthonormal": "for first weights, on the reference executor alone: test_init.py",
    "sample_index": "it has no inputs and depends on the batch alone: test_composites.py",
}
DOMAIN = {
    name: (100.0, 0.01) for name in ("log", "log1p", "sqrt", "fast_sqrt", "power")
}  # where they are defined; others take +-100


def each(selected=lambda p, s: True):
    return pytest.mark.parametrize(("p", "s", "kinds"), list(cases(selected)))


def applied(p, s):
    return lambda *inputs: p(*inputs, **s.attributes)


def test_every_primitive_has_samples():
    without = {p.name for p in PRIMITIVES.values() if not p.samples} - LEAVES
    assert without == set(NO_SAMPLES), "give the primitive samples=(...), or a reason here"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@each()
def test_type(p, s, kinds, dtype):
    check_type(applied(p, s), *in_dtype(fill_in(s.inputs, kinds), dtype), kinds=kinds)


@each(lambda p, s: p.name not in ONLY_KIND)
def test_batch_is_each_sample_alone(p, s, kinds):
    check_samples(applied(p, s), *fill_in(s.inputs, kinds), kinds=kinds)


@each(has_gradient)
def test_gradient(p, s, kinds):
    check_gradient(applied(p, s), *fill_in(s.inputs, kinds), kinds=kinds)


@each(lambda p, s: p.vjp is None and s.inputs)
def test_no_derivative_means_zero(p, s, kinds):
    arrays = fill_in(s.inputs, kinds)
    inputs = placeholders(arrays, kinds)
    y = p(*inputs, **s.attributes)
    floats = [v for v in inputs if v.dtype == "float64"]
    if floats and y.dtype == "float64":
        cost = ops.sum(y) if y.kind == "shared" else ops.batch_sum(ops.sum(y))
        assert not any(g.any() for g in execute(inputs, pel.grad(cost, floats), arrays))


@each(lambda p, s: has_gradient(p, s) and s.inputs)
def test_finite_at_100(p, s, kinds):
    large, other = DOMAIN.get(p.name, (100.0, -100.0))
    arrays = fill_in(s.inputs, kinds)
    arrays = [np.where(a > np.median(a), large, other) if a.dtype.kind == "f" else a for a in arrays]
    assert np.isfinite(run(applied(p, s), *arrays, kinds=kinds)).all()
    assert all(np.isfinite(g).all() for g in gradients(applied(p, s), *arrays, kinds=kinds))


@each(lambda p, s: p.forward_summed is not None)
def test_forward_summed(p, s, kinds):
    if "sample" not in kinds:
        return  # there is nothing to sum over
    arrays = fill_in(s.inputs, kinds)
    fused = run(lambda *inputs: ops.batch_sum(p(*inputs, **s.attributes)), *arrays, kinds=kinds)
    parts = run(applied(p, s), *arrays, kinds=kinds)
    assert parts.shape[0] == BATCH
    np.testing.assert_allclose(fused, parts.sum(0), rtol=1e-12)


@pytest.mark.parametrize(("name", "only"), list(ONLY_KIND.items()))
def test_the_other_kind_is_refused(name, only):
    p = PRIMITIVES[name]
    other = "shared" if only == "sample" else "sample"
    with pytest.raises(pel.GraphError, match=f"{name}: takes a {only} value"):
        p(pel.input("x", (BATCH, 2), kind=other), **p.samples[0].attributes)


@pytest.mark.parametrize("p", [p for p in PRIMITIVES.values() if p.elementwise], ids=repr)
def test_elementwise_refuses_other_shapes(p):
    given = [np.asarray(a) for a in p.samples[0].inputs]
    values = [pel.input("x", a.shape, str(a.dtype)) for a in given]
    values[-1] = pel.input("x", (7,), values[-1].dtype)
    if len(values) > 1:
        with pytest.raises(pel.GraphError, match=r"\(7,\)"):
            p(*values, **p.samples[0].attributes)
    with pytest.raises(pel.GraphError, match="expected Values, got int"):
        p(*[1] * len(values), **p.samples[0].attributes)
