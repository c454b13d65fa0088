"""The errors of the package: one class above them all, and none that says it is another kind of mistake."""

import importlib
import pickle
import pkgutil

import numpy as np
import pytest

import pellucid as pel
from pellucid import ArgumentError, DataError, DivergedError, GraphError, PellucidError, nn, optim


def exceptions_of(module) -> set[type]:
    """The exceptions that a module defines, warnings apart."""
    return {
        cls
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, BaseException) and not issubclass(cls, Warning)
        if cls.__module__ == module.__name__
    }


def modules():
    for found in pkgutil.walk_packages(pel.__path__, "pellucid."):
        if not found.name.endswith("__main__"):
            yield pytest.importorskip(found.name)


def test_every_error_is_a_pellucid_error():
    found = set().union(*map(exceptions_of, modules()))
    assert {ArgumentError, GraphError, DataError, DivergedError, nn.LayerError} <= found
    assert [c for c in found if not issubclass(c, PellucidError)] == []


def test_an_error_of_its_own_is_caught():
    own = type("Own", (RuntimeError,), {"__module__": __name__})
    globals()["Own"] = own
    try:
        assert exceptions_of(importlib.import_module(__name__)) == {own}
        assert not issubclass(own, PellucidError)
    finally:
        del globals()["Own"]


def test_kinds_of_mistakes_are_apart():
    kinds = [ArgumentError, GraphError, DataError, DivergedError]
    assert not [(a, b) for a in kinds for b in kinds if a is not b and issubclass(a, b)]
    assert all(issubclass(kind, ValueError) for kind in kinds[:3])
    assert issubclass(DivergedError, ArithmeticError) and not issubclass(DivergedError, ValueError)


X = np.zeros((4, 3), "float32")


@pytest.mark.parametrize(
    "wrong, kind",
    [
        (lambda: nn.Dense(0), ArgumentError),
        (lambda: optim.SGD("fast"), ArgumentError),
        (lambda: pel.Model(nn.Dense(1), "msee"), ArgumentError),
        (lambda: pel.ops.constant([1.0, 2.0]) + pel.ops.constant([1.0, 2.0, 3.0]), GraphError),
        (lambda: pel.Model(nn.Dense(1), "mse").fit(X, X[:3], epochs=1), DataError),
    ],
)
def test_what_is_what(wrong, kind):
    for caught in (kind, ValueError, PellucidError):
        with pytest.raises(caught):
            wrong()


@pytest.mark.parametrize("kind", [ArgumentError, GraphError, DataError, DivergedError, nn.LayerError])
def test_errors_go_through_pickle(kind):
    back = pickle.loads(pickle.dumps(kind("units must be a whole number >= 1, got 0")))
    assert type(back) is kind and str(back) == "units must be a whole number >= 1, got 0"


def test_names_of_before_still_find_the_classes():
    from pellucid.data.dataset import DataError as data_error
    from pellucid.graph import GraphError as graph_error

    assert graph_error is GraphError and data_error is DataError
