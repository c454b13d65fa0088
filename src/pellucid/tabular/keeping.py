"""The fitted transformers in the model's file, as JSON of their attributes: numbers, text and arrays, never pickle."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.feature_extraction.text import TfidfTransformer, TfidfVectorizer
from sklearn.impute import MissingIndicator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from ..data import DataError
from .columns import Columns
from .preprocessing import PARTS, Preprocessing
from .target import Target

if TYPE_CHECKING:
    from ..train import Model

BLOB = "preprocessing"
STEPS = {step for parts in PARTS.values() for steps in parts.values() for step in steps}
INSIDE = (Pipeline, MissingIndicator, OrdinalEncoder, StandardScaler, TfidfTransformer, TfidfVectorizer)  # what these have in them
CLASSES: dict[str, type] = {cls.__name__: cls for cls in (*STEPS, *INSIDE)}
MOST = 1 << 28  # bytes of JSON: more than any table's transformers, less than what a damaged file may claim


def keep_in(model: Model, preprocessing: Preprocessing, target: Target) -> None:
    """Put the fitted transformers and the description of columns and target into a model, to be saved with it."""
    text = json.dumps(written(preprocessing.steps), separators=(",", ":"))
    model.blobs[BLOB] = np.frombuffer(zlib.compress(text.encode()), np.uint8)
    model.notes |= {
        "kind": "table",
        "task": target.task,
        "class_names": list(target.class_names),
        "target": asdict(target),
        "columns": {kind: list(getattr(preprocessing.columns, kind)) for kind in PARTS},
        "left_out": preprocessing.columns.left_out,
    }


def restore(model: Model) -> tuple[Preprocessing, Target]:
    """The transformers and the target that `keep_in` put into a model.

    Raises `DataError` where there are none, where they are damaged, or where they hold types that are not ours.
    """
    if BLOB not in model.blobs:
        raise DataError("the model was not trained on a table: it holds no preprocessing")
    try:
        steps = _steps(model.blobs[BLOB].tobytes())
        used = {kind: tuple(model.notes["columns"].get(kind, ())) for kind in PARTS}
        columns = Columns(**used, left_out=model.notes["left_out"])
        found = Preprocessing(columns, steps), _target(model.notes["target"])
        genuine = steps.keys() == {k for k in PARTS if used[k]} and all(
            type(step) is Pipeline
            and all(type(part) in PARTS[kind].get(name, ()) for name, part in step.steps)
            and step.n_features_in_ == len(used[kind])
            for kind, step in steps.items()
        )
    except Exception as error:  # a damaged or foreign file may fail anywhere in there
        raise DataError(f"the model's preprocessing is damaged or not Pellucid's ({error})") from None
    if not genuine:
        raise DataError("the model's preprocessing is not Pellucid's: it holds other transformers or columns")
    return found


def _steps(blob: bytes) -> Any:
    """The fitted pipelines by kind of column."""
    if blob[:2] == b"PK":  # models of earlier versions, by skops, whose import is slow
        import skops.io

        ours = [f"{cls.__module__}.{cls.__qualname__}" for cls in STEPS if cls.__module__.startswith("pellucid")]
        return skops.io.loads(blob, trusted=["numpy.dtype", *ours])
    unpacking = zlib.decompressobj()
    text = unpacking.decompress(blob, MOST)
    if not unpacking.eof:
        raise ValueError("it is cut short, or too large")
    return read(json.loads(text))


def _target(noted: dict) -> Target:
    lists = {name: tuple(noted.get(name, ())) for name in ("class_names", "class_values")}
    return Target(**noted | lists)


def written(value: Any) -> Any:
    """Attributes of a fitted transformer as JSON has them; what is no number, text or list says what it is.

    >>> written((1, np.array([0.5]), np.float64))
    {'tuple': [1, {'array': '<f8', 'shape': [1], 'values': [0.5]}, {'type': '<f8'}]}
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray):
        values = value.ravel().tolist()
        entries = [written(v) for v in values] if value.dtype.kind == "O" else values
        return {"array": value.dtype.str, "shape": list(value.shape), "values": entries}
    if isinstance(value, np.generic):
        return {"scalar": value.dtype.str, "value": value.item()}
    if isinstance(value, (type, np.dtype)):
        return {"type" if isinstance(value, type) else "dtype": np.dtype(value).str}
    if isinstance(value, list):
        return [written(v) for v in value]
    if isinstance(value, tuple):
        return {"tuple": [written(v) for v in value]}
    if isinstance(value, dict):
        return {"dict": [[written(k), written(v)] for k, v in value.items()]}
    name = type(value).__name__
    if CLASSES.get(name) is not type(value):
        raise TypeError(f"a {name} cannot be kept in a model")
    return {"class": name, "attributes": written(vars(value))}


def read(value: Any) -> Any:
    """What `written` wrote; only classes on the list are made, and nothing is called but to make arrays."""
    if isinstance(value, list):
        return [read(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        dtype = np.dtype(value["array"])
        entries = [read(v) for v in value["values"]] if dtype.kind == "O" else value["values"]
        made = np.empty(len(entries), dtype)
        made[:] = entries
        return made.reshape(value["shape"])
    if "scalar" in value:
        return np.dtype(value["scalar"]).type(value["value"])
    if "type" in value or "dtype" in value:
        return np.dtype(value["type"]).type if "type" in value else np.dtype(value["dtype"])
    if "tuple" in value:
        return tuple(read(v) for v in value["tuple"])
    if "dict" in value:
        return {read(k): read(v) for k, v in value["dict"]}
    cls: Any = CLASSES[value["class"]]
    made = cls.__new__(cls)
    vars(made).update(read(value["attributes"]))
    return made
