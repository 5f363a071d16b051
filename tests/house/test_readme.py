"""The README's example runs, and CI runs the README's own test line."""

import re
import subprocess
import sys
from pathlib import Path

import onnx_models
import pytest
from tree import ROOT

README = (ROOT / "README.md").read_text()
LIMIT = 12


def blocks(language: str, text: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def command_violations(readme: str, ci: str) -> list[str]:
    """What is wrong with the two commands: not two, not one line each, or not what CI runs."""
    commands = [block.rstrip("\n") for block in blocks("sh", readme)]
    found = [] if len(commands) == 2 else [f"{len(commands)} commands"]
    found += [f"not one line: {command!r}" for command in commands if "\n" in command]
    if commands and ci.rstrip("\n").splitlines()[-1] != commands[-1]:
        found.append("the last line of .ci/run is not the README's test line")
    return found


def test_two_commands() -> None:
    ci = ROOT / ".ci" / "run"
    if not ci.exists():
        pytest.skip("no .ci/run: this tree comes from an sdist")
    assert command_violations(README, ci.read_text()) == []


def test_wrong_commands_are_seen() -> None:
    readme = "```sh\none\n```\n```sh\ntwo \\\nthree\n```\n```sh\nfour\n```\n"
    assert command_violations(readme, "five\n") == [
        "3 commands",
        "not one line: 'two \\\\\\nthree'",
        "the last line of .ci/run is not the README's test line",
    ]


def test_the_example_runs(tmp_path: Path) -> None:
    (example,) = blocks("python", README)
    assert len(example.splitlines()) <= LIMIT
    (tmp_path / "model.onnx").write_bytes(onnx_models.mlp_a())
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "(1, 1) (1, 1)" in done.stdout
