"""Labels that do not count (padding): loss, accuracy, and what is told of labels that do not fit a sequence."""

import numpy as np
import pytest
from tools import check_gradient, run

import pellucid as pel
from pellucid import ArgumentError, DataError, GraphError, nn, ops

random = np.random.default_rng(0)
Y = random.normal(size=(5, 4, 3))  # samples, steps, classes
T = np.array([[0, 1, 2, 2], [1, -1, 0, -1], [2, -1, -1, -1], [-1, -1, -1, -1], [0, 0, -1, 1]], np.int32)


def each_step(y, t):
    return np.log(np.exp(y).sum(-1)) - np.take_along_axis(y, np.maximum(t, 0)[..., None], -1)[..., 0]


def mean_of(each, counted):
    return np.where(counted, each, 0).sum(-1) / np.maximum(counted.sum(-1), 1)


def test_the_loss_is_the_mean_over_the_others():
    found = run(nn.CrossEntropy(ignore_class=-1), Y, T, kinds="sample")
    np.testing.assert_allclose(found, mean_of(each_step(Y, T), T >= 0), rtol=1e-12)
    assert found[3] == 0


def test_any_class_may_be_ignored_with_smoothing():
    found = run(nn.CrossEntropy(0.1, ignore_class=2), Y[:1], T[:1], kinds="sample")
    each = 0.9 * each_step(Y, T) + 0.1 * (np.log(np.exp(Y).sum(-1)) - Y.mean(-1))
    np.testing.assert_allclose(found, mean_of(each, T != 2)[:1], rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_slopes(smoothing):
    loss = nn.CrossEntropy(smoothing, ignore_class=-1)
    check_gradient(lambda y, t: loss(y, t), Y, T, kinds="sample")
    slopes = run(lambda y, t: pel.grad(ops.batch_sum(loss(y, t)), [y])[0], Y, T, kinds="sample")
    assert (slopes[T < 0] == 0).all() and (slopes[T >= 0] != 0).all()


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_accuracy_and_reported_means(executor):
    loss = nn.CrossEntropy(ignore_class=-1)
    model = pel.Model(nn.linear, loss, metrics=["accuracy"], input_shape=(4, 3), dtype="float64", executor=executor)
    found = model.evaluate(Y, T)
    some = [0, 1, 2, 4]  # nothing counts in the fourth sample
    assert found["accuracy"] == pytest.approx((Y.argmax(-1) == T)[T >= 0].mean(), rel=1e-12)  # each step is a sample
    assert found["loss"] == pytest.approx(mean_of(each_step(Y, T), T >= 0)[some].mean(), rel=1e-12)


def test_one_label_a_sample():
    found = run(nn.CrossEntropy(ignore_class=-1), Y[:, 0], T[:, 1], kinds="sample")
    np.testing.assert_allclose(found, np.where(T[:, 1] >= 0, each_step(Y[:, 0], T[:, 1]), 0), rtol=1e-12)


def test_what_is_ignored_does_not_change_the_training():
    """The same steps without the padding train to the same weights."""
    x, t = random.normal(size=(6, 4, 3)), random.integers(0, 3, (6, 4))

    def trained(x, t):
        net = Projected()
        model = pel.Model(net, nn.CrossEntropy(ignore_class=-1), input_shape=x.shape[1:], dtype="float64")
        model.fit(x, t, epochs=3, batch_size=6, shuffle=False, verbose=0)
        return model.parameters["weight"]

    longer = np.concatenate([x, np.ones((6, 2, 3))], 1), np.concatenate([t, np.full((6, 2), -1)], 1)
    np.testing.assert_allclose(trained(x, t), trained(*longer), rtol=1e-12)


class Projected(nn.Layer):
    def __call__(self, x):
        w = self.param("weight", (3, 3), nn.init.glorot_uniform)
        return ops.contract(w, nn.layer.as_float(x), "ij,tj->ti")


LONG = np.concatenate([T, T], 1)
IGNORING = nn.CrossEntropy(ignore_class=-1)
BAD = {
    "longer": (IGNORING, LONG, {}, r"y has 8 labels for each sample, but the net gives 4 steps: the labels are longer "
               r"than the inputs; pad or cut"),
    "shorter": (IGNORING, T[:, :3], {}, "3 labels .* the labels are shorter than the inputs"),
    "not ignored": (nn.CrossEntropy(), T, {}, r"outside 0\.\.2: -1 .*CrossEntropy\(ignore_class=-1\) leaves it out"),
    "others": (IGNORING, np.where(T < 0, -2, T), {}, r"labels outside 0\.\.2: -2"),
    "class weights": (nn.CrossEntropy(), np.abs(T), {"class_weight": {0: 1}}, "class_weight says nothing of class 1"),
}  # fmt: skip


@pytest.mark.parametrize("loss, t, options, text", BAD.values(), ids=list(BAD))
def test_bad_labels(loss, t, options, text):
    model = pel.Model(Projected(), loss)
    with pytest.raises(DataError, match=text):
        model.fit(Y, t, verbose=0, **options)


def test_rows_cannot_be_ignored():
    with pytest.raises(GraphError, match="ignore_class needs class numbers as targets, got rows of float32"):
        nn.CrossEntropy(ignore_class=0)(pel.input("y", (4, 3)), pel.input("t", (4, 3)))
    with pytest.raises(ArgumentError, match="ignore_class must be a whole number, or None, got 'pad'"):
        nn.CrossEntropy(ignore_class="pad")


# ---- labels of 0 and 1 that are not known ---------------------------------------------------------------------------


@pytest.mark.parametrize("make", [nn.BinaryCrossEntropy, nn.BinaryHinge])
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 3), (1, 2, 3)], ids=str)
def test_labels_that_are_not_known_count_nowhere(make, shape):
    y, t = random.normal(size=(6, *shape)), random.integers(-1, 2, (6, *shape))
    t[2] = -1
    loss, each = make(ignore_class=-1), make()
    found = run(loss, y, t.astype(float), kinds="sample")
    pairs = zip(y.ravel(), t.ravel(), strict=True)
    labels = np.array([run(each, a.reshape(1), b.reshape(1).astype(float)) for a, b in pairs]).reshape(y.shape)
    axis = 1 if len(shape) == 3 else -1
    at_places = mean_of(np.moveaxis(labels, axis, -1), np.moveaxis(t >= 0, axis, -1))
    some = (t >= 0).any(axis)
    expected = at_places if at_places.ndim == 1 else mean_of(at_places.reshape(6, -1), some.reshape(6, -1))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    slopes = run(lambda y, t: pel.grad(ops.batch_sum(loss(y, t)), [y])[0], y, t.astype(float), kinds="sample")
    assert (slopes[t < 0] == 0).all()
    model = pel.Model(nn.linear, loss, input_shape=shape, dtype="float64", executor="reference")
    right = mean_of(np.moveaxis((y > 0) == t, axis, -1), np.moveaxis(t >= 0, axis, -1))
    assert model.evaluate(y, t, metrics=["accuracy"])["accuracy"] == pytest.approx(right[some].mean())
    if shape == (4, 1):
        found = model.evaluate(y, t, metrics=["f1", "roc_auc"])
        alone = pel.Model(nn.linear, each, input_shape=(1,), dtype="float64", executor="reference")
        known = t.ravel() >= 0
        assert found["f1"] == alone.evaluate(y.reshape(-1, 1)[known], t.reshape(-1, 1)[known], metrics=["f1"])["f1"]
    elif shape == (4, 3):
        for name in ("f1_macro", "roc_auc"):
            with pytest.raises(GraphError, match=f"{name} .* all labels of a sample, so none may be unknown"):
                model.evaluate(y, t, metrics=[name])


def test_labels_that_are_neither_known_nor_ignored():
    model = pel.Model(nn.linear, nn.BinaryCrossEntropy(ignore_class=-1), input_shape=(4,), executor="reference")
    with pytest.raises(DataError, match=r"must be 0 or 1.*got -2"):
        model.evaluate(np.ones((2, 4)), np.full((2, 4), -2))
