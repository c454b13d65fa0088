"""Masks where they meet other things: nothing but padding, empty attention, buckets, steppers, files, other losses."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import nn, ops, optim
from pellucid.data import Buckets, pad_sequences

random = np.random.default_rng(0)
WORDS = [random.integers(1, 9, n) for n in (3, 6, 1, 5, 4, 2, 6, 3)]
TAGS = [w % 3 for w in WORDS]
PADDED, LABELS = pad_sequences(WORDS), pad_sequences(TAGS)
EMPTY = np.zeros((1, 6), "int32")


def embedded(*layers, **options):
    return nn.Sequential(nn.Embedding(9, 4, padding_index=0), *layers, **options)


def model_of(net, loss="cross_entropy", executor="reference", **options):
    return pel.Model(net, loss, executor=executor, dtype="float64", input_shape=(6,), input_dtype="int32", **options)


VECTORS = {
    "rnn": nn.RNN(3),
    "lstm from the end": nn.LSTM(3, reverse=True),
    "both ways": nn.Bidirectional(nn.GRU(3)),
    "max": nn.GlobalMaxPool1D(),
    "mean": nn.GlobalAvgPool1D(),
    "attention": nn.Sequential(nn.Attention(), nn.GlobalMaxPool1D()),
    "heads": nn.Sequential(nn.MultiHeadAttention(2), nn.GlobalAvgPool1D()),
    "windows": nn.Sequential(nn.Conv1D(3, 2), nn.MaxPool1D(2, 1), nn.GlobalMaxPool1D()),
    "block": nn.Sequential(nn.TransformerBlock(2, 5), nn.GlobalAvgPool1D()),
    "batch norm": nn.Sequential(nn.BatchNorm(), nn.GlobalAvgPool1D()),
}


@pytest.mark.parametrize("executor", ["reference", "native"])
@pytest.mark.parametrize("layer", VECTORS.values(), ids=list(VECTORS))
def test_nothing_but_padding_is_a_number_and_more_of_it_the_same(layer, executor):
    if executor == "native" and layer not in (VECTORS["both ways"], VECTORS["heads"], VECTORS["windows"]):
        pytest.skip("the other layers' native programs are tested with masks elsewhere")
    model = model_of(embedded(layer, nn.Dense(2)), executor=executor)
    found = model.predict(EMPTY)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(model.predict(np.zeros((1, 8), int)), found, rtol=1e-12)
    both = np.concatenate([PADDED[:2], EMPTY])
    cost, slopes = model.gradients(both, [0, 1, 1])
    assert np.isfinite(cost) and all(np.isfinite(a).all() for a in slopes.values())


def test_the_output_of_each_step_of_nothing_counts_nowhere():
    model = model_of(embedded(nn.LSTM(3, return_sequences=True), nn.TimeDistributed(nn.Dense(3))), metrics=["accuracy"])
    found = model.evaluate(PADDED, LABELS)
    more = model.evaluate(np.concatenate([PADDED, EMPTY]), np.concatenate([LABELS, np.ones((1, 6), int)]))
    assert more == pytest.approx(found)
    nothing = model.evaluate(EMPTY, np.zeros((1, 6), int))
    assert np.isnan(nothing["accuracy"]) and np.isnan(nothing["loss"])  # of no sample there is no mean
    cost, slopes = model.gradients(EMPTY, np.zeros((1, 6), int))
    assert cost == 0 and not any(a.any() for a in slopes.values())


@pytest.mark.parametrize("loss", ["cross_entropy", "half_squared_error"])
def test_buckets_of_padded_sequences_are_as_one_array(loss):
    net = embedded(nn.GRU(3, return_sequences=True), nn.TimeDistributed(nn.Dense(3)))
    values = loss != "cross_entropy"
    y = [np.eye(3)[t] for t in TAGS] if values else TAGS
    metrics = ["mse", "r2"] if values else ["accuracy", "f1_macro"]
    model = model_of(net, loss, metrics=metrics)
    wide = model.evaluate(PADDED, pad_sequences(y))
    own = {"target_value": 0} if values else {}
    buckets = Buckets(WORDS, y, boundaries=[2, 4], **own)
    if not values:  # labels are padded with -1
        model = pel.Model(net, nn.CrossEntropy(ignore_class=-1), executor="reference", dtype="float64", metrics=metrics)
        model._build({"x": pel.train.arrays.Spec((6,), "int32")}, "one")
    assert model.evaluate(buckets) == pytest.approx(wide)
    for y_alone, w in zip(model.predict(buckets), WORDS, strict=True):
        np.testing.assert_allclose(y_alone, model.predict(w[None])[0], rtol=1e-9)
    model.fit(buckets, epochs=2, validation_data=buckets, verbose=0)
    assert model.history[f"val_{metrics[0]}"][-1] == pytest.approx(model.evaluate(buckets)[metrics[0]])


def test_training_and_evaluation_report_alike():
    net = embedded(nn.TimeDistributed(nn.Dense(3)))
    model = model_of(net, metrics=["accuracy", "f1_macro", "log_loss"], optimizer=optim.SGD(1e-9))
    model.fit(PADDED, LABELS, batch_size=3, epochs=1, validation_data=(PADDED, LABELS), verbose=0)
    for name in ("loss", "accuracy", "f1_macro", "log_loss"):
        assert model.history[name][0] == pytest.approx(model.history[f"val_{name}"][0], rel=1e-6), name


def test_a_stepper_of_a_net_with_masks():
    net = embedded(nn.GRU(3, return_sequences=True), nn.LayerNorm(), nn.TimeDistributed(nn.Dense(3)))
    model = model_of(net)
    stepper, whole = model.stepper(), model.predict(PADDED)
    steps = np.stack([stepper(PADDED[:, t]) for t in range(6)], 1)
    np.testing.assert_allclose(steps[PADDED > 0], whole[PADDED > 0], rtol=1e-9)


def test_dropout_in_a_layer_of_each_step_keeps_the_mask():
    net = embedded(nn.TimeDistributed(nn.Sequential(nn.Dropout(0.5), nn.Dense(3))))
    wide = np.pad(PADDED, ((0, 0), (0, 3))), np.pad(LABELS, ((0, 0), (0, 3)))
    cost, slopes = model_of(net).gradients(PADDED, LABELS)
    padded, others = model_of(net).gradients(*wide)
    assert padded == pytest.approx(cost)  # the draws are those of a step, so they are the same for any length
    for name, a in slopes.items():
        np.testing.assert_allclose(others[name], a, rtol=1e-9, atol=1e-12)


def test_layer_outputs_and_features_of_masked_nets():
    model = model_of(embedded(nn.MultiHeadAttention(2), nn.GlobalMaxPool1D(), nn.Dense(2)))
    found = model.layer_outputs(PADDED)
    weights = found["layers.1.weights"]
    assert (weights.transpose(0, 3, 1, 2)[PADDED == 0] == 0).all()
    np.testing.assert_allclose(weights.sum(-1), 1)
    np.testing.assert_allclose(model.features(PADDED, "layers.2"), found["layers.2"], rtol=1e-12)


@pytest.mark.parametrize("axis", [None, -1])
def test_a_saved_model_has_its_loss_with_the_axis(axis, tmp_path):
    model = pel.Model(nn.Sequential(nn.Conv(4, 1)), nn.CrossEntropy(axis=axis, ignore_class=-1), input_shape=(1, 4, 4))
    model.save(tmp_path / "a.pel")
    again = pel.load(tmp_path / "a.pel")
    assert again.loss.axis == axis and again.loss.ignore_class == -1
    x = random.normal(size=(2, 1, 4, 4))
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    np.testing.assert_allclose(model.predict(x).sum(1 if axis is None else 3), 1, rtol=1e-5)


def test_a_function_of_two_sequences_heeds_the_masks_of_both():
    def translate(source, target):
        memory = nn.Embedding(9, 4, padding_index=0, name="a")(source)
        y = nn.Embedding(9, 4, padding_index=0, name="b")(target)
        return nn.Conv1D(9, 1, name="words")(nn.TransformerDecoderBlock(2, 5, name="decoder")(y, memory))

    model = pel.Model(translate, "cross_entropy", executor="reference", dtype="float64", metrics=["accuracy"])
    target = PADDED[:, ::-1][:, :5].copy()
    model._build({"x.0": pel.train.arrays.Spec((6,), "int32"), "x.1": pel.train.arrays.Spec((5,), "int32")}, "tuple")
    found = model.evaluate((PADDED, target), target)
    wide = [np.pad(a, ((0, 0), (0, 2))) for a in (PADDED, target)]
    assert model.evaluate(tuple(wide), wide[1]) == pytest.approx(found)


def test_whole_batches_by_l_bfgs_and_rates_that_are_looked_for():
    net = embedded(nn.TimeDistributed(nn.Dense(3)))
    model = model_of(net, optimizer=optim.LBFGS())
    model.fit(PADDED, LABELS, epochs=30, verbose=0)
    assert model.evaluate(PADDED, LABELS, metrics=["accuracy"])["accuracy"] == 1
    weights = (PADDED > 0).astype(float)
    search = model_of(net).find_learning_rate(PADDED, LABELS, steps=10, batch_size=4, sample_weight=weights)
    assert np.isfinite(search.losses).all()


def test_weights_of_steps_go_through_validation_and_splits():
    net = nn.TimeDistributed(nn.Dense(2))
    x, t = random.normal(size=(20, 6, 3)), random.normal(size=(20, 6, 2))
    w = random.integers(0, 3, (20, 6)).astype(float)
    model = pel.Model(net, "mse", "sgd", ["mae"], dtype="float64", executor="reference")
    model.fit(x, t, sample_weight=w, validation_split=0.25, epochs=2, verbose=0)
    assert np.isfinite(model.history["val_loss"]).all()
    held = model.fit(x, t, sample_weight=w, validation_data=(x, t, w), epochs=1, verbose=0)
    found = model.evaluate(x, t, sample_weight=w)
    assert held["val_loss"][-1] == pytest.approx(found["loss"]) and held["val_mae"][-1] == pytest.approx(found["mae"])


def test_a_mixture_density_of_padded_strokes():
    loss = nn.MixtureDensity(2, classes=3)
    net = nn.Sequential(nn.Masking(), nn.TimeDistributed(nn.Dense(15)))
    x = random.normal(size=(3, 5, 2))
    t = np.concatenate([random.normal(size=(3, 5, 2)), random.integers(0, 3, (3, 5, 1))], -1)
    model = pel.Model(net, loss, executor="reference", dtype="float64", input_shape=(5, 2))
    wide = np.pad(x, ((0, 0), (0, 2), (0, 0))), np.pad(t, ((0, 0), (0, 2), (0, 0)))
    assert model.evaluate(*wide)["loss"] == pytest.approx(model.evaluate(x, t)["loss"], rel=1e-9)


def test_a_metric_of_ones_own_leaves_samples_of_padding_out():
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Longest(pel.metrics.Metric):
        def sums(self, y, t, loss):
            return {"own.total": ops.max(ops.cast(nn.mask_of(y), y.dtype)) * 3}

        def finish(self, sums):
            return sums["own.total"] / sums["weight"]

    model = model_of(embedded(nn.TimeDistributed(nn.Dense(3))))
    both = np.concatenate([PADDED, EMPTY]), np.concatenate([LABELS, EMPTY])
    assert model.evaluate(*both, metrics=[Longest("longest")])["longest"] == 3


def test_balanced_classes_are_counted_without_padding():
    model = model_of(embedded(nn.TimeDistributed(nn.Dense(3))))
    weights = model._arrays(PADDED, LABELS, class_weight="balanced")["weight"]
    real = PADDED > 0
    counts = np.bincount(LABELS[real])
    np.testing.assert_allclose(weights[real], (real.sum() / (3 * counts))[LABELS[real]])


@pytest.mark.parametrize("k", [1, 2])
def test_balanced_labels_are_counted_without_padding_and_without_what_is_not_known(k):
    labels = random.integers(0, 2, (*PADDED.shape, k))
    real = PADDED > 0
    loss = nn.BinaryCrossEntropy(ignore_class=-1)
    masked = model_of(embedded(nn.TimeDistributed(nn.Dense(k))), "binary_cross_entropy", optimizer=optim.SGD(0.1))
    ignoring = model_of(
        nn.Sequential(nn.Embedding(9, 4), nn.TimeDistributed(nn.Dense(k))), loss, optimizer=optim.SGD(0.1)
    )
    for model, t in ((masked, labels), (ignoring, np.where(real[..., None], labels, -1))):
        model.fit(PADDED, t, class_weight="balanced", batch_size="all", epochs=2, verbose=0)
    for name, a in masked.parameters.items():
        np.testing.assert_allclose(ignoring.parameters[name], a, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_doctors_baseline_leaves_padding_out(weighted):
    from pellucid.train.doctor.case import Case

    def baseline(x, t):
        model = model_of(embedded(nn.TimeDistributed(nn.Dense(3))))
        return Case(model, model._arrays(x, t, sample_weight=(x > 0) * 2.0 if weighted else None)).baseline

    assert baseline(PADDED, np.where(PADDED > 0, 1, 2)) < 0.01  # one class alone, whatever stands at padding
    assert baseline(PADDED, LABELS) > 0.5


def test_the_doctor_looks_at_segmentation():
    x = random.normal(size=(32, 1, 6, 5)).astype("f4")
    model = pel.Model(nn.Sequential(nn.Conv(4, 1), nn.relu, nn.Conv(3, 1)), "cross_entropy", optim.Adam(0.05))
    model.fit(x, np.digitize(x[:, 0], [-0.5, 0.5]), epochs=3, verbose=0)
    model.diagnose(x, np.digitize(x[:, 0], [-0.5, 0.5]))
