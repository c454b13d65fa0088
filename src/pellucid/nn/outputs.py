"""A loss for each output of a net that has several. Imports graph and the sibling modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..checks import number
from ..errors import ArgumentError, GraphError
from ..graph import Value
from ..reprs import shown
from .loss import Loss
from .losses import as_loss


class Losses(Loss):
    """C = sum_k w_k L_k(y_k, t_k), for a net that returns a tuple or a dict of outputs y_k, with targets alike.

    `Model` makes it of ``loss=`` and ``loss_weights=``, which are a tuple or a dict. ``names`` are those of the
    outputs, of a tuple output_0, output_1; ``named``: whether they are a dict.
    """

    targets = "any"
    names: tuple[str, ...]
    losses: tuple[Loss, ...]
    weights: tuple[float, ...]
    named: bool

    def __post_init__(self) -> None:
        if not self.names or not len(self.names) == len(self.losses) == len(self.weights) == len(set(self.names)):
            given = f"{self.losses} and {self.weights}"
            raise ArgumentError(f"a loss and a weight for each output are expected, got {given}")

    def __repr__(self) -> str:  # as `Model` was given them
        return shown(dict(zip(self.names, self.losses, strict=True)) if self.named else self.losses)

    def __call__(self, y: Value, t: Value) -> Value:
        raise GraphError(f"the net has several outputs, {', '.join(self.names)}, which is for fit, evaluate, predict "
                         "and what they use; here a net of one output is expected")  # fmt: skip

    def prediction(self, y: Value) -> Value:
        return self(y, y)


def as_losses(loss: Any, weights: Any = None) -> Loss:
    """The loss of a model, or `Losses` from a tuple or dict of them; ``weights`` are in the same form.

    >>> as_losses(("mse", "mae"), (1, 0.5)).names
    ('output_0', 'output_1')
    """
    if not isinstance(loss, (tuple, list, Mapping)):
        if weights is not None:
            raise ArgumentError("loss_weights are for several outputs: give loss= a tuple or a dict of losses")
        return as_loss(loss)
    named = isinstance(loss, Mapping)
    if not loss or (named and not all(isinstance(name, str) and name for name in loss)):
        raise ArgumentError(f"loss must be a loss, or a tuple or dict of them by the names of outputs, got {loss!r}")
    by_name = dict(loss) if isinstance(loss, Mapping) else {f"output_{i}": one for i, one in enumerate(loss)}
    given = in_order(weights, by_name, "loss_weights", 1.0)
    numbers = tuple(float(number("Model", f"loss_weights of {n}", w, least=0)) for n, w in given.items())
    return Losses(tuple(by_name), tuple(as_loss(one) for one in by_name.values()), numbers, named)


def in_order(given: Any, names: Any, what: str, usual: Any) -> dict[str, Any]:
    """What is given for each output, as a dict by name or in the outputs' order; ``usual`` where nothing is.

    >>> in_order({"b": 2}, ["a", "b"], "loss_weights", 1)
    {'a': 1, 'b': 2}
    """
    names = list(names)
    if given is None:
        return dict.fromkeys(names, usual)
    if isinstance(given, Mapping):
        if unknown := [name for name in given if name not in names]:
            raise GraphError(f"{what} has {unknown[0]!r}, but the outputs are {', '.join(names)}")
        return {name: given.get(name, usual) for name in names}
    if isinstance(given, (str, bytes)) or not hasattr(given, "__len__") or len(given) != len(names):
        raise GraphError(f"{what} must have one entry for each of the outputs {', '.join(names)}, as a tuple or dict, "
                         f"got {given!r:.100}")  # fmt: skip
    return dict(zip(names, given, strict=True))
