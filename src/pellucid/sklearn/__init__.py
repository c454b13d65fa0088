"""Estimators for scikit-learn: its own MLP made fast, and neural nets of any layers.

The top floor: imports everything below it, and scikit-learn.
"""

from .mlp import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
