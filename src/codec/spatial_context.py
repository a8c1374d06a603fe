"""The context model of pictures of any size: integers that tell each symbol's table from its neighbourhood.

The symbols of an image are blocks of 2x2 cells, and all values of a block's cells are its elements. They come
in groups, and each group in two passes over a checkerboard of blocks: first the even ones, whose row and
column sum to an even number, then the odd ones. A pass sees the groups before its own in the block and in the
eight blocks around it; the odd pass also sees its own group in the four even blocks beside. Beyond the grid
all is zero.
``docs/packet.md`` specifies it; ``codec.training.spatial_integers`` makes it. No JAX.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.context_arithmetic import (
    ACTIVATION_MAX,
    BIAS_MAX,
    GAIN_MAX,
    INPUT_GAIN_MAX,
    SHIFT_MAX,
    SUM_MAX,
    Scaling,
    check_sums,
    check_tensors,
    tables_and_offsets,
)
from codec.errors import BundleError

__all__ = ["SIDES", "TAPS", "SpatialContext", "SpatialPredictor", "checkerboard", "from_blocks", "to_blocks"]

TAPS = tuple((row, column) for row in range(3) for column in range(3))
"""The block and those around it, as offsets from the one above to the left, in a pass's order of inputs."""
SIDES = (1, 3, 5, 7)
"""Of these the blocks above, to the left, to the right and below: those of the other parity."""
_GROUPS_MAX = 64


@dataclass(frozen=True, eq=False)
class SpatialContext:
    """The integers, for Q qualities, D elements a block in G groups, and U hidden units a pass.

    Pass p = 2 g + parity codes group g. It has r inputs: for each group before its own, for each of the nine
    blocks, the group's elements; then, if it is odd, for each of the four blocks beside, its own group's.

    Attributes:
        groups: elements of each group, in coding order.
        units: U.
        weights: int8, flat, for each pass but the first: its hidden units' matrix [r, U], then its outputs'
            [r + U, 2 x elements of the group], means first.
        input_gain: int32 [Q, D].
        hidden_bias: int32 [Q, 2 G - 1, U].
        hidden_shift: int32 [2 G - 1, U].
        output_gain: int32 [Q, 2, 2, D], by parity, for means and scales.
        output_bias: int32 [Q, 2, 2, D].
        table_index: int32 [scales, 16]: which table goes with a scale and with the sixteenths of a mean.
    """

    groups: tuple[int, ...]
    units: int
    weights: NDArray[np.int8]
    input_gain: NDArray[np.int32]
    hidden_bias: NDArray[np.int32]
    hidden_shift: NDArray[np.int32]
    output_gain: NDArray[np.int32]
    output_bias: NDArray[np.int32]
    table_index: NDArray[np.int32]

    @property
    def elements(self) -> int:
        """D."""
        return sum(self.groups)

    @cached_property
    def flat_index(self) -> NDArray[np.uint16]:
        """``table_index`` with one axis: there are at most 2^16 tables, and few bits sort faster."""
        return self.table_index.ravel().astype(np.uint16)

    def scaling(self, quality: int) -> tuple[Scaling, ...]:
        """The numbers of each pass at a quality, in the types that its sums meet them in."""
        if quality not in self._scalings:
            columns = [
                slice(end - size, end) for size, end in zip(self.groups, accumulate(self.groups), strict=True)
            ]
            self._scalings[quality] = tuple(
                self._scaling(quality, number, columns[number // 2]) for number in range(2 * len(self.groups))
            )
        return self._scalings[quality]

    def _scaling(self, quality: int, number: int, columns: slice) -> Scaling:
        hidden = slice(max(number - 1, 0), number)  # none for pass 0
        return Scaling.of(
            columns,
            self.input_gain[quality, columns],
            self.hidden_bias[quality, hidden],
            self.hidden_shift[hidden],
            self.output_gain[quality, number % 2, :, columns],
            self.output_bias[quality, number % 2, :, columns],
            len(self.table_index),
        )

    @cached_property
    def _scalings(self) -> dict[int, tuple[Scaling, ...]]:
        """Those made so far; two threads may make the same ones."""
        return {}

    @cached_property
    def matrices(self) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]:
        """For each pass but the first the matrix of its hidden units and that of its outputs, float32."""
        return tuple(
            (hidden.astype(np.float32), outputs.astype(np.float32)) for hidden, outputs in self._integers()
        )

    def _integers(self) -> Iterator[tuple[NDArray[np.int8], NDArray[np.int8]]]:
        """The same as int8, over the memory of the weights."""
        start = 0
        for shapes in self._shapes(self.groups, self.units):
            pair = []
            for rows, columns in shapes:
                pair.append(self.weights[start : start + rows * columns].reshape(rows, columns))
                start += rows * columns
            yield pair[0], pair[1]

    @staticmethod
    def _shapes(groups: tuple[int, ...], units: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """Of each pass but the first the shapes of its two matrices."""
        before = 0
        for number, size in enumerate(groups):
            for parity in (0, 1):
                inputs = len(TAPS) * before + len(SIDES) * size * parity
                if number or parity:
                    yield (inputs, units), (inputs + units, 2 * size)
            before += size

    @staticmethod
    def weight_count(groups: tuple[int, ...], units: int) -> int:
        """How many weights there are for such groups."""
        return sum(
            rows * columns for shapes in SpatialContext._shapes(groups, units) for rows, columns in shapes
        )

    def check(self, tables: int, qualities: int) -> None:
        """Raise ``BundleError`` unless all is as specified, for so many tables and qualities."""
        groups, units, count = len(self.groups), self.units, self.elements
        if not 1 <= groups <= _GROUPS_MAX or min(self.groups) < 1 or units < 1:
            raise BundleError(f"context: expected 1 to {_GROUPS_MAX} groups of at least 1 element")
        check_tensors(
            self,
            {
                "weights": ((self.weight_count(self.groups, units),), -ACTIVATION_MAX, ACTIVATION_MAX),
                "input_gain": ((qualities, count), 0, INPUT_GAIN_MAX),
                "hidden_bias": ((qualities, 2 * groups - 1, units), -SUM_MAX, SUM_MAX),
                "hidden_shift": ((2 * groups - 1, units), 0, SHIFT_MAX),
                "output_gain": ((qualities, 2, 2, count), 0, GAIN_MAX),
                "output_bias": ((qualities, 2, 2, count), -BIAS_MAX, BIAS_MAX),
            },
            tables,
        )
        for number, (hidden, outputs) in enumerate(self._integers()):
            check_sums(hidden, self.hidden_bias[:, number], outputs, f"pass {number + 1}")


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
