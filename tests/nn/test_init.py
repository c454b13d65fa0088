"""First values of parameters: their statistics, orthogonality, and what they depend on."""

import math
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from pellucid import GraphError, Model, nn, ops
from pellucid.executors import reference
from pellucid.graph import input
from pellucid.nn import init
from pellucid.program import Program

SHAPE = (200, 300)  # (out, in)
KERNEL = (40, 30, 3, 5)  # (out, in, *kernel): fan-in 450, fan-out 600


def draw(initializer, shape=SHAPE, dtype="float64", key=(7, 8)):
    k = input("key", (2,), "uint32", "shared")
    run = reference.compile(Program([k], {"w": initializer(k, shape, dtype)}))
    return run({}, {"key": np.array(key, np.uint32)})["w"]


VARIANCES = {  # fan-in, fan-out -> variance
    "lecun": lambda i, o: 1 / i,
    "glorot": lambda i, o: 2 / (i + o),
    "he": lambda i, o: 2 / i,
}


@pytest.mark.parametrize("shape, fan_in, fan_out", [(SHAPE, 300, 200), (KERNEL, 450, 600)])
@pytest.mark.parametrize("law", ["uniform", "normal"])
@pytest.mark.parametrize("name", VARIANCES)
def test_variance(name, law, shape, fan_in, fan_out):
    check_law(draw(init.INITIALISERS[f"{name}_{law}"], shape), law, VARIANCES[name](fan_in, fan_out))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("law, variance", [("uniform", 0.3**2 / 3), ("normal", 0.3**2)])
def test_of_a_given_size(law, variance, dtype):
    w = draw(partial(init.INITIALISERS[law], size=0.3), dtype=dtype)
    assert w.dtype == dtype
    check_law(w, law, variance)


def check_law(w, law, variance):
    n, size = w.size, math.sqrt(variance)
    kurtosis = {"uniform": 1.8, "normal": 3.0}[law]  # fourth moment / variance^2
    assert abs(w.mean()) < 5 * size / math.sqrt(n)
    assert abs(w.var() / variance - 1) < 5 * math.sqrt((kurtosis - 1) / n)
    assert abs((w**4).mean() / variance**2 / kurtosis - 1) < 0.06
    if law == "uniform":
        edge = math.sqrt(3) * size
        assert -edge <= w.min() < -0.999 * edge and 0.999 * edge < w.max() < edge
    rows = np.corrcoef(w.reshape(len(w), -1)) - np.eye(len(w))
    assert np.abs(rows).max() < 7 / math.sqrt(w.size / len(w))  # rows have nothing to do with each other


@pytest.mark.parametrize("shape", [(20, 20), (8, 50), (50, 8), (6, 3, 2, 2), (1, 7), (7, 1)])
@pytest.mark.parametrize("dtype, error", [("float64", 1e-12), ("float32", 2e-6)])
def test_orthogonal(shape, dtype, error):
    w = draw(init.orthogonal, shape, dtype).reshape(shape[0], -1)
    gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    assert np.abs(gram - np.eye(len(gram))).max() < error
    doubled = draw(partial(init.orthogonal, gain=2.0), shape, dtype).reshape(shape[0], -1)
    np.testing.assert_allclose(doubled, 2 * w, rtol=1e-6)


@pytest.mark.parametrize("key", [(seed, 0) for seed in range(20)])
def test_orthogonal_from_any_key(key):
    w = draw(init.orthogonal, (30, 30), key=key)
    assert np.abs(w @ w.T - np.eye(30)).max() < 1e-10


@pytest.mark.parametrize("shape", [(30, 30), (31, 30), (60, 30), (400, 30), (30, 90), (1, 1)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_orthogonal_is_a_library_qr_with_a_positive_diagonal(shape, dtype):
    """Whichever way it is computed: a long matrix's by Cholesky's factorization, others' by Householder's."""
    x = draw(partial(init.normal, size=1.0), (max(shape), min(shape)), dtype)
    q, r = np.linalg.qr(x)
    q = q * np.sign(np.diagonal(r))
    w = draw(init.orthogonal, shape, dtype)
    assert w.dtype == dtype
    np.testing.assert_allclose(w if shape[0] >= shape[1] else w.T, q, atol=1e-9 if dtype == "float64" else 2e-4)


def test_orthogonal_does_not_depend_on_the_number_of_threads():
    code = (
        "import hashlib, pellucid as pel; from pellucid import nn\n"
        "m = pel.Model(nn.Sequential(nn.GRU(300)), 'mse', input_shape=(4, 3), seed=1)\n"
        "print(hashlib.sha256(m.parameters['layers.0.recurrent_weight'].tobytes()).hexdigest())"
    )
    runs = []
    for n in "12":
        env = os.environ | {"OPENBLAS_NUM_THREADS": n}
        runs.append(subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True))
    assert runs[0].stdout == runs[1].stdout


def test_orthogonal_is_for_shared_long_matrices():
    for shape, kind in (((3, 4), "shared"), ((4,), "shared"), ((4, 3), "sample")):
        with pytest.raises(GraphError, match=r"orthonormal: takes a shared matrix \(m, n\) of floats with m >= n, got"):
            ops.orthonormal(input("x", shape, kind=kind))


def test_zeros_and_constants():
    assert (draw(init.zeros) == 0).all()
    assert (draw(init.constant) == 1).all()
    assert (draw(partial(init.constant, value=-2.5)) == -2.5).all()
    given = np.arange(6.0).reshape(2, 3)
    assert (draw(partial(init.constant, value=given), (2, 3)) == given).all()


@pytest.mark.parametrize("name", [n for n in init.INITIALISERS if n not in ("zeros", "constant")])
def test_a_function_of_the_key(name):
    first = draw(init.INITIALISERS[name], (10, 12))
    assert (first == draw(init.INITIALISERS[name], (10, 12))).all()
    assert (first != draw(init.INITIALISERS[name], (10, 12), key=(7, 9))).mean() > 0.9
    low = draw(init.INITIALISERS[name], (10, 12), "float32")
    np.testing.assert_allclose(low, first, atol=2e-6)  # the same numbers in both precisions


@pytest.mark.parametrize("name", ["lecun_uniform", "he_normal", "glorot_uniform", "orthogonal"])
def test_a_bias_has_no_fan_in(name):
    with pytest.raises(GraphError, match=r"needs a weight of shape \(out, in, \.\.\.\), got \(5,\); use uniform"):
        draw(init.INITIALISERS[name], (5,))


def first_weights(net, seed=0, dtype="float32"):
    return Model(net, loss="mse", seed=seed, dtype=dtype, input_shape=(6,)).parameters


def net(*extra):
    return nn.Sequential(nn.Dense(5, name="a"), nn.tanh, *extra, nn.Dense(5, name="b"), nn.Dense(5, name="c"))


def test_a_parameter_depends_on_seed_and_name_alone():
    """Not on the order or number of the others: adding a layer leaves the first weights of the rest as they were."""
    plain, longer = first_weights(net()), first_weights(net(nn.Dense(5, name="between")))
    assert all((plain[name] == longer[name]).all() for name in plain) and len(longer) == len(plain) + 2
    names = list(plain)
    assert (plain["layers.b.weight"] != plain["layers.c.weight"]).all()
    again, other = first_weights(net()), first_weights(net(), seed=1)
    assert all((plain[n] == again[n]).all() for n in names)
    assert all((plain[n] != other[n]).mean() > 0.9 for n in names if n.endswith("weight"))


@pytest.mark.parametrize("seed", [2**32, 2**64 - 1])
def test_long_seeds_count(seed):
    assert (first_weights(net(), seed)["layers.a.weight"] != first_weights(net(), 0)["layers.a.weight"]).mean() > 0.9
