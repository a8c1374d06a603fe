"""A few images come out of NumPy and many out of JAX: the two agree, and few never load JAX."""

from typing import Any

import jax
import numpy as np
import pytest
from numpy.typing import NDArray

from codec import decoder as decoder_module
from codec import numpy_synthesis
from codec.architecture import Architecture, Convolutional, Dense, Residual, Upsampling
from codec.bundle import Bundle
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.loading import load_bundle
from codec.synthesis import build_synthesis
from tests.conftest import random_pair

TOLERANCE = 1e-5
"""Most that two float images may differ: a four-hundredth of a level of grey."""
OFF_BY_ONE = 1e-4
"""Most of the pixels that may round to the level beside, besides a single one."""


def dense(**arguments: Any) -> Dense:
    return Dense(units=9, qualities=2, **arguments)


RANDOM: list[tuple[Architecture, tuple[int, int]]] = [
    (Convolutional(code_channels=3, layers=1, filters=4), (8, 8)),
    (Convolutional(image_channels=3, code_channels=5, layers=3, filters=7), (9, 20)),
    (Convolutional(image_channels=4, code_channels=1, layers=4, filters=2), (1, 1)),
    (Upsampling(code_channels=3, layers=1, filters=4), (8, 8)),
    (Upsampling(image_channels=3, code_channels=5, layers=3, filters=7), (9, 20)),
    (dense(image_channels=3, code_channels=2, rows=3, columns=2, filters=(6, 5), elements=11), (12, 8)),
    (dense(code_channels=4, layers=1, rows=1, columns=5, filters=(4,), elements=20), (2, 10)),
    (dense(code_channels=3, layers=3, rows=2, columns=1, filters=(3, 4, 5), elements=5), (16, 8)),
    (Residual(code_channels=3, layers=1, filters=4, blocks=2, qualities=2), (8, 8)),
    (Residual(image_channels=3, code_channels=5, layers=2, filters=6, blocks=1, qualities=2), (7, 30)),
    (Residual(image_channels=4, code_channels=1, layers=3, filters=2, blocks=0, qualities=2), (1, 1)),
]


def kind_and_size(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else type(value).__name__


def assert_forms_agree(bundle: Bundle, codes: NDArray[np.float32], quality: int) -> None:
    architecture, parameters = bundle.pair.architecture, bundle.parameters()
    found = numpy_synthesis.float_images(architecture, parameters, codes, quality)
    expected = np.asarray(
        jax.jit(build_synthesis(architecture).apply)({"params": parameters}, codes, quality)
    )
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    receiver = Decoder(bundle)
    few, many = receiver._few(codes, quality), receiver._many(codes, quality)
    assert few.dtype == many.dtype == np.uint8
    apart = np.abs(few.astype(int) - many)
    assert apart.max() <= 1
    assert apart.sum() <= 1 + OFF_BY_ONE * apart.size


@pytest.mark.parametrize("name", ["article", "article-rd", "mnist"])
def test_both_forms_of_a_shipped_pair_make_the_same_images(name: str, digits: NDArray[np.uint8]) -> None:
    sender, bundle = Encoder(load_bundle(name, "encoder")), load_bundle(name, "decoder")
    for quality in {0, bundle.pair.default_quality, bundle.pair.qualities - 1}:
        assert_forms_agree(bundle, sender.codes(digits, quality=quality), quality)


@pytest.mark.parametrize(("architecture", "size"), RANDOM, ids=kind_and_size)
def test_both_forms_of_random_weights_make_the_same_images(
    architecture: Architecture, size: tuple[int, int]
) -> None:
    images = np.random.default_rng(1).integers(0, 256, (40, *size, architecture.image_channels), np.uint8)
    sender, receiver = random_pair(architecture, images, qualities=2)
    for quality in range(2):
        codes = Encoder(sender).codes(images, quality=quality)
        assert_forms_agree(receiver, codes, quality)


def test_numbers_that_overflow_do_not_warn(small_bundles: tuple[Bundle, Bundle]) -> None:
    bundle = small_bundles[1]
    for size in (1e4, 3e38):
        codes = np.full((1, 4, 4, 3), size, np.float32)
        assert Decoder(bundle).images(codes).shape == (1, 8, 8, 1)
        assert Decoder(bundle).images(-codes).shape == (1, 8, 8, 1)


@pytest.fixture
def forms(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which forms were asked for, in order; neither makes more than black images."""
    asked: list[str] = []

    def form(name: str) -> property:
        def images(codes: NDArray[np.float32], quality: int) -> NDArray[np.uint8]:
            asked.append(name)
            n, h, w, _ = codes.shape
            return np.zeros((n, 2 * h, 2 * w, 1), np.uint8)

        return property(lambda self: images)

    for name in ("_few", "_many"):
        monkeypatch.setattr(Decoder, name, form(name))
    return asked


@pytest.mark.parametrize("shape", [(1, 64, 64, 3), (16, 16, 16, 3), (4096, 1, 1, 3)])
def test_pixels_tell_few_images_from_many(
    shape: tuple[int, ...], small_bundles: tuple[Bundle, Bundle], forms: list[str]
) -> None:
    receiver = Decoder(small_bundles[1])
    codes = np.zeros(shape, np.float32)
    assert 4 * codes[..., 0].size == decoder_module._FEW_PIXELS
    receiver.images(codes)
    receiver.images(np.concatenate([codes, codes[:1]]))
    receiver.images(codes[:, :1, :1])
    assert forms == ["_few", "_many", "_few"]
