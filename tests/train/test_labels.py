"""Labels that do not count from 0, or are text: what `Model` says of them, followed to the letter."""

import re

import numpy as np
import pandas as pd
import pytest

from pellucid import DataError, Model, data, nn
from pellucid.sklearn import NeuralClassifier

X = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
ROW = np.arange(60)
NUMBER = "classes, y = np.unique(y, return_inverse=True)"

CASES = {  # labels, the net's outputs, loss, what is advised
    "1..10": (ROW % 10 + 1, 10, "cross_entropy", [NUMBER]),
    "1 and 2": (ROW % 2 + 1, 2, "cross_entropy", [NUMBER]),
    "-1 and 1": (ROW % 2 * 2 - 1, 2, "cross_entropy", [NUMBER]),
    "-1 and 1, hinge": (ROW % 2 * 2 - 1, 2, "hinge", [NUMBER]),
    "-1, 0, 1": (ROW % 3 - 1, 3, "cross_entropy", [NUMBER]),
    "0, 5, 10": (ROW % 3 * 5, 10, "cross_entropy", [NUMBER]),
    "1..12 and 10 outputs": (ROW % 12 + 1, 10, "cross_entropy", ["nn.Dense(12)", NUMBER]),
    "0..2 and 2 outputs": (ROW % 3, 2, "cross_entropy", ["nn.Dense(3)"]),
    "a column of 1..3": (ROW[:, None] % 3 + 1, 3, "cross_entropy", [NUMBER]),
    "text": (np.array(["cat", "dog"] * 30), 2, "cross_entropy", [NUMBER]),
    "text, a list": (["cat", "dog", "eel"] * 20, 3, "cross_entropy", [NUMBER]),
    "text, a series": (pd.Series(["cat", "dog"] * 30), 2, "cross_entropy", [NUMBER]),
    "text, categories": (pd.Series(["cat", "dog"] * 30, dtype="category"), 2, "cross_entropy", [NUMBER]),
    "text, objects": (np.array(["cat", "dog"] * 30, dtype=object), 2, "cross_entropy", [NUMBER]),
    "numbers as text": (np.array(["1", "2"] * 30), 2, "cross_entropy", [NUMBER]),
    "-1 and 1, one output": (ROW % 2 * 2 - 1, 1, "binary_cross_entropy", [NUMBER]),
    "1 and 2, one output": (ROW % 2 + 1, 1, "binary_cross_entropy", [NUMBER]),
    "-1.0 and 1.0, one output": (ROW % 2 * 2.0 - 1, 1, "binary_hinge", [NUMBER]),
    "text, one output": (["no", "yes"] * 30, 1, "binary_cross_entropy", [NUMBER]),
    "0..2, one output": (ROW % 3, 1, "binary_cross_entropy", ["loss='cross_entropy'", "nn.Dense(3)"]),
    "1..3, one output": (ROW % 3 + 1, 1, "binary_cross_entropy", ["loss='cross_entropy'", "nn.Dense(3)", NUMBER]),
    "values, one output": (ROW * 0.1, 1, "binary_cross_entropy", ["loss='mse'"]),
}


@pytest.mark.parametrize("what", CASES)
def test_advice_on_labels_works(what):
    y, outputs, loss, advice = CASES[what]
    with pytest.raises(DataError) as error:
        Model(nn.Dense(outputs), loss).fit(X, y, verbose=0)
    text = str(error.value)
    assert all(step in text for step in advice), text
    assert (NUMBER in advice) == (NUMBER in text) and "ignore_class" not in text, text
    space = {"np": np, "y": y}
    if NUMBER in advice:
        exec(NUMBER, space)
        classes, given = space["classes"], np.asarray(y).reshape(-1)
        assert (classes[space["y"].reshape(-1)] == given).all()
        assert (np.searchsorted(classes, given) == space["y"].reshape(-1)).all()
    if found := re.search(r"nn\.Dense\((\d+)\)", text):
        outputs = int(found[1])
    if found := re.search(r"loss='(\w+)'", text):
        loss = found[1]
    model = Model(nn.Dense(outputs), loss, metrics=["accuracy"] if loss != "mse" else [])
    model.fit(X, space["y"], verbose=0)
    assert np.isfinite(model.evaluate(X, space["y"])["loss"])


def test_minus_one_may_be_no_label():
    """One class more than the net has outputs, and it is -1: it may mean that there is no label."""
    y = ROW % 4 - 1
    with pytest.raises(DataError, match=r"-1 means that there is no label, loss=nn\.CrossEntropy\(ignore_class=-1\)"):
        Model(nn.Dense(3), "cross_entropy").fit(X, y)
    Model(nn.Dense(3), nn.CrossEntropy(ignore_class=-1)).fit(X, y, verbose=0)
    steps = np.stack([ROW % 2, np.full(60, -1)], axis=1)  # of two steps the second is padding
    net = nn.Sequential(nn.Reshape((2, 2)), nn.TimeDistributed(nn.Dense(3)))
    with pytest.raises(DataError, match=r"nn\.CrossEntropy\(ignore_class=-1\) leaves it out, else number them"):
        Model(net, "cross_entropy").fit(X, steps)
    Model(net, nn.CrossEntropy(ignore_class=-1)).fit(X, steps, verbose=0)


@pytest.mark.parametrize("outputs, loss", [(2, "cross_entropy"), (1, "binary_cross_entropy"), (2, "hinge")])
def test_truth_values_are_classes(outputs, loss):
    y = X[:, 0] > 0
    found = [Model(nn.Dense(outputs), loss).fit(X, labels, verbose=0)["loss"] for labels in (y, y.astype(int))]
    assert found[0] == found[1]


def test_text_labels_go_to_the_classifier():
    y = np.where(X[:, 0] > 0, "right", "left")
    with pytest.raises(DataError, match=r"pellucid\.sklearn\.NeuralClassifier"):
        Model(nn.Dense(2), "cross_entropy").fit(X, y)
    assert set(NeuralClassifier(max_iter=5).fit(X, y).predict(X)) <= {"left", "right"}


def test_labels_of_other_samples_are_named():
    train = data.Dataset(X, ROW % 3)
    with pytest.raises(DataError, match=r"validation_data y has labels outside 0\.\.2: 3"):
        Model(nn.Dense(3), "cross_entropy").fit(train, validation_data=(X, ROW % 3 + 1))
    with pytest.raises(DataError, match="validation_data y holds text"):
        Model(nn.Dense(3), "cross_entropy").fit(train, validation_data=(X, list("abc") * 20))


def test_text_as_values_is_no_label():
    with pytest.raises(DataError, match=r"y holds text or objects, e\.g\. 'a', expected numbers"):
        Model(nn.Dense(1), "mse").fit(X, ["a", "b"] * 30)
