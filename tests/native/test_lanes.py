"""The lane builder: elementwise formulas on lanes give numpy's numbers, and the functions keep their precision."""

import ctypes
import math
import operator
import platform
import re

import numpy as np
import pytest
from llvmlite import binding as llvm
from scipy import special

from pellucid.executors.native.llvm import ir, lanes, vector_math
from pellucid.executors.native.llvm.lanes import Lanes, constant, fma, splat, xp
from pellucid.executors.native.llvm.shuffles import horizontal_sum, horizontal_sums, transpose
from pellucid.executors.reference import xp as reference
from pellucid.graph import DTYPES, PRIMITIVES

FLOATS = ("float32", "float64")
INTEGERS = ("int32", "int64", "uint8", "uint32")
WIDTHS = (1, 4, 8, 16)
X86 = platform.machine().lower() in ("x86_64", "amd64")
I64, I32, POINTER = ir.IntType(64), ir.IntType(32), ir.PointerType()
llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, where a number overflows or is invalid


# ---- a small just-in-time compiler ------------------------------------------------------------------------------


def module_text(formula, dtypes, width, flush=False) -> tuple[str, str]:
    """IR of ``f(inputs..., output, n)``: the formula on n vectors, one after the other; and the output's dtype."""

    def memory(dtype):
        return lanes.llvm_type("uint8" if dtype == "bool" else dtype, width)

    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER] * (len(dtypes) + 1) + [I64]), "f")
    for a in function.args[:-1]:
        a.add_attribute("noalias")
    b = ir.IRBuilder(function.append_basic_block("entry"))
    *pointers, out, n = function.args
    if flush:
        restore = flush_denormals(b)
    start, body, end = b.block, function.append_basic_block("body"), function.append_basic_block("end")
    b.branch(body)
    b.position_at_end(body)
    i = b.phi(I64)
    i.add_incoming(I64(0), start)
    inputs = []
    for p, dtype in zip(pointers, dtypes, strict=True):
        x = b.load(b.gep(p, [i], source_etype=memory(dtype)), typ=memory(dtype), align=1)
        inputs.append(Lanes(b, b.trunc(x, lanes.llvm_type("bool", width)) if dtype == "bool" else x, dtype, width))
    y = splat(formula(xp, *inputs), width)
    value = b.zext(y.value, memory("bool")) if y.dtype == "bool" else y.value
    b.store(value, b.gep(out, [i], source_etype=memory(y.dtype)), align=1)
    following = b.add(i, I64(1))
    i.add_incoming(following, b.block)
    b.cbranch(b.icmp_signed("<", following, n), body, end)
    b.position_at_end(end)
    if flush:
        restore()
    b.ret_void()
    return str(module), y.dtype


def flush_denormals(b):
    """Flush-to-zero and denormals-are-zero from here on, until what is returned is called (x86)."""
    kind = ir.FunctionType(ir.VoidType(), [POINTER])
    store, load = (ir.Function(b.module, kind, f"llvm.x86.sse.{name}mxcsr") for name in ("st", "ld"))
    old, new = b.alloca(I32), b.alloca(I32)
    b.call(store, [old])
    b.store(b.or_(b.load(old, typ=I32), I32(0x8040)), new)
    b.call(load, [new])
    return lambda: b.call(load, [old])


def optimized(text, triple=None, cpu=None, features=None):
    """The module after LLVM's passes, and the machine it is for: by default the host."""
    triple = triple or llvm.get_process_triple()
    if cpu is None:
        cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
        features += ",-prefer-256-bit" if X86 else ""
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features, opt=2)
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module, machine


def run(formula, *arrays, width=16, flush=False):
    """The formula on arrays of one shape, as machine code."""
    arrays = [np.asarray(a) for a in arrays]
    n = -(-arrays[0].size // width)
    padded = [np.resize(a.ravel(), n * width) for a in arrays]
    text, dtype = module_text(formula, [str(a.dtype) for a in arrays], width, flush)
    module, machine = optimized(text)
    out = np.empty(n * width, dtype)
    with llvm.create_mcjit_compiler(module, machine) as engine:
        engine.finalize_object()
        kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(arrays) + 1), ctypes.c_int64)
        kind(engine.get_function_address("f"))(*(a.ctypes.data for a in [*padded, out]), n)
    return out[: arrays[0].size].reshape(arrays[0].shape)


def agree(formula, *arrays, width=8):
    """The formula on lanes gives the same numbers and dtype as on arrays."""
    got, wanted = run(formula, *arrays, width=width), np.asarray(formula(reference, *arrays))
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted)


def whole_range(dtype, n, seed=0):
    """Numbers with random bits: of every size, and for floats also denormals, infinities and NaN."""
    if dtype == "bool":
        return np.random.default_rng(seed).integers(0, 2, n).astype(bool)
    size = np.dtype(dtype).itemsize
    return np.frombuffer(np.random.default_rng(seed).bytes(n * size), dtype)


# ---- the formulas of ops/elementwise.py -------------------------------------------------------------------------

CASES = [
    pytest.param(p, s, dtype, id=f"{p.name}-{n}-{dtype}")
    for p in PRIMITIVES.values()
    if p.elementwise
    for n, s in enumerate(p.samples)
    for dtype in (FLOATS if any(np.asarray(a).dtype.kind == "f" for a in s.inputs) else ("as it is",))
]


@pytest.mark.parametrize(("p", "s", "dtype"), CASES)
def test_primitive(p, s, dtype):
    arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in map(np.asarray, s.inputs)]
    wanted = p.forward(reference, *arrays, **s.attributes)
    for width in WIDTHS:
        got = run(lambda xp, *x: p.forward(xp, *x, **s.attributes), *arrays, width=width)
        assert got.dtype == wanted.dtype
        np.testing.assert_allclose(got, wanted, rtol=4 * np.finfo(got.dtype).eps if got.dtype.kind == "f" else 0)


@pytest.mark.parametrize("width", WIDTHS)
def test_threefry(width):
    words = [whole_range("uint32", 64, seed) for seed in range(4)]
    agree(PRIMITIVES["threefry"].forward, *words, width=width)


OPERATORS = [operator.add, operator.sub, operator.mul, operator.and_, operator.or_, operator.xor,
             operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne]  # fmt: skip


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_integer_operators(dtype):
    a, b = whole_range(dtype, 200), whole_range(dtype, 200, 1)
    for op in OPERATORS:
        if dtype != "bool" or op not in (operator.add, operator.sub, operator.mul):
            agree(lambda xp, x, y, op=op: op(x, y), a, np.where(a > b, a, b))
    agree(lambda xp, x: ~x, a)
    agree(lambda xp, x, y: xp.where(x != y, x, y), a, b)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_functions(dtype):
    a = np.concatenate([whole_range(dtype, 200), np.array([0, 1, np.iinfo(dtype).min, np.iinfo(dtype).max], dtype)])
    agree(lambda xp, x: xp.sign(x), a)
    agree(lambda xp, x: xp.abs(x), a)
    agree(lambda xp, x: xp.floor(x), a)
    agree(lambda xp, x: -x, a)
    agree(lambda xp, x, y: xp.maximum(x, y), a, a[::-1].copy())
    agree(lambda xp, x, y: xp.minimum(x, y), a, a[::-1].copy())


@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts(dtype):
    number = np.dtype(dtype).type
    a, by = whole_range(dtype, 200), np.arange(200).astype(dtype) % number(80)
    agree(lambda xp, x, n: x << n, a, by)
    agree(lambda xp, x, n: x >> n, a, by)
    agree(lambda xp, x: (x << number(3)) ^ (x >> number(5)), a)


@pytest.mark.parametrize("dtype", FLOATS)
def test_float_operators(dtype):
    a, b = whole_range(dtype, 500), whole_range(dtype, 500, 1)
    b = np.where(np.arange(500) % 3 == 0, a, b)
    for op in (operator.add, operator.sub, operator.mul, operator.truediv, *OPERATORS[6:]):
        agree(lambda xp, x, y, op=op: op(x, y), a, b)
    agree(lambda xp, x: 2 / (1 - 3 * x) - 1, a)
    agree(lambda xp, x: -xp.abs(x), a)
    agree(lambda xp, x: xp.sqrt(x), a)


@pytest.mark.parametrize("dtype", FLOATS)
def test_float_functions(dtype, monkeypatch):
    whole = 2.0 ** np.finfo(dtype).nmant
    points = [0.0, -0.0, 0.5, -0.5, 1.0, -1.5, 0.99999994, 1e-30, -1e-30, math.inf, -math.inf, math.nan, whole, -whole,
              whole / 2 + 0.5, 0.5 - whole / 2, 3 * whole, 1e-310, -1e-40]  # fmt: skip
    a = np.concatenate([np.array(points, dtype), whole_range(dtype, 500), np.linspace(-4, 4, 65).astype(dtype)])
    b = a[::-1].copy()
    for how in (lambda xp, x: xp.sign(x), lambda xp, x: xp.floor(x)):
        agree(how, a)
        np.testing.assert_array_equal(np.signbit(run(how, a)), np.signbit(how(reference, a)) & ~np.isnan(a) | (
            np.signbit(run(how, a)) & np.isnan(a)))  # fmt: skip
    agree(lambda xp, x, y: xp.maximum(x, y), a, b)
    agree(lambda xp, x, y: xp.minimum(x, y), a, b)
    agree(lambda xp, x: xp.minimum(xp.maximum(0.5, xp.maximum(x, 0)), 3), a)
    monkeypatch.setattr(lanes, "use_round", False)
    agree(lambda xp, x: xp.floor(x), a)


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("to", DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_cast(dtype, to, width):
    a = whole_range(dtype, 100)
    if dtype in FLOATS:
        top = 255.9 if to == "uint8" else 2**31 - 200
        a = np.linspace(-top if to.startswith("int") else 0, top, 101).astype(dtype)
        a = np.concatenate([a, np.array([0.0, -0.0, 0.5, -0.7, 1e-30], dtype)])
        if to in (*FLOATS, "bool"):
            a = np.concatenate([a, whole_range(dtype, 100)])
    agree(lambda xp, x: xp.astype(x, to), a, width=width)


# ---- exp, log and the others ------------------------------------------------------------------------------------

FUNCTIONS = {"exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "tanh": np.tanh, "erf": special.erf}
APART = {"power", "fast_divide", "fast_sqrt"}  # with tests of their own
LIMIT = {"float32": 2.0, "float64": 3.0}  # units in the last place
HOSTS = {"as it is": {}, "no scalef": {"use_scalef": False}, "no fma": {"use_fma": False, "use_scalef": False}}


def truth(function, *arrays):
    """In float64 for float32, and for float64 in numpy's longer float where there is one."""
    wider = np.float64 if arrays[0].dtype == np.float32 else np.longdouble
    if function is special.erf:  # SciPy has no longer one
        return special.erf(*(a.astype(np.float64) for a in arrays)).astype(wider)
    return function(*(a.astype(wider) for a in arrays))


def errors(got, exact):
    """In units in the last place; infinite where one of the two is not finite and the other not the same."""
    wanted = exact.astype(got.dtype)
    same = (got == wanted) | (np.isnan(got) & np.isnan(wanted))
    finite = np.isfinite(got) & np.isfinite(wanted)
    difference = np.abs(got.astype(exact.dtype) - exact) / np.spacing(np.abs(wanted)).astype(exact.dtype)
    return np.where(finite, difference, np.where(same, 0, np.inf))


def test_every_function_is_tested():
    assert {*FUNCTIONS, *APART} == set(vector_math.FUNCTIONS), "give each its function by NumPy or SciPy, in FUNCTIONS"


def points(dtype):
    """All sizes, the thresholds, and densely where the functions bend."""
    rng, f = np.random.default_rng(0), np.finfo(dtype)
    overflow, underflow = np.log(f.max), np.log(f.smallest_subnormal)
    thresholds = [overflow, underflow, np.log(f.tiny), 1.0, -1.0, 0.0, f.max, f.tiny, f.eps, -f.eps, 0.5, -0.5]
    near = [np.nextafter(np.asarray(thresholds, dtype), np.asarray(side, dtype)) for side in (-9, 9)]
    parts = [
        thresholds,
        *near,
        [-0.0, math.inf, -math.inf, math.nan, f.smallest_subnormal, -f.smallest_subnormal, f.min, -f.tiny],
        whole_range(dtype, 20000),
        rng.uniform(1.05 * underflow, 1.05 * overflow, 20000),
        rng.uniform(-6, 6, 40000),
        rng.uniform(-1, 1, 20000) * 2.0 ** rng.integers(-30, 2, 20000),
        1 + rng.uniform(-1, 1, 20000) * 2.0 ** rng.integers(-20, 0, 20000),
        rng.uniform(-1.01, -0.99, 2000),
    ]
    return np.concatenate([np.asarray(p, dtype) for p in parts])


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name, dtype, host, monkeypatch):
    for switch, value in HOSTS[host].items():
        monkeypatch.setattr(lanes, switch, value)
    x = points(dtype)
    exact = truth(FUNCTIONS[name], x)
    got = run(lambda xp, x: getattr(xp, name)(x), x)
    error = errors(got, exact)
    worst = error.argmax()
    assert error[worst] <= LIMIT[dtype], f"{name}({x[worst]!r}) is {got[worst]!r}, not {exact[worst]!r}"
    zero = (got == 0) & (exact == 0)
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(exact[zero]))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [*FUNCTIONS, "power"])
def test_every_width_gives_the_same_bits(name, dtype):
    x = [points(dtype)[-4000:], points(dtype)[:4000]][: 1 + (name == "power")]
    results = [run(lambda xp, *x: getattr(xp, name)(*x), *x, width=width) for width in WIDTHS]
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@pytest.mark.skipif(not X86, reason="the mode is set as on x86")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [*FUNCTIONS, "power"])
def test_flushed_denormals_change_only_denormals(name, dtype):
    x = points(dtype)
    x = x[(np.abs(x) >= np.finfo(dtype).tiny) | (x == 0) | np.isnan(x)]
    x = [x, np.random.default_rng(1).permutation(x)][: 1 + (name == "power")]
    kept, flushed = (run(lambda xp, *x: getattr(xp, name)(*x), *x, flush=f) for f in (False, True))
    small = np.abs(kept) <= np.finfo(dtype).tiny * (1 + np.finfo(dtype).eps)
    np.testing.assert_array_equal(flushed[~small], kept[~small])
    assert (np.abs(flushed[small]) <= np.abs(kept[small]) + np.finfo(dtype).tiny).all()


POWER_POINTS = (0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, 2.5, 1 / 3, math.inf, -math.inf, math.nan, 1e-45,
                -1e-45, 1e-40, 3e38, -3e38, 1e10, -1e10, 16777215.0, -16777217.0, 1 + 2.0**-23, 1 - 2.0**-24, 1e300,
                -1e300, 5e-324, 2.0**53 - 1, 1 + 2.0**-52, 1 - 2.0**-53)  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_power(dtype, host, monkeypatch):
    for switch, value in HOSTS[host].items():
        monkeypatch.setattr(lanes, switch, value)
    rng, n = np.random.default_rng(0), 20000
    end = np.log(np.finfo(dtype).max)
    grid = [g.ravel() for g in np.meshgrid(POWER_POINTS, POWER_POINTS)]
    sizes = np.exp(rng.uniform(-end, end, n))
    near = (1 + rng.uniform(-1, 1, n) * 2.0 ** rng.integers(-22, 0, n)).astype(np.float32).astype(np.float64)
    exponents = rng.uniform(-1.1 * end, 1.05 * end, n)  # of the result, whose whole range they fill
    pairs = [
        grid,
        (whole_range(dtype, n), whole_range(dtype, n, 1)),
        (sizes, exponents / np.log(sizes)),
        (near, exponents / np.log(np.where(near == 1, 2, near))),
        (rng.uniform(-9, 9, n), rng.integers(-30, 30, n)),
        (rng.uniform(0, 9, n), rng.uniform(-3, 3, n)),
    ]
    x, p = (np.concatenate([np.asarray(pair[k]).astype(dtype) for pair in pairs]) for k in (0, 1))
    exact = truth(np.power, x, p)
    got = run(lambda xp, x, p: xp.power(x, p), x, p)
    error = errors(got, exact)
    worst = error.argmax()
    assert error[worst] <= 2, f"{x[worst]!r} ** {p[worst]!r} is {got[worst]!r}, not {exact[worst]!r}"
    zero = (got == 0) & (exact == 0)
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(exact[zero]))


# ---- lanes together ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [2, 4, 8, 16])
@pytest.mark.parametrize("dtype", [*FLOATS, "int32", "int64", "uint8"])
def test_transpose(dtype, width):
    square = whole_range(dtype, width * width).reshape(width, width)

    def formula(xp, x):  # a vector of all the elements
        b, n = x.builder, width
        parts = [lanes.shuffle(b, x.value, x.value, list(range(i * n, i * n + n))) for i in range(n)]
        columns = transpose([Lanes(b, part, dtype, n) for part in parts])
        result = x.value
        for i, column in enumerate(columns):
            for k in range(n):
                result = b.insert_element(result, b.extract_element(column.value, I32(k)), I32(i * n + k))
        return x.like(result)

    got = run(formula, square, width=width * width)
    assert got.tobytes() == square.T.tobytes()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_horizontal_sum(dtype, width):
    a = np.random.default_rng(0).normal(size=(10, width)) * 1000
    a = a.astype(dtype)
    got = run(lambda xp, x: horizontal_sum(x), a, width=width)
    while a.shape[1] > 1:  # the tree
        half = a.shape[1] // 2
        a = a[:, :half] + a[:, half:]
    np.testing.assert_array_equal(got, np.broadcast_to(a, got.shape))


@pytest.mark.parametrize("width", [2, 4, 8, 16])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_horizontal_sums(dtype, width):
    """Lane i is the sum of vector i, to the bit."""
    square = (np.random.default_rng(0).normal(size=(width, width)) * 1000).astype(dtype)

    def formula(xp, x):  # a vector of all the elements
        b, n = x.builder, width
        parts = [Lanes(b, lanes.shuffle(b, x.value, x.value, list(range(i * n, i * n + n))), dtype, n)
                 for i in range(n)]  # fmt: skip
        total = horizontal_sums(parts)
        return x.like(lanes.shuffle(b, total.value, total.value, list(range(n)) * n))

    got = run(formula, square, width=width * width)[0]
    expected = run(lambda xp, x: horizontal_sum(x), square, width=width)[:, 0]
    assert got.tobytes() == expected.tobytes()


def test_fma():
    a = np.array([1 + 2.0**-12] * 8, np.float32)
    got = run(lambda xp, x: fma(x, constant(x.builder, 1 + 2.0**-12, "float32"), -1.0), a)
    assert got[0] == np.float32(2.0**-11 + (2.0**-24 if lanes.use_fma else 0))
    agree(lambda xp, x: x * 3 + 4 if xp is reference else fma(x, 3, 4), np.arange(8, dtype=np.int32))


def new_builder():
    kind = ir.FunctionType(ir.VoidType(), [ir.FloatType()])
    return ir.IRBuilder(ir.Function(ir.Module(), kind, "f").append_basic_block())


def test_scalars_stay_scalars_until_they_meet_vectors():
    b = new_builder()
    x = Lanes(b, b.function.args[0], "float32", 1)
    assert (x * 2 + 1).width == xp.exp(x).width == (x < 1).width == 1
    v = constant(b, 1, "float32", 8)
    assert (x + v).width == (v - x).width == fma(x, x, v).width == xp.where(x < 1, v, x).width == 8
    assert xp.where(v < 1, 1.0, x).width == xp.power(x, v).width == xp.maximum(x, v).width == 8


def test_numpy_scalars_on_either_side():
    a = np.arange(8, dtype=np.uint32)
    agree(lambda xp, x: (np.uint32(7) + x) * np.uint32(3) - (np.uint32(9) - x) ^ np.uint32(0xFFFFFFFF), a)


def test_errors():
    b = new_builder()
    x, i, p = constant(b, 1, "float32", 4), constant(b, 1, "int32", 4), constant(b, True, "bool", 4)
    wrong = [lambda: x + i, lambda: x & x, lambda: ~x, lambda: x << 1, lambda: i / i, lambda: p + p, lambda: i + 0.5,
             lambda: constant(b, -1, "uint8"), lambda: constant(b, 2**31, "int32"), lambda: xp.where(i, x, x),
             lambda: x + constant(b, 1, "float32", 8), lambda: bool(x < x), lambda: xp.maximum(1, 2)]  # fmt: skip
    for f in wrong:
        with pytest.raises(TypeError):
            f()
    with pytest.raises(AttributeError, match="cosh"):
        xp.cosh(x)


# ---- the machine code -------------------------------------------------------------------------------------------

TARGETS = {
    "avx512": ("skylake-avx512", "-prefer-256-bit", 16, {"use_fma": True, "use_round": True, "use_scalef": True}),
    "avx2": ("haswell", "", 8, {"use_fma": True, "use_round": True, "use_scalef": False}),
    "sse2": ("x86-64", "", 4, {"use_fma": False, "use_round": False, "use_scalef": False}),
}
MOST = {"exp": 18, "expm1": 25, "log": 32, "log1p": 41, "tanh": 26, "erf": 38}  # instructions, float32 on AVX-512


@pytest.mark.skipif(not X86, reason="made for x86")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_machine_code_has_no_calls_and_is_short(dtype, target, monkeypatch):
    cpu, features, width, switches = TARGETS[target]
    for switch, value in switches.items():
        monkeypatch.setattr(lanes, switch, value)
    for name in [*FUNCTIONS, "power", "sqrt", "sign", "abs", "floor", "maximum"]:
        two = name in ("power", "maximum")
        text, _ = module_text(lambda xp, *x, name=name: getattr(xp, name)(*x), [dtype] * (1 + two), width)
        module, machine = optimized(text, "x86_64-unknown-linux-gnu", cpu, features)
        assembly = machine.emit_assembly(module)
        assert not re.search(r"\b(call|jmp)", assembly), name
        loop = re.split(r"\.LBB\d+_\d+:", assembly)[-1].split("\tj")[0]
        arithmetic = [line for line in loop.splitlines() if re.match(r"\tv", line)]
        if (target, dtype) == ("avx512", "float32") and name in MOST:
            assert len(arithmetic) - 2 <= MOST[name], name  # a load and a store
