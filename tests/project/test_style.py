"""House rules on files: their length, no path of one machine, a docstring on every public name."""

import ast
import inspect
import subprocess
from collections.abc import Iterator
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


MOST_LINES = 80
DEEPEST = 4
# functions that are longer or nested deeper today: file.name -> lines, depth; entries are taken out, never put in
LONG_FUNCTIONS: dict[str, tuple[int, int]] = {}
NESTED = (ast.For, ast.While, ast.If, ast.With, ast.Try, ast.Match, ast.FunctionDef, ast.AsyncFunctionDef)


def functions(node: ast.AST, within: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function below a node, with its name after those of the classes and functions around it."""
    for child in ast.iter_child_nodes(node):
        name = within
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = f"{within}{child.name}."
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield name[:-1], child
        yield from functions(child, name)


def depth(node: ast.AST) -> int:
    """How deep blocks are nested below a node; an elif is as deep as its if."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, depth(child) + (isinstance(child, NESTED) and not is_elif))
    return deepest


def measured(source: str, file: str) -> dict[str, tuple[int, int]]:
    """The lines and the depth of each function of a file."""
    found = functions(ast.parse(source))
    return {f"{file}.{name}": (node.end_lineno - node.lineno + 1, depth(node)) for name, node in found}


def test_functions_are_short_and_flat():
    found = {}
    for path in SOURCES:
        file = path.relative_to(ROOT / "src/pellucid").with_suffix("").as_posix()
        found |= measured(path.read_text(encoding="utf-8"), file)
    over = {name: size for name, size in found.items() if size[0] > MOST_LINES or size[1] > DEEPEST}
    grown = {
        name: size
        for name, size in over.items()
        if name not in LONG_FUNCTIONS or any(n > m for n, m in zip(size, LONG_FUNCTIONS[name], strict=True))
    }
    assert not grown, f"over {MOST_LINES} lines or nested deeper than {DEEPEST}: (lines, depth)"
    assert not LONG_FUNCTIONS.keys() - over.keys(), "in LONG_FUNCTIONS without need: take them out"


def test_long_and_deep_functions_are_caught():
    source = """class A:
    def f(self):
        if self:
            pass
        elif not self:
            for i in self:
                pass

        def g():
            with self:
                while self:
                    return 1
"""
    assert measured(source, "a") == {"a.A.f": (11, 3), "a.A.f.g": (4, 2)}


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
