"""A model that was fitted on a table with names holds later tables to them, in scikit-learn's words."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest

import pellucid as pel
from pellucid import DataError, Model, nn, optim
from pellucid.ensembles import Committee
from pellucid.train.ensemble_training import fit_members

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"age": RNG.normal(size=60), "height": RNG.normal(size=60), "weight": RNG.normal(size=60)})
Y = FRAME["age"].to_numpy() - 3 * FRAME["height"].to_numpy()
PERMUTED = FRAME[["height", "age", "weight"]]
RENAMED = FRAME.rename(columns={"age": "years"})
FEWER = FRAME[["age", "height"]]
CHANGED = [
    (PERMUTED, "Feature names must be in the same order as they were in fit"),
    (RENAMED, "Feature names unseen at fit time:\n- years\nFeature names seen at fit time, yet now missing:\n- age"),
    (FEWER, "Feature names seen at fit time, yet now missing:\n- weight"),
    (FRAME.assign(more=1.0), "Feature names unseen at fit time:\n- more"),
]


def line(**options):
    return Model(nn.Dense(1), "mse", optim.SGD(0.1), ["r2"], **options)


def fitted(frame=FRAME):
    model = line()
    model.fit(frame, Y, epochs=20, verbose=0)
    return model


KEPT = {
    "itself": lambda model, path: model,
    "saved": lambda model, path: (model.save(path), pel.load(path))[1],
    "pickled": lambda model, path: pickle.loads(pickle.dumps(model)),
}


@pytest.mark.parametrize("kept", KEPT.values(), ids=list(KEPT))
@pytest.mark.parametrize("frame, text", CHANGED, ids=["order", "renamed", "missing", "new"])
def test_other_columns_are_refused(kept, frame, text, tmp_path):
    model = kept(fitted(), tmp_path / "m.pel")
    assert model.evaluate(FRAME, Y)["r2"] > 0.99
    uses = [lambda: model.predict(frame), lambda: model.evaluate(frame, Y), lambda: model.fit(frame, Y, verbose=0),
            lambda: model.fit(FRAME, Y, validation_data=(frame, Y), verbose=0),
            lambda: model.layer_outputs(frame)]  # fmt: skip
    before = model.predict(FRAME)
    for use in uses:
        with pytest.raises(DataError, match="The feature names should match those that were passed during fit") as e:
            use()
        assert text in str(e.value)
    np.testing.assert_array_equal(model.predict(FRAME), before)


def test_it_is_scikit_learns_text():
    from sklearn.linear_model import LinearRegression

    for frame, _ in CHANGED:
        with pytest.raises(ValueError, match="feature names") as theirs:
            LinearRegression().fit(FRAME, Y).predict(frame)
        with pytest.raises(DataError) as ours:
            fitted().predict(frame)
        assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "uint8", "Int64", object])
def test_whatever_the_dtypes(dtype):
    frame = (FRAME * 10).astype(int).clip(0, 1).astype(dtype)
    model = line()
    model.fit(frame, Y, verbose=0)
    for order in (["age", "weight", "height"], ["weight", "height", "age"]):
        with pytest.raises(DataError, match="same order"):
            model.predict(frame[order])
        with pytest.raises(DataError, match="same order"):
            model.predict(frame[order].astype(float))
    assert model.predict(frame).shape == (60, 1)


def test_polars_and_pandas_are_held_to_the_same():
    polars = pytest.importorskip("polars")
    model = fitted(polars.DataFrame(FRAME.to_dict("list")))
    model.predict(FRAME)
    with pytest.raises(DataError, match="same order"):
        model.predict(polars.DataFrame(PERMUTED.to_dict("list")))


def test_several_tables():
    left, right = nn.Dense(2), nn.Dense(2)

    def net(a, b):
        return left(a) + right(b)

    targets = RNG.normal(size=(60, 2))
    model = Model(net, "mse")
    model.fit({"a": FRAME, "b": FRAME.to_numpy()}, targets, verbose=0)
    with pytest.raises(DataError, match=r"^x\.a: The feature names"):
        model.predict({"a": PERMUTED, "b": FRAME.to_numpy()})
    model = Model(net, "mse")
    model.fit((FRAME, PERMUTED), targets, verbose=0)
    with pytest.raises(DataError, match=r"^validation_data x\.1: The feature names"):
        model.fit((FRAME, PERMUTED), targets, validation_data=((FRAME, FRAME), targets), verbose=0)


def test_an_array_after_names_is_taken_with_one_warning():
    model = fitted()
    with pytest.warns(UserWarning, match="x does not have valid feature names, but Model was fitted with feature"):
        found = model.predict(FRAME.to_numpy())
    np.testing.assert_array_equal(found, model.predict(FRAME))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(FRAME.to_numpy())


def test_names_after_an_array_too():
    model = fitted(FRAME.to_numpy())
    with pytest.warns(UserWarning, match="x has feature names, but Model was fitted without feature names"):
        model.predict(PERMUTED)


def test_no_names_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fitted(pd.DataFrame(FRAME.to_numpy()))  # columns 0, 1, 2
        model.predict(FRAME.to_numpy())
        model.predict(pd.DataFrame(FRAME.to_numpy()[:, ::-1]))
        line(input_shape=(3,)).predict(FRAME)


def test_a_fit_that_fails_teaches_no_names():
    model = line()
    with pytest.raises(DataError):
        model.fit(PERMUTED, Y[:3], verbose=0)
    model.fit(FRAME, Y, verbose=0)
    assert model.columns == {"x": ("age", "height", "weight")}
    model.predict(FRAME)


def test_validation_data_of_the_first_fit():
    model = line()
    with pytest.raises(DataError, match=r"^validation_data x: The feature names.*\nFeature names must be in the same"):
        model.fit(FRAME, Y, validation_data=(PERMUTED, Y), verbose=0)
    assert model.columns == {} and model.traced is None


def test_those_trained_together_and_a_new_head():
    models = [line(seed=seed) for seed in range(3)]
    fit_members(models, FRAME, Y, verbose=0)
    for use in (models[2].predict, Committee(models).predict):
        with pytest.raises(DataError, match="same order"):
            use(PERMUTED)
    model = Model(nn.Sequential(nn.Dense(2), nn.tanh, nn.Dense(1)), "mse")
    model.fit(FRAME, Y, verbose=0)
    with pytest.raises(DataError, match="same order"):
        model.transfer(nn.Dense(1), keep=2).predict(PERMUTED)
