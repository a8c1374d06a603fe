"""What decoded images of one shard are written as: a folder of PNG files, a .npy, a Parquet file.

Each appears whole or not at all, and equal images make equal bytes.
"""

import io
import secrets
import shutil
from collections.abc import Callable, Iterable
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from codec.errors import BulkError, FileError, MissingExtraError
from codec.files import replacing, sync_folder, write_bytes, write_to
from codec.imagefiles import png_bytes

if TYPE_CHECKING:
    from codec.archive_reader import ArchiveEntry

__all__ = ["OUTPUTS", "Format", "suffix"]

Format = Literal["png", "npy", "parquet"]
"""What a shard of decoded images is written as."""

_ROWS = 1024
"""Images in a row group of a Parquet file."""


def suffix(form: Format) -> str:
    """What the name of such a shard ends in."""
    return "" if form == "png" else f".{form}"


def write_png_folder(path: Path, entries: "Iterable[ArchiveEntry]", columns: dict[str, Any]) -> int:
    """A folder of PNG files, named as the images were, or by their number in the archive.

    Where two names would be one file, the later has its number too.
    """
    temporary = path.parent / f".codec-{secrets.token_hex(8)}"
    written: set[str] = set()
    try:
        temporary.mkdir()
        for entry in entries:
            number = f"{entry.number:08d}"
            stem = Path(entry.name).stem if entry.name else number
            if stem.casefold() in written:
                stem = f"{stem}-{number}"
            if stem.casefold() in written:
                raise BulkError(f"{path}: two images are called {stem}; decode to parquet")
            written.add(stem.casefold())
            write_bytes(temporary / f"{stem}.png", png_bytes(entry.image), lasting=False)
        sync_folder(temporary)
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise FileError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return len(written)


def write_npy(path: Path, entries: "Iterable[ArchiveEntry]", columns: dict[str, Any]) -> int:
    """One array of images, which must be of one size; names and metadata stay behind.

    Raises:
        BulkError: images of several sizes.
    """
    first = next(iter(entries := iter(entries)), None)
    shape = (0, 0, 0) if first is None else first.image.shape
    count = 0
    with replacing(path) as file:
        write_to(file, [_npy_header(0, shape)], path)
        for entry in chain([] if first is None else [first], entries):
            if entry.image.shape != shape:
                raise BulkError(
                    f"{path}: expected images of one size in a .npy, found {shape} and {entry.image.shape}; "
                    "decode to png or parquet"
                )
            write_to(file, [entry.image.tobytes()], path)
            count += 1
        file.seek(0)
        write_to(file, [_npy_header(count, shape)], path)
    return count


def _npy_header(count: int, shape: tuple[int, ...]) -> bytes:
    """NumPy leaves room for the first axis to grow, so its length does not depend on ``count``."""
    buffer = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def write_parquet(path: Path, entries: "Iterable[ArchiveEntry]", columns: dict[str, Any]) -> int:
    """A Parquet file: ``image``, a struct of a PNG file's bytes and the image's name, and the metadata.

    Args:
        columns: all values of each column of metadata, from which its type is told.

    Raises:
        BulkError: a column of values of several types, or called ``image``.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: pyarrow is not installed ({error}); run: pip install 'split-codec[bulk]'"
        ) from None
    if "image" in columns:
        raise BulkError(f"{path}: expected metadata under other keys than image; decode to png")
    fields = [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]
    try:
        fields += [(key, pa.array(values).type) for key, values in columns.items()]
    except pa.ArrowException as error:
        raise BulkError(f"{path}: metadata of several types in a column: {error}; decode to png") from None
    schema = pa.schema(fields)
    count = 0
    with replacing(path) as file, parquet.ParquetWriter(file, schema) as writer:
        rows = (
            {"image": {"bytes": png_bytes(entry.image), "path": entry.name}, **entry.metadata}
            for entry in entries
        )
        while part := list(islice(rows, _ROWS)):
            writer.write_table(pa.Table.from_pylist(part, schema=schema))
            count += len(part)
    return count


OUTPUTS: "dict[Format, Callable[[Path, Iterable[ArchiveEntry], dict[str, Any]], int]]" = {
    "png": write_png_folder,
    "npy": write_npy,
    "parquet": write_parquet,
}
"""Each writes a shard's images, given also all values of each column of metadata, and counts them."""
