"""Frequency tables: their arrays, and every refusal of arrays that hold none."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.errors import BundleError
from codec.quantise import SYMBOL_MAX, SYMBOL_MIN
from codec.tables import TOTAL, Table, TableArrays, pack_tables, unpack_tables


def certain(low: int) -> Table:
    return Table(low, np.zeros(0, np.int64))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Certain and uncertain tables, with frequencies as uneven as they may be."""
    cuts = draw(st.sets(st.integers(1, TOTAL - 1), max_size=30))
    entries = len(cuts) + 1 if cuts else 0
    low = draw(st.integers(SYMBOL_MIN, SYMBOL_MAX - max(0, entries - 2)))
    return Table(low, np.diff([0, *sorted(cuts), TOTAL])) if cuts else certain(low)


def arrays(low: Any, length: Any, frequencies: Any) -> TableArrays:
    return TableArrays(np.array(low, np.int32), np.array(length, np.int32), np.array(frequencies, np.uint16))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 3).flatmap(lambda n: st.lists(st.lists(tables(), min_size=n, max_size=n), max_size=3)))
def test_tables_come_back_from_their_arrays(rows: list[list[Table]]) -> None:
    if not rows:
        rows = [[certain(3)]]
    packed = pack_tables(rows)
    assert packed.low.dtype == packed.length.dtype == np.int32
    assert packed.frequencies.dtype == np.uint16
    assert packed.low.shape == packed.length.shape == (len(rows), len(rows[0]))
    again = unpack_tables(packed)
    for row, row_again in zip(rows, again, strict=True):
        for table, table_again in zip(row, row_again, strict=True):
            assert table_again.low == table.low
            assert table_again.frequencies.dtype == np.int64
            np.testing.assert_array_equal(table_again.frequencies, table.frequencies)


numbers = st.integers(-(2**31), 2**31 - 1) | st.integers(-3, 5)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4), st.lists(st.integers(0, TOTAL - 1)))
def test_any_arrays_are_tables_or_refused(rows: list[tuple[int, int]], frequencies: list[int]) -> None:
    found = arrays([[low for low, _ in rows]], [[length for _, length in rows]], frequencies)
    try:
        tables = unpack_tables(found)
    except BundleError:
        return
    again = pack_tables(tables)
    for name in ("low", "length", "frequencies"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name), strict=True)


def test_frequencies_cannot_be_changed_once_they_are_read() -> None:
    [[table]] = unpack_tables(arrays([[0]], [[2]], [1, TOTAL - 1]))
    with pytest.raises(ValueError, match="read-only"):
        table.frequencies[0] = 5


def test_the_last_entry_is_the_escape() -> None:
    table = Table(-4, np.array([TOTAL // 2, TOTAL // 4, TOTAL // 4]))
    assert not table.certain
    assert table.escape == 2
    np.testing.assert_array_equal(table.bits, [1, 2, 2])


def test_a_table_without_frequencies_is_certain() -> None:
    assert certain(7).certain
    assert len(certain(7).bits) == 0


@pytest.mark.parametrize(
    ("low", "length", "message"),
    [
        ([0], [0], "found (1,) and (1,)"),
        ([[0]], [[0, 0]], "found (1, 1) and (1, 2)"),
        ([[[0]]], [[[0]]], "found (1, 1, 1) and (1, 1, 1)"),
    ],
)
def test_arrays_of_other_shapes_are_refused(low: Any, length: Any, message: str) -> None:
    expected = "tables: expected table_low and table_length of one shape [qualities, contexts], " + message
    with pytest.raises(BundleError, match=f"^{re.escape(expected)}$"):
        unpack_tables(arrays(low, length, []))


@pytest.mark.parametrize("length", [1, -1, -(2**31)])
def test_a_length_that_no_table_has_is_refused(length: int) -> None:
    with pytest.raises(BundleError, match=f"^tables: expected lengths of 0 or at least 2, found {length}$"):
        unpack_tables(arrays([[0, 0]], [[2, length]], [1, TOTAL - 1, 1]))


@pytest.mark.parametrize(
    ("length", "frequencies", "message"),
    [
        ([[2]], [1], "expected 2 frequencies, found 1"),
        ([[2]], [1, 2, 3], "expected 2 frequencies, found 3"),
        ([[0]], [TOTAL - 1], "expected 0 frequencies, found 1"),
        ([[2**31 - 1]], [], "expected 2147483647 frequencies, found 0"),
    ],
)
def test_lengths_that_do_not_add_up_are_refused(length: Any, frequencies: Any, message: str) -> None:
    with pytest.raises(BundleError, match=f"^tables: {message}$"):
        unpack_tables(arrays([[0]], length, frequencies))


@pytest.mark.parametrize(
    ("low", "length", "found"),
    [
        (SYMBOL_MIN - 1, 2, "-32769 to -32769"),
        (SYMBOL_MAX + 1, 0, "32768 to 32768"),
        (SYMBOL_MAX, 3, "32767 to 32768"),
        (2**31 - 1, 3, "2147483647 to 2147483648"),
        (-(2**31), 0, "-2147483648 to -2147483648"),
    ],
)
def test_symbols_beyond_sixteen_bits_are_refused(low: int, length: int, found: str) -> None:
    message = f"tables: expected symbols from -32768 to 32767, found {found}"
    with pytest.raises(BundleError, match=f"^{message}$"):
        unpack_tables(arrays([[low]], [[length]], [1] * length))


@pytest.mark.parametrize(("low", "length"), [(SYMBOL_MIN, 2), (SYMBOL_MAX, 2), (SYMBOL_MAX - 1, 3)])
def test_the_ends_of_sixteen_bits_are_within_them(low: int, length: int) -> None:
    frequencies = [1] * (length - 1) + [TOTAL - length + 1]
    [[table]] = unpack_tables(arrays([[low]], [[length]], frequencies))
    assert table.low == low


def test_a_frequency_of_zero_is_refused() -> None:
    with pytest.raises(BundleError, match=r"^tables: expected frequencies of at least 1, found 0$"):
        unpack_tables(arrays([[0]], [[3]], [TOTAL - 1, 0, 1]))


@pytest.mark.parametrize("last", [TOTAL // 2 - 1, TOTAL // 2 + 1])
def test_frequencies_of_another_sum_are_refused_by_quality_and_context(last: int) -> None:
    half = TOTAL // 2
    message = f"tables: expected quality 1, context 2 to sum to {TOTAL}, found {half + last}"
    with pytest.raises(BundleError, match=f"^{message}$"):
        unpack_tables(arrays([[0] * 3] * 2, [[2, 0, 2], [0, 2, 2]], [half] * 7 + [last]))
