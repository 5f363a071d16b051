"""``inferkit demo`` around its jobs: which are run, for how long, what is printed and returned."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from inferkit._demo import digits, filetypes, progress, report
from inferkit.cli import demo, main
from inferkit.errors import ModelLoadError


class Jobs:
    """Stand-ins for the two jobs: what each was asked for, and what it answers."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, float]] = []
        self.shown: list[float] = []  # how long each bar is to take
        self.documents: dict[str, dict[str, Any]] = {
            "digits": {"job": "digits", "right": True},
            "files": {"job": "files", "right": True},
        }
        self.error: Exception | None = None

    def run(self, name: str, seconds: float) -> str:
        self.ran.append((name, round(seconds, 6)))
        if self.error is not None:
            raise self.error
        return name

    @contextmanager
    def bar(self, seconds: float, screen: object) -> Iterator[None]:
        self.shown.append(round(seconds, 6))
        yield


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    made = Jobs()
    monkeypatch.setattr(demo, "find_spec", lambda name: name)
    monkeypatch.setattr(demo, "_versions", lambda: {"python": "3.14", "cores": 2, "magika": None})
    monkeypatch.setattr(digits, "run", lambda seconds, bar: made.run("digits", seconds))
    monkeypatch.setattr(
        filetypes, "run", lambda folder, whole, seconds, bar: made.run("files", seconds)
    )
    for name in ("digits", "files"):
        monkeypatch.setattr(report, f"{name}_text", lambda found: [f"text of {found}"])
        monkeypatch.setattr(report, f"{name}_json", lambda found: made.documents[found])
    monkeypatch.setattr(progress, "open_progress", made.bar)
    return made


@pytest.mark.parametrize(
    ("words", "ran"),
    [
        ([], [("digits", 6.0), ("files", 18.0)]),
        (["--seconds", "8"], [("digits", 2.0), ("files", 6.0)]),
        (["--seconds", "0.1", "--only", "digits"], [("digits", 0.1)]),
        (["--seconds", "3600", "--only", "files"], [("files", 3600.0)]),
        (["--only", "files"], [("files", 24.0)]),
    ],
)
def test_the_time_is_shared_by_the_jobs_that_run(
    jobs: Jobs, words: list[str], ran: list[tuple[str, float]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *words]) == 0
    assert jobs.ran == ran
    assert jobs.shown == [round(seconds * 1.2, 6) for _, seconds in ran]  # warm-up and checks too
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["python 3.14; 2 cores", ""]
    assert [line for line in lines if line.startswith("text of")] == [
        f"text of {name}" for name, _ in ran
    ]


@pytest.mark.parametrize("value", ["0.09", "3600.5", "-1", "soon"])
def test_times_out_of_bounds_are_refused(
    jobs: Jobs, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["demo", f"--seconds={value}"])
    assert caught.value.code == 2
    assert f"not '{value}'" in capsys.readouterr().err
    assert jobs.ran == []


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("wrong", ["digits", "files"])
def test_one_wrong_answer_fails(
    jobs: Jobs, wrong: str, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs.documents[wrong]["right"] = False
    assert main(["demo", *(["--json"] if as_json else [])]) == 1
    said = capsys.readouterr().out
    if as_json:
        assert json.loads(said)["jobs"] == list(jobs.documents.values())
    else:
        assert said.endswith(report.OWN_MODEL + "\n")


def test_json_has_the_whole_time_and_one_document(
    jobs: Jobs, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.perf_counter()
    assert main(["demo", "--json", "--only", "digits"]) == 0
    took = time.perf_counter() - began
    said = capsys.readouterr().out
    found = json.loads(said)
    assert said == json.dumps(found, indent=2) + "\n"
    assert 0 < found.pop("seconds") <= took
    documents = [jobs.documents["digits"]]
    assert found == {"python": "3.14", "cores": 2, "magika": None, "jobs": documents}


def test_a_figure_that_is_no_number_is_no_json(jobs: Jobs) -> None:
    jobs.documents["digits"]["rate"] = math.nan
    with pytest.raises(ValueError, match="nan"):
        main(["demo", "--json", "--only", "digits"])


@pytest.mark.parametrize(
    "error", [ModelLoadError("no good"), filetypes.UnsupportedMagikaError("too new")]
)
def test_a_job_that_cannot_run_is_told(
    jobs: Jobs, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs.error = error
    assert main(["demo"]) == 2
    assert jobs.ran == [("digits", 6.0)]
    assert capsys.readouterr().err == f"inferkit demo: {type(error).__name__}: {error}\n"


@pytest.mark.parametrize(
    ("missing", "words", "code"),
    [
        ({"magika"}, ["--only", "digits"], 0),
        ({"magika"}, ["--only", "files"], 2),
        ({"magika"}, [], 2),
        ({"onnxruntime"}, ["--only", "digits"], 2),
        ({"onnxruntime"}, [], 2),
    ],
)
def test_only_what_a_job_needs_is_asked_for(
    jobs: Jobs,
    missing: set[str],
    words: list[str],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name in missing else name)
    assert main(["demo", *words]) == code
    errors = capsys.readouterr().err
    assert bool(jobs.ran) == (code == 0)
    assert (f"{next(iter(missing))} not installed" in errors) == (code == 2)
    assert ("--only digits` works without it" in errors) == (code == 2 and missing == {"magika"})


def test_a_folder_has_to_hold_files(
    jobs: Jobs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, says in ((tmp_path / "no", "not a folder: "), (tmp_path, "no regular file that ")):
        assert main(["demo", str(folder)]) == 2
        assert capsys.readouterr().err.startswith(f"inferkit demo: {says}")
    assert jobs.ran == []
    (tmp_path / "a").write_text("a")
    assert main(["demo", str(tmp_path)]) == 0


def test_the_versions_of_what_takes_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name == "magika" else name)
    monkeypatch.setattr(demo, "affinity", lambda: 7)
    found = demo._versions()
    assert list(found) == ["python", "cores", "inferkit", "numpy", "onnxruntime", "magika"]
    assert found["numpy"] == __import__("numpy").__version__
    assert found["magika"] is None
    assert demo._versions_text().endswith("; 7 cores")
    assert "magika" not in demo._versions_text()
