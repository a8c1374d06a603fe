"""Bundles of residual pairs: read as written, and refused by the rule that they break."""

import io
from dataclasses import replace
from functools import partial
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import codec
from codec.architecture import Residual, Side
from codec.bundle import Bundle, Pair
from codec.bundle_writer import write_bundle
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import ImageError, LimitError
from codec.inspection import BundleReport
from codec.limits import Limits
from codec.packet import Chunk, Header
from codec.packet_writer import write_packet
from codec.spatial_context import TAPS, SpatialContext
from codec.tables import TOTAL, Table
from tests.attacks.cost import MIB, refused
from tests.conftest import random_weights
from tests.golden import make
from tests.spatial_models import make_spatial_model
from tests.test_bundle import (
    CONTEXT_DTYPES,
    Bundles,
    Nested,
    agreed,
    anything,
    changed,
    edited,
    flat_tables,
    leaves,
    nested,
    put_at,
    read_by_both,
    refused_by_both,
    reordered,
    repaired,
    set_numbers,
    tensor,
)

SIDES: tuple[Side, Side] = get_args(Side)


@pytest.fixture(scope="module")
def bundles() -> Bundles:
    """Codes of 4x4x2 of images of 8x8, and a model of groups of 1, 2 and 5 elements."""
    encoder, decoder = make.residual_bundles()
    return encoder, decoder


def context_tensors(model: SpatialContext) -> Nested:
    return {name: tensor(name, dtype, getattr(model, name)) for name, dtype in CONTEXT_DTYPES.items()}


def with_context(bundle: Bundle, **values: Any) -> bytes:
    return changed(bundle, lambda shared: shared["context"].update(values))


@pytest.mark.parametrize("side", SIDES)
def test_a_residual_pair_reads_as_it_was_written(bundles: Bundles, side: Side) -> None:
    bundle = bundles[SIDES.index(side)]
    found = read_by_both(write_bundle(bundle))
    assert found.pair.architecture == bundle.pair.architecture
    for name, values in bundle.weights.items():
        np.testing.assert_array_equal(found.weights[name], values)
        assert found.weights[name].dtype == (np.float16 if name.endswith("/kernel") else np.float32)
    mine, theirs = found.pair.context, bundle.pair.context
    assert isinstance(mine, SpatialContext)
    assert isinstance(theirs, SpatialContext)
    assert (mine.groups, mine.units) == (theirs.groups, theirs.units)
    for name in CONTEXT_DTYPES:
        np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), strict=True)
        assert not getattr(mine, name).flags.writeable


@pytest.mark.parametrize("name", CONTEXT_DTYPES)
def test_pairs_that_differ_in_one_number_of_the_context_differ_in_their_digest(
    bundles: Bundles, name: str
) -> None:
    def change(shared: Nested) -> None:
        values = np.frombuffer(shared["context"][name]["data"], CONTEXT_DTYPES[name])
        set_numbers(shared["context"][name], CONTEXT_DTYPES[name], 0, 1 if values[0] == 0 else 0)

    assert read_by_both(changed(bundles[0], change)).pair.digest != bundles[0].pair.digest


def test_a_residual_pair_may_have_the_other_contexts(bundles: Bundles) -> None:
    certain = Table(-5, np.zeros(0, np.int64))
    pair = replace(bundles[1].pair, context=None, tables=((certain,) * 2,) * 3)
    assert read_by_both(write_bundle(replace(bundles[1], pair=pair))).pair.takes(7, 100)
    dense = make.dense_bundles()[0].pair
    pair = replace(bundles[1].pair, context=dense.context, tables=dense.tables)
    found = read_by_both(write_bundle(replace(bundles[1], pair=pair))).pair
    assert found.takes(5, 6)
    assert not found.takes(9, 8)


@pytest.mark.parametrize("size", [[1, 1], [65535, 65535], [7, 100]])
def test_the_pairs_own_images_may_have_any_size(bundles: Bundles, size: list[int]) -> None:
    found = read_by_both(changed(bundles[0], lambda shared: shared.update(image=size))).pair
    assert (found.height, found.width) == tuple(size)


# What is refused


@pytest.mark.parametrize("kind", ["local", "", "Spatial", b"spatial", None, 1, ["spatial"], {}, True, 1.5])
def test_an_unknown_kind_of_context_is_refused(bundles: Bundles, kind: Any) -> None:
    refused_by_both(
        with_context(bundles[0], kind=kind),
        "^bundle, shared, context, kind: expected 'spatial', found .*; update split-codec if the bundle is",
    )


def test_a_kind_that_is_not_the_first_key_is_refused(bundles: Bundles) -> None:
    def change(shared: Nested) -> None:
        kind = shared["context"].pop("kind")
        shared["context"]["kind"] = kind

    for edit in (change, lambda shared: shared.update(context=reordered(shared["context"]))):
        refused_by_both(changed(bundles[0], edit), "context: expected a map of kind, groups, units, weights")


@pytest.mark.parametrize("key", ["groups", "units", *CONTEXT_DTYPES])
def test_a_key_missing_or_too_many_is_refused(bundles: Bundles, key: str) -> None:
    missing = changed(bundles[0], lambda shared: shared["context"].pop(key))
    refused_by_both(missing, "context: expected a map of kind, groups, units, weights")
    refused_by_both(with_context(bundles[0], **{f"{key}x": 1}), "context: expected a map of kind, groups")


@pytest.mark.parametrize("make_bundles", [make.dense_bundles, make.convolutional_bundles])
def test_a_spatial_context_goes_with_residual_architectures_alone(make_bundles: Any) -> None:
    bundle = make_bundles()[0]
    channels = bundle.pair.architecture.code_channels
    model = make_spatial_model(np.random.default_rng(0), (4 * channels,), 2, 3, 1)
    context = {"kind": "spatial", "groups": [4 * channels], "units": 2, **context_tensors(model)}
    refused_by_both(
        changed(bundle, lambda shared: shared.update(flat_tables(1, 1), context=context)),
        "context: expected a spatial one with a residual architecture only, found it with "
        f"{bundle.pair.architecture.kind}$",
    )


@pytest.mark.parametrize("groups", [(1, 2, 4), (1, 2, 6), (4,), (16,), (2, 30)])
def test_a_context_of_other_elements_than_a_blocks_is_refused(
    bundles: Bundles, groups: tuple[int, ...]
) -> None:
    model = make_spatial_model(np.random.default_rng(0), groups, 3, 3, 9)
    context = {"kind": "spatial", "groups": list(groups), "units": 3, **context_tensors(model)}
    refused_by_both(
        changed(bundles[0], lambda shared: shared.update(context=context)),
        f"^bundle, shared, context: expected .* 8 .*, found {sum(groups)}",
    )


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        *[
            ([2, 0, 6], "whole numbers from 1 to 65536"),
            ([2, True, 5], "whole numbers"),
            (8, "whole numbers"),
        ],
        *[([], "1 to 64 groups"), ([1] * 65, "1 to 64 groups"), ([2, 1, 5], "weights: expected shape")],
        *[([8], "weights: expected shape"), ([65536] * 64, "weights: expected shape")],
    ],
    ids=str,
)
def test_groups_that_are_none_are_refused(bundles: Bundles, groups: Any, told: str) -> None:
    refused_by_both(with_context(bundles[0], groups=groups), told)


@pytest.mark.parametrize("name", CONTEXT_DTYPES)
def test_a_context_tensor_of_another_shape_or_type_is_refused_by_name(bundles: Bundles, name: str) -> None:
    model = bundles[0].pair.context
    values, dtype = getattr(model, name), CONTEXT_DTYPES[name]
    shapes = [values[:-1], values[None], values.ravel() if values.ndim > 1 else values[:, None]]
    for wrong in shapes:
        if name == "table_index" and wrong.ndim == 2:
            continue  # fewer scales are as good
        data = with_context(bundles[0], **{name: tensor(name, dtype, wrong)})
        refused_by_both(data, f"(^context, |bundle, tensor ){name}: expected (a )?shape")
    other = {"<i4": "|i1", "|i1": "<i4"}[dtype]
    data = with_context(bundles[0], **{name: tensor(name, other, np.zeros(values.shape))})
    refused_by_both(data, f"tensor {name}: expected dtype")


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        *[("weights", -127, None), ("input_gain", 0, 1 << 20), ("hidden_shift", 0, 23)],
        *[("hidden_bias", 1 - (1 << 24), (1 << 24) - 1), ("output_gain", 0, (1 << 28) - 1)],
        *[("output_bias", -(1 << 20), 1 << 20), ("table_index", 0, 8)],
    ],
)
def test_a_context_tensor_out_of_its_range_is_refused(
    bundles: Bundles, name: str, low: int, high: int | None
) -> None:
    for value in (low - 1, *([high + 1] if high is not None else [])):
        for place in (0, -1):

            def change(shared: Nested, place: int = place, value: int = value) -> None:
                set_numbers(shared["context"][name], CONTEXT_DTYPES[name], place, value)

            refused_by_both(changed(bundles[0], change), f"^context, {name}: expected {low} to .*{value}")


def test_sums_that_are_too_large_are_refused_by_their_pass(bundles: Bundles) -> None:
    def change(shared: Nested, place: int) -> None:
        set_numbers(shared["context"]["hidden_bias"], "<i4", place, (1 << 24) - 1)

    for number in range(5):
        data = changed(bundles[0], partial(change, place=3 * number))
        refused_by_both(data, f"sums of at most 16,777,215 in pass {number + 1}, found 1")


def test_a_certain_table_is_refused(bundles: Bundles) -> None:
    def change(shared: Nested) -> None:
        length = np.frombuffer(shared["table_length"]["data"], "<i4")
        values = np.frombuffer(shared["table_frequencies"]["data"], "<u2")
        set_numbers(shared["table_length"], "<i4", -1, 0)
        shared["table_frequencies"] = tensor("table_frequencies", "<u2", values[: -length[-1]])

    refused_by_both(changed(bundles[0], change), "context: expected no certain table, found one")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"filters": 3}, "^architecture, filters: expected an even number, found 3$"),
        ({"filters": 0}, "^architecture, filters: expected a whole number from 1 to 1024, found 0$"),
        ({"filters": 1026}, "^architecture, filters: expected a whole number from 1 to 1024, found 1026$"),
        ({"filters": [4]}, "^architecture, filters: expected a whole number from 1 to 1024"),
        ({"blocks": 17}, "^architecture, blocks: expected a whole number from 0 to 16, found 17$"),
        ({"blocks": -1}, "^architecture, blocks: expected a whole number from 0 to 16, found -1$"),
        ({"blocks": True}, "^architecture, blocks: expected a whole number from 0 to 16, found True$"),
        ({"qualities": 2}, "steps: expected the 2 qualities of the architecture, found 3$"),
        ({"code_channels": 3}, r"steps: expected shape \(3, 3\), found \(3, 2\)"),
        ({"filters": 6}, r"convolution_0/bias: expected shape \(3, 3\), found \(3, 2\)"),
        ({"layers": 2}, r"linear/kernel: expected shape \(64, 8\), found \(16, 8\)"),
        ({"image_channels": 2}, r"linear/kernel: expected shape \(32, 8\), found \(16, 8\)"),
        ({"blocks": 0}, "weights: expected 8 tensors, found 11"),
        ({"depth": 1}, "^architecture: expected the fields"),
        ({"kind": "convolutional"}, "^architecture: expected the fields"),
    ],
    ids=str,
)
def test_parts_that_are_out_of_bounds_or_disagree_are_refused(
    bundles: Bundles, values: dict[str, Any], told: str
) -> None:
    refused_by_both(changed(bundles[0], lambda shared: shared["architecture"].update(values)), told)


@pytest.mark.parametrize("side", SIDES)
def test_weights_of_another_shape_dtype_or_order_are_refused(bundles: Bundles, side: Side) -> None:
    bundle = bundles[SIDES.index(side)]
    for place, (name, values) in enumerate(bundle.weights.items()):
        new = tensor(name, values.dtype.str, np.concatenate([values, values[:1]]))
        data = edited(bundle, partial(put_at, path=("body", "weights", place), new=new))
        refused_by_both(data, f"{name}: expected shape")
        other = "<f4" if values.dtype == np.float16 else "<f2"
        new = tensor(name, other, values)
        data = edited(bundle, partial(put_at, path=("body", "weights", place), new=new))
        refused_by_both(data, f"{name}: expected dtype")
        wrong = np.full(values.shape, np.nan)
        new = tensor(name, values.dtype.str, wrong)
        data = edited(bundle, partial(put_at, path=("body", "weights", place), new=new))
        refused_by_both(data, f"{name}: expected finite numbers")
    turned = edited(bundle, lambda file: file["body"]["weights"].reverse())
    refused_by_both(turned, "expected this name")


@settings(deadline=None, max_examples=150)
@given(data=st.data(), side=st.sampled_from([0, 1]))
def test_any_value_in_any_place_is_read_or_refused_by_both(
    bundles: Bundles, data: st.DataObject, side: int
) -> None:
    file = nested(bundles[side])
    place = data.draw(st.sampled_from(list(leaves(file["body"]["shared"]))))
    put_at(file["body"]["shared"], place, data.draw(anything))
    agreed(repaired(file))


# What it tells, and what it costs


def test_a_residual_bundle_is_told(bundles: Bundles) -> None:
    found = codec.inspect(io.BytesIO(write_bundle(bundles[0])))
    assert isinstance(found, BundleReport)
    assert found.context == "the blocks around, 8 elements in 3 groups"
    assert found.code_shape == (4, 4, 2)
    assert found.architecture == {
        **{"kind": "residual", "image_channels": 1, "code_channels": 2, "layers": 1},
        **{"filters": 4, "blocks": 1, "qualities": 3},
    }
    assert "context         the blocks around, 8 elements in 3 groups\n" in found.to_text()


def test_values_of_the_context_model_in_a_chunk_are_counted_and_limited(bundles: Bundles) -> None:
    pair = bundles[0].pair
    for count, size, blocks in ((1, (8, 8), 4), (3, (8, 8), 4), (2, (1, 1), 1), (1, (7, 100), 50)):
        values = count * blocks * (len(TAPS) * 8 + 3)
        pair.check_chunk(count, *size, Limits(chunk_symbols=values))
        told = f"values of the context model in a chunk: expected at most {values - 1:,}, found {values:,}"
        with pytest.raises(LimitError, match=told):
            pair.check_chunk(count, *size, Limits(chunk_symbols=values - 1))


def test_many_hidden_units_cost_no_memory_that_is_not_counted() -> None:
    """A model of a megabyte that would need gigabytes for an image of a million pixels."""
    architecture = Residual(code_channels=1, layers=1, filters=2, blocks=0, qualities=1)
    units = 1 << 16
    context = SpatialContext(
        (4,),
        units,
        np.zeros(SpatialContext.weight_count((4,), units), np.int8),
        np.zeros((1, 4), np.int32),
        np.zeros((1, 1, units), np.int32),
        np.zeros((1, units), np.int32),
        np.zeros((1, 2, 2, 4), np.int32),
        np.zeros((1, 2, 2, 4), np.int32),
        np.zeros((1, 16), np.int32),
    )
    context.check(1, 1)
    tables = ((Table(0, np.array([TOTAL - 1, 1])),),)
    steps = np.ones((1, 1), np.float32)
    pair = Pair(architecture, 1024, 1024, steps, tables, bytes(32), bytes(32), context)
    decoder = Decoder(Bundle("decoder", pair, random_weights(architecture, "decoder", 0)))
    packet = write_packet(Header("single", 0, pair.digest[:4]), Chunk(0, 1, b""))
    told = "values of the context model in a chunk: expected at most 33,554,432, found 4,297,326,592"
    refused(partial(decoder.decode, packet), told, error=LimitError, memory=MIB)


# Codes


@pytest.mark.parametrize("shape", [(1, 3, 4, 2), (1, 4, 3, 2), (2, 1, 1, 2), (5, 7, 2)])
def test_codes_of_half_a_block_are_refused(bundles: Bundles, shape: tuple[int, ...]) -> None:
    rows, columns = shape[-3:-1]
    told = f"codes: expected an even number of rows and columns, found {rows}x{columns}"
    with pytest.raises(ImageError, match=told):
        Decoder(bundles[1]).images(np.zeros(shape, np.float32))


@pytest.mark.parametrize("size", [(8, 8), (7, 100), (1, 1), (33, 20)])
def test_an_images_symbols_are_its_own_in_any_company(bundles: Bundles, size: tuple[int, int]) -> None:
    encoder, decoder = Encoder(bundles[0]), Decoder(bundles[1])
    images = np.random.default_rng(1).integers(0, 256, (21, *size, 1), np.uint8)
    for quality in range(3):
        together = decoder.symbols(encoder.encode(images, quality=quality))
        assert together.shape == (21, *bundles[0].pair.architecture.code_shape(*size))
        for number in (0, 1, 20):
            alone = decoder.symbols(encoder.encode(images[number], quality=quality))
            np.testing.assert_array_equal(alone[0], together[number])


def test_what_a_picture_is_padded_with_repeats_its_last_row_and_column(bundles: Bundles) -> None:
    encoder = Encoder(bundles[0])
    image = np.random.default_rng(2).integers(0, 256, (5, 7, 1), np.uint8)
    padded = np.pad(image, ((0, 3), (0, 1), (0, 0)), mode="edge")
    np.testing.assert_array_equal(encoder.codes(image), encoder.codes(padded))
