"""Doctests run in a folder of their own, so that they may write files."""

import pytest


@pytest.fixture(autouse=True)
def _doctest_folder(request):
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
