"""Options drawn at random: see `fuzz_options.py`, which runs many more."""

from pathlib import Path

import fuzz_options
import pytest


def test_a_few_options():
    found = fuzz_options.fuzz(60, seed=7)
    assert found["inputs"] == 60 and not found["findings"]
    assert found["computed"] > 15 and found["refused"] > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_options(seed):
    found = fuzz_options.fuzz(5_000, seed=100 + seed, workers=2)
    assert found["inputs"] == 5_000 and not found["findings"]


def test_a_process_that_dies_is_noted(monkeypatch, tmp_path):
    """And those after it go on: here the input numbered 10 kills its process, and 20 raises a foreign error."""
    script = tmp_path / "fuzz_options.py"
    text = Path(fuzz_options.__file__).read_text()
    text = text.replace(
        '    """A case built, with derivatives;',
        '''    if i == 10:
        os.kill(os.getpid(), 11)
    if i == 20:
        raise ZeroDivisionError
    """A case built, with derivatives;''',
    )
    script.write_text(text)
    monkeypatch.setattr(fuzz_options, "__file__", str(script))
    found = fuzz_options.fuzz(24, seed=7, show=lambda text: None)
    assert found["inputs"] >= 23
    assert [(f["input"], f["finding"].split(":")[0]) for f in found["findings"]] == [
        (10, "process ended by -11"),
        (20, "ZeroDivisionError"),
    ]
