"""How the command line speaks and ends: results on standard output, a failure as a line on standard error.

Exit status: 0 done, 1 bad input or failure told in one line, 2 wrong usage, 130 interrupted, 141 the reader
of the output has gone. No traceback, and nothing that a library prints of what is told here anyway.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from traceback import extract_tb
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from codec.errors import CodecError, OptionError

__all__ = ["Commands", "counted", "run", "say", "tell"]

_NO_MEMORY = "there is not enough memory for this; free some, or take smaller images or fewer at once"


@contextmanager
def _reader_gone() -> Iterator[None]:
    """End as a program does that the system ends where the reader of its output has gone."""
    try:
        yield
    except BrokenPipeError:
        _let_go()
        raise typer.Exit(141) from None


class Commands(TyperGroup):
    """The commands; typer by itself would end with status 1 where the reader has gone."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        with _reader_gone():  # of --help
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        with _reader_gone():
            return super().invoke(ctx)


def say(text: str) -> None:
    """A line of the result on standard output, which must be there."""
    from codec.files import write_bytes

    write_bytes("-", f"{text}\n".encode(errors="backslashreplace"))


def tell(text: str) -> None:
    """One line on standard error, whatever names and messages hold: nothing that a terminal would obey."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.splitlines()))
    typer.echo(f"codec: {line}", err=True)


def run(app: Callable[[], Any]) -> None:
    """Run a command line; every failure but wrong usage is one line on standard error, whatever it is."""
    _occupy_standard_streams()
    _silence_libraries()
    try:
        app()
    except CodecError as error:
        _fail(str(error), 2 if isinstance(error, OptionError) else 1)
    except ImportError as error:
        _fail(f"a library cannot be loaded: {error}; is it installed, and is there memory enough?")
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
    except MemoryError:
        _fail(_NO_MEMORY)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # the panics of libraries in Rust are no Exception
        if type(error).__name__ == "JaxRuntimeError" and "RESOURCE_EXHAUSTED" in str(error):
            _fail(_NO_MEMORY)
        *_, place = extract_tb(error.__traceback__)
        _fail(
            f"a defect: {type(error).__name__} in {Path(place.filename).name}, line {place.lineno}: {error}; "
            "please report it with the command"
        )


def _occupy_standard_streams() -> None:
    """Open those that are closed on nothing: a file with their number would get what libraries print."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _silence_libraries() -> None:
    """Let no library log or print what it also raises here, from its threads and while it is being left."""
    logging.disable()
    sys.excepthook = lambda kind, error, trace: None
    sys.unraisablehook = lambda what: None
    threading.excepthook = lambda what: None


def _fail(text: str, status: int = 1) -> NoReturn:
    with suppress(OSError):  # nobody is left to be told where standard error cannot be written either
        tell(text)
    _let_go()
    sys.exit(status)


def _let_go() -> None:
    """Drop what standard output holds and cannot be written, or leaving would fail once more."""
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def counted(images: int) -> str:
    """The number of images, in words."""
    return f"{images:,} image{'s' * (images != 1)}"
