"""Image files on their way to the encoder, held against the domain its pair was trained for.

What enters: paths, as for ``codec.imagefiles.read_images``, which reads them. What leaves: the images to
encode, in the order of the paths; those outside the domain are left out or told of.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from codec.conversion import Converted
from codec.domain import read_domain
from codec.errors import CodecError, ImageError
from codec.imagefiles import OnBad, read_images

if TYPE_CHECKING:
    from codec.encoder import Encoder

__all__ = ["Action", "guarded"]

Action = Literal["refuse", "flag"]

_AT_ONCE = 64
"""Images looked at together, at the most: one by one would take several times as long."""
_AT_ONCE_VALUES = 1 << 20

_Read = tuple[Path, "NDArray[np.uint8] | CodecError"]
"""A file, and its image [1, H, W, C] or why it cannot be taken."""


def guarded(
    paths: Iterable[Path],
    encoder: "Encoder",
    quality: int | None,
    action: Action,
    on_outside: OnBad,
    on_bad: OnBad | None = None,
    converted: Converted | None = None,
    *,
    mixed: bool = False,
) -> Iterator[tuple[Path, NDArray[np.uint8]]]:
    """The files and images that ``read_images`` gives, each checked at a quality.

    Args:
        action: what becomes of an image outside the domain. "refuse": as of a file that cannot be taken,
            ``on_bad`` is told or an error raised. "flag": it stays.
        on_outside: told of a flagged image, in what it lies outside.
        on_bad: as for ``read_images``. Of all files it is told in their order, between the images.
        converted, mixed: as for ``read_images``.

    Raises:
        BundleError: the encoder's bundle has no record of its domain.
        FileError, ImageError, LimitError: as ``read_images``, and for a refused image.
    """
    read_domain(encoder.bundle)  # before anything is read
    read = partial(read_images, paths, encoder.bundle.pair, converted=converted, mixed=mixed)
    for group in _groups(_read(read, catching=on_bad is not None)):
        reasons = _outside(group, encoder, quality)
        for (path, found), outside in zip(group, reasons, strict=True):
            error = found if isinstance(found, CodecError) else None
            if outside:
                error = ImageError(f"{path}: outside the domain the pair was trained for: {outside}")
                if action == "flag":
                    on_outside(path, error)
                    error = None
            if error is None:
                assert not isinstance(found, CodecError)
                yield path, found
            elif on_bad is None:
                raise error
            else:
                on_bad(path, error)


def _read(
    read: Callable[[OnBad | None], Iterator[tuple[Path, "NDArray[np.uint8]"]]], *, catching: bool
) -> Iterator[_Read]:
    """Every file in order: its image, or its error where that is not to be raised."""
    bad: list[_Read] = []

    def keep(path: Path, error: CodecError) -> None:
        bad.append((path, error))

    for path, image in read(keep if catching else None):
        yield from bad
        bad.clear()
        yield path, image
    yield from bad


def _groups(files: Iterable[_Read]) -> Iterator[list[_Read]]:
    held: list[_Read] = []
    values = 0
    for path, found in files:
        held.append((path, found))
        values += 0 if isinstance(found, CodecError) else found.size
        if len(held) == _AT_ONCE or values >= _AT_ONCE_VALUES:
            yield held
            held, values = [], 0
    yield held


def _outside(group: list[_Read], encoder: "Encoder", quality: int | None) -> list[str]:
    """Of each file in what its image lies outside; nothing of those that have no image."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for number, (_, found) in enumerate(group):
        if not isinstance(found, CodecError):
            by_shape.setdefault(found.shape, []).append(number)
    outside = [""] * len(group)
    for numbers in by_shape.values():
        batch = np.concatenate([image for n in numbers if not isinstance(image := group[n][1], CodecError)])
        for number, report in zip(numbers, encoder.check_domain(batch, quality=quality), strict=True):
            outside[number] = "; ".join(report.outside)
    return outside
