"""Symbols <-> payload bytes: the one seam to the entropy-coding library, constriction.

Runs of symbols go in with the table of each, a byte string comes out, cut to the byte; the decoder asks for
the same runs in the same order. Every exception of constriction is translated here.
"""

from typing import Any
from weakref import WeakKeyDictionary

import constriction
import numpy as np
from numpy.typing import NDArray

from codec.errors import DamagedPacketError
from codec.quantise import SYMBOL_MIN
from codec.tables import PRECISION, TOTAL, Table

__all__ = ["RunDecoder", "RunEncoder"]

_PRECISION = 24
_WORD = 4
_STATE = 8

_BYTE_TABLE = Table(0, np.full(256, TOTAL // 256, np.int64))


_models: WeakKeyDictionary[Table, Any] = WeakKeyDictionary()
"""constriction's model of each table in use; a table that is dropped takes its model with it."""


def _model(table: Table) -> Any:
    """constriction's model with exactly the probabilities of ``table``.

    With ``perfect=False`` constriction gives entry i the interval from floor(s C_i) + i, where C_i sums the
    weights before it and s = (2^24 - E) / sum of the weights. Weights of (24-bit frequency - 1) make s
    exactly 1, and the intervals our integers: no float decides anything.
    """
    model = _models.get(table)
    if model is None:
        weights = (table.frequencies << (_PRECISION - PRECISION)) - 1
        model = constriction.stream.model.Categorical(weights.astype(np.float64), perfect=False)
        _models[table] = model
    return model


class RunEncoder:
    """Collects runs of symbols and gives the payload."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()
        self._empty = True

    def encode(
        self, table: Table, symbols: NDArray[np.int32], offsets: NDArray[np.int32] | None = None
    ) -> None:
        """Append a run, int32 of any shape, read in C order. A certain table's run takes no bits.

        Args:
            offsets: int32 like ``symbols``: entry i of the table then stands for ``low + i`` + the offset.
        """
        if table.certain:
            return
        entries = symbols.ravel() - np.int32(table.low)
        if offsets is not None:
            entries -= offsets.ravel()
        outside = (entries < 0) | (entries >= table.escape)
        if not outside.any():
            self._put(table, entries)
            return
        self._put(table, np.where(outside, np.int32(table.escape), entries))
        values = symbols.ravel()[outside] - np.int32(SYMBOL_MIN)
        self._put(_BYTE_TABLE, np.stack([values >> 8, values & 255], axis=-1).ravel())

    def _put(self, table: Table, entries: NDArray[np.int32]) -> None:
        self._coder.encode(np.ascontiguousarray(entries, np.int32), _model(table))
        self._empty = False

    def payload(self) -> bytes:
        """The shortest bytes that decode, followed by zeros, to the runs so far.

        A range coder may end with any number in [lower, lower + range): this takes the one with the most
        zero bytes at its end and leaves them out, where constriction writes whole 32-bit words.
        """
        if self._empty:
            return b""
        words = self._coder.get_compressed()
        position, (lower, size) = self._coder.pos()
        prefix: bytes = words[:position].astype(">u4").tobytes()
        # constriction closes with lower + 2^32 - 1; where that carries, the words before already hold it.
        carried = (lower + (1 << 32) - 1) >> 64
        tail = _roundest(lower, lower + size - 1)
        carry = (tail >> 64) - carried
        if carry:
            prefix = (int.from_bytes(prefix) + carry).to_bytes(len(prefix))
        digits = prefix + (tail & ((1 << 64) - 1)).to_bytes(_STATE)
        return digits.rstrip(b"\0")


def _roundest(low: int, high: int) -> int:
    """The number from ``low`` to ``high`` with the most zero bytes at its end."""
    for bits in range(64, -1, -8):
        number = high >> bits << bits
        if number >= low:
            return number
    raise AssertionError("unreachable: high itself is in the interval")


class RunDecoder:
    """Reads runs back out of a payload."""

    def __init__(self, payload: bytes) -> None:
        if payload.endswith(b"\0"):
            raise DamagedPacketError("payload: expected no zero byte at its end, found one")
        # constriction reads zeros behind the last word.
        words = np.frombuffer(payload + bytes(-len(payload) % _WORD), ">u4").astype(np.uint32)
        self._coder = constriction.stream.queue.RangeDecoder(words)

    def decode(self, table: Table, count: int, offsets: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
        """The next run of ``count`` symbols; the caller has checked the count against its limits.

        Args:
            offsets: as for ``RunEncoder.encode``, int32 [count].

        Raises:
            DamagedPacketError: the payload cannot have been made with this table.
        """
        if table.certain:
            return np.full(count, table.low, np.int32)
        entries = self._take(table, count)
        lowest = np.full(count, table.low, np.int32) if offsets is None else offsets + np.int32(table.low)
        symbols = entries + lowest
        escaped = np.flatnonzero(entries == table.escape)
        if len(escaped):
            pairs = self._take(_BYTE_TABLE, 2 * len(escaped)).reshape(-1, 2)
            values = (pairs[:, 0] << 8) + pairs[:, 1] + np.int32(SYMBOL_MIN)
            beyond = values - lowest[escaped]
            if ((beyond >= 0) & (beyond < table.escape)).any():
                raise DamagedPacketError("payload: a symbol was escaped that has an entry of its own")
            symbols[escaped] = values
        return symbols

    def _take(self, table: Table, count: int) -> NDArray[np.int32]:
        try:
            return np.asarray(self._coder.decode(_model(table), count), np.int32)
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:  # constriction raises AssertionError, and panics outside Exception
            raise DamagedPacketError(
                f"payload: not decodable with this pair's tables ({type(error).__name__})"
            ) from None
