"""Image files <-> arrays, through Pillow: uint8 [H, W, 1] or [H, W, 3] in, PNG out.

What is neither 8-bit grey nor RGB is refused, or where the caller asks converted by the rules of
``codec.conversion``.
"""

import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from codec.conversion import Converted, check_convertible, check_plain, plain, shape_of
from codec.errors import CodecError, FileError, ImageError, LimitError
from codec.files import read_bytes
from codec.limits import DEFAULT_LIMITS, Limits
from codec.tiles import tile_count

if TYPE_CHECKING:
    from codec.bundle import Pair

__all__ = [
    "IMAGE_SUFFIXES",
    "OnBad",
    "are_mixed",
    "check_shape",
    "decode_image",
    "image_paths",
    "image_shape",
    "nested_files",
    "png_bytes",
    "read_image",
    "read_images",
]

IMAGE_SUFFIXES = frozenset(
    {
        ".bmp",
        ".gif",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    }
)
"""Endings that mark a file in a folder as an image, lower case."""

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""The only decoders of Pillow's that bytes may reach."""

OnBad = Callable[[Path, CodecError], None]
"""Told of a file that cannot be taken, and why."""


def image_paths(sources: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The image files named by ``sources``: files as they are, folders as their image files in name order.

    Raises:
        FileError: a source that does not exist, or a folder without an image file.
    """
    paths: list[Path] = []
    for source in map(Path, sources):
        try:
            if source.is_dir():
                # Opening a pipe that nobody writes to would wait for ever.
                listed = (p for p in source.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
                found = sorted(p for p in listed if not p.is_fifo())
                if not found:
                    raise FileError(
                        f"{source}: expected a folder of image files, found none; "
                        f"files that end in {', '.join(sorted(IMAGE_SUFFIXES))} count"
                    )
                paths += found
            elif source.exists():
                paths.append(source)
            else:
                raise FileError(f"{source}: no such file or folder")
        except OSError as error:
            raise FileError(f"{source}: cannot be read: {error.strerror}") from None
    return paths


def nested_files(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """The files in ``folder`` and the folders inside it that end so, in the order of their paths.

    Hidden files and folders, and links to folders, are passed over.

    Raises:
        FileError: a folder cannot be read.
    """

    def stop(error: OSError) -> None:
        raise FileError(f"{error.filename}: cannot be read: {error.strerror}")

    found: list[Path] = []
    endings = tuple(suffixes)
    for here, folders, files in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names = (n for n in files if n.lower().endswith(endings) and not n.startswith("."))
        found += (path for path in (Path(here, name) for name in names) if not path.is_fifo())
    return sorted(found)


def read_image(
    path: Path,
    limits: Limits = DEFAULT_LIMITS,
    *,
    channels: int | None = None,
    converted: Converted | None = None,
) -> NDArray[np.uint8]:
    """One image file as uint8 [H, W, C]: C is 1 for grey and black-and-white files, 3 for RGB.

    Args:
        channels: where files are converted, 1 or 3 to which grey and RGB are.
        converted: if given, other pixel formats are converted too, and the rules applied counted here.

    Raises:
        FileError: the file cannot be read.
        ImageError: not an image, damaged, or of a pixel format that is not converted: without ``converted``
            animations, transparency and all but 8-bit grey and RGB.
        LimitError: over the limits.
    """
    data = read_bytes(path, limits.image_file_bytes, "image")
    return decode_image(data, str(path), limits, channels=channels, converted=converted)


def decode_image(
    data: bytes,
    label: str,
    limits: Limits = DEFAULT_LIMITS,
    *,
    channels: int | None = None,
    converted: Converted | None = None,
) -> NDArray[np.uint8]:
    """The same of a file's bytes; ``label`` is what messages call it."""
    with _opened(io.BytesIO(data), label, limits, convert=converted is not None) as image:
        if converted is not None:
            image = plain(image, channels, converted)
        pixels: NDArray[Any] = np.asarray(image.convert("L") if image.mode == "1" else image)
    return pixels.reshape(*pixels.shape[:2], -1)


def image_shape(
    file: BinaryIO, label: str, limits: Limits = DEFAULT_LIMITS, *, convert: bool = False
) -> tuple[int, int, int]:
    """Height, width and channels, 1 or 3, that ``read_image`` would give by the file's header.

    Raises:
        ImageError, LimitError: what the header shows of what ``read_image`` raises.
    """
    with _opened(file, label, limits, convert=convert) as image:
        return shape_of(image, convert=convert)


@contextmanager
def _opened(file: BinaryIO, label: str, limits: Limits, *, convert: bool) -> Iterator[Image.Image]:
    """The file's header, checked; what Pillow raises, here and inside the block, becomes ours."""
    # Pillow warns of large pictures and of odd metadata; the limits and the checks here decide instead.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(file, formats=_FORMATS) as image:
                limits.check("image_file_pixels", image.width * image.height, f"{label}: pixels")
                (check_convertible if convert else check_plain)(image, label)
                yield image
        except (CodecError, MemoryError):
            raise
        except UnidentifiedImageError:
            raise ImageError(f"{label}: not an image file of the kinds {', '.join(_FORMATS)}") from None
        except Image.DecompressionBombError:
            raise LimitError(
                f"{label}: pixels: expected at most {limits.image_file_pixels:,}, found far more"
            ) from None
        except Exception as error:  # damaged files make Pillow raise nearly anything
            if "truncated" in str(error).lower():
                raise ImageError(
                    f"{label}: truncated: the file ends before its picture does; get a whole copy of it"
                ) from None
            raise ImageError(f"{label}: damaged or unsupported image file: {error}") from None


def are_mixed(paths: Iterable[Path], *, convert: bool = False) -> bool:
    """Whether image files are of different sizes, or any is more than one tile: told by their headers.

    What cannot be read counts for nothing here, and ``read_images`` tells of it; nor does what can be read
    only once, such as a pipe.
    """
    sizes: set[tuple[int, int]] = set()
    for path in filter(Path.is_file, paths):
        with suppress(CodecError, OSError), path.open("rb") as file:
            sizes.add(image_shape(file, str(path), convert=convert)[:2])
    return len(sizes) > 1 or any(tile_count(*size) > 1 for size in sizes)


def read_images(
    paths: Iterable[Path],
    pair: "Pair",
    on_bad: OnBad | None = None,
    converted: Converted | None = None,
    *,
    mixed: bool = False,
) -> Iterator[tuple[Path, NDArray[np.uint8]]]:
    """Each file and its image as uint8 [1, H, W, C], all such as ``pair`` takes and of the first one's size.

    Args:
        mixed: whether they may be of any sizes instead.
        on_bad: if given, a file that cannot be taken is passed over, and this is told of it. The first file
            that can be taken then sets the size.
        converted: if given, files are converted to 8 bits and the pair's channels; counts the rules.

    Raises:
        FileError, ImageError, LimitError: as ``read_image``, and for a file of another size or number of
            channels.
    """
    first: tuple[Path, tuple[int, ...]] | None = None
    for path in paths:
        try:
            image = read_image(path, channels=pair.architecture.image_channels, converted=converted)
            check_shape(path, image.shape, pair)
            first = first or (path, image.shape)
            if image.shape != first[1] and not mixed:
                raise ImageError(
                    f"{path}: expected {first[1][0]}x{first[1][1]} pixels as in {first[0]}, found "
                    f"{image.shape[0]}x{image.shape[1]}; crop or resize it, or encode it by itself"
                )
        except CodecError as error:
            if on_bad is None:
                raise
            on_bad(path, error)
            continue
        yield path, image[None]


def check_shape(path: Path | str, shape: tuple[int, ...], pair: "Pair") -> None:
    """Raise ``ImageError`` for an image [H, W, C] that the pair does not take."""
    height, width, found = shape
    channels = pair.architecture.image_channels
    if found != channels:
        raise ImageError(
            f"{path}: expected {channels} channel{'s' * (channels > 1)}, which the pair takes, "
            f"found {found}; convert it to {'RGB' if channels == 3 else 'grey'} first, or add --convert"
        )
    if not pair.takes(height, width):
        raise ImageError(
            f"{path}: expected {pair.height}x{pair.width} pixels, the one size that the pair takes, "
            f"found {height}x{width}; crop it, or train a pair on images of its size"
        )


def png_bytes(image: NDArray[np.uint8]) -> bytes:
    """One image, uint8 [H, W, 1], [H, W, 3] or [H, W], as a PNG file."""
    buffer = io.BytesIO()
    squeezed = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    Image.fromarray(squeezed).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
