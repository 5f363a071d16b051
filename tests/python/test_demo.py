"""``inferkit demo``: shipped model, callers, checks, and the command as users see it."""

import io
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from importlib.resources import files
from pathlib import Path

import inferkit
import numpy as np
import pytest
from inferkit._demo import digits, filetypes
from inferkit._demo.answers import Gathered, check
from inferkit._demo.callers import Feeds, Slice, ask_in_tasks, ask_in_threads
from inferkit._demo.contest import Plan
from inferkit._demo.progress import AsciiProgress, Progress, open_progress
from inferkit._demo.report import files_text, sizes_text
from inferkit._demo.walk import standard_library, walk
from inferkit.cli import main

FOLDER = files("inferkit") / "_demo"
MOST_BYTES = 300_000  # of model and images together
LEAST_ACCURACY = 0.96  # on the held-out images
DEMO = [sys.executable, "-W", "error", "-m", "inferkit", "demo"]


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DEMO, *arguments], capture_output=True, text=True, timeout=110)


def held_out() -> tuple[np.ndarray, np.ndarray]:
    with (FOLDER / "digits.npz").open("rb") as file, np.load(file) as data:
        return data["images"], data["labels"]


# ---- the model that ships ---------------------------------------------------------------------
def test_model_and_images_are_small_and_right() -> None:
    runtime = pytest.importorskip("onnxruntime")
    model = (FOLDER / "digits.onnx").read_bytes()
    images, labels = held_out()
    assert len(model) + len((FOLDER / "digits.npz").read_bytes()) <= MOST_BYTES
    assert (images.dtype, images.shape, images.max()) == (np.uint8, (540, 64), 16)
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (probabilities,) = session.run(None, {"pixels": images.astype(np.float32)})
    assert probabilities.shape == (540, 10)
    assert (probabilities.argmax(axis=1) == labels).mean() >= LEAST_ACCURACY


def test_the_committed_script_makes_the_committed_model() -> None:
    pytest.importorskip("sklearn")
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    import train_digits

    (train_images, train_labels), (test_images, test_labels) = train_digits.split()
    images, labels = held_out()
    np.testing.assert_array_equal(images, test_images)
    np.testing.assert_array_equal(labels, test_labels)
    assert len(train_images) == 1257
    models = [
        train_digits.train(train_images, train_labels).SerializeToString(),
        (FOLDER / "digits.onnx").read_bytes(),
    ]
    again, shipped = (
        runtime.InferenceSession(model).run(None, {"pixels": images.astype(np.float32)})[0]
        for model in models
    )
    # Another BLAS rounds otherwise, which many steps of training magnify.
    assert np.abs(again - shipped).mean() < 0.01
    assert (again.argmax(axis=1) == shipped.argmax(axis=1)).mean() > 0.99


# ---- the callers ------------------------------------------------------------------------------
def rows_of(count: int) -> list[Feeds]:
    return [{"x": np.full((1, 3), i, np.float32)} for i in range(count)]


def echo(feeds: Feeds) -> np.ndarray:
    return feeds["x"] * 2


async def echo_async(feeds: Feeds) -> np.ndarray:
    return echo(feeds)


def ticks_are_ignored() -> None:
    return None


@pytest.mark.parametrize("style", ["threads", "tasks"])
def test_each_request_is_asked_once_and_its_answer_kept(style: str) -> None:
    part, feeds = Slice(first=5, capacity=1000, width=3), rows_of(7)
    if style == "threads":
        ask_in_threads(echo, feeds, part, float("inf"), ticks_are_ignored)
    else:
        ask_in_tasks(echo_async, feeds, part, float("inf"), ticks_are_ignored)
    assert part.count == 1000
    assert part.elapsed > 0
    assert (part.latencies > 0).all()
    np.testing.assert_array_equal(part.rows(7)[:4], [5, 6, 0, 1])
    np.testing.assert_array_equal(part.answers[:, 1], part.rows(7) * 2)


@pytest.mark.parametrize("style", ["threads", "tasks"])
def test_a_caller_that_fails_ends_the_slice_and_is_heard(style: str) -> None:
    asked = []

    def fail_at_the_tenth(feeds: Feeds) -> np.ndarray:
        asked.append(feeds)
        if len(asked) == 10:
            raise ZeroDivisionError("the tenth")
        return echo(feeds)

    async def fail_async(feeds: Feeds) -> np.ndarray:
        return fail_at_the_tenth(feeds)

    part, before = Slice(0, 1 << 20, 3), threading.active_count()
    with pytest.raises(ZeroDivisionError, match="the tenth"):
        if style == "threads":
            ask_in_threads(fail_at_the_tenth, rows_of(7), part, float("inf"), ticks_are_ignored)
        else:
            ask_in_tasks(fail_async, rows_of(7), part, float("inf"), ticks_are_ignored)
    assert threading.active_count() == before


# ---- the check of the answers -----------------------------------------------------------------
def answered(first: int, answers: np.ndarray) -> Slice:
    part = Slice(first, len(answers), answers.shape[1])
    numbered = iter(answers)
    ask_in_threads(lambda _: next(numbered), rows_of(4), part, float("inf"), ticks_are_ignored, 1)
    return part


@pytest.fixture
def expected() -> Gathered:
    gathered = Gathered(4, 3)
    gathered.learn(answered(0, np.eye(4, 3, dtype=np.float32) + 1))
    return gathered


def test_right_answers_pass(expected: Gathered) -> None:
    found = check([answered(1, np.roll(expected.answers, -1, axis=0))], expected)
    assert (found.compared, found.difference, found.other_class) == (4, 0.0, 0)
    assert found.right(1e-5)


def test_a_difference_is_relative_to_the_row(expected: Gathered) -> None:
    answers = expected.answers.copy()
    answers[2, 0] += 0.01
    found = check([answered(0, answers)], expected)
    assert found.difference == pytest.approx(0.005, rel=1e-3)
    assert found.right(0.006)
    assert not found.right(0.004)


def test_another_class_and_nan_are_wrong(expected: Gathered) -> None:
    swapped = expected.answers.copy()
    swapped[0] = swapped[0, ::-1]
    assert check([answered(0, swapped)], expected).other_class == 1
    broken = expected.answers.copy()
    broken[3, 0] = np.nan
    assert not check([answered(0, broken)], expected).right(1e9)


def test_rows_without_a_reference_are_not_compared() -> None:
    known_first = Gathered(4, 3)
    known_first.learn(answered(0, np.ones((2, 3), np.float32)))
    found = check([answered(0, np.ones((4, 3), np.float32))], known_first)
    assert found.compared == 2
    assert known_first.first_missing() == 2
    assert not check([], known_first).right(1.0), "nothing compared is not right"


def test_batch_sizes_are_told_in_powers_of_two() -> None:
    assert sizes_text(Counter({1: 5, 2: 1, 3: 1, 4: 1})) == "1 row: 5, 2 rows: 1, 3-4 rows: 2"
    assert sizes_text(Counter({33: 1, 64: 9, 65: 1})) == "33-64 rows: 10, 65-128 rows: 1"


# ---- which files, and what is in them ---------------------------------------------------------
@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files that magika treats in each of its ways."""
    for name in ("b", "a", "__pycache__"):
        (tmp_path / name).mkdir()
    contents = {
        "b/code.py": b"import os\n\n\ndef main() -> None:\n    print(os.getcwd())\n" * 20,
        "a/page.html": b"<!doctype html><html><head><title>x</title></head></html>" * 30,
        "a/empty": b"",
        "a/few": b"abc",
        "a/few.bin": b"\xff\xfe\xfd",
        "a/spaces": b" \n" * 5000 + b"end",
        "a/noise": np.random.default_rng(0).bytes(9000),
        "a/exact": b"x,y\n1,2\n" * 512,
        "__pycache__/kept": b"{}",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "link.py").symlink_to(tmp_path / "b/code.py")
    return tmp_path


def test_walk_is_sorted_and_follows_no_link(folder: Path) -> None:
    found = [path.relative_to(folder).as_posix() for path in walk(folder)]
    assert found == sorted(found)
    assert len(found) == 9
    assert not any("link" in name for name in found)
    skipped = [path.relative_to(folder).as_posix() for path in walk(folder, filetypes.NOT_LIBRARY)]
    assert skipped == [name for name in found if not name.startswith("__pycache__")]
    assert list(walk(folder / "not there")) == []


def test_the_standard_library_is_read_without_packages_and_caches() -> None:
    _, found = filetypes.choose(None)
    parts = {part for path in found for part in path.relative_to(standard_library()).parts}
    assert "asyncio" in parts
    assert parts.isdisjoint({"site-packages", "__pycache__"})


def test_features_and_thresholds_give_magikas_labels(folder: Path) -> None:
    """On 200 files, with onnxruntime in inferkit's place: only our half is under test."""
    pytest.importorskip("magika")
    runtime = pytest.importorskip("onnxruntime")
    identifier = filetypes.Identifier()
    session = runtime.InferenceSession(identifier.model, providers=["CPUExecutionProvider"])
    paths = [*walk(folder), *walk(standard_library(), filetypes.NOT_LIBRARY)]
    chosen = [*paths[:9], *paths[9 :: max(1, (len(paths) - 9) // 191)]][:200]
    assert len(chosen) == 200
    labels = {}
    for path in chosen:
        seen = identifier.look(path)
        if not isinstance(seen, str):
            seen = identifier.label(session.run(None, {"bytes": seen[None]})[0][0])
        labels[path] = seen
    assert labels == {path: identifier.identify(path) for path in chosen}
    assert {labels[path] for path in walk(folder)} >= {"python", "html", "empty", "txt", "unknown"}


def test_a_file_that_cannot_be_read_is_counted_as_such(folder: Path) -> None:
    pytest.importorskip("magika")
    gone = folder / "gone"
    assert filetypes.Identifier().look(gone) == filetypes.UNREADABLE


# ---- the jobs ---------------------------------------------------------------------------------
@pytest.fixture
def no_progress() -> Progress:
    return Progress(1.0)


def test_digits_are_right_and_batched(no_progress: Progress) -> None:
    report = digits.run(1.5, no_progress)
    assert report.right
    assert report.correct / report.images >= LEAST_ACCURACY
    for style, sizes in report.outcome.batch_sizes.items():
        asked = sum(
            side.answered for side in report.outcome.sides if side.ours and side.style == style
        )
        # inferkit counts the rows of its batches itself; they are the requests we counted.
        assert sum(rows * batches for rows, batches in sizes.items()) == asked


def test_wrong_answers_are_seen(
    no_progress: Progress, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class SlightlyWrong(inferkit.Session):
        def run(self, feeds, **options):  # type: ignore[no-untyped-def]
            result = super().run(feeds, **options)
            return {name: array * np.float32(1.001) for name, array in result.items()}

    monkeypatch.setattr(inferkit, "Session", SlightlyWrong)
    assert main(["demo", "--only", "digits", "--seconds", "1"]) == 1
    assert "answers: WRONG" in capsys.readouterr().out


def test_every_file_is_identified_past_the_measured_ones(
    folder: Path, no_progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("magika")
    monkeypatch.setattr(filetypes, "MOST_FILES", 3)
    first = filetypes.run(folder, False, 1.0, no_progress)
    whole = filetypes.run(folder, True, 1.0, no_progress)
    assert first.types.total() == 3
    assert whole.types.total() == 9
    assert first.right
    assert whole.right
    identifier = filetypes.Identifier()
    assert whole.types == Counter(map(identifier.identify, walk(folder)))


def test_what_there_was_no_time_for_is_left_out_and_said(
    folder: Path, no_progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("magika")
    in_no_time = Plan(seconds=0.0, rounds=1, requests_per_second=1, rest=0.0)
    monkeypatch.setattr(filetypes, "plan", lambda seconds, every: in_no_time)
    report = filetypes.run(folder, False, 1.0, no_progress)
    assert report.by_model == 0
    assert report.no_time > 0
    assert report.types.total() + report.no_time == 9
    assert not report.right, "nothing was compared"
    assert f"{report.no_time} files more were left out" in "\n".join(files_text(report))


# ---- the command ------------------------------------------------------------------------------
def test_json_is_one_document_and_nothing_else(folder: Path) -> None:
    pytest.importorskip("magika")
    done = demo("--json", "--seconds", "3", str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no progress without a terminal"
    document = json.loads(done.stdout)
    by_name = {job["name"]: job for job in document["jobs"]}
    assert set(by_name) == {"digits", "files"}
    assert by_name["digits"]["accuracy"] >= LEAST_ACCURACY
    assert by_name["files"]["files"] == 9
    assert by_name["files"]["labels_compared"] == 9
    assert by_name["files"]["labels_different"] == []
    for job in document["jobs"]:
        assert job["right"]
        assert job["check"]["answers"] > 0
        assert {entry["callers"] for entry in job["load"]} == {"64 threads", "64 asyncio tasks"}
        assert all(
            entry["requests"] and 0 < entry["p50_ms"] <= entry["p99_ms"] for entry in job["load"]
        )


def test_text_tells_the_same_and_ends_with_your_own_model() -> None:
    done = demo("--only", "digits", "--seconds", "1")
    assert done.returncode == 0, done.stderr
    for words in (
        "accuracy 9",
        "64 threads",
        "64 asyncio tasks",
        "batches formed",
        "answers: right",
    ):
        assert words in done.stdout
    own = done.stdout[done.stdout.index("Your own model:") :]
    assert 'inferkit.Session("model.onnx")' in own


@pytest.mark.parametrize(
    ("hidden", "says"),
    [
        (["magika"], 'magika not installed: pip install "inferkit[demo]"; `inferkit demo --only'),
        (["onnxruntime", "magika"], 'onnxruntime and magika not installed: pip install "inferkit['),
    ],
)
def test_a_missing_package_is_named_with_the_extra(hidden: list[str], says: str) -> None:
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden}))\n"
        "from inferkit.cli import main; sys.exit(main(['demo']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_a_folder_that_is_none_or_empty_is_refused(tmp_path: Path) -> None:
    for folder, says in ((tmp_path / "no", "not a folder"), (tmp_path, "no regular file")):
        done = demo(str(folder))
        assert (done.returncode, done.stdout) == (2, "")
        assert says in done.stderr


@pytest.mark.parametrize("value", ["abc", "0", "nan", "1e9"])
def test_a_time_that_is_none_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--seconds", value])
    assert caught.value.code == 2
    assert f"a number from 0.1 to 3600, not '{value}'" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--only", "digits"], ["--only", "files"], ["--json"]])
def test_ctrl_c_leaves_at_once(options: list[str]) -> None:
    if options != ["--only", "digits"]:
        pytest.importorskip("magika")
    process = subprocess.Popen(
        [*DEMO, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    if "--json" in options:
        with pytest.raises(subprocess.TimeoutExpired):  # it says nothing before its end
            process.wait(3)
    else:
        process.stdout.readline()  # the versions; now it works
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, errors = process.communicate(timeout=60)
    took = time.monotonic() - sent
    assert process.returncode == 130
    assert errors == ""
    assert took < 1.5


# ---- progress and lazy imports ----------------------------------------------------------------
class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_moves_on_a_terminal_and_leaves_it_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERM", raising=False)
    screen = Terminal()
    with AsciiProgress(10.0, screen) as progress:
        progress.begin("first", 5.0)
        progress.begin("second", 5.0)
    drawn = screen.getvalue().split("\r")
    assert "[" + "-" * 32 + "]   0% first" in drawn[1]
    assert "#" * 16 + "-" * 16 + "]  50% second" in drawn[2]
    assert drawn[-2].strip() == ""
    assert drawn[-1] == ""


def test_a_bar_is_shown_only_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert type(open_progress(1.0, io.StringIO())) is Progress
    monkeypatch.setitem(sys.modules, "rich", None)
    assert type(open_progress(1.0, Terminal())) is AsciiProgress
    monkeypatch.setenv("TERM", "dumb")
    assert type(open_progress(1.0, Terminal())) is Progress


def test_rich_draws_the_bar_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    with open_progress(10.0, screen) as progress:
        progress.begin("identifying", 5.0)
    assert "identifying" in screen.getvalue()


def test_help_imports_nothing_heavy() -> None:
    program = """
import sys, inferkit.cli
try:
    inferkit.cli.main(["--help"])
except SystemExit:
    pass
print(sorted({"onnxruntime", "magika", "rich", "typer", "inferkit._demo"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
