"""What several test files use."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: PELLUCID_SHARED_DATA, or ../shared/data beside the repository."""
    folder = Path(os.environ.get("PELLUCID_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if folder.is_dir():
        return folder.resolve()
    reason = "needs ../shared/data: real data sets beside the repository, or in the folder PELLUCID_SHARED_DATA names"
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(f"{reason}; CI must have them")
    pytest.skip(reason)
