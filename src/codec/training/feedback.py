"""What ``codec.rounding`` needs to know of a dense decoder, measured on training images.

A unit of an element changes the unclipped image by a picture that hardly differs from the analysis's own
linear kernel but for its strength; which pixels are clipped shows in their neighbourhood in the original.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from codec.analysis import build_analysis
from codec.architecture import LIVE_CLASSES, Dense
from codec.images import pad, to_float
from codec.rounding import live_classes
from codec.synthesis import build_synthesis
from codec.training.objective import Weights
from codec.training.rate_distortion import elements_of

__all__ = ["measure_feedback"]

_SLOPE_IMAGES = 24
_LIVE_IMAGES = 400
_LEAST_USE = 0.002
_CAUTION = 0.5
"""Of the squared error's weight: the first-order picture of it promises more than the decoder keeps."""


@partial(jax.jit, static_argnums=0)
def _strengths(architecture: Dense, weights: Weights, images: Array, quality: Array) -> Array:
    """How strongly a unit of each element paints its column of the linear kernel, by least squares: [D]."""
    codes = build_analysis(architecture).apply({"params": weights["analysis"]}, images, quality)
    assert isinstance(codes, Array)
    symbols = elements_of(architecture, jnp.round(codes))
    rows, columns, channels = codes.shape[1:]
    kernel = weights["analysis"]["linear"]["kernel"]

    def decoded(symbols: Array) -> Array:
        unused = jnp.zeros((len(symbols), rows * columns * channels - architecture.elements))
        grid = jnp.concatenate([symbols, unused], 1).reshape(-1, channels, rows, columns)
        image = build_synthesis(architecture).apply(
            {"params": weights["synthesis"]}, grid.transpose(0, 2, 3, 1), quality, method="unclipped"
        )
        return jnp.asarray(image).reshape(len(symbols), -1)

    def strength(element: Array) -> Array:
        unit = jnp.zeros_like(symbols).at[:, element].set(1.0)
        _, change = jax.jvp(decoded, (symbols,), (unit,))
        column = kernel[:, element]
        return jnp.asarray((change.mean(0) @ column) / jnp.maximum(column @ column, 1e-12))

    strengths: Array = jax.lax.map(strength, jnp.arange(architecture.elements))
    return strengths


@partial(jax.jit, static_argnums=0)
def _live(architecture: Dense, weights: Weights, images: Array, quality: Array) -> tuple[Array, ...]:
    """For each class of neighbourhood the pixels within 0..1 before clipping, and all; each element's use.

    The use of an element is the part of the images in which it is not zero.
    """
    codes = build_analysis(architecture).apply({"params": weights["analysis"]}, images, quality)
    assert isinstance(codes, Array)
    symbols = jnp.round(codes)
    decoded = jnp.asarray(
        build_synthesis(architecture).apply(
            {"params": weights["synthesis"]}, symbols, quality, method="unclipped"
        )
    )
    classes = live_classes(images).ravel()
    live = ((decoded > 0) & (decoded < 1)).ravel().astype(jnp.float32)
    return (
        jnp.bincount(classes, live, length=LIVE_CLASSES),
        jnp.bincount(classes, length=LIVE_CLASSES),
        (elements_of(architecture, symbols) != 0).mean(0),
    )


def measure_feedback(
    architecture: Dense, weights: Weights, lambdas: tuple[float, ...], images: NDArray[np.uint8]
) -> dict[str, NDArray[np.float32]]:
    """The weights ``gain`` and ``live``, from uint8 training ``images`` [N, H, W, C] in random order.

    Elements that are zero in nearly all images have no gain: steering them would cost time and save nothing.
    """
    pixels = to_float(pad(images[:_LIVE_IMAGES], architecture.alignment))
    gains, live, seen = [], np.zeros(LIVE_CLASSES), np.zeros(LIVE_CLASSES)
    for quality, weight in enumerate(lambdas):
        strengths = _strengths(architecture, weights, pixels[:_SLOPE_IMAGES], quality)
        within, pixel_count, used = map(np.asarray, _live(architecture, weights, pixels, quality))
        live, seen = live + within, seen + pixel_count
        unit = math.sqrt(_CAUTION * weight / architecture.pixels)
        gains.append(np.where(used > _LEAST_USE, unit * np.asarray(strengths), 0))
    share: Any = live / np.maximum(seen, 1)
    # A neighbourhood that was never seen is taken to be live.
    return {"gain": np.stack(gains), "live": np.where(seen > 0, share, 1.0).astype(np.float32)}
