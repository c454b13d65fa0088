"""Training that goes on: with the optimizer's memory, or with other arguments on the same weights. Imports train."""

from __future__ import annotations

from ..train import Model
from ..train.history import History


def to_go_on(model: Model, fresh: bool) -> Model:
    """A model with the same weights, which trains without changing this one.

    ``fresh``: its optimizer, its schedule and its history begin anew.
    """
    new = object.__new__(Model)
    vars(new).update(vars(model))
    new.state = {name: a for name, a in model.state.items() if not (fresh and name.startswith("optimizer."))}
    columns = {} if fresh else {name: list(column) for name, column in model.history.columns.items()}
    new.history, new.epochs = History(columns), 0 if fresh else model.epochs
    new.last_rate = None if fresh else model.last_rate
    return new


def join(old: Model, new: Model) -> None:
    """Put the epochs of a model before those of another, which went on from it."""
    history = History({name: list(column) for name, column in old.history.columns.items()})
    for i in range(new.history.epochs):
        history.append({name: column[i] for name, column in new.history.columns.items()})
    new.history, new.epochs = history, old.epochs + new.epochs


def take_over(new: Model, old: Model, changed: list[str]) -> None:
    """Give a model that has learnt nothing the weights and random numbers of another one.

    Raises `ValueError` where the weights have other sizes; ``changed`` are the arguments that differ.
    """
    given, needed = old.parameters, new.parameters
    for (name, a), (other, b) in zip(given.items(), needed.items(), strict=False):
        if a.shape != b.shape:
            _refuse(f"{name!r} has shape {a.shape} and {other!r} would have {b.shape}", changed)
    if len(given) != len(needed):
        _refuse(f"the net has {len(given)} arrays of weights and would have {len(needed)}", changed)
    new.set_parameters(dict(zip(needed, given.values(), strict=True)))
    new.seed = old.seed
    if "random.key" in old.state:
        new.state["random.key"] = old.state["random.key"]


def _refuse(why: str, changed: list[str]) -> None:
    raise ValueError(f"the net goes on with the weights it has, but {' and '.join(changed)} changed: {why}. Use "
                     "warm_start=False, or a new estimator")  # fmt: skip
