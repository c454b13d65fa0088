"""Checks of options: numbers, whole numbers, yes or no. One place for their rules and their words; imports errors.

An option that is wrong is an `ArgumentError` that names its owner, the option, what it must be and what was given.
What is right comes back as Python's own number, whatever kind it was given as: it may stand in formulas and in files.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import FrozenInstanceError
from numbers import Integral, Real
from typing import Any, TypeVar

from .errors import ArgumentError, PellucidError

F = TypeVar("F", bound=Callable)


def number(
    owner: Any,
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
    optional: bool = False,
    infinite: bool = False,
    hint: str = "",
) -> Any:
    """``value`` if it is a finite number within the bounds, else `ArgumentError`; with ``optional`` None is right too.

    ``above`` and ``below`` leave their bound out, ``least`` and ``most`` take it in. ``infinite``: math.inf is right.

    >>> number("Dropout", "rate", 0.5, least=0, below=1)
    0.5
    >>> number("Dropout", "rate", math.nan, least=0, below=1)
    Traceback (most recent call last):
        ...
    pellucid.errors.ArgumentError: Dropout: rate must be a number in [0, 1), got nan
    """
    if optional and value is None:
        return None
    if isinstance(value, Real) and _within(value, above, least, below, most) and _finite(value, infinite):
        return _plain(value)
    wanted = "a number" + _range(above, least, below, most) + " or math.inf" * infinite
    raise wrong(owner, name, wanted, value, optional, hint or of_text(owner, value))


def whole(
    owner: Any,
    name: str,
    value: Any,
    *,
    least: int | None = 1,
    most: int | None = None,
    optional: bool = False,
    hint: str = "",
) -> Any:
    """``value`` if it is a whole number within the bounds, and not True or False, else `ArgumentError`.

    >>> whole("Dense", "units", 8)
    8
    """
    if optional and value is None:
        return None
    try:
        n = None if isinstance(value, bool) else operator.index(value)  # an array of one whole number is one too
    except TypeError:
        n = None
    if n is not None and _within(n, None, least, None, most):
        return n
    wanted = "a whole number" + _range(None, least, None, most)
    raise wrong(owner, name, wanted, value, optional, hint or of_text(owner, value))


def wholes(owner: Any, name: str, value: Any, *, least: int | None = 1) -> tuple[int, ...]:
    """Several whole numbers, or one, as a tuple of ints; else `ArgumentError`.

    >>> wholes("Reshape", "shape", [2, 3])
    (2, 3)
    """
    given = value if isinstance(value, Sequence | range) or getattr(value, "ndim", 0) == 1 else (value,)
    if isinstance(given, str):
        raise wrong(owner, name, "whole numbers" + _range(None, least, None, None), value)
    return tuple(whole(owner, name, n, least=least) for n in given)


def flag(owner: Any, name: str, value: Any, *, hint: str = "") -> bool:
    """``value`` if it is True or False, else `ArgumentError`.

    >>> flag("Dense", "bias", False)
    False
    """
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):  # numpy's
        return bool(value)
    raise wrong(owner, name, "True or False", value, False, hint or of_text(owner, value))


def choice(owner: Any, name: str, value: Any, *, among: Iterable, hint: str = "") -> Any:
    """The one of those that ``value`` is, else `ArgumentError`; ``hint`` says more.

    >>> choice("Bidirectional", "merge", "add", among=("add", None))
    'add'
    >>> choice("vgg", "depth", 17, among=(16, 19))
    Traceback (most recent call last):
        ...
    pellucid.errors.ArgumentError: vgg: depth must be 16 or 19, got 17
    """
    for good in among:
        if value is good or (_alike(value, good) and value == good):
            return good
    *others, last = map(repr, among)
    one = f"one of {', '.join(others)} or {last}" if len(others) > 1 else " or ".join([*others, last])
    raise wrong(owner, name, one, value, hint=hint)


def text(owner: Any, name: str, value: Any, *, optional: bool = False) -> Any:
    """``value`` if it is text, else `ArgumentError`; with ``optional`` None is right too."""
    if isinstance(value, str) or (optional and value is None):
        return value
    raise wrong(owner, name, "text", value, optional)


def axes(owner: Any, name: str, value: Any) -> Any:
    """``value`` if it is an axis, a tuple or list of axes, or None for all, else `ArgumentError`."""
    if value is None or all(isinstance(a, Integral) and not isinstance(a, bool) for a in several(value)):
        return value
    raise wrong(owner, name, "a whole number, several, or None for all", value)


def function(owner: Any, name: str, value: Any, *, like: str = "nn.init.he_normal", optional: bool = False) -> Any:
    """``value`` if it can be called, else `ArgumentError`."""
    if callable(value) or (optional and value is None):
        return value
    raise wrong(owner, name, f"a function such as {like}", value, optional)


def checked(owner: Any, check: Callable, *names: str, **bounds: Any) -> None:
    """Check fields of a dataclass, frozen or not, and keep what the check gives.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Blur:
    ...     sigma: float
    ...     def __post_init__(self):
    ...         checked(self, number, "sigma", above=0)
    >>> Blur(0)
    Traceback (most recent call last):
        ...
    pellucid.errors.ArgumentError: Blur: sigma must be a number > 0, got 0
    """
    for name in names:
        given = getattr(owner, name)
        found = check(owner, name, given, **bounds)
        if found is not given:
            object.__setattr__(owner, name, found)


def wrong(owner: Any, name: str, wanted: str, value: Any, optional: bool = False, hint: str = "") -> ArgumentError:
    """The error for an option that is not as it must be; ``owner`` is a name ("" for none), or what it belongs to."""
    who = owner if isinstance(owner, str) else type(owner).__name__
    wanted += ", or None" * optional
    told = f"{name} must be {wanted}, got {value!r:.500}{f'; {hint}' if hint else ''}"
    return ArgumentError(f"{who}: {told}" if who else told)


def of_text(owner: Any, value: Any) -> str:
    """What the owner says of a text where it expects a number: a layer, of the name of an activation."""
    told = getattr(owner, "_of_text", None)
    return told(value) if told and isinstance(value, str) else ""


def counted(owner: Any, value: Any, *right: Any) -> str:
    """What to say of a number where a layer expects an option: it may be meant as a size, as PyTorch has it.

    >>> counted("LSTM", 20, 20)
    'sizes of inputs are taken from the data: nn.LSTM(20)'
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        return ""
    who = owner if isinstance(owner, str) else type(owner).__name__
    return f"sizes of inputs are taken from the data: nn.{who}({', '.join(map(repr, right))})"


def several(value: Any) -> tuple:
    """A tuple or list as a tuple, and one thing as a tuple of it."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _within(value: Any, above: Any, least: Any, below: Any, most: Any) -> bool:
    """Whether a number, no True or False, is within the bounds; NaN never is."""
    return not isinstance(value, bool) and bool(
        value == value  # not NaN
        and (above is None or value > above)
        and (least is None or value >= least)
        and (below is None or value < below)
        and (most is None or value <= most)
    )


def _alike(value: Any, good: Any) -> bool:
    """Whether both are texts, or both whole numbers, True and False apart."""
    if isinstance(good, Integral) and not isinstance(good, bool):
        return isinstance(value, Integral) and not isinstance(value, bool)
    return isinstance(value, str) and isinstance(good, str)


def _finite(value: Any, infinite: bool) -> bool:
    try:
        return math.isfinite(value) or (infinite and value > 0)
    except OverflowError:  # a whole number that no float holds
        return False


def _plain(value: Any) -> Any:
    return value if type(value) in (int, float) else int(value) if isinstance(value, Integral) else float(value)


def _range(above: Any, least: Any, below: Any, most: Any) -> str:
    """Bounds in words.

    >>> _range(0, None, None, None), _range(None, 0, 1, None), _range(None, None, None, None)
    (' > 0', ' in [0, 1)', '')
    """
    low, high = least if above is None else above, most if below is None else below
    if low is not None and high is not None:
        return f" in {'[' if above is None else '('}{low}, {high}{']' if below is None else ')'}"
    if low is not None:
        return f" {'>=' if above is None else '>'} {low}"
    return "" if high is None else f" {'<=' if below is None else '<'} {high}"


def refuse_change(thing: Any, name: str, value: Any, hint: str = "") -> None:
    """Options do not change once something is made: programs were made of them, and several models may share it."""
    hint = hint or f"make another: dataclasses.replace(this, {name}={value!r})"
    raise FrozenInstanceError(f"{type(thing).__name__}: {name} cannot be set any more; {hint}")


# ---- names that are called otherwise elsewhere: see `hints` -------------------------------------------------------


class NoAttribute(PellucidError, AttributeError):
    """A name that a module or an object does not have; printed, it says what it is called here.

    >>> print(NoAttribute("module 'pellucid.nn'", "nn", "Linear", ("Dense",)))
    module 'pellucid.nn' has no attribute 'Linear'; here it is nn.Dense(64) (sizes of inputs are taken from the data)
    """

    def __init__(self, owner: str, place: str, name_: str, known: Iterable[str] | type) -> None:
        super().__init__(owner, place, name_, known)  # the hint is looked for where somebody reads it

    def __str__(self) -> str:
        from .hints import hint

        owner, place, name, known = self.args
        if isinstance(known, type):
            known = [*getattr(known, "__dataclass_fields__", ()), *dir(known)]
        known = () if name.startswith("_") else [one for one in known if not one.startswith("_")]
        return f"{owner} has no attribute {name!r}" + hint(place, name, known)


def no_attribute(thing: Any, place: str, name: str) -> Any:
    """For a class's ``__getattr__``: raise `NoAttribute`, or what goes wrong within a property of that name.

    Python asks ``__getattr__`` also where the code of a property raises an `AttributeError`, and drops that error.
    """
    found: Any = next((vars(cls)[name] for cls in type(thing).__mro__ if name in vars(cls)), None)
    if hasattr(type(found), "__get__"):
        return found.__get__(thing, type(thing))
    raise NoAttribute(f"{type(thing).__name__!r} object", place, name, type(thing))


def unknown(kind: str, name: str, known: Iterable[str], more: str = "", owner: str = "") -> ArgumentError:
    """The error for a loss, metric, optimizer or activation of an unknown name: what it is called here, or what is near
    it.

    >>> unknown("loss", "hubber", ["huber", "mse"], "or give a function")
    ArgumentError("no loss is named 'hubber'; did you mean 'huber'? There are huber, mse, or give a function")
    """
    from .hints import hint

    names = list(known)
    told = f"{owner}no {kind} is named {name!r}{hint(kind, name)}"
    if told[-1] != "'":
        return ArgumentError(told)
    near = hint(kind, name, names)
    there = f"there are {', '.join(names)}{f', {more}' if more else ''}"
    return ArgumentError(f"{told}{near} T{there[1:]}" if near else f"{told}; {there}")


def hinting(*places: str, owner: str = "") -> Callable[[F], F]:
    """A function whose `TypeError` for options that it does not have says what they are called here.

    >>> @hinting("fit")
    ... def fit(x, epochs=1): ...
    >>> fit([], n_epochs=3)
    Traceback (most recent call last):
        ...
    TypeError: fit has no option 'n_epochs'; here it is model.fit(x, y, epochs=10)
    """

    def hinted(function: F) -> F:
        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            try:
                return function(*args, **options)
            except TypeError as error:
                known = inspect.signature(function).parameters
                unknown = [name for name in options if name not in known]
                who = owner or function.__name__
                bare = [n for n, p in known.items() if p.kind is p.POSITIONAL_OR_KEYWORD and n != "self"]
                given = len(args) - ("self" in known)
                if given > len(bare) and not any(p.kind is p.VAR_POSITIONAL for p in known.values()):
                    sizes = "; sizes of inputs are taken from the data" if "layer" in places else ""
                    raise TypeError(f"{who} takes {', '.join(bare) or 'nothing'} without a name, got {given} such; "
                                    f"give the others as name=value{sizes}") from error  # fmt: skip
                if not unknown or any(p.kind is p.VAR_KEYWORD for p in known.values()):
                    raise
                from .hints import hint

                told = f"{who} has no option {unknown[0]!r}{hint(places, unknown[0], known)}"
                raise TypeError(told) from error

        return call  # type: ignore[return-value]

    return hinted


def hint_options(cls: type, *places: str) -> None:
    """Let a class say what its options are called, where it is made with others: its own ``__init__`` is `hinting`."""
    if "__init__" in cls.__dict__:
        names = tuple(c.__name__ for c in cls.__mro__[:-1])
        cls.__init__ = hinting(*names, *places, owner=cls.__name__)(cls.__init__)  # type: ignore[misc]
