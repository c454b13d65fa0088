"""LeNet-5: as published in 1998, and as it is written today."""

from __future__ import annotations

from functools import partial
from typing import Any

from ... import ops
from ...checks import checked, whole
from ...errors import GraphError
from ...graph import Shape, Value
from .. import init
from ..activations import relu, tanh
from ..combine import Flatten, Sequential
from ..conv import Conv
from ..dense import Dense
from ..layer import Layer, as_float
from ..pool import MaxPool
from .sizes import FirstConv

# the maps of S2 that each filter of C3 sees: table I of the paper
SEEN = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5), (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5),
    (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5), (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip
MASK = tuple(tuple(int(i in seen) for i in range(6)) for seen in SEEN)  # (filters, maps)


def lenet5(classes: int = 10, size: int = 32, modern: bool = False) -> Sequential:
    """LeNet-5 for images (channels, size, size), which are padded with zeros to 32 x 32. LeCun et al., Proc. IEEE 1998.

    As published, 60,000 weights are trained: C1 convolution, S2 subsampling with a coefficient and a bias a map, C3
    convolution of some of the maps, S4, C5, F6 dense, 1.7159 tanh(2v/3) after each; the outputs are -|x - w|^2 for
    fixed codes w of each class. Under "cross_entropy" that is the paper's discriminative criterion, but for its
    constant for rubbish. The codes are random signs, as the paper allows, not its drawings of the characters; the
    coefficients of a map begin at the average.

    ``modern``: ReLU, max pooling, every map seen by every filter, a dense layer of logits: 61,706 weights.

    >>> from pellucid import input, nn
    >>> traced = nn.trace(lenet5(), input("x", (1, 32, 32)))
    >>> sum(p.count for p in traced.parameters.values() if p.trainable)
    60000
    """
    if not (isinstance(size, int) and 1 <= size <= 32):
        raise GraphError(f"lenet5: size is the side of the image, a whole number up to 32, got {size!r}")
    margin = ((32 - size) // 2, (33 - size) // 2)
    first: dict[str, Any] = {"padding": [margin, margin], "size": size, "net": "lenet5"}
    if modern:
        he = init.he_normal
        return Sequential(
            FirstConv(6, 5, **first, weight_init=he), relu, MaxPool(2),  # (6, 28, 28), (6, 14, 14)
            Conv(16, 5, weight_init=he), relu, MaxPool(2),  # (16, 10, 10), (16, 5, 5)
            Flatten(), Dense(120, weight_init=he), relu, Dense(84, weight_init=he), relu, Dense(classes),
        )  # fmt: skip
    return Sequential(
        FirstConv(6, 5, **first, weight_init=lecun_1998, name="C1"), scaled_tanh,  # (6, 28, 28)
        Subsampling(name="S2"), scaled_tanh,  # (6, 14, 14)
        Conv(16, 5, weight_init=c3_weights, mask=MASK, name="C3"), scaled_tanh,  # (16, 10, 10)
        Subsampling(name="S4"), scaled_tanh,  # (16, 5, 5)
        Conv(120, 5, weight_init=lecun_1998, name="C5"), scaled_tanh, Flatten(),  # (120, 1, 1)
        Dense(84, weight_init=lecun_1998, name="F6"), scaled_tanh,
        EuclideanRBF(classes, name="output"),
    )  # fmt: skip


def scaled_tanh(v: Value) -> Value:
    """1.7159 tanh(2v/3): 1 at 1 and -1 at -1, where its curvature is the largest. LeCun et al., 1998."""
    return 1.7159 * tanh(v * (2 / 3))


def lecun_1998(key: Value, shape: Shape, dtype: str) -> Value:
    """Uniform in [-2.4, 2.4) / fan_in."""
    return init.uniform(key, shape, dtype, 2.4 / init.fans(shape)[0])


def c3_weights(key: Value, shape: Shape, dtype: str) -> Value:
    """As `lecun_1998`, where the fan-in of a filter counts the maps that it sees."""
    share = [[[[len(MASK[0]) / sum(row)]]] for row in MASK]  # (filters, 1, 1, 1)
    return lecun_1998(key, shape, dtype) * ops.constant(share, dtype)


class Subsampling(Layer):
    """Each 2 x 2 places added up, times a coefficient, plus a bias, both of their map: (C, H, W) to (C, H/2, W/2)."""

    def __call__(self, x: Value) -> Value:
        x = as_float(x)
        if x.ndim != 3 or x.shape[1] % 2 or x.shape[2] % 2:
            raise GraphError(f"expects an image (C, H, W) of even height and width for each sample, got {x.shape}")
        total = ops.sum(ops.windows(x, (2, 2), (2, 2)), (-2, -1))
        maps = (x.shape[0], 1, 1)
        coefficient = self.param("coefficient", maps[:1], partial(init.constant, value=0.25))
        bias = self.param("bias", maps[:1], init.zeros)
        return total * ops.reshape(coefficient, maps) + ops.reshape(bias, maps)


class EuclideanRBF(Layer):
    """y_i = -sum_j (x_j - w_ij)^2: how far the input is from the code of each class, as a logit; (n,) to (classes,).

    The codes w (classes, n) are signs drawn at random, and stay as they are.
    """

    classes: int

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "classes")

    def __call__(self, x: Value) -> Value:
        if x.ndim != 1:
            raise GraphError(f"expects a vector of shape (n,) for each sample, got shape {x.shape}")
        off = as_float(x) - self.param("code", (self.classes, x.shape[0]), signs, trainable=False)
        return -ops.sum(off * off, -1)


def signs(key: Value, shape: Shape, dtype: str) -> Value:
    """-1 or 1, each with probability 1/2."""
    return 2 * ops.bernoulli(key, 0.5, shape, dtype) - 1
