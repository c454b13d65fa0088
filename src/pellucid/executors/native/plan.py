"""The plan: which Values are computed together in one loop nest, which get memory, and in which phase each nest runs.

Imports graph, ops and the index arithmetic; writes no machine code.

- A *group* becomes one nest: Values of one kind and shape, computed element by element, stored if others need them.
- A *phase* is what threads do between two barriers: its sample groups by blocks of samples, its shared groups by rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from ...graph import Primitive, Program, Value, sample_input, shared_input, state_leaf
from ...ops.contract import contract_of, parse
from ...ops.conv import over_windows, windows_of
from ...ops.elementwise import add, cast_to, divide, multiply, negative, subtract
from ...ops.gather import scatter_of
from ...ops.movement import (
    broadcast,
    constant_of,
    fill_with,
    flip_axes,
    iota_of,
    pad_with,
    reshape_to,
    slice_of,
    transpose_of,
)
from ...ops.reduce import batch_count, batch_sum, sample_index, to_samples
from ...ops.winograd import winograd_kernel, winograd_product, winograd_slopes, winograd_weight
from .again import computed_again
from .margins import Margin, margins

LEAVES = (sample_input, shared_input, state_leaf, constant_of)
FREE = (fill_with, iota_of, batch_count, sample_index)  # computed where they are used
VIEWS = (reshape_to, transpose_of, broadcast, slice_of, flip_axes, windows_of, to_samples)  # only another index
CORES = (contract_of, winograd_kernel, winograd_product, winograd_weight)  # with nests of their own
CHEAP = (add, subtract, multiply, divide, negative, cast_to)
TRANSPOSED = ("float32", "float64", "int32")  # of sample outputs; others are turned by NumPy
ROW = 1 << 19  # bytes of a table's row from which on its sums are computed one by one
SMALL = 1024  # elements of state that may be updated through a copy, at the end of a step


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
    margins: dict[Value, Margin]  # stored values that have a number around them, for those who read them padded
    padded: frozenset[Value]  # and these

    @property
    def phases(self) -> list[list[Group]]:
        last = max((g.phase for g in self.groups), default=-1)
        return [[g for g in self.groups if g.phase == p] for p in range(last + 1)]


def is_inline(v: Value, memo: dict[Value, bool]) -> bool:
    """Leaves, constants, views of them, and shared numbers so cheap that they are computed wherever they are used."""
    if v not in memo:
        if v.primitive in LEAVES or v.primitive in FREE:
            memo[v] = True
        elif v.primitive in VIEWS or (v.primitive in CHEAP and v.kind == "shared" and v.size <= 1):
            memo[v] = all(is_inline(i, memo) for i in v.inputs)
        else:
            memo[v] = False
    return memo[v]


def outer_product(v: Value) -> bool:
    """Whether v is batch_sum of a product whose last axis belongs to one operand alone: a weight's gradient."""
    c = v.inputs[0] if v.primitive is batch_sum else v
    if c is v or c.primitive is not contract_of or not v.shape:
        return c is not v and c.primitive is winograd_slopes
    return all(behind_views(i).kind == "sample" for i in c.inputs) and rows_operand(c) is not None


def behind_views(v: Value) -> Value:
    while v.primitive in VIEWS:
        (v,) = v.inputs
    return v


def rows_operand(c: Value) -> int | None:
    """Which operand of a contraction alone has the result's last letter, and has it last."""
    a, b, out = parse(c.attributes["spec"])
    for k, (own, other) in enumerate(((a, b), (b, a))):
        if own and own[-1] == out[-1] and out[-1] not in other:
            return k
    return None


def scatter_behind(v: Value) -> Value | None:
    """The scatter that gives a shared table: v itself, or what v is the sum over samples of."""
    s = v.inputs[0] if v.primitive is batch_sum else v
    if s.primitive is not scatter_of or v.kind != "shared" or not s.size or 8 * s.size // s.shape[0] > ROW:
        return None
    return None if behind_views(s.inputs[0]).primitive is sample_index else s


copy = Primitive("copy", rule=lambda x: (x.shape, x.dtype), forward=lambda xp, x: x, elementwise=True)


def with_copied_roots(program: Program) -> Program:
    """The program with a copy where an output or new state is a leaf, a number or a view, so that a nest stores it."""
    memo: dict[Value, bool] = {}
    for v in program.order:
        is_inline(v, memo)

    def root(v: Value) -> Value:
        return copy(v) if v.primitive in VIEWS or is_inline(v, memo) else v

    return Program(program.inputs, {k: root(v) for k, v in program.outputs.items()},
                   {t: root(v) for t, v in program.updates.items()})  # fmt: skip


class Planner:
    """Assigns Values to groups, from the outputs backwards."""

    def __init__(self, program: Program) -> None:
        self.program = program = with_copied_roots(program)
        self.position = {v: n for n, v in enumerate(program.order)}
        self.inline: dict[Value, bool] = {}
        for v in program.order:  # inputs first, so that nothing recurses far
            is_inline(v, self.inline)
        self.roots = dict.fromkeys([*program.outputs.values(), *program.updates.values()])
        self.uses: dict[Value, list[tuple[Value, bool]]] = {v: [] for v in program.order}
        self.group_of: dict[Value, Group] = {}
        self.stored: dict[Value, Group] = {}
        self.rows: dict[Value, None] = {}  # in a fixed order: memory is laid out by it
        self.padded = self.again = frozenset[Value]()
        self.margins, self.padded = margins(program, lambda v: v not in self.roots, self._computed)
        self.again = computed_again(program, self.roots, self._computed)
        self.read: dict[Group, dict[Value, None]] = {}

    def plan(self) -> Plan:
        computed = [v for v in self.program.order if not self._is_view(v) and (not self._inline(v) or v in self.roots)]
        for v in computed:
            self._note_uses(v)
        for v in reversed(computed):
            self._assign(v)
        given = [v for v in self.program.outputs.values() if v.kind == "sample" and v.dtype in TRANSPOSED]
        self.rows |= dict.fromkeys(given)  # what is given out lies one sample after the other
        groups = self._ordered()
        in_place, copied = self._place_updates(groups)
        if not self._set_phases(groups, in_place):  # two updates that read each other's state
            copied |= {s: new for new, s in in_place.items()}
            in_place = {}
            self._set_phases(groups, in_place)
        groups.sort(key=lambda g: g.phase)
        return Plan(self.program, groups, self.stored, in_place, copied, self.rows, self.margins, self.padded)

    def _inline(self, v: Value) -> bool:
        return is_inline(v, self.inline)

    def _is_view(self, v: Value) -> bool:
        return (v.primitive in VIEWS and not self._inline(v)) or v in self.padded or v in self.again

    def _computed(self, v: Value) -> bool:
        return not self._inline(v) and not self._is_view(v)

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
                self._note(j, user, pointwise and i in self.again and j.kind == i.kind)
        elif not self._inline(i) and (user, pointwise) not in self.uses[i]:
            self.uses[i].append((user, pointwise))

    # ---- groups -----------------------------------------------------------------------------------------------

    def _assign(self, v: Value) -> None:
        uses = self.uses[v]
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
                self.rows[v.inputs[which]] = None
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
        if scatter is not None and behind_views(scatter.inputs[0]).kind == "sample":
            self.rows[scatter.inputs[0]] = None
        if v in self.roots or any(self.group_of[u] is not target or not p for u, p in uses):
            target.stores.append(v)
            self.stored[v] = target

    def _join(self, v: Value, group: Group) -> None:
        group.values.add(v)
        self.group_of[v] = group

    def _outer(self, v: Value) -> bool:
        """Whether v is a weight's gradient that can be computed without its product per sample."""
        return outer_product(v) and len(self.uses[v.inputs[0]]) == 1 and v.inputs[0] not in self.roots

    def _scatter(self, v: Value) -> Value | None:
        """The scatter behind v, if nothing else needs its table per sample."""
        s = scatter_behind(v)
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
            if alone and new in self.stored and s.size > SMALL and self._pointwise_reader(s, self.stored[new]):
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
