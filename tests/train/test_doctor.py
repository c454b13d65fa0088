"""The doctor: sicknesses made on purpose in small trainings, and what it leaves alone. See also test_doctor_data.py."""

import warnings

import numpy as np
import pytest

import pellucid as pel
from pellucid import nn, optim
from pellucid.train.doctor import case, rows
from pellucid.train.doctor.findings import ORDER
from pellucid.train.inputs import arrays_of

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(240, 6)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] ** 2 > 1).astype(int)


def model(net=None, optimizer=None, **options) -> pel.Model:
    net = net or nn.Sequential(nn.Dense(16), nn.relu, nn.Dense(2))
    return pel.Model(net, options.pop("loss", "cross_entropy"), optimizer or optim.Adam(0.01), **options)


def fitted(net=None, optimizer=None, x=X, y=Y, epochs=6, **options) -> pel.Model:
    m = model(net, optimizer, **options)
    m.fit(x, y, epochs=epochs, verbose=0)
    return m


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_healthy(executor):
    found = fitted(executor=executor).diagnose(X, Y)
    assert found.ok and found.names == [] and repr(found) == "healthy: nothing found"


def test_nothing_is_changed():
    """Not the weights, the optimizer's memory or the random numbers: training goes on as if nobody had looked."""
    net = nn.Sequential(nn.Dense(16), nn.BatchNorm(), nn.relu, nn.Dropout(0.2), nn.Dense(2))
    looked, other = fitted(net), fitted(net)
    before = {name: a.copy() for name, a in looked.state.items()}
    looked.diagnose(X * 100, Y, validation_data=(X, Y))
    assert all((looked.state[name] == a).all() for name, a in before.items()) and set(before) == set(looked.state)
    for m in (looked, other):
        m.fit(X, Y, epochs=1, verbose=0)
    assert all((looked.state[name] == a).all() for name, a in other.state.items())
    assert looked.history.columns == other.history.columns


def test_a_model_without_weights_stays_so():
    m = model()
    assert m.diagnose(X, Y).ok and m.traced is None and m.state == {}
    with pytest.raises(pel.DataError, match="needs y"):
        m.diagnose(X)
    with pytest.raises(pel.DataError, match="x has 240 samples, y has 3"):
        m.diagnose(X, Y[:3])
    with pytest.raises(pel.DataError, match=r"validation_data must be \(x, y\)"):
        m.diagnose(X, Y, validation_data=X)


def test_several_inputs():
    def both(left, right):
        return nn.Dense(2)(abs(nn.Dense(8, name="eye")(left) - nn.Dense(8, name="other")(right)))

    m = pel.Model(both, "cross_entropy", "adam")
    assert m.diagnose({"left": X[:, :3], "right": X[:, 3:]}, Y).ok
    assert m.diagnose({"left": X[:, :3] * 1000, "right": X[:, 3:]}, Y).names[0] == "unscaled_inputs"


def test_missing_values_and_the_rest():
    x = X.copy() * 100
    x[7, 2] = np.nan
    found = model().diagnose(x, Y)
    assert (
        found.names[:2] == ["missing_values", "unscaled_inputs"] and found["missing_values"][0].where == "x, column 2"
    )
    assert found["missing_values"][0].value == pytest.approx(1 / 240)


@pytest.mark.parametrize(
    "change, right",
    [
        (lambda x: x * 100, True),
        (lambda x: x * 1e-3, True),
        (lambda x: x * np.array([1, 1, 1e-3, 1, 1, 1]), True),
        (lambda x: x * 0.1 + 5, True),  # far from 0
        (lambda x: x * 3 + 1, False),
        (lambda x: np.where(np.arange(240)[:, None] % 120 == 0, x, 0), False),  # rare features are small on average
    ],
)
def test_scale(change, right):
    assert ("unscaled_inputs" in model().diagnose(change(X).astype(np.float32), Y)) is right


def test_scale_as_the_net_sees_it():
    """What is divided, or normalized, before the first weights is scaled; and so is what only the net blows up, not."""
    pixels = (RANDOM.random((240, 6)) * 255).astype(np.uint8)
    scaled = nn.Sequential(nn.Lambda(lambda v: v * (1 / 255)), nn.Dense(2))
    assert "unscaled_inputs" not in model(scaled).diagnose(pixels.astype(np.float32), Y)
    assert "unscaled_inputs" in model(nn.Dense(2)).diagnose(pixels, Y)
    assert "unscaled_inputs" not in model(nn.Sequential(nn.BatchNorm(), nn.Dense(2))).diagnose(X * 100, Y)
    assert "unscaled_inputs" in model(nn.Sequential(nn.Lambda(lambda v: v * 255), nn.Dense(2))).diagnose(X, Y)


def test_units():
    low = nn.Dense(16, bias_init=lambda key, shape, dtype: nn.init.zeros(key, shape, dtype) - 9)
    found = model(nn.Sequential(low, nn.relu, nn.Dense(2))).diagnose(X, Y)
    assert found["dead_relus"][0].where == "layers.1" and found["dead_relus"][0].value == 1
    large = nn.Dense(16, weight_init=lambda key, shape, dtype: nn.init.glorot_uniform(key, shape, dtype) * 50)
    found = model(nn.Sequential(large, nn.sigmoid, nn.Dense(2))).diagnose(X, Y)
    assert found["saturated_units"][0].where == "layers.1"
    assert "dead_relus" not in model(nn.Sequential(low, nn.elu, nn.Dense(2))).diagnose(X, Y)


def test_activations_within_functions_are_seen():
    def net(x):
        return nn.Dense(2, name="top")(nn.tanh(1000 * nn.Dense(16, name="low")(x)))

    assert model(net).diagnose(X, Y)["saturated_units"][0].where == "top"  # the layer that takes it


@pytest.mark.parametrize("rate, name", [(5.0, "learning_rate_too_high"), (1e-6, "learning_rate_too_low")])
def test_learning_rate(rate, name):
    found = fitted(optimizer=optim.SGD(rate)).diagnose(X, Y)
    assert name in found and "learning_rate=" in found[name][0].fix


def test_a_rate_that_rests_on_a_schedule_is_not_too_low():
    rate = pel.schedules.Cosine(1e-6, epochs=6)
    assert "learning_rate_too_low" not in fitted(optimizer=optim.SGD(rate)).diagnose(X, Y)


def test_shuffled_labels():
    y = RANDOM.permutation(Y)
    assert "shuffled_labels" in model().diagnose(X, y)
    assert "shuffled_labels" not in model().diagnose(X, Y)
    assert "shuffled_labels" not in model().diagnose(X[:30], y[:30])  # too few to tell


def test_leaks():
    train, test = {"x": X[:180], "y": Y[:180]}, {"x": X[170:], "y": Y[170:]}
    (found,) = rows.leaks(train, test, "test")
    assert found.value == pytest.approx(10 / 70) and found.where == "test rows 0, 1, 2, ..."
    assert not list(rows.leaks(train, {"x": X[180:], "y": Y[180:]}, "test"))


def test_twins_by_accident_are_no_leak():
    """A table of few values has equal rows in both parts: no leak, and their labels differ without being wrong."""
    table = RANDOM.integers(0, 3, (400, 3)).astype(np.float32)
    labels = (table[:, 0] + RANDOM.normal(size=400) > 1).astype(int)
    train, test = {"x": table[:300], "y": labels[:300]}, {"x": table[300:], "y": labels[300:]}
    assert not list(rows.leaks(train, test, "test"))
    assert "contradicting_labels" not in model().diagnose(table, labels)
    twice = np.concatenate([X, X[:30]]), np.concatenate([Y, 1 - Y[:30]])
    assert model().diagnose(*twice)["contradicting_labels"][0].value == pytest.approx(30 / 270)


def test_the_target_among_the_columns():
    y = X[:, :1] * 2 + RANDOM.normal(size=(240, 1)).astype(np.float32) * 0.3
    regression = model(nn.Dense(1), loss="mse")
    assert "leaking_feature" not in regression.diagnose(X, y)
    assert regression.diagnose(np.hstack([X, 5 - y]), y)["leaking_feature"][0].where == "column 6"
    assert model().diagnose(np.column_stack([X, 1 - Y]).astype(np.float32), Y)["leaking_feature"][0].severity == "error"
    assert "leaking_feature" not in model(nn.Dense(6), loss="mse").diagnose(X, X)  # an autoencoder


@pytest.mark.parametrize("end", [nn.softmax, nn.relu])
def test_squashed_outputs(end):
    assert "squashed_outputs" in model(nn.Sequential(nn.Dense(2), end)).diagnose(X, Y)


def test_bounded_regression():
    net = nn.Sequential(nn.Dense(1), nn.tanh)
    assert "squashed_outputs" in model(net, loss="mse").diagnose(X, X[:, :1])
    assert "squashed_outputs" not in model(net, loss="mse").diagnose(X, np.tanh(X[:, :1]))


def test_overfitting_is_forgiven_where_the_best_weights_came_back():
    history = {"loss": list(np.geomspace(0.6, 0.01, 20)), "val_loss": [0.6, 0.4, 0.3, *np.linspace(0.32, 0.9, 17)]}
    m = fitted()
    m.history = pel.History(history)
    assert "overfitting" in m.diagnose(X, Y)
    held = RANDOM.normal(size=(100, 6)).astype(np.float32)
    good = (held[:, 0] + held[:, 1] ** 2 > 1).astype(int)
    m.fit(X, Y, epochs=60, verbose=0)
    m.history = pel.History(history)
    assert "overfitting" not in m.diagnose(X, Y, validation_data=(held, good))


def test_small_batches():
    net = nn.Sequential(nn.Dense(4), nn.BatchNorm(), nn.Dense(2))
    assert "small_batch_norm" in model(net).diagnose(X, Y, batch_size=1)
    assert "small_batch_norm" not in model(net).diagnose(X, Y)


def test_the_baseline_is_the_best_constant():
    """For classes the entropy of their shares; for squares the variance; for absolute errors the median's."""
    y = np.repeat([0, 1], [60, 180])
    m = model(input_shape=(6,))
    assert case.Case(m, arrays_of(m, X, y)).baseline == pytest.approx(
        -0.25 * np.log(0.25) - 0.75 * np.log(0.75), rel=1e-5
    )
    t = np.concatenate([np.zeros(180), np.full(60, 4.0)])[:, None].astype(np.float32)
    for loss, expected in (("mse", 3.0), ("mae", 1.0)):
        m = model(nn.Dense(1), loss=loss, input_shape=(6,))
        assert case.Case(m, arrays_of(m, X, t)).baseline == pytest.approx(expected, rel=1e-5)


def test_callback_warns_once_for_each():
    doctor = pel.Doctor(every=2)
    m = model(optimizer=optim.SGD(0.01))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        m.fit(X * 100, Y, epochs=6, callbacks=[doctor], verbose=0)
    assert str(caught[0].message).startswith("warning: unscaled inputs") and caught[0].category is pel.DoctorWarning
    names = [f.name for f in doctor.findings]
    assert len(names) == len(set(names)) == len(caught)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model().fit(X, Y, epochs=4, validation_split=0.2, callbacks=[doctor], verbose=0)
    assert doctor.findings == []


def test_callback_changes_nothing():
    with_it, without = model(), model()
    with_it.fit(X, Y, epochs=5, callbacks=[pel.Doctor(every=1)], verbose=0)
    without.fit(X, Y, epochs=5, verbose=0)
    assert all((with_it.state[name] == a).all() for name, a in without.state.items())
    with pytest.raises(pel.ArgumentError, match="every must be"):
        pel.Doctor(every=0)


def test_findings():
    found = model().diagnose(X * 100, Y)
    assert len(found) == len(list(found)) and str(found).startswith("warning: unscaled inputs")
    with pytest.raises(KeyError, match="no sickness is called 'flu'"):
        found["flu"]
    assert len(ORDER) == len(set(ORDER)) == 19
