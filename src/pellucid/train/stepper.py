"""`Stepper`: a trained net fed one step at a time, its state kept between calls. Imports nn, ops and its siblings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..graph import GraphError, Value, input, state, toposort
from ..nn.stepwise import Stepping, one_step
from ..ops.contract import contract_of
from ..passes.tables import with_tables
from ..program import Program
from . import programs
from .arrays import Spec
from .finite import check_inputs
from .outputs import one_output

if TYPE_CHECKING:
    from .core import ModelCore

LARGEST = 1 << 13  # rows of an embedding of which products are kept


class Stepper:
    """A model's `predict`, one step of a sequence a call: ``stepper(x)`` is what the net gives after this step.

    x has a leading axis of samples, and no axis of time: (n,) tokens or (n, C) numbers; the result too. The state that
    recurrent layers carry is kept from call to call, one for each sample, until `reset`. What the net computes of
    inputs that do not move from step to step (an encoder's memory) is computed by ``reset(...)``, once.

    ``moving``: the name or number of the input that comes step by step, where the net has several. Raises `GraphError`
    for a net with a layer that needs the whole sequence.

    >>> import pellucid as pel
    >>> from pellucid import nn
    >>> net = nn.Sequential(nn.GRU(4, return_sequences=True), nn.TimeDistributed(nn.Dense(2)))
    >>> model = pel.Model(net, loss="mse", input_shape=(5, 3))
    >>> x, stepper = np.ones((1, 5, 3)), model.stepper()
    >>> steps = [stepper(x[:, t]) for t in range(5)]
    >>> np.allclose(np.stack(steps, 1), model.predict(x), atol=1e-6)
    True
    """

    def __init__(self, model: ModelCore, moving: str | int | None = None) -> None:
        built = model.network.built()
        one_output(model, "a stepper is")
        self.model, self.name = model, _moving_input(model, moving)
        spec = model.specs[self.name]
        if not spec.shape:
            raise GraphError(f"{self.name} has one number for each sample, no sequence, so there are no steps")
        specs = model.specs | {self.name: Spec((1, *spec.shape[1:]), spec.dtype)}
        inputs = {name: input(name, s.shape, s.dtype) for name, s in specs.items()}
        with one_step([inputs[self.name]]) as stepping:
            traced, _ = programs.trace_net(model.network.spec(specs), training=False, inputs=inputs)
        y = programs.predicted(model.loss, traced)
        timed = traced.output.ndim > 1 if spec.shape[0] == 1 else traced.output.shape != built.output.shape
        if timed and traced.output.shape[:1] != (1,):
            raise GraphError(f"the net turns sequences {spec.shape} into {built.output.shape} and one step into "
                             f"{traced.output.shape}, so its output has no steps")  # fmt: skip
        start, step = _parted(y[0] if timed else y, stepping, inputs, self.name)
        self._start, self._step = (model.programs.compile(p) for p in (start, step))
        self.state: dict[str, np.ndarray] | None = None
        self.weights: dict[str, np.ndarray] = {}  # of the model, and products of them
        self.epochs = model.epochs  # that the model had been trained for then

    def __call__(self, x: Any) -> np.ndarray:
        """One step for each of n samples: (n, ...) to what `predict` gives for a step.

        Raises `DataError` for numbers that are not finite.
        """
        x = np.asarray(x)
        if self.state is None:
            self.reset(samples=len(x) if x.ndim else 1)
        assert self.state is not None
        if self.epochs != self.model.epochs:
            raise GraphError("the model has been trained since the stepper's first step; begin anew with reset()")
        held = next(iter(self.state.values()), x)
        if x.shape[:1] != held.shape[:1] or not x.ndim:
            raise GraphError(f"the stepper is at work on {len(held)} samples, got an array of shape {x.shape}; "
                             "begin anew with reset()")  # fmt: skip
        check_inputs({self.name: x}, self.model.dtype, way_out="")
        found = self._step(self.weights, {self.name: x[:, None], **self.state})
        y = found.pop("y")
        self.state |= found
        return y

    def reset(self, *, samples: int = 1, **others: Any) -> None:
        """Forget: the next step is the first, and weights may have changed.

        ``others``: the net's inputs that do not move, by name (``x0=`` the first of several); without them ``samples``
        says how many sequences go side by side.
        """
        given = {_keyword(name): name for name in self._start.program.inputs}
        if given.keys() != others.keys():
            raise GraphError(f"reset takes the inputs {list(given)}, each once and no others")
        arrays = {name: np.asarray(others[k]) for k, name in given.items()}
        check_inputs(arrays, self.model.dtype, way_out="")
        n = len(next(iter(arrays.values()))) if arrays else samples
        found = self._start(self.model.state, arrays, n) if self._start.program.outputs else {}
        self.epochs = self.model.epochs
        self.weights = self.model.state | {name: found.pop(name) for name in list(found) if name.startswith("table.")}
        self.state = dict(found)

    def select(self, rows: Any) -> None:
        """Go on with these of the sequences, in this order; one may be there several times."""
        self.state = {name: a[np.asarray(rows)] for name, a in (self.state or {}).items()}


def _keyword(name: str) -> str:
    """An input's name for `reset`: x.source is source, and the first of several without names, x.0, is x0."""
    part = name.removeprefix("x.")
    return f"x{part}" if part.isdigit() else part


def _moving_input(model: ModelCore, moving: str | int | None) -> str:
    names = list(model.specs)
    if moving is None and len(names) == 1:
        return names[0]
    for name in (moving, f"x.{moving}"):
        if name in names:
            return str(name)
    raise GraphError(f"the net has the inputs {[n.removeprefix('x.') for n in names]}: say with moving= which of them "
                     f"comes step by step, got {moving!r}")  # fmt: skip


def _parted(y: Value, stepping: Stepping, inputs: dict[str, Value], name: str) -> tuple[Program, Program]:
    """The program of the first state, and all that does not move; and the program of a step.

    Products of weights with an embedding are among what does not move: a step takes a row of them.
    """
    from ..ops.reduce import to_samples

    def samples(v: Value) -> Value:
        return to_samples(v) if v.kind == "shared" else v

    states = {f"state.{k}": c for k, c in enumerate(stepping.states)}
    if loose := [k for k, c in states.items() if c.after is None or stepping.moves(c.first)]:
        raise GraphError(f"{loose[0]} begins with what a step gives, or no step leaves it: it has no first value")
    ends = {"y": samples(y)} | {k: samples(c.after) for k, c in states.items() if c.after is not None}
    given = {name: inputs[name]} | {k: c.before for k, c in states.items()}
    others = {str(v.name): v for v in inputs.values() if v is not inputs[name]}
    roots = list(with_tables(Program(given | others, ends), lambda rows, size: size <= LARGEST).outputs.values())
    held: dict[Value, Value] = {}  # what does not move -> the step's input in its place
    new: dict[Value, Value] = {}
    for v in toposort(roots):
        if not v.inputs or (v.kind == "shared" and not stepping.moves(v)):
            new[v] = v
            continue
        for i in v.inputs if stepping.moves(v) else ():
            if stepping.moves(i) or i in held:
                continue
            if i.kind == "sample":
                held[i] = new[i] = input(f"held.{len(held)}", i.shape, i.dtype)
            elif i.primitive is contract_of:
                held[i] = new[i] = state(f"table.{len(held)}", i.shape, i.dtype)
        new[v] = v.primitive(*(new[i] for i in v.inputs), **v.attributes)
    step = Program(given | {str(v.name): v for i, v in held.items() if i.kind == "sample"},
                   {"y": new[roots[0]]} | dict(zip(states, (new[r] for r in roots[1:]), strict=True)))  # fmt: skip
    outputs = {k: samples(c.first) for k, c in states.items()} | {str(v.name): x for x, v in held.items()}
    needed = {v for v in toposort(outputs.values()) if v in inputs.values()}
    return Program({k: v for k, v in inputs.items() if v in needed}, outputs), step
