"""Compiled functions over any number of images: a few fixed batch sizes, on a thread for each core.

Small batches stay in a core's cache, and their buffers in the process's memory: what XLA needs for a large
one goes back to the system after every call, and costs more to get again than the arithmetic. Each batch runs
on one thread (``ONE_THREAD``), because XLA gains little from sharing one out; so nothing of a result depends
on the number of cores.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import jax

    from codec.architecture import Architecture

__all__ = [
    "COMPILED",
    "ONE_THREAD",
    "apply_in_batches",
    "batch_sizes",
    "batches",
    "compiled_for",
    "in_threads",
    "use_cores",
]

ONE_THREAD = {"xla_cpu_multi_thread_eigen": False}
"""Options to compile with."""
_BATCH_SIZES = (1, 16, 64)
"""64 small images' activations about fit a core's cache; the others are for single images and short tails."""
_BATCH_VALUES = 1 << 18
"""Large images go in smaller batches: filling one up must not cost many times the images themselves."""
COMPILED = 16
"""Compiled functions that are kept: each size of images has its own, and a sender may send many sizes."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def batches(count: int, sizes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Start, end and size to fill up to of each batch that ``count`` rows go in, under rising ``sizes``."""
    start = 0
    while start < count:
        size = next((s for s in sizes if s >= count - start), sizes[-1])
        end = min(start + size, count)
        yield start, end, size
        start = end


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """``function`` of each item, in their order, on a thread for each core that this process may use.

    Where ``function`` calls this again, its threads have their part of the cores.
    """
    listed = list(items)
    share = getattr(_here, "cores", None) or _cores()
    threads = min(len(listed), share)
    if threads < 2:
        return [function(item) for item in listed]

    def start() -> None:
        _here.cores = share // threads

    # For this call alone: threads that stayed would not be there in a forked process.
    with ThreadPoolExecutor(threads, initializer=start) as pool:
        return list(pool.map(function, listed))


_here = threading.local()
"""``cores``: how many this thread may share its work out to, where another has given it some."""


@contextmanager
def use_cores(count: int | None) -> Iterator[None]:
    """In the block, let this thread share its work out to ``count`` threads; None changes nothing."""
    before = getattr(_here, "cores", None)
    _here.cores = count or before
    try:
        yield
    finally:
        _here.cores = before


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@lru_cache(COMPILED)
def compiled_for(
    network: "Callable[..., jax.Array]", architecture: "Architecture", shape: tuple[int, ...]
) -> "Callable[..., jax.Array]":
    """``network(architecture, parameters, batch, quality)`` compiled for batches of rows of one ``shape``.

    What is compiled belongs to the function returned, and goes when that has not been asked for lately.
    Factors of products are not rounded, as JAX would do by default on a GPU; on a CPU it never does.
    """
    import jax

    def precise(*arguments: Any) -> "jax.Array":
        with jax.default_matmul_precision("highest"):
            return network(architecture, *arguments)

    return jax.jit(precise, compiler_options=ONE_THREAD)


def batch_sizes(values: int) -> tuple[int, ...]:
    """The sizes of batches, rising, for images of so many values: what goes in or comes out, the larger."""
    return tuple(size for size in _BATCH_SIZES if size == 1 or size * values <= _BATCH_VALUES)


def apply_in_batches(
    function: "Callable[..., jax.Array]",
    parameters: Any,
    array: NDArray[Any],
    *arguments: Any,
    sizes: Sequence[int],
) -> NDArray[Any]:
    """``function(parameters, part, *arguments)`` over parts of ``array`` [N, ...], joined again.

    The last part is filled up with copies of its last row to the next fixed size, and cut off again.

    Args:
        sizes: that parts may have, rising.
    """

    def apply(batch: tuple[int, int, int]) -> NDArray[Any]:
        start, end, size = batch
        part = array[start:end]
        if len(part) < size:
            part = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
        return np.asarray(function(parameters, part, *arguments))[: end - start]

    parts = in_threads(apply, batches(len(array), sizes))
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
