"""Context models: the same tables whatever computes them, and symbols that come back as they were."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec.architecture import Convolutional
from codec.bundle import Pair
from codec.context import ContextModel, Predictor, from_elements, to_elements
from codec.context_arithmetic import BIAS_MAX, INPUT_GAIN_MAX, SUM_MAX
from codec.entropy import RunEncoder, Runs, TableRow
from codec.errors import BundleError, DamagedPacketError
from codec.quantise import SYMBOL_MAX, SYMBOL_MIN
from codec.runs import decode_symbols, encode_symbols
from codec.tables import TOTAL, Table
from tests.context_models import (
    Symbols,
    Told,
    anything,
    likely,
    make_model,
    parts,
    predicted,
    random_groups,
    random_tables,
)

ROOT = Path(__file__).parent.parent
KINDS = ["any", "lively", "extreme"]
seeds = st.integers(0, (1 << 32) - 1)


def in_integers(model: ContextModel, quality: int, elements: Symbols) -> tuple[Told, int]:
    """Tables and offsets by docs/packet.md, word for word in int64, and the largest sum on the way."""
    symbols = elements.astype(np.int64)
    weights = model.weights.astype(np.int64)
    inputs = np.clip(symbols, -127, 127) * model.input_gain[quality].astype(np.int64)
    u = np.clip((inputs + 128) >> 8, -127, 127)
    h = np.zeros((len(u), 0), np.int64)
    told: list[Told] = []
    largest = n = 0
    for g, m in enumerate(model.groups):
        v = np.tile(model.output_bias[quality, :, n : n + m].astype(np.int64).ravel(), (len(u), 1))
        if g:
            into, weights = np.split(weights, [n * model.units])
            sums = u[:, :n] @ into.reshape(n, -1) + model.hidden_bias[quality, g - 1]
            h = np.hstack([h, np.clip(sums >> model.hidden_shift[g - 1], 0, 127)])
            rows = n + g * model.units
            out, weights = np.split(weights, [rows * 2 * m])
            a = np.hstack([u[:, :n], h]) @ out.reshape(rows, 2 * m)
            v += (a * model.output_gain[quality, :, n : n + m].ravel() + (1 << 23)) >> 24
            largest = max(largest, int(abs(sums).max()), int(abs(a).max()))
        mean = np.clip(v[:, :m], -524288, 524287)
        scale = np.clip(v[:, m:], 0, len(model.table_index) - 1)
        told.append((model.table_index[scale, mean % 16].astype(np.int64), mean >> 4))
        n += m
    assert len(weights) == 0
    tables, offsets = (np.concatenate(arrays, axis=1) for arrays in zip(*told, strict=True))
    return (tables, offsets), largest


def assert_same(found: Told, expected: Told) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs, strict=True)


def in_batches(model: ContextModel, quality: int, elements: Symbols, size: int) -> Told:
    found = [predicted(model, quality, elements[at : at + size]) for at in range(0, len(elements), size)]
    tables, offsets = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    return tables, offsets


# The same tables on every backend


def extreme_model(seed: int = 0) -> ContextModel:
    """Sums of over a thousand products, as large as they may be."""
    return make_model(np.random.default_rng(seed), (1000, 9, 3, 20), 16, 2, 700, kind="extreme")


def extreme_elements(model: ContextModel, count: int = 6000) -> Symbols:
    """Symbols for such a model; those of a few hundred images drive sums to their bounds."""
    rng = np.random.default_rng(1)
    elements = anything(rng, count, model.elements)
    start = model.groups[0]
    into, outputs = (matrix[:start].T for matrix in model.matrices[0])
    driving = np.sign(np.concatenate([into, -into, outputs, -outputs]))
    elements[: len(driving), :start] = 127 * driving
    elements[len(driving) : len(driving) + 100] = 127
    elements[len(driving) + 100 : len(driving) + 200] = -127
    small = slice(count // 2, None)
    elements[small] = rng.integers(-20, 21, elements[small].shape)
    return elements


@pytest.fixture(scope="module")
def extremes() -> tuple[ContextModel, Symbols, Told]:
    model = extreme_model()
    elements = extreme_elements(model)
    expected, largest = in_integers(model, 1, elements)
    assert SUM_MAX - 200 <= largest <= SUM_MAX
    assert len(np.unique(expected[0])) > 100
    assert np.ptp(expected[1]) > 10_000
    return model, elements, expected


def test_the_whole_batch_has_the_tables_of_plain_integers(
    extremes: tuple[ContextModel, Symbols, Told],
) -> None:
    model, elements, expected = extremes
    assert_same(predicted(model, 1, elements), expected)


@pytest.mark.parametrize("size", [1, 3, 17, 255, 257, 1024, 4099])
def test_batches_of_any_size_have_the_same_tables(
    extremes: tuple[ContextModel, Symbols, Told], size: int
) -> None:
    model, elements, expected = extremes
    most = 500 if size < 10 else 2000 if size < 100 else len(elements)
    tables, offsets = expected
    assert_same(in_batches(model, 1, elements[:most], size), (tables[:most], offsets[:most]))


Product = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]


class Matrix(np.ndarray[Any, Any]):
    """A matrix whose products something else than NumPy makes."""

    product: Product

    def __array_finalize__(self, source: Any) -> None:
        self.product = getattr(source, "product", np.matmul)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        assert (ufunc, method, options) == (np.matmul, "__call__", {})
        return self.product(*(np.asarray(array) for array in inputs))


def multiplied_by(product: Product, model: ContextModel) -> ContextModel:
    """The same model, whose matrix products ``product`` makes."""

    def with_product(matrix: NDArray[np.float32]) -> Matrix:
        view = matrix.view(Matrix)
        view.product = product
        return view

    copy = replace(model)
    vars(copy)["matrices"] = tuple(tuple(map(with_product, pair)) for pair in model.matrices)
    return copy


jitted = jax.jit(jnp.matmul)


def by_jax(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    product = jitted(left, right)
    assert product.dtype == jnp.float32
    return np.array(product)  # a copy, as products of NumPy's are the caller's own


def in_another_order(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """One product after the other, in a random order, each sum rounded to float32."""
    total = np.zeros((len(left), right.shape[1]), np.float32)
    for i in np.random.default_rng(len(right)).permutation(len(right)):
        total += left[:, i : i + 1] * right[i]
    return total


def largest_first(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """All positive products before any negative one: the largest sums on the way that there can be."""
    both = [np.maximum(sign * left, 0) @ np.maximum(sign * right, 0) for sign in (1, -1)]
    crossed = [np.maximum(sign * left, 0) @ np.maximum(-sign * right, 0) for sign in (1, -1)]
    total: NDArray[Any] = (both[0] + both[1]) - (crossed[0] + crossed[1])
    return total


@pytest.mark.parametrize("product", [by_jax, in_another_order, largest_first])
def test_products_of_another_library_or_order_give_the_same_tables(
    extremes: tuple[ContextModel, Symbols, Told], product: Product
) -> None:
    model, elements, (tables, offsets) = extremes
    most = len(elements) if product is by_jax else 1000
    called = []

    def counted(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
        called.append(1)
        return product(left, right)

    found = predicted(multiplied_by(counted, model), 1, elements[:most])
    assert_same(found, (tables[:most], offsets[:most]))
    assert len(called) == 3 * (len(model.groups) - 1)


HASH = """
import hashlib
from tests.context_models import predicted
from tests.test_context import extreme_elements, extreme_model

model = extreme_model()
told = predicted(model, 1, extreme_elements(model, 3000))
print(hashlib.sha256(b"".join(array.tobytes() for array in told)).hexdigest())
"""


def test_numbers_of_threads_do_not_change_the_tables(extremes: tuple[ContextModel, Symbols, Told]) -> None:
    printed = []
    for threads in ("1", "2"):
        settings = {f"{library}_NUM_THREADS": threads for library in ("OPENBLAS", "OMP", "MKL")}
        environment = {**os.environ, **settings, "JAX_PLATFORMS": "cpu"}
        run = subprocess.run(
            [sys.executable, "-c", HASH],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        printed.append(run.stdout)
    assert printed[0] == printed[1] != ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_random_models_have_the_tables_of_plain_integers(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = random_groups(rng, int(rng.integers(1, 40)))
    qualities = int(rng.integers(1, 4))
    model = make_model(rng, groups, int(rng.integers(1, 9)), qualities, 50, kind=kind)
    for quality in range(qualities):
        elements = anything(rng, 2000, model.elements)
        elements[1000:] = rng.integers(-9, 10, elements[1000:].shape)
        expected, _ = in_integers(model, quality, elements)
        assert_same(predicted(model, quality, elements), expected)
        assert_same(predicted(multiplied_by(by_jax, model), quality, elements), expected)
        few = slice(990, 1010)
        assert_same(in_batches(model, quality, elements[few], 1), (expected[0][few], expected[1][few]))


# What a prediction depends on


def test_the_tables_of_a_group_follow_from_the_groups_before_it_alone() -> None:
    rng = np.random.default_rng(2)
    model = make_model(rng, (4, 3, 5, 6), 7, 2, 30, kind="lively")
    elements = rng.integers(-9, 10, (500, 18), np.int32)
    before = predicted(model, 0, elements)
    for columns in parts(model.groups):
        changed = elements.copy()
        changed[:, columns] += rng.integers(1, 5, changed[:, columns].shape, np.int32)
        after = predicted(model, 0, changed)
        for mine, theirs in zip(after, before, strict=True):
            np.testing.assert_array_equal(mine[:, : columns.stop], theirs[:, : columns.stop])
        if columns.stop < model.elements:
            assert (after[0] != before[0])[:, columns.stop :].mean() > 0.1
            assert (after[1] != before[1])[:, columns.stop :].mean() > 0.1


def test_an_images_tables_do_not_depend_on_the_images_beside_it() -> None:
    rng = np.random.default_rng(3)
    model = make_model(rng, (4, 3, 5), 7, 2, 30, kind="lively")
    elements = rng.integers(-9, 10, (300, 12), np.int32)
    order = rng.permutation(300)
    told = predicted(model, 1, elements)
    assert_same(predicted(model, 1, elements[order]), (told[0][order], told[1][order]))


def test_qualities_have_tables_of_their_own() -> None:
    rng = np.random.default_rng(4)
    model = make_model(rng, (4, 3, 5), 7, 2, 30, kind="lively")
    elements = rng.integers(-9, 10, (300, 12), np.int32)
    assert (predicted(model, 0, elements)[0] != predicted(model, 1, elements)[0]).mean() > 0.5


def test_symbols_beyond_127_count_as_127() -> None:
    rng = np.random.default_rng(5)
    model = make_model(rng, (4, 3, 5), 7, 1, 30, kind="lively")
    elements = anything(rng, 1000, 12)
    assert_same(predicted(model, 0, elements), predicted(model, 0, np.clip(elements, -127, 127)))


def hand_made(**changed: Any) -> ContextModel:
    """Two groups of one element, one unit; the second's mean follows the first's symbol, sixteen to one."""
    values: dict[str, Any] = {
        "groups": (1, 1),
        "units": 1,
        "weights": np.array([1, 1, 0, 0, 1], np.int8),
        "input_gain": np.full((1, 2), 256, np.int32),
        "hidden_bias": np.zeros((1, 1, 1), np.int32),
        "hidden_shift": np.zeros((1, 1), np.int32),
        "output_gain": np.array([[[0, 1 << 26], [0, 1 << 24]]], np.int32),
        "output_bias": np.zeros((1, 2, 2), np.int32),
        "table_index": np.arange(64, dtype=np.int32).reshape(4, 16),
    }
    return ContextModel(**{**values, **changed})


@pytest.mark.parametrize(
    ("symbol", "table", "offset"),
    [
        (0, 0, 0),
        (1, 20, 0),
        (2, 40, 0),
        (3, 60, 0),
        (4, 48, 1),
        (5, 52, 1),
        (-1, 12, -1),
        (-4, 0, -1),
        (-5, 12, -2),
    ],
)
def test_a_model_small_enough_to_follow_by_hand_tells_what_it_should(
    symbol: int, table: int, offset: int
) -> None:
    elements = np.array([[symbol, 0]], np.int32)
    tables, offsets = predicted(hand_made(), 0, elements)
    assert (tables.tolist(), offsets.tolist()) == ([[0, table]], [[0, offset]])


@pytest.mark.parametrize(
    ("bias", "place", "offset"),
    [
        *[(0, 0, 0), (15, 15, 0), (16, 0, 1), (-1, 15, -1), (-16, 0, -1), (-17, 15, -2)],
        *[(524287, 15, 32767), (524288, 15, 32767), (BIAS_MAX, 15, 32767)],
        *[(-524288, 0, -32768), (-524289, 0, -32768), (-BIAS_MAX, 0, -32768)],
    ],
)
def test_means_are_sixteenths_rounded_down_and_limited_to_16_bits(bias: int, place: int, offset: int) -> None:
    model = hand_made(output_bias=np.array([[[bias, 0], [0, 0]]], np.int32))
    tables, offsets = Predictor(model, 0, 3).tables()
    assert (tables.tolist(), offsets.tolist()) == ([[place]] * 3, [[offset]] * 3)
    assert tables.dtype == np.uint16
    assert offsets.dtype == np.int32


@pytest.mark.parametrize(("bias", "scale"), [(0, 0), (3, 3), (4, 3), (BIAS_MAX, 3), (-1, 0), (-BIAS_MAX, 0)])
def test_scales_are_limited_to_those_that_there_are(bias: int, scale: int) -> None:
    model = hand_made(output_bias=np.array([[[0, 0], [bias, 0]]], np.int32))
    assert Predictor(model, 0, 1).tables()[0].tolist() == [[16 * scale]]


@pytest.mark.parametrize(
    ("gain", "symbol", "mean"),
    [
        *[(0, 127, 0), (128, 1, 1), (127, 1, 0), (128, -1, 0), (129, -1, -1), (384, -1, -1), (385, -1, -2)],
        *[(INPUT_GAIN_MAX, 127, 127), (INPUT_GAIN_MAX, -127, -127), (INPUT_GAIN_MAX, SYMBOL_MIN, -127)],
    ],
)
def test_inputs_are_rounded_to_the_nearest_halves_up_and_limited(gain: int, symbol: int, mean: int) -> None:
    model = hand_made(
        input_gain=np.full((1, 2), gain, np.int32),
        output_gain=np.array([[[0, 1 << 24], [0, 0]]], np.int32),
    )
    tables, offsets = predicted(model, 0, np.array([[symbol, 0]], np.int32))
    assert int(offsets[0, 1] * 16 + tables[0, 1] % 16) == mean


@pytest.mark.parametrize(
    ("bias", "shift", "scale"),
    [
        (0, 0, 0),
        (3, 0, 3),
        (7, 1, 3),
        (-1, 0, 0),
        (-SUM_MAX, 23, 0),
        ((3 << 22) - 1, 22, 2),
        (3 << 22, 22, 3),
    ],
)
def test_hidden_units_are_shifted_down_and_never_negative(bias: int, shift: int, scale: int) -> None:
    model = hand_made(
        weights=np.array([0, 0, 0, 0, 1], np.int8),
        hidden_bias=np.full((1, 1, 1), bias, np.int32),
        hidden_shift=np.full((1, 1), shift, np.int32),
    )
    assert predicted(model, 0, np.zeros((1, 2), np.int32))[0].tolist() == [[0, 16 * scale]]


# Elements


@given(seed=seeds, shape=st.tuples(*[st.integers(1, 5)] * 4), missing=st.integers(0, 10))
def test_elements_count_channel_by_channel_and_row_by_row(
    seed: int, shape: tuple[int, int, int, int], missing: int
) -> None:
    count, rows, columns, channels = shape
    symbols = anything(np.random.default_rng(seed), count, rows * columns * channels).reshape(shape)
    most = max(1, rows * columns * channels - missing)
    elements = to_elements(symbols, most)
    assert elements.shape == (count, most)
    expected = np.zeros_like(symbols)
    for e in range(most):
        cell = e % (rows * columns)
        place = (slice(None), cell // columns, cell % columns, e // (rows * columns))
        np.testing.assert_array_equal(elements[:, e], symbols[place])
        expected[place] = symbols[place]
    np.testing.assert_array_equal(from_elements(elements, shape[1:]), expected, strict=True)


# Runs


def pair_of(
    model: ContextModel | None,
    tables: tuple[tuple[Table, ...], ...],
    shape: tuple[int, int, int],
    qualities: int,
) -> Pair:
    rows, columns, channels = shape
    steps = np.ones((qualities, channels), np.float32)
    architecture = Convolutional(code_channels=channels, layers=1)
    return Pair(architecture, 2 * rows, 2 * columns, steps, tables, bytes(32), bytes(32), model)


def random_context_pair(rng: np.random.Generator, kind: str) -> Pair:
    shape = tuple(int(side) for side in rng.integers(1, 5, 3))
    rows, columns, channels = shape
    tables = random_tables(rng)
    elements = int(rng.integers(1, rows * columns * channels + 1))
    groups, qualities = random_groups(rng, elements), int(rng.integers(1, 4))
    model = make_model(rng, groups, int(rng.integers(1, 6)), qualities, len(tables), kind=kind)
    return pair_of(model, (tables,), (rows, columns, channels), qualities)


@settings(deadline=None, max_examples=150)
@given(
    seed=seeds,
    kind=st.sampled_from(KINDS),
    count=st.integers(1, 9),
    odd=st.sampled_from([0.0, 0.1, 1.0]),
    data=st.data(),
)
def test_symbols_of_any_model_come_back(
    seed: int, kind: str, count: int, odd: float, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    pair = random_context_pair(rng, kind)
    assert isinstance(pair.context, ContextModel)
    quality = data.draw(st.integers(0, pair.qualities - 1))
    elements = likely(rng, pair.context, pair.tables[0], quality, count, odd)
    ends = st.sampled_from([SYMBOL_MIN, -128, -127, -1, 0, 127, 128, SYMBOL_MAX])
    elements[0, data.draw(st.integers(0, pair.context.elements - 1))] = data.draw(ends)
    symbols = from_elements(elements, pair.code_shape)
    payload = encode_symbols(symbols, pair, quality)
    found = decode_symbols(payload, pair, quality, (count, *pair.code_shape[:2]))
    np.testing.assert_array_equal(found, symbols, strict=True)


@pytest.mark.parametrize("seed", range(5))
def test_what_no_element_holds_comes_back_as_zero(seed: int) -> None:
    rng = np.random.default_rng(seed)
    tables = random_tables(rng)
    model = make_model(rng, (2, 3), 4, 1, len(tables))
    pair = pair_of(model, (tables,), (2, 2, 4), 1)
    symbols = anything(rng, 3, 16).reshape(3, 2, 2, 4)
    found = decode_symbols(encode_symbols(symbols, pair, 0), pair, 0, (3, 2, 2))
    np.testing.assert_array_equal(found, from_elements(to_elements(symbols, 5), (2, 2, 4)), strict=True)
    assert np.count_nonzero(found) <= 15


def test_equal_symbols_make_equal_payloads_whatever_holds_them() -> None:
    rng = np.random.default_rng(6)
    pair = random_context_pair(rng, "lively")
    symbols = anything(rng, 4, int(np.prod(pair.code_shape))).reshape(4, *pair.code_shape)
    payload = encode_symbols(symbols, pair, 0)
    assert encode_symbols(np.asfortranarray(symbols), pair, 0) == payload
    assert encode_symbols(symbols[::-1][::-1], pair, 0) == payload


def test_without_a_context_model_channels_of_any_layout_are_read_in_c_order() -> None:
    table = Table(0, np.array([1000] * 6 + [TOTAL - 6000]))
    pair = pair_of(None, ((table,) * 5,), (3, 4, 5), 1)
    symbols = np.random.default_rng(0).integers(0, 9, (2, 3, 4, 5), np.int32)
    coder = RunEncoder()
    for channel in range(5):
        coder.encode(
            TableRow([table]), Runs.equal(1, 24), np.ascontiguousarray(symbols[..., channel]).ravel()
        )
    payload = coder.payload()
    for layout in (symbols, np.asfortranarray(symbols), symbols[::-1][::-1]):
        assert encode_symbols(layout, pair, 0) == payload
    np.testing.assert_array_equal(decode_symbols(payload, pair, 0, (2, 3, 4)), symbols, strict=True)


def one_table(table: Table, mean: int) -> Pair:
    """One element an image, of one table and mean, in sixteenths."""
    model = ContextModel(
        (1,),
        1,
        np.zeros(0, np.int8),
        np.zeros((1, 1), np.int32),
        np.zeros((1, 0, 1), np.int32),
        np.zeros((0, 1), np.int32),
        np.zeros((1, 2, 1), np.int32),
        np.array([[[mean], [0]]], np.int32),
        np.zeros((1, 16), np.int32),
    )
    model.check(1, 1)
    return pair_of(model, ((table,),), (1, 1, 1), 1)


def payload_of(pair: Pair, symbols: list[int]) -> bytes:
    return encode_symbols(np.array(symbols, np.int32).reshape(-1, 1, 1, 1), pair, 0)


def symbols_of(pair: Pair, payload: bytes, count: int) -> list[int]:
    found: list[int] = decode_symbols(payload, pair, 0, (count, 1, 1)).ravel().tolist()
    return found


@pytest.mark.parametrize("low", [SYMBOL_MIN, -2, 0, 5, SYMBOL_MAX - 2])
@pytest.mark.parametrize("offset", [SYMBOL_MIN, -100, 0, 3, SYMBOL_MAX])
def test_entries_move_by_the_offset_and_other_symbols_escape(low: int, offset: int) -> None:
    pair = one_table(Table(low, np.array([TOTAL // 4] * 4)), 16 * offset)
    first = low + offset
    for symbol in {SYMBOL_MIN + 171, first - 1, first, first + 2, first + 3, -1, 0, SYMBOL_MAX}:
        if SYMBOL_MIN <= symbol <= SYMBOL_MAX:
            payload = payload_of(pair, [symbol] * 20)
            assert symbols_of(pair, payload, 20) == [symbol] * 20
            assert (len(payload) <= 7) == (first <= symbol < first + 3)


@pytest.mark.parametrize(
    ("low", "offset", "symbol"),
    [
        *[(0, SYMBOL_MAX, SYMBOL_MAX + 1), (0, SYMBOL_MIN, SYMBOL_MIN), (-1, SYMBOL_MIN, SYMBOL_MIN - 1)],
        *[(SYMBOL_MAX - 2, SYMBOL_MAX, 2 * SYMBOL_MAX), (SYMBOL_MIN, SYMBOL_MIN, 2 * SYMBOL_MIN)],
    ],
)
def test_an_entry_for_a_symbol_beyond_16_bits_is_refused(low: int, offset: int, symbol: int) -> None:
    table = Table(low, np.array([TOTAL // 4] * 4))
    pair = one_table(table, 16 * offset)
    coder = RunEncoder()
    symbols, offsets = np.array([symbol], np.int32), np.array([offset], np.int32)
    coder.encode(TableRow([table]), Runs.equal(1, 1), symbols, offsets)
    if symbol == SYMBOL_MIN:
        assert symbols_of(pair, coder.payload(), 1) == [symbol]
    else:
        with pytest.raises(
            DamagedPacketError, match="payload: expected symbols of 16 bits, found one beyond"
        ):
            symbols_of(pair, coder.payload(), 1)


def test_an_escaped_symbol_that_has_an_entry_at_its_offset_is_refused() -> None:
    table = Table(-1, np.array([TOTAL // 4] * 4))
    for symbol in range(92, 108):
        payload = payload_of(one_table(table, 16 * 50), [symbol])
        moved = one_table(table, 16 * 100)
        if 99 <= symbol <= 101:
            with pytest.raises(DamagedPacketError, match="a symbol was escaped that has an entry of its own"):
                symbols_of(moved, payload, 1)
        else:
            assert symbols_of(moved, payload, 1) == [symbol]


@settings(deadline=None, max_examples=200)
@given(seed=seeds, payload=st.binary(max_size=40), count=st.integers(1, 5), kind=st.sampled_from(KINDS))
def test_any_payload_is_symbols_of_16_bits_or_damaged(
    seed: int, payload: bytes, count: int, kind: str
) -> None:
    pair = random_context_pair(np.random.default_rng(seed), kind)
    try:
        symbols = decode_symbols(payload, pair, 0, (count, *pair.code_shape[:2]))
    except DamagedPacketError:
        return
    assert symbols.dtype == np.int32
    assert symbols.shape == (count, *pair.code_shape)
    assert SYMBOL_MIN <= symbols.min() <= symbols.max() <= SYMBOL_MAX
    again = encode_symbols(symbols, pair, 0)
    np.testing.assert_array_equal(decode_symbols(again, pair, 0, (count, *pair.code_shape[:2])), symbols)


# What a model may be


@pytest.fixture
def model() -> ContextModel:
    return make_model(np.random.default_rng(7), (2, 3, 4), 5, 2, 10, kind="lively")


def test_the_number_of_weights_is_that_of_the_matrices(model: ContextModel) -> None:
    assert ContextModel.weight_count(model.groups, model.units) == 2 * 5 + 7 * 6 + 5 * 5 + 15 * 8
    assert [matrix.shape for pair in model.matrices for matrix in pair] == [(2, 5), (7, 6), (5, 5), (15, 8)]
    flat = np.concatenate([matrix.ravel() for pair in model.matrices for matrix in pair])
    np.testing.assert_array_equal(flat, model.weights)
    assert ContextModel.weight_count((7,), 5) == 0


SHAPES = {
    "weights": (197,),
    "input_gain": (2, 9),
    "hidden_bias": (2, 2, 5),
    "hidden_shift": (2, 5),
    "output_gain": (2, 2, 9),
    "output_bias": (2, 2, 9),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("change", ["more", "fewer", "flat", "another axis", "none", "a number"])
def test_another_shape_is_refused_by_name(model: ContextModel, name: str, change: str) -> None:
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
        *[((3, 17), r"\[3, 16\], found \[3, 17\]"), ((48,), r"\[48, 16\], found \[48\]")],
        *[((1, 3, 16), r"\[1, 16\], found \[1, 3, 16\]"), ((), r"\[1, 16\], found \[\]")],
    ],
)
def test_a_table_index_of_another_shape_is_refused(
    model: ContextModel, shape: tuple[int, ...], told: str
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
def test_a_number_out_of_its_range_is_refused_by_name(model: ContextModel, name: str, place: int) -> None:
    low, high = RANGES[name]
    for value, good in ((low - 1, False), (low, True), (high, True), (high + 1, False)):
        values = getattr(model, name).copy()
        if not np.iinfo(values.dtype).min <= value <= np.iinfo(values.dtype).max:
            continue
        values.flat[place] = value
        changed = replace(model, **{name: values})
        if name == "hidden_bias" and good:
            changed = replace(changed, weights=np.zeros(197, np.int8))
        if good:
            changed.check(10, 2)
        else:
            with pytest.raises(
                BundleError, match=rf"^context, {name}: expected {low} to {high}, found .*{value}"
            ):
                changed.check(10, 2)


@pytest.mark.parametrize("qualities", [1, 3])
def test_another_number_of_qualities_is_refused(model: ContextModel, qualities: int) -> None:
    with pytest.raises(
        BundleError, match=rf"^context, input_gain: expected shape \[{qualities}, 9\], found \[2, 9\]"
    ):
        model.check(10, qualities)


def test_a_table_that_is_not_there_is_refused(model: ContextModel) -> None:
    most = int(model.table_index.max())
    model.check(most + 1, 2)
    with pytest.raises(
        BundleError, match=f"^context, table_index: expected 0 to {most - 1}, found .* to {most}$"
    ):
        model.check(most, 2)


@pytest.mark.parametrize(
    ("groups", "units"),
    [((), 5), ((0, 9), 5), ((-1, 10), 5), ((1,) * 65, 5), ((2, 3, 4), 0), ((2, 3, 4), -1)],
)
def test_groups_that_are_none_are_refused(model: ContextModel, groups: tuple[int, ...], units: int) -> None:
    with pytest.raises(BundleError, match=r"^context: expected 1 to 64 groups of at least 1 element"):
        replace(model, groups=groups, units=units).check(10, 2)


def test_64_groups_are_taken() -> None:
    model = make_model(np.random.default_rng(8), (1,) * 64, 1, 1, 3)
    elements = anything(np.random.default_rng(9), 100, 64)
    assert_same(predicted(model, 0, elements), in_integers(model, 0, elements)[0])


def summed(rows: int, bias: int, sign: int) -> ContextModel:
    """Two groups whose every sum of absolute weights is 127 ``rows`` and one weight more."""
    known, count = 1100, ContextModel.weight_count((1100, 1), 1)
    weights = np.zeros(count, np.int8)
    weights[:rows] = 127 * sign
    return ContextModel(
        (known, 1),
        1,
        weights,
        np.full((2, known + 1), 256, np.int32),
        np.array([[[0]], [[bias]]], np.int32),
        np.zeros((1, 1), np.int32),
        np.zeros((2, 2, known + 1), np.int32),
        np.zeros((2, 2, known + 1), np.int32),
        np.zeros((1, 16), np.int32),
    )


@pytest.mark.parametrize("sign", [-1, 1])
def test_hidden_sums_and_biases_of_more_than_24_bits_are_refused(sign: int) -> None:
    room = SUM_MAX - 127 * 127 * 1040
    summed(1040, sign * room, sign).check(1, 2)
    for rows, bias in ((1040, room + 1), (1041, 0), (1040, SUM_MAX), (1100, 0)):
        found = 127 * 127 * rows + bias
        told = rf"^context, weights: expected sums of at most 16,777,215 in group 1, found {found:,}$"
        with pytest.raises(BundleError, match=told):
            summed(rows, sign * bias, sign).check(1, 2)


def test_output_sums_of_more_than_24_bits_are_refused() -> None:
    model = summed(0, 0, 1)
    weights = model.weights.copy()
    outputs = weights[1100:].reshape(1101, 2)
    for column in range(2):
        outputs[:] = 0
        outputs[61:, column] = 127
        outputs[60, column] = 24
        replace(model, weights=weights.copy()).check(1, 2)
        outputs[60, column] = -25
        with pytest.raises(BundleError, match=r"sums of at most 16,777,215 in group 1, found 16,777,335$"):
            replace(model, weights=weights.copy()).check(1, 2)
