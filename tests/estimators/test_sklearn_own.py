"""scikit-learn's own tests of its perceptrons, from the installed scikit-learn, run on the drop-ins."""

import importlib.util
from types import ModuleType
from unittest import mock

import pytest
import sklearn.neural_network

from pellucid.sklearn import MLPClassifier, MLPRegressor

LEFT_OUT = {
    "test_gradient": "calls the private _loss_grad_lbfgs outside of a fit, with scikit-learn's own lists of arrays",
}


def own_tests() -> ModuleType:
    """The module of tests, anew, in which the names of scikit-learn's classes mean ours."""
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    if spec is None or spec.loader is None:
        pytest.skip("scikit-learn is installed without its tests", allow_module_level=True)
    module = importlib.util.module_from_spec(spec)
    ours = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
    with mock.patch.multiple(sklearn.neural_network, **ours):
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def global_random_seed():
    return 42


OWN = own_tests()
FOUND = {name: test for name, test in vars(OWN).items() if name.startswith("test_")}
globals().update({name: test for name, test in FOUND.items() if name not in LEFT_OUT})


def test_it_is_ours_that_is_tested():
    assert OWN.MLPClassifier is MLPClassifier and OWN.MLPRegressor is MLPRegressor
    assert len(FOUND) > 40 and LEFT_OUT.keys() <= FOUND.keys()
