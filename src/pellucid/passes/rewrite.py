"""The loop that passes share: a program written anew, Value by Value. Imports graph and ops."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..graph import Value
from ..ops.loop import result_of, scan_of, wanted_of_loops
from ..program import Program

Inputs = tuple[Value, ...]
Rule = Callable[[Value, Inputs], Value | None]
LoopRule = Callable[[Value, Inputs, Iterable[Value]], tuple[Value, dict[Value, Value]]]


def rewrite(
    program: Program, rule: Rule, loop: LoopRule | None = None, new: dict[Value, Value] | None = None
) -> Program:
    """The program with ``rule(v, inputs)`` in the place of each Value v; ``inputs`` are what has become of v's own.

    Where the rule gives None, it is the same operation, of these inputs. ``loop(v, inputs, wanted)`` is the rule of
    loops over time: it gives the loop and its results (see `ops.loop.rebuilt`); without it they are kept as they are.
    ``new``: a dict to be filled, for a rule that asks what has become of others than v's inputs.

    >>> from pellucid import Program, input, ops
    >>> x = input("x")
    >>> bare = rewrite(Program([x], {"y": ops.exp(x) * 2}), lambda v, inputs: inputs[0] if v.inputs else None)
    >>> bare.outputs["y"]
    <sample_input 'x': sample float32 ()>
    """
    new = {} if new is None else new
    wanted = wanted_of_loops(program) if loop is not None else {}
    results: dict[Value, dict[Value, Value]] = {}
    for v in program.order:
        inputs = tuple(new[i] for i in v.inputs)
        if loop is not None and v.primitive is result_of:
            new[v] = results[v.inputs[0]][v.attributes["of"]]
        elif loop is not None and v.primitive is scan_of:
            new[v], results[v] = loop(v, inputs, wanted[v])
        elif (found := rule(v, inputs)) is not None:
            new[v] = found
        else:
            new[v] = v.primitive(*inputs, **v.attributes) if inputs != v.inputs else v
    return Program(
        {name: new[v] for name, v in program.inputs.items()},
        {name: new[v] for name, v in program.outputs.items()},
        {new[t]: new[v] for t, v in program.updates.items()},
    )
