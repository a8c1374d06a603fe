"""The order in which a chunk's symbols are coded, and under which table each.

Without a context model: one run for each code channel, which has its table. With one: part by part, each
symbol's table told by the parts before it, and a run for each table that a part uses.
"""

import math
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from codec.bundle import Context, Pair
from codec.context import ContextModel, Predictor, from_elements, to_elements
from codec.entropy import RunDecoder, RunEncoder, Runs, TableRow
from codec.errors import DamagedPacketError
from codec.quantise import SYMBOL_MAX, SYMBOL_MIN
from codec.spatial_context import SpatialPredictor, from_blocks, to_blocks

__all__ = ["decode_symbols", "encode_symbols", "predictor_for", "rows_of_elements"]

_CELLS = 4
"""Cells in a block."""
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
        elements = rows_of_elements(symbols, pair.context)
        predictor = predictor_for(pair.context, quality, symbols.shape)
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
    of_symbols = (*shape, channels)
    rows = shape[0] if isinstance(pair.context, ContextModel) else math.prod(shape) // _CELLS
    elements = np.empty((rows, pair.context.elements), np.int32)
    predictor = predictor_for(pair.context, quality, of_symbols)
    for part in predictor.parts():
        index, offsets = predictor.tables()
        order, runs = _runs(index)
        values = np.empty(index.size, np.int32)
        values[order] = decoder.decode(tables, runs, offsets.ravel()[order])
        elements[part] = values.reshape(index.shape)
        predictor.tell(elements[part])
    if len(elements) and not SYMBOL_MIN <= elements.min() <= elements.max() <= SYMBOL_MAX:
        raise DamagedPacketError("payload: expected symbols of 16 bits, found one beyond")
    if isinstance(pair.context, ContextModel):
        return from_elements(elements, of_symbols[1:])
    return from_blocks(elements.reshape(shape[0], shape[1] // 2, shape[2] // 2, -1))


def rows_of_elements(symbols: NDArray[np.int32], context: Context) -> NDArray[np.int32]:
    """Symbols [N, h, w, C] as a row of elements for each image or, with a spatial context, for each block."""
    if isinstance(context, ContextModel):
        return to_elements(symbols, context.elements)
    return to_blocks(symbols).reshape(-1, context.elements)


def predictor_for(context: Context, quality: int, shape: tuple[int, ...]) -> Predictor | SpatialPredictor:
    """For symbols of ``shape`` [N, h, w, C]."""
    count, rows, columns, _ = shape
    if isinstance(context, ContextModel):
        return Predictor(context, quality, count)
    return SpatialPredictor(context, quality, (count, rows // 2, columns // 2))


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
