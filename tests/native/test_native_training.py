"""Training on the native executor is training on the reference: nets, losses, optimizers, weights, failures, bits."""

import _thread
import os
import signal
import threading
import time

import numpy as np
import pytest
from native_tools import LANES, assert_same

import pellucid as pel
from pellucid import Model, nn, optim
from pellucid.executors.native.runtime import limits

random = np.random.default_rng(8)
N = 2 * LANES + 5
X = random.normal(size=(N, 6)).astype("float32")
LABELS = random.integers(0, 3, N)
VALUES = random.normal(size=(N, 3)).astype("float32")
BITS = random.integers(0, 2, (N, 3))
shared = nn.Dense(4)
MASK = (random.random((3, 5)) < 0.6).astype(int)

NETS = {
    "one layer": nn.Dense(3),
    "deep": nn.Sequential(nn.Dense(20), nn.tanh, nn.Dense(LANES + 1), nn.relu, nn.Dense(3)),
    "large": nn.Sequential(nn.Dense(200), nn.relu, nn.Dense(3)),
    "no bias": nn.Sequential(nn.Dense(5, bias=False), nn.sigmoid, nn.Dense(3, bias=False)),
    "masks": nn.Sequential(nn.Dense(5), nn.tanh, nn.Dense(3, mask=MASK)),
    "frozen": nn.Sequential(nn.Dense(5, trainable=False), nn.tanh, nn.Dense(4), nn.tanh, nn.Dense(3, trainable=False)),
    "shared": nn.Sequential(nn.Dense(4), shared, nn.tanh, shared, nn.Sequential(shared), nn.Dense(3)),
    "dropout": nn.Sequential(nn.Dropout(0.2), nn.Dense(16), nn.relu, nn.Dropout(0.4), nn.Dense(3)),
    "dropconnect": nn.Sequential(nn.DropConnect(7, rate=0.3), nn.tanh, nn.DropConnect(3, rate=0.2)),
    "dropconnect per sample": nn.Sequential(nn.DropConnect(7, rate=0.3, per_sample=True), nn.tanh, nn.Dense(3)),
    "branches": nn.Sequential(
        nn.Residual(nn.Sequential(nn.Dense(6), nn.tanh)), nn.Residual(nn.Dense(4), shortcut=nn.Dense(4)),
        nn.Concatenate(nn.linear, nn.Dense(3), nn.Sequential(nn.Dense(2), nn.relu)), nn.Dense(3)),
    "reshaped": nn.Sequential(nn.Reshape((2, 3)), nn.Lambda(lambda v: v.T * 2), nn.Flatten(), nn.Dense(3)),
    "softmax inside": nn.Sequential(nn.Dense(8), nn.softmax, nn.Dense(3)),
}  # fmt: skip
LOSSES = {"cross_entropy": LABELS, "hinge": LABELS, "miss_probability": LABELS, "class_distance": LABELS,
          "binary_cross_entropy": BITS, "binary_hinge": BITS, "mse": VALUES, "mae": VALUES, "huber": VALUES,
          "half_squared_error": VALUES}  # fmt: skip
OPTIMIZERS = {
    "sgd": optim.SGD(0.1),
    "momentum": optim.SGD(0.05, momentum=0.9),
    "nesterov": optim.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": optim.Adam(0.01),
    **{name: rule() for name, rule in optim.OPTIMIZERS.items()},
}  # fmt: skip


def pair(net, loss="cross_entropy", optimizer=None, **options):
    """The same model on both executors, with the same first weights."""
    common = {"loss": loss, "optimizer": optimizer or optim.Adam(0.01), "seed": 3, "input_shape": X.shape[1:]} | options
    a, b = (Model(net, executor=executor, **common) for executor in ("native", "reference"))
    for name, array in b.state.items():
        assert_same(a.state[name], array, 1e-5)
    a.state = {name: array.copy() for name, array in b.state.items()}
    return a, b


def one_step(net, y=LABELS, tolerance=None, **options):
    """One step on both; weights, optimizer's state, losses and predictions afterwards agree."""
    fit = {k: options.pop(k) for k in ("sample_weight", "class_weight", "batch_size") if k in options}
    models = pair(net, **options)
    before = models[0].parameters
    for m in models:
        m.fit(X, y, **{"batch_size": "all", "verbose": 0} | fit)
    a, b = models
    assert a.state.keys() == b.state.keys()
    for name, array in b.state.items():
        assert_same(a.state[name], array, tolerance, name)
    frozen = {p.name for p in a.traced.parameters.values() if not p.trainable}
    moved = {name for name, array in a.parameters.items() if (array != before[name]).any()}
    assert not moved & frozen and (moved or not set(before) - frozen)
    assert a.history.columns.keys() == b.history.columns.keys()
    for name, column in b.history.columns.items():
        np.testing.assert_allclose(a.history.columns[name], column, rtol=1e-5)
    assert_same(a.predict(X), b.predict(X), 1e-5)
    for m in models:
        m.state = b.state
    assert a.evaluate(X, y).keys() == b.evaluate(X, y).keys()
    for name, number in b.evaluate(X, y, batch_size=7).items():
        assert a.evaluate(X, y, batch_size=7)[name] == pytest.approx(number, rel=1e-5)
    return models


# ---- one step ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETS)
def test_nets(name, dtype):
    one_step(NETS[name], dtype=dtype, metrics=["accuracy"], optimizer=optim.SGD(0.1, momentum=0.9),
             tolerance=1e-5 if dtype == "float32" else 1e-10)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, dtype):
    one_step(NETS["deep"], LOSSES[name], loss=name, dtype=dtype, optimizer=optim.SGD(0.1))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    one_step(NETS["large"], optimizer=OPTIMIZERS[name], dtype="float64", tolerance=1e-9)


@pytest.mark.parametrize("name", list(nn.activations.ACTIVATIONS))
def test_activations(name):
    one_step(nn.Sequential(nn.Dense(9), name, nn.Dense(3)), optimizer=optim.SGD(0.1), dtype="float64", tolerance=1e-9)


def test_weights_of_samples_and_classes():
    weights = random.uniform(0, 2, N)
    weights[3] = 0
    for fit in ({"sample_weight": weights}, {"class_weight": "balanced"},
                {"class_weight": {0: 1, 1: 0.5, 2: 3}, "sample_weight": weights}):  # fmt: skip
        one_step(NETS["deep"], metrics=["accuracy"], optimizer=optim.SGD(0.1), **fit)


def test_targets_as_rows_and_label_smoothing():
    rows = np.eye(3)[LABELS] * 0.7 + 0.1
    one_step(NETS["deep"], rows, optimizer=optim.SGD(0.1))
    one_step(NETS["deep"], loss=nn.losses.CrossEntropy(label_smoothing=0.1), optimizer=optim.SGD(0.1))


@pytest.mark.parametrize(
    "x",
    [X > 0, (X * 50 + 100).astype("uint8"), (X * 4).astype("int64"), X.astype("float64")],
    ids=lambda x: str(x.dtype),
)
def test_inputs_of_other_dtypes(x):
    a, b = (
        Model(nn.Dense(3), loss="cross_entropy", optimizer=optim.SGD(1e-4), executor=e) for e in ("native", "reference")
    )
    for m in (a, b):
        m.fit(x, LABELS, batch_size=10, verbose=0)
    for name, array in b.state.items():
        assert_same(a.state[name], array, 1e-5)
    assert_same(a.predict(x), b.predict(x), 1e-5)
    assert_same(a.predict(x[:1]), b.predict(x[:1]), 1e-5)


def test_several_inputs():
    def net(a, b):
        return nn_a(a) * pel.ops.sum(b) + nn_b(b)

    nn_a, nn_b = nn.Dense(3, name="a"), nn.Dense(3, name="b")
    given = {"a": X, "b": X[:, :2]}
    for how in (given, tuple(given.values())):
        models = [
            Model(net, loss="cross_entropy", optimizer=optim.SGD(0.1), executor=e) for e in ("native", "reference")
        ]
        for m in models:
            m.fit(how, LABELS, batch_size=13, epochs=2, verbose=0)
        assert_same(models[0].predict(how), models[1].predict(how), 1e-4)


# ---- many steps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, LANES, "all"])
def test_an_epoch_with_a_smaller_last_batch(batch_size):
    a, b = pair(NETS["deep"], optimizer=optim.SGD(0.05, momentum=0.9), dtype="float64", metrics=["accuracy"])
    for m in (a, b):
        m.fit(X, LABELS, batch_size=batch_size, epochs=3, validation_split=0.2, verbose=0)
    for name, array in b.state.items():
        assert_same(a.state[name], array, 1e-8, name)
    for name, column in b.history.columns.items():
        np.testing.assert_allclose(a.history.columns[name], column, rtol=1e-8)


def test_curves_of_digits_are_alike():
    x, y = pel.data.digits()
    net = nn.Sequential(nn.Dense(64), nn.relu, nn.Dense(10))
    histories = []
    for executor in ("native", "reference"):
        model = Model(net, loss="cross_entropy", optimizer=optim.Adam(1e-3), metrics=["accuracy"], executor=executor)
        histories.append(model.fit(x, y, batch_size=32, epochs=12, validation_split=0.1, verbose=0))
    for name, column in histories[1].columns.items():
        np.testing.assert_allclose(histories[0].columns[name], column, rtol=0.02, atol=0.01, err_msg=name)
    assert histories[0]["accuracy"][-1] > 0.95 and histories[0]["val_accuracy"][-1] > 0.93


def trained(threads, monkeypatch, net="wide", epochs=3, executor="native"):
    monkeypatch.setattr(limits, "SMALL_WORK", 0)
    monkeypatch.setenv("PELLUCID_THREADS", str(threads))
    nets = {
        "wide": nn.Sequential(nn.Dense(150), nn.relu, nn.Dropout(0.2), nn.Dense(70), nn.tanh, nn.Dense(10)),
        "plain": nn.Dense(10),
        "mixed": nn.Sequential(
            nn.DropConnect(33), nn.Residual(nn.Dense(33, mask=np.tri(33))), nn.softmax, nn.Dense(10)
        ),
    }
    return Model(nets[net], loss="cross_entropy", optimizer=optim.Adam(1e-2), metrics=["accuracy"], executor=executor)


def bits_of(model):
    return {name: array.tobytes() for name, array in model.state.items()}, model.history.columns


@pytest.mark.parametrize("net", ["wide", "plain", "mixed"])
def test_the_same_bits_for_any_number_of_threads(net, monkeypatch, tmp_path):
    """And for two runs, and for one that was stopped, saved, loaded and went on."""
    x, y = pel.data.digits()
    x, y = x[:700], y[:700]
    found = []
    for threads in (1, 2, 3, 4, 1, 4):
        model = trained(threads, monkeypatch, net)
        model.fit(x, y, batch_size=100, epochs=3, verbose=0)
        assert len(found) or np.isfinite(model.history["loss"]).all()
        found.append(bits_of(model))
    assert all(bits == found[0] for bits in found)
    model = trained(2, monkeypatch, net)
    model.fit(x, y, batch_size=100, epochs=1, verbose=0)
    model.save(tmp_path / "m.pel")
    again = pel.load(tmp_path / "m.pel", executor="native")
    again.fit(x, y, batch_size=100, epochs=2, verbose=0)
    assert bits_of(again) == found[0]


def test_threads_as_an_argument():
    x, y = pel.data.digits()
    found = set()
    for threads in (1, 2, 5):
        model = Model(
            nn.Sequential(nn.Dense(40), nn.relu, nn.Dense(10)), loss="cross_entropy", executor="native", threads=threads
        )
        model.fit(x[:300], y[:300], batch_size=64, epochs=2, verbose=0)
        found.add(bits_of(model)[0]["layers.0.weight"])
    assert len(found) == 1


# ---- failures ---------------------------------------------------------------------------------------------------


def test_divergence_says_the_same_and_leaves_the_model():
    messages = []
    for executor in ("native", "reference"):
        net = nn.Sequential(nn.Dense(5), nn.relu, nn.Dense(1))
        model = Model(net, loss="mse", optimizer=optim.SGD(1e6), dtype="float64", executor=executor, input_shape=(6,))
        model.fit(X, VALUES[:, :1] * 0, epochs=1, batch_size="all", verbose=0)
        before = bits_of(model)
        with pytest.raises(pel.DivergedError) as caught:
            model.fit(X * 1e30, VALUES[:, :1], epochs=100, batch_size=10, verbose=0)
        messages.append(str(caught.value))
        assert bits_of(model)[0] == before[0]
    assert messages[0] == messages[1] and "step" in messages[0]


class Counting(pel.Callback):
    """Counts epochs; and may send Ctrl-C a moment after one began."""

    def __init__(self, after=None, how=None):
        self.after, self.how, self.epochs = after, how, 0

    def on_epoch_begin(self, epoch):
        if self.after is not None and self.epochs == self.after:
            threading.Timer(0.1, self.how).start()

    def on_epoch_end(self, epoch, logs):
        self.epochs += 1


@pytest.fixture
def interrupts():
    """Ctrl-C is heard, also where tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_stops_between_two_steps(threads, interrupts):
    """The model is as it was after a whole number of steps, and learns on."""
    x = np.tile(random.normal(size=(100, 200)).astype("float32"), (500, 1))
    y = np.arange(50_000) % 10
    net = nn.Sequential(nn.Dense(300), nn.relu, nn.Dense(10))
    model = Model(
        net, loss="cross_entropy", optimizer=optim.SGD(0.01, momentum=0.9), executor="native", threads=threads
    )
    model.fit(x[:64], y[:64], batch_size=64, verbose=0)
    before = {name: a.copy() for name, a in model.state.items()}
    counting = Counting(1, lambda: os.kill(os.getpid(), signal.SIGINT))
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=64, epochs=10_000, callbacks=[counting], verbose=0)
    assert time.perf_counter() - start < 60 and counting.epochs >= 1
    epochs, steps = divmod(int(model.state["optimizer.step"]) - 1, -(-50_000 // 64))
    assert model.epochs - 1 == epochs or (model.epochs == epochs and steps == 0)  # perhaps it came between two epochs
    again = Model(net, loss="cross_entropy", optimizer=optim.SGD(0.01, momentum=0.9), executor="native", threads=1)
    again.fit(x[:64], y[:64], batch_size=64, verbose=0)
    assert all((again.state[name] == before[name]).all() for name in before)
    again.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    order = np.concatenate([pel.train.batches.order_of(again.seed, again.epochs, 50_000, True)[: 64 * steps]])
    again._compiled("step", {"x": x, "y": y.astype("int32")}).steps(again.state, {"x": x, "y": y}, order, 64)
    assert all((again.state[name] == model.state[name]).all() for name in before)
    model.fit(x[:64], y[:64], batch_size=64, verbose=0)


def test_an_error_in_the_progress_stops_the_run():
    x = np.zeros((200_000, 100), "float32")
    model = Model(
        nn.Sequential(nn.Dense(200), nn.Dense(2)), loss="cross_entropy", executor="native", input_shape=(100,)
    )
    y = np.arange(200_000) % 2
    model.fit(x[:64], y[:64], verbose=0)
    run = model._compiled("step", {"x": x, "y": y.astype("int32")})
    before = int(model.state["optimizer.step"])

    def refuse(done):
        raise OSError("no place to write")

    with pytest.raises(OSError, match="no place"):
        run.steps(model.state, {"x": x, "y": y}, None, 10, "loss", refuse)
    assert before < model.state["optimizer.step"] < before + 20_000
    assert _thread.interrupt_main is not None
    model.fit(x[:64], y[:64], verbose=0)


# ---- evaluate and predict ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_evaluate_and_predict(dtype):
    a, b = pair(NETS["branches"], dtype=dtype, metrics=["accuracy"])
    weight = random.uniform(0, 2, N)
    for size in (1, 5, LANES, LANES + 1, None, "all"):
        assert_same(a.predict(X, batch_size=size), b.predict(X, batch_size=size), 1e-5)
        for w in (None, weight):
            found, expected = (m.evaluate(X, LABELS, sample_weight=w, batch_size=size) for m in (a, b))
            assert found == pytest.approx(expected, rel=1e-5)
    for n in (1, 2, LANES - 1, LANES):
        assert_same(a.predict(X[:n]), b.predict(X[:n]), 1e-5)
        assert a.predict(X[:n]).dtype == dtype
    outputs = a.layer_outputs(X), b.layer_outputs(X)
    for name, array in outputs[1].items():
        assert_same(outputs[0][name], array, 1e-5)


def test_a_prediction_does_not_depend_on_what_else_is_predicted():
    model = Model(NETS["deep"], loss="cross_entropy", executor="native", input_shape=(6,))
    together = model.predict(X)
    for size in (2, 3, LANES, 2 * LANES):
        np.testing.assert_array_equal(model.predict(X, batch_size=size)[: N - N % size], together[: N - N % size])
    np.testing.assert_allclose(np.concatenate([model.predict(x[None]) for x in X]), together, rtol=1e-5)


def test_metrics_and_losses_of_users():
    def confidence(prediction, target):
        return pel.ops.max(prediction)

    a, b = pair(NETS["deep"], metrics=["accuracy", confidence], loss=lambda y, t: pel.ops.sum((y - t) ** 4))
    assert a.evaluate(X, VALUES) == pytest.approx(b.evaluate(X, VALUES), rel=1e-5)


def test_random_first_weights_are_alike():
    for init in (nn.init.glorot_uniform, nn.init.he_normal, nn.init.glorot_normal, nn.init.he_uniform):
        a, b = (
            Model(nn.Dense(40, weight_init=init), loss="mse", executor=e, input_shape=(30,))
            for e in ("native", "reference")
        )
        assert_same(a.state["weight"], b.state["weight"], 2e-6)


def test_a_model_goes_from_one_executor_to_the_other(tmp_path):
    a = Model(NETS["dropout"], loss="cross_entropy", executor="native", dtype="float64")
    b = Model(NETS["dropout"], loss="cross_entropy", executor="reference", dtype="float64")
    a.fit(X, LABELS, epochs=2, verbose=0)
    a.save(tmp_path / "a.pel")
    changed = pel.load(tmp_path / "a.pel", executor="reference")
    changed.fit(X, LABELS, epochs=1, verbose=0)
    b.fit(X, LABELS, epochs=3, verbose=0)
    for name, array in b.state.items():
        assert_same(changed.state[name], array, 1e-5)
