"""Pellucid: neural networks you can see through.

The face: `Model` (fit, evaluate, predict, save) with `nn`, `optim` and `data`; below it `Program`, `grad`, `input`,
`state` and the operations on Values, for people who write their own training steps.
"""

import logging
from typing import TYPE_CHECKING

from . import _moved, data, decode, executors, metrics, nn, ops, optim, schedules
from .autodiff import grad
from .checks import NoAttribute
from .ensembles import Bagging, Committee, Restarts, restarts
from .errors import ArgumentError, DataError, GraphError, PellucidError
from .graph import Value, input, state
from .ops import all_samples, batch_mean, batch_size, batch_sum
from .program import Program
from .train import (
    AverageWeights,
    Callback,
    Checkpoint,
    CSVLogger,
    DivergedError,
    EarlyStopping,
    History,
    JSONLinesLogger,
    Model,
    RateSearch,
    ReduceLROnPlateau,
    Stepper,
    TensorBoard,
    Walk,
    load,
    minimize,
)
from .train.doctor import Diagnosis, Doctor, DoctorWarning, Finding
from .version import __version__

from . import stopping  # isort: skip  # above train

_moved.install()
logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent unless the user asks; docs/serving.md

__all__ = [
    "ArgumentError", "AverageWeights", "Bagging", "CSVLogger", "Callback", "Checkpoint", "Committee", "DataError",
    "Diagnosis", "DivergedError", "Doctor", "DoctorWarning", "EarlyStopping", "Finding", "GraphError", "History",
    "JSONLinesLogger", "Model", "PellucidError", "Program", "RateSearch", "ReduceLROnPlateau", "Restarts", "Stepper",
    "TensorBoard", "Value", "Walk", "all_samples", "batch_mean", "batch_size", "batch_sum", "data", "decode",
    "executors", "grad", "input", "load", "metrics", "minimize", "nn", "ops", "optim", "restarts", "schedules", "state",
    "stopping",
]  # fmt: skip


if TYPE_CHECKING:
    from . import neurons, selection, sklearn, tabular
    from .features import FeatureExtractor
else:

    def __getattr__(name: str):
        # what needs scikit-learn is loaded when first asked for
        if name in ("neurons", "selection", "sklearn", "tabular"):
            import importlib

            return importlib.import_module(f".{name}", __name__)
        if name == "FeatureExtractor":
            from .features import FeatureExtractor

            return FeatureExtractor
        raise NoAttribute(f"module {__name__!r}", "pel", name, __all__)
