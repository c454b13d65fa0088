"""What a user writes, with types: a layer, a loss, an optimizer, a callback, estimators, a program, a training.

Checked by mypy and by pyright, and run, in tests/project/test_types.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import pellucid as pel
from pellucid import nn, ops, optim


class Scale(nn.Layer):
    start: float = 1.0
    bias: bool = True

    def __call__(self, x: pel.Value) -> pel.Value:
        y = x * self.param("scale", x.shape, nn.init.zeros) + self.start
        return y + self.param("bias", x.shape, nn.init.zeros) if self.bias else y


class Gated(nn.Layer):
    inner: nn.Layer

    def __call__(self, x: pel.Value, gate: pel.Value) -> pel.Value:
        y: pel.Value = self.inner(x)
        return ops.sigmoid(gate) * y


class Margin(nn.Loss):
    margin: float = 1.0

    def each(self, y: pel.Value, t: pel.Value) -> pel.Value:
        return ops.mean(ops.maximum(abs(y - t) - self.margin, 0), -1)


class SignDescent(optim.Optimizer):
    learning_rate: float = 0.1

    def rule(
        self, p: pel.Value, g: pel.Value, slots: dict[str, pel.Value], rate: pel.Value, step: pel.Value
    ) -> tuple[pel.Value, dict[str, pel.Value]]:
        return p - rate * ops.sign(g), {}


class Until(pel.Callback):
    def __init__(self, loss: float) -> None:
        self.loss = loss
        self.seen: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.seen.append((logs or {})["loss"])
        if self.seen[-1] < self.loss:
            self.model.stop_training = True


def swish(v: pel.Value) -> pel.Value:
    return v * ops.sigmoid(v)


def train() -> dict[str, float]:
    train_set, test_set = pel.data.digits().split(test_size=0.2)
    x, y = train_set
    net = nn.Sequential(
        nn.Dense(8), nn.relu, Scale(0.5, bias=False, name="scale"), swish, nn.Dropout(0.1), nn.Dense(10)
    )
    first: nn.Dense = nn.Dense(units=8, bias=False, weight_init=nn.init.zeros, trainable=True)
    assert first.units == 8
    model = pel.Model(net, loss="cross_entropy", optimizer=optim.Adam(0.003, weight_decay=1e-4), metrics=["accuracy"])
    history = model.fit(x, y, epochs=2, validation_split=0.1, callbacks=[Until(0.1)], verbose=0)
    losses: list[float] = history["loss"]
    best: float = min(losses)
    found = model.evaluate(test_set.x, test_set.y)
    probabilities = model.predict(test_set.x[:2])
    weights: dict[str, npt.NDArray[Any]] = model.parameters
    text: str = str(model) + model.latex()
    assert len(history) == 4 and history.epochs == 2 and weights and text and probabilities.shape == (2, 10)
    model.summary()
    return {"best": best, "accuracy": found["accuracy"]}


def others() -> None:
    x = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
    model = pel.Model(nn.Sequential(nn.Dense(1)), Margin(0.01), SignDescent(0.05), input_shape=(1,))
    model.fit(x, 2 * x, epochs=3, verbose=0)
    rates = model.find_learning_rate(x, 2 * x, steps=10)
    suggestion: float | None = rates.suggestion
    walk = pel.minimize(lambda v: (v - 3) ** 2, 0.0, optim.SGD(0.25), steps=2)
    assert (suggestion is None or suggestion > 0) and walk.points.shape == (3,)


def program() -> float:
    w, x = pel.state("w", (3, 2)), pel.input("x", (2,))
    cost: pel.Value = pel.batch_mean(ops.sum(ops.tanh(ops.dot(w, x)) ** 2))
    step = pel.Program([x], {"cost": cost}, {w: w - 0.1 * pel.grad(cost, w)})
    listing: str = step.listing()
    run = pel.executors.get("reference").compile(step)
    state = {"w": np.ones((3, 2), np.float32)}
    assert listing
    return float(run(state, {"x": np.ones((5, 2), np.float32)})["cost"])


def estimators() -> float:
    from pellucid.neurons import Perceptron
    from pellucid.sklearn import MLPClassifier

    x, y = pel.data.digits()
    classifier: MLPClassifier = MLPClassifier(hidden_layer_sizes=(8,), max_iter=30)
    same = pel.sklearn.MLPClassifier(max_iter=30)
    neuron: Perceptron = pel.neurons.Perceptron()
    assert same.max_iter == 30 and neuron is not None
    classifier.fit(x[:200], y[:200])
    return float(classifier.score(x[:200], y[:200]))
