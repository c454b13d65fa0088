"""What is built of the project: contents of wheel and source distribution, metadata, and the extras that texts name."""

import importlib.util
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_string
from email.policy import EmailPolicy
from pathlib import Path

import pytest

import pellucid

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
TEXTS = [*PAGES, *sorted((ROOT / "src").glob("**/*.py")), *sorted((ROOT / "examples").glob("*.py"))]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Names of the files in both distributions, and the wheel's metadata; built by the backend, without network."""
    missing = [name for name in ("hatchling", "hatch_fancy_pypi_readme") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}: pip install 'pellucid[test]'")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        (place,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        metadata = message_from_string(file.read(place).decode(), policy=EmailPolicy(utf8=True))
    with tarfile.open(source) as file:
        inside = [member.name.partition("/")[2] for member in file.getmembers() if member.isfile()]
    return {"wheel": names, "sdist": inside, "metadata": metadata, "sizes": [p.stat().st_size for p in (wheel, source)]}


def ours(folder):
    files = (ROOT / folder).rglob("*")
    return {p.relative_to(ROOT).as_posix() for p in files if p.is_file() and "__pycache__" not in p.parts}


def test_the_wheel_has_the_package_and_its_license_alone(built):
    package = {name.removeprefix("src/") for name in ours("src")}
    about = {name for name in built["wheel"] if ".dist-info/" in name}
    assert set(built["wheel"]) - about == package
    assert {name.partition("/")[2] for name in about} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"
    }  # fmt: skip


def test_the_source_distribution_has_what_one_reads_and_builds(built):
    """No tests, benchmarks or set-up of this project's own machines."""
    top = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "pyproject.toml", "PKG-INFO", ".gitignore"}
    assert set(built["sdist"]) == top | ours("src") | ours("docs") | ours("examples")


def test_both_are_small(built):
    assert max(built["sizes"]) < 4e6


def test_the_description_on_an_index_has_no_broken_links(built):
    """Links are absolute; where the README links to a file beside it, the name of the file is left."""
    text = built["metadata"].get_payload()
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert all(link.startswith("https://") for link in links)
    assert built["metadata"]["Description-Content-Type"].startswith("text/markdown")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# Pellucid") and len(text) > 0.7 * len(readme)
    for name, target in re.findall(r"\[([^\]]*)\]\(([^)]*)\)", readme):
        assert name in text or target.endswith(".png")
    assert "![" not in text or "](https://" in text


def test_metadata(built):
    about = built["metadata"]
    assert about["Version"] == pellucid.__version__ and about["License-Expression"] == "Apache-2.0"
    assert set(about.get_all("Provides-Extra")) == set(EXTRAS)
    typed = "pellucid/py.typed" in built["wheel"]
    assert ("Typing :: Typed" in about.get_all("Classifier")) == typed


def test_classifiers_exist():
    known = pytest.importorskip("trove_classifiers").classifiers
    assert set(PROJECT["classifiers"]) <= known
    oldest = PROJECT["requires-python"].removeprefix(">=")
    versions = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert versions[0] == oldest


def test_extras_that_are_named_exist():
    """And can be typed as they are printed: in quotes, since brackets mean something to many shells."""
    named, bare = {}, []
    for path in TEXTS:
        text = path.read_text(encoding="utf-8")
        for names in re.findall(r"(?:pellucid|install -q|install -q -e) ?\"?\.?\[([a-z, ]+)\]", text):
            named |= {extra.strip(): path.name for extra in names.split(",")}
        bare += [path.name] * len(re.findall(r"pip install (?:-\w+ )*[^\s'\"]*pellucid\[", text))
    assert set(EXTRAS) - {"bench", "dev", "all"} <= set(named) and set(named) <= set(EXTRAS), named
    assert not bare, "put it in quotes"


NEEDS = {  # extra -> what needs it in the code of a page
    "table": r"\b(pandas|to_frame)\b",
    "plot": r"\bmatplotlib\b|\.plot\(",
    "images": r"\bPIL\b|data\.images\(",
    "text": r"\bBytePairs\b|\btokenizers\b",
    "search": r"\boptuna\b",
}


def needed(text):
    """Extras that the code of a page needs and the page does not name."""
    code = "\n".join(re.findall(r"^ *```python[ \t]*\n(.*?)^ *```[ \t]*$", text, re.DOTALL | re.MULTILINE))
    return [extra for extra, what in NEEDS.items() if re.search(what, code) and f"pellucid[{extra}]" not in text]


def test_pages_name_the_extras_they_need():
    missing = {page.name: needed(page.read_text(encoding="utf-8")) for page in PAGES}
    assert not {page: extras for page, extras in missing.items() if extras}
    assert needed("```python\nimport pandas\n```\n") == ["table"]


def test_every_extra_but_those_for_work_on_the_project_is_in_all():
    (everything,) = EXTRAS["all"]
    assert set(re.search(r"\[(.*)\]", everything)[1].split(",")) == set(EXTRAS) - {"test", "bench", "dev", "all"}


def test_every_format_of_files_is_told_and_a_file_of_each_old_one_is_kept():
    from pellucid.train.container import FORMAT

    text = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\d+) \|", text, re.MULTILINE) == [str(n) for n in range(1, FORMAT + 1)]
    assert all((ROOT / f"tests/data/format-{n}.pel").exists() for n in range(1, FORMAT))


def test_the_changelog_knows_this_version():
    assert re.search(rf"^## .*\b{re.escape(pellucid.__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_readmes_example_leaves_the_model_of_its_command_alone():
    """`pellucid train digits` writes digits.pel and digits.png; one file must not be both."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (trained,) = re.findall(r"pellucid train (\w+)", text)
    (saved,) = re.findall(r'model\.save\("(.*)"\)', text)
    assert saved != f"{trained}.pel"
