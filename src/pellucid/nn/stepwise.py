"""Step-wise inference: a net traced on one step of a sequence, the state of its layers as inputs. Imports graph alone.

The net is the same that was trained, on a sequence of one step. A recurrent layer begins with what it left at the step
before (`carried`, `leave`); a layer that would need the other steps is an error. `pellucid.train.stepper` runs it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ..errors import GraphError
from ..graph import Value, input, toposort


@dataclass
class Carried:
    """A layer's state: the input that stands for it before the step, its first value, and what it is after the step."""

    before: Value
    first: Value
    after: Value | None = None


class Stepping:
    """What a trace on one step collects. ``moving``: what differs from step to step, at first the inputs given."""

    def __init__(self, inputs: Iterable[Value]) -> None:
        self.moving = set(inputs)
        self.timed = set(inputs)  # and have an axis of time
        self.settled: set[Value] = set()  # what recurrent layers make of a sequence, without it
        self.states: list[Carried] = []

    def moves(self, x: Any) -> bool:
        """Whether a Value differs from step to step."""
        if not isinstance(x, Value):
            return False
        for v in toposort([x]):
            if any(i in self.moving for i in v.inputs):
                self.moving.add(v)
        return x in self.moving

    def in_time(self, x: Any) -> bool:
        """Whether a Value is a step of a sequence, and not what was made of one."""
        if not isinstance(x, Value):
            return False
        for v in toposort([x]):
            if v not in self.settled and any(i in self.timed for i in v.inputs):
                self.timed.add(v)
        return x in self.timed


_stepping: ContextVar[Stepping | None] = ContextVar("pellucid_stepping", default=None)


def carried(x: Value, first: Sequence[Value]) -> tuple[Value, ...]:
    """The state that a layer begins with on the sequence x: ``first``, or in step-wise inference what it left."""
    stepping = _stepping.get()
    if stepping is None or not stepping.in_time(x):
        return tuple(first)
    found = [Carried(input(f"state.{len(stepping.states) + k}", v.shape, v.dtype), v) for k, v in enumerate(first)]
    stepping.states += found
    stepping.moving.update(c.before for c in found)
    return tuple(c.before for c in found)


def leave(before: Sequence[Value], after: Sequence[Value], ys: Value) -> None:
    """In step-wise inference, the state that the next step finds in the place of what `carried` gave; ys: the outputs
    of all steps."""
    stepping = _stepping.get()
    if stepping is None or not any(c.before in before for c in stepping.states):
        return
    stepping.settled.update(after)
    stepping.timed.add(ys)
    for c in stepping.states:
        for old, new in zip(before, after, strict=True):
            if c.before is old:
                c.after = new


def in_time(x: Any) -> bool:
    """Whether a net is traced on one step of a sequence, and the Value is one of it."""
    stepping = _stepping.get()
    return stepping is not None and stepping.in_time(x)


def must_step(inputs: Sequence[Any], by_step: Callable[..., bool], name: str = "") -> None:
    """`GraphError` in step-wise inference for a layer, or function of that name, that does more than a step."""
    if any(map(in_time, inputs)) and not by_step(*inputs):
        raise GraphError(f"{name}needs the whole sequence, so it cannot go step by step; nn.Embedding, activations,"
                         " recurrent layers, if not reverse, and nn.TimeDistributed(...) can")  # fmt: skip


def function_must_step(function: Any, place: str, inputs: Sequence[Any]) -> None:
    """The same for a plain function: nn's activations, along the last axis, can."""
    plain = getattr(function, "func", function)
    can = getattr(plain, "__module__", "") == f"{__package__}.activations"
    can = can and getattr(function, "keywords", {}).get("axis", -1) == -1
    must_step(inputs, lambda *_: can, f"{getattr(plain, '__name__', type(plain).__name__)} {place!r} ")


@contextlib.contextmanager
def one_step(inputs: Iterable[Value]) -> Iterator[Stepping]:
    """While a net is traced on one step of these inputs."""
    token = _stepping.set(Stepping(inputs))
    try:
        yield _stepping.get()  # type: ignore[misc]
    finally:
        _stepping.reset(token)
