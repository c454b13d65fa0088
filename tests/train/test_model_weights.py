"""What weights weigh: class weights the training alone, sample weights the validation too."""

import numpy as np
import pytest

from pellucid import DataError, Model, nn, optim
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


# ---- class weights where there is no single class ----------------------------------------------------------------

LABELS3 = (RNG.random((80, 3)) < [0.1, 0.5, 0.8]).astype(float)


def tagger(loss="binary_cross_entropy", rate=0.05):
    return Model(nn.Dense(3), loss, optim.SGD(rate), ["f1_macro", "accuracy"])


def losses_of(model, x, y):
    """-log p of each label, (n, 3)."""
    z = model.predict(x)
    return -np.log(np.where(y == 1, z, 1 - z))


@pytest.mark.parametrize(
    "given, pairs",
    [
        ({0: 5.0, 1: 1.0, 2: 0.5}, [(5, 5), (1, 1), (0.5, 0.5)]),
        ({0: (1, 8), 1: 1, 2: (3, 1)}, [(1, 8), (1, 1), (3, 1)]),
        ("balanced", [(0.5 / (1 - p), 0.5 / p) for p in LABELS3.mean(0)]),
    ],
    ids=["a number a label", "pairs", "balanced"],
)
@pytest.mark.parametrize("executor", ["native", "reference"])
def test_each_label_has_its_own_weight(given, pairs, executor):
    model = Model(nn.Dense(3), "binary_cross_entropy", optim.SGD(1e-12), executor=executor)
    model.fit(X, LABELS3, class_weight=given, validation_split=0.25, verbose=0)
    learnt, held = parts()
    if given != "balanced":
        w = np.where(LABELS3 == 1, [p[1] for p in pairs], [p[0] for p in pairs])
        found = (w * losses_of(model, X, LABELS3))[learnt].mean()
        assert model.history["loss"][0] == pytest.approx(found, rel=1e-4)
    assert model.history["val_loss"][0] == pytest.approx(losses_of(model, X, LABELS3)[held].mean(), rel=1e-4)
    assert model.evaluate(X, LABELS3)["loss"] == pytest.approx(losses_of(model, X, LABELS3).mean(), rel=1e-4)
    one, other = tagger(), tagger(nn.BinaryCrossEntropy(label_weights=tuple(pairs)))
    one.fit(X, LABELS3, class_weight=given, epochs=3, verbose=0)
    other.fit(X, LABELS3, epochs=3, verbose=0)
    np.testing.assert_allclose(one.parameters["weight"], other.parameters["weight"], rtol=1e-5)
    plain = tagger()
    plain.fit(X, LABELS3, epochs=3, verbose=0)
    assert not np.allclose(one.parameters["weight"], plain.parameters["weight"], rtol=1e-3)


def test_balanced_labels_predict_as_often_as_not():
    """A constant output is 1/2 for every label where 0 and 1 weigh the same."""
    model = Model(nn.Dense(3, weight_init=nn.init.zeros), "binary_cross_entropy", optim.Adam(0.05))
    model.fit(np.zeros((80, 1)), LABELS3, class_weight="balanced", batch_size="all", epochs=300, verbose=0)
    np.testing.assert_allclose(model.predict([[0.0]]), 0.5, atol=0.01)


def test_weights_of_labels_are_of_one_fit():
    model, other = tagger(), tagger()
    model.fit(X, LABELS3, class_weight={0: 9, 1: 1, 2: 1}, epochs=0, verbose=0)
    for m in (model, other):
        m.fit(X, LABELS3, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.parameters["weight"], other.parameters["weight"])


def test_two_classes_by_one_output_and_soft_targets():
    y = LABELS.astype(float)
    by_class, weights = {0: 0.3, 1: 4.0}, np.where(LABELS == 1, 4.0, 0.3)
    one, other = (Model(nn.Dense(1), "binary_cross_entropy", optim.SGD(0.1)) for _ in "ab")
    one.fit(X, y, class_weight=by_class, epochs=2, verbose=0)
    other.fit(X, y, sample_weight=weights, epochs=2, verbose=0)
    np.testing.assert_allclose(one.parameters["weight"], other.parameters["weight"], rtol=1e-6)
    soft = np.stack([1 - 0.25 * y, 0.25 * y], 1)  # a quarter of class 1
    one, other = classifier(), classifier()
    one.fit(X, soft, class_weight=by_class, epochs=2, verbose=0)
    other.fit(X, soft, sample_weight=soft @ [0.3, 4.0], epochs=2, verbose=0)
    np.testing.assert_allclose(one.parameters["weight"], other.parameters["weight"], rtol=1e-5)


@pytest.mark.parametrize(
    "model, y, class_weight, text",
    [
        (Model(nn.Dense(2), "mse"), X[:, :2], {0: 1, 1: 2}, "weighs classes, but the targets of MeanSquaredError are"),
        (Model(nn.Dense(1), "mae"), X[:, 0], "balanced", "give sample_weight, one number a sample"),
        (tagger(), LABELS3, {0: 1, 1: 2}, r"class_weight for 3 labels is \{label: weight\} or .* of the labels 0\.\.2"),
        (tagger(), LABELS3, "equal", "or 'balanced'; got 'equal'"),
        (tagger(), LABELS3, {0: 1, 1: -2, 2: 1}, "must be numbers >= 0, and not all 0"),
        (classifier(), LABELS, {0: 1, 1: np.inf}, "must be numbers >= 0, and not all 0"),
        (classifier(), LABELS, {0: 1, 1: "much"}, "must be numbers >= 0, and not all 0"),
        (classifier(), LABELS, [1, 2], r"must be a dict or 'balanced', got \[1, 2\]"),
        (tagger(), LABELS3, {0: 1, 1: (1, 2, 3), 2: 1}, "must be numbers >= 0, and not all 0"),
    ],
)
def test_class_weights_that_mean_nothing(model, y, class_weight, text):
    with pytest.raises(DataError, match=text):
        model.fit(X, y, class_weight=class_weight, verbose=0)
    assert model.traced is None
