"""What commands keep in a model's notes, checked where a model is loaded: notes are read from a file too.

Imports the package's face and the codec's types.
"""

from __future__ import annotations

import math
from typing import Any

from .. import Model
from .. import load as load_model
from ..errors import DataError
from ..train.serialization import fits

TYPES: dict[str, Any] = {
    "source": str,
    "task": str,
    "image": tuple[int, int, int],
    "scale": float,
    "class_names": list[str],
    "sha256": str,
    "test": dict[str, float],
    "vocabulary": dict[str, Any],
    "target": dict[str, Any],
    "columns": dict[str, list[str]],
    "left_out": dict[str, str],
    "series": dict[str, str | int],
    "reading": dict[str, str | bool | list[str] | dict[str, str]],
}
NEEDED = {
    "pixels": ("source", "image", "scale", "class_names"),
    "text": ("source", "vocabulary"),
    "series": ("source", "series"),
    "table": ("target", "columns", "left_out", "class_names"),
}
TARGET = ("name", "task", "reason")
SERIES = {"target", "date", "season"}
READING = {"sep", "no_header", "no_quotes", "dates", "missing", "decimal", "thousands"}


def load(path: str, **options: Any) -> Model:
    """A model from a file, with notes that commands can use; `DataError` where theirs are damaged.

    Of a model that no command made, notes that mean something else there are left out.
    """
    model = load_model(path, **options)
    notes, kind = model.notes, model.notes.get("kind")
    unfit = [name for name, value in notes.items() if name in TYPES and not fits(value, TYPES[name])]
    if not isinstance(kind, str) or kind not in NEEDED:
        model.notes = {name: value for name, value in notes.items() if name not in unfit}
        return model
    unfit += [name for name in NEEDED[kind] if name not in notes]
    if not unfit:
        unfit = _without_meaning(model)
    if unfit:
        value = repr(notes[unfit[0]])[:100] if unfit[0] in notes else "missing"
        raise DataError(f"{path}: the model's notes are damaged, or of another version: {unfit[0]!r} is {value}")
    return model


def _without_meaning(model: Model) -> list[str]:
    """Of notes that have the right types, those that do not fit the net, or each other."""
    notes, outputs = model.notes, model.network.built().output.shape[-1:]
    unfit = []
    if notes.get("class_names") and (len(notes["class_names"]),) != outputs:
        unfit.append("class_names")
    sizes = [math.prod(s.shape) for s in model.specs.values()]
    if "image" in notes and (min(notes["image"]) < 1 or [math.prod(notes["image"])] != sizes):
        unfit.append("image")
    if "scale" in notes and not 0 < notes["scale"] < float("inf"):
        unfit.append("scale")
    if "target" in notes and not all(isinstance(notes["target"].get(name), str) for name in TARGET):
        unfit.append("target")
    if "series" in notes and not notes["series"].keys() >= SERIES:
        unfit.append("series")
    reading = notes.get("reading", {})
    if not reading.keys() <= READING or not isinstance(reading.get("dates", {}), dict):
        unfit.append("reading")
    return unfit
