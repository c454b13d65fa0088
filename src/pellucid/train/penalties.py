"""The strengths of a model's penalties, which are state: read, set, and as they are at first. Imports numpy and nn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..checks import number
from ..errors import ArgumentError
from ..nn.penalties import PENALTY
from .core import ModelCore


class Penalties(ModelCore):
    """The methods of `Model` for its penalties."""

    @property
    def penalties(self) -> dict[str, float]:
        """The strengths of the penalties by name, the model's own and those of layers; may be set, all or some.

        >>> import pellucid as pel
        >>> from pellucid import nn
        >>> model = pel.Model(nn.Dense(1), "mse", regularizer=nn.L2(0.5), input_shape=(2,))
        >>> model.penalties = {"strength": 0.25}
        >>> model.penalties
        {'strength': 0.25}
        """
        self.network.built()
        prefix = f"{PENALTY}."
        return {k.removeprefix(prefix): float(str(v)) for k, v in self.state.items() if k.startswith(prefix)}

    @penalties.setter
    def penalties(self, strengths: Mapping[str, float]) -> None:
        known = self.penalties
        for name, strength in strengths.items():
            if name not in known:
                raise ArgumentError(f"no penalty is named {name!r}; there are {', '.join(known) or 'none'}")
            number("penalties", repr(name), strength, least=0)
        self.state |= {f"{PENALTY}.{name}": np.asarray(s, self.dtype) for name, s in strengths.items()}


def first_strengths(model: ModelCore) -> dict[str, np.ndarray]:
    """The state that strengths are kept in, as the model and its layers were given them."""
    found = {name: number.first for name, number in model.network.built().numbers.items()}
    if model.regularizer is not None:
        found |= model.regularizer.first_numbers()
    return {name: np.asarray(strength, model.dtype) for name, strength in found.items()}
