"""Simplification changes no bit: each program gives on the reference executor what its simplified self gives."""

import numpy as np
import pytest
from composite_cases import TABLE
from primitive_cases import cases, has_gradient
from tools import BATCH, distinct, fill_in, in_dtype, kind_choices, placeholders, total

import pellucid as pel
from pellucid import nn, ops, optim
from pellucid.executors import reference
from pellucid.metrics import as_metrics
from pellucid.nn.losses import as_loss
from pellucid.ops.movement import fill_with, pad_with, ruled, stop_gradient
from pellucid.passes.simplify import simplify
from pellucid.program import Program, verify
from pellucid.train import programs
from pellucid.train.arrays import Spec


def same(program, state, inputs, batch=None):
    """Run a program and its simplified self; every output and every new state must be equal, bit for bit."""
    simple = simplify(program)
    verify(simple)
    assert simple.inputs == program.inputs and list(simple.outputs) == list(program.outputs)
    assert set(simple.updates) == set(program.updates) and len(simple.order) <= len(program.order)
    assert not {ruled, stop_gradient} & {v.primitive for v in simple.order}
    results = []
    for p in (program, simple):
        own = {name: np.array(a) for name, a in state.items()}
        results.append(reference.compile(p)(own, inputs, batch) | {f"{name}'": own[name] for name in own})
    for name, a in results[0].items():
        b = results[1][name]
        a, b = (np.where(np.isnan(i), np.nan, i) if i.dtype.kind == "f" else i for i in (a, b))  # NaN has no sign
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), f"{name}\n{a}\n{b}"
    return simple


def count(program, p):
    return sum(v.primitive is p for v in program.order)


# ---- all operations ---------------------------------------------------------------------------------------------


def same_of(function, arrays, kinds):
    """The same for a function of Values and its derivatives, in float64 and float32."""
    for dtype in ("float64", "float32"):
        given = in_dtype([np.asarray(a) for a in arrays], dtype)
        inputs = placeholders(given, kinds)
        y = function(*inputs)
        floats = [v for v in inputs if v.dtype == dtype]
        slopes = pel.grad(total(y), floats) if y.dtype == dtype else []
        program = Program(inputs, {"y": y, **{f"d{i}": d for i, d in enumerate(slopes)}})
        same(program, {}, {v.name: a for v, a in zip(inputs, given, strict=True)}, None if "sample" in kinds else BATCH)


@pytest.mark.parametrize(("p", "s", "kinds"), list(cases()))
def test_primitives(p, s, kinds):
    same_of(lambda *inputs: p(*inputs, **s.attributes), fill_in(s.inputs, kinds), kinds)


@pytest.mark.parametrize("name", list(TABLE))
def test_composites(name):
    function, _, arrays = TABLE[name]
    for kinds in kind_choices(len(arrays)):
        same_of(function, fill_in(arrays, kinds), kinds)


@pytest.mark.parametrize(("p", "s", "kinds"), list(cases(lambda p, s: has_gradient(p, s) and s.inputs)))
def test_primitives_among_others(p, s, kinds):
    """Constants, unused factors and repeated parts around an operation, each of which some rule removes."""

    def function(*inputs):
        y = p(*(ops.stop_gradient(v) * 0 + v * 1 if v.dtype[0] == "f" else v for v in inputs), **s.attributes)
        return (y - 0) / 1 + ops.exp(ops.fill(0, y.shape, y.dtype)) * y.reshape(y.size).reshape(y.shape)

    same_of(function, fill_in(s.inputs, kinds), kinds)


def test_random_numbers():
    key = pel.input("key", (2,), "uint32", kind="shared")
    draws = {f"{f.__name__} {kind}": f(key, shape=(3, 2), dtype="float32", kind=kind)
             for f in (ops.uniform, ops.normal, partial_bernoulli) for kind in ("shared", "sample")}  # fmt: skip
    same(Program([key], {**draws, "next": ops.fold_in(key, 7)}), {}, {"key": [1, 2]}, 4)


def partial_bernoulli(key, **options):
    return ops.bernoulli(key, 0.3, **options)


# ---- whole training steps ---------------------------------------------------------------------------------------

CLASSES = Spec((), "int32")
VALUES = Spec((3,), "float32")
STEPS = {
    "tanh, SGD": (nn.Sequential(nn.Dense(4), nn.tanh, nn.Dense(3)), "cross_entropy", optim.SGD(0.1), CLASSES),
    "ReLU, momentum": (nn.Sequential(nn.Dense(4), nn.relu, nn.Dense(3)), "cross_entropy", optim.SGD(0.1, 0.9), CLASSES),
    "Nesterov": (nn.Sequential(nn.Dense(3), nn.sigmoid), "half_squared_error", optim.SGD(0.1, 0.9, True), VALUES),
    "Adam": (nn.Sequential(nn.Dense(4), nn.gelu, nn.Dense(3)), "mse", optim.Adam(), VALUES),
    "dropout": (nn.Sequential(nn.Dense(8), nn.Dropout(0.5), nn.Dense(3)), "huber", optim.Adam(), VALUES),
    "DropConnect": (nn.Sequential(nn.DropConnect(8), nn.silu, nn.Dense(3)), "hinge", optim.Adam(), CLASSES),
    "mask": (nn.Sequential(nn.Dense(3, mask=np.eye(3, 6))), "mean_absolute_error", optim.SGD(), VALUES),
    "residual": (nn.Sequential(nn.Residual(nn.Dense(6)), nn.Dense(3)), "class_distance", optim.SGD(), CLASSES),
    "branches": (nn.Concatenate(nn.Dense(1), nn.Dense(2)), nn.CrossEntropy(label_smoothing=0.1), optim.SGD(), CLASSES),
    "binary": (nn.Sequential(nn.Dense(5), nn.softplus, nn.Dense(3)), "binary_cross_entropy", optim.Adam(), VALUES),
    "frozen": (nn.Sequential(nn.Dense(4, trainable=False), nn.elu, nn.Dense(3)), "mse", optim.Adam(), VALUES),
}


@pytest.mark.parametrize("weight", [None, ()], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", list(STEPS))
def test_training_steps(name, weight):
    net, loss, optimizer, target = STEPS[name]
    specs, metrics = {"x": Spec((6,), "float32")}, as_metrics(["accuracy"] if target is CLASSES else ["mae"])
    spec = programs.NetSpec(net, specs, "one", "float32")
    step = programs.training_step(spec, programs.Task(target, weight, as_loss(loss), metrics), optimizer)
    rng = np.random.default_rng(0)
    state = {k: np.asarray(rng.uniform(0.1, 0.9, v.shape) * (9 if v.dtype[0] != "f" else 1), v.dtype)
             for k, v in step.state.items()}  # fmt: skip
    y = rng.integers(0, 3, 7) if target is CLASSES else rng.integers(0, 2, (7, 3)).astype("float32")
    inputs = {"x": distinct((7, 6), dtype="float32"), "y": y} | (
        {} if weight is None else {"weight": rng.uniform(0, 2, 7)}
    )
    simple = same(step, state, inputs)
    assert len(simple.order) < len(step.order)


# ---- single rules -----------------------------------------------------------------------------------------------

X = pel.input("x", (2, 3), "float64")
W = pel.state("w", (2, 3), "float64")
ARRAYS = {"w": distinct((2, 3), 3)}, {"x": distinct((BATCH, 2, 3))}


def simplified(y):
    return same(Program([X], {"y": y}), {"w": ARRAYS[0]["w"]} if "w" in Program([X], {"y": y}).state else {}, ARRAYS[1])


def test_equal_values_are_merged():
    simple = simplified(ops.exp(X + W) * ops.exp(X + W) + ops.sum(X) + ops.sum(X))
    assert count(simple, ops.exp) == 1
    assert len(simple.order) == 2 + len(["X + W", "exp", "exp * exp", "sum", "its shape", "spread", "+", "+"])


def test_what_differs_is_not_merged():
    parts = [ops.sum(X, 0), ops.sum(X, 1)[0], X[0], X[1], ops.cast(X, "float32"), ops.cast(X, "int32"),
             ops.constant(np.ones(2)), ops.constant(np.ones(2, "float32")), ops.constant(np.zeros(2)),
             ops.fill(1, (), "float64"), ops.fill(1, (), "int32"), ops.fill(True, (), "bool"), ops.iota(2), ops.iota(3),
             ops.fill(0.0, (), "float64"), ops.fill(-0.0, (), "float64"), pel.batch_size("float32"),
             pel.batch_size("float64")]  # fmt: skip
    simple = same(Program([X], {str(i): v for i, v in enumerate(parts)}), {}, ARRAYS[1])
    assert len(set(simple.outputs.values())) == len(parts)


def test_two_inputs_of_one_type_stay_two():
    a, b, v, w = pel.input("a"), pel.input("b"), pel.state("v"), pel.state("w")
    outputs = {"1": a - b, "2": b - a, "3": a * 1, "4": b * 1, "5": a * 1 + b / 1, "6": v - 0, "7": w - 0}
    simple = same(Program([a, b], outputs), {"v": 7, "w": 8}, {"a": [1, 2], "b": [3, 5]})
    assert len(set(simple.outputs.values())) == len(outputs)


@pytest.mark.parametrize("formula", [
    lambda x: x * 1, lambda x: 1 * x, lambda x: x / 1, lambda x: x - 0, lambda x: x.T.T,
    lambda x: x.reshape(6).reshape(2, 3),
    lambda x: ops.stop_gradient(x), lambda x: ops.with_vjp(lambda g, y, v: (g,))(lambda v: v)(x),
    lambda x: ((ops.stop_gradient(x) * 1 - 0) / 1).reshape(3, 2).reshape(6).reshape(2, 3),
])  # fmt: skip
@pytest.mark.parametrize("v", [X, W], ids=["sample", "shared"])
def test_what_does_nothing_goes(v, formula):
    simple = simplified(formula(v))
    assert simple.outputs["y"] is v


@pytest.mark.parametrize("odd", [0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1e-310])
@pytest.mark.parametrize("formula", [
    lambda x: x * 1, lambda x: x * 0, lambda x: x + 0, lambda x: 0 - x, lambda x: x - 0,
    lambda x: x - ops.fill(-0.0, (), "float64"),
    lambda x: x * -1, lambda x: x / 1, lambda x: 0 / x, lambda x: x - x, lambda x: x / x, lambda x: ops.exp(-x),
    lambda x: ops.maximum(x, 0) + ops.minimum(0, x),
])  # fmt: skip
def test_odd_numbers(formula, odd):
    v = pel.state("v", (2,), "float64")
    same(Program([], {"y": formula(v)}), {"v": [odd, 1.0]}, {})
    same(Program([], {"y": formula(ops.fill(odd, (2,), "float64"))}), {}, {})


def test_constants_are_computed():
    one = ops.fill(1, (3,), "float32")
    y = ops.where(one > 0.5, ops.exp(one) / 3 + ops.erf(one), 7)
    simple = same(Program([], {"y": y, "z": ops.cast(y, "int32"), "r": ops.reshape(one, (3, 1))}), {}, {})
    assert {v.primitive for v in simple.order} == {fill_with}
    tiny = ops.fill(0.1, (), "float32") + ops.fill(0.2, (), "float32")
    assert simplify(Program([], {"y": tiny})).outputs["y"].attributes["value"] == np.float32(0.1) + np.float32(0.2)


def test_integers_wrap_as_they_do_when_run():
    big = ops.fill(2**31 - 1, (), "int32")
    same(Program([], {"y": big + 1, "z": ops.fill(0, (), "uint32") - 1, "f": ops.cast(big, "float32")}), {}, {})


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_a_sum_of_equal_numbers_is_a_product(n):
    """The one rule that may change the last bit."""
    y = ops.batch_sum(ops.to_samples(W)) + ops.batch_sum(ops.to_samples(ops.fill(0.1, (2, 3), "float64")))
    program = Program([X], {"y": y})
    simple = simplify(program)
    verify(simple)
    assert not count(simple, ops.batch_sum)
    a, b = (reference.compile(p)(dict(ARRAYS[0]), {"x": np.zeros((n, 2, 3))})["y"] for p in (program, simple))
    np.testing.assert_allclose(a, b, rtol=1e-12)


def test_the_weights_of_a_plain_mean_are_its_count():
    simple = simplified(ops.batch_sum(ops.to_samples(ops.fill(1, (), "float64"))))
    assert simple.outputs["y"].primitive is pel.batch_size().primitive


@pytest.mark.parametrize("formula", [
    lambda s: s * X, lambda s: X + s, lambda s: ops.maximum(s, X), lambda s: ops.where(s > 0, X, s),
    lambda s: ops.exp(s), lambda s: s * s, lambda s: s * W, lambda s: ops.exp(s) * X, lambda s: ops.where(s > 0, W, s),
    lambda s: s * 1, lambda s: 1 * s, lambda s: s - 0, lambda s: s,
])  # fmt: skip
def test_a_value_made_equal_for_all_samples(formula):
    simple = simplified(formula(ops.to_samples(W)))
    assert count(simple, ops.to_samples) <= 1


def test_an_output_that_is_an_input_and_state_that_keeps_its_value():
    simple = same(Program([X], {"x": X * 1, "w": W}, {W: W * 1}), *ARRAYS)
    assert simple.outputs["x"] is X and simple.updates[W] is W


def test_simplifying_again_is_no_harm():
    spec = programs.NetSpec(STEPS["Adam"][0], {"x": Spec((6,), "float32")}, "one", "float32")
    step = programs.training_step(spec, programs.Task(VALUES, None, as_loss("mse"), {}), optim.Adam())
    once = simplify(step)
    assert len(simplify(once).order) <= len(once.order) < len(step.order)


def test_padding_before_reshapes():
    """Padding of the last axes goes before a reshape of the others, and stays where it pads what is reshaped."""
    x = pel.input("x", (6, 4, 5))
    inside = ops.pad(ops.reshape(x, (2, 3, 4, 5)), [(0, 0), (0, 0), (1, 2), (0, 3)])
    across = ops.pad(ops.reshape(x, (2, 3, 4, 5)), [(0, 0), (1, 0), (1, 2), (0, 3)])
    whole = ops.pad(ops.reshape(x, (24, 5)), [(2, 0), (0, 0)])
    program = same(
        Program([x], {"inside": inside, "across": across, "whole": whole}), {}, {"x": distinct((2, 6, 4, 5))}
    )
    names = {name: v.primitive.name for name, v in program.outputs.items()}
    assert names == {"inside": "reshape", "across": "pad", "whole": "pad"}


SUMS = {"of one": lambda p, q, z: p + z, "of the other": lambda p, q, z: z + p, "of both": lambda p, q, z: p + q,
        "of three": lambda p, q, z: z + p + q, "of all": lambda p, q, z: p + (q + p)}  # fmt: skip
PARTS = {"inside": np.s_[1:3, 1:4], "corner": np.s_[2:, 3:], "padding alone": np.s_[:1, :1], "steps": np.s_[::2, 1:4]}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("addends", SUMS)
def test_parts_of_sums_of_padded_values(addends, part):
    """A slice of a sum; where all that is added up is padded, of what was padded."""
    x, z = pel.input("x", (2, 3), "float64"), pel.input("z", (4, 5), "float64")
    y = SUMS[addends](ops.pad(x, [(1, 1), (1, 1)]), ops.pad(x, [(0, 2), (2, 0)], 1), z)[PARTS[part]]
    program, arrays = Program([x, z], {"y": y}), {"x": distinct((2, 2, 3)), "z": distinct((2, 4, 5), 1)}
    simple = simplify(program)
    found, expected = (reference.compile(p)({}, arrays)["y"] for p in (simple, program))
    np.testing.assert_array_equal(found, expected)
    if addends in ("of both", "of all"):
        assert count(simple, pad_with) == (2 if part in ("corner", "inside", "steps") else 0)
