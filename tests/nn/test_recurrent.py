"""Recurrent layers: their formulas, derivatives, masks, states, directions; and what errors say."""

from dataclasses import replace

import numpy as np
import pytest
from native_tools import agree
from tools import distinct, finite_differences, relative_error

import pellucid as pel
from pellucid import ArgumentError, GraphError, Model, Program, nn, ops, optim
from pellucid.executors import EXECUTORS, reference

T, C, H, N = 5, 3, 4, 3
LAYERS = {
    "rnn": nn.RNN(H),
    "rnn relu": nn.RNN(H, "relu", bias=False),
    "lstm": nn.LSTM(H),
    "lstm peepholes": nn.LSTM(H, peepholes=True),
    "gru": nn.GRU(H),
    "gru no bias": nn.GRU(H, bias=False),
    "gru reset before": nn.GRU(H, reset_after=False),
}
each_layer = pytest.mark.parametrize("layer", LAYERS.values(), ids=list(LAYERS))


def with_options(layer, **options):
    return replace(layer, **options)


def weights_of(traced, seed=1):
    """Numbers for all parameters, the state that layers keep as 0."""
    return {name: distinct(p.value.shape, seed + i) / 2 * ("state." not in name)
            for i, (name, p) in enumerate(traced.parameters.items())}  # fmt: skip


def traced_on(net, shape=(T, C), training=False, dtype="float64"):
    x = pel.input("x", shape, dtype)
    return nn.trace(net, x, dtype="float64", training=training), x


def output(net, x, state=None, seed=1):
    """What a net gives for samples, with weights made of the seed."""
    traced, leaf = traced_on(net, x.shape[1:], dtype=str(x.dtype))
    state = weights_of(traced, seed) if state is None else state
    return reference.compile(Program([leaf], {"y": traced.output}))(dict(state), {"x": x})["y"]


def slopes_program(net, shape=(T, C), training=False):
    """The cost and its derivatives in the input and in every weight."""
    traced, x = traced_on(net, shape, training)
    free = {name: p.value for name, p in traced.parameters.items() if p.trainable}
    y = traced.output
    cost = pel.batch_sum(ops.sum(y * ops.constant(distinct(y.shape, 9, "float64"))))
    slopes = dict(zip(["x", *free], pel.grad(cost, [x, *free.values()]), strict=True))
    return traced, Program([x], {"cost": cost, "y": y, **{f"d{k}": v for k, v in slopes.items()}}, traced.updates)


# ---- formulas and derivatives -----------------------------------------------------------------------------------


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def written_out(layer, x, w):
    """The equations of the lecture (LSTM, RNN) and of the papers, in NumPy, sample by sample; all outputs."""
    weight, u, b = w["recurrent_weight"], w["weight"], w.get("bias", 0)
    every = []
    for steps in x:
        h, c, ys = np.zeros(H), np.zeros(H), []
        for v in steps:
            a, z = u @ v + b, weight @ h
            if isinstance(layer, nn.RNN):
                h = np.tanh(z + a) if layer.activation == "tanh" else np.maximum(z + a, 0)
            elif isinstance(layer, nn.LSTM):
                i, f, g, o = np.split(z + a, 4)
                p = w.get("peephole", np.zeros((3, H)))
                c_new = sigmoid(f + p[1] * c) * c + sigmoid(i + p[0] * c) * np.tanh(g)
                c = c_new
                h = sigmoid(o + p[2] * c) * np.tanh(c)
            else:
                r, k = sigmoid(z[:H] + a[:H]), sigmoid(z[H : 2 * H] + a[H : 2 * H])
                inner = (
                    r * (z[2 * H :] + w.get("recurrent_bias", 0)) if layer.reset_after else weight[2 * H :] @ (r * h)
                )
                h = (1 - k) * np.tanh(inner + a[2 * H :]) + k * h
            ys.append(h)
        every.append(ys)
    return np.array(every)


@each_layer
def test_formula(layer):
    x = distinct((N, T, C))
    net = with_options(layer, return_sequences=True)
    state = weights_of(traced_on(net)[0])
    expected = written_out(layer, x, state)
    np.testing.assert_allclose(output(net, x), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(output(layer, x), expected[:, -1], rtol=1e-12, atol=1e-14)


@each_layer
@pytest.mark.parametrize("options", [{"return_sequences": True}, {"reverse": True, "remat": True}], ids=str)
def test_derivatives(layer, options):
    traced, program = slopes_program(with_options(layer, **options))
    run, state = reference.compile(program), weights_of(traced)
    arrays = {"x": distinct((1, T, C)), **state}
    found = run(dict(state), {"x": arrays["x"]})

    def cost(name, array):
        changed = arrays | {name: array}
        return run({k: changed[k] for k in state}, {"x": changed["x"]})["cost"]

    for name, array in arrays.items():
        numeric = finite_differences(lambda a, name=name: cost(name, a), array)
        assert relative_error(found[f"d{name}"], numeric) < 1e-6, name


NATIVE = [(layer, {"return_sequences": True}) for layer in LAYERS.values()]
NATIVE += [(LAYERS["lstm"], options) for options in ({}, {"reverse": True}, {"truncate": 2}, {"remat": True})]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("layer, options", NATIVE, ids=[*LAYERS, "lstm last", "reverse", "truncate", "remat"])
def test_native_is_reference(layer, options, masked):
    net = with_options(layer, **options)
    traced, program = slopes_program(nn.Sequential(nn.Masking(-1.9), net) if masked else net)
    agree(program, {"x": distinct((N, T, C))}, weights_of(traced))


@pytest.mark.parametrize("layer, count", [(nn.RNN(H), H * (H + C) + H), (nn.LSTM(H), 4 * (H * (H + C) + H)),
                                          (nn.GRU(H), 3 * (H * (H + C) + H) + H),
                                          (nn.LSTM(H, stateful=7), 4 * (H * (H + C) + H)),
                                          (nn.Bidirectional(nn.LSTM(H)), 8 * (H * (H + C) + H))])  # fmt: skip
def test_parameter_counts(layer, count):
    assert sum(p.count for p in traced_on(layer)[0].parameters.values()) == count


def test_forget_bias():
    model = Model(nn.LSTM(2), "mse", input_shape=(T, C))
    assert model.parameters["bias"].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    weight = model.parameters["recurrent_weight"]
    np.testing.assert_allclose(weight.T @ weight, np.eye(2), atol=1e-5)  # orthogonal


# ---- directions, masks, steps -----------------------------------------------------------------------------------


@each_layer
def test_reverse_and_both_directions(layer):
    x = distinct((N, T, C))
    layer = with_options(layer, return_sequences=True)
    back = output(with_options(layer, reverse=True), x)
    np.testing.assert_allclose(back, output(layer, x[:, ::-1])[:, ::-1])
    state = weights_of(traced_on(layer)[0])
    twins = {f"{way}.{k}": v for way in ("forward", "backward") for k, v in state.items()}
    ahead = output(layer, x)
    for merge, expected in {"concatenate": np.concatenate([ahead, back], -1), "sum": ahead + back,
                            "mean": (ahead + back) / 2, "multiply": ahead * back}.items():  # fmt: skip
        np.testing.assert_allclose(output(nn.Bidirectional(layer, merge), x, twins), expected, err_msg=merge)


@each_layer
@pytest.mark.parametrize("reverse", [False, True])
def test_masked_steps_are_as_if_they_were_not_there(layer, reverse):
    """Values and derivatives, for the padded batch and for each sequence cut to its length."""
    lengths, x = [5, 2, 3], distinct((N, T, C))
    for i, n in enumerate(lengths):
        x[i, n:] = 0
    net = nn.Sequential(nn.Masking(), with_options(layer, reverse=reverse))
    traced, program = slopes_program(net)
    state = weights_of(traced)
    found, slopes = reference.compile(program)(dict(state), {"x": x}), {}
    for i, n in enumerate(lengths):
        _, cut = slopes_program(net, (n, C))
        alone = reference.compile(cut)(dict(state), {"x": x[i : i + 1, :n]})
        np.testing.assert_allclose(found["y"][i], alone["y"][0], rtol=1e-12)
        np.testing.assert_allclose(found["dx"][i, :n], alone["dx"][0], rtol=1e-12, atol=1e-15)
        assert not found["dx"][i, n:].any()
        slopes = {k: slopes.get(k, 0) + v for k, v in alone.items() if k not in ("y", "dx", "cost")}
    for name, slope in slopes.items():
        np.testing.assert_allclose(found[name], slope, rtol=1e-10, atol=1e-13, err_msg=name)


def test_the_output_of_a_masked_step_repeats_the_last_one():
    x = distinct((1, T, C))
    x[:, 3:] = 0
    y = output(nn.Sequential(nn.Masking(), nn.LSTM(H, return_sequences=True)), x)
    np.testing.assert_array_equal(y[0, 3:], y[0, [2, 2]])


def test_the_mask_goes_on():
    def net(x):
        x = nn.Masking()(x)
        for layer in (nn.LSTM(H, return_sequences=True), nn.Bidirectional(nn.GRU(H, return_sequences=True)),
                      nn.TimeDistributed(nn.Dense(2))):  # fmt: skip
            before, x = nn.mask_of(x), layer(x)
            assert nn.mask_of(x) is before is not None
        y, h, _ = nn.LSTM(H, return_sequences=True, return_state=True)(x)
        assert nn.mask_of(y) is before and nn.mask_of(h) is None
        return y

    traced_on(net)


@each_layer
def test_a_step_is_the_same_formula(layer):
    """A loop of one's own over `step` gives what the layer gives."""

    def loop(x):
        state = (ops.fill(0, (H,), "float64"),) * len(layer.states)
        ys = []
        for t in range(T):
            state, y = layer.step(state, x[t])
            ys.append(y)
        return ops.stack(ys)

    x, state = distinct((N, T, C)), weights_of(traced_on(layer)[0])
    name = type(layer).__name__.lower()  # of a layer that a function holds
    own = {f"{name}.{k}": v for k, v in state.items()}
    np.testing.assert_allclose(output(loop, x, own), output(with_options(layer, return_sequences=True), x, state))


def test_initial_states_and_last_ones():
    """The second half of a sequence, begun with the state after the first."""
    x, cell = distinct((N, T, C)), nn.LSTM(H, return_sequences=True, return_state=True)

    def halves(x):
        first, *state = cell(x[:2])
        second, *_ = cell(x[2:], *state)
        return ops.concatenate([first, second])

    def whole(x):
        return cell(x)[0]

    np.testing.assert_allclose(output(halves, x), output(whole, x))
    pair = nn.Bidirectional(cell)

    def states(x):
        _, *found = pair(x)
        _, *again = pair(x, *found)
        assert len(found) == len(again) == 4
        return ops.concatenate(again)

    assert output(states, x).shape == (N, 4 * H)


# ---- state from batch to batch ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name, executor", [*((name, "reference") for name in LAYERS), ("lstm", "native")])
def test_stateful_chunks_are_one_long_sequence(name, executor):
    """Outputs of chunks, and the sum of their gradients: truncated back-propagation over the whole."""
    x = distinct((N, 3 * 2, C))
    layer = with_options(LAYERS[name], return_sequences=True)
    traced, program = slopes_program(with_options(layer, stateful=N), (2, C), training=True)
    state, sums, ys = weights_of(traced), {}, []
    weights = {k: v for k, v in state.items() if "state." not in k}
    run = pel.executors.get(executor).compile(program)
    traced_whole, x_whole = traced_on(with_options(layer, truncate=2), (6, C))
    own = ops.constant(np.tile(distinct((2, H), 9), (3, 1)))
    cost = pel.batch_sum(ops.sum(traced_whole.output * own))
    slopes = pel.grad(cost, [p.value for p in traced_whole.parameters.values()])
    long = reference.compile(Program([x_whole], {"y": traced_whole.output, **dict(zip(traced_whole.parameters, slopes,
                                                                                     strict=True))}))  # fmt: skip
    expected = long(dict(weights), {"x": x})
    for k in range(3):
        found = run(state, {"x": x[:, 2 * k : 2 * k + 2]})
        ys.append(found["y"])
        sums = {name: sums.get(name, 0) + found[f"d{name}"] for name in weights}
    np.testing.assert_allclose(np.concatenate(ys, 1), expected["y"], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(state["state.h"], expected["y"][:, -1], rtol=1e-11, atol=1e-13)
    for name, value in sums.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-9, atol=1e-11, err_msg=name)


def test_stateful_in_a_model(tmp_path):
    x = distinct((8, T, C), dtype="float32")
    net = nn.Sequential(nn.GRU(H, stateful=4), nn.Dense(1))
    model = Model(net, "mse", optim.SGD(0.01), input_shape=(T, C))
    fresh = model.predict(x[:3])
    model.fit(x, np.zeros((8, 1)), batch_size=4, shuffle=False, verbose=0)
    kept = model.parameters["layers.0.state.h"]
    assert kept.shape == (4, H) and kept.any()
    model.set_parameters({"layers.0.state.h": np.zeros((4, H))})
    assert model.predict(x[:3]).shape == fresh.shape  # any number of samples outside training
    model.save(tmp_path / "m.pel")
    assert "layers.0.state.h" in pel.load(tmp_path / "m.pel").parameters
    for options, words in [({"batch_size": 4}, "shuffle=False"), ({"batch_size": 3, "shuffle": False}, "batch_size=4"),
                           ({"batch_size": 8, "shuffle": False}, r"layers\.0.*batch_size=4")]:  # fmt: skip
        with pytest.raises(GraphError, match=words):
            model.fit(x, np.zeros((8, 1)), verbose=0, **options)
    with pytest.raises(GraphError, match=r"7 samples.*4"):
        model.fit(x[:7], np.zeros((7, 1)), batch_size=4, shuffle=False, verbose=0)


# ---- each step by itself ----------------------------------------------------------------------------------------


def test_time_distributed_is_its_layer_on_each_step():
    inner = nn.Sequential(nn.Dense(4), nn.tanh, nn.LayerNorm(), nn.Dense(2))
    x, net = distinct((N, T, C)), nn.TimeDistributed(inner)
    state = weights_of(traced_on(net)[0])
    own = {k.removeprefix("layer."): v for k, v in state.items()}
    steps = np.stack([output(inner, x[:, t], own) for t in range(T)], 1)
    np.testing.assert_allclose(output(net, x, state), steps)
    agree(slopes_program(net)[1], {"x": x}, state)


def test_time_distributed_images():
    """A convolutional net on each picture of a film, and a recurrent one over what it finds."""
    film = distinct((2, T, 1, 6, 6), dtype="float32")
    look = nn.Sequential(nn.Conv(2, 3), nn.relu, nn.MaxPool(2), nn.Flatten())
    model = Model(nn.Sequential(nn.TimeDistributed(look), nn.LSTM(H), nn.Dense(2)), "mse", input_shape=(T, 1, 6, 6))
    outputs = model.layer_outputs(film)
    assert outputs["layers.0.layer.layers.0"].shape == (2, T, 2, 4, 4)  # inside too, for all steps
    assert outputs["layers.0"].shape == (2, T, 8) and outputs["layers.1"].shape == (2, H)
    before = model.evaluate(film, np.ones((2, 2)))["loss"]
    model.fit(film, np.ones((2, 2)), epochs=5, verbose=0)
    assert model.evaluate(film, np.ones((2, 2)))["loss"] < before


def test_dropout_in_time_distributed_is_one_draw_for_all_steps():
    def dropped(net):
        traced, x = traced_on(net, training=True)
        run = reference.compile(Program([x], {"y": traced.output}))
        return run({"random.key": np.array([1, 2], np.uint32)}, {"x": np.ones((1, T, C))})["y"][0] == 0

    def net_of(layer):
        return lambda x: layer(ops.broadcast_to(x[:1], (8, C)))

    inside, beside = (dropped(net_of(net)) for net in (nn.TimeDistributed(nn.Dropout()), nn.Dropout()))
    assert (inside == inside[0]).all() and not (beside == beside[0]).all()


class CountSteps(nn.Layer):
    def __call__(self, x):
        self.update(self.param("steps", (), nn.init.zeros, trainable=False), lambda steps: steps + 1)
        return x


def test_state_that_each_step_updates_is_refused():
    """All but batch normalization, which has its statistics of all steps."""
    net = nn.TimeDistributed(CountSteps())
    traced_on(net)
    traced_on(nn.freeze(net, "layer"), training=True)
    with pytest.raises(GraphError, match=r"TimeDistributed.*updates its state"):
        traced_on(net, training=True)
    traced_on(nn.TimeDistributed(nn.BatchNorm()), training=True)


# ---- summary, files, words of errors ----------------------------------------------------------------------------


def test_summary_and_files(tmp_path, capsys):
    tokens = np.arange(12).reshape(2, 6).astype("int32")
    net = nn.Sequential(nn.Embedding(12, 3, 0), nn.Bidirectional(nn.LSTM(4, return_sequences=True), "sum"),
                        nn.GRU(5, return_sequences=True, name="top"), nn.TimeDistributed(nn.Dense(2)))  # fmt: skip
    model = Model(net, "mse", seed=3)
    model.fit(tokens, np.zeros((2, 6, 2)), verbose=0)
    model.summary()
    text = capsys.readouterr().out
    for row in ("layers.1.forward (LSTM)    (6, 4)", "layers.1.backward (LSTM)", "layers.top (GRU)           (6, 5)"):
        assert row in text, text
    assert "459 parameters, 459 of them trainable" in text
    model.save(tmp_path / "net.pel")
    again = pel.load(tmp_path / "net.pel")
    np.testing.assert_array_equal(model.predict(tokens), again.predict(tokens))
    assert again.predict(tokens[:, :4]).shape == (2, 4, 2)  # sequences of another length


def test_messages():
    x = pel.input("x", (T, C))
    long = pel.input("none", (0, C))
    for make, words in [
        (lambda: nn.LSTM(0), "LSTM: units must be a whole number >= 1, got 0"),
        (lambda: nn.GRU(4, stateful=0), "GRU: stateful must be"),
        (lambda: nn.GRU(4, return_sequences=1), "return_sequences must be True or False"),
        (lambda: nn.RNN(4, "tan"), "RNN: activation: no activation is named 'tan'"),
        (lambda: nn.RNN(4, stateful=2, reverse=True), "needs reverse=False"),
        (lambda: nn.trace(nn.LSTM(4), pel.input("x", (7,))), r"LSTM: expects a sequence \(T, features\).*nn.Reshape"),
        (lambda: nn.trace(nn.LSTM(4), long), r"length 0 has no steps: shape \(0, 3\)"),
        (lambda: nn.trace(nn.TimeDistributed(nn.relu), long), r"length 0 has no steps: shape \(0, 3\)"),
        (lambda: nn.trace(nn.LSTM(4, truncate=0), x), "truncate must be"),
        (lambda: nn.trace(lambda v: nn.LSTM(4)(v, v[0]), x), r"takes 2 initial states \(h, c\), each of shape \(4,\)"),
        (lambda: nn.trace(lambda v: nn.RNN(3, stateful=2)(v, v[0]), x), "takes no initial states"),
        (lambda: pel.Model(nn.LSTM(4, return_state=True), "mse").fit(np.ones((2, 7, 3)), np.ones((2, 4)), verbose=0),
         r"returns the outputs output_0, output_1, output_2: give a loss for each, loss=\(\.\.\., \.\.\., \.\.\.\)"),
        (lambda: nn.trace(nn.Sequential(nn.LSTM(4, return_state=True), nn.Dense(2)), x), "several Values.*function"),
        (lambda: nn.Bidirectional(nn.Dense(2)), "forward must be a recurrent layer"),
        (lambda: nn.Bidirectional(nn.GRU(2), "add"), "merge must be one of concatenate, sum, mean, multiply"),
        (lambda: nn.RepeatVector(0), "length must be"),
        (lambda: nn.trace(nn.RepeatVector(2), x), "return_sequences=False"),
        (lambda: nn.TimeDistributed(nn.Dense), "did you mean Dense"),
        (lambda: nn.trace(nn.Dense(2), x), r"nn.TimeDistributed\(nn.Dense\(2\)\)"),
    ]:  # fmt: skip
        with pytest.raises((ArgumentError, GraphError), match=words):
            make()


def test_a_stepper_does_not_go_on_with_weights_of_before():
    x = np.zeros((8, 4), int)
    net = nn.Sequential(nn.Embedding(3, 4), nn.GRU(4, return_sequences=True), nn.TimeDistributed(nn.Dense(3)))
    model = pel.Model(net, "cross_entropy")
    model.fit(x, x + np.arange(8)[:, None] % 3, verbose=0)
    stepper = model.stepper()
    stepper([0])
    model.fit(x, x + np.arange(8)[:, None] % 3, verbose=0)
    with pytest.raises(GraphError, match="trained since"):
        stepper([0])
    stepper.reset()
    np.testing.assert_allclose(stepper([0])[0], model.predict(x[:1])[0, 0], atol=1e-6)


# ---- what is inside ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("reset_after", [True, False])
def test_inside_a_gru(reset_after, executor):
    """h_t = (1 - z) candidate + z h_(t-1), each in `layer_outputs`."""
    net = nn.Sequential(nn.GRU(2, reset_after=reset_after, return_sequences=True), nn.GlobalAvgPool1D())
    model = pel.Model(net, "mse", dtype="float64", input_shape=(T, C), executor=executor)
    inside = model.layer_outputs(distinct((N, T, C)))
    r, z, n, h = (inside[f"layers.0.{name}"] for name in ("r", "z", "candidate", "h"))
    before = np.concatenate([np.zeros((N, 1, 2)), h[:, :-1]], 1)
    np.testing.assert_allclose(h, (1 - z) * n + z * before, rtol=1e-12)
    assert ((r > 0) & (r < 1)).all()
    np.testing.assert_array_equal(h, inside["layers.0"])


def test_what_is_inside_has_the_places_of_its_sequence():
    """From the end: f_t still belongs to x_t. Steps that do not count leave h as it was. One step needs no loop."""
    net = nn.Sequential(nn.Masking(), nn.Bidirectional(nn.LSTM(2, return_sequences=True)))
    model = pel.Model(net, "mse", dtype="float64", input_shape=(T, C))
    x = distinct((N, T, C))
    x[:, 3:] = 0
    inside = model.layer_outputs(x)
    for way in ("forward", "backward"):
        np.testing.assert_array_equal(inside[f"layers.1.{way}.h"], inside[f"layers.1.{way}"])
    np.testing.assert_array_equal(
        inside["layers.1.forward.C"][:, 3:], inside["layers.1.forward.C"][:, 2:3].repeat(T - 3, 1)
    )
    one = pel.Model(nn.RNN(2), "mse", input_shape=(1, C)).layer_outputs(x[:, :1])
    assert one["h"].shape == (N, 1, 2)
    np.testing.assert_array_equal(one["h"][:, 0], one["RNN"])


def test_what_is_inside_can_be_asked_for_by_name_and_costs_a_program_nothing():
    net = nn.Sequential(nn.LSTM(3), nn.Dense(1))
    model = pel.Model(net, "mse", input_shape=(T, C))
    x = distinct((N, T, C), dtype="float32")
    assert model.features(x, "layers.0.C").shape == (N, T, 3)
    t = nn.trace(net, pel.input("x", (T, C)))
    assert {c.path for c in t.calls if c.inner} == {f"layers.0.{n}" for n in ("f", "i", "o", "candidate", "h", "C")}
    needed = pel.graph.toposort([t.output])
    assert not any(c.output in needed for c in t.calls if c.inner and c.path != "layers.0.h" and c.path != "layers.0.C")


def test_layers_in_a_loop_of_ones_own_are_not_shown():
    """What they give at each step is no Value of the net: `layer_outputs` shows the others."""

    class Loop(nn.Layer):
        inner: nn.Dense

        def __call__(self, x):
            return ops.scan(lambda h, v: (ops.tanh(self.inner(h) + v), None), x[0], x)[0]

    model = pel.Model(nn.Sequential(Loop(nn.Dense(C)), nn.Dense(2)), "mse", input_shape=(T, C))
    assert list(model.layer_outputs(distinct((N, T, C)))) == ["layers.0", "layers.1", "Sequential"]
