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
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

from ..checks import checked, flag, hint_options, no_attribute, refuse_change, wrong
from ..errors import ArgumentError, GraphError
from ..graph import Shape, Value, input
from ..hints import of_value
from ..ops import cast, fold_in
from ..program import Program
from ..reprs import Shown
from .activations import ACTIVATIONS
from .calls import seen_from
from .masks import hand_on, known_mask, masks_kept, reads, told_if_formula_lost, told_if_lost, with_mask
from .named_outputs import outputs_of, packed
from .scope import Call, Extra, Parameter, Scope, Traced, current, named_part
from .stepwise import must_step


class LayerError(GraphError):
    """An error in a layer of a net, a `GraphError` or an `ArgumentError`, that says in which."""


@dataclass_transform(frozen_default=True, eq_default=False, kw_only_default=False, field_specifiers=(field,))
class Declared(Shown):
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

    transparent: ClassVar[bool] = False  # True: all it does is around its field ``layer``, whose name it has
    around_others: ClassVar[bool] = False  # whether it has no formulas of its own, but those of what it is given
    keeps_steps: ClassVar[bool] = True  # whether its output, where it is as long, has the steps of its first input

    name: str | None = field(default=None, kw_only=True)
    trainable: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        """Check the options, `GraphError` for what is wrong. A subclass checks its own, and calls this too."""
        checked(self, flag, "trainable")
        if not (self.name is None or isinstance(self.name, str)):
            raise wrong(self, "name", "text", self.name, optional=True)

    def _of_text(self, value: str) -> str:  # what is said of it where a number stands: see `checks.of_text`
        return of_value(value, ACTIVATIONS)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        dataclass(frozen=True, eq=False, repr=False)(cls)
        hint_options(cls, "layer")
        cls.__setattr__ = _refuse_change  # type: ignore[assignment, method-assign]
        if "__call__" in cls.__dict__:
            cls.__call__ = _traced(cls.__call__)  # type: ignore[method-assign, misc]

    def __call__(self, *inputs: Any, **options: Any) -> Any:  # a subclass says which it takes, and what it gives
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
        scope = current.get()
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
        scope = current.get()
        if scope is None:
            raise GraphError(f"{type(self).__name__} updates its state: it can only be called while a net is traced")
        if scope.training and not self.frozen:
            scope.update(state, rule)

    def add_loss(self, value: Value, weight: float | Value = 1.0) -> None:
        """In training, ``weight * value`` is added to the cost that is minimized; otherwise nothing happens.

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

    def _add(self, value: Value, weight: float | Value, output: bool) -> None:
        scope = current.get()
        if scope is None:
            raise GraphError(f"{type(self).__name__} adds to the loss: it can only be called while a net is traced")
        if scope.training:
            scope.extras.append(Extra(scope.path[-1], value, weight, output, known_mask(value)))

    def note(self, name: str, value: Value) -> None:
        """While a net is traced: a value within this layer, which `Model.layer_outputs` shows as ``<layer>.<name>``.

        >>> class Square(Layer):
        ...     def __call__(self, x):
        ...         self.note("size", abs(x))
        ...         return x * x
        >>> [call.path for call in trace(Square(), input("x", (3,))).calls]
        ['size', '']
        """
        scope = current.get()
        if scope is not None:
            path = ".".join(p for p in (scope.path[-1], name) if p)
            scope.calls.append(Call(path, self, value, inner=True))

    def needs_samples(self) -> None:
        """In training, this layer takes statistics over the samples of a batch alone: `Model` sees to two or more.

        Nothing happens in a frozen layer.
        """
        scope = current.get()
        if scope is not None and not self.frozen and scope.path[-1] not in scope.over_samples:
            scope.over_samples.append(scope.path[-1])

    def by_step(self, *inputs: Value) -> bool:
        """Whether it does each step of a sequence by itself, or carries what it needs: see `nn.stepwise`."""
        return False

    def random_key(self) -> Value:
        """A key of random numbers for this layer, new at every training step."""
        scope = current.get()
        if scope is None:
            raise GraphError(f"{type(self).__name__} draws random numbers: it can only be called while a net is traced")
        return scope.random_key()

    @property
    def training(self) -> bool:
        """Whether the graph being traced is that of a training step (dropout drops) or not."""
        scope = current.get()
        return scope is not None and scope.training

    @property
    def dropping(self) -> bool:
        """Whether units are dropped: in training, and where `Model.predict_samples` samples the net."""
        scope = current.get()
        return scope is not None and scope.dropping

    @property
    def frozen(self) -> bool:
        """Whether this layer, or while a net is traced one that it stands in, has ``trainable=False``."""
        scope = current.get()
        return not self.trainable or (scope is not None and scope.frozen)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            return no_attribute(self, "net", name)


Layer = dataclass(frozen=True, eq=False, repr=False)(Layer)  # type: ignore[misc]


def _refuse_change(layer: Layer, name: str, value: Any) -> None:
    word = "unfreeze" if value else "freeze"
    hint = f'use model.{word}("layers.0"), its name, or before there is a model nn.freeze(net, "layers.0")'
    refuse_change(layer, name, value, hint if name == "trainable" else "")


def check_layer(wrapper: Any) -> None:
    """Raise `GraphError` unless what a layer is around, its field ``layer``, is a layer."""
    if not isinstance(wrapper.layer, Layer):
        hint = "; did you forget its parentheses?" if isinstance(wrapper.layer, type) else ""
        raise GraphError(f"{type(wrapper).__name__} takes a layer, got {wrapper.layer!r}{hint}")


def _traced(call):
    """A layer's ``__call__`` that enters the layer's scope, says where an error happened, and records its output."""

    @functools.wraps(call)
    def wrapped(self, *inputs, **options):
        scope = current.get()
        if scope is None or (scope.active and scope.active[-1] is self):  # super().__call__ stays in one scope
            return call(self, *inputs, **options)
        with within(self) as path:
            must_step(inputs, self.by_step)
            who = called(self, path)
            if not _within_one(scope.active[:-1]):
                told_if_formula_lost(who, inputs)
            before = reads()
            output = call(self, *inputs, **options)
        if not self.transparent:
            scope.calls.append(Call(path, self, first_of(output), inputs=inputs))
        if self.keeps_steps:
            hand_on(output, *inputs[:1])
        told_if_lost(who, inputs[:1], output, before)
        return output

    return wrapped


def first_of(output: Any) -> Any:
    """A layer's output, or the first of several."""
    several = tuple(output.values()) if isinstance(output, Mapping) else output
    return several[0] if isinstance(several, tuple) and several else output


@contextlib.contextmanager
def within(layer: Layer) -> Iterator[str]:
    """While a net is traced: in a layer's scope, so that its parameters have their names and errors say where."""
    scope = current.get()
    if scope is None or (scope.active and scope.active[-1] is layer):
        yield ""
        return
    with scope.enter(layer) as path:
        try:
            yield path
        except LayerError:
            raise
        except (GraphError, ArgumentError) as error:
            raise LayerError(f"{called(layer, path or layer.name)}: {error}") from error


def _within_one(active: list[Any]) -> bool:
    """Whether the layer around is one of this package with formulas of its own, which knows what it does with masks."""
    kind = type(active[-1]) if active else None
    return kind is not None and kind.__module__.startswith(f"{__package__}.") and not kind.around_others  # type: ignore[attr-defined]


def called(layer: Any, place: str | None = None) -> str:
    """What a layer or function is called in messages: its kind and place."""
    kind = type(layer).__name__ if isinstance(layer, Layer) else getattr(layer, "__name__", type(layer).__name__)
    return f"{kind} {place!r}" if place else kind


def apply(place: str, function: Callable, *inputs: Value) -> Value:
    """Call a plain function within a layer: errors name its place, and its output is noted, as for a layer."""
    scope = current.get()
    path = ".".join(p for p in (*(scope.path[-1:] if scope else ()), place) if p)
    if scope is not None and not _within_one(scope.active):
        told_if_formula_lost(called(function, path), inputs)
    before = reads()
    try:
        output = function(*inputs)
        if not isinstance(output, Value):
            raise GraphError(f"must return a Value, returned {output!r}")
    except LayerError:
        raise
    except (GraphError, ArgumentError) as error:
        raise LayerError(f"{called(function, path)}: {error}") from error
    if scope is not None:
        scope.calls.append(Call(path, function, output, inputs=inputs))
    hand_on(output, *inputs[:1])
    told_if_lost(called(function, path), inputs[:1], output, before)
    return output


def _places(net: Any, path: str) -> Iterator[tuple[int, str]]:
    """The layers within a net, by the fields that hold them: ``layers.0``, ``body.layers.2``."""
    if isinstance(net, Layer) and net.transparent:
        yield from _places(net.layer, path)  # type: ignore[attr-defined]
    elif isinstance(net, Layer):
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
    _, name = named_part(layer)
    return ".".join([*path.split(".")[:-1], name]) if name else path


def trace(
    net: Callable,
    *inputs: Value,
    dtype: str = "float32",
    training: bool = False,
    dropping: bool | None = None,
    **named: Value,
) -> Traced:
    """Call a net on Values and collect its parameters. Units are dropped in training, or as ``dropping`` says.

    >>> from pellucid import nn
    >>> t = trace(nn.Sequential(nn.Dense(4), nn.tanh, nn.Dense(2)), input("x", (3,)))
    >>> t.output.shape, {name: p.value.shape for name, p in t.parameters.items()}
    ((2,), {'layers.0.weight': (4, 3), 'layers.0.bias': (4,), 'layers.2.weight': (2, 4), 'layers.2.bias': (2,)})
    """
    scope = Scope(_places(net, ""), dtype, training, training if dropping is None else dropping)
    token = current.set(scope)
    try:
        with masks_kept():
            output = net(*inputs, **named)
            several: dict[str, tuple[Value, Value | None]] = {}
            if not isinstance(output, Value):
                values = outputs_of(output)
                told_if_formula_lost("the net's output", values.values())
                several, output = {name: (v, known_mask(v)) for name, v in values.items()}, packed(values)
            else:
                told_if_formula_lost("the net's output", [output])
            mask = None if several else known_mask(output)
    finally:
        current.reset(token)
    calls = seen_from((*inputs, *named.values()), scope.calls)
    return Traced(output, scope.parameters, calls, scope.key, scope.updates, scope.extras,
                  scope.numbers, scope.penalized, scope.constraints, mask, scope.over_samples, several)  # fmt: skip


def init_program(parameters: Mapping[str, Parameter]) -> Program:
    """The program that gives parameters their first values, from the input ``key``; each has a stream by its name."""
    key = input("key", (2,), "uint32", kind="shared")
    outputs = {}
    for name, p in parameters.items():
        first = p.init(fold_in(key, zlib.crc32(name.encode())), p.value.shape, p.value.dtype)
        if first.type != p.value.type:
            raise GraphError(f"the initializer of {name!r} gives {first.type}, expected {p.value.type}")
        outputs[name] = first
    return Program({"key": key}, outputs)


def as_float(x: Value) -> Value:
    """Whole numbers (pixels as bytes, counts) as the float dtype of the net; floats as they are."""
    scope = current.get()
    if x.dtype in ("float32", "float64"):
        return x
    return with_mask(cast(x, scope.dtype if scope else "float32"), known_mask(x))
