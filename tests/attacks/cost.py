"""What an attack costs its victim."""

import time
import tracemalloc
from collections.abc import Callable

import pytest

from codec.errors import CodecError

__all__ = ["KIB", "MIB", "assert_quick", "refused", "refused_at_once"]

KIB, MIB = 1 << 10, 1 << 20


def refused(
    attack: Callable[[], object],
    told: str,
    *,
    error: type[CodecError] = CodecError,
    seconds: float = 0.2,
    memory: int = MIB,
) -> str:
    """The message of an attack that is refused as told, within so much time and so many bytes.

    Memory is what Python and NumPy allocate.
    """

    def attempt() -> None:
        with pytest.raises(error, match=told):
            attack()

    assert_quick(attempt, seconds)
    tracemalloc.start()
    try:
        with pytest.raises(error, match=told) as caught:
            attack()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < memory, f"took {peak:,} bytes"
    message = str(caught.value)
    assert len(message) < 2000, f"a message of {len(message):,} characters"
    return message


def assert_quick(action: Callable[[], object], seconds: float) -> None:
    """That at least one of several attempts takes less processor time: others use the machine too."""
    least = float("inf")
    for _ in range(20):
        start = time.process_time()
        action()
        least = min(least, time.process_time() - start)
        if least < seconds:
            return
    raise AssertionError(f"took {least:.4f} s of the processor")


def refused_at_once(attack: Callable[[], object], told: str, error: type[CodecError] = CodecError) -> str:
    """In a millisecond and a megabyte."""
    return refused(attack, told, error=error, seconds=0.001, memory=MIB)
