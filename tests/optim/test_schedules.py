"""Schedules against their formulas in plain Python, in steps and in epochs, and what training makes of them."""

import math

import numpy as np
import pytest

import pellucid as pel
from pellucid import ArgumentError, GraphError, Model, nn, optim, schedules
from pellucid.executors import native, reference
from pellucid.ops import cast
from pellucid.schedules import Clock

T = np.arange(0, 31)
COSINE = [0.1 * (0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi * min(t, 20) / 20))) for t in T]


def one_cycle(t, peak=1.0, length=20, warm=0.3):
    """As in PyTorch's OneCycleLR, but in continuous time."""
    ends = (peak / 25, peak, t / (warm * length)) if t < warm * length else (
        peak, peak / 25e4, (t - warm * length) / (length - warm * length))  # fmt: skip
    first, last, part = ends
    return last + (first - last) / 2 * (1 + math.cos(math.pi * min(part, 1)))


CASES = {
    "constant": (schedules.Constant(0.3), [0.3 for _ in T]),
    "step": (schedules.Step(0.1, 0.5, steps=10), [0.1 * 0.5 ** (t // 10) for t in T]),
    "piecewise": (
        schedules.Piecewise((0.5, 0.9, 0.2), steps=(5, 12)),
        [0.5 if t < 5 else 0.9 if t < 12 else 0.2 for t in T],
    ),
    "exponential": (schedules.Exponential(0.1, 0.9, steps=4), [0.1 * 0.9 ** (t / 4) for t in T]),
    "inverse time": (schedules.InverseTime(0.1, 0.5, steps=3), [0.1 / math.sqrt(1 + t / 3) for t in T]),
    "cosine": (schedules.Cosine(0.1, 0.2, steps=20), COSINE),
    "one cycle": (schedules.OneCycle(1.0, steps=20), [one_cycle(t) for t in T]),
    "warm-up": (
        schedules.WarmUp(schedules.Step(0.1, 0.1, steps=10), 0.2, steps=5),
        [0.1 * (0.2 + 0.8 * t / 5) if t < 5 else 0.1 * 0.1 ** ((t - 5) // 10) for t in T],
    ),
    "function": (schedules.Function(2.0, lambda t: 1 / (1 + t), steps=2), [2 / (1 + t / 2) for t in T]),
}


def values(schedule, executor=reference, dtype="float64"):
    steps = pel.state("steps", (), "int32")
    factor = schedule.at(Clock(cast(steps, dtype)))
    run = executor.compile(pel.Program([], {"value": schedule.start * factor}, {}))
    return np.array([run({"steps": np.int32(t)})["value"] for t in T])


@pytest.mark.parametrize("schedule, expected", CASES.values(), ids=list(CASES))
def test_values(schedule, expected):
    np.testing.assert_allclose(values(schedule), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(values(schedule, native, "float32"), expected, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_epochs_and_steps_are_the_same_time(executor):
    """30 samples in batches of 8 are 4 steps an epoch: down to a tenth after 8 steps or 2 epochs."""
    x, y = np.ones((30, 1)), np.ones((30, 1))
    found = []
    for length in ({"steps": 8}, {"epochs": 2}):
        model = Model(nn.Dense(1), "mse", optim.SGD(schedules.Step(0.1, 0.1, **length)), executor=executor)
        rates = []
        for _ in range(5):
            model.fit(x, y, batch_size=8, verbose=0)
            rates.append(model.learning_rate)
        found.append((rates, model.parameters["weight"].item()))
    np.testing.assert_allclose(found[0][0], [0.1, 0.01, 0.01, 1e-3, 1e-3], rtol=1e-6)
    assert found[0] == found[1]


LENGTHS = {
    "step": lambda **t: schedules.Step(0.1, ratio=0.5, **t),
    "exponential": lambda **t: schedules.Exponential(0.1, ratio=0.5, **t),
    "inverse time": lambda **t: schedules.InverseTime(0.1, **t),
    "cosine": lambda **t: schedules.Cosine(0.1, end=0.1, **t),
    "one cycle": lambda **t: schedules.OneCycle(0.1, **t),
    "warm-up": lambda **t: schedules.WarmUp(schedules.Step(0.1, ratio=0.5, **t), begin=0.1, **t),
    "piecewise": lambda **t: schedules.Piecewise(
        (0.5, 0.25, 0.1), **{k: (n, 2 * n) for k, n in t.items()}
    ),
    "function": lambda **t: schedules.Function(0.1, lambda t: 1 / (1 + t), **t),
}  # fmt: skip


class Rates(pel.Callback):
    """The rate that the model says before each epoch."""

    def on_train_begin(self, logs=None):
        self.said = []

    def on_epoch_begin(self, epoch, logs=None):
        self.said.append(self.model.learning_rate)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LENGTHS)
def test_the_rate_that_is_said_is_the_one_that_is_used(name, dtype):
    """A gradient of 1 moves a weight by the rate: for random numbers of steps an epoch and lengths, in both units."""
    rng = np.random.default_rng(len(name))
    loss = lambda y, t: pel.ops.sum(y * 1.0 - t * 0)
    for unit in ("epochs", "steps"):
        for _ in range(2):
            steps, length = int(rng.integers(1, 12)), int(rng.integers(1, 5))
            net = nn.Dense(1, bias=False, weight_init=nn.init.zeros)
            sgd = optim.SGD(LENGTHS[name](**{unit: length if unit == "epochs" else length * steps}))
            executor = str(rng.choice(["native", "reference"]))
            model, rates = Model(net, loss, sgd, dtype=dtype, executor=executor, input_shape=(1,)), Rates()
            x = np.zeros((steps, 1))
            for _ in range(2 * length + 2):
                one = x.copy()
                one[0] = 1  # only the first step of the epoch has a gradient
                model.set_parameters({"weight": [[0.0]]})
                model.fit(one, x, batch_size=1, shuffle=False, callbacks=[rates], verbose=0)
                moved = -model.parameters["weight"].item()
                assert rates.said == [pytest.approx(moved, rel=1e-9 if dtype == "float64" else 3e-5, abs=1e-12)]


def test_a_rate_that_is_set_at_the_end_of_an_epoch_is_used():
    """It used to be halved again: after three epochs of seven steps a float32 clock stood at 2.9999998."""
    x, y = np.zeros((7, 1)), np.zeros((7, 1))
    loss = lambda y, t: pel.ops.sum(y * 1.0 - t * 0)
    net = nn.Dense(1, bias=False, weight_init=nn.init.zeros)
    model = Model(net, loss, optim.SGD(schedules.Step(0.1, ratio=0.5, epochs=3)))
    model.fit(x, y, batch_size=1, epochs=3, verbose=0)
    assert model.learning_rate == pytest.approx(0.05, rel=1e-9)
    model.learning_rate = 0.02
    model.fit(np.ones((1, 1)), y[:1], verbose=0)
    assert model.parameters["weight"].item() == pytest.approx(-0.02, rel=1e-6)


@pytest.mark.parametrize("unit", [{"epochs": 3}, {"steps": 21}])
def test_a_log_has_the_rate_that_was_used(unit, tmp_path):
    """That of an epoch's last step, also where a callback before the log has changed it since."""
    loss = lambda y, t: pel.ops.sum(y * 1.0 - t * 0)
    net = nn.Dense(1, bias=False, weight_init=nn.init.zeros)
    model = Model(net, loss, optim.SGD(schedules.Step(0.1, ratio=0.5, **unit)), dtype="float64", input_shape=(1,))
    last, moved = np.zeros((7, 1)), []
    last[6] = 1  # the gradient is that of the last step alone

    class Moved(pel.Callback):
        def on_epoch_end(self, epoch, logs=None):
            moved.append(-self.model.parameters["weight"].item())
            self.model.set_parameters({"weight": [[0.0]]})

    plateau = pel.ReduceLROnPlateau("loss", 0.1, patience=4, min_delta=100)
    log = pel.CSVLogger(tmp_path / "log.csv")
    model.fit(last, last, batch_size=1, shuffle=False, epochs=9, callbacks=[Moved(), plateau, log], verbose=0)
    rows = [line.split(",") for line in (tmp_path / "log.csv").read_text().splitlines()]
    logged = [float(row[rows[0].index("learning_rate")]) for row in rows[1:]]
    assert logged == pytest.approx(moved, rel=1e-9) and logged[2:4] == pytest.approx([0.1, 0.05])
    assert len(set(np.round(logged, 9))) == 4


@pytest.mark.parametrize("steps", [7, 60_000, 3_000_000])
def test_a_change_comes_at_its_step_and_at_no_other(steps):
    """The last step of an epoch and the first of the next, late in a training of many steps an epoch."""
    for schedule, at in (
        (schedules.Step(0.1, ratio=0.5, epochs=3), 300),
        (schedules.Step(0.1, ratio=0.5, epochs=0.7), 7),
        (schedules.Piecewise((0.1, 0.05), epochs=(700,)), 700),
        (schedules.WarmUp(schedules.Step(0.1, ratio=0.5, epochs=100), epochs=100), 300),
    ):
        clock = Clock(pel.state("optimizer.step", (), "int32"), "float32")
        program = pel.Program([], {"factor": schedule.at(clock)}, clock.updates)
        for executor in (reference, native):
            state = {
                "optimizer.step": np.int32(0),
                "optimizer.epochs": np.int32(at - 1),
                "optimizer.epoch_steps": np.int32(steps - 2),
                "optimizer.steps_per_epoch": np.int32(steps),
            }
            run = executor.compile(program)
            found = [run(state)["factor"].item() for _ in range(4)]
            assert found[0] == found[1] and found[2] == found[3]
            assert found[2] == pytest.approx(found[1] / 2, rel=1e-6)


def test_a_momentum_by_epochs_while_a_rate_is_searched():
    x, y = np.random.default_rng(0).normal(size=(2, 20, 3))
    changing, steady = (
        Model(nn.Dense(3), "mse", optim.SGD(0.1, momentum=m), input_shape=(3,)).find_learning_rate(x, y).losses
        for m in (schedules.Piecewise((0.5, 0.9), epochs=(50,)), 0.5)
    )
    np.testing.assert_array_equal(changing, steady)


def test_a_rate_is_searched_a_step_a_rate():
    x, y = np.random.default_rng(0).normal(size=(2, 20, 3))
    often, once = (
        Model(nn.Dense(3), "mse", optim.SGD(0.1, gradient_accumulation_steps=k), input_shape=(3,))
        .find_learning_rate(x, y, batch_size=4)
        .losses
        for k in (4, None)
    )
    np.testing.assert_array_equal(often, once)


def test_a_fit_goes_on_where_the_schedule_was(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(2, 40, 3))
    made = lambda: Model(nn.Dense(3), "mse", optim.Adam(schedules.Cosine(0.1, epochs=6)), seed=1)
    whole, parts = made(), made()
    whole.fit(x, y, epochs=6, verbose=0)
    parts.fit(x, y, epochs=2, verbose=0)
    parts.save(tmp_path / "half.pel")
    again = pel.load(tmp_path / "half.pel")
    assert again.optimizer == whole.optimizer
    again.fit(x, y, epochs=4, verbose=0)
    assert all((again.state[name] == a).all() for name, a in whole.state.items())


def test_the_lectures_momentum():
    """0.5 in the first two epochs, then 0.9, on a gradient of 1: v' = m v - rate."""
    net, one = nn.Dense(1, bias=False, weight_init=nn.init.zeros), np.ones((1, 1))
    loss = lambda y, t: pel.ops.sum(y * 1.0 - t * 0)
    sgd = optim.SGD(0.1, momentum=optim.lecture_momentum(2))
    model, v, w = Model(net, loss, sgd, dtype="float64"), 0.0, 0.0
    for epoch in range(5):
        model.fit(one, one, verbose=0)
        v = (0.5 if epoch < 2 else 0.9) * v - 0.1
        w += v
        assert model.parameters["weight"].item() == pytest.approx(w, rel=1e-12)
    steady = optim.SGD(0.1, momentum=schedules.Constant(0.5), nesterov=True)
    assert steady.slot_names == ("velocity",)


def test_the_learning_rate_may_be_set():
    model = Model(nn.Dense(1), "mse", optim.SGD(schedules.Step(0.2, steps=1)), input_shape=(1,))
    model.learning_rate = 0.5
    assert model.learning_rate == pytest.approx(0.5)
    model.fit(np.ones((4, 1)), np.ones((4, 1)), batch_size=4, verbose=0)
    assert model.learning_rate == pytest.approx(0.05)
    model.learning_rate = 0.5
    assert model.learning_rate == pytest.approx(0.5)
    with pytest.raises(ArgumentError, match="learning_rate must be a number > 0, got 0"):
        model.learning_rate = 0


def test_a_schedule_at_zero():
    """The last step of a cosine, the first of a warm-up: nothing is divided by it."""
    x, y = np.random.default_rng(0).normal(size=(2, 20, 3))
    plateau = pel.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=100)
    model = Model(nn.Dense(3), "mse", optim.SGD(schedules.Cosine(0.1, epochs=2)))
    model.fit(x, y, epochs=4, callbacks=[plateau], verbose=0)
    assert model.learning_rate == pytest.approx(0, abs=1e-9)
    assert model.state["optimizer.learning_rate"] == pytest.approx(0.1 / 8)  # after epochs 2, 3 and 4
    model.fit(x, y, epochs=2, verbose=0)
    warm = Model(nn.Dense(3), "mse", optim.SGD(schedules.WarmUp(0.1, epochs=2)), input_shape=(3,))
    assert warm.learning_rate == 0
    with pytest.raises(GraphError, match="schedule is at 0 now"):
        warm.learning_rate = 0.1
    plain = Model(nn.Dense(3), "mse", optim.SGD(0.1), input_shape=(3,))
    np.testing.assert_array_equal(warm.find_learning_rate(x, y).losses, plain.find_learning_rate(x, y).losses)
    assert list(warm.state) == list(plain.state) == ["weight", "bias"]


BAD = {
    "no length": (lambda: schedules.Cosine(0.1), "Cosine: give its length as epochs=... or as steps=..., got none"),
    "both": (lambda: schedules.Cosine(0.1, epochs=1, steps=2), "got both"),
    "length": (lambda: schedules.Step(0.1, steps=0), "Step: steps must be a number > 0, got 0"),
    "start": (lambda: schedules.Cosine(-1, steps=2), "start must be a number > 0, got -1"),
    "ratio": (lambda: schedules.Exponential(1, ratio=0, steps=2), "ratio must be a number > 0"),
    "end": (lambda: schedules.Cosine(1, end=2, steps=2), "Cosine: end must be a number in .*share of the start"),
    "boundaries": (
        lambda: schedules.Piecewise((1, 2, 3), steps=(5, 4)),
        "steps must be 2 rising boundaries between 3 values",
    ),
    "values": (lambda: schedules.Piecewise((1,), steps=()), "two or more numbers > 0"),
    "warm": (
        lambda: schedules.OneCycle(1, warm=1, steps=3),
        r"warm must be a number in \(0, 1\), got 1; it is a share of the length",
    ),
    "units": (
        lambda: schedules.WarmUp(schedules.Cosine(1, epochs=3), steps=3),
        "steps must be given as epochs=..., the unit of the other schedule, got 3",
    ),
    "momentum": (lambda: optim.SGD(0.1, momentum=schedules.Piecewise((0.5, 1.0), steps=(2,))), r"in \[0, 1\)"),
}


@pytest.mark.parametrize("make, text", BAD.values(), ids=list(BAD))
def test_refused(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()
