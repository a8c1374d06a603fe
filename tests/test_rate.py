"""What symbols cost is what their payload takes, escapes included."""

import numpy as np
import pytest

from codec.rate import element_bits, symbol_bits
from codec.runs import encode_symbols
from tests.random_pairs import BUNDLES, random_symbols


@pytest.mark.parametrize("kind", BUNDLES)
@pytest.mark.parametrize("seed", range(12))
def test_the_costs_of_images_sum_to_their_payload(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pair = BUNDLES[kind](rng).pair
    quality = int(rng.integers(pair.qualities))
    symbols = random_symbols(rng, pair, quality, (5, *pair.code_shape[:2]))
    bits = symbol_bits(symbols, pair, quality)
    assert bits.shape == (5,)
    payload = 8 * len(encode_symbols(symbols, pair, quality))
    assert abs(payload - bits.sum()) <= 32 + bits.sum() / 1000
    each = element_bits(symbols, pair, quality)
    assert each.shape == symbols.shape
    np.testing.assert_allclose(each.sum((1, 2, 3)), bits)


def test_an_images_cost_is_its_own() -> None:
    rng = np.random.default_rng(3)
    pair = BUNDLES["context"](rng).pair
    symbols = random_symbols(rng, pair, 0, (4, *pair.code_shape[:2]))
    together = symbol_bits(symbols, pair, 0)
    alone = [symbol_bits(one[None], pair, 0)[0] for one in symbols]
    np.testing.assert_allclose(together, alone)


@pytest.mark.parametrize(("kind", "place"), [("context", None), ("spatial", (1, 3))])
def test_an_elements_cost_stands_where_the_element_does(kind: str, place: tuple[int, int] | None) -> None:
    """Nothing is told by the element that is coded last, so when it changes no other's cost does."""
    rng = np.random.default_rng(7)
    pair = BUNDLES[kind](rng).pair
    while pair.context is None or pair.context.one_grid != (kind == "context"):
        pair = BUNDLES[kind](rng).pair
    grid = pair.code_shape[:2] if place is None else (4, 4)
    row, column, channel = *(place or (0, 0)), pair.code_shape[2] - 1
    if place is None:
        channel, cell = divmod(pair.context.elements - 1, grid[0] * grid[1])
        row, column = divmod(cell, grid[1])
    found = set()
    for _ in range(20):
        symbols = random_symbols(rng, pair, 0, (2, *grid))
        before = element_bits(symbols, pair, 0)
        symbols[1, row, column, channel] = 31_000
        found |= set(map(tuple, np.argwhere(element_bits(symbols, pair, 0) != before).tolist()))
    assert found == {(1, row, column, channel)}
