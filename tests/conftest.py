"""Small pairs and images that many tests share. No network is trained for them: random weights will do."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from codec.architecture import Architecture, Side
from codec.bundle import Bundle, Pair, weights_digest
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.quantise import quantise
from codec.samples import sample_images
from codec.training.export import table_from_counts


def random_weights(architecture: Architecture, side: Side, seed: int) -> dict[str, NDArray[np.float32]]:
    """Glorot-like random weights, biases included."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, 1 / math.sqrt(math.prod(shape[:-1])), shape).astype(np.float32)
        for name, shape in architecture.weight_shapes(side).items()
    }


def random_pair(
    architecture: Architecture, images: NDArray[np.uint8], seed: int = 0, qualities: int = 3
) -> tuple[Bundle, Bundle]:
    """A whole pair with random weights, and tables counted on the codes of ``images``."""
    analysis = random_weights(architecture, "encoder", seed)
    synthesis = random_weights(architecture, "decoder", seed + 1)
    digests = weights_digest(analysis), weights_digest(synthesis)
    height, width = images.shape[1:3]
    channels = architecture.code_channels
    ones = np.ones((1, channels), np.float32)
    probe = Pair(architecture, height, width, ones, ((),), *digests)
    codes = Encoder(Bundle("encoder", probe, analysis)).codes(images)
    scale = max(float(codes.std()), 1e-3)
    steps = np.stack([np.full(channels, scale * 0.5**q, np.float32) for q in range(qualities)])
    tables = []
    for row in steps:
        symbols = quantise(codes, row).reshape(-1, channels).T
        low = [int(values.min()) for values in symbols]
        tables.append(
            tuple(
                table_from_counts(least, np.bincount(values - least))
                for least, values in zip(low, symbols, strict=True)
            )
        )
    pair = Pair(architecture, height, width, steps, tuple(tables), *digests)
    provenance = {"name": "random", "seed": seed}
    return Bundle("encoder", pair, analysis, provenance), Bundle("decoder", pair, synthesis, provenance)


@pytest.fixture(scope="session")
def digits() -> NDArray[np.uint8]:
    """The hundred digits in the package, uint8 [100, 28, 28, 1]."""
    return sample_images()


@pytest.fixture(scope="session")
def small_bundles() -> tuple[Bundle, Bundle]:
    """A pair of few weights for grey images of 8x8: codes of 4x4x3."""
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (50, 8, 8, 1), np.uint8)
    return random_pair(Architecture(code_channels=3, layers=1, filters=4), images)


@pytest.fixture(scope="session")
def small_pair(small_bundles: tuple[Bundle, Bundle]) -> tuple[Encoder, Decoder]:
    """``small_bundles``, loaded."""
    return Encoder(small_bundles[0]), Decoder(small_bundles[1])
