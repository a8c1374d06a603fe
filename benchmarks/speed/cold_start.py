"""Whole processes from start to end, next to a Python that does nothing and one that only imports JAX."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.child import timed
from benchmarks.speed.rows import ColdStart, PartFailure, plain
from benchmarks.speed.timing import Timer, compare, spread
from benchmarks.speed.workers import run, say, scratch
from codec.imagefiles import png_bytes

__all__ = ["rows"]

_FULL_RUNS, _QUICK_RUNS = 7, 2
_NOTHING, _JAX = "python -c pass", 'python -c "import jax"'
_HELP, _INSPECT, _DECODE = "codec --help", "codec inspect one.packet", "codec decode one.packet"
_PEERS = {_HELP: _NOTHING, _INSPECT: _NOTHING, _DECODE: _JAX, _JAX: _NOTHING}


def rows(images: NDArray[np.uint8], quick: bool) -> list[dict[str, Any]]:
    """The section's rows."""
    with scratch(images) as path:
        return plain(measured(images[0], path.parent, _QUICK_RUNS if quick else _FULL_RUNS))


def measured(image: NDArray[np.uint8], folder: Path, runs: int) -> list[ColdStart | PartFailure]:
    """A row for each command, with files of one image in ``folder``."""
    codec = [sys.executable, "-m", "codec"]
    packet, picture = folder / "one.packet", folder / "one.png"
    picture.write_bytes(png_bytes(image))
    say("cold start")
    run([*codec, "encode", str(picture), "-o", str(packet)])
    commands = {
        _NOTHING: [sys.executable, "-c", "pass"],
        _JAX: [sys.executable, "-c", "import jax"],
        _HELP: [*codec, "--help"],
        _INSPECT: [*codec, "inspect", str(packet)],
        _DECODE: [*codec, "decode", str(packet), "-o", str(folder / "decoded")],
    }
    comparison = compare({what: _timer(command) for what, command in commands.items()}, runs, 0)
    found: list[ColdStart | PartFailure] = []
    for what in commands:
        if what in comparison.errors:
            found.append(PartFailure(what, comparison.errors[what]))
            continue
        seconds = spread(comparison.seconds[what])
        peer = _PEERS.get(what)
        ratio = comparison.ratio(what, peer).median if peer in comparison.seconds and peer else None
        found.append(
            ColdStart(what, seconds.median, seconds.low, seconds.high, runs, peer if ratio else None, ratio)
        )
    return found


def _timer(command: Sequence[str]) -> Timer:
    return lambda calls: timed(lambda: run(command), calls)
