"""`Training`: what a fit was given, as arrays and compiled steps; the samples that it keeps apart. Imports numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError, DataError
from .batches import middle_of
from .parts import Arrays, Part
from .remarks import remark


@dataclass(frozen=True)
class Training:
    """What `fit` was given, as arrays and compiled steps: `Model.training`, while it trains."""

    steps: list[Any]  # the compiled step of each part
    parts: list[Part]
    validation: list[Part] | None
    batches: list[int]  # how many samples a step takes of each part
    epochs: int
    shuffle: bool
    augment: Callable | None = None

    @property
    def unchanged(self) -> list[Part]:
        """The parts as a net evaluates them: without random changes, cut in the middle."""
        if self.augment is None:
            return self.parts
        return [part.having(x=middle_of(self.augment, part.whole["x"])) for part in self.parts]

    @property
    def samples(self) -> int:
        return sum(part.samples for part in self.parts)

    @property
    def steps_per_epoch(self) -> int:
        return sum(-(-part.samples // batch) for part, batch in zip(self.parts, self.batches, strict=True))

    @property
    def batch(self) -> int:
        """How many samples a step takes, of the part where they are most."""
        return max(self.batches)


def split(arrays: Arrays, fraction: float, seed: int) -> tuple[Part, Part]:
    """Training and validation samples, drawn with the seed and kept in their order, without a copy."""
    n = len(arrays["y"])
    if not isinstance(fraction, (float, np.floating)) or not 0 < fraction < 1:
        raise ArgumentError(f"validation_split must be between 0 and 1, got {fraction!r}")
    held = round(n * fraction)
    if held < 1 or held >= n:
        raise DataError(f"validation_split={fraction} of {n} samples leaves {held} for validation, "
                        f"{n - held} for training")  # fmt: skip
    order = np.random.Generator(np.random.Philox(key=[seed, 1 << 40])).permutation(n)
    validation, training = np.sort(order[:held]), np.sort(order[held:])
    return Part(arrays, training), Part(arrays, validation)


def enough(part: Part) -> Part:
    """Validation samples, with a warning for one sample with one target: its loss says little of others."""
    if part.samples == 1 and part["y"].size == 1:
        remark("one sample for validation says next to nothing of others; give more, the tenth part say")
    return part


def whole_batch(asked: int | str | None, parts: list[Part], augment: Callable | None) -> str:
    """All samples as one batch, which is what L-BFGS takes."""
    if asked not in (None, "all"):
        raise ArgumentError(
            f'optim.LBFGS takes all samples at once: leave batch_size out, or give "all", got {asked!r}'
        )
    if augment is not None or len(parts) > 1:
        raise ArgumentError("optim.LBFGS takes all samples at once: no augment and no Buckets; use another optimizer")
    return "all"
