"""Penalties and constraints against PyTorch (development only; skipped where it is not installed)."""

import numpy as np
import pytest

from pellucid import Model, nn, optim

torch = pytest.importorskip("torch")

random = np.random.default_rng(0)
X, T = random.normal(size=(20, 3)), random.normal(size=(20, 1))
RATE, STEPS = 0.1, 100
CASES = {
    "l1": ({"regularizer": nn.L1(0.02)}, lambda w: 0.02 * w.abs().sum()),
    "l2": ({"regularizer": nn.L2(0.03)}, lambda w: 0.03 * w.square().sum()),
    "l1 squared": ({"regularizer": nn.L1(0.02, squared=True)}, lambda w: 0.02 * w.abs().sum().square()),
    "p": ({"regularizer": nn.PNorm(2.5, 0.05)}, lambda w: 0.05 * torch.linalg.vector_norm(w, 2.5)),
    "max norm": ({"constraint": nn.MaxNorm(0.6)}, lambda w: 0 * w.sum()),
}


@pytest.mark.parametrize("options, penalty", CASES.values(), ids=list(CASES))
def test_a_hundred_steps(options, penalty):
    net = nn.Sequential(nn.Dense(4), nn.tanh, nn.Dense(1))
    m = Model(net, "mse", optim.SGD(RATE, momentum=0.9), dtype="float64", input_shape=(3,), **options)
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    parameters = list(theirs.parameters())
    for p, w in zip(parameters, m.parameters.values(), strict=True):
        p.data = torch.tensor(w)
    descent = torch.optim.SGD(parameters, RATE, momentum=0.9)
    x, t = torch.tensor(X), torch.tensor(T)
    for _ in range(STEPS):
        descent.zero_grad()
        loss = torch.nn.functional.mse_loss(theirs(x), t)
        (loss + sum(penalty(p) for p in parameters[::2])).backward()
        descent.step()
        if "constraint" in options:
            for p in parameters[::2]:
                p.data = torch.renorm(p.data, 2, 0, 0.6)
    m.fit(X, T, epochs=STEPS, batch_size="all", verbose=0)
    for p, w in zip(parameters, m.parameters.values(), strict=True):
        np.testing.assert_allclose(w, p.detach().numpy(), rtol=1e-6, atol=1e-7)


def test_weight_decay_is_half_of_it():
    """PyTorch's weight_decay d adds d w to the gradient, of biases too: nn.L2(d / 2) on both."""
    layer = nn.Regularized(nn.Dense(1), weights=nn.L2(0.05), biases=nn.L2(0.05))
    m = Model(layer, "mse", optim.SGD(RATE), dtype="float64", input_shape=(3,))
    theirs = torch.nn.Linear(3, 1).double()
    theirs.weight.data, theirs.bias.data = (torch.tensor(m.parameters[name]) for name in ("weight", "bias"))
    descent = torch.optim.SGD(theirs.parameters(), RATE, weight_decay=0.1)
    for _ in range(20):
        descent.zero_grad()
        torch.nn.functional.mse_loss(theirs(torch.tensor(X)), torch.tensor(T)).backward()
        descent.step()
    m.fit(X, T, epochs=20, batch_size="all", verbose=0)
    np.testing.assert_allclose(m.parameters["weight"], theirs.weight.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(m.parameters["bias"], theirs.bias.detach().numpy(), rtol=1e-12)
