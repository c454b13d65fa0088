"""Checkpoints: a fit that goes on ends with the same bits; what cannot go on is told."""

import errno
import json

import killed
import numpy as np
import pytest

import pellucid as pel
from pellucid import nn, optim, stopping
from pellucid.train import checkpoint, container, fingerprint, saving
from pellucid.train.batches import FitPosition

X, Y = np.random.default_rng(0).normal(size=(50, 4)).astype("float32"), np.arange(50) % 3


def model_of(net=None, optimizer=None, seed=0, metrics=("accuracy",), **options):
    net = net or nn.Sequential(nn.Dense(6), nn.tanh, nn.Dropout(0.2), nn.Dense(3))
    return pel.Model(net, "cross_entropy", optimizer or optim.Adam(0.05), metrics, seed=seed, **options)


def fit(folder, model=None, callbacks=(), x=X, y=Y, steps=4, resume=True, **options):
    model = model or model_of()
    options = {"epochs": 4, "batch_size": 8, "verbose": 0} | options
    model.fit(x, y, callbacks=[pel.Checkpoint(folder, steps=steps), *callbacks], resume=resume, **options)
    return model


def bits(model):
    return {name: a.tobytes() for name, a in model.state.items()} | {"history": model.history.columns}


class Interrupted(BaseException):
    pass


@pytest.fixture
def interrupted(monkeypatch):
    """A context in which a fit breaks off after its n-th checkpoint is written."""

    def within(n, run):
        write, written = checkpoint.Checkpoint.write, []

        def counted(self, place, callbacks):
            write(self, place, callbacks)
            written.append(place.step)
            if len(written) == n:
                raise Interrupted

        with monkeypatch.context() as m:
            m.setattr(checkpoint.Checkpoint, "write", counted)
            with pytest.raises(Interrupted):
                run()

    return within


# ---- going on -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", killed.CASES)
def test_goes_on_to_the_same_bits(case, tmp_path, interrupted):
    """Interrupted twice, within epochs and between them; and the checkpoints themselves change no weight."""

    def run(folder, often=None, resume=True):
        model, data, options = killed.CASES[case](tmp_path / folder, **(often or {"steps": 10, "epochs": 2}))
        model.fit(*data, verbose=0, resume=resume, **options)
        return bits(model)

    whole = run("whole")
    interrupted(3, lambda: run("cut"))
    interrupted(2, lambda: run("cut"))
    assert run("cut") == whole
    rare = run("rare", {"epochs": 1000})
    assert {k: v for k, v in rare.items() if k != "history"} == {k: v for k, v in whole.items() if k != "history"}


MEMORIES = {
    "a plateau": (lambda: [pel.ReduceLROnPlateau("loss", patience=1, min_delta=0.05, factor=0.5)], {}),
    "averages": (lambda: [pel.AverageWeights(start=1)], {}),
    "rules": (lambda: [pel.EarlyStopping("loss", patience=2) | stopping.SmallChange(1e-3) & stopping.Epochs(3)], {}),
    "L-BFGS": (list, {"optimizer": optim.LBFGS(), "batch_size": "all"}),
    "a moving average": (list, {"optimizer": optim.Adam(0.01, use_ema=True)}),
    "accumulation": (list, {"optimizer": optim.Lion(0.01, gradient_accumulation_steps=3)}),
    "sums in arrays": (list, {"metrics": ["accuracy", "f1_macro", "cohen_kappa", "top_2_accuracy"]}),
    "penalties": (list, {"regularizer": nn.L2(1e-2), "constraint": nn.MaxNorm(2.0)}),
    "mixed samples": (list, {"augment": pel.data.Mixup(0.3)}),
    "NumPy": (list, {"executor": "reference"}),
    "float64": (list, {"dtype": "float64"}),
    "weights of samples": (list, {"sample_weight": np.linspace(0.5, 1.5, 50)}),
}


@pytest.mark.parametrize("what", MEMORIES)
def test_what_remembers(what, tmp_path, interrupted):
    callbacks, options = MEMORIES[what]
    own = {
        k: options[k]
        for k in ("optimizer", "executor", "dtype", "metrics", "regularizer", "constraint")
        if k in options
    }
    rest = {k: v for k, v in options.items() if k not in own}
    net = nn.Sequential(nn.Dense(6), nn.tanh, nn.Dense(3))

    def run(folder):
        steps = 1 if what == "L-BFGS" else 4  # there is one an epoch
        return bits(fit(tmp_path / folder, model_of(net, **own), callbacks(), steps=steps, **rest))

    whole = run("whole")
    interrupted(4, lambda: run("cut"))
    assert run("cut") == whole


def test_time_that_was_used_counts(tmp_path, interrupted):
    interrupted(3, lambda: fit(tmp_path, callbacks=[stopping.TimeLimit(minutes=5)]))
    limit = stopping.TimeLimit(minutes=5)
    limit.on_train_begin()
    before = limit.start
    limit.load_state_dict({"used": 100.0, "longest": 2.0})
    assert limit.start == pytest.approx(before - 100, abs=1) and limit.longest == 2
    assert fit(tmp_path, callbacks=[limit]).history.epochs == 4


def test_a_finished_fit_is_not_gone_on_with(tmp_path):
    first = fit(tmp_path)
    files = sorted(path.name for path in tmp_path.iterdir())
    again = fit(tmp_path)
    assert bits(again) == bits(first) and again.stopped == first.stopped
    assert sorted(path.name for path in tmp_path.iterdir()) == files
    stopped = fit(tmp_path / "stopped", callbacks=[stopping.Epochs(2)])
    assert bits(fit(tmp_path / "stopped", callbacks=[stopping.Epochs(2)])) == bits(stopped)
    assert stopped.stopped == "in epoch 2: after 2 epochs"


def test_more_epochs(tmp_path):
    fit(tmp_path / "a", epochs=2)
    assert bits(fit(tmp_path / "a", epochs=5)) == bits(fit(tmp_path / "b", epochs=5))


def test_the_same_model_goes_on(tmp_path, interrupted):
    """In a notebook: the cell is run again."""
    model = model_of()
    interrupted(4, lambda: fit(tmp_path / "a", model))
    assert bits(fit(tmp_path / "a", model)) == bits(fit(tmp_path / "b"))


def test_changed_intervals(tmp_path, interrupted):
    interrupted(4, lambda: fit(tmp_path / "a", steps=5))
    a, b = fit(tmp_path / "a", steps=3), fit(tmp_path / "b", steps=5)
    assert all((a.state[name] == b.state[name]).all() for name in b.state)
    assert a.history["loss"] == pytest.approx(b.history["loss"], rel=1e-12)


def test_further_fits_have_folders_of_their_own(tmp_path):
    def two(model, folder):
        fit(tmp_path / folder / "1", model, epochs=2)
        return fit(tmp_path / folder / "2", model, epochs=2)

    whole = two(model_of(), "a")
    assert whole.history.epochs == 4 and bits(two(model_of(), "a")) == bits(whole)
    with pytest.raises(pel.GraphError, match="is of a later fit: that began after 2 epochs of the model, this one"):
        fit(tmp_path / "a" / "2", epochs=2)


# ---- files ----------------------------------------------------------------------------------------------------------


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_which_stay(tmp_path):
    """7 steps an epoch: 28 in all."""
    fit(tmp_path / "a", steps=5)
    assert names(tmp_path / "a") == ["step-000000020.pel", "step-000000025.pel", "step-000000028.pel"]
    many = pel.Checkpoint(tmp_path / "b", epochs=3, keep=None)
    model_of().fit(X, Y, epochs=7, batch_size=8, callbacks=[many], verbose=0)
    assert names(tmp_path / "b") == [f"step-{n:09d}.pel" for n in (0, 21, 42, 49)]
    model_of().fit(X, Y, epochs=2, batch_size=8, callbacks=[pel.Checkpoint(tmp_path / "c")], verbose=0)
    assert names(tmp_path / "c") == [f"step-{n:09d}.pel" for n in (0, 7, 14)]


def test_by_the_clock(tmp_path, monkeypatch):
    """The clock is looked at after so many steps and after epochs, and decides only what is written."""
    monkeypatch.setattr(checkpoint, "LOOK", 5)
    clock = iter(range(0, 10_000, 20))  # each look is 20 seconds after the last
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: next(clock))
    keeper = pel.Checkpoint(tmp_path, minutes=1, keep=None)
    model = model_of()
    model.fit(X, Y, epochs=4, batch_size=8, callbacks=[keeper], verbose=0)
    assert names(tmp_path) == [f"step-{n:09d}.pel" for n in (0, 10, 20, 28)]  # looks at 5 7 10, 14 15 20, 21 25 28
    monkeypatch.undo()
    plain = model_of()
    plain.fit(X, Y, epochs=4, batch_size=8, verbose=0)
    assert all((plain.state[name] == model.state[name]).all() for name in plain.state)


def test_best(tmp_path):
    keeper = pel.Checkpoint(tmp_path, best="val_accuracy")
    model = model_of()
    model.fit(X, Y, epochs=12, validation_split=0.4, callbacks=[keeper], verbose=0)
    best = pel.load(tmp_path / "best.pel")
    found = model.history["val_accuracy"]
    assert best.epochs == found.index(max(found)) + 1 and best.history["val_accuracy"][-1] == max(found)
    with pytest.raises(pel.GraphError, match="Checkpoint watches 'val_loss', but the epoch reports loss, accuracy; gi"):
        model_of().fit(X, Y, callbacks=[pel.Checkpoint(tmp_path / "b", best="val_loss")], verbose=0)


def test_a_checkpoint_is_a_model(tmp_path):
    model = fit(tmp_path)
    assert (pel.load(tmp_path / "step-000000028.pel").predict(X) == model.predict(X)).all()


def test_a_net_that_cannot_be_saved(tmp_path, interrupted):
    def unnamed():
        return model_of(nn.Sequential(nn.Dense(5), lambda v: v * v, nn.Dense(3)))

    interrupted(3, lambda: fit(tmp_path / "a", unnamed()))
    assert bits(fit(tmp_path / "a", unnamed())) == bits(fit(tmp_path / "b", unnamed()))
    with pytest.raises(pel.DataError, match=r"a net that cannot be saved .*lambda.*resume=True"):
        pel.load(tmp_path / "a" / "step-000000028.pel")


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "a model"])
def test_damaged_by_others(damage, tmp_path, interrupted):
    interrupted(5, lambda: fit(tmp_path / "a"))
    last = sorted((tmp_path / "a").glob("step-*.pel"))[-1]
    data = bytearray(last.read_bytes())
    if damage == "flipped":
        data[-5] ^= 1
    last.write_bytes(data[: {"cut": -7, "empty": 0}.get(damage)])
    if damage == "a model":
        model_of(input_shape=(4,)).save(last)
    with pytest.warns(UserWarning, match=f"{last.name}.*going back to the checkpoint before it"):
        model = fit(tmp_path / "a")
    assert bits(model) == bits(fit(tmp_path / "b"))
    assert (tmp_path / "a" / last.with_suffix(".damaged").name).exists()


def test_all_are_damaged(tmp_path):
    fit(tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(b"x")
    with pytest.warns(UserWarning), pytest.raises(pel.DataError, match=r"all 3 checkpoints in .* are damaged; delete"):
        fit(tmp_path)


def test_a_full_disk(tmp_path, monkeypatch):
    """At the beginning it is an error; later the training is worth more."""
    write = saving.write

    def full(path, *rest):
        if path.name != "step-000000000.pel":
            raise OSError("No space left on device")
        write(path, *rest)

    monkeypatch.setattr(saving, "write", full)
    with pytest.warns(UserWarning, match="could not be written .No space.* the last checkpoint is step-000000000"):
        fit(tmp_path / "a")
    (tmp_path / "b").write_text("a file")
    with pytest.raises(FileExistsError):
        fit(tmp_path / "b")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_under_the_best(failing, tmp_path, monkeypatch):
    """Training goes on, told which file could not be written; when there is room again the best is written."""
    calls, real = [], getattr(container.os, failing)

    def full(*arguments):
        calls.append(arguments)
        if 4 <= len(calls) < 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(container.os, failing, full)
    with pytest.warns(UserWarning, match=r"best\.pel.*could not be written .*No space left on device"):
        keeper = pel.Checkpoint(tmp_path, best="loss")
        model = model_of(nn.Dense(3), optim.SGD(0.05))
        model.fit(X, Y, epochs=20, batch_size=8, callbacks=[keeper], verbose=0)
    assert model.epochs == 20 and not list(tmp_path.glob(".*"))
    assert pel.load(tmp_path / "best.pel").epochs == 20


def test_an_error_of_the_disk_names_the_file(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    model = model_of(input_shape=(4,))
    monkeypatch.setattr(container.os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*m\.pel'") as caught:
        model.save(tmp_path / "m.pel")
    assert caught.value.errno == errno.ENOSPC


def test_weights_that_are_not_finite_are_not_written(tmp_path):
    """The checkpoint before them stays, and the best model too."""
    keeper = pel.Checkpoint(tmp_path, best="loss")
    model = model_of()
    model.fit(X, Y, epochs=2, batch_size=8, callbacks=[keeper], verbose=0)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    model.state["layers.3.weight"][0, 1] = np.nan
    keeper.best_value = np.inf
    with pytest.warns(UserWarning, match=r"'layers\.3\.weight' has NaN or infinity in 1 of 18 numbers") as told:
        keeper.on_epoch_end(2, {"loss": 0.5})
        keeper.write(FitPosition(3, 21, 21), [])
    assert len(told) == 2 and keeper.best_value == np.inf
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


RECORDS = {
    "no place": lambda record: record.pop("place"),
    "a place that is none": lambda record: record.update(place=3),
    "a place of other fields": lambda record: record["place"]["dict"].update(color=1),
    "a place of half a step": lambda record: record["place"]["dict"].update(step=1.5),
    "a place before the first": lambda record: record["place"]["dict"].update(rows=-1),
    "no fit": lambda record: record.pop("fit"),
    "a fit of other fields": lambda record: record.update(fit={"net": {}}),
    "no callbacks": lambda record: record.pop("callbacks"),
    "callbacks of numbers": lambda record: record.update(callbacks=[1]),
    "history of text": lambda record: record.update(history={"loss": "x"}),
    "epochs of text": lambda record: record.update(epochs="3"),
    "stopping of text": lambda record: record.update(stopping="x"),
}


@pytest.mark.parametrize("change", [*RECORDS.values(), "array", "state"], ids=[*RECORDS, "an array", "the state"])
def test_a_record_that_cannot_be(change, tmp_path):
    """As if it were written so, with a right checksum: the fit goes on from the one before."""
    expected = fit(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", callbacks=[StopAfter(1)])
    path = pel.Checkpoint(tmp_path / "cut").files()[0]
    tensors, description = saving.read(path)
    if change == "array":
        tensors["state.layers.0.weight"] = tensors["state.layers.0.weight"].T.copy()
    elif change == "state":
        del tensors["state.optimizer.v.layers.0.weight"]
    else:
        change(description["checkpoint"])
    saving.write(path, tensors, description)
    with pytest.warns(UserWarning, match="is damaged.*going back to the checkpoint before it"):
        again = fit(tmp_path / "cut")
    assert {k: a.tobytes() for k, a in again.state.items()} == {k: a.tobytes() for k, a in expected.state.items()}


class StopAfter(pel.Callback):
    """Interrupts a fit at the end of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def test_what_a_killed_writer_left_is_removed(tmp_path):
    (tmp_path / ".step-000000005.pel.123.part").write_bytes(b"half")
    fit(tmp_path)
    assert not list(tmp_path.glob(".*"))


# ---- what does not fit ----------------------------------------------------------------------------------------------

OTHERS = {
    "another width": (
        {"model": lambda: model_of(nn.Sequential(nn.Dense(7), nn.tanh, nn.Dropout(0.2), nn.Dense(3)))},
        r"a net of another architecture: parameter 'layers.0.bias' is float32 \(6,\) in it, float32 \(7,\) here. Make",
    ),
    "another net": ({"model": lambda: model_of(nn.Dense(3))}, "'layers.0.bias' is float32 .6,. in it, absent here"),
    "a rate": ({"model": lambda: model_of(optimizer=optim.Adam(0.1))}, r"arguments: optimizer is Adam\(.*=0.05.*=0.1"),
    "an optimizer": ({"model": lambda: model_of(optimizer="lion")}, "absent here"),
    "an activation": (
        {"model": lambda: model_of(nn.Sequential(nn.Dense(6), nn.relu, nn.Dropout(0.2), nn.Dense(3)))},
        "is of another net: other layers, or other options of theirs. Make the fit as it was, or give Checkpoint",
    ),
    "a dropout": (
        {"model": lambda: model_of(nn.Sequential(nn.Dense(6), nn.tanh, nn.Dropout(0.3), nn.Dense(3)))},
        "is of another net: other layers",
    ),
    "a seed": ({"model": lambda: model_of(seed=1)}, "seed is 0 in it, 1 here"),
    "float64": ({"model": lambda: model_of(dtype="float64")}, "is float32 .* in it, float64"),
    "an executor": ({"model": lambda: model_of(executor="reference")}, "executor is native in it, reference here"),
    "a batch": ({"batch_size": 10}, "batch_size is 8 in it, 10 here"),
    "a penalty": ({"model": lambda: model_of(regularizer=nn.L2(0.1))}, "is absent in it"),
    "an order": ({"shuffle": False}, "shuffle is True in it, False here"),
    "more samples": ({"x": X[:40], "y": Y[:40]}, r"other data: training x is float32 \(50, 4\) in it, float32 \(40"),
    "other numbers": ({"x": X + 1e-6}, "a fit on other data: training x has the same shape, but other numbers"),
    "other targets": ({"y": (Y + 1) % 3}, "training y has the same shape, but other numbers"),
    "validation": ({"validation_data": (X, Y)}, "validation x is absent in it"),
    "weights": ({"sample_weight": np.ones(50)}, "is of"),
    "fewer epochs": ({"epochs": 2}, "is in epoch 5 of its fit, but epochs=2"),
    "callbacks": ({"callbacks": [pel.EarlyStopping("loss")]}, r"with the callbacks \['Checkpoint'\].*'EarlyStopping'"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_fit(what, tmp_path):
    fit(tmp_path)
    changes, words = OTHERS[what]
    changes = dict(changes)
    model = changes.pop("model", model_of)()
    with pytest.raises((pel.GraphError, pel.DataError), match=words):
        fit(tmp_path, model, **changes)
    if what != "callbacks":
        assert model.traced is None and not model.state and not model.history.epochs


def test_wrong_use(tmp_path):
    with pytest.raises(pel.ArgumentError, match="resume=True goes on from a checkpoint: give callbacks="):
        model_of().fit(X, Y, resume=True, verbose=0)
    with pytest.raises(pel.ArgumentError, match="two Checkpoints"):
        fit(tmp_path, callbacks=[pel.Checkpoint(tmp_path)])
    fit(tmp_path)
    with pytest.raises(pel.DataError, match="holds checkpoints of an earlier fit; go on with it by resume=True, or"):
        fit(tmp_path, resume=False)
    for wrong in ({"steps": 0}, {"epochs": 1.5}, {"keep": True}, {"minutes": -1}, {"minutes": float("nan")}):
        with pytest.raises(pel.ArgumentError, match=f"Checkpoint: {next(iter(wrong))} must be a"):
            pel.Checkpoint(tmp_path, **wrong)


def test_arrays_that_are_large_are_sampled(monkeypatch):
    a = np.arange(10_000, dtype="float32").reshape(100, 100)
    whole = fingerprint.digest(a)
    assert fingerprint.digest(np.asfortranarray(a)) == fingerprint.digest(a.copy()) == whole
    monkeypatch.setattr(fingerprint, "SAMPLED", 4000)  # 10 of the rows
    part = fingerprint.digest(a)
    a[0, 0] += 1
    assert fingerprint.digest(a) != part
    a[0, 0] -= 1
    a[-1, -1] += 1
    assert fingerprint.digest(a) != part


def test_the_fingerprint_is_plain(tmp_path):
    """It has no place in memory in it, which another process would have elsewhere."""
    fit(tmp_path, model_of(nn.Sequential(nn.Dense(4), lambda v: v, nn.Dense(3))))
    _, description = saving.read(tmp_path / "step-000000028.pel")
    record = description["checkpoint"]
    assert " 0x" not in json.dumps(record) and record["epochs"] == 4


# ---- killed ---------------------------------------------------------------------------------------------------------


def test_killed(tmp_path):
    assert killed.trial("buckets", tmp_path, kills=5, seed=0) == 5


@pytest.mark.slow
@pytest.mark.parametrize("case", killed.CASES)
def test_killed_200_times(case, tmp_path):
    assert killed.trial(case, tmp_path, kills=50, seed=1) == 50
