"""The table of settings: one place for the environment's variables, and the page that shows them."""

import re
from pathlib import Path

import pytest

from pellucid import ArgumentError, settings

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src" / "pellucid"
READS = re.compile(r"environ\W.*PELLUCID_|getenv\W.*PELLUCID_")


def reads(folder: Path) -> list[str]:
    """The lines that read a variable of ours by themselves."""
    return [
        f"{path.relative_to(folder)}: {line.strip()}"
        for path in sorted(folder.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if READS.search(line) or ('"PELLUCID_' in line and "environ" in line)
    ]


def test_nobody_else_reads_the_environment(tmp_path):
    assert reads(SOURCES) == []
    (tmp_path / "planted.py").write_text('x = os.environ.get("PELLUCID_THREADS")\n')
    assert len(reads(tmp_path)) == 1


def test_the_page_has_the_table():
    assert settings.table() in (ROOT / "docs" / "native.md").read_text(encoding="utf-8")


def test_every_name_that_is_told_is_a_setting():
    told = {name for path in [*SOURCES.rglob("*.py"), *ROOT.glob("docs/*.md"), ROOT / "README.md"]
            for name in re.findall(r"PELLUCID_[A-Z]+", path.read_text(encoding="utf-8"))}  # fmt: skip
    assert told - {"PELLUCID_COMPLETE"} == {s.name for s in settings.SETTINGS}  # that one is click's


@pytest.mark.parametrize("setting", settings.SETTINGS, ids=lambda s: s.name)
def test_defaults(setting, monkeypatch):
    monkeypatch.delenv(setting.name, raising=False)
    assert setting.get() == setting.default and not setting.is_set
    if not setting.empty_counts:
        monkeypatch.setenv(setting.name, " ")
        assert setting.get() == setting.default and setting.is_set


@pytest.mark.parametrize(
    "setting, text, value",
    [
        (settings.EXECUTOR, "reference", "reference"),
        (settings.THREADS, " 2 ", 2),
        (settings.CACHE, "here", Path("here")),
        (settings.CACHE, "", None),
        (settings.EARLY, "0", False),
        (settings.TARGET, "x86-64-v3", "x86-64-v3"),
        (settings.LANES, "8", 8),
    ],
)
def test_what_is_said(setting, text, value, monkeypatch):
    """It is read when it is asked for, not when Pellucid is imported."""
    monkeypatch.setenv(setting.name, text)
    assert setting.get() == value


@pytest.mark.parametrize(
    "setting, text, wanted",
    [
        (settings.THREADS, "0", "a whole number from 1 to"),
        (settings.THREADS, "two", "a whole number from 1 to"),
        (settings.EARLY, "yes", "0 or 1"),
        (settings.LANES, "3", "2, 4, 8, 16 or 32"),
    ],
)
def test_what_cannot_be(setting, text, wanted, monkeypatch):
    monkeypatch.setenv(setting.name, text)
    with pytest.raises(ArgumentError, match=f"^{setting.name} must be {wanted}.*, got '{text}'$"):
        setting.get()
