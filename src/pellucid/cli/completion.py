"""What the tab key offers where a command takes a file, a folder or a word. Imports click.

The shell itself lists the files: all that it is given is the kind of thing that stands there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from click.shell_completion import CompletionItem


def path(kind: str = "file", *words: str) -> Callable[[Any, Any, str], list[CompletionItem]]:
    """The ``shell_complete`` of an argument: a file or a folder ("dir"), or one of these words.

    >>> [(item.type, item.value) for item in path("file", "digits")(None, None, "di")]
    [('file', 'di'), ('plain', 'digits')]
    """

    def offered(_: Any, __: Any, begun: str) -> list[CompletionItem]:
        found = [word for word in words if begun and word.startswith(begun)]
        return [CompletionItem(begun, type=kind), *map(CompletionItem, found)]

    return offered


FILE, FOLDER = path("file"), path("dir")
