"""Convolution and pooling over time: formulas, slopes, masks, native = reference, and what errors say."""

import numpy as np
import pytest
from native_tools import agree, with_slopes
from tools import check_gradient, with_parameters

import pellucid as pel
from pellucid import ArgumentError, nn
from pellucid.executors import reference
from pellucid.nn.layer import LayerError

random = np.random.default_rng(0)
X = random.normal(size=(3, 7, 4))
COUNTED = np.array([[1, 1, 1, 1, 0, 0, 0], [0, 1, 1, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0]], np.uint8)


def net_of(layer, seen=None):
    def net(x, counted=None):
        y = layer(x if counted is None else nn.with_mask(x, counted > 0))
        if seen is not None:
            seen.append(nn.mask_of(y))
        return y

    return net


def traced(layer, x=X, counted=None, dtype="float64", seen=None):
    inputs = [pel.input("x", x.shape[1:], dtype)]
    if counted is not None:
        inputs.append(pel.input("counted", counted.shape[1:], "uint8"))
    return nn.trace(net_of(layer, seen), *inputs, dtype=dtype), inputs


def outputs(layer, x=X, counted=None):
    """What the reference executor gives, the weights drawn at random, and the mask of the output."""
    seen = []
    t, inputs = traced(layer, x, counted, seen=seen)
    draw = np.random.default_rng(1)
    w = {name: draw.normal(size=p.value.shape) for name, p in t.parameters.items()}
    more = {} if seen[0] is None else {"mask": seen[0]}
    given = {"x": x} | ({} if counted is None else {"counted": counted})
    found = reference.compile(pel.Program(inputs, {"y": t.output, **more}))(w, given)
    return found["y"], {name.rsplit(".", 1)[1]: a for name, a in w.items()}, found.get("mask")


# ---- convolution ----------------------------------------------------------------------------------------------------

CASES = {  # strides, padding, dilation, and the zeros before and after 7 steps for a kernel of 3
    "valid": (1, "valid", 1, (0, 0)),
    "same": (1, "same", 1, (1, 1)),
    "causal": (1, "causal", 1, (2, 0)),
    "causal, dilated": (1, "causal", 3, (6, 0)),
    "causal, every second": (2, "causal", 1, (2, 0)),
    "same, every third": (3, "same", 1, (1, 1)),
    "valid, every second": (2, "valid", 1, (0, 0)),
    "a number": (1, 2, 2, (2, 2)),
    "a pair": (1, (3, 0), 1, (3, 0)),
}


def convolved(x, w, b, strides, dilation, zeros):
    x = np.pad(x, ((0, 0), zeros, (0, 0)))
    places = range(0, x.shape[1] - 2 * dilation, strides)
    return np.stack([sum(x[:, p + i * dilation] @ w[..., i].T for i in range(3)) + b for p in places], 1)


@pytest.mark.parametrize("strides, padding, dilation, zeros", CASES.values(), ids=list(CASES))
def test_filters_slide_over_time(strides, padding, dilation, zeros):
    y, w, _ = outputs(nn.Conv1D(2, 3, strides, padding, dilation))
    np.testing.assert_allclose(
        y, convolved(X, w["weight"], w["bias"], strides, dilation, zeros), rtol=1e-11, atol=1e-12
    )


def test_it_is_a_convolution_with_time_last():
    y, w, _ = outputs(nn.Conv1D(6, 3, padding="same", groups=2, bias=False))
    x = pel.input("x", (4, 7), "float64")
    t = nn.trace(nn.Conv(6, 3, padding="same", groups=2, bias=False), x, dtype="float64")
    other = reference.compile(pel.Program([x], {"y": t.output}))(w, {"x": X.transpose(0, 2, 1)})["y"]
    np.testing.assert_allclose(y, other.transpose(0, 2, 1), rtol=1e-12)


@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_causal_place_sees_no_later_step(place):
    layer, x = nn.Conv1D(2, 3, padding="causal", dilation=2), X.copy()
    x[:, place] += 1
    changed = (outputs(layer)[0] != outputs(layer, x)[0]).any((0, 2))
    assert np.flatnonzero(changed).tolist() == [p for p in (place, place + 2, place + 4) if p < 7]


@pytest.mark.parametrize("padding, strides", [("same", 1), ("causal", 1), ("same", 2), ("causal", 2), ("valid", 2)])
def test_masked_steps_are_zeros(padding, strides):
    layer = nn.Conv1D(2, 3, strides, padding)
    y, _, mask = outputs(layer, counted=COUNTED)
    zeroed = np.where(COUNTED[..., None] > 0, X, 0)
    np.testing.assert_array_equal(y, outputs(layer, zeroed)[0])
    counted = COUNTED[:, ::strides][:, : y.shape[1]] > 0
    if padding == "valid":  # a window that touches padding does not count
        counted = np.lib.stride_tricks.sliding_window_view(COUNTED, 3, 1).all(-1)[:, ::strides]
    np.testing.assert_array_equal(mask, counted)


def test_padding_does_not_change_the_steps_before_it():
    layer = nn.Conv1D(2, 3, padding="same")
    short = outputs(layer, X[:1, :4])[0]
    np.testing.assert_allclose(outputs(layer, X[:1], COUNTED[:1])[0][:, :4], short, rtol=1e-12)


def test_places_beyond_the_sequence_do_not_count():
    y, _, mask = outputs(nn.Conv1D(2, 1, padding=(0, 2)), counted=COUNTED)
    assert y.shape == (3, 9, 2) and not mask[:, 7:].any() and (mask[:, :7] == (COUNTED > 0)).all()


# ---- pooling --------------------------------------------------------------------------------------------------------


def test_pooling():
    np.testing.assert_array_equal(outputs(nn.GlobalMaxPool1D())[0], X.max(1))
    np.testing.assert_allclose(outputs(nn.GlobalAvgPool1D())[0], X.mean(1), rtol=1e-12)


@pytest.mark.parametrize("layer, pool", [(nn.GlobalMaxPool1D(), np.max), (nn.GlobalAvgPool1D(), np.mean)])
def test_pooling_what_counts(layer, pool):
    y, _, mask = outputs(layer, X - 5, COUNTED)  # below 0: a masked step that counted as 0 would be seen
    for r in range(2):
        np.testing.assert_allclose(y[r], pool(X[r, COUNTED[r] > 0] - 5, 0), rtol=1e-12)
    assert (y[2] == 0).all() and mask is None


def test_pooling_of_more_than_vectors():
    x = random.normal(size=(2, 5, 3, 2))
    np.testing.assert_allclose(outputs(nn.GlobalAvgPool1D(), x)[0], x.mean(1), rtol=1e-12)
    y, *_ = outputs(nn.GlobalMaxPool1D(), x, COUNTED[:2, :5])
    np.testing.assert_array_equal(y[0], x[0, :4].max(0))


# ---- slopes, executors ----------------------------------------------------------------------------------------------

LAYERS = {
    "convolution": nn.Conv1D(2, 3, 2, "causal"),
    "dilated": nn.Conv1D(4, 2, padding="same", dilation=2, groups=2),
    "max": nn.GlobalMaxPool1D(),
    "mean": nn.GlobalAvgPool1D(),
}


@pytest.mark.parametrize("counted", [None, COUNTED], ids=["all", "masked"])
@pytest.mark.parametrize("layer", LAYERS.values(), ids=list(LAYERS))
def test_slopes_and_executors(layer, counted):
    for dtype in ("float32", "float64"):
        t, inputs = traced(layer, counted=counted, dtype=dtype)
        values = with_slopes(t.output, [*inputs, *(p.value for p in t.parameters.values())])
        given = {"x": X.astype(dtype)} | ({} if counted is None else {"counted": counted})
        w = {name: random.normal(size=p.value.shape).astype(dtype) for name, p in t.parameters.items()}
        agree(pel.Program(inputs, {str(i): v for i, v in enumerate(values)}), given, w)

    def function(x, *more):
        t = nn.trace(
            net_of(layer), x, *([pel.ops.constant(counted[1])] if counted is not None else []), dtype="float64"
        )
        return with_parameters(t, dict(zip(t.parameters, more, strict=True)))

    check_gradient(function, X[1], *(a.astype("float64") for a in w.values()))


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: nn.Conv1D(0, 3), "Conv1D: filters must be a whole number >= 1, got 0"),
        (lambda: nn.Conv1D(2, 3, padding="full"), "padding must be 'valid', 'same', 'causal', .* got 'full'"),
        (lambda: nn.Conv1D(2, (3, 3)), "Conv1D: kernel_size must be a whole number >= 1, got"),
    ],
)
def test_bad_options(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


@pytest.mark.parametrize(
    "layer, shape, text",
    [
        (nn.Conv1D(2, 3), (7,), r"expects a sequence \(T, features\) for each sample, got shape \(7,\); for tokens"),
        (nn.Conv1D(2, 3), (2, 4), "windows of 3 are larger than an axis of 2"),
        (nn.Conv1D(2, 2, strides=2), (7, 4), "windows of 2 with stride 2 do not fit an axis of 7"),
        (nn.Conv1D(2, 3, groups=3), (7, 4), "4 channels and 2 filters do not divide into 3 groups"),
        (nn.GlobalMaxPool1D(), (), r"expects a sequence \(T, features\) for each sample, got shape \(\)"),
        (nn.GlobalAvgPool1D(), (7,), "for one number a step nn.Reshape"),
    ],
)
def test_bad_inputs(layer, shape, text):
    with pytest.raises(LayerError, match=text):
        nn.trace(layer, pel.input("x", shape))
