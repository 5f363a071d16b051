"""More requests than the session may hold: refuse, wait, or give up at a deadline."""

from collections import Counter
from importlib.resources import as_file, files

import inferkit
import numpy as np

DIGITS = files("inferkit") / "_demo" / "digits.onnx"
BURST = 2000
IMAGES = {"pixels": np.zeros((64, 64), np.float32)}


def main() -> None:
    """Send three bursts at a session that holds 8 requests."""
    with as_file(DIGITS) as model, inferkit.Session(model, max_pending=8) as session:
        # 1. The default: a full session says so at once, and the caller decides what to do.
        futures, refused = [], 0
        for _ in range(BURST):
            try:
                futures.append(session.submit(IMAGES))
            except inferkit.QueueFullError as full:
                refused, reason = refused + 1, full
        answered = sum(future.result() is not None for future in futures)
        print(f"refuse: {answered} answered, {refused} refused")
        if refused:
            print(f"  {reason}")

        # 2. Wait for room, here or in the constructor, for as long as the timeout allows.
        futures = [session.submit(IMAGES, when_full="wait", timeout=10) for _ in range(BURST)]
        print(f"wait: {sum(future.result() is not None for future in futures)} answered")

        # 3. A deadline covers everything from the call to the answer. Work that is late is
        # dropped before it runs, so that it costs nobody else anything.
        outcomes, futures = Counter[str](), []
        for _ in range(BURST):
            try:
                futures.append(session.submit(IMAGES, when_full="wait", timeout=100e-6))
            except inferkit.DeadlineExceededError:
                outcomes["found no room in time"] += 1
        for future in futures:
            late = isinstance(future.exception(), inferkit.DeadlineExceededError)
            outcomes["not run in time" if late else "in time"] += 1
        print(f"deadline of 100 µs: {dict(outcomes)}")

        stats = session.stats()
        print(
            f"all told: {stats.accepted} accepted = {stats.answered} answered "
            f"+ {stats.expired} expired + {stats.in_flight} in flight; {stats.rejected} rejected"
        )


if __name__ == "__main__":
    main()
