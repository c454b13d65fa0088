"""Walks down functions: by hand, natively the same, and what is refused."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import ArgumentError, GraphError, ops, optim, schedules


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def test_by_hand():
    """From (1, 2) down x^2 + y^2/2 with rate 0.5: x stands still at 0, y halves."""
    walk = pel.minimize(lambda x: x[0] ** 2 + 0.5 * x[1] ** 2, [1.0, 2.0], optim.SGD(0.5), steps=3)
    assert walk.points.tolist() == [[1, 2], [0, 1], [0, 0.5], [0, 0.25]]
    assert walk.values.tolist() == [3, 0.5, 0.125, 0.03125]


def test_schedules_count_steps_as_epochs():
    walk = pel.minimize(lambda x: x, 0.0, optim.SGD(schedules.Piecewise((1.0, 0.25), epochs=(2,))), steps=4)
    assert walk.points.tolist() == [0, -1, -2, -2.25, -2.5]


def test_lbfgs_on_rosenbrock():
    walk = pel.minimize(rosenbrock, [-1.2, 1.0], optim.LBFGS(), steps=40)
    np.testing.assert_allclose(walk.points[-1], [1, 1], atol=1e-8)
    assert (np.diff(walk.values) <= 0).all()


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_natively_the_same(name):
    found = [
        pel.minimize(rosenbrock, [-1.2, 1.0], optim.OPTIMIZERS[name](0.001), steps=20, executor=executor).points
        for executor in ("reference", "native")
    ]
    np.testing.assert_allclose(*found, rtol=1e-9)
    assert np.ptp(found[0], axis=0).min() > 0


def test_refused():
    with pytest.raises(GraphError, match=r"must give one number, got shape \(2,\); use ops.sum"):
        pel.minimize(lambda x: x * x, [1.0, 2.0])
    with pytest.raises(ArgumentError, match="steps must be 0 or more, got -1"):
        pel.minimize(lambda x: ops.sum(x), [1.0], steps=-1)
