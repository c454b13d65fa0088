"""JAX on images: Pellucid's layers as functions of the same weights, in NCHW, under `jit`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from pellucid import nn
from pellucid.nn import zoo

from ..contest import Job
from ..images import NETS, ImageData, ImageRow
from ..rows import OPTIMIZERS


def apply(layer, x, weights: Iterator, moving: Iterator, new: list | None):
    """The layer's output; weights and moving statistics come in the order of the net's layers.

    In training new statistics are put into ``new``; where that is None, the given ones are used.
    """
    again = partial(apply, weights=weights, moving=moving, new=new)
    channels = lambda v: v[:, None, None]
    match layer:
        case nn.Sequential():
            for part in layer.layers:
                x = again(part, x)
            return x
        case nn.Residual():
            y = again(layer.body, x)
            return y + (again(layer.shortcut, x) if layer.shortcut else x)
        case nn.Conv():
            pad = {"same": "SAME", "valid": "VALID"}.get(str(layer.padding), layer.padding)
            pad = [(pad, pad)] * 2 if isinstance(pad, int) else pad
            y = lax.conv_general_dilated(x, next(weights), (layer.strides,) * 2, pad, feature_group_count=layer.groups)
            return y + channels(next(weights)) if layer.bias else y
        case nn.Dense():
            return x @ next(weights).T + next(weights)
        case nn.BatchNorm():
            mean, var = next(moving), next(moving)
            gamma, beta = next(weights), next(weights)
            if new is not None:
                n, m = x.size / x.shape[1], layer.momentum
                held, (mean, var) = (mean, var), (x.mean((0, 2, 3)), x.var((0, 2, 3)))
                new += [m * held[0] + (1 - m) * mean, m * held[1] + (1 - m) * var * n / (n - 1)]
            scale = gamma * lax.rsqrt(var + layer.epsilon)
            return x * channels(scale) + channels(beta - mean * scale)
        case nn.MaxPool():
            pad, strides = 0 if layer.padding == "valid" else layer.padding, layer.strides or layer.size
            return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, layer.size, layer.size), (1, 1, strides, strides),
                                     [(0, 0)] * 2 + [(pad, pad)] * 2)  # fmt: skip
        case nn.LocalResponseNorm():
            half = layer.size // 2
            total = lax.reduce_window(x * x, 0.0, lax.add, (1, layer.size, 1, 1), (1, 1, 1, 1),
                                      [(0, 0), (half, half), (0, 0), (0, 0)])  # fmt: skip
            return x * (layer.k + layer.alpha * total) ** -layer.beta
        case nn.GlobalAvgPool():
            return x.mean((2, 3))
        case nn.Flatten():
            return x.reshape(len(x), -1)
        case zoo.PadShortcut():
            more = layer.filters - x.shape[1]
            kept = x[:, :, :: layer.strides, :: layer.strides]
            return jnp.pad(kept, [(0, 0), (more // 2, more - more // 2), (0, 0), (0, 0)])
    assert layer is nn.relu, layer
    return jax.nn.relu(x)


def first(data: ImageData) -> tuple[list, list]:
    """Trained weights, and moving statistics."""
    both = [[jnp.array(a) for k, a in data.parameters.items() if (k in data.trained) == t] for t in (True, False)]
    return both[0], both[1]


def step(row: ImageRow, data: ImageData, threads: int) -> Job:
    net, o, tree = NETS[row.net](), OPTIMIZERS[row.optimizer], jax.tree.map

    def cost(weights, moving, x, y):
        new: list = []
        each = jax.nn.log_softmax(apply(net, x, iter(weights), iter(moving), new))
        return -jnp.take_along_axis(each, y[:, None], 1).mean(), new

    @partial(jax.jit, donate_argnums=0)
    def update(state, x, y, order, start):
        weights, velocity, moving = state
        rows = lax.dynamic_slice(order, (start,), (row.batch,))
        g, moving = jax.grad(cost, has_aux=True)(weights, moving, x[rows], y[rows])
        velocity = tree(lambda v, g: o.get("momentum", 0.0) * v + g, velocity, g)
        return tree(lambda p, v: p - o["rate"] * v, weights, velocity), velocity, moving

    weights, moving = first(data)
    x, y, held = jnp.asarray(data.x), jnp.asarray(data.y), [(weights, tree(jnp.zeros_like, weights), moving)]

    def run(order):
        order = jnp.asarray(order.astype(np.int32))
        for i in range(0, len(order), row.batch):
            held[0] = update(held[0], x, y, order, i)
        jax.block_until_ready(held[0])

    return Job(run, lambda: np.concatenate([np.asarray(a).ravel() for a in held[0][0]]))


def predict(row: ImageRow, data: ImageData, threads: int) -> Job:
    net, (weights, moving), last = NETS[row.net](), first(data), []
    probabilities = jax.jit(lambda w, m, x: jax.nn.softmax(apply(net, x, iter(w), iter(m), None)))

    def run(order):
        for i in order.tolist():
            y = np.asarray(probabilities(weights, moving, data.x[i : i + 1]))
        last[:] = [y]

    return Job(run, lambda: last[0].ravel())


def conv(row: ImageRow, data: ImageData, threads: int) -> Job:
    net, x, weights, last = NETS[row.net](), jnp.asarray(data.x), first(data)[0], []

    @jax.jit
    def both(x, weights):
        y, back = jax.vjp(lambda x, w: apply(net, x, iter(w), iter([]), None), x, weights)
        return y, *back(y)

    def run(order):
        last[:] = jax.block_until_ready(both(x, weights))

    return Job(run, lambda: np.asarray(last[2][0]).ravel())
