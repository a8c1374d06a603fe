"""The context model: integers that tell each symbol's table from the symbols before it, alike everywhere.

The elements of a chunk's symbols come in groups. The tables of a group follow from the groups before it
through a small network whose inputs, weights and sums are integers; the sums stay below 2^24, so that float32
products, in any order and by any library, are exact. Nothing is rounded that a specification does not round.
``docs/packet.md`` specifies it; ``codec.training.integers`` makes it. No JAX.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.context_arithmetic import tables_and_offsets
from codec.integer_context import IntegerContext

__all__ = ["ContextModel", "Predictor", "from_elements", "to_elements"]


class ContextModel(IntegerContext):
    """Of images of one size, whose rows are the elements of an image; a part is a group.

    Group g sees the elements of the groups before it, and the hidden units that these added and its own.
    """

    parts_of_group = 1
    part_name = "group"
    one_grid = True

    @property
    def hidden_units(self) -> int:
        """Of all groups together."""
        return (len(self.groups) - 1) * self.units

    @property
    def values_a_row(self) -> int:
        return self.elements + self.hidden_units

    @classmethod
    def shapes(cls, groups: tuple[int, ...], units: int) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        before = 0
        for number, (last, size) in enumerate(pairwise(groups), 1):
            before += last
            yield (before, units), (before + number * units, 2 * size)

    def row_count(self, shape: tuple[int, int, int, int]) -> int:
        return shape[0]

    def to_rows(self, symbols: NDArray[np.int32]) -> NDArray[np.int32]:
        return to_elements(symbols, self.elements)

    def from_rows(self, rows: NDArray[Any], shape: tuple[int, int, int, int]) -> NDArray[Any]:
        return from_elements(rows, shape[1:])

    def predictor(self, quality: int, shape: tuple[int, int, int, int]) -> "Predictor":
        return Predictor(self, quality, shape[0])


class Predictor:
    """Tells the tables of a chunk's groups, one after the other, as their symbols become known.

    Args:
        model: the integers.
        quality: of the packet.
        count: images in the chunk.
    """

    def __init__(self, model: ContextModel, quality: int, count: int) -> None:
        self._model = model
        self._scaling = model.scaling(quality)
        self._group = 0
        self._inputs = np.empty((count, model.elements), np.float32)
        self._hidden = np.empty((count, model.hidden_units), np.float32)

    def parts(self) -> Iterator[tuple[slice, slice]]:
        """Of each group the images, which are all, and the elements."""
        for scaling in self._scaling:
            yield slice(None), scaling.columns

    def tables(self) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
        """Of the next group: each symbol's table, and the offset of its entries; [count, size] each."""
        return tables_and_offsets(*self.told(), self._model.flat_index)

    def told(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Of the next group: each symbol's mean in sixteenths, and the number of its scale."""
        return self._scaling[self._group].told(self._sums())

    def _sums(self) -> NDArray[np.float32]:
        """The next group's outputs before their gains, [count, 2 x size]; its hidden units on the way."""
        group, scaling = self._group, self._scaling[self._group]
        known = scaling.columns.start
        if group == 0:
            return np.zeros((len(self._inputs), len(scaling.output_gain)), np.float32)
        into, outputs = self._model.matrices[group - 1]
        inputs, units = self._inputs[:, :known], self._model.units * group
        self._hidden[:, units - self._model.units : units] = scaling.hidden(inputs @ into)
        sums: NDArray[np.float32] = inputs @ outputs[:known] + self._hidden[:, :units] @ outputs[known:]
        return sums

    def tell(self, symbols: NDArray[np.int32]) -> None:
        """Make int32 ``symbols`` [count, size] of that group known."""
        scaling = self._scaling[self._group]
        self._inputs[:, scaling.columns] = scaling.inputs(symbols)
        self._group += 1


def to_elements(symbols: NDArray[Any], elements: int) -> NDArray[Any]:
    """The first elements of symbols or codes [N, h, w, C], channel by channel, row by row: [N, elements]."""
    return symbols.transpose(0, 3, 1, 2).reshape(len(symbols), -1)[:, :elements]


def from_elements(elements: NDArray[Any], shape: tuple[int, int, int]) -> NDArray[Any]:
    """The reverse, zero beyond the elements: [N, elements] to [N, h, w, C] for ``shape`` (h, w, C)."""
    rows, columns, channels = shape
    symbols = np.zeros((len(elements), channels * rows * columns), elements.dtype)
    symbols[:, : elements.shape[1]] = elements
    return np.ascontiguousarray(symbols.reshape(-1, channels, rows, columns).transpose(0, 2, 3, 1))
