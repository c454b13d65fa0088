"""Recurrent layers against PyTorch's, with the same weights (development only; skipped where it is not installed)."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import nn, ops

torch = pytest.importorskip("torch")
random = np.random.default_rng(5)
N, T, C, H = 4, 6, 3, 5
LAYERS = {
    "rnn": (nn.RNN, torch.nn.RNN),
    "rnn relu": (lambda *a, **o: nn.RNN(*a, "relu", **o), lambda *a, **o: torch.nn.RNN(*a, nonlinearity="relu", **o)),
    "lstm": (nn.LSTM, torch.nn.LSTM),
    "gru": (nn.GRU, torch.nn.GRU),
}


def pairs(name, place, bias, end=""):
    """Our parameter's name to PyTorch's, or two whose sum it is."""
    found = {"weight": (f"weight_ih_{end}",), "recurrent_weight": (f"weight_hh_{end}",)}
    if bias and name == "gru":
        found |= {"bias": (f"bias_ih_{end}", f"bias_hh_{end}"), "recurrent_bias": (f"bias_hh_{end}",)}
    elif bias:
        found |= {"bias": (f"bias_ih_{end}", f"bias_hh_{end}")}
    return {place + ours: theirs for ours, theirs in found.items()}


def merged(name, ours, theirs, values):
    """PyTorch's numbers for our parameter: the sum of its two biases; of a GRU's n the second stands by itself."""
    arrays = [values[t].detach().numpy().copy() for t in theirs]
    if name == "gru" and ours.endswith("recurrent_bias"):
        return arrays[0][2 * H :]
    if name == "gru" and ours.endswith("bias"):
        arrays[1][2 * H :] = 0
    return sum(arrays)


@pytest.mark.parametrize("executor", ["reference", "native"])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"both": True}, {"layers": 2}], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_values_and_slopes(name, options, executor):
    """Outputs, last states, and gradients in input, first state and weights; for two layers and directions too."""
    ours, theirs = LAYERS[name]
    bias, both, layers = (
        options.get(key, default) for key, default in (("bias", True), ("both", False), ("layers", 1))
    )
    twin = theirs(C, H, layers, bias=bias, bidirectional=both, batch_first=True).double()
    stack = [ours(H, bias=bias, return_sequences=True, return_state=True) for _ in range(layers)]
    places, kind = {}, type(stack[0]).__name__.lower()  # of layers that a function holds
    if both:
        stack = [nn.Bidirectional(layer) for layer in stack]
        for k, end in (("", "l0"), ("_1", "l0_reverse")):
            places |= pairs(name, f"bidirectional.{kind}{k}.", bias, end)
    else:
        for i in range(layers):
            places |= pairs(name, f"{kind}{f'_{i}' * (i > 0)}.", bias, f"l{i}")
    states = (2 if name == "lstm" else 1) * (2 if both else 1)

    def net(x, *first):
        every = []
        for i, layer in enumerate(stack):
            x, *last = layer(x, *first[i * states : (i + 1) * states])
            every += last
        return ops.concatenate([ops.reshape(x, (-1,)), *every])

    x = pel.input("x", (T, C), "float64")
    first = [pel.input(f"s{i}", (H,), "float64") for i in range(states * layers)]
    traced = nn.trace(net, x, *first, dtype="float64")
    values = dict(twin.named_parameters())
    state = {ours: merged(name, ours, theirs, values) for ours, theirs in places.items()}
    assert state.keys() == traced.parameters.keys()
    cotangent = random.normal(size=(N, *traced.output.shape))
    g = pel.input("g", traced.output.shape, "float64")
    wrt = [x, *first, *(p.value for p in traced.parameters.values())]
    slopes = pel.grad(pel.batch_sum(ops.sum(traced.output * g)), wrt)
    names = ["x", *(v.name for v in first), *traced.parameters]
    outputs = {f"d{n}": v for n, v in zip(names, slopes, strict=True)}
    program = pel.Program([x, *first, g], {"y": traced.output} | outputs)
    arrays = {"x": random.normal(size=(N, T, C))} | {v.name: random.normal(size=(N, H)) for v in first}
    found = pel.executors.get(executor).compile(program)(state, arrays | {"g": cotangent})

    tensors = {k: torch.tensor(a, requires_grad=True) for k, a in arrays.items()}
    per_layer = [[tensors[v.name] for v in first[i * states : (i + 1) * states]] for i in range(layers)]
    parts = 2 if name == "lstm" else 1  # h, then c; ours are h, c of one direction and then of the other
    starts = [torch.stack([own[d * parts + p] for own in per_layer for d in range(1 + both)]) for p in range(parts)]
    y, last = twin(tensors["x"], tuple(starts) if parts == 2 else starts[0])
    last = last if parts == 2 else (last,)
    ends = [last[p][i * (1 + both) + d] for i in range(layers) for d in range(1 + both) for p in range(parts)]
    whole = torch.cat([y.flatten(1), *ends], 1)
    (whole * torch.tensor(cotangent)).sum().backward()
    close = {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(found["y"], whole.detach().numpy(), **close)
    for key, tensor in tensors.items():
        np.testing.assert_allclose(found[f"d{key}"], tensor.grad.numpy(), err_msg=key, **close)
    for ours, theirs in places.items():
        slope = values[theirs[0]].grad.numpy()  # of a sum each part has the same
        slope = slope[2 * H :] if ours.endswith("recurrent_bias") else slope
        np.testing.assert_allclose(found[f"d{ours}"], slope, err_msg=ours, **close)


def test_packed_sequences():
    """Sequences of several lengths, padded: PyTorch packs them, here a mask leaves the padding out."""
    lengths, x = [6, 2, 4, 3], random.normal(size=(N, T, C))
    for i, n in enumerate(lengths):
        x[i, n:] = 0
    twin = torch.nn.LSTM(C, H, batch_first=True, bidirectional=True).double()
    net = nn.Sequential(nn.Masking(), nn.Bidirectional(nn.LSTM(H)))
    leaf = pel.input("x", (T, C), "float64")
    traced = nn.trace(net, leaf, dtype="float64")
    places = pairs("lstm", "layers.1.forward.", True, "l0") | pairs("lstm", "layers.1.backward.", True, "l0_reverse")
    values = dict(twin.named_parameters())
    state = {ours: merged("lstm", ours, theirs, values) for ours, theirs in places.items()}
    found = pel.executors.get("native").compile(pel.Program([leaf], {"y": traced.output}))(state, {"x": x})["y"]
    pack = torch.nn.utils.rnn.pack_padded_sequence
    _, (h, _) = twin(pack(torch.tensor(x), lengths, batch_first=True, enforce_sorted=False))
    np.testing.assert_allclose(found, torch.cat([h[0], h[1]], 1).detach().numpy(), rtol=1e-9, atol=1e-11)
