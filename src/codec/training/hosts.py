"""Processes that share one run, on one machine or several: how they meet, stop together and part.

They meet at the first of them, which runs JAX's coordination service. All go through the same loop on the
same images, and each computes the part of every batch that its devices have.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import jax
from jax.experimental import multihost_utils

from codec.datasources import first_line
from codec.errors import TrainingError

__all__ = ["join", "part", "stop_together", "stopping_together"]

_HEARTBEAT_S = 30
"""A process that is not heard of for so long is taken for dead, and the others are ended."""
_MEETING_S = 300
"""How long the processes wait for each other at the start, each with its own data to read."""


def join(coordinator: str, processes: int, process: int) -> None:
    """Meet the other processes of a run; before anything else of JAX is used.

    Args:
        coordinator: HOST:PORT of process 0, where the others reach it.
        processes: how many there are.
        process: which of them this is, from 0.

    Raises:
        TrainingError: the others, or this one's place among them, were not to be had.
    """
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            cluster_detection_method="deactivate",
            initialization_timeout=_MEETING_S,
            heartbeat_timeout_seconds=_HEARTBEAT_S,
        )
    except RuntimeError as error:
        reason = first_line(error)
        raise TrainingError(
            f"--coordinator {coordinator}: process {process} of {processes} cannot meet the others: {reason}"
        ) from None


def part() -> None:
    """Leave the others, once all of them are about to: from here on each is by itself."""
    jax.distributed.shutdown()


def stop_together(step: int) -> bool:
    """Whether ``step`` is the one that all agreed to stop after, because one of them was asked to.

    Every process asks after every step. SIGTERM is what asks a process; JAX listens for it.
    """
    return bool(multihost_utils.reached_preemption_sync_point(step))


@contextmanager
def stopping_together() -> Iterator[None]:
    """Let the first Ctrl-C ask all processes to stop; a second one acts at once, on this process alone."""
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
