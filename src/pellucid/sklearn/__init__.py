"""Estimators for scikit-learn: its own MLP made fast, and neural nets of any layers.

The top floor: imports everything below it, and scikit-learn.
"""

from .mlp import MLPClassifier, MLPRegressor
from .neural import NeuralClassifier, NeuralMultiLabel, NeuralRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "NeuralClassifier", "NeuralMultiLabel", "NeuralRegressor"]
