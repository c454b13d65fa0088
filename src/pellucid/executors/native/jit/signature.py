"""A program as text, and a digest of the code that writes machine code: what the key of the cache is made of."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ....graph import Value
from ....ops.loop import Body, scan_of
from ....program import Program


def signature(program: Program) -> str:
    """A program as text that two programs share only if their machine code is the same."""
    index = {v: n for n, v in enumerate(program.order)}
    lines = [f"{v.primitive.name} {_attributes(v)} {[index[i] for i in v.inputs]} {v.type} {v.name}"
             for v in program.order]  # fmt: skip
    ends = [[(k, index[v]) for k, v in program.inputs.items()], [(k, index[v]) for k, v in program.outputs.items()],
            [(index[t], index[v]) for t, v in program.updates.items()]]  # fmt: skip
    return "\n".join([*lines, *map(str, ends)])


def only_ours(program: Program) -> bool:
    """Whether all formulas are this package's, which `sources` covers; users may change theirs and keep the name."""
    bodies = [v.attributes["body"].order for v in program.order if v.primitive is scan_of]
    return all(str(getattr(v.primitive.forward, "__module__", "")).startswith("pellucid.")
               for order in (program.order, *bodies) for v in order)  # fmt: skip


def _attributes(v: Value) -> str:
    def text(a: Any) -> Any:
        if isinstance(a, Body):
            index = {w: n for n, w in enumerate(a.order)}
            return [(w.primitive.name, _attributes(w), [index[i] for i in w.inputs], str(w.type)) for w in a.order], [
                [index[w] for w in part] for part in (a.carries, a.steps, a.consts, a.new, a.outputs)
            ]
        if isinstance(a, Value):  # of the body of the loop
            return v.inputs[0].attributes["body"].order.index(a)
        return (a.shape, str(a.dtype)) if isinstance(a, np.ndarray) else a

    return repr({k: text(a) for k, a in v.attributes.items()})


PACKAGE = Path(__file__).resolve().parents[3]


def source_files(package: Path = PACKAGE) -> list[Path]:
    """The files that may decide what machine code is written: the graph, its operations and passes, the executors."""
    folders = [str(package)]
    for room in ("ops", "passes", "executors"):
        folders += [folder for folder, _, _ in os.walk(package / room)]
    return [
        Path(folder, name) for folder in sorted(folders) for name in sorted(os.listdir(folder)) if name[-3:] == ".py"
    ]


@functools.cache
def sources() -> str:
    """A digest of the code that writes machine code: another version has other entries in the cache."""
    return digest(source_files())


def digest(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
