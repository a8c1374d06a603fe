"""Noise on images: what it is, that training and export aim at the clean images, and what it costs."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from numpy.typing import NDArray
from typer.testing import CliRunner

from codec.architecture import Convolutional
from codec.cli import app
from codec.cli_evaluate import Noise, report
from codec.decoder import Decoder, load_decoder
from codec.encoder import Encoder, load_encoder
from codec.errors import ImageError, OptionError
from codec.evaluation import evaluate, pixel_errors, psnr
from codec.noise import noisy
from codec.training.data import Dataset
from codec.training.distortion import Distortion
from codec.training.domain import measure_domain
from codec.training.export import export_pair
from codec.training.loop import EpochMetrics, Watcher, objective_for, validate
from codec.training.objective import Weights
from codec.training.settings import Settings
from codec.training.step import State, initial_state, train_step
from tests.conftest import trained
from tests.test_data import needs_mnist

Pixels = NDArray[np.uint8]

SETTINGS = Settings(
    architecture=Convolutional(code_channels=4, filters=4), epochs=1, batch_size=16, noise=(0.1, 0.6), seed=3
)


@pytest.fixture(scope="module")
def data(digits: Pixels) -> Dataset:
    return Dataset("digits", digits[10:], digits[:10])


def test_noise_has_its_deviation_and_no_mean_where_nothing_is_clipped() -> None:
    grey = np.full((50, 20, 20, 1), 128, np.uint8)
    gaps = noisy(grey, 0.1, 1) / 255 - 128 / 255
    assert gaps.std() == pytest.approx(0.1, rel=0.02)
    assert abs(gaps.mean()) < 0.002


def test_noise_is_clipped_to_black_and_white() -> None:
    black = np.zeros((50, 20, 20, 1), np.uint8)
    found = noisy(black, 0.5, 1)
    assert (found == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert (found == 255).mean() == pytest.approx(0.0228, abs=0.005)  # two deviations and more above


def test_noise_is_decided_by_its_seed_and_each_image_may_have_its_own(digits: Pixels) -> None:
    some = digits[:5]
    assert np.array_equal(noisy(some, 0.3, 7), noisy(some, 0.3, 7))
    assert not np.array_equal(noisy(some, 0.3, 7), noisy(some, 0.3, 8))
    mixed = noisy(some, np.array([0, 0.3, 0, 0.3, 0.3]), 7)
    assert [np.array_equal(one, other) for one, other in zip(mixed, some, strict=True)] == [1, 0, 1, 0, 0]
    assert np.array_equal(mixed[1], noisy(some, 0.3, 7)[1])
    with pytest.raises(ValueError, match="broadcast"):
        noisy(some, np.array([0.1, 0.2]), 7)


@dataclass(frozen=True)
class Spy(Distortion):
    """Sums up what the input of a step differs by from its target: each image's deviation."""

    def validate(self, weights: Weights, inputs: Array, targets: Array) -> Array:
        return jnp.zeros(16)

    def loss(
        self, phase: str, weights: Weights, inputs: Array, targets: Array, key: Array
    ) -> tuple[Array, Array]:
        return jnp.float32(0), jnp.std(inputs - targets, axis=(1, 2, 3))


@pytest.mark.parametrize(("noise", "low", "high"), [((0.02, 0.1), 0.02, 0.1), ((0.05, 0.05), 0.05, 0.05)])
def test_a_step_adds_noise_to_the_input_and_each_image_has_its_own(
    noise: tuple[float, float], low: float, high: float
) -> None:
    grey = np.full((16, 28, 28, 1), 128, np.uint8)
    spy = Spy(replace(SETTINGS, noise=noise))
    after = train_step(spy, "", spy.settings, initial_state(spy, grey), jnp.asarray(grey), np.arange(16))
    deviations = np.asarray(after.sums)
    assert (deviations > 0.9 * low).all()
    assert (deviations < 1.1 * high).all()
    assert np.ptp(deviations) > 0.5 * (high - low)


def test_a_run_with_noise_is_validated_on_noisy_images_against_clean_ones(
    data: Dataset, tmp_path: Path
) -> None:
    told: list[EpochMetrics] = []

    class Keeps(Watcher):
        def on_epoch(self, metrics: EpochMetrics, state: State) -> None:
            told.append(metrics)

    weights = trained(SETTINGS, data, tmp_path, watcher=Keeps())
    objective, clean = objective_for(SETTINGS, len(data.training)), data.validation
    noised = SETTINGS.noised(clean)
    assert told[0].validation == validate(objective, weights, noised, clean)
    assert told[0].validation.loss not in (
        validate(objective, weights, clean, clean).loss,
        validate(objective, weights, noised, noised).loss,
    )
    assert np.array_equal(noised, SETTINGS.noised(clean))
    assert replace(SETTINGS, noise=(0.0, 0.0)).noised(clean) is clean


def test_export_records_what_the_decoder_makes_of_noisy_images(data: Dataset) -> None:
    objective = objective_for(SETTINGS, len(data.training))
    weights = jax.tree.map(np.asarray, objective.initial_weights(data.training))
    encoder, decoder = export_pair(SETTINGS, weights, "digits", data.training, data.validation)
    noised = SETTINGS.noised(data.validation)
    found = list(evaluate(Encoder(encoder), Decoder(decoder), noised, range(8), targets=data.validation))
    recorded = encoder.provenance["qualities"]
    assert [one["psnr"] for one in recorded] == [round(m.psnr, 3) for m in found]
    assert [one["bytes_per_image"] for one in recorded] == [round(m.bytes_per_image, 3) for m in found]
    told = encoder.provenance["domain"]["images"]
    anew = measure_domain(Encoder(encoder), Decoder(decoder), data.training, data.validation, told)
    assert anew.to_record() == encoder.provenance["domain"]
    against_input = evaluate(Encoder(encoder), Decoder(decoder), noised, range(8))
    assert all(one.psnr != other.psnr for one, other in zip(found, against_input, strict=True))


def test_evaluation_with_noise_tells_what_it_costs(
    small_pair: tuple[Encoder, Decoder], digits: Pixels, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    encoder, decoder = small_pair
    images, noised = digits[:4], noisy(digits[:4], 0.5, 9)
    report(*small_pair, images, [1], noise=Noise(0.5, 9), formats=False, as_json=True)
    (found,) = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    packet = encoder.encode(noised, quality=1)
    assert found["packet_bytes"] == len(packet)
    assert found["psnr"] == psnr(pixel_errors(images, decoder.decode(packet))[0])
    clean = encoder.encode(images, quality=1)
    assert found["noise"] == {
        "deviation": 0.5,
        "seed": 9,
        "input_psnr": psnr(pixel_errors(images, noised)[0]),
        "clean_bytes_per_image": len(clean) / 4,
        "clean_psnr": psnr(pixel_errors(images, decoder.decode(clean))[0]),
    }
    report(*small_pair, images, [1], noise=Noise(0.5, 9), formats=False)
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert f"leaves the images {found['noise']['input_psnr']:.2f} dB" in lines[3]
    more = f"{len(packet) / len(clean) - 1:+.0%}"
    assert lines[5].split()[1:4] == [f"{len(packet) / 4:.2f}", f"{len(clean) / 4:.2f}", more]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["train", "--out", "x", "--dataset", "mnist", "--noise", "much"], "expected a number or LOW:HIGH"),
        (["evaluate", "--noise", "0.5", "--formats"], "leave out --formats, --sample and --plot"),
        (["evaluate", "--noise", "0.5", "--plot", "x.png"], "leave out --formats, --sample and --plot"),
        (["evaluate", "--noise", "0.5", "--sample", "3"], "leave out --formats, --sample and --plot"),
        (["evaluate", "--seed", "1"], "--seed: of the noise; add --noise"),
        (["evaluate", "--noise", "-1"], "--noise: expected 0 or more, found -1"),
        (["evaluate", "--noise", "nan"], "--noise: expected 0 or more, found nan"),
    ],
)
def test_options_of_noise_that_make_no_sense_are_refused(
    options: list[str], message: str, digits: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codec.training.data.load_training", lambda *rest: Dataset("x", digits, digits))
    found = CliRunner().invoke(app, options).exception
    assert isinstance(found, OptionError)
    assert message in str(found)


def test_noise_beyond_all_bounds_is_black_or_white(digits: Pixels) -> None:
    assert set(np.unique(noisy(digits[:2], 1e308, 0)).tolist()) <= {0, 255}


def test_images_of_other_channels_are_told_with_and_without_noise(
    shipped: tuple[Encoder, Decoder], digits: Pixels
) -> None:
    for noise in (None, Noise(0.5)):
        with pytest.raises(ImageError, match="where C is 1 for this pair"):
            report(*shipped, digits[:2].repeat(3, 3), [0], noise=noise, formats=False)


@pytest.fixture(scope="module")
def shipped() -> tuple[Encoder, Decoder]:
    return load_encoder("mnist-denoise"), load_decoder("mnist-denoise")


def cleaned(shipped: tuple[Encoder, Decoder], images: Pixels, quality: int) -> tuple[int, int, Pixels]:
    """Bytes of a packet with noise 0.5 and of one without, and what became of the noisy images."""
    encoder, decoder = shipped
    packet = encoder.encode(noisy(images, 0.5, 0), quality=quality)
    return len(packet), len(encoder.encode(images, quality=quality)), decoder.decode(packet)


def gain_over_the_median(images: Pixels, decoded: Pixels) -> float:
    """In dB; the median is what does best of the classical denoisers, ``docs/denoising.md``."""
    ndimage = pytest.importorskip("scipy.ndimage", reason="scipy is not installed; pip install '.[bench]'")
    median = ndimage.median_filter(noisy(images, 0.5, 0), (1, 3, 3, 1))
    return psnr(pixel_errors(images, decoded)[0]) - psnr(pixel_errors(images, median)[0])


def test_noise_costs_the_shipped_pair_no_rate_and_it_cleans_the_sample_digits(
    shipped: tuple[Encoder, Decoder], digits: Pixels
) -> None:
    for quality in range(shipped[0].qualities):
        size, without, decoded = cleaned(shipped, digits, quality)
        assert size <= 1.15 * without
    assert size < 60 * len(digits)
    assert gain_over_the_median(digits, decoded) > 5


@needs_mnist
def test_noise_costs_the_shipped_pair_no_rate_and_it_cleans_the_test_set(
    shipped: tuple[Encoder, Decoder],
) -> None:
    from codec.training.data import load_dataset

    test = load_dataset("mnist", "test")
    size, without, decoded = cleaned(shipped, test, shipped[0].qualities - 1)
    assert size <= 1.15 * without
    assert size < 60 * len(test)
    assert gain_over_the_median(test, decoded) > 6
    assert psnr(pixel_errors(test, decoded)[0]) > 20.2


def test_one_pair_serves_all_strengths_of_noise(shipped: tuple[Encoder, Decoder], digits: Pixels) -> None:
    found = []
    for deviation in (0.0, 0.1, 0.3, 0.5, 0.8):
        noised = noisy(digits, deviation, 0)
        decoded = shipped[1].decode(shipped[0].encode(noised, quality=4))
        found.append((psnr(pixel_errors(digits, noised)[0]), psnr(pixel_errors(digits, decoded)[0])))
    assert [after for _, after in found] == sorted((after for _, after in found), reverse=True)
    assert all(after > before + 1.5 for before, after in found[1:])
    assert found[-1][1] > 16.5
