"""Nets that commands make, and how they are fitted, saved and drawn. Imports the package's face; click to speak."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from .. import Checkpoint, EarlyStopping, Model, __version__, data, nn, optim
from ..data.dataset import drawn
from ..errors import DataError
from ..recipes import Recipe, hidden_layers
from ..train.doctor.nothing import nothing_learnt
from . import files

CHECKPOINT_MINUTES = 10  # and after every epoch


RECIPES = {
    "digits": Recipe((256,), epochs=60, batch_size=64, learning_rate=4e-3, dropout=0.3, input_dropout=0.1),
    "mnist": Recipe((128,), epochs=10, batch_size=128, learning_rate=2e-3, dropout=0.1, validation=0.05),
    "cifar": Recipe((256,), epochs=30, batch_size=64, dropout=0.2, patience=8),
    "images": Recipe((128,), epochs=100, batch_size=32, dropout=0.2, patience=15, validation=0.15),
    "text": Recipe((128, 128), epochs=100, batch_size=32, learning_rate=5e-3, patience=3),
    "series": Recipe((64,), epochs=200, batch_size=32),
    "table": Recipe((64, 32), epochs=200, batch_size=32, dropout=0.2, patience=20, validation=0.15),
}


@dataclass(frozen=True)
class Run:
    """One call of `train`: the recipe, what the model is given, where it goes, what computes, and whether to speak.

    ``batch_size``: as the user asked for it; None is the recipe's, or all samples if they are fewer. ``asked``: what
    the user asked of the recipe, for those that are chosen by the samples.
    """

    recipe: Recipe
    model_path: Path
    plot_path: Path | None
    batch_size: int | str | None = None
    seed: int = 0
    dtype: str = "float32"
    executor: str | None = None
    quiet: bool = False
    threads: int | None = None
    dump_folder: str | None = None
    checkpoint: Path | None = None
    resume: bool = False
    class_weight: str | None = None
    oversample: bool = False
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def say(self) -> Callable[..., None]:
        """Print, unless quiet."""
        return (lambda *text, **options: None) if self.quiet else click.echo

    def learn(
        self, x: np.ndarray, y: np.ndarray, outputs: int | None, verbose: int = 1, columns: Sequence[int] = ()
    ) -> Model:
        """A net for class numbers (``outputs`` of them) or for values (None), fitted to training samples.

        ``columns``: those of x that are in pieces, for the recipe's.
        """
        loss, metrics = ("cross_entropy", ["accuracy"]) if outputs else ("mse", ["mae"])
        if len(x) < 4:
            raise DataError(f"{len(x)} training samples are too few to learn from; expected at least 4")
        model = self.model(self.network(x.shape[1:], outputs or 1, loss, columns), loss, metrics)
        split = max(self.recipe.validation, 1 / len(x))
        held = round(len(x) * split)
        if self.class_weight is None and not self.oversample:
            return self.judged(self.fitted(model, x, y, len(x) - held, held, verbose, validation_split=split), x, y)
        rows, others = self.apart(y, held)
        counts = np.bincount(y[rows], minlength=outputs or 1)
        weight = (len(rows) / len(counts) / np.maximum(counts, 1))[y[others]]  # so that the best epoch is by classes
        chosen = rows[data.oversample(y[rows], self.seed)] if self.oversample else rows
        given = {"validation_data": (x[others], y[others], weight), "class_weight": self.class_weight}
        fitted = self.fitted(model, x[chosen], y[chosen], len(chosen), held, verbose, **given)
        return self.judged(fitted, x, y, "balanced")

    def judged(self, model: Model, x: np.ndarray, y: np.ndarray, class_weight: str | None = None) -> Model:
        """The model; a warning where it learnt nothing, on stderr, so that --quiet does not hide it."""
        if told := nothing_learnt(model, x, y, class_weight):
            click.echo(f"warning: {told.replace('the learning rate was', '--learning-rate was')}", err=True)
        return model

    def apart(self, y: np.ndarray, held: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows to learn from and rows for validation, with the classes in the same shares where there are enough."""
        try:
            return drawn(len(y), held, self.seed, y)
        except DataError:
            return drawn(len(y), held, self.seed)

    def network(self, shape: tuple[int, ...], outputs: int, loss: str = "mse", columns: Sequence[int] = ()) -> nn.Layer:
        """The recipe's net, or hidden layers by the recipe."""
        r = self.recipe
        if r.net == "lenet5":
            return nn.zoo.lenet5(outputs, shape[1], modern=True)
        if r.net == "resnet20":
            return nn.zoo.resnet_cifar(20, outputs)
        flat: list[Any] = [nn.Flatten()] if len(shape) > 1 else []
        return nn.Sequential(*flat, *hidden_layers(r, outputs, loss, columns))

    def dropout(self) -> list[nn.Layer]:
        """What follows each hidden layer."""
        return [nn.Dropout(self.recipe.dropout)] if self.recipe.dropout else []

    def model(self, net: nn.Layer, loss: str, metrics: Sequence[str] = ()) -> Model:
        """A model with the recipe's optimizer and what the user asked for."""
        adam = optim.Adam(self.recipe.rate)
        return Model(net, loss, adam, metrics, self.seed, self.dtype, self.executor, threads=self.threads)

    def fitted(
        self, model: Model, x: np.ndarray, y: np.ndarray, n: int, held: int, verbose: int = 1, **options: Any
    ) -> Model:
        """The model fitted to ``n`` samples, with ``held`` others for validation; ``options`` as of `Model.fit`."""
        r = self.recipe
        stopping = EarlyStopping(patience=r.patience) if r.patience else None
        callbacks = [*options.pop("callbacks", []), *([stopping] if stopping else [])]
        if self.checkpoint is not None:
            callbacks.append(Checkpoint(self.checkpoint, epochs=1, minutes=CHECKPOINT_MINUTES))
            options["resume"] = self.resume
        if isinstance(self.batch_size, int) and self.batch_size > n:
            raise DataError(f"batch_size={self.batch_size} is larger than the {n} training samples")
        batch, loudness = self.batch_size or min(r.batch_size, n), 0 if self.quiet else verbose
        model.fit(x, y, batch_size=batch, epochs=r.epochs, callbacks=callbacks, verbose=loudness, **options)
        if stopping and verbose:
            self.say(
                f"{model.epochs} epochs; kept the weights of epoch {stopping.best_epoch + 1}, the best on the "
                f"{held} validation samples"
            )
        model.notes["pellucid"] = __version__
        return model

    def save(self, model: Model) -> None:
        """Save the model where it was asked for; if that fails it is saved elsewhere, and a `DataError` says where."""
        try:
            model.save(self.model_path)
            return
        except OSError as error:
            why = error.strerror or str(error)
        told = f"{self.model_path} could not be written ({why})"
        name = f"{self.model_path.stem}.{os.getpid()}{self.model_path.suffix}"
        for folder in (Path.cwd(), Path(tempfile.gettempdir()), Path.home()):
            try:
                model.save(folder / name)
            except OSError:
                continue
            raise DataError(f"{told}; the trained model is in {folder / name} instead")
        raise DataError(f"{told}, nor could any file in the current folder, {tempfile.gettempdir()} or {Path.home()}; "
                        "the trained model is lost")  # fmt: skip

    def keep(self, model: Model) -> None:
        """Save the model, and draw its learning curves; without matplotlib, say how to get it. Dump what was asked."""
        self.save(model)
        self.say(f"model saved in {self.model_path}")
        if self.dump_folder is not None:
            asked = self.batch_size
            model.dump(self.dump_folder, asked if isinstance(asked, int) else self.recipe.batch_size)
            self.say(f"program, plan and machine code written to {self.dump_folder}")
        if self.plot_path is None:
            return
        try:
            with files.whole(self.plot_path) as part:
                model.history.plot(str(part))
        except ImportError as error:
            self.say(f"no picture of the learning curves: {error}", err=True)
        else:
            self.say(f"learning curves drawn in {self.plot_path}")
