"""A program for a batch of exactly one sample: its sample values become shared ones, so that features ride in lanes."""

from __future__ import annotations

from ..graph import Value, sample_input, shared_input
from ..ops.loop import rebuilt
from ..ops.movement import fill_with, reshape
from ..ops.reduce import all_samples_of, batch_count, batch_sum, each_sample, sample_index, to_samples
from ..program import Program
from .rewrite import rewrite


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
    return rewrite(program, _alone, lambda v, inputs, wanted: rebuilt(v, inputs, wanted, for_one_sample))


def _alone(v: Value, inputs: tuple[Value, ...]) -> Value | None:
    p = v.primitive
    if p is sample_input:
        return shared_input(name=v.name, **v.attributes)
    if p in (batch_sum, to_samples):
        return inputs[0]
    if p in (all_samples_of, each_sample):
        return reshape(inputs[0], v.shape)
    if p is sample_index:
        return fill_with(value=0, shape=(), dtype="uint32")
    if p is batch_count:
        return fill_with(value=1, shape=(), dtype=v.dtype)
    return None
