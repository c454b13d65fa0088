"""Lecture 001, "Error Backpropagation - Example": the 2-2-2 network of logistic units, each printed number.

Source named on the slide: mattmazur.com, 2015-03-17. Step size 0.5, biases not updated.
"""

from functools import partial

import numpy as np
import pytest

import pellucid as pel
from pellucid import nn, ops, optim
from pellucid.executors import EXECUTORS, reference

W_HIDDEN = np.array([[0.15, 0.20], [0.25, 0.30]])  # w1 w2; w3 w4
W_OUTPUT = np.array([[0.40, 0.45], [0.50, 0.55]])  # w5 w6; w7 w8
B_HIDDEN, B_OUTPUT = 0.35, 0.60
X, T = np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]])
RATE = 0.5


def network():
    """Values by the names of the lecture, and the total error."""
    x, t = pel.input("x", (2,), "float64"), pel.input("t", (2,), "float64")
    w_hidden, w_output = pel.state("w_hidden", (2, 2), "float64"), pel.state("w_output", (2, 2), "float64")
    net_h = ops.dot(w_hidden, x) + B_HIDDEN
    out_h = nn.sigmoid(net_h)
    net_o = ops.dot(w_output, out_h) + B_OUTPUT
    out_o = nn.sigmoid(net_o)
    error = 0.5 * (t - out_o) ** 2
    values = {"net_h": net_h, "out_h": out_h, "net_o": net_o, "out_o": out_o, "error": error}
    return [x, t], [w_hidden, w_output], values, pel.batch_sum(ops.sum(error))


def first_weights():
    return {"w_hidden": W_HIDDEN.copy(), "w_output": W_OUTPUT.copy()}


@pytest.fixture(scope="module")
def numbers():
    """Everything that the example prints, by one run: values, deltas, gradients, and the weights after the step."""
    inputs, weights, values, cost = network()
    # the deltas: the derivative of the error with respect to the net inputs of units, sample by sample
    delta_o, delta_h, by_hidden, by_output = pel.grad(cost, [values["net_o"], values["net_h"], *weights])
    outputs = values | {"delta_o": delta_o, "delta_h": delta_h, "by_hidden": by_hidden, "by_output": by_output}
    updates = {w: w - RATE * g for w, g in zip(weights, [by_hidden, by_output], strict=True)}
    state = first_weights()
    found = reference.compile(pel.Program(inputs, outputs | {"total": cost}, updates))(state, {"x": X, "t": T})
    return {name: a[0] if a.ndim and name[:2] != "by" else a for name, a in found.items()} | state


@pytest.mark.parametrize(
    "name, printed",
    [
        ("net_h", [0.3775, 0.3925]),
        ("out_h", [0.593269992, 0.596884378]),
        ("out_o", [0.75136507, 0.772928465]),
        ("error", [0.274811083, 0.023560026]),
        ("total", 0.298371109),
        ("delta_o", [0.13849856, -0.03809824]),
        ("delta_h", [0.00877135, 0.00995425]),
        ("by_output", [[0.08216704, 0.08266763], [-0.02260254, -0.02274024]]),
        ("by_hidden", [[0.00043857, 0.00087714], [0.00049771, 0.00099543]]),
        ("w_output", [[0.35891648, 0.408666186], [0.511301270, 0.561370121]]),
        ("w_hidden", [[0.149780716, 0.19956143], [0.24975114, 0.29950229]]),
    ],
)
def test_one_step_lecture_001(numbers, name, printed):
    np.testing.assert_allclose(numbers[name], printed, atol=6e-9, rtol=0)  # half a unit of the last printed digit


def test_the_slides_formulas_for_delta_lecture_001(numbers):
    """Output: o(1-o)(t-o); hidden: o(1-o) sum_k delta_k w_jk. The slide's delta is minus dE/dnet."""
    o, h = numbers["out_o"], numbers["out_h"]
    delta_o = o * (1 - o) * (T[0] - o)
    delta_h = h * (1 - h) * (delta_o @ W_OUTPUT)
    np.testing.assert_allclose(delta_o, -numbers["delta_o"], rtol=1e-12)
    np.testing.assert_allclose(delta_h, -numbers["delta_h"], rtol=1e-12)
    np.testing.assert_allclose(np.outer(delta_o, h), -numbers["by_output"], rtol=1e-12)
    np.testing.assert_allclose(np.outer(delta_h, X[0]), -numbers["by_hidden"], rtol=1e-12)


def test_error_after_one_and_after_10000_steps_lecture_001():
    """0.291027774 after 1 step; 0.0000351019 with outputs 0.0159136, 0.984064 after 10,000."""
    inputs, weights, values, cost = network()
    updates = {w: w - RATE * g for w, g in zip(weights, pel.grad(cost, weights), strict=True)}
    step = reference.compile(pel.Program(inputs, {"total": cost}, updates))
    look = reference.compile(pel.Program(inputs, {"total": cost, "out_o": values["out_o"]}))
    state, sample = first_weights(), {"x": X, "t": T}
    step(state, sample)
    assert float(look(state, sample)["total"]) == pytest.approx(0.291027774, abs=5e-10)
    step.steps(state, sample, np.zeros(9_999, int), 1)  # the one sample, 9,999 times more
    found = look(state, sample)
    assert float(found["total"]) == pytest.approx(0.0000351019, rel=2e-6)
    np.testing.assert_allclose(found["out_o"][0], [0.0159136, 0.984064], rtol=4e-6)


def the_model(executor="native"):
    """The network of the lecture as a `Model`, with its first weights; the biases stay."""

    def layer(weights, bias):
        return nn.Dense(2, weight_init=partial(nn.init.constant, value=weights),
                        bias_init=partial(nn.init.constant, value=bias), train_bias=False)  # fmt: skip

    net = nn.Sequential(layer(W_HIDDEN, B_HIDDEN), nn.sigmoid, layer(W_OUTPUT, B_OUTPUT), nn.sigmoid)
    return pel.Model(net, "half_squared_error", optim.SGD(RATE), dtype="float64", executor=executor, input_shape=(2,))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_every_digit_by_a_model_alone_lecture_001(executor):
    """What the example prints, from `layer_outputs`, `fit`, `evaluate` and `predict`."""

    def printed(found, digits):
        np.testing.assert_allclose(found, digits, atol=6e-9, rtol=0)

    model = the_model(executor)
    forward = {name: a[0] for name, a in model.layer_outputs(X).items()}
    printed(forward["layers.0"], [0.3775, 0.3925])
    printed(forward["layers.1"], [0.593269992, 0.596884378])
    printed(forward["layers.3"], [0.75136507, 0.772928465])
    printed(0.5 * (T - model.predict(X)) ** 2, [[0.274811083, 0.023560026]])
    before = {name: np.array(w) for name, w in model.parameters.items()}
    assert model.fit(X, T, verbose=0)["loss"] == pytest.approx([0.298371109], abs=5e-10)
    after = model.parameters
    printed(after["layers.2.weight"], [[0.35891648, 0.408666186], [0.511301270, 0.561370121]])
    printed(after["layers.0.weight"], [[0.149780716, 0.19956143], [0.24975114, 0.29950229]])
    slopes = {name: (before[name] - after[name]) / RATE for name in before}  # w' = w - 0.5 dE/dw
    printed(slopes["layers.2.weight"], [[0.08216704, 0.08266763], [-0.02260254, -0.02274024]])
    printed(slopes["layers.0.weight"], [[0.00043857, 0.00087714], [0.00049771, 0.00099543]])
    assert after["layers.0.bias"].tolist() == [0.35, 0.35] and after["layers.2.bias"].tolist() == [0.60, 0.60]
    assert model.evaluate(X, T)["loss"] == pytest.approx(0.291027774, abs=5e-10)


def test_10000_steps_by_a_model_alone_lecture_001():
    model = the_model()
    model.fit(np.repeat(X, 10_000, 0), np.repeat(T, 10_000, 0), batch_size=1, verbose=0)  # the one sample, each step
    assert model.evaluate(X, T)["loss"] == pytest.approx(0.0000351019, rel=2e-6)
    np.testing.assert_allclose(model.predict(X)[0], [0.0159136, 0.984064], rtol=4e-6)
    assert model.parameters["layers.0.bias"].tolist() == [0.35, 0.35]
