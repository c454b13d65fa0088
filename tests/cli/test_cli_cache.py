"""`pellucid cache`: what it shows of the machine code on disk, and what it deletes."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import pellucid as pel
from pellucid import executors
from pellucid.cli import cli
from pellucid.executors.native.jit import cache as jit_cache


def ok(*args) -> str:
    result = CliRunner().invoke(cli, ["cache", *args])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A cache of its own, named with PELLUCID_CACHE; not there yet."""
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def compile_something(power: int) -> None:
    x = pel.input("x", (3,))
    y = x
    for _ in range(power):
        y = y * x
    pel.executors.get("native").compile(pel.Program([x], {"y": y}))({}, {"x": np.ones((2, 3))})


def key(digit: str) -> str:
    return digit * 64


def lines(text: str) -> dict[str, str]:
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in text.splitlines()}


def test_what_it_shows(folder):
    compile_something(1)
    compile_something(2)
    found = sorted(folder.iterdir())
    os.utime(found[0], (0, time.mktime((2001, 2, 3, 4, 5, 0, 0, 0, -1))))
    shown = lines(ok())
    assert shown["folder"] == str(folder)
    assert shown["entries"] == f"2, {sum(p.stat().st_size for p in found):,} bytes"
    assert shown["oldest"] == "last used 2001-02-03 04:05"
    assert shown["newest"] == time.strftime("last used %Y-%m-%d %H:%M", time.localtime(found[1].stat().st_mtime))
    assert shown["limit"].startswith(f"{jit_cache.CACHE_BYTES:,} bytes")
    assert sorted(folder.iterdir()) == found  # looking changes nothing


def test_clear(folder):
    compile_something(1)
    jit_cache.write_cache(key("a"), b"code")
    ours = [*folder.iterdir(), folder / "pellucid-abc.part"]
    ours[-1].write_bytes(b"left by a process that was killed")
    others = ["notes.txt", "main.o", "part", "x.part", f"{key('A')}.o", f"{key('a')}.o.bak", f"{key('b')[:-1]}.o"]
    for name in others:
        (folder / name).write_text("mine")
    freed = sum(p.stat().st_size for p in ours)
    assert ok("--clear") == f"2 entries deleted from {folder}, {freed:,} bytes\n"
    assert sorted(p.name for p in folder.iterdir()) == sorted(others)
    assert ok("--clear") == f"0 entries deleted from {folder}, 0 bytes\n"
    compile_something(1)  # works as before, and is kept again
    assert lines(ok())["entries"].startswith("1, ")


def test_trimming_leaves_other_files(folder):
    """The limit on the cache's size is none for object files of somebody else."""
    folder.mkdir()
    (folder / "main.o").write_bytes(b"x" * 1000)
    os.utime(folder / "main.o", (0, 0))
    jit_cache.write_cache(key("a"), b"code" * 100)
    jit_cache.trim(folder, limit=0)
    assert [p.name for p in folder.iterdir()] == ["main.o"]


def test_not_there_yet(folder):
    shown = lines(ok())
    assert shown["folder"] == f"{folder} (not there yet: the first program that is compiled makes it)"
    assert shown["entries"] == "0, 0 bytes" and "oldest" not in shown
    assert ok("--clear") == f"0 entries deleted from {folder}, 0 bytes\n"
    assert not folder.exists()


def test_a_file_in_its_place(folder):
    folder.write_text("mine")
    assert "is a file, so nothing is kept" in ok()
    assert "0 entries" in ok("--clear")
    compile_something(1)
    assert folder.read_text() == "mine"


@pytest.mark.parametrize("args", [(), ("--clear",)])
def test_none(args, monkeypatch):
    monkeypatch.setenv("PELLUCID_CACHE", "")
    assert ok(*args) == "no cache: PELLUCID_CACHE is empty, so programs are compiled anew in each process\n"


@pytest.mark.parametrize("args", [(), ("--clear",)])
def test_no_home(args, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("PELLUCID_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(jit_cache.Path, "home", no_home)
    assert ok(*args) == "no cache: there is no home folder; PELLUCID_CACHE may name another\n"


def test_the_usual_place(tmp_path, monkeypatch):
    monkeypatch.delenv("PELLUCID_CACHE", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert lines(ok())["folder"].startswith(str(tmp_path / "pellucid"))


def test_read_only(folder, monkeypatch):
    jit_cache.write_cache(key("a"), b"code")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "cannot be written to, so nothing new is kept" in ok()

    def refused(path, missing_ok=False):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(jit_cache.Path, "unlink", refused)
    result = CliRunner().invoke(cli, ["cache", "--clear"])
    assert result.exit_code == 2
    assert result.stderr == f"error: {folder / key('a')}.o: Permission denied\n"


def test_a_formula_that_changed(folder, monkeypatch):
    """An operation of the user's, edited under the same name, is not the one in the cache."""
    from pellucid import graph
    from pellucid.ops.elementwise import elementwise

    x = pel.input("x", (3,))
    for k in (2.0, 3.0, 2.0):
        monkeypatch.setattr(graph, "PRIMITIVES", dict(graph.PRIMITIVES))
        graph.PRIMITIVES.pop("times_k", None)
        times_k = elementwise("times_k", lambda xp, x, k=k: x * k, lambda g, y, x, k=k: (g * k,), samples=[(1.0,)])
        run = pel.executors.get("native").compile(pel.Program([x], {"y": times_k(x)}))
        np.testing.assert_array_equal(run({}, {"x": np.ones((2, 3))})["y"], np.full((2, 3), k))
    assert len([*folder.iterdir()]) == 2  # the third was there


def test_help_and_version():
    assert "pellucid cache --clear" in CliRunner().invoke(cli, ["cache", "--help"]).stdout
    done = subprocess.run(
        [sys.executable, "-c", "from pellucid.cli import main; main()", "--version"], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == (f"pellucid, version {pel.__version__}\n", "")
    assert re.search(r"^  cache ", CliRunner().invoke(cli, ["--help"]).stdout, re.MULTILINE)


def test_executors_offer_the_cache(folder):
    assert executors.cache.folder() == folder
    assert executors.cache.entries(folder) == []
    folder.mkdir()
    for i, size in enumerate((3, 5, 7)):
        entry = folder / f"{i:064x}.o"
        entry.write_bytes(b"x" * size)
        os.utime(entry, (i, i))
    assert [size for _, size, _ in executors.cache.entries(folder)] == [3, 5, 7]
    executors.cache.trim(folder, limit=12)
    assert [size for _, size, _ in executors.cache.entries(folder)] == [5, 7]
    assert executors.cache.limit() > 1 << 20
    assert executors.cache.processor()


def test_llvm_is_loaded_when_the_cache_is_asked():
    code = """import sys
from pellucid import executors
executors.available_threads(), executors.cache.folder
assert "llvmlite" not in sys.modules
executors.cache.limit()
assert "llvmlite" in sys.modules"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
