"""A class for every pixel, or step: which axis of the output has the classes, in losses, metrics and predictions."""

import numpy as np
import pytest
import sklearn.metrics

import pellucid as pel
from pellucid import DataError, GraphError, nn, optim

random = np.random.default_rng(0)
SHAPES = {"pictures": (3, 8, 8), "as many classes as pixels": (8, 8, 8), "sequences": (8, 8), "two": (2, 4, 6)}


def axis_of(shape):
    return 1 if len(shape) == 2 else 0


def perfect(shape, n=5, axis=None):
    """Labels, their one-hot maps and logits that are right with near certainty."""
    axis = axis_of(shape) if axis is None else axis
    labels = random.integers(0, shape[axis], (n, *shape[:axis], *shape[axis + 1 :]))
    rows = np.moveaxis(np.eye(shape[axis])[labels], -1, axis + 1)
    return labels, rows, (40 * rows - 20).astype("f4")


@pytest.mark.parametrize("kind", ["class numbers", "rows of floats", "rows of whole numbers"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize("loss", ["cross_entropy", "hinge", "miss_probability", "class_distance"])
def test_a_net_that_is_right_at_every_place_is_perfect(loss, shape, kind):
    labels, rows, logits = perfect(shape)
    t = {"class numbers": labels, "rows of floats": rows, "rows of whole numbers": rows.astype(int)}[kind]
    names = ["accuracy", "f1_macro", "jaccard_macro", "balanced_accuracy", "confusion_matrix"]
    model = pel.Model(nn.linear, loss, executor="reference", input_shape=shape)
    found = model.evaluate(logits, t, metrics=names)
    assert np.allclose([found[name] for name in names[:-1]], 1) and found["loss"] < 1e-6
    assert (np.diag(found["confusion_matrix"]) == np.bincount(labels.ravel(), minlength=shape[axis_of(shape)])).all()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_numbers_of_wrong_predictions_are_scikit_learns(shape):
    axis = axis_of(shape)
    labels, rows, _ = perfect(shape)
    logits = random.normal(size=rows.shape)
    model = pel.Model(nn.linear, "cross_entropy", executor="native", dtype="float64", input_shape=shape)
    names = ["accuracy", "jaccard_macro", "log_loss", "confusion_matrix"] + ["roc_auc_ovr"] * (shape[axis] > 2)
    found = model.evaluate(logits, labels, metrics=names)
    flat, guess = labels.ravel(), logits.argmax(axis + 1).ravel()
    p = model.predict(logits)
    np.testing.assert_allclose(p.sum(axis + 1), 1)
    each = np.moveaxis(p, axis + 1, -1).reshape(-1, shape[axis])
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(flat, guess))
    assert found["jaccard_macro"] == pytest.approx(sklearn.metrics.jaccard_score(flat, guess, average="macro"))
    np.testing.assert_array_equal(found["confusion_matrix"], sklearn.metrics.confusion_matrix(flat, guess))
    wanted = sklearn.metrics.log_loss(flat, each, labels=range(shape[axis]))
    assert found["log_loss"] == pytest.approx(wanted) and found["loss"] == pytest.approx(wanted)
    if shape[axis] > 2:
        assert found["roc_auc_ovr"] == pytest.approx(sklearn.metrics.roc_auc_score(flat, each, multi_class="ovr"))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_another_axis_where_it_is_said(axis):
    labels, rows, logits = perfect((4, 4, 4), axis=axis % 3)
    model = pel.Model(nn.linear, nn.CrossEntropy(axis=axis), executor="reference", input_shape=(4, 4, 4))
    for t in (labels, rows):
        assert model.evaluate(logits, t, metrics=["accuracy"])["accuracy"] == 1
    np.testing.assert_allclose(model.predict(logits).sum(axis % 3 + 1), 1, rtol=1e-5)
    other = pel.Model(nn.linear, nn.CrossEntropy(axis=(axis + 1) % 3), executor="reference", input_shape=(4, 4, 4))
    assert other.evaluate(logits, labels, metrics=["accuracy"])["accuracy"] < 0.5


@pytest.mark.parametrize(
    "shape, axis, target, text",
    [
        (
            (3, 8, 6),
            None,
            (3, 8),
            r"3 outputs along axis 0 .*each of \(8, 6\).*give nn.CrossEntropy\(axis=2\)",
        ),
        (
            (5, 3),
            None,
            (3,),
            r"3 labels .* the net gives 5 steps.*classes are along axis 0 .*CrossEntropy\(axis=0\)",
        ),
        ((3, 8, 6), 1, (8, 6), r"8 outputs along axis 1 .*each of \(3, 6\).*give nn.CrossEntropy\(axis=0\)"),
    ],
)
def test_targets_that_fit_another_axis(shape, axis, target, text):
    model = pel.Model(nn.linear, nn.CrossEntropy(axis=axis), executor="reference", input_shape=shape)
    with pytest.raises(DataError, match=text):
        model.evaluate(np.zeros((2, *shape)), np.zeros((2, *target), int))


def test_an_axis_that_the_output_has_not():
    model = pel.Model(nn.linear, nn.CrossEntropy(axis=3), executor="reference", input_shape=(3, 8, 6))
    with pytest.raises(GraphError, match=r"CrossEntropy: axis=3 is none of the output's, of shape \(3, 8, 6\)"):
        model.evaluate(np.zeros((2, 3, 8, 6)), np.zeros((2, 8, 6), int))


def test_rows_that_are_one_hot_along_another_axis():
    _, rows, logits = perfect((4, 4, 4), axis=2)
    model = pel.Model(nn.linear, "cross_entropy", executor="reference", input_shape=(4, 4, 4))
    with pytest.raises(DataError, match=r"not one-hot .*classes are along axis 2 .*nn.CrossEntropy\(axis=2\)"):
        model.evaluate(logits, rows)


def test_labels_of_two_classes_at_each_pixel():
    t = random.integers(0, 2, (5, 1, 8, 8))
    model = pel.Model(nn.linear, "binary_cross_entropy", executor="reference", input_shape=(1, 8, 8))
    found = model.evaluate(40.0 * t - 20, t, metrics=["accuracy", "f1", "jaccard", "roc_auc"])
    assert [found[k] for k in ("accuracy", "f1", "jaccard", "roc_auc")] == [1, 1, 1, 1]


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_a_net_learns_what_each_pixel_is(executor):
    x = random.normal(size=(64, 1, 8, 8)).astype("f4")
    t = np.digitize(x[:, 0], [-0.5, 0.5])  # dark, gray, light
    net = nn.Sequential(nn.Conv(8, 1), nn.relu, nn.Conv(3, 1))
    model = pel.Model(net, "cross_entropy", optim.Adam(0.05), ["accuracy", "jaccard_macro"], executor=executor)
    model.fit(x, t, epochs=15 if executor == "native" else 6, batch_size=8, verbose=0)
    found = model.evaluate(x, t)
    assert found["accuracy"] > 0.9 and found["jaccard_macro"] > 0.8
    assert (model.predict(x).argmax(1) == t).mean() == pytest.approx(found["accuracy"], abs=1e-3)


def test_several_models_vote_at_every_pixel():
    labels, _, logits = perfect((3, 4, 5))
    models = [pel.Model(nn.linear, "cross_entropy", executor="reference", input_shape=(3, 4, 5)) for _ in range(3)]
    committee = pel.Committee(models, vote="majority")
    assert committee.predict(logits).shape == logits.shape
    assert (committee.predict(logits).argmax(1) == labels).all()


@pytest.mark.parametrize("form", ["(n, T)", "(n, T, 1)", "one-hot ints", "one-hot floats", "probabilities", "bools"])
def test_a_class_for_every_step_in_any_form(form):
    labels, rows, logits = perfect((6, 3))
    t = {"(n, T)": labels, "(n, T, 1)": labels[..., None], "one-hot ints": rows.astype("int64"), "one-hot floats": rows,
         "probabilities": 0.9 * rows + 0.1 / 3, "bools": rows.astype(bool)}[form]  # fmt: skip
    model = pel.Model(nn.linear, "cross_entropy", executor="reference", input_shape=(6, 3))
    assert model.evaluate(logits, t, metrics=["accuracy", "f1_macro"])["accuracy"] == 1


def test_whole_numbers_for_every_step_that_are_no_rows():
    model = pel.Model(nn.linear, "cross_entropy", executor="reference", input_shape=(6, 3))
    with pytest.raises(DataError, match="rows of 3 numbers that are not one-hot"):
        model.evaluate(np.zeros((2, 6, 3)), np.ones((2, 6, 3), int))
