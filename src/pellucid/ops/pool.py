"""Pooling, one number for each window, and upsampling, its opposite; of any rank, as formulas of other operations.

Shapes: x (channels, *space), result (channels, *places). Windows that lie side by side are a mere reshape, others the
view `windows`.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import GraphError
from ..graph import MOST_ELEMENTS, Value
from . import reduce
from .composite import with_vjp
from .conv import correlate, padded, windows
from .elementwise import FLOATS, equals, where
from .movement import broadcast_to, concatenate, constant, expand_dims, fill, iota, reshape, transpose
from .options import flag
from .sizes import Sizes, Widths, each_axis, fitted, window_count


def max_pool(
    x: Value, size: int | Sequence[int], strides: int | Sequence[int] | None = None, padding="valid",
    dilations: int | Sequence[int] = 1, floor: bool = False,
) -> Value:  # fmt: skip
    """The largest value of each window: y[c, p] = max over i of x[c, p s + i d]; strides are the size unless given.

    Shapes: (channels, *space) to (channels, *places), as for `correlate`, with its errors and its ``floor``. Padding
    counts as -inf. The first of the largest elements of a window has its derivative. Lecture 000.

    >>> from pellucid import input
    >>> max_pool(input("x", (6, 28, 28)), 2).shape
    (6, 14, 14)
    """
    kernel, strides, dilations, widths = _geometry("max_pool", x, size, strides, padding, dilations, floor)
    return _max_pool(padded(x, widths, -math.inf), kernel=kernel, strides=strides, dilations=dilations)


def avg_pool(
    x: Value, size: int | Sequence[int], strides: int | Sequence[int] | None = None, padding="valid",
    floor: bool = False, count_include_pad: bool = False,
) -> Value:  # fmt: skip
    """The mean of each window; strides are the size unless given.

    Shapes: (channels, *space) to (channels, *places), as for `correlate`, with its errors and its ``floor``. Padding is
    left out of the mean, unless ``count_include_pad``: then it counts as zeros. Lecture 000.

    >>> from pellucid import input
    >>> avg_pool(input("x", (6, 28, 28)), 3, strides=2, padding="same").shape
    (6, 14, 14)
    """
    kernel, strides, dilations, widths = _geometry("avg_pool", x, size, strides, padding, 1, floor)
    places, axes = _places(padded(x, widths), kernel, strides, dilations)
    if flag(count_include_pad, "avg_pool: count_include_pad") or not any(map(any, widths)):
        return reduce.mean(places, axes)
    axis = zip(x.shape[1:], kernel, strides, dilations, widths, strict=True)
    counts = [np.sum(_inside(*a), axis=1) for a in axis]  # of elements that are no padding
    return reduce.sum(places, axes) * constant(1 / functools.reduce(np.multiply.outer, counts), x.dtype)


def global_max_pool(x: Value) -> Value:
    """The largest value of each channel: (channels, *space) to (channels,). The first of them has its derivative."""
    return largest(reshape(x, (x.shape[0], math.prod(x.shape[1:]))), axis=1)


def _largest_vjp(g, y, x, *, axis):
    shape = tuple(n if i == axis else 1 for i, n in enumerate(x.shape))
    first = equals(reshape(iota(x.shape[axis]), shape), expand_dims(reduce.argmax(x, axis), axis))
    return (where(first, expand_dims(g, axis), 0),)


@with_vjp(_largest_vjp)
def largest(x: Value, *, axis: int) -> Value:
    """The largest value along an axis, counted from the left, with all of its derivative to the first of them."""
    return reduce.max(x, axis)


def global_avg_pool(x: Value) -> Value:
    """The mean of each channel: (channels, *space) to (channels,). Lin et al., "Network in network", 2013."""
    return reduce.mean(x, tuple(range(1, x.ndim)))


def _geometry(name, x: Value, size, strides, padding, dilations, floor) -> tuple[Sizes, Sizes, Sizes, Widths]:
    """The windows' size, strides, dilations and padding for each axis, checked against x."""
    rank = x.ndim - 1
    if not 1 <= rank <= 3 or x.dtype not in FLOATS:
        raise GraphError(f"{name}: takes floats of shape (channels, *space) with 1 to 3 axes of space, got {x.type}")
    kernel = each_axis(size, rank, "size")
    strides, dilations, widths = fitted(
        x.shape[1:], kernel, kernel if strides is None else strides, padding, dilations, floor
    )
    for axis in zip(x.shape[1:], kernel, strides, dilations, widths, strict=True):
        if not _all_hold(*axis):
            raise GraphError(f"{name}: padding {padding!r} is so wide that a window of {kernel} holds nothing else")
    return kernel, strides, dilations, widths


def _all_hold(n: int, kernel: int, stride: int, dilation: int, widths: tuple[int, int]) -> bool:
    """Whether each window along an axis has an element that is no padding, without making a list of them.

    >>> _all_hold(3, 2, 2, 1, (1, 0)), _all_hold(3, 2, 2, 1, (2, 0)), _all_hold(3, 2, 1, 1, (10**300, 0))
    (True, False, False)
    """
    count = window_count(n + sum(widths), kernel, stride, dilation)
    if (count - 1) * stride - widths[0] >= n:  # the last one begins after the end
        return False
    for start in range(-widths[0], min(0, count * stride - widths[0]), stride):  # those that begin in the padding
        first = -(start // dilation)  # the first element at 0 or after
        if first >= kernel or start + first * dilation >= n:
            return False
    return True


def _inside(n: int, kernel: int, stride: int, dilation: int, widths: tuple[int, int]) -> list[list[bool]]:
    """For each window along an axis, which of its elements are no padding.

    >>> _inside(3, 2, 2, 1, (1, 0))
    [[False, True], [True, True]]
    """
    count = window_count(n + sum(widths), kernel, stride, dilation)
    return [[0 <= p * stride + i * dilation - widths[0] < n for i in range(kernel)] for p in range(count)]


def _places(x: Value, kernel: Sizes, strides: Sizes, dilations: Sizes) -> tuple[Value, Sizes]:
    """All windows of x, and the axes that hold what is inside one; a rest beyond the last window is left out."""
    if strides != kernel or any(d > 1 and k > 1 for d, k in zip(dilations, kernel, strict=True)):
        return windows(x, kernel, strides, dilations), tuple(range(x.ndim, 2 * x.ndim - 1))
    counts = [n // k for n, k in zip(x.shape[1:], kernel, strict=True)]
    whole = x[(slice(None), *(slice(n * k) for n, k in zip(counts, kernel, strict=True)))]
    return reshape(whole, (x.shape[0], *_mixed(counts, kernel))), tuple(range(2, 2 * x.ndim - 1, 2))


def _mixed(a: Iterable[int], b: Iterable[int]) -> Sizes:
    """a0, b0, a1, b1, ..."""
    return tuple(itertools.chain(*zip(a, b, strict=True)))


# ---- the largest ------------------------------------------------------------------------------------------------


def _max_pool_vjp(g, y, x, *, kernel, strides, dilations):
    """All of g to the first element of its window that is equal to y.

    Element q s + r of x is number (r + t s) / d of window q - t, for t = 0, 1, ... . The number of the element that has
    g is found where y is; so the pass backward reads that and g, not x again, and is elementwise in the shape of x.
    """
    first = _first_equal(*_places(x, kernel, strides, dilations), y)
    numbers = [
        _numbers(*axis) for axis in zip(kernel, strides, dilations, strict=True)
    ]  # an array (t, r) for each axis
    blocks = [-(-n // s) for n, s in zip(x.shape[1:], strides, strict=True)]  # how many q
    around = [(len(a) - 1, q - n) for a, q, n in zip(numbers, blocks, y.shape[1:], strict=True)]
    first, g = padded(first, around, -1), padded(g, around)
    one = (1,) * len(kernel)

    def wide(v: Value, *shape: int) -> Value:
        v = broadcast_to(reshape(v, shape), (x.shape[0], *_mixed(blocks, strides)))
        v = reshape(v, (x.shape[0], *(q * s for q, s in zip(blocks, strides, strict=True))))
        return v[tuple(slice(n) for n in x.shape)]

    parts = []
    for late in itertools.product(*(range(len(a)) for a in numbers)):
        each = np.meshgrid(*(a[t] for a, t in zip(numbers, late, strict=True)), indexing="ij")
        inside = np.all([a >= 0 for a in each], axis=0)
        if inside.any():
            number = constant(np.where(inside, np.ravel_multi_index(each, kernel, mode="clip"), -1), "int32")
            starts = [len(a) - 1 - t for a, t in zip(numbers, late, strict=True)]
            at = (slice(None), *(slice(i, i + q) for i, q in zip(starts, blocks, strict=True)))
            chosen, part = (wide(v[at], x.shape[0], *_mixed(blocks, one)) for v in (first, g))
            parts.append(where(equals(chosen, wide(number, 1, *_mixed(one, strides))), part, 0))
    return (functools.reduce(operator.add, parts),)


def _numbers(kernel: int, stride: int, dilation: int) -> np.ndarray:
    """Which number element r + t * stride has in a window, for each t and r < stride; -1 for none.

    >>> _numbers(3, 2, 1)
    array([[ 0,  1],
           [ 2, -1]])
    """
    reach = (kernel - 1) * dilation + 1
    offset = np.arange(-(-reach // stride) * stride)
    return np.where((offset % dilation == 0) & (offset < reach), offset // dilation, -1).reshape(-1, stride)


def _first_equal(places: Value, axes: Sizes, y: Value) -> Value:
    """The number of the first element of each window that is equal to y."""
    *others, _ = itertools.product(*(range(places.shape[a]) for a in axes))
    first = fill(len(others), y.shape, "int32")
    for number, at in reversed(list(enumerate(others))):
        keys = dict(zip(axes, at, strict=True))
        element = places[tuple(keys.get(a, slice(None)) for a in range(places.ndim))]
        first = where(equals(element, y), number, first)
    return first


@with_vjp(_max_pool_vjp)
def _max_pool(x: Value, *, kernel: Sizes, strides: Sizes, dilations: Sizes) -> Value:
    return reduce.max(*_places(x, kernel, strides, dilations))


# ---- upsampling -------------------------------------------------------------------------------------------------

LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3}  # and the axes of space that the name speaks of


def upsample(x: Value, factor: int | Sequence[int], method: str = "nearest") -> Value:
    """Each axis of space made longer by a whole factor: (channels, *space) to (channels, *(n * factor)).

    "nearest" repeats elements. "linear", "bilinear" and "trilinear", for 1, 2 and 3 axes, take element p of the result
    from place (p + 1/2) / factor - 1/2 between two neighbors; beyond the border is what the border holds.

    >>> from pellucid import input
    >>> upsample(input("x", (3, 8, 8)), 2).shape
    (3, 16, 16)
    """
    rank = x.ndim - 1
    if not 1 <= rank <= 3 or x.dtype not in FLOATS:
        raise GraphError(f"upsample: takes floats of shape (channels, *space), 1 to 3 axes of space, got {x.type}")
    if not isinstance(method, str) or (method != "nearest" and LINEAR.get(method) != rank):
        fitting = next(name for name, n in LINEAR.items() if n == rank)
        raise GraphError(f"upsample: for {rank} axes of space the method is 'nearest' or {fitting!r}, got {method!r}")
    factors = each_axis(factor, rank, "factor")
    if x.size * math.prod(factors) > MOST_ELEMENTS:
        raise GraphError(f"upsample: {x.shape} made longer by {factors} has more than {MOST_ELEMENTS} elements")
    if method == "nearest":
        space, one = x.shape[1:], (1,) * rank
        y = broadcast_to(reshape(x, (x.shape[0], *_mixed(space, one))), (x.shape[0], *_mixed(space, factors)))
        return reshape(y, (x.shape[0], *(n * f for n, f in zip(space, factors, strict=True))))
    for axis, f in enumerate(factors, 1):
        if f > 1:
            x = _linear(x, axis, f)
    return x


def _linear(x: Value, axis: int, factor: int) -> Value:
    """Linear interpolation along one axis: each element and its two neighbors, weighed for each of ``factor`` results.

    Result number r of element q lies at q + t, with t = (r + 1/2) / factor - 1/2 between -1/2 and 1/2.
    """
    places = [(r + 0.5) / factor - 0.5 for r in range(factor)]
    weights = np.array([[max(0, -t), 1 - abs(t), max(0, t)] for t in places])  # of the element before, itself, after
    before, n, after = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
    flat = reshape(x, (1, before, n, after))  # one channel, all but the axis being space
    flat = concatenate([flat[:, :, :1], flat, flat[:, :, -1:]], 2)
    y = correlate(flat, constant(weights[:, None, None, :, None], x.dtype))  # (factor, before, n, after)
    return reshape(transpose(y, (1, 2, 0, 3)), (*x.shape[:axis], n * factor, *x.shape[axis + 1 :]))
