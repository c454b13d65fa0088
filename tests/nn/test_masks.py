"""Masks of sequences and what makes them: embeddings, masking; positions; and what is said of bad input."""

import math

import numpy as np
import pytest
from native_tools import agree
from tools import check_gradient, run

import pellucid as pel
from pellucid import ArgumentError, GraphError, nn, ops
from pellucid.nn.layer import LayerError
from pellucid.nn.masks import MaskWarning


def masks_seen(net, *inputs):
    """Whether each layer's output has a mask, by place."""
    seen = {}

    class Look(nn.Layer):
        key: str

        def __call__(self, x):
            seen[self.key] = nn.mask_of(x)
            return x

    nn.trace(net(Look), *inputs)
    return seen


def tokens(n=6):
    return pel.input("x", (n,), "int32")


def test_an_embedding_takes_rows():
    table = np.arange(12.0).reshape(4, 3)
    t = nn.trace(nn.Embedding(4, 3), tokens(2), dtype="float64")
    given = {"x": np.array([[3, 0], [1, 1]], np.int32)}
    y = pel.executors.get("reference").compile(pel.Program(list(t_inputs(t)), {"y": t.output}))(
        {"weight": table}, given
    )
    np.testing.assert_array_equal(y["y"], table[given["x"]])


def t_inputs(traced):
    return [v for v in pel.graph.toposort([traced.output]) if v.primitive is pel.graph.sample_input]


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_a_token_outside_the_table_is_an_error(executor):
    net = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Dense(2))
    model = pel.Model(net, "cross_entropy", executor=executor)
    x = np.random.default_rng(0).integers(0, 5, (8, 4))
    model.fit(x, np.arange(8) % 2, verbose=0)
    x[3, 2] = 5
    with pytest.raises(pel.DataError, match=r"x holds 5 \(row 3\), expected whole numbers 0\.\.4, the rows of"):
        model.predict(x)
    x[3, 2] = -1
    with pytest.raises(pel.DataError, match=r"x holds -1 \(row 3\), expected whole numbers 0\.\.4, the rows of"):
        model.predict(x)


def test_masks_travel_through_layers_and_functions():
    seen = masks_seen(
        lambda look: nn.Sequential(
            look("tokens"),
            nn.Embedding(5, 4, padding_index=0),
            look("embedded"),
            nn.PositionalEncoding(),
            nn.tanh,
            lambda x: x * 2,
            look("functions"),
            nn.Residual(nn.LayerNorm()),
            look("residual"),
            nn.Concatenate(nn.linear, nn.tanh, axis=-1),
            look("concatenate"),
            nn.Sequential(nn.Dropout(0.1), nn.LayerNorm()),
            look("nested"),
            nn.Concatenate(nn.linear, nn.tanh),
            look("longer"),
        ),
        tokens(),
    )
    assert [key for key, mask in seen.items() if mask is not None] == [
        "embedded", "functions", "residual", "concatenate", "nested", "longer"]  # fmt: skip
    assert len({seen[key] for key in ("embedded", "functions", "nested")}) == 1


def test_masks_come_out_of_branches_and_not_to_vectors():
    with pytest.warns(MaskWarning, match=r"Flatten 'layers.2' makes \(36,\) of the sequence \(6, 6\)"):
        seen = masks_seen(
            lambda look: nn.Sequential(
                nn.Concatenate(nn.Embedding(5, 4, padding_index=0), nn.Embedding(5, 2), axis=-1),
                look("branches"),
                nn.Flatten(),
                look("flat"),
            ),
            tokens(),
        )
    assert seen["branches"] is not None and seen["flat"] is None


def test_no_mask_without_padding_and_none_taken_over_where_none_is_said():
    seen = masks_seen(
        lambda look: nn.Sequential(nn.Embedding(5, 4), look("none"), nn.Masking(), look("masking"), forget, look("no")),
        tokens(),
    )
    assert seen["none"] is None and seen["masking"] is not None and seen["no"] is None


def forget(x):
    return nn.with_mask(x * 1, None)


def test_the_values_of_masks():
    def embedded(x):
        return ops.cast(nn.mask_of(nn.Embedding(5, 2, padding_index=3)(x)), "int32")

    def masked(x):
        y = nn.Masking(-1.0)(x)
        return ops.concatenate([y, ops.cast(nn.mask_of(y), x.dtype)[:, None]], 1)

    t = nn.trace(embedded, tokens(4))
    found, _ = agree(pel.Program(t_inputs(t), {"y": t.output}), {"x": np.array([[3, 0, 1, 3]] * 3, np.int32)})
    assert found["y"].tolist() == [[0, 1, 1, 0]] * 3
    t = nn.trace(masked, pel.input("x", (3, 2)))
    found, _ = agree(
        pel.Program(t_inputs(t), {"y": t.output}), {"x": np.array([[[1, -1], [-1, -1], [0, 2]]], np.float32)}
    )
    assert found["y"].tolist() == [[[1, -1, 1], [0, 0, 0], [0, 2, 1]]]


def test_positions():
    x = np.zeros((3, 4))
    traced = nn.trace(nn.PositionalEncoding(), pel.input("x", (3, 4), "float64"))
    y = pel.executors.get("reference").compile(pel.Program(t_inputs(traced), {"y": traced.output}))({}, {"x": x[None]})[
        "y"
    ]
    expected = [[f(t / 100 ** (i / 2)) for i in (0, 2) for f in (math.sin, math.cos)] for t in range(3)]
    np.testing.assert_allclose(y[0], np.array(expected).reshape(3, 4), rtol=1e-12)


def test_learnt_positions():
    model = pel.Model(nn.PositionEmbedding(4), "mse", input_shape=(3, 2))
    w, x = model.parameters["weight"], np.ones((1, 3, 2), np.float32)
    assert w.shape == (4, 2) and (model.predict(x)[0] == 1 + w[:3]).all()
    assert model.predict(np.ones((1, 2, 2))).shape == (1, 2, 2)
    with pytest.raises(GraphError, match="has 4 positions, got a sequence of 5 steps; use a length of at least 5"):
        nn.trace(nn.PositionEmbedding(4), pel.input("x", (5, 2)))


def test_slopes_of_masking():
    x = np.random.default_rng(0).normal(size=(4, 3))
    check_gradient(lambda x: nn.trace(nn.Masking(), x).output, x)
    x[1] = 0
    assert (run(lambda x: nn.trace(nn.Masking(), x).output, x) == x).all()


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: nn.Embedding(0, 3), "Embedding: rows must be a whole number >= 1, got 0"),
        (lambda: nn.Embedding(3, 2.5), "Embedding: units must be a whole number >= 1, got 2.5"),
        (
            lambda: nn.Embedding(3, 2, padding_index=3),
            r"padding_index must be a whole number in \[0, 2\], or None, got 3",
        ),
        (lambda: nn.PositionEmbedding(0), "PositionEmbedding: length must be a whole number >= 1, or None, got 0"),
    ],
)
def test_bad_options(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


@pytest.mark.parametrize(
    "net, shape, text",
    [
        (nn.Embedding(5, 3), (4,), r"Embedding: expects tokens, whole numbers 0\.\.4, got float32 of shape \(4,\)"),
        (nn.Masking(), (4,), r"Masking: expects a sequence \(T, features\) for .*, got shape \(4,\); for tokens"),
        (nn.PositionalEncoding(), (0, 3), "a sequence of length 0 has no steps"),
        (nn.PositionalEncoding(), (4, 3, 2), r"expects a sequence \(T, features\) .* got shape \(4, 3, 2\)"),
        (lambda x: nn.Lambda(lambda y: nn.with_mask(y, y > 0))(x), (4, 3), r"must be bool \(4,\).*got bool \(4, 3\)"),
        (lambda x: nn.Lambda(lambda y: nn.with_mask(y, y[:, 0]))(x), (4, 3), "got float32.*mask > 0 makes bool"),
    ],
)  # fmt: skip
def test_bad_inputs(net, shape, text):
    with pytest.raises(LayerError, match=text):
        nn.trace(net, pel.input("x", shape))


def test_sequences_of_other_lengths():
    x = np.arange(24).reshape(4, 6) % 5
    tagger = pel.Model(nn.Sequential(nn.Embedding(5, 3), nn.PositionEmbedding(8), nn.Conv1D(2, 1)), "cross_entropy")
    tagger.fit(x, x % 2, verbose=0)
    assert tagger.predict(x[:, :2]).shape == (4, 2, 2)
    with pytest.raises(GraphError, match=r"the net was built for \(6,\); .*has 8 positions, got a sequence of 9 steps"):
        tagger.predict(np.ones((4, 9), int))
    with pytest.raises(GraphError, match="a sequence of length 0 has no steps"):
        tagger.predict(x[:, :0])


def test_a_mask_needs_a_trace():
    x = pel.input("x", (4, 3))
    assert nn.mask_of(x) is None and nn.with_mask(x, None) is x
    with pytest.raises(GraphError, match="a mask can only be given while a net is traced"):
        nn.with_mask(x, x[:, 0] > 0)
