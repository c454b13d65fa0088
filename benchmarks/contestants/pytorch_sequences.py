"""PyTorch on sequences: its own LSTM; a Transformer of its attention function; for `torch.compile` a loop for the RNN.

`nn.TransformerEncoderLayer` took 29.6 ms where the block here takes 25.3. torch.compile leaves `nn.LSTM` as it is: a
loop in its place took 13 ms instead of 6.9; for the simple RNN it was 4.4 instead of 5.0.
"""

from __future__ import annotations

import functools

import torch
from torch.nn import functional

from ..contest import Job
from ..sequences import SequenceData, SequenceRow, Weights
from .pytorch import optimizer


class Net(torch.nn.Module):
    """An embedding (for tokens), layers, a dense layer, with the given weights."""

    def __init__(self, row: SequenceRow, data: SequenceData) -> None:
        super().__init__()
        self.row = row
        self.embedding = torch.nn.Identity() if row.inputs else torch.nn.Embedding(row.classes, row.units)
        self.make(row)
        self.dense = torch.nn.Linear(row.units, row.classes)
        for mine, given in zip(self.weights(), data.layers, strict=True):
            for name, array in given.items():
                mine[name].copy_(torch.from_numpy(array))

    def weights(self) -> Weights:
        """All weights, by the names of Pellucid's."""
        parts = [] if self.row.inputs else [{"weight": self.embedding.weight}]
        parts += [*self.of_layers(), {"weight": self.dense.weight, "bias": self.dense.bias}]
        return [{name: p.detach() for name, p in part.items()} for part in parts]


class Recurrent(Net):
    """x (time, samples) tokens, or (time, samples, inputs), to logits at every step, or the last: time first is faster.
    Of PyTorch's two biases one is left at zero."""

    def make(self, row):
        kind = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM}[row.cell]
        self.layers = kind(row.inputs or row.units, row.units, row.layers)
        for k in range(row.layers):
            getattr(self.layers, f"bias_hh_l{k}").requires_grad_(False).zero_()

    def of_layers(self):
        names = {"weight": "weight_ih_l", "bias": "bias_ih_l", "recurrent_weight": "weight_hh_l"}
        return [{n: getattr(self.layers, f"{p}{k}") for n, p in names.items()} for k in range(self.row.layers)]

    def forward(self, x):
        y = self.layers(self.embedding(x))[0]
        return self.dense(y[-1] if self.row.inputs else y)


class Unrolled(Net):
    """The same of simple recurrent layers, as a loop over time; what the tokens give is computed before it, as rows of
    the projected embedding."""

    def make(self, row):
        self.layers = torch.nn.ModuleList(torch.nn.RNNCell(row.units, row.units) for _ in range(row.layers))
        for cell in self.layers:
            cell.bias_hh.requires_grad_(False).zero_()

    def of_layers(self):
        return [{"weight": c.weight_ih, "bias": c.bias_ih, "recurrent_weight": c.weight_hh} for c in self.layers]

    def forward(self, x):
        y = self.embedding.weight
        for k, cell in enumerate(self.layers):
            given, u = functional.linear(y, cell.weight_ih, cell.bias_ih), cell.weight_hh.t()
            given = given if k else functional.embedding(x, given)
            states = [torch.tanh(given[0])]
            for z in given[1:]:
                states.append(torch.tanh(torch.addmm(z, states[-1], u)))
            y = torch.stack(states)
        return self.dense(y)


class Transformer(Net):
    """x (samples, time) tokens to logits (samples, time, classes)."""

    def make(self, row):
        self.position = torch.nn.Parameter(torch.empty(row.steps, row.units))
        self.layers = torch.nn.ModuleList(Block(row) for _ in range(row.layers))
        self.norm = torch.nn.LayerNorm(row.units)

    def of_layers(self):
        blocks = [block.weights() for block in self.layers]
        return [{"weight": self.position}, *blocks, {"gamma": self.norm.weight, "beta": self.norm.bias}]

    def forward(self, x):
        y = self.embedding(x) + self.position
        for block in self.layers:
            y = block(y)
        return self.dense(self.norm(y))


class Block(torch.nn.Module):
    """Norm, causal attention, norm, two dense layers; queries, keys and values in one product, keys without a bias."""

    def __init__(self, row):
        super().__init__()
        n, make, self.heads = row.units, torch.nn, row.heads
        self.norm_1, self.norm_2 = make.LayerNorm(n), make.LayerNorm(n)
        self.project, self.output = make.Linear(n, 3 * n, bias=False), make.Linear(n, n)
        self.query_bias, self.value_bias = make.Parameter(torch.empty(n)), make.Parameter(torch.empty(n))
        self.register_buffer("key_bias", torch.zeros(n))
        self.hidden, self.back = make.Linear(n, row.hidden), make.Linear(row.hidden, n)

    def weights(self):
        query, key, value = self.project.weight.chunk(3)
        return {
            "attention_norm.gamma": self.norm_1.weight, "attention_norm.beta": self.norm_1.bias,
            "attention.query_weight": query, "attention.query_bias": self.query_bias,
            "attention.key_weight": key,
            "attention.value_weight": value, "attention.value_bias": self.value_bias,
            "attention.output_weight": self.output.weight, "attention.output_bias": self.output.bias,
            "feed_forward_norm.gamma": self.norm_2.weight, "feed_forward_norm.beta": self.norm_2.bias,
            "feed_forward.hidden_weight": self.hidden.weight, "feed_forward.hidden_bias": self.hidden.bias,
            "feed_forward.output_weight": self.back.weight, "feed_forward.output_bias": self.back.bias,
        }  # fmt: skip

    def forward(self, x):
        samples, time, units = x.shape
        bias = torch.cat([self.query_bias, self.key_bias, self.value_bias])
        parts = functional.linear(self.norm_1(x), self.project.weight, bias)
        q, k, v = parts.view(samples, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.output(y.transpose(1, 2).reshape(samples, time, units))
        return x + self.back(functional.gelu(self.hidden(self.norm_2(x))))


def step(row: SequenceRow, data: SequenceData, threads: int, compiled: bool = False) -> Job:
    torch.set_num_threads(threads)
    torch._dynamo.reset()
    loop = compiled and row.cell == "rnn"
    kind = Transformer if row.cell == "transformer" else Unrolled if loop else Recurrent
    net, time_first = kind(row, data), kind is not Transformer
    rule = optimizer(row, [p for p in net.parameters() if p.requires_grad])
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y.astype("int64"))
    if time_first:
        x = x.transpose(0, 1).contiguous()
    if time_first and not row.inputs:
        y = y.t().contiguous()

    def update(rows):
        rule.zero_grad()
        logits = net(x[:, rows] if time_first else x[rows])
        targets = y[:, rows] if time_first and not row.inputs else y[rows]
        functional.cross_entropy(logits.flatten(0, -2), targets.flatten()).backward()
        rule.step()

    if compiled:
        update = torch.compile(update, options={"cpp_wrapper": True} if loop else None)

    def run(order):
        order = torch.from_numpy(order)
        for i in range(0, len(order), row.batch):
            update(order[i : i + row.batch])

    return Job(run, lambda: data.vector([{n: p.numpy() for n, p in part.items()} for part in net.weights()]))


def generate(row: SequenceRow, data: SequenceData, threads: int, compiled: bool = False) -> Job:
    """By hand, both weights in one product: 42 microseconds; `LSTMCell` took 49, `nn.LSTM` 270."""
    torch.set_num_threads(threads)
    torch._dynamo.reset()
    embedding, lstm, dense = ({n: torch.from_numpy(a) for n, a in part.items()} for part in data.layers)
    both = torch.cat([lstm["weight"], lstm["recurrent_weight"]], 1)
    tokens, last = torch.from_numpy(data.x), []

    def one(token, h, c):
        given = torch.cat([functional.embedding(token, embedding["weight"]), h], 1)
        i, f, g, o = functional.linear(given, both, lstm["bias"]).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        return functional.linear(h, dense["weight"], dense["bias"]), h, c

    one = torch.compile(one, options={"cpp_wrapper": True}) if compiled else one

    @torch.inference_mode()
    def run(order):
        h = c = torch.zeros(1, row.units)
        for i in order.tolist():
            logits, h, c = one(tokens[i : i + 1], h, c)
            y = logits.numpy()
        last[:] = [y]

    return Job(run, lambda: last[0].ravel())


compiled_step, compiled_generate = (functools.partial(f, compiled=True) for f in (step, generate))
