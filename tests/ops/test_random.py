"""Random numbers: known answers, moments, distributions, independence, determinism."""

import numpy as np
import pytest
import scipy.stats
from tools import BATCH, check_gradient, run

import pellucid as pel
from pellucid import ops
from pellucid.ops.elementwise import threefry

KEY = np.array([1, 2], "uint32")
N = 20_000


@pytest.mark.parametrize(("counter", "key", "word"), [
    ("00000000 00000000", "00000000 00000000", "9d1c5ec6"),
    ("ffffffff ffffffff", "ffffffff ffffffff", "fd36d048"),
    ("243f6a88 85a308d3", "13198a2e 03707344", "ba3e4725"),
])  # fmt: skip
def test_threefry_known_answers(counter, key, word):
    """The first words of Random123's kat_vectors for threefry2x32 with 13 rounds."""
    words = [np.array(int(w, 16), "uint32") for w in (key + " " + counter).split()]
    assert f"{run(threefry, *words):08x}" == word


DISTRIBUTIONS = {
    "uniform": (lambda key, kind, n: ops.uniform(key, (n,), "float64", kind=kind), scipy.stats.uniform()),
    "uniform -3..5": (lambda key, kind, n: ops.uniform(key, (n,), "float64", -3, 5, kind), scipy.stats.uniform(-3, 8)),
    "normal": (lambda key, kind, n: ops.normal(key, (n,), "float64", kind=kind), scipy.stats.norm()),
    "normal 1, 0.5": (lambda key, kind, n: ops.normal(key, (n,), "float32", 1, 0.5, kind), scipy.stats.norm(1, 0.5)),
    "bernoulli": (lambda key, kind, n: ops.bernoulli(key, 0.3, (n,), "float32", kind), scipy.stats.bernoulli(0.3)),
}
draws = pytest.mark.parametrize("name", list(DISTRIBUTIONS))
kinds = pytest.mark.parametrize("kind", ["shared", "sample"])


def draw(name, kind, key=KEY, n=N):
    return run(lambda k: DISTRIBUTIONS[name][0](k, kind, n), key)


@draws
@kinds
def test_moments_and_distribution(name, kind):
    exact = DISTRIBUTIONS[name][1]
    x = draw(name, kind).astype("float64").ravel()
    assert x.size == N * (BATCH if kind == "sample" else 1)
    assert abs(x.mean() - exact.mean()) < 4 * exact.std() / np.sqrt(x.size)
    assert abs(x.var() / exact.var() - 1) < 6 / np.sqrt(x.size)
    assert np.isfinite(x).all()
    if name != "bernoulli":
        assert scipy.stats.kstest(x, exact.cdf).pvalue > 1e-3


def test_range():
    x = draw("uniform", "sample")
    assert (x >= 0).all() and (x < 1).all()
    assert set(np.unique(draw("bernoulli", "sample"))) == {0, 1}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("low", "high"), [
    (1, 2), (-2, -1), (3, 3.0000005), (0.1, 0.3), (-0.05, 0.05), (1e-3, 1), (-1e30, 1e30), (1000, 1000.25),
])  # fmt: skip
def test_uniform_never_gives_its_upper_end(low, high, dtype, monkeypatch):
    ends = np.array([0, 1, 255, 256, 2**31, 2**32 - 1], "uint32")
    monkeypatch.setattr(ops.random, "random_bits", lambda key, shape, kind: ops.constant(ends))
    x = run(lambda key: ops.uniform(key, ends.shape, dtype, low, high), KEY)
    assert x.dtype == dtype and (np.diff(x) >= 0).all()
    assert x[0] == np.asarray(low, dtype) and (x < np.asarray(high, dtype)).all() and (x < high).all()


def test_uniform_of_no_width_and_of_a_wrong_one():
    assert (run(lambda key: ops.uniform(key, (9,), "float32", 0.1, 0.1), KEY) == np.float32(0.1)).all()
    with pytest.raises(pel.GraphError, match="low must not be above high, got 1 and 0"):
        run(lambda key: ops.uniform(key, (2,), "float32", 1, 0), KEY)


def test_extreme_normal_draws_are_finite_and_symmetric():
    last = np.array([0, 2**24 - 1], "float64") * 2.0**-24
    x = run(lambda u: ops.erfinv(u * 2 - (1 - 2.0**-24)), last.astype("float32"))
    assert np.isfinite(x).all() and x[0] == -x[1]


@draws
@kinds
def test_same_key_same_numbers(name, kind):
    np.testing.assert_array_equal(draw(name, kind), draw(name, kind))


@kinds
def test_float32_and_float64_draw_alike(kind):
    def both(key):
        return [ops.uniform(key, (99,), d, kind=kind) for d in ("float32", "float64")]

    np.testing.assert_array_equal(*run(both, KEY))


def streams():
    """Draws that must have nothing to do with each other."""
    samples = draw("uniform", "sample")
    folded = run(lambda k: [ops.uniform(ops.fold_in(k, i), (N,), "float64") for i in (0, 1, 2**31)], KEY)
    others = [draw("uniform", "shared", np.array(k, "uint32")) for k in ([2, 1], [1, 3], [0, 0], [2**32 - 1, 2])]
    return [*samples, *folded, *others]


def test_independent():
    correlation = np.corrcoef(np.stack(streams()))
    np.fill_diagonal(correlation, 0)
    assert abs(correlation).max() < 5 / np.sqrt(N)
    serial = [np.corrcoef(x[:-lag], x[lag:])[0, 1] for x in streams() for lag in (1, 2, 4)]
    assert np.abs(serial).max() < 5 / np.sqrt(N)


def test_bits_are_fair():
    bits = np.unpackbits(run(lambda k: ops.random_bits(k, (N,)), KEY).view("uint8").reshape(N, 4), axis=1)
    assert abs(bits.mean(0) - 0.5).max() < 5 * 0.5 / np.sqrt(N)


def test_shape_does_not_change_the_stream():
    flat, shaped = run(lambda k: [ops.random_bits(k, (6,)), ops.random_bits(k, (2, 3))], KEY)
    np.testing.assert_array_equal(flat, shaped.ravel())
    assert run(lambda k: ops.random_bits(k, ()), KEY) == flat[0]


def test_first_sample_draws_what_shared_draws_and_batches_agree():
    samples = draw("uniform", "sample", n=7)
    np.testing.assert_array_equal(samples[0], draw("uniform", "shared", n=7))
    assert len(np.unique(samples)) == samples.size


def test_fold_in_of_a_value_is_that_of_the_number():
    a, b = run(lambda k, i: [ops.fold_in(k, 7), ops.fold_in(k, i)], KEY, np.array(7, "int64"))
    np.testing.assert_array_equal(a, b)
    assert a.dtype == "uint32" and (a != KEY).any()


def test_derivative_in_location_and_scale():
    """The reparametrized normal: d/dmean = 1, d/dstddev = the standard draw."""

    def shifted(mean, stddev):
        key = ops.constant(KEY)
        return ops.normal(key, (6,), "float64", kind="sample") * stddev + mean

    check_gradient(shifted, np.array(0.3), np.array(1.7))


def test_sample_index_counts():
    np.testing.assert_array_equal(run(lambda: ops.sample_index()), np.arange(BATCH))
