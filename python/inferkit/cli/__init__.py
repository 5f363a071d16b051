"""The ``inferkit`` command: one module per subcommand, imported only when it is asked for.

A subcommand's module has ``add_arguments(parser)`` and ``run(arguments) -> exit code``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from .._version import __version__

COMMANDS = {
    "demo": "two real jobs, served by inferkit beside onnxruntime",
    "doctor": "what inferkit finds on this machine, and what to do about it",
}
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """Return the parser; only ``command`` gets its arguments, since that imports its module."""
    parser = argparse.ArgumentParser(
        prog="inferkit", description="Batched ONNX inference inside your own process."
    )
    parser.add_argument("--version", action="version", version=f"inferkit {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=f"{summary}.")
        if name == command:
            import_module(f".{name}", __name__).add_arguments(subparser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: the process's own) and return its exit code.

    0: all well; 1: the command found something wrong; 2: it could not be run as asked;
    130: interrupted by Ctrl-C. Raises SystemExit for ``--help``, ``--version`` and usage errors.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    command = next((word for word in words if word in COMMANDS), None)
    arguments = build_parser(command).parse_args(words)
    try:
        code: int = import_module(f".{arguments.command}", __name__).run(arguments)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has left (`| head`); at exit Python would flush and fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    return code
