"""The code in README.md and docs/*.md runs: the ```python blocks of a page in order, in one namespace.

A block of prompts (>>>) is a doctest, any other is run as it stands.
"""

import doctest
import re
from pathlib import Path

import pytest

from pellucid import graph

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^( *)```python[ \t]*\n(.*?)^\1```[ \t]*$", re.DOTALL | re.MULTILINE)


def blocks(text: str) -> list[tuple[int, str]]:
    """Each block of Python: the line before its first, and its code without the page's indentation."""
    found = []
    for match in BLOCK.finditer(text):
        indent = match[1]
        code = "".join(line.removeprefix(indent) for line in match[2].splitlines(keepends=True))
        found.append((text.count("\n", 0, match.start(2)), code))
    return found


def run_page(path: Path) -> None:
    namespace = {"__name__": "__main__"}
    for line, code in blocks(path.read_text(encoding="utf-8")):
        if code.lstrip().startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(code, namespace, path.name, str(path), line)
            test.globs = namespace  # not the copy: later blocks see these names
            options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            doctest.DebugRunner(optionflags=options).run(test, clear_globs=False)
        else:
            exec(compile("\n" * line + code, str(path), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr(graph, "PRIMITIVES", dict(graph.PRIMITIVES))  # a page may define some
    run_page(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links(page):
    """What a page links to within the project is there, and so is the heading behind a #."""
    links = [target for target in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in target]
    assert not [target for target in links if not (page.parent / target.partition("#")[0]).exists()]
    parts = [(page.parent / path if path else page, place) for path, _, place in (t.partition("#") for t in links)]
    assert not [place for path, place in parts if place and place not in anchors(path.read_text(encoding="utf-8"))]


def anchors(text: str) -> set[str]:
    """Where a # can lead on a page: its headings in lower case, spaces as hyphens, without signs, as GitHub has it."""
    headings = re.findall(
        r"^#+ +(.*?) *$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("kind", ["run", "test"])
def test_readme_commands(kind):
    """README.md prints each of its two commands once, on a line of its own."""
    lines = [
        s for s in map(str.strip, (ROOT / "README.md").read_text().splitlines()) if s.startswith("python3 -m venv ")
    ]
    assert len([s for s in lines if ("pytest" in s) == (kind == "test")]) == 1, lines


@pytest.mark.parametrize(
    "code, error",
    [
        ("```python\nx = 1\n```\ntext\n```python\nassert x == 2\n```\n", AssertionError),
        ("```python\n>>> 1 + 1\n3\n```\n", doctest.DocTestFailure),
        ("1. item\n\n   ```python\n   1 / 0\n   ```\n", ZeroDivisionError),
    ],
)
def test_a_wrong_page_is_caught(code, error, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(code)
    with pytest.raises(error):
        run_page(page)


def test_names_carry_over_and_other_blocks_are_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nx = 1\n```\n```sh\nrm\n```\n\n"
        "```python\n>>> y = x + 1\n>>> y\n2\n```\n```python\nassert y == 2\n```\n"
    )
    run_page(page)
