"""What reads a coverage run sees the branch that nothing took, in whatever instance it stands."""

from pathlib import Path
from typing import Any

import pytest
from branches import judge_cpp, judge_python, read_cpp

SOURCE = "if (a && b) {\n  go();\n}\n"
CODE = 0  # kinds of regions; a gap between statements is none that could be entered
GAP = 3


def export(root: Path, *instances: tuple[str, list[list[int]], int]) -> dict[str, Any]:
    """As llvm-cov's: functions by name, with [true, false] of `a` and of `b`, and entries."""
    functions = []
    for name, counts, entered in instances:
        places = ([1, 5, 1, 6], [1, 10, 1, 11])
        functions.append(
            {
                "name": name,
                "filenames": [str(root / "csrc/x.h"), "/usr/include/vector"],
                "branches": [
                    [*place, *pair, 0, 0, 4] for place, pair in zip(places, counts, strict=True)
                ]
                + [[9, 9, 9, 9, 0, 0, 1, 0, 4]],
                "regions": [[1, 13, 3, 2, entered, 0, 0, CODE], [1, 12, 1, 13, 0, 0, 0, GAP]],
            }
        )
    return {"data": [{"functions": functions}]}


def missed(
    tmp_path: Path, *instances: tuple[str, list[list[int]], int], source: str = SOURCE
) -> list[str]:
    measured = read_cpp(export(tmp_path, *instances), tmp_path)
    assert set(measured) == {"csrc/x.h", "/usr/include/vector"}
    return judge_cpp("csrc/x.h", measured["csrc/x.h"], source).missed


def test_every_side_taken(tmp_path: Path) -> None:
    assert missed(tmp_path, ("f", [[2, 1], [1, 1]], 1)) == []


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([[2, 0], [1, 1]], "csrc/x.h:1: never false: a"),
        ([[2, 1], [0, 2]], "csrc/x.h:1: never true: b"),
    ],
)
def test_a_side_that_nothing_takes(tmp_path: Path, counts: list[list[int]], said: str) -> None:
    assert missed(tmp_path, ("f", counts, 1)) == [said]


def test_code_that_nothing_enters(tmp_path: Path) -> None:
    assert missed(tmp_path, ("f", [[2, 1], [1, 1]], 0)) == ["csrc/x.h:1: never entered: {"]


@pytest.mark.parametrize(
    ("entered", "said"), [(0, []), (1, ["csrc/x.h:1: entered, though exempt"])]
)
def test_an_exempt_block_must_not_be_entered(tmp_path: Path, entered: int, said: list[str]) -> None:
    source = SOURCE.replace("{", "{  // never entered: the reason")
    assert missed(tmp_path, ("f", [[2, 1], [1, 1]], entered), source=source) == said


def test_a_side_taken_in_one_instance_is_taken_and_what_ships_is_told_apart(
    tmp_path: Path,
) -> None:
    shipped = ("f<StdAtom>", [[2, 0], [1, 1]], 1)
    explored = ("f<ExploredAtom>", [[0, 3], [0, 0]], 0)
    assert missed(tmp_path, shipped, explored) == []
    row = judge_cpp(
        "csrc/x.h", read_cpp(export(tmp_path, shipped, explored), tmp_path)["csrc/x.h"], SOURCE
    )
    assert (row.sides, row.taken, row.shipped) == (4, 4, 3)


def test_python_branches_lines_and_what_a_pragma_hides() -> None:
    summary = {"num_branches": 4, "covered_branches": 3}
    found = {"missing_branches": [[7, 9]], "missing_lines": [9], "excluded_lines": [12]}
    export = {"files": {"build/package/inferkit/_x.py": {"summary": summary, **found}}}
    row = judge_python("python/inferkit/_x.py", export)
    assert (row.sides, row.taken) == (4, 3)
    assert row.missed == [
        "python/inferkit/_x.py:7: never on to 9",
        "python/inferkit/_x.py:9: never run",
        "python/inferkit/_x.py:12: left out",
    ]
