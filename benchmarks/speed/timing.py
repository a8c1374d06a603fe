"""Paired measurements: contestants in turn, round after round, and what a ratio of two of them is.

A machine's speed changes while it measures. Two times of one round were taken next to each other, so their
ratio means more than either; the median over the rounds is what is reported.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from benchmarks.speed.child import timed

__all__ = ["Comparison", "Spread", "Timer", "compare", "fastest_slices", "spread"]

Timer = Callable[[int], Sequence[float]]
"""Does its work so many times and returns the seconds of each, none of which is spent on compiling."""

_MOST_CALLS = 1000


@dataclass(frozen=True)
class Spread:
    """The median of some runs, and the least and the greatest of them."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest."""
    return Spread(median(values), min(values), max(values))


@dataclass(frozen=True)
class Comparison:
    """What ``compare`` found.

    Attributes:
        seconds: by name, the mean time of a call in each round.
        errors: by name, why there are no times.
    """

    seconds: Mapping[str, Sequence[float]]
    errors: Mapping[str, str]

    def rate(self, name: str, count: float) -> Spread:
        """``count`` things a call as things a second."""
        return spread([count / seconds for seconds in self.seconds[name]])

    def ratio(self, name: str, peer: str) -> Spread:
        """How many times as fast as ``peer``, from each round's own ratio."""
        pairs = zip(self.seconds[name], self.seconds[peer], strict=True)
        return spread([theirs / own for own, theirs in pairs])


def compare(timers: Mapping[str, Timer], rounds: int, least_seconds: float) -> Comparison:
    """Time all in turn.

    Args:
        timers: by name. One that raises is out, and its reason is kept. rounds: times that each has its turn;
        another one begins each round. least_seconds: a turn is as many calls as take at least about so long,
        for what is over too soon to time.
    """
    calls: dict[str, int] = {}
    errors: dict[str, str] = {}
    seconds: dict[str, list[float]] = {}
    for name, timer in timers.items():
        try:
            once = max(fmean(timer(1)), 1e-9)
            calls[name] = min(_MOST_CALLS, math.ceil(least_seconds / once) or 1)
            seconds[name] = []
        except Exception as error:  # a peer's failure is a result
            errors[name] = str(error)
    for number in range(rounds):
        names = list(seconds)
        first = number % max(1, len(names))
        for name in names[first:] + names[:first]:
            try:
                seconds[name].append(fmean(timers[name](calls[name])))
            except Exception as error:
                errors[name] = str(error)
                del seconds[name]
    return Comparison(seconds, errors)


def fastest_slices(call: Callable[[Any], Any], batch: Any, sizes: Sequence[int]) -> Callable[[], list[Any]]:
    """``call`` over all of ``batch``, in slices of whichever of ``sizes`` is fastest here.

    For peers: large batches leave the caches, and which size is best is theirs to know.
    """

    def in_slices(size: int) -> Callable[[], list[Any]]:
        return lambda: [call(batch[start : start + size]) for start in range(0, len(batch), size)]

    ways = [in_slices(size) for size in sorted({min(size, len(batch)) for size in sizes})]
    for way in ways:
        way()
    return min(ways, key=lambda way: min(timed(way, 3)))
