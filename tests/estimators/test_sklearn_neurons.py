"""Neurons under `pellucid.sklearn`: the same rules by scikit-learn's names of arguments."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import pellucid as pel
from pellucid import neurons
from pellucid.sklearn import Adaline, Perceptron

X, Y = pel.data.blobs(60, seed=1)


@parametrize_with_checks([Perceptron(), Adaline(eta0=1e-4)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", ["Perceptron", "Adaline"])
def test_the_same_as_the_neuron(kind):
    own = getattr(neurons, kind)(learning_rate=0.01, epochs=7, seed=3).fit(X, Y)
    theirs = clone(getattr(pel.sklearn, kind)(eta0=0.01, max_iter=7, random_state=3)).fit(X, Y)
    assert np.array_equal(own.coef_, theirs.coef_) and own.n_iter_ == theirs.n_iter_
    assert {"eta0", "max_iter", "random_state"} <= theirs.get_params().keys()
    assert not {"learning_rate", "epochs", "seed"} & theirs.get_params().keys()


def test_the_transformer_is_there_too():
    assert pel.sklearn.FeatureExtractor is pel.FeatureExtractor
