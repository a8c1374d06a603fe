"""Trained weights -> a pair of bundles: quantiser steps and frequency tables, calibrated on training images.

Steps. A channel's codes may be rounded the more coarsely the less the images change with them. With s_c the
mean squared change of the pixels for a unit of white noise on channel c, uniform rounding with step d costs
s_c d^2 / 12 (Bennett 1948), and equal slopes of rate and distortion ask for the same s_c d_c^2 everywhere
(Gersho and Gray 1992, chapter 8): d_c = t / sqrt(s_c). Each quality is one value of t, found by bisection so
that the PSNR on training images meets its target.

Tables. Counts of the symbols of each channel, with every symbol in the range kept possible, and an escape.
"""

from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from codec.architecture import Architecture, Side
from codec.bundle import Bundle, Pair, Weights, weights_digest
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import TrainingError
from codec.evaluation import evaluate, pixel_errors, psnr
from codec.quantise import dequantise, quantise
from codec.synthesis import Synthesis
from codec.tables import TOTAL, Table
from codec.training.data import images_within
from codec.training.settings import Settings

__all__ = ["QUALITIES", "export_pair", "table_from_counts"]

QUALITIES = 8

_RANGE_DB = 10.0
"""PSNR of the float autoencoder less that of the coarsest quality."""
_FINEST_DB = 0.05
"""PSNR of the float autoencoder less that of the finest quality."""
_BEST_DB = 100.0
"""Stands for the infinite PSNR of images that come back without any error."""
_CODE_VALUES = 1 << 25
"""Code values that tables are counted on: 21,000 images of 28x28."""
_PROBE_IMAGES = 1000
_SENSITIVITY_IMAGES = 256
_MEASURED_IMAGES = 5000
_MOST_ENTRIES = 4096
_BISECTIONS = 18


def flatten(parameters: Any, architecture: Architecture, side: Side) -> Weights:
    """Flax parameters of one half as named float32 arrays in the bundle's order."""
    weights: dict[str, NDArray[np.float32]] = {}
    for name in architecture.weight_shapes(side):
        layer, kind = name.rsplit("/", 1)
        weights[name] = np.asarray(parameters[layer][kind], np.float32)
    return weights


def export_pair(
    settings: Settings,
    parameters: dict[str, Any],
    dataset: str,
    training: NDArray[np.uint8],
    validation: NDArray[np.uint8],
    report: Callable[[str], None] = lambda line: None,
) -> tuple[Bundle, Bundle]:
    """The encoder's and the decoder's bundle of trained ``parameters`` {"analysis": ..., "synthesis": ...}.

    Args:
        training: uint8 [N, H, W, C]; steps and tables are calibrated on these.
        validation: rate and distortion of each quality are measured on these and recorded.
        report: told of each stage in a line.
    """
    architecture = settings.architecture
    analysis = flatten(parameters["analysis"], architecture, "encoder")
    synthesis = flatten(parameters["synthesis"], architecture, "decoder")
    height, width = training.shape[1:3]
    channels = architecture.code_channels

    def pair(steps: NDArray[np.float32], tables: tuple[tuple[Table, ...], ...]) -> Pair:
        return Pair(
            architecture,
            height,
            width,
            steps,
            tables,
            weights_digest(analysis),
            weights_digest(synthesis),
        )

    def bundles(pair: Pair, provenance: dict[str, Any]) -> tuple[Bundle, Bundle]:
        return (
            Bundle("encoder", pair, analysis, provenance),
            Bundle("decoder", pair, synthesis, provenance),
        )

    nothing = tuple(() for _ in range(QUALITIES))
    probe = bundles(pair(np.ones((QUALITIES, channels), np.float32), nothing), {})
    float_encoder, float_decoder = Encoder(probe[0]), Decoder(probe[1])

    report("calibrating quantiser steps")
    images = _sample(training, settings)
    codes = float_encoder.codes(images)
    probed = images_within(_PROBE_IMAGES, images.shape)
    steps = _calibrate_steps(float_decoder, images[:probed], codes[:probed], parameters["synthesis"])
    report("counting symbols")
    tables = tuple(_count_tables(codes, row) for row in steps)

    report("measuring")
    final = pair(steps, tables)
    provenance: dict[str, Any] = {
        "name": settings.model,
        "created_by": f"split-codec {version('split-codec')}",
        "dataset": dataset,
        "settings": settings.to_dict(),
        "qualities": [],
    }
    measured = validation[:_MEASURED_IMAGES]
    encoder, decoder = bundles(final, provenance)
    for m in evaluate(Encoder(encoder), Decoder(decoder), measured, range(QUALITIES)):
        provenance["qualities"].append(
            {
                "psnr": round(m.psnr, 3),
                "bytes_per_image": round(m.bytes_per_image, 3),
                "images": f"{len(measured)} validation images of {dataset}",
            }
        )
        report(f"quality {m.quality}: {m.bytes_per_image:.1f} bytes/image, {m.psnr:.2f} dB")
    return bundles(final, provenance)


def _sample(training: NDArray[np.uint8], settings: Settings) -> NDArray[np.uint8]:
    """Training images picked by the seed, as many as their codes fit in ``_CODE_VALUES``."""
    cells = settings.architecture.code_shape(*training.shape[1:3])
    count = min(len(training), max(1, _CODE_VALUES // int(np.prod(cells))))
    picked = np.random.default_rng(settings.seed).permutation(len(training))[:count]
    return training[picked]


def _calibrate_steps(
    decoder: Decoder, images: NDArray[np.uint8], codes: NDArray[np.float32], synthesis: Any
) -> NDArray[np.float32]:
    """Steps float32 [QUALITIES, C] that meet each quality's PSNR on ``images``."""
    height, width = images.shape[1:3]

    def decoded_psnr(values: NDArray[np.float32]) -> float:
        decoded = decoder.images(values, height=height, width=width)
        return psnr(pixel_errors(images, decoded)[0])

    shape = 1 / np.sqrt(_sensitivity(codes, synthesis, decoder.bundle.pair.architecture, images.shape))
    best = min(decoded_psnr(codes), _BEST_DB)
    largest = float((codes.reshape(-1, codes.shape[-1]).max(0) / shape).max())
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
    synthesis = partial(Synthesis(architecture).apply, {"params": parameters})
    _, change = jax.jvp(synthesis, (codes,), (noise,))
    return jnp.mean(jnp.asarray(change) ** 2)


def _sensitivity(
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


def _count_tables(codes: NDArray[np.float32], steps: NDArray[np.float32]) -> tuple[Table, ...]:
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
