"""Training that goes on from the weights of a trained pair."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import codec
from codec.architecture import Convolutional, Dense, Residual
from codec.bundle_writer import write_bundle
from codec.errors import FileError, TrainingError
from codec.loading import load_bundle
from codec.training.data import Dataset
from codec.training.loop import objective_for
from codec.training.objective import Weights
from codec.training.settings import Settings
from codec.training.start import start_from_pair, start_steps
from tests.conftest import same, trained
from tests.golden import make

DISTORTION = Settings(epochs=1, batch_size=32, start="article")
RATED = replace(DISTORTION, objective="rate-distortion", lambdas=(1e4, 1e5))


@pytest.fixture(scope="module")
def data() -> Dataset:
    digits = codec.samples.sample_images()
    return Dataset("digits", digits[10:], digits[:10])


def test_the_start_is_the_weights_of_both_halves() -> None:
    weights = start_from_pair(DISTORTION)
    halves = {"analysis": load_bundle("article", "encoder"), "synthesis": load_bundle("article", "decoder")}
    assert same(weights, {part: bundle.parameters() for part, bundle in halves.items()})


def test_a_pair_is_found_by_its_path_too(tmp_path: Path) -> None:
    shipped = Path(codec.__file__).parent / "shipped"
    for side in ("encoder", "decoder"):
        (tmp_path / f"mine.{side}.msgpack").write_bytes((shipped / f"article.{side}.msgpack").read_bytes())
    found = start_from_pair(replace(DISTORTION, start=str(tmp_path / "mine")))
    assert same(found, start_from_pair(DISTORTION))
    (tmp_path / "mine.decoder.msgpack").unlink()
    with pytest.raises(FileError, match=r"mine\.decoder\.msgpack"):
        start_from_pair(replace(DISTORTION, start=str(tmp_path / "mine")))


def test_other_networks_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"expected the networks .*'filters': 8.*found .*'filters': 32"):
        start_from_pair(replace(DISTORTION, architecture=Convolutional(filters=8)))
    with pytest.raises(TrainingError, match="--start mnist: expected the networks"):
        start_from_pair(replace(RATED, architecture=Dense(qualities=2), start="mnist"))


def test_one_epoch_from_a_trained_pair_beats_one_from_nothing(data: Dataset, tmp_path: Path) -> None:
    objective = objective_for(DISTORTION, len(data.training))
    images = jnp.asarray(data.validation, jnp.float32) / 255

    def psnr(settings: Settings, folder: str) -> float:
        weights = trained(settings, data, tmp_path / folder)
        return objective.figures(np.asarray(objective.validate(weights, images, images))).psnr[0]

    warm = psnr(DISTORTION, "warm")
    assert warm > psnr(replace(DISTORTION, start=None), "cold") + 5
    assert warm > 20


def test_a_start_for_rate_and_distortion_keeps_the_pictures(data: Dataset) -> None:
    objective = objective_for(RATED, len(data.training))
    images = jnp.asarray(data.validation, jnp.float32) / 255

    def psnr(start: Weights | None) -> float:
        weights = objective.initial_weights(data.training, start)
        return objective.figures(np.asarray(objective.validate(weights, images, images))).psnr[-1]

    assert psnr(start_from_pair(RATED)) > max(20, psnr(None) + 5)


def test_a_dense_pair_goes_on_without_its_feedback() -> None:
    bundle = load_bundle("mnist", "encoder")
    assert isinstance(bundle.pair.architecture, Dense)
    lambdas = tuple(float(10 ** (3 + q / 5)) for q in range(bundle.pair.qualities))
    settings = replace(RATED, architecture=bundle.pair.architecture, start="mnist", lambdas=lambdas)
    weights = start_from_pair(settings)
    assert "feedback" in bundle.parameters()
    assert "feedback" not in weights["analysis"]
    images = codec.samples.sample_images()
    started = objective_for(settings, 100).initial_weights(images, weights)
    fresh = objective_for(settings, 100).initial_weights(images)
    assert same({part: started[part] for part in weights}, weights)
    assert same(started["prior"], fresh["prior"])


def test_a_residual_pair_goes_on_with_its_networks(tmp_path: Path) -> None:
    for bundle in make.residual_bundles():
        (tmp_path / f"mine.{bundle.side}.msgpack").write_bytes(write_bundle(bundle))
    encoder, decoder = make.residual_bundles()
    architecture = encoder.pair.architecture
    assert isinstance(architecture, Residual)
    settings = replace(
        RATED, architecture=architecture, start=str(tmp_path / "mine"), lambdas=(1e3, 1e4, 1e5), batch_size=8
    )
    weights = start_from_pair(settings)
    assert same(weights, {"analysis": encoder.parameters(), "synthesis": decoder.parameters()})
    images = make.noise(16, 8, 8, 0)
    started = objective_for(settings, 16).initial_weights(images, weights)
    assert same({part: started[part] for part in weights}, weights)
    with pytest.raises(TrainingError, match=r"expected the networks .*'blocks': 2.*found .*'blocks': 1"):
        start_from_pair(replace(settings, architecture=replace(architecture, blocks=2)))


def test_steps_shrink_with_the_root_of_lambda(data: Dataset) -> None:
    lambdas = np.array([1e3, 4e3, 1.6e4])
    steps, deviations = start_steps(start_from_pair(RATED), Convolutional(), data.training, lambdas)
    assert steps.shape == (3, 32)
    assert deviations.shape == (1568,)
    np.testing.assert_allclose(steps[0], 2 * steps[1])
    np.testing.assert_allclose(steps[1], 2 * steps[2])
