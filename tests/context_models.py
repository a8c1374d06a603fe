"""Random context models, tables and symbols for tests, in NumPy alone: also for processes without JAX."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codec.context import ContextModel, Predictor
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
from codec.tables import TOTAL, Table

Symbols = NDArray[np.int32]
Told = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Tables and offsets of some images' elements, [images, elements] each."""

COLUMN_MAX = SUM_MAX // ACTIVATION_MAX
"""What the absolute weights of a column may sum to where there is no bias."""


def random_table(rng: np.random.Generator) -> Table:
    """Of 2 to 300 entries, flat or steep, anywhere within 16 bits."""
    entries = int(rng.choice([2, 3, 5, 20, 300]))
    spread = rng.dirichlet(np.full(entries, rng.choice([0.05, 1.0, 50.0])))
    frequencies = 1 + rng.multinomial(TOTAL - entries, spread)
    low = int(rng.choice([SYMBOL_MIN, SYMBOL_MAX - entries + 2, 0, -(entries // 2), -(entries // 2)]))
    return Table(low, frequencies.astype(np.int64))


def random_tables(rng: np.random.Generator) -> tuple[Table, ...]:
    return tuple(random_table(rng) for _ in range(int(rng.integers(1, 12))))


def random_groups(rng: np.random.Generator, elements: int) -> tuple[int, ...]:
    """Groups of so many elements together."""
    most = int(rng.choice([1, 2, 3, elements]))
    ends = rng.choice(np.arange(1, elements), min(most, elements) - 1, replace=False)
    return tuple(np.diff([0, *sorted(ends.tolist()), elements]).tolist())


def between(rng: np.random.Generator, low: int, high: int, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Integers of all magnitudes from ``low`` to ``high``, which is at least 0, both of them included."""
    signs = rng.choice([-1, 1] if low < 0 else [1], shape)
    values = signs * np.floor(np.exp(rng.uniform(0, np.log(high + 1), shape))).astype(np.int64)
    ends = rng.choice([low, 0, high], shape)
    return np.clip(np.where(rng.random(shape) < 0.2, ends, values), low, high).astype(np.int32)


def full_matrix(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.int64]:
    """Weights as large as the sums allow, of one sign in a column or of both."""
    matrix = np.zeros((rows, columns), np.int64)
    whole, rest = divmod(COLUMN_MAX, ACTIVATION_MAX)
    for column in matrix.T:
        order = rng.permutation(rows)
        column[order[:whole]] = ACTIVATION_MAX
        column[order[whole : whole + 1]] = rest
        column *= rng.choice([-1, 1], rows) if rng.random() < 0.5 else rng.choice([-1, 1])
    return matrix


def make_model(
    rng: np.random.Generator,
    groups: tuple[int, ...],
    units: int,
    qualities: int,
    tables: int,
    *,
    kind: str = "any",
) -> ContextModel:
    """A model that every reader takes.

    Args:
        kind: "any" is integers of all magnitudes, "lively" such that tables and means follow the symbols,
            "extreme" such that sums and outputs come as close to their bounds as they may.
    """
    later, elements = len(groups) - 1, sum(groups)
    flat: list[NDArray[np.int64]] = []
    room = np.zeros((later, units), np.int64)
    for group, size in enumerate(groups[1:], 1):
        known = sum(groups[:group])
        for rows, columns in ((known, units), (known + group * units, 2 * size)):
            matrix = full_matrix(rng, rows, columns)
            if kind != "extreme":
                matrix = rng.integers(-1, 2, matrix.shape) * np.abs(rng.integers(0, np.abs(matrix) + 1))
            flat.append(matrix.ravel())
            if len(flat) % 2:
                room[group - 1] = SUM_MAX - ACTIVATION_MAX * np.abs(matrix).sum(0)
    biases = (qualities, later, units)
    wide, scales = (qualities, 2, elements), int(rng.integers(1, 9))
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
        output_gain[:, :, ::7] = GAIN_MAX
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
    model = ContextModel(
        groups,
        units,
        np.concatenate([np.zeros(0), *flat]).astype(np.int8),
        input_gain,
        hidden_bias,
        hidden_shift,
        output_gain,
        output_bias,
        rng.integers(0, tables, (scales, MEAN_PARTS), np.int32),
    )
    model.check(tables, qualities)
    return model


def parts(groups: Sequence[int]) -> list[slice]:
    """The elements of each group."""
    ends = np.cumsum(groups).tolist()
    return [slice(end - size, end) for end, size in zip(ends, groups, strict=True)]


def predicted(model: ContextModel, quality: int, elements: Symbols) -> Told:
    """The tables and offsets of all groups, as the library tells them."""
    predictor = Predictor(model, quality, len(elements))
    told = []
    for columns in parts(model.groups):
        told.append(predictor.tables())
        predictor.tell(elements[:, columns])
    tables, offsets = (np.concatenate(arrays, axis=1).astype(np.int64) for arrays in zip(*told, strict=True))
    return tables, offsets


def anything(rng: np.random.Generator, count: int, elements: int) -> Symbols:
    """Symbols of all magnitudes."""
    return between(rng, SYMBOL_MIN, SYMBOL_MAX, (count, elements))


def likely(
    rng: np.random.Generator,
    model: ContextModel,
    tables: Sequence[Table],
    quality: int,
    count: int,
    odd: float = 0.0,
) -> Symbols:
    """Symbols drawn from the tables that the model tells; ``odd`` is the share of them that is anything."""
    elements = anything(rng, count, model.elements)
    predictor = Predictor(model, quality, count)
    for columns in parts(model.groups):
        index, offsets = predictor.tables()
        part = elements[:, columns]
        for place in np.ndindex(index.shape):
            table = tables[int(index[place])]
            if rng.random() >= odd:
                odds = table.frequencies[:-1] / table.frequencies[:-1].sum()
                symbol = table.low + int(rng.choice(table.escape, p=odds)) + int(offsets[place])
                part[place] = min(max(symbol, SYMBOL_MIN), SYMBOL_MAX)
        predictor.tell(part)
    return elements
