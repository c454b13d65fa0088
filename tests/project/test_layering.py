"""Who may import whom: the rules of the house, read from the imports of every module."""

import ast
import functools
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "pellucid"

# room -> the rooms it may import; itself is understood. "" is `pellucid` itself, its __init__.py
GRAPH = {"errors", "graph", "program", "checks", "hints", "reprs", "listing", "formulas", "deprecation", "settings"}
OPS = GRAPH | {"ops"}
AUTODIFF = OPS | {"autodiff"}
ENGINE = OPS | {"passes", "executors"}
TRAIN = AUTODIFF | ENGINE | {"version", "nn", "optim", "schedules", "data", "metrics", "train"} | {"figures"}
TOP = (
    TRAIN
    | {"", "decode", "neurons", "tabular", "features", "report", "sklearn", "selection", "ensembles"}
    | {"recipes"}
)
WINGS = {"explain", "plot", "playground", "onnx"}
MAY_IMPORT = {
    "version": set(),
    "errors": set(),
    "graph": {"errors"},
    "_moved": set(),
    "program": {"errors", "graph", "listing"},
    "deprecation": set(),
    "settings": {"errors"},
    "hints": set(),
    "checks": {"errors", "hints"},
    "reprs": set(),
    "formulas": {"graph", "reprs"},
    "listing": {"graph", "program", "reprs", "formulas"},
    "figures": set(),
    "ops": GRAPH,
    "autodiff": OPS,
    "passes": OPS,
    "executors": OPS | {"passes"},
    "nn": AUTODIFF,
    "schedules": AUTODIFF,
    "optim": AUTODIFF | {"schedules"},
    "data": OPS,
    "metrics": OPS | {"nn", "data"},
    "train": TRAIN,
    "decode": GRAPH,
    "": TRAIN
    | {"decode", "neurons", "tabular", "features", "sklearn", "stopping", "selection", "ensembles"}
    | {"_moved"},
    "stopping": {"train"},
    "neurons": TRAIN | {"report"},
    "features": TRAIN,
    "tabular": TRAIN,
    "report": set(),
    "recipes": TRAIN,
    "ensembles": TRAIN | {"report"},
    "selection": TRAIN | {"report"},
    "sklearn": TOP,
    **{wing: TOP | WINGS for wing in WINGS},
    "cli": TOP | WINGS,
    "__main__": {"cli"},
}

# another package -> the files and folders that may import it; True: at the top too, False: only in functions
ONLY = {
    "llvmlite": {"executors/native": True},
    "jax": {"executors/jax.py": True},
    "jaxlib": {"executors/jax.py": True},
    "torch": {},
    "tensorflow": {},
    "sklearn": {
        "": False,
        "sklearn": True,
        "neurons.py": True,
        "features.py": True,
        "tabular": True,
        "selection": True,
    },
    "matplotlib": {"": False, "plot": True},
    "PIL": {"": False},
    "pandas": {"": False},
    "scipy": {"": False},
    "tokenizers": {"": False},
    "rich": {"": False, "cli": True, "cli.py": True},
    "click": {"cli": True, "cli.py": True},
}
NEVER_NUMPY = {"nn", "optim", "schedules"}

# rooms within executors/native, from the ground up: each may import those on the lines above its own
NATIVE = "executors/native"
FLOORS = [{"abi", "llvm"}, {"plan", "jit"}, {"codegen"}, {"kernels"}, {"build"}, {"runtime"}, {"__init__"}]


class Import(NamedTuple):
    line: int
    module: str  # absolute
    lazy: bool  # inside a function, or for type checkers only
    typing: bool  # for type checkers only


def imports(path: Path, package: Path) -> Iterator[Import]:
    """Every module that a file imports; `from a import b` counts as a.b where that is a file or folder."""
    here = [package.name, *path.relative_to(package).with_suffix("").parts]
    known = files_of(package)

    def walk(node: ast.AST, lazy: bool, typing: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(child.lineno, alias.name, lazy, typing) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = here[: -child.level] if child.level else []
                base += child.module.split(".") if child.module else []
                for alias in child.names:
                    module = ".".join([*base, alias.name])
                    yield Import(child.lineno, module if module in known else ".".join(base), lazy, typing)
            else:
                function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                checking = typing or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
                yield from walk(child, lazy or function or checking, checking)

    yield from walk(ast.parse(path.read_text(encoding="utf-8"), str(path)), False, False)


@functools.cache
def files_of(package: Path) -> dict[str, Path]:
    """The files of a package by the names of their modules."""
    names = {path: path.relative_to(package.parent).with_suffix("").as_posix().replace("/", ".")
             for path in sorted(package.glob("**/*.py"))}  # fmt: skip
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


def violations(package: Path) -> list[str]:
    """Every import that breaks a rule, as "file:line: what"."""
    found = []
    for path in sorted(package.glob("**/*.py")):
        inside = path.relative_to(package).as_posix()
        room = inside.split("/")[0].removesuffix(".py").replace("__init__", "")
        if room not in MAY_IMPORT:
            found.append(f"{inside}: room {room!r} has no place in MAY_IMPORT yet")
            continue
        for line, module, lazy, typing in imports(path, package):
            top, _, rest = module.partition(".")
            if not typing and (arrow := upwards(inside, rest)):
                found.append(f"{inside}:{line}: {arrow}")
            if top == package.name:
                other = rest.split(".")[0]
                if room != "executors" and rest.startswith("executors.native."):
                    found.append(f"{inside}:{line}: {room or package.name} reaches into {NATIVE}; ask executors")
                elif other not in MAY_IMPORT[room] | {room}:
                    found.append(f"{inside}:{line}: {room or package.name} imports {other or package.name}")
            elif top == "numpy" and room in NEVER_NUMPY:
                found.append(f"{inside}:{line}: {room} imports numpy")
            elif top in ONLY:
                places = [
                    at_top for place, at_top in ONLY[top].items() if not place or (inside + "/").startswith(place + "/")
                ]
                if not places:
                    found.append(f"{inside}:{line}: {top} is only for {', '.join(ONLY[top]) or 'nobody'}")
                elif not lazy and not any(places):
                    found.append(
                        f"{inside}:{line}: {top} is imported at the top; do it inside the function that needs it"
                    )
    return found


def upwards(inside: str, module: str) -> str:
    """An import from a lower room of the native executor of a higher one, or of one beside it, in words."""
    rooms = []
    for path in (inside.removesuffix(".py"), module.replace(".", "/")):
        if path != NATIVE and not path.startswith(NATIVE + "/"):
            return ""
        rooms.append(path.removeprefix(NATIVE).strip("/").split("/")[0] or "__init__")
    room, other = rooms
    if unknown := {room, other} - set().union(*FLOORS):
        return f"room {unknown.pop()!r} of {NATIVE} has no place in FLOORS yet"
    floor, below = (next(i for i, rooms in enumerate(FLOORS) if name in rooms) for name in (room, other))
    return "" if room == other or below < floor else f"{room} imports {other}"


def test_rules_hold():
    assert violations(PACKAGE) == []


def circle(package: Path) -> list[str]:
    """A circle of files that import each other, within functions too, but for type checkers; [] if there is none."""

    arrows = {
        own: {i.module for i in imports(path, package) if not i.typing and i.module in files_of(package)} - {own}
        for own, path in files_of(package).items()
    }
    try:
        graphlib.TopologicalSorter(arrows).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_no_circle_of_imports():
    assert circle(PACKAGE) == []


@pytest.mark.parametrize(
    "files",
    [
        {"a.py": "from .b import f", "b.py": "from .a import g"},
        {"a.py": "from .b import f", "b.py": "def f():\n    from .a import g"},
        {"a.py": "import pellucid.b", "b.py": "f = lambda: 0\nif f:\n    from . import c", "c.py": "from .a import g"},
        {"nn/__init__.py": "from .dense import Dense", "nn/dense.py": "from .. import nn"},
        {"nn/a.py": "from . import b", "nn/b.py": "class B:\n    def f(self):\n        from ..nn.a import g"},
    ],
)
def test_planted_circle_is_caught(files, tmp_path):
    assert len(set(circle(plant_all(tmp_path, files)))) == len(files)


def test_imports_for_type_checkers_make_no_circle(tmp_path):
    checked = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import A"
    assert circle(plant_all(tmp_path, {"a.py": "from .b import B", "b.py": checked})) == []


def test_imports_are_found():
    """A checker that reads nothing would find nothing."""
    found = {i.module for i in imports(PACKAGE / "autodiff.py", PACKAGE)}
    assert {"pellucid.graph", "pellucid.ops.movement"} <= found


PLANTED = [
    ("graph.py", "from .ops import exp", "graph imports ops"),
    ("ops/elementwise.py", "def f():\n    from ..executors import reference", "ops imports executors"),
    ("ops/__init__.py", "from ..executors.reference import compile", "ops imports executors"),
    ("ops/__init__.py", "from .. import executors", "ops imports executors"),
    ("ops/exp.py", "import pellucid.executors.reference", "ops imports executors"),
    ("autodiff.py", "from .nn import Dense", "autodiff imports nn"),
    ("nn/dense.py", "import numpy as np", "nn imports numpy"),
    ("nn/dense.py", "def f():\n    from numpy.random import default_rng", "nn imports numpy"),
    ("nn/dense.py", "from ..optim import SGD", "nn imports optim"),
    ("optim.py", "import numpy", "optim imports numpy"),
    ("executors/native/lanes.py", "from ...nn import Dense", "executors imports nn"),
    ("executors/reference.py", "import llvmlite", "llvmlite is only for executors/native"),
    ("executors/reference.py", "def f():\n    import jax.numpy", "jax is only for executors/jax.py"),
    ("executors/native2.py", "import llvmlite", "llvmlite is only for executors/native"),
    ("train/model.py", "def f():\n    from ..plot import curves", "train imports plot"),
    ("train/model.py", "from .. import cli", "train imports cli"),
    ("train/model.py", "from pellucid import grad", "train imports pellucid"),
    ("__init__.py", "from . import playground", "pellucid imports playground"),
    ("data/builtin.py", "from sklearn.datasets import load_digits", "sklearn is imported at the top"),
    ("data/builtin.py", "try:\n    import sklearn\nexcept ImportError:\n    pass", "sklearn is imported at the top"),
    ("train/history.py", "import matplotlib.pyplot", "matplotlib is imported at the top"),
    ("train/model.py", "import torch", "torch is only for nobody"),
    ("attic.py", "", "room 'attic' has no place"),
    ("cli/cache.py", "from ..executors.native.jit import cache", "cli reaches into executors/native"),
    ("cli/cache.py", "from ..executors.native import jit", "cli reaches into executors/native"),
    ("train/a.py", "def f():\n    from ..executors.native.runtime.limits import available", "train reaches into"),
    ("__init__.py", "import pellucid.executors.native.abi", "pellucid reaches into executors/native"),
    ("executors/native/llvm/ir.py", "from ..plan import memory", "llvm imports plan"),
    ("executors/native/jit/code.py", "from ..plan.memory import Memory", "jit imports plan"),
    ("executors/native/codegen/nest.py", "def f():\n    from .. import kernels", "codegen imports kernels"),
    ("executors/native/kernels/dot.py", "from ..build.task import Task", "kernels imports build"),
    ("executors/native/plan/planner.py", "import pellucid.executors.native.runtime.run", "plan imports runtime"),
    ("executors/native/build/task.py", "from ... import native", "build imports __init__"),
    ("executors/native/attic/nest.py", "from ..llvm import ir", "room 'attic' of executors/native has no place"),
]


@pytest.mark.parametrize("file, code, expected", PLANTED, ids=lambda text: text.split("\n")[-1].strip() or "empty")
def test_planted_violation_is_caught(file, code, expected, tmp_path):
    package = plant(tmp_path, file, code)
    (found,) = violations(package)
    assert found.startswith(file) and expected in found


@pytest.mark.parametrize(
    "file, code",
    [
        ("autodiff.py", "from .graph import Value\nfrom .ops.movement import fill\nimport numpy as np"),
        ("nn/dense.py", "from .layer import Layer\nfrom ..ops import exp\nfrom .. import ops\nfrom . import layer"),
        (
            "executors/native/lanes.py",
            "import llvmlite.ir\nfrom ...graph import Value\nfrom ..reference import compile",
        ),
        (
            "executors/native/kernels/dot.py",
            "from ..codegen import nest\nfrom ..llvm import ir\nfrom . import take",
        ),
        (
            "executors/native/runtime/run.py",
            "from ..build import task\nfrom .. import abi\nfrom ... import reference",
        ),
        ("executors/jax.py", "import jax"),
        ("executors/cache.py", "from .native.jit.cache import entries"),
        ("cli/cache.py", "from ..executors import cache, native"),
        ("sklearn/mlp.py", "from sklearn.base import BaseEstimator\nimport pellucid\nfrom ..train import Model"),
        ("data/builtin.py", "def f():\n    from sklearn.datasets import load_digits"),
        ("data/builtin.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas"),
        ("cli.py", "import click\nfrom .playground import serve\nfrom . import data"),
    ],
)
def test_what_is_allowed_passes(file, code, tmp_path):
    assert violations(plant(tmp_path, file, code)) == []


def plant(folder: Path, file: str, code: str) -> Path:
    """An empty package with the rooms of the house and one file with code in it."""
    rooms = {*MAY_IMPORT} - {"", "__main__"} - {Path(file).parts[0].removesuffix(".py")}
    native = {f"{NATIVE}/{room}".removesuffix("/__init__") for floor in FLOORS for room in floor}
    return plant_all(folder, {f"{room}/__init__.py": "" for room in rooms | native} | {file: code})


def plant_all(folder: Path, files: dict[str, str]) -> Path:
    package = folder / "pellucid"
    for file, code in files.items():
        (package / file).parent.mkdir(parents=True, exist_ok=True)
        (package / file).write_text(code)
    return package


def test_import_is_light():
    """`import pellucid` loads none of the slow packages; `import pellucid.data` neither."""
    heavy = [
        "sklearn",
        "scipy",
        "matplotlib",
        "rich",
        "click",
        "pandas",
        "llvmlite",
        "PIL",
        "tokenizers",
        "jax",
        "torch",
    ]
    code = f"import sys, pellucid, pellucid.data; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


PRIVATE = re.compile(r"\b(model|m|first|own|model_)\._[a-z]\w*|\bself\.model\._[a-z]\w*")


def private_reads(package: Path) -> list[str]:
    """Lines that read a private attribute of a model, or an inner file of the native executor from outside."""
    found = []
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package).as_posix()
        for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if PRIVATE.search(line) and not inside.startswith(("nn/", "executors/", "ops/")):
                found.append(f"{inside}:{n}: {line.strip()}")
        if not inside.startswith("executors/"):
            found += [f"{inside}:{line}: {module}" for line, module, *_ in imports(path, package)
                      if module.startswith(f"{package.name}.executors.native")]  # fmt: skip
    return found


def test_nobody_reads_what_is_private():
    assert private_reads(PACKAGE) == []


@pytest.mark.parametrize(
    "file, code",
    [
        ("train/loop.py", "def f(model):\n    return model._secret"),
        ("cli.py", "def f():\n    from .executors.native.jit import cache"),
    ],
    ids=["a model's attribute", "a file of the engine"],
)
def test_private_reads_are_caught(file, code, tmp_path):
    assert len(private_reads(plant(tmp_path, file, code))) == 1
