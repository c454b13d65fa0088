"""Random programs for the fuzz tests: operations drawn one by one, with a bound on what rounding may do to each value.

A value that is *exact* (small multiples of a power of two, where nothing is rounded) may go where a tiny difference
would make a large one: into a comparison, `floor`, `argmax`, or a cast to whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from string import ascii_lowercase
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

import pellucid as pel
from pellucid import ops
from pellucid.graph import Value
from pellucid.ops.elementwise import bit_xor, shift_right
from pellucid.ops.movement import pad_with

LENGTHS = (1, 1, 2, 3, 4, 5, 7, 15, 16, 17, 19, 33)
DEPTH = 20  # operations, each of one or several primitives
LARGEST = 700  # elements of a value that is not a state
EXACT_BITS = 20
WORST = 3000.0  # rounding errors, in units of the last place of 1, from which a value is no longer used


class Known(NamedTuple):
    """A value, the largest magnitude it may have, its rounding error (in epsilons), and its grid, if it is exact."""

    value: Value
    mag: float
    error: float
    grid: float  # it is a multiple of this; 0: not exact

    @property
    def exact(self) -> bool:
        return self.grid > 0 and self.mag / self.grid < 2**EXACT_BITS

    @property
    def is_float(self) -> bool:
        return self.value.dtype in ("float32", "float64")


@dataclass
class Drawn:
    """A program that was drawn, with arrays for its leaves."""

    program: pel.Program
    state: dict[str, np.ndarray]
    inputs: dict[str, np.ndarray]
    batch: int
    errors: dict[str, float]  # of outputs and of new states, absolute; -1: not known
    numbers: bool  # all outputs are shared numbers


@dataclass
class Room:
    """What is drawn so far. Each operation draws its choices from a seed of its own, so that a failing program shrinks
    by losing operations."""

    random: Random
    dtype: str
    batch: int
    pool: list[Known] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    states: list[Value] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    streams: int = 0

    def number(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def chance(self, one_in: int) -> bool:
        return self.number(1, one_in) == one_in

    def one_of(self, things):
        return self.random.choice(list(things))

    def permuted(self, things) -> list:
        things = list(things)
        return self.random.sample(things, len(things))

    def pick(self, test: Callable[[Known], bool] = lambda k: True) -> Known | None:
        """A value that passes the test, newer ones more often; None where there is none."""
        fitting = [k for k in self.pool if test(k)]
        if not fitting:
            return None
        back = min(self.number(0, len(fitting) - 1), self.number(0, len(fitting) - 1))
        return fitting[-1 - back]

    def add(self, value: Value, mag: float, error: float = 0.0, grid: float = 0.0) -> None:
        if value.size > LARGEST or error > WORST or mag > 1e4 or any(n == 0 for n in value.shape):
            return
        self.pool.append(
            Known(value, mag, error if not grid else 0.0, grid if grid and mag / grid < 2**EXACT_BITS else 0)
        )

    def shape(self, ndim: int | None = None) -> tuple[int, ...]:
        ndim = self.number(0, 3) if ndim is None else ndim
        shape: list[int] = []
        for _ in range(ndim):
            n = self.one_of(LENGTHS)
            shape.append(n if math.prod(shape) * n <= 400 else self.number(1, 2))
        return tuple(shape)


# ---- leaves -----------------------------------------------------------------------------------------------------


def filled(room: Room, shape, dtype: str, high: int = 8) -> np.ndarray:
    """Multiples of a quarter in -2..2, or whole numbers 0..high-1."""
    seed = np.random.default_rng(len(room.arrays))
    if dtype.startswith("float"):
        return (seed.integers(-8, 9, shape) / 4).astype(dtype)
    return seed.integers(0, 2 if dtype == "bool" else high, shape).astype(dtype)


def leaf(room: Room, kind: str, shape, dtype: str) -> Value:
    name = f"{kind}{len(room.arrays)}"
    if kind == "state":
        v = pel.state(name, shape, dtype)
        room.states.append(v)
    else:
        v = pel.input(name, shape, dtype, kind)
        room.inputs.append(v)
    lead = (room.batch,) if kind == "sample" else ()
    room.arrays[name] = filled(room, lead + tuple(shape), dtype)
    room.pool.append(Known(v, 2.0, 0.0, 0.25) if dtype.startswith("float") else Known(v, 8.0, 0.0, 1.0))
    return v


def leaves(room: Room) -> None:
    for _ in range(room.number(1, 3)):
        leaf(room, "sample", room.shape(), room.dtype)
    for _ in range(room.number(0, 2)):
        leaf(room, "shared", room.shape(), room.dtype)
    for _ in range(room.number(0, 3)):
        v = leaf(room, "state", room.shape(), room.dtype)
        if room.chance(3):
            leaf(room, "state", v.shape, v.dtype)
    if room.chance(3):
        leaf(room, "state", room.one_of([(1030,), (33, 35), (3, 19, 19), (1025, 1)]), room.dtype)
    if room.chance(2):
        leaf(room, room.one_of(["sample", "shared", "state"]), room.shape(room.number(0, 1)), "int32")
    if room.chance(3):
        leaf(room, room.one_of(["sample", "shared"]), room.shape(), room.one_of(["uint8", "bool", "int64", "uint32"]))
    if room.chance(4):
        v = ops.constant(filled(room, room.shape(), room.dtype))
        room.pool.append(Known(v, 2.0, 0.0, 0.25))


# ---- operations: each draws its operands from the pool and adds what it makes -------------------------------------

UNARY = {  # name: function, largest value it gives for a magnitude, largest slope for a magnitude
    "tanh": (ops.tanh, lambda m: 1, lambda m: 1),
    "erf": (ops.erf, lambda m: 1, lambda m: 1.2),
    "exp": (lambda x: ops.exp(ops.minimum(x, 2)), lambda m: 8, lambda m: 8),
    "expm1": (lambda x: ops.expm1(ops.minimum(x, 2)), lambda m: 8, lambda m: 8),
    "log": (lambda x: ops.log(abs(x) + 0.5), lambda m: 10, lambda m: 2),
    "log1p": (lambda x: ops.log1p(abs(x)), lambda m: 10, lambda m: 1),
    "sqrt": (lambda x: ops.sqrt(abs(x) + 0.5), lambda m: 1 + m**0.5, lambda m: 1),
    "power": (lambda x: (abs(x) + 0.5) ** 1.5, lambda m: (m + 1) ** 1.5, lambda m: 2 * (m + 1) ** 0.5),
    "sigmoid": (ops.sigmoid, lambda m: 1, lambda m: 1),
    "softplus": (ops.softplus, lambda m: m + 1, lambda m: 1),
    "reciprocal": (lambda x: 1 / (abs(x) + 0.5), lambda m: 2, lambda m: 4),
}


def unary(room):
    if k := room.pick(lambda k: k.is_float):
        function, mag, slope = UNARY[room.one_of(UNARY)]
        room.add(function(k.value), mag(k.mag), k.error * slope(k.mag) + 4 * mag(k.mag))


def exact_unary(room):
    if k := room.pick(lambda k: k.is_float):
        name = room.one_of(["negative", "absolute", "floor", "sign", "half"])
        if name == "half":
            room.add(k.value * 0.5, k.mag / 2, k.error, k.grid / 2)
        elif name in ("negative", "absolute"):
            room.add(-k.value if name == "negative" else abs(k.value), k.mag, k.error, k.grid)
        elif k.exact:
            room.add(getattr(ops, name)(k.value), k.mag + 1, 0, 1)


def fitted(room, a: Value, b: Value) -> tuple[Value, Value]:
    """Two values that broadcast: the second is summed to a number where it would not."""
    try:
        if math.prod(np.broadcast_shapes(a.shape, b.shape)) <= LARGEST:
            return a, b
    except ValueError:
        pass
    return a, ops.max(b)


def binary(room):
    a = room.pick(lambda k: k.is_float)
    b = room.pick(lambda k: k.is_float)
    if a is None or b is None:
        return
    x, y = fitted(room, a.value, b.value)
    if room.chance(2):
        x, y, a, b = y, x, b, a
    grid = min(a.grid, b.grid)
    name = room.one_of(["add", "subtract", "multiply", "divide", "maximum", "minimum"])
    if name == "multiply":
        mag = a.mag * b.mag
        room.add(x * y, mag, a.error * b.mag + b.error * a.mag + mag, a.grid * b.grid)
    elif name == "divide":
        room.add(x / (abs(y) + 1), a.mag, a.error + b.error * a.mag + 3 * a.mag)
    elif name in ("maximum", "minimum"):
        room.add(getattr(ops, name)(x, y), max(a.mag, b.mag), max(a.error, b.error), grid)
    else:
        mag = a.mag + b.mag
        room.add(x + y if name == "add" else x - y, mag, a.error + b.error + mag, grid)


def compare(room):
    a = room.pick(lambda k: k.exact and k.value.dtype != "bool")
    b = a and room.pick(lambda k: k.exact and k.value.dtype == a.value.dtype)
    if a and b:
        x, y = fitted(room, a.value, b.value) if a.value.dtype != "uint8" else (a.value, a.value)
        how = room.one_of([lambda: x < y, lambda: x <= y, lambda: x > y, lambda: ops.equal(x, y)])
        room.add(how(), 1, 0, 1)


def logic(room):
    a = room.pick(lambda k: k.value.dtype == "bool")
    b = room.pick(lambda k: k.value.dtype == "bool")
    if a and b:
        if a.value.shape != b.value.shape:
            b = a
        room.add(room.one_of([a.value & b.value, a.value | b.value, ~a.value]), 1, 0, 1)


def choose(room):
    c = room.pick(lambda k: k.value.dtype == "bool")
    a = room.pick(lambda k: k.is_float)
    if c and a:
        try:
            if math.prod(np.broadcast_shapes(c.value.shape, a.value.shape)) > LARGEST:
                return
        except ValueError:
            return
        room.add(ops.where(c.value, a.value, room.one_of([0, 1])), max(a.mag, 1), a.error, min(a.grid, 1))


def cast(room):
    k = room.pick(lambda k: k.exact)
    if k is None:
        return
    dtype = room.one_of(["int32", "int64", "uint32", "uint8", "bool", room.dtype, room.dtype])
    x = k.value
    if dtype in ("uint32", "uint8", "int32", "int64") and k.is_float:
        x = ops.floor(abs(x)) if dtype[0] == "u" else x
    if dtype[0] == "u" and x.dtype in ("int32", "int64"):
        x = abs(x)
    if dtype == "uint8" and k.mag > 255:
        return
    grid = (k.grid if k.is_float and dtype in ("float32", "float64") else 1.0) if dtype != "bool" else 1.0
    room.add(ops.cast(x, dtype), k.mag if dtype != "bool" else 1, 0, grid)


def whole(room):
    a = room.pick(lambda k: k.value.dtype in ("int32", "int64", "uint32"))
    b = a and room.pick(lambda k: k.value.dtype == a.value.dtype)
    if not (a and b):
        return
    x, y = fitted(room, a.value, b.value)
    name = room.one_of(["add", "multiply", "subtract", "maximum", "minimum", "xor", "shift", "sum"])
    if name == "add":
        room.add(x + y, a.mag + b.mag, 0, 1)
    elif name == "multiply":
        room.add(x * y, a.mag * b.mag, 0, 1)
    elif name == "subtract" and x.dtype != "uint32":
        room.add(x - y, a.mag + b.mag, 0, 1)
    elif name in ("maximum", "minimum"):
        room.add(getattr(ops, name)(x, y), max(a.mag, b.mag), 0, 1)
    elif x.shape == y.shape and name == "xor":
        room.add(bit_xor(x, y), 2 * (a.mag + b.mag) + 2, 0, 1)
    elif name == "shift":
        room.add(shift_right(x, ops.fill(room.number(0, 5), x.shape, x.dtype)), a.mag + 1, 0, 1)


def factors(room, n: int, most: int = 3) -> tuple[int, ...]:
    shape = []
    for _ in range(room.number(0, most - 1)):
        d = room.one_of([d for d in range(1, n + 1) if n % d == 0][:6])
        shape.append(d)
        n //= d
    return (*shape, n) if n > 1 or not shape or room.chance(2) else tuple(shape)


def view(room):
    k = room.pick()
    x = k.value
    name = room.one_of(["reshape", "transpose", "broadcast", "slice", "flip", "index", "new axis", "stop"])
    if name == "reshape":
        y = ops.reshape(x, factors(room, x.size))
    elif name == "transpose":
        y = ops.transpose(x, room.permuted(range(x.ndim)))
    elif name == "broadcast":
        shape = [room.one_of(LENGTHS) if n == 1 else n for n in x.shape]
        shape = ([room.one_of(LENGTHS)] if room.chance(2) and x.ndim < 3 else []) + shape
        if math.prod(shape) > LARGEST:
            return
        y = ops.broadcast_to(x, shape)
    elif name == "slice":
        keys = []
        for n in x.shape:
            start = room.number(0, n - 1)
            keys.append(slice(start, room.number(start + 1, n), room.number(1, 3)))
        y = x[tuple(keys)]
    elif name == "flip":
        y = ops.flip(x)
    elif name == "index" and x.ndim:
        y = x[(*[slice(None)] * room.number(0, x.ndim - 1), room.one_of([0, -1, slice(None, None, -1)]))]
    elif name == "new axis" and x.ndim < 3:
        y = ops.expand_dims(x, room.number(0, x.ndim))
    else:
        y = ops.stop_gradient(x)
    room.add(y, k.mag, k.error, k.grid)


def padding(room):
    if k := room.pick(lambda k: k.value.ndim):
        low, high, gap = (tuple(room.number(0, 2) for _ in k.value.shape) for _ in range(3))
        if room.chance(2):
            gap = (0,) * k.value.ndim
        value = 1 if k.value.dtype == "bool" else room.one_of([0, 1, 2])
        room.add(
            pad_with(k.value, low=low, high=high, interior=gap, value=value), max(k.mag, 2), k.error, min(k.grid, 1)
        )


def part_of_sum(room):
    """Some of a sum of padded values, as back-propagation through slices makes: paddings fall away with their parts."""
    k = room.pick(lambda k: k.is_float and k.value.ndim)
    if not k:
        return
    y, mag, error, grid = k.value, k.mag, k.error, k.grid
    for _ in range(room.number(1, 2)):
        widths = [(room.number(0, 2), room.number(0, 2)) for _ in y.shape]
        y, mag, grid = ops.pad(y, widths, room.one_of([0, 0, 1])), max(mag, 1), min(grid, 1)
        other = room.pick(lambda k: k.is_float)
        z = fitted(room, y, other.value)[1]
        if math.prod(np.broadcast_shapes(y.shape, z.shape)) > LARGEST or len(z.shape) > y.ndim:
            z = ops.max(z)
        if room.chance(2):
            z = ops.max(z) + ops.pad(k.value, [(a, b + n - m) for (a, b), n, m in zip(
                [(0, 0)] * k.value.ndim, y.shape, k.value.shape, strict=True)])  # fmt: skip
            mag, error = mag + k.mag, error + k.error + k.mag
        y, mag, error, grid = y + z, mag + other.mag, error + other.error + mag + other.mag, min(grid, other.grid)
    keys = []
    for n in y.shape:
        start = room.number(0, n - 1)
        keys.append(slice(start, room.number(start + 1, n), room.one_of([1, 1, 1, 2])))
    room.add(y[tuple(keys)], mag, error, grid)


def loop(room):
    """A state carried over the first axis of a value: s = s / 2 + x / 4, all of it or its end."""
    k = room.pick(lambda k: k.is_float and k.value.ndim and k.value.shape[0] <= 7)
    start = k and room.pick(lambda s: s.value.shape == k.value.shape[1:] and s.value.dtype == k.value.dtype)
    if not k:
        return
    first = start.value if start else ops.fill(0, k.value.shape[1:], k.value.dtype)
    mag = max(k.mag, start.mag if start else 0)
    error = 2 * (max(k.error, start.error if start else 0) + 2 * mag)
    reverse, heavy = room.chance(2), room.chance(2)

    def body(s, x):
        new = ops.tanh(s) * 0.5 + x * 0.25 if heavy else s * 0.5 + x * 0.25
        return new, room.one_of([new, s, (new, s * x), (s, new)])

    last, ys = ops.scan(body, first, k.value, reverse=reverse, remat=room.chance(4),
                        truncate=room.one_of([None, None, 2]))  # fmt: skip
    room.add(last, mag, error)
    for y in ys if isinstance(ys, tuple) else (ys,):
        room.add(y, mag * max(mag, 1), error * (2 * mag + 1))


def joining(room):
    a = room.pick(lambda k: k.value.ndim)
    if not a:
        return
    axis = room.number(0, a.value.ndim - 1)

    def fits(k):
        s, t = list(k.value.shape), list(a.value.shape)
        return (
            k.value.dtype == a.value.dtype and len(s) == len(t) and s[:axis] + s[axis + 1 :] == t[:axis] + t[axis + 1 :]
        )

    parts = [room.pick(fits) for _ in range(room.number(1, 3))]
    if room.chance(3):
        parts = [p for p in parts if p.value.shape == parts[0].value.shape]
        y = ops.stack([p.value for p in parts], room.number(0, a.value.ndim))
        if y.ndim > 3:
            return
    else:
        y = ops.concatenate([p.value for p in parts], axis)
    room.add(y, max(p.mag for p in parts), max(p.error for p in parts), min(p.grid for p in parts))


def summed(n: int, k: Known) -> float:
    """The error of a sum of n numbers one after the other: roundings of about its size, in random directions."""
    return n * (k.error + k.mag * n**0.5)


def reduction(room):
    k = room.pick(lambda k: k.value.dtype not in ("bool", "uint8") and k.value.ndim)
    if not k:
        return
    x = k.value
    axes = [a for a in range(x.ndim) if room.chance(2)] or [room.number(0, x.ndim - 1)]
    n = math.prod(x.shape[a] for a in axes)
    name = room.one_of(["sum", "max", "min", "argmax", "mean", "softmax", "logsumexp"])
    keep = room.chance(3)
    if name == "sum":
        room.add(ops.sum(x, axes, keep), k.mag * n, summed(n, k), k.grid)
    elif name in ("max", "min"):
        room.add(getattr(ops, name)(x, axes, keep), k.mag, k.error, k.grid)
    elif name == "argmax":
        if k.exact:
            room.add(ops.argmax(x, axes[0]), x.shape[axes[0]], 0, 1)
    elif k.is_float:
        if name == "mean":
            room.add(ops.mean(x, axes, keep), k.mag, k.error + 4 * k.mag + n * k.mag / 4)
        elif name == "softmax":
            room.add(ops.softmax(x, axes[0]), 1, 2 * k.error + 4 + k.mag)
        else:
            room.add(ops.logsumexp(x, axes, keep), k.mag + 8, k.error + 4 * (k.mag + 8) + n)


def batch_sum(room):
    if k := room.pick(lambda k: k.value.kind == "sample" and k.value.dtype not in ("bool", "uint8")):
        n = room.batch
        room.add(ops.batch_sum(k.value), k.mag * n, summed(n, k), k.grid)


def sample_kinds(room):
    name = room.one_of(["to_samples", "all_samples", "each_sample", "sample_index", "batch_size"])
    if name == "to_samples" and (k := room.pick(lambda k: k.value.kind == "shared")):
        room.add(ops.to_samples(k.value), k.mag, k.error, k.grid)
    elif name == "all_samples" and (k := room.pick(lambda k: k.value.kind == "sample" and k.value.ndim < 3)):
        room.add(ops.all_samples(k.value, room.batch), k.mag, k.error, k.grid)
    elif name == "each_sample":
        if k := room.pick(lambda k: k.value.kind == "shared" and k.value.shape[:1] == (room.batch,)):
            room.add(ops.each_sample(k.value), k.mag, k.error, k.grid)
    elif name == "sample_index":
        room.add(ops.sample_index(), room.batch, 0, 1)
    elif name == "batch_size":
        room.add(ops.batch_size(room.dtype), room.batch, 0, 1)


def contraction(room):
    a = room.pick(lambda k: k.is_float and k.value.ndim)
    b = room.pick(lambda k: k.is_float)
    if not a or not b:
        return
    free = iter(ascii_lowercase)
    x = [next(free) for _ in a.value.shape]
    y: list[str] = []
    for n in b.value.shape:
        same = [c for c, m in zip(x, a.value.shape, strict=True) if m == n and c not in y]
        y.append(room.one_of(same) if same and not room.chance(4) else next(free))
    lengths = dict(zip(x + y, a.value.shape + b.value.shape, strict=True))
    both = [c for c in x if c in y]
    inner = [c for c in both if room.chance(2)]
    out = room.permuted(c for c in dict.fromkeys(x + y) if c not in inner)
    if len(out) > 3 or math.prod(lengths[c] for c in out) > LARGEST:
        return
    spec = f"{''.join(x)},{''.join(y)}->{''.join(out)}"
    n, mag = math.prod(lengths[c] for c in inner), a.mag * b.mag
    operands = (a.value, b.value)
    if room.chance(2):
        left, right = spec.split("->")
        operands, spec = operands[::-1], f"{','.join(left.split(',')[::-1])}->{right}"
    error = n * (a.error * b.mag + b.error * a.mag + (n + 1) * mag)
    room.add(ops.contract(*operands, spec), n * mag, error, a.grid * b.grid)


def weight_gradient(room):
    """The sum over samples of an outer product: what runs with features in lanes."""
    a = room.pick(lambda k: k.is_float and k.value.kind == "sample" and 1 <= k.value.ndim <= 2)
    b = room.pick(lambda k: k.is_float and k.value.kind == "sample" and k.value.ndim == 1)
    if a and b and a.value.size * b.value.size <= LARGEST:
        letters = "ij"[: a.value.ndim]
        out = "".join(room.permuted([*letters, "k"]))
        mag, n = a.mag * b.mag, room.batch
        error = n * (a.error * b.mag + b.error * a.mag + (n + 1) * mag)
        y = ops.batch_sum(ops.contract(a.value, b.value, f"{letters},k->{out}"))
        if room.chance(2):  # and something elementwise behind it, whose neighbors lie apart
            y, mag, error = y * seen_through(room, y.shape), 2 * mag, 2 * error
        room.add(y, n * mag, error, a.grid * b.grid / 4)


def seen_through(room, shape) -> Value:
    """A constant of this shape, through a view."""
    name = room.one_of(["transpose", "flip", "reshape", "pad", "slice"])
    if name == "transpose":
        return ops.transpose(ops.constant(filled(room, shape[::-1], room.dtype)))
    if name == "flip":
        return ops.flip(ops.constant(filled(room, shape, room.dtype)), room.number(0, len(shape) - 1))
    if name == "reshape":
        return ops.reshape(ops.constant(filled(room, shape[::-1], room.dtype)), shape)
    if name == "pad" and shape[-1] > 1:
        part = ops.constant(filled(room, (*shape[:-1], shape[-1] - 1), room.dtype))
        return ops.pad(part, [*[(0, 0)] * (len(shape) - 1), room.one_of([(0, 1), (1, 0)])], 1)
    return ops.constant(filled(room, (*shape[:-1], 2 * shape[-1]), room.dtype))[..., ::2]


def rows_of(room, n: int) -> Value | None:
    k = room.pick(lambda k: k.value.dtype in ("int32", "int64") and k.value.ndim <= 2)
    return k and ops.minimum(ops.maximum(k.value, 0), n - 1)


def gather(room):
    table = room.pick(lambda k: k.value.ndim and k.value.dtype not in ("bool", "uint8"))
    if table and (rows := rows_of(room, table.value.shape[0])) is not None:
        room.add(ops.take(table.value, rows), table.mag, table.error, table.grid)


def scatter(room):
    k = room.pick(lambda k: k.value.dtype not in ("bool", "uint8") and k.value.ndim <= 2)
    rows = k and room.pick(lambda r: r.value.dtype in ("int32", "int64") and r.value.ndim <= k.value.ndim
                           and k.value.shape[: r.value.ndim] == r.value.shape)  # fmt: skip
    if k and rows:
        size = room.number(1, 9)
        safe = ops.minimum(ops.maximum(rows.value, 0), size - 1)
        n = math.prod(rows.value.shape)
        room.add(ops.scatter_rows(k.value, safe, size), k.mag * n, summed(n, k), k.grid)


def table_gradient(room):
    """The sum over samples of tables to which values are added, as an embedding's gradient: pushed to their rows."""
    k = room.pick(lambda k: k.is_float and 1 <= k.value.ndim <= 3)
    if not k:
        return
    n, size = k.value.shape[0], room.number(1, 40)
    rows = ops.iota(n, "int32") * room.number(0, 3)
    if room.chance(2):
        rows = rows + ops.cast(ops.sample_index(), "int32") * room.number(0, 5)
    rows = ops.minimum(rows, size - 1)
    y = ops.scatter_rows(k.value, size - 1 - rows if room.chance(2) else rows, size)
    if y.size > LARGEST:
        return
    n, y = (n * room.batch, ops.batch_sum(y)) if y.kind == "sample" else (n, y)
    mag, error, grid = k.mag * n, summed(n, k), k.grid
    if room.chance(2):
        y, mag, error, grid = y * seen_through(room, y.shape), 2 * mag, 2 * error, grid / 4
    room.add(y, mag, error, grid)


def one_hot(room):
    if k := room.pick(lambda k: k.value.dtype in ("int32", "int64") and k.value.ndim <= 2):
        room.add(ops.one_hot(k.value, room.number(1, 6), like=ops.fill(0, (), room.dtype)), 1, 0, 1)


def randomness(room):
    key = next((v for v in room.states if v.name == "key"), None)
    if key is None:
        key = pel.state("key", (2,), "uint32")
        room.states.append(key)
        room.arrays["key"] = np.array([5, 77], "uint32")
    room.streams += 1
    name, kind = room.one_of(["uniform", "normal", "bernoulli", "bits"]), room.one_of(["sample", "shared"])
    stream, shape = ops.fold_in(key, room.streams), room.shape()
    if name == "uniform":
        room.add(ops.uniform(stream, shape, room.dtype, kind=kind), 1, 1)
    elif name == "normal":
        room.add(ops.normal(stream, shape, room.dtype, kind=kind), 7, 300)
    elif name == "bernoulli":
        room.add(ops.bernoulli(stream, 0.375, shape, room.dtype, kind=kind), 1, 0, 1)
    else:
        bits = ops.random_bits(stream, shape, kind)
        room.add(shift_right(bits, ops.fill(24, shape, "uint32")), 256, 0, 1)


OPERATIONS = [
    unary, unary, exact_unary, binary, binary, binary, compare, logic, choose, cast, whole, view, view, view, padding,
    part_of_sum, loop,
    joining, reduction, reduction, batch_sum, sample_kinds, contraction, contraction, weight_gradient,
    weight_gradient, gather, scatter, table_gradient,
    one_hot, randomness,
]  # fmt: skip


# ---- programs ---------------------------------------------------------------------------------------------------


def new_state(room: Room, s: Value) -> Known | None:
    """A value that the state may take: another of its type, or one made to fit."""
    floats = s.dtype == room.dtype
    if same := room.pick(lambda k: k.value.type == s.type):
        if not floats or room.chance(3):
            return same
        return Known(s * 0.5 + same.value, same.mag + 2, same.error + same.mag + 2, 0)
    if not floats:
        return None
    k = room.pick(lambda k: k.is_float)
    assert k is not None
    x, mag, error = k.value, k.mag, k.error
    if x.kind == "sample":
        x, mag, error = ops.batch_mean(x), mag, error + (room.batch + 2) * mag
    x = fitted(room, s, x)[1]
    try:
        x = ops.broadcast_to(x, s.shape)
    except pel.GraphError:
        x = ops.broadcast_to(ops.max(x), s.shape)
    other = room.one_of([s, *(t for t in room.states if t.type == s.type)])
    return Known(other * 0.5 + x, mag + 2, error + mag + 2, 0)


def slopes(room: Room) -> list[Known]:
    """Derivatives of a weighted sum of one value in some of the leaves (in float64: no bound on rounding is kept)."""
    y = room.pick(lambda k: k.is_float and k.value.inputs)
    floats = [v for v in [*room.inputs, *room.states] if v.dtype == room.dtype]
    if not y or not floats:
        return []
    weight = ops.constant(filled(room, y.value.shape, room.dtype))
    cost = ops.sum(y.value * weight)
    cost = ops.batch_sum(cost) if cost.kind == "sample" else cost
    found = pel.grad(cost, floats[:3])
    if room.chance(2):  # and those of the sum of one of them
        cost = ops.sum(ops.tanh(found[0] * 0.125))
        found += pel.grad(ops.batch_sum(cost) if cost.kind == "sample" else cost, floats[:3])
    return [Known(g, -1, 0, 0) for g in found]


@st.composite
def programs(draw, width: int) -> Drawn:
    """A random program and arrays for it; outputs of any shape, or (for `steps`) shared numbers."""
    batch = draw(st.sampled_from([1, 2, 3, 5, width - 1, width, width + 1, 2 * width + 3]))
    seeds = st.integers(0, 2**32)
    room = Room(Random(draw(seeds)), draw(st.sampled_from(["float32", "float64"])), batch)
    leaves(room)
    for seed in draw(st.lists(seeds, min_size=DEPTH // 3, max_size=DEPTH)):
        room.random = Random(seed)
        room.one_of(OPERATIONS)(room)
    room.random = Random(draw(seeds))
    used = {i for k in room.pool for i in pel.graph.toposort([k.value]) if i is not k.value}
    ends = [k for k in room.pool if k.value not in used][-5:] if room.chance(2) else []
    found = ends or [room.pick() for _ in range(room.number(1, 3))]
    numbers = room.chance(2)
    if numbers:
        found = [total(room, k) for k in found if k.value.dtype not in ("bool", "uint8")]
    elif room.dtype == "float64" and room.chance(3):
        found += slopes(room)
    outputs = {f"out{i}": k for i, k in enumerate(found)}
    fresh = {s: new_state(room, s) for s in room.states if room.chance(2)}
    fresh = {s: k for s, k in fresh.items() if k is not None}
    program = pel.Program(room.inputs, {n: k.value for n, k in outputs.items()}, {s: k.value for s, k in fresh.items()})
    known = outputs | {s.name: k for s, k in fresh.items()}
    epsilon = float(np.finfo(room.dtype).eps)
    errors = {n: -1.0 if k.mag < 0 else epsilon * (2 * k.error + k.mag) for n, k in known.items()}
    state = {name: room.arrays[name] for name in program.state}
    inputs = {v.name: room.arrays[v.name] for v in room.inputs}
    return Drawn(program, state, inputs, room.batch, errors, numbers)


def total(room: Room, k: Known) -> Known:
    """All elements of all samples as one shared number."""
    n = k.value.size * (room.batch if k.value.kind == "sample" else 1)
    y = ops.sum(k.value)
    return Known(ops.batch_sum(y) if y.kind == "sample" else y, n * k.mag, summed(n, k), k.grid)
