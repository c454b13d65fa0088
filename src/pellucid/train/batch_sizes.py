"""How many samples a training step takes: as asked, or others where batch normalization would meet a small batch.

Imports numpy, data and graph.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..graph import GraphError
from .evaluation import batch_size_for
from .parts import Arrays, Part, as_part
from .remarks import remark

if TYPE_CHECKING:
    from ..nn.layer import Traced
    from .model import Model

DEFAULT_BATCH = 32


def training_batch_size(asked: int | str | None, n: int) -> int:
    """The number of samples a step as asked for; of more than there are, all, with a warning."""
    size = batch_size_for(asked, n, DEFAULT_BATCH)
    if size > n:
        remark(f"batch_size={size} is larger than the {n} training samples; each step takes all {n}")
    return min(size, n)


def even(n: int, batch: int) -> int:
    """A batch size near ``batch`` that divides n samples into batches of which the last is at least half as large.

    It is ``batch`` itself where the last one is large enough. Never is a batch smaller than 2.

    >>> [even(n, batch) for n, batch in [(400, 200), (350, 200), (401, 200), (97, 16), (5, 2)]]
    [200, 200, 134, 14, 3]
    """
    batch = min(batch, n)
    equal = -(-n // -(-n // batch))  # as many batches as asked for, of one size as far as possible
    for size in (batch, *range(equal, max(1, equal // 2), -1), *range(batch + 1, n + 1)):
        last = n % size or size
        if last >= max(2, size / 2):
            return size
    return n


def sizes(model: Model, parts: Iterable[Part | Arrays], batch: int) -> list[int]:
    """The batch size for each of the parts of the samples; see `even`.

    Raises `GraphError` where a layer takes statistics over the samples of batches of one.
    """
    found = []
    for part in map(as_part, parts):
        traced, n = traced_for(model, part.whole), part.samples
        if not traced.over_samples:
            found.append(batch)
            continue
        check_statistics(model, traced, n, batch)
        found.append(even(n, batch))
    return found


def traced_for(model: Model, arrays: Arrays) -> Traced:
    """The net as it was traced for samples of these shapes."""
    return model._others.get(tuple(model._specs_of(arrays).values()), model._built())


def check_statistics(model: Model, traced: Traced, n: int, batch: int) -> None:
    """`GraphError` where a layer takes statistics over the samples, and there is one in a batch."""
    if not traced.over_samples or min(n, batch) > 1:
        return
    place = traced.over_samples[0]
    layer = f"layer {place!r}" if place else type(model.net).__name__
    what, instead = (f"batch_size={batch}", "a batch_size of 2 or more, better 16") if n > 1 else (
        "one sample", "two samples or more")  # fmt: skip
    raise GraphError(f"{layer} takes mean and variance over the samples of a batch, and one sample has none (with "
                     f"{what}): give {instead}, or use nn.LayerNorm() in its place")  # fmt: skip
