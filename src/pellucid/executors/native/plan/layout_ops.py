"""Operations of the plan's own: copies of values in another layout. Imports graph and ops."""

from __future__ import annotations

from ....graph import Primitive, Value
from ....ops.loop import result_of
from ....program import Program
from .classify import VIEWS, is_inline

PACK = 8  # rows side by side in a packed matrix
packed_rows = Primitive("packed_rows", rule=lambda x: (x.shape, x.dtype), forward=lambda xp, x: x, elementwise=True)
copy = Primitive("copy", rule=lambda x: (x.shape, x.dtype), forward=lambda xp, x: x, elementwise=True)


def with_copied_roots(program: Program) -> Program:
    """The program with a copy where an output or new state is a leaf, a number or a view, so that a nest stores it."""
    memo: dict[Value, bool] = {}
    for v in program.order:
        is_inline(v, memo)

    def root(v: Value) -> Value:
        return copy(v) if v.primitive in (*VIEWS, result_of) or is_inline(v, memo) else v

    return Program(program.inputs, {k: root(v) for k, v in program.outputs.items()},
                   {t: root(v) for t, v in program.updates.items()})  # fmt: skip
