"""The spatial prior: what it may see, the integers that it becomes, and pairs of images of any size."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from codec.context_arithmetic import LOG_SCALES
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.images import pad
from codec.logistic import nats
from codec.spatial_context import SpatialPredictor, checkerboard, to_blocks
from codec.training.export import export_pair
from codec.training.integers import logistic_tables
from codec.training.loop import objective_for
from codec.training.settings import Settings, settings_for
from codec.training.spatial_integers import spatial_context
from codec.training.spatial_prior import SpatialPrior, spatial_groups
from tests.conftest import random_spatial_prior
from tests.test_rate_distortion import bits_of
from tests.test_spatial_context import seen_by

GROUPS = (1, 2, 5)
PRIOR = SpatialPrior(GROUPS, 5, 2)
APPLY = jax.jit(PRIOR.apply)
Floats = NDArray[np.float64]


@pytest.mark.parametrize("elements", [4, 8, 12, 16, 64, 128, 1000, 4096])
def test_groups_hold_every_element_once(elements: int) -> None:
    groups = spatial_groups(elements)
    assert sum(groups) == elements
    assert groups[0] == min(groups) == 1
    assert list(groups) == sorted(groups)
    assert len(groups) <= 64


def told(weights: dict[str, Any], symbols: NDArray[Any], quality: int = 0) -> Floats:
    """Means and log scales [2, N, rows, columns, D]."""
    which = jnp.full(len(symbols), quality)
    found = APPLY({"params": weights}, jnp.asarray(symbols, jnp.float32), which)
    return np.stack([np.asarray(values, np.float64) for values in found])


@pytest.mark.parametrize("shape", [(4, 5), (3, 3)])
def test_a_prior_sees_its_neighbourhood_in_earlier_passes_and_nothing_else(shape: tuple[int, int]) -> None:
    weights = jax.tree.map(jnp.asarray, random_spatial_prior(GROUPS, 5, 2, seed=0))
    symbols = jnp.asarray(np.random.default_rng(0).normal(0, 2, (1, *shape, 8)), jnp.float32)

    def both(values: jax.Array) -> jax.Array:
        found: Any = PRIOR.apply({"params": weights}, values, jnp.zeros(1, jnp.int32))
        return jnp.stack(found)[:, 0]

    slopes = np.asarray(jax.jit(jax.jacrev(both))(symbols))[:, :, :, :, 0]
    seen = (slopes != 0).any(0)  # rows, columns, elements; then those of what is seen
    for r, c, element, y, x, other in np.ndindex(seen.shape):
        may = seen_by(GROUPS, element, y - r, x - c, other, (r + c) % 2)
        assert may or not seen[r, c, element, y, x, other]
    allowed = sum(
        seen_by(GROUPS, e, y - r, x - c, o, (r + c) % 2) for r, c, e, y, x, o in np.ndindex(seen.shape)
    )
    assert seen.sum() > 0.95 * allowed


def test_an_odd_grid_is_told_the_same_as_part_of_a_larger_one_with_nothing_beyond() -> None:
    weights = random_spatial_prior(GROUPS, 5, 2, seed=1)
    symbols = np.random.default_rng(1).integers(-5, 6, (3, 5, 3, 8))
    larger = np.pad(symbols, ((0, 0), (0, 1), (0, 3), (0, 0)))
    np.testing.assert_allclose(told(weights, symbols), told(weights, larger)[:, :, :5, :3], atol=1e-5)


def drawn(weights: dict[str, Any], shape: tuple[int, int, int]) -> NDArray[np.int32]:
    """Symbols [2, N, rows, columns, 8] as the prior itself would have them, pass after pass."""
    rng = np.random.default_rng(2)
    symbols = np.zeros((2, *shape, 8), np.int32)
    for quality in range(2):
        start = 0
        for size in GROUPS:
            for parity in (0, 1):
                mean, log_scale = told(weights, symbols[quality], quality)
                draw = np.rint(rng.logistic(mean, np.exp(np.minimum(log_scale, 3))))
                here = np.broadcast_to(checkerboard(*shape[1:]) == parity, shape)
                symbols[quality, here, start : start + size] = draw[here, start : start + size]
            start += size
    return symbols


@pytest.mark.parametrize("shape", [(40, 3, 4), (300, 1, 1), (60, 1, 5)])
def test_the_integers_cost_within_a_percent_of_the_float_prior(shape: tuple[int, int, int]) -> None:
    weights = {name: values / 3 for name, values in random_spatial_prior(GROUPS, 5, 2, seed=3).items()}
    weights["log_scale"] = np.random.default_rng(4).normal(0.3, 0.7, weights["log_scale"].shape)
    symbols = drawn(weights, shape)
    model = spatial_context(weights, GROUPS, 5, symbols, seed=0)
    tables = logistic_tables()[1]
    model.check(len(tables), 2)
    for quality in range(2):
        exact = symbols[quality].astype(np.float32)
        mean, log_scale = told(weights, exact, quality)
        expected = float(
            nats(exact, mean, np.clip(log_scale, LOG_SCALES[0], LOG_SCALES[-1])).sum() / np.log(2)
        )
        predictor, found = SpatialPredictor(model, quality, shape), 0.0
        flat = symbols[quality].reshape(-1, 8)
        for part in predictor.parts():
            index, offsets = predictor.tables()
            found += bits_of(tables, index, flat[part] - offsets)
            predictor.tell(flat[part])
        assert found == pytest.approx(expected, rel=0.01)


def textures(count: int, height: int, width: int, channels: int = 1) -> NDArray[np.uint8]:
    """Images that are smooth at random: waves of any direction."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:height, :width][:, None, :, :, None]
    a, b, phase = rng.uniform(-1, 1, (3, count, 1, 1, channels))
    waves = np.sin(a * y + b * x + 3 * phase) + rng.normal(0, 0.05, (count, height, width, channels))
    images: NDArray[np.uint8] = np.rint(127.5 + 100 * waves.clip(-1.2, 1.2)).astype(np.uint8)
    return images


def small_settings(images: NDArray[np.uint8], **options: Any) -> Settings:
    chosen = {"layers": 1, "filters": 4, "code_channels": 2, "lambdas": (3e2, 1e4), "batch_size": 8}
    return settings_for(images, "textures", model="residual", **{**chosen, **options})


def test_images_of_one_block_make_a_pair_that_takes_any_size() -> None:
    images = textures(12, 4, 3)
    settings = small_settings(images, epochs=1)
    weights = objective_for(settings, 12).initial_weights(pad(images, settings.architecture.alignment))
    encoder, decoder = export_pair(settings, weights, "textures", images, images[:3])
    for height, width in ((4, 4), (1, 1), (13, 30)):
        others = textures(2, height, width)
        packet = Encoder(encoder).encode(others, quality=1)
        assert Decoder(decoder).decode(packet).shape == others.shape
        sent = np.rint(Encoder(encoder).codes(others, quality=1))
        np.testing.assert_array_equal(to_blocks(Decoder(decoder).symbols(packet)), to_blocks(sent))
