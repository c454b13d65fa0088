"""Training: Model, the loop, callbacks, history, saving. Imports everything below it, no executor by name."""

from .callbacks import Callback, EarlyStopping
from .checkpoint import Checkpoint
from .history import History
from .loggers import CSVLogger, JSONLinesLogger
from .loop import DivergedError
from .model import Model
from .saving import load
from .stepper import Stepper
from .tensorboard import TensorBoard

__all__ = [
    "CSVLogger", "Callback", "Checkpoint", "DivergedError", "EarlyStopping", "History", "JSONLinesLogger", "Model",
    "Stepper", "TensorBoard", "load",
]  # fmt: skip
