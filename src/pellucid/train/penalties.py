"""The strengths of a model's penalties, which are state: read, set, and as they are at first. Imports numpy and nn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import number
from ..graph import GraphError
from ..nn.penalties import PENALTY

if TYPE_CHECKING:
    from .model import Model


class Penalized:
    """The methods of `Model` for its penalties."""

    @property
    def penalties(self: Any) -> dict[str, float]:
        """The strengths of the penalties by name, the model's own and those of layers; may be set, all or some.

        >>> import pellucid as pel
        >>> from pellucid import nn
        >>> model = pel.Model(nn.Dense(1), "mse", regularizer=nn.L2(0.5), input_shape=(2,))
        >>> model.penalties = {"strength": 0.25}
        >>> model.penalties
        {'strength': 0.25}
        """
        self._built()
        prefix = f"{PENALTY}."
        return {k.removeprefix(prefix): float(str(v)) for k, v in self.state.items() if k.startswith(prefix)}

    @penalties.setter
    def penalties(self: Any, strengths: Mapping[str, float]) -> None:
        known = self.penalties
        for name, strength in strengths.items():
            if name not in known:
                raise GraphError(f"no penalty is named {name!r}; there are {', '.join(known) or 'none'}")
            number("penalties", repr(name), strength, least=0)
        self.state |= {f"{PENALTY}.{name}": np.asarray(s, self.dtype) for name, s in strengths.items()}


def first_strengths(model: Model) -> dict[str, np.ndarray]:
    """The state that strengths are kept in, as the model and its layers were given them."""
    found = {name: number.first for name, number in model._built().numbers.items()}
    if model.regularizer is not None:
        found |= model.regularizer.first_numbers()
    return {name: np.asarray(strength, model.dtype) for name, strength in found.items()}
