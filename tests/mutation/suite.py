"""The package that is changed and the tests that look at it."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = ROOT / "build" / "mutation"
PACKAGE = SCRATCH / "package" / "inferkit"
# Left out: what takes long, and what looks at the core through lines that all others come to too.
SLOW = ("demo", "drift", "examples", "processes", "state_machine")
OF_THE_CORE = (
    *("backpressure", "cancel", "counts", "deadline_async", "isolation", "lifetimes"),
    *("nested_loop", "parts", "reentry"),
)
DESELECTED = (  # they download wheels
    "test_loads_in_trouble.py::test_each_thread_that_is_refused_is_an_error_of_the_opening",
    "test_runtime.py::test_every_slot_opens_and_a_model_runs",
)


def lay_out_package() -> None:
    """Copy the sources beside the extension of the inferkit that is installed."""
    spec = find_spec("inferkit")
    if spec is None or spec.origin is None:
        sys.exit("inferkit is not installed: nox -s mutate")
    shutil.rmtree(PACKAGE, ignore_errors=True)
    shutil.copytree(
        ROOT / "python" / "inferkit", PACKAGE, ignore=shutil.ignore_patterns("__pycache__")
    )
    for extension in Path(spec.origin).parent.glob("_core*.so"):
        shutil.copy2(extension, PACKAGE)
    sys.path.insert(0, str(PACKAGE.parent))
    os.environ["PYTHONPATH"] = str(PACKAGE.parent)


def pytest_arguments(files: list[str]) -> list[str]:
    return [
        *("-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--tb=short"),
        "-Wignore::pytest.PytestAssertRewriteWarning",  # of what a fork finds imported
        *(f"--ignore=tests/python/test_{name}.py" for name in (*SLOW, *OF_THE_CORE)),
        *(f"--deselect=tests/python/{name}" for name in DESELECTED),
        *files,
    ]
