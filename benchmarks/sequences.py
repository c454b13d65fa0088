"""Rows of nets for sequences, their arithmetic and their data. A net is written once, in Pellucid's layers.

The other libraries make theirs of its weights. Imports Pellucid and numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

import pellucid as pel
from pellucid import nn

from .rows import OPTIMIZERS


@dataclass(frozen=True)
class SequenceRow:
    """A net for sequences of ``steps`` tokens: ``layers`` of ``units``, before them an embedding of as many, after them
    a dense layer at every step. With ``inputs`` it takes that many floats a step, and answers once, at the end.

    ``kind``: "step" is a training step of a mini-batch, "generate" one token and the state in, logits and the state
    out. ``samples`` is the number of sequences, or of generated tokens; ``wanted`` the ratio to the best peer that the
    project promises, ``share`` the share of the peak.
    """

    name: str
    what: str
    cell: Literal["rnn", "lstm", "transformer"]
    layers: int
    units: int
    steps: int
    batch: int
    samples: int
    kind: Literal["step", "generate"] = "step"
    inputs: int = 0
    classes: int = 65
    heads: int = 4
    hidden: int = 512
    optimizer: str = "Adam"
    wanted: float | None = None
    share: float | None = None
    against: str | None = None
    fused: bool = True

    @property
    def count(self) -> int:
        """How many times the measured thing happens when a job is run over all samples."""
        return self.samples // self.batch


ROWS = (
    SequenceRow("char-rnn", "char RNN 128, batch 32 x 50 steps, Adam", "rnn", 1, 128, 50, 32, 32 * 40, wanted=1.8),
    SequenceRow("char-lstm", "char LSTM 128, batch 32 x 50 steps, Adam", "lstm", 1, 128, 50, 32, 32 * 24,
                wanted=1.3, share=0.75),
    SequenceRow("lstm-2x256", "2-layer LSTM 256, batch 32 x 100 steps, Adam", "lstm", 2, 256, 100, 32, 32 * 4,
                wanted=1.3),
    SequenceRow("lstm-small", "LSTM 64, 16 floats a step, batch 16 x 20, many to one, Adam", "lstm", 1, 64, 20, 16,
                16 * 100, inputs=16, classes=10, wanted=3),
    SequenceRow("transformer", "2-layer Transformer 128, 4 heads, 64 tokens, causal, batch 32, Adam", "transformer", 2,
                128, 64, 32, 32 * 8, wanted=1.2),
    SequenceRow("generate", "LSTM 256, one step of generation", "lstm", 1, 256, 1, 1, 200, "generate", wanted=2),
)  # fmt: skip


def smaller(row: SequenceRow) -> SequenceRow:
    """The same row with little of everything; for tests."""
    few = min(row.batch, 4)
    return replace(row, units=8, steps=min(row.steps, 5), batch=few, samples=4, classes=7, heads=2, hidden=12)


def net(row: SequenceRow) -> nn.Sequential:
    dense = nn.Dense(row.classes)
    if row.cell == "transformer":
        layers = [nn.TransformerBlock(row.heads, row.hidden, causal=True) for _ in range(row.layers)]
        layers = [nn.PositionEmbedding(), *layers, nn.LayerNorm()]
    else:
        make = {"rnn": nn.RNN, "lstm": nn.LSTM}[row.cell]
        layers = [make(row.units, return_sequences=not row.inputs) for _ in range(row.layers)]
    if row.inputs:
        return nn.Sequential(*layers, dense)
    return nn.Sequential(nn.Embedding(row.classes, row.units), *layers, nn.TimeDistributed(dense))


def model(row: SequenceRow, executor: str = "native") -> pel.Model:
    o = OPTIMIZERS[row.optimizer]
    rule = pel.optim.Adam(o["rate"], o["beta_1"], o["beta_2"], o["epsilon"])
    return pel.Model(net(row), "cross_entropy", rule, executor=executor)


def flops(row: SequenceRow) -> int:
    """Direct arithmetic of all products: 2 for each number of an output and each of its inputs.

    In training the same again for the gradient of each weight and each input, but those of floats that are given have
    none. An embedding is taken, not multiplied, but its projection counts for every token, however it is computed; a
    causal attention has the pairs that are not masked.

    >>> each = 2 * 128 * 512 + 128 * 65  # input and recurrent weights of the four gates; the dense layer
    >>> flops(next(r for r in ROWS if r.name == "char-lstm")) == 3 * 2 * each * 50 * 32
    True
    """
    units, given = row.units, 0
    if row.cell == "transformer":
        scores = row.steps * (row.steps + 1) // 2 * units  # and as much for the means of values
        layers = row.layers * (row.steps * (4 * units * units + 2 * units * row.hidden) + 2 * scores)
    else:
        gates = row.steps * units * {"rnn": 1, "lstm": 4}[row.cell]
        given = gates * row.inputs
        layers = gates * ((row.inputs or units) + units + (row.layers - 1) * 2 * units)
    forward = layers + units * row.classes * (1 if row.inputs else row.steps)
    return 2 * row.batch * (forward if row.kind == "generate" else 3 * forward - given)


Weights = Sequence[dict[str, np.ndarray]]


@dataclass(frozen=True)
class SequenceData:
    """The same arrays and first weights for everybody: x (n, steps) tokens or (n, steps, inputs) floats; y (n, steps)
    the next tokens or (n,) classes. ``layers`` are the weights of each of the net's layers by name. To generate, x is
    one token after the other, (n,)."""

    x: np.ndarray
    y: np.ndarray
    layers: Weights

    @cached_property
    def flat(self) -> np.ndarray:
        return self.vector(self.layers)

    def vector(self, layers: Weights) -> np.ndarray:
        """Weights of the same names in one vector, in the order of the net's."""
        pairs = zip(self.layers, layers, strict=True)
        return np.concatenate([np.asarray(theirs[name]).ravel() for ours, theirs in pairs for name in ours])


def data(row: SequenceRow, seed: int = 0) -> SequenceData:
    """Random tokens or normal floats, and what follows them at random; weights are Pellucid's first ones."""
    rng = np.random.default_rng(seed)
    if row.inputs:
        x = rng.standard_normal((row.samples, row.steps, row.inputs), dtype=np.float32)
        y = rng.integers(0, row.classes, row.samples).astype(np.int32)
    else:
        text = rng.integers(0, row.classes, (row.samples, row.steps + 1)).astype(np.int32)
        x, y = text[:, :-1].copy(), text[:, 1:].copy()
    made = model(row, "reference")
    made.fit(x, y, batch_size=row.batch, epochs=0, verbose=0)
    return SequenceData(x[:, 0] if row.kind == "generate" else x, y, by_layer(made.parameters))


def by_layer(parameters: dict[str, np.ndarray]) -> Weights:
    """``layers.K.NAME`` as a list by K of dictionaries by NAME; a layer at every step has the names of the layer.

    >>> by_layer({"layers.0.weight": 1, "layers.1.layer.weight": 2, "layers.1.layer.bias": 3})
    [{'weight': 1}, {'weight': 2, 'bias': 3}]
    """
    found: dict[str, dict] = {}
    for path, value in parameters.items():
        _, k, name = path.split(".", 2)
        found.setdefault(k, {})[name.removeprefix("layer.")] = value
    return list(found.values())
