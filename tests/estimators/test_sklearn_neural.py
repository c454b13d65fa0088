"""Neural nets as scikit-learn estimators: its own checks, and what they take beyond the perceptrons' arguments."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import pellucid as pel
from pellucid import nn, optim, schedules
from pellucid.sklearn import Autoencoder, NeuralClassifier, NeuralForecaster, NeuralMultiLabel, NeuralRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_iris(return_X_y=True)
X2, Y2 = load_diabetes(return_X_y=True)
FAST = dict(learning_rate_init=0.02, max_iter=60, tol=0, random_state=0)


@parametrize_with_checks([
    NeuralClassifier(max_iter=50), NeuralRegressor(max_iter=50), NeuralMultiLabel(max_iter=50),
    NeuralForecaster(max_iter=50), Autoencoder(max_iter=20),
])  # fmt: skip
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# ---- nets, losses, optimizers ---------------------------------------------------------------------------------------


def test_layers_of_all_kinds():
    x, y = load_digits(return_X_y=True)
    x, y = x[:300].astype("float32"), y[:300]
    layers = [nn.Conv(4, 3, padding="same"), nn.relu, nn.MaxPool(2), nn.Flatten()]
    net = NeuralClassifier(layers=layers, input_shape=(1, 8, 8), **FAST).fit(x, y)
    assert net.score(x, y) > 0.95 and net.predict_proba(x).dtype == "float32"
    assert net.model_.parameters["layers.5.weight"].shape == (10, 64)

    def own(v):
        return nn.Dense(3, name="only")(v)

    assert NeuralClassifier(layers=own, **FAST).fit(X, Y).score(X, Y) > 0.8
    deep = NeuralClassifier((8, 6), "logistic", dropout=0.1, **FAST).fit(X, Y)
    assert [type(p).__name__ for p in deep.model_.net.layers[:3]] == ["Dense", "function", "Dropout"]


def test_optimizers_rates_and_callbacks():
    class Count(pel.Callback):
        epochs = 0

        def on_epoch_end(self, epoch, logs=None):
            Count.epochs += 1

    for options in (dict(optimizer="rmsprop"), dict(optimizer=optim.AdamW(0.02, weight_decay=0.01)), dict(solver="sgd"),
                    dict(solver="lbfgs"), dict(learning_rate=schedules.Cosine(0.02, epochs=60)),
                    dict(solver="sgd", learning_rate="adaptive"), dict(callbacks=[Count()])):  # fmt: skip
        net = NeuralClassifier((8,), **FAST | options).fit(X, Y)
        assert net.score(X, Y) > 0.9, options
    assert Count.epochs == net.n_iter_
    slow = NeuralClassifier((8,), solver="sgd", learning_rate="invscaling", power_t=0.5, random_state=0, max_iter=2,
                            early_stopping=False, learning_rate_init=0.5).fit(X, Y)  # fmt: skip
    assert slow.model_.learning_rate == pytest.approx(0.5 / np.sqrt(301), 1e-6)


def test_losses():
    two = X[50:], Y[50:] == 1
    for loss, sure in (("binary_cross_entropy", True), ("hinge", False), ("binary_hinge", False), ("log_loss", True)):
        net = NeuralClassifier((8,), loss=loss, **FAST).fit(*two)
        assert net.score(*two) > 0.9 and hasattr(net, "predict_proba") == sure, loss
    assert np.allclose(net.predict_proba(X).sum(1), 1) and (net.predict_log_proba(X) <= 0).all()
    with pytest.raises(ValueError, match="'binary_hinge' tells two classes apart, y has 3"):
        NeuralClassifier(loss="binary_hinge").fit(X, Y)

    def cubic(y, t):
        return abs(y - t).reshape() ** 3

    for loss in ("huber", "absolute_error", cubic):
        assert NeuralRegressor((20,), loss=loss, **FAST).fit(X2, Y2).score(X2, Y2) > 0.3
    counts = np.round(np.exp(X[:, 2] / 2))
    poisson = NeuralRegressor((20,), loss="poisson", **FAST).fit(X, counts)
    assert poisson.score(X, counts) > 0.8 and (poisson.predict(X) > 0).all()
    with pytest.raises(ValueError, match="'poisson' needs y >= 0"):
        poisson.fit(X, counts - 5)


def test_alpha_is_scikit_learns_penalty():
    """On all samples at once, without scaling, by the same steps: the weights' sizes follow alpha alike."""
    from sklearn.neural_network import MLPRegressor

    norms = []
    for kind in (MLPRegressor, NeuralRegressor):
        more = {} if kind is MLPRegressor else dict(scale=False, loss="half_squared_error")
        net = kind(hidden_layer_sizes=(), solver="lbfgs", alpha=50.0, max_iter=500, tol=1e-9, random_state=0, **more)
        net.fit(X, X @ [1.0, 2.0, 3.0, 4.0] - 1)
        norms.append(net.coefs_[0][:, 0] if kind is MLPRegressor else net.model_.parameters["layers.0.weight"][0])
    np.testing.assert_allclose(*norms, 1e-2)


# ---- samples ------------------------------------------------------------------------------------------------------


def frame():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    sex = rng.choice(["male", "female"], 200)
    age = np.where(rng.random(200) < 0.1, np.nan, rng.uniform(1, 80, 200))
    port = pandas.Series(rng.choice(["C", "Q", None], 200)).astype("category")
    table = pandas.DataFrame({"sex": sex, "age": age, "port": port, "fare": rng.uniform(0, 500, 200)})
    return table, np.where((sex == "female") ^ (table["fare"] > 400), "yes", "no")


def test_tables_with_categories_and_gaps():
    table, y = frame()
    net = NeuralClassifier((16,), **FAST).fit(table, y)
    assert net.score(table, y) > 0.95 and list(net.feature_names_in_) == list(table.columns) and net.n_features_in_ == 4
    new = table.assign(sex="unheard of")
    assert net.predict(new).shape == (200,)
    with pytest.raises(ValueError, match="feature names should match"):
        net.predict(table.rename(columns={"sex": "gender"}))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).predict_proba(table), net.predict_proba(table))
    scores = cross_val_score(NeuralClassifier((8,), **FAST), table, y, cv=3)
    assert scores.shape == (3,) and np.isfinite(scores).all()


def test_weights_of_samples_and_classes():
    few = np.concatenate([np.arange(0, 50), np.arange(50, 150, 10)])
    x, y = X[few, :1], (Y[few] > 0).astype(int)
    nets = [NeuralClassifier((4,), class_weight=w, **FAST) for w in (None, "balanced", {0: 1, 1: 50})]
    recalls = [net.fit(x, y).predict(x[50:]).mean() for net in nets]
    assert recalls[0] < recalls[1] <= recalls[2] == 1
    weight = np.where(Y == 2, 0.0, 1.0)
    net = NeuralClassifier((8,), **FAST).fit(X, Y, sample_weight=weight)
    assert net.predict_proba(X)[:, 2].max() < 0.2
    for bad in (-weight, 0 * weight):
        with pytest.raises(ValueError, match=r"sample_weight must be >= 0|at least one non-zero"):
            net.fit(X, Y, sample_weight=bad)


def test_validation_and_early_stopping():
    net = NeuralClassifier((30,), early_stopping=True, learning_rate_init=0.05, random_state=0, max_iter=500)
    net.fit(X, Y)
    assert net.n_iter_ < 500 and "val_loss" in net.model_.history
    other = NeuralClassifier((30,), **FAST).fit(X[::2], Y[::2], validation_data=(X[1::2], Y[1::2]))
    assert len(other.model_.history["val_loss"]) == other.n_iter_ == len(other.loss_curve_)
    with pytest.warns(UserWarning, match="one sample for validation says next to nothing of others"):
        net.fit(X, Y, validation_data=(X[:1], Y[:1]))
    with pytest.raises(ValueError, match="validation set is too small"):
        NeuralRegressor(early_stopping=True, validation_fraction=0.01).fit(X2[:50], Y2[:50])


def test_scaling_is_learnt_and_undone():
    x, y = 1e6 + 1e4 * X2, 1e5 + 1e3 * Y2
    net = NeuralRegressor((20,), **FAST).fit(x, y)
    assert net.score(x, y) > 0.4
    assert NeuralRegressor((20,), scale=False, **FAST).fit(x, y).score(x, y) < 0.2
    both = NeuralRegressor((20,), **FAST).fit(x, np.stack([y, -y], 1))
    assert both.predict(x[:3]).shape == (3, 2) and both.score(x, np.stack([y, -y], 1)) > 0.4


def test_partial_fit_and_warm_start():
    net = NeuralClassifier((8,), learning_rate_init=0.02, random_state=0)
    for _ in range(60):
        net.partial_fit(X[::2], Y[::2], classes=[0, 1, 2])
    net.partial_fit(X[:10], Y[:10])  # of one class
    assert net.score(X, Y) > 0.9 and net.model_.epochs == 61 and net.t_ == 60 * 75 + 10
    with pytest.raises(ValueError, match="classes that were not there before"):
        net.partial_fit(X, Y + 1)
    warm = NeuralRegressor((8,), warm_start=True, max_iter=5, random_state=0).fit(X2, Y2)
    first = warm.loss_
    assert warm.fit(X2, Y2).loss_ < first and warm.model_.epochs == 10
    assert len(warm.loss_curve_) == 10 and warm.n_iter_ == 5
    with pytest.raises(ValueError, match="warm_start needs the classes"):
        NeuralClassifier((8,), warm_start=True, max_iter=2).fit(X, Y).fit(X[:100], Y[:100])


# ---- scikit-learn's tools -------------------------------------------------------------------------------------------


def test_pipelines_searches_and_processes():
    pipeline = make_pipeline(MinMaxScaler(), NeuralClassifier(layers=[nn.Dense(6), nn.tanh], threads=1, **FAST))
    grid = {"neuralclassifier__alpha": [0.0, 0.1], "neuralclassifier__layers": [[nn.Dense(4), nn.relu], [nn.Dense(2)]]}
    alone = GridSearchCV(pipeline, grid, cv=3).fit(X, Y)
    apart = GridSearchCV(pipeline, grid, cv=3, n_jobs=2).fit(X, Y)
    np.testing.assert_array_equal(*(s.cv_results_["mean_test_score"] for s in (alone, apart)))
    assert alone.score(X, Y) > 0.9


def test_clones_pickles_and_html():
    net = NeuralClassifier(layers=[nn.Dense(6), nn.tanh, nn.Dropout(0.1)], **FAST).fit(X, Y)
    again = clone(net).fit(X, Y)
    other = pickle.loads(pickle.dumps(net))
    for copied in (again, other):
        np.testing.assert_array_equal(copied.predict_proba(X), net.predict_proba(X))
    assert (
        "NeuralClassifier" in net._repr_html_() and repr(NeuralClassifier(alpha=0.1)) == "NeuralClassifier(alpha=0.1)"
    )


def test_the_model_can_be_saved(tmp_path):
    net = NeuralClassifier((6,), **FAST).fit(X, Y)
    net.model_.save(tmp_path / "net.pel")
    found = pel.load(tmp_path / "net.pel").predict(net.features_(net, X))
    np.testing.assert_allclose(found, net.predict_proba(X), 1e-6)


def test_folds_with_a_missing_class():
    ordered = KFold(3).split(X)  # each fold lacks the class that it is tested on
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cross_val_predict(NeuralClassifier((4,), **FAST), X, Y, cv=list(ordered))
    assert (found != Y).all()
    with pytest.raises(ValueError, match="one class only, 0: there is nothing to tell apart"):
        NeuralClassifier().fit(X[:50], Y[:50])


BAD = [
    (dict(alpha=-1.0), "'alpha' parameter of NeuralClassifier"),
    (dict(n_iter_no_change=0), "'n_iter_no_change' parameter"),
    (dict(dropout=1.0), "'dropout' parameter"),
    (dict(batch_size=0), "'batch_size' parameter"),
    (dict(activation="rellu"), "no activation is named 'rellu'"),
    (dict(loss="crossentropy"), "no loss is named 'crossentropy'"),
    (dict(optimizer="adamm"), "adamm"),
    (dict(hidden_layer_sizes=(3, 0)), "hidden_layer_sizes must be > 0"),
    (dict(layers=[nn.Dense]), "did you mean Dense"),
    (dict(input_shape=(1, 3, 3), layers=[nn.Flatten()]), "Reshape"),
    (dict(executor="cuda"), "executor must be one of"),
]


@pytest.mark.parametrize(("options", "words"), BAD, ids=str)
def test_bad_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        NeuralClassifier(**options).fit(X, Y)


def test_bad_samples():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        NeuralClassifier().fit(X, Y[:-1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        NeuralClassifier((3,)).fit(X, Y, validation_data=(X, Y[:-1]))
    with pytest.warns(UserWarning, match="column 1 of X equals y: the target is among the features"):
        NeuralRegressor((3,), max_iter=1).fit(X, X[:, 1])
    table, y = frame()
    with pytest.warns(UserWarning, match="column 'survived' of X equals y"):
        NeuralClassifier((3,), max_iter=1).fit(table.assign(survived=y), y)
    with pytest.raises(ConvergenceWarning, match=r"\(2\) reached"), warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        NeuralClassifier((3,), max_iter=2).fit(X, Y)


# ---- the others ---------------------------------------------------------------------------------------------------


def test_several_labels():
    x, y = make_multilabel_classification(n_samples=200, n_classes=4, random_state=0)
    net = NeuralMultiLabel((30,), early_stopping=False, **FAST).fit(x, y)
    assert net.predict(x).shape == y.shape and (net.predict(x) == y).mean() > 0.95
    assert net.predict_proba(x).shape == y.shape and net.score(x, y) > 0.8


def test_autoencoder():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 6)) * 10 + 50
    for options in (dict(hidden_layer_sizes=()), dict(layers=[nn.Dense(8), nn.tanh], decoder=[nn.Dense(8), nn.tanh])):
        coder = Autoencoder(2, solver="lbfgs", max_iter=100, tol=0, random_state=0, **options).fit(x)
        assert coder.transform(x).shape == (200, 2) and coder.score(x) > -0.05
        back = coder.inverse_transform(coder.transform(x))
        assert ((back - x) ** 2).mean() < 0.05 * x.var(0).mean()
    frame = pytest.importorskip("pandas").DataFrame(x)
    assert list(coder.set_output(transform="pandas").fit_transform(frame).columns) == ["autoencoder0", "autoencoder1"]
    assert Autoencoder(1, (4,), noise=0.1, max_iter=2).fit(x.astype("float32")).transform(x).shape == (200, 1)


def test_forecaster():
    t = np.arange(300)
    series = np.stack([np.sin(t / 5), np.cos(t / 5)], 1)
    net = NeuralForecaster(8, 3, 2, solver="lbfgs", random_state=0, max_iter=60).fit_series(series[:250])
    ahead = net.forecast(series[:250], steps=7)
    assert ahead.shape == (7, 2) and np.abs(ahead - series[250:257]).max() < 0.1
    x, y = net.windows(series)
    assert x.shape == (290, 16) and y.shape == (290, 6) and net.score(x, y) > 0.99
    recurrent = NeuralForecaster(8, layers=[nn.LSTM(6)], max_iter=3, random_state=0).fit_series(series[:, 0])
    assert recurrent.model_.net.layers[0].shape == (8, 1) and recurrent.forecast(series[:, 0], 2).shape == (2,)
    with pytest.raises(ValueError, match="the last 8 values of the series, got 5"):
        net.forecast(series[:5])
    with pytest.raises(ValueError, match="channels=2"):
        net.fit_series(series[:, 0])
    with pytest.raises(ValueError, match="need 11 steps"):
        net.fit_series(series[:10])


@pytest.mark.parametrize("early_stopping", [False, True])
def test_restarts(early_stopping):
    """Two hidden units often fail at XOR: of eight tries the best is kept, and all are there to look at."""
    x = np.tile([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], (10, 1))
    y = (x[:, 0] != x[:, 1]).astype(int)
    options = {"learning_rate_init": 0.1, "max_iter": 150, "tol": 0, "random_state": 0, "batch_size": 10}
    net = NeuralClassifier((2,), "tanh", n_restarts=8, early_stopping=early_stopping, **options).fit(x, y)
    measure = "val_loss" if early_stopping else "loss"
    assert len(net.restarts_.models) == 8 and net.restarts_.std() > 0
    results = net.restarts_.results[measure]
    assert results.min() == results[net.restarts_.models.index(net.model_)]
    assert net.score(x, y) == 1.0
    again = clone(net).fit(x, y)
    assert (again.predict_proba(x) == net.predict_proba(x)).all()
    weight = np.linspace(0.5, 2, 40)
    one, best = (NeuralClassifier((2,), n_restarts=n, alpha=0.1, **options).fit(x, y, weight) for n in (1, 2))
    first = best.restarts_.models[0]
    assert first.penalties == pytest.approx(one.model_.penalties)
    assert all((first.parameters[name] == a).all() for name, a in one.model_.parameters.items())
