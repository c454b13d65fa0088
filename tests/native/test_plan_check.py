"""Plans of many programs keep the rules of `plan/check.py`, and each check finds a fault that is planted."""

import numpy as np
import pytest
import random_programs
from golden_nets import CASES
from hypothesis import HealthCheck, given, settings

import pellucid as pel
from pellucid import ops
from pellucid.executors import native
from pellucid.executors.native.build.builder import Builder
from pellucid.executors.native.plan.bounds import OutOfBounds
from pellucid.executors.native.plan.check import CHECKS, Facts, InvalidPlan, check_plan


def facts_of(program: pel.Program) -> Facts:
    run = native.Run(program)
    builder = Builder(run.executable.simplified, run.host)
    kept = {*builder.built.outputs.values(), *(builder.buffers[new] for new in builder.plan.copied.values())}
    uses = [builder._uses(jobs) for jobs in builder.jobs]
    return Facts(builder.plan, builder.buffers, list(builder.loops.values()), builder.built.slots, uses, kept)


class Compiled(Exception):
    """Instead of compiling: the program that would have been."""


def step_of(name: str, monkeypatch) -> pel.Program:
    """The training step of a golden net; nothing is compiled."""
    case = CASES[name]
    x, n = np.zeros((2, *case.shape), "int64" if case.tokens else "float32"), case.outputs
    options = {"input_shape": case.shape, "seed": 3}
    y = pel.Model(case.net(), "cross_entropy", executor="reference", **options).predict(x)
    targets = (np.arange(y[..., 0].size) % n).reshape(y.shape[:-1])

    def compile(program, threads=None):
        raise Compiled(program)

    monkeypatch.setattr(native, "compile", compile)
    with pytest.raises(Compiled) as found:
        pel.Model(case.net(), "cross_entropy", case.optimizer, executor="native", **options).fit(x, targets, verbose=0)
    return found.value.args[0]


@pytest.mark.parametrize("name", CASES)
def test_golden_nets(name, monkeypatch):
    program = step_of(name, monkeypatch)
    assert program.updates
    check_plan(facts_of(program))
    if program.outputs:
        check_plan(facts_of(pel.Program(program.inputs.values(), program.outputs)))  # without what training adds


@settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(random_programs.programs(8))
def test_random_programs(drawn):
    check_plan(facts_of(drawn.program))


def step() -> pel.Program:
    """A training step of several phases, in which values share memory and state is updated in place."""
    x = h = pel.input("x", (40,))
    for k in range(4):
        w = pel.state(f"w{k}", (40, 40))
        h = ops.tanh(ops.contract(w, h, "ij,j->i"))
    cost = ops.batch_sum(ops.sum(h * h))
    weights = [v for v in pel.graph.toposort([cost]) if v.name and v.name.startswith("w")]
    slopes = pel.grad(cost, weights)
    return pel.Program([x], {"cost": cost}, {w: w - 0.1 * g for w, g in zip(weights, slopes, strict=True)})


def twice(facts: Facts) -> None:
    a, b = facts.plan.groups[:2]
    b.values.add(next(iter(a.values)))


def late(facts: Facts) -> None:
    facts.plan.stored[facts.plan.program.outputs["cost"]].phase = -1


def in_place_early(facts: Facts) -> None:
    facts.plan.stored[next(iter(facts.plan.in_place))].phase = 0


def one_slot(facts: Facts) -> None:
    first, second = [s for s in facts.slots if s.kind == "sample"][:2]
    first.buffers.extend(second.buffers)
    for b in first.buffers:
        b.stride = first.buffers[0].stride


def small(facts: Facts) -> None:
    facts.buffers[next(iter(facts.plan.stored))].size -= 1


FAULTS = [
    (twice, InvalidPlan, "computed once"),
    (late, InvalidPlan, "phases ordered"),
    (in_place_early, InvalidPlan, "phases ordered"),
    (one_slot, InvalidPlan, "slots disjoint"),
    (small, OutOfBounds, "elements"),
]


@pytest.mark.parametrize("plant, error, words", FAULTS, ids=lambda x: getattr(x, "__name__", None))
def test_planted_faults_are_found(plant, error, words):
    facts = facts_of(step())
    assert facts.plan.in_place
    check_plan(facts)
    plant(facts)
    with pytest.raises(error, match=words):
        check_plan(facts)


def test_each_check_has_a_fault():
    assert len({words for *_, words in FAULTS}) == len(CHECKS)
