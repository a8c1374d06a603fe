"""Quantiser steps and tables for codes that were trained for distortion alone, found on training images.

Steps. A channel's codes may be rounded the more coarsely the less the images change with them. With s_c the
mean squared change of the pixels for a unit of white noise on channel c, uniform rounding with step d costs
s_c d^2 / 12 (Bennett 1948), and equal slopes of rate and distortion ask for the same s_c d_c^2 everywhere
(Gersho and Gray 1992, chapter 8): d_c = t / sqrt(s_c). Each quality is one value of t, found by bisection so
that the PSNR on training images meets its target.

Tables. Counts of the symbols of each channel, with every symbol in the range kept possible, and an escape.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from codec.architecture import Architecture
from codec.decoder import Decoder
from codec.errors import TrainingError
from codec.evaluation import pixel_errors, psnr
from codec.quantise import dequantise, quantise
from codec.synthesis import build_synthesis
from codec.tables import TOTAL, Table
from codec.training.data import images_within

__all__ = ["QUALITIES", "calibrate_steps", "count_tables", "sensitivity", "table_from_counts"]

QUALITIES = 8

_RANGE_DB = 10.0
"""PSNR of the float autoencoder less that of the coarsest quality."""
_FINEST_DB = 0.05
"""PSNR of the float autoencoder less that of the finest quality."""
_BEST_DB = 100.0
"""Stands for the infinite PSNR of images that come back without any error."""
_SENSITIVITY_IMAGES = 256
_MOST_ENTRIES = 4096
_BISECTIONS = 18


def calibrate_steps(
    decoder: Decoder, images: NDArray[np.uint8], codes: NDArray[np.float32], synthesis: Any
) -> NDArray[np.float32]:
    """Steps float32 [QUALITIES, C] that meet each quality's PSNR on ``images``."""
    height, width = images.shape[1:3]

    def decoded_psnr(values: NDArray[np.float32]) -> float:
        decoded = decoder.images(values, height=height, width=width)
        return psnr(pixel_errors(images, decoded)[0])

    shape = 1 / np.sqrt(sensitivity(codes, synthesis, decoder.bundle.pair.architecture, images.shape))
    best = min(decoded_psnr(codes), _BEST_DB)
    largest = float((np.abs(codes).reshape(-1, codes.shape[-1]).max(0) / shape).max())
    if largest == 0:
        raise TrainingError("export: every code of the training images is zero; lower --learning-rate")
    rows = []
    for target in np.linspace(best - _RANGE_DB, best - _FINEST_DB, QUALITIES):
        low, high = np.log(largest) - 12, np.log(largest) + 1
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            steps = (np.exp(middle) * shape).astype(np.float32)
            enough = decoded_psnr(dequantise(quantise(codes, steps), steps)) >= target
            low, high = (middle, high) if enough else (low, middle)
        rows.append((np.exp(low) * shape).astype(np.float32))
    return np.stack(rows)


@partial(jax.jit, static_argnums=0)
def _response(architecture: Architecture, parameters: Any, codes: jax.Array, noise: jax.Array) -> jax.Array:
    """Mean squared change of the pixels along ``noise``, to first order."""
    synthesis = partial(build_synthesis(architecture).apply, {"params": parameters})
    # A product with the Jacobian by pulling back twice: layers with a gradient of their own have no other.
    images, pull = jax.vjp(synthesis, codes)
    _, push = jax.vjp(lambda cotangent: pull(cotangent)[0], jnp.zeros_like(jnp.asarray(images)))
    (change,) = push(noise)
    return jnp.mean(jnp.asarray(change) ** 2)


def sensitivity(
    codes: NDArray[np.float32],
    parameters: Any,
    architecture: Architecture,
    decoded_shape: tuple[int, ...],
) -> NDArray[np.float64]:
    """Mean squared change of the pixels for unit white noise on each channel: float64 [C], positive.

    A channel that changes nothing gets the least of the others', so that its step stays finite.
    """
    some = codes[: images_within(_SENSITIVITY_IMAGES, decoded_shape)]
    signs = np.random.default_rng(0).choice(np.array([-1, 1], np.float32), some.shape)
    channels = some.shape[-1]
    response: NDArray[np.float64] = np.array(
        [
            float(_response(architecture, parameters, some, signs * np.eye(channels, dtype=np.float32)[c]))
            for c in range(channels)
        ]
    )
    alive = response[response > 0]
    floor = float(alive.min()) if len(alive) else 1.0
    return np.where(response > 0, response, floor)


def count_tables(codes: NDArray[np.float32], steps: NDArray[np.float32]) -> tuple[Table, ...]:
    """A table for each channel of float32 ``codes`` [..., C] under ``steps`` [C]."""
    symbols = quantise(codes, steps)
    tables = []
    for channel in range(symbols.shape[-1]):
        values = symbols[..., channel].ravel()
        low = int(values.min())
        tables.append(table_from_counts(low, np.bincount(values - low)))
    return tuple(tables)


def table_from_counts(low: int, counts: NDArray[np.int64]) -> Table:
    """A table for symbols seen ``counts`` times each, from ``low`` upwards.

    One symbol alone makes a certain table. Otherwise at most 4,096 neighbouring symbols, those seen most, get
    a frequency of at least 1; the rest, and all never seen, are left to the escape.
    """
    if np.count_nonzero(counts) == 1:
        return Table(low + int(np.flatnonzero(counts)[0]), np.zeros(0, np.int64))
    total = int(counts.sum())
    width = min(len(counts), _MOST_ENTRIES - 1)
    inside = np.convolve(counts, np.ones(width, np.int64), "valid") if width < len(counts) else [total]
    start = int(np.argmax(inside))
    window = counts[start : start + width]
    weights = np.append(window, total - int(window.sum())).astype(np.int64)
    spare = TOTAL - len(weights)
    frequencies = 1 + weights * spare // total
    frequencies[np.argmax(frequencies)] += TOTAL - int(frequencies.sum())
    return Table(low + start, frequencies)
