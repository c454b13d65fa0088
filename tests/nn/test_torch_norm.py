"""Normalization layers against PyTorch's (development only; skipped where it is not installed)."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import nn, optim

torch = pytest.importorskip("torch")
random = np.random.default_rng(3)
IMAGES = random.normal(2, 3, size=(8, 6, 4, 3))
VECTORS = random.normal(2, 3, size=(8, 6))
WEIGHTS = random.normal(size=(6,))
OFFSETS = random.normal(size=(6,))

CASES = {
    "batch, images": (nn.BatchNorm(), lambda: torch.nn.BatchNorm2d(6), IMAGES),
    "batch, vectors": (nn.BatchNorm(0.7, 0.01), lambda: torch.nn.BatchNorm1d(6, eps=0.01, momentum=0.3), VECTORS),
    "batch, no affine": (
        nn.BatchNorm(scale=False, center=False),
        lambda: torch.nn.BatchNorm2d(6, affine=False),
        IMAGES,
    ),
    "layer, vectors": (nn.LayerNorm(), lambda: torch.nn.LayerNorm(6), VECTORS),
    "layer, images": (nn.LayerNorm(axis=None), lambda: torch.nn.LayerNorm(IMAGES.shape[1:]), IMAGES),
    "layer, last two": (nn.LayerNorm(axis=(1, 2), epsilon=0.1), lambda: torch.nn.LayerNorm((4, 3), eps=0.1), IMAGES),
    "group": (nn.GroupNorm(3), lambda: torch.nn.GroupNorm(3, 6), IMAGES),
    "instance": (nn.GroupNorm(6, scale=False, center=False), lambda: torch.nn.InstanceNorm2d(6), IMAGES),
    "local response": (nn.LocalResponseNorm(), lambda: torch.nn.LocalResponseNorm(5, alpha=5e-4, k=2.0), IMAGES),
    "local response, strong": (
        nn.LocalResponseNorm(3, 0.5, 0.6, 1.0),
        lambda: torch.nn.LocalResponseNorm(3, alpha=1.5, beta=0.6, k=1.0),
        IMAGES,
    ),
}  # ours is alpha times a sum, PyTorch's times the mean: theirs is size times ours
NAMES = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


@pytest.mark.parametrize("executor", ["reference", "native"])
@pytest.mark.parametrize("ours, theirs, x", CASES.values(), ids=list(CASES))
def test_values_slopes_and_running_statistics(ours, theirs, x, executor):
    """One training step, and evaluation after it."""
    value, cotangent = pel.input("x", x.shape[1:], "float64"), pel.input("g", x.shape[1:], "float64")
    traced = nn.trace(ours, value, dtype="float64", training=True)
    trained = {name: p.value for name, p in traced.parameters.items() if p.trainable}
    cost = pel.batch_sum(pel.ops.sum(traced.output * cotangent))
    slopes = pel.grad(cost, [value, *trained.values()])
    program = pel.Program([value, cotangent], {"y": traced.output} | dict(zip(["x", *trained], slopes, strict=True)),
                          traced.updates)  # fmt: skip
    execute = pel.executors.get(executor)
    state = execute.compile(nn.init_program(traced.parameters))({}, {"key": [0, 1]}) if traced.parameters else {}
    twin = theirs().double().train()
    with torch.no_grad():
        for name in trained:
            state[name] = random.normal(size=state[name].shape)
            getattr(twin, NAMES[name]).copy_(torch.tensor(state[name]))

    g = random.normal(size=x.shape)
    found = execute.compile(program)(state, {"x": x, "g": g})
    tensor = torch.tensor(x, requires_grad=True)
    y = twin(tensor)
    (y * torch.tensor(g)).sum().backward()
    expected = {"y": y, "x": tensor.grad} | {name: getattr(twin, NAMES[name]).grad for name in trained}
    expected |= {name: getattr(twin, NAMES[name]) for name in state if name.startswith("moving")}
    for name, theirs_ in expected.items():
        array = state[name] if name.startswith("moving") else found[name]
        np.testing.assert_allclose(array, theirs_.detach().numpy(), rtol=1e-9, atol=1e-11, err_msg=name)

    calm = nn.trace(ours, value, dtype="float64")
    y = execute.compile(pel.Program([value], {"y": calm.output}))(state, {"x": x})["y"]
    np.testing.assert_allclose(y, twin.eval()(torch.tensor(x)).detach().numpy(), rtol=1e-9, atol=1e-11)


def test_a_net_over_30_steps():
    """Dense, batch norm, relu, dense: losses, weights and running statistics stay together."""
    net = nn.Sequential(nn.Dense(6), nn.BatchNorm(), nn.relu, nn.Dense(2))
    model = pel.Model(net, "mse", optim.SGD(0.1, momentum=0.9), dtype="float64", input_shape=(6,))
    twin = torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.BatchNorm1d(6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
    twin = twin.double()
    places = {name: f"{name.split('.')[1]}.{NAMES.get(name.split('.')[2], name.split('.')[2])}" for name in model.state}
    kept = twin.state_dict()
    with torch.no_grad():
        for name, value in model.state.items():
            kept[places[name]].copy_(torch.tensor(value))
    t = random.normal(size=(8, 2))
    optimizer, losses = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9), []
    for _ in range(30):
        loss = torch.nn.functional.mse_loss(twin(torch.tensor(VECTORS)), torch.tensor(t))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.fit(VECTORS, t, batch_size="all", epochs=30, verbose=0)
    np.testing.assert_allclose(model.history["loss"], losses, rtol=1e-7)
    for name, value in model.parameters.items():
        np.testing.assert_allclose(value, kept[places[name]].numpy(), rtol=1e-6, atol=1e-7, err_msg=name)
    np.testing.assert_allclose(
        model.predict(VECTORS), twin.eval()(torch.tensor(VECTORS)).detach(), rtol=1e-6, atol=1e-8
    )
