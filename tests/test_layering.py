"""Who may import whom: the rules of the house, read from the imports of every module."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "pellucid"

# room -> the rooms it may import; itself is understood. "" is `pellucid` itself, its __init__.py
GRAPH = {"graph", "program", "checks", "hints", "reprs", "listing", "formulas", "deprecation"}
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
    "_moved": set(),
    "graph": set(),
    "program": {"graph", "listing"},
    "deprecation": set(),
    "hints": set(),
    "checks": {"graph", "hints"},
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


class Import(NamedTuple):
    line: int
    module: str  # absolute
    lazy: bool  # inside a function, or for type checkers only


def imports(path: Path, package: Path) -> Iterator[Import]:
    """Every module that a file imports; `from a import b` counts as a.b where b is a room."""
    here = [package.name, *path.relative_to(package).with_suffix("").parts]
    rooms = rooms_of(package)

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(child.lineno, alias.name, lazy) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = here[: -child.level] if child.level else []
                base += child.module.split(".") if child.module else []
                for alias in child.names:
                    room = base == [package.name] and alias.name in rooms
                    yield Import(child.lineno, ".".join([*base, alias.name] if room else base), lazy)
            else:
                function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                yield from walk(child, lazy or function or typing)

    yield from walk(ast.parse(path.read_text(encoding="utf-8"), str(path)), False)


def rooms_of(package: Path) -> set[str]:
    return {
        path.stem for path in package.iterdir() if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))
    }


def violations(package: Path) -> list[str]:
    """Every import that breaks a rule, as "file:line: what"."""
    found = []
    for path in sorted(package.glob("**/*.py")):
        inside = path.relative_to(package).as_posix()
        room = inside.split("/")[0].removesuffix(".py").replace("__init__", "")
        if room not in MAY_IMPORT:
            found.append(f"{inside}: room {room!r} has no place in MAY_IMPORT yet")
            continue
        for line, module, lazy in imports(path, package):
            top, _, rest = module.partition(".")
            if top == package.name:
                other = rest.split(".")[0]
                if other not in MAY_IMPORT[room] | {room}:
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


def test_rules_hold():
    assert violations(PACKAGE) == []


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
        ("executors/jax.py", "import jax"),
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
    package = folder / "pellucid"
    for room in sorted({*MAY_IMPORT} - {"", "__main__"} - {Path(file).parts[0].removesuffix(".py")}):
        (package / room).mkdir(parents=True)
        (package / room / "__init__.py").touch()
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
