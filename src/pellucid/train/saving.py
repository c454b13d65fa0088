"""A model as a description and arrays, and back: architecture, options and history as JSON. Never pickle."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import executors
from ..data import DataError
from ..graph import GraphError, Shape
from ..nn.outputs import as_losses
from ..nn.penalties import PENALTY
from ..optim import AVERAGE, LBFGS, as_optimizer, slot_name
from ..reprs import spelled_out
from ..version import __version__
from .arrays import Spec
from .container import damage, read, write, written_by
from .finite import is_finite
from .history import History
from .lbfgs import check_memory
from .penalties import first_strengths
from .program_cache import kept
from .programs import optimizer_state
from .remarks import remark
from .serialization import UnknownCode, UnknownName, Unread, decode, encode, fits

if TYPE_CHECKING:
    from .model import Model

log = logging.getLogger(__name__)


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


_model_class: list[type[Model]] = []  # `Model`, whose file imports this one


def register(cls: type[Model]) -> None:
    """Let files be read as models of this class."""
    _model_class[:] = [cls]


def revive(
    d: dict[str, Any],
    tensors: Mapping[str, np.ndarray],
    custom: Mapping[str, Any],
    executor: str | None,
    threads: int | None,
    loss: Any = None,
    optimizer: Any = None,
) -> Model:
    """The model that `describe` described, as yet without state; ``loss`` and ``optimizer`` instead of its own."""
    seen: list = []
    net = decode(d["net"], tensors, custom, seen)
    found = _optimizer(d, tensors, custom) if optimizer is None else optimizer
    model = _model_class[0](
        net,
        _loss(d, tensors, custom) if loss is None else loss,
        "sgd" if isinstance(found, Unread) else found,
        _metrics(d, tensors, custom),
        d["seed"],
        d["dtype"],
        executor,
        threads=threads,
        regularizer=decode(d.get("regularizer"), tensors, custom),
        constraint=decode(d.get("constraint"), tensors, custom),
    )
    if isinstance(found, Unread):
        model.optimizer = found  # type: ignore[assignment]  # which says why where it is used
    if d["inputs"] is not None:
        model.programs.trace(_specs(d["inputs"], d["how"], model.dtype), d["how"])
    lengths = {len(c) for c in d["history"].values()} if fits(d["history"], dict[str, list[float]]) else ()
    good = {"history": len(lengths) == (len(d["history"]) > 0), "epochs": fits(d["epochs"], int) and d["epochs"] >= 0}
    good |= {"notes": fits(d["notes"], dict[str, Any]), "columns": fits(d.get("columns", {}), dict[str, list[str]])}
    for name, right in good.items():
        if not right:
            raise DataError(f"{name} cannot be {str(d[name])[:200]}")
    model.columns = {k: tuple(names) for k, names in d.get("columns", {}).items()}
    model.history, model.epochs, model.notes = History(d["history"]), d["epochs"], d["notes"]
    return model


def _optimizer(d: dict[str, Any], tensors: Mapping[str, np.ndarray], custom: Mapping[str, Any]) -> Any:
    """The optimizer; one that is not known here is kept as it is in the file: `predict` needs none."""
    try:
        return decode(d["optimizer"], tensors, custom)
    except (UnknownName, UnknownCode) as error:
        who = f" ({written_by(d['version'])})" if isinstance(error, UnknownName) and "version" in d else ""
        why = (f"the model's optimizer cannot be used: {error}{who}. To train it give another, "
               "pellucid.load(path, optimizer='adam')")  # fmt: skip
        remark(f"{why}; to predict and evaluate, none is needed")
        return Unread(d["optimizer"], why)


def _loss(d: dict[str, Any], tensors: Mapping[str, np.ndarray], custom: Mapping[str, Any]) -> Any:
    """The loss; without it nobody knows what the net's outputs are to be made of, so that it must be known."""
    try:
        return decode(d["loss"], tensors, custom)
    except UnknownName as error:
        raise UnknownName(f"{error}, which is the model's loss. Its link makes predictions of the net's outputs: give "
                          "one with the same link, pellucid.load(path, loss='cross_entropy') for probabilities of "
                          "classes, loss='mse' for the outputs as they are") from None  # fmt: skip


def _metrics(d: dict[str, Any], tensors: Mapping[str, np.ndarray], custom: Mapping[str, Any]) -> list[Any]:
    """The metrics but those that are not known here."""
    found = []
    for code in d["metrics"]:
        try:
            found.append(decode(code, tensors, custom))
        except UnknownName as error:
            remark(f"a metric of the model is left out: {error}; {written_by(d.get('version', __version__))}")
    return found


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


def from_parts(
    described: dict[str, Any],
    constants: dict[str, np.ndarray],
    custom: dict[str, Any],
    executor: str,
    threads: int | None,
    state: dict[str, np.ndarray],
    blobs: dict[str, np.ndarray],
) -> Model:
    """The model that `parts` took apart."""
    model = revive(described, constants, custom, executor, threads)
    model.state, model.blobs = state, blobs
    return model


def save(model: Model, path: Any) -> None:
    """Write a model; the file appears whole or not at all."""
    model.network.built()
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
    traced = model.network.built()
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
    for name in () if isinstance(model.optimizer, Unread) else traced.parameters:
        own = [slot for kind in model.optimizer.slot_names if (slot := slot_name(kind, name)) in known]
        if 0 < (there := sum(slot in state for slot in own)) < len(own):
            raise GraphError(f"{next(slot for slot in own if slot not in state)!r} is missing, though {there} of the "
                             f"{len(own)} arrays that the optimizer keeps of {name!r} are there")  # fmt: skip
    must_be_finite(model, state)


def _of_training(model: Model) -> dict[str, tuple[Shape, str]]:
    """Shape and dtype of what training keeps of a net besides its weights, by name."""
    optimizer, dtype = model.optimizer, model.dtype
    if isinstance(optimizer, Unread):
        return {"random.key": ((2,), "uint32")}
    one = kept(("optimizer", type(optimizer), spelled_out(optimizer), dtype), lambda: optimizer_state(optimizer, dtype))
    trained = [p.value for p in model.network.built().parameters.values() if p.trainable]
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
    for name in model.network.built().parameters:
        for own in (name, f"{average}{name}"):
            if own in state and not is_finite(state[own]):
                good = np.isfinite(state[own])
                place = tuple(int(i) for i in np.argwhere(~good)[0])
                raise NotFiniteError(f"parameter {own!r} has NaN or infinity in {good.size - good.sum()} of "
                                     f"{good.size} numbers: {state[own][place]} at {place} first")  # fmt: skip


def load(
    path: Any,
    custom_objects: dict[str, Any] | None = None,
    executor: str | None = None,
    threads: int | None = None,
    *,
    loss: Any = None,
    optimizer: Any = None,
) -> Model:
    """A model from the file that `Model.save` wrote: it predicts bit for bit the same, and goes on training.

    ``custom_objects`` gives user-made layers and functions by name; those in modules that are already imported are
    found by themselves. ``executor`` and ``threads`` are as in `Model`. ``loss`` and ``optimizer``: instead of those in
    the file; another optimizer begins anew. Raises `DataError` for a file that is not a Pellucid model, is cut short
    or damaged, or whose weights do not fit its net. An optimizer that this version does not know is a warning, as
    `predict` needs none.
    """
    path, computing = Path(path), executors.get(executor).__name__.rpartition(".")[2]  # an unknown one is no damage
    begun = time.perf_counter()
    tensors, d = read(path)
    if "unsaved" in d:
        raise DataError(f"{str(path)!r} is a checkpoint of a net that cannot be saved ({d['unsaved']}); it serves "
                        "fit(..., resume=True) alone")  # fmt: skip
    others = None if loss is None else as_losses(loss), None if optimizer is None else as_optimizer(optimizer)
    with damage(path, d.get("version")):
        model = revive(d, tensors, custom_objects or {}, computing, executors.as_threads(threads), *others)
        state = {k[6:]: a for k, a in tensors.items() if k.startswith("state.")}
        if optimizer is not None:
            state = {k: a for k, a in state.items() if not k.startswith("optimizer.")}
        check_state(model, state)
    model.state = state
    model.blobs = {k[5:]: v for k, v in tensors.items() if k.startswith("blob.")}
    log.info("loaded %s: %d weights, %.1f ms", path, len(model.traced.parameters) if model.traced else 0,
             1000 * (time.perf_counter() - begun))  # fmt: skip
    return model
