"""First fits with an empty cache of machine code, each in a new process; beside another version if asked.

`python -m benchmarks.cold [--against FOLDER] [--rounds 5] [NET ...]`, where FOLDER is the `src` of another checkout.
The two take turns, and the one that begins changes. Seconds of the clock, and of all processors together (user and
system), which on a machine that does other things too is the better measure.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
FITS = {  # net, samples, batch, epochs
    "64-64-10, one step": ("dense", 32, 32, 1),
    "64-64-10, 1792 rows, 20 epochs": ("dense", 1792, 32, 20),
    "20-128-64-2, one step": ("table", 256, 256, 1),
    "20-128-64-2, 5000 rows, 20 epochs": ("table", 5000, 256, 20),
    "LeNet-5, one step": ("lenet5", 64, 64, 1),
    "LeNet-5, 32 steps": ("lenet5", 2048, 64, 1),
    "ResNet-20, one step": ("resnet20", 64, 64, 1),
    "ResNet-20, 8 steps": ("resnet20", 512, 64, 1),
}


def fit(name: str) -> tuple[float, float]:
    """Seconds of the clock and of processors, from the making of a model to the end of its fit."""
    import pellucid as pel
    from pellucid import nn, optim
    from pellucid.nn import zoo

    kind, samples, batch, epochs = FITS[name]
    momentum = optim.SGD(0.01, momentum=0.9)
    shape, classes, net, optimizer = {
        "dense": ((64,), 10, lambda: nn.Sequential(nn.Dense(64), nn.relu, nn.Dense(10)), "adam"),
        "table": ((20,), 2, lambda: nn.Sequential(nn.Dense(128), nn.relu, nn.Dense(64), nn.relu, nn.Dense(2)), "adam"),
        "lenet5": ((1, 32, 32), 10, lambda: zoo.lenet5(modern=True), momentum),
        "resnet20": ((3, 32, 32), 10, lambda: zoo.resnet_cifar(20), momentum),
    }[kind]
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((samples, *shape), dtype=np.float32), rng.integers(0, classes, samples)
    clock, processors = time.perf_counter(), time.process_time()
    pel.Model(net(), "cross_entropy", optimizer, executor="native").fit(
        x, y, batch_size=batch, epochs=epochs, verbose=0
    )
    return time.perf_counter() - clock, time.process_time() - processors


def measured(name: str, source: Path) -> tuple[float, float]:
    """The same in a new process, of the package in a folder. Python may keep its bytecode, as where it is installed."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    path = os.pathsep.join([str(source), str(ROOT)])
    done = subprocess.run([sys.executable, "-m", "benchmarks.cold", "--fit", name], cwd=ROOT, capture_output=True,
                          env=kept | {"PELLUCID_CACHE": "", "PYTHONPATH": path}, text=True)  # fmt: skip
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["a fit failed"])[-1])
    clock, processors = done.stdout.split()[-2:]
    return float(clock), float(processors)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold", description=__doc__)
    parser.add_argument("fits", nargs="*", metavar="NET", help="some fits only, by the beginning of their names")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="the src folder of another checkout")
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    parser.add_argument("--fit", choices=FITS, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.fit:
        print(*fit(asked.fit))
        return
    sources = [*([asked.against.resolve()] if asked.against else []), ROOT / "src"]
    titles = ["before", "now", "before", "now", "now by before"] if asked.against else ["seconds", "of processors"]
    print(f"| first fit | {' | '.join(titles)} |\n|---|{'---|' * len(titles)}")
    for name in FITS:
        if asked.fits and not any(name.startswith(start) for start in asked.fits):
            continue
        found: dict[Path, list[tuple[float, float]]] = {source: [] for source in sources}
        for k in range(asked.rounds):
            for source in sources if k % 2 == 0 else sources[::-1]:
                found[source].append(measured(name, source))
        middle = [[statistics.median(times) for times in zip(*found[source], strict=True)] for source in sources]
        cells = [f"{seconds[which]:.2f}" for which in (0, 1) for seconds in middle]
        ratios = [f"{middle[1][which] / middle[0][which]:.2f}" for which in (0, 1)] if asked.against else []
        print(f"| {name} | {' | '.join([*cells, *([' / '.join(ratios)] if ratios else [])])} |", flush=True)


if __name__ == "__main__":
    main()
