"""What `Model.fit` is given, as the arrays and compiled steps of a training, checked before anything changes.

Imports numpy, data, graph, optim and the sibling modules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Augment, Buckets, Mixup
from ..data.dataset import taken_apart
from ..graph import GraphError
from ..optim import LBFGS
from . import bucketed, evaluation
from .arrays import as_array, held_out
from .batch_sizes import sizes, training_batch_size
from .batches import middle_of, mixable
from .inputs import LARGE
from .loop import Training, enough, whole_batch
from .parts import Arrays, Part
from .stateful import check_batches

if TYPE_CHECKING:
    from .model import Model


def prepared(
    model: Model,
    x: Any,
    y: Any,
    batch_size: int | str | None,
    epochs: int,
    validation_split: float,
    validation_data: Any,
    shuffle: bool,
    sample_weight: Any,
    class_weight: Any,
    augment: Callable | None,
) -> Training:
    """The training that `Model.fit` is asked for; a net without weights gets them."""
    x, y = taken_apart(x, y)
    model._learn_columns(x)
    if not isinstance(shuffle, (bool, np.bool_)):
        raise GraphError(f"shuffle must be True or False, got {shuffle!r}")
    if validation_data is not None and validation_split:
        raise GraphError("give validation_split or validation_data, not both")
    if isinstance(x, Buckets):
        bucketed.refuse(batch_size=batch_size, validation_split=validation_split, augment=augment)
    fitting = model.epochs == 0 and not model.in_parts
    seen = model._parts(middle_of(augment, x), y, sample_weight, class_weight, fitting)
    if augment is not None:
        seen = [mixable(augment, seen[0], model.loss, model._built().output.shape, model.dtype)]
    whole = [Part(arrays) for arrays in seen]
    parts = whole if augment is None else [whole[0].having(x=_pictures(model, x))]  # whole ones, for the changes
    validation = None
    if isinstance(validation_data, Buckets):
        validation = [Part(arrays) for arrays in model._parts(validation_data, name="validation_data ")]
    elif validation_data is not None:
        vx, vy, weight = held_out(validation_data)
        vx = middle_of(augment, vx, "validation_data x")
        validation = [enough(Part(model._arrays(vx, vy, weight, name="validation_data ")))]
    elif validation_split:
        learnt, held = model._apart(seen[0], validation_split, sample_weight)
        parts, validation = [Part(parts[0].whole, learnt.rows)], [enough(held)]
    n = sum(part.samples for part in parts)
    if isinstance(model.optimizer, LBFGS):
        batch_size = whole_batch(batch_size, parts, augment)
    batch = x.batch_size if isinstance(x, Buckets) else training_batch_size(batch_size, n)
    chunks = sizes(model, parts, batch)
    steps = [model._compiled("step", changed(model, augment, arrays)) for arrays in seen]
    if validation is not None:
        evaluation.check(model, validation, evaluation.of_epochs(model.metrics))
    for step, part, chunk in zip(steps, parts, chunks, strict=True):
        check_batches(step.program, chunk, part.samples, shuffle, bool(validation_split))
    return Training(steps, parts, validation, chunks, int(epochs), shuffle, augment)


def _pictures(model: Model, x: Any) -> np.ndarray:
    """What a function changes: numbers as floats or bytes, codes as they are; and what is large."""
    array = as_array(x, "x")
    whole = array.dtype.kind in "iu" and array.nbytes <= LARGE
    return array.astype(model._dtype_of("x", array), copy=False) if whole else array


def changed(model: Model, augment: Callable | None, arrays: Arrays) -> Arrays:
    """Arrays of the dtypes that an augmentation gives: a user's function may make floats of bytes."""
    if augment is None or isinstance(augment, (Augment, Mixup)) or arrays["x"].dtype != np.uint8 or model._codes():
        return arrays
    return arrays | {"x": np.broadcast_to(np.zeros((), model.dtype), arrays["x"].shape)}
