"""A trained spatial prior as integers, pass by pass; ``codec.training.integers`` tells how."""

from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.context_arithmetic import INPUT_SHIFT
from codec.spatial_context import SIDES, TAPS, SpatialContext, checkerboard
from codec.training.integers import (
    HiddenLayer,
    input_scales,
    logistic_tables,
    mean_products,
    output_biases,
    output_integers,
    rounded_weights,
)

__all__ = ["spatial_context"]

_BLOCKS = 4000
"""Blocks looked at for each parity and quality."""

Floats = NDArray[np.float64]


def spatial_context(
    prior: dict[str, Any], groups: tuple[int, ...], units: int, symbols: NDArray[np.int32], seed: int
) -> SpatialContext:
    """The integers of a trained ``codec.training.spatial_prior.SpatialPrior``.

    Args:
        prior: its parameters.
        groups, units: its shape.
        symbols: int32 [qualities, N, rows, columns, D], to find the ranges of inputs and hidden units on.
        seed: picks the blocks among them.
    """
    p = {name: np.asarray(values, np.float64) for name, values in prior.items()}
    gain = np.exp(p["log_gain_in"])
    inputs = (symbols * gain[:, None, None, None]).astype(np.float32)
    input_scale = input_scales(inputs, gain)
    output_bias = np.stack([output_biases(p["mean"][parity], p["log_scale"][parity]) for parity in (0, 1)], 1)
    output_gain = np.zeros_like(output_bias)
    hidden_bias, hidden_shift, weights = [], [], []
    taps = [_neighbourhoods(inputs, parity, seed) for parity in (0, 1)]
    scales = np.broadcast_to(input_scale, (1, 1, len(TAPS), len(input_scale)))
    before = 0
    for group, size in enumerate(groups):
        own = slice(before, before + size)
        for parity in (0, 1):
            number = 2 * group + parity
            if number == 0:
                continue
            known = _inputs(taps[parity], groups[: group + 1], parity)
            scale = _inputs(scales, groups[: group + 1], parity).ravel()
            into, bias = p[f"hidden_{number}"], p["hidden_bias"][:, number]
            hidden = np.maximum(known @ into + bias[:, None], 0)
            layer = HiddenLayer.of(into / scale[:, None], bias, hidden)
            none = np.zeros((len(scale), size))
            both = np.stack(
                [
                    np.concatenate(
                        [
                            p[f"linear_{number}"] / scale[:, None],
                            p[f"mean_out_{number}"] / layer.scale[:, None],
                        ]
                    ),
                    np.concatenate([none, p[f"scale_out_{number}"] / layer.scale[:, None]]),
                ]
            )
            both, output_gain[:, parity, :, own] = output_integers(both, np.exp(p["log_gain_out"])[:, own])
            products = mean_products(np.rint(known * scale), np.rint(hidden * layer.scale))
            weights += [layer.weights, rounded_weights(np.concatenate(list(both), axis=1), products)]
            hidden_bias.append(layer.bias)
            hidden_shift.append(layer.shift)
        before += size
    return SpatialContext(
        groups,
        units,
        np.concatenate([matrix.ravel() for matrix in weights]).astype(np.int8),
        np.rint(gain * input_scale * 2**INPUT_SHIFT).astype(np.int32),
        np.stack(hidden_bias, 1),
        np.stack(hidden_shift),
        output_gain,
        output_bias,
        logistic_tables()[0],
    )


def _neighbourhoods(inputs: NDArray[np.float32], parity: int, seed: int) -> NDArray[np.float32]:
    """What some blocks of a parity see, of inputs [Q, N, rows, columns, D]: [Q, blocks, taps, D]."""
    _, count, rows, columns, _ = inputs.shape
    framed = np.pad(inputs, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))
    own = checkerboard(rows, columns) == parity
    if not own.any():  # images of one block have no odd one, and any block stands in for it
        own = np.ones_like(own)
    image, row, column = np.nonzero(np.broadcast_to(own, (count, rows, columns)))
    picked = np.random.default_rng(seed).permutation(len(image))[:_BLOCKS]
    image, row, column = image[picked], row[picked], column[picked]
    return np.stack([framed[:, image, row + i, column + j] for i, j in TAPS], axis=-2)


def _inputs(taps: NDArray[Any], groups: tuple[int, ...], parity: int) -> Floats:
    """The inputs of a pass over the last of ``groups`` [Q, blocks, r], of ``taps`` [Q, blocks, taps, D]."""
    ends = [0, *accumulate(groups)]
    parts = [taps[..., start:end] for start, end in pairwise(ends[:-1])]
    if parity:
        parts.append(taps[:, :, SIDES, ends[-2] : ends[-1]])
    flat = [part.reshape(*taps.shape[:2], -1) for part in parts]
    return np.concatenate(flat, axis=-1).astype(np.float64)
