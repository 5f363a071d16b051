"""How long and how often to measure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """From the command line; ``QUICK`` shows that everything works, its numbers mean little."""

    window_s: float = 1.0
    rounds: int = 7
    callers: tuple[int, ...] = (1, 2, 8, 64, 256)
    models: tuple[str, ...] = ("a", "b")
    peers_only: bool = False
    """Leaves inferkit out, to measure the peers alone."""


QUICK = Settings(window_s=0.2, rounds=3, callers=(1, 64))
