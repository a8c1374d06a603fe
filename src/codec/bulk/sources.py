"""Where a bulk job's images come from: a folder, Parquet files, a tensorflow-datasets split, a .npy.

A source lists its files or splits with their numbers of records, and reads records of one of them. It holds
paths and names alone, so that it can be pickled and sent to another machine that has the same files.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codec.datasources import dataset_builder, first_line, numpy_file, parquet_file
from codec.errors import CodecError, DatasetError, FileError, ImageError, OptionError
from codec.files import read_bytes
from codec.imagefiles import IMAGE_SUFFIXES, decode_image, nested_files
from codec.limits import DEFAULT_LIMITS

__all__ = ["ArrayFile", "Folder", "Parquet", "Record", "Source", "TensorflowDataset", "open_source"]

Value = str | int | float | bool | None
"""What a column of metadata holds of one image."""


@dataclass(frozen=True)
class Record:
    """One image as it was found: uint8 [H, W, C], or why there is none."""

    name: str | None
    image: NDArray[np.uint8] | CodecError
    metadata: dict[str, Value]


class Source(Protocol):
    """A listing in a fixed order, and records by their numbers in one of its entries."""

    @property
    def path(self) -> str:
        """Where it is, absolute; of a dataset its name and split."""

    @property
    def kind(self) -> str:
        """The source's kind, for the manifest."""

    def listing(self) -> Iterator[tuple[str, int]]:
        """Each file or split, and its number of records."""

    def read(self, name: str, start: int, stop: int, columns: Sequence[str]) -> Iterator[Record]:
        """Some records of one of them, with these columns as metadata."""


@dataclass(frozen=True)
class Folder:
    """Image files in a folder and the folders in it, by path. Columns: ``folder`` and ``file``."""

    path: str
    kind = "folder"

    def listing(self) -> Iterator[tuple[str, int]]:
        return ((path.relative_to(self.path).as_posix(), 1) for path in _files(self.path, IMAGE_SUFFIXES))

    def read(self, name: str, start: int, stop: int, columns: Sequence[str]) -> Iterator[Record]:
        known = {"folder": os.path.split(name)[0], "file": os.path.split(name)[1]}
        for column in columns:
            if column not in known:
                raise OptionError(f"metadata: expected folder or file of image files, found {column!r}")
        try:
            data = read_bytes(Path(self.path, name), DEFAULT_LIMITS.image_file_bytes, "image")
            image: NDArray[np.uint8] | CodecError = decode_image(data, name)
        except CodecError as error:
            image = error
        yield Record(name, image, {column: known[column] for column in columns})


@dataclass(frozen=True)
class Parquet:
    """Parquet files with a column of image files: bytes, or a struct of ``bytes`` and perhaps ``path``."""

    path: str
    column: str = "image"
    kind = "parquet"

    def listing(self) -> Iterator[tuple[str, int]]:
        for path in _files(self.path, {".parquet"}):
            with parquet_file(path, "bulk") as file:
                if self.column not in file.schema_arrow.names:
                    raise DatasetError(
                        f"{path}: expected a column {self.column!r}, found {file.schema_arrow.names}"
                    )
                yield _relative(path, self.path), file.metadata.num_rows

    def read(self, name: str, start: int, stop: int, columns: Sequence[str]) -> Iterator[Record]:
        path = Path(self.path, name) if name != "." else Path(self.path)
        with parquet_file(path, "bulk") as file:
            for column in columns:
                if column not in file.schema_arrow.names:
                    raise OptionError(
                        f"metadata: expected columns of {path} ({', '.join(file.schema_arrow.names)}), "
                        f"found {column!r}"
                    )
            for i, row in enumerate(_rows(file, start, stop, [self.column, *columns]), start):
                cell = row[self.column]
                stored = cell if isinstance(cell, dict) else {"bytes": cell}
                label = stored.get("path")
                where = label if isinstance(label, str) and label else f"{path.name}, row {i}"
                metadata = {column: _plain(row[column], column) for column in columns}
                yield Record(
                    label if where == label else None, _decoded(stored.get("bytes"), where), metadata
                )


@dataclass(frozen=True)
class TensorflowDataset:
    """A split of a prepared dataset of tensorflow-datasets, in its own order, as ``NAME:SPLIT``."""

    path: str
    kind = "tfds"

    def listing(self) -> Iterator[tuple[str, int]]:
        yield self.path, len(_dataset(self.path))

    def read(self, name: str, start: int, stop: int, columns: Sequence[str]) -> Iterator[Record]:
        data = _dataset(name)
        for i in range(start, stop):
            record = data[i]
            for wanted in ("image", *columns):
                if wanted not in record:
                    raise DatasetError(f"dataset {name}: expected {wanted!r}, found {sorted(record)}")
            metadata = {column: _plain(record[column], column) for column in columns}
            yield Record(None, _pixels(record["image"], f"{name}, record {i}"), metadata)


@dataclass(frozen=True)
class ArrayFile:
    """A .npy of images, uint8 [N, H, W] or [N, H, W, C]; it is mapped, not read as a whole. No columns."""

    path: str
    kind = "npy"

    def listing(self) -> Iterator[tuple[str, int]]:
        yield ".", len(_mapped(self.path))

    def read(self, name: str, start: int, stop: int, columns: Sequence[str]) -> Iterator[Record]:
        if columns:
            raise OptionError(f"metadata: a .npy holds none, found {', '.join(map(repr, columns))}")
        images = _mapped(self.path)
        for i in range(start, stop):
            image = np.array(images[i])
            yield Record(None, image[..., None] if image.ndim == 2 else image, {})


def open_source(source: str, column: str = "image") -> Source:
    """The source that a path names, or else ``NAME:SPLIT`` of a dataset.

    A file that ends in .npy or .parquet is one; a folder that has .parquet files in it and no image files is
    Parquet, any other is a folder of image files.

    Raises:
        FileError: no such path, and no dataset's name either.
    """
    path = str(Path(source).resolve())
    if Path(path).is_dir():
        if not nested_files(Path(path), IMAGE_SUFFIXES) and nested_files(Path(path), [".parquet"]):
            return Parquet(path, column)
        return Folder(path)
    suffix = Path(path).suffix.lower()
    if os.path.exists(path):
        if suffix == ".npy":
            return ArrayFile(path)
        if suffix == ".parquet":
            return Parquet(path, column)
        raise FileError(f"{source}: expected a folder, a .parquet or a .npy file, or a dataset's NAME:SPLIT")
    if source.count(":") == 1 and "/" not in source.split(":")[1] and all(source.split(":")):
        return TensorflowDataset(source)
    raise FileError(f"{source}: no such file or folder, and no dataset's NAME:SPLIT")


def _files(root: str, suffixes: Iterable[str]) -> list[Path]:
    """The files with these endings in a folder and the folders in it, by path, or the one file itself."""
    return nested_files(Path(root), suffixes) if Path(root).is_dir() else [Path(root)]


def _relative(path: Path, root: str) -> str:
    return path.relative_to(root).as_posix()


def _decoded(data: Any, where: str) -> NDArray[np.uint8] | CodecError:
    if not isinstance(data, bytes):
        return ImageError(f"{where}: expected the bytes of an image file, found {type(data).__name__}")
    try:
        DEFAULT_LIMITS.check("image_file_bytes", len(data), f"{where}: bytes")
        return decode_image(data, where)
    except CodecError as error:
        return error


def _pixels(image: Any, where: str) -> NDArray[np.uint8] | CodecError:
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim not in (2, 3):
        return ImageError(f"{where}: expected uint8 pixels [H,W,C], found {array.dtype} {array.shape}")
    return array[..., None] if array.ndim == 2 else array


def _plain(value: Any, column: str) -> Value:
    """A value of metadata as JSON has it."""
    if isinstance(value, np.generic | np.ndarray) and np.ndim(value) == 0:
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise OptionError(f"metadata: expected text or numbers in {column!r}, found {type(value).__name__}")


def _rows(file: Any, start: int, stop: int, columns: list[str]) -> Iterator[dict[str, Any]]:
    """The rows from ``start`` to ``stop``, reading no row group that has none of them."""
    before = 0
    for group in range(file.metadata.num_row_groups):
        count = file.metadata.row_group(group).num_rows
        if before < stop and start < before + count:
            seen = before
            for batch in file.iter_batches(64, row_groups=[group], columns=columns):
                low, high = max(start - seen, 0), min(stop - seen, len(batch))
                if low < high:
                    yield from batch.slice(low, high - low).to_pylist()
                seen += len(batch)
        before += count


@lru_cache(4)
def _dataset(source: str) -> Any:
    """The records of a prepared split, by number, as dictionaries."""
    name, split = source.split(":")
    builder = dataset_builder(name)
    try:
        return builder.as_data_source(split=split)
    except Exception as error:  # tfds raises many kinds here
        raise DatasetError(
            f"dataset {source}: cannot be read ({first_line(error)}); set TFDS_DATA_DIR to a folder with a "
            "copy that `codec train` or tensorflow-datasets has prepared"
        ) from None


@lru_cache(4)
def _mapped(path: str) -> NDArray[np.uint8]:
    with numpy_file(Path(path)) as array:
        if array.dtype != np.uint8 or array.ndim not in (3, 4) or 0 in array.shape:
            raise DatasetError(
                f"{path}: expected uint8 images shaped [N,H,W] or [N,H,W,C], found {array.dtype} "
                f"{array.shape}"
            )
        images: NDArray[np.uint8] = array
        return images
