"""What estimators are given: gaps, rare classes, single classes and samples, weights, numbers too large, streams."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

from pellucid import nn
from pellucid.sklearn import (
    Autoencoder,
    MLPClassifier,
    MLPRegressor,
    NeuralClassifier,
    NeuralForecaster,
    NeuralMultiLabel,
    NeuralRegressor,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_iris(return_X_y=True)
FEW = dict(hidden_layer_sizes=(6,), max_iter=4, random_state=0)
FAST = dict(hidden_layer_sizes=(8,), learning_rate_init=0.02, max_iter=60, tol=0, random_state=0)


# ---- gaps ---------------------------------------------------------------------------------------------------------


def test_gaps_in_a_frame_of_numbers_are_filled():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    holes = frame.mask(np.random.default_rng(0).random(X.shape) < 0.1)
    assert NeuralClassifier(**FAST).fit(holes, Y).score(holes, Y) > 0.85  # gaps at fit
    net = NeuralClassifier(**FAST).fit(frame, Y)  # gaps later: the column's median
    expected = net.predict_proba(frame.assign(b=frame["b"].median()))
    for gone in (np.nan, None, pandas.NA):
        for dtype in (None, "Float64", object):
            column = pandas.Series([gone] * len(X), dtype=dtype if gone is not pandas.NA else dtype or object)
            np.testing.assert_allclose(net.predict_proba(frame.assign(b=column)), expected, 1e-5, 1e-6)
    with pytest.raises(ValueError, match="Input X contains NaN"):  # arrays: as scikit-learn
        NeuralClassifier(**FEW).fit(np.where(X > 7, np.nan, X), Y)


def test_missing_categories_in_every_dtype():
    pandas = pytest.importorskip("pandas")
    text = np.array(["u", "v", "w"], object)[Y]
    for dtype in ("object", "string", "category"):
        column = pandas.Series(text).astype(dtype)
        column[::10] = None
        frame = pandas.DataFrame({"n": X[:, 0], "c": column, "flag": pandas.array(Y == 1, dtype="boolean")})
        frame.loc[0, "flag"] = pandas.NA  # in the first row
        net = NeuralClassifier(**FAST).fit(frame, Y)
        assert net.score(frame, Y) > 0.9, dtype
        for empty in (None, np.nan, pandas.NA):  # none of them is there
            found = net.predict_proba(frame.assign(c=pandas.Series([empty] * 150)))
            assert np.isfinite(found).all()
            gone = frame.assign(c=pandas.Series([None] * 150, dtype=object))
            np.testing.assert_allclose(found, net.predict_proba(gone))


# ---- classes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [NeuralClassifier, MLPClassifier])
def test_a_first_part_of_one_class(kind):
    net = kind((8,), learning_rate_init=0.02, random_state=0)
    for _ in range(60):
        for c in range(3):
            net.partial_fit(X[c == Y], Y[c == Y], classes=[0, 1, 2])
    assert net.classes_.tolist() == [0, 1, 2] and net.predict(X).shape == (150,)
    if kind is NeuralClassifier:
        two = kind(loss="binary_cross_entropy", **FEW).partial_fit(X[:9], ["no"] * 9, classes=["no", "yes"])
        assert set(two.predict(X)) <= {"no", "yes"} and two.predict_proba(X).shape == (150, 2)
        with pytest.raises(ValueError, match="one class only"):
            kind(**FEW).partial_fit(X[:9], Y[:9], classes=[0])


def test_rare_classes_in_early_stopping_are_named_as_the_user_names_them():
    names = np.array(["setosa", "versicolor", "virginica"], object)[Y]
    names[0] = "unique"
    with pytest.warns(UserWarning, match="class 'unique' has one sample, which is learnt from: early stopping is"):
        net = NeuralClassifier(early_stopping=True, **FEW).fit(X, names)
    assert "unique" in net.classes_ and "val_loss" in net.model_.history
    with pytest.warns(UserWarning, match=r"validation_fraction=0.01 holds 2 of 150 samples back, too few for a share"):
        NeuralClassifier(early_stopping=True, validation_fraction=0.01, **FEW).fit(X, Y)
    with pytest.raises(ValueError, match="validation set is too small"):
        NeuralClassifier(early_stopping=True, **FEW).fit(X[[0, 60]], Y[[0, 60]])


def test_labels_of_all_kinds_come_back_as_they_were():
    big = np.array([2**53, 2**53 + 1, 2**63 - 1])
    for labels in (big, big.astype(np.uint64) + 2**62, np.array(["01", "1", "NA"], object), np.array(["", " ", "?"])):
        for kind in (NeuralClassifier, MLPClassifier, NeuralMultiLabel):
            net = kind(**FAST).fit(X, labels[Y])
            assert set(net.classes_.tolist()) == set(labels.tolist())
            assert (net.predict(X) == labels[Y]).mean() > 0.8, (kind, labels)


def test_identifiers_as_features_are_told():
    ids = np.stack([np.arange(150) + 2**60, np.arange(150)], 1)
    with pytest.warns(UserWarning, match=r"column 0 of X holds whole numbers beyond 2\^53"):
        NeuralClassifier(**FEW).fit(ids, Y)
    pandas = pytest.importorskip("pandas")
    with pytest.warns(UserWarning, match=r"column 'id' of X holds whole numbers beyond 2\^53"):
        NeuralClassifier(**FEW).fit(pandas.DataFrame(ids, columns=["id", "n"]), Y)


# ---- weights --------------------------------------------------------------------------------------------------------


def test_what_is_monitored_is_not_weighted_by_class():
    """val_loss is what `evaluate` says of the same rows, with their sample_weight."""
    rare = np.r_[0:50, 50:60, 100:150]
    x, y = X[rare], Y[rare]
    weight = np.linspace(0.5, 2, len(y))
    for own in (None, weight):
        net = NeuralClassifier(early_stopping=True, class_weight={0: 1, 1: 50, 2: 1}, scale=False, **FEW)
        net.fit(x, y, sample_weight=own)
        _, held = net._divided(net._targets(y, x))
        found = net.model_.evaluate(x[held], y[held], sample_weight=None if own is None else own[held])["loss"]
        assert min(net.model_.history["val_loss"]) == pytest.approx(found, 1e-6)
        given = NeuralClassifier(class_weight={0: 1, 1: 50, 2: 1}, scale=False, **FEW)
        held_data = (x[held], y[held]) if own is None else (x[held], y[held], own[held])
        given.fit(x, y, validation_data=held_data)
        evaluated = given.model_.evaluate(*held_data[:2], sample_weight=None if own is None else own[held])["loss"]
        assert given.model_.history["val_loss"][-1] == pytest.approx(evaluated, 1e-6)


# ---- sizes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [NeuralClassifier, NeuralRegressor, MLPClassifier, MLPRegressor])
def test_a_batch_larger_than_the_samples_is_clipped_and_said(kind):
    with pytest.warns(UserWarning, match="`batch_size` 1000, larger than the 150 samples. It is going to be clipped"):
        kind(batch_size=1000, early_stopping=False, **FEW).fit(X, Y)


def test_whole_numbers_first_and_others_later():
    for kind in (NeuralClassifier, NeuralRegressor, MLPClassifier, MLPRegressor):
        nets = [kind(**FEW).fit(np.round(X).astype(dtype), Y) for dtype in (int, float, np.uint8)]
        found = [net.predict(X + 0.25) for net in nets]
        assert (found[0] == found[1]).all() and (found[0] == found[2]).all()
    truths = NeuralClassifier(**FEW).fit(X > 2, Y)
    assert truths.predict(X).shape == (150,)
    ints = NeuralForecaster(3, **FEW).fit_series(np.arange(30))
    assert ints.forecast(np.arange(30) + 0.5).dtype == float


def test_the_last_windows_judge_a_forecaster():
    """Windows share steps with their neighbors: by chance, a net would be judged by what it has learnt."""
    net = NeuralForecaster(4, 3, early_stopping=True, validation_fraction=0.2, **FEW)
    x, y = net.windows(np.sin(np.arange(60.0)))
    training, held = net._divided(y)
    assert held.tolist() == list(range(len(x) - len(held), len(x))) and len(held) == 11
    assert training.max() + 3 == held.min()  # the targets of those between are among the held ones' too
    assert "val_loss" in net.fit(x, y).model_.history


# ---- numbers that are not finite ------------------------------------------------------------------------------------


def test_predictions_that_are_not_finite_are_errors():
    far = X.copy()
    far[[3, 77]] = 1e300
    for net in (
        NeuralClassifier(**FEW).fit(X.astype("float32"), Y),
        NeuralRegressor(**FEW | {"activation": "softplus"}, layers=[nn.Dense(4), lambda v: v * v * v]).fit(X, Y),
        Autoencoder(2, layers=[nn.Dense(4), lambda v: v * v * v], max_iter=2, random_state=0).fit(X),
    ):
        use = net.transform if isinstance(net, Autoencoder) else net.predict
        with pytest.raises(ValueError, match=r"rows? 3"):
            use(far)


def test_targets_and_columns_too_large_are_refused():
    for dtype in (float, np.float32):
        with pytest.raises(ValueError, match=r"column 0 of y holds numbers so large|more than float32 can hold"):
            NeuralRegressor(**FEW).fit(X.astype(dtype), 50e200 * Y)
    with pytest.raises(ValueError, match="column 1 of X holds numbers so large that their squares are infinite"):
        NeuralRegressor(**FEW).fit(X * [1, 1e200, 1, 1], Y)
    assert np.isfinite(NeuralRegressor(**FEW).fit(1e150 * X, 1e150 * Y).predict(1e150 * X)).all()


def test_a_fit_that_ends_with_weights_that_are_not_finite_raises():
    for kind in (NeuralRegressor, MLPRegressor):
        net = kind(hidden_layer_sizes=(4,), solver="sgd", max_iter=30, learning_rate_init=1e6, random_state=0)
        with pytest.raises((ValueError, ArithmeticError), match=r"non-finite|infinite"), np.errstate(all="ignore"):
            net.fit(X, 1e6 * Y)
        assert not hasattr(net, "coefs_") and not hasattr(net, "model_")


# ---- what has no rows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [NeuralClassifier, NeuralRegressor, NeuralMultiLabel, MLPClassifier, MLPRegressor])
def test_generators_and_sets_are_refused_by_name(kind):
    net = kind(**FEW)
    for x, y, words in (
        ((row for row in X), Y, "X is a generator, which can be gone through once only"),
        (map(list, X), Y, "X is a map"),
        ({1, 2}, Y, "X is a set, which has no order of samples"),
        ({"a": X[:, 0]}, Y, "X is a dict"),
        (X, iter(Y), "y is a .*, which can be gone through once only"),
        (X, set(Y.tolist()), "y is a set"),
    ):
        with pytest.raises(TypeError, match=words):
            net.fit(x, y)
        assert not hasattr(net, "n_features_in_")
    if not kind.__name__.startswith("MLP"):
        net.fit(X, np.stack([Y == 0, Y == 1], 1).astype(int) if kind is NeuralMultiLabel else Y)
        with pytest.raises(TypeError, match="X is a generator"):
            net.predict(row for row in X)


def test_sparse_samples_are_said_to_be_too_much_for_nets_of_layers():
    from scipy.sparse import csr_matrix

    for kind in (NeuralClassifier, NeuralRegressor, Autoencoder):
        with pytest.raises(TypeError, match=r"Sparse data was passed.*toarray"):
            kind(max_iter=1).fit(csr_matrix(X), Y)
