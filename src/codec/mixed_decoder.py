"""The chunks of a mixed packet -> its pictures one by one, or bands of rows of them where they are large.

What is held of a picture of several tiles are the symbols of three rows of tiles, and the pixels of one.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.batching import in_threads
from codec.bundle import Pair
from codec.errors import LimitError, PacketError
from codec.images import crop
from codec.limits import Limits
from codec.packet import Chunk, Header
from codec.packet_reader import OnMissing
from codec.quantise import dequantise
from codec.tiles import TILE, tile_span, tiles_along

__all__ = ["Band", "MixedDecoder", "Picture"]

Size = tuple[int, int]
Symbols = NDArray[np.signedinteger[Any]]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of a packet.

    Attributes:
        number: which picture of the packet it is, from 0.
        image: uint8 [H, W, C].
        name: its file name, or None.
    """

    number: int
    image: Pixels
    name: str | None


@dataclass(frozen=True, eq=False)
class Band:
    """Some rows of one picture of a packet.

    Attributes:
        number: which picture of the packet it is, from 0.
        height, width: of the whole picture.
        top: rows of the picture above these.
        rows: uint8 [rows, W, C]: 512, fewer at the end of a picture.
        name: of the picture, or None.
    """

    number: int
    height: int
    width: int
    top: int
    rows: Pixels
    name: str | None


@dataclass(frozen=True)
class MixedDecoder:
    """Decodes mixed packets of a pair that takes any size, with what a ``Decoder`` lends it.

    Attributes:
        symbols: of a chunk whose images, or whose tile, have a size.
        images: of codes, at the quality of ``header``.
    """

    pair: Pair
    limits: Limits
    header: Header
    symbols: Callable[[Size, Chunk], NDArray[np.int32]]
    images: Callable[[NDArray[np.float32]], Pixels]

    def bands(self, chunks: Iterator[Chunk]) -> Iterator[Band]:
        """All pictures in bands; see ``Decoder.decode_rows``."""
        for first, tiles in _by_picture(chunks):
            yield from self._bands(first, tiles)

    def pictures(self, chunks: Iterator[Chunk], on_missing: OnMissing | None) -> Iterator[Picture]:
        """All pictures; see ``Decoder.decode_pictures``."""
        for first, tiles in _by_picture(chunks):
            try:
                found = self._pictures(first, tiles)
            except (PacketError, LimitError):
                if on_missing is None:
                    raise
                on_missing(first.first, first.count)
            else:
                yield from found

    def symbols_by_picture(self, chunks: Iterator[Chunk]) -> Iterator[NDArray[np.int32]]:
        """The symbols of each picture; see ``Decoder.picture_symbols``."""
        for first, tiles in _by_picture(chunks):
            size = _size(first)
            if first.tiles == 1:
                yield from self.symbols(size, first)
                continue
            self.pair.check_picture(*size, self.limits)
            found = math.prod(self.pair.architecture.code_shape(*size))
            self.limits.check("packet_symbols", found, "packet: symbols decoded at once")
            rows = [self._row_of_tiles(size, tiles, row) for row in range(tiles_along(size[0]))]
            yield np.concatenate(rows).astype(np.int32)

    def _pictures(self, first: Chunk, tiles: Iterator[Chunk]) -> list[Picture]:
        """The pictures of one chunk, or the one of several."""
        if first.tiles == 1:
            return [Picture(band.number, band.rows, band.name) for band in self._bands(first, tiles)]
        size, architecture = _size(first), self.pair.architecture
        self.limits.check("packet_pixels", architecture.padded_pixels(*size), "pixels of one picture")
        image: Pixels | None = None
        for band in self._bands(first, tiles):
            if image is None:  # not before a whole row of tiles has come: a size is only a claim
                image = np.empty((*size, architecture.image_channels), np.uint8)
            image[band.top : band.top + len(band.rows)] = band.rows
        assert image is not None
        return [Picture(first.first, image, _name(first, 0))]

    def _bands(self, first: Chunk, tiles: Iterator[Chunk]) -> Iterator[Band]:
        """The pictures of one chunk, a band each, or the bands of the picture that several have."""
        height, width = size = _size(first)
        if first.tiles == 1:
            symbols = self.symbols(size, first)
            images = crop(self.images(dequantise(symbols, self._steps)), height, width)
            for i, image in enumerate(np.ascontiguousarray(images)):
                yield Band(first.first + i, height, width, 0, image, _name(first, i))
            return
        self.pair.check_picture(height, width, self.limits)
        held: dict[int, Symbols] = {}  # by row of tiles
        for row in range(tiles_along(height)):
            held[row] = self._row_of_tiles(size, tiles, row)
            if row:
                yield self._band(first, row - 1, held)
                held.pop(row - 2, None)
        yield self._band(first, row, held)

    @property
    def _steps(self) -> NDArray[np.float32]:
        steps: NDArray[np.float32] = self.pair.steps[self.header.quality]
        return steps

    def _row_of_tiles(self, size: Size, tiles: Iterator[Chunk], row: int) -> Symbols:
        """The symbols of the next row of tiles, in 16 bits, which hold all there are."""
        top, bottom = tile_span(row, size[0])
        parts = []
        for column, chunk in enumerate(islice(tiles, tiles_along(size[1]))):
            left, right = tile_span(column, size[1])
            parts.append(self.symbols((bottom - top, right - left), chunk)[0].astype(np.int16))
        return np.concatenate(parts, axis=1)

    def _band(self, first: Chunk, row: int, held: dict[int, Symbols]) -> Band:
        """The pixels of one row of tiles, from the symbols of that and the rows next to it."""
        height, width = size = _size(first)
        stride, columns = self.pair.architecture.stride, tiles_along(width)
        top, bottom = tile_span(row, height)
        window = self.pair.window("decoder", size, row * columns)[0]
        cells = window.cells(stride).whole
        around = np.concatenate(
            [_rows_between(held, cells, TILE // stride, number) for number in sorted(held)]
        )

        def pixels(column: int) -> Pixels:
            left, right = tile_span(column, width)
            beside = self.pair.window("decoder", size, row * columns + column)[1]
            codes = dequantise(around[:, beside.cells(stride).whole], self._steps)
            image = self.images(codes[None])[0, window.tile, beside.tile]
            return np.ascontiguousarray(image[: bottom - top, : right - left])

        rows = np.concatenate(in_threads(pixels, range(columns)), axis=1)
        return Band(first.first, height, width, top, rows, _name(first, 0))


def _by_picture(chunks: Iterator[Chunk]) -> Iterator[tuple[Chunk, Iterator[Chunk]]]:
    """The first chunk of each picture of several tiles, and all of them; other chunks are by themselves."""
    for _, grouped in groupby(chunks, key=lambda chunk: chunk.first):
        tiles = iter(grouped)
        first = next(tiles)
        yield first, chain([first], tiles)


def _size(chunk: Chunk) -> Size:
    assert chunk.size is not None, "every chunk of a mixed packet has one"
    return chunk.size


def _name(chunk: Chunk, number: int) -> str | None:
    return None if chunk.names is None else chunk.names[number]


def _rows_between(held: dict[int, Symbols], cells: slice, each: int, number: int) -> Symbols:
    """Those of a row of tiles, ``each`` cells high, that are in ``cells`` of the picture."""
    start = number * each
    return held[number][max(0, cells.start - start) : max(0, cells.stop - start)]
