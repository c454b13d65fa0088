"""What `Model` says to wrong shapes, labels, numbers and options: one clear error each, and nothing changed."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import ArgumentError, DataError, DivergedError, GraphError, Model, nn, optim

X = np.random.default_rng(0).normal(size=(10, 4))
LABELS = np.arange(10) % 3


def classifier(units=3, loss="cross_entropy", **options):
    return Model(nn.Sequential(nn.Dense(5), nn.tanh, nn.Dense(units, name="head")), loss=loss, **options)


def hole(rows, value=np.nan):
    x = X.copy()
    x[rows, 1] = value
    return x


FIT = {  # what is wrong: model, x, y, options, error and its text
    "images for a dense layer": (
        classifier(),
        X.reshape(10, 2, 2),
        LABELS,
        {},
        GraphError,
        r"Dense 'layers\.0': .*\(2, 2\); did you mean nn\.Flatten\(\) before it\?",
    ),
    "numbers for a dense layer": (
        classifier(),
        X[:, 0],
        LABELS,
        {},
        GraphError,
        r"got shape \(\); did you mean nn\.Reshape",
    ),
    "another shape than before": (
        classifier(input_shape=(5,)),
        X,
        LABELS,
        {},
        GraphError,
        r"x has samples of shape \(4,\), but the net was built for \(5,\)",
    ),
    "a number for samples": (classifier(), 3.0, LABELS, {}, DataError, "x is a single number"),
    "too few labels": (classifier(), X, LABELS[:9], {}, DataError, "x has 10 samples, y has 9"),
    "labels too large": (
        classifier(2),
        X,
        LABELS,
        {},
        DataError,
        r"labels outside 0\.\.1: 2 \(3 such\); the net has 2 outputs, the labels need 3",
    ),
    "labels from 1": (classifier(), X, LABELS + 1, {}, DataError, r"outside 0\.\.2: 3 .*; number them from 0"),
    "negative labels": (classifier(), X, LABELS - 1, {}, DataError, r"outside 0\.\.2: -1 .*; number them from 0: "),
    "float labels": (
        classifier(),
        X,
        LABELS * 1.0,
        {},
        DataError,
        r"y holds floats \(e\.g\. 0\.0\), but CrossEntropy takes whole class numbers 0\.\.2.*y\.astype\(int\)",
    ),
    "text labels": (
        classifier(),
        X,
        np.array(list("abcabcabca")),
        {},
        DataError,
        r"y holds text or objects, e\.g\. 'a', .* classes, y = np\.unique\(y, return_inverse=True\).*NeuralClassifier",
    ),
    "rows that are no probabilities": (
        classifier(),
        X,
        np.eye(3)[LABELS] * 2,
        {},
        DataError,
        "not one-hot or probabilities",
    ),
    "one-hot of another width": (
        classifier(),
        X,
        np.eye(4)[LABELS],
        {},
        DataError,
        r"\(4,\) for each sample.*3 outputs",
    ),
    "NaN in x": (
        classifier(),
        hole([2, 7]),
        LABELS,
        {},
        DataError,
        r"x has NaN or infinity in 2 of 10 rows \(rows 2, 7\).*SimpleImputer",
    ),
    "infinity in x": (
        classifier(),
        hole(range(8), np.inf),
        LABELS,
        {},
        DataError,
        r"8 of 10 rows \(rows 0, 1, 2, 3, 4, \.\.\.\)",
    ),
    "NaN in y": (
        Model(nn.Dense(1), "mse"),
        X,
        hole([3])[:, 1],
        {},
        DataError,
        r"y has NaN or infinity in 1 of 10 rows \(row 3\)",
    ),
    "text in a column": (
        classifier(),
        [[1.0, "red"], [2.0, "blue"]],
        [0, 1],
        {},
        DataError,
        "x holds text|column 1 holds 'red'",
    ),
    "ragged rows": (
        classifier(),
        [[1.0, 2.0], [3.0]],
        [0, 1],
        {},
        DataError,
        "x cannot become an array: its rows differ",
    ),
    "nothing": (classifier(), X[:0], LABELS[:0], {}, DataError, r"x is empty: it has shape \(0, 4\)"),
    "one class only": (classifier(), X, LABELS * 0 + 2, {}, DataError, "all labels in y are 2: one class only"),
    "one class only, binary": (
        classifier(1, "binary_cross_entropy"),
        X,
        LABELS * 0,
        {},
        DataError,
        "nothing to tell apart",
    ),
    "one class only, one-hot": (
        classifier(),
        X,
        np.eye(3)[LABELS * 0],
        {},
        DataError,
        "the same class: there is nothing to tell",
    ),
    "binary labels -1, 1": (
        classifier(1, "binary_cross_entropy"),
        X,
        LABELS % 2 * 2 - 1,
        {},
        DataError,
        r"y must be 0 or 1, or a probability between them, for BinaryCrossEntropy, got -1",
    ),
    "probabilities for a margin": (
        classifier(1, "binary_hinge"),
        X,
        LABELS / 2,
        {},
        DataError,
        r"y must be 0 or 1 for BinaryHinge, got 0\.5",
    ),
    "pixels for probabilities": (
        classifier(1, "binary_cross_entropy"),
        X,
        LABELS * 127,
        {},
        DataError,
        r"0 or 1, or a probability between them, for BinaryCrossEntropy, got 127",
    ),
    "targets of another shape": (
        Model(nn.Dense(2), "mse"),
        X,
        X[:, :3],
        {},
        DataError,
        r"y has shape \(3,\) for each sample, but the net's output has \(2,\)",
    ),
    "targets transposed": (
        Model(nn.Sequential(nn.Dense(6), nn.Reshape((2, 3))), "mse"),
        X,
        np.ones((10, 3, 2)),
        {},
        DataError,
        r"y has shape \(3, 2\) for each sample",
    ),
    "labels for values": (
        Model(nn.Dense(3), "mse"),
        X,
        LABELS,
        {},
        DataError,
        r"\(\) for each sample.*output has \(3,\)",
    ),
    "one output for classes": (
        Model(nn.Dense(1), "cross_entropy"),
        X,
        LABELS,
        {},
        (DataError, GraphError),
        "1 output, the labels need 3|at least 2",
    ),
    "batch of 0": (
        classifier(),
        X,
        LABELS,
        {"batch_size": 0},
        ArgumentError,
        "batch_size must be a whole number >= 1 or 'all', got 0",
    ),
    "batch in words": (classifier(), X, LABELS, {"batch_size": "many"}, ArgumentError, "or 'all', got 'many'"),
    "epochs": (classifier(), X, LABELS, {"epochs": -1}, ArgumentError, "epochs must be a whole number >= 0, got -1"),
    "half epochs": (classifier(), X, LABELS, {"epochs": 1.5}, ArgumentError, "epochs must be a whole number"),
    "verbose": (classifier(), X, LABELS, {"verbose": 3}, ArgumentError, "verbose must be 0, 1 or 2, got 3"),
    "split of everything": (classifier(), X, LABELS, {"validation_split": 1.0}, ArgumentError, "between 0 and 1"),
    "split of nothing": (classifier(), X, LABELS, {"validation_split": 0.01}, DataError, "leaves 0 for validation"),
    "split and data": (
        classifier(),
        X,
        LABELS,
        {"validation_split": 0.1, "validation_data": (X, LABELS)},
        ArgumentError,
        "not both",
    ),
    "validation without y": (classifier(), X, LABELS, {"validation_data": X}, DataError, r"must be \(x, y\) or"),
    "validation of another shape": (
        classifier(),
        X,
        LABELS,
        {"validation_data": (X[:, :3], LABELS)},
        GraphError,
        r"validation_data x has samples of shape \(3,\)",
    ),
    "NaN in validation": (
        classifier(),
        X,
        LABELS,
        {"validation_data": (hole([4]), LABELS)},
        DataError,
        r"validation_data x has NaN or infinity in 1 of 10 rows \(row 4\)",
    ),
    "weights of another number": (
        classifier(),
        X,
        LABELS,
        {"sample_weight": [1.0]},
        DataError,
        r"\(1,\), expected \(10,\)",
    ),
    "negative weights": (
        classifier(),
        X,
        LABELS,
        {"sample_weight": -np.ones(10)},
        DataError,
        "must be >= 0, and not all 0",
    ),
    "weights 0": (classifier(), X, LABELS, {"sample_weight": np.zeros(10)}, DataError, "not all 0"),
    "class weight missing": (
        classifier(),
        X,
        LABELS,
        {"class_weight": {0: 1, 1: 1}},
        DataError,
        "says nothing of class 2",
    ),
    "class weight in words": (
        classifier(),
        X,
        LABELS,
        {"class_weight": "equal"},
        DataError,
        "dict or 'balanced', got 'equal'",
    ),
    "inputs of two lengths": (
        Model(lambda a, b: nn.Dense(1)(a), "mse"),
        (X, X[:3]),
        X[:, :1],
        {},
        DataError,
        "differ in their",
    ),
    "no arrays": (Model(lambda: None, "mse"), (), X, {}, DataError, "holds no arrays"),
    "a loss of a shape": (
        Model(nn.Dense(2), lambda y, t: y - t),
        X,
        X[:, :2],
        {},
        GraphError,
        r"one number for each sample, got.*\(2,\)",
    ),
    "a metric of a shape": (
        Model(nn.Dense(2), "mse", metrics=[lambda y, t: y]),
        X,
        X[:, :2],
        {},
        GraphError,
        "one number for each",
    ),
    "accuracy of values": (
        Model(nn.Dense(1), "mse", metrics=["accuracy"]),
        X,
        X[:, :1],
        {},
        GraphError,
        "accuracy needs",
    ),
}


@pytest.mark.parametrize("model, x, y, options, error, text", FIT.values(), ids=list(FIT))
def test_fit(model, x, y, options, error, text):
    built, state = model.traced is not None, dict(model.state)
    with pytest.raises(error, match=text) as info:
        model.fit(x, y, **{"verbose": 0} | options)
    assert len(str(info.value).splitlines()) == 1
    assert model.state.keys() - {"optimizer.step"} >= state.keys() and model.epochs == model.history.epochs == 0
    if "verbose" not in options:
        assert (model.traced is not None) == built  # nothing built for arrays that do not fit ...
    if not built:
        assert not model.programs.runs


def test_after_bad_arrays_others_may_follow():
    model = classifier()
    for bad in (hole([1]), X.reshape(10, 2, 2)):
        with pytest.raises(ValueError):
            model.fit(bad, LABELS, verbose=0)
    with pytest.raises(ArgumentError):
        model.fit(X[:, :3], LABELS, batch_size=0, verbose=0)
    assert model.fit(X, LABELS, verbose=0).epochs == 1  # another shape than the last


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: Model(nn.Dense, "mse"), r"got <class.*Dense.*did you forget the parentheses\?"),
        (lambda: Model(3, "mse"), "must be a layer or a function of Values, got 3"),
        (lambda: Model(nn.Dense(1), "msee"), "no loss is named 'msee'; did you mean 'mse'"),
        (lambda: Model(nn.Dense(1), "mse", optimizer="amad"), "no optimizer is named 'amad'; there are"),
        (lambda: Model(nn.Dense(1), "mse", metrics="mae"), r"metrics must be a list, for example \['mae'\]"),
        (lambda: Model(nn.Dense(1), "mse", metrics=["acc"]), "no metric is named 'acc'"),
        (lambda: Model(nn.Dense(1), "mse", dtype="float16"), "dtype must be 'float32' or 'float64', got 'float16'"),
        (lambda: Model(nn.Dense(1), "mse", executor="tpu"), "executor must be one of .*, got 'tpu'"),
        (lambda: Model(nn.Dense(1), "mse", input_shape=4), r"input_shape must be a tuple, for example \(4,\)"),
        (lambda: Model(nn.Dense(1), "mse", seed=-1), "seed must be a whole number, 0 or more, got -1"),
        (lambda: Model(nn.Dense(1), "mse", seed=0.5), "seed must be a whole number"),
    ],
)
def test_making_a_model(make, text):
    with pytest.raises((ArgumentError, GraphError), match=text):
        make()


def test_before_there_are_weights():
    for use in (lambda m: m.predict(X), lambda m: m.evaluate(X, LABELS), lambda m: m.parameters, lambda m: m.summary(),
                lambda m: m.save("nowhere.pel"), lambda m: m.layer_outputs(X)):  # fmt: skip
        with pytest.raises(GraphError, match=r"no weights yet: fit it, or give Model\(\.\.\., input_shape="):
            use(classifier())


@pytest.mark.parametrize(
    "x, text",
    [
        (X[0], r"samples of shape \(\), but.*\(4,\); a single sample needs a leading axis: x\[None\]"),
        (X.reshape(10, 2, 2), r"\(2, 2\).*\(4,\); did you mean x\.reshape\(-1, 4\)\?"),
        (X[:, :3], r"samples of shape \(3,\), but the net was built for \(4,\)"),
        ({"a": X}, r"built for inputs \['x'\], got \['x\.a'\]"),
    ],
)
def test_predict(x, text):
    with pytest.raises(GraphError, match=text):
        classifier(input_shape=(4,)).predict(x)


@pytest.mark.parametrize("size", [0, -1, "all", 1.5])
def test_batch_sizes_of_predict_and_evaluate(size):
    model = classifier(input_shape=(4,))
    for use in (lambda: model.predict(X, batch_size=size), lambda: model.evaluate(X, LABELS, batch_size=size)):
        if size == "all":
            use()
        else:
            with pytest.raises(ArgumentError, match="batch_size must be a whole number >= 1 or 'all'"):
                use()


# ---- a loss that becomes NaN ------------------------------------------------------------------------------------


def diverging(net, rate, **options):
    return Model(net, loss="mse", optimizer=optim.SGD(rate), **options)


def test_divergence_stops_and_says_where():
    net = nn.Sequential(nn.Dense(3, name="first"), nn.linear, nn.Dense(1, name="last"))
    model = diverging(net, 10.0)
    model.fit(X, X[:, :1], verbose=0, epochs=0)
    before = {name: a.copy() for name, a in model.state.items()}
    with pytest.raises(DivergedError) as info:
        model.fit(X * 1000, X[:, :1] * 500, epochs=50, batch_size=1, verbose=0)
    text = str(info.value)
    assert "the loss became NaN or infinite in epoch 1, step" in text
    assert (
        "It began in layer 'layers.first', whose parameter 'layers.first.weight' reaches" in text or "the loss" in text
    )
    assert "a smaller learning rate (now 10)" in text and "inputs scaled to about -1..1 (the largest is" in text
    assert "scaled targets" in text and "as it was before this epoch" in text
    assert model.epochs == model.history.epochs == 0
    assert before.keys() == model.state.keys()
    assert all((before[name] == model.state[name]).all() for name in before)


def test_divergence_in_a_later_epoch_keeps_the_earlier_ones():
    model = diverging(nn.Dense(1), 0.9)
    states = []

    from pellucid import Callback

    class Note(Callback):
        def on_epoch_end(self, epoch, logs=None):
            states.append(dict(self.model.state))

    with pytest.raises(DivergedError, match="epoch"):
        model.fit(X * 10, X[:, :1], epochs=500, verbose=0, callbacks=[Note()])
    assert 0 < model.epochs == model.history.epochs == len(states)
    assert all((states[-1][name] == value).all() for name, value in model.state.items())


def test_divergence_of_a_bare_layer_names_a_weight_of_it():
    """Not the optimizer's counter or the key of random numbers."""
    model = diverging(nn.Dense(1), 1e30)
    with pytest.raises(DivergedError, match=r"layer 'Dense', whose parameter '(weight|bias)' reaches|the loss itself"):
        model.fit(X, X[:, :1], epochs=20, verbose=0)


def test_where_nan_begins():
    """A layer in the middle that takes the logarithm of what may be negative."""
    from pellucid import ops

    net = nn.Sequential(nn.Dense(3), nn.Lambda(ops.log, name="log"), nn.Dense(1))
    with pytest.raises(DivergedError, match=r"It began in layer 'layers\.log'\. Try a smaller learning rate"):
        diverging(net, 0.1).fit(X, X[:, :1], verbose=0)


def test_callbacks_and_a_validation_set_of_one():
    x, y = np.ones((8, 2)), np.arange(8) % 2
    model = Model(nn.Dense(2), "cross_entropy")
    for given, text in (
        (pel.EarlyStopping(), r"must be a list: callbacks=\[EarlyStopping\(...\)\]"),
        ([pel.EarlyStopping], "must be a pellucid.Callback, got .*did you forget the parentheses"),
        ([print], "must be a pellucid.Callback"),
    ):
        with pytest.raises(ArgumentError, match=text):
            model.fit(x, y, callbacks=given, verbose=0)
    for options in ({"validation_data": (x[:1], y[:1])}, {"validation_split": 0.1}):
        with pytest.warns(UserWarning, match="one sample for validation says next to nothing of others") as seen:
            model.fit(x, y, verbose=0, **options)
        assert seen[0].filename == __file__ and np.isfinite(model.history["val_loss"]).all()
