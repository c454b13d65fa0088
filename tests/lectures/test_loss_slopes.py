"""Losses and their slopes dJ/dy: lectures 001 (the table of J and dJ/dy), 003, 004 (choosing an error function)."""

import math

import numpy as np
import pytest
from tools import gradients, run

from pellucid import nn, ops

Z = np.array([1.0, -0.5, 2.0, 0.0])  # a net's output
K = np.exp(Z) / np.exp(Z).sum()  # its softmax: k[i] = e^z[i] / sum_j e^z[j] (004)
T = 1  # the label
ONE_HOT = np.eye(4)[T]


def loss_and_slope(loss, y, t):
    y, t = np.asarray(y, float), np.asarray(t)
    return float(run(loss, y, t)), gradients(loss, y, t)[0]


def test_half_squared_error_lectures_001_003_004():
    """J = 1/2 (y - y*)^2, dJ/dy = y - y*."""
    j, slope = loss_and_slope(nn.HalfSquaredError(), [0.75], [0.01])
    assert [j, *slope] == pytest.approx([0.2738, 0.74])


@pytest.mark.parametrize("t", [0, 1])
@pytest.mark.parametrize("v", [-2.0, 0.3, 4.0])
def test_binary_cross_entropy_lectures_001_003(v, t):
    """-(t log p + (1 - t) log(1 - p)) with p = sigmoid(v); with respect to v its slope is p - t."""
    p = 1 / (1 + math.exp(-v))
    j, slope = loss_and_slope(nn.BinaryCrossEntropy(), [v], [float(t)])
    assert j == pytest.approx(-math.log(p if t else 1 - p))
    assert slope.tolist() == pytest.approx([p - t])


@pytest.mark.parametrize("t", [0.0, 1.0])
def test_binary_cross_entropy_of_a_probability_lecture_001(t):
    """The slide's J = y* log y + (1 - y*) log(1 - y) of y itself: dJ/dy = y*/y + (1 - y*)/(y - 1)."""
    y = 0.8
    slope = gradients(lambda y, t: t * ops.log(y) + (1 - t) * ops.log(1 - y), np.array([y]), np.array([t]))[0]
    assert slope.tolist() == pytest.approx([t / y + (1 - t) / (y - 1)])


def test_categorical_cross_entropy_lecture_003():
    """-log k[T]; its slope is k - t, for a class number and for a one-hot row."""
    for target in (np.int32(T), ONE_HOT):
        j, slope = loss_and_slope(nn.CrossEntropy(), Z, target)
        assert j == pytest.approx(-math.log(K[T]))
        np.testing.assert_allclose(slope, K - ONE_HOT, rtol=1e-12)


def test_probability_of_missing_lecture_004():
    """E = 1 - k[T]; dE/dz[i] = -k[T] ([i = T] - k[i])."""
    e, slope = loss_and_slope(nn.MissProbability(), Z, np.int32(T))
    assert e == pytest.approx(1 - K[T])
    np.testing.assert_allclose(slope, -K[T] * (ONE_HOT - K), rtol=1e-12)


def test_class_distance_lecture_004():
    """E = sum_j k[j] (j - T)^2; dE/dz[i] = k[i] ((i - T)^2 - E)."""
    distance = (np.arange(4) - T) ** 2
    e, slope = loss_and_slope(nn.ClassDistance(), Z, np.int32(T))
    assert e == pytest.approx((K * distance).sum())
    np.testing.assert_allclose(slope, K * (distance - e), rtol=1e-12)


def test_one_layer_update_lecture_004():
    """y = W x + b, E = 1/2 (y - t)^2: dE/dW = (W x + b - t) x."""
    w, x, b, t = np.array([[0.5, -1.0]]), np.array([2.0, 3.0]), np.array([0.25]), np.array([1.0])

    def error(w, x, b, t):
        return nn.HalfSquaredError()(ops.dot(w, x) + b, t)

    by_w, _, by_b, _ = gradients(error, w, x, b, t)
    np.testing.assert_allclose(by_w, [(w @ x + b - t) * x])  # -2.75 * (2, 3)
    np.testing.assert_allclose(by_b, [-2.75])
