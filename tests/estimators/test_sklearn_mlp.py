"""The drop-in perceptrons are scikit-learn's: the same weights after the same draws, the same attributes and stops."""

import pickle
import warnings

import numpy as np
import pytest
import sklearn.neural_network as theirs
from scipy.sparse import csc_matrix, csr_array, csr_matrix
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import pellucid as pel
import pellucid.sklearn as ours

X, Y = load_iris(return_X_y=True)
X2, Y2 = load_diabetes(return_X_y=True)
SETTINGS = {
    "adam": {},
    "sgd": dict(solver="sgd", learning_rate_init=0.01),
    "no momentum": dict(solver="sgd", learning_rate_init=0.1, momentum=0.0, shuffle=False),
    "invscaling": dict(solver="sgd", learning_rate="invscaling", learning_rate_init=0.1, max_iter=30),
    "adaptive": dict(
        solver="sgd", learning_rate="adaptive", learning_rate_init=0.2, tol=0.01, nesterovs_momentum=False
    ),
    "batches": dict(batch_size=32, hidden_layer_sizes=(20, 10), activation="logistic", alpha=1.0),
    "early stopping": dict(early_stopping=True, activation="tanh", learning_rate_init=0.02, max_iter=100),
    "lbfgs": dict(solver="lbfgs", max_iter=30, activation="identity", alpha=0.1),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([ours.MLPClassifier(max_iter=100), ours.MLPRegressor(max_iter=100)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def both(kind, options, x, y, **more):
    """scikit-learn's and ours, fitted alike."""
    options = {"max_iter": 60, "random_state": 3} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return [getattr(m, kind)(**options).fit(x, y, **more) for m in (theirs, ours)]


def assert_alike(a, b, tolerance=1e-6):
    for name in ("n_iter_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_", "t_"):
        assert getattr(a, name) == getattr(b, name), name
    for name in ("coefs_", "intercepts_"):
        for p, q in zip(getattr(a, name), getattr(b, name), strict=True):
            assert p.shape == q.shape and p.dtype == q.dtype
            np.testing.assert_allclose(p, q, tolerance, tolerance)
    for name in ("loss_", "loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_"):
        assert hasattr(a, name) == hasattr(b, name), name
        if getattr(a, name, None) is not None:
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), tolerance, err_msg=name)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_classifier_is_scikit_learns(name):
    a, b = both("MLPClassifier", SETTINGS[name], X, Y)
    assert_alike(a, b, 1e-4 if name == "lbfgs" else 1e-6)
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), 1e-4, 1e-6)
    np.testing.assert_array_equal(a.classes_, b.classes_)


@pytest.mark.parametrize("options", [{}, dict(loss="poisson", max_iter=30), dict(solver="lbfgs", max_iter=20)])
def test_a_regressor_is_scikit_learns(options):
    assert_alike(*both("MLPRegressor", options, X2, Y2), 1e-4)


def test_several_outputs_labels_and_weights():
    weight = np.random.default_rng(0).uniform(0.5, 2, len(Y))
    assert_alike(*both("MLPClassifier", {"batch_size": 40}, X, Y == 1, sample_weight=weight))
    assert_alike(*both("MLPClassifier", {}, X, np.stack([Y == 0, Y < 2], 1).astype(int)))
    assert_alike(*both("MLPRegressor", {}, X2, np.stack([Y2, 2 * Y2], 1)))
    assert_alike(*both("MLPClassifier", {}, csr_matrix(X), Y))


def test_parameters_and_defaults_are_scikit_learns():
    for kind in ("MLPClassifier", "MLPRegressor"):
        assert getattr(ours, kind)().get_params() == getattr(theirs, kind)().get_params()


def test_partial_fit_and_warm_start():
    a, b = (m.MLPClassifier((10,), random_state=0, solver="sgd") for m in (theirs, ours))
    for rows in np.split(np.random.default_rng(1).permutation(150), 3):
        for m in (a, b):
            m.partial_fit(X[rows], Y[rows], classes=[0, 1, 2])
        b = pickle.loads(pickle.dumps(b))  # it remembers the velocities
    assert_alike(a, b)
    a, b = (m.MLPRegressor(hidden_layer_sizes=10, random_state=0, max_iter=5, warm_start=True) for m in (theirs, ours))
    with pytest.warns(ConvergenceWarning):
        for m in (a, b):
            m.fit(X2, Y2).fit(X2, Y2)
    assert_alike(a, b)


def test_float32_is_kept():
    """L-BFGS computes in float64, as scikit-learn's does."""
    x = X.astype("float32")
    for solver, dtype in (("adam", "float32"), ("sgd", "float32"), ("lbfgs", "float64")):
        for mlp in both("MLPClassifier", {"solver": solver}, x, Y):
            assert {a.dtype.name for a in mlp.coefs_ + mlp.intercepts_} == {dtype}
            assert mlp.predict_proba(x).dtype == dtype
    assert_alike(*both("MLPClassifier", {"solver": "lbfgs", "max_iter": 20}, x, Y), 1e-4)


@pytest.mark.parametrize("options", [{}, dict(early_stopping=True), dict(solver="sgd"), dict(solver="lbfgs")], ids=str)
def test_attributes_have_scikit_learns_types_and_layout(options):
    for kind, x, y in (("MLPClassifier", X, Y), ("MLPRegressor", X2, Y2)):
        a, b = both(kind, options, x, y)
        for p, q in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
            assert q.flags.c_contiguous == p.flags.c_contiguous and q.flags.c_contiguous
            assert q.tobytes() == np.ascontiguousarray(q).tobytes()
        assert type(b.loss_) is type(a.loss_) is np.float64
        assert {type(v) for v in getattr(b, "loss_curve_", [])} == {type(v) for v in getattr(a, "loss_curve_", [])}
    assert ours.MLPRegressor("poisson").loss == theirs.MLPRegressor("poisson").loss == "poisson"  # its first argument


# ---- sparse samples -------------------------------------------------------------------------------------------------


def sparse(n=300, features=80, density=0.05, dtype="float64"):
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((n, features)) < density, rng.normal(size=(n, features)), 0).astype(dtype)
    return csr_matrix(dense), (dense[:, :20].sum(1) > 0).astype(int) + (rng.random(n) < 0.3)


@pytest.fixture
def all_sparse(monkeypatch):
    """Small samples stay sparse too; making them dense is an error."""
    monkeypatch.setattr("pellucid.sklearn.sparse.SMALL_ARRAY", 0)
    monkeypatch.setattr("pellucid.sklearn.mlp.Passes", None)


@pytest.mark.parametrize("name", SETTINGS)
def test_sparse_samples_give_scikit_learns_results(name, all_sparse):
    x, y = sparse()
    options = {"hidden_layer_sizes": (9, 5)} | SETTINGS[name]
    assert_alike(*both("MLPClassifier", options, x, y), 1e-4 if name == "lbfgs" else 1e-6)


def test_sparse_samples_of_all_kinds(all_sparse):
    x, y = sparse()
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y))
    for given in (csc_matrix(x), csr_array(x)):
        assert_alike(*both("MLPClassifier", {"hidden_layer_sizes": ()}, given, y, sample_weight=weight))
    assert_alike(*both("MLPRegressor", {"batch_size": 70}, x, np.stack([y, 2.0 * y], 1)))
    assert_alike(*both("MLPRegressor", {"loss": "poisson", "solver": "lbfgs", "max_iter": 9}, x, y), 1e-4)
    assert_alike(*both("MLPClassifier", {}, sparse(dtype="float32")[0], y), 2e-3)
    for solver in ("adam", "sgd"):
        a, b = (m.MLPClassifier((6,), solver=solver, random_state=0, batch_size=20) for m in (theirs, ours))
        for m in (a, b):
            m.partial_fit(x[:100], y[:100], classes=[0, 1, 2]).partial_fit(x[100:], y[100:])
        assert_alike(a, b)
    before = [c.copy() for c in b.coefs_]
    known = b._optimizer.state["velocity.coefs.0"].copy()
    with pytest.raises(ValueError, match="non-finite"), np.errstate(all="ignore"):
        b.partial_fit(x * 1e307, y)
    assert all((p == q).all() for p, q in zip(before, b.coefs_, strict=True))
    assert (b._optimizer.state["velocity.coefs.0"] == known).all()


def test_wide_sparse_samples_take_no_memory_of_dense_ones():
    import tracemalloc

    rng = np.random.default_rng(0)
    n, features, each = 2000, 20_000, 20
    rows = (rng.random(n * each), rng.integers(0, features, n * each), np.arange(0, n * each + 1, each))
    x = csr_matrix(rows, shape=(n, features))
    tracemalloc.start()
    try:
        with pytest.warns(ConvergenceWarning):
            ours.MLPClassifier((10,), max_iter=1, random_state=0).fit(x, rng.integers(0, 2, n))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40e6 < 320e6 == n * features * 8  # weights of 1.6 MB, a few times


def test_it_says_what_scikit_learn_says(capsys):
    said = []
    for m in (theirs, ours):
        m.MLPClassifier((3,), verbose=True, random_state=0, max_iter=200, tol=1.0).fit(X, Y)
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and "Stopping." in said[0]


def test_another_number_compiles_nothing_again(monkeypatch):
    mlp = ours.MLPClassifier((7,), max_iter=2, n_iter_no_change=5)
    with pytest.warns(ConvergenceWarning):
        mlp.fit(X, Y)
        monkeypatch.setattr(ours.mlp_programs, "epoch_program", None)
        mlp.set_params(alpha=0.5, learning_rate_init=0.1, beta_1=0.5, random_state=4).fit(X, Y)
        with pytest.raises(TypeError):
            mlp.set_params(activation="tanh").fit(X, Y)


def test_threads_in_worker_processes(monkeypatch):
    monkeypatch.delenv("PELLUCID_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert ours.mlp_programs.worker_threads() is None
    monkeypatch.setattr("multiprocessing.parent_process", lambda: "joblib's")
    assert ours.mlp_programs.worker_threads() == 3
    monkeypatch.setenv("PELLUCID_THREADS", "1")
    assert ours.mlp_programs.worker_threads() is None


def test_as_model(tmp_path):
    for mlp in (*both("MLPClassifier", {}, X, Y)[1:], *both("MLPRegressor", {}, X2, Y2)[1:]):
        x = X if mlp.n_features_in_ == 4 else X2
        mlp.as_model().save(tmp_path / "net.pel")
        expected = mlp.predict_proba(x) if hasattr(mlp, "predict_proba") else mlp.predict(x)[:, None]
        np.testing.assert_allclose(pel.load(tmp_path / "net.pel").predict(x), expected, 1e-9)


def test_what_cannot_be_trained_on():
    a, b = both("MLPRegressor", dict(solver="sgd", learning_rate_init=1e6, random_state=0), X2, 1e6 * Y2)
    assert a.loss_ == b.loss_ == np.inf and a.n_iter_ == b.n_iter_  # the weights, of 1e248, are finite: no error
    with pytest.raises(ValueError, match="non-finite parameter weights"), np.errstate(all="ignore"):
        ours.MLPRegressor(solver="sgd", learning_rate_init=1e6, random_state=0).fit(1e200 * X2, Y2)
    with pytest.raises(ValueError, match="'alpha' parameter of MLPClassifier must be"):
        ours.MLPClassifier(alpha=-1).fit(X, Y)
    with pytest.raises(ValueError, match="'n_iter_no_change' parameter"):
        ours.MLPClassifier(n_iter_no_change=0).fit(X, Y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ours.MLPClassifier().fit(X, Y[:-1])
    with pytest.raises(ValueError, match="validation set is too small"):
        ours.MLPRegressor(early_stopping=True, validation_fraction=0.01).fit(X2[:50], Y2[:50])
    with pytest.raises(ValueError, match="does not support early_stopping"):
        ours.MLPRegressor(early_stopping=True).partial_fit(X2, Y2)
    with pytest.warns(UserWarning, match="clipped"):
        ours.MLPClassifier((2,), batch_size=1000, tol=10.0).fit(X, Y)
