"""Nets in programs of one's own: called as often as needed, always with the same weights. Imports graph and ops."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..checks import number, wrong
from ..errors import GraphError
from ..graph import Value, state
from ..ops import batch_mean, fold_in
from .init import constant
from .layer import _places
from .masks import masks_kept
from .scope import Parameter, Scope, current


class Net:
    """A net to call in a `Program` of one's own: every call has the same weights, named ``<name>.layers.0.weight``.

    The names come from the structure of the net alone, not from where or how often it is called, and ``name`` keeps two
    nets of a program apart; ``dtype``: of its weights, and of what it computes in. A call takes Values and gives what
    the net gives; ``training=True`` is the way of a training step (dropout drops, batch normalization takes the batch's
    statistics).

    A function makes its layers once, outside of it: a layer made within is another one at each call.

    - ``parameters``: the weights and other state of the calls so far, by name; `nn.init_program` gives their first
      values, `optim.descend` trains them.
    - ``updates()``: what a program must take over where calls were in training: averages of batch normalization, the
      next key of random numbers. Of the calls since it was last asked, so that each program gets its own.
    - ``added()``: what layers add to the cost in training, penalties and the like, since it was last asked.
    - ``follow(other, rate)``: updates that bring the weights near those of another net of the same structure.

    Raises `GraphError` where it is called within a net that is traced.

    >>> import pellucid as pel
    >>> from pellucid import nn
    >>> critic = nn.Net(nn.Sequential(nn.Dense(4), "relu", nn.Dense(1)), "critic")
    >>> a, b = critic(pel.input("real", (2,))), critic(pel.input("fake", (2,)))
    >>> list(critic.parameters)
    ['critic.layers.0.weight', 'critic.layers.0.bias', 'critic.layers.2.weight', 'critic.layers.2.bias']
    """

    def __init__(self, net: Callable, name: str = "", *, dtype: str = "float32") -> None:
        if not callable(net) or isinstance(net, (type, Net)):
            hint = "did you forget its parentheses?" if isinstance(net, type) else ""
            raise wrong("Net", "net", "a layer or a function of Values", net, hint=hint)
        if not isinstance(name, str):
            raise wrong("Net", "name", "text", name)
        if dtype not in ("float32", "float64"):
            raise wrong("Net", "dtype", "'float32' or 'float64'", dtype)
        self.net, self.name, self._held = net, name, list[Any]()
        self._scope = Scope(_places(net, name), dtype, training=False, dropping=False)
        self._scope.path = [name]
        self._told = 0  # streams of random numbers that there were when `updates` was last asked
        self._scope.key = state(".".join(part for part in (name, "random.key") if part), (2,), "uint32")

    def __repr__(self) -> str:
        return f"<Net {self.name!r}: {len(self.parameters)} parameters>"

    def __call__(self, *inputs: Value, training: bool = False, **named: Value) -> Any:
        if current.get() is not None:
            raise GraphError(f"{self!r} is called within a net that is traced; nn.Net is for programs of your own, in "
                             "a net use the layers themselves: one layer in two places shares its weights")  # fmt: skip
        for v in (*inputs, *named.values()):
            if not isinstance(v, Value):
                raise GraphError(f"{self!r} takes Values, such as pellucid.input(...) gives, got {type(v).__name__}; "
                                 "to compute with arrays, compile a pellucid.Program of what it gives")  # fmt: skip
        scope = self._scope
        scope.training = scope.dropping = training
        self._held += [call.layer for call in scope.calls]  # a place is known by the layer's id
        scope.calls.clear()
        token = current.set(scope)
        try:
            with masks_kept():
                return self.net(*inputs, **named)
        finally:
            current.reset(token)

    @property
    def parameters(self) -> dict[str, Parameter]:
        """Weights and other state that the calls so far asked for, by name."""
        found = dict(self._scope.parameters)
        for name, n in self._scope.numbers.items():
            found[name] = Parameter(n.value, partial(constant, value=n.first), trainable=False, count=0)
        if self._scope.streams:
            key = self._scope.key
            found[key.name or ""] = Parameter(key, lambda first, shape, dtype: first, trainable=False, count=0)
        return found

    @property
    def constraints(self) -> dict[str, Callable[[Value], Value]]:
        """The constraints of layers on their own weights, by the weight's name."""
        return self._scope.constraints

    def updates(self) -> dict[Value, Value]:
        """The new values of state that layers update in training, of the calls since this was last asked."""
        found, self._scope.updates = self._scope.updates, {}
        drawn, self._told = self._scope.streams > self._told, self._scope.streams
        return found | ({self._scope.key: fold_in(self._scope.key, 0)} if drawn else {})

    def added(self) -> Value | float:
        """What layers add to the cost in training, of the calls since this was last asked; 0 where they add nothing."""
        extras, self._scope.extras = self._scope.extras, []
        total: Value | float = 0.0
        for extra in extras:
            if extra.output:
                raise GraphError(f"{extra.path!r} gives a further output, which only pellucid.Model trains; return it "
                                 "from the net, and add its loss to the cost")  # fmt: skip
            value = batch_mean(extra.value) if extra.value.kind == "sample" else extra.value
            total = total + extra.weight * value
        return total

    def follow(self, other: Net, rate: float = 1.0) -> dict[Value, Value]:
        """Updates of this net's weights towards another's, w' = (1 - rate) w + rate w_other; 1 copies them.

        A target network. Raises `GraphError` where the two have other parameters, or have not been called.
        """
        rate = number("follow", "rate", rate, least=0, most=1)
        if not isinstance(other, Net):
            raise wrong("follow", "other", "an nn.Net", other)
        own, theirs = self._weights(), other._weights()
        if not own or own.keys() != theirs.keys() or any(own[k].type != theirs[k].type for k in own):
            lack = [repr(net) for net, w in ((self, own), (other, theirs)) if not w]
            why = (f"{' and '.join(lack)} has not been called yet" if lack
                   else f"{self!r} and {other!r} have other parameters; make both of one structure")  # fmt: skip
            raise GraphError(f"follow: {why}")
        return {v: theirs[k] if rate == 1 else (1 - rate) * v + rate * theirs[k] for k, v in own.items()}

    def _weights(self) -> dict[str, Value]:
        """The parameters, by their names within the net."""
        return {name.removeprefix(f"{self.name}."): p.value for name, p in self._scope.parameters.items()}
