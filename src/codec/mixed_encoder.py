"""Pictures of any sizes -> the pieces of a mixed packet, in memory for a few tiles and the picture at hand.

Consecutive pictures of one size that are one tile each share a chunk. Of a larger one, which may be anything
that is sliced like an array, only the tiles at hand and what is around them are read.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.batching import in_threads
from codec.bundle import Pair
from codec.errors import ImageError
from codec.images import as_batch
from codec.limits import Limits
from codec.packet import Header
from codec.packet_writer import StreamWriter
from codec.quantise import quantise
from codec.runs import encode_symbols
from codec.tiles import MOST_SIDE, MOST_TILES, TILE, tile_count

__all__ = ["MixedEncoder"]

Coded = Callable[[NDArray[Any]], tuple[int, bytes]]
"""A batch of images to how many they are, and their payload."""
Codes = Callable[[NDArray[Any]], NDArray[np.float32]]
"""A batch of images to their codes."""

_AT_ONCE = 16
"""Chunks that are coded at once, on a thread for each core."""


@dataclass(frozen=True)
class _Part:
    """What becomes a chunk: some pictures of one size, or a tile of one."""

    count: int
    size: tuple[int, int]
    tile: int
    payload: Callable[[], bytes]


@dataclass(frozen=True)
class MixedEncoder:
    """Makes mixed packets of a pair that takes any size, with what an ``Encoder`` lends it.

    Attributes:
        chunk_images: how many images such as those of a batch a chunk may have.
        coded, codes: the encoder's, at the quality of ``header``.
    """

    pair: Pair
    limits: Limits
    header: Header
    chunk_images: Callable[[NDArray[Any]], int]
    coded: Coded
    codes: Codes

    def pieces(self, pictures: Iterable[Any], names: Iterable[str] | None) -> Iterator[bytes]:
        """The pieces of a packet; see ``Encoder.encode_pictures``."""
        writer = StreamWriter(self.header, self.limits)
        names = None if names is None else iter(names)
        yield writer.header()
        parts = self._parts(pictures)
        while group := list(islice(parts, _AT_ONCE)):
            for part, payload in zip(group, in_threads(lambda part: part.payload(), group), strict=True):
                taken = None if names is None or part.tile else tuple(islice(names, part.count))
                yield writer.chunk(part.count, payload, taken, part.size, part.tile)
            group.clear()  # before others are read
        if names is not None and next(names, None) is not None:
            raise ImageError("image names: expected one for each image, found more")
        yield writer.trailer()

    def _parts(self, pictures: Iterable[Any]) -> Iterator[_Part]:
        held: list[NDArray[Any]] = []
        for number, given in enumerate(pictures):
            picture, size = _checked(given, number, self._channels)
            tiles = tile_count(*size)
            batch = None if tiles > 1 else self._read(picture, number, slice(0, size[0]), slice(0, size[1]))
            if held and (batch is None or (batch.shape, batch.dtype) != (held[0].shape, held[0].dtype)):
                yield self._together(held)
                held = []
            if batch is None:
                self.pair.check_picture(*size, self.limits)
                for tile in range(tiles):
                    yield self._tile(picture, number, size, tile)
                continue
            held.append(batch)
            if len(held) >= self.chunk_images(batch):
                yield self._together(held)
                held = []
        if held:
            yield self._together(held)

    @property
    def _channels(self) -> int:
        return self.pair.architecture.image_channels

    def _together(self, held: list[NDArray[Any]]) -> _Part:
        """Pictures of one tile each."""
        batch = np.concatenate(held)
        height, width = batch.shape[1:3]
        return _Part(len(batch), (height, width), 0, lambda: self.coded(batch)[1])

    def _tile(self, picture: Any, number: int, size: tuple[int, int], tile: int) -> _Part:
        """One tile of a picture. Its window is read here: what is sliced may not be for several threads."""
        symbols = self.symbols(picture, number, size, tile)
        return _Part(1, size, tile, lambda: encode_symbols(symbols(), self.pair, self.header.quality))

    def symbols(
        self, picture: Any, number: int, size: tuple[int, int], tile: int
    ) -> Callable[[], NDArray[np.int32]]:
        """What makes the symbols [1, h, w, C] of a tile, of which all that it takes has been read."""
        windows = self.pair.window("encoder", size, tile)
        rows, columns = (
            slice(window.whole.start, min(window.whole.stop, side))
            for window, side in zip(windows, size, strict=True)
        )
        batch = self._read(picture, number, rows, columns)

        def made() -> NDArray[np.int32]:
            own_rows, own_columns = (w.cells(self.pair.architecture.stride).tile for w in windows)
            codes = self.codes(batch)[:, own_rows, own_columns]
            return quantise(codes, self.pair.steps[self.header.quality])

        return made

    def _read(self, picture: Any, number: int, rows: slice, columns: slice) -> NDArray[Any]:
        """A part of a picture as a batch of one."""
        part = np.asarray(picture[rows, columns])
        expected = (rows.stop - rows.start, columns.stop - columns.start)
        if part.ndim not in (2, 3) or part.shape[:2] != expected:
            raise ImageError(
                f"picture {number}: expected {expected[0]}x{expected[1]} pixels for a slice of so many rows "
                f"and columns, found shape {part.shape}"
            )
        try:
            return as_batch(part, self._channels)
        except ImageError as error:
            raise ImageError(f"picture {number}: {error}") from None


def _checked(given: Any, number: int, channels: int) -> tuple[Any, tuple[int, int]]:
    """A picture to slice, and its height and width."""
    expected = f"[H, W, {channels}]" + " or [H, W]" * (channels == 1)
    try:
        picture = given if hasattr(given, "shape") else np.asarray(given)
        shape = tuple(int(side) for side in picture.shape)
    except (TypeError, ValueError) as error:
        raise ImageError(f"picture {number}: expected an array {expected}: {error}") from None
    if shape[2:] != (channels,) and not (len(shape) == 2 and channels == 1):
        raise ImageError(
            f"picture {number}: expected one picture {expected}, as the pair takes, found shape {shape}"
        )
    height, width = shape[:2]
    if not 1 <= min(height, width) <= max(height, width) <= MOST_SIDE:
        raise ImageError(
            f"picture {number}: expected sides of 1 to {MOST_SIDE:,} pixels, found {height}x{width}"
        )
    if tile_count(height, width) > MOST_TILES:
        raise ImageError(
            f"picture {number}: expected at most {MOST_TILES:,} tiles of {TILE}x{TILE} pixels, found "
            f"{tile_count(height, width):,}; cut it in several"
        )
    return picture, (height, width)
