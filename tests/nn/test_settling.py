"""Lateral connections and feedback to an earlier layer: formulas, derivatives, both executors, and what they can do."""

import numpy as np
import pytest
from native_tools import agree
from tools import check_gradient, distinct, substituted

import pellucid as pel
from pellucid import ArgumentError, GraphError, Model, nn, ops, optim
from pellucid.executors import native

N = 5
LAYERS = {
    "lateral": (nn.Lateral(3), (4,)),
    "lateral, slow": (nn.Lateral(4, "sigmoid", rate=0.3), (4,)),
    "lateral, unrolled": (nn.Lateral(3, unroll=True), (4,)),
    "lateral, once": (nn.Lateral(1), (4,)),
    "lateral of a picture": (nn.Lateral(3, connections=nn.Conv(2, 3, padding="same")), (2, 4, 3)),
    "lateral of a sequence": (nn.Lateral(3, connections=nn.Conv1D(2, 3, padding="same")), (4, 2)),
    "feedback": (nn.Feedback(nn.Sequential(nn.Dense(5), "tanh", nn.Dense(2), "tanh"), 3), (3,)),
    "feedback, slow": (nn.Feedback(nn.Sequential(nn.Dense(5), "tanh", nn.Dense(2)), 3, rate=0.5), (3,)),
    "feedback of a picture": (
        nn.Feedback(nn.Sequential(nn.Conv(2, 2), "tanh"), 3, back=nn.ConvTranspose(1, 2)),
        (1, 4, 4),
    ),
    "feedback around an lstm": (nn.Feedback(nn.LSTM(2), 2, back=nn.RepeatVector(3), unroll=True), (3, 2)),
}
each_layer = pytest.mark.parametrize("name", LAYERS)


def traced_on(net, shape, dtype="float64"):
    return nn.trace(net, pel.input("x", shape, dtype), dtype=dtype)


def weights_of(t):
    return {k: distinct(p.value.shape, i + 1) / 2 for i, (k, p) in enumerate(t.parameters.items())}


# ---- formulas ---------------------------------------------------------------------------------------------------


def test_lateral_is_its_formula():
    """a_0 = f(x), a_k = f(x + W a_(k-1)); no unit is connected to itself, whatever stands on the diagonal of W."""
    model = Model(nn.Lateral(3), "mse", dtype="float64", input_shape=(4,))
    assert (np.diag(model.parameters["weight"]) == 0).all()
    w, x = distinct((4, 4), 1), distinct((N, 4), 2)
    model.set_parameters({"weight": w})
    a = np.tanh(x)
    for _ in range(3):
        a = np.tanh(x + a @ (w - np.diag(np.diag(w))).T)
    np.testing.assert_allclose(model.predict(x), a, rtol=1e-12)


def test_feedback_is_its_formula():
    """y_0 = body(x), y_k = (1 - r) y_(k-1) + r body(x + B y_(k-1))."""
    model = Model(
        nn.Feedback(nn.Sequential(nn.Dense(2), "tanh"), 3, rate=0.25), "mse", dtype="float64", input_shape=(3,)
    )
    x, (w, b, back) = distinct((N, 3), 2), (model.parameters[k] for k in ("body.layers.0.weight", "body.layers.0.bias",
                                                                         "back_weight"))  # fmt: skip
    body = lambda v: np.tanh(v @ w.T + b)
    y, settling = body(x), []
    for _ in range(3):
        y = 0.75 * y + 0.25 * body(x + y @ back.T)
        settling.append(y)
    inside = model.layer_outputs(x)
    np.testing.assert_allclose(inside["Feedback"], y, rtol=1e-12)
    np.testing.assert_allclose(inside["settling"], np.stack(settling, 1), rtol=1e-12)


@pytest.mark.parametrize("name", [n for n in LAYERS if "unroll" not in n and "lstm" not in n])
def test_unrolled_is_the_same(name):
    from dataclasses import replace

    layer, shape = LAYERS[name]
    x = distinct((N, *shape))
    model, other = (
        Model(net, "mse", dtype="float64", input_shape=shape) for net in (layer, replace(layer, unroll=True))
    )
    other.set_parameters(dict(model.parameters))
    np.testing.assert_allclose(other.predict(x), model.predict(x), rtol=1e-12)
    inside, others = model.layer_outputs(x), other.layer_outputs(x)
    assert inside.keys() == others.keys()
    key = next(k for k in inside if k.endswith("settling"))
    np.testing.assert_allclose(others[key], inside[key], rtol=1e-12)


# ---- derivatives, executors, threads ----------------------------------------------------------------------------


@each_layer
def test_derivatives(name):
    """By finite differences, in the input and in every weight, through all steps."""
    layer, shape = LAYERS[name]
    t = traced_on(layer, shape)
    weights = weights_of(t)
    (x,) = [v for v in pel.graph.toposort([t.output]) if v.name == "x"]

    def y(given, *values):
        return substituted(t, {x: given} | {p.value: v for p, v in zip(t.parameters.values(), values, strict=True)})

    check_gradient(y, distinct((N, *shape), 9), *weights.values(), kinds=["sample"] + ["shared"] * len(weights))


@each_layer
def test_native_is_reference(name):
    layer, shape = LAYERS[name]
    x, t = pel.input("x", shape, "float64"), pel.input("t", (), "float64")
    traced = nn.trace(layer, x, dtype="float64")
    cost = pel.batch_mean(ops.sum(traced.output * traced.output) * t)
    wrt = [x, *(p.value for p in traced.parameters.values())]
    slopes = {str(i): g for i, g in enumerate(pel.grad(cost, wrt))}
    program = pel.Program([x, t], {"y": traced.output, **slopes})
    agree(program, {"x": distinct((9, *shape)), "t": distinct((9,), 3)}, weights_of(traced), tolerance=1e-11)


@pytest.mark.parametrize("name", ["lateral", "feedback", "lateral of a picture"])
def test_the_same_bits_for_any_number_of_threads(name):
    layer, shape = LAYERS[name]
    found = []
    for threads in (1, 2, 3):
        model = Model(layer, "mse", optim.Adam(0.01), input_shape=shape, threads=threads, seed=3)
        x = distinct((40, *shape), dtype="float32")
        model.fit(x, np.zeros_like(model.predict(x)), epochs=2, batch_size=10, verbose=0)
        found.append(np.concatenate([w.ravel() for w in model.parameters.values()]))
    assert (found[0] == found[1]).all() and (found[0] == found[2]).all()


@each_layer
def test_saved_and_loaded(name, tmp_path):
    layer, shape = LAYERS[name]
    model = Model(layer, "mse", optim.Adam(0.01), input_shape=shape)
    x = distinct((N, *shape), dtype="float32")
    model.fit(x, np.zeros_like(model.predict(x)), verbose=0)
    model.save(tmp_path / "m.pel")
    again = pel.load(tmp_path / "m.pel")
    assert (again.predict(x) == model.predict(x)).all()
    for m in (model, again):
        m.fit(x, np.zeros_like(model.predict(x)), verbose=0)
    assert (again.predict(x) == model.predict(x)).all()


def test_masks_are_kept_and_heeded():
    """Steps that do not count reach no other, at any step of the settling."""
    net = nn.Sequential(nn.Masking(), nn.Lateral(3, connections=nn.Conv1D(2, 3, padding="same")))
    traced = nn.trace(net, pel.input("x", (6, 2)))
    assert traced.mask is not None
    model = Model(net, "mse", dtype="float64", input_shape=(6, 2))
    x = distinct((N, 6, 2))
    x[:, 4:] = 0
    np.testing.assert_allclose(model.predict(x)[:, :4], model.predict(x[:, :4]), rtol=1e-12)


def test_dropout_in_the_body_is_one_draw_for_all_steps():
    """Of what is dropped nothing comes back at a later step: a unit is 0 at all steps or at none."""
    body = nn.Sequential(nn.Dense(6, bias_init=nn.init.constant), nn.Dropout(0.5, name="drop"))
    t = nn.trace(nn.Feedback(body, 4), pel.input("x", (3,), "float64"), dtype="float64", training=True)
    (dropped,) = [c.output for c in t.calls if c.path.endswith("drop")]
    program = pel.Program([v for v in pel.graph.toposort([dropped]) if v.name == "x"], {"y": dropped})
    y = native.compile(program)(weights_of(t) | {"random.key": np.array([1, 2], "uint32")}, {"x": distinct((N, 3))})[
        "y"
    ]
    zero = y == 0
    assert (zero == zero[:, :1]).all() and 0 < zero.mean() < 1


def test_parameter_counts_and_summary():
    model = Model(nn.Sequential(nn.Dense(4), nn.Lateral()), "mse", input_shape=(3,))
    assert sum(p.count for p in nn.trace(model.net, pel.input("x", (3,))).parameters.values()) == 16 + 4 * 3
    net = nn.Feedback(nn.Sequential(nn.Dense(5), "tanh", nn.Dense(2)))
    paths = [c.path for c in nn.trace(net, pel.input("x", (3,))).calls if not c.inner]
    assert paths == ["body.layers.0", "body.layers.1", "body.layers.2", "body", ""]  # once, though called at every step


# ---- what they can do -------------------------------------------------------------------------------------------

CELLS = 16


def corridors(k, seed):
    """Rows of cells, open or not, and where one stands: (k, 2, CELLS); which cells can be reached: (k, 1, CELLS)."""
    random = np.random.default_rng(seed)
    opened = random.random((k, CELLS)) < 0.75
    here = np.arange(CELLS) == random.integers(CELLS, size=(k, 1))
    opened |= here
    reached = here.copy()
    for _ in range(CELLS):
        beside = reached.copy()
        beside[:, 1:] |= reached[:, :-1]
        beside[:, :-1] |= reached[:, 1:]
        reached = beside & opened
    return np.stack([opened, here], 1).astype("float32"), reached[:, None].astype("float32")


def conv(channels, size):
    return nn.Conv(channels, (size,), padding="same")


REACH = {
    "lateral": lambda: nn.Sequential(conv(2, 1), nn.Lateral(CELLS, connections=conv(2, 3)), conv(1, 1)),
    "feedback": lambda: nn.Sequential(
        conv(2, 1), nn.Feedback(nn.Sequential("tanh", conv(1, 1)), CELLS, back=nn.Sequential("sigmoid", conv(2, 3)))
    ),
    "the same layers once": lambda: nn.Sequential(conv(2, 1), "tanh", conv(2, 3), "tanh", conv(1, 1)),
    "wide": lambda: nn.Sequential(conv(1, 9), "tanh", conv(1, 3)),
    "deep": lambda: nn.Sequential(*[part for _ in range(4) for part in (conv(1, 3), "tanh")], conv(1, 3)),
}


def rows_right(net, seed, epochs=40):
    """The share of new rows of which every cell is right, and the number of parameters."""
    model = Model(net, "binary_cross_entropy", optim.Adam(0.02), seed=seed)
    model.fit(*corridors(2000, 0), epochs=epochs, batch_size=50, verbose=0)
    x, y = corridors(1000, 1)
    right = ((model.predict(x) > 0.5) == (y > 0.5)).all((1, 2)).mean()
    return right, sum(w.size for w in model.parameters.values())


def test_what_settles_can_do_what_no_feed_forward_net_of_its_size_can():
    """Which cells can be reached from here: as many steps as there are cells, with the same few weights at each."""
    found = {name: rows_right(net(), seed=1) for name, net in REACH.items()}
    sizes = {name: size for name, (_, size) in found.items()}
    assert sizes == {"lateral": 23, "feedback": 17, "the same layers once": 23, "wide": 23, "deep": 23}
    assert found["lateral"][0] > 0.95 and found["feedback"][0] > 0.95
    assert max(found[name][0] for name in ("the same layers once", "wide", "deep")) < 0.5


# ---- what is refused --------------------------------------------------------------------------------------------


def predicted(net, shape):
    return Model(net, "mse", input_shape=shape).predict(np.ones((2, *shape))).shape


def normed():
    return nn.Sequential(nn.Dense(3), nn.BatchNorm())


@pytest.mark.parametrize(
    "wrong, message, advice",
    [
        (
            lambda: predicted(nn.Lateral(), (3, 4, 4)),
            r"got shape \(3, 4, 4\); give connections=.*nn.Conv\(3, 3, padding='same'",
            lambda: predicted(nn.Lateral(connections=nn.Conv(3, 3, padding="same")), (3, 4, 4)),
        ),
        (
            lambda: predicted(nn.Lateral(connections=nn.Conv(3, 3)), (3, 4, 4)),
            r"the connections make \(3, 2, 2\) of \(3, 4, 4\); they must keep the shape",
            lambda: predicted(nn.Lateral(connections=nn.Conv(3, 3, padding="same")), (3, 4, 4)),
        ),
        (
            lambda: predicted(nn.TimeDistributed(nn.Lateral()), (3, 4)),
            "nn.Lateral and nn.Feedback: unroll=True",
            lambda: predicted(nn.TimeDistributed(nn.Lateral(unroll=True)), (3, 4)),
        ),
        (
            lambda: predicted(nn.Feedback(nn.Conv(2, 3)), (3, 4, 4)),
            r"give back=, a layer from \(2, 2, 2\) to \(3, 4, 4\)",
            lambda: predicted(nn.Feedback(nn.Conv(2, 3), back=nn.ConvTranspose(3, 3)), (3, 4, 4)),
        ),
        (
            lambda: predicted(nn.Feedback(nn.Conv(2, 3), back=nn.ConvTranspose(2, 3)), (3, 4, 4)),
            r"back gives \(2, 4, 4\), which cannot be added to the input of the body, \(3, 4, 4\)",
            lambda: predicted(nn.Feedback(nn.Conv(2, 3), back=nn.ConvTranspose(3, 3)), (3, 4, 4)),
        ),
        (
            lambda: predicted(nn.Feedback(nn.GRU(3), back=nn.RepeatVector(4)), (4, 3)),
            "a loop within a loop is not possible.*nn.Feedback: unroll=True",
            lambda: predicted(nn.Feedback(nn.GRU(3), back=nn.RepeatVector(4), unroll=True), (4, 3)),
        ),
        (
            lambda: Model(nn.Feedback(normed()), "mse").fit(X, X, verbose=0),
            "batch_sum within the recurrence needs all samples.*in nn.Feedback: unroll=True",
            lambda: Model(nn.Feedback(nn.Sequential(nn.Dense(3), nn.BatchNorm()), unroll=True), "mse").fit(
                X, X, verbose=0
            ),
        ),
    ],
    ids=["no vector", "smaller", "steps", "no way back", "wrong way back", "a loop", "batch norm"],
)
def test_messages_and_that_their_advice_works(wrong, message, advice):
    with pytest.raises(GraphError, match=message):
        wrong()
    advice()


X = distinct((N, 3), dtype="float32")


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: nn.Lateral(0), "Lateral: steps must be a whole number >= 1, got 0"),
        (lambda: nn.Lateral(rate=2), r"Lateral: rate must be a number in \(0, 1\], got 2"),
        (lambda: nn.Lateral(5, "tan"), "Lateral: activation: no activation is named 'tan'"),
        (lambda: nn.Lateral(connections=3), "Lateral: connections is 3, expected a layer or a function"),
        (lambda: nn.Feedback(nn.Dense), r"Feedback: body is the class Dense; did you mean Dense\(...\)"),
        (lambda: nn.Feedback(nn.Dense(2), unroll=3), "Feedback: unroll must be True or False, got 3"),
    ],
)
def test_options(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
