"""`ModelCore`: what a model is made of, as the parts of this folder see it. Imports network, programs and history."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np

from ..metrics import Metric
from ..nn import Constraint, Loss, Losses, Penalty
from ..nn.layer import Traced
from ..optim import Optimizer
from .arrays import Spec
from .compiled import Programs
from .history import History
from .network import Network

if TYPE_CHECKING:
    from .training import Training

T = TypeVar("T")


class Of(Generic[T]):
    """An attribute of a model that a part of it holds."""

    def __init__(self, part: str) -> None:
        self.part = part

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, model: None, owner: Any = None) -> Of[T]: ...
    @overload
    def __get__(self, model: object, owner: Any = None) -> T: ...
    def __get__(self, model: object | None, owner: Any = None) -> Any:
        return self if model is None else getattr(getattr(model, self.part), self.name)

    def __set__(self, model: object, value: T) -> None:
        setattr(getattr(model, self.part), self.name, value)


class ModelCore:
    """A network and its programs, with their state and history; `Model` adds the verbs."""

    network: Network
    net = Of[Callable]("network")
    dtype = Of[str]("network")
    traced = Of[Traced | None]("network")  # the net as a graph, once data was seen
    specs = Of[dict[str, Spec]]("network")
    how = Of[str]("network")

    programs: Programs
    loss = Of[Loss | Losses]("programs")
    optimizer = Of[Optimizer]("programs")
    metrics = Of[dict[str, Metric]]("programs")
    metric_names = Of[Any]("programs")
    regularizer = Of[Penalty | None]("programs")
    constraint = Of[Constraint | None]("programs")
    executor = Of[Any]("programs")
    threads = Of[int | None]("programs")

    def __init__(self, network: Network, programs: Programs, seed: int) -> None:
        self.network, self.programs, self.seed = network, programs, seed
        self.state: dict[str, np.ndarray] = {}
        self.history, self.epochs = History(), 0
        self.last_rate: np.ndarray | None = None  # the base learning rate that the last epoch had
        self.in_parts = False  # samples come part after part: one part may hold one class only
        self.stop_training, self.stopped = False, ""  # what callbacks may set; and why the last fit ended
        self.training: Training | None = None  # during `fit`: what it was given
        self.notes: dict[str, Any] = {}  # kept in the saved file, as JSON, for the user and the command line
        self.blobs: dict[str, np.ndarray] = {}  # kept there too, as arrays
        self.columns: dict[str, tuple[str, ...]] = {}  # of the tables with names that it was fitted on, by input
        self.warned_of_names = False

    def forget(self) -> None:
        """Be as before the first data was seen."""
        self.network.forget()
        self.programs.forget()
        self.state = {}
