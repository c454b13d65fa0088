"""The programs of a model, training step, evaluation and prediction, written on `grad` and `Program` alone."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from ..autodiff import grad
from ..graph import GraphError, Shape, Value, input, state
from ..metrics import Metric
from ..nn import Constraint, Loss, Losses, Penalty, trace
from ..nn.layer import Call, Traced
from ..nn.loss import loss_of_sample
from ..nn.masks import counting, quietly
from ..nn.named_outputs import packed
from ..nn.penalties import PENALTY, constraints_of, penalties_of
from ..nn.scope import Extra
from ..ops import batch_mean, batch_size, batch_sum, cast, fill, fold_in, to_samples
from ..optim import LBFGS, SGD, Optimizer, updates_of
from ..program import Program
from .arrays import Spec
from .outputs import is_scored, of_one, outputs_of


def trace_net(
    net: Callable,
    specs: Mapping[str, Spec],
    how: str,
    dtype: str,
    training: bool,
    inputs: dict[str, Value] | None = None,
    dropping: bool | None = None,
    tell: bool = False,
) -> tuple[Traced, dict[str, Value]]:
    """A net traced on inputs of the given shapes, and those inputs by name; they may be made already.

    ``tell``: where it loses a mask, by a warning: the first time a net is traced.
    """
    options = {"dtype": dtype, "training": training, "dropping": dropping}
    inputs = inputs or {name: input(name, s.shape, s.dtype) for name, s in specs.items()}
    named = {name.split(".", 1)[1]: v for name, v in inputs.items()} if how == "named" else {}
    several = () if named else inputs.values()
    _check_call(net, several, named)
    with contextlib.nullcontext() if tell else quietly():
        return trace(net, *several, **options, **named), inputs  # type: ignore[arg-type]


def _check_call(net: Callable, several: Iterable[Value], named: Mapping[str, Value]) -> None:
    """`GraphError` where a net takes other inputs than it is given."""
    try:
        signature = inspect.signature(net)
    except (TypeError, ValueError):  # of which Python knows none
        return
    try:
        signature.bind(*several, **named)
    except TypeError as error:
        given = f"inputs named {', '.join(named)}" if named else f"{len(list(several))} inputs"
        hint = "; for columns of a table give one array or a DataFrame instead of a dict" if named else ""
        raise GraphError(f"the net cannot be called with {given} ({error}){hint}") from None


def _sums(
    loss: Loss, metrics: Mapping[str, Metric], y: Value, mask: Value | None, t: Value, weight: Value | None
) -> tuple[Value, dict[str, Value]]:
    """The loss of a sample, and the sums over the batch that numbers are made of: loss, metrics, and the weight."""
    steps = weight if weight is not None and weight.ndim else None
    own = None if steps is not None else weight
    with counting(y, mask, steps):
        each, share = loss_of_sample(loss, y, t)
        own = to_samples(fill(1, (), each.dtype)) if own is None else own
        present = own if share is None else own * share  # a sample of which nothing counts is none
        sums = {"loss": batch_sum(own * each)}
        for metric in metrics.values():
            for name, value in metric.sums(y, t, loss).items():
                if name not in sums:
                    value = value if value.dtype == "float64" else cast(value, each.dtype)
                    sums[name] = batch_sum(cast(own if metric.by_place else present, value.dtype) * value)
    return own * each, {**sums, "weight": batch_sum(present)}


def sums_of(
    loss: Loss, metrics: Mapping[str, Metric], traced: Traced, t: Value, weight: Value | None
) -> tuple[Value, dict[str, Value]]:
    """`_sums` of a net's output, or of all its outputs: their losses added up, and the sums of each by its name."""
    if not isinstance(loss, Losses):
        return _sums(loss, metrics, traced.output, traced.mask, t, weight)
    total: Value | None = None
    sums: dict[str, Value] = {}
    for o in outputs_of(loss, traced):
        chosen = of_one(metrics, o.name)
        if traced.outputs[o.name][1] is not None and (all_at_once := [n for n, m in chosen.items() if is_scored(m)]):
            raise GraphError(
                f"{all_at_once[0]} cannot leave out the padding of one of several outputs; use another metric"
            )
        each, own = _sums(o.loss, chosen, *traced.outputs[o.name], o.target_of(t), weight)
        total = each * o.weight if total is None else total + each * o.weight
        sums |= {f"{o.name}.{name}": value for name, value in own.items()}
    assert total is not None
    own_weight = to_samples(fill(1, (), total.dtype)) if weight is None else weight
    return total, {"loss": batch_sum(total), **sums, "weight": batch_sum(own_weight)}


def _targets(spec: Spec, weight: Shape | None, dtype: str) -> tuple[Value, Value | None, dict[str, Value]]:
    """Target and weight of a sample: () for one, (T,) or the shape of its places for more, None for none."""
    t = input("y", spec.shape, spec.dtype)
    w = input("weight", weight, dtype) if weight is not None else None
    return t, w, {"y": t} | ({"weight": w} if w is not None else {})


class Learning(NamedTuple):
    """What a training step is made of: its inputs, sums over the batch, cost, trained parameters with their gradients,
    and what layers update by themselves."""

    inputs: dict[str, Value]
    sums: dict[str, Value]
    cost: Value
    pairs: list[tuple[Value, Value]]
    traced: Traced

    def program(self, outputs: dict[str, Value], updates: dict[Value, Value]) -> Program:
        """With these outputs and updates, and those of the layers; the next step has another key."""
        updates = updates | self.traced.updates
        program = Program(self.inputs, outputs, updates)
        if "random.key" not in program.state:
            return program
        return Program(self.inputs, outputs, updates | {self.traced.key: fold_in(self.traced.key, 0)})


def learning(
    net,
    specs,
    how,
    target: Spec,
    weight: Shape | None,
    loss: Loss,
    metrics,
    dtype: str,
    regularizer: Penalty | None = None,
) -> Learning:
    """Forward and backward: the cost C = batch_mean(w L) + extras, and dC/dp for every trainable parameter.

    Extras are what layers add and the penalties; without further outputs they are reported, as "penalty".
    """
    traced, inputs = trace_net(net, specs, how, dtype, training=True)
    t, w, more = _targets(target, weight, dtype)
    each, sums = sums_of(loss, metrics, traced, t, w)
    parameters = [p.value for p in traced.parameters.values() if p.trainable]
    if not parameters:
        raise GraphError("the net has no trainable parameters: nothing to fit")
    extras = [*traced.extras, *penalties_of(traced, regularizer, dtype)]
    cost, penalty = batch_mean(each), None
    for extra in extras:
        added = _added(extra, traced.output, loss, t, w)
        cost = cost + added
        if not extra.output:
            penalty = added if penalty is None else penalty + added
    if penalty is not None:
        sums |= {PENALTY: penalty * sums["weight"]}
    pairs = list(zip(parameters, grad(cost, parameters), strict=True))
    return Learning(inputs | more, sums, cost, pairs, traced)


def training_step(
    net,
    specs,
    how,
    target: Spec,
    weight: Shape | None,
    loss: Loss,
    metrics,
    optimizer: Optimizer,
    dtype: str,
    regularizer: Penalty | None = None,
    constraint: Constraint | None = None,
) -> Program:
    """Forward, backward and update: p' = constraint(rule(p, dC/dp)) for every trainable parameter."""
    found = learning(net, specs, how, target, weight, loss, metrics, dtype, regularizer)
    limits, samples = constraints_of(found.traced, constraint), batch_size(dtype)
    return found.program(found.sums, updates_of(found.pairs, optimizer, dtype, limits, samples))


def optimizer_state(optimizer: Optimizer, dtype: str) -> dict[str, Value]:
    """What an optimizer keeps, by name: of a parameter "*" of shape (1,), and of none."""
    if isinstance(optimizer, LBFGS):  # which has no rule
        optimizer = SGD()
    optimizer = copy.copy(optimizer)
    object.__setattr__(optimizer, "layer_rates", None)  # of layers that are not there
    p = state("*", (1,), dtype)
    return {name: v for name, v in Program([], {}, updates_of([(p, p)], optimizer, dtype)).state.items() if v is not p}


def gradients(
    net,
    specs,
    how,
    target: Spec,
    weight: Shape | None,
    loss: Loss,
    metrics,
    dtype: str,
    regularizer: Penalty | None = None,
) -> Program:
    """The cost of a batch and its gradient in every trainable parameter, by its name; beside the sums."""
    found = learning(net, specs, how, target, weight, loss, metrics, dtype, regularizer)
    slopes = {gradient_name(p.name or ""): g for p, g in found.pairs}
    return found.program({**found.sums, "cost": found.cost, **slopes}, {})


def statistics(net, specs, how, dtype: str) -> Program:
    """Only what layers update by themselves in training, such as the statistics of batch normalization."""
    traced, inputs = trace_net(net, specs, how, dtype, training=True)
    return Program(inputs, {}, traced.updates)


def _added(extra: Extra, output: Value, loss: Loss, t: Value, weight: Value | None) -> Value:
    """What a layer or a penalty adds to the cost (`add_loss`, `add_output`)."""
    value = extra.value
    if extra.output:
        if isinstance(loss, Losses):
            raise GraphError(f"{extra.path!r} gives a further output for the target of the net, which has several; "
                             "return it among them, with a loss of its own")  # fmt: skip
        if value.type != output.type:
            raise GraphError(f"{extra.path!r} has the output {value.type} for the same target as the net, whose "
                             f"own is {output.type}; make them alike")  # fmt: skip
        steps = weight if weight is not None and weight.ndim else None
        with counting(value, extra.mask, steps):
            value = loss_of_sample(loss, value, t)[0]
    if value.kind == "sample":
        value = batch_mean(value if weight is None or weight.ndim else weight * value)
    return extra.weight * value


def evaluation(net, specs, how, target: Spec, weight: Shape | None, loss: Loss, metrics, dtype: str) -> Program:
    """The sums over a batch of loss and metrics, without training."""
    traced, inputs = trace_net(net, specs, how, dtype, training=False)
    t, w, more = _targets(target, weight, dtype)
    return Program(inputs | more, sums_of(loss, metrics, traced, t, w)[1])


def prediction(net, specs, how, loss: Loss, dtype: str, dropping: bool = False) -> Program:
    """The net's output with the loss's link applied; as it is with units dropped, if asked."""
    traced, inputs = trace_net(net, specs, how, dtype, training=False, dropping=dropping)
    return Program(inputs, {"prediction": predicted(loss, traced)})


def predicted(loss: Loss, traced: Traced) -> Value:
    """The loss's link of a net's output, along its axis of classes; of several outputs one after the other."""
    if isinstance(loss, Losses):
        found = {}
        for name, own in zip(loss.names, loss.losses, strict=True):
            y, mask = traced.outputs[name]
            with counting(y, mask):
                found[name] = own.prediction(y)
        return packed({name: found[name] for name in traced.outputs})
    with counting(traced.output, traced.mask):
        return loss.prediction(traced.output)


def steps_counted(net, specs, how, dtype: str) -> Program:
    """Which steps of the net's output count, as 0 and 1."""
    traced, inputs = trace_net(net, specs, how, dtype, training=False)
    assert traced.mask is not None
    return Program(inputs, {"mask": cast(traced.mask, dtype)})


def layer_outputs(net, specs, how, dtype: str) -> tuple[Program, list]:
    """Every layer's output, in order; and the calls they belong to."""
    traced, inputs = trace_net(net, specs, how, dtype, training=False)
    return Program(inputs, {str(i): c.output for i, c in enumerate(traced.calls)}), traced.calls


def feature(net, specs, how, dtype: str, layer: str) -> Program:
    """One layer's output, and what it needs."""
    traced, inputs = trace_net(net, specs, how, dtype, training=False)
    output = output_of(traced, layer)
    return Program(inputs, {"feature": output if output.kind == "sample" else to_samples(output)})


def output_of(traced: Traced, layer: str | None) -> Value:
    """The output of the layer of that name (its last use, if there are several), or of the net."""
    outputs = {call_name(c): c.output for c in traced.calls}
    return traced.output if layer is None else outputs[layer]


def call_name(call: Call) -> str:
    """What a layer is called where it is looked at: its place, or its class if it is the whole net."""
    return call.path or type(call.layer).__name__


def gradient_name(parameter: str) -> str:
    """What the gradient of a parameter is called among the outputs."""
    return f"gradient.{parameter}"
