"""`Model`: fit, evaluate, predict, history, early stopping, weights of samples, the same bits from the same seed."""

import math

import numpy as np
import pytest

import pellucid as pel
from pellucid import ArgumentError, GraphError, Model, nn, optim
from pellucid.train.batches import order_of

random = np.random.default_rng(5)
X = random.normal(size=(60, 4)).astype("float32")
LABELS = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int) + (X[:, 2] > 1)
VALUES = (X @ [[1.0], [-2.0], [0.5], [0.0]] + 0.3).astype("float32")


def classifier(seed=0, optimizer=None, **options):
    net = nn.Sequential(nn.Dense(8), nn.tanh, nn.Dense(3))
    options = {"loss": "cross_entropy", "metrics": ["accuracy"], "seed": seed} | options
    return Model(net, optimizer=optimizer or optim.Adam(0.02), **options)


def dropping(seed=0):
    net = nn.Sequential(nn.Dense(16), nn.relu, nn.Dropout(0.4), nn.DropConnect(3, rate=0.2))
    return Model(net, loss="cross_entropy", optimizer=optim.SGD(0.1, momentum=0.9), seed=seed)


def line(optimizer=None, **options):
    """y = w x + b from zero weights."""
    net = nn.Dense(1, weight_init=nn.init.zeros)
    return Model(net, loss="half_squared_error", optimizer=optimizer or optim.SGD(0.1), dtype="float64", **options)


def same_bits(a, b):
    assert a.state.keys() == b.state.keys()
    for name in a.state:
        assert a.state[name].dtype == b.state[name].dtype
        assert a.state[name].tobytes() == b.state[name].tobytes(), name
    assert {k: np.array(c).tobytes() for k, c in a.history.columns.items()} == {
        k: np.array(c).tobytes() for k, c in b.history.columns.items()}  # fmt: skip
    assert a.epochs == b.epochs


# ---- fit, evaluate, predict -------------------------------------------------------------------------------------


def test_it_learns_classes():
    model = classifier()
    history = model.fit(X, LABELS, epochs=60, verbose=0)
    assert list(history) == ["loss", "accuracy"] and history.epochs == 60
    assert history["loss"][-1] < history["loss"][0] / 3 and history["accuracy"][-1] > 0.9
    found = model.evaluate(X, LABELS)
    p = model.predict(X)
    assert p.shape == (60, 3) and p.dtype == "float32"
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    assert found["accuracy"] == pytest.approx((p.argmax(1) == LABELS).mean())
    assert found["loss"] == pytest.approx(-np.log(p[np.arange(60), LABELS]).mean(), rel=1e-5)


def test_it_learns_values():
    model = Model(nn.Dense(1), loss="mse", optimizer=optim.Adam(0.05), metrics=["mae"])
    model.fit(X, VALUES[:, 0], epochs=150, verbose=0)  # (n,) for an output of (1,) is fine
    assert model.evaluate(X, VALUES)["loss"] < 1e-4
    np.testing.assert_allclose(model.predict(X), VALUES, atol=0.05)
    np.testing.assert_allclose(model.parameters["weight"], [[1, -2, 0.5, 0]], atol=0.02)


def test_targets_in_their_forms():
    """Class numbers, a column of them, bools, one-hot rows: the same training."""
    two = Model(nn.Dense(2), loss="cross_entropy", input_shape=(4,))
    y = LABELS == 1
    losses = {
        two.evaluate(X, t)["loss"]
        for t in (y, y.astype("uint8"), y.astype(int)[:, None], np.eye(2)[y.astype(int)], y.astype(int).tolist())
    }
    assert len({round(v, 5) for v in losses}) == 1


def test_probabilities_as_targets_of_two_classes():
    """Cross-entropy is least where the prediction is the target, not where it is 0 or 1."""
    x, p = np.array([[0.0], [1.0]]), np.array([0.2, 0.9])
    model = Model(nn.Dense(1), "binary_cross_entropy", optim.Adam(0.1), ["accuracy", "log_loss", "brier_score_loss"])
    model.fit(x, p, epochs=400, verbose=0)
    np.testing.assert_allclose(model.predict(x)[:, 0], p, atol=0.01)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean()
    found = model.evaluate(x, p)
    assert found["loss"] == pytest.approx(entropy, abs=1e-3) and found["log_loss"] == pytest.approx(entropy, abs=1e-3)
    assert found["accuracy"] == 1 and found["brier_score_loss"] == pytest.approx(0, abs=1e-3)
    same = Model(nn.Dense(1), "binary_cross_entropy")
    same.fit(x, [0.3, 0.3], verbose=0)


def test_inputs_in_their_forms(tmp_path):
    import pandas

    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    model = classifier(input_shape=(4,))
    expected = model.predict(X)
    for x in (X.tolist(), X.astype("float64"), mapped, pandas.DataFrame(X), np.asfortranarray(X)):
        np.testing.assert_array_equal(model.predict(x), expected)
    assert model.fit(mapped, LABELS, verbose=0).epochs == 1
    whole = np.ones((2, 4), int)
    np.testing.assert_array_equal(model.predict(whole), model.predict(whole.astype(float)))


def test_bytes_are_pixels():
    images, y = np.arange(96, dtype="uint8").reshape(8, 3, 4), np.arange(8) % 2
    models = [
        Model(nn.Sequential(nn.Flatten(), nn.Dense(2)), loss="cross_entropy", optimizer=optim.SGD(1e-4)) for _ in "ab"
    ]
    for model, x in zip(models, (images, images.astype("float32")), strict=True):
        model.fit(x, y, verbose=0)
    same_bits(*models)
    np.testing.assert_array_equal(models[0].predict(images), models[1].predict(images))
    np.testing.assert_allclose(models[0].predict(images / 255), models[1].predict(images / 255))


@pytest.mark.parametrize("batch_size, steps", [(1, 60), (7, 9), (60, 1), ("all", 1), (None, 2)])
def test_batch_sizes(batch_size, steps):
    """1 is sequential, n mini-batch (the last may be smaller), all batch mode; 32 if not said."""
    model = classifier()
    model.fit(X, LABELS, batch_size=batch_size, epochs=2, verbose=0)
    assert model.state["optimizer.step"] == 2 * steps


def test_one_batch_is_the_gradient_of_the_mean():
    x, t = np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [3.0], [2.0]])
    model = line()
    model.fit(x, t, batch_size="all", verbose=0)  # at w = b = 0: dE/dw = -mean(t x), dE/db = -mean(t)
    assert model.parameters["weight"].item() == pytest.approx(0.1 * (t * x).mean())
    assert model.parameters["bias"].item() == pytest.approx(0.1 * t.mean())


def test_predictions_do_not_depend_on_the_batch():
    model = classifier(dtype="float64", input_shape=(4,))
    for size in (1, 7, 60, 1000):
        np.testing.assert_allclose(model.predict(X, batch_size=size), model.predict(X), rtol=1e-13)
        assert model.evaluate(X, LABELS, batch_size=size)["loss"] == pytest.approx(model.evaluate(X, LABELS)["loss"])
    assert len(model.predict(np.tile(X, (20, 1)))) == 1200


def test_metrics_of_users():
    def confidence(prediction, target):
        return pel.ops.max(prediction)

    model = classifier(metrics=["accuracy", confidence], input_shape=(4,))
    assert model.evaluate(X, LABELS)["confidence"] == pytest.approx(model.predict(X).max(1).mean(), rel=1e-5)


def test_a_loss_of_users():
    net = nn.Dense(1, bias=False, weight_init=nn.init.constant)
    model = Model(net, loss=lambda y, t: pel.ops.sum((y - t) ** 4), input_shape=(1,))
    assert model.evaluate([[3.0]], [[1.0]])["loss"] == 16


def test_layer_outputs():
    model = classifier(input_shape=(4,))
    found = model.layer_outputs(X[:2])
    assert {k: v.shape for k, v in found.items()} == {
        "layers.0": (2, 8), "layers.1": (2, 8), "layers.2": (2, 3), "Sequential": (2, 3)}  # fmt: skip
    np.testing.assert_allclose(found["layers.1"], np.tanh(found["layers.0"]), rtol=1e-6)


def test_layer_outputs_of_many_samples_are_computed_in_batches():
    """The same numbers, and little more memory than they take themselves."""
    import tracemalloc

    net = nn.Sequential(nn.Conv(6, 5, padding="same"), nn.tanh, nn.AvgPool(2), nn.Flatten(), nn.Dense(10))
    model = Model(net, "cross_entropy", input_shape=(1, 28, 28))
    x = np.random.default_rng(0).normal(size=(700, 1, 28, 28)).astype("float32")
    whole = model.layer_outputs(x, batch_size="all")
    for size in (None, 256, 99):
        for name, a in model.layer_outputs(x, batch_size=size).items():
            assert a.shape == whole[name].shape and (a == whole[name]).all(), (size, name)
    model = model.clone(input_shape=(1, 28, 28))
    model.layer_outputs(x[:64])
    tracemalloc.start()
    found = model.layer_outputs(x, batch_size=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.4 * sum(a.nbytes for a in found.values())


def test_set_parameters():
    model = classifier(input_shape=(4,))
    model.set_parameters({"layers.0.bias": np.arange(8)})
    assert model.parameters["layers.0.bias"].tolist() == list(range(8))
    model.parameters["layers.0.bias"][:] = 0  # a copy
    assert model.parameters["layers.0.bias"][1] == 1
    with pytest.raises(GraphError, match=r"no parameter is named 'layers\.9'; there are layers\.0\.weight"):
        model.set_parameters({"layers.9": 1})
    with pytest.raises(GraphError, match=r"'layers\.0\.bias' has shape \(8,\), got \(3,\)"):
        model.set_parameters({"layers.2.bias": np.zeros(3), "layers.0.bias": np.zeros(3)})


def test_summary(capsys):
    shared = nn.Dense(4)
    net = nn.Sequential(shared, nn.tanh, shared, nn.Residual(nn.Dense(4, trainable=False)), nn.Dense(3, name="head"))
    Model(net, loss="cross_entropy", input_shape=(4,)).summary()
    text = capsys.readouterr().out
    assert "layers.2" not in text and "layers.head (Dense)" in text
    assert text.splitlines()[-1] == "55 parameters, 35 of them trainable, 20 frozen"


@pytest.mark.parametrize("verbose, lines", [(0, 0), (2, 3)])
def test_what_is_printed(verbose, lines, capsys):
    classifier().fit(X, LABELS, epochs=3, verbose=verbose)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == lines
    assert all(f"epoch {i}/3" in text and "accuracy" in text for i, text in enumerate(printed, 1))


# ---- history and validation -------------------------------------------------------------------------------------


def test_history(tmp_path):
    model = classifier()
    history = model.fit(X, LABELS, epochs=3, validation_split=0.25, verbose=0)
    assert list(history.keys()) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    frame = history.to_frame()
    assert frame.shape == (3, 4) and frame.index.tolist() == [1, 2, 3]
    assert frame["val_loss"].tolist() == history["val_loss"]
    history.plot(str(tmp_path / "curves.png"))
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    model.fit(X, LABELS, epochs=2, verbose=0)  # without validation now
    assert model.history.epochs == 5 and all(map(math.isnan, model.history["val_loss"][3:]))
    with pytest.raises(KeyError, match="no 'f1' in the history; there are loss, accuracy"):
        model.history["f1"]


def test_validation_data_is_evaluated_after_the_epoch():
    model = classifier()
    history = model.fit(X[:40], LABELS[:40], validation_data=(X[40:], LABELS[40:]), epochs=3, verbose=0)
    assert history["val_loss"][-1] == model.evaluate(X[40:], LABELS[40:])["loss"]
    weight = np.arange(20.0)
    history = model.fit(X[:40], LABELS[:40], validation_data=(X[40:], LABELS[40:], weight), verbose=0)
    assert history["val_loss"][-1] == model.evaluate(X[40:], LABELS[40:], sample_weight=weight)["loss"]


def test_validation_split_takes_samples_away_from_training():
    """A quarter, drawn with the seed, the same for every fit: those samples have no influence."""
    seen = []

    class Note(pel.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(logs["val_loss"])

    def fit(y, seed=0):
        model = line(seed=seed)
        model.fit(X[:20], y, validation_split=0.25, epochs=2, verbose=0, callbacks=[Note()])
        return model.parameters["weight"]

    base, moved = fit(VALUES[:20]), []
    for i in range(20):
        y = VALUES[:20].copy()
        y[i] += 1
        moved.append((fit(y) != base).any())
    assert sum(moved) == 15
    assert (fit(VALUES[:20], seed=1) != base).any()


# ---- early stopping and callbacks -------------------------------------------------------------------------------


class Script(pel.Callback):
    """Puts given numbers into the logs, and remembers the weights after each epoch."""

    def __init__(self, numbers):
        self.numbers, self.weights, self.said = numbers, [], []

    def on_train_begin(self, logs=None):
        self.said.append("begin")

    def on_epoch_begin(self, epoch, logs=None):
        self.said.append(epoch)

    def on_epoch_end(self, epoch, logs=None):
        logs["score"] = self.numbers[epoch]
        self.weights.append(self.model.parameters)

    def on_train_end(self, logs=None):
        self.said.append("end")


@pytest.mark.parametrize(
    "numbers, options, stopped, best",
    [
        ([3, 2, 4, 5, 1, 0], {"mode": "min", "patience": 2}, 3, 1),
        ([3, 2, 4, 1, 5, 6, 7], {"mode": "min", "patience": 3}, 6, 3),
        ([1, 2, 3, 2, 2, 9], {"patience": 2}, 4, 2),  # "score": larger is better
        ([3, 2.95, 2.9, 2.85], {"mode": "min", "patience": 2, "min_delta": 0.2}, 2, 0),
        ([1, 2, 3], {"mode": "min"}, 1, 0),
        ([3, 2, 1], {"mode": "min", "patience": 1}, None, 2),
        ([math.nan, math.nan, 1], {"mode": "min", "patience": 2}, 1, None),
    ],
)
def test_early_stopping_restores_the_best(numbers, options, stopped, best):
    script, stop = Script(numbers), pel.EarlyStopping("score", **options)
    model = classifier()
    model.fit(X, LABELS, epochs=len(numbers), callbacks=[script, stop], verbose=0)
    assert stop.stopped_epoch == stopped
    assert model.epochs == (len(numbers) if stopped is None else stopped + 1)
    kept = script.weights[-1 if best is None else best]
    assert all((model.parameters[name] == kept[name]).all() for name in kept)
    assert script.said == ["begin", *range(model.epochs), "end"]


def test_early_stopping_may_keep_the_last():
    script = Script([1, 2, 3])
    model = classifier()
    stop = pel.EarlyStopping("score", mode="min", restore_best_weights=False)
    model.fit(X, LABELS, epochs=3, callbacks=[script, stop], verbose=0)
    assert all((model.parameters[name] == value).all() for name, value in script.weights[-1].items())


def test_early_stopping_on_validation_loss_by_default():
    model = classifier(optimizer=optim.Adam(0.1))
    history = model.fit(
        X, LABELS, epochs=500, validation_split=0.3, callbacks=[pel.EarlyStopping(patience=5)], verbose=0
    )
    assert history.epochs < 500
    assert history.epochs == np.argmin(history["val_loss"]) + 6


def test_early_stopping_without_its_number():
    for monitor, hint in (("val_loss", "give fit validation_split"), ("f1", "reports loss, accuracy")):
        with pytest.raises(GraphError, match=hint):
            classifier().fit(X, LABELS, callbacks=[pel.EarlyStopping(monitor)], verbose=0)
    with pytest.raises(ArgumentError, match="mode must be one of 'auto', 'min' or 'max', got 'mx'"):
        pel.EarlyStopping(mode="mx")
    for patience in (-1, 0):
        with pytest.raises(ArgumentError, match="patience must be a whole number >= 1"):
            pel.EarlyStopping(patience=patience)
    with pytest.raises(ArgumentError, match="min_delta must be a number >= 0"):
        pel.EarlyStopping(min_delta=-1)


def test_a_callback_may_stop_training():
    class Enough(pel.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    model = classifier()
    assert model.fit(X, LABELS, epochs=9, callbacks=[Enough()], verbose=0).epochs == 2
    assert model.fit(X, LABELS, epochs=3, verbose=0).epochs == 5  # and the next fit runs again


# ---- weights of samples and classes -----------------------------------------------------------------------------


def test_sample_weight_is_repetition():
    """Loss and metrics with weights 1, 2, 3 are those of the set with samples once, twice, three times."""
    counts = 1 + np.arange(60) % 3
    repeated = np.repeat(np.arange(60), counts)
    model = classifier(dtype="float64", input_shape=(4,))
    weighted, plain = model.evaluate(X, LABELS, sample_weight=counts), model.evaluate(X[repeated], LABELS[repeated])
    assert weighted == pytest.approx(plain, rel=1e-12)


def test_training_with_weights_of_mean_1_is_training_on_repetition():
    counts = 1 + np.arange(60) % 3
    repeated = np.repeat(np.arange(60), counts)
    a, b = (classifier(dtype="float64", optimizer=optim.SGD(0.5)) for _ in range(2))
    a.fit(X, LABELS, sample_weight=counts / counts.mean(), batch_size="all", epochs=5, verbose=0)
    b.fit(X[repeated], LABELS[repeated], batch_size="all", epochs=5, verbose=0)
    for name in a.parameters:
        np.testing.assert_allclose(a.parameters[name], b.parameters[name], rtol=1e-9, atol=1e-12)
    assert a.history["loss"] == pytest.approx(b.history["loss"], rel=1e-10)


def test_weight_0_is_absence_and_1_changes_nothing():
    absent = np.arange(60) % 4 == 0
    model = classifier(dtype="float64", input_shape=(4,))
    assert model.evaluate(X, LABELS, sample_weight=~absent) == pytest.approx(
        model.evaluate(X[~absent], LABELS[~absent])
    )
    a, b = classifier(), classifier()
    a.fit(X, LABELS, sample_weight=np.ones(60), epochs=2, verbose=0)
    b.fit(X, LABELS, epochs=2, verbose=0)
    same_bits(a, b)


@pytest.mark.parametrize("targets", [LABELS, np.eye(3)[LABELS]], ids=["numbers", "one-hot"])
def test_class_weight(targets):
    by_class = {0: 1.0, 1: 3.0, 2: 0.5}
    a, b = classifier(), classifier()
    a.fit(X, targets, class_weight=by_class, epochs=2, verbose=0)
    b.fit(X, targets, sample_weight=[by_class[c] for c in LABELS], epochs=2, verbose=0)
    same_bits(a, b)


def test_balanced_classes():
    from sklearn.utils.class_weight import compute_sample_weight

    a, b = classifier(), classifier()
    a.fit(X, LABELS, class_weight="balanced", epochs=2, verbose=0)
    b.fit(X, LABELS, sample_weight=compute_sample_weight("balanced", LABELS), epochs=2, verbose=0)
    same_bits(a, b)


def test_the_order_of_the_samples():
    """A permutation that is another one in every epoch and for every seed."""
    model, orders = classifier(), []
    for model.seed, model.epochs in ((0, 0), (0, 1), (1, 0), (1, 1)):
        orders.append(order_of(model.seed, model.epochs, 60, shuffle=True))
        assert (orders[-1] == order_of(model.seed, model.epochs, 60, shuffle=True)).all()
    assert all(sorted(order.tolist()) == list(range(60)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert order_of(model.seed, model.epochs, 60, shuffle=False) is None


# ---- the same bits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [classifier, dropping])
def test_same_seed_same_bits(make):
    models = [make(seed=3), make(seed=3)]
    for model in models:
        model.fit(X, LABELS, epochs=4, batch_size=7, validation_split=0.2, verbose=0)
    same_bits(*models)
    other = make(seed=4)
    other.fit(X, LABELS, epochs=4, batch_size=7, validation_split=0.2, verbose=0)
    assert other.history["loss"] != models[0].history["loss"]


@pytest.mark.parametrize("make", [classifier, dropping])
@pytest.mark.parametrize("options", [{}, {"validation_split": 0.2}, {"batch_size": 1}, {"shuffle": False}])
def test_continuing_is_one_longer_fit(make, options):
    whole, parts = make(), make()
    whole.fit(X, LABELS, epochs=4, verbose=0, **options)
    for epochs in (1, 0, 2, 1):
        parts.fit(X, LABELS, epochs=epochs, verbose=0, **options)
    same_bits(whole, parts)


def test_evaluate_and_predict_leave_no_trace():
    a, b = dropping(), dropping()
    a.fit(X, LABELS, epochs=2, verbose=0)
    b.fit(X, LABELS, epochs=1, verbose=0)
    b.evaluate(X, LABELS)
    b.predict(X)
    b.layer_outputs(X)
    b.fit(X, LABELS, epochs=1, verbose=0)
    same_bits(a, b)


def test_nothing_global():
    """Another model in between, and NumPy's global generator, change nothing."""
    a, b = classifier(), classifier()
    a.fit(X, LABELS, epochs=2, verbose=0)
    b.fit(X, LABELS, epochs=1, verbose=0)
    np.random.seed(0)
    classifier(seed=9).fit(X, LABELS, verbose=0)
    b.fit(X, LABELS, epochs=1, verbose=0)
    same_bits(a, b)


def test_no_array_of_the_users_is_changed_or_kept():
    x, y = X.copy(), LABELS.copy()
    model = classifier()
    model.fit(x, y, epochs=1, verbose=0)
    assert (x == X).all() and (y == LABELS).all()
    before = model.predict(X)
    x[:] = 0
    assert (model.predict(X) == before).all()


def test_weights_of_a_net_for_tokens_before_any_data():
    net = nn.Sequential(nn.Embedding(9, 4), nn.LSTM(3), nn.Dense(2))
    model = Model(net, "cross_entropy", input_shape=(5,), input_dtype="int32")
    assert model.predict(np.zeros((2, 5), int)).shape == (2, 2)
    with pytest.raises(ArgumentError, match="input_dtype must be"):
        Model(net, "cross_entropy", input_shape=(5,), input_dtype="int16")
