"""Penalties on weights and activations, and constraints of weights: formulas, where they hold, and their strengths."""

import math
import pickle

import numpy as np
import pytest
from tools import run

import pellucid as pel
from pellucid import ArgumentError, GraphError, Model, nn, ops, optim
from pellucid.executors import EXECUTORS
from pellucid.train.ensemble_training import fit_members
from pellucid.train.program_cache import structure

each_executor = pytest.mark.parametrize("executor", EXECUTORS)
RATE = 0.125
random = np.random.default_rng(0)
X = random.normal(size=(10, 3))
T = X[:, :1] - 2 * X[:, 1:2] + 0.5

PENALTIES = {  # penalty, its formula
    "l1": (nn.L1(0.3), lambda a: 0.3 * np.abs(a).sum()),
    "l1 squared": (nn.L1(0.3, squared=True), lambda a: 0.3 * np.abs(a).sum() ** 2),
    "l2": (nn.L2(0.3), lambda a: 0.3 * (a * a).sum()),
    "l2 root": (nn.L2(0.3, squared=False), lambda a: 0.3 * np.linalg.norm(a)),
    "l1 and l2": (nn.L1L2(0.3, 0.2), lambda a: 0.3 * np.abs(a).sum() + 0.2 * (a * a).sum()),
    "p": (nn.PNorm(1.5, 0.3), lambda a: 0.3 * (np.abs(a) ** 1.5).sum() ** (1 / 1.5)),
    "p squared": (nn.PNorm(3, 0.3, squared=True), lambda a: 0.3 * (np.abs(a) ** 3).sum() ** (2 / 3)),
    "p large": (nn.PNorm(40, 0.3), lambda a: 0.3 * (np.abs(a) ** 40).sum() ** (1 / 40)),
    "infinity": (nn.PNorm(math.inf, 0.3), lambda a: 0.3 * np.abs(a).max()),
}
each_penalty = pytest.mark.parametrize("penalty, formula", PENALTIES.values(), ids=list(PENALTIES))


def model(net, loss="half_squared_error", optimizer=None, **options):
    given = {"dtype": "float64", "seed": 3, "input_shape": (3,)} | options
    return Model(net, loss, optimizer or optim.SGD(RATE), **given)


def fitted(m, **options):
    return m.fit(X, T, **{"batch_size": "all", "verbose": 0} | options)


def net():
    return nn.Sequential(nn.Dense(4), nn.tanh, nn.Dense(1))


# ---- formulas -----------------------------------------------------------------------------------------------------


@each_penalty
def test_formulas(penalty, formula):
    a = random.normal(size=(3, 4))
    strengths = [getattr(penalty, name) for name in penalty.strengths]
    sizes = run(lambda v: list(penalty.sizes(v)), a)
    assert sum(s * r for s, r in zip(strengths, sizes, strict=True)) == pytest.approx(formula(a), rel=1e-13)


@pytest.mark.parametrize("p", [1.5, 40.0])
def test_small_weights_do_not_vanish(p):
    a = random.normal(size=(3, 4)) * 1e-4
    (size,) = run(lambda v: list(nn.PNorm(p).sizes(v)), a.astype("float32"))
    assert size == pytest.approx(np.linalg.norm(a.ravel(), p), rel=1e-5)


@each_executor
@each_penalty
def test_gradients_of_the_cost_are_finite_differences(penalty, formula, executor):
    """On weights, biases and activations at once; weights of zero have the slope 0, or one from the data."""
    layer = nn.Regularized(nn.Dense(4), biases=penalty, activations=penalty)
    m = model(nn.Sequential(layer, nn.tanh, nn.Dense(1)), regularizer=penalty, executor=executor)
    m.set_parameters({"layers.0.bias": random.normal(size=4)})
    cost, slopes = m.gradients(X, T)
    z = m.layer_outputs(X)["layers.0"]
    expected = m.evaluate(X, T)["loss"] + np.mean([formula(row) for row in z]) + sum(
        formula(m.parameters[name]) for name in ("layers.0.weight", "layers.0.bias", "layers.2.weight"))  # fmt: skip
    assert cost == pytest.approx(expected, rel=1e-12)
    for name, w in m.parameters.items():
        for i in range(w.size):
            around = []
            for step in (1e-6, -1e-6):
                moved = w.copy()
                moved.flat[i] += step
                m.set_parameters({name: moved})
                around.append(m.gradients(X, T)[0])
            m.set_parameters({name: w})
            assert (around[0] - around[1]) / 2e-6 == pytest.approx(slopes[name].flat[i], rel=1e-5, abs=1e-7)


@each_penalty
def test_at_zero_the_slope_is_finite(penalty, formula):
    m = model(nn.Dense(1, weight_init=nn.init.zeros), regularizer=penalty)
    plain = model(nn.Dense(1, weight_init=nn.init.zeros))
    np.testing.assert_array_equal(m.gradients(X, T)[1]["weight"], plain.gradients(X, T)[1]["weight"])


def test_by_hand():
    """One weight of 2, no data to speak of: each step takes rate * 2 * 0.1 * w away."""
    m = model(nn.Dense(1, bias=False, weight_init=nn.init.constant), input_shape=(1,), regularizer=nn.L2(0.1))
    m.set_parameters({"weight": [[2.0]]})
    history = m.fit(np.zeros((4, 1)), np.zeros((4, 1)), epochs=2, batch_size="all", verbose=0)
    assert m.parameters["weight"].item() == pytest.approx(2 * (1 - RATE * 0.2) ** 2)
    assert history["penalty"] == pytest.approx([0.1 * 4, 0.1 * (2 * (1 - RATE * 0.2)) ** 2])
    assert history["loss"] == [0, 0]


@each_executor
def test_native_is_reference(executor):
    layer = nn.Regularized(nn.Dense(5), weights=nn.PNorm(3, 0.1), activations=nn.L1(0.01), constraint=nn.MaxNorm(0.7))
    options = {"metrics": ["mae"], "regularizer": nn.L1L2(0.01, 0.02), "constraint": nn.UnitNorm()}
    found = []
    for name in ("reference", executor):
        m = model(nn.Sequential(layer, nn.tanh, nn.Dense(1)), executor=name, **options)
        found.append((fitted(m, epochs=3, batch_size=4).columns, m.state))
    (columns, state), (expected_columns, expected) = found
    assert state.keys() == expected.keys() and columns.keys() == expected_columns.keys()
    for name, a in expected.items():
        np.testing.assert_allclose(state[name], a, rtol=1e-10, atol=1e-12, err_msg=name)
    for name, column in expected_columns.items():
        np.testing.assert_allclose(columns[name], column, rtol=1e-10)


# ---- where they hold ----------------------------------------------------------------------------------------------


def test_the_loss_is_that_of_the_data():
    m = model(net(), regularizer=nn.L2(0.1))
    start = m.evaluate(X, T)["loss"]
    squares = sum((w * w).sum() for name, w in m.parameters.items() if name.endswith("weight"))
    history = fitted(m, validation_data=(X, T))
    assert history["loss"] == [pytest.approx(start)] and history["penalty"] == [pytest.approx(0.1 * squares)]
    assert "val_penalty" not in history and list(m.evaluate(X, T)) == ["loss"]
    assert "penalty" not in fitted(model(net()))


def test_only_trained_weights():
    """No biases, no scales of norms (of two axes, too), nothing frozen."""
    parts = nn.Dense(4), nn.Reshape((2, 2)), nn.LayerNorm(axis=(0, 1)), nn.Flatten(), nn.Dense(2, trainable=False)
    m = model(nn.Sequential(*parts, nn.Dense(1)), regularizer=nn.L2(0.1), constraint=nn.MaxNorm(1e-3))
    m.set_parameters({"layers.0.bias": [3.0, 4, 5, 6]})
    squares = sum((m.parameters[f"layers.{i}.weight"] ** 2).sum() for i in (0, 5))
    before = m.parameters
    assert fitted(m)["penalty"] == [pytest.approx(0.1 * squares)]
    small = {name: np.linalg.norm(m.parameters[f"layers.{name}"]) < 0.01
             for name in ("0.weight", "5.weight", "0.bias", "2.gamma", "4.weight")}  # fmt: skip
    assert list(small.values()) == [True, True, False, False, False]
    np.testing.assert_array_equal(m.parameters["layers.4.weight"], before["layers.4.weight"])


def test_a_layers_own_takes_the_place_of_the_models():
    parts = nn.Regularized(nn.Dense(4), weights=nn.L1(0.5), biases=nn.L2(0.25)), nn.tanh, nn.Dense(1)
    m = model(nn.Sequential(*parts), regularizer=nn.L2(0.1))
    m.set_parameters({"layers.0.bias": [1.0, 2, 3, 4]})
    w = m.parameters
    expected = 0.5 * np.abs(w["layers.0.weight"]).sum() + 0.25 * 30 + 0.1 * (w["layers.2.weight"] ** 2).sum()
    assert fitted(m)["penalty"] == [pytest.approx(expected)]
    assert m.penalties == {"layers.0.weights.strength": 0.5, "layers.0.biases.strength": 0.25, "strength": 0.1}


def test_a_layer_used_twice_is_penalized_once_its_activations_twice():
    layer = nn.Regularized(nn.Dense(3), weights=nn.L2(0.5), activations=nn.L2(0.25))
    m = model(nn.Sequential(layer, layer, nn.Dense(1)))
    w = m.parameters["layers.0.weight"]
    first = X @ w.T
    z = [first, first @ w.T]
    expected = 0.5 * (w**2).sum() + 0.25 * sum((a**2).sum(1).mean() for a in z)
    assert fitted(m)["penalty"] == [pytest.approx(expected)]


def test_a_block_means_all_in_it():
    m = model(nn.Sequential(nn.Regularized(net(), weights=nn.L2(0.5)), nn.Dense(1)))
    assert list(m.parameters) == [
        f"layers.{place}.{name}" for place in ("0.layers.0", "0.layers.2", "1") for name in ("weight", "bias")
    ]
    squares = sum((m.parameters[f"layers.0.layers.{i}.weight"] ** 2).sum() for i in (0, 2))
    assert fitted(m)["penalty"] == [pytest.approx(0.5 * squares)]


def test_sample_weights_weigh_activations():
    m = model(nn.Regularized(nn.Dense(1), activations=nn.L2(0.5)))
    weight = np.arange(10.0)
    z = m.predict(X)
    assert fitted(m, sample_weight=weight)["penalty"] == [pytest.approx(0.5 * (weight * z[:, 0] ** 2).mean())]


@each_executor
def test_per_batch_divides_by_the_real_number_of_samples(executor):
    """Batches of 4, 4 and 2 samples; no data to speak of."""
    m = model(nn.Dense(1, bias=False), regularizer=nn.L2(0.3, per_batch=True), executor=executor)
    w = m.parameters["weight"]
    history = m.fit(0 * X, 0 * T, batch_size=4, shuffle=False, verbose=0)
    told = 0.0
    for n in (4, 4, 2):
        told += 0.3 * (w**2).sum() / n * n / 10
        w = w * (1 - RATE * 2 * 0.3 / n)
    np.testing.assert_allclose(m.parameters["weight"], w, rtol=1e-13)
    assert history["penalty"] == [pytest.approx(told, rel=1e-12)]


def test_scikit_learns_alpha():
    """One step of scikit-learn's MLP by SGD, from the same weights."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    mlp = MLPRegressor(hidden_layer_sizes=(4,), activation="tanh", solver="sgd", alpha=0.7, batch_size=4, shuffle=False,
                       learning_rate_init=RATE, momentum=0, max_iter=1, random_state=0)  # fmt: skip
    m = model(net(), regularizer=nn.L2(0.35, per_batch=True))
    with pytest.warns(ConvergenceWarning):
        mlp.fit(X, T[:, 0])  # makes weights
    mlp.set_params(warm_start=True)
    start = [w.copy() for w in (*mlp.coefs_, *mlp.intercepts_)]
    names = ["layers.0.weight", "layers.2.weight", "layers.0.bias", "layers.2.bias"]
    m.set_parameters({name: w.T for name, w in zip(names, start, strict=True)})
    with pytest.warns(ConvergenceWarning):
        mlp.fit(X, T[:, 0])
    history = m.fit(X, T, batch_size=4, shuffle=False, verbose=0)
    for name, w in zip(names, (*mlp.coefs_, *mlp.intercepts_), strict=True):
        np.testing.assert_allclose(m.parameters[name], w.T, rtol=1e-10, atol=1e-12)
    assert history["loss"][0] + history["penalty"][0] == pytest.approx(mlp.loss_curve_[-1], rel=1e-10)


def test_ridge_regression_by_lbfgs():
    m = model(nn.Dense(1), optimizer=optim.LBFGS(), regularizer=nn.L2(0.2))
    fitted(m, epochs=60)
    x, t = X - X.mean(0), T - T.mean(0)
    expected = np.linalg.solve(x.T @ x + 2 * 0.2 * len(X) * np.eye(3), x.T @ t)[:, 0]
    np.testing.assert_allclose(m.parameters["weight"][0], expected, atol=1e-6)


# ---- names of the wrapped layer -----------------------------------------------------------------------------------


def test_the_wrapper_has_the_layers_name():
    inner = nn.Dense(4, name="first")
    plain = nn.Sequential(inner, nn.tanh, nn.Dense(1))
    wrapped = nn.Sequential(nn.Regularized(inner, weights=nn.L2(0.1)), nn.tanh, nn.WeightDrop(nn.Dense(1), 0.2))
    a, b = model(plain), model(wrapped)
    assert list(a.parameters) == list(b.parameters) == ["layers.first.weight", "layers.first.bias",
                                                        "layers.2.weight", "layers.2.bias"]  # fmt: skip
    assert list(a.layer_outputs(X)) == list(b.layer_outputs(X))
    np.testing.assert_array_equal(a.features(X, 0), b.features(X, 0))
    b.freeze("layers.first")
    assert [p.trainable for p in b.traced.parameters.values()] == [False, False, True, True]
    before = b.parameters
    assert "penalty" not in fitted(b)
    np.testing.assert_array_equal(before["layers.first.weight"], b.parameters["layers.first.weight"])


def test_within_a_function_and_around_the_whole_net():
    layer = nn.Regularized(nn.Dense(1), weights=nn.L2(0.1))
    assert list(model(lambda x: layer(ops.tanh(x))).parameters) == ["dense.weight", "dense.bias"]
    m = model(layer)
    assert list(m.parameters) == ["weight", "bias"] and m.penalties == {"weights.strength": 0.1}


def test_a_recurrent_layer_goes_step_by_step():
    wrapped = nn.WeightDrop(nn.Regularized(nn.GRU(4, return_sequences=True), weights=nn.L2(0.1)), 0.3)
    m = model(nn.Sequential(wrapped, nn.TimeDistributed(nn.Dense(2))), "mse", input_shape=(5, 3))
    x, stepper = random.normal(size=(2, 5, 3)), m.stepper()
    steps = np.stack([stepper(x[:, t]) for t in range(5)], 1)
    np.testing.assert_allclose(steps, m.predict(x), rtol=1e-10)
    m.fit(x, np.zeros((2, 5, 2)), verbose=0)


# ---- strengths are state ------------------------------------------------------------------------------------------


def test_strengths_are_set_without_compiling():
    m = model(net(), regularizer=nn.L1L2(0.1, 0.2))
    fitted(m)
    runs = dict(m._runs)
    m.penalties = {"l2": 0.0}
    assert m.penalties == {"l1": 0.1, "l2": 0.0}
    sizes = sum(np.abs(w).sum() for name, w in m.parameters.items() if name.endswith("weight"))
    assert fitted(m)["penalty"][-1] == pytest.approx(0.1 * sizes)
    assert all(m._runs[key] is run for key, run in runs.items())


def test_models_of_other_strengths_share_their_programs():
    a, b, c = (model(net(), regularizer=r) for r in (nn.L2(0.1), nn.L2(0.5), nn.L1(0.1)))
    assert structure(a) == structure(b) != structure(c)
    assert (a.penalties, b.penalties) == ({"strength": 0.1}, {"strength": 0.5})
    assert fitted(b)["penalty"][0] == pytest.approx(5 * fitted(a)["penalty"][0])


def test_models_in_training_together():
    """Of other strengths as one program, of other penalties by themselves; as each alone."""
    parts, loss, sgd = net(), nn.HalfSquaredError(), optim.SGD(RATE)
    penalties = [nn.L2(0.1), nn.L2(0.5), nn.L2(0.9)], [nn.L2(0.1), nn.L1(0.1), None]
    for several in penalties:
        together, alone = ([model(parts, loss, sgd, regularizer=r) for r in several] for _ in range(2))
        fit_members(together, X, T, epochs=3, n_jobs=1)
        for a, b in zip(together, alone, strict=True):
            b.fit(X, T, epochs=3, verbose=0)
            assert a.history.columns.keys() == b.history.columns.keys()
            for name, w in b.parameters.items():
                np.testing.assert_allclose(a.parameters[name], w, rtol=1e-10)


def test_saved_loaded_pickled_transferred(tmp_path):
    layer = nn.Regularized(nn.Dense(4), weights=nn.PNorm(math.inf, 0.1), constraint=nn.MaxNorm(0.5))
    m = model(nn.Sequential(layer, nn.tanh, nn.Dense(1)), regularizer=nn.L1(0.2, squared=True), constraint=nn.NonNeg())
    m.penalties = {"strength": 0.3}
    fitted(m)
    m.save(tmp_path / "m.pel")
    others = [pel.load(tmp_path / "m.pel"), pickle.loads(pickle.dumps(m))]
    expected = fitted(m, epochs=2)["penalty"]
    for other in others:
        assert other.penalties == {"layers.0.weights.strength": 0.1, "strength": 0.3}
        assert fitted(other, epochs=2)["penalty"] == expected
        assert other.regularizer == m.regularizer and other.constraint == m.constraint
    moved = m.transfer(nn.Dense(1), freeze=False)
    assert moved.regularizer == m.regularizer and moved.constraint == m.constraint


# ---- constraints --------------------------------------------------------------------------------------------------


def test_constraints_by_formula():
    w = random.normal(size=(4, 3, 2))
    norms = np.sqrt((w * w).sum((1, 2), keepdims=True))
    np.testing.assert_allclose(run(nn.MaxNorm(1.5), w), w * np.minimum(1, 1.5 / norms), rtol=1e-14)
    small = w / norms
    np.testing.assert_array_equal(run(nn.MaxNorm(1.5), small), small)  # untouched, bit for bit
    np.testing.assert_allclose(run(nn.UnitNorm(), w), w / norms, rtol=1e-14)
    assert (run(nn.UnitNorm(), 0 * w) == 0).all()
    np.testing.assert_array_equal(run(nn.NonNeg(), w), np.maximum(w, 0))
    along = np.sqrt((w * w).sum(0, keepdims=True))
    np.testing.assert_allclose(run(nn.UnitNorm(axis=0), w), w / along, rtol=1e-14)


@each_executor
@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 2}, {"use_ema": True}, {"weight_decay": 0.1}])
def test_weights_keep_to_the_limit(executor, options):
    m = model(net(), optimizer=optim.Adam(0.3, **options), constraint=nn.MaxNorm(0.4), executor=executor)
    fitted(m, batch_size=5, epochs=4)
    for name in ("layers.0.weight", "layers.2.weight"):
        norms = np.linalg.norm(m.parameters[name], axis=1)
        assert (norms <= 0.4 * (1 + 1e-12)).all()
        assert options.get("use_ema") or norms.max() == pytest.approx(0.4)  # without it they would have grown


# ---- dropped weights ----------------------------------------------------------------------------------------------


def test_weights_are_dropped_once_a_step_biases_stay():
    layer = nn.WeightDrop(nn.Dense(50, weight_init=nn.init.constant, bias_init=nn.init.constant), 0.25)
    x = pel.input("x", (40,), "float64")
    traced = nn.trace(layer, x, dtype="float64", training=True)
    program = pel.Program([x], {"y": traced.output})
    state = {"random.key": np.array([1, 2], np.uint32), "weight": np.ones((50, 40)), "bias": np.ones(50)}
    y = pel.executors.get("reference").compile(program)(state, {"x": np.ones((3, 40))})["y"]
    np.testing.assert_array_equal(y, y[:1].repeat(3, 0))
    kept = (y[0] - 1) * 0.75  # of 40 weights
    np.testing.assert_allclose(kept, kept.round(), atol=1e-9)
    assert abs(kept.mean() - 30) < 5 * math.sqrt(40 * 0.25 * 0.75 / 50)
    m = model(nn.Sequential(layer, nn.Dense(1)))
    plain = model(nn.Sequential(layer.layer, nn.Dense(1)))
    np.testing.assert_array_equal(m.predict(X), plain.predict(X))


# ---- bad input ----------------------------------------------------------------------------------------------------

BAD = {
    "negative": (lambda: nn.L2(-0.1), r"L2: strength must be a number >= 0, got -0\.1"),
    "not finite": (lambda: nn.L1(math.inf), "L1: strength must be a number >= 0, got inf"),
    "text": (lambda: nn.L1L2("0.1"), "L1L2: l1 must be a number >= 0, got '0.1'"),
    "p below 1": (
        lambda: nn.PNorm(0.5),
        r"PNorm: p must be a number >= 1 or math.inf, got 0\.5; below 1 it is no norm",
    ),
    "limit": (lambda: nn.MaxNorm(0), "MaxNorm: limit must be a number > 0, got 0"),
    "a class": (lambda: model(net(), regularizer=nn.L2), r"regularizer must be a penalty.*did you mean nn.L2\(...\)"),
    "a name": (lambda: model(net(), regularizer="l2"), r"regularizer must be a penalty, for example nn\.L2.*got 'l2'"),
    "a number": (lambda: model(net(), constraint=3), r"constraint must be a constraint, for example nn.MaxNorm\(3\)"),
    "exchanged": (lambda: nn.Regularized(nn.Dense(1), weights=nn.NonNeg()), "Regularized: weights must be a penalty"),
    "no layer": (lambda: nn.Regularized(nn.tanh), "Regularized takes a layer, got"),
    "no parentheses": (lambda: nn.WeightDrop(nn.Flatten), "WeightDrop takes a layer, got.*forget its parentheses"),
    "no weights": (
        lambda: model(nn.Sequential(nn.Regularized(nn.Flatten(), weights=nn.L1()))),
        r"Regularized 'layers\.0': Flatten has no weights for L1",
    ),
    "no bias": (lambda: model(nn.Regularized(nn.Dense(1, bias=False), biases=nn.L1())), "Dense has no biases for L1"),
    "nothing to drop": (lambda: model(nn.WeightDrop(nn.Flatten())), "Flatten has no weights to drop"),
    "rate": (lambda: nn.WeightDrop(nn.Dense(1), 1.0), r"WeightDrop: rate must be a number in \[0, 1\), got 1\.0"),
    "activations per batch": (
        lambda: nn.Regularized(nn.Dense(1), activations=nn.L1(per_batch=True)),
        "activations are penalized by the mean over the samples of a batch; leave per_batch out",
    ),
    "lbfgs": (
        lambda: fitted(model(net(), optimizer=optim.LBFGS(), constraint=nn.NonNeg())),
        "optim.LBFGS takes no constraint of weights; use another optimizer",
    ),
    "unknown strength": (
        lambda: setattr(model(net(), regularizer=nn.L2()), "penalties", {"l2": 1}),
        "no penalty is named 'l2'; there are strength",
    ),
    "negative later": (
        lambda: setattr(model(net(), regularizer=nn.L2()), "penalties", {"strength": -1}),
        "penalties: 'strength' must be a number >= 0, got -1",
    ),
}


@pytest.mark.parametrize("make, text", BAD.values(), ids=list(BAD))
def test_bad_input(make, text):
    with pytest.raises((ArgumentError, GraphError), match=text):
        make()
