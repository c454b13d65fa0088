"""A net whose weights do not depend on its input's size takes samples of other sizes; others say why not."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import GraphError, Model, nn

X, Y = np.random.default_rng(0).normal(size=(12, 1, 8, 8)).astype("float32"), np.arange(12) % 3
BIG = np.random.default_rng(1).normal(size=(5, 1, 12, 10)).astype("float32")


def net():
    return nn.Sequential(nn.Conv(4, 3), nn.relu, nn.MaxPool(2), nn.Conv(5, 1), nn.GlobalAvgPool(), nn.Dense(3))


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_predict_evaluate_and_layer_outputs(executor, tmp_path):
    model = Model(net(), "cross_entropy", metrics=["accuracy"], executor=executor)
    model.fit(X, Y, epochs=1, verbose=0)
    built = Model(model.net, "cross_entropy", metrics=["accuracy"], executor="reference", input_shape=BIG.shape[1:])
    built.set_parameters(model.parameters)
    np.testing.assert_allclose(model.predict(BIG), built.predict(BIG), rtol=1e-5)
    assert model.evaluate(BIG, Y[:5]) == pytest.approx(built.evaluate(BIG, Y[:5]), rel=1e-5)
    assert model.layer_outputs(BIG)["layers.2"].shape == (5, 4, 5, 4)
    runs = len(model._runs)
    before = model.predict(X)
    assert len(model._runs) == runs + 1 and (model.predict(X) == before).all()
    model.predict(BIG)
    assert len(model._runs) == runs + 1, "programs are kept for each shape"
    model.save(tmp_path / "net.pel")
    np.testing.assert_array_equal(pel.load(tmp_path / "net.pel", executor=executor).predict(BIG), model.predict(BIG))


def test_outputs_of_another_size():
    """Targets are checked against the output that the net has for these samples."""
    model = Model(nn.Conv(1, 3, padding="same"), "mse", input_shape=(1, 8, 8))
    assert model.predict(BIG).shape == BIG.shape
    assert model.evaluate(BIG, BIG)["loss"] > 0
    with pytest.raises(
        pel.DataError, match=r"y has shape \(1, 8, 8\) for each sample, but .* output has \(1, 12, 10\)"
    ):
        model.evaluate(BIG, X[:5])


def test_training_goes_on_with_another_size():
    model = Model(net(), "cross_entropy")
    model.fit(X, Y, epochs=1, verbose=0)
    before = model.parameters
    model.fit(BIG, Y[:5], epochs=1, validation_data=(X, Y), verbose=0)
    assert model.history.epochs == 2
    assert all((value != before[name]).any() for name, value in model.parameters.items())


FLAT = nn.Sequential(nn.Conv(4, 3), nn.Flatten(), nn.Dense(3))
CASES = {
    "flat": (FLAT, (1, 8, 8), BIG, r"\(1, 12, 10\), but the net was built for \(1, 8, 8\); 'layers\.2\.weight' has "
             r"shape \(3, 144\) and would need \(3, 320\) \(a net with nn\.GlobalAvgPool\(\) in the place of"),
    "channels": (net(), (1, 8, 8), np.zeros((2, 3, 8, 8)), r"'layers\.0\.weight' .* would need \(4, 3, 3, 3\)$"),
    "windows": (net(), (1, 8, 8), X[:, :, :7], r"built for .*; MaxPool 'layers\.2': windows of 2 .* do not fit"),
    "too small": (net(), (1, 8, 8), X[:, :, :2], r"Conv 'layers\.0': windows of 3 are larger than an axis of 2"),
    "channels last": (net(), (3, 8, 8), np.zeros((2, 8, 8, 3)), r"channels first: x\.transpose\(0, 3, 1, 2\)$"),
    "no channels": (net(), (1, 8, 8), X[:, 0], r"the channel axis is missing: x\[:, None\]$"),
    "one sample": (net(), (1, 8, 8), X[0], r"a single sample needs a leading axis: x\[None\]$"),
}  # fmt: skip


@pytest.mark.parametrize("net, shape, x, text", CASES.values(), ids=list(CASES))
def test_sizes_that_cannot_be(net, shape, x, text):
    model = Model(net, "cross_entropy", input_shape=shape)
    with pytest.raises(GraphError, match=text):
        model.predict(x)
    assert not model._others and not model._runs
