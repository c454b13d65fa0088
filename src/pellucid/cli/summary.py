"""``pellucid summary``: what a saved model is. Imports click at the top."""

from __future__ import annotations

from collections.abc import Iterator

import click

from . import completion, options


@click.command("summary", short_help="Print a model's layers and what it was trained for.")
@click.argument("model_file", metavar="MODEL", shell_complete=completion.FILE)
@options.debug
def command(model_file) -> None:
    """Print a model's layers, output shapes and numbers of parameters; its loss, training and classes.

    \b
    Example:
      pellucid summary digits.pel
    """
    from ..train.summary import kind, summary_text
    from .notes import load
    from .text import vocabulary_of

    model = load(model_file)
    click.echo(summary_text(model))
    notes, history = model.notes, model.history
    lines = [
        ("loss", kind(model.loss)),
        ("optimizer", str(model.optimizer)),
        ("numbers", f"{model.dtype}, seed {model.seed}"),
    ]
    if history.epochs:
        lines.append(
            ("trained", f"{model.epochs} epochs; the last: " + ", ".join(f"{k} {history[k][-1]:.4g}" for k in history))
        )
    if notes.get("kind") == "table":
        target = notes["target"]
        lines.append(("target", f"{target['name']} ({target['task']}, because {target['reason']})"))
        lines += [(name, ", ".join(names)) for name, names in notes["columns"].items() if names]
        if read := notes.get("reading"):
            lines.append(("read with", " ".join(_as_options(read))))
        lines += [("left out", f"{name}, {reason}") for name, reason in notes["left_out"].items()]
    elif notes.get("kind") == "series":
        from ..sklearn import restore

        own, net = notes["series"], restore(model)
        lines.append(
            ("data", f"{notes['source']}, a series of {own['target']!r}" + f" by {own['date']!r}" * bool(own["date"]))
        )
        ahead = f"the next {net.horizon}" if net.horizon > 1 else "the next value"
        lines.append(("forecasts", f"{ahead} from the last {net.window}"))
    elif notes.get("kind") == "pixels":
        channels, height, width = notes["image"]
        lines.append(
            (
                "data",
                f"{notes['source']}, pictures of {height} x {width} pixels, {channels} channel{'s' * (channels > 1)}",
            )
        )
    elif notes.get("kind") == "text":
        known = sorted(vocabulary_of(model, model_file).tokens)
        lines.append(("data", f"{notes['source']}, a text of {len(known)} different characters"))
        lines.append(("characters", repr("".join(known))))
    if notes.get("class_names"):
        lines.append(("classes", ", ".join(notes["class_names"])))
    if notes.get("test"):
        lines.append(("test", ", ".join(f"{name} {value:.4f}" for name, value in notes["test"].items())))
    width = max(len(name) for name, _ in lines)
    click.echo()
    for name, text in lines:
        click.echo(f"{name:<{width}}  {text}")


def _as_options(reading: dict) -> Iterator[str]:
    """How a table's file is read, as on the command line."""
    for name, value in reading.items():
        if name == "dates":
            value = [f"{column}={form}" if form else column for column, form in value.items()]
        option = f"--{name.replace('_', '-')}"
        words = [] if isinstance(value, bool) else [value] if isinstance(value, str) else value
        yield from (f"{option} {word}" for word in words) if words else (option,)
