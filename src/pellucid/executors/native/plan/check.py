"""Whether a plan is valid: checks with names, each of one rule that the planner keeps. Tests run them on many programs.

That everything lies within its memory is checked for every program before it is compiled; see `bounds`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from ....errors import PellucidError
from ....graph import Value
from .bounds import check_memory
from .buffer import BYTES, Buffer
from .classify import is_inline
from .memory import Slot
from .planner import Group, Plan

if TYPE_CHECKING:
    from ..build.loops import Loop


class InvalidPlan(PellucidError, RuntimeError):
    """A plan that breaks one of the rules; the message begins with the name of the check."""


class Facts(NamedTuple):
    """A plan and where it lies in memory. ``uses``: for each phase the nests in order, with the buffers of each and
    whether threads share it by blocks of samples; ``kept``: buffers that are needed after the last nest."""

    plan: Plan
    buffers: Mapping[Value, Buffer]
    loops: Iterable[Loop]
    slots: Sequence[Slot]
    uses: Sequence[Sequence[tuple[Collection[Buffer], bool]]]
    kept: Collection[Buffer]


def check_plan(facts: Facts) -> None:
    """Raise `InvalidPlan`, or `OutOfBounds` of `bounds`, where one of ``CHECKS`` fails."""
    for name, check in CHECKS.items():
        if problem := next(check(facts), None):
            raise InvalidPlan(f"{name}: {problem}")


def computed_once(facts: Facts) -> Iterator[str]:
    """One group computes each Value, and stores what others read."""
    plan = facts.plan
    for a, b in combinations(plan.groups, 2):
        if both := a.values & b.values:
            yield f"{next(iter(both))!r} is computed in two groups"
    for g in plan.groups:
        if len(set(g.stores)) < len(g.stores) or not g.values.issuperset(g.stores):
            yield f"a group stores {g.stores!r}, which it computes {len(g.values & set(g.stores))} of"
    for v, g in plan.stored.items():
        if v not in g.stores or not any(g is other for other in plan.groups):
            yield f"{v!r} is stored by no group"
    for v in [*plan.program.outputs.values(), *plan.program.updates.values()]:
        if v not in plan.stored:
            yield f"{v!r} is asked for and not stored"


def phases_ordered(facts: Facts) -> Iterator[str]:
    """Nothing is read before it is written: threads meet between, or both groups keep to their own samples."""
    plan = facts.plan
    position = {id(g): k for k, g in enumerate(plan.groups)}
    readers: dict[Value, list[Group]] = {}
    for g in plan.groups:
        for v in reads(plan, g):
            readers.setdefault(v, []).append(g)
            writer = plan.stored.get(v)
            if writer is None or writer is g:
                continue
            own = writer.kind == g.kind == "sample" and writer.phase == g.phase
            if not (writer.phase < g.phase or (own and position[id(writer)] < position[id(g)])):
                yield f"{v!r} is read in phase {g.phase} and written in phase {writer.phase}"
    for new, state in plan.in_place.items():
        writer = plan.stored[new]
        for g in readers.get(state, []):
            if g is not writer and g.phase >= writer.phase:
                yield f"{state!r} is read in phase {g.phase} and updated in place in phase {writer.phase}"


def reads(plan: Plan, group: Group) -> Iterator[Value]:
    """Stored Values and leaves that a group reads, seen through what is computed where it is used."""
    inline: dict[Value, bool] = {}
    for v in plan.program.order:
        is_inline(v, inline)
    stack, seen = [i for v in group.values for i in v.inputs], set(group.values)
    while stack:
        v = stack.pop()
        if v in seen:
            continue
        seen.add(v)
        if not v.inputs or (v in plan.stored and not inline.get(v, False)):
            yield v
        else:
            stack.extend(v.inputs)


def slots_disjoint(facts: Facts) -> Iterator[str]:
    """Two buffers of a slot are never needed at once; without a barrier between them, threads keep to their blocks."""
    times: dict[Buffer, list[tuple[int, int, bool]]] = {}
    for phase, nests in enumerate(facts.uses):
        for k, (used, by_blocks) in enumerate(nests):
            for b in used:
                times.setdefault(b, []).append((phase, k, by_blocks))
    for slot in facts.slots:
        if slot.kind == "sample" and len({b.stride * BYTES[b.dtype] for b in slot.buffers}) > 1:
            yield f"{[b.name for b in slot.buffers]} share a slot with several strides"
        for a, b in combinations([b for b in slot.buffers if b in times], 2):
            first, second = (a, b) if min(times[a]) <= min(times[b]) else (b, a)
            end, start = max(times[first]), min(times[second])
            blocks = all(by for x in (first, second) for phase, _, by in times[x] if phase == end[0])
            if first in facts.kept or not (
                end[0] < start[0] or (end[:2] < start[:2] and slot.kind == "sample" and blocks)
            ):
                yield f"{second.name} is written where {first.name} is still needed"


def within_memory(facts: Facts) -> Iterator[str]:
    """What is read and written lies in its memory; raises `OutOfBounds`."""
    check_memory(facts.plan, facts.buffers, facts.loops)
    yield from ()


CHECKS: dict[str, Callable[[Facts], Iterator[str]]] = {
    "computed once": computed_once,
    "phases ordered": phases_ordered,
    "slots disjoint": slots_disjoint,
    "within memory": within_memory,
}
