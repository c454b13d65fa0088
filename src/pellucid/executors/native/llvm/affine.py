"""Affine indices: where an element lies, as a sum of loop variables times constants. Imports the IR only.

An index stays symbolic until an address is needed; so a reshape, a transpose or a slice costs nothing at run time, and
the emitter knows at compile time whether neighboring lanes are neighbors in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from ....errors import PellucidError
from . import ir

I64 = ir.IntType(64)


class NotVectorizable(PellucidError):
    """Neighboring lanes of this nest are not neighbors in memory; it is emitted again, one element at a time."""


class Variable:
    """A loop variable (or another number known at run time) in 0..extent-1.

    ``lane`` marks the one that lanes run over: its value is that of lane 0, the next lanes have 1, 2, ... more.
    """

    __slots__ = ("ends", "extent", "first", "lane", "value")

    def __init__(self, value: ir.Value, extent: int, lane: bool = False, ends: tuple[int, int] | None = None) -> None:
        """``ends``: the least and the largest number that it does take, where that is known."""
        self.value, self.extent, self.lane, self.ends = value, extent, lane, ends
        self.first = Variable(value, extent) if lane else self  # the same for lane 0 alone


class Index:
    """const + sum of coefficient * variable; it never changes. Writing a program makes a hundred thousand of them."""

    __slots__ = ("_key", "const", "terms")
    _key: tuple | None

    def __init__(self, const: int = 0, terms: dict[Variable, int] | None = None) -> None:
        self.const, self._key = const, None
        self.terms = {v: c for v, c in terms.items() if c} if terms else {}

    @staticmethod
    def of(variable: Variable) -> Index:
        return _index(0, {variable: 1})

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return _index(self.const + other, self.terms)
        if not other.terms or not self.terms:
            return _index(self.const + other.const, self.terms or other.terms)
        terms = dict(self.terms)
        for v, c in other.terms.items():
            terms[v] = terms.get(v, 0) + c
        return Index(self.const + other.const, terms)

    def __mul__(self, factor: int) -> Index:
        if factor == 1:
            return self
        return Index(self.const * factor, {v: c * factor for v, c in self.terms.items()})

    @property
    def key(self) -> tuple:
        if self._key is None:
            self._key = self.const, frozenset(self.terms.items())
        return self._key

    @property
    def lane(self) -> int:
        """How far neighboring lanes lie apart."""
        return sum(c for v, c in self.terms.items() if v.lane)

    @property
    def largest(self) -> int:
        """A value that it never exceeds."""
        return self.const + sum(c * (v.extent - 1) for v, c in self.terms.items() if c > 0)

    @property
    def ends(self) -> tuple[int, int] | None:
        """The least and the largest value that it takes, where all its variables are known to take theirs."""
        least = most = self.const
        for v, c in self.terms.items():
            if v.ends is None:
                return None
            low, high = v.ends
            least, most = (least + c * low, most + c * high) if c > 0 else (least + c * high, most + c * low)
        return least, most

    def divmod(self, m: int, builder: ir.IRBuilder) -> tuple[Index, Index]:
        """Quotient and remainder by a constant, kept affine where that can be known."""
        if m == 1:
            return self, Index()
        whole = {v: c // m for v, c in self.terms.items() if c % m == 0}
        rest = Index(self.const % m, {v: c for v, c in self.terms.items() if c % m})
        if all(c >= 0 for c in rest.terms.values()) and rest.largest < m:
            return Index(self.const // m, whole), rest
        if self.lane:
            raise NotVectorizable
        value = self.emit(builder)
        extent = self.largest + 1
        quotient = Variable(builder.udiv(value, I64(m)), -(-extent // m))
        return Index.of(quotient), Index.of(Variable(builder.urem(value, I64(m)), min(m, extent)))

    def emit(self, builder: ir.IRBuilder) -> ir.Value:
        """Its value for lane 0, as an instruction."""
        total = symbolic(self.terms, builder)
        if total is None:
            return I64(self.const)
        return builder.add(total, I64(self.const)) if self.const else total


def _index(const: int, terms: dict[Variable, int]) -> Index:
    """An Index of terms without zeros, which are not copied."""
    made = Index.__new__(Index)
    made.const, made.terms, made._key = const, terms, None
    return made


def symbolic(terms: dict[Variable, int], builder: ir.IRBuilder) -> ir.Value | None:
    """The sum of the terms for lane 0, or None where there are none."""
    total = None
    for v, c in terms.items():
        term = v.value if c == 1 else builder.mul(v.value, I64(c))
        total = term if total is None else builder.add(total, term)
    return total


def strides(shape: Sequence[int]) -> list[int]:
    """Elements between neighbors along each axis of a C-ordered array.

    >>> strides((2, 3, 4))
    [12, 4, 1]
    """
    result = [1] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        result[i] = result[i + 1] * shape[i + 1]
    return result


def linear(index: Sequence[Index], shape: Sequence[int]) -> Index:
    """The position of an element in a C-ordered array."""
    const = 0
    terms: dict[Variable, int] = {}
    for i, s in zip(index, strides(shape), strict=True):
        const += i.const * s
        for v, c in i.terms.items():
            terms[v] = terms.get(v, 0) + c * s
    return Index(const, terms)


def reshaped(index: Sequence[Index], new: Sequence[int], old: Sequence[int], builder: ir.IRBuilder) -> list[Index]:
    """The index into shape ``old`` of the element that ``index`` names in shape ``new``."""
    result: list[Index] = []
    i = j = 0
    while i < len(new) or j < len(old):
        a, b = _matching(new, old, i, j)
        rest = linear(index[i:a], new[i:a])
        group: list[Index] = []
        for n in reversed(old[j + 1 : b]):
            rest, here = rest.divmod(n, builder)
            group.append(here)
        result += [rest, *reversed(group)] if b > j else []
        i, j = a, b
    return result


def _matching(new: Sequence[int], old: Sequence[int], i: int, j: int) -> tuple[int, int]:
    """Ends of the shortest runs new[i:a] and old[j:b] with equal products; lengths of 1 that follow belong to them."""
    a, b, m, n = i, j, 1, 1
    while (a == i and b == j) or m != n:
        if a < len(new) and (m <= n or b == len(old)):
            m, a = m * new[a], a + 1
        elif b < len(old):
            n, b = n * old[b], b + 1
        else:
            break
    while a < len(new) and new[a] == 1:
        a += 1
    while b < len(old) and old[b] == 1:
        b += 1
    return a, b


def at_lane(i: Index, k: int) -> Index:
    """The index for lane k alone."""
    return Index(i.const + i.lane * k, {t.first: c for t, c in i.terms.items()})


def unravel(number: Index, lengths: Sequence[int], b: ir.IRBuilder) -> tuple[Index, list[Index]]:
    """A number as an index of a space of these lengths in C order, and what is left above it."""
    index: list[Index] = []
    for n in reversed(lengths):
        number, here = number.divmod(n, b)
        index.insert(0, here)
    return number, index
