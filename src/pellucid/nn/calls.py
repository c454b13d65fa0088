"""Layers called within loops: what they give at each step is noted as it is for all steps. Imports graph and ops."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from .. import ops
from ..errors import GraphError
from ..graph import Value, sample_input, shared_input, toposort
from .scope import Call, Scope, current

OWN_STATE = (
    "a layer in it updates its state or adds to the loss in training, which cannot be done for each step by itself; "
    "put it beside, or freeze it with trainable=False (in nn.Feedback: unroll=True)"
)


def steps_of_calls(function: Callable, x: Value) -> Value:
    """`ops.vmap` of a function of one step that calls layers: what they gave is noted as it is for all steps."""
    scope = current.get()
    if scope is None:
        return ops.vmap(function, x)  # type: ignore[return-value]
    noted, others = len(scope.calls), others_of(scope)

    def step(v: Value) -> tuple[Value, ...]:
        y = function(v)
        return (y, *(call.output for call in scope.calls[noted:]))

    outputs = ops.vmap(step, x)
    if others != others_of(scope):
        raise GraphError(OWN_STATE)
    calls = [replace(call, output=v) for call, v in zip(scope.calls[noted:], outputs[1:], strict=True)]
    scope.calls[noted:] = calls
    return outputs[0]


def scan_of_calls(body: Callable, init: tuple[Value, ...], xs: tuple[Value, ...] | None, **options: Any) -> Any:
    """`ops.scan` of a body that calls layers: what they gave at each step is noted, along a leading axis of time.

    The body gives (carry, y) with one Value y. A sequence of one step needs no loop.
    """
    scope = current.get()
    if scope is None:
        return ops.scan(body, init, xs, **options)
    noted, others = len(scope.calls), others_of(scope)
    inside: list[Call] = []

    def step(carry: Any, x: Any) -> tuple[Any, tuple[Value, ...]]:
        del scope.calls[noted:]  # a body may be traced twice
        new, y = body(carry, x)
        inside[:] = [call for call in scope.calls[noted:] if isinstance(call.output, Value)]
        return new, (y, *(call.output for call in inside))

    length = options.get("length") or (xs[0].shape[0] if xs else 0)
    if length == 1:
        last, ys = step(init, None if xs is None else tuple(v[0] for v in xs))
        ys = tuple(ops.expand_dims(y, 0) for y in ys)
    else:
        last, ys = ops.scan(step, init, xs, **options)
    if others != others_of(scope):
        raise GraphError(OWN_STATE)
    scope.calls[noted:] = [replace(call, output=v) for call, v in zip(inside, ys[1:], strict=True)]
    return last, ys[0]


@contextlib.contextmanager
def calls_forgotten(forgotten: bool = True) -> Iterator[None]:
    """While layers are called that are called again: their calls are not noted this time."""
    scope = current.get()
    noted = len(scope.calls) if scope else 0
    yield
    if scope and forgotten:
        del scope.calls[noted:]


def others_of(scope: Scope) -> tuple[int, dict[Value, Value]]:
    """What layers change beside their parameters: how many additions to the cost there are, and updates of state."""
    return len(scope.extras), dict(scope.updates)


def seen_from(inputs: Sequence[Any], calls: Iterable[Call]) -> list[Call]:
    """The calls whose outputs follow from these inputs: not those within the body of somebody's own loop."""
    calls = list(calls)
    own = [v for v in inputs if isinstance(v, Value)]
    hidden: set[Value] = set()
    for v in toposort([c.output for c in calls if isinstance(c.output, Value)], set(own)):
        leaf = v.primitive in (sample_input, shared_input) and v not in own
        if leaf or any(i in hidden for i in v.inputs):
            hidden.add(v)
    return [c for c in calls if c.output not in hidden] if hidden else calls
