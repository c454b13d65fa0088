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
        (lambda: Perceptron(learning_rate=0).fit(X, Y), "learning_rate must be a number > 0, got 0"),
        (lambda: Perceptron(learning_rate="0.1").fit(X, Y), "learning_rate must be a number > 0, got '0.1'"),
        (lambda: Adaline(epochs=2.5).fit(X, Y), r"epochs must be a whole number >= 0, got 2\.5"),
        (lambda: Perceptron(seed=-1).fit(X, Y), "seed must be a whole number >= 0, got -1"),
        (lambda: Adaline(batch_size=0).fit(X, Y), "batch_size must be a whole number >= 1, got 0"),
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


UNITS = [Perceptron(), Adaline(0.05), Adaline(0.05, batch_size=7)]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("executor", ["reference", "native"])
def test_first_weights_are_taken(unit, executor):
    unit = clone(unit).set_params(epochs=0, executor=executor).fit(X, Y, coef_init=[[0.5, -2]], intercept_init=0.25)
    assert unit.coef_.tolist() == [[0.5, -2.0]] and unit.intercept_.tolist() == [0.25] and unit.n_iter_ == 0
    given = np.array([0.5, -2.0])
    learnt = clone(unit).set_params(epochs=2).fit(X, Y, coef_init=given, intercept_init=[0.25])
    assert (learnt.coef_ != given).any() and given.tolist() == [0.5, -2.0]  # the user's array stays as it is
    again = unit.partial_fit(X, Y).partial_fit(X, Y)
    np.testing.assert_array_equal(again.coef_, learnt.coef_)


def test_first_weights_of_several_classes():
    x, y = load_iris(return_X_y=True)
    first = np.arange(12.0).reshape(3, 4)
    unit = Perceptron(epochs=0).fit(x, y, coef_init=first, intercept_init=[1, 2, 3])
    np.testing.assert_allclose(unit.decision_function(x), x @ first.T + [1, 2, 3])


@pytest.mark.parametrize("unit", UNITS)
def test_partial_fit_is_an_epoch_of_fit(unit):
    whole = clone(unit).set_params(epochs=3).fit(X, Y)
    parts = clone(unit)
    for _ in range(3):
        parts.partial_fit(X, Y, classes=["no", "yes"])
    np.testing.assert_array_equal(whole.coef_, parts.coef_)
    assert whole.n_iter_ == parts.n_iter_ == 3
    assert getattr(whole, unit.curve) == getattr(parts, unit.curve) and len(getattr(parts, unit.curve)) == 3
    assert clone(unit).set_params(epochs=3).fit(X, Y).fit(X, Y).n_iter_ == 3  # fit begins anew


def test_partial_fit_takes_samples_as_they_come():
    """One class at a time, known by what the first call said."""
    unit = Perceptron(shuffle=False).partial_fit(X[:1], Y[:1], classes=["yes", "no"])
    for x, y in zip(X[1:], Y[1:], strict=True):
        unit.partial_fit([x], [y])
    np.testing.assert_allclose(unit.coef_, Perceptron(shuffle=False, epochs=1).fit(X, Y).coef_, rtol=1e-12)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("classes", [2, 3])
def test_the_record_tells_every_step(unit, classes):
    y = Y if classes == 2 else np.where(X[:, 0] > 1, "far", Y)
    plain = clone(unit).set_params(epochs=2, learning_rate=0.1).fit(X, y)
    unit = clone(plain).set_params(record=True).fit(X, y)
    np.testing.assert_allclose(unit.coef_, plain.coef_, rtol=1e-12)
    assert not hasattr(plain, "steps_") and len(unit.steps_) == 120
    size = getattr(unit, "batch_size", 1)
    for i, step in enumerate(unit.steps_):
        assert step.epoch == i // 60 and (step.x == X[step.row]).all()
        np.testing.assert_allclose(step.net_input, step.coef @ step.x + step.intercept, atol=1e-12)
        assert (np.where(np.array(step.net_input) >= 0, 1, -1) == step.output).all()
        t = np.where((np.array(["yes"]) if classes == 2 else unit.classes_) == y[step.row], 1, -1)
        assert (np.atleast_1d(step.target) == t).all()
        if i % 60 % size == 0 and i:  # a batch begins with what the last one ended with
            assert (step.coef == unit.steps_[i - 1].new_coef).all() and step.coef.shape == unit.coef_.squeeze().shape
        if size == 1:
            said = step.output if isinstance(unit, Perceptron) else step.net_input
            change = 0.1 * np.multiply.outer(step.target - said, step.x)
            np.testing.assert_allclose(step.new_coef - step.coef, change, atol=1e-12)
    last = unit.steps_[-1]
    np.testing.assert_array_equal(np.atleast_2d(last.new_coef), unit.coef_)
    assert sorted(step.row for step in unit.steps_[:60]) == list(range(60))
    assert len(unit.partial_fit(X, y).steps_) == 180 and len(unit.fit(X, y).steps_) == 120  # fit begins anew
    assert len(str(unit.steps_).splitlines()) == 121


def test_the_record_as_a_table():
    pandas = pytest.importorskip("pandas")
    steps = Perceptron(epochs=2, record=True).fit(X, Y).steps_
    assert repr(steps) == "<120 steps; print shows them as a table>"
    assert len(str(type(steps)(steps * 10)).splitlines()) == 202  # the first 100, the last 100, a head and dots
    table = pandas.DataFrame(steps)
    assert list(table.columns[:4]) == ["epoch", "row", "x", "target"] and len(table) == 120


@pytest.mark.parametrize(
    "use, text",
    [
        (lambda u: u.fit(X, Y, coef_init=[1, 2, 3]), r"coef_init must have shape \(1, 2\), or \(2,\), got \(3,\)"),
        (
            lambda u: u.fit(X, Y, intercept_init=[1, 2]),
            r"intercept_init must have shape \(1,\), or a number, got ",
        ),
        (lambda u: u.fit(X, Y, coef_init=[1, np.nan]), "coef_init must be finite, got nan"),
        (
            lambda u: u.partial_fit(X, Y),
            r"first partial_fit needs all classes there will be: partial_fit\(X, y, cl",
        ),
        (lambda u: u.partial_fit(X, Y, classes=["yes", "maybe"]), "y has 'no', which is none of the classes"),
        (lambda u: u.partial_fit(X, Y, classes=["yes"]), "one class only: 'yes'"),
    ],
)
@pytest.mark.parametrize("unit", UNITS)
def test_errors_of_first_weights_and_classes(unit, use, text):
    unit = clone(unit)
    with pytest.raises(ValueError, match=text):
        use(unit)
    assert not hasattr(unit, "coef_")


@pytest.mark.parametrize("unit", UNITS)
def test_errors_of_later_calls_change_nothing(unit):
    unit = clone(unit).set_params(epochs=2, record=True).fit(X, Y)
    before = {name: np.array(value, object).tolist() for name, value in vars(unit).items() if name != "steps_"}
    for x, y, classes, text in [
        (X, Y, ["no", "maybe"], "in the calls before they were"),
        (X, np.where(Y == "no", "never", Y), None, "y has 'never'"),
        (X[:, :1], Y, None, "2 features"),
    ]:
        with pytest.raises(ValueError, match=text):
            unit.partial_fit(x, y, classes)
    after = {name: np.array(value, object).tolist() for name, value in vars(unit).items() if name != "steps_"}
    assert after == before and len(unit.steps_) == 120
