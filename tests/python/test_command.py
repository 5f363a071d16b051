"""The ``inferkit`` command itself: words, exit codes, a reader that leaves, Ctrl-C."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import inferkit
import pytest
from inferkit.cli import _interrupt, demo, doctor, main
from inferkit.cli._findings import Finding

COMMAND = [sys.executable, "-m", "inferkit"]


@pytest.fixture
def nothing_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("a", "ok", "fine")])


@pytest.mark.parametrize("words", [[], ["--json"], ["heal"]])
def test_what_is_no_command_shows_the_usage(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "usage: inferkit" in capsys.readouterr().err


@pytest.mark.usefixtures("nothing_found")
def test_words_come_from_the_process_where_none_are_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["doctor", "doctor", "--json"])
    assert main() == 0
    assert '"ok": true' in capsys.readouterr().out
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == "ok    a  fine\n"


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"inferkit {inferkit.__version__}\n"


def test_only_the_command_asked_for_is_imported(capsys: pytest.CaptureFixture[str]) -> None:
    for command, option in (("doctor", "--seconds"), ("demo", "--all")):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert (option in capsys.readouterr().out) == (command == "demo")


def test_an_interrupt_has_the_exit_code_of_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "run", interrupted)
    assert main(["doctor"]) == 130


def test_a_reader_that_has_left_is_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*COMMAND, "doctor"], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=100
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


# ---- Ctrl-C ---------------------------------------------------------------------------------
def test_the_watch_leaves_nothing_behind() -> None:
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before)
    watched: list[threading.Thread] = []
    with _interrupt.leave_at_once():
        watched += [thread for thread in threading.enumerate() if thread.name == "ctrl-c"]
        writing = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        assert not os.get_blocking(writing)  # a signal handler must not wait
    assert [thread.daemon for thread in watched] == [True]
    watched[0].join(60)
    assert not watched[0].is_alive()
    assert signal.set_wakeup_fd(-1) == before
    signal.set_wakeup_fd(before)


def test_other_threads_have_no_ctrl_c_to_watch() -> None:
    seen: list[bool] = []

    def elsewhere() -> None:
        with _interrupt.leave_at_once():
            seen.append(any(thread.name == "ctrl-c" for thread in threading.enumerate()))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [False]


class Ended(BaseException):
    """What `os._exit` does here."""


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], list[object]]:
    """Run the watch over a pipe that brings these signals; what it did, in order."""

    def run(signals: bytes) -> list[object]:
        did: list[object] = []
        reading, writing = os.pipe()
        os.write(writing, signals)
        os.close(writing)

        def leave(code: int) -> None:
            did.append(("exit", code))
            raise Ended

        with monkeypatch.context() as patched:
            patched.setattr(_interrupt, "sleep", lambda seconds: did.append(seconds))
            patched.setattr(os, "_exit", leave)
            patched.setattr(os, "isatty", lambda number: did.append(("tty?", number)) or True)
            patched.setattr(os, "write", lambda number, text: did.append((number, text)))
            try:
                _interrupt._watch(reading)
            except Ended:
                os.close(reading)
            else:
                with pytest.raises(OSError):
                    os.fstat(reading)
        return did

    return run


def test_an_interrupt_ends_the_process_after_a_while(
    watch: Callable[[bytes], list[object]],
) -> None:
    cursor = (2, _interrupt.SHOW_CURSOR)
    assert watch(bytes([signal.SIGINT])) == [0.7, ("tty?", 2), cursor, ("exit", 130)]


def test_other_signals_end_nothing(watch: Callable[[bytes], list[object]]) -> None:
    assert watch(bytes([signal.SIGWINCH, signal.SIGCHLD])) == []


def test_a_folder_may_be_named_like_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(demo, "run", lambda arguments: asked.append(arguments.folder) or 0)
    assert main(["demo", "doctor"]) == 0
    assert asked == [Path("doctor")]
