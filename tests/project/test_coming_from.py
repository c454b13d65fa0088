"""docs/coming-from.md has the rows of the table of hints; run as a program, this file writes them there."""

import re
from pathlib import Path

import pytest

from pellucid.hints import TABLE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coming-from.md"
ARGUMENT = {"layer", "fit", "predict", "evaluate", "Model"}
FRAME = {"layer": "option", "fit": "fit", "predict": "predict", "evaluate": "evaluate", "Model": "Model"}


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def name_of(place: str, name: str) -> str:
    """A name as it is met: an option with =, a text in quotes, a method with a point before it."""
    if place in ("loss", "metric", "optimizer", "activation"):
        return f'"{name}"'
    if place in ("model", "net"):
        return f".{name}"
    if place.endswith("option") or place in (*ARGUMENT, "estimator") or place[0].isupper():
        return f"{name}="
    return name


def rows(letter: str) -> list[str]:
    """The table's rows of a library, in Markdown."""
    return [
        f"| {', '.join(f'`{name_of(row.place, name)}`' for name in row.names.split())} | `{cell(row.here)}` | "
        f"{cell(row.remark)} |"
        for row in TABLE
        if letter in row.of
    ]


def written(text: str) -> str:
    """The page with its three tables as they are to be."""
    for letter in "KPS":
        table = "\n".join(rows(letter))
        start = r"(\|---\|---\|---\|\n)(?:\|[^\n]*\n)*" + f"(<!-- {letter} -->)"
        text, n = re.subn(start, lambda m, table=table: f"{m[1]}{table}\n{m[2]}", text)
        assert n == 1, letter
    return text


def test_the_page_has_the_rows_of_the_table():
    text = PAGE.read_text()
    assert text == written(text), "run: python tests/project/test_coming_from.py"


@pytest.mark.parametrize("letter", "KPS")
def test_there_are_rows(letter):
    assert len(rows(letter)) > 20


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
