"""Symbols are the same wherever a packet is decoded, and pixels within one grey level."""

from dataclasses import replace
from typing import Any

import pytest

from codec.samples import sample_images
from tests.backends import FLOAT64, NUMPY, Difference, compare


def test_receivers_agree_whatever_computes_their_pixels() -> None:
    ways = ["JAX, SSE4.2, 128 bits", "JAX, convolutions by Eigen", NUMPY, FLOAT64]
    found = list(compare(sample_images()[:40], ways))
    assert {difference.way for difference in found} == set(ways)
    for difference in found:
        assert difference.within_bounds(), difference


@pytest.mark.parametrize("change", [{"received": 1}, {"further": 1}, {"one_level": 2e-4}])
def test_a_receiver_out_of_bounds_is_told(change: dict[str, Any]) -> None:
    within = Difference(NUMPY, "mnist", 0, sent=3, received=0, one_level=1e-5, further=0)
    assert within.within_bounds()
    assert not replace(within, **change).within_bounds()
