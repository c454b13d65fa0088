"""Differentiation: `grad` walks the graph backwards and writes the derivative as more graph. Imports graph and ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from .graph import GraphError, Value, one_each, toposort
from .ops.elementwise import FLOATS
from .ops.movement import fill, zeros_like
from .ops.reduce import batch_sum, to_samples


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

    order = toposort([cost])
    needed = set(targets)  # Values through which the cost depends on a target
    for v in order:
        if any(i in needed for i in v.inputs):
            needed.add(v)
    cotangents: dict[Value, Value] = {cost: fill(1, (), cost.dtype)}
    for v in reversed(order):
        g = cotangents.get(v)
        if g is None or v not in needed or not any(i in needed for i in v.inputs) or v.primitive.vjp is None:
            continue
        contributions = one_each(v.primitive.vjp(g, v, *v.inputs, **v.attributes), v.inputs, v.primitive.name)
        for i, contribution in zip(v.inputs, contributions, strict=True):
            if contribution is None or i not in needed:
                continue
            contribution = _fit(contribution, i, v)
            cotangents[i] = cotangents[i] + contribution if i in cotangents else contribution
    results = [cotangents.get(t, zeros_like(t)) for t in targets]
    results = [to_samples(r) if r.kind != t.kind else r for r, t in zip(results, targets, strict=True)]
    return results[0] if isinstance(wrt, Value) else results


def _fit(contribution: Value, target: Value, user: Value) -> Value:
    """Sum over the samples where a shared value is used by samples; refuse a rule that gives another shape."""
    if contribution.kind == "sample" and target.kind == "shared":
        contribution = batch_sum(contribution)
    elif contribution.kind == "shared" and target.kind == "sample":
        contribution = to_samples(contribution)
    if contribution.type != target.type:
        raise GraphError(f"the derivative rule of {user.primitive.name} gives {contribution.type} for {target.type}")
    return contribution
