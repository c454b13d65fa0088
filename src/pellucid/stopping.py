"""When to stop training: rules for ``fit(callbacks=[...])``, combined by ``|`` and ``&``. They live in `train`."""

from .train.stopping import (
    AllOf,
    AnyOf,
    EarlyStopping,
    Epochs,
    GradientNorm,
    SmallChange,
    StoppingRule,
    Target,
    TimeLimit,
)

__all__ = ["AllOf", "AnyOf", "EarlyStopping", "Epochs", "GradientNorm", "SmallChange", "StoppingRule", "Target",
           "TimeLimit"]  # fmt: skip
