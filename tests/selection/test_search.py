"""Searches: grid, random, halving, Optuna with pruning; nested validation; spaces that are wrong."""

import importlib

import joblib
import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV, RandomizedSearchCV
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import pellucid as pel
from pellucid import DataError, GraphError, nn, optim, selection
from pellucid.selection import Folds, Pruning, nested, ranking, search

X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
SPACE = {"hidden": [2, 8], "learning_rate": (1e-5, 0.3, "log")}


def build(hidden=6):
    net = nn.Sequential(nn.Dense(hidden), nn.tanh, nn.Dense(3))
    return pel.Model(net, "cross_entropy", optim.Adam(0.05), threads=1)


def test_grid_is_scikit_learns():
    space = {"C": [0.01, 1.0]}
    found = search(LogisticRegression(), X, Y, space, folds=5)
    own = GridSearchCV(LogisticRegression(), space, cv=selection.split_folds(Y, 5)).fit(X, Y)
    assert isinstance(found, GridSearchCV) and (found.predict(X) == own.predict(X)).all()
    assert np.array_equal(found.cv_results_["mean_test_score"], own.cv_results_["mean_test_score"])


def test_grid_of_a_model():
    space = {"hidden": [2, 8], "learning_rate": [1e-6, 0.05], "epochs": [20]}
    found = search(build, X, Y, space, folds=3)
    assert found.best_params_["learning_rate"] == 0.05 and found.best_score_ > 0.9
    assert found.best_estimator_.model_.history.epochs == 20 and (found.predict(X) == Y).mean() > 0.9
    text = ranking(found, 2).splitlines()
    assert text[0].split() == ["mean", "std", "seconds", "epochs", "hidden", "learning_rate"] and len(text) == 3


@pytest.mark.parametrize("method", ["random", "halving", "optuna"])
def test_ranges_are_searched_and_repeat(method):
    if method == "optuna":
        pytest.importorskip("optuna")
    first, second = (search(build, X, Y, SPACE, method=method, n_trials=5, folds=3, epochs=15) for _ in range(2))
    assert first.best_params_ == second.best_params_ and first.best_score_ > 0.8
    assert 1e-5 <= first.best_params_["learning_rate"] <= 0.3
    assert isinstance(first, {"random": RandomizedSearchCV, "halving": HalvingRandomSearchCV}.get(method, object))


def test_a_list_of_choices_is_not_drawn_more_often_than_it_has():
    found = search(build, X, Y, {"hidden": [2, 4]}, method="random", n_trials=50, folds=2, epochs=1)
    assert len(found.cv_results_["params"]) == 2


def test_halving_gives_more_epochs_to_fewer():
    space = {"hidden": (2, 8), "learning_rate": (1e-5, 0.1, "log")}
    found = search(build, X, Y, space, method="halving", n_trials=9, resource="epochs", max_resources=27, folds=2)
    epochs = [params["epochs"] for params in found.cv_results_["params"]]
    assert epochs == [3] * 9 + [9] * 3 + [27]
    assert ranking(found).splitlines()[1].split()[-1] == "27" and found.best_estimator_.model_.epochs == 27


def test_workers_find_the_same():
    pytest.importorskip("optuna")
    one, two = (
        search(build, X, Y, SPACE, method="optuna", n_trials=6, folds=2, epochs=5, n_jobs=jobs) for jobs in (None, 2)
    )
    assert np.array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])
    with joblib.parallel_config("threading", n_jobs=2):
        three = search(build, X, Y, SPACE, method="optuna", n_trials=6, folds=2, epochs=5)
    assert np.array_equal(one.cv_results_["mean_test_score"], three.cv_results_["mean_test_score"])


def test_optuna_learns_where_to_look():
    """Half the draws would be near the best by chance alone; the later ones of the sampler are nearly all."""
    optuna = pytest.importorskip("optuna")
    found = search(build, X, Y, {"learning_rate": (1e-7, 0.3, "log")}, method="optuna", n_trials=24, folds=2, epochs=8)
    later = [trial.params["learning_rate"] for trial in found.study_.trials[16:]]
    assert sum(rate > 1e-3 for rate in later) >= 6
    assert isinstance(found.study_, optuna.Study) and len(found.study_.trials) == 24


def test_hopeless_candidates_are_pruned():
    optuna = pytest.importorskip("optuna")
    found = search(build, X, Y, SPACE, method="optuna", prune=True, n_trials=16, folds=3, epochs=12)
    states = [trial.state for trial in found.study_.trials]
    pruned = [trial for trial in found.study_.trials if trial.state == optuna.trial.TrialState.PRUNED]
    assert len(states) == 16 and 1 <= len(pruned) <= 12 and found.best_score_ > 0.85
    assert len(found.cv_results_["params"]) == 16 - len(pruned)
    assert all(len(trial.intermediate_values) <= 12 for trial in pruned)
    assert not hasattr(found, "_samples")


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_pruning_in_a_study_of_ones_own(direction):
    optuna = pytest.importorskip("optuna")
    study = optuna.create_study(direction=direction)
    trial = study.ask()
    build().fit(X, Y, epochs=3, validation_data=(X, Y), callbacks=[Pruning(trial)], verbose=0)
    reported = study.trials[0].intermediate_values
    assert sorted(reported) == [0, 1, 2] and (reported[0] > 0) == (direction == "minimize")
    with pytest.raises(GraphError, match="Pruning watches 'val_loss', but the epoch reports loss"):
        build().fit(X, Y, callbacks=[Pruning(trial)], verbose=0)


def test_without_optuna_it_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install 'pellucid\[search\]'"):
        search(build, X, Y, SPACE, method="optuna", epochs=1)


def test_whole_numbers_of_a_logarithmic_range():
    drawn = (
        importlib.import_module("pellucid.selection.search")
        ._distribution("n", (1, 100, "log"))
        .rvs(2000, random_state=0)
    )
    assert drawn.min() == 1 and drawn.max() <= 100 and 0.4 < np.mean(drawn <= 10) < 0.65


@pytest.mark.parametrize(
    "space, options, words",
    [
        ({}, {}, "the space is empty"),
        ({"hidden": (2, 8)}, {}, "a grid tries choices.*use method='random'|Use method='random'"),
        ({"hidden": stats.randint(2, 8)}, {}, "a grid tries choices"),
        ({"hidden": 4}, {}, "choices must be a list of values, got 4"),
        ({"hidden": "ab"}, {"method": "random"}, "choices must be a list"),
        ({"hidden": (8, 2)}, {"method": "random"}, "from a smaller to a larger"),
        ({"hidden": (0, 2, "log")}, {"method": "random"}, "both above 0 for log"),
        ({"hidden": (1, 2, 3)}, {"method": "random"}, r"a range is \(low, high\)"),
        ({"hidden": [1]}, {"method": "best"}, "method must be one of grid, random, halving, optuna"),
        ({"hidden": [1]}, {"method": "random", "n_trials": 0}, "n_trials must be a whole number >= 1"),
        ({"hidden": [1]}, {"prune": True}, "prune looks at epochs"),
        ({"hidden": [1]}, {"method": "halving", "resource": "epochs"}, "needs max_resources="),
    ],
)
def test_spaces_that_are_wrong(space, options, words):
    with pytest.raises(DataError, match=words):
        search(build, X, Y, space, **options)


def test_an_unknown_name_in_the_space():
    with pytest.raises(GraphError, match="nobody takes the option 'hiden'"):
        search(build, X, Y, {"hiden": [1]}, folds=2)


def test_nested_validation_shows_the_optimism():
    """Of labels that are drawn: what the searches promise is above chance, what is kept is not."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 20)), np.arange(60) % 2
    tree = DecisionTreeClassifier(max_depth=2, max_features=2)
    found = nested(tree, x, y, {"random_state": list(range(20))}, folds=4, inner=3)
    assert len(found.parameters) == 4 and found.inner.shape == (4,)
    assert found.optimism > 0.03 and abs(found.outer.mean() - 0.5) < 0.2
    assert "too much" in str(found) and "search's best" in str(found)


def test_nested_of_a_model_with_groups():
    groups = np.arange(150) % 10
    found = nested(build, X, Y, {"hidden": [2, 8]}, folds=Folds(3, groups=groups), inner=2, epochs=15)
    assert found.outer.mean() > 0.7 and all(p["hidden"] in (2, 8) for p in found.parameters)
