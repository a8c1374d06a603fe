"""What child processes share: they are asked for times line by line, and know their own peak memory.

The standard library alone, so that a process of any environment can use it and nothing weighs on what it
measures.

A request is a line of JSON on standard input, {"task": {...}, "calls": n}; its answer a line on standard
output, {"seconds": [...]}, one number a call, or {"error": "..."}. The first request for a task prepares it
and calls it once unmeasured, so that compiling is no part of any time.
"""

import json
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

__all__ = ["Task", "cores", "peak_mib", "serve", "timed"]


@dataclass(frozen=True)
class Task:
    """What to time.

    Attributes:
        work: encode, decode, analysis, synthesis, train step or matrix product.
        codec: the pair, the peer or the network.
        batch: images given at once; of a matrix product the rows and columns of both factors.
        effort: of a pair's encoder.
    """

    work: str
    codec: str
    batch: int = 1
    effort: int = 0


def timed(call: Callable[[], Any], calls: int, clock: Callable[[], float] = perf_counter) -> list[float]:
    """Seconds of each of so many calls."""
    seconds = []
    for _ in range(calls):
        start = clock()
        call()
        seconds.append(clock() - start)
    return seconds


def serve(prepare: Callable[[Task], Callable[[], Any]]) -> None:
    """Answer requests until standard input ends.

    Args:
        prepare: turns a task into a call that does its work once. What it or the call raises is the answer.
    """
    # Libraries print what they like: their standard output becomes standard error, answers keep the real one.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    prepared: dict[Task, Callable[[], Any]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        task = Task(**request["task"])
        try:
            if task not in prepared:
                call = prepare(task)
                call()
                prepared[task] = call
            answer: dict[str, Any] = {"seconds": timed(prepared[task], request["calls"])}
        except Exception as error:  # whatever a peer raises is what there is to say of it
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def peak_mib() -> float:
    """The most memory this process ever had resident."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux its figure begins with what the parent had when it started this process.
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1 << (20 if sys.platform == "darwin" else 10)
    )
