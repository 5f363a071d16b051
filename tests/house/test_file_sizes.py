"""One concept per file: at most 300 lines, tests and generated stubs excepted."""

from pathlib import Path

from tree import ROOT, tracked_files

LIMIT = 300
CODE = {".h", ".cpp", ".cu", ".py", ".cmake"}


def too_long(root: Path) -> list[str]:
    """One line for each file past the limit."""
    found = []
    for path in tracked_files(root):
        where = path.relative_to(root)
        if path.suffix in CODE and where.parts[0] != "tests":
            lines = path.read_text().count("\n")
            if lines > LIMIT:
                found.append(f"{where}: {lines} lines")
    return found


def test_files_are_short() -> None:
    assert too_long(ROOT) == []


def test_the_limit_is_seen(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    for name, lines in {"a.py": 300, "b.h": 301, "c.pyi": 900, "tests/d.py": 900}.items():
        (tmp_path / name).write_text("\n" * lines)
    assert too_long(tmp_path) == ["b.h: 301 lines"]
