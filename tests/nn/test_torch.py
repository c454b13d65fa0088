"""Against PyTorch (development only; skipped where it is not installed): activations, losses, optimizers, gradients."""

from functools import partial

import numpy as np
import pytest
from tools import gradients, run

import pellucid as pel
from pellucid import Model, nn, optim
from pellucid.executors import reference

torch = pytest.importorskip("torch")
F = torch.nn.functional

random = np.random.default_rng(0)
V = np.concatenate([random.normal(size=(6, 5)) * 3, [[-100, -30, 0.5, 30, 100]]])
TOLERANCE = {"rtol": 1e-12, "atol": 1e-14}


def slope_of(function, *arrays):
    """PyTorch's value, and the gradient of its total in the first array."""
    first = torch.tensor(arrays[0], requires_grad=True)
    value = function(first, *(torch.tensor(a) for a in arrays[1:]))
    value.sum().backward()
    return value.detach().numpy(), first.grad.numpy()


ACTIVATIONS = {
    "sigmoid": (nn.sigmoid, torch.sigmoid),
    "tanh": (nn.tanh, torch.tanh),
    "relu": (nn.relu, F.relu),
    "leaky_relu": (partial(nn.leaky_relu, slope=0.2), partial(F.leaky_relu, negative_slope=0.2)),
    "elu": (partial(nn.elu, alpha=0.7), partial(F.elu, alpha=0.7)),
    "softplus": (nn.softplus, lambda v: torch.logaddexp(v, torch.zeros_like(v))),  # F.softplus cuts at 20
    "softmax": (nn.softmax, partial(F.softmax, dim=-1)),
    "gelu": (nn.gelu, F.gelu),
    "silu": (nn.silu, F.silu),
    "ramp": (nn.ramp, lambda v: F.hardtanh(v, 0, 1)),
}


@pytest.mark.parametrize("ours, theirs", ACTIVATIONS.values(), ids=list(ACTIVATIONS))
def test_activations(ours, theirs):
    value, slope = slope_of(theirs, V)
    np.testing.assert_allclose(run(ours, V), value, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(gradients(ours, V)[0], slope, rtol=1e-10, atol=1e-12)


Y, VALUES = random.normal(size=(6, 4)) * 2, random.normal(size=(6, 4))
BITS = random.integers(0, 2, (6, 4)).astype(float)
CLASSES = random.integers(0, 4, 6)
each = {"reduction": "none"}
LOSSES = {
    "half_squared_error": (nn.HalfSquaredError(), VALUES, lambda y, t: F.mse_loss(y, t, **each).sum(-1) / 2),
    "mse": (nn.MeanSquaredError(), VALUES, lambda y, t: F.mse_loss(y, t, **each).mean(-1)),
    "mae": (nn.MeanAbsoluteError(), VALUES, lambda y, t: F.l1_loss(y, t, **each).mean(-1)),
    "huber": (nn.Huber(delta=0.7), VALUES, lambda y, t: F.huber_loss(y, t, delta=0.7, **each).mean(-1)),
    "cross_entropy": (nn.CrossEntropy(), CLASSES, partial(F.cross_entropy, **each)),
    "smoothed": (
        nn.CrossEntropy(label_smoothing=0.1),
        CLASSES,
        partial(F.cross_entropy, label_smoothing=0.1, **each),
    ),
    "binary_cross_entropy": (
        nn.BinaryCrossEntropy(),
        BITS,
        lambda y, t: F.binary_cross_entropy_with_logits(y, t, **each).mean(-1),
    ),
    "binary_hinge": (
        nn.BinaryHinge(),
        BITS,
        lambda y, t: torch.clamp(1 - (2 * t - 1) * y, min=0).mean(-1),
    ),
    "miss_probability": (
        nn.MissProbability(),
        CLASSES,
        lambda y, t: 1 - F.softmax(y, -1)[torch.arange(6), t],
    ),
}


@pytest.mark.parametrize("ours, t, theirs", LOSSES.values(), ids=list(LOSSES))
def test_losses(ours, t, theirs):
    value, slope = slope_of(theirs, Y, t)
    t = t if t.dtype.kind == "f" else t.astype("int32")
    np.testing.assert_allclose(run(ours, Y, t, kinds="sample"), value, **TOLERANCE)
    np.testing.assert_allclose(gradients(ours, Y, t, kinds="sample")[0], slope, rtol=1e-11, atol=1e-13)


OPTIMIZERS = {
    "sgd": (optim.SGD(0.05), partial(torch.optim.SGD, lr=0.05)),
    "momentum": (optim.SGD(0.02, momentum=0.9), partial(torch.optim.SGD, lr=0.02, momentum=0.9)),
    "nesterov": (
        optim.SGD(0.02, momentum=0.9, nesterov=True),
        partial(torch.optim.SGD, lr=0.02, momentum=0.9, nesterov=True),
    ),
    "adam": (optim.Adam(0.01), partial(torch.optim.Adam, lr=0.01)),
    "adam, options": (
        optim.Adam(0.01, beta_1=0.8, beta_2=0.95, epsilon=1e-4),
        partial(torch.optim.Adam, lr=0.01, betas=(0.8, 0.95), eps=1e-4),
    ),
    "adamw": (optim.AdamW(0.01, weight_decay=0.1), lambda ps: torch.optim.AdamW(decayed(ps, 0.1), lr=0.01)),
    "nadam": (optim.Nadam(0.01), partial(torch.optim.NAdam, lr=0.01)),
    "adagrad": (optim.Adagrad(0.05), partial(torch.optim.Adagrad, lr=0.05)),
    "adadelta": (optim.Adadelta(1.0, rho=0.9), partial(torch.optim.Adadelta, rho=0.9, eps=1e-6)),
    "rmsprop": (optim.RMSprop(0.002), partial(torch.optim.RMSprop, lr=0.002, alpha=0.9)),
    "rmsprop, options": (
        optim.RMSprop(0.002, rho=0.95, momentum=0.8, centered=True, epsilon=1e-6),
        partial(torch.optim.RMSprop, lr=0.002, alpha=0.95, momentum=0.8, centered=True, eps=1e-6),
    ),
    "ascent": (optim.SGD(0.005, maximize=True), partial(torch.optim.SGD, lr=0.005, maximize=True)),
    "lbfgs": (optim.LBFGS(0.03, line_search=None), partial(torch.optim.LBFGS, lr=0.03, max_iter=1, history_size=10)),
}


def decayed(parameters, decay):
    """PyTorch decays biases too, unless told."""
    groups = {True: [], False: []}
    for p in parameters:
        groups[p.ndim > 1].append(p)
    return [{"params": groups[True], "weight_decay": decay}, {"params": groups[False], "weight_decay": 0}]


X = random.normal(size=(32, 5))
TARGETS = random.integers(0, 3, 32)


def network(optimizer=None, dtype="float64"):
    """5-7-3 with tanh, and the same in PyTorch with the same weights."""
    net = nn.Sequential(nn.Dense(7), nn.tanh, nn.Dense(3))
    model = Model(net, "cross_entropy", optimizer or "sgd", dtype=dtype, input_shape=(5,))
    twin = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3)).to(getattr(torch, dtype))
    with torch.no_grad():
        for name, value in model.parameters.items():
            twin.get_parameter(name.removeprefix("layers.")).copy_(torch.tensor(value))
    return model, twin


def step(twin, optimizer=None):
    if isinstance(optimizer, torch.optim.LBFGS):
        return optimizer.step(lambda: slopes(twin)).item()
    loss = slopes(twin)
    if optimizer:
        optimizer.step()
    return loss.item()


def slopes(twin):
    loss = F.cross_entropy(twin(torch.tensor(X, dtype=next(twin.parameters()).dtype)), torch.tensor(TARGETS))
    twin.zero_grad()
    loss.backward()
    return loss


def test_gradients_of_a_two_layer_net():
    model, twin = network()
    loss = step(twin)
    x, t = pel.input("x", (5,), "float64"), pel.input("t", (), "int32")
    traced = nn.trace(model.net, x, dtype="float64")
    cost = pel.batch_mean(nn.CrossEntropy()(traced.output, t))
    names = list(traced.parameters)
    slopes = pel.grad(cost, [traced.parameters[name].value for name in names])
    outputs = {"cost": cost} | dict(zip(names, slopes, strict=True))
    found = reference.compile(pel.Program([x, t], outputs))(model.parameters, {"x": X, "t": TARGETS})
    assert float(found["cost"]) == pytest.approx(loss, rel=1e-13)
    for name in names:
        theirs = twin.get_parameter(name.removeprefix("layers.")).grad.numpy()
        np.testing.assert_allclose(found[name], theirs, rtol=1e-10, atol=1e-14)


LOOSE = {
    "nadam": 100,  # PyTorch keeps the product of momenta in float32
    "lbfgs": 10,  # divides by differences, which enlarges what rounding does
}


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-9), ("float32", 2e-4)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_over_100_steps(name, dtype, tolerance):
    ours, theirs = OPTIMIZERS[name]
    tolerance *= LOOSE.get(name, 1)
    model, twin = network(ours, dtype)
    optimizer = theirs(twin.parameters())
    losses = [step(twin, optimizer) for _ in range(100)]
    model.fit(X, TARGETS, batch_size="all", epochs=100, verbose=0)
    np.testing.assert_allclose(model.history["loss"], losses, rtol=tolerance, atol=tolerance)
    for name, value in model.parameters.items():
        theirs = twin.get_parameter(name.removeprefix("layers.")).detach().numpy()
        np.testing.assert_allclose(value, theirs, rtol=tolerance, atol=tolerance)
