"""Files in and out: bounded reads, and writes that leave the old file or the new one, never half."""

import errno
import io
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from codec.errors import FileError, LimitError

__all__ = [
    "creating",
    "read_bytes",
    "read_up_to",
    "replacing",
    "standard_input",
    "sync_folder",
    "write_bytes",
    "write_pieces",
    "write_to",
    "write_together",
    "writing",
]

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


def write_bytes(path: str | os.PathLike[str], data: bytes, *, lasting: bool = True) -> None:
    """Replace the file at ``path`` by ``data`` in one step; "-" is standard output. See ``write_pieces``."""
    write_pieces(path, [data], lasting=lasting)


def write_pieces(path: str | os.PathLike[str], pieces: Iterable[bytes], *, lasting: bool = True) -> int:
    """Replace the file at ``path`` by the joined ``pieces`` in one step and return its length in bytes.

    The pieces are written to a temporary file beside it, flushed to disk and renamed. When a piece cannot
    be made or written, the temporary file is removed and an older file of that name stays as it was. A file
    that is replaced keeps its mode, and a link its target. What is no regular file, such as a pipe or
    /dev/null, is written to directly. A process that is killed leaves the old file or the new one, and
    perhaps its temporary file, whose name begins with ``.codec-``: it can be deleted.

    Args:
        lasting: whether the folder is flushed to disk too, so that no loss of power brings back the older
            file. Who writes many files into one folder calls ``sync_folder`` once in the end: it takes as
            long as writing a small file.

    Raises:
        FileError: the file cannot be written. What the making of a piece raises passes as it is.
    """
    if os.fspath(path) == "-":
        if sys.stdout is None:
            raise FileError("standard output: cannot be written: it is closed")
        return write_to(sys.stdout.buffer, pieces, "standard output")
    with writing(path):
        target = Path(os.path.realpath(path))
        regular = target.is_file() or not target.exists()
    if regular:
        with _written_beside(path, pieces) as (length, replace):
            replace()
        if lasting:
            sync_folder(target.parent)
        return length
    with writing(path):
        file = target.open("wb", buffering=0)
    with file:
        return write_to(file, pieces, path)


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Replace several files as ``write_bytes`` does each, all being written before the first is renamed.

    So a disk that is full leaves all as they were, and a process that is killed between the renames, which
    follow each other at once, some old and some new, each whole.
    """
    with ExitStack() as stack:
        written = [stack.enter_context(_written_beside(path, [data])) for path, data in contents.items()]
        for _, replace in written:
            replace()
    for folder in {Path(os.path.realpath(path)).parent for path in contents}:
        sync_folder(folder)


@contextmanager
def _written_beside(
    path: str | os.PathLike[str], pieces: Iterable[bytes]
) -> Iterator[tuple[int, Callable[[], None]]]:
    """The length of the joined ``pieces``, in a temporary file, and what renames it to ``path``.

    Without that, the temporary file is removed in the end.
    """
    with writing(path):
        target = Path(os.path.realpath(path))
        mode = target.stat().st_mode if target.exists() else None
        temporary = target.parent / f".codec-{secrets.token_hex(8)}"
        file = temporary.open("xb", buffering=0)

    def replace() -> None:
        with writing(path):
            temporary.replace(target)

    try:
        with file:
            length = write_to(file, pieces, path)
            with writing(path):
                os.fsync(file.fileno())
                if mode is not None:
                    os.fchmod(file.fileno(), stat.S_IMODE(mode))
        yield length, replace
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def creating(path: str | os.PathLike[str], *, private: bool = False) -> Iterator[BinaryIO]:
    """A new file to write, which appears at ``path`` whole when the block ends, or not at all.

    A file that is there already stays as it is. A ``private`` one has mode 600 from its first moment,
    whatever the umask.

    Raises:
        FileError: there is a file already, or it cannot be written or kept from others.
    """
    target = Path(path)
    temporary = target.parent / f".codec-{secrets.token_hex(8)}"
    with writing(path):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        descriptor = os.open(temporary, flags, 0o600 if private else 0o666)
        try:
            with open(descriptor, "wb") as file:
                if private:
                    os.fchmod(descriptor, 0o600)  # a umask may have left its owner less
                    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
                    if mode != 0o600:
                        raise FileError(
                            f"{os.fspath(path)}: cannot be kept from others: this file system gives it mode "
                            f"{mode:o}; choose another folder"
                        )
                yield file
                file.flush()
                os.fsync(descriptor)
            os.link(temporary, target)  # which unlike a rename never replaces a file
            sync_folder(target.parent)
        except FileExistsError:
            raise FileError(
                f"{os.fspath(path)}: is there already and stays as it is; choose another name"
            ) from None
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to ``write_to``, which replaces the one at ``path`` whole when the block ends, or not at all.

    For what cannot be given as pieces to ``write_pieces``, which tells more.
    """
    with writing(path):
        target = Path(os.path.realpath(path))
        mode = target.stat().st_mode if target.exists() else None
        if mode is not None and not stat.S_ISREG(mode):
            raise FileError(f"{os.fspath(path)}: expected a file or the name of a new one; this is neither")
        temporary = target.parent / f".codec-{secrets.token_hex(8)}"
        file = temporary.open("xb", buffering=0)
    try:
        with file:
            yield cast(BinaryIO, file)
            with writing(path):
                os.fsync(file.fileno())
                if mode is not None:
                    os.fchmod(file.fileno(), stat.S_IMODE(mode))
        with writing(path):
            temporary.replace(target)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make what was renamed in ``folder`` outlast a loss of power, where the system can be told to."""
    if os.name != "posix":
        return
    with writing(folder):
        try:
            number = os.open(folder, os.O_RDONLY)
        except PermissionError:  # one that may be written to but not listed
            return
        try:
            os.fsync(number)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot
                raise
        finally:
            os.close(number)


def write_to(file: BinaryIO | io.FileIO, pieces: Iterable[bytes], name: str | os.PathLike[str]) -> int:
    """Write the joined ``pieces`` to an open file and return their length; ``name`` is the file's.

    Raises:
        FileError: they cannot be written. What the making of a piece raises passes as it is.
    """
    length = 0
    for piece in pieces:
        with writing(name):
            rest = memoryview(piece)
            while rest:  # without a buffer a file may take less than all
                rest = rest[file.write(rest) :]
            file.flush()  # so that a full disk is noticed here, not when the file is closed
        length += len(piece)
    return length


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Tell what the system says of writing to ``path``; a reader that has gone stays a BrokenPipeError."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise FileError(f"{os.fspath(path)}: cannot be written: {_reason(error)}") from None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
