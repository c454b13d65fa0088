"""Python's operators, broadcasting and indexing on Values give what NumPy gives; misuse is an error that says so."""

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from tools import BATCH, check_gradient, check_samples, distinct, fill_in, kind_choices, run

import pellucid as pel
from pellucid import ops

X = distinct((3, 4))
SHAPES = [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 4), (3, 1)), ((3, 1), (1, 4)), ((), (2, 3)), ((1,), (2, 1, 3))]
ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge]
NUMBERS = [2, -0.5, True, np.float32(1.5), np.int64(3), np.array(0.25), np.array([1.0, 2.0, 3.0, 4.0]), [1, 2, 3, 4]]


@pytest.mark.parametrize("op", ARITHMETIC + COMPARISONS)
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_two_values(op, shapes):
    a, b = (distinct(s, seed) for seed, s in enumerate(shapes))
    for x, y in ((a, b), (b, a)):
        result = run(op, x, y)
        np.testing.assert_allclose(result, op(x, y), rtol=1e-12)
        assert result.dtype == op(x, y).dtype


@pytest.mark.parametrize("op", ARITHMETIC)
@pytest.mark.parametrize("kinds", kind_choices(2), ids="-".join)
def test_broadcasting_of_mixed_kinds(op, kinds):
    arrays = fill_in(((3, 1), (4,)), kinds)
    check_samples(op, *arrays, kinds=kinds)
    check_gradient(op, *arrays, kinds=kinds)


@pytest.mark.parametrize("op", ARITHMETIC + COMPARISONS)
@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_numbers_and_arrays_on_either_side(op, number):
    for dtype in ("float64", "float32"):
        x, n = X.astype(dtype), np.asarray(number, dtype)
        if not isinstance(number, list):
            np.testing.assert_allclose(run(lambda v: op(number, v), x), op(n, x), rtol=1e-6)
        np.testing.assert_allclose(run(lambda v: op(v, number), x), op(x, n), rtol=1e-6)
        assert run(lambda v: op(v, number), x).dtype == op(x, n).dtype


@pytest.mark.parametrize("op", [operator.neg, abs])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_one_value(op, dtype):
    x = np.array([-2, 0, 3], dtype)
    np.testing.assert_array_equal(run(op, x), op(x))
    assert run(op, x).dtype == dtype


@pytest.mark.parametrize("op", [operator.and_, operator.or_])
def test_logic(op):
    a, b = np.array([True, True, False, False]), np.array([True, False, True, False])
    np.testing.assert_array_equal(run(op, a, b), op(a, b))
    np.testing.assert_array_equal(run(operator.invert, a), ~a)


@pytest.mark.parametrize("p", [0, 1, 2, 3, 5, 7, 8, 9, -1, -2, -3])
def test_whole_powers_hold_for_negative_numbers(p):
    np.testing.assert_allclose(run(lambda v: v**p, X), X ** float(p), rtol=1e-10)


SPECIAL = np.array([0, -0.0, 1, -1, 2, -2, 0.5, -0.5, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_powers_of_special_values(dtype, executor):
    """As IEEE has them: anything to the 0 is 1; the derivative in the base is then 0."""
    x, p = (a.ravel().astype(dtype) for a in np.meshgrid(SPECIAL, SPECIAL))
    a, b = pel.input("a", x.shape, dtype), pel.input("b", p.shape, dtype)
    fixed = {f"{n}": a**n for n in (0, -0.0, np.float32(0), np.int64(2), np.inf, -np.inf, np.nan)}
    slopes = {"slope": pel.grad(pel.batch_sum(ops.sum(a**b)), a), "of 1": pel.grad(pel.batch_sum(ops.sum(a**0)), a)}
    program = pel.Program([a, b], {"y": a**b} | fixed | slopes)
    found = pel.executors.get(executor).compile(program)({}, {"a": x[None], "b": p[None]})
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(found["y"][0], np.power(x, p), rtol=1e-6)
        for n in fixed:
            np.testing.assert_allclose(found[n][0], np.power(x, np.array(float(n), dtype)), rtol=1e-6, err_msg=n)
    assert not found["of 1"].any() and not found["slope"][0][p == 0].any()


def test_the_derivative_in_an_exponent_at_a_base_of_zero():
    a, b = pel.input("a", (4,), "float64"), pel.input("b", (4,), "float64")
    slopes = pel.grad(pel.batch_sum(ops.sum(a**b)), [a, b])
    run = pel.executors.get("reference").compile(pel.Program([a, b], dict(zip("ab", slopes, strict=True))))
    found = run({}, {"a": [[0.0, 0, 0, 2]], "b": [[0.0, 1, 2, 0]]})
    np.testing.assert_allclose(found["a"], [[0, 1, 0, 0]])
    np.testing.assert_allclose(found["b"], [[0, 0, 0, np.log(2)]])


@pytest.mark.parametrize("name", ["maximum", "minimum", "equal"])
def test_named_two_value_functions(name):
    for other in (X[0], 0.5, np.array([1.0, 0, -1, 2])):
        reference = getattr(np, name)(X, other)
        np.testing.assert_array_equal(run(lambda v, other=other: getattr(ops, name)(v, other), X), reference)
        np.testing.assert_array_equal(run(lambda v, other=other: getattr(ops, name)(other, v), X), reference)


INDICES = [
    0, -1, 2, np.int64(1), slice(None), slice(1, None), slice(None, -1), slice(None, None, 2), slice(None, None, -1),
    slice(-1, None, -2), slice(2, 0, -1), slice(5, 1), slice(0, 100), slice(-100, 2), None, ..., (), (0, 0), (-1, -1),
    (slice(None), 1), (..., 1), (1, ...), (..., slice(None, None, -3)), (slice(None, None, -1), slice(3, None, -2)),
    (None, 0, None), (..., None), (None, ..., 0), (0, ..., None), (slice(1, 1), 0), (1, ..., 2),
    (None, None, ..., None),
]  # fmt: skip


@pytest.mark.parametrize("key", INDICES, ids=repr)
def test_indexing(key):
    np.testing.assert_array_equal(run(lambda v: v[key], X), X[key])
    check_gradient(lambda v: v[key], X)
    batch = distinct((BATCH, 3, 4))
    np.testing.assert_array_equal(run(lambda v: v[key], batch, kinds="sample"), np.stack([x[key] for x in batch]))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_indexing_with_drawn_keys(data):
    x = distinct(data.draw(arrays_of.array_shapes(max_dims=3, max_side=5)))
    key = data.draw(arrays_of.basic_indices(x.shape, allow_newaxis=True))
    np.testing.assert_array_equal(run(lambda v: v[key], x), x[key])


@settings(max_examples=100, deadline=None)
@given(arrays_of.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
def test_broadcasting_of_drawn_shapes(shapes):
    a, b = (distinct(s, seed) for seed, s in enumerate(shapes.input_shapes))
    np.testing.assert_array_equal(run(operator.mul, a, b), a * b)
    check_gradient(operator.mul, a, b)


def test_walking_and_methods():
    np.testing.assert_array_equal(run(lambda v: ops.stack(list(v)[::-1]), X), X[::-1])
    np.testing.assert_array_equal(run(lambda v: v.T.reshape(2, -1), X), X.T.reshape(2, -1))
    np.testing.assert_array_equal(run(lambda v: v.reshape((6, 2)), X), X.reshape(6, 2))
    assert run(lambda v: ops.fill(len(v), (), "int32"), X) == 3


FLOAT, INT = pel.state("x", (3, 4)), pel.state("i", (3,), "int32")
BOOL, WORD = pel.state("b", (3,), "bool"), pel.state("u", (3,), "uint32")


@pytest.mark.parametrize(("misuse", "words"), [
    (lambda: FLOAT + pel.state("y", (3,)), "cannot be broadcast together"),
    (lambda: FLOAT + np.ones(3), "cannot be broadcast together"),
    (lambda: FLOAT + INT[0], "dtypes float32 and int32 differ; use cast"),
    (lambda: FLOAT + pel.state("d", (), "float64"), "dtypes float32 and float64 differ"),
    (lambda: bool(FLOAT > 0), "no truth value"),
    (lambda: 1 if FLOAT else 0, "Use where"),
    (lambda: 0 < FLOAT < 1, "no truth value"),
    (lambda: INT + 0.5, "cannot combine a int32 Value with 0.5; use cast"),
    (lambda: 0.5 * INT, "cannot combine a int32 Value"),
    (lambda: INT + np.float32(0.5), "cannot combine a int32 Value"),
    (lambda: INT + np.array(0.5), "cannot combine a int32 Value"),
    (lambda: INT + np.ones(3), "cannot combine a int32 Value"),
    (lambda: INT / 2, "divide: takes float32 or float64, got int32"),
    (lambda: INT + 2**40, "does not fit"),
    (lambda: WORD - (-1), "does not fit"),
    (lambda: -WORD, "negative: takes"),
    (lambda: FLOAT + None, "cannot combine a float32 Value with None"),
    (lambda: FLOAT + "a", "cannot combine a float32 Value with 'a'"),
    (lambda: FLOAT * 1j, "cannot combine a float32 Value with 1j"),
    (lambda: BOOL + BOOL, "add: takes"),
    (lambda: BOOL & 1, "cannot combine a bool Value"),
    (lambda: FLOAT & True, "cannot combine|takes bool"),
    (lambda: ~FLOAT, "takes bool"),
    (lambda: ops.where(FLOAT, 1.0, FLOAT), "must be bool"),
    (lambda: ops.where(FLOAT == FLOAT, 1.0, FLOAT), "equal"),
    (lambda: ops.where(BOOL, 1.0, 2.0), "at least one Value"),
    (lambda: ops.maximum(1, 2), "at least one Value"),
    (lambda: FLOAT[0, 0, 0], "3 indices for a value with 2 axes"),
    (lambda: FLOAT[..., ...], "only one"),
    (lambda: FLOAT[[0, 1]], "cannot index a Value with list; use take"),
    (lambda: FLOAT[np.array([0, 1])], "cannot index a Value with ndarray; use take"),
    (lambda: FLOAT[True], "cannot index a Value with bool"),
    (lambda: FLOAT[INT], "cannot index a Value with Value; use take"),
])  # fmt: skip
def test_misuse(misuse, words):
    with pytest.raises((pel.ArgumentError, pel.GraphError), match=words):
        misuse()


def test_out_of_range_and_length():
    for key in (3, -4, (0, 4)):
        with pytest.raises(IndexError, match="out of range for axis"):
            FLOAT[key]
    with pytest.raises(TypeError, match="no length"):
        len(FLOAT[0, 0])
