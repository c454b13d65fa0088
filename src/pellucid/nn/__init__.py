"""Layers, activations, initializers, losses and metrics, all written on Values. Imports graph and ops, never numpy."""

from typing import TYPE_CHECKING

from ..checks import NoAttribute
from . import init, zoo
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
from .attention import AdditiveAttention, Attention, MultiHeadAttention
from .combine import AuxiliaryHead, Concatenate, Flatten, Lambda, Reshape, Residual, Sequential
from .conv import Conv, ConvTranspose, DepthwiseConv
from .dense import Dense, DropConnect, Dropout, GaussianNoise, SpatialDropout, WeightDrop
from .embedding import Embedding, Masking, PositionalEncoding, PositionEmbedding
from .layer import Layer, LayerError, init_program, trace
from .linearity import collapse, conv_matrix
from .local import LocallyConnected
from .loss import Loss
from .losses import (
    LOSSES,
    BinaryCrossEntropy,
    BinaryHinge,
    ClassDistance,
    CrossEntropy,
    Euclidean,
    HalfSquaredError,
    Hinge,
    Huber,
    MeanAbsoluteError,
    MeanSquaredError,
    MissProbability,
    Poisson,
)
from .masks import mask_of, with_mask
from .members import MemberDense, MemberMean, Pieces
from .mixture import MixtureDensity
from .net import Net
from .norm import BatchNorm, GroupNorm, LayerNorm, LocalResponseNorm, PixelNorm
from .outputs import Losses
from .penalties import L1, L1L2, L2, Constraint, MaxNorm, NonNeg, Penalty, PNorm, Regularized, UnitNorm
from .pool import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool, UpSample, ZeroPad
from .receptive import receptive_fields
from .recurrent import GRU, LSTM, RNN, Recurrent
from .sequence import Bidirectional, RepeatVector, TimeDistributed
from .settling import Feedback, Lateral
from .sublayers import freeze
from .temporal import AvgPool1D, Conv1D, GlobalAvgPool1D, GlobalMaxPool1D, MaxPool1D
from .transformer import FeedForward, TransformerBlock, TransformerDecoderBlock

__all__ = [
    "ACTIVATIONS",
    "GRU",
    "L1",
    "L1L2",
    "L2",
    "LOSSES",
    "LSTM",
    "RNN",
    "AdditiveAttention",
    "Attention",
    "AuxiliaryHead",
    "AvgPool",
    "AvgPool1D",
    "BatchNorm",
    "Bidirectional",
    "BinaryCrossEntropy",
    "BinaryHinge",
    "ClassDistance",
    "Concatenate",
    "Constraint",
    "Conv",
    "Conv1D",
    "ConvTranspose",
    "CrossEntropy",
    "Dense",
    "DepthwiseConv",
    "DropConnect",
    "Dropout",
    "Embedding",
    "Euclidean",
    "FeedForward",
    "Feedback",
    "Flatten",
    "GaussianNoise",
    "GlobalAvgPool",
    "GlobalAvgPool1D",
    "GlobalMaxPool",
    "GlobalMaxPool1D",
    "GroupNorm",
    "HalfSquaredError",
    "Hinge",
    "Huber",
    "Lambda",
    "Lateral",
    "Layer",
    "LayerError",
    "LayerNorm",
    "LocalResponseNorm",
    "LocallyConnected",
    "Loss",
    "Losses",
    "Masking",
    "MaxNorm",
    "MaxPool",
    "MaxPool1D",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "MemberDense",
    "MemberMean",
    "MissProbability",
    "MixtureDensity",
    "MultiHeadAttention",
    "Net",
    "NonNeg",
    "PNorm",
    "Penalty",
    "Pieces",
    "PixelNorm",
    "Poisson",
    "PositionEmbedding",
    "PositionalEncoding",
    "Recurrent",
    "Regularized",
    "RepeatVector",
    "Reshape",
    "Residual",
    "Sequential",
    "SpatialDropout",
    "TimeDistributed",
    "TransformerBlock",
    "TransformerDecoderBlock",
    "UnitNorm",
    "UpSample",
    "WeightDrop",
    "ZeroPad",
    "collapse",
    "conv_matrix",
    "elu",
    "freeze",
    "gaussian",
    "gelu",
    "init",
    "init_program",
    "leaky_relu",
    "linear",
    "mask_of",
    "ramp",
    "receptive_fields",
    "relu",
    "sigmoid",
    "sign",
    "silu",
    "softmax",
    "softplus",
    "step",
    "tanh",
    "trace",
    "with_mask",
    "zoo",
]  # fmt: skip

if not TYPE_CHECKING:  # so that checkers of types know what there is

    def __getattr__(name: str):
        raise NoAttribute(f"module {__name__!r}", "nn", name, __all__)
