"""Folds, validation, comparison, curves: against scikit-learn and against hand computation; and bad input."""

import dataclasses
import importlib
import math
import warnings

import joblib
import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, LeaveOneOut, StratifiedKFold
from sklearn.model_selection import cross_val_score as sklearn_scores
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pellucid as pel
from pellucid import DataError, GraphError, nn, optim, selection
from pellucid.errors import ArgumentError
from pellucid.selection import Folds, ModelEstimator, Validation, compare, cross_validate, split_folds

X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)


def classifier(hidden=6, rate=0.05):
    net = nn.Sequential(nn.Dense(hidden), nn.tanh, nn.Dense(3))
    return pel.Model(net, "cross_entropy", optim.Adam(rate), threads=1)


def line():
    return pel.Model(nn.Dense(1), "mse", optim.Adam(0.1), threads=1)


# ---- folds ------------------------------------------------------------------------------------------------------


def test_folds_share_out_all_samples():
    for options in ({}, {"stratify": False}, {"groups": np.arange(150) % 30}, {"groups": np.arange(150) % 30,
                    "stratify": False}):  # fmt: skip
        splits = split_folds(Y, Folds(5, **options))
        assert np.array_equal(np.sort(np.concatenate([test for _, test in splits])), np.arange(150))
        assert all(not set(train) & set(test) for train, test in splits)


def test_stratified_folds_have_each_class_alike():
    for _, test in split_folds(Y, folds=5):
        assert np.bincount(Y[test]).tolist() == [10, 10, 10]


def test_groups_are_never_divided():
    groups = np.arange(150) % 7
    for train, test in split_folds(Y, Folds(7, groups=groups, repeats=2)):
        assert not set(groups[train]) & set(groups[test])


def test_time_ordered_folds_come_after_what_is_learnt():
    for train, test in split_folds(np.arange(50.0), Folds(4, time_ordered=True)):
        assert train.max() < test.min()


def test_repeats_divide_otherwise_and_seeds_repeat():
    a = split_folds(Y, Folds(3, repeats=2))
    assert len(a) == 6 and not np.array_equal(a[0][1], a[3][1])
    again, other = split_folds(Y, Folds(3, repeats=2)), split_folds(Y, Folds(3, repeats=2, seed=1))
    assert all(np.array_equal(s[1], t[1]) for s, t in zip(a, again, strict=True))
    assert not np.array_equal(a[0][1], other[0][1])


def test_folds_that_are_given():
    assert len(split_folds(Y[:9] * 0, LeaveOneOut())) == 9
    pairs = [(np.arange(100), np.arange(100, 150))]
    assert split_folds(np.arange(150.0), pairs)[0][1][0] == 100


@pytest.mark.parametrize(
    "options, words",
    [
        (
            {"folds": 1},
            "Folds: folds must be a whole number >= 2, got 1; each fold is tested on what the others learnt",
        ),
        ({"folds": 200, "stratify": False}, "200 folds of 150 samples: use folds=150"),
        ({"folds": 51}, "class 0 has 50 samples, fewer than the 51 folds"),
        ({"folds": 5, "groups": np.arange(150) % 4}, "5 folds of 4 groups: a group is never divided; use folds=4"),
        ({"folds": 5, "groups": [1, 2]}, r"groups has shape \(2,\)"),
        ({"folds": 5, "time_ordered": True, "repeats": 2}, "repeats=2: time-ordered"),
        ({"folds": 5, "time_ordered": True, "stratify": True}, "neither stratify nor groups"),
        ({"folds": 5, "time_ordered": True}, "fold 1 has no sample of class 1 to learn from"),
        ({"folds": 3, "groups": Y}, "has no sample of class . to learn from"),
        ({"folds": 5, "repeats": 0}, "repeats must be a whole number >= 1"),
        ({"folds": KFold(3), "repeats": 2}, "a splitter or a list of rows already"),
        ({"folds": "five"}, "folds must be a whole number >= 2, a splitter"),
        ({"folds": []}, "there are no folds"),
        ({"folds": [([0, 1], [])]}, "fold 1 has 2 samples to learn from and 0 to test on"),
        ({"folds": True}, "folds must be a whole number >= 2, a splitter"),
    ],
)
def test_folds_that_cannot_be(options, words):
    with pytest.raises((DataError, ArgumentError), match=words):
        split_folds(Y, Folds(**options))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"seed": -1}, "Folds: seed must be a whole number >= 0, got -1"),
        ({"stratify": "yes"}, "Folds: stratify must be True or False, got 'yes'"),
        ({"time_ordered": 1}, "Folds: time_ordered must be True or False, got 1"),
        ({"repeats": True}, "Folds: repeats must be a whole number >= 1, got True"),
    ],
)
def test_folds_are_checked(options, words):
    with pytest.raises((DataError, ArgumentError), match=words):
        Folds(5, **options)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Folds(5).seed = 3


def test_a_rare_class_is_named():
    y = np.array(["common"] * 20 + ["rare"] * 3)
    with pytest.raises(DataError, match="class rare has 3 samples, fewer than the 10 folds: use folds=3"):
        split_folds(y, folds=10)


# ---- a model as an estimator ------------------------------------------------------------------------------------


def test_a_model_is_cloned_for_each_fit():
    model = classifier()
    estimator = ModelEstimator(model, epochs=5)
    assert is_classifier(estimator) and not is_regressor(estimator) and is_regressor(ModelEstimator(line()))
    copy = clone(estimator).fit(X, Y)
    assert copy.model is model and not model.state and copy.model_.epochs == 5
    assert copy.predict_proba(X).shape == (150, 3) and copy.score(X, Y) == np.mean(copy.predict(X) == Y)


def test_the_same_bits_as_the_model_itself():
    own = classifier()
    own.fit(X, Y, epochs=3, verbose=0)
    assert (ModelEstimator(classifier(), epochs=3).fit(X, Y).predict_proba(X) == own.predict(X)).all()


def test_options_go_where_they_belong():
    estimator = ModelEstimator(classifier, epochs=2)
    estimator.set_params(hidden=4, seed=7, batch_size=50, beta_1=0.8).fit(X, Y)
    model = estimator.model_
    assert model.parameters["layers.0.weight"].shape == (4, 4) and model.seed == 7 and model.optimizer.beta_1 == 0.8
    assert estimator.get_params()["batch_size"] == 50
    with pytest.raises(GraphError, match="nobody takes the option 'hiden'; there are hidden, rate, learning_rate"):
        estimator.set_params(hiden=4)
    with pytest.raises(GraphError, match="a function that makes one, got 3"):
        ModelEstimator(3)
    with pytest.raises(GraphError, match=r"must make a .*Model, it made int"):
        ModelEstimator(lambda: 3).fit(X, Y)


def test_labels_of_any_kind_and_two_classes():
    names = np.array(["setosa", "versicolor", "virginica"])
    estimator = ModelEstimator(classifier(), epochs=20).fit(X, names[Y])
    assert set(estimator.predict(X)) <= set(names) and estimator.score(X, names[Y]) > 0.9
    two = pel.Model(nn.Dense(1), "binary_cross_entropy", optim.Adam(0.1))
    estimator = ModelEstimator(two, epochs=20).fit(X[:100], names[Y[:100]])
    assert estimator.predict_proba(X[:100]).shape == (100, 2) and estimator.score(X[:100], names[Y[:100]]) > 0.9
    with pytest.raises(DataError, match="takes two classes, y has 3"):
        ModelEstimator(two).fit(X, Y)
    with pytest.raises(AttributeError, match="no probabilities"):
        ModelEstimator(line()).fit(X, X[:, 0]).predict_proba(X)


def test_several_labels_for_each_sample():
    y = np.stack([X[:, 0] > 0, X[:, 1] > 0], axis=1).astype(int)
    model = pel.Model(nn.Dense(2), "binary_cross_entropy", optim.Adam(0.1))
    found = cross_validate(model, X, y, folds=3, epochs=30, scoring="f1_macro")
    assert found.mean() > 0.8


# ---- validation -------------------------------------------------------------------------------------------------


def test_scores_are_scikit_learns():
    estimator = make_pipeline(StandardScaler(), LogisticRegression())
    found = cross_validate(estimator, X, Y, folds=StratifiedKFold(5), scoring=["accuracy", "neg_log_loss"])
    for measure in ("accuracy", "neg_log_loss"):
        assert np.allclose(found[measure], sklearn_scores(estimator, X, Y, cv=StratifiedKFold(5), scoring=measure))


def test_intervals_by_hand():
    x = np.array([0.8, 0.9, 1.0, 0.7])
    found = Validation({"accuracy": x}, np.full(4, 30), np.full(4, 10))
    s = math.sqrt(sum((x - 0.85) ** 2) / 3)
    reach = stats.t.ppf(0.975, 3) * s / 2
    assert np.allclose(found.interval(corrected=False), (0.85 - reach, min(1, 0.85 + reach)))
    wide = stats.t.ppf(0.95, 3) * s * math.sqrt(1 / 4 + 1 / 3)
    assert np.allclose(found.interval(0.9), (0.85 - wide, min(1, 0.85 + wide)))
    with pytest.raises(DataError, match="level must be between 0 and 1"):
        found.interval(95)
    with pytest.raises(DataError, match="no measure 'f1'; there are accuracy"):
        found["f1"]


def test_models_and_values():
    x, y = load_diabetes(return_X_y=True)
    y = (y - y.mean()) / y.std()
    found = cross_validate(line(), x * 20, y, folds=5, epochs=100, return_estimator=True)
    assert list(found.scores) == ["R2"] and 0.4 < found.mean() < 0.55 and len(found.estimators) == 5
    assert found.estimators[0].model_.epochs == 100 and (found.learnt + found.tested == len(y)).all()
    whole = np.round(y * 2).astype(int)  # whole numbers are values for a regressor, of which some are rare
    assert cross_validate(line(), x * 20, whole, folds=5, epochs=5).scores["R2"].shape == (5,)


def test_in_parallel_it_is_the_same():
    one = cross_validate(classifier(), X, Y, folds=4, epochs=5)
    with joblib.parallel_config("threading", n_jobs=2):
        threads = cross_validate(classifier(), X, Y, folds=4, epochs=5)
    with joblib.parallel_config("loky", n_jobs=2):
        workers = cross_validate(classifier, X, Y, folds=4, epochs=5, return_estimator=True)
    assert (one[None] == threads[None]).all() and (one[None] == workers[None]).all()
    assert workers.estimators[0].model_.epochs == 5


def test_samples_are_weighed():
    weight = np.where(Y == 2, 0.0, 1.0)
    found = cross_validate(classifier(), X, Y, folds=3, epochs=30, sample_weight=weight, return_estimator=True)
    assert not (found.estimators[0].predict(X) == 2).any()


def test_what_is_wrong_is_said():
    with pytest.raises(DataError, match="x has 150 samples and y 149 targets"):
        cross_validate(classifier(), X, Y[:149])
    with pytest.raises(DataError, match="x is several"):
        cross_validate(classifier(), (X, X), Y)
    with pytest.raises(GraphError, match="'epochs': an estimator of scikit-learn's has its options itself"):
        cross_validate(Ridge(), X, Y, epochs=3)
    with pytest.raises(DataError, match="Fold 1 has no sample of class 1 to test on"):
        order = [(np.setdiff1d(np.arange(150), np.arange(i, i + 25)), np.arange(i, i + 25)) for i in (0, 50, 100)]
        cross_validate(LogisticRegression(), X, Y, folds=order, scoring="roc_auc_ovr")


# ---- comparison -------------------------------------------------------------------------------------------------


def validation(scores, learnt=90, tested=10):
    return Validation({"accuracy": np.array(scores)}, np.full(len(scores), learnt), np.full(len(scores), tested))


def test_corrected_t_by_hand():
    a, b = [0.9, 0.8, 0.85, 0.95], [0.8, 0.8, 0.8, 0.8]
    (d,) = compare({"a": validation(a), "b": validation(b)}).differences
    x = np.subtract(a, b)
    t = x.mean() / (x.std(ddof=1) * math.sqrt(1 / 4 + 1 / 9))
    assert np.allclose((d.mean, d.t, d.p), (x.mean(), t, 2 * stats.t.sf(t, 3)))
    assert d.low < d.mean < d.high and math.isclose(d.high - d.mean, d.mean - d.low)


def test_the_same_and_always_better():
    (same,) = compare([validation([0.5, 0.6]), validation([0.5, 0.6])]).differences
    assert (same.t, same.p, same.first, same.second) == (0, 1, "Validation 1", "Validation 2")
    (sure,) = compare({"a": validation([0.75, 0.5]), "b": validation([0.5, 0.25])}).differences
    assert sure.t == math.inf and sure.p == 0


def test_holm_by_hand():
    assert np.allclose(
        importlib.import_module("pellucid.selection.compare").holm([0.01, 0.02, 0.03, 0.5]), [0.04, 0.06, 0.06, 0.5]
    )


def test_better_and_equal_models_are_told_apart():
    found = compare(
        {"ours": classifier(), "logistic": LogisticRegression(), "blind": classifier(rate=1e-9)},
        X, Y, folds=Folds(5, repeats=2), epochs=40,
    )  # fmt: skip
    p = {(d.first, d.second): d.p_holm for d in found.differences}
    assert p["ours", "logistic"] > 0.05 and p["ours", "blind"] < 0.01 and found.best != "blind"
    assert "ours - logistic" in str(found) and len(str(found).splitlines()) == 9


def test_chance_is_found_as_often_as_it_may():
    """Learners of one quality: the corrected test calls few of them different (5% are allowed), the plain one many."""
    rng, corrected, plain = np.random.default_rng(1), 0, 0
    for _ in range(40):
        x, y = rng.normal(size=(60, 6)), rng.normal(size=60)
        first, second = (
            cross_validate(Ridge(), x[:, cut], y, folds=Folds(5, repeats=2)) for cut in (np.s_[:3], np.s_[3:])
        )
        (d,) = compare({"a": first, "b": second}).differences
        corrected += d.p < 0.05
        plain += stats.ttest_rel(first[None], second[None]).pvalue < 0.05
    assert corrected <= 5 and plain >= corrected + 3, (corrected, plain)


@pytest.mark.parametrize(
    "candidates, data, words",
    [
        ({"a": Ridge()}, (X, Y), "two candidates or more, got 1"),
        ([Ridge(), Ridge()], (), "needs x and y"),
        ([Ridge(), validation([1, 2])], (X, Y), "Validations or models, not both"),
        ([validation([1, 2]), validation([1, 2])], (X, Y), "leave x and y out"),
        ([validation([1, 2]), validation([1, 2, 3])], (), "was tested on other folds"),
    ],
)
def test_what_cannot_be_compared(candidates, data, words):
    with pytest.raises(DataError, match=words):
        compare(candidates, *data)


# ---- curves -----------------------------------------------------------------------------------------------------


def test_learning_curve(tmp_path):
    curve = selection.learning_curve(classifier(), X, Y, train_sizes=[15, 0.5, 1.0], epochs=30)
    assert curve.values == [15, 60, 120] and curve.validation.shape == (3, 5)
    assert curve.validation[2].mean() > 0.9 and "samples" in str(curve)
    pytest.importorskip("matplotlib")
    curve.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5000
    with pytest.raises(DataError, match="numbers of samples up to 120"):
        selection.learning_curve(classifier(), X, Y, train_sizes=[130])


def test_validation_curve(tmp_path):
    curve = selection.validation_curve(
        classifier, X, Y, param_name="rate", param_range=[1e-6, 0.05], folds=3, epochs=30
    )
    assert curve.best == 0.05 and curve.training.shape == (2, 3)
    pytest.importorskip("matplotlib")
    curve.plot(tmp_path / "curve.png")
    words = selection.validation_curve(Ridge(), X, X[:, 0], param_name="solver", param_range=["svd", "lsqr"], folds=3)
    words.plot(tmp_path / "words.png")
    with pytest.raises(DataError, match="param_range is empty: which values of 'rate' are to be tried"):
        selection.validation_curve(classifier, X, Y, param_name="rate", param_range=[])


def test_rows_that_belong_together_are_said_to_be_divided():
    from pellucid.sklearn import NeuralClassifier, NeuralForecaster

    net = NeuralForecaster(4, hidden_layer_sizes=(3,), max_iter=2, random_state=0)
    windows = net.windows(np.sin(np.arange(60.0)))
    with pytest.warns(
        UserWarning, match=r"windows that share steps with their neighbors.*use Folds\(..., time_ordered=True"
    ):
        selection.cross_validate(net, *windows, folds=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        selection.cross_validate(net, *windows, folds=Folds(3, time_ordered=True))
    x, y, groups = np.arange(40.0)[:, None], np.arange(40) % 2, np.arange(40) // 4
    for given, options in (
        (NeuralClassifier((3,), early_stopping=True, validation_fraction=0.3, max_iter=2), {}),
        (pel.Model(nn.Dense(2), "cross_entropy"), {"validation_split": 0.3}),
    ):
        with pytest.warns(
            UserWarning, match="holds samples back by chance within each fold, so that those of one group"
        ):
            selection.cross_validate(given, x, y, folds=Folds(2, groups=groups), **options)


def test_an_interval_ends_where_the_measure_ends():
    """Folds of 0.95, 1, 1, 1: Student's t alone would reach beyond an accuracy of 1."""
    good, sizes = np.array([0.95, 1.0, 1.0, 1.0]), (np.array([30] * 4), np.array([10] * 4))
    free = Validation({"mine": good}, *sizes).interval()
    assert free[0] < 0.95 and free[1] > 1
    for name in ("accuracy", "f1_macro", "roc_auc_ovr", "R2", "matthews_corrcoef"):
        assert Validation({name: good}, *sizes).interval() == (free[0], 1.0)
    bad = Validation({"recall": 1 - good, "neg_log_loss": good - 1, "neg_mean_squared_error": good}, *sizes)
    assert bad.interval()[0] == 0.0 and bad.interval(measure="neg_log_loss")[1] == 0.0
    assert bad.interval(measure="neg_mean_squared_error")[1] > 1  # no loss by its values, whatever it is called
    assert " .. 1.000\n" in str(Validation({"accuracy": good}, *sizes))


def test_two_accuracies_differ_by_one_at_most():
    sizes = np.array([3] * 3), np.array([1] * 3)
    one, other = (Validation({"accuracy": np.array(s)}, *sizes) for s in ([1.0, 1.0, 0.5], [0.0, 0.0, 0.0]))
    (found,) = compare({"one": one, "other": other}).differences
    assert found.mean > 0.8 and found.high == 1.0 and found.low > -1.0
