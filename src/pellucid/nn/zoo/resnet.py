"""Residual networks: for ImageNet and for CIFAR."""

from __future__ import annotations

from collections.abc import Callable

from ... import ops
from ...checks import checked, whole
from ...errors import GraphError
from ...graph import Value
from ..activations import relu
from ..combine import Residual, Sequential
from ..conv import Conv
from ..dense import Dense
from ..init import he_normal
from ..layer import Layer, as_float
from ..norm import BatchNorm
from ..pool import GlobalAvgPool, MaxPool
from .sizes import widths

# blocks in each of the four stages, and whether they are bottlenecks: table 1 of the paper
STAGES = {18: ((2, 2, 2, 2), False), 34: ((3, 4, 6, 3), False), 50: ((3, 4, 6, 3), True), 101: ((3, 4, 23, 3), True),
          152: ((3, 8, 36, 3), True)}  # fmt: skip


def resnet(depth: int = 18, classes: int = 1000, width: float = 1.0) -> Sequential:
    """ResNet of 18, 34, 50, 101 or 152 layers with weights, for images (3, H, W), as published 224 x 224.

    11,689,512 parameters (18) and 25,557,032 (50) for 1000 classes. Shortcuts are the identity, or a 1 x 1 projection
    where shapes change (the paper's option B). A bottleneck strides in its first convolution, as in the paper;
    torchvision's does in its second. ``width`` multiplies filters. He et al., "Deep residual learning for image
    recognition", CVPR 2016.

    >>> from pellucid import input, nn
    >>> traced = nn.trace(resnet(18), input("x", (3, 224, 224)))
    >>> sum(p.count for p in traced.parameters.values() if p.trainable)
    11689512
    """
    if depth not in STAGES:
        raise GraphError(f"resnet: depth must be one of {', '.join(map(str, STAGES))}, got {depth!r}")
    by, (counts, bottleneck) = widths("resnet", width), STAGES[depth]
    layers = [conv(by(64), 7, 2, name="conv1"), BatchNorm(), relu, MaxPool(3, strides=2, padding=1, floor=True)]
    came = by(64)
    for stage, count in enumerate(counts):
        filters = by(64 * 2**stage)
        wide = 4 * filters if bottleneck else filters
        for i in range(count):
            strides = 2 if stage and not i else 1
            body = deep(filters, wide, strides) if bottleneck else plain(filters, strides)
            shortcut = projection(wide, strides) if (strides, came) != (1, wide) else None
            layers.append(residual(body, shortcut, f"conv{stage + 2}_{i + 1}"))
            came = wide
    return Sequential(*layers, GlobalAvgPool(), Dense(classes, name="fc"))


def resnet_cifar(depth: int = 20, classes: int = 10, shortcut: str = "pad", width: float = 1.0) -> Sequential:
    """The smaller ResNet for images (3, 32, 32), of depth 6n + 2: 20, 32, 44, 56, 110. He et al., CVPR 2016, 4.2.

    Three stages of n blocks with 16, 32 and 64 filters. ``shortcut`` where shapes change: "pad", every second place and
    zeros for the new channels, without weights (the paper's option A: 269,722 parameters for depth 20, its "0.27M"),
    or "project", a 1 x 1 convolution with batch normalization (option B: 272,474). ``width`` multiplies filters.

    >>> from pellucid import input, nn
    >>> traced = nn.trace(resnet_cifar(20), input("x", (3, 32, 32)))
    >>> sum(p.count for p in traced.parameters.values() if p.trainable)
    269722
    """
    if not isinstance(depth, int) or depth < 8 or depth % 6 != 2:
        raise GraphError(f"resnet_cifar: depth must be 6n + 2, for example 20, 32, 44, 56 or 110, got {depth!r}")
    if shortcut not in SHORTCUTS:
        raise GraphError(f"resnet_cifar: shortcut must be {' or '.join(map(repr, SHORTCUTS))}, got {shortcut!r}")
    by = widths("resnet_cifar", width)
    layers = [conv(by(16), 3, name="conv1"), BatchNorm(), relu]
    for stage in range(3):
        for i in range(depth // 6):
            filters, changes = by(16 * 2**stage), bool(stage and not i)
            way = SHORTCUTS[shortcut](filters, 2) if changes else None
            layers.append(residual(plain(filters, 1 + changes), way, f"conv{stage + 2}_{i + 1}"))
    return Sequential(*layers, GlobalAvgPool(), Dense(classes, name="fc"))


def conv(filters: int, kernel_size: int, strides: int = 1, name: str | None = None) -> Conv:
    """Without a bias, for batch normalization follows; H/strides x W/strides places, rounded up."""
    return Conv(filters, kernel_size, strides, padding=kernel_size // 2, bias=False, floor=True, weight_init=he_normal,
                name=name)  # fmt: skip


def plain(filters: int, strides: int) -> Sequential:
    """Two 3 x 3 convolutions."""
    return Sequential(conv(filters, 3, strides), BatchNorm(), relu, conv(filters, 3), BatchNorm())


def deep(filters: int, wide: int, strides: int) -> Sequential:
    """The bottleneck: 1 x 1 to fewer channels, 3 x 3, 1 x 1 to more."""
    return Sequential(conv(filters, 1, strides), BatchNorm(), relu, conv(filters, 3), BatchNorm(), relu,
                      conv(wide, 1), BatchNorm())  # fmt: skip


def residual(body: Sequential, shortcut: Layer | None, name: str) -> Sequential:
    return Sequential(Residual(body, shortcut), relu, name=name)


def projection(filters: int, strides: int) -> Sequential:
    return Sequential(conv(filters, 1, strides), BatchNorm())


class PadShortcut(Layer):
    """Every ``strides``-th place, and channels of zeros around those that there are: (C, H, W) to (filters, H', W')."""

    filters: int
    strides: int

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "filters", "strides")

    def __call__(self, x: Value) -> Value:
        new = self.filters - x.shape[0]
        if x.ndim != 3 or new < 0:
            raise GraphError(f"expects an image (C, H, W) of at most {self.filters} channels, got shape {x.shape}")
        kept = as_float(x)[:, :: self.strides, :: self.strides]
        return ops.pad(kept, [(new // 2, new - new // 2), (0, 0), (0, 0)])


SHORTCUTS: dict[str, Callable[[int, int], Layer]] = {"pad": PadShortcut, "project": projection}
