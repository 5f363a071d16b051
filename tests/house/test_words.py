"""No unfinished work, no path of somebody's machine, no address that nobody checked."""

import re
from pathlib import Path

from tree import ROOT, tracked_files

# Hosts that a reader may be sent to. A new one is added here by whoever has opened it.
KNOWN_HOSTS = {"www.apache.org", "127.0.0.1", "localhost", "example.com"}
XML_NAMES = {"www.w3.org"}  # of an SVG's elements: nobody is sent there
ADDRESS = re.compile(r"https?://([\w.-]+)")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
SOMEBODYS_PATH = re.compile(r"(?<![\w.$~}/-])/(home|root|work|Users)/\w+")
RULES = {"unfinished": UNFINISHED, "a path of one machine": SOMEBODYS_PATH}


def word_violations(root: Path) -> list[str]:
    """One line for each word that should not be in a tracked file."""
    found = []
    for path in tracked_files(root):
        where = path.relative_to(root).as_posix()
        if where == "tests/house/test_words.py" or b"\0" in path.read_bytes():
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for name, rule in RULES.items():
                found += [f"{where}:{number}: {name}: {m[0]}" for m in rule.finditer(line)]
            for match in ADDRESS.finditer(line):
                if match[1] not in KNOWN_HOSTS | XML_NAMES:
                    found.append(f"{where}:{number}: unknown address: {match[0]}")
    return found


def test_tracked_files_hold_no_such_words() -> None:
    assert word_violations(ROOT) == []


def test_each_rule_sees_its_word(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "TODO later\nsee /home/somebody/notes\nhttps://invented.example.net/x\n"
        "fine: $HOME/root/x, https://www.apache.org/licenses, TODOS\n"
    )
    assert [line.split(": ")[:2] for line in word_violations(tmp_path)] == [
        ["a.md:1", "unfinished"],
        ["a.md:2", "a path of one machine"],
        ["a.md:3", "unknown address"],
    ]
