"""What linear layers are together: a convolution as a matrix, several layers as one. Imports ops and the siblings.

These work on a net's weights as arrays, `Model.parameters`, not on Values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from math import prod
from typing import Any

from ..errors import ArgumentError, GraphError
from ..graph import Shape
from ..ops import constant as array
from ..ops.matrix import ConvMatrix
from ..ops.matrix import conv_matrix as matrix_of
from .activations import linear
from .combine import Flatten, Reshape, Sequential
from .conv import Conv, DepthwiseConv
from .dense import Dense, Dropout, GaussianNoise, SpatialDropout, mask_of
from .init import constant
from .layer import Layer, called

IDLE = (Dropout, GaussianNoise, SpatialDropout)  # outside training they give their input


def conv_matrix(layer: Conv | DepthwiseConv, weight: Any, input_shape: Shape) -> ConvMatrix:
    """A convolution as a matrix M, for an input of this shape: y.ravel() = M x.ravel(), without the bias.

    Most of M is empty (no connection), and the weights that it has stand in many places (shared): ``.matrix``,
    ``.index`` (which weight stands where, -1 none), ``.weights``, ``.empty``, ``.shared``, ``.output``. ``weight`` is
    the layer's, as in ``model.parameters["layers.0.weight"]``. Raises `GraphError` for another layer or shape.

    >>> from pellucid import nn
    >>> m = nn.conv_matrix(nn.Conv(1, 2), [[[[1, 2], [3, 4]]]], (1, 3, 3))
    >>> m.matrix.tolist()
    [[1, 2, 0, 3, 4, 0, 0, 0, 0], [0, 1, 2, 0, 3, 4, 0, 0, 0], [0, 0, 0, 1, 2, 0, 3, 4, 0], [0, 0, 0, 0, 1, 2, 0, 3, 4]]
    >>> m.weights, m.empty, m.shared.tolist()
    (4, 20, [4, 4, 4, 4])
    """
    if not isinstance(layer, (Conv, DepthwiseConv)):
        raise ArgumentError(f"conv_matrix takes an nn.Conv or nn.DepthwiseConv, got {layer!r}")
    groups = layer.groups if isinstance(layer, Conv) else int(input_shape[0])
    return matrix_of(
        masked(layer, weight), input_shape, layer.strides, layer.padding, layer.dilation, groups, layer.floor
    )


def collapse(net: Any, parameters: Mapping[str, Any] | None = None, input_shape: Shape | None = None) -> Layer:
    """Linear layers one after the other as the one layer that they are: W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2).

    So depth needs non-linear functions between the layers. ``net`` is a `Model`, or a net with its ``parameters``,
    arrays by name, and its ``input_shape``. Gives a `Dense` whose first weights are that product (around it, where
    inputs or outputs are no vectors, a `Flatten` and a `Reshape`). Taken in are `Dense`, `Conv`, `DepthwiseConv`,
    `Flatten`, `Reshape`, ``nn.linear``, and what does nothing outside training. Raises `GraphError` for anything else,
    by its name.

    >>> import pellucid as pel
    >>> from pellucid import nn
    >>> model = pel.Model(nn.Sequential(nn.Dense(8), nn.Dense(5), nn.Dense(2)), "mse", input_shape=(3,))
    >>> one = pel.Model(nn.collapse(model), "mse", input_shape=(3,))
    >>> one.net.units, one.parameters["weight"].shape
    (2, (2, 3))
    >>> bool(abs(one.predict([[1, 2, 3]]) - model.predict([[1, 2, 3]])).max() < 1e-5)
    True
    """
    if parameters is None:
        if not hasattr(net, "net") or not hasattr(net, "parameters"):
            raise ArgumentError("collapse takes a pellucid.Model, or a net with its weights: collapse(net, "
                                f"model.parameters, input_shape), got {net!r}")  # fmt: skip
        parameters = net.parameters
        input_shape = next(iter(net.specs.values())).shape if input_shape is None else input_shape
        net = net.net
    if input_shape is None:
        raise ArgumentError("collapse: give input_shape, the shape of one sample, as in collapse(net, weights, (3,))")
    shape, weight, bias = tuple(input_shape), None, None
    places: dict[int, str] = {}
    for path, part in parts_of(net, ""):
        path = places.setdefault(id(part), path)  # a layer that stands in two places has its weights at the first
        if part is linear or isinstance(part, IDLE):
            continue
        if isinstance(part, Flatten):
            shape = (prod(shape),)
        elif isinstance(part, Reshape):
            rest = prod(n for n in part.shape if n != -1)
            shape = tuple(prod(shape) // rest if n == -1 else n for n in part.shape)
        elif type(part) in (Dense, Conv, DepthwiseConv):
            shape, w, b = affine(path, part, parameters, shape)
            weight = w if weight is None else w @ weight
            bias = b if bias is None else w @ bias + b
        else:
            raise GraphError(f"collapse: {path!r} is {called(part)}, not one of the linear layers Dense, Conv, "
                             "DepthwiseConv, Flatten, Reshape and nn.linear, so no one layer does what this net does; "
                             "without it, or up to it (Model.features), the layers can be one")  # fmt: skip
    if weight is None or bias is None:
        raise GraphError("collapse: the net has no layers with weights")
    one = Dense(len(bias), weight_init=partial(constant, value=weight), bias_init=partial(constant, value=bias))
    around = [*[Flatten()] * (len(input_shape) != 1), one, *[Reshape(shape)] * (len(shape) != 1)]
    return one if len(around) == 1 else Sequential(*around)


def parts_of(net: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The layers of a net one after the other, each with its path."""
    if not isinstance(net, Sequential):
        yield path, net
        return
    for i, part in enumerate(net.layers):
        own = getattr(part, "name", None) or str(i)
        yield from parts_of(part, ".".join(p for p in (path, "layers", own) if p))


def affine(path: str, layer: Any, parameters: Mapping[str, Any], shape: Shape) -> tuple[Shape, Any, Any]:
    """A layer as W x + b for the flat x: the shape that it gives, W (outputs, inputs) and b (outputs,)."""
    dot = f"{path}." if path else ""
    if f"{dot}weight" not in parameters:
        raise GraphError(f"collapse: there is no parameter {dot + 'weight'!r}; there are {', '.join(parameters)}")
    w = parameters[f"{dot}weight"]
    if isinstance(layer, Dense):
        w = masked(layer, w)
        if shape != (w.shape[1],):
            raise GraphError(f"collapse: {path!r} takes {w.shape[1]} numbers, and what stands before gives {shape}")
        out: Shape = (w.shape[0],)
    else:
        m = conv_matrix(layer, w, shape)
        w, out = m.matrix, m.output
    b = parameters[f"{dot}bias"] if layer.bias else w.sum(axis=1) * 0
    return out, w, b.repeat(prod(out) // len(b))


def masked(layer: Any, weight: Any) -> Any:
    """A layer's weight as it is used: times its mask, if it has one."""
    if layer.mask is None:
        return weight
    shape = array(weight).shape
    _, mask = mask_of(layer, shape)
    return mask.reshape(*mask.shape, *(1,) * (len(shape) - mask.ndim)) * weight
