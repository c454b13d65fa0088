"""Layers: shapes, names of parameters, sharing, freezing, masks, random dropping, combining; and what errors say."""

from functools import partial

import numpy as np
import pytest
from layer_cases import CASES

import pellucid as pel
from pellucid import ArgumentError, GraphError, Model, nn, ops, optim
from pellucid.executors import reference
from pellucid.nn.layer import LayerError


def trace(net, *shapes, dtype="float32", training=False):
    inputs = [pel.input(f"x{i}", shape, dtype) for i, shape in enumerate(shapes)]
    return nn.trace(net, *inputs, training=training)


def shapes(net, *inputs):
    return {name: p.value.shape for name, p in trace(net, *inputs).parameters.items()}


def outputs(net, x, training=False, key=(1, 2)):
    """What a net without parameters gives for samples."""
    x = np.asarray(x)
    value = pel.input("x", x.shape[1:], str(x.dtype))
    traced = nn.trace(net, value, dtype="float64", training=training)
    run = reference.compile(pel.Program([value], {"y": traced.output}))
    return run({"random.key": np.array(key, np.uint32)}, {"x": x})["y"]


# no floats, or two inputs, or too many parameters to write here: test_masks.py, test_attention.py
ELSEWHERE = {nn.Embedding, nn.AdditiveAttention, nn.TransformerBlock, nn.TransformerDecoderBlock}


@pytest.mark.parametrize("layer, shape, output, parameters", CASES.values(), ids=list(CASES))
@pytest.mark.parametrize("training", [False, True])
def test_shapes_and_names(layer, shape, output, parameters, training):
    traced = trace(layer, shape, training=training)
    assert traced.output.shape == output and traced.output.kind == "sample"
    assert {name: p.value.shape for name, p in traced.parameters.items()} == parameters
    assert {p.value.dtype for p in traced.parameters.values()} <= {"float32"}


@pytest.mark.parametrize("name", [name for name in CASES if name != "lambda"])  # a user's function gets what there is
@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_whole_numbers_become_floats(name, dtype):
    """Pixels as bytes and counts go in as they are; a layer that calculates makes floats of them."""
    layer, shape, *_ = CASES[name]
    keeps = isinstance(layer, (nn.Flatten, nn.Reshape)) or name == "sequential of nothing"
    assert trace(layer, shape, dtype=dtype).output.dtype == (dtype if keeps else "float32")


def test_every_layer_is_in_the_cases():
    tried = {type(layer) for layer, *_ in CASES.values()} | ELSEWHERE
    layers = {v for v in vars(nn).values() if isinstance(v, type) and issubclass(v, nn.Layer)}
    assert layers - {nn.Layer, nn.Recurrent} == tried, "give the layer a row in tests/cases/layer_cases.py"


# ---- names, sharing, freezing -----------------------------------------------------------------------------------


def test_a_name_replaces_the_number():
    net = nn.Sequential(nn.Dense(4, name="hidden"), nn.tanh, nn.Dense(2, name="head", bias=False))
    assert list(shapes(net, (3,))) == ["layers.hidden.weight", "layers.hidden.bias", "layers.head.weight"]


def test_two_layers_of_one_name_are_refused():
    with pytest.raises(GraphError, match=r"two layers have the same name: 'layers\.a'"):
        trace(nn.Sequential(nn.Dense(4, name="a"), nn.Dense(4, name="a")), (4,))

    def net(x):
        return nn.Dense(4, name="a")(nn.Dense(4, name="a")(x))

    with pytest.raises(GraphError, match="two layers have the same name: 'a'"):
        trace(net, (4,))


def test_layers_made_in_a_function_are_numbered_in_order():
    def net(x):
        return nn.Dense(1, name="head")(nn.Dense(2)(nn.Dense(3)(x)))

    assert list(shapes(net, (4,))) == [
        "dense.weight", "dense.bias", "dense_1.weight", "dense_1.bias", "head.weight", "head.bias"]  # fmt: skip


def test_a_layer_made_in_a_call_does_not_take_the_name_of_a_field():
    class Block(nn.Layer):
        dense: nn.Layer

        def __call__(self, x):
            return nn.Dense(3, bias=False)(self.dense(x))

    assert list(shapes(Block(nn.Dense(3, bias=False)), (3,))) == ["dense.weight", "dense_1.weight"]


def test_one_layer_twice_shares_its_parameters():
    shared = nn.Dense(3)
    assert list(shapes(nn.Sequential(shared, nn.tanh, shared), (3,))) == ["layers.0.weight", "layers.0.bias"]


def test_a_shared_layer_is_named_by_its_first_place():
    shared = nn.Dense(3, bias=False)
    assert list(shapes(nn.Sequential(shared, nn.Sequential(shared)), (3,))) == ["layers.0.weight"]
    assert list(shapes(nn.Residual(shared, shared), (3,))) == ["body.weight"]


def test_a_shared_layer_computes_the_same_function_and_gets_both_gradients():
    shared = nn.Dense(1, bias=False, weight_init=nn.init.constant)
    x, y = np.array([[3.0]]), np.array([[0.0]])
    model = Model(nn.Sequential(shared, shared), loss="half_squared_error", optimizer=optim.SGD(0.01), dtype="float64")
    model.fit(x, y, verbose=0)  # y = w^2 x: dE/dw = (w^2 x) (2 w x) = 18 at w = 1
    assert model.parameters["layers.0.weight"].item() == pytest.approx(1 - 0.18)


def test_a_shared_layer_of_two_shapes_is_refused():
    shared = nn.Dense(4)
    with pytest.raises(LayerError, match=r"Dense 'layers\.0': this layer is used twice.*\(4, 3\).*\(4, 4\)"):
        trace(nn.Sequential(shared, shared), (3,))


def test_frozen_layers_stay():
    body = nn.Sequential(nn.Dense(4), nn.tanh, trainable=False)
    model = Model(nn.Sequential(body, nn.Dense(1)), loss="mse", optimizer=optim.Adam(0.1), input_shape=(2,))
    flags = {name: p.trainable for name, p in model.traced.parameters.items()}
    assert flags == {"layers.0.layers.0.weight": False, "layers.0.layers.0.bias": False,
                     "layers.1.weight": True, "layers.1.bias": True}  # fmt: skip
    before = model.parameters
    model.fit(np.eye(2), [[1.0], [2.0]], epochs=3, verbose=0)
    moved = {name: (before[name] != value).any() for name, value in model.parameters.items()}
    assert moved == flags
    assert not any("layers.0.layers" in name for name in model.state if name.startswith("optimizer"))


def test_nothing_to_train_is_an_error():
    model = Model(nn.Sequential(nn.Dense(1, trainable=False)), loss="mse")
    with pytest.raises(GraphError, match="no trainable parameters"):
        model.fit(np.eye(2), [[1.0], [2.0]], verbose=0)


# ---- masks: partially connected networks ------------------------------------------------------------------------


def test_a_mask_stays_through_training():
    mask = np.array([[1, 0, 1], [0, 1, 0]])
    model = Model(nn.Sequential(nn.Dense(2, mask=mask)), loss="mse", optimizer=optim.Adam(0.05), input_shape=(3,))
    assert (model.parameters["layers.0.weight"] == 0).tolist() == (mask == 0).tolist()
    x = np.random.default_rng(0).normal(size=(20, 3))
    start = model.parameters["layers.0.weight"]
    model.fit(x, x[:, :2] @ [[1, 2], [3, 4]], epochs=5, verbose=0)
    weight = model.parameters["layers.0.weight"]
    assert (weight[mask == 0] == 0).all() and (weight[mask == 1] != start[mask == 1]).all()
    x2 = x.copy()
    x2[:, 1] += 1  # input 1 is connected to output 1 only
    change = model.predict(x2) - model.predict(x)
    assert (change[:, 0] == 0).all() and (change[:, 1] != 0).all()
    assert {name: p.count for name, p in model.traced.parameters.items()} == {"layers.0.weight": 3, "layers.0.bias": 2}


@pytest.mark.parametrize(
    "mask, text",
    [
        ([[1, 0]], r"Dense 'layers\.0': the mask has shape \(1, 2\), the weight \(2, 3\) \(units, inputs\)"),
        ([[1, 0, 2], [0, 0, 0]], "must hold only 0 and 1"),
    ],
)
def test_a_bad_mask(mask, text):
    with pytest.raises(LayerError, match=text):
        trace(nn.Sequential(nn.Dense(2, mask=mask)), (3,))


# ---- dropping ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_statistics(rate):
    y = outputs(nn.Dropout(rate), np.ones((400, 50)), training=True)
    assert set(np.round(np.unique(y) * (1 - rate), 12)) == {0, 1}
    n = y.size
    assert abs((y == 0).mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / n)
    assert abs(y.mean() - 1) < 5 * np.sqrt(rate / (1 - rate) / n)
    assert len({row.tobytes() for row in y}) > 100  # each sample has its own draw


def test_dropout_changes_with_key_and_place():
    x = np.ones((10, 50))
    assert (outputs(nn.Dropout(), x, True) == outputs(nn.Dropout(), x, True)).all()
    assert (outputs(nn.Dropout(), x, True) != outputs(nn.Dropout(), x, True, key=(1, 3))).any()
    twice = outputs(nn.Concatenate(nn.Dropout(), nn.Dropout()), x, True)
    assert (twice[:, :50] != twice[:, 50:]).any()


def test_channels_are_dropped_whole():
    y = outputs(nn.SpatialDropout(0.25), np.ones((400, 8, 3, 2)), training=True)
    assert (y == y[:, :, :1, :1]).all() and set(np.round(np.unique(y) * 0.75, 12)) == {0, 1}
    assert abs((y[:, :, 0, 0] == 0).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 3200)
    assert len({row.tobytes() for row in y}) > 100  # each sample has its own draw
    with pytest.raises(GraphError, match=r"got a single number; use nn\.Dropout"):
        trace(nn.SpatialDropout(), ())


def test_noise():
    x = np.full((400, 50), 3.0)
    y = outputs(nn.GaussianNoise(0.5), x, training=True) - 3
    assert abs(y.mean()) < 5 * 0.5 / np.sqrt(y.size) and abs(y.std() - 0.5) < 0.01
    assert (outputs(nn.GaussianNoise(0.5), x) == 3).all()
    with pytest.raises(ArgumentError, match=r"GaussianNoise: stddev must be a number >= 0, got -1"):
        nn.GaussianNoise(-1)


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.Dropout(0.0), nn.SpatialDropout(0.5), nn.GaussianNoise(0.5)])
def test_dropout_is_nothing_at_inference(layer):
    x = pel.input("x", (3,))
    assert nn.trace(layer, x).output is x
    assert nn.trace(nn.Dropout(0.0), x, training=True).output is x


@pytest.mark.parametrize("per_sample", [False, True])
def test_dropconnect(per_sample):
    """Weights are dropped: all 1 at first, so a unit counts the weights left."""
    n, rate = 400, 0.25
    layer = nn.DropConnect(2, bias=False, weight_init=nn.init.constant, rate=rate, per_sample=per_sample)
    value = pel.input("x", (n,), "float64")
    traced = nn.trace(layer, value, dtype="float64", training=True)
    state = {"weight": np.ones((2, n)), "random.key": np.array([3, 4], np.uint32)}
    run = reference.compile(pel.Program([value], {"y": traced.output}))
    kept = run(state, {"x": np.ones((30, n))})["y"] * (1 - rate) / n
    assert np.abs(kept - (1 - rate)).max() < 5 * np.sqrt(rate * (1 - rate) / n)
    assert (len(np.unique(kept[:, 0])) > 1) == per_sample
    calm = nn.trace(layer, value, dtype="float64")
    run = reference.compile(pel.Program([value], {"y": calm.output}))
    assert (run(state, {"x": np.ones((2, n))})["y"] == n).all()


@pytest.mark.parametrize("make", [nn.Dropout, nn.SpatialDropout, lambda rate: nn.DropConnect(2, rate=rate)])
@pytest.mark.parametrize("rate", [-0.1, 1, 1.5])
def test_a_bad_rate(make, rate):
    with pytest.raises(ArgumentError, match=r"rate must be a number in \[0, 1\)"):
        make(rate)


# ---- combining --------------------------------------------------------------------------------------------------


def test_residual_and_concatenate_compute():
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(outputs(nn.Residual(nn.relu), x - 2), (x - 2) + np.maximum(x - 2, 0))
    np.testing.assert_array_equal(outputs(nn.Residual(nn.relu, nn.Lambda(lambda v: 10 * v)), x), 11 * x)
    np.testing.assert_array_equal(outputs(nn.Concatenate(nn.linear, lambda v: -v), x), np.hstack([x, -x]))


def two_branches(a, b):
    joined = ops.concatenate([nn.Dense(3, name="left")(a), nn.Dense(2, name="right")(b)])
    return nn.Dense(1, name="head")(nn.tanh(joined))


@pytest.mark.parametrize("how", [tuple, dict])
def test_several_inputs(how):
    random = np.random.default_rng(0)
    a, b = random.normal(size=(12, 4)), random.normal(size=(12, 2))
    y = a[:, :1] * b[:, :1]
    x = (a, b) if how is tuple else {"b": b, "a": a}  # by name, in any order
    model = Model(two_branches, loss="mse", optimizer=optim.Adam(0.03), dtype="float64")
    first = model.fit(x, y, verbose=0)["loss"][0]
    assert list(model.parameters)[:2] == ["left.weight", "left.bias"]
    assert model.parameters["left.weight"].shape == (3, 4)
    assert model.fit(x, y, epochs=60, verbose=0)["loss"][-1] < first / 2
    assert model.predict(x).shape == (12, 1) and model.evaluate(x, y)["loss"] < first
    one = {k: v[3:4] for k, v in x.items()} if how is dict else (a[3:4], b[3:4])
    np.testing.assert_allclose(model.predict(one), model.predict(x)[3:4], rtol=1e-12)


def test_several_inputs_by_input_shape():
    model = Model(two_branches, loss="mse", input_shape={"a": (4,), "b": (2,)})
    assert model.predict({"a": np.ones((3, 4)), "b": np.ones((3, 2))}).shape == (3, 1)
    with pytest.raises(GraphError, match="built for inputs"):
        model.predict(np.ones((3, 4)))
    assert Model(two_branches, loss="mse", input_shape=((4,), (2,))).how == "tuple"


def test_a_layer_with_several_inputs():
    class Bilinear(nn.Layer):
        units: int

        def __call__(self, a, b):
            w = self.param("weight", (self.units, *a.shape, *b.shape), partial(nn.init.uniform, size=1.0))
            return ops.contract(ops.contract(w, a, "uij,i->uj"), b, "uj,j->u")

    assert shapes(nn.Sequential(Bilinear(5), nn.tanh), (3,), (2,)) == {"layers.0.weight": (5, 3, 2)}


# ---- layers of users --------------------------------------------------------------------------------------------


class Scale(nn.Layer):
    """A user's layer: a factor for each number."""

    start: float = 1.0

    def __call__(self, x):
        return x * self.param("scale", x.shape, partial(nn.init.constant, value=self.start))


class Twice(nn.Layer):
    """A user's layer that holds layers, in a dict."""

    parts: dict

    def __call__(self, x):
        return self.parts["b"](self.parts["a"](x))


def test_a_users_layer():
    assert shapes(nn.Sequential(Scale(2.0), nn.Dense(2, bias=False)), (3,)) == {
        "layers.0.scale": (3,), "layers.1.weight": (2, 3)}  # fmt: skip
    model = Model(Scale(2.0), loss="mse", input_shape=(3,))
    assert model.predict(np.ones((1, 3))).tolist() == [[2, 2, 2]]
    assert shapes(Twice({"a": Scale(), "b": nn.Dense(1)}), (3,)) == {
        "parts.a.scale": (3,), "parts.b.weight": (1, 3), "parts.b.bias": (1,)}  # fmt: skip


def test_layers_are_frozen_and_compare_by_identity():
    layer = nn.Dense(3)
    with pytest.raises(AttributeError):
        layer.units = 4
    assert layer != nn.Dense(3) and len({layer, layer, nn.Dense(3)}) == 2


def test_a_layer_without_call():
    class Empty(nn.Layer):
        pass

    with pytest.raises(NotImplementedError, match="Empty must define __call__"):
        trace(Empty(), (3,))


def test_lambda_has_a_name_in_the_calls():
    net = nn.Sequential(nn.Lambda(lambda v: v * 2, name="double"), nn.relu)
    assert [(c.path, c.output.shape) for c in trace(net, (3,)).calls] == [
        ("layers.double", (3,)), ("layers.1", (3,)), ("", (3,))]  # fmt: skip
    assert outputs(net, [[1.0, -1.0]]).tolist() == [[2, 0]]


# ---- errors name the layer, what it got, and a correction ---------------------------------------------------------

HEAD = nn.Dense(3, name="head")


@pytest.mark.parametrize(
    "net, shape, text",
    [
        (nn.Sequential(nn.Dense(3)), (2, 2), r"Dense 'layers\.0': .*got shape \(2, 2\); did you mean nn\.Flatten\(\)"),
        (nn.Sequential(HEAD), (2, 2), r"Dense 'layers\.head': .*got shape \(2, 2\); did you mean nn\.Flatten\(\)"),
        (HEAD, (2, 2), r"Dense 'head': .*got shape \(2, 2\); did you mean nn\.Flatten\(\)"),
        (nn.Sequential(nn.Dense(3)), (), r"got shape \(\); did you mean nn\.Reshape\(\(1,\)\)"),
        (nn.Sequential(nn.Residual(nn.Dense(4))), (3,), r"Residual 'layers\.0': .*\(3,\) into \(4,\).*give shortcut="),
        (nn.Residual(nn.Dense(4), nn.Dense(5)), (3,), r"\(3,\) into \(4,\), which cannot be added to \(5,\)"),
        (nn.Sequential(nn.Reshape((4, 2))), (3,), r"Reshape 'layers\.0'.*3 elements.*8"),
        (nn.Sequential(nn.Concatenate(nn.linear, nn.Reshape((2, 2)))), (4,), r"Concatenate 'layers\.0'"),
        (nn.Sequential(nn.relu, lambda v: v + ops.constant(np.zeros(4, "float32"))), (3,),
         r"'layers\.1': shapes \(3,\) and \(4,\)"),
        (nn.Sequential(nn.relu, print, nn.relu), (3,), r"print 'layers\.1': must return a Value, returned None"),
    ],
)  # fmt: skip
def test_errors_name_the_layer(net, shape, text):
    with pytest.raises(LayerError, match=text):
        trace(net, shape)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: nn.Dense(0), "units must be a whole number >= 1, got 0"),
        (lambda: nn.Dense(2.5), "units must be a whole number"),
        (lambda: nn.DropConnect(4, 0.5), "DropConnect: bias must be True or False, got 0.5"),  # a rate meant
        (lambda: nn.Sequential(nn.Dense), r"part 0 is the class Dense; did you mean Dense\(\.\.\.\)"),
        (lambda: nn.Sequential(nn.Dense(2), "rleu"), "no activation is named 'rleu'; did you mean 'relu'"),
        (lambda: nn.Concatenate(nn.linear, 3), "part 1 is 3, expected a layer or a function"),
        (lambda: nn.Dense(3)(pel.input("x", (2,))), "only be called while a net is traced"),
        (lambda: nn.trace(lambda x: None, pel.input("x", (2,))), "must return one Value"),
        (lambda: nn.trace(lambda x: (x, 3), pel.input("x", (2,))), "or a tuple or dict of them, .* int in a tuple"),
        (lambda: Model(nn.Dense(3, weight_init=lambda key, shape, dtype: ops.fill(0, (2,), dtype)), loss="mse",
                       input_shape=(2,)), r"initializer of 'weight' gives shared float32 \(2,\), expected.*\(3, 2\)"),
    ],
)  # fmt: skip
def test_errors_when_made(make, text):
    with pytest.raises((ArgumentError, GraphError), match=text):
        make()


def test_options_of_a_layer_that_is_made_are_not_set():
    from dataclasses import FrozenInstanceError

    class Mine(nn.Dense):
        more: int = 3

    for layer in (nn.Dense(3), nn.Sequential(nn.Dense(3)), Mine(2)):
        with pytest.raises(FrozenInstanceError, match=r'use model\.freeze\("layers\.0"\), .* nn\.freeze\(net'):
            layer.trainable = False
        with pytest.raises(FrozenInstanceError, match=r"model\.unfreeze"):
            layer.trainable = True
        with pytest.raises(FrozenInstanceError, match=r"dataclasses\.replace\(this, units=5\)"):
            layer.units = 5
        assert layer.trainable
    with pytest.raises(FrozenInstanceError, match=r"Adam: learning_rate cannot .*; set model\.learning_rate = 0\.1"):
        optim.Adam().learning_rate = 0.1
    with pytest.raises(FrozenInstanceError, match=r"SGD: momentum cannot .*model\.clone\(optimizer="):
        optim.SGD().momentum = 0.9
    with pytest.raises(FrozenInstanceError, match="CrossEntropy: label_smoothing cannot be set any more; make another"):
        nn.CrossEntropy().label_smoothing = 0.1
