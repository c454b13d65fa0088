"""Normalization: formulas, derivatives, large offsets, running statistics, executors; and state that layers update.

Against PyTorch: test_torch_norm.py.
"""

import numpy as np
import pytest
from native_tools import assert_same
from tools import check_gradient, distinct, substituted, total

import pellucid as pel
from pellucid import ArgumentError, GraphError, Model, nn, ops, optim
from pellucid.executors import native, reference
from pellucid.executors.native.runtime import limits
from pellucid.nn.layer import LayerError
from pellucid.nn.norm import normalized

random = np.random.default_rng(5)
IMAGES = random.normal(2, 3, size=(37, 4, 5, 3))
LABELS = random.integers(0, 3, 37)
EACH = pytest.mark.parametrize("executor", ["native", "reference"])


def outputs(net, x, training=False, executor=reference, state=(), dtype="float64"):
    """What a net gives for samples, and its new state."""
    x = np.asarray(x, dtype)
    value = pel.input("x", x.shape[1:], dtype)
    traced = nn.trace(net, value, dtype=dtype, training=training)
    kept = executor.compile(nn.init_program(traced.parameters))({}, {"key": [0, 1]}) if traced.parameters else {}
    kept |= {"random.key": np.array([1, 2], np.uint32)} | dict(state)
    program = pel.Program([value], {"y": traced.output}, traced.updates)
    return executor.compile(program)(kept, {"x": x})["y"], kept


def standard(x, axes, epsilon=1e-5):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


# ---- formulas ---------------------------------------------------------------------------------------------------

LOCAL = np.stack([(IMAGES[:, max(0, c - 1) : c + 2] ** 2).sum(1) for c in range(4)], 1)
GROUPS = standard(IMAGES.reshape(37, 2, 2, 5, 3), (2, 3, 4)).reshape(IMAGES.shape)
FORMULAS = {
    "batch": (nn.BatchNorm(), standard(IMAGES, (0, 2, 3))),
    "layer": (nn.LayerNorm(epsilon=0.1), standard(IMAGES, (3,), 0.1)),
    "layer, first axis": (nn.LayerNorm(axis=0), standard(IMAGES, (1,))),
    "layer, two axes": (nn.LayerNorm(axis=[0, -1]), standard(IMAGES, (1, 3))),
    "layer, all": (nn.LayerNorm(axis=None), standard(IMAGES, (1, 2, 3))),
    "group": (nn.GroupNorm(2), GROUPS),
    "one group": (nn.GroupNorm(1), standard(IMAGES, (1, 2, 3))),
    "groups of one": (nn.GroupNorm(4), standard(IMAGES, (2, 3))),
    "pixel": (nn.PixelNorm(), IMAGES / np.sqrt((IMAGES**2).mean(1, keepdims=True) + 1e-8)),
    "local response": (nn.LocalResponseNorm(3, 0.5, 0.6, 1.5), IMAGES / (1.5 + 0.5 * LOCAL) ** 0.6),
}


@pytest.mark.parametrize("layer, expected", FORMULAS.values(), ids=list(FORMULAS))
def test_formulas(layer, expected):
    for executor in (reference, native):
        np.testing.assert_allclose(outputs(layer, IMAGES, True, executor)[0], expected, rtol=1e-11, atol=1e-11)


def test_features_of_vectors():
    x = IMAGES[:, :, 0, 0]
    np.testing.assert_allclose(outputs(nn.BatchNorm(), x, True)[0], standard(x, 0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(outputs(nn.GroupNorm(2), x)[0], standard(x.reshape(37, 2, 2), 2).reshape(x.shape))
    by_hand, _ = outputs(nn.LocalResponseNorm(alpha=1.0, beta=1.0), [[1.0, 2, 3]])  # all three are neighbors of all
    np.testing.assert_allclose(by_hand, [[1 / 16, 2 / 16, 3 / 16]])
    wider, _ = outputs(nn.LocalResponseNorm(3_000_001, alpha=1.0, beta=1.0), [[1.0, 2, 3]])  # in no more time
    np.testing.assert_array_equal(wider, by_hand)
    alexnet, _ = outputs(nn.LocalResponseNorm(), np.full((1, 9), 10.0))
    np.testing.assert_allclose(alexnet[0, [0, 1, 4]], 10 / (2 + 1e-4 * np.array([300, 400, 500])) ** 0.75)


def test_scale_and_center():
    state = {"gamma": np.array([1.0, 2, 3, 4]), "beta": np.array([5.0, 6, 7, 8])}
    u = standard(IMAGES, (0, 2, 3))
    wide = {name: v.reshape(4, 1, 1) for name, v in state.items()}
    scaled = u * wide["gamma"]
    for layer, expected in (
        (nn.BatchNorm(), scaled + wide["beta"]),
        (nn.BatchNorm(scale=False, center=False), u),
        (nn.BatchNorm(center=False), scaled),
        (nn.BatchNorm(scale=False), u + wide["beta"]),
        (nn.GroupNorm(2), GROUPS * wide["gamma"] + wide["beta"]),
    ):
        np.testing.assert_allclose(outputs(layer, IMAGES, True, state=state)[0], expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("layer", [nn.BatchNorm(), nn.LayerNorm(axis=None), nn.GroupNorm(1)])
@pytest.mark.parametrize("executor", [reference, native], ids=["reference", "native"])
def test_large_offsets(layer, executor):
    """Mean 1000, variance 1, in float32: mean(x^2) - mean(x)^2 would lose the variance, a few parts in 10^7 of 10^6."""
    x = random.normal(1000, 1, size=(64, 4, 16, 16)).astype("float32")
    expected, _ = outputs(layer, x, True)
    y, state = outputs(layer, x, True, executor, dtype="float32")
    assert np.abs(y - expected).max() < 2e-3 and abs(y.std() - 1) < 1e-4
    if isinstance(layer, nn.BatchNorm):
        np.testing.assert_allclose(state["moving_variance"], 0.9 + 0.1 * x.var((0, 2, 3), dtype="float64"), rtol=1e-4)


# ---- derivatives ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer, _", FORMULAS.values(), ids=list(FORMULAS))
def test_derivatives(layer, _):
    def function(x):
        traced = nn.trace(layer, x, dtype="float64", training=True)
        start = {"gamma": 1, "beta": 0}
        assert all(name.rpartition("_")[2] in ("mean", "variance", *start) for name in traced.parameters)
        return substituted(traced, {p.value: ops.fill(start.get(name, 1), p.value.shape, "float64")
                                    for name, p in traced.parameters.items()})  # fmt: skip

    check_gradient(function, distinct((5, 4, 3, 2)), kinds="sample")


@pytest.mark.parametrize("axes, batch", [((), True), ((-2, -1), True), ((-1,), False), ((-3, -1), False)])
def test_derivatives_of_all_three(axes, batch):
    """In x, gamma and beta; and once more, since derivatives are formulas too."""
    shape = (3, 2, 2)
    narrow = tuple(1 if i - 3 in axes else n for i, n in enumerate(shape))
    arrays = distinct((5, *shape)), distinct(narrow, 1), distinct(narrow, 2)

    def function(*inputs):
        return normalized(*inputs, axes=axes, epsilon=0.01, batch=batch)

    def slope(*inputs):
        y = function(*inputs)
        return pel.grad(total(y * y * y), inputs[0])

    for f in (function, slope):
        check_gradient(f, *arrays, kinds=("sample", "shared", "shared"), tolerance=1e-5)


# ---- running statistics -----------------------------------------------------------------------------------------


@EACH
def test_the_first_step_by_hand(executor):
    """x = 1, 3: mean 2, unbiased variance 2; m' = 0.75 * 0 + 0.25 * 2, v' = 0.75 * 1 + 0.25 * 2."""
    net = nn.Sequential(nn.BatchNorm(0.75, epsilon=1e-12))
    model = Model(net, "mse", optim.SGD(0.5), dtype="float64", executor=executor)
    assert model.fit([[1.0], [3.0]], [[0.0], [0.0]], verbose=0)["loss"][0] == pytest.approx(1)  # outputs -1 and 1
    found = {name.removeprefix("layers.0."): value.item() for name, value in model.parameters.items()}
    # dC/dgamma = mean 2 u^2 = 2, dC/dbeta = mean 2 u = 0
    assert found == pytest.approx({"gamma": 0.0, "beta": 0.0, "moving_mean": 0.5, "moving_variance": 1.25}, abs=1e-9)
    model.set_parameters({"layers.0.gamma": [2.0]})
    np.testing.assert_allclose(model.predict([[0.5], [1.5]]), [[0], [2 / np.sqrt(1.25)]], atol=1e-9)


@EACH
def test_they_become_those_of_the_data(executor):
    x = random.normal([3, -20], [2, 0.1], size=(512, 2)).astype("float32")
    model = Model(nn.Sequential(nn.BatchNorm(), nn.Dense(1)), "mse", optim.SGD(1e-3), executor=executor)
    model.fit(x, x[:, :1], epochs=8, batch_size=64, verbose=0)
    found = model.parameters
    np.testing.assert_allclose(found["layers.0.moving_mean"], x.mean(0), atol=0.15)
    np.testing.assert_allclose(found["layers.0.moving_variance"], x.var(0), rtol=0.15)
    before = dict(model.state)
    model.evaluate(x, x[:, :1]), model.predict(x)
    assert all((model.state[name] == before[name]).all() for name in before)
    alone = np.concatenate([model.predict(x[i : i + 1]) for i in range(5)])  # no other sample plays a part
    np.testing.assert_allclose(alone, model.predict(x[:5]), rtol=1e-5, atol=1e-6)


@EACH
@pytest.mark.parametrize("how", ["itself", "all around it"])
def test_a_frozen_layer_uses_and_keeps_what_it_has(executor, how):
    norm = nn.BatchNorm(trainable=how != "itself")
    model = Model(nn.Sequential(nn.Sequential(norm, trainable=how == "itself"), nn.Dense(1)), "mse", optim.SGD(0.1),
                  input_shape=(2,), executor=executor, dtype="float64")  # fmt: skip
    place = "layers.0.layers.0."
    model.set_parameters(
        {f"{place}moving_mean": [1.0, 2], f"{place}moving_variance": [4.0, 9], f"{place}gamma": [2.0, 3]}
    )
    before = model.parameters
    x, y = np.array([[1.0, 2], [3, 5], [5, -1]]), np.ones((3, 1))
    expected = model.evaluate(x, y)["loss"]
    assert model.fit(x, y, verbose=0)["loss"][0] == pytest.approx(expected)  # the same function in training
    moved = {name for name, value in model.parameters.items() if (value != before[name]).any()}
    assert moved == {"layers.1.weight", "layers.1.bias"}
    assert not any(place in name for name in model.state if name.startswith("optimizer"))


def test_summary_counts_them_as_not_trainable(capsys):
    Model(nn.Sequential(nn.BatchNorm(), nn.Flatten(), nn.Dense(1)), "mse", input_shape=(3, 2)).summary()
    text = capsys.readouterr().out
    assert "layers.0 (BatchNorm)   (3, 2)          12" in text and "19 parameters, 13 of them trainable" in text


def test_the_best_statistics_come_back():
    """EarlyStopping puts back the state of the best epoch, the first, with its moving averages."""

    class Keep(pel.Callback):
        kept = None

        def on_epoch_end(self, epoch, logs=None):
            self.kept = self.kept or self.model.parameters

    keep = Keep()
    model = Model(nn.Sequential(nn.BatchNorm(), nn.Flatten(), nn.Dense(3)), "cross_entropy", optim.SGD(5.0))
    stop = pel.EarlyStopping(monitor="loss", patience=2, min_delta=100.0)
    model.fit(IMAGES, LABELS, epochs=4, callbacks=[keep, stop], verbose=0)
    assert all((model.parameters[name] == value).all() for name, value in keep.kept.items())


# ---- executors --------------------------------------------------------------------------------------------------

NET = nn.Sequential(  # where a linear layer and another BatchNorm follow, an offset has no gradient but rounding
    nn.BatchNorm(0.8), nn.tanh, nn.SpatialDropout(0.2), nn.GroupNorm(2), nn.LocalResponseNorm(3, 0.1), nn.LayerNorm(),
    nn.PixelNorm(), nn.BatchNorm(), nn.tanh, nn.GaussianNoise(0.1), nn.Flatten(), nn.Dense(20, bias=False),
    nn.BatchNorm(), nn.relu, nn.Dense(3))  # fmt: skip


def trained(executor, dtype, batch_size=16, epochs=2):
    model = Model(NET, "cross_entropy", optim.SGD(0.05), ["accuracy"], dtype=dtype, executor=executor)
    history = model.fit(IMAGES, LABELS, batch_size=batch_size, epochs=epochs, validation_split=0.2, verbose=0)
    return model.state | {"prediction": model.predict(IMAGES)} | {k: np.array(v) for k, v in history.columns.items()}


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-9), ("float32", 1e-3)])
def test_executors_agree(dtype, tolerance):
    found, expected = trained("native", dtype), trained("reference", dtype)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert_same(found[name], array, tolerance, name)


@pytest.mark.parametrize("batch_size", [7, 30])
def test_the_same_bits_on_any_number_of_threads(batch_size, monkeypatch):
    monkeypatch.setattr(limits, "SMALL_WORK", 0)
    results = []
    for threads in (1, 2, 3, 4):
        monkeypatch.setenv("PELLUCID_THREADS", str(threads))
        results.append(trained("native", "float32", batch_size))
    for other in results[1:]:
        assert all(other[name].tobytes() == array.tobytes() for name, array in results[0].items())


# ---- state that layers update -----------------------------------------------------------------------------------


class Steps(nn.Layer):
    """Counts the steps by ``by``, from ``start``."""

    by: float = 1.0
    start: float = 0.0

    def __call__(self, x):
        steps = self.param("steps", (), lambda *a: nn.init.constant(*a, value=self.start), trainable=False)
        self.update(steps, lambda old: 2 * old + self.by)
        return x + 0 * steps


def fitted(net, epochs=1, executor="native"):
    model = Model(nn.Sequential(net, nn.Dense(1)), "mse", executor=executor)
    model.fit(np.eye(4), np.ones((4, 1)), epochs=epochs, batch_size=2, verbose=0)
    return model.parameters


@EACH
def test_updates_of_each_step(executor):
    assert fitted(Steps(start=5.0), 2, executor)["layers.0.steps"] == 95  # 5 -> 11 -> 23 -> 47 -> 95
    assert fitted(Steps(start=5.0, trainable=False), 2, executor)["layers.0.steps"] == 5


def test_a_layer_used_twice_updates_twice():
    twice = Steps(start=5.0)
    assert fitted(nn.Sequential(twice, nn.tanh, twice))["layers.0.layers.0.steps"] == 95
    x = random.normal(size=(6, 2))
    norm = nn.BatchNorm(0.75)
    model = Model(nn.Sequential(norm, nn.Lambda(lambda v: 3 * v + 1), norm), "mse", optim.SGD(1e-9), dtype="float64")
    model.fit(x, x, batch_size="all", verbose=0)
    first = 0.25 * x.mean(0)
    np.testing.assert_allclose(model.parameters["layers.0.moving_mean"], 0.75 * first + 0.25 * 1, rtol=1e-9)


def test_a_training_step_of_ones_own():
    x = pel.input("x", (2,))
    traced = nn.trace(nn.BatchNorm(), x, training=True)
    assert [(s.name, new.type) for s, new in traced.updates.items()] == [
        ("moving_mean", traced.parameters["moving_mean"].value.type),
        ("moving_variance", traced.parameters["moving_variance"].value.type),
    ]
    assert nn.trace(nn.BatchNorm(), x).updates == {}


def layer_with(call):
    class Odd(nn.Layer):
        def __call__(self, x):
            return call(self, x)

    return Odd()


def bad_update(rule, trainable=False):
    def call(layer, x):
        layer.update(layer.param("s", (2,), nn.init.zeros, trainable=trainable), lambda s: rule(s, x))
        return x

    return call


@pytest.mark.parametrize(
    "call, text",
    [
        (bad_update(lambda s, x: x), r"Odd 'layers\.0': the update of 'layers\.0\.s' gives sample .*batch_mean"),
        (bad_update(lambda s, x: s[0]), r"gives shared float32 \(\), expected shared float32 \(2,\)"),
        (bad_update(lambda s, x: 0), "gives 0, expected shared"),
        (bad_update(lambda s, x: s, trainable=True), r"'layers\.0\.s' is trained by the optimizer.*trainable=False"),
        (lambda layer, x: layer.update(pel.state("s"), lambda s: s + 1) or x, r"made in this net, not <state 's'"),
        (lambda layer, x: layer.update(x, lambda s: s + 1) or x, r"made in this net, not <sample_input"),
        (lambda layer, x: layer.update(3, lambda s: s + 1) or x, r"made in this net, not 3"),
    ],
)
def test_bad_updates(call, text):
    with pytest.raises(LayerError, match=text):
        nn.trace(nn.Sequential(layer_with(call)), pel.input("x", (2,)), training=True)


def test_state_of_training_alone_is_refused():
    def call(layer, x):
        if layer.training:
            layer.update(layer.param("s", (), nn.init.constant, trainable=False), lambda s: s + 1)
        return x

    with pytest.raises(GraphError, match=r"asks for 'layers\.0\.s' in training only"):
        fitted(layer_with(call))


def test_updates_only_while_a_net_is_traced():
    with pytest.raises(GraphError, match="BatchNorm updates its state: it can only be called while a net is traced"):
        nn.BatchNorm().update(pel.state("s"), lambda s: s)


# ---- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: nn.BatchNorm(epsilon=0), r"BatchNorm: epsilon must be a number > 0, got 0"),
        (lambda: nn.LayerNorm(epsilon=-1e-5), r"LayerNorm: epsilon must be a number > 0, got -1e-05"),
        (lambda: nn.GroupNorm(2, epsilon=float("nan")), r"GroupNorm: epsilon must be a number > 0, got nan"),
        (lambda: nn.PixelNorm(epsilon=0), r"PixelNorm: epsilon must be a number > 0"),
        (lambda: nn.BatchNorm(momentum=1.0), r"BatchNorm: momentum must be a number in \[0, 1\), got 1\.0"),
        (lambda: nn.BatchNorm(momentum=-0.1), r"momentum must be a number in"),
        (lambda: nn.GroupNorm(0), r"GroupNorm: groups must be a whole number >= 1, got 0"),
        (lambda: nn.GroupNorm(1.5), r"groups must be a whole number"),
        (lambda: nn.LayerNorm(axis="last"), r"LayerNorm: axis must be a whole number, several, or None.*'last'"),
        (lambda: nn.LocalResponseNorm(4), r"LocalResponseNorm: size must be an odd number.*got 4"),
        (lambda: nn.LocalResponseNorm(k=0), r"k must be a number > 0, got 0"),
        (lambda: nn.LocalResponseNorm(alpha=-1), r"alpha must be a number >= 0, got -1"),
    ],
)
def test_bad_options(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


@pytest.mark.parametrize(
    "layer, shape, text",
    [
        (nn.GroupNorm(4), (6, 8, 8), r"GroupNorm 'layers\.0': groups=4 does not divide the 6 channels.*1, 2, 3, 6"),
        (nn.GroupNorm(6), (6,), r"one number alone to normalize"),
        (nn.LayerNorm(axis=2), (3, 4), r"LayerNorm 'layers\.0': .*axis 2 is out of range for a value with 2 axes"),
        (nn.LayerNorm(axis=(0, -2)), (3, 4), r"name one axis twice"),
        (nn.LayerNorm(), (1,), r"one number alone to normalize"),
        (nn.LayerNorm(axis=None), (), r"one number alone to normalize"),
        (nn.BatchNorm(), (), r"BatchNorm 'layers\.0': expects shape \(C, \*space\) or \(n,\) .* got a single number"),
        (nn.PixelNorm(), (), r"got a single number"),
        (nn.LocalResponseNorm(), (), r"got a single number"),
    ],
)
def test_bad_shapes(layer, shape, text):
    with pytest.raises(LayerError, match=text):
        nn.trace(nn.Sequential(layer), pel.input("x", shape))
