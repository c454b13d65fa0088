"""The loop over time as a node of the graph: one body, run step after step, each on the state that the last one left.

`scan_of` is the loop; it has several results, each a Value of its own: ``result_of(loop, of=v)`` is what the Value v of
the body was at each step, side by side along a leading axis of time. What a step does, users write with `scan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import GraphError
from ..graph import Option, Type, Value, cached_property, primitive, toposort
from ..program import Program
from .movement import broadcast_to, constant_of, expand_dims, fill_with, iota_of
from .options import FLAG, LENGTH


@dataclass(frozen=True, eq=False)
class Body:
    """One step as a graph. Its leaves stand for the state before the step (``carries``), what this step is given
    (``steps``) and what all steps share (``consts``); ``new`` is the state after it."""

    carries: tuple[Value, ...]
    steps: tuple[Value, ...]
    consts: tuple[Value, ...]
    new: tuple[Value, ...]
    outputs: tuple[Value, ...] = ()  # others that are wanted

    @cached_property
    def order(self) -> list[Value]:
        """All its Values, inputs before their users."""
        return toposort([*self.leaves, *self.new, *self.outputs])

    def __str__(self) -> str:
        return f"{len(self.order) - len(self.leaves)} operations"

    @property
    def leaves(self) -> tuple[Value, ...]:
        return self.carries + self.steps + self.consts

    def stacked(self, v: Value, length: int) -> Type:
        """The type of ``result_of``: a carry is told before each step and after the last one."""
        return Type((length + (v in self.carries), *v.shape), v.dtype, v.kind)

    def split(self, inputs: tuple) -> tuple[tuple, tuple, tuple]:
        """A loop's inputs: first values of the state, sequences, constants."""
        k, n = len(self.carries), len(self.carries) + len(self.steps)
        return inputs[:k], inputs[k:n], inputs[n:]


def _scan_rule(*types: Type, body: Body, length, reverse, remat):
    if len(types) != len(body.leaves) or not body.carries or len(body.new) != len(body.carries):
        raise GraphError(f"scan: the body takes {len(body.leaves)} values and leaves {len(body.new)} of "
                         f"{len(body.carries)} states, got {len(types)}")  # fmt: skip
    for c, v in zip(body.carries, body.new, strict=True):
        if v.type != c.type or c.kind != body.carries[0].kind:
            raise GraphError(f"scan: a step turns the state {c.type} into {v.type}")
    for v in body.order:
        if not v.inputs and v not in body.leaves and v.primitive not in (fill_with, constant_of, iota_of):
            raise GraphError(f"scan: {v!r} in the body is not given to it")
    inits, sequences, consts = body.split(types)
    pairs = [*zip(inits, body.carries, strict=True), *zip(consts, body.consts, strict=True)]
    pairs += [(Type(t.shape[1:], t.dtype, t.kind), x) for t, x in zip(sequences, body.steps, strict=True)]
    for t, leaf in pairs:
        if (t.shape, t.dtype) != (leaf.shape, leaf.dtype) or (t.kind == "sample" and leaf.kind == "shared"):
            raise GraphError(f"scan: the body takes {leaf.type}, got {t}")
    if any(t.shape[:1] != (length,) for t in sequences):
        raise GraphError(f"scan: a sequence is not {length} steps long")
    return (), body.carries[0].dtype


def _scan(xp, *arrays, body: Body, length, reverse, remat):
    """Every Value of the body at every step: a dict of arrays in a 0-dimensional array of objects."""
    inits, sequences, consts = body.split(arrays)
    batch = next((len(a) for a, v in zip(arrays, body.leaves, strict=True)
                  if a.ndim > v.ndim + (v in body.steps)), None)  # fmt: skip

    def lead(v: Value) -> tuple:
        return (batch,) if v.kind == "sample" and batch is not None else ()

    found = {v: np.empty((*lead(v), *body.stacked(v, length).shape), v.dtype)
             for v in body.order if v in body.carries or v not in body.leaves}  # fmt: skip

    def at(v: Value, array, t: int):
        return array[(..., t, *(slice(None),) * v.ndim)]

    state = [np.broadcast_to(a, lead(c) + c.shape) for a, c in zip(inits, body.carries, strict=True)]
    for t in reversed(range(length)) if reverse else range(length):
        values = dict(zip(body.consts, consts, strict=True)) | dict(zip(body.carries, state, strict=True))
        values |= {x: at(x, a, t) for x, a in zip(body.steps, sequences, strict=True)}
        for v in body.order:
            if v not in values:
                values[v] = np.asarray(v.primitive.forward(xp, *(values[i] for i in v.inputs), **v.attributes))
            if v in found:
                at(v, found[v], t + (reverse and v in body.carries))[...] = values[v]
        state = [values[v] for v in body.new]
    for c, a in zip(body.carries, state, strict=True):
        at(c, found[c], 0 if reverse else length)[...] = a
    result = np.empty((), object)
    result[()] = found
    return result


BODY = Option("the body of a loop", lambda given: type(given) is Body)
scan_of = primitive("scan", rule=_scan_rule, forward=_scan,  # its derivative: scan.py
                    options={"body": BODY, "length": LENGTH, "reverse": FLAG, "remat": FLAG})  # fmt: skip


def _check_result(inputs: tuple[Value, ...], attributes: Mapping[str, Any]) -> None:
    """A result has as many steps as the loop that it is of."""
    (loop,) = inputs
    body = getattr(loop.attributes.get("body"), "order", ())
    of, length, carry = (attributes[name] for name in ("of", "length", "carry"))
    if loop.primitive is not scan_of or of not in body:
        raise GraphError(f"result: {of!r} is no value of the body of {loop!r}")
    if length != loop.attributes["length"] or carry != (of in loop.attributes["body"].carries):
        raise GraphError(f"result: {loop!r} has {loop.attributes['length']} steps, not {length}")


result_of = primitive(
    "result",
    rule=lambda loop, *, of, length, carry: ((length + carry, *of.shape), of.dtype),
    forward=lambda xp, loop, *, of, length, carry: loop[()][of],
    options={"of": Option("a Value", lambda given: isinstance(given, Value)), "length": LENGTH, "carry": FLAG},
    check=_check_result,
)


def result(loop: Value, of: Value) -> Value:
    """What the Value ``of`` of a loop's body was at each step: (T, ...); of the state before each step and after the
    last one: (T+1, ...)."""
    a = loop.attributes
    return result_of(loop, of=of, length=a["length"], carry=of in a["body"].carries)


def before(states: Value, reverse: bool) -> Value:
    """Of the state before each step and after the last one, that before each."""
    return states[1:] if reverse else states[:-1]


def after(states: Value, reverse: bool) -> Value:
    """And that after each."""
    return states[:-1] if reverse else states[1:]


def wanted_of_loops(program: Program) -> dict[Value, list[Value]]:
    """The program's loops, and which Values of their bodies have results in it."""
    found: dict[Value, dict[Value, None]] = {v: {} for v in program.order if v.primitive is scan_of}
    for v in program.order:
        if v.primitive is result_of:
            found[v.inputs[0]][v.attributes["of"]] = None
    return {loop: list(of) for loop, of in found.items()}


def rebuilt(
    loop: Value, inputs: tuple[Value, ...], wanted: Iterable[Value], change: Callable[[Program], Program]
) -> tuple[Value, dict[Value, Value]]:
    """The loop with its body changed as a program is; and its results, by what they are of in the old body.

    ``wanted``: Values of the body whose results are needed. What no step needs any more is left out.
    """
    a = loop.attributes
    body, n, reverse = a["body"], a["length"], a["reverse"]
    wanted = list(wanted)
    ends = {f"new{k}": v for k, v in enumerate(body.new)} | {f"of{k}": v for k, v in enumerate(wanted)}
    program = change(Program({str(k): v for k, v in enumerate(body.leaves)}, ends))
    leaves = tuple(program.inputs.values())
    outputs = [program.outputs[f"of{k}"] for k in range(len(wanted))]
    new = tuple(program.outputs[f"new{k}"] for k in range(len(body.new)))
    used = set(toposort([*new, *outputs]))
    carries, steps, consts = body.split(leaves)
    given = dict(zip(leaves, inputs, strict=True))
    steps, consts = (tuple(x for x in part if x in used) for part in (steps, consts))
    inner = tuple(v for v in dict.fromkeys(outputs) if v not in leaves)
    small = Body(carries, steps, consts, new, inner)
    result_loop = scan_of(*(given[x] for x in small.leaves), **(dict(a) | {"body": small}))
    found: dict[Value, Value] = {}
    for v, w in zip(wanted, outputs, strict=True):
        if outputs.index(w) < len(found) and w not in carries:
            found[v] = found[wanted[outputs.index(w)]]
        elif w in carries:
            states = result(result_loop, w)
            found[v] = states if v in body.carries else before(states, reverse)
        elif w in leaves:
            x = given[w]
            found[v] = x if w in steps else broadcast_to(expand_dims(x, 0), (n, *x.shape))
        else:
            found[v] = result(result_loop, w)
    return result_loop, found
