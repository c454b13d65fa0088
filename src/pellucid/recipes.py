"""What is taken where nobody says: how a net for a task of this kind and size is made and trained. Imports nn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import nn
from .schedules import Cosine, Schedule

PIECES = 16  # of a column of numbers
MANY = 1000  # rows from which on a column's pieces hold enough of them
WIDE = 50  # columns beyond which their pieces would cost too much
HELD = 100  # rows from which on some can be held back for early stopping
WORK = 2_000_000  # rows that training sees in all, where there are many

# samples a step, by the rows to learn from
BATCHES = ((1000, 32), (4000, 64), (10_000, 128))
LARGEST_BATCH = 256


@dataclass(frozen=True)
class Recipe:
    """How to learn: the hidden layers, each ReLU (of texts LSTM) with dropout after it, and the training.

    ``net``: "dense", or the name of a convolutional net with its own layers. ``input_dropout`` acts on the inputs.
    With ``validation``, a share of the training samples is kept apart; with ``patience``, training ends when the loss
    on it has not improved for this many epochs, and the best weights are kept. ``members``: how many nets with these
    hidden layers, which predict together; ``pieces``: of how many pieces is the encoding of each column of numbers, 0
    for none; ``falling``: the learning rate falls to 0, as a cosine does.
    """

    hidden: tuple[int, ...]
    epochs: int
    batch_size: int
    learning_rate: float = 1e-3
    dropout: float = 0.0
    input_dropout: float = 0.0
    patience: int = 0
    validation: float = 0.1
    net: str = "dense"
    members: int = 1
    pieces: int = 0
    falling: bool = False

    def changed(self, **asked: Any) -> Recipe:
        """This recipe with what the user asked for; no dropout means none on the inputs either."""
        asked = {name: value for name, value in asked.items() if value is not None}
        return replace(self, **asked, input_dropout=0.0 if asked.get("dropout") == 0 else self.input_dropout)

    @property
    def rate(self) -> float | Schedule:
        """The learning rate, or its course over the epochs."""
        return Cosine(self.learning_rate, epochs=self.epochs) if self.falling else self.learning_rate


def for_table(rows: int, columns: int = 1) -> Recipe:
    """The recipe for a table of n rows to learn from, and columns: eight nets of two layers of 64 units, as one.

    Columns of numbers are encoded in pieces from `MANY` rows on, if there are at most `WIDE` columns; of fewer than
    `HELD` rows none are held back.

    >>> for_table(500).pieces, for_table(5000).pieces, for_table(5000, 99).pieces, for_table(5000).epochs
    (0, 16, 0, 100)
    """
    many = rows >= MANY
    return Recipe(
        hidden=(64, 64),
        epochs=min(max(WORK // max(rows, 1), 20), 100 if many else 200),
        batch_size=next((batch for most, batch in BATCHES if rows < most), LARGEST_BATCH),
        learning_rate=3e-3 if many else 1e-3,
        patience=20,
        validation=0.15 if rows >= HELD else 0.0,
        members=8,
        pieces=PIECES if many and columns <= WIDE else 0,
        falling=True,
    )


def hidden_layers(
    recipe: Recipe, outputs: int, loss: str, columns: Sequence[int] = (), activation: Callable = nn.relu
) -> list[Any]:
    """The layers of a recipe's net, the last, with its outputs, among them.

    ``loss``: that of the model, one of `nn.MemberMean`'s where there are several members. ``columns``: those that
    `tabular.PieceScaler` has brought to 0..pieces.

    >>> [type(layer).__name__ for layer in hidden_layers(Recipe((8,), 10, 32, members=4), 1, "mse") if layer != nn.relu]
    ['MemberDense', 'MemberDense', 'MemberMean']
    """
    layers: list[Any] = [nn.Pieces(recipe.pieces, tuple(columns))] if recipe.pieces and columns else []
    layers += [nn.Dropout(recipe.input_dropout)] if recipe.input_dropout else []
    several = recipe.members > 1
    for units in recipe.hidden:
        layers += [nn.MemberDense(units, recipe.members) if several else nn.Dense(units), activation]
        layers += [nn.Dropout(recipe.dropout)] if recipe.dropout else []
    if not several:
        return [*layers, nn.Dense(outputs)]
    return [*layers, nn.MemberDense(outputs, recipe.members), nn.MemberMean(loss)]
