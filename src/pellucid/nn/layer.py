"""Layers and tracing: how a net, any callable on Values, becomes a graph with named parameters. Imports graph and ops.

A layer is a frozen dataclass of hyper-parameters with a ``__call__``. While a net is traced, a `Scope` collects the
parameters that layers ask for, under names that follow the structure of the net (``layers.0.weight``). The same layer
object used twice shares its parameters.
"""

from __future__ import annotations

import contextlib
import functools
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from typing import Any, dataclass_transform

from ..graph import GraphError, Program, Shape, Value, input, state
from ..ops import cast, fold_in
from .masks import hand_on, mask_of, masks_kept, with_mask
from .stepping import must_step

_scope: ContextVar[Scope | None] = ContextVar("pellucid_scope", default=None)


class LayerError(GraphError):
    """A `GraphError` that says in which layer it happened."""


@dataclass_transform(frozen_default=True, eq_default=False, kw_only_default=False, field_specifiers=(field,))
class Declared:
    """Tells type checkers that classes below it are dataclasses. It is not `Layer`, whose fields they would not see."""


class Layer(Declared):
    """Base of all layers. A subclass is a frozen dataclass without further ado; layers compare by identity.

    ``name`` replaces the number or field in the parameters' names; ``trainable=False`` freezes the layer and all in it.

    >>> class Scale(Layer):
    ...     start: float = 1.0
    ...     def __call__(self, x):
    ...         return x * self.param("scale", x.shape, lambda key, shape, dtype: fill(self.start, shape, dtype))
    >>> from pellucid.ops import fill
    >>> list(trace(Scale(2.0), input("x", (3,))).parameters)
    ['scale']
    """

    name: str | None = field(default=None, kw_only=True)
    trainable: bool = field(default=True, kw_only=True)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        dataclass(frozen=True, eq=False)(cls)
        if "__call__" in cls.__dict__:
            cls.__call__ = _traced(cls.__call__)  # type: ignore[method-assign, misc]

    def __call__(self, *inputs: Value) -> Value:
        raise NotImplementedError(f"{type(self).__name__} must define __call__")

    def param(
        self,
        name: str,
        shape: Shape,
        init: Callable[[Value, Shape, str], Value],
        count: int | None = None,
        trainable: bool = True,
    ) -> Value:
        """A parameter of this layer, made at its first use; ``init(key, shape, dtype)`` gives its first value.

        ``count`` is the number of free weights where that is less than the size (a partially connected layer).
        ``trainable=False`` makes state that the optimizer leaves alone, and `update` changes; ask for it outside
        training too, since weights are made, and saved, as an untrained net asks for them.
        """
        scope = _scope.get()
        if scope is None:
            raise GraphError(f"{type(self).__name__} has parameters, so it can only be called while a net is traced: "
                             "put it in pellucid.Model, or use pellucid.nn.trace(net, *inputs)")  # fmt: skip
        return scope.param(name, tuple(shape), init, count, trainable)

    def update(self, state: Value, rule: Callable[[Value], Value]) -> None:
        """After each training step, ``state``, made by ``self.param(..., trainable=False)``, becomes ``rule(state)``.

        Nothing happens outside training, nor in a frozen layer. A layer used twice updates twice: the second rule
        takes what the first gives. Raises `GraphError` where the state is not such a parameter, or the new value has
        another type.

        >>> from pellucid import nn
        >>> class CountSteps(Layer):
        ...     def __call__(self, x):
        ...         self.update(self.param("steps", (), nn.init.zeros, trainable=False), lambda steps: steps + 1)
        ...         return x
        >>> trace(CountSteps(), input("x", (3,)), training=True).updates
        {<state 'steps': shared float32 ()>: <add: shared float32 ()>}
        """
        scope = _scope.get()
        if scope is None:
            raise GraphError(f"{type(self).__name__} updates its state: it can only be called while a net is traced")
        if scope.training and not self.frozen:
            scope.update(state, rule)

    def add_loss(self, value: Value, weight: float = 1.0) -> None:
        """In training, ``weight * value`` is added to the cost that is minimised; otherwise nothing happens.

        ``value`` has shape (): one number for each sample, whose mean over the batch counts (the size of an
        activation), or one for all (the size of a weight). Raises `GraphError` for another shape.

        >>> class Sparse(Layer):
        ...     def __call__(self, x):
        ...         self.add_loss(sum(abs(x)), weight=1e-3)
        ...         return x
        >>> from pellucid.ops import sum
        >>> trace(Sparse(), input("x", (3,)), training=True).extras
        [Extra(path='', value=<sum: sample float32 ()>, weight=0.001, output=False)]
        """
        if not isinstance(value, Value) or value.shape != ():
            got = f"shape {value.shape}" if isinstance(value, Value) else repr(value)
            raise GraphError(f"add_loss takes one number, for each sample or for all, got {got}; "
                             "use ops.sum or ops.mean")  # fmt: skip
        self._add(value, weight, output=False)

    def add_output(self, y: Value, weight: float = 1.0) -> None:
        """In training, ``weight * loss(y, target)`` is added to the cost: a further output, for the model's own target.

        Make its parameters outside training too, as always. See `pellucid.nn.AuxiliaryHead`.
        """
        self._add(y, weight, output=True)

    def _add(self, value: Value, weight: float, output: bool) -> None:
        scope = _scope.get()
        if scope is None:
            raise GraphError(f"{type(self).__name__} adds to the loss: it can only be called while a net is traced")
        if scope.training:
            scope.extras.append(Extra(scope.path[-1], value, weight, output))

    def by_step(self, *inputs: Value) -> bool:
        """Whether it does each step of a sequence by itself, or carries what it needs: see `nn.stepping`."""
        return False

    def random_key(self) -> Value:
        """A key of random numbers for this layer, new at every training step."""
        scope = _scope.get()
        if scope is None:
            raise GraphError(f"{type(self).__name__} draws random numbers: it can only be called while a net is traced")
        return scope.random_key()

    @property
    def training(self) -> bool:
        """Whether the graph being traced is that of a training step (dropout drops) or not."""
        scope = _scope.get()
        return scope is not None and scope.training

    @property
    def frozen(self) -> bool:
        """Whether this layer, or while a net is traced one that it stands in, has ``trainable=False``."""
        scope = _scope.get()
        return not self.trainable or (scope is not None and scope.frozen)


Layer = dataclass(frozen=True, eq=False)(Layer)  # type: ignore[misc]


def _traced(call):
    """A layer's ``__call__`` that enters the layer's scope, says where an error happened, and records its output."""

    @functools.wraps(call)
    def wrapped(self, *inputs, **options):
        scope = _scope.get()
        if scope is None or (scope.active and scope.active[-1] is self):  # super().__call__ stays in one scope
            return call(self, *inputs, **options)
        with within(self) as path:
            must_step(inputs, self.by_step)
            output = call(self, *inputs, **options)
        scope.calls.append(Call(path, self, output[0] if isinstance(output, tuple) else output))
        return hand_on(output, *inputs[:1])

    return wrapped


@contextlib.contextmanager
def within(layer: Layer) -> Iterator[str]:
    """While a net is traced: in a layer's scope, so that its parameters have their names and errors say where."""
    scope = _scope.get()
    if scope is None or (scope.active and scope.active[-1] is layer):
        yield ""
        return
    with scope.enter(layer) as path:
        try:
            yield path
        except LayerError:
            raise
        except GraphError as error:
            place = path or layer.name
            raise LayerError(f"{type(layer).__name__}{f' {place!r}' if place else ''}: {error}") from error


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


@dataclass(frozen=True)
class Extra:
    """What a layer adds to the cost in training: a number, or an ``output`` whose loss is added; times ``weight``."""

    path: str
    value: Value
    weight: float
    output: bool


@dataclass(frozen=True)
class Call:
    """One use of a layer (or of an activation in a `Sequential`) during a trace."""

    path: str
    layer: Any
    output: Any


def apply(place: str, function: Callable, *inputs: Value) -> Value:
    """Call a plain function within a layer: errors name its place, and its output is noted, as for a layer."""
    scope = _scope.get()
    path = ".".join(p for p in (*(scope.path[-1:] if scope else ()), place) if p)
    try:
        output = function(*inputs)
        if not isinstance(output, Value):
            raise GraphError(f"must return a Value, returned {output!r}")
    except LayerError:
        raise
    except GraphError as error:
        raise LayerError(f"{getattr(function, '__name__', type(function).__name__)} {path!r}: {error}") from error
    if scope is not None:
        scope.calls.append(Call(path, function, output))
    return hand_on(output, *inputs[:1])


class Scope:
    """What one trace collects: parameters by name, updates of state, the calls of layers, streams of random numbers."""

    def __init__(self, net: Any, dtype: str, training: bool) -> None:
        self.dtype, self.training = dtype, training
        self.parameters: dict[str, Parameter] = {}
        self.updates: dict[Value, Value] = {}
        self.extras: list[Extra] = []
        self.calls: list[Call] = []
        self.key = state("random.key", (2,), "uint32")
        self.active: list[Any] = []
        self.path: list[str] = []
        self.places: dict[int, str] = {}  # id of a layer -> its path in the structure
        for layer, place in _places(net, ""):
            self.places.setdefault(layer, place)  # a layer that stands in two places is named by the first
        self.streams = 0
        if len(set(self.places.values())) != len(self.places):
            names = sorted(p for p in self.places.values() if list(self.places.values()).count(p) > 1)
            raise GraphError(f"two layers have the same name: {names[0]!r}")

    @contextlib.contextmanager
    def enter(self, layer: Any) -> Iterator[str]:
        path = self.places.get(id(layer))
        if path is None:  # made or held by a function: named by class, or as asked, in the order of first calls
            base = ".".join([*self.path[-1:], layer.name or type(layer).__name__.lower()]).lstrip(".")
            path, n = base, 0
            while path in self.places.values():
                if layer.name:
                    raise GraphError(f"two layers have the same name: {base!r}")
                n += 1
                path = f"{base}_{n}"
            self.places[id(layer)] = path
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
        return known.value

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


def _places(net: Any, path: str) -> Iterator[tuple[int, str]]:
    """The layers within a net, by the fields that hold them: ``layers.0``, ``body.layers.2``."""
    if isinstance(net, Layer):
        yield id(net), path
        for f in fields(net):  # type: ignore[arg-type]
            yield from _inside(getattr(net, f.name), ".".join(p for p in (path, f.name) if p))


def _inside(held: Any, path: str) -> Iterator[tuple[int, str]]:
    if isinstance(held, Layer):
        yield from _places(held, _renamed(path, held))
    elif isinstance(held, (tuple, list)):
        for i, item in enumerate(held):
            yield from _inside(item, f"{path}.{i}")
    elif isinstance(held, Mapping):
        for key, item in held.items():
            yield from _inside(item, f"{path}.{key}")


def _renamed(path: str, layer: Layer) -> str:
    return ".".join([*path.split(".")[:-1], layer.name]) if layer.name else path


@dataclass(frozen=True)
class Traced:
    """A net as a graph: its output, its parameters by name, each layer's output in order, and updates of state.

    A training step of one's own takes ``updates`` (state to new value) over into its program's, and adds ``extras`` to
    its cost.
    """

    output: Value
    parameters: dict[str, Parameter]
    calls: list[Call]
    key: Value
    updates: dict[Value, Value]
    extras: list[Extra]


def trace(net: Callable, *inputs: Value, dtype: str = "float32", training: bool = False, **named: Value) -> Traced:
    """Call a net on Values and collect its parameters.

    >>> from pellucid import nn
    >>> t = trace(nn.Sequential(nn.Dense(4), nn.tanh, nn.Dense(2)), input("x", (3,)))
    >>> t.output.shape, {name: p.value.shape for name, p in t.parameters.items()}
    ((2,), {'layers.0.weight': (4, 3), 'layers.0.bias': (4,), 'layers.2.weight': (2, 4), 'layers.2.bias': (2,)})
    """
    scope = Scope(net, dtype, training)
    token = _scope.set(scope)
    try:
        with masks_kept():
            output = net(*inputs, **named)
    finally:
        _scope.reset(token)
    if not isinstance(output, Value):
        raise GraphError(f"a net must return one Value, this one returned {type(output).__name__}")
    return Traced(output, scope.parameters, scope.calls, scope.key, scope.updates, scope.extras)


def init_program(parameters: Mapping[str, Parameter]) -> Program:
    """The program that gives parameters their first values, from the input ``key``; each has a stream by its name."""
    key = input("key", (2,), "uint32", kind="shared")
    outputs = {}
    for name, p in parameters.items():
        first = p.init(fold_in(key, zlib.crc32(name.encode())), p.value.shape, p.value.dtype)
        if first.type != p.value.type:
            raise GraphError(f"the initialiser of {name!r} gives {first.type}, expected {p.value.type}")
        outputs[name] = first
    return Program({"key": key}, outputs)


def as_float(x: Value) -> Value:
    """Whole numbers (pixels as bytes, counts) as the float dtype of the net; floats as they are."""
    scope = _scope.get()
    if x.dtype in ("float32", "float64"):
        return x
    return with_mask(cast(x, scope.dtype if scope else "float32"), mask_of(x))
