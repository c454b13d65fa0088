"""Treebanks: sentences in which every word has its tag. Imports the sibling modules alone."""

from __future__ import annotations

from os import PathLike

from ..errors import DataError
from .text import read_text

TAGS = {"upos": 3, "xpos": 4, "deprel": 7}  # column of a row
COLUMNS = 10


def read_conllu(path: str | PathLike[str], tags: str = "upos") -> list[tuple[list[str], list[str]]]:
    """The sentences of a CoNLL-U file, plain or gzipped: each its words' forms and as many tags.

    ``tags`` names the column: "upos", the universal part of speech; "xpos", the treebank's own; "deprel", the relation
    to the head. Words made of several (1-2) and words that were left out (8.1) are skipped, as they have no tag or no
    form. Raises `DataError` for rows that have not ten columns, and what `read_text` refuses. Source:
    universaldependencies.org/format.html.

    >>> from pathlib import Path
    >>> rows = [f"{i}\\t{form}\\t_\\t{tag}" + "\\t_" * 6 for i, form, tag in [(1, "It", "PRON"), (2, "rains", "VERB")]]
    >>> _ = Path("rain.conllu").write_text("# text = It rains\\n" + "\\n".join(rows) + "\\n\\n")
    >>> read_conllu("rain.conllu")
    [(['It', 'rains'], ['PRON', 'VERB'])]
    """
    if tags not in TAGS:
        raise DataError(f"read_conllu: tags is {tags!r}, expected {', '.join(map(repr, TAGS))}")
    sentences: list[tuple[list[str], list[str]]] = []
    forms: list[str] = []
    found: list[str] = []
    for n, line in enumerate([*read_text(path).split("\n"), ""], 1):
        if not line.strip():  # the end of a sentence
            if forms:
                sentences.append((forms, found))
            forms, found = [], []
        elif not line.startswith("#"):
            row = line.split("\t")
            if len(row) != COLUMNS:
                raise DataError(f"{path}: line {n} has {len(row)} columns with tabs between them, expected {COLUMNS} "
                                f"as in CoNLL-U: {line[:60]!r}")  # fmt: skip
            if "-" not in row[0] and "." not in row[0]:
                forms.append(row[1])
                found.append(row[TAGS[tags]])
    if not sentences:
        raise DataError(f"{path} has no sentences; expected rows of {COLUMNS} columns, and a blank line after each "
                        "sentence")  # fmt: skip
    return sentences
