"""A net as JSON and back: layers by class and fields, functions by name. Nothing is executed or imported to read it."""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from types import FunctionType, ModuleType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

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


class UnknownCode(GraphError):
    """A net in a file has code of its user in it that is not at hand."""


class UnknownName(GraphError):
    """A file speaks of a layer, function or option of Pellucid's that this version does not have."""


@dataclass(frozen=True, repr=False)
class Unread:
    """What a file has that cannot be used here, and why: kept as it is, to be written again. Any use is an error."""

    code: Any
    why: str

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("dtype", "shape"):  # which copying, pickling and printing look for
            raise AttributeError(name)
        raise GraphError(self.why)

    def __repr__(self) -> str:
        return f"unknown here: {self.code.get('class') if isinstance(self.code, dict) else self.code}"


def encode(
    thing: Any, arrays: dict[str, np.ndarray], seen: dict[int, int] | None = None, custom: dict | None = None
) -> Any:
    """JSON for a net, loss, optimizer or plain value; arrays found on the way go into ``arrays``.

    A layer object that stands in two places is written once, so that its parameters stay shared. User code is written
    as a name; a function without one (a lambda) is an error, unless there is a dict ``custom`` that user code goes to.
    """
    seen = {} if seen is None else seen
    if isinstance(thing, Unread):
        return copy.deepcopy(thing.code)
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
        raise GraphError(f"cannot save {_place_of(thing)}: it has no name that it could be found by. Define it by def "
                         "at the top level of a module that imports pellucid, and import that module before "
                         "pellucid.load; or use functools.partial on such a function. Weights alone can be kept: "
                         "numpy.savez(path, **model.parameters), and model.set_parameters")  # fmt: skip
    return f"{thing.__module__}:{name}"


def _place_of(thing: Any) -> str:
    """A function without a name by where it stands."""
    code = getattr(thing, "__code__", None)
    if code is None:
        return repr(thing)
    kind = "the lambda" if code.co_name == "<lambda>" else f"the function {code.co_name}"
    return f"{kind} in line {code.co_firstlineno} of {code.co_filename}"


def decode(code: Any, arrays: Mapping[str, np.ndarray], custom: Mapping[str, Any], seen: list | None = None) -> Any:
    """What `encode` wrote. User code is taken from ``custom`` by its name, or from modules already imported.

    A layer's options are checked as when it is made: its fields must be of their types, and `__post_init__` runs.
    """
    seen = [] if seen is None else seen
    if code is None or isinstance(code, (bool, int, float, str)):
        return code
    if not isinstance(code, dict):
        raise GraphError(f"expected a number, text or a description, got {code!r}")

    def inner(part: Any) -> Any:
        return decode(part, arrays, custom, seen)

    if "array" in code:
        if code["array"] not in arrays:
            raise GraphError(f"there is no array {code['array']!r}")
        return np.array(arrays[code["array"]])
    if "tuple" in code:
        return tuple(inner(c) for c in code["tuple"])
    if "list" in code:
        return [inner(c) for c in code["list"]]
    if "dict" in code:
        return {k: inner(v) for k, v in code["dict"].items()}
    if "partial" in code:
        options = {k: inner(v) for k, v in code["options"].items()}
        args = [inner(a) for a in code["args"]]
        return functools.partial(inner(code["partial"]), *args, **options)
    if "again" in code:
        return _again(code["again"], seen)
    if "name" in code:
        return find(code["name"], custom)
    cls = find(code["class"], custom)
    if not (isinstance(cls, type) and is_dataclass(cls)):
        raise GraphError(f"{code['class']!r} is not a class of layers or options")
    place = len(seen)
    seen.append(UNDER_WAY)
    thing: Any = object.__new__(cls)
    given = {name: inner(value) for name, value in code["fields"].items()}
    _check_fields(cls, given)
    _set(thing, given)
    if hasattr(cls, "__post_init__"):
        thing.__post_init__()
        _set(thing, given)  # parts that it made anew may be others in the file: frozen ones
    seen[place] = thing
    return thing


def _set(thing: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        object.__setattr__(thing, name, value)


UNDER_WAY = object()  # stands for what is being read: nothing can be a part of itself


def _again(place: Any, seen: list) -> Any:
    """What was read before, by its number."""
    if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < len(seen):
        raise GraphError(f"there is no part {place!r} before this one")
    if seen[place] is UNDER_WAY:
        raise GraphError(f"part {place} contains itself")
    return seen[place]


def _check_fields(cls: type, given: Mapping[str, Any]) -> None:
    """All fields that a class must have, no others; of a class of our own each of the type it is declared with."""
    known = {f.name: f for f in fields(cls)}
    if unknown := [name for name in given if name not in known]:
        kind = UnknownName if cls in NAME_OF else GraphError
        raise kind(f"{cls.__name__} has no field {unknown[0]!r}: another version of it wrote the file")
    if missing := [n for n, f in known.items() if n not in given and f.default is f.default_factory is MISSING]:
        raise GraphError(f"{cls.__name__}: the field {missing[0]!r} is missing")
    if cls in NAME_OF:
        types = _types(cls)
        for name, value in given.items():
            if not fits(value, types[name]):
                raise GraphError(f"{cls.__name__}: {name} cannot be {value!r}")


@functools.cache
def _types(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def fits(value: Any, declared: Any) -> bool:
    """Whether a value is of the type that a field is declared with; lists count as tuples, 0 and 1 as bools.

    >>> fits(2, bool), fits(2, float), fits([1, 2], int | tuple[int, ...]), fits("a", int | None)
    (False, True, True, False)
    """
    origin, args = get_origin(declared), get_args(declared)
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in args)
    if declared is bool:
        return isinstance(value, (bool, int)) and value in (0, 1)
    if declared in (int, float):
        if isinstance(value, bool) or not isinstance(value, (int, declared)):
            return False
        return not isinstance(value, int) or abs(value) <= LARGEST
    if origin in (tuple, list, Sequence):
        if not isinstance(value, (tuple, list)):
            return False
        if origin is tuple and args[-1] is not Ellipsis:
            return len(value) == len(args) and all(map(fits, value, args))
        return all(fits(v, args[0]) for v in value)
    if origin in (Mapping, dict):
        return isinstance(value, Mapping) and all(fits(k, args[0]) and fits(v, args[1]) for k, v in value.items())
    if Callable in (origin, declared):
        return callable(value)
    if isinstance(declared, type) and origin is None and declared is not Any:
        return isinstance(value, declared)
    return True


LARGEST = int(sys.float_info.max)  # a larger whole number is no option: as a float it would overflow


def find(name: str, custom: Mapping[str, Any]) -> Any:
    """A class or function by the name that `name_of` gave it.

    A file must not be able to call whatever happens to be in memory (``os.system``): of the modules already imported,
    only those that themselves use Pellucid are looked in, and there only classes and functions that they define.
    """
    if name in OWN:
        return OWN[name]
    module, colon, path = name.partition(":")
    if not colon:
        raise UnknownName(f"there is no layer, function or option {name!r} in this version of Pellucid")
    if path in custom:
        return custom[path]
    give = f"give pellucid.load(path, custom_objects={{{path!r}: ...}})"
    if module not in sys.modules:
        raise UnknownCode(f"the model uses {path!r} of module {module!r}, which is not imported: import it first, "
                          f"or {give}")  # fmt: skip
    thing: Any = sys.modules[module] if _uses_pellucid(module) else None
    for part in path.split("."):
        thing = getattr(thing, part, None)
    defined_there = (getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)) == (module, path)
    if not (defined_there and isinstance(thing, (type, FunctionType))):
        raise UnknownCode(f"the model uses {path!r} of module {module!r}, which is not a layer or function defined "
                          f"there, in a module that uses pellucid; {give}")  # fmt: skip
    return thing


def _uses_pellucid(module: str) -> bool:
    """Whether a module, not one of our own, holds Pellucid or something of it."""
    own = __name__.split(".")[0]

    def ours(thing: Any) -> bool:
        name = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None)
        return isinstance(name, str) and name.split(".")[0] == own

    return module.split(".")[0] != own and any(ours(thing) for thing in list(vars(sys.modules[module]).values()))
