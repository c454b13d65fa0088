"""JAX: the whole step under `jit` with the state donated; and a whole epoch under one `jit`, by `lax.scan`."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..contest import Job
from ..rows import OPTIMIZERS, Data, Row, flat


def first(row: Row, data: Data):
    """Weights, the optimizer's slots and the counter of steps."""
    weights = [(jnp.array(w), jnp.array(b)) for w, b in data.weights]
    slots = {"SGD": 0, "momentum": 1, "Adam": 2}[row.optimizer]
    return weights, [jax.tree.map(jnp.zeros_like, weights) for _ in range(slots)], jnp.zeros((), jnp.int32)


def logits(activation: str, weights, x):
    act = {"tanh": jnp.tanh, "relu": jax.nn.relu}[activation]
    for k, (w, b) in enumerate(weights):
        x = x @ w.T + b
        if k < len(weights) - 1:
            x = act(x)
    return x


def update(row: Row, state, x, y):
    def cost(weights):
        each = jax.nn.log_softmax(logits(row.activation, weights, x))
        return -jnp.take_along_axis(each, y[:, None], 1).mean()

    return descend(row.optimizer, state, jax.grad(cost)(state[0]))


def descend(optimizer: str, state, g):
    """Weights, slots and counter after a step along the gradient g."""
    weights, slots, count = state
    o, tree, count = OPTIMIZERS[optimizer], jax.tree.map, count + 1
    if optimizer == "Adam":
        m = tree(lambda m, g: o["beta_1"] * m + (1 - o["beta_1"]) * g, slots[0], g)
        v = tree(lambda v, g: o["beta_2"] * v + (1 - o["beta_2"]) * g * g, slots[1], g)
        a, b = 1 - o["beta_1"] ** count, 1 - o["beta_2"] ** count
        new = tree(lambda p, m, v: p - o["rate"] / a * m / (jnp.sqrt(v / b) + o["epsilon"]), weights, m, v)
        return new, [m, v], count
    if optimizer == "momentum":
        g = tree(lambda v, g: o["momentum"] * v + g, slots[0], g)
        slots = [g]
    return tree(lambda p, g: p - o["rate"] * g, weights, g), slots, count


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def one_step(row: Row, state, x, y, order, start):
    rows = lax.dynamic_slice(order, (start,), (row.batch,))
    return update(row, state, x[rows], y[rows])


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def one_epoch(row: Row, state, x, y, order):
    return lax.scan(lambda state, rows: (update(row, state, x[rows], y[rows]), None), state, order)[0]


def by_steps(row: Row, state, x, y, order):
    order = jnp.asarray(order.astype(np.int32))
    for i in range(0, len(order), row.batch):
        state = one_step(row, state, x, y, order, i)
    return state


def by_epochs(row: Row, state, x, y, order):
    return one_epoch(row, state, x, y, jnp.asarray(order.astype(np.int32).reshape(-1, row.batch)))


def step(row: Row, data: Data, threads: int, train=by_steps) -> Job:
    x, y = jnp.asarray(data.x), jnp.asarray(data.y)
    held = [first(row, data)]

    def run(order):
        held[0] = jax.block_until_ready(train(row, held[0], x, y, order))

    return Job(run, lambda: flat(held[0][0]))


def fit(row: Row, data: Data, threads: int, train=by_steps) -> Job:
    """From new weights on; the compiled step stays in memory."""
    x, y = jnp.asarray(data.x), jnp.asarray(data.y)
    rng = np.random.default_rng(0)

    def run(order):
        state = first(row, data)
        for _ in range(row.epochs):
            state = train(row, state, x, y, rng.permutation(row.samples))
        jax.block_until_ready(state)

    return Job(run)


def scan_step(row: Row, data: Data, threads: int) -> Job:
    return step(row, data, threads, by_epochs)


def scan_fit(row: Row, data: Data, threads: int) -> Job:
    return fit(row, data, threads, by_epochs)


def predict(row: Row, data: Data, threads: int) -> Job:
    weights = first(row, data)[0]
    apply = jax.jit(lambda weights, x: jax.nn.softmax(logits(row.activation, weights, x)))
    last = []

    def run(order):
        for i in order.tolist():
            y = np.asarray(apply(weights, data.x[i : i + 1]))
        last[:] = [y]

    return Job(run, lambda: last[0].ravel())
