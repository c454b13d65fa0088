"""One image at a time: places in lanes, copies and margins of images, and vectors of every s-th element."""

import numpy as np
import pytest
from conv_cases import together
from native_tools import LANES, agree
from tools import distinct

import pellucid as pel
from pellucid import Model, nn, ops
from pellucid.executors import native
from pellucid.executors.native.runtime.dump import plan_text

WIDTHS = (4, 8, 16)


def tiles(executable) -> list[str]:
    """What a plan says of its contractions' tiles."""
    lines = [line.strip() for line in plan_text(executable).splitlines()]
    return [line.removeprefix("tile").strip() for line in lines if line.startswith("tile")]


# ---- drawn cases ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", range(0, 96, 8))
def test_drawn_cases(first):
    """Values and derivatives of convolutions and poolings of all kinds."""
    program, arrays = together(range(3000 + first, 3008 + first), "float64" if first % 32 == 0 else "float32", 1)
    agree(program, arrays, batch=1, width=WIDTHS[first // 8 % 3], threads=2)


def large(seed: int) -> tuple[tuple[int, ...], tuple[int, ...], dict]:
    """Shapes of an image and a kernel, and options: so large that tiles of several vectors go over ends of rows."""
    rng = np.random.default_rng([11, seed])
    rank = int(rng.choice([1, 2, 2, 2, 2, 3]))
    kernel = tuple(int(k) for k in rng.integers(1, 6, rank))
    groups, space = int(rng.choice([1, 1, 1, 2, 8])), rng.integers(7, (300, 50, 12)[rank - 1], rank)
    padding = [tuple((int(a), int(b)) for a, b in rng.integers(0, 4, (rank, 2))), "same", "valid"][int(rng.integers(3))]
    options = {
        "strides": tuple(int(s) for s in rng.choice([1, 1, 1, 2, 3], rank)),
        "padding": padding,
        "dilations": int(rng.choice([1, 1, 2])) if max(kernel) < 4 else 1,
        "groups": groups,
        "floor": True,
    }
    channels, filters = (groups * int(n) for n in rng.integers(1, 20 if groups == 1 else 4, 2))
    return (channels, *map(int, space)), (filters, channels // groups, *kernel), options


@pytest.mark.parametrize("seed", range(24))
def test_layers_of_images(seed):
    """A convolution, its result padded for another one, and a residue; some with the first result as an output too."""
    shape, kernel, options = large(seed)
    dtype = "float64" if seed % 6 == 5 else "float32"
    x, w, v = (pel.input("x", shape, dtype), pel.input("w", kernel, dtype, "shared"),
               pel.input("v", (kernel[0], kernel[0], *(3,) * (len(kernel) - 2)), dtype, "shared"))  # fmt: skip
    y = ops.maximum(ops.correlate(x, w, **options), 0.1)
    z = ops.correlate(y, v, padding="same") + y
    arrays = {i.name: distinct(((1,) if i is x else ()) + i.shape, seed, dtype) for i in (x, w, v)}
    program = pel.Program([x, w, v], {"y": y, "z": z} if seed % 2 else {"z": z})
    run = native.Run(program, 2, WIDTHS[seed % 3])
    agree(program, arrays, run=run, tolerance=3e-5 if dtype == "float32" else None)
    assert sum("places" in t for t in tiles(run.executable.one_sample)) == 2, plan_text(run.executable.one_sample)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_same_bits_for_any_number_of_threads(width):
    x, w = pel.input("x", (5, 33, 29)), pel.input("w", (19, 5, 3, 3), kind="shared")
    y = ops.max_pool(ops.correlate(x, w, padding=1), 3, 2, padding=1)
    arrays = {"x": distinct((1, 5, 33, 29), 0), "w": distinct((19, 5, 3, 3), 1)}
    found = [native.Run(pel.Program([x, w], {"y": y}), n, width)({}, arrays)["y"] for n in (1, 2, 3, 4)]
    assert all((other == found[0]).all() for other in found)


# ---- how images lie in memory -----------------------------------------------------------------------------------


def predicted(net, shape, **options):
    """The plan of one prediction, compared with the reference and with a batch."""
    x = distinct((LANES + 1, *shape), 3)
    models = [Model(net, "mse", input_shape=shape, seed=1, executor=e, **options) for e in ("native", "reference")]
    ours, expected = (m.predict(x[:1]) for m in models)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours, models[0].predict(x)[:1], rtol=1e-4, atol=1e-5)
    return models[0].programs.compiled("predict", {"x": x}).executable.one_sample


def test_residual_network():
    """Only the input is padded by a copy, strided convolutions have one each; all convolutions have tiles of places."""

    def conv(filters, strides=1):
        return nn.Conv(filters, 3, strides, padding=1, bias=False, floor=True)

    body = nn.Sequential(conv(12, 2), nn.BatchNorm(), nn.relu, conv(12), nn.BatchNorm())
    shortcut = nn.Sequential(nn.Conv(12, 1, 2, bias=False, floor=True), nn.BatchNorm())
    net = nn.Sequential(
        conv(7), nn.BatchNorm(), nn.relu, nn.MaxPool(3, 2, padding=1, floor=True), nn.Residual(body, shortcut), nn.relu,
        nn.GlobalAvgPool(), nn.Dense(4),
    )  # fmt: skip
    run = predicted(net, (3, 37, 41))
    groups = run.built.plan.groups
    assert sum("places" in t for t in tiles(run)) == 4
    names = [sorted(v.primitive.name for v in g.values) for g in groups]
    assert names.count(["copy"]) == 2 and names.count(["copy", "pad"]) == 1 and ["pad"] not in names
    assert plan_text(run).count("without lanes") == 1  # the mean of each channel


@pytest.mark.parametrize("layers", [
    [nn.Conv(8, 5), nn.tanh, nn.AvgPool(2), nn.Conv(6, 3, padding="same"), nn.relu, nn.MaxPool(2), nn.Flatten()],
    [nn.Conv(8, 1), nn.relu, nn.DepthwiseConv(3, padding=1), nn.relu, nn.Conv(4, 3, groups=2, padding=1), nn.Flatten()],
    [nn.Conv(4, 3, padding=1), nn.relu, nn.MaxPool(3, 1, padding=1), nn.Conv(3, 3, padding=1), nn.Flatten()],
    [nn.Conv(4, 3, 2, "same"), nn.relu, nn.ConvTranspose(3, 3, 2, "same"), nn.UpSample(2, "bilinear"), nn.Flatten()],
])  # fmt: skip
def test_networks(layers):
    predicted(nn.Sequential(*layers, nn.Dense(3)), (2, 20, 20), threads=2)


def test_one_value_padded_with_two_numbers():
    """Zeros lie around it in memory; for the pooling its padding is computed."""
    x, w = pel.input("x", (3, 20, 21)), pel.input("w", (4, 3, 3, 3), kind="shared")
    y = ops.tanh(x)
    z = ops.concatenate([ops.correlate(y, w, padding=1), ops.max_pool(y, 3, 1, padding=1)])
    agree(pel.Program([x, w], {"z": z}), {"x": -distinct((1, 3, 20, 21), 0), "w": distinct((4, 3, 3, 3), 1)}, batch=1)


def test_memory_is_used_again_with_its_margins():
    """The same run after another: what lies around images is still there."""
    net = nn.Sequential(*[layer for _ in range(5) for layer in (nn.Conv(4, 3, padding=1), nn.relu)], nn.GlobalMaxPool())
    model = Model(net, "mse", input_shape=(4, 18, 18), seed=0)
    x = distinct((1, 4, 18, 18), 1)
    first = model.predict(x)
    model.predict(-3 * x)
    assert (model.predict(x) == first).all()


def test_an_image_that_is_updated():
    """A state that a convolution of itself replaces is not read after it was written."""
    s, w = pel.state("s", (3, 40, 40)), pel.input("w", (3, 3, 3, 3), kind="shared")
    program = pel.Program([w], {"sum": ops.sum(s)}, {s: s + ops.correlate(s, w, padding=1)})
    agree(program, {"w": distinct((3, 3, 3, 3), 1)}, {"s": distinct((3, 40, 40), 0)}, threads=2)


def test_rows_taken_within_a_convolution():
    """What is added to a convolution may be rows of a table, whose numbers are not in lanes."""
    x, w, t = (pel.input("x", (2, 9, 9)), pel.input("w", (3, 2, 2, 2), kind="shared"),
               pel.input("t", (5, 8, 8), kind="shared"))  # fmt: skip
    rows = pel.input("rows", (3,), "int32")
    y = ops.correlate(x, w) + ops.take(t, rows)
    arrays = {"x": distinct((1, 2, 9, 9), 0), "w": distinct((3, 2, 2, 2), 1), "t": distinct((5, 8, 8), 2)}
    agree(pel.Program([x, w, t, rows], {"y": y}), arrays | {"rows": np.array([[4, 0, 2]], "int32")}, batch=1)


# ---- vectors of elements that lie apart -------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8", "bool"])
def test_every_other_element(width, dtype):
    """Slices with steps, in vectors up to the end of the caller's array; of bool and in reverse one by one."""
    for n in (1, 2 * width - 1, 5 * width, 83):
        x = pel.input("x", (2, n), dtype)
        outputs = {f"{start}::{step}": x[:, start::step] for step in (2, 3, 4, 5, -1, -2)
                   for start in (0, min(1, n - 1))}  # fmt: skip
        given = (distinct((1, 2, n), n) * 100).astype(dtype)
        agree(pel.Program([x], outputs), {"x": given}, batch=1, width=width)


@pytest.mark.parametrize("width", WIDTHS)
def test_padding_in_lanes(width):
    x = pel.input("x", (3, 21))
    y = ops.pad(ops.exp(x), [(1, 0), (5, 19)], -2.0)
    program = pel.Program([x], {"y": y, "z": ops.pad(y[:, ::2], [(0, 0), (2, 1)], 3.0) + 1})
    agree(program, {"x": distinct((1, 3, 21), 0)}, batch=1, width=width)


# ---- sums along rows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("length", [3, 16, 61, 64])
def test_reductions_of_rows(width, length):
    """Of one axis and of several, within other formulas and within each other; what a row holds beyond counts not."""
    x, w = pel.input("x", (3, 5, length)), pel.input("w", (5, length), kind="shared")
    outputs = {
        "sum": ops.sum(ops.exp(x), -1), "max": ops.max(x - 9, (1, 2)), "min": ops.min(x + 9, -1),
        "all": ops.sum(w * w), "softmax": ops.softmax(x),
        "twice": ops.sum(ops.exp(x - ops.max(x, (0, 2))[:, None]), (0, 2)),
        "first": ops.sum(x, 0) + ops.max(w, -1)[:, None],
    }  # fmt: skip
    arrays = {"x": distinct((1, 3, 5, length), 0), "w": distinct((5, length), 1)}
    agree(pel.Program([x, w], outputs), arrays, batch=1, width=width, threads=2)


def test_reductions_of_rows_with_samples():
    """In a training step: shared sums of sums over samples."""
    x, w = pel.input("x", (40,)), pel.state("w", (37, 40))
    g = ops.batch_sum(ops.dot(w, x)[:, None] * x)
    program = pel.Program([x], {"norm": ops.sum(g * g), "rows": ops.max(g, -1)}, {w: w - g / ops.sqrt(ops.sum(g * g))})
    agree(program, {"x": distinct((19, 40), 0)}, {"w": distinct((37, 40), 1)}, threads=2, tolerance=1e-4)


# ---- few samples ------------------------------------------------------------------------------------------------


def test_few_samples_one_after_the_other():
    """Fewer than fill the lanes; not where they are summed, and with the same error."""
    net = nn.Sequential(nn.Conv(8, 3, padding=1), nn.relu, nn.MaxPool(2), nn.Flatten(), nn.Dense(10))
    model, x = Model(net, "cross_entropy", input_shape=(3, 16, 16), seed=0), distinct((LANES + 1, 3, 16, 16), 0)
    every = model.predict(x)
    run = model.programs.compiled("predict", {"x": x})
    assert 2 <= run.executable.max_one_by_one < LANES
    for n in (2, run.executable.max_one_by_one, run.executable.max_one_by_one + 1, LANES - 1):
        found = model.predict(x[:n])
        np.testing.assert_allclose(found, every[:n], rtol=1e-5, atol=1e-6)
        alone = np.concatenate([model.predict(x[i : i + 1]) for i in range(n)])
        assert (found == alone).all() == (n <= run.executable.max_one_by_one)

    v = pel.input("v", (4,))
    for y in (ops.batch_sum(v), v - ops.batch_sum(v), v + ops.cast(ops.sample_index(), "float32")):
        summed = pel.Program([v], {"y": y})
        agree(summed, {"v": distinct((2, 4), 0)})
        assert native.Run(summed).executable.max_one_by_one == 1
    table, rows = pel.input("table", (3, 4), kind="shared"), pel.input("rows", (), "int32")
    taken = pel.Program([table, rows], {"y": ops.take(table, rows)})
    arrays = {"table": distinct((3, 4), 0), "rows": np.array([0, 2], "int32")}
    agree(taken, arrays)
    with pytest.raises(IndexError):
        native.Run(taken)({}, arrays | {"rows": np.array([0, 3], "int32")})
