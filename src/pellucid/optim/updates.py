"""An optimizer's step as updates of state: the rule, and around it decay, rates by layer, averages, accumulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ..checks import wrong
from ..errors import ArgumentError, GraphError
from ..graph import Value, state, state_leaf, toposort
from ..ops import cast, equal, minimum, where
from ..ops.xp import xp
from ..schedules import Clock, Schedule

if TYPE_CHECKING:
    from .base import Optimizer

LEFT = "optimizer.batches_left"  # state that `fit` sets: mini-batches to the end of the epoch, where a window ends too
SUMS = "optimizer.accumulated"  # where the names begin of what a window adds up
AVERAGE = "average"  # the slot that holds a weight's moving average; outside training, the weight itself


def slot_name(slot: str, parameter: str, name: str = "optimizer") -> str:
    """Where an optimizer keeps what it remembers of a parameter."""
    return f"{name}.{slot}.{parameter}"


def check_name(name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise wrong("descend", "name", "text, such as 'critic_adam'", name)


def trained(wrt: Any) -> tuple[list[Value], dict[Value, Callable[[Value], Value]]]:
    """The states that `descend` trains, and the constraints of some of them."""
    if isinstance(wrt, Value):
        if wrt.primitive is not state_leaf:
            raise GraphError(f"descend: only state can be trained, not {wrt!r}; make it with pellucid.state(...)")
        return [wrt], {}
    if isinstance(wrt, (list, tuple)):
        states: list[Value] = []
        constraints: dict[Value, Callable[[Value], Value]] = {}
        for part in wrt:
            own, limits = trained(part)
            states += [v for v in own if v not in states]
            constraints |= limits
        if states:
            return states, constraints
        raise ArgumentError("descend: there is nothing to train: the list is empty")
    parameters = wrt if isinstance(wrt, Mapping) else getattr(wrt, "parameters", None)
    if not isinstance(parameters, Mapping) or not all(hasattr(p, "trainable") for p in parameters.values()):
        raise ArgumentError(f"descend: wrt must be a state, an nn.Net, its parameters, or a list of such, got {wrt!r}")
    found = [p.value for p in parameters.values() if p.trainable]
    if not found:
        raise GraphError(f"descend: {wrt!r} has nothing to train; call the net before, in the cost, so that its "
                         "weights are known, and see that its layers are not frozen")  # fmt: skip
    limits = getattr(wrt, "constraints", {})
    return found, {p: limits[p.name] for p in found if p.name in limits}


def first_values(optimizer: Optimizer, wrt: Any, name: str, steps_per_epoch: int) -> dict[str, Any]:
    """See `Optimizer.init`."""
    check_name(name)
    states, _ = trained(wrt)
    updates = updates_of([(p, p) for p in states], optimizer, states[0].dtype, name=name)
    known = {k.replace("optimizer", name, 1): v for k, v in optimizer.first_numbers().items()}
    known[f"{name}.steps_per_epoch"] = steps_per_epoch
    found = {}
    for v in toposort([*updates, *updates.values()]):
        if v.primitive is state_leaf and v not in states:
            found[v.name or ""] = xp.zeros(v.shape, v.dtype) + xp.asarray(known.get(v.name or "", 0), v.dtype)
    return found


def updates_of(
    pairs: list[tuple[Value, Value]],
    optimizer: Optimizer,
    dtype: str,
    constraints: Mapping[Value, Callable[[Value], Value]] = MappingProxyType({}),
    samples: Value | float = 1.0,
    name: str = "optimizer",
) -> dict[Value, Value]:
    """The updates of an optimizer's step, for pairs of a state and its gradient; with its slots and counter.

    Of a state with a constraint the new value is ``constraint(new)``. ``samples``: by how much a gradient counts among
    those that are accumulated, the number of samples that it is a mean over.
    """

    def own(what: str, kind: str = dtype) -> Value:
        return state(what.replace("optimizer", name, 1), (), kind)

    def slot(what: str, p: Value) -> Value:
        return state(slot_name(what, p.name or "", name), p.shape, dtype)

    counter, rate = own("optimizer.step", "int32"), own("optimizer.learning_rate")
    clock = Clock(counter, dtype, name)
    step = cast(counter + 1, dtype)
    if isinstance(optimizer.learning_rate, Schedule):
        rate = rate * optimizer.learning_rate.at(clock)
    now, every = optimizer.at(clock), optimizer.gradient_accumulation_steps or 1
    gradients, updates = [g for _, g in pairs], {counter: counter + 1}
    last: Value | None = None  # whether the gradients are complete
    if every > 1:
        batches, left = own(f"{SUMS}_batches", "int32"), own(LEFT, "int32")
        last = equal(batches, every - 1) | equal(left, 1)
        updates = {counter: counter + cast(last, "int32"), batches: where(last, 0 * batches, batches + 1),
                   left: left - 1}  # fmt: skip
        before = [own(f"{SUMS}_samples"), *(slot("accumulated", p) for p, _ in pairs)]
        total, *sums = [before[0] + samples, *(s + samples * g for s, g in zip(before[1:], gradients, strict=True))]
        updates |= {s: where(last, 0 * new, new) for s, new in zip(before, (total, *sums), strict=True)}
        gradients = [new / total for new in sums]
    if optimizer.maximize:
        gradients = [-g for g in gradients]
    decay = None if optimizer.weight_decay is None else own("optimizer.weight_decay")
    factors = rate_factors([p for p, _ in pairs], optimizer.layer_rates)
    for (p, _), g, factor in zip(pairs, optimizer.clipped(gradients), factors, strict=True):
        own_rate = rate if factor == 1 else rate * factor
        slots = {s: slot(s, p) for s in optimizer.slot_names}
        slots |= {s: own(slot_name(s, p.name or "")) for s in optimizer.scalar_slots}
        start = p
        if decay is not None and p.ndim > 1:
            start = p * (1 - own_rate * decay)
        new, new_slots = now.rule(start, g, slots, own_rate, step)
        new = constraints[p](new) if p in constraints else new
        changed = {p: new} | {slots[s]: v for s, v in new_slots.items()}
        if optimizer.use_ema:
            keep = optimizer.ema_momentum * minimum(step - 1, 1)  # the first average is the first new weight
            average = slot(AVERAGE, p)
            changed[average] = average * keep + new * (1 - keep)
        updates |= changed if last is None else {s: where(last, v, s) for s, v in changed.items()}
    return updates | clock.updates


def rate_factors(parameters: list[Value], layer_rates: Mapping[str, float] | str | None) -> list[float]:
    """What the learning rate is multiplied by, for each parameter. Raises `GraphError` for a layer without any.

    >>> w, b = state("layers.0.weight", (3, 100)), state("layers.0.bias", (3,))
    >>> rate_factors([w, b], "fan_in"), rate_factors([w, b], {"layers.0.bias": 2.0})
    ([0.1, 0.1], [1.0, 2.0])
    """
    names = [p.name or "" for p in parameters]
    layers = [name.rpartition(".")[0] for name in names]
    if layer_rates == "fan_in":
        fans: dict[str, int] = {}
        for layer, p in zip(layers, parameters, strict=True):
            fans[layer] = max(fans.get(layer, 1), math.prod(p.shape[1:]))
        return [1 / math.sqrt(fans[layer]) for layer in layers]
    rates = dict(layer_rates or {})  # type: ignore[arg-type]
    for asked in rates:
        if not any(_within(name, asked) for name in names):
            there = ", ".join(dict.fromkeys(layers)) or "none"
            raise ArgumentError(f"layer_rates: no trained parameter is in {asked!r}; the layers are {there}")
    found = []
    for name in names:
        fitting = [asked for asked in rates if _within(name, asked)]
        found.append(float(rates[max(fitting, key=len)]) if fitting else 1.0)
    return found


def _within(name: str, layer: str) -> bool:
    return name == layer or name.startswith(f"{layer}.")
