"""Every loss of the table: its value against another implementation, its slope, its link, and large logits."""

import math

import numpy as np
import pytest
import scipy.spatial
import scipy.special
import scipy.stats
import sklearn.metrics
from tools import check_gradient, gradients, run

from pellucid import ArgumentError, GraphError, nn, ops
from pellucid.metrics import METRICS, as_metrics
from pellucid.nn.losses import LOSSES, FunctionLoss, as_loss

random = np.random.default_rng(0)
Y = random.normal(size=(6, 4)) * 2  # six samples of four outputs
VALUES = random.normal(size=(6, 4))
BINARY = random.integers(0, 2, (6, 4)).astype(float)
CLASSES = random.integers(0, 4, 6).astype("int32")
ONE_HOT = np.eye(4)[CLASSES]
SOFT = scipy.special.softmax(random.normal(size=(6, 4)), -1)  # probabilities as targets
K = scipy.special.softmax(Y, -1)


def cross_entropy(t, smoothing=0.0):
    return -((t * (1 - smoothing) + smoothing / 4) * np.log(K)).sum(-1)


def huber(d, delta=1.0):
    return scipy.special.huber(delta, d).mean(-1)


def margin(y, t, size=1.0):
    others = np.where(np.eye(4)[t] == 1, -np.inf, y).max(-1)
    return np.maximum(0, size + others - y[np.arange(6), t])


COUNTS = random.integers(0, 6, (6, 4)).astype(float)
LOG_FACTORIALS = scipy.special.gammaln(COUNTS + 1).mean(-1)  # which the loss leaves out
DISTANCE = (np.arange(4) - CLASSES[:, None]) ** 2
BCE = -(BINARY * np.log(scipy.special.expit(Y)) + (1 - BINARY) * np.log(scipy.special.expit(-Y))).mean(-1)

# name of the class -> (options, targets, one number a sample by NumPy, SciPy or scikit-learn)
CASES = {
    "HalfSquaredError": [({}, VALUES, ((Y - VALUES) ** 2).sum(-1) / 2)],
    "MeanSquaredError": [
        ({}, VALUES, [sklearn.metrics.mean_squared_error(t, y) for t, y in zip(VALUES, Y, strict=True)])
    ],
    "MeanAbsoluteError": [
        ({}, VALUES, [sklearn.metrics.mean_absolute_error(t, y) for t, y in zip(VALUES, Y, strict=True)])
    ],
    "Huber": [({}, VALUES, huber(Y - VALUES)), ({"delta": 0.3}, VALUES, huber(Y - VALUES, 0.3))],
    "Euclidean": [({}, VALUES, scipy.spatial.distance.cdist(Y, VALUES).diagonal())],
    "Poisson": [({}, COUNTS, -scipy.stats.poisson.logpmf(COUNTS, np.exp(Y)).mean(-1) - LOG_FACTORIALS)],
    "CrossEntropy": [
        ({}, CLASSES, cross_entropy(ONE_HOT)),
        ({}, ONE_HOT, cross_entropy(ONE_HOT)),
        ({}, SOFT, cross_entropy(SOFT)),
        ({"label_smoothing": 0.2}, CLASSES, cross_entropy(ONE_HOT, 0.2)),
        ({"label_smoothing": 0.2}, ONE_HOT, cross_entropy(ONE_HOT, 0.2)),
    ],
    "BinaryCrossEntropy": [
        ({}, BINARY, BCE),
        ({}, BINARY, [sklearn.metrics.log_loss(t, p) for t, p in zip(BINARY, scipy.special.expit(Y), strict=True)]),
        ({"label_smoothing": 0.1}, BINARY, 0.95 * BCE + 0.05 * (BCE + ((2 * BINARY - 1) * Y).mean(-1))),
    ],
    "Hinge": [({}, CLASSES, margin(Y, CLASSES)), ({"margin": 2.5}, ONE_HOT, margin(Y, CLASSES, 2.5))],
    "BinaryHinge": [({}, BINARY, [sklearn.metrics.hinge_loss(2 * t - 1, y) for t, y in zip(BINARY, Y, strict=True)])],
    "MissProbability": [({}, CLASSES, 1 - K[np.arange(6), CLASSES]), ({}, ONE_HOT, 1 - (K * ONE_HOT).sum(-1))],
    "ClassDistance": [({}, CLASSES, (K * DISTANCE).sum(-1)), ({}, ONE_HOT, (K * DISTANCE).sum(-1))],
}
EACH = [pytest.param(getattr(nn, name)(**options), t, np.asarray(expected), id=f"{name}{options or ''}-{i}")
        for name, tries in CASES.items() for i, (options, t, expected) in enumerate(tries)]  # fmt: skip
each = pytest.mark.parametrize("loss, t, expected", EACH)


def test_the_table_is_tested():
    assert set(CASES) == {cls.__name__ for cls in LOSSES.values()}


@each
def test_values(loss, t, expected):
    np.testing.assert_allclose(run(loss, Y, t, kinds="sample"), expected, rtol=1e-12)
    t32 = t.astype("float32") if t.dtype.kind == "f" else t
    low = run(loss, Y.astype("float32"), t32, kinds="sample")
    assert low.dtype == "float32" and low.shape == (6,)
    np.testing.assert_allclose(low, expected, rtol=1e-5)


@each
def test_slopes(loss, t, expected):
    for y, target in zip(Y, t, strict=True):
        check_gradient(lambda y, target=target: loss(y, constant(target, y)), y)


def constant(t, like):
    return ops.reshape(ops.constant(t, like.dtype if t.dtype.kind == "f" else str(t.dtype)), t.shape)


@each
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_outputs(loss, t, expected, dtype):
    large = 80 if isinstance(loss, nn.Poisson) else 100  # its prediction, exp(y), is a float32 itself
    y = np.where(np.arange(24).reshape(6, 4) % 3 == 0, large, -large).astype(dtype)
    t = t.astype(dtype) if t.dtype.kind == "f" else t
    value = run(loss, y, t, kinds="sample")
    slope = gradients(loss, y, t, kinds="sample")[0]
    assert value.dtype == slope.dtype == dtype
    assert np.isfinite(value).all() and np.isfinite(slope).all()
    assert (value >= 0).all()


@pytest.mark.parametrize("t, value, slope", [(1.0, 100.0, -1.0), (0.0, math.exp(-100), math.exp(-100))])
def test_cross_entropy_from_logits_is_exact_far_out(t, value, slope):
    y = np.array([-100.0])
    assert float(run(nn.BinaryCrossEntropy(), y, np.array([t]))) == pytest.approx(value, rel=1e-12)
    assert gradients(nn.BinaryCrossEntropy(), y, np.array([t]))[0] == pytest.approx([slope], rel=1e-12)
    two, label = np.array([0.0, -100.0]), np.int32(t)
    assert float(run(nn.CrossEntropy(), two, label)) == pytest.approx(value, rel=1e-12, abs=1e-40)


def test_sequences_take_the_mean_over_the_other_axes():
    """Classes lie along the last axis: five steps of four classes each."""
    y, t = random.normal(size=(6, 5, 4)), random.integers(0, 4, (6, 5)).astype("int32")
    for loss in (nn.CrossEntropy(), nn.MissProbability(), nn.ClassDistance(), nn.Hinge()):
        steps = [run(loss, y[:, s], t[:, s], kinds="sample") for s in range(5)]
        np.testing.assert_allclose(run(loss, y, t, kinds="sample"), np.mean(steps, 0), rtol=1e-12)


LINKS = {
    "CrossEntropy": scipy.special.softmax, "MissProbability": scipy.special.softmax,
    "ClassDistance": scipy.special.softmax, "BinaryCrossEntropy": scipy.special.expit,
    "Poisson": np.exp,
}  # fmt: skip


@pytest.mark.parametrize("cls", sorted(set(LOSSES.values()), key=lambda c: c.__name__))
def test_links(cls):
    expected = LINKS.get(cls.__name__, lambda y: y)(Y[0])
    np.testing.assert_allclose(run(cls().link, Y[0]), expected, rtol=1e-12)
    assert cls.targets in ("classes", "binary", "values")


def test_as_loss():
    for name, cls in LOSSES.items():
        assert type(as_loss(name)) is cls
    loss = nn.Huber(delta=2.0)
    assert as_loss(loss) is loss and type(as_loss(nn.Huber)) is nn.Huber

    own = as_loss(lambda y, t: (y - t) ** 4)
    assert type(own) is FunctionLoss and float(run(own, np.array(3.0), np.array(1.0))) == 16


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: as_loss("crossentropy"), "no loss is named 'crossentropy'; here it is loss='cross_entropy'"),
        (lambda: as_loss(3), r"must be a name, a Loss or a function of \(y, t\), got 3"),
        (lambda: run(nn.CrossEntropy(), np.ones(1), np.int32(0)), "at least 2, got.*for one output use binary"),
        (lambda: run(nn.Hinge(), np.ones(()), np.int32(0)), "needs one output per class"),
    ],
)
def test_errors(make, text):
    with pytest.raises((ArgumentError, GraphError), match=text):
        make()


# ---- metrics ----------------------------------------------------------------------------------------------------


def measure(metric, loss, y, t):
    return run(lambda y, t: as_metrics([metric])[metric].each(y, t, loss), y, t, kinds="sample").mean()


def test_accuracy():
    right = sklearn.metrics.accuracy_score(CLASSES, Y.argmax(-1))
    assert measure("accuracy", nn.CrossEntropy(), Y, CLASSES) == pytest.approx(right)
    assert measure("accuracy", nn.CrossEntropy(), Y, ONE_HOT) == pytest.approx(right)
    bits = ((Y > 0) == BINARY).mean()
    assert measure("accuracy", nn.BinaryCrossEntropy(), Y, BINARY) == pytest.approx(bits)
    assert measure("accuracy", FunctionLoss(function=print), Y, BINARY) == pytest.approx(bits)
    with pytest.raises(GraphError, match=r"accuracy needs one output per class.*MeanSquaredError with output.*\(1,\)"):
        measure("accuracy", nn.MeanSquaredError(), Y[:, :1], BINARY[:, :1])


def test_errors_as_metrics():
    p = scipy.special.expit(Y)
    for name, other in {"mse": "mean_squared_error", "mae": "mean_absolute_error"}.items():
        assert METRICS[name].function is METRICS[other].function
        expected = getattr(sklearn.metrics, other)(VALUES, Y)
        assert measure(name, nn.HalfSquaredError(), Y, VALUES) == pytest.approx(expected)
        assert measure(name, nn.BinaryCrossEntropy(), Y, BINARY) == pytest.approx(
            getattr(sklearn.metrics, other)(BINARY, p)
        )


def test_metrics_of_users_and_wrong_ones():
    def largest(prediction, target):
        return abs(prediction - target)[0]

    ((name, metric),) = as_metrics([largest]).items()
    assert name == "largest"
    found = run(lambda y, t: metric.each(y, t, nn.BinaryCrossEntropy()), Y, BINARY, kinds="sample")
    np.testing.assert_allclose(found, np.abs(scipy.special.expit(Y) - BINARY)[:, 0])
    for wrong, text in (
        ("acc", r"no metric is named 'acc'; here it is metrics=\['accuracy'\]"),
        (3, "must be a name or a function"),
    ):
        with pytest.raises(ArgumentError, match=text):
            as_metrics([wrong])
