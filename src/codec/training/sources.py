"""Where pictures come from: image files, arrays, and in modules of their own Parquet and tensorflow-datasets.

A source tells the shapes first, from headers where it can, and the pixels then.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from codec.conversion import Converted, plain_arrays
from codec.datasources import numpy_file
from codec.errors import CodecError, DatasetError, FileError, OptionError
from codec.imagefiles import IMAGE_SUFFIXES, image_shape, nested_files, read_image

__all__ = ["ArraySource", "Images", "Reading", "Shape", "Source", "open_source"]

Images = NDArray[np.uint8]
Shape = tuple[int, int, int]

_ARRAYS = ("images", "x_train")
"""Arrays of a .npz that are taken where it has several and none is named."""
_MOST_CHANNELS = 4


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How pictures are read.

    Attributes:
        convert: whether what is not 8-bit grey or RGB is converted (``codec.conversion``), and grey and RGB
            to the same channels.
        channels: 1 or 3, to which grey and RGB are converted where ``convert`` is; None is what the data
            have, RGB where they have both.
        crop: height and width of tiles that are cut from pictures of any size; None takes pictures whole.
        crops: how many tiles; None leaves it to the data, within a bound of memory.
        column: of a Parquet file, feature of a dataset or array of a .npz; None looks for it.
        tell: told, in a line each, of what was left out, converted and cut.
        console: where progress is drawn, if it is a terminal.
    """

    convert: bool = False
    channels: int | None = None
    crop: tuple[int, int] | None = None
    crops: int | None = None
    column: str | None = None
    tell: Callable[[str], None] = lambda line: None
    console: Console | None = None


class Source(Protocol):
    """Pictures in an order of their own. What one of them is found to lack is given in its place."""

    name: str
    count: int

    def shapes(self) -> Iterator[tuple[str, Shape | CodecError]]:
        """What messages call each picture, and the shape that it would be read with."""

    def pictures(
        self, wanted: Sequence[int], channels: int | None, converted: Converted | None
    ) -> Iterator[tuple[str, Images | CodecError]]:
        """The pictures of these rising numbers, uint8 [H, W, C], converted if ``converted`` is given."""


class FileSource:
    """Image files."""

    def __init__(self, name: str, paths: Sequence[Path], *, convert: bool) -> None:
        self.name, self.count = name, len(paths)
        self._paths, self._convert = paths, convert

    def shapes(self) -> Iterator[tuple[str, Shape | CodecError]]:
        for path in self._paths:
            try:
                with open(path, "rb") as file:
                    yield str(path), image_shape(file, str(path), convert=self._convert)
            except CodecError as error:
                yield str(path), error
            except OSError as error:
                yield str(path), FileError(f"image {path}: cannot be read: {error.strerror or error}")

    def pictures(
        self, wanted: Sequence[int], channels: int | None, converted: Converted | None
    ) -> Iterator[tuple[str, Images | CodecError]]:
        for number in wanted:
            path = self._paths[number]
            try:
                yield str(path), read_image(path, channels=channels, converted=converted)
            except CodecError as error:
                yield str(path), error


class ArraySource:
    """Pictures that are one array, uint8 or uint16 [N, H, W, C]: perhaps a mapped file."""

    def __init__(self, name: str, array: NDArray[Any]) -> None:
        self.name, self.count, self.array = name, len(array), array

    def shapes(self) -> Iterator[tuple[str, Shape | CodecError]]:
        height, width, channels = self.array.shape[1:]
        for number in range(self.count):
            yield f"image {number}", (height, width, channels)

    def pictures(
        self, wanted: Sequence[int], channels: int | None, converted: Converted | None
    ) -> Iterator[tuple[str, Images | CodecError]]:
        for number in wanted:
            rules = Converted() if converted is None else converted
            yield f"image {number}", plain_arrays(self.array[number : number + 1], channels, rules)[0]


def open_source(path: str | Path, reading: Reading) -> Source:
    """What is at ``path``: an image file, a folder of image or Parquet files, a .parquet, .npy or .npz.

    Folders are searched with all folders in them; one that has image files is taken for those.

    Raises:
        FileError: nothing there, or it cannot be read.
        DatasetError: an array of another shape or type, or no column of images.
        OptionError: a column is named where there are none.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    try:
        folder, there = path.is_dir(), path.exists()
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}") from None
    if suffix in (".npy", ".npz") and not folder:
        return ArraySource(str(path), _array(path, reading))
    if not there:
        raise FileError(f"{path}: no such file or folder")
    paths = nested_files(path, IMAGE_SUFFIXES) if folder else [path]
    tables = nested_files(path, [".parquet"]) if folder and not paths else paths * (suffix == ".parquet")
    if tables:
        from codec.training.parquet import ParquetSource

        return ParquetSource(str(path), tables, reading)
    if not paths:
        raise FileError(
            f"{path}: expected a folder of image files, found none; files that end in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))} count, or of Parquet files, in .parquet"
        )
    if reading.column is not None:
        raise OptionError(f"column: {path} holds image files, which have no columns")
    return FileSource(str(path), paths, convert=reading.convert)


def _array(path: Path, reading: Reading) -> NDArray[Any]:
    with numpy_file(path) as loaded:
        if isinstance(loaded, np.ndarray):
            if reading.column is not None:
                raise OptionError(f"column: {path} holds one array, which has no name")
            return _checked(path, loaded, reading)
        names = loaded.files
        name = reading.column or next((n for n in _ARRAYS if n in names), None)
        if name not in names and (name is not None or len(names) != 1):
            raise DatasetError(
                f"{path}: expected one array or one called {name or 'images'!r}, found {sorted(names)}; "
                "name one with --column"
            )
        return _checked(path, loaded[name or names[0]], reading)


def _checked(path: Path, array: NDArray[Any], reading: Reading) -> NDArray[Any]:
    if array.dtype == np.uint16 and not reading.convert:
        raise DatasetError(
            f"{path}: expected uint8 images, found uint16; scale them to 8 bits, or add --convert, "
            "which rounds v x 255 / 65,535"
        )
    if array.dtype not in (np.uint8, np.uint16) or array.ndim not in (3, 4) or 0 in array.shape:
        raise DatasetError(
            f"{path}: expected uint8 images shaped [N,H,W] or [N,H,W,C], found {array.dtype} {array.shape}"
        )
    if array.ndim == 4 and array.shape[3] > _MOST_CHANNELS >= array.shape[1]:
        raise DatasetError(
            f"{path}: expected images shaped [N,H,W,C] with 1 to {_MOST_CHANNELS} channels, found "
            f"{array.shape}, which seems to be [N,C,H,W]; save array.transpose(0, 2, 3, 1)"
        )
    return array[..., None] if array.ndim == 3 else array
