"""Back-propagation: cotangents walked backwards through a graph, written as more graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import GraphError
from ..graph import Value, toposort
from .elementwise import FLOATS
from .loop import result_of
from .reduce import batch_sum, to_samples
from .rules import one_each


def pull_back(seeds: Mapping[Value, Value], targets: Sequence[Value]) -> list[Value | None]:
    """The derivatives in ``targets``, from those in some results (the seeds); None for what no seed depends on.

    Each operation's rule turns the derivative of its result into those of its inputs, and the contributions to a Value
    are added. What is no float number has no derivative.
    """
    order = toposort(seeds)
    needed = set(targets)  # Values through which the seeds depend on a target
    for v in order:
        if any(i in needed for i in v.inputs):
            needed.add(v)
    cotangents: dict[Value, Any] = dict(seeds)  # of a loop: one for each of its results, by what it is of
    for v in reversed(order):
        g = cotangents.get(v)
        if g is None or v not in needed or not any(i in needed for i in v.inputs):
            continue
        if v.primitive is result_of:
            parts, of = cotangents.setdefault(v.inputs[0], {}), v.attributes["of"]
            parts[of] = parts[of] + g if of in parts else g
            continue
        if v.primitive.vjp is None:
            continue
        contributions = one_each(v.primitive.vjp(g, v, *v.inputs, **v.attributes), v.inputs, v.primitive.name)
        for i, contribution in zip(v.inputs, contributions, strict=True):
            if contribution is None or i not in needed or i.dtype not in FLOATS:
                continue
            contribution = _fit(contribution, i, v)
            cotangents[i] = cotangents[i] + contribution if i in cotangents else contribution
    return [cotangents.get(t) for t in targets]


def _fit(contribution: Value, target: Value, user: Value) -> Value:
    """Sum over the samples where a shared value is used by samples; refuse a rule that gives another shape."""
    if contribution.kind == "sample" and target.kind == "shared":
        contribution = batch_sum(contribution)
    elif contribution.kind == "shared" and target.kind == "sample":
        contribution = to_samples(contribution)
    if contribution.type != target.type:
        raise GraphError(f"the derivative rule of {user.primitive.name} gives {contribution.type} for {target.type}")
    return contribution
