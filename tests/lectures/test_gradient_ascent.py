"""Lecture 002, "Simplest MLP": z = s(w2 s(w1 x)), its performance P = -1/2 |d - z|^2 climbed by gradient ascent."""

import warnings

import numpy as np
import pytest

import pellucid as pel
from pellucid import nn, ops, optim
from pellucid.executors import reference

ETA = 0.5


def climber():
    """One step uphill: P, both derivatives by the slide's formulas and by `grad`, and w += eta dP/dw."""
    x, d = pel.input("x", (), "float64"), pel.input("d", (), "float64")
    w1, w2 = pel.state("w1", (), "float64"), pel.state("w2", (), "float64")
    y = nn.sigmoid(w1 * x)
    z = nn.sigmoid(w2 * y)
    performance = pel.batch_sum(-0.5 * (d - z) ** 2)
    by_w1, by_w2 = pel.grad(performance, [w1, w2])
    outputs = {
        "P": performance,
        "by_w1": by_w1,
        "by_w2": by_w2,
        "slide_w1": pel.batch_sum((d - z) * z * (1 - z) * w2 * y * (1 - y) * x),
        "slide_w2": pel.batch_sum((d - z) * z * (1 - z) * y),
    }
    return reference.compile(pel.Program([x, d], outputs, {w1: w1 + ETA * by_w1, w2: w2 + ETA * by_w2}))


@pytest.mark.parametrize("w1, w2, x, d", [(0.3, -0.7, 1.5, 0.9), (-1.2, 2.0, 0.4, 0.1), (0.0, 0.0, -1.0, 1.0)])
def test_the_slides_formulas_agree_with_grad_and_p_climbs_lecture_002(w1, w2, x, d):
    step, state, climb = climber(), {"w1": w1, "w2": w2}, []
    for _ in range(200):
        found = step(state, {"x": [x], "d": [d]})
        assert float(found["by_w1"]) == pytest.approx(float(found["slide_w1"]), rel=1e-12, abs=1e-15)
        assert float(found["by_w2"]) == pytest.approx(float(found["slide_w2"]), rel=1e-12, abs=1e-15)
        climb.append(float(found["P"]))
    assert (np.diff(climb) > 0).all()  # uphill at every step
    assert climb[-1] > climb[0] / 4


def test_one_step_by_hand_lecture_002():
    """w1 = w2 = 0, x = 1, d = 1: y = z = 1/2, dP/dw2 = 1/2 * 1/4 * 1/2 = 1/16, dP/dw1 = 0 as w2 = 0."""
    state = {"w1": 0.0, "w2": 0.0}
    found = climber()(state, {"x": [1.0], "d": [1.0]})
    assert (float(found["P"]), float(found["by_w2"]), float(found["by_w1"])) == (-0.125, 0.0625, 0)
    assert (float(state["w1"]), float(state["w2"])) == (0, 0.03125)


@pytest.mark.parametrize("w1, w2, x, d", [(0.3, -0.7, 1.5, 0.9), (-1.2, 2.0, 0.4, 0.1)])
def test_sgd_that_maximizes_is_the_slides_hill_climbing_lecture_002(w1, w2, x, d):
    """theta' = theta + r dP/dtheta by a `Model` alone: its loss is P, and `SGD(r, maximize=True)` climbs."""
    net = nn.Sequential(nn.Dense(1, bias=False), nn.sigmoid, nn.Dense(1, bias=False), nn.sigmoid)
    model = pel.Model(net, lambda z, d: -0.5 * ops.sum((d - z) ** 2), optim.SGD(ETA, maximize=True), dtype="float64",
                      input_shape=(1,))  # fmt: skip
    model.set_parameters({"layers.0.weight": [[w1]], "layers.2.weight": [[w2]]})
    step, state, climb = climber(), {"w1": w1, "w2": w2}, []
    warnings.simplefilter("error")  # a performance that climbs is no loss that explodes
    for _ in range(20):
        found = step(state, {"x": [x], "d": [d]})
        performance = model.fit([[x]], [[d]], verbose=0)["loss"][-1]
        assert performance == pytest.approx(float(found["P"]), rel=1e-12)
        assert model.parameters["layers.0.weight"].item() == pytest.approx(float(state["w1"]), rel=1e-12)
        assert model.parameters["layers.2.weight"].item() == pytest.approx(float(state["w2"]), rel=1e-12)
        climb.append(performance)
    assert (np.diff(climb) > 0).all()
