"""One file for a model: safetensors, with architecture, options and history as JSON in its metadata. Never pickle.

A file has a digest of all that it holds, arrays and description; `read` refuses one whose content is not what was
written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import executors
from ..data import DataError
from ..graph import GraphError, Shape
from ..nn.penalties import PENALTY
from ..optim import AVERAGE, LBFGS, slot_name
from ..reprs import spelled_out
from ..version import __version__
from .arrays import Spec
from .codec import UnknownCode, decode, encode, fits
from .history import History
from .penalised import first_strengths
from .programs import optimizer_state
from .sharing import kept
from .whole import check_memory

if TYPE_CHECKING:
    from .model import Model

FORMAT = 2  # 1: a digest in checkpoints alone, and several entries of metadata, one of which was "format"
FIRST_FORMAT = "pellucid-1"
DIGEST = '{"digest": "%s", '  # how the description begins, and what is not in the digest


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
    """The model that `describe` described, as yet without state."""
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
        model._trace(_specs(d["inputs"], d["how"], model.dtype), d["how"])
    lengths = {len(c) for c in d["history"].values()} if fits(d["history"], dict[str, list[float]]) else ()
    good = {"history": len(lengths) == (len(d["history"]) > 0), "epochs": fits(d["epochs"], int) and d["epochs"] >= 0}
    good |= {"notes": fits(d["notes"], dict[str, Any]), "columns": fits(d.get("columns", {}), dict[str, list[str]])}
    for name, right in good.items():
        if not right:
            raise DataError(f"{name} cannot be {str(d[name])[:200]}")
    model.columns = {k: tuple(names) for k, names in d.get("columns", {}).items()}
    model.history, model.epochs, model.notes = History(d["history"]), d["epochs"], d["notes"]
    return model


HOW = {"one": "x", "tuple": "x.", "named": "x."}  # how a net is called, and how its inputs' names begin


def _specs(inputs: Any, how: Any, dtype: str) -> dict[str, Spec]:
    """Shapes and dtypes of the inputs, as a file has them."""
    good = fits(how, str) and how in HOW and fits(inputs, dict[str, list])
    good = good and all(fits(i, tuple[list[int], str]) and min(i[0], default=0) >= 0 for i in inputs.values())
    good = good and all(d in (dtype, "int32", "uint8") for _, d in inputs.values())
    good = good and all(name.startswith(HOW[how]) for name in inputs) and (how != "one" or list(inputs) == ["x"])
    if not good or not inputs:
        raise DataError(f"the inputs cannot be {inputs!r}, for a net called with {how!r}")
    return {name: Spec(tuple(shape), dtype) for name, (shape, dtype) in inputs.items()}


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
    check_state(model, model.state)
    constants: dict[str, np.ndarray] = {}
    described = describe(model, constants)
    write(Path(path), tensors_of(model, constants), described)


def tensors_of(model: Model, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All arrays of a model's file: state, blobs, and those that its description speaks of."""
    return {f"state.{k}": v for k, v in model.state.items()} | arrays | {f"blob.{k}": v for k, v in model.blobs.items()}


LEFT = ("optimizer.", f"{PENALTY}.")  # what another optimizer or penalty left is of no effect


def check_state(model: Model, state: Mapping[str, np.ndarray]) -> None:
    """`GraphError` unless these are all weights of a net, finite, and what its optimizer remembers, of their types."""
    traced = model._built()
    needed = {name: (p.value.shape, p.value.dtype) for name, p in traced.parameters.items()}
    needed |= {name: (a.shape, str(a.dtype)) for name, a in first_strengths(model).items()}
    known = _of_training(model) | needed
    for name, (shape, _) in needed.items():
        if name not in state:
            raise GraphError(f"there is no parameter {name!r} of shape {shape}")
    for name, a in state.items():
        if name not in known and not name.startswith(LEFT):
            raise GraphError(f"the net has no parameter {name!r}")
        shape, dtype = known.get(name, (a.shape, str(a.dtype)))
        if (a.shape, str(a.dtype)) != (shape, dtype):
            raise GraphError(f"{name!r} is {a.dtype} of shape {a.shape}, expected {dtype} of shape {shape}")
    if isinstance(model.optimizer, LBFGS):
        check_memory(state, sum(p.value.size for p in traced.parameters.values() if p.trainable))
    for name in traced.parameters:
        own = [slot for kind in model.optimizer.slot_names if (slot := slot_name(kind, name)) in known]
        if 0 < (there := sum(slot in state for slot in own)) < len(own):
            raise GraphError(f"{next(slot for slot in own if slot not in state)!r} is missing, though {there} of the "
                             f"{len(own)} arrays that the optimizer keeps of {name!r} are there")  # fmt: skip
    must_be_finite(model, state)


def _of_training(model: Model) -> dict[str, tuple[Shape, str]]:
    """Shape and dtype of what training keeps of a net besides its weights, by name."""
    optimizer, dtype = model.optimizer, model.dtype
    one = kept(("optimizer", type(optimizer), spelled_out(optimizer), dtype), lambda: optimizer_state(optimizer, dtype))
    trained = [p.value for p in model._built().parameters.values() if p.trainable]
    found: dict[str, tuple[Shape, str]] = {"random.key": ((2,), "uint32")}
    for name, v in one.items():
        if name.endswith(".*"):
            found |= {f"{name[:-1]}{p.name}": (p.shape if v.shape else (), v.dtype) for p in trained}
        else:
            found[name] = v.shape, v.dtype
    return found


class NotFiniteError(GraphError):
    """A weight is NaN or infinite, so that the model is not written."""


def must_be_finite(model: Model, state: Mapping[str, np.ndarray]) -> None:
    """`NotFiniteError` that names the first weight with NaN or infinity in it, and where."""
    average = slot_name(AVERAGE, "")
    for name in model._built().parameters:
        for own in (name, f"{average}{name}"):
            if own in state and not (good := np.isfinite(state[own])).all():
                place = tuple(int(i) for i in np.argwhere(~good)[0])
                raise NotFiniteError(f"parameter {own!r} has NaN or infinity in {good.size - good.sum()} of "
                                     f"{good.size} numbers: {state[own][place]} at {place} first")  # fmt: skip


def write(path: Path, tensors: dict[str, np.ndarray], description: dict[str, Any]) -> None:
    """Make a file of arrays and a description, which is there whole or not at all, even if the power fails in between.

    Equal ones give the same bytes. An `OSError` names the file.
    """
    from safetensors.numpy import save as as_bytes

    tensors = {name: plain(a) for name, a in tensors.items()}
    try:
        text = json.dumps({"format": FORMAT, "version": __version__} | description)[1:]
    except (TypeError, ValueError) as error:
        raise GraphError(f"cannot save the model: its history or notes are not JSON ({error})") from error
    text = DIGEST % digest(tensors, text, hashlib.sha256()) + text
    data = as_bytes(tensors, {"pellucid": text})  # one entry: several would be in random order
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise type(error)(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    if os.name == "posix":  # the name in the folder, too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def plain(a: np.ndarray) -> np.ndarray:
    """An array as safetensors takes it: its numbers one after the other, in the machine's byte order."""
    return np.asarray(a, a.dtype.newbyteorder("="), order="C")


def digest(tensors: Mapping[str, np.ndarray], text: str, found: Any) -> str:
    """The fingerprint of all that a file holds, by one of hashlib's."""
    found.update(text.encode())
    for name, a in sorted(tensors.items()):
        found.update(f"{name} {a.dtype} {a.shape}".encode())
        found.update(np.ascontiguousarray(a).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def load(
    path: Any, custom_objects: dict[str, Any] | None = None, executor: str | None = None, threads: int | None = None
) -> Model:
    """A model from the file that `Model.save` wrote: it predicts bit for bit the same, and goes on training.

    ``custom_objects`` gives user-made layers and functions by name; those in modules that are already imported are
    found by themselves. ``executor`` and ``threads`` are as in `Model`. Raises `DataError` for a file that is not a
    Pellucid model, is cut short or damaged, or whose weights do not fit its net.
    """
    path, computing = Path(path), executors.get(executor).__name__.rpartition(".")[2]  # an unknown one is no damage
    tensors, d = read(path)
    if "unsaved" in d:
        raise DataError(f"{str(path)!r} is a checkpoint of a net that cannot be saved ({d['unsaved']}); it serves "
                        "fit(..., resume=True) alone")  # fmt: skip
    with damage(path, d.get("version")):
        model = revive(d, tensors, custom_objects or {}, computing, executors.as_threads(threads))
        state = {k[6:]: a for k, a in tensors.items() if k.startswith("state.")}
        check_state(model, state)
    model.state = state
    model.blobs = {k[5:]: v for k, v in tensors.items() if k.startswith("blob.")}
    return model


@contextlib.contextmanager
def damage(path: Path, version: Any = None) -> Iterator[None]:
    """Whatever goes wrong within, in making something of a file's content, is a `DataError` that names the file."""
    try:
        yield
    except UnknownCode as error:
        raise UnknownCode(f"{str(path)!r}: {error}") from None
    except Exception as error:  # whatever a reader, or a layer made from the file, raises
        what = str(error) if isinstance(error, (DataError, GraphError)) else repr(error)
        by = "" if version in (None, __version__) else f"; Pellucid {version} wrote it, this is {__version__}"
        raise DataError(f"{str(path)!r} is damaged, or not of this version: {what}{by}") from error


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays and the description of a file that `write` made; `DataError` for any other, or a changed bit."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise DataError(f"there is no model file {str(path)!r}" + (" (it is a folder)" if path.is_dir() else ""))
    try:
        with safe_open(path, framework="numpy") as file:
            texts = file.metadata() or {}
            old = texts.get("format") == FIRST_FORMAT
            if not old and list(texts) != ["pellucid"]:
                raise DataError(f"{str(path)!r} is a safetensors file, but not a Pellucid model: its format is "
                                f"{texts.get('format')!r}")  # fmt: skip
            with damage(path):  # get_tensor knows less types than the format
                tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise DataError(f"{str(path)!r} is not a Pellucid model, or is cut short or damaged ({error})") from None
    with damage(path):
        description = _first_format(path, texts, tensors) if old else _checked(path, texts["pellucid"], tensors)
        if not isinstance(description, dict):
            raise DataError("it has no description")
    return tensors, description


def _checked(path: Path, text: str, tensors: dict[str, np.ndarray]) -> Any:
    """The description, if the digest in it is that of the file."""
    start = len(DIGEST % ("0" * 64))
    if text[:start] != DIGEST % digest(tensors, text[start:], hashlib.sha256()):
        raise DataError("its content is not what was written")
    description = json.loads(text)
    if description["format"] != FORMAT:
        raise DataError(f"its format is {description['format']}, and {FORMAT} is known here; Pellucid "
                        f"{description.get('version')} wrote it: a newer one can read it")  # fmt: skip
    return description


def _first_format(path: Path, texts: dict[str, str], tensors: dict[str, np.ndarray]) -> Any:
    """The description in a file of the first format, which had a digest only if it was a checkpoint."""
    own = {name: texts[name] for name in ("pellucid", "checkpoint") if name in texts}
    if "checkpoint" in own:
        found = digest(tensors, json.dumps(sorted(own.items())), hashlib.blake2b(digest_size=16))
        if texts.get("digest") != found:
            raise DataError("its content is not what was written")
    description = json.loads(texts["pellucid"])
    return description | ({"checkpoint": json.loads(own["checkpoint"])} if "checkpoint" in own else {})
