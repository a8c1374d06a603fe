"""The order in which a chunk's symbols are coded: one run for each context, which is the code channel."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codec.entropy import RunDecoder, RunEncoder
from codec.tables import Table

__all__ = ["decode_symbols", "encode_symbols"]


def encode_symbols(symbols: NDArray[np.int32], tables: Sequence[Table]) -> bytes:
    """The payload of int32 ``symbols`` [N, h, w, C] under one table for each channel."""
    coder = RunEncoder()
    for channel, table in enumerate(tables):
        coder.encode(table, symbols[..., channel])
    return coder.payload()


def decode_symbols(payload: bytes, tables: Sequence[Table], shape: tuple[int, int, int]) -> NDArray[np.int32]:
    """The reverse: int32 [N, h, w, C] for ``shape`` (N, h, w), which the caller has checked."""
    decoder = RunDecoder(payload)
    symbols = np.empty((*shape, len(tables)), np.int32)
    count = shape[0] * shape[1] * shape[2]
    for channel, table in enumerate(tables):
        symbols[..., channel] = decoder.decode(table, count).reshape(shape)
    return symbols
