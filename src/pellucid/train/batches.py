"""An epoch as pieces of arrays: one, with buckets some of each, or with augmentation several, each made while the one
before it is trained on.

Imports numpy and data.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..data import DataError
from ..graph import GraphError
from ..nn import Loss, Losses
from .arrays import as_array, check_finite
from .parts import Arrays, Part, as_part

PIECE_BYTES = 64 << 20  # of changed pictures at a time; there are two such pieces

RUN = (
    16  # mini-batches of one bucket after each other: a run copies the state (4 M weights with Adam: 47 ms, a step 11)
)
RUNS = 50  # but at least this many runs an epoch, so that the buckets are mixed
TURN = 1 << 41  # added to an epoch's number for the order of its runs


class Piece(NamedTuple):
    """Arrays to train on, the order of their samples, and which of the model's arrays (and steps) they belong to."""

    arrays: Arrays
    order: np.ndarray | None
    part: int = 0

    @property
    def rows(self) -> int:
        """How many samples there are."""
        return len(self.arrays["y"] if self.order is None else self.order)

    def between(self, start: int, stop: int) -> Piece:
        """Some of its samples."""
        if (start, stop) == (0, self.rows):
            return self
        if self.order is None:
            return Piece({name: a[start:stop] for name, a in self.arrays.items()}, None, self.part)
        return self._replace(order=self.order[start:stop])


@dataclass
class Place:
    """How far a fit is: its epochs and steps that are done, and in the epoch under way the samples and their sums.

    ``first``: how many steps of the fit were done when the epoch began.
    """

    epoch: int = 0
    step: int = 0
    first: int = 0
    rows: int = 0
    sums: dict[str, Any] = field(default_factory=dict)


def order_of(seed: int, epoch: int, n: int, shuffle: bool) -> np.ndarray | None:
    """The samples' order in an epoch, a function of the seed and the epoch's number."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(n) if shuffle else None


def epochs_of(
    parts: list[Part],
    augment: Callable | None,
    seed: int,
    numbers: Iterable[int],
    batches: Sequence[int],
    shuffle: bool,
) -> Generator[Iterator[Piece], None, None]:
    """For each epoch by its number the pieces to train on. Close it when done: a thread may be at work ahead.

    ``parts`` are the samples, several where these differ in length (`data.Buckets`).
    With ``augment`` the array "x" of each piece is ``augment(x, rows, seed, epoch)``, a function of which samples they
    are and of the epoch, not of how they are divided; or all arrays are ``augment.samples(arrays, rows, seed, epoch)``.
    """
    if len(parts) > 1:
        for number in numbers:
            yield mixed(parts, seed, number, batches, shuffle)
        return
    (part,), (batch,) = parts, batches
    n = part.samples
    if augment is None:
        for number in numbers:
            yield iter([Piece(part.whole, part.order(order_of(seed, number, n, shuffle)))])
        return
    arrays = dict(part) if hasattr(augment, "samples") else part.whole  # those that are mixed are the samples' own

    def changed(number: int, rows: np.ndarray) -> Piece:
        if hasattr(augment, "samples"):
            piece = augment.samples(arrays, rows, seed, number)
        else:
            piece = part.some(rows)
            piece |= {"x": augment(piece["x"], rows, seed, number)}
        for name in arrays:
            a = piece.get(name)
            if not isinstance(a, np.ndarray) or len(a) != len(rows):
                got = f"{len(a)} samples" if isinstance(a, np.ndarray) else type(a).__name__
                of = "" if name == "x" else f" of {name}"
                raise DataError(f"augment must give an array{of} of as many samples as it got, {len(rows)}, gave {got}")
        return Piece(piece, None)

    bytes_each = max(1, part.whole["x"][:1].nbytes)
    most = max(1, PIECE_BYTES // (bytes_each * batch)) * batch  # samples, whole batches
    starts = range(0, n, most)

    def jobs() -> Iterator[Callable[[], Piece]]:
        for number in numbers:
            order = order_of(seed, number, n, shuffle)
            order = np.arange(n) if order is None else order
            for start in starts:
                yield functools.partial(changed, number, order[start : start + most])

    with closing(ahead(jobs())) as made:
        for _ in numbers:
            yield (next(made) for _ in starts)


def mixed(
    given: Sequence[Part | Arrays], seed: int, number: int, batches: Sequence[int], shuffle: bool
) -> Iterator[Piece]:
    """Runs of mini-batches of several arrays, each of samples of one of them; samples and runs are shuffled."""
    parts = [as_part(arrays) for arrays in given]
    lengths = [part.samples for part in parts]
    steps = max(1, min(RUN, sum(-(-n // batch) for n, batch in zip(lengths, batches, strict=True)) // RUNS))  # of a run
    runs = []
    for i, (part, n, batch) in enumerate(zip(parts, lengths, batches, strict=True)):
        most = batch * steps
        order = order_of(seed, number, n, shuffle)
        order = np.arange(n) if order is None else order
        runs += [Piece(part.whole, part.order(order[start : start + most]), i) for start in range(0, n, most)]
    turn = order_of(seed, TURN + number, len(runs), shuffle)
    return iter(runs if turn is None else [runs[i] for i in turn])


def cut(
    pieces: Iterable[Piece], batches: Sequence[int], every: Sequence[int], step: int = 0, skip: int = 0
) -> Iterator[Piece]:
    """An epoch's pieces, cut where the number of steps is a multiple of one of ``every``; ``step``: those before them.

    ``batches``: how many samples a step takes of each part. The first ``skip`` samples are left out; the others are cut
    as they are without that.

    >>> epoch = [Piece({"y": np.arange(7)}, None)]
    >>> [p.arrays["y"].tolist() for p in cut(epoch, [2], every=[3], step=1)]
    [[0, 1, 2, 3], [4, 5, 6]]
    >>> [p.arrays["y"].tolist() for p in cut(epoch, [2], every=[3], step=1, skip=4)]
    [[4, 5, 6]]
    """
    for piece in pieces:
        start, batch = 0, batches[piece.part]
        while start < piece.rows:
            stop = min(start + batch * min((n - step % n for n in every), default=piece.rows), piece.rows)
            step += -(-(stop - start) // batch)
            if stop > skip:
                yield piece.between(max(start, skip), stop)
            start = stop
        skip = max(0, skip - piece.rows)


def ahead(jobs: Iterator[Callable[[], Any]]) -> Generator[Any, None, None]:
    """The results of jobs, each computed by a thread while the one before it is in use.

    >>> list(ahead(iter([lambda: 1, lambda: 2])))
    [1, 2]
    """
    with ThreadPoolExecutor(1, "pellucid-augment") as pool:
        coming = [pool.submit(job) for job in (next(jobs, None),) if job]
        while coming:
            result = coming.pop().result()
            coming = [pool.submit(job) for job in (next(jobs, None),) if job]
            yield result


def mixable(augment: Any, arrays: Arrays, loss: Loss, output: tuple[int, ...], dtype: str) -> Arrays:
    """Class numbers as rows of 0 and 1, where an augmentation mixes targets; else the arrays as they are."""
    y = arrays["y"]
    if getattr(augment, "mixes", False) and isinstance(loss, Losses):
        raise GraphError(
            f"{type(augment).__name__} mixes the targets of nets of one output; this one has several outputs"
        )
    if not getattr(augment, "mixes", False) or y.dtype.kind == "f":
        return arrays
    name = type(augment).__name__
    if getattr(loss, "ignore_class", None) is not None:
        raise DataError(f"{name}: labels that do not count (ignore_class) cannot be mixed; leave ignore_class out")
    if loss.targets != "classes":
        raise DataError(f"{name} mixes targets, but those of {type(loss).__name__} are whole numbers of a meaning of "
                        "its own; use a loss of classes or values")  # fmt: skip
    axis = loss.class_axis(output)
    return arrays | {"y": np.moveaxis(np.eye(output[axis], dtype=dtype)[y], -1, axis + 1)}


def middle_of(augment: Any, x: Any, name: str = "x") -> Any:
    """Arrays as a net that trains with ``augment`` evaluates them: cut in the middle, where it crops."""
    if augment is None:
        return x
    if not callable(augment):
        raise GraphError(f"augment must be pellucid.data.Augment(...) or a function of (x, rows, seed, epoch), got "
                         f"{augment!r}")  # fmt: skip
    if isinstance(x, (tuple, dict)):
        raise GraphError("augment changes one array of samples, but the net has several inputs")
    array = as_array(x, name)
    cut = getattr(augment, "middle", lambda x: x)(array)
    if cut.shape != array.shape:
        check_finite(array, name)  # all of it: what is cut off now may be seen in training
    return cut
