"""Nets and programs as formulas: as text, as LaTeX, and as listings."""

import re
from functools import partial

import numpy as np
import pytest
from layer_cases import CASES

import pellucid as pel
from pellucid import nn, ops, optim
from pellucid.formulas import (
    Formula,
    call,
    compared,
    contraction,
    minus,
    negative,
    number,
    over,
    plus,
    power,
    product,
    symbol,
    times,
)
from pellucid.graph import PRIMITIVES


def lines(net, shape, loss="mse", **options):
    """What ``print(model)`` says, without shapes and counts."""
    text = str(pel.Model(net, loss, input_shape=shape, **options))
    return [re.split(r"  +(?=\()|  +\d", line)[0].strip() for line in text.splitlines()]


# ---- nets ----------------------------------------------------------------------------------------------------------


def test_print_model():
    net = nn.Sequential(nn.Dense(2), nn.sigmoid, nn.Dense(2))
    model = pel.Model(net, "cross_entropy", input_shape=(2,))
    assert str(model).splitlines() == [
        "x                       (2,)",
        "h = sigmoid(W1 x + b1)  (2,)  6 parameters",
        "y = W2 h + b2           (2,)  6 parameters",
        "prediction = softmax(y)",
    ]
    assert model.latex().splitlines() == [
        r"\begin{aligned}",
        r"h &= \sigma\left(W_{1} x + b_{1}\right) \\",
        r"y &= W_{2} h + b_{2} \\",
        r"\mathrm{prediction} &= \operatorname{softmax}\left(y\right)",
        r"\end{aligned}",
    ]
    assert "h = sigmoid(W1 x + b1)" in model._repr_html_()


def test_without_weights_there_are_no_formulas_yet():
    model = pel.Model(nn.Dense(2), "mse")
    assert str(model) == repr(model)
    with pytest.raises(pel.GraphError, match="no weights yet: fit it, or give"):
        model.latex()


def test_counts_add_up():
    for net, shape in [(nn.zoo.lenet5(), (1, 32, 32)), (nn.Sequential(nn.LSTM(3), nn.Dense(1)), (5, 2))]:
        model = pel.Model(net, "mse", input_shape=shape)
        counts = re.findall(r"([\d,]+) parameters?$", str(model), re.M)
        total = sum(p.count for p in model.traced.parameters.values())
        assert sum(int(c.replace(",", "")) for c in counts) == total


def square(v):
    return v * v


BREAK = r"\\"


class Scale(nn.Layer):
    def __call__(self, x: pel.Value) -> pel.Value:
        return x * self.param("scale", x.shape, nn.init.zeros) + 1


class Own(nn.Layer):
    def __call__(self, x: pel.Value) -> pel.Value:
        return ops.sum(self.param("weight", x.shape, nn.init.zeros) * x)[None]

    def formula(self, p, x):
        return call("my_sum", p("weight"), x)


shared = nn.Dense(3)


def functional(x):
    h = nn.tanh(shared(x))
    return shared(h) + h


@pytest.mark.parametrize(("net", "shape", "said"), [
    (nn.Dense(1), (3,), ["y = W1 x + b1"]),
    (nn.Dense(1, bias=False), (3,), ["y = W1 x"]),
    (nn.Sequential(nn.Dense(4), partial(nn.leaky_relu, slope=0.2), nn.Dropout(0.1), nn.Dense(1)), (3,),
     ["h = dropout(leaky_relu(W1 x + b1, slope=0.2), 0.1)", "y = W2 h + b2"]),
    (nn.Sequential(nn.Dense(4), nn.tanh, nn.Dense(4), "relu", nn.Dense(1)), (3,),
     ["h1 = tanh(W1 x + b1)", "h2 = relu(W2 h1 + b2)", "y = W3 h2 + b3"]),
    (nn.Sequential(nn.Conv(2, 3, padding="same"), nn.relu, nn.MaxPool(2), nn.Flatten(), nn.Dense(1)), (1, 8, 8),
     ["h = flatten(max_pool(relu(conv(x, W1, padding='same') + b1), 2))", "y = W2 h + b2"]),
    (nn.Sequential(nn.BatchNorm(), nn.LayerNorm(scale=False)), (3,),
     ["h = gamma1 * (x - mu1) / sqrt(var1 + 1e-05) + beta1", "y = (h - mean(h)) / sqrt(var(h) + 1e-05) + beta2"]),
    (nn.Sequential(), (3,), ["y = x"]), (nn.Dropout(0.3), (3,), ["y = dropout(x, 0.3)"]),
    (nn.Sequential(nn.GaussianNoise(0.1), nn.Dense(2)), (3,), ["y = W1 gaussian_noise(x, 0.1) + b1"]),
    (nn.Dense(2, mask=[[1, 0, 1], [0, 1, 0]]), (3,), ["y = (W1 * array(2, 3)) x + b1"]),
    (nn.Residual(nn.Sequential(nn.Dense(3), nn.tanh)), (3,), ["y = tanh(W1 x + b1) + x"]),
    (nn.Concatenate(nn.Dense(2), nn.tanh), (3,), ["y = [W1 x + b1; tanh(x)]"]),
    (nn.TimeDistributed(nn.Dense(2)), (5, 3), ["y = x W1^T + b1"]),
    (nn.Sequential(nn.Embedding(9, 4), nn.GlobalAvgPool1D()), (5,), ["y = global_avg_pool1d(W1[x])"]),
    (nn.RNN(2), (5, 3), ["y = RNN(x), its last h_t", "h_t = tanh(U1 x_t + W1 h_(t-1) + b1)"]),
    (nn.LSTM(2, return_sequences=True, bias=False), (5, 3),
     ["y = LSTM(x), all h_t", "i_t = sigmoid(U1_i x_t + W1_i h_(t-1))", "f_t = sigmoid(U1_f x_t + W1_f h_(t-1))",
      "g_t = tanh(U1_g x_t + W1_g h_(t-1))", "c_t = f_t * c_(t-1) + i_t * g_t",
      "o_t = sigmoid(U1_o x_t + W1_o h_(t-1))", "h_t = o_t * tanh(c_t)"]),
    (nn.GRU(2, reset_after=False, reverse=True), (5, 3),
     ["y = GRU(x), its last h_t", "r_t = sigmoid(U1_r x_t + W1_r h_(t+1) + b1_r)",
      "z_t = sigmoid(U1_z x_t + W1_z h_(t+1) + b1_z)", "n_t = tanh(U1_n x_t + W1_n (r_t * h_(t+1)) + b1_n)",
      "h_t = (1 - z_t) * n_t + z_t * h_(t+1)"]),
    (nn.Attention(), (5, 3), ["y = softmax(x x^T / sqrt(d)) x"]),
    (nn.MultiHeadAttention(2, 4), (5, 4),
     ["y = [head_1, head_2] Wo1^T + bo1", "Q = x Wq1^T + bq1", "K = x Wk1^T", "V = x Wv1^T + bv1",
      "head_i = softmax(Q_i K_i^T / sqrt(d)) V_i"]),
    (functional, (3,), ["h = tanh(W1 x + b1)", "y = W1 h + b1 + h"]),
    (nn.Sequential(Scale(), square, nn.Dense(1)), (3,), ["h1 = x * scale1 + 1", "h2 = h1 * h1", "y = W2 h2 + b2"]),
    (nn.Sequential(nn.Dense(2), Own()), (3,), ["h = W1 x + b1", "y = my_sum(W2, h)"]),
    (nn.MultiHeadAttention(1, causal=True, dropout=0.1), (5, 4),
     ["y = [head_1] Wo1^T + bo1", "Q = x Wq1^T + bq1", "K = x Wk1^T", "V = x Wv1^T + bv1",
      "head_i = dropout(masked_softmax(Q_i K_i^T / sqrt(d), s <= t), 0.1) V_i"]),
    (nn.Attention(causal=True), (5, 3), ["y = masked_softmax(x x^T / sqrt(d), s <= t) x"]),
    (nn.Sequential(nn.Masking(), nn.Attention(), nn.Attention(causal=True)), (5, 3),
     ["h1 = masking(x)", "h2 = masked_softmax(h1 h1^T / sqrt(d), mask) h1",
      "y = masked_softmax(h2 h2^T / sqrt(d), (s <= t) & mask) h2"]),
    (nn.Attention(dropout=0.2), (5, 3), ["y = dropout(softmax(x x^T / sqrt(d)), 0.2) x"]),
    (nn.Conv(2, 3, mask=[[1], [0]]), (1, 8, 8), ["y = conv(x, W1 * array(2, 1)) + b1"]),
    (nn.GroupNorm(2, scale=False, center=False), (4, 3),
     ["y = (x - mean(x, groups=2)) / sqrt(var(x, groups=2) + 1e-05)"]),
    (nn.LayerNorm(axis=(0, 1), scale=False, center=False), (4, 3),
     ["y = (x - mean(x, axis=(0, 1))) / sqrt(var(x, axis=(0, 1)) + 1e-05)"]),
    (nn.Sequential(nn.Lateral(2), nn.Lateral(3, rate=0.5)), (3,),
     ["h = a1_2", "a1_0 = tanh(x)", "a1_k = tanh(x + W1 a1_(k-1))",
      "y = a2_3", "a2_0 = tanh(h)", "a2_k = 0.5 * a2_(k-1) + 0.5 * tanh(h + W2 a2_(k-1))"]),
    (nn.MultiHeadAttention(4), (5, 4),
     ["y = [head_1, ..., head_4] Wo1^T + bo1", "Q = x Wq1^T + bq1", "K = x Wk1^T", "V = x Wv1^T + bv1",
      "head_i = softmax(Q_i K_i^T / sqrt(d)) V_i"]),
    (lambda x: ops.transpose(x, (0, 1)) + ops.transpose(ops.transpose(x, (1, 0)), (1, 0)), (3, 2), ["y = x + (x^T)^T"]),
    (lambda x: ops.cast(ops.cast(x, "int32"), "float32") + ops.cast(ops.cast(x, "bool"), "float32"), (3,),
     ["y = int32(x) + bool(x)"]),
    (nn.Concatenate(nn.tanh, nn.relu, axis=0), (3, 2), ["y = [tanh(x); relu(x)]"]),
    (nn.Concatenate(nn.tanh, nn.relu, axis=1), (3, 2), ["y = [tanh(x), relu(x)]"]),
    (lambda x: ops.concatenate([x, x], 1), (3, 2, 2), ["y = concatenate(x, x, axis=-2)"]),
    (lambda x: ops.cast(x < 0.5, "float32") + 1, (3,), ["y = (x < 0.5) + 1"]),
    (lambda x: ops.cast(x < 0.5, "float32") - ops.cast(x < 1, "float32"), (3,), ["y = (x < 0.5) - (x < 1)"]),
    (lambda x: ops.where(x > 0, x, -x) / 2 - x**2, (3,), ["y = where(0 < x, x, -x) / 2 - x * x"]),
], ids=lambda part: getattr(part, "__name__", type(part).__name__) if callable(part) else "")  # fmt: skip
def test_formulas(net, shape, said):
    assert lines(net, shape)[1:] == said


def test_several_inputs_and_outputs():
    a, b = nn.Dense(2, name="a"), nn.Dense(2, name="b")

    def two(first, second):
        h = nn.relu(a(first) + b(second))
        return {"sum": h, "product": h * second[0]}

    said = lines(two, {"first": (3,), "second": (4,)}, {"sum": "mse", "product": "mse"})
    assert said[:2] == ["first", "second"]
    assert said[2:] == ["sum = relu(W1 first + b1 + W2 second + b2)", "product = sum * second[0]"]


def test_names_of_inputs_outputs_and_parameters_are_given_to_nothing_else():
    class Named(nn.Layer):
        def __call__(self, x: pel.Value) -> pel.Value:
            return x * self.param("h", x.shape, nn.init.zeros)

    def net(h):
        first = nn.Dense(2, name="a")(h)
        second = nn.Dense(2, name="b")(first)
        return {"h1": second, "W1": nn.Dense(1, name="c")(second), "again": second}

    said = lines(net, {"h": (3,)}, {"h1": "mse", "W1": "mse", "again": "mse"})
    assert said == ["h", "h2 = W1_2 h + b1", "h1 = W2 h2 + b2", "W1 = W3 h1 + b3", "again = h1"]
    said = lines(nn.Sequential(nn.Dense(2), Named(), nn.Dense(2), nn.Dense(1)), (2,))
    assert said == ["x", "h1 = (W1 x + b1) * h2", "h3 = W3 h1 + b3", "y = W4 h3 + b4"]


def test_a_formula_in_latex_has_its_own_parentheses():
    y = str(pel.Model(nn.Sequential(nn.Conv(2, 3, bias=False, mask=[[1], [0]])), "mse", input_shape=(1, 8, 8)).latex())
    assert r"y &= \left(W_{1} \odot \mathrm{array(2, 1)}\right) \ast x" in y
    assert power(number(1e-5), number(2))[:2] == ("1e-05^2", r"\left(1 \cdot 10^{-5}\right)^{2}")


@pytest.mark.parametrize("net, shape", [
    (nn.zoo.lenet5(), (1, 32, 32)), (nn.zoo.resnet_cifar(8), (3, 32, 32)),
    (nn.Sequential(nn.TransformerBlock(2, 8), nn.GlobalMaxPool1D(), nn.Dense(1)), (5, 4)),
    (nn.Sequential(nn.Bidirectional(nn.LSTM(3, peepholes=True)), nn.Dense(1)), (5, 2)),
    (nn.Sequential(nn.Conv1D(4, 3), nn.MaxPool1D(2), nn.Flatten()), (8, 2)),
    (nn.Sequential(nn.Regularized(nn.Dense(3), weights=nn.L2(0.1)), nn.DropConnect(2)), (8,)),
], ids=["lenet5", "resnet", "transformer", "bidirectional", "conv1d", "wrapped"])  # fmt: skip
def test_other_nets_are_written_too(net, shape):
    mathtext = pytest.importorskip("matplotlib.mathtext")
    model = pel.Model(net, "mse", input_shape=shape)
    text, latex = str(model), model.latex()
    assert "0x" not in text and "<" not in text and "y = " in text
    for opening, closing in ("()", "[]"):
        assert text.count(opening) == text.count(closing)
    assert latex.count(r"\left") == latex.count(r"\right") and latex.count("{") == latex.count("}")
    for line in latex.splitlines()[1:-1]:
        mathtext.MathTextParser("agg").parse(f"${line.replace('&', '').removesuffix(BREAK)}$")
    letters = {m[0] for m in re.findall(r"\b((W|b|U|gamma|beta)[a-z]?\d+)\b", text)}
    assert letters  # every parameter that has a letter stands to the right of a line before it is used again
    names = [line.split(" = ")[0].strip() for line in text.splitlines() if " = " in line and not line.startswith(" ")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_layer_is_written(case):
    layer, shape, *_ = CASES[case]
    text = str(pel.Model(layer, "mse", input_shape=shape))
    assert " at 0x" not in text and "y = " in text


@pytest.mark.parametrize("name", [name for name, p in PRIMITIVES.items() if p.samples])
def test_every_operation_is_written(name):
    primitive = PRIMITIVES[name]
    for sample in primitive.samples[:2]:
        arrays = [np.asarray(np.ones(i) if isinstance(i, tuple) else i) for i in sample.inputs]
        try:
            inputs = [pel.input(f"x{k}", a.shape, str(a.dtype), kind="shared") for k, a in enumerate(arrays)]
            y = primitive(*inputs, **sample.attributes)
        except pel.GraphError:
            continue  # the sample is of another kind or dtype: tests/ops/test_primitives.py makes those
        assert " at 0x" not in pel.Program(inputs, {"y": y}).listing()


def test_an_own_formula_that_is_none():
    class Odd(nn.Layer):
        said: object = None

        def __call__(self, x: pel.Value) -> pel.Value:
            return x * self.param("scale", x.shape, nn.init.zeros)

        def formula(self, p, x):
            return self.said(p, x)

    wrong = [(lambda p, x: "x", "must give a Formula, as pellucid.formulas.call gives, got 'x'"),
             (lambda p, x: p("weight"), "asks for the parameter 'weight', which the layer has not")]  # fmt: skip
    for said, text in wrong:
        with pytest.raises(pel.GraphError, match=text):
            str(pel.Model(Odd(said), "mse", input_shape=(2,)))
    assert lines(Odd(lambda p, x: call("f", p("scale"))), (2,))[1:] == ["y = f(scale1)"]


def test_printing_a_trained_model_changes_nothing():
    x, y = pel.data.xor()
    model = pel.Model(nn.Sequential(nn.Dense(2), nn.tanh, nn.Dense(2)), "cross_entropy")
    model.fit(x, y, epochs=2, verbose=0)
    before = model.predict(x)
    str(model), model.latex(), repr(model), model._repr_html_()
    assert (model.predict(x) == before).all()


# ---- listings ------------------------------------------------------------------------------------------------------


def test_a_listing_of_a_small_net_is_its_formulas():
    model = pel.Model(nn.Sequential(nn.Dense(2), nn.sigmoid, nn.Dense(2)), "cross_entropy", input_shape=(2,))
    program = model._compiled("predict", {"x": np.zeros((1, 2), "float32")}).program
    body = [line for line in program.listing().splitlines() if " = " in line]
    assert body == ["  %1 = sigmoid(layers.0.weight x + layers.0.bias): sample float32 (2,)",
                    "  return prediction = softmax(layers.2.weight %1 + layers.2.bias)"]  # fmt: skip
    assert len(program.listing(full=True).splitlines()) > 25 and "ruled[rule=sigmoid]" in program.listing(full=True)


def test_a_listing_of_a_training_step():
    w, x, t, n = pel.state("w", (2,)), pel.input("x", (2,)), pel.input("t"), pel.state("n", (), "int32")
    loss = (ops.dot(w, x) - t) ** 2
    cost = pel.batch_mean(loss)
    program = pel.Program([x, t], {"cost": cost}, {w: w - 0.1 * pel.grad(cost, w), n: n + 1})
    assert [line.strip() for line in program.listing().splitlines()[5:]] == [
        "%1 = 1 / n: sample float32 ()",
        "%2 = w . x - t: sample float32 ()",
        "%3 = %1 * %2 + %1 * %2: sample float32 ()",
        "w' = w - 0.1 * batch_sum(%3 * x)",
        "n' = n + 1",
        "return cost = batch_sum(%2 * %2) / n",
    ]


def test_what_is_used_twice_stands_once():
    x = pel.input("x", (3,))
    y = ops.exp(x)
    for _ in range(60):  # written out it would be 2^60 characters
        y = ops.tanh(y + y)
    text = pel.Program([x], {"y": y}).listing()
    assert len(text) < 6000 and "%60 = tanh(%59 + %59): sample float32 (3,)" in text


def test_deep_graphs_are_written_without_recursion():
    x = pel.input("x", (3,))
    y = x
    for _ in range(3000):
        y = ops.tanh(y)
    assert pel.Program([x], {"y": y}).listing().count("tanh") == 3000


# ---- the signs -----------------------------------------------------------------------------------------------------

A, B, C = map(symbol, "abc")


@pytest.mark.parametrize(("formula", "text", "latex"), [
    (plus(A, minus(B, C)), "a + b - c", "a + b - c"),
    (minus(A, plus(B, C)), "a - (b + c)", r"a - \left(b + c\right)"),
    (minus(A, times(B, C)), "a - b * c", r"a - b \odot c"),
    (plus(A, number(-2.0)), "a - 2", "a - 2"),
    (plus(compared(A, "<", B), C), "(a < b) + c", r"\left(a < b\right) + c"),
    (plus(C, compared(negative(A), "<", B)), "c + (-a < b)", r"c + \left(-a < b\right)"),
    (minus(compared(A, "<", B), C), "(a < b) - c", r"\left(a < b\right) - c"),
    (product(times(A, B), C), "(a * b) c", r"\left(a \odot b\right) c"),
    (product(over(A, B), C), "(a / b) c", r"\left(\frac{a}{b}\right) c"),
    (product(product(A, B), C), "a b c", "a b c"), (product(A, product(B, C)), "a (b c)", r"a \left(b c\right)"),
    (times(contraction("i,i->", A, B), C), "(a . b) * c", r"\left(a \cdot b\right) \odot c"),
    (minus(C, contraction("i,i->", A, B)), "c - a . b", r"c - a \cdot b"),
    (times(A, number(-2.0)), "a * (-2)", r"a \odot \left(-2\right)"),
    (product(A, plus(B, C)), "a (b + c)", r"a \left(b + c\right)"),
    (times(product(A, B), C), "a b * c", r"a b \odot c"),
    (over(A, times(B, C)), "a / (b * c)", r"\frac{a}{b \odot c}"),
    (over(plus(A, B), C), "(a + b) / c", r"\frac{a + b}{c}"),
    (power(plus(A, B), number(2)), "(a + b)^2", r"\left(a + b\right)^{2}"),
    (number(1e-5), "1e-05", r"1 \cdot 10^{-5}"), (number(True), "True", "True"), (number(0.1), "0.1", "0.1"),
    (contraction("ij,kj->ik", A, B), "a b^T", r"a b^\top"),
    (contraction("ij,kj->ki", A, B), "b a^T", r"b a^\top"),
    (contraction("ij,jk->ki", A, B), "b^T a^T", r"b^\top a^\top"),
    (contraction("ji,j->i", A, B), "a^T b", r"a^\top b"),
    (contraction("i,ij->j", A, B), "b^T a", r"b^\top a"),
    (contraction("i,j->ji", A, B), "b a^T", r"b a^\top"),
], ids=lambda part: part if isinstance(part, str) else "")  # fmt: skip
def test_signs(formula, text, latex):
    assert (formula.text, formula.latex) == (text, latex)


@pytest.mark.parametrize("spec", ["ij,j->i", "ij,i->j", "j,ij->i", "i,ij->j", "ij,jk->ik", "ij,jk->ki", "ij,kj->ik",
                                  "ij,kj->ki", "ji,jk->ik", "ji,kj->ki", "i,i->", "i,j->ij", "i,j->ji"])  # fmt: skip
def test_products_mean_what_is_computed(spec):
    letters = {"i": 2, "j": 3, "k": 4}
    left, right = spec.split("->")[0].split(",")
    arrays = {"a": np.random.default_rng(0).normal(size=[letters[k] for k in left]),
              "b": np.random.default_rng(1).normal(size=[letters[k] for k in right])}  # fmt: skip
    text = contraction(spec, A, B).text.replace("^T", ".T").replace(" . ", " ").replace(" ", " @ ")
    if len(left) == len(right) == 1 and spec[-1] != ">":  # columns
        arrays = {name: a[:, None] for name, a in arrays.items()}
    np.testing.assert_allclose(eval(text, arrays), np.einsum(spec, *[a.squeeze() for a in (arrays["a"], arrays["b"])]))


def test_a_formula_is_text_and_latex():
    assert symbol("layers.0_x").latex == r"\mathrm{layers.0\_x}" and Formula("a", "a").within(0).text == "a"
    assert optim.SGD(0.1).__repr__() == "SGD(0.1)"
