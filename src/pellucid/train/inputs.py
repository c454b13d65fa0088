"""What a model is given, as the arrays that its programs take; and those programs, compiled once for each shape.

Methods of `Model`, in a class of their own. Imports numpy, data, graph and the sibling modules.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import hint_options, hinting, no_attribute
from ..data import Buckets, DataError, Split
from ..data.dataset import no_targets, taken_apart
from ..data.names import check_names
from ..errors import ArgumentError, GraphError
from ..executors.binding import as_leaf
from ..graph import Shape
from ..nn import Losses
from ..nn.layer import Traced
from ..optim import LBFGS
from ..program import Program
from . import bucketed, programs
from .arrays import (
    Spec,
    as_inputs,
    as_targets,
    as_weights,
    by_label,
    check_finite,
    columns_of,
    graph_dtype,
    label_weights,
)
from .codes import Codes, check_codes, codes_of, first_specs
from .evaluation import Metrics, of_epochs, steps_counted
from .lbfgs import WholeSteps
from .loop import split
from .outputs import check_outputs, one_output, several_targets
from .parts import Part
from .program_cache import run_of, shared

LARGE = 16 << 20  # bytes


class Parameters(dict[str, np.ndarray]):
    """Weights by name. It is no function, as PyTorch's is, and says so."""

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("model.parameters is a dict of arrays by name, without parentheses; the model gives the "
                        "optimizer its weights: pel.Model(net, loss, optim.Adam(0.001))")  # fmt: skip


class Feeding:
    """The methods of `Model` between its verbs and its programs; what it says of those that it does not have."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        hint_options(cls)
        for name in ("fit", "evaluate", "predict"):
            if name in cls.__dict__:
                setattr(cls, name, hinting(name, owner=f"Model.{name}")(cls.__dict__[name]))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            return no_attribute(self, "model", name)

    _labels: tuple[tuple[float, float], ...] | None = None  # of each label in training, by the class weights last given

    def _inputs(self: Any, x: Any, name: str = "x", finite: bool = False) -> tuple[dict[str, np.ndarray], str]:
        x, _ = taken_apart(x)
        arrays, how = as_inputs(x, name)
        self._check_columns(x, name)
        if name != "x":
            arrays = {k.replace(name, "x", 1): a for k, a in arrays.items()}
        if finite:
            for k, a in arrays.items():
                check_finite(a, k.replace("x", name, 1), self.dtype)
        if self.traced is None:
            specs, codes = first_specs(lambda specs: self._traced_on(specs, how), arrays, self.dtype)
            arrays |= {k: check_codes(arrays[k], c, k.replace("x", name, 1)) for k, c in codes.items()}
            self._build(specs, how)
            return arrays, how
        if how != self.how or list(arrays) != list(self.specs):
            raise GraphError(f"the net was built for inputs {list(self.specs)}, got {list(arrays)}")
        other = next((k for k, a in arrays.items() if a.shape[1:] != self.specs[k].shape), None)
        if other is not None and (reason := self._refuses(arrays)):
            given, built = arrays[other].shape, self.specs[other].shape
            told = len(given) == len(built) + 1 and (len(built) > 1 or self.specs[other].dtype == "int32")
            hint = _shape_hint(given, built) or (reason if told else "")
            raise GraphError(f"{other.replace('x', name, 1)} has samples of shape {given[1:]}, but the net was built "
                             f"for {built}{hint}")  # fmt: skip
        for k, c in self._codes().items():
            arrays[k] = check_codes(arrays[k], c, k.replace("x", name, 1))
        for k, a in arrays.items():
            if a.dtype.kind in "iu" and a.nbytes <= LARGE:
                arrays[k] = a.astype(self._dtype_of(k, a), copy=False)
        return arrays, how

    def _learn_columns(self: Any, x: Any) -> None:
        """Remember the names of columns, where the samples are tables with names and none are known."""
        self.columns = self.columns or columns_of(x)

    def _check_columns(self: Any, x: Any, name: str = "x") -> None:
        """`DataError` for columns of other names than those that the model was fitted on, or in another order.

        A warning, once, where one of both has names and the other has none.
        """
        if type(x) is np.ndarray and not self.columns:
            return
        given = columns_of(x)
        for k in self.columns.keys() & given.keys():
            try:
                check_names(self.columns[k], given[k])
            except DataError as error:
                raise error if (k, name) == ("x", "x") else DataError(f"{k.replace('x', name, 1)}: {error}") from None
        if self.columns.keys() != given.keys() and (self.columns or self.epochs) and not self._warned:
            self._warned = True
            have, had = ("does not have valid", "with") if self.columns.keys() - given.keys() else ("has", "without")
            warnings.warn(f"{name} {have} feature names, but Model was fitted {had} feature names", stacklevel=4)

    def _traced_on(self: Any, specs: dict[str, Spec], how: str) -> Traced:
        """The net as a graph, outside training, on such inputs."""

        def made() -> Traced:
            return programs.trace_net(self.net, specs, how, self.dtype, training=False, tell=True)[0]

        return shared(self, ("net", how, *specs.items()), made)

    def _codes(self: Any) -> dict[str, Codes]:
        """The inputs that the net needs whole numbers of."""
        if self._coded[0] is not self.traced:
            self._coded = self.traced, codes_of(self._built())
        return self._coded[1]

    def _dtype_of(self: Any, k: str, a: np.ndarray) -> str:
        """The dtype that an array has in the graph, by its name there."""
        if k not in self.specs:
            return graph_dtype(a, self.dtype)
        built = self.specs[k].dtype
        if built == self.dtype or (built == "uint8" and a.dtype.char in "B?"):
            return built
        return "int32" if k in self._codes() else self.dtype

    def _specs_of(self: Any, arrays: dict[str, np.ndarray]) -> dict[str, Spec]:
        """The net's inputs in the shapes and dtypes of these arrays; where there is no array, as it was built."""
        return {k: Spec(arrays[k].shape[1:], self._dtype_of(k, arrays[k])) if k in arrays else s
                for k, s in self.specs.items()}  # fmt: skip

    def _traced_for(self: Any, arrays: dict[str, np.ndarray]) -> Traced:
        """The net as a graph on samples of these shapes."""
        return self._others.get(tuple(self._specs_of(arrays).values()), self._built())

    def _refuses(self: Any, arrays: dict[str, np.ndarray]) -> str:
        """Why the net cannot take samples of these shapes with the weights it has; empty if it can."""
        specs = self._specs_of(arrays)
        key = tuple(specs.values())
        if key not in self._others:
            try:
                traced, _ = programs.trace_net(self.net, specs, self.how, self.dtype, training=False)
            except (ArgumentError, GraphError) as error:
                return f"; {error}"
            for name, p in self._built().parameters.items():
                own, needed = p.value.shape, traced.parameters[name].value.shape
                if own != needed:
                    return f"; {name!r} has shape {own} and would need {needed}" + (
                        " (a net with nn.GlobalAvgPool() in the place of nn.Flatten() takes any size)"
                        * all(specs[k].shape[0] == s.shape[0] for k, s in self.specs.items() if s.shape)
                    )
            self._others[key] = traced
        return ""

    def _parts(self: Any, x, y=None, sample_weight=None, class_weight=None, fitting=False, name="") -> list[dict]:
        """The arrays of samples: one dict of them, or one for each bucket."""
        self._labels = None
        if isinstance(x, Buckets):
            one_output(self, "Buckets are")
            bucketed.refuse(y=y, sample_weight=sample_weight, class_weight=class_weight)
            return bucketed.arrays_of(self, x, name)
        x, y = taken_apart(x, y, name)
        if y is None:
            if isinstance(x, Split):
                raise DataError(
                    "x is a Split; give one of its parts, such as x.train, and validation_data=x.validation"
                )
            raise no_targets(x)
        return [self._arrays(x, y, sample_weight, class_weight, fitting, name)]

    def _arrays(self: Any, x, y, sample_weight=None, class_weight=None, fitting=False, name="") -> dict:
        """Inputs, targets and weights by the names that programs use, checked."""
        arrays, _ = self._inputs(x, f"{name}x", finite=True)
        n = len(next(iter(arrays.values())))
        traced = self._traced_for(arrays)
        check_outputs(self.loss, traced)
        output = traced.output.shape
        if isinstance(self.loss, Losses):
            if class_weight is not None:
                raise GraphError("class_weight is for nets of one output; give sample_weight, or loss_weights to Model")
            arrays["y"], output = several_targets(y, self.loss, traced, n, self.dtype, fitting, f"{name}y"), ()
        else:
            arrays["y"] = as_targets(y, self.loss, output, n, self.dtype, fitting, f"{name}y")
        steps = None
        if class_weight is not None:
            steps = steps_counted(self, {k: a for k, a in arrays.items() if k != "y"})
        if class_weight is not None and by_label(self.loss, output, self._built().mask is not None):
            self._labels, class_weight = label_weights(class_weight, arrays["y"], self.loss, output, steps), None
        weight = as_weights(sample_weight, class_weight, arrays["y"], n, self.dtype, self.loss, output, steps)
        arrays |= {} if weight is None else {"weight": weight}
        return {k: self._ready(a, k, f"{name}{k}") for k, a in arrays.items()}

    def _apart(self: Any, arrays: dict[str, np.ndarray], fraction: float, sample_weight: Any) -> tuple[Part, Part]:
        """Training and validation samples; these without the weights of classes."""
        n = len(arrays["y"])
        own = as_weights(sample_weight, None, arrays["y"], n, self.dtype, self.loss, self._built().output.shape)
        learnt, held = split(arrays, fraction, self.seed)
        plain = {name: a for name, a in arrays.items() if name != "weight"}
        return learnt, Part(plain | ({} if own is None else {"weight": own}), held.rows)

    def _ready(self: Any, a: np.ndarray, k: str, name: str) -> np.ndarray:
        """An array in the graph's dtype, unless it is so large that this is better done a piece at a time."""
        return a if a.nbytes > LARGE else as_leaf(a, self._dtype_of(k, a), name)

    @contextlib.contextmanager
    def _unchanged_on_error(self: Any) -> Iterator[None]:
        """Weights made for arrays that turn out to be bad are forgotten, so that other shapes may follow."""
        new, columns = self.traced is None, self.columns
        try:
            yield
        except Exception:
            self.columns = columns
            if new:
                self._forget()
            raise

    def _compiled(self: Any, what: str, arrays: dict[str, np.ndarray], metrics: Metrics | None = None) -> Any:
        """The compiled program "step", "gradients", "evaluate", "predict" or "sample" for such arrays, made once.

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
        specs = self._specs_of(arrays)
        labels = self._labels if what in ("step", "gradients") else None
        key = (what, weight, target, labels, *specs.values(), *(metrics.values() if target else ()))
        if key not in self._runs:
            run = run_of(self, (*key, self.how), lambda: self._program(what, target, weight, specs, metrics))
            whole = what == "step" and isinstance(self.optimizer, LBFGS)
            self._runs[key] = WholeSteps(run, self.optimizer) if whole else run
        if known is not None:
            self._predicting[known] = self._runs[key]
        return self._runs[key]

    def _program(
        self: Any,
        what: str,
        target: Spec | None = None,
        weight: Shape | None = None,
        specs: dict[str, Spec] | None = None,
        metrics: Metrics | None = None,
    ) -> Program:
        specs = specs or self.specs
        if what in ("predict", "sample"):
            return programs.prediction(self.net, specs, self.how, self.loss, self.dtype, dropping=what == "sample")
        if what == "mask":
            return programs.steps_counted(self.net, specs, self.how, self.dtype)
        assert target is not None
        labels = self._labels if what in ("step", "gradients") else None
        loss = self.loss if labels is None else replace(self.loss, label_weights=labels)
        common = (self.net, specs, self.how, target, weight, loss, self.metrics if metrics is None else metrics)
        if what == "gradients" or (what == "step" and isinstance(self.optimizer, LBFGS)):
            if what == "step":
                refuse_constraints(self)
            return programs.gradients(*common, self.dtype, self.regularizer)
        if what == "step":
            return programs.training_step(*common, self.optimizer, self.dtype, self.regularizer, self.constraint)
        return programs.evaluation(*common, self.dtype)


def refuse_constraints(model: Any) -> None:
    """L-BFGS would take a step back as a change of the gradient."""
    if model.constraint is not None or model._built().constraints:
        raise GraphError("optim.LBFGS takes no constraint of weights; use another optimizer, or a penalty")


def _shape_hint(given: tuple, built: tuple) -> str:
    """What to do with an array of shape ``given`` for samples of shape ``built``."""
    sample = given[1:]
    if given == built:
        return "; a single sample needs a leading axis: x[None]"
    if (1, *sample) == built:
        return "; the channel axis is missing: x[:, None]"
    if len(built) > 1 and (*sample[-1:], *sample[:-1]) == built:
        order = ", ".join(map(str, (0, len(built), *range(1, len(built)))))
        return f"; move the channels first: x.transpose({order})"
    if int(np.prod(sample)) == int(np.prod(built)):
        return f"; did you mean x.reshape(-1, {', '.join(map(str, built))})?"
    return ""
