"""Each stopping rule on a run made for it: it stops in the epoch it should, and says why."""

import time

import numpy as np
import pytest

import pellucid as pel
from pellucid import ArgumentError, Model, nn, optim
from pellucid.stopping import (
    AllOf,
    AnyOf,
    EarlyStopping,
    Epochs,
    GradientNorm,
    SmallChange,
    StoppingRule,
    Target,
    TimeLimit,
)

X = np.ones((4, 1))


class Script(pel.Callback):
    """Puts numbers of its own in the place of what an epoch reports."""

    def __init__(self, **columns):
        self.columns, self.wait = columns, columns.pop("wait", 0)

    def on_epoch_end(self, epoch, logs=None):
        logs.update({name: values[epoch] for name, values in self.columns.items()})
        time.sleep(self.wait)


def stopped(rule, epochs=10, **columns):
    """After which epoch (from 1) the rule stops a run with these numbers, and why."""
    model = Model(nn.Dense(1), "mse", input_shape=(1,), executor="reference")
    model.fit(X, X, epochs=epochs, callbacks=[Script(**columns), rule], verbose=0)
    return model.epochs, model.stopped


def test_the_maximum():
    assert stopped(Epochs(4)) == (4, "in epoch 4: after 4 epochs")
    assert stopped(Epochs(40)) == (10, "after 10 epochs, as asked")


def bowl():
    """w x with x = 1, E = 1/2 (w - 1)^2 from w = 0: each step halves the way, so that dE/dw = -(1/2)^k."""
    net = nn.Dense(1, bias=False, weight_init=nn.init.zeros)
    return Model(net, "half_squared_error", optim.SGD(0.5), dtype="float64")


@pytest.mark.parametrize("below, epochs", [(0.1, 4), (0.26, 2), (0.5, 2), (0.51, 1)])
def test_a_small_gradient(below, epochs):
    """After k epochs its norm is 2^-k: below 0.1 first at k = 4 (1/16), below 0.26 at 2."""
    model = bowl()
    model.fit(X, X, batch_size=4, epochs=30, callbacks=[GradientNorm(below)], verbose=0)
    assert model.epochs == epochs
    assert model.stopped == f"in epoch {epochs}: the norm of the gradient is {0.5**epochs:.3g}, below {below:g}"


def test_a_small_gradient_is_of_all_samples():
    """Samples that pull to both sides: each mini-batch has a slope, the whole none."""
    x, y = np.ones((8, 1)), np.array([[1.0], [-1.0]] * 4)
    net = nn.Dense(1, bias=False, weight_init=nn.init.zeros)
    model = Model(net, "half_squared_error", optim.SGD(1e-9), dtype="float64")
    model.fit(x, y, batch_size=1, epochs=3, callbacks=[GradientNorm(1e-6)], verbose=0)
    assert model.epochs == 1


def test_a_small_gradient_of_pictures_that_are_cropped():
    x = np.random.default_rng(0).normal(size=(12, 1, 6, 6))
    net = nn.Sequential(nn.Conv(2, 3), nn.BatchNorm(), nn.Flatten(), nn.Dense(2))
    model, rule = Model(net, "cross_entropy"), GradientNorm(1e6)
    callbacks = [rule, pel.AverageWeights()]
    model.fit(x, np.arange(12) % 2, epochs=3, augment=pel.data.Augment(crop=4), callbacks=callbacks, verbose=0)
    _, slopes = model.gradients(x[:, :, 1:5, 1:5], np.arange(12) % 2)
    assert model.epochs == 1
    assert rule.norm == pytest.approx(np.sqrt(sum((g**2).sum() for g in slopes.values())), rel=1e-4)


def test_a_small_change():
    """The loss of epoch k is 1/2 4^(1-k), before its step: it changes by 3/2 4^(1-k), below 0.01 first at k = 5."""
    model = bowl()
    model.fit(X, X, batch_size=4, epochs=30, callbacks=[SmallChange(0.01)], verbose=0)
    assert model.epochs == 5 and "loss changed by 0.00586, less than 0.01" in model.stopped
    losses = [1.0, 0.5, 0.499, 0.3, 0.2999, 0.2998, 0.2997]
    assert stopped(SmallChange(0.01), loss=losses, epochs=7)[0] == 3
    assert stopped(SmallChange(0.01, patience=2), loss=losses, epochs=7)[0] == 6
    assert stopped(SmallChange(0.3, relative=True), loss=[1.0, 0.5, 0.4, 0.1], epochs=4)[0] == 3
    assert stopped(SmallChange(0.15, "error"), error=[1.0, 1.3, 1.2], epochs=3)[0] == 3


def test_the_peak_of_generalization():
    values = [0.5, 0.6, 0.7, 0.65, 0.69, 0.68, 0.9]
    assert stopped(EarlyStopping("val_accuracy", patience=3), val_accuracy=values, epochs=7) == (
        6, "in epoch 6: val_accuracy was best in epoch 3")  # fmt: skip
    late = EarlyStopping("val_loss", patience=2, start_from_epoch=3)
    assert stopped(late, val_loss=[1, 2, 3, 4, 5, 6, 7, 8, 9, 10])[0] == 6


def test_a_target():
    rule = Target(0.9)
    assert stopped(rule, val_accuracy=[0.5, 0.89, 0.9, 1, 1, 1, 1, 1, 1, 1]) == (
        3,
        "in epoch 3: val_accuracy is 0.9, 0.9 was wanted",
    )
    assert stopped(Target(0.1, "loss"), loss=[1, 0.2, 0.11, 0.1, 0, 0, 0, 0, 0, 0])[0] == 4


def test_a_budget_of_time():
    epochs, why = stopped(TimeLimit(0.5), epochs=1000, wait=0.05)
    assert 1 <= epochs <= 10 and "s are used of 0.5" in why
    start = time.perf_counter()
    stopped(TimeLimit(minutes=0.01), epochs=1000, wait=0.05)
    assert time.perf_counter() - start < 20  # not a thousand epochs, which take 50 s


def test_they_combine():
    losses = [1.0, 1.0, 0.5, 0.5, 0.5]
    assert stopped(Epochs(4) & SmallChange(0.01), loss=losses, epochs=5)[0] == 4
    assert stopped(Epochs(3) & SmallChange(0.01), loss=losses, epochs=5)[0] == 4
    epochs, why = stopped(Epochs(3) | SmallChange(0.01), loss=losses, epochs=5)
    assert (epochs, why) == (2, "in epoch 2: loss changed by 0, less than 0.01")
    rule = Epochs(5) | EarlyStopping("loss", patience=1) & Target(0.6, "loss")
    assert isinstance(rule, AnyOf) and isinstance(rule.rules[1], AllOf)
    assert stopped(rule, loss=losses, epochs=5)[0] == 4
    assert repr(rule) == "<after 5 epochs, or loss has not improved for 1 epochs and loss reaches 0.6>"
    with pytest.raises(TypeError, match="combine with stopping rules"):
        Epochs(3) | 3


def test_best_weights_come_back_within_a_combination():
    early = EarlyStopping("val_loss", patience=2)
    model = Model(nn.Dense(1), "mse", input_shape=(1,))
    kept = []

    class Keep(pel.Callback):
        def on_epoch_end(self, epoch, logs=None):
            kept.append(model.parameters)

    script = Script(val_loss=[3, 1, 2, 2.5, 3])
    model.fit(X, X, epochs=5, callbacks=[script, Keep(), early | Epochs(100)], verbose=0)
    assert model.epochs == 4 and all((model.parameters[name] == kept[1][name]).all() for name in kept[1])


def test_a_rule_of_a_users_own():
    class Often(StoppingRule):
        def met(self, epoch, logs):
            return "it is the fifth" if epoch == 4 else None

    assert stopped(Often()) == (5, "in epoch 5: it is the fifth")


def test_a_second_fit_begins_anew():
    model, rule = bowl(), Epochs(2)
    for done in (2, 4):
        model.fit(X, X, epochs=9, callbacks=[rule], verbose=0)
        assert model.epochs == done
    model.fit(X, X, verbose=0)
    assert model.epochs == 5 and model.stopped == "after 1 epochs, as asked" and model.training is None


def test_plateau():
    """Two epochs without a gain: the rate falls to a fifth, waits for the cool-down, and stops at the least."""
    rates = []

    class Rates(pel.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rates.append(round(self.model.learning_rate, 6))

    plateau = pel.ReduceLROnPlateau("loss", factor=0.2, patience=2, cooldown=1, min_lr=0.005, min_delta=0.0)
    model = Model(nn.Dense(1), "mse", optim.SGD(0.1), input_shape=(1,))
    losses = [1.0, 0.9, 0.9, 0.95, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]
    model.fit(X, X, epochs=12, callbacks=[Script(loss=losses), plateau, Rates()], verbose=0)
    assert rates == [0.1, 0.1, 0.1, 0.02, 0.02, 0.02, 0.005, 0.005, 0.005, 0.005, 0.005, 0.005]


def test_averages_of_weights():
    """The mean over the ends of epochs 3 to 5, and batch normalization's statistics of those weights."""
    x, y = np.random.default_rng(0).normal(size=(2, 40, 3))
    ends = []

    class Keep(pel.Callback):
        def on_epoch_end(self, epoch, logs=None):
            ends.append(self.model.parameters)

    net = nn.Sequential(nn.Dense(4), nn.BatchNorm(momentum=0.5), nn.relu, nn.Dense(3))
    model = Model(net, "mse", optim.SGD(0.3), dtype="float64")
    model.fit(x, y, epochs=5, batch_size=8, callbacks=[Keep(), pel.AverageWeights(start=2)], verbose=0)
    found = model.parameters
    for name in ("layers.0.weight", "layers.3.bias"):
        np.testing.assert_allclose(found[name], np.mean([e[name] for e in ends[2:]], axis=0), rtol=1e-12)
    statistics = [
        name for name in found if name not in [n for n, _ in model.network.built().parameters.items() if _.trainable]
    ]
    assert statistics
    inner = x @ found["layers.0.weight"].T + found["layers.0.bias"]
    mean, expected = found["layers.1.moving_mean"], ends[-1]["layers.1.moving_mean"]
    for start in range(0, 40, 8):
        expected = 0.5 * expected + 0.5 * inner[start : start + 8].mean(axis=0)
    np.testing.assert_allclose(mean, expected, rtol=1e-9)


BAD = {
    "patience": (lambda: EarlyStopping(patience=0), "EarlyStopping: patience must be a whole number >= 1"),
    "below": (lambda: GradientNorm(0), "GradientNorm: below must be a number > 0, got 0"),
    "change": (lambda: SmallChange(-1), "SmallChange: below must be a number > 0"),
    "epochs": (lambda: Epochs(0), "Epochs: epochs must be a whole number >= 1"),
    "no time": (lambda: TimeLimit(), "TimeLimit: the time must be seconds=... or minutes=..., one of them"),
    "time": (lambda: TimeLimit(-3), "TimeLimit: the time must be a number > 0, got -3"),
    "factor": (lambda: pel.ReduceLROnPlateau(factor=1), r"ReduceLROnPlateau: factor must be a number in \(0, 1\)"),
    "plateau": (lambda: pel.ReduceLROnPlateau(patience=0), "patience must be a whole number >= 1"),
    "mode": (lambda: Target(1, mode="up"), "Target: mode must be one of 'auto', 'min' or 'max', got 'up'"),
    "start": (lambda: pel.AverageWeights(-1), "AverageWeights: start must be a whole number >= 0"),
}


@pytest.mark.parametrize("make, text", BAD.values(), ids=list(BAD))
def test_refused(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()
