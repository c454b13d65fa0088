"""Training: Model, the loop, callbacks, history, saving. Imports everything below it, no executor by name."""

from .callbacks import AverageWeights, Callback, ReduceLROnPlateau
from .checkpoint import Checkpoint
from .divergence import DivergedError
from .history import History
from .loggers import CSVLogger, JSONLinesLogger
from .lr_finder import RateSearch
from .minimize import Walk, minimize
from .model import Model
from .saving import load
from .stepper import Stepper
from .stopping import EarlyStopping
from .tensorboard import TensorBoard

__all__ = [
    "AverageWeights", "CSVLogger", "Callback", "Checkpoint", "DivergedError", "EarlyStopping", "History",
    "JSONLinesLogger", "Model", "RateSearch", "ReduceLROnPlateau", "Stepper", "TensorBoard", "Walk", "load",
    "minimize",
]  # fmt: skip
