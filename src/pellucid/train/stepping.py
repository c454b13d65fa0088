"""The state that training steps keep besides the weights, and what is computed of training without a step.

Imports numpy, optim and the sibling modules.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from ..errors import GraphError
from ..optim import AVERAGE, Optimizer, slot_name
from ..program import Program
from . import programs
from .batch_sizes import sizes
from .core import ModelCore
from .evaluation import batch_size_for
from .parts import Arrays, Part, as_part


def first_state(
    program: Program,
    names: list[str],
    optimizer: Optimizer,
    seed: int,
    known: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> dict[str, np.ndarray]:
    """First values of the state that is not weights: the optimizer's slots and numbers, the key of random numbers."""
    if late := [name for name in names if not name.startswith(("optimizer.", "random."))]:
        raise GraphError(f"a layer asks for {late[0]!r} in training only, so that it has no first value; "
                         "call self.param before asking self.training")  # fmt: skip
    average = slot_name(AVERAGE, "")  # it begins as the weight itself: outside training they have changed places
    state = {name: np.zeros(program.state[name].shape, program.state[name].dtype) for name in names}
    for name, value in optimizer.first_numbers().items():
        if name in state:
            state[name] += state[name].dtype.type(value)
    for name in state:
        if name.startswith(average) and name.removeprefix(average) in known:
            state[name] = known[name.removeprefix(average)].copy()
    if "random.key" in state:
        state["random.key"] = np.random.SeedSequence(seed).generate_state(2, np.uint32)
    return state


@contextlib.contextmanager
def trained_weights(model: ModelCore) -> Iterator[None]:
    """Within, the state holds the weights that are trained; outside, with ``use_ema``, their moving averages."""
    if not model.optimizer.use_ema:
        yield
        return
    _swap(model.state)
    try:
        yield
    finally:
        _swap(model.state)


def _swap(state: dict[str, np.ndarray]) -> None:
    prefix = slot_name(AVERAGE, "")
    for slot in [name for name in state if name.startswith(prefix)]:
        name = slot.removeprefix(prefix)
        state[slot], state[name] = state[name], state[slot]


def gradients(
    model: ModelCore, given: Sequence[Part | Arrays], batch_size: int | str | None = None
) -> tuple[float, dict[str, np.ndarray]]:
    """The mean cost of samples and its gradient in every trained weight, some samples after the others."""
    parts = [as_part(arrays) for arrays in given]
    n = sum(part.samples for part in parts)
    total: dict[str, np.ndarray] = {}
    chunks = sizes(model, parts, batch_size_for(batch_size, n))
    for part, size in zip(parts, chunks, strict=True):
        run, rows = model.programs.compiled("gradients", part.whole), part.samples
        names = [name for name in run.program.state if name not in model.state]
        memory = model.state | first_state(run.program, names, model.optimizer, model.seed)
        for start in range(0, rows, size):
            found = run(memory, part.some(slice(start, min(start + size, rows))))
            share = min(size, rows - start) / n
            for name, a in found.items():
                total[name] = total.get(name, 0) + share * np.asarray(a, np.float64)
    prefix = programs.gradient_name("")
    return float(total["cost"]), {name.removeprefix(prefix): a for name, a in total.items() if name.startswith(prefix)}


def update_statistics(model: ModelCore, parts: Sequence[Part | Arrays], batches: list[int]) -> None:
    """One epoch in which only what layers update by themselves changes, such as batch normalization's statistics."""
    for part, batch in zip(map(as_part, parts), batches, strict=True):
        program = programs.statistics(model.network.spec_of(part.whole))
        if program.updates:
            given = {name: part.whole[name] for name in program.inputs}
            state = dict(model.state)
            model.executor.compile(program, model.threads).steps(state, given, part.rows, batch)
            model.state.update(
                {v.name: state[v.name] for v in program.updates if v.name in model.network.built().parameters}
            )
