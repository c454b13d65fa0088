"""The text of modules, put together from functions."""

from __future__ import annotations

from collections.abc import Sequence

from . import ir


class Quick(str):
    """The text of a module that is compiled in the least time, for code that is slower: LLVM takes a fifth."""

    __slots__ = ()


class ModuleText:
    """The text of a module, put together from functions."""

    def __init__(self, triple: str, quick: bool = False) -> None:
        self.triple, self.quick, self.size = triple, quick, 0
        self.defined: dict[str, str] = {}
        self.declared: dict[str, str] = {}

    def add(self, name: str, definition: str, declared: Sequence[tuple[str, str]]) -> None:
        """One more function, and what it declares."""
        self.defined[name] = definition
        self.declared |= dict(declared)
        self.size += len(definition)

    def made(self) -> str:
        """The module as it is compiled."""
        return Quick(self) if self.quick else str(self)

    def __str__(self) -> str:
        declared = [text for name, text in self.declared.items() if name not in self.defined]
        return "\n".join([f'target triple = "{self.triple}"', *declared, *self.defined.values()])


def function_text(function: ir.Function) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A function that has its own module: its definition, and names and text of what it declares."""
    others = (g for g in function.module.globals.values() if g is not function)
    return str(function), tuple((g.name, str(g)) for g in others)
