"""Runs of symbols through the range coder, held to the second decoder in ``reference_reader``."""

from collections.abc import Sequence

import constriction
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec.entropy import RunDecoder, RunEncoder, Runs, TableRow
from codec.errors import DamagedPacketError
from codec.quantise import SYMBOL_MAX, SYMBOL_MIN
from codec.tables import TOTAL, Table
from tests import reference_reader
from tests.test_tables import certain, tables

Symbols = NDArray[np.int32]
Run = tuple[Table, Symbols]

EXTREMES = [
    Table(0, np.array([1, TOTAL - 1])),
    Table(0, np.array([TOTAL - 1, 1])),
    Table(SYMBOL_MIN, np.array([1, TOTAL - 2, 1])),
    Table(SYMBOL_MAX, np.array([TOTAL - 1, 1])),
    Table(-1, np.array([1, 1, TOTAL - 3, 1])),
    Table(SYMBOL_MIN, np.ones(TOTAL, np.int64)),
]
FEW = settings(deadline=None, max_examples=100)


def own_symbols(table: Table) -> st.SearchStrategy[int]:
    return st.integers(table.low, table.low + max(0, table.escape - 1))


def any_symbols(table: Table) -> st.SearchStrategy[int]:
    """Symbols with an entry of their own, with none, and the extreme ones; of a certain table, its one."""
    if table.certain:
        return st.just(table.low)
    return st.one_of(
        own_symbols(table), st.sampled_from([SYMBOL_MIN, SYMBOL_MAX]), st.integers(SYMBOL_MIN, SYMBOL_MAX)
    )


@st.composite
def runs(draw: st.DrawFn, most: int = 4, length: int | None = None) -> list[Run]:
    """Up to ``most`` runs of up to 25 symbols, or all of one ``length``."""
    found = []
    for table in draw(st.lists(st.one_of(tables(), st.sampled_from(EXTREMES)), min_size=1, max_size=most)):
        least, largest = (0, 25) if length is None else (length, length)
        values = draw(st.lists(any_symbols(table), min_size=least, max_size=largest))
        found.append((table, np.array(values, np.int32)))
    return found


def add(encoder: RunEncoder, table: Table, symbols: Symbols) -> None:
    encoder.encode(TableRow([table]), Runs.equal(1, len(symbols)), symbols)


def take(decoder: RunDecoder, table: Table, count: int) -> Symbols:
    return decoder.decode(TableRow([table]), Runs.equal(1, count))


def encoded(runs: Sequence[Run]) -> bytes:
    encoder = RunEncoder()
    for table, symbols in runs:
        add(encoder, table, symbols)
    return encoder.payload()


def decoded(payload: bytes, runs: Sequence[Run]) -> list[Symbols]:
    decoder = RunDecoder(payload)
    return [take(decoder, table, len(symbols)) for table, symbols in runs]


def same(found: Sequence[Symbols], runs: Sequence[Run]) -> bool:
    return all(np.array_equal(one, symbols) for one, (_, symbols) in zip(found, runs, strict=True))


def by_reference(payload: bytes, tables: Sequence[Table], count: int) -> Symbols:
    """What the second decoder reads: [count, tables]; ``ValueError`` where it refuses."""
    bounds: list[reference_reader.Table] = [
        (t.low, [] if t.certain else [0, *(int(b) * 256 for b in np.cumsum(t.frequencies))]) for t in tables
    ]
    decoder = reference_reader.RangeDecoder(payload)
    runs = [reference_reader.read_run(decoder, table, np.zeros(count, np.int64)) for table in bounds]
    reference_reader.require(len(payload) <= 4 * decoder.words, "payload longer than the words read")
    return np.stack(runs, axis=-1).astype(np.int32)


def first_entry(number: int, table: Table) -> int:
    """The entry that a payload of eight bytes begins with; after an escape its symbol may be refused."""
    try:
        entry = int(take(RunDecoder(number.to_bytes(8).rstrip(b"\0")), table, 1)[0]) - table.low
    except DamagedPacketError:
        return table.escape
    return entry if 0 <= entry < table.escape else table.escape


def ideal_bits(table: Table, symbols: Symbols) -> float:
    entries = symbols.astype(np.int64) - table.low
    escaped = (entries < 0) | (entries >= table.escape)
    return float(table.bits[np.where(escaped, table.escape, entries)].sum()) + 16 * int(escaped.sum())


@FEW
@given(runs())
def test_runs_of_symbols_come_back(runs: list[Run]) -> None:
    found = decoded(encoded(runs), runs)
    assert same(found, runs)
    assert all(one.dtype == np.int32 for one in found)


@pytest.mark.parametrize("table", EXTREMES, ids=lambda t: f"{t.low}:{t.frequencies[:3].tolist()}")
def test_long_runs_under_extreme_frequencies_come_back_and_are_read_by_the_second_decoder(
    table: Table,
) -> None:
    rng = np.random.default_rng(0)
    likely = rng.choice(len(table.frequencies), 300, p=table.frequencies / TOTAL)
    symbols = table.low + np.where(rng.random(300) < 0.9, likely, rng.integers(0, table.escape + 1, 300))
    symbols = np.minimum(symbols, SYMBOL_MAX).astype(np.int32)
    payload = encoded([(table, symbols)])
    assert same(decoded(payload, [(table, symbols)]), [(table, symbols)])
    np.testing.assert_array_equal(by_reference(payload, [table], 300)[:, 0], symbols)


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 8).flatmap(lambda length: runs(length=length)))
def test_the_second_decoder_reads_the_same_symbols(runs: list[Run]) -> None:
    found = by_reference(encoded(runs), [table for table, _ in runs], len(runs[0][1]))
    assert same(list(found.T), runs)


@FEW
@given(tables().filter(lambda table: not table.certain))
def test_frequencies_reach_the_coder_as_exact_integers(table: Table) -> None:
    scale = (2**64 - 1) >> 24
    for entry, bound in enumerate(np.cumsum(table.frequencies)[:-1].tolist()):
        edge = scale * bound * 256
        assert first_entry(edge - 1, table) == entry
        assert first_entry(edge, table) == entry + 1


@FEW
@given(runs())
def test_a_payload_never_ends_in_a_zero_byte(runs: list[Run]) -> None:
    assert not encoded(runs).endswith(b"\0")


@FEW
@given(runs(most=1))
def test_a_run_takes_its_ideal_cost_and_at_most_a_byte_more(runs: list[Run]) -> None:
    [(table, symbols)] = runs
    bits = 0.0 if table.certain else ideal_bits(table, symbols)
    assert len(encoded(runs)) <= np.ceil(bits / 8) + 1


def test_a_long_run_takes_little_more_than_its_ideal_cost() -> None:
    rng = np.random.default_rng(0)
    table = Table(-2, np.array([100, 1000, TOTAL - 7100, 5000, 900, 100]))
    entries = rng.choice(6, 50_000, p=table.frequencies / TOTAL)
    symbols = (entries - 2).astype(np.int32)
    bits = ideal_bits(table, symbols)
    assert bits / 8 < len(encoded([(table, symbols)])) < 1.001 * bits / 8


@FEW
@given(runs())
def test_no_shorter_payload_gives_the_same_symbols(runs: list[Run]) -> None:
    payload = encoded(runs)
    if not payload:
        return
    # A payload is a number, and the numbers of one meaning are neighbours: were there a shorter one, one of
    # the two numbers next to it that end a byte earlier would do.
    below = int.from_bytes(payload[:-1])
    above = below + 1
    shorter = [below.to_bytes(len(payload) - 1)]
    if above < 256 ** (len(payload) - 1):
        shorter.append(above.to_bytes(len(payload) - 1))
    for candidate in shorter:
        try:
            found = decoded(candidate.rstrip(b"\0"), runs)
        except DamagedPacketError:
            continue
        assert not same(found, runs)


@FEW
@given(
    payload=st.one_of(st.binary(max_size=40), st.binary(max_size=12).map(lambda tail: b"\xff" * 8 + tail)),
    choice=st.lists(st.one_of(tables(), st.sampled_from(EXTREMES)), min_size=1, max_size=3),
    count=st.integers(0, 20),
)
@example(payload=b"\xff" * 9, choice=[EXTREMES[0]], count=5)
@example(payload=b"", choice=[EXTREMES[1]], count=20)
def test_any_bytes_are_symbols_or_damage_and_the_second_decoder_agrees(
    payload: bytes, choice: list[Table], count: int
) -> None:
    try:
        decoder = RunDecoder(payload)
        found = [take(decoder, table, count) for table in choice]
    except DamagedPacketError:
        with pytest.raises(ValueError, match=r"payload|escaped"):
            by_reference(payload, choice, count)
        return
    for table, symbols in zip(choice, found, strict=True):
        assert symbols.shape == (count,)
        assert symbols.dtype == np.int32
        assert ((symbols >= SYMBOL_MIN) & (symbols <= SYMBOL_MAX)).all()
        assert not table.certain or (symbols == table.low).all()
    try:
        expected = by_reference(payload, choice, count)
    except ValueError as error:
        # The one refusal that is the reader's choice, and that the library does not make.
        if str(error) != "payload longer than the words read":
            raise
        return
    for symbols, column in zip(found, expected.T, strict=True):
        np.testing.assert_array_equal(symbols, column)


def test_certain_and_empty_runs_take_no_byte() -> None:
    table = Table(0, np.array([5, TOTAL - 5]))
    runs = [(certain(-9), np.full(1000, -9, np.int32)), (table, np.zeros(0, np.int32))]
    assert encoded([]) == encoded(runs) == b""
    assert same(decoded(b"", runs), runs)


def test_an_empty_payload_is_the_first_entry_again_and_again() -> None:
    table = Table(4, np.array([300, TOTAL - 300]))
    np.testing.assert_array_equal(take(RunDecoder(b""), table, 100), np.full(100, 4))


def test_a_payload_can_be_taken_while_runs_are_added() -> None:
    table = Table(0, np.array([1000, 2000, TOTAL - 3000]))
    first, second = np.array([0, 1, 9], np.int32), np.array([1, 1, 0], np.int32)
    encoder = RunEncoder()
    add(encoder, table, first)
    assert encoder.payload() == encoder.payload() == encoded([(table, first)])
    add(encoder, table, second)
    assert encoder.payload() == encoded([(table, first), (table, second)])


def test_a_payload_with_a_zero_byte_at_its_end_is_refused() -> None:
    with pytest.raises(DamagedPacketError, match=r"^payload: expected no zero byte at its end, found one$"):
        RunDecoder(b"\1\0")


def test_a_payload_that_no_encoder_makes_is_refused() -> None:
    message = r"^payload: not decodable with this pair's tables \(AssertionError\)$"
    with pytest.raises(DamagedPacketError, match=message):
        take(RunDecoder(b"\xff" * 8), Table(0, np.array([5, TOTAL - 5])), 1)


def test_an_escaped_symbol_with_an_entry_of_its_own_is_refused() -> None:
    frequencies = np.array([100, 200, TOTAL - 300])
    run = np.array([-5, 0, 9], np.int32)
    payload = encoded([(Table(1, frequencies), run)])
    for low in (1, -2):
        np.testing.assert_array_equal(take(RunDecoder(payload), Table(low, frequencies), 3), run)
    for low in (0, -1):
        message = "^payload: a symbol was escaped that has an entry of its own$"
        with pytest.raises(DamagedPacketError, match=message):
            take(RunDecoder(payload), Table(low, frequencies), 3)


# Many runs at once


Moved = tuple[Table, Symbols, Symbols]
"""A run's table, symbols and offsets."""


@st.composite
def moved_runs(draw: st.DrawFn) -> list[Moved]:
    """Runs of a symbol or two, or of those and long ones; of few symbols that escape, of none or of many."""
    rng = np.random.default_rng(draw(st.integers(0, (1 << 32) - 1)))
    lengths = draw(st.sampled_from([(1,), (0, 1, 2), (1, 1, 2, 40), (20, 300)]))
    odd = draw(st.sampled_from([0.0, 0.02, 0.5]))
    found = []
    for table in draw(st.lists(st.one_of(tables(), st.sampled_from(EXTREMES)), min_size=1, max_size=12)):
        count = int(rng.choice(lengths))
        offsets = rng.integers(-40, 41, count, np.int32)
        if table.certain:
            found.append((table, np.full(count, table.low, np.int32), np.zeros(count, np.int32)))
            continue
        symbols = np.clip(table.low + offsets + rng.integers(0, table.escape, count), SYMBOL_MIN, SYMBOL_MAX)
        anywhere = rng.integers(SYMBOL_MIN, SYMBOL_MAX + 1, count)
        found.append((table, np.where(rng.random(count) < odd, anywhere, symbols).astype(np.int32), offsets))
    return found


def at_once(runs: Sequence[Moved]) -> tuple[TableRow, Runs, Symbols, Symbols]:
    """What the coders take, with all symbols and offsets one after the other."""
    counts = np.array([len(symbols) for _, symbols, _ in runs])
    symbols, offsets = (np.concatenate(arrays) for arrays in list(zip(*runs, strict=True))[1:])
    return TableRow([table for table, _, _ in runs]), Runs(np.arange(len(runs)), counts), symbols, offsets


def plainly(runs: Sequence[Moved]) -> bytes:
    """The payload with one call of constriction a run and one an escaped symbol, as docs/packet.md has it."""
    encoder = RunEncoder()

    def put(entries: Symbols, frequencies: NDArray[np.int64]) -> None:
        model = constriction.stream.model.Categorical(256.0 * frequencies - 1, perfect=False)
        encoder._coder.encode(entries.astype(np.int32), model)

    for table, symbols, offsets in runs:
        if not table.certain:
            entries = symbols - table.low - offsets
            escaped = (entries < 0) | (entries >= table.escape)
            put(np.where(escaped, table.escape, entries), table.frequencies)
            for value in (symbols[escaped] + 32768).tolist():
                put(np.array([value >> 8, value & 255]), np.full(256, 256))
    return encoder.payload()


@settings(deadline=None, max_examples=300)
@given(moved_runs())
def test_many_runs_at_once_are_coded_as_one_after_the_other(runs: list[Moved]) -> None:
    row, lengths, symbols, offsets = at_once(runs)
    encoder = RunEncoder()
    encoder.encode(row, lengths, symbols, offsets)
    payload = encoder.payload()
    assert payload == plainly(runs)
    decoder = RunDecoder(payload)
    np.testing.assert_array_equal(decoder.decode(row, lengths, offsets), symbols, strict=True)
    # Nothing of these runs is left or was taken from what follows them.
    encoder.encode(row, lengths, symbols, offsets)
    twice = RunDecoder(encoder.payload())
    for _ in range(2):
        np.testing.assert_array_equal(twice.decode(row, lengths, offsets), symbols, strict=True)


@settings(deadline=None, max_examples=300)
@given(moved_runs(), st.binary(min_size=1, max_size=40), st.integers(0, 200))
def test_any_bytes_are_the_second_decoders_symbols_or_damage_for_many_runs_at_once(
    runs: list[Moved], noise: bytes, place: int
) -> None:
    row, lengths, _, offsets = at_once(runs)
    payload = plainly(runs)
    payload = (payload[:place] + noise + payload[place + len(noise) :]).rstrip(b"\0")
    reference = reference_reader.RangeDecoder(payload)
    refusal, expected = None, []
    try:
        for table, _, moved in runs:
            bounds = [] if table.certain else [0, *(256 * np.cumsum(table.frequencies)).tolist()]
            expected.append(reference_reader.read_run(reference, (table.low, bounds), moved.astype(np.int64)))
    except ValueError as error:
        refusal = str(error)
    if refusal is None:
        found = RunDecoder(payload).decode(row, lengths, offsets)
        np.testing.assert_array_equal(found, np.concatenate(expected))
    elif refusal != "symbol beyond 16 bits":  # which is the caller's to refuse
        told = "was escaped that has an entry" if "escaped" in refusal else "not decodable"
        with pytest.raises(DamagedPacketError, match=told):
            RunDecoder(payload).decode(row, lengths, offsets)
