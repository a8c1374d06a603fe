"""Training for rate and distortion: the prior, its integers, the three phases, and pairs made from it."""

import io
import json
import os
import re
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

import codec
from codec.architecture import Convolutional, Dense, Residual, Side
from codec.bundle_reader import read_bundle
from codec.context import Predictor
from codec.context_arithmetic import LOG_SCALES
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.evaluation import evaluate
from codec.images import pad
from codec.logistic import nats
from codec.spatial_context import to_blocks
from codec.tables import TOTAL
from codec.training.data import Dataset
from codec.training.integers import context_model, logistic_tables, rounded_weights
from codec.training.loop import InterruptedRunError, Watcher, objective_for
from codec.training.objective import Weights
from codec.training.principal_components import start_from_principal_components
from codec.training.prior import Prior, default_groups, on_grid
from codec.training.rate_distortion import RateDistortion
from codec.training.run import run
from codec.training.settings import Settings
from codec.training.step import State
from tests.conftest import random_prior, same, trained

LAMBDAS = (5e3, 5e4, 5e5)
SMALL = Dense(filters=(6, 8), units=24, elements=40, qualities=3)
SETTINGS = Settings(
    name="small",
    objective="rate-distortion",
    architecture=SMALL,
    lambdas=LAMBDAS,
    epochs=8,
    batch_size=16,
    learning_rate=2e-3,
    augment=0.3,
    seed=5,
)
CONVOLUTIONAL = replace(SETTINGS, architecture=Convolutional(code_channels=4, filters=6))
RESIDUAL = replace(
    SETTINGS, architecture=Residual(code_channels=2, filters=8, blocks=1, qualities=3), augment=0.0
)
BOTH = pytest.mark.parametrize("settings", [SETTINGS, CONVOLUTIONAL], ids=["dense", "convolutional"])
# The fewer codes a block has, the less there is to compile.
TINY = replace(RESIDUAL, architecture=Residual(code_channels=1, filters=8, blocks=1, qualities=3))
EACH = pytest.mark.parametrize(
    "settings", [SETTINGS, CONVOLUTIONAL, TINY], ids=["dense", "convolutional", "residual"]
)


@pytest.fixture(scope="module")
def data() -> Dataset:
    digits = codec.samples.sample_images()
    return Dataset("digits", digits[10:], digits[:10])


class Stops(Watcher):
    """Sends SIGINT in one step; keeps what the weights were before some others."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, batch: int, state: State, images_per_s: float) -> None:
        if int(state.step) == self.step:
            os.kill(os.getpid(), signal.SIGINT)


@BOTH
def test_a_run_stopped_in_any_phase_goes_on_exactly(
    settings: Settings, data: Dataset, tmp_path: Path
) -> None:
    whole = trained(settings, data, tmp_path / "whole")
    steps = settings.epochs * (len(data.training) // settings.batch_size)
    settled = next(s for s in range(steps) if RateDistortion(settings, steps).phase(s) == "settled")
    resume = False
    for stop in (steps // 2 + 1, settled):
        with pytest.raises(InterruptedRunError):
            trained(settings, data, tmp_path / "cut", resume=resume, watcher=Stops(stop))
        resume = True
    assert same(whole, trained(settings, data, tmp_path / "cut", resume=True))


def test_the_phases_follow_each_other_and_fill_the_run() -> None:
    objective = RateDistortion(SETTINGS, 200)
    phases = [objective.phase(step) for step in range(200)]
    assert phases == ["noise"] * 100 + ["straight-through"] * 70 + ["settled"] * 30


def test_the_settled_phase_starts_from_the_average_and_leaves_the_analysis_alone(data: Dataset) -> None:
    objective = RateDistortion(SETTINGS, 100)
    weights = objective.initial_weights(data.training)
    optimiser = objective.optimiser()
    state = optimiser.init(weights)
    gradients = jax.tree.map(jnp.ones_like, weights)
    update = jax.jit(optimiser.update)
    for _ in range(3):
        updates, state = update(gradients, state, weights)
        weights = jax.tree.map(jnp.add, weights, updates)
    average = objective.trained(weights, state)
    assert not same(average, weights)
    entered, fresh = objective.enter(85, weights, state)
    assert same(entered, average)
    assert int(fresh[3].count) == 3
    assert objective.enter(84, weights, state)[0] is weights
    images = jnp.asarray(data.training[:16], jnp.float32) / 255
    key = jax.random.key(0)
    slopes = jax.jit(jax.grad(lambda w: objective.loss("settled", w, images, images, key)[0]))(entered)
    moved = {part: any(np.any(leaf) for leaf in jax.tree.leaves(tree)) for part, tree in slopes.items()}
    assert moved == {"analysis": False, "synthesis": True, "prior": True}


@EACH
def test_an_exported_pair_costs_what_the_prior_estimates(
    settings: Settings, data: Dataset, tmp_path: Path
) -> None:
    lines: list[str] = []
    console = Console(file=io.StringIO(), width=200)
    console.print = lambda text="", **_: lines.append(str(text))  # type: ignore[method-assign]
    many = Dataset(data.name, data.training, np.concatenate([data.training] * 8))
    paths = run(settings, many, tmp_path, resume=False, console=console)
    told = [line for line in lines if line.startswith("quality ")]
    assert len(told) == 3
    encoder, decoder = (read_bundle(path.read_bytes()) for path in paths)
    assert encoder.pair.context is not None
    assert encoder.pair.digest == decoder.pair.digest
    figures = encoder.provenance["qualities"]
    for line, found, weight in zip(told, figures, LAMBDAS, strict=True):
        assert re.search(
            r"bytes/image, [\d.]+ dB; the prior's estimate is [\d.]+ bytes \([+-]\d\.\d%\)", line
        )
        assert found["lambda"] == weight
        # A prior after forty steps is far from its data, so that rounding it costs more than it will later.
        assert found["bytes_per_image"] == pytest.approx(found["estimated_bytes_per_image"], rel=0.04)
    measured = list(evaluate(Encoder(encoder), Decoder(decoder), many.validation, range(3)))
    assert [round(m.psnr, 3) for m in measured] == [found["psnr"] for found in figures]
    if (
        settings is not CONVOLUTIONAL
    ):  # from principal components on; the other has learned too little to be in order
        assert [m.bytes_per_image for m in measured] == sorted(m.bytes_per_image for m in measured)
        assert [m.psnr for m in measured] == sorted(m.psnr for m in measured)
    epochs = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert epochs[-1]["validation"]["loss"] < 0.99 * epochs[0]["validation"]["loss"]


@BOTH
def test_training_lowers_the_loss_from_its_start(settings: Settings, data: Dataset, tmp_path: Path) -> None:
    objective = objective_for(settings, len(data.training))
    padded = pad(data.training, settings.architecture.alignment)
    images = jnp.asarray(padded, jnp.float32) / 255

    def loss(weights: Weights) -> float:
        return objective.figures(np.asarray(objective.validate(weights, images, images))).loss

    before = loss(objective.initial_weights(padded))
    assert loss(trained(settings, data, tmp_path)) < 0.99 * before


def test_a_dense_model_starts_as_principal_components(data: Dataset) -> None:
    weights = RateDistortion(SETTINGS, 10).initial_weights(data.training)
    components = np.asarray(weights["analysis"]["linear"]["kernel"])
    np.testing.assert_allclose(components.T @ components, np.eye(SMALL.elements), atol=1e-4)
    np.testing.assert_array_equal(weights["synthesis"]["linear"]["kernel"], components.T)
    np.testing.assert_allclose(
        weights["synthesis"]["linear"]["bias"], data.training.reshape(90, -1).mean(0) / 255, atol=1e-5
    )


def test_a_residual_model_starts_as_principal_components_of_blocks(data: Dataset) -> None:
    architecture = RESIDUAL.architecture
    assert isinstance(architecture, Residual)
    images = pad(data.training, architecture.alignment)
    weights: Weights = {"prior": {name: np.zeros((3, 8)) for name in ("log_gain_in", "log_gain_out")}}
    weights["prior"]["log_scale"] = np.zeros((2, 3, 8))
    sides: dict[str, Side] = {"analysis": "encoder", "synthesis": "decoder"}
    for part, side in sides.items():
        weights[part] = {}
        for name, shape in architecture.weight_shapes(side).items():
            weights[part].setdefault(name.split("/")[0], {})[name.split("/")[1]] = np.zeros(shape)
    start_from_principal_components(weights, architecture, images, np.array([0.5, 0.1, 0.02]))
    components = np.asarray(weights["analysis"]["linear"]["kernel"])
    np.testing.assert_allclose(components.T @ components, np.eye(8), atol=1e-4)
    np.testing.assert_array_equal(weights["synthesis"]["linear"]["kernel"], components.T)
    blocks = to_blocks(to_blocks(to_blocks(images))).reshape(-1, 64) / 255
    np.testing.assert_allclose(weights["synthesis"]["linear"]["bias"], blocks.mean(0), atol=1e-5)
    variances = np.linalg.eigvalsh(np.cov(blocks.T, bias=True))[::-1][:8]
    np.testing.assert_allclose(((blocks - blocks.mean(0)) @ components).var(0), variances, rtol=1e-3)
    gains = np.exp(np.asarray(weights["analysis"]["codes"]["log_gain"], np.float64))
    assert (np.diff(gains, axis=0) > 0).all()
    # What is far above the step keeps its size there and back; what drowns in it shrinks.
    kept = gains * np.exp(np.asarray(weights["synthesis"]["codes"]["log_gain"]))
    assert (kept < 1).all()
    assert (np.diff(kept, axis=0) > 0).all()
    assert kept[-1, 0] > 0.99


def test_the_rate_is_the_logistics_mass_of_each_integer() -> None:
    symbols = np.arange(-20.0, 21.0)[:, None]
    means = np.array([0.0, 0.3, -2.7, 5.0])
    for log_scale in (-3.0, -1.0, 0.5, 2.0):
        edges = np.concatenate([symbols - 0.5, symbols[-1:] + 0.5])
        cumulative = 0.5 * (1 + np.tanh((edges - means) / np.exp(log_scale) / 2))
        rate = nats(jnp.asarray(symbols), jnp.asarray(means), jnp.float32(log_scale))
        found = np.exp(-np.asarray(rate, np.float64))
        np.testing.assert_allclose(found, np.diff(cumulative, axis=0), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("elements", [1, 2, 3, 5, 40, 392, 1568, 5000])
def test_groups_hold_every_element_once_and_grow(elements: int) -> None:
    groups = default_groups(elements)
    assert sum(groups) == elements
    assert min(groups) >= 1
    assert list(groups) == sorted(groups)
    assert len(groups) <= 64


def test_the_prior_of_a_group_looks_at_the_groups_before_it_alone() -> None:
    groups = (2, 3, 4)
    prior, weights = Prior(groups, 5, 2), random_prior(groups, 5, 2, seed=0)
    quality = jnp.zeros(1, jnp.int32)

    def told(symbols: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([np.asarray(x) for x in prior.apply({"params": weights}, symbols, quality)])[:, 0]

    symbols = np.random.default_rng(0).normal(0, 3, (1, 9))
    ends = np.cumsum(groups)
    for group, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        changed = symbols.copy()
        changed[0, start:end] += 1
        difference = (told(changed) != told(symbols)).any(0)
        assert not difference[:end].any()
        assert difference[end:].all() or group == len(groups) - 1


def bits_of(
    tables: Sequence[codec.tables.Table], index: NDArray[np.uint16], entries: NDArray[np.int32]
) -> float:
    total = 0.0
    for number, entry in zip(index.ravel(), entries.ravel(), strict=True):
        table = tables[int(number)]
        place = int(entry) - table.low
        inside = 0 <= place < table.escape
        total += float(table.bits[place]) if inside else float(table.bits[-1]) + 16
    return total


@pytest.mark.parametrize("groups", [(6, 10, 24), (40,)])
def test_the_integers_cost_within_a_percent_of_the_float_prior(groups: tuple[int, ...]) -> None:
    qualities, units = 2, 12
    rng = np.random.default_rng(1)
    weights = {name: values / 3 for name, values in random_prior(groups, units, qualities, seed=1).items()}
    weights["log_scale"] = rng.normal(0.3, 0.7, weights["log_scale"].shape)
    prior = Prior(groups, units, qualities)
    symbols = np.zeros((qualities, 300, sum(groups)), np.int32)
    # Symbols as the prior itself would have them, group after group.
    for quality in range(qualities):
        which, start = jnp.full(300, quality), 0
        for size in groups:
            told = prior.apply({"params": weights}, jnp.asarray(symbols[quality], jnp.float32), which)
            mean, log_scale = (np.asarray(values)[:, start : start + size] for values in told)
            draw = rng.logistic(mean, np.exp(np.minimum(log_scale, 4)))
            symbols[quality, :, start : start + size] = np.rint(draw)
            start += size
    model = context_model(weights, groups, units, symbols)
    tables = logistic_tables()[1]
    model.check(len(tables), qualities)
    for quality in range(qualities):
        exact = jnp.asarray(symbols[quality], jnp.float32)
        told = prior.apply({"params": weights}, exact, jnp.full(300, quality))
        expected = float(nats(exact, *told).sum() / np.log(2))
        predictor, found, start = Predictor(model, quality, 300), 0.0, 0
        for size in groups:
            index, offsets = predictor.tables()
            part = symbols[quality, :, start : start + size]
            found += bits_of(tables, index, part - offsets)
            predictor.tell(part)
            start += size
        assert found == pytest.approx(expected, rel=0.01)


def test_rounded_weights_keep_the_sums_far_better_than_plain_rounding() -> None:
    rng = np.random.default_rng(2)
    # Values with a mean and with much in common, as the codes of a network with ReLUs have.
    values = np.rint(np.maximum(rng.normal(20, 10, (500, 1)) + rng.normal(10, 20, (500, 60)), 0))
    values[:, 7] = 0
    weights = rng.normal(0, 3, (60, 9))
    weights[3, 2] = 200
    found = rounded_weights(weights, values.T @ values / len(values))
    assert np.abs(found).max() <= 127
    np.testing.assert_array_equal(found, np.rint(found))
    np.testing.assert_array_equal(found[7], np.rint(weights[7]))
    plain = np.rint(weights).clip(-127, 127)
    fitting = np.arange(9) != 2
    errors = [np.square(values @ (w - weights)[:, fitting]).mean() for w in (found, plain)]
    assert errors[0] < errors[1] / 3


def test_rounded_weights_never_exceed_what_a_float32_sums_exactly() -> None:
    rows = 1100
    limit = (2**24 - 1) / 127
    weights = np.full((rows, 2), limit / rows - 0.5)
    weights[:, 1] = 0.4
    found = rounded_weights(weights, np.eye(rows) + 1)
    assert (127 * np.abs(found).sum(0) < 2**24).all()


def test_means_and_scales_on_the_grid_are_those_of_tables_and_let_gradients_through() -> None:
    means, scales = jnp.array([0.03, 0.04, -1.22]), jnp.array([-3.0, -2.93, 4.875])
    on = on_grid(means, scales)
    np.testing.assert_allclose(on[0], [0, 1 / 16, -1.25])
    np.testing.assert_allclose(on[1], [-3, -2.875, 4.875])
    slopes = jax.grad(lambda m, s: sum(map(jnp.sum, on_grid(m, s))), argnums=(0, 1))(means, scales)
    assert all((np.asarray(slope) == 1).all() for slope in slopes)


def test_the_tables_are_logistics_with_narrow_supports() -> None:
    index, tables = logistic_tables()
    assert index.shape == (len(LOG_SCALES), 16)
    assert set(index.ravel()) == set(range(len(tables)))
    assert all(table.frequencies.sum() == TOTAL and table.frequencies.min() >= 1 for table in tables)
    for scale in (0, 20, 40, 60):
        for part in (0, 5, 15):
            table = tables[index[scale, part]]
            values = table.low + np.arange(table.escape)
            mean = float(values @ table.frequencies[:-1]) / TOTAL
            width = float(np.exp(LOG_SCALES[scale]))
            if scale >= 20:
                assert abs(mean - part / 16) < 0.02 + width / 3
                deviation = np.sqrt(float((values - mean) ** 2 @ table.frequencies[:-1]) / TOTAL)
                assert deviation == pytest.approx(width * np.pi / np.sqrt(3), rel=0.1)


def test_every_quality_is_trained_as_often_as_the_others() -> None:
    objective = RateDistortion(SETTINGS, 10)
    images = jnp.zeros((16, 28, 28, 1))
    weights = objective.initial_weights(np.zeros((20, 28, 28, 1), np.uint8))
    for seed in range(5):
        _, sums = objective.loss("noise", weights, images, images, jax.random.key(seed))
        assert sorted(np.asarray(sums[:3])) == [5, 5, 6]
