"""How each kind of layer is written as a formula; what has none here is written by its operations. One rule for each.

A rule is given the layer, what its parameters are called, and its inputs' formulas; it gives the output's formula, and
perhaps further equations, such as those of gates. A layer of a user's has a method ``formula(p, *inputs)`` that gives
the same. Imports the room `formulas` and the sibling modules.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .. import ops
from ..errors import GraphError
from ..formulas import (
    ATOM,
    LOOSE,
    MATRIX,
    Formula,
    Line,
    Said,
    Writer,
    applied,
    call,
    compared,
    indexed,
    minus,
    number,
    over,
    plus,
    product,
    root,
    stacked,
    symbol,
    times,
    transposed,
)
from ..graph import Value, toposort
from ..reprs import options_of, shown
from .activations import ACTIVATIONS, linear
from .attention import AdditiveAttention, Attention, MultiHeadAttention, masked_softmax
from .conv import Conv, ConvTranspose, DepthwiseConv
from .dense import Dropout, GaussianNoise, SpatialDropout
from .embedding import Embedding, Masking, PositionalEncoding
from .layer import Layer
from .local import LocallyConnected
from .norm import BatchNorm, GroupNorm, LayerNorm, LocalResponseNorm, PixelNorm
from .pool import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool, UpSample, ZeroPad
from .recurrent import GRU, LSTM, RNN, Recurrent
from .scope import Call, Traced
from .sequence import TimeDistributed
from .settling import Feedback, Lateral, Settling
from .temporal import AvgPool1D, Conv1D, GlobalAvgPool1D, GlobalMaxPool1D, MaxPool1D

Symbols = Callable[[str], Formula | None]  # a parameter of the layer, by its name: None where there is none
Equations = Sequence[tuple[Formula, Formula]]
Written = Formula | tuple[Formula, Equations]

LETTERS = {"weight": "W", "bias": "b", "recurrent_weight": "R", "query_weight": "Wq", "key_weight": "Wk",
           "value_weight": "Wv", "output_weight": "Wo", "query_bias": "bq", "value_bias": "bv", "output_bias": "bo",
           "memory_weight": "U", "score_weight": "v", "moving_mean": "mu", "moving_variance": "var",
           "recurrent_bias": "c", "peephole": "p", "back_weight": "B",
           "hidden_weight": "Wh", "hidden_bias": "bh"}  # fmt: skip
RECURRENT = {"weight": "U", "recurrent_weight": "W"}  # as `Recurrent` calls them
PLACES = ("strides", "padding", "dilation", "groups", "output_padding")  # the options that a convolution shows


def biased(y: Formula, b: Formula | None) -> Formula:
    return y if b is None else plus(y, b)


def function(layer: Layer, p: Symbols, *inputs: Formula) -> Formula:
    """A layer as a function by its name: max_pool(x, 2)."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(layer).__name__).lower()
    hidden = {"name=", "trainable="}
    given = [(word, x) for word, x in options_of(layer) if word not in hidden and not word.endswith("_init=")]
    return applied(name, inputs, [word + shown(x) for word, x in given])


def convolution(layer: Any, p: Symbols, x: Formula) -> Formula:
    """W * x + b, as text conv(x, W)."""
    w = p("weight")
    assert w is not None
    names = {DepthwiseConv: "depthwise_conv", ConvTranspose: "conv_transpose", LocallyConnected: "local_conv"}
    name = next((name for kind, name in names.items() if isinstance(layer, kind)), "conv")
    more = [word + shown(v) for word, v in options_of(layer) if word[:-1] in PLACES]
    mask = getattr(layer, "mask", None)
    if mask is not None:
        w = times(w, symbol(f"array{ops.constant(mask).shape}"))
    turned = transposed(w) if name == "conv_transpose" else w
    stride = getattr(layer, "strides", 1)
    small = f"_{{/{stride}}}" if stride != 1 else ""
    y = Formula(f"{name}({', '.join([x.text, w.text, *more])})", 
                rf"{turned.within(ATOM).latex} \ast{small} {x.within(ATOM).latex}", tex=MATRIX)  # fmt: skip
    return biased(y, p("bias"))


def normalized(layer: Any, p: Symbols, x: Formula) -> Formula:
    over_what: dict[str, Any] = {"groups": layer.groups} if isinstance(layer, GroupNorm) else {}
    if isinstance(layer, LayerNorm) and layer.axis != -1:
        over_what = {"axis": layer.axis}
    mean = p("moving_mean") or call("mean", x, **over_what)
    variance = p("moving_variance") or call("var", x, **over_what)
    gamma, centered = p("gamma"), minus(x, mean)
    y = over(centered if gamma is None else times(gamma, centered), root(plus(variance, number(layer.epsilon))))
    return biased(y, p("beta"))


def embedding(layer: Embedding, p: Symbols, x: Formula) -> Formula:
    w = p("weight")
    assert w is not None
    return indexed(w, x.text)


def at(a: Formula, index: str) -> Formula:
    """A symbol with an index after its own: W1 of the gate i is W1_i."""
    return symbol(f"{a.text}_{index}" if "_" not in a.text else f"{a.text},{index}")


def recurrent(layer: Any, p: Symbols, x: Formula, *first: Formula) -> tuple[Formula, Equations]:
    """What a recurrent layer does at each step."""
    u, w, b = p("weight"), p("recurrent_weight"), p("bias")
    assert u is not None and w is not None
    before = "t+1" if layer.reverse else "t-1"
    xt, h, old, c, old_c = at(x, "t"), symbol("h_t"), symbol(f"h_({before})"), symbol("c_t"), symbol(f"c_({before})")

    def gate(letter: str, of: Formula = old) -> Formula:
        parts = [symbol(f"{a.text}_{letter}") if letter else a for a in (u, w, b) if a is not None]
        return biased(plus(product(parts[0], xt), product(parts[1], of)), parts[2] if b is not None else None)

    def peeped(gate_input: Formula, k: int, cell: Formula) -> Formula:
        peephole = p("peephole")
        return gate_input if peephole is None else plus(gate_input, times(indexed(peephole, f"{k}"), cell))

    i, f, g, o, r, z, n = (symbol(f"{letter}_t") for letter in "ifgorzn")
    if isinstance(layer, LSTM):
        equations = [(i, call("sigmoid", peeped(gate("i"), 0, old_c))),
                     (f, call("sigmoid", peeped(gate("f"), 1, old_c))),
                     (g, call("tanh", gate("g"))), (c, plus(times(f, old_c), times(i, g))),
                     (o, call("sigmoid", peeped(gate("o"), 2, c))), (h, times(o, call("tanh", c)))]  # fmt: skip
    elif isinstance(layer, GRU):
        hidden = product(symbol(f"{w.text}_n"), old)
        if layer.reset_after:
            kept = p("recurrent_bias")
            candidate = plus(biased(product(symbol(f"{u.text}_n"), xt), b and symbol(f"{b.text}_n")),
                             times(r, biased(hidden, kept)))  # fmt: skip
        else:
            candidate = gate("n", times(r, old).within(ATOM))
        equations = [(r, call("sigmoid", gate("r"))), (z, call("sigmoid", gate("z"))), (n, call("tanh", candidate)),
                     (h, plus(times(minus(number(1), z), n), times(z, old)))]  # fmt: skip
    elif isinstance(layer, RNN):
        name = layer.activation if isinstance(layer.activation, str) else shown(layer.activation)
        equations = [(h, call(name, gate("")))]
    else:
        equations = []
    y = call(type(layer).__name__, x, *first)
    what = ", all h_t" if layer.return_sequences else ", its last h_t"
    return Formula(y.text + what, y.latex + r"\text{" + what.replace("h_t", "}h_t"), LOOSE), equations


def settling(layer: Settling, letter: str, steps: int, first: Formula, new: Formula) -> tuple[Formula, Equations]:
    """What settles: y_0, and y_k of y_(k-1); the output is the last one."""
    if layer.rate != 1:
        new = plus(
            times(number(1 - layer.rate), symbol(f"{letter}_(k-1)"), scalar=True),
            times(number(layer.rate), new, scalar=True),
        )
    return symbol(f"{letter}_{steps}"), [(symbol(f"{letter}_0"), first), (symbol(f"{letter}_k"), new)]


def lateral(layer: Lateral, p: Symbols, x: Formula, place: str = "") -> tuple[Formula, Equations]:
    w, before = p("weight"), symbol(f"a{place}_(k-1)")
    name = layer.activation if isinstance(layer.activation, str) else shown(layer.activation)
    others = call("connections", before) if w is None else product(w, before)
    return settling(layer, f"a{place}", layer.steps, call(name, x), call(name, plus(x, others)))


def feedback(layer: Feedback, p: Symbols, x: Formula, place: str = "") -> tuple[Formula, Equations]:
    b, before = p("back_weight"), symbol(f"y{place}_(k-1)")
    back = call("back", before) if b is None else product(b, before)
    return settling(layer, f"y{place}", layer.steps, call("body", x), call("body", plus(x, back)))


def weights_of(layer: Any, scores: Formula, mask: Formula | None) -> Formula:
    """Softmax of the scores, those of step t for the steps s that it sees; what training drops of it."""
    weights = call("softmax", scores) if mask is None else call("masked_softmax", scores, mask)
    return applied("dropout", [weights], [shown(layer.dropout)]) if layer.dropout else weights


def attention(layer: Attention, p: Symbols, query: Formula, memory: Formula | None = None,
              values: Formula | None = None, mask: Formula | None = None) -> Formula:  # fmt: skip
    k = memory or query
    scores = over(product(query, transposed(k)), root(symbol("d")))
    return product(weights_of(layer, scores, mask), values or k)


def heads(layer: MultiHeadAttention, p: Symbols, query: Formula, memory: Formula | None = None,
          mask: Formula | None = None) -> tuple[Formula, Equations]:  # fmt: skip
    m = memory or query

    def projected(part: str, of: Formula) -> Formula:
        w = p(f"{part}_weight")
        assert w is not None
        return biased(product(of, transposed(w)), p(f"{part}_bias"))

    q, k, v, q_i, k_i, v_i = (symbol(name) for name in ("Q", "K", "V", "Q_i", "K_i", "V_i"))
    scores = over(product(q_i, transposed(k_i)), root(symbol("d")))
    equations = [(q, projected("query", query)), (k, projected("key", m)), (v, projected("value", m)),
                 (symbol("head_i"), product(weights_of(layer, scores, mask), v_i))]  # fmt: skip
    shown_heads = ["1", "...", str(layer.heads)] if layer.heads > 2 else [str(i + 1) for i in range(layer.heads)]
    all_heads = stacked([symbol(i if i == "..." else f"head_{i}") for i in shown_heads], ", ")
    return projected("output", all_heads), equations


def additive(layer: AdditiveAttention, p: Symbols, query: Formula, memory: Formula,
             mask: Formula | None = None) -> tuple[Formula, Equations]:  # fmt: skip
    w, u, v = p("query_weight"), p("memory_weight"), p("score_weight")
    assert w is not None and u is not None and v is not None
    inside = call("tanh", plus(product(w, query), product(u, at(memory, "s"))))
    weights, a = weights_of(layer, product(transposed(v), inside), mask), symbol("a_s")
    return call("sum", times(a, at(memory, "s"))), [(a, weights)]


RULES: dict[type, Callable[..., Written]] = (
    dict.fromkeys((Conv, DepthwiseConv, ConvTranspose, Conv1D, LocallyConnected), convolution)
    | dict.fromkeys((BatchNorm, LayerNorm, GroupNorm), normalized)
    | dict.fromkeys((MaxPool, AvgPool, GlobalMaxPool, GlobalAvgPool, UpSample, ZeroPad, MaxPool1D, AvgPool1D,
                     GlobalMaxPool1D, GlobalAvgPool1D, PixelNorm, LocalResponseNorm, Masking, PositionalEncoding,
                     Dropout, SpatialDropout, GaussianNoise), function)
    | {Lateral: lateral, Feedback: feedback, Embedding: embedding, Recurrent: recurrent, Attention: attention,
       MultiHeadAttention: heads,
       AdditiveAttention: additive}
)  # fmt: skip
BY_OPERATIONS = (TimeDistributed,)  # what is called within them sees one step only
AFTER = (*(kind for kind, rule in RULES.items() if rule is function),)  # they need no line of their own before them


def rule_of(layer: Any) -> Callable[..., Written] | None:
    """How a layer is written: by a method of its own, or its kind's rule; None: by its operations."""
    if callable(getattr(layer, "formula", None)):
        return own_formula
    for kind in type(layer).__mro__:
        if kind in RULES:
            return RULES[kind]
    return None


def own_formula(layer: Any, p: Symbols, *inputs: Formula) -> Written:
    """What a layer's method ``formula`` gives. Raises `GraphError` for anything else, and for unknown parameters."""
    kind = type(layer).__name__

    def known(name: str) -> Formula:
        found = p(name)
        if found is None:
            raise GraphError(f"{kind}.formula asks for the parameter {name!r}, which the layer has not; ask for "
                             'what it names in self.param("...")')  # fmt: skip
        return found

    written = layer.formula(known, *inputs)
    first = written[0] if isinstance(written, tuple) and not isinstance(written, Formula) else written
    if not isinstance(first, Formula):
        raise GraphError(f"{kind}.formula must give a Formula, as pellucid.formulas.call gives, got {written!r}")
    return written


def activation_of(part: Any) -> Callable[..., Formula] | None:
    """An activation as a function by its name, with its options."""
    plain, more = (part.func, part.keywords) if isinstance(part, partial) and not part.args else (part, {})
    name = getattr(plain, "__name__", "")
    if ACTIVATIONS.get(name) is not plain or plain is linear:
        return None
    return lambda *inputs: call(name, *inputs, **more)


class NetWriter:
    """Writes a traced net: `lines` and the formulas of what it gives, `outputs`.

    >>> from pellucid import input, nn
    >>> traced = nn.trace(nn.Sequential(nn.Dense(2), nn.sigmoid, nn.Dense(1)), input("x", (2,)))
    >>> for line in NetWriter(traced, {"x": traced.calls[0].inputs[0]}).lines:
    ...     print(line.name.text, "=", line.formula.text)
    h = sigmoid(W1 x + b1)
    y = W2 h + b2
    """

    def __init__(self, traced: Traced, inputs: dict[str, Value]) -> None:
        self.traced, self.inputs = traced, inputs
        outputs = {name: v for name, (v, _) in traced.outputs.items()} or {"y": traced.output}
        for single in (False, True):  # the only hidden line has no number
            self._write(outputs, single)
            if self.hidden != 1:
                break

    def _write(self, outputs: dict[str, Value], single: bool) -> None:
        self.hidden = 0
        named = {v: name for name, v in reversed(outputs.items())}
        self.symbols = self._parameters(Counter([*self.inputs, *outputs]))
        taken = {*self.inputs, *outputs, *(s.text for s in self.symbols.values())}
        free = (name for k in itertools.count(1) if (name := f"h{k}") not in taken)

        def fresh(v: Value) -> Formula:
            if v in named:
                return symbol(named[v])
            self.hidden += 1
            return symbol("h" if single and "h" not in taken else next(free))

        known = {v: symbol(name) for name, v in self.inputs.items()} | {
            p.value: self.symbols[name] for name, p in self.traced.parameters.items()
        }
        said, around = self._said(known)
        for v in self.inputs.values():
            for wrap in around.get(v, ()):
                known[v] = wrap(known[v])
        writer = Writer(known, fresh, said, around)
        writer.write(outputs.values(), whole=True)
        as_given = [Line(symbol(name), known[v] if v in known else symbol(named[v]), v)
                    for name, v in outputs.items() if v in known or named[v] != name]  # fmt: skip
        self.lines: list[Line] = writer.lines + as_given

    def _parameters(self, taken: Counter[str]) -> dict[str, Formula]:
        """What parameters are called: W1, b1, of the first layer that has some; not what is ``taken``."""
        places: dict[str, int] = {}
        found = {}
        stepped = {c.path for c in self.traced.calls if isinstance(c.layer, Recurrent)}
        for name in self.traced.parameters:
            place, _, own = name.rpartition(".")
            k = places.setdefault(place, len(places) + 1)
            letters = LETTERS | RECURRENT if place in stepped else LETTERS
            letter = f"{letters.get(own, own)}{k}"
            taken[letter] += 1
            found[name] = symbol(letter if taken[letter] == 1 else f"{letter}_{taken[letter]}")
        return found

    def _said(self, known: dict[Value, Formula]) -> tuple[dict[Value, Said], dict[Value, list[Any]]]:
        """What is written for the outputs of layers that have a rule, and around those that pass their input on."""
        graph = set(toposort([v for v, _ in self.traced.outputs.values()] or [self.traced.output]))
        said: dict[Value, Said] = {}
        around: dict[Value, list[Any]] = {}
        calls = [c for c in self.traced.calls if not c.inner and isinstance(c.output, Value) and c.output in graph]
        whole = [c.path for c in calls if isinstance(c.layer, BY_OPERATIONS) or (rule_of(c.layer) and c.path)]
        calls = [c for c in calls if not any(c.path.startswith(f"{path}.") for path in whole)]
        settled = [c for c in calls if isinstance(c.layer, Settling)]
        numbers = {
            id(c): str(k) for k, c in enumerate(settled, 1) if len(settled) > 1
        }  # the letters of only one have none
        for c in calls:
            if isinstance(c.layer, BY_OPERATIONS):
                continue
            if not c.inputs or not all(isinstance(i, Value) and i in graph for i in c.inputs):
                continue
            write = self._writing(c, numbers.get(id(c), ""))
            if write is None:
                continue
            if c.output in c.inputs:
                if isinstance(c.layer, (Dropout, SpatialDropout, GaussianNoise)):
                    around.setdefault(c.output, []).append(lambda f, write=write: write(f)[0])
            elif c.output not in said and c.output not in known:
                said[c.output] = Said(
                    c.inputs, write, step=isinstance(c.layer, Layer) and not isinstance(c.layer, AFTER)
                )
        return said, around

    def _writing(self, c: Call, place: str) -> Callable[..., tuple[Formula, Equations]] | None:
        rule = rule_of(c.layer) if isinstance(c.layer, Layer) else None
        if rule is None:
            name = activation_of(c.layer)
            return None if name is None else lambda *inputs: (name(*inputs), ())
        prefix = f"{c.path}." if c.path else ""
        if place:
            rule = partial(rule, place=place)
        for weights in self.traced.calls:
            if weights.layer is masked_softmax and weights.path == f"{prefix}weights":
                past, given = compared(symbol("s"), "<=", symbol("t")), symbol("mask")
                both = weights.inputs[1].primitive.name == "logical_and"
                mask = compared(past, "&", given) if both else past if getattr(c.layer, "causal", False) else given
                rule = partial(rule, mask=mask)

        def write(*inputs: Formula) -> tuple[Formula, Equations]:
            written = rule(c.layer, lambda name: self.symbols.get(prefix + name), *inputs)
            return (written, ()) if isinstance(written, Formula) else written

        return write

    def new_parameters(self) -> list[int]:
        """Of each line, how many parameters stand in it that none before it has."""
        seen: set[Value] = set()
        counts = []
        values = {p.value: p.count for p in self.traced.parameters.values()}
        for line in self.lines:
            there = set(toposort([line.value])) & set(values)
            counts.append(sum(values[v] for v in there - seen))
            seen |= there
        return counts
