"""Attention and Transformer blocks: formulas, slopes, masks, causality, native = reference, and what errors say."""

import numpy as np
import pytest
from native_tools import agree, with_slopes
from tools import check_gradient, with_parameters

import pellucid as pel
from pellucid import ArgumentError, GraphError, Model, nn, ops, optim
from pellucid.executors import reference
from pellucid.nn.attention import masked_softmax
from pellucid.nn.layer import LayerError

random = np.random.default_rng(0)
X, MEMORY = random.normal(size=(3, 5, 4)), random.normal(size=(3, 6, 4))
COUNTED = np.array([[1, 1, 1, 1, 0, 0], [1, 0, 1, 0, 1, 1], [0, 0, 0, 0, 0, 0]], np.uint8)


class Pair(nn.Layer):
    """A layer on a query and a memory whose mask is a third input."""

    layer: nn.Layer

    def __call__(self, x, memory, counted=None):
        return self.layer(x, memory if counted is None else nn.with_mask(memory, counted > 0))


class Alone(nn.Layer):
    """A layer on one sequence, whose mask is a second input."""

    layer: nn.Layer

    def __call__(self, x, counted=None):
        return self.layer(x if counted is None else nn.with_mask(x, counted > 0))


def traced(net, *arrays, dtype="float64", training=False):
    inputs = [pel.input(f"x{i}", a.shape[1:], dtype if a.dtype.kind == "f" else str(a.dtype))
              for i, a in enumerate(arrays)]  # fmt: skip
    return nn.trace(net, *inputs, dtype=dtype, training=training), inputs


def weights_for(t, seed=0):
    draw = np.random.default_rng(seed)
    return {name: draw.normal(size=p.value.shape).astype(p.value.dtype) * 0.5 for name, p in t.parameters.items()}


def outputs(net, *arrays):
    """What the reference executor gives for weights drawn at random, and every layer's output by place."""
    t, inputs = traced(net, *arrays)
    calls = {c.path: c.output for c in t.calls}
    run = reference.compile(pel.Program(inputs, {"": t.output, **calls}))
    return run(weights_for(t), dict(zip(["x0", "x1", "x2"], arrays, strict=False)))


def softmax(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# ---- formulas -------------------------------------------------------------------------------------------------------


def test_dot_products():
    a = softmax(X @ MEMORY.transpose(0, 2, 1) / 2)
    found = outputs(Pair(nn.Attention()), X, MEMORY)
    np.testing.assert_allclose(found[""], a @ MEMORY, rtol=1e-12)
    np.testing.assert_allclose(found["layer.weights"], a, rtol=1e-12)


def test_values_other_than_the_memory():
    net = nn.Lambda(lambda x, m, v: nn.Attention()(x, m, v))
    values = random.normal(size=(3, 6, 2))
    a = softmax(X @ MEMORY.transpose(0, 2, 1) / 2)
    np.testing.assert_allclose(outputs(net, X, MEMORY, values)[""], a @ values, rtol=1e-12)


def test_additive_scores():
    net = Pair(nn.AdditiveAttention(7))
    t, _ = traced(net, X, MEMORY)
    w, u, v = (weights_for(t)[f"layer.{part}_weight"] for part in ("query", "memory", "score"))
    a = softmax(np.tanh((X @ w.T)[:, :, None] + (MEMORY @ u.T)[:, None]) @ v)
    found = outputs(net, X, MEMORY)
    np.testing.assert_allclose(found[""], a @ MEMORY, rtol=1e-12)
    one = outputs(net, X[:, 2], MEMORY)  # one query
    np.testing.assert_allclose(one[""], found[""][:, 2], rtol=1e-12)
    np.testing.assert_allclose(one["layer.weights"], a[:, 2:3], rtol=1e-12)


def test_heads_are_attention_on_projections():
    net = Pair(nn.MultiHeadAttention(2, 6))
    t, _ = traced(net, X, MEMORY)
    p = {name.removeprefix("layer."): w for name, w in weights_for(t).items()}
    q, k, v = (x @ p[f"{part}_weight"].T + p.get(f"{part}_bias", 0)
               for part, x in (("query", X), ("key", MEMORY), ("value", MEMORY)))  # fmt: skip
    heads = [softmax(q[..., s] @ k[..., s].transpose(0, 2, 1) / np.sqrt(3)) @ v[..., s]
             for s in (slice(0, 3), slice(3, 6))]  # fmt: skip
    expected = np.concatenate(heads, -1) @ p["output_weight"].T + p["output_bias"]
    np.testing.assert_allclose(outputs(net, X, MEMORY)[""], expected, rtol=1e-11)


def test_the_weights_can_be_had():
    """As a second result within a net, and beside the layers' outputs."""

    def net(x):
        y, weights = nn.MultiHeadAttention(2, 4, name="attention")(x, return_weights=True)
        return ops.concatenate([y, ops.mean(weights, 0)], 1)

    found = outputs(net, X)
    np.testing.assert_allclose(found[""][..., 4:], found["attention.weights"].mean(1), rtol=1e-12)
    model = Model(nn.Sequential(nn.MultiHeadAttention(2, 4), nn.GlobalAvgPool1D()), "mse", input_shape=(5, 4))
    weights = model.layer_outputs(X)["layers.0.weights"]
    assert weights.shape == (3, 2, 5, 5)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)
    assert (model.features(X, "layers.0.weights") == weights).all()


# ---- slopes, and native = reference ---------------------------------------------------------------------------------

LAYERS = {
    "dot": (Alone(nn.Attention()), (X,)),
    "dot, causal": (Alone(nn.Attention(causal=True)), (X,)),
    "dot, memory": (Pair(nn.Attention()), (X, MEMORY)),
    "dot, masked": (Pair(nn.Attention()), (X, MEMORY, COUNTED)),
    "additive": (Pair(nn.AdditiveAttention(7)), (X, MEMORY)),
    "additive, masked": (Pair(nn.AdditiveAttention(7)), (X[:, 0], MEMORY, COUNTED)),
    "heads": (Alone(nn.MultiHeadAttention(2)), (X,)),
    "heads, causal, masked": (Alone(nn.MultiHeadAttention(2, 6, causal=True)), (X, COUNTED[:, :5])),
    "heads, memory, masked": (Pair(nn.MultiHeadAttention(4, bias=False)), (X, MEMORY, COUNTED)),
    "block": (Alone(nn.TransformerBlock(2, 8)), (X,)),
    "block, causal, masked, after": (
        Alone(nn.TransformerBlock(2, 8, causal=True, pre_norm=False, activation="tanh")),
        (X, COUNTED[:, :5]),
    ),
    "decoder": (Pair(nn.TransformerDecoderBlock(2, 8)), (X, MEMORY, COUNTED)),
    "decoder, after": (Pair(nn.TransformerDecoderBlock(2, 8, pre_norm=False)), (X, MEMORY)),
}


@pytest.mark.parametrize("net, arrays", LAYERS.values(), ids=list(LAYERS))
def test_slopes(net, arrays):
    names = list(traced(net, *arrays)[0].parameters)
    first = [weights_for(traced(net, *arrays)[0])[name] for name in names]

    def function(*values):
        t = nn.trace(net, *values[: len(arrays)], dtype="float64")
        return with_parameters(t, dict(zip(names, values[len(arrays) :], strict=True)))

    check_gradient(function, *(a[1] for a in arrays), *first)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("net, arrays", LAYERS.values(), ids=list(LAYERS))
def test_native_is_the_reference(net, arrays, dtype):
    t, inputs = traced(net, *arrays, dtype=dtype)
    parameters = [p.value for p in t.parameters.values()]
    values = with_slopes(t.output, [*inputs, *parameters])
    given = {v.name: a.astype(v.dtype) for v, a in zip(inputs, arrays, strict=True)}
    program = pel.Program(inputs, {str(i): v for i, v in enumerate(values)})
    agree(program, given, weights_for(t), tolerance=3e-5 if dtype == "float32" else 1e-11)


def test_training_is_the_same_on_both_executors():
    """With dropout, and the same for any number of threads, bit for bit."""
    net = nn.Sequential(nn.TransformerBlock(2, 8, dropout=0.2, causal=True), nn.GlobalAvgPool1D(), nn.Dense(2))
    x, y = random.normal(size=(40, 5, 4)), np.arange(40) % 2
    found = {}
    for executor, threads in [("reference", None), ("native", 1), ("native", 2)]:
        model = Model(net, "cross_entropy", optim.Adam(0.01), executor=executor, threads=threads)
        model.fit(x, y, epochs=2, batch_size=20, verbose=0)
        found[executor, threads] = model.parameters
    for name, w in found["reference", None].items():
        np.testing.assert_allclose(found["native", 1][name], w, rtol=2e-3, atol=1e-4, err_msg=name)
        assert (found["native", 1][name] == found["native", 2][name]).all()


# ---- masks and causality --------------------------------------------------------------------------------------------


def test_masked_softmax():
    scores = np.array([[1.0, 2.0, 1e4], [1.0, 2.0, -1e4], [0.0, 0.0, 0.0]])
    mask = np.array([[True, True, False], [True, True, True], [False, False, False]])
    inputs = [pel.input("scores", (3,)), pel.input("mask", (3,), "uint8")]
    program = pel.Program(inputs, {"y": masked_softmax(inputs[0], inputs[1] > 0)})
    found, _ = agree(program, {"scores": scores.astype("float32"), "mask": mask.astype("uint8")})
    a = 1 / (1 + np.e)
    np.testing.assert_allclose(found["y"], [[a, 1 - a, 0], [a, 1 - a, 0], [0, 0, 0]], rtol=1e-6)


@pytest.mark.parametrize("name", ["dot, masked", "additive, masked", "heads, memory, masked", "decoder"])
def test_what_is_masked_has_no_influence(name):
    net, (x, memory, counted) = LAYERS[name]
    other = np.where(counted[..., None] > 0, memory, 1e3 * random.normal(size=memory.shape))
    assert (outputs(net, x, memory, counted)[""] == outputs(net, x, other, counted)[""]).all()
    full = outputs(net, x[:1], memory[:1, :4])[""]  # four steps alone are as six, of which two are masked
    np.testing.assert_allclose(outputs(net, x[:1], memory[:1], counted[:1])[""], full, rtol=1e-12)


@pytest.mark.parametrize("net", [nn.Attention(), nn.AdditiveAttention(3), nn.MultiHeadAttention(2, bias=False)])
def test_no_key_at_all_gives_zeros(net):
    found = outputs(Pair(net), X, MEMORY, COUNTED)
    assert (found[""][2] == 0).all() and (found["layer.weights"][2] == 0).all()
    assert (found[""][:2] != 0).all()


@pytest.mark.parametrize("name", ["dot, causal", "heads, causal, masked", "block, causal, masked, after"])
@pytest.mark.parametrize("place", [1, 4])
def test_a_causal_step_does_not_see_later_ones(name, place):
    net = LAYERS[name][0]
    before = outputs(net, X)[""]
    x = X.copy()
    x[:, place] += random.normal(size=(3, 4))
    after = outputs(net, x)[""]
    assert (before[:, :place] == after[:, :place]).all() and (before[:, place:] != after[:, place:]).all()


def test_a_decoder_does_not_see_later_steps_but_all_of_the_memory():
    net = LAYERS["decoder"][0]
    before, x, memory = outputs(net, X, MEMORY)[""], X.copy(), MEMORY.copy()
    x[:, 3:] += 1
    x[:, 3:, 0] += 1
    assert (outputs(net, x, MEMORY)[""][:, :3] == before[:, :3]).all()
    memory[:, 5, 0] += 1
    assert (outputs(net, X, memory)[""] != before).all()


def test_blocks_hand_the_mask_on():
    seen = []

    def look(x):
        seen.append(nn.mask_of(x))
        return x

    blocks = [nn.TransformerBlock(2, 8), nn.TransformerBlock(2, 8, pre_norm=False), nn.MultiHeadAttention(2)]
    parts = [part for block in blocks for part in (block, nn.Lambda(look))]
    nn.trace(nn.Sequential(nn.Embedding(9, 4, padding_index=0), *parts), pel.input("x", (5,), "int32"))
    assert len(seen) == 3 and seen[0] is not None and len(set(seen)) == 1


def test_the_output_has_the_mask_of_the_query_not_of_the_memory():
    seen = []

    def net(x, memory, counted):
        y = nn.MultiHeadAttention(2)(x, nn.with_mask(memory, counted > 0))
        seen.append(nn.mask_of(y))
        return y

    traced(net, MEMORY, MEMORY, COUNTED)
    assert seen == [None]


# ---- within a loop, dropping, blocks --------------------------------------------------------------------------------


def test_a_decoder_that_asks_at_each_step():
    """Additive attention within scan, its weights as a result of each step."""

    class Decoder(nn.Layer):
        attention: nn.Layer

        def __call__(self, x, memory, counted):
            memory = nn.with_mask(memory, counted > 0)

            def step(state, x):
                context, weights = self.attention(state, memory, return_weights=True)
                return ops.tanh(state + context + x), weights

            last, weights = ops.scan(step, x[0], x)
            return ops.concatenate([last, ops.reshape(weights, (-1,))])

    net = Decoder(nn.AdditiveAttention(3))
    found = outputs_of_loop(net, X, MEMORY, COUNTED)
    weights = found[:, 4:].reshape(3, 5, 6)
    np.testing.assert_allclose(weights.sum(-1), [[1] * 5, [1] * 5, [0] * 5], rtol=1e-12)
    assert (weights[COUNTED[:, None].repeat(5, 1) == 0] == 0).all()
    names = list(traced(net, X, MEMORY, COUNTED)[0].parameters)
    first = [weights_for(traced(net, X, MEMORY, COUNTED)[0])[name] for name in names]

    def function(x, memory, counted, *values):
        return with_parameters(
            nn.trace(net, x, memory, counted, dtype="float64"), dict(zip(names, values, strict=True))
        )

    check_gradient(function, X[1], MEMORY[1], COUNTED[1], *first)


def outputs_of_loop(net, *arrays):
    t, inputs = traced(net, *arrays)
    run = reference.compile(pel.Program(inputs, {"y": t.output}))
    return run(weights_for(t), dict(zip(["x0", "x1", "x2"], arrays, strict=True)))["y"]


@pytest.mark.parametrize("layer", [nn.Attention(dropout=0.5), nn.MultiHeadAttention(2, dropout=0.5)])
def test_weights_are_dropped_in_training(layer):
    key = {"random.key": np.array([1, 2], np.uint32)}
    results = []
    for training in (False, True):
        t, inputs = traced(Alone(layer), X, training=training)
        results.append(reference.compile(pel.Program(inputs, {"y": t.output}))(weights_for(t) | key, {"x0": X})["y"])
    assert (results[0] != results[1]).any()
    assert (results[0] == outputs(Alone(layer), X)[""]).all()


def test_names_within_a_block():
    t, _ = traced(nn.TransformerDecoderBlock(2, 8), X, MEMORY)
    parts = dict.fromkeys(name.split(".")[0] for name in t.parameters)
    assert list(parts) == ["attention_norm", "attention", "memory_attention_norm", "memory_attention",
                           "feed_forward_norm", "feed_forward"]  # fmt: skip
    assert {name: p.value.shape for name, p in t.parameters.items() if name.startswith("feed_forward.")} == {
        "feed_forward.hidden_weight": (8, 4), "feed_forward.hidden_bias": (8,),
        "feed_forward.output_weight": (4, 8), "feed_forward.output_bias": (4,)}  # fmt: skip


def test_a_block_is_saved_frozen_and_shared(tmp_path):
    block = nn.TransformerBlock(2, 8, causal=True, activation=nn.relu)
    model = Model(nn.Sequential(block, block, nn.GlobalAvgPool1D()), "mse", input_shape=(5, 4))
    assert len(model.parameters) == 15  # of one block
    model.save(tmp_path / "block.pel")
    again = pel.load(tmp_path / "block.pel")
    assert (again.predict(X) == model.predict(X)).all()
    frozen = nn.freeze(model.net, "layers.0.attention")
    flags = {n.split(".")[2]: p.trainable for n, p in nn.trace(frozen, pel.input("x", (5, 4))).parameters.items()}
    assert flags["attention"] is False and flags["feed_forward"] is True


# ---- bad input ------------------------------------------------------------------------------------------------------

OPTIONS = {
    "heads": (lambda: nn.MultiHeadAttention(0, 4), "MultiHeadAttention: heads must be a whole number >= 1, got 0"),
    "units": (
        lambda: nn.MultiHeadAttention(2, 4.0),
        "MultiHeadAttention: units must be a whole number >= 1, or None, got 4.0",
    ),
    "not divided": (lambda: nn.MultiHeadAttention(4, 6), "heads=4 does not divide 6 units; use one of 1, 2, 3, 6"),
    "rate": (lambda: nn.Attention(dropout=1), r"Attention: dropout must be a number in \[0, 1\), got 1"),
    "additive": (lambda: nn.AdditiveAttention(-1), "AdditiveAttention: units must be a whole number >= 1, got -1"),
    "hidden": (lambda: nn.TransformerBlock(2, 0), "TransformerBlock: hidden must be a whole number >= 1, got 0"),
    "activation": (lambda: nn.TransformerBlock(2, 8, activation="gulu"), "no activation is named 'gulu'"),
}


@pytest.mark.parametrize("make, text", OPTIONS.values(), ids=list(OPTIONS))
def test_bad_options(make, text):
    with pytest.raises((ArgumentError, GraphError), match=text):
        make()


def call(layer, *shapes):
    return nn.trace(lambda *inputs: layer(*inputs), *(pel.input(f"x{i}", s) for i, s in enumerate(shapes)))


INPUTS = {
    "vector": (nn.TransformerBlock(2, 8), [(4,)], r"expects a sequence \(T, features\) .*, got shape \(4,\)"),
    "picture": (nn.MultiHeadAttention(2), [(4, 4, 4)], r"expects a sequence .* got shape \(4, 4, 4\)"),
    "memory": (nn.MultiHeadAttention(2), [(5, 4), (4,)], r"expects a sequence .* got shape \(4,\)"),
    "heads": (nn.TransformerBlock(3, 8), [(5, 4)], "MultiHeadAttention .*: heads=3 does not divide 4 units"),
    "features": (nn.Attention(), [(5, 4), (6, 3)], r"the query has 4 features, the memory \(6, 3\).*AdditiveAttention"),
    "values": (nn.Attention(), [(5, 4), (6, 4), (5, 4)], r"the values \(5, 4\); .* as many steps"),
    "causal": (nn.MultiHeadAttention(2, causal=True), [(5, 4), (6, 4)], "causal attention is of a sequence to itself"),
}  # fmt: skip


@pytest.mark.parametrize("layer, shapes, text", INPUTS.values(), ids=list(INPUTS))
def test_bad_inputs(layer, shapes, text):
    with pytest.raises(LayerError, match=text):
        call(layer, *shapes)
