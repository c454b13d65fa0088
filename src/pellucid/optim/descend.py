"""`descend`: an optimizer's step down a cost, for programs of one's own."""

from __future__ import annotations

from typing import Any

from ..autodiff import grad
from ..errors import ArgumentError, GraphError
from ..graph import Value, toposort
from ..ops import batch_size
from .rules import LBFGS, as_optimizer
from .updates import check_name, trained, updates_of


def descend(cost: Value, wrt: Any, optimizer: Any, *, name: str = "optimizer") -> dict[Value, Value]:
    """The updates of an optimizer's step down a cost, for a `Program` of one's own: p' = rule(p, dC/dp).

    ``cost`` is one shared number, such as a batch_mean. ``wrt`` is what is trained: a state, an `nn.Net` or its
    ``parameters`` (those that are trained, with the constraints of their layers), or a list of such. The updates are
    those of these states, and of the optimizer's own: "<name>.step", "<name>.learning_rate", and what it remembers,
    "<name>.m.layers.0.weight"; their first values are ``optimizer.init(wrt, name=...)``. Two optimizers of a program
    need two names. Raises `GraphError` where there is nothing to train, and for `LBFGS`.

    >>> import pellucid as pel
    >>> from pellucid import optim
    >>> w = pel.state("w")
    >>> adam = optim.Adam(0.5)
    >>> step = pel.Program([], {}, optim.descend((w - 3) ** 2, w, adam))
    >>> run, memory = pel.executors.get().compile(step), {"w": 0.0} | adam.init(w)
    >>> for _ in range(100):
    ...     _ = run(memory)
    >>> list(memory), round(float(memory["w"]), 1)
    (['w', 'optimizer.step', 'optimizer.m.w', 'optimizer.v.w', 'optimizer.learning_rate'], 3.0)
    """
    optimizer = as_optimizer(optimizer)
    check_name(name)
    if isinstance(optimizer, LBFGS):
        raise ArgumentError("descend: LBFGS looks for the length of its steps, which only pellucid.Model and "
                            "pellucid.minimize do; use another optimizer, such as optim.Adam")  # fmt: skip
    states, constraints = trained(wrt)
    if not isinstance(cost, Value):
        raise GraphError(f"descend: the cost must be a Value, one number for all samples, got {cost!r}")
    pairs = list(zip(states, grad(cost, states), strict=True))
    of_samples = any(v.kind == "sample" for v in toposort([cost]))
    samples = batch_size(states[0].dtype) if of_samples and optimizer.gradient_accumulation_steps else 1.0
    return updates_of(pairs, optimizer, states[0].dtype, constraints, samples, name)
