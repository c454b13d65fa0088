"""3x3 cross-correlations of samples, stride 1, by Winograd's F(2x2, 3x3), where that wins. Imports graph and ops."""

from __future__ import annotations

from ..graph import Value
from ..ops.contract import contract_of
from ..ops.conv import padded, windows_of
from ..ops.reduce import batch_sum
from ..ops.winograd import kernel_gradient, winograd
from ..program import Program

LEAST, MOST = 24, 128  # channels: with fewer the transforms cost what they gain, with more they leave the cache
LEAST_SLOPES = 96  # channels and filters, from which on the gradient of a kernel is computed so
LEAST_RESULTS = 64  # of a filter
WHOLE = 16  # channels of a kernel whose gradient is computed so: a multiple of what any machine has in a vector


def with_winograd(program: Program) -> Program:
    """The program with `winograd` in place of the contractions that it is faster for."""
    new: dict[Value, Value] = {}
    for v in program.order:
        inputs = tuple(new[i] for i in v.inputs)
        if not v.inputs:
            new[v] = v
        elif fits(v):
            new[v] = _by_tiles(v, *inputs)
        elif gradient_fits(v):
            new[v] = _gradient(v, new)
        else:
            new[v] = v.primitive(*inputs, **v.attributes) if inputs != v.inputs else v
    return program.mapped(new)


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


def _gradient(v: Value, new: dict[Value, Value]) -> Value:
    g, view = v.inputs[0].inputs
    more = to_whole_tiles(g.shape[1:])
    return kernel_gradient(padded(new[g], more), padded(new[view].inputs[0], more))


def _by_tiles(v: Value, w: Value, view: Value) -> Value:
    _, rows, columns = v.shape
    return winograd(w, padded(view.inputs[0], to_whole_tiles((rows, columns))), (rows, columns))


def to_whole_tiles(size: tuple[int, ...]) -> list[tuple[int, int]]:
    """Zeros to be put behind a result of this size, or behind its input."""
    return [(0, n % 2) for n in size]
