"""Optimizers against their formulas, written once more in plain NumPy, over three steps."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import ArgumentError, GraphError, Model, nn, ops, optim
from pellucid.executors import reference

P = np.array([1.0, -2.0, 0.5])
GRADIENTS = [np.array([0.1, -3.0, 0.0]), np.array([-0.2, 1.0, 0.0]), np.array([4.0, 0.5, 1e-9])]


def trace_of(optimizer, steps=3):
    """The parameter after each step on the given gradients."""
    p, g = pel.state("p", (3,), "float64"), pel.input("g", (3,), "float64", "shared")
    rate, count = pel.state("rate", (), "float64"), pel.state("step", (), "float64")
    slots = {name: pel.state(name, (3,), "float64") for name in optimizer.slot_names}
    slots |= {name: pel.state(name, (), "float64") for name in optimizer.scalar_slots}
    new, new_slots = optimizer.rule(p, g, slots, rate, count + 1)
    updates = {p: new, count: count + 1} | {slots[name]: v for name, v in new_slots.items()}
    run = reference.compile(pel.Program([g], {}, updates))
    state = {"p": P, "rate": optimizer.learning_rate, "step": 0.0}
    state |= {name: np.zeros(v.shape) for name, v in slots.items()}
    found = []
    for gradient in GRADIENTS[:steps]:
        run(state, {"g": gradient})
        found.append(state["p"].copy())
    return np.array(found)


def test_sgd():
    p, expected = P.copy(), []
    for g in GRADIENTS:
        p = p - 0.1 * g
        expected.append(p)
    np.testing.assert_allclose(trace_of(optim.SGD(0.1)), expected, rtol=1e-14)
    np.testing.assert_allclose(expected[1], [1.01, -1.8, 0.5])  # by hand


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum(nesterov):
    p, v, expected = P.copy(), np.zeros(3), []
    for g in GRADIENTS:
        v = 0.9 * v - 0.1 * g
        p = p + 0.9 * v - 0.1 * g if nesterov else p + v
        expected.append(p)
    np.testing.assert_allclose(trace_of(optim.SGD(0.1, momentum=0.9, nesterov=nesterov)), expected, rtol=1e-14)
    if not nesterov:
        np.testing.assert_allclose(expected[1], [1 - 0.01 + (-0.009 + 0.02), -2 + 0.3 + (0.27 - 0.1), 0.5])  # by hand


def test_adam():
    p, m, v, expected = P.copy(), np.zeros(3), np.zeros(3), []
    for t, g in enumerate(GRADIENTS, 1):
        m = 0.8 * m + 0.2 * g
        v = 0.95 * v + 0.05 * g**2
        p = p - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-7)
        expected.append(p)
    found = trace_of(optim.Adam(0.1, beta_1=0.8, beta_2=0.95, epsilon=1e-7))
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    np.testing.assert_allclose(found[0], [0.9, -1.9, 0.5], rtol=1e-6)  # the first step is rate * sign(g)


def test_adagrad():
    p, s, expected = P.copy(), np.zeros(3), []
    for g in GRADIENTS:
        s = s + g**2
        p = p - 0.1 * g / (np.sqrt(s) + 1e-3)
        expected.append(p)
    found = trace_of(optim.Adagrad(0.1, epsilon=1e-3))
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    np.testing.assert_allclose(found[1][0], 1 - 0.01 / 0.101 + 0.02 / (np.sqrt(0.05) + 1e-3))  # by hand


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("centered", [False, True])
def test_rmsprop(momentum, centered):
    p, v, mean, b, expected = P.copy(), np.zeros(3), np.zeros(3), np.zeros(3), []
    for g in GRADIENTS:
        v, mean = 0.7 * v + 0.3 * g**2, 0.7 * mean + 0.3 * g
        u = g / (np.sqrt(v - mean**2 if centered else v) + 1e-6)
        b = momentum * b + u
        p = p - 0.1 * (b if momentum else u)
        expected.append(p)
    found = trace_of(optim.RMSprop(0.1, rho=0.7, momentum=momentum, epsilon=1e-6, centered=centered))
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    if not centered:
        np.testing.assert_allclose(found[0], [1 - 0.1 / 0.3**0.5, -2 + 0.1 / 0.3**0.5, 0.5], rtol=1e-4)  # by hand


def test_adadelta():
    p, s, d, expected = P.copy(), np.zeros(3), np.zeros(3), []
    for g in GRADIENTS:
        s = 0.9 * s + 0.1 * g**2
        u = g * np.sqrt(d + 1e-4) / np.sqrt(s + 1e-4)
        d = 0.9 * d + 0.1 * u**2
        p = p - 0.5 * u
        expected.append(p)
    found = trace_of(optim.Adadelta(0.5, rho=0.9, epsilon=1e-4))
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    np.testing.assert_allclose(found[0][1], -2 + 0.5 * 3 * 0.01 / np.sqrt(0.9001))  # by hand


def test_nadam():
    p, m, v, product, expected = P.copy(), np.zeros(3), np.zeros(3), 1.0, []
    for t, g in enumerate(GRADIENTS, 1):
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
        mu, after = (0.8 * (1 - 0.5 * 0.96 ** (0.004 * k)) for k in (t, t + 1))
        product *= mu
        step = after * m / (1 - product * after) + (1 - mu) * g / (1 - product)
        p = p - 0.1 * step / (np.sqrt(v / (1 - 0.95**t)) + 1e-7)
        expected.append(p)
    np.testing.assert_allclose(trace_of(optim.Nadam(0.1, beta_1=0.8, beta_2=0.95, epsilon=1e-7)), expected, rtol=1e-13)


def test_lion():
    found = trace_of(optim.Lion(0.1, beta_1=0.5, beta_2=0.75))
    # by hand: m = 0, 0.25 g1, ...; steps are the signs of 0.5 m + 0.5 g
    m1 = 0.25 * GRADIENTS[0]
    m2 = 0.75 * m1 + 0.25 * GRADIENTS[1]
    signs = [np.sign(GRADIENTS[0]), np.sign(m1 + GRADIENTS[1]), np.sign(m2 + GRADIENTS[2])]
    np.testing.assert_allclose(found, P - 0.1 * np.cumsum(signs, axis=0), rtol=1e-14)


def test_a_model_steps_by_the_rule():
    """fit = the rule on the gradient of the mean loss: y = w x, E = 1/2 (w x - t)^2, two samples, momentum."""
    net = nn.Dense(1, bias=False, weight_init=nn.init.constant)
    sgd = optim.SGD(0.1, momentum=0.5)
    model = Model(net, loss="half_squared_error", optimizer=sgd, dtype="float64")
    x, t = np.array([[1.0], [2.0]]), np.array([[3.0], [5.0]])
    model.fit(x, t, epochs=3, batch_size="all", verbose=0)
    w, v = 1.0, 0.0
    for _ in range(3):
        g = ((w * x - t) * x).mean()
        v = 0.5 * v - 0.1 * g
        w += v
    assert model.parameters["weight"].item() == pytest.approx(w, rel=1e-14)
    assert model.state["optimizer.velocity.weight"].item() == pytest.approx(v, rel=1e-14)
    assert model.state["optimizer.step"] == 3 and model.state["optimizer.learning_rate"] == 0.1


DOWNHILL = [optim.SGD(0.1), optim.SGD(0.1, momentum=0.9), optim.Adam(0.1), optim.AdamW(0.1), optim.Adagrad(0.5),
            optim.RMSprop(0.02), optim.Adadelta(30.0), optim.Nadam(0.1), optim.Lion(0.012, 0.5, 0.5)]  # fmt: skip


def test_none_is_left_out():
    assert {type(o) for o in DOWNHILL} | {optim.LBFGS} == set(optim.OPTIMIZERS.values())


@pytest.mark.parametrize("optimizer", DOWNHILL, ids=lambda o: type(o).__name__)
def test_every_optimizer_walks_downhill(optimizer):
    p, rate, count = (pel.state(n, (), "float64") for n in ("p", "rate", "step"))
    cost = (p - 3) ** 2
    slots = {name: pel.state(name, (), "float64") for name in (*optimizer.slot_names, *optimizer.scalar_slots)}
    new, more = optimizer.rule(p, pel.grad(cost, p), slots, rate, count + 1)
    updates = {p: new, count: count + 1} | {slots[k]: v for k, v in more.items()}
    run = reference.compile(pel.Program([], {"cost": cost}, updates))
    state = {"p": 0.0, "rate": optimizer.learning_rate, "step": 0.0} | dict.fromkeys(slots, 0.0)
    for _ in range(300):
        run(state)
    assert abs(state["p"] - 3) < (0.05 if isinstance(optimizer, optim.Lion) else 1e-2)  # its steps stay as long


@pytest.mark.parametrize("name, cls", optim.OPTIMIZERS.items())
def test_the_table(name, cls):
    assert type(optim.as_optimizer(name)) is type(optim.as_optimizer(name.upper())) is cls
    assert type(optim.as_optimizer(cls)) is cls
    given = cls(0.5)
    assert optim.as_optimizer(given) is given and given.learning_rate == 0.5


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: optim.SGD(0), "SGD: learning_rate must be a number > 0, got 0"),
        (lambda: optim.Adam(-1e-3), "Adam: learning_rate must be a number > 0"),
        (lambda: optim.SGD(float("nan")), "learning_rate must be a number > 0"),
        (lambda: optim.SGD(0.1, momentum=1.0), r"momentum must be a number in \[0, 1\), got 1.0"),
        (lambda: optim.SGD(0.1, nesterov=True), "nesterov=True needs momentum > 0, for example"),
        (lambda: optim.Adam(0.1, beta_2=1), r"beta_2 must be a number in \[0, 1\)"),
        (lambda: optim.as_optimizer("adamm"), "no optimizer is named 'adamm'; did you mean 'adam'"),
        (lambda: optim.as_optimizer(0.1), "must be one of"),
    ],
)
def test_bad_options(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


def test_a_rule_of_a_users_own():
    class SignDescent(optim.Optimizer):
        learning_rate: float = 0.25

        def rule(self, p, g, slots, rate, step):
            return p - rate * ops.sign(g), {}

    np.testing.assert_allclose(trace_of(SignDescent())[:, 0], [0.75, 1.0, 0.75])


# ---- clipping ---------------------------------------------------------------------------------------------------


def clipped(optimizer, *gradients):
    values = [pel.input(f"g{k}", g.shape, "float64", "shared") for k, g in enumerate(gradients)]
    outputs = {str(k): v for k, v in enumerate(optimizer.clipped(values))}
    found = reference.compile(pel.Program(values, outputs))({}, {f"g{k}": g for k, g in enumerate(gradients)})
    return [found[str(k)].tolist() for k in range(len(gradients))]


def test_clipping():
    g, h = np.array([3.0, 0.0]), np.array([[-4.0]])
    assert clipped(optim.SGD(clipvalue=2), g, h) == [[2, 0], [[-2]]]
    assert clipped(optim.Adam(clipnorm=2), g, h) == [[2, 0], [[-2]]]
    np.testing.assert_allclose(np.concatenate([np.ravel(v) for v in clipped(optim.SGD(global_clipnorm=1), g, h)]),
                               [0.6, 0, -0.8])  # fmt: skip
    assert clipped(optim.SGD(global_clipnorm=5), g, h) == [[3, 0], [[-4]]]
    assert clipped(optim.SGD(global_clipnorm=1), 0 * g) == [[0, 0]]


@pytest.mark.parametrize("options", [{"clipvalue": 0}, {"clipnorm": -1}, {"global_clipnorm": "1"}, {"clipnorm": np.inf},
                                     {"clipnorm": 1, "clipvalue": 1}], ids=str)  # fmt: skip
def test_clipping_refuses(options):
    with pytest.raises(ArgumentError, match="clip"):
        optim.SGD(0.1, **options)


def test_clipped_training_is_the_same_natively_and_kept_in_a_file(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(20, 6, 3)) * 3, np.arange(20) % 2
    found = []
    for executor in ("reference", "native"):
        net = nn.Sequential(nn.LSTM(5), nn.Dense(2))
        model = Model(net, "cross_entropy", optim.SGD(5.0, global_clipnorm=0.1), dtype="float64", executor=executor)
        model.fit(x, y, epochs=3, batch_size=8, verbose=0)
        found.append(model.parameters)
    for name in found[0]:
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-9, atol=1e-12)
    model.save(tmp_path / "m.pel")
    assert pel.load(tmp_path / "m.pel").optimizer == model.optimizer


def test_exploding_gradients_are_told():
    x = np.random.default_rng(0).normal(size=(8, 40, 2))
    net = nn.Sequential(nn.RNN(4, activation="linear"), nn.Dense(1))
    with pytest.raises(pel.DivergedError, match=r"clipped gradients, as in optim.SGD\(global_clipnorm=1.0\)"):
        Model(net, "mse", optim.SGD(3.0)).fit(x, x[:, -1, :1], epochs=60, verbose=0)


# ---- around the rule ----------------------------------------------------------------------------------------------

ONES = np.ones((6, 2))


def trained(optimizer, epochs=3, batch_size=2, executor="reference", units=1, **options):
    """y = w x with w = 1 at first, E = 1/2 (w x - 3)^2 for x = (1, 1)."""
    net = nn.Sequential(
        nn.Dense(units, weight_init=nn.init.constant, name="first"), nn.Dense(1, weight_init=nn.init.constant)
    )
    model = Model(net, "half_squared_error", optimizer, dtype="float64", executor=executor, **options)
    model.fit(ONES, 3 * ONES[:, :1], epochs=epochs, batch_size=batch_size, verbose=0)
    return model


def test_weight_decay_shrinks_weights_but_not_biases():
    """With a gradient of nothing: p (1 - rate d) each step."""
    model = Model(
        nn.Dense(2),
        lambda y, t: pel.ops.sum(y) * 0,
        optim.SGD(0.5, weight_decay=0.1),
        dtype="float64",
        input_shape=(2,),
    )
    model.set_parameters({"bias": [1.0, 2.0]})
    before = model.parameters
    model.fit(ONES, ONES, epochs=1, batch_size=2, verbose=0)
    np.testing.assert_allclose(model.parameters["weight"], before["weight"] * 0.95**3, rtol=1e-14)
    np.testing.assert_array_equal(model.parameters["bias"], [1, 2])
    assert optim.AdamW().weight_decay == 0.01 and optim.Adam().weight_decay is None


def test_rates_by_layer():
    plain, slow, still = (
        trained(optim.SGD(0.01, layer_rates=r), 1, 6)
        for r in (None, {"layers.first": 0.5}, {"layers": 0, "layers.1.bias": 1})
    )
    first = trained(optim.SGD(0.01), 0).parameters
    for name in first:
        change = plain.parameters[name] - first[name]
        share = 0.5 if name.startswith("layers.first") else 1
        np.testing.assert_allclose(slow.parameters[name] - first[name], share * change, rtol=1e-12)
        np.testing.assert_allclose(still.parameters[name] - first[name], (name == "layers.1.bias") * change, rtol=1e-12)
    with pytest.raises(
        ArgumentError, match=r"no trained parameter is in 'layers.7'; the layers are layers.first, layers.1"
    ):
        trained(optim.SGD(layer_rates={"layers.7": 1}))


def test_lecuns_rates():
    """A neuron with 2 connections learns 1/sqrt(2) as fast, its bias too (lecture 002)."""
    first, plain, fan = (
        trained(optim.SGD(0.01), 0),
        trained(optim.SGD(0.01), 1, 6),
        trained(optim.SGD(0.01, layer_rates="fan_in"), 1, 6),
    )
    for name, factor in {"layers.first.weight": 0.5**0.5, "layers.first.bias": 0.5**0.5, "layers.1.weight": 1}.items():
        start = first.parameters[name]
        np.testing.assert_allclose(fan.parameters[name] - start, factor * (plain.parameters[name] - start), rtol=1e-12)


@pytest.mark.parametrize("optimizer", [optim.SGD, optim.Adam])
def test_accumulated_gradients_are_those_of_larger_batches(optimizer):
    """Six samples all alike would hide it; so they are different, and in order."""
    x, y = np.random.default_rng(0).normal(size=(2, 12, 3))
    found = []
    for k, batch in ((1, 6), (3, 2)):
        model = Model(nn.Dense(3), "mse", optimizer(0.1, gradient_accumulation_steps=k), dtype="float64")
        model.fit(x, y, epochs=3, batch_size=batch, shuffle=False, verbose=0)
        found.append(model)
    for name in found[0].parameters:
        np.testing.assert_allclose(found[0].parameters[name], found[1].parameters[name], rtol=1e-12)
    assert found[0].state["optimizer.step"] == found[1].state["optimizer.step"] == 6


def test_moving_averages(tmp_path):
    """Outside training the weights are a' = m a + (1 - m) p; training goes on from p."""
    x, y = np.random.default_rng(0).normal(size=(2, 8, 3))
    plain = Model(nn.Dense(3), "mse", optim.SGD(0.1), dtype="float64", seed=3)
    model = Model(nn.Dense(3), "mse", optim.SGD(0.1, use_ema=True, ema_momentum=0.75), dtype="float64", seed=3)
    average = None
    for epoch in range(4):
        plain.fit(x, y, batch_size=8, verbose=0)
        w = plain.parameters["weight"]
        average = w if average is None else 0.75 * average + 0.25 * w
        if epoch == 2:
            model.save(tmp_path / "m.pel")
            model = pel.load(tmp_path / "m.pel")
        model.fit(x, y, batch_size=8, verbose=0)
        np.testing.assert_allclose(model.parameters["weight"], average, rtol=1e-12)
        np.testing.assert_allclose(model.state["optimizer.average.weight"], w, rtol=1e-12)
    assert model.evaluate(x, y)["loss"] != plain.evaluate(x, y)["loss"]


def test_ascent():
    up, down = (
        Model(nn.Dense(1), "mse", optim.SGD(0.1, maximize=m), dtype="float64", input_shape=(2,)) for m in (True, False)
    )
    before = up.parameters["weight"]
    for model in (up, down):
        model.fit(ONES, ONES[:, :1], batch_size=6, verbose=0)
    np.testing.assert_allclose(up.parameters["weight"] - before, before - down.parameters["weight"], rtol=1e-12)


EVERYTHING = {
    "weight_decay": 0.1,
    "layer_rates": "fan_in",
    "use_ema": True,
    "gradient_accumulation_steps": 2,
    "global_clipnorm": 0.5,
}


@pytest.mark.parametrize("name, cls", optim.OPTIMIZERS.items())
def test_natively_the_same(name, cls, tmp_path):
    """Each rule with all that goes around it, in float64; and whole again from a file."""
    x, y = np.random.default_rng(0).normal(size=(2, 20, 3))
    rate = pel.schedules.Cosine(0.1, epochs=8)
    optimizer = optim.LBFGS() if cls is optim.LBFGS else cls(rate, **EVERYTHING)
    found = []
    for executor, threads in (("reference", None), ("native", 1), ("native", 2)):
        net = nn.Sequential(nn.Dense(6), nn.tanh, nn.Dense(3))
        model = Model(net, "mse", optimizer, dtype="float64", executor=executor, threads=threads)
        model.fit(x, y, epochs=3, batch_size=None if cls is optim.LBFGS else 6, verbose=0)
        found.append(model)
    for name, a in found[0].state.items():
        np.testing.assert_allclose(found[1].state[name], a, rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(found[1].state[name], found[2].state[name])
    found[1].save(tmp_path / "m.pel")
    again = pel.load(tmp_path / "m.pel")
    assert again.optimizer == optimizer
    for model in (again, found[1]):
        model.fit(x, y, epochs=2, batch_size=None if cls is optim.LBFGS else 6, verbose=0)
    assert all((again.state[name] == a).all() for name, a in found[1].state.items())


def test_another_rate_or_decay_compiles_nothing_again():
    """They are numbers of the state, not of the code."""
    from pellucid.executors.native.jit import signature as jit_signature
    from pellucid.passes import simplify

    made = [
        Model(nn.Dense(3), "mse", optim.AdamW(rate, weight_decay=decay), input_shape=(2,))
        for rate, decay in ((0.1, 0.2), (0.3, 0.4))
    ]
    arrays = {"x": ONES.astype("float32"), "y": np.ones((6, 3), "float32")}
    one, two = (
        jit_signature.signature(simplify.simplify(m.programs.program("step", *target(m, arrays)))) for m in made
    )
    assert one == two


def target(model, arrays):
    from pellucid.train.arrays import Spec

    return (Spec(arrays["y"].shape[1:], "float32"),)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: optim.SGD(weight_decay=-1), "SGD: weight_decay must be a number >= 0"),
        (lambda: optim.SGD(use_ema=True, ema_momentum=1), r"ema_momentum must be a number in \[0, 1\)"),
        (lambda: optim.SGD(gradient_accumulation_steps=0), "gradient_accumulation_steps must be a whole number >= 1"),
        (lambda: optim.SGD(layer_rates="fan_out"), 'layer_rates must be "fan_in" or factors'),
        (lambda: optim.SGD(layer_rates={"a": -1}), r"layer_rates\['a'\] must be a number >= 0, got -1"),
        (lambda: optim.RMSprop(rho=1), r"rho must be a number in \[0, 1\)"),
        (lambda: optim.LBFGS(history=0), "history must be a whole number >= 1"),
        (lambda: optim.LBFGS(line_search="armijo"), "line_search must be 'strong_wolfe' or None, got 'armijo'"),
        (
            lambda: optim.LBFGS(weight_decay=0.1),
            "LBFGS: weight_decay must be left at None, since it is not for this optimizer",
        ),
        (
            lambda: trained(optim.LBFGS(), batch_size=2),
            'takes all samples at once: leave batch_size out, or give "all"',
        ),
    ],
)
def test_bad_options_around(make, text):
    with pytest.raises((ArgumentError, GraphError), match=text):
        make()


# ---- L-BFGS -------------------------------------------------------------------------------------------------------


def test_lbfgs_solves_least_squares():
    """A quadratic bowl of 6 numbers is at its bottom after a few steps."""
    random = np.random.default_rng(0)
    x, w = random.normal(size=(50, 5)), random.normal(size=5)
    y = (x @ w + 2)[:, None]
    model = Model(nn.Dense(1), "mse", optim.LBFGS(), dtype="float64")
    model.fit(x, y, epochs=15, verbose=0)
    np.testing.assert_allclose(model.parameters["weight"][0], w, atol=1e-6)
    np.testing.assert_allclose(model.parameters["bias"], [2], atol=1e-6)
    assert (np.diff(model.history["loss"]) <= 0).all()


def test_lbfgs_stays_at_a_minimum():
    model = Model(nn.Dense(1), "mse", optim.LBFGS(), dtype="float64")
    model.fit(ONES, ONES[:, :1], epochs=30, verbose=0)
    assert model.history["loss"][-1] < 1e-20 and np.isfinite(model.parameters["weight"]).all()


def test_gradients_of_a_model():
    x, y = np.random.default_rng(0).normal(size=(2, 10, 3))
    net = nn.Sequential(nn.Dense(4), nn.tanh, nn.Dropout(0.5), nn.Dense(3))
    model = Model(net, "mse", input_shape=(3,), dtype="float64")
    before = {k: a.copy() for k, a in model.state.items()}
    cost, slopes = model.gradients(x, y, batch_size="all")
    assert {k: a.shape for k, a in slopes.items()} == {k: a.shape for k, a in model.parameters.items()}
    assert before.keys() == model.state.keys() and all((model.state[k] == a).all() for k, a in before.items())
    w = model.parameters["layers.0.weight"]
    moved = w.copy()
    moved[0, 0] += 1e-6
    model.set_parameters({"layers.0.weight": moved})
    assert (model.gradients(x, y, batch_size="all")[0] - cost) / 1e-6 == pytest.approx(
        slopes["layers.0.weight"][0, 0], rel=1e-4
    )


# ---- the search for a learning rate -------------------------------------------------------------------------------


def test_find_learning_rate(tmp_path):
    x, y = pel.data.digits()
    model = Model(nn.Sequential(nn.Dense(32), nn.relu, nn.Dense(10)), "cross_entropy", optim.SGD(0.1, momentum=0.9))
    found = model.find_learning_rate(x, y)
    assert not model.history.columns and "optimizer.step" not in model.state
    assert 1e-3 < found.suggestion < 1 and len(found.rates) == len(found.losses)
    assert found.losses[-1] > 4 * found.losses.min() or len(found.rates) == 100
    model.learning_rate = found.suggestion
    assert model.fit(x, y, epochs=5, verbose=0)["loss"][-1] < 0.2
    pytest.importorskip("matplotlib")
    (axes,) = found.plot(tmp_path / "rates.png").axes
    assert (tmp_path / "rates.png").read_bytes()[:4] == b"\x89PNG"
    assert axes.get_xscale() == "log" and "suggestion" in axes.get_legend().get_texts()[0].get_text()
    for options, text in (({"low": 1, "high": 0.1}, "0 < low < high"), ({"steps": 2}, "steps must be 10 or more")):
        with pytest.raises(ArgumentError, match=text):
            model.find_learning_rate(x, y, **options)


# ---- accumulation ---------------------------------------------------------------------------------------------------


def one_weight(executor="native", threads=None, **options):
    net = nn.Dense(1, bias=False, weight_init=nn.init.zeros)
    options = {"gradient_accumulation_steps": 8} | options
    return Model(net, "half_squared_error", optim.SGD(0.1, **options), dtype="float64", executor=executor,
                 threads=threads)  # fmt: skip


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_the_last_window_of_an_epoch_may_be_shorter(executor):
    """64 samples in batches of 16, 8 batches a window: the weights used not to change at all. By hand."""
    x, y = np.ones((64, 1)), np.arange(64.0)[:, None]
    model, whole = one_weight(executor), one_weight(executor, gradient_accumulation_steps=None)
    model.fit(x, y, batch_size=16, epochs=2, verbose=0)
    w = 0.0
    for _ in range(2):
        w -= 0.1 * (w - 31.5)  # dC/dw = w - mean(y)
    assert model.parameters["weight"].item() == pytest.approx(w, rel=1e-12)
    assert model.state["optimizer.step"] == 2
    whole.fit(x, y, batch_size="all", epochs=2, verbose=0)
    assert whole.parameters["weight"].item() == pytest.approx(w, rel=1e-12)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_batches_of_a_window_weigh_by_their_samples(executor):
    """10 samples in batches of 4, two a window: 4 and 4, then 2 alone. Three a window: 4, 4 and 2, as one batch."""
    x, y = np.ones((10, 1)), np.arange(10.0)[:, None] ** 2
    two, three = (
        one_weight(executor, gradient_accumulation_steps=2),
        one_weight(executor, gradient_accumulation_steps=3),
    )
    for model in (two, three):
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    w = 0.1 * y[:8].mean()
    w -= 0.1 * (w - y[8:].mean())
    assert two.parameters["weight"].item() == pytest.approx(w, rel=1e-12)
    assert three.parameters["weight"].item() == pytest.approx(0.1 * y.mean(), rel=1e-12)


def test_accumulation_does_not_depend_on_threads_or_members():
    x, y = np.random.default_rng(0).normal(size=(2, 50, 3))
    made = lambda threads: Model(nn.Dense(3), "mse", optim.Adam(0.1, gradient_accumulation_steps=3), threads=threads)
    found = []
    for threads in (1, 2):
        model = made(threads)
        model.fit(x, y, batch_size=8, epochs=3, verbose=0)
        found.append(model.state)
    assert all((found[0][name] == a).all() for name, a in found[1].items())
    assert found[0]["optimizer.step"] == 3 * 3 and found[0]["optimizer.batches_left"] == 0
    members = [made(1), made(1)]
    pel.train.ensemble_training.fit_members(members, x, y, batch_size=8, epochs=3)
    np.testing.assert_allclose(members[0].parameters["weight"], found[0]["weight"], rtol=1e-4, atol=1e-6)


def test_a_window_that_was_broken_off_is_not_gone_on_with():
    x, y = np.ones((40, 1)), np.ones((40, 1))

    model, other = one_weight(), one_weight()
    for m in (model, other):
        m.fit(x, y, batch_size=8, verbose=0)
    model.state["optimizer.accumulated_batches"] = np.asarray(2, np.int32)
    model.state["optimizer.accumulated.weight"] = np.full((1, 1), 100.0)
    for m in (model, other):
        m.fit(x, y, batch_size=8, verbose=0)
    assert (model.parameters["weight"] == other.parameters["weight"]).all()
