"""What a fit is determined by, as short texts: a checkpoint goes on only with the same. Imports numpy, data, graph."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import DataError
from ..graph import GraphError
from ..program import Program
from ..reprs import spelled_out
from .parts import Part

if TYPE_CHECKING:
    from .model import Model

SAMPLED = 16 << 20  # bytes of an array that are read; of a larger one, so much in rows evenly spaced
CHUNK = 1 << 20
NAMES = ("loss", "optimizer", "metric_names", "regularizer", "constraint")  # of a model's parts

Fingerprint = dict[str, dict[str, Any]]


def fingerprint(
    model: Model, step: Program, parts: list[Part], validation: list[Part] | None, **arguments: Any
) -> Fingerprint:
    """The net, the arguments and the data of a fit; ``arguments``: those of `Model.fit` that decide its result."""
    known = step.state | {name: p.value for name, p in model.network.built().parameters.items()}
    own = {"dtype": model.dtype, "seed": model.seed, "executor": model.executor.__name__.rpartition(".")[2]}
    own |= {name: text(getattr(model, name)) for name in NAMES if hasattr(model, name)}
    data: dict[str, str] = {}
    for name, several in (("training", parts), ("validation", validation or [])):
        for i, part in enumerate(several):
            where = f"{name} bucket {i + 1}, " if len(several) > 1 else f"{name} "
            data |= {f"{where}{k}": f"{a.dtype} {(part.samples, *a.shape[1:])}" for k, a in part.whole.items()}
            data |= {f"the content of {where}{k}": digest(a, part.rows) for k, a in part.whole.items()}
    return {
        "architecture": {f"parameter {name!r}": f"{v.dtype} {v.shape}" for name, v in sorted(known.items())},
        "arguments": own | {name: text(value) for name, value in arguments.items()},
        "net": {"net": hash_of(text(model.net), re.sub(r"0x[0-9a-f]+", "", step.listing(full=True)))},
        "data": data,
    }


def text(thing: Any) -> Any:
    """A number, or all its options in words, without places in memory.

    >>> text(3), text([1.5, print]), text(text)
    (3, '[1.5, <built-in function print>]', '<function text>')
    """
    return (
        thing if isinstance(thing, (bool, int, float, str)) else re.sub(r" at 0x[0-9a-fA-F]+", "", spelled_out(thing))
    )


def hash_of(*texts: str) -> str:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=16).hexdigest()


def digest(array: np.ndarray, rows: np.ndarray | None = None) -> str:
    """BLAKE2b of an array's bytes, or those of some rows; of many, of rows evenly spaced, first and last among them.

    >>> digest(np.arange(4)) == digest(np.arange(4)), digest(np.arange(4)) == digest(np.array([0, 1, 3, 2]))
    (True, False)
    """
    found = hashlib.blake2b(digest_size=16)
    row, n = max(1, array.nbytes // len(array)), len(array) if rows is None else len(rows)
    some = np.arange(n)
    if n * row > SAMPLED:
        some = np.unique(np.linspace(0, n - 1, max(2, SAMPLED // row)).astype(np.int64))
    each = max(1, CHUNK // row)
    for start in range(0, len(some), each):
        part: Any = some[start : start + each] if rows is None else rows[some[start : start + each]]
        if rows is None and len(some) == n:
            part = slice(start, start + each)
        found.update(np.ascontiguousarray(array[part]).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


KINDS: dict[str, tuple[str, Callable[[str], Exception]]] = {
    "architecture": ("a net of another architecture", GraphError),
    "arguments": ("a fit with other arguments", GraphError),
    "net": ("another net: other layers, or other options of theirs", GraphError),
    "data": ("a fit on other data", DataError),
}


def check_same(then: Fingerprint, now: Fingerprint, path: Any) -> None:
    """`GraphError` or `DataError` that names the first difference between a checkpoint's fit and this one."""
    for kind, (words, error) in KINDS.items():
        old, new = then[kind], now[kind]
        differing = [name for name in [*old, *new] if old.get(name) != new.get(name)]
        if not differing:
            continue
        name = differing[0]
        what = ": " + _difference(name, old.get(name), new.get(name))
        if kind == "net":
            what = ""
        raise error(f"the checkpoint {str(path)!r} is of {words}{what}. Make the fit as it was, or give Checkpoint "
                    "another folder")  # fmt: skip


def _difference(name: str, old: Any, new: Any) -> str:
    if name.startswith("the content of "):
        return f"{name.removeprefix('the content of ')} has the same shape, but other numbers"
    there, here = ("absent" if value is None else value for value in (old, new))
    return f"{name} is {there} in it, {here} here"
