"""Monte-Carlo dropout: predictions many times over, and intervals of them."""

import numpy as np
import pytest

from pellucid import ArgumentError, GraphError, Model, nn
from pellucid.executors import EXECUTORS

random = np.random.default_rng(0)
X = random.normal(size=(600, 3)).astype("float32")


def model(*parts, loss="mse", **options):
    return Model(nn.Sequential(*parts), loss, input_shape=(3,), seed=1, **options)


def dropping(**options):
    return model(nn.Dense(16), nn.BatchNorm(), nn.tanh, nn.Dropout(0.4), nn.Dense(2), **options)


def test_shapes_and_mean():
    """Of a linear net after the dropped units, the mean is what `predict` gives."""
    m = dropping()
    y = m.predict_samples(X[:20], samples=2000)
    assert y.shape == (2000, 20, 2) and y.dtype == np.float32
    error = y.std(0) / np.sqrt(2000)
    assert (np.abs(y.mean(0) - m.predict(X[:20])) < 5 * error + 1e-6).all() and (error > 0).all()


def test_the_numbers_depend_on_seed_row_and_sample_alone():
    m = dropping()
    y = m.predict_samples(X, samples=4, seed=3)
    np.testing.assert_array_equal(y, m.predict_samples(X, samples=4, seed=3))
    np.testing.assert_array_equal(y, dropping(threads=3).predict_samples(X, samples=4, seed=3))
    np.testing.assert_allclose(y[:, :10], m.predict_samples(X[:10], samples=4, seed=3), rtol=1e-5)
    np.testing.assert_allclose(y[:2], m.predict_samples(X, samples=2, seed=3), rtol=1e-5)
    assert (y != m.predict_samples(X, samples=4, seed=4)).any()
    same = m.predict_samples(np.repeat(X[:1], 600, 0), samples=3)
    assert len(np.unique(same[..., 0].round(5))) > 1000  # each row and each sample dropped units of its own


@pytest.mark.parametrize("executor", EXECUTORS)
def test_native_is_reference(executor):
    m = dropping(executor=executor, dtype="float64")
    expected = dropping(executor="reference", dtype="float64").predict_samples(X[:300], samples=3)
    np.testing.assert_allclose(m.predict_samples(X[:300], samples=3), expected, rtol=1e-10, atol=1e-12)


def test_normalization_is_as_in_prediction_and_nothing_changes():
    """Samples do not depend on the others in the batch, noise is left out, and the state is as before."""
    m = model(nn.GaussianNoise(5.0), nn.Dense(4), nn.BatchNorm(), nn.Dropout(0.0), nn.DropConnect(2, rate=0.5))
    m.fit(X, X[:, :2], verbose=0)
    state = {name: a.copy() for name, a in m.state.items()}
    y = m.predict_samples(X[:50], samples=2)
    np.testing.assert_allclose(y[:, :1], m.predict_samples(X[:1], samples=2), rtol=1e-5)
    assert state.keys() == m.state.keys() and all((state[name] == a).all() for name, a in m.state.items())
    plain = m.predict(X[:50])
    m.predict_samples(X[:50], samples=2)
    np.testing.assert_array_equal(m.predict(X[:50]), plain)


def test_the_link_is_applied():
    y = dropping(loss="cross_entropy").predict_samples(X[:5], samples=3)
    np.testing.assert_allclose(y.sum(-1), 1, rtol=1e-5)


def test_the_interval_holds_the_asked_share():
    m = dropping()
    y = m.predict_samples(X[:30], samples=200, seed=5)
    mean, lower, upper = found = m.predict_interval(X[:30], level=0.8, samples=200, seed=5)
    assert found.mean is mean and mean.shape == lower.shape == upper.shape == (30, 2) and lower.dtype == np.float32
    np.testing.assert_allclose(mean, y.mean(0), rtol=1e-6)
    share = ((lower <= y) & (y <= upper)).mean(0)
    np.testing.assert_allclose(share, 0.8, atol=0.02)
    np.testing.assert_allclose(((y < lower).mean(0), (y > upper).mean(0)), 0.1, atol=0.01)


def test_uncertain_where_there_was_no_data():
    x = np.linspace(-1, 1, 200)[:, None]
    m = Model(nn.Sequential(nn.Dense(50), nn.relu, nn.Dropout(0.1), nn.Dense(1)), "mse", seed=0)
    m.fit(x, np.sin(3 * x), epochs=60, verbose=0)
    _, lower, upper = m.predict_interval(np.array([[0.3], [4.0]]))
    assert upper[1] - lower[1] > 3 * (upper[0] - lower[0])


@pytest.mark.parametrize(
    "ask, text",
    [
        (lambda: model(nn.Dense(2)).predict_samples(X), r"the net drops nothing.*put nn\.Dropout"),
        (lambda: dropping().predict_samples(X, samples=0), "samples must be a whole number >= 1, got 0"),
        (lambda: dropping().predict_samples(X, seed=-1), "seed must be a whole number >= 0, got -1"),
        (
            lambda: dropping().predict_interval(X, level=95),
            r"level must be a number in \(0, 1\), got 95; for example 0\.95",
        ),
        (lambda: Model(nn.Dense(1), "mse").predict_samples(X), "the model has no weights yet"),
    ],
)
def test_bad_input(ask, text):
    with pytest.raises((ArgumentError, GraphError), match=text):
        ask()
