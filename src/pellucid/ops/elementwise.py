"""Elementwise primitives, one block each: the formula, its derivative, and the points its tests run on.

`spread` gives them numpy's broadcasting.
"""

from __future__ import annotations

import math

import numpy as np

from ..errors import GraphError
from ..graph import Primitive, Sample, Value, primitive
from .movement import broadcast_to, constant, fill
from .options import DTYPE

FLOATS = ("float32", "float64")


def elementwise(name, forward, vjp=None, samples=(), dtypes=FLOATS, result=None) -> Primitive:
    """Define an elementwise primitive; all inputs have one shape and, unless ``result`` says otherwise, one dtype.

    ``samples`` holds one tuple of points for each input. ``result`` is the dtype it gives (None: that of its inputs).
    """

    def rule(*types, **attributes):
        first = types[0]
        for t in types[1:]:
            if t.shape != first.shape:
                raise GraphError(f"{name}: shapes {first.shape} and {t.shape} differ")
            if t.dtype != first.dtype:
                raise GraphError(f"{name}: dtypes {first.dtype} and {t.dtype} differ; use cast(x, dtype)")
        if first.dtype not in dtypes:
            raise GraphError(f"{name}: takes {' or '.join(dtypes)}, got {first.dtype}; use cast(x, dtype)")
        return first.shape, result or first.dtype

    points = tuple(np.array(s, None if dtypes[0] in FLOATS else dtypes[-1]) for s in samples)
    case = (Sample(points, {}, check_gradient=vjp is not None),) if samples else ()
    return primitive(name, rule=rule, forward=forward, vjp=vjp, elementwise=True, samples=case, options={})


NUMBERS = (*FLOATS, "int32", "int64", "uint32")
INTEGERS = ("int32", "int64", "uint32")
POINTS = (-2.5, -0.7, 0.4, 1.9)
OTHERS = (1.5, -0.3, 2.2, -1.1)
POSITIVE = (0.1, 0.9, 2.0, 7.5)
BITS = (0, 1, 77, 4294967295)
SHIFTS = (0, 5, 13, 31)

# ---- arithmetic -------------------------------------------------------------------------------------------------

add = elementwise("add", lambda xp, a, b: a + b, lambda g, y, a, b: (g, g), [POINTS, OTHERS], NUMBERS)
subtract = elementwise("subtract", lambda xp, a, b: a - b, lambda g, y, a, b: (g, -g), [POINTS, OTHERS], NUMBERS)
multiply = elementwise("multiply", lambda xp, a, b: a * b, lambda g, y, a, b: (g * b, g * a), [POINTS, OTHERS], NUMBERS)
divide = elementwise("divide", lambda xp, a, b: a / b, lambda g, y, a, b: (g / b, -g * y / b), [POINTS, OTHERS])
negative = elementwise("negative", lambda xp, x: -x, lambda g, y, x: (-g,), [POINTS], (*FLOATS, "int32", "int64"))
power = elementwise(
    "power",  # x ** 0 is 1 for every x, as IEEE has it; for a constant p only the first cotangent is ever used
    lambda xp, x, p: xp.power(x, p),
    lambda g, y, x, p: _power_vjp(g, y, x, p),
    [POSITIVE, OTHERS],
)


def _power_vjp(g: Value, y: Value, x: Value, p: Value) -> tuple[Value, Value]:
    """p x^(p-1), 0 for p = 0; y log(x), 0 for x = 0 and p >= 0: where a product of 0 and infinity would stand."""
    some = where(equals(p, 0), 1, p)
    inside = where(equals(x, 0) & (p >= 0), 1, x)
    return g * p * power(x, some - 1), g * y * log(inside)


# ---- functions --------------------------------------------------------------------------------------------------

exp = elementwise("exp", lambda xp, x: xp.exp(x), lambda g, y, x: (g * y,), [POINTS])
expm1 = elementwise("expm1", lambda xp, x: xp.expm1(x), lambda g, y, x: (g * (y + 1),), [POINTS])
log = elementwise("log", lambda xp, x: xp.log(x), lambda g, y, x: (g / x,), [POSITIVE])
log1p = elementwise("log1p", lambda xp, x: xp.log1p(x), lambda g, y, x: (g / (x + 1),), [POSITIVE])
sqrt = elementwise("sqrt", lambda xp, x: xp.sqrt(x), lambda g, y, x: (g * 0.5 / y,), [POSITIVE])
# For optimizers, within 2 units in the last place and without infinities: where a processor estimates 1/b and 1/sqrt(x)
# quickly, a step of a small net with Adam takes a tenth less (b not 0; 0 <= x < 1e37).
fast_divide = elementwise(
    "fast_divide",
    lambda xp, a, b: xp.fast_divide(a, b),
    lambda g, y, a, b: (g / b, -g * y / b),
    [POINTS, OTHERS],
)
fast_sqrt = elementwise("fast_sqrt", lambda xp, x: xp.fast_sqrt(x), lambda g, y, x: (g * 0.5 / y,), [POSITIVE])
tanh = elementwise("tanh", lambda xp, x: xp.tanh(x), lambda g, y, x: (g * (1 - y * y),), [POINTS])
erf = elementwise(
    "erf", lambda xp, x: xp.erf(x), lambda g, y, x: (g * (2 / math.sqrt(math.pi)) * exp(-x * x),), [POINTS]
)
absolute = elementwise(
    "absolute", lambda xp, x: xp.abs(x), lambda g, y, x: (g * sign(x),), [POINTS], (*FLOATS, "int32", "int64")
)
sign = elementwise("sign", lambda xp, x: xp.sign(x), None, [POINTS], (*FLOATS, "int32", "int64"))
floor = elementwise("floor", lambda xp, x: xp.floor(x), None, [POINTS])

# where a tie makes the derivative a choice, it goes to the second input: relu(x) = maximum(x, 0) has slope 0 at 0
maximum = elementwise(
    "maximum",
    lambda xp, a, b: xp.maximum(a, b),
    lambda g, y, a, b: (where(a > b, g, 0), where(a > b, 0, g)),
    [POINTS, OTHERS],
    NUMBERS,
)
minimum = elementwise(
    "minimum",
    lambda xp, a, b: xp.minimum(a, b),
    lambda g, y, a, b: (where(a < b, g, 0), where(a < b, 0, g)),
    [POINTS, OTHERS],
    NUMBERS,
)

# ---- comparisons, logic, choice ---------------------------------------------------------------------------------

COMPARABLE = (*NUMBERS, "uint8")
less = elementwise("less", lambda xp, a, b: a < b, None, [POINTS, OTHERS], COMPARABLE, "bool")
less_equal = elementwise("less_equal", lambda xp, a, b: a <= b, None, [POINTS, OTHERS], COMPARABLE, "bool")
equal = elementwise("equal", lambda xp, a, b: a == b, None, [POINTS, OTHERS], COMPARABLE, "bool")
logical_and = elementwise("logical_and", lambda xp, a, b: a & b, None, [(True, False), (True, True)], ("bool",))
logical_or = elementwise("logical_or", lambda xp, a, b: a | b, None, [(True, False), (False, False)], ("bool",))
logical_not = elementwise("logical_not", lambda xp, a: ~a, None, [(True, False)], ("bool",))


def _select_rule(condition, a, b):
    if condition.dtype != "bool":
        raise GraphError(f"where: the condition must be bool, got {condition.dtype}")
    if not condition.shape == a.shape == b.shape or a.dtype != b.dtype:
        raise GraphError(f"where: {condition}, {a} and {b} do not fit")
    return a.shape, a.dtype


select = primitive(
    "select",
    rule=_select_rule,
    forward=lambda xp, c, a, b: xp.where(c, a, b),
    vjp=lambda g, y, c, a, b: (None, where(c, g, 0), where(c, 0, g)),
    elementwise=True,
    samples=(Sample((np.array([True, False, True, False]), np.array(POINTS), np.array(OTHERS)), {}),),
    options={},
)

cast_to = primitive(
    "cast",
    rule=lambda x, *, dtype: (x.shape, dtype),
    forward=lambda xp, x, *, dtype: xp.astype(x, dtype),
    vjp=lambda g, y, x, *, dtype: (cast(g, x.dtype) if x.dtype in FLOATS and dtype in FLOATS else None,),
    elementwise=True,
    samples=(Sample((np.array(POINTS),), {"dtype": "float64"}),
             Sample((np.array(POINTS),), {"dtype": "int32"}, check_gradient=False)),
    options={"dtype": DTYPE},
)  # fmt: skip

# ---- integers (for random bits) ---------------------------------------------------------------------------------

bit_xor = elementwise("bit_xor", lambda xp, a, b: a ^ b, None, [BITS, SHIFTS], INTEGERS)
shift_right = elementwise("shift_right", lambda xp, a, b: a >> b, None, [BITS, SHIFTS], INTEGERS)

ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)


AT_ONCE = 1 << 14  # numbers that stay in a processor's cache through all rounds


def _threefry(xp, key0, key1, counter0, counter1):
    given = (key0, key1, counter0, counter1)
    if isinstance(counter0, np.ndarray) and counter0.size > AT_ONCE and {v.shape for v in given} == {(counter0.size,)}:
        found = np.empty(len(counter0), counter0.dtype)
        for i in range(0, len(found), AT_ONCE):
            found[i : i + AT_ONCE] = _threefry(xp, *(v[i : i + AT_ONCE] for v in given))
        return found
    keys = (key0, key1, key0 ^ key1 ^ np.uint32(0x1BD11BDA))
    a, b = counter0 + keys[0], counter1 + keys[1]
    for r in range(13):
        a = a + b
        b = (b << np.uint32(ROTATIONS[r % 8])) | (b >> np.uint32(32 - ROTATIONS[r % 8]))
        b = a ^ b
        if r % 4 == 3:  # a key injection after every fourth round
            i = r // 4 + 1
            a, b = a + keys[i % 3], b + (keys[(i + 1) % 3] + np.uint32(i))
    return a


threefry = elementwise(
    # Threefry-2x32 with 13 rounds, first word: random bits of a key and a counter, the same on every machine.
    # Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    "threefry",
    _threefry,
    None,
    [BITS, BITS[::-1], SHIFTS, BITS],
    ("uint32",),
)

# ---- with numpy's broadcasting ----------------------------------------------------------------------------------


def as_value(x, like: Value) -> Value:
    """A Python number or array as a Value of ``like``'s dtype; a Value as it is."""
    if isinstance(x, Value):
        return x
    array = np.asarray(x)
    kinds = "biuf" if like.dtype in FLOATS else "b" if like.dtype == "bool" else "biu"
    if array.dtype.kind not in kinds:
        raise GraphError(f"cannot combine a {like.dtype} Value with {x!r}; use cast(value, dtype)")
    fitted = array.astype(like.dtype)
    if like.dtype not in FLOATS and (fitted != array).any():
        raise GraphError(f"cannot combine a {like.dtype} Value with {x!r}: it does not fit")
    return constant(fitted) if array.ndim else fill(array.item(), (), like.dtype)


def broadcast_together(*values: Value) -> tuple[Value, ...]:
    """Values stretched to one shape by numpy's rules (aligned at the right, axes of length 1 repeated)."""
    try:
        shape = np.broadcast_shapes(*(v.shape for v in values))
    except ValueError:
        raise GraphError(f"shapes {' and '.join(str(v.shape) for v in values)} cannot be broadcast together") from None
    return tuple(broadcast_to(v, shape) for v in values)


def _first_value(*operands) -> Value:
    for x in operands:
        if isinstance(x, Value):
            return x
    raise GraphError(f"expected at least one Value, got {', '.join(type(x).__name__ for x in operands)}")


def spread(op: Primitive):
    """The primitive with numpy's broadcasting and Python numbers allowed."""

    def function(*operands):
        like = _first_value(*operands)
        return op(*broadcast_together(*(as_value(x, like) for x in operands)))

    function.__name__ = op.name
    function.__doc__ = f"{op.name}, elementwise, with numpy's broadcasting."
    return function


equals = spread(equal)


def where(condition: Value, a, b) -> Value:
    """``a`` where the condition holds, else ``b``; broadcast together."""
    like = _first_value(a, b)
    if not isinstance(condition, Value):
        raise GraphError(f"where: the condition must be a bool Value, got {condition!r}; equality is equal(a, b)")
    return select(*broadcast_together(condition, as_value(a, like), as_value(b, like)))


def cast(x: Value, dtype: str) -> Value:
    """``x`` in another dtype; integers are cut towards zero. No derivative passes through an integer."""
    return x if isinstance(dtype, str) and x.dtype == dtype else cast_to(x, dtype=dtype)
