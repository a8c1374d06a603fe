"""From a source of pictures to arrays of one shape, uint8 [N, H, W, C]: whole, or as tiles of any pictures.

First the shapes of all are looked at, then the arrays are set aside, and then each picture is read once and
its pixels put in their places; so memory is that of the result and of one picture. Pictures that cannot be
read are left out and told; more than a tenth of them is an error.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from codec.conversion import Converted, plain_arrays, told
from codec.errors import CodecError, DatasetError
from codec.training.crops import HELD_OUT, Ints, Plan, plan, spread_tiles
from codec.training.sources import ArraySource, Images, Reading, Shape, Source

__all__ = ["read_all", "read_split", "watched"]

_MOST_VALUES: Final = 1 << 30
"""Values of all tiles together where their number is not given."""
_HELD_OUT_MOST: Final = 5000
_HELD_OUT_VALUES: Final = 1 << 28
_LEFT_OUT_MOST: Final = 0.1
"""Share of the pictures; above it something is wrong with them all, or the rest is another data set."""
_TOLD: Final = 5
"""Of pictures left out and of sizes found."""
_PROPOSED: Final = tuple(1 << power for power in range(9, 1, -1))
"""Sides of tiles that are proposed, the first that most pictures hold."""
_PROPOSED_SHARE: Final = 0.9

Item = TypeVar("Item")


@dataclass
class _Pictures:
    """Those of a source that can be read, as far as is known, by their numbers; and those left out."""

    source: Source
    reading: Reading
    numbers: list[int] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    left_out: list[CodecError] = field(default_factory=list)
    converted: Converted | None = None
    channels: int = 0

    @property
    def sizes(self) -> Ints:
        """Heights and widths [P, 2]."""
        return np.array(self.shapes, np.int64).reshape(-1, 3)[:, :2]

    def leave_out(self, error: CodecError) -> None:
        """One more that cannot be read."""
        self.left_out.append(error)
        count, name = self.source.count, self.source.name
        if len(self.left_out) > _LEFT_OUT_MOST * count:
            # Counting on would take long to say no more.
            raise DatasetError(
                f"{name}: more than a tenth of {count:,} images cannot be read; the first: {self.left_out[0]}"
            )

    def tell(self) -> None:
        """What was left out and converted."""
        for error in self.left_out[:_TOLD]:
            self.reading.tell(str(error))
        if self.left_out:
            more = f"; the first {_TOLD} are told above" * (len(self.left_out) > _TOLD)
            self.reading.tell(f"{len(self.left_out):,} of {self.source.count:,} images are left out{more}")
        for line in told(self.converted or Converted()):
            self.reading.tell(line)


def read_all(source: Source, reading: Reading) -> Images:
    """All pictures of one size, or with ``reading.crop`` the tiles of the grids of all.

    Raises:
        DatasetError: none, too many that cannot be read, or without ``reading.crop`` of mixed sizes.
    """
    if isinstance(source, ArraySource) and reading.crop is None:
        return _array(source, reading)
    pictures = _surveyed(source, reading)
    tile = _tile(pictures)
    tiles = np.zeros((len(pictures.numbers), 3), np.int64)
    tiles[:, 0] = np.arange(len(tiles))
    if reading.crop is not None:
        tiles = spread_tiles(pictures.sizes, tile, 0, reading.crops or _most(tile, pictures.channels))
    (images,) = _read(pictures, [tiles], tile)
    pictures.tell()
    if reading.crop is not None:
        reading.tell(f"crop {tile[0]}x{tile[1]}: {len(images):,} tiles of {len(pictures.numbers):,} images")
    return images


def read_split(source: Source, reading: Reading, seed: int) -> tuple[Images, Images]:
    """Images to train on and images to validate on, which are a twentieth, chosen by ``seed``.

    With ``reading.crop`` they are tiles, and those to validate on are of pictures or of parts of pictures
    that no tile to train on is of: see ``codec.training.crops``.

    Raises:
        DatasetError: as ``read_all``; and fewer than two images.
    """
    if isinstance(source, ArraySource) and reading.crop is None:
        everything = _array(source, reading)
        training, validation = _split(source.name, len(everything), seed)
        return everything[training], everything[validation]
    pictures = _surveyed(source, reading)
    tile = _tile(pictures)
    if reading.crop is None:
        parts = _split(source.name, len(pictures.numbers), seed)
        sets = [np.pad(part[:, None], ((0, 0), (0, 2))) for part in parts]
    else:
        most = _most(tile, pictures.channels)
        least = max(1, min(_HELD_OUT_MOST, _HELD_OUT_VALUES // (math.prod(tile) * pictures.channels)))
        planned = plan(pictures.sizes, tile, seed, wanted=reading.crops, most=most, most_held_out=least)
        sets = [planned.training, planned.validation]
        if not all(map(len, sets)):
            raise DatasetError(
                f"{source.name}: expected at least 2 tiles of {tile[0]}x{tile[1]}, one to train and one to "
                f"validate on, found {planned.offered}; take a smaller --crop or more images"
            )
    arrays = _read(pictures, sets, tile)
    _check_two(source.name, [len(array) for array in arrays])
    pictures.tell()
    if reading.crop is not None:
        reading.tell(_told_plan(planned, tile, len(pictures.numbers)))
    return arrays[0], arrays[1]


def _array(source: ArraySource, reading: Reading) -> Images:
    converted = Converted()
    images = plain_arrays(source.array, reading.channels if reading.convert else None, converted)
    for line in told(converted):
        reading.tell(line)
    return images


def _split(name: str, count: int, seed: int) -> tuple[Ints, Ints]:
    """Which of so many images are trained on, and which held out."""
    held = min(max(1, int(count * HELD_OUT)), _HELD_OUT_MOST)
    order = np.random.default_rng(seed).permutation(count)
    _check_two(name, [count - held, held])
    return np.sort(order[held:]), np.sort(order[:held])


def _check_two(name: str, lengths: Sequence[int]) -> None:
    if not all(lengths):
        raise DatasetError(f"{name}: expected at least 2 images to train on, found {sum(lengths)}")


def _most(tile: tuple[int, int], channels: int) -> int:
    return max(1, _MOST_VALUES // (math.prod(tile) * channels))


def _surveyed(source: Source, reading: Reading) -> _Pictures:
    """The shapes of all pictures, and the channels that they shall have."""
    pictures = _Pictures(source, reading, converted=Converted() if reading.convert else None)
    for number, (_, shape) in enumerate(_watched(source.shapes(), source, "looking at images", reading)):
        if isinstance(shape, CodecError):
            pictures.leave_out(shape)
        else:
            pictures.numbers.append(number)
            pictures.shapes.append(shape)
    if not pictures.numbers:
        raise DatasetError(f"{source.name}: expected images, found none")
    found = Counter(shape[2] for shape in pictures.shapes)
    if reading.convert and set(found) <= {1, 3}:
        pictures.channels = reading.channels if reading.channels in (1, 3) else max(found)
    elif len(found) == 1:
        (pictures.channels,) = found
    else:
        counts = " and ".join(f"{count:,} of {_kind(c)}" for c, count in sorted(found.items()))
        raise DatasetError(
            f"{source.name}: expected images of one kind, found {counts}; keep them in folders of their own, "
            "or add --convert, which makes all RGB"
        )
    return pictures


def _kind(channels: int) -> str:
    return {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")


def _tile(pictures: _Pictures) -> tuple[int, int]:
    """The size that all images shall have; pictures too small for a tile are dropped, and told."""
    name, crop = pictures.source.name, pictures.reading.crop
    if crop is None:
        sizes = Counter(shape[:2] for shape in pictures.shapes)
        if len(sizes) > 1:
            raise DatasetError(f"{name}: expected images of one size, found {_told_sizes(sizes)}")
        return next(iter(sizes))
    large = [i for i, shape in enumerate(pictures.shapes) if shape[0] >= crop[0] and shape[1] >= crop[1]]
    small = len(pictures.shapes) - len(large)
    if not large:
        raise DatasetError(
            f"{name}: expected images of at least {crop[0]}x{crop[1]}, the size of --crop, found none of "
            f"{small:,}; take a smaller one"
        )
    if small:
        pictures.reading.tell(
            f"{small:,} of {pictures.source.count:,} images are smaller than {crop[0]}x{crop[1]} and left out"
        )
    pictures.numbers = [pictures.numbers[i] for i in large]
    pictures.shapes = [pictures.shapes[i] for i in large]
    return crop


def _told_sizes(sizes: Counter[tuple[int, int]]) -> str:
    common = sizes.most_common(_TOLD)
    listed = ", ".join(f"{count:,} of {h}x{w}" for (h, w), count in common)
    more = len(sizes) - len(common)
    if more:
        listed += f" and {sum(sizes.values()) - sum(count for _, count in common):,} of {more:,} more sizes"
    text = f"{listed}; resize them to one"
    for side in _PROPOSED:
        held = sum(count for (h, w), count in sizes.items() if min(h, w) >= side)
        if held >= _PROPOSED_SHARE * sum(sizes.values()):
            return (
                f"{text}, or add --crop {side}x{side}, which cuts tiles from the {held:,} that are as large"
            )
    return text


def _read(pictures: _Pictures, sets: Sequence[Ints], tile: tuple[int, int]) -> list[Images]:
    """An array for each set of tiles, less those of pictures that turn out to be damaged."""
    height, width = tile
    arrays = [np.empty((len(tiles), height, width, pictures.channels), np.uint8) for tiles in sets]
    filled = [0] * len(sets)
    wanted = np.unique(np.concatenate([tiles[:, 0] for tiles in sets]))
    bounds = [np.searchsorted(tiles[:, 0], [wanted, wanted + 1]) for tiles in sets]
    source, reading = pictures.source, pictures.reading
    numbers = [pictures.numbers[i] for i in wanted]
    channels = pictures.channels if reading.convert else None
    found = source.pictures(numbers, channels, pictures.converted)
    for at, (label, picture) in enumerate(_watched(found, source, "reading images", reading, len(numbers))):
        expected = (*pictures.shapes[wanted[at]][:2], pictures.channels)
        if isinstance(picture, CodecError):
            pictures.leave_out(picture)
        elif picture.shape != expected:
            pictures.leave_out(DatasetError(f"{label}: is {picture.shape}, but its header told {expected}"))
        else:
            for i, tiles in enumerate(sets):
                low, high = bounds[i][:, at]
                for _, top, left in tiles[low:high]:
                    arrays[i][filled[i]] = picture[top : top + height, left : left + width]
                    filled[i] += 1
    return [array[:count] for array, count in zip(arrays, filled, strict=True)]


def _told_plan(planned: Plan, tile: tuple[int, int], pictures: int) -> str:
    count, gridded, offered = len(planned.training), planned.gridded, planned.offered
    grids = f"{gridded:,} of the grids" if gridded == offered else f"{gridded:,} of the grids' {offered:,}"
    held = "strips of the same, too few to hold out whole ones" if planned.strips else "others"
    return (
        f"crop {tile[0]}x{tile[1]}: {pictures:,} images; {count:,} training tiles ({grids}, "
        f"{count - gridded:,} at random places; --crops takes another number), and "
        f"{len(planned.validation):,} validation tiles of {held}"
    )


def _watched(
    items: Iterable[Item], source: Source, words: str, reading: Reading, total: int | None = None
) -> Iterator[Item]:
    return watched(items, words, source.count if total is None else total, reading.console)


def watched(items: Iterable[Item], words: str, total: int, console: Console | None) -> Iterator[Item]:
    """The items, with a bar while they pass if the console is a terminal."""
    if console is None or not console.is_terminal:
        yield from items
        return
    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield from progress.track(items, total=total)
