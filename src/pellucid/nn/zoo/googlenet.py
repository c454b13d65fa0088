"""GoogLeNet: nine inception modules, and two classifiers on the way."""

from __future__ import annotations

from ..activations import relu
from ..combine import AuxiliaryHead, Concatenate, Flatten, Sequential
from ..conv import Conv
from ..dense import Dense, Dropout
from ..init import he_normal
from ..norm import LocalResponseNorm
from ..pool import AvgPool, GlobalAvgPool, MaxPool
from .sizes import widths

# filters: 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; after the pool. Table 1 of the paper
INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64), "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}  # fmt: skip


def googlenet(classes: int = 1000, width: float = 1.0, heads: bool = True) -> Sequential:
    """GoogLeNet for images (3, H, W), as published 224 x 224: 6,998,552 parameters, 13,378,280 with both heads.

    The heads after 4a and 4d (``heads=False``: none) are for training: their losses count 0.3 each; evaluation and
    prediction leave them out. As published, with biases, response normalization and 5 x 5 filters; torchvision's has
    batch normalization instead, and 3 x 3 filters for those of 5 x 5, so that it counts 6,624,904. Heads need sides
    of 65 or more. ``width`` multiplies filters and units. Szegedy et al., "Going deeper with convolutions", CVPR 2015.

    >>> from pellucid import input, nn
    >>> traced = nn.trace(googlenet(heads=False), input("x", (3, 224, 224)))
    >>> sum(p.count for p in traced.parameters.values())
    6998552
    """
    by = widths("googlenet", width)

    def conv(filters, kernel_size, **options):
        padding = options.pop("padding", "same")
        return [Conv(by(filters), kernel_size, padding=padding, weight_init=he_normal, **options), relu]

    def halve():
        return MaxPool(3, strides=2, padding="same")

    def inception(place):
        one, three_from, three, five_from, five, pool = INCEPTION[place]
        return Concatenate(
            Sequential(*conv(one, 1)),
            Sequential(*conv(three_from, 1), *conv(three, 3)),
            Sequential(*conv(five_from, 1), *conv(five, 5)),
            Sequential(MaxPool(3, strides=1, padding="same"), *conv(pool, 1)),
            name=f"inception_{place}",
        )

    def head(place):
        if not heads:
            return []
        classifier = Sequential(
            AvgPool(5, strides=3, floor=True), *conv(128, 1), Flatten(),  # (128, 4, 4)
            Dense(by(1024), weight_init=he_normal), relu, Dropout(0.7), Dense(classes),
        )  # fmt: skip
        return [AuxiliaryHead(classifier, 0.3, name=f"head_{place}")]

    return Sequential(
        *conv(64, 7, strides=2, padding=3, floor=True, name="conv1"), halve(), LocalResponseNorm(),  # (64, 56, 56)
        *conv(64, 1, name="conv2_reduce"), *conv(192, 3, name="conv2"), LocalResponseNorm(), halve(),  # (192, 28, 28)
        inception("3a"), inception("3b"), halve(),  # (480, 14, 14)
        inception("4a"), *head("4a"), inception("4b"), inception("4c"), inception("4d"), *head("4d"),
        inception("4e"), halve(),  # (832, 7, 7)
        inception("5a"), inception("5b"), GlobalAvgPool(),  # (1024,)
        Dropout(0.4), Dense(classes, name="linear"),
    )  # fmt: skip
