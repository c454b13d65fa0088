"""Step-wise inference gives what the whole sequence gives; drawing, greedy and beam search on tables of chances."""

import itertools

import numpy as np
import pytest
from tools import distinct

import pellucid as pel
from pellucid import ArgumentError, DataError, GraphError, Model, nn
from pellucid.decode import beam_search, draw, generate

T, C, N = 5, 3, 4
TOKENS = np.random.default_rng(0).integers(0, 7, (N, T)).astype("int32")
NETS = {
    "rnn": nn.Sequential(nn.RNN(4), nn.Dense(2)),
    "lstm": nn.Sequential(nn.LSTM(4, return_sequences=True), nn.TimeDistributed(nn.Dense(2))),
    "stacked": nn.Sequential(
        nn.GRU(4, return_sequences=True), nn.Residual(nn.Sequential(nn.LayerNorm(), nn.LSTM(4, return_sequences=True))),
        nn.Dropout(0.5),
        nn.RNN(3, "relu", return_sequences=True), nn.tanh, nn.TimeDistributed(nn.Sequential(nn.Dense(4), "relu")),
    ),
    "shared": (lambda cell: nn.Sequential(nn.TimeDistributed("tanh"), cell, cell))(nn.GRU(3, return_sequences=True)),
    "and back": nn.Sequential(nn.LSTM(4), nn.RepeatVector(3), nn.GRU(4, reverse=True), nn.Dense(2)),
    "stateful": nn.Sequential(nn.LSTM(4, stateful=2)),
    "masked": nn.Sequential(nn.Masking(), nn.GRU(4)),
}  # fmt: skip


def whole_and_steps(model, x):
    """What `predict` gives after each step, and what the stepper does."""
    stepper = model.stepper()
    steps = [stepper(x[:, t]) for t in range(x.shape[1])]
    whole = model.predict(x)
    if whole.shape[1:] == steps[0].shape[1:]:  # the last output alone: of each beginning
        return np.stack([model.predict(x[:, : t + 1]) for t in range(x.shape[1])], 1), np.stack(steps, 1)
    return whole, np.stack(steps, 1)


@pytest.mark.parametrize("executor", ["reference", "native"])
@pytest.mark.parametrize("name", NETS)
def test_steps_are_the_whole_sequence(name, executor):
    x = distinct((N, T, C))
    x[1, 2] = 0  # masked, where there is a Masking
    model = Model(NETS[name], "mse", dtype="float64", executor=executor, input_shape=(T, C))
    whole, steps = whole_and_steps(model, x)
    np.testing.assert_allclose(steps, whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("samples", [1, N])
def test_tokens(samples):
    net = nn.Sequential(
        nn.Embedding(7, 3, padding_index=0), nn.GRU(4, return_sequences=True), nn.TimeDistributed(nn.Dense(7))
    )
    model = Model(net, "cross_entropy", dtype="float64")
    model.fit(TOKENS, TOKENS, verbose=0)
    whole, steps = whole_and_steps(model, TOKENS[:samples])
    np.testing.assert_allclose(steps, whole, rtol=1e-6)
    np.testing.assert_allclose(steps.sum(-1), 1)  # the loss's link is applied


def test_reset_select_and_go_on():
    model = Model(NETS["lstm"], "mse", dtype="float64", executor="reference", input_shape=(T, C))
    x, stepper = distinct((N, T, C)), model.stepper()
    first = stepper(x[:, 0])
    assert not np.allclose(stepper(x[:, 0]), first)  # it remembers
    stepper.reset(samples=N)
    np.testing.assert_array_equal(stepper(x[:, 0]), first)
    stepper.select([2, 2, 0])
    np.testing.assert_allclose(stepper(x[[2, 2, 0], 1]), model.predict(x)[[2, 2, 0], 1])
    with pytest.raises(GraphError, match=r"at work on 3 samples, got an array of shape \(4, 3\)"):
        stepper(x[:, 2])


def encoder_decoder():
    encoder, decoder = nn.GRU(4, return_sequences=True, return_state=True), nn.GRU(4, return_sequences=True)
    embed, attend, head = nn.Embedding(7, 4), nn.Attention(), nn.TimeDistributed(nn.Dense(7))

    def net(source, target):
        memory, last = encoder(embed(source))
        y = decoder(embed(target), last)
        return head(attend(y, memory))

    return net


def test_encoder_and_decoder():
    """What does not move is computed once: the memory, and the decoder's first state."""
    x = {"source": TOKENS[:, ::-1].copy(), "target": TOKENS}
    model = Model(encoder_decoder(), "cross_entropy", dtype="float64", executor="reference")
    model.fit(x, TOKENS, verbose=0)
    stepper = model.stepper("target")
    assert not any(v.primitive.name == "scan" for v in stepper._step.program.order)
    stepper.reset(source=x["source"])
    steps = np.stack([stepper(TOKENS[:, t]) for t in range(T)], 1)
    np.testing.assert_allclose(steps, model.predict(x))
    stepper.reset(source=x["source"][:1])
    found = generate(stepper, [1], 3, temperature=0, go_on=True)
    assert found.shape == (3,) and len(beam_search_after(stepper, x["source"][:1])) == 2
    with pytest.raises(GraphError, match=r"inputs \['source', 'target'\]: say with moving="):
        model.stepper()
    with pytest.raises(GraphError, match=r"reset takes the inputs \['source'\]"):
        stepper.reset(sauce=TOKENS)


def beam_search_after(stepper, source):
    stepper.reset(source=source)
    return beam_search(stepper, [1], 3, beams=2, go_on=True)


@pytest.mark.parametrize("net, words", [
    (nn.Sequential(nn.LSTM(4, reverse=True)), r"LSTM 'layers\.0': needs the whole sequence"),
    (nn.Sequential(nn.Bidirectional(nn.GRU(4))), r"Bidirectional 'layers\.0': needs the whole sequence"),
    (nn.Sequential(nn.GRU(4, return_sequences=True), nn.Flatten(), nn.Dense(1)), "Flatten.*needs the whole"),
    (nn.Sequential(nn.Attention()), "Attention.*needs the whole"),
    (nn.Sequential(nn.Masking(), lambda v: v - 1), r"<lambda> 'layers\.1' needs the whole sequence"),
])  # fmt: skip
def test_what_needs_the_whole_sequence_is_told(net, words):
    model = Model(net, "mse", input_shape=(T, C))
    with pytest.raises(GraphError, match=words):
        model.stepper()


# ---- decoding ---------------------------------------------------------------------------------------------------


class Chances:
    """A stepper whose next token hangs on the last one alone."""

    def __init__(self, table):
        self.table = np.array(table)

    def __call__(self, tokens):
        return self.table[tokens]

    def select(self, rows):
        pass

    def reset(self, samples=1):
        pass


END = 3
TABLE = [[0.0, 0.6, 0.4, 0.0], [0.1, 0.3, 0.3, 0.3], [0.0, 0.0, 0.05, 0.95], [0, 0, 0, 1.0]]


def test_greedy_and_beam():
    """Greedy takes 1 (0.6), and then has little left; the likeliest sequence is 2, end: 0.4 * 0.95."""
    assert generate(Chances(TABLE), [0], 2, temperature=0, end=END).tolist() == [1, 1]
    (best, score), *_ = beam_search(Chances(TABLE), [0], 4, beams=3, end=END)
    assert best.tolist() == [2, END] and score == pytest.approx(np.log(0.4 * 0.95))


@pytest.mark.parametrize("length_penalty", [0.0, 0.7])
def test_a_wide_beam_finds_the_best_of_all(length_penalty):
    table = np.random.default_rng(1).dirichlet(np.ones(4), 4)
    found = beam_search(Chances(table), [0], 3, beams=64, end=END, length_penalty=length_penalty)
    every = []
    for n in (1, 2, 3):
        for tokens in itertools.product(range(4), repeat=n):
            if END not in tokens[:-1] and (tokens[-1] == END or n == 3):
                chances = [table[a, b] for a, b in itertools.pairwise((0, *tokens))]
                every.append((tokens, np.log(chances).sum() / n**length_penalty))
    every.sort(key=lambda e: -e[1])
    assert [tuple(tokens) for tokens, _ in found[:10]] == [tokens for tokens, _ in every[:10]]
    np.testing.assert_allclose([s for _, s in found[:10]], [s for _, s in every[:10]])


def test_drawing():
    random, p = np.random.default_rng(0), np.array([[0.5, 0.2, 0.3, 0.0]] * 20000)

    def counts(**options):
        return np.bincount(draw(p, random, **options), minlength=4) / len(p)

    np.testing.assert_allclose(counts(), p[0], atol=0.015)
    np.testing.assert_allclose(counts(top_k=2), [0.625, 0, 0.375, 0], atol=0.015)
    squared = p[0] ** 2 / (p[0] ** 2).sum()
    np.testing.assert_allclose(counts(temperature=0.5), squared, atol=0.015)
    assert counts(temperature=0)[0] == 1


def test_generation_is_seeded_and_ends():
    once, again, other = (generate(Chances(TABLE), [[0], [0]], 20, seed=s) for s in (1, 1, 2))
    assert once.shape == (2, 20) and (once == again).all() and (once != other).any()
    ended = generate(Chances(TABLE), [[0]] * 50, 100, end=END)
    assert ended.shape[1] < 100 and (ended[:, -1] == END).all()
    for row in ended:
        assert (row[row.tolist().index(END) :] == END).all()


def test_messages():
    for call, words in [
        (lambda: generate(Chances(TABLE), [], 2), "at least one token"),
        (lambda: generate(Chances(TABLE), [0.5], 2), "whole numbers"),
        (lambda: generate(Chances(TABLE), [0], 2, temperature=-1), "temperature must be"),
        (lambda: generate(Chances(TABLE), [0], 2, top_k=0), "top_k must be"),
        (lambda: beam_search(Chances(TABLE), [[0], [1]], 2), "one prompt"),
        (lambda: beam_search(Chances(TABLE), [0], 2, beams=0), "beams must be a whole number >= 1, got 0"),
        (lambda: Model(nn.Lambda(lambda x: x), "mse", input_shape=()).stepper(), "no sequence"),
    ]:
        with pytest.raises((ArgumentError, DataError, GraphError), match=words):
            call()
    assert pel.decode.draw is draw
