"""grad: which kind a derivative has, what is summed over the samples, higher derivatives, and whole networks."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools import BATCH, check_gradient, check_samples, distinct, gradients, kind_choices, kinds_of, run

import pellucid as pel
from pellucid import ops
from pellucid.graph import Primitive

X = distinct((BATCH, 3))
W = distinct((3,), 1)


def derivative(formula, wrt, *arrays, kinds="shared"):
    """The derivative of a shared cost in input number ``wrt``."""
    return run(lambda *v: pel.grad(formula(*v), v[wrt]), *arrays, kinds=kinds)


def product(w, x):
    return ops.batch_sum(ops.sum(w * x))


# ---- kinds ------------------------------------------------------------------------------------------------------


def test_shared_value_used_by_samples_gets_the_sum():
    np.testing.assert_allclose(derivative(product, 0, W, X, kinds=("shared", "sample")), X.sum(0))


def test_sample_value_gets_its_own_delta():
    np.testing.assert_allclose(derivative(product, 1, W, X, kinds=("shared", "sample")), np.stack([W] * BATCH))


def test_delta_of_a_net_input_is_the_lectures_formula():
    """delta = o (1 - o) (o - t), the derivative of sum (o - t)^2 / 2 in the net input of a sigmoid layer."""

    def delta(w, x, t):
        net = ops.contract(w, x, "ij,j->i")
        o = ops.sigmoid(net)
        cost = ops.batch_sum(ops.sum((o - t) ** 2) / 2)
        return [pel.grad(cost, net), o * (1 - o) * (o - t), *pel.grad(cost, [w, net]), cost]

    arrays = distinct((2, 3)), X, distinct((BATCH, 2), 5)
    ours, lecture, of_weight, again, _ = run(delta, *arrays, kinds=("shared", "sample", "sample"))
    np.testing.assert_allclose(ours, lecture, rtol=1e-12)
    np.testing.assert_array_equal(ours, again)
    np.testing.assert_allclose(of_weight, np.einsum("ri,rj->ij", ours, X), rtol=1e-12)


def test_types_of_derivatives_are_those_of_their_values():
    w, x, n = pel.state("w", (3,)), pel.input("x", (3,)), pel.input("n", (), kind="shared")
    cost = ops.batch_mean(ops.sum(w * x)) * n
    for v, g in zip((w, x, n), pel.grad(cost, [w, x, n]), strict=True):
        assert g.type == v.type


def centered(x):
    return x - ops.batch_mean(x)


MIXED = {
    "batch_sum inside a sample formula": lambda w, x: x / (1 + ops.batch_sum(x * x)) * w,
    "batch normalization": lambda w, x: centered(x) / ops.sqrt(ops.batch_mean(centered(x) ** 2) + 0.1) * w,
    "to_samples": lambda w, x: ops.to_samples(w * w) * x,
    "to_samples alone": lambda w, x: ops.to_samples(w),
    "all_samples": lambda w, x: ops.contract(ops.all_samples(x, BATCH), w * w, "rj,j->r"),
    "each_sample": lambda w, x: ops.each_sample(ops.flip(ops.all_samples(x, BATCH), 0) * w) * x,
    "all pairs": lambda w, x: ops.contract(ops.all_samples(x * w, BATCH), x, "rj,j->r"),
    "batch_mean": lambda w, x: ops.batch_mean(ops.exp(w * x)),
    "batch_size": lambda w, x: ops.batch_size("float64") * w * w,
    "shared of shared": lambda w, x: ops.batch_sum(ops.tanh(ops.batch_sum(x) * w) * x),
    "shared branch": lambda w, x: ops.where(ops.sum(w) > 0, w * x, x),
    "sample branch": lambda w, x: ops.where(x > 0, w, w * w),
    "only shared": lambda w, x: ops.exp(w),
    "weighted": lambda w, x: ops.softmax(x * w) * ops.to_samples(ops.softmax(w)),
}


@pytest.mark.parametrize("formula", list(MIXED.values()), ids=list(MIXED))
def test_mixed_kinds(formula):
    check_gradient(formula, W, X, kinds=("shared", "sample"))


def test_batch_mean_and_size():
    mean, size = run(lambda x: [ops.batch_mean(x), ops.batch_size()], X, kinds="sample")
    np.testing.assert_allclose(mean, X.mean(0))
    assert size == BATCH and size.dtype == "float32"


def test_gathered_rows_are_summed_over_samples_and_repeats():
    rows = np.array([[0, 1], [1, 1], [3, 0], [0, 0], [3, 3]], "int32")
    g = gradients(lambda t, r: ops.take(t, r), distinct((4, 2)), rows, kinds=("shared", "sample"))[0]
    np.testing.assert_array_equal(g, np.bincount(rows.ravel(), minlength=4)[:, None] * np.ones(2))


# ---- the walk ---------------------------------------------------------------------------------------------------


def test_unused_gets_zeros_of_its_kind():
    def both(w, x, other):
        return pel.grad(ops.batch_sum(ops.sum(other)), [w, x])

    zeros = run(both, W, X, X, kinds=("shared", "sample", "sample"))
    for z, a in zip(zeros, (W, X), strict=True):
        assert z.shape == a.shape and not z.any()


def test_diamond_and_repeated_use():
    def diamond(x):
        a = x * x
        b, c = ops.exp(a), a + x
        return b * c + a * a - x * x * x

    check_gradient(diamond, W)
    np.testing.assert_allclose(derivative(lambda x: ops.sum(x + x + x * x), 0, W), 2 + 2 * W)


def test_long_chain_needs_no_recursion():
    def chain(x):
        for _ in range(3000):
            x = x + 1
        return x

    assert derivative(chain, 0, np.array(2.0)) == 1


def test_intermediate_and_cost_itself():
    def parts(x):
        a = ops.exp(x)
        cost = ops.sum(a * a)
        return pel.grad(cost, [a, x, cost])

    of_a, of_x, of_cost = run(parts, W)
    np.testing.assert_allclose(of_a, 2 * np.exp(W))
    np.testing.assert_allclose(of_x, 2 * np.exp(2 * W))
    assert of_cost == 1


def test_one_wrt_gives_one_and_a_sequence_a_list():
    w = pel.state("w")
    assert isinstance(pel.grad(w * w, w), pel.Value)
    assert [g.type for g in pel.grad(w * w, (w, w))] == [w.type] * 2
    assert pel.grad(w * w, []) == []


def test_stop_gradient():
    assert run(lambda x: ops.stop_gradient(x) * x, np.array(3.0)) == 9
    assert derivative(lambda x: ops.stop_gradient(x) * x, 0, np.array(3.0)) == 3


def test_cast_passes_between_floats_only():
    assert derivative(lambda x: ops.cast(ops.cast(x, "float32") ** 2, "float64"), 0, np.array(3.0)) == 6
    assert derivative(lambda x: ops.cast(ops.cast(x, "int32"), "float64"), 0, np.array(3.0)) == 0


# ---- with_vjp ---------------------------------------------------------------------------------------------------


@ops.with_vjp(lambda g, y, x, w, *, scale: (g * w * scale, None))
def scaled(x, w, *, scale):
    return x * w * scale


def test_with_vjp_is_used_and_none_means_zero():
    assert run(lambda x, w: scaled(x, w, scale=5), 2.0, 3.0) == 30
    assert [float(g) for g in gradients(lambda x, w: scaled(x, w, scale=5), 2.0, 3.0)] == [15, 0]


@pytest.mark.parametrize("kinds", kind_choices(2), ids="-".join)
def test_with_vjp_of_mixed_kinds(kinds):
    @ops.with_vjp(lambda g, y, a, b: (g * b, g * a))
    def times(a, b):
        return a * b

    arrays = [a if k == "sample" else a[0] for a, k in zip((X, X[::-1]), kinds, strict=True)]
    check_gradient(times, *arrays, kinds=kinds)
    check_samples(times, *arrays, kinds=kinds)


@pytest.mark.parametrize(("rule", "words"), [
    (lambda g, y, a, b: (g,), "of halves gives 1 derivatives; expected one derivative for each of 2 inputs"),
    (lambda g, y, a, b: (g, g, None), "of halves gives 3 derivatives"),
    (lambda g, y, a, b: g, "of halves gives <.*>, not a tuple"),
    (lambda g, y, a, b: (g, 0.5), "of halves gives 0.5, neither a Value nor None"),
])  # fmt: skip
def test_a_rule_gives_one_derivative_an_input(rule, words):
    @ops.with_vjp(rule)
    def halves(a, b):
        return (a + b) / 2

    own = Primitive("halves", rule=lambda a, b: (a.shape, a.dtype), forward=lambda xp, a, b: (a + b) / 2, vjp=rule)
    a, b = pel.state("a", (2,)), pel.state("b", (2,))
    for function in (halves, own):
        with pytest.raises(pel.GraphError, match=f"the derivative rule {words}"):
            pel.grad(ops.sum(function(a, b)), a)


def test_wrong_shape_from_a_rule_is_refused():
    bad = ops.with_vjp(lambda g, y, x: (ops.sum(g),))(lambda x: x * 2)
    with pytest.raises(pel.GraphError, match="derivative rule of ruled gives"):
        gradients(bad, W)


# ---- higher derivatives -----------------------------------------------------------------------------------------

SMOOTH = {
    "cube": lambda x: x**3,
    "tanh": ops.tanh,
    "sigmoid": ops.sigmoid,
    "softplus": ops.softplus,
    "softmax": ops.softmax,
    "log_softmax": ops.log_softmax,
    "logsumexp": ops.logsumexp,
    "norm": ops.norm,
    "erf": ops.erf,
    "quotient": lambda x: x / (1 + x * x),
    "power": lambda x: (1 + x * x) ** 1.7,
    "contract": lambda x: ops.contract(x, x, "i,j->ij"),
    "slice, pad": lambda x: ops.pad(x[::2] ** 2, [(1, 2)]),
    "take": lambda x: ops.take(x * x, ops.constant(np.array([0, 2, 2], "int32"))),
    "max": lambda x: ops.max(x) ** 3,
}


@pytest.mark.parametrize("kinds", ["shared", "sample"])
@pytest.mark.parametrize("formula", list(SMOOTH.values()), ids=list(SMOOTH))
def test_second_derivative(formula, kinds):
    """The gradient of any function of the gradient: here sum of c * (df/dx)^2."""

    def squared_gradient(x):
        y = ops.sum(ops.exp(formula(x) * 0.3))
        return pel.grad(ops.batch_sum(y) if y.kind == "sample" else y, x) ** 2

    check_gradient(squared_gradient, X if kinds == "sample" else W, kinds=kinds)


def test_third_derivative():
    def third(x):
        y = x**4
        for _ in range(3):
            y = pel.grad(y, x)
        return y

    assert run(third, np.array(2.0)) == 48  # the third derivative of x^4 is 24 x


def test_hessian_vector_product():
    a = distinct((3, 3))

    def hv(x, v):
        g = pel.grad(ops.sum(x * ops.contract(ops.constant(a), x, "ij,j->i")), x)
        return pel.grad(ops.sum(g * v), x)

    np.testing.assert_allclose(run(hv, W, W[::-1]), (a + a.T) @ W[::-1])


# ---- a network --------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(widths=st.lists(st.integers(1, 4), min_size=2, max_size=4), data=st.data())
def test_random_mlp(widths, data):
    activations = data.draw(st.lists(st.sampled_from([ops.tanh, ops.sigmoid, ops.softplus]), min_size=3, max_size=3))
    pairs = list(itertools.pairwise(widths))
    weights = [distinct((m, n), i) for i, (n, m) in enumerate(pairs)]
    biases = [distinct((m,), 9 + i) for i, (_, m) in enumerate(pairs)]
    labels = np.arange(BATCH, dtype="int32") % widths[-1]

    def cost(x, label, *parameters):
        ws, bs = parameters[: len(pairs)], parameters[len(pairs) :]
        for w, b, f in zip(ws, bs, activations, strict=False):
            x = f(ops.contract(w, x, "ij,j->i") + b)
        return ops.batch_mean(-ops.sum(ops.one_hot(label, widths[-1], like=x) * ops.log_softmax(x)))

    arrays = [distinct((BATCH, widths[0]), 77), labels, *weights, *biases]
    kinds = ("sample", "sample", *kinds_of(arrays[2:], "shared"))
    check_gradient(cost, *arrays, kinds=kinds)


# ---- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cost", "words"), [
    (lambda x, w: x[0], "batch_mean"),
    (lambda x, w: ops.batch_sum(x), "Sum it first"),
    (lambda x, w: w, "Sum it first"),
    (lambda x, w: ops.batch_sum(ops.cast(x[0], "int32")), "not of a float dtype"),
])  # fmt: skip
def test_cost_must_be_a_shared_number(cost, words):
    x, w = pel.input("x", (3,)), pel.state("w", (3,))
    with pytest.raises(pel.GraphError, match=words):
        pel.grad(cost(x, w), w)


def test_integers_have_no_derivative():
    w, n = pel.state("w"), pel.state("n", (), "int32")
    with pytest.raises(pel.GraphError, match=r"'n'.*not of a float dtype"):
        pel.grad(w * ops.cast(n, "float32"), n)
