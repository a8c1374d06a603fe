"""Time and memory of streaming, ``encode_stream`` and ``decode_stream``, over the number of images."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.rows import Growth, GrowthFailure, plain
from benchmarks.speed.workers import WorkerError, run, say, scratch

__all__ = ["measured", "rows"]

_FULL_COUNTS, _QUICK_COUNTS = (1000, 10_000, 100_000, 1_000_000), (1000, 10_000)
_SURE_COUNT = 100_000
_MOST_SECONDS = 360.0
_PAIR = "mnist"

Row = Growth | GrowthFailure


def rows(images: NDArray[np.uint8], quick: bool) -> list[dict[str, Any]]:
    """The section's rows."""
    return plain(measured(images, _QUICK_COUNTS if quick else _FULL_COUNTS))


def measured(
    images: NDArray[np.uint8], counts: tuple[int, ...], most_seconds: float = _MOST_SECONDS
) -> list[Row]:
    """Two rows a count; without figures if it would take over ``most_seconds``, by the count before."""
    found: list[Row] = []
    latest: dict[str, Growth] = {}
    with scratch(images) as path:
        for count in counts:
            for work in ("encode", "decode"):
                expected = latest[work].seconds * count / latest[work].images if work in latest else 0.0
                if count > _SURE_COUNT and expected > most_seconds:
                    error = (
                        f"left out: it would take about {expected:,.0f} s, judged by the "
                        f"{latest[work].seconds:,.0f} s of {latest[work].images:,} images"
                    )
                    found.append(GrowthFailure(_PAIR, count, work, error))
                    continue
                row = _streamed(path, count, work)
                found.append(row)
                if isinstance(row, Growth):
                    latest[work] = row
    return found


def _streamed(images: Path, count: int, work: str) -> Row:
    say(f"growth: {work} {count:,} images")
    packet = images.with_name(f"{count}.packet")
    arguments = [work, str(images), str(count), str(packet)]
    try:
        told = json.loads(run([sys.executable, "-m", "benchmarks.speed.streaming", *arguments]))
    except WorkerError as error:
        return GrowthFailure(_PAIR, count, work, str(error))
    return Growth(_PAIR, count, work, told["seconds"], count / told["seconds"], told["peak_mib"])
