"""Small pairs and images that many tests share. No network is trained for them: random weights will do."""

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from codec.architecture import Architecture, Convolutional, Residual, Side
from codec.bundle import Bundle, Pair, weights_digest
from codec.context import to_elements
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.integer_context import IntegerContext
from codec.quantise import quantise
from codec.samples import sample_images
from codec.spatial_context import to_blocks
from codec.tables import Table
from codec.training.calibration import table_from_counts
from codec.training.checkpoints import Checkpoints
from codec.training.data import Dataset
from codec.training.integers import context_model, logistic_tables
from codec.training.loop import Watcher, train
from codec.training.objective import Weights
from codec.training.prior import Prior
from codec.training.settings import Settings
from codec.training.spatial_integers import spatial_context
from codec.training.spatial_prior import SpatialPrior


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what XLA compiles: runs that differ in their settings alone often compile the same program."""
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("compiled")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def random_weights(architecture: Architecture, side: Side, seed: int) -> dict[str, NDArray[Any]]:
    """Glorot-like random weights, biases included, in the types that a bundle stores."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, 1 / math.sqrt(math.prod(shape[:-1])), shape).astype(
            architecture.weight_dtype(name)
        )
        for name, shape in architecture.weight_shapes(side).items()
    }


def random_pair(
    architecture: Architecture,
    images: NDArray[np.uint8],
    seed: int = 0,
    qualities: int = 3,
    groups: tuple[int, ...] = (),
) -> tuple[Bundle, Bundle]:
    """A whole pair with random weights, and tables made for the codes of ``images``.

    Args:
        groups: of a context model with random weights, a spatial one of a residual architecture; none is
            tables counted by channel.
    """
    analysis = random_weights(architecture, "encoder", seed)
    synthesis = random_weights(architecture, "decoder", seed + 1)
    digests = weights_digest(analysis), weights_digest(synthesis)
    height, width = images.shape[1:3]
    channels = architecture.code_channels
    ones = np.ones((qualities, channels), np.float32)
    probe = Encoder(
        Bundle("encoder", Pair(architecture, height, width, ones, ((),) * qualities, *digests), analysis)
    )
    codes = [probe.codes(images, quality=quality) for quality in range(qualities)]
    scale = max(float(codes[0].std()), 1e-3)
    steps = np.stack([np.full(channels, scale * 0.5**q, np.float32) for q in range(qualities)])
    symbols = [quantise(some, row) for some, row in zip(codes, steps, strict=True)]
    context: IntegerContext | None = None
    tables: tuple[tuple[Table, ...], ...]
    if groups and isinstance(architecture, Residual):
        blocks = np.stack([to_blocks(some) for some in symbols])
        tables = (logistic_tables()[1],)
        prior = random_spatial_prior(groups, 5, qualities, seed + 2)
        context = spatial_context(prior, groups, 5, blocks, seed)
    elif groups:
        elements = np.stack([to_elements(some, sum(groups)) for some in symbols])
        tables = (logistic_tables()[1],)
        context = context_model(random_prior(groups, 5, qualities, seed + 2), groups, 5, elements)
    else:
        tables = tuple(
            tuple(count_table(some[..., channel].ravel()) for channel in range(channels)) for some in symbols
        )
    pair = Pair(architecture, height, width, steps, tables, *digests, context)
    provenance = {"name": "random", "seed": seed}
    return Bundle("encoder", pair, analysis, provenance), Bundle("decoder", pair, synthesis, provenance)


def small_pair_of(seed: int) -> tuple[Bundle, Bundle]:
    """A pair of few weights for grey images of 8x8: codes of 4x4x3."""
    images = np.random.default_rng(5).integers(0, 256, (50, 8, 8, 1), np.uint8)
    return random_pair(Convolutional(code_channels=3, layers=1, filters=4), images, seed)


def count_table(symbols: NDArray[np.int32]) -> Table:
    low = int(symbols.min())
    return table_from_counts(low, np.bincount(symbols - low))


def random_prior(groups: tuple[int, ...], units: int, qualities: int, seed: int) -> dict[str, Any]:
    """A prior whose every parameter is drawn at random, so that nothing in it is idle."""
    return _random(Prior(groups, units, qualities), (1, sum(groups)), seed)


def random_spatial_prior(groups: tuple[int, ...], units: int, qualities: int, seed: int) -> dict[str, Any]:
    """The same of a spatial prior."""
    return _random(SpatialPrior(groups, units, qualities), (1, 2, 2, sum(groups)), seed)


def _random(prior: Prior | SpatialPrior, symbols: tuple[int, ...], seed: int) -> dict[str, Any]:
    shapes = jax.eval_shape(prior.init, jax.random.key(0), jnp.zeros(symbols), jnp.zeros(1, int))
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.3, leaf.shape) for name, leaf in shapes["params"].items()}


def same(one: Weights, other: Weights) -> bool:
    return all(
        np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


def trained(
    settings: Settings, data: Dataset, folder: Path, *, resume: bool = False, watcher: Watcher | None = None
) -> Weights:
    checkpoints = Checkpoints(folder, {}, resume=resume)
    try:
        return train(settings, data, checkpoints, resume=resume, watcher=watcher)
    finally:
        checkpoints.close()


@pytest.fixture(scope="session")
def digits() -> NDArray[np.uint8]:
    """The hundred digits in the package, uint8 [100, 28, 28, 1]."""
    return sample_images()


@pytest.fixture(scope="session")
def small_bundles() -> tuple[Bundle, Bundle]:
    """A pair of few weights for grey images of 8x8: codes of 4x4x3."""
    return small_pair_of(0)


@pytest.fixture(scope="session")
def small_pair(small_bundles: tuple[Bundle, Bundle]) -> tuple[Encoder, Decoder]:
    """``small_bundles``, loaded."""
    return Encoder(small_bundles[0]), Decoder(small_bundles[1])
