"""The figures are those of the bytes and of what came out of them."""

import numpy as np
import pytest
from numpy.typing import NDArray

import codec
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import WrongPairError
from codec.evaluation import evaluate, psnr
from codec.pictures import difference, picture_rows
from tests.test_data import needs_mnist


def test_the_figures_agree_with_a_packet_made_by_hand(
    small_pair: tuple[Encoder, Decoder], digits: NDArray[np.uint8]
) -> None:
    encoder, decoder = small_pair
    rows = list(evaluate(encoder, decoder, digits[:30], [0, 2]))
    for row, quality in zip(rows, (0, 2), strict=True):
        packet = encoder.encode(digits[:30], quality=quality)
        decoded = decoder.decode(packet)
        error = digits[:30].astype(np.float64) - decoded
        assert row.quality == quality
        assert row.packet_bytes == len(packet)
        assert row.bytes_per_image == len(packet) / 30
        assert row.bits_per_pixel == 8 * len(packet) / (30 * 784)
        assert row.mse == pytest.approx((error**2).mean() / 255**2, rel=1e-12)
        assert row.psnr == pytest.approx(10 * np.log10(255**2 / (error**2).mean()))
        assert row.mae == pytest.approx(np.abs(error).mean() / 255, rel=1e-12)


def test_a_pair_of_two_trainings_is_not_measured(small_pair: tuple[Encoder, Decoder]) -> None:
    images = np.zeros((1, 8, 8, 1), np.uint8)
    with pytest.raises(WrongPairError):
        list(evaluate(small_pair[0], codec.load_decoder("article"), images, [0]))


def test_psnr_of_equal_images_is_infinite() -> None:
    assert psnr(0.0) == float("inf")
    assert psnr(0.001) == pytest.approx(30)


def test_pictures_show_each_row_under_the_one_before(digits: NDArray[np.uint8]) -> None:
    picture = picture_rows({"a": digits[:3], "b": 255 - digits[:3]})
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    enlarged = digits[0, ..., 0].repeat(2, 0).repeat(2, 1)
    windows = np.lib.stride_tricks.sliding_window_view(picture[..., 0], enlarged.shape)
    rows = [int(np.argwhere((windows == image).all((2, 3)))[0][0]) for image in (enlarged, 255 - enlarged)]
    assert rows[0] + enlarged.shape[0] <= rows[1]
    assert (difference(digits, digits) == 255).all()
    assert difference(digits, 255 - digits).min() == 0


@pytest.mark.parametrize("pair", codec.pretrained())
@pytest.mark.parametrize("place", [0, -1])
def test_a_shipped_pair_keeps_what_its_bundle_states(pair: str, place: int) -> None:
    from codec.training.data import sample_digits
    from codec.training.settings import Settings

    encoder, decoder, digits = codec.load_encoder(pair), codec.load_decoder(pair), sample_digits()
    made_with = encoder.bundle.provenance["settings"]
    inputs = digits
    if isinstance(made_with["noise"], list):
        inputs = Settings(noise=tuple(made_with["noise"]), seed=made_with["seed"]).noised(digits)
    quality = range(encoder.qualities)[place]
    stated = encoder.bundle.provenance["qualities"][quality]
    (row,) = evaluate(encoder, decoder, inputs, [quality], targets=digits)
    assert row.bytes_per_image == pytest.approx(stated["bytes_per_image"], rel=0.01)
    assert row.psnr == pytest.approx(stated["psnr"], abs=0.02)


@pytest.mark.parametrize("pair", [name for name in codec.pretrained() if name != "article"])
def test_real_bytes_of_a_shipped_pair_are_within_a_percent_of_its_priors_estimate(pair: str) -> None:
    for stated in codec.load_encoder(pair).bundle.provenance["qualities"]:
        assert stated["bytes_per_image"] == pytest.approx(stated["estimated_bytes_per_image"], rel=0.01)


TARGETS = {22.4: 10, 24.4: 15, 26.3: 27, 27.3: 34, 30.0: 52, 32.5: 78}
"""Bytes an image at a PSNR of at least so many dB: a third and less of what JPEG XL takes."""


@needs_mnist
def test_the_shipped_default_needs_few_bytes_on_the_test_set() -> None:
    from codec.training.data import load_dataset

    encoder, decoder = codec.load_encoder("mnist"), codec.load_decoder("mnist")
    rows = list(evaluate(encoder, decoder, load_dataset("mnist", "test"), range(encoder.qualities)))
    for least, most in TARGETS.items():
        assert min(row.bytes_per_image for row in rows if row.psnr >= least) <= most
    steps = np.diff([row.psnr for row in rows])
    assert rows[0].psnr < 20.5
    assert rows[-1].psnr > 34
    assert 0.8 < steps.min() < steps.max() < 2


@needs_mnist
def test_the_articles_finest_quality_is_within_a_tenth_of_a_decibel_of_its_float_codes() -> None:
    from codec.training.data import load_dataset

    test = load_dataset("mnist", "test")
    encoder, decoder = codec.load_encoder("article"), codec.load_decoder("article")
    floats = decoder.images(encoder.codes(test))
    best = psnr(float(((test.astype(np.float32) - floats) ** 2).mean()) / 255**2)
    (row,) = evaluate(encoder, decoder, test, [encoder.qualities - 1])
    assert row.psnr > best - 0.1
