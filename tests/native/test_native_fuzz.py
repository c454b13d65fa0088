"""Random programs: the native executor agrees with the reference on each, and with itself for any number of threads."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from random_programs import Drawn, programs

from pellucid.executors import native, reference
from pellucid.executors.native.kernels import contraction_plan

COMMON = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": [Phase.generate, Phase.shrink],
}


def assert_close(found, expected, error: float, name: str) -> None:
    assert found.shape == expected.shape and found.dtype == expected.dtype, name
    if found.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected, err_msg=name)
        return
    if error < 0:  # a derivative, in float64
        error = 1e-7 * (1 + np.abs(expected).max(initial=0, where=np.isfinite(expected)))
    rtol = 4 * np.finfo(found.dtype).eps
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=error, err_msg=name)


def agree(drawn: Drawn, width: int) -> None:
    """One call on the reference and on the native executor, from the same state."""
    run, states = native.Run(drawn.program, width=width), [dict(drawn.state), dict(drawn.state)]
    expected = reference.compile(drawn.program)(states[0], drawn.inputs, drawn.batch)
    found = run(states[1], drawn.inputs, drawn.batch)
    for name, array in expected.items():
        assert_close(found[name], array, drawn.errors[name], name)
    for name, array in states[0].items():
        assert_close(states[1][name], array, drawn.errors.get(name, 0), name)
    whole = [{name: a.tobytes() for name, a in found.items()}]
    for run.threads in (1, 2, 4):
        again = run(dict(drawn.state), drawn.inputs, drawn.batch)
        whole.append({name: a.tobytes() for name, a in again.items()})
    assert all(w == whole[0] for w in whole)
    if (
        drawn.numbers
        and any(v.kind == "sample" for v in drawn.program.inputs.values())
        and all(v.kind == "sample" for v in drawn.program.inputs.values())
    ):
        any_threads(run, drawn)


def any_threads(run: native.Run, drawn: Drawn) -> None:
    """Three steps, the last one smaller where that is allowed: the same bits for 1 to 4 threads."""
    rows = np.arange(3 * drawn.batch - (0 if run.executable.fixed_batches else drawn.batch // 2)) % drawn.batch
    bits = []
    for threads in (1, 2, 3, 4):
        run.threads, state = threads, dict(drawn.state)
        sums = run.steps(state, drawn.inputs, rows, drawn.batch)
        bits.append((np.array(list(sums.values())).tobytes(), {name: a.tobytes() for name, a in state.items()}))
    assert all(b == bits[0] for b in bits)


@settings(max_examples=60, derandomize=True, **COMMON)
@given(programs(16))
def test_sixteen_lanes(drawn):
    agree(drawn, 16)


@pytest.fixture(scope="module")
def shared_rows():
    """Every weight is large: threads share the rows of a contraction, each for all samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PELLUCID_CACHE", "")  # what is there was made for other sizes
        patch.setattr(contraction_plan, "SPLIT_BYTES", 0)
        yield


@settings(max_examples=50, derandomize=True, **COMMON)
@given(programs(8))
def test_eight_lanes_and_shared_rows(shared_rows, drawn):
    agree(drawn, 8)


@settings(max_examples=40, derandomize=True, **COMMON)
@given(programs(4))
def test_four_lanes(drawn):
    agree(drawn, 4)


@pytest.mark.slow
@pytest.mark.parametrize("width", [4, 8, 16])
def test_many(width):
    @settings(max_examples=800, **COMMON)
    @given(programs(width))
    def many(drawn):
        agree(drawn, width)

    many()


@pytest.mark.slow
def test_many_with_shared_rows(shared_rows):
    @settings(max_examples=800, **COMMON)
    @given(programs(8))
    def many(drawn):
        agree(drawn, 8)

    many()
