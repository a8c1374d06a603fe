"""Bundles that claim much and hold little, that hide what no bundle may hold, or that name code and files."""

import copy
from functools import partial
from importlib.resources import files
from typing import Any

import msgpack
import numpy as np
import pytest

from codec.bundle_reader import read_bundle
from codec.errors import BundleError, LimitError
from tests.attacks.cost import KIB, MIB, assert_quick, refused
from tests.fuzz.bundle import Tree, join, take_apart


@pytest.fixture
def tree() -> Tree:
    """A dense pair's decoder, taken apart."""
    found = take_apart(files("tests.golden").joinpath("dense-pair.decoder.msgpack").read_bytes())
    assert found is not None
    return found


def joined(tree: Tree) -> bytes:
    """The file of a tree, with its digests right."""
    return join(copy.deepcopy(tree))


def attack(
    tree: Tree, told: str, *, error: type[BundleError | LimitError] = BundleError, memory: int = MIB
) -> None:
    """The bundle of a tree is refused at no cost."""
    refused(partial(read_bundle, joined(tree)), told, error=error, memory=memory)


def empty(name: str, dtype: str, *shape: int) -> Tree:
    """A tensor that claims a shape and has no data."""
    return {"name": name, "dtype": dtype, "shape": list(shape), "data": b""}


def with_provenance(tree: Tree, raw: bytes) -> bytes:
    """A bundle whose provenance is any MessagePack whatever."""

    def pack(value: Tree) -> bytes:
        data: bytes = msgpack.packb(value)
        return data.replace(msgpack.packb("PROVENANCE"), raw)

    tree["body"]["provenance"] = "PROVENANCE"
    return join(tree, pack)


# Much claimed, little held


def test_a_tensor_of_terabytes_without_data_is_refused(tree: Tree) -> None:
    tree["body"]["weights"][0] = empty("codes/bias", "float32", 1 << 20, 1 << 20)
    attack(tree, r"tensor codes/bias: expected 4398046511104 bytes for shape \[1048576, 1048576\], found 0")


@pytest.mark.parametrize("shape", [(0, 1 << 62), (1 << 62, 4, 0), (1 << 63, 0)])
def test_a_tensor_of_nothing_in_a_shape_that_overflows_is_refused(tree: Tree, shape: tuple[int, ...]) -> None:
    tree["body"]["weights"][0] = empty("codes/bias", "float32", *shape)
    attack(tree, "codes/bias")


def test_networks_of_terabytes_without_weights_are_refused(tree: Tree) -> None:
    architecture = tree["body"]["shared"]["architecture"]
    architecture |= {"rows": 1024, "columns": 1024, "layers": 6, "filters": [1024] * 6}
    architecture |= {"units": 16384, "elements": 65536}
    tree["body"]["shared"]["image"] = [65535, 65535]
    for weight in tree["body"]["weights"]:
        weight |= {"shape": [0], "data": b""}
    attack(tree, "bundle")


def test_a_table_of_more_entries_than_the_limit_is_refused(tree: Tree) -> None:
    many = (1 << 22) + 1
    frequencies = tree["body"]["shared"]["table_frequencies"]
    frequencies |= {"shape": [many], "data": bytes(2 * many)}
    attack(
        tree, "frequencies: expected at most 4,194,304, found 4,194,305", error=LimitError, memory=64 * MIB
    )


def test_table_lengths_that_claim_more_entries_than_there_are_are_refused(tree: Tree) -> None:
    lengths = tree["body"]["shared"]["table_length"]
    lengths["data"] = np.full(lengths["shape"], (1 << 31) - 1, "<i4").tobytes()
    attack(tree, "tables: expected 19327352823 frequencies, found")


def test_a_context_model_of_billions_of_weights_without_data_is_refused(tree: Tree) -> None:
    context = tree["body"]["shared"]["context"]
    context |= {"groups": [65536] * 64, "units": 65536}
    for name in ("weights", "hidden_bias", "hidden_shift"):
        context[name] |= {"shape": [0], "data": b""}
    attack(tree, r"context, weights: expected shape \[\d{13,}\], found \[0\]")


def test_hidden_units_without_groups_to_use_them_cost_nothing(tree: Tree) -> None:
    context = tree["body"]["shared"]["context"]
    context |= {"groups": [12], "units": 65536}
    context["weights"] |= {"shape": [0], "data": b""}
    context["hidden_bias"] |= {"shape": [3, 0, 65536], "data": b""}
    context["hidden_shift"] |= {"shape": [0, 65536], "data": b""}
    assert read_bundle(joined(tree)).pair.context is not None
    assert_quick(partial(read_bundle, joined(tree)), 0.05)


# MessagePack


def test_a_mebibyte_of_empty_arrays_is_not_a_hundred_mebibytes_of_lists(tree: Tree) -> None:
    full = b"\xdc\x01\x00"  # an array of 256
    leaves = full + b"\x90" * 256
    raw = b"\x81\xa1a" + full + (full + leaves * 256) * 16 + b"\x90" * 240
    assert len(raw) > MIB
    data = with_provenance(tree, raw)
    refused(partial(read_bundle, data), "values: expected at most 65,536", error=LimitError, memory=20 * MIB)


def test_a_mebibyte_of_maps_is_not_either(tree: Tree) -> None:
    value: Any = None
    for _ in range(2):
        value = {f"{i:02x}": value for i in range(256)}
    raw = msgpack.packb({f"{i:02x}": value for i in range(4)})
    assert len(raw) > MIB
    data = with_provenance(tree, raw)
    refused(partial(read_bundle, data), "values: expected at most 65,536", error=LimitError, memory=24 * MIB)


def test_a_long_key_is_not_copied_for_every_value_below_it(tree: Tree) -> None:
    values: list[Any] = [{"k": 1}] * 200
    tree["body"]["provenance"] = {"x" * MIB: [values] * 50}
    assert_quick(partial(read_bundle, joined(tree)), 0.5)
    values.append({"bytes": b""})
    told = r"provenance, x{40}, bytes: expected plain values"
    refused(partial(read_bundle, joined(tree)), told, error=BundleError, seconds=0.5, memory=16 * MIB)


@pytest.mark.parametrize("level", [b"\x91", b"\x81\xa1a"], ids=["arrays", "maps"])
@pytest.mark.parametrize("depth", [9, 100, 510, 1000, 100_000])
def test_values_nested_without_end_are_refused(tree: Tree, level: bytes, depth: int) -> None:
    data = with_provenance(tree, b"\x81\xa1a" + level * (depth - 1) + b"\x00")
    refused(partial(read_bundle, data), "nested too deeply|MessagePack", memory=4 * MIB)


@pytest.mark.parametrize(
    "raw",
    [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"],
)
def test_lengths_of_gibibytes_without_data_are_refused(tree: Tree, raw: bytes) -> None:
    refused(partial(read_bundle, with_provenance(tree, b"\x81\xa1a" + raw)), "not readable as MessagePack")


@pytest.mark.parametrize("raw", [b"\x82\xa1a\x01\xa1a\x02", b"\x81\xa1a\x82\xa1b\x01\xa1b\x01"])
def test_a_second_value_for_a_key_cannot_hide_behind_the_first(tree: Tree, raw: bytes) -> None:
    refused(partial(read_bundle, with_provenance(tree, raw)), "expected unique string keys")


@pytest.mark.parametrize(
    "value",
    [
        msgpack.ExtType(1, b"cos\nsystem"),
        msgpack.Timestamp(0),
        msgpack.ExtType(42, bytes(100_000)),
        msgpack.ExtType(5, b""),
    ],
)
def test_extension_types_reach_no_code(tree: Tree, value: Any) -> None:
    tree["body"]["provenance"] = {"a": value}
    attack(tree, "no extension types|max_ext_len|Invalid timestamp", memory=4 * MIB)


# Names of code and files


@pytest.mark.parametrize(
    "kind",
    ["os.system", "codec.training.loop", "__import__('os')", "../dense", "Dense", "dense\0", "", "x" * MIB],
)
def test_an_architecture_that_names_code_is_refused(tree: Tree, kind: str) -> None:
    tree["body"]["shared"]["architecture"]["kind"] = kind
    attack(tree, "kind: expected one of convolutional, dense, residual, upsampling, found", memory=16 * MIB)


@pytest.mark.parametrize(
    "dtype", ["object", "O", "float64", "V8", "U4", "<f4", "datetime64", "float32,float32"]
)
def test_a_dtype_that_is_not_listed_reaches_no_array(tree: Tree, dtype: str) -> None:
    tree["body"]["weights"][0]["dtype"] = dtype
    attack(tree, "expected dtype float32, found")


def test_keys_of_a_mebibyte_are_not_told_in_full(tree: Tree) -> None:
    tree["body"]["shared"]["architecture"]["k" * MIB] = 1
    attack(tree, "architecture: expected the fields", memory=16 * MIB)


def test_a_pair_named_like_a_path_is_only_a_name(tree: Tree) -> None:
    tree["body"]["provenance"] = {"name": "../../etc/passwd"}
    assert read_bundle(joined(tree)).name == "../../etc/passwd"


def test_a_version_of_the_future_is_refused_by_name_and_nothing_behind_it_is_read(tree: Tree) -> None:
    data = msgpack.packb({"format": "codec bundle", "version": 2, "body": b"\xc1" * KIB})
    refused(
        partial(read_bundle, data),
        "expected format version 1, found 2; update split-codec",
        error=BundleError,
    )
