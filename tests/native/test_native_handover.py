"""One sample on several threads: runs handed to workers in machine code, and the program made ready for them."""

import os
import threading
import time
import weakref

import numpy as np
import pytest
from test_native_machine import in_child, script, train, wide

import pellucid as pel
from pellucid import ops
from pellucid.executors import native
from pellucid.executors.native import abi
from pellucid.executors.native.plan.work import useful_threads
from pellucid.executors.native.runtime import handover, single_sample
from pellucid.executors.native.runtime.pool import Pool, Worker

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 96), dtype="float32")


def layers(threads=None, seed=0):
    """A net of one sample that has sums along memory, sums over few, and numbers of one thread; and its state."""
    x, w, v = pel.input("x", (96,)), pel.state("w", (130, 96)), pel.state("v", (10, 130))
    y = ops.softmax(ops.contract(v, ops.tanh(ops.contract(w, x, "ij,j->i")), "ij,j->i"))
    rng = np.random.default_rng(seed)
    state = {"w": rng.standard_normal((130, 96), dtype="float32"), "v": rng.standard_normal((10, 130), dtype="float32")}
    return native.Run(pel.Program([x], {"y": y}), threads), state


def outputs(run, state) -> list[bytes]:
    return [run(state, {"x": X[i : i + 1]})["y"].tobytes() for i in range(len(X))]


@pytest.fixture
def shared(monkeypatch):
    """Every program is worth four threads, and there are four processors; gives the numbers of threads that ran."""
    monkeypatch.setattr(single_sample, "useful_threads", lambda work, weights: 4)
    monkeypatch.setattr(single_sample, "processors", lambda: 4)
    ran = []
    whole = Pool.hand_over

    def counted(*arguments, **named):
        ran.append(whole(*arguments, **named))
        return ran[-1]

    monkeypatch.setattr(Pool, "hand_over", counted)
    monkeypatch.setattr(Pool, "crowded", 0.0)
    yield ran
    monkeypatch.undo()


@pytest.fixture
def patient(monkeypatch):
    """Callers and workers that wait longer than another program takes the processors away."""
    monkeypatch.setattr(handover, "PATIENCE", 1_000_000_000)
    monkeypatch.setattr(handover, "LINGER", 300_000_000)
    handover.functions.cache_clear()
    Pool.forget()
    yield
    handover.functions.cache_clear()
    Pool.forget()


def until(condition, seconds=20) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    return condition()


# ---- the same bits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_every_number_of_threads_gives_the_same_bits(threads, shared, patient):
    alone, state = layers(1)
    expected = outputs(alone, state)
    assert not shared  # one thread asks nobody
    several, _ = layers(threads)
    assert until(lambda: outputs(several, state) == expected and threads in shared)
    assert max(shared) == threads
    reference = pel.executors.get("reference").compile(several.program)(state, {"x": X[:1]})["y"]
    np.testing.assert_allclose(several(state, {"x": X[:1]})["y"], reference, rtol=1e-4)


def test_several_threads_of_python_at_once(shared):
    """Each with its own program, and one that trains: nobody gets another's numbers, and nobody waits for ever."""
    runs = [layers(seed=k) for k in range(4)]
    expected = [outputs(native.Run(run.program, 1), state) for run, state in runs]
    trained = train(wide(2))
    end, wrong, done = time.monotonic() + 2, [], [0] * 5

    def predict(k):
        while time.monotonic() < end:
            if outputs(*runs[k]) != expected[k]:
                wrong.append(k)
            done[k] += 1

    def fit():
        while time.monotonic() < end:
            if train(wide(2)) != trained:
                wrong.append("train")
            done[4] += 1

    for callers in ([0], [0, 1], [0, 1, 2, 3]):
        end = time.monotonic() + 1
        threads = [threading.Thread(target=predict, args=(k,)) for k in callers] + [threading.Thread(target=fit)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        assert not any(t.is_alive() for t in threads)
    assert not wrong and all(done)


def test_one_program_in_several_threads_of_python(shared):
    run, state = layers()
    expected, found = outputs(native.Run(run.program, 1), state), []
    threads = [threading.Thread(target=lambda: found.append(outputs(run, state))) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert found == [expected] * 6


# ---- who takes part ---------------------------------------------------------------------------------------------


def handed(threads, least):
    """A run by hand: what `hand_over` gave, and what it said of the threads."""
    run, state = layers(1)
    expected = run(state, {"x": X[:1]})["y"].tobytes()
    ready = run.single_sample
    held = ready._find(state)  # noqa: F841  (addresses of it are used)
    memory = next(iter(ready.outputs.values()))
    memory[...] = 0
    ran = Pool.hand_over(ready.function, *ready.addresses, threads, least)
    return ran, int(ready.info[abi.THREADS]), memory.tobytes() == expected


def test_a_worker_without_a_processor_is_not_waited_for(monkeypatch):
    Pool.forget()
    Pool.boxes[0, handover.STATE] = handover.WAITING  # and nobody looks into it
    Pool.count = 1
    start = time.monotonic()
    assert handed(2, 1) == (1, 1, True)
    assert Pool.boxes[0, handover.STATE] == handover.WAITING and time.monotonic() - start < 5
    assert handed(2, 2) == (0, 2, False)  # not computed; threads are as they were for who does it another way
    Pool.forget()


def test_nobody_there():
    Pool.forget()
    assert handed(3, 1) == (1, 1, True) and handed(3, 3) == (0, 3, False)


def test_a_worker_lingers_a_while_and_is_there_again(patient):
    worker = Pool._worker()
    for _ in range(3):
        worker.put(lambda: None, linger=True)
        assert until(lambda: worker.box[handover.STATE] == handover.WAITING)
        assert handed(2, 2) == (2, 2, True)
        assert until(lambda: worker.box[handover.STATE] == handover.ASLEEP)


def test_the_queue_calls_a_worker_that_lingers(monkeypatch):
    monkeypatch.setattr(handover, "LINGER", 60_000_000_000)
    handover.functions.cache_clear()
    try:
        worker, done = Worker(np.zeros(handover.BOX, np.int64)), threading.Event()
        worker.put(lambda: None, linger=True)
        assert until(lambda: worker.box[handover.STATE] == handover.WAITING)
        worker.put(done.set, linger=False)
        assert done.wait(20) and until(lambda: worker.tasks.empty())
        assert worker.box[handover.STATE] == handover.ASLEEP
    finally:
        handover.functions.cache_clear()


def test_runs_apart_from_each_other_call_nobody(shared):
    Pool.forget()
    run, state = layers()
    for _ in range(5):
        run(state, {"x": X[:1]})
        time.sleep(0.01)
    assert not Pool.count and set(shared) == {1}


def test_nobody_spins_when_all_is_done(shared):
    run, state = layers()
    assert until(lambda: outputs(run, state) and Pool.count)
    time.sleep(0.05)
    used = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - used < 0.1
    assert (Pool.boxes[:, handover.STATE] == handover.ASLEEP).all()


def test_small_programs_are_for_one_thread():
    assert useful_threads(2 * 8 + 8 * 8 + 8 * 2, 4 * 96) == 1
    assert useful_threads(784 * 10, 4 * 784 * 10) == 1
    assert useful_threads(784 * 1024, 4 * 784 * 1024) >= 4


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs sched_setaffinity")
def test_one_processor_is_shared_with_nobody(monkeypatch):
    monkeypatch.setattr(single_sample, "useful_threads", lambda work, weights: 4)
    allowed = os.sched_getaffinity(0)
    Pool.forget()
    os.sched_setaffinity(0, {min(allowed)})
    try:
        run, state = layers(4)
        for _ in range(20):
            outputs(run, state)
        assert not Pool.count
    finally:
        os.sched_setaffinity(0, allowed)


# ---- processes --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_workers_linger(shared, patient):
    run, state = layers()
    expected = outputs(native.Run(run.program, 1), state)
    assert until(lambda: outputs(run, state) == expected and max(shared) > 1)

    def child():
        assert not Pool.count  # the parent's workers are not here
        shared.clear()
        assert until(lambda: outputs(run, state) == expected and max(shared) > 1)

    assert all(in_child(child) for _ in range(5))
    assert outputs(run, state) == expected


LEAVING = """
    import sys, threading, numpy as np, pellucid as pel
    from pellucid import nn
    model = pel.Model(nn.Sequential(nn.Dense(600), nn.relu, nn.Dense(10)), "cross_entropy", input_shape=(784,))
    x = np.ones((1, 784), "float32")
    def predict(n):
        for _ in range(n):
            model.predict(x)
    if sys.argv[1] == "daemon":
        threading.Thread(target=predict, args=(10**9,), daemon=True).start()
    predict(300)
    print("done")
"""


@pytest.mark.parametrize("how", ["plain", "daemon"])
def test_the_process_ends_while_workers_linger(how):
    text = LEAVING.replace("sys.argv[1]", repr(how))
    for _ in range(3):
        running = [script(text) for _ in range(2)]
        for p in running:
            out, err = p.communicate(timeout=120)
            assert (p.returncode, out, err) == (0, "done\n", "")


# ---- what is kept between two runs ------------------------------------------------------------------------------


def test_state_that_changes_between_runs():
    run, state = layers()
    reference = pel.executors.get("reference").compile(run.program)

    def check():
        got, expected = run(state, {"x": X[:1]})["y"], reference(state, {"x": X[:1]})["y"]
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=1e-6)
        return got.tobytes()

    seen = {check()}
    state["w"] *= 0.5  # in place
    seen.add(check())
    state["w"] = state["w"] * 0.5  # another array
    seen.add(check())
    state["w"] = np.asfortranarray(state["w"] * 0.5)  # another order, which needs a copy each time
    seen.add(check())
    state["w"][3] = 0
    seen.add(check())
    state["w"] = state["w"].astype("float64") * 0.5  # another dtype
    seen.add(check())
    state["w"] = (np.ascontiguousarray(state["w"]) * 0.5).tolist()
    seen.add(check())
    assert len(seen) == 7
    with pytest.raises(pel.GraphError, match=r"state 'w' .* is missing"):
        run({"v": state["v"]}, {"x": X[:1]})
    with pytest.raises(pel.GraphError, match="state 'w' has shape"):
        run(state | {"w": np.zeros((130, 95))}, {"x": X[:1]})
    check()


def test_memory_of_a_known_array_cannot_move():
    run, state = layers()
    run(state, {"x": X[:1]})
    with pytest.raises(ValueError, match="resize"):
        state["w"].resize((5, 5), refcheck=False)


def test_results_are_the_callers():
    run, state = layers()
    x = X[:1].copy()
    first = run(state, {"x": x})["y"]
    kept = first.copy()
    x[...] = 0
    run(state, {"x": x})
    np.testing.assert_array_equal(first, kept)
    assert first.flags.owndata and first.flags.writeable


def test_an_array_that_is_let_go_is_not_kept():
    run, state = layers()
    run(state, {"x": X[:1]})
    known = weakref.ref(state["w"])
    state["w"] = state["w"] * 2
    assert known() is None


def test_an_error_does_not_stay():
    table, rows = pel.state("table", (5, 3)), pel.input("rows", (2,), "int32")
    run = native.Run(pel.Program([rows], {"y": ops.take(table, rows)}))
    state = {"table": np.arange(15, dtype="float32").reshape(5, 3)}
    for _ in range(2):
        with pytest.raises(IndexError):
            run(state, {"rows": np.array([[1, 7]])})
        assert run(state, {"rows": np.array([[1, 4]])})["y"].tolist() == [[[3, 4, 5], [12, 13, 14]]]


@pytest.mark.parametrize("x", [X[:1].astype("float64"), X[:1, ::-1][:, ::-1], X[:1].tolist(), X[19:]])
def test_inputs_as_they_come(x):
    run, state = layers()
    expected = run(state, {"x": np.array(x, "float32")})["y"]
    np.testing.assert_array_equal(run(state, {"x": x})["y"], expected)
