"""Spatial context models: the tables of plain integers whatever the grid, and symbols that come back."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.architecture import Residual
from codec.bundle import Pair
from codec.context_arithmetic import SUM_MAX
from codec.errors import BundleError, DamagedPacketError
from codec.quantise import SYMBOL_MAX, SYMBOL_MIN
from codec.runs import decode_symbols, encode_symbols
from codec.spatial_context import (
    SpatialContext,
    SpatialPredictor,
    checkerboard,
    from_blocks,
    to_blocks,
)
from codec.tables import TOTAL, Table
from tests.context_models import Symbols, Told, anything, random_groups, random_tables
from tests.spatial_models import likely_symbols, make_spatial_model, predicted_blocks

KINDS = ["any", "lively", "extreme"]
GRIDS = [(1, 1), (1, 2), (2, 1), (1, 7), (2, 2), (3, 3), (4, 5), (5, 4)]
seeds = st.integers(0, (1 << 32) - 1)
grids = st.tuples(st.integers(1, 4), st.integers(1, 4))


def in_integers(model: SpatialContext, quality: int, blocks: Symbols) -> tuple[Told, int]:
    """Tables and offsets by docs/packet.md in Python's integers, block by block, and the largest sum."""
    count, rows, columns, _ = blocks.shape
    u = {}
    for (n, y, x, e), symbol in np.ndenumerate(blocks):
        gained = (min(max(int(symbol), -127), 127) * int(model.input_gain[quality, e]) + 128) >> 8
        u[n, y, x, e] = min(max(gained, -127), 127)
    tables, offsets = np.zeros((2, *blocks.shape), np.int64)
    weights = model.weights.astype(int).tolist()
    largest = at = before = 0
    units = model.units
    for g, m in enumerate(model.groups):
        own = range(before, before + m)
        for parity in (0, 1):
            p = 2 * g + parity
            r = 9 * before + 4 * m * parity
            into = [weights[at + i * units : at + (i + 1) * units] for i in range(r)]
            at += r * units
            out = [weights[at + i * 2 * m : at + (i + 1) * 2 * m] for i in range(r + units)]
            at += (r + units) * 2 * m if p else 0
            for n, y, x in np.ndindex(count, rows, columns):
                if (y + x) % 2 != parity:
                    continue
                a, start = [], 0
                for size in model.groups[:g]:
                    for dy, dx in [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
                        a += [u.get((n, y + dy, x + dx, e), 0) for e in range(start, start + size)]
                    start += size
                if parity:
                    for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0)):
                        a += [u.get((n, y + dy, x + dx, e), 0) for e in own]
                v = [int(model.output_bias[quality, parity, t, e]) for t in (0, 1) for e in own]
                if p:
                    sums = [int(bias) for bias in model.hidden_bias[quality, p - 1]]
                    for value, row in zip(a, into, strict=True):
                        sums = [s + value * w for s, w in zip(sums, row, strict=True)]
                    shifts = [int(shift) for shift in model.hidden_shift[p - 1]]
                    h = [min(max(s >> shift, 0), 127) for s, shift in zip(sums, shifts, strict=True)]
                    b = [0] * (2 * m)
                    for value, row in zip(a + h, out, strict=True):
                        b = [s + value * w for s, w in zip(b, row, strict=True)]
                    gains = [int(model.output_gain[quality, parity, t, e]) for t in (0, 1) for e in own]
                    v = [
                        ((s * gain + (1 << 23)) >> 24) + bias
                        for s, gain, bias in zip(b, gains, v, strict=True)
                    ]
                    largest = max(largest, *map(abs, sums), *map(abs, b))
                for i, e in enumerate(own):
                    mean = min(max(v[i], -524288), 524287)
                    scale = min(max(v[m + i], 0), len(model.table_index) - 1)
                    tables[n, y, x, e] = model.table_index[scale, mean % 16]
                    offsets[n, y, x, e] = mean >> 4
        before += m
    assert at == len(weights)
    return (tables, offsets), largest


def assert_same(found: Told, expected: Told) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs, strict=True)


# The same tables as plain integers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", GRIDS)
def test_random_models_have_the_tables_of_plain_integers(kind: str, grid: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(grid))
    model = make_spatial_model(rng, random_groups(rng, 8), int(rng.integers(1, 5)), 2, 50, kind=kind)
    for quality in range(2):
        blocks = anything(rng, 3, grid[0] * grid[1] * 8).reshape(3, *grid, 8)
        blocks[1:] = rng.integers(-9, 10, blocks[1:].shape)
        expected, _ = in_integers(model, quality, blocks)
        assert_same(predicted_blocks(model, quality, blocks), expected)
        single = [predicted_blocks(model, quality, blocks[i : i + 1]) for i in range(3)]
        tables, offsets = (np.concatenate(arrays) for arrays in zip(*single, strict=True))
        assert_same((tables, offsets), expected)


@pytest.fixture(scope="module")
def extreme() -> SpatialContext:
    """Sums of over a thousand products, as large as they may be."""
    return make_spatial_model(np.random.default_rng(0), (116, 4), 3, 1, 700, kind="extreme")


def test_sums_at_their_bounds_are_exact(extreme: SpatialContext) -> None:
    rng = np.random.default_rng(1)
    blocks = rng.integers(-20, 21, (24, 3, 3, 120), np.int32)
    # Around the even block in the middle, what drives each sum of the second group's first pass.
    into, outputs = (matrix[: 9 * 116].T for matrix in extreme.matrices[1])
    driving = np.sign(np.concatenate([into, -into, outputs, -outputs])).reshape(-1, 3, 3, 116)
    blocks[: len(driving), :, :, :116] = 127 * driving
    blocks[-1] = 127
    expected, largest = in_integers(extreme, 0, blocks)
    assert SUM_MAX - 200 <= largest <= SUM_MAX
    assert np.ptp(expected[1]) > 10_000
    assert_same(predicted_blocks(extreme, 0, blocks), expected)


def test_64_groups_are_taken() -> None:
    model = make_spatial_model(np.random.default_rng(8), (1,) * 64, 1, 1, 3)
    blocks = anything(np.random.default_rng(9), 1, 2 * 3 * 64).reshape(1, 2, 3, 64)
    assert_same(predicted_blocks(model, 0, blocks), in_integers(model, 0, blocks)[0])


# What a prediction depends on


def seen_by(groups: tuple[int, ...], element: int, dy: int, dx: int, other: int, parity: int) -> bool:
    """Whether an element's table may depend on element ``other`` of the block at (dy, dx) from its own."""
    group = np.repeat(np.arange(len(groups)), groups)
    if group[other] < group[element]:
        return max(abs(dy), abs(dx)) <= 1
    return bool(group[other] == group[element] and parity and abs(dy) + abs(dx) == 1)


def test_a_symbols_table_follows_from_its_neighbourhood_in_earlier_passes_alone() -> None:
    rng = np.random.default_rng(2)
    groups = (1, 2, 5)
    model = make_spatial_model(rng, groups, 6, 1, 30, kind="lively")
    blocks = np.repeat(rng.integers(-9, 10, (1, 5, 6, 8), np.int32), 60, axis=0)
    before = predicted_blocks(model, 0, blocks)
    moved = 0
    for y, x in ((2, 2), (2, 3), (0, 0), (4, 5)):
        for other in range(8):
            changed = blocks.copy()
            changed[:, y, x, other] += rng.integers(1, 9, len(blocks), np.int32)
            after = predicted_blocks(model, 0, changed)
            differs = np.any([(a != b).any(0) for a, b in zip(after, before, strict=True)], axis=0)
            for r, c, element in np.ndindex(differs.shape):
                seen = seen_by(groups, element, y - r, x - c, other, (r + c) % 2)
                assert seen or not differs[r, c, element]
                moved += int(differs[r, c, element])
    assert moved > 300


def test_an_images_tables_do_not_depend_on_the_images_beside_it() -> None:
    rng = np.random.default_rng(3)
    model = make_spatial_model(rng, (1, 3, 4), 7, 2, 30, kind="lively")
    blocks = rng.integers(-9, 10, (30, 3, 2, 8), np.int32)
    order = rng.permutation(30)
    tables, offsets = predicted_blocks(model, 1, blocks)
    assert_same(predicted_blocks(model, 1, blocks[order]), (tables[order], offsets[order]))


def test_parities_and_qualities_have_tables_of_their_own() -> None:
    rng = np.random.default_rng(4)
    model = make_spatial_model(rng, (8,), 5, 2, 30, kind="lively")
    blocks = rng.integers(-9, 10, (1, 4, 4, 8), np.int32)
    tables, offsets = predicted_blocks(model, 0, blocks)
    odd = checkerboard(4, 4) == 1
    # Those of the first pass depend on nothing, the others on the blocks beside.
    assert (offsets[0, ~odd] == offsets[0, 0, 0]).all()
    assert (tables[0, ~odd] == tables[0, 0, 0]).all()
    assert (offsets[0, odd] != offsets[0, 0, 1]).any()
    other = predicted_blocks(model, 1, blocks)
    assert (other[0] != tables).mean() > 0.3


def test_symbols_beyond_127_count_as_127() -> None:
    rng = np.random.default_rng(5)
    model = make_spatial_model(rng, (4, 3, 5), 7, 1, 30, kind="lively")
    blocks = anything(rng, 20, 9 * 12).reshape(20, 3, 3, 12)
    assert_same(predicted_blocks(model, 0, blocks), predicted_blocks(model, 0, np.clip(blocks, -127, 127)))


# Blocks


@given(seed=seeds, shape=st.tuples(*[st.integers(1, 4)] * 4))
def test_elements_of_a_block_count_by_row_column_and_channel(
    seed: int, shape: tuple[int, int, int, int]
) -> None:
    count, rows, columns, channels = shape
    symbols = anything(np.random.default_rng(seed), count, 4 * rows * columns * channels)
    symbols = symbols.reshape(count, 2 * rows, 2 * columns, channels)
    blocks = to_blocks(symbols)
    assert blocks.shape == (count, rows, columns, 4 * channels)
    for n, y, x, e in np.ndindex(blocks.shape):
        row, column = 2 * y + e // (2 * channels), 2 * x + e // channels % 2
        assert blocks[n, y, x, e] == symbols[n, row, column, e % channels]
    again = from_blocks(blocks)
    np.testing.assert_array_equal(again, symbols, strict=True)
    assert again.flags.c_contiguous


def test_a_checkerboard_begins_with_an_even_block() -> None:
    assert checkerboard(2, 3).tolist() == [[0, 1, 0], [1, 0, 1]]


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3), (3, 4, 5)])
def test_every_element_of_every_block_is_coded_in_one_pass(shape: tuple[int, int, int]) -> None:
    model = make_spatial_model(np.random.default_rng(0), (1, 2, 5), 2, 1, 3)
    times = np.zeros((int(np.prod(shape)), 8), int)
    odd = np.broadcast_to(checkerboard(*shape[1:]), shape).ravel()
    for number, part in enumerate(SpatialPredictor(model, 0, shape).parts()):
        times[part] += 1
        blocks, columns = part
        np.testing.assert_array_equal(blocks, np.flatnonzero(odd == number % 2))
        assert (columns.start, columns.stop) == [(0, 1), (1, 3), (3, 8)][number // 2]
    assert (times == 1).all()


# Runs


def pair_of(model: SpatialContext, tables: tuple[Table, ...], qualities: int) -> Pair:
    channels = model.elements // 4
    architecture = Residual(code_channels=channels, layers=1, filters=2, blocks=0, qualities=qualities)
    steps = np.ones((qualities, channels), np.float32)
    return Pair(architecture, 8, 8, steps, (tables,), bytes(32), bytes(32), model)


def random_pair(rng: np.random.Generator, kind: str) -> Pair:
    tables, qualities = random_tables(rng), int(rng.integers(1, 4))
    groups = random_groups(rng, 4 * int(rng.integers(1, 4)))
    model = make_spatial_model(rng, groups, int(rng.integers(1, 6)), qualities, len(tables), kind=kind)
    return pair_of(model, tables, qualities)


@settings(deadline=None, max_examples=100)
@given(
    seed=seeds,
    kind=st.sampled_from(KINDS),
    count=st.integers(1, 3),
    grid=grids,
    odd=st.sampled_from([0.0, 0.1, 1.0]),
    data=st.data(),
)
def test_symbols_of_any_model_come_back(
    seed: int, kind: str, count: int, grid: tuple[int, int], odd: float, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    pair = random_pair(rng, kind)
    assert isinstance(pair.context, SpatialContext)
    quality = data.draw(st.integers(0, pair.qualities - 1))
    shape = count, 2 * grid[0], 2 * grid[1]
    symbols = likely_symbols(rng, pair.context, pair.tables[0], quality, shape, odd)
    ends = st.sampled_from([SYMBOL_MIN, -128, -127, -1, 0, 127, 128, SYMBOL_MAX])
    symbols.flat[data.draw(st.integers(0, symbols.size - 1))] = data.draw(ends)
    payload = encode_symbols(symbols, pair, quality)
    np.testing.assert_array_equal(decode_symbols(payload, pair, quality, shape), symbols, strict=True)
    assert encode_symbols(np.asfortranarray(symbols), pair, quality) == payload


@settings(deadline=None, max_examples=100)
@given(seed=seeds, payload=st.binary(max_size=40), grid=grids, kind=st.sampled_from(KINDS))
def test_any_payload_is_symbols_of_16_bits_or_damaged(
    seed: int, payload: bytes, grid: tuple[int, int], kind: str
) -> None:
    pair = random_pair(np.random.default_rng(seed), kind)
    shape = 2, 2 * grid[0], 2 * grid[1]
    try:
        symbols = decode_symbols(payload, pair, 0, shape)
    except DamagedPacketError:
        return
    assert symbols.dtype == np.int32
    assert symbols.shape == (*shape, pair.architecture.code_channels)
    assert SYMBOL_MIN <= symbols.min() <= symbols.max() <= SYMBOL_MAX
    np.testing.assert_array_equal(decode_symbols(encode_symbols(symbols, pair, 0), pair, 0, shape), symbols)


def test_likely_symbols_cost_less_than_unlikely_ones() -> None:
    rng = np.random.default_rng(6)
    spread = np.array([2, 30, 400, 5000, 54672, 5000, 400, 30, 2])
    table = Table(-4, np.append(spread[:-1], TOTAL - spread[:-1].sum()))
    model = make_spatial_model(rng, (1, 3), 4, 1, 1, kind="lively")
    pair = pair_of(model, (table,), 1)
    found = likely_symbols(rng, model, (table,), 0, (4, 8, 8))
    shuffled = rng.permutation(found.ravel()).reshape(found.shape)
    assert len(encode_symbols(found, pair, 0)) < 0.6 * len(encode_symbols(shuffled, pair, 0))


# What a model may be


@pytest.fixture
def model() -> SpatialContext:
    return make_spatial_model(np.random.default_rng(7), (1, 3, 4), 5, 2, 10, kind="lively")


# Inputs of the passes behind the first: 4 x 1, 9 x 1, 9 x 1 + 4 x 3, 9 x 4, 9 x 4 + 4 x 4.
INPUTS = [(4, 1), (9, 3), (21, 3), (36, 4), (52, 4)]


def test_the_number_of_weights_is_that_of_the_matrices(model: SpatialContext) -> None:
    shapes = [shape for r, m in INPUTS for shape in ((r, 5), (r + 5, 2 * m))]
    assert [matrix.shape for pair in model.matrices for matrix in pair] == shapes
    assert SpatialContext.weight_count(model.groups, 5) == sum(rows * columns for rows, columns in shapes)
    flat = np.concatenate([matrix.ravel() for pair in model.matrices for matrix in pair])
    np.testing.assert_array_equal(flat, model.weights)
    assert SpatialContext.weight_count((7,), 5) == 28 * 5 + 33 * 14


SHAPES = {
    "weights": (sum(r * 5 + (r + 5) * 2 * m for r, m in INPUTS),),
    "input_gain": (2, 8),
    "hidden_bias": (2, 5, 5),
    "hidden_shift": (5, 5),
    "output_gain": (2, 2, 2, 8),
    "output_bias": (2, 2, 2, 8),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("change", ["more", "fewer", "flat", "another axis", "none", "a number"])
def test_another_shape_is_refused_by_name(model: SpatialContext, name: str, change: str) -> None:
    values = getattr(model, name)
    wrong = {
        "more": np.concatenate([values, values[:1]]),
        "fewer": values[:-1],
        "flat": values.ravel() if values.ndim > 1 else values[:, None],
        "another axis": values[None],
        "none": values[:0],
        "a number": values.ravel()[0].reshape(()),
    }[change]
    told = rf"^context, {name}: expected shape \[{', '.join(map(str, SHAPES[name]))}\], found \["
    with pytest.raises(BundleError, match=told):
        replace(model, **{name: wrong}).check(10, 2)


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        *[((0, 16), r"\[1, 16\], found \[0, 16\]"), ((3, 15), r"\[3, 16\], found \[3, 15\]")],
        *[((48,), r"\[48, 16\], found \[48\]"), ((), r"\[1, 16\], found \[\]")],
    ],
)
def test_a_table_index_of_another_shape_is_refused(
    model: SpatialContext, shape: tuple[int, ...], told: str
) -> None:
    with pytest.raises(BundleError, match=f"^context, table_index: expected shape {told}$"):
        replace(model, table_index=np.zeros(shape, np.int32)).check(10, 2)


RANGES = {
    "weights": (-127, 127),
    "input_gain": (0, 1 << 20),
    "hidden_bias": (1 - (1 << 24), (1 << 24) - 1),
    "hidden_shift": (0, 23),
    "output_gain": (0, (1 << 28) - 1),
    "output_bias": (-(1 << 20), 1 << 20),
    "table_index": (0, 9),
}


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("place", [0, -1])
def test_a_number_out_of_its_range_is_refused_by_name(model: SpatialContext, name: str, place: int) -> None:
    low, high = RANGES[name]
    for value, good in ((low - 1, False), (low, True), (high, True), (high + 1, False)):
        values = getattr(model, name).copy()
        if not np.iinfo(values.dtype).min <= value <= np.iinfo(values.dtype).max:
            continue
        values.flat[place] = value
        changed = replace(model, **{name: values})
        if name == "hidden_bias" and good:
            changed = replace(changed, weights=np.zeros(SHAPES["weights"], np.int8))
        if good:
            changed.check(10, 2)
        else:
            with pytest.raises(
                BundleError, match=rf"^context, {name}: expected {low} to {high}, found .*{value}"
            ):
                changed.check(10, 2)


@pytest.mark.parametrize("qualities", [1, 3])
def test_another_number_of_qualities_is_refused(model: SpatialContext, qualities: int) -> None:
    with pytest.raises(
        BundleError, match=rf"^context, input_gain: expected shape \[{qualities}, 8\], found \[2, 8\]"
    ):
        model.check(10, qualities)


@pytest.mark.parametrize(
    ("groups", "units"),
    [((), 5), ((0, 8), 5), ((-1, 9), 5), ((1,) * 65, 5), ((1, 3, 4), 0), ((1, 3, 4), -1)],
)
def test_groups_that_are_none_are_refused(model: SpatialContext, groups: tuple[int, ...], units: int) -> None:
    with pytest.raises(BundleError, match=r"^context: expected 1 to 64 groups of at least 1 element"):
        replace(model, groups=groups, units=units).check(10, 2)


WIDE = 300
"""Elements of one group whose four blocks beside are more inputs than a sum has room for."""


def summed(bias: int = 0) -> SpatialContext:
    """One group, one unit, no weights: a bias for the hidden unit, at the second quality."""
    return SpatialContext(
        (WIDE,),
        1,
        np.zeros(SpatialContext.weight_count((WIDE,), 1), np.int8),
        np.full((2, WIDE), 256, np.int32),
        np.array([[[0]], [[bias]]], np.int32),
        np.zeros((1, 1), np.int32),
        np.zeros((2, 2, 2, WIDE), np.int32),
        np.zeros((2, 2, 2, WIDE), np.int32),
        np.zeros((1, 16), np.int32),
    )


@pytest.mark.parametrize("sign", [-1, 1])
def test_hidden_sums_and_biases_of_more_than_24_bits_are_refused(sign: int) -> None:
    def weighted(rows: int, bias: int) -> SpatialContext:
        model = summed(sign * bias)
        model.weights[:rows] = 127 * sign
        return model

    room = SUM_MAX - 127 * 127 * 1040
    weighted(1040, room).check(1, 2)
    for rows, bias in ((1040, room + 1), (1041, 0), (1040, SUM_MAX), (1200, 0)):
        found = 127 * 127 * rows + bias
        told = rf"^context, weights: expected sums of at most 16,777,215 in pass 1, found {found:,}$"
        with pytest.raises(BundleError, match=told):
            weighted(rows, bias).check(1, 2)


@pytest.mark.parametrize("column", [0, WIDE, 2 * WIDE - 1])
def test_output_sums_of_more_than_24_bits_are_refused(column: int) -> None:
    model = summed()
    outputs = model.weights[4 * WIDE :].reshape(4 * WIDE + 1, 2 * WIDE)
    outputs[-1040:, column] = 127
    outputs[0, column] = 24
    model.check(1, 2)
    outputs[0, column] = -25
    with pytest.raises(BundleError, match=r"sums of at most 16,777,215 in pass 1, found 16,777,335$"):
        model.check(1, 2)


def test_the_pass_whose_sums_are_too_large_is_named() -> None:
    model = make_spatial_model(np.random.default_rng(0), (150, 2, 2), 1, 1, 3, kind="any")
    starts = np.cumsum([0, *(matrix.size for pair in model.matrices for matrix in pair)])
    for number in (1, 2, 4, 5):
        changed: Any = replace(model, weights=np.zeros_like(model.weights))
        changed.hidden_bias[:] = 0
        start, end = starts[2 * number - 2 : 2 * number]
        changed.weights[start:end] = 127
        fits = end - start <= 1040
        if not fits:
            with pytest.raises(
                BundleError, match=f"expected sums of at most 16,777,215 in pass {number}, found"
            ):
                changed.check(3, 1)
        else:
            changed.check(3, 1)
