"""PyTorch's own test samples against ours: values, slopes and second slopes, on both executors, in float64.

The samples come from the installed package (``torch.testing._internal``), which is no part of PyTorch's promises:
where they are not where they were the tests are skipped. What is ours is told by the tables of `torch_samples`; what is
left out, and why, is told by them, and below. ``-m slow`` runs all samples, otherwise the first few of each.
"""

import collections
import functools
import importlib
import itertools
import math
import operator
import sys
import types
import unittest

import numpy as np
import pytest
from torch_samples import MODULES, OPTIMIZERS, OURS, Other

import pellucid as pel
from pellucid import GraphError, ops
from pellucid.executors import EXECUTORS
from pellucid.graph import Value
from pellucid.optim import updates_of

torch = pytest.importorskip("torch")
TOLERANCE = {"rtol": 1e-7, "atol": 1e-9}
LOOSE = {"erfinv": {"rtol": 2e-6, "atol": 1e-9}}

FEW, ALL = 2, 10**6

# what PyTorch's samples hold, beyond what the tables say, that is ours by another choice: (name, what is compared)
CHOICES: dict[tuple[str, str], str] = {}


def database(module, name):
    """One of PyTorch's lists of samples. They import expecttest, for test classes that are not used here."""
    stub = types.ModuleType("expecttest")
    stub.TestCase = unittest.TestCase  # type: ignore[attr-defined]
    known = sys.modules.setdefault("expecttest", stub)
    try:
        return getattr(importlib.import_module(f"torch.testing._internal.{module}"), name)
    except (ImportError, AttributeError) as error:
        pytest.skip(f"PyTorch's samples are not where they were: {error}")
    finally:
        if known is stub:
            del sys.modules["expecttest"]


class Call:
    """One call with tensors, and the same with Values: values, slopes and second slopes."""

    def __init__(self, number):
        self.prefix, self.inputs, self.arrays, self.leaves = f"{number}.", [], {}, []

    def valued(self, x):
        """A Value for a tensor, wherever it stands."""
        if isinstance(x, (tuple, list)):
            return type(x)(self.valued(v) for v in x)
        if not isinstance(x, torch.Tensor):
            return x
        if x.dtype not in (torch.float64, torch.int64, torch.bool):
            raise Other(f"dtype {x.dtype}")
        name = f"{self.prefix}{len(self.inputs)}"
        self.inputs.append(pel.input(name, tuple(x.shape), str(x.dtype).removeprefix("torch."), "shared"))
        self.arrays[name] = np.array(x.numpy(force=True), order="C")
        self.leaves.append(x)
        return self.inputs[-1]

    def prepare(self, y, result):
        """Ours is y, theirs is the result."""
        if not isinstance(y, Value) or not isinstance(result, torch.Tensor):
            raise Other("no tensor")
        self.result, self.outputs = result, {"value": [y]}
        self.wrt = [v for v, x in zip(self.inputs, self.leaves, strict=True) if x.requires_grad]
        if y.dtype == "float64" and result.requires_grad and self.wrt:
            slopes = pel.grad(weighted(y, 0.3), self.wrt)
            self.outputs["slope"] = slopes
            total = functools.reduce(operator.add, (weighted(s, 0.7) for s in slopes))
            self.outputs["second slope"] = pel.grad(total, self.wrt)
        return self

    def theirs(self):
        """PyTorch's numbers, as far as it gives them."""
        yield "value", [self.result]
        if "slope" not in self.outputs:
            return
        given = [x for x in self.leaves if x.requires_grad]
        slopes = self.slopes([self.result], given, 0.3, create_graph=True)
        yield "slope", [slopes[id(x)] for x in given]
        again = [s for s in slopes.values() if s.requires_grad]
        try:
            seconds = self.slopes(again, given, 0.7) if again else {id(x): torch.zeros_like(x) for x in given}
        except RuntimeError:  # PyTorch has no second derivative of it
            return
        yield "second slope", [seconds[id(x)] for x in given]

    def slopes(self, results, given, phase, **options):
        total = sum((r * torch.tensor(weights(r.shape, phase))).sum() for r in results)
        found = torch.autograd.grad(total, given, allow_unused=True, **options)
        return {id(x): torch.zeros_like(x) if s is None else s for s, x in zip(found, given, strict=True)}


def weights(shape, phase):
    """Numbers that tell all elements apart."""
    return np.cos(np.arange(math.prod(shape)) + phase).reshape(shape)


def weighted(v, phase):
    return ops.sum(v * ops.constant(weights(v.shape, phase)))


def compare(name, tries):
    """Calls, or reasons why not, against PyTorch's: how many agree and are left out; those that differ fail."""
    calls = [call for call in tries if isinstance(call, Call)]
    count = collections.Counter({"left out": len(tries) - len(calls)})
    if not calls:
        return count
    outputs = {f"{c.prefix}{what} {k}": v for c in calls for what, vs in c.outputs.items() for k, v in enumerate(vs)}
    program = pel.Program([v for c in calls for v in c.inputs], outputs)
    arrays = {k: a for c in calls for k, a in c.arrays.items()}
    runs = {executor: pel.executors.get(executor).compile(program)({}, arrays) for executor in EXECUTORS}
    for call in calls:
        for what, tensors in call.theirs():
            for k, t in enumerate(tensors):
                if (name, what) in CHOICES:
                    continue
                for executor, found in runs.items():
                    np.testing.assert_allclose(
                        found[f"{call.prefix}{what} {k}"], t.numpy(force=True), **LOOSE.get(name, TOLERANCE),
                        err_msg=f"{what} {k} on {executor}, of {call.arrays}",
                    )  # fmt: skip
        count["agree"] += 1
    return count


def tried(number, make):
    """A call, or why there is none."""
    call = Call(number)
    try:
        return make(call)
    except Other as reason:
        return str(reason)
    except GraphError:
        if not all(v.size for v in call.inputs):
            return "of nothing, which is an error with us"
        raise


def report(record_property, counts):
    for key, n in counts.items():
        record_property(key, n)


# ---- operations ---------------------------------------------------------------------------------------------------


def of_operation(op, few):
    def call(given):
        def make(c):
            function, own = OURS[op.name], {k: c.valued(v) for k, v in given.kwargs.items()}
            y = function(*map(c.valued, (given.input, *given.args)), **own)
            return c.prepare(y, op(given.input, *given.args, **given.kwargs))

        return make

    samples = op.sample_inputs("cpu", torch.float64, requires_grad=op.supports_autograd)
    return [tried(i, call(given)) for i, given in enumerate(itertools.islice(samples, few))]


def operations(few):
    counts = collections.Counter()
    for op in database("common_methods_invocations", "op_db"):
        if op.name in OURS:
            counts += compare(op.name, of_operation(op, few))
    return counts


# ---- modules ------------------------------------------------------------------------------------------------------


def of_module(info, few):
    def call(given):
        def make(c):
            made, forward = given.constructor_input, given.forward_input
            module = info.module_cls(*made.args, **made.kwargs).to(torch.float64)
            function = MODULES[info.name](module, c.valued)
            y = function(*map(c.valued, (*forward.args, *forward.kwargs.values())))
            return c.prepare(y, module(*forward.args, **forward.kwargs))

        return make

    options = {"device": "cpu", "dtype": torch.float64, "requires_grad": True, "training": True}
    samples = info.module_inputs_func(info, **options)
    return [tried(i, call(given)) for i, given in enumerate(itertools.islice(samples, few)) if given.forward_input]


def modules(few):
    counts = collections.Counter()
    for info in database("common_modules", "module_db"):
        if info.name in MODULES:
            counts += compare(info.name, of_module(info, few))
    return counts


# ---- optimizers ---------------------------------------------------------------------------------------------------

START, STEPS = np.linspace(-1, 1.3, 6).reshape(3, 2), 5


def cost(p, exp):
    return (exp(0.7 * p) - 0.4 * p * p * p).sum() if isinstance(p, torch.Tensor) else ops.sum(exp(0.7 * p) - 0.4 * p**3)


def of_optimizer(cls, samples):
    """For each sample whether it agrees or is left out."""
    for sample in samples:
        try:
            ours, decay = OPTIMIZERS[cls.__name__](**sample.kwargs)
        except Other:
            yield "left out"
            continue
        p = pel.state("p", START.shape, "float64")
        slope = pel.grad(cost(p, ops.exp), p) + p * (-decay if ours.maximize else decay)
        program = pel.Program([], {}, updates_of([(p, slope)], ours, "float64"))
        twin = torch.tensor(START, requires_grad=True)
        theirs = cls([twin], **sample.kwargs)
        for _ in range(STEPS):
            theirs.zero_grad()
            cost(twin, torch.exp).backward()
            theirs.step()
        for executor in EXECUTORS:
            memory = {name: np.zeros(v.shape, v.dtype) for name, v in program.state.items()}
            memory |= {"p": START.copy()} | {k: np.array(v) for k, v in ours.first_numbers().items() if k in memory}
            run = pel.executors.get(executor).compile(program)
            for _ in range(STEPS):
                run(memory, {})
            # PyTorch keeps the product of Nadam's momenta in float32
            tolerance = 1e-6 if cls is torch.optim.NAdam else 1e-10
            np.testing.assert_allclose(memory["p"], twin.numpy(force=True), rtol=tolerance, err_msg=str(sample.kwargs))
        yield "agree"


def test_optimizers(record_property):
    counts = collections.Counter()
    for info in database("common_optimizers", "optim_db"):
        if info.optim_cls.__name__ in OPTIMIZERS:
            counts += collections.Counter(of_optimizer(info.optim_cls, info.optim_inputs_func(device="cpu")))
    report(record_property, counts)
    assert counts["agree"] >= 25


@pytest.mark.parametrize("all_of, few, least", [(operations, FEW, 200), (modules, FEW, 60)])
def test_a_few_samples(all_of, few, least, record_property):
    counts = all_of(few)
    report(record_property, counts)
    assert counts["agree"] >= least, counts


@pytest.mark.slow
@pytest.mark.parametrize("all_of, least", [(operations, 1500), (modules, 100)])
def test_all_samples(all_of, least, record_property):
    counts = all_of(ALL)
    report(record_property, counts)
    assert counts["agree"] >= least, counts
