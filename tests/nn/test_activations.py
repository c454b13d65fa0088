"""Every activation of the table: its value against another implementation, its slope, and its behavior far out."""

import math
from functools import partial

import numpy as np
import pytest
import scipy.special
import scipy.stats
from tools import check_gradient, check_samples, check_type, gradients, run

from pellucid import nn
from pellucid.nn.activations import ACTIVATIONS

POINTS = np.array([-3.1, -1.3, -0.6, 0.3, 0.9, 1.7, 4.2])  # off every kink below

# name -> options to try, and the same function by NumPy and SciPy
OTHERS = {
    "linear": [({}, lambda v: v)],
    "step": [
        ({}, lambda v: np.heaviside(v, 1)),
        ({"a": -2.0, "b": 3.0, "c": 0.5}, lambda v: np.where(v < 0.5, -2, 3)),
    ],
    "ramp": [
        ({}, lambda v: np.clip(v, 0, 1)),
        ({"a": 2.0, "b": -1.0, "c": -1.0, "d": 1.5}, lambda v: np.interp(v, [-1, 1.5], [2, -1])),
    ],
    "sign": [({}, np.sign), ({"threshold": 0.5}, lambda v: np.sign(v - 0.5))],
    "sigmoid": [
        ({}, scipy.special.expit),
        ({"z": -1.0, "x": 2.0, "y": 0.5}, lambda v: scipy.special.expit(2 * v - 0.5) - 1),
    ],
    "tanh": [({}, np.tanh)],
    "relu": [({}, lambda v: np.maximum(v, 0))],
    "leaky_relu": [
        ({}, lambda v: np.where(v < 0, 0.01 * v, v)),
        ({"slope": 0.2}, lambda v: np.where(v < 0, 0.2 * v, v)),
    ],
    "elu": [
        ({}, lambda v: np.where(v < 0, np.expm1(v), v)),
        ({"alpha": 0.5}, lambda v: np.where(v < 0, 0.5 * np.expm1(v), v)),
    ],
    "softplus": [({}, lambda v: np.logaddexp(v, 0))],
    "gaussian": [({}, scipy.stats.norm.pdf), ({"mu": 1.0, "sigma": 2.0}, lambda v: scipy.stats.norm.pdf(v, 1, 2))],
    "softmax": [({}, scipy.special.softmax)],
    "gelu": [({}, lambda v: v * scipy.stats.norm.cdf(v))],
    "silu": [({}, lambda v: v * scipy.special.expit(v))],
}
CASES = [pytest.param(partial(ACTIVATIONS[name], **options), other, id=f"{name}{options or ''}")
         for name, tries in OTHERS.items() for options, other in tries]  # fmt: skip
each = pytest.mark.parametrize("function, other", CASES)


def test_the_table_is_tested():
    assert set(OTHERS) == set(ACTIVATIONS), "give each its value by another implementation, in OTHERS"
    hidden = {name for name, function in ACTIVATIONS.items() if getattr(nn, name, None) is not function}
    assert not hidden, "name them in nn/__init__.py, in its import and in __all__"


@each
def test_values(function, other):
    np.testing.assert_allclose(run(function, POINTS), other(POINTS), rtol=1e-12, atol=1e-15)
    low = run(function, POINTS.astype("float32"))
    assert low.dtype == "float32"
    np.testing.assert_allclose(low, other(POINTS), rtol=2e-5, atol=1e-6)


@each
@pytest.mark.parametrize("kinds", ["shared", "sample"])
def test_slopes(function, other, kinds):
    check_gradient(function, np.stack([np.roll(POINTS, i) for i in range(5)]), kinds=kinds)


@each
def test_shape_and_samples(function, other):
    check_type(function, POINTS)
    x = np.stack([np.roll(POINTS, i) for i in range(5)])
    check_type(function, x, kinds="sample")
    check_samples(function, x)


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_far_out(function, other, dtype):
    x = np.array([-100, 100, -100, 0, 100], dtype)
    assert np.isfinite(run(function, x)).all()
    (slope,) = gradients(function, x)
    assert slope.dtype == dtype and np.isfinite(slope).all()
    np.testing.assert_allclose(run(function, x), other(x.astype("float64")), rtol=1e-5, atol=1e-7)


# ---- where a slope or a value is a choice, or known in the limit ---------------------------------------------------


@pytest.mark.parametrize(
    "function, point, value, slope",
    [
        (nn.relu, 0, 0, 0),
        (nn.leaky_relu, 0, 0, 0.01),
        (nn.elu, 0, 0, 1),
        (partial(nn.elu, alpha=0.5), 0, 0, 0.5),
        (nn.step, 0, 1, 0),
        (nn.sign, 0, 0, 0),
        (nn.ramp, 0, 0, 0),
        (nn.ramp, 1, 1, 0),
        (nn.sigmoid, -100, math.exp(-100), math.exp(-100)),
        (nn.softplus, -100, math.exp(-100), math.exp(-100)),
        (nn.softplus, 100, 100, 1),
        (nn.silu, -100, -100 * math.exp(-100), -99 * math.exp(-100)),
        (nn.gelu, 100, 100, 1),
        (nn.tanh, 100, 1, 0),
    ],
)
def test_special_points(function, point, value, slope):
    x = np.array(float(point))
    assert float(run(function, x)) == pytest.approx(value, rel=1e-12, abs=1e-200)
    assert float(gradients(function, x)[0]) == pytest.approx(slope, rel=1e-12, abs=1e-200)


def test_softmax_is_a_distribution_and_ignores_a_shift():
    x = np.random.default_rng(0).normal(size=(4, 6))
    k = run(nn.softmax, x)
    np.testing.assert_allclose(k.sum(-1), 1, rtol=1e-14)
    np.testing.assert_allclose(run(nn.softmax, x + 50), k, rtol=1e-12)
    np.testing.assert_allclose(run(partial(nn.softmax, axis=0), x), scipy.special.softmax(x, 0), rtol=1e-12)


def test_by_name_in_a_net():
    assert nn.Sequential("tanh", "relu").layers == (nn.tanh, nn.relu)
