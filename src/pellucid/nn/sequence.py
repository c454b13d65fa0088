"""What makes layers of one step, or of one direction, into layers of sequences. Imports graph, ops and its siblings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field, replace
from typing import Any

from .. import ops
from ..checks import checked, choice, whole, wrong
from ..errors import GraphError
from ..graph import Value
from .calls import steps_of_calls
from .combine import Sequential, as_callable
from .embedding import check_steps
from .layer import Layer, apply, as_float, within
from .masks import hand_on
from .norm import BatchNorm
from .recurrent import Recurrent

MERGES: dict[str, Callable[[Value, Value], Value]] = {
    "concatenate": lambda a, b: ops.concatenate([a, b], -1),
    "sum": lambda a, b: a + b,
    "mean": lambda a, b: (a + b) * 0.5,
    "multiply": lambda a, b: a * b,
}


class TimeDistributed(Layer):
    """A layer, net or function of one step, applied to every step by itself: y_t = layer(x_t), the weights shared.

    Shapes: x (T, *rest) to (T, *what the layer gives for rest). All steps are computed at once. Random numbers are
    drawn once for all steps: a Dropout in it drops the same units at every step; beside it, others at each. A
    `nn.BatchNorm`, alone or in a `Sequential`, normalizes by all samples and steps that count. Raises `GraphError` for
    a single number, and for another layer that in training keeps statistics or adds to the loss.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.TimeDistributed(nn.Dense(2)), input("x", (5, 3))).output.shape
    (5, 2)
    """

    layer: Callable | str

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, as_callable, "layer")

    def by_step(self, *inputs: Value) -> bool:
        return True

    def __call__(self, x: Value) -> Value:
        if x.ndim == 0:
            raise GraphError("expects a sequence (T, ...) for each sample, got a single number")
        check_steps(x)
        if has_batch_norm(self.layer):
            return of_all_steps(self.layer, x)
        if isinstance(self.layer, Layer):
            return steps_of_calls(self.layer, x)
        return steps_of_calls(lambda step: apply("layer", self.layer, as_float(step)), x)  # type: ignore[arg-type]


def has_batch_norm(layer: Any) -> bool:
    """Whether it is batch normalization, or a `Sequential` with it."""
    return isinstance(layer, BatchNorm) or (isinstance(layer, Sequential) and any(map(has_batch_norm, layer.layers)))


def of_all_steps(layer: Any, x: Value) -> Value:
    """A layer of each step, part by part: batch normalization has its statistics of all samples and steps."""
    if isinstance(layer, BatchNorm):
        return hand_on(layer.of_steps(x), x)
    with within(layer):
        for i, part in enumerate(layer.layers):
            if has_batch_norm(part):
                y = of_all_steps(part, x)
            elif isinstance(part, Layer):
                y = steps_of_calls(part, x)
            else:
                y = steps_of_calls(lambda step, i=i, part=part: apply(f"layers.{i}", part, as_float(step)), x)  # type: ignore[misc]
            x = hand_on(y, x)
    return x


class Bidirectional(Layer):
    """A recurrent layer over the sequence, and its twin with weights of its own from the end, put together.

    ``merge``: "concatenate", along the last axis, "sum", "mean" or "multiply". Shapes: (T, C) to (2 * units,), or with
    the layer's ``return_sequences=True`` (T, 2 * units); (units,) and (T, units) where not concatenated. Further inputs
    are initial states, those of the layer first, and so come the last states of its ``return_state=True``. Schuster and
    Paliwal, "Bidirectional recurrent neural networks", 1997.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.Bidirectional(nn.GRU(8, return_sequences=True)), input("x", (5, 3))).output.shape
    (5, 16)
    """

    forward: Recurrent
    merge: str = "concatenate"
    backward: Recurrent | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.forward, Recurrent):
            raise wrong(self, "forward", "a recurrent layer, for example nn.LSTM(8)", self.forward)
        checked(self, choice, "merge", among=tuple(MERGES))
        if self.backward is None:
            name = f"{self.forward.name}_backward" if self.forward.name else None
            twin = replace(self.forward, reverse=not self.forward.reverse, name=name)
            object.__setattr__(self, "backward", twin)
        if not isinstance(self.backward, Recurrent):
            raise wrong(self, "backward", "a recurrent layer", self.backward, optional=True)

    def __call__(self, x: Value, *initial: Value) -> Any:
        assert self.backward is not None
        k = len(initial) // 2
        a, b = self.forward(x, *initial[:k]), self.backward(x, *initial[k:])
        merge, state = MERGES[self.merge], self.forward.return_state
        y = hand_on(merge(a[0], b[0]) if state else merge(a, b), x)
        return (y, *a[1:], *b[1:]) if state else y


class RepeatVector(Layer):
    """The same vector at every one of ``length`` steps: from what is known once to a sequence.

    Shapes: (n,) to (length, n). Raises `GraphError` where the input is not a vector.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.RepeatVector(4), input("x", (3,))).output.shape
    (4, 3)
    """

    length: int

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "length")

    def __call__(self, x: Value) -> Value:
        if x.ndim != 1:
            hint = "; give the layer before it return_sequences=False" if x.ndim == 2 else ""
            raise GraphError(f"expects a vector (n,) for each sample, got shape {x.shape}{hint}")
        return ops.broadcast_to(ops.expand_dims(as_float(x), 0), (self.length, *x.shape))
