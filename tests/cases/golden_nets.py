"""What the native engine makes of a dozen nets: plan, code and weights after three steps, for one fixed target.

`tests/native/test_golden.py` compares them with ``tests/golden/``. As a program: ``python tests/cases/golden_nets.py``
prints them as JSON for the target that PELLUCID_TARGET names; with ``--renew`` it writes those of all to the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import numpy as np

import pellucid as pel
from pellucid import nn, optim
from pellucid.executors import native
from pellucid.executors.native.runtime.dump import plan_text


class Case(NamedTuple):
    """A net with the shape of a sample; ``classes`` whole numbers below that are tokens; how it is trained or asked."""

    net: Callable[[], Any]
    shape: tuple[int, ...]
    outputs: int = 10
    tokens: int = 0  # samples are whole numbers below this
    optimizer: Any = optim.SGD(0.1, momentum=0.9)
    batch: int = 32
    threads: int = 1
    predicts: bool = False  # on one sample, with features in lanes


def conv(*layers: Any, head: int = 10) -> nn.Sequential:
    return nn.Sequential(*layers, nn.Flatten(), nn.Dense(head))


def residual_block() -> nn.Sequential:
    def half() -> tuple:
        return nn.Conv(8, 3, padding="same", bias=False), nn.BatchNorm()

    return conv(nn.Conv(8, 3, padding="same"), nn.Residual(nn.Sequential(*half(), nn.relu, *half())), nn.relu)


CASES = {
    "dense": Case(lambda: nn.Sequential(nn.Dense(48), nn.relu, nn.Dense(10)), (40,)),
    "large": Case(lambda: nn.Sequential(nn.Dense(256), nn.relu, nn.Dense(10)), (300,), optimizer=optim.Adam(1e-3)),
    "threads": Case(lambda: nn.Sequential(nn.Dense(512), nn.tanh, nn.Dense(10)), (600,), batch=64, threads=3),
    "conv": Case(
        lambda: conv(nn.Conv(6, 5, padding="same"), nn.tanh, nn.AvgPool(2), nn.Conv(8, 5), nn.tanh), (1, 12, 12)
    ),
    "strided": Case(
        lambda: conv(nn.Conv(8, 3, strides=2), nn.relu, nn.Conv(8, 3, strides=2, groups=2), nn.relu), (3, 15, 15)
    ),
    "winograd": Case(
        lambda: conv(nn.Conv(32, 3, padding="same"), nn.relu, nn.Conv(32, 3, padding="same"), nn.MaxPool(2)), (16, 8, 8)
    ),
    "resnet": Case(residual_block, (3, 8, 8)),
    "lstm": Case(
        lambda: nn.Sequential(nn.Embedding(11, 6), nn.LSTM(12, recurrent_init=nn.init.glorot_uniform), nn.Dense(11)),
        (7,),
        11,
        tokens=11,
        optimizer=optim.Adam(0.01),
    ),
    "transformer": Case(
        lambda: nn.Sequential(
            nn.Embedding(13, 16), nn.PositionalEncoding(), nn.TransformerBlock(2, 32), nn.GlobalAvgPool1D(), nn.Dense(5)
        ),
        (6,),
        5,
        tokens=13,
        optimizer=optim.AdamW(0.01),
    ),
    "embedding": Case(
        lambda: nn.Sequential(nn.Embedding(50, 8), nn.GlobalAvgPool1D(), nn.Dense(3)), (9,), 3, tokens=50
    ),
    "table": Case(
        lambda: nn.Sequential(nn.BatchNorm(), nn.Dense(24), nn.relu, nn.Dropout(0.2), nn.Dense(3)), (13,), 3, batch=30
    ),
    "one image": Case(
        lambda: conv(nn.Conv(6, 5), nn.tanh, nn.MaxPool(2), nn.Conv(16, 3), nn.relu), (1, 16, 16), predicts=True
    ),
    "one row": Case(lambda: nn.Sequential(nn.Dense(64), nn.relu, nn.Dense(10)), (30,), predicts=True),
}
STEPS = 3


def made(case: Case) -> dict[str, str]:
    """Plan, digest of the code's text, digest of the bits, of a net."""
    runs: list[native.Run] = []
    plain = native.compile

    def recording(program, threads=None):
        runs.append(plain(program, threads))
        return runs[-1]

    rng = np.random.default_rng(5)
    n = case.batch * STEPS - 3  # the last batch is partial
    x = rng.integers(0, case.tokens, (n, *case.shape)) if case.tokens else rng.normal(size=(n, *case.shape))
    native.compile = recording
    try:
        model = pel.Model(case.net(), "cross_entropy", case.optimizer, input_shape=case.shape, seed=3,
                          threads=case.threads, executor="native")  # fmt: skip
        if case.predicts:
            arrays = {"output": model.predict(x[:1].astype("float32"))}
            executable = runs[-1].executable.one_sample
        else:
            shape = model.predict(x[:2]).shape[1:-1]
            y = rng.integers(0, case.outputs, (n, *shape))
            model.fit(x, y, batch_size=case.batch, epochs=1, verbose=0)
            arrays = model.state
            executable = next(r for r in runs if r.program.updates).executable
    finally:
        native.compile = plain
    code = "\n".join(executable.built.modules())
    return {
        "plan": plan_text(executable, 1 if case.predicts else case.batch) + "\n",
        "code": sha(code.encode()),
        "bits": digest(arrays),
    }


def digest(arrays: dict[str, np.ndarray]) -> str:
    return sha(*(part for name in sorted(arrays) for part in (name.encode(), np.asarray(arrays[name]).tobytes())))


def sha(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


FOLDER = Path(__file__).resolve().parents[1] / "golden"
TARGETS = ("x86-64-v3", "x86-64-v4")
PLANNED = TARGETS[0]  # whose plans are kept as text


def of_target(target: str) -> dict[str, dict[str, str]]:
    """All cases for a target, made by a process of its own with nothing in its cache."""
    with tempfile.TemporaryDirectory() as cache:
        env = {k: v for k, v in os.environ.items() if not k.startswith("PELLUCID_")}
        env |= {"PELLUCID_TARGET": target, "PELLUCID_CACHE": cache, "PELLUCID_EARLY": "0"}
        done = subprocess.run([sys.executable, __file__], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def renew() -> None:
    """Write the plans, and the digests with the version of llvmlite, whose text of the code they are of."""
    digests: dict[str, Any] = {"llvmlite": llvmlite.__version__}
    for target in TARGETS:
        cases = of_target(target)
        digests[target] = {name: {k: case[k] for k in ("code", "bits")} for name, case in cases.items()}
        if target == PLANNED:
            for path in FOLDER.glob("*.plan.txt"):
                path.unlink()
            for name, case in cases.items():
                (FOLDER / f"{name.replace(' ', '-')}.plan.txt").write_text(case["plan"], encoding="utf-8")
    (FOLDER / "digests.json").write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--renew"]:
        renew()
    else:
        json.dump({name: made(case) for name, case in CASES.items()}, sys.stdout)
