"""Differentiation: `grad` walks the graph backwards and writes the derivative as more graph. Imports graph and ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from .errors import GraphError
from .graph import Value
from .ops.backward import pull_back
from .ops.elementwise import FLOATS
from .ops.movement import fill, zeros_like
from .ops.reduce import to_samples


@overload
def grad(cost: Value, wrt: Value) -> Value: ...
@overload
def grad(cost: Value, wrt: Sequence[Value]) -> list[Value]: ...
def grad(cost: Value, wrt: Value | Sequence[Value]) -> Value | list[Value]:
    """The derivative of a shared scalar with respect to Values, as Values of the same shapes and kinds.

    Back-propagation: from the cost backwards, each operation's rule turns the derivative of its result into those of
    its inputs, and the contributions to a Value are added. A shared value that samples use gets the sum over them.
    With respect to a sample value (an activation, a net input) it is the lectures' delta, one per sample.

    ``wrt`` is one Value or a sequence; the result is one Value or a list. A Value that the cost does not depend on gets
    zeros, and an operation without a derivative (`floor`, a comparison, `stop_gradient`) passes none on. Raises
    `GraphError` where the cost is not a shared float scalar, or where a rule does not give one derivative an input.

    >>> from pellucid import batch_sum, input, state, Program
    >>> from pellucid.executors import reference
    >>> w, x = state("w"), input("x")
    >>> run = reference.compile(Program([x], {"dw": grad(batch_sum(w * w * x), w)}))
    >>> float(run({"w": 3.0}, {"x": [1.0, 10.0]})["dw"])     # sum over samples of 2 w x
    66.0
    """
    targets = [wrt] if isinstance(wrt, Value) else list(wrt)
    if cost.shape != () or cost.kind != "shared":
        hint = " Sum it over the samples: batch_mean(loss)." if cost.kind == "sample" else " Sum it first."
        raise GraphError(f"grad: the cost must be one shared number, got {cost.type}.{hint}")
    for t in (cost, *targets):
        if t.dtype not in FLOATS:
            raise GraphError(f"grad: {t!r} is not of a float dtype, so it has no derivative")

    found = pull_back({cost: fill(1, (), cost.dtype)}, targets)
    results = [zeros_like(t) if g is None else g for g, t in zip(found, targets, strict=True)]
    results = [to_samples(r) if r.kind != t.kind else r for r, t in zip(results, targets, strict=True)]
    return results[0] if isinstance(wrt, Value) else results
