"""Padding in losses and metrics: what a mask leaves out counts nowhere; weights of steps; and what is told."""

import warnings

import numpy as np
import pytest
from native_tools import agree

import pellucid as pel
from pellucid import DataError, GraphError, nn, ops
from pellucid.metrics import METRICS, MeanOfPrediction
from pellucid.nn.loss import loss_of_sample
from pellucid.nn.masks import MaskWarning, counting
from pellucid.train.ensemble_training import fit_members

random = np.random.default_rng(0)
STEPS = np.array([2, 6, 0, 5])
REAL = np.arange(6) < STEPS[:, None]  # (4, 6)
Y = random.normal(size=(4, 6, 3))


def masked(x, counted):
    return nn.with_mask(x, counted > 0)


def model_of(loss, metrics=(), executor="reference", k=3, net=masked):
    return pel.Model(net, loss, metrics=metrics, executor=executor, dtype="float64", input_shape=((6, k), (6,)))


def one_by_one(loss, metrics=(), k=3):
    return pel.Model(nn.linear, loss, metrics=metrics, executor="reference", dtype="float64", input_shape=(k,))


TARGETS = {
    "classes": random.integers(0, 3, (4, 6)),
    "binary": random.integers(0, 2, (4, 6, 3)),
    "values": random.integers(0, 4, (4, 6, 3)).astype(float),
}


def at_once(loss, mask=REAL, y=Y, t=None, weight=None, slope=False):
    """A loss of masked outputs, of each sample, and its slope."""
    t = TARGETS[loss.targets] if t is None else t
    t = t if loss.targets == "classes" else t.astype(float)
    inputs = {"y": y, "mask": mask.astype("uint8"), "t": t.astype("int32") if loss.targets == "classes" else t}
    inputs |= {} if weight is None else {"weight": weight}
    v = {name: pel.input(name, a.shape[1:], str(a.dtype)) for name, a in inputs.items()}
    with counting(v["y"], v["mask"] > 0, v.get("weight")):
        each, share = loss_of_sample(loss, v["y"], v["t"])
    outputs = {"loss": each, "share": share, "slope": pel.grad(ops.batch_sum(each), [v["y"]])[0]}
    return agree(pel.Program(v, outputs), inputs)[0]


# ---- the example ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_padding_counts_neither_in_the_loss_nor_in_metrics(executor):
    x, y = np.zeros((2, 6, 3)), np.full((2, 6, 1), -4.0)
    x[0, :2] = x[1] = 1
    y[0, 2:] = 1  # at padding: another error than 4
    net = nn.Sequential(nn.Masking(), nn.TimeDistributed(nn.Dense(1, weight_init=nn.init.zeros)))
    names = ["mae", "mse", "rmse", "max_error", "median_absolute_error", "r2"]
    model = pel.Model(net, "mse", "sgd", names[:3], executor=executor, input_shape=(6, 3))
    found = model.evaluate(x, y, metrics=names)
    assert found == {"loss": 16, "mae": 4, "mse": 16, "rmse": 4, "max_error": 4, "median_absolute_error": 4, "r2": 0}
    model.fit(x, y, epochs=1, validation_data=(x, y), verbose=0)
    assert model.history["loss"] == [16] and model.history["mae"] == [4]


def test_an_output_of_one_number_a_step_without_an_axis_for_it():
    x, y = np.ones((2, 6, 3)), np.full((2, 6), -4.0)
    x[0, 2:], y[0, 2:] = 0, 1
    net = nn.Sequential(nn.Masking(), nn.TimeDistributed(nn.Dense(1, weight_init=nn.init.zeros)), nn.Flatten())
    model = pel.Model(net, "mse", input_shape=(6, 3))
    found = model.evaluate(x, y, metrics=["mae", "max_error", "r2"])
    assert found == {"loss": 16, "mae": 4, "max_error": 4, "r2": 0}


# ---- every loss, every metric -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", nn.LOSSES)
def test_a_loss_of_padded_sequences_is_that_of_the_sequences_without_padding(name):
    loss = nn.LOSSES[name]()
    found, t = at_once(loss), TARGETS[loss.targets]
    for i, n in enumerate(STEPS):
        if n == 0:
            assert found["loss"][i] == 0 and found["share"][i] == 0 and (found["slope"][i] == 0).all()
            continue
        alone = at_once(loss, REAL[i : i + 1, :n], Y[i : i + 1, :n], t[i : i + 1, :n])
        np.testing.assert_allclose(found["loss"][i], alone["loss"][0], rtol=1e-12)
        np.testing.assert_allclose(found["slope"][i, :n], alone["slope"][0], rtol=1e-12)
        assert (found["slope"][i, n:] == 0).all() and found["share"][i] == 1


@pytest.mark.parametrize("name", nn.LOSSES)
def test_slopes_by_finite_differences_and_nothing_from_what_overflows_at_padding(name):
    loss, wild = nn.LOSSES[name](), np.where(REAL[..., None], Y, 1e30)
    slope = at_once(loss, y=wild)["slope"]
    assert np.isfinite(slope).all() and (slope[~REAL] == 0).all()
    for place in [(0, 1, 0), (0, 3, 2), (1, 5, 1), (3, 0, 2)]:
        up, down = Y.copy(), Y.copy()
        up[place] += 1e-6
        down[place] -= 1e-6
        difference = (at_once(loss, y=up)["loss"] - at_once(loss, y=down)["loss"])[place[0]] / 2e-6
        assert slope[place] == pytest.approx(difference, abs=1e-7)


OF = {  # a loss, and the metrics that go with it: all there are
    "classes": ("cross_entropy", ["accuracy", "top_2_accuracy", "log_loss", "brier_score_loss", "f1_macro", "f1_micro",
                "f1_weighted", "precision_macro", "recall_macro", "jaccard_macro", "balanced_accuracy",
                "matthews_corrcoef", "cohen_kappa", "confusion_matrix", "multilabel_confusion_matrix", "roc_auc_ovr",
                "roc_auc_ovr_weighted", "average_precision"]),
    "two": ("cross_entropy", ["f1", "precision", "recall", "jaccard", "roc_auc", "brier_score_loss"]),
    "binary": ("binary_cross_entropy", ["accuracy", "hamming_loss", "subset_accuracy", "f1_macro", "f1_samples",
               "precision_samples", "multilabel_confusion_matrix", "roc_auc", "average_precision"]),
    "values": ("mse", ["mse", "mae", "rmse", "r2", "explained_variance", "median_absolute_error", "d2_absolute_error",
               "mean_absolute_percentage_error"]),
    "counts": ("poisson", ["mse", "mean_squared_log_error", "root_mean_squared_log_error", "r2"]),
    "one": ("poisson", ["mean_poisson_deviance", "max_error"]),
}  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("kind", OF)
def test_each_step_that_counts_is_a_sample_to_metrics(kind, weighted):
    (loss, metrics), k = OF[kind], {"two": 2, "one": 1}.get(kind, 3)
    y = Y[..., :k]
    t = TARGETS.get("classes" if kind == "two" else kind, TARGETS["values"])
    t = t % 2 if kind == "two" else t if kind in ("classes", "binary") else t[..., :k]
    names = [m for m in metrics if not (weighted and m == "max_error")]
    w = random.integers(1, 4, (4, 6)).astype(float)
    w[1, 2] = 0  # as if it were padding
    options = [{"sample_weight": w}, {"sample_weight": w[REAL]}] if weighted else [{}, {}]
    found = model_of(loss, k=k).evaluate((y, REAL.astype(int)), t, metrics=names, batch_size=3, **options[0])
    alone = one_by_one(loss, k=k).evaluate(y[REAL], t[REAL], metrics=names, **options[1])
    for name in names:
        np.testing.assert_allclose(found[name], alone[name], rtol=1e-9, err_msg=name)


def test_all_kinds_of_metrics_are_tried():
    tried = {type(METRICS[name]) for _, names in OF.values() for name in names if name in METRICS}
    assert {type(metric) for metric in METRICS.values()} == tried


# ---- samples without any step, weights of steps ---------------------------------------------------------------------


def test_a_sample_of_nothing_but_padding_is_none():
    t = TARGETS["values"]
    for rows in (slice(None), [0, 1, 3]):
        x = (Y[rows], REAL[rows].astype(int))
        found = model_of("mse", ["mae"]).evaluate(x, t[rows], metrics=["mae", "r2"])
        assert found == pytest.approx(model_of("mse").evaluate((Y, REAL.astype(int)), t, metrics=["mae", "r2"]))
        assert np.isfinite(list(found.values())).all()


def test_the_loss_is_the_mean_over_samples_of_the_mean_over_their_steps():
    square = ((Y - TARGETS["values"]) ** 2).mean(-1)
    each = [square[i, :n].mean() for i, n in enumerate(STEPS) if n]
    model = model_of("mse", ["mse"])
    found = model.evaluate((Y, REAL.astype(int)), TARGETS["values"])
    assert found["loss"] == pytest.approx(np.mean(each)) and found["mse"] == pytest.approx(square[REAL].mean())


def test_weights_of_steps_that_are_0_are_as_padding():
    t = TARGETS["values"]
    padded = model_of("mse", ["mae", "r2"]).evaluate((Y, REAL.astype(int)), t)
    weighed = model_of("mse", ["mae", "r2"], net=lambda x, _: x * 1).evaluate((Y, REAL * 1), t, sample_weight=REAL * 1)
    assert weighed == pytest.approx(padded)


def test_the_same_weight_at_all_steps_is_that_of_the_sample():
    net = nn.Sequential(nn.Masking(), nn.TimeDistributed(nn.Dense(1)))
    w, x = np.array([2.0, 1.0, 3.0, 0.5]), np.where(REAL[..., None], Y, 0)

    def fitted(weight):
        model = pel.Model(net, "mse", "sgd", ["mae"], dtype="float64", executor="reference")
        model.fit(x, TARGETS["values"][..., :1], epochs=3, batch_size=2, sample_weight=weight, verbose=0)
        return np.concatenate([model.history["loss"], model.parameters["layers.1.layer.weight"].ravel()])

    np.testing.assert_allclose(fitted(w), fitted(np.repeat(w[:, None], 6, 1)), rtol=1e-12)


def test_weights_of_pixels():
    y, t = random.normal(size=(3, 4, 2, 2)), random.integers(0, 4, (3, 2, 2))
    w = random.integers(0, 3, (3, 2, 2)).astype(float)
    model = pel.Model(nn.linear, "cross_entropy", executor="reference", dtype="float64", input_shape=(4, 2, 2))
    found = model.evaluate(y, t, sample_weight=w, metrics=["accuracy"])["accuracy"]
    assert found == pytest.approx(np.average(y.argmax(1) == t, weights=w))


def test_class_weights_of_labels_at_every_step():
    t, each = TARGETS["classes"], np.array([1.0, 2.0, 5.0])
    model = model_of("cross_entropy")
    arrays = model._arrays((Y, REAL * 1), t, class_weight=dict(enumerate(each)))
    np.testing.assert_array_equal(arrays["weight"], np.where(REAL, each[t], 1))  # at padding it plays no part
    ignoring = pel.Model(nn.linear, nn.CrossEntropy(ignore_class=-1), input_shape=(6, 3))
    balanced = ignoring._arrays(Y, np.where(REAL, t, -1), class_weight="balanced")["weight"]
    counts = np.bincount(t[REAL])
    np.testing.assert_allclose(balanced[REAL], (REAL.sum() / (3 * counts))[t[REAL]], rtol=1e-6)


@pytest.mark.parametrize("shape", [(4, 5), (4, 6, 2), (3,), (4, 6, 3, 1)])
def test_weights_that_fit_neither_samples_nor_steps(shape):
    with pytest.raises(DataError, match=r"sample_weight has shape .*, expected \(4,\), or \(4, 6\), one for each step"):
        model_of("mse").evaluate((Y, REAL * 1), TARGETS["values"], sample_weight=np.ones(shape))


# ---- functions of one's own ---------------------------------------------------------------------------------------


def by_step(y, t):
    return ops.mean((y - t) ** 2, -1)


def in_one(y, t):
    return ops.mean((y - t) ** 2)


def asking(y, t):
    counted = ops.cast(nn.mask_of(y), y.dtype)
    return ops.sum(by_step(y, t) * counted) / ops.maximum(ops.sum(counted), 1)


def test_functions_that_give_a_number_for_each_step():
    x, t = (Y, REAL.astype(int)), TARGETS["values"]
    expected = model_of("mse").evaluate(x, t, metrics=["mse"])
    assert model_of(by_step).evaluate(x, t)["loss"] == pytest.approx(expected["loss"])
    assert model_of(asking).evaluate(x, t)["loss"] == pytest.approx(expected["loss"])
    assert model_of("mse").evaluate(x, t, metrics=[by_step])["by_step"] == pytest.approx(expected["mse"])
    assert model_of("mse").evaluate(x, t, metrics=[asking])["asking"] == pytest.approx(expected["loss"])


def test_a_function_that_counts_padding_is_told():
    x, t = (Y, REAL.astype(int)), TARGETS["values"]
    with pytest.warns(MaskWarning, match=r"the loss in_one gives one number for the whole sequence \(6, 3\)"):
        model_of(in_one).evaluate(x, t)
    with pytest.warns(MaskWarning, match="metric 'in_one' gives one number for the whole sequence"):
        model_of("mse").evaluate(x, t, metrics=[MeanOfPrediction("in_one", in_one)])
    with pytest.raises(GraphError, match=r"the loss in_one gives one number .* so steps cannot have weights"):
        model_of(in_one).evaluate(x, t, sample_weight=np.ones((4, 6)))


# ---- what else adds to the cost; members ----------------------------------------------------------------------------


def gradient_of(net, loss, x, t, **options):
    model = pel.Model(net, loss, executor="reference", dtype="float64", **options)
    return model.gradients(x, t)


def test_a_head_half_way_and_penalties_leave_padding_out():
    shared = nn.TimeDistributed(nn.Dense(2))
    net = nn.Sequential(
        nn.Masking(),
        nn.Regularized(nn.TimeDistributed(nn.Dense(3, bias_init=nn.init.constant)), activations=nn.L2(0.1)),
        nn.AuxiliaryHead(nn.TimeDistributed(nn.Dense(2))),
        shared,
    )
    x, t = Y[1:2, :4], TARGETS["values"][1:2, :4, :2]
    cost, slopes = gradient_of(net, "mse", x, t)
    wide = np.pad(x, ((0, 0), (0, 3), (0, 0))), np.pad(t, ((0, 0), (0, 3), (0, 0)), constant_values=7.0)
    padded, others = gradient_of(net, "mse", *wide)
    assert padded == pytest.approx(cost, rel=1e-12)
    for name, a in slopes.items():
        np.testing.assert_allclose(others[name], a, rtol=1e-10, atol=1e-12, err_msg=name)


def test_members_together_are_as_each_alone():
    x, t = np.where(REAL[..., None], Y, 0).astype("f4"), TARGETS["classes"]
    make = lambda seed: pel.Model(
        nn.Sequential(nn.Masking(), nn.TimeDistributed(nn.Dense(3))), "cross_entropy", "sgd", ["accuracy"], seed=seed
    )  # fmt: skip
    models = [make(seed) for seed in range(2)]
    fit_members(models, x, t, epochs=2)
    alone = make(0)
    alone.fit(x, t, epochs=2, verbose=0)
    assert models[0].history["accuracy"] == pytest.approx(alone.history["accuracy"])
    assert models[0].history["loss"] == pytest.approx(alone.history["loss"], rel=1e-5)


def test_a_committee_is_judged_without_padding():
    x, t = (Y, REAL.astype(int)), TARGETS["values"]
    model = model_of("mse", ["mae", "max_error"][:1])
    assert pel.Committee([model, model]).evaluate(x, t) == pytest.approx(model.evaluate(x, t))


# ---- ignored classes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [nn.CrossEntropy, nn.Hinge, nn.MissProbability, nn.ClassDistance])
def test_any_loss_over_classes_may_ignore_one(make):
    t = np.where(REAL, TARGETS["classes"], -1)
    model = pel.Model(nn.linear, make(ignore_class=-1), executor="reference", dtype="float64", input_shape=(6, 3))
    found = model.evaluate(Y, t, metrics=["accuracy", "f1_macro"])
    assert found == pytest.approx(
        model_of(make()).evaluate((Y, REAL.astype(int)), TARGETS["classes"], metrics=["accuracy", "f1_macro"])
    )


def test_a_net_traced_again_is_not_told_again():
    net = nn.Sequential(nn.Masking(), nn.Flatten(), nn.Dense(1))
    with pytest.warns(MaskWarning) as told:
        model = pel.Model(net, "mse", executor="reference")
        model.fit(Y, np.arange(4.0), epochs=1, verbose=0)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(Y)
        model.evaluate(Y, np.arange(4.0))
