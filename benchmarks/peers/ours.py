"""inferkit as a first-time user opens it: a path and no option."""

from typing import Any

import inferkit

from benchmarks.peers.peer import Peer, Row


class OursThreads(Peer):
    """``Session(path).run(feeds)``."""

    family = name = "inferkit"

    def __init__(self, path: str, **options: Any) -> None:
        """Loads and warms the model up."""
        self.session = inferkit.Session(path, **options)
        self._input = self.session.inputs[0].name
        self.call = self.session.run

    def argument(self, row: Row) -> dict[str, Any]:
        """The feed."""
        return {self._input: row}

    def close(self) -> None:
        """Closes the session."""
        self.session.close()


class OursAsyncio(OursThreads):
    """``await Session(path).run_async(feeds)``."""

    def __init__(self, path: str) -> None:
        """Loads and warms the model up."""
        super().__init__(path)
        self.call = self.session.run_async
