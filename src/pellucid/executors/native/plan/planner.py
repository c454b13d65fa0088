"""The plan: which Values are computed together in one loop nest, which get memory, and in which phase each nest runs.

Imports graph, ops and the index arithmetic; writes no machine code.

- A *group* becomes one nest: Values of one kind and shape, computed element by element, stored if others need them.
- A *phase* is what threads do between two barriers: its sample groups by blocks of samples, its shared groups by rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from ....graph import Value
from ....ops.conv import over_windows
from ....ops.loop import result_of, scan_of
from ....ops.movement import pad_with
from ....ops.reduce import batch_sum
from ....ops.winograd import winograd_slopes
from ....program import Program
from .classify import (
    CORES,
    LEAVES,
    TRANSPOSED,
    VIEWS,
    is_inline,
    is_outer_product,
    rows_operand,
    summed_scatter,
    through_views,
)
from .concat import ConcatPart, concat_parts
from .layout_ops import copy, with_copied_roots
from .padding import Padding, absorbed_padding
from .rematerialize import rematerialized

MAX_COPIED = 1024  # elements of state that is updated through a copy, at the end of a step


@dataclass(eq=False)
class Group:
    """Values computed together; ``stores`` are those that get memory, ``core`` the contraction or scatter, if any."""

    kind: str
    shape: tuple[int, ...]
    values: set[Value] = field(default_factory=set)
    stores: list[Value] = field(default_factory=list)
    core: Value | None = None
    outer: bool = False  # the core is batch_sum of a product: features in lanes
    scatter: bool = False  # the core is a table to whose rows values are added
    loop: bool = False  # the core is a loop, which has a plan of its own
    phase: int = 0

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass
class Plan:
    """Groups in order, phase by phase; where updates go; which samples are also kept as rows."""

    program: Program
    groups: list[Group]
    stored: dict[Value, Group]
    in_place: dict[Value, Value]  # new value -> the state whose memory it takes
    copied: dict[Value, Value]  # state -> new value that is copied to it at the end of a step
    rows: dict[Value, None]  # sample values that a weights phase reads with features in lanes
    padding: dict[Value, Padding]  # stored values that have a number around them, for those who read them padded
    padded: frozenset[Value]  # and these
    concat_parts: dict[Value, ConcatPart]  # stored values that are part of a larger one's memory

    @property
    def phases(self) -> list[list[Group]]:
        last = max((g.phase for g in self.groups), default=-1)
        return [[g for g in self.groups if g.phase == p] for p in range(last + 1)]


class Planner:
    """Assigns Values to groups, from the outputs backwards."""

    def __init__(self, program: Program, inside: bool = False) -> None:
        """``inside``: the program is the body of a loop over samples; it gives out nothing, and stores only samples."""
        self.program = program = with_copied_roots(program)
        self.position = {v: n for n, v in enumerate(program.order)}
        self.inline: dict[Value, bool] = {v: True for v in program.order if inside and v.kind == "shared"}
        self.inside = inside
        for v in program.order:  # inputs first, so that nothing recurses far
            is_inline(v, self.inline)
        self.roots = dict.fromkeys([*program.outputs.values(), *program.updates.values()])
        self.uses: dict[Value, list[tuple[Value, bool]]] = {v: [] for v in program.order}
        self.group_of: dict[Value, Group] = {}
        self.stored: dict[Value, Group] = {}
        self.rows: dict[Value, None] = {}  # in a fixed order: memory is laid out by it
        self.strips: dict[Value, None] = {}  # of them, those that only weights' gradients read
        self.padded = self.rematerialized = self.wholes = frozenset[Value]()
        inner = lambda v: v not in self.roots and v.primitive is not result_of  # which a loop writes, without padding
        self.padding, self.padded = absorbed_padding(program, inner, self._computed)
        self.rematerialized = rematerialized(program, self.roots, self._computed)
        self.concat_parts = concat_parts(program, self.roots, self._lies_alone) if inside else {}
        self.wholes = frozenset(part.whole for part in self.concat_parts.values())
        self.read: dict[Group, dict[Value, None]] = {}

    def plan(self) -> Plan:
        computed = [v for v in self.program.order if not self._is_view(v) and (not self._inline(v) or v in self.roots)]
        for v in computed:
            self._note_uses(v)
        for v in reversed(computed):
            self._assign(v)
        if not self.inside:
            given = [v for v in self.program.outputs.values() if v.kind == "sample" and v.dtype in TRANSPOSED]
            self.rows |= dict.fromkeys(given)  # what is given out lies one sample after the other
        groups = self._ordered()
        in_place, copied = self._place_updates(groups)
        if not self._set_phases(groups, in_place):  # two updates that read each other's state
            copied |= {s: new for new, s in in_place.items()}
            in_place = {}
            self._set_phases(groups, in_place)
        groups.sort(key=lambda g: g.phase)
        return Plan(self.program, groups, self.stored, in_place, copied, self.rows, self.padding, self.padded,
                    self.concat_parts)  # fmt: skip

    def _inline(self, v: Value) -> bool:
        return is_inline(v, self.inline)

    def _is_view(self, v: Value) -> bool:
        return (
            (v.primitive in VIEWS and not self._inline(v))
            or v in self.padded
            or v in self.rematerialized
            or v in self.wholes
        )

    def _computed(self, v: Value) -> bool:
        return not self._inline(v) and not self._is_view(v)

    def _lies_alone(self, v: Value) -> bool:
        return self._computed(v) and v not in self.padding and v.primitive is not result_of

    # ---- who uses what ----------------------------------------------------------------------------------------

    def _note_uses(self, v: Value) -> None:
        for i in v.inputs:
            pointwise = v.primitive.elementwise and i.kind == v.kind
            if v.primitive is batch_sum:
                pointwise = True
            self._note(i, v, pointwise)

    def _note(self, i: Value, user: Value, pointwise: bool) -> None:
        """The computed Value that ``user`` needs through ``i``, seen through views; an inlined number needs none."""
        if self._is_view(i):
            for j in i.inputs:
                self._note(j, user, pointwise and i in self.rematerialized and j.kind == i.kind)
        elif not self._inline(i) and (user, pointwise) not in self.uses[i]:
            self.uses[i].append((user, pointwise))

    # ---- groups -----------------------------------------------------------------------------------------------

    def _assign(self, v: Value) -> None:
        uses = self.uses[v]
        if v.primitive in (scan_of, result_of):
            self._assign_loop(v)
            return
        if len(uses) == 1 and v not in self.roots:
            user, pointwise = uses[0]
            padding = v.primitive is pad_with and user.primitive is copy  # computed in the order that this copies it
            if padding or self._scatter(user) is v:  # the table per sample is never made
                self._join(v, self.group_of[user])
                return
            if self._outer(user):  # the product per sample is never made
                self._join(v, self.group_of[user])
                if over_windows(v) or v.primitive is winograd_slopes:
                    return
                which = rows_operand(v)
                assert which is not None
                number = v.inputs[1 - which]
                self.rows[v.inputs[which]] = self.strips[v.inputs[which]] = None
                if self._is_view(number) or (self._inline(number) and number.primitive not in LEAVES):
                    self.rows[number] = None
                return
            if pointwise and v.primitive.elementwise and self.group_of[user].kind != v.kind:  # summed as it is computed
                self._join(v, self.group_of[user])
                return
        users = [self.group_of[u] for u, pointwise in uses if pointwise]
        groups = [g for g in dict.fromkeys(users) if g.kind == v.kind]
        scatter = self._scatter(v)
        heavy = v.primitive in CORES or self._outer(v) or scatter is not None
        target = self._merged(v, groups, heavy) if groups else None
        if target is None:
            target = Group(v.kind, v.shape)
        self._join(v, target)
        if heavy:
            target.core, target.outer, target.scatter = v, self._outer(v), scatter is not None
        if scatter is not None and through_views(scatter.inputs[0]).kind == "sample":
            self.rows[scatter.inputs[0]] = None
            self.strips.pop(scatter.inputs[0], None)
        if v in self.roots or v in self.concat_parts or any(self.group_of[u] is not target or not p for u, p in uses):
            target.stores.append(v)
            self.stored[v] = target

    def _assign_loop(self, v: Value) -> None:
        """A loop and its results are a group."""
        loop = v.inputs[0] if v.primitive is result_of else v
        group = self.group_of.get(loop)
        if group is None:
            group = Group(loop.kind, (), core=loop, loop=True)
            self._join(loop, group)
        if v is not loop:
            self._join(v, group)
            group.stores.append(v)
            self.stored[v] = group

    def _join(self, v: Value, group: Group) -> None:
        group.values.add(v)
        self.group_of[v] = group

    def _outer(self, v: Value) -> bool:
        """Whether v is a weight's gradient that can be computed without its product per sample."""
        return is_outer_product(v) and len(self.uses[v.inputs[0]]) == 1 and v.inputs[0] not in self.roots

    def _scatter(self, v: Value) -> Value | None:
        """The scatter that v sums, if nothing else needs its table per sample."""
        s = summed_scatter(v)
        return s if s is v or (s is not None and len(self.uses[s]) == 1 and s not in self.roots) else None

    def _merged(self, v: Value, groups: list[Group], heavy: bool) -> Group | None:
        """One group of those that use v element by element and v itself, if no value would need its own result."""
        if len([g for g in groups if g.core is not None]) + heavy > 1:
            groups = [g for g in groups if g.core is None][:1] if heavy else groups[:1]
            if not groups:
                return None
        if not self._fits(v, groups):
            groups = groups[:1]
            if not self._fits(v, groups):
                return None
        first = groups[0]
        for g in groups[1:]:
            first.values |= g.values
            first.stores += g.stores
            if g.core is not None:
                first.core, first.outer, first.scatter = g.core, g.outer, g.scatter
            for w in g.values:
                self.group_of[w] = first
            for w in g.stores:
                self.stored[w] = first
        return first

    def _fits(self, v: Value, groups: list[Group]) -> bool:
        """Whether v and these groups can be one: no member is needed whole by another, directly or by way of others.

        v is the earliest of all Values that have a group.
        """
        together = set().union(*(g.values for g in groups)) | {v}
        if any(not pointwise and u in together for w in together for u, pointwise in self.uses[w]):
            return False
        stack = [i for w in together for i in w.inputs if i not in together]
        seen: set[Value] = set()
        while stack:
            w = stack.pop()
            if w in seen or self.position[w] < self.position[v]:
                continue
            own = self.group_of.get(w)
            members = {w} if own is None else own.values  # a group needs all that any of its members needs
            seen |= members
            for i in (i for m in members for i in m.inputs if i not in members):
                if i in together:
                    return False
                stack.append(i)
        return True

    # ---- order and phases -------------------------------------------------------------------------------------

    def loads(self, group: Group) -> Iterable[Value]:
        """Stored Values and leaves that a group reads, through views and inlined numbers; in a fixed order, and known
        when all groups are made."""
        if group in self.read:
            return self.read[group]
        found: dict[Value, None] = {}
        stack = [i for v in sorted(group.values, key=self.position.__getitem__) for i in v.inputs]
        seen: set[Value] = set()
        while stack:
            v = stack.pop()
            if v in seen:
                continue
            seen.add(v)
            if v in group.values:
                continue
            if v.primitive in LEAVES or (v in self.stored and not self._inline(v)):
                found[v] = None
            else:
                stack.extend(v.inputs)
        self.read[group] = found
        return found

    def _ordered(self) -> list[Group]:
        groups = list(dict.fromkeys(self.group_of.values()))
        needs = {
            g: [self.stored[v] for v in self.loads(g) if v in self.stored and self.stored[v] is not g] for g in groups
        }
        order: dict[Group, None] = {}
        waiting = sorted(groups, key=lambda g: -min(self.position[v] for v in g.values))
        while waiting:
            g = waiting[-1]
            before = [d for d in needs[g] if d not in order] if g not in order else []
            if not before:
                order[waiting.pop()] = None
            waiting += before
        self.needs = needs
        return list(order)

    def _place_updates(self, groups: list[Group]) -> tuple[dict[Value, Value], dict[Value, Value]]:
        """In place where every other reader of the state has run before; else by a copy at the end of the step."""
        in_place, copied = {}, {}
        self.readers = {s: [g for g in groups if s in self.loads(g)] for s in self.program.updates}
        for s, new in self.program.updates.items():
            alone = list(self.program.updates.values()).count(new) == 1 and new not in self.program.outputs.values()
            if alone and new in self.stored and s.size > MAX_COPIED and self._pointwise_reader(s, self.stored[new]):
                in_place[new] = s
            else:
                copied[s] = new
        return in_place, copied

    def _pointwise_reader(self, s: Value, group: Group) -> bool:
        """Whether the group reads the state only at the element that it writes."""
        for v in group.values:
            for i in v.inputs:
                if i is s and not v.primitive.elementwise:
                    return False
                if i is not s and i not in group.values and i not in self.stored and s in _upstream(i, self.stored):
                    return False
        return True

    def _set_phases(self, groups: list[Group], in_place: dict[Value, Value]) -> bool:
        """Phases in which every group finds what it needs; False if there are none."""
        for g in groups:  # a mini-batch is gathered in the first phase
            g.phase = int(g.kind == "shared" and any(v.kind == "sample" for v in self.loads(g)))
        changed = True
        while changed:
            changed = False
            for g in groups:
                phase = max([0, *(d.phase + (not d.kind == g.kind == "sample") for d in self.needs[g])])
                for v in g.stores:
                    if v in in_place:
                        phase = max([phase, *(r.phase + 1 for r in self.readers[in_place[v]] if r is not g)])
                if phase > g.phase:
                    g.phase, changed = phase, True
                    if phase > len(groups):
                        return False
        return True


def _upstream(v: Value, stop: dict[Value, Group]) -> set[Value]:
    found, stack = set(), [v]
    while stack:
        w = stack.pop()
        if w not in found:
            found.add(w)
            if w not in stop:
                stack.extend(w.inputs)
    return found
