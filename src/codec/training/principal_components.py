"""Where a model's linear paths start: at the principal components of the training images or their blocks."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from codec.architecture import Dense, Residual
from codec.layers import space_to_depth
from codec.training.data import Images
from codec.training.objective import Weights

__all__ = ["start_from_principal_components"]

_IMAGES = 14_000
"""More would hardly move the components."""
_BLOCKS = 200_000
_BLOCKS_READ = 4 * _BLOCKS
"""They are picked from images of so many, so that large ones are not all in memory once more."""


def start_from_principal_components(
    weights: Weights, architecture: Dense | Residual, images: Images, steps: np.ndarray
) -> None:
    """Set the linear paths to principal components, with gains and scales that suit each quality's step.

    A component whose deviation is far below the step shrinks towards zero, and the synthesis applies Wiener's
    factor to what arrives. The other paths start small.
    """
    count = _IMAGES
    if isinstance(architecture, Residual):
        count = max(1, min(count, _BLOCKS_READ * architecture.pixels // math.prod(images.shape[1:])))
    some = images[:: max(1, len(images) // count)]
    if isinstance(architecture, Residual):
        blocks = jnp.asarray(some)
        for _ in range(architecture.layers + 1):
            blocks = space_to_depth(blocks)
        some = np.asarray(blocks).reshape(-1, architecture.pixels)
        some = some[:: max(1, len(some) // _BLOCKS)]
    pixels = some.reshape(-1, architecture.pixels).astype(np.float64) / 255
    mean = pixels.mean(0)
    variances, vectors = np.linalg.eigh(np.cov((pixels - mean).T, bias=True))
    largest = np.argsort(-variances)[: architecture.elements]
    components = vectors[:, largest]
    # The sign of an eigenvector is the solver's whim; this one does not depend on it.
    components *= np.where(components[np.abs(components).argmax(0), np.arange(len(largest))] < 0, -1, 1)
    deviations = np.sqrt(np.maximum(variances[largest], 1e-8))
    steps = steps[:, None]
    log_gain = -np.log(steps) - 0.5 * np.log1p((0.35 * steps / deviations) ** 2)
    wiener = 1 / (1 + (np.exp(-log_gain) / deviations) ** 2 / 12)
    analysis, synthesis, prior = weights["analysis"], weights["synthesis"], weights["prior"]

    def put(tree: Any, name: str, value: Any) -> None:
        assert tree[name].shape == value.shape
        tree[name] = jnp.asarray(value, jnp.float32)

    put(analysis["linear"], "kernel", components)
    put(analysis["codes"], "bias", np.tile(-(mean @ components), (len(steps), 1)))
    put(analysis["codes"], "log_gain", log_gain)
    last = "dense_2" if isinstance(architecture, Dense) else "elements"
    put(analysis[last], "kernel", 0.1 * analysis[last]["kernel"])
    put(synthesis["linear"], "kernel", components.T)
    put(synthesis["linear"], "bias", mean)
    put(synthesis["codes"], "log_gain", -log_gain + np.log(wiener))
    if isinstance(architecture, Dense):
        outermost = synthesis[f"convolution_{architecture.layers - 1}"]
        put(outermost, "kernel", 0.1 * outermost["kernel"])
    scales = np.maximum(np.log(deviations * np.exp(log_gain) / 2), -1.5)
    put(prior, "log_scale", np.broadcast_to(scales, prior["log_scale"].shape))
    if "log_gain_in" in prior:
        put(prior, "log_gain_in", -log_gain)
        put(prior, "log_gain_out", log_gain)
