"""Several small nets in one, which predict together. Imports graph, ops and the sibling modules."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..checks import checked, choice, whole, wrong
from ..errors import GraphError
from ..graph import Shape, Value
from .activations import softplus
from .init import uniform, zeros
from .layer import Layer, as_float

SPREADS = ("mse", "cross_entropy", "binary_cross_entropy", "poisson")  # losses that `MemberMean` knows the spread of


class MemberDense(Layer):
    """A dense layer of each of ``members`` nets side by side: y_m = W_m x_m + b_m.

    Shapes: (in,), the same for all members, or (members, in), to (members, units). All members are computed at once.
    First weights are uniform in +-1/sqrt(in). `MemberMean` makes one output of theirs. Raises `GraphError` for other
    shapes.

    >>> from pellucid import input, nn
    >>> net = nn.Sequential(MemberDense(5, 4), nn.relu, MemberDense(1, 4), MemberMean())
    >>> nn.trace(net, input("x", (3,))).output.shape
    (1,)
    """

    units: int
    members: int

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "units", "members")

    def __call__(self, x: Value) -> Value:
        k = self.members
        if x.ndim not in (1, 2) or (x.ndim == 2 and x.shape[0] != k):
            raise GraphError(
                f"expects a vector (n,), or one for each of the {k} members, ({k}, n), got shape {x.shape}"
            )
        x = as_float(x)

        def first(key: Value, shape: Shape, dtype: str) -> Value:
            return uniform(key, shape, dtype, 1 / math.sqrt(max(x.shape[-1], 1)))

        w = self.param("weight", (k, self.units, x.shape[-1]), first)
        return ops.contract(w, x, "koi,i->ko" if x.ndim == 1 else "koi,ki->ko") + self.param(
            "bias", (k, self.units), zeros
        )


class MemberMean(Layer):
    """The mean of the members' outputs: (members, n) to (n,); each member learns as if it were alone.

    In training, what the loss of the mean lacks to the mean of the members' losses is added to the cost (the members'
    spread; Krogh and Vedelsby, NIPS 1995). All losses here are A(y) - t y and a number that is the same for all y,
    so that the spread is mean A(y_m) - A(mean y_m), whatever the target t. ``loss`` says what A is: y^2 of "mse" (the
    spread is the mean of (y_m - y)^2), log sum exp y of "cross_entropy", softplus(y) of "binary_cross_entropy", exp(y)
    of "poisson". Raises `GraphError` for other losses.

    >>> from pellucid import input, nn
    >>> nn.trace(MemberMean(), input("x", (4, 1)), training=True).extras[0].value.shape
    ()
    """

    loss: str = "mse"

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, choice, "loss", among=SPREADS)

    def __call__(self, x: Value) -> Value:
        if x.ndim != 2:
            raise GraphError(f"expects the outputs of several members, (members, n), got shape {x.shape}")
        x = as_float(x)
        y = ops.mean(x, axis=0)
        if self.loss == "mse":
            self.add_loss(ops.mean((x - y) ** 2))
        elif self.loss == "cross_entropy":
            self.add_loss(ops.mean(ops.logsumexp(x, axis=1)) - ops.logsumexp(y))
        else:
            potential = softplus if self.loss == "binary_cross_entropy" else ops.exp
            self.add_loss(ops.mean(potential(x)) - ops.mean(potential(y)))
        return y


class Pieces(Layer):
    """Some inputs also as the ``pieces`` of their range, so that a net learns steep and bent functions of them easily.

    An input u in 0..T, T = ``pieces``, becomes 2 u / T - 1 in its place, and T further numbers after all inputs, of
    which number t is min(max(u - t, 0), 1): a piecewise linear encoding. `pellucid.tabular.PieceScaler` makes such
    inputs of a table's columns. Shapes: (n,) to (n + T m,), m the number of ``columns``; other inputs stay. Gorishniy
    et al., "On embeddings for numerical features in tabular deep learning", NeurIPS 2022. Raises `GraphError` for a
    column that is not there.

    >>> from pellucid import Program, executors, input
    >>> x = input("x", (2,))
    >>> run = executors.get("reference").compile(Program([x], {"y": Pieces(4, (1,))(x)}))
    >>> run({}, {"x": [[7.0, 2.5]]})["y"].tolist()
    [[7.0, 0.25, 1.0, 1.0, 0.5, 0.0]]
    """

    pieces: int
    columns: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "pieces")
        if not isinstance(self.columns, (tuple, list)) or not all(_place(c) for c in self.columns):
            raise wrong(self, "columns", "whole numbers >= 0, each once, as in (0, 2)", self.columns)
        if len(set(self.columns)) < len(self.columns):
            raise wrong(self, "columns", "whole numbers >= 0, each once, as in (0, 2)", self.columns)

    def __call__(self, x: Value) -> Value:
        if x.ndim != 1 or max(self.columns, default=-1) >= x.shape[0]:
            raise GraphError(f"expects a vector with the columns {tuple(self.columns)}, got shape {x.shape}")
        x = as_float(x)
        if not self.columns:
            return x
        t, there = self.pieces, set(self.columns)
        scale = ops.constant([2 / t if j in there else 1.0 for j in range(x.shape[0])], x.dtype)
        shift = ops.constant([-1.0 if j in there else 0.0 for j in range(x.shape[0])], x.dtype)
        u = ops.concatenate([x[a:b] for a, b in _runs(self.columns)])  # (m,)
        steps = ops.reshape(u, (len(self.columns), 1)) - ops.constant([float(i) for i in range(t)], x.dtype)
        return ops.concatenate([x * scale + shift, ops.reshape(ops.minimum(ops.maximum(steps, 0), 1), (-1,))])


def _place(column: Any) -> bool:
    return isinstance(column, int) and not isinstance(column, bool) and column >= 0


def _runs(columns: tuple[int, ...]) -> list[tuple[int, int]]:
    """Columns that follow each other as (first, after the last).

    >>> _runs((0, 1, 4))
    [(0, 2), (4, 5)]
    """
    runs: list[tuple[int, int]] = []
    for c in columns:
        if runs and runs[-1][1] == c:
            runs[-1] = runs[-1][0], c + 1
        else:
            runs.append((c, c + 1))
    return runs
