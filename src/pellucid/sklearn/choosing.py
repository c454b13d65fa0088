"""What an estimator's arguments leave open: "auto" becomes a recipe. Imports nn, optim, recipes and the siblings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import nn, optim
from ..nn.combine import as_callables
from ..nn.members import SPREADS
from ..recipes import Recipe, for_table, hidden_layers
from .networks import ACTIVATIONS

PLAIN = Recipe((100,), epochs=200, batch_size=200, patience=10)  # scikit-learn's numbers, for nets that the user gives
SPREAD_OF: dict[type, str] = {
    nn.MeanSquaredError: "mse", nn.CrossEntropy: "cross_entropy", nn.BinaryCrossEntropy: "binary_cross_entropy",
    nn.Poisson: "poisson",
}  # fmt: skip
assert set(SPREAD_OF.values()) == set(SPREADS)


def chosen(estimator: Any) -> bool:
    """Whether the net is chosen, and not the user's."""
    return estimator.layers is None and isinstance(estimator.hidden_layer_sizes, str)


def by_batches(estimator: Any) -> bool:
    """Whether it trains in steps, unlike L-BFGS."""
    given = estimator.optimizer
    return estimator.solver != "lbfgs" if given is None else given not in ("lbfgs", optim.LBFGS) and not isinstance(
        given, optim.LBFGS)  # fmt: skip


def recipe_of(estimator: Any, rows: int, partial: bool = False) -> Recipe:
    """The recipe for this many rows of what `fit` was given, with what the user's arguments say.

    Where the net is the user's, by ``layers`` or ``hidden_layer_sizes``, or L-BFGS trains it, training is
    scikit-learn's by default, but for early stopping. ``partial``: one epoch of many to come, at one learning rate.
    """
    e, batches = estimator, by_batches(estimator)
    recipe = PLAIN
    if chosen(e):
        recipe = for_table(rows, e.n_features_in_) if batches else PLAIN
        if SPREAD_OF.get(type(e._loss())) is None:
            recipe = replace(recipe, members=1, hidden=(128, 64) if batches else recipe.hidden)
    elif e.layers is None:
        sizes = e.hidden_layer_sizes
        recipe = replace(recipe, hidden=tuple(sizes) if hasattr(sizes, "__iter__") else (sizes,))
    if not e.scale or e.rows_overlap:  # windows of a series have other inputs
        recipe = replace(recipe, pieces=0)
    if e.early_stopping == "auto":
        stops = batches and not partial and rows >= e.rows_to_stop
    else:
        stops = bool(e.early_stopping)
    falls = chosen(e) and batches and e.learning_rate == "auto" and e.optimizer is None and not partial
    said = {"epochs": e.max_iter, "learning_rate": e.learning_rate_init, "patience": e.n_iter_no_change}
    return replace(
        recipe,
        **{name: value for name, value in said.items() if value != "auto"},
        dropout=e.dropout,
        falling=falls,
        validation=e.validation_fraction if stops else 0.0,
    )


def recipe_net(estimator: Any, outputs: int) -> nn.Sequential:
    """The net of an estimator's recipe."""
    (activation,) = as_callables((ACTIVATIONS.get(estimator.activation, estimator.activation),), "activation")
    first = [] if estimator.input_shape is None else [nn.Reshape((-1,))]
    loss = SPREAD_OF.get(type(estimator._loss()), "")
    return nn.Sequential(
        *first, *hidden_layers(estimator.recipe_, outputs, loss, estimator.features_.columns, activation)
    )
