"""What a benchmark ran on, and the versions of all that its figures depend on."""

import os
import platform
import sys
import zlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["machine"]

_PACKAGES = (
    "constriction", "flax", "imagecodecs", "jax", "jaxlib", "matplotlib", "numpy", "onnxruntime",
    "optax", "pillow", "scikit-image", "scikit-learn", "split-codec", "tensorflow-cpu", "zstandard",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """Processor, cores, memory and software."""
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": sys.version.split()[0],
        "versions": _versions(),
    }


def _processor() -> str:
    """The model, or the family and number of one whose hypervisor hides it."""
    told = Path("/proc/cpuinfo")
    if not told.exists():
        return platform.processor()
    lines = (line.partition(":") for line in told.read_text().splitlines())
    fields = {name.strip(): value.strip() for name, _, value in lines}
    return fields.get("model name", platform.processor())


def _memory_gib() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def _versions() -> dict[str, str]:
    """Version by name of every library that is here, those inside others among them."""
    found = {"zlib": zlib.ZLIB_RUNTIME_VERSION}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if "pillow" in found:
        from PIL import features

        for name in ("libjpeg_turbo", "jpg_2000", "webp", "avif"):
            found[f"pillow/{name}"] = str(features.version(name))
    if "imagecodecs" in found:
        import imagecodecs

        wrapped: dict[str, str] = imagecodecs.version(dict)
        found |= {f"imagecodecs/{name}": wrapped[name] for name in ("brotli", "charls", "libjxl", "qoi")}
    return dict(sorted(found.items()))
