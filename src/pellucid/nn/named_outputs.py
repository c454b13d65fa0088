"""What a net of several outputs returns: its Values by name, and all of them as one. Imports graph and ops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import ops
from ..errors import GraphError
from ..graph import Value


def outputs_of(given: Any) -> dict[str, Value]:
    """What a net returns, by name: of a dict the keys, of a tuple output_0, output_1; `GraphError` for others."""
    if isinstance(given, Mapping):
        found = dict(given)
    else:
        found = {f"output_{i}": v for i, v in enumerate(given)} if isinstance(given, (tuple, list)) else {}
    wrong = [v for v in found.values() if not isinstance(v, Value)]
    if not found or wrong or not all(isinstance(name, str) for name in found):
        got = f"{type(wrong[0]).__name__} in a {type(given).__name__}" if wrong else type(given).__name__
        raise GraphError(f"a net must return one Value, or a tuple or dict of them, this one returned {got}")
    dtypes = {v.dtype for v in found.values()}
    if len(dtypes) > 1 or not dtypes <= {"float32", "float64"}:
        raise GraphError(f"the outputs of a net must be floats of one dtype, got {', '.join(sorted(dtypes))}; "
                         "use ops.cast(y, dtype)")  # fmt: skip
    return {name: v if v.kind == "sample" else ops.to_samples(v) for name, v in found.items()}


def packed(values: Mapping[str, Value]) -> Value:
    """Several outputs as one vector, one after the other."""
    return ops.concatenate([ops.reshape(v, (v.size,)) for v in values.values()], 0)
