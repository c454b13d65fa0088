"""Many networks for one task: restarts, committees, bagging. Imports numpy, train and report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .checks import whole, wrong
from .data import DataError
from .data.dataset import taken_apart
from .deprecation import deprecated
from .errors import ArgumentError
from .graph import GraphError
from .nn.activations import sigmoid, softmax
from .nn.masks import with_mask
from .report import aligned
from .train import Callback, Model
from .train.arrays import as_array, held_out
from .train.building import build
from .train.callbacks import Monitor
from .train.ensemble_training import fit_members, jobs_of, side_by_side
from .train.evaluation import steps_counted
from .train.inputs import inputs_of
from .train.outputs import one_output

__all__ = ["Bagging", "Committee", "Restarts", "fit_members", "restarts"]

VOTES = ("mean", "majority")


# ---- restarts ---------------------------------------------------------------------------------------------------


@dataclass
class Restarts:
    """Models that differ in their first weights, and what each reached: ``results[measure][i]`` is that of models[i].

    ``measure`` says which is ``best``: the smallest loss or error, the largest score.
    """

    models: list[Model]
    results: dict[str, np.ndarray]
    measure: str

    @property
    def best(self) -> Model:
        """The best model by ``measure``."""
        return self.models[self._order()[0]]

    def mean(self, measure: str | None = None) -> float:
        """The mean over the restarts."""
        return float(self.results[measure or self.measure].mean())

    def std(self, measure: str | None = None) -> float:
        """The standard deviation over the restarts; 0 of a single one."""
        values = self.results[measure or self.measure]
        return float(values.std(ddof=1)) if len(values) > 1 else 0.0

    def committee(self, n: int | None = None, vote: str = "mean") -> Committee:
        """A committee of the ``n`` best, by default of all."""
        return Committee([self.models[i] for i in self._order()[:n]], vote)

    def __str__(self) -> str:
        rows = [
            [name, f"{v.mean():.4f}", f"{self.std(name):.4f}", f"{v.min():.4f}", f"{v.max():.4f}",
             f"{v[self._order()[0]]:.4f}"]
            for name, v in self.results.items()
        ]  # fmt: skip
        best = f"best by {self.measure}: seed {self.best.seed}"
        return f"{len(self.models)} restarts, {best}\n" + aligned(["", "mean", "std", "min", "max", "best"], rows)

    def _order(self) -> list[int]:
        sign = Monitor(Callback(), self.measure).sign  # -1 where larger is better
        return np.argsort(sign * self.results[self.measure], kind="stable").tolist()


@deprecated("n", "n_restarts", since="0.1")
@deprecated("jobs", "n_jobs", since="0.1")
def restarts(
    model: Model | Callable[[], Model],
    x: Any,
    y: Any = None,
    n_restarts: int = 10,
    *,
    measure: str | None = None,
    n_jobs: int | None = -1,
    **options: Any,
) -> Restarts:
    """Train a net ``n_restarts`` times from other first weights: how much of the result is luck, and which is the best?

    - ``model``: a `Model`, which stays as it is, or a function that makes one. Its seed is that of the first restart,
      the next has the seed after it. All see the samples in the same order.
    - ``x``, ``y``: the samples, or a Dataset as ``x``.
    - ``options``: of `Model.fit`. Results are those on ``validation_data`` where it is given, else the last epoch's.
    - ``measure``: by which the best is chosen: "val_loss" where there is validation, else "loss".
    - ``n_jobs``: how many train at a time; -1, the default, as many as there are processors. Small nets train as one
      program.

    Raises `GraphError` for fewer than one restart, `DataError` for a measure that is not there.

    >>> import pellucid as pel
    >>> x, y = pel.data.xor()
    >>> net = pel.nn.Sequential(pel.nn.Dense(3), pel.nn.tanh, pel.nn.Dense(1))
    >>> model = Model(net, "binary_cross_entropy", pel.optim.Adam(0.1), ["accuracy"])
    >>> found = restarts(model, x, y, n_restarts=5, epochs=100)
    >>> len(found.models), found.best.evaluate(x, y)["accuracy"]
    (5, 1.0)
    """
    models = _several(model, n_restarts, "restarts", "n_restarts")
    weights = [options.pop("sample_weight", None)] * n_restarts
    fit_members(models, x, y, weights, n_jobs=n_jobs, **options)
    last = {name: np.array([m.history[name][-1] for m in models]) for name in models[0].history.columns}
    if (held := options.get("validation_data")) is not None:
        vx, vy, weight = held_out(held)
        values = [m.evaluate(vx, vy, sample_weight=weight) for m in models]  # with the weights they ended with
        last |= {f"val_{name}": np.array([v[name] for v in values]) for name in values[0]}
    measure = measure or ("val_loss" if "val_loss" in last else "loss")
    if measure not in last:
        raise DataError(f"there is no measure {measure!r}; there are {', '.join(last)}")
    return Restarts(models, last, measure)


def _several(model: Model | Callable[[], Model], n: int, what: str, name: str) -> list[Model]:
    """New models that differ in their seed."""
    n = whole(what, name, n)
    base = model if isinstance(model, Model) else model()
    if not isinstance(base, Model):
        raise ArgumentError(
            f"{what}: expected a pellucid.Model or a function that makes one, got {type(base).__name__}"
        )
    return [base.clone(seed=base.seed + i) for i in range(n)]


# ---- committees -------------------------------------------------------------------------------------------------


@deprecated("jobs", "n_jobs", since="0.1")
class Committee:
    """Several models that predict as one: the mean of what they say, or a vote.

    ``vote``: "mean", the mean of probabilities or values, whose squared error is never more than the members' mean
    squared error (Krogh and Vedelsby, 1995: the difference is the members' spread); or "majority", the share of members
    that choose each class. ``n_jobs``: how many members predict at a time, -1 as many as there are processors. Raises
    `GraphError` for no models, or models of other outputs.

    >>> import pellucid as pel
    >>> models = [Model(pel.nn.Dense(1, bias=False), "mse", input_shape=(1,)) for _ in range(2)]
    >>> for model, slope in zip(models, (1, 3)):
    ...     model.set_parameters({"weight": [[slope]]})
    >>> committee = Committee(models)
    >>> committee.predict([[2.0]]).tolist(), committee.spread([[2.0]]).tolist()      # of 2 and 6
    ([[4.0]], [[2.0]])
    """

    def __init__(self, models: Sequence[Model], vote: str = "mean", n_jobs: int | None = -1) -> None:
        self.models, self.vote, self.n_jobs = list(models), vote, n_jobs
        if not self.models:
            raise ArgumentError("a committee needs at least one model")
        if vote not in VOTES:
            raise wrong(self, "vote", f"one of {', '.join(VOTES)}", vote)
        first = self.models[0]
        for m in self.models:
            one_output(m, "a committee is")
            if (
                type(m.loss) is not type(first.loss)
                or m.network.built().output.shape != first.network.built().output.shape
            ):
                raise GraphError("the members must have outputs of one shape and one kind of loss, got "
                                 f"{_kind(first)} and {_kind(m)}")  # fmt: skip
        if vote == "majority" and first.loss.targets not in ("classes", "binary"):
            raise ArgumentError(
                f"a majority is for classes, but {type(first.loss).__name__} has values; use vote='mean'"
            )

    def __repr__(self) -> str:
        n = len(self.models)
        return f"<Committee: {n} model{'s' * (n != 1)}, vote {self.vote!r}>"

    def each(self, x: Any, *, batch_size: int | str | None = None) -> np.ndarray:
        """What every member predicts: (members, n, ...)."""
        jobs = min(jobs_of(self, self.n_jobs), len(self.models))
        return np.stack(side_by_side(lambda m: m.predict(x, batch_size=batch_size), self.models, jobs))

    def predict(self, x: Any, *, batch_size: int | str | None = None) -> np.ndarray:
        """The members' mean prediction, or the shares of their votes."""
        return self._voted(self.each(x, batch_size=batch_size))

    def spread(self, x: Any, *, batch_size: int | str | None = None) -> np.ndarray:
        """The standard deviation over the members, for each output: how far they disagree."""
        return self.each(x, batch_size=batch_size).std(axis=0)

    def evaluate(self, x: Any, y: Any = None, *, sample_weight: Any = None) -> dict[str, float]:
        """Loss and metrics of the common prediction, as `Model.evaluate` has them; of a majority without the loss."""
        x, y = taken_apart(x, y)
        first = self.models[0]
        return self._judged(self.predict(x), y, sample_weight, steps_counted(first, inputs_of(first, x)))

    def _voted(self, each: np.ndarray) -> np.ndarray:
        if self.vote == "mean":
            return each.mean(axis=0)
        if self.models[0].loss.targets == "binary":
            return (each > 0.5).mean(axis=0, dtype=each.dtype)
        output = self.models[0].network.built().output.shape
        axis = self.models[0].loss.class_axis(output) - len(output)
        chosen = np.moveaxis(each, axis, -1).argmax(axis=-1)[..., None] == np.arange(each.shape[axis])
        return np.moveaxis(chosen.mean(axis=0, dtype=each.dtype), -1, axis)

    def _judged(
        self, predicted: np.ndarray, y: Any, sample_weight: Any = None, counted: np.ndarray | None = None
    ) -> dict[str, float]:
        """Loss and metrics of predictions: those of a net that gives just these, before the loss's link.

        ``counted``: which of their steps count, (n, T), None for all.
        """
        first = self.models[0]
        given: Any = _before_link(predicted, first.loss.link)
        given = given if counted is None else (given, counted.astype(np.uint8))
        own = first.clone(net=_same if counted is None else _with_steps, regularizer=None, constraint=None)
        build(own, *_specs(given))
        found = own.evaluate(given, y, sample_weight=sample_weight)
        return {k: v for k, v in found.items() if self.vote == "mean" or k != "loss"}


def _same(x):
    """The net that gives its input."""
    return x


def _with_steps(x, counted):
    """The net that gives its first input, of which these steps count."""
    return with_mask(x, counted > 0)


def _specs(given: Any) -> tuple[dict, str]:
    from .train.arrays import Spec

    if isinstance(given, tuple):
        return {f"x.{i}": Spec(a.shape[1:], str(a.dtype)) for i, a in enumerate(given)}, "tuple"
    return {"x": Spec(given.shape[1:], str(given.dtype))}, "one"


def _before_link(p: np.ndarray, link: Callable) -> np.ndarray:
    """Outputs of which the loss's link makes these predictions."""
    tiny = np.finfo(p.dtype).tiny
    if link is softmax:
        return np.log(np.maximum(p, tiny))
    if link is sigmoid:
        return np.log(np.maximum(p, tiny)) - np.log(np.maximum(1 - p, tiny))
    return p


def _kind(model: Model) -> str:
    return f"{model.network.built().output.shape} for {type(model.loss).__name__}"


# ---- bagging ----------------------------------------------------------------------------------------------------


@deprecated("n", "n_estimators", since="0.1")
@deprecated("jobs", "n_jobs", since="0.1")
class Bagging(Committee):
    """A committee whose members learn from other bootstrap samples: n of n samples, drawn with replacement.

    Each sample weighs in each member as often as it was drawn for it. The members that never saw a sample, about 37% of
    them, judge it: ``out_of_bag`` has loss and metrics without any other test data. Breiman, "Bagging predictors",
    Machine Learning 24, 1996.

    - ``model``: a `Model`, which stays as it is, or a function that makes one; ``n_estimators``: how many members.
    - ``vote``, ``n_jobs``: as in `Committee`; ``seed``: of the drawing, by default the model's.

    >>> import pellucid as pel
    >>> x, y = pel.data.moons(200, noise=0.1, seed=0)
    >>> net = pel.nn.Sequential(pel.nn.Dense(8), pel.nn.tanh, pel.nn.Dense(1))
    >>> bagging = Bagging(Model(net, "binary_cross_entropy", pel.optim.Adam(0.05), ["accuracy"]), n_estimators=8)
    >>> committee = bagging.fit(x, y, epochs=50)
    >>> committee.out_of_bag["accuracy"] > 0.9, committee.left_out
    (True, 3)
    """

    def __init__(
        self,
        model: Model | Callable[[], Model],
        n_estimators: int = 10,
        *,
        vote: str = "mean",
        seed: int | None = None,
        n_jobs: int | None = -1,
    ) -> None:
        if vote not in VOTES:
            raise wrong(self, "vote", f"one of {', '.join(VOTES)}", vote)
        self.models, self.vote, self.n_jobs = _several(model, n_estimators, "Bagging", "n_estimators"), vote, n_jobs
        self.seed = self.models[0].seed if seed is None else seed
        self.out_of_bag: dict[str, float] = {}
        self.left_out = 0  # samples that every member has seen

    def fit(self, x: Any, y: Any = None, *, sample_weight: Any = None, **options: Any) -> Bagging:
        """Train the members, with the options of `Model.fit`, and judge them by the samples that they did not see."""
        if options.get("class_weight") is not None or options.get("validation_split"):
            raise ArgumentError("Bagging.fit weighs samples by how often they were drawn, and is judged by the others: "
                             "leave class_weight and validation_split out")  # fmt: skip
        x, y = taken_apart(x, y)
        y = as_array(y, "y")
        n, rng = len(y), np.random.default_rng(self.seed)
        counts = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in self.models])  # (members, n)
        weights = counts if sample_weight is None else counts * np.asarray(sample_weight)
        fit_members(self.models, x, y, list(weights.astype(self.models[0].dtype)), self.n_jobs, **options)
        Committee.__init__(self, self.models, self.vote, self.n_jobs)
        self._judge(x, y, counts == 0, sample_weight)
        return self

    def _judge(self, x: Any, y: np.ndarray, unseen: np.ndarray, sample_weight: Any) -> None:
        """Of each sample the common prediction of the members that did not see it, and its loss and metrics."""
        each = self.each(x)  # (members, n, ...)
        rows = np.flatnonzero(unseen.any(axis=0))
        self.left_out = len(y) - len(rows)
        if not len(rows):
            return
        predicted = np.stack([self._voted(each[unseen[:, i], i]) for i in rows])
        weight = None if sample_weight is None else np.asarray(sample_weight)[rows]
        counted = steps_counted(self.models[0], inputs_of(self.models[0], x))
        self.out_of_bag = self._judged(predicted, y[rows], weight, None if counted is None else counted[rows])
