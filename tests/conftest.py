"""A test that cannot be interrupted still ends; what says nothing under a sanitizer is left out."""

import faulthandler
import os
import signal
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

LEFT_OUT = Path(__file__).parent / "sanitizers" / "left_out.toml"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in its background so; the programs that tests start would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    # pytest-timeout raises in the main thread: a callback of an event loop may swallow that, and
    # native code may never come back to it.
    marker = item.get_closest_marker("timeout")
    seconds = float(marker.args[0] if marker else item.config.getini("timeout"))
    faulthandler.dump_traceback_later(seconds + 60, exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Set by the sessions that put a sanitizer's runtime in front of every library.
    sanitizer = os.environ.get("INFERKIT_SANITIZER")
    if not sanitizer:
        return
    reasons = tomllib.loads(LEFT_OUT.read_text())[sanitizer]
    for item in items:
        names = (item.name, getattr(item, "originalname", item.name))  # one case, or all of them
        tests = [item.path.name, *(f"{item.path.name}::{name}" for name in names)]
        reason = next((reasons[test] for test in tests if test in reasons), None)
        if reason:
            item.add_marker(pytest.mark.skip(reason=f"{sanitizer} sanitizer: {reason}"))
