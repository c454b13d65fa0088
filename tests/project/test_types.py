"""The package's types, as a user's type checker sees them: by mypy and by pyright, whichever are installed."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pellucid as pel

TESTS = Path(__file__).resolve().parents[1]
TYPED, SOURCE = TESTS / "typed", TESTS.parent / "src"
WRONG = [n for n, line in enumerate((TYPED / "mistakes.py").read_text().splitlines(), 1) if "# wrong" in line]

CONFIG = """[mypy]
strict = true
allow_untyped_calls = true
follow_imports = silent
ignore_missing_imports = true
"""


def errors_by_mypy(folder: Path, cache: Path) -> dict[str, dict[int, str]]:
    (folder / "mypy.ini").write_text(CONFIG)
    command = [sys.executable, "-m", "mypy", "--config-file", str(folder / "mypy.ini"), "--cache-dir", str(cache),
               "--no-error-summary", "--hide-error-context", *map(str, sorted(TYPED.glob("*.py")))]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600,
                          env=os.environ | {"MYPYPATH": str(SOURCE)})  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: dict[str, dict[int, str]] = {path.name: {} for path in TYPED.glob("*.py")}
    for line in done.stdout.splitlines():
        if (said := re.match(r"(.*?):(\d+): error: (.*)", line)) is not None:
            found.setdefault(Path(said[1]).name, {})[int(said[2])] = said[3]
    return found


def errors_by_pyright(command: str, folder: Path) -> dict[str, dict[int, str]]:
    options = {"typeCheckingMode": "basic", "include": [str(TYPED)], "extraPaths": [str(SOURCE)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(options))
    done = subprocess.run([command, "-p", str(folder), "--outputjson", "--pythonpath", sys.executable],
                          capture_output=True, text=True, timeout=600)  # fmt: skip
    found: dict[str, dict[int, str]] = {path.name: {} for path in TYPED.glob("*.py")}
    for one in json.loads(done.stdout)["generalDiagnostics"]:
        if one["severity"] == "error":
            found[Path(one["file"]).name][one["range"]["start"]["line"] + 1] = one["message"]
    return found


@pytest.fixture(scope="module")
def checked(request, tmp_path_factory):
    """What a checker says, asked once: {file: {line: message}}."""
    folder = tmp_path_factory.mktemp("types")
    if request.param == "mypy":
        pytest.importorskip("mypy", reason="mypy is not installed: pip install 'pellucid[test]'")
        return errors_by_mypy(folder, Path(request.config.cache.mkdir("mypy")))
    command = shutil.which(request.param, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if command is None:
        pytest.skip(f"{request.param} is not installed")
    return errors_by_pyright(command, folder)


each_checker = pytest.mark.parametrize("checked", ["mypy", "basedpyright", "pyright"], indirect=True)


@each_checker
def test_a_project_of_a_users_has_no_errors(checked):
    assert checked["project.py"] == {}


@each_checker
def test_mistakes_are_found(checked):
    assert sorted(checked["mistakes.py"]) == WRONG


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_the_project_runs():
    sys.path.insert(0, str(TYPED))
    try:
        project = importlib.import_module("project")
    finally:
        sys.path.remove(str(TYPED))
    assert project.train()["accuracy"] > 0.1
    assert project.program() > 0 and project.estimators() >= 0
    project.others()


def test_the_marker_of_types_is_in_the_package():
    assert (Path(pel.__file__).parent / "py.typed").is_file()


def test_what_is_loaded_late_is_declared_for_type_checkers():
    """The names that `pellucid.__getattr__` knows are those that stand under TYPE_CHECKING."""
    declared = Path(pel.__file__).read_text().split("if TYPE_CHECKING:")[1].split("else:")[0]
    names = re.findall(r"\w+", " ".join(line.split("import ")[1] for line in declared.strip().splitlines()))
    assert names == ["neurons", "selection", "sklearn", "tabular", "FeatureExtractor"]
    for name in names:
        assert getattr(pel, name).__name__.endswith(name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pel.nothing  # noqa: B018


def test_operations_are_listed_by_name():
    """A static list, so that type checkers know what `pellucid.ops` gives."""
    public = {n for n, v in vars(pel.ops).items() if not n.startswith("_") and callable(v) and v is not pel.Value}
    assert public == set(pel.ops.__all__)
