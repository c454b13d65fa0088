"""Loops over time: the plan of a step's nests, and at which time each value that they read or write lies.

The body of a loop is planned like a program. Its leaves are the state, in memory for one time more than there are
steps (what a step writes the next one reads), and Values from outside, of which a step reads its own part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ....graph import Value
from ....ops.loop import result_of
from ....program import Program
from ..codegen.nest import Nest
from ..llvm.affine import Index
from ..plan.buffer import Buffer
from ..plan.layout_ops import copy
from ..plan.planner import Group, Plan, Planner
from ..plan.steps import Steps


class Loop:
    """The plan of a loop: ``starts``, which write the initial state, and the ``groups`` of a step."""

    def __init__(self, group: Group, outside: Plan, buffers: dict[Value, Buffer], make: Callable[..., Buffer]) -> None:
        loop = group.core
        assert loop is not None
        a = loop.attributes
        body, n, reverse = a["body"], a["length"], a["reverse"]
        self.kind, self.steps = loop.kind, Steps(n, reverse, loop.kind == "shared")
        results = {r.attributes["of"]: buffers[r] for r in group.stores if r.primitive is result_of}
        roots = distinct({f"new{k}": v for k, v in enumerate(body.new)} | {f"of{k}": v for k, v in enumerate(results)
                         if v not in body.carries})  # fmt: skip
        self.planner = Planner(Program({str(k): v for k, v in enumerate(body.leaves)}, roots), self.kind == "sample")
        plan = self.planner.plan()
        self.groups = [g for g in plan.groups if g.size]
        self.plan = replace(plan, padding=outside.padding | plan.padding, padded=outside.padded | plan.padded)
        inits, sequences, consts = body.split(loop.inputs)
        self.given = {x: (v, True) for x, v in zip(body.steps, sequences, strict=True)}
        self.given |= {x: (v, False) for x, v in zip(body.consts, consts, strict=True)}
        self.offsets: dict[Value, int] = {}  # of Values over time: the time that a step uses, minus its number
        self.starts: list[tuple[Group, int]] = []
        outputs = plan.program.outputs
        for k, (c, init) in enumerate(zip(body.carries, inits, strict=True)):
            state = results.get(c) or make(f"state{k}", c.kind, (n + 1) * c.size, c.dtype)
            first = copy(init)
            self.starts.append((Group(c.kind, c.shape, {first}, [first]), n if reverse else 0))
            for v, offset in ((c, int(reverse)), (outputs[f"new{k}"], 1 - reverse)):
                self.offsets[v] = offset
                buffers[v] = state
            buffers[first] = state
        for k, v in enumerate(results):
            if v not in body.carries:
                self.offsets[outputs[f"of{k}"]] = 0
                buffers[outputs[f"of{k}"]] = results[v]

    def enter(self, nest: Nest, inline: dict[Value, bool]) -> None:
        """Make a nest part of a step."""
        nest.plan, nest.inline, nest.given = self.plan, inline | self.planner.inline, self.given
        nest.times = {v: nest.step + offset for v, offset in self.offsets.items()}

    def outside(self, values) -> list[Value]:
        """These Values, with those outside in place of the loop's leaves that stand for them."""
        return [self.given[v][0] if v in self.given else v for v in values]


def write_at(nest: Nest, *, time: int, group: Group) -> None:
    """Make a nest write at one time."""
    nest.times = {v: Index(time) for v in group.stores}


def distinct(roots: dict[str, Value]) -> dict[str, Value]:
    """The roots, with copies in place of Values that already have another name."""
    seen: set[Value] = set()
    found = {}
    for name, v in roots.items():
        found[name] = copy(v) if v in seen else v
        seen.add(v)
    return found
