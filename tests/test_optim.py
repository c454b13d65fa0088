"""Optimizers against their formulas, written once more in plain NumPy, over three steps."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import GraphError, Model, nn, ops, optim
from pellucid.executors import reference

P = np.array([1.0, -2.0, 0.5])
GRADIENTS = [np.array([0.1, -3.0, 0.0]), np.array([-0.2, 1.0, 0.0]), np.array([4.0, 0.5, 1e-9])]


def trace_of(optimizer, steps=3):
    """The parameter after each step on the given gradients."""
    p, g = pel.state("p", (3,), "float64"), pel.input("g", (3,), "float64", "shared")
    rate, count = pel.state("rate", (), "float64"), pel.state("step", (), "float64")
    slots = {name: pel.state(name, (3,), "float64") for name in optimizer.slot_names}
    new, new_slots = optimizer.rule(p, g, slots, rate, count + 1)
    updates = {p: new, count: count + 1} | {slots[name]: v for name, v in new_slots.items()}
    run = reference.compile(pel.Program([g], {}, updates))
    state = {"p": P, "rate": optimizer.learning_rate, "step": 0.0} | {name: np.zeros(3) for name in slots}
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


@pytest.mark.parametrize("optimizer", [optim.SGD(0.1), optim.SGD(0.1, momentum=0.9), optim.Adam(0.1)])
def test_every_optimizer_walks_downhill(optimizer):
    p, rate, count = (pel.state(n, (), "float64") for n in ("p", "rate", "step"))
    cost = (p - 3) ** 2
    slots = {name: pel.state(name, (), "float64") for name in optimizer.slot_names}
    new, more = optimizer.rule(p, pel.grad(cost, p), slots, rate, count + 1)
    updates = {p: new, count: count + 1} | {slots[k]: v for k, v in more.items()}
    run = reference.compile(pel.Program([], {"cost": cost}, updates))
    state = {"p": 0.0, "rate": optimizer.learning_rate, "step": 0.0} | dict.fromkeys(slots, 0.0)
    for _ in range(300):
        run(state)
    assert abs(state["p"] - 3) < 1e-2


@pytest.mark.parametrize("name, cls", optim.OPTIMIZERS.items())
def test_the_table(name, cls):
    assert type(optim.as_optimizer(name)) is type(optim.as_optimizer(name.upper())) is cls
    assert type(optim.as_optimizer(cls)) is cls
    given = cls(0.5)
    assert optim.as_optimizer(given) is given and given.learning_rate == 0.5


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: optim.SGD(0), "SGD: learning_rate must be > 0, got 0"),
        (lambda: optim.Adam(-1e-3), "Adam: learning_rate must be > 0"),
        (lambda: optim.SGD(float("nan")), "learning_rate must be > 0"),
        (lambda: optim.SGD(0.1, momentum=1.0), r"momentum must be in \[0, 1\), got 1.0"),
        (lambda: optim.SGD(0.1, nesterov=True), "nesterov=True needs momentum > 0, for example"),
        (lambda: optim.Adam(0.1, beta_2=1), r"beta_2 must be in \[0, 1\)"),
        (lambda: optim.as_optimizer("adamm"), "must be one of sgd, adagrad, .* or an Optimizer, got 'adamm'"),
        (lambda: optim.as_optimizer(0.1), "must be one of"),
    ],
)
def test_bad_options(make, text):
    with pytest.raises(GraphError, match=text):
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
    with pytest.raises(GraphError, match="clip"):
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
