"""Attention and Transformer blocks against PyTorch's (development only; skipped where it is not installed)."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import nn

torch = pytest.importorskip("torch")
random = np.random.default_rng(5)
X, MEMORY = random.normal(size=(3, 5, 8)), random.normal(size=(3, 6, 8))
COUNTED = np.array([[1, 1, 1, 1, 0, 0], [1, 0, 1, 0, 1, 1], [1, 1, 1, 1, 1, 1]], np.uint8)
PARTS = ("query", "key", "value")
future = torch.ones(5, 5, dtype=torch.bool).triu(1)
padding = torch.tensor(COUNTED == 0)


def drawn(t):
    return {name: random.normal(size=p.value.shape) * 0.4 for name, p in t.parameters.items()}


def copy_attention(theirs, w, prefix=""):
    """Our weights into a torch.nn.MultiheadAttention; ours has no bias of keys, which changes nothing."""
    put(theirs.in_proj_weight, np.concatenate([w[f"{prefix}{p}_weight"] for p in PARTS]))
    put(theirs.in_proj_bias, np.concatenate([w.get(f"{prefix}{p}_bias", np.zeros(8)) for p in PARTS]))
    put(theirs.out_proj.weight, w[f"{prefix}output_weight"])
    put(theirs.out_proj.bias, w[f"{prefix}output_bias"])


def put(theirs, array):
    with torch.no_grad():
        theirs.copy_(torch.tensor(array))


def ours(net, *arrays):
    """Weights drawn at random, the output, and the slopes of its weighted sum in inputs and weights."""
    inputs = [pel.input(f"x{i}", a.shape[1:], str(a.dtype)) for i, a in enumerate(arrays)]
    t = nn.trace(net, *inputs, dtype="float64")
    g = pel.input("g", t.output.shape, "float64")
    wrt = {v.name: v for v in inputs if v.dtype == "float64"} | {n: p.value for n, p in t.parameters.items()}
    slopes = pel.grad(pel.batch_sum(pel.ops.sum(t.output * g)), list(wrt.values()))
    weights = {c.path: c.output for c in t.calls if c.path.endswith(".weights")}
    program = pel.Program([*inputs, g], {"y": t.output, **weights} | dict(zip(wrt, slopes, strict=True)))
    w, cotangent = drawn(t), random.normal(size=(len(arrays[0]), *t.output.shape))
    run = pel.executors.get("native").compile(program)
    return w, run(w, {"g": cotangent} | {v.name: a for v, a in zip(inputs, arrays, strict=True)}), cotangent


def close(found, theirs, name):
    np.testing.assert_allclose(found, theirs.detach().numpy(), rtol=1e-8, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("case", ["self", "causal", "memory", "masked"])
def test_multi_head_attention(case):
    layer = nn.MultiHeadAttention(2, 8, causal=case == "causal", name="attention")

    def net(x, memory=None, counted=None):
        if memory is None:
            return layer(x)
        return layer(x, memory if counted is None else nn.with_mask(memory, counted > 0))

    arrays = {"memory": (X, MEMORY), "masked": (X, MEMORY, COUNTED)}.get(case, (X,))
    w, found, cotangent = ours(net, *arrays)
    twin = torch.nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    copy_attention(twin, w, "attention.")
    x, memory = (torch.tensor(a, requires_grad=True) for a in (X, MEMORY))
    keys = memory if len(arrays) > 1 else x
    y, weights = twin(x, keys, keys, average_attn_weights=False, attn_mask=future if case == "causal" else None,
                      key_padding_mask=padding if case == "masked" else None)  # fmt: skip
    (y * torch.tensor(cotangent)).sum().backward()
    close(found["y"], y, "y")
    close(found["attention.weights"], weights, "weights")
    close(found["x0"], x.grad, "x")
    if len(arrays) > 1:
        close(found["x1"], memory.grad, "memory")
    slopes = np.split(twin.in_proj_weight.grad.numpy(), 3)
    for part, slope in zip(PARTS, slopes, strict=True):
        np.testing.assert_allclose(found[f"attention.{part}_weight"], slope, rtol=1e-8, atol=1e-10, err_msg=part)
    close(found["attention.output_weight"], twin.out_proj.weight.grad, "output")
    assert np.abs(np.split(twin.in_proj_bias.grad.numpy(), 3)[1]).max() < 1e-12  # of the keys' bias


def copy_block(theirs, w, attention, norms):
    """Our weights, in a net of one block, into a torch Transformer layer."""
    w = {name.removeprefix("layers.0."): a for name, a in w.items()}
    for name, part in attention.items():
        copy_attention(getattr(theirs, part), w, f"{name}.")
    for name, norm in norms.items():
        put(getattr(theirs, norm).weight, w[f"{name}_norm.gamma"])
        put(getattr(theirs, norm).bias, w[f"{name}_norm.beta"])
    for name, linear in (("hidden", theirs.linear1), ("output", theirs.linear2)):
        put(linear.weight, w[f"feed_forward.{name}_weight"])
        put(linear.bias, w[f"feed_forward.{name}_bias"])


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_transformer_block(pre_norm, causal, activation):
    net = nn.Sequential(nn.TransformerBlock(4, 16, causal=causal, pre_norm=pre_norm, activation=activation))
    w, found, cotangent = ours(net, X)
    twin = torch.nn.TransformerEncoderLayer(8, 4, 16, 0.0, activation, batch_first=True, norm_first=pre_norm,
                                            dtype=torch.float64)  # fmt: skip
    copy_block(twin, w, {"attention": "self_attn"}, {"attention": "norm1", "feed_forward": "norm2"})
    x = torch.tensor(X, requires_grad=True)
    y = twin(x, src_mask=future if causal else None)
    (y * torch.tensor(cotangent)).sum().backward()
    close(found["y"], y, "y")
    close(found["x0"], x.grad, "x")
    close(found["layers.0.feed_forward.hidden_weight"], twin.linear1.weight.grad, "hidden")
    close(found["layers.0.attention_norm.gamma"], twin.norm1.weight.grad, "norm")


@pytest.mark.parametrize("pre_norm", [True, False])
def test_transformer_decoder_block(pre_norm):
    class Net(nn.Layer):
        layers: tuple

        def __call__(self, x, memory, counted):
            return self.layers[0](x, nn.with_mask(memory, counted > 0))

    w, found, cotangent = ours(Net((nn.TransformerDecoderBlock(2, 16, pre_norm=pre_norm),)), X, MEMORY, COUNTED)
    twin = torch.nn.TransformerDecoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True, norm_first=pre_norm,
                                            dtype=torch.float64)  # fmt: skip
    copy_block(twin, w, {"attention": "self_attn", "memory_attention": "multihead_attn"},
               {"attention": "norm1", "memory_attention": "norm2", "feed_forward": "norm3"})  # fmt: skip
    x, memory = (torch.tensor(a, requires_grad=True) for a in (X, MEMORY))
    y = twin(x, memory, tgt_mask=future, memory_key_padding_mask=padding)
    (y * torch.tensor(cotangent)).sum().backward()
    close(found["y"], y, "y")
    close(found["x0"], x.grad, "x")
    close(found["x1"], memory.grad, "memory")


def test_dot_products():
    _, found, cotangent = ours(lambda x, m: nn.Attention()(x, m), X, MEMORY)
    x, memory = (torch.tensor(a, requires_grad=True) for a in (X, MEMORY))
    y = torch.nn.functional.scaled_dot_product_attention(x, memory, memory)
    (y * torch.tensor(cotangent)).sum().backward()
    for name, theirs in (("y", y), ("x0", x.grad), ("x1", memory.grad)):
        close(found[name], theirs, name)


@pytest.mark.parametrize("stride, padding, dilation", [(1, "valid", 2), (1, "same", 1), (2, "valid", 1)])
def test_convolution_over_time(stride, padding, dilation):
    net = nn.Sequential(nn.Conv1D(6, 3, stride, padding, dilation, groups=2))
    w, found, cotangent = ours(net, X)
    twin = torch.nn.Conv1d(8, 6, 3, stride, padding, dilation, groups=2, dtype=torch.float64)
    put(twin.weight, w["layers.0.weight"])
    put(twin.bias, w["layers.0.bias"])
    x = torch.tensor(X, requires_grad=True)
    y = twin(x.transpose(1, 2)).transpose(1, 2)
    (y * torch.tensor(cotangent)).sum().backward()
    for name, theirs in (("y", y), ("x0", x.grad), ("layers.0.weight", twin.weight.grad)):
        close(found[name], theirs, name)


def test_ignored_labels():
    y, t = random.normal(size=(4, 7, 3)), random.integers(0, 3, (4, 7))
    t[:, 4:] = -1
    inputs = [pel.input("y", (7, 3), "float64"), pel.input("t", (7,), "int32")]
    program = pel.Program(inputs, {"loss": nn.CrossEntropy(ignore_class=-1)(*inputs)})
    found = pel.executors.get("native").compile(program)({}, {"y": y, "t": t.astype(np.int32)})["loss"]
    theirs = [torch.nn.functional.cross_entropy(torch.tensor(a), torch.tensor(b), ignore_index=-1)
              for a, b in zip(y, t, strict=True)]  # fmt: skip
    np.testing.assert_allclose(found, np.array(theirs), rtol=1e-12)
