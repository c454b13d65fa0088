"""The fitted transformers in the model's file, as JSON of their attributes: numbers, text and arrays, never pickle."""

from __future__ import annotations

import functools
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from . import replay
from .columns import Columns
from .preprocessing import PARTS, FittedPreprocessing
from .target import Target

if TYPE_CHECKING:
    from ..train import Model

BLOB = "preprocessing"
MODULES: dict[str, tuple[str, ...]] = {
    "sklearn.preprocessing": ("StandardScaler", "MinMaxScaler", "RobustScaler", "OneHotEncoder", "OrdinalEncoder"),
    "sklearn.impute": ("SimpleImputer", "KNNImputer", "MissingIndicator"),
    "sklearn.feature_extraction.text": ("TfidfTransformer", "TfidfVectorizer"),
    "sklearn.pipeline": ("Pipeline",),
    f"{__package__}.transformers": ("OutlierClipper", "BinaryEncoder", "DateFeatures", "BagOfWords", "PieceScaler"),
}
CLASS = re.compile(r'"class":\s*"(\w+)"')  # in JSON: in a text of the user's the quotes would be escaped
MOST = 1 << 28  # bytes of JSON: more than any table's transformers, less than what a damaged file may claim


def keep_in(model: Model, preprocessing: FittedPreprocessing, target: Target) -> None:
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


def restore(model: Model) -> tuple[FittedPreprocessing, Target]:
    """The transformers and the target that `keep_in` put into a model.

    Raises `DataError` where there are none, where they are damaged, or where they hold types that are not ours.
    """
    if BLOB not in model.blobs:
        raise DataError("the model was not trained on a table: it holds no preprocessing")
    try:
        steps = _steps(model.blobs[BLOB].tobytes())
        used = {kind: tuple(model.notes["columns"].get(kind, ())) for kind in PARTS}
        columns = Columns(**used, left_out=model.notes["left_out"])
        found = FittedPreprocessing(columns, steps), _target(model.notes["target"])
        genuine = steps.keys() == {k for k in PARTS if used[k]} and all(
            known_class(step) == "Pipeline"
            and all(known_class(part) in PARTS[kind].get(name, ()) for name, part in step.steps)
            and step.n_features_in_ == len(used[kind])
            for kind, step in steps.items()
        )
    except Exception as error:  # a damaged or foreign file may fail anywhere in there
        raise DataError(f"the model's preprocessing is damaged or not Pellucid's ({error})") from None
    if not genuine:
        raise DataError("the model's preprocessing is not Pellucid's: it holds other transformers or columns")
    return found


@functools.cache
def classes() -> dict[str, type]:
    """The transformers that a model may have, and those inside of them: scikit-learn's own, and ours on its classes."""
    import importlib

    return {name: getattr(importlib.import_module(m), name) for m, names in MODULES.items() for name in names}


def _steps(blob: bytes) -> Any:
    """The fitted pipelines by kind of column."""
    if blob[:2] == b"PK":  # models of earlier versions, by skops, whose import is slow
        import skops.io

        ours = [f"{cls.__module__}.{name}" for name, cls in classes().items() if cls.__module__.startswith("pellucid")]
        return skops.io.loads(blob, trusted=["numpy.dtype", *ours])
    unpacking = zlib.decompressobj()
    text = unpacking.decompress(blob, MOST)
    if not unpacking.eof:
        raise ValueError("it is cut short, or too large")
    found = text.decode()
    known = set(CLASS.findall(found)) <= replay.CLASSES.keys()
    return read(json.loads(found), replay.CLASSES if known else classes())


def known_class(value: Any) -> str:
    """The class of a transformer that a model may have, scikit-learn's or its replay; "" for any other."""
    name = type(value).__name__
    if replay.CLASSES.get(name) is type(value):
        return name
    return name if name in chain(*MODULES.values()) and classes()[name] is type(value) else ""


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
    if not (name := known_class(value)):
        raise TypeError(f"a {type(value).__name__} cannot be kept in a model")
    return {"class": name, "attributes": written(vars(value))}


def read(value: Any, among: Mapping[str, type] | None = None) -> Any:
    """What `written` wrote; only classes of those are made (of `classes`), and nothing is called but to make arrays."""
    if isinstance(value, list):
        return [read(v, among) for v in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        dtype = np.dtype(value["array"])
        entries = [read(v, among) for v in value["values"]] if dtype.kind == "O" else value["values"]
        made = np.empty(len(entries), dtype)
        made[:] = entries
        return made.reshape(value["shape"])
    if "scalar" in value:
        return np.dtype(value["scalar"]).type(value["value"])
    if "type" in value or "dtype" in value:
        return np.dtype(value["type"]).type if "type" in value else np.dtype(value["dtype"])
    if "tuple" in value:
        return tuple(read(v, among) for v in value["tuple"])
    if "dict" in value:
        return {read(k, among): read(v, among) for k, v in value["dict"]}
    cls: Any = (classes() if among is None else among)[value["class"]]
    made = cls.__new__(cls)
    vars(made).update(read(value["attributes"], among))
    return made
