"""What `Model.fit` is given, as the arrays and compiled steps of a training, checked before anything changes.

Imports numpy, data, graph, optim and the sibling modules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import flag
from ..data import Augment, Buckets, Mixup
from ..data.dataset import taken_apart
from ..errors import ArgumentError
from ..optim import LBFGS
from . import evaluation
from .arrays import as_array, held_out
from .batch_sizes import sizes, training_batch_size
from .batches import middle_of, mixable
from .inputs import LARGE, arrays_of, held_apart, learn_columns, parts_of, refuse_with_buckets
from .parts import Arrays, Part
from .stateful import check_batches
from .training import Training, enough, whole_batch

if TYPE_CHECKING:
    from .model import Model


@dataclass(frozen=True)
class FitOptions:
    """What `Model.fit` is asked for, besides the samples; see there."""

    batch_size: int | str | None
    epochs: int
    validation_split: float
    validation_data: Any
    shuffle: bool
    sample_weight: Any
    class_weight: Any
    augment: Callable | None


def prepared(model: Model, x: Any, y: Any, options: FitOptions) -> Training:
    """The training that `Model.fit` is asked for; a net without weights gets them."""
    x, y = taken_apart(x, y)
    learn_columns(model, x)
    augment = options.augment
    shuffle = flag("fit", "shuffle", options.shuffle)
    if options.validation_data is not None and options.validation_split:
        raise ArgumentError("give validation_split or validation_data, not both")
    if isinstance(x, Buckets):
        refuse_with_buckets(batch_size=options.batch_size, validation_split=options.validation_split, augment=augment)
    fitting = model.epochs == 0 and not model.in_parts
    seen = parts_of(model, middle_of(augment, x), y, options.sample_weight, options.class_weight, fitting)
    if augment is not None:
        seen = [mixable(augment, seen[0], model.loss, model.network.built().output.shape, model.dtype)]
    whole = [Part(arrays) for arrays in seen]
    parts = whole if augment is None else [whole[0].having(x=_pictures(model, x))]  # whole ones, for the changes
    validation = _validation(model, options)
    if options.validation_split:
        learnt, held = held_apart(model, seen[0], options.validation_split, options.sample_weight)
        parts, validation = [Part(parts[0].whole, learnt.rows)], [enough(held)]
    n, batch_size = sum(part.samples for part in parts), options.batch_size
    if isinstance(model.optimizer, LBFGS):
        batch_size = whole_batch(batch_size, parts, augment)
    batch = x.batch_size if isinstance(x, Buckets) else training_batch_size(batch_size, n)
    chunks = sizes(model, parts, batch)
    steps = [model.programs.compiled("step", changed(model, augment, arrays)) for arrays in seen]
    if validation is not None:
        evaluation.check(model, validation, evaluation.of_epochs(model.metrics))
    for step, part, chunk in zip(steps, parts, chunks, strict=True):
        check_batches(step.program, chunk, part.samples, shuffle, bool(options.validation_split))
    return Training(steps, parts, validation, chunks, int(options.epochs), shuffle, augment)


def _validation(model: Model, options: FitOptions) -> list[Part] | None:
    """The samples of ``validation_data``; None where there are none."""
    given, name = options.validation_data, "validation_data "
    if given is None:
        return None
    if isinstance(given, Buckets):
        return [Part(arrays) for arrays in parts_of(model, given, name=name)]
    x, y, weight = held_out(given)
    x = middle_of(options.augment, x, f"{name}x")
    return [enough(Part(arrays_of(model, x, y, weight, name=name)))]


def _pictures(model: Model, x: Any) -> np.ndarray:
    """What a function changes: numbers as floats or bytes, codes as they are; and what is large."""
    array = as_array(x, "x")
    whole = array.dtype.kind in "iu" and array.nbytes <= LARGE
    return array.astype(model.network.dtype_of("x", array), copy=False) if whole else array


def changed(model: Model, augment: Callable | None, arrays: Arrays) -> Arrays:
    """Arrays of the dtypes that an augmentation gives: a user's function may make floats of bytes."""
    if (
        augment is None
        or isinstance(augment, (Augment, Mixup))
        or arrays["x"].dtype != np.uint8
        or model.network.codes()
    ):
        return arrays
    return arrays | {"x": np.broadcast_to(np.zeros((), model.dtype), arrays["x"].shape)}
