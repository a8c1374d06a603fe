"""Warped training images: how many, how far, and the same ones for the same seed."""

import numpy as np
import pytest
from numpy.typing import NDArray

from codec.training.augment import augmented


def test_the_share_is_warped_and_the_rest_is_untouched(digits: NDArray[np.uint8]) -> None:
    images = np.concatenate([digits] * 10)
    changed = (augmented(images, 0.3, [1]) != images).any(axis=(1, 2, 3))
    assert 0.25 < changed.mean() < 0.35
    assert not (augmented(images, 0.0, [1]) != images).any()
    assert (augmented(images, 1.0, [1]) != images).any(axis=(1, 2, 3)).mean() > 0.99


def test_the_same_seed_warps_the_same_way(digits: NDArray[np.uint8]) -> None:
    first = augmented(digits, 0.5, [3, 4])
    np.testing.assert_array_equal(first, augmented(digits, 0.5, [3, 4]))
    assert (first != augmented(digits, 0.5, [3, 5])).any()


def test_a_warp_moves_little_and_keeps_the_brightness(digits: NDArray[np.uint8]) -> None:
    warped = augmented(digits, 1.0, [0])
    assert warped.mean() == pytest.approx(digits.mean(), rel=0.05)
    assert (warped == 0).mean() == pytest.approx((digits == 0).mean(), abs=0.03)
    correlation = np.corrcoef(warped.ravel(), digits.ravel())[0, 1]
    assert 0.8 < correlation < 0.99


@pytest.mark.parametrize("shape", [(5, 9, 3), (1, 1, 1), (16, 4, 4)])
@pytest.mark.parametrize("level", [0, 100, 255])
def test_a_flat_image_of_any_shape_stays_flat_to_its_edges(shape: tuple[int, ...], level: int) -> None:
    warped = augmented(np.full((3, *shape), level, np.uint8), 1.0, [2])
    assert warped.shape == (3, *shape)
    assert len(np.unique(warped)) == 1
    assert abs(int(warped.flat[0]) - level) <= 2
