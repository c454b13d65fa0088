"""A trained `Model` as a fitted estimator: scikit-learn's scores and pictures of it."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.inspection import permutation_importance

import pellucid as pel
from pellucid import DataError, GraphError, Model, nn, optim
from pellucid.selection import ModelEstimator

MOONS = pel.data.moons(200, noise=0.1, seed=0)


def trained(units=2, loss="cross_entropy", y=MOONS.y):
    model = Model(nn.Sequential(nn.Dense(8), nn.tanh, nn.Dense(units)), loss, optim.Adam(0.05))
    model.fit(MOONS.x, y, epochs=20, verbose=0)
    return model


@pytest.mark.parametrize("units, loss", [(2, "cross_entropy"), (1, "binary_cross_entropy")])
@pytest.mark.parametrize("method", ["auto", "predict", "predict_proba"])
def test_a_decision_boundary(units, loss, method):
    pytest.importorskip("matplotlib")
    from sklearn.inspection import DecisionBoundaryDisplay

    model = trained(units, loss)
    shown = DecisionBoundaryDisplay.from_estimator(
        ModelEstimator.trained(model), MOONS.x, response_method=method, grid_resolution=20
    )
    at = np.stack([shown.xx0.ravel(), shown.xx1.ravel()], axis=1)
    p = model.predict(at)
    positive = p[:, 1] if units == 2 else p[:, 0]
    expected = (positive > 0.5).astype(int) if method == "predict" else positive
    np.testing.assert_allclose(np.asarray(shown.response).ravel(), expected, atol=1e-6)


def test_the_model_itself_says_the_way():
    pytest.importorskip("matplotlib")
    from sklearn.inspection import DecisionBoundaryDisplay

    with pytest.raises(AttributeError, match=r"here it is pel\.selection\.ModelEstimator\.trained\(model\)"):
        DecisionBoundaryDisplay.from_estimator(trained(), MOONS.x)


def test_nothing_is_trained():
    model = trained()
    before = {k: v.copy() for k, v in model.state.items()}
    estimator = ModelEstimator.trained(model, classes=["lower", "upper"])
    names = np.array(["lower", "upper"])[MOONS.y]
    assert is_classifier(estimator) and estimator.score(MOONS.x, names) > 0.8
    assert permutation_importance(estimator, MOONS.x, names, n_repeats=2).importances_mean.max() > 0
    assert model.epochs == 20 and all((before[k] == v).all() for k, v in model.state.items())
    assert not hasattr(clone(estimator), "model_")
    assert clone(estimator).fit(MOONS.x, names).model_ is not model


def test_values_and_names_of_columns():
    x = pd.DataFrame(MOONS.x, columns=["east", "north"])
    model = Model(nn.Dense(1), "mse")
    model.fit(x, MOONS.x[:, 0], epochs=3, verbose=0)
    estimator = ModelEstimator.trained(model)
    assert not is_classifier(estimator) and estimator.predict(x).shape == (200,)
    assert estimator.feature_names_in_.tolist() == ["east", "north"] and estimator.n_features_in_ == 2
    with pytest.raises(ValueError, match="feature names"):
        estimator.predict(x[["north", "east"]])


def test_what_cannot_be_one():
    with pytest.raises(GraphError, match="has no weights yet"):
        ModelEstimator.trained(Model(nn.Dense(2), "cross_entropy"))
    with pytest.raises(DataError, match="labels of the net's 2 classes"):
        ModelEstimator.trained(trained(), classes=["a", "b", "c"])
    both = Model(lambda a, b: a + b, "mse", input_shape=((2,), (2,)))
    with pytest.raises(GraphError, match="takes one array of samples, but the net takes 2"):
        ModelEstimator.trained(both)
