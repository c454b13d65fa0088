"""The plans, the code and the bits of a dozen nets are what they were; see `golden_nets.py` in tests/cases.

Where a change is meant, ``python tests/cases/golden_nets.py --renew`` writes them anew, and the diff shows it.
"""

import difflib
import functools
import json

import golden_nets
import llvmlite
import pytest

from pellucid import GraphError
from pellucid.executors.native.llvm import features as native_target

RENEW = "if this is meant: python tests/cases/golden_nets.py --renew"
DIGESTS = json.loads((golden_nets.FOLDER / "digests.json").read_text(encoding="utf-8"))


@functools.cache
def made(target: str) -> dict:
    return golden_nets.of_target(target)


@pytest.fixture(params=golden_nets.TARGETS)
def target(request, monkeypatch) -> str:
    """A target that this machine can run."""
    monkeypatch.setenv("PELLUCID_TARGET", request.param)
    try:
        native_target.asked()
    except GraphError as error:
        pytest.skip(f"needs a processor that runs {request.param}: {error}")
    return request.param


@pytest.mark.parametrize("name", golden_nets.CASES)
def test_bits(target, name):
    """Weights, momentum and averages after three steps; predictions of one sample."""
    assert made(target)[name]["bits"] == DIGESTS[target][name]["bits"], RENEW


@pytest.mark.parametrize("name", golden_nets.CASES)
def test_plan(name, monkeypatch):
    monkeypatch.setenv("PELLUCID_TARGET", golden_nets.PLANNED)
    try:
        native_target.asked()
    except GraphError as error:
        pytest.skip(f"plans are of {golden_nets.PLANNED}: {error}")
    known = (golden_nets.FOLDER / f"{name.replace(' ', '-')}.plan.txt").read_text(encoding="utf-8").splitlines()
    found = made(golden_nets.PLANNED)[name]["plan"].splitlines()
    assert found == known, "\n".join([*difflib.unified_diff(known, found, "golden", "now", lineterm=""), RENEW])


@pytest.mark.parametrize("name", golden_nets.CASES)
def test_code(target, name):
    """LLVM's text of the code: where it is the same, so are speed and bits."""
    if llvmlite.__version__ != DIGESTS["llvmlite"]:
        pytest.skip(f"digests of the code are of llvmlite {DIGESTS['llvmlite']}, this is {llvmlite.__version__}")
    assert made(target)[name]["code"] == DIGESTS[target][name]["code"], RENEW


def test_no_golden_file_is_left_over():
    files = {path.name for path in golden_nets.FOLDER.glob("*.plan.txt")}
    assert files == {f"{name.replace(' ', '-')}.plan.txt" for name in golden_nets.CASES}
