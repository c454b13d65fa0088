"""What a person sees while a model trains: nothing, a bar in a terminal, or lines of text."""

from __future__ import annotations

import sys
import time
from typing import Any

from ..errors import ArgumentError


def progress_for(verbose: int, epochs: int, samples: int) -> Silent:
    """verbose 0: silent; 1: a bar in a terminal, elsewhere some 20 lines; 2: one line an epoch."""
    if verbose not in (0, 1, 2):
        raise ArgumentError(f"verbose must be 0, 1 or 2, got {verbose!r}")
    kinds = {0: Silent, 1: Bar if verbose == 1 and draws_bars() else SomeLines, 2: Lines}
    return kinds[verbose](epochs, samples)


def draws_bars() -> bool:
    """Whether a line can be drawn again in place: in a terminal, not in a notebook, a file or a pipe.

    In a notebook rich would need ipywidgets, whose output is not in the saved file.
    """
    if not getattr(sys.stdout, "isatty", bool)():
        return False
    from rich import get_console

    console = get_console()
    return console.is_terminal and not console.is_jupyter and not console.is_dumb_terminal


def shown(logs: dict[str, float]) -> str:
    """Numbers as text.

    >>> shown({"loss": 0.25, "accuracy": 0.97254})
    'loss 0.25  accuracy 0.9725'
    """
    return "  ".join(f"{name} {value:.4g}" for name, value in logs.items())


def paired(logs: dict[str, float]) -> str:
    """Numbers as shorter text: each with that of the validation samples after it.

    >>> paired({"loss": 0.25, "accuracy": 0.97254, "val_loss": 0.5, "val_accuracy": 0.9})
    'loss 0.25 val 0.5  accuracy 0.9725 val 0.9'
    """
    own = {name: value for name, value in logs.items() if not name.startswith("val_")}
    behind = {name: f" val {logs[f'val_{name}']:.4g}" if f"val_{name}" in logs else "" for name in own}
    return "  ".join(f"{name} {value:.4g}{behind[name]}" for name, value in own.items())


class Silent:
    """Says nothing."""

    def __init__(self, epochs: int, samples: int) -> None:
        self.epochs, self.samples = epochs, samples

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *exception: Any) -> None: ...

    def on_resume(self, epochs_done: int) -> None: ...

    def on_step(self, rows_done: int) -> None: ...

    def on_epoch(self, epoch: int, logs: dict[str, float], seconds: float) -> None: ...


class Lines(Silent):
    """One line an epoch."""

    def on_epoch(self, epoch: int, logs: dict[str, Any], seconds: float) -> None:
        print(f"epoch {epoch + 1}/{self.epochs}  {seconds:.2f} s  {shown(logs)}", flush=True)


class SomeLines(Lines):
    """A line after the first epoch, then after every few, so that there are about ``MOST``, and after the last.

    In a long epoch there is a line every ``PATIENCE`` seconds with how much of it is done.
    """

    MOST, PATIENCE = 20, 30.0

    def __init__(self, epochs: int, samples: int) -> None:
        super().__init__(epochs, samples)
        self.every = max(1, -(-epochs // self.MOST))
        self.epoch, self.said = 0, time.monotonic()
        self.unsaid: tuple[int, dict[str, float], float] | None = None  # the last epoch, where it had no line

    def __exit__(self, *exception: object) -> None:
        if self.unsaid is not None:  # where training ended early
            self.say(*self.unsaid)

    def say(self, epoch: int, logs: dict[str, Any], seconds: float) -> None:
        super().on_epoch(epoch, logs, seconds)
        self.unsaid, self.said = None, time.monotonic()

    def on_resume(self, epochs_done: int) -> None:
        self.epoch = epochs_done

    def on_step(self, rows_done: int) -> None:
        if time.monotonic() - self.said > self.PATIENCE:
            self.said = time.monotonic()
            print(f"epoch {self.epoch + 1}/{self.epochs}  {100 * rows_done // self.samples}% done", flush=True)

    def on_epoch(self, epoch: int, logs: dict[str, Any], seconds: float) -> None:
        self.epoch, self.unsaid = epoch + 1, (epoch, dict(logs), seconds)
        if epoch == 0 or (epoch + 1) % self.every == 0 or epoch + 1 == self.epochs:
            self.say(epoch, logs, seconds)


class Bar(Silent):
    """One line for the whole run, drawn at most ten times a second."""

    def __enter__(self) -> Silent:
        from rich import get_console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        epoch, numbers = (TextColumn(f"{{task.fields[{name}]}}") for name in ("epoch", "numbers"))
        left = TimeRemainingColumn(compact=True, elapsed_when_finished=True)
        width = max(4, min(20, get_console().width - 76))  # what the numbers of loss and one metric leave
        self.bar = Progress("epoch", epoch, BarColumn(width), left, numbers, auto_refresh=False)
        self.bar.start()
        self.task = self.bar.add_task("", total=self.epochs * self.samples, epoch=f"0/{self.epochs}", numbers="")
        self.done, self.drawn = 0, 0.0
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.refresh()
        self.bar.stop()

    def on_resume(self, epochs_done: int) -> None:
        self.done = epochs_done * self.samples

    def on_step(self, rows_done: int) -> None:
        now = time.monotonic()
        if now - self.drawn > 0.1:
            self.drawn = now
            self.bar.update(self.task, completed=self.done + rows_done, refresh=True)

    def on_epoch(self, epoch: int, logs: dict[str, Any], seconds: float) -> None:
        self.done = (epoch + 1) * self.samples
        self.bar.update(self.task, completed=self.done, epoch=f"{epoch + 1}/{self.epochs}", numbers=paired(logs))
        self.on_step(0)
