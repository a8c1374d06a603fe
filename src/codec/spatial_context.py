"""The context model of pictures of any size: integers that tell each symbol's table from its neighbourhood.

The symbols of an image are blocks of 2x2 cells, and all values of a block's cells are its elements. They come
in groups, and each group in two passes over a checkerboard of blocks: first the even ones, whose row and
column sum to an even number, then the odd ones. A pass sees the groups before its own in the block and in the
eight blocks around it; the odd pass also sees its own group in the four even blocks beside. Beyond the grid
all is zero.
``docs/packet.md`` specifies it; ``codec.training.spatial_integers`` makes it. No JAX.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.context_arithmetic import tables_and_offsets
from codec.integer_context import IntegerContext

__all__ = ["SIDES", "TAPS", "SpatialContext", "SpatialPredictor", "checkerboard", "from_blocks", "to_blocks"]

TAPS = tuple((row, column) for row in range(3) for column in range(3))
"""The block and those around it, as offsets from the one above to the left, in a pass's order of inputs."""
SIDES = (1, 3, 5, 7)
"""Of these the blocks above, to the left, to the right and below: those of the other parity."""
_CELLS = 4
"""Cells in a block."""


class SpatialContext(IntegerContext):
    """Of images of any size, whose rows are the elements of a block; a part is a pass.

    Pass p = 2 g + parity codes group g. It has r inputs: for each group before its own, for each of the nine
    blocks, the group's elements; then, if it is odd, for each of the four blocks beside, its own group's.
    """

    parts_of_group = 2
    part_name = "pass"
    one_grid = False

    @property
    def values_a_row(self) -> int:
        return len(TAPS) * self.elements + self.units

    @classmethod
    def shapes(cls, groups: tuple[int, ...], units: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        before = 0
        for number, size in enumerate(groups):
            for parity in (0, 1):
                inputs = len(TAPS) * before + len(SIDES) * size * parity
                if number or parity:
                    yield (inputs, units), (inputs + units, 2 * size)
            before += size

    def row_count(self, shape: tuple[int, int, int, int]) -> int:
        return shape[0] * shape[1] * shape[2] // _CELLS

    def to_rows(self, symbols: NDArray[np.int32]) -> NDArray[np.int32]:
        return to_blocks(symbols).reshape(-1, self.elements)

    def from_rows(self, rows: NDArray[Any], shape: tuple[int, int, int, int]) -> NDArray[Any]:
        count, height, width, _ = shape
        return from_blocks(rows.reshape(count, height // 2, width // 2, -1))

    def predictor(self, quality: int, shape: tuple[int, int, int, int]) -> "SpatialPredictor":
        count, height, width, _ = shape
        return SpatialPredictor(self, quality, (count, height // 2, width // 2))


class SpatialPredictor:
    """Tells the tables of a chunk's passes, one after the other, as their symbols become known.

    Args:
        model: the integers.
        quality: of the packet.
        shape: images in the chunk, and rows and columns of blocks of each.
    """

    def __init__(self, model: SpatialContext, quality: int, shape: tuple[int, int, int]) -> None:
        self._model = model
        self._scaling = model.scaling(quality)
        self._pass = 0
        count, rows, columns = shape
        # A frame of one block around each image stays zero.
        self._framed = count * (rows + 2) * (columns + 2)
        image = np.arange(self._framed).reshape(count, rows + 2, columns + 2)
        around = np.stack([image[:, i : i + rows, j : j + columns] for i, j in TAPS], axis=-1)
        odd = np.broadcast_to(checkerboard(rows, columns), shape).ravel()
        self._places = tuple(np.flatnonzero(odd == parity) for parity in (0, 1))
        self._taps = tuple(around.reshape(-1, len(TAPS))[places] for places in self._places)
        self._centres = tuple(taps[:, len(TAPS) // 2] for taps in self._taps)
        self._inputs = tuple(
            np.empty((len(places), len(TAPS) * model.elements), np.float32) for places in self._places
        )
        self._known: NDArray[np.float32] = np.zeros((self._framed, 0), np.float32)

    def parts(self) -> Iterator[tuple[NDArray[np.intp], slice]]:
        """Of each pass the blocks, counted over all images, and the elements that it codes."""
        for number, scaling in enumerate(self._scaling):
            yield self._places[number % 2], scaling.columns

    def tables(self) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
        """Of the next pass: each symbol's table, and the offset of its entries; [blocks, size] each."""
        return tables_and_offsets(*self._scaling[self._pass].told(self._sums()), self._model.flat_index)

    def _sums(self) -> NDArray[np.float32]:
        """The next pass's outputs before their gains, [blocks, 2 x size]."""
        scaling, parity = self._scaling[self._pass], self._pass % 2
        inputs, before = self._inputs[parity], scaling.columns.start
        if self._pass == 0:
            return np.zeros((len(inputs), len(scaling.output_gain)), np.float32)
        into, outputs = self._model.matrices[self._pass - 1]
        known = inputs[:, : len(TAPS) * before]
        first, last = known.shape[1], len(into)
        hidden, sums = known @ into[:first], known @ outputs[:first]
        if parity:
            beside = self._known[self._taps[1][:, SIDES]].reshape(len(inputs), last - first)
            hidden += beside @ into[first:]
            sums += beside @ outputs[first:last]
        sums += scaling.hidden(hidden) @ outputs[last:]
        return sums

    def tell(self, symbols: NDArray[np.int32]) -> None:
        """Make int32 ``symbols`` [blocks, size] of that pass known."""
        scaling, parity = self._scaling[self._pass], self._pass % 2
        if parity == 0:
            self._known = np.zeros((self._framed, symbols.shape[1]), np.float32)
        self._known[self._centres[parity]] = scaling.inputs(symbols)
        if parity:
            columns = slice(len(TAPS) * scaling.columns.start, len(TAPS) * scaling.columns.stop)
            for inputs, taps in zip(self._inputs, self._taps, strict=True):
                inputs[:, columns] = self._known[taps].reshape(len(inputs), columns.stop - columns.start)
        self._pass += 1


def checkerboard(rows: int, columns: int) -> NDArray[np.int64]:
    """0 where row and column sum to an even number and 1 elsewhere: int [rows, columns]."""
    parity: NDArray[np.int64] = np.add.outer(np.arange(rows), np.arange(columns)) % 2
    return parity


def to_blocks(symbols: NDArray[Any]) -> NDArray[Any]:
    """Symbols or codes [N, h, w, C] as the elements of their blocks [N, h/2, w/2, 4C].

    A block's values in the order row, column, channel.
    """
    count, rows, columns, channels = symbols.shape
    blocks = symbols.reshape(count, rows // 2, 2, columns // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(count, rows // 2, columns // 2, 4 * channels)


def from_blocks(blocks: NDArray[Any]) -> NDArray[Any]:
    """The reverse."""
    count, rows, columns, elements = blocks.shape
    cells = blocks.reshape(count, rows, columns, 2, 2, elements // 4).transpose(0, 1, 3, 2, 4, 5)
    return np.ascontiguousarray(cells.reshape(count, 2 * rows, 2 * columns, elements // 4))
