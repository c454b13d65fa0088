"""The test tools themselves catch a planted wrong derivative, shape, dtype, batch formula and kind."""

from dataclasses import replace

import numpy as np
import pytest
from tools import BATCH, check_gradient, check_samples, check_type, distinct, finite_differences, relative_error

from pellucid.graph import PRIMITIVES, Primitive

X = distinct((BATCH, 3))

SQUARE = Primitive(
    "square",
    rule=lambda x: (x.shape, x.dtype),
    forward=lambda xp, x: x * x,
    vjp=lambda g, y, x: (g * 2 * x,),
)
LAST = Primitive(
    "last",
    rule=lambda x: (x.shape[:-1], x.dtype),
    forward=lambda xp, x: x[..., -1],
)
kinds = pytest.mark.parametrize("kinds", ["sample", "shared"])


@kinds
def test_right_ones_pass(kinds):
    check_type(SQUARE, X, kinds=kinds)
    check_gradient(SQUARE, X, kinds=kinds)
    check_samples(SQUARE, X)
    check_type(LAST, X, kinds=kinds)
    check_samples(LAST, X)


@kinds
@pytest.mark.parametrize("vjp", [
    lambda g, y, x: (g * x,),
    lambda g, y, x: (g * -2 * x,),
    lambda g, y, x: (g * (2 + 1e-5) * x,),
    lambda g, y, x: (g * 2 * abs(x),),
    lambda g, y, x: (g * 2 * x + 1e-4,),
    lambda g, y, x: (2 * x,),
    lambda g, y, x: (None,),
    None,
], ids=["half", "sign", "slightly", "abs", "offset", "no g", "missing", "none"])  # fmt: skip
def test_wrong_vjp(vjp, kinds):
    with pytest.raises(AssertionError, match="derivative in input 0"):
        check_gradient(replace(SQUARE, vjp=vjp), X, kinds=kinds)


def test_wrong_shape_of_vjp():
    with pytest.raises(ValueError, match="derivative rule of square gives"):
        check_gradient(replace(SQUARE, vjp=lambda g, y, x: (g[:1],)), X, kinds="sample")


def test_derivatives_of_two_inputs_swapped():
    swapped = replace(PRIMITIVES["multiply"], vjp=lambda g, y, a, b: (g * a, g * b))
    with pytest.raises(AssertionError, match="derivative in input 0"):
        check_gradient(swapped, X, distinct((BATCH, 3), 1), kinds="sample")


@kinds
@pytest.mark.parametrize("rule", [
    lambda x: (x.shape[1:], x.dtype),
    lambda x: ((*x.shape, 1), x.dtype),
    lambda x: ((*x.shape[:-1], x.shape[-1] + 1), x.dtype),
], ids=["fewer", "more", "longer"])  # fmt: skip
def test_wrong_shape_rule(rule, kinds):
    with pytest.raises(AssertionError, match=r"the shape rule says \("):
        check_type(replace(SQUARE, rule=rule), X, kinds=kinds)


@kinds
def test_wrong_dtype(kinds):
    with pytest.raises(AssertionError, match="the shape rule says float32"):
        check_type(replace(SQUARE, rule=lambda x: (x.shape, "float32")), X, kinds=kinds)
    literal = replace(SQUARE, forward=lambda xp, x: x * np.array([1.0]))  # a float64 in the formula
    check_type(literal, X, kinds=kinds)
    with pytest.raises(AssertionError, match="the shape rule says float32"):
        check_type(literal, X.astype("float32"), kinds=kinds)


def test_wrong_kind():
    with pytest.raises(AssertionError, match="the shape rule says"):
        check_type(replace(SQUARE, kind="shared"), X, kinds="sample")


@pytest.mark.parametrize("forward", [
    lambda xp, x: x * x - x.mean(),  # mixes the samples
    lambda xp, x: xp.flip(x * x),  # counts axes from the left
    lambda xp, x: x * x[:1],
])  # fmt: skip
def test_formula_that_mixes_samples(forward):
    with pytest.raises(AssertionError, match="sample 0"):
        check_samples(replace(SQUARE, forward=forward), X + np.arange(BATCH)[:, None])


def test_mixed_kinds_that_broadcast_wrongly():
    outer = Primitive(
        "outer",
        rule=lambda a, b: (a.shape + b.shape, a.dtype),
        forward=lambda xp, a, b: xp.multiply.outer(a, b) if a.ndim + b.ndim == 2 else a[..., :, None] * b[::-1],
    )
    check_samples(outer, X, X[0], kinds=("shared", "shared"))
    with pytest.raises(AssertionError, match="sample 0"):
        check_samples(outer, X, X[0], kinds=("sample", "shared"))


def test_finite_differences_of_a_known_function():
    x = distinct((2, 3))
    np.testing.assert_allclose(finite_differences(lambda a: (a**3).sum(), x), 3 * x**2, rtol=1e-8)
    assert relative_error(x, x) == 0 == relative_error(0 * x, 0 * x)
    assert relative_error(x, -x) == 1


def test_distinct_has_no_ties_and_no_zero():
    for n in (1, 2, 5, 24, 100):
        x = distinct((n,))
        assert len(np.unique(x)) == n and np.abs(x).min() > 1e-3 and np.abs(x).max() < 2


def test_nothing_entered_the_registry():
    assert not {"square", "last", "outer"} & set(PRIMITIVES)
