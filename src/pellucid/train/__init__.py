"""Training: Model, the loop, callbacks, history, saving. Imports everything below it, no executor by name."""

from .callbacks import AverageWeights, Callback, ReduceLROnPlateau
from .finder import RateSearch
from .history import History
from .loop import DivergedError
from .minimize import Walk, minimize
from .model import Model
from .saving import load
from .stepper import Stepper
from .stopping import EarlyStopping

__all__ = ["AverageWeights", "Callback", "DivergedError", "EarlyStopping", "History", "Model", "RateSearch",
           "ReduceLROnPlateau", "Stepper", "Walk", "load", "minimize"]  # fmt: skip
