"""The nets of estimators: hidden layers by their sizes, or what the user gives."""

from __future__ import annotations

from typing import Any

from .. import nn
from ..errors import GraphError
from ..graph import Value
from ..nn.combine import as_callables
from ..train import serialization

ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid"}  # scikit-learn's names, and Pellucid's
LOSS_NAMES: dict[Any, str] = {"log_loss": "cross_entropy", "squared_error": "mse", "absolute_error": "mae"}


def net_of(estimator: Any, outputs: int, layers: Any, sizes: Any, shape: Any = None) -> Any:
    """A whole net as given, or the layers, or hidden ones of these sizes, and a dense layer of this many outputs.

    ``shape`` is what a row of numbers is for it.
    """
    first = [] if shape is None else [nn.Reshape(tuple(shape))]
    if callable(layers):
        return nn.Sequential(*first, layers) if first else layers
    if layers is not None:
        return nn.Sequential(*first, *as_callables(tuple(layers), "layers"), nn.Dense(outputs))
    sizes = [int(n) for n in (sizes if hasattr(sizes, "__iter__") else [sizes])]
    if any(n < 1 for n in sizes):
        raise GraphError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    activation = ACTIVATIONS.get(estimator.activation, estimator.activation)
    (activation,) = as_callables((activation,), "activation")
    hidden: list[Any] = []
    for n in sizes:
        hidden += [nn.Dense(n), activation] + [nn.Dropout(estimator.dropout)] * (estimator.dropout > 0)
    return nn.Sequential(*first, *hidden, nn.Dense(outputs))


class Encoded(nn.Layer):
    """decoder(encoder(x))."""

    encoder: Any
    decoder: Any

    def __call__(self, x: Value) -> Value:
        return self.decoder(self.encoder(x))


serialization.OWN["sklearn.Encoded"] = Encoded  # known by name, so that models of one structure share their programs
serialization.NAME_OF[Encoded] = "sklearn.Encoded"
