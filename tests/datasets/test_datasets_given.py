"""A `Dataset` wherever samples and targets go: the same result as with its arrays."""

import inspect
import re

import numpy as np
import pytest

import pellucid as pel
from pellucid import DataError, Model, data, nn, optim, selection
from pellucid.data import Dataset
from pellucid.ensembles import fit_members

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype("float32")
TRAIN = Dataset(X, (X[:, 0] > 0).astype(int), class_names=("left", "right"), name="sides")
OTHER = Dataset(X[::-1].copy(), TRAIN.y[::-1].copy())


def made(**options) -> Model:
    net = nn.Sequential(nn.Dense(5), nn.tanh, nn.Dropout(0.2), nn.Dense(2))
    return Model(net, "cross_entropy", optim.Adam(0.01), ["accuracy"], **options)


def fitted(m: Model, *given, **options):
    return dict(m.fit(*given, epochs=3, verbose=0, **options))


def committee() -> pel.Committee:
    models = [made(seed=i) for i in range(2)]
    for m in models:
        fitted(m, X, TRAIN.y)
    return pel.Committee(models)


def trained() -> Model:
    m = made()
    fitted(m, X, TRAIN.y)
    return m


ONE = {"epochs": 2, "folds": 3}
CALLS = {  # with x and y, or a Dataset
    "Model.fit": lambda *d: fitted(made(), *d),
    "Model.fit, validation_split": lambda *d: fitted(made(), *d, validation_split=0.2),
    "Model.evaluate": lambda *d: trained().evaluate(*d),
    "Model.gradients": lambda *d: trained().gradients(*d),
    "Model.diagnose": lambda *d: str(trained().diagnose(*d)),
    "Model.find_learning_rate": lambda *d: made().find_learning_rate(*d, steps=20).losses,
    "restarts": lambda *d: pel.restarts(made(), *d, n_restarts=2, epochs=2).results,
    "fit_members": lambda *d: fit_members([made()], *(d if len(d) > 1 else (*d, None)), epochs=2),
    "Bagging.fit": lambda *d: pel.Bagging(made(), n_estimators=4).fit(*d, epochs=2).out_of_bag,
    "Committee.evaluate": lambda *d: committee().evaluate(*d),
    "selection.cross_validate": lambda *d: selection.cross_validate(made(), *d, **ONE).scores,
    "selection.compare": lambda *d: str(selection.compare([made(), made(seed=1)], *d, **ONE).differences),
    "selection.learning_curve": lambda *d: selection.learning_curve(
        made(), *d, train_sizes=[0.5, 1.0], **ONE
    ).validation,
    "selection.validation_curve": lambda *d: selection.validation_curve(
        made(), *d, param_name="batch_size", param_range=[8, 16], **ONE
    ).validation,
    "selection.search": lambda *d: selection.search(made(), *d, space={"batch_size": [8, 16]}, **ONE).best_score_,
    "selection.nested": lambda *d: selection.nested(
        made(), *d, space={"batch_size": [8, 16]}, inner=2, **ONE
    ).outer.scores,
    "data.split": lambda *d: data.split(*d).test.y,
}  # fmt: skip
SAMPLES = {  # with x, or a Dataset
    "Model.predict": lambda d: trained().predict(d),
    "Model.predict_samples": lambda d: trained().predict_samples(d, 3),
    "Model.predict_interval": lambda d: trained().predict_interval(d, samples=3),
    "Model.layer_outputs": lambda d: trained().layer_outputs(d),
    "Model.features": lambda d: trained().features(d, -2),
    "Model.update_statistics": lambda d: trained().update_statistics(d),
    "Committee.predict": lambda d: committee().predict(d),
    "Committee.each": lambda d: committee().each(d),
    "Committee.spread": lambda d: committee().spread(d),
}


def same(a, b) -> None:
    np.testing.assert_equal(a, b)


@pytest.mark.parametrize("what", CALLS)
def test_as_with_its_arrays(what):
    same(CALLS[what](TRAIN), CALLS[what](TRAIN.x, TRAIN.y))


@pytest.mark.parametrize("what", SAMPLES)
def test_samples_as_with_its_array(what):
    same(SAMPLES[what](TRAIN), SAMPLES[what](TRAIN.x))


def test_every_function_that_takes_x_is_here():
    """A new one cannot be forgotten: public functions with a first argument x, and methods."""
    owners = {"Model": Model, "Committee": pel.Committee, "Bagging": pel.Bagging, "selection": selection}
    known = {name.partition(",")[0] for name in (*CALLS, *SAMPLES)}
    inherited = {f"Bagging.{name.partition('.')[2]}" for name in known if name.startswith("Committee.")}
    for owner, thing in owners.items():
        for name, member in inspect.getmembers(thing, inspect.isfunction):
            if not name.startswith("_") and "x" in inspect.signature(member).parameters:
                assert f"{owner}.{name}" in known | inherited, f"{owner}.{name} with a Dataset is not tested"


@pytest.mark.parametrize("name", ["validation_data", "test"])
def test_held_out_samples(name):
    """What is held out, as a Dataset and as arrays."""
    arrays = (OTHER.x, OTHER.y)
    if name == "validation_data":
        same(fitted(made(), TRAIN, validation_data=OTHER), fitted(made(), TRAIN, validation_data=arrays))
        a, b = (pel.restarts(made(), TRAIN, n_restarts=2, epochs=2, validation_data=v).results for v in (OTHER, arrays))
        same(a, b)
        a, b = (
            pel.Bagging(made(), n_estimators=2).fit(TRAIN, epochs=2, validation_data=v).out_of_bag
            for v in (OTHER, arrays)
        )
        same(a, b)
        a, b = (selection.ModelEstimator(made()).fit(X, TRAIN.y, validation_data=v, epochs=2).predict(X)
                for v in (OTHER, arrays))  # fmt: skip
        same(a, b)
    assert str(trained().diagnose(TRAIN, **{name: OTHER})) == str(trained().diagnose(TRAIN, **{name: arrays}))


def test_parts_of_a_dataset_keep_its_names():
    parts = data.split(TRAIN, test_size=0.2, validation_size=0.2)
    assert parts.test is not None and parts.test.class_names == ("left", "right") and parts.train.name == "sides"
    assert data.balance(TRAIN).names == ("left", "right")
    rows = data.oversample(TRAIN)
    assert len(set(np.bincount(TRAIN.y[rows]))) == 1


@pytest.mark.parametrize("name", ["", "validation_data "])
def test_a_dataset_in_the_place_of_targets(name):
    told = f"^{name}y is a Dataset, which has samples and targets; give it alone, or its targets alone, y.y$"
    with pytest.raises(DataError, match=told):
        data.dataset.taken_apart(TRAIN.x, TRAIN, name)


def no_targets_beside(call):
    with pytest.raises(DataError, match="x is a Dataset, which has its own targets; leave y out"):
        call()


def test_what_cannot_be_meant_is_an_error():
    m = made()
    no_targets_beside(lambda: m.fit(TRAIN, TRAIN.y))
    no_targets_beside(lambda: pel.restarts(m, TRAIN, TRAIN.y))
    no_targets_beside(lambda: selection.cross_validate(m, TRAIN, TRAIN.y))
    with pytest.raises(DataError, match="y is a Dataset"):
        m.fit(X, TRAIN)
    with pytest.raises(DataError, match=r"validation_data must be \(x, y\).* a Dataset or Buckets, got ndarray"):
        m.fit(TRAIN, validation_data=X)
    with pytest.raises(DataError, match=r"validation_data must be .*, got tuple of 1"):
        m.fit(TRAIN, validation_data=(X,))
    for call in (m.fit, m.evaluate, m.gradients, m.find_learning_rate):
        m._build({"x": pel.train.arrays.Spec((4,), "float32")}, "one")
        with pytest.raises(DataError, match=r"y is missing.*or a Dataset that has both"):
            call(X)
    with pytest.raises(DataError, match=r"x\[0\] is a Dataset"):
        made().fit(data.split(TRAIN), TRAIN.y)
    with pytest.raises(DataError, match="the space is empty"):
        selection.search(m, TRAIN)
    assert m.epochs == 0


def test_scikit_learns_estimators_take_it_unpacked():
    from pellucid.sklearn import NeuralClassifier

    estimator = NeuralClassifier(max_iter=3)
    with pytest.raises(TypeError, match=r"X is a Dataset.*fit\(data\.x, data\.y\)"):
        estimator.fit(TRAIN, TRAIN.y)
    assert estimator.fit(*TRAIN).predict(TRAIN.x).shape == (60,)


def test_batches_in_the_place_of_arrays_are_told_what_to_give():
    class Loader:  # as torch.utils.data.DataLoader looks
        batch_size, dataset = 8, [0]

        def __iter__(self):
            return iter([(X, TRAIN.y)])

    m = made()
    with pytest.raises(DataError, match=r"a DataLoader gives batches, .*: give arrays"):
        m.fit(Loader())
    with pytest.raises(DataError, match="a generator gives one thing after another: give whole arrays"):
        m.fit(pair for pair in [(X, TRAIN.y)])
    net = pel.sklearn.NeuralClassifier(max_iter=1)
    with pytest.raises(DataError, match="a DataLoader gives batches"):
        net.fit(Loader())
    with pytest.raises(DataError, match=r"X is a Dataset; .*, fit\(\*dataset\)"):
        net.fit(TRAIN)


def test_the_advice_for_a_loader_of_torch_works():
    torch = pytest.importorskip("torch")
    tensors = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(TRAIN.y))
    m, loader = made(), torch.utils.data.DataLoader(tensors, batch_size=8)
    for given, said in ((loader, "x, y = map(torch.cat, zip(*loader))"), (tensors, "x, y = dataset.tensors")):
        with pytest.raises(DataError, match=re.escape(said)):
            m.fit(given)
    for x, y in (map(torch.cat, zip(*loader, strict=True)), tensors.tensors):
        m.fit(x, y, epochs=1, verbose=0)
    assert m.epochs == 2
