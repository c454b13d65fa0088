"""Arguments that cannot do together what they say are refused, or said once, before training begins."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import ArgumentError, GraphError, Model, nn, optim, stopping

X, Y = np.random.default_rng(0).normal(size=(2, 32, 3)).astype("float32")
VALID = {"validation_data": (X, Y)}


def fit(callbacks=(), optimizer="sgd", net=None, x=X, y=Y, epochs=3, metrics=("mae",), **options):
    model = Model(net or nn.Dense(3), "mse", optimizer, metrics)
    model.fit(x, y, epochs=epochs, callbacks=callbacks, verbose=0, **({"batch_size": 8} | options))
    return model


REFUSED = {
    "averages after the end": (lambda p: [pel.AverageWeights(start=3)], {}, "would begin after the last of 3 epochs"),
    "early stopping without validation": (
        lambda p: [pel.EarlyStopping()],
        {},
        "EarlyStopping watches 'val_loss', but the epoch reports loss, mae; give fit validation_split",
    ),
    "a measure that is none": (
        lambda p: [pel.EarlyStopping("val_accuracy")],
        VALID,
        "watches 'val_accuracy', but the epoch reports loss, mae, val_loss, val_mae",
    ),
    "a rule among others": (lambda p: [stopping.Epochs(1) | stopping.Target(0.1, "val_mae")], {}, "Target watches"),
    "a plateau": (lambda p: [pel.ReduceLROnPlateau()], {}, "ReduceLROnPlateau watches 'val_loss'"),
    "the best checkpoint": (lambda p: [pel.Checkpoint(p / "c", best="val_loss")], {}, "Checkpoint watches 'val_loss'"),
    "callbacks that are a name": (lambda p: "EarlyStopping", {}, "callbacks must be a list of .*got 'EarlyStopping'"),
    "callbacks that are a number": (lambda p: 5, {}, "callbacks must be a list of pellucid.Callback, got 5"),
    "callbacks by name": (lambda p: {"stop": pel.EarlyStopping("loss")}, {}, "callbacks must be a list"),
    "a stream that is split": (
        lambda p: [],
        {
            "net": nn.Sequential(nn.LSTM(3, stateful=8), nn.Dense(3)),
            "x": X[:, None],
            "shuffle": False,
            "validation_split": 0.25,
        },
        "goes from each sample of a batch to the one in its place.*give validation_data, a stream of its own",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_before_training(what, tmp_path):
    callbacks, options, text = REFUSED[what]
    seen = []
    with pytest.raises((ArgumentError, GraphError), match=text):
        seen.append(fit(callbacks(tmp_path), **options))
    assert not seen and not (tmp_path / "c").exists()


@pytest.mark.parametrize("watch", [pel.EarlyStopping, pel.ReduceLROnPlateau], ids=["stopping", "plateau"])
def test_a_name_that_is_nearly_reported_is_suggested(watch):
    def fit(monitor, **options):
        y = np.arange(32) % 3
        data = {"validation_data": (X, y)} if options.get("valid") else {}
        Model(nn.Dense(3), "cross_entropy", metrics=["accuracy"]).fit(
            X, y, callbacks=[watch(monitor)], verbose=0, **data
        )

    name = "watches 'val_acc', but the epoch reports loss, accuracy"
    with pytest.raises(GraphError, match=f"{name}, val_loss, val_accuracy; did you mean 'val_accuracy'.$"):
        fit("val_acc", valid=True)
    with pytest.raises(GraphError, match=f"{name}; give fit validation_split or .*; did you mean 'val_accuracy'.$"):
        fit("val_acc")
    with pytest.raises(GraphError, match=r"loss, accuracy; did you mean 'accuracy'\?$"):
        fit("acc")


SAID = {
    "a window beyond the epoch": (
        lambda p: [],
        {"optimizer": optim.SGD(gradient_accumulation_steps=8)},
        "gradient_accumulation_steps=8, but an epoch has 4 mini-batches: the weights change once an epoch",
    ),
    "all samples and accumulation": (
        lambda p: [],
        {"optimizer": optim.SGD(gradient_accumulation_steps=2), "batch_size": "all"},
        "but an epoch has 1 mini-batch:",
    ),
    "a late early stopping": (
        lambda p: [pel.EarlyStopping("loss", start_from_epoch=3)],
        {},
        "looks at none of 3 epochs",
    ),
    "a least rate": (lambda p: [pel.ReduceLROnPlateau("loss", min_lr=0.5)], {}, "cannot reduce the learning rate"),
    "a rule that is not met": (
        lambda p: [stopping.Epochs(5) & stopping.SmallChange(9)],
        {},
        "is not met within 3 epochs",
    ),
    "two that put weights": (
        lambda p: [pel.EarlyStopping("loss"), pel.AverageWeights()],
        {},
        "both put weights into the model at the end of fit; those of AverageWeights",
    ),
    "rare checkpoints": (
        lambda p: [pel.Checkpoint(p, steps=100)],
        {},
        r"Checkpoint\(steps=100\): the fit has 12 steps",
    ),
    "rare checkpoints by epochs": (lambda p: [pel.Checkpoint(p, epochs=4)], {}, r"Checkpoint\(epochs=4\)"),
    "nothing averaged": (
        lambda p: [stopping.Epochs(1), pel.AverageWeights(start=1)],
        {},
        r"AverageWeights\(start=1\) has averaged nothing: training ended before, in epoch 1",
    ),
}


@pytest.mark.parametrize("what", SAID)
def test_said_once(what, tmp_path):
    callbacks, options, text = SAID[what]
    with pytest.warns(UserWarning, match=text) as seen:
        fit(callbacks(tmp_path), **options)
    assert len(seen) == 1 and seen[0].filename == __file__


WRONG = {
    "shuffle": ({"shuffle": "batch"}, "shuffle must be True or False, got 'batch'"),
    "split": ({"validation_split": "0.1"}, "validation_split must be between 0 and 1, got '0.1'"),
    "batch_size": ({"batch_size": True}, "batch_size must be a whole number >= 1 or 'all', got True"),
    "epochs": ({"epochs": True}, "epochs must be a whole number >= 0, got True"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_number(what):
    options, text = WRONG[what]
    with pytest.raises(ArgumentError, match=text):
        fit(**options)


def test_validation_that_is_not_finite_is_said():
    y = Y.copy()
    x = X.copy()
    x[0] = 3e38
    with pytest.warns(UserWarning, match="the loss of the validation samples is NaN or infinite; model.evaluate says"):
        model = fit(validation_data=(x, y), epochs=1)
    with pytest.raises(pel.DataError, match="the prediction for row 0 is not finite"):
        model.evaluate(x, y)


def test_what_agrees_is_silent(tmp_path, recwarn):
    class Reports(pel.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["mine"] = 1.0

    fit([Reports(), pel.EarlyStopping("mine")])
    fit([pel.EarlyStopping("val_mae", patience=50), pel.AverageWeights(start=2)][:1], **VALID)
    fit([pel.AverageWeights(start=2)])
    fit([pel.Checkpoint(tmp_path / "a", steps=12), pel.EarlyStopping("loss")])
    fit([pel.Checkpoint(tmp_path / "b", steps=100, epochs=1)])
    fit([pel.AverageWeights(start=5)], epochs=0)
    fit(optimizer=optim.SGD(gradient_accumulation_steps=4))
    fit(c for c in [pel.EarlyStopping("loss")])
    fit(None)
    assert not recwarn.list


@pytest.mark.parametrize(
    "options, text",
    [
        ({"clipnorm": 1.0}, "clipnorm must be left at None"),
        ({"global_clipnorm": 1.0}, "global_clipnorm must be left at None"),
        ({"maximize": True}, "maximize must be left at False"),
    ],
)
def test_lbfgs_takes_what_it_does(options, text):
    with pytest.raises(ArgumentError, match=text):
        optim.LBFGS(**options)


def test_an_average_that_is_not_kept():
    with pytest.raises(ArgumentError, match=r"SGD: ema_momentum=0.9 is of the averages that use_ema=True keeps"):
        optim.SGD(ema_momentum=0.9)
