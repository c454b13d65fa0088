"""The likelihood of a mixture of Gaussians: against SciPy, finite differences, far out, and as the loss of a net."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from tools import check_gradient, distinct, gradients, run

import pellucid as pel
from pellucid import ArgumentError, GraphError, nn, ops, optim
from pellucid.executors import EXECUTORS

M, K = 3, 4
random = np.random.default_rng(0)
Y = random.normal(size=(6, 6 * M + K)) * 2
T = np.concatenate([random.normal(size=(6, 2)), random.integers(0, K, (6, 1))], -1)
POINTS, OUTPUTS = T[:, :2], Y[:, : 6 * M]  # without classes
LOSS = nn.MixtureDensity(M, classes=K)


def density(y, point, floor=1e-3):
    """The density of a point, by SciPy."""
    logits, mu_1, mu_2, s_1, s_2, r = y.reshape(6, M)
    s_1, s_2 = floor + np.log1p(np.exp(s_1)), floor + np.log1p(np.exp(s_2))
    rho = np.sin(np.arctan(r))  # r is its tangent
    total = 0
    for m, w in enumerate(scipy.special.softmax(logits)):
        across = rho[m] * s_1[m] * s_2[m]
        covariance = [[s_1[m] ** 2, across], [across, s_2[m] ** 2]]
        total += w * scipy.stats.multivariate_normal([mu_1[m], mu_2[m]], covariance).pdf(point)
    return total


EXPECTED = np.array([-np.log(density(y, p)) for y, p in zip(OUTPUTS, POINTS, strict=True)])
SURPRISE = -scipy.special.log_softmax(Y[:, 6 * M :], -1)[np.arange(6), T[:, 2].astype(int)]


def test_against_scipy():
    np.testing.assert_allclose(run(nn.MixtureDensity(M), OUTPUTS, POINTS, kinds="sample"), EXPECTED, rtol=1e-9)
    np.testing.assert_allclose(run(LOSS, Y, T, kinds="sample"), EXPECTED + SURPRISE, rtol=1e-9)
    low = run(LOSS, Y.astype("float32"), T.astype("float32"), kinds="sample")
    assert low.dtype == "float32"
    np.testing.assert_allclose(low, EXPECTED + SURPRISE, rtol=1e-5)
    wide = [-np.log(density(y, p, floor=0.5)) for y, p in zip(OUTPUTS, POINTS, strict=True)]
    np.testing.assert_allclose(run(nn.MixtureDensity(M, floor=0.5), OUTPUTS, POINTS, kinds="sample"), wide, rtol=1e-9)


def test_slopes():
    for y, t in zip(Y, T, strict=True):
        check_gradient(lambda y, t=t: LOSS(y, ops.constant(t, "float64")), y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shift", range(3))
def test_far_out(dtype, shift):
    """Each output 100 or -100: deviations at the floor, correlations of almost 1, points far from every center."""
    y = np.where((np.arange(Y.size).reshape(Y.shape) + shift) % 3 == 0, 100, -100).astype(dtype)
    value = run(LOSS, y, T.astype(dtype), kinds="sample")
    slope = gradients(LOSS, y, T.astype(dtype), kinds="sample")[0]
    assert value.dtype == slope.dtype == dtype
    assert np.isfinite(value).all() and np.isfinite(slope).all()


def test_no_digits_are_lost_where_points_lie_on_a_line():
    """Correlation 0.999998: float32 against float64."""
    y = np.array([0, 0, 0, 0.5, 0.5, 500.0])
    points = np.array([[1.5, 1.5], [-0.2, -0.2], [0.3, 0.3]])
    loss = nn.MixtureDensity(1)
    exact = run(loss, np.stack([y] * 3), points, kinds="sample")
    low = run(loss, np.stack([y] * 3).astype("float32"), points.astype("float32"), kinds="sample")
    np.testing.assert_allclose(low, exact, rtol=1e-5)


def test_steps_that_do_not_count():
    y, t = np.stack([Y, Y[::-1]]), np.stack([T, T[::-1]])
    t[:, 2:5] = -1
    counted = (EXPECTED + SURPRISE)[[0, 1, 5]].mean(), (EXPECTED + SURPRISE)[[5, 4, 0]].mean()
    loss = nn.MixtureDensity(M, classes=K, ignore_class=-1)
    np.testing.assert_allclose(run(loss, y, t, kinds="sample"), counted, rtol=1e-9)
    assert not gradients(loss, y, t, kinds="sample")[0][:, 2:5].any()


def test_link():
    y = run(LOSS.link, Y[0])
    assert y.shape == Y[0].shape
    w, mu_1, mu_2, s_1, s_2, rho = y[: 6 * M].reshape(6, M)
    np.testing.assert_allclose(w, scipy.special.softmax(Y[0, :M]))
    np.testing.assert_array_equal([mu_1, mu_2], Y[0, M : 3 * M].reshape(2, M))
    np.testing.assert_allclose([s_1, s_2], 1e-3 + np.logaddexp(0, Y[0, 3 * M : 5 * M].reshape(2, M)))
    np.testing.assert_allclose(rho, np.sin(np.arctan(Y[0, 5 * M : 6 * M])))
    np.testing.assert_allclose(y[6 * M :], scipy.special.softmax(Y[0, 6 * M :]))
    assert run(nn.MixtureDensity(M).link, OUTPUTS[0]).shape == (6 * M,)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_net_finds_the_gaussian_that_points_were_drawn_from(executor, tmp_path):
    mean, covariance = [0.5, -1.0], [[1.0, 0.6], [0.6, 0.5]]
    points = np.random.default_rng(1).multivariate_normal(mean, covariance, 500)
    nothing = np.zeros((500, 1))
    model = pel.Model(nn.Dense(6), nn.MixtureDensity(1), optim.Adam(0.05), executor=executor, dtype="float64")
    model.fit(nothing, points, batch_size=100, epochs=120, verbose=0)
    _, *found = model.predict(nothing[:1])[0]
    expected = [*points.mean(0), *points.std(0), np.corrcoef(points.T)[0, 1]]
    np.testing.assert_allclose(found, expected, atol=0.03)
    best = scipy.stats.multivariate_normal(points.mean(0), np.cov(points.T)).logpdf(points).mean()
    assert -model.evaluate(nothing, points)["loss"] == pytest.approx(best, abs=0.01)
    model.save(tmp_path / "m.pel")
    again = pel.load(tmp_path / "m.pel")
    assert again.evaluate(nothing, points)["loss"] == pytest.approx(model.evaluate(nothing, points)["loss"], rel=1e-9)


def test_sequences_on_both_executors():
    y = {}
    for executor in EXECUTORS:
        net = nn.Sequential(nn.GRU(4, return_sequences=True), nn.TimeDistributed(nn.Dense(6 * M + K)))
        model = pel.Model(net, nn.MixtureDensity(M, classes=K, ignore_class=-1), optim.SGD(0.1), executor=executor)
        x, t = distinct((5, 7, 2)), np.stack([np.concatenate([T, [[-1, -1, -1]]])] * 5)
        model.fit(x, t, epochs=3, verbose=0)
        y[executor] = model.predict(x)
    np.testing.assert_allclose(*y.values(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: nn.MixtureDensity(0), "components must be a whole number >= 1, got 0"),
        (lambda: nn.MixtureDensity(2, classes=1), "classes must be 0, or 2 or more, got 1"),
        (lambda: nn.MixtureDensity(2, ignore_class=-1), "ignore_class=-1 needs classes, got classes=0"),
        (lambda: nn.MixtureDensity(2, floor=0), "floor must be a number > 0, got 0"),
        (lambda: run(LOSS, Y[0, 1:], T[0]), r"6 \* 3 \+ 4 = 22 outputs, got.*\(21,\); end the net with nn.Dense\(22\)"),
        (lambda: run(LOSS, Y[0], T[0, :2]), r"target of a sample must have shape \(3,\), got \(2,\)"),
    ],
)
def test_errors(make, text):
    with pytest.raises((ArgumentError, GraphError), match=text):
        make()
