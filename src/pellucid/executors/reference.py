"""The reference executor: NumPy, one operation after the other; the living definition that others are tested against.

State is a dict of arrays by name; a call reads it, and puts the updated arrays into it. Imports graph and ops.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import numpy as np

from ..graph import Value, sample_input, shared_input, state_leaf
from ..ops.reduce import batch_sum
from ..ops.xp import xp
from ..program import Program
from .binding import NotFinite, bind


def compile(program: Program, threads: int | None = None) -> Run:
    """A callable ``run(state, inputs) -> outputs``. It is NumPy that decides on threads, not ``threads``."""
    return Run(program)


class Run:
    """A program made ready for NumPy.

    ``run(state, inputs, batch_size=None)`` takes arrays by name; sample inputs have a leading axis of samples. It
    returns the outputs by name and replaces the updated entries of ``state``. ``batch_size`` is needed only where
    sample values exist but no sample input tells how many samples there are.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        leaves = {v for v in program.order if v.primitive in (sample_input, shared_input, state_leaf)}
        keep = {*program.outputs.values(), *program.updates.values()} | leaves
        uses = Counter(i for v in program.order for i in v.inputs)
        # batch_sum of a product is computed as one contraction, without an array per sample in between
        fused = {v.inputs[0] for v in program.order if v.primitive is batch_sum and uses[v.inputs[0]] == 1
                 and v.inputs[0] not in keep and v.inputs[0].primitive.forward_summed}  # fmt: skip
        self.plan: list[tuple[Value, Value, Callable[..., Any]]] = []
        for v in program.order:
            if v.inputs and v.inputs[0] in fused and (summed := v.inputs[0].primitive.forward_summed):
                self.plan.append((v, v.inputs[0], summed))
            elif v not in leaves and v not in fused:
                self.plan.append((v, v, v.primitive.forward))
        last_use = {i: n for n, (_, source, _) in enumerate(self.plan) for i in source.inputs}
        self.free_after: list[list[Value]] = [[] for _ in self.plan]
        for v, n in last_use.items():
            if v not in keep:
                self.free_after[n].append(v)

    def another(self, threads: int | None = None) -> Run:
        """The same program for another user: there is no memory between calls."""
        return self

    def __call__(
        self,
        state: MutableMapping[str, Any] | None = None,
        inputs: Mapping[str, Any] | None = None,
        batch_size: int | None = None,
    ) -> dict[str, np.ndarray]:
        state = {} if state is None else state
        values, batch = bind(self.program, state, inputs or {}, batch_size)
        with np.errstate(all="ignore"):
            for (v, source, formula), free in zip(self.plan, self.free_after, strict=True):
                extra = {"batch": batch} if source.primitive.needs_batch else {}
                values[v] = np.asarray(formula(xp, *(values[i] for i in source.inputs), **source.attributes, **extra))
                for old in free:
                    del values[old]
        for target, new in self.program.updates.items():
            state[target.name or ""] = np.array(values[new], order="C")  # a copy: the user's arrays share no memory
        return {name: np.array(values[v]) for name, v in self.program.outputs.items()}

    def expect(self, samples: int, batch: int) -> None:
        """This many samples will come: an executor may make itself ready for them."""

    def steps(
        self,
        state: MutableMapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        rows: np.ndarray | None,
        batch_size: int,
        watch: str | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> dict[str, Any]:
        """Run on one mini-batch of rows after another (all in order where ``rows`` is None); the sums of the outputs.

        ``watch`` names an output that must stay finite: a step where it is not changes nothing, and raises
        `NotFinite` with the rows of that batch. ``on_step(rows_done)`` is called after each.
        """
        n = len(next(iter(arrays.values()))) if rows is None else len(rows)
        sums = {name: np.zeros(v.shape) for name, v in self.program.outputs.items()}
        for start in range(0, n, batch_size):
            stop = min(start + batch_size, n)
            batch = slice(start, stop) if rows is None else rows[start:stop]
            before = dict(state)
            outputs = self(state, {name: a[batch] for name, a in arrays.items()})
            if watch is not None and not np.isfinite(outputs[watch]):
                state.update(before)
                raise NotFinite(start // batch_size, np.arange(start, stop) if rows is None else rows[start:stop])
            for name, value in outputs.items():
                sums[name] = sums[name] + value.astype(np.float64)
            if on_step is not None:
                on_step(stop)
        return {name: total if np.ndim(total) else float(total) for name, total in sums.items()}
