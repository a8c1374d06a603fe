"""The spatial prior: what it may see, the integers that it becomes, and pairs of images of any size."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from codec.context_arithmetic import LOG_SCALES
from codec.logistic import nats
from codec.spatial_context import SpatialPredictor, checkerboard
from codec.training.integers import logistic_tables
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
