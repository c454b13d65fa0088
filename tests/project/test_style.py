"""House rules on files: their length, no path of one machine, a docstring on every public name."""

import inspect
import subprocess
from pathlib import Path

import pytest

import pellucid

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").glob("**/*.py"))
LONGEST = 400
LONG: dict[str, str] = {}  # path below src/pellucid -> why it is still one room

# written in two parts, so that this file does not contain them
MACHINE = ["/wo" + "rk/", "/tmp/" + "venv", "/ro" + "ot/"]
SUFFIXES = {".py", ".md", ".toml", ".txt", ".cfg", ".yml", ".yaml", ".json", ".ipynb", ".html", ".js", ".css", ""}


def files() -> list[Path]:
    """The files git knows or would add; without git (a copy of the files), all but hidden and built ones."""
    if (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    rooms = ("src", "tests", "docs", "examples", "benchmarks", ".ci")
    below = [path for room in rooms for path in (ROOT / room).rglob("*") if "__pycache__" not in path.parts]
    return [path for path in [*ROOT.iterdir(), *below] if path.is_file()]


def test_length():
    lengths = {
        path.relative_to(ROOT / "src/pellucid").as_posix(): len(path.read_text().splitlines()) for path in SOURCES
    }
    too_long = {name: n for name, n in lengths.items() if n > LONGEST and not LONG.get(name)}
    assert not too_long, f"over {LONGEST} lines: split them, or say in LONG why each is one room"
    assert not {name for name in LONG if lengths.get(name, 0) <= LONGEST}, "in LONG without need"


def test_no_path_of_this_machine():
    read = [path for path in files() if path.suffix in SUFFIXES]
    assert len(read) > 20
    found = [
        f"{path.relative_to(ROOT)}:{n}: {line.strip()}"
        for path in read
        for n, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if any(place in line for place in MACHINE)
    ]
    assert not found


def undocumented(module) -> list[str]:
    """Public names without a docstring (what a dataclass writes there by itself, its signature, is none)."""
    found = []
    for name in module.__all__:
        value = getattr(module, name)
        doc = inspect.getdoc(value) or ""
        if not doc.strip() or doc.startswith(f"{name}("):
            found.append(name)
    return found


ROOMS = ["data", "metrics", "nn", "optim", "selection", "tabular"]


@pytest.mark.parametrize("name", ["pellucid", *(f"pellucid.{room}" for room in ROOMS)])
def test_public_names_have_docstrings(name):
    module = pytest.importorskip(name) if name != "pellucid" else pellucid
    if not hasattr(module, "__all__"):
        pytest.skip(f"{name} has no __all__")
    assert not undocumented(module)


def test_an_undocumented_name_is_caught():
    import types
    from dataclasses import dataclass

    @dataclass
    class Bare:
        x: int

    module = types.SimpleNamespace(__all__=["Bare", "f", "documented"], Bare=Bare, f=lambda: 0, documented=undocumented)
    assert undocumented(module) == ["Bare", "f"]
