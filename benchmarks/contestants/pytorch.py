"""PyTorch: modules, its own optimizers and loss; a mini-batch is taken by indexing with a slice of the permutation."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch.nn import functional

from ..contest import Job
from ..rows import OPTIMIZERS, Data, Row, flat


def net(row: Row, data: Data | None = None) -> torch.nn.Sequential:
    kind = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[row.activation]
    layers: list = []
    for a, b in pairwise(row.sizes):
        layers += [torch.nn.Linear(a, b), kind()]
    made = torch.nn.Sequential(*layers[:-1])
    if data is not None:
        with torch.no_grad():
            for p, value in zip(made.parameters(), (a for pair in data.weights for a in pair), strict=True):
                p.copy_(torch.from_numpy(value))
    return made


def optimizer(row: Row, parameters) -> torch.optim.Optimizer:
    o, fused = OPTIMIZERS[row.optimizer], row.fused or None  # fused: 5.6 ms instead of 7.2 for 784-1024-1024-10
    if row.optimizer == "Adam":
        return torch.optim.Adam(parameters, o["rate"], (o["beta_1"], o["beta_2"]), o["epsilon"], fused=fused)
    return torch.optim.SGD(parameters, o["rate"], momentum=o.get("momentum", 0), fused=fused)


def arrays(data: Data, threads: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.set_num_threads(threads)
    return torch.from_numpy(data.x), torch.from_numpy(data.y.astype("int64"))


def step(row: Row, data: Data, threads: int, compiled: bool = False) -> Job:
    x, y = arrays(data, threads)
    module = net(row, data)
    rule = optimizer(row, module.parameters())

    def update(rows):
        rule.zero_grad()
        functional.cross_entropy(module(x[rows]), y[rows]).backward()
        rule.step()

    if compiled:  # forward, backward and update: faster than compiling the loss alone
        torch._dynamo.reset()
        update = torch.compile(update)

    def run(order):
        order = torch.from_numpy(order)
        for i in range(0, len(order), row.batch):
            update(order[i : i + row.batch])

    return Job(run, lambda: flat([[p.detach().numpy() for p in module.parameters()]]))


def compiled_step(row: Row, data: Data, threads: int) -> Job:
    return step(row, data, threads, compiled=True)


def train(row: Row, module, x, y) -> None:
    """All epochs, each in an order of its own."""
    rule = optimizer(row, module.parameters())
    for _ in range(row.epochs):
        order = torch.randperm(len(x))
        for i in range(0, len(x), row.batch):
            rows = order[i : i + row.batch]
            rule.zero_grad()
            functional.cross_entropy(module(x[rows]), y[rows]).backward()
            rule.step()


def fit(row: Row, data: Data, threads: int) -> Job:
    x, y = arrays(data, threads)
    return Job(lambda order: train(row, net(row), x, y))


def predict(row: Row, data: Data, threads: int, compiled: bool = False) -> Job:
    x, _ = arrays(data, threads)
    module = net(row, data).eval()
    if compiled:
        torch._dynamo.reset()
        module = torch.compile(module)
    last = []

    @torch.no_grad()
    def run(order):
        for i in order.tolist():
            y = functional.softmax(module(x[i : i + 1]), -1)
        last[:] = [y]

    return Job(run, lambda: last[0].numpy().ravel())


def compiled_predict(row: Row, data: Data, threads: int) -> Job:
    return predict(row, data, threads, compiled=True)
