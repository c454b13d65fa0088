"""`Model`: a net, a loss and an optimizer put together, to fit, evaluate, predict, save. Written on Programs alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import executors
from ..data import Buckets, DataError
from ..graph import GraphError, Program
from ..nn import init_program
from ..nn.layer import Traced
from ..nn.losses import as_loss
from ..nn.metrics import as_metrics
from ..optim import as_optimizer
from . import bucketed, loop, programs
from .arrays import Spec, as_array, as_inputs, as_targets, as_weights, check_finite, example_target, graph_dtype
from .callbacks import Callback
from .history import History
from .pieces import middle_of
from .progress import progress_for
from .reuse import Reuse
from .stateful import check_batches


class Model(Reuse):
    """A net with its loss and optimizer.

    - ``net``: any callable on Values: a layer, `nn.Sequential`, a function of one or several inputs.
    - ``loss``: a name (``"cross_entropy"``), an `nn.Loss`, or a function of (output, target) of one sample.
    - ``optimizer``: a name or an `optim.Optimizer`; ``metrics``: names, or functions of (prediction, target).
    - ``seed``: of first weights, shuffling and dropout. The same seed gives the same result, bit for bit.
    - ``dtype``: "float32" or "float64". ``executor``: "native", machine code, or "reference", NumPy; ``threads``: how
      many may compute, by default as many as are useful. Both have defaults from the environment: PELLUCID_EXECUTOR
      and PELLUCID_THREADS.
    - ``input_shape``: of one sample, to have weights before any data is seen (a tuple or dict of them for several);
      ``input_dtype``: "int32" for tokens, "uint8" for pixels, the model's own by default.

    >>> import pellucid as pel
    >>> from pellucid import nn, optim
    >>> x, y = pel.data.xor()
    >>> net = nn.Sequential(nn.Dense(8), nn.tanh, nn.Dense(1))
    >>> model = Model(net, loss="binary_cross_entropy", optimizer=optim.Adam(0.1), metrics=["accuracy"])
    >>> history = model.fit(x, y, epochs=100, verbose=0)
    >>> model.evaluate(x, y)["accuracy"]
    1.0
    """

    def __init__(
        self,
        net: Callable,
        loss: Any,
        optimizer: Any = "adam",
        metrics: Sequence[Any] = (),
        seed: int = 0,
        dtype: str = "float32",
        executor: str | None = None,
        input_shape: Any = None,
        threads: int | None = None,
        input_dtype: str | None = None,
    ) -> None:
        if not callable(net) or isinstance(net, type):
            raise GraphError(f"the net must be a layer or a function of Values, got {net!r}"
                             + ("; did you forget the parentheses?" if isinstance(net, type) else ""))  # fmt: skip
        if dtype not in ("float32", "float64"):
            raise GraphError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
        if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
            raise GraphError(f"seed must be a whole number, 0 or more, got {seed!r}")
        if isinstance(metrics, str):
            raise GraphError(f"metrics must be a list, for example [{metrics!r}]")
        self.net, self.loss, self.optimizer = net, as_loss(loss), as_optimizer(optimizer)
        self.metric_names, self.metrics = tuple(metrics), as_metrics(metrics)
        self.seed, self.dtype = int(seed), dtype
        self.executor, self.threads = executors.get(executor), executors.as_threads(threads)
        self.state: dict[str, np.ndarray] = {}
        self.history, self.epochs, self.stop_training = History(), 0, False
        self.notes: dict[str, Any] = {}  # kept in the saved file, as JSON, for the user and the command line
        self.blobs: dict[str, np.ndarray] = {}  # kept there too, as arrays
        self.traced: Traced | None = None
        self._runs: dict[Any, Any] = {}
        self._others: dict[Any, Traced] = {}  # the net traced on samples of other shapes than it was built for
        if input_shape is not None:
            if input_dtype not in (None, dtype, "int32", "uint8"):
                raise GraphError(f"input_dtype must be 'int32', 'uint8' or {dtype!r}, got {input_dtype!r}")
            self._build(*_specs_of_shapes(input_shape, input_dtype or dtype))

    # ---- weights ----------------------------------------------------------------------------------------------

    def _build(self, specs: dict[str, Spec], how: str) -> None:
        """Trace the net on inputs of these shapes, and make its first weights."""
        self.traced, _ = programs.trace_net(self.net, specs, how, self.dtype, training=False)
        self.specs, self.how = specs, how
        if self.traced.parameters:
            key = np.array([self.seed >> 32, self.seed], dtype=np.uint64).astype(np.uint32)
            # by the reference, so that the same seed gives the same first weights on every executor
            self.state |= executors.get("reference").compile(init_program(self.traced.parameters))({}, {"key": key})

    def _built(self) -> Traced:
        if self.traced is None:
            raise GraphError("the model has no weights yet: fit it, or give Model(..., input_shape=(n,))")
        return self.traced

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """A copy of the weights by name."""
        return {name: self.state[name].copy() for name in self._built().parameters}

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Replace weights by name; raises `GraphError` for a name or a shape that the net does not have."""
        known = self._built().parameters
        new = {}
        for name, value in values.items():
            if name not in known:
                raise GraphError(f"no parameter is named {name!r}; there are {', '.join(known)}")
            new[name] = np.array(value, dtype=self.dtype, order="C")
            if new[name].shape != known[name].value.shape:
                raise GraphError(f"parameter {name!r} has shape {known[name].value.shape}, got {new[name].shape}")
        self.state |= new

    # ---- the four verbs ---------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        batch_size: int | str | None = None,
        epochs: int = 1,
        validation_split: float = 0.0,
        validation_data: tuple | Buckets | None = None,
        shuffle: bool = True,
        sample_weight: Any = None,
        class_weight: Any = None,
        augment: Callable | None = None,
        callbacks: Iterable[Callback] = (),
        verbose: int = 1,
    ) -> History:
        """Train on arrays with a leading axis of samples, for ``epochs`` more epochs; returns the history of all.

        - ``x``, ``y``: inputs and targets; or `data.Buckets` as ``x``, which hold both and have a batch size.
        - ``batch_size``: 1 is sequential, n mini-batch, "all" batch mode; by default 32, or all if fewer.
        - ``validation_split``: this fraction of the samples, drawn with the seed, is kept for validation.
          ``validation_data``: (x, y), (x, y, sample_weight) or Buckets instead.
        - ``sample_weight``: one number a sample; ``class_weight``: {class: weight} or "balanced".
        - ``augment``: random changes of the training samples, new in every epoch: `data.Augment(flip=True)`, or a
          function of (x, rows, seed, epoch), where ``rows`` are the numbers of the samples ``x``.
        - ``verbose``: 0 silent, 1 one progress line for the whole run, 2 one line an epoch.

        Raises `DataError` for arrays that do not fit the net or the loss, before anything is changed, and
        `DivergedError` when the loss becomes NaN or infinite.
        """
        if not isinstance(epochs, (int, np.integer)) or epochs < 0:
            raise GraphError(f"epochs must be a whole number >= 0, got {epochs!r}")
        if validation_data is not None and validation_split:
            raise GraphError("give validation_split or validation_data, not both")
        with self._unchanged_on_error():
            if isinstance(x, Buckets):
                bucketed.refuse(batch_size=batch_size, validation_split=validation_split, augment=augment)
            seen = self._parts(middle_of(augment, x), y, sample_weight, class_weight, fitting=True)
            parts = seen if augment is None else [seen[0] | {"x": as_array(x, "x")}]  # whole, for the changes
            validation = None
            if isinstance(validation_data, Buckets):
                validation = self._parts(validation_data, name="validation_data ")
            elif validation_data is not None:
                if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
                    raise GraphError("validation_data must be (x, y) or (x, y, sample_weight), or Buckets")
                vx, vy, weight = (*validation_data, None)[:3]
                vx = middle_of(augment, vx, "validation_data x")
                validation = [self._arrays(vx, vy, weight, name="validation_data ")]
            elif validation_split:
                training, held = loop.split(parts[0], validation_split, self.seed)
                if augment is not None:
                    held["x"] = middle_of(augment, held["x"])
                parts, validation = [training], [held]
            n = sum(len(arrays["y"]) for arrays in parts)
            batch = x.batch_size if isinstance(x, Buckets) else loop.training_batch_size(batch_size, n)
            progress = progress_for(verbose, epochs, n)
            steps = [self._compiled("step", arrays) for arrays in seen]
            for step, arrays in zip(steps, parts, strict=True):
                check_batches(step.program, batch, len(arrays["y"]), shuffle)
        slots = [v for v in steps[0].program.state if v not in self.state]
        self.state |= loop.first_state(steps[0].program, slots, self.optimizer.learning_rate, self.seed)
        return loop.fit(self, steps, parts, validation, batch, epochs, shuffle, list(callbacks), progress, augment)

    def evaluate(
        self, x: Any, y: Any = None, *, sample_weight: Any = None, batch_size: int | str | None = None
    ) -> dict[str, float]:
        """Mean loss and metrics on samples, or on `data.Buckets` of them: ``{"loss": ..., "accuracy": ...}``."""
        self._built()
        return loop.evaluate(self, self._parts(x, y, sample_weight), batch_size)

    def predict(self, x: Any, *, batch_size: int | str | None = None) -> Any:
        """The net's output for each sample with the loss's link applied: probabilities, or values for regression.

        Of `data.Buckets` the samples are in their first order, and an output for every step, (T, ...), is a list of
        arrays, each as long as its sequence.
        """
        self._built()
        if isinstance(x, Buckets):
            return bucketed.predict(self, x, batch_size)
        arrays, _ = self._inputs(x)
        run = self._compiled("predict", arrays)
        return self._in_batches(run, arrays, batch_size)

    def layer_outputs(self, x: Any) -> dict[str, np.ndarray]:
        """Every layer's output for the samples, by the layer's path: the forward pass, to look at."""
        self._built()
        arrays, _ = self._inputs(x)
        program, calls = programs.layer_outputs(self.net, self._specs_of(arrays), self.how, self.dtype)
        outputs = self.executor.compile(program, self.threads)(self.state, arrays)
        return {programs.call_name(c): outputs[str(i)] for i, c in enumerate(calls)}

    def summary(self) -> None:
        """Print each layer with its output shape and number of parameters, and totals."""
        from .summary import summary_text

        print(summary_text(self))

    def save(self, path: Any) -> None:
        """Write the model to one file: weights, architecture, optimizer state and history; see `pellucid.load`."""
        from .saving import save

        save(self, path)

    def dump(self, folder: Any, batch_size: int = loop.DEFAULT_BATCH) -> None:
        """Write what the executor makes of the training step and of `predict`, to be read by people.

        Two subfolders, step and predict, each with the program's listing, the plan of its loops, LLVM's code and the
        assembly. Memory and arithmetic in the plan are for batches of ``batch_size``. Raises `GraphError` where the
        executor makes no machine code.
        """
        executors.must_dump(self.executor)
        output = self._built().output.shape
        made = {what: run for (what, *_), run in self._runs.items()}  # as last used: with weights or without
        for what, arrays in (("step", {"y": example_target(self.loss, output, self.dtype)}), ("predict", {})):
            run = made.get(what) or self._compiled(what, arrays)
            run.dump(Path(folder) / what, batch_size)

    def _in_batches(self, run: Any, arrays: dict[str, np.ndarray], batch_size: int | str | None) -> np.ndarray:
        """The one output of a program, for some samples after the others."""
        (name,) = run.program.outputs
        n = len(next(iter(arrays.values())))
        size = loop.batch_size_for(batch_size, n)
        if n <= size:
            return run(self.state, arrays)[name]
        parts = [run(self.state, {k: a[i : i + size] for k, a in arrays.items()}) for i in range(0, n, size)]
        return np.concatenate([p[name] for p in parts])

    # ---- arrays and programs ----------------------------------------------------------------------------------

    def _inputs(self, x: Any, name: str = "x", finite: bool = False) -> tuple[dict[str, np.ndarray], str]:
        arrays, how = as_inputs(x, name)
        if name != "x":
            arrays = {k.replace(name, "x", 1): a for k, a in arrays.items()}
        if finite:
            for k, a in arrays.items():
                check_finite(a, k.replace("x", name, 1))
        if self.traced is None:
            self._build({k: Spec(a.shape[1:], graph_dtype(a, self.dtype)) for k, a in arrays.items()}, how)
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
        for k, a in arrays.items():
            if graph_dtype(a, self.dtype) != self.specs[k].dtype:  # whole numbers for floats, or the reverse
                arrays[k] = _recast(a, self.specs[k].dtype, k)
        return arrays, how

    def _specs_of(self, arrays: dict[str, np.ndarray]) -> dict[str, Spec]:
        """The net's inputs in the shapes of these arrays; where there is no array, as it was built."""
        return {k: Spec(arrays[k].shape[1:], s.dtype) if k in arrays else s for k, s in self.specs.items()}

    def _refuses(self, arrays: dict[str, np.ndarray]) -> str:
        """Why the net cannot take samples of these shapes with the weights it has; empty if it can."""
        specs = self._specs_of(arrays)
        key = tuple(specs.values())
        if key not in self._others:
            try:
                traced, _ = programs.trace_net(self.net, specs, self.how, self.dtype, training=False)
            except GraphError as error:
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

    def _parts(self, x, y=None, sample_weight=None, class_weight=None, fitting=False, name="") -> list[dict]:
        """The arrays of samples: one dict of them, or one for each bucket."""
        if isinstance(x, Buckets):
            bucketed.refuse(y=y, sample_weight=sample_weight, class_weight=class_weight)
            return bucketed.arrays_of(self, x, name)
        if y is None:
            raise DataError("y is missing: expected the targets of the samples x")
        return [self._arrays(x, y, sample_weight, class_weight, fitting, name)]

    def _arrays(self, x, y, sample_weight=None, class_weight=None, fitting=False, name="") -> dict[str, np.ndarray]:
        """Inputs, targets and weights by the names that programs use, checked."""
        arrays, _ = self._inputs(x, f"{name}x", finite=True)
        n = len(next(iter(arrays.values())))
        output = self._others.get(tuple(self._specs_of(arrays).values()), self._built()).output.shape
        arrays["y"] = as_targets(y, self.loss, output, n, self.dtype, fitting, f"{name}y")
        weight = as_weights(sample_weight, class_weight, arrays["y"], n, self.dtype)
        return arrays if weight is None else arrays | {"weight": weight}

    @contextlib.contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        """Weights made for arrays that turn out to be bad are forgotten, so that other shapes may follow."""
        new = self.traced is None
        try:
            yield
        except Exception:
            if new:
                self.traced, self.state, self._runs, self._others = None, {}, {}, {}
            raise

    def _compiled(self, what: str, arrays: dict[str, np.ndarray]) -> Any:
        """The compiled program "step", "evaluate" or "predict" for arrays of these shapes, made once."""
        weighted = "weight" in arrays
        target = Spec(arrays["y"].shape[1:], graph_dtype(arrays["y"], self.dtype)) if "y" in arrays else None
        specs = self._specs_of(arrays)
        key = (what, weighted, target, *specs.values())
        if key not in self._runs:
            self._runs[key] = self.executor.compile(self._program(what, target, weighted, specs), self.threads)
        return self._runs[key]

    def _program(
        self, what: str, target: Spec | None = None, weighted: bool = False, specs: dict[str, Spec] | None = None
    ) -> Program:
        specs = specs or self.specs
        if what == "predict":
            return programs.prediction(self.net, specs, self.how, self.loss, self.dtype)
        assert target is not None
        common = (self.net, specs, self.how, target, weighted, self.loss, self.metrics)
        if what == "step":
            return programs.training_step(*common, self.optimizer, self.dtype)
        return programs.evaluation(*common, self.dtype)


def _specs_of_shapes(shapes: Any, dtype: str) -> tuple[dict[str, Spec], str]:
    if isinstance(shapes, dict):
        return {f"x.{k}": Spec(tuple(s), dtype) for k, s in shapes.items()}, "named"
    if isinstance(shapes, int):
        raise GraphError(f"input_shape must be a tuple, for example ({shapes},)")
    if shapes and isinstance(shapes[0], (tuple, list)):
        return {f"x.{i}": Spec(tuple(s), dtype) for i, s in enumerate(shapes)}, "tuple"
    return {"x": Spec(tuple(shapes), dtype)}, "one"


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


def _recast(a: np.ndarray, dtype: str, name: str) -> np.ndarray:
    if dtype.startswith("float") or (a.dtype.kind in "iub" and dtype != "uint8"):
        return a.astype(dtype)
    raise GraphError(f"{name} holds {a.dtype}, but the net was built for {dtype}")
