"""What a trained model is good for beyond its own task: features, a new head on its layers, what its units look for.

The verbs are methods of `Model`, in a class of their own. Imports nn, optim and the sibling modules.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import nn
from ..graph import GraphError
from ..nn.combine import as_callables
from ..nn.sublayers import first_layers, path_of_part
from ..optim import Adam, Optimizer, slot_name
from . import programs
from .activation_maximization import maximize
from .evaluation import batch_size_for
from .finite import check_inputs
from .parts import as_part
from .serialization import Unread
from .stepper import Stepper

if TYPE_CHECKING:
    from .model import Model


class Reuse:
    """The verbs of `Model` that use what it has learnt for something else."""

    def layer_outputs(
        self: Any, x: Any, *, batch_size: int | str | None = None, finite: bool = True
    ) -> dict[str, np.ndarray]:
        """Every layer's output for the samples, (n, ...), by the layer's path: the forward pass, to look at.

        Computed ``batch_size`` samples at a time, as in `predict`. Raises `DataError` for samples that are not finite
        unless ``finite=False``; outputs are given as they are.

        >>> import pellucid as pel
        >>> from pellucid import nn
        >>> model = pel.Model(nn.Sequential(nn.Dense(8), nn.tanh, nn.Dense(2)), loss="mse", input_shape=(3,))
        >>> {name: a.shape for name, a in model.layer_outputs(np.ones((5, 3))).items()}
        {'layers.0': (5, 8), 'layers.1': (5, 8), 'layers.2': (5, 2), 'Sequential': (5, 2)}
        """
        self._built()
        arrays, _ = self._inputs(x)
        if finite:
            check_inputs(arrays, self.dtype)
        specs = self._specs_of(arrays)
        key = ("layers", *specs.values())
        if key not in self._runs:
            program, calls = programs.layer_outputs(self.net, specs, self.how, self.dtype)
            run = self.executor.compile(program, self.threads)
            self._runs[key] = run, {programs.call_name(c): str(i) for i, c in enumerate(calls)}
        run, names = self._runs[key]
        part = as_part(arrays)
        size = batch_size_for(batch_size, part.samples)
        found: dict[str, np.ndarray] = {}
        for start in range(0, part.samples, size):
            rows = slice(start, min(start + size, part.samples))
            some = run(self.state, part.some(rows))
            for name, number in names.items():
                a = some[number]
                if size >= part.samples or run.program.outputs[number].kind == "shared":
                    found[name] = a
                    continue
                if name not in found:
                    found[name] = np.empty((part.samples, *a.shape[1:]), a.dtype)
                found[name][rows] = a
        return found

    def features(
        self: Any, x: Any, layer: str | int, *, batch_size: int | str | None = None, finite: bool = True
    ) -> np.ndarray:
        """A layer's output for each sample, by the layer's name or its number in a `Sequential` (-2: the last but one).

        Only what that layer needs is computed. Raises `GraphError` for a layer that the net does not have, and
        `DataError` for samples that are not finite unless ``finite=False``.

        >>> import pellucid as pel
        >>> from pellucid import nn
        >>> model = pel.Model(nn.Sequential(nn.Dense(8), nn.tanh, nn.Dense(2)), loss="mse", input_shape=(3,))
        >>> model.features(np.ones((5, 3)), "layers.1").shape, model.features(np.ones((5, 3)), -2).shape
        ((5, 8), (5, 8))
        """
        self._built()
        arrays, _ = self._inputs(x)
        if finite:
            check_inputs(arrays, self.dtype)
        specs, name = self._specs_of(arrays), name_of(self, layer)
        key = ("features", name, *specs.values())
        if key not in self._runs:
            program = programs.feature(self.net, specs, self.how, self.dtype, name)
            self._runs[key] = self.executor.compile(program, self.threads)
        return self._in_batches(self._runs[key], arrays, batch_size)

    def stepper(self: Any, moving: str | int | None = None) -> Stepper:
        """The model fed one step of a sequence at a time, its state kept between calls: see `pellucid.Stepper`."""
        return Stepper(self, moving)

    def freeze(self: Any, *layers: str | int) -> None:
        """Leave the weights of some layers alone from now on: names of layers, or how many of the first.

        Raises `GraphError` for a layer that the net does not have. See also `pellucid.nn.freeze`.
        """
        change_net(self, nn.freeze(self.net, *layers))

    def unfreeze(self: Any, *layers: str | int) -> None:
        """Train layers again that were frozen: names of layers, or how many of the first."""
        change_net(self, nn.freeze(self.net, *layers, trainable=True))

    def clone(self: Any, **changes: Any) -> Model:
        """A new model made of the same net, loss, optimizer and so on, that has learnt nothing.

        ``changes`` are arguments of `Model` in the place of this one's: ``model.clone(seed=1)``. Raises `GraphError`
        for others.

        >>> import pellucid as pel
        >>> from pellucid import nn
        >>> model = pel.Model(nn.Dense(2), loss="mse", optimizer="sgd", input_shape=(3,))
        >>> other = model.clone(seed=1)
        >>> other.seed, other.net is model.net, other.state
        (1, True, {})
        """
        names = list(inspect.signature(type(self)).parameters)
        if unknown := set(changes) - set(names):
            raise GraphError(f"clone: Model has no argument {sorted(unknown)[0]!r}; there are {', '.join(names)}")
        own = {
            "metrics": self.metric_names,
            "executor": self.executor.__name__.rpartition(".")[2],
            "input_shape": None,
            "input_dtype": None,
            "loss_weights": None,  # the loss has them
        }
        given = {name: own[name] if name in own else getattr(self, name) for name in names if name not in changes}
        for part in given.values():
            if isinstance(part, Unread):
                raise GraphError(f"clone: {part.why}, or model.clone(optimizer='adam')")
        return type(self)(**given, **changes)

    def transfer(
        self: Any,
        head: Any,
        keep: str | int = -1,
        freeze: bool | int | str | Sequence[str] = True,
        *,
        loss: Any = None,
        optimizer: Any = None,
        metrics: Sequence[Any] | None = None,
        seed: int | None = None,
    ) -> Model:
        """A new model for another task: the first layers of this one with copies of their weights, and a new head.

        - ``head``: a layer, a function, or a list of them. ``keep``: how many of the first layers, a negative number
          -n for all but n, or the name of the last one. The net must be an `nn.Sequential`.
        - ``freeze``: which of the kept layers training leaves alone: True for all, False for none, how many of the
          first, or names. `unfreeze` frees them later.
        - ``loss``, ``optimizer``, ``metrics``, ``seed``: as in `Model`; this model's where they are not given.

        This model stays as it is. Raises `GraphError` for layers that the net does not have.

        >>> import pellucid as pel
        >>> from pellucid import nn
        >>> old = pel.Model(nn.Sequential(nn.Dense(8), nn.tanh, nn.Dense(2)), loss="mse", input_shape=(3,))
        >>> new = old.transfer(nn.Dense(5), keep="layers.1", loss="cross_entropy")
        >>> new.summary()
        layer              output  parameters
        -------------------------------------
        layers.0 (Dense)   (8,)     32 frozen
        layers.1 (tanh)    (8,)             0
        layers.2 (Dense)   (5,)            45
        -------------------------------------
        77 parameters, 45 of them trainable, 32 frozen
        """
        self._built()
        base = first_layers(self.net, keep)
        if freeze is True:
            which: tuple = tuple(
                path_of_part(base, i) for i, part in enumerate(base.layers) if isinstance(part, nn.Layer)
            )
        else:
            which = () if freeze is False else (freeze,) if isinstance(freeze, (str, int)) else tuple(freeze)
        base = nn.freeze(base, *which)
        kept, _ = programs.trace_net(base, self.specs, self.how, self.dtype, training=False)
        if freeze is True and (free := [name for name, p in kept.parameters.items() if p.trainable]):
            raise GraphError(f"{free[0]!r} cannot be frozen by name, as a function holds its layer; make the layer "
                             "with trainable=False, or give freeze=False")  # fmt: skip
        parts = as_callables(tuple(head) if isinstance(head, (list, tuple)) else (head,), "the head")
        net = nn.Sequential(*base.layers, *parts, name=base.name, trainable=base.trainable)
        others = {"loss": loss, "optimizer": optimizer, "metrics": metrics, "seed": seed}
        model = self.clone(net=net, **{name: given for name, given in others.items() if given is not None})
        model._build(self.specs, self.how)
        model.columns = dict(self.columns)
        model.set_parameters({name: self.state[name] for name in kept.parameters})
        return model

    def activate(
        self: Any,
        unit: int | tuple[int, ...],
        layer: str | int | None = None,
        *,
        steps: int = 200,
        optimizer: Optimizer = Adam(0.05),  # noqa: B008 (frozen)
        l2: float = 0.0,
        low: float | None = None,
        high: float | None = None,
        start: Any = None,
        seed: int = 0,
    ) -> np.ndarray:
        """The input that excites a unit most: gradient ascent on the input x, for x of one sample.

        C(x) = y_unit(x) - l2 sum_i x_i^2; x' = x + rate dC/dx, as the optimizer does it.

        - ``unit``: the index of the unit in the output of ``layer`` (default: the net's, before the loss's link). An
          index of fewer axes than the output has means all units under it, on average: of a convolution's output
          (channels, H, W), ``3`` is a feature map, ``(3, 0, 0)`` its first corner.
        - ``start``: an input to begin with; by default small random numbers, drawn with ``seed``.
        - ``low``, ``high``: bounds that x keeps to.

        Raises `GraphError` for a layer or a unit that is not there, and for inputs that are whole numbers. Erhan et
        al., "Visualizing higher-layer features of a deep network", 2009; Simonyan et al., ICLR workshop 2014.

        >>> import pellucid as pel
        >>> from pellucid import nn
        >>> model = pel.Model(nn.Dense(2), loss="mse", input_shape=(2,))
        >>> model.set_parameters({"weight": [[1, -1], [0, 2]]})
        >>> model.activate(0, low=0, high=1).round(2).tolist(), model.activate(0, l2=0.5).round(2).tolist()
        ([1.0, 0.0], [1.0, -1.0])
        """
        self._built()
        place = None if layer is None else name_of(self, layer)
        return maximize(self, unit, place, steps, optimizer, l2, low, high, start, seed)


def name_of(model: Model, layer: str | int) -> str:
    """A layer's name as `Model.layer_outputs` has it; an error that lists them where there is none."""
    name = path_of_part(model.net, layer) if isinstance(layer, int) else layer
    names = dict.fromkeys(programs.call_name(call) for call in model._built().calls)
    if name not in names:
        raise GraphError(f"the net has no layer {name!r}; there are {', '.join(names)}")
    return name


def change_net(model: Model, net: Any) -> None:
    """Give a model another net with the same weights, of which others are frozen."""
    model.net = net
    if model.traced is None:
        return
    model.traced, _ = programs.trace_net(net, model.specs, model.how, model.dtype, training=False)
    model._runs, model._predicting, model._others = {}, {}, {}
    for p in model.traced.parameters.values():
        if not p.trainable:  # once it trains again, the optimizer begins anew with it
            for slot in model.optimizer.slot_names:
                model.state.pop(slot_name(slot, p.name), None)
