"""Blocks of a Transformer, for encoders, causal language models and decoders. Imports graph, ops and the siblings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any

from ..checks import checked, flag, function, whole
from ..graph import Value
from .attention import MultiHeadAttention, project
from .combine import as_callable
from .dense import drop, rate
from .embedding import as_steps
from .init import glorot_uniform, zeros
from .layer import Layer
from .masks import hand_on
from .norm import LayerNorm


class FeedForward(Layer):
    """At each step by itself, two dense layers: y_t = W_2 f(W_1 x_t + b_1) + b_2.

    Shapes: (T, units) as it is; hidden_weight W_1 (hidden, units), output_weight W_2 (units, hidden), and their biases.
    ``dropout`` is the rate at which hidden units are dropped in training; ``train_bias=False``: biases stay as they
    start.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.FeedForward(64), input("x", (10, 16))).parameters["hidden_weight"].value.shape
    (64, 16)
    """

    hidden: int
    activation: Any = "gelu"
    dropout: float = 0.0
    bias: bool = True
    weight_init: Callable = glorot_uniform
    bias_init: Callable = zeros
    train_bias: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        checked(self, whole, "hidden")
        checked(self, rate, "dropout")
        checked(self, flag, "bias", "train_bias")
        checked(self, function, "weight_init", "bias_init")
        checked(self, as_callable, "activation")

    def by_step(self, *inputs: Value) -> bool:
        return True

    def __call__(self, x: Value) -> Value:
        x = as_steps(x, 2)
        hidden = self.activation(project(self, "hidden", self.hidden, x))
        return project(self, "output", x.shape[1], drop(self, hidden, self.dropout, "sample"))


class TransformerBlock(Layer):
    """Self-attention, then a small network at each step, each added to its input and normalized.

    With ``pre_norm`` x + part(norm(x)) for either part, as in most nets today, which then end with an `nn.LayerNorm`;
    without it norm(x + part(x)), as in the paper. Shapes: (T, units) as it is; masks are heeded and handed on.
    ``hidden`` units in the network; ``causal``: a step sees itself and the steps before it, as a language model must;
    ``dropout``: the rate in training, of attention weights, hidden units, and what either part adds. Vaswani et al.,
    "Attention is all you need", NeurIPS 2017; Xiong et al., "On layer normalization in the Transformer", ICML 2020.

    >>> from pellucid import input, nn
    >>> t = nn.trace(nn.TransformerBlock(4, 64), input("x", (10, 16)))
    >>> t.output.shape, sum(p.value.size for p in t.parameters.values())
    ((10, 16), 3264)
    """

    heads: int
    hidden: int
    dropout: float = 0.0
    causal: bool = False
    pre_norm: bool = True
    activation: Any = "gelu"
    attention: MultiHeadAttention = field(init=False)
    attention_norm: LayerNorm = field(init=False)
    feed_forward: FeedForward = field(init=False)
    feed_forward_norm: LayerNorm = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_block(self, "causal", "pre_norm")
        set_parts(self, attention=MultiHeadAttention(self.heads, causal=self.causal, dropout=self.dropout))

    def __call__(self, x: Value) -> Value:
        x = add_part(self, self.attention, self.attention_norm, as_steps(x, 2))
        return add_part(self, self.feed_forward, self.feed_forward_norm, x)


class TransformerDecoderBlock(Layer):
    """Causal self-attention, attention to a memory, then a small network at each step: ``block(x, memory)``.

    Shapes: x (T, units) as it is, memory (S, n), the encoder's output, whose mask is heeded. The options are those of
    `TransformerBlock`.

    >>> from pellucid import input, nn
    >>> nn.trace(nn.TransformerDecoderBlock(4, 64), input("x", (10, 16)), input("memory", (7, 16))).output.shape
    (10, 16)
    """

    heads: int
    hidden: int
    dropout: float = 0.0
    pre_norm: bool = True
    activation: Any = "gelu"
    attention: MultiHeadAttention = field(init=False)
    attention_norm: LayerNorm = field(init=False)
    memory_attention: MultiHeadAttention = field(init=False)
    memory_attention_norm: LayerNorm = field(init=False)
    feed_forward: FeedForward = field(init=False)
    feed_forward_norm: LayerNorm = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_block(self, "pre_norm")
        set_parts(
            self,
            attention=MultiHeadAttention(self.heads, causal=True, dropout=self.dropout),
            memory_attention=MultiHeadAttention(self.heads, dropout=self.dropout),
        )

    def __call__(self, x: Value, memory: Value) -> Value:
        x = add_part(self, self.attention, self.attention_norm, as_steps(x, 2))
        x = add_part(self, self.memory_attention, self.memory_attention_norm, x, memory)
        return add_part(self, self.feed_forward, self.feed_forward_norm, x)


def check_block(block: Any, *flags: str) -> None:
    checked(block, whole, "heads", "hidden")
    checked(block, rate, "dropout")
    checked(block, flag, *flags)
    checked(block, as_callable, "activation")


def set_parts(block: Any, **attention: MultiHeadAttention) -> None:
    """Make the parts of a block: attention, the small network, and a normalization for each; a part it has stays."""
    parts: dict[str, Layer] = {**attention, "feed_forward": FeedForward(block.hidden, block.activation, block.dropout)}
    for name, part in parts.items():
        for key, new in ((name, part), (f"{name}_norm", LayerNorm())):
            if type(getattr(block, key, None)) is not type(new):
                object.__setattr__(block, key, new)


def add_part(block: Any, part: Layer, norm: Layer, x: Value, *memory: Value) -> Value:
    """x + part(norm(x)), or norm(x + part(x)); the part's result is dropped in training."""
    y = part(norm(x) if block.pre_norm else x, *memory)
    y = hand_on(x + drop(block, y, block.dropout, "sample"), x)
    return y if block.pre_norm else norm(y)
