"""Training and export on the digits in the package: exact resumption, interruption, refusals, calibration."""

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from codec import batching
from codec.architecture import Convolutional, Dense, Residual, Upsampling
from codec.bundle_reader import read_bundle
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import DatasetError, FileError, OptionError, TrainingError
from codec.evaluation import psnr
from codec.imagefiles import read_image
from codec.training.calibration import table_from_counts
from codec.training.checkpoints import Checkpoints
from codec.training.data import Dataset
from codec.training.distortion import Distortion
from codec.training.loop import EpochMetrics, InterruptedRunError, Watcher, objective_for
from codec.training.losses import LOSSES
from codec.training.objective import Weights
from codec.training.run import run
from codec.training.settings import Settings, model_for, settings_for, spread
from codec.training.step import State, initial_state, train_step
from tests.conftest import same, trained

SMALL = Convolutional(code_channels=4, layers=2, filters=4)
SETTINGS = Settings(architecture=SMALL, epochs=3, batch_size=16, noise=(0.2, 0.2), seed=3, learning_rate=0.01)


@pytest.fixture(scope="module")
def data() -> Dataset:
    from codec.samples import sample_images

    digits = sample_images()
    return Dataset("digits", digits[10:], digits[:10])


@pytest.fixture(scope="module")
def uninterrupted(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return trained(SETTINGS, data, tmp_path_factory.mktemp("whole"))


def test_the_same_seed_gives_the_same_weights(uninterrupted: Weights, data: Dataset, tmp_path: Path) -> None:
    assert same(uninterrupted, trained(SETTINGS, data, tmp_path))


def test_another_seed_gives_other_weights(uninterrupted: Weights, data: Dataset, tmp_path: Path) -> None:
    assert not same(uninterrupted, trained(replace(SETTINGS, seed=4), data, tmp_path))


def test_a_resumed_run_goes_on_exactly(uninterrupted: Weights, data: Dataset, tmp_path: Path) -> None:
    trained(replace(SETTINGS, epochs=1), data, tmp_path)
    assert same(uninterrupted, trained(SETTINGS, data, tmp_path, resume=True))


def one_step(data: Dataset, settings: Settings) -> Weights:
    objective = objective_for(settings, len(data.training))
    state = initial_state(objective, data.training)
    after = train_step(
        objective, "distortion", settings, state, jnp.asarray(data.training), np.arange(settings.batch_size)
    )
    return after.weights


def test_a_batch_in_parts_takes_the_step_of_the_whole(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(SETTINGS, noise=(0.0, 0.0))
    whole = one_step(data, settings)
    monkeypatch.setattr(Distortion, "part_images", 6)  # parts of 6, 5 and 5
    parts = one_step(data, settings)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_the_number_of_cores_changes_nothing(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Distortion, "part_images", 4)
    weights = []
    for cores in (1, 3):
        monkeypatch.setattr(batching, "_cores", lambda cores=cores: cores)
        weights.append(one_step(data, SETTINGS))
    assert same(*weights)


class PressesCtrlC(Watcher):
    """Sends this process SIGINT in the middle of the second epoch."""

    def __init__(self) -> None:
        self.epochs: list[float] = []

    def on_step(self, batch: int, state: State, images_per_s: float) -> None:
        if int(state.step) == 8:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_in_mid_epoch_leaves_a_checkpoint_that_goes_on_exactly(
    uninterrupted: Weights, data: Dataset, tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(InterruptedRunError, match=r"step \d+ in epoch 2.*--resume"):
        trained(SETTINGS, data, tmp_path, watcher=PressesCtrlC())
    assert signal.getsignal(signal.SIGINT) is before
    assert same(uninterrupted, trained(SETTINGS, data, tmp_path, resume=True))


class Losses(Watcher):
    """Keeps each epoch's losses; sends SIGINT in step ``stop``."""

    def __init__(self, stop: int = 0) -> None:
        self.stop = stop
        self.lines: list[EpochMetrics] = []

    def on_step(self, batch: int, state: State, images_per_s: float) -> None:
        if int(state.step) == self.stop:
            os.kill(os.getpid(), signal.SIGINT)

    def on_epoch(self, metrics: EpochMetrics, state: State) -> None:
        self.lines.append(replace(metrics, images_per_s=0.0))


@pytest.mark.parametrize("before_end", [0, 1])
def test_ctrl_c_at_the_end_of_an_epoch_loses_no_metrics(
    data: Dataset, tmp_path: Path, before_end: int
) -> None:
    whole, first, rest = Losses(), Losses(), Losses()
    trained(SETTINGS, data, tmp_path / "whole", watcher=whole)
    first.stop = whole.lines[0].step - before_end
    with pytest.raises(InterruptedRunError):
        trained(SETTINGS, data, tmp_path / "cut", watcher=first)
    trained(SETTINGS, data, tmp_path / "cut", resume=True, watcher=rest)
    assert first.lines + rest.lines == whole.lines


def test_training_makes_the_loss_smaller(data: Dataset, tmp_path: Path) -> None:
    run(SETTINGS, data, tmp_path, resume=False, console=Console(quiet=True))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert lines[-1]["training"]["loss"] < 0.8 * lines[0]["training"]["loss"]
    assert lines[-1]["validation"]["psnr"] > lines[0]["validation"]["psnr"]


def test_a_run_leaves_its_pair_metrics_and_preview(data: Dataset, tmp_path: Path) -> None:
    encoder, decoder = run(SETTINGS, data, tmp_path, resume=False, console=Console(quiet=True))
    assert (encoder.name, decoder.name) == ("article.encoder.msgpack", "article.decoder.msgpack")
    bundle = read_bundle(encoder.read_bytes(), "encoder")
    assert bundle.pair.digest == read_bundle(decoder.read_bytes(), "decoder").pair.digest
    assert bundle.provenance["settings"]["seed"] == 3
    assert len(bundle.provenance["qualities"]) == bundle.pair.qualities == 8
    assert read_image(tmp_path / "preview.png").shape[2] == 3
    first = encoder.read_bytes()
    run(SETTINGS, data, tmp_path, resume=True, console=Console(quiet=True))
    assert encoder.read_bytes() == first
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3


def test_the_finest_quality_is_within_a_tenth_of_a_decibel_of_the_float_codes(
    data: Dataset, tmp_path: Path
) -> None:
    paths = run(replace(SETTINGS, epochs=12), data, tmp_path, resume=False, console=Console(quiet=True))
    encoder = Encoder(read_bundle(paths[0].read_bytes(), "encoder"))
    decoder = Decoder(read_bundle(paths[1].read_bytes(), "decoder"))

    def quality_of(decoded: NDArray[np.uint8]) -> float:
        return psnr(float(((data.training.astype(float) - decoded) ** 2).mean()) / 255**2)

    best = quality_of(decoder.images(encoder.codes(data.training)))
    qualities = [quality_of(decoder.decode(encoder.encode(data.training, quality=q))) for q in range(8)]
    assert best - 0.1 < qualities[-1]
    assert qualities == sorted(qualities)
    sizes = [len(encoder.encode(data.training, quality=q)) for q in range(8)]
    assert sizes == sorted(sizes)


def test_checkpoints_of_another_run_are_not_overwritten_nor_gone_on_with(
    data: Dataset, tmp_path: Path
) -> None:
    quiet = Console(quiet=True)
    once = replace(SETTINGS, epochs=1)
    run(once, data, tmp_path, resume=False, console=quiet)
    with pytest.raises(TrainingError, match=r"holds the checkpoints of an earlier run.*--resume"):
        run(once, data, tmp_path, resume=False, console=quiet)
    with pytest.raises(TrainingError, match=r"noise was \[0\.2, 0\.2\], is now \[0\.0, 0\.0\]"):
        run(replace(once, noise=(0.0, 0.0)), data, tmp_path, resume=True, console=quiet)
    with pytest.raises(TrainingError, match=r"expected a run to resume, found none; leave out --resume"):
        run(once, data, tmp_path / "other", resume=True, console=quiet)


def test_a_run_without_a_checkpoint_yet_is_resumed_from_its_start(
    uninterrupted: Weights, data: Dataset, tmp_path: Path
) -> None:
    Checkpoints(tmp_path, {}, resume=False).close()
    with pytest.raises(TrainingError, match="made with other settings; seed was None, is now 4"):
        Checkpoints(tmp_path, {"seed": 4}, resume=True)
    assert same(uninterrupted, trained(SETTINGS, data, tmp_path, resume=True))


def test_what_a_kill_left_of_a_checkpoint_is_removed_by_the_next_run(tmp_path: Path) -> None:
    Checkpoints(tmp_path, {}, resume=False).close()
    half = tmp_path / "9.orbax-checkpoint-tmp"
    half.mkdir()
    (half / "_CHECKPOINT_METADATA").write_text("{")
    checkpoints = Checkpoints(tmp_path, {}, resume=True)
    assert checkpoints.newest is None
    end = time.monotonic() + 30
    while half.exists() and time.monotonic() < end:  # orbax removes it in a thread of its own
        time.sleep(0.01)
    assert not half.exists()
    checkpoints.close()


def test_a_checkpoint_that_cannot_be_written_is_told(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path, {}, resume=False)
    monkeypatch.setattr(checkpoints._manager, "save", lambda *_, **__: 1 / 0)
    with pytest.raises(FileError, match="checkpoint 7 cannot be written: division by zero"):
        checkpoints.save(7, {})
    checkpoints.close()


def test_too_few_images_and_a_diverging_loss_are_told(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="at least one batch of 128 training images, found 90"):
        trained(replace(SETTINGS, batch_size=128), data, tmp_path / "a")
    with pytest.raises(TrainingError, match="no longer finite; lower --learning-rate"):
        trained(replace(SETTINGS, learning_rate=1e30), data, tmp_path / "b")


def test_a_channel_count_that_the_model_lacks_is_told(data: Dataset, tmp_path: Path) -> None:
    colour = replace(SETTINGS, architecture=replace(SMALL, image_channels=3))
    with pytest.raises(TrainingError, match="expected images of 3 channels, found 1"):
        trained(colour, data, tmp_path)


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_loss_is_least_at_the_image_itself(loss: str) -> None:
    images = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    perfect = np.where(images > 0.5, 30.0, -30.0).astype(np.float32)
    assert float(LOSSES[loss](jax.numpy.asarray(perfect), jax.numpy.asarray(images))) < 1e-6
    assert float(LOSSES[loss](jax.numpy.zeros((2, 2)), jax.numpy.asarray(images))) > 0.1


def test_the_losses_are_those_of_the_textbook() -> None:
    logits, x = np.array([0.3, -2.0], np.float32), np.array([0.25, 0.5], np.float32)
    y = 1 / (1 + np.exp(-logits))
    values = {
        name: float(loss(jax.numpy.asarray(logits), jax.numpy.asarray(x))) for name, loss in LOSSES.items()
    }
    assert values["bce"] == pytest.approx(float(np.mean(-x * np.log(y) - (1 - x) * np.log(1 - y))), rel=1e-5)
    assert values["mse"] == pytest.approx(float(np.mean((y - x) ** 2)), rel=1e-5)
    assert values["l1"] == pytest.approx(float(np.mean(np.abs(y - x))), rel=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objective": "beauty"}, "objective: expected one of rate-distortion, distortion"),
        ({"name": "a/b"}, "name: expected one that a file can have"),
        ({"name": ""}, "name: expected one that a file can have"),
        ({"augment": 1.5}, "augment: expected 0 to 1"),
        ({"lambdas": (1.0,)}, "lambda: expected 0 to 0 values, found 1"),
        ({"objective": "rate-distortion"}, "lambda: expected 1 to 256 values, found 0"),
        ({"objective": "rate-distortion", "lambdas": (2.0, 1.0)}, "lambda: expected rising numbers"),
        ({"objective": "rate-distortion", "lambdas": (0.0, 1.0)}, "lambda: expected positive numbers"),
        ({"architecture": Dense()}, "the dense model is trained for rate and distortion only"),
        (
            {"architecture": Dense(), "objective": "rate-distortion", "lambdas": (1.0, 2.0)},
            "lambda: expected 8, one a quality, found 2",
        ),
        ({"architecture": Residual()}, "the residual model is trained for rate and distortion only"),
        (
            {"architecture": Residual(), "objective": "rate-distortion", "lambdas": (1.0, 2.0)},
            "lambda: expected 8, one a quality, found 2",
        ),
        ({"loss": "huber"}, "loss: expected one of bce, mse, l1"),
        ({"epochs": 0}, "epochs: expected at least 1"),
        ({"batch_size": 0}, "batch_size: expected at least 1"),
        ({"learning_rate": 0.0}, "learning rate: expected a positive number"),
        ({"noise": (0.0, float("nan"))}, "noise: expected 0 or more"),
        ({"noise": 0.5}, "noise: expected the least and the largest, found 0.5"),
        ({"noise": (0.5, 0.2)}, "noise: expected 0 or more, or a rising range, found 0.5:0.2"),
        ({"seed": -1}, "seed: expected 0 to"),
    ],
)
def test_settings_out_of_range_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Settings(**change)  # type: ignore[arg-type]


def images_of(*shape: int, count: int = 60_000) -> NDArray[np.uint8]:
    """Images of which only the shape counts: they take no memory."""
    return np.broadcast_to(np.uint8(0), (count, *shape))


def test_images_of_five_channels_are_refused_by_name() -> None:
    with pytest.raises(DatasetError, match="spectra: expected images of 1 to 4 channels, found 5"):
        settings_for(images_of(4, 4, 5), "spectra")


@pytest.mark.parametrize(
    ("images", "objective", "model", "reason"),
    [
        (
            images_of(28, 28, 1),
            "rate-distortion",
            "dense",
            "60,000 images of 784 values are enough for dense layers",
        ),
        (
            images_of(28, 28, 1, count=3136),
            "rate-distortion",
            "dense",
            "3,136 images of 784 values are enough for dense layers",
        ),
        (
            images_of(28, 28, 1, count=3135),
            "rate-distortion",
            "residual",
            "3,135 images are too few for dense layers, which want 3,136 of this size",
        ),
        (
            images_of(32, 32, 1),
            "rate-distortion",
            "dense",
            "60,000 images of 1,024 values are enough for dense layers",
        ),
        (
            images_of(33, 32, 1),
            "rate-distortion",
            "residual",
            "images of 1,152 values are too large for dense layers, which suit up to 1,024",
        ),
        (
            images_of(32, 32, 3),
            "rate-distortion",
            "residual",
            "images of 3,072 values are too large for dense layers, which suit up to 1,024",
        ),
        (images_of(28, 28, 1), "distortion", "article", "no other is trained for distortion alone"),
    ],
)
def test_the_model_is_chosen_by_the_size_and_number_of_images_and_says_why(
    images: NDArray[np.uint8], objective: str, model: str, reason: str
) -> None:
    assert model_for(images, objective) == (model, reason)
    kinds = {"dense": Dense, "residual": Residual, "article": Convolutional}
    assert type(settings_for(images, "x", objective=objective).architecture) is kinds[model]


def test_small_images_get_the_dense_model_and_large_ones_the_residual() -> None:
    digits = settings_for(images_of(28, 28, 1), "mnist")
    assert digits.architecture == Dense(qualities=10)
    assert (digits.name, digits.objective, digits.batch_size) == ("mnist", "rate-distortion", 128)
    assert (digits.epochs, digits.augment) == (55, 0.3)  # 25,740 steps of 468 an epoch
    assert settings_for(images_of(28, 28, 1, count=54_912), "mnist").epochs == 60
    tiles = settings_for(images_of(30, 32, 3), "tiles/rgb", model="dense")
    assert tiles.name == "tiles-rgb"
    assert isinstance(tiles.architecture, Dense)
    assert (tiles.architecture.rows, tiles.architecture.columns) == (8, 8)
    assert tiles.architecture.image_channels == 3
    photos = settings_for(images_of(256, 256, 3), "photos", objective="distortion")
    assert photos.architecture == Convolutional(image_channels=3)
    bands = settings_for(images_of(40, 1024, 1), "bands", code_channels=1, model="article")
    assert bands.architecture == Convolutional(code_channels=1)
    assert bands.objective == "rate-distortion"
    colour = settings_for(images_of(256, 256, 3, count=10_000), "photos")
    assert colour.architecture == Residual(image_channels=3, code_channels=32, qualities=10)
    assert (colour.batch_size, colour.epochs, colour.augment) == (8, 12, 0.0)
    grey = settings_for(images_of(64, 64, 1, count=10_000), "scans", filters=64, qualities=4)
    assert grey.architecture == Residual(code_channels=16, filters=64, qualities=4)
    assert (grey.batch_size, grey.epochs) == (32, 48)  # 15,000 steps of 312 an epoch


@pytest.mark.parametrize(
    ("side", "count", "batch"),
    [(16, 5000, 128), (32, 5000, 128), (64, 5000, 32), (512, 5000, 8), (64, 20, 20), (512, 3, 3), (8, 1, 1)],
)
def test_batches_of_the_residual_model_are_smaller_for_large_images_and_for_few(
    side: int, count: int, batch: int
) -> None:
    chosen = settings_for(images_of(side, side, 3, count=count), "x", model="residual")
    assert chosen.batch_size == batch
    assert settings_for(images_of(side, side, 3), "x", model="residual", batch_size=77).batch_size == 77


def test_small_sets_are_gone_through_200_times_at_most() -> None:
    few = settings_for(images_of(28, 28, 1, count=500), "x")
    assert isinstance(few.architecture, Residual)
    assert (few.batch_size, few.epochs) == (128, 200)
    assert settings_for(images_of(28, 28, 1, count=500), "x", epochs=300).epochs == 300
    assert settings_for(images_of(28, 28, 1), "x", objective="distortion").epochs == 50


def test_codes_that_are_too_many_for_a_context_model_are_refused() -> None:
    told = (
        "codes of at most 4,096 values with the article's model, found 64x64x32; use --model residual, crop "
        "the images"
    )
    with pytest.raises(OptionError, match=told):
        settings_for(images_of(256, 256, 3), "photos", model="article")


def test_the_articles_recipe_is_its_own() -> None:
    article = settings_for(images_of(28, 28, 1), "mnist", objective="distortion", name="article")
    assert article == Settings(name="article")


def test_the_recipe_of_the_tutorial_on_noisy_digits_is_its_own() -> None:
    denoise = settings_for(images_of(28, 28, 1), "mnist", model="denoise")
    assert denoise.architecture == Upsampling()
    assert (denoise.objective, denoise.loss, denoise.noise) == ("distortion", "bce", (0.5, 0.5))
    assert (denoise.optimiser, denoise.learning_rate) == ("adadelta", 1.0)
    assert (denoise.epochs, denoise.batch_size, denoise.augment) == (10, 128, 0.0)
    named: dict[str, Any] = {"noise": (0.25, 0.25), "optimiser": "adam", "epochs": 3, "learning_rate": None}
    other = settings_for(images_of(28, 28, 1), "mnist", model="denoise", **named)
    assert (other.noise, other.optimiser, other.epochs, other.learning_rate) == (
        (0.25, 0.25),
        "adam",
        3,
        1e-3,
    )
    rated = settings_for(images_of(28, 28, 1), "mnist", model="denoise", objective="rate-distortion")
    assert (rated.optimiser, rated.learning_rate, rated.noise) == ("adam", 2e-3, (0.5, 0.5))
    assert settings_for(images_of(28, 28, 1), "mnist", model="article").noise == (0, 0)


def test_adadelta_takes_the_steps_of_its_equations() -> None:
    adadelta = Distortion(settings_for(images_of(28, 28, 1), "mnist", model="denoise")).optimiser()
    weight = jnp.float32(0.0)
    state = adadelta.init(weight)
    squares = moved = 0.0
    for gradient in (3.0, -0.5, 0.01):
        update, state = adadelta.update(jnp.float32(gradient), state, weight)
        squares = 0.95 * squares + 0.05 * gradient**2
        step = -np.sqrt((moved + 1e-7) / (squares + 1e-7)) * gradient
        moved = 0.95 * moved + 0.05 * step**2
        assert float(update) == pytest.approx(step, rel=1e-4)


def test_lambdas_scale_with_the_size_of_the_images_and_can_be_given() -> None:
    for model in ("dense", "residual", "article"):
        some = (
            settings_for(images_of(side, side, 1), "x", model=model, code_channels=4) for side in (28, 56)
        )
        small, large = (settings.lambdas for settings in some)
        assert large[0] == pytest.approx(4 * small[0])
    small, large = (settings_for(images_of(side, side, 1), "x").lambdas for side in (28, 56))
    assert len(small) == 10
    assert large[0] == pytest.approx(4 * small[0])
    given = settings_for(images_of(28, 28, 1), "x", lambdas=(10.0, 20.0, 70.0))
    assert given.lambdas == (10.0, 20.0, 70.0)
    assert isinstance(given.architecture, Dense)
    assert given.architecture.qualities == 3
    assert spread(1, 16, 5) == (1, 2, 4, 8, 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "vae"}, "model: expected one of dense, residual, article, denoise, found 'vae'"),
        ({"objective": "distortion", "model": "dense"}, "the dense model is trained for rate and distortion"),
        (
            {"objective": "distortion", "model": "residual"},
            "objective: the residual model is trained for rate and distortion only",
        ),
        ({"model": "residual", "filters": 31}, "filters: expected an even number, found 31"),
        ({"model": "residual", "filters": 0}, "filters: expected a whole number from 1 to 1024, found 0"),
        (
            {"model": "residual", "code_channels": 17},
            "code channels: the residual model takes at most 16, the values of 4x4 pixels, found 17",
        ),
        ({"code_channels": 0}, "code_channels: expected a whole number from 1 to 1024, found 0"),
        ({"layers": -1}, "layers: expected a whole number from 1 to 6, found -1"),
        ({"layers": 0}, "layers: expected a whole number from 1 to 6, found 0"),
        ({"layers": 1000}, "layers: expected a whole number from 1 to 6, found 1000"),
        ({"objective": "distortion", "qualities": 4}, "belong to the rate-distortion objective"),
        ({"objective": "beauty"}, "objective: expected one of"),
        ({"lambdas": (1.0, 2.0), "qualities": 3}, "lambda: expected 3, one a quality, found 2"),
        ({"qualities": 1}, "qualities: expected at least 2 over a range of lambda, found 1"),
        (
            {"filters": 8},
            "filters: they belong to the models of convolutions alone: article, denoise and residual",
        ),
        ({"optimiser": "sgd"}, "optimiser: expected one of adam, adadelta, found 'sgd'"),
        (
            {"optimiser": "adadelta"},
            "optimiser: rate and distortion are trained with adam only, found adadelta",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        settings_for(images_of(28, 28, 1), "x", **options)


def test_dense_layers_over_a_photograph_are_refused() -> None:
    told = "dense takes images of at most 16,384 values, found 196,608; use --model residual, or crop the"
    with pytest.raises(OptionError, match=told):
        settings_for(images_of(256, 256, 3), "photos", model="dense")


@pytest.mark.parametrize(("low", "high"), [(2.0, 1.0), (0.0, 1.0), (1.0, float("inf")), (1.0, float("nan"))])
def test_a_range_of_lambda_that_is_none_is_refused(low: float, high: float) -> None:
    with pytest.raises(OptionError, match="lambda: expected a range of positive numbers"):
        spread(low, high, 3)


def test_an_architecture_out_of_range_is_refused() -> None:
    with pytest.raises(OptionError, match="layers: expected a whole number from 1 to 6"):
        Convolutional(layers=7)


def test_tables_follow_the_counts() -> None:
    table = table_from_counts(-2, np.array([1, 0, 97, 2]))
    assert table.low == -2
    assert table.frequencies.sum() == 65536
    assert len(table.frequencies) == 5
    assert table.frequencies.min() >= 1
    assert table.frequencies[2] / 65536 == pytest.approx(0.97, abs=0.001)


def test_one_symbol_alone_makes_a_certain_table() -> None:
    table = table_from_counts(4, np.array([0, 9]))
    assert table.certain
    assert table.low == 5


def test_a_wide_range_keeps_the_symbols_seen_most() -> None:
    counts = np.zeros(20000, np.int64)
    counts[:10] = 1
    counts[12000:12100] = 50
    table = table_from_counts(-5, counts)
    assert len(table.frequencies) == 4096
    assert table.low <= 11995
    assert table.low + table.escape >= 12095
    assert table.frequencies[-1] > 1
