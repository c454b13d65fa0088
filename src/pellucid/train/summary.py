"""A model as a table of text: its layers, their output shapes and parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..nn.receptive import field_text, receptive_fields

if TYPE_CHECKING:
    from .core import ModelCore


def summary_text(model: ModelCore) -> str:
    """Each layer, its output shape (of one sample) and number of parameters; and totals.

    Of a net whose layers move windows over their input, the receptive fields too: size / stride from start, along each
    axis of space, ``-`` where a unit has none (`nn.receptive_fields`).

    >>> import pellucid as pel
    >>> from pellucid import nn
    >>> net = nn.Sequential(nn.Dense(4), nn.tanh, nn.Dense(2))
    >>> print(summary_text(pel.Model(net, loss="mse", input_shape=(3,))))
    layer              output  parameters
    -------------------------------------
    layers.0 (Dense)   (4,)            16
    layers.1 (tanh)    (4,)             0
    layers.2 (Dense)   (2,)            10
    -------------------------------------
    26 parameters, 26 of them trainable
    """
    head, rows = summary_head(model), summary_rows(model)
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    lines = []
    for a, b, c, *more in [head, *rows]:
        seen = "".join(f"  {text:<{widths[3]}}" for text in more)
        lines.append(f"{a:<{widths[0]}}   {b:<{widths[1]}}  {c:>{widths[2]}}{seen}".rstrip())
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:], rule, totals_text(model)])


def summary_head(model: ModelCore) -> tuple[str, ...]:
    """What the columns of `summary_rows` are called."""
    return ("layer", "output", "parameters", *["receptive field"] * has_fields(model))


def has_fields(model: ModelCore) -> bool:
    """Whether units see a part of the input alone, by windows of two places or more."""
    return any(f and max(a.size for a in f) > 1 for f in receptive_fields(model.network.built()).values())


def summary_rows(model: ModelCore) -> list[tuple[str, ...]]:
    """Of each layer its path and kind, the shape of its output, its number of parameters, and its receptive field."""
    traced, frozen = model.network.built(), frozen_in(model)
    fields = receptive_fields(traced) if has_fields(model) else None
    counted: set[str] = set()
    rows = []
    calls = [call for call in traced.calls if not call.inner]
    for call in calls:
        own = [n for n in traced.parameters if n.rsplit(".", 1)[0] == call.path or (not call.path and "." not in n)]
        inside = any(n.startswith(f"{call.path}.") or not call.path for n in traced.parameters) and not own
        has_parts = any(c is not call and (c.path.startswith(f"{call.path}.") or not call.path) for c in calls)
        if has_parts and (inside or not own):
            continue  # a container: its parts have rows of their own
        count = sum(traced.parameters[n].count for n in own if n not in counted)
        shared = bool(own) and all(n in counted for n in own)
        counted.update(own)
        mark = " frozen" if own and frozen.issuperset(own) else ""
        rows.append((f"{call.path or 'net'} ({kind(call.layer)})", str(call.output.shape),
                     "shared" if shared else f"{count:,}{mark}",
                     *([] if fields is None else [field_text(fields[call.path])])))  # fmt: skip
    return rows


def totals_text(model: ModelCore) -> str:
    """How many parameters there are, and how many of them are trained."""
    parameters, frozen = model.network.built().parameters, frozen_in(model)
    total = sum(p.count for p in parameters.values())
    text = f"{total:,} parameters, {sum(p.count for p in parameters.values() if p.trainable):,} of them trainable"
    return text + (f", {sum(parameters[n].count for n in frozen):,} frozen" if frozen else "")


def frozen_in(model: ModelCore) -> set[str]:
    """The parameters that stand in frozen layers."""
    traced = model.network.built()
    places = [call.path for call in traced.calls if not getattr(call.layer, "trainable", True)]
    return {n for n in traced.parameters if any(not place or n.startswith(f"{place}.") for place in places)}


def kind(layer: Any) -> str:
    """What a layer or a function is called: Dense, tanh, leaky_relu(slope=0.2)."""
    options = getattr(layer, "keywords", None)
    if options is not None:
        return f"{layer.func.__name__}({', '.join(f'{k}={v}' for k, v in options.items())})"
    return getattr(layer, "__name__", type(layer).__name__)
