"""What the tab key offers on the command line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from pellucid.cli import COMMANDS, cli

TREE = Path(__file__).resolve().parents[2]


def offered(*words: str) -> list[tuple[str, str]]:
    """Kind and text of what is offered for the last of the words."""
    complete = BashComplete(cli, {}, "pellucid", "_PELLUCID_COMPLETE")
    return [(item.type, item.value) for item in complete.get_completions(list(words[:-1]), words[-1])]


def test_commands_and_options_are_offered():
    assert {text for _, text in offered("")} == set(COMMANDS)
    assert ("plain", "--learning-rate") in offered("train", "x.csv", "--learn")
    assert offered("train", "x.csv", "--scale", "min") == [("plain", "minmax")]


@pytest.mark.parametrize(
    "words",
    ["train", "evaluate", "predict", "sample", "summary", "filter", "train x --output", "train x --plot",
     "evaluate m --target", "evaluate m", "predict m", "predict m x --output", "filter x --out"],
)  # fmt: skip
def test_a_file_may_stand_there(words):
    assert ("file", "some") in offered(*words.split(), "some")


@pytest.mark.parametrize("option", ["--data", "--checkpoint", "--dump"])
def test_a_folder_may_stand_there(option):
    assert offered("train", "x", option, "some") == [("dir", "some")]


def test_words_stand_beside_files():
    assert offered("train", "mn") == [("file", "mn"), ("plain", "mnist")]
    assert offered("predict", "m.pel", "dig") == [("file", "dig"), ("plain", "digits")]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_with_what_the_page_says(tmp_path):
    """The line of docs/command-line.md, in a real shell: the function that it defines completes a word."""
    line = 'eval "$(_PELLUCID_COMPLETE=bash_source pellucid)"'
    assert line in (TREE / "docs" / "command-line.md").read_text()
    command = tmp_path / "pellucid"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from pellucid.cli import main; main()" "$@"\n')
    command.chmod(0o755)
    script = f"""{line}
compopt() {{ echo "compopt $@"; }}
COMP_WORDS=(pellucid train mn); COMP_CWORD=2
_pellucid_completion pellucid
echo "${{COMPREPLY[@]}}"
complete -p pellucid"""
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(TREE / "src")}
    version = subprocess.run(["bash", "-c", "echo ${BASH_VERSINFO[0]}"], capture_output=True, text=True).stdout
    if int(version) < 5:
        pytest.skip("needs Bash 5 or 4.4")
    found = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert found.stdout.splitlines()[:2] == ["compopt -o default", "mnist"], found
    assert "_pellucid_completion" in found.stdout
