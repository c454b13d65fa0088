"""What a loss is: a number for each place of a net's output, and its mean over the places that count.

Imports graph and ops.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal, dataclass_transform

from .. import ops
from ..checks import checked, hint_options, refuse_change, whole
from ..errors import GraphError
from ..graph import Shape, Value
from ..reprs import Shown
from .activations import linear, softmax
from .masks import known_mask, over_features, reads, step_weight_of, tell

Targets = Literal["classes", "binary", "values", "any"]


@dataclass_transform(frozen_default=True, eq_default=False)
@dataclass(frozen=True, eq=False, repr=False)
class Loss(Shown):
    """Base of losses: ``loss(y, t)`` of one sample's output and target is a scalar; ``link(y)`` is the prediction.

    A subclass defines ``each(y, t)``, the loss at each place of the output: y is (*places, channels), so of a vector
    there is one place, of a sequence (T, C) one a step, and of a picture (C, H, W), whose channels are moved last,
    one a pixel. A sample's loss is the mean over its places, without those that a mask leaves out; ``over = "sum"``:
    the sum. Or it defines ``__call__`` itself, for a loss that is no mean over places.

    ``targets`` says what it takes: "classes" (whole numbers 0..k-1, or one-hot rows, for k outputs), "binary" (0 or 1
    for each output), "values" (numbers of the output's shape) or "any". ``axis``: the output's axis of channels or
    classes; by default the first of three or more, as in pictures (C, H, W), else the last, as in sequences (T, C).
    ``counted(t)`` says which targets count: a bool Value, one for each place, or None for all.
    """

    targets: ClassVar[Targets] = "values"
    over: ClassVar[Literal["mean", "sum"]] = "mean"
    link = staticmethod(linear)
    axis: int | None = field(default=None, kw_only=True)

    def __init_subclass__(cls, **options) -> None:
        super().__init_subclass__(**options)
        dataclass(frozen=True, eq=False, repr=False)(cls)
        hint_options(cls, "loss option")
        cls.__setattr__ = refuse_change  # type: ignore[assignment, method-assign]

    def __post_init__(self) -> None:
        """Check the options. A subclass checks its own, and calls this too."""
        checked(self, whole, "axis", least=None, optional=True)

    def __call__(self, y: Value, t: Value) -> Value:
        return loss_of_sample(self, y, t)[0]

    def each(self, y: Value, t: Value) -> Value:
        raise NotImplementedError(f"{type(self).__name__} must define each or __call__")

    def counted(self, t: Value) -> Value | None:
        return None

    @property
    def by_channel(self) -> bool:
        """Whether ``each`` tells channels from places, so that they must be last."""
        return self.targets == "classes"

    def prediction(self, y: Value) -> Value:
        """The link of an output, along its axis of classes."""
        axis = self.class_axis(y.shape, known_mask(y) is not None) if y.ndim else 0
        return softmax(y, axis) if self.link is softmax and axis != y.ndim - 1 else self.link(y)

    def class_axis(self, shape: Shape, masked: bool = False) -> int:
        """The axis of channels of an output; a sequence, whose mask says so, has time first and channels last."""
        n = len(shape)
        axis = self.axis if self.axis is not None else 0 if n > 2 and not masked else n - 1
        if n and not -n <= axis < n:
            raise GraphError(f"{type(self).__name__}: axis={axis} is none of the output's, of shape {shape}")
        return axis % n if n else 0

    def aligned(self, y: Value, t: Value, like: Value | None = None) -> tuple[Value, Value]:
        """Output and target with their channels along the last axis: (*places, channels).

        ``like``: the net's output itself, where y is made of it. A vector with a mask is a sequence of one number a
        step.
        """
        like = y if like is None else like
        if y.ndim == 1 and self.places(like):
            return y[:, None], t[:, None] if t.ndim == 1 else t
        axis = self.class_axis(y.shape, known_mask(like) is not None)
        if axis == y.ndim - 1 or not y.ndim:
            return y, t
        return channels_last(y, axis), channels_last(t, axis) if t.ndim == y.ndim else t

    def places(self, y: Value) -> Shape:
        """The shape of an output without its axis of channels."""
        masked = known_mask(y) is not None
        if y.ndim < 2:
            return y.shape if y.ndim and (masked or step_weight_of(y) is not None) else ()
        return places_of(y.shape, self.class_axis(y.shape, masked))


def places_of(shape: Shape, axis: int) -> Shape:
    """An output's shape without its axis of channels.

    >>> places_of((3, 8, 9), 0), places_of((3,), 0)
    ((8, 9), ())
    """
    return (*shape[:axis], *shape[axis + 1 :])


def channels_last(x: Value, axis: int) -> Value:
    return ops.transpose(x, (*(i for i in range(x.ndim) if i != axis), axis))


def loss_of_sample(loss: Loss, y: Value, t: Value) -> tuple[Value, Value | None]:
    """A sample's loss, and the sample's share in means over samples: None for 1, 0 where none of its places counts.

    Over the n places p that count, with the weights v_p of steps: sum_p v_p l_p / n, and sum_p v_p / n.
    """
    own = type(loss).__call__ is not Loss.__call__
    counted, weight, before = places_that_count(loss, y, t), step_weight_of(y), reads()
    if own:
        each = loss(y, t)
        if not isinstance(each, Value) or each.kind != "sample" or each.shape != loss.places(y)[: each.ndim]:
            got = each.type if isinstance(each, Value) else repr(each)
            raise GraphError(f"the loss must give one number for each sample, got {got} for output shape {y.shape} and "
                             f"target shape {t.shape}; of a sequence it may give one for each step, (T,)")  # fmt: skip
        if not each.ndim:
            check_whole_sequence(loss, y, before)
            return each, None if counted is None else share_of(y, counted, each.dtype)
        shape = each.shape
    else:
        shown, mask = y, known_mask(y)
        if mask is not None:  # 0 at padding, whatever the net gives there: nothing may come from it, not even 0 * inf
            shown = ops.where(over_features(mask, y), y, 0)
        if counted is not None or loss.by_channel:
            shown, t = loss.aligned(shown, t, like=y)
        each = loss.each(shown, t)
        shape = each.shape
    if counted is None:
        return (ops.sum(each) if loss.over == "sum" else ops.mean(each)) if each.ndim else each, None
    if counted.shape != shape:
        raise GraphError(f"{type(loss).__name__}: gives a loss for each of {shape}, but {counted.shape} are counted")
    each = ops.where(counted, each, 0)
    total = ops.sum(each if weight is None else each * over_places(ops.cast(weight, each.dtype), shape))
    if loss.over == "mean":
        total = total / ops.maximum(ops.sum(ops.cast(counted, each.dtype)), 1)
    return total, share_of(y, counted, each.dtype)


def share_of(y: Value, counted: Value, dtype: str) -> Value:
    """How much a sample counts in means over samples: the mean weight of its places that count, 0 where none does."""
    there, weight = ops.cast(counted, dtype), step_weight_of(y)
    if weight is None:
        return ops.max(there)
    v = there * over_places(ops.cast(weight, dtype), counted.shape)
    return ops.sum(v) / ops.maximum(ops.sum(there), 1)


def check_whole_sequence(loss: Loss, y: Value, before: int) -> None:
    """A loss of one number for a whole sequence, with padding or weights of steps."""
    name = getattr(getattr(loss, "function", None), "__name__", type(loss).__name__)
    if step_weight_of(y) is not None:
        raise GraphError(f"the loss {name} gives one number for a whole sequence, so steps cannot have weights: let it "
                         "give one for each step, (T,)")  # fmt: skip
    if known_mask(y) is not None and reads() == before:
        tell(f"the loss {name} gives one number for the whole sequence {y.shape} and does not ask for its mask; let it "
             "give one for each step, (T,), of which those that count are taken, or use nn.mask_of(y)")  # fmt: skip


def over_places(v: Value, shape: Shape) -> Value:
    """A number for each of the first places, spread over the others."""
    return ops.broadcast_to(ops.reshape(v, (*v.shape, *(1,) * (len(shape) - v.ndim))), shape)


def places_that_count(loss: Loss, y: Value, t: Value) -> Value | None:
    """Which places of a sample's output count: those that the mask, the loss (its ``ignore_class``) and weights of
    steps, where they are not 0, leave in. A bool Value (*places,), or None for all."""
    shape, mask, counted, weight = loss.places(y), known_mask(y), loss.counted(loss.aligned(y, t)[1]), step_weight_of(y)
    found: Value | None = None
    for part in (mask, counted, None if weight is None else weight > 0):
        if part is not None:
            if part.shape != shape[: part.ndim]:
                raise GraphError(f"{type(loss).__name__}: the places of the output {y.shape} are {shape}, but what "
                                 f"counts is said for {part.shape}; say with axis= where its channels are")  # fmt: skip
            part = over_places(part, shape)
            found = part if found is None else found & part
    return found
