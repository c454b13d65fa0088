"""`Optimizer`, what all rules have in common: clipping, decay, rates by layer, averages, accumulated gradients.

``rule(p, g, slots, rate, step)`` gives the new parameter and the new slots. ``slots`` are arrays of the parameter's
shape, zero at first, by the names in ``slot_names``, and numbers, by those in ``scalar_slots``; ``rate`` is the
learning rate; ``step`` counts from 1.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import add
from typing import Any, ClassVar

from ..checks import checked, flag, hint_options, number, refuse_change, whole, wrong
from ..errors import ArgumentError
from ..graph import Value
from ..ops import maximum, minimum, sqrt, sum
from ..reprs import Shown
from ..schedules import Clock, Schedule, start_of
from .updates import first_values

CLIPS = ("clipvalue", "clipnorm", "global_clipnorm")


def _shrink(squares: Value, limit: float) -> Value:
    """What a gradient with that sum of squares is multiplied by."""
    return limit / maximum(sqrt(squares), limit)


def layer_rates(owner: Any, name: str, value: Any) -> Any:
    """The check of factors of the learning rate by layer."""
    if value is None or (isinstance(value, str) and value == "fan_in"):
        return value
    if not isinstance(value, Mapping):
        raise wrong(owner, name, '"fan_in" or factors >= 0 by layer, as in {"layers.0": 0.1}', value, optional=True)
    return {layer: number(owner, f"{name}[{layer!r}]", rate, least=0) for layer, rate in value.items()}


def _refuse_change(optimizer: Any, name: str, value: Any) -> None:
    hint = f"make another, and a model with it: model.clone(optimizer=dataclasses.replace(optimizer, {name}={value!r}))"
    hint = f"set model.learning_rate = {value!r}" if name == "learning_rate" else hint
    refuse_change(optimizer, name, value, hint)


@dataclass(frozen=True, repr=False)
class Optimizer(Shown):
    """Base of optimizers: p' = rule(p, dC/dp). A subclass is a frozen dataclass with a `rule`.

    ``learning_rate`` is a number or a schedule (`pellucid.schedules`). All take, by name:

    - ``clipvalue``, ``clipnorm``, ``global_clipnorm``: gradients that are too large are clipped, each number to at most
      so much, each parameter's gradient to at most such a norm, or all together (Pascanu et al., ICML 2013).
    - ``weight_decay`` d: p (1 - rate d) takes the place of p, for arrays of two or more axes; biases are left alone.
      Decoupled from the gradient (Loshchilov and Hutter, ICLR 2019).
    - ``layer_rates``: what the learning rate is multiplied by in a layer, ``{"layers.0": 0.1}``, or "fan_in":
      1/sqrt(number of a neuron's connections), for weights and biases alike (LeCun, 1993; lecture 002).
    - ``use_ema``: outside training, weights are their moving average a' = m a + (1 - m) p, with m = ``ema_momentum``.
      Training itself goes on from p.
    - ``gradient_accumulation_steps`` k: the weights change after every k mini-batches, and at the end of an epoch, by
      the mean gradient of their samples: as by one batch of all of them.
    - ``maximize``: gradient ascent, p' = rule(p, -dC/dp): `SGD` climbs, p' = p + rate dP/dp, where the loss is a
      performance P to be made large (lecture 002).

    The names are Keras's; `maximize` is PyTorch's.
    """

    learning_rate: float | Schedule = 0.01
    clipvalue: float | None = field(default=None, kw_only=True)
    clipnorm: float | None = field(default=None, kw_only=True)
    global_clipnorm: float | None = field(default=None, kw_only=True)
    weight_decay: float | None = field(default=None, kw_only=True)
    layer_rates: Mapping[str, float] | str | None = field(default=None, kw_only=True)
    use_ema: bool = field(default=False, kw_only=True)
    ema_momentum: float = field(default=0.99, kw_only=True)
    gradient_accumulation_steps: int | None = field(default=None, kw_only=True)
    maximize: bool = field(default=False, kw_only=True)
    slot_names: ClassVar[tuple[str, ...]] = ()
    scalar_slots: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options) -> None:
        super().__init_subclass__(**options)
        dataclass(frozen=True, repr=False)(cls)
        hint_options(cls, "optimizer option")
        cls.__setattr__ = _refuse_change  # type: ignore[assignment, method-assign]

    def __post_init__(self) -> None:
        if not isinstance(self.learning_rate, Schedule):
            plain = self.learning_rate is None or isinstance(self.learning_rate, (int, float, str))
            hint = "" if plain else "the model gives the optimizer its weights: pel.Model(net, loss, optim.Adam(0.001))"
            checked(self, number, "learning_rate", above=0, hint=hint)
        checked(self, number, *CLIPS, above=0, optional=True)
        limits = [name for name in CLIPS if getattr(self, name) is not None]
        if len(limits) > 1:
            raise ArgumentError(f"{type(self).__name__}: clip in one way, not by {' and '.join(limits)}")
        checked(self, number, "weight_decay", least=0, optional=True)
        checked(self, flag, "use_ema", "maximize")
        checked(self, number, "ema_momentum", least=0, below=1)
        if not self.use_ema and self.ema_momentum != 0.99:
            raise ArgumentError(f"{type(self).__name__}: ema_momentum={self.ema_momentum!r} is of the averages that "
                                "use_ema=True keeps; give that too, or leave it out")  # fmt: skip
        checked(self, whole, "gradient_accumulation_steps", optional=True)
        checked(self, layer_rates, "layer_rates")

    def first_numbers(self) -> dict[str, float]:
        """The hyper-parameters that are state of the training step, so that others compile nothing again."""
        return {"optimizer.learning_rate": start_of(self.learning_rate)} | (
            {} if self.weight_decay is None else {"optimizer.weight_decay": self.weight_decay}
        )

    def init(self, wrt: Any, *, name: str = "optimizer", steps_per_epoch: int = 1) -> dict[str, Any]:
        """The first state of `optim.descend` with this optimizer, as arrays by name; ``wrt`` and ``name`` as there.

        ``steps_per_epoch`` is for schedules that count epochs.

        >>> from pellucid import optim, state
        >>> {k: v.tolist() for k, v in optim.SGD(0.5, momentum=0.9).init(state("w", (2,))).items()}
        {'optimizer.step': 0, 'optimizer.velocity.w': [0.0, 0.0], 'optimizer.learning_rate': 0.5}
        """
        return first_values(self, wrt, name, whole(self, "steps_per_epoch", steps_per_epoch))

    def at(self, clock: Clock) -> Optimizer:
        """This optimizer now: in the place of its schedules, but for the learning rate's, stand their values."""
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "learning_rate"}
        found = {name: s for name, s in found.items() if isinstance(s, Schedule)}
        other = copy.copy(self)
        for name, schedule in found.items():
            object.__setattr__(other, name, schedule.start * schedule.at(clock))
        return other

    def clipped(self, gradients: Sequence[Value]) -> list[Value]:
        """The gradients, with what is too large made smaller: g min(1, limit / norm), or each number cut off.

        >>> from pellucid.ops import constant
        >>> from pellucid.optim import SGD
        >>> g = SGD(0.1, global_clipnorm=1.0).clipped([constant([3.0]), constant([4.0])])  # of norm 5, to 0.6 and 0.8
        >>> [v.shape for v in g]
        [(1,), (1,)]
        """
        if self.clipvalue is not None:
            return [maximum(minimum(g, self.clipvalue), -self.clipvalue) for g in gradients]
        if self.clipnorm is not None:
            return [g * _shrink(sum(g * g), self.clipnorm) for g in gradients]
        if self.global_clipnorm is not None and gradients:
            total = functools.reduce(add, (sum(g * g) for g in gradients))
            return [g * _shrink(total, self.global_clipnorm) for g in gradients]
        return list(gradients)

    def rule(
        self, p: Value, g: Value, slots: dict[str, Value], rate: Value, step: Value
    ) -> tuple[Value, dict[str, Value]]:
        raise NotImplementedError
