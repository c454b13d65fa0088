"""Nets from the literature: published numbers, from tracing alone; and one training step of a narrow one of each."""

import numpy as np
import pytest
from tools import run

import pellucid as pel
from pellucid import ArgumentError, GraphError, Model, nn, optim
from pellucid.nn import zoo
from pellucid.nn.zoo.googlenet import INCEPTION
from pellucid.nn.zoo.lenet import SEEN, scaled_tanh


def traced(net, *shape):
    """The net on an image of that shape: no weights are made."""
    return nn.trace(net, pel.input("x", shape))


def count(t, inside=""):
    return sum(p.count for p in t.parameters.values() if p.trainable and p.name.startswith(inside))


def outputs(t, *kinds):
    """Name and output shape of the calls of layers of these kinds."""
    return [(c.path.split(".")[-1], c.output.shape) for c in t.calls if isinstance(c.layer, kinds)]


# ---- published numbers ------------------------------------------------------------------------------------------

COUNTS = [
    (zoo.lenet5(), (1, 32, 32), 60_000),
    (zoo.lenet5(size=28), (1, 28, 28), 60_000),
    (zoo.lenet5(modern=True), (1, 32, 32), 61_706),
    (zoo.alexnet(), (3, 227, 227), 60_965_224),
    (zoo.alexnet(size=224), (3, 224, 224), 60_965_224),
    (zoo.vgg(11), (3, 224, 224), 132_863_336),
    (zoo.vgg(13), (3, 224, 224), 133_047_848),
    (zoo.vgg(16), (3, 224, 224), 138_357_544),
    (zoo.vgg(19), (3, 224, 224), 143_667_240),
    (zoo.googlenet(heads=False), (3, 224, 224), 6_998_552),
    (zoo.googlenet(), (3, 224, 224), 13_378_280),
    (zoo.resnet(18), (3, 224, 224), 11_689_512),
    (zoo.resnet(34), (3, 224, 224), 21_797_672),
    (zoo.resnet(50), (3, 224, 224), 25_557_032),
    (zoo.resnet(101), (3, 224, 224), 44_549_160),
    (zoo.resnet(152), (3, 224, 224), 60_192_808),
    (zoo.resnet_cifar(20), (3, 32, 32), 269_722),
    (zoo.resnet_cifar(20, shortcut="project"), (3, 32, 32), 272_474),
    (zoo.resnet_cifar(56), (3, 32, 32), 853_018),
    (zoo.resnet_cifar(110), (3, 32, 32), 1_727_962),
]


@pytest.mark.parametrize("net, shape, expected", COUNTS, ids=lambda v: f"{v:,}" if isinstance(v, int) else "")
def test_parameters(net, shape, expected):
    assert count(traced(net, *shape)) == expected


def test_lenet_layer_by_layer():
    """Section II.B of the paper prints each number."""
    t = traced(zoo.lenet5(), 1, 32, 32)
    published = {"C1": 156, "S2": 12, "C3": 1516, "S4": 32, "C5": 48120, "F6": 10164, "output": 0}
    assert {name: count(t, f"layers.{name}.") for name in published} == published
    assert t.parameters["layers.output.code"].value.size == 840
    shapes = [shape for name, shape in outputs(t, nn.Layer) if name in published]
    assert shapes == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120, 1, 1), (84,), (10,)]


def test_lenet_connections():
    """Table I: 60 kernels of C3; each map of S2 is seen by ten filters."""
    assert len(SEEN) == len(set(SEEN)) == 16 and sum(map(len, SEEN)) == 60
    assert [sum(i in seen for seen in SEEN) for i in range(6)] == [10] * 6


@pytest.mark.parametrize("size", [224, 227])
def test_alexnet_neurons(size):
    """Lecture 003: the slide (and the paper) prints 253,440 for the first layer."""
    t = traced(zoo.alexnet(size=size), 3, size, size)
    sizes = [c.output.size for c in t.calls if isinstance(c.layer, (nn.Conv, nn.Dense))]
    assert sizes == [290_400, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000]
    assert outputs(t, nn.MaxPool) == [("3", (96, 27, 27)), ("7", (256, 13, 13)), ("14", (256, 6, 6))]


@pytest.mark.parametrize("depth", [11, 16])
def test_vgg_stages(depth):
    t = traced(zoo.vgg(depth), 3, 224, 224)
    assert outputs(t, nn.MaxPool) == [
        ("pool1", (64, 112, 112)), ("pool2", (128, 56, 56)), ("pool3", (256, 28, 28)), ("pool4", (512, 14, 14)),
        ("pool5", (512, 7, 7)),
    ]  # fmt: skip
    assert len(outputs(t, nn.Conv, nn.Dense)) == depth


def test_googlenet_stages():
    """Table 1 of the paper: output sizes, and parameters in units of 1024; those of 4c do not fit its filters by 7%."""
    t = traced(zoo.googlenet(), 3, 224, 224)
    sides = {"3": 28, "4": 14, "5": 7}
    depths = {"3a": 256, "3b": 480, "4a": 512, "4b": 512, "4c": 512, "4d": 528, "4e": 832, "5a": 832, "5b": 1024}
    assert outputs(t, nn.Concatenate) == [(f"inception_{k}", (d, sides[k[0]], sides[k[0]])) for k, d in depths.items()]
    printed = {"3a": 159, "3b": 380, "4a": 364, "4b": 437, "4c": 463, "4d": 580, "4e": 840, "5a": 1072, "5b": 1388}
    assert set(printed) == set(INCEPTION)
    for place, thousands in printed.items():
        assert count(t, f"layers.inception_{place}.") / 1024 == pytest.approx(thousands, rel=0.08), place
    assert count(t, "layers.linear.") // 1024 == 1000
    assert count(t, "layers.conv2") // 1024 == 112
    assert [shape for _, shape in outputs(t, nn.AvgPool)] == [(512, 4, 4), (528, 4, 4)]
    assert len(outputs(t, nn.Conv)) + 1 - 2 == 58  # 22 layers deep, heads not counted: 57 convolutions and a dense one


@pytest.mark.parametrize("depth, last", [(18, 512), (50, 2048)])
def test_resnet_stages(depth, last):
    t = traced(zoo.resnet(depth), 3, 224, 224)
    shapes = dict(outputs(t, nn.Layer))
    ends = [max(k for k in shapes if k.startswith(f"conv{stage}_")) for stage in range(2, 6)]
    assert [shapes[k] for k in ends] == [(last // 2**k, 7 * 2**k, 7 * 2**k) for k in (3, 2, 1, 0)]
    assert shapes["conv1"] == (64, 112, 112)
    assert len([c for c in t.calls if isinstance(c.layer, (nn.Conv, nn.Dense))]) == depth + (3 if depth == 18 else 4)


@pytest.mark.parametrize("shortcut", ["pad", "project"])
def test_resnet_cifar_stages(shortcut):
    shapes = dict(outputs(traced(zoo.resnet_cifar(20, shortcut=shortcut), 3, 32, 32), nn.Layer))
    assert [shapes[f"conv{stage}_3"] for stage in (2, 3, 4)] == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


# ---- their parts ------------------------------------------------------------------------------------------------


def test_scaled_tanh():
    """f(1) = 1, f(-1) = -1, as the paper chose its constants."""
    np.testing.assert_allclose(run(scaled_tanh, [-1.0, 0.0, 1.0]), [-1, 0, 1], atol=1e-4)


def test_subsampling_by_hand():
    m = Model(zoo.Subsampling(), "mse", input_shape=(1, 2, 4), executor="reference")
    m.set_parameters({"coefficient": [0.5], "bias": [10.0]})
    assert m.predict([[[[1, 2, 5, 6], [3, 4, 7, 8]]]]).tolist() == [[[[15.0, 23.0]]]]


def test_rbf_by_hand():
    m = Model(zoo.EuclideanRBF(2), "mse", input_shape=(3,), executor="reference")
    code = m.parameters["code"]
    assert (abs(code) == 1).all()
    m.set_parameters({"code": [[1, 1, -1], [-1, 1, 1]]})
    assert m.predict([[1.0, 0.0, -1.0]]).tolist() == [[-1.0, -9.0]]


def test_first_weights_of_c3_know_what_a_filter_sees():
    """Uniform up to 2.4 / fan-in, of 3, 4 or 6 maps of 25 places; 0 where a map is not seen."""
    w = Model(zoo.lenet5(), "cross_entropy", input_shape=(1, 32, 32)).parameters["layers.C3.weight"]
    largest = abs(w).max((1, 2, 3))
    bounds = np.array([2.4 / (25 * len(seen)) for seen in SEEN])
    assert (largest <= bounds).all() and (largest > 0.9 * bounds).all()
    assert [np.flatnonzero(abs(row).max((1, 2))).tolist() for row in w] == [list(seen) for seen in SEEN]


def test_pad_shortcut():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    y = Model(zoo.PadShortcut(3, 2), "mse", input_shape=(1, 4, 4), executor="reference").predict(x)
    assert y.tolist() == [[[[0, 0], [0, 0]], [[0, 2], [8, 10]], [[0, 0], [0, 0]]]]


# ---- training ---------------------------------------------------------------------------------------------------

NARROW = {  # so narrow that it is quick; shape of an image; classes
    "lenet5": (zoo.lenet5(), (1, 32, 32), 10),
    "lenet5 modern": (zoo.lenet5(size=28, modern=True), (1, 28, 28), 10),
    "alexnet": (zoo.alexnet(5, size=64, width=1 / 24), (3, 64, 64), 5),
    "vgg": (zoo.vgg(11, 5, width=1 / 32), (3, 32, 32), 5),
    "googlenet": (zoo.googlenet(5, width=1e-3), (3, 65, 65), 5),
    "resnet": (zoo.resnet(18, 5, width=1e-3), (3, 33, 33), 5),
    "resnet_cifar": (zoo.resnet_cifar(8, 5, width=1 / 8), (3, 16, 16), 5),
}
DEEP = {
    "resnet 50": (zoo.resnet(50, 5, width=1e-3), (3, 64, 64), 5),
    "resnet_cifar, projections": (zoo.resnet_cifar(14, 5, "project", width=1 / 8), (3, 16, 16), 5),
}
EVERY = [*NARROW.items(), *(pytest.param(*item, marks=pytest.mark.slow) for item in DEEP.items())]


@pytest.mark.parametrize("name, given", EVERY, ids=lambda v: v if isinstance(v, str) else "")
def test_a_step_on_both_executors(name, given, tmp_path):
    net, shape, classes = given
    random = np.random.default_rng(0)
    x, y = random.standard_normal((3, *shape)), random.integers(0, classes, 3)
    options = {"loss": "cross_entropy", "optimizer": optim.SGD(0.01, momentum=0.9), "dtype": "float64"}
    reference, native = (Model(net, **options, executor=e, input_shape=shape) for e in ("reference", "native"))
    first = reference.parameters
    for m in (reference, native):
        m.fit(x, y, batch_size=3, verbose=0)
    for k, expected in reference.state.items():
        np.testing.assert_allclose(native.state[k], expected, rtol=1e-7, atol=1e-9, err_msg=k)
    still = [
        k for k, p in reference.traced.parameters.items() if p.trainable and (first[k] == reference.state[k]).all()
    ]
    assert len(still) < 0.2 * len(first), still  # with so few filters some ReLUs are dead
    reference.save(tmp_path / "net.pel")
    again = pel.load(tmp_path / "net.pel", executor="reference")
    assert (again.predict(x) == reference.predict(x)).all()


def test_lenet_learns_digits():
    """LeNet-5 as published, on pictures of 8 x 8 made twice as large, from -0.1 to 1.175 as in the paper."""
    train, test = pel.data.digits(images=True).split(test_size=0.2)
    larger = lambda a: np.kron(a, np.ones((1, 1, 2, 2), a.dtype)) * 1.275 - 0.1
    m = Model(zoo.lenet5(size=16), "cross_entropy", optim.Adam(0.002), metrics=["accuracy"])
    m.fit(larger(train.x), train.y, batch_size=16, epochs=2, verbose=0)
    assert m.evaluate(larger(test.x), test.y)["accuracy"] > 0.8


@pytest.mark.parametrize(
    "make, text",
    [
        (
            lambda: zoo.lenet5(size=33),
            r"lenet5: size must be a whole number in \[1, 32\], got 33; it is the side of the images",
        ),
        (
            lambda: zoo.alexnet(size=32),
            "alexnet: size must be a whole number >= 64, got 32; it is the side of the images",
        ),
        (lambda: zoo.vgg(12), "vgg: depth must be one of 11, 13, 16 or 19, got 12"),
        (lambda: zoo.resnet(20), "resnet: depth must be one of 18, 34, 50, 101 or 152, got 20"),
        (lambda: zoo.resnet_cifar(18), "resnet_cifar: depth must be 6n \\+ 2, for example 20"),
        (lambda: zoo.resnet_cifar(20, shortcut="B"), "shortcut must be 'pad' or 'project', got 'B'"),
        (lambda: zoo.googlenet(width=0), "googlenet: width must be a number > 0, got 0; 1 is the net as published"),
        (lambda: traced(zoo.vgg(11), 3, 40, 40), "MaxPool 'layers.pool4'.*an axis of 5"),
        (
            lambda: traced(zoo.lenet5(), 1, 28, 28),
            r"lenet5 was made for images of 32 x 32, got \(1, 28, 28\); use "
            r"lenet5\(size=28\)",
        ),
        (lambda: traced(zoo.lenet5(modern=True), 1, 28, 28), r"FirstConv 'layers\.0': lenet5 was made for .*size=28"),
        (lambda: traced(zoo.lenet5(), 3, 28, 32), r"got \(3, 28, 32\); make them square"),
        (lambda: traced(zoo.alexnet(), 3, 224, 224), r"alexnet was made for images of 227 x 227.*alexnet\(size=224\)"),
        (lambda: traced(zoo.Subsampling(), 1, 28, 27), "Subsampling: expects an image .* of even height and width"),
        (lambda: traced(zoo.googlenet(), 3, 64, 64), r"AvgPool 'layers\.head_4a\.head\.layers\.0'"),
        (lambda: traced(zoo.PadShortcut(2, 1), 3, 8, 8), r"PadShortcut: expects an image .* at most 2 channels"),
        (lambda: traced(zoo.EuclideanRBF(2), 3, 8, 8), r"EuclideanRBF: expects a vector"),
    ],
)
def test_what_does_not_fit(make, text):
    with pytest.raises((ArgumentError, GraphError), match=text):
        make()
