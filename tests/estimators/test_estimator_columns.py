"""Columns by name: an estimator takes the columns it has learnt from, in their order, or says which are not there.

How columns are read is decided by the training samples; what dtypes later samples have changes nothing of it.
"""

import itertools
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from pellucid.features import FeatureExtractor
from pellucid.neurons import Adaline, Perceptron
from pellucid.selection import ModelEstimator
from pellucid.sklearn import (
    Autoencoder,
    MLPClassifier,
    MLPRegressor,
    NeuralClassifier,
    NeuralForecaster,
    NeuralMultiLabel,
    NeuralRegressor,
)

pandas = pytest.importorskip("pandas")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
N = 60
FEW = dict(hidden_layer_sizes=(4,), max_iter=3, random_state=0)
DROP_INS = [MLPClassifier(**FEW), MLPRegressor(**FEW)]
NETS = [
    kind(scale=scale, **FEW)
    for kind in (NeuralClassifier, NeuralRegressor, NeuralMultiLabel, NeuralForecaster, Autoencoder)
    for scale in (True, False)
]


def numbers(seed=0):
    rng = np.random.default_rng(seed)
    return pandas.DataFrame(
        {"a": rng.normal(size=N), "b": rng.integers(0, 9, N), "c": rng.random(N) > 0.5, "d": rng.uniform(0, 5, N)}
    )


def mixed():
    return numbers().assign(
        d=pandas.Series(list("xyz") * (N // 3)).astype("category"),
        e=[None, "q", "r"] * (N // 3),
        f=[None, 1.0] * (N // 2),
    )


def polars_of(frame):
    polars = pytest.importorskip("polars")
    return polars.DataFrame(
        {name: frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in frame}
    )


CASTS = {  # the same entries in other dtypes
    "as they are": lambda f: f,
    "objects": lambda f: f.astype(object),
    "bool as int": lambda f: f.assign(c=f["c"].astype(int)),
    "bool as float": lambda f: f.assign(c=f["c"].astype("float32")),
    "nullable": lambda f: f.convert_dtypes(),
    "int as category": lambda f: f.assign(b=f["b"].astype("category")),
    "polars": polars_of,
}


def fitted(estimator, frame):
    y = (frame["a"] > 0).to_numpy().astype(int)
    y = np.stack([y, 1 - y], 1) if isinstance(estimator, NeuralMultiLabel) else y
    return clone(estimator).fit(frame, y)


def outcome(estimator, x):
    """What the estimator says of samples."""
    return estimator.transform(x) if hasattr(estimator, "transform") else (
        estimator.predict_proba(x) if hasattr(estimator, "predict_proba") else estimator.predict(x))  # fmt: skip


def selected(frame, names):
    return frame[list(names)] if hasattr(frame, "iloc") else frame.select(list(names))


def ids(e):
    return f"{type(e).__name__}-{e.get_params().get('scale')}"


@pytest.mark.parametrize("estimator", NETS + DROP_INS, ids=ids)
@pytest.mark.parametrize("table", [numbers, mixed])
def test_columns_are_taken_by_name_whatever_their_dtypes(estimator, table):
    if table is mixed and estimator in DROP_INS:
        pytest.skip("scikit-learn's own take numbers only")
    frame = table()
    net = fitted(estimator, frame)
    expected = outcome(net, frame)
    orders = [p for p in itertools.permutations(frame.columns) if p != tuple(frame.columns)]
    for i, (how, cast) in enumerate(CASTS.items()):
        other = cast(frame)
        np.testing.assert_allclose(outcome(net, other), expected, 1e-6, 1e-6, err_msg=how)
        for order in orders[i :: len(orders) // 3]:
            with pytest.raises(ValueError, match=r"feature names should match.*\n.*must be in the same order"):
                outcome(net, selected(other, order))
        if hasattr(other, "iloc"):
            with pytest.raises(
                ValueError, match=r"should match.*\nFeature names unseen at fit time:\n- z\n.*missing:\n- b"
            ):
                outcome(net, other.rename(columns={"b": "z"}))
        with pytest.raises(
            ValueError, match=r"should match.*\nFeature names seen at fit time, yet now missing:\n- a\n"
        ):
            outcome(net, selected(other, frame.columns[1:]))


@pytest.mark.parametrize("estimator", NETS, ids=ids)
def test_columns_in_another_order_at_fit_are_other_columns(estimator):
    """A frame fitted in another order learns the same: what is learnt follows the order at fit."""
    frame = numbers()
    turned = frame[["d", "c", "b", "a"]]
    with pytest.raises(ValueError, match="same order"):
        outcome(fitted(estimator, turned), frame)


@pytest.mark.parametrize("estimator", NETS + DROP_INS, ids=ids)
def test_an_array_where_names_were_given_is_taken_with_a_warning(estimator):
    for frame in [numbers()] + [mixed()] * (estimator not in DROP_INS):
        net = fitted(estimator, frame)
        for array in (frame.to_numpy(), frame.to_numpy(object)):  # the latter is what shap gives
            with pytest.warns(UserWarning, match="does not have valid feature names, but"):
                found = outcome(net, array)
            np.testing.assert_allclose(found, outcome(net, frame), 1e-6, 1e-6)
        with pytest.raises(ValueError, match=r"features, but .* is expecting"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome(net, frame.to_numpy(object)[:, 1:])


@pytest.mark.parametrize("estimator", NETS, ids=ids)
def test_columns_numbered_in_another_order_are_refused(estimator):
    """scikit-learn looks at names of text alone."""
    for frame in (numbers(), mixed()):
        y = (frame["a"] > 0).to_numpy().astype(int)
        y = np.stack([y, 1 - y], 1) if isinstance(estimator, NeuralMultiLabel) else y
        frame.columns = range(10, 10 + frame.shape[1])
        net = clone(estimator).fit(frame, y)
        expected = outcome(net, frame)
        with pytest.raises(ValueError, match="same order"):
            outcome(net, frame[[11, 10, *frame.columns[2:]]])
        np.testing.assert_array_equal(outcome(net, frame.set_axis(range(frame.shape[1]), axis=1)), expected)


def test_features_of_a_layer_and_models_know_names_too():
    import pellucid as pel
    from pellucid import nn

    frame = numbers().astype(float)
    y = (frame["a"] > 0).astype(int)
    turned = frame[["d", "c", "b", "a"]]
    model = pel.Model(nn.Sequential(nn.Dense(3), nn.tanh, nn.Dense(2)), "cross_entropy", input_shape=(4,))
    for estimator in (
        FeatureExtractor(model, 0),
        ModelEstimator(model, epochs=1),
        Perceptron(epochs=1),
        Adaline(epochs=1),
    ):
        estimator.fit(frame, y)
        use = estimator.transform if hasattr(estimator, "transform") else estimator.predict
        use(frame)
        with pytest.raises(ValueError, match="same order"):
            use(turned)
        with pytest.warns(UserWarning, match="valid feature names"):
            use(frame.to_numpy())
