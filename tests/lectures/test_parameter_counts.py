"""How many parameters networks have: lectures 000 (30x30x3), 002 (3-4-2), 004 (784-10-10, 1024 units, 250x250)."""

import pytest

from pellucid import input, nn


def parameters(net, *shape):
    return nn.trace(net, input("x", shape)).parameters


def count(net, *shape):
    return sum(p.count for p in parameters(net, *shape).values())


def test_3_4_2_network_lecture_002():
    assert count(nn.Sequential(nn.Dense(4, bias=False), nn.sigmoid, nn.Dense(2, bias=False)), 3) == 20  # 3*4 + 4*2
    assert count(nn.Sequential(nn.Dense(4), nn.sigmoid, nn.Dense(2)), 3) == 26  # + 4 + 2


def test_784_10_10_lecture_004():
    assert count(nn.Sequential(nn.Dense(10), nn.relu, nn.Dense(10)), 784) == 7_960


def test_first_layer_of_1024_perceptrons_lecture_004():
    shapes = {name: p.value.shape for name, p in parameters(nn.Dense(1024), 784).items()}
    assert shapes == {"weight": (1024, 784), "bias": (1024,)}


def test_250_x_250_image_lecture_004():
    image = nn.Sequential(nn.Flatten(), nn.Dense(1, bias=False))
    assert count(image, 250, 250) == 62_500  # weights per node


def test_dense_layer_in_the_place_of_ten_filters_lecture_000():
    """A 30x30x3 input has 2,700 values, ten 5x5 filters give 26x26x10 = 6,760 responses."""
    dense = nn.Sequential(nn.Flatten(), nn.Dense(10 * 26 * 26, bias=False))
    (weight,) = parameters(dense, 3, 30, 30).values()
    assert weight.value.shape == (6_760, 2_700)
    assert weight.count == 18_252_000  # slide: about 18M


@pytest.mark.parametrize("kept, left", [(1, 6), (0, 0)])
def test_partially_connected_network_lecture_003(kept, left):
    """A subset of all possible connections counts only its own."""
    mask = [[kept, 0, kept], [0, kept, 0], [kept, kept, kept]]
    assert count(nn.Dense(3, bias=False, mask=mask), 3) == left
