"""Text as numbers: a vocabulary of characters or words, and what every tokenizer does alike. Imports numpy.

A tokenizer turns text into whole numbers and back: `Vocabulary` here, `BytePairs` in bytepairs.py. Special tokens that
stand for no text come first, padding always as number 0.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..deprecation import deprecated
from ..errors import DataError

SPECIAL = ("<pad>", "<unk>", "<start>", "<end>")
LEVELS = {"characters": "character", "words": "word"}
WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")


class Tokenizer(ABC):
    """Text to numbers and back; the base of `Vocabulary` and `BytePairs`, which say what a token is.

    ``tokens[i]`` is the text of number i, ``special`` those of them that stand for no text; ``padding``, ``unknown``,
    ``start`` and ``end`` are their numbers, or None where there is no such token.
    """

    tokens: tuple[str, ...]
    special: tuple[str, ...]

    @property
    def padding(self) -> int | None:
        return self._number(SPECIAL[0])

    @property
    def unknown(self) -> int | None:
        return self._number(SPECIAL[1])

    @property
    def start(self) -> int | None:
        return self._number(SPECIAL[2])

    @property
    def end(self) -> int | None:
        return self._number(SPECIAL[3])

    def _number(self, token: str) -> int | None:
        return self.special.index(token) if token in self.special else None

    def __len__(self) -> int:
        return len(self.tokens)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.to_json() == other.to_json()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((self.tokens, self.special))

    def encode(self, text: str | Sequence[str], start: bool = False, end: bool = False) -> np.ndarray:
        """The numbers of a text's tokens, (T,) int32; with ``start`` and ``end`` the special tokens around them."""
        around = {SPECIAL[2]: start, SPECIAL[3]: end}
        if missing := [token for token, asked in around.items() if asked and token not in self.special]:
            raise DataError(f"{type(self).__name__} has no token {missing[0]!r}; make it with special=(..., "
                            f"{missing[0]!r})")  # fmt: skip
        first, last = ([self._number(token)] if asked else [] for token, asked in around.items())
        return np.array([*first, *self._encoded(text), *last], np.int32)  # type: ignore[list-item]

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of numbers; special tokens but ``<unk>`` are left out. Raises `DataError` for other numbers."""
        array = np.asarray(numbers if isinstance(numbers, np.ndarray) else list(numbers))
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            hint = "; decode one sequence after the other" if array.ndim == 2 else ""
            raise DataError(f"decode takes whole numbers (T,), got {array.dtype} of shape {array.shape}{hint}")
        if (wrong := np.flatnonzero((array < 0) | (array >= len(self)))).size:
            raise DataError(f"{array[wrong[0]]} at place {wrong[0]} is no token: {type(self).__name__} has numbers "
                            f"0..{len(self) - 1}")  # fmt: skip
        kept = [i for i in array.tolist() if i >= len(self.special) or i == self.unknown]
        return self._decoded(kept)

    @abstractmethod
    def _encoded(self, text: str | Sequence[str]) -> list[int]: ...

    @abstractmethod
    def _decoded(self, numbers: list[int]) -> str: ...

    @abstractmethod
    def to_json(self) -> dict[str, Any]: ...


@deprecated("most", "max_tokens", since="0.1")
class Vocabulary(Tokenizer):
    """The characters or words that a text is made of, each with a number: the most frequent first.

    - ``texts``: one text or many, to take the tokens from. A text may also be a list of tokens, split already (tags,
      words of a treebank).
    - ``level``: "characters", or "words": a word is a run of letters, digits and underscores, with hyphens and
      apostrophes inside (``don't``); every other sign is a word of its own, and spaces are none.
    - ``lower``: whether upper case becomes lower case. ``min_count``: rarer tokens are left out; ``max_tokens``: how
      many of the most frequent are kept, not counting the special ones; by default all.
    - ``special``: which of ``<pad>``, ``<unk>``, ``<start>``, ``<end>`` there are; they come first, in this order.

    A token that is not there becomes ``<unk>``; without that, it is a `DataError` that names it and its place. Tokens
    of the same count are in the order of their characters' codes, so a vocabulary depends on its texts alone.

    >>> letters = Vocabulary("hello", special=())
    >>> letters.tokens, letters.encode("hole").tolist(), letters.decode([2, 3])
    (('l', 'e', 'h', 'o'), [2, 3, 0, 1], 'ho')
    >>> words = Vocabulary(["I see it.", "It sees me."], level="words", lower=True, min_count=2)
    >>> words.tokens
    ('<pad>', '<unk>', '<start>', '<end>', '.', 'it')
    >>> words.encode("It rains.", end=True).tolist()
    [5, 1, 4, 3]
    >>> words.decode([5, 1, 4, 3, 0, 0])
    'it <unk> .'
    """

    def __init__(
        self,
        texts: str | Iterable[str | Sequence[str]],
        level: str = "characters",
        *,
        lower: bool = False,
        min_count: int = 1,
        max_tokens: int | None = None,
        special: Sequence[str] = SPECIAL,
    ) -> None:
        self.level, self.lower, self.special = level, bool(lower), checked_special(special)
        if level not in LEVELS:
            raise DataError(f"Vocabulary: level is {level!r}, expected {' or '.join(map(repr, LEVELS))}")
        for name, value in (("min_count", min_count), ("max_tokens", 1 if max_tokens is None else max_tokens)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise DataError(f"Vocabulary: {name} must be a whole number >= 1, got {value!r}")
        counts: Counter[str] = Counter()
        for text in [texts] if isinstance(texts, str) else texts:
            counts.update(self.split(text))
        kept = sorted((t for t, n in counts.items() if n >= min_count), key=lambda t: (-counts[t], t))[:max_tokens]
        if not kept:
            why = f"none of {len(counts)} tokens occurs {min_count} times" if counts else "the texts are empty"
            raise DataError(f"Vocabulary: there is nothing to number, as {why}")
        self._tokens(kept)

    def _tokens(self, own: Sequence[str]) -> None:
        self.tokens = (*self.special, *own)
        self._index = {token: i for i, token in enumerate(own, len(self.special))}

    def split(self, text: str | Sequence[str]) -> Sequence[str]:
        """The tokens of a text as they stand there: its characters, or its words."""
        if isinstance(text, str):
            text = text.lower() if self.lower else text
            return text if self.level == "characters" else WORD.findall(text)
        tokens = list(text)
        if wrong := [t for t in tokens if not isinstance(t, str)]:
            raise DataError(f"Vocabulary takes text or lists of text, got {wrong[0]!r} in a list")
        return [t.lower() for t in tokens] if self.lower else tokens

    def _encoded(self, text: str | Sequence[str]) -> list[int]:
        tokens = self.split(text)
        if self.unknown is not None:
            return [self._index.get(token, self.unknown) for token in tokens]
        try:
            return [self._index[token] for token in tokens]
        except KeyError:
            place, token = next((i, t) for i, t in enumerate(tokens) if t not in self._index)
            one = LEVELS[self.level]
            raise DataError(f"{token!r} ({one} {place}) is not in the vocabulary of {len(self._index)} {self.level}; "
                            "make it from texts that have it, or with special=('<unk>',)") from None  # fmt: skip

    def _decoded(self, numbers: list[int]) -> str:
        return ("" if self.level == "characters" else " ").join(self.tokens[i] for i in numbers)

    def to_json(self) -> dict[str, Any]:
        """What `from_json` makes it of again, in values that JSON has: for `Model.notes`, which a saved model keeps.

        >>> v = Vocabulary("hello")
        >>> Vocabulary.from_json(v.to_json()) == v
        True
        """
        own = list(self.tokens[len(self.special) :])
        return {"level": self.level, "lower": self.lower, "special": list(self.special), "tokens": own}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Vocabulary:
        """The vocabulary that `to_json` described; raises `DataError` for anything else."""
        fields = {"level": str, "lower": bool, "special": list, "tokens": list}
        check_fields("Vocabulary", values, fields)
        own = values["tokens"]
        if values["level"] not in LEVELS or not all(isinstance(t, str) for t in own) or len(set(own)) < len(own):
            raise DataError("Vocabulary.from_json: the level is unknown, or tokens are no text or occur twice")
        made = cls.__new__(cls)
        made.level, made.lower, made.special = values["level"], values["lower"], checked_special(values["special"])
        made._tokens(own)
        return made

    def __repr__(self) -> str:
        return f"<Vocabulary: {len(self)} {self.level}, {len(self.special)} of them special>"


def checked_special(special: Sequence[str]) -> tuple[str, ...]:
    """Special tokens in their order; an error for one that is not known."""
    given = (special,) if isinstance(special, str) else tuple(special)
    if unknown := [token for token in given if token not in SPECIAL]:
        raise DataError(f"special has {unknown[0]!r}, expected some of {', '.join(SPECIAL)}")
    return tuple(token for token in SPECIAL if token in given)


def check_fields(what: str, values: Any, fields: dict[str, type]) -> None:
    """`DataError` for anything else than a dict with these fields of these types."""
    wrong = [
        name for name, kind in fields.items() if not isinstance(values, dict) or type(values.get(name)) is not kind
    ]
    if wrong:
        raise DataError(f"{what}.from_json takes what {what}.to_json gave: a dict in which {wrong[0]!r} is a "
                        f"{fields[wrong[0]].__name__}")  # fmt: skip
