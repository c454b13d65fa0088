"""Models in pickles: the same predictions, the same further training; own code by name, the user's as pickle has it."""

import copy
import importlib
import pickle
from types import FunctionType

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

import pellucid as pel
from pellucid import nn, optim, tabular
from pellucid._moved import MOVED

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = (X[:, 0] > 0).astype(int)


class Twice(nn.Layer):
    """A user's layer."""

    factor: float = 2.0

    def __call__(self, x):
        return x * self.factor


def swish(x):
    return x * nn.sigmoid(x)


def net():
    return nn.Sequential(nn.Dense(8), nn.relu, "tanh", Twice(3.0), swish, nn.Dropout(0.1), nn.Dense(2))


def test_a_pickled_model_predicts_and_trains_on_as_the_first():
    model = pel.Model(net(), "cross_entropy", optim.Adam(0.01), metrics=["accuracy"], seed=3)
    model.fit(X, Y, epochs=2, verbose=0)
    model.notes["told"] = 1
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    assert other.history.columns == model.history.columns and other.notes == {"told": 1} and other.threads is None
    for m in (model, other):
        m.fit(X, Y, epochs=2, verbose=0)
    np.testing.assert_array_equal(other.predict(X), model.predict(X))


def test_a_copy_is_a_model_of_its_own():
    model = pel.Model(net(), "cross_entropy", input_shape=(4,), threads=1, executor="reference")
    before, other = model.parameters, copy.deepcopy(model)
    assert other.executor is model.executor and other.threads == 1
    other.fit(X, Y, verbose=0)
    assert all((model.parameters[k] == v).all() for k, v in before.items())


def test_before_any_data_was_seen():
    other = pickle.loads(pickle.dumps(pel.Model(net(), "cross_entropy", seed=7)))
    assert other.traced is None and other.seed == 7


def test_a_lambda_is_refused_by_pickle_itself():
    model = pel.Model(nn.Sequential(lambda x: 2 * x, nn.Dense(2)), "mse", input_shape=(4,))
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(model)


def test_features_in_worker_processes():
    model = pel.Model(nn.Sequential(nn.Dense(8), nn.relu, nn.Dense(2)), "cross_entropy", input_shape=(4,), threads=1)
    pipeline = make_pipeline(pel.FeatureExtractor(model, "layers.1"), LogisticRegression())
    alone = cross_val_score(pipeline, X, Y, cv=2)
    np.testing.assert_array_equal(cross_val_score(pipeline, X, Y, cv=2, n_jobs=2), alone)


def test_joblib_files(tmp_path):
    model = pel.Model(nn.Dense(2), "mse", input_shape=(4,))
    joblib.dump(model, tmp_path / "model")
    np.testing.assert_array_equal(joblib.load(tmp_path / "model").predict(X), model.predict(X))


@pytest.mark.parametrize("old", MOVED)
def test_older_pickles_find_what_has_moved(old):
    module = importlib.import_module(f"pellucid.{MOVED[old]}")
    own = [v for v in vars(module).values() if isinstance(v, (type, FunctionType)) and v.__module__ == module.__name__]
    assert own
    for thing in own:
        at = f"cpellucid.{old}\n{thing.__name__}\n.".encode()  # protocol 0: by name
        assert pickle.loads(at) is getattr(module, thing.__name__)


def test_older_pickles_find_classes_with_new_names():
    assert pickle.loads(b"cpellucid.tabular.preprocessing\nPreparation\n.") is tabular.PreprocessingSpec
    assert pickle.loads(b"cpellucid.tabular.preprocessing\nPreprocessing\n.") is tabular.FittedPreprocessing
