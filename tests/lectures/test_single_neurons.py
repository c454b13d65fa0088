"""Single neurons, and what they cannot do: lectures 001 (XOR), 002 (perceptron), 003 (McCulloch and Pitts)."""

from functools import partial

import numpy as np
import pytest

from pellucid import Model, nn, optim
from pellucid.neurons import Adaline, McCullochPitts, Perceptron

TABLE = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
AND, OR, XOR = [0, 0, 0, 1], [0, 1, 1, 1], [0, 1, 1, 0]


def test_x1_and_not_x2_lecture_003():
    """McCulloch-Pitts unit: x1 AND NOT x2, by a weight of -1 or by a veto."""
    assert McCullochPitts([1, -1], threshold=1).predict(TABLE).tolist() == [0, 0, 1, 0]
    assert McCullochPitts([1, 1], threshold=1, inhibitory=[1]).predict(TABLE).tolist() == [0, 0, 1, 0]


def test_and_or_by_mcculloch_pitts_lecture_003():
    assert McCullochPitts([1, 1], threshold=2).predict(TABLE).tolist() == AND
    assert McCullochPitts([1, 1], threshold=1).predict(TABLE).tolist() == OR


def test_the_step_of_the_perceptron_lecture_002():
    """phi(v) = +1 if v >= 0, -1 if v < 0; at v = 0 exactly too: all weights 0 say +1."""
    unit = Perceptron(epochs=0).fit(TABLE, AND)
    assert unit.decision_function(TABLE).tolist() == [0, 0, 0, 0]
    assert unit.predict(TABLE).tolist() == [1, 1, 1, 1]


def test_rosenblatts_rule_by_hand_lecture_002():
    """OR, one epoch in order, eta = 1/2: only the first sample is a mistake (y = +1, t = -1): w += eta (-2) (0, 0)."""
    unit = Perceptron(learning_rate=0.5, epochs=1, shuffle=False).fit(TABLE, OR)
    # sample 1: v = 0, y = +1, t = -1: b = -1.  sample 2: v = -1, t = +1: w = (0, 1), b = 0.  3, 4: v = 0, 1: right
    assert (unit.coef_.tolist(), unit.intercept_.tolist(), unit.errors_) == ([[0, 1]], [0], [2])


def test_first_weights_and_the_table_of_steps_lecture_002():
    """AND from w = (0.3, -0.1), b = 0.2, eta = 1/2, filled in by hand: v, y, and the weights after each sample."""
    unit = Perceptron(learning_rate=0.5, epochs=2, shuffle=False, record=True)
    unit.fit(TABLE, AND, coef_init=[0.3, -0.1], intercept_init=0.2)
    by_hand = [  # x, t, v, y, w and b after it
        ((0, 0), -1, 0.2, +1, (0.3, -0.1), -0.8),
        ((0, 1), -1, -0.9, -1, (0.3, -0.1), -0.8),
        ((1, 0), -1, -0.5, -1, (0.3, -0.1), -0.8),
        ((1, 1), +1, -0.6, -1, (1.3, 0.9), 0.2),
        ((0, 0), -1, 0.2, +1, (1.3, 0.9), -0.8),
        ((0, 1), -1, 0.1, +1, (1.3, -0.1), -1.8),
        ((1, 0), -1, -0.5, -1, (1.3, -0.1), -1.8),
        ((1, 1), +1, -0.6, -1, (2.3, 0.9), -0.8),
    ]
    for step, (x, t, v, y, w, b) in zip(unit.steps_, by_hand, strict=True):
        assert (step.x.tolist(), step.target, step.output) == (list(x), t, y)
        np.testing.assert_allclose([step.net_input, *step.new_coef, step.new_intercept], [v, *w, b], atol=1e-12)
    assert unit.errors_ == [2, 3]


@pytest.mark.parametrize("truth", [AND, OR], ids=["and", "or"])
@pytest.mark.parametrize("seed", range(5))
def test_a_perceptron_learns_and_or_lecture_001(truth, seed):
    unit = Perceptron(seed=seed).fit(TABLE, truth)
    assert unit.predict(TABLE).tolist() == truth
    assert unit.converged_ and unit.errors_[-1] == 0 and unit.n_iter_ < 20


@pytest.mark.parametrize("seed", range(5))
def test_a_perceptron_does_not_learn_xor_lecture_001(seed):
    unit = Perceptron(epochs=200, seed=seed).fit(TABLE, XOR)
    assert not unit.converged_ and min(unit.errors_) > 0
    assert unit.score(TABLE, XOR) <= 0.75  # a line gets three of four at best


def test_adaline_on_xor_and_and_lecture_003():
    """Least squares: AND becomes v = x1 + x2 - 1.5; XOR, with nothing linear in it, v = 0 everywhere."""
    fit = partial(Adaline(learning_rate=0.5, epochs=300, batch_size="all").fit, TABLE)
    np.testing.assert_allclose([*fit(AND).coef_[0], *fit(AND).intercept_], [1, 1, -1.5], atol=1e-6)
    np.testing.assert_allclose([*fit(XOR).coef_[0], *fit(XOR).intercept_], [0, 0, 0], atol=1e-6)


def xor_network(seed: int, epochs: int = 1000) -> Model:
    """2-2-1 logistic units, small random weights, cross-entropy, batch mode with momentum: ``epochs`` steps."""
    small = partial(nn.init.uniform, size=0.2)
    hidden, out = (nn.Dense(units, weight_init=small, bias_init=small) for units in (2, 1))
    net = nn.Sequential(hidden, nn.sigmoid, out)  # the loss's link is the output unit's sigmoid
    model = Model(net, loss="binary_cross_entropy", optimizer=optim.SGD(3.0, momentum=0.9), seed=seed)
    # the four points again and again, four a step: `epochs` steps of batch mode in one call
    model.fit(np.tile(TABLE, (epochs, 1)), np.tile(XOR, epochs), batch_size=4, shuffle=False, verbose=0)
    return model


def test_a_hidden_layer_learns_xor_lecture_001():
    """At least 8 of 10 seeds (the rest end in a local minimum: two units are the least that can do it)."""
    networks = [xor_network(seed) for seed in range(10)]
    right = [((m.predict(TABLE)[:, 0] > 0.5) == XOR).all() for m in networks]
    sure = [np.abs(m.predict(TABLE)[:, 0] - XOR).max() < 0.05 for m in networks]
    assert right == sure  # who learnt it is sure of it
    assert sum(right) >= 8, f"{sum(right)} of 10"
