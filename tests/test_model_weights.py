"""What weights weigh: class weights the training alone, sample weights the validation too."""

import numpy as np
import pytest

from pellucid import Model, nn, optim
from pellucid.train.loop import split

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4))
LABELS = (X[:, 0] > 0.8).astype(int)
WEIGHTS = RNG.uniform(0.5, 3, 80)
BY_CLASS = {0: 0.3, 1: 4.0}


def classifier(**options):
    return Model(nn.Dense(2), "cross_entropy", optim.SGD(0.05), ["accuracy", "f1"], **options)


def parts(seed=0):
    rows = {"y": np.arange(80)}
    return (found["y"] for found in split(rows, 0.25, seed))


@pytest.mark.parametrize("class_weight", [BY_CLASS, "balanced"], ids=str)
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alone", "with sample weights"])
def test_validation_means_what_evaluate_gives(class_weight, weights):
    """Whether its rows are split off or given, and without class weights."""
    learnt, held = parts()
    own = lambda rows: None if weights is None else weights[rows]
    model, other = classifier(), classifier()
    model.fit(X, LABELS, class_weight=class_weight, sample_weight=weights, validation_split=0.25, epochs=3, verbose=0)
    found = model.evaluate(X[held], LABELS[held], sample_weight=own(held))
    assert {name: model.history[f"val_{name}"][-1] for name in found} == pytest.approx(found, rel=1e-6)
    if class_weight == "balanced":
        return  # balanced over all samples that fit was given, or over those of training
    data = (X[held], LABELS[held]) if weights is None else (X[held], LABELS[held], weights[held])
    other.fit(X[learnt], LABELS[learnt], class_weight=class_weight, sample_weight=own(learnt), validation_data=data,
              epochs=3, verbose=0)  # fmt: skip
    for name in ("val_loss", "val_accuracy", "val_f1"):
        assert model.history[name][-1] == pytest.approx(other.history[name][-1], abs=0.05)


def test_the_loss_of_training_is_weighted_by_both():
    model = Model(nn.Dense(2), "cross_entropy", optim.SGD(1e-12))
    both = WEIGHTS * np.vectorize(BY_CLASS.get)(LABELS)
    model.fit(X, LABELS, class_weight=BY_CLASS, sample_weight=WEIGHTS, verbose=0)
    assert model.history["loss"][0] == pytest.approx(model.evaluate(X, LABELS, sample_weight=both)["loss"], rel=1e-5)
