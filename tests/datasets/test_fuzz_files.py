"""Damaged and generated files: whatever is in them, readers read them or refuse them by an error of ours."""

import os
import signal

import fuzz_files
import pytest
from fuzz_files import Reader

import pellucid as pel

READERS = [reader.name for reader in fuzz_files.READERS]


def report(found):
    return "\n".join(f"{f.reader}, input {f.number}: {f.what}" for f in found[:20])


@pytest.mark.parametrize("name", READERS)
def test_some_of_each_reader(name):
    found, table = fuzz_files.run(60, seed=1, only=name)
    assert not found, report(found)
    n, refused, _ = table[name]
    assert n == 60 and refused > 5


@pytest.mark.slow
def test_many(request):
    """As many as PELLUCID_FUZZ says; how many of each reader is printed with -s."""
    count = int(os.environ.get("PELLUCID_FUZZ", 100_000))
    found, table = fuzz_files.run(count, seed=2, workers=os.cpu_count() or 1)
    for name, (n, refused, seconds) in table.items():
        print(f"{name}: {n} inputs, {refused} refused, {seconds:.0f} s")
    assert sum(n for n, _, _ in table.values()) == count
    assert not found, report(found)


def read_badly(path):
    """What each of four bytes does shows that the harness finds it."""
    do = path.read_bytes()
    if do == b"x":
        raise ZeroDivisionError
    if do == b"s":
        os.kill(os.getpid(), signal.SIGSEGV)
    while do == b"h":
        pass
    if do == b"m":
        return b"x" * (200 << 20)
    raise pel.DataError("right")


BAD = {"x": "ZeroDivisionError", "s": "the process ended with -11", "h": "hangs", "m": "memory", "c": None}


@pytest.mark.parametrize("do, what", BAD.items())
def test_the_harness_finds(do, what, monkeypatch):
    """Each of six inputs but the one that does harm is read; the others behind it too."""
    monkeypatch.setattr(fuzz_files, "HANG", 1.0)
    inputs = [b"a", b"b", do.encode(), b"d", b"e", b"f"]
    reader = Reader("bad", "b", lambda: inputs, read_badly, fuzz_files.bytewise)
    monkeypatch.setattr(fuzz_files, "READERS", [reader])
    monkeypatch.setattr(fuzz_files, "made", lambda reader, seed, i, valid: valid[i])
    found, table = fuzz_files.run(6, seed=0)
    assert [f.number for f in found] == [2] * (what is not None) and all(f.what.startswith(what) for f in found)
    assert table["bad"][0] == 6


def test_the_harness_finds_a_changed_file_that_is_read(monkeypatch):
    reader = Reader("sealed", "s", lambda: [b"whole"], lambda path: None, fuzz_files.bytewise, sealed=True)
    monkeypatch.setattr(fuzz_files, "READERS", [reader])
    found, _ = fuzz_files.run(50, seed=0)
    assert len(found) > 40 and {f.what for f in found} == {"a changed file was read"}


def test_an_input_can_be_made_again():
    reader = fuzz_files.READERS[0]
    valid = reader.valid()
    assert fuzz_files.made(reader, 3, 17, valid) == fuzz_files.made(reader, 3, 17, valid)
    assert fuzz_files.made(reader, 3, 17, valid) != fuzz_files.made(reader, 3, 18, valid)
