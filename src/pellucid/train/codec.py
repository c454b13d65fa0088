"""A net as JSON and back: layers by class and fields, functions by name. Nothing is executed or imported to read it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Hashable, Mapping
from dataclasses import fields, is_dataclass
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from .. import metrics, nn, ops, optim, schedules
from ..graph import GraphError, Primitive
from ..nn import init
from ..nn.activations import ACTIVATIONS
from ..nn.losses import LOSSES, FunctionLoss

OWN: dict[str, Any] = {
    **{name: getattr(nn, name) for name in nn.__all__ if isinstance(getattr(nn, name), type)},
    **{cls.__name__: cls for cls in (*LOSSES.values(), *optim.OPTIMIZERS.values())},
    "FunctionLoss": FunctionLoss,
    **{f"schedules.{name}": cls for name, cls in schedules.SCHEDULES.items()},
    **{f"ops.{name}": getattr(ops, name) for name in ops.__all__},
    **ACTIVATIONS,
    **{cls.__name__: cls for cls in (metrics.Scored, metrics.MeanOfPrediction)},
    **{f"init.{name}": f for name, f in init.INITIALISERS.items()},
    **{f"zoo.{part.__name__}": part for part in nn.zoo.PARTS},
}
NAME_OF = {v: k for k, v in OWN.items()}


def encode(
    thing: Any, arrays: dict[str, np.ndarray], seen: dict[int, int] | None = None, custom: dict | None = None
) -> Any:
    """JSON for a net, loss, optimizer or plain value; arrays found on the way go into ``arrays``.

    A layer object that stands in two places is written once, so that its parameters stay shared. User code is written
    as a name; a function without one (a lambda) is an error, unless there is a dict ``custom`` that user code goes to.
    """
    seen = {} if seen is None else seen
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return thing
    if isinstance(thing, (np.generic, np.ndarray)):
        if thing.ndim == 0:
            return thing.item()
        name = f"constant.{len(arrays)}"
        arrays[name] = np.ascontiguousarray(thing)
        return {"array": name}
    if isinstance(thing, (tuple, list)):
        return {"tuple" if isinstance(thing, tuple) else "list": [encode(t, arrays, seen, custom) for t in thing]}
    if isinstance(thing, Mapping):
        if not all(isinstance(k, str) for k in thing):
            raise GraphError(f"cannot save {thing!r}: the keys of a dict in a net must be text")
        return {"dict": {k: encode(v, arrays, seen, custom) for k, v in thing.items()}}
    if isinstance(thing, functools.partial):
        return {"partial": encode(thing.func, arrays, seen, custom),
                "args": [encode(a, arrays, seen, custom) for a in thing.args],
                "options": {k: encode(v, arrays, seen, custom) for k, v in thing.keywords.items()}}  # fmt: skip
    if isinstance(thing, Primitive) and thing in NAME_OF:
        return {"name": NAME_OF[thing]}
    if is_dataclass(thing) and not isinstance(thing, type):
        if id(thing) in seen:
            return {"again": seen[id(thing)]}
        seen[id(thing)] = len(seen)
        kept = {f.name: getattr(thing, f.name) for f in fields(thing)}
        return {
            "class": name_of(type(thing), custom),
            "fields": {k: encode(v, arrays, seen, custom) for k, v in kept.items()},
        }
    if callable(thing):
        return {"name": name_of(thing, custom)}
    raise GraphError(f"cannot save {thing!r}: it is neither a layer, a function, a number, text nor an array")


def name_of(thing: Any, custom: dict | None = None) -> str:
    """The name under which `decode` finds a class or function again: our own, or the user's "module:name".

    With a dict ``custom``, the user's goes there, under a number.
    """
    if isinstance(thing, Hashable) and thing in NAME_OF:
        return NAME_OF[thing]
    if custom is not None:
        custom[str(len(custom))] = thing
        return f"custom:{len(custom) - 1}"
    name = getattr(thing, "__qualname__", "")
    if not name or "<" in name:
        raise GraphError(f"cannot save {thing!r}: it has no name that it could be found by. Define it at the top level "
                         "of a module, or use functools.partial on a function that is")  # fmt: skip
    return f"{thing.__module__}:{name}"


def decode(code: Any, arrays: Mapping[str, np.ndarray], custom: Mapping[str, Any], seen: list | None = None) -> Any:
    """What `encode` wrote. User code is taken from ``custom`` by its name, or from modules already imported."""
    seen = [] if seen is None else seen
    if not isinstance(code, dict):
        return code
    if "array" in code:
        return np.array(arrays[code["array"]])
    if "tuple" in code:
        return tuple(decode(c, arrays, custom, seen) for c in code["tuple"])
    if "list" in code:
        return [decode(c, arrays, custom, seen) for c in code["list"]]
    if "dict" in code:
        return {k: decode(v, arrays, custom, seen) for k, v in code["dict"].items()}
    if "partial" in code:
        options = {k: decode(v, arrays, custom, seen) for k, v in code["options"].items()}
        args = [decode(a, arrays, custom, seen) for a in code["args"]]
        return functools.partial(decode(code["partial"], arrays, custom, seen), *args, **options)
    if "again" in code:
        return seen[code["again"]]
    if "name" in code:
        return find(code["name"], custom)
    cls = find(code["class"], custom)
    thing = object.__new__(cls)
    seen.append(thing)
    known = {f.name for f in fields(cls)}
    if unknown := set(code["fields"]) - known:
        raise GraphError(f"{cls.__name__} has no field {sorted(unknown)[0]!r}: another version of it wrote the file")
    for name, value in code["fields"].items():
        object.__setattr__(thing, name, decode(value, arrays, custom, seen))
    return thing


def find(name: str, custom: Mapping[str, Any]) -> Any:
    """A class or function by the name that `name_of` gave it.

    A file must not be able to call whatever happens to be in memory (``os.system``): of the modules already imported,
    only those that themselves use Pellucid are looked in, and there only classes and functions that they define.
    """
    if name in OWN:
        return OWN[name]
    module, _, path = name.partition(":")
    if path in custom:
        return custom[path]
    give = f"give pellucid.load(path, custom_objects={{{path!r}: ...}})"
    if module not in sys.modules:
        raise GraphError(f"the model uses {path!r} of module {module!r}, which is not imported: import it first, "
                         f"or {give}")  # fmt: skip
    thing: Any = sys.modules[module] if _uses_pellucid(module) else None
    for part in path.split("."):
        thing = getattr(thing, part, None)
    defined_there = (getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)) == (module, path)
    if not (defined_there and isinstance(thing, (type, FunctionType))):
        raise GraphError(f"the model uses {path!r} of module {module!r}, which is not a layer or function defined "
                         f"there, in a module that uses pellucid; {give}")  # fmt: skip
    return thing


def _uses_pellucid(module: str) -> bool:
    """Whether a module, not one of our own, holds Pellucid or something of it."""
    own = __name__.split(".")[0]

    def ours(thing: Any) -> bool:
        name = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None)
        return isinstance(name, str) and name.split(".")[0] == own

    return module.split(".")[0] != own and any(ours(thing) for thing in list(vars(sys.modules[module]).values()))
