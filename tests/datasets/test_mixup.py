"""Samples mixed in pairs: the formula, that it depends on (seed, epoch, row) alone, and training with it."""

import numpy as np
import pytest

from pellucid import GraphError, Model, nn, optim
from pellucid.data import Augment, DataError, Mixup
from pellucid.train import batches

RNG = np.random.default_rng(0)
N = 3000
X, Y = RNG.normal(size=(N, 4)), RNG.integers(0, 3, N)
ROWS = np.arange(N)
HOT = np.eye(3)[Y]


def mixed(mixup=None, rows=ROWS, seed=1, epoch=0, **arrays):
    return (mixup or Mixup(1.0)).samples({"x": X, "y": HOT} | arrays, rows, seed, epoch)


def test_each_lies_between_a_sample_and_its_partner():
    """x, targets and weights with the same share and partner; each sample is a partner once."""
    number = ROWS[:, None].astype(float)
    found = mixed(x=np.hstack([number, number**2]), y=2 * number, weight=ROWS.astype(float))
    share = Mixup(1.0).shares(ROWS, 1, 0)
    partner = (found["x"][:, 0] - share * ROWS) / (1 - share)
    sure = share < 0.99
    np.testing.assert_allclose(partner[sure], partner[sure].round(), atol=1e-6)
    assert len(np.unique(partner[sure].round())) == sure.sum()
    np.testing.assert_allclose(found["x"][:, 1], share * ROWS**2 + (1 - share) * partner**2, atol=1e-4)
    np.testing.assert_allclose(found["y"][:, 0], 2 * found["x"][:, 0])
    np.testing.assert_allclose(found["weight"], found["x"][:, 0])


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_are_beta(alpha):
    from scipy.stats import kstest

    share = Mixup(alpha).shares(ROWS, 0, 0)
    assert kstest(share, "beta", (alpha, alpha)).pvalue > 0.01
    assert share.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_a_function_of_seed_epoch_and_row():
    whole = mixed()
    for rows in (ROWS[:7], ROWS[100:90:-1], np.array([5])):
        part = mixed(rows=rows)
        for name in whole:
            np.testing.assert_array_equal(part[name], whole[name][rows])
    for other in (mixed(epoch=1), mixed(seed=2)):
        assert ((other["x"] != whole["x"]).mean() > 0.99) and (other["y"] != whole["y"]).any()


def test_bytes_are_rounded_and_the_dtype_stays():
    bytes_ = RNG.integers(0, 256, (N, 2, 3, 3)).astype(np.uint8)
    found = mixed(x=bytes_)["x"]
    exact = mixed(x=bytes_.astype(float))["x"]
    assert found.dtype == np.uint8 and np.abs(found - exact).max() < 0.51
    assert mixed(x=X.astype("float32"))["x"].dtype == np.float32


def test_after_other_changes():
    pictures = RNG.normal(size=(N, 1, 4, 4))
    augment = Augment(flip=True, crop=3)
    found = mixed(Mixup(1.0, augment), x=pictures)["x"]
    changed = augment(pictures, ROWS, 1, 0)
    np.testing.assert_allclose(found, mixed(x=changed)["x"], atol=1e-12)
    np.testing.assert_array_equal(Mixup(1.0, augment).middle(pictures), pictures[..., :3, :3])


def model(loss="cross_entropy", outputs=3, **options):
    net = nn.Sequential(nn.Flatten(), nn.Dense(8), nn.tanh, nn.Dense(outputs))
    return Model(net, loss, optim.Adam(0.01), metrics=["accuracy"] if outputs == 3 else [], **options)


def test_training_is_that_on_the_mixed_arrays():
    """For all losses of classes, with weights and validation; class numbers and rows are the same."""
    weight = RNG.random(N)
    options = {"batch_size": 100, "shuffle": False, "verbose": 0, "sample_weight": weight}
    a, b, c = (model(dtype="float64") for _ in range(3))
    a.fit(X, Y, augment=Mixup(0.5), epochs=2, **options)
    b.fit(X, HOT, augment=Mixup(0.5), epochs=2, **options)
    for epoch in range(2):
        new = mixed(Mixup(0.5), seed=0, epoch=epoch, weight=weight)
        c.fit(new["x"], new["y"], **options | {"sample_weight": new["weight"]})
    for name, w in a.parameters.items():
        np.testing.assert_array_equal(w, b.parameters[name])
        np.testing.assert_allclose(w, c.parameters[name], rtol=1e-12)
    assert a.history.columns == b.history.columns


def test_values_and_validation():
    x, t = X, X[:, :2] * 3
    a = model("mse", 2)
    history = a.fit(x, t, augment=Mixup(), epochs=3, validation_split=0.2, verbose=0)
    assert history["val_loss"][-1] < history["val_loss"][0]
    y = (X[:, :1] > 0).astype(int)
    b = model("binary_cross_entropy", 1)
    assert b.fit(X, y, augment=Mixup(), epochs=5, verbose=0, validation_data=(X, y))["val_loss"][-1] < 0.4


def test_pieces_and_threads_do_not_matter(monkeypatch):
    a, b = model(threads=1), model(threads=3)
    a.fit(X, Y, augment=Mixup(), epochs=2, verbose=0)
    monkeypatch.setattr(batches, "PIECE_BYTES", 5000)
    b.fit(X, Y, augment=Mixup(), epochs=2, verbose=0)
    for name, w in a.parameters.items():
        np.testing.assert_array_equal(w, b.parameters[name])


class Forgetful:
    """An augmentation that loses a target."""

    def __call__(self, x, rows, seed, epoch):
        return x

    def samples(self, arrays, rows, seed, epoch):
        return {"x": arrays["x"][rows], "y": arrays["y"][rows[1:]]}


def tokens():
    net = nn.Sequential(nn.Embedding(10, 4), nn.GlobalAvgPool1D(), nn.Dense(3))
    Model(net, "cross_entropy").fit(Y[:, None].repeat(5, 1), Y, augment=Mixup(), verbose=0)


BAD = {
    "alpha": (lambda: Mixup(0), r"Mixup: alpha must be a number > 0, got 0"),
    "no function": (lambda: Mixup(0.2, "flip"), "Mixup: augment must be data.Augment.*got 'flip'"),
    "twice": (lambda: Mixup(0.2, Mixup(0.2)), "Mixup: augment must be data.Augment"),
    "tokens": (tokens, "Mixup mixes floats and bytes, but x holds int"),
    "ignored labels": (
        lambda: model(nn.CrossEntropy(ignore_class=-1)).fit(X, Y, augment=Mixup(), verbose=0),
        r"Mixup: labels that do not count \(ignore_class\) cannot be mixed",
    ),
    "lost": (
        lambda: model().fit(X, Y, augment=Forgetful(), verbose=0),
        "augment must give an array of y of as many samples as it got, 3000, gave 2999 samples",
    ),
}


@pytest.mark.parametrize("make, text", BAD.values(), ids=list(BAD))
def test_bad_input(make, text):
    with pytest.raises((DataError, GraphError), match=text):
        make()
