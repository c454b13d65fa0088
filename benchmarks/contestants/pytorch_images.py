"""PyTorch on images: Pellucid's layers as modules of the same weights. NCHW as usual, or channels last in memory."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import torch
from torch.nn import functional

from pellucid import nn
from pellucid.nn import zoo

from ..contest import Job
from ..images import NETS, ImageData, ImageRow
from .pytorch import optimizer


class Residual(torch.nn.Module):
    def __init__(self, body, shortcut):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


class PadShortcut(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.filters, self.strides = layer.filters, layer.strides

    def forward(self, x):
        new = self.filters - x.shape[1]
        return functional.pad(x[:, :, :: self.strides, :: self.strides], (0, 0, 0, 0, new // 2, new - new // 2))


def module(layer, arrays: Iterator[np.ndarray]) -> torch.nn.Module:
    """The module for a layer; it takes its trained weights from ``arrays``, in the order of the net's layers."""
    make = torch.nn
    match layer:
        case nn.Sequential():
            return make.Sequential(*(module(part, arrays) for part in layer.layers))
        case nn.Residual():
            body = module(layer.body, arrays)
            return Residual(body, module(layer.shortcut, arrays) if layer.shortcut else make.Identity())
        case nn.Conv():
            w = next(arrays)
            pad = layer.padding if layer.padding != "same" else layer.kernel_size // 2
            before = [make.ZeroPad2d((*pad[1], *pad[0]))] if not isinstance(pad, (int, str)) else []
            pad = 0 if before or pad == "valid" else pad
            conv = make.Conv2d(w.shape[1] * layer.groups, w.shape[0], w.shape[2:], layer.strides, pad,
                               groups=layer.groups, bias=layer.bias)  # fmt: skip
            return make.Sequential(*before, filled(conv, w, arrays))
        case nn.Dense():
            w = next(arrays)
            return filled(make.Linear(w.shape[1], w.shape[0]), w, arrays)
        case nn.BatchNorm():
            gamma = next(arrays)
            return filled(make.BatchNorm2d(len(gamma), layer.epsilon, 1 - layer.momentum), gamma, arrays)
        case nn.MaxPool():
            return make.MaxPool2d(layer.size, layer.strides, 0 if layer.padding == "valid" else layer.padding)
        case nn.LocalResponseNorm():
            return make.LocalResponseNorm(layer.size, layer.alpha * layer.size, layer.beta, layer.k)
        case nn.GlobalAvgPool():
            return make.Sequential(make.AdaptiveAvgPool2d(1), make.Flatten())
        case nn.Flatten():
            return make.Flatten()
        case zoo.PadShortcut():
            return PadShortcut(layer)
    assert layer is nn.relu, layer
    return make.ReLU()


def filled(made: torch.nn.Module, weight: np.ndarray, arrays: Iterator[np.ndarray]) -> torch.nn.Module:
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(weight))
        if made.bias is not None:
            made.bias.copy_(torch.from_numpy(next(arrays)))
    return made


def started(row: ImageRow, data: ImageData, threads: int, last: bool) -> tuple:
    """The net, and x and y as tensors."""
    torch.set_num_threads(threads)
    torch._dynamo.reset()
    layout = torch.channels_last if last else torch.contiguous_format
    trained = (a for k, a in data.parameters.items() if k in data.trained)
    net = module(NETS[row.net](), trained).to(memory_format=layout)
    x = torch.from_numpy(data.x).contiguous(memory_format=layout)
    return net, x, torch.from_numpy(data.y.astype("int64")), layout


def step(row: ImageRow, data: ImageData, threads: int, last: bool = False, compiled: bool = False) -> Job:
    net, x, y, layout = started(row, data, threads, last)
    rule = optimizer(row, net.parameters())

    def update(rows):
        rule.zero_grad()
        functional.cross_entropy(net(x[rows].contiguous(memory_format=layout)), y[rows]).backward()
        rule.step()

    update = torch.compile(update) if compiled else update

    def run(order):
        order = torch.from_numpy(order)
        for i in range(0, len(order), row.batch):
            update(order[i : i + row.batch])

    return Job(run, lambda: np.concatenate([p.detach().contiguous().numpy().ravel() for p in net.parameters()]))


def predict(row: ImageRow, data: ImageData, threads: int, last: bool = False, compiled: bool = False) -> Job:
    net, x, *_ = started(row, data, threads, last)
    net, found = net.eval(), []
    apply = torch.compile(net) if compiled else net

    @torch.no_grad()
    def run(order):
        for i in order.tolist():
            y = functional.softmax(apply(x[i : i + 1]), -1)
        found[:] = [y]

    return Job(run, lambda: found[0].numpy().ravel())


def conv(row: ImageRow, data: ImageData, threads: int, last: bool = False, compiled: bool = False) -> Job:
    net, x, *_ = started(row, data, threads, last)
    x.requires_grad_()
    (w,), found = net.parameters(), []

    def both():
        y = net(x)
        return torch.autograd.grad(y, (x, w), y.detach())

    both = torch.compile(both) if compiled else both
    return Job(lambda order: found.__setitem__(slice(None), both()), lambda: found[1].contiguous().numpy().ravel())


last_step, last_predict, last_conv = (functools.partial(f, last=True) for f in (step, predict, conv))
compiled_step, compiled_predict, compiled_conv = (functools.partial(f, compiled=True) for f in (step, predict, conv))
