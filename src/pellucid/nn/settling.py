"""Connections within a layer, and from a layer back to an earlier one, settled. Imports graph, ops and siblings.

Both are one formula, applied again and again to what it gave: a loop (`ops.scan`), and training goes back through it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any

from .. import ops
from ..checks import checked, flag, function, number, whole
from ..errors import GraphError
from ..graph import Value
from .calls import calls_forgotten, scan_of_calls
from .combine import as_callable
from .init import glorot_uniform
from .layer import Layer, apply, as_float
from .masks import known_mask, with_mask


class Settling(Layer):
    """Base of layers that settle: y_k = (1 - r) y_(k-1) + r step(y_(k-1)), for k = 1 .. steps; ``rate`` is r."""

    rate: float = field(default=1.0, kw_only=True)
    unroll: bool = field(default=False, kw_only=True)
    weight_init: Callable = field(default=glorot_uniform, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "steps")  # of the subclasses, where it stands after what they are made of
        checked(self, number, "rate", above=0, most=1)
        checked(self, flag, "unroll")
        checked(self, function, "weight_init")

    def settled(self, step: Callable[[Value], Value], first: Value, steps: int) -> Value:
        """What the last step gives, of ``first``, which is y_0."""
        mask = known_mask(first)

        def body(carry: tuple[Value, ...], _: Any = None) -> tuple[tuple[Value, ...], Value]:
            (y,) = carry
            new = step(with_mask(y, mask))
            new = new if self.rate == 1 else (1 - self.rate) * y + self.rate * new
            return (new,), new

        if self.unroll:
            ys = [first]
            for k in range(steps):
                with calls_forgotten(k < steps - 1):  # one row for each layer, not one for each step
                    ys.append(body((ys[-1],))[1])
            last, all_ys = ys[-1], ops.stack(ys[1:])
        else:
            (last,), all_ys = scan_of_calls(body, (first,), None, length=steps)
        self.note("settling", all_ys)
        return with_mask(last, mask)


class Lateral(Settling):
    """Connections between the units of one layer, settled: a_0 = f(x), a_k = (1 - r) a_(k-1) + r f(x + W a_(k-1)).

    Shapes: x (n,), what the units get from the layer before, to a (n,), what they give after ``steps`` steps; weight W
    (n, n) with 0 on its diagonal, for no unit is connected to itself: n (n - 1) weights. ``connections``, a layer or
    function that keeps the shape, takes the place of W, for other shapes too: of a picture
    ``nn.Conv(channels, 3, padding="same")`` connects each unit to those beside it. ``activation`` f is a name or a
    function, ``rate`` r in (0, 1]; a small one settles where 1 swings. ``weight_init`` gives first values of W.
    `Model.layer_outputs` shows a_1 .. a_steps as ``<layer>.settling``. ``unroll=True`` writes the steps out where a
    loop cannot be, as within `nn.TimeDistributed`. Raises `GraphError` where x is no vector and there are no
    ``connections``, and where these change the shape. Lecture: 003, "Lateral networks".

    >>> from pellucid import input, nn
    >>> t = nn.trace(nn.Sequential(nn.Dense(4), nn.Lateral(steps=10)), input("x", (3,)))
    >>> t.output.shape, t.parameters["layers.1.weight"].count  # 4 * 3 connections
    ((4,), 12)
    """

    steps: int = 5
    activation: Callable | str = "tanh"
    connections: Callable | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        as_callable(self, "activation", self.activation)
        if self.connections is not None:
            checked(self, as_callable, "connections")

    def __call__(self, x: Value) -> Value:
        x, f = as_float(x), as_callable(self, "activation", self.activation)
        if self.connections is None and x.ndim != 1:
            raise GraphError(f"expects a vector (n,) for each sample, got shape {x.shape}; give connections=, a layer "
                             f"that keeps the shape, as nn.Conv({x.shape[0] if x.ndim else 1}, 3, padding='same') does "
                             "for (channels, *space)")  # fmt: skip
        weight = None if self.connections is not None else self.weight(x.shape[0])

        def step(a: Value) -> Value:
            if weight is not None:
                return f(x + ops.contract(weight, a, "ij,j->i"))
            others = called_at("connections", self.connections, a)
            if others.shape != x.shape:
                raise GraphError(f"the connections make {others.shape} of {x.shape}; they must keep the shape, as "
                                 "nn.Conv(..., padding='same') does")  # fmt: skip
            return f(x + others)

        return self.settled(step, with_mask(f(x), known_mask(x)), self.steps)

    def weight(self, n: int) -> Value:
        """W (n, n), 0 on its diagonal."""
        i, j = ops.iota(n)[:, None], ops.iota(n)
        others = (i < j) | (i > j)

        def first(key: Value, shape: tuple[int, ...], dtype: str) -> Value:
            return self.weight_init(key, shape, dtype) * ops.cast(others, dtype)

        w = self.param("weight", (n, n), first, count=n * (n - 1))
        return w * ops.cast(others, w.dtype)


class Feedback(Settling):
    """A net whose output goes back to its input, settled: y_0 = body(x), y_k = (1 - r) y_(k-1) + r body(x + B y_(k-1)).

    ``body`` is a layer, net or function; with several layers in it, its output goes back to an earlier layer. Shapes:
    x as the body takes it, y as it gives it; where both are vectors, back_weight B (inputs, outputs). ``back``, a layer
    or function from the shape of y to that of x, takes its place. ``rate`` r in (0, 1]; ``weight_init`` gives first
    values of B. `Model.layer_outputs` shows y_1 .. y_steps as ``<layer>.settling``. ``unroll=True`` writes the steps
    out where a loop cannot be: within `nn.TimeDistributed`, or with a recurrent layer or `nn.BatchNorm` in the body.
    What layers in the body drop in training, they drop at every step. Raises `GraphError` where x or y is no vector and
    there is no ``back``, and where that gives another shape. Lecture: 003, "Recurrent neural network": a node may be
    connected to nodes in the previous layer.

    >>> from pellucid import input, nn
    >>> body = nn.Sequential(nn.Dense(8), nn.tanh, nn.Dense(2), nn.tanh)
    >>> t = nn.trace(nn.Feedback(body, steps=10), input("x", (3,)))
    >>> t.output.shape, t.parameters["back_weight"].value.shape
    ((2,), (3, 2))
    """

    body: Callable | str
    steps: int = 5
    back: Callable | str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, as_callable, "body")
        if self.back is not None:
            checked(self, as_callable, "back")

    def __call__(self, x: Value) -> Value:
        x = as_float(x)
        with calls_forgotten():
            first = as_float(called_at("body", self.body, x))
        if self.back is None and (x.ndim != 1 or first.ndim != 1):
            raise GraphError(f"of {x.shape} the body makes {first.shape}; where these are no vectors, give back=, a "
                             f"layer from {first.shape} to {x.shape}")  # fmt: skip
        weight = None
        if self.back is None:
            weight = self.param("back_weight", (x.shape[0], first.shape[0]), self.weight_init)

        def step(y: Value) -> Value:
            given = called_at("back", self.back, y) if weight is None else ops.contract(weight, y, "ij,j->i")
            if given.shape != x.shape:
                raise GraphError(f"back gives {given.shape}, which cannot be added to the input of the body, {x.shape}")
            return called_at("body", self.body, x + given)

        return self.settled(step, first, self.steps)


def called_at(place: str, part: Any, x: Value) -> Value:
    """A layer, or a function by its place, of a Value."""
    return part(x) if isinstance(part, Layer) else apply(place, part, x)
