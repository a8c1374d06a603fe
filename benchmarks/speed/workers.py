"""The parent's side: warm child processes that are asked for times, on all cores or on one."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.speed.child import Task, cores
from benchmarks.speed.timing import Timer

__all__ = ["ROOT", "Worker", "WorkerError", "held_to", "library", "run", "say", "scratch", "thread_counts"]

ROOT = Path(__file__).parents[2]

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_ONE_THREAD_XLA = "--xla_cpu_multi_thread_eigen=false"
_TOLD = 300

_console = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A line of progress, on standard error."""
    _console.print(text, markup=False)


class WorkerError(Exception):
    """A child process could not do what it was asked; the message is its reason."""


class Worker:
    """A child process that times tasks (``benchmarks.speed.child``); a context that ends it.

    Args:
        command: that starts it, in the repository's root.
        threads: cores it may use; fewer than there are means the first ones and libraries with one thread.
    """

    def __init__(self, command: Sequence[str], threads: int) -> None:
        environment = dict(os.environ)
        if threads < cores():
            flags = f"{environment.get('XLA_FLAGS', '')} {_ONE_THREAD_XLA}".strip()
            environment |= _ONE_THREAD | {"XLA_FLAGS": flags}
        self._errors: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        try:
            with held_to(threads):
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._errors,
                    text=True,
                    cwd=ROOT,
                    env=environment,
                )
        except OSError as error:
            self._errors.close()
            raise WorkerError(f"{command[0]}: cannot be started: {error.strerror}") from None
        except WorkerError:
            self._errors.close()
            raise

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._process.communicate(timeout=30)  # the end of its input is the end of it
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._errors.close()

    def timer(self, task: Task) -> Timer:
        """What does the task so many times and returns the seconds of each."""
        return partial(self.seconds, task)

    def seconds(self, task: Task, calls: int) -> list[float]:
        """Seconds of each of so many calls.

        Raises:
            WorkerError: the task failed, or the process is no longer there.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"task": asdict(task), "calls": calls}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise WorkerError(f"its process ended: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        seconds: list[float] = answer["seconds"]
        return seconds

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        return last_line(self._errors.read()) or f"exit status {self._process.returncode}"


def last_line(text: str) -> str:
    """The last line that says something: of a traceback, the error."""
    lines = text.strip().splitlines()
    return lines[-1][:_TOLD] if lines else ""


def run(command: Sequence[str]) -> str:
    """What a command prints, run in the repository's root.

    Raises:
        WorkerError: it failed, or cannot be started.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except OSError as error:
        raise WorkerError(f"{command[0]}: cannot be started: {error.strerror}") from None
    if done.returncode:
        raise WorkerError(last_line(done.stderr) or f"exit status {done.returncode}")
    return done.stdout


@contextmanager
def held_to(threads: int) -> Iterator[None]:
    """Children started meanwhile inherit the first so many cores of this thread's."""
    if threads >= cores():
        yield
        return
    if not hasattr(os, "sched_setaffinity"):
        raise WorkerError("this system cannot hold a process to some of its cores")
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(own)[:threads])
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def thread_counts() -> tuple[int, ...]:
    """One, and all."""
    return tuple(sorted({1, cores()}))


def library(images: Path, threads: int) -> Worker:
    """A process with the library and the peers of its own environment, on the images of a .npy file."""
    return Worker([sys.executable, "-m", "benchmarks.speed.tasks", str(images)], threads)


@contextmanager
def scratch(images: NDArray[np.uint8]) -> Iterator[Path]:
    """A folder that is there meanwhile, with the images in it as images.npy; yields that file's path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "images.npy")
        np.save(path, images)
        yield path
