"""Which hyper-parameters: grid, random, successive halving by scikit-learn; Optuna's samplers in the same face.

Imports the sibling modules and scikit-learn; Optuna (``pip install "pellucid[search]"``) when it is asked for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, ParameterGrid, RandomizedSearchCV
from sklearn.model_selection._search import BaseSearchCV

from ..deprecation import deprecated
from ..errors import DataError
from ..report import aligned
from ..train import Callback
from ..train.callbacks import Monitor
from .estimator import ModelEstimator, as_estimator
from .folds import with_old_parameters
from .validate import checked_rows, folds_of

METHODS = ("grid", "random", "halving", "optuna")


@deprecated("n", "n_trials", since="0.1")
@deprecated("most", "max_resources", since="0.1")
@with_old_parameters
def search(
    model: Any,
    x: Any,
    y: Any = None,
    space: Mapping[str, Any] | None = None,
    *,
    method: str = "grid",
    n_trials: int = 20,
    folds: Any = 5,
    scoring: str | Any = None,
    resource: str = "n_samples",
    max_resources: int | None = None,
    prune: bool = False,
    seed: int = 0,
    n_jobs: int | None = None,
    **options: Any,
) -> Any:
    """Search hyper-parameters by cross-validation, and train the best on all samples.

    - ``space``: by name, a list of choices, or a range (low, high) or (low, high, "log"): of whole numbers where both
      are whole. Names are the estimator's parameters, or options of the model (`ModelEstimator`).
    - ``method``: "grid" tries all choices; "random" draws ``n_trials``; "halving" begins with ``n_trials`` on little of
      a ``resource`` ("n_samples", or a parameter such as "epochs") and goes on with the best third on three times as
      much, up to ``max_resources`` (of samples: all); "optuna" draws ``n_trials``, each where the ones before promise
      most.
    - ``prune``, for a `Model` and "optuna": a candidate that is worse than most at the same epoch of a first run is
      given up.
    - ``seed``: of the draws, and of the folds where they are given as a number.
    - the rest as in `cross_validate`. ``n_jobs`` goes to joblib.

    Returns scikit-learn's search object: ``best_params_``, ``best_score_``, ``best_estimator_``, ``cv_results_``,
    ``predict``; Optuna's has ``study_`` too. `ranking` prints the best. Raises `DataError` for a space that the method
    cannot search.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> found = search(KNeighborsClassifier(), *load_iris(return_X_y=True), {"n_neighbors": [5, 50, 90]})
    >>> found.best_params_
    {'n_neighbors': 5}
    """
    if method not in METHODS:
        raise DataError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    space = checked_space(space)
    if method != "grid" and (not isinstance(n_trials, (int, np.integer)) or n_trials < 1):
        raise DataError(f"n_trials must be a whole number >= 1, got {n_trials!r}: this many candidates are drawn")
    estimator = as_estimator(model, options)
    if prune and (method != "optuna" or not isinstance(estimator, ModelEstimator)):
        raise DataError("prune looks at epochs: it is for method='optuna' and a pellucid.Model")
    x, y = checked_rows(x, y)
    y = np.asarray(y)
    cv = folds_of(estimator, y, folds, seed)
    common: dict[str, Any] = {"cv": cv, "scoring": scoring, "n_jobs": n_jobs, "error_score": "raise"}
    if method == "grid":
        return GridSearchCV(estimator, {k: _choices(k, v) for k, v in space.items()}, **common).fit(x, y)
    if method == "optuna":
        return OptunaSearchCV(estimator, dict(space), n_trials=n_trials, prune=prune, seed=seed, **common).fit(x, y)
    drawn = {k: _distribution(k, v) for k, v in space.items()}
    if all(isinstance(v, list) for v in drawn.values()):
        n_trials = min(n_trials, len(ParameterGrid(drawn)))
    if method == "random":
        return RandomizedSearchCV(estimator, drawn, n_iter=n_trials, random_state=seed, **common).fit(x, y)
    return _halving(estimator, drawn, n_trials, resource, max_resources)(random_state=seed, **common).fit(x, y)


def _halving(estimator: Any, drawn: dict, n_trials: int, resource: str, max_resources: int | None) -> Callable:
    """Successive halving that takes the arguments which all of scikit-learn's searches have."""
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV

    if resource != "n_samples" and max_resources is None:
        raise DataError(f"halving by {resource!r} needs max_resources=: how much of it the last candidates get")
    if isinstance(estimator, ModelEstimator) and resource != "n_samples":
        estimator = clone(estimator).set_params(**{resource: max_resources})  # a parameter that it shows
    return functools.partial(
        HalvingRandomSearchCV, estimator, drawn, n_candidates=n_trials, resource=resource,
        max_resources=max_resources or "auto", min_resources="exhaust",
    )  # fmt: skip


def checked_space(space: Any) -> Mapping[str, Any]:
    """What is searched, if there is anything, else `DataError`; after a Dataset it is given by name, space={...}."""
    if not isinstance(space, Mapping) or not space:
        raise DataError("the space is empty: give choices or ranges by name, for example "
                        'space={"learning_rate": [0.1, 0.01]}')  # fmt: skip
    return space


def ranking(found: Any, n: int = 10) -> str:
    """The best candidates of a search as text: mean score, its deviation over the folds, seconds, parameters.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> found = search(KNeighborsClassifier(), *load_iris(return_X_y=True), {"n_neighbors": [1, 50]})
    >>> print(ranking(found).splitlines()[0].split())
    ['mean', 'std', 'seconds', 'n_neighbors']
    """
    results = found.cv_results_
    names = list(dict.fromkeys(name for params in results["params"] for name in params))
    rows = []
    rounds = results.get("iter", np.zeros(len(results["params"])))  # of halving: the last ones have seen most
    for i in np.lexsort([results["rank_test_score"], -rounds])[:n]:
        mean, std, seconds = (results[k][i] for k in ("mean_test_score", "std_test_score", "mean_fit_time"))
        values = [results["params"][i].get(name, "") for name in names]
        rows.append([f"{mean:.4f}", f"{std:.4f}", f"{seconds:.2f}",
                     *(f"{v:.3g}" if isinstance(v, float) else str(v) for v in values)])  # fmt: skip
    return aligned(["mean", "std", "seconds", *names], rows, left=0)


class OptunaSearchCV(BaseSearchCV):
    """Optuna's samplers with scikit-learn's search protocol: every candidate is validated on all folds by joblib.

    ``space`` as in `search`, or Optuna's distributions; ``at_once`` candidates are drawn before any of them is scored
    (so that the result is the same for any number of jobs); ``prune`` needs a `ModelEstimator`: each candidate first
    learns the first fold alone, and Optuna's median rule may end that. ``study_`` is Optuna's study. Raises
    `ImportError` without Optuna. Akiba et al., "Optuna", KDD 2019.
    """

    def __init__(
        self, estimator, space, *, n_trials=20, prune=False, at_once=4, sampler=None, pruner=None, seed=0, scoring=None,
        n_jobs=None, refit=True, cv=None, verbose=0, pre_dispatch="2*n_jobs", error_score=np.nan,
        return_train_score=False,
    ) -> None:  # fmt: skip
        super().__init__(
            estimator=estimator, scoring=scoring, n_jobs=n_jobs, refit=refit, cv=cv, verbose=verbose,
            pre_dispatch=pre_dispatch, error_score=error_score, return_train_score=return_train_score,
        )  # fmt: skip
        self.space, self.n_trials, self.prune, self.at_once = space, n_trials, prune, at_once
        self.sampler, self.pruner, self.seed = sampler, pruner, seed

    def fit(self, X: Any, y: Any = None, **params: Any) -> OptunaSearchCV:
        """Run the search on samples, and train the best on all of them."""
        self._samples = X, y
        try:
            return super().fit(X, y, **params)
        finally:
            del self._samples

    def _run_search(self, evaluate_candidates) -> None:
        optuna = import_optuna()
        sampler = self.sampler or optuna.samplers.TPESampler(seed=self.seed)
        told = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self.study_ = optuna.create_study(direction="maximize", sampler=sampler, pruner=self.pruner)
        finally:
            optuna.logging.set_verbosity(told)
        space = {name: _for_optuna(name, values) for name, values in self.space.items()}
        while (left := self.n_trials - len(self.study_.trials)) > 0:
            trials = [self.study_.ask(space) for _ in range(min(self.at_once, left))]
            if self.prune:
                trials = [t for t in trials if not self._pruned(t)]
            if trials:
                results = evaluate_candidates([t.params for t in trials])
                for trial, score in zip(trials, results["mean_test_score"][-len(trials) :], strict=True):
                    self.study_.tell(trial, float(score))

    def _pruned(self, trial: Any) -> bool:
        """Whether the candidate was given up while it learnt the first fold."""
        optuna = import_optuna()
        X, y = self._samples
        train, test = next(iter(self.cv if not hasattr(self.cv, "split") else self.cv.split(X, y)))
        take = lambda a, rows: a.iloc[rows] if hasattr(a, "iloc") else np.asarray(a)[rows]
        try:
            clone(self.estimator).set_params(**trial.params).fit(
                take(X, train), take(y, train), validation_data=(take(X, test), take(y, test)),
                callbacks=[Pruning(trial)],
            )  # fmt: skip
        except optuna.TrialPruned:
            self.study_.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return True
        return False


class Pruning(Callback):
    """Tell an Optuna trial of ``monitor`` after every epoch, and raise `optuna.TrialPruned` when it is to be given up.

    For a study of your own: ``model.fit(x, y, validation_data=..., callbacks=[Pruning(trial)])`` in its objective. The
    number is given with the sign that the study's direction asks for.
    """

    def __init__(self, trial: Any, monitor: str = "val_loss") -> None:
        self.trial, self.monitor = trial, Monitor(self, monitor)

    def on_epoch_end(self, epoch, logs=None):
        optuna = import_optuna()
        value = self.monitor.value(logs)  # less is better
        maximize = self.trial.study.direction == optuna.study.StudyDirection.MAXIMIZE
        self.trial.report(-value if maximize else value, epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned(f"{self.monitor.name} {abs(value):.4g} at epoch {epoch + 1}")


def import_optuna() -> Any:
    """Optuna, or an error that says how to get it."""
    try:
        import optuna
    except ImportError as error:
        raise ImportError("this search needs Optuna: pip install 'pellucid[search]'") from error
    return optuna


# ---- spaces -----------------------------------------------------------------------------------------------------


def _range(name: str, values: tuple) -> tuple[Any, Any, bool]:
    """Low, high, and whether it is their logarithm that is drawn evenly."""
    if len(values) not in (2, 3) or (len(values) == 3 and values[2] != "log"):
        raise DataError(f'{name!r}: a range is (low, high) or (low, high, "log"), got {values!r}; choices are a list')
    low, high, log = values[0], values[1], len(values) == 3
    if not all(isinstance(v, (int, float, np.number)) for v in (low, high)) or not low < high or (log and low <= 0):
        raise DataError(f"{name!r}: a range goes from a smaller to a larger number"
                        f"{', both above 0 for log' if log else ''}; got {values!r}")  # fmt: skip
    return low, high, log


def _whole(low: Any, high: Any) -> bool:
    return isinstance(low, (int, np.integer)) and isinstance(high, (int, np.integer))


def _choices(name: str, values: Any) -> list:
    """Of a grid."""
    if isinstance(values, tuple) or hasattr(values, "rvs"):
        raise DataError(f"{name!r}: a grid tries choices, a list of values; got {values!r}. Use method='random', "
                        "'halving' or 'optuna' for ranges")  # fmt: skip
    if isinstance(values, str) or not isinstance(values, (Sequence, np.ndarray)) or not len(values):
        raise DataError(f"{name!r}: choices must be a list of values, got {values!r}")
    return list(values)


def _distribution(name: str, values: Any) -> Any:
    """A range as scipy's distribution; choices as they are."""
    from scipy import stats

    if hasattr(values, "rvs"):
        return values
    if not isinstance(values, tuple):
        return _choices(name, values)
    low, high, log = _range(name, values)
    if _whole(low, high) and not log:
        return stats.randint(low, high + 1)
    if _whole(low, high):
        return WholeLog(low, high)
    return stats.loguniform(low, high) if log else stats.uniform(low, high - low)


class WholeLog:
    """Whole numbers whose logarithm is evenly spread, with scipy's ``rvs``."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def rvs(self, size: Any = None, random_state: Any = None) -> Any:
        """Numbers drawn."""
        from scipy import stats

        drawn = np.rint(stats.loguniform(self.low - 0.5, self.high + 0.5).rvs(size=size, random_state=random_state))
        drawn = np.clip(drawn, self.low, self.high).astype(int)
        return int(drawn) if size is None else drawn


def _for_optuna(name: str, values: Any) -> Any:
    """A range or choices as Optuna's distribution."""
    d = import_optuna().distributions
    if isinstance(values, d.BaseDistribution):
        return values
    if not isinstance(values, tuple):
        return d.CategoricalDistribution(_choices(name, values))
    low, high, log = _range(name, values)
    return (d.IntDistribution if _whole(low, high) else d.FloatDistribution)(low, high, log=log)
