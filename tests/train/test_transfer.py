"""Features of a layer, a new head on old layers, frozen layers, and the input that excites a unit most."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import pellucid as pel
from pellucid import ArgumentError, GraphError, nn, optim
from pellucid.train.summary import summary_text

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 4)).astype(np.float32)
Y = RNG.integers(0, 3, 30)


def unit(x):
    return x * (1 / 255)


def trained(net=None, executor="reference", optimizer="adam"):
    net = net or nn.Sequential(nn.Dense(6), nn.tanh, nn.Dense(5, name="second"), nn.tanh, nn.Dense(3))
    model = pel.Model(net, "cross_entropy", optimizer, metrics=["accuracy"], executor=executor)
    model.fit(X, Y, epochs=2, verbose=0)
    return model


# ---- features ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_features_are_the_layers_outputs(executor):
    model = trained(executor=executor)
    outputs = model.layer_outputs(X)
    for name in ("layers.0", "layers.1", "layers.second", "layers.4", "Sequential"):
        np.testing.assert_allclose(model.features(X, name, batch_size=7), outputs[name], atol=1e-6)
    for number, name in ((0, "layers.0"), (2, "layers.second"), (-1, "layers.4"), (-2, "layers.3")):
        np.testing.assert_array_equal(model.features(X, number), model.features(X, name))
    assert model.features(X[:1], -2).shape == (1, 5)


def test_only_what_the_layer_needs_is_computed():
    model = trained()
    model.features(X, "layers.0")
    (run,) = (run for key, run in model.programs.runs.items() if key[0] == "features")
    assert list(run.program.state) == ["layers.0.weight", "layers.0.bias"]
    assert not any(v.primitive.name == "tanh" for v in run.program.order)


def test_features_of_inputs_of_several_arrays():
    eye = nn.Dense(2)
    model = pel.Model(lambda a, b: eye(a) * eye(b), "mse", executor="reference")
    model.fit((X, X), np.zeros((30, 2)), verbose=0)
    np.testing.assert_allclose(
        model.features((X, 0 * X), "dense"), np.broadcast_to(model.parameters["dense.bias"], (30, 2))
    )


def test_features_of_what_is_not_there():
    model = trained()
    with pytest.raises(ArgumentError, match=r"no layer 'layers.9'; there are layers.0, layers.1, layers.second"):
        model.features(X, "layers.9")
    with pytest.raises(ArgumentError, match="has 5 layers, so there is no number 5"):
        model.features(X, 5)
    with pytest.raises(ArgumentError, match="the net is a Dense; use their names"):
        pel.Model(nn.Dense(2), "mse", input_shape=(4,)).features(X, 0)
    with pytest.raises(GraphError, match="no weights yet"):
        pel.Model(nn.Sequential(nn.Dense(2)), "mse").features(X, 0)


def test_feature_extractor_in_a_pipeline():
    model = trained()
    before = model.parameters
    pipeline = clone(make_pipeline(pel.FeatureExtractor(model, "layers.1"), LogisticRegression()))
    pipeline.fit(X, Y)
    features = model.features(X, "layers.1")
    np.testing.assert_array_equal(pipeline[:-1].transform(X), features)
    assert pipeline.score(X, Y) == LogisticRegression().fit(features, Y).score(features, Y)
    assert all((before[name] == a).all() for name, a in model.parameters.items())
    assert pipeline[0].model is model
    assert pipeline[:-1].get_feature_names_out().tolist() == [f"layers.1.{i}" for i in range(6)]
    assert pipeline[0].n_features_in_ == 4
    frame = pytest.importorskip("pandas").DataFrame
    assert isinstance(pipeline[0].set_output(transform="pandas").transform(X), frame)


def test_feature_extractor_of_pictures():
    model = pel.Model(nn.Sequential(unit, nn.Flatten(), nn.Dense(3)), "cross_entropy", executor="reference")
    pictures = RNG.integers(0, 256, (6, 2, 3, 3)).astype(np.uint8)
    model.fit(pictures, Y[:6], verbose=0)
    extractor = pel.FeatureExtractor(model, "layers.0").fit(pictures)
    assert extractor.transform(pictures).shape == (6, 18)
    np.testing.assert_array_equal(extractor.transform(pictures.reshape(6, 18)), extractor.transform(pictures))
    with pytest.raises(ArgumentError, match=r"no layer 'layers\.7'"):
        pel.FeatureExtractor(model, "layers.7").fit(pictures)


# ---- freezing ---------------------------------------------------------------------------------------------------


def changed(model, by):
    """Names of the parameters that something changes."""
    before = model.parameters
    by()
    return {name for name, a in model.parameters.items() if (a != before[name]).any()}


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_frozen_layers_do_not_change(executor, tmp_path):
    model = trained(executor=executor)
    weights = {
        "layers.0.weight",
        "layers.0.bias",
        "layers.second.weight",
        "layers.second.bias",
        "layers.4.weight",
        "layers.4.bias",
    }
    model.freeze("layers.0", "layers.second")
    again = lambda: model.fit(X, Y, epochs=1, verbose=0)
    assert changed(model, again) == {"layers.4.weight", "layers.4.bias"}
    assert "optimizer.m.layers.0.weight" not in model.state
    model.save(tmp_path / "m.pel")
    loaded = pel.load(tmp_path / "m.pel", executor=executor)
    assert [p.name for p in loaded.traced.parameters.values() if p.trainable] == ["layers.4.weight", "layers.4.bias"]
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert "63 parameters" not in summary_text(loaded) and "65 frozen" in summary_text(loaded)
    model.unfreeze("layers.0")
    assert changed(model, again) == weights - {"layers.second.weight", "layers.second.bias"}
    model.unfreeze(5)
    assert changed(model, again) == weights


def test_freezing_changes_no_prediction_and_no_other_net():
    net = nn.Sequential(nn.Dense(6), nn.tanh, nn.Dense(3))
    model = trained(net)
    before = model.predict(X)
    model.freeze(2)
    np.testing.assert_array_equal(model.predict(X), before)
    assert net.layers[0].trainable and not model.net.layers[0].trainable
    assert model.net.layers[2] is net.layers[2]  # what does not change is not copied


def test_freeze_within_layers():
    shared = nn.Dense(4)
    body = nn.Sequential(shared, nn.tanh, shared)
    net = nn.Sequential(nn.Residual(body), nn.Concatenate(nn.Dense(2), nn.Dense(3)), nn.Dense(3, name="head"))
    frozen = nn.freeze(net, "layers.0.body.layers.2", "layers.1.branches.1", "layers.head")
    inner = frozen.layers[0].body.layers
    assert inner[0] is inner[2] and not inner[0].trainable and shared.trainable
    assert [b.trainable for b in frozen.layers[1].branches] == [True, False]
    assert not frozen.layers[2].trainable
    assert nn.freeze(frozen, "layers.head", trainable=True).layers[2].trainable
    assert nn.freeze(net) is net and nn.freeze(net, 0) is net


def test_freezing_what_is_not_there():
    model = trained()
    for layers, words in (
        (("layers.9",), r"no layer 'layers.9' to freeze; there are layers.0, layers.second, layers.4"),
        ((6,), "0 to 5 layers; got 6"),
        ((-1,), "got -1"),
        ((True,), "got True"),
    ):
        with pytest.raises(ArgumentError, match=words):
            model.freeze(*layers)
    held = nn.Dense(2)
    model = pel.Model(lambda x: held(x), "mse", input_shape=(4,))
    with pytest.raises(ArgumentError, match="a function holds its layers"):
        model.freeze("dense")
    with pytest.raises(ArgumentError, match="the net is a function"):
        model.freeze(1)
    model = trained()
    model.freeze(5)
    with pytest.raises(GraphError, match="no trainable parameters"):
        model.fit(X, Y, verbose=0)


# ---- a new head -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_transfer(executor, tmp_path):
    old = trained(executor=executor)
    state = dict(old.state)
    new = old.transfer([nn.Dense(7), nn.relu, nn.Dense(1)], keep="layers.second", loss="mse", metrics=[], seed=5)
    assert new.executor is old.executor and new.seed == 5
    np.testing.assert_array_equal(new.features(X, 2), old.features(X, 2))
    t = X[:, :1] * 2
    assert changed(new, lambda: new.fit(X, t, epochs=3, verbose=0)) == {
        "layers.3.weight", "layers.3.bias", "layers.5.weight", "layers.5.bias"}  # fmt: skip
    np.testing.assert_array_equal(new.features(X, 2), old.features(X, 2))
    assert old.state.keys() == state.keys() and all((old.state[k] == state[k]).all() for k in state)
    new.save(tmp_path / "new.pel")
    loaded = pel.load(tmp_path / "new.pel", executor=executor)
    new.fit(X, t, epochs=1, verbose=0)
    loaded.fit(X, t, epochs=1, verbose=0)
    np.testing.assert_array_equal(new.predict(X), loaded.predict(X))
    new.unfreeze("layers.second")
    assert len(changed(new, lambda: new.fit(X, t, epochs=1, verbose=0))) == 6


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_a_frozen_normalization_keeps_its_averages(executor):
    old = trained(nn.Sequential(nn.Dense(6), nn.BatchNorm(), nn.tanh, nn.Dense(3)), executor)
    assert "frozen" not in summary_text(old)  # though the averages are not trained
    new = old.transfer(nn.Dense(3))
    assert changed(new, lambda: new.fit(X, Y, epochs=1, verbose=0)) == {"layers.3.weight", "layers.3.bias"}
    np.testing.assert_array_equal(new.features(X, 2), old.features(X, 2))
    assert "24 frozen" in summary_text(new) and summary_text(new).endswith("54 frozen")
    new.unfreeze("layers.1")
    names = {f"layers.1.{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    assert changed(new, lambda: new.fit(X, Y, epochs=1, verbose=0)) == names | {"layers.3.weight", "layers.3.bias"}


@pytest.mark.parametrize(
    "keep, freeze, frozen",
    [
        (-1, True, {"layers.0", "layers.second"}),
        (1, True, {"layers.0"}),
        (4, False, set()),
        (5, 1, {"layers.0"}),
        (4, "layers.second", {"layers.second"}),
        (4, ["layers.0", "layers.second"], {"layers.0", "layers.second"}),
    ],
)
def test_what_is_kept_and_what_frozen(keep, freeze, frozen):
    old = trained()
    new = old.transfer(nn.Dense(2), keep, freeze)
    kept = len(old.net) + keep if keep < 0 else keep
    assert len(new.net) == kept + 1
    assert {p.name.rpartition(".")[0] for p in new.traced.parameters.values() if not p.trainable} == frozen
    assert (new.parameters["layers.0.weight"] == old.parameters["layers.0.weight"]).all()


def test_the_head_begins_anew_under_an_old_name():
    old = trained()
    new = old.transfer(nn.Dense(3))
    assert new.parameters["layers.4.weight"].shape == old.parameters["layers.4.weight"].shape
    assert (new.parameters["layers.4.weight"] != old.parameters["layers.4.weight"]).any()


def test_transfer_from_within():
    net = nn.Sequential(nn.Sequential(nn.Dense(4), nn.tanh, nn.Dense(3), name="base"), nn.Dense(3))
    old = trained(net)
    new = old.transfer(nn.Dense(2), keep="layers.base.layers.1")
    assert list(new.parameters) == [
        "layers.base.layers.0.weight",
        "layers.base.layers.0.bias",
        "layers.1.weight",
        "layers.1.bias",
    ]
    np.testing.assert_array_equal(new.features(X, "layers.base"), old.features(X, "layers.base.layers.1"))


def test_transfer_of_what_is_not_there():
    old = trained()
    for options, words in (
        ({"keep": "layers.9"}, "no layer 'layers.9' to keep; there are layers.0, layers.1, layers.second"),
        ({"keep": 6}, "keep 1 to 5"),
        ({"keep": 0}, "got 0"),
        ({"keep": -5}, "got -5"),
        ({"freeze": "layers.4"}, "no layer 'layers.4' to freeze"),
        ({"head": 3}, "the head: part 0 is 3"),
        ({"head": nn.Dense}, r"did you mean Dense\(...\)"),
    ):
        with pytest.raises(ArgumentError, match=words):
            old.transfer(**{"head": nn.Dense(2)} | options)
    held = nn.Dense(4)
    old = trained(nn.Sequential(lambda x: held(x), nn.tanh, nn.Dense(3)))
    with pytest.raises(GraphError, match=r"'dense\.weight' cannot be frozen by name"):
        old.transfer(nn.Dense(2))
    assert (old.transfer(nn.Dense(2), freeze=False).parameters["dense.weight"] == old.parameters["dense.weight"]).all()
    with pytest.raises(ArgumentError, match="the net is a Dense"):
        pel.Model(nn.Dense(2), "mse", input_shape=(4,)).transfer(nn.Dense(2))


# ---- activation maximization ------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_activate_finds_the_maximum_of_a_linear_unit(executor):
    """w x - l2 |x|^2 is greatest at x = w / (2 l2)."""
    model = pel.Model(nn.Dense(3), "mse", input_shape=(4,), executor=executor, dtype="float64")
    w = model.parameters["weight"]
    for optimizer in (optim.SGD(0.3), optim.Adam(0.05)):
        found = model.activate(1, l2=0.5, steps=400, optimizer=optimizer)
        np.testing.assert_allclose(found, w[1], atol=1e-3)
    bounded = model.activate(2, low=-0.25, high=0.5, steps=100)
    np.testing.assert_array_equal(bounded, np.where(w[2] > 0, 0.5, -0.25))


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_activate_climbs(executor):
    model = trained(executor=executor)
    state = {name: a.copy() for name, a in model.state.items()}
    start = model.activate(2, "layers.second", steps=0, seed=3)
    top = model.activate(2, "layers.second", steps=50, seed=3)
    before, after = model.features(np.stack([start, top]), "layers.second")[:, 2]
    assert after > before + 1
    np.testing.assert_array_equal(model.activate(2, "layers.second", steps=50, seed=3), top)
    np.testing.assert_array_equal(model.activate(2, 2, steps=50, start=start), top)
    assert (model.activate(2, "layers.second", steps=50, seed=4) != top).any()
    assert state.keys() == model.state.keys() and all((state[k] == model.state[k]).all() for k in state)


def test_activate_a_whole_map():
    """Of an output with several axes, an index of the first means the mean over the others."""
    model = pel.Model(
        nn.Sequential(nn.Reshape((2, 2)), nn.Lambda(lambda x: 3 * x)), "mse", input_shape=(4,), executor="reference"
    )
    found = model.activate(1, 1, l2=0.5, steps=300, optimizer=optim.SGD(0.2))
    np.testing.assert_allclose(found, [0, 0, 1.5, 1.5], atol=1e-3)
    found = model.activate((0, 1), "layers.1", l2=0.5, steps=300, optimizer=optim.SGD(0.2))
    np.testing.assert_allclose(found, [0, 3, 0, 0], atol=1e-3)


def test_activate_for_a_net_of_bytes():
    net = nn.Sequential(unit, nn.Flatten(), nn.Dense(3))
    model = pel.Model(net, "cross_entropy", executor="reference")
    model.fit(RNG.integers(0, 256, (6, 1, 2, 2)).astype(np.uint8), Y[:6], verbose=0)
    found = model.activate(0, low=0, high=255, optimizer=optim.Adam(20), start=np.full((1, 2, 2), 128))
    assert found.shape == (1, 2, 2) and set(found.ravel().tolist()) <= {0.0, 255.0}


def test_activate_what_is_not_there():
    model = trained()
    for arguments, words in (
        ({"unit": 3}, r"the net has outputs of shape \(3,\), so there is no unit 3"),
        ({"unit": 0, "layer": "layers.7"}, "no layer 'layers.7'"),
        ({"unit": 0, "start": np.zeros(3)}, r"start has shape \(3,\), expected \(4,\)"),
        ({"unit": 0, "steps": -1}, "steps must be a whole number >= 0"),
    ):
        with pytest.raises((ArgumentError, GraphError), match=words):
            model.activate(**arguments)
    words = pel.Model(lambda t: nn.Dense(2)(pel.ops.one_hot(t, 3)), "mse", executor="reference")
    words.fit(np.array([0, 1, 2]), np.zeros((3, 2)), verbose=0)
    with pytest.raises(GraphError, match="the net takes whole numbers"):
        words.activate(0)
    twins = pel.Model(lambda a, b: a + b, "mse", input_shape=((2,), (2,)))
    with pytest.raises(GraphError, match="the net takes several arrays"):
        twins.activate(0)


# ---- convolutions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_a_convolutional_net(executor):
    """Trained on changed windows of pictures, looked into, and given a new head; each executor as the reference."""
    x, y = RNG.integers(0, 256, (24, 2, 8, 8)).astype(np.uint8), RNG.integers(0, 3, 24)
    net = nn.Sequential(unit, nn.Conv(4, 3, padding="same"), nn.BatchNorm(), nn.relu, nn.MaxPool(2), nn.Conv(5, 3),
                        nn.relu, nn.GlobalAvgPool(), nn.Dense(3))  # fmt: skip
    model = pel.Model(net, "cross_entropy", executor=executor)
    augment = pel.data.Augment(flip=True, shift=1, crop=6)
    model.fit(x, y, epochs=1, batch_size=8, augment=augment, verbose=0)
    assert model.specs["x"].shape == (2, 6, 6)
    small = augment.middle(x)
    outputs = model.layer_outputs(small)
    np.testing.assert_allclose(model.features(small, "layers.5"), outputs["layers.5"], atol=1e-5)
    assert model.features(x, "layers.7").shape == (24, 5)  # pictures of another size
    k = int(model.parameters["layers.1.weight"].sum((2, 3)).max(1).argmax())  # a map that white of some colour excites
    first = model.activate(k, "layers.1", steps=0, low=0)
    top = model.activate(k, "layers.1", steps=30, low=0, high=255, optimizer=optim.Adam(8))
    before, after = model.features(np.stack([first, top]).round().astype(np.uint8), "layers.1")[:, k].mean((1, 2))
    assert after > before + 0.1
    new = model.transfer([nn.Dense(4), nn.relu, nn.Dense(1)], "layers.7", loss="mse")
    after_head = changed(new, lambda: new.fit(small, y[:, None] * 1.0, batch_size=8, verbose=0))
    assert after_head == {"layers.8.weight", "layers.8.bias", "layers.10.weight", "layers.10.bias"}
    np.testing.assert_array_equal(new.features(small, 7), model.features(small, 7))


def test_freezing_by_name_in_a_net_of_the_zoo():
    net = nn.zoo.lenet5(modern=True)
    model = pel.Model(net, "cross_entropy", input_shape=(1, 32, 32), executor="reference")
    names = list(dict.fromkeys(name.rpartition(".")[0] for name in model.parameters))
    model.freeze(*names[:2])
    free = {p.name.rpartition(".")[0] for p in model.traced.parameters.values() if p.trainable}
    assert free == set(names[2:])
