"""The sender's effort: steered rounding, its neighbourhoods, and what it must never break."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import codec
from codec.architecture import LIVE_CLASSES, Dense
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import OptionError
from codec.evaluation import pixel_errors
from codec.rounding import MAX_EFFORT, live_classes
from tests.conftest import random_pair


def classes_by_hand(image: NDArray[np.uint8], row: int, column: int) -> int:
    """The class of one pixel of a grey image [H, W], by loops."""

    def level(value: int) -> int:
        return sum(value >= edge for edge in (1, 30, 128, 240, 254))

    def within(reach: int) -> list[int]:
        return [
            int(image[r, c]) if 0 <= r < image.shape[0] and 0 <= c < image.shape[1] else 0
            for r in range(row - reach, row + reach + 1)
            for c in range(column - reach, column + reach + 1)
        ]

    levels = [level(int(image[row, column])), level(max(within(1))), level(max(within(2)))]
    return ((levels[0] * 6 + levels[1]) * 6 + levels[2]) * 2 + (min(within(1)) > 200)


def test_the_class_of_a_pixel_is_its_neighbourhoods(digits: NDArray[np.uint8]) -> None:
    bright = np.full((28, 28, 1), 230, np.uint8)
    for image in (*digits[::25], bright):
        found = np.asarray(live_classes(image[None] / np.float32(255)))[0, :, :, 0]
        expected = [[classes_by_hand(image[..., 0], r, c) for c in range(28)] for r in range(28)]
        np.testing.assert_array_equal(found, expected)
        assert 0 <= found.min() <= found.max() < LIVE_CLASSES


@pytest.fixture(scope="module")
def mnist() -> tuple[Encoder, Decoder]:
    return codec.load_encoder("mnist"), codec.load_decoder("mnist")


def cost(
    pair: tuple[Encoder, Decoder], images: NDArray[np.uint8], quality: int, effort: int
) -> tuple[float, bytes]:
    """Bits + lambda x squared error of an image, and the packet."""
    encoder, decoder = pair
    packet = encoder.encode(images, quality=quality, effort=effort)
    weight = encoder.bundle.provenance["qualities"][quality]["lambda"]
    return 8 * len(packet) / len(images) + weight * pixel_errors(images, decoder.decode(packet))[0], packet


def test_effort_lowers_the_cost_of_the_shipped_pair_at_fine_qualities(
    mnist: tuple[Encoder, Decoder], digits: NDArray[np.uint8]
) -> None:
    for quality in (mnist[0].qualities - 3, mnist[0].qualities - 1):
        costs = [cost(mnist, digits, quality, effort)[0] for effort in (0, 1, 2)]
        assert costs[1] < 0.97 * costs[0]
        assert costs[2] < 1.005 * costs[1]


def test_effort_changes_nothing_where_the_export_found_no_gain(
    mnist: tuple[Encoder, Decoder], digits: NDArray[np.uint8]
) -> None:
    gain = mnist[0].bundle.weights["feedback/gain"]
    without = [quality for quality in range(len(gain)) if not gain[quality].any()]
    for quality in without:
        packets = [cost(mnist, digits[:3], quality, effort)[1] for effort in (0, MAX_EFFORT)]
        assert packets[0] == packets[1]


def test_effort_changes_nothing_for_a_pair_that_cannot_steer(digits: NDArray[np.uint8]) -> None:
    encoder = codec.load_encoder("article")
    assert encoder.encode(digits[:3], effort=MAX_EFFORT) == encoder.encode(digits[:3])


@pytest.mark.parametrize("count", [1, 2, 70])
def test_whatever_the_feedback_says_the_receiver_decodes_what_was_chosen(count: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 12, 1), np.uint8)
    architecture = Dense(rows=2, columns=3, filters=(4, 6), units=8, elements=20, qualities=3)
    bundles = [
        replace(bundle, pair=replace(bundle.pair, steps=np.ones_like(bundle.pair.steps)))
        for bundle in random_pair(architecture, images, groups=(5, 15))
    ]
    encoder, decoder = Encoder(bundles[0]), Decoder(bundles[1])
    for effort in range(MAX_EFFORT + 1):
        packet = encoder.encode(images, quality=1, effort=effort)
        symbols = decoder.symbols(packet)
        nearest = encoder.codes(images, quality=1)
        assert np.abs(symbols - nearest).max() <= (0.5 if effort == 0 else 1.5) + 1e-3
        assert decoder.decode(packet).shape == images.shape


@pytest.mark.parametrize("effort", [-1, 4, 1.0, True, None, "1"])
def test_an_effort_out_of_range_is_refused(mnist: tuple[Encoder, Decoder], effort: Any) -> None:
    digit = np.zeros((28, 28), np.uint8)
    with pytest.raises(OptionError, match="effort: expected 0 to 3, found"):
        mnist[0].encode(digit, effort=effort)
    with pytest.raises(OptionError, match="effort: expected 0 to 3, found"):
        mnist[0].encode_stream([digit], effort=effort)
