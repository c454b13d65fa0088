"""A model in production: threads, forks, memory, the log, code made ahead of time, the example's server under load."""

import concurrent.futures
import http.client
import importlib.util
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from click.testing import CliRunner

import pellucid as pel
from conftest import ROOT
from pellucid import nn
from pellucid.cli import cli

RNG = np.random.default_rng(0)


def a_model(**options) -> pel.Model:
    net = nn.Sequential(nn.Dense(32), nn.relu, nn.Dense(16), nn.tanh, nn.Dense(3))
    return pel.Model(net, "cross_entropy", input_shape=(8,), **options)


X = RNG.normal(size=(300, 8)).astype("float32")


# ---- threads, forks, memory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [None, 1])
def test_many_threads_that_predict_with_one_model_get_the_same_bits(threads):
    """Rows and batches at once, while code is compiled and memory grows and shrinks."""
    model, sizes = a_model(threads=threads), (1, 2, 7, 64, 300, 1, 33)
    alone = a_model()
    alone.state = dict(model.state)
    expected = {n: alone.predict(X[:n]) for n in sizes}
    start = threading.Barrier(8)

    def ask(k: int) -> bool:
        start.wait()
        order = np.random.default_rng(k).permutation(np.repeat(sizes, 20))
        return all((model.predict(X[:n]) == expected[n]).all() for n in order)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))


def in_child(model, expected, one, queue) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        same = [bool((p == expected).all()) for p in pool.map(model.predict, [X] * 8)]
    queue.put([*same, bool((model.predict(X[:1]) == one).all())])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_forked_processes_get_the_same_bits_while_the_parent_predicts():
    model = a_model()
    expected, one, done = model.predict(X), model.predict(X[:1]), threading.Event()

    def busy() -> None:
        while not done.is_set():
            model.predict(X)

    thread = threading.Thread(target=busy)
    thread.start()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [context.Process(target=in_child, args=(model, expected, one, queue)) for _ in range(3)]
    try:
        for child in children:
            child.start()
        found = [queue.get(timeout=60) for _ in children]
        for child in children:
            child.join(60)
    finally:
        done.set()
        thread.join()
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert found == [[True] * 9] * 3


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_memory_does_not_grow_over_10_000_predictions():
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    model = a_model()
    rows, batches = [X[i : i + 1] for i in range(300)], [X[:n] for n in (2, 50, 300)]
    for k in range(12_000):
        if k == 2_000:
            before = resident()
        model.predict(rows[k % 300] if k % 4 else batches[k // 4 % 3])
    assert resident() - before < 1 << 20


# ---- the log --------------------------------------------------------------------------------------------------------


def test_what_happens_is_logged_and_nothing_is_shown_unasked(caplog, tmp_path, monkeypatch):
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path / "cache"))
    caplog.set_level(logging.DEBUG, "pellucid")
    net = nn.Sequential(nn.Dense(7), nn.relu, nn.Dense(3))
    model = pel.Model(net, "cross_entropy", "adam", executor="native")
    keeper = pel.Checkpoint(tmp_path / "kept")
    model.fit(X, np.arange(300) % 3, epochs=2, verbose=0, callbacks=[keeper])
    model.save(tmp_path / "m.pel")
    pel.load(tmp_path / "m.pel")
    text = caplog.text
    for event in (r"not in the cache, compiled in", "fit: 300 samples, 10 steps an epoch, epochs 1 to 2",
                  "fit: epoch 2, {'loss'", "fit: ended after 2 epochs, as asked", "m.pel, ", "loaded "):  # fmt: skip
        assert event in text, event
    assert text.count(".pel, ") >= 3  # checkpoints, and the model
    caplog.clear()
    with pytest.raises(pel.DivergedError):
        pel.Model(net, "cross_entropy", pel.optim.SGD(1e30)).fit(X, np.arange(300) % 3, epochs=3, verbose=0)
    assert [r.levelname for r in caplog.records if "DivergedError" in r.getMessage()] == ["WARNING"]


def test_without_being_asked_nothing_is_printed():
    code = ("import numpy as np, pellucid as pel, logging; from pellucid import nn\n"
            "m = pel.Model(nn.Dense(2), 'mse', pel.optim.SGD(1e30)); x = np.ones((40, 3))\n"
            "try: m.fit(x, x[:, :2], epochs=9, verbose=0)\n"
            "except pel.DivergedError: print(logging.getLogger('pellucid').handlers)")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[<NullHandler (NOTSET)>]" and not done.stderr


# ---- code made ahead of time ----------------------------------------------------------------------------------------

FRESH = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, format="%(message)s", stream=sys.stdout)
import numpy as np, pellucid as pel
model = pel.load(sys.argv[1])
one = model.predict(np.ones((1, 8), "float32"))
model.predict(np.ones((100, 8), "float32"))
print(one[0, 0])
"""


def fresh(path, cache, **more) -> str:
    """What a new process logs that predicts a row and a batch."""
    env = os.environ | {"PELLUCID_CACHE": str(cache)} | more
    return subprocess.run(
        [sys.executable, "-c", FRESH, path], capture_output=True, text=True, env=env, check=True
    ).stdout


def warmed(path, cache, monkeypatch, *args, **env):
    for name, value in ({"PELLUCID_CACHE": str(cache)} | env).items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-c", "from pellucid.cli import main; main()", "cache", "--warm", str(path), *args]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_first_request_finds_its_code(tmp_path, monkeypatch):
    """Of a row and of a batch; without warming both are compiled."""
    a_model().save(tmp_path / "m.pel")
    assert fresh(tmp_path / "m.pel", tmp_path / "cold").count("compiled in") >= 2
    done = warmed(tmp_path / "m.pel", tmp_path / "warm", monkeypatch)
    assert done.returncode == 0 and "1 row at a time" in done.stdout and "256 rows at a time" in done.stdout
    assert " new entries in " in done.stdout
    log = fresh(tmp_path / "m.pel", tmp_path / "warm")
    assert "compiled in" not in log and "from the cache" in log
    assert "0 new entries" in warmed(tmp_path / "m.pel", tmp_path / "warm", monkeypatch, "--batch", "5").stdout


def test_code_for_a_target_that_many_machines_have(tmp_path, monkeypatch):
    """It is kept apart from this processor's, found again under the same name, and free of what others lack."""
    from pellucid.executors.native.llvm import features as target

    a_model().save(tmp_path / "m.pel")
    there = [name for name, needs in target.TARGETS.items() if all(target.features().get(n) for n in needs)]
    if not there:
        pytest.skip("this processor has none of the targets")
    done = warmed(tmp_path / "m.pel", tmp_path / "warm", monkeypatch, PELLUCID_TARGET=there[0])
    assert f"for {there[0]}" in done.stdout
    log = fresh(tmp_path / "m.pel", tmp_path / "warm", PELLUCID_TARGET=there[0])
    assert "compiled in" not in log
    own = fresh(tmp_path / "m.pel", tmp_path / "warm", PELLUCID_TARGET="")
    assert "compiled in" in own
    assert float(log.split()[-1]) == pytest.approx(float(own.split()[-1]), rel=1e-5)
    code = ("import sys, pellucid as pel; pel.load(sys.argv[1]).dump(sys.argv[2])")  # fmt: skip
    env = os.environ | {"PELLUCID_TARGET": there[0]}
    subprocess.run([sys.executable, "-c", code, tmp_path / "m.pel", tmp_path / "dump"], env=env, check=True)
    assembly = "".join(f.read_text() for f in (tmp_path / "dump").rglob("*") if f.is_file())
    assert there[0] in assembly
    if there[0] == "x86-64-v3":
        assert "zmm" not in assembly and "ymm" in assembly


def test_targets_that_cannot_be(monkeypatch):
    from pellucid.executors.native.llvm import features as target

    monkeypatch.setenv("PELLUCID_TARGET", "pdp-11")
    with pytest.raises(pel.GraphError, match=r"PELLUCID_TARGET must be .* on this machine, got 'pdp-11'"):
        target.asked()
    monkeypatch.setitem(target.TARGETS, "pdp-11", ("octal",))
    with pytest.raises(pel.GraphError, match="this processor lacks octal; name one that all machines have"):
        target.asked()
    monkeypatch.setenv("PELLUCID_TARGET", "native")
    assert target.asked() == ""


def test_warming_that_cannot_be(tmp_path, monkeypatch):
    a_model().save(tmp_path / "m.pel")

    def fails(*args, text):
        done = CliRunner().invoke(cli, ["cache", *map(str, args)])
        assert done.exit_code == 2 and text in done.stderr, done.output

    fails("--clear", "--warm", tmp_path / "m.pel", text="give one of them")
    fails("--batch", 3, text="--batch goes with --warm MODEL")
    fails("--warm", tmp_path / "none.pel", text="there is no model file")
    fails("--warm", tmp_path / "m.pel", "--batch", 0, text="0 is not in the range")
    for wrong in (0, -1, 2.5, True, "1"):
        with pytest.raises(pel.ArgumentError, match=r"whole number >= 1, got .*; they are numbers of rows"):
            a_model().warm([wrong])
        with pytest.raises(pel.ArgumentError, match=r"whole number >= 1, got .*; they are numbers of rows"):
            a_model().warm(wrong)
    assert list(a_model().warm(4)) == list(a_model().warm(np.int64(4))) == [4]
    with pytest.raises(pel.GraphError, match="no weights yet"):
        pel.Model(nn.Dense(1), "mse").warm()


# ---- the example's server -------------------------------------------------------------------------------------------


class Client:
    """A connection that is kept."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __call__(self, content, path: str = "/predict"):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.connection.request("POST", path, body)
        return self.answer()

    def get(self, path: str):
        self.connection.request("GET", path)
        return self.answer()

    def answer(self):
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.fixture
def served(tmp_path):
    """Starts the server with a model and gives its process and port."""
    running = []

    def start(model):
        model.save(tmp_path / "m.pel")
        command = [sys.executable, str(ROOT / "examples" / "serve.py"), str(tmp_path / "m.pel"), "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process, int(process.stdout.readline().rsplit(":", 1)[1])

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_the_server_answers_many_at_once_and_stops_cleanly(served):
    model = a_model()
    process, port = served(model)
    expected = model.predict(X[:40]).tolist()
    one = [model.predict(X[i : i + 1]).tolist() for i in range(40)]

    def ask(k: int) -> int:
        client = Client(port)
        for i in range(50):
            row = (k + i) % 40
            if i % 10 == 9:
                assert client({"rows": X[:40].tolist()}) == (200, {"predictions": expected})
            elif i % 10 == 5:
                status, found = client({"rows": [[1, 2]]})
                assert status == 400 and "8" in found["error"]
            else:
                assert client({"rows": X[row : row + 1].tolist()}) == (200, {"predictions": one[row]})
        return i + 1

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 400
        idle = Client(port)
        assert idle.get("/health")[0] == 200
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "stopped\n", "")
    assert time.monotonic() - start < 10  # though a client is connected
    with pytest.raises(OSError, match="refused"):
        Client(port).get("/health")


def test_a_server_that_cannot_begin_says_why_in_a_line(tmp_path):
    a_model().save(tmp_path / "m.pel")
    for args, text in (
        (["none.pel"], "there is no model file 'none.pel'"),
        ([tmp_path / "m.pel", "--port", "99999"], "port"),
    ):
        command = [sys.executable, ROOT / "examples" / "serve.py", *args]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.startswith("error: ") and text in done.stderr
        assert done.stderr.count("\n") == 1


def test_what_cannot_be_answered_is_said(served):
    _, port = served(a_model())
    client = Client(port)
    assert client.get("/health")[1]["inputs"] == {"x": {"shape": [8], "dtype": "float32"}}
    bad = {
        b"{": "not JSON",
        b"[" * 100_000: "not JSON",
        b"[]": "must be",
        b'{"rows": []}': "one row or more",
        b'{"rows": [[NaN, 1, 2, 3, 4, 5, 6, 7]]}': "x has nan in row 0, column 0: fill it",
        b'{"rows": [[1, 2], [3]]}': "x",
        b'{"rows": [["a", 1, 2, 3, 4, 5, 6, 7]]}': "x",
        b'{"rows": {"a": [1]}}': "x",
        b'{"rows": [[1, 2, 3]]}': "8",
    }
    for body, text in bad.items():
        status, found = client(body)
        assert status == 400 and text in found["error"], (body[:40], status, found)
    for method, status in (("PUT", 501), ("BREW", 501)):
        client.connection.request(method, "/predict", b"{}")
        assert client.answer()[0] == status
    assert client.get("/")[0] == client({"rows": [[1] * 8]}, "/other")[0] == 404
    client.connection.putrequest("POST", "/predict")
    client.connection.endheaders()
    assert client.answer()[0] == 411
    client.connection.putrequest("POST", "/predict")
    client.connection.putheader("Content-Length", str(1 << 40))
    client.connection.endheaders()
    assert client.answer()[0] == 413
    assert Client(port)({"rows": [[1] * 8]})[0] == 200


def the_example():
    spec = importlib.util.spec_from_file_location("serve", ROOT / "examples" / "serve.py")
    serve = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(serve)
    return serve


def test_one_output_is_the_probability_of_the_second_class(tmp_path):
    model = pel.Model(nn.Dense(1), "binary_cross_entropy", input_shape=(1,))
    model.set_parameters({"weight": [[9.0]], "bias": [0.0]})
    model.notes["class_names"] = ["no", "yes"]
    model.save(tmp_path / "m.pel")
    found = the_example().Predictor(str(tmp_path / "m.pel"))([[-0.5], [0.5]])
    assert found["predictions"][0][0] < 0.1 and found["predictions"][1][0] > 0.9
    assert found["classes"] == ["no", "yes"]


def test_a_table_is_served_by_the_names_of_its_columns():
    serve = the_example()
    predict = serve.Predictor(str(ROOT / "tests" / "data" / "format-2-table.pel"))
    rows = [
        {"age": None, "colour": None, "born": None, "what": "blue car 0"},
        {"what": "blue roof 1", "born": "2012-11-22", "age": 37, "colour": "blue", "other": 1},
        {"age": 70, "colour": "green", "born": "1994-08-15", "what": "blue car 2"},
    ]
    found = predict(rows)
    then = [[0.41947, 0.58053], [0.320209, 0.679791], [0.578638, 0.421362]]
    np.testing.assert_allclose(found["predictions"], then, atol=2e-6)
    assert found["classes"] == ["young", "young", "old"] and found["names"] == ["old", "young"]
    assert predict.takes() == {"columns": ["age", "colour", "born", "what"]}
    for wrong, text in (([[1, 2, 3, 4]], "each row is an object"), ([{"age": 3}], "no row has the column 'colour'")):
        with pytest.raises(serve.Bad, match=text):
            predict(wrong)
    with pytest.raises(pel.DataError, match="age"):
        predict([rows[1] | {"age": "old"}])
    with pytest.raises(pel.DataError, match="'age' holds a number beyond those of float64"):
        predict([rows[1] | {"age": 10**400}])


def test_a_series_is_served_in_its_own_units():
    serve = the_example()
    path = ROOT / "tests" / "data" / "format-3-series.pel"
    predict = serve.Predictor(str(path))
    window = [99.5, 110.1, 104.0, 98.5, 101.0, 97.0]
    assert predict.takes() == {"window": 6, "horizon": 1}
    found = predict([window, window])["predictions"]
    ahead = pel.sklearn.restore(pel.load(path)).forecast(window, 1)
    np.testing.assert_allclose(found, [ahead[0]] * 2, rtol=1e-5)
    assert 50 < found[0] < 200
    for wrong in ([window[:5]], [{"Sales": 1.0}], {"x": [window]}):
        with pytest.raises(serve.Bad, match="the last 6 values, the oldest first"):
            predict(wrong)
    for value in ("a", None, [1.0], 1e999):
        with pytest.raises(serve.Bad, match="must be finite numbers"):
            predict([[value, *window[1:]]])
    with pytest.raises(pel.DataError, match="holds no series"):
        pel.sklearn.restore(pel.load(ROOT / "tests" / "data" / "format-3.pel"))
