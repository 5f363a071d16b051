"""Feeds that are not plain arrays: the way round that the native core takes when it has to.

Called by csrc/bindings/feeds.cpp, which never brings arrays that fit, and by ``map_async``.
"""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ._facts import TensorInfo
from .errors import InvalidInputError

_Array = NDArray[Any]

# Objects that have a dtype of their own must bring the right one; lists and scalars have none.
_ARRAY_PROTOCOLS = ("__array__", "__array_interface__", "__array_struct__")


def align(feeds: object, inputs: tuple[TensorInfo, ...]) -> list[object]:
    """Return one value per input, in the model's order.

    Raises:
        InvalidInputError: Names are missing or unknown, or several inputs got a bare value.
    """
    names = [info.name for info in inputs]
    if isinstance(feeds, Mapping):
        missing = [name for name in names if name not in feeds]
        unknown = [name for name in feeds if name not in names]
        if not missing and not unknown:
            return [feeds[name] for name in names]
        problems = [f"missing {_quoted(missing)}"] if missing else []
        problems += [f"unknown {_quoted(unknown)}"] if unknown else []
        raise InvalidInputError(
            f"feeds: expected {_quoted(names)}, got {_quoted(list(feeds))} ({', '.join(problems)})"
        )
    if len(inputs) == 1:
        return [feeds]
    raise InvalidInputError(
        f"feeds: expected {f'a dict with {_quoted(names)}' if names else 'an empty dict'}, "
        f"got a bare {type(feeds).__name__}"
    )


def convert(value: object, info: TensorInfo) -> _Array:
    """Return the value as a plain ndarray of the input's dtype; its shape is checked later.

    Raises:
        InvalidInputError: The dtype differs or cannot hold the values, or the object would not
            become an array; what it raised is the cause.
    """
    wanted = np.dtype(info.dtype)
    has_dtype = _has_dtype(value)
    try:
        found = np.asarray(value)
    except Exception as error:
        raise InvalidInputError(
            f"input '{info.name}': expected {_describe(info)}, got a {type(value).__name__} that "
            f"does not become an array: {type(error).__name__}: {error}"
        ) from error
    # numpy imports that module when it is first asked for; a child forked meanwhile would wait for
    # it for ever.
    if hasattr(value, "_mask") and np.ma.is_masked(value):
        _refuse(info, found, "masked values have no meaning to a model; fill them first")
    if found.ndim > 8:
        _refuse(info, found, "wrong rank")
    if _same_type(found.dtype, wanted):
        return found
    if has_dtype:
        _refuse(info, found, f"wrong dtype; convert it with .astype({info.dtype!r})")
    if found.dtype.kind not in "bfiu":
        _refuse(info, found, f"a {type(value).__name__} that holds other things than numbers")
    return _cast(found, wanted, info)


def own_arrays(feeds: object, inputs: tuple[TensorInfo, ...]) -> dict[str, _Array]:
    """Return the feeds as arrays that share no memory with what the caller brought.

    Raises:
        InvalidInputError: As ``align`` and ``convert``; a plain array's dtype is checked later.
    """
    values = zip(inputs, align(feeds, inputs), strict=True)
    return {
        info.name: value.copy() if type(value) is np.ndarray else np.array(convert(value, info))
        for info, value in values
    }


async def entries_of(feeds: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Any]:
    """Yield what ``map_async`` was given, from either kind of iterable."""
    if isinstance(feeds, AsyncIterable):
        async for entry in feeds:
            yield entry
    else:
        for entry in feeds:
            yield entry


def refuse_outputs(names: object, outputs: tuple[TensorInfo, ...]) -> NoReturn:
    """Say what is wrong with ``outputs=``."""
    known = [info.name for info in outputs]
    expected = f"outputs: expected a list of {_quoted(known)}"
    if not isinstance(names, list | tuple):
        raise InvalidInputError(f"{expected}, got {names!r}")
    unknown = [name for name in names if name not in known]
    if not unknown:
        raise InvalidInputError(f"{expected}, got an empty {type(names).__name__}")
    raise InvalidInputError(f"{expected}, got {_quoted(unknown)}")


def _has_dtype(value: object) -> bool:
    if isinstance(value, np.generic | list | tuple):
        return False
    if isinstance(value, np.ndarray | memoryview | bytes | bytearray):
        return True
    return any(hasattr(type(value), protocol) for protocol in _ARRAY_PROTOCOLS)


def _same_type(found: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    return found.kind == wanted.kind and found.itemsize == wanted.itemsize


def _cast(found: _Array, wanted: np.dtype[Any], info: TensorInfo) -> _Array:
    """Turn what numpy made of a list or scalar into the wanted type, if no value is bent."""
    if found.size == 0:
        return found.astype(wanted)
    if found.dtype.kind in "iu" and wanted.kind in "iu":
        limits = np.iinfo(wanted)
        if limits.min <= int(found.min()) and int(found.max()) <= limits.max:
            return found.astype(wanted)
        _refuse(info, found, f"values outside {limits.min} to {limits.max}")
    if not np.can_cast(found.dtype, wanted, "same_kind"):
        _refuse(info, found, "its values would change")
    with np.errstate(over="ignore"):  # 1e300 is inf in float32
        return found.astype(wanted)


def _refuse(info: TensorInfo, found: _Array, why: str) -> NoReturn:
    shape = ", ".join(map(str, found.shape))
    raise InvalidInputError(
        f"input '{info.name}': expected {_describe(info)}, got {found.dtype} [{shape}] ({why})"
    )


def _describe(info: TensorInfo) -> str:
    dims = ", ".join("?" if dim is None else str(dim) for dim in info.shape)
    return f"{info.dtype} [{dims}]"


def _quoted(names: list[object] | list[str]) -> str:
    return ", ".join(repr(name) for name in names) or "nothing"
