"""More padding changes nothing: outputs, losses and gradients of a padded batch are those of its sequences one by one;
windows over time and their masks; what loses a mask."""

import numpy as np
import pytest
from native_tools import agree

import pellucid as pel
from pellucid import nn, ops
from pellucid.executors import reference
from pellucid.nn.masks import MaskWarning

random = np.random.default_rng(0)

# ---- windows ------------------------------------------------------------------------------------------------------


def masked(layer):
    """A net that gives the layer's output, its mask beside it."""

    def net(x, counted):
        y = layer(nn.with_mask(x, counted > 0))
        return ops.concatenate([y, ops.cast(nn.mask_of(y), y.dtype)[:, None]], 1)

    return net


def outputs(layer, x, counted=None):
    inputs = [pel.input("x", x.shape[1:], "float64")]
    given = {"x": x}
    if counted is not None:
        inputs.append(pel.input("counted", counted.shape[1:], "uint8"))
        given["counted"] = counted.astype("uint8")
    t = nn.trace(layer if counted is None else masked(layer), *inputs, dtype="float64")
    draw = np.random.default_rng(1)
    w = {name: draw.normal(size=p.value.shape) for name, p in t.parameters.items()}
    w = {name.rsplit(".", 1)[-1]: a for name, a in w.items()}
    w = {name: w[name.rsplit(".", 1)[-1]] for name in t.parameters}
    found = reference.compile(pel.Program(inputs, {"y": t.output}))(w, given)["y"]
    return found if counted is None else (found[..., :-1], found[..., -1] > 0)


WINDOWS = {
    "valid": nn.Conv1D(2, 3),
    "valid, strides": nn.Conv1D(2, 3, 2, floor=True),
    "valid, dilation": nn.Conv1D(2, 2, dilation=3),
    "valid, both": nn.Conv1D(2, 2, 2, dilation=2, floor=True),
    "same": nn.Conv1D(2, 3, padding="same"),
    "same, dilation": nn.Conv1D(2, 3, padding="same", dilation=2),
    "causal, strides": nn.Conv1D(2, 3, 2, "causal"),
    "a number": nn.Conv1D(2, 3, padding=1),
    "a pair": nn.Conv1D(2, 4, padding=(2, 1)),
    "a pair, strides": nn.Conv1D(2, 4, 3, padding=(1, 2), floor=True),
    "a narrow pair, dilation": nn.Conv1D(2, 3, padding=(0, 1), dilation=2),
    "max": nn.MaxPool1D(2, floor=True),
    "max, overlapping": nn.MaxPool1D(3, 1),
    "max, same": nn.MaxPool1D(3, 1, "same"),
    "mean": nn.AvgPool1D(2, floor=True),
    "mean, overlapping": nn.AvgPool1D(3, 2, floor=True),
    "mean, same": nn.AvgPool1D(3, 1, "same"),
    "mean, a number": nn.AvgPool1D(3, 1, 1),
}


@pytest.mark.parametrize("layer", WINDOWS.values(), ids=list(WINDOWS))
@pytest.mark.parametrize("n", [4, 5, 7])
def test_windows_over_a_padded_sequence(layer, n):
    x = random.normal(size=(1, n, 3)) - 2  # below 0: padding that counted as 0 would be the largest
    alone = outputs(layer, x)
    for more in (0, 1, 4):
        wide = np.concatenate([x, random.normal(size=(1, more, 3)) * 9], 1)
        y, counted = outputs(layer, wide, (np.arange(n + more) < n)[None])
        assert counted[0].tolist() == [i < alone.shape[1] for i in range(y.shape[1])]
        np.testing.assert_allclose(y[0, : alone.shape[1]], alone[0], rtol=1e-12)


@pytest.mark.parametrize("layer", [nn.Conv1D(2, 3), nn.MaxPool1D(3, 1), nn.AvgPool1D(3, 1)])
def test_padding_before_and_in_between(layer):
    x, counted = random.normal(size=(1, 9, 3)), np.array([[0, 1, 1, 1, 1, 0, 1, 1, 1]])
    y, found = outputs(layer, x, counted)
    assert found[0].tolist() == [False, True, True, False, False, False, True]
    np.testing.assert_allclose(y[0, 1:3], outputs(layer, x[:, 1:5])[0], rtol=1e-12)


@pytest.mark.parametrize("layer", [nn.MaxPool1D(3, 1, "same"), nn.AvgPool1D(3, 1, "same"), nn.Conv1D(2, 5, floor=True)])
def test_a_sequence_of_nothing_but_padding_or_shorter_than_a_window(layer):
    for counted in (np.zeros((1, 6)), np.eye(6)[:1]):
        y, found = outputs(layer, random.normal(size=(1, 6, 3)), counted)
        assert np.isfinite(y).all() and found.sum() <= counted.sum()


@pytest.mark.parametrize("layer", [nn.MaxPool1D(2), nn.AvgPool1D(2), nn.MaxPool1D(3, 2, "same"), nn.AvgPool1D(3, 2, 1)])
def test_pools_over_time_without_a_mask(layer):
    x = random.normal(size=(2, 8, 3)) if not isinstance(layer.padding, int) else random.normal(size=(2, 7, 3))
    kind = nn.MaxPool if isinstance(layer, nn.MaxPool1D) else nn.AvgPool
    other = outputs(kind(layer.size, layer.strides, layer.padding), x.transpose(0, 2, 1))
    np.testing.assert_allclose(outputs(layer, x), other.transpose(0, 2, 1), rtol=1e-12)


@pytest.mark.parametrize("layer", [nn.MaxPool1D(3, 1, "same"), nn.AvgPool1D(3, 2, floor=True), nn.Conv1D(2, 3)])
def test_slopes_and_executors(layer):
    x, counted = random.normal(size=(3, 7, 2)).astype("f4"), (np.arange(7) < [[3], [7], [5]]).astype("uint8")
    inputs = [pel.input("x", (7, 2)), pel.input("counted", (7,), "uint8")]
    t = nn.trace(masked(layer), *inputs)
    w = {name: random.normal(size=p.value.shape).astype("f4") for name, p in t.parameters.items()}
    slope = pel.grad(ops.batch_sum(ops.sum(t.output * t.output)), [inputs[0]])[0]
    found, _ = agree(pel.Program(inputs, {"y": t.output, "slope": slope}), {"x": x, "counted": counted}, w)
    assert (found["slope"][counted == 0] == 0).all()


# ---- a drawn stack of layers ----------------------------------------------------------------------------------------

PARTS = [
    lambda: nn.Conv1D(4, 3, padding="same"),
    lambda: nn.Conv1D(4, 2, padding="causal", dilation=2),
    lambda: nn.Conv1D(4, 2),
    lambda: nn.Conv1D(4, 2, 2, floor=True),
    lambda: nn.MaxPool1D(2, 1),
    lambda: nn.AvgPool1D(3, 1, "same"),
    lambda: nn.MaxPool1D(2, floor=True),
    lambda: nn.GRU(4, return_sequences=True),
    lambda: nn.LSTM(4, return_sequences=True, reverse=True),
    lambda: nn.Bidirectional(nn.RNN(2, return_sequences=True)),
    lambda: nn.TimeDistributed(nn.Sequential(nn.Dense(4), nn.tanh)),
    lambda: nn.LayerNorm(),
    lambda: nn.Attention(),
    lambda: nn.MultiHeadAttention(2, causal=True),
    lambda: nn.TransformerBlock(2, 6),
    lambda: nn.PositionalEncoding(),
    lambda: nn.Residual(nn.Conv1D(4, 3, padding="same")),
    lambda: nn.Concatenate(nn.Conv1D(2, 1), nn.LayerNorm(), axis=-1),
    lambda: nn.relu,
    lambda: lambda x: x * 0.5 + 0.1,
    lambda: nn.BatchNorm(axis=-1, trainable=False),
]
ENDS = [
    lambda: (nn.TimeDistributed(nn.Dense(3)), nn.CrossEntropy()),
    lambda: (nn.TimeDistributed(nn.Dense(2)), nn.MeanSquaredError()),
    lambda: (nn.TimeDistributed(nn.Dense(2)), nn.HalfSquaredError()),
    lambda: (nn.Sequential(nn.GlobalMaxPool1D(), nn.Dense(2)), nn.MeanSquaredError()),
    lambda: (nn.Sequential(nn.GlobalAvgPool1D(), nn.Dense(3)), nn.CrossEntropy()),
    lambda: (nn.Sequential(nn.Bidirectional(nn.GRU(3)), nn.Dense(2)), nn.BinaryCrossEntropy()),
]
LENGTHS = (9, 14, 12)


@pytest.mark.parametrize("seed", range(24))
def test_a_padded_batch_gives_what_its_sequences_give_one_by_one(seed):
    draw = np.random.default_rng(seed)
    parts = [PARTS[i]() for i in draw.integers(0, len(PARTS), draw.integers(2, 5))]
    head, loss = ENDS[seed % len(ENDS)]()
    net = nn.Sequential(nn.Embedding(9, 4, padding_index=0), *parts, head)
    words = [draw.integers(1, 9, n) for n in LENGTHS]
    x = pel.data.pad_sequences(words, length=max(LENGTHS) + int(draw.integers(0, 4)))
    model = pel.Model(net, loss, executor="reference", dtype="float64", seed=seed)
    model._build({"x": pel.train.arrays.Spec(x.shape[1:], "int32")}, "one")
    weights = {k: a + 0.1 * draw.normal(size=a.shape) for k, a in model.parameters.items() if "variance" not in k}
    model.set_parameters(weights)

    def targets(y):
        steps = y.shape[1:-1]
        if loss.targets == "classes":
            return draw.integers(0, 3, (1, *steps))
        return draw.integers(0, 2, (1, *steps, 2)).astype(float)

    single = [model.predict(w[None]) for w in words]
    t = [targets(y) for y in single]
    found = model.predict(x)
    every = found.ndim == 3
    wide = [np.pad(a, [(0, 0), (0, found.shape[1] - a.shape[1]), *[(0, 0)] * (a.ndim - 2)]) if every else a for a in t]
    for y, one in zip(found, single, strict=True):
        np.testing.assert_allclose(y[: one.shape[1]] if every else y, one[0], rtol=1e-9, atol=1e-11)
    cost, slopes = model.gradients(x, np.concatenate(wide))
    each = [model.gradients(w[None], a) for w, a in zip(words, t, strict=True)]
    assert cost == pytest.approx(np.mean([c for c, _ in each]), rel=1e-9)
    for name, slope in slopes.items():
        np.testing.assert_allclose(slope, np.mean([s[name] for _, s in each], 0), rtol=1e-7, atol=1e-10, err_msg=name)
    alone = [model.evaluate(w[None], a)["loss"] for w, a in zip(words, t, strict=True)]
    assert model.evaluate(x, np.concatenate(wide))["loss"] == pytest.approx(np.mean(alone), rel=1e-9)


# ---- what loses a mask ----------------------------------------------------------------------------------------------


words = nn.Embedding(9, 4, padding_index=0)


def last_step(x):
    return x[-1]


LOSING = {
    "a layer": (nn.Sequential(words, nn.Flatten()), r"Flatten 'layers.1' makes \(24,\) of the sequence \(6, 4\)"),
    "a reshape": (nn.Sequential(words, nn.Reshape((3, 8))), r"Reshape 'layers.1' makes \(3, 8\)"),
    "a function": (nn.Sequential(words, last_step), r"last_step 'layers.1' makes \(4,\)"),
    "a Lambda": (nn.Sequential(words, nn.Lambda(lambda x: ops.max(x, 0))), r"Lambda 'layers.1' makes \(4,\)"),
    "channels first": (nn.Sequential(words, nn.Conv(6, 3)), r"Conv 'layers.1' makes \(6, 2\)"),
    "turned": (nn.Sequential(words, lambda x: x[:, :6 // 1][::-1]), r"makes \(6, 4\) of the sequence \(6, 4\)"),
    "transposed": (nn.Sequential(words, nn.Lambda(lambda x: ops.concatenate([x, x[:, :2]], 1).T)),
                   r"Lambda 'layers.1' makes \(6, 6\) of the sequence \(6, 4\)"),
    "formulas": (lambda x: nn.Dense(2)(ops.max(words(x), 0)), r"Dense .*gets \(4,\), made by formulas of the sequence"),
    "at the end": (lambda x: ops.mean(words(x), 0), "the net's output gets"),
}  # fmt: skip


@pytest.mark.parametrize("net, text", LOSING.values(), ids=list(LOSING))
def test_what_loses_a_mask_is_told(net, text):
    with pytest.warns(MaskWarning, match=text) as told:
        nn.trace(net, pel.input("x", (6,), "int32"))
    assert len(told) == 1


KEEPING = {
    "none wanted": nn.Sequential(words, lambda x: nn.with_mask(x, None), nn.Flatten()),
    "asked": lambda x: ops.max(ops.where(nn.mask_of(e := words(x))[:, None], e, -9), 0),
    "formulas": lambda x: nn.GlobalMaxPool1D()(words(x) * 2 + 1),
    "pooled in a block": nn.Sequential(words, nn.Sequential(nn.LayerNorm(), nn.GlobalAvgPool1D()), nn.Dense(2)),
    "pooled in a function": nn.Sequential(words, nn.Lambda(lambda x: nn.GlobalMaxPool1D()(x))),
    "a last state": nn.Sequential(words, nn.LSTM(3), nn.Dense(2)),
    "a query": lambda x: nn.Attention()(ops.sum(nn.LSTM(4)(words(x))[None], 0), words(x)),
    "no mask": nn.Sequential(nn.Embedding(9, 4), nn.Flatten()),
}


@pytest.mark.parametrize("net", KEEPING.values(), ids=list(KEEPING))
def test_nothing_is_told_where_nothing_is_lost(net, recwarn):
    nn.trace(net, pel.input("x", (6,), "int32"))
    assert not [w for w in recwarn if issubclass(w.category, MaskWarning)]


def test_sequences_one_after_the_other_keep_their_masks():
    class Second(nn.Layer):
        def __call__(self, a, b):
            return nn.Embedding(9, 4, name="b")(b)

    class First(nn.Layer):
        def __call__(self, a, b):
            return words(a)

    def net(x, y):
        return ops.cast(nn.mask_of(nn.Concatenate(First(), Second(), axis=0)(x, y)), "float32")

    x, y = (pel.input(name, (3,), "int32") for name in "xy")
    t = nn.trace(net, x, y)
    w = {name: np.ones(p.value.shape, "f4") for name, p in t.parameters.items()}
    given = {"x": np.array([[2, 0, 1]], "i4"), "y": np.array([[0, 0, 3]], "i4")}
    assert reference.compile(pel.Program([x, y], {"y": t.output}))(w, given)["y"].tolist() == [[1, 0, 1, 1, 1, 1]]
