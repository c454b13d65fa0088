"""The native executor on nets for sequences: drawn nets beside the reference, and what the engine makes of them."""

from pathlib import Path

import numpy as np
import pytest
from native_tools import agree

import pellucid as pel
from pellucid import nn, ops, optim
from pellucid.executors import native
from pellucid.nn import trace

WIDTHS = (4, 8, 16)


def drawn(seed: int):
    """A net of embedding, recurrent or attention layers and a head, with sizes that fit no tile; and how to feed it."""
    rng = np.random.default_rng(seed)
    tokens, units, steps = int(rng.choice([5, 17, 65])), int(rng.choice([5, 8, 16, 20, 33])), int(rng.integers(9, 15))
    kind = ("rnn", "lstm", "gru", "attention", "both ways", "windows")[seed % 6]
    wide = 2 * units if kind == "attention" else units
    layers = {
        "rnn": lambda: [nn.RNN(units, return_sequences=True)],
        "lstm": lambda: [
            nn.LSTM(units, return_sequences=True, peepholes=bool(seed % 4)),
            nn.LSTM(7, return_sequences=True),
        ],
        "gru": lambda: [nn.GRU(units, return_sequences=True)],
        "attention": lambda: [nn.TransformerBlock(2, 19, causal=True)],
        "both ways": lambda: [nn.Bidirectional(nn.LSTM(units, return_sequences=True))],
        "windows": lambda: [nn.Conv1D(units, 3, padding="same"), nn.tanh],
    }[kind]()
    padding = 0 if seed % 5 == 0 else None
    head = nn.TimeDistributed(nn.Dense(tokens))
    return nn.Sequential(nn.Embedding(tokens, wide, padding), *layers, head), tokens, steps, rng


def step_of(seed: int):
    """A training step of a drawn net in double precision, its state and a batch."""
    net, tokens, steps, rng = drawn(seed)
    model = pel.Model(net, "cross_entropy", optim.Adam(0.01), dtype="float64", executor="reference")
    batch = int(rng.integers(1, 40))
    x, y = (rng.integers(0, tokens, (batch, steps)).astype("int32") for _ in range(2))
    model.fit(x, y, epochs=0, verbose=0)
    arrays = {"x": x, "y": y}
    return model._compiled("step", arrays).program, model.state, arrays


@pytest.mark.parametrize("seed", range(18))
def test_drawn_nets(seed):
    program, state, arrays = step_of(seed)
    agree(program, arrays, state, width=WIDTHS[seed // 6 % 3], threads=2, tolerance=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 400))
def test_many_drawn_nets(seed):
    program, state, arrays = step_of(seed)
    agree(program, arrays, state, width=WIDTHS[seed // 6 % 3], threads=2, tolerance=1e-9)


def test_same_bits_for_any_number_of_threads():
    for seed in (1, 3):
        program, state, arrays = step_of(seed)
        many = {name: np.concatenate([a] * 3) for name, a in arrays.items()}
        found = []
        for threads in (1, 2, 3, 4):
            new = {name: a.copy() for name, a in state.items()}
            native.Run(program, threads)(new, many)
            found.append(new)
        for other in found[1:]:
            for name in other:
                np.testing.assert_array_equal(found[0][name], other[name], err_msg=name)


def plan_of(net, *inputs, dtype="float32", cost=None):
    traced = trace(net, *inputs, dtype=dtype)
    cost = pel.batch_sum(ops.sum(traced.output * traced.output))
    weights = [p.value for p in traced.parameters.values()]
    slopes = pel.grad(cost, weights)
    program = pel.Program(inputs, {}, {w: w - 0.1 * g for w, g in zip(weights, slopes, strict=True)})
    return native.Run(program).listing()


def test_products_of_few_tokens_are_made_of_a_table():
    """65 tokens of 128 numbers, in 50 places: 65 products with the input weight instead of 50 for each sample."""
    net = nn.Sequential(nn.Embedding(65, 128), nn.LSTM(16, return_sequences=True))
    few = plan_of(net, pel.input("x", (50,), "int32"))
    many = plan_of(nn.Sequential(nn.Embedding(6500, 128), net.layers[1]), pel.input("x", (50,), "int32"))
    assert ",aj->ai]" in few and "ij,Zj->Zi" not in few
    assert "ij,Zj->Zi" in many


def test_tables_of_different_sizes_for_the_same_tokens():
    """Two projections added up have one slope, but it is added up by the rows of either table."""
    rows, g = pel.input("rows", (40,), "int32"), pel.input("g", (40, 6), "float64")
    tables, weights = ([pel.state(f"{name}{n}", (n, 5) if name == "e" else (6, 5), "float64") for n in (7, 9)]
                       for name in "ew")  # fmt: skip
    y = sum(
        (ops.contract(w, ops.take(e, rows), "ij,tj->ti") for w, e in zip(weights, tables, strict=True)), start=g * 0
    )
    every = [*tables, *weights]
    slopes = pel.grad(pel.batch_sum(ops.sum(y * g)), every)
    rng = np.random.default_rng(0)
    arrays = {"rows": rng.integers(0, 7, (20, 40)).astype("int32"), "g": rng.normal(size=(20, 40, 6))}
    program = pel.Program([rows, g], {v.name: s for v, s in zip(every, slopes, strict=True)})
    agree(program, arrays, {v.name: rng.normal(size=v.shape) for v in every})


def test_weights_of_a_recurrence_are_packed_and_gradients_made_in_chunks():
    text = plan_of(nn.LSTM(32, return_sequences=True), pel.input("x", (20, 8)))
    assert text.count("packed_rows(") == 2  # forward, and turned for the way back
    assert text.count("rows in chunks") == 2  # of both weights, over all steps


def test_what_is_put_together_on_the_way_back_is_written_where_it_belongs():
    """The slopes of four gates: no nest of their own puts them side by side."""
    text = plan_of(nn.LSTM(32, return_sequences=True), pel.input("x", (20, 8)))
    assert "concatenate" not in text and "pad[" not in text


def memory_of_step(net, x, y) -> int:
    """Bytes of values of a training step, without weights."""
    model = pel.Model(net, "cross_entropy")
    model.fit(x, y, epochs=0, verbose=0)
    run = model._compiled("step", {"x": x, "y": y})
    return sum(run.executable.bytes(slot, -(-len(x) // run.host.width)) for slot in run.built.slots)


def test_memory_is_linear_in_time_and_less_where_steps_are_computed_again():
    x, y = np.zeros((16, 200, 8), np.float32), np.arange(16, dtype=np.int32) % 2
    net, thrifty = (nn.Sequential(nn.LSTM(32, remat=remat), nn.Dense(2)) for remat in (False, True))
    half, whole, less = memory_of_step(net, x[:, :100], y), memory_of_step(net, x, y), memory_of_step(thrifty, x, y)
    assert 1.9 < whole / half < 2.1
    assert less < 0.85 * whole


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to see the process's memory")
def test_a_hundred_thousand_steps_in_flat_memory():
    """One long sequence in chunks of 100 steps, each beginning with the state that the last one left."""
    signal = np.sin(np.arange(100_001) * 0.1).astype("float32")
    x, y = (part[:, :, None] for part in pel.data.streams(signal, batch=1, length=100))
    net = nn.Sequential(nn.LSTM(16, return_sequences=True, stateful=1), nn.TimeDistributed(nn.Dense(1)))
    model = pel.Model(net, "mse", optim.Adam(0.01))
    resident = []
    for part in (slice(0, 100), slice(100, len(x))):  # 10,000 steps, and the others
        model.fit(x[part], y[part], batch_size=1, shuffle=False, verbose=0)
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6)
    assert resident[1] - resident[0] < 20, resident
    assert model.evaluate(x[-50:], y[-50:])["loss"] < 0.05


@pytest.mark.parametrize("spec", ["ij,ji->", "ij,ij->", "ij,jk->ik", "ij,jk->ki", "ij,kj->ik", "j,jk->k", "ij,j->i"])
@pytest.mark.parametrize("width", WIDTHS)
def test_products_of_shared_matrices(spec, width):
    """Of sizes that fit no tile."""
    first, second = spec.split("->")[0].split(",")
    lengths = {"i": 23, "j": 23 if "ji" in spec else 37, "k": 19}
    x, y = (pel.input(name, tuple(lengths[c] for c in letters), "float64", "shared")
            for name, letters in (("x", first), ("y", second)))  # fmt: skip
    rng = np.random.default_rng(0)
    arrays = {v.name: rng.normal(size=v.shape) for v in (x, y)}
    agree(pel.Program([x, y], {"out": ops.contract(x, y, spec)}), arrays, width=width, threads=2)
