"""Convolution, pooling and upsampling: derivatives, the plain definition, sizes, and what errors say."""

import itertools

import numpy as np
import pytest
from conv_cases import draw
from tools import BATCH, check_gradient, distinct, gradients, run

from pellucid import ArgumentError, GraphError, Model, Program, grad, input, nn, ops, state
from pellucid.executors import reference
from pellucid.ops.sizes import check_fit


@pytest.mark.parametrize("seed", [*range(40), 5098])  # the last: windows of padding alone
def test_derivatives(seed):
    case = draw(seed)
    arrays = [distinct((BATCH, *case.x), seed)] + ([] if case.w is None else [distinct(case.w, seed + 1)])
    check_gradient(case, *arrays, kinds=("sample", "shared")[: len(arrays)], tolerance=1e-5)


def test_correlation_by_its_definition():
    x, w = distinct((4, 7, 9)), distinct((6, 2, 2, 3), 1)
    found = run(lambda x, w: ops.correlate(x, w, (2, 1), ((1, 0), 2), (1, 2), groups=2), x, w)
    wide = np.pad(x, ((0, 0), (1, 0), (2, 2)))
    expected = np.zeros((6, 4, 9))
    for o, p, q, c, i, j in np.ndindex(6, 4, 9, 2, 2, 3):
        expected[o, p, q] += w[o, c, i, j] * wide[c + 2 * (o // 3), 2 * p + i, q + 2 * j]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


ADJOINTS = [
    case for case in map(draw, range(200, 260)) if case.name == "correlate" and case.options["padding"] != "same"
]


@pytest.mark.parametrize("case", ADJOINTS, ids=str)
def test_the_transposed_is_the_adjoint(case):
    """<correlate(x), g> = <x, correlate_transposed(g)> for every x and g."""
    x, w = distinct(case.x), distinct(case.w, 1)
    y = run(case, x, w)
    g = distinct(y.shape, 2)
    options = {k: case.options[k] for k in ("strides", "padding", "dilations", "groups")}
    padding = [(0, 0)] * (x.ndim - 1) if options["padding"] == "valid" else options["padding"]
    axes = zip(x.shape[1:], y.shape[1:], w.shape[2:], options["strides"], options["dilations"], padding, strict=True)
    rest = tuple(n + sum(p) - (m - 1) * s - (k - 1) * d - 1 for n, m, k, s, d, p in axes)
    back = run(lambda g, w: ops.correlate_transposed(g, w, output_padding=rest, **options), g, w)
    assert back.shape == x.shape
    assert float((y * g).sum()) == pytest.approx(float((x * back).sum()), rel=1e-10)


# ---- pooling ----------------------------------------------------------------------------------------------------


def test_the_first_of_equals_has_the_derivative():
    x = np.array([[[1.0, 3, 3, 1], [3, 0, 1, 1]]])
    (slope,) = gradients(lambda x: ops.max_pool(x, 2), x)
    assert slope[0].tolist() == [[0, 1, 1, 0], [0, 0, 0, 0]]
    (slope,) = gradients(lambda x: ops.max_pool(x, 2, strides=1), x)
    assert slope[0].tolist() == [[0, 2, 1, 0], [0, 0, 0, 0]]  # two windows have the same largest element


def test_padding_is_never_the_largest():
    x = -np.arange(1.0, 5).reshape(1, 4)
    assert run(lambda x: ops.max_pool(x, 2, padding=1), x).tolist() == [[-1, -2, -4]]
    assert run(lambda x: ops.max_pool(x, 3, strides=1, padding="same"), x).tolist() == [[-1, -1, -2, -3]]


def test_padding_and_the_mean():
    x = np.array([[2.0, 4, 6]])
    assert run(lambda x: ops.avg_pool(x, 3, 1, "same"), x).tolist() == [[3, 4, 5]]
    zeros_too = run(lambda x: ops.avg_pool(x, 3, 1, "same", count_include_pad=True), x)
    assert zeros_too[0].tolist() == pytest.approx([2, 4, 10 / 3])


def test_pooling_side_by_side_is_a_view():
    """Neither the mean nor its derivative has anything to add up."""
    x = input("x", (3, 8, 8))
    y = ops.avg_pool(x, 2)
    used = {v.primitive.name for v in Program([x], {"g": grad(ops.batch_sum(ops.sum(y)), [x])[0]}).order}
    assert not used & {"windows", "overlap_add"}


def test_global_pooling():
    x = distinct((3, 4, 5))
    np.testing.assert_allclose(run(ops.global_avg_pool, x), x.mean((1, 2)), rtol=1e-12)
    np.testing.assert_allclose(run(ops.global_max_pool, x), x.max((1, 2)))
    assert run(ops.global_max_pool, x[0]).shape == (4,)


def test_upsampling():
    x = np.array([[[1.0, 2], [3, 4]]])
    assert run(lambda x: ops.upsample(x, (1, 2)), x)[0].tolist() == [[1, 1, 2, 2], [3, 3, 4, 4]]
    assert run(lambda x: ops.upsample(x, 2, "bilinear"), x)[0].tolist() == [
        [1, 1.25, 1.75, 2],
        [1.5, 1.75, 2.25, 2.5],
        [2.5, 2.75, 3.25, 3.5],
        [3, 3.25, 3.75, 4],
    ]
    assert run(lambda x: ops.upsample(x, 4, "linear"), x[0])[0].tolist() == [1, 1, 1.125, 1.375, 1.625, 1.875, 2, 2]


# ---- what errors say --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "n, kernel, stride, dilation", list(itertools.product(range(3, 13), (2, 3), (1, 2, 3), (1, 2)))
)
def test_what_the_error_offers_does_fit(n, kernel, stride, dilation):
    try:
        check_fit(n, kernel, stride, dilation, (0, 0), False)
    except GraphError as error:
        text = str(error)
        if "larger than" in text:
            check_fit(n, int(text.split("kernel of at most ")[1].split(",")[0]), 1, dilation, (0, 0), False)
            return
        strides, rest = text.split("It fits with stride ")[1].split(", with padding ")
        for s in strides.replace(" or ", ", ").split(", "):
            check_fit(n, kernel, int(s), dilation, (0, 0), False)
        padding, rest = rest.split(" in all, or for an axis of ")
        check_fit(n, kernel, stride, dilation, (0, int(padding)), False)
        for other in rest.split(";")[0].split(" or "):
            check_fit(int(other), kernel, stride, dilation, (0, 0), False)


X = input("x", (4, 8, 8))
W = state("w", (6, 4, 3, 3))
ERRORS = {
    "rank": (lambda: ops.correlate(input("x", (4, 8)), W), r"\(filters, channels, \*size\) needs an input of shape"),
    "channels": (lambda: ops.correlate(input("x", (3, 8, 8)), W), "3 channels in 1 groups do not fit a kernel"),
    "groups": (lambda: ops.correlate(X, state("w", (5, 2, 3, 3)), groups=2), "4 channels in 2 groups do not fit"),
    "strides": (lambda: ops.correlate(X, W, strides=0), "strides must be a whole number >= 1, or 2 of them, got 0"),
    "dilations": (lambda: ops.correlate(X, W, dilations=(1, 2, 3)), "dilations must be a whole number >= 1, or 2"),
    "padding": (lambda: ops.correlate(X, W, padding="SAME"), "padding must be 'valid', 'same', a number, or for each"),
    "half padding": (lambda: ops.correlate(X, W, padding=1.5), "padding must be 'valid', .* got 1.5"),
    "negative padding": (lambda: ops.correlate(X, W, padding=(-1, 0)), r"padding must be .* got \(-1, 0\)"),
    "pooled numbers": (lambda: ops.max_pool(input("x", (1, 4, 4), "int32"), 2), r"max_pool: takes floats of shape"),
    "pooled vector": (lambda: ops.avg_pool(input("x", (4,)), 2), r"avg_pool: takes floats of shape \(chan"),
    "a thousand million of padding": (lambda: ops.max_pool(X, 2, padding=10**9), "padding 1000000000 is so wide"),
    "only padding": (lambda: ops.max_pool(X, 2, padding=2), "padding 2 is so wide that a window of .* nothing else"),
    "upsampling": (lambda: ops.upsample(X, 2, "linear"), "method must be 'nearest' or 'bilinear' for 2 axes of space"),
    "factor": (lambda: ops.upsample(X, 0), "factor must be a whole number >= 1"),
}  # fmt: skip


@pytest.mark.parametrize("make, text", ERRORS.values(), ids=list(ERRORS))
def test_errors(make, text):
    with pytest.raises((ArgumentError, GraphError), match=text):
        make()


LAYER_ERRORS = {
    "no filters": (lambda: nn.Conv(0, 3), "Conv: filters must be a whole number >= 1, got 0"),
    "kernel of half": (lambda: nn.Conv(2, 1.5), "Conv: kernel_size must be a whole number >= 1, or 1 to 3 of them"),
    "four axes": (lambda: nn.MaxPool((2, 2, 2, 2)), r"MaxPool: size must be .* got \(2, 2, 2, 2\)"),
    "stride": (lambda: nn.AvgPool(2, strides=-1), "AvgPool: strides must be .* got -1"),
    "bias": (lambda: nn.Conv(2, 3, bias=1), "Conv: bias must be True or False, got 1"),
    "padding for strides": (lambda: nn.Conv(2, 3, "same"), "Conv: strides must be .* got 'same'"),
    "multiplier": (lambda: nn.DepthwiseConv(3, 0), "DepthwiseConv: multiplier must be"),
}


@pytest.mark.parametrize("make, text", LAYER_ERRORS.values(), ids=list(LAYER_ERRORS))
def test_options_of_layers(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


INPUTS = {
    "pixels in a row": (nn.Conv(2, 3), (64,), r"x\[:, None\].* nn\.Reshape\(\(1, 8, 8\)\) for pictures"),
    "no channels": (nn.Conv(2, 3), (28, 28), r"without channels; give x\[:, None\], or nn\.Reshape\(\(1, 28, 28\)\)"),
    "no channels, a pair": (nn.Conv(2, (3, 5)), (9, 28), r"shape \(9, 28\) without channels; give x\[:, None\]"),
    "no channels in a pool": (nn.MaxPool(2), (28, 28), r"or size=\(2,\) if there are 28 channels"),
    "channels last": (nn.Conv(2, 3), (32, 48, 3), r"move the channels first: x\.transpose\(0, 3, 1, 2\)"),
    "too many axes": (nn.Conv(2, 3), (3, 4, 4, 4, 4), "with 1 to 3 axes of space, got shape"),
    "kernel too large": (nn.Conv(2, 5), (1, 4, 9), "windows of 5 are larger than an axis of 4 .* kernel of at most 4"),
    "another rank": (nn.Conv(2, (3, 3)), (2, 3, 4, 5), r"kernel_size must be .* or 3 of them, got \(3, 3\)"),
    "groups": (nn.Conv(6, 3, groups=4), (4, 8, 8), "4 channels and 6 filters do not divide into 4 groups; .* be 1, 2$"),
    "mask": (nn.Conv(6, 3, mask=[[1, 0]]), (3, 8, 8), r"mask has shape \(1, 2\), the weight \(6, 3, 3, 3\), or \(6"),
    "transposed": (nn.ConvTranspose(2, 2, 3, "same"), (1, 4, 4), "'same' needs a kernel at least as large as the str"),
    "upsampling": (nn.UpSample(2, "trilinear"), (1, 4, 4), "method must be 'nearest' or 'bilinear' for 2 axes"),
}  # fmt: skip


@pytest.mark.parametrize("layer, shape, text", INPUTS.values(), ids=list(INPUTS))
def test_inputs_that_do_not_fit(layer, shape, text):
    with pytest.raises(nn.LayerError, match=rf"{type(layer).__name__} 'layers\.0': .*{text}"):
        nn.trace(nn.Sequential(layer), input("x", shape))


def test_shapes_that_are_no_mistake():
    """Within a net, few places in the last axis and many channels are usual; a tuple says that signals are meant."""
    assert nn.trace(nn.Conv(2, (5,)), input("x", (28, 28))).output.shape == (2, 24)
    net = nn.Sequential(nn.Conv(64, 3, strides=2, padding="same"), nn.Conv(64, 3, padding="same"))
    assert nn.trace(net, input("x", (3, 16, 8))).output.shape == (64, 8, 4)


def test_a_layer_used_twice_needs_the_same_channels():
    conv = nn.Conv(4, 3, padding="same")
    with pytest.raises(
        nn.LayerError, match=r"used twice .* 'weight' has shape \(4, 3, 3, 3\) .* need \(4, 4, 3, 3\) now"
    ):
        nn.trace(nn.Sequential(conv, conv), input("x", (3, 8, 8)))


# ---- layers -----------------------------------------------------------------------------------------------------


def test_a_mask_of_kernels_removes_connections():
    """LeNet-5's C3 joins each map to some of the six below."""
    table = np.array([[1, 1, 0], [0, 1, 1]])
    traced = nn.trace(nn.Conv(2, 5, mask=table), input("x", (3, 8, 8)))
    assert traced.parameters["weight"].count == 4 * 25 and traced.parameters["weight"].value.shape == (2, 3, 5, 5)
    model = Model(nn.Conv(2, 5, mask=table), loss="mse", input_shape=(3, 5, 5))
    weight = model.parameters["weight"]
    assert ((weight == 0).all((2, 3)) == (table == 0)).all()
    x = np.random.default_rng(0).normal(size=(8, 3, 5, 5)).astype("float32")
    model.fit(x, np.ones((8, 2, 1, 1)), epochs=2, verbose=0)
    new = model.parameters["weight"]
    assert ((new == 0).all((2, 3)) == (table == 0)).all() and (new != weight)[table == 1].all()


def test_first_values_of_a_transposed_kernel():
    """Its fan-in is that of the values it adds up: channels / groups times the kernel."""
    layer = nn.ConvTranspose(8, 3, groups=2, weight_init=nn.init.lecun_normal)
    traced = nn.trace(layer, input("x", (400, 4, 4)))
    first = reference.compile(nn.init_program(traced.parameters))({}, {"key": np.array([1, 2], np.uint32)})["weight"]
    assert first.shape == (400, 4, 3, 3)
    assert first.std() == pytest.approx((1 / (200 * 9)) ** 0.5, rel=0.05)


@pytest.mark.parametrize("stride", [8, 100, 1 << 40])
def test_a_stride_beyond_the_end(stride):
    """There is one window, whatever the stride, and the way back is as short."""
    x, w = distinct((2, 7)), distinct((3, 2, 4), 1)
    found, expected = (run(lambda x, w, s=s: ops.correlate(x, w, s, floor=True), x, w) for s in (stride, 7))
    np.testing.assert_array_equal(found, expected)
    check_gradient(lambda x, w: ops.correlate(x, w, stride, floor=True), x, w)
    check_gradient(lambda x: ops.max_pool(x, 3, stride, floor=True), x)
    y, w = distinct((2, 1)), distinct((2, 3, 4), 1)
    found, expected = (run(lambda y, w, s=s: ops.correlate_transposed(y, w, s, ((1, 0),)), y, w) for s in (stride, 4))
    np.testing.assert_array_equal(found, expected)
