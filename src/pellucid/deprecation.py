"""Old names of arguments and of modules' members: they go on working, with one warning that says the new name.

Imports nothing of the package.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T", bound=Callable)
Convert = Callable[[list[Any], dict[str, Any]], Iterator[str]]


def deprecated(old: str, new: str, since: str) -> Callable[[T], T]:
    """Decorate a function or class whose argument ``old`` was renamed to ``new`` in a version.

    ``old=value`` goes on working, with a `FutureWarning` at the caller's line; both names at once are a `TypeError`.
    Signatures show the new name alone. Of a class, ``instance.old``, scikit-learn's ``set_params(old=value)`` and older
    pickles work too. Use it above all other decorators, so that the warning finds the caller's line; once for each
    name.

    >>> @deprecated("jobs", "n_jobs", since="0.1")
    ... def train(n_jobs=1):
    ...     return n_jobs
    >>> with warnings.catch_warnings(record=True) as seen:
    ...     warnings.simplefilter("always")
    ...     train(jobs=3), str(seen[0].message)
    (3, 'train: jobs was renamed to n_jobs in 0.1 and will be removed; use n_jobs=')
    """

    def decorated(thing: T) -> T:
        if not isinstance(thing, type):
            return converted(thing, _renaming(thing.__qualname__, old, new, since))
        cls: Any = thing
        rename = _renaming(cls.__name__, old, new, since)
        cls.__init__ = converted(cls.__init__, rename)
        if hasattr(cls, "set_params"):
            cls.set_params = converted(cls.set_params, rename)
        cls.__setstate__ = _reading_old_state(getattr(cls, "__setstate__", None), old, new)
        setattr(cls, old, _OldAttribute(old, new, since))
        return thing

    return decorated


def converted(function: Any, convert: Convert) -> Any:
    """The function, with calls by old names changed to new ones by ``convert(args, options)``, in place.

    It yields what to warn of. The function has one wrapper for all of them, so that each finds the caller's line.
    """
    known = vars(function).get("_conversions")
    if known is not None:
        known.append(convert)
        return function
    conversions = [convert]

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        given = list(args)
        for change in conversions:
            for told in change(given, options):
                warnings.warn(told, FutureWarning, stacklevel=2)
        return function(*given, **options)

    call._conversions = conversions  # type: ignore[attr-defined]
    return call


def _renaming(owner: str, old: str, new: str, since: str) -> Convert:
    def rename(args: list[Any], options: dict[str, Any]) -> Iterator[str]:
        if old not in options:
            return
        if new in options:
            raise TypeError(f"{owner}: {old} is the old name of {new}, and both are given; leave {old} out")
        options[new] = options.pop(old)
        yield _told(owner, old, new, since) + "="

    return rename


def _reading_old_state(read: Any, old: str, new: str) -> Callable[[Any, Any], None]:
    """A class's ``__setstate__``, for pickles that have the attribute under its old name."""

    def setstate(self: Any, state: Any) -> None:
        if isinstance(state, dict) and old in state:
            state = {new if name == old else name: value for name, value in state.items()}
        if read is None:
            vars(self).update(state)
        else:
            read(self, state)

    return setstate


class _OldAttribute:
    """An attribute's old name."""

    def __init__(self, old: str, new: str, since: str) -> None:
        self.old, self.new, self.since = old, new, since

    def __get__(self, instance: Any, cls: type) -> Any:
        if instance is None:
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {self.old!r}")
        if not hasattr(instance, self.new):
            raise AttributeError(f"{cls.__name__!r} object has no attribute {self.old!r}")
        self._warn(instance)
        return getattr(instance, self.new)

    def __set__(self, instance: Any, value: Any) -> None:
        self._warn(instance)
        setattr(instance, self.new, value)

    def _warn(self, instance: Any) -> None:
        told = _told(type(instance).__name__, self.old, self.new, self.since)
        warnings.warn(told, FutureWarning, stacklevel=3)


def old_member(module: Mapping[str, Any], name: str, renamed: Mapping[str, str], since: str) -> Any:
    """The member that ``name`` is now, with a `FutureWarning`; None if ``renamed``, old to new, does not have it.

    For a module's ``__getattr__``: ``module`` is its ``globals()``.

    >>> with warnings.catch_warnings(record=True) as seen:
    ...     warnings.simplefilter("always")
    ...     old_member({"__name__": "m", "Sum": sum}, "Total", {"Total": "Sum"}, since="0.1"), str(seen[0].message)
    (<built-in function sum>, 'm: Total was renamed to Sum in 0.1 and will be removed; use Sum')
    """
    if name not in renamed:
        return None
    warnings.warn(_told(module["__name__"], name, renamed[name], since), FutureWarning, stacklevel=3)
    return module[renamed[name]]


def _told(owner: str, old: str, new: str, since: str) -> str:
    return f"{owner}: {old} was renamed to {new} in {since} and will be removed; use {new}"
