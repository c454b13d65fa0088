"""Models of one structure share what was made of it, and nothing else; epochs on the same arrays mean the same."""

import threading

import numpy as np
import pytest

import pellucid as pel
from pellucid import nn, optim
from pellucid.executors import NotFinite, native, reference
from pellucid.train import program_cache, programs

X = np.random.default_rng(0).normal(size=(50, 5)).astype("float32")
Y = (X[:, 0] > 0).astype("int32")


@pytest.fixture(autouse=True)
def nothing_kept():
    program_cache.forget()
    yield
    program_cache.forget()


def model(rate=0.01, seed=0, units=6, **options):
    net = nn.Sequential(nn.Dense(units), nn.relu, nn.Dropout(0.2), nn.Dense(2))
    return pel.Model(net, "cross_entropy", optim.Adam(rate), ["accuracy"], seed, **options)


def test_another_seed_or_rate_traces_and_compiles_nothing(monkeypatch):
    model().fit(X, Y, verbose=0)
    for function in ("training_step", "trace_net"):
        monkeypatch.setattr(programs, function, None)
    model(rate=0.5, seed=3).fit(X, Y, verbose=0)
    with pytest.raises(TypeError):
        model(units=7).fit(X, Y, verbose=0)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_each_model_is_as_if_it_were_alone(executor):
    alone = []
    for seed in range(3):
        program_cache.forget()
        m = model(seed=seed, rate=0.01 * (seed + 1), executor=executor)
        m.fit(X, Y, epochs=3, batch_size=20, verbose=0)
        alone.append(m.predict(X))
    together = [model(seed=seed, rate=0.01 * (seed + 1), executor=executor) for seed in range(3)]
    for _ in range(3):  # in turns
        for m in together:
            m.fit(X, Y, batch_size=20, verbose=0)
    for m, expected in zip(together, alone, strict=True):
        np.testing.assert_array_equal(m.predict(X), expected)


def test_in_several_threads_at_once():
    expected = model(seed=1)
    expected.fit(X, Y, epochs=30, verbose=0)
    found: list = []

    def train():
        m = model(seed=1, threads=1)
        m.fit(X, Y, epochs=30, verbose=0)
        found.append(m.predict(X))

    threads = [threading.Thread(target=train) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 4 and all((p == expected.predict(X)).all() for p in found)


def test_what_is_the_same_structure():
    first = program_cache.structure(model())
    assert first == program_cache.structure(model(rate=0.5, seed=9))
    others = [model(units=7), model(dtype="float64"), model(executor="reference"),
              pel.Model(model().net, "mse", optim.Adam(0.01), ["accuracy"]),
              pel.Model(model().net, "cross_entropy", optim.Adam(0.01, beta_1=0.5), ["accuracy"]),
              pel.Model(model().net, "cross_entropy", optim.Adam(0.01, weight_decay=0.1), ["accuracy"]),
              pel.Model(model().net, "cross_entropy", optim.Adam(0.01))]  # fmt: skip
    assert first not in [program_cache.structure(m) for m in others]
    masks = [np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])]
    a, b = (program_cache.structure(pel.Model(nn.Dense(1, mask=mask), "mse")) for mask in masks)
    assert a is not None and a != b


def test_nets_with_user_code_share_nothing():
    class Double(nn.Layer):
        def __call__(self, x):
            return 2 * x

    def double(x):
        return 2 * x

    for part in (Double(), double, lambda x: 2 * x):
        assert program_cache.structure(pel.Model(nn.Sequential(nn.Dense(2), part), "mse")) is None
    assert program_cache.structure(pel.Model(nn.Dense(2), lambda y, t: (y - t) ** 2)) is None


def test_the_oldest_are_forgotten():
    for i in range(program_cache.MOST + 5):
        assert program_cache.kept(i, lambda i=i: i + 1) == i + 1
    assert len(program_cache._kept) == program_cache.MOST and 0 not in program_cache._kept


# ---- epochs on the same arrays ------------------------------------------------------------------------------------


def step_of(m):
    m.fit(X, Y, epochs=1, batch_size=16, verbose=0)
    return m._compiled("step", {"x": X, "y": Y}).program, dict(m.state)


@pytest.mark.parametrize("changed", ["nothing", "order", "state", "state in place", "arrays", "batch"])
@pytest.mark.parametrize("quick", [False, True])
def test_steps_again_mean_what_the_reference_means(changed, quick, monkeypatch):
    monkeypatch.setenv("PELLUCID_CACHE", "")  # where fast code is kept, there is no other
    program, state = step_of(model())
    arrays, order, batch = {"x": X.copy(), "y": Y.copy()}, np.arange(50), 16
    runs = [native.compile(program), reference.compile(program)]
    if not quick:
        _ = runs[0].function
    states = [{k: v.copy() for k, v in state.items()} for _ in runs]
    for turn in range(4):
        if turn == 2 and changed == "order":
            order = order[::-1]
        if turn == 2 and changed == "batch":
            batch = 7
        if turn == 2 and changed == "arrays":
            arrays = {k: a[::-1].copy() for k, a in arrays.items()}
        for s in states:
            if turn == 2 and changed == "state":
                s["layers.0.bias"] = np.full(6, 0.5, "float32")
            if turn == 2 and changed == "state in place":
                s["optimizer.learning_rate"] *= 10
        sums = [run.steps(s, arrays, order, batch, "loss") for run, s in zip(runs, states, strict=True)]
        np.testing.assert_allclose(sums[0]["loss"], sums[1]["loss"], 1e-4)
    assert (runs[0].quick if quick else runs[0]).prepared is not None
    for name in states[0]:
        np.testing.assert_allclose(states[0][name], states[1][name], 1e-3, 1e-5, err_msg=name)


def test_steps_again_refuse_what_the_first_refused():
    program, state = step_of(model())
    run, arrays, order = native.compile(program), {"x": X.copy(), "y": Y}, np.arange(50)
    for _ in range(2):
        run.steps(state, arrays, order, 16, "loss")
    with pytest.raises(IndexError, match="row 50 is outside"):
        run.steps(state, arrays, order + 1, 16, "loss")
    arrays["x"][20] = np.nan  # in the second batch
    before = {k: v.copy() for k, v in state.items()}
    with pytest.raises(NotFinite) as failure:
        run.steps(state, arrays, order, 16, "loss")
    assert failure.value.step == 1 and 20 in failure.value.rows
    assert (state["layers.0.weight"] != before["layers.0.weight"]).any()  # the step before it is done
    assert np.isfinite(state["layers.0.weight"]).all()


def test_arrays_are_not_kept_alive():
    import gc
    import weakref

    m, x = model(), X.copy()
    gone = weakref.ref(x)
    m.fit(x, Y, epochs=3, verbose=0)
    del x
    gc.collect()
    assert gone() is None
