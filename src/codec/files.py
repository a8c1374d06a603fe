"""Files in and out: bounded reads, and writes that leave the old file or the new one, never half."""

import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from codec.errors import FileError, LimitError

__all__ = ["read_bytes", "write_bytes", "write_pieces"]


def read_bytes(path: str | os.PathLike[str], limit: int, what: str) -> bytes:
    """The whole file at ``path``, or standard input where ``path`` is "-".

    Args:
        limit: most bytes to read; one more is a ``LimitError``.
        what: the thing expected, for messages, such as "packet".
    """
    try:
        if os.fspath(path) == "-":
            data = sys.stdin.buffer.read(limit + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(limit + 1)
    except OSError as error:
        raise FileError(f"{what} {os.fspath(path)}: cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise LimitError(f"{what} {os.fspath(path)}: expected at most {limit:,} bytes, found more")
    return data


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace the file at ``path`` by ``data`` in one step; "-" is standard output."""
    write_pieces(path, [data])


def write_pieces(path: str | os.PathLike[str], pieces: Iterable[bytes]) -> int:
    """Replace the file at ``path`` by the joined ``pieces`` in one step and return its length in bytes.

    The pieces are written to a temporary file beside it, flushed to disk and renamed. When a piece cannot
    be made or written, the temporary file is removed and an older file of that name stays as it was.
    """
    if os.fspath(path) == "-":
        return _write_to(sys.stdout.buffer, pieces)
    target = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except OSError as error:
        raise FileError(f"{target}: cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            length = _write_to(file, pieces)
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError):
            raise FileError(f"{target}: cannot be written: {error.strerror}") from None
        raise
    return length


def _write_to(file: BinaryIO, pieces: Iterable[bytes]) -> int:
    length = 0
    for piece in pieces:
        length += file.write(piece)
    file.flush()
    return length


def _umask() -> int:
    """The process's file mode mask; the system only tells it by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
