"""3x3 cross-correlations of samples, stride 1, by Winograd's F(2x2, 3x3), where that wins. Imports graph and ops."""

from __future__ import annotations

from ..graph import Value
from ..ops.contract import contract_of
from ..ops.conv import padded, windows_of
from ..ops.reduce import batch_sum
from ..ops.winograd import kernel_gradient, winograd
from ..program import Program
from .rewrite import rewrite

LEAST, MOST = 24, 128  # channels: with fewer the transforms cost what they gain, with more they leave the cache
LEAST_SLOPES = 96  # channels and filters, from which on the gradient of a kernel is computed so
LEAST_RESULTS = 64  # of a filter
WHOLE = 16  # channels of a kernel whose gradient is computed so: a multiple of what any machine has in a vector


def with_winograd(program: Program) -> Program:
    """The program with `winograd` in place of the contractions that it is faster for."""
    return rewrite(program, _by_tiles)


def _by_tiles(v: Value, inputs: tuple[Value, ...]) -> Value | None:
    if fits(v):
        (w, view), (_, rows, columns) = inputs, v.shape
        return winograd(w, padded(view.inputs[0], to_whole_tiles((rows, columns))), (rows, columns))
    if gradient_fits(v):
        g, view = inputs[0].inputs
        more = to_whole_tiles(g.shape[1:])
        return kernel_gradient(padded(g, more), padded(view.inputs[0], more))
    return None


def fits(v: Value) -> bool:
    """Whether v is a 3x3 cross-correlation of stride 1 of a sample with a shared kernel, of a size that gains."""
    if not plain(v, "ocij,cxyij->oxy"):
        return False
    w, (filters, rows, columns) = v.inputs[0], v.shape
    return w.kind == "shared" and LEAST <= w.shape[1] <= MOST and filters >= LEAST and rows * columns >= LEAST_RESULTS


def gradient_fits(v: Value) -> bool:
    """Whether v is the gradient of such a kernel."""
    if v.primitive is not batch_sum or not plain(v.inputs[0], "oxy,cxyij->ocij"):
        return False
    g, (filters, channels, *_) = v.inputs[0].inputs[0], v.shape
    large = filters >= LEAST_SLOPES and g.size >= LEAST_RESULTS * filters
    return g.kind == "sample" and large and LEAST_SLOPES <= channels <= MOST and channels % WHOLE == 0


def plain(c: Value, spec: str) -> bool:
    """Whether c is that contraction with all 3x3 windows of a sample."""
    if c.primitive is not contract_of or c.attributes["spec"] != spec or c.dtype != "float32":
        return False
    view = c.inputs[1]
    a, wanted = view.attributes, ((3, 3), (1, 1), (1, 1))
    return (
        view.primitive is windows_of and view.kind == "sample" and (a["kernel"], a["strides"], a["dilations"]) == wanted
    )


def to_whole_tiles(size: tuple[int, ...]) -> list[tuple[int, int]]:
    """Zeros to be put after a result of this size, or after its input."""
    return [(0, n % 2) for n in size]
