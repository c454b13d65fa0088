"""3x3 convolutions by Winograd's tiles: the formula, which convolutions are computed so, and the machine code."""

import numpy as np
import pytest
from native_tools import agree

import pellucid as pel
from pellucid import ops
from pellucid.executors import native, reference
from pellucid.executors.native.build.builder import build
from pellucid.executors.native.jit.target import host
from pellucid.ops.winograd import winograd, winograd_product, winograd_slopes
from pellucid.passes import winograd as chosen

random = np.random.default_rng(0)
SIZES = [(16, 20, 8, 8, 3), (4, 6, 7, 9, 17), (18, 5, 13, 10, 33), (40, 33, 1, 1, 2), (7, 9, 16, 32, 5)]


@pytest.fixture
def everywhere(monkeypatch):
    """Small ones too."""
    monkeypatch.setattr(chosen, "LEAST", 1)
    monkeypatch.setattr(chosen, "LEAST_RESULTS", 1)
    monkeypatch.setattr(chosen, "LEAST_SLOPES", 1)


def convolution(channels, filters, rows, columns):
    """A convolution between functions, with its gradients."""
    x, w, b = (
        pel.input("x", (channels, rows, columns)),
        pel.state("w", (filters, channels, 3, 3)),
        pel.state("b", (filters,)),
    )
    y = ops.correlate(ops.tanh(x), w, padding="same")
    y = ops.tanh(y + ops.broadcast_to(b.reshape(-1, 1, 1), y.shape))
    dx, dw = pel.grad(ops.batch_sum(ops.sum(y * y)), [x, w])
    return pel.Program([x], {"y": y, "dx": dx, "dw": dw})


def products(program, kind=winograd_product):
    return sum(v.primitive is kind for v in build(program, host()).plan.program.order)


@pytest.mark.parametrize("size", [(4, 2), (3, 5), (1, 1)])
def test_formula(size):
    down, across = (-(-n // 2) for n in size)
    x, w = pel.input("x", (3, 2 * down + 2, 2 * across + 2), "float64"), pel.state("w", (4, 3, 3, 3), "float64")
    whole = ops.correlate(x, w)[:, : size[0], : size[1]]
    run = reference.compile(pel.Program([x], {"tiles": winograd(w, x, size), "whole": whole}))
    got = run({"w": random.normal(size=w.shape)}, {"x": random.normal(size=(5, *x.shape))})
    np.testing.assert_allclose(got["tiles"], got["whole"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", SIZES)
def test_native(size, everywhere):
    *shape, batch = size
    program = convolution(*shape)
    assert products(program) == 2  # forward, and the gradient of the input; that of the kernel is no such thing
    x, w = random.normal(size=(batch, *shape[:1], *shape[2:])), random.normal(size=(shape[1], shape[0], 3, 3)) * 0.1
    state = {"w": w.astype("float32"), "b": random.normal(size=shape[1]).astype("float32")}
    agree(program, {"x": x.astype("float32")}, state, tolerance=1e-5)
    one, three = (native.compile(program, threads)(dict(state), {"x": x.astype("float32")}) for threads in (1, 3))
    assert all((one[name] == three[name]).all() for name in one)


@pytest.mark.parametrize("size", [(16, 20, 8, 8, 3), (32, 6, 7, 9, 17), (48, 150, 13, 10, 33), (16, 33, 1, 1, 2)])
def test_gradients_of_kernels(size, everywhere):
    """With the update of the kernel and of its velocity behind the sum."""
    channels, filters, rows, columns, batch = size
    x, w = pel.input("x", (channels, rows, columns)), pel.state("w", (filters, channels, 3, 3))
    v = pel.state("v", w.shape)
    y = ops.tanh(ops.correlate(x, w, padding="same"))
    new = 0.9 * v + pel.grad(ops.batch_mean(ops.sum(y * y)), w)
    program = pel.Program([x], {}, {v: new, w: w - 0.1 * new})
    assert products(program, winograd_slopes) == 1
    state = {name: (random.normal(size=w.shape) * 0.1).astype("float32") for name in "wv"}
    x = {"x": random.normal(size=(batch, channels, rows, columns)).astype("float32")}
    _, one = agree(program, x, state, threads=1, tolerance=1e-5)
    _, three = agree(program, x, state, threads=3, tolerance=1e-5)
    assert all((one[name] == three[name]).all() for name in "wv")


def test_chosen():
    assert products(convolution(32, 32, 8, 8)) == 2
    assert products(convolution(32, 32, 8, 8), winograd_slopes) == 0
    assert products(convolution(96, 96, 8, 8), winograd_slopes) == 1
    assert products(convolution(8, 32, 8, 8)) == 0  # few channels
    assert products(convolution(32, 32, 7, 8)) == 0  # few results
    x, w = pel.input("x", (32, 17, 17)), pel.state("w", (32, 32, 3, 3))
    for options in ({"strides": 2}, {"dilations": 2}):
        assert products(pel.Program([x], {"y": ops.correlate(x, w, **options)})) == 0


@pytest.mark.parametrize("threads", [2, 5])
@pytest.mark.parametrize("batch", [1, 16, 40])
def test_fewer_blocks_than_threads(batch, threads):
    """Threads share the parts of a block; the bits are those of one thread."""
    x = random.normal(size=(batch, 6, 40, 32)).astype("float32")
    program, state = convolution(6, 8, 40, 32), {"w": random.normal(size=(8, 6, 3, 3)).astype("float32") * 0.1}
    state["b"] = np.zeros(8, "float32")
    one, several = (native.compile(program, n)(dict(state), {"x": x}) for n in (1, threads))
    expected = reference.compile(program)(dict(state), {"x": x})
    for name in one:
        assert (one[name] == several[name]).all()
        np.testing.assert_allclose(one[name], expected[name], rtol=2e-4, atol=1e-5 * np.abs(expected[name]).max())


def test_margins_stay_zero():
    """The same memory for one batch after the other, of several sizes."""
    x = random.normal(size=(50, 16, 8, 8)).astype("float32")
    program = convolution(16, 16, 8, 8)
    state = {"w": random.normal(size=(16, 16, 3, 3)).astype("float32") * 0.1, "b": np.ones(16, "float32")}
    run = native.compile(program, 1)
    for n in (50, 3, 50, 17):
        fresh = native.compile(program, 1)(dict(state), {"x": x[:n]})
        again = run(dict(state), {"x": x[:n]})
        assert all((fresh[name] == again[name]).all() for name in fresh)


@pytest.mark.parametrize("kind", ["sample", "shared"])
def test_padding_of_what_is_padded(kind):
    x = pel.input("x", (3, 4), kind=kind)
    twice = ops.pad(ops.pad(ops.exp(x), [(1, 0), (0, 2)]), [(2, 1), (1, 1)])
    array = random.normal(size=((5,) if kind == "sample" else ()) + (3, 4)).astype("float32")
    agree(pel.Program([x], {"sum": ops.sum(twice * twice, 0), "again": ops.tanh(twice)}), {"x": array})
