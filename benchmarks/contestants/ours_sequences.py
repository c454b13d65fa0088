"""Pellucid on sequences: the compiled step that `fit` runs, and a program of one step of generation."""

from __future__ import annotations

import numpy as np

import pellucid as pel

from ..contest import Job
from ..sequences import SequenceData, SequenceRow, by_layer, model, net


def step(row: SequenceRow, data: SequenceData, threads: int) -> Job:
    m = model(row)
    m.fit(data.x, data.y, batch_size=row.batch, epochs=0, verbose=0)  # first weights; the optimizer's state
    arrays = {"x": data.x, "y": data.y}
    compiled = m.programs.compiled("step", arrays)
    _ = compiled.function  # fast code from the first round on, as a long training has it
    return Job(
        lambda order: compiled.steps(m.state, arrays, order, row.batch, "loss"),
        lambda: data.vector(by_layer(m.parameters)),
    )


def generate(row: SequenceRow, data: SequenceData, threads: int) -> Job:
    m = pel.Model(net(row), "mse")  # whose prediction is the net's own output
    m.fit(data.x[:, None], np.zeros((len(data.x), 1, row.classes)), epochs=0, verbose=0)
    given = [array for layer in data.layers for array in layer.values()]
    m.set_parameters(dict(zip(m.parameters, given, strict=True)))
    stepper, last = m.stepper(), []

    def run(order):
        stepper.reset()
        for i in order.tolist():
            y = stepper(data.x[i : i + 1])
        last[:] = [y]

    return Job(run, lambda: last[0].ravel())
