"""The native executor on a real machine: the cache on disk, processes, threads, memory, the processor's mode."""

import contextlib
import errno
import gc
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pellucid as pel
from pellucid import Model, nn, ops, optim
from pellucid.executors import native
from pellucid.executors.native.jit import cache as jit_cache
from pellucid.executors.native.jit import code as jit_code
from pellucid.executors.native.jit import signature as jit_signature
from pellucid.executors.native.jit import target as jit_target

ROOT = Path(__file__).resolve().parents[2]
X = np.linspace(-1, 1, 60, dtype="float32").reshape(20, 3)


def small(k=2.0):
    """x -> tanh(k x) and its sum over the samples."""
    x = pel.input("x", (3,))
    y = ops.tanh(x * k)
    return pel.Program([x], {"y": y, "sum": ops.batch_sum(y)})


def check(run, k=2.0, x=X):
    found = run({}, {"x": x})
    np.testing.assert_allclose(found["y"], np.tanh(x * k), rtol=1e-5)
    np.testing.assert_allclose(found["sum"], np.tanh(x * k).sum(0), rtol=1e-4, atol=1e-5)


# ---- the cache --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def compiled(monkeypatch):
    """How many programs LLVM has compiled."""
    count = []
    before = jit_code.compile_all
    monkeypatch.setattr(jit_code, "compile_all", lambda *a: (count.append(1), before(*a))[1])
    return count


def test_code_is_kept(folder, compiled):
    for _ in range(3):
        check(native.Run(small()))
    assert len(compiled) == 1 and len(list(folder.iterdir())) == 1
    check(native.Run(small(3.0)), 3.0)
    check(native.Run(small(), width=4))
    assert len(compiled) == 3 and len(list(folder.iterdir())) == 3


DAMAGES = {
    "empty": lambda data: b"",
    "cut off": lambda data: data[:-100],
    "a digest alone": lambda data: data[:32],
    "half a digest": lambda data: data[:16],
    "longer": lambda data: data + b"\0",
    "one bit in the code": lambda data: data[:500] + bytes([data[500] ^ 1]) + data[501:],
    "one bit in the digest": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "zeros": lambda data: bytes(len(data)),
    "text": lambda data: b"nothing of the kind",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_compiled_again(damage, folder, compiled):
    check(native.Run(small()))
    (entry,) = folder.iterdir()
    good = entry.read_bytes()
    entry.write_bytes(damage(good))
    check(native.Run(small()))
    assert len(compiled) == 2 and entry.read_bytes() == good
    check(native.Run(small()))
    assert len(compiled) == 2


def test_an_entry_that_cannot_be_read(folder, compiled, monkeypatch):
    check(native.Run(small()))
    (entry,) = folder.iterdir()
    entry.unlink()
    entry.mkdir()
    check(native.Run(small()))
    assert len(compiled) == 2


def test_no_entry_passes_for_another(folder, compiled):
    check(native.Run(small()))
    (first,) = folder.iterdir()
    check(native.Run(small(3.0)), 3.0)
    (second,) = set(folder.iterdir()) - {first}
    second.write_bytes(first.read_bytes())
    check(native.Run(small(3.0)), 3.0)
    assert len(compiled) == 3


@pytest.mark.parametrize(
    "change", [{"cpu": "x86-64"}, {"features": ""}, {"triple": "riscv64-linux-gnu"}, {"accumulators": 5}], ids=str
)
def test_the_code_of_another_machine_is_not_used(change, folder):
    h = jit_target.host()
    asked = []

    def modules():
        asked.append(1)
        return native.Run(small()).built.modules()

    jit_code.object_code("name", modules, h, 1)
    jit_code.object_code("name", modules, h, 1)
    assert len(asked) == 1
    with contextlib.suppress(Exception):  # there may be no compiler for it here
        jit_code.object_code("name", modules, replace(h, **change), 1)
    assert len(asked) == 2


def test_the_code_of_another_version_is_not_used(folder, compiled, monkeypatch):
    check(native.Run(small()))
    monkeypatch.setattr(jit_cache, "sources", lambda: "another")
    check(native.Run(small()))
    monkeypatch.setattr(jit_cache.llvmlite, "__version__", "0.0.1")
    check(native.Run(small()))
    assert len(compiled) == 3


def refuse(number):
    def function(*arguments, **options):
        raise OSError(number, os.strerror(number))

    return function


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT], ids=errno.errorcode.get)
@pytest.mark.parametrize(
    "place", ["os.replace", "os.fdopen", "tempfile.mkstemp", "os.utime", "Path.mkdir", "Path.read_bytes"]
)
def test_a_disk_that_is_full_or_read_only(place, number, folder, monkeypatch, compiled):
    owner, name = place.split(".")
    monkeypatch.setattr(getattr(jit_cache, owner), name, refuse(number))
    check(native.Run(small()))
    check(native.Run(small()))
    monkeypatch.undo()
    left = [p.name for p in folder.iterdir()] if folder.is_dir() else []
    assert not [name for name in left if name.endswith(".part")]


def test_a_disk_that_fills_up_while_writing(folder, monkeypatch):
    """Half of an entry is written before there is no more room."""
    before = os.fdopen

    class Full:
        def __init__(self, *arguments):
            self.file = before(*arguments)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.file.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(jit_cache.os, "fdopen", Full)
    check(native.Run(small()))
    assert list(folder.iterdir()) == []


def test_no_home(monkeypatch, tmp_path):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("PELLUCID_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jit_cache.Path, "home", no_home)
    check(native.Run(small()))


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM], ids=errno.errorcode.get)
def test_a_cache_that_can_only_be_read_is_used(number, folder, monkeypatch, compiled):
    check(native.Run(small()))
    for owner, name in ((jit_cache.os, "utime"), (jit_cache.os, "replace"), (jit_cache.tempfile, "mkstemp")):
        monkeypatch.setattr(owner, name, refuse(number))
    monkeypatch.setattr(jit_cache.Path, "mkdir", refuse(number))
    check(native.Run(small()))
    assert len(compiled) == 1
    check(native.Run(small(3.0)), 3.0)  # and what is not in it is compiled
    assert len(compiled) == 2


def test_a_cache_that_is_removed_meanwhile(folder, compiled, monkeypatch):
    check(native.Run(small()))
    shutil.rmtree(folder)
    check(native.Run(small()))
    read = jit_cache.Path.read_bytes

    def removed(path):
        data = read(path)
        shutil.rmtree(folder)
        return data

    monkeypatch.setattr(jit_cache.Path, "read_bytes", lambda path: removed(path) if path.suffix == ".o" else read(path))
    check(native.Run(small()))
    assert len(compiled) == 2  # what was read whole is used


def test_a_file_where_the_folder_should_be(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none"), Path("/dev/null/x")):
        monkeypatch.setenv("PELLUCID_CACHE", str(folder))
        check(native.Run(small()))
    assert (tmp_path / "file").read_text() == "mine"


def test_without_a_cache(monkeypatch, compiled, tmp_path):
    monkeypatch.setenv("PELLUCID_CACHE", "")
    monkeypatch.chdir(tmp_path)
    check(native.Run(small()))
    check(native.Run(small()))
    assert len(compiled) == 2 and not list(tmp_path.iterdir())


def test_the_cache_is_bounded(folder):
    """The entries that were used longest ago go first."""
    keys = [digit * 64 for digit in "0123456789"]
    for n, key in enumerate(keys):
        jit_cache.write_cache(key, bytes(1000))
        os.utime(folder / f"{key}.o", (n, n))
    assert jit_cache.read_cache(keys[0]) == bytes(1000)  # used now
    jit_cache.trim(folder, limit=4 * 1032)
    assert sorted(p.stem[0] for p in folder.iterdir()) == ["0", "7", "8", "9"]
    jit_cache.trim(folder, limit=0)
    assert not list(folder.iterdir())


def script(text: str, **environment) -> subprocess.Popen:
    code = textwrap.dedent(text)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=os.environ | environment, cwd=ROOT)  # fmt: skip


TRAIN = """
    import hashlib, numpy as np, pellucid as pel
    from pellucid import nn, optim
    x, y = pel.data.digits()
    net = nn.Sequential(nn.Dense(20), nn.relu, nn.Dense(10))
    model = pel.Model(net, loss="cross_entropy", optimizer=optim.Adam(0.01), executor="native")
    model.fit(x[:300], y[:300], epochs=2, verbose=0)
    model.predict(x[:1])
    print(hashlib.sha256(b"".join(a.tobytes() for a in model.state.values())).hexdigest())
"""


def test_several_processes_compile_the_same(folder):
    running = [script(TRAIN, PELLUCID_CACHE=str(folder)) for _ in range(4)]
    done = [p.communicate(timeout=120) for p in running]
    assert [p.returncode for p in running] == [0] * 4, done
    assert len({out for out, _ in done}) == 1 and done[0][0].strip()
    names = [p.name for p in folder.iterdir()]
    assert names and all(name.endswith(".o") for name in names)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    again = script(TRAIN, PELLUCID_CACHE=str(folder))
    assert again.communicate(timeout=120)[0] == done[0][0]
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


# ---- processes and threads --------------------------------------------------------------------------------------


def wide(threads):
    """A training step that several threads share."""
    x, w = pel.input("x", (40,)), pel.state("w", (40, 40))
    cost = ops.batch_mean(ops.sum(ops.tanh(ops.contract(w, x, "ij,j->i"))))
    return native.Run(pel.Program([x], {"cost": cost}, {w: w - 0.01 * pel.grad(cost, w)}), threads=threads)


def train(run, rows=500):
    state = {"w": np.full((40, 40), 0.01, "float32")}
    x = np.linspace(-1, 1, rows * 40, dtype="float32").reshape(rows, 40)
    run.steps(state, {"x": x}, None, 50)
    return state["w"].tobytes()


def in_child(function) -> bool:
    """Whether a forked child that calls the function ends well within a minute."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    for _ in range(600):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.1)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("threads", [1, 3])
def test_a_fork_after_use(threads):
    run, program = wide(threads), small(7.0)
    expected = train(run)

    def child():
        assert train(run) == expected
        assert train(wide(threads)) == expected
        check(native.Run(program, threads=threads), 7.0)

    assert in_child(child)
    assert train(run) == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_runs():
    run, stop, bits = wide(2), threading.Event(), set()

    def keep_running():
        while not stop.is_set():
            bits.add(train(run, 2000))

    thread = threading.Thread(target=keep_running)
    thread.start()
    try:
        for _ in range(5):
            assert in_child(lambda: (train(wide(2)), train(run)))
    finally:
        stop.set()
        thread.join()
    assert len(bits) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_compiles(monkeypatch):
    begun, slow = threading.Event(), jit_code.object_code

    def object_code(*arguments):
        if threading.current_thread() is thread:
            begun.set()
            time.sleep(0.3)
        return slow(*arguments)

    monkeypatch.setattr(jit_code, "object_code", object_code)
    run = wide(2)
    thread = threading.Thread(target=train, args=(run,))
    thread.start()
    begun.wait()
    assert in_child(lambda: train(run))
    thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_gives_programs_back():
    runs = [native.Run(small(7.0)) for _ in range(200)]
    for run in runs:
        check(run, 7.0)
    thread = threading.Thread(target=lambda: [runs.pop() for _ in range(200)])
    del run
    thread.start()
    while thread.is_alive():
        assert in_child(lambda: train(wide(2)))
    thread.join()


def test_several_threads_at_once():
    """Different programs, the same program, and the same Run, from eight threads."""
    one = native.Run(small(4.0))
    runs = {threads: wide(threads) for threads in (1, 2, 3)}
    expected = train(runs[1])

    def job(n):
        for k in range(3):
            x = X * (n + 1) + k
            check(one, 4.0, x)
            check(native.Run(small(10.0 + n % 3)), 10.0 + n % 3, x[: n % 5 + 1])
            assert train(runs[n % 3 + 1]) == expected
        return n

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(job, range(16))) == list(range(16))


def test_models_in_several_threads():
    x, y = pel.data.digits()

    def fitted(seed):
        net = nn.Sequential(nn.Dense(20), nn.relu, nn.Dropout(0.3), nn.Dense(10))
        model = Model(net, loss="cross_entropy", optimizer=optim.Adam(0.01), seed=seed % 2, executor="native")
        model.fit(x[:500], y[:500], epochs=3, verbose=0)
        return model.predict(x).tobytes()

    alone = [fitted(0), fitted(1)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(fitted, range(12))) == alone * 6


def test_a_program_compiles_once_for_several_threads(folder, compiled):
    run = native.Run(small(5.0))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: check(run, 5.0, X + n), range(8)))
    assert len(compiled) == 1


def test_more_threads_than_processors():
    assert len({train(wide(threads)) for threads in (1, 2, 7, 16)}) == 1


def test_threads_leave_the_callers_processors_alone():
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("needs sched_getaffinity")
    before = os.sched_getaffinity(0)
    for threads in (1, 2, len(before)):
        train(wide(threads))
        assert os.sched_getaffinity(0) == before


# ---- the mode of the processor ----------------------------------------------------------------------------------


def denormals() -> bool:
    """Whether this thread computes with numbers smaller than the smallest normal one."""
    tiny = np.full(64, np.finfo("float32").tiny, "float32")
    return bool((tiny * np.float32(0.5) > 0).all() and (tiny * np.float32(0.5) * np.float32(2) == tiny).all())


@pytest.mark.parametrize("threads", [1, 2])
def test_the_mode_of_denormal_numbers_is_put_back(threads):
    assert denormals()
    x, s = pel.input("x", ()), pel.state("s", ())
    run = native.Run(pel.Program([x], {"sum": ops.batch_sum(x * 0.5)}, {s: s * 0.5}), threads=threads)
    tiny = np.full(40, np.finfo("float32").tiny, "float32")
    assert run({"s": tiny[0]}, {"x": tiny})["sum"] == 0  # flushed while it runs
    assert denormals()
    run.steps({"s": tiny[0]}, {"x": tiny}, None, 7)
    assert denormals()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: (run.steps({"s": tiny[0]}, {"x": tiny}, None, 7), denormals())).result()[1]
    rows = pel.input("rows", (), "int32")
    failing = native.Run(pel.Program([rows], {"y": ops.take(ops.iota(3), rows)}))
    with pytest.raises(IndexError):
        failing({}, {"rows": np.array([5, 1])})
    assert denormals()


# ---- memory -----------------------------------------------------------------------------------------------------


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cycle(i: int) -> None:
    """Compile and run a program that was not there before."""
    n = i % 7 + 2
    x, w = pel.input("x", (n,)), pel.state("w", (3, n))
    y = x * (i + 0.5) if i % 3 else ops.tanh(ops.contract(w, x, "ij,j->i") * (i + 0.5))
    cost = ops.batch_sum(ops.sum(y))
    program = pel.Program([x], {"cost": cost}, {w: w - 0.01 * pel.grad(cost, w)})
    state, given = {"w": np.ones((3, n), "float32")}, {"x": np.ones((20, n), "float32")}
    native.Run(program)(state, given)


def growth(cycles: int, warm: int) -> float:
    for i in range(warm):
        cycle(i)
    before = resident()
    for i in range(cycles):
        cycle(warm + i)
    return resident() / before - 1


GROWTH = """
    import sys
    sys.path[:0] = ["tests/native", "tests/cases"]
    from test_native_machine import growth
    print(growth({}, {}))
"""
linux = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")


@linux
def test_programs_leave_no_memory_behind(monkeypatch):
    """In a process of its own, where nothing else has left holes to be filled."""
    process = script(GROWTH.format(300, 60), PELLUCID_CACHE="")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert float(out) < 0.03, f"300 programs took {float(out):.1%} more memory"


@linux
@pytest.mark.slow
def test_ten_thousand_programs_leave_no_memory_behind(tmp_path):
    process = script(GROWTH.format(10_000, 200), PELLUCID_CACHE=str(tmp_path))
    out, err = process.communicate(timeout=3600)
    assert process.returncode == 0, err
    assert float(out) < 0.05, f"10,000 programs took {float(out):.1%} more memory"


@linux
def test_runs_leave_no_memory_behind():
    run = wide(2)
    for _ in range(20):
        train(run, 200)
    before = resident()
    for _ in range(300):
        train(run, 200)
        check(native.Run(small()))
    assert resident() < before * 1.03 + 2e6


MAPPED = """
    import resource, sys
    import numpy as np, pellucid as pel
    from pellucid import nn, optim
    path, dtype, rows, columns, limit = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
    x = np.memmap(path, dtype, "r", shape=(rows, columns))
    y = (np.arange(rows) % 2).astype("int32")
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    net = nn.Sequential(nn.Dense(4), nn.tanh, nn.Dense(2))
    model = pel.Model(net, loss="cross_entropy", optimizer=optim.SGD(0.01), executor="native", threads=2)
    losses = model.fit(x, y, batch_size=256, epochs=1, verbose=0)["loss"]
    found = model.evaluate(x, y, batch_size=256)
    print(losses[0], found["loss"], model.predict(x[:1000]).mean())
"""


def mapped(path, dtype, rows, columns, limit):
    """Train on a memory map in a process that may have so many private bytes."""
    with open(path, "wb") as file:
        file.truncate(rows * columns * np.dtype(dtype).itemsize)  # sparse: it takes no room on the disk
    few = np.memmap(path, dtype, "r+", shape=(rows, columns))
    few[:: max(1, rows // 50)] = 1
    few.flush()
    del few
    command = [sys.executable, "-c", textwrap.dedent(MAPPED), path, dtype, rows, columns, limit]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=ROOT, env=dict(os.environ))
    assert done.returncode == 0, done.stderr[-2000:]
    numbers = [float(n) for n in done.stdout.split()]
    assert len(numbers) == 3 and np.isfinite(numbers).all() and numbers[0] == pytest.approx(np.log(2), abs=0.05)


@linux
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64", ">f4"])
def test_a_memory_map_is_not_read_whole(dtype, tmp_path):
    """600 MB in a process that may have 400 of its own."""
    columns = 512
    mapped(tmp_path / "x", dtype, 600_000_000 // columns // np.dtype(dtype).itemsize, columns, 400_000_000)


@linux
@pytest.mark.slow
def test_four_gigabytes_in_one(tmp_path):
    mapped(tmp_path / "x", "float32", 1_000_000, 1024, 1_000_000_000)


def test_the_cache_knows_every_file_that_writes_code(tmp_path):
    """A changed kernel must not find the code of yesterday's, in whatever folder of the executor it stands."""
    files = set(jit_signature.source_files())
    native_folder = jit_signature.PACKAGE / "executors" / "native"
    assert files >= set(native_folder.rglob("*.py")) and native_folder / "kernels" / "conv.py" in files
    assert jit_signature.PACKAGE / "ops" / "conv.py" in files
    copy = tmp_path / "pellucid"
    shutil.copytree(jit_signature.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = jit_signature.digest(jit_signature.source_files(copy))
    assert before == jit_signature.sources()
    for path in ("executors/native/kernels/conv.py", "executors/native/abi.py", "graph.py", "passes/simplify.py"):
        text = (copy / path).read_text()
        (copy / path).write_text(text + "\n")
        assert jit_signature.digest(jit_signature.source_files(copy)) != before, path
        (copy / path).write_text(text)
