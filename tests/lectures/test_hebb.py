"""Lecture 000, "Hebb's Law": w += eta x y, as a program of the graph."""

import numpy as np
import pytest

import pellucid as pel

SIGNS = np.array([[-1.0, -1], [-1, 1], [1, -1], [1, 1]])


def learn(wanted, executor, rate=1.0):
    """One look at each sample, in order; the weights."""
    x, y = pel.input("x", (2,), "float64"), pel.input("y", (), "float64")
    w, b = pel.state("w", (2,), "float64"), pel.state("b", (), "float64")
    updates = {w: w + rate * pel.batch_sum(x * y), b: b + rate * pel.batch_sum(y)}
    run = pel.executors.get(executor).compile(pel.Program([x, y], {"seen": pel.batch_sum(y * 0 + 1)}, updates))
    state = {"w": np.zeros(2), "b": np.zeros(())}
    assert run.steps(state, {"x": SIGNS, "y": np.array(wanted, float)}, np.arange(4), 1)["seen"] == 4
    return state["w"], float(state["b"])


@pytest.mark.parametrize("executor", ["reference", "native"])
@pytest.mark.parametrize(
    "wanted, weights, bias",
    [([-1, -1, -1, 1], [2, 2], -2), ([-1, 1, 1, 1], [2, 2], 2), ([-1, -1, 1, -1], [2, -2], -2)],
    ids=["and", "or", "x1-and-not-x2"],
)
def test_what_fires_together_wires_together_lecture_000(executor, wanted, weights, bias):
    """The textbook's sums, and the unit then says what was wanted."""
    w, b = learn(wanted, executor)
    assert (w.tolist(), b) == (weights, bias)
    assert np.sign(SIGNS @ w + b).tolist() == wanted


def test_hebbs_rule_learns_nothing_of_xor_lecture_000():
    w, b = learn([-1, 1, 1, -1], "native")
    assert (w.tolist(), b) == ([0, 0], 0)


def test_the_weight_grows_with_the_product_of_both_ends_lecture_000():
    """Twice as far for twice the rate, in the direction of x where y is +1, against it where y is -1."""
    once, twice = learn([-1, -1, -1, 1], "native", 0.5), learn([-1, -1, -1, 1], "native", 1.0)
    np.testing.assert_allclose(twice[0], 2 * once[0])
    assert once[0].tolist() == [1, 1]
