"""Recurrent layers: a state that is carried from step to step of a sequence. Imports graph, ops and its siblings.

A cell is one formula, (state, projected input) -> state; `Recurrent` runs it over a sequence, by `ops.scan`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from functools import partial
from typing import Any, ClassVar

from .. import ops
from ..checks import checked, counted, flag, function, number, whole, wrong
from ..errors import ArgumentError, GraphError
from ..graph import Value
from .calls import scan_of_calls
from .combine import as_callable
from .dense import bias_of
from .embedding import as_steps
from .init import glorot_uniform, orthogonal, zeros
from .layer import Layer, as_float, within
from .masks import hand_on, mask_of
from .stepwise import carried, leave

States = tuple[Value, ...]


class Recurrent(Layer):
    """Base of the recurrent layers: s_t = cell(s_(t-1), U x_t + b), with output y_t = h_t, the first part of the state.

    Shapes: x (T, C) to the last output (units,), or to all, (T, units), with ``return_sequences=True``; weight U
    (gates * units, C), recurrent_weight W (gates * units, units), bias (gates * units,). The state is (units,) each of
    ``states``; it starts from 0, or from further inputs: ``layer(x, h)``. Steps that the mask of x leaves out do not
    change it, and their output repeats the last one.

    - ``return_state=True``: the result is a tuple, (y, h) or (y, h, c), for a net that is a function.
    - ``reverse=True``: from the last step to the first; y_t still belongs to x_t.
    - ``stateful=n``: for batches of always n samples: in training, sample i of a batch begins with the state that
      sample i of the batch before ended with. Fit with ``batch_size=n, shuffle=False``. Other runs start from 0.
    - ``train_bias=False``: biases stay as they start.
    - `Model.layer_outputs` shows what is inside at each step, (T, units): ``<layer>.h``, and gates by their names.
    - ``truncate=k``, ``remat=True``: as in `ops.scan`: gradients over k steps at most; less memory for more time.

    Raises `GraphError` where the input is not (T, C), has no steps, or an initial state has another shape.
    """

    units: int
    return_sequences: bool = field(default=False, kw_only=True)
    return_state: bool = field(default=False, kw_only=True)
    reverse: bool = field(default=False, kw_only=True)
    stateful: int | None = field(default=None, kw_only=True)
    truncate: int | None = field(default=None, kw_only=True)
    remat: bool = field(default=False, kw_only=True)
    bias: bool = field(default=True, kw_only=True)
    train_bias: bool = field(default=True, kw_only=True)
    weight_init: Callable = field(default=glorot_uniform, kw_only=True)
    recurrent_init: Callable = field(default=orthogonal, kw_only=True)
    bias_init: Callable = field(default=zeros, kw_only=True)

    gates: ClassVar[int] = 1
    states: ClassVar[tuple[str, ...]] = ("h",)

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "units")
        checked(self, whole, "stateful", "truncate", optional=True)
        checked(self, flag, "return_sequences", "return_state", "reverse", "remat", "bias", "train_bias")
        checked(self, function, "weight_init", "recurrent_init", "bias_init")
        if self.stateful and self.reverse:
            raise ArgumentError(f"{type(self).__name__}: stateful={self.stateful} carries a state from the end of a "
                                "batch to the beginning of the next, so it needs reverse=False")  # fmt: skip

    def __call__(self, x: Value, *initial: Value) -> Any:
        x, mask = as_steps(x, 2), mask_of(x)
        first = carried(x, self._first(x, initial))

        def body(state: States, given: States) -> tuple[States, Value]:
            new, y = self.step(state, given[0])
            if mask is not None:
                new = tuple(ops.where(given[1], a, b) for a, b in zip(new, state, strict=True))
                y = new[0]
            for name, v in zip(self.states, new, strict=True):
                self.note("C" if name == "c" else name, v)
            return new, y

        xs = (x,) if mask is None else (x, mask)
        last, ys = scan_of_calls(body, first, xs, reverse=self.reverse, truncate=self.truncate, remat=self.remat)
        leave(first, last, ys)
        if self.stateful:
            for before, end in zip(self._kept(), last, strict=True):
                self.update(before, partial(_rows, end, before.shape[0]))
        y = hand_on(ys, x) if self.return_sequences else last[0]
        return (y, *last) if self.return_state else y

    def by_step(self, *inputs: Value) -> bool:
        return not self.reverse

    def step(self, state: States, x: Value) -> tuple[States, Value]:
        """One step: the state (h,) or (h, c), each (units,), and an input (C,) to the next state and the output.

        For a loop of one's own, where what a step gives decides what the next one takes.
        """
        with within(self):
            new = self.cell(state, self.project(x))
        return new, new[0]

    def project(self, x: Value) -> Value:
        """U x + b: what does not wait for the state, so `ops.scan` computes it for all steps at once."""
        n = self.gates * self.units
        y = ops.contract(self.param("weight", (n, x.shape[0]), self.weight_init), x, "ij,j->i")
        return y + bias_of(self, (n,), self.first_bias) if self.bias else y

    def cell(self, state: States, pre: Value) -> States:
        """The state after a step, of the state before it and the projected input (gates * units,)."""
        raise NotImplementedError(f"{type(self).__name__} must define cell")

    def first_bias(self, key: Value, shape: tuple[int, ...], dtype: str) -> Value:
        return self.bias_init(key, shape, dtype)

    def recurrent_weight(self) -> Value:
        return self.param("recurrent_weight", (self.gates * self.units, self.units), self.recurrent_init)

    def parts(self, z: Value) -> list[Value]:
        """Each gate's own (units,) numbers of all."""
        return [z[k : k + self.units] for k in range(0, z.shape[0], self.units)]

    def _first(self, x: Value, initial: Sequence[Value]) -> States:
        """The state before the first step."""
        kept = self._kept()
        if initial:
            if [v.shape for v in initial] != [(self.units,)] * len(self.states):
                raise GraphError(f"takes {len(self.states)} initial states ({', '.join(self.states)}), each of shape "
                                 f"({self.units},), got {', '.join(str(v.shape) for v in initial)}")  # fmt: skip
            if self.stateful:
                raise GraphError(f"begins with the state of the batch before (stateful={self.stateful}), so it takes "
                                 "no initial states")  # fmt: skip
            return tuple(as_float(v) for v in initial)
        if self.stateful and self.training:
            return tuple(ops.each_sample(v) for v in kept)
        return (ops.fill(0, (self.units,), x.dtype),) * len(self.states)

    def _kept(self) -> list[Value]:
        """The state of each of n samples between batches, (n, units)."""
        shape = (self.stateful or 0, self.units)
        return [self.param(f"state.{name}", shape, zeros, count=0, trainable=False) for name in self.states
                if self.stateful]  # fmt: skip


def _rows(x: Value, n: int, _: Value) -> Value:
    """The state of n samples, (n, units), in the place of what it was."""
    return ops.all_samples(ops.to_samples(x) if x.kind == "shared" else x, n)


class RNN(Recurrent):
    """The simple recurrent layer: h_t = tanh(W h_(t-1) + U x_t + b).

    Shapes and options, ``train_bias`` too: `Recurrent`. ``activation`` is a name or a function. Lecture: 001,
    "Recurrent Neural Network", h_t = tanh(W_hh h_(t-1) + W_xh x_t); Elman, "Finding structure in time", 1990.

    >>> from pellucid import input, nn
    >>> traced = nn.trace(nn.RNN(8, return_sequences=True), input("x", (5, 3)))
    >>> traced.output.shape, sum(p.count for p in traced.parameters.values())  # 8 * 8 + 8 * 3 + 8
    ((5, 8), 96)
    """

    activation: Callable | str = "tanh"

    def __post_init__(self) -> None:
        super().__post_init__()
        if told := counted(self, self.activation, self.activation):
            raise wrong(self, "activation", "a layer or a function of a Value", self.activation, hint=told)
        as_callable(self, "activation", self.activation)

    def cell(self, state: States, pre: Value) -> States:
        f = as_callable(self, "activation", self.activation)
        return (f(ops.contract(self.recurrent_weight(), state[0], "ij,j->i") + pre),)


class LSTM(Recurrent):
    """Long short-term memory: a cell state c that gates erase, write to, and let out.

        i, f, o = sigmoid(W h_(t-1) + U x_t + b)    the gates: input, forget, output
        g = tanh(W h_(t-1) + U x_t + b)             the candidate, C~ in the lecture
        c_t = f * c_(t-1) + i * g
        h_t = o * tanh(c_t)

    Shapes and options, ``train_bias`` too: `Recurrent`, with states (h, c); rows of the weights belong to i, f, g, o in
    this order, units each, as PyTorch has them. ``forget_bias``: where the bias of f starts. ``peepholes=True``: the
    gates see the cell state too, i and f the last one, o the new one, times weights ``peephole`` (3, units) (Gers and
    Schmidhuber, 2000). Lecture: 003, "Investigating LSTM components"; Hochreiter and Schmidhuber, 1997.

    >>> from pellucid import input, nn
    >>> traced = nn.trace(nn.LSTM(8), input("x", (5, 3)))
    >>> traced.output.shape, sum(p.count for p in traced.parameters.values())  # 4 * (8 * (8 + 3) + 8)
    ((8,), 384)
    """

    forget_bias: float = field(default=1.0, kw_only=True)
    peepholes: bool = False

    gates = 4
    states = ("h", "c")

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, number, "forget_bias")
        checked(self, flag, "peepholes", hint=counted(self, self.peepholes, self.peepholes))

    def cell(self, state: States, pre: Value) -> States:
        h, c = state
        i, f, g, o = self.parts(ops.contract(self.recurrent_weight(), h, "ij,j->i") + pre)
        if self.peepholes:
            p = self.param("peephole", (3, self.units), zeros)
            i, f = i + p[0] * c, f + p[1] * c
        f, i, candidate = ops.sigmoid(f), ops.sigmoid(i), ops.tanh(g)
        c = f * c + i * candidate
        if self.peepholes:
            o = o + p[2] * c
        o = ops.sigmoid(o)
        for name, v in {"f": f, "i": i, "o": o, "candidate": candidate}.items():
            self.note(name, v)
        return o * ops.tanh(c), c

    def first_bias(self, key: Value, shape: tuple[int, ...], dtype: str) -> Value:
        i, f, g, o = self.parts(self.bias_init(key, shape, dtype))
        return ops.concatenate([i, f + self.forget_bias, g, o])


class GRU(Recurrent):
    """The gated recurrent unit: a state that one gate overwrites and another hides from the candidate.

        r, z = sigmoid(W h_(t-1) + U x_t + b)
        n = tanh(r * (W h_(t-1) + recurrent_bias) + U x_t + b)
        h_t = (1 - z) * n + z * h_(t-1)

    Shapes and options, ``train_bias`` too: `Recurrent`; rows of the weights belong to r, z, n in this order, units
    each, as in PyTorch, whose second bias of r and z is in the one ``bias`` here; ``recurrent_bias`` (units,) is that
    of n. ``reset_after=False``: n = tanh(W (r * h_(t-1)) + U x_t + b), as first published, without recurrent_bias. Cho
    et al., EMNLP 2014.

    >>> from pellucid import input, nn
    >>> traced = nn.trace(nn.GRU(8), input("x", (5, 3)))
    >>> traced.output.shape, sum(p.count for p in traced.parameters.values())  # 3 * (8 * (8 + 3) + 8) + 8
    ((8,), 296)
    """

    reset_after: bool = True

    gates = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, flag, "reset_after", hint=counted(self, self.reset_after, self.reset_after))

    def cell(self, state: States, pre: Value) -> States:
        (h,), w, n = state, self.recurrent_weight(), 2 * self.units
        if self.reset_after:
            z = ops.contract(w, h, "ij,j->i")
            hidden = z[n:] + bias_of(self, (self.units,), name="recurrent_bias") if self.bias else z[n:]
            reset, keep = self.parts(ops.sigmoid(z[:n] + pre[:n]))
            candidate = ops.tanh(reset * hidden + pre[n:])
        else:
            reset, keep = self.parts(ops.sigmoid(ops.contract(w[:n], h, "ij,j->i") + pre[:n]))
            candidate = ops.tanh(ops.contract(w[n:], reset * h, "ij,j->i") + pre[n:])
        for name, v in {"r": reset, "z": keep, "candidate": candidate}.items():
            self.note(name, v)
        return ((1 - keep) * candidate + keep * h,)
