"""Sequences token by token: drawn at random, the likeliest next one, or the likeliest of several at once (beam search).

What scores the next token is a stepper: ``stepper(tokens)``, (n,) to probabilities (n, V), ``stepper.select(rows)``, to
go on with some of the n sequences, and ``stepper.reset(samples=n)``. `pellucid.Stepper` is one. Imports graph alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from .errors import GraphError


def draw(p: np.ndarray, random: np.random.Generator, temperature: float = 1.0, top_k: int | None = None) -> np.ndarray:
    """A token for each row of probabilities (n, V): drawn with p_i^(1 / temperature), scaled to sum 1.

    ``temperature=0`` takes the likeliest (greedy), below 1 keeps closer to it, above 1 strays farther; ``top_k`` leaves
    only the k likeliest. Raises `GraphError` for options that say nothing.

    >>> p = np.array([[0.1, 0.7, 0.2]])
    >>> draw(p, np.random.default_rng(0), temperature=0), draw(p, np.random.default_rng(0), top_k=1)
    (array([1]), array([1]))
    """
    if not 0 <= temperature < np.inf:
        raise GraphError(f"temperature must be a number >= 0, got {temperature!r}")
    if top_k is not None and (not isinstance(top_k, (int, np.integer)) or top_k < 1):
        raise GraphError(f"top_k must be a whole number >= 1, or None for all, got {top_k!r}")
    if temperature == 0:
        return p.argmax(-1)
    logits = logarithm(p) / temperature
    if top_k is not None and top_k < p.shape[-1]:
        order = np.argsort(-logits, -1, kind="stable")
        np.put_along_axis(logits, order[:, top_k:], -np.inf, -1)
    weights = np.exp(logits - logits.max(-1, keepdims=True)).cumsum(-1)
    return (weights < random.random((len(p), 1)) * weights[:, -1:]).sum(-1)


def draws(
    stepper: Any,
    prompt: Any,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    end: int | None = None,
    seed: int = 0,
    go_on: bool = False,
) -> Iterator[np.ndarray]:
    """What `generate` gives, token by token: (n,) for n sequences, without end, or until all drew ``end``."""
    tokens = as_prompt(prompt)
    random = np.random.default_rng(seed)
    p = read(stepper, tokens, go_on)
    done = np.zeros(len(tokens), bool)
    while True:
        new = draw(p, random, temperature, top_k).astype(tokens.dtype)
        if end is not None:
            new[done] = end
            done |= new == end
        yield new
        if done.all():
            return
        p = stepper(new)


def generate(stepper: Any, prompt: Any, length: int, **options: Any) -> np.ndarray:
    """``length`` tokens that follow the prompt, each drawn by `draw`; the same seed draws the same.

    Shapes: prompt (L,) to (length,), or (n, L), n sequences side by side, to (n, length). ``options``: ``temperature=``
    and ``top_k=`` of `draw`, ``seed=0``. A sequence that drew ``end=`` has only this token from there on; when all
    have, it stops. ``go_on=True`` goes on from the stepper's state (an encoder's memory, or earlier text), where it
    otherwise forgets. Raises `GraphError` for an empty prompt.
    """
    tokens = as_prompt(prompt)
    drawn = islice(draws(stepper, tokens, **options), length)
    found = np.concatenate([tokens[:, :0], *(new[:, None] for new in drawn)], 1)
    return found if np.ndim(prompt) == 2 else found[0]


def beam_search(
    stepper: Any,
    prompt: Any,
    length: int,
    *,
    beams: int = 4,
    end: int | None = None,
    length_penalty: float = 0.0,
    go_on: bool = False,
) -> list[tuple[np.ndarray, float]]:
    """The likeliest sequences of at most ``length`` tokens after the prompt (L,), best first, with their scores.

    At each step the ``beams`` best beginnings stay: score = sum_t log p_t / (number of tokens)^length_penalty, so that
    0 is the likelihood itself, which favors short ones, and 1 its mean. A sequence ends with ``end``, which stays in
    it, or at ``length``. Raises `GraphError` for an empty prompt, or without a beam.
    """
    tokens = as_prompt(prompt)
    if len(tokens) != 1:
        raise GraphError(f"beam_search takes one prompt (L,), got {len(tokens)}")
    if beams < 1 or length < 1:
        raise GraphError(f"beam_search: beams and length must be 1 or more, got {beams} and {length}")
    scores, live = np.zeros(1), np.zeros((1, 0), tokens.dtype)
    ended: list[tuple[np.ndarray, float]] = []
    p = read(stepper, tokens, go_on)
    for n in range(1, length + 1):
        each = scores[:, None] + logarithm(p)  # (beams, V)
        best = np.argsort(-each, None, kind="stable")[: 2 * beams]  # so many that beams of them are no ends
        best = best[np.isfinite(each.ravel()[best])]
        rows, new = np.divmod(best, each.shape[1])
        total = each.ravel()[best]
        ends = (new == end) if n < length else np.ones(len(new), bool)
        longer = np.concatenate([live[rows], new[:, None].astype(tokens.dtype)], 1)
        places = np.arange(len(best)) < beams
        ended += [(longer[k], float(total[k] / n**length_penalty)) for k in np.flatnonzero(ends & places)]
        ended = sorted(ended, key=lambda e: -e[1])[:beams]
        going = np.flatnonzero(~ends)[:beams]
        if not len(going):
            break
        bound = total[going[0]] / (length if length_penalty > 0 else n) ** length_penalty  # the best it can become
        if len(ended) == beams and ended[-1][1] >= bound:
            break
        live, scores = longer[going], total[going]
        stepper.select(rows[going])
        p = stepper(new[going].astype(tokens.dtype))
    return ended


def as_prompt(prompt: Any) -> np.ndarray:
    """A prompt as whole numbers (n, L)."""
    tokens = np.atleast_2d(np.asarray(prompt))
    if tokens.ndim != 2 or tokens.dtype.kind not in "iu" or not tokens.shape[1]:
        raise GraphError("a prompt is at least one token, whole numbers (L,) or (n, L), got "
                         f"{tokens.dtype} of shape {np.shape(prompt)}")  # fmt: skip
    return tokens.astype("int64" if tokens.dtype == "int64" else "int32")


def read(stepper: Any, tokens: np.ndarray, go_on: bool) -> np.ndarray:
    """What the stepper says after the prompt."""
    if not go_on:
        stepper.reset(samples=len(tokens))
    for t in range(tokens.shape[1]):
        p = stepper(tokens[:, t])
    return np.asarray(p, float)


def logarithm(p: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(p, float))
