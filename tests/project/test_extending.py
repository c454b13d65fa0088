"""What adding things costs: one block or class each, here in the test itself, and it runs on every executor."""

from pathlib import Path

import numpy as np
import pytest

import pellucid as pel
from pellucid import GraphError, Model, nn, ops, optim
from pellucid.executors import EXECUTORS, get
from pellucid.graph import PRIMITIVES, primitive
from pellucid.ops.elementwise import elementwise

each_executor = pytest.mark.parametrize("executor", EXECUTORS)


# ---- an elementwise primitive -----------------------------------------------------------------------------------


@pytest.fixture
def softsign():
    """One block: v / (1 + |v|)."""
    yield elementwise(
        "softsign",
        lambda xp, x: x / (1 + xp.abs(x)),
        lambda g, y, x: (g / ((1 + abs(x)) * (1 + abs(x))),),
        [(-2.0, -0.5, 0.5, 3.0)],
    )
    del PRIMITIVES["softsign"]


@each_executor
def test_an_elementwise_primitive(executor, softsign):
    x = pel.input("x", (4,))
    y = softsign(x)
    run = get(executor).compile(pel.Program([x], {"y": y, "slope": pel.grad(pel.batch_sum(ops.sum(y)), x)}))
    given = np.array([[-2.0, -0.5, 0.5, 3.0]], "float32")
    found = run({}, {"x": given})
    np.testing.assert_allclose(found["y"], given / (1 + np.abs(given)), rtol=1e-6)
    np.testing.assert_allclose(found["slope"], 1 / (1 + np.abs(given)) ** 2, rtol=1e-6)


def test_the_tests_of_primitives_apply_to_it(softsign):
    from tools import check_gradient, check_type

    (sample,) = softsign.samples
    check_type(softsign, *sample.inputs)
    check_gradient(softsign, *sample.inputs)


def test_it_is_gone_afterwards():
    assert "softsign" not in PRIMITIVES


def test_a_name_is_given_once(softsign):
    with pytest.raises(ValueError, match="'softsign' is defined twice"):
        elementwise("softsign", lambda xp, x: x)


def test_errors_say_what_machine_code_lacks():
    x = pel.input("x", (4,), kind="shared")
    cosine = elementwise("cosine", lambda xp, x: xp.cos(x))
    backwards = primitive("backwards", rule=lambda x: (x.shape, x.dtype), forward=lambda xp, x: x[..., ::-1])
    given = {"x": np.ones(4, "float32")}
    try:
        with pytest.raises(AttributeError, match=r"no xp\.cos, only abs, .*docs/extending\.md") as lacks:
            get("native").compile(pel.Program([x], {"y": cosine(x)}))({}, given)
        with pytest.raises(GraphError, match=r"no lowering of backwards: .*@register_lowering.*docs/extending\.md"):
            get("native").compile(pel.Program([x], {"y": backwards(x)}))({}, given)
    finally:
        del PRIMITIVES["cosine"], PRIMITIVES["backwards"]
    known = str(lacks.value).partition("only ")[2].partition(":")[0]
    text = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
    assert known in " ".join(text.split()), "docs/extending.md lists the functions of xp in machine code"


# ---- an activation, a layer, a loss, an optimizer ---------------------------------------------------------------


def mish(v):
    """v tanh(softplus(v)). Misra, 2019."""
    return v * ops.tanh(ops.softplus(v))


class Maxout(nn.Layer):
    """y_i = max_j (w_ij x + b_ij), the largest of several linear units. Goodfellow et al., 2013."""

    units: int
    pieces: int = 2

    def __call__(self, x):
        if x.ndim != 1:
            raise GraphError(f"expects a vector, got shape {x.shape}")
        w = self.param("weight", (self.units * self.pieces, *x.shape), nn.init.he_normal)
        b = self.param("bias", (self.units * self.pieces,), nn.init.zeros)
        return ops.max(ops.reshape(ops.dot(w, x) + b, (self.units, self.pieces)), -1)


class LogCosh(nn.Loss):
    """mean_i log cosh(a (y_i - t_i)) / a, near |d| far out and a d^2 / 2 near 0."""

    sharpness: float = 1.0

    def __call__(self, y, t):
        d = abs(self.sharpness * (y - t))
        return ops.mean(d + ops.log1p(ops.exp(-2 * d)) - 0.6931471805599453) * (1 / self.sharpness)


class RMSProp(optim.Optimizer):
    """v' = rho v + (1 - rho) g^2, p' = p - rate g / (sqrt(v') + 1e-7)."""

    learning_rate: float = 0.01
    rho: float = 0.9
    slot_names = ("v",)

    def rule(self, p, g, slots, rate, step):
        v = self.rho * slots["v"] + (1 - self.rho) * (g * g)
        return p - rate * g / (ops.sqrt(v) + 1e-7), {"v": v}


random = np.random.default_rng(0)
X = random.normal(size=(40, 3))
Y = np.abs(X[:, :1]) - X[:, 1:2]


def model(executor, **options):
    net = nn.Sequential(Maxout(6), mish, nn.Dense(1))
    given = {"loss": LogCosh(sharpness=2.0), "optimizer": RMSProp(0.02), "dtype": "float64", "metrics": ["mae"]}
    return Model(net, executor=executor, **given | options)


@each_executor
def test_all_of_them_together_learn(executor):
    m = model(executor)
    history = m.fit(X, Y, epochs=60, batch_size=8, verbose=0)
    assert history["loss"][-1] < 0.2 * history["loss"][0]
    assert m.parameters["layers.0.weight"].shape == (12, 3)
    assert m.state["optimizer.v.layers.0.weight"].shape == (12, 3)


@each_executor
def test_they_agree_with_the_reference(executor):
    a, b = model(executor), model("reference")
    for m in (a, b):
        m.fit(X, Y, epochs=3, batch_size=7, verbose=0)
    for name in b.parameters:
        np.testing.assert_allclose(a.parameters[name], b.parameters[name], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(a.predict(X), b.predict(X), rtol=1e-9, atol=1e-11)


@each_executor
def test_the_rules_by_hand(executor):
    """One step of RMSProp on the slope of log cosh: w = 0, x = 1, t = -1/2, so d = 1/2, slope tanh(2 d) = tanh 1."""
    net = nn.Dense(1, bias=False, weight_init=nn.init.zeros)
    m = Model(net, loss=LogCosh(sharpness=2.0), optimizer=RMSProp(0.02, rho=0.75), dtype="float64", executor=executor)
    loss = m.fit([[1.0]], [[-0.5]], verbose=0)["loss"][0]
    assert loss == pytest.approx(np.log(np.cosh(1)) / 2)
    g = np.tanh(1)
    assert m.parameters["weight"].item() == pytest.approx(-0.02 * g / (np.sqrt(0.25 * g**2) + 1e-7))


@each_executor
def test_they_are_saved_and_loaded(executor, tmp_path):
    m = model(executor)
    m.fit(X, Y, epochs=2, verbose=0)
    m.save(tmp_path / "m.pel")
    again = pel.load(tmp_path / "m.pel", executor=executor)
    for each in (m, again):
        each.fit(X, Y, epochs=2, verbose=0)
    assert (again.predict(X) == m.predict(X)).all()


def test_errors_name_the_new_layer():
    with pytest.raises(GraphError, match=r"Maxout 'layers\.0': expects a vector, got shape \(2, 2\)"):
        model("reference").fit(np.ones((3, 2, 2)), np.ones((3, 1)), verbose=0)
