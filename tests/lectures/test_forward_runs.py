"""Networks run forward by hand: lecture 001, the second exercise; lecture 003, "Let's do a simple forward run".

The figures with the weights did not come down to us, so the weights here are our own; the activation functions and the
sample are the slides'.
"""

import numpy as np
import pytest

import pellucid as pel
from pellucid import nn


def network(activation, hidden, output, loss="mse", **options):
    layers = [nn.Dense(len(w), bias=False) for w in (hidden, output)]
    net = nn.Sequential(layers[0], activation, layers[1], activation)
    model = pel.Model(net, loss=loss, dtype="float64", input_shape=(2,), **options)
    model.set_parameters({"layers.0.weight": hidden, "layers.2.weight": output})
    return model


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_units_of_signs_with_0_at_0_lecture_001(executor):
    """f(S) = sign(S): -1 for negative S, +1 for positive, 0 for S = 0; the hidden nodes' outputs are shown, too."""
    model = network(nn.sign, [[1.0, 1.0], [1.0, -1.0]], [[1.0, 1.0]], executor=executor)
    cases = {  # inputs: S and output of each hidden node, S and output of Y
        (1.0, 1.0): ([2, 0], [1, 0], [1], [1]),
        (1.0, -1.0): ([0, 2], [0, 1], [1], [1]),
        (-1.0, 1.0): ([0, -2], [0, -1], [-1], [-1]),
        (-1.0, -1.0): ([-2, 0], [-1, 0], [-1], [-1]),
        (0.0, 1.0): ([1, -1], [1, -1], [0], [0]),
        (0.0, 0.0): ([0, 0], [0, 0], [0], [0]),
    }
    found = model.layer_outputs(np.array(list(cases)))
    for row, expected in enumerate(cases.values()):
        assert [found[f"layers.{k}"][row].tolist() for k in range(4)] == [list(map(float, e)) for e in expected]
    np.testing.assert_array_equal(model.predict(np.array(list(cases))), found["layers.3"])


def test_0_comes_of_0_alone_lecture_001():
    """A sum that is not 0 has a sign, however small it is."""
    model = network(nn.sign, [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]])
    tiny = np.array([[1e-300, 0.0], [-1e-300, 0.0], [0.0, 0.0], [-0.0, 0.0]])
    assert model.predict(tiny)[:, 0].tolist() == [1, -1, 0, 0]


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_a_simple_forward_run_lecture_003(executor):
    """(x, y) = ([0.5, 0.1], 1): net inputs, outputs and error, each computed by hand."""
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    model = network(nn.sigmoid, [[0.1, 0.2], [0.3, 0.4]], [[0.5, 0.6]], loss="half_squared_error", executor=executor)
    found = {name: values[0] for name, values in model.layer_outputs([[0.5, 0.1]]).items()}
    np.testing.assert_allclose(found["layers.0"], [0.1 * 0.5 + 0.2 * 0.1, 0.3 * 0.5 + 0.4 * 0.1], rtol=1e-12)
    h = sigmoid(np.array([0.07, 0.19]))
    np.testing.assert_allclose(found["layers.1"], h, rtol=1e-12)
    np.testing.assert_allclose(found["layers.1"], [0.5175, 0.5474], atol=5e-5)
    z = 0.5 * h[0] + 0.6 * h[1]
    np.testing.assert_allclose(found["layers.2"], [z], rtol=1e-12)
    np.testing.assert_allclose(found["layers.3"], [sigmoid(z)], rtol=1e-12)
    assert model.evaluate([[0.5, 0.1]], [[1.0]])["loss"] == pytest.approx((1 - sigmoid(z)) ** 2 / 2, rel=1e-12)
    # for a class: -log P1, binary cross-entropy as the lecture has it
    net = nn.Sequential(nn.Dense(2, bias=False), nn.sigmoid, nn.Dense(1, bias=False))
    likely = pel.Model(net, "binary_cross_entropy", dtype="float64", input_shape=(2,), executor=executor)
    likely.set_parameters(model.parameters)
    assert likely.evaluate([[0.5, 0.1]], [1])["loss"] == pytest.approx(-np.log(sigmoid(z)), rel=1e-12)
