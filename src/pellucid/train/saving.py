"""One file for a model: safetensors, with architecture, options and history as JSON in its metadata. Never pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import DataError
from ..graph import GraphError
from .arrays import Spec
from .codec import decode, encode
from .history import History

if TYPE_CHECKING:
    from .model import Model

FORMAT = "pellucid-1"


def describe(model: Model, constants: dict[str, np.ndarray], custom: dict[str, Any] | None = None) -> dict[str, Any]:
    """All of a model but its arrays, as JSON; arrays of its net go into ``constants``, user code into ``custom``."""
    built = model.traced is not None
    return {
        "net": encode(model.net, constants, None, custom),
        "loss": encode(model.loss, constants, None, custom),
        "optimizer": encode(model.optimizer, constants, None, custom),
        "metrics": [encode(m, constants, None, custom) for m in model.metric_names],
        "regularizer": encode(model.regularizer, constants, None, custom),
        "constraint": encode(model.constraint, constants, None, custom),
        "seed": model.seed,
        "dtype": model.dtype,
        "how": model.how if built else None,
        "inputs": {k: [list(s.shape), s.dtype] for k, s in model.specs.items()} if built else None,
        "columns": {k: list(names) for k, names in model.columns.items()},
        "epochs": model.epochs,
        "history": model.history.columns,
        "notes": model.notes,
    }


def revive(
    d: dict[str, Any],
    tensors: Mapping[str, np.ndarray],
    custom: Mapping[str, Any],
    executor: str | None,
    threads: int | None,
) -> Model:
    """The model that `describe` described, with first weights if it had weights."""
    from .model import Model

    seen: list = []
    model = Model(
        decode(d["net"], tensors, custom, seen),
        decode(d["loss"], tensors, custom),
        decode(d["optimizer"], tensors, custom),
        [decode(m, tensors, custom) for m in d["metrics"]],
        d["seed"],
        d["dtype"],
        executor,
        threads=threads,
        regularizer=decode(d.get("regularizer"), tensors, custom),
        constraint=decode(d.get("constraint"), tensors, custom),
    )
    if d["inputs"] is not None:
        model._build({k: Spec(tuple(shape), dtype) for k, (shape, dtype) in d["inputs"].items()}, d["how"])
    model.columns = {k: tuple(names) for k, names in d.get("columns", {}).items()}
    model.history, model.epochs, model.notes = History(d["history"]), d["epochs"], d["notes"]
    return model


def parts(model: Model) -> tuple:
    """What a pickle holds of a model: names for Pellucid's own code, and pickles of the user's."""
    constants: dict[str, np.ndarray] = {}
    custom: dict[str, Any] = {}
    described = describe(model, constants, custom)
    executor = model.executor.__name__.rpartition(".")[2]
    return described, constants, custom, executor, model.threads, model.state, model.blobs


def from_parts(described, constants, custom, executor, threads, state, blobs) -> Model:
    """The model that `parts` took apart."""
    model = revive(described, constants, custom, executor, threads)
    model.state, model.blobs = state, blobs
    return model


def save(model: Model, path: Any) -> None:
    """Write a model; the file appears whole or not at all."""
    model._built()
    constants: dict[str, np.ndarray] = {}
    described = describe(model, constants)
    write(Path(path), tensors_of(model, constants), {"pellucid": json.dumps(described)})


def tensors_of(model: Model, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All arrays of a model's file: state, blobs, and those that its description speaks of."""
    state = {f"state.{k}": np.array(v, order="C") for k, v in model.state.items()}
    return state | arrays | {f"blob.{k}": v for k, v in model.blobs.items()}


def write(path: Path, tensors: dict[str, np.ndarray], texts: dict[str, str]) -> None:
    """Make a file of arrays and texts, which is there whole or not at all, even if the power fails in between."""
    from safetensors.numpy import save as as_bytes

    data = as_bytes(tensors, {"format": FORMAT} | texts)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    if os.name == "posix":  # the name in the folder, too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def load(
    path: Any, custom_objects: dict[str, Any] | None = None, executor: str | None = None, threads: int | None = None
) -> Model:
    """A model from the file that `Model.save` wrote: it predicts bit for bit the same, and goes on training.

    ``custom_objects`` gives user-made layers and functions by name; those in modules that are already imported are
    found by themselves. ``executor`` and ``threads`` are as in `Model`. Raises `DataError` for a file that is not a
    Pellucid model, is cut short or damaged.
    """
    path = Path(path)
    tensors, texts = read(path)
    try:
        d = json.loads(texts["pellucid"])
        if "unsaved" in d:
            raise DataError(f"{str(path)!r} is a checkpoint of a net that cannot be saved ({d['unsaved']}); it serves "
                            "fit(..., resume=True) alone")  # fmt: skip
        model = revive(d, tensors, custom_objects or {}, executor, threads)
    except (KeyError, IndexError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise DataError(f"{str(path)!r} is damaged: its description cannot be read ({error!r})") from None
    state = {k[6:]: np.array(v) for k, v in tensors.items() if k.startswith("state.")}
    for name, p in model._built().parameters.items():
        if name not in state or state[name].shape != p.value.shape:
            raise GraphError(f"{str(path)!r} has no parameter {name!r} of shape {p.value.shape}")
    model.state = state
    model.blobs = {k[5:]: v for k, v in tensors.items() if k.startswith("blob.")}
    return model


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and texts of a file that `write` made; `DataError` for any other."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise DataError(f"there is no model file {str(path)!r}" + (" (it is a folder)" if path.is_dir() else ""))
    try:
        with safe_open(path, framework="numpy") as file:
            texts = file.metadata() or {}
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(f"{str(path)!r} is not a Pellucid model, or is cut short or damaged ({error})") from None
    if texts.get("format") != FORMAT:
        raise DataError(f"{str(path)!r} is a safetensors file, but not a Pellucid model: its format is "
                        f"{texts.get('format')!r}, expected {FORMAT!r}")  # fmt: skip
    return tensors, texts
