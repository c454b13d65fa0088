"""Programs as text: as formulas, or one operation a line. Imports graph."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .formulas import Writer, symbol
from .reprs import html_folded, html_text

if TYPE_CHECKING:
    from .program import Program


def listing(program: Program, full: bool = False) -> str:
    """The program as formulas, or with ``full`` one operation a line."""
    lines = ["program"]
    for word, leaves in (("inputs ", program.inputs), ("state  ", program.state)):
        lines += [f"  {word} {name}: {v.type}" for name, v in leaves.items()]
    return "\n".join(lines + (_operations(program) if full else _formulas(program)))


def _operations(program: Program) -> list[str]:
    names, lines = program.names(), []
    given = {*program.inputs.values(), *program.state.values()}
    for v in program.order:
        if v not in given:
            lines.append(f"  {names[v]} = {v.primitive.name}{attributes_text(v.attributes)}"
                         f"({', '.join(names[i] for i in v.inputs)}): {v.type}")  # fmt: skip
    lines += [f"  {t.name}' = {names[v]}" for t, v in program.updates.items()]
    return lines + [f"  return {name} = {names[v]}" for name, v in program.outputs.items()]


def _formulas(program: Program) -> list[str]:
    known = {v: symbol(str(name)) for leaves in (program.inputs, program.state) for name, v in leaves.items()}
    numbers = itertools.count(1)
    writer = Writer(known, lambda v: symbol(v.name or f"%{next(numbers)}"))
    ends = writer.write([*program.updates.values(), *program.outputs.values()])
    lines = [f"  {line.name.text} = {line.formula.text}: {line.value.type}" for line in writer.lines]
    words = [*(f"{t.name}' =" for t in program.updates), *(f"return {name} =" for name in program.outputs)]
    return lines + [f"  {word} {formula.text}" for word, formula in zip(words, ends, strict=True)]


def attributes_text(attributes: Mapping[str, Any]) -> str:
    """Attributes as a listing shows them; large arrays by their shape.

    >>> attributes_text({"axes": (-1,)}), attributes_text({})
    ('[axes=(-1,)]', '')
    """

    def text(a):
        return f"array{a.shape}" if isinstance(a, np.ndarray) and a.size > 4 else getattr(a, "__name__", str(a))

    inside = ", ".join(f"{k}={text(a)}" for k, a in attributes.items())
    return f"[{inside}]" if inside else ""


def summary(program: Program) -> str:
    """What a program takes, changes and gives, in a line.

    >>> from pellucid import Program, input, state
    >>> w, x = state("w"), input("x")
    >>> Program([x], {"y": x}, {w: w})
    <Program: inputs x; state w, updated w; outputs y; 2 values>
    """
    parts = [f"inputs {_some(program.inputs)}"]
    if program.state:
        updated = f", updated {_some(t.name or '' for t in program.updates)}" if program.updates else ""
        parts.append(f"state {_some(program.state)}{updated}")
    parts += [f"outputs {_some(program.outputs)}", f"{len(program.order)} values"]
    return f"<Program: {'; '.join(parts)}>"


def _some(names: Any, most: int = 4) -> str:
    names = list(names)
    return (", ".join(names[:most]) or "none") + (f" and {len(names) - most} more" if len(names) > most else "")


def html(program: Program) -> str:
    """The summary, and the listing when it is clicked."""
    return html_folded(summary(program)[1:-1], html_text(listing(program)))
