"""The nets of estimators: hidden layers by their sizes, or what the user gives; and the penalty on weights."""

from __future__ import annotations

from typing import Any

from .. import nn, ops
from ..graph import GraphError, Value
from ..nn.combine import as_callables
from ..nn.layer import _scope
from ..train import codec

ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid"}  # scikit-learn's names, and Pellucid's
LOSS_NAMES: dict[Any, str] = {"log_loss": "cross_entropy", "squared_error": "mse", "absolute_error": "mae"}


def net_of(estimator: Any, outputs: int, layers: Any, sizes: Any, shape: Any = None) -> Any:
    """A whole net as given, or the layers, or hidden ones of these sizes, and a dense layer of so many outputs.

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


class Penalised(nn.Layer):
    """A net whose cost has alpha / 2 ||W||^2 / n more, for weights (arrays of two axes or more) and n samples a batch.

    That is scikit-learn's penalty. alpha is state, so that another one compiles nothing again.
    """

    net: Any

    def __call__(self, x: Value) -> Value:
        y = self.net(x)
        alpha = self.param("alpha", (), nn.init.zeros, trainable=False)
        if self.training:
            scope = _scope.get()
            assert scope is not None
            weights = [p.value for p in scope.parameters.values() if p.trainable and p.value.ndim > 1]
            squares: Any = sum(ops.sum(w * w) for w in weights)
            self.add_loss(0.5 * alpha * squares / ops.batch_size(y.dtype))
        return y


class Encoded(nn.Layer):
    """decoder(encoder(x))."""

    encoder: Any
    decoder: Any

    def __call__(self, x: Value) -> Value:
        return self.decoder(self.encoder(x))


for layer in (Penalised, Encoded):  # known by name, so that models of one structure share their programs
    codec.OWN[f"sklearn.{layer.__name__}"] = layer
    codec.NAME_OF[layer] = f"sklearn.{layer.__name__}"
