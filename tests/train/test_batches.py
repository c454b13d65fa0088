"""Batches for layers that take statistics over samples: near the size asked for, none of them small, never one."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import GraphError, Model, nn, optim, schedules
from pellucid.train.batch_sizes import even
from pellucid.train.batches import cut, epochs_of
from pellucid.train.parts import Part

random = np.random.default_rng(0)


def norm_net():
    return nn.Sequential(nn.Dense(32), nn.BatchNorm(), nn.relu, nn.Dense(1))


def batches_of(n, size):
    return [min(size, n - start) for start in range(0, n, size)]


def test_even_batches():
    assert batches_of(401, even(401, 200)) == [134, 134, 133]
    assert batches_of(97, even(97, 16)) == [14] * 6 + [13]
    assert [even(n, n) for n in (2, 3, 100)] == [2, 3, 100]
    for n in range(2, 300):
        for asked in range(2, n + 1):
            found = batches_of(n, even(n, asked))
            assert sum(found) == n and min(found) >= max(2, found[0] / 2)
            last = n % asked or asked
            assert (found[0] == asked) == (last >= max(2, asked / 2))
            assert asked / 2 <= found[0] <= max(asked, 3) or last < max(2, asked / 2)


@pytest.mark.parametrize("n", [97, 201, 401])
@pytest.mark.parametrize("batch", [16, 25, 40, 67, 96, 100, 134, 199, 200])
def test_a_net_with_batch_normalization_learns_whatever_the_last_batch(n, batch):
    """One row's variance of 0 used to go into the running average: R2 0.73 for 201 rows in batches of 200."""
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n + 500, 5))
    y = x @ [[1.0], [-2.0], [0.5], [3.0], [0.3]] + 1
    model = Model(norm_net(), "mse", optim.Adam(schedules.Cosine(0.02, epochs=100)))
    model.fit(x[:n], y[:n], batch_size=min(batch, n), epochs=100, verbose=0)
    off = model.predict(x[n:]) - y[n:]
    assert 1 - (off**2).mean() / y[n:].var() > 0.99


def test_the_batches_are_those_of_the_size():
    """401 rows at 200 train as at 134, to the bit, and members trained together too; a net without it is left alone."""
    x, y = random.normal(size=(401, 3)), random.normal(size=(401, 1))

    def state(net, batch, **options):
        model = Model(net(), "mse", optim.SGD(0.01, **options))
        model.fit(x, y, batch_size=batch, epochs=2, verbose=0)
        return {name: a.tobytes() for name, a in model.state.items()} | {"history": str(model.history.columns)}

    assert state(norm_net, 200) == state(norm_net, 134) != state(norm_net, 150)
    plain = lambda: nn.Sequential(nn.Dense(4), nn.Dense(1))
    assert state(plain, 200) != state(plain, 134)
    members = [Model(norm_net(), "mse", "sgd", seed=0) for _ in range(2)]
    pel.train.ensemble_training.fit_members(members, x, y, batch_size=200, epochs=2)
    alone = Model(members[0].net, "mse", "sgd", seed=0)
    alone.fit(x, y, batch_size=200, epochs=2, verbose=0)
    for name, a in alone.state.items():
        np.testing.assert_allclose(members[0].state[name], a, rtol=2e-4, atol=1e-6, err_msg=name)


def test_places_count():
    """Convolutions have many places of each sample: their batches stay as asked for; one place is none."""

    def steps(net, n, shape):
        x = random.normal(size=(n, *shape))
        model = Model(net, "mse", "sgd")
        model.fit(x, np.zeros((n, 1)), batch_size=16, verbose=0)
        return int(model.state["optimizer.step"])

    conv = lambda k: nn.Sequential(nn.Conv(2, k), nn.BatchNorm(), nn.Flatten(), nn.Dense(1))
    assert steps(conv(3), 33, (1, 5, 5)) == 3
    assert steps(conv(3), 16 * 15 + 1, (1, 5, 5)) == 16
    one_place = Model(conv(5), "mse", "sgd")
    x = random.normal(size=(33, 1, 5, 5))
    seen = []
    callback = type(
        "Look", (pel.Callback,), {"on_epoch_end": lambda self, *_: seen.append(self.model.training.batches)}
    )
    one_place.fit(x, np.zeros((33, 1)), batch_size=16, callbacks=[callback()], verbose=0)
    assert seen == [[11]]


ONE = {
    "fit": lambda m, x, y: m.fit(x, y, batch_size=1, verbose=0),
    "one sample": lambda m, x, y: m.fit(x[:1], y[:1], verbose=0),
    "gradients": lambda m, x, y: m.gradients(x[:1], y[:1]),
    "gradients, each by itself": lambda m, x, y: m.gradients(x, y, batch_size=1),
    "statistics": lambda m, x, y: m.update_statistics(x, batch_size=1),
    "search": lambda m, x, y: m.find_learning_rate(x, y, batch_size=1),
    "members": lambda m, x, y: pel.train.ensemble_training.fit_members([m], x, y, batch_size=1),
}


@pytest.mark.parametrize("what", ONE)
def test_batches_of_one_are_refused(what):
    x, y = random.normal(size=(8, 3)), random.normal(size=(8, 1))
    model = Model(norm_net(), "mse", "sgd", input_shape=(3,))
    before = model.parameters
    with pytest.raises(GraphError, match=r"layer 'layers.1' takes mean and variance over the samples.*LayerNorm"):
        ONE[what](model, x, y)
    assert all((before[name] == a).all() for name, a in model.parameters.items())
    layer = nn.Sequential(nn.Dense(4), nn.LayerNorm(), nn.Dense(1))
    ONE[what](Model(layer, "mse", "sgd", input_shape=(3,)), x, y)
    frozen = nn.Sequential(nn.Dense(4), nn.BatchNorm(trainable=False), nn.Dense(1))
    ONE[what](Model(frozen, "mse", "sgd", input_shape=(3,)), x, y)


def test_the_doctor_blames_the_batch():
    x = random.normal(size=(200, 4))
    y = (x[:, 0] > 0).astype(int)
    model = Model(nn.Sequential(nn.Dense(8), nn.BatchNorm(), nn.relu, nn.Dense(2)), "cross_entropy", optim.Adam(0.01))
    found = model.diagnose(x, y, batch_size=1)
    assert [f.name for f in found.findings] == ["small_batch_norm"]


def test_gradients_do_not_depend_on_a_small_rest():
    """33 samples 16 at a time: as 11 at a time."""
    x, y = random.normal(size=(33, 3)), random.normal(size=(33, 1))
    model = Model(norm_net(), "mse", dtype="float64", input_shape=(3,))
    assert model.gradients(x, y, batch_size=16)[0] == model.gradients(x, y, batch_size=11)[0]


def test_each_bucket_has_batches_of_its_own():
    n = {3: 9, 5: 20}
    x = [random.normal(size=(t, 2)).astype("float32") for t, k in n.items() for _ in range(k)]
    y = random.normal(size=(29, 1))
    net = nn.Sequential(nn.Masking(), nn.LSTM(4), nn.BatchNorm(), nn.Dense(1))
    model, seen = Model(net, "mse", "sgd"), []
    callback = type(
        "Look", (pel.Callback,), {"on_epoch_end": lambda self, *_: seen.append(self.model.training.batches)}
    )
    model.fit(pel.data.Buckets(x, y, batch_size=8, boundaries=[3, 5]), callbacks=[callback()], verbose=0)
    assert seen == [[5, 8]] and model.state["optimizer.step"] == 2 + 3
    with pytest.raises(GraphError, match="with one sample"):
        Model(net, "mse", "sgd").fit(pel.data.Buckets(x[:1] + x[9:], y[8:], batch_size=8, boundaries=[3, 5]), verbose=0)


def test_cut_with_batches_of_their_own():
    parts = [Part({"y": np.arange(7)}), Part({"y": np.arange(10)})]
    (pieces,) = epochs_of(parts, None, 0, [0], [2, 5], False)
    cuts = [p.rows for p in cut(pieces, [2, 5], [2])]
    assert sum(cuts) == 17 and all(rows <= 2 * 5 for rows in cuts)


def test_a_batch_larger_than_the_samples_is_all_of_them():
    x, y = random.normal(size=(10, 3)), random.normal(size=(10, 1))
    whole, asked = Model(nn.Dense(1), "mse", "sgd"), Model(nn.Dense(1), "mse", "sgd")
    whole.fit(x, y, batch_size="all", epochs=2, verbose=0)
    with pytest.warns(
        UserWarning, match="batch_size=64 is larger than the 10 training samples; each step takes all 10"
    ):
        asked.fit(x, y, batch_size=64, epochs=2, verbose=0)
    assert all((asked.state[name] == a).all() for name, a in whole.state.items())


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("what", ["norm", "accumulation", "split"])
def test_a_fit_goes_on_in_the_middle_of_an_epoch(what, executor, tmp_path):
    """From every step, also within a window of gradients: the same bits."""
    x, y = random.normal(size=(2, 25, 3)).astype("float32")
    net = nn.Sequential(nn.Dense(4), nn.BatchNorm() if what == "norm" else nn.tanh, nn.Dense(3))
    sgd = optim.SGD(schedules.Step(0.1, epochs=1), gradient_accumulation_steps=3 if what == "accumulation" else None)
    options = {"validation_split": 0.2} if what == "split" else {}

    def fit():
        model = Model(net, "mse", sgd, executor=executor)
        keeper = pel.Checkpoint(tmp_path, steps=1, keep=None)
        model.fit(x, y, batch_size=6, epochs=2, callbacks=[keeper], resume=True, verbose=0, **options)
        return {name: a.tobytes() for name, a in model.state.items()} | {"history": str(model.history.columns)}

    whole = fit()
    files = sorted(tmp_path.glob("step-*.pel"))
    assert len(files) == 1 + 2 * {"norm": 5, "accumulation": 5, "split": 4}[what]
    for last in reversed(files[:-1]):
        for path in sorted(tmp_path.glob("step-*.pel")):
            if path.name > last.name:
                path.unlink()
        assert fit() == whole
