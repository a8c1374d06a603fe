"""Fuzzing without instrumentation: thousands of mutants a second, counted by what became of them."""

import os
import resource
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random

from tests.fuzz.target import Target, corpus, pick

__all__ = ["run"]

_POOL = 512
"""Inputs kept for each thing that may become of one that is taken, so that mutations add up."""
_REPORT_SECONDS = 60.0


def run(
    target: Target, *, seconds: float, runs: int, seed: int, folder: Path, timeout: float, memory: int
) -> bool:
    """Fuzz until ``seconds`` or ``runs`` are over, 0 being no bound, or a check fails: whether none did.

    Args:
        folder: where the failing input goes. The input under way stands in ``current-TARGET`` there all the
            while, so that what kills the process is not lost.
        timeout: seconds of processor time that one input may take.
        memory: bytes that the process may grow by.
    """
    rng = Random(seed)
    seeds = list(corpus(target.name).values())
    pools: dict[str, list[bytes]] = {}
    told: Counter[str] = Counter()
    start = report = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    for data in seeds:
        target.check(data)
    kinds = [seeds]
    base, done = _resident(), 0
    current = folder / f"current-{target.name}"
    with current.open("wb", buffering=0) as file:
        while not runs or done < runs:
            data = target.mutate(pick(rng, pick(rng, kinds)), rng)[: target.most]
            os.pwrite(file.fileno(), data, 0)
            file.truncate(len(data))
            before = time.process_time()
            try:
                outcome = target.check(data)
                took = time.process_time() - before
                if took > timeout:
                    raise AssertionError(f"took {took:.1f} s, more than {timeout:g}")
                if _resident() - base > memory:
                    raise AssertionError(f"the process has grown by more than {memory:,} bytes")
            except KeyboardInterrupt:
                raise
            except BaseException:  # panics of libraries in Rust are no Exception
                traceback.print_exc(file=sys.stdout)
                _print(target, done, time.monotonic() - start, told)
                current.unlink()
                _tell(target, data, folder)
                return False
            now, done = time.monotonic(), done + 1
            told[outcome] += 1
            if not outcome.endswith("Error"):
                if outcome not in pools:
                    pools[outcome] = []
                    kinds.append(pools[outcome])
                pool = pools[outcome]
                if len(pool) < _POOL:
                    pool.append(data)
                else:
                    pool[int(rng.random() * _POOL)] = data
            if now - report > _REPORT_SECONDS:
                report = now
                _print(target, done, now - start, told)
            if seconds and now - start > seconds:
                break
    current.unlink()
    _print(target, done, time.monotonic() - start, told)
    return True


def _resident() -> int:
    """The most memory that the process has had, in bytes."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size << 10


def _tell(target: Target, data: bytes, folder: Path) -> None:
    path = folder / f"crash-{target.name}-{os.getpid()}"
    path.write_bytes(data)
    print(f"{target.name}: failed; the input is in {path}; to run it again:")
    print(f"    python -m tests.fuzz {target.name} --input {path}", flush=True)


def _print(target: Target, done: int, took: float, told: Counter[str]) -> None:
    rate = done / max(took, 1e-9)
    print(f"{target.name}: {done:,} runs in {took:.0f} s, {rate:,.0f} a second")
    for outcome, count in told.most_common():
        print(f"    {count:12,}  {outcome}", flush=True)
