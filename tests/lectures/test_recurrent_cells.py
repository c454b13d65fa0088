"""Recurrent networks: lecture 001 ("hello" over the vocabulary h, e, l, o) and the LSTM cell of lecture 003."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import nn, optim
from pellucid.decode import generate

LETTERS = "helo"


@pytest.mark.parametrize(
    "cell", [nn.RNN(3, return_sequences=True), nn.LSTM(3, return_sequences=True)], ids=["rnn", "lstm"]
)
def test_hello_is_learnt_and_sampled_back_lecture_001(cell):
    """From h, e, l, l each next letter, e, l, l, o; what follows an l, l or o, the state alone can tell."""
    hello = np.array([[LETTERS.index(c) for c in "hello"]], "int32")
    x = np.eye(4, dtype="float32")[hello[:, :-1]]  # one-hot codes, as on the slide
    net = nn.Sequential(cell, nn.TimeDistributed(nn.Dense(4)))
    model = pel.Model(net, "cross_entropy", optim.Adam(0.05), ["accuracy"], seed=1)
    model.fit(x, hello[:, 1:], epochs=200, verbose=0)
    assert model.evaluate(x, hello[:, 1:])["accuracy"] == 1

    class Letters:
        """A stepper of letters, that the net takes as one-hot codes."""

        def __init__(self):
            stepper = model.stepper()
            self.reset, self.select = stepper.reset, stepper.select
            self.step = lambda tokens: stepper(np.eye(4)[tokens])

        def __call__(self, tokens):
            return self.step(tokens)

    written = generate(Letters(), [LETTERS.index("h")], 4, temperature=0)
    assert "h" + "".join(LETTERS[k] for k in written) == "hello"


def test_rnn_step_lecture_001():
    """h_t = tanh(W_hh h_(t-1) + W_xh x_t), by hand for one unit: tanh(0.5 * tanh(2 * 1) + 2 * -1)."""
    model = pel.Model(nn.RNN(1, bias=False), "mse", dtype="float64", input_shape=(2, 1))
    model.set_parameters({"weight": [[2.0]], "recurrent_weight": [[0.5]]})
    expected = np.tanh(0.5 * np.tanh(2.0) - 2.0)
    assert model.predict(np.array([[[1.0], [-1.0]]]))[0, 0] == pytest.approx(expected, rel=1e-12)


def test_lstm_cell_lecture_003():
    """f, i, o = s(W [h, x] + b), C~ = tanh(W_C [h, x] + b_C), C = f * C + i * C~, h = o * tanh(C)."""
    random = np.random.default_rng(0)
    w, b = random.normal(size=(4, 2, 5)), random.normal(size=(4, 2))  # of i, f, C~, o; columns of [h (2), x (3)]
    model = pel.Model(nn.LSTM(2), "mse", dtype="float64", input_shape=(4, 3))
    model.set_parameters({"recurrent_weight": w[:, :, :2].reshape(8, 2), "weight": w[:, :, 2:].reshape(8, 3),
                          "bias": b.reshape(8)})  # fmt: skip
    x, h, c = random.normal(size=(4, 3)), np.zeros(2), np.zeros(2)
    s = lambda v: 1 / (1 + np.exp(-v))
    for step in x:
        both = np.concatenate([h, step])
        i, f, candidate, o = (w[k] @ both + b[k] for k in range(4))
        c = s(f) * c + s(i) * np.tanh(candidate)
        h = s(o) * np.tanh(c)
    np.testing.assert_allclose(model.predict(x[None])[0], h, rtol=1e-11)


def test_what_the_forgetting_gate_does_lecture_003():
    """f_t = 0 wipes C_(t-1) out, f_t = 1 retains it: biases of -50 and 50; only the first step is written."""
    for bias, kept in ((50.0, np.tanh(np.tanh(1.0))), (-50.0, 0.0)):
        model = pel.Model(nn.LSTM(1), "mse", dtype="float64", input_shape=(6, 1))
        # i opens only for x = 1; the candidate is tanh(1) there; o is open
        model.set_parameters({"weight": [[100.0], [0.0], [1.0], [0.0]], "recurrent_weight": np.zeros((4, 1)),
                              "bias": [-50.0, bias, 0.0, 50.0]})  # fmt: skip
        x = np.zeros((1, 6, 1))
        x[0, 0] = 1
        assert model.predict(x)[0, 0] == pytest.approx(kept, abs=1e-9)


def test_inside_the_lstm_cell_lecture_003():
    """Gates and memory of each step, by the lecture's names, follow its formulas one from the other."""
    random = np.random.default_rng(1)
    model = pel.Model(nn.LSTM(2, return_sequences=True), "mse", dtype="float64", input_shape=(5, 3), seed=2)
    x, w = random.normal(size=(4, 5, 3)), model.parameters
    inside = model.layer_outputs(x)
    assert list(inside)[:-1] == ["f", "i", "o", "candidate", "h", "C"]
    f, i, o, candidate, h, c = (inside[name] for name in ("f", "i", "o", "candidate", "h", "C"))
    assert f.shape == c.shape == (4, 5, 2)
    before = np.concatenate([np.zeros((4, 1, 2)), h[:, :-1]], 1)  # h_(t-1), and C_(t-1) below
    z = x @ w["weight"].T + before @ w["recurrent_weight"].T + w["bias"]
    s = lambda v: 1 / (1 + np.exp(-v))
    for gate, expected in (
        (i, s(z[..., :2])),
        (f, s(z[..., 2:4])),
        (candidate, np.tanh(z[..., 4:6])),
        (o, s(z[..., 6:])),
    ):
        np.testing.assert_allclose(gate, expected, rtol=1e-12)
    np.testing.assert_allclose(c, f * np.concatenate([np.zeros((4, 1, 2)), c[:, :-1]], 1) + i * candidate, rtol=1e-12)
    np.testing.assert_allclose(h, o * np.tanh(c), rtol=1e-12)
    np.testing.assert_array_equal(h, model.predict(x))
