"""What ``codec train`` does where it is one of several processes: how it meets the others and how it ends.

JAX ends a process, from a thread of its own and with a page of C++, when it hears that another is gone. So
each works in a child, and its parent tells in one line how the child ended.
"""

import atexit
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Annotated, Any

import typer

from codec.errors import CodecError, OptionError, TrainingError
from codec.terminal import tell

__all__ = ["CoordinatorOption", "DevicesOption", "ProcessOption", "ProcessesOption", "shared"]

DevicesOption = Annotated[
    str,
    typer.Option(metavar="N|all", help="Devices of this machine that share every batch; of each process."),
]
CoordinatorOption = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Of process 0, where several processes meet that share a run."),
]
ProcessesOption = Annotated[int | None, typer.Option(help="How many processes share the run.")]
ProcessOption = Annotated[
    int | None, typer.Option(help="Which of them this is; 0 writes the files, and tells how it goes.")
]

_GONE = "another process of this run has ended or cannot be reached"
_AGAIN = "start all of them again with --resume, or without it where there is no checkpoint yet"
_BROKEN = ("Gloo", "NCCL", "UNAVAILABLE", "heartbeat", "oordination service")
"""One of these is in what JAX raises where a connection breaks; the kinds of its errors tell nothing."""


def shared(command: Callable[..., None]) -> Callable[..., None]:
    """Let ``command`` run among other processes, if its options say so."""

    @wraps(command)
    def run(**options: Any) -> None:
        place = options["coordinator"], options["processes"], options["process"]
        if place == (None, None, None):
            command(**options)
            return
        with _joined(*place):
            command(**options)

    return run


@contextmanager
def _joined(coordinator: str | None, processes: int | None, process: int | None) -> Iterator[None]:
    """A place among other processes for the command, in a child; its failure ends the process at once.

    Raises:
        OptionError: one without the others, or out of range.
        TrainingError: another process is gone.
    """
    if coordinator is None or processes is None or process is None:
        raise OptionError("several processes: expected --coordinator, --processes and --process together")
    host, _, port = coordinator.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise OptionError(f"--coordinator: expected HOST:PORT of process 0, found {coordinator!r}")
    if processes < 2:
        raise OptionError(f"--processes: expected at least 2, found {processes}")
    if not 0 <= process < processes:
        raise OptionError(f"--process: expected 0 to {processes - 1}, found {process}")
    _work_in_a_child()
    try:
        yield
    except typer.Exit:
        raise
    except BaseException as error:
        status = {OptionError: 2, KeyboardInterrupt: 130}.get(type(error), 1)
        # Before what JAX does at the end, which is to wait for the others: they may not be about to leave.
        atexit.register(os._exit, status)
        if not isinstance(error, CodecError) and any(word in str(error) for word in _BROKEN):
            raise TrainingError(f"{_GONE}; {_AGAIN}") from None
        raise


def _work_in_a_child() -> None:
    """Return in a child. The process itself stays here, passes on SIGTERM, and ends as the child did."""
    if not hasattr(os, "fork"):
        return
    ending, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(held)
        # Only JAX's own last words, which it prints as it ends the process, are worth seeing.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        threading.Thread(target=_end_with_parent, args=(ending,), daemon=True).start()
        return
    os.close(ending)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the child as well
    signal.signal(signal.SIGTERM, lambda number, frame: os.kill(child, number))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        tell(f"{_GONE if -status == signal.SIGABRT else f'ended by signal {-status}'}; {_AGAIN}")
        status = 1
    os._exit(status)


def _end_with_parent(pipe: int) -> None:
    os.read(pipe, 1)  # nothing is ever written: it returns when the parent, who holds the other end, is gone
    os._exit(1)
