"""What several test files use."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
collect_ignore = ["typed"]  # for type checkers; the tests of types run what can be run


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


@pytest.fixture(scope="session", autouse=True)
def code_cache(tmp_path_factory):
    """Machine code made by tests stays out of the user's cache."""
    before = os.environ.get("PELLUCID_CACHE")
    os.environ["PELLUCID_CACHE"] = str(tmp_path_factory.mktemp("code"))
    yield
    if before is None:
        del os.environ["PELLUCID_CACHE"]
    else:
        os.environ["PELLUCID_CACHE"] = before
