"""Random spatial context models and symbols for tests, in NumPy alone: also for processes without JAX."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codec.context_arithmetic import (
    ACTIVATION_MAX,
    BIAS_MAX,
    GAIN_MAX,
    INPUT_GAIN_MAX,
    MEAN_PARTS,
    SHIFT_MAX,
    SUM_MAX,
)
from codec.quantise import SYMBOL_MAX, SYMBOL_MIN
from codec.spatial_context import SpatialContext, SpatialPredictor, from_blocks, to_blocks
from codec.tables import Table
from tests.context_models import Symbols, Told, anything, between, full_matrix

__all__ = ["likely_symbols", "make_spatial_model", "predicted_blocks"]


def pass_shapes(groups: Sequence[int], units: int) -> list[tuple[int, int, int]]:
    """Of each pass but the first its inputs, its hidden units and its outputs, as docs/packet.md counts."""
    shapes, before = [], 0
    for number, size in enumerate(groups):
        shapes += [(9 * before + 4 * size * odd, units, 2 * size) for odd in (0, 1) if number or odd]
        before += size
    return shapes


def make_spatial_model(
    rng: np.random.Generator,
    groups: tuple[int, ...],
    units: int,
    qualities: int,
    tables: int,
    *,
    kind: str = "any",
) -> SpatialContext:
    """A model that every reader takes.

    Args:
        kind: "any" is integers of all magnitudes, "lively" such that tables and means follow the symbols,
            "extreme" such that sums and outputs come as close to their bounds as they may.
    """
    later, elements = 2 * len(groups) - 1, sum(groups)
    flat: list[NDArray[np.int64]] = []
    room = np.zeros((later, units), np.int64)
    for number, (inputs, hidden, outputs) in enumerate(pass_shapes(groups, units)):
        for rows, columns in ((inputs, hidden), (inputs + hidden, outputs)):
            matrix = full_matrix(rng, rows, columns)
            if kind != "extreme":
                matrix = rng.integers(-1, 2, matrix.shape) * np.abs(rng.integers(0, np.abs(matrix) + 1))
            flat.append(matrix.ravel())
            if len(flat) % 2:
                room[number] = SUM_MAX - ACTIVATION_MAX * np.abs(matrix).sum(0)
    biases, wide, scales = (qualities, later, units), (qualities, 2, 2, elements), int(rng.integers(1, 9))
    input_gain = between(rng, 0, INPUT_GAIN_MAX, (qualities, elements))
    hidden_bias = np.rint(room * rng.choice([-1, -0.5, 0, 0.5, 1], biases)).astype(np.int32)
    hidden_shift = rng.integers(0, SHIFT_MAX + 1, (later, units), np.int32)
    output_gain = between(rng, 0, GAIN_MAX, wide)
    output_bias = between(rng, -BIAS_MAX, BIAS_MAX, wide)
    if kind == "extreme":
        scales = 64
        input_gain = rng.integers(1 << 8, 1 << 10, input_gain.shape, np.int32)
        hidden_shift = np.minimum(hidden_shift, 17)
        output_gain = rng.integers(1 << 6, 1 << 9, wide, np.int32)
        output_gain[..., ::7] = GAIN_MAX
        output_bias = rng.integers(-99, 100, wide, np.int32)
    elif kind == "lively":
        scales = 6
        input_gain = rng.integers(1000, 8000, input_gain.shape, np.int32)
        hidden_shift = rng.integers(4, 8, hidden_shift.shape, np.int32)
        hidden_bias = rng.integers(-(1 << 9), 1 << 12, biases, np.int32)
        most = np.array([1 << 18, 1 << 14])[:, None]
        output_gain = rng.integers(most // 8, most, wide).astype(np.int32)
        edges = np.array([[-40, 0], [41, scales]])[:, :, None]
        output_bias = rng.integers(edges[0], edges[1], wide).astype(np.int32)
    model = SpatialContext(
        groups,
        units,
        np.concatenate(flat).astype(np.int8),
        input_gain,
        hidden_bias,
        hidden_shift,
        output_gain,
        output_bias,
        rng.integers(0, tables, (scales, MEAN_PARTS), np.int32),
    )
    model.check(tables, qualities)
    return model


def predicted_blocks(model: SpatialContext, quality: int, blocks: Symbols) -> Told:
    """The tables and offsets of all passes, as the library tells them: [N, rows, columns, D] each."""
    count, rows, columns, elements = blocks.shape
    flat = blocks.reshape(-1, elements)
    tables, offsets = np.full((2, *flat.shape), -1, np.int64)
    predictor = SpatialPredictor(model, quality, (count, rows, columns))
    for part in predictor.parts():
        tables[part], offsets[part] = predictor.tables()
        predictor.tell(flat[part])
    return tables.reshape(blocks.shape), offsets.reshape(blocks.shape)


def likely_symbols(
    rng: np.random.Generator,
    model: SpatialContext,
    tables: Sequence[Table],
    quality: int,
    shape: tuple[int, int, int],
    odd: float = 0.0,
) -> Symbols:
    """Symbols [N, h, w, C] for ``shape`` (N, h, w), drawn from the tables that the model tells.

    ``odd`` is the share of them that is anything.
    """
    count, rows, columns = shape[0], shape[1] // 2, shape[2] // 2
    elements = anything(rng, count * rows * columns, model.elements)
    predictor = SpatialPredictor(model, quality, (count, rows, columns))
    for part in predictor.parts():
        index, offsets = predictor.tables()
        values = elements[part]
        for place in np.ndindex(index.shape):
            table = tables[int(index[place])]
            if rng.random() >= odd:
                odds = table.frequencies[:-1] / table.frequencies[:-1].sum()
                symbol = table.low + int(rng.choice(table.escape, p=odds)) + int(offsets[place])
                values[place] = min(max(symbol, SYMBOL_MIN), SYMBOL_MAX)
        elements[part] = values
        predictor.tell(values)
    symbols = from_blocks(elements.reshape(count, rows, columns, model.elements))
    assert np.array_equal(to_blocks(symbols).reshape(elements.shape), elements)
    return symbols
