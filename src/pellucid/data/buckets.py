"""Sequences of different lengths in buckets of similar ones, so that little is padded. Imports numpy."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import DataError
from .padding import as_sequences, padded

NO_CLASS = -1  # the label of padding
# Shares of the samples within the default boundaries. Lengths have a long tail (sentences, strokes): these leave a
# fifth to two fifths padding, quarters a third to two thirds, and the best four boundaries 1 to 5 % less than these.
SHARES = (0.4, 0.75, 0.95, 1)


@dataclass(frozen=True, eq=False)
class Bucket:
    """The samples ``rows`` of all, padded to ``length`` steps: inputs x as a net takes them, targets y or None."""

    length: int
    rows: np.ndarray
    x: Any
    y: np.ndarray | None


class Buckets:
    """Sequences of different lengths for a `Model`: each bucket holds those of similar length, padded to its own.

    ``model.fit(Buckets(x, y))``, ``evaluate``, ``predict``, ``validation_data=Buckets(...)``. A mini-batch comes from
    one bucket; an epoch goes over all of them, mixed.

    - ``x``: a list of sequences (T_i, ...); for nets with several inputs a tuple or dict of lists. A sample's length is
      that of its longest input.
    - ``y``: one target a sample, or for every step of an input a whole number, its class; these are padded with -1,
      which `nn.CrossEntropy(ignore_class=-1)` leaves out. Other targets for every step, (T_i, ...), need
      ``target_value``, what they are padded with, and a net with a mask (`nn.Masking`) or a loss that leaves it out.
    - ``boundaries``: lengths, ascending: a sample goes to the first that it fits in, and samples longer than all make
      one more bucket, as long as the longest. By default four, within which are 40, 75, 95 and 100 % of the samples.
      Each length is a program of its own, so few should do, and validation data should have the same:
      ``boundaries=other.boundaries``.
    - ``batch_size``: samples a step. ``value``: what inputs are padded with.

    Raises `DataError` for sequences of length 0, labels that are longer or shorter than their inputs, and boundaries
    that do not ascend.

    >>> buckets = Buckets([[5, 2], [7], [1, 2, 3, 4, 5]], [0, 1, 1], boundaries=[2, 4])
    >>> buckets
    <Buckets: 3 samples; 2 of up to 2 steps, 1 of up to 5; 11 % is padding>
    >>> [(b.x.tolist(), b.y.tolist()) for b in buckets.parts]
    [([[5, 2], [7, 0]], [0, 1]), ([[1, 2, 3, 4, 5]], [1])]
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        boundaries: Sequence[int] | None = None,
        batch_size: int = 32,
        value: float = 0,
        target_value: float | None = None,
    ) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise DataError(f"Buckets: batch_size must be a whole number >= 1, got {batch_size!r}")
        inputs = {name: as_sequences(s, f"{name} sequence") for name, s in _named(x).items()}
        n = {name: len(arrays) for name, arrays in inputs.items()}
        if len(set(n.values())) > 1:
            raise DataError(f"Buckets: the inputs differ in their number of sequences: {n}")
        steps = {name: np.array([len(a) for a in arrays]) for name, arrays in inputs.items()}
        lengths = np.max(list(steps.values()), axis=0)  # (n,)
        self.batch_size, self.boundaries = int(batch_size), _boundaries(boundaries, lengths)
        targets = None if y is None else as_targets(y, steps, target_value)
        filler = NO_CLASS if target_value is None else target_value
        self.per_step = isinstance(targets, list)
        # how many steps of each sample an output has that is given for every step
        self.steps = np.array([len(t) for t in targets]) if isinstance(targets, list) else steps[list(steps)[-1]]
        ends = [*self.boundaries, int(lengths.max())]
        place = np.searchsorted(self.boundaries, lengths)  # the first boundary that is not smaller
        self.parts = []
        for i, length in enumerate(ends):
            rows = np.flatnonzero(place == i)
            if len(rows):
                arrays = {name: padded([a[r] for r in rows], length, value) for name, a in inputs.items()}
                if isinstance(targets, list):
                    own: Any = padded([targets[r] for r in rows], length, filler)
                else:
                    own = None if targets is None else targets[rows]
                self.parts.append(Bucket(length, rows, _like(x, arrays), own))
        self.filled = sum(int(s.sum()) for s in steps.values()) / sum(
            b.length * len(b.rows) * len(steps) for b in self.parts
        )

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(b.rows)} of up to {b.length}" + " steps" * (b is self.parts[0]) for b in self.parts)
        return f"<Buckets: {len(self)} samples; {sizes}; {100 * (1 - self.filled):.0f} % is padding>"


def _named(x: Any) -> Mapping[str, Any]:
    """The inputs by a name for errors."""
    if isinstance(x, Mapping):
        named: dict[str, Any] = {f"x[{name!r}]": s for name, s in x.items()}
    else:
        named = {f"x[{i}]": s for i, s in enumerate(x)} if isinstance(x, tuple) else {"x": x}
    if not named:
        raise DataError("Buckets: x holds no inputs")
    return named


def _like(x: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Arrays in the form in which the sequences were given: one, a tuple or a dict."""
    if isinstance(x, Mapping):
        return dict(zip(x, arrays.values(), strict=True))
    return tuple(arrays.values()) if isinstance(x, tuple) else arrays["x"]


def _boundaries(given: Sequence[int] | None, lengths: np.ndarray) -> tuple[int, ...]:
    """The boundaries as given, checked; by default four, at certain shares of the samples."""
    if given is None:
        return tuple(np.unique(np.quantile(lengths, SHARES, method="higher")).tolist())
    ends = list(given)
    whole = all(isinstance(b, (int, np.integer)) and b >= 1 for b in ends)
    if not ends or not whole or any(a >= b for a, b in itertools.pairwise(ends)):
        raise DataError(f"Buckets: boundaries must be lengths that ascend, such as [10, 20, 40], got {given!r}")
    return tuple(map(int, ends))


def as_targets(
    y: Iterable[Any], steps: dict[str, np.ndarray], target_value: float | None = None
) -> np.ndarray | list[np.ndarray]:
    """Targets as one array with a row for each sample, or where there is one for every step, as a list of sequences."""
    (name, counts), n = list(steps.items())[-1], len(next(iter(steps.values())))
    y = y if isinstance(y, np.ndarray) else list(y)
    if len(y) != n:
        raise DataError(f"x has {n} sequences, y has {len(y)}; expected as many")
    if np.ndim(y[0]) == 0:
        return np.asarray(y)
    own = as_sequences(y, "y sequence")
    lengths = np.array([len(a) for a in own])
    followed = any(np.array_equal(lengths, s) for s in steps.values())
    if not followed and (lengths == lengths[0]).all():
        return np.stack(own)  # a vector for each sample
    if not followed:
        i = int(np.flatnonzero(lengths != counts)[0])
        raise DataError(f"y sequence {i} has {lengths[i]} steps, but {name} sequence {i} has {counts[i]}; expected one "
                        "target for each sample, or one for each step")  # fmt: skip
    if target_value is None and (own[0].dtype.kind == "f" or own[0].ndim > 1):
        raise DataError("y has targets for every step that are no class numbers; only those are padded by themselves "
                        "(with -1, which nn.CrossEntropy(ignore_class=-1) leaves out). Say with target_value= what "
                        "the loss leaves out, or use sequences of one length")  # fmt: skip
    return own
