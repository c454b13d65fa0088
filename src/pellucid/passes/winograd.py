"""3x3 cross-correlations of samples, stride 1, by Winograd's F(2x2, 3x3), where that wins. Imports graph and ops."""

from __future__ import annotations

from ..graph import Program, Value
from ..ops.contract import contract_of
from ..ops.conv import padded, windows_of
from ..ops.movement import pad_with
from ..ops.reduce import batch_sum
from ..ops.winograd import kernel_gradient, tiles, winograd

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
    return Program(program.inputs, {name: new[v] for name, v in program.outputs.items()},
                   {target: new[v] for target, v in program.updates.items()})  # fmt: skip


def fits(v: Value) -> bool:
    """Whether v is a 3x3 cross-correlation of stride 1 of a sample with a shared kernel, of a size that gains."""
    if v.primitive is not contract_of or v.attributes["spec"] != "ocij,cxyij->oxy" or v.dtype != "float32":
        return False
    w, view = v.inputs
    if view.primitive is not windows_of or w.kind != "shared" or view.kind != "sample":
        return False
    a, (filters, rows, columns) = view.attributes, v.shape
    plain = (a["kernel"], a["strides"], a["dilations"]) == ((3, 3), (1, 1), (1, 1))
    return plain and LEAST <= w.shape[1] <= MOST and filters >= LEAST and rows * columns >= LEAST_RESULTS


def gradient_fits(v: Value) -> bool:
    """Whether v is the gradient of such a kernel."""
    if v.primitive is not batch_sum or v.inputs[0].primitive is not contract_of or v.dtype != "float32":
        return False
    c = v.inputs[0]
    g, view = c.inputs
    if c.attributes["spec"] != "oxy,cxyij->ocij" or view.primitive is not windows_of or g.kind != view.kind:
        return False
    a, (filters, channels, *_) = view.attributes, v.shape
    plain = (a["kernel"], a["strides"], a["dilations"]) == ((3, 3), (1, 1), (1, 1))
    large = filters >= LEAST_SLOPES and g.size >= LEAST_RESULTS * filters
    return plain and large and LEAST_SLOPES <= channels <= MOST and channels % WHOLE == 0


def _gradient(v: Value, new: dict[Value, Value]) -> Value:
    g, view = v.inputs[0].inputs
    size = g.shape[1], g.shape[2]
    more = [(0, 2 * t - n) for t, n in zip(tiles(size), size, strict=True)]
    return kernel_gradient(padded(new[g], more), widened(new[view].inputs[0], more))


def _by_tiles(v: Value, w: Value, view: Value) -> Value:
    _, *places = v.shape
    size = places[0], places[1]
    (x,) = view.inputs
    more = [(0, 2 * t - n) for t, n in zip(tiles(size), size, strict=True)]
    return winograd(w, widened(x, more), size)


def widened(x: Value, more: list[tuple[int, int]]) -> Value:
    """x with more zeros behind; one padding instead of two, so that it stays a view."""
    if x.primitive is pad_with and any(b for _, b in more):
        a = x.attributes
        if a["value"] == 0 and not any(a["interior"]):
            high = tuple(h + b for h, (_, b) in zip(a["high"], [(0, 0), *more], strict=True))
            return pad_with(x.inputs[0], **{**a, "high": high})
    return padded(x, more)
