"""``import inferkit`` starts no thread, imports no onnxruntime and opens only its own modules."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from programs import run_program

# Runs in a fresh interpreter: what the test process has imported must not hide anything.
PROGRAM = """
import json, os, sys, threading
import numpy

opened = []
sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" else None)
threads, modules = len(os.listdir("/proc/self/task")), set(sys.modules)
environment = dict(os.environ)
{statement}
facts = {{
    "native_threads": len(os.listdir("/proc/self/task")) - threads,
    "python_threads": threading.active_count() - 1,
    "modules": sorted(set(sys.modules) - modules),
    "opened": [os.fspath(path) for path in opened if isinstance(path, (str, os.PathLike))],
    "environment_changed": environment != dict(os.environ),
}}
print(json.dumps(facts))
"""

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="counts threads through /proc/self/task"
)


def facts_after(statement: str) -> dict[str, object]:
    """What changed in a fresh interpreter that ran ``statement`` after ``import numpy``."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(statement=statement)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert isinstance(facts, dict)
    return facts


@needs_proc
def test_import_leaves_no_trace() -> None:
    facts = facts_after("import inferkit")
    assert facts["native_threads"] == 0
    assert facts["python_threads"] == 0
    assert not facts["environment_changed"]


@needs_proc
@pytest.mark.parametrize("package", ["onnxruntime", "onnx", "magika", "sklearn", "typer", "rich"])
def test_import_pulls_in_no_other_package(package: str) -> None:
    modules = facts_after("import inferkit")["modules"]
    assert isinstance(modules, list)
    assert "inferkit._core" in modules
    assert package not in modules


def test_nothing_is_imported_later() -> None:
    """A child forked in the midst of that would wait for the import's lock for ever."""
    program = """
        import asyncio, sys
        import inferkit, onnx_models
        known = set(sys.modules)

        async def ask(session):
            (await inferkit.Session.open(onnx_models.identity())).close()
            await session.run_async([[1.0, 2.0, 3.0]])
            [None async for _ in session.map_async([{"x": [[1.0, 2.0, 3.0]]}])]

        with inferkit.Session(onnx_models.identity()) as session:
            session.run([[1.0, 2.0, 3.0]]).info, session.stats(), session.explain()
            session.submit({"x": [[1.0, 2.0, 3.0]]}).result()
            list(session.map([[[1.0, 2.0, 3.0]]]))
            try:
                session.run([[1.0]], outputs=["none such"])
            except inferkit.InferkitError:
                pass
            asyncio.run(ask(session))
        print(sorted(set(sys.modules) - known))
    """
    assert run_program(program) == (0, "[]\n", "")


@needs_proc
def test_import_opens_only_modules() -> None:
    strangers = strangers_opened(facts_after("import inferkit"))
    assert strangers == []


@needs_proc
def test_the_checks_see_what_they_look_for(tmp_path: Path) -> None:
    statement = (
        "import threading; stop = threading.Event();"
        "threading.Thread(target=stop.wait, daemon=True).start();"
        f"import inferkit, sqlite3; open({str(tmp_path / 'trace')!r}, 'w').close();"
        "os.environ['TRACE'] = '1'"
    )
    facts = facts_after(statement)
    assert facts["native_threads"] == 1
    assert facts["python_threads"] == 1
    assert "sqlite3" in str(facts["modules"])
    assert facts["environment_changed"]
    assert strangers_opened(facts) == [str(tmp_path / "trace")]


def strangers_opened(facts: dict[str, object]) -> list[str]:
    """Opened paths that are neither Python modules nor libraries beside them."""
    opened = facts["opened"]
    assert isinstance(opened, list)
    modules = (".py", ".pyc", ".so", ".pyd")
    return [path for path in opened if not path.endswith(modules) and ".pyc." not in path]


def test_a_sub_interpreter_is_refused_at_once() -> None:
    code, out, err = run_program(
        """
        import sys
        try:
            import _interpreters as interpreters  # 3.13 and later
            other = interpreters.create("legacy")
        except ImportError:
            import _xxsubinterpreters as interpreters
            other = interpreters.create(isolated=False)
        lines = ["try:", " import inferkit", "except ImportError as error:"]
        lines.append(" print(error, error.__cause__, flush=True)")
        interpreters.run_string(other, chr(10).join(lines))
        interpreters.destroy(other)
        import inferkit
        print("and served the main one")
        """
    )
    assert (code, err) == (0, "")
    assert "cannot be imported in a sub-interpreter" in out
    assert "and served the main one" in out
