"""Attention: for each query, a mean of the memory's steps, weighted by how well they fit. Imports graph, ops, siblings.

Shapes of one sample: queries (T, ...), memory (S, ...), weights (T, S) or (heads, T, S). Steps of the memory that its
mask leaves out get the weight 0; where nothing is left all weights are 0. While a net is traced, an attention layer's
weights are noted beside its output, as ``NAME.weights``: `Model.layer_outputs` shows them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import field
from typing import Any

from .. import ops
from ..checks import checked, flag, function, whole
from ..errors import GraphError
from ..graph import Value
from .dense import bias_of, drop, rate
from .embedding import as_steps
from .init import glorot_uniform, uniform, zeros
from .layer import Layer, apply, as_float
from .masks import mask_of, with_mask
from .stepwise import in_time


def _masked_softmax_vjp(g, y, scores, mask):
    return y * (g - ops.sum(g * y, -1, keepdims=True)), None


@ops.with_vjp(_masked_softmax_vjp)
def masked_softmax(scores: Value, mask: Value) -> Value:
    """Softmax along the last axis of those scores alone where the mask is True; 0 elsewhere, and in rows without any.

    The mask has the shape of the scores, or that of their last axes.

    >>> from pellucid import input
    >>> masked_softmax(input("scores", (4, 7)), input("mask", (7,), "bool")).shape
    (4, 7)
    """
    largest = ops.max(ops.where(mask, scores, LEAST), -1, keepdims=True)
    e = ops.where(mask, ops.exp(scores - largest), 0)
    total = ops.sum(e, -1, keepdims=True)
    return e / ops.where(total > 0, total, 1)


LEAST = -1e30  # less than any score, and a number, so that rows without any give no NaN


def causal_mask(queries: int, steps: int) -> Value:
    """Which steps each query sees: those at its own place and before it, bool (queries, steps)."""
    t, s = ops.iota(queries)[:, None], ops.iota(steps)
    return t >= s


class Attends(Layer):
    """What attention layers share: how scores become weights."""

    def by_step(self, *inputs: Value) -> bool:
        return len(inputs) > 1 and not any(map(in_time, inputs[1:]))  # a memory that is there as a whole

    def weigh(self, scores: Value, memory: Value, causal: bool, dropout: float) -> Value:
        """Softmax of the scores (..., T, S) over the memory's steps, those that are there and may be seen."""
        mask = mask_of(memory)
        if causal:
            past = causal_mask(*scores.shape[-2:])
            mask = past if mask is None else past & mask
        how = (ops.softmax, scores) if mask is None else (masked_softmax, scores, mask)
        return drop(self, apply("weights", *how), dropout, "sample")


class Attention(Attends):
    """The values' mean by scaled dot products: y_t = sum_s a_ts v_s, a_t = softmax_s(q_t . k_s / sqrt(units)).

    Shapes: query (T, units), or (units,) for one, memory (S, units), to (T, units); no parameters. Without a memory
    the query attends to itself; ``values`` (S, n), other than the memory, give (T, n). ``causal``: a step sees itself
    and the steps before it, of its own sequence. ``dropout``: the rate at which weights are dropped in training.
    ``return_weights=True`` in the call gives (y, a). Luong et al., EMNLP 2015; Vaswani et al., NeurIPS 2017.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.Attention(), input("query", (4, 8)), input("memory", (7, 8))).output.shape
    (4, 8)
    """

    causal: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, rate, "dropout")
        checked(self, flag, "causal")

    def __call__(
        self, query: Value, memory: Value | None = None, values: Value | None = None, *, return_weights: bool = False
    ) -> Value | tuple[Value, Value]:
        check_causal(self.causal, memory)
        memory = as_steps(query if memory is None else memory, 2)
        values = memory if values is None else as_steps(values, 2)
        q = as_queries(query)
        if q.shape[-1] != memory.shape[1] or len(values) != len(memory):
            raise GraphError(f"the query has {q.shape[-1]} features, the memory {memory.shape}, the values "
                             f"{values.shape}; query and memory must have as many features, memory and values as many "
                             "steps; nn.AdditiveAttention and nn.MultiHeadAttention project them")  # fmt: skip
        scores = ops.contract(q * (1 / math.sqrt(q.shape[1])), memory, "td,sd->ts")
        weights = self.weigh(scores, memory, self.causal, self.dropout)
        return attended(query, ops.contract(weights, values, "ts,sd->td"), weights, return_weights)


class AdditiveAttention(Attends):
    """The memory's mean by a small network's scores: y_t = sum_s a_ts m_s, a_ts = softmax_s(v . tanh(W q_t + U m_s)).

    Shapes: query (T, n), or (n,) for one, as a decoder's state, memory (S, m), to (T, m) or (m,); query_weight W
    (units, n), memory_weight U (units, m), score_weight v (units,). The options are those of `Attention`. Bahdanau, Cho
    and Bengio, "Neural machine translation by jointly learning to align and translate", ICLR 2015.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.AdditiveAttention(16), input("state", (8,)), input("memory", (7, 12))).output.shape
    (12,)
    """

    units: int
    dropout: float = 0.0
    weight_init: Callable = glorot_uniform
    score_init: Callable = uniform

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "units")
        checked(self, rate, "dropout")
        checked(self, function, "weight_init", "score_init")

    def __call__(self, query: Value, memory: Value, *, return_weights: bool = False) -> Value | tuple[Value, Value]:
        memory, q = as_steps(memory, 2), as_queries(query)
        w = self.param("query_weight", (self.units, q.shape[1]), self.weight_init)
        u = self.param("memory_weight", (self.units, memory.shape[1]), self.weight_init)
        v = self.param("score_weight", (self.units,), self.score_init)
        asked, offered = ops.contract(w, q, "ud,td->tu"), ops.contract(u, memory, "um,sm->su")
        fit = ops.tanh(asked[:, None] + offered[None])  # (T, S, units)
        weights = self.weigh(ops.contract(v, fit, "u,tsu->ts"), memory, False, self.dropout)
        return attended(query, ops.contract(weights, memory, "ts,sm->tm"), weights, return_weights)


class MultiHeadAttention(Attends):
    """Scaled dot-product attention by several heads side by side, each on projections of its own.

    y = W_o [head_1 ... head_h] + b_o, head_i = a V_i, a = softmax(Q_i K_i^T / sqrt(units / heads)), where head i has
    the i-th part of the units of Q = W_q query + b_q, K = W_k memory and V = W_v memory + b_v. Keys have no bias: it
    would add the same to all scores of a query, and change nothing.

    Shapes: query (T, n), memory (S, m), to (T, units); weights (heads, T, S); query_weight (units, n), key_weight and
    value_weight (units, m), output_weight (units, units); query_bias, value_bias and output_bias (units,). ``units``
    is n by default. Without a memory the query attends to itself; ``causal``: each step to itself and those before.
    ``dropout`` and ``return_weights`` are those of `Attention`; ``train_bias=False``: biases stay as they start. Raises
    `GraphError` where heads do not divide units.
    Vaswani et al., "Attention is all you need", NeurIPS 2017.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.MultiHeadAttention(4, 32), input("x", (10, 24))).output.shape
    (10, 32)
    """

    heads: int
    units: int | None = None
    causal: bool = False
    dropout: float = 0.0
    bias: bool = True
    weight_init: Callable = glorot_uniform
    bias_init: Callable = zeros
    train_bias: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "heads")
        checked(self, whole, "units", optional=True)
        checked(self, rate, "dropout")
        checked(self, flag, "causal", "bias", "train_bias")
        checked(self, function, "weight_init", "bias_init")
        if self.units is not None:
            check_heads(self.heads, self.units)

    def __call__(
        self, query: Value, memory: Value | None = None, *, return_weights: bool = False
    ) -> Value | tuple[Value, Value]:
        check_causal(self.causal, memory)
        x = as_steps(query, 2)
        memory = x if memory is None else as_steps(memory, 2)
        units = self.units or x.shape[1]
        check_heads(self.heads, units)
        size = units // self.heads
        q = split(project(self, "query", units, x) * (1 / math.sqrt(size)), self.heads)
        k = split(project(self, "key", units, memory, bias=False), self.heads)
        v = split(project(self, "value", units, memory), self.heads)
        weights = self.weigh(ops.contract(q, k, "thd,shd->hts"), memory, self.causal, self.dropout)
        heads = ops.contract(weights, v, "hts,shd->thd")
        y = project(self, "output", units, ops.reshape(heads, (len(x), units)))
        return attended(query, y, weights, return_weights)


# ---- what these layers share ------------------------------------------------------------------------------------


def project(layer: Any, part: str, units: int, x: Value, bias: bool = True) -> Value:
    """W x_t + b at each step, with a layer's parameters PART_weight (units, n) and PART_bias: (T, n) to (T, units)."""
    y = ops.contract(layer.param(f"{part}_weight", (units, x.shape[1]), layer.weight_init), x, "ij,tj->ti")
    return y + bias_of(layer, (units,), name=f"{part}_bias") if layer.bias and bias else y


def split(x: Value, heads: int) -> Value:
    """(T, units) to (T, heads, units / heads)."""
    return ops.reshape(x, (len(x), heads, x.shape[1] // heads))


def attended(query: Value, y: Value, weights: Value, return_weights: bool) -> Value | tuple[Value, Value]:
    """What a call gives: y (T, n), with the query's mask, and the weights if asked; without T for one query."""
    if query.ndim == 1:
        y, weights = y[0], weights[0]
    else:
        with_mask(y, mask_of(query))
    return (y, weights) if return_weights else y


def as_queries(query: Value) -> Value:
    """Queries (T, features) as floats, of one (features,) too."""
    return as_float(query)[None] if query.ndim == 1 else as_steps(query, 2)


def check_causal(causal: bool, memory: Value | None) -> None:
    if causal and memory is not None:
        raise GraphError("causal attention is of a sequence to itself, but a memory is given; use causal=False, "
                         "or call the layer with the sequence alone")  # fmt: skip


def check_heads(heads: int, units: int) -> None:
    if units % heads:
        fitting = ", ".join(str(n) for n in range(1, units + 1) if units % n == 0)
        raise GraphError(f"heads={heads} does not divide {units} units; use one of {fitting}")
