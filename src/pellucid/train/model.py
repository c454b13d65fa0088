"""`Model`: a net, a loss and an optimizer put together, to fit, evaluate, predict, save. Written on Programs alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import executors
from ..checks import hint_options, hinting, no_attribute, number, whole
from ..data import Buckets, DataError, Dataset
from ..errors import ArgumentError, GraphError
from ..nn import Constraint, Losses, Penalty
from ..nn.outputs import as_losses
from ..nn.penalties import as_constraint, as_penalty
from ..optim import as_optimizer
from . import batch_sizes, checkpoint, evaluation, loop, saving, stepping
from .agreement import check_agreement
from .arrays import example_target
from .building import build, unchanged_on_error
from .callbacks import Callback, as_callbacks
from .codes import first_specs, specs_of_shapes
from .compiled import Programs
from .core import ModelCore
from .doctor.findings import Diagnosis
from .doctor.visit import diagnose
from .evaluation import in_batches
from .history import History
from .inputs import inputs_of, parts_of, predict_buckets
from .lr_finder import RateSearch, search_rates
from .mc_dropout import MonteCarloDropout
from .network import Network
from .outputs import apart, metrics_for, one_output
from .parts import as_part
from .penalties import Penalties
from .preparing import FitOptions, prepared
from .printing import Printed
from .progress import progress_for
from .rates import base_rate, factor_of, set_base_rate
from .transfer import Transfer
from .warming import Warming


class Model(Transfer, MonteCarloDropout, Penalties, Printed, Warming, ModelCore):
    """A net with its loss and optimizer.

    - ``net``: any callable on Values: a layer, `nn.Sequential`, a function of one or several inputs.
    - ``loss``: a name (``"cross_entropy"``), an `nn.Loss`, or a function of (output, target) of one sample.
    - ``optimizer``: a name or an `optim.Optimizer`; ``metrics``: names (docs/metrics.md), or
      functions of (prediction, target).
    - ``seed``: of first weights, shuffling and dropout. The same seed gives the same result, bit for bit.
    - ``dtype``: "float32" or "float64". ``executor``: "native", machine code, or "reference", NumPy; ``threads``: how
      many may compute, by default as many as are useful. Both have defaults from the environment: PELLUCID_EXECUTOR
      and PELLUCID_THREADS.
    - ``input_shape``: of one sample, to have weights before any data is seen (a tuple or dict of them for several);
      ``input_dtype``: "uint8" for pixels as bytes; by default "int32" where the net needs whole numbers, as an
      `nn.Embedding` does, else the model's own.
    - ``regularizer``: a penalty on all weights, ``nn.L2(1e-4)``; ``constraint``: of all, ``nn.MaxNorm(3)``. Weights are
      the trained arrays of two or more axes but norms' scales. `nn.Regularized` does it for one layer.
    - A net that returns a tuple or a dict of Values has several outputs: ``loss``, ``metrics`` and ``loss_weights`` (of
      the sum of losses that is minimized) are then tuples or dicts alike, and so are targets and predictions.

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
        regularizer: Penalty | None = None,
        constraint: Constraint | None = None,
        loss_weights: Any = None,
    ) -> None:
        if not callable(net) or isinstance(net, type):
            raise ArgumentError(f"the net must be a layer or a function of Values, got {net!r}"
                                + ("; did you forget the parentheses?" if isinstance(net, type) else ""))  # fmt: skip
        if dtype not in ("float32", "float64"):
            raise ArgumentError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed < 2**64:
            raise ArgumentError(f"seed must be a whole number, 0 or more, got {seed!r}")
        network, losses = Network(net, dtype), as_losses(loss, loss_weights)
        chosen = as_optimizer(optimizer)
        names, found = metrics_for(losses, metrics)
        penalty, limit = as_penalty(regularizer, "regularizer"), as_constraint(constraint, "constraint")
        programs = Programs(
            network, losses, chosen, metrics=found, metric_names=names, regularizer=penalty, constraint=limit,
            executor=executors.get(executor), threads=executors.as_threads(threads),
        )  # fmt: skip
        super().__init__(network, programs, int(seed))
        if input_shape is not None:
            if input_dtype not in (None, dtype, "int32", "uint8"):
                raise ArgumentError(f"input_dtype must be 'int32', 'uint8' or {dtype!r}, got {input_dtype!r}")
            specs, how = specs_of_shapes(input_shape, input_dtype or dtype)
            if input_dtype is None:
                some = {k: np.zeros((1, *s.shape)) for k, s in specs.items()}
                specs, _ = first_specs(lambda specs: self.programs.traced_on(specs, how), some, dtype)
            build(self, specs, how)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        hint_verbs(cls)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            return no_attribute(self, "model", name)

    # ---- weights ----------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """A copy of the weights by name."""
        return Parameters({name: self.state[name].copy() for name in self.network.built().parameters})

    def set_parameters(self, values: dict[str, Any]) -> None:
        """Replace weights by name; raises `GraphError` for a name or a shape that the net does not have."""
        known = self.network.built().parameters
        new = {}
        for name, value in values.items():
            if name not in known:
                raise GraphError(f"no parameter is named {name!r}; there are {', '.join(known)}")
            new[name] = np.array(value, dtype=self.dtype, order="C")
            if new[name].shape != known[name].value.shape:
                raise GraphError(f"parameter {name!r} has shape {known[name].value.shape}, got {new[name].shape}")
        self.state |= new

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step, where a schedule and callbacks have put it; may be set.

        >>> from pellucid import nn, optim
        >>> model = Model(nn.Dense(1), "mse", optim.SGD(0.1), input_shape=(2,))
        >>> model.learning_rate /= 2
        >>> model.learning_rate
        0.05
        """
        return base_rate(self) * factor_of(self)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        rate = number("model", "learning_rate", rate, above=0)
        factor = factor_of(self)
        if factor == 0:
            raise GraphError("the learning rate's schedule is at 0 now, so that no number times it is any other")
        set_base_rate(self, rate / factor)

    def gradients(
        self, x: Any, y: Any = None, *, sample_weight: Any = None, batch_size: int | str | None = None
    ) -> tuple[float, dict[str, np.ndarray]]:
        """The cost that `fit` minimizes, and its gradient in each trained weight by name: means over these samples.

        It is the cost in training: dropout drops, and what layers and penalties add is there. Nothing is changed.

        >>> from pellucid import nn
        >>> model = Model(nn.Dense(1, weight_init=nn.init.zeros), "half_squared_error", input_shape=(1,))
        >>> cost, slopes = model.gradients([[2.0]], [[3.0]])  # C = (2 w + b - 3)^2 / 2, at w = b = 0
        >>> cost, slopes["weight"].item(), slopes["bias"].item()
        (4.5, -6.0, -3.0)
        """
        with unchanged_on_error(self):
            return stepping.gradients(self, parts_of(self, x, y, sample_weight), batch_size)

    def update_statistics(self, x: Any = None, *, batch_size: int | str | None = None) -> None:
        """Compute anew what layers learn besides weights (batch normalization's means and variances), over samples.

        For weights that were not trained so, such as averages. Within `fit` the samples are those of the training.
        """
        if x is None and self.training is None:
            raise DataError("update_statistics: x is missing (only within fit are there samples)")
        parts = self.training.unchanged if self.training is not None and x is None else [inputs_of(self, x)]
        n = as_part(parts[0]).samples
        chunks = (
            batch_sizes.sizes(self, parts, evaluation.batch_size_for(batch_size, n))
            if self.training is None or x is not None
            else self.training.batches
        )
        stepping.update_statistics(self, parts, chunks)

    def find_learning_rate(
        self,
        x: Any,
        y: Any = None,
        *,
        low: float = 1e-6,
        high: float = 10.0,
        steps: int = 100,
        batch_size: int | str | None = None,
        sample_weight: Any = None,
    ) -> RateSearch:
        """Train for some steps with a learning rate that rises from ``low`` to ``high``; the model stays as it is.

        The result has the rates, the smoothed losses, a ``suggestion`` and a ``plot()``. The search ends where the loss
        is four times the lowest so far. Smith, "Cyclical learning rates", WACV 2017.
        """
        with unchanged_on_error(self):
            (arrays,) = parts_of(self, x, y, sample_weight, fitting=True)
            batch = batch_sizes.training_batch_size(batch_size, len(arrays["y"]))
            return search_rates(self, arrays, low, high, steps, *batch_sizes.sizes(self, [arrays], batch))

    # ---- the four verbs ---------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        batch_size: int | str | None = None,
        epochs: int = 1,
        validation_split: float = 0.0,
        validation_data: tuple | Dataset | Buckets | None = None,
        shuffle: bool = True,
        sample_weight: Any = None,
        class_weight: Any = None,
        augment: Callable | None = None,
        callbacks: Iterable[Callback] = (),
        verbose: int = 1,
        resume: bool = False,
    ) -> History:
        """Train on arrays with a leading axis of samples, for ``epochs`` more epochs; returns the history of all.

        - ``x``, ``y``: inputs and targets; or a `data.Dataset` as ``x``, or `data.Buckets`, which hold both.
        - ``batch_size``: 1 is sequential, n mini-batch, "all" batch mode; by default 32, or all if fewer. Where a layer
          takes statistics over samples alone (`nn.BatchNorm` of vectors), it is changed a little where the last batch
          would be less than half of it, and is never 1: see `pellucid.train.batch_sizes`.
        - ``validation_split``: this fraction of the samples, drawn with the seed, is kept for validation.
          ``validation_data``: (x, y), (x, y, sample_weight), a Dataset or Buckets instead.
        - ``sample_weight``: one number a sample; ``class_weight``: {class: weight} or "balanced". Loss and metrics of
          training are weighted by both, those of validation by sample weights alone, as `evaluate` gives them. Of
          several labels of 0 or 1 the loss of each is weighted: {label: weight}, or {label: (weight of 0, of 1)}.
        - ``augment``: random changes of the training samples, new in every epoch: `data.Augment(flip=True)`,
          `data.Mixup(0.2)`, or a function of (x, rows, seed, epoch), where ``rows`` are the numbers of the samples
          ``x``. One that changes targets too has a method ``samples(arrays, rows, seed, epoch)`` besides.
        - ``verbose``: 0 silent, 1 a bar in a terminal, elsewhere about 20 lines, 2 one line an epoch.
        - ``resume``: go on from the last of the checkpoints that a `Checkpoint` among the callbacks wrote, if there are
          any; ``epochs`` are then those of the whole fit.

        Raises `DataError` for arrays that do not fit the net or the loss, before anything is changed, and
        `DivergedError` when the loss or a weight becomes NaN or infinite.
        """
        epochs = whole("fit", "epochs", epochs, least=0)
        with unchanged_on_error(self):
            options = FitOptions(batch_size, epochs, validation_split, validation_data, shuffle, sample_weight,
                                 class_weight, augment)  # fmt: skip
            training = prepared(self, x, y, options)
            progress = progress_for(verbose, epochs, training.samples)
            callbacks = as_callbacks(callbacks)
            check_agreement(self, training, callbacks)
            saved = checkpoint.find(self, training, callbacks, resume)
        program = training.steps[0].program
        slots = [v for v in program.state if v not in self.state]
        self.state |= stepping.first_state(program, slots, self.optimizer, self.seed, self.state)
        return loop.fit(self, training, callbacks, progress, saved)

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        batch_size: int | str | None = None,
        metrics: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """Mean loss and metrics on x and y, a `Dataset` or `Buckets`: ``{"loss": ..., "accuracy": ...}``.

        ``metrics``: others than the model's own, for this once. Raises `DataError` where predictions are not finite.
        """
        self.network.built()
        chosen = self.metrics if metrics is None else metrics_for(self.loss, metrics)[1]
        parts = parts_of(self, x, y, sample_weight)
        found = evaluation.evaluate(self, parts, batch_size, chosen)
        if not np.isfinite(found["loss"]):
            for inputs in (as_part(arrays).inputs for arrays in parts):
                in_batches(self, self.programs.compiled("predict", inputs.whole), inputs, batch_size, finite=True)
        return found

    def predict(self, x: Any, *, batch_size: int | str | None = None, finite: bool = True) -> Any:
        """The net's output for each sample with the loss's link applied: probabilities, or values for regression.

        Of `data.Buckets` the samples are in their first order, and an output for every step, (T, ...), is a list of
        arrays, each as long as its sequence. Raises `DataError` for NaN, infinity and numbers beyond the model's dtype
        in the samples or the predictions, with the row; ``finite=False`` takes and gives them as they are.
        """
        self.network.built()
        if isinstance(x, Buckets):
            return predict_buckets(self, x, batch_size, finite)
        arrays = inputs_of(self, x)
        run = self.programs.compiled("predict", arrays)
        found = in_batches(self, run, arrays, batch_size, finite)
        return apart(self.loss, self.network.traced_for(arrays), found) if isinstance(self.loss, Losses) else found

    def save(self, path: Any) -> None:
        """Write the model to one file: weights, architecture, optimizer state and history; see `pellucid.load`."""
        saving.save(self, path)

    def __reduce__(self) -> tuple:
        """Models can be pickled and copied: for worker processes. To keep one, `save` it."""
        return saving.from_parts, saving.parts(self)

    def diagnose(
        self,
        x: Any,
        y: Any = None,
        *,
        validation_data: tuple | Dataset | None = None,
        test: tuple | Dataset | None = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        batch_size: int | None = None,
    ) -> Diagnosis:
        """Look for what is wrong with the samples, the net and its training; changes nothing, and prints as text.

        ``x``, ``y``: training samples, or a Dataset as ``x``. ``validation_data`` and ``test``: others, by which
        overfitting and rows that leak are found. ``sample_weight``, ``class_weight``, ``batch_size``: as `fit` had
        them. See `pellucid.train.doctor`. Raises `DataError` for arrays that do not fit the net or the loss.

        >>> from pellucid import Model, data, nn
        >>> train = data.digits()
        >>> Model(nn.Dense(10), loss="cross_entropy").diagnose(train.x, train.y)
        healthy: nothing found
        """
        others = {"validation_data": validation_data, "test": test}
        return diagnose(self, x, y, sample_weight, class_weight, batch_size, others)

    def dump(self, folder: Any, batch_size: int = batch_sizes.DEFAULT_BATCH) -> None:
        """Write what the executor makes of the training step and of `predict`, to be read by people.

        Two subfolders, step and predict, each with the program's listing, the plan of its loops, LLVM's code and the
        assembly. Memory and arithmetic in the plan are for batches of ``batch_size``. Raises `GraphError` where the
        executor makes no machine code.
        """
        executors.must_dump(self.executor)
        one_output(self, "dump is")
        output = self.network.built().output.shape
        made = {what: run for (what, *_), run in self.programs.runs.items()}  # as last used: with weights or without
        for what, arrays in (("step", {"y": example_target(self.loss, output, self.dtype)}), ("predict", {})):
            run = made.get(what) or self.programs.compiled(what, arrays)
            run.dump(Path(folder) / what, batch_size)


class Parameters(dict[str, np.ndarray]):
    """Weights by name. It is no function, as PyTorch's is, and says so."""

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("model.parameters is a dict of arrays by name, without parentheses; the model gives the "
                        "optimizer its weights: pel.Model(net, loss, optim.Adam(0.001))")  # fmt: skip


def hint_verbs(cls: type) -> None:
    """Let a class say what options that it does not have are called here."""
    hint_options(cls)
    for name in ("fit", "evaluate", "predict"):
        if name in cls.__dict__:
            setattr(cls, name, hinting(name, owner=f"Model.{name}")(cls.__dict__[name]))


hint_verbs(Model)
saving.register(Model)
