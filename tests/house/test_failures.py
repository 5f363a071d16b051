"""The failure catalogue names tests that exist, and a reason wherever something is open."""

import re
from pathlib import Path

from tree import ROOT

CATALOGUE = ROOT / "tests" / "FAILURES.md"
NAMED = re.compile(r'`(?P<path>[\w/]+\.(?:py|cpp))(?:::(?P<function>\w+)|: "(?P<case>[^`]+)")`')
ROW = re.compile(r"\| (?P<id>[A-Z]\d+)(?P<star> ★)? \|(?P<cells>.*)\|")
STATES = {"covered", "partly", "open", "not built", "n/a"}
STARRED = {"I5", "I6", "I10", "C8", "C9", "L8", "L11", "F3", "F10", "A1", "M2", "M5", "M9"}


def mistakes(catalogue: str, tests: Path) -> list[str]:
    """One line for each row that names no such test, or lacks what its state asks for."""
    found = []
    seen: set[str] = set()
    for line in catalogue.splitlines():
        row = ROW.fullmatch(line.strip())
        if row is None:
            if line.startswith("| ") and not line.startswith("| id |"):
                found.append(f"not a row: {line[:40]}")
            continue
        cells = [cell.strip() for cell in row["cells"].split("|")]
        if len(cells) != 4 or cells[2] not in STATES or row["id"] in seen:
            found.append(f"{row['id']}: not four cells, an unknown state, or there twice")
            continue
        seen.add(row["id"])
        named = list(NAMED.finditer(cells[3]))
        found += [f"{row['id']}: no such test: {m[0]}" for m in named if not exists(m, tests)]
        reason = NAMED.sub("", cells[3]).strip(" ,.")
        if not named and (cells[2] in {"covered", "partly"} or not reason):
            found.append(f"{row['id']}: {cells[2]} without a test")
        if not reason and cells[2] != "covered":
            found.append(f"{row['id']}: {cells[2]} without a reason")
    return found


def exists(named: re.Match[str], tests: Path) -> bool:
    path = tests / named["path"]
    if not path.is_file():
        return False
    text = path.read_text()
    if named["function"]:
        return re.search(rf"^(async )?def {named['function']}\(", text, re.MULTILINE) is not None
    return re.search(rf'TEST_CASE\(\s*"{re.escape(named["case"])}"', text) is not None


def test_the_catalogue_is_true() -> None:
    assert mistakes(CATALOGUE.read_text(), ROOT / "tests") == []


def test_every_group_is_there() -> None:
    rows = [match for line in CATALOGUE.read_text().splitlines() if (match := ROW.match(line))]
    numbers = {"I": 17, "C": 14, "L": 13, "F": 12, "A": 9, "M": 10, "T": 6, "V": 6}
    expected = [f"{group}{n}" for group, most in numbers.items() for n in range(1, most + 1)]
    assert [row["id"] for row in rows] == expected
    starred = {row["id"] for row in rows if row["star"]}
    assert starred == STARRED


def test_each_mistake_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def test_is_there() -> None: ...\n")
    (tmp_path / "b.cpp").write_text('TEST_CASE(\n    "b: is there") {\n')
    rows = {
        "I1": 'covered | `a.py::test_is_there`, `b.cpp: "b: is there"`',
        "I2 ★": "covered | `a.py::test_is_not`",
        "I3": "covered | `c.py::test_is_there`",
        "I4": 'covered | `b.cpp: "b: is"`',
        "I5": "covered | somebody looked",
        "I6 ★": "open | ",
        "I7": "partly | `a.py::test_is_there`",
        "I8": "fine | because",
        "I9": "not built | because",
        "I1 ★": "open | because",
    }
    table = "\n".join(f"| {name} | case | promise | {rest} |" for name, rest in rows.items())
    guilty = [line.split(":")[0] for line in mistakes(table, tmp_path)]
    assert guilty == ["I2", "I3", "I4", "I5", "I6", "I6", "I7", "I8", "I1"]
