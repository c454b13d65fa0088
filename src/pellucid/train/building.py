"""A model's first weights, from its seed; they are forgotten where an error follows. Imports numpy and nn."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from .. import executors
from ..nn import init_program
from .arrays import Spec
from .core import ModelCore
from .penalties import first_strengths
from .program_cache import shared


def build(model: ModelCore, specs: dict[str, Spec], how: str) -> None:
    """Trace the net on inputs of these shapes, and make its first weights."""
    model.programs.trace(specs, how)
    model.state |= first_strengths(model) | first_weights(model)


def first_weights(model: ModelCore) -> dict[str, np.ndarray]:
    """Every parameter as it begins, from the seed."""
    parameters, network = model.network.built().parameters, model.network
    # by the reference, so that the same seed gives the same first weights on every executor
    first = shared(model.programs, ("weights", network.how, *network.specs.items()),
                   lambda: executors.get("reference").compile(init_program(parameters)))  # fmt: skip
    key = np.array([model.seed >> 32, model.seed], dtype=np.uint64).astype(np.uint32)
    return first({}, {"key": key}) if parameters else {}


@contextlib.contextmanager
def unchanged_on_error(model: ModelCore) -> Iterator[None]:
    """Weights made for arrays that turn out to be bad are forgotten, so that other shapes may follow."""
    new, columns = model.network.traced is None, model.columns
    try:
        yield
    except Exception:
        model.columns = columns
        if new:
            model.forget()
        raise
