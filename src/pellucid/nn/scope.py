"""What a trace of a net collects, and is: parameters by name, calls of layers, updates, what is added to the cost.

Imports graph and ops.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Set
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from ..errors import GraphError
from ..graph import Shape, Value, state
from ..ops import fold_in

current: ContextVar[Scope | None] = ContextVar("pellucid_scope", default=None)


@dataclass(frozen=True)
class Parameter:
    """A trained (or frozen) weight, or a layer's other state: its place in the graph, and how it starts."""

    value: Value
    init: Callable[[Value, Shape, str], Value]
    trainable: bool
    count: int

    @property
    def name(self) -> str:
        return self.value.name or ""

    @property
    def is_bias(self) -> bool:
        return self.name.endswith("bias")

    @property
    def is_weight(self) -> bool:
        """Whether it is an array of two or more axes, neither a bias nor the scale of a normalization."""
        return self.value.ndim > 1 and not self.is_bias and self.name.rpartition(".")[2] not in ("gamma", "beta")


@dataclass(frozen=True)
class Extra:
    """What a layer adds to the cost in training: a number, or an ``output`` whose loss is added; times ``weight``.

    ``mask``: that of an output, where it is a sequence with padding.
    """

    path: str
    value: Value
    weight: float | Value
    output: bool
    mask: Value | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Call:
    """One use of a layer (or of an activation in a `Sequential`) during a trace.

    ``inner``: what a layer noted of itself, such as a gate; `Model.summary` leaves it out.
    """

    path: str
    layer: Any
    output: Any
    inner: bool = False
    inputs: tuple[Any, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Number:
    """A number that is state, so that another compiles nothing again: the strength of a penalty. It is not trained."""

    value: Value
    first: float

    @classmethod
    def of(cls, name: str, first: float, dtype: str) -> Number:
        return cls(state(name, (), dtype), first)


class Scope:
    """What one trace collects: parameters by name, updates of state, the calls of layers, streams of random numbers.

    ``places`` are the paths of layers in the structure of the net, by their id. ``dropping`` says whether units are
    dropped: in training, unless asked otherwise.
    """

    def __init__(self, places: Iterable[tuple[int, str]], dtype: str, training: bool, dropping: bool) -> None:
        self.dtype, self.training, self.dropping = dtype, training, dropping
        self.parameters: dict[str, Parameter] = {}
        self.updates: dict[Value, Value] = {}
        self.extras: list[Extra] = []
        self.calls: list[Call] = []
        self.numbers: dict[str, Number] = {}
        self.penalized: set[str] = set()  # weights with a penalty of their own layer
        self.constraints: dict[str, Callable[[Value], Value]] = {}  # weights with a constraint of their own layer
        self.changes: list[
            Callable[[Parameter, Value], Value]
        ] = []  # what the layers around do to weights before their use
        self.key = state("random.key", (2,), "uint32")
        self.active: list[Any] = []
        self.path: list[str] = []
        self.places: dict[int, str] = {}
        for layer, place in places:
            self.places.setdefault(layer, place)  # a layer that stands in two places is named by the first
        self.streams = 0
        self.over_samples: list[str] = []  # layers whose statistics a batch of one vector does not have
        if len(set(self.places.values())) != len(self.places):
            names = sorted(p for p in self.places.values() if list(self.places.values()).count(p) > 1)
            raise GraphError(f"two layers have the same name: {names[0]!r}")

    @contextlib.contextmanager
    def enter(self, layer: Any) -> Iterator[str]:
        named, name = named_part(layer)
        path = self.places.get(id(named))
        if path is None:  # made or held by a function: named by class, or as asked, in the order of first calls
            base = ".".join([*self.path[-1:], name or type(named).__name__.lower()]).lstrip(".")
            path, n = base, 0
            while path in self.places.values():
                if name:
                    raise GraphError(f"two layers have the same name: {base!r}")
                n += 1
                path = f"{base}_{n}"
            self.places[id(named)] = path
        self.active.append(layer)
        self.path.append(path)
        try:
            yield path
        finally:
            self.active.pop()
            self.path.pop()

    @property
    def frozen(self) -> bool:
        return not all(layer.trainable for layer in self.active)

    def param(self, name: str, shape: Shape, init, count: int | None, trainable: bool) -> Value:
        full = ".".join(p for p in (self.path[-1], name) if p)
        known = self.parameters.get(full)
        if known is None:
            value, free = state(full, shape, self.dtype), trainable and not self.frozen
            known = self.parameters[full] = Parameter(value, init, free, value.size if count is None else count)
        elif known.value.shape != shape:
            raise GraphError(f"this layer is used twice (its parameters are shared), but {name!r} has shape "
                             f"{known.value.shape} at the first use and would need {shape} now")  # fmt: skip
        value = known.value
        for change in self.changes:
            value = change(known, value)
        return value

    def number(self, name: str, first: float) -> Value:
        return self.numbers.setdefault(name, Number.of(name, first, self.dtype)).value

    def update(self, state: Value, rule: Callable[[Value], Value]) -> None:
        known = self.parameters.get(getattr(state, "name", None) or "")
        if known is None or known.value is not state:
            raise GraphError(
                f"update takes state that self.param(..., trainable=False) made in this net, not {state!r}"
            )
        if known.trainable:
            raise GraphError(f"{state.name!r} is trained by the optimizer, so a layer cannot update it; "
                             "make it with self.param(..., trainable=False)")  # fmt: skip
        new = rule(self.updates.get(state, state))
        if not isinstance(new, Value) or new.type != state.type:
            got = f"{new.type}" if isinstance(new, Value) else repr(new)
            hint = "; use batch_mean or batch_sum" if isinstance(new, Value) and new.kind == "sample" else ""
            raise GraphError(f"the update of {state.name!r} gives {got}, expected {state.type}{hint}")
        self.updates[state] = new

    def random_key(self) -> Value:
        self.streams += 1
        return fold_in(self.key, self.streams)


@dataclass(frozen=True)
class Traced:
    """A net as a graph: its output, its parameters by name, each layer's output in order, and updates of state.

    A training step of one's own takes ``updates`` (state to new value) over into its program's, and adds ``extras`` to
    its cost; ``numbers`` are state that it does not change. Weights by name: those ``penalized`` in their own layer,
    and the ``constraints`` of their own layers. ``mask``: which steps of the output count, None where all do. Of a net
    that returns a tuple or a dict ``outputs`` has each with its mask, by name, and ``output`` all as one vector.
    ``over_samples``: layers that take statistics over the samples of a training batch alone, so that they need two.
    """

    output: Value
    parameters: dict[str, Parameter]
    calls: list[Call]
    key: Value
    updates: dict[Value, Value]
    extras: list[Extra]
    numbers: dict[str, Number] = field(default_factory=dict)
    penalized: Set[str] = frozenset()
    constraints: dict[str, Callable[[Value], Value]] = field(default_factory=dict)
    mask: Value | None = None
    over_samples: list[str] = field(default_factory=list)
    outputs: dict[str, tuple[Value, Value | None]] = field(default_factory=dict)


def named_part(layer: Any) -> tuple[Any, str | None]:
    """The layer whose parameters have the place's name, within those that are only around it; and how it is renamed."""
    name = layer.name
    while layer.transparent:
        layer = layer.layer
        name = name or layer.name
    return layer, name


@contextlib.contextmanager
def weights_changed(change: Callable[[Parameter, Value], Value]) -> Iterator[None]:
    """While a net is traced: layers that ask for a parameter get ``change(parameter, value)``."""
    scope = current.get()
    if scope is None:
        yield
        return
    scope.changes.append(change)
    try:
        yield
    finally:
        scope.changes.pop()
