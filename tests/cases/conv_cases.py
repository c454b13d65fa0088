"""Convolutions and poolings of random shape, strides, dilations, padding and groups, shared by several tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from native_tools import with_slopes
from tools import distinct

import pellucid as pel
from pellucid import Value, ops


@dataclass(frozen=True)
class Case:
    """An operation on x (channels, *space), and on a kernel w where it has one."""

    name: str
    x: tuple[int, ...]
    w: tuple[int, ...] | None
    options: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.name} {self.x} {self.w} {self.options}"

    def __call__(self, x: Value, w: Value | None = None) -> Value:
        function = getattr(ops, self.name)
        return function(x, **self.options) if w is None else function(x, w, **self.options)


LINEAR = ("linear", "bilinear", "trilinear")


def draw(seed: int) -> Case:
    """A case that fits, the same for the same seed."""
    rng = np.random.default_rng([7, seed])

    def each(low, high):
        return tuple(int(n) for n in rng.integers(low, high, rank))

    rank = int(rng.choice([1, 2, 2, 2, 3]))
    kernel, strides = each(1, 5 - rank // 3), each(1, 4)
    dilations = each(1, 3) if rng.random() < 0.4 else (1,) * rank
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    name = rng.choice(["correlate", "correlate", "correlate_transposed", "max_pool", "avg_pool", "upsample"])
    if name == "correlate_transposed":
        groups = int(rng.integers(1, 3))
        filters, channels = groups * int(rng.integers(1, 4)), int(rng.integers(1, 4))
        options = {"strides": strides, "dilations": dilations, "groups": groups}
        options["output_padding"] = tuple(int(rng.integers(0, m)) for m in map(max, strides, dilations))
        options["padding"] = tuple((min(a, r - 1), 0) for a, r in zip(each(0, 2), reach, strict=True))
        return Case(name, (filters, *each(1, 5)), (filters, channels, *kernel), options)
    space = tuple(r + int(rng.integers(0, 7 - 2 * (rank == 3))) for r in reach)
    if name == "upsample":
        method = str(rng.choice(["nearest", LINEAR[rank - 1]]))
        return Case(name, (2, *space), None, {"factor": each(1, 4), "method": method})
    if name != "correlate":
        if rng.random() < 0.5:
            strides, dilations = kernel, (1,) * rank
        padding = "same" if rng.random() < 0.3 else tuple((k // 2, int(rng.integers(0, k // 2 + 1))) for k in kernel)
        options = {"size": kernel, "strides": strides, "padding": padding, "floor": True}
        if name == "max_pool":
            options["dilations"] = dilations if padding != "same" else 1
        else:
            options["count_include_pad"] = bool(rng.integers(2))
        return Case(str(name), (int(rng.integers(1, 4)), *space), None, options)
    groups = int(rng.choice([1, 1, 2, 3]))
    channels, filters = (groups * int(rng.integers(1, 4)) for _ in range(2))
    padding = [tuple((int(a), int(b)) for a, b in rng.integers(0, 3, (rank, 2))), "same", "valid"][int(rng.integers(3))]
    options = {"strides": strides, "padding": padding, "dilations": dilations, "groups": groups, "floor": True}
    return Case(name, (channels, *space), (filters, channels // groups, *kernel), options)


def together(seeds, dtype: str, batch: int) -> tuple[pel.Program, dict[str, np.ndarray]]:
    """One program of several cases' values and derivatives, and its inputs: it is making programs that takes time."""
    given, outputs, arrays = [], {}, {}
    for seed in seeds:
        case = draw(seed)
        inputs = [pel.input(f"x{seed}", case.x, dtype)]
        arrays[inputs[0].name] = distinct((batch, *case.x), seed, dtype)
        if case.w is not None:
            inputs.append(pel.input(f"w{seed}", case.w, dtype, "shared"))
            arrays[inputs[1].name] = distinct(case.w, seed + 1, dtype)
        for i, value in enumerate(with_slopes(case(*inputs), inputs)):
            outputs[f"{i} of {case}, seed {seed}"] = value
        given += inputs
    return pel.Program(given, outputs), arrays
