"""The single neurons as scikit-learn estimators: its own checks, several classes, options, errors."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from pellucid.neurons import Adaline, McCullochPitts, Perceptron

random = np.random.default_rng(0)
X = random.normal(size=(60, 2))
Y = np.where(X @ [1.0, -2.0] + 0.3 > 0, "yes", "no")


@parametrize_with_checks([Perceptron(epochs=5), Adaline(learning_rate=1e-4, epochs=5)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_importing_the_package_does_not_import_scikit_learn():
    code = (
        "import sys, pellucid; assert 'sklearn' not in sys.modules; pellucid.neurons.Adaline; import pellucid.neurons"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    import pellucid

    with pytest.raises(AttributeError, match="module 'pellucid' has no attribute 'neuron'"):
        pellucid.neuron  # noqa: B018


def test_perceptron_is_rosenblatts_rule():
    """Against a plain loop."""
    unit = Perceptron(learning_rate=0.3, shuffle=False, epochs=7).fit(X, Y)
    w, b, t, errors = np.zeros(2), 0.0, np.where(Y == "yes", 1, -1), []
    for _ in range(unit.n_iter_):
        errors.append(0)
        for x, target in zip(X, t, strict=True):
            y = 1 if w @ x + b >= 0 else -1
            if y != target:
                w, b = w + 0.3 * (target - y) * x, b + 0.3 * (target - y)
                errors[-1] += 1
    np.testing.assert_allclose(unit.coef_[0], w, rtol=1e-10)
    np.testing.assert_allclose(unit.intercept_, [b], rtol=1e-10)
    assert unit.errors_ == errors and unit.converged_ == (errors[-1] == 0)


@pytest.mark.parametrize("batch_size", [1, 7, 60, "all"])
def test_adaline_is_the_widrow_hoff_rule(batch_size):
    unit = Adaline(learning_rate=0.05, epochs=3, batch_size=batch_size, shuffle=False).fit(X, Y)
    w, b, d, losses, k = (
        np.zeros(2),
        0.0,
        np.where(Y == "yes", 1.0, -1.0),
        [],
        60 if batch_size == "all" else batch_size,
    )
    for _ in range(3):
        loss = 0.0
        for i in range(0, 60, k):
            error = d[i : i + k] - (X[i : i + k] @ w + b)
            loss += (error**2).sum() / 2
            w, b = w + 0.05 * (error[:, None] * X[i : i + k]).mean(0), b + 0.05 * error.mean()
        losses.append(loss / 60)
    np.testing.assert_allclose([*unit.coef_[0], *unit.intercept_], [*w, b], rtol=1e-10)
    np.testing.assert_allclose(unit.loss_curve_, losses, rtol=1e-10)


def test_adaline_finds_least_squares():
    unit = Adaline(learning_rate=0.3, epochs=300, batch_size="all").fit(X, Y)
    ones = np.column_stack([X, np.ones(60)])
    expected = np.linalg.lstsq(ones, np.where(Y == "yes", 1.0, -1.0), rcond=None)[0]
    np.testing.assert_allclose([*unit.coef_[0], *unit.intercept_], expected, atol=1e-8)
    assert (np.diff(unit.loss_curve_) <= 1e-15).all()


def test_a_separable_set_is_separated_and_names_come_back():
    unit = Perceptron(epochs=1000).fit(X, Y)
    assert unit.converged_ and unit.score(X, Y) == 1 and set(unit.predict(X)) == {"yes", "no"}


@pytest.mark.parametrize("unit", [Perceptron(epochs=40), Adaline(0.01, epochs=40)])
def test_several_classes_one_unit_each(unit):
    x, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), unit).fit(x, y)
    assert pipeline[-1].coef_.shape == (3, 4) and pipeline.decision_function(x).shape == (150, 3)
    assert cross_val_score(pipeline, x, y, cv=3).mean() > 0.75


@pytest.mark.parametrize("make", [Perceptron, Adaline])
def test_order_is_a_function_of_the_seed(make):
    a, b, c = (make(epochs=2, seed=seed).fit(X, Y).coef_ for seed in (0, 0, 1))
    assert (a == b).all() and (a != c).any()


def test_options_are_cloned():
    assert clone(Adaline(0.5, batch_size="all")).get_params()["batch_size"] == "all"
    assert clone(McCullochPitts([1, 2], 2, [0])).get_params()["weights"] == [1, 2]


@pytest.mark.parametrize(
    "use, text",
    [
        (lambda: Perceptron().fit(X, Y == "maybe"), "one class only"),
        (lambda: Perceptron(learning_rate=0).fit(X, Y), "learning_rate must be > 0, got 0"),
        (lambda: Adaline(batch_size=0).fit(X, Y), "batch_size must be a whole number >= 1 or 'all', got 0"),
        (lambda: Perceptron().fit(X, X[:, 0]), "Unknown label type"),
        (lambda: McCullochPitts([1, 1]).predict([[0.5, 1]]), "takes inputs 0 or 1, got 0.5"),
        (lambda: McCullochPitts([1, 1]).predict([[1, 1, 1]]), r"has 2 weights, got X of shape \(1, 3\)"),
        (
            lambda: McCullochPitts([1, 1], inhibitory=[2]).fit(X),
            r"inhibitory input 2 does not exist; inputs are 0\.\.1",
        ),
        (lambda: McCullochPitts([[1, 1]]).fit(X), "weights must be one number for each input"),
    ],
)
def test_errors(use, text):
    with pytest.raises(ValueError, match=text):
        use()


def test_adaline_says_when_it_diverges():
    with pytest.raises(ArithmeticError, match="try a smaller learning_rate"):
        Adaline(learning_rate=1e4, epochs=100).fit(X, Y)


@pytest.mark.parametrize("threshold", [1, 2, 3, 4])
def test_mcculloch_pitts_counts(threshold):
    """All weights 1: the unit fires if at least `threshold` inputs are on; a veto stops it whatever they say."""
    table = np.array(np.meshgrid(*[[0, 1]] * 4)).reshape(4, -1).T
    assert (McCullochPitts(np.ones(4), threshold).predict(table) == (table.sum(1) >= threshold)).all()
    expected = (table[:, :3].sum(1) >= threshold) & (table[:, 3] == 0)
    assert (McCullochPitts(np.ones(4), threshold, inhibitory=[3]).predict(table) == expected).all()
