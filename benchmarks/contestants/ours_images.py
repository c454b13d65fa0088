"""Pellucid on images: the compiled step that `fit` runs, `Model.predict`, and a program of one convolution."""

from __future__ import annotations

import numpy as np

import pellucid as pel
from pellucid import nn

from ..contest import Job
from ..images import NETS, ImageData, ImageRow, model


def step(row: ImageRow, data: ImageData, threads: int) -> Job:
    m = model(row)
    m.fit(data.x, data.y, batch_size=row.batch, epochs=0, verbose=0)  # the optimizer's state
    arrays = {"x": data.x, "y": data.y}
    compiled = m.programs.compiled("step", arrays)
    _ = compiled.function  # fast code from the first round on, as a long training has it
    return Job(
        lambda order: compiled.steps(m.state, arrays, order, row.batch, "loss"),
        lambda: np.concatenate([m.state[k].ravel() for k in data.parameters if k in data.trained]),
    )


def predict(row: ImageRow, data: ImageData, threads: int) -> Job:
    m, last = model(row), []

    def run(order):
        for i in order.tolist():
            y = m.predict(data.x[i : i + 1])
        last[:] = [y]

    return Job(run, lambda: last[0].ravel())


def conv(row: ImageRow, data: ImageData, threads: int) -> Job:
    """The output is its own cotangent, for everybody."""
    x = pel.input("x", row.shape)
    traced = nn.trace(NETS[row.net](), x)
    y, weight = traced.output, traced.parameters["weight"].value
    cost = pel.batch_sum(pel.ops.sum(y * pel.ops.stop_gradient(y)))
    dx, dw = pel.grad(cost, [x, weight])
    run = pel.executors.get("native").compile(pel.Program([x], {"y": y, "dx": dx, "dw": dw}))
    _ = run.function
    last = []
    return Job(
        lambda order: last.__setitem__(slice(None), [run(data.parameters, {"x": data.x})]),
        lambda: last[0]["dw"].ravel(),
    )
