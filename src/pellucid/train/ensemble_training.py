"""Several models of one kind trained side by side: small nets as one program over a leading axis of members, others
each on a thread of its own.

A small net's epoch takes microseconds, most of them outside the machine code. Imports graph, ops and the siblings.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..checks import whole, wrong
from ..data.dataset import taken_apart
from ..deprecation import deprecated
from ..errors import ArgumentError, GraphError
from ..executors import available_threads
from ..graph import input, state
from ..metrics import Mean
from ..ops.lift import Lifted, lift
from ..program import Program
from .arrays import held_out
from .batch_sizes import sizes, training_batch_size
from .batches import Arrays, order_of
from .checkpoint import Checkpoint
from .evaluation import batch_size_for, numbers
from .finite import bad_state
from .inputs import arrays_of, parts_of
from .loggers import CSVLogger, JSONLinesLogger
from .model import Model
from .program_cache import structure
from .rates import at_epoch
from .tensorboard import TensorBoard

MOST_WORK = 6_000_000  # multiplications of one member's step: 784-32-10 gains a quarter, 784-100-10 loses a tenth
MOST_MEMBERS = 8  # of one program: with more their values leave the first cache
KNOWN = {
    "epochs",
    "batch_size",
    "shuffle",
    "validation_data",
    "verbose",
}  # what `_together` does as `Model.fit` does it

WRITERS = (Checkpoint, CSVLogger, JSONLinesLogger, TensorBoard)


@deprecated("jobs", "n_jobs", since="0.1")
def fit_members(
    models: Sequence[Model],
    x: Any,
    y: Any,
    sample_weights: Sequence[np.ndarray | None] | None = None,
    n_jobs: int | None = -1,
    **options: Any,
) -> None:
    """Train models that differ in their seed alone, ``n_jobs`` at a time: `Model.fit` of each with these options.

    All see the samples in one order, that of the first one's seed, and hold back the same for ``validation_split``;
    they differ in their first weights, in what is random in their layers, and in ``sample_weights``, an array for each.
    What comes out is the same whether they are trained together or one by one. ``n_jobs``: see `jobs_of`.

    >>> from pellucid import nn
    >>> models = [Model(nn.Dense(1), "mse", "sgd", seed=seed) for seed in range(3)]
    >>> fit_members(models, [[0.0], [1.0]], [1.0, 3.0], epochs=2000)
    >>> [round(model.predict([[2.0]]).item(), 2) for model in models]
    [5.0, 5.0, 5.0]
    """
    x, y = taken_apart(x, y)
    jobs = jobs_of("fit_members", n_jobs)
    for c in options.get("callbacks") or ():
        if isinstance(c, WRITERS) and len(models) > 1:
            raise ArgumentError(
                f"{type(c).__name__}: {len(models)} models would write one file; train each with its own"
            )
    weights = [None] * len(models) if sample_weights is None else list(sample_weights)
    seeds = [model.seed for model in models]
    jobs = min(jobs, len(models))
    for model, weight in zip(models, weights, strict=True):
        if jobs > 1:
            model.threads = 1
        model.fit(x, y, sample_weight=weight, **_unchanged(options))  # arrays checked, first weights made
    try:
        for model in models:
            model.seed = seeds[0]
        if not _together(models, x, y, weights, jobs, options):
            _apart(models, x, y, weights, jobs, options)
    finally:
        for model, seed in zip(models, seeds, strict=True):
            model.seed = seed


def jobs_of(owner: Any, n_jobs: int | None) -> int:
    """How many run at a time: ``n_jobs``, or of -1 as many as there are processors, of -2 one less, as in joblib.

    >>> jobs_of("fit_members", 3), jobs_of("fit_members", -1) == available_threads()
    (3, True)
    """
    n = -1 if n_jobs is None else whole(owner, "n_jobs", n_jobs, least=None)
    if n == 0:
        raise wrong(owner, "n_jobs", "a whole number >= 1, or -1 for as many as there are processors", n_jobs)
    return n if n > 0 else max(1, available_threads() + 1 + n)


def _unchanged(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a fit that makes a model ready, and trains nothing."""
    return {k: v for k, v in options.items() if k not in ("callbacks", "resume")} | {"epochs": 0, "verbose": 0}


def _apart(models: Sequence[Model], x: Any, y: Any, weights: list[Any], jobs: int, options: dict[str, Any]) -> None:
    """Each model on a thread of its own: machine code runs without Python's lock."""

    def one(i: int) -> None:
        own = {"verbose": 0} | options | {"callbacks": [copy.copy(c) for c in options.get("callbacks") or ()]}
        models[i].fit(x, y, sample_weight=weights[i], **own)

    def stop() -> None:
        for model in models:
            model.stop_training = True

    side_by_side(one, range(len(models)), jobs, stop)


def side_by_side(work: Callable, items: Iterable, jobs: int, stop: Callable[[], None] = lambda: None) -> list:
    """``work(item)`` for each, several at a time on threads; after an error or Ctrl-C ``stop()`` ends the others."""
    if jobs == 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(jobs, "pellucid-member") as pool:
        coming = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in coming]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop()
            raise


# ---- together ---------------------------------------------------------------------------------------------------


def _together(models: Sequence[Model], x: Any, y: Any, weights: list[Any], jobs: int, options: dict[str, Any]) -> bool:
    """Train as few programs as there are jobs; False, and nothing done, where they must be trained one by one."""
    first = models[0]
    plain = not {k for k, v in options.items() if v is not None} - KNOWN and not options.get("verbose", 0)
    plain = plain and not first.optimizer.use_ema and all(isinstance(m, Mean) for m in first.metrics.values())
    if len(models) == 1 or not plain or not all(_alike(first, m) for m in models[1:]):
        return False
    (arrays,) = parts_of(first, x, y, weights[0])
    step = first.programs.compiled("step", arrays)
    (batch,) = sizes(first, [arrays], training_batch_size(options.get("batch_size"), len(arrays["y"])))
    if not hasattr(step, "work") or step.work * batch > MOST_WORK:
        return False
    validation = options.get("validation_data")
    held = None if validation is None else arrays_of(first, *held_out(validation), name="validation_data ")
    rounds = -(-len(models) // (jobs * MOST_MEMBERS))
    size = -(-len(models) // (jobs * rounds))
    given = [parts_of(m, x, y, w)[0] if w is not None else arrays for m, w in zip(models, weights, strict=True)]
    groups = []
    for start in range(0, len(models), size):
        rows = list(range(start, min(start + size, len(models))))
        rows += rows[-1:] * (size - len(rows))  # the last group's last one is there several times
        own = arrays
        if "weight" in arrays:
            own = arrays | {"weight": np.stack([given[i]["weight"] for i in rows], axis=1)}
        try:
            groups.append((Group([models[i] for i in rows], own, held), own))
        except (ArgumentError, GraphError):  # an operation that cannot be done for several at once
            return False
    work = lambda group: group[0].train(group[1], held, batch, options.get("epochs", 1), options.get("shuffle", True))

    def stop() -> None:
        for group, _ in groups:
            group.stopped = True

    if not all(side_by_side(work, groups, jobs, stop)):  # one of them diverged: its own fit says how
        return False
    for group, _ in groups:
        group.give()
    return True


def _alike(a: Model, b: Model) -> bool:
    """Whether two models have the same programs, and have learnt for as long."""
    recipe = lambda m: (m.net, m.loss, m.optimizer, m.regularizer, m.constraint, *m.metric_names)
    same = all(x is y for x, y in zip(recipe(a), recipe(b), strict=False))
    return a.epochs == b.epochs and (
        same or (structure(a.programs) is not None and structure(a.programs) == structure(b.programs))
    )


class Group:
    """Models in training as one program. Raises `GraphError` where their step cannot be lifted."""

    def __init__(self, models: list[Model], arrays: Arrays, held: Arrays | None) -> None:
        self.models = models
        self.run = self._compiled("step", arrays)
        self.judge = self._compiled("evaluate", held) if held is not None else None
        names = {*self.run.program.state, *(self.judge.program.state if self.judge is not None else ())}
        self.state = {name: np.stack([m.state[name] for m in models]) for name in names}
        self.logs: list[list[dict[str, float]]] = []  # of each epoch, for each member
        self.stopped = False

    def train(self, arrays: Arrays, held: Arrays | None, batch: int, epochs: int, shuffle: bool) -> bool:
        """Some epochs; False where a loss or a weight is no longer finite."""
        first, n = self.models[0], len(arrays["y"])
        for epoch in range(first.epochs, first.epochs + epochs):
            if self.stopped:
                return False
            self.state |= at_epoch(self.state, epoch, -(-n // batch))
            sums = self.run.steps(self.state, arrays, order_of(first.seed, epoch, n, shuffle), batch)
            logs = self._means(sums)
            if not all(np.isfinite(log["loss"]) for log in logs) or bad_state(self.state):
                return False
            if self.judge is not None and held is not None:
                size = batch_size_for(None, len(held["y"]))
                values = self._means(self.judge.steps(self.state, held, None, size))
                logs = [a | {f"val_{k}": v for k, v in b.items()} for a, b in zip(logs, values, strict=True)]
            self.logs.append(logs)
        return True

    def _compiled(self, what: str, arrays: Arrays) -> Any:
        """The members' "step" or "evaluate" as one program."""
        first, n = self.models[0], len(self.models)
        apart = ["weight"] if what == "step" and "weight" in arrays else []
        one = arrays | {name: arrays[name][:, 0] for name in apart}
        key = ("members", n, what, first.how, *((name, a.shape[1:], str(a.dtype)) for name, a in arrays.items()))
        return first.programs.run_of(key, lambda: members(first.programs.compiled(what, one).program, n, apart))

    def _means(self, sums: dict[str, float]) -> list[dict[str, float]]:
        """From the sums of all members, the means of each."""
        each: list[dict[str, float]] = [{} for _ in self.models]
        for name, value in sums.items():
            what, _, i = name.rpartition(".")
            each[int(i)][what] = value
        return [numbers(own, self.models[0].metrics) for own in each]

    def give(self) -> None:
        """To each model what it has learnt, and its history."""
        for i, model in enumerate(self.models):
            if any(model is m for m in self.models[:i]):
                continue
            model.state |= {name: a[i].copy() for name, a in self.state.items()}
            model.epochs += len(self.logs)
            model.stopped = f"after {len(self.logs)} epochs, as asked"
            for logs in self.logs:
                model.history.append(logs[i])


def members(program: Program, n: int, apart: Sequence[str]) -> Program:
    """A program for n members at once: state, outputs and the inputs ``apart`` have a leading axis of members.

    Outputs are numbers, so there is one for each member: ``loss.0``, ``loss.1``... Raises `GraphError` for a program
    with an operation that cannot be lifted (a loop over time).

    >>> from pellucid import batch_mean
    >>> w, x = state("w"), input("x")
    >>> both = members(Program([x], {"cost": batch_mean(w * x)}, {w: w * 0.5}), 2, [])
    >>> both.state["w"], list(both.outputs)
    (<state 'w': shared float32 (2,)>, ['cost.0', 'cost.1'])
    """
    states = {name: state(name, (n, *v.shape), v.dtype) for name, v in program.state.items()}
    inputs = dict(program.inputs)
    for name in apart:
        inputs[name] = input(name, (n, *inputs[name].shape), inputs[name].dtype)
    known = {v: Lifted(states[name], True) for name, v in program.state.items()}
    known |= {v: Lifted(inputs[name], name in apart) for name, v in program.inputs.items()}
    outputs = lift(list(program.outputs.values()), known, n)
    each = {
        f"{name}.{i}": found.value[i] if found.stacked else found.value
        for name, found in zip(program.outputs, outputs, strict=True)
        for i in range(n)
    }
    updates = lift(list(program.updates.values()), known, n)
    new = {states[t.name or ""]: u.spread(n) for t, u in zip(program.updates, updates, strict=True)}
    return Program(inputs, each, new)
