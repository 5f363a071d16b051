"""Change the Python layer, one place at a time, and see whether a test fails: nox -s mutate.

    python tests/mutation/main.py [--again] [FILE ...]

Files are named as in python/inferkit; default: all. `--again` tries only the survivors once more,
with the tests as they are now.
"""

import argparse
import os
import shutil
import sys
from time import monotonic

import covering
import hunt
import report
from suite import PACKAGE, ROOT, SCRATCH, lay_out_package, pytest_arguments

ENOUGH = 90.0  # per cent
# The demo's own jobs are shown by examples of their figures, not by tests of each line.
FILES = ("*.py", "cli/*.py")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--keep-covering", action="store_true")
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    os.chdir(ROOT)
    lay_out_package()
    kept = SCRATCH / "covering.json"
    began = monotonic()
    if options.keep_covering and kept.exists():
        found = covering.load(kept)
    else:
        found = covering.measure(PACKAGE, pytest_arguments(["tests/python"]), SCRATCH)
        covering.save(found, kept)
    # A mutant may have the size and the second of the one before it.
    for old in PACKAGE.rglob("__pycache__"):
        shutil.rmtree(old)
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    print(f"{len(found.seconds)} tests, {monotonic() - began:.0f} s under coverage", flush=True)
    every = sorted(path for pattern in FILES for path in PACKAGE.glob(pattern))
    for path in every:
        name = path.relative_to(PACKAGE).as_posix()
        if not options.files or name in options.files:
            hunt.hunt(path, name, found, again=options.again)
    share = report.show([path.relative_to(PACKAGE).as_posix() for path in every])
    return 0 if share >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
