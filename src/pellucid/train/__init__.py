"""Training: Model, the loop, callbacks, history, saving. Imports everything below it, no executor by name."""

from .callbacks import Callback, EarlyStopping
from .history import History
from .loop import DivergedError
from .model import Model
from .saving import load
from .stepper import Stepper

__all__ = ["Callback", "DivergedError", "EarlyStopping", "History", "Model", "Stepper", "load"]
