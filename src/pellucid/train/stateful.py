"""What nets that carry a state from batch to batch ask of the batches. Imports graph and ops."""

from __future__ import annotations

from ..graph import GraphError
from ..ops.reduce import each_sample
from ..program import Program


def check_batches(program: Program, batch: int, n: int, shuffle: bool, split: bool = False) -> None:
    """`GraphError` where a training step has a state for each of a number of samples, and batches have another size."""
    for v in program.order:
        if v.primitive is not each_sample or (kept := v.inputs[0]).name not in program.state:
            continue
        rows = kept.shape[0]
        if split:
            raise GraphError(f"{kept.name!r} goes from each sample of a batch to the one in its place in the next "
                             f"(stateful={rows}), so no samples can be drawn from between for validation_split: give "
                             "validation_data, a stream of its own")  # fmt: skip
        if shuffle:
            raise GraphError(f"{kept.name!r} goes from each sample of a batch to the one in its place in the next "
                             f"(stateful={rows}), so the samples must keep their order: use shuffle=False")  # fmt: skip
        if batch != rows:
            raise GraphError(f"{kept.name!r} is for batches of {rows} samples (stateful={rows}), got {batch}; "
                             f"use batch_size={rows}")  # fmt: skip
        if n % rows:
            raise GraphError(f"{kept.name!r} is for batches of {rows} samples (stateful={rows}), and {n} samples leave "
                             f"{n % rows} for the last batch; give a multiple of {rows}")  # fmt: skip
