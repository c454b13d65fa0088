"""A fit on a memory map reads it where it lies: neither a split, a check, nor the doctor makes a copy of it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROWS = 32_000  # of 784 float32: 100 MB
MEASURED = """
import sys, threading, time
import numpy as np
import pellucid as pel
from pellucid import nn

def anonymous():  # memory of the process's own, MB; pages of the file are not
    with open("/proc/self/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Anonymous")) / 1024

def fit(x, y, **options):
    model = pel.Model(nn.Sequential(nn.Dense(16), nn.relu, nn.Dense(10)), "cross_entropy", metrics=["accuracy"])
    model.fit(x, y, epochs=1, batch_size=100, verbose=0, **options)
    return model

what, path = sys.argv[1:]
x = np.load(path, mmap_mode="r")
y = np.arange(len(x)) % 10
options = {
    "nothing": {},
    "split": {"validation_split": 0.2},
    "doctor": {"validation_split": 0.2, "callbacks": [pel.train.doctor.Doctor()]},
    "checkpoint": {"validation_split": 0.2, "callbacks": [pel.Checkpoint(path + ".d"), pel.AverageWeights()]},
    "rules": {"validation_split": 0.2, "callbacks": [pel.stopping.GradientNorm(1e-9)]},
    "augment": {"validation_split": 0.2, "augment": lambda x, rows, seed, epoch: x},
}[what.partition(" ")[0]]
fit(np.array(x[:500]), y[:500])  # everything is imported and compiled
if what == "doctor":
    import warnings
    warnings.simplefilter("ignore")
    fit(np.array(x[:500]), y[:500], **options)
before, most, done = anonymous(), 0.0, False

def watch():
    global most
    while not done:
        most = max(most, anonymous())
        time.sleep(0.002)

watcher = threading.Thread(target=watch)
watcher.start()
fit(x, y, **options)
if what == "doctor":
    fit(x, y).diagnose(x, y)
done = True
watcher.join()
print(most - before)
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("map") / "x.npy"
    x = np.lib.format.open_memmap(path, "w+", "float32", (ROWS, 784))
    rng = np.random.default_rng(0)
    for start in range(0, ROWS, 1000):
        x[start : start + 1000] = rng.normal(size=(1000, 784))
    x.flush()
    return path


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="asks Linux how much memory there is")
@pytest.mark.parametrize("what", ["split", "doctor", "checkpoint", "rules"])
def test_no_copy_of_a_memory_map(what, path):
    """100 MB; a copy of the validation samples alone would be 20, of bytes that say what is finite 25."""
    run = subprocess.run([sys.executable, "-c", MEASURED, what, str(path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    # what the doctor looks at takes 43 to 51 by itself, so that with such a copy it would be 63 at least
    assert float(run.stdout.split()[-1]) < (60 if what == "doctor" else 15)
