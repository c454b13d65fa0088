"""Convolution as a matrix, linear layers as one, locally connected layers, receptive fields, equivariance to shifts."""

import numpy as np
import pytest
from native_tools import agree
from tools import check_gradient, distinct, substituted

import pellucid as pel
from pellucid import ArgumentError, GraphError, Model, nn, ops, optim

N = 3
CONVS = {
    "plain": (nn.Conv(2, 3, bias=False), (2, 6, 5)),
    "strides and padding": (nn.Conv(3, (2, 3), strides=(2, 1), padding=((1, 0), 1), bias=False), (2, 5, 4)),
    "dilation": (nn.Conv(2, 2, dilation=2, padding="same", bias=False), (1, 5, 6)),
    "groups": (nn.Conv(4, 2, groups=2, bias=False), (4, 3, 3)),
    "one axis": (nn.Conv(2, (3,), strides=2, floor=True, bias=False), (2, 8)),
    "three axes": (nn.Conv(2, 2, bias=False), (1, 3, 3, 4)),
    "depthwise": (nn.DepthwiseConv(2, multiplier=2, bias=False), (3, 4, 4)),
}


# ---- a convolution is a matrix ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONVS)
def test_a_convolution_is_its_matrix(name):
    layer, shape = CONVS[name]
    model = Model(layer, "mse", dtype="float64", input_shape=shape)
    x, y = distinct((N, *shape)), model.predict(distinct((N, *shape)))
    m = nn.conv_matrix(layer, model.parameters["weight"], shape)
    assert m.output == y.shape[1:] and m.matrix.shape == (y[0].size, x[0].size)
    np.testing.assert_allclose(x.reshape(N, -1) @ m.matrix.T, y.reshape(N, -1), rtol=1e-12, atol=1e-12)
    assert m.weights == model.parameters["weight"].size and m.empty == (m.index < 0).sum() == (m.matrix == 0).sum()
    assert m.shared.sum() + m.empty == m.matrix.size


def test_shared_and_empty_entries_are_counted():
    """3x3 over 5x5: 9 weights stand in 9 places each, 81 of 9 * 25 entries; a dense layer would have 225 weights."""
    m = nn.conv_matrix(nn.Conv(1, 3), distinct((1, 1, 3, 3)), (1, 5, 5))
    assert (m.weights, m.empty, m.shared.tolist()) == (9, 225 - 81, [9] * 9)


def test_what_conv_matrix_refuses():
    with pytest.raises(ArgumentError, match=r"conv_matrix takes an nn.Conv or nn.DepthwiseConv, got Dense\(3\)"):
        nn.conv_matrix(nn.Dense(3), np.ones((3, 2)), (2,))
    with pytest.raises(GraphError, match=r"kernel of shape \(1, 2, 3, 3\).*does not fit an input of shape \(1, 5, 5\)"):
        nn.conv_matrix(nn.Conv(1, 3), np.ones((1, 2, 3, 3)), (1, 5, 5))
    with pytest.raises(GraphError, match="floor"):
        nn.conv_matrix(nn.Conv(1, 2, strides=2), np.ones((1, 1, 2, 2)), (1, 5, 5))


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_equivariance_to_shifts_of_convolutions_and_of_no_other_layer(executor):
    """A shifted picture has a shifted map of responses. A layer whose weights are not shared does not do that."""
    x = np.zeros((1, 2, 12, 12))
    x[:, :, 3:7, 2:6] = distinct((1, 2, 4, 4))
    shifted = np.roll(x, (3, 4), (2, 3))  # nothing but zeros comes around the border
    for layer, same in ((nn.Conv(3, 3, padding=1), True), (nn.LocallyConnected(3, 3, padding=1), False)):
        model = Model(layer, "mse", dtype="float64", input_shape=x.shape[1:], executor=executor, seed=1)
        found = np.allclose(model.predict(shifted), np.roll(model.predict(x), (3, 4), (2, 3)), atol=1e-12)
        assert found == same


# ---- linear layers are one --------------------------------------------------------------------------------------

LINEAR = {
    "dense": (nn.Sequential(nn.Dense(8), nn.Dense(5), nn.linear, nn.Dense(2)), (3,)),
    "one": (nn.Dense(2, bias=False), (3,)),
    "nested, dropout": (nn.Sequential(nn.Sequential(nn.Dense(4, name="a"), nn.Dropout(0.5)), nn.Dense(2)), (3,)),
    "convolutions": (
        nn.Sequential(nn.Conv(3, 3, padding=1), nn.Conv(2, 2, strides=2), nn.Flatten(), nn.Dense(4)),
        (2, 4, 4),
    ),
    "a picture": (nn.Sequential(nn.Conv(3, 3), nn.DepthwiseConv(2)), (1, 5, 5)),
    "masked": (nn.Sequential(nn.Dense(2, mask=np.array([[1, 0, 1], [0, 1, 1]])), nn.Dense(2)), (3,)),
    "reshaped": (nn.Sequential(nn.Dense(8), nn.Reshape((2, -1)), nn.Flatten(), nn.Dense(1)), (3,)),
}


@pytest.mark.parametrize("name", LINEAR)
def test_linear_layers_collapse_into_one(name):
    net, shape = LINEAR[name]
    model = Model(net, "mse", optim.SGD(0.01), dtype="float64", input_shape=shape)
    x = distinct((6, *shape))
    model.fit(x, np.ones_like(model.predict(x)), epochs=2, verbose=0)  # biases that are not 0
    one = nn.collapse(model)
    layers = one.layers if isinstance(one, nn.Sequential) else (one,)
    assert [type(layer) for layer in layers].count(nn.Dense) == 1 and len(layers) <= 3
    again = Model(one, "mse", dtype="float64", input_shape=shape)
    np.testing.assert_allclose(again.predict(x), model.predict(x), rtol=1e-10, atol=1e-12)
    other = Model(nn.collapse(net, model.parameters, shape), "mse", dtype="float64", input_shape=shape)
    assert (other.predict(x) == again.predict(x)).all()


@pytest.mark.parametrize(
    "net, message",
    [
        (nn.Sequential(nn.Dense(3), nn.tanh, nn.Dense(2)), r"collapse: 'layers.1' is tanh, not one of the linear"),
        (nn.Sequential(nn.Dense(3), nn.Sequential("relu")), r"collapse: 'layers.1.layers.0' is relu"),
        (nn.Sequential(nn.Dense(3), nn.BatchNorm(name="norm")), "collapse: 'layers.norm' is BatchNorm"),
        (nn.Flatten(), "the net has no layers with weights"),
    ],
)
def test_what_stands_between_is_named(net, message):
    with pytest.raises(GraphError, match=message):
        nn.collapse(Model(net, "mse", input_shape=(3,)))


MASKS = {
    "dense": (nn.Dense(2, mask=[[1, 0, 1], [0, 1, 1]]), (3,)),
    "kernels": (nn.Conv(2, 2, mask=[[1, 0], [0, 1]]), (2, 3, 3)),
    "elements": (nn.DepthwiseConv(2, mask=np.array([[[[1, 0], [1, 1]]], [[[0, 1], [1, 1]]]])), (2, 3, 3)),
}


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_counts_whatever_the_weights_are(name):
    layer, shape = MASKS[name]
    model = Model(layer, "mse", dtype="float64", input_shape=shape)
    w = distinct(model.parameters["weight"].shape) + 1  # 0 nowhere
    model.set_parameters({"weight": w})
    x = distinct((N, *shape))
    one = Model(nn.collapse(model), "mse", dtype="float64", input_shape=shape)
    np.testing.assert_allclose(one.predict(x), model.predict(x), rtol=1e-12)
    if name != "dense":
        found = nn.conv_matrix(layer, w.tolist(), shape).matrix @ x.reshape(N, -1).T  # its biases are 0
        np.testing.assert_allclose(found.T, model.predict(x).reshape(N, -1), rtol=1e-12)
        with pytest.raises(GraphError, match=r"the mask has shape \(.*, the weight \(5, 1, 2, 2\)"):
            nn.conv_matrix(layer, np.ones((5, 1, 2, 2)), shape)


def test_a_layer_in_two_places_has_its_weights_at_the_first():
    layer, part = nn.Dense(3), nn.Sequential(nn.Dense(3), nn.linear)
    net = nn.Sequential(layer, part, layer, part, nn.Dense(2))
    model = Model(net, "mse", dtype="float64", input_shape=(3,))
    x = distinct((N, 3))
    one = Model(nn.collapse(model), "mse", dtype="float64", input_shape=(3,))
    np.testing.assert_allclose(one.predict(x), model.predict(x), rtol=1e-10)


def test_what_collapse_needs():
    net = nn.Dense(2)
    with pytest.raises(
        ArgumentError, match=r"collapse takes a pellucid.Model, or a net with its weights.*got Dense\(2\)"
    ):
        nn.collapse(net)
    with pytest.raises(ArgumentError, match="give input_shape"):
        nn.collapse(net, {"weight": np.ones((2, 3)), "bias": np.zeros(2)})
    with pytest.raises(GraphError, match="there is no parameter 'weight'; there are kernel"):
        nn.collapse(net, {"kernel": np.ones((2, 3))}, (3,))
    with pytest.raises(GraphError, match=r"takes 3 numbers, and what stands before gives \(4,\)"):
        nn.collapse(net, {"weight": np.ones((2, 3)), "bias": np.zeros(2)}, (4,))


# ---- locally connected layers -----------------------------------------------------------------------------------

LOCAL = {
    "plain": (nn.LocallyConnected(2, 3), (2, 5, 4)),
    "strides and padding": (nn.LocallyConnected(2, (2, 3), strides=(2, 1), padding=((1, 0), 1)), (2, 5, 4)),
    "same, dilation": (nn.LocallyConnected(2, 2, padding="same", dilation=2, bias=False), (1, 4, 4)),
    "one axis": (nn.LocallyConnected(3, (3,), strides=2, floor=True), (2, 8)),
    "three axes": (nn.LocallyConnected(1, 2), (1, 3, 3, 3)),
}
each_local = pytest.mark.parametrize("name", LOCAL)


def conv_like(layer):
    """The convolution with the same options."""
    return nn.Conv(layer.filters, layer.kernel_size, layer.strides, layer.padding, layer.dilation, bias=layer.bias,
                   floor=layer.floor)  # fmt: skip


@each_local
def test_with_the_same_kernel_at_each_place_it_is_a_convolution(name):
    layer, shape = LOCAL[name]
    conv, local = (Model(net, "mse", dtype="float64", input_shape=shape) for net in (conv_like(layer), layer))
    x = distinct((N, *shape))
    y = conv.predict(x)
    places = y[0, 0].size
    kernel = conv.parameters["weight"]
    weights = {"weight": kernel.repeat(places, 0)}
    if layer.bias:
        conv.set_parameters({"weight": kernel, "bias": distinct((layer.filters,))})
        weights["bias"] = distinct((layer.filters,)).repeat(places).reshape(y.shape[1:])
    local.set_parameters(weights)
    np.testing.assert_allclose(local.predict(x), conv.predict(x), rtol=1e-12, atol=1e-12)
    assert local.parameters["weight"].size == places * kernel.size  # as many as the convolution, at each place


def test_each_place_has_its_own_kernel():
    layer = nn.LocallyConnected(2, (2,), strides=2)
    model = Model(layer, "mse", dtype="float64", input_shape=(1, 6))
    w, b, x = distinct((6, 1, 2), 1), distinct((2, 3), 2), distinct((N, 1, 6), 3)
    model.set_parameters({"weight": w, "bias": b})
    expected = [[[w[3 * o + p, 0] @ x[n, 0, 2 * p : 2 * p + 2] + b[o, p] for p in range(3)] for o in range(2)]
                for n in range(N)]  # fmt: skip
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-12)


@each_local
def test_local_derivatives(name):
    layer, shape = LOCAL[name]
    t = nn.trace(layer, pel.input("x", shape, "float64"), dtype="float64")
    (x,) = [v for v in pel.graph.toposort([t.output]) if v.name == "x"]

    def y(given, *values):
        return substituted(t, {x: given} | {p.value: v for p, v in zip(t.parameters.values(), values, strict=True)})

    arrays = [distinct(p.value.shape, i) for i, p in enumerate(t.parameters.values())]
    check_gradient(y, distinct((5, *shape), 9), *arrays, kinds=["sample"] + ["shared"] * len(arrays))


@each_local
def test_local_native_is_reference(name):
    layer, shape = LOCAL[name]
    x = pel.input("x", shape, "float64")
    t = nn.trace(layer, x, dtype="float64")
    cost = pel.batch_mean(ops.sum(t.output * t.output))
    wrt = [x, *(p.value for p in t.parameters.values())]
    slopes = {str(i): g for i, g in enumerate(pel.grad(cost, wrt))}
    state = {k: distinct(p.value.shape, i) for i, (k, p) in enumerate(t.parameters.items())}
    agree(pel.Program([x], {"y": t.output, **slopes}), {"x": distinct((19, *shape))}, state, tolerance=1e-11)


@pytest.mark.parametrize("init", [f for f in nn.init.INITIALISERS.values() if f is not nn.init.constant])
def test_first_weights_of_each_place_are_those_of_a_kernel(init):
    """By the fans of a kernel, not of all places: their spread is the convolution's, and no two places are alike."""
    shape = (3, 8, 8)
    local = Model(nn.LocallyConnected(8, 3, weight_init=init), "mse", input_shape=shape, seed=1).parameters["weight"]
    conv = Model(nn.Conv(8, 3, weight_init=init), "mse", input_shape=shape, seed=1).parameters["weight"]
    assert local.shape == (8 * 36, 3, 3, 3)
    assert local.std() == pytest.approx(conv.std(), rel=0.2, abs=1e-9)
    each = local.reshape(8, 36, 27)
    assert init is nn.init.zeros or len(np.unique(each[0], axis=0)) == 36
    if init is nn.init.orthogonal:
        np.testing.assert_allclose(each[:, 5] @ each[:, 5].T, np.eye(8), atol=1e-5)


def test_it_learns_and_is_saved(tmp_path):
    """What is right at each place by itself: a mask of signs."""
    signs = np.sign(distinct((6, 6)))
    x = np.random.default_rng(0).normal(size=(200, 1, 6, 6))
    model = Model(nn.LocallyConnected(1, 1), "mse", optim.Adam(0.05), seed=1)
    model.fit(x, x * signs, epochs=60, verbose=0)
    assert model.evaluate(x, x * signs)["loss"] < 0.01
    model.save(tmp_path / "m.pel")
    assert (pel.load(tmp_path / "m.pel").predict(x) == model.predict(x)).all()
    other = Model(nn.Conv(1, 1), "mse", optim.Adam(0.05), seed=1)
    other.fit(x, x * signs, epochs=60, verbose=0)
    assert other.evaluate(x, x * signs)["loss"] > 0.5  # one weight for all places cannot


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: nn.LocallyConnected(0, 3), "LocallyConnected: filters must be a whole number >= 1, got 0"),
        (lambda: nn.LocallyConnected(2, 3, padding="full"), "LocallyConnected: padding must be 'valid', 'same'"),
        (lambda: Model(nn.LocallyConnected(2, 3), "mse", input_shape=(8, 8)).predict(np.ones((1, 8, 8))),
         r"LocallyConnected: expects \\(channels, \\*space\\).*nn.Reshape\\(\\(1, 8, 8\\)\\)"),
        (lambda: Model(nn.LocallyConnected(2, 2, 2), "mse", input_shape=(1, 5, 5)), "LocallyConnected: .*floor"),
    ],
    ids=["filters", "padding", "channels", "fit"],
)  # fmt: skip
def test_what_it_refuses(make, message):
    with pytest.raises((ArgumentError, GraphError), match=message.replace("\\\\", "\\")):
        make()


# ---- receptive fields -------------------------------------------------------------------------------------------

ONES = {"weight_init": nn.init.constant, "bias": False}
FIELDS = {
    "conv": (nn.Conv(2, 5, **ONES), (1, 12, 12)),
    "strides": (nn.Sequential(nn.Conv(2, 3, strides=2, floor=True, **ONES), nn.Conv(1, 3, **ONES)), (1, 15, 16)),
    "pools": (nn.Sequential(nn.Conv(1, 3, padding=1, **ONES), nn.AvgPool(2), nn.AvgPool(3, 1)), (1, 12, 12)),
    "overlapping pools": (nn.Sequential(nn.AvgPool(3, 2, floor=True), nn.Conv(1, 2, **ONES)), (2, 13, 13)),
    "dilation": (nn.Sequential(nn.Conv(1, 2, **ONES), nn.Conv(1, 3, dilation=2, padding="same", **ONES)), (1, 12, 12)),
    "unlike axes": (nn.Conv(1, (1, 4), strides=(2, 1), floor=True, **ONES), (1, 9, 9)),
    "residual": (
        nn.Residual(nn.Sequential(nn.Conv(1, 3, padding=1, **ONES), nn.Conv(1, 3, padding=1, **ONES))),
        (1, 11, 11),
    ),
    "branches": (nn.Concatenate(nn.Conv(1, 1, **ONES), nn.Conv(1, 5, padding=2, **ONES)), (1, 11, 11)),
    "one axis": (nn.Sequential(nn.Conv(1, (3,), strides=2, floor=True, **ONES), nn.Conv(1, (2,), **ONES)), (1, 14)),
    "three axes": (nn.Conv(1, (3, 2, 1), **ONES), (1, 6, 6, 6)),
    "local": (nn.LocallyConnected(1, 3, strides=2, padding=1, floor=True, **ONES), (1, 9, 9)),
}


@pytest.mark.parametrize("name", FIELDS)
def test_receptive_fields_are_where_derivatives_are(name):
    """A unit in the middle: with weights of one its derivative is above 0 in all of its field, and nowhere else."""
    net, shape = FIELDS[name]
    x = pel.input("x", shape, "float64")
    t = nn.trace(net, x, dtype="float64")
    middle = tuple(n // 2 for n in t.output.shape[1:])
    slope = pel.grad(pel.batch_sum(ops.sum(t.output[(slice(None), *middle)])), x)
    state = {k: np.ones(p.value.shape) for k, p in t.parameters.items()}
    found = pel.executors.get("reference").compile(pel.Program([x], {"g": slope}))(state, {"x": np.ones((1, *shape))})
    seen = (found["g"][0] > 0).any(0)
    fields = list(nn.receptive_fields(net, shape).values())[-1]
    assert fields is not None and len(fields) == len(shape) - 1
    for axis, (f, p, n) in enumerate(zip(fields, middle, shape[1:], strict=True)):
        others = tuple(k for k in range(seen.ndim) if k != axis)
        there = np.flatnonzero(seen.any(others))
        first, last = f.start + p * f.stride, f.start + p * f.stride + f.size - 1
        assert (there[0], there[-1]) == (max(first, 0), min(last, n - 1))


def test_fields_where_there_are_none():
    """Behind what sees everything; of vectors; where units do not see alike; by a gate of a global pool."""
    net = nn.Sequential(nn.Conv(2, 3), nn.BatchNorm(), nn.Dropout(0.5), nn.GlobalAvgPool(), nn.Dense(3))
    fields = list(nn.receptive_fields(net, (1, 8, 8)).values())
    assert [f is None for f in fields] == [False, False, False, True, True, True]
    assert set(nn.receptive_fields(nn.Sequential(nn.Dense(3), nn.tanh), (4,)).values()) == {None}
    up = nn.receptive_fields(nn.Sequential(nn.Conv(2, 3), nn.ConvTranspose(1, 2, strides=2)), (1, 8, 8))
    assert up["layers.1"] is None

    def gated(x):
        y = nn.Conv(2, 3)(x)
        return nn.Conv(1, 1, name="after")(y * ops.sigmoid(ops.mean(y, (1, 2), keepdims=True)))

    found = nn.receptive_fields(gated, (1, 8, 8))
    assert found["conv"] is not None and found["after"] is None


def test_fields_of_a_picture_that_was_a_row_of_numbers():
    """They are counted in the picture's places, however often it is reshaped before."""
    net = nn.Sequential(nn.Reshape((8, 8)), nn.Reshape((1, 8, 8)), nn.Conv(2, 3), nn.MaxPool(2))
    assert nn.receptive_fields(net, (64,))["layers.3"] == ((4, 2, 0), (4, 2, 0))
    pool = nn.receptive_fields(nn.Sequential(nn.MaxPool(2), nn.Conv(1, 2)), (1, 8, 8))
    assert pool["layers.0"] == ((2, 2, 0), (2, 2, 0)) and pool["layers.1"] == ((4, 2, 0), (4, 2, 0))


@pytest.mark.parametrize(
    "net, shape",
    [
        (nn.zoo.resnet(18, classes=10), (3, 32, 32)),
        (nn.zoo.lenet5(), (1, 32, 32)),
        (nn.Sequential(nn.Dense(4), nn.Lateral(), nn.Reshape((2, 2))), (3,)),
        (nn.Sequential(nn.TransformerBlock(2, 5), nn.Bidirectional(nn.LSTM(2))), (4, 6)),
        (nn.Sequential(nn.Conv(4, 3), nn.LocalResponseNorm(), nn.GroupNorm(2), nn.SpatialDropout(0.1)), (1, 8, 8)),
    ],
    ids=["resnet", "lenet", "lateral", "transformer", "norms"],
)
def test_every_net_has_a_summary(net, shape, capsys):
    model = Model(net, "mse", input_shape=shape)
    model.summary()
    assert capsys.readouterr().out.count("\n") > 4 and "parameters" in model._repr_html_()


def test_a_net_without_a_shape_has_no_fields_to_say():
    with pytest.raises(ArgumentError, match="give the shape of one sample"):
        nn.receptive_fields(nn.Conv(2, 3))


def test_sequences_have_fields_in_time():
    net = nn.Sequential(nn.Conv1D(4, 3, padding="causal", dilation=2), nn.MaxPool1D(2), nn.GRU(3))
    fields = nn.receptive_fields(net, (20, 2))
    assert fields["layers.0"] == ((5, 1, -4),) and fields["layers.1"] == ((6, 2, -4),) and fields["layers.2"] is None


def test_the_summary_shows_them(capsys):
    net = nn.Sequential(nn.Conv(6, 5), nn.MaxPool(2), nn.Flatten(), nn.Dense(10))
    Model(net, "mse", input_shape=(1, 28, 28)).summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("parameters  receptive field")
    assert [line.split("  ")[-1].strip() for line in lines[2:6]] == ["5x5 / 1 from 0", "6x6 / 2 from 0", "-", "-"]
    Model(nn.Dense(2), "mse", input_shape=(3,)).summary()
    assert "receptive" not in capsys.readouterr().out


def test_known_nets_have_the_fields_that_are_printed_of_them():
    """AlexNet's last pool sees 195 places, 32 apart; VGG-16's 212, 32 apart (Araujo et al., Distill 2019)."""
    for net, size, printed in ((nn.zoo.alexnet(), 227, (195, 32)), (nn.zoo.vgg(16), 224, (212, 32))):
        fields = [f for f in nn.receptive_fields(net, (3, size, size)).values() if f is not None]
        assert fields[-1][0][:2] == printed
