"""The repository as the house tests see it: its tracked files, its C++ and Python code."""

import io
import os
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What an unpacked sdist may grow beside its own files.
_GROWN = {".git", ".nox", ".venv", "build", "dist", "__pycache__"}


def tracked_files(root: Path = ROOT) -> list[Path]:
    """Every file git tracks under `root`; every file that is there where git knows nothing."""
    if (root / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True
        ).stdout
        return sorted(
            path for name in listed.split("\0") if name and (path := root / name).exists()
        )
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _GROWN and name[0] != "."]
        found += [Path(folder, name) for name in names]
    return sorted(found)


def cpp_files(root: Path) -> Iterator[Path]:
    """The C++ and CUDA sources under `root`."""
    return (path for path in tracked_files(root) if path.suffix in {".h", ".cpp", ".cu"})


_COMMENT_OR_STRING = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL
)


def cpp_code(text: str) -> str:
    """C++ without comments and literals; include lines stay, line numbers too."""

    def blank(match: re.Match[str]) -> str:
        line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
        if match[0][0] == '"' and line.lstrip().startswith("#include"):
            return match[0]
        return "\n" * match[0].count("\n")

    return _COMMENT_OR_STRING.sub(blank, text)


def python_code(text: str) -> str:
    """Python as its tokens with single spaces, without comments and literals, line by line."""
    lines: dict[int, list[str]] = {}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in {tokenize.NAME, tokenize.OP}:
            lines.setdefault(token.start[0], []).append(token.string)
    return "\n".join(" ".join(lines.get(n, [])) for n in range(1, max(lines, default=0) + 1))


def grep(pattern: re.Pattern[str], code: str) -> Iterator[tuple[int, str]]:
    """Line number and matched text of every match."""
    for number, line in enumerate(code.splitlines(), 1):
        for match in pattern.finditer(line):
            yield number, match[0]
