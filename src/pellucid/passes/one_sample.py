"""A program for a batch of exactly one sample: its sample values become shared ones, so that features ride in lanes."""

from __future__ import annotations

from ..graph import Value, sample_input, shared_input
from ..ops.loop import rebuilt, result_of, scan_of, wanted_of_loops
from ..ops.movement import fill_with, reshape
from ..ops.reduce import all_samples_of, batch_count, batch_sum, each_sample, sample_index, to_samples
from ..program import Program


def for_one_sample(program: Program) -> Program:
    """The same outputs for one sample, given without its leading axis.

    >>> from pellucid import batch_sum, input
    >>> x = input("x", (2,))
    >>> print(for_one_sample(Program([x], {"y": batch_sum(x * x)})).listing(full=True))
    program
      inputs  x: shared float32 (2,)
      %1 = multiply(x, x): shared float32 (2,)
      return y = %1
    """
    new: dict[Value, Value] = {}
    wanted = wanted_of_loops(program)
    results: dict[Value, dict[Value, Value]] = {}
    for v in program.order:
        inputs = tuple(new[i] for i in v.inputs)
        if v.primitive is result_of:
            new[v] = results[v.inputs[0]][v.attributes["of"]]
        elif v.primitive is scan_of:
            new[v], results[v] = rebuilt(v, inputs, wanted[v], for_one_sample)
        else:
            new[v] = _alone(v, inputs)
    return Program(
        {name: new[v] for name, v in program.inputs.items()},
        {name: new[v] for name, v in program.outputs.items()},
        {new[t]: new[v] for t, v in program.updates.items()},
    )


def _alone(v: Value, inputs: tuple[Value, ...]) -> Value:
    p = v.primitive
    if p is sample_input:
        return shared_input(name=v.name, **v.attributes)
    if not v.inputs and v.name is not None:
        return v
    if p in (batch_sum, to_samples):
        return inputs[0]
    if p in (all_samples_of, each_sample):
        return reshape(inputs[0], v.shape)
    if p is sample_index:
        return fill_with(value=0, shape=(), dtype="uint32")
    if p is batch_count:
        return fill_with(value=1, shape=(), dtype=v.dtype)
    return p(*inputs, **v.attributes)
