"""What both kinds of context model are: integers that tell each symbol's table from the symbols before it.

The elements come in groups, each coded in one part or several. A part's tables follow from what is known
before it, through a hidden layer and a linear one of integers (``codec.context_arithmetic``).
``codec.context`` knows an image's elements before, ``codec.spatial_context`` the blocks around.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, ClassVar, Protocol

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
)
from codec.errors import BundleError

__all__ = ["IntegerContext", "SymbolPredictor"]

_GROUPS_MAX = 64

Shape = tuple[int, int]


class SymbolPredictor(Protocol):
    """Tells the tables of a chunk's parts, one after the other, as their symbols become known."""

    def parts(self) -> Iterator[tuple[Any, slice]]:
        """Of each part the rows of elements and the columns that it codes."""
        ...

    def tables(self) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
        """Of the next part: each symbol's table, and the offset of its entries; [rows, columns] each."""
        ...

    def tell(self, symbols: NDArray[np.int32]) -> None:
        """Make int32 ``symbols`` [rows, columns] of that part known."""
        ...


@dataclass(frozen=True, eq=False)
class IntegerContext(ABC):
    """The integers, for Q qualities, D elements in G groups, P parts, and U hidden units a part.

    Attributes:
        groups: elements of each group, in coding order.
        units: U.
        weights: int8, flat, for each part but the first: its hidden units' matrix, then its outputs', of
            ``shapes``; of the outputs' columns the means come first.
        input_gain: int32 [Q, D].
        hidden_bias: int32 [Q, P - 1, U].
        hidden_shift: int32 [P - 1, U].
        output_gain: int32 [Q, 2, D], for means and scales; with several parts a group [Q, parts, 2, D].
        output_bias: int32, of the same shape.
        table_index: int32 [scales, 16]: which table goes with a scale and with the sixteenths of a mean.
    """

    parts_of_group: ClassVar[int]
    """Parts that each group is coded in."""
    part_name: ClassVar[str]
    """What one is called, for messages."""
    one_grid: ClassVar[bool]
    """Whether only images of the pair's own number of codes can be coded."""

    groups: tuple[int, ...]
    units: int
    weights: NDArray[np.int8]
    input_gain: NDArray[np.int32]
    hidden_bias: NDArray[np.int32]
    hidden_shift: NDArray[np.int32]
    output_gain: NDArray[np.int32]
    output_bias: NDArray[np.int32]
    table_index: NDArray[np.int32]

    @classmethod
    @abstractmethod
    def shapes(cls, groups: tuple[int, ...], units: int) -> Iterator[tuple[Shape, Shape]]:
        """Of each part but the first the shapes of its two matrices."""

    @abstractmethod
    def to_rows(self, symbols: NDArray[np.int32]) -> NDArray[np.int32]:
        """The elements of symbols [N, h, w, C], as rows [rows, D]."""

    @abstractmethod
    def from_rows(self, rows: NDArray[Any], shape: tuple[int, int, int, int]) -> NDArray[Any]:
        """The reverse: symbols, or what is told of each, of ``shape`` [N, h, w, C]."""

    @abstractmethod
    def predictor(self, quality: int, shape: tuple[int, int, int, int]) -> SymbolPredictor:
        """For a chunk whose symbols have ``shape`` [N, h, w, C], at a quality."""

    @abstractmethod
    def row_count(self, shape: tuple[int, int, int, int]) -> int:
        """Rows that symbols of ``shape`` have."""

    @property
    @abstractmethod
    def values_a_row(self) -> int:
        """Inputs and hidden units that a predictor holds for each row."""

    @property
    def elements(self) -> int:
        """D."""
        return sum(self.groups)

    @cached_property
    def flat_index(self) -> NDArray[np.uint16]:
        """``table_index`` with one axis: there are at most 2^16 tables, and few bits sort faster."""
        return self.table_index.ravel().astype(np.uint16)

    def scaling(self, quality: int) -> tuple[Scaling, ...]:
        """The numbers of each part at a quality, in the types that its sums meet them in."""
        if quality not in self._scalings:
            self._scalings[quality] = tuple(
                self._scaling(quality, group * self.parts_of_group + number, slice(end - size, end))
                for group, (size, end) in enumerate(zip(self.groups, accumulate(self.groups), strict=True))
                for number in range(self.parts_of_group)
            )
        return self._scalings[quality]

    def _scaling(self, quality: int, part: int, columns: slice) -> Scaling:
        hidden = slice(max(part - 1, 0), part)  # none for the first
        gain, bias = (
            values[quality].reshape(self.parts_of_group, 2, -1)[part % self.parts_of_group, :, columns]
            for values in (self.output_gain, self.output_bias)
        )
        return Scaling.of(
            columns,
            self.input_gain[quality, columns],
            self.hidden_bias[quality, hidden],
            self.hidden_shift[hidden],
            gain,
            bias,
            len(self.table_index),
        )

    @cached_property
    def _scalings(self) -> dict[int, tuple[Scaling, ...]]:
        """Those made so far; two threads may make the same ones."""
        return {}

    @cached_property
    def matrices(self) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]:
        """For each part but the first the matrix of its hidden units and that of its outputs, float32."""
        return tuple(
            (hidden.astype(np.float32), outputs.astype(np.float32)) for hidden, outputs in self._integers()
        )

    def _integers(self) -> Iterator[tuple[NDArray[np.int8], NDArray[np.int8]]]:
        """The same as int8, over the memory of the weights."""
        start = 0
        for shapes in self.shapes(self.groups, self.units):
            pair = []
            for rows, columns in shapes:
                pair.append(self.weights[start : start + rows * columns].reshape(rows, columns))
                start += rows * columns
            yield pair[0], pair[1]

    @classmethod
    def weight_count(cls, groups: tuple[int, ...], units: int) -> int:
        """How many weights there are for such groups."""
        return sum(rows * columns for pair in cls.shapes(groups, units) for rows, columns in pair)

    def check(self, tables: int, qualities: int) -> None:
        """Raise ``BundleError`` unless all is as specified, for so many tables and qualities."""
        units, count = self.units, self.elements
        if not 1 <= len(self.groups) <= _GROUPS_MAX or min(self.groups) < 1 or units < 1:
            raise BundleError(f"context: expected 1 to {_GROUPS_MAX} groups of at least 1 element")
        later = self.parts_of_group * len(self.groups) - 1
        several = (self.parts_of_group,) if self.parts_of_group > 1 else ()
        check_tensors(
            self,
            {
                "weights": ((self.weight_count(self.groups, units),), -ACTIVATION_MAX, ACTIVATION_MAX),
                "input_gain": ((qualities, count), 0, INPUT_GAIN_MAX),
                "hidden_bias": ((qualities, later, units), -SUM_MAX, SUM_MAX),
                "hidden_shift": ((later, units), 0, SHIFT_MAX),
                "output_gain": ((qualities, *several, 2, count), 0, GAIN_MAX),
                "output_bias": ((qualities, *several, 2, count), -BIAS_MAX, BIAS_MAX),
            },
            tables,
        )
        for number, (hidden, outputs) in enumerate(self._integers()):
            check_sums(hidden, self.hidden_bias[:, number], outputs, f"{self.part_name} {number + 1}")
