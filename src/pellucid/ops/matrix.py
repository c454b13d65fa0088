"""A convolution as the matrix that it is: mostly empty, and with a few numbers that stand in many places. On arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import GraphError
from ..graph import Shape
from .sizes import fitted


@dataclass(frozen=True, eq=False)
class ConvMatrix:
    """What `conv_matrix` gives: y.ravel() = matrix @ x.ravel().

    ``matrix`` (outputs, inputs); ``index``, of its shape: which number of the kernel stands there, -1 where none does;
    ``output`` the shape of y.
    """

    matrix: np.ndarray
    index: np.ndarray
    output: Shape

    @property
    def empty(self) -> int:
        """How many entries are empty: 0 whatever the kernel is, as there is no connection."""
        return int((self.index < 0).sum())

    @property
    def weights(self) -> int:
        """How many different numbers there are."""
        return len(np.unique(self.index[self.index >= 0]))

    @property
    def shared(self) -> np.ndarray:
        """In how many places each number of the kernel stands, in the shape of one row of it: (size,)."""
        return np.bincount(self.index[self.index >= 0].ravel())


def conv_matrix(
    w: Any, input_shape: Shape, strides: int | Sequence[int] = 1, padding: Any = "valid",
    dilations: int | Sequence[int] = 1, groups: int = 1, floor: bool = False,
) -> ConvMatrix:  # fmt: skip
    """The matrix of `correlate` for a kernel (filters, channels / groups, *size) and an input (channels, *space).

    A kernel of 1, 2, 3 over five numbers: each row has the same three, one place further, and nothing else.

    >>> m = conv_matrix(np.array([[[1, 2, 3]]]), (1, 5))
    >>> m.matrix.tolist()
    [[1, 2, 3, 0, 0], [0, 1, 2, 3, 0], [0, 0, 1, 2, 3]]
    >>> m.weights, m.empty, m.shared.tolist()
    (3, 6, [3, 3, 3])
    """
    w = np.asarray(w)
    channels, *space = (int(n) for n in input_shape)
    rank = len(space)
    if w.ndim != rank + 2 or channels != w.shape[1] * groups or w.shape[0] % groups:
        raise GraphError(f"conv_matrix: a kernel of shape {w.shape} (filters, channels / groups, *size) does not fit "
                         f"an input of shape {tuple(input_shape)} (channels, *space) in {groups} groups")  # fmt: skip
    kernel = w.shape[2:]
    strides, dilations, widths = fitted(tuple(space), kernel, strides, padding, dilations, floor)
    numbers = np.arange(channels * int(np.prod(space))).reshape(channels, *space)
    numbers = np.pad(numbers, [(0, 0), *widths], constant_values=-1)  # which input stands where
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(numbers, reach, tuple(range(1, rank + 1)))
    view = view[(slice(None), *(slice(None, None, s) for s in (*strides, *dilations)))]
    places = view.shape[1 : rank + 1]
    rows = view.reshape(channels, int(np.prod(places)), -1)  # (channels, places, kernel)
    size, each = rows.shape[2], w.shape[0] // groups
    index = np.full((w.shape[0], rows.shape[1], channels * int(np.prod(space))), -1)
    for o in range(w.shape[0]):
        for c in range(w.shape[1]):
            which = rows[o // each * w.shape[1] + c]  # (places, kernel)
            place, i = np.nonzero(which >= 0)
            index[o, place, which[place, i]] = (o * w.shape[1] + c) * size + i
    index = index.reshape(-1, index.shape[2])
    return ConvMatrix(np.where(index >= 0, w.ravel()[index], 0), index, (w.shape[0], *places))
