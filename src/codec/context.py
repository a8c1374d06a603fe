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

from codec.errors import BundleError
from codec.quantise import SYMBOL_MIN

__all__ = ["LOG_SCALES", "ContextModel", "Predictor", "from_elements", "to_elements"]

LOG_SCALES = np.arange(-24, 40, dtype=np.float32) / 8
"""Logarithms of the logistics' scales that exported tables are made for, from e^-3 to e^4.9 (64 of them).

Decoding does not look at them: a bundle's tables may be anything.
"""
MEAN_PARTS = 16
"""Means are whole numbers of sixteenths of a symbol."""
ACTIVATION_MAX = 127
"""Inputs are -127..127, hidden units 0..127."""
INPUT_SHIFT = 8
OUTPUT_SHIFT = 24
SUM_MAX = (1 << 24) - 1
"""Largest integer up to which float32 holds them all."""
GAIN_MAX = (1 << 28) - 1
"""Largest output gain: a sum times it is exact in float64."""
BIAS_MAX = 1 << 20
INPUT_GAIN_MAX = 1 << 20
SHIFT_MAX = 23
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

    def scaling(self, quality: int) -> tuple["_Scaling", ...]:
        """The numbers of each group at a quality, in the types that its sums meet them in."""
        if quality not in self._scalings:
            self._scalings[quality] = tuple(
                _Scaling.of(self, quality, number, slice(end - size, end))
                for number, (size, end) in enumerate(zip(self.groups, accumulate(self.groups), strict=True))
            )
        return self._scalings[quality]

    @cached_property
    def _scalings(self) -> dict[int, tuple["_Scaling", ...]]:
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
        for name, shape, low, high in (
            ("weights", (self.weight_count(self.groups, units),), -ACTIVATION_MAX, ACTIVATION_MAX),
            ("input_gain", (qualities, count), 0, INPUT_GAIN_MAX),
            ("hidden_bias", (qualities, groups - 1, units), -SUM_MAX, SUM_MAX),
            ("hidden_shift", (groups - 1, units), 0, SHIFT_MAX),
            ("output_gain", (qualities, 2, count), 0, GAIN_MAX),
            ("output_bias", (qualities, 2, count), -BIAS_MAX, BIAS_MAX),
            ("table_index", (None, MEAN_PARTS), 0, tables - 1),
        ):
            values = getattr(self, name)
            axes = (max((1, *values.shape[:1])), *shape[1:]) if shape[0] is None else shape
            if values.shape != axes:
                raise BundleError(f"context, {name}: expected shape {list(axes)}, found {list(values.shape)}")
            if values.size and not low <= int(values.min()) <= int(values.max()) <= high:
                raise BundleError(
                    f"context, {name}: expected {low} to {high}, found {values.min()} to {values.max()}"
                )
        for number, (hidden, outputs) in enumerate(self._integers()):
            largest = ACTIVATION_MAX * np.abs(hidden).sum(0, dtype=np.int64)  # none is -128
            largest += np.abs(self.hidden_bias[:, number].astype(np.int64)).max(0)
            sums = ACTIVATION_MAX * np.abs(outputs).sum(0, dtype=np.int64)
            if max(int(largest.max()), int(sums.max())) > SUM_MAX:
                raise BundleError(
                    f"context, weights: expected sums of at most {SUM_MAX:,} in group {number + 1}, "
                    f"found {max(int(largest.max()), int(sums.max())):,}"
                )


@dataclass(frozen=True, eq=False)
class _Scaling:
    """What makes inputs, hidden units and outputs of sums, for a quality and a group of m elements.

    Every power of two is in the factors: a product by one is exact, and rounding down is then ``floor``.

    Attributes:
        columns: the group's elements.
        input_gain: float64 [m].
        input_least, input_most: float64 [m], the inputs of the symbols -127 and 127.
        hidden_bias, hidden_factor: float32 [U]; empty for group 0, which has none.
        output_gain, output_bias: float64 [2 m]; the bias holds the half that rounds.
        output_least, output_most: float64 [2 m], what means and scales are limited to.
    """

    columns: slice
    input_gain: NDArray[np.float64]
    input_least: NDArray[np.float64]
    input_most: NDArray[np.float64]
    hidden_bias: NDArray[np.float32]
    hidden_factor: NDArray[np.float32]
    output_gain: NDArray[np.float64]
    output_bias: NDArray[np.float64]
    output_least: NDArray[np.float64]
    output_most: NDArray[np.float64]

    @classmethod
    def of(cls, model: ContextModel, quality: int, number: int, columns: slice) -> "_Scaling":
        size = columns.stop - columns.start
        input_gain = model.input_gain[quality, columns].astype(np.float64) * 2.0**-INPUT_SHIFT
        most = np.floor(ACTIVATION_MAX * input_gain + 0.5)
        least = np.floor(-ACTIVATION_MAX * input_gain + 0.5)
        return cls(
            columns,
            input_gain,
            np.maximum(least, -ACTIVATION_MAX),
            np.minimum(most, ACTIVATION_MAX),
            model.hidden_bias[quality, max(number - 1, 0) : number].ravel().astype(np.float32),
            np.ldexp(np.float32(1), -model.hidden_shift[max(number - 1, 0) : number].ravel()),
            model.output_gain[quality, :, columns].ravel().astype(np.float64) * 2.0**-OUTPUT_SHIFT,
            model.output_bias[quality, :, columns].ravel().astype(np.float64) + 0.5,
            np.repeat([SYMBOL_MIN * MEAN_PARTS, 0.0], size),
            np.repeat([-SYMBOL_MIN * MEAN_PARTS - 1.0, len(model.table_index) - 1.0], size),
        )


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

    def tables(self) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
        """Of the next group: each symbol's table, and the offset of its entries; [count, size] each."""
        mean, scale = self.told()
        # & and >> are the remainder and the quotient, rounded down, by MEAN_PARTS.
        index = self._model.flat_index.take(scale * MEAN_PARTS + (mean & (MEAN_PARTS - 1)))
        return index, mean >> (MEAN_PARTS.bit_length() - 1)

    def told(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Of the next group: each symbol's mean in sixteenths, and the number of its scale."""
        scaling = self._scaling[self._group]
        # Below 2^24 times below 2^28, in units of 2^-24, plus less than 2^21: exact in float64's 53 bits.
        told = self._sums() * scaling.output_gain
        told += scaling.output_bias
        np.floor(told, out=told)
        np.maximum(told, scaling.output_least, out=told)
        np.minimum(told, scaling.output_most, out=told)
        whole, size = told.astype(np.int32), told.shape[1] // 2
        return whole[:, :size], whole[:, size:]

    def _sums(self) -> NDArray[np.float32]:
        """The next group's outputs before their gains, [count, 2 x size]; its hidden units on the way."""
        group, scaling = self._group, self._scaling[self._group]
        known = scaling.columns.start
        if group == 0:
            return np.zeros((len(self._inputs), len(scaling.output_gain)), np.float32)
        into, outputs = self._model.matrices[group - 1]
        inputs, units = self._inputs[:, :known], self._model.units * group
        sums: NDArray[np.float32] = inputs @ into + scaling.hidden_bias
        sums *= scaling.hidden_factor  # exact: an integer below 2^24 times 2^-23 or more
        np.floor(sums, out=sums)
        np.maximum(sums, 0, out=sums)
        np.minimum(sums, ACTIVATION_MAX, out=self._hidden[:, units - self._model.units : units])
        sums = inputs @ outputs[:known] + self._hidden[:, :units] @ outputs[known:]
        return sums

    def tell(self, symbols: NDArray[np.int32]) -> None:
        """Make int32 ``symbols`` [count, size] of that group known."""
        scaling = self._scaling[self._group]
        # Inputs never fall where symbols rise: those of symbols beyond 127 are limited to that of 127. The
        # products are exact in float64, whatever the 32 bits of a symbol: gains are at most 2^20.
        scaled = symbols * scaling.input_gain
        scaled += 0.5
        np.floor(scaled, out=scaled)
        np.maximum(scaled, scaling.input_least, out=scaled)
        np.minimum(scaled, scaling.input_most, out=scaled)
        self._inputs[:, scaling.columns] = scaled
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
