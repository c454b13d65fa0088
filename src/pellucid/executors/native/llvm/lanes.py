"""Lanes: one vector of machine code being built, with Python's operators, and `xp`, numpy's names for it.

The formulas of ops/elementwise.py run on these as on arrays. Imports the IR, llvmlite's binding and numpy's numbers;
exp, log and the like are in vector_math.py, in terms of what is here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from llvmlite import binding

from . import features, ir

LLVM_TYPES: dict[str, ir.Type] = {
    "float32": ir.FloatType(),
    "float64": ir.DoubleType(),
    "int32": ir.IntType(32),
    "int64": ir.IntType(64),
    "uint8": ir.IntType(8),
    "uint32": ir.IntType(32),
    "uint64": ir.IntType(64),  # the bits of a float64; no Value of a graph has it
    "bool": ir.IntType(1),
}
BITS = {"float32": 32, "float64": 64, "int32": 32, "int64": 64, "uint8": 8, "uint32": 32, "uint64": 64, "bool": 1}
FLOATS = ("float32", "float64")
Operator = Callable[[Any, Any], "Lanes"]

_HOST = features.features()
_OTHER = not binding.get_process_triple().startswith(("x86_64", "amd64", "i"))  # these have both

# What the code may use. Without the instruction, LLVM would call the C library for every lane.
use_fma = _OTHER or _HOST.get("fma", False)
use_round = _OTHER or _HOST.get("sse4.1", False)
use_estimates = _HOST.get("avx512f", False)  # 1/x and 1/sqrt(x) to 14 bits
use_scalef = _HOST.get("avx512f", False) and _HOST.get("avx512vl", False)  # p * 2**n: 7 instructions less in exp


@functools.cache
def llvm_type(dtype: str, width: int) -> ir.Type:
    """The type in registers: a vector, or a plain scalar for width 1.

    >>> str(llvm_type("float32", 16)), str(llvm_type("bool", 1))
    ('<16 x float>', 'i1')
    """
    return LLVM_TYPES[dtype] if width == 1 else ir.VectorType(LLVM_TYPES[dtype], width)


def constant(builder: ir.IRBuilder, number: Any, dtype: str, width: int = 1) -> Lanes:
    """The number in every lane, rounded for floats; for integers it must fit."""
    one = _fitted(number, dtype)
    return Lanes(builder, _literal(dtype, width, one, math.copysign(1, one)), dtype, width)


@functools.lru_cache(1 << 10)
def _literal(dtype: str, width: int, one: float | int | bool, sign: float) -> ir.Constant:
    """A constant for all its uses, so that its text is made once; the sign tells 0.0 from -0.0."""
    return ir.Constant(llvm_type(dtype, width), one if width == 1 else [one] * width)


def _fitted(number: Any, dtype: str) -> float | int | bool:
    if dtype == "bool":
        return bool(number)
    if dtype in FLOATS:
        with np.errstate(over="ignore"):
            return float(np.dtype(dtype).type(number))
    bits, whole = BITS[dtype], int(number)
    signed = dtype.startswith("int")
    if whole != number or not -(1 << bits - 1) * signed <= whole < 1 << bits - signed:
        raise TypeError(f"{number!r} does not fit lanes of {dtype}")
    return whole - (1 << bits) * (whole >> bits - 1 == 1)  # LLVM reads integers as signed


def splat(x: Lanes, width: int) -> Lanes:
    """A scalar in every lane of a vector; a vector of that width as it is."""
    if x.width == width:
        return x
    if x.width != 1:
        raise TypeError(f"{x.width} lanes cannot become {width}")
    kind = llvm_type(x.dtype, width)
    if isinstance(x.value, ir.Constant) and isinstance(x.value.constant, (int, float)):
        one = x.value.constant  # fitted already
        return Lanes(x.builder, _literal(x.dtype, width, one, math.copysign(1, one)), x.dtype, width)
    undefined = ir.Constant(kind, ir.Undefined)
    first = x.builder.insert_element(undefined, x.value, ir.IntType(32)(0))
    return Lanes(x.builder, shuffle(x.builder, first, undefined, [0] * width), x.dtype, width)


def from_elements(b: ir.IRBuilder, elements: Iterable[ir.Value], dtype: str, width: int) -> Lanes:
    """A vector of elements that are made one after the other."""
    result: ir.Value = ir.Constant(llvm_type(dtype, width), ir.Undefined)
    for k, x in enumerate(elements):
        result = b.insert_element(result, x, ir.IntType(32)(k))
    return Lanes(b, result, dtype, width)


def meet(*operands: Any) -> list[Lanes]:
    """Operands made alike: numbers become lanes of the others' dtype, scalars meeting vectors become vectors."""
    known = next((x for x in operands if isinstance(x, Lanes)), None)
    if known is None:
        raise TypeError("at least one operand must be Lanes")
    lanes = [x if isinstance(x, Lanes) else constant(known.builder, x, known.dtype) for x in operands]
    if any(x.dtype != known.dtype for x in lanes):
        raise TypeError(f"lanes of {' and '.join(x.dtype for x in lanes)} do not mix; use xp.astype(x, dtype)")
    width = max(x.width for x in lanes)
    return [splat(x, width) for x in lanes]


def _arithmetic(of_floats: str, of_integers: str | None) -> tuple[Operator, Operator]:
    """An operator, and the one for a number on its left."""

    def apply(a: Any, b: Any) -> Lanes:
        x, y = meet(a, b)
        name = of_floats if x.dtype in FLOATS else of_integers
        if name is None or x.dtype == "bool":
            raise TypeError(f"{of_floats[1:]} is not for lanes of {x.dtype}")
        return x.like(getattr(x.builder, name)(x.value, y.value))

    return apply, lambda self, other: apply(other, self)


def _bitwise(name: str) -> Operator:
    def apply(a: Any, b: Any) -> Lanes:
        x, y = meet(a, b)
        if x.dtype in FLOATS:
            raise TypeError(f"{name.strip('_')} is not for lanes of {x.dtype}; see bits(x)")
        return x.like(getattr(x.builder, name)(x.value, y.value))

    return apply


def _shift(left: bool) -> Operator:
    """As numpy: by as many bits as there are, or more (or by a negative number), nothing but the sign is left."""

    def apply(a: Any, b: Any) -> Lanes:
        x, by = meet(a, b)
        if x.dtype in FLOATS or x.dtype == "bool":
            raise TypeError(f"a shift is not for lanes of {x.dtype}")
        shift = x.builder.shl if left else x.builder.lshr if x.dtype[0] == "u" else x.builder.ashr
        if _is_number(by, 0, BITS[x.dtype] - 1):
            return x.like(shift(x.value, by.value))
        last = constant(x.builder, BITS[x.dtype] - 1, x.dtype, x.width)
        inside = x.like(x.builder.icmp_unsigned("<=", by.value, last.value), "bool")
        shifted = x.like(shift(x.value, where(inside, by, last).value))
        return shifted if shift == x.builder.ashr else where(inside, shifted, 0)

    return apply


def _comparison(how: str) -> Operator:
    def apply(a: Any, b: Any) -> Lanes:
        x, y = meet(a, b)
        if x.dtype in FLOATS:  # with NaN, only != holds
            compare = x.builder.fcmp_unordered if how == "!=" else x.builder.fcmp_ordered
        else:
            compare = x.builder.icmp_signed if x.dtype.startswith("int") else x.builder.icmp_unsigned
        return x.like(compare(how, x.value, y.value), "bool")

    return apply


class Lanes:
    """A vector of lanes (or one scalar: width 1) in the machine code that ``builder`` writes.

    ``+ - * /``, unary ``-``, ``& | ^ ~ << >>`` and comparisons (which give "bool") mean what they mean for arrays.
    """

    __slots__ = ("builder", "dtype", "value", "width")
    __array_ufunc__ = None  # numpy's scalars leave `np.uint32(3) + lanes` to us
    __hash__ = object.__hash__

    def __init__(self, builder: ir.IRBuilder, value: ir.Value, dtype: str, width: int) -> None:
        self.builder, self.value, self.dtype, self.width = builder, value, dtype, width

    def like(self, value: ir.Value, dtype: str | None = None) -> Lanes:
        """The same number of lanes with another value (and dtype)."""
        return Lanes(self.builder, value, dtype or self.dtype, self.width)

    def __repr__(self) -> str:
        return f"<{self.width} lanes of {self.dtype}>"

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} have no truth value: use xp.where(condition, a, b)")

    __add__, __radd__ = _arithmetic("fadd", "add")
    __sub__, __rsub__ = _arithmetic("fsub", "sub")
    __mul__, __rmul__ = _arithmetic("fmul", "mul")
    __truediv__, __rtruediv__ = _arithmetic("fdiv", None)
    __and__ = __rand__ = _bitwise("and_")
    __or__ = __ror__ = _bitwise("or_")
    __xor__ = __rxor__ = _bitwise("xor")
    __lshift__, __rshift__ = _shift(left=True), _shift(left=False)
    __lt__, __le__, __gt__, __ge__ = _comparison("<"), _comparison("<="), _comparison(">"), _comparison(">=")
    __eq__, __ne__ = _comparison("=="), _comparison("!=")  # type: ignore[assignment]

    def __neg__(self) -> Lanes:
        return self.like(self.builder.fneg(self.value)) if self.dtype in FLOATS else 0 - self

    def __invert__(self) -> Lanes:
        if self.dtype in FLOATS:
            raise TypeError(f"~ is not for {self!r}")
        return self.like(self.builder.not_(self.value))


# ---- pieces that formulas are made of ---------------------------------------------------------------------------


def fma(a: Any, b: Any, c: Any) -> Lanes:
    """a * b + c, rounded once where the processor can; scalars are splat."""
    if not use_fma:
        return a * b + c
    a, b, c = meet(a, b, c)
    return intrinsic("llvm.fma", a, b, c) if a.dtype in FLOATS else a * b + c


def where(condition: Lanes, a: Any, b: Any) -> Lanes:
    """a in the lanes where the condition holds, else b."""
    if condition.dtype != "bool":
        raise TypeError(f"where: the condition must be bool, got {condition!r}")
    x, y = meet(a, b)
    width = max(condition.width, x.width)
    chosen, x, y = splat(condition, width), splat(x, width), splat(y, width)
    return x.like(x.builder.select(chosen.value, x.value, y.value))


def intrinsic(name: str, *operands: Lanes, flags: tuple[str, ...] = ()) -> Lanes:
    """One of LLVM's functions that work lane by lane, such as llvm.sqrt."""
    x, *_ = operands
    vector = "" if x.width == 1 else f"v{x.width}"
    function = declared(x.builder, f"{name}.{vector}f{BITS[x.dtype]}", [x.value.type] * len(operands), x.value.type)
    return x.like(x.builder.call(function, [o.value for o in operands], fastmath=flags))


def declared(builder: ir.IRBuilder, name: str, arguments: list[ir.Type], result: ir.Type) -> ir.Function:
    """An external function of the module, declared once."""
    known = builder.module.globals.get(name)
    return known or ir.Function(builder.module, ir.FunctionType(result, arguments), name)


def bits(x: Lanes) -> Lanes:
    """The bit patterns of floats, as unsigned integers."""
    dtype = f"uint{BITS[x.dtype]}"
    return x.like(x.builder.bitcast(x.value, llvm_type(dtype, x.width)), dtype)


def from_bits(x: Lanes) -> Lanes:
    """The floats with these bit patterns."""
    dtype = f"float{BITS[x.dtype]}"
    return x.like(x.builder.bitcast(x.value, llvm_type(dtype, x.width)), dtype)


def copysign(x: Lanes, sign: Lanes) -> Lanes:
    """The magnitude of x with the sign of the other."""
    return intrinsic("llvm.copysign", *meet(x, sign))


def shuffle(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, lanes: list[int]) -> ir.Value:
    return builder.shuffle_vector(a, b, _shuffle_mask(tuple(lanes)))


@functools.cache
def _shuffle_mask(lanes: tuple[int, ...]) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))


# ---- numpy's names ----------------------------------------------------------------------------------------------


class LaneNumPy:
    """numpy's names (and erf) for Lanes: what the formulas call ``xp``. `vector_math` registers its functions here."""

    where = staticmethod(where)
    sqrt = staticmethod(lambda x: intrinsic("llvm.sqrt", x))
    maximum = staticmethod(lambda a, b: _extreme("llvm.maximum", *meet(a, b)))
    minimum = staticmethod(lambda a, b: _extreme("llvm.minimum", *meet(a, b)))

    def __getattr__(self, name: str) -> Callable[..., Lanes]:
        known = ", ".join(sorted(n for n in vars(type(self)) if n[0] != "_"))
        raise AttributeError(f"the native executor has no xp.{name}, only {known}: write the formula with these, or "
                             "give executor='reference' (docs/extending.md, An operation)")  # fmt: skip

    @staticmethod
    def abs(x: Lanes) -> Lanes:
        if x.dtype in FLOATS:
            return intrinsic("llvm.fabs", x)
        return where(x < 0, -x, x) if x.dtype.startswith("int") else x

    @staticmethod
    def sign(x: Lanes) -> Lanes:
        """-1, 0 or 1; NaN stays NaN."""
        if x.dtype in FLOATS:
            one = copysign(constant(x.builder, 1, x.dtype, x.width), x)
            return where((x < 0) | (x > 0), one, x + 0)  # + 0: sign(-0) is 0
        one, zero = (constant(x.builder, k, x.dtype, x.width) for k in (1, 0))
        return where(x > 0, one, zero) if x.dtype[0] == "u" else where(x > 0, one, where(x < 0, -one, zero))

    @staticmethod
    def floor(x: Lanes) -> Lanes:
        """The largest whole number that is not larger."""
        if use_round or x.dtype not in FLOATS:
            return intrinsic("llvm.floor", x) if x.dtype in FLOATS else x
        whole = 2.0 ** (23 if x.dtype == "float32" else 52)  # from here on every float is whole
        size = xp.abs(x)
        near = copysign((size + whole) - whole, x)
        return where(size < whole, copysign(where(near > x, near - 1, near), x), x)

    @staticmethod
    def astype(x: Lanes, dtype: str) -> Lanes:
        """Floats are cut towards zero for integers; integers wrap."""
        if x.dtype == dtype:
            return x
        if dtype == "bool":
            return x != 0
        b, kind = x.builder, llvm_type(dtype, x.width)
        larger = BITS[dtype] > BITS[x.dtype]
        unsigned = not x.dtype.startswith("int")
        if x.dtype in FLOATS and dtype in FLOATS:
            return x.like((b.fpext if larger else b.fptrunc)(x.value, kind), dtype)
        if x.dtype in FLOATS:  # unsigned by way of larger signed ones, so that -1.0 wraps as in numpy on most machines
            through = {"uint8": "int32", "uint32": "int64"}.get(dtype, dtype)
            whole = b.fptosi(x.value, llvm_type(through, x.width))  # LLVM leaves it open where the float does not fit
            return xp.astype(x.like(b.freeze(whole), through), dtype)
        if dtype in FLOATS:
            return x.like((b.uitofp if unsigned else b.sitofp)(x.value, kind), dtype)
        if BITS[dtype] == BITS[x.dtype]:
            return x.like(x.value, dtype)
        return x.like((b.trunc if not larger else b.zext if unsigned else b.sext)(x.value, kind), dtype)


xp: Any = LaneNumPy()


def _extreme(name: str, a: Lanes, b: Lanes) -> Lanes:
    """The larger or the smaller; NaN where either is; of two zeros either. One instruction where one is a constant."""
    if a.dtype in FLOATS:
        return intrinsic(name, a, b, flags=("nsz",))
    return where(a > b if name == "llvm.maximum" else a < b, a, b)


def _is_number(x: Lanes, low: int, high: int) -> bool:
    """Whether every lane is known now, and within low..high."""
    known = x.value.constant if isinstance(x.value, ir.Constant) else None
    return all(isinstance(p, int) and low <= p <= high for p in (known if isinstance(known, list) else [known]))
