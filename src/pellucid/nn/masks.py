"""Masks: which steps of a sequence count, kept beside its Value while a net is traced. Imports graph and ops.

A sequence is (T, ...) for each sample; its mask is a bool Value (T,), False at padding. `nn.Embedding` and `nn.Masking`
make masks, recurrent layers, attention and pooling over time read them, and every layer hands the mask of its first
input on to its output.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from .. import ops
from ..graph import GraphError, Value

_masks: ContextVar[dict[Value, Value | None] | None] = ContextVar("pellucid_masks", default=None)


def mask_of(x: Value) -> Value | None:
    """The mask of a sequence, bool (T,), True where a step counts; None where all do."""
    return (_masks.get() or {}).get(x)


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
    known = _masks.get()
    if known is None:
        if mask is None:
            return x
        raise GraphError("a mask can only be given while a net is traced: put the function in pellucid.Model, or use "
                         "pellucid.nn.trace(net, *inputs)")  # fmt: skip
    if mask is not None and (not isinstance(mask, Value) or mask.dtype != "bool" or mask.shape != x.shape[:1]):
        got = f"{mask.dtype} {mask.shape}" if isinstance(mask, Value) else repr(mask)
        hint = f"; mask > 0 makes bool of {mask.dtype}" if isinstance(mask, Value) and mask.dtype != "bool" else ""
        raise GraphError(f"the mask of a sequence of shape {x.shape} must be bool {x.shape[:1]}, one for each step, "
                         f"got {got}{hint}")  # fmt: skip
    known[x] = mask
    return x


def hand_on(y: Any, *sources: Any) -> Any:
    """``y``, with the mask of the first of the sources that has one, if it is as long and was given none of its own."""
    known = _masks.get()
    if known and isinstance(y, Value) and y.ndim > 1 and y not in known:
        mask = next((known[x] for x in sources if isinstance(x, Value) and known.get(x) is not None), None)
        if mask is not None and mask.shape == y.shape[:1]:
            known[y] = mask
    return y


@contextlib.contextmanager
def masks_kept() -> Iterator[None]:
    """While a net is traced: its sequences may have masks."""
    token = _masks.set({})
    try:
        yield
    finally:
        _masks.reset(token)


def mean_where(x: Value, counted: Value | None, axis: int | None = None) -> Value:
    """The mean of the numbers that count, over an axis or all; of all of them for None, and 0 where none does."""
    if counted is None:
        return ops.mean(x, axis)
    number = ops.sum(ops.cast(counted, x.dtype), axis)
    return ops.sum(ops.where(counted, x, 0), axis) / ops.maximum(number, 1)


def over_features(mask: Value, x: Value) -> Value:
    """A mask (T,) with an axis of length 1 for each further one of x (T, ...)."""
    return ops.reshape(mask, (len(mask), *(1,) * (x.ndim - 1)))
