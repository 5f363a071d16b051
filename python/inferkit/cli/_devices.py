"""Which devices a runtime could use, and why not."""

from __future__ import annotations

import ctypes
import mmap
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from ._findings import Finding

CUDA_PROVIDER = "CUDAExecutionProvider"
# Zero-terminated, as in the table of names of an ELF file; lookarounds since neighbours share it.
CUDA_LIBRARY = re.compile(
    rb"(?<=\0)lib(?:cudart|cublas|cublasLt|cudnn|cufft|curand)\.so\.\d+(?=\0)"
)
OTHERS = {
    "TensorrtExecutionProvider": "tensorrt",
    "OpenVINOExecutionProvider": "openvino",
    "ROCMExecutionProvider": "rocm",
    "MIGraphXExecutionProvider": "migraphx",
    "DmlExecutionProvider": "directml",
    "CoreMLExecutionProvider": "coreml",
}


def findings(providers: Sequence[str], library: Path) -> Iterator[Finding]:
    """Yield one finding per device: ``providers`` are what the runtime at ``library`` lists."""
    yield Finding("device cpu", "ok", "usable")
    yield _cuda(providers, library)
    for provider in providers:
        if provider in OTHERS:
            text = f"{provider} is in this runtime; whether it works was not tried"
            yield Finding(f"device {OTHERS[provider]}", "ok", text)


def nvidia_gpus() -> tuple[list[str], str]:
    """Return the names of the GPUs that the NVIDIA driver offers, and why there are none."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return [], "no NVIDIA driver (libcuda.so.1 is not to be found)"
    code = driver.cuInit(0)
    if code:
        return [], f"the NVIDIA driver does not start (cuInit returned {code})"
    count = ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    names = []
    for index in range(count.value):
        name = ctypes.create_string_buffer(128)
        driver.cuDeviceGetName(name, len(name), index)
        names.append(name.value.decode(errors="replace"))
    return names, "" if names else "the NVIDIA driver offers no GPU (see CUDA_VISIBLE_DEVICES)"


def _cuda(providers: Sequence[str], library: Path) -> Finding:
    gpus, why_not = nvidia_gpus()
    offered = CUDA_PROVIDER in providers
    if not gpus:
        provider = f"{CUDA_PROVIDER} is in this runtime, but " if offered else ""
        return Finding("device cuda", "warn" if offered else "ok", f"none: {provider}{why_not}")
    named = ", ".join(gpus)
    if not offered:
        return Finding(
            "device cuda",
            "warn",
            f"{named} is here, but this runtime has no {CUDA_PROVIDER}",
            'pip uninstall onnxruntime, then pip install "inferkit[gpu]"',
        )
    missing = [name for name in needed_libraries(library.parent) if not _loads(name)]
    if missing:
        return Finding(
            "device cuda",
            "warn",
            f"{named} is here, but the runtime needs {', '.join(missing)}, not to be found",
            'pip install "onnxruntime-gpu[cuda,cudnn]"',
        )
    return Finding("device cuda", "ok", f"{named}; the runtime has {CUDA_PROVIDER}")


def needed_libraries(folder: Path) -> Iterable[str]:
    """Return the CUDA libraries that the provider library in ``folder`` is linked to."""
    provider = folder / "libonnxruntime_providers_cuda.so"
    if not provider.is_file() or not provider.stat().st_size:
        return []
    with (
        provider.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        found = {name.decode() for name in CUDA_LIBRARY.findall(content)}
    return sorted(found)


def _loads(name: str) -> bool:
    """Return whether the loader, or one of NVIDIA's wheels, has the library."""
    try:
        ctypes.CDLL(name)
    except OSError:
        spec = find_spec("nvidia")
        folders = (spec.submodule_search_locations or []) if spec else []
        return any(any(Path(folder).glob(f"**/lib/{name}")) for folder in folders)
    return True
