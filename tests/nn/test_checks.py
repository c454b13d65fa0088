"""Every option of every layer, loss, optimizer, schedule, penalty and initializer is checked where it is given.

The classes come from the registries and the fields from the classes, so that a new one is tried too.
"""

import functools
import inspect
import math
from dataclasses import fields

import numpy as np
import pytest

from pellucid import ArgumentError, GraphError, checks, nn, ops, optim, schedules
from pellucid.nn import init
from pellucid.nn.activations import ACTIVATIONS
from pellucid.nn.losses import LOSSES, FunctionLoss
from pellucid.nn.zoo import PARTS

# what a class is made with, where it has options without a default
NEEDED = {
    "Dense": {"units": 3},
    "DropConnect": {"units": 3},
    "WeightDrop": {"layer": nn.Dense(2)},
    "GaussianNoise": {"stddev": 0.1},
    "Conv": {"filters": 4, "kernel_size": 3},
    "Conv1D": {"filters": 4, "kernel_size": 3},
    "ConvTranspose": {"filters": 4, "kernel_size": 3},
    "DepthwiseConv": {"kernel_size": 3},
    "LocallyConnected": {"filters": 4, "kernel_size": 3},
    "Feedback": {"body": nn.Dense(3)},
    "MaxPool": {"size": 2},
    "AvgPool": {"size": 2},
    "MaxPool1D": {"size": 2},
    "AvgPool1D": {"size": 2},
    "UpSample": {"factor": 2},
    "ZeroPad": {"padding": 1},
    "Embedding": {"rows": 5, "units": 3},
    "Recurrent": {"units": 3},
    "RNN": {"units": 3},
    "LSTM": {"units": 3},
    "GRU": {"units": 3},
    "TimeDistributed": {"layer": nn.Dense(2)},
    "Bidirectional": {"forward": nn.LSTM(2)},
    "RepeatVector": {"length": 3},
    "AdditiveAttention": {"units": 3},
    "MultiHeadAttention": {"heads": 2},
    "FeedForward": {"hidden": 3},
    "TransformerBlock": {"heads": 2, "hidden": 4},
    "TransformerDecoderBlock": {"heads": 2, "hidden": 4},
    "GroupNorm": {"groups": 2},
    "MemberDense": {"units": 3, "members": 2},
    "Pieces": {"pieces": 4, "columns": (0, 2)},
    "AuxiliaryHead": {"head": nn.Dense(2)},
    "Lambda": {"function": nn.tanh},
    "Reshape": {"shape": (2, 3)},
    "Residual": {"body": nn.Dense(3)},
    "Regularized": {"layer": nn.Dense(2)},
    "PNorm": {"p": 2},
    "MixtureDensity": {"components": 2, "classes": 2},
    "FunctionLoss": {"function": lambda y, t: ops.mean(abs(y - t))},
    "SGD": {"momentum": 0.9},
    "EuclideanRBF": {"classes": 3},
    "FirstConv": {"filters": 4, "kernel_size": 3, "size": 28, "net": "lenet5"},
    "PadShortcut": {"filters": 8, "strides": 2},
    **{
        name: {"steps": 10}
        for name in ("Step", "Exponential", "InverseTime", "Cosine", "OneCycle", "WarmUp", "Function")
    },
    "Piecewise": {"values": (0.5, 0.9), "steps": (3,)},
}
BASES = (nn.Layer, nn.Loss, nn.Penalty, nn.Constraint, optim.Optimizer, schedules.Schedule)
FOUND = [
    *(getattr(nn, name) for name in nn.__all__ if isinstance(getattr(nn, name), type)),
    *LOSSES.values(),
    FunctionLoss,
    *optim.OPTIMIZERS.values(),
    *schedules.SCHEDULES.values(),
    *(part for part in PARTS if isinstance(part, type)),
]
MADE = {"Losses"}  # made by `Model` of several losses, of which it checks each
CLASSES = {cls.__name__: cls for cls in FOUND if issubclass(cls, BASES) and cls not in BASES}
CLASSES = {name: cls for name, cls in CLASSES.items() if name not in MADE}
WRONG = {"nan": math.nan, "inf": math.inf, "minus": -1, "text": "0.1", "true": True, "none": None, "list": [1]}
NUMBER, WHOLE, FLAG = {"minus"}, {"minus"}, {"true"}

# (class, field) -> which of those are right there, and documented; others are errors
RIGHT = {
    **{("*", name): {"none"} for name in ("clipvalue", "clipnorm", "global_clipnorm", "weight_decay", "layer_rates")},
    **{("*", name): {"none"} for name in ("gradient_accumulation_steps", "stateful", "truncate")},
    ("*", "axis"): {"minus", "none"},
    **{(name, "axis"): {"minus", "none", "list"} for name in ("LayerNorm", "MaxNorm", "UnitNorm")},
    ("Concatenate", "axis"): {"minus"},
    ("*", "ignore_class"): {"none", "minus"},
    ("*", "value"): {"minus"},
    ("*", "beta"): {"minus"},
    ("*", "forget_bias"): {"minus"},
    ("PNorm", "p"): {"inf"},
    ("*", "padding_index"): {"none"},
    ("*", "length"): {"none"},
    ("RepeatVector", "length"): set(),
    ("MaxPool", "strides"): {"none", "list"},
    ("AvgPool", "strides"): {"none", "list"},
    ("Conv1D", "strides"): set(),
    **{(f"{kind}Pool1D", name): {"none"} for kind in ("Max", "Avg") for name in ("strides",)},
    **{(f"{kind}Pool1D", name): set() for kind in ("Max", "Avg") for name in ("size",)},
    ("MultiHeadAttention", "units"): {"none"},
    **{("Constant", name): {"none"} for name in ("epochs", "steps")},
    ("LBFGS", "line_search"): {"none"},
    **{("LBFGS", name): set() for name in ("use_ema", "maximize")},
    ("PadShortcut", "strides"): set(),
    ("*", "layer"): set(),
    ("Reshape", "shape"): {"list"},
    ("Pieces", "columns"): {"list"},
    **{("*", name): {"list"} for name in ("kernel_size", "strides", "dilation", "size", "factor")},
    **{("*", name): {"list"} for name in ("padding", "output_padding")},
    **{("Conv1D", name): set() for name in ("kernel_size", "dilation")},
    ("LocalResponseNorm", "size"): set(),
    ("FirstConv", "size"): set(),
    ("FirstConv", "net"): {"text"},
    ("*", "name"): {"text", "none"},
    **{("*", name): {"none"} for name in ("shortcut", "label_weights")},
    ("*", "backward"): {"none"},
    ("Lateral", "connections"): {"none"},
    ("Feedback", "back"): {"none"},
    **{("*", name): {"none"} for name in ("weights", "biases", "activations", "constraint")},
}  # fmt: skip
UNCHECKED = {"mask"}  # arrays, which are compared with the weight when the net is built


def tries():
    for cls in CLASSES.values():
        for f in fields(cls):
            if f.init and f.name not in UNCHECKED:
                for name, value in WRONG.items():
                    yield pytest.param(cls, f.name, name, value, id=f"{cls.__name__}-{f.name}-{name}")


def right(cls, field, default):
    """Which of the values are right for a field: those of the table, and yes and no where it is that."""
    found = RIGHT.get((cls.__name__, field), RIGHT.get(("*", field)))
    return ({"true"} if isinstance(default, bool) else set()) if found is None else found


def made(cls, **options):
    given = NEEDED.get(cls.__name__, {}) | options
    if "steps" in given and "epochs" in options:
        given.pop("steps")
    parts = given.pop("layers", None) or given.pop("branches", None)
    return cls(*parts, **given) if isinstance(parts, tuple) else cls(**given)


def default_of(cls, name):
    (found,) = (f.default for f in fields(cls) if f.name == name)
    return found


@pytest.mark.parametrize("cls, field, name, value", list(tries()))
def test_what_is_wrong_is_refused_by_name(cls, field, name, value):
    if field in ("layers", "branches"):
        with pytest.raises((ArgumentError, GraphError), match=cls.__name__):
            cls(value)
        return
    if (
        issubclass(cls, schedules.Schedule)
        and field in ("epochs", "steps")
        and (value is None or cls.__name__ == "Piecewise")
    ):
        pytest.skip("a schedule has one length of two, and Piecewise has boundaries: tests/optim/test_schedules.py")
    if name in right(cls, field, default_of(cls, field)):
        made(cls, **{field: value})
    else:
        with pytest.raises((ArgumentError, GraphError), match=rf"^{cls.__name__}\b.*{field}"):
            made(cls, **{field: value})


def optionals(functions):
    """Each option of functions that have some, with what they are called with before it."""
    for f in functions:
        for p in inspect.signature(f).parameters.values():
            if p.default is not p.empty and p.name != "axis":
                yield pytest.param(f, p.name, id=f"{f.__name__}-{p.name}")


@pytest.mark.parametrize("init, option", list(optionals(init.INITIALISERS.values())))
def test_options_of_first_values(init, option):
    fitting = {"minus"} if option in ("gain", "value") else set()
    for name, value in WRONG.items():
        if name == "list" and option == "value":
            continue  # an array
        make = functools.partial(init, ops.constant([1, 2], "uint32"), (3, 4), "float32", **{option: value})
        if name in fitting:
            assert make().shape == (3, 4)
        else:
            with pytest.raises(ArgumentError, match=rf"^{init.__name__}: {option} must be"):
                make()


@pytest.mark.parametrize("value", [np.array([1.0, np.nan]), [1.0, math.inf], ["a", "b"]])
def test_a_constant_is_of_finite_numbers(value):
    with pytest.raises(ArgumentError, match="constant: value must be"):
        init.constant(ops.constant([1, 2], "uint32"), (2,), "float32", value=value)


@pytest.mark.parametrize("function, option", list(optionals(ACTIVATIONS.values())))
def test_options_of_activations(function, option):
    v = ops.constant([-1.0, 2.0])
    for name, value in WRONG.items():
        if name == "minus" and option not in ("d", "sigma"):
            assert function(v, **{option: value}).shape == (2,)
        else:
            with pytest.raises(ArgumentError, match=rf"^{function.__name__}: {option} must be"):
                function(v, **{option: value})
    with pytest.raises(ArgumentError, match=r"ramp: d must be above c, got c=1\.0 and d=1\.0"):
        nn.ramp(v, c=1.0, d=1.0)
    slope = ops.constant([0.25, 0.5])
    assert nn.leaky_relu(v, slope=slope).shape == (2,)  # a parameter that is learnt


def test_numbers_of_numpy_become_pythons():
    for rate in (np.float32(0.5), np.float64(0.5), np.array(0.5)[()]):
        assert type(optim.SGD(rate).learning_rate) is float
    assert type(nn.Dense(np.int64(3)).units) is int
    assert nn.Dense(3, bias=np.True_).bias is True


def test_what_a_check_says():
    with pytest.raises(ArgumentError, match=r"the net: rate must be a number in \(0, 1\], or None, got 2; really$"):
        checks.number("the net", "rate", 2, above=0, most=1, optional=True, hint="really")
    with pytest.raises(ArgumentError, match=r"must be a number < 1 or math\.inf, got 10{400}"):
        checks.number("f", "p", 10**400, below=1, infinite=True)
    assert checks.number("f", "p", math.inf, least=1, infinite=True) == math.inf
    assert checks.number("f", "p", None, optional=True) is None
