"""Values and slopes at the limits: infinite and missing numbers, distance 0, corners, ties, sums of nothing."""

import math

import numpy as np
import pytest
import scipy.special
from tools import run

import pellucid as pel
from pellucid import GraphError, nn, ops, optim
from pellucid.executors import EXECUTORS

INF, NAN = math.inf, math.nan
each_executor = pytest.mark.parametrize("executor", EXECUTORS)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def value_and_slope(executor, function, *arrays, second=False):
    """A function's result on sample arrays, and the slope of its total in the first one; or the slope of that slope."""
    inputs = [pel.input(f"x{i}", a.shape[1:], str(a.dtype)) for i, a in enumerate(arrays)]
    y = function(*inputs)
    slope = pel.grad(ops.batch_sum(ops.sum(y)), inputs[0])
    if second:
        y, slope = slope, pel.grad(ops.batch_sum(ops.sum(slope)), inputs[0])
    compiled = pel.executors.get(executor).compile(pel.Program(inputs, {"y": y, "slope": slope}))
    found = compiled({}, {f"x{i}": a for i, a in enumerate(arrays)})
    return np.asarray(found["y"]), np.asarray(found["slope"])


# ---- roots and norms ----------------------------------------------------------------------------------------------


@each_executor
@each_dtype
@pytest.mark.parametrize("p", [1, 2, 3, 2.5, INF])
def test_the_norm_of_nothing_has_slope_0_and_a_missing_number_shows(executor, dtype, p):
    x = np.array([[0, 0, 0], [3, -4, 0], [NAN, 1, 2], [INF, 1, 1]], dtype)
    y, slope = value_and_slope(executor, lambda v: ops.norm(v, p), x)
    np.testing.assert_allclose(y, [0, np.linalg.norm([3, 4], p), NAN, INF], rtol=1e-6)
    assert (slope[0] == 0).all() and np.isnan(slope[2, 0])
    if p < INF:
        a = np.array([3.0, 4.0])
        expected = [*(np.sign([3, -4]) * (a / y[1]) ** (p - 1)), 0]
    else:
        expected = [0, -1, 0]
    np.testing.assert_allclose(slope[1], expected, rtol=1e-5)


@each_executor
@each_dtype
def test_a_safe_root_has_slope_0_at_0(executor, dtype):
    x = np.array([[0.0], [4.0], [-1.0], [NAN], [INF]], dtype)
    y, slope = value_and_slope(executor, ops.safe_sqrt, x)
    np.testing.assert_array_equal(y[:, 0], np.array([0, 2, NAN, NAN, INF], dtype))
    np.testing.assert_array_equal(slope[:, 0], np.array([0, 0.25, NAN, NAN, 0], dtype))
    y, slope = value_and_slope(executor, ops.sqrt, np.zeros((1, 1), dtype))
    assert y == 0 and slope == INF  # the formula's own


@each_executor
def test_unit_norm_shows_a_missing_weight(executor):
    w = np.array([[NAN, 1.0], [3, 4], [0, 0]])
    y, _ = value_and_slope(executor, lambda v: nn.UnitNorm()(v), w[None])
    np.testing.assert_array_equal(y[0], [[NAN, NAN], [0.6, 0.8], [0, 0]])
    y, _ = value_and_slope(executor, lambda v: nn.MaxNorm(1.0)(v), w[None])
    assert np.isnan(y[0, 0]).all()


@each_executor
@pytest.mark.parametrize("how", ["clipnorm", "global_clipnorm"])
def test_a_gradient_of_0_is_not_clipped_into_nan(executor, how):
    """Also where the square of the limit is too small for float32."""
    clip = optim.SGD(0.1, **{how: 1e-30})
    y, _ = value_and_slope(executor, lambda g: clip.clipped([g])[0], np.zeros((1, 3), "float32"))
    np.testing.assert_array_equal(y, 0)


@each_executor
@each_dtype
def test_erfinv_at_its_ends(executor, dtype):
    tiny = np.finfo(dtype).epsneg
    x = np.array([[1, -1, 1 - tiny, tiny - 1, 2, -2, NAN, 0]], dtype)
    y, slope = value_and_slope(executor, ops.erfinv, x)
    np.testing.assert_allclose(y, scipy.special.erfinv(x.astype("float64")), rtol=1e-6)
    assert slope[0, 0] == slope[0, 1] == INF and np.isnan(slope[0, 4:7]).all()


@each_executor
def test_erfinv_is_as_good_as_it_says_in_float64(executor):
    distance = 2.0 ** -np.linspace(0.001, 53, 20000)
    x = np.concatenate([1 - distance, distance - 1])[:, None]
    y, _ = value_and_slope(executor, ops.erfinv, x)
    np.testing.assert_allclose(y, scipy.special.erfinv(x), rtol=5e-7)


# ---- sums of nothing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mean", [ops.mean, lambda x: ops.mean(x, 1), lambda x: ops.mean(x, (0, 1), keepdims=True)])
def test_a_mean_of_nothing_is_an_error(mean):
    with pytest.raises(GraphError, match=r"mean: nothing to take it of, in shape \(3, 0\)"):
        mean(pel.input("x", (3, 0)))


def test_what_is_empty_has_means_where_it_has_numbers():
    assert run(lambda x: ops.mean(x, 0), np.zeros((3, 0))).shape == (0,)
    assert run(lambda x: ops.sum(x), np.zeros((3, 0))) == 0


@each_executor
def test_logsumexp_of_what_cannot_be(executor):
    x = np.array([[-INF, -INF], [-INF, 1.0], [0, 0]])
    y, slope = value_and_slope(executor, ops.logsumexp, x)
    np.testing.assert_allclose(y, [-INF, 1, math.log(2)])
    np.testing.assert_array_equal(slope, [[0, 0], [0, 1], [0.5, 0.5]])
    logs, slope = value_and_slope(executor, lambda v: ops.log_softmax(v)[1], x[1:])
    np.testing.assert_allclose(logs, [0, -math.log(2)], atol=1e-15)
    np.testing.assert_array_equal(slope, [[0, 0], [-0.5, 0.5]])


@each_executor
def test_a_batch_of_nothing_leaves_the_averages_of_batch_norm(executor):
    x = pel.input("x", (3,))
    traced = nn.trace(nn.BatchNorm(), x, training=True)
    run = pel.executors.get(executor).compile(pel.Program([x], {"y": traced.output}, traced.updates))
    memory = {name: np.full(3, 0.5, "float32") for name in traced.parameters}
    assert run(memory, {"x": np.zeros((0, 3), "float32")})["y"].shape == (0, 3)
    assert all((a == 0.5).all() for a in memory.values())
    run(memory, {"x": np.eye(3, dtype="float32")})
    np.testing.assert_allclose(memory["moving_mean"], 0.9 * 0.5 + 0.1 / 3, rtol=1e-6)


# ---- corners and ties: docs/graph.md ------------------------------------------------------------------------------


@each_executor
@each_dtype
@pytest.mark.parametrize(
    "function, at, slope",
    [
        (nn.relu, 0, 0),
        (abs, 0, 0),
        (nn.leaky_relu, 0, 0.01),
        (nn.elu, 0, 1),
        (lambda v: nn.elu(v, alpha=0.5), 0, 0.5),
        (nn.ramp, 0, 0),
        (nn.ramp, 1, 0),
        (lambda v: nn.ramp(v, a=1, b=-1, c=2, d=3), 2, 0),
        (lambda v: nn.ramp(v, a=1, b=-1, c=2, d=3), 3, 0),
        (nn.step, 0, 0),
        (nn.sign, 0, 0),
        (ops.safe_sqrt, 0, 0),
        (lambda v: ops.maximum(1 - v, 0), 1, 0),
    ],
)
def test_the_smaller_slope_at_a_corner(executor, dtype, function, at, slope):
    _, found = value_and_slope(executor, function, np.full((1, 2), at, dtype))
    np.testing.assert_allclose(found, slope, rtol=1e-6)


@each_executor
@pytest.mark.parametrize("layer", [nn.MaxPool((1, 4)), nn.GlobalMaxPool()], ids=["windows", "all"])
def test_the_first_of_the_largest_has_the_slope(executor, layer):
    x = np.array([[[[1.0, 3, 3, 2]], [[5, 5, 5, 5]]]])
    _, slope = value_and_slope(executor, layer, x)
    np.testing.assert_array_equal(slope[0], [[[0, 1, 0, 0]], [[1, 0, 0, 0]]])


@each_executor
def test_the_first_of_the_largest_has_the_slope_over_time_too(executor):
    x = np.array([[[1.0, 5], [3, 5], [3, 5]]])
    y, slope = value_and_slope(executor, nn.GlobalMaxPool1D(), x)
    np.testing.assert_array_equal(y, [[3, 5]])
    np.testing.assert_array_equal(slope[0], [[0, 1], [1, 0], [0, 0]])


@each_executor
def test_an_axis_shares_the_slope_of_its_largest(executor):
    _, slope = value_and_slope(executor, ops.max, np.array([[1.0, 3, 3]]))
    np.testing.assert_array_equal(slope, [[0, 0.5, 0.5]])


# ---- losses -------------------------------------------------------------------------------------------------------

CLASS_LOSSES = [nn.CrossEntropy(), nn.Hinge(), nn.MissProbability(), nn.ClassDistance()]
LOGITS = [[-INF, 0, 1], [-INF, 0, 1], [-INF, -INF, 2]]
LABELS = [1, 0, 2]
LIMITS = {
    "CrossEntropy": ([1.3132617, INF, 0], [[0, -0.7310586, 0.7310586], [-1, 0.2689414, 0.7310586], [0, 0, 0]]),
    "Hinge": ([2, INF, 0], [[0, -1, 1], [-1, 0.5, 0.5], [0, 0, 0]]),
    "MissProbability": ([0.7310586, 1, 0], [[0, -0.1966119, 0.1966119], [0, 0, 0], [0, 0, 0]]),
    "ClassDistance": ([0.7310586, 3.1931758, 0], [[0, -0.1966119, 0.1966119], [0, -0.5898358, 0.5898358], [0, 0, 0]]),
}


@each_executor
@each_dtype
@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("loss", CLASS_LOSSES, ids=lambda loss: type(loss).__name__)
def test_a_class_that_cannot_be_plays_no_part(executor, dtype, rows, loss):
    t = np.eye(3, dtype=dtype)[LABELS] if rows else np.array(LABELS, "int32")
    y, slope = value_and_slope(executor, loss, np.array(LOGITS, dtype), t)
    value, expected = LIMITS[type(loss).__name__]
    np.testing.assert_allclose(y, value, rtol=1e-6)
    np.testing.assert_allclose(slope, expected, atol=1e-6)


@each_executor
def test_a_masked_class_does_not_stop_training(executor):
    """Logits of classes that a step cannot have are set to -inf, as masks of actions are."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(64, 5)), rng.integers(0, 3, 64)

    dense = nn.Dense(4)

    def net(v):
        return ops.where(ops.constant([True, True, True, False]), dense(v), -INF)

    model = pel.Model(net, "cross_entropy", optim.Adam(0.05), ["top_2_accuracy", "log_loss"], executor=executor, seed=0)
    history = model.fit(x, t, epochs=5, verbose=0)
    assert np.isfinite(history["loss"]).all() and history["loss"][-1] < history["loss"][0]
    assert (model.predict(x)[:, 3] == 0).all()
    found = model.evaluate(x, t)
    assert found["log_loss"] == pytest.approx(found["loss"], rel=1e-5)
    ranks = np.argsort(-model.predict(x), axis=1)[:, :2]
    assert found["top_2_accuracy"] == pytest.approx(np.mean((ranks == t[:, None]).any(1)))


@each_executor
@each_dtype
def test_the_limits_of_binary_losses(executor, dtype):
    y = np.array([[INF], [INF], [-INF], [-INF], [NAN], [0.5]], dtype)
    t = np.array([[0], [1], [0], [1], [1], [0.25]], dtype)
    value, slope = value_and_slope(executor, nn.BinaryCrossEntropy(), y, t)
    p = scipy.special.expit(0.5)
    np.testing.assert_allclose(value, [INF, 0, 0, INF, NAN, np.log1p(np.exp(0.5)) - 0.125], rtol=1e-6)
    np.testing.assert_allclose(slope[:, 0], [1, 0, 0, -1, NAN, p - 0.25], rtol=1e-6)
    value, slope = value_and_slope(executor, nn.BinaryHinge(), y[:5], t[:5])
    np.testing.assert_array_equal(value, [INF, 0, 0, INF, NAN])
    np.testing.assert_array_equal(slope[:4, 0], [1, 0, 0, -1])
    value, slope = value_and_slope(executor, nn.Poisson(), y[:5], t[:5])
    np.testing.assert_array_equal(value, [INF, INF, 0, INF, NAN])


@each_executor
def test_the_second_slope_of_binary_cross_entropy(executor):
    y, t = np.array([[0.3], [-2.0]]), np.array([[1.0], [0.25]])
    _, second = value_and_slope(executor, nn.BinaryCrossEntropy(), y, t, second=True)
    p = scipy.special.expit(y)
    np.testing.assert_allclose(second, p * (1 - p), rtol=1e-12)


@each_executor
@pytest.mark.parametrize("loss", CLASS_LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("label", [-1, 3, 2**31 - 1])
def test_a_label_that_is_no_class_shows(executor, loss, label):
    y = np.array([[1.0, 2, 3], [1, 2, 3]])
    value, slope = value_and_slope(executor, loss, y, np.array([label, 1], "int32"))
    assert np.isnan(value[0]) and np.isfinite(value[1])
    ignoring = type(loss)(ignore_class=label)
    value, slope = value_and_slope(executor, ignoring, y, np.array([label, 1], "int32"))
    assert value[0] == 0 and np.isfinite(value[1]) and np.isfinite(slope).all()


@each_executor
@each_dtype
def test_the_euclidean_distance_has_slope_0_at_0(executor, dtype):
    y, t = np.array([[3.0, 4.0], [1, 2]], dtype), np.array([[0.0, 0.0], [1, 2]], dtype)
    value, slope = value_and_slope(executor, nn.Euclidean(), y, t)
    np.testing.assert_allclose(value, [5, 0])
    np.testing.assert_allclose(slope, [[0.6, 0.8], [0, 0]], rtol=1e-6)
    steps, _ = value_and_slope(executor, nn.Euclidean(), y[None], t[None])
    np.testing.assert_allclose(steps, [2.5])


@each_executor
def test_a_net_learns_by_the_euclidean_distance(executor):
    """Also when it begins where nothing is wrong: no NaN at distance 0."""
    x = np.random.default_rng(0).normal(size=(50, 3))
    zero = pel.Model(nn.Dense(2, weight_init=nn.init.zeros), "euclidean", optim.SGD(0.1), executor=executor, seed=0)
    assert zero.fit(x, np.zeros((50, 2)), epochs=2, verbose=0)["loss"] == [0, 0]
    model = pel.Model(nn.Dense(2), "euclidean", optim.SGD(0.1), executor=executor, seed=0)
    losses = model.fit(x, x @ np.ones((3, 2)), epochs=30, verbose=0)["loss"]
    assert losses[-1] < 0.1 * losses[0]
    np.testing.assert_array_equal(model.predict(x[:3]), model.predict(x)[:3])  # the link is the identity
