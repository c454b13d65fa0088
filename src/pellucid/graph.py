"""The graph: Values, and the Primitives that make them. Imports nothing of the package.

A graph is written for one sample, as the lectures write their formulas. A `Value` has a *kind*:

- ``sample``: one value per sample; its shape has no batch axis (an image, an activation, a loss);
- ``shared``: one value for all samples (a weight, a learning rate, the cost of a batch).

An operation on any sample value gives a sample value; `batch_sum` turns sample into shared.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from .errors import ArgumentError, GraphError

Shape = tuple[int, ...]
Kind = Literal["sample", "shared"]

MOST_ELEMENTS = 1 << 40  # of one Value: indices of them stay far within 64 bits
DTYPES = ("float32", "float64", "int32", "int64", "uint8", "uint32", "bool")


class cached_property:
    """A property computed at its first use and kept.

    Without the lock of functools.cached_property before Python 3.12: a fork while another thread is inside it would
    leave it closed for ever in the child.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function, self.__doc__ = function, function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        value = self.function(instance)
        return instance.__dict__.setdefault(self.name, value)


class Option(NamedTuple):
    """What an option of a primitive may be, in words and as a test."""

    text: str
    test: Callable[[Any], bool]


class Type(NamedTuple):
    """What is known of a Value before anything runs."""

    shape: Shape
    dtype: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.kind} {self.dtype} {self.shape}"


@dataclass(frozen=True, eq=False)
class Primitive:
    """One operation: its shape rule, its formula and its derivative rule.

    - ``rule(*types, **attributes) -> (shape, dtype)``
    - ``options``: what each attribute may be, checked before the rule sees it (None: the rule checks them).
    - ``check(inputs, attributes)``: where the rule needs more than types.
    - ``forward(xp, *arrays, **attributes)``: the formula. ``xp`` has numpy's names; axes are counted from the
      right, so that a leading axis of samples, where there is one, stays out of the way.
    - ``vjp(g, y, *inputs, **attributes) -> one cotangent per input`` (None: no derivative), in graph operations; or
      it is entered by `defvjp`.
    - ``kind``: "any" (sample if an input is), or the kind it always gives.
    - ``needs_batch``: the formula is also given ``batch``, the number of samples.
    - ``forward_summed``: the formula of `batch_sum` of this operation where that is much cheaper than its parts.
    - ``samples``: drives every test of it.
    """

    name: str
    rule: Callable[..., tuple[Shape, str]]
    forward: Callable[..., Any]
    vjp: Callable[..., tuple[Value | None, ...]] | None = None
    kind: Literal["any", "sample", "shared"] = "any"
    elementwise: bool = False
    needs_batch: bool = False
    forward_summed: Callable[..., Any] | None = None
    samples: tuple[Sample, ...] = ()
    options: Mapping[str, Option] | None = None
    check: Callable[[tuple[Value, ...], Mapping[str, Any]], None] | None = None

    def __call__(self, *inputs: Value, name: str | None = None, **attributes: Any) -> Value:
        for i in inputs:
            if not isinstance(i, Value):
                raise GraphError(f"{self.name}: expected Values, got {type(i).__name__} {i!r}")
        if self.options is not None:
            self._check_options(self.options, attributes)
        if self.check is not None:
            self.check(inputs, attributes)
        lengths, dtype = self.rule(*(i.type for i in inputs), **attributes)
        shape = tuple(lengths)
        if any(type(n) is not int or n < 0 for n in shape) or math.prod(shape) > MOST_ELEMENTS:
            raise GraphError(f"{self.name}: a shape is made of whole numbers >= 0, at most {MOST_ELEMENTS} elements in "
                             f"all, got {shape}")  # fmt: skip
        kind = self.kind
        if kind == "any":
            kind = "sample" if any(i.kind == "sample" for i in inputs) else "shared"
        return Value(self, inputs, attributes, Type(shape, dtype, kind), name)

    def _check_options(self, options: Mapping[str, Option], given: Mapping[str, Any]) -> None:
        if given.keys() != options.keys():
            takes, got = (", ".join(names) or "none" for names in (options, given))
            raise GraphError(f"{self.name}: takes the options {takes}, got {got}")
        for name, (text, test) in options.items():
            if not test(given[name]):
                raise ArgumentError(f"{self.name}: {name} must be {text}, got {given[name]!r}")

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


@dataclass(frozen=True)
class Sample:
    """A case that the tests run an operation on: input arrays (or shapes, to be filled at random) and attributes."""

    inputs: tuple[Any, ...]
    attributes: Mapping[str, Any]
    check_gradient: bool = True


PRIMITIVES: dict[str, Primitive] = {}


def primitive(name: str, **parts: Any) -> Primitive:
    """Define a primitive and enter it in the registry."""
    if name in PRIMITIVES:
        raise ValueError(f"primitive {name!r} is defined twice")
    PRIMITIVES[name] = Primitive(name, **parts)
    return PRIMITIVES[name]


def defvjp(p: Primitive, rule: Callable[..., tuple[Value | None, ...]]) -> None:
    """Enter the derivative rule of a primitive that stands elsewhere, because it needs operations built on it."""
    if p.vjp is not None:
        raise ValueError(f"primitive {p.name!r} has a derivative rule already")
    object.__setattr__(p, "vjp", rule)


class Value:
    """A node of the graph: an operation applied to Values, with a static shape, dtype and kind.

    Arithmetic on Values (``+ - * / **``, comparisons, ``abs``, indexing) builds new Values; `pellucid.ops` attaches it.
    """

    __slots__ = ("attributes", "inputs", "name", "primitive", "type")
    __array_priority__ = 1000  # numpy lets our operators handle `array * value`
    __array_ufunc__ = None

    primitive: Primitive
    inputs: tuple[Value, ...]
    attributes: Mapping[str, Any]
    type: Type
    name: str | None

    def __init__(self, primitive, inputs, attributes, type, name=None) -> None:
        if not isinstance(type.dtype, str) or type.dtype not in DTYPES:
            raise ArgumentError(f"{primitive.name}: dtype {type.dtype!r} is not one of {', '.join(DTYPES)}")
        self.primitive, self.inputs, self.attributes, self.type, self.name = primitive, inputs, attributes, type, name

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def dtype(self) -> str:
        return self.type.dtype

    @property
    def kind(self) -> Kind:
        return self.type.kind

    @property
    def ndim(self) -> int:
        return len(self.type.shape)

    @property
    def size(self) -> int:
        """Number of elements (of one sample)."""
        return math.prod(self.shape)

    def __repr__(self) -> str:
        label = f" {self.name!r}" if self.name else ""
        rule = self.attributes.get("rule")  # of a formula that brings its own derivative
        return f"<{getattr(rule, '__name__', self.primitive.name)}{label}: {self.type}>"

    def __bool__(self) -> bool:
        raise GraphError(f"{self!r} has no truth value: it is a formula, not a number. Use where(condition, a, b).")

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a scalar Value has no length")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    if TYPE_CHECKING:  # `pellucid.ops` attaches these

        def _binary(self, other: Any, /) -> Value: ...
        def _unary(self) -> Value: ...
        def __getitem__(self, key: Any, /) -> Value: ...
        def reshape(self, *shape: Any) -> Value: ...
        @property
        def T(self) -> Value: ...

        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _binary
        __pow__ = __rpow__ = __lt__ = __le__ = __gt__ = __ge__ = __and__ = __or__ = _binary
        __neg__ = __abs__ = __invert__ = _unary


# ---- leaves -----------------------------------------------------------------------------------------------------


def _leaf_rule(*, shape, dtype, **_):
    return shape, dtype


def _leaf_forward(xp, **_):
    raise GraphError("a leaf has no formula: its value is given when the program runs")


sample_input = primitive("sample_input", rule=_leaf_rule, forward=_leaf_forward, kind="sample")
shared_input = primitive("shared_input", rule=_leaf_rule, forward=_leaf_forward, kind="shared")
state_leaf = primitive("state", rule=_leaf_rule, forward=_leaf_forward, kind="shared")


def input(name: str = "", shape: Shape = (), dtype: str = "float32", kind: Kind = "sample") -> Value:
    """A placeholder, given anew at each call of the compiled program.

    >>> input("x", (2,))
    <sample_input 'x': sample float32 (2,)>
    """
    if kind not in ("sample", "shared"):
        raise ArgumentError(f"input {name!r}: kind must be 'sample' or 'shared', got {kind!r}")
    make = sample_input if kind == "sample" else shared_input
    return make(name=name, shape=_lengths(shape, "input", name), dtype=dtype)


def state(name: str = "", shape: Shape = (), dtype: str = "float32") -> Value:
    """A shared value that lives from call to call: a weight, an optimizer's slot, a counter.

    >>> state("w", (3, 2))
    <state 'w': shared float32 (3, 2)>
    """
    return state_leaf(name=name, shape=_lengths(shape, "state", name), dtype=dtype)


def _lengths(shape: Iterable[Any], what: str, name: str) -> Shape:
    """A shape as ints, NumPy's whole numbers too; `ArgumentError` for a name that is none."""
    if not isinstance(name, str) or not name:
        meant = shape if isinstance(name, str) else name if isinstance(name, (tuple, list)) else (3,)
        raise ArgumentError(f'{what}: name must be text, got {name!r}; for example pel.{what}("x", {meant!r})')
    try:
        lengths = tuple(-1 if isinstance(n, (bool, np.bool_)) else operator.index(n) for n in shape)
    except TypeError:
        lengths = (-1,)
    if min(lengths, default=0) < 0:
        raise ArgumentError(f"{what} {name!r}: a shape is made of whole numbers >= 0, got {shape!r}")
    return lengths


# ---- walking ----------------------------------------------------------------------------------------------------


def toposort(
    outputs: Iterable[Value],
    given: Container[Value] = (),
    needs: Callable[[Value], tuple[Value, ...]] = operator.attrgetter("inputs"),
) -> list[Value]:
    """All Values that the outputs need, inputs before their users, each once; of the given ones not what they need.

    >>> x = input("x"); [v.name for v in toposort([x, x])]
    ['x']
    """
    order: list[Value] = []
    seen: set[Value] = set()
    stack = [(v, False) for v in reversed(list(outputs))]
    while stack:
        value, inputs_done = stack.pop()
        if inputs_done:
            order.append(value)
        elif value not in seen:
            seen.add(value)
            stack.append((value, True))
            if value not in given:
                stack.extend((i, False) for i in reversed(needs(value)) if i not in seen)
    return order
