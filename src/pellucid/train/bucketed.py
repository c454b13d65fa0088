"""`data.Buckets` given to a model: the arrays of each bucket, and predictions in the samples' first order.

Imports numpy, data and graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Buckets, DataError
from ..graph import GraphError
from .batches import Arrays

if TYPE_CHECKING:
    from .model import Model

INSTEAD = {
    "y": "they hold the targets: Buckets(x, y)",
    "batch_size": "they have their own: Buckets(x, y, batch_size=...)",
    "validation_split": "make two: validation_data=Buckets(...)",
}


def refuse(**options: Any) -> None:
    """`GraphError` for options of `Model.fit` and `Model.evaluate` that do not go with Buckets."""
    for name, value in options.items():
        if value is not None and not (name == "validation_split" and not value):
            raise GraphError(f"{name} does not go with Buckets" + (f"; {INSTEAD[name]}" if name in INSTEAD else ""))


def arrays_of(model: Model, buckets: Buckets, name: str = "") -> list[Arrays]:
    """Inputs and targets of each bucket, checked. A net that has no weights yet is built for the longest sequences."""
    if any(b.y is None for b in buckets.parts):
        raise DataError(f"{name or 'x '}has no targets; give them to the buckets: Buckets(x, y)")
    model._inputs(buckets.parts[-1].x, f"{name}x")
    parts = [model._arrays(b.x, b.y, name=name) for b in buckets.parts]
    return [{k: a.astype(model._dtype_of(k, a), copy=False) for k, a in arrays.items()} for arrays in parts]  # once


def predict(
    model: Model, buckets: Buckets, batch_size: int | str | None, finite: bool
) -> np.ndarray | list[np.ndarray]:
    """One array, or for outputs at every step a list of arrays, without what stands at padding."""
    outputs = []
    for b in buckets.parts:
        arrays, _ = model._inputs(b.x)
        outputs.append(model._in_batches(model._compiled("predict", arrays), arrays, batch_size, finite, b.rows))
    each_step = all(o.ndim > 2 and o.shape[1] == b.length for o, b in zip(outputs, buckets.parts, strict=True))
    found: list[Any] = [None] * len(buckets)
    for b, o in zip(buckets.parts, outputs, strict=True):
        for row, output in zip(b.rows, o, strict=True):
            found[row] = output[: buckets.steps[row]] if each_step else output
    return found if each_step else np.stack(found)
