"""Writing the machine code of one nest: loops, loads, and the value of any graph Value at an index.

`Nest.value` pulls: asked for a Value at an index it loads it, if it is stored, or computes it from its inputs at the
indices they need. Lanes are samples in a nest of sample values, and neighbouring features in a nest of shared values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llvmlite import ir

from ...graph import GraphError, Value
from ...ops.contract import contract_of, parse
from ...ops.gather import scatter_of, take_rows
from ...ops.movement import (
    broadcast,
    concatenate_of,
    fill_with,
    flip_axes,
    iota_of,
    pad_with,
    reshape_to,
    slice_of,
    transpose_of,
)
from ...ops.reduce import (
    all_samples_of,
    argmax_axis,
    batch_count,
    batch_sum,
    each_sample,
    reduce_max,
    reduce_min,
    reduce_sum,
    sample_index,
    to_samples,
)
from . import lanes as L
from .index import I64, Index, NotVectorisable, Variable, linear, reshaped
from .lanes import Lanes
from .plan import LEAVES, Plan, is_inline

POINTER = ir.PointerType()
I32 = ir.IntType(32)
PREFETCH = 2  # into the second cache: it can wait for more lines at a time than the first
BYTES = {"float32": 4, "float64": 8, "int32": 4, "int64": 8, "uint8": 1, "uint32": 4, "bool": 1}


@dataclass(eq=False)
class Buffer:
    """Memory that nests read and write. ``kind``: "shared" (C order), "sample" ([block][element][lane]), "rows"
    ([sample][element]), "raw" (the caller's array, [sample][element], gathered by the order of the epoch)."""

    name: str
    kind: str
    size: int
    dtype: str
    number: int = -1


def memory_type(dtype: str) -> ir.Type:
    """How an element lies in memory: bool as a byte."""
    return ir.IntType(8) if dtype == "bool" else L.llvm_type(dtype, 1)


class Nest:
    """One function of the module: ``f(buffers..., lo, hi, n)`` for blocks or units lo..hi-1 of a batch of n samples."""

    def __init__(self, module: ir.Module, name: str, plan: Plan, buffers: dict, used: Sequence[Buffer], width: int) -> None:
        self.plan, self.buffers, self.used = plan, buffers, list(used)
        self.width = width  # lanes of a sample value
        self.feature_width = width  # lanes of a shared value along its last axis; 1 where they are not neighbours
        kind = ir.FunctionType(ir.VoidType(), [POINTER] * len(used) + [I64] * 3)
        self.function = ir.Function(module, kind, name)
        self.function.linkage = "internal"
        for a in self.function.args[: len(used)]:
            a.add_attribute("noalias")
        self.pointers = dict(zip(used, self.function.args, strict=False))
        self.lo, self.hi, self.n = self.function.args[len(used) :]
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.memo: list[dict] = [{}]
        self.inline: dict[Value, bool] = {}
        self.mask: ir.Value | None = None  # of the lanes that exist, in the last vector of a row of features
        self.valid = width
        self.features = False

    # ---- loops --------------------------------------------------------------------------------------------------

    def loop(self, lo, hi, carried: Sequence[Lanes], body: Callable, step: int = 1, extent: int = 1 << 40) -> list[Lanes]:
        """``for i in range(lo, hi, step): carried = body(i, carried)``; gives the last carried."""
        b = self.builder
        lo = I64(lo) if isinstance(lo, int) else lo
        hi = I64(hi) if isinstance(hi, int) else hi
        before, head = b.block, b.append_basic_block("head")
        inside, after = b.append_basic_block("body"), b.append_basic_block("after")
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        phis = [b.phi(c.value.type) for c in carried]
        i.add_incoming(lo, before)
        for phi, c in zip(phis, carried, strict=True):
            phi.add_incoming(c.value, before)
        b.cbranch(b.icmp_signed("<", i, hi), inside, after)
        b.position_at_end(inside)
        self.memo.append({})
        now = [Lanes(b, phi, c.dtype, c.width) for phi, c in zip(phis, carried, strict=True)]
        new = body(Variable(i, extent), now) or []
        self.memo.pop()
        i.add_incoming(b.add(i, I64(step)), b.block)
        for phi, c in zip(phis, new, strict=True):
            phi.add_incoming(c.value, b.block)
        b.branch(head)
        b.position_at_end(after)
        return now

    def over(self, lengths: Sequence[int], carried: Sequence[Lanes], body: Callable) -> list[Lanes]:
        """Nested loops over a static space: ``body(index, carried)`` with one Index per length."""

        def inner(done: list[Index], rest: Sequence[int], carried):
            if not rest:
                return body(done, carried)
            if rest[0] == 1:
                return inner([*done, Index()], rest[1:], carried)
            return self.loop(0, rest[0], carried, lambda v, c: inner([*done, Index.of(v)], rest[1:], c), extent=rest[0])

        return inner([], list(lengths), list(carried)) or []

    # ---- memory -------------------------------------------------------------------------------------------------

    def address(self, buffer: Buffer, position: Index) -> ir.Value:
        """The address of an element, for lane 0; equal symbolic parts are computed once."""
        b, kind = self.builder, memory_type(buffer.dtype)
        key = ("address", buffer, frozenset(position.terms.items()))
        base = self.recall(key)
        if base is None:
            varying = Index(0, position.terms)
            base = self.pointers[buffer]
            if position.terms:
                base = b.gep(base, [varying.emit(b)], source_etype=kind)
            self.memo[-1][key] = base
        return b.gep(base, [I64(position.const)], source_etype=kind) if position.const else base

    def recall(self, key):
        for scope in reversed(self.memo):
            if key in scope:
                return scope[key]
        return None

    def load_vector(self, buffer: Buffer, position: Index, width: int, aligned: bool) -> Lanes:
        b, dtype = self.builder, buffer.dtype
        kind = memory_type(dtype)
        kind = ir.VectorType(kind, width) if width > 1 else kind
        align = BYTES[dtype] * (width if aligned else 1)
        value = b.load(self.address(buffer, position), typ=kind, align=align)
        return self._from_memory(value, dtype, width)

    def _from_memory(self, value, dtype, width) -> Lanes:
        if dtype == "bool":
            zero = ir.Constant(value.type, [0] * width if width > 1 else 0)
            value = self.builder.icmp_unsigned("!=", value, zero)
        return Lanes(self.builder, value, dtype, width)

    def _to_memory(self, x: Lanes) -> ir.Value:
        if x.dtype != "bool":
            return x.value
        kind = ir.IntType(8)
        return self.builder.zext(x.value, ir.VectorType(kind, x.width) if x.width > 1 else kind)

    def load(self, buffer: Buffer, position: Index, block: Index | None) -> Lanes:
        """An element: of samples, a vector with one lane each; shared, a number, or a vector along the lane index."""
        if buffer.kind == "sample":
            assert block is not None
            if position.lane:
                raise NotVectorisable
            return self.load_vector(buffer, (block * buffer.size + position) * self.width, self.width, True)
        if not position.lane:
            return self.load_vector(buffer, position, 1, True)
        if position.lane != 1:
            raise NotVectorisable
        if self.mask is None or self.feature_width == 1:
            return self.load_vector(buffer, position, self.feature_width, False)
        kind = ir.VectorType(memory_type(buffer.dtype), self.feature_width)
        call = self.intrinsic("llvm.masked.load", kind, [POINTER, self.mask.type, kind], f"{self._suffix(kind)}.p0")
        zero = ir.Constant(kind, [0] * self.feature_width)
        value = self.builder.call(call, [self.address(buffer, position), self.mask, zero])
        return self._from_memory(value, buffer.dtype, self.width)

    def store(self, x: Lanes, buffer: Buffer, position: Index, block: Index | None) -> None:
        b = self.builder
        if buffer.kind == "sample":
            value = self._to_memory(L.splat(x, self.width))
            b.store(value, self.address(buffer, (block * buffer.size + position) * self.width), align=BYTES[buffer.dtype] * self.width)
        elif not position.lane:
            if x.width != 1:
                raise NotVectorisable
            b.store(self._to_memory(x), self.address(buffer, position), align=BYTES[buffer.dtype])
        elif position.lane != 1:
            raise NotVectorisable
        else:
            self.store_vector(L.splat(x, self.feature_width), buffer, position)

    def store_vector(self, x: Lanes, buffer: Buffer, position: Index) -> None:
        """A vector along a row, without the lanes that the mask leaves out."""
        value, address = self._to_memory(x), self.address(buffer, position)
        if self.mask is None:
            self.builder.store(value, address, align=BYTES[buffer.dtype])
            return
        kind = value.type
        call = self.intrinsic("llvm.masked.store", ir.VoidType(), [kind, POINTER, self.mask.type], f"{self._suffix(kind)}.p0")
        self.builder.call(call, [value, address, self.mask])

    def prefetch(self, buffer: Buffer, position: Index) -> None:
        call = self.intrinsic("llvm.prefetch", ir.VoidType(), [POINTER, I32, I32, I32], "p0")
        self.builder.call(call, [self.address(buffer, position), I32(0), I32(PREFETCH), I32(1)])

    def intrinsic(self, name: str, result: ir.Type, arguments: list[ir.Type], suffix: str) -> ir.Function:
        module, full = self.function.module, f"{name}.{suffix}"
        if full in module.globals:
            return module.globals[full]
        return ir.Function(module, ir.FunctionType(result, arguments), full)

    @staticmethod
    def _suffix(kind: ir.VectorType) -> str:
        element = kind.element
        name = {"float": "f32", "double": "f64"}.get(str(element), str(element))
        return f"v{kind.count}{name}"

    # ---- values -------------------------------------------------------------------------------------------------

    def constant(self, number, dtype: str) -> Lanes:
        return L.constant(self.builder, number, dtype, 1)

    def value(self, v: Value, index: Sequence[Index], block: Index | None = None) -> Lanes:
        """The Value at an index (of one sample), for the samples of a block."""
        key = (v, tuple(i.key for i in index), block.key if block is not None else None)
        known = self.recall(key)
        if known is None:
            known = self.memo[-1][key] = self._value(v, list(index), block)
        return known

    def stored(self, v: Value) -> Buffer | None:
        """Where v lies, unless it is computed in this nest."""
        return None if is_inline(v, self.inline) and v.primitive not in LEAVES else self.buffers.get(v)

    own: frozenset[Value] = frozenset()  # Values that this nest computes

    def _value(self, v: Value, index: list[Index], block: Index | None) -> Lanes:
        p, a, b = v.primitive, v.attributes, self.builder
        buffer = self.stored(v)
        if buffer is not None and v not in self.own:
            return self.load(buffer, linear(index, v.shape), block)
        if p.elementwise:
            return p.forward(L.xp, *(self.value(i, index, block) for i in v.inputs), **a)
        if p is fill_with:
            return self.constant(a["value"], v.dtype)
        if p in VALUES:
            return VALUES[p](self, v, index, block)
        raise GraphError(f"the native executor has no lowering of {p.name}")

    def number(self, index: Index, dtype: str) -> Lanes:
        """An index as a number: one for each lane, where it differs from lane to lane."""
        b = self.builder
        base = L.xp.astype(Lanes(b, index.emit(b), "int64", 1), dtype)
        if not index.lane or self.feature_width == 1:
            return base
        width = self.feature_width
        steps = ir.Constant(L.llvm_type(dtype, width), [index.lane * k for k in range(width)])
        return base + Lanes(b, steps, dtype, width)

    def samples_alive(self, block: Index) -> Lanes:
        """Which lanes of a block hold samples of the batch."""
        key = ("alive", block.key)
        known = self.recall(key)
        if known is None:
            b, kind = self.builder, L.llvm_type("int32", self.width)
            left = b.trunc(b.sub(self.n, b.mul(block.emit(b), I64(self.width))), ir.IntType(32))
            lane = Lanes(b, ir.Constant(kind, list(range(self.width))), "int32", self.width)
            known = self.memo[-1][key] = lane < Lanes(b, left, "int32", 1)
        return known

    def blocks(self) -> ir.Value:
        b = self.builder
        return b.udiv(b.add(self.n, I64(self.width - 1)), I64(self.width))


# ---- one function per operation that is not elementwise --------------------------------------------------------------


def _iota(nest, v, index, block):
    return nest.number(index[0], v.dtype)


def _batch_count(nest, v, index, block):
    return L.xp.astype(Lanes(nest.builder, nest.n, "int64", 1), v.dtype)


def _sample_index(nest, v, index, block):
    lane = Lanes(nest.builder, ir.Constant(L.llvm_type("uint32", nest.width), list(range(nest.width))), "uint32", nest.width)
    return lane + nest.number(block * nest.width, "uint32")


def _to_samples(nest, v, index, block):
    return nest.value(v.inputs[0], index, None)


def _reshape(nest, v, index, block):
    return nest.value(v.inputs[0], reshaped(index, v.shape, v.inputs[0].shape, nest.builder), block)


def _transpose(nest, v, index, block):
    source: list = [None] * len(index)
    for i, axis in zip(index, v.attributes["axes"], strict=True):
        source[axis] = i
    return nest.value(v.inputs[0], source, block)


def _broadcast(nest, v, index, block):
    source = [Index() if n == 1 else i for i, n in zip(index, v.inputs[0].shape, strict=True)]
    return nest.value(v.inputs[0], source, block)


def _slice(nest, v, index, block):
    a = v.attributes
    source = [i * s + start for i, s, start in zip(index, a["steps"], a["starts"], strict=True)]
    return nest.value(v.inputs[0], source, block)


def _flip(nest, v, index, block):
    n = len(index)
    source = [i * -1 + (v.shape[k] - 1) if k - n in v.attributes["axes"] else i for k, i in enumerate(index)]
    return nest.value(v.inputs[0], source, block)


def _inside(nest, i: Index, low: int, length: int):
    """Whether low <= i < low + length (a scalar condition; True or False where known), and i - low kept within."""
    if i.lane:
        raise NotVectorisable
    if not i.terms:
        inside = low <= i.const < low + length
        return inside, Index(i.const - low) if inside else Index()
    b = nest.builder
    value = b.sub(i.emit(b), I64(low))
    condition = b.icmp_unsigned("<", value, I64(length))  # negative numbers are large when unsigned
    return condition, Index.of(Variable(b.select(condition, value, I64(0)), length))


def _choose(nest, condition, x: Lanes, y: Lanes) -> Lanes:
    if condition is True:
        return x
    if condition is False:
        return y
    width = max(x.width, y.width)
    x, y = L.splat(x, width), L.splat(y, width)
    return Lanes(nest.builder, nest.builder.select(condition, x.value, y.value), x.dtype, width)


def _pad(nest, v, index, block):
    a, b = v.attributes, nest.builder
    source, everything = [], True
    for i, n, low, gap in zip(index, v.inputs[0].shape, a["low"], a["interior"], strict=True):
        reach = n + max(n - 1, 0) * gap
        condition, at = _inside(nest, i, low, reach) if reach else (False, Index())
        if gap and condition is not False:
            at, rest = at.divmod(gap + 1, b)
            on_grid = (not rest.const) if not rest.terms else b.icmp_unsigned("==", rest.emit(b), I64(0))
            condition = _both(b, condition, on_grid)
        everything = _both(b, everything, condition)
        source.append(at)
    outside = nest.constant(a["value"], v.dtype)
    return outside if everything is False else _choose(nest, everything, nest.value(v.inputs[0], source, block), outside)


def _both(builder, x, y):
    if x is False or y is False:
        return False
    if x is True:
        return y
    return x if y is True else builder.and_(x, y)


def _concatenate(nest, v, index, block):
    axis, start, result = v.attributes["axis"] + len(v.shape), 0, None
    for part in v.inputs:
        n = part.shape[axis]
        if n:
            condition, at = _inside(nest, index[axis], start, n)
            if condition is not False:
                here = nest.value(part, [*index[:axis], at, *index[axis + 1 :]], block if part.kind == "sample" else None)
                result = here if result is None else _choose(nest, condition, here, result)
        start += n
    return result


def _reduced(v: Value, index: list[Index], inner: list[Index], axes) -> list[Index]:
    """The input's index from the result's and the reduction's."""
    n = len(v.inputs[0].shape)
    outer, inside = iter(index), iter(inner)
    return [next(inside) if k - n in axes else next(outer) for k in range(n)]


def _reduction(first: Callable, combine: Callable) -> Callable:
    def emit(nest, v, index, block):
        x, axes = v.inputs[0], v.attributes["axes"]
        lengths = [x.shape[a] for a in axes]
        start = first(nest, v, x, axes, index, block)
        start = L.splat(start, _width_of(nest, v, index))

        def body(inner, carried):
            return [combine(carried[0], nest.value(x, _reduced(v, index, inner, axes), block))]

        return nest.over(lengths, [start], body)[0] if math.prod(lengths) else start

    return emit


def _width_of(nest, v: Value, index: Sequence[Index]) -> int:
    if v.kind == "sample":
        return nest.width
    return nest.feature_width if any(i.lane for i in index) else 1


def _zero(nest, v, x, axes, index, block):
    return nest.constant(0, v.dtype)


def _first_element(nest, v, x, axes, index, block):
    return nest.value(x, _reduced(v, index, [Index()] * len(axes), axes), block)


def _argmax(nest, v, index, block):
    x, axis = v.inputs[0], v.attributes["axis"]
    at = lambda i: _reduced(v, index, [i], (axis,))  # noqa: E731
    width = _width_of(nest, v, index)
    best, place = L.splat(nest.value(x, at(Index()), block), width), L.splat(nest.constant(0, "int32"), width)

    def body(inner, carried):
        here = nest.value(x, at(inner[0]), block)
        better = (here > carried[0]) | ((here != here) & (carried[0] == carried[0]))  # the first NaN wins, as in NumPy
        return [L.xp.where(better, here, carried[0]), L.xp.where(better, nest.number(inner[0], "int32"), carried[1])]

    return nest.over([x.shape[axis]], [best, place], body)[1]


def _contract(nest, v, index, block):
    a, b, out = parse(v.attributes["spec"])
    letters = dict(zip(out, index, strict=True))
    lengths = dict(zip(a + b, v.inputs[0].shape + v.inputs[1].shape, strict=True))
    inner_letters = [c for c in dict.fromkeys(a + b) if c not in out]
    start = L.splat(nest.constant(0, v.dtype), _width_of(nest, v, index))

    def body(inner, carried):
        at = letters | dict(zip(inner_letters, inner, strict=True))
        x = nest.value(v.inputs[0], [at[c] for c in a], block if v.inputs[0].kind == "sample" else None)
        y = nest.value(v.inputs[1], [at[c] for c in b], block if v.inputs[1].kind == "sample" else None)
        return [L.fma(x, y, carried[0])]

    return nest.over([lengths[c] for c in inner_letters], [start], body)[0]


def _batch_sum(nest, v, index, block):
    """The sum over samples: lanes are samples meanwhile; for features in lanes, a vector of sums by a transpose."""
    x, b = v.inputs[0], nest.builder
    lane = next((t for i in index for t in i.terms if t.lane), None)
    places = [[_at_lane(i, min(k, nest.valid - 1)) for i in index] for k in range(nest.feature_width if lane else 1)]
    zero = L.splat(nest.constant(0, v.dtype), nest.width)
    mask, nest.mask = nest.mask, None

    def body(variable, sums):
        here = Index.of(variable)
        alive = nest.samples_alive(here)
        parts = [L.splat(nest.value(x, place, here), nest.width) for place in places]
        return [s + L.xp.where(alive, p, zero) for s, p in zip(sums, parts, strict=True)]

    sums = nest.loop(0, nest.blocks(), [zero] * len(places), body)
    nest.mask = mask
    if len(sums) == 1:
        return L.horizontal_sum(sums[0])
    rows = L.transpose(sums)  # row l: what lane l adds to each feature
    while len(rows) > 1:  # the order of horizontal_sum
        half = len(rows) // 2
        rows = [p + q for p, q in zip(rows[:half], rows[half:], strict=True)]
    return rows[0]


def _at_lane(i: Index, k: int) -> Index:
    """The index for lane k alone."""
    return Index(i.const + i.lane * k, {t.first: c for t, c in i.terms.items()})


def _take(nest, v, index, block):
    table, rows = v.inputs
    n = v.attributes["rows_ndim"]
    row = nest.value(rows, index[:n], block if rows.kind == "sample" else None)
    size = table.shape[0]
    legal = (row >= 0) & (row < size)
    row = L.xp.astype(L.xp.where(legal, row, nest.constant(0, rows.dtype)), "int64")
    inner = block if table.kind == "sample" else None
    if row.width == 1:
        return nest.value(table, [Index.of(Variable(row.value, size)), *index[n:]], inner)
    b = nest.builder
    result = ir.Constant(L.llvm_type(v.dtype, row.width), ir.Undefined)
    for k in range(row.width):  # each lane its own row
        at = Index.of(Variable(b.extract_element(row.value, I32(k)), size))
        part = nest.value(table, [at, *(_at_lane(i, k) for i in index[n:])], inner)
        one = part.value if part.width == 1 else b.extract_element(part.value, I32(k))
        result = b.insert_element(result, one, I32(k))
    return Lanes(b, result, v.dtype, row.width)


def _scatter(nest, v, index, block):
    values, rows = v.inputs
    n = v.attributes["rows_ndim"]
    lengths = values.shape[:n]
    start = L.splat(nest.constant(0, v.dtype), _width_of(nest, v, index))
    number = nest.number(index[0], rows.dtype)

    def body(inner, carried):
        row = nest.value(rows, inner, block if rows.kind == "sample" else None)
        part = nest.value(values, [*inner, *index[1:]], block if values.kind == "sample" else None)
        return [carried[0] + L.xp.where(row == number, part, nest.constant(0, v.dtype))]

    return nest.over(lengths, [start], body)[0]


def _each_sample(nest, v, index, block):
    """Row i of a shared table for sample i; lanes beyond the batch take its last row."""
    b, x = nest.builder, v.inputs[0]
    result = ir.Constant(L.llvm_type(v.dtype, nest.width), ir.Undefined)
    last = b.sub(nest.n, I64(1))
    for k in range(nest.width):
        i = (block * nest.width + k).emit(b)
        row = Variable(b.select(b.icmp_signed("<", i, last), i, last), x.shape[0])
        part = nest.value(x, [Index.of(row), *index], None)
        result = b.insert_element(result, part.value, I32(k))
    return Lanes(b, result, v.dtype, nest.width)


def _all_samples(nest, v, index, block):
    """Element of sample number index[0]: one lane of its block."""
    b = nest.builder
    if any(i.lane for i in index):
        raise NotVectorisable
    here, lane = index[0].divmod(nest.width, b)
    part = nest.value(v.inputs[0], index[1:], here)
    one = part.value if part.width == 1 else b.extract_element(part.value, lane.emit(b))
    return Lanes(b, one, v.dtype, 1)


VALUES: dict = {
    iota_of: _iota,
    batch_count: _batch_count,
    sample_index: _sample_index,
    to_samples: _to_samples,
    reshape_to: _reshape,
    transpose_of: _transpose,
    broadcast: _broadcast,
    slice_of: _slice,
    flip_axes: _flip,
    pad_with: _pad,
    concatenate_of: _concatenate,
    reduce_sum: _reduction(_zero, lambda x, y: x + y),
    reduce_max: _reduction(_first_element, lambda x, y: L.xp.maximum(x, y)),
    reduce_min: _reduction(_first_element, lambda x, y: L.xp.minimum(x, y)),
    argmax_axis: _argmax,
    contract_of: _contract,
    batch_sum: _batch_sum,
    take_rows: _take,
    scatter_of: _scatter,
    each_sample: _each_sample,
    all_samples_of: _all_samples,
}
