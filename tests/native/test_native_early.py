"""Code that is compiled quickly, and used first: the same bits as fast code has, and when one follows the other."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from native_tools import LANES

import pellucid as pel
from pellucid import nn
from pellucid.executors import native
from pellucid.executors.native.jit import code as jit_code
from pellucid.executors.native.jit import target as jit_target
from pellucid.executors.native.runtime import early

RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    """Neither on disk nor in the process."""
    from pellucid.train import program_cache

    monkeypatch.setenv("PELLUCID_CACHE", "")
    program_cache.forget()
    yield
    program_cache.forget()


def residual(x):
    y = nn.Conv(8, 3, padding="same", bias=False)(x)
    return nn.relu(nn.BatchNorm()(y)) + nn.Conv(8, 1)(x)


NETS = {
    "one unit": ((67,), nn.Dense(1), "mse", lambda n: RNG.normal(size=(n, 1)).astype("f4")),
    "dense": ((20,), nn.Sequential(nn.Dense(37), nn.tanh, nn.Dropout(0.3), nn.Dense(25), nn.gelu, nn.Dense(3))),
    "normed": ((20,), nn.Sequential(nn.Dense(40), nn.BatchNorm(), nn.silu, nn.Dense(3))),
    "image": ((1, 14, 14), nn.Sequential(nn.Conv(6, 5), nn.relu, nn.MaxPool(2), nn.Conv(9, 2), nn.tanh,
                                         nn.AvgPool(2), nn.Flatten(), nn.Dense(3))),
    "strided": ((3, 9, 9), nn.Sequential(nn.Conv(25, 3, strides=2), nn.leaky_relu, nn.Flatten(), nn.Dense(3))),
    "winograd": ((24, 8, 8), nn.Sequential(nn.Conv(24, 3, padding="same"), nn.relu, nn.GlobalAvgPool(), nn.Dense(3))),
    "residual": ((3, 8, 8), nn.Sequential(residual, nn.GlobalAvgPool(), nn.Dense(3))),
    "lstm": ((9, 5), nn.Sequential(nn.LSTM(13), nn.Dense(3))),
}  # fmt: skip


def data(name, n):
    shape, _, *more = NETS[name]
    x = RNG.normal(size=(n, *shape)).astype("f4")
    return (x, more[1](n)) if more else (x, RNG.integers(0, 3, n))


def model_of(name, optimizer="adam", **options):
    _, net, *more = NETS[name]
    return pel.Model(net, more[0] if more else "cross_entropy", optimizer, seed=1, executor="native", **options)


def fitted(name, x, y, fast, epochs=2, **options):
    """A model after some epochs of one kind of code, and its first prediction."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(early, "WORK", 0 if fast else 1 << 60)
        patch.setattr(early, "NEST_WORK", 0)
        m = model_of(name, **options)
        m.fit(x, y, epochs=epochs, batch_size=24, verbose=0)
        return m, m.predict(x)


def bits(m):
    return {name: np.asarray(a).tobytes() for name, a in m.state.items()}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits(name, dtype):
    x, y = data(name, 67)  # a last batch that is smaller, and fills no vector
    x = x.astype(dtype)
    (fast, a), (quick, b) = (fitted(name, x, y, fast, dtype=dtype, threads=1) for fast in (True, False))
    assert bits(fast) == bits(quick)
    assert a.tobytes() == b.tobytes()
    assert fast.history["loss"] == quick.history["loss"]


@pytest.mark.parametrize("units", [1, 25])
def test_the_same_bits_from_any_number_of_threads(units):
    """Also where a thread has an odd number of blocks, and the last tile one row."""
    x, y = RNG.normal(size=(5 * LANES, 300)).astype("f4"), RNG.integers(0, 3, 5 * LANES)
    found = set()
    for threads in (1, 2, 3, 5):
        for limit in (0, 1 << 60):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(early, "WORK", limit)
                patch.setattr(early, "NEST_WORK", 0)
                net = nn.Sequential(nn.Dense(units), nn.tanh, nn.Dense(3))
                m = pel.Model(net, "cross_entropy", "sgd", threads=threads, seed=0, executor="native")
                m.fit(x, y, batch_size=len(x), epochs=2, verbose=0)
                found.add(tuple(bits(m).items()))
    assert len(found) == 1


# ---- one after the other ------------------------------------------------------------------------------------------


@pytest.fixture
def compiled(monkeypatch):
    """Whether what LLVM compiled was quick code, one program after the other."""
    found, before = [], jit_code.compile_all

    def noted(texts, h, threads):
        found.append(h.quick)
        return before(texts, h, threads)

    monkeypatch.setattr(jit_code, "compile_all", noted)
    return found


def work_of(name, x, y, epochs):
    """What `Early` counts for so many epochs of the step."""
    m = model_of(name)
    m.fit(x, y, batch_size=24, epochs=epochs, verbose=0)
    return m.programs.compiled("step", {"x": x, "y": y}).executable.early.done


def test_fast_code_follows_in_the_middle_of_a_fit(monkeypatch, compiled):
    x, y = data("one unit", 67)
    each = work_of("one unit", x, y, 4) // 4
    assert each > 0 and compiled == [True]
    monkeypatch.setattr(early, "NEST_WORK", 0)
    histories, ends, swaps = [], [], []
    for limit in (0, int(2.5 * each), 1 << 60):
        pel.train.program_cache.forget()
        compiled.clear()
        monkeypatch.setattr(early, "WORK", limit)
        m = model_of("one unit")
        h = m.fit(x, y, batch_size=24, epochs=5, verbose=0, callbacks=[pel.EarlyStopping("loss", patience=9)])
        histories.append(h["loss"])
        ends.append(bits(m))
        swaps.append(list(compiled))
    assert swaps == [[False], [True, False], [True]]
    assert histories[0] == histories[1] == histories[2]
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.parametrize("callbacks, expected", [([], [False]), ([pel.EarlyStopping("loss")], [True, False])])
def test_a_long_fit_has_fast_code_at_once(callbacks, expected, monkeypatch, compiled):
    """But where it may be over early, that is seen first."""
    x, y = data("one unit", 67)
    each = work_of("one unit", x, y, 1)
    compiled.clear()
    pel.train.program_cache.forget()
    monkeypatch.setattr(early, "WORK", 2 * each)
    monkeypatch.setattr(early, "NEST_WORK", 0)
    model_of("one unit").fit(x, y, batch_size=24, epochs=3, verbose=0, callbacks=callbacks)
    assert compiled == expected


def test_models_of_one_structure_count_together(monkeypatch, compiled):
    """Ten folds are not ten times slow."""
    x, y = data("one unit", 67)
    each = work_of("one unit", x, y, 1)
    compiled.clear()
    pel.train.program_cache.forget()
    monkeypatch.setattr(early, "WORK", int(2.5 * each))
    monkeypatch.setattr(early, "NEST_WORK", 0)
    for _ in range(4):
        model_of("one unit").fit(x, y, batch_size=24, epochs=1, verbose=0)
    assert compiled == [True, False]


def test_both_are_kept_apart_in_the_cache(tmp_path, monkeypatch, compiled):
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path))
    x, y = data("one unit", 67)
    for limit, expected in ((1 << 60, [True]), (1 << 60, []), (0, [False]), (1 << 60, []), (0, [])):
        pel.train.program_cache.forget()
        compiled.clear()
        monkeypatch.setattr(early, "WORK", limit)
        monkeypatch.setattr(early, "NEST_WORK", 0)
        m = model_of("one unit")
        m.fit(x, y, batch_size=24, epochs=1, verbose=0)
        assert compiled == expected
    assert (
        m.programs.compiled("step", {"x": x, "y": y}).executable.early.done == 0
    )  # where fast code is kept, it is used
    assert len(list(tmp_path.glob("*.o"))) == 2


@pytest.mark.parametrize("text, quick", [("0", False), ("1", True), ("", True)])
def test_it_can_be_turned_off(text, quick, monkeypatch, compiled):
    monkeypatch.setenv("PELLUCID_EARLY", text)
    x, y = data("one unit", 30)
    model_of("one unit").fit(x, y, epochs=1, verbose=0)
    assert compiled == [quick]


def test_a_wrong_setting(monkeypatch):
    monkeypatch.setenv("PELLUCID_EARLY", "yes")
    x, y = data("one unit", 30)
    with pytest.raises(pel.ArgumentError, match="PELLUCID_EARLY must be 0 or 1, got 'yes'"):
        model_of("one unit").fit(x, y, epochs=1, verbose=0)


def test_errors_are_the_same(monkeypatch):
    """A loss that is not finite, and a row outside its table: what is said, and the state that is left."""
    x, y = data("one unit", 67)
    x[50] = 1e30  # its square is infinite
    table = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Dense(3))
    found = []
    for limit in (0, 1 << 60):
        pel.train.program_cache.forget()
        monkeypatch.setattr(early, "WORK", limit)
        monkeypatch.setattr(early, "NEST_WORK", 0)
        m = model_of("one unit", "sgd")
        with pytest.raises(Exception) as first:
            m.fit(x, y, batch_size=24, epochs=2, verbose=0)
        other = pel.Model(table, "cross_entropy", seed=0, executor="native")
        with pytest.raises(Exception) as second:
            other.fit(np.full((30, 2), 7), RNG.integers(0, 1, 30), epochs=1, verbose=0)
        found.append((str(first.value), bits(m), type(second.value), str(second.value)))
    assert found[0] == found[1]


def test_dump_shows_the_fast_code(tmp_path, compiled):
    x, y = data("one unit", 67)
    m = model_of("one unit")
    m.fit(x, y, batch_size=24, epochs=1, verbose=0)
    m.dump(tmp_path)
    h = jit_target.host()
    assert f"{h.accumulators} vectors for a tile" in (tmp_path / "step" / "plan.txt").read_text()
    run = m.programs.compiled("step", {"x": x, "y": y})
    assert not run.host.quick and run.quick.host.quick
    assert native.Run(run.program).listing() == run.listing()


def test_warmed_models_have_fast_code(compiled):
    m = model_of("dense", input_shape=(20,))
    m.warm([1, 30])
    assert compiled == [False, False]
    m.predict(data("dense", 30)[0])
    assert compiled == [False, False]


def test_quick_code_is_let_go_by_all_when_fast_code_is_there(monkeypatch):
    x, y = data("one unit", 67)
    each = work_of("one unit", x, y, 1)
    pel.train.program_cache.forget()
    monkeypatch.setattr(early, "WORK", int(1.5 * each))
    monkeypatch.setattr(early, "NEST_WORK", 0)
    m = model_of("one unit")
    m.fit(x, y, batch_size=24, epochs=1, verbose=0)
    run = m.programs.compiled("step", {"x": x, "y": y})
    while not hasattr(run, "executable"):
        run = run.run
    quick = weakref.ref(run.quick)
    m.fit(x, y, batch_size=24, epochs=1, verbose=0)
    m.fit(x, y, batch_size=24, epochs=1, verbose=0)
    assert "function" in run.executable.__dict__ and "quick" not in run.__dict__ | run.executable.__dict__
    del run
    gc.collect()
    assert quick() is None
