"""Layers, activations, initialisers, losses and metrics, all written on Values. Imports graph and ops, never numpy."""

from . import init
from .activations import (
    ACTIVATIONS,
    elu,
    gaussian,
    gelu,
    leaky_relu,
    linear,
    ramp,
    relu,
    sigmoid,
    sign,
    silu,
    softmax,
    softplus,
    step,
    tanh,
)
from .combine import Concatenate, Flatten, Lambda, Reshape, Residual, Sequential
from .dense import Dense, DropConnect, Dropout, GaussianNoise, SpatialDropout
from .layer import Layer, LayerError, init_program, trace
from .losses import (
    LOSSES,
    BinaryCrossEntropy,
    BinaryHinge,
    ClassDistance,
    CrossEntropy,
    HalfSquaredError,
    Hinge,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    MissProbability,
)
from .metrics import METRICS
from .norm import BatchNorm, GroupNorm, LayerNorm, LocalResponseNorm, PixelNorm
from .parts import freeze

__all__ = [
    "ACTIVATIONS", "LOSSES", "METRICS", "BatchNorm", "BinaryCrossEntropy", "BinaryHinge", "ClassDistance",
    "Concatenate", "CrossEntropy", "Dense", "DropConnect", "Dropout", "Flatten", "GaussianNoise", "GroupNorm",
    "HalfSquaredError", "Hinge", "Huber", "Lambda", "Layer", "LayerError", "LayerNorm", "LocalResponseNorm", "Loss",
    "MeanAbsoluteError", "MeanSquaredError", "MissProbability", "PixelNorm", "Reshape", "Residual", "Sequential",
    "SpatialDropout", "elu", "freeze", "gaussian", "gelu", "init", "init_program", "leaky_relu", "linear", "ramp",
    "relu", "sigmoid", "sign", "silu", "softmax", "softplus", "step", "tanh", "trace",
]  # fmt: skip
