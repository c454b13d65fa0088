"""Serving: what loading, one prediction and the example's server cost, as docs/serving.md says.

    python -m benchmarks.serving [--rounds 7] [--seconds 5]

Loading is compared with safetensors' own reading of the same file, in turn; latencies are of one process that does
nothing else. The server runs in a process of its own, its clients here, on the same processors.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import http.client
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

import pellucid as pel
from pellucid import nn
from pellucid.nn import zoo

ROOT = Path(__file__).parents[1]


def seconds(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def nets() -> dict[str, tuple[Any, tuple[int, ...]]]:
    """Nets and the shapes of their samples."""
    table = nn.Sequential(nn.Dense(128), nn.relu, nn.Dense(64), nn.relu, nn.Dense(2))
    return {"table, 20-128-64-2": (table, (20,)), "LeNet-5": (zoo.lenet5(size=28), (1, 28, 28))}


def loading(folder: Path, rounds: int) -> None:
    """`load` beside the reading of a file."""
    path = folder / "resnet.pel"
    pel.Model(zoo.resnet(18, 1000), "cross_entropy", input_shape=(3, 224, 224)).save(path)
    calls = {"pel.load": lambda: pel.load(path), "safetensors' load_file": lambda: load_file(path)}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            times[name].append(seconds(call))
    ours, theirs = (sorted(t[1:]) for t in times.values())
    print(f"ResNet-18, {path.stat().st_size / 1e6:.0f} MB: pel.load {1e3 * ours[0]:.0f} ms, {next(reversed(calls))} "
          f"{1e3 * theirs[0]:.0f} ms, ratio of medians {ours[rounds // 2] / theirs[rounds // 2]:.2f}")  # fmt: skip


def latencies() -> None:
    """One row after the other, and batches."""
    for name, (net, shape) in nets().items():
        model = pel.Model(net, "cross_entropy", input_shape=shape)
        model.warm((1, 32, 256))
        for n, calls in ((1, 20_000), (32, 3_000), (256, 600)):
            x = np.random.default_rng(0).normal(size=(n, *shape)).astype("float32")
            found = np.sort([seconds(lambda: model.predict(x)) for _ in range(calls)])  # noqa: B023
            p50, p99 = 1e6 * found[calls // 2], 1e6 * found[calls * 99 // 100]
            print(f"{name:<20} {n:>4} rows: p50 {p50:8.0f} us, p99 {p99:8.0f} us, {n / p50 * 1e6:10,.0f} rows/s")


def server(folder: Path, length: float) -> None:
    """The example under load: clients that each ask again as soon as they are answered."""
    for name, (net, shape) in nets().items():
        pel.Model(net, "cross_entropy", input_shape=shape).save(folder / "m.pel")
        command = [sys.executable, str(ROOT / "examples" / "serve.py"), str(folder / "m.pel"), "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        for clients in (1, 8):
            with concurrent.futures.ThreadPoolExecutor(clients) as pool:
                asked = [pool.submit(client, port, shape, length) for _ in range(clients)]
                found = np.sort(np.concatenate([job.result() for job in asked]))
            n = len(found)
            print(f"{name:<20} {clients} clients: {n / length:6.0f} requests/s, p50 {1e3 * found[n // 2]:.2f} ms, "
                  f"p99 {1e3 * found[n * 99 // 100]:.2f} ms")  # fmt: skip
        process.send_signal(signal.SIGTERM)
        process.communicate()


def client(port: int, shape: tuple[int, ...], length: float) -> list[float]:
    """The seconds of each request of one row."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = json.dumps({"rows": np.random.default_rng(0).normal(size=(1, *shape)).round(3).tolist()})
    found, end = [], time.perf_counter() + length

    def ask() -> None:
        connection.request("POST", "/predict", body)
        response = connection.getresponse()
        response.read()
        assert response.status == 200

    while time.perf_counter() < end:
        found.append(seconds(ask))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as there:
        loading(Path(there), given.rounds)
        latencies()
        server(Path(there), given.seconds)
