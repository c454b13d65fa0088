"""Winograd's F(2x2, 3x3): four results of a 3x3 cross-correlation from 16 products instead of 36.

Y = A'[(G g G') * (B' d B)]A for a 3x3 kernel g, a 4x4 tile d of the input and a 2x2 tile Y of the result. The sum over
channels is taken of the products. Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
An executor may compute `correlate` so; these are no operations for users, and not in the registry.
"""

from __future__ import annotations

from ..errors import GraphError
from ..graph import Primitive, Type, Value
from .conv import windows_of
from .options import LENGTHS
from .reduce import batch_sum

SIDE = 4  # of a tile of the input


def input_line(d0, d1, d2, d3):
    """B' applied to a line of four."""
    return d0 - d2, d1 + d2, d2 - d1, d1 - d3


def kernel_line(g0, g1, g2):
    """G applied to a line of three."""
    ends = (g0 + g2) * 0.5
    middle = g1 * 0.5
    return g0, ends + middle, ends - middle, g2


def result_line(m0, m1, m2, m3):
    """A' applied to a line of four."""
    return m0 + (m1 + m2), (m1 - m2) - m3


def slope_line(g0, g1):
    """A applied to a line of two: the adjoint of `result_line`."""
    return g0, g0 + g1, g0 - g1, -g1


def weight_line(u0, u1, u2, u3):
    """G' applied to a line of four: the adjoint of `kernel_line`."""
    half = (u1 + u2) * 0.5
    return u0 + half, (u1 - u2) * 0.5, half + u3


def twice(line, square):
    """A transform of lines applied to the columns of a square (a list of rows), and then to its rows."""
    columns = [line(*column) for column in zip(*square, strict=True)]
    return [line(*row) for row in zip(*columns, strict=True)]


def _kernel_rule(w: Type):
    if len(w.shape) != 4 or w.shape[2:] != (3, 3):
        raise GraphError(f"winograd_kernel: takes kernels of shape (filters, channels, 3, 3), got {w.shape}")
    return (SIDE * SIDE, *w.shape[:2]), w.dtype


winograd_kernel = Primitive(
    "winograd_kernel",  # (filters, channels, 3, 3) to (16, filters, channels)
    rule=_kernel_rule,
    forward=lambda xp, w: xp.stack(
        [u for row in twice(kernel_line, [[w[..., i, j] for j in range(3)] for i in range(3)]) for u in row], axis=-3
    ),
)


def tiles(size: tuple[int, int]) -> tuple[int, int]:
    """How many tiles of 2x2 cover a result."""
    return -(-size[0] // 2), -(-size[1] // 2)


def _product_rule(u: Type, x: Type, *, size):
    down, across = tiles(size)
    if u.kind != "shared" or x.kind != "sample":
        raise GraphError(f"winograd: takes a shared kernel and a sample, got {u} and {x}")
    if len(u.shape) != 3 or len(x.shape) != 3 or u.shape[2] != x.shape[0] or u.dtype != x.dtype:
        raise GraphError(f"winograd: a kernel {u} does not fit an input {x}")
    if x.shape[1:] != (2 * down + 2, 2 * across + 2):
        raise GraphError(f"winograd: results of {size} need an input of {(2 * down + 2, 2 * across + 2)}, got {x}")
    return (u.shape[1], *size), x.dtype


def _product(xp, u, x, *, size):
    v = [d for row in twice(input_line, _squares(xp, x, SIDE)) for d in row]
    v = xp.stack(v, axis=-4)  # (..., 16, channels, down, across)
    m = xp.einsum("koc,...kcyx->...koyx", u, v)
    rows = twice(result_line, [[m[..., SIDE * i + j, :, :, :] for j in range(SIDE)] for i in range(SIDE)])
    y = xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-3)  # (..., filters, down, 2, across, 2)
    y = y.reshape(*y.shape[:-4], y.shape[-4] * 2, y.shape[-2] * 2)
    return y[..., : size[0], : size[1]]


winograd_product = Primitive(
    "winograd_product",  # kernel (16, filters, channels), input (channels, *space) to (filters, *size)
    rule=_product_rule,
    forward=_product,
    options={"size": LENGTHS},
)


def _squares(xp, x, side):
    """Elements (i, j) of the tiles of ``side``, two apart: a list of rows."""
    kernel = (side, side)
    view = windows_of.forward(xp, x, kernel=kernel, strides=(2, 2), dilations=(1, 1))
    return [[view[..., i, j] for j in range(side)] for i in range(side)]


def _slopes_rule(g: Type, x: Type):
    if g.kind != "sample" or x.kind != "sample" or len(g.shape) != 3 or g.dtype != x.dtype:
        raise GraphError(f"winograd_slopes: takes two samples, got {g} and {x}")
    if g.shape[1] % 2 or g.shape[2] % 2 or x.shape[1:] != (g.shape[1] + 2, g.shape[2] + 2):
        raise GraphError(f"winograd_slopes: whole tiles are needed, got {g} and {x}")
    return (SIDE * SIDE, g.shape[0], x.shape[0]), g.dtype


def _slopes(xp, g, x):
    z, v = (xp.stack([d for row in twice(line, _squares(xp, a, side)) for d in row], axis=-4)
            for line, a, side in ((slope_line, g, 2), (input_line, x, SIDE)))  # fmt: skip
    return xp.einsum("...koyx,...kcyx->...koc", z, v)


winograd_slopes = Primitive(
    "winograd_slopes",  # derivative (filters, *size) and input (channels, *space) to that of the transformed kernel
    rule=_slopes_rule,
    forward=_slopes,
)


def _weight_rule(u: Type):
    return (*u.shape[1:], 3, 3), u.dtype


def _weight(xp, u):
    rows = twice(weight_line, [[u[SIDE * i + j] for j in range(SIDE)] for i in range(SIDE)])
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


winograd_weight = Primitive(
    "winograd_weight",  # (16, filters, channels) to (filters, channels, 3, 3): the adjoint of winograd_kernel
    rule=_weight_rule,
    forward=_weight,
)


def kernel_gradient(g: Value, x: Value) -> Value:
    """The gradient of 3x3 kernels: of samples g (filters, *size) and x (channels, *space), summed over the samples."""
    return winograd_weight(batch_sum(winograd_slopes(g, x)))


def winograd(w: Value, x: Value, size: tuple[int, int]) -> Value:
    """The cross-correlation of x (channels, *space) with 3x3 kernels; x reaches over whole tiles.

    >>> from pellucid import input, state
    >>> winograd(state("w", (8, 3, 3, 3)), input("x", (3, 8, 8)), (6, 5)).shape
    (8, 6, 5)
    """
    return winograd_product(winograd_kernel(w), x, size=tuple(size))
