"""Convolutions, poolings and small networks of them: native as the reference, and for any number of threads."""

import numpy as np
import pytest
from conv_cases import together
from native_tools import LANES, agree, with_slopes
from tools import distinct

import pellucid as pel
from pellucid import Model, nn, ops, optim

QUICK, TOGETHER = 120, 8  # cases, of which some are one program: it is making programs that takes time


def check(seeds, width: int, dtype: str) -> None:
    program, arrays = together(seeds, dtype, width + 3)
    agree(program, arrays, batch=width + 3, width=width, threads=1)


@pytest.mark.parametrize("first", range(0, QUICK, TOGETHER))
def test_drawn_cases(first):
    seeds = range(1000 + first, 1000 + first + TOGETHER)
    check(seeds, (LANES, 4, 8)[first // TOGETHER % 3], "float64" if first % (4 * TOGETHER) == 0 else "float32")


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 800, TOGETHER))
def test_many_drawn_cases(first):
    check(range(5000 + first, 5000 + first + TOGETHER), (16, 4, 8)[first // TOGETHER % 3], "float32")


# ---- networks ---------------------------------------------------------------------------------------------------

DIGITS = pel.data.digits(images=True)
X, Y = DIGITS.x[:96], DIGITS.y[:96]
TABLE = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1]])
NETS = {
    "LeNet": nn.Sequential(
        nn.Conv(4, 3, padding="same"), nn.tanh, nn.AvgPool(2), nn.Conv(5, 3, mask=TABLE), nn.tanh, nn.MaxPool(2),
        nn.Flatten(), nn.Dense(10),
    ),
    "strided": nn.Sequential(
        nn.Conv(6, 3, strides=2, padding=1, floor=True), nn.relu, nn.Conv(6, 2, groups=3, dilation=2), nn.relu,
        nn.GlobalMaxPool(), nn.Dense(10),
    ),
    "depthwise": nn.Sequential(
        nn.Conv(4, 1), nn.relu, nn.DepthwiseConv(3, 2, padding="same", bias=False), nn.relu,
        nn.MaxPool(3, 2, padding="same"), nn.GlobalAvgPool(), nn.Dense(10),
    ),
    "there and back": nn.Sequential(
        nn.Conv(3, 3, strides=2, padding="same", floor=True), nn.relu, nn.ConvTranspose(3, 3, 2, "same"), nn.relu,
        nn.AvgPool(2), nn.UpSample(2, "bilinear"), nn.ZeroPad(1), nn.Conv(2, 3, strides=3, floor=True), nn.Flatten(),
        nn.Dense(10),
    ),
    "signals": nn.Sequential(
        nn.Reshape((8, 8)), nn.Conv(6, (3,)), nn.relu, nn.MaxPool((2,)), nn.Flatten(), nn.Dense(10)
    ),
    "volumes": nn.Sequential(
        nn.Reshape((1, 4, 4, 4)), nn.Conv(3, 2), nn.relu, nn.MaxPool(2, strides=1), nn.Flatten(), nn.Dense(10)
    ),
}  # fmt: skip


def fitted(net, **options):
    model = Model(net, "cross_entropy", optim.Adam(0.01), metrics=["accuracy"], **options)
    model.fit(X, Y, batch_size=40, epochs=2, verbose=0)
    return model


@pytest.mark.parametrize("net", NETS.values(), ids=list(NETS))
def test_training(net, tmp_path):
    """As the reference to rounding; the same bits for any number of threads, and after saving."""
    expected, models = fitted(net, executor="reference"), [fitted(net, executor="native", threads=n) for n in (1, 2, 3)]
    for name, value in expected.parameters.items():
        np.testing.assert_allclose(models[0].parameters[name], value, rtol=1e-3, atol=1e-4, err_msg=name)
    assert models[0].history["loss"] == pytest.approx(expected.history["loss"], rel=1e-4)
    for other in models[1:]:
        assert other.history["loss"] == models[0].history["loss"]
        for name, value in models[0].parameters.items():
            assert (value == other.parameters[name]).all(), name
    models[0].save(tmp_path / "net.pel")
    again = pel.load(tmp_path / "net.pel", executor="native")
    assert (again.predict(X) == models[0].predict(X)).all()


@pytest.mark.parametrize("groups", [1, 2])
def test_a_kernel_for_each_sample(groups):
    """And its gradient, which is one for each sample too."""
    x, w = pel.input("x", (4, 5, 6), "float64"), pel.input("w", (6, 4 // groups, 2, 3), "float64")
    y = ops.correlate(x, w, padding=1, groups=groups, strides=(2, 1), floor=True)
    outputs = dict(zip(("y", "x", "w"), with_slopes(y, [x, w]), strict=True))
    agree(pel.Program([x, w], outputs), {"x": distinct((19, 4, 5, 6)), "w": distinct((19, *w.shape), 1)})


def test_a_shortcut_with_padded_channels_and_pooling_that_leaves_a_rest():
    """The pool takes a part of the sum of a padded value and another."""
    x, w = pel.input("x", (2, 5, 5), "float64"), pel.state("w", (4, 2, 3, 3), "float64")
    y = ops.pad(x, [(1, 1), (0, 0), (0, 0)]) + ops.correlate(x, w, padding="same")
    outputs = dict(zip(("y", "x", "w"), with_slopes(ops.max_pool(y, 2, floor=True), [x, w]), strict=True))
    agree(pel.Program([x], outputs), {"x": distinct((3, 2, 5, 5))}, {"w": distinct((4, 2, 3, 3), 1)})
