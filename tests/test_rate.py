"""What symbols cost is what their payload takes, escapes included."""

import numpy as np
import pytest

from codec.rate import symbol_bits
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


def test_an_images_cost_is_its_own() -> None:
    rng = np.random.default_rng(3)
    pair = BUNDLES["context"](rng).pair
    symbols = random_symbols(rng, pair, 0, (4, *pair.code_shape[:2]))
    together = symbol_bits(symbols, pair, 0)
    alone = [symbol_bits(one[None], pair, 0)[0] for one in symbols]
    np.testing.assert_allclose(together, alone)
