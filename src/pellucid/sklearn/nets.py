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


def net_of(estimator: Any, outputs: int, features: int) -> Any:
    """The net of an estimator for rows of so many features."""
    first = [] if estimator.input_shape is None else [nn.Reshape(tuple(estimator.input_shape))]
    if callable(estimator.layers):
        return nn.Sequential(*first, estimator.layers) if first else estimator.layers
    if estimator.layers is not None:
        return nn.Sequential(*first, *as_callables(tuple(estimator.layers), "layers"), nn.Dense(outputs))
    sizes = estimator.hidden_layer_sizes
    sizes = [int(n) for n in (sizes if hasattr(sizes, "__iter__") else [sizes])]
    if any(n < 1 for n in sizes):
        raise GraphError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    activation = ACTIVATIONS.get(estimator.activation, estimator.activation)
    (activation,) = as_callables((activation,), "activation")
    layers: list[Any] = []
    for n in sizes:
        layers += [nn.Dense(n), activation] + [nn.Dropout(estimator.dropout)] * (estimator.dropout > 0)
    return nn.Sequential(*layers, nn.Dense(outputs))


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


codec.OWN["sklearn.Penalised"] = Penalised  # known by name, so that models of one structure share their programs
codec.NAME_OF[Penalised] = "sklearn.Penalised"
