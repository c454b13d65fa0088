"""What all tests share: real data sets, and that nothing is written outside folders of their own."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
collect_ignore = ["tests/typed"]  # for type checkers; the tests of types run what can be run


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


@pytest.fixture(autouse=True)
def _doctest_folder(request):
    """Doctests run in a folder of their own, so that they may write files."""
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
