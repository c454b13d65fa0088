"""Rows of nets for images, their arithmetic and their data. A net is written once, in Pellucid's layers.

The other libraries make theirs of it, layer by layer. Imports Pellucid and numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

import pellucid as pel
from pellucid import nn
from pellucid.nn import zoo

from .rows import OPTIMIZERS


@dataclass(frozen=True)
class ImageRow:
    """A net for images of ``shape`` and what is done with it.

    ``kind``: "step" is a training step of a mini-batch, "predict" one image's probabilities, "conv" the one convolution
    of the net for a whole batch: its output, and its gradients in input and weight. ``samples`` is the length of the
    arrays; ``wanted`` the ratio to the best peer that the project promises.
    """

    name: str
    what: str
    net: str
    shape: tuple[int, int, int]
    classes: int
    batch: int
    samples: int
    kind: Literal["step", "predict", "conv"] = "step"
    optimizer: str = "momentum"
    wanted: float | None = None
    against: str | None = None
    fused: bool = True

    @property
    def count(self) -> int:
        """How many times the measured thing happens when a job is run over all samples."""
        return self.samples // self.batch


def cifar_cnn() -> nn.Sequential:
    """Two pairs of 3 x 3 convolutions, each with a pool, and a dense layer of 512."""
    conv = lambda filters: [nn.Conv(filters, 3, padding="same", weight_init=nn.init.he_normal), nn.relu]
    return nn.Sequential(*conv(32), *conv(32), nn.MaxPool(2), *conv(64), *conv(64), nn.MaxPool(2), nn.Flatten(),
                         nn.Dense(512, weight_init=nn.init.he_normal), nn.relu, nn.Dense(10))  # fmt: skip


def without_dropout(net: nn.Sequential) -> nn.Sequential:
    """The same net for everybody to the last bit of chance."""
    return nn.Sequential(*(layer for layer in net.layers if not isinstance(layer, nn.Dropout)))


NETS: dict[str, Callable[[], nn.Layer]] = {
    "lenet5": lambda: zoo.lenet5(modern=True),
    "cifar_cnn": cifar_cnn,
    "resnet20": lambda: zoo.resnet_cifar(20),
    "alexnet": lambda: without_dropout(zoo.alexnet(size=224)),
    "resnet18": lambda: zoo.resnet(18),
    "conv": lambda: nn.Conv(128, 3, padding="same", bias=False),
}

SMALL, LARGE = (3, 32, 32), (3, 224, 224)
ROWS = (
    ImageRow("lenet5", "LeNet-5 (ReLU), batch 64, momentum", "lenet5", (1, 32, 32), 10, 64, 64 * 32,
             wanted=3.5),
    ImageRow("cifar-cnn", "CNN 32-32-64-64-512 on 3x32x32, batch 64, momentum", "cifar_cnn", SMALL, 10, 64, 64 * 16,
             wanted=1.6),
    ImageRow("resnet20", "ResNet-20 on 3x32x32, batch 64, momentum", "resnet20", SMALL, 10, 64, 64 * 8,
             wanted=1.5),
    ImageRow("conv", "conv 3x3, 128 to 128 on 28x28, batch 32, forward and both gradients", "conv", (128, 28, 28), 0,
             32, 32, kind="conv", wanted=1.3),
    ImageRow("alexnet", "AlexNet on 3x224x224, no dropout, batch 16, momentum", "alexnet", LARGE, 1000, 16, 16 * 10,
             wanted=1.0),
    ImageRow("lenet5-predict", "LeNet-5 (ReLU), predict one image", "lenet5", (1, 32, 32), 10, 1, 100, "predict",
             wanted=1.0),
    ImageRow("resnet18-predict", "ResNet-18 on 3x224x224, predict one image", "resnet18", LARGE, 1000, 1, 4, "predict",
             wanted=1.0),
)  # fmt: skip


def smaller(row: ImageRow) -> ImageRow:
    """The same row on one small batch; for tests."""
    return replace(row, batch=min(row.batch, 4), samples=min(row.batch, 4))


def model(row: ImageRow) -> pel.Model:
    """Pellucid's, whose first weights are everybody's."""
    o = OPTIMIZERS[row.optimizer]
    rule = pel.optim.SGD(o["rate"], momentum=o.get("momentum", 0.0))
    return pel.Model(NETS[row.net](), "cross_entropy", rule, executor="native", input_shape=row.shape)


def flops(row: ImageRow) -> int:
    """Direct arithmetic of all convolutions and dense layers: 2 for each number of an output and each of its inputs.

    In training the same again for the gradient of each weight, and of each input except that of the net.

    >>> 3 * 2 * (128 * 28 * 28) * (128 * 3 * 3) * 32 == flops(next(r for r in ROWS if r.name == "conv"))
    True
    """
    traced, each = nn.trace(NETS[row.net](), pel.input("x", row.shape)), []
    for call in traced.calls:
        if isinstance(call.layer, (nn.Conv, nn.Dense)):
            weight = traced.parameters[".".join(p for p in (call.path, "weight") if p)].value
            each.append(2 * call.output.size * weight.size // weight.shape[0] * row.batch)
    return {"predict": sum(each), "conv": 3 * sum(each), "step": 3 * sum(each) - each[0]}[row.kind]


@dataclass(frozen=True)
class ImageData:
    """The same arrays and first weights for everybody; ``parameters`` in the order of the net's layers."""

    x: np.ndarray
    y: np.ndarray
    parameters: dict[str, np.ndarray]
    trained: frozenset[str]

    @cached_property
    def flat(self) -> np.ndarray:
        return np.concatenate([a.ravel() for k, a in self.parameters.items() if k in self.trained])


def data(row: ImageRow, seed: int = 0) -> ImageData:
    """Normal images and random classes."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((row.samples, *row.shape), dtype=np.float32)
    y = rng.integers(0, max(row.classes, 1), row.samples).astype(np.int32)
    made = model(row)
    trained = frozenset(k for k, p in made.traced.parameters.items() if p.trainable)
    return ImageData(x, y, made.parameters, trained)
