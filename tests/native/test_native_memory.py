"""The plan of memory: values that are not needed at the same time share it, and nothing else does."""

from itertools import pairwise

import numpy as np
import pytest
from native_tools import LANES, agree

import pellucid as pel
from pellucid import nn, ops, optim
from pellucid.executors import native
from pellucid.executors.native.build.builder import Builder
from pellucid.executors.native.jit.target import host
from pellucid.executors.native.kernels import contraction_plan
from pellucid.executors.native.plan.buffer import BYTES, Buffer
from pellucid.executors.native.plan.memory import assign_slots, lifetimes
from pellucid.executors.native.runtime import workspace

random = np.random.default_rng(11)


def deep(depth: int, widths=(48,)):
    """A net of so many dense layers, their widths repeated over and over."""
    layers = [layer for k in range(depth - 1) for layer in (nn.Dense(widths[k % len(widths)]), nn.tanh)]
    return nn.Sequential(*layers, nn.Dense(10))


def data(n: int, width: int = 20):
    return random.normal(size=(n, width)).astype("float32"), np.arange(n) % 10


# ---- the rule ---------------------------------------------------------------------------------------------------


def buffers(kind, *sizes, dtype="float32"):
    return [Buffer(f"{kind} {size}", kind, size, dtype, number) for number, size in enumerate(sizes)]


def shared_places(phases, own, kept=()):
    """The plan as names, only of places that several have."""
    found = assign_slots(lifetimes(phases), own, kept)
    return [[own.index(b) for b in p.buffers] for p in found if len(p.buffers) > 1]


def test_samples_share_as_soon_as_one_is_needed_no_more():
    a, b, c, d = own = buffers("sample", 8, 8, 8, 8)
    chain = [({a}, True), ({a, b}, True), ({b, c}, True), ({c, d}, True)]
    assert shared_places([chain], own) == [[0, 2], [1, 3]]
    assert shared_places([chain], own, kept={a, b}) == []


def test_blocks_of_one_place_are_as_far_apart_for_all():
    """Else a thread that is ahead would write into the blocks of another."""
    a, b, c = own = [*buffers("sample", 7, 5), Buffer("c", "sample", 2, "float64", 2)]
    assert shared_places([[({a}, True), ({b}, True), ({c}, True)]], own) == [[0, 1, 2]]
    assert (a.stride, b.stride, c.stride) == (8, 8, 4)


def test_what_all_threads_read_is_needed_until_the_phase_ends():
    a, b = own = buffers("sample", 8, 8)
    first = [({a}, True)]
    assert shared_places([first, [({a}, True), ({b}, True)]], own) == [[0, 1]]
    assert shared_places([first, [({a}, False), ({b}, True)]], own) == []
    assert shared_places([first, [({a}, False)], [({b}, True)]], own) == [[0, 1]]


@pytest.mark.parametrize("kind", ["shared", "rows"])
@pytest.mark.parametrize("by_blocks", [True, False])
def test_shared_values_and_rows_share_across_phases_only(kind, by_blocks):
    a, b = own = buffers(kind, 8, 8)
    assert shared_places([[({a}, by_blocks), ({b}, by_blocks)]], own) == []
    assert shared_places([[({a}, by_blocks)], [({b}, by_blocks)]], own) == [[0, 1]]


def test_kinds_and_very_different_sizes_lie_apart():
    own = [*buffers("sample", 8, 100), *buffers("rows", 8), *buffers("shared", 8)]
    assert shared_places([[({b}, True)] for b in own], own) == []


# ---- programs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("widths", [(48,), (64, 48, 32)])
@pytest.mark.parametrize("alone", [False, True])
def test_memory_to_predict_does_not_grow_with_depth(widths, alone):
    taken, apart = set(), []
    for depth in (8, 20):
        model = pel.Model(deep(depth, widths), "cross_entropy", input_shape=(20,), executor="native")
        run = native.Run(model._program("predict", None))
        executable = run.executable.one_sample if alone else run.executable
        taken.add(sum(executable.bytes(p, 5) for p in executable.built.slots))
        apart.append(sum(executable.length(b, 5, b.size) * BYTES[b.dtype] for b in executable.built.scratch))
    assert len(taken) == 1 and apart[1] > 2 * apart[0] > 4 * taken.pop()


def jobs_in_place_order(builder):
    """For each place: what each of its buffers is used by, as (phase, nest, by blocks)."""
    for place in builder.built.slots:
        yield (
            place,
            [
                [
                    (p, k, job.by_blocks)
                    for p, jobs in enumerate(builder.jobs)
                    for k, job in enumerate(jobs)
                    if b in job.used
                ]
                for b in place.buffers
            ],
        )


def statistics(n_layers: int):
    """A program of several phases: each layer is normalized over the batch, so samples wait for shared values."""
    x = h = pel.input("x", (12,))
    for _ in range(n_layers):
        centered = h - ops.to_samples(ops.batch_mean(h))
        h = ops.tanh(centered / ops.sqrt(ops.to_samples(ops.batch_mean(centered * centered)) + 1e-3))
    w = pel.state("w", (6, 12))
    cost = ops.batch_sum(ops.sum(ops.tanh(ops.contract(w, h, "ij,j->i"))))
    return pel.Program([x], {"cost": cost}, {w: w - 0.01 * pel.grad(cost, w)})


@pytest.mark.parametrize("program", ["statistics", "step"])
def test_nothing_is_overwritten_while_it_is_needed(program):
    if program == "statistics":
        builder = Builder(native.Run(statistics(4)).executable.simplified, host())
    else:
        model = pel.Model(deep(6), "cross_entropy", optim.Adam(), input_shape=(20,), executor="native")
        model.fit(*data(LANES), verbose=0)
        run = next(run for (what, *_), run in model._runs.items() if what == "step")
        builder = Builder(run.executable.simplified, run.host)
    count = 0
    for place, uses in jobs_in_place_order(builder):
        for before, after in pairwise(uses):
            phase, nest, _ = max(before)
            later = min(after)
            assert (phase, nest) < later[:2]
            if phase == later[0]:  # no barrier between them: every thread keeps to its own blocks
                assert place.kind == "sample"
                assert all(by_blocks for p, _, by_blocks in before + after if p == phase)
            count += 1
        assert place.kind != "sample" or {b.stride * BYTES[b.dtype] for b in place.buffers} == {place.size}
    assert count >= 4


@pytest.mark.parametrize("all_rows_shared", [False, True])
def test_any_number_of_threads(all_rows_shared, monkeypatch):
    """The same bits, where threads share blocks of samples and where they share rows of the weights."""
    if all_rows_shared:
        monkeypatch.setenv("PELLUCID_CACHE", "")  # what is there was made for other sizes
        monkeypatch.setattr(contraction_plan, "SPLIT_BYTES", 0)
    n = 9 * LANES + 3
    x = h = pel.input("x", (24,))
    weights = [pel.state(f"w{k}", shape) for k, shape in enumerate([(40, 24), (48, 40), (32, 48), (8, 32)])]
    for w in weights:
        h = ops.tanh(ops.contract(w, h, "ij,j->i"))
    cost = ops.batch_sum(ops.sum(h * h))
    run = native.Run(pel.Program([x], {"cost": cost}, {w: w - 0.1 * pel.grad(cost, w) for w in weights}))
    start = {w.name: 0.3 * random.normal(size=w.shape).astype("float32") for w in weights}
    given = {"x": random.normal(size=(n, 24)).astype("float32")}
    agree(run.program, given, start, run=run)
    bits = []
    for run.threads in (1, 2, 3, 4) * 5:
        state = dict(start)
        run.steps(state, given, np.arange(20 * n) % n, 6 * LANES + 1)
        bits.append({name: a.tobytes() for name, a in state.items()})
    assert all(b == bits[0] for b in bits) and any(len(p.buffers) > 1 for p in run.built.slots)


@pytest.mark.parametrize("threads", [1, 3])
def test_what_was_in_memory_before_does_not_matter(threads, monkeypatch):
    """Each value is written before it is read: a step begins with memory that the one before has left."""
    empty = workspace.aligned

    def full(size, dtype):
        space = empty(size, dtype)
        space[:] = 255  # NaN in every float
        return space

    monkeypatch.setattr(workspace, "aligned", full)
    x = random.normal(size=(2 * LANES + 3, 12)).astype("float32")
    agree(statistics(4), {"x": x}, {"w": random.normal(size=(6, 12)).astype("float32")}, threads=threads)


def test_outputs_are_there_after_the_last_nest():
    """Values along a chain that are given out, and others between them that are not."""
    x = h = pel.input("x", (5,))
    outputs = {}
    for k in range(9):
        h = ops.tanh(ops.flip(h, 0) * 1.5)
        if k % 3 == 0:
            outputs[f"sample {k}"], outputs[f"shared {k}"] = h, ops.batch_sum(h)
    agree(pel.Program([x], outputs), {"x": random.normal(size=(3 * LANES, 5)).astype("float32")})


def test_batches_of_several_sizes():
    """Memory is laid out anew for another number of blocks; the last mini-batch has fewer."""
    x, y = data(7 * LANES + 5)
    models = [
        pel.Model(deep(4, (40, 24)), "cross_entropy", "adam", seed=3, executor=e) for e in ("native", "reference")
    ]
    for size in (LANES, 3 * LANES + 1, 2):
        losses = [m.fit(x, y, batch_size=size, epochs=1, shuffle=False, verbose=0)["loss"][-1] for m in models]
        assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    np.testing.assert_allclose(models[0].predict(x), models[1].predict(x), rtol=2e-2, atol=2e-3)
