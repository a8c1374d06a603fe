"""Names and metadata of a record's images <-> bytes: one MessagePack map of columns, of plain values.

A column holds one value for each image: a label of a thousand images costs its key once.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import chain
from reprlib import repr as short
from typing import Any

import msgpack

from codec.errors import ArchiveError, CodecError, DamagedArchiveError, ImageError, LimitError, OptionError
from codec.limits import DEFAULT_LIMITS, Limits
from codec.packet import check_name

__all__ = ["ImageFacts", "read_metadata", "write_metadata"]

_NAMES, _METADATA = "names", "metadata"


@dataclass(frozen=True)
class ImageFacts:
    """What is known of the images of a record beside their pixels.

    Attributes:
        names: a file name for each, or None.
        columns: by their key, a value for each; None where an image has none.
    """

    names: tuple[str, ...] | None = None
    columns: Mapping[str, list[Any]] = field(default_factory=dict)

    def name(self, number: int) -> str | None:
        """The name of an image, by its number in the record."""
        return None if self.names is None else self.names[number]

    def metadata(self, number: int) -> dict[str, Any]:
        """The metadata of an image, in which no value is None."""
        values = ((key, column[number]) for key, column in self.columns.items())
        return {key: deepcopy(value) for key, value in values if value is not None}


def write_metadata(
    count: int,
    names: Sequence[str] | None,
    metadata: Sequence[Mapping[str, Any] | None] | None,
    limits: Limits = DEFAULT_LIMITS,
) -> bytes:
    """The bytes that stand for the names and metadata of ``count`` images; none if there are none.

    Args:
        names: a plain file name for each image, or None.
        metadata: for each image, a map with string keys, or None for an empty one. Its values are strings,
            numbers, booleans, and maps and lists of them; NumPy's numbers and arrays become such. A value of
            None is the same as no key.

    Raises:
        ImageError: a name that is none, or not one for each image.
        OptionError: metadata that is not one map of plain values for each image.
        LimitError: over ``limits``.
    """
    content: dict[str, Any] = {}
    if names is not None:
        if len(names) != count:
            raise ImageError(f"image names: expected {count}, found {len(names)}")
        for name in names:
            check_name(name, limits)
        content[_NAMES] = list(names)
    columns = {} if metadata is None else _columns(count, metadata)
    if columns:
        content[_METADATA] = columns
    if not content:
        return b""
    try:
        data: bytes = msgpack.packb(content, default=_plain)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise OptionError(f"metadata: expected plain values, which MessagePack has: {error}") from None
    limits.check("metadata_bytes", len(data), "metadata of a record: bytes")
    try:
        read_metadata(data, count, limits)  # whatever is written can be read
    except LimitError:
        raise
    except CodecError as error:
        raise OptionError(f"metadata: expected plain values: {error}") from None
    return data


def _columns(count: int, metadata: Sequence[Mapping[str, Any] | None]) -> dict[str, list[Any]]:
    if len(metadata) != count:
        raise OptionError(f"metadata: expected a map for each of {count} images, found {len(metadata)}")
    rows: list[Any] = [{} if row is None else row for row in metadata]
    for row in rows:
        if not isinstance(row, Mapping):
            raise OptionError(f"metadata: expected a map for each image, found {short(row)}")
    keys = dict.fromkeys(chain.from_iterable(rows))
    columns = {key: [row.get(key) for row in rows] for key in keys}
    return {key: column for key, column in columns.items() if any(value is not None for value in column)}


def _plain(value: Any) -> Any:
    """What MessagePack has for a number or an array of NumPy's."""
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"found {short(value)}")


def read_metadata(data: bytes, count: int, limits: Limits = DEFAULT_LIMITS) -> ImageFacts:
    """Names and metadata of the ``count`` images of a record.

    Raises:
        ArchiveError: not one map of plain values in its shortest form, with a value for each image.
        LimitError: over ``limits``.
    """
    if not data:
        return ImageFacts()
    where = "archive, metadata"
    limits.check("metadata_bytes", len(data), f"{where}: bytes")
    content = _unpack(data, where, limits)
    known = [key for key in (_NAMES, _METADATA) if isinstance(content, dict) and key in content]
    if not known or list(content) != known:
        raise ArchiveError(f"{where}: expected a map of names, metadata or both, found {short(content)}")
    names = None
    if _NAMES in content:
        names = tuple(_column(content[_NAMES], count, f"{where}, names"))
        try:
            for name in names:
                check_name(name, limits)
        except ImageError as error:
            raise ArchiveError(f"{where}: {error}") from None
    columns: Any = {}
    if _METADATA in content:
        columns = content[_METADATA]
        if not isinstance(columns, dict) or not columns:
            raise ArchiveError(f"{where}: expected a map of columns, found {short(columns)}")
        _check_plain(columns, where, limits.metadata_nesting)
        for key, column in columns.items():
            if all(value is None for value in _column(column, count, f"{where}, {key:.40}")):
                raise ArchiveError(f"{where}, {key:.40}: expected a value for at least one image")
    return ImageFacts(names, columns)


def _column(value: Any, count: int, where: str) -> list[Any]:
    if not isinstance(value, list) or len(value) != count:
        found = f"{len(value)} values" if isinstance(value, list) else type(value).__name__
        raise ArchiveError(f"{where}: expected one value for each of {count} images, found {found}")
    return value


def _unpack(data: bytes, where: str, limits: Limits) -> Any:
    """One MessagePack value that covers ``data`` exactly, in the one form a writer may give it."""
    values = 0

    def count(some: list[Any]) -> list[Any]:
        """Refuse more values than the limit as they come: they take a hundred times the bytes of the file."""
        nonlocal values
        values += 1 + len(some)
        limits.check("metadata_values", values, f"{where}: values")
        return some

    try:
        value = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            object_pairs_hook=lambda pairs: _unique(count(pairs)),
            list_hook=count,
            ext_hook=_refuse_extension,
            max_map_len=limits.metadata_values,
            max_array_len=limits.metadata_values,
            max_ext_len=0,
        )
        if msgpack.packb(value) != data:
            raise ArchiveError("expected every value in its shortest form")
    except ArchiveError as error:
        raise ArchiveError(f"{where}: {error}") from None
    except (msgpack.UnpackException, ValueError, TypeError, RecursionError) as error:
        raise DamagedArchiveError(f"{where}: not readable as MessagePack: {error}") from None
    return value


def _unique(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs) or any(not isinstance(key, str) for key in values):
        raise ArchiveError("expected unique string keys")
    return values


def _refuse_extension(code: int, data: bytes) -> Any:
    raise ArchiveError(f"expected no extension types, found type {code}")


def _check_plain(value: Any, where: str, depth: int) -> None:
    if depth < 0:
        raise LimitError(f"{where}: nested too deeply; pass limits=Limits(metadata_nesting=...)")
    items: Iterable[Any] = ()
    if isinstance(value, dict):
        items = value.values()
    elif isinstance(value, list):
        items = value
    elif isinstance(value, bytes):
        raise ArchiveError(f"{where}: expected plain values, found bytes")
    for item in items:
        _check_plain(item, where, depth - 1)
