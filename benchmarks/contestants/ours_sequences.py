"""Pellucid on sequences: the compiled step that `fit` runs, and a program of one step of generation."""

from __future__ import annotations

import numpy as np

import pellucid as pel
from pellucid import nn

from ..contest import Job
from ..sequences import SequenceData, SequenceRow, by_layer, model, net


def step(row: SequenceRow, data: SequenceData, threads: int) -> Job:
    m = model(row)
    m.fit(data.x, data.y, batch_size=row.batch, epochs=0, verbose=0)  # first weights; the optimizer's state
    arrays = {"x": data.x, "y": data.y}
    compiled = m._compiled("step", arrays)
    return Job(
        lambda order: compiled.steps(m.state, arrays, order, row.batch, "loss"),
        lambda: data.vector(by_layer(m.parameters)),
    )


class OneStep(nn.Layer):
    """A token and the state (h, c) to logits and the next state, one after the other."""

    embedding: nn.Embedding
    lstm: nn.LSTM
    dense: nn.Dense

    def __call__(self, token, h, c):
        state, y = self.lstm.step((h, c), self.embedding(token))
        return pel.ops.concatenate([self.dense(y), *state])


def generate(row: SequenceRow, data: SequenceData, threads: int) -> Job:
    embedding, lstm, every = net(row).layers
    parts = {"embedding": embedding, "lstm": lstm, "dense": every.layer}
    state = [pel.input(name, (row.units,)) for name in "hc"]
    inputs = [pel.input("token", (), "int32"), *state]
    y, k = nn.trace(OneStep(**parts), *inputs).output, row.classes
    outputs = {"logits": y[:k], "h": y[k : k + row.units], "c": y[k + row.units :]}
    run_once = pel.executors.get("native").compile(pel.Program(inputs, outputs))
    named = zip(parts, data.layers, strict=True)
    weights = {f"{part}.{name}": array for part, arrays in named for name, array in arrays.items()}
    last = []

    def run(order):
        out = dict.fromkeys("hc", np.zeros((1, row.units), np.float32))
        for i in order.tolist():
            out = run_once(weights, {"token": data.x[i : i + 1], "h": out["h"], "c": out["c"]})
        last[:] = [out["logits"]]

    return Job(run, lambda: last[0].ravel())
