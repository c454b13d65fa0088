"""Old names: each works, with one warning at the caller's line that says the new one."""

import dataclasses
import inspect
import pickle
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.tree import DecisionTreeClassifier

import pellucid as pel
from pellucid import GraphError, selection, tabular
from pellucid.deprecation import deprecated, old_member
from pellucid.errors import ArgumentError


@deprecated("jobs", "n_jobs", since="0.1")
@deprecated("n", "n_restarts", since="0.1")
def train(x, n_restarts=10, *, n_jobs=1):
    """Trains."""
    return x, n_restarts, n_jobs


@deprecated("sigma", "width", since="0.1")
@dataclasses.dataclass(frozen=True)
class Blur:
    width: float = 1.0


@deprecated("restarts", "n_restarts", since="0.1")
class Estimator(BaseEstimator):
    def __init__(self, n_restarts=1, alpha=0.5):
        self.n_restarts, self.alpha = n_restarts, alpha


def one_warning(call, *words):
    """What a call gives; it must warn once, at a line of this file, with these words."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = call()
    seen = [w for w in seen if issubclass(w.category, FutureWarning)]
    assert [Path(w.filename).name for w in seen] == [Path(__file__).name], seen
    assert all(word in str(seen[0].message) for word in words), seen[0].message
    return found


def test_an_old_argument():
    told = "train: jobs was renamed to n_jobs in 0.1 and will be removed; use n_jobs="
    assert one_warning(lambda: train(1, jobs=3), told) == (1, 10, 3)
    assert one_warning(lambda: train(1, n=3, n_jobs=2), "use n_restarts=") == (1, 3, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert train(1, 4, n_jobs=2) == (1, 4, 2)
    assert train.__doc__ == "Trains." and list(inspect.signature(train).parameters) == ["x", "n_restarts", "n_jobs"]


@pytest.mark.parametrize("call", [lambda: train(1, jobs=3, n_jobs=3), lambda: Estimator(restarts=1, n_restarts=1)])
def test_both_names(call):
    with pytest.raises(TypeError, match=r"is the old name of n_.*, and both are given; leave .* out"):
        call()


def test_the_old_name_of_a_field():
    blur = one_warning(lambda: Blur(sigma=2.0), "Blur: sigma was renamed to width")
    assert blur == Blur(2.0) and one_warning(lambda: blur.sigma, "use width") == 2.0
    assert dataclasses.replace(blur, width=3.0).width == 3.0 and not hasattr(Blur, "sigma")


def test_the_old_name_of_an_estimators_argument():
    old = one_warning(lambda: Estimator(restarts=5), "Estimator: restarts was renamed to n_restarts")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert clone(old).get_params() == {"n_restarts": 5, "alpha": 0.5}
        assert list(inspect.signature(Estimator).parameters) == ["n_restarts", "alpha"]
    assert one_warning(lambda: old.set_params(restarts=2), "use n_restarts=").n_restarts == 2
    with pytest.warns(FutureWarning, match="use n_restarts"):
        old.restarts = 7
    assert old.n_restarts == 7


def test_a_pickle_with_the_old_name():
    for old, name in ((Estimator(), "restarts"), (pel.sklearn.NeuralRegressor(), "restarts")):
        vars(old)[name] = vars(old).pop("n_restarts") + 2
        assert pickle.loads(pickle.dumps(old)).n_restarts == 3


def test_an_old_member_of_a_module():
    module = types.ModuleType("pellucid.some")
    module.New = 3
    module.__getattr__ = lambda name: old_member(vars(module), name, {"Old": "New"}, "0.1")
    assert one_warning(lambda: module.Old, "pellucid.some: Old was renamed to New in 0.1", "use New") == 3
    assert module.Other is None


@pytest.mark.parametrize("old, new", [("Preparation", "PreprocessingSpec"), ("Preprocessing", "FittedPreprocessing")])
def test_old_classes_of_tabular(old, new):
    assert one_warning(lambda: getattr(tabular, old), f"{old} was renamed to {new}", new) is getattr(tabular, new)


X, Y = pel.data.moons(60, seed=0)
NET = pel.nn.Sequential(pel.nn.Dense(4), pel.nn.tanh, pel.nn.Dense(1))


def model():
    return pel.Model(NET, "binary_cross_entropy")


TREE, SPACE = DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2, 3]}
STUMP = DecisionTreeClassifier(max_depth=1, random_state=0)
BUILT = model()
BUILT.fit(X, Y, verbose=0)

RENAMED = {
    "split: test": (lambda: len(pel.data.split(X, Y, test=6).test.x) == 6, "test_size"),
    "split: validation": (lambda: len(pel.data.split(X, Y, validation=6).validation.x) == 6, "validation_size"),
    "Preprocessor: neighbours": (lambda: tabular.Preprocessor(neighbours=3).neighbors == 3, "neighbors"),
    "PreprocessingSpec: neighbours": (lambda: tabular.PreprocessingSpec(neighbours=3).neighbors == 3, "neighbors"),
    "BytePairs: size": (lambda: len(pel.data.BytePairs("low low", size=260)) == 260, "vocab_size"),
    "Vocabulary: most": (lambda: len(pel.data.Vocabulary("aab", most=1, special=())) == 1, "max_tokens"),
    "restarts: n": (lambda: len(pel.restarts(model(), X, Y, n=2).models) == 2, "n_restarts"),
    "restarts: jobs": (lambda: len(pel.restarts(model(), X, Y, 2, jobs=1).models) == 2, "n_jobs"),
    "Bagging: n": (lambda: len(pel.Bagging(model(), n=2).models) == 2, "n_estimators"),
    "Bagging: jobs": (lambda: pel.Bagging(model(), jobs=2).n_jobs == 2, "n_jobs"),
    "Committee: jobs": (lambda: pel.Committee([BUILT], jobs=2).n_jobs == 2, "n_jobs"),
    "fit_members: jobs": (lambda: pel.ensembles.fit_members([model()], X, Y, jobs=1) is None, "n_jobs"),
    "search: n": (lambda: len(selection.search(TREE, X, Y, SPACE, n=2, method="random").cv_results_) > 0, "n_trials"),
    "search: most": (lambda: selection.search(TREE, X, Y, SPACE, most=40, method="halving").max_resources == 40,
                     "max_resources"),
    "nested: n": (lambda: len(selection.nested(TREE, X, Y, SPACE, n=1, method="random", folds=2).inner) == 2,
                  "n_trials"),
    "cross_validate: keep": (lambda: len(selection.cross_validate(TREE, X, Y, folds=2, keep=True).estimators) == 2,
                             "return_estimator"),
    "learning_curve: sizes": (lambda: selection.learning_curve(TREE, X, Y, sizes=[20]).values == [20], "train_sizes"),
    "validation_curve: name": (lambda: selection.validation_curve(
        TREE, X, Y, name="max_depth", param_range=[1]).values == [1], "param_name"),
    "validation_curve: values": (lambda: selection.validation_curve(
        TREE, X, Y, param_name="max_depth", values=[1]).values == [1], "param_range"),
    **{
        f"{kind}: restarts": (lambda kind=kind: getattr(pel.sklearn, kind)(restarts=2).n_restarts == 2, "n_restarts")
        for kind in ("NeuralClassifier", "NeuralRegressor", "NeuralMultiLabel", "NeuralForecaster", "Autoencoder")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", RENAMED)
def test_a_renamed_argument(name):
    call, new = RENAMED[name]
    assert one_warning(call, f"{name} was renamed to {new} in 0.1", f"use {new}=") is True


def test_a_word_that_is_spelled_otherwise():
    def old():
        return tabular.PreprocessingSpec(impute="neighbours") == tabular.PreprocessingSpec(impute="neighbors")

    assert one_warning(old, 'impute="neighbours" was renamed', 'use impute="neighbors"') is True


GROUPS = np.arange(60) // 5
BY_FOLDS = {
    "split_folds": lambda **how: selection.split_folds(Y, **how),
    "cross_validate": lambda **how: selection.cross_validate(TREE, X, Y, **how)[None],
    "compare": lambda **how: selection.compare([TREE, STUMP], X, Y, **how).differences,
    "learning_curve": lambda **how: selection.learning_curve(TREE, X, Y, **how).validation,
    "validation_curve": lambda **how: selection.validation_curve(
        TREE, X, Y, param_name="max_depth", param_range=[1], **how).validation,
    "search": lambda **how: selection.search(TREE, X, Y, SPACE, **how).cv_results_["mean_test_score"],
    "nested": lambda **how: selection.nested(TREE, X, Y, SPACE, inner=2, **how).outer[None],
}  # fmt: skip


@pytest.mark.parametrize("name", BY_FOLDS)
@pytest.mark.parametrize(
    "old",
    [{"repeats": 2}, {"stratified": False}, {"groups": GROUPS}, {"time_ordered": True}, {"seed": 3, "repeats": 1}],
)
def test_folds_by_single_arguments(name, old):
    """They do what the same in `Folds` does, with one warning that names them."""
    new = {"stratify" if k == "stratified" else k: v for k, v in old.items()}
    shared = {"seed": old["seed"]} if "seed" in old and name in ("search", "nested") else {}  # which is theirs too
    found = one_warning(lambda: BY_FOLDS[name](folds=3, **old), f"{name}: ", "moved to Folds in 0.1", "Folds(..., ")
    assert str(found) == str(BY_FOLDS[name](folds=selection.Folds(3, **new), **shared))
    with pytest.raises(TypeError, match=f"{name}: .* and Folds are both given"):
        BY_FOLDS[name](folds=selection.Folds(3), **old)


def test_a_field_of_folds_as_an_option_is_answered():
    with pytest.raises(GraphError, match=r"nobody takes the option 'stratify'.*Folds\(3\)"):
        selection.cross_validate(model(), X, Y, stratify=True)


def test_a_number_of_folds_goes_without_a_name():
    old = one_warning(lambda: selection.split_folds(Y, 3, stratified=False), "split_folds: stratified moved to Folds")
    assert str(old) == str(selection.Folds(3, stratify=False).split(Y))


def test_several_old_names_at_once():
    """Each has a warning of its own, at the caller's line."""
    with pytest.warns(FutureWarning) as seen:
        selection.search(TREE, X, Y, SPACE, n=2, repeats=2, folds=2)
    assert [Path(w.filename).name for w in seen] == [Path(__file__).name] * 2


@pytest.mark.parametrize("n_jobs, expected", [(2, 2), (-1, 8), (None, 8), (-2, 7), (-100, 1)])
def test_n_jobs(n_jobs, expected, monkeypatch):
    monkeypatch.setattr("pellucid.train.ensemble_training.processors", lambda: 8)
    assert pel.train.ensemble_training.jobs_of("restarts", n_jobs) == expected


def test_n_jobs_that_cannot_be():
    for given in (0, 1.5, True, "all"):
        with pytest.raises(ArgumentError, match=r"restarts: n_jobs must be a whole number"):
            pel.train.ensemble_training.jobs_of("restarts", given)


def test_positions_are_as_before():
    """An argument that had no name at a call is at the same place."""
    assert np.array_equal(pel.data.split(X, Y, 0.2, 0.1).test.x, pel.data.split(X, Y, 0.2, validation_size=0.1).test.x)
