"""What the doctor looks at: some samples, what the net makes of them, and what a constant would reach.

Imports graph, ops, executors and train.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ... import executors
from ...executors import NotFinite
from ...graph import Value, input, toposort
from ...nn.loss import Loss, loss_of_sample
from ...nn.masks import counting
from ...ops.reduce import each_sample
from ...optim import LBFGS
from ...program import Program
from .. import evaluation, programs, stepping
from ..arrays import graph_dtype
from ..batch_sizes import DEFAULT_BATCH
from ..building import first_weights
from ..evaluation import in_batches
from ..outputs import one_output
from ..parts import Arrays, Part, as_part
from ..rates import RATE, at_epoch
from .thresholds import PERMUTATIONS, PROBES, ROWS, SOLVED

if TYPE_CHECKING:
    from ..model import Model

MOVES = {"windows", "reshape", "pad", "slice", "flip", "transpose", "broadcast", "concatenate", "result"}


class Probe(NamedTuple):
    """An activation in the graph: "relu", "tanh" or "sigmoid", and the layer it belongs to."""

    kind: str
    where: str
    value: Value


class Trial(NamedTuple):
    """Some steps of training on a copy: the loss before, during (the mean) and after."""

    before: float
    during: float
    after: float


class Case:
    """A model and some of the samples; ``rows`` are at most `ROWS` of them, drawn with the model's seed.

    ``targets`` is a table of what is to be found out: one-hot rows of classes, else the targets themselves.
    """

    def __init__(self, model: Model, arrays: Part | Arrays, batch: int | None = None, rows: int = ROWS) -> None:
        one_output(model, "the doctor is")
        self.model, self.whole = model, as_part(arrays)
        self.n = self.whole.samples
        self.random = np.random.Generator(np.random.Philox(key=[model.seed, 1 << 41]))
        chosen = np.sort(self.random.permutation(self.n)[:rows])
        self.arrays = {name: np.asarray(a) for name, a in self.whole.some(chosen).items()}
        usual = min(DEFAULT_BATCH, self.n)
        self.asked = batch or usual
        refused = self.asked == 1 and model.network.traced_for(self.whole.whole).over_samples
        self.batch = usual if refused else self.asked  # what is tried out
        self.kind = model.loss.targets
        self.trained = model.history.epochs > 0

    @property
    def inputs(self) -> Arrays:
        return {name: a for name, a in self.arrays.items() if name not in ("y", "weight")}

    @cached_property
    def stateful(self) -> bool:
        """Whether samples carry a state from batch to batch, so that they can be looked at in their order alone."""
        return any(v.primitive is each_sample for v in self.model.programs.compiled("step", self.arrays).program.order)

    @property
    def rate(self) -> float:
        """The learning rate; that of L-BFGS, which searches for its own, is 1."""
        return 1.0 if isinstance(self.model.optimizer, LBFGS) else self.model.learning_rate

    @cached_property
    def classes(self) -> np.ndarray | None:
        """The class of each sample, where it has one."""
        return classes_of(self.arrays["y"], self.kind)

    @cached_property
    def targets(self) -> np.ndarray:
        return table_of(self.arrays["y"], self.model.loss, self.model.network.built().output.shape)

    # ---- what the net makes of the samples --------------------------------------------------------------------

    @cached_property
    def graph(self) -> Any:
        """The net as a graph, its inputs, and its activations."""
        m = self.model
        traced, inputs = programs.trace_net(m.network.spec_of(self.inputs), training=False)
        return traced, inputs, activations(traced)

    @cached_property
    def seen(self) -> dict[str, np.ndarray]:
        """By number what each activation gives, "first" what the first weights see (if that is numbers), "output" and
        "prediction", for `PROBES` of the samples."""
        traced, inputs, probes = self.graph
        first = first_seen(traced.output)
        outputs = {str(i): p.value for i, p in enumerate(probes)} | {"output": traced.output}
        outputs |= {"first": first} if first is not None else {}
        outputs |= {"prediction": programs.predicted(self.model.loss, traced)} if self.kind != "any" else {}
        key = ("doctor", *self.model.network.specs_of(self.inputs).values())
        own = self.model.programs
        run = own.kept(key, lambda: own.compile(Program(inputs, outputs)))
        return run(self.model.state, {k: a[:PROBES] for k, a in self.inputs.items()})

    @cached_property
    def prediction(self) -> np.ndarray:
        """Of all the rows, one row each."""
        run = self.model.programs.compiled("predict", self.inputs)
        found = in_batches(self.model, run, self.inputs, None)
        return np.asarray(found).reshape(len(found), -1)

    @cached_property
    def gradients(self) -> tuple[float, dict[str, np.ndarray]]:
        return stepping.gradients(self.model, [{k: a[:PROBES] for k, a in self.arrays.items()}])

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """Trained weights of two axes or more, in the order of the net."""
        known = self.model.network.built().parameters
        return {k: self.model.state[k] for k, p in known.items() if p.trainable and len(p.value.shape) > 1}

    # ---- losses -----------------------------------------------------------------------------------------------

    @cached_property
    def baseline(self) -> float | None:
        """The loss of the best constant output, as far as it is known: class frequencies, means or medians."""
        y, out = self.arrays["y"], self.model.network.built().output
        given = {"y": y, **{name: a for name, a in self.arrays.items() if name == "weight"}}
        if (mask := evaluation.steps_counted(self.model, self.inputs)) is not None:
            given["mask"] = mask.astype(np.uint8)
        weights = given.get("weight", np.ones(len(y)))
        weights = weights.reshape(len(y), -1).mean(axis=1)
        table = self.targets
        if mask is not None and self.kind == "classes":  # padding is of no class
            there = mask.reshape(*mask.shape, *(1,) * (len(out.shape) - 1))
            table = (table.reshape(len(y), *out.shape) * there).reshape(len(y), -1)
        constants = list(_constants(table, self.model.loss, y, out.shape, weights))
        if not constants:
            return None
        v = {name: input(name, a.shape[1:], graph_dtype(a, self.model.dtype)) for name, a in given.items()}
        o = input("output", out.shape, out.dtype)
        steps = v["weight"] if "weight" in v and v["weight"].ndim else None
        with counting(o, v["mask"] > 0 if "mask" in v else None, steps):
            each, share = loss_of_sample(self.model.loss, o, v["y"])
        found = {"loss": each} | ({} if share is None else {"share": share})
        run = executors.get("reference").compile(Program({"output": o, **v}, found))
        own = weights if steps is None else np.ones(len(y))
        best = np.inf
        for c in constants:
            sums = run({}, {"output": np.broadcast_to(c, (len(y), *out.shape)).astype(out.dtype), **given})
            total = float((own * sums.get("share", 1)).sum())
            best = min(best, float((own * sums["loss"]).sum()) / total if total else np.inf)
        return best

    @cached_property
    def loss(self) -> float:
        return evaluation.evaluate(self.model, [self.arrays], metrics={})["loss"]

    @property
    def solved(self) -> bool:
        """Whether next to nothing is left to learn, so that small gradients are right."""
        return self.baseline is not None and self.loss < SOLVED * self.baseline

    def trial(self, steps: int, faster: float = 1.0, fresh: bool = False) -> Trial | None:
        """Train a copy for some steps at a multiple of the learning rate, from new weights if ``fresh``.

        None if the optimizer takes all samples at once.
        """
        m = self.model
        if isinstance(m.optimizer, LBFGS):
            return None
        state, run = self._copy(fresh)
        state[RATE] = state[RATE] * np.asarray(faster, m.dtype)
        n = len(self.arrays["y"])
        order = np.concatenate([self.random.permutation(n) for _ in range(-(-steps * self.batch // n))])
        order = order[: steps * self.batch]
        try:
            sums = run.steps(state, self.arrays, order, self.batch, "loss")
            found = m.programs.compiled("evaluate", self.arrays, {}).steps(
                state, self.arrays, None, evaluation.EVALUATE_BATCH
            )
        except NotFinite:
            return Trial(self.loss, np.inf, np.inf)
        after = evaluation.numbers(found, {})["loss"]
        return Trial(self.loss, sums["loss"] / sums["weight"], after if np.isfinite(after) else np.inf)

    @cached_property
    def step_lengths(self) -> dict[str, float]:
        """The length of one step relative to the weights, of each weight with a length: |w' - w| / |w|."""
        if isinstance(self.model.optimizer, LBFGS):
            return {}
        state, run = self._copy()
        run.steps(state, self.arrays, np.arange(min(self.batch, len(self.arrays["y"]))), self.batch)
        norm = np.linalg.norm
        return {k: float(norm(state[k] - w) / norm(w)) for k, w in self.weights.items() if norm(w) > 0}

    def _copy(self, fresh: bool = False) -> tuple[dict[str, np.ndarray], Any]:
        """State to train on, with what the optimizer keeps, and the training step."""
        m, run = self.model, self.model.programs.compiled("step", self.arrays)
        kept = {name: a for name, a in m.state.items() if not name.startswith(("optimizer.", "random."))}
        known = kept | first_weights(m) if fresh else m.state
        missing = [name for name in run.program.state if name not in known]
        state = known | stepping.first_state(run.program, missing, m.optimizer, m.seed, known)
        state |= at_epoch(state, m.epochs, -(-self.n // self.batch))
        return {name: np.array(a) for name, a in state.items()}, run


def connection(a: np.ndarray, b: np.ndarray, random: np.random.Generator) -> float:
    """How many standard deviations the agreement sum_ij a_ij b_ij is above that with the rows of b exchanged.

    >>> x = np.random.default_rng(0).normal(size=(100, 1))
    >>> connection(x, 2 * x, np.random.default_rng(0)) > 5
    True
    """
    a, b = a - a.mean(0), b - b.mean(0)
    chance = [float((a * b[random.permutation(len(b))]).sum()) for _ in range(PERMUTATIONS)]
    spread = float(np.std(chance))
    return (float((a * b).sum()) - float(np.mean(chance))) / spread if spread else 0.0


def classes_of(y: np.ndarray, kind: str) -> np.ndarray | None:
    """One class a sample, from class numbers, one-hot rows or one binary output; None where there is none."""
    if kind == "classes":
        return y.astype(int) if y.ndim == 1 else y.argmax(-1) if y.ndim == 2 and y.dtype.kind == "f" else None
    return y.reshape(len(y)).astype(int) if kind == "binary" and y[0].size == 1 else None


def table_of(y: np.ndarray, loss: Loss, output: tuple[int, ...]) -> np.ndarray:
    """Targets as rows of numbers; class numbers as one-hot rows."""
    kind, axis = loss.targets, loss.class_axis(output)
    if kind == "classes" and y.dtype.kind in "iu":
        y = np.moveaxis(y[..., None] == np.arange(output[axis]), -1, axis + 1)
    table = y.reshape(len(y), -1).astype(np.float64)
    spread = table.std(0)
    return table / np.where(spread > 0, spread, 1) if kind in ("values", "any") else table


def _constants(
    table: np.ndarray, loss: Loss, y: np.ndarray, output: tuple[int, ...], weights: np.ndarray
) -> Iterator[np.ndarray]:
    """Outputs that do not depend on the sample, of which the best is the baseline."""
    kind, axis = loss.targets, loss.class_axis(output)
    if kind == "classes":
        others = tuple(a for a in range(len(output)) if a != axis)
        shares = np.average(table, 0, weights).reshape(output).mean(others, keepdims=True)
        yield np.log(np.maximum(shares / shares.sum(), 1e-6))
    elif kind == "binary":
        share = np.clip(np.average(y.reshape(len(y), *output), 0, weights), 1e-6, 1 - 1e-6)
        yield np.log(share / (1 - share))
    elif kind == "values":
        rows = y.reshape(len(y), *output)
        yield from (np.average(rows, 0, weights), np.median(rows, 0))


# ---- the graph --------------------------------------------------------------------------------------------------


def activations(traced: Any) -> list[Probe]:
    """Every relu, tanh and sigmoid of one sample, in order, with its layer; those within a scan are not seen."""
    place: dict[Value, str] = {}
    for call in traced.calls:
        stack = [call.output]
        while stack:
            v = stack.pop()
            if isinstance(v, Value) and v not in place:
                place[v] = programs.call_name(call)
                stack += v.inputs
    found = []
    for v in toposort([traced.output]):
        kind = _name(v)
        if kind in ("relu", "tanh", "sigmoid") and v.kind == "sample" and v is not traced.output:
            found.append(Probe(kind, place.get(v, ""), v))
    return found


def _name(v: Value) -> str:
    """Of what made a value: its primitive, or the function that has a derivative rule of its own."""
    name = v.primitive.name if v.primitive else ""
    return v.attributes["rule"].__name__.lstrip("_") if name == "ruled" else name


def squasher(traced_output: Value) -> str:
    """The function that makes the net's output, if it bounds it: "softmax", "sigmoid", "tanh" or "relu"."""
    v = traced_output
    while _name(v) in MOVES:
        v = v.inputs[0]
    name = _name(v)
    return name if name in ("softmax", "sigmoid", "tanh", "relu") else ""


def first_seen(output: Value) -> Value | None:
    """What the first weights of two axes or more are multiplied with: the input, or what is made of it before.

    None where that is whole numbers (tokens), or after layers that have learnt their inputs' statistics.
    """
    data: dict[Value, bool] = {}  # made of inputs -> whether with weights of one axis, such as statistics
    weights: dict[Value, int] = {}  # made of weights -> the most axes of one
    for v in toposort([output]):
        axes = max((weights[i] for i in v.inputs if i in weights), default=0)
        given = [i for i in v.inputs if i in data]
        if given and axes >= 2:
            return _origin(given[0], data)
        if given or _name(v) == "sample_input":
            data[v] = any(data[i] for i in given) or axes > 0
        elif axes or _name(v) == "state":
            weights[v] = axes or len(v.shape)
    return None


def _origin(v: Value, data: dict[Value, bool]) -> Value | None:
    while _name(v) in MOVES and v.inputs[0] in data:
        v = v.inputs[0]
    return v if not data[v] and v.dtype in ("float32", "float64", "uint8") else None
