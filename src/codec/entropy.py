"""Symbols <-> payload bytes: the one seam to the entropy-coding library, constriction.

Runs of symbols go in with the table of each, a byte string comes out, cut to the byte; the decoder asks for
the same runs in the same order. Every exception of constriction is translated here.

Whatever can be done for many runs at once is: a single image has hundreds of a symbol or two.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import constriction
import numpy as np
from numpy.typing import NDArray

from codec.errors import DamagedPacketError
from codec.quantise import SYMBOL_MIN
from codec.tables import PRECISION, TOTAL, Table

__all__ = ["RunDecoder", "RunEncoder", "Runs", "TableRow"]

_PRECISION = 24
_WORD = 4
_STATE = 8
_NO_OFFSET = np.int32(0)
_SHORT = 8
"""Runs that are shorter than this on average are faster symbol by symbol than each through an array."""


def _model(frequencies: NDArray[np.int64]) -> Any:
    """constriction's model with exactly the probabilities of a table's ``frequencies``.

    With ``perfect=False`` constriction gives entry i the interval from floor(s C_i) + i, where C_i sums the
    weights before it and s = (2^24 - E) / sum of the weights. Weights of (24-bit frequency - 1) make s
    exactly 1, and the intervals our integers: no float decides anything.
    """
    weights = (frequencies << (_PRECISION - PRECISION)) - 1
    return constriction.stream.model.Categorical(weights.astype(np.float64), perfect=False)


_BYTE_MODEL = _model(np.full(256, TOTAL // 256, np.int64))


class TableRow(dict[int, Any]):
    """Tables by their numbers, as the coders take them: constriction's models, made when first asked for.

    A certain table's model is None. Safe to share between threads, which may make the same model twice.

    Attributes:
        low: int32 [tables].
        escape: int32 [tables].
    """

    def __init__(self, tables: Sequence[Table]) -> None:
        super().__init__()
        self._tables = tables
        self.low = np.array([table.low for table in tables], np.int32)
        self.escape = np.array([table.escape for table in tables], np.int32)

    def __missing__(self, number: int) -> Any:
        table = self._tables[number]
        self[number] = None if table.certain else _model(table.frequencies)
        return self[number]


class Runs(NamedTuple):
    """Which tables some runs have and how many symbols are in each, both intp [runs]."""

    numbers: NDArray[np.intp]
    counts: NDArray[np.intp]

    @classmethod
    def equal(cls, tables: int, count: int) -> "Runs":
        """A run of ``count`` symbols for each table of a row."""
        return cls(np.arange(tables), np.full(tables, count))

    @property
    def short(self) -> bool:
        """Whether the runs are short on average."""
        return int(self.counts.sum()) < _SHORT * len(self.counts)

    def of_symbols(self) -> list[int]:
        """Of each symbol its table's number."""
        return self.numbers.repeat(self.counts).tolist()

    def each(self) -> Iterator[tuple[int, int, int]]:
        """Of each run its table's number and where it starts and ends."""
        ends = self.counts.cumsum()
        return zip(self.numbers.tolist(), (ends - self.counts).tolist(), ends.tolist(), strict=True)


class RunEncoder:
    """Collects runs of symbols and gives the payload."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def encode(
        self,
        tables: TableRow,
        runs: Runs,
        symbols: NDArray[np.int32],
        offsets: NDArray[np.int32] | np.int32 = _NO_OFFSET,
    ) -> None:
        """Append runs. Those of certain tables take no bits.

        Args:
            symbols: int32 [symbols of all runs], run after run.
            offsets: int32, one for each symbol or for all: entry i of a symbol's table stands for
                ``low + i`` + the offset.
        """
        entries = symbols - offsets
        entries -= tables.low[runs.numbers].repeat(runs.counts)
        escapes = tables.escape[runs.numbers].repeat(runs.counts)
        outside = entries.view(np.uint32) >= escapes.view(np.uint32)  # negative ones are beyond any escape
        if np.count_nonzero(outside):
            np.copyto(entries, escapes, where=outside)
        elif runs.short:
            put = self._coder.encode
            for number, entry in zip(runs.of_symbols(), entries.tolist(), strict=True):
                model = tables[number]
                if model is not None:
                    put(entry, model)
            return
        for number, start, end in runs.each():
            model = tables[number]
            if model is None:
                continue
            self._coder.encode(entries[start:end], model)
            escaped = outside[start:end]
            if np.count_nonzero(escaped):
                values = symbols[start:end][escaped] - np.int32(SYMBOL_MIN)
                self._coder.encode(np.stack([values >> 8, values & 255], axis=-1).ravel(), _BYTE_MODEL)

    def payload(self) -> bytes:
        """The shortest bytes that decode, followed by zeros, to the runs so far.

        A range coder may end with any number in [lower, lower + range): this takes the one with the most
        zero bytes at its end and leaves them out, where constriction writes whole 32-bit words.
        """
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

    def decode(
        self, tables: TableRow, runs: Runs, offsets: NDArray[np.int32] | np.int32 = _NO_OFFSET
    ) -> NDArray[np.int32]:
        """The next runs, int32 [symbols of all runs]; the caller has checked the counts against its limits.

        Args:
            offsets: as for ``RunEncoder.encode``.

        Raises:
            DamagedPacketError: the payload cannot have been made with these tables.
        """
        lowest = tables.low[runs.numbers].repeat(runs.counts)
        lowest += offsets
        escapes = tables.escape[runs.numbers]
        if runs.short:
            before = self._coder.clone()
            # What follows an escape is misread here, and may then not be decodable.
            with suppress(DamagedPacketError):
                entries = self._take_each(tables, runs.of_symbols())
                if not np.count_nonzero(entries == escapes.repeat(runs.counts)):
                    entries += lowest
                    return entries
            self._coder = before
        entries = np.zeros_like(lowest)  # and so they stay in the runs of certain tables
        for (number, start, end), escape in zip(runs.each(), escapes.tolist(), strict=True):
            model = tables[number]
            if model is None or start == end:
                continue
            run = self._take(model, end - start)
            if run[run.argmax()] == escape:  # several times faster than max() for the usual lengths
                self._unescape(run, lowest[start:end], escape)
            entries[start:end] = run
        entries += lowest
        return entries

    def _unescape(self, entries: NDArray[np.int32], lowest: NDArray[np.int32], escape: int) -> None:
        """Replace the escapes of a run by what follows them in the payload, as entries beyond the table's."""
        places = np.flatnonzero(entries == escape)
        pairs = self._take(_BYTE_MODEL, 2 * len(places)).reshape(-1, 2)
        beyond = (pairs[:, 0] << 8) + pairs[:, 1] + np.int32(SYMBOL_MIN) - lowest[places]
        if ((beyond >= 0) & (beyond < escape)).any():
            raise DamagedPacketError("payload: a symbol was escaped that has an entry of its own")
        entries[places] = beyond

    def _take(self, model: Any, count: int) -> NDArray[np.int32]:
        try:
            return np.asarray(self._coder.decode(model, count), np.int32)
        except BaseException as error:
            raise _damage(error) from None

    def _take_each(self, tables: TableRow, numbers: list[int]) -> NDArray[np.int32]:
        """The entries of symbols one by one, 0 under certain tables."""
        take = self._coder.decode
        models = [tables[number] for number in numbers]
        try:
            entries = [0 if model is None else take(model) for model in models]
        except BaseException as error:
            raise _damage(error) from None
        return np.array(entries, np.int32)


def _damage(error: BaseException) -> BaseException:
    """What to raise for what constriction raises: AssertionError, and panics outside Exception."""
    if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
        return error
    return DamagedPacketError(f"payload: not decodable with this pair's tables ({type(error).__name__})")
