"""Rooms of csrc include only themselves and rooms to their left."""

import re
from pathlib import Path

from tree import ROOT, cpp_code, cpp_files, grep

ROOMS = ["base", "device", "memory", "queue", "batch", "backend", "engine", "testing", "bindings"]
INCLUDE = re.compile(r'#\s*include\s+"([^"]+)"')


def layer_violations(csrc: Path) -> list[str]:
    """One line for each include that points to the right, or to no room at all."""
    found = []
    for path in cpp_files(csrc):
        where = path.relative_to(csrc)
        room = where.parts[0]
        if room not in ROOMS:
            found.append(f"{where}: {room} is no room")
            continue
        for number, include in grep(INCLUDE, cpp_code(path.read_text())):
            target = INCLUDE.fullmatch(include)[1]
            there = target.split("/")[0]
            if there not in ROOMS or "/" not in target:
                found.append(f"{where}:{number}: {target} names no room")
            elif ROOMS.index(there) > ROOMS.index(room):
                found.append(f"{where}:{number}: {room} may not know {target}")
            elif there == "testing" and room != "testing" and not path.stem.startswith("testing"):
                found.append(f"{where}:{number}: doubles stay out of {where.name}")
    return found


def test_no_arrow_points_right() -> None:
    assert list(cpp_files(ROOT / "csrc"))
    assert layer_violations(ROOT / "csrc") == []


def test_the_rule_sees_each_kind_of_wrong_arrow(tmp_path: Path) -> None:
    for name, text in {
        "queue/inbox.h": '#include "batch/request.h"\n',
        "base/clock.h": '// "engine/engine.h" in a comment is fine\n#include "base/error.h"\n',
        "engine/engine.h": '#include "queue/inbox.h"\n#include "engine.h"\n',
        "bindings/module.cpp": '#include "testing/fake_clock.h"\n',
        "bindings/testing.cpp": '#include "testing/fake_clock.h"\n',
        "utils/all.h": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert layer_violations(tmp_path) == [
        "bindings/module.cpp:1: doubles stay out of module.cpp",
        "engine/engine.h:2: engine.h names no room",
        "queue/inbox.h:1: queue may not know batch/request.h",
        "utils/all.h: utils is no room",
    ]
