"""The options of a session: read once, each refused by name if it does not fit."""

import math
import numbers
import operator
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Literal, NoReturn, ParamSpec, TypeAlias, TypedDict

from ._core import option_ranges
from .errors import InvalidInputError, ModelLoadError

Model: TypeAlias = str | os.PathLike[str] | bytes
"""A path, or the model's bytes."""

ConfigValue: TypeAlias = str | int | float | bool
"""What ONNX Runtime reads as text; True is "1"."""


class SessionOptions(TypedDict, total=False):
    """The keyword arguments of ``inferkit.Session``."""

    max_batch_size: int | Literal["auto"]
    max_delay: float
    instances: int | Literal["auto"]
    threads: int | Literal["auto"]
    device: str
    providers: Sequence[str] | None
    provider_options: Mapping[str, Mapping[str, ConfigValue]] | None
    session_config: Mapping[str, ConfigValue] | None
    max_pending: int
    max_pending_bytes: int
    max_memory_bytes: int | Literal["auto"]
    when_full: Literal["raise", "wait"]
    batch_axis: Literal["auto", 0] | None
    warmup: bool
    name: str | None


_Arguments = ParamSpec("_Arguments")

_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"
# The core's own table of options; threads are ONNX Runtime's.
_MOST = {"threads": 1024, **{name: most for name, (_, most) in option_ranges().items()}}
_DEVICE = re.compile(r"auto|cpu|cuda(?::(?P<number>\d+))?")


def refuses_unknown_options(init: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
    """Decorate ``Session.__init__``: an unknown option's TypeError tells the known ones."""

    @wraps(init)
    def checked(*args: _Arguments.args, **options: _Arguments.kwargs) -> None:
        for name in options:
            if name != "model" and name not in SessionOptions.__annotations__:
                known = ", ".join(SessionOptions.__annotations__)
                raise TypeError(f"Session() got an unknown option {name!r}; expected {known}")
        init(*args, **options)

    return checked


def check_model(model: Model) -> dict[str, Any]:
    """Return path or content for the native core, and how to call the model."""
    if isinstance(model, bytes | bytearray | memoryview):
        content = bytes(model)
        if not content:
            raise ModelLoadError("model: expected the bytes of an ONNX model, got no bytes")
        return {"path": b"", "content": content, "model": f"<{len(content)} bytes>"}
    try:
        path = os.fsdecode(model)
    except TypeError:
        _refuse("model", "a path or bytes", model)
    if not os.path.exists(path):
        raise ModelLoadError(f"model: no such file: {path}")
    if not os.path.isfile(path):
        raise ModelLoadError(f"model: expected a file, got something else: {path}")
    return {"path": os.fsencode(path), "content": b"", "model": path}


def check_options(options: SessionOptions, name: str) -> dict[str, Any]:
    """Return the arguments of ``_core.open_session``; every key of SessionOptions is there.

    Raises:
        InvalidInputError: Names the option, what was expected and what came.
    """
    device, providers, provider_options = _check_device(options)
    return {
        "device": device,
        "providers": providers,
        "provider_options": provider_options,
        "session_config": _config("session_config", options["session_config"]),
        "max_batch_size": _count("max_batch_size", options["max_batch_size"], auto=True),
        "max_delay": _seconds("max_delay", options["max_delay"]),
        "instances": _count("instances", options["instances"], auto=True),
        "threads": _count("threads", options["threads"], auto=True),
        "max_pending": _count("max_pending", options["max_pending"]),
        "max_pending_bytes": _count("max_pending_bytes", options["max_pending_bytes"]),
        "max_memory_bytes": _count("max_memory_bytes", options["max_memory_bytes"], auto=True),
        "wait_when_full": _choice("when_full", options["when_full"], ("raise", "wait")) == "wait",
        "batch_axis": _batch_axis(options["batch_axis"]),
        "warmup": _flag("warmup", options["warmup"]),
        "name": _name(options["name"], name),
    }


def default_name(shown: str, path: bytes) -> str:
    """Return the name of a session that was given none: the file's, without its ending."""
    if not path:
        return "model"
    # A file's name may be bytes that are no text; a session's is always text.
    return os.path.splitext(os.path.basename(shown))[0].encode(errors="replace").decode()


def _refuse(name: str, expected: str, actual: object) -> NoReturn:
    try:
        shown = repr(actual)
    except ValueError:  # an int of 5,000 digits does not show itself
        shown = f"a huge {type(actual).__name__}"
    raise InvalidInputError(f"{name}: expected {expected}, got {shown}")


def _is_text(value: object) -> bool:
    """A str that the core can take: no lone surrogates, no NUL."""
    if not isinstance(value, str) or "\0" in value:
        return False
    return not any("\ud800" <= each <= "\udfff" for each in value)


def _count(name: str, value: object, auto: bool = False) -> int:
    """An int from 1 to what the core allows; 0 for "auto"."""
    most = _MOST[name]
    if auto and isinstance(value, str) and value == "auto":
        return 0
    expected = f"'auto' or an int from 1 to {most}" if auto else f"an int from 1 to {most}"
    if isinstance(value, bool):
        _refuse(name, expected, value)
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        _refuse(name, expected, value)
    if not 1 <= number <= most:
        _refuse(name, expected, value)
    return number


def _seconds(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        _refuse(name, "seconds, 0 or more", value)
    most = _MOST[name] / 1e9
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not 0 <= seconds <= most:
        _refuse(name, f"seconds from 0 to {most:g}", value)
    return seconds


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        _refuse(name, "True or False", value)
    return value


def _choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in choices:
        _refuse(name, " or ".join(map(repr, choices)), value)
    return value


def _batch_axis(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, int) and not isinstance(value, bool) and value == 0:
        return "first"
    if not isinstance(value, str) or value != "auto":
        _refuse("batch_axis", "'auto', 0 or None", value)
    return "auto"


def _name(value: object, default: str) -> str:
    if value is None:
        return default
    if not _is_text(value):
        _refuse("name", "a str or None, without NUL and lone surrogates", value)
    return str(value)


def _config(name: str, value: object) -> dict[str, str]:
    """A flat mapping as ONNX Runtime's texts; empty for None."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        _refuse(name, "a dict of options", value)
    texts = {}
    for key, entry in value.items():
        if not _is_text(key) or not isinstance(entry, str | int | float):
            _refuse(
                name,
                "str keys without NUL, and values that are str, int, float or bool",
                {key: entry},
            )
        try:
            texts[key] = str(int(entry)) if isinstance(entry, bool) else str(entry)
        except ValueError:  # an int of 5,000 digits
            _refuse(name, "values of a few digits", {key: entry})
        if not _is_text(texts[key]):
            _refuse(name, "values without NUL and lone surrogates", {key: entry})
    return texts


def _check_device(options: SessionOptions) -> tuple[str, list[str], dict[str, dict[str, str]]]:
    """Device for people, providers and their options for ONNX Runtime."""
    device, providers = options["device"], options["providers"]
    found = _DEVICE.fullmatch(device) if isinstance(device, str) else None
    if found is None:
        _refuse("device", "'auto', 'cpu', 'cuda' or 'cuda:N'", device)
    given = {} if options["provider_options"] is None else options["provider_options"]
    if not isinstance(given, Mapping):
        _refuse("provider_options", "a dict: provider -> dict of options", given)
    if not all(map(_is_text, given)):
        _refuse("provider_options", "names of providers as keys", list(given))
    configs = {key: _config(f"provider_options[{key!r}]", config) for key, config in given.items()}
    if providers is not None:
        if device != "auto":
            _refuse("device", "'auto' where providers are given", device)
        wrong = isinstance(providers, str) or not isinstance(providers, Sequence)
        if wrong or not providers or not all(map(_is_text, providers)):
            _refuse("providers", "a list of execution providers' names", providers)
        return providers[0].removesuffix("ExecutionProvider").lower(), list(providers), configs
    if device.startswith("cuda"):
        number = found["number"] or "0"
        configs[_CUDA] = {"device_id": number, **configs.get(_CUDA, {})}
        return f"cuda:{number}", [_CUDA, _CPU], configs
    return "cpu", [_CPU], configs
