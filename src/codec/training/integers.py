"""The trained prior as integers: what both bundles store, and all that coding ever uses of it.

Inputs and hidden units become 7 bits and weights 8, each column with the scale that uses its range; biases
and gains take as many bits as exact sums allow. The outputs' weights are rounded row by row, and the rows
behind make up for each row's error (Frantar and others 2022, arXiv 2210.17323). Against the float prior this
costs less than a percent of the rate (``docs/training.md``), and export reports it for each pair.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codec.context import ContextModel
from codec.context_arithmetic import (
    ACTIVATION_MAX,
    BIAS_MAX,
    GAIN_MAX,
    INPUT_GAIN_MAX,
    INPUT_SHIFT,
    LOG_SCALES,
    MEAN_PARTS,
    OUTPUT_SHIFT,
    SHIFT_MAX,
    SUM_MAX,
)
from codec.tables import TOTAL, Table

__all__ = [
    "HiddenLayer",
    "context_model",
    "input_scales",
    "logistic_tables",
    "mean_products",
    "output_biases",
    "output_integers",
    "rounded_weights",
]

Floats = NDArray[np.float64]

_SCALE_STEP = float(LOG_SCALES[1] - LOG_SCALES[0])
_SUPPORT = 11.0
"""Scales on each side of the mean that a table covers: exp(-11) is below half of its smallest frequency."""
_INPUT_QUANTILE, _HIDDEN_QUANTILE = 0.9995, 0.9998
_INPUT_ROOM = 1.1
_LEAST = 1e-9
_DAMPING = 0.01
"""Of the mean square of the values: keeps those hardly ever seen from being moved far."""


def context_model(
    prior: dict[str, Any], groups: tuple[int, ...], units: int, symbols: NDArray[np.int32]
) -> ContextModel:
    """The integers of a trained ``codec.training.prior.Prior``.

    Args:
        prior: its parameters.
        groups, units: its shape.
        symbols: int32 [qualities, images, elements], to find the ranges of inputs and hidden units on.
    """
    p = {name: np.asarray(values, np.float64) for name, values in prior.items()}
    qualities, elements = p["mean"].shape
    output_bias = output_biases(p["mean"], p["log_scale"])
    index, _ = logistic_tables()
    if len(groups) == 1:
        none = np.zeros((qualities, 0, units), np.int32)
        return ContextModel(
            groups,
            units,
            np.zeros(0, np.int8),
            np.zeros((qualities, elements), np.int32),
            none,
            none[0],
            np.zeros((qualities, 2, elements), np.int32),
            output_bias,
            index,
        )
    inputs: Any = symbols * np.exp(p["log_gain_in"])[:, None]
    group = np.repeat(np.arange(len(groups)), groups)
    block = np.repeat(np.arange(len(groups) - 1), units)
    into = p["hidden"] * (group[:, None] <= block)
    hidden = np.maximum(inputs @ into + p["hidden_bias"][:, None], 0)

    gain = np.exp(p["log_gain_in"])
    input_scale = input_scales(inputs, gain)
    hidden_layer = HiddenLayer.of(into / input_scale[:, None], p["hidden_bias"], hidden)
    hidden_scale = hidden_layer.scale

    tells, before = block[:, None] < group, group[:, None] < group
    outputs = np.stack(
        [
            np.concatenate(
                [p["linear"] * before / input_scale[:, None], p["mean_out"] * tells / hidden_scale[:, None]]
            ),
            np.concatenate([np.zeros((elements, elements)), p["scale_out"] * tells / hidden_scale[:, None]]),
        ]
    )
    outputs, output_gain = output_integers(outputs, np.exp(p["log_gain_out"]))
    moments = mean_products(np.rint(inputs * input_scale), np.rint(hidden * hidden_scale))
    flat: list[Floats] = []
    ends = np.cumsum(groups)
    for number, (known, end) in enumerate(pairwise(ends)):
        of_block = slice(number * units, (number + 1) * units)
        flat.append(hidden_layer.weights[:known, of_block].ravel())
        rows = np.r_[0:known, elements : elements + (number + 1) * units]
        both = np.concatenate([outputs[kind][rows, known:end] for kind in range(2)], axis=1)
        flat.append(rounded_weights(both, moments[np.ix_(rows, rows)]).ravel())
    return ContextModel(
        groups,
        units,
        np.concatenate(flat).astype(np.int8),
        np.rint(gain * input_scale * 2**INPUT_SHIFT).astype(np.int32),
        hidden_layer.bias.reshape(qualities, -1, units),
        hidden_layer.shift.reshape(-1, units),
        output_gain,
        output_bias,
        index,
    )


def input_scales(inputs: NDArray[np.floating[Any]], gain: Floats) -> Floats:
    """Of each element how many units of an integer input are one of a float input: [D].

    From the range that nearly all of ``inputs`` [..., D] keep; ``gain`` [Q, D] makes inputs of symbols.
    """
    most = np.quantile(np.abs(inputs).reshape(-1, inputs.shape[-1]), _INPUT_QUANTILE, axis=0)
    scale = ACTIVATION_MAX / np.maximum(_INPUT_ROOM * most, _LEAST)
    return np.asarray(np.minimum(scale, INPUT_GAIN_MAX / 2**INPUT_SHIFT / gain.max(0)))


class HiddenLayer(NamedTuple):
    """A hidden layer as integers: weights [inputs, U], bias int32 [Q, U], shift int32 [U].

    ``scale`` [U] says how many units of an integer hidden unit are one of a float one.
    """

    weights: Floats
    bias: NDArray[np.int32]
    shift: NDArray[np.int32]
    scale: Floats

    @classmethod
    def of(cls, weights: Floats, bias: Floats, hidden: Floats) -> "HiddenLayer":
        """Of float weights [inputs, U] for integer inputs and float biases [Q, U].

        Args:
            hidden: what float hidden units [..., U] are, to find their ranges.
        """
        most = np.quantile(hidden.reshape(-1, hidden.shape[-1]), _HIDDEN_QUANTILE, axis=0)
        scale = ACTIVATION_MAX / np.maximum(most, _LEAST)
        largest = np.maximum(np.abs(weights).max(0), _LEAST)
        shift = np.clip(np.floor(np.log2(ACTIVATION_MAX / largest / scale)), 0, SHIFT_MAX)
        # A unit that hardly ever fires asks for a scale that its weights cannot hold.
        scale = np.minimum(scale, ACTIVATION_MAX / largest / 2**shift)
        whole = np.rint(weights * scale * 2**shift)
        room = SUM_MAX - ACTIVATION_MAX * np.abs(whole).sum(0)
        biases = np.clip(np.rint(bias * scale * 2**shift) + np.floor(2.0 ** (shift - 1)), -room, room)
        return cls(whole, biases.astype(np.int32), shift.astype(np.int32), scale)


def output_integers(outputs: Floats, mean_gain: Floats) -> tuple[Floats, NDArray[np.int32]]:
    """Outputs' weights in the units of their integers, not yet rounded, and their gains int32 [Q, 2, m].

    Args:
        outputs: [2, inputs and hidden units, m], for means and scales.
        mean_gain: what the sums of means are multiplied by, [Q, m].
    """
    scale = ACTIVATION_MAX / np.maximum(np.abs(outputs).max(1), _LEAST)
    room = SUM_MAX / ACTIVATION_MAX - outputs.shape[1] / 2
    scale = np.minimum(scale, room / np.maximum(np.abs(outputs).sum(1), _LEAST))
    units = np.stack([mean_gain * MEAN_PARTS, np.full_like(mean_gain, 1 / _SCALE_STEP)], 1)
    gain = np.minimum(np.rint(units / scale * 2.0**OUTPUT_SHIFT), GAIN_MAX)
    return outputs * scale[:, None], gain.astype(np.int32)


def output_biases(mean: Floats, log_scale: Floats) -> NDArray[np.int32]:
    """Means and log scales as the outputs' biases: of the same shape, stacked along the second axis."""
    bias = np.stack([mean * MEAN_PARTS, (log_scale - LOG_SCALES[0]) / _SCALE_STEP], 1)
    return np.asarray(np.clip(np.rint(bias), -BIAS_MAX, BIAS_MAX), np.int32)


def mean_products(inputs: Floats, hidden: Floats) -> Floats:
    """Mean products of what outputs are summed from, inputs first: [D + hidden units, the same]."""
    columns = inputs.shape[-1] + hidden.shape[-1]
    total = np.zeros((columns, columns))
    for of_inputs, of_hidden in zip(inputs, hidden, strict=True):
        known = np.concatenate(
            [
                np.clip(of_inputs, -ACTIVATION_MAX, ACTIVATION_MAX),
                np.clip(of_hidden, 0, ACTIVATION_MAX),
            ],
            axis=1,
        ).astype(np.float32)
        total += known.T @ known
    total /= inputs.shape[0] * inputs.shape[1]
    return total


def rounded_weights(weights: Floats, moments: Floats) -> Floats:
    """Integers near ``weights`` [rows, columns] whose sums over the rows' values stay near, too.

    Rounding a row changes the sums; the rows after it are shifted by what makes up for that best, in the mean
    square over values of these ``moments`` [rows, rows].
    """
    damped = moments + _DAMPING * max(float(np.trace(moments)) / len(moments), _LEAST) * np.eye(len(moments))
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    left = weights.copy()
    rounded = np.empty_like(left)
    for row in range(len(left)):
        rounded[row] = np.clip(np.rint(left[row]), -ACTIVATION_MAX, ACTIVATION_MAX)
        left[row + 1 :] -= np.outer(upper[row, row + 1 :], (left[row] - rounded[row]) / upper[row, row])
    # Never the sums that a float32 cannot hold.
    too_large = ACTIVATION_MAX * np.abs(rounded).sum(0) > SUM_MAX
    rounded[:, too_large] = np.rint(weights[:, too_large])
    return rounded


def logistic_tables() -> tuple[NDArray[np.int32], tuple[Table, ...]]:
    """The table of each scale and sixteenth of a mean, int32 [scales, 16], and the tables.

    Wide logistics need fewer means: neighbours that differ by less than a quarter of a scale share one table,
    made for the middle of them.
    """
    tables: list[Table] = []
    index = np.zeros((len(LOG_SCALES), MEAN_PARTS), np.int32)
    for i, scale in enumerate(np.exp(LOG_SCALES.astype(np.float64)).tolist()):
        shared = int(min(MEAN_PARTS, 2 ** max(0, np.floor(np.log2(MEAN_PARTS * scale / 4)))))
        for first in range(0, MEAN_PARTS, shared):
            index[i, first : first + shared] = len(tables)
            tables.append(_logistic_table((first + (shared - 1) / 2) / MEAN_PARTS, scale))
    return index, tuple(tables)


def _logistic_table(mean: float, scale: float) -> Table:
    """Frequencies of a logistic rounded to integers; the escape takes what lies outside the support."""
    reach = int(np.ceil(_SUPPORT * scale)) + 1
    edges = np.arange(-reach, reach + 2) - 0.5 - mean
    cumulative = 1 / (1 + np.exp(-np.clip(edges / scale, -700, 700)))
    masses = np.append(np.diff(cumulative), cumulative[0] + 1 - cumulative[-1])
    frequencies = np.maximum(1, np.floor(masses * (TOTAL - len(masses)))).astype(np.int64)
    frequencies[np.argmax(frequencies)] += TOTAL - int(frequencies.sum())
    return Table(-reach, frequencies)
