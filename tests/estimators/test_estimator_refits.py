"""Fitting again: warm starts follow changed arguments, and a fit that fails leaves the estimator as it was."""

import warnings

import numpy as np
import pytest
import sklearn.neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris

from pellucid import nn, optim, schedules
from pellucid.neurons import Adaline
from pellucid.selection import ModelEstimator
from pellucid.sklearn import (
    Autoencoder,
    MLPClassifier,
    MLPRegressor,
    NeuralClassifier,
    NeuralMultiLabel,
    NeuralRegressor,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_iris(return_X_y=True)
X2, Y2 = load_diabetes(return_X_y=True)
WARM = dict(hidden_layer_sizes=(6,), max_iter=5, random_state=0, learning_rate_init=0.02, warm_start=True)


def weights(net):
    return np.concatenate([a.ravel() for a in net.model_.parameters.values()])


def refitted(changes):
    """How far the weights go in a second fit with other arguments."""
    net = NeuralClassifier(**WARM).fit(X, Y)
    before = weights(net)
    net.set_params(**changes).fit(X, Y)
    assert net.model_.epochs == 5 + net.n_iter_ == len(net.loss_curve_)
    return np.abs(weights(net) - before).max()


@pytest.mark.parametrize(
    "changes",
    [
        dict(learning_rate_init=1e-12),
        dict(solver="sgd", learning_rate_init=1e-12),
        dict(optimizer=optim.SGD(1e-12)),
        dict(optimizer="rmsprop", learning_rate_init=1e-12),
        dict(learning_rate=schedules.Cosine(1e-12, epochs=5)),
    ],
    ids=str,
)
def test_a_warm_start_takes_another_rate_optimizer_or_schedule(changes):
    assert 0 < refitted(changes) < 1e-9
    assert refitted({}) > 0.01


def test_a_warm_start_takes_another_loss_dropout_and_activation():
    """It ends where a net with these arguments ends that begins with the same weights."""
    for changes in (dict(loss="hinge"), dict(dropout=0.5), dict(activation="tanh"), dict(alpha=50.0)):
        net = NeuralClassifier(**WARM).fit(X, Y)
        plain = clone(net).fit(X, Y).fit(X, Y)
        net.set_params(**changes).fit(X, Y)
        assert np.abs(weights(net) - weights(plain)).max() > 1e-3, changes
    assert isinstance(NeuralClassifier(**WARM).fit(X, Y).set_params(loss="hinge").fit(X, Y).model_.loss, nn.Hinge)
    dropping = NeuralClassifier(**WARM).fit(X, Y).set_params(dropout=0.5).fit(X, Y).model_.net
    assert any(isinstance(layer, nn.Dropout) for layer in dropping.layers)


def test_each_warm_fit_begins_its_optimizer_anew_and_partial_fit_does_not():
    net = NeuralClassifier(**WARM | {"max_iter": 1, "shuffle": False})
    twice = clone(net).fit(X, Y).fit(X, Y)
    assert int(twice.model_.state["optimizer.step"]) == 1
    parts = clone(net).partial_fit(X, Y, classes=[0, 1, 2]).partial_fit(X, Y)
    assert int(parts.model_.state["optimizer.step"]) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (dict(hidden_layer_sizes=(7,)), r"hidden_layer_sizes changed: 'layers.0.weight' has shape \(6, 4\)"),
        (dict(hidden_layer_sizes=(6, 3)), "hidden_layer_sizes changed"),
        (dict(layers=[nn.Dense(6), nn.relu, nn.BatchNorm()]), "layers changed"),
        (dict(loss="binary_cross_entropy"), "tells two classes apart"),
        (dict(scale=False), "scale cannot change while the weights stay"),
    ],
    ids=lambda given: ",".join(given) if isinstance(given, dict) else "",  # a layer's text has addresses
)
def test_a_warm_start_refuses_what_its_weights_do_not_fit(changes, words):
    net = NeuralClassifier(**WARM).fit(X, Y)
    before = net.predict_proba(X)
    for _ in range(2):
        with pytest.raises(ValueError, match=words):
            net.set_params(**changes).fit(X, Y)
    with pytest.raises(ValueError, match=words):
        net.partial_fit(X, Y)
    assert (net.predict_proba(X) == before).all()
    if "loss" not in changes:
        assert net.set_params(warm_start=False).fit(X, Y).n_iter_ == 5


def test_poisson_and_other_losses_do_not_share_targets():
    net = NeuralRegressor(**WARM).fit(X, Y)
    with pytest.raises(ValueError, match="cannot change between 'poisson'"):
        net.set_params(loss="poisson").fit(X, Y)
    assert isinstance(net.set_params(loss="huber").fit(X, Y).model_.loss, nn.Huber)


@pytest.mark.parametrize("kind", [NeuralClassifier, NeuralRegressor, MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("max_iter", [1, 4])
def test_early_stopping_goes_with_warm_start(kind, max_iter):
    net = kind(hidden_layer_sizes=(6,), max_iter=max_iter, random_state=0, warm_start=True, early_stopping=True)
    net.fit(X, Y).fit(X, Y)
    assert net.n_iter_ == max_iter and len(net.loss_curve_) == 2 * max_iter


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize(
    "changes",
    [
        dict(learning_rate_init=1e-12), dict(alpha=5.0), dict(solver="adam"), dict(solver="lbfgs"),
        dict(activation="tanh"), dict(hidden_layer_sizes=(7,)), dict(hidden_layer_sizes=(6, 3)),
        dict(hidden_layer_sizes=()), dict(batch_size=10), dict(early_stopping=True),
    ],
    ids=str,
)  # fmt: skip
def test_the_drop_ins_do_under_warm_start_what_scikit_learn_does(solver, changes):
    """With other hidden sizes scikit-learn goes on with the old ones, or fails: so do the drop-ins."""
    found = []
    for kind in (theirs.MLPClassifier, MLPClassifier):
        net = kind(**WARM | {"solver": solver}).fit(X, Y)
        try:
            net.set_params(**changes).fit(X, Y)
        except Exception as error:
            found.append(type(error))
        else:
            found.append(np.concatenate([c.ravel() for c in net.coefs_]))
    assert isinstance(found[0], type) == isinstance(found[1], type), found
    if not isinstance(found[0], type):
        np.testing.assert_allclose(*found, 1e-5, 1e-6)


# ---- a fit that fails -----------------------------------------------------------------------------------------------


class Broken(Exception):
    pass


def failing(net):
    """Fits that fail at their beginning, at targets, and in training."""
    few = X[:, :2]
    yield lambda: net.fit(few, Y[:-1])
    yield lambda: net.fit(few, np.full(len(Y), np.nan))
    yield lambda: net.fit(np.where(few > 3, np.nan, few), Y)
    yield lambda: net.set_params(hidden_layer_sizes=(0,)).fit(few, Y)


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("kind", [NeuralClassifier, NeuralRegressor, MLPClassifier, MLPRegressor])
def test_a_fit_that_fails_leaves_the_old_model_whole(kind, warm):
    net = kind(**WARM | {"warm_start": warm}).fit(X, Y)
    other = clone(net).fit(X, Y)
    for i, fit in enumerate(failing(net)):
        with pytest.raises(ValueError, match=r"NaN|inconsistent|expecting 4|hidden_layer_sizes must be"):
            fit()
        net.set_params(hidden_layer_sizes=(6,))
        assert (net.predict(X) == other.predict(X)).all() and net.n_features_in_ == 4, i
        assert vars(net).keys() == vars(other).keys()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(net.fit(X, Y).predict(X), other.fit(X, Y).predict(X))


def test_other_labels_do_not_mix_with_old_weights():
    """Today's labels with yesterday's weights would be wrong in silence."""
    net = NeuralClassifier(**WARM | {"warm_start": False}).fit(X, Y)
    expected = net.predict(X)

    def late(epoch, logs=None):
        raise Broken

    from pellucid import Callback

    callback = Callback()
    callback.on_epoch_end = late
    names = np.array(["c", "a", "b"])[Y]
    for fit in (lambda: net.fit(X, names), lambda: net.set_params(warm_start=True).fit(X, Y)):
        net.set_params(callbacks=[callback])
        with pytest.raises(Broken):
            fit()
        assert (net.predict(X) == expected).all() and net.n_iter_ == 5 and len(net.loss_curve_) == 5
        assert net.model_.epochs == 5
    multi = NeuralMultiLabel(max_iter=2).fit(X, np.stack([Y == 0, Y == 1], 1).astype(int))
    with pytest.raises(Broken):
        multi.set_params(callbacks=[callback]).fit(X, Y)
    assert multi.predict(X).shape == (150, 2)
    coder = Autoencoder(1, max_iter=2).fit(X)
    code = coder.transform(X)
    with pytest.raises(Broken):
        coder.set_params(callbacks=[callback]).fit(X[:, :2])
    assert (coder.transform(X) == code).all()


def test_a_first_fit_that_fails_leaves_nothing():
    for kind in (NeuralClassifier, MLPClassifier, MLPRegressor, NeuralRegressor):
        net = kind(hidden_layer_sizes=(0,))
        before = dict(vars(net))
        for verb in (net.fit, net.partial_fit):
            more = {"classes": [0, 1, 2]} if "Classifier" in kind.__name__ and verb == net.partial_fit else {}
            with pytest.raises(ValueError, match="hidden_layer_sizes must be > 0"):
                verb(X, Y, **more)
            assert vars(net) == before


def test_models_and_neurons_stay_whole_too():
    import pellucid as pel

    model = pel.Model(nn.Sequential(nn.Dense(4), nn.tanh, nn.Dense(3)), "cross_entropy", seed=0)
    estimator = ModelEstimator(model, epochs=2).fit(X, Y)
    expected = estimator.predict_proba(X)
    with pytest.raises(ValueError, match="NaN"):
        estimator.fit(np.where(X > 7, np.nan, X), np.array(["c", "a", "b"])[Y])
    assert (estimator.predict_proba(X) == expected).all() and estimator.classes_.tolist() == [0, 1, 2]
    unit = Adaline(epochs=5, learning_rate=0.001).fit(X, Y)
    expected = unit.predict(X)
    with pytest.raises(ArithmeticError, match="grew beyond all numbers"), np.errstate(all="ignore"):
        unit.set_params(learning_rate=1e6, epochs=200).fit(X, Y + 5)
    assert (unit.predict(X) == expected).all()
