"""Layers that combine others or change shapes. Imports graph, ops and the sibling modules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import ops
from ..checks import checked, function, number, unknown, whole, wrong
from ..errors import ArgumentError, GraphError
from ..graph import Value
from .activations import ACTIVATIONS
from .conv import is_whole
from .layer import Layer, apply, as_float
from .masks import hand_on, known_mask, mask_of, with_mask
from .stepwise import function_must_step


def as_callables(parts: tuple[Any, ...], owner: Any) -> tuple[Callable, ...]:
    """Layers and functions as they are, activations by name looked up; anything else is an error."""
    if not isinstance(parts, (tuple, list)):
        raise wrong(owner, "parts", "layers and functions, one after the other", parts)
    return tuple(as_callable(owner, f"part {i}", part) for i, part in enumerate(parts))


def as_callable(owner: Any, name: str, part: Any) -> Callable:
    """A layer or function as it is, an activation by its name; anything else is an error. A check of an option."""
    who = owner if isinstance(owner, str) else type(owner).__name__
    if isinstance(part, str):
        if part not in ACTIVATIONS:
            raise unknown("activation", part, ACTIVATIONS, owner=f"{who}: {name}: ")
        part = ACTIVATIONS[part]
    if isinstance(part, type) and issubclass(part, Layer):
        raise ArgumentError(f"{who}: {name} is the class {part.__name__}; did you mean {part.__name__}(...)?")
    if not callable(part):
        raise ArgumentError(f"{who}: {name} is {part!r}, expected a layer or a function of a Value")
    return part


class Sequential(Layer):
    """Layers and functions one after the other: ``Sequential(Dense(8), tanh, Dense(2))``.

    Parts may be layers, plain functions of a Value, or names of activations; they are numbered ``layers.0``, ... .
    """

    layers: tuple[Callable, ...]
    around_others = True

    def __init__(self, *layers, name: str | None = None, trainable: bool = True) -> None:
        if len(layers) == 1 and isinstance(layers[0], (list, tuple)):
            layers = tuple(layers[0])
        for field, value in (("layers", layers), ("name", name), ("trainable", trainable)):
            object.__setattr__(self, field, value)
        self.__post_init__()

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "layers", as_callables(self.layers, "Sequential"))

    def by_step(self, *inputs: Value) -> bool:
        return True

    def __call__(self, *inputs: Value) -> Value:
        for i, layer in enumerate(self.layers):
            if isinstance(inputs[0], tuple):
                raise GraphError(f"layer {i - 1} gives several Values (return_state=True), and layer {i} takes one; "
                                 "write the net as a function instead")  # fmt: skip
            if isinstance(layer, Layer):
                inputs = (layer(*inputs),)
            else:
                function_must_step(layer, f"layers.{i}", inputs)
                inputs = (apply(f"layers.{i}", layer, *(as_float(v) for v in inputs)),)
        return inputs[0]

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, i: int) -> Callable:
        return self.layers[i]


class Residual(Layer):
    """y = body(x) + shortcut(x); the shortcut is the identity unless given. He et al., CVPR 2016."""

    body: Callable
    shortcut: Callable | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, function, "body", like="nn.Sequential(...)")
        checked(self, function, "shortcut", like="nn.Conv(...)", optional=True)

    def by_step(self, *inputs: Value) -> bool:
        return True

    def __call__(self, x: Value) -> Value:
        x = as_float(x)
        y, way = self.body(x), x if self.shortcut is None else self.shortcut(x)
        if y.shape != way.shape:
            fix = "give shortcut= a layer that makes" if self.shortcut is None else "make"
            raise GraphError(f"the body turns shape {x.shape} into {y.shape}, which cannot be added to {way.shape}; "
                             f"{fix} shape {y.shape}")  # fmt: skip
        return hand_on(y + way, y, way)


class Concatenate(Layer):
    """The results of several branches on one input, one after the other along ``axis`` (of one sample).

    Along time the masks of sequences are put together as they are; else the first mask is that of all.
    """

    branches: tuple[Callable, ...]
    axis: int = 0

    def __init__(self, *branches, axis: int = 0, name: str | None = None, trainable: bool = True) -> None:
        for field, value in {"branches": branches, "axis": axis, "name": name, "trainable": trainable}.items():
            object.__setattr__(self, field, value)
        self.__post_init__()

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "branches", as_callables(self.branches, "Concatenate"))
        checked(self, whole, "axis", least=None)

    def by_step(self, *inputs: Value) -> bool:
        return self.axis != 0

    def __call__(self, *inputs: Value) -> Value:
        floats = tuple(as_float(v) for v in inputs)  # a layer may want the whole numbers: an Embedding
        results = [as_float(branch(*(inputs if isinstance(branch, Layer) else floats))) for branch in self.branches]
        y = ops.concatenate(results, self.axis)
        masks = [known_mask(v) for v in results]
        if self.axis % y.ndim or y.ndim < 2 or not any(m is not None for m in masks):
            return hand_on(y, *results)
        each = [ops.fill(True, v.shape[:1], "bool") if m is None else m for m, v in zip(masks, results, strict=True)]
        return with_mask(y, ops.concatenate(each))


class AuxiliaryHead(Layer):
    """x as it is; in training the loss of ``head(x)`` for the same target, times ``weight``, is added to the cost.

    A classifier half-way up a deep net, so that gradients reach the layers below; ``head`` must give what the net
    gives. `evaluate` and `predict` leave it out. Szegedy et al., "Going deeper with convolutions", CVPR 2015.
    """

    head: Callable
    weight: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, function, "head", like="nn.Dense(10)")
        checked(self, number, "weight", least=0)

    def by_step(self, *inputs: Value) -> bool:
        return True

    def __call__(self, x: Value) -> Value:
        x = as_float(x)
        self.add_output(self.head(x), self.weight)
        return x


class Lambda(Layer):
    """Any function of Values as a layer, so that it has a name."""

    function: Callable
    around_others = True

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, function, "function", like="nn.tanh")

    def __call__(self, *inputs: Value) -> Value:
        return self.function(*inputs)


class Flatten(Layer):
    """Any shape to a vector: (C, H, W) to (C*H*W,). A sequence of one number a step, (T, 1), keeps its mask."""

    def __call__(self, x: Value) -> Value:
        return same_steps(ops.reshape(x, (-1,)) if x.size else ops.reshape(x, (0,)), x)


class Reshape(Layer):
    """The same numbers in another shape (of one sample); one length may be -1."""

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.shape, (tuple, list)) or not all(is_whole(n, 0) or n == -1 for n in self.shape):
            raise wrong(self, "shape", "whole numbers, one of them perhaps -1, as in (1, 28, 28)", self.shape)

    def by_step(self, *inputs: Value) -> bool:
        return self.shape[0] == -1 and math.prod(self.shape[1:]) == math.prod(inputs[0].shape[1:])

    def __call__(self, x: Value) -> Value:
        return same_steps(ops.reshape(x, tuple(self.shape)), x)


def same_steps(y: Value, x: Value) -> Value:
    """The numbers of x in another shape, with its mask, if the first axis is the steps still."""
    if x.ndim and y.shape[:1] == x.shape[:1] and known_mask(x) is not None:
        return with_mask(y, mask_of(x))
    return y
