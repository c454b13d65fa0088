"""Random changes of pictures: what each does, that they depend on (seed, epoch, row) alone, and training with them."""

import threading

import numpy as np
import pytest

import pellucid as pel
from pellucid import nn
from pellucid.data import Augment, DataError
from pellucid.data.augment import draws, rotated
from pellucid.train import batches
from pellucid.train.building import build

RNG = np.random.default_rng(0)
X = RNG.integers(1, 256, (40, 2, 6, 5)).astype(np.uint8)  # no pixel is 0, the color of what comes in
Y = RNG.integers(0, 3, 40)
ROWS = np.arange(40)
ALL = Augment(flip=True, shift=2, rotation=20, crop=(5, 4), cutout=2, flip_vertical=True, fill=9)


def unit(x):
    return x * (1 / 255)


def model(seed=0, executor="reference", threads=None):
    net = nn.Sequential(nn.Flatten(), unit, nn.Dense(6), nn.tanh, nn.Dropout(0.3), nn.Dense(3))
    return pel.Model(net, "cross_entropy", metrics=["accuracy"], seed=seed, executor=executor, threads=threads)


def same(a, b):
    assert a.state.keys() == b.state.keys() and a.history.columns == b.history.columns
    for name in a.state:
        np.testing.assert_array_equal(a.state[name], b.state[name], err_msg=name)


# ---- the changes ------------------------------------------------------------------------------------------------


def test_nothing_asked_changes_nothing():
    np.testing.assert_array_equal(Augment()(X, ROWS, 0, 0), X)


@pytest.mark.parametrize("name, axis", [("flip", -1), ("flip_vertical", -2)])
def test_flip(name, axis):
    changed = Augment(**{name: True})(X, ROWS, 0, 0)
    flipped = (changed == np.flip(X, axis)).all((1, 2, 3))
    assert (flipped | (changed == X).all((1, 2, 3))).all()
    assert 10 < flipped.sum() < 30


def test_shift():
    changed = Augment(shift=1, fill=0)(X, ROWS, 0, 0)
    framed = np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)))
    found = set()
    for i in ROWS:
        shifts = [
            (t, l) for t in range(3) for l in range(3) if (changed[i] == framed[i, :, t : t + 6, l : l + 5]).all()
        ]
        found.update(shifts)
        assert len(shifts) == 1
    assert len(found) == 9


def test_a_shift_beyond_the_picture_leaves_only_the_fill():
    changed = Augment(shift=50, fill=7)(X, ROWS, 0, 0)
    assert (changed == 7).all((1, 2, 3)).any() and changed.shape == X.shape


def test_crop_and_middle():
    crop = Augment(crop=(4, 3))
    changed, windows = crop(X, ROWS, 0, 0), np.lib.stride_tricks.sliding_window_view(X, (4, 3), (2, 3))
    # (n, C, 3, 3, 4, 3): the nine windows there are
    hits = (changed[:, :, None, None] == windows).all((1, 4, 5))
    assert (hits.sum((1, 2)) == 1).all() and hits.any(0).all()
    np.testing.assert_array_equal(crop.middle(X), X[:, :, 1:5, 1:4])
    assert Augment(crop=4).crop == (4, 4)


def test_rotation():
    x = RNG.normal(size=(3, 2, 5, 5))
    np.testing.assert_allclose(rotated(x, np.array([np.pi / 2, 0, -np.pi / 2]), 0.0), np.stack(
        [np.rot90(x[0], 1, (1, 2)), x[1], np.rot90(x[2], -1, (1, 2))]), atol=1e-12)  # fmt: skip
    one = np.zeros((1, 1, 1, 2), np.float32)
    one[..., 1] = 1.0
    turned = rotated(one, np.array([np.pi / 4]), 0.0)  # its two pixels then lie at +-(0.354, 0.354) from the middle
    a = 0.5 + np.sqrt(2) / 4  # how near in columns, times 1 - 0.354 in rows
    np.testing.assert_allclose(turned[0, 0, 0], [(1 - a) * (1 - np.sqrt(2) / 4), a * (1 - np.sqrt(2) / 4)], atol=1e-6)
    constant = np.full((4, 1, 6, 6), 200, np.uint8)
    assert (Augment(rotation=180, fill=200)(constant, ROWS[:4], 0, 0) == 200).all()


def test_rotation_is_within_its_degrees():
    ramp = np.broadcast_to(np.arange(21.0), (200, 1, 21, 21)) - 10  # value: column from the middle
    changed = Augment(rotation=30)(np.ascontiguousarray(ramp), np.arange(200), 0, 0)
    # at the pixel (r, c) it is c cos a - r sin a
    angle = np.degrees(np.arcsin(-changed[:, 0, 12, 10] / 2))
    assert -30 <= angle.min() < -27 and 27 < angle.max() <= 30


def test_cutout():
    changed = Augment(cutout=3, fill=0)(X, ROWS, 0, 0)
    gone = (changed == 0).all(1)  # (n, H, W)
    np.testing.assert_array_equal(changed, np.where(gone[:, None], 0, X))
    assert set(gone.any(2).sum(1)) == {2, 3} and set(gone.any(1).sum(1)) == {2, 3}  # a square, cut off at a border
    assert (gone.sum((1, 2)) == gone.any(2).sum(1) * gone.any(1).sum(1)).all()


def test_dtype_and_shape_stay():
    for x in (X, X.astype(np.float32), X.astype(np.float64), X.astype(np.int32)):
        changed = ALL(x, ROWS, 0, 0)
        assert changed.dtype == x.dtype and changed.shape == (40, 2, 5, 4)
    gray = Augment(shift=1, rotation=10)(X[:, 0], ROWS, 0, 0)
    np.testing.assert_array_equal(gray, Augment(shift=1, rotation=10)(X[:, :1], ROWS, 0, 0)[:, 0])
    before = X.copy()
    ALL(X, ROWS, 0, 0)
    np.testing.assert_array_equal(X, before)


# ---- what they depend on ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 39])
def test_a_picture_changes_alike_in_any_company(size):
    whole = ALL(X, ROWS, 5, 3)
    order = np.random.default_rng(1).permutation(40)
    for start in range(0, 40, size):
        rows = order[start : start + size]
        np.testing.assert_array_equal(ALL(X[rows], rows, 5, 3), whole[rows])


def test_seed_epoch_and_row_each_matter():
    u = draws([0, 1], 0, 0)
    assert len({*(v for pair in u.values() for v in pair.tolist())}) == 2 * len(u)
    for seed, epoch in ((1, 0), (0, 1), (1 << 40, 0)):
        other = draws([0, 1], seed, epoch)
        assert all((u[name] != other[name]).all() for name in u)


def test_draws_are_uniform():
    for values in draws(np.arange(20000), 3, 1).values():
        assert values.min() >= 0 and values.max() < 1
        counts = np.histogram(values, 10, (0, 1))[0]
        assert ((counts - 2000) ** 2 / 2000).sum() < 35  # chi square, 9 degrees: 1 in 10000


# ---- training ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_same_bits_for_any_pieces_and_threads(executor, monkeypatch):
    results = []
    for samples, threads in ((1000, None), (4, 1), (12, 2)):
        monkeypatch.setattr(batches, "PIECE_BYTES", samples * X[0].nbytes)
        m = model(executor=executor, threads=threads)
        m.fit(
            X,
            Y,
            epochs=3,
            batch_size=4,
            validation_split=0.25,
            sample_weight=np.arange(1.0, 41),
            augment=ALL,
            verbose=0,
        )
        results.append(m)
    same(results[0], results[1])
    same(results[0], results[2])


def test_it_is_what_training_on_changed_arrays_gives():
    a, b = model(), model()
    change = Augment(flip=True, shift=1)
    a.fit(X, Y, epochs=2, augment=change, verbose=0, sample_weight=np.arange(1.0, 41))
    for epoch in range(2):
        b.fit(change(X, ROWS, 0, epoch), Y, epochs=1, verbose=0, sample_weight=np.arange(1.0, 41))
    same(a, b)


def test_it_goes_on_where_it_stopped(tmp_path):
    a, b = model(), model()
    a.fit(X, Y, epochs=4, augment=ALL, verbose=0)
    b.fit(X, Y, epochs=2, augment=ALL, verbose=0)
    b.save(tmp_path / "b.pel")
    b = pel.load(tmp_path / "b.pel", custom_objects={"unit": unit}, executor="reference")
    b.fit(X, Y, epochs=2, augment=ALL, verbose=0)
    same(a, b)


def test_validation_is_not_augmented():
    seen = []

    def watch(x, rows, seed, epoch):
        seen.append(set(rows.tolist()))
        return np.zeros_like(x)

    m = model()
    m.fit(X, Y, epochs=2, batch_size=5, validation_split=0.25, augment=watch, verbose=0)
    assert set.union(*seen) == set(range(30))
    plain = model()
    _, held = pel.train.training.split({"x": X, "y": Y}, 0.25, 0)
    build(plain, m.specs, m.how)
    plain.set_parameters(m.parameters)
    assert plain.evaluate(held["x"], held["y"])["loss"] == m.history["val_loss"][-1]


def test_crop_decides_what_the_net_is_built_for():
    m, crop = model(), Augment(crop=4)
    m.fit(X, Y, epochs=1, augment=crop, validation_data=(X, Y), verbose=0)
    assert m.specs["x"].shape == (2, 4, 4)
    assert m.evaluate(crop.middle(X), Y)["loss"] == m.history["val_loss"][0]
    m.fit(X, Y, epochs=1, augment=crop, validation_data=(crop.middle(X), Y), verbose=0)  # cut already


def test_callbacks_progress_and_early_end(capsys):
    class Stop(pel.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    m = model()
    m.fit(X, Y, epochs=50, augment=Augment(shift=1), callbacks=[Stop()], verbose=2)
    assert m.epochs == 2 and capsys.readouterr().out.count("epoch ") == 2
    assert not [t for t in threading.enumerate() if t.name.startswith("pellucid-augment")]


def test_epochs_0():
    m = model()
    assert m.fit(X, Y, epochs=0, augment=ALL, verbose=0).epochs == 0


@pytest.mark.parametrize("at", [0, 1])
def test_an_error_in_an_epoch_leaves_the_model_as_it_was(at, monkeypatch):
    monkeypatch.setattr(batches, "PIECE_BYTES", 10 * X[0].nbytes)
    made = []

    def breaks(x, rows, seed, epoch):
        made.append(rows)
        if len(made) > at:
            raise RuntimeError("no more")
        return x

    m = model()
    m.fit(X, Y, epochs=1, verbose=0)
    before = dict(m.state)
    with pytest.raises(RuntimeError, match="no more"):
        m.fit(X, Y, epochs=1, batch_size=10, augment=breaks, verbose=0)
    assert m.state == before or all((m.state[k] == before[k]).all() for k in before)
    assert m.epochs == 1
    assert not [t for t in threading.enumerate() if t.name.startswith("pellucid-augment")]


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_divergence_counts_the_steps_of_the_epoch(executor, monkeypatch):
    monkeypatch.setattr(batches, "PIECE_BYTES", 10 * 60 * 4)
    x = X.astype(np.float32)

    def grows(x, rows, seed, epoch):
        return np.where(np.isin(rows, order[20:30])[:, None, None, None], np.float32("inf"), x)

    order = batches.order_of(0, 0, 40, True)
    m = model(executor=executor)
    with pytest.raises(pel.DivergedError, match="epoch 1, step 5"):
        m.fit(x, Y, epochs=1, batch_size=5, augment=grows, verbose=0)


# ---- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, words",
    [
        ({"shift": -1}, "shift must be a whole number of pixels"),
        ({"shift": 0.5}, "shift must be a whole number of pixels"),
        ({"cutout": True}, "cutout must be"),
        ({"rotation": 200}, "0 to 180 degrees"),
        ({"rotation": -5}, "0 to 180 degrees"),
        ({"crop": 0}, "height, width"),
        ({"crop": (3.5, 3)}, "height, width"),
        ({"flip": "vertical"}, "flip must be True or False"),
        ({"crop": (3, 3, 3)}, "height, width"),
    ],
)
def test_options(options, words):
    with pytest.raises(DataError, match=words):
        Augment(**options)


def test_bad_arrays():
    with pytest.raises(DataError, match=r"shape \(3, 16\); did you mean x.reshape\(-1, 1, 4, 4\)"):
        Augment(flip=True)(np.zeros((3, 16)), ROWS[:3], 0, 0)
    with pytest.raises(DataError, match="takes pictures"):
        Augment(flip=True)(np.zeros((3, 1, 2, 2), bool), ROWS[:3], 0, 0)
    for fill in (300, 0.5, -1):
        with pytest.raises(DataError, match="is no uint8"):
            Augment(shift=1, fill=fill)(X, ROWS, 0, 0)
    with pytest.raises(DataError, match=r"crop=\(7, 7\) is larger than the pictures of \(6, 5\)"):
        Augment(crop=7)(X, ROWS, 0, 0)


def test_bad_use_in_fit():
    for augment, words in (
        (3, "augment must be pellucid.data.Augment"),
        (lambda x, *_: x[:-1], "as many samples as it got, 40, gave 39 samples"),
        (lambda x, *_: x.tolist(), "gave list"),
        (lambda x, *_: x[:, :1], "expected n samples of shape|built for|has shape"),
        (Augment(crop=9), "larger than the pictures"),
    ):
        m = model(executor="native")
        with pytest.raises((DataError, pel.ArgumentError, pel.GraphError), match=words):
            m.fit(X, Y, batch_size=40, augment=augment, verbose=0)
    twins = pel.Model(lambda a, b: nn.Dense(3)(nn.Flatten()(a + b)), "cross_entropy")
    with pytest.raises(pel.ArgumentError, match="several inputs"):
        twins.fit((X, X), Y, augment=Augment(), verbose=0)
    x = X.astype(np.float32)
    x[3, 0, 0, 0] = np.nan  # outside of the middle
    with pytest.raises(DataError, match="row 3"):
        model().fit(x, Y, augment=Augment(crop=2), verbose=0)
