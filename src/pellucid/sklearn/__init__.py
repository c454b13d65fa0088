"""Estimators for scikit-learn: its own MLP made fast, and neural nets of any layers.

The top floor: imports everything below it, and scikit-learn.
"""

from .. import executors
from ..features import FeatureExtractor
from ..neurons import McCullochPitts
from .autoencoder import Autoencoder
from .estimators import NeuralClassifier, NeuralMultiLabel, NeuralRegressor
from .forecaster import NeuralForecaster
from .keeping import restore
from .mlp import MLPClassifier, MLPRegressor
from .neurons import Adaline, Perceptron

executors.get()  # imported now: llvmlite takes longer than to fit a small net

__all__ = [
    "Adaline",
    "Autoencoder",
    "FeatureExtractor",
    "MLPClassifier",
    "MLPRegressor",
    "McCullochPitts",
    "NeuralClassifier",
    "NeuralForecaster",
    "NeuralMultiLabel",
    "NeuralRegressor",
    "Perceptron",
    "restore",
]
