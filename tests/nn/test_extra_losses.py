"""What layers add to the cost in training, `add_loss` and `add_output`; and nn.AuxiliaryHead."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import GraphError, Model, nn, ops, optim
from pellucid.executors import EXECUTORS

each_executor = pytest.mark.parametrize("executor", EXECUTORS)
RATE = 0.125
X = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.25]])
T = np.array([[1.0], [0.0], [2.0]])


class Small(nn.Layer):
    """x itself, with half its squares added to the cost."""

    weight: float = 1.0

    def __call__(self, x):
        self.add_loss(0.5 * ops.sum(x * x), self.weight)
        return x


class Decay(nn.Layer):
    """w x, with half the square of w added to the cost: one number for all samples."""

    def __call__(self, x):
        w = self.param("w", x.shape, nn.init.constant)
        self.add_loss(ops.sum(w * w), 0.5)
        return w * x


def model(net, loss="half_squared_error", **options):
    return Model(net, loss, optim.SGD(RATE), dtype="float64", seed=3, input_shape=(2,), **options)


def stepped(m, **options):
    """The change of each parameter by one step on all samples."""
    before = m.parameters
    history = m.fit(X, T, batch_size="all", verbose=0, **options)
    return {k: v - before[k] for k, v in m.parameters.items()}, history["loss"][0]


@each_executor
@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 2.0]])
def test_a_loss_of_activations(executor, weights):
    """C = mean_r w_r ((y - t)^2 / 2 + a y^2 / 2), so that dC/db = mean_r w_r ((y - t) + a y)."""
    m = model(nn.Sequential(nn.Dense(1), Small(0.25)), executor=executor)
    y = m.predict(X)
    w = np.ones((3, 1)) if weights is None else np.array(weights)[:, None]
    expected = w * ((y - T) + 0.25 * y)
    change, loss = stepped(m, sample_weight=weights)
    np.testing.assert_allclose(change["layers.0.bias"], -RATE * expected.mean(0), rtol=1e-12)
    np.testing.assert_allclose(change["layers.0.weight"], -RATE * (expected.T @ X) / 3, rtol=1e-12)
    assert loss == pytest.approx(((y - T) ** 2 * w).sum() / 2 / w.sum())  # the loss alone


@each_executor
def test_a_loss_of_weights_counts_once_whatever_the_samples_weigh(executor):
    """At w = 1 its slope is w; that of samples of almost no weight is almost none."""
    change, _ = stepped(model(nn.Sequential(Decay(), nn.Dense(1)), executor=executor), sample_weight=[1e-9] * 3)
    np.testing.assert_allclose(change["layers.0.w"], [-RATE, -RATE], rtol=1e-6)
    assert abs(change["layers.1.weight"]).max() < 1e-8


def with_head(weight, **options):
    return model(nn.Sequential(nn.Dense(3, name="a"), nn.AuxiliaryHead(nn.Dense(1), weight), nn.Dense(1)), **options)


@each_executor
def test_a_head_learns_by_its_share(executor):
    """The head's own slope is that of its loss, times the weight; the layer below has both slopes added."""
    parameters = with_head(0.0).parameters
    m, alone = with_head(0.3, executor=executor), with_head(0.0, executor=executor)
    only = model(nn.Sequential(nn.Dense(3, name="a"), nn.Dense(1)), executor=executor)
    only.set_parameters({"layers.a.weight": parameters["layers.a.weight"], "layers.a.bias": parameters["layers.a.bias"],
                         "layers.1.weight": parameters["layers.1.head.weight"],
                         "layers.1.bias": parameters["layers.1.head.bias"]})  # fmt: skip
    both, loss = stepped(m)
    net, same_loss = stepped(alone)
    head, _ = stepped(only)
    assert loss == pytest.approx(same_loss)
    assert not net["layers.1.head.weight"].any()
    np.testing.assert_allclose(both["layers.1.head.weight"], 0.3 * head["layers.1.weight"], rtol=1e-12)
    np.testing.assert_allclose(both["layers.1.head.bias"], 0.3 * head["layers.1.bias"], rtol=1e-12)
    for name in ("layers.a.weight", "layers.a.bias"):
        np.testing.assert_allclose(both[name], net[name] + 0.3 * head[name], rtol=1e-12)
    for name in ("layers.2.weight", "layers.2.bias"):
        np.testing.assert_allclose(both[name], net[name], rtol=1e-12)


def test_evaluation_and_prediction_leave_the_head_out():
    m = with_head(0.3)
    before = m.predict(X), m.evaluate(X, T)
    zeros = {k: 0 * v for k, v in m.parameters.items() if "head" in k}
    m.set_parameters(zeros)
    assert (m.predict(X) == before[0]).all() and m.evaluate(X, T) == before[1]
    program = m._program("predict")
    assert not [name for name in program.state if "head" in name]


def test_a_frozen_head_stays_but_teaches():
    m = model(nn.Sequential(nn.Dense(3), nn.AuxiliaryHead(nn.Dense(1), trainable=False), nn.Dense(1)))
    change, _ = stepped(m)
    assert not change["layers.1.head.weight"].any()
    assert (change["layers.0.bias"] != stepped(with_head(0.0))[0]["layers.a.bias"]).any()


def test_nothing_is_added_outside_training():
    x = pel.input("x", (2,))
    assert nn.trace(Small(), x).extras == []
    (extra,) = nn.trace(nn.Sequential(Small(2.0)), x, training=True).extras
    assert (extra.path, extra.weight, extra.output) == ("layers.0", 2.0, False)


def test_saved_and_loaded(tmp_path):
    m = with_head(0.3)
    stepped(m)
    m.save(tmp_path / "m.pel")
    again = pel.load(tmp_path / "m.pel")
    for each in (m, again):
        stepped(each)
    assert all((again.parameters[k] == v).all() for k, v in m.parameters.items())


class Vector(nn.Layer):
    def __call__(self, x):
        self.add_loss(x * x)
        return x


def test_bad_additions():
    x = pel.input("x", (2,))
    with pytest.raises(GraphError, match=r"Vector 'layers\.0': add_loss takes one number.*got shape \(2,\); use ops"):
        nn.trace(nn.Sequential(Vector()), x)
    with pytest.raises(GraphError, match="can only be called while a net is traced"):
        Small().add_loss(ops.sum(x))
    wrong = model(nn.Sequential(nn.AuxiliaryHead(nn.Dense(2)), nn.Dense(1)))
    with pytest.raises(GraphError, match=r"'layers\.0' has the output sample float64 \(2,\) for the same target"):
        wrong.fit(X, T, verbose=0)
