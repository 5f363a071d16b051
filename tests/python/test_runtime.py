"""The runtime: found without import, typed errors, oldest and newest, and no trace left behind."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import onnx_models
import pytest
from inferkit import _core, _runtime
from inferkit.errors import RuntimeNotFoundError
from ort_wheels import NEWEST, OLDEST, library_of, without_ci

LIBRARY_NAME = {"win32": "onnxruntime.dll", "darwin": "libonnxruntime.{}.dylib"}.get(
    sys.platform, "libonnxruntime.so.{}"
)
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="counts threads through /proc/self/task"
)


@pytest.fixture(autouse=True)
def no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(_runtime.LIBRARY_VARIABLE, raising=False)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An onnxruntime package of our own making, found before any other."""
    folder = tmp_path / "onnxruntime"
    (folder / "capi").mkdir(parents=True)
    (folder / "__init__.py").write_text('__version__ = "1.30.0"\n')
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def put(package: Path, version: str) -> Path:
    path = package / "capi" / LIBRARY_NAME.format(version)
    path.touch()
    return path


# ---- finding it -------------------------------------------------------------------------------
def test_finds_the_installed_library_without_importing_it() -> None:
    program = "import sys; from inferkit._runtime import find_runtime; print(find_runtime())"
    program += "; assert 'onnxruntime' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_file()


def test_none_installed_names_both_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_runtime, "find_spec", lambda name: None)
    with pytest.raises(RuntimeNotFoundError, match=r"inferkit\[cpu\].*inferkit\[gpu\]") as caught:
        _runtime.find_runtime()
    assert isinstance(caught.value, ImportError)


def test_a_module_without_a_spec_is_no_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", importlib.util)
    monkeypatch.setattr(importlib.util, "__spec__", None)
    with pytest.raises(RuntimeNotFoundError, match="no onnxruntime package"):
        _runtime.find_runtime()


def test_a_package_without_a_library_is_told(package: Path) -> None:
    (package / "capi" / "libonnxruntime_providers_shared.so").touch()
    with pytest.raises(RuntimeNotFoundError, match="holds no library") as caught:
        _runtime.find_runtime()
    assert str(package / "capi") in str(caught.value)


def test_the_only_library_is_taken(package: Path) -> None:
    only = put(package, "1.31.1")
    assert _runtime.find_runtime() == str(only)


@pytest.mark.skipif(sys.platform == "win32", reason="the library has no version in its name")
def test_of_two_libraries_the_package_says_which(package: Path) -> None:
    stated = put(package, "1.30.0")
    put(package, "1.31.1")
    assert _runtime.find_runtime() == str(stated)


@pytest.mark.skipif(sys.platform == "win32", reason="the library has no version in its name")
def test_of_two_strangers_the_newest_is_taken(package: Path) -> None:
    put(package, "1.9.0")
    newest = put(package, "1.31.1")
    assert _runtime.find_runtime() == str(newest)


def folders(monkeypatch: pytest.MonkeyPatch, *found: Path) -> None:
    """Let a package that is spread over these folders be the installed one."""
    spec = ModuleSpec("onnxruntime", None)
    spec.submodule_search_locations = [str(folder) for folder in found]
    monkeypatch.setattr(_runtime, "find_spec", lambda name: spec)


@pytest.mark.skipif(sys.platform == "win32", reason="the library has no version in its name")
def test_a_package_spread_over_folders_is_searched_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare, stated, odd = (tmp_path / name for name in ("bare", "stated", "odd"))
    for folder in (bare, stated, odd):
        (folder / "capi").mkdir(parents=True)
    folders(monkeypatch, bare, tmp_path / "missing", stated, odd)
    with pytest.raises(RuntimeNotFoundError, match="holds no library") as caught:
        _runtime.find_runtime()
    where = ", ".join(str(each / "capi") for each in (bare, tmp_path / "missing", stated, odd))
    assert f"no library in {where}; reinstall it" in str(caught.value)
    only = put(odd, "1.29.0")
    (odd / "__init__.py").write_bytes(b"# no text: \xff\n")
    assert _runtime.find_runtime() == str(only)
    newest = put(bare, "1.31.1")  # no __init__.py beside it says so
    assert _runtime.find_runtime() == str(newest)
    (stated / "__init__.py").write_text('# a comment\n__version__ = "1.28.0"\n')
    put(stated, "1.27.0")
    assert _runtime.find_runtime() == str(newest)
    (stated / "__init__.py").write_text('# a comment\n__version__ = "1.27.0"\n')
    assert _runtime.find_runtime() == str(stated / "capi" / LIBRARY_NAME.format("1.27.0"))


def test_a_name_without_folders_is_no_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_runtime, "find_spec", lambda name: ModuleSpec("onnxruntime", None))
    with pytest.raises(RuntimeNotFoundError, match="no onnxruntime package"):
        _runtime.find_runtime()


@pytest.mark.skipif(sys.platform != "linux", reason="names as on Linux")
def test_a_library_without_a_version_in_its_name_is_taken(package: Path) -> None:
    bare = package / "capi" / "libonnxruntime.so"
    bare.touch()
    assert _runtime.find_runtime() == str(bare)
    newer = put(package, "1.31.1")
    assert _runtime.find_runtime() == str(newer)


def test_the_variable_wins(package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    put(package, "1.30.0")
    mine = tmp_path / "mine.so"
    monkeypatch.setenv(_runtime.LIBRARY_VARIABLE, str(mine))
    with pytest.raises(RuntimeNotFoundError, match=r"INFERKIT_ORT_LIBRARY .*mine\.so"):
        _runtime.find_runtime()
    mine.touch()
    assert _runtime.find_runtime() == str(mine)


# ---- loading it -------------------------------------------------------------------------------
def test_a_file_that_is_no_library_is_told_with_the_loaders_reason(tmp_path: Path) -> None:
    text = tmp_path / "libonnxruntime.so.1.31.1"
    text.write_text("not a library")
    with pytest.raises(RuntimeNotFoundError, match=r"cannot load ONNX Runtime from .*: ."):
        _core.runtime_info(str(text))


@pytest.mark.parametrize("version", ["1.21.9", "0.5.0", "2.0.0"])
def test_a_version_that_does_not_fit_is_named_with_the_one_needed(
    version: str, tmp_path: Path
) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build a library of another version with")
    source = tmp_path / "old.c"
    source.write_text(
        "static const void *api(unsigned v) { (void)v; return 0; }\n"
        f'static const char *version(void) {{ return "{version}"; }}\n'
        "static const struct { const void *(*a)(unsigned); const char *(*b)(void); } base\n"
        "    = {api, version};\n"
        "const void *OrtGetApiBase(void) { return &base; }\n"
    )
    library = tmp_path / "libonnxruntime.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    with pytest.raises(RuntimeNotFoundError, match=rf"{version} at .*needs 1\.22"):
        _core.runtime_info(str(library))


PROGRAM = """
import json, sys
import inferkit, numpy
from inferkit import _core
info = _core.runtime_info(sys.argv[1])
with inferkit.Session(sys.argv[2], threads=2) as session:
    result = session.run({"x": numpy.ones((3, 32), numpy.float32)})
    notes = session.explain()
print(json.dumps({"info": info, "shape": result["y"].shape, "notes": notes}))
"""


@pytest.mark.parametrize(
    ("requirement", "age", "first"), [(OLDEST, "oldest", "1.22."), (NEWEST, "newest", "1.")]
)
def test_every_slot_opens_and_a_model_runs(
    requirement: str, age: str, first: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    assert pytestconfig.cache is not None
    library = library_of(requirement, pytestconfig.cache.mkdir(f"onnxruntime-{age}"))
    model = tmp_path / "a.onnx"
    model.write_bytes(onnx_models.mlp())
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(library), str(model)],
        env={**os.environ, _runtime.LIBRARY_VARIABLE: str(library)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["info"]["version"].startswith(first)
    assert facts["info"]["api"] == int(facts["info"]["version"].split(".")[1])
    assert "CPUExecutionProvider" in facts["info"]["providers"]
    assert {"Run", "CreateSession", "AddSessionConfigEntry"} <= set(facts["info"]["slots"])
    assert facts["shape"] == [3, 1]
    assert f"onnxruntime {facts['info']['version']} at {library}" in facts["notes"]
    assert "memory of the model: inferkit's pool" in facts["notes"]


# ---- leaving no trace -------------------------------------------------------------------------
# ONNX Runtime 1.29 and newer open a database in the user's cache and start a thread, unless told
# not to. CI hides it from them, so the child must not look like CI.
TRACE = """
import ctypes, json, os, sys, threading, time
import inferkit, numpy

def tasks():
    names = {}
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/comm") as comm:
                names[task] = comm.read().strip()
        except OSError:
            pass  # the thread ended meanwhile
    return names

def in_c(name):
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    return getenv(name)

threads, environment = tasks(), dict(os.environ)
with inferkit.Session(sys.argv[1]) as session:
    session.run({"x": numpy.ones((1, 32), numpy.float32)})
    if sys.argv[2] == "leave-traces":
        os.makedirs(os.path.expanduser("~/.cache/trace"))
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        ctypes.CDLL(None).setenv(b"ORT_DISABLE_TELEMETRY", b"1", 1)

    def strangers():
        new = [name for task, name in tasks().items() if task not in threads]
        return [name for name in new if not name.startswith("inferkit")]

    # A thread of ours names itself first thing, but the machine may not have let it run yet.
    patience = time.monotonic() + float(sys.argv[3])
    while strangers() and time.monotonic() < patience:
        time.sleep(0.01)
    print(json.dumps({
        "strangers": strangers(),
        "python_environment_changed": environment != dict(os.environ),
        "variable_in_c": in_c(b"ORT_DISABLE_TELEMETRY") is not None,
    }))
sys.stdout.flush()
os._exit(0)
"""


def traces(mode: str, patience_s: float, tmp_path: Path) -> dict[str, object]:
    home = tmp_path / "home"
    home.mkdir()
    model = tmp_path / "a.onnx"
    model.write_bytes(onnx_models.mlp())
    done = subprocess.run(
        [sys.executable, "-c", TRACE, str(model), mode, str(patience_s)],
        env=without_ci(home),
        cwd=home,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    return {**facts, "files": sorted(str(path.relative_to(home)) for path in home.rglob("*"))}


@needs_proc
def test_a_session_leaves_no_file_no_stranger_thread_and_the_environment_as_it_was(
    tmp_path: Path,
) -> None:
    assert traces("run", 30.0, tmp_path) == {
        "strangers": [],
        "python_environment_changed": False,
        "variable_in_c": False,
        "files": [],
    }


@needs_proc
def test_the_trace_test_would_notice(tmp_path: Path) -> None:
    seen = traces("leave-traces", 0.5, tmp_path)
    assert seen["strangers"]
    assert seen["variable_in_c"]
    assert seen["files"] == [".cache", ".cache/trace"]
