"""What symbols cost: the bits of each, or of each image, under the very tables that code it. For reports.

The sum over an image's symbols is what its share of a payload comes to: the range coder adds less than one
part in a million, and a payload ends in whole bytes.
"""

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from codec.bundle import Pair
from codec.tables import Table

__all__ = ["element_bits", "symbol_bits"]

_ESCAPED_BITS = 16
"""What stands behind an escape: the symbol's two bytes, each under 256 equal frequencies."""


class _Costs:
    """The costs of one row of tables, end to end.

    Attributes:
        low, escape, start: int64 [tables]; ``start`` is where a table's costs begin in ``bits``.
        bits: float64, of each entry of each table; a certain table has one, of 0 bits.
    """

    def __init__(self, tables: tuple[Table, ...]) -> None:
        costs = [np.zeros(1) if table.certain else table.bits for table in tables]
        self.low = np.array([table.low for table in tables], np.int64)
        self.escape = np.array([max(table.escape, 0) for table in tables], np.int64)
        self.certain = np.array([table.certain for table in tables], bool)
        lengths = np.array([len(cost) for cost in costs], np.int64)
        self.start = lengths.cumsum() - lengths
        self.bits = np.concatenate(costs)

    def of(
        self, symbols: NDArray[np.int32], numbers: NDArray[np.intp], offsets: NDArray[np.int32] | int = 0
    ) -> NDArray[np.float64]:
        """Of each symbol its cost in bits, under the table of that number."""
        escape = self.escape[numbers]
        entries = symbols.astype(np.int64) - offsets - self.low[numbers]
        escaped = ((entries < 0) | (entries >= escape)) & ~self.certain[numbers]
        entries = np.where((entries < 0) | (entries >= escape), escape, entries)
        bits: NDArray[np.float64] = self.bits[self.start[numbers] + entries] + _ESCAPED_BITS * escaped
        return bits


_costs: WeakKeyDictionary[Pair, tuple[_Costs, ...]] = WeakKeyDictionary()
"""Those of each pair in use; two threads may make the same ones."""


def symbol_bits(symbols: NDArray[np.int32], pair: Pair, quality: int) -> NDArray[np.float64]:
    """The cost of each image's int32 ``symbols`` [N, h, w, C] in bits, escapes included: float64 [N]."""
    if pair.context is None:
        summed: NDArray[np.float64] = _by_channel(symbols, pair, quality).reshape(len(symbols), -1).sum(1)
        return summed
    elements = pair.context.to_rows(symbols)
    total = np.zeros(len(elements))
    for part, bits in _by_part(elements, symbols.shape, pair, quality):
        total[part[0]] += bits.sum(1)
    of_images: NDArray[np.float64] = total.reshape(len(symbols), -1).sum(1)
    return of_images


def element_bits(symbols: NDArray[np.int32], pair: Pair, quality: int) -> NDArray[np.float64]:
    """The cost of each of int32 ``symbols`` [N, h, w, C] in bits: float64 of the same shape.

    What a dense pair does not code costs nothing.
    """
    if pair.context is None:
        return _by_channel(symbols, pair, quality)
    elements = pair.context.to_rows(symbols)
    costs = np.zeros(elements.shape)
    for part, bits in _by_part(elements, symbols.shape, pair, quality):
        costs[part] = bits
    count, height, width, channels = symbols.shape
    placed: NDArray[np.float64] = pair.context.from_rows(costs, (count, height, width, channels))
    return placed


def _rows(pair: Pair) -> tuple[_Costs, ...]:
    rows = _costs.get(pair)
    if rows is None:
        rows = _costs[pair] = tuple(map(_Costs, pair.tables))
    return rows


def _by_channel(symbols: NDArray[np.int32], pair: Pair, quality: int) -> NDArray[np.float64]:
    """Of each symbol its cost, where its channel tells its table."""
    return _rows(pair)[quality].of(symbols, np.arange(symbols.shape[-1]))


def _by_part(
    elements: NDArray[np.int32], shape: tuple[int, ...], pair: Pair, quality: int
) -> Iterator[tuple[tuple[Any, slice], NDArray[np.float64]]]:
    """Of each part of a context model its rows and columns, and what they cost.

    Args:
        elements: the symbols of ``shape`` [N, h, w, C], as rows.
    """
    assert pair.context is not None
    count, height, width, channels = shape
    predictor = pair.context.predictor(quality, (count, height, width, channels))
    for part in predictor.parts():
        index, offsets = predictor.tables()
        yield part, _rows(pair)[0].of(elements[part], index.astype(np.intp), offsets)
        predictor.tell(elements[part])
