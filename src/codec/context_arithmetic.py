"""The integer arithmetic of the context models: symbols to inputs, sums to hidden units, sums to tables.

Every sum stays below 2^24, so that float32 products, in any order and by any library, are exact. The
functions here work in floating point where that is exact, because it is fast; ``docs/packet.md`` says what
they compute.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.errors import BundleError
from codec.quantise import SYMBOL_MIN

__all__ = ["LOG_SCALES", "Scaling", "check_sums", "check_tensors", "tables_and_offsets"]

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

Integers = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Scaling:
    """What makes inputs, hidden units and outputs of sums, for a quality and a group of m elements.

    Every power of two is in the factors: a product by one is exact, and rounding down is then ``floor``.

    Attributes:
        columns: the group's elements.
        input_gain: float64 [m].
        input_least, input_most: float64 [m], the inputs of the symbols -127 and 127.
        hidden_bias, hidden_factor: float32 [U]; empty where there are no hidden units.
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
    def of(
        cls,
        columns: slice,
        input_gain: Integers,
        hidden_bias: Integers,
        hidden_shift: Integers,
        output_gain: Integers,
        output_bias: Integers,
        scales: int,
    ) -> "Scaling":
        """From a bundle's integers; outputs are [2, m], means first."""
        size = columns.stop - columns.start
        gain = input_gain.astype(np.float64) * 2.0**-INPUT_SHIFT
        most = np.floor(ACTIVATION_MAX * gain + 0.5)
        least = np.floor(-ACTIVATION_MAX * gain + 0.5)
        return cls(
            columns,
            gain,
            np.maximum(least, -ACTIVATION_MAX),
            np.minimum(most, ACTIVATION_MAX),
            hidden_bias.ravel().astype(np.float32),
            np.ldexp(np.float32(1), -hidden_shift.ravel()),
            output_gain.ravel().astype(np.float64) * 2.0**-OUTPUT_SHIFT,
            output_bias.ravel().astype(np.float64) + 0.5,
            np.repeat([SYMBOL_MIN * MEAN_PARTS, 0.0], size),
            np.repeat([-SYMBOL_MIN * MEAN_PARTS - 1.0, scales - 1.0], size),
        )

    def inputs(self, symbols: NDArray[np.int32]) -> NDArray[np.float64]:
        """Inputs that int32 ``symbols`` [..., m] become."""
        # Inputs never fall where symbols rise: those of symbols beyond 127 are limited to that of 127. The
        # products are exact in float64, whatever the 32 bits of a symbol: gains are at most 2^20.
        scaled: NDArray[np.float64] = symbols * self.input_gain
        scaled += 0.5
        np.floor(scaled, out=scaled)
        np.maximum(scaled, self.input_least, out=scaled)
        np.minimum(scaled, self.input_most, out=scaled)
        return scaled

    def hidden(self, sums: NDArray[np.float32]) -> NDArray[np.float32]:
        """Hidden units of their sums [..., U]."""
        sums = sums + self.hidden_bias
        sums *= self.hidden_factor  # exact: an integer below 2^24 times 2^-23 or more
        np.floor(sums, out=sums)
        np.maximum(sums, 0, out=sums)
        np.minimum(sums, ACTIVATION_MAX, out=sums)
        return sums

    def told(self, sums: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Means in sixteenths and numbers of scales, [..., m] each, of the outputs' sums [..., 2 m]."""
        # Below 2^24 times below 2^28, in units of 2^-24, plus less than 2^21: exact in float64's 53 bits.
        told = sums * self.output_gain
        told += self.output_bias
        np.floor(told, out=told)
        np.maximum(told, self.output_least, out=told)
        np.minimum(told, self.output_most, out=told)
        whole, size = told.astype(np.int32), told.shape[-1] // 2
        return whole[..., :size], whole[..., size:]


def tables_and_offsets(
    mean: NDArray[np.int32], scale: NDArray[np.int32], flat_index: NDArray[np.uint16]
) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Each symbol's table and the offset of its entries, told by its mean and scale.

    Args:
        flat_index: a model's ``table_index`` with one axis.
    """
    # & and >> are the remainder and the quotient, rounded down, by MEAN_PARTS.
    index = flat_index.take(scale * MEAN_PARTS + (mean & (MEAN_PARTS - 1)))
    return index, mean >> (MEAN_PARTS.bit_length() - 1)


def check_tensors(model: Any, expected: Mapping[str, tuple[tuple[int, ...], int, int]], tables: int) -> None:
    """Raise ``BundleError`` unless a model's tensors have these shapes and lie within these bounds.

    Its ``table_index`` [scales, 16] has to name tables below ``tables``.
    """
    scales = max((1, *model.table_index.shape[:1]))
    for name, (shape, low, high) in {
        **expected,
        "table_index": ((scales, MEAN_PARTS), 0, tables - 1),
    }.items():
        values = getattr(model, name)
        if values.shape != shape:
            raise BundleError(f"context, {name}: expected shape {list(shape)}, found {list(values.shape)}")
        if values.size and not low <= int(values.min()) <= int(values.max()) <= high:
            raise BundleError(
                f"context, {name}: expected {low} to {high}, found {values.min()} to {values.max()}"
            )


def check_sums(
    hidden: NDArray[np.int8], hidden_bias: NDArray[np.int32], outputs: NDArray[np.int8], where: str
) -> None:
    """Raise ``BundleError`` where a sum could leave the integers that float32 holds.

    Args:
        hidden: [inputs, U], none of it -128.
        hidden_bias: [qualities, U].
        outputs: [inputs and hidden units, 2 m], none of it -128.
        where: for the message.
    """
    largest = ACTIVATION_MAX * np.abs(hidden).sum(0, dtype=np.int64)
    largest += np.abs(hidden_bias.astype(np.int64)).max(0)
    sums = ACTIVATION_MAX * np.abs(outputs).sum(0, dtype=np.int64)
    found = max(int(largest.max()), int(sums.max()))
    if found > SUM_MAX:
        raise BundleError(
            f"context, weights: expected sums of at most {SUM_MAX:,} in {where}, found {found:,}"
        )
