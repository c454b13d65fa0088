"""Writing the machine code of one nest: loops, loads, and the value of any graph Value at an index.

`Nest.value` pulls: asked for a Value at an index it loads it, if it is stored, or computes it from its inputs at the
indices they need. Lanes are samples in a nest of sample values, and neighboring features in a nest of shared values.
"""

from __future__ import annotations

from collections.abc import Sequence

from ....graph import GraphError, Value
from ....ops.movement import fill_with, reshape_to
from ..llvm import ir
from ..llvm import lanes as L
from ..llvm.affine import I64, Index, NotVectorizable, Variable, linear
from ..llvm.lanes import Lanes
from ..plan.bounds import OutOfBounds
from ..plan.buffer import BYTES, Buffer
from ..plan.classify import LEAVES, is_inline
from ..plan.layout_ops import PACK, packed_rows
from ..plan.planner import Plan
from .flow import Flow
from .registry import LOWERINGS
from .strided import load_apart

POINTER = ir.PointerType()
I32 = ir.IntType(32)


def memory_type(dtype: str) -> ir.Type:
    """How an element lies in memory: bool as a byte."""
    return ir.IntType(8) if dtype == "bool" else L.llvm_type(dtype, 1)


class Nest(Flow):
    """One function: ``f(buffers..., lo, hi, n)`` for blocks or units lo..hi-1 of a batch of n samples.

    It stands in a module of its own and is called ``nest`` there, so that equal nests have equal text.
    """

    def __init__(self, plan: Plan, buffers: dict, used: Sequence[Buffer], width: int, steps: int = 0) -> None:
        """``steps``: of the loop that it stands in; the function is then also given the number of the step."""
        kind = ir.FunctionType(ir.VoidType(), [POINTER] * len(used) + [I64] * (4 if steps else 3))
        self.function = ir.Function(ir.Module(), kind, "nest")
        self.function.linkage = "hidden"
        for a in self.function.args[: len(used)]:
            a.add_attribute("noalias")
        super().__init__(ir.IRBuilder(self.function.append_basic_block("entry")), width)
        self.plan, self.buffers, self.used = plan, buffers, list(used)
        self.pointers: dict[Buffer, ir.Value] = dict(zip(used, self.function.args, strict=False))
        self.lo, self.hi, self.n, *step = self.function.args[len(used) :]
        self.step = Index.of(Variable(step[0], steps, ends=(0, steps - 1))) if step else Index()
        self.given: dict[Value, tuple[Value, bool]] = {}  # in a loop: what leaves are outside; whether at a step each
        self.times: dict[Value, Index] = {}  # the index in time of Values that lie there side by side
        self.inline: dict[Value, bool] = {}  # which Values are computed where they are needed
        self.own: frozenset[Value] = frozenset()  # Values that this nest computes, though they are in memory
        self.error: Buffer | None = None  # where it says that a row lies outside its table
        self.along = False  # whether reductions have their last axis in lanes
        self.tile = ""  # of a contraction, in words

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

    def within(self, buffer: Buffer, position: Index, count: int = 1) -> None:
        """Raise `OutOfBounds` if a loop takes ``count`` elements from outside the buffer (of samples, 1)."""
        ends = position.ends if buffer.kind in (("shared", "sample") if count == 1 else ("shared",)) else None
        if ends is not None and not 0 <= ends[0] <= ends[1] + count <= buffer.size:
            raise OutOfBounds(f"elements {ends[0]}..{ends[1] + count - 1} of {buffer.name}, which has {buffer.size}")

    def scratch(self, name: str, size: int, dtype: str) -> Buffer:
        """Memory on the stack of the thread, of ``size`` elements."""
        buffer = Buffer(name, "shared", size, dtype)
        with self.builder.goto_entry_block():
            space = self.builder.alloca(ir.ArrayType(memory_type(dtype), size))
        space.align = max(64, BYTES[dtype] * self.width)
        self.pointers[buffer] = space
        return buffer

    def load_vector(self, buffer: Buffer, position: Index, width: int, aligned: bool) -> Lanes:
        b, dtype = self.builder, buffer.dtype
        self.within(buffer, position, width)
        kind = ir.VectorType(memory_type(dtype), width) if width > 1 else memory_type(dtype)
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
                raise NotVectorizable
            self.within(buffer, position)
            return self.load_vector(buffer, (block * buffer.stride + position) * self.width, self.width, True)
        if not position.lane:
            return self.load_vector(buffer, position, 1, True)
        if position.lane != 1:
            return load_apart(self, buffer, position)
        if self.mask is None or self.feature_width == 1:
            return self.load_vector(buffer, position, self.feature_width, False)
        kind = ir.VectorType(memory_type(buffer.dtype), self.feature_width)
        call = self.intrinsic("llvm.masked.load", kind, [POINTER, self.mask.type, kind], f"{self.suffix(kind)}.p0")
        zero = ir.Constant(kind, [0] * self.feature_width)
        value = self.builder.call(call, [self.address(buffer, position), self.mask, zero])
        return self._from_memory(value, buffer.dtype, self.feature_width)

    def store(self, x: Lanes, buffer: Buffer, position: Index, block: Index | None) -> None:
        b = self.builder
        if buffer.kind == "sample":
            assert block is not None
            self.within(buffer, position)
            value = self._to_memory(L.splat(x, self.width))
            b.store(
                value,
                self.address(buffer, (block * buffer.stride + position) * self.width),
                align=BYTES[buffer.dtype] * self.width,
            )
        elif not position.lane:
            if x.width != 1:
                raise NotVectorizable
            self.within(buffer, position)
            b.store(self._to_memory(x), self.address(buffer, position), align=BYTES[buffer.dtype])
        elif position.lane != 1:
            raise NotVectorizable
        else:
            self.store_vector(L.splat(x, self.feature_width), buffer, position)

    def store_all(self, values: Sequence[Value], index: list[Index], block: Index | None) -> None:
        """Store Values at one index; all are computed first, since a store may replace what another reads."""
        for x, v in [(self.value(v, index, block), v) for v in values]:
            self.store(x, self.buffers[v], self.position(v, index), block)

    def position(self, v: Value, index: Sequence[Index]) -> Index:
        """Where an element of a stored Value lies in its memory."""
        if v in self.plan.concat_parts:
            v, axis, start = self.plan.concat_parts[v]
            index = [i + start if k == axis else i for k, i in enumerate(index)]
        if v.primitive is packed_rows:
            tile, row = index[0].divmod(PACK, self.builder)
            return (tile * v.shape[1] + index[1]) * PACK + row
        padding = self.plan.padding.get(v)
        if padding is None:
            position = linear(index, v.shape)
            return position + self.times[v] * v.size if v in self.times else position
        return linear([i + low for i, low in zip(index, padding.low, strict=True)], padding.shape)

    def store_vector(self, x: Lanes, buffer: Buffer, position: Index, aligned: bool = False) -> None:
        """A vector along a row, without the lanes that the mask leaves out."""
        value, address = self._to_memory(x), self.address(buffer, position)
        if self.mask is None:
            self.within(buffer, position, x.width)
            self.builder.store(value, address, align=BYTES[buffer.dtype] * (x.width if aligned else 1))
            return
        kind = value.type
        call = self.intrinsic(
            "llvm.masked.store", ir.VoidType(), [kind, POINTER, self.mask.type], f"{self.suffix(kind)}.p0"
        )
        self.builder.call(call, [value, address, self.mask])

    def intrinsic(self, name: str, result: ir.Type, arguments: list[ir.Type], suffix: str) -> ir.Function:
        module, full = self.function.module, f"{name}.{suffix}"
        if full in module.globals:
            return module.globals[full]
        return ir.Function(module, ir.FunctionType(result, arguments), full)

    @staticmethod
    def suffix(kind: ir.Type) -> str:
        assert isinstance(kind, ir.VectorType)
        element = kind.element
        name = {"float": "f32", "double": "f64"}.get(str(element), str(element))
        return f"v{kind.count}{name}"

    # ---- values -------------------------------------------------------------------------------------------------

    def constant(self, number, dtype: str) -> Lanes:
        return L.constant(self.builder, number, dtype, 1)

    def value(self, v: Value, index: Sequence[Index], block: Index | None = None) -> Lanes:
        """The Value at an index (of one sample), for the samples of a block."""
        at = tuple(i.key for i in index), block.key if block is not None else None
        waiting = [v]  # a chain of elementwise operations may be longer than Python can recurse
        while waiting:
            w = waiting[-1]
            if self.recall((w, *at)) is None:
                needed = self._computed_at_once(w, at)
                if needed:
                    waiting += needed
                    continue
                self.memo[-1][(w, *at)] = self._value(w, list(index), block)
            waiting.pop()
        return self.recall((v, *at))

    def operand(self, v: Value, index: Sequence[Index], block: Index | None) -> Lanes:
        """The same for a Value that may be shared, among those of a block."""
        return self.value(v, index, block if v.kind == "sample" else None)

    def _computed_at_once(self, v: Value, at: tuple) -> list[Value]:
        """The inputs of an elementwise Value that are elementwise too, and not yet known at this index."""
        if not v.primitive.elementwise or (v not in self.own and self.stored(v) is not None):
            return []
        return [i for i in v.inputs if i.primitive.elementwise and self.recall((i, *at)) is None]

    def stored(self, v: Value) -> Buffer | None:
        """Where v lies, unless it is computed in this nest."""
        return None if is_inline(v, self.inline) and v.primitive not in LEAVES else self.buffers.get(v)

    def location(self, v: Value, index: Sequence[Index]) -> tuple[Buffer, Index] | None:
        """Where an element lies that this nest loads; None for what it computes."""
        buffer = self.stored(v)
        if buffer is not None and v not in self.own:
            return buffer, self.position(v, index)
        if v in self.plan.padded:
            x = v.inputs[0]
            at = [i + -low for i, low in zip(index, v.attributes["low"], strict=True)]
            return self.buffers[x], self.position(x, at)
        if v.primitive is reshape_to:  # in memory it is the same
            x = v.inputs[0]
            buffer = self.stored(x)
            if buffer is not None and x not in self.own and x not in self.plan.padding and x not in self.times:
                return buffer, linear(index, v.shape)
        return None

    def _value(self, v: Value, index: list[Index], block: Index | None) -> Lanes:
        p, a = v.primitive, v.attributes
        location = self.location(v, index)
        if location is not None:
            return self.load(*location, block)
        if v in self.given:
            outside, each = self.given[v]
            return self.operand(outside, [*([self.step] * each), *index], block)
        if p.elementwise:
            return p.forward(L.xp, *(self.value(i, index, block) for i in v.inputs), **a)
        if p is fill_with:
            return self.constant(a["value"], v.dtype)
        if p in LOWERINGS:
            return LOWERINGS[p](self, v, index, block)
        raise GraphError(f"the native executor has no lowering of {p.name}: write one with @register_lowering, or give "
                         "executor='reference' (docs/extending.md, An operation)")  # fmt: skip

    def width_of(self, v: Value, index: Sequence[Index]) -> int:
        """Lanes of a Value at an index: the samples', or the features' where they are in lanes."""
        if v.kind == "sample":
            return self.width
        return self.feature_width if any(i.lane for i in index) else 1

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

    def refuse(self, bad: Lanes, block: Index | None) -> None:
        """Say that this batch is an error if any lane that exists is bad."""
        b = self.builder
        if block is not None:
            bad = bad & self.samples_alive(block)
        elif bad.width > 1 and self.mask is not None:
            bad = bad & Lanes(b, self.mask, "bool", bad.width)
        with b.if_then(self.any(bad), likely=False):
            assert self.error is not None
            b.atomic_rmw("xchg", self.pointers[self.error], I64(1), "monotonic")

    def any(self, x: Lanes) -> ir.Value:
        """Whether a condition holds in any lane."""
        bits = ir.IntType(x.width)
        return self.builder.icmp_unsigned("!=", self.builder.bitcast(x.value, bits), bits(0))

    def blocks(self) -> ir.Value:
        b = self.builder
        return b.udiv(b.add(self.n, I64(self.width - 1)), I64(self.width))
