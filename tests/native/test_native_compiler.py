"""The native executor's compiler: equal nests share code, and modules are compiled side by side."""

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from native_tools import agree
from test_native_machine import in_child

import pellucid as pel
from pellucid import ops
from pellucid.executors import native
from pellucid.executors.native.build.builder import Builder
from pellucid.executors.native.jit import cache as jit_cache
from pellucid.executors.native.jit import code as jit_code
from pellucid.executors.native.jit import compiler
from pellucid.executors.native.jit import target as jit_target
from pellucid.executors.native.llvm import ir

SIZE = 24


def deep(layers, scale=0.5):
    """A training step of equal dense layers: x -> tanh(scale W x + b), again and again."""
    y = x = pel.input("x", (SIZE,))
    parameters = []
    for k in range(layers):
        w, b = pel.state(f"w{k}", (SIZE, SIZE)), pel.state(f"b{k}", (SIZE,))
        y = ops.tanh(ops.contract(w, y, "ij,j->i") * scale + b)
        parameters += [w, b]
    cost = ops.batch_mean(ops.sum(y * y))
    gradients = pel.grad(cost, parameters)
    return pel.Program([x], {"cost": cost}, {p: p - 0.1 * g for p, g in zip(parameters, gradients, strict=True)})


def state(layers):
    rng = np.random.default_rng(0)
    shapes = {f"w{k}": (SIZE, SIZE) for k in range(layers)} | {f"b{k}": (SIZE,) for k in range(layers)}
    return {name: (rng.normal(size=shape) / 5).astype("float32") for name, shape in shapes.items()}


X = np.random.default_rng(1).normal(size=(40, SIZE)).astype("float32")


def built(program):
    """A builder that has written its modules, and these."""
    run = native.Run(program)
    builder = Builder(run.executable.simplified, run.host)
    return builder, list(builder.modules())


def functions(program):
    """Nests, and functions for them."""
    tasks = [task for tasks in built(program)[0].phases for task in tasks]
    return len(tasks), len({task.function for task in tasks})


@pytest.fixture
def no_cache(monkeypatch):
    monkeypatch.setenv("PELLUCID_CACHE", "")


# ---- equal nests ------------------------------------------------------------------------------------------------


def test_more_equal_layers_need_no_more_code():
    few, many = functions(deep(5)), functions(deep(12))
    assert many[0] >= few[0] + 3 * 7  # forward, backward and update of each
    assert many[1] == few[1] < few[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_equal_nests_compute_what_each_should(threads, no_cache):
    agree(deep(6), {"x": X}, state(6), threads=threads)


def test_each_function_is_defined_once():
    builder, modules = built(deep(6))
    text = "\n".join(modules)
    for name in {task.function for tasks in builder.phases for task in tasks} | {"run"}:
        assert sum(f'@"{name}"(' in line for line in text.splitlines() if line.startswith("define")) == 1
    assert len(modules) > 2


def test_nests_that_differ_in_a_number_are_not_equal(no_cache):
    """A constant, its sign, a length, a dtype: the text tells them apart."""

    def count(formula, other, shape=(SIZE,), dtype="float32"):
        """Functions for two formulas of two inputs."""
        x, y = pel.input("x", (SIZE,)), pel.input("y", shape, dtype)
        program = pel.Program([x, y], {"f": formula(x), "g": other(y)})
        agree(program, {"x": X, "y": np.resize(X, (40, *shape)).astype(dtype)}, tolerance=1e-5)
        return functions(program)[1]

    def power(k):
        return lambda x: ops.exp(x * k)

    same = count(power(2.0), power(2.0))
    assert count(power(2.0), power(2.5)) == count(power(0.0), power(-0.0)) == same + 1
    assert count(power(2.0), ops.exp) > same
    assert count(power(2.0), power(2.0), (SIZE - 1,)) > same + 1  # and another gathering
    assert count(power(2.0), power(2.0), (SIZE,), "float64") > same + 1


def test_the_text_is_the_same_twice():
    """Not by the order of a set: equal groups would differ, and entries of the cache."""
    assert built(deep(4))[1] == built(deep(4))[1]


# ---- side by side -----------------------------------------------------------------------------------------------


def test_the_same_code_from_any_number_of_threads():
    modules, h = built(deep(6))[1], jit_target.host()
    alone = compiler.compile_all(modules, h, 1)
    assert len(alone) == len(modules)
    for threads in (2, 3, 8):
        assert compiler.compile_all(iter(modules), h, threads) == alone


def test_helpers_help():
    """With more than one thread, the caller's does not compile all."""
    modules, h, seen = built(deep(6))[1], jit_target.host(), set()

    class Told(str):
        def __len__(self):
            return compiler.WORTH_A_THREAD

    before = compiler.Compiler.object_code

    def noted(self, text):
        seen.add(threading.current_thread())
        return before(self, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler.Compiler, "object_code", noted)
        compiler.compile_all(map(Told, modules), h, 1)
        assert seen == {threading.main_thread()}
        compiler.compile_all(map(Told, modules), h, 3)
        assert len(seen) > 1


def test_a_version_of_llvmlite_without_the_names_inside(monkeypatch):
    modules, h = built(deep(3))[1], jit_target.host()
    expected = compiler.compile_all(modules, h, 2)
    real = compiler.ffi.lib

    class Plain:
        """Its functions have no `_cfn`."""

        def __getattr__(self, name):
            return lambda *a: getattr(real, name)(*a)

    monkeypatch.setattr(compiler.ffi, "lib", Plain())
    assert not hasattr(compiler.unlocked("LLVMPY_TargetMachineEmitToMemory"), "_cfn")
    assert compiler.compile_all(modules, h, 2) == expected


def test_no_thread_can_be_started(monkeypatch):
    modules, h = built(deep(3))[1], jit_target.host()
    expected = compiler.compile_all(modules, h, 2)

    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert compiler.compile_all(modules, h, 4) == expected


def left():
    return [t.name for t in threading.enumerate() if t.name == "pellucid-compile"]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_of_llvm_is_raised(threads):
    modules, h = built(deep(3))[1], jit_target.host()
    for place in range(len(modules) + 1):
        wrong = [*modules[:place], "nonsense " * 3000, *modules[place:]]
        with pytest.raises(RuntimeError, match="parsing error"):
            compiler.compile_all(wrong, h, threads)
        assert not left()
    assert len(compiler.compile_all(modules, h, threads)) == len(modules)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_while_text_is_written(error):
    modules, h = built(deep(3))[1], jit_target.host()

    def writing():
        yield modules[0]
        raise error

    with pytest.raises(error):
        compiler.compile_all(writing(), h, 2)
    assert not left()
    assert len(compiler.compile_all(modules, h, 2)) == len(modules)


def test_compilers_are_used_again():
    """llvmlite gives nothing back of what a compiler takes, so there are no more than threads at one time."""
    modules, h = built(deep(3))[1], jit_target.host()
    compiler.compile_all(modules, h, 3)
    count = len(compiler.Compiler.idle[h])
    for _ in range(5):
        compiler.compile_all(modules, h, 3)
    assert len(compiler.Compiler.idle[h]) <= max(count, 3)


def test_several_threads_compile_at_once(no_cache):
    programs = [deep(n, scale) for n in (2, 3) for scale in (0.25, 0.5, 0.75)]
    layers = [n for n in (2, 3) for _ in range(3)]

    def job(k):
        agree(programs[k % 6], {"x": X + k}, state(layers[k % 6]), tolerance=1e-4)
        return k

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(job, range(12))) == list(range(12))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_compiles(no_cache):
    modules, h, stop, codes = built(deep(3))[1], jit_target.host(), threading.Event(), set()

    def keep_compiling():
        while not stop.is_set():
            codes.add(b"".join(compiler.compile_all(modules, h, 3)))

    thread = threading.Thread(target=keep_compiling)
    thread.start()
    try:
        for _ in range(2):
            assert in_child(lambda: agree(deep(2), {"x": X}, state(2), tolerance=1e-4))
    finally:
        stop.set()
        thread.join()
    assert len(codes) == 1


# ---- several modules in one entry of the cache ------------------------------------------------------------------


def test_a_damaged_entry_of_several_modules(tmp_path, monkeypatch):
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path))
    agree(deep(3), {"x": X}, state(3), tolerance=1e-4, early=False)
    (entry,) = tmp_path.iterdir()
    good = entry.read_bytes()
    parts = jit_cache.split_objects(good[32:])
    assert len(parts) > 1
    fewer = jit_cache.join_objects(parts[:-1])
    for bad in (good[:40], good[: 48 + len(parts[0])], good[:32] + fewer, good[:32] + jit_cache.join_objects([])):
        entry.write_bytes(bad)
        agree(deep(3), {"x": X}, state(3), tolerance=1e-4, early=False)
        assert entry.read_bytes() == good and len(list(tmp_path.iterdir())) == 1


def test_nothing_is_written_where_the_cache_has_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path))
    agree(deep(3), {"x": X}, state(3), tolerance=1e-4)

    def text(self):
        raise AssertionError("no text is needed")

    monkeypatch.setattr(Builder, "modules", text)
    agree(deep(3), {"x": X}, state(3), tolerance=1e-4)


# ---- the text ---------------------------------------------------------------------------------------------------


def test_literals():
    """Floats are exact, and zeros keep their sign; equal vectors are written short."""
    double, single, four = ir.DoubleType(), ir.FloatType(), ir.VectorType(ir.IntType(32), 4)
    assert [double(x).ref for x in (1.0, -0.0, float("inf"))] == [
        "0x3ff0000000000000",
        "0x8000000000000000",
        "0x7ff0000000000000",
    ]
    assert single(0.5).ref == double(0.5).ref
    assert ir.Constant(four, [1, 1, 1, 1]).ref == "splat (i32 1)"
    assert ir.Constant(four, [1, 2, 1, 1]).ref == "<i32 1, i32 2, i32 1, i32 1>"
    assert ir.Constant(ir.VectorType(ir.FloatType(), 2), [0.0, -0.0]).ref.startswith("<float 0x0")
    assert ir.IntType(1)(True).ref == "1" and ir.Constant(four, ir.Undefined).ref == "undef"


def test_equal_types():
    assert ir.VectorType(ir.FloatType(), 4) == ir.VectorType(ir.FloatType(), 4) != ir.VectorType(ir.FloatType(), 8)
    assert len({ir.IntType(8), ir.IntType(8), ir.IntType(16)}) == 2


def test_a_collection_closes_nothing_itself():
    """It would, for code in a cycle, while another thread closes it under the lock: then the process aborted."""

    def used():
        w, x = pel.state("w"), pel.input("x")
        run = native.compile(pel.Program([x], {"cost": ops.batch_mean(w * x)}), 1)
        run({"w": 1.0}, {"x": np.ones(3)})
        run.itself = run  # only a collection finds it
        return run.function.code.number

    number = used()
    tracker, _ = jit_code.Code.loaded[number]
    gc.collect()
    assert number in jit_code.Code.unused and not tracker.closed
    used()
    assert tracker.closed and number not in jit_code.Code.loaded
