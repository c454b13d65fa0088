"""Models that write like a text: how they are trained, tested, and kept. Imports the package's face; click to speak."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from .. import Model, ReduceLROnPlateau, data, decode, nn
from ..errors import DataError
from . import files
from .reading import own_words
from .recipes import Run

WINDOW = 50  # characters that a training sample has
LONG = 1000  # characters that a test sample has: of few the first are predicted with nothing before them
LEAST = 200  # characters of a text
SAMPLE = 400  # characters that are written after training


def train(run: Run, path: str) -> None:
    """A net that reads a text a character at a time and says which comes next; tested on the last tenth, and saved."""
    text = read(path)
    characters = data.Vocabulary(text, special=())
    if len(text) < LEAST or len(characters) < 2:
        raise DataError(f"{path} has {len(text)} characters, {len(characters)} different ones, too little to learn to "
                        f"write; expected at least {LEAST}")  # fmt: skip
    tokens = characters.encode(text)
    cut = len(tokens) - round(len(tokens) * run.recipe.validation)
    run.say(f"{Path(path).name}: {cut:,} characters to learn from and the last {len(tokens) - cut:,} to test with, "
            f"{len(characters)} different ones")  # fmt: skip
    (x, y), held = samples(tokens[:cut], WINDOW), samples(tokens[cut:], LONG)
    model = run.model(network(run, len(characters)), "cross_entropy")
    slower = ReduceLROnPlateau("val_loss", 0.5, patience=1, min_delta=0.0)
    run.fitted(model, x, y, len(x), len(held[0]), validation_data=held, callbacks=[slower])
    loss = model.evaluate(*held)["loss"]
    model.notes |= {"kind": "text", "source": Path(path).name, "vocabulary": characters.to_json(),
                    "sha256": files.digest(path), "test": {"loss": loss}}  # fmt: skip
    run.keep(model)
    written = decode.generate(model.stepper(), tokens[cut : cut + 50], SAMPLE, temperature=0.8, seed=run.seed)
    run.say(f"\nwritten by the model:\n\n{characters.decode(written)}\n")
    click.echo(f"validation loss {loss:.4f} nats a character")


def read(path: str) -> str:
    """The text of a file; what is not in UTF-8 is told in the words of the command line, which has no encodings."""
    with own_words():
        return data.read_text(path)


def network(run: Run, characters: int) -> nn.Sequential:
    """Of a character's number the numbers of the next one's likelihood, at every step."""
    layers: list[nn.Layer] = []
    for units in run.recipe.hidden:
        layers += [nn.LSTM(units, return_sequences=True), *run.dropout()]
    return nn.Sequential(nn.Embedding(characters, 64), *layers, nn.TimeDistributed(nn.Dense(characters)))


def samples(tokens: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of a text, of about this many characters, with hardly any left over, and for each the one after it."""
    pairs = len(tokens) - 1
    return data.windows(tokens, pairs // max(1, round(pairs / length)), shifted=True)


def vocabulary_of(model: Model, path: str) -> data.Vocabulary:
    """The characters that a model knows; a `DataError` for a model of something else."""
    if model.notes.get("kind") != "text":
        known = "a table" if model.notes.get("kind") == "table" else model.notes.get("source", "arrays")
        raise DataError(f"{path} is no model of a text (it was trained on {known}); "
                        "make one with: pellucid train FILE.txt")  # fmt: skip
    return data.Vocabulary.from_json(model.notes["vocabulary"])


def encoded(characters: data.Vocabulary, text: str, name: str) -> np.ndarray:
    """A text's numbers; a `DataError` for one with other characters than the model knows, which says so."""
    known = set(characters.tokens)
    if foreign := [(place, c) for place, c in enumerate(text, 1) if c not in known]:
        (place, first), others = foreign[0], len({c for _, c in foreign}) - 1
        more = f" and {others} more" if others else ""
        raise DataError(f"{name} has {first!r} (character {place}){more}, not in the text that the model learnt from, "
                        f"which has {''.join(sorted(known))!r}")  # fmt: skip
    return characters.encode(text)


def evaluate(model: Model, model_file: str, path: str) -> None:
    """Tell the model's loss on each character of a text."""
    characters = vocabulary_of(model, model_file)
    tokens = encoded(characters, read(path), path)
    if len(tokens) < 2:
        raise DataError(f"{path} has one character, expected at least 2: one to read, and one to predict")
    click.echo(
        f"{len(tokens):,} characters\nloss {model.evaluate(*samples(tokens, LONG))['loss']:.4f} nats a character"
    )
