"""`Programs`: what a network, a loss and an optimizer are compiled to, made once for each shape of the samples.

Imports numpy, optim and the sibling modules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from ..errors import GraphError
from ..graph import Shape
from ..metrics import Metric
from ..nn import Constraint, Loss, Losses, Penalty
from ..nn.layer import Traced
from ..optim import LBFGS, Optimizer
from ..program import Program
from . import programs
from .arrays import Spec, graph_dtype
from .evaluation import Metrics, of_epochs
from .lbfgs import WholeSteps
from .network import Network
from .program_cache import shared

Labels = tuple[tuple[float, float], ...]


@dataclass(eq=False)
class Programs:
    """The programs of a model, and what they are made of: compiled when they are first asked for, and kept."""

    network: Network
    loss: Loss | Losses
    optimizer: Optimizer
    metrics: dict[str, Metric]
    metric_names: Any  # the metrics as they were given
    regularizer: Penalty | None
    constraint: Constraint | None
    executor: Any  # a module with ``compile``
    threads: int | None
    labels: Labels | None = None  # weights of each label in training, by the class weights last given
    runs: dict[Any, Any] = field(default_factory=dict)  # what is compiled, by what it is for and the shapes
    _predicting: dict[Any, Any] = field(default_factory=dict)  # those that predict, by shapes and dtypes of arrays

    @property
    def net(self) -> Callable:
        return self.network.net

    @property
    def dtype(self) -> str:
        return self.network.dtype

    def forget(self) -> None:
        """Keep no program; those that are made next may be others."""
        self.runs, self._predicting = {}, {}

    # ---- the net as a graph ---------------------------------------------------------------------------------------

    def traced_on(self, specs: Mapping[str, Spec], how: str) -> Traced:
        """The net as a graph, outside training, on such inputs; shared with models of the same structure."""
        spec = self.network.spec(specs, how)
        return shared(
            self, ("net", how, *specs.items()), lambda: programs.trace_net(spec, training=False, tell=True)[0]
        )

    def trace(self, specs: dict[str, Spec], how: str) -> None:
        """Make the net a graph, for inputs of these shapes."""
        self.network.traced, self.network.specs, self.network.how = self.traced_on(specs, how), specs, how

    # ---- programs -------------------------------------------------------------------------------------------------

    def compile(self, program: Program) -> Any:
        """A program of the model's, for its executor; it is not kept."""
        return self.executor.compile(program, self.threads)

    def kept(self, key: tuple, make: Callable[[], Any]) -> Any:
        """What ``make`` gives, made once for this model."""
        if key not in self.runs:
            self.runs[key] = make()
        return self.runs[key]

    def run_of(self, key: tuple, program: Callable[[], Program]) -> Any:
        """A program compiled for this model: the code may be shared, the memory is its own."""
        return shared(self, key, lambda: self.compile(program())).another(self.threads)

    def compiled(self, what: str, arrays: Mapping[str, np.ndarray], metrics: Metrics | None = None) -> Any:
        """The compiled program "step", "gradients", "evaluate", "predict", "sample" or "mask" for such arrays.

        ``metrics`` instead of the model's own.
        """
        known = None
        if what == "predict":  # one row is to be quick
            known = (what, *[(k, a.shape[1:], a.dtype) for k, a in arrays.items()])
            if known in self._predicting:
                return self._predicting[known]
        metrics = of_epochs(self.metrics) if metrics is None else metrics
        weight = arrays["weight"].shape[1:] if "weight" in arrays else None
        target = Spec(arrays["y"].shape[1:], graph_dtype(arrays["y"], self.dtype)) if "y" in arrays else None
        specs = self.network.specs_of(arrays)
        labels = self.labels if what in ("step", "gradients") else None
        key = (what, weight, target, labels, *specs.values(), *(metrics.values() if target else ()))
        if key not in self.runs:
            run = self.run_of((*key, self.network.how), lambda: self.program(what, target, weight, specs, metrics))
            optimizer = self.optimizer
            self.runs[key] = WholeSteps(run, optimizer) if what == "step" and isinstance(optimizer, LBFGS) else run
        if known is not None:
            self._predicting[known] = self.runs[key]
        return self.runs[key]

    def program(
        self,
        what: str,
        target: Spec | None = None,
        weight: Shape | None = None,
        specs: Mapping[str, Spec] | None = None,
        metrics: Metrics | None = None,
    ) -> Program:
        """A program of the kinds that `compiled` knows, for targets, weights and inputs of these shapes."""
        net = self.network.spec(specs or None)
        if what in ("predict", "sample"):
            return programs.prediction(net, self.loss, dropping=what == "sample")
        if what == "mask":
            return programs.steps_counted(net)
        assert target is not None
        labels = self.labels if what in ("step", "gradients") else None
        loss = self.loss if labels is None else replace(cast(Any, self.loss), label_weights=labels)
        task = programs.Task(target, weight, loss, self.metrics if metrics is None else metrics, self.regularizer)
        if what == "gradients" or (what == "step" and isinstance(self.optimizer, LBFGS)):
            if what == "step":
                self._refuse_constraints()
            return programs.gradients(net, task)
        if what == "step":
            return programs.training_step(net, task, self.optimizer, self.constraint)
        return programs.evaluation(net, task)

    def _refuse_constraints(self) -> None:
        """L-BFGS would take a step back as a change of the gradient."""
        if self.constraint is not None or self.network.built().constraints:
            raise GraphError("optim.LBFGS takes no constraint of weights; use another optimizer, or a penalty")
