"""Image files <-> arrays, through Pillow: uint8 [H, W, 1] or [H, W, 3] in, PNG out."""

import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from codec.errors import CodecError, FileError, ImageError, LimitError
from codec.files import read_bytes
from codec.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from codec.bundle import Pair

__all__ = [
    "IMAGE_SUFFIXES",
    "OnBad",
    "check_shape",
    "decode_image",
    "image_paths",
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

_GREY = ("1", "L")
_COLOUR = ("RGB",)


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


def read_image(path: Path, limits: Limits = DEFAULT_LIMITS) -> NDArray[np.uint8]:
    """One image file as uint8 [H, W, C]: C is 1 for grey and black-and-white files, 3 for RGB.

    Raises:
        FileError: the file cannot be read.
        ImageError: not an image, damaged, animated, or of another pixel format: nothing is converted
            that would lose something without a word.
    """
    return decode_image(read_bytes(path, limits.image_file_bytes, "image"), path, limits)


def decode_image(data: bytes, path: Path | str, limits: Limits = DEFAULT_LIMITS) -> NDArray[np.uint8]:
    """The bytes of an image file as ``read_image`` does; ``path`` is what messages call it.

    Raises:
        ImageError: as ``read_image``.
    """
    # Pillow warns of large pictures and of odd metadata; the limits and the checks here decide instead.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                _check(image, path, limits)
                pixels: NDArray[Any] = np.asarray(image.convert("L") if image.mode in _GREY else image)
        except (CodecError, MemoryError):
            raise
        except UnidentifiedImageError:
            raise ImageError(f"{path}: not an image file of the kinds {', '.join(_FORMATS)}") from None
        except Image.DecompressionBombError:
            raise LimitError(
                f"{path}: pixels: expected at most {limits.image_file_pixels:,}, found far more"
            ) from None
        except Exception as error:  # damaged files make Pillow raise nearly anything
            raise ImageError(f"{path}: damaged or unsupported image file: {error}") from None
    return pixels.reshape(*pixels.shape[:2], -1)


def read_images(
    paths: Iterable[Path], pair: "Pair", on_bad: OnBad | None = None
) -> Iterator[tuple[Path, NDArray[np.uint8]]]:
    """Each file and its image as uint8 [1, H, W, C], all such as ``pair`` takes and of the first one's size.

    Args:
        on_bad: if given, a file that cannot be taken is passed over, and this is told of it. The first file
            that can be taken then sets the size.

    Raises:
        FileError, ImageError, LimitError: as ``read_image``, and for a file of another size or number of
            channels.
    """
    first: tuple[Path, tuple[int, ...]] | None = None
    for path in paths:
        try:
            image = read_image(path)
            check_shape(path, image.shape, pair)
            first = first or (path, image.shape)
            if image.shape != first[1]:
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
            f"found {found}; convert it to {'RGB' if channels == 3 else 'grey'} first"
        )
    if not pair.takes(height, width):
        raise ImageError(
            f"{path}: expected {pair.height}x{pair.width} pixels, the one size that the pair takes, "
            f"found {height}x{width}; crop it, or train a pair on images of its size"
        )


def _check(image: Image.Image, path: Path | str, limits: Limits) -> None:
    """Refuse what would be too large, or lose something on the way to 8-bit grey or RGB."""
    limits.check("image_file_pixels", image.width * image.height, f"{path}: pixels")
    if getattr(image, "is_animated", False):  # n_frames would read all of them, in quadratic time for TIFF
        raise ImageError(f"{path}: expected one picture, found an animation; save one frame of it")
    if image.mode not in _GREY + _COLOUR:
        raise ImageError(
            f"{path}: expected an 8-bit grey or RGB image, found mode {image.mode!r}; "
            f"convert it first, for example with Pillow's image.convert('RGB')"
        )
    if "transparency" in image.info:
        raise ImageError(f"{path}: expected an image without transparency; flatten it first")
    if any(_is_deep(tile) for tile in getattr(image, "tile", [])):
        raise ImageError(f"{path}: expected an 8-bit grey or RGB image, found 16 bits; convert it first")


def _is_deep(tile: Any) -> bool:
    """Whether a tile holds more than 8 bits a channel, which Pillow would cut down without a word."""
    arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
    if tile[0] == "ppm":
        return any(isinstance(value, int) and value > 255 for value in arguments)
    return ";16" in str(arguments[0])


def png_bytes(image: NDArray[np.uint8]) -> bytes:
    """One image, uint8 [H, W, 1], [H, W, 3] or [H, W], as a PNG file."""
    buffer = io.BytesIO()
    squeezed = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    Image.fromarray(squeezed).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
