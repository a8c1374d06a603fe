"""One image at a time in a warm process on all cores: the median and the 99th percentile of many calls."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.child import Task, cores
from benchmarks.speed.pairs import setting_of
from benchmarks.speed.peers import PEERS
from benchmarks.speed.rows import Failure, Latency, plain
from benchmarks.speed.workers import Worker, library, say, scratch
from codec.loading import pretrained

__all__ = ["latency", "measured", "rows"]

_FULL_CALLS, _QUICK_CALLS = 1000, 100
_TURNS = 10


def rows(images: NDArray[np.uint8], quick: bool) -> list[dict[str, Any]]:
    """The section's rows."""
    with scratch(images) as path, library(path, cores()) as worker:
        found: list[Latency | Failure] = []
        for work in ("encode", "decode"):
            say(f"latency: {work}")
            found += measured(worker, work, _QUICK_CALLS if quick else _FULL_CALLS)
    return plain(found)


def measured(worker: Worker, work: str, calls: int) -> list[Latency | Failure]:
    """A row for each pair and format, each with so many calls, in turns of a tenth of them."""
    settings = {name: setting_of(name) for name in pretrained()}
    settings |= {name: peer.setting for name, peer in PEERS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in settings}
    errors: dict[str, str] = {}
    for _ in range(_TURNS):
        for name in settings:
            if name not in errors:
                try:
                    seconds[name] += worker.seconds(Task(work, name), calls // _TURNS)
                except Exception as error:  # a peer's failure is a result
                    errors[name] = str(error)
    return [
        Failure(name, work, errors[name]) if name in errors else latency(name, work, setting, seconds[name])
        for name, setting in settings.items()
    ]


def latency(codec: str, work: str, setting: str, seconds: Sequence[float]) -> Latency:
    """The row of so many calls."""
    middle, late = np.percentile(seconds, [50, 99]) * 1000
    return Latency(codec, work, setting, float(middle), float(late), len(seconds))
