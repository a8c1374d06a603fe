"""Frequency tables: any arrays are tables or refused, and symbols coded under what is taken come back."""

import zlib
from random import Random

import numpy as np
from numpy.typing import NDArray

from codec.entropy import RunDecoder, RunEncoder, Runs, TableRow
from codec.errors import BundleError, DamagedPacketError
from codec.quantise import SYMBOL_MAX, SYMBOL_MIN
from codec.tables import TOTAL, Table, TableArrays, pack_tables, unpack_tables
from tests.fuzz.target import Target, mutate_bytes, pick, whole_number

__all__ = ["TARGET", "written"]


# An input is the numbers of rows and of contexts, a byte each, then the three tensors as a bundle has them.


def written(arrays: TableArrays) -> bytes:
    """The input that stands for these arrays."""
    values = (arrays.low.astype("<i4"), arrays.length.astype("<i4"), arrays.frequencies.astype("<u2"))
    return bytes(arrays.low.shape) + b"".join(array.tobytes() for array in values)


def read(data: bytes) -> TableArrays:
    """The arrays of any input; what is missing is zero."""
    rows, contexts = (number % 16 for number in (*data[:2], 0, 0)[:2])
    size = 4 * rows * contexts
    body = data[2:].ljust(2 * size, b"\0")
    low, length = (np.frombuffer(body, "<i4", rows * contexts, start) for start in (0, size))
    frequencies = np.frombuffer(body[2 * size : 2 * size + (len(body) - 2 * size) // 2 * 2], "<u2")
    shape = rows, contexts
    return TableArrays(low.reshape(shape), length.reshape(shape), frequencies)


# What must hold


def check(data: bytes) -> str:
    """Unpack tables, pack them again, and code symbols under them."""
    arrays = read(data)
    try:
        tables = unpack_tables(arrays)
    except BundleError:
        return "BundleError"
    again = pack_tables(tables) if arrays.low.size else arrays
    for name in ("low", "length", "frequencies"):
        assert np.array_equal(getattr(again, name), getattr(arrays, name)), name
    number = zlib.crc32(data)
    for row in tables:
        for table in row:
            assert SYMBOL_MIN <= table.low <= table.low + max(0, table.escape - 1) <= SYMBOL_MAX
            assert table.certain or (table.frequencies.min() > 0 and table.frequencies.sum() == TOTAL)
    if tables and tables[0]:
        _coded(tables[number % len(tables)], np.random.default_rng(number))
    return "tables"


def _coded(row: tuple[Table, ...], rng: np.random.Generator) -> None:
    counts = rng.integers(0, 6, len(row)) * rng.integers(1, 9)
    runs = Runs(np.arange(len(row)), counts)
    parts = [_symbols(table, int(count), rng) for table, count in zip(row, counts, strict=True)]
    symbols = np.concatenate(parts).astype(np.int32)
    tables = TableRow(row)
    encoder = RunEncoder()
    encoder.encode(tables, runs, symbols)
    payload = encoder.payload()
    assert not payload.endswith(b"\0")
    assert np.array_equal(RunDecoder(payload).decode(tables, runs), symbols)
    try:
        found = RunDecoder(rng.bytes(12) + b"\1").decode(tables, runs)
    except DamagedPacketError:
        return
    assert found.shape == symbols.shape
    assert not len(found) or SYMBOL_MIN <= found.min() <= found.max() <= SYMBOL_MAX


def _symbols(table: Table, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Those that have an entry and others; the one there is where the table is certain."""
    if table.certain:
        return np.full(count, table.low)
    inside = rng.integers(table.low, table.low + max(1, table.escape), count)
    return np.where(rng.random(count) < 0.8, inside, rng.integers(SYMBOL_MIN, SYMBOL_MAX + 1, count))


# Mutation


def mutate(data: bytes, rng: Random) -> bytes:
    """Change a few numbers; mostly lengths still add up to the frequencies, and those to the total."""
    if len(data) < 2 or rng.random() < 0.1:
        return mutate_bytes(data, rng)
    arrays = read(data)
    low, length = arrays.low.ravel().tolist(), arrays.length.ravel().tolist()
    if not low or sum(map(abs, length)) != len(arrays.frequencies):
        return mutate_bytes(data, rng)
    ends = np.cumsum(length).tolist()
    parts = [arrays.frequencies[end - size : end].tolist() for end, size in zip(ends, length, strict=True)]
    for _ in range(pick(rng, (1, 1, 2, 4))):
        i = int(rng.random() * len(parts))
        kind = rng.random()
        if kind < 0.2:
            low[i] = pick(rng, (0, -1, SYMBOL_MIN, SYMBOL_MAX, SYMBOL_MAX - len(parts[i]) + 2, -(1 << 31), 7))
        elif kind < 0.4:
            parts[i] = _spread(whole_number(rng, 8), rng)
        elif kind < 0.5:
            parts[i] = pick(rng, parts)
        elif kind < 0.9 and len(parts[i]) > 1:
            one, other = (int(rng.random() * len(parts[i])) for _ in range(2))
            moved = min(parts[i][one] - (rng.random() < 0.95), whole_number(rng, 16))
            parts[i][one], parts[i][other] = parts[i][one] - moved, min(parts[i][other] + moved, TOTAL - 1)
        else:
            parts[i] = parts[i][: int(rng.random() * len(parts[i]))] if rng.random() < 0.5 else parts[i] + [1]
    lengths = np.array([len(part) for part in parts], np.int32).reshape(arrays.low.shape)
    lows = np.array(low, np.int64).astype(np.int32).reshape(arrays.low.shape)
    joined = np.array([number for part in parts for number in part], np.int64) & 0xFFFF
    mutant = written(TableArrays(lows, lengths, joined.astype(np.uint16)))
    return mutate_bytes(mutant, rng) if rng.random() < 0.05 else mutant


def _spread(entries: int, rng: Random) -> list[int]:
    """So many frequencies, of the right sum; few of them have most of it."""
    if entries < 2:
        return []
    cuts = sorted({1 + int((TOTAL - 1) * rng.random() ** 4) for _ in range(entries - 1)})
    return [end - start for start, end in zip([0, *cuts], [*cuts, TOTAL], strict=True)]


TARGET = Target("tables", check, mutate, 1 << 12)
