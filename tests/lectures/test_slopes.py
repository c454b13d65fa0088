"""Activation functions and their slopes: lectures 000 (sigmoid, tanh, ReLU), 001 (soft ELU), 002 (step, ramp, ...)."""

import math
from functools import partial

import numpy as np
import pytest
from tools import gradients, run

from pellucid import nn


def at(function, *points):
    return run(function, np.array(points, float)).tolist()


def slope(function, *points):
    return gradients(function, np.array(points, float))[0].tolist()


def test_sigmoid_lecture_000():
    assert at(nn.sigmoid, 2) == pytest.approx([0.880797])
    assert slope(nn.sigmoid, 2) == pytest.approx([0.104994], rel=1e-5)  # slide: 0.88 (1 - 0.88) = 0.1
    assert slope(nn.sigmoid, 10, -10) == pytest.approx([4.5396e-5] * 2, rel=1e-5)  # slide: 0
    assert slope(nn.sigmoid, 0) == [0.25]
    assert max(slope(nn.sigmoid, *np.linspace(-5, 5, 1001))) == 0.25


def test_tanh_lecture_000():
    assert at(nn.tanh, 2, 0.5) == pytest.approx([0.964028, 0.462117], rel=1e-5)
    assert slope(nn.tanh, 2, 0.5) == pytest.approx([0.070651, 0.786448], rel=1e-5)  # slide: 0.07, 0.78
    assert slope(nn.tanh, 0) == [1]
    assert max(slope(nn.tanh, *np.linspace(-5, 5, 1001))) == 1


def test_relu_lecture_000():
    assert at(nn.relu, -2, 0, 3) == [0, 0, 3]
    assert slope(nn.relu, -2, 0, 3) == [0, 0, 1]  # at 0 a choice, 0 here
    assert "slope at 0 itself is a choice: here it is 0" in nn.relu.__doc__
    leaky = partial(nn.leaky_relu, slope=0.1)
    assert at(leaky, -2, 0, 3) == pytest.approx([-0.2, 0, 3])
    assert slope(leaky, -2, 3) == [0.1, 1]


def test_softplus_lecture_001():
    """The soft version of ReLU: log(exp(x) + 1)."""
    assert at(nn.softplus, -1, 0, 1) == pytest.approx([math.log(math.exp(x) + 1) for x in (-1, 0, 1)])
    assert slope(nn.softplus, -1, 0, 1) == pytest.approx(at(nn.sigmoid, -1, 0, 1))


def test_step_lecture_002():
    """a if v < c, b if v > c."""
    assert at(partial(nn.step, a=-1, b=2, c=0.5), -3, 0.4, 0.6, 9) == [-1, -1, 2, 2]
    assert slope(partial(nn.step, a=-1, b=2, c=0.5), -3, 0.4, 0.6, 9) == [0, 0, 0, 0]


def test_ramp_lecture_002():
    """a if v < c, b if v > d, else a + (v - c)(b - a)/(d - c)."""
    ramp = partial(nn.ramp, a=-1, b=3, c=1, d=2)
    assert at(ramp, 0, 1, 1.25, 1.5, 2, 7) == [-1, -1, 0, 1, 3, 3]
    assert slope(ramp, 0, 1.25, 7) == [0, 4, 0]


def test_sigmoid_with_z_x_y_lecture_002():
    """z + 1 / (1 + exp(-x v + y))."""
    function = partial(nn.sigmoid, z=-0.5, x=3, y=1)
    assert at(function, 0.2, 2) == pytest.approx([-0.5 + 1 / (1 + math.exp(-3 * v + 1)) for v in (0.2, 2)])
    assert slope(function, 1 / 3) == pytest.approx([3 / 4])


def test_gaussian_lecture_002():
    """1/(sqrt(2 pi) sigma) exp(-((v - mu)/sigma)^2 / 2)."""
    assert at(nn.gaussian, 0) == pytest.approx([0.39894228])
    bell = partial(nn.gaussian, mu=1, sigma=2)
    assert at(bell, 1, 3) == pytest.approx([0.19947114, 0.12098536])
    assert slope(bell, 1) == [0]


def test_sign_lectures_001_and_004():
    """sign(S - 0.2) of the prediction exercise; regions of slope 0."""
    assert at(nn.sign, -2, 0, 3) == [-1, 0, 1]
    shifted = partial(nn.sign, threshold=0.2)
    assert at(shifted, 0.1, 0.2, 0.3) == [-1, 0, 1]
    assert slope(shifted, 0.1, 0.3) == [0, 0]
