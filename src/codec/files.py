"""Files in and out: bounded reads, and writes that leave the old file or the new one, never half."""

import os
import secrets
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from codec.errors import FileError, LimitError

__all__ = ["read_bytes", "read_up_to", "standard_input", "write_bytes", "write_pieces"]

_READ_BYTES = 1 << 20
"""Most bytes asked of a file at once: a false length must not make anyone set aside what is not there."""


def read_up_to(file: BinaryIO, count: int) -> bytes:
    """The next ``count`` bytes, fewer only at the end: pipes and sockets may return less than asked for.

    Raises:
        TypeError: a mistake of the caller: no file, one of text, or one that gives more than it is asked for.
    """
    if not hasattr(file, "read"):
        raise TypeError(f"expected bytes or a file open for reading bytes, found {type(file).__name__}")
    pieces = []
    while count:
        asked = min(count, _READ_BYTES)
        piece: Any = file.read(asked)
        if not piece:
            break
        if not isinstance(piece, bytes | bytearray) or len(piece) > asked:
            raise TypeError(
                f"expected a file whose read({asked:,}) gives as many bytes at most, "
                f"found {len(piece):,} of type {type(piece).__name__}; open it in binary mode"
            )
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def standard_input() -> BinaryIO:
    """Standard input as bytes; ``FileError`` where the process was started without one."""
    if sys.stdin is None:
        raise FileError("standard input: cannot be read: it is closed")
    return sys.stdin.buffer


def read_bytes(path: str | os.PathLike[str], limit: int, what: str) -> bytes:
    """The whole file at ``path``, or standard input where ``path`` is "-".

    Args:
        limit: most bytes to read; one more is a ``LimitError``.
        what: the thing expected, for messages, such as "packet".
    """
    try:
        if os.fspath(path) == "-":
            data = read_up_to(standard_input(), limit + 1)
        else:
            with open(path, "rb") as file:
                data = read_up_to(file, limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise FileError(f"{what} {os.fspath(path)}: cannot be read: {_reason(error)}") from None
    if len(data) > limit:
        raise LimitError(f"{what} {os.fspath(path)}: expected at most {limit:,} bytes, found more")
    return data


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace the file at ``path`` by ``data`` in one step; "-" is standard output."""
    write_pieces(path, [data])


def write_pieces(path: str | os.PathLike[str], pieces: Iterable[bytes]) -> int:
    """Replace the file at ``path`` by the joined ``pieces`` in one step and return its length in bytes.

    The pieces are written to a temporary file beside it, flushed to disk and renamed. When a piece cannot
    be made or written, the temporary file is removed and an older file of that name stays as it was. A file
    that is replaced keeps its mode, and a link its target. What is no regular file, such as a pipe or
    /dev/null, is written to directly.

    Raises:
        FileError: the file cannot be written. What the making of a piece raises passes as it is.
    """
    if os.fspath(path) == "-":
        if sys.stdout is None:
            raise FileError("standard output: cannot be written: it is closed")
        return _write_to(sys.stdout.buffer, pieces, "standard output")
    with _writing(path):
        target = Path(os.path.realpath(path))
        mode = target.stat().st_mode if target.exists() else None
        regular = mode is None or stat.S_ISREG(mode)
        temporary = target.parent / f".codec-{secrets.token_hex(8)}"
        file = temporary.open("xb") if regular else target.open("wb")
    if not regular:
        with file:
            return _write_to(file, pieces, path)
    try:
        with file:
            length = _write_to(file, pieces, path)
            with _writing(path):
                os.fsync(file.fileno())
                if mode is not None:
                    os.fchmod(file.fileno(), stat.S_IMODE(mode))
        with _writing(path):
            temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return length


def _write_to(file: BinaryIO, pieces: Iterable[bytes], name: str | os.PathLike[str]) -> int:
    length = 0
    for piece in pieces:
        with _writing(name):
            file.write(piece)
            file.flush()  # so that a full disk is noticed here, not when the file is closed
        length += len(piece)
    return length


@contextmanager
def _writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Tell what the system says of writing to ``path``; a reader that has gone stays a BrokenPipeError."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise FileError(f"{os.fspath(path)}: cannot be written: {_reason(error)}") from None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
