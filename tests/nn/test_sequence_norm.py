"""Normalization and dropout by channel over sequences (T, C): which axis has the channels, and padding that does not
count."""

import numpy as np
import pytest
from native_tools import agree
from tools import check_gradient, with_parameters

import pellucid as pel
from pellucid import ArgumentError, nn, ops
from pellucid.nn.layer import LayerError

random = np.random.default_rng(0)
X = random.normal(size=(8, 5, 3)) * [1, 5, 0.2] + [0, 10, -3]
STEPS = np.array([5, 2, 0, 4, 1, 5, 3, 2])
REAL = np.arange(5) < STEPS[:, None]


def model_of(net, *shape, loss="mse", executor="reference"):
    return pel.Model(net, loss, pel.optim.SGD(1e-12), executor=executor, dtype="float64", input_shape=shape)


def masked(layer):
    return lambda x, counted: layer(nn.with_mask(x, counted > 0))


def trained(model, x, t):
    """What the layer gives in training, seen through a loss of one value; and its statistics after a step."""
    model.fit(x, t, epochs=1, batch_size="all", shuffle=False, verbose=0)
    return {k.rsplit(".", 1)[-1]: a for k, a in model.parameters.items()}


LAYERS = {
    "axis": (lambda: nn.BatchNorm(axis=-1), False),
    "each step": (lambda: nn.TimeDistributed(nn.BatchNorm()), False),
    "each step, in a net": (lambda: nn.TimeDistributed(nn.Sequential(nn.linear, nn.BatchNorm())), False),
    "axis, masked": (lambda: nn.BatchNorm(axis=-1), True),
    "a mask alone": (nn.BatchNorm, True),
    "each step, masked": (lambda: nn.TimeDistributed(nn.BatchNorm()), True),
}


@pytest.mark.parametrize("executor", ["reference", "native"])
@pytest.mark.parametrize("make, padded", LAYERS.values(), ids=list(LAYERS))
def test_batch_norm_over_the_features_of_steps(make, padded, executor):
    layer = make()
    rows = X[REAL] if padded else X.reshape(-1, 3)  # all steps that count, as vectors
    net, x = (masked(layer), (np.where(REAL[..., None], X, 1e6), REAL * 1)) if padded else (layer, X)
    shape = ((5, 3), (5,)) if padded else (5, 3)
    found = trained(model_of(net, *shape, executor=executor), x, np.zeros_like(X))
    np.testing.assert_allclose(found["moving_mean"], 0.1 * rows.mean(0), rtol=1e-9)
    np.testing.assert_allclose(found["moving_variance"], 0.9 + 0.1 * rows.var(0, ddof=1), rtol=1e-9)
    flat = pel.Model(nn.BatchNorm(), "mse", pel.optim.SGD(1e-12), dtype="float64", executor="reference")
    t = random.normal(size=X.shape)
    own = model_of(net, *shape, executor=executor)
    own.fit(x, t, batch_size="all", verbose=0)
    flat.fit(rows, t[REAL] if padded else t.reshape(-1, 3), batch_size="all", verbose=0)
    if not padded:  # else the loss weighs sequences alike, not steps
        assert own.history["loss"][0] == pytest.approx(flat.history["loss"][0], rel=1e-9)
    state = {k.rsplit(".", 1)[-1]: a for k, a in own.parameters.items()}
    own.set_parameters({k: flat.parameters[k.rsplit(".", 1)[-1]] for k in own.parameters})
    y = own.predict(x)
    np.testing.assert_allclose(y[REAL] if padded else y.reshape(-1, 3), flat.predict(rows), rtol=1e-9)
    assert state.keys() == flat.parameters.keys()


def test_a_first_axis_stays_that_of_channels():
    x = random.normal(size=(6, 4, 7))  # signals (C, L)
    found = trained(model_of(nn.BatchNorm(), 4, 7), x, np.zeros_like(x))
    np.testing.assert_allclose(found["moving_mean"], 0.1 * x.mean((0, 2)), rtol=1e-9)


def training_graph(layer, counted=None, dtype="float64"):
    inputs = [pel.input("x", (5, 3), dtype)] + ([pel.input("counted", (5,), "uint8")] if counted is not None else [])
    net = layer if counted is None else masked(layer)
    return nn.trace(net, *inputs, dtype=dtype, training=True), inputs


@pytest.mark.parametrize("make", [
    lambda: nn.BatchNorm(axis=-1), lambda: nn.TimeDistributed(nn.BatchNorm()), lambda: nn.GroupNorm(3, axis=-1),
    lambda: nn.LayerNorm(axis=(0, 1)), lambda: nn.GroupNorm(1, axis=-1)],
    ids=["batch", "each step", "groups", "layer", "one group"])  # fmt: skip
def test_slopes_at_padding_are_0_and_executors_agree(make):
    t, inputs = training_graph(make(), REAL)
    weigh = pel.input("w", (5, 3), "float64")
    real = ops.cast(inputs[1] > 0, "float64")[:, None]
    cost = ops.batch_sum(ops.sum(t.output * weigh * real))
    slope = pel.grad(cost, [inputs[0]])[0]
    given = {"x": X, "counted": REAL.astype("uint8"), "w": random.normal(size=X.shape)}
    w = {name: random.normal(size=p.value.shape) for name, p in t.parameters.items()}
    program = pel.Program([*inputs, weigh], {"y": t.output, "cost": cost, "slope": slope})
    found, _ = agree(program, given, w)
    assert (found["slope"][~REAL] == 0).all()
    run = pel.executors.get("reference").compile(program)
    for place in [(0, 1, 2), (1, 1, 0), (3, 3, 1)]:
        sides = [X.copy(), X.copy()]
        sides[0][place] += 1e-6
        sides[1][place] -= 1e-6
        up, down = (run(dict(w), given | {"x": x})["cost"] for x in sides)
        assert found["slope"][place] == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("layer", [nn.GroupNorm(3, axis=-1), nn.GroupNorm(1, axis=-1), nn.LayerNorm(axis=(0, 1)),
                                   nn.LayerNorm(axis=0), nn.LayerNorm()])  # fmt: skip
def test_norms_of_one_sequence_leave_its_padding_out(layer):
    n = 4
    wide = model_of(masked(layer), (5, 3), (5,))
    y = wide.predict((np.concatenate([X[:1, :n], np.full((1, 1, 3), 1e6)], 1), REAL[3:4] * 1))
    if layer.axis not in (0, (0, 1)) and not isinstance(layer, nn.GroupNorm):
        alone = model_of(layer, n, 3).predict(X[:1, :n])
    else:  # parameters of the shape of time: those of the untrained layer are 1 and 0
        alone = model_of(layer, n, 3).predict(X[:1, :n])
    np.testing.assert_allclose(y[:, :n], alone, rtol=1e-9, atol=1e-12)


def test_group_norm_of_the_last_axis_is_that_of_the_first():
    x = random.normal(size=(2, 7, 6))
    first = model_of(nn.GroupNorm(2), 6, 7).predict(x.transpose(0, 2, 1))
    np.testing.assert_allclose(model_of(nn.GroupNorm(2, axis=-1), 7, 6).predict(x), first.transpose(0, 2, 1), rtol=1e-9)


def test_slopes_of_batch_norm_along_the_last_axis():
    t, _ = training_graph(nn.GroupNorm(1, axis=-1))
    w = {name: random.normal(size=p.value.shape) for name, p in t.parameters.items()}

    def function(x, *more):
        traced = nn.trace(nn.GroupNorm(1, axis=-1), x, dtype="float64")
        return with_parameters(traced, dict(zip(w, more, strict=True)))

    check_gradient(function, X[0], *w.values())


@pytest.mark.parametrize("layer, axis", [(nn.SpatialDropout(0.5, axis=-1), 1), (nn.SpatialDropout(0.5), 2)])
def test_a_whole_channel_is_dropped(layer, axis):
    model = model_of(layer, 20, 30)
    dropped = model.predict_samples(np.ones((4, 20, 30)), samples=1)[0] == 0
    assert 0.2 < dropped.mean() < 0.8
    assert (dropped.all(axis=axis) | (~dropped).all(axis=axis)).all()
    assert not (dropped.all(axis=3 - axis) | (~dropped).all(axis=3 - axis)).all()


def test_an_axis_that_is_not_there():
    with pytest.raises(LayerError, match=r"BatchNorm: axis=2 is none of the input's, of shape \(5, 3\)"):
        nn.trace(nn.BatchNorm(axis=2), pel.input("x", (5, 3)))
    with pytest.raises(ArgumentError, match="BatchNorm: axis must be a whole number, or None, got 'last'"):
        nn.BatchNorm(axis="last")


def test_a_net_with_it_goes_step_by_step():
    net = nn.Sequential(nn.GRU(4, return_sequences=True), nn.BatchNorm(axis=-1), nn.TimeDistributed(nn.Dense(2)))
    model = model_of(net, 5, 3)
    stepper = model.stepper()
    steps = np.stack([stepper(X[:, t]) for t in range(5)], 1)
    np.testing.assert_allclose(steps, model.predict(X), rtol=1e-9)
