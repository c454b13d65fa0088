"""Masks: which steps of a sequence count, kept beside its Value while a net is traced. Imports graph and ops.

A sequence is (T, ...) for each sample; its mask is a bool Value (T,), False at padding. `nn.Embedding` and `nn.Masking`
make masks; recurrent layers, attention, convolution and pooling over time, and the losses and metrics of the net's
output read them; every layer hands the mask of its first input on to its output, as long as it keeps the steps. What
loses a mask and did not read it is told once, by a warning (`told_if_lost`).
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from .. import ops
from ..errors import GraphError
from ..graph import Value
from ..ops.movement import broadcast, flip_axes, reshape_to, ruled, slice_of, stop_gradient, transpose_of

STEP_BY_STEP = (broadcast, reshape_to, ruled, slice_of, stop_gradient)  # and all that is elementwise, where T stays


class MaskWarning(UserWarning):
    """A function or layer gives something of a padded sequence without its mask: padding counts from there on."""


@dataclass
class Masks:
    """What is known of masks during a trace."""

    of: dict[Value, Value | None] = field(default_factory=dict)
    weights: dict[Value, Value] = field(default_factory=dict)  # of the steps of a net's output
    settled: set[Value] = field(default_factory=set)  # what layers and functions gave
    read: set[Value] = field(default_factory=set)  # sequences whose mask somebody asked for
    reads: int = 0


_masks: ContextVar[Masks | None] = ContextVar("pellucid_masks", default=None)
_quiet: ContextVar[bool] = ContextVar("pellucid_masks_quiet", default=False)


def mask_of(x: Value) -> Value | None:
    """The mask of a sequence, bool (T,), True where a step counts; None where all do.

    Formulas on Values that keep the steps, ``x * 2 + y``, keep the mask.
    """
    found = known_mask(x)
    masks = _masks.get()
    if found is not None and masks is not None:
        masks.read.add(x)
        masks.reads += 1
    return found


def known_mask(x: Any) -> Value | None:
    """`mask_of` that does not count as somebody's asking for it."""
    masks = _masks.get()
    if masks is None or not masks.of or not isinstance(x, Value):
        return None
    if x not in masks.of:
        found = _of_formula(x, masks.of)
        if found is not None:
            masks.of[x] = found
    return masks.of.get(x)


def _of_formula(x: Value, known: dict[Value, Value | None]) -> Value | None:
    """The mask of the first sequence that a formula makes x of, step by step."""
    waiting, seen = [x], {x}
    while waiting:
        v = waiting.pop()
        if v in known:
            mask = known[v]
            if mask is not None and mask.shape == x.shape[:1]:
                return mask
        elif v.ndim > 1 and (v.primitive.elementwise or v.primitive in STEP_BY_STEP):
            new = [i for i in v.inputs if i.ndim > 1 and i.shape[0] == v.shape[0] and i not in seen]
            seen.update(new)
            waiting += reversed(new)
    return None


def with_mask(x: Value, mask: Value | None) -> Value:
    """``x`` itself, which from here on has this mask, or none; for a net or layer of one's own.

    Raises `GraphError` where the mask is not bool of shape (T,) for an x of shape (T, ...), or where no net is traced.

    >>> from pellucid import input, nn
    >>> def net(x, counts):
    ...     y = nn.LayerNorm()(nn.with_mask(x, counts > 0))
    ...     print(nn.mask_of(y))
    ...     return y
    >>> nn.trace(net, input("x", (5, 3)), input("counts", (5,), "uint8")).output.shape
    <less: sample bool (5,)>
    (5, 3)
    """
    masks = _masks.get()
    if masks is None:
        if mask is None:
            return x
        raise GraphError("a mask can only be given while a net is traced: put the function in pellucid.Model, or use "
                         "pellucid.nn.trace(net, *inputs)")  # fmt: skip
    if mask is not None and (not isinstance(mask, Value) or mask.dtype != "bool" or mask.shape != x.shape[:1]):
        got = f"{mask.dtype} {mask.shape}" if isinstance(mask, Value) else repr(mask)
        hint = f"; mask > 0 makes bool of {mask.dtype}" if isinstance(mask, Value) and mask.dtype != "bool" else ""
        raise GraphError(f"the mask of a sequence of shape {x.shape} must be bool {x.shape[:1]}, one for each step, "
                         f"got {got}{hint}")  # fmt: skip
    masks.of[x] = mask
    return x


def hand_on(y: Any, *sources: Any) -> Any:
    """``y``, with the mask of the first of the sources that has one, if it is as long and was given none of its own."""
    masks = _masks.get()
    if masks is not None and masks.of and isinstance(y, Value) and y.ndim > 1 and y not in masks.of:
        mask = next((m for m in map(known_mask, sources) if m is not None), None)
        if mask is not None and mask.shape == y.shape[:1] and not _turned(y, sources):
            masks.of[y] = mask
    return y


def _turned(y: Value, sources: tuple[Any, ...]) -> bool:
    """Whether y is a sequence whose steps were put elsewhere, though it is as long: reversed, or time and features
    exchanged."""
    v = y
    while v not in sources and v.inputs:
        a = v.attributes
        turned = v.primitive is flip_axes and -v.ndim in a["axes"]
        if turned or (v.primitive is transpose_of and a["axes"][0] != -v.ndim):
            return True
        if not (v.primitive.elementwise or v.primitive in STEP_BY_STEP):
            return False
        v = v.inputs[0]
    return False


# ---- what is lost -----------------------------------------------------------------------------------------------


def reads() -> int:
    """How often a mask was asked for in this trace."""
    masks = _masks.get()
    return 0 if masks is None else masks.reads


def told_if_lost(who: str, given: Iterable[Any], output: Any, before: int) -> None:
    """Warn where a layer or function got a sequence with a mask, asked for no mask since ``before`` (`reads`), and
    gives something without one."""
    masks = _masks.get()
    if masks is None or not masks.of:
        return
    first = output[0] if isinstance(output, tuple) and output else output
    if isinstance(first, Value) and masks.reads == before:
        lost = next((x for x in given if known_mask(x) is not None), None)
        if lost is not None and first not in masks.of and lost.kind == "sample":
            masks.of[first] = None
            masks.reads += 1  # so that what stands around it does not tell again
            _tell(f"{who} makes {first.shape} of the sequence {lost.shape} and does not keep its mask")
    masks.settled.update(v for v in (output if isinstance(output, tuple) else (output,)) if isinstance(v, Value))


def told_if_formula_lost(who: str, given: Iterable[Any]) -> None:
    """Warn where plain formulas, between layers, made one of these Values of a sequence and its mask was lost."""
    masks = _masks.get()
    if masks is None or not any(m is not None for m in masks.of.values()):
        return
    for x in given:
        if not isinstance(x, Value) or x in masks.settled or known_mask(x) is not None or x in masks.of:
            continue
        waiting, seen = list(x.inputs), set(x.inputs)
        while waiting:
            v = waiting.pop()
            masked = known_mask(v) is not None
            new = [] if v in masks.settled else [i for i in v.inputs if not masked or known_mask(i) is not None]
            if masked and not new and v not in masks.read:
                masks.read.add(v)
                _tell(f"{who} gets {x.shape}, made by formulas of the sequence {v.shape}, whose mask they do not keep")
                break
            new = [i for i in new if i not in seen and v not in masks.read]
            seen.update(new)
            waiting += new


def tell(what: str) -> None:
    """Warn, unless this net was traced before."""
    if not _quiet.get():
        warnings.warn(what, MaskWarning, stacklevel=4)


def _tell(what: str) -> None:
    tell(f"{what}: padding counts from there on. Layers that heed masks are recurrent layers, attention, nn.Conv1D "
         "and the pools over time; a function of your own has nn.mask_of(x) and nn.with_mask(y, mask). "
         "nn.with_mask(x, None) before it says that padding is meant to count")  # fmt: skip


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """While a net is traced that was traced before: what it loses was told then."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


@contextlib.contextmanager
def masks_kept() -> Iterator[None]:
    """While a net is traced: its sequences may have masks."""
    token = _masks.set(Masks())
    try:
        yield
    finally:
        _masks.reset(token)


# ---- beyond the net: its output, in losses and metrics ------------------------------------------------------------


@contextlib.contextmanager
def counting(y: Value, mask: Value | None, weight: Value | None = None) -> Iterator[None]:
    """While the loss and metrics of a net's output are traced: which of its steps count, and their weights (T,)."""
    masks = Masks({y: mask}, {} if weight is None else {y: weight})
    token = _masks.set(masks)
    try:
        yield
    finally:
        _masks.reset(token)


def step_weight_of(y: Value) -> Value | None:
    """The weights of the steps of a net's output, (T,), where `fit` or `evaluate` was given some."""
    masks = _masks.get()
    return None if masks is None else masks.weights.get(y)


# ---- means --------------------------------------------------------------------------------------------------------


def mean_where(x: Value, counted: Value | None, axis: int | None = None) -> Value:
    """The mean of the numbers that count, over an axis or all; of all of them for None, and 0 where none does."""
    if counted is None:
        return ops.mean(x, axis)
    number = ops.sum(ops.cast(counted, x.dtype), axis)
    return ops.sum(ops.where(counted, x, 0), axis) / ops.maximum(number, 1)


def over_features(mask: Value, x: Value) -> Value:
    """A mask (T,) with an axis of length 1 for each further one of x (T, ...)."""
    return ops.reshape(mask, (*mask.shape, *(1,) * (x.ndim - mask.ndim)))


def channel_axis(layer: Any, x: Value) -> int:
    """The axis of channels, counted from the end: as the layer's ``axis`` says, else the first; of a sequence, whose
    mask says so, the last."""
    axis = layer.axis if layer.axis is not None else -1 if known_mask(x) is not None else 0
    if x.ndim and not -x.ndim <= axis < x.ndim:
        raise GraphError(f"axis={axis} is none of the input's, of shape {x.shape}")
    return axis % x.ndim - x.ndim if x.ndim else -1
