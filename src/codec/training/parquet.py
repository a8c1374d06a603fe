"""Parquet files with a column of images: bytes of image files, or uint8 tensors.

Bytes stand in a binary column, or, as in Hugging Face's data sets, in the field "bytes" of a structure; a
path that stands beside them is never opened. Tensors are Arrow's fixed-shape tensors, or lists of a fixed
size whose field's metadata tell the "shape", as in [28, 28] or [32, 32, 3].
"""

import io
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codec.conversion import Converted, plain_arrays
from codec.datasources import parquet_file
from codec.errors import CodecError, DatasetError, ImageError
from codec.imagefiles import decode_image, image_shape
from codec.limits import DEFAULT_LIMITS
from codec.training.sources import Images, Reading, Shape

__all__ = ["ParquetSource"]

_COLUMNS = ("image", "img", "images", "picture", "pixels")
"""Columns that are taken where none is named, the first that is there."""
_BATCH_BYTES = 1 << 26
_BATCH_ROWS = 1 << 10


class ParquetSource:
    """The rows of one or several Parquet files, in the order of the files.

    Raises:
        MissingExtraError: PyArrow is not installed.
        DatasetError: not a Parquet file, or no column of images.
    """

    def __init__(self, name: str, paths: Sequence[Path], reading: Reading) -> None:
        self.name, self._paths, self._convert = name, paths, reading.convert
        self._rows = []
        shapes = set()
        for path in paths:
            with parquet_file(path, "train") as file:
                self._column = reading.column or _found(path, file.schema_arrow)
                shapes.add(_tensor_shape(path, file.schema_arrow, self._column))
                self._rows.append(file.metadata.num_rows)
        if len(shapes) > 1:
            raise DatasetError(
                f"{name}: expected one kind of images in all files, found {sorted(map(str, shapes))}"
            )
        (self._shape,) = shapes
        self.count = sum(self._rows)

    def shapes(self) -> Iterator[tuple[str, Shape | CodecError]]:
        for label, value in self._values(range(self.count)):
            try:
                yield label, _present(label, value).shape if self._shape else self._look(label, value)
            except CodecError as error:
                yield label, error

    def pictures(
        self, wanted: Sequence[int], channels: int | None, converted: Converted | None
    ) -> Iterator[tuple[str, Images | CodecError]]:
        rules = Converted() if converted is None else converted
        for label, value in self._values(wanted):
            try:
                if self._shape:
                    yield label, plain_arrays(_present(label, value)[None], channels, rules)[0]
                else:
                    data = _present(label, value)
                    yield label, decode_image(data, label, channels=channels, converted=converted)
            except CodecError as error:
                yield label, error

    def _look(self, label: str, value: Any) -> Shape:
        return image_shape(io.BytesIO(_present(label, value)), label, convert=self._convert)

    def _values(self, wanted: Sequence[int]) -> Iterator[tuple[str, Any]]:
        """Bytes, an array [H, W, C] or None for each row that is wanted, read in batches."""
        first, ahead = 0, 0
        for path, rows in zip(self._paths, self._rows, strict=True):
            at = first
            first += rows
            with parquet_file(path, "train") as file:
                for batch in file.iter_batches(_batch_rows(file, rows), columns=[self._column]):
                    end = at + batch.num_rows
                    stop = ahead
                    while stop < len(wanted) and wanted[stop] < end:
                        stop += 1
                    inside = [number - at for number in wanted[ahead:stop]]
                    values = _unpacked(path, batch.column(0).take(_indices(inside)), self._shape)
                    for row, value in zip(inside, values, strict=True):
                        yield f"{path}, row {at + row - (first - rows)}", value
                    at, ahead = end, stop


def _batch_rows(file: Any, rows: int) -> int:
    groups = range(file.metadata.num_row_groups)
    size: int = sum(file.metadata.row_group(i).total_byte_size for i in groups)
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES * rows // max(1, size)))


def _indices(numbers: Sequence[int]) -> Any:
    import pyarrow

    return pyarrow.array(numbers, pyarrow.int64())


def _found(path: Path, schema: Any) -> str:
    """The column of images where none is named."""
    fit: list[str] = [name for name in schema.names if _fits(schema.field(name))]
    known = [name for name in _COLUMNS if name in fit]
    if known or len(fit) == 1:
        return (known or fit)[0]
    raise DatasetError(
        f"{path}: expected a column of images called {', '.join(_COLUMNS)}, or one alone, found "
        f"{_listed(schema)}; name it with --column"
    )


def _listed(schema: Any) -> str:
    return ", ".join(f"{name} ({schema.field(name).type})" for name in schema.names)


def _fits(field: Any) -> bool:
    try:
        return _is_bytes(field.type) or bool(_shape_in(field))
    except ValueError:
        return False


def _is_bytes(kind: Any) -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_bytes(kind.field("bytes").type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _tensor_shape(path: Path, schema: Any, column: str) -> Shape | None:
    """The shape of the column's tensors; None if it holds bytes of image files."""
    if schema.names.count(column) != 1:
        raise DatasetError(f"{path}: expected a column {column!r}, found {_listed(schema)}")
    field = schema.field(column)
    if _is_bytes(field.type):
        return None
    try:
        shape = _shape_in(field)
    except ValueError:
        shape = ()
    if not shape:
        raise DatasetError(
            f"{path}: expected in column {column!r} bytes of image files, or uint8 tensors of one shape "
            f"[H, W] or [H, W, C], found {field.type}; the columns are {_listed(schema)}"
        )
    height, width, *channels = shape
    return height, width, channels[0] if channels else 1


def _shape_in(field: Any) -> tuple[int, ...]:
    """The shape of a field of uint8 tensors, empty if it is none; ``ValueError`` for metadata not in JSON."""
    import pyarrow

    kind = field.type
    if isinstance(kind, pyarrow.FixedShapeTensorType):
        plain = kind.permutation is None or list(kind.permutation) == sorted(kind.permutation)
        shape, values = tuple(kind.shape) if plain else (), kind.value_type
    elif pyarrow.types.is_fixed_size_list(kind):
        told = json.loads((field.metadata or {}).get(b"shape", b"[]"))
        shape = tuple(told) if isinstance(told, list) and all(type(side) is int for side in told) else ()
        shape, values = shape if math.prod(shape) == kind.list_size else (), kind.value_type
    else:
        return ()
    return shape if values == pyarrow.uint8() and len(shape) in (2, 3) and min(shape) > 0 else ()


def _unpacked(path: Path, column: Any, shape: Shape | None) -> list[Any]:
    """What a batch's column holds, row by row: bytes, an array [H, W, C], or None where there is nothing."""
    import pyarrow

    if shape is None:
        if pyarrow.types.is_struct(column.type):
            present = column.is_valid().to_pylist()
            values = column.field("bytes").to_pylist()
            return [value if there else None for value, there in zip(values, present, strict=True)]
        return list(column.to_pylist())
    storage = column.storage if isinstance(column, pyarrow.ExtensionArray) else column
    pixels = storage.flatten()
    if pixels.null_count:
        raise DatasetError(f"{path}: expected pixels of 0 to 255, found some that are missing")
    images = iter(pixels.to_numpy(zero_copy_only=False).reshape(-1, *shape))
    return [next(images) if there else None for there in storage.is_valid().to_pylist()]


def _present(label: str, value: Any) -> Any:
    if value is None:
        raise ImageError(f"{label}: expected an image, found none; where it has a path, that is not opened")
    if isinstance(value, bytes):
        DEFAULT_LIMITS.check("image_file_bytes", len(value), f"{label}: bytes")
    return np.asarray(value) if isinstance(value, np.ndarray) else value
