"""How things made of options print: layers, losses, optimizers, schedules, penalties; and tables as HTML.

``repr`` is what one would type: ``Dense(10, bias=False)``. Options that have their defaults are left out, functions
stand by their names. ``help`` of their classes shows the options and what a class does, not how it is built. Imports
nothing of the package.
"""

from __future__ import annotations

import inspect
import re
from abc import ABCMeta
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol

WIDTH = 100  # of a line


if TYPE_CHECKING:
    Protocols = ABCMeta
else:
    Protocols = type(Protocol)  # so that a class may have bases of both kinds; it is one of ABCMeta's


class Declaration(Protocols):
    """The class of `Shown` classes: what ``help`` and ``dir`` tell of them, and of their options."""

    # those of ABC and Protocol would take longer, for classes that nobody registers
    __instancecheck__ = type.__instancecheck__  # type: ignore[assignment]
    __subclasscheck__ = type.__subclasscheck__  # type: ignore[assignment]

    def __dir__(cls) -> list[str]:
        made = [c for c in cls.__mro__ if "__dataclass_fields__" in vars(c)]
        own = [vars(c) for c in (made[:-1] if len(made) > 1 else made)]  # what all have is told by their base
        hidden = {f.name for f in fields(cls)} if is_dataclass(cls) else set()  # in the signature
        return sorted({name for found in own for name in found
                       if name not in hidden and (not name.startswith("_") or name == "__call__")})  # fmt: skip

    @property
    def __signature__(cls) -> inspect.Signature:
        made = inspect.signature(cls.__init__)  # type: ignore[misc]
        shown = [p.replace(annotation=_plain(p.annotation), default=_plain(p.default))
                 for p in list(made.parameters.values())[1:]]  # fmt: skip
        return made.replace(parameters=shown, return_annotation=inspect.Signature.empty)


class Shown(metaclass=Declaration):
    """Base of dataclasses whose ``repr`` is what one would type, without the options that have their defaults."""

    def __repr__(self) -> str:
        return shown(self)


class Named:
    """A function, or the text of a type, that prints as its name."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __repr__(self) -> str:
        return self.thing if isinstance(self.thing, str) else name_of(self.thing)

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return self.thing(*inputs, **options)

    def __getattr__(self, name: str) -> Any:
        if name == "thing" or (name.startswith("__") and name not in ("__name__", "__qualname__")):
            raise AttributeError(name)  # which copying and pickling look for, before there is a thing
        return getattr(self.thing, name)


def _plain(thing: Any) -> Any:
    if thing is inspect.Parameter.empty or not (isinstance(thing, str) or callable(thing)):
        return thing
    return thing if isinstance(thing, type) else Named(thing)


def name_of(function: Any) -> str:
    """A function, layer or other callable in a few words: by its name, without places in memory.

    >>> from functools import partial
    >>> name_of(max), name_of(partial(round, ndigits=2)), name_of("a".upper)
    ('max', 'partial(round, ndigits=2)', 'upper')
    """
    if isinstance(function, partial):
        options = [*map(shown, function.args), *(f"{k}={shown(v)}" for k, v in function.keywords.items())]
        return f"partial({', '.join([name_of(function.func), *options])})"
    if (inspect.isroutine(function) or inspect.isclass(function)) and hasattr(function, "__name__"):
        return function.__name__
    return re.sub(r" (object )?at 0x[0-9a-fA-F]+", "", repr(function))


def shown(thing: Any, width: int = WIDTH) -> str:
    """A thing as one would type it: in one line, or if that is longer than ``width``, part by part.

    >>> from pellucid import nn
    >>> shown(nn.Sequential(nn.Dense(8, bias=False), "tanh", nn.Dense(2)))
    'Sequential(Dense(8, bias=False), tanh, Dense(2))'
    >>> print(shown(nn.Sequential(nn.Dense(8, bias=False), nn.tanh), width=26))
    Sequential(
        Dense(8, bias=False),
        tanh,
    )
    """
    if isinstance(thing, Shown) and type(thing).__repr__ is Shown.__repr__:
        return laid_out(type(thing).__name__, options_of(thing), width)
    if type(thing) in (tuple, list):
        inside = ", ".join(shown(item) for item in thing)
        if type(thing) is list:
            return f"[{inside}]"
        return f"({inside},)" if len(thing) == 1 else f"({inside})"
    if type(thing) is dict:
        return "{" + ", ".join(f"{k!r}: {shown(v)}" for k, v in thing.items()) + "}"
    if hasattr(thing, "dtype") and hasattr(thing, "shape") and thing.shape:
        return f"array {tuple(thing.shape)}"
    return name_of(thing) if callable(thing) else repr(thing)


def laid_out(name: str, options: Sequence[tuple[str, Any]], width: int = WIDTH) -> str:
    """``name(...)`` with these options, (word or "", thing) each, in one line or in several."""
    line = f"{name}({', '.join(word + shown(option, 10**9) for word, option in options)})"
    if len(line) <= width or not options:
        return line
    parts = (word + shown(option, width - 4 - len(word)) for word, option in options)
    return "\n".join([f"{name}(", *("    " + part.replace("\n", "\n    ") + "," for part in parts), ")"])


def options_of(thing: Any) -> list[tuple[str, Any]]:
    """What one types to make it: a word such as "bias=", or "" for what needs none, and the option, for each."""
    own = sorted(fields(thing), key=lambda f: bool(f.kw_only))
    several = {p.name for p in inspect.signature(type(thing)).parameters.values() if p.kind is p.VAR_POSITIONAL}
    found: list[tuple[str, Any]] = []
    in_order = True  # no option was left out so far
    for i, f in enumerate(own):
        option = getattr(thing, f.name)
        required = f.default is MISSING and f.default_factory is MISSING
        if f.name in several:
            found += [("", item) for item in option]
            in_order = False
        elif required or not _is_default(f, option):
            bare = in_order and not f.kw_only and (required or i == 0)
            found.append(("" if bare else f"{f.name}=", option))
            in_order = bare
        else:
            in_order = False
    return found


def _is_default(f: Any, option: Any) -> bool:
    default = f.default if f.default_factory is MISSING else f.default_factory()
    return option is default or _same(option, default)


def _same(option: Any, default: Any) -> bool:
    try:
        return type(option) is type(default) and bool(option == default)
    except ValueError:  # arrays
        return False


def made_as(thing: Any) -> str:
    """What one types to make an object that keeps its options under their names, without those that have defaults."""
    found: list[tuple[str, Any]] = []
    for p in inspect.signature(type(thing)).parameters.values():
        option = getattr(thing, p.name, p.default)
        option = str(option) if isinstance(option, PurePath) else option
        usual = option is p.default or _same(option, p.default) or repr(option) == repr(p.default)
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and not usual:
            found.append(("" if p.default is p.empty else f"{p.name}=", option))
    return laid_out(type(thing).__name__, found)


def spelled_out(thing: Any) -> str:
    """A thing with all its options, those that have their defaults too: for what must notice any change of them.

    >>> from pellucid import optim
    >>> spelled_out(optim.Adagrad(0.1))[:50]
    'Adagrad(learning_rate=0.1, clipvalue=None, clipnor'
    """
    if isinstance(thing, Shown):
        inside = ", ".join(f"{f.name}={spelled_out(getattr(thing, f.name))}" for f in fields(thing) if f.repr)  # type: ignore[arg-type]
        return f"{type(thing).__qualname__}({inside})"
    if type(thing) in (tuple, list):
        inside = ", ".join(map(spelled_out, thing)) + "," * (type(thing) is tuple and len(thing) == 1)
        return f"({inside})" if type(thing) is tuple else f"[{inside}]"
    if type(thing) is dict:
        return "{" + ", ".join(f"{k!r}: {spelled_out(v)}" for k, v in thing.items()) + "}"
    return repr(thing)


def html_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", curves: Sequence[str] | None = None
) -> str:
    """A table as HTML; the first column is text, the others are numbers. ``curves``: HTML below the column's names."""
    side = ' style="text-align:left"'

    def row(cells: Iterable[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}{'' if i else side}>{cell}</{tag}>" for i, cell in enumerate(cells)) + "</tr>"

    top = row(map(escape, head), "th") + (row(curves, "td") if curves and any(curves) else "")
    body = "".join(row(map(escape, cells), "td") for cells in rows)
    title = f"<caption{side}>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead>{top}</thead><tbody>{body}</tbody></table>"


def html_text(text: str) -> str:
    """Text as it is, with its lines and spaces, as HTML."""
    return f'<pre style="white-space:pre">{escape(text)}</pre>'


def html_folded(title: str, inside: str) -> str:
    """HTML that is seen when its title is clicked."""
    return f"<details><summary>{escape(title)}</summary>{inside}</details>"
