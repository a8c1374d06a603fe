"""The same images give the same packet, in any batch, on any number of threads, on the edge of rounding."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

import codec
from codec import batching, encoder
from codec.architecture import Residual
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.quantise import near_edge, quantise
from tests.conftest import random_pair

Pair = tuple[Encoder, Decoder]

LARGEST = 64


@pytest.fixture(scope="module", params=codec.pretrained())
def pair(request: pytest.FixtureRequest) -> Pair:
    return codec.load_encoder(request.param), codec.load_decoder(request.param)


@pytest.fixture(scope="module")
def mnist() -> Pair:
    return codec.load_encoder("mnist"), codec.load_decoder("mnist")


@pytest.fixture(scope="module")
def residual() -> Pair:
    """Networks so narrow that their sums differ with the batch; those of the default width differ less."""
    architecture = Residual(filters=8, code_channels=4, qualities=3)
    bundles = random_pair(architecture, codec.samples.sample_images(), groups=(1, 3, 12))
    return Encoder(bundles[0]), Decoder(bundles[1])


def symbols(pair: Pair, images: NDArray[np.generic], quality: int, effort: int = 0) -> NDArray[np.int32]:
    """What the receiver finds in the packet of ``images``."""
    return pair[1].symbols(pair[0].encode(images, quality=quality, effort=effort))


def in_batches_of(
    pair: Pair, size: int, images: NDArray[np.generic], quality: int, effort: int = 0
) -> NDArray[np.int32]:
    parts = (images[start : start + size] for start in range(0, len(images), size))
    return np.concatenate([symbols(pair, part, quality, effort) for part in parts])


def on_edges(sender: Encoder, digits: NDArray[np.uint8], quality: int) -> Iterator[NDArray[np.float32]]:
    """Images one code of which is as near to the middle between two integers as float32 pixels allow.

    A digit is darkened until a symbol changes; the darkest before and the brightest after that are found by
    bisection, in whole batches.
    """

    def rounded(share: float) -> NDArray[np.int32]:
        image = (digit * np.float32(share)).astype(np.float32)
        codes = sender.codes(np.repeat(image[None], LARGEST, axis=0), quality=quality)[0]
        return quantise(codes, sender.bundle.pair.steps[quality])

    for digit in digits.astype(np.float32) / np.float32(255):
        low, high = 0.97, 1.0
        before, after = rounded(low), rounded(high)
        place = tuple(np.argwhere(before != after)[0])
        while np.float32(low) < np.float32((low + high) / 2) < np.float32(high):
            middle = (low + high) / 2
            low, high = (middle, high) if rounded(middle)[place] == before[place] else (low, middle)
        for share in (low, high):
            yield digit * np.float32(share)


def test_an_images_symbols_do_not_depend_on_the_images_beside_it(
    pair: Pair, digits: NDArray[np.uint8]
) -> None:
    images, quality = digits[:70], pair[0].qualities - 1
    whole = symbols(pair, images, quality)
    for size in (1, 17, 63):
        np.testing.assert_array_equal(in_batches_of(pair, size, images, quality), whole)


def test_an_image_on_the_edge_of_rounding_has_one_packet(mnist: Pair, digits: NDArray[np.uint8]) -> None:
    for quality in (6, 12):
        images = np.stack(list(on_edges(mnist[0], digits[:12], quality)))
        whole = symbols(mnist, images, quality)
        for size in (1, 5):
            np.testing.assert_array_equal(in_batches_of(mnist, size, images, quality), whole)


def test_an_image_on_the_edge_of_rounding_has_one_packet_of_a_residual_pair(
    residual: Pair, digits: NDArray[np.uint8]
) -> None:
    images = np.stack(list(on_edges(residual[0], digits[:12], 2)))
    whole = symbols(residual, images, 2)
    for size in (1, 5):
        np.testing.assert_array_equal(in_batches_of(residual, size, images, 2), whole)


@pytest.mark.parametrize(("name", "quality"), [("mnist", 12), ("residual", 2)])
def test_without_a_second_look_such_images_would_have_two(
    name: str,
    quality: int,
    request: pytest.FixtureRequest,
    digits: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair: Pair = request.getfixturevalue(name)
    images = np.stack(list(on_edges(pair[0], digits[:12], quality)))
    monkeypatch.setattr(encoder, "_EDGE", 0.0)
    whole = symbols(pair, np.repeat(images, 2, axis=0), quality)[::2]
    assert (in_batches_of(pair, 1, images, quality) != whole).any()


def test_codes_differ_between_batch_sizes_by_far_less_than_is_looked_at_twice(
    pair: Pair, digits: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = pair[0]
    monkeypatch.setattr(encoder, "_EDGE", 0.0)
    for quality in (0, sender.qualities // 2, sender.qualities - 1):
        whole = sender.codes(np.repeat(digits[:32], 2, axis=0), quality=quality)[::2]
        steps = sender.bundle.pair.steps[quality]
        for size in (1, 16):
            parts = [
                sender.codes(digits[start : start + size], quality=quality) for start in range(0, 32, size)
            ]
            difference = np.abs(np.concatenate(parts) - whole) / steps
            assert (difference <= 2.0**-16 * np.maximum(np.abs(whole / steps), 1)).all()
            if not hasattr(sender.bundle.pair.architecture, "elements"):
                assert not difference.any()


def test_steered_symbols_do_not_depend_on_the_images_beside_it(
    mnist: Pair, digits: NDArray[np.uint8]
) -> None:
    images = np.concatenate(
        [
            digits[:20].astype(np.float32) / np.float32(255),
            *(x[None] for x in on_edges(mnist[0], digits[:5], 9)),
        ]
    )
    whole = symbols(mnist, images, 9, effort=2)
    for size in (1, 7):
        np.testing.assert_array_equal(in_batches_of(mnist, size, images, 9, effort=2), whole)


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_packets_do_not_depend_on_the_number_of_threads(
    pair: Pair, cores: int, digits: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.concatenate([digits] * 3)
    expected = pair[0].encode(images)
    monkeypatch.setattr(batching, "_cores", lambda: cores)
    assert pair[0].encode(images) == expected


def test_near_an_edge_is_told_in_steps_and_relative_to_large_codes() -> None:
    steps = np.array([2.0], np.float32)
    codes = np.array([[1.0], [1.001], [1.1], [-1.0], [0.0], [2.0], [201.01], [np.inf]], np.float32)
    found = near_edge(codes, steps, 1e-3)[:, 0].tolist()
    assert found == [True, True, False, True, False, False, True, False]
