"""Integer frequency tables: what entropy coding knows of the symbols, fixed at export, equal on both sides.

A table covers the symbols from ``low`` upwards, one frequency each, and ends with an escape for all others.
A table without frequencies is certain: its one symbol is ``low`` and coding it takes no bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from codec.errors import BundleError
from codec.quantise import SYMBOL_MAX, SYMBOL_MIN

__all__ = ["PRECISION", "TOTAL", "Table", "TableArrays", "pack_tables", "unpack_tables"]

PRECISION = 16
TOTAL = 1 << PRECISION
"""What a table's frequencies sum to."""


@dataclass(frozen=True, eq=False)
class Table:
    """One context's frequencies.

    Attributes:
        low: the symbol of the first entry.
        frequencies: int64 [E], each at least 1, summing to ``TOTAL``; the last is the escape's. Or empty.
    """

    low: int
    frequencies: NDArray[np.int64]

    @property
    def certain(self) -> bool:
        """Whether every symbol of this context is ``low``."""
        return len(self.frequencies) == 0

    @property
    def escape(self) -> int:
        """Index of the escape, which is also the number of symbols that have an entry of their own."""
        return len(self.frequencies) - 1

    @cached_property
    def bits(self) -> NDArray[np.float64]:
        """Ideal cost of each entry in bits."""
        return PRECISION - np.log2(self.frequencies)


@dataclass(frozen=True)
class TableArrays:
    """The tables of all qualities as a bundle stores them.

    Attributes:
        low: int32 [qualities, contexts].
        length: int32 [qualities, contexts], 0 for certain tables.
        frequencies: uint16 [sum of the lengths].
    """

    low: NDArray[np.int32]
    length: NDArray[np.int32]
    frequencies: NDArray[np.uint16]


def pack_tables(tables: Sequence[Sequence[Table]]) -> TableArrays:
    """Tables by quality and context, as arrays."""
    flat = [table.frequencies for row in tables for table in row]
    return TableArrays(
        np.array([[table.low for table in row] for row in tables], np.int32),
        np.array([[len(table.frequencies) for table in row] for row in tables], np.int32),
        np.concatenate([np.zeros(0, np.uint16), *flat]).astype(np.uint16),
    )


def unpack_tables(arrays: TableArrays) -> tuple[tuple[Table, ...], ...]:
    """The reverse of ``pack_tables``; every check a table needs is made here.

    Raises:
        BundleError: a length, a symbol's range or a sum that is not as ``docs/bundle.md`` says.
    """
    low, length = arrays.low.astype(np.int64), arrays.length.astype(np.int64)
    if low.shape != length.shape or low.ndim != 2:
        raise BundleError(
            f"tables: expected table_low and table_length of one shape [qualities, contexts], "
            f"found {low.shape} and {length.shape}"
        )
    wrong = (length < 0) | (length == 1)
    if wrong.any():
        raise BundleError(f"tables: expected lengths of 0 or at least 2, found {length[wrong][0]}")
    if length.sum() != len(arrays.frequencies):
        raise BundleError(f"tables: expected {length.sum()} frequencies, found {len(arrays.frequencies)}")
    top = low + np.maximum(length - 2, 0)
    if (low < SYMBOL_MIN).any() or (top > SYMBOL_MAX).any():
        raise BundleError(
            f"tables: expected symbols from {SYMBOL_MIN} to {SYMBOL_MAX}, found {low.min()} to {top.max()}"
        )
    frequencies = arrays.frequencies.astype(np.int64)
    frequencies.setflags(write=False)
    if len(frequencies) and frequencies.min() < 1:
        raise BundleError("tables: expected frequencies of at least 1, found 0")
    ends = np.cumsum(length).reshape(length.shape)
    starts = ends - length
    running = np.concatenate([np.zeros(1, np.int64), np.cumsum(frequencies)])
    sums = running[ends] - running[starts]
    for quality, context in np.argwhere((length > 0) & (sums != TOTAL)):
        raise BundleError(
            f"tables: expected quality {quality}, context {context} to sum to {TOTAL}, "
            f"found {sums[quality, context]}"
        )
    bounds = zip(low.ravel().tolist(), starts.ravel().tolist(), ends.ravel().tolist(), strict=True)
    flat = [Table(lowest, frequencies[start:end]) for lowest, start, end in bounds]
    qualities, contexts = low.shape
    return tuple(tuple(flat[q * contexts : (q + 1) * contexts]) for q in range(qualities))
