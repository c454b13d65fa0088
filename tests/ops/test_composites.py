"""Formulas made of primitives: their values against SciPy and NumPy, their derivatives, and large inputs."""

import math

import numpy as np
import pytest
import scipy.special
from composite_cases import ROWS, TABLE, UNIT, X
from tools import check_gradient, check_samples, check_type, fill_in, gradients, in_dtype, kind_choices, run

import pellucid as pel
from pellucid import ops

CASES = [pytest.param(*case, id=name) for name, case in TABLE.items()]
table = pytest.mark.parametrize(("function", "expected", "arrays"), CASES)
SAFE = ["sigmoid", "softplus", "softmax", "softmax axis 0", "log_softmax", "logsumexp", "logsumexp axis 0",
        "norm 1", "norm 2", "norm 3", "norm 2.5", "norm inf", "norm of all", "mean"]  # fmt: skip


@table
def test_value(function, expected, arrays):
    np.testing.assert_allclose(run(function, *arrays), expected(*arrays), rtol=1e-12)
    check_type(function, *in_dtype(arrays, "float32"))


@table
def test_gradient(function, expected, arrays):
    check_gradient(function, *arrays)


@table
def test_mixed_kinds(function, expected, arrays):
    for kinds in kind_choices(len(arrays)):
        given = fill_in(arrays, kinds)
        check_samples(function, *given, kinds=kinds)
        check_gradient(function, *given, kinds=kinds)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SAFE)
@pytest.mark.parametrize("x", [[100, -100, 0], [-100, -100, -100], [100, 100, 100], [0, 0, 0]], ids=str)
def test_finite_at_100(name, x, dtype):
    function, expected, _ = TABLE[name]
    x = np.array([x, x], dtype)
    y = run(function, x)
    np.testing.assert_allclose(y, expected(x.astype("float64")), rtol=1e-5, atol=1e-30)
    assert y.dtype == dtype
    assert np.isfinite(gradients(function, x)[0]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_minus_infinity_is_a_probability_of_nothing(dtype):
    inf = math.inf
    x = np.array([[-inf, 0, 1], [2, -inf, -inf], [-inf, -inf, 100], [-3, -inf, -3]], dtype)
    x64 = x.astype("float64")
    np.testing.assert_allclose(run(lambda v: ops.logsumexp(v, -1), x), scipy.special.logsumexp(x64, -1), rtol=1e-6)
    np.testing.assert_allclose(run(ops.softmax, x), scipy.special.softmax(x64, -1), rtol=1e-6)
    np.testing.assert_allclose(run(ops.log_softmax, x), scipy.special.log_softmax(x64, -1), rtol=1e-6)
    slope = gradients(lambda v: ops.logsumexp(v, -1), x)[0]
    np.testing.assert_allclose(slope, scipy.special.softmax(x64, -1), rtol=1e-6)
    assert np.isfinite(gradients(lambda v: ops.softmax(v)[:, 2], x)[0]).all()


def test_logsumexp_of_infinities_alone():
    for inf in (math.inf, -math.inf):
        assert run(ops.logsumexp, np.array([inf, inf])) == inf
        assert run(lambda v: ops.logsumexp(v, keepdims=True), np.array([[inf]])) == [[inf]]
    assert run(ops.logsumexp, np.array([math.inf, -math.inf, 1])) == math.inf
    assert np.isnan(run(ops.logsumexp, np.array([math.nan, 1])))


@pytest.mark.parametrize(("function", "at", "slope"), [
    (ops.sigmoid, [-100, 0, 100], [0, 0.25, 0]),
    (ops.softplus, [-100, 0, 100], [0, 0.5, 1]),
    (ops.logsumexp, [-100, 100], [0, 1]),
    (ops.norm, [0, 0], [0, 0]),
    (ops.norm, [3, 4], [0.6, 0.8]),
    (lambda x: ops.norm(x, 3), [0, -2], [0, -1]),
    (lambda x: ops.max(x), [1, 2, 2], [0, 0.5, 0.5]),
    (lambda x: ops.maximum(x, 0), [-1, 0, 1], [0, 0, 1]),
    (lambda x: ops.minimum(0, x), [-1, 0, 1], [0 + 1, 1, 0]),
    (lambda x: abs(x), [-2, 0, 2], [-1, 0, 1]),
    (ops.stop_gradient, [1, 2], [0, 0]),
    (ops.floor, [1.5, 2.5], [0, 0]),
])  # fmt: skip
def test_slope_at_special_points(function, at, slope):
    np.testing.assert_allclose(gradients(function, np.array(at, "float64"))[0], slope, atol=1e-12)


def test_erfinv():
    x = np.linspace(-0.99999, 0.99999, 4001)
    exact = scipy.special.erfinv(x)
    np.testing.assert_allclose(run(ops.erfinv, x), exact, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(gradients(ops.erfinv, x)[0], np.sqrt(np.pi) / 2 * np.exp(exact**2), rtol=2e-5)
    check_gradient(ops.erfinv, UNIT, tolerance=1e-5)  # the formula itself is good to 1e-6


@pytest.mark.parametrize("labels", [np.array(2), ROWS, np.array([[0, 1], [3, 3]], "int64")], ids=["0d", "1d", "2d"])
def test_one_hot(labels):
    codes = run(lambda v: ops.one_hot(v, 4, like=ops.fill(0, (), "float32")), labels)
    np.testing.assert_array_equal(codes, np.eye(4, dtype="float32")[labels])
    assert codes.dtype == "float32"
    assert run(lambda v: ops.one_hot(v, 4), labels).dtype == "int32"
    rows = np.stack([labels] * 5)
    np.testing.assert_array_equal(run(lambda v: ops.one_hot(v, 4), rows, kinds="sample"), np.eye(4)[rows])


def test_argmax_takes_the_first_of_equals():
    assert run(ops.argmax, np.array([1.0, 3.0, 3.0])) == 1


def test_integers_wrap_and_shift():
    from pellucid.ops.elementwise import bit_xor, shift_right

    a, b = np.array([5, 2**32 - 1], "uint32"), np.array([1, 31], "uint32")
    np.testing.assert_array_equal(run(lambda x: x + 1, a), [6, 0])
    np.testing.assert_array_equal(run(shift_right, a, b), a >> b)
    np.testing.assert_array_equal(run(bit_xor, a, b), a ^ b)


def test_take_refuses_rows_outside():
    for bad in (-1, 3):
        with pytest.raises(IndexError, match=f"row {bad} is outside 0..2"):
            run(ops.take, X, np.array([0, bad]))


@pytest.mark.parametrize(("function", "words"), [
    (lambda x: ops.norm(x, 0.5), "p must be a number >= 1"),
    (lambda x: ops.sum(x, 2), "axis 2 is out of range"),
    (lambda x: ops.max(x, (0, -2)), "one axis twice"),
    (lambda x: ops.softmax(x, 5), "axis 5 is out of range"),
    (lambda x: ops.argmax(x, None), "takes one axis"),
    (lambda x: ops.argmax(x[:, 4:]), "nothing to take it of"),
    (lambda x: ops.max(x[3:]), "nothing to take it of"),
    (lambda x: ops.flip(x, 2), r"flip: axes \(2,\) are not among the 2 axes"),
    (lambda x: ops.expand_dims(x, 4), "axis 4 is out of range"),
    (lambda x: ops.transpose(x, (0, 0)), r"transpose: \(0, 0\) is not an order"),
    (lambda x: ops.concatenate([]), "at least one value"),
    (lambda x: ops.concatenate([x, x], 2), "axis 2 is out of range"),
    (lambda x: ops.concatenate([x, x[0]]), "do not fit"),
    (lambda x: ops.concatenate([x, x.T]), "do not fit"),
    (lambda x: ops.pad(x, [(1, 1)]), "each axis"),
    (lambda x: ops.pad(x, [(1, 1), (0, -1)]), "widths must be a whole number >= 0, got -1"),
    (lambda x: ops.broadcast_to(x, (4, 3)), "cannot be stretched"),
    (lambda x: ops.broadcast_to(x, (4,)), "cannot be stretched"),
    (lambda x: ops.reshape(x, (5, -1)), "do not divide"),
    (lambda x: ops.reshape(x, (5, 2)), "12 elements"),
    (lambda x: ops.reshape(x, (-1, -1)), "lengths must be"),
    (lambda x: ops.contract(x, x, "ij"), "not of the form"),
    (lambda x: ops.contract(x, x, "ii,ij->j"), "each once"),
    (lambda x: ops.contract(x, x, "ij,kj->i"), "only one place"),
    (lambda x: ops.contract(x, x, "ij,jk->ik"), "axis 'j' is 4"),
    (lambda x: ops.contract(x, x[0], "ij,ij->i"), "names 2 axes"),
    (lambda x: ops.contract(x, ops.cast(x, "float32"), "ij,ij->i"), "one dtype"),
    (lambda x: ops.dot(x, x[None]), "use contract"),
    (lambda x: ops.take(x, x), "rows must be int32"),
    (lambda x: ops.take(x[0, 0], ops.iota(3)), "scalar has no rows"),
    (lambda x: ops.scatter_rows(x, ops.iota(4), 3), "do not fit"),
    (lambda x: ops.exp(ops.iota(3)), "use cast"),
    (lambda x: ops.cast(x, "float16"), "float16"),
    (lambda x: ops.batch_sum(x), "nothing to sum over"),
    (lambda x: ops.batch_mean(ops.iota(3)), "batch_mean: takes float32"),
    (lambda x: ops.each_sample(x[0, 0]), "scalar has no rows"),
])  # fmt: skip
def test_misuse(function, words):
    with pytest.raises((pel.ArgumentError, pel.GraphError), match=words):
        function(pel.state("x", (3, 4), "float64"))
