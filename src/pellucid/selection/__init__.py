"""Which model is better, and how good is it: validation, search, comparison, learning curves.

Thin faces of scikit-learn's and Optuna's own tools, for a `pellucid.Model` and for scikit-learn's estimators alike.
Imports train, report and scikit-learn; Optuna only when it is asked for.
"""

from __future__ import annotations

from .compare import Comparison, compare
from .curves import Curve, learning_curve, validation_curve
from .estimator import ModelEstimator
from .folds import Folds, split_folds
from .nested import Nested, nested
from .search import OptunaSearchCV, Pruning, ranking, search
from .validate import Validation, cross_validate

__all__ = [
    "Comparison", "Curve", "Folds", "ModelEstimator", "Nested", "OptunaSearchCV", "Pruning", "Validation", "compare",
    "cross_validate", "learning_curve", "nested", "ranking", "search", "split_folds", "validation_curve",
]  # fmt: skip
