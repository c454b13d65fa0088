"""Several nets in one that predict together, and inputs in pieces: `nn.MemberDense`, `nn.MemberMean`, `nn.Pieces`."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import nn, optim

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype("float32")
LOSSES = {  # targets, outputs
    "mse": (RNG.normal(size=(40, 2)).astype("float32"), 2),
    "cross_entropy": (RNG.integers(0, 3, 40), 3),
    "binary_cross_entropy": (RNG.integers(0, 2, (40, 2)).astype("float32"), 2),
    "poisson": (RNG.poisson(2, (40, 2)).astype("float32"), 2),
}


def several(loss: str, outputs: int, **options) -> pel.Model:
    net = nn.Sequential(nn.MemberDense(5, 3), nn.tanh, nn.MemberDense(outputs, 3), nn.MemberMean(loss))
    return pel.Model(net, loss, optim.SGD(0.1), seed=1, input_shape=(3,), **options)


def alone(model: pel.Model, member: int, loss: str, outputs: int) -> pel.Model:
    """The same member as a net of its own."""
    one = pel.Model(nn.Sequential(nn.Dense(5), nn.tanh, nn.Dense(outputs)), loss, optim.SGD(0.1), input_shape=(3,))
    values = [value[member] for value in model.parameters.values()]
    one.set_parameters(dict(zip(one.parameters, values, strict=True)))
    return one


@pytest.mark.parametrize("loss", LOSSES)
def test_each_member_learns_as_if_it_were_alone(loss):
    y, outputs = LOSSES[loss]
    model = several(loss, outputs)
    each = [alone(model, m, loss, outputs) for m in range(3)]
    for one in each:
        one.optimizer = optim.SGD(0.1 / 3)  # the cost is the members' mean
        one = one.fit(X, y, batch_size="all", epochs=5, shuffle=False, verbose=0)
    model.fit(X, y, batch_size="all", epochs=5, shuffle=False, verbose=0)
    for m in range(3):
        found = [value[m] for value in model.parameters.values()]
        for a, b in zip(found, each[m].parameters.values(), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def test_they_predict_the_mean_and_are_judged_by_it():
    y, outputs = LOSSES["mse"]
    model = several("mse", outputs)
    each = np.stack([alone(model, m, "mse", outputs).predict(X) for m in range(3)])
    np.testing.assert_allclose(model.predict(X), each.mean(0), rtol=1e-5, atol=1e-6)
    assert model.evaluate(X, y)["loss"] == pytest.approx(((each.mean(0) - y) ** 2).mean(), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_native_is_the_reference(loss):
    y, outputs = LOSSES[loss]
    models = [several(loss, outputs, executor=name, dtype="float64") for name in ("native", "reference")]
    for model in models:
        model.fit(X, y, batch_size=16, epochs=2, verbose=0)
    for a, b in zip(*(model.parameters.values() for model in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_pieces_are_a_bent_scale():
    x = np.array([[0.0, 5.0], [1.5, 5.0], [4.0, -5.0], [9.0, 0.0]], np.float32)
    model = pel.Model(nn.Sequential(nn.Pieces(4, (0,))), "mse", input_shape=(2,))
    expected = [[-1, 5, 0, 0, 0, 0], [-0.25, 5, 1, 0.5, 0, 0], [1, -5, 1, 1, 1, 1], [3.5, 0, 1, 1, 1, 1]]
    np.testing.assert_allclose(model.predict(x), expected)


def test_saved_and_loaded(tmp_path):
    net = nn.Sequential(nn.Pieces(4, (0, 2)), nn.MemberDense(5, 2), nn.relu, nn.MemberDense(1, 2), nn.MemberMean())
    model = pel.Model(net, "mse", input_shape=(3,))
    model.save(tmp_path / "net.pel")
    np.testing.assert_array_equal(pel.load(tmp_path / "net.pel").predict(X), model.predict(X))


@pytest.mark.parametrize("make, shape, said", [
    (lambda: nn.MemberDense(4, 3), (2, 5), "one for each of the 3 members"),
    (lambda: nn.MemberMean(), (5,), "the outputs of several members"),
    (lambda: nn.MemberMean("mae"), (2, 5), "loss must be one of"),
    (lambda: nn.Pieces(4, (0, 3)), (3,), r"the columns \(0, 3\)"),
    (lambda: nn.Pieces(4, (0, 0)), (3,), "each once"),
    (lambda: nn.Pieces(4, (-1,)), (3,), "whole numbers >= 0"),
])  # fmt: skip
def test_what_is_wrong_is_told(make, shape, said):
    with pytest.raises((pel.ArgumentError, pel.GraphError), match=said):
        nn.trace(make(), pel.input("x", shape))
