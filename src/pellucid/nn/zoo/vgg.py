"""VGG: 3 x 3 convolutions, 11 to 19 layers deep."""

from __future__ import annotations

from ...checks import choice, whole
from ..activations import relu
from ..combine import Flatten, Sequential
from ..conv import Conv
from ..dense import Dense, Dropout
from ..init import he_normal
from ..pool import MaxPool
from .sizes import widths

# convolutions in each of the five stages: the columns A, B, D and E of the paper's table 1
STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def vgg(depth: int = 16, classes: int = 1000, width: float = 1.0) -> Sequential:
    """VGG of 11, 13, 16 or 19 layers with weights, for images (3, H, W) whose sides 32 divides, as published 224.

    132,863,336 parameters (11) and 138,357,544 (16) for 224 x 224 and 1000 classes. First weights are He's: the paper
    began the deeper nets with the weights of a shallower one. ``width`` multiplies filters and units. Simonyan and
    Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015.

    >>> from pellucid import input, nn
    >>> traced = nn.trace(vgg(11), input("x", (3, 224, 224)))
    >>> sum(p.count for p in traced.parameters.values())
    132863336
    """
    depth, classes = choice("vgg", "depth", depth, among=STAGES), whole("vgg", "classes", classes)
    by, layers = widths("vgg", width), []
    for stage, (filters, count) in enumerate(zip((64, 128, 256, 512, 512), STAGES[depth], strict=True), 1):
        for i in range(count):
            name = f"conv{stage}_{i + 1}"
            layers += [Conv(by(filters), 3, padding="same", weight_init=he_normal, name=name), relu]
        layers += [MaxPool(2, name=f"pool{stage}")]
    return Sequential(
        *layers, Flatten(),  # (512, 7, 7), (25088,)
        Dense(by(4096), weight_init=he_normal, name="fc6"), relu, Dropout(0.5),
        Dense(by(4096), weight_init=he_normal, name="fc7"), relu, Dropout(0.5),
        Dense(classes, name="fc8"),
    )  # fmt: skip
