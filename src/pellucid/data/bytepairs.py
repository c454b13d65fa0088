"""A byte-pair tokenizer. Imports numpy; the library `tokenizers` lazily (``pip install 'pellucid[text]'``)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ..deprecation import deprecated
from ..errors import DataError
from .tokens import SPECIAL, Tokenizer, check_fields, checked_special

BYTES = 256


@deprecated("size", "vocab_size", since="0.1")
class BytePairs(Tokenizer):
    """Pieces of words, learnt: the 256 bytes, and then the pairs of pieces that are the most frequent side by side.

    - ``texts``: one text or many, to learn from. ``vocab_size``: how many tokens there are at most, with the special
      ones; fewer where the texts have no more pairs.
    - ``special``: as in `Vocabulary`, but without ``<unk>``: every text can be written in bytes.
    - ``lower``: whether upper case becomes lower case.

    ``decode(encode(text))`` is the text, spaces and all. Raises `DataError` for a ``vocab_size`` that leaves no room
    for the bytes, and where the library is missing. Sennrich, Haddow and Birch, ACL 2016; on bytes: Radford et al.,
    2019. Done by Hugging Face's tokenizers.

    >>> pieces = BytePairs("low low lowest", vocab_size=262)  # 259, and "ow", "low", " low"
    >>> [pieces.tokens[i] for i in pieces.encode("lower low")], pieces.decode(pieces.encode("lower  Löw"))
    (['low', 'e', 'r', ' low'], 'lower  Löw')
    """

    def __init__(
        self,
        texts: str | Iterable[str],
        vocab_size: int = 8000,
        *,
        lower: bool = False,
        special: Sequence[str] = (SPECIAL[0], SPECIAL[2], SPECIAL[3]),
    ) -> None:
        self.lower, self.special = bool(lower), checked_special(special)
        if self.unknown is not None:
            raise DataError("BytePairs: leave '<unk>' out of special, as every text can be written in bytes")
        least = BYTES + len(self.special)
        if not isinstance(vocab_size, int) or vocab_size < least:
            raise DataError(f"BytePairs: vocab_size must be {least} or more, {BYTES} bytes and {len(self.special)} "
                            f"special tokens, got {vocab_size!r}")  # fmt: skip
        bpe = library()
        level = bpe.pre_tokenizers.ByteLevel
        trainer = bpe.trainers.BpeTrainer(
            vocab_size=vocab_size - len(self.special), initial_alphabet=sorted(level.alphabet()), show_progress=False
        )
        model = bpe.Tokenizer(bpe.models.BPE())
        model.pre_tokenizer, model.decoder = level(add_prefix_space=False), bpe.decoders.ByteLevel()
        model.train_from_iterator((self._cased(t) for t in ([texts] if isinstance(texts, str) else texts)), trainer)
        self._model(model)

    def _model(self, model: Any) -> None:
        """The library's tokenizer: its number i is i + len(special) here, so that text never makes special tokens."""
        self.model = model
        pieces = [""] * model.get_vocab_size()
        for token, i in model.get_vocab().items():
            pieces[i] = model.decoder.decode([token])
        self.tokens = (*self.special, *pieces)

    def _cased(self, text: str) -> str:
        if not isinstance(text, str):
            raise DataError(f"BytePairs takes text, got {type(text).__name__}: {text!r:.60}")
        return text.lower() if self.lower else text

    def _encoded(self, text: str | Sequence[str]) -> list[int]:
        first = len(self.special)
        return [first + i for i in self.model.encode(self._cased(text)).ids]  # type: ignore[arg-type]

    def _decoded(self, numbers: list[int]) -> str:
        first = len(self.special)
        return self.model.decode([i - first for i in numbers])

    def to_json(self) -> dict[str, Any]:
        """What `from_json` makes it of again, in values that JSON has: for `Model.notes`, which a saved model keeps."""
        return {"lower": self.lower, "special": list(self.special), "tokenizer": json.loads(self.model.to_str())}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> BytePairs:
        """The tokenizer that `to_json` described; raises `DataError` for anything else."""
        check_fields("BytePairs", values, {"lower": bool, "special": list, "tokenizer": dict})
        made = cls.__new__(cls)
        made.lower, made.special = values["lower"], checked_special(values["special"])
        try:
            made._model(library().Tokenizer.from_str(json.dumps(values["tokenizer"])))
        except DataError:
            raise
        except Exception as error:  # the library raises Exception itself
            raise DataError(f"BytePairs.from_json: the description is damaged ({error})") from None
        return made

    def __repr__(self) -> str:
        return f"<BytePairs: {len(self)} tokens, {len(self.special)} of them special>"


def library() -> Any:
    """The module `tokenizers`, or an error that says how to get it."""
    try:
        import tokenizers
    except ImportError:
        raise DataError("BytePairs needs tokenizers: pip install 'pellucid[text]'") from None
    return tokenizers
