"""The order in which a chunk's symbols are coded, and under which table each.

Without a context model: one run for each code channel, which has its table. With one: part by part, each
symbol's table told by the parts before it, and a run for each table that a part uses.
"""

import math
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from codec.bundle import Pair
from codec.entropy import RunDecoder, RunEncoder, Runs, TableRow
from codec.errors import DamagedPacketError
from codec.quantise import SYMBOL_MAX, SYMBOL_MIN

__all__ = ["decode_symbols", "encode_symbols"]

_rows: WeakKeyDictionary[Pair, tuple[TableRow, ...]] = WeakKeyDictionary()
"""The tables of each pair in use, as the coders take them; two threads may make the same ones."""


def encode_symbols(symbols: NDArray[np.int32], pair: Pair, quality: int) -> bytes:
    """The payload of int32 ``symbols`` [N, h, w, C] at a quality."""
    coder = RunEncoder()
    tables = _row(pair, quality)
    if pair.context is None:
        runs = Runs.equal(symbols.shape[-1], math.prod(symbols.shape[:-1]))
        coder.encode(tables, runs, np.moveaxis(symbols, -1, 0).ravel())
    else:
        elements = pair.context.to_rows(symbols)
        count, height, width, channels = symbols.shape
        predictor = pair.context.predictor(quality, (count, height, width, channels))
        for part in predictor.parts():
            index, offsets = predictor.tables()
            values = elements[part]
            order, runs = _runs(index)
            coder.encode(tables, runs, values.ravel()[order], offsets.ravel()[order])
            predictor.tell(values)
    return coder.payload()


def decode_symbols(
    payload: bytes, pair: Pair, quality: int, shape: tuple[int, int, int]
) -> NDArray[np.int32]:
    """The reverse: int32 [N, h, w, C] for ``shape`` (N, h, w), which the caller has checked.

    Raises:
        DamagedPacketError: no writer can have made the payload.
    """
    decoder = RunDecoder(payload)
    tables, channels = _row(pair, quality), pair.architecture.code_channels
    if pair.context is None:
        symbols = decoder.decode(tables, Runs.equal(channels, math.prod(shape)))
        return np.ascontiguousarray(np.moveaxis(symbols.reshape(channels, *shape), 0, -1))
    context, of_symbols = pair.context, (*shape, channels)
    elements = np.empty((context.row_count(of_symbols), context.elements), np.int32)
    predictor = context.predictor(quality, of_symbols)
    for part in predictor.parts():
        index, offsets = predictor.tables()
        order, runs = _runs(index)
        values = np.empty(index.size, np.int32)
        values[order] = decoder.decode(tables, runs, offsets.ravel()[order])
        elements[part] = values.reshape(index.shape)
        predictor.tell(elements[part])
    if len(elements) and not SYMBOL_MIN <= elements.min() <= elements.max() <= SYMBOL_MAX:
        raise DamagedPacketError("payload: expected symbols of 16 bits, found one beyond")
    return context.from_rows(elements, of_symbols)


def _row(pair: Pair, quality: int) -> TableRow:
    rows = _rows.get(pair)
    if rows is None:
        rows = _rows[pair] = tuple(map(TableRow, pair.tables))
    return rows[quality if pair.context is None else 0]


def _runs(index: NDArray[np.uint16]) -> tuple[NDArray[np.intp], Runs]:
    """A run for each table in ``index``, in ascending order, and the places in C order that they take."""
    flat = index.ravel()
    order = flat.argsort(kind="stable")  # of 16 bits in linear time
    counts = np.bincount(flat)
    (numbers,) = counts.nonzero()
    return order, Runs(numbers, counts[numbers])
