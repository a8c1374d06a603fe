"""Codes to symbols and back, exactly."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.quantise import SYMBOL_MAX, SYMBOL_MIN, dequantise, quantise

STEPS = st.floats(2**-20, 2**20, width=32)


def f32(*values: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(values, np.float32)


def test_codes_are_divided_by_the_step_of_their_channel_and_rounded() -> None:
    codes = np.ones((2, 3, 4, 3), np.float32) * f32(1, -1, 7)
    symbols = quantise(codes, f32(0.25, 0.3, 100))
    assert symbols.dtype == np.int32
    assert symbols.shape == codes.shape
    np.testing.assert_array_equal(symbols.reshape(-1, 3), [[4, -3, 0]] * 24)


def test_halves_go_to_the_even_neighbour() -> None:
    codes = f32(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5)
    np.testing.assert_array_equal(quantise(codes, f32(1)), [-2, -2, 0, 0, 2, 2])


def test_symbols_saturate_at_sixteen_bits() -> None:
    assert (SYMBOL_MIN, SYMBOL_MAX) == (-32768, 32767)
    codes = f32(-np.inf, -1e30, -32769, -32768, 32767, 32768, 1e30, np.inf)
    expected = [SYMBOL_MIN] * 4 + [SYMBOL_MAX] * 4
    np.testing.assert_array_equal(quantise(codes, f32(1)), expected)


@settings(deadline=None, max_examples=100)
@given(symbols=st.lists(st.integers(SYMBOL_MIN, SYMBOL_MAX), min_size=1, max_size=20), step=STEPS)
def test_every_symbol_survives_being_a_code(symbols: list[int], step: float) -> None:
    codes = dequantise(np.array(symbols, np.int32), f32(step))
    np.testing.assert_array_equal(quantise(codes, f32(step)), symbols)


@settings(deadline=None, max_examples=100)
@given(code=st.floats(-1000, 1000, width=32), step=STEPS)
def test_a_code_moves_by_half_a_step_at_most_unless_it_saturates(code: float, step: float) -> None:
    symbol = quantise(f32(code), f32(step))
    if SYMBOL_MIN < symbol[0] < SYMBOL_MAX:
        moved = abs(float(dequantise(symbol, f32(step))[0]) - code)
        assert moved <= step / 2 + 1e-6 * abs(code)
    else:
        assert abs(code) > 32766 * step


@settings(deadline=None, max_examples=100)
@given(symbol=st.integers(SYMBOL_MIN, SYMBOL_MAX), step=STEPS)
def test_a_code_is_the_once_rounded_product(symbol: int, step: float) -> None:
    found = dequantise(np.array([symbol], np.int32), f32(step))
    assert found.dtype == np.float32
    assert found[0] == np.float32(symbol * step)  # a double holds the product of 16 and 24 bits exactly


def test_the_smallest_step_saturates_without_a_warning() -> None:
    np.testing.assert_array_equal(quantise(f32(1e30, -1e30), f32(2**-40)), [SYMBOL_MAX, SYMBOL_MIN])
