"""Nets from the literature: functions that return layers of `nn`, one file for each family. Imports nn's modules.

What they are made of besides, `PARTS`, is what a saved model names.
"""

from .alexnet import alexnet
from .googlenet import googlenet
from .lenet import EuclideanRBF, Subsampling, c3_weights, lecun_1998, lenet5, scaled_tanh, signs
from .resnet import PadShortcut, resnet, resnet_cifar
from .sizes import FirstConv
from .vgg import vgg

__all__ = ["alexnet", "googlenet", "lenet5", "resnet", "resnet_cifar", "vgg"]

PARTS = (EuclideanRBF, FirstConv, PadShortcut, Subsampling, c3_weights, lecun_1998, scaled_tanh, signs)
