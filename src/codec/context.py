"""The context model: integers that tell each symbol's table from the symbols before it, alike everywhere.

The elements of a chunk's symbols come in groups. The tables of a group follow from the groups before it
through a small network whose inputs, weights and sums are integers; the sums stay below 2^24, so that float32
products, in any order and by any library, are exact. Nothing is rounded that a specification does not round.
``docs/packet.md`` specifies it; ``codec.training.integers`` makes it. No JAX.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
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

__all__ = ["ContextModel", "Predictor", "from_elements", "to_elements"]

_GROUPS_MAX = 64


@dataclass(frozen=True, eq=False)
class ContextModel:
    """The integers, for Q qualities, D elements in G groups, and U hidden units a group.

    Attributes:
        groups: elements of each group, in coding order.
        units: U, hidden units that each group but the last adds for the groups behind it.
        weights: int8, flat, for each group but the first: its new hidden units' matrix [elements before, U],
            then its outputs' [elements before + hidden units before and new, 2 x elements of the group],
            means first.
        input_gain: int32 [Q, D].
        hidden_bias: int32 [Q, G - 1, U].
        hidden_shift: int32 [G - 1, U].
        output_gain: int32 [Q, 2, D], for means and scales.
        output_bias: int32 [Q, 2, D].
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

    @property
    def hidden_units(self) -> int:
        """Of all groups together."""
        return (len(self.groups) - 1) * self.units

    @cached_property
    def flat_index(self) -> NDArray[np.uint16]:
        """``table_index`` with one axis: there are at most 2^16 tables, and few bits sort faster."""
        return self.table_index.ravel().astype(np.uint16)

    def scaling(self, quality: int) -> tuple[Scaling, ...]:
        """The numbers of each group at a quality, in the types that its sums meet them in."""
        if quality not in self._scalings:
            self._scalings[quality] = tuple(
                self._scaling(quality, number, slice(end - size, end))
                for number, (size, end) in enumerate(zip(self.groups, accumulate(self.groups), strict=True))
            )
        return self._scalings[quality]

    def _scaling(self, quality: int, number: int, columns: slice) -> Scaling:
        hidden = slice(max(number - 1, 0), number)  # none for group 0
        return Scaling.of(
            columns,
            self.input_gain[quality, columns],
            self.hidden_bias[quality, hidden],
            self.hidden_shift[hidden],
            self.output_gain[quality, :, columns],
            self.output_bias[quality, :, columns],
            len(self.table_index),
        )

    @cached_property
    def _scalings(self) -> dict[int, tuple[Scaling, ...]]:
        """Those made so far; two threads may make the same ones."""
        return {}

    @cached_property
    def matrices(self) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]:
        """For each group but the first the matrix of its hidden units and that of its outputs, float32."""
        return tuple(
            (hidden.astype(np.float32), outputs.astype(np.float32)) for hidden, outputs in self._integers()
        )

    def _integers(self) -> Iterator[tuple[NDArray[np.int8], NDArray[np.int8]]]:
        """The same as int8, over the memory of the weights."""
        start = before = 0
        for number, (last, size) in enumerate(pairwise(self.groups), 1):
            before += last
            shapes = ((before, self.units), (before + number * self.units, 2 * size))
            pair = []
            for rows, columns in shapes:
                pair.append(self.weights[start : start + rows * columns].reshape(rows, columns))
                start += rows * columns
            yield pair[0], pair[1]

    @staticmethod
    def weight_count(groups: tuple[int, ...], units: int) -> int:
        """How many weights there are for such groups."""
        total = before = 0
        for number, (last, size) in enumerate(pairwise(groups), 1):
            before += last
            total += before * units + (before + number * units) * 2 * size
        return total

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
                "hidden_bias": ((qualities, groups - 1, units), -SUM_MAX, SUM_MAX),
                "hidden_shift": ((groups - 1, units), 0, SHIFT_MAX),
                "output_gain": ((qualities, 2, count), 0, GAIN_MAX),
                "output_bias": ((qualities, 2, count), -BIAS_MAX, BIAS_MAX),
            },
            tables,
        )
        for number, (hidden, outputs) in enumerate(self._integers()):
            check_sums(hidden, self.hidden_bias[:, number], outputs, f"group {number + 1}")


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


def from_elements(elements: NDArray[np.int32], shape: tuple[int, int, int]) -> NDArray[np.int32]:
    """The reverse, zero beyond the elements: [N, elements] to [N, h, w, C] for ``shape`` (h, w, C)."""
    rows, columns, channels = shape
    symbols = np.zeros((len(elements), channels * rows * columns), np.int32)
    symbols[:, : elements.shape[1]] = elements
    return np.ascontiguousarray(symbols.reshape(-1, channels, rows, columns).transpose(0, 2, 3, 1))
