"""The order in which a chunk's symbols are coded, and under which table each.

Without a context model: one run for each code channel, which has its table. With one: group by group, each
symbol's table told by the groups before it, and a run for each table that a group uses.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from codec.bundle import Pair
from codec.context import ContextModel, Predictor, from_elements, to_elements
from codec.entropy import RunDecoder, RunEncoder
from codec.errors import DamagedPacketError
from codec.quantise import SYMBOL_MAX, SYMBOL_MIN
from codec.tables import Table

__all__ = ["decode_symbols", "encode_symbols"]


def encode_symbols(symbols: NDArray[np.int32], pair: Pair, quality: int) -> bytes:
    """The payload of int32 ``symbols`` [N, h, w, C] at a quality."""
    coder = RunEncoder()
    if pair.context is None:
        for channel, table in enumerate(pair.tables[quality]):
            coder.encode(table, symbols[..., channel])
    else:
        elements = to_elements(symbols, pair.context.elements)
        predictor = Predictor(pair.context, quality, len(elements))
        for columns in _groups(pair.context):
            index, offsets = predictor.tables()
            part = elements[:, columns]
            for table, places in _runs(index, pair.tables[0]):
                coder.encode(table, part.ravel()[places], offsets.ravel()[places])
            predictor.tell(part)
    return coder.payload()


def decode_symbols(
    payload: bytes, pair: Pair, quality: int, shape: tuple[int, int, int]
) -> NDArray[np.int32]:
    """The reverse: int32 [N, h, w, C] for ``shape`` (N, h, w), which the caller has checked.

    Raises:
        DamagedPacketError: no writer can have made the payload.
    """
    decoder = RunDecoder(payload)
    channels = pair.architecture.code_channels
    if pair.context is None:
        symbols = np.empty((*shape, channels), np.int32)
        for channel, table in enumerate(pair.tables[quality]):
            symbols[..., channel] = decoder.decode(table, int(np.prod(shape))).reshape(shape)
        return symbols
    elements = np.empty((shape[0], pair.context.elements), np.int32)
    predictor = Predictor(pair.context, quality, shape[0])
    for columns in _groups(pair.context):
        index, offsets = predictor.tables()
        part = np.empty(index.size, np.int32)
        for table, places in _runs(index, pair.tables[0]):
            part[places] = decoder.decode(table, len(places), offsets.ravel()[places])
        if len(part) and not SYMBOL_MIN <= part.min() <= part.max() <= SYMBOL_MAX:
            raise DamagedPacketError("payload: expected symbols of 16 bits, found one beyond")
        elements[:, columns] = part.reshape(index.shape)
        predictor.tell(elements[:, columns])
    return from_elements(elements, (*shape[1:], channels))


def _groups(context: ContextModel) -> Iterator[slice]:
    """The elements of each group."""
    start = 0
    for size in context.groups:
        yield slice(start, start + size)
        start += size


def _runs(index: NDArray[np.intp], tables: tuple[Table, ...]) -> Iterator[tuple[Table, NDArray[np.intp]]]:
    """Each table that ``index`` uses, in ascending order, and the places in C order where it does."""
    flat = index.ravel().astype(np.uint16)  # stable sorting of 16 bits takes linear time
    order = np.argsort(flat, kind="stable")
    ends = np.cumsum(np.bincount(flat, minlength=len(tables)))
    start = 0
    for table, end in zip(tables, ends.tolist(), strict=True):
        if end > start:
            yield table, order[start:end]
            start = end
