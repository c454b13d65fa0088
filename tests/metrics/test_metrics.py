"""Metrics by scikit-learn's names: equal to its numbers, with weights and without, for any batch size."""

import warnings

import numpy as np
import pytest
import sklearn.metrics as sk

import pellucid as pel
from pellucid import ArgumentError, DataError, GraphError, Model, load, nn
from pellucid.executors import EXECUTORS
from pellucid.metrics import METRICS, as_metrics, larger_is_better

N, K = 83, 4
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 5)).astype("float32")
WEIGHT = RNG.uniform(0.1, 2, N)
CLASSES = np.where(RNG.random(N) < 0.6, (X @ RNG.normal(size=(5, K))).argmax(1), RNG.integers(0, K, N))
TWO = CLASSES % 2
LABELS = ((X @ RNG.normal(size=(5, 3)) + RNG.normal(size=(N, 3))) > 0).astype(int)
VALUES = X @ RNG.normal(size=(5, 2)) * 0.5 + RNG.normal(size=(N, 2)) + 20
POSITIVE = np.exp(0.3 * VALUES[:, :1] - 6)
AVERAGES = ("macro", "micro", "weighted")


def model(kind: str, metrics=(), **options) -> Model:
    """A net with some weights, for these targets."""
    units, loss = {"classes": (K, "cross_entropy"), "two": (2, "cross_entropy"), "one": (1, "binary_cross_entropy"),
                   "labels": (3, "binary_cross_entropy"), "values": (2, "mse"), "value": (1, "mse")}[kind]  # fmt: skip
    net = [nn.Dense(units)] if kind != "value" else [nn.Dense(1), nn.softplus]
    made = Model(nn.Sequential(*net), loss, "adam", metrics, seed=3, input_shape=(5,), **options)
    if kind == "values":
        made.set_parameters({"layers.0.bias": [20.0, 19.0]})
    return made


TARGETS = {"classes": CLASSES, "two": TWO, "one": TWO, "labels": LABELS, "values": VALUES, "value": POSITIVE}


def averages(name: str, kinds=AVERAGES, **more):
    function = getattr(sk, f"{name}_score")
    return {
        name if a == "binary" else f"{name}_{a}": lambda t, y, w, a=a: function(
            t, y, average=a, sample_weight=w, zero_division=0
        )
        for a in kinds
    }


RATIOS = ("precision", "recall", "f1", "jaccard")
DECIDED = {  # of decisions
    "accuracy": lambda t, y, w: sk.accuracy_score(t, y, sample_weight=w),
    "balanced_accuracy": lambda t, y, w: sk.balanced_accuracy_score(t, y, sample_weight=w),
    "matthews_corrcoef": lambda t, y, w: sk.matthews_corrcoef(t, y, sample_weight=w),
    "cohen_kappa": lambda t, y, w: sk.cohen_kappa_score(t, y, sample_weight=w),
    "confusion_matrix": lambda t, y, w: sk.confusion_matrix(t, y, sample_weight=w),
    "multilabel_confusion_matrix": lambda t, y, w: sk.multilabel_confusion_matrix(t, y, sample_weight=w),
    **{name: f for ratio in RATIOS for name, f in averages(ratio).items()},
}
TWO_CLASSES = {**DECIDED, **{name: f for ratio in RATIOS for name, f in averages(ratio, ("binary",)).items()}}
OF_LABELS = {
    "hamming_loss": lambda t, y, w: sk.hamming_loss(t, y, sample_weight=w),
    "subset_accuracy": lambda t, y, w: sk.accuracy_score(t, y, sample_weight=w),
    "multilabel_confusion_matrix": DECIDED["multilabel_confusion_matrix"],
    **{name: f for ratio in RATIOS for name, f in averages(ratio, (*AVERAGES, "samples")).items()},
}
RANKED = {  # of probabilities
    "log_loss": lambda t, p, w: sk.log_loss(t, p, sample_weight=w),
    "brier_score_loss": lambda t, p, w: sk.brier_score_loss(t, p, sample_weight=w),
    "roc_auc": lambda t, p, w: sk.roc_auc_score(t, p, sample_weight=w),
    "average_precision": lambda t, p, w: sk.average_precision_score(t, p, sample_weight=w),
}
SEVERAL = {
    "log_loss": RANKED["log_loss"],
    "brier_score_loss": RANKED["brier_score_loss"],
    "average_precision": RANKED["average_precision"],
    "average_precision_weighted": lambda t, p, w: sk.average_precision_score(t, p, average="weighted", sample_weight=w),
    "top_k_accuracy": lambda t, p, w: sk.top_k_accuracy_score(t, p, sample_weight=w),
    "top_3_accuracy": lambda t, p, w: sk.top_k_accuracy_score(t, p, k=3, sample_weight=w),
    **{
        f"roc_auc_{way}{end}": lambda t, p, w, way=way, average=average: sk.roc_auc_score(
            t, p, multi_class=way, average=average, sample_weight=w
        )
        for way in ("ovr", "ovo")
        for end, average in (("", "macro"), ("_weighted", "weighted"))
    },
}
ERRORS = {
    **{
        name: lambda t, y, w, name=name: getattr(sk, name)(t, y, sample_weight=w)
        for name in ("mean_squared_error", "mean_absolute_error", "mean_absolute_percentage_error",
                     "root_mean_squared_error", "median_absolute_error", "mean_squared_log_error",
                     "root_mean_squared_log_error")
    },
    "r2": lambda t, y, w: sk.r2_score(t, y, sample_weight=w),
    "explained_variance": lambda t, y, w: sk.explained_variance_score(t, y, sample_weight=w),
    "d2_absolute_error": lambda t, y, w: sk.d2_absolute_error_score(t, y, sample_weight=w),
}  # fmt: skip
ERRORS |= {"mse": ERRORS["mean_squared_error"], "mae": ERRORS["mean_absolute_error"],
           "rmse": ERRORS["root_mean_squared_error"]}  # fmt: skip
OF_ONE = {
    **ERRORS,
    "mean_poisson_deviance": lambda t, y, w: sk.mean_poisson_deviance(t, y, sample_weight=w),
    "mean_gamma_deviance": lambda t, y, w: sk.mean_gamma_deviance(t, y, sample_weight=w),
}
CASES = {
    "classes": (DECIDED, SEVERAL),
    "two": (TWO_CLASSES, RANKED),
    "one": (TWO_CLASSES, RANKED),
    "labels": (OF_LABELS, {name: RANKED[name] for name in ("roc_auc", "average_precision")}),
    "values": ({}, ERRORS),
    "value": ({}, OF_ONE | {"max_error": lambda t, y, w: sk.max_error(t, y)}),
}


UNWEIGHTED = ("max_error", "roc_auc_ovo", "roc_auc_ovo_weighted")


def test_every_name_is_compared():
    compared = {name for decided, scored in CASES.values() for name in (*decided, *scored)}
    assert set(METRICS) <= compared, set(METRICS) - compared


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("batch_size", [7, None])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", CASES)
def test_equal_to_scikit_learn(kind, weighted, batch_size, executor):
    decided, scored = CASES[kind]
    names = [name for name in (*decided, *scored) if not (weighted and name in UNWEIGHTED)]
    m, t = model(kind, names, executor=executor), TARGETS[kind]
    weight = WEIGHT if weighted else None
    found = m.evaluate(X, t, sample_weight=weight, batch_size=batch_size)
    assert list(found) == ["loss", *names]
    p = m.predict(X)
    if kind == "one":
        p = p[:, 0]
    if kind == "two":
        p = p[:, 1]
    decisions = p.argmax(1) if kind == "classes" else (p > 0.5).astype(int)
    for name in names:
        expected = decided[name](t, decisions, weight) if name in decided else scored[name](t, p, weight)
        np.testing.assert_allclose(found[name], expected, rtol=2e-5, atol=1e-6, err_msg=name)


# ---- in fit, and afterwards


def test_in_fit_and_its_history():
    m = model("two", ["f1", "roc_auc", "confusion_matrix"])
    history = m.fit(X[:60], TWO[:60], epochs=3, validation_data=(X[60:], TWO[60:]), verbose=0)
    assert list(history) == ["loss", "f1", "val_loss", "val_f1", "val_roc_auc"]
    found = m.evaluate(X[60:], TWO[60:])
    assert found["f1"] == history["val_f1"][-1] and found["roc_auc"] == history["val_roc_auc"][-1]
    assert found["confusion_matrix"].sum() == N - 60 and found["confusion_matrix"].dtype == np.int64


def test_of_the_steps_in_training():
    """With a learning rate that changes nothing, the numbers of the steps are those of an evaluation."""
    names = ["accuracy", "f1_macro", "matthews_corrcoef"]
    m = Model(nn.Dense(K), "cross_entropy", pel.optim.SGD(1e-30), names, input_shape=(5,))
    history = m.fit(X, CLASSES, batch_size=9, verbose=0, sample_weight=WEIGHT)
    for name, value in m.evaluate(X, CLASSES, sample_weight=WEIGHT).items():
        assert history[name][-1] == pytest.approx(value, rel=1e-5)
    m = Model(nn.Dense(2), "mse", pel.optim.SGD(1e-30), ["r2", "rmse"], input_shape=(5,))
    history = m.fit(X, VALUES, batch_size=9, verbose=0, sample_weight=WEIGHT)
    assert history["r2"][0] == pytest.approx(m.evaluate(X, VALUES, sample_weight=WEIGHT)["r2"], rel=1e-5)


def test_with_lbfgs():
    m = Model(nn.Dense(K), "cross_entropy", pel.optim.LBFGS(), ["f1_macro"], input_shape=(5,))
    history = m.fit(X, CLASSES, epochs=5, verbose=0)
    assert history["f1_macro"][-1] > history["f1_macro"][0]


def test_r2_far_from_zero():
    """In float32, sums of squares of such numbers have no digit of the variance."""
    t = np.random.default_rng(1).normal(1e4, 1, (500, 1)).astype("float32")
    x = (t - 1e4) * 0.7
    m = Model(nn.Dense(1), "mse", metrics=["r2", "explained_variance"], input_shape=(1,))
    m.set_parameters({"weight": [[1.0]], "bias": [1e4]})
    found, p = m.evaluate(x, t), m.predict(x).astype(float)
    assert found["r2"] == pytest.approx(sk.r2_score(t.astype(float), p), abs=1e-4) and found["r2"] > 0.8


def test_constant_targets():
    m = Model(nn.Dense(1), "mse", metrics=["r2", "explained_variance"], input_shape=(5,))
    assert m.evaluate(X, np.full(N, 0.1)) == {
        "loss": m.evaluate(X, np.full(N, 0.1))["loss"],
        "r2": 0,
        "explained_variance": 0,
    }
    m.set_parameters({"weight": np.zeros((1, 5)), "bias": [0.5]})
    assert m.evaluate(X, np.full(N, 0.5))["r2"] == 1
    with pytest.raises(DataError, match="r2 needs at least 2 samples, got 1"):
        m.evaluate(X[:1], [[1.0]])
    with pytest.raises(DataError, match="r2 needs at least 2 samples, got 1"):
        warnings.simplefilter("ignore")
        m.fit(X, VALUES[:, :1], validation_data=(X[:1], VALUES[:1, :1]), verbose=0)
    assert m.epochs == 0


def test_classes_that_do_not_occur():
    m = model("classes", ["f1_macro", "precision_macro", "balanced_accuracy", "cohen_kappa", "f1_weighted"])
    few = np.isin(CLASSES, (0, 1))
    found = m.evaluate(X[few], CLASSES[few])
    y = m.predict(X[few]).argmax(1)
    with pytest.warns(UserWarning):
        assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(CLASSES[few], y))
    assert found["f1_macro"] == pytest.approx(sk.f1_score(CLASSES[few], y, average="macro"))
    assert all(np.isfinite(list(m.evaluate(X[:1], CLASSES[:1]).values())))


def test_other_metrics_afterwards():
    m = model("two", ["accuracy"])
    found = m.evaluate(X, TWO, metrics=["f1_score", "roc_auc_score", pel.metrics.Scored("d", sk.brier_score_loss)])
    assert list(found) == ["loss", "f1_score", "roc_auc_score", "d"]
    assert found["d"] == pytest.approx(sk.brier_score_loss(TWO, m.predict(X)[:, 1]))
    compiled = len(m.programs.runs)
    m.evaluate(X, TWO, metrics=["f1_score"]), m.evaluate(X, TWO, metrics=["f1_score"])
    assert len(m.programs.runs) == compiled + 1
    assert list(m.evaluate(X, TWO)) == ["loss", "accuracy"]


def test_one_hot_targets_and_margins():
    rows = np.eye(K)[CLASSES]
    m = model("classes", ["f1_macro", "roc_auc_ovr", "log_loss"])
    assert m.evaluate(X, rows) == pytest.approx(m.evaluate(X, CLASSES), rel=1e-6)
    m = Model(nn.Dense(2), "hinge", metrics=["roc_auc", "f1"], input_shape=(5,))
    margins = m.predict(X)
    assert m.evaluate(X, TWO)["roc_auc"] == pytest.approx(sk.roc_auc_score(TWO, margins[:, 1] - margins[:, 0]))


def test_steps_of_sequences():
    """Each step that counts is a sample."""
    x = RNG.normal(size=(20, 6, 3)).astype("float32")
    t = RNG.integers(-1, 3, (20, 6))
    net, loss = nn.TimeDistributed(nn.Dense(3)), nn.CrossEntropy(ignore_class=-1)
    names = ["f1_macro", "confusion_matrix", "roc_auc_ovr", "cohen_kappa"]
    m = Model(net, loss, metrics=names, input_shape=(6, 3))
    for weight in (None, WEIGHT[:20]):
        chosen = names if weight is None else [name for name in names if name not in UNWEIGHTED]
        found = m.evaluate(x, t, sample_weight=weight, batch_size=7, metrics=chosen)
        own, p = t[t != -1], m.predict(x)[t != -1]
        w = None if weight is None else np.repeat(weight, 6)[(t != -1).ravel()]
        for name in chosen:
            expected = DECIDED[name](own, p.argmax(1), w) if name in DECIDED else SEVERAL[name](own, p, w)
            np.testing.assert_allclose(found[name], expected, rtol=1e-5, err_msg=name)


def test_buckets():
    sequences = [RNG.normal(size=(n, 3)).astype("float32") for n in RNG.integers(2, 9, 40)]
    t = RNG.integers(0, 2, 40)
    buckets = pel.data.Buckets(sequences, t, batch_size=8)
    m = Model(nn.Sequential(nn.GRU(4), nn.Dense(2)), "cross_entropy", metrics=["f1", "roc_auc"])
    m.fit(buckets, verbose=0)
    found, p = m.evaluate(buckets), m.predict(buckets)
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(t, p[:, 1]))
    assert found["f1"] == pytest.approx(sk.f1_score(t, p.argmax(1)))


def test_saved(tmp_path):
    m = model("two", ["f1", "roc_auc", pel.metrics.Scored("own", distance)])
    m.save(tmp_path / "m.pel")
    again = load(tmp_path / "m.pel", custom_objects={"distance": distance})
    assert again.evaluate(X, TWO) == m.evaluate(X, TWO)


def distance(t, y, sample_weight=None):
    return np.abs(t - y).max()


def test_early_stopping_knows_which_way():
    assert larger_is_better("val_cohen_kappa") and larger_is_better("val_top_5_accuracy")
    assert not any(map(larger_is_better, ("loss", "val_mse", "brier_score_loss", "perplexity", "mean_gamma_deviance")))
    for name, metric in METRICS.items():
        if not metric.array:
            small = name.endswith(("error", "loss", "deviance", "mse", "mae")) and not name.startswith("d2")
            assert larger_is_better(f"val_{name}") != small


# ---- what does not fit


@pytest.mark.parametrize(
    "kind, name, text",
    [
        ("classes", "precision", "class 1 of two, but the net has 4 classes; use one of precision_macro"),
        ("labels", "f1", "class 1 of two, but the net has 3 labels; use one of f1_macro, f1_micro"),
        ("labels", "cohen_kappa", "one class for each sample, but the net has 3 labels"),
        ("labels", "confusion_matrix", "one class for each sample"),
        ("labels", "log_loss", "needs the probabilities of classes"),
        ("classes", "roc_auc", "two classes, or several labels, but the net has 4 classes; use roc_auc_ovr"),
        ("classes", "f1_samples", "needs several 0/1 labels"),
        ("classes", "r2", "r2 takes numbers as targets; CrossEntropy .* is for classes"),
        ("one", "median_absolute_error", "takes numbers as targets; BinaryCrossEntropy"),
        ("one", "top_k_accuracy", "top_2_accuracy needs one output per class"),
        ("value", "f1", "f1 needs one output per class, or a loss with 0/1 targets"),
        ("value", "roc_auc", "roc_auc needs one output per class"),
        ("values", "max_error", "one value for each sample, but the net gives 2"),
    ],
)
def test_metrics_that_do_not_fit(kind, name, text):
    m = model(kind)
    with pytest.raises(GraphError, match=text):
        m.evaluate(X, TARGETS[kind], metrics=[name])
    if METRICS.get(name) and METRICS[name].array:  # fit leaves it to evaluate
        return
    with pytest.raises(GraphError, match=text):
        model(kind, [name]).fit(X, TARGETS[kind], verbose=0)


def test_not_defined_for_these_targets():
    m = model("two", ["roc_auc"])
    with pytest.raises(DataError, match="roc_auc is not defined: class 1 is not among the 10 samples"):
        m.evaluate(X[:10], np.zeros(10, int))
    with pytest.raises(DataError, match="roc_auc is not defined: class 0"):
        m.fit(X, TWO, validation_data=(X[:10], np.ones(10, int)), verbose=0)
    assert m.epochs == 0
    with pytest.raises(DataError, match="label 1 is 0 in all 5 samples"):
        model("labels").evaluate(X[:5], [[0, 0, 1], [1, 0, 0]] * 2 + [[1, 0, 1]], metrics=["roc_auc"])
    with pytest.raises(DataError, match="max_error takes no sample_weight"):
        model("value").evaluate(X, POSITIVE, sample_weight=WEIGHT, metrics=["max_error"])
    with pytest.raises(DataError, match=r"metric 'mean_squared_log_error': .*less than or equal to -1"):
        model("values").evaluate(X, -VALUES, metrics=["mean_squared_log_error"])


def test_unknown_names_list_what_there_is():
    with pytest.raises(ArgumentError, match=r"no metric is named 'f2'; there are .*f1_macro, .*top_5_accuracy"):
        as_metrics(["f2"])
    with pytest.raises(ArgumentError, match="metrics must be a list"):
        as_metrics("f1")


def test_interrupted_within_an_epoch(tmp_path):
    """The sums of the epoch under way, arrays among them, are kept in a checkpoint."""
    (tmp_path / "again").mkdir()

    def fitted(folder, resume=False):
        m = model("classes", ["f1_macro", "accuracy", "cohen_kappa"])
        options = {"epochs": 2, "batch_size": 10, "validation_data": (X[:30], CLASSES[:30]), "verbose": 0}
        return m.fit(X, CLASSES, callbacks=[pel.Checkpoint(folder, steps=2, keep=None)], resume=resume, **options)

    whole = fitted(tmp_path / "whole")
    part = tmp_path / "whole" / "step-000000004.pel"
    (tmp_path / "again" / part.name).write_bytes(part.read_bytes())
    assert fitted(tmp_path / "again", resume=True).columns == whole.columns
