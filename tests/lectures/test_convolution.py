"""Worked convolutions, poolings and counts of lectures 000, 001 and 003."""

import numpy as np
import pytest
from tools import run

from pellucid import GraphError, Model, input, nn, ops
from pellucid.ops import kernels

EDGE = kernels.VERTICAL
LEFT = np.repeat([[5.0, 5, 5, 0, 0, 0]], 6, axis=0)


def slid(image, kernel, **options):
    """Cross-correlation of one channel with one kernel."""
    image, kernel = np.asarray(image, float)[None], np.asarray(kernel, float)[None, None]
    return run(lambda x, w: ops.correlate(x, w, **options), image, kernel)[0].tolist()


def convolved(image, kernel):
    return run(ops.convolve, np.asarray(image, float)[None], np.asarray(kernel, float)[None, None])[0].tolist()


# ---- edges, lecture 000 -----------------------------------------------------------------------------------------


def test_vertical_edge():
    assert slid(LEFT, EDGE) == [[0, 15, 15, 0]] * 4


def test_its_mirror_image_tells_the_direction():
    assert slid(LEFT[:, ::-1], EDGE) == [[0, -15, -15, 0]] * 4


def test_a_horizontal_edge_gives_nothing_under_that_kernel():
    assert slid(LEFT.T, EDGE) == [[0] * 4] * 4
    assert slid(LEFT.T, kernels.HORIZONTAL) == np.transpose([[0, 15, 15, 0]] * 4).tolist()


def test_diagonal_edge():
    image = [[5] * (6 - i) + [0] * i for i in range(6)]
    assert slid(image, kernels.DIAGONAL) == [[0, 0, 5, 15], [0, 5, 15, 15], [5, 15, 15, 5], [15, 15, 5, 0]]


def test_true_convolution_reverses_the_kernel_both_ways():
    assert convolved(LEFT, EDGE) == [[0, -15, -15, 0]] * 4  # lecture 003, page "How the output is calculated (2/2)"
    picture, kernel = np.arange(36.0).reshape(6, 6) ** 2, np.arange(9.0).reshape(3, 3)
    assert convolved(picture, kernel) == slid(picture, kernel[::-1, ::-1]) != slid(picture, kernel)


def test_ready_kernels():
    assert kernels.SOBEL_X.tolist() == [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
    assert kernels.SCHARR_X.tolist() == [[3, 0, -3], [10, 0, -10], [3, 0, -3]]
    assert kernels.SOBEL_Y.tolist() == kernels.SOBEL_X.T.tolist()
    assert kernels.gaussian().tolist() == [[1 / 16, 1 / 8, 1 / 16], [1 / 8, 1 / 4, 1 / 8], [1 / 16, 1 / 8, 1 / 16]]
    assert slid(LEFT, kernels.SOBEL_X) == [[0, 20, 20, 0]] * 4
    assert slid(LEFT, kernels.SCHARR_X) == [[0, 80, 80, 0]] * 4
    assert slid(LEFT, kernels.gaussian()) == [[5, 3.75, 1.25, 0]] * 4


# ---- strides and sizes, lectures 001 and 003 --------------------------------------------------------------------

STRIDES = [
    [1, 2, 3, 1, 3, 5],
    [2, 2, 5, 4, 2, 5],
    [0, 6, 9, 6, 2, 2],
    [2, 0, 1, 9, 4, 0],
    [5, 5, 4, 6, 7, 6],
    [6, 1, 3, 7, 1, 5],
]


def test_strides_lecture_003():
    by_one = [[-14, -1, 10, -1], [-11, -11, 7, 12], [-7, -10, 1, 13], [5, -16, -4, 11]]
    assert slid(STRIDES, EDGE) == by_one  # the slide prints 10 in the last place
    assert (9 + 6 + 7) - (0 + 6 + 5) == 11
    assert slid(STRIDES, EDGE, strides=2, floor=True) == [[-14, 10], [-7, 1]]


def test_stride_2_leaves_a_column_out_and_says_so():
    with pytest.raises(GraphError, match=r"\(6 - 3 \+ 0\)/2 \+ 1 = 2\.50"):
        slid(STRIDES, EDGE, strides=2)


@pytest.mark.parametrize("stride, padding, places", [(1, 0, 5), (2, 0, 3), (1, 1, 7)])
def test_output_size_lecture_001(stride, padding, places):
    """(W - F + 2P) / S + 1 for W = 7, F = 3."""
    conv = nn.Conv(1, 3, strides=stride, padding=padding)
    assert nn.trace(conv, input("x", (1, 7, 7))).output.shape == (1, places, places)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_padding_that_keeps_the_size(size):
    """(F - 1) / 2 zeros at each border."""
    for padding in ((size - 1) // 2, "same"):
        assert nn.trace(nn.Conv(2, size, padding=padding), input("x", (1, 9, 9))).output.shape == (2, 9, 9)


def test_stride_3_does_not_fit():
    with pytest.raises(GraphError, match=r"Conv 'layers\.0': .* stride 3 do not fit an axis of 7 .* = 2\.33\. It fits"):
        nn.trace(nn.Sequential(nn.Conv(1, 3, strides=3)), input("x", (1, 7, 7)))


def test_six_filters_of_5x5_twice():
    net = nn.Sequential(nn.Conv(6, 5), nn.relu, nn.Conv(10, 5))
    traced = nn.trace(net, input("x", (3, 32, 32)))
    assert [c.output.shape for c in traced.calls[::2]] == [(6, 28, 28), (10, 24, 24)]  # 32 -> 28 -> 24


def test_three_channels_lecture_001():
    """The first output of the animation: 308 + (-498) + 164 + 1 = -25, with padding 1."""
    red = [[156, 155, 156, 158, 158], [153, 154, 157, 159, 159], [149, 151, 155, 158, 159],
           [146, 146, 149, 153, 158], [145, 143, 143, 148, 158]]  # fmt: skip
    green = [[167, 166, 167, 169, 169], [164, 165, 168, 170, 170], [160, 162, 166, 169, 170],
             [156, 156, 159, 163, 168], [155, 153, 153, 158, 168]]  # fmt: skip
    blue = [[163, 162, 163, 165, 165], [160, 161, 164, 166, 166], [156, 158, 162, 165, 166],
            [155, 155, 158, 162, 167], [154, 152, 152, 157, 167]]  # fmt: skip
    kernel = [
        [[-1, -1, 1], [0, 1, -1], [0, 1, 1]],
        [[1, 0, 0], [1, -1, -1], [1, 0, -1]],
        [[0, 1, 1], [0, 1, 0], [1, -1, 1]],
    ]
    channels = [slid(c, k, padding=1)[0][0] for c, k in zip((red, green, blue), kernel, strict=True)]
    assert channels == [308, -498, 164]
    model = Model(nn.Conv(1, 3, padding=1), loss="mse", input_shape=(3, 5, 5))
    model.set_parameters({"weight": [kernel], "bias": [1]})
    response = model.predict(np.array([[red, green, blue]], np.float32))
    assert response.shape == (1, 1, 5, 5) and response[0, 0, 0, 0] == -25


# ---- pooling, lecture 000 ---------------------------------------------------------------------------------------

MAP = [
    [0, 0, 0, 0, 0, 0, 0],
    [0, 0, 1, 1, 1, 0, 0],
    [0, 1, 4, 9, 4, 1, 0],
    [0, 1, 1, 1, 1, 1, 0],
    [0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0],
]


def test_max_pooling_of_the_intuition_map():
    pooled = run(lambda x: ops.max_pool(x, 2, floor=True), np.array([MAP], float))
    assert pooled[0].tolist() == [[0, 1, 1], [1, 9, 4], [0, 0, 0]]


def test_its_mean():
    pooled = run(lambda x: ops.avg_pool(x, 2, floor=True), np.array([MAP], float))
    assert pooled[0].tolist() == [[0, 0.5, 0.25], [0.5, 3.75, 1.75], [0, 0, 0]]


def test_seven_does_not_divide_by_two():
    with pytest.raises(GraphError, match=r"MaxPool: windows of 2 with stride 2 do not fit an axis of 7 .* floor=True"):
        nn.trace(nn.MaxPool(2), input("x", (1, 7, 7)))


def test_pooling_works_on_each_channel_and_has_no_parameters():
    traced = nn.trace(nn.MaxPool(2), input("x", (64, 224, 224)))  # (W - F) / S + 1, depth kept: lecture 001
    assert traced.output.shape == (64, 112, 112) and not traced.parameters


# ---- counts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels, count", [(1, 260), (3, 760)])
def test_ten_filters_lecture_000(channels, count):
    """(F * F * D1) * K weights and K biases: lecture 001, "Convolution Summary"."""
    traced = nn.trace(nn.Conv(10, 5), input("x", (channels, 30, 30)))
    assert sum(p.count for p in traced.parameters.values()) == count == 5 * 5 * channels * 10 + 10
    assert traced.output.size == 6_760  # responses


def test_neurons_of_alexnet_lecture_003():
    """Per layer: 253440 as printed, 290400 in the network as it is computed; then 186624, 64896, ... ."""
    pool = nn.MaxPool(3, strides=2)
    net = nn.Sequential(
        nn.Conv(96, 11, strides=4, padding=2, floor=True), nn.relu, pool,
        nn.Conv(256, 5, padding="same", groups=2), nn.relu, pool,
        nn.Conv(384, 3, padding="same"), nn.relu,
        nn.Conv(384, 3, padding="same", groups=2), nn.relu,
        nn.Conv(256, 3, padding="same", groups=2), nn.relu, pool,
        nn.Flatten(), nn.Dense(4096), nn.relu, nn.Dense(4096), nn.relu, nn.Dense(1000),
    )  # fmt: skip
    traced = nn.trace(net, input("x", (3, 224, 224)))
    neurons = [c.output.size for c in traced.calls if isinstance(c.layer, (nn.Conv, nn.Dense))]
    assert neurons == [290_400, 186_624, 64_896, 64_896, 43_264, 4_096, 4_096, 1_000]
    assert sum(p.count for p in traced.parameters.values()) == 60_965_224  # "60 million parameters"
