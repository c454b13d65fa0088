"""AlexNet, the two-group net of 2012."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...errors import GraphError
from .. import init
from ..activations import relu
from ..combine import Flatten, Sequential
from ..conv import Conv
from ..dense import Dense, Dropout
from ..norm import LocalResponseNorm
from ..pool import MaxPool
from .sizes import FirstConv, widths


def alexnet(classes: int = 1000, size: int = 227, width: float = 1.0) -> Sequential:
    """AlexNet for images (3, size, size): 60,965,224 parameters for 1000 classes. Krizhevsky et al., NeurIPS 2012.

    Two groups of filters, one for each of the paper's two GPUs, in conv2, conv4 and conv5; response normalization,
    here over all channels; overlapping max pooling; dropout; first weights and biases as in the paper. The paper says
    224 x 224, its numbers are those of 227 x 227, and its 253,440 neurons of conv1 are 290,400: a smaller size is
    padded with up to 3 zeros so that the windows of stride 4 fit, 224 to 227. ``width`` multiplies filters and units.

    >>> from pellucid import input, nn
    >>> traced = nn.trace(alexnet(), input("x", (3, 227, 227)))
    >>> [c.output.size for c in traced.calls if isinstance(c.layer, (nn.Conv, nn.Dense))]
    [290400, 186624, 64896, 64896, 43264, 4096, 4096, 1000]
    """
    if not (isinstance(size, int) and size >= 64):
        raise GraphError(f"alexnet: size is the side of the image, a whole number from 64 on, got {size!r}")
    by, rest = widths("alexnet", width), (11 - size) % 4  # (size - 11 + rest) / 4 is whole
    margin = (rest // 2, rest - rest // 2)
    weights: dict[str, Any] = {"weight_init": partial(init.normal, size=0.01)}
    ones = weights | {"bias_init": init.constant}  # so that ReLUs get positive inputs at first
    return Sequential(
        FirstConv(by(96), 11, strides=4, padding=[margin, margin], name="conv1", size=size, net="alexnet", **weights),
        relu,  # (96, 55, 55)
        LocalResponseNorm(), MaxPool(3, strides=2, floor=True),  # (96, 27, 27)
        Conv(by(256), 5, padding="same", groups=2, name="conv2", **ones), relu,  # (256, 27, 27)
        LocalResponseNorm(), MaxPool(3, strides=2, floor=True),  # (256, 13, 13)
        Conv(by(384), 3, padding="same", name="conv3", **weights), relu,
        Conv(by(384), 3, padding="same", groups=2, name="conv4", **ones), relu,
        Conv(by(256), 3, padding="same", groups=2, name="conv5", **ones), relu,
        MaxPool(3, strides=2, floor=True), Flatten(),  # (256, 6, 6), (9216,)
        Dense(by(4096), name="fc6", **ones), relu, Dropout(0.5),
        Dense(by(4096), name="fc7", **ones), relu, Dropout(0.5),
        Dense(classes, name="fc8", **weights),
    )  # fmt: skip
