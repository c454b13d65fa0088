"""Restarts, committees and bagging; and that members trained as one program learn the same as alone."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.preprocessing import StandardScaler

import pellucid as pel
from pellucid import ArgumentError, DataError, GraphError, nn, optim
from pellucid.train import ensemble_training, program_cache
from pellucid.train.ensemble_training import fit_members
from pellucid.train.inputs import parts_of

X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X).astype("float32")


def classifier(*layers, seed=0, optimizer=None, **options):
    net = nn.Sequential(nn.Dense(6), nn.tanh, *layers, nn.Dense(3))
    return pel.Model(net, "cross_entropy", optimizer or optim.Adam(0.05), ["accuracy"], seed=seed, **options)


def trained(limit, monkeypatch, models, **options):
    """The models trained with the limit for one program set so."""
    monkeypatch.setattr(ensemble_training, "MOST_WORK", limit)
    programs: list = []
    program_cache.forget()
    monkeypatch.setattr(
        ensemble_training, "members", lambda *a, own=ensemble_training.members: programs.append(a) or own(*a)
    )
    fit_members(models, X, Y, **options)
    return models, len(programs)


KINDS = {
    "dense": lambda seed: classifier(seed=seed),
    "normed and dropped": lambda seed: classifier(nn.BatchNorm(), nn.Dropout(0.3), seed=seed),
    "momentum": lambda seed: classifier(seed=seed, optimizer=optim.SGD(0.1, momentum=0.9)),
    "clipped": lambda seed: classifier(seed=seed, optimizer=optim.Adam(0.05, global_clipnorm=0.1)),
    "averaged": lambda seed: classifier(seed=seed, optimizer=optim.Adam(0.05, use_ema=True)),
    "scheduled": lambda seed: classifier(seed=seed, optimizer=optim.SGD(pel.schedules.Cosine(0.1, epochs=2))),
    "float64": lambda seed: classifier(seed=seed, dtype="float64"),
    "reference": lambda seed: classifier(seed=seed, executor="reference"),
    "user's own": lambda seed: pel.Model(nn.Sequential(lambda x: x * 2, nn.Dense(3)), "hinge", seed=seed),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("jobs", [1, 2])
def test_together_as_alone(kind, jobs, monkeypatch):
    own = (
        {}
        if kind != "user's own"
        else {"net": (net := KINDS[kind](0)).net, "loss": net.loss, "optimizer": net.optimizer}
    )
    some = [[KINDS[kind](seed).clone(**own) for seed in range(5)] for _ in range(2)]
    options = {"epochs": 2, "batch_size": 40, "validation_data": (X[:30], Y[:30]), "n_jobs": jobs}
    one, n = trained(10**9, monkeypatch, some[0], **options)
    other, none = trained(-1, monkeypatch, some[1], **options)
    assert none == 0 and (n > 0) == (kind not in ("reference", "averaged"))
    for a, b in zip(one, other, strict=True):
        assert a.history.columns.keys() == b.history.columns.keys() and a.epochs == b.epochs == 2
        assert a.stopped == b.stopped and a.learning_rate == b.learning_rate
        assert all(np.allclose(a.history[k], b.history[k], rtol=1e-6) for k in a.history.columns)
        assert a.state.keys() == b.state.keys()
        assert all((a.state[k] == b.state[k]).all() for k in a.state), kind


def test_the_first_member_is_the_model_itself():
    alone = classifier(seed=3)
    alone.fit(X, Y, epochs=3, verbose=0)
    models = [classifier(seed=3), classifier(seed=4)]
    fit_members(models, X, Y, epochs=3)
    assert all((models[0].state[k] == alone.state[k]).all() for k in alone.state)
    models[0].fit(X, Y, epochs=1, verbose=0)
    alone.fit(X, Y, epochs=1, verbose=0)
    assert (models[0].predict(X) == alone.predict(X)).all() and [m.seed for m in models] == [3, 4]


def test_learning_goes_on(monkeypatch):
    some = [[classifier(seed=i) for i in range(3)] for _ in range(2)]
    for models, limit in zip(some, (10**9, -1), strict=True):
        trained(limit, monkeypatch, models, epochs=1)
        trained(limit, monkeypatch, models, epochs=2)
    assert all((a.predict(X) == b.predict(X)).all() for a, b in zip(*some, strict=True))


def test_members_may_differ_in_learning_rate(monkeypatch):
    rates = [0.1, 0.01, 0.001]
    models, n = trained(10**9, monkeypatch, [classifier(optimizer=optim.Adam(r)) for r in rates], epochs=2)
    assert n == 1
    for model, rate in zip(models, rates, strict=True):
        alone = classifier(optimizer=optim.Adam(rate))
        alone.fit(X, Y, epochs=2, verbose=0)
        assert (model.predict(X) == alone.predict(X)).all()


def test_recurrent_nets_train_one_by_one():
    x = np.random.default_rng(0).normal(size=(20, 4, 2))
    models = [pel.Model(nn.Sequential(nn.LSTM(3), nn.Dense(1)), "mse", seed=seed) for seed in range(2)]
    fit_members(models, x, x[:, -1, :1], epochs=1)
    assert all(model.epochs == 1 for model in models)


def test_callbacks_are_each_members_own():
    stop = pel.EarlyStopping(patience=2, min_delta=0.01)
    models = [classifier(seed=i, optimizer=optim.Adam(0.2)) for i in range(3)]
    fit_members(models, X, Y, epochs=200, validation_split=0.2, callbacks=[stop])
    assert len({model.epochs for model in models}) > 1 and max(model.epochs for model in models) < 200


@pytest.mark.parametrize("limit", [10**9, -1])
def test_a_member_that_diverges_is_told(limit, monkeypatch):
    models = [pel.Model(nn.Dense(3), "mse", optim.SGD(rate)) for rate in (0.01, 1e6)]
    monkeypatch.setattr(ensemble_training, "MOST_WORK", limit)
    with pytest.raises(pel.DivergedError, match="smaller learning rate"):
        fit_members(models, X * 100, np.eye(3)[Y], epochs=30)


# ---- restarts ---------------------------------------------------------------------------------------------------


def test_restarts_find_the_best():
    x, y = pel.data.xor()
    net = nn.Sequential(nn.Dense(2), nn.tanh, nn.Dense(1))
    model = pel.Model(net, "binary_cross_entropy", optim.Adam(0.1), ["accuracy"], seed=5)
    found = pel.restarts(model, x, y, n_restarts=12, epochs=150)
    losses = found.results["loss"]
    assert not model.state and [m.seed for m in found.models] == list(range(5, 17))
    assert found.best is found.models[losses.argmin()] and np.isclose(found.mean(), losses.mean())
    assert found.std() > 0 and losses.max() > 5 * losses.min()  # some stay in a poor minimum
    assert "12 restarts, best by loss: seed" in str(found)
    assert len(found.committee(3).models) == 3 and found.committee(3).models[0] is found.best


def test_restarts_with_validation():
    found = pel.restarts(classifier(), X, Y, n_restarts=3, epochs=5, validation_data=(X[::2], Y[::2]))
    assert found.measure == "val_loss"
    assert found.results["val_accuracy"][1] == found.models[1].evaluate(X[::2], Y[::2])["accuracy"]
    best = pel.restarts(lambda: classifier(), X, Y, n_restarts=3, epochs=5, measure="accuracy")
    assert best.best is best.models[best.results["accuracy"].argmax()]


@pytest.mark.parametrize(
    "given, words",
    [
        ({"n_restarts": 0}, "n_restarts must be a whole number >= 1, got 0"),
        ({"n_jobs": 0}, "n_jobs must be a whole number >= 1, or -1"),
        ({"measure": "val_loss"}, "no measure 'val_loss'; there are loss, accuracy"),
        ({"model": lambda: 3}, "a function that makes one, got int"),
    ],
)
def test_restarts_that_cannot_be(given, words):
    options = {"model": classifier(), "x": X, "y": Y, "n_restarts": 2} | given
    with pytest.raises((ArgumentError, DataError, GraphError), match=words):
        pel.restarts(**options)


# ---- committees -------------------------------------------------------------------------------------------------


def test_a_committee_is_the_mean():
    found = pel.restarts(classifier(), X, Y, n_restarts=4, epochs=10)
    committee = found.committee()
    each = np.stack([m.predict(X) for m in committee.models])
    assert np.allclose(committee.predict(X), each.mean(axis=0)) and np.allclose(committee.spread(X), each.std(axis=0))
    result = committee.evaluate(X, Y)
    mean = each.mean(axis=0)
    assert np.isclose(result["loss"], -np.log(mean[np.arange(150), Y]).mean(), rtol=1e-5)
    assert np.isclose(result["accuracy"], (mean.argmax(axis=1) == Y).mean())


def test_a_majority_decides():
    models = [
        pel.Model(nn.Dense(2, bias=False), "cross_entropy", metrics=["accuracy"], input_shape=(1,)) for _ in "abc"
    ]
    for model, slope in zip(models, (0.1, 0.1, -9), strict=True):
        model.set_parameters({"weight": [[slope], [-slope]]})
    x = np.ones((1, 1))
    assert pel.Committee(models).predict(x).argmax() == 1  # one is very sure
    majority = pel.Committee(models, vote="majority")
    assert np.allclose(majority.predict(x), [[2 / 3, 1 / 3]])
    assert majority.evaluate(x, [0]) == {"accuracy": 1.0}


def test_committees_of_values_and_of_two_classes():
    x, y = pel.data.moons(60, noise=0.2, seed=1)
    pair = [
        pel.Model(nn.Dense(1), "binary_cross_entropy", metrics=["accuracy"], input_shape=(2,), seed=i) for i in (0, 1)
    ]
    p = np.mean([m.predict(x) for m in pair], axis=0).ravel()
    loss = -np.mean(np.where(np.ravel(y) == 1, np.log(p), np.log(1 - p)))
    assert np.isclose(pel.Committee(pair).evaluate(x, y)["loss"], loss, rtol=1e-5)
    assert set(pel.Committee(pair, "majority").predict(x).ravel()) <= {0, 0.5, 1}
    lines = [pel.Model(nn.Dense(1), "mse", input_shape=(2,), seed=i) for i in range(3)]
    target = x[:, :1]
    common = pel.Committee(lines).evaluate(x, target)["loss"]
    single = np.mean([m.evaluate(x, target)["loss"] for m in lines])
    spread = np.mean(pel.Committee(lines).spread(x) ** 2)
    assert np.isclose(common, single - spread, rtol=1e-4)  # Krogh and Vedelsby


def test_committees_that_cannot_be():
    one = pel.Model(nn.Dense(1), "mse", input_shape=(2,))
    for models, vote, words in [
        ([], "mean", "at least one model"),
        ([one], "some", "vote must be one of mean, majority"),
        ([one, pel.Model(nn.Dense(2), "mse", input_shape=(2,))], "mean", "outputs of one shape"),
        ([one], "majority", "a majority is for classes"),
        ([pel.Model(nn.Dense(1), "mse")], "mean", "no weights yet"),
    ]:
        with pytest.raises((ArgumentError, GraphError), match=words):
            pel.Committee(models, vote)


# ---- bagging ----------------------------------------------------------------------------------------------------


def test_out_of_bag_is_what_new_samples_give():
    x, y = load_breast_cancer(return_X_y=True)
    x = StandardScaler().fit_transform(x)
    model = pel.Model(
        nn.Sequential(nn.Dense(8), nn.tanh, nn.Dense(1)), "binary_cross_entropy", optim.Adam(0.02), ["accuracy"]
    )
    bagging = pel.Bagging(model, n_estimators=12).fit(x[::2], y[::2], epochs=20)
    new = bagging.evaluate(x[1::2], y[1::2])
    assert abs(bagging.out_of_bag["accuracy"] - new["accuracy"]) < 0.04 and bagging.left_out <= 5
    assert bagging.out_of_bag["accuracy"] < bagging.evaluate(x[::2], y[::2])["accuracy"]


def test_members_see_only_what_was_drawn(monkeypatch):
    """A member alone, with how often each sample was drawn as its weight, is the same; together or not."""
    for limit in (10**9, -1):
        monkeypatch.setattr(ensemble_training, "MOST_WORK", limit)
        bagging = pel.Bagging(classifier(), n_estimators=3, seed=9).fit(X, Y, epochs=2)
        rng = np.random.default_rng(9)
        counts = [np.bincount(rng.integers(0, 150, 150), minlength=150) for _ in range(3)]
        alone = classifier()
        alone.fit(X, Y, sample_weight=counts[0], epochs=2, verbose=0)
        assert (bagging.models[0].predict(X) == alone.predict(X)).all()


def test_of_one_member_some_samples_are_judged():
    bagging = pel.Bagging(classifier(), n_estimators=1).fit(X, Y, epochs=5)
    assert 80 < bagging.left_out < 110 and 0 < bagging.out_of_bag["accuracy"] <= 1


def test_bagging_that_cannot_be():
    with pytest.raises(ArgumentError, match="vote must be one of"):
        pel.Bagging(classifier(), vote="all")
    with pytest.raises(ArgumentError, match="leave class_weight and validation_split out"):
        pel.Bagging(classifier(), n_estimators=2).fit(X, Y, class_weight="balanced")


def test_members_do_not_write_one_file(tmp_path):
    models = [classifier(seed=i) for i in range(2)]
    with pytest.raises(ArgumentError, match="CSVLogger: 2 models would write one file"):
        fit_members(models, X, Y, epochs=1, callbacks=[pel.CSVLogger(tmp_path / "log.csv")])


def test_arrays_of_other_dtypes_are_made_ready_once():
    model = classifier()
    (arrays,) = parts_of(model, X.astype("float64"), Y.astype("int64"), fitting=True)
    assert arrays["x"].dtype == "float32" and arrays["y"].dtype == "int32"
    wide, narrow = classifier(), classifier()
    wide.fit(X.astype("float64"), Y, epochs=2, verbose=0)
    narrow.fit(X, Y.astype("int32"), epochs=2, verbose=0)
    assert (wide.predict(X) == narrow.predict(X)).all()


def test_members_with_penalties_and_other_metrics(monkeypatch):
    net = nn.Sequential(nn.Dense(6), nn.tanh, nn.Dense(3))
    options = {"metrics": ["accuracy", "f1_macro"], "regularizer": nn.L2(0.01), "constraint": nn.MaxNorm(2.0)}
    some = [[pel.Model(net, "cross_entropy", seed=seed, **options) for seed in range(3)] for _ in range(2)]
    for models, limit in zip(some, (10**9, -1), strict=True):
        trained(limit, monkeypatch, models, epochs=3, validation_data=(X[::3], Y[::3]))
    for a, b in zip(*some, strict=True):
        assert (a.predict(X) == b.predict(X)).all()
        assert np.allclose(a.history["val_f1_macro"], b.history["val_f1_macro"])
    result = pel.Committee(some[0]).evaluate(X, Y)
    assert set(result) == {"loss", "accuracy", "f1_macro"} and 0 < result["f1_macro"] <= 1
