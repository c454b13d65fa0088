"""Nets of several outputs: a loss, a target and metrics for each; a tuple or a dict of all."""

import pickle

import numpy as np
import pytest

import pellucid as pel
from pellucid import ArgumentError, DataError, GraphError, Model, nn, ops, optim

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
KIND = np.arange(60) % 3
SIZE = X[:, 0] - X[:, 1]
Y = {"kind": KIND, "size": SIZE}
LOSS = {"kind": "cross_entropy", "size": "mse"}
METRICS = {"kind": ["accuracy", "f1_macro", "roc_auc_ovr"], "size": ["mae", "r2"]}


class Heads(nn.Layer):
    """A common layer and two heads."""

    named: bool = True

    def __call__(self, x):
        h = nn.tanh(nn.Dense(8, name="body")(x))
        found = {"kind": nn.Dense(3, name="kind")(h), "size": nn.Dense(1, name="size")(h)}
        return found if self.named else tuple(found.values())


def heads(x):
    h = nn.tanh(nn.Dense(8, name="body")(x))
    return {"kind": nn.Dense(3, name="kind")(h), "size": nn.Dense(1, name="size")(h)}


def one(name):
    return lambda x: heads(x)[name]


def model(loss=LOSS, net=heads, **options):
    return Model(net, loss, optim.SGD(0.1), **options)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_the_loss_is_the_weighted_sum_and_each_is_reported(executor):
    m = model(metrics=METRICS, loss_weights={"kind": 2.0, "size": 0.5}, executor=executor)
    history = m.fit(
        X, Y, epochs=3, batch_size=16, validation_data=(X[:20], {n: t[:20] for n, t in Y.items()}), verbose=0
    )
    for prefix in ("", "val_"):
        total, kind, size = (np.array(history[f"{prefix}{n}"]) for n in ("loss", "kind_loss", "size_loss"))
        np.testing.assert_allclose(total, 2 * kind + 0.5 * size, rtol=1e-5)
    found, p = m.evaluate(X, Y), m.predict(X)
    assert list(p) == ["kind", "size"] and p["kind"].shape == (60, 3) and p["size"].shape == (60, 1)
    np.testing.assert_allclose(p["kind"].sum(1), 1, rtol=1e-5)
    assert found["kind_loss"] == pytest.approx(-np.log(p["kind"][np.arange(60), KIND]).mean(), rel=1e-4)
    assert found["size_loss"] == pytest.approx(((p["size"][:, 0] - SIZE) ** 2).mean(), rel=1e-4)
    assert found["size_mae"] == pytest.approx(abs(p["size"][:, 0] - SIZE).mean(), rel=1e-4)
    assert found["kind_accuracy"] == (p["kind"].argmax(1) == KIND).mean()
    from sklearn.metrics import f1_score, r2_score, roc_auc_score

    assert found["kind_f1_macro"] == pytest.approx(f1_score(KIND, p["kind"].argmax(1), average="macro"))
    assert found["kind_roc_auc_ovr"] == pytest.approx(roc_auc_score(KIND, p["kind"], multi_class="ovr"), rel=1e-6)
    assert found["size_r2"] == pytest.approx(r2_score(SIZE, p["size"][:, 0]), rel=1e-4)
    assert list(found) == ["loss", "kind_loss", "kind_accuracy", "kind_f1_macro", "kind_roc_auc_ovr", "size_loss",
                           "size_mae", "size_r2"]  # fmt: skip
    assert set(history.columns) == {*found, *(f"val_{n}" for n in found)} - {"kind_roc_auc_ovr"}


def test_native_is_the_reference():
    both = [model(executor=e) for e in ("native", "reference")]
    for m in both:
        m.fit(X, Y, epochs=3, batch_size=16, verbose=0)
    for name, value in both[0].parameters.items():
        np.testing.assert_allclose(value, both[1].parameters[name], atol=2e-5)


@pytest.mark.parametrize("name, weights", [("kind", {"kind": 1, "size": 0}), ("size", {"kind": 0, "size": 1})])
def test_an_output_alone_is_a_net_of_one_output(name, weights):
    m, other = model(loss_weights=weights), model(LOSS[name], one(name))
    m.fit(X, Y, epochs=4, batch_size=16, verbose=0)
    other.fit(X, Y[name], epochs=4, batch_size=16, verbose=0)
    np.testing.assert_allclose(m.history[f"{name}_loss"], other.history["loss"], rtol=1e-5)
    np.testing.assert_allclose(m.predict(X)[name], other.predict(X), atol=1e-5)


def test_gradients_are_those_of_the_sum():
    m = model(loss_weights={"kind": 2.0, "size": 0.5}, input_shape=(4,))
    cost, slopes = m.gradients(X, Y)
    parts = {}
    for name in LOSS:
        other = model(LOSS[name], one(name), input_shape=(4,))
        parts[name] = other.gradients(X, Y[name])
    assert cost == pytest.approx(2 * parts["kind"][0] + 0.5 * parts["size"][0], rel=1e-5)
    for name, slope in slopes.items():
        own = 2 * parts["kind"][1].get(name, 0) + 0.5 * parts["size"][1].get(name, 0)
        np.testing.assert_allclose(slope, own, atol=1e-5)


def test_tuples_and_layers():
    named, plain = (
        model(net=Heads()),
        model(("cross_entropy", "mse"), Heads(named=False), metrics=(["accuracy"], "mae")),
    )
    named.fit(X, Y, epochs=2, verbose=0)
    for y in ((KIND, SIZE), [KIND, SIZE[:, None]], (np.eye(3)[KIND], SIZE)):
        plain = plain.clone()
        plain.fit(X, y, epochs=2, verbose=0)
        assert list(plain.history.columns) == ["loss", "output_0_loss", "output_0_accuracy", "output_1_loss",
                                               "output_1_mae"]  # fmt: skip
        assert plain.history["loss"] == named.history["loss"]
        kind, size = plain.predict(X)
        np.testing.assert_array_equal(kind, named.predict(X)["kind"])
        np.testing.assert_array_equal(size, named.predict(X)["size"])


@pytest.mark.parametrize("kept", ["saved", "pickled"])
def test_a_model_that_is_kept(kept, tmp_path):
    m = Model(Heads(), {"kind": nn.CrossEntropy(label_smoothing=0.1), "size": "mae"}, optim.Adam(0.01),
              {"kind": ["accuracy"]}, loss_weights={"size": 0.25})  # fmt: skip
    m.fit(X, Y, epochs=1, verbose=0)
    if kept == "saved":
        m.save(tmp_path / "m.pel")
        again = pel.load(tmp_path / "m.pel", custom_objects={"Heads": Heads})
    else:
        again = pickle.loads(pickle.dumps(m))
    for name, p in m.predict(X).items():
        np.testing.assert_array_equal(again.predict(X)[name], p)
    assert again.evaluate(X, Y) == m.evaluate(X, Y)
    for each in (m, again):
        each.fit(X, Y, epochs=1, verbose=0)
    np.testing.assert_array_equal(again.predict(X)["size"], m.predict(X)["size"])


def test_sample_weights_weigh_every_output():
    w = RNG.uniform(0.5, 2, 60)
    m = model(input_shape=(4,))
    found, p = m.evaluate(X, Y, sample_weight=w), m.predict(X)
    surprise = -np.log(p["kind"][np.arange(60), KIND])
    assert found["kind_loss"] == pytest.approx(np.average(surprise, weights=w), rel=1e-4)
    assert found["loss"] == pytest.approx(found["kind_loss"] + found["size_loss"], rel=1e-5)
    absent = np.arange(60) % 2
    assert m.evaluate(X, Y, sample_weight=absent)["loss"] == pytest.approx(
        m.evaluate(X[1::2], {n: t[1::2] for n, t in Y.items()})["loss"], rel=1e-5)  # fmt: skip


def test_each_output_keeps_its_mask():
    """A label for every step of padded sequences, beside a number for the whole."""

    def net(words):
        h = nn.LSTM(6, return_sequences=True, name="lstm")(nn.Embedding(9, 4, padding_index=0, name="words")(words))
        return nn.TimeDistributed(nn.Dense(2, name="tag"))(h), nn.Dense(1, name="length")(nn.GlobalAvgPool1D()(h))

    words = RNG.integers(1, 9, (20, 6))
    tags, length = words % 2, np.full(20, 6.0)
    longer, more = np.pad(words, ((0, 0), (0, 3))), np.pad(tags, ((0, 0), (0, 3)))
    m = Model(net, ("cross_entropy", "mse"), metrics=(["accuracy"], []), input_shape=(6,))
    other = Model(net, ("cross_entropy", "mse"), metrics=(["accuracy"], []), input_shape=(9,))
    other.set_parameters(m.parameters)
    short, padded = m.evaluate(words, (tags, length)), other.evaluate(longer, (more, length))
    assert padded == pytest.approx(short, rel=1e-4)
    with pytest.raises(GraphError, match="output_0_roc_auc cannot leave out the padding of one of several outputs"):
        m.evaluate(words, (tags, length), metrics=(["roc_auc"], []))


def test_pictures_beside_classes():
    """Outputs of three axes, whose classes are the channels."""
    conv, dense, flat = nn.Conv(3, 3, padding="same"), nn.Dense(2), nn.Flatten()

    def net(x):
        y = conv(x)
        return {"pixels": y, "whole": dense(flat(y))}

    x = RNG.normal(size=(10, 1, 5, 4))
    y = {"pixels": RNG.integers(0, 3, (10, 5, 4)), "whole": np.arange(10) % 2}
    m = Model(net, {"pixels": "cross_entropy", "whole": "cross_entropy"}, metrics={"pixels": ["accuracy"]})
    m.fit(x, y, verbose=0)
    p, found = m.predict(x), m.evaluate(x, y)
    assert p["pixels"].shape == (10, 3, 5, 4)
    np.testing.assert_allclose(p["pixels"].sum(1), 1, rtol=1e-5)
    assert found["pixels_accuracy"] == pytest.approx((p["pixels"].argmax(1) == y["pixels"]).mean())


def test_functions_as_losses_and_checkpoints(tmp_path):
    def far(y, t):
        return ops.mean(abs(y - t))

    m, mae = model({"kind": "cross_entropy", "size": far}), model({"kind": "cross_entropy", "size": "mae"})
    stop = pel.EarlyStopping(monitor="val_size_loss", patience=50)
    for each in (m, mae):
        each.fit(X, Y, epochs=2, verbose=0, validation_split=0.2, callbacks=[stop])
    assert m.history["val_size_loss"] == mae.history["val_size_loss"]
    save = pel.Checkpoint(tmp_path / "c")
    mae.fit(X, Y, epochs=2, verbose=0, callbacks=[save])


BAD = {
    "one loss": (
        lambda: model("mse").fit(X, SIZE),
        r"returns the outputs kind, size: give a loss for each, loss=\{'kind': \.\.\., 'size': \.\.\.\}",
    ),
    "one loss for a tuple": (lambda: model("mse", Heads(named=False)).fit(X, SIZE), r"loss=\(\.\.\., \.\.\.\)"),
    "other names": (
        lambda: model({"kind": "mse", "length": "mse"}).fit(X, Y),
        "returns the outputs kind, size, but loss= is for kind, length",
    ),
    "a tuple for a dict": (lambda: model(("mse", "mse")).fit(X, (KIND, SIZE)), "a dict by the names of a dict"),
    "a net of one output": (lambda: model(LOSS, nn.Dense(2)).fit(X, Y), "returns one output, but loss= is for"),
    "targets as an array": (lambda: model().fit(X, KIND), "y must be a dict by the names .* kind, size, got"),
    "a tuple of targets": (lambda: model().fit(X, (KIND, SIZE)), "y must be a dict by the names"),
    "a target missing": (lambda: model().fit(X, {"kind": KIND}), r"y\['size'\] is missing"),
    "a target too many": (lambda: model().fit(X, Y | {"age": SIZE}), "y has 'age', but the outputs are"),
    "labels outside": (lambda: model().fit(X, Y | {"kind": KIND + 1}), r"y\['kind'\] has labels outside 0\.\.2: 3"),
    "of another number": (lambda: model().fit(X, Y | {"size": SIZE[:5]}), r"x has 60 samples, y\['size'\] has 5"),
    "NaN": (lambda: model().fit(X, Y | {"size": SIZE * np.nan}), r"y\['size'\] has NaN"),
    "probabilities": (
        lambda: model().fit(X, Y | {"kind": np.eye(3)[KIND] * 0.7 + 0.1}),
        r"y\['kind'\] holds probabilities; of several outputs give class numbers or one-hot rows",
    ),
    "validation": (lambda: model().fit(X, Y, validation_data=(X, KIND)), "validation_data y must be a dict"),
    "class weights": (lambda: model().fit(X, Y, class_weight={0: 1, 1: 2}), "class_weight is for nets of one"),
    "metrics as a list": (lambda: model(metrics=["accuracy"]), "metrics must have one entry for each of the"),
    "metrics of others": (lambda: model(metrics={"kid": ["accuracy"]}), "metrics has 'kid', but the outputs"),
    "an array": (lambda: model(metrics={"kind": ["confusion_matrix"]}), "gives an array"),
    "weights of one loss": (lambda: model("mse", loss_weights=(1, 2)), "loss_weights are for several outputs"),
    "too few weights": (lambda: model(loss_weights=(1,)), "loss_weights must have one entry for each"),
    "negative weights": (lambda: model(loss_weights={"kind": -1}), "loss_weights of kind must be"),
    "no losses": (lambda: model({}), "loss must be a loss, or a tuple or dict"),
    "whole numbers": (
        lambda: model(LOSS, lambda x: {"kind": x, "size": ops.argmax(x)}).fit(X, Y),
        "outputs of a net must be floats of one dtype",
    ),
    "no Value": (lambda: model(LOSS, lambda x: {"kind": x, "size": 3}).fit(X, Y), "returned int in a dict"),
}


@pytest.mark.parametrize("call, text", BAD.values(), ids=list(BAD))
def test_what_does_not_fit(call, text):
    with pytest.raises((ArgumentError, DataError, GraphError), match=text):
        call()


def test_what_is_for_nets_of_one_output():
    m = model(input_shape=(4,))
    for use in (
        lambda: m.diagnose(X, Y),
        lambda: m.predict_samples(X),
        lambda: m.stepper(),
        lambda: m.activate(0),
        lambda: pel.ensembles.Committee([m, m.clone()]),
        lambda: m.fit(pel.data.Buckets([x[None] for x in X], KIND), verbose=0),
        lambda: m.fit(X, Y, augment=pel.data.Mixup(0.2), verbose=0),
        lambda: m.fit(X, Y, callbacks=[pel.Doctor()], verbose=0),
    ):
        with pytest.raises(GraphError, match=r"for nets of one output; this one has kind, size|several outputs"):
            use()
