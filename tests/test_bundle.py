"""The bundle format: what is written is read, and what breaks a rule is refused by that very rule."""

import copy
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.resources import files
from typing import Any, get_args

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec.architecture import Convolutional, Side
from codec.bundle import Bundle, Pair, is_bundle, weights_digest
from codec.bundle_reader import read_bundle
from codec.bundle_writer import write_bundle
from codec.context import ContextModel
from codec.context_arithmetic import SUM_MAX
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import (
    BundleError,
    CodecError,
    DamagedBundleError,
    LimitError,
    WrongPairError,
    WrongSideError,
)
from codec.limits import Limits
from codec.loading import load_bundle, pretrained
from codec.tables import TOTAL, Table
from tests import reference_reader
from tests.conftest import random_weights
from tests.context_models import make_model
from tests.golden import make
from tests.random_pairs import BUNDLES

Bundles = tuple[Bundle, Bundle]
Nested = dict[str, Any]
Edit = Callable[[Nested], object]
SIDES: tuple[Side, Side] = get_args(Side)


class Raw(bytes):
    """MessagePack that is written as it stands."""


def packed(value: Any) -> bytes:
    """MessagePack of ``value`` as the format wants it, but for what is ``Raw``."""
    data: bytes
    if isinstance(value, Raw):
        data = value
    elif isinstance(value, dict):
        data = msgpack.Packer().pack_map_header(len(value))
        data += b"".join(packed(key) + packed(item) for key, item in value.items())
    elif isinstance(value, list):
        data = msgpack.Packer().pack_array_header(len(value)) + b"".join(map(packed, value))
    else:
        data = msgpack.packb(value)
    return data


def nested(bundle: Bundle) -> Nested:
    """A bundle's file as dicts and lists, with the packed parts opened."""
    file: Nested = msgpack.unpackb(write_bundle(bundle))
    file["body"] = msgpack.unpackb(file["body"])
    file["body"]["shared"] = msgpack.unpackb(file["body"]["shared"])
    return file


def is_digest(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == 32


def repaired(file: Nested) -> bytes:
    """The file of ``file``, with the digest of the weights and the SHA-256 of the body made right again.

    A digest of another length or type than it should have is left alone, and so is whatever is missing.
    """
    file = copy.deepcopy(file)
    body = file.get("body")
    if isinstance(body, dict):
        shared = body.get("shared")
        if isinstance(shared, dict):
            half = "synthesis_sha256" if body.get("side") == "decoder" else "analysis_sha256"
            if is_digest(shared.get(half)) and isinstance(body.get("weights"), list):
                shared[half] = hashlib.sha256(b"".join(map(packed, body["weights"]))).digest()
            body["shared"] = packed(shared)
        file["body"] = packed(body)
    if is_digest(file.get("sha256")) and isinstance(file.get("body"), bytes):
        file["sha256"] = hashlib.sha256(file["body"]).digest()
    return packed(file)


def edited(bundle: Bundle, edit: Edit) -> bytes:
    file = nested(bundle)
    edit(file)
    return repaired(file)


def refused(data: bytes, told: str, error: type[CodecError] = BundleError) -> None:
    with pytest.raises(error, match=told):
        read_bundle(data)


def reordered(values: Nested) -> Nested:
    return dict(reversed(values.items()))


def numbers(dtype: str, values: Any) -> bytes:
    return np.asarray(values, dtype).tobytes()


def set_numbers(tensor: Nested, dtype: str, place: int, value: Any) -> None:
    """Put ``value`` in ``place`` among the tensor's values."""
    values = np.frombuffer(tensor["data"], dtype).copy()
    values[place] = value
    tensor["data"] = values.tobytes()


def tensor(name: str, dtype: str, values: Any) -> Nested:
    array = np.asarray(values, dtype)
    return {"name": name, "dtype": array.dtype.name, "shape": list(array.shape), "data": array.tobytes()}


def set_tables(shared: Nested, low: Any, length: Any, frequencies: Any) -> None:
    """The tables of three contexts, by quality, in place of those that are there."""
    shared["table_low"] = tensor("table_low", "<i4", low)
    shared["table_length"] = tensor("table_length", "<i4", length)
    shared["table_frequencies"] = tensor("table_frequencies", "<u2", frequencies)


# What is written is read


@pytest.mark.parametrize("side", SIDES)
def test_a_bundle_reads_as_it_was_written(small_bundles: Bundles, side: Side) -> None:
    bundle = small_bundles[SIDES.index(side)]
    found = read_bundle(write_bundle(bundle), side)
    assert (found.side, found.name, found.provenance) == (side, "random", bundle.provenance)
    assert list(found.weights) == list(bundle.weights)
    for name, values in bundle.weights.items():
        np.testing.assert_array_equal(found.weights[name], values)
    pair = bundle.pair
    assert found.pair.architecture == pair.architecture
    assert (found.pair.height, found.pair.width) == (8, 8)
    np.testing.assert_array_equal(found.pair.steps, pair.steps)
    for mine, theirs in zip(sum(found.pair.tables, ()), sum(pair.tables, ()), strict=True):
        assert mine.low == theirs.low
        np.testing.assert_array_equal(mine.frequencies, theirs.frequencies)
    assert found.pair.digest == pair.digest


@pytest.mark.parametrize("side", SIDES)
def test_reading_and_writing_again_gives_the_same_bytes(small_bundles: Bundles, side: Side) -> None:
    data = write_bundle(small_bundles[SIDES.index(side)])
    assert write_bundle(read_bundle(data)) == data


@pytest.mark.parametrize("side", SIDES)
def test_equal_content_gives_equal_bytes(small_bundles: Bundles, side: Side) -> None:
    bundle = small_bundles[SIDES.index(side)]
    pair = bundle.pair
    weights = {name: np.asfortranarray(values) for name, values in bundle.weights.items()}
    again = Bundle(side, replace(pair, steps=np.asfortranarray(pair.steps)), weights, dict(bundle.provenance))
    assert write_bundle(again) == write_bundle(bundle)


@pytest.mark.parametrize("side", SIDES)
def test_a_file_taken_apart_and_put_together_by_hand_is_the_same(small_bundles: Bundles, side: Side) -> None:
    bundle = small_bundles[SIDES.index(side)]
    assert repaired(nested(bundle)) == write_bundle(bundle)


def test_a_bundle_that_was_read_cannot_be_changed(small_bundles: Bundles) -> None:
    bundle = read_bundle(write_bundle(small_bundles[0]))
    arrays: list[NDArray[Any]] = [*bundle.weights.values(), bundle.pair.steps]
    arrays.append(bundle.pair.tables[0][0].frequencies)
    assert not any(array.flags.writeable for array in arrays)


def test_both_files_of_a_pair_hold_the_same_shared_part(small_bundles: Bundles) -> None:
    first, second = (msgpack.unpackb(msgpack.unpackb(write_bundle(b))["body"]) for b in small_bundles)
    assert first["shared"] == second["shared"]
    digest = hashlib.sha256(first["shared"]).digest()
    assert [read_bundle(write_bundle(b)).pair.digest for b in small_bundles] == [digest, digest]


def test_packets_begin_with_the_digest_of_the_pair(small_pair: tuple[Encoder, Decoder]) -> None:
    encoder, decoder = small_pair
    image = np.zeros((8, 8), np.uint8)
    assert encoder.encode(image)[4:8] == decoder.bundle.pair.digest[:4]
    assert encoder.encode(image, compact=True)[1:4] == decoder.bundle.pair.digest[:3]


@pytest.mark.parametrize("side", SIDES)
def test_pairs_that_differ_in_one_weight_differ_in_their_digest(small_bundles: Bundles, side: Side) -> None:
    def change(file: Nested) -> None:
        set_numbers(file["body"]["weights"][0], "<f4", 0, 0.5)

    changed = read_bundle(edited(small_bundles[SIDES.index(side)], change))
    assert changed.pair.digest != small_bundles[0].pair.digest
    if side == "encoder":
        with pytest.raises(WrongPairError, match=changed.pair.digest[:4].hex()):
            Decoder(small_bundles[1]).decode(Encoder(changed).encode(np.zeros((8, 8), np.uint8)))


def test_provenance_changes_no_digest(small_bundles: Bundles) -> None:
    other = replace(small_bundles[0], provenance={"name": "other"})
    found = read_bundle(write_bundle(other))
    assert (found.name, found.pair.digest) == ("other", small_bundles[0].pair.digest)


PLAIN: dict[str, Any] = {
    "text": "ü",
    "numbers": [0, -1, 1.5, 1 << 63, -(1 << 63), True, None],
    "map": {"z": 1, "a": {"b": []}, "": {}},
}


def test_plain_provenance_is_kept_in_its_order(small_bundles: Bundles) -> None:
    found = read_bundle(write_bundle(replace(small_bundles[0], provenance=PLAIN)))
    assert found.provenance == PLAIN
    assert [list(found.provenance), list(found.provenance["map"])] == [list(PLAIN), ["z", "a", ""]]
    assert found.name == "unnamed"


def test_a_pair_of_certain_tables_alone_is_read(small_bundles: Bundles) -> None:
    certain = Table(-5, np.zeros(0, np.int64))
    pair = replace(small_bundles[1].pair, tables=((certain,) * 3,) * 3)
    found = read_bundle(write_bundle(replace(small_bundles[1], pair=pair)))
    assert [table.low for table in sum(found.pair.tables, ())] == [-5] * 9
    assert all(table.certain for table in sum(found.pair.tables, ()))


def test_tables_may_reach_both_ends_of_sixteen_bits(small_bundles: Bundles) -> None:
    def change(file: Nested) -> None:
        low, length = np.zeros((3, 3)), np.zeros((3, 3))
        low[0], length[0] = (-32768, 32767, 32766), (3, 2, 3)
        set_tables(file["body"]["shared"], low, length, [1, 1, 65534, 65535, 1, 1, 2, 65533])

    tables = read_bundle(edited(small_bundles[0], change)).pair.tables[0]
    assert [(table.low, table.escape) for table in tables] == [(-32768, 2), (32767, 1), (32766, 2)]


# Neither side's file holds the other's weights


def assert_no_weight_of_the_other(encoder: bytes, decoder: bytes) -> None:
    both = (encoder, decoder)
    for own, other in (both, both[::-1]):
        tensors = [values.tobytes() for values in read_bundle(other).weights.values()]
        assert all(data in other for data in tensors)
        assert not any(data in own for data in tensors)


def test_neither_file_holds_a_weight_of_the_other_side(small_bundles: Bundles) -> None:
    assert_no_weight_of_the_other(*map(write_bundle, small_bundles))


def shipped(name: str, side: Side) -> bytes:
    return files("codec.shipped").joinpath(f"{name}.{side}.msgpack").read_bytes()


@pytest.mark.parametrize("name", pretrained())
def test_no_shipped_file_holds_a_weight_of_the_other_side(name: str) -> None:
    assert_no_weight_of_the_other(shipped(name, "encoder"), shipped(name, "decoder"))


@pytest.mark.parametrize("name", pretrained())
@pytest.mark.parametrize("side", SIDES)
def test_shipped_files_are_as_the_writer_writes_them(name: str, side: Side) -> None:
    bundle = load_bundle(name, side)
    assert write_bundle(bundle) == shipped(name, side)
    assert bundle.pair.digest == load_bundle(name, "encoder").pair.digest
    assert bundle.name == name


# Damage


def test_every_flipped_bit_is_refused(small_bundles: Bundles) -> None:
    data = write_bundle(small_bundles[0])
    accepted = []
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            accepted.append((bit, read_bundle(bytes(damaged))))
        except BundleError:
            continue
    assert accepted == []


@pytest.mark.parametrize("side", SIDES)
def test_every_proper_prefix_is_refused(small_bundles: Bundles, side: Side) -> None:
    data = write_bundle(small_bundles[SIDES.index(side)])
    for length in range(len(data)):
        with pytest.raises(BundleError, match="bundle"):
            read_bundle(data[:length])


@pytest.mark.parametrize("tail", [b"\0", b"\xc0", b"x" * 1000])
def test_bytes_behind_the_file_the_body_or_the_shared_part_are_refused(
    small_bundles: Bundles, tail: bytes
) -> None:
    file = nested(small_bundles[0])
    refused(repaired(file) + tail, r"^bundle: not readable as MessagePack: .*extra data")
    inner, outer = copy.deepcopy(file), copy.deepcopy(file)
    inner["body"]["shared"] = packed(inner["body"]["shared"]) + tail
    refused(repaired(inner), r"^bundle, shared: not readable as MessagePack: .*extra data")
    outer["body"] = msgpack.unpackb(msgpack.unpackb(repaired(file))["body"])
    outer["body"] = packed(outer["body"]) + tail
    refused(repaired(outer), r"^bundle, body: not readable as MessagePack: .*extra data")


def test_a_body_that_does_not_match_its_digest_is_damaged(small_bundles: Bundles) -> None:
    file = nested(small_bundles[0])
    data = bytearray(write_bundle(small_bundles[0]))
    data[-1] ^= 1
    refused(bytes(data), "SHA-256 does not match; it is damaged", DamagedBundleError)
    outer = msgpack.unpackb(repaired(file))
    for digest in (
        b"",
        outer["sha256"][:31],
        outer["sha256"] + b"\0",
        bytes(32),
        outer["sha256"].hex(),
        None,
    ):
        refused(packed({**outer, "sha256": digest}), "SHA-256 does not match", DamagedBundleError)


@pytest.mark.parametrize("side", SIDES)
def test_weights_that_do_not_match_their_digest_are_refused(small_bundles: Bundles, side: Side) -> None:
    body = nested(small_bundles[SIDES.index(side)])["body"]
    set_numbers(body["weights"][0], "<f4", 0, 0.5)
    body["shared"] = packed(body["shared"])
    data = repaired({"format": "codec bundle", "version": 1, "sha256": bytes(32), "body": packed(body)})
    refused(data, f"{side}'s weights: they do not match the digest", DamagedBundleError)


def test_the_other_sides_digest_is_not_checked_against_these_weights(small_bundles: Bundles) -> None:
    def change(file: Nested) -> None:
        file["body"]["shared"]["synthesis_sha256"] = bytes(32)

    assert read_bundle(edited(small_bundles[0], change)).pair.synthesis_sha256 == bytes(32)


# Sides, versions and what is no bundle at all


@pytest.mark.parametrize(
    "data", [b"", b"\x84", b"\x84\xa6forma", b"\xc3\x7a\x10\0", b"PK\3\4", b"\x94\xa6format"]
)
def test_what_does_not_begin_like_a_bundle_is_none(data: bytes) -> None:
    assert not is_bundle(data)
    refused(data, "this is not a bundle")


@pytest.mark.parametrize("side", SIDES)
def test_the_other_sides_bundle_is_refused_by_name(small_bundles: Bundles, side: Side) -> None:
    other = SIDES[1 - SIDES.index(side)]
    data = write_bundle(small_bundles[SIDES.index(side)])
    assert read_bundle(data, side).side == side
    with pytest.raises(WrongSideError, match=f"expected .*{other}'s, found .*{side}'s"):
        read_bundle(data, other)


@pytest.mark.parametrize("version", [0, 2, 255, -1, 1 << 63])
@pytest.mark.parametrize("rest", [{"sha256": b"", "body": b""}, {}, {"other": [1, {"more": 2}]}])
def test_an_unknown_version_is_named_whatever_stands_behind_it(version: int, rest: Nested) -> None:
    data = packed({"format": "codec bundle", "version": version, **rest})
    refused(data, rf"expected format version 1, found {version}; update split-codec")


@pytest.mark.parametrize("version", [True, 1.0, "1", b"1", None, [1], {"a": 1}])
def test_a_version_of_another_type_is_none(small_bundles: Bundles, version: Any) -> None:
    refused(edited(small_bundles[0], lambda f: f.update(version=version)), "expected format version 1, found")


@pytest.mark.parametrize("value", ["codec", "Codec bundle", "", b"codec bundle", 1, None, ["codec bundle"]])
def test_another_format_is_refused(small_bundles: Bundles, value: Any) -> None:
    refused(
        edited(small_bundles[0], lambda f: f.update(format=value)), "format: expected 'codec bundle', found"
    )


@pytest.mark.parametrize("value", ["Encoder", "both", "", b"encoder", 0, None, ["encoder"], {"encoder": 1}])
def test_another_side_is_refused(small_bundles: Bundles, value: Any) -> None:
    data = edited(small_bundles[0], lambda f: f["body"].update(side=value))
    refused(data, "side: expected encoder or decoder, found")


@pytest.mark.parametrize("kind", ["transformer", "Convolutional", "", b"convolutional", None, 1, [], {}])
def test_an_unknown_kind_is_refused(small_bundles: Bundles, kind: Any) -> None:
    data = edited(small_bundles[0], lambda f: f["body"]["shared"]["architecture"].update(kind=kind))
    refused(data, "architecture, kind: expected one of convolutional, dense, residual, upsampling, found")


@pytest.mark.parametrize("context", ["position", "", b"channel", None, 1, ["channel"], True, 1.5])
def test_an_unknown_context_is_refused(small_bundles: Bundles, context: Any) -> None:
    data = edited(small_bundles[0], lambda f: f["body"]["shared"].update(context=context))
    refused(data, "^bundle, shared, context: expected 'channel' or a map, found")


# Every map: keys missing, added, in another order


def maps(file: Nested) -> dict[str, tuple[Nested, str]]:
    """Each map of a file but the provenance, and what an error about it begins with."""
    body = file["body"]
    shared = body["shared"]
    return {
        "file": (file, "bundle"),
        "body": (body, "bundle, body"),
        "shared": (shared, "bundle, shared"),
        "architecture": (shared["architecture"], "architecture"),
        "steps": (shared["steps"], "bundle, tensor steps"),
        "table_low": (shared["table_low"], "bundle, tensor table_low"),
        "table_length": (shared["table_length"], "bundle, tensor table_length"),
        "table_frequencies": (shared["table_frequencies"], "bundle, tensor table_frequencies"),
        "weight": (body["weights"][1], "bundle, tensor convolution_0/kernel"),
    }


MAPS = [
    "file",
    "body",
    "shared",
    "architecture",
    "steps",
    "table_low",
    "table_length",
    "table_frequencies",
    "weight",
]


UNNAMED = {
    "format": "is not a bundle",
    "version": "format version 1, found None",
    "kind": "architecture, kind: expected one of convolutional, dense, residual, upsampling, found None",
}
"""What is said where a key is missing that all else depends on."""


def replaced(values: Nested, other: Nested) -> None:
    values.clear()
    values.update(other)


@pytest.mark.parametrize("which", MAPS)
def test_a_map_with_a_key_missing_is_refused(small_bundles: Bundles, which: str) -> None:
    for key in maps(nested(small_bundles[0]))[which][0]:
        file = nested(small_bundles[0])
        values, where = maps(file)[which]
        value = values.pop(key)
        told = UNNAMED.get(key)
        refused(repaired(file), told or f"{where}: expected .*{key}")
        values[f"other {key}"] = value
        refused(repaired(file), told or f"{where}: expected .*other {key}")


@pytest.mark.parametrize("which", MAPS)
@pytest.mark.parametrize("key", ["extra", "", "name ", "\0"])
def test_a_map_with_a_key_too_many_is_refused(small_bundles: Bundles, which: str, key: str) -> None:
    file = nested(small_bundles[0])
    values, where = maps(file)[which]
    values[key] = 1
    refused(repaired(file), f"{where}: expected .*{re.escape(repr(key))}")


@pytest.mark.parametrize("which", MAPS)
def test_a_map_in_another_order_is_refused(small_bundles: Bundles, which: str) -> None:
    keys = list(maps(nested(small_bundles[0]))[which][0])
    for place in range(len(keys) - 1):
        file = nested(small_bundles[0])
        values, where = maps(file)[which]
        order = [*keys[:place], keys[place + 1], keys[place], *keys[place + 2 :]]
        replaced(values, {key: values[key] for key in order})
        told = "is not a bundle" if which == "file" and place == 0 else f"{where}: expected"
        refused(repaired(file), told)


@pytest.mark.parametrize("which", MAPS)
def test_something_else_in_place_of_a_map_is_refused(small_bundles: Bundles, which: str) -> None:
    values: list[Any] = [None, True, 1, 1.5, "map", b"map", [], [["a", 1]], {}]
    for value in values:
        file = nested(small_bundles[0])
        if which == "file":
            refused(packed(value), "this is not a bundle")
        else:
            put_at(file, PATHS[which], value)
            refused(repaired(file), "bundle|architecture")


PATHS: dict[str, tuple[str | int, ...]] = {
    "body": ("body",),
    "shared": ("body", "shared"),
    "architecture": ("body", "shared", "architecture"),
    "steps": ("body", "shared", "steps"),
    "table_low": ("body", "shared", "table_low"),
    "table_length": ("body", "shared", "table_length"),
    "table_frequencies": ("body", "shared", "table_frequencies"),
    "weight": ("body", "weights", 1),
}


def put_at(value: Any, path: Sequence[str | int], new: Any) -> None:
    for step in path[:-1]:
        value = value[step]
    value[path[-1]] = new


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of all the values below ``value``, maps and arrays included."""
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for step, item in items:
        yield (*path, step)
        yield from leaves(item, (*path, step))


OTHERS: list[Any] = [
    None,
    True,
    False,
    -1,
    1 << 63,
    1.0,
    float("nan"),
    "text",
    b"bytes",
    [],
    [[]],
    {},
    {"a": 1},
]


def accepted_values(bundle: Bundle, least: int) -> list[Any]:
    """Values of another type that are read in some place, of at least so many places."""
    paths = [path for path in leaves(nested(bundle)) if path[:2] != ("body", "provenance")]
    assert len(paths) > least
    accepted = []
    for path in paths:
        for value in OTHERS:
            file = nested(bundle)
            put_at(file, path, value)
            try:
                accepted.append((path, value, read_bundle(repaired(file))))
            except BundleError as error:
                if not str(error).startswith(("bundle", "architecture", "tables", "context")):
                    raise
    return accepted


@pytest.mark.parametrize("side", SIDES)
def test_every_value_of_another_type_is_refused(small_bundles: Bundles, side: Side) -> None:
    assert accepted_values(small_bundles[SIDES.index(side)], 60) == []


@pytest.mark.parametrize("side", SIDES)
def test_every_value_of_another_type_in_a_dense_pair_is_refused(dense_bundles: Bundles, side: Side) -> None:
    assert accepted_values(dense_bundles[SIDES.index(side)], 180) == []


# MessagePack that the format does not allow


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        (("version",), b"\xcc\x01"),
        (("version",), b"\xd0\x01"),
        (("format",), b"\xd9\x0ccodec bundle"),
        (("body", "side"), b"\xd9\x07encoder"),
        (("body", "shared", "image"), b"\xdc\x00\x02\x08\x08"),
        (("body", "shared", "image", 0), b"\xcc\x08"),
        (("body", "shared", "architecture", "layers"), b"\xd1\x00\x01"),
        (("body", "shared", "steps", "shape", 0), b"\xcd\x00\x03"),
        (("body", "weights", 0, "name"), b"\xd9\x12convolution_0/bias"),
        (("body", "weights", 0, "data"), b"\xc5\x00\x0c" + bytes(12)),
        (("body", "weights", 0, "shape"), b"\xdc\x00\x01\x03"),
        (("body", "provenance"), b"\xde\x00\x00"),
        (("body", "provenance"), b"\x81\xa1a\xca\x3f\x80\x00\x00"),
        (("body", "provenance"), b"\x81\xd9\x01a\x01"),
    ],
    ids=str,
)
def test_a_value_that_is_not_in_its_shortest_form_is_refused(
    small_bundles: Bundles, path: tuple[str | int, ...], raw: bytes
) -> None:
    file = nested(small_bundles[0])
    short = copy.deepcopy(file)
    put_at(short, path, msgpack.unpackb(raw))
    read_bundle(repaired(short))
    put_at(file, path, Raw(raw))
    refused(repaired(file), "in its shortest form")


@pytest.mark.parametrize("path", [("version",), *PATHS.values(), ("body", "provenance")], ids=str)
@pytest.mark.parametrize(
    "raw",
    [
        b"\xd4\x01x",
        b"\xd6\xff\0\0\0\0",
        b"\xd7\xff" + bytes(8),
        b"\xc7\x0c\xff" + bytes(12),
        b"\xc7\x00\x05",
        b"\xc7\x00\xff",
        b"\xc8\x00\x01\x00x",
        b"\xc9\xff\xff\xff\xff\x00",
    ],
    ids=["fixext", "timestamp32", "timestamp64", "timestamp96", "empty", "empty timestamp", "ext16", "huge"],
)
def test_extension_types_are_refused(small_bundles: Bundles, path: tuple[str | int, ...], raw: bytes) -> None:
    file = nested(small_bundles[0])
    put_at(file, path, Raw(raw))
    refused(repaired(file), "bundle.*: (not readable as MessagePack|expected no extension types)")


def doubled(values: Nested) -> Raw:
    first = next(iter(values))
    items = b"".join(packed(key) + packed(value) for key, value in values.items())
    header = msgpack.Packer().pack_map_header(len(values) + 1)
    return Raw(header + items + packed(first) + packed(values[first]))


@pytest.mark.parametrize("which", [*PATHS, "provenance"])
def test_a_key_that_stands_twice_is_refused(small_bundles: Bundles, which: str) -> None:
    file = nested(small_bundles[0])
    path = PATHS.get(which, ("body", "provenance"))
    value: Any = file
    for step in path:
        value = value[step]
    if which == "body":
        value["shared"] = packed(value["shared"])
    put_at(file, path, packed(doubled(value)) if which in ("body", "shared") else doubled(value))
    refused(repaired(file), "expected unique string keys")


def test_a_key_that_stands_twice_in_the_file_is_refused(small_bundles: Bundles) -> None:
    file = msgpack.unpackb(write_bundle(small_bundles[0]))
    refused(doubled(file), "^bundle: expected unique string keys")


@pytest.mark.parametrize(
    "key", [b"\x01", b"\xc4\x01a", b"\xc0", b"\xc3", b"\x90", b"\x80", b"\xcb" + bytes(8)]
)
def test_keys_that_are_no_strings_are_refused(small_bundles: Bundles, key: bytes) -> None:
    file = nested(small_bundles[0])
    file["body"]["provenance"] = Raw(b"\x81" + key + b"\x01")
    refused(repaired(file), "bundle, body: (expected unique string keys|not readable as MessagePack)")


@pytest.mark.parametrize("text", [b"\xa1\xff", b"\xa2\xc0\xae", b"\xa3\xed\xa0\x80", b"\xa1\xc3"])
def test_strings_that_are_not_utf8_are_refused(small_bundles: Bundles, text: bytes) -> None:
    for raw in (b"\x81\xa1a" + text, b"\x81" + text + b"\x01"):
        file = nested(small_bundles[0])
        file["body"]["provenance"] = Raw(raw)
        refused(repaired(file), "bundle, body: not readable as MessagePack: .*utf-8")


@pytest.mark.parametrize(
    "raw", [b"\xc1", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff"]
)
def test_lengths_that_no_file_holds_are_refused(small_bundles: Bundles, raw: bytes) -> None:
    for path in (("body",), ("body", "shared"), ("body", "weights"), ("body", "provenance")):
        file = nested(small_bundles[0])
        put_at(file, path, Raw(raw))
        refused(repaired(file), "bundle.*: not readable as MessagePack")


DEEP_PATHS: list[tuple[str | int, ...]] = [
    ("version",),
    ("body", "side"),
    ("body", "shared", "image"),
    ("body", "shared", "context"),
    ("body", "shared", "architecture", "kind"),
    ("body", "shared", "architecture", "layers"),
    ("body", "weights", 0, "name"),
    ("body", "weights", 0, "dtype"),
    ("body", "weights", 0, "shape"),
    *PATHS.values(),
]


@pytest.mark.parametrize("depth", [1, 9, 100, 300, 500, 510, 511, 512, 600, 1000, 1022, 1023, 1024, 100_000])
@pytest.mark.parametrize("path", DEEP_PATHS, ids=str)
def test_values_nested_deeply_are_refused(
    small_bundles: Bundles, path: tuple[str | int, ...], depth: int
) -> None:
    for raw in (b"\x91" * depth + b"\x90", b"\x81\xa1a" * depth + b"\x80"):
        file = nested(small_bundles[0])
        put_at(file, path, Raw(raw))
        refused(repaired(file), "^bundle|^architecture")


# The shared part


@pytest.mark.parametrize("name", ["image_channels", "code_channels", "layers", "filters"])
@pytest.mark.parametrize("value", [0, -1, 1025, 1 << 63, 3.0, True, "3", None])
def test_an_architecture_out_of_bounds_is_refused(small_bundles: Bundles, name: str, value: Any) -> None:
    data = edited(small_bundles[0], lambda f: f["body"]["shared"]["architecture"].update({name: value}))
    refused(data, f"architecture, {name}: expected a whole number from 1 to .*, found {value!r}")


@pytest.mark.parametrize(
    "size",
    [[0, 8], [8, 0], [65536, 8], [8, 65536], [-1, 8], [8], [8, 8, 1], [], [8.0, 8], [True, 8], ["8", 8]],
)
def test_an_image_size_out_of_bounds_is_refused(small_bundles: Bundles, size: list[Any]) -> None:
    data = edited(small_bundles[0], lambda f: f["body"]["shared"].update(image=size))
    refused(data, r"shared, image: expected \[height, width\] of 1 to 65535, found \[")


@pytest.mark.parametrize("name", ["analysis_sha256", "synthesis_sha256"])
@pytest.mark.parametrize("length", [0, 31, 33])
def test_digests_of_another_length_are_refused(small_bundles: Bundles, name: str, length: int) -> None:
    data = edited(small_bundles[0], lambda f: f["body"]["shared"].update({name: bytes(length)}))
    refused(data, "shared: expected digests of 32 bytes")


@pytest.mark.parametrize("value", [0.0, -0.0, -1.0, np.inf, -np.inf, np.nan, 2.0**-41, 2.0**41, 1e-45, 3e38])
@pytest.mark.parametrize("place", [0, 4, 8])
def test_steps_that_are_not_positive_numbers_of_a_sane_size_are_refused(
    small_bundles: Bundles, place: int, value: float
) -> None:
    data = edited(small_bundles[0], lambda f: set_numbers(f["body"]["shared"]["steps"], "<f4", place, value))
    refused(data, r"shared, steps: expected numbers from 2\^-40 to 2\^40")


@pytest.mark.parametrize("value", [2.0**-40, 1.0, 2.0**40])
def test_steps_within_their_bounds_decode_without_a_warning(small_bundles: Bundles, value: float) -> None:
    def change(file: Nested) -> None:
        file["body"]["shared"]["steps"]["data"] = numbers("<f4", np.full(9, value))

    sender, receiver = (read_bundle(edited(b, change)) for b in small_bundles)
    assert sender.pair.architecture == receiver.pair.architecture
    packet = Encoder(replace(sender, pair=receiver.pair)).encode(np.full((8, 8), 255, np.uint8))
    assert Decoder(receiver).decode(packet).shape == (1, 8, 8, 1)


@pytest.mark.parametrize("qualities", [0, 257])
def test_too_few_or_too_many_qualities_are_refused(small_bundles: Bundles, qualities: int) -> None:
    def change(file: Nested) -> None:
        file["body"]["shared"]["steps"] = tensor("steps", "<f4", np.ones((qualities, 3)))
        set_tables(file["body"]["shared"], np.zeros((qualities, 3)), np.zeros((qualities, 3)), [])

    refused(edited(small_bundles[0], change), r"steps: expected \[1 to 256, channels\], found \(")


@pytest.mark.parametrize("qualities", [1, 256])
def test_one_quality_and_256_are_both_read(small_bundles: Bundles, qualities: int) -> None:
    def change(file: Nested) -> None:
        file["body"]["shared"]["steps"] = tensor("steps", "<f4", np.ones((qualities, 3)))
        set_tables(file["body"]["shared"], np.zeros((qualities, 3)), np.zeros((qualities, 3)), [])

    assert read_bundle(edited(small_bundles[0], change)).pair.qualities == qualities


@pytest.mark.parametrize("name", ["steps", "table_low", "table_length"])
@pytest.mark.parametrize("shape", [[3, 4], [4, 3], [9], [3, 3, 1], [1, 9], []])
def test_tensors_of_another_shape_than_qualities_by_contexts_are_refused(
    small_bundles: Bundles, name: str, shape: list[int]
) -> None:
    def change(file: Nested) -> None:
        shared = file["body"]["shared"]
        shared[name] = tensor(name, "<f4" if name == "steps" else "<i4", np.ones(shape))

    told = (
        r"steps: expected \[1 to 256, channels\]" if name == "steps" and len(shape) != 2 else "expected shape"
    )
    refused(edited(small_bundles[0], change), f"shared, .*{told}")


def lengths(place: int, value: int) -> Edit:
    return lambda f: set_numbers(f["body"]["shared"]["table_length"], "<i4", place, value)


@pytest.mark.parametrize("value", [1, -1, -(1 << 31)])
def test_a_table_of_one_frequency_or_a_negative_number_is_refused(small_bundles: Bundles, value: int) -> None:
    refused(edited(small_bundles[0], lengths(4, value)), f"lengths of 0 or at least 2, found {value}")


@pytest.mark.parametrize("value", [2, 1000, (1 << 31) - 1])
def test_lengths_that_do_not_sum_to_the_number_of_frequencies_are_refused(
    small_bundles: Bundles, value: int
) -> None:
    refused(edited(small_bundles[0], lengths(4, value)), r"tables: expected \d+ frequencies, found \d+")


def test_all_lengths_at_their_largest_are_refused(small_bundles: Bundles) -> None:
    def change(file: Nested) -> None:
        file["body"]["shared"]["table_length"]["data"] = numbers("<i4", [(1 << 31) - 1] * 9)

    refused(edited(small_bundles[0], change), f"expected {9 * ((1 << 31) - 1)} frequencies")


def test_a_frequency_of_zero_is_refused(small_bundles: Bundles) -> None:
    def change(file: Nested) -> None:
        frequencies = file["body"]["shared"]["table_frequencies"]
        values = np.frombuffer(frequencies["data"], "<u2").astype(int)
        set_numbers(frequencies, "<u2", 0, 0)
        set_numbers(frequencies, "<u2", 1, values[0] + values[1])

    refused(edited(small_bundles[0], change), "frequencies of at least 1, found 0")


@pytest.mark.parametrize("change", [-1, 1])
def test_a_table_that_does_not_sum_to_its_total_is_refused(small_bundles: Bundles, change: int) -> None:
    def edit(file: Nested) -> None:
        shared = file["body"]["shared"]
        first = int(np.frombuffer(shared["table_length"]["data"], "<i4")[0])
        values = np.frombuffer(shared["table_frequencies"]["data"], "<u2")
        place = first + int(values[first:].argmax())
        set_numbers(shared["table_frequencies"], "<u2", place, int(values[place]) + change)

    told = rf"quality \d, context \d to sum to {TOTAL}, found {TOTAL + change}"
    refused(edited(small_bundles[0], edit), told)


def test_a_table_that_borrows_from_its_neighbour_is_refused(small_bundles: Bundles) -> None:
    def edit(file: Nested) -> None:
        length = np.zeros((3, 3))
        length[0] = (2, 2, 0)
        set_tables(file["body"]["shared"], np.zeros((3, 3)), length, [32768, 32767, 32768, 32769])

    refused(edited(small_bundles[0], edit), "quality 0, context 0 to sum to 65536, found 65535")


@pytest.mark.parametrize(
    ("low", "length"),
    [(-32769, 0), (32768, 0), (-32769, 2), (32768, 2), (32767, 3), (-(1 << 31), 2), ((1 << 31) - 1, 2)],
)
def test_tables_of_symbols_beyond_sixteen_bits_are_refused(
    small_bundles: Bundles, low: int, length: int
) -> None:
    def edit(file: Nested) -> None:
        lows, sizes = np.zeros((3, 3)), np.zeros((3, 3))
        lows[1, 1], sizes[1, 1] = low, length
        frequencies = [1] * (length - 1) + [TOTAL - length + 1] if length else []
        set_tables(file["body"]["shared"], lows, sizes, frequencies)

    refused(edited(small_bundles[0], edit), "expected symbols from -32768 to 32767, found")


def test_frequencies_of_two_axes_are_refused(small_bundles: Bundles) -> None:
    def edit(file: Nested) -> None:
        frequencies = file["body"]["shared"]["table_frequencies"]
        frequencies["shape"] = [1, *frequencies["shape"]]

    refused(edited(small_bundles[0], edit), "table_frequencies: expected one axis")


# Tensors

HOSTILE_SHAPES: list[Any] = [
    [-1],
    [3.0],
    [True],
    [None],
    ["3"],
    [[3]],
    3,
    None,
    "3",
    [1] * 5,
    [0, 1 << 63],
    [0, 1 << 62],
    [(1 << 64) - 1, 0],
    [0, 1 << 40, 1 << 40],
    [1 << 32, 1 << 32],
    [(1 << 64) - 1] * 4,
]


@pytest.mark.parametrize("which", ["steps", "table_low", "table_length", "table_frequencies", "weight"])
@pytest.mark.parametrize("shape", HOSTILE_SHAPES, ids=str)
@pytest.mark.parametrize("data", [b"", None])
def test_a_shape_that_is_none_is_refused(
    small_bundles: Bundles, which: str, shape: Any, data: bytes | None
) -> None:
    file = nested(small_bundles[0])
    values, where = maps(file)[which]
    values["shape"] = shape
    if data is not None:
        values["data"] = data
    refused(repaired(file), f"{where}: expected|{which}: expected")


@pytest.mark.parametrize("which", ["steps", "table_low", "table_length", "table_frequencies", "weight"])
@pytest.mark.parametrize("change", [-4, -1, 1, 2, 4])
def test_data_of_another_length_than_the_shape_says_is_refused(
    small_bundles: Bundles, which: str, change: int
) -> None:
    file = nested(small_bundles[0])
    values, where = maps(file)[which]
    length = len(values["data"])
    values["data"] = values["data"][:change] if change < 0 else values["data"] + bytes(change)
    refused(repaired(file), f"{where}: expected {length} bytes for shape .*, found {length + change}")


@pytest.mark.parametrize("which", ["steps", "table_low", "table_length", "table_frequencies", "weight"])
@pytest.mark.parametrize(
    "dtype", ["float64", "int64", "<f4", "object", "O", "", 1, None, "uint32", "complex64"]
)
def test_another_dtype_is_refused_by_name(small_bundles: Bundles, which: str, dtype: Any) -> None:
    file = nested(small_bundles[0])
    values, where = maps(file)[which]
    expected = values["dtype"]
    values["dtype"] = dtype
    refused(repaired(file), f"{where}: expected dtype {expected}, found {dtype!r}")


@pytest.mark.parametrize("which", ["steps", "table_low", "table_length", "table_frequencies", "weight"])
@pytest.mark.parametrize("name", ["other", "", "../steps", None, 1, b"steps"])
def test_another_name_is_refused(small_bundles: Bundles, which: str, name: Any) -> None:
    file = nested(small_bundles[0])
    values, where = maps(file)[which]
    values["name"] = name
    refused(repaired(file), f"{where}: expected this name, found {name!r}")


# Weights


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(small_bundles: Bundles, side: Side, value: float) -> None:
    bundle = small_bundles[SIDES.index(side)]
    for place, name in enumerate(bundle.weights):
        file = nested(bundle)
        set_numbers(file["body"]["weights"][place], "<f4", -1, value)
        refused(repaired(file), f"{side}'s weights, {name}: expected finite numbers")


@pytest.mark.parametrize("side", SIDES)
def test_another_number_of_tensors_is_refused(small_bundles: Bundles, side: Side) -> None:
    bundle = small_bundles[SIDES.index(side)]
    count = len(bundle.weights)
    edits: list[tuple[Edit, int]] = [
        (lambda f: f["body"]["weights"].pop(), count - 1),
        (lambda f: f["body"]["weights"].append(f["body"]["weights"][0]), count + 1),
        (lambda f: f["body"].update(weights=[]), 0),
    ]
    for edit, found in edits:
        refused(edited(bundle, edit), f"{side}'s weights: expected {count} tensors, found {found}")


@pytest.mark.parametrize("side", SIDES)
def test_weights_in_another_order_are_refused(small_bundles: Bundles, side: Side) -> None:
    bundle = small_bundles[SIDES.index(side)]
    data = edited(bundle, lambda f: f["body"]["weights"].reverse())
    refused(data, f"tensor {next(iter(bundle.weights))}: expected this name, found")


def test_the_other_sides_weights_are_refused(small_bundles: Bundles) -> None:
    other = nested(small_bundles[1])["body"]["weights"][:2]
    data = edited(small_bundles[0], lambda f: f["body"].update(weights=other))
    refused(data, "tensor convolution_0/bias: expected this name, found 'transposed_0/bias'")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("filters", 5, r"transposed_0/bias: expected shape \(5,\), found \(4,\)"),
        ("image_channels", 2, r"convolution/bias: expected shape \(2,\), found \(1,\)"),
        ("layers", 2, "expected 6 tensors, found 4"),
        ("code_channels", 4, r"steps: expected shape \(3, 4\), found \(3, 3\)"),
    ],
)
def test_weights_of_another_architecture_are_refused(
    small_bundles: Bundles, name: str, value: int, told: str
) -> None:
    data = edited(small_bundles[1], lambda f: f["body"]["shared"]["architecture"].update({name: value}))
    refused(data, told)


def test_a_kernel_of_as_many_values_in_another_shape_is_refused(small_bundles: Bundles) -> None:
    data = edited(small_bundles[1], lambda f: f["body"]["weights"][1].update(shape=[3, 3, 4, 3]))
    refused(data, r"transposed_0/kernel: expected shape \(3, 3, 3, 4\), found \(3, 3, 4, 3\)")


# Dense architectures and context models


@pytest.fixture(scope="module")
def dense_bundles() -> Bundles:
    encoder, decoder = make.dense_bundles()
    return encoder, decoder


def refused_by_both(data: bytes, told: str, error: type[CodecError] = BundleError) -> None:
    """Refused by the library for this reason, and by the second reader too."""
    refused(data, told, error)
    with pytest.raises(ValueError, match=r"."):
        reference_reader.read_bundle(data)


def read_by_both(data: bytes) -> Bundle:
    bundle = read_bundle(data)
    assert reference_reader.read_bundle(data).pair == bundle.pair.digest
    assert write_bundle(bundle) == data
    return bundle


def shared_of(file: Nested) -> Nested:
    shared: Nested = file["body"]["shared"]
    return shared


def changed(bundle: Bundle, edit: Edit) -> bytes:
    """The file of a bundle whose shared map is edited."""
    return edited(bundle, lambda file: edit(shared_of(file)))


def context_tensors(model: ContextModel) -> Nested:
    return {name: tensor(name, dtype, getattr(model, name)) for name, dtype in CONTEXT_DTYPES.items()}


CONTEXT_DTYPES = {
    "weights": "|i1",
    "input_gain": "<i4",
    "hidden_bias": "<i4",
    "hidden_shift": "<i4",
    "output_gain": "<i4",
    "output_bias": "<i4",
    "table_index": "<i4",
}
NEW_PATHS: dict[str, tuple[str | int, ...]] = {
    "architecture": ("body", "shared", "architecture"),
    "context": ("body", "shared", "context"),
    **{name: ("body", "shared", "context", name) for name in CONTEXT_DTYPES},
    "linear/kernel": ("body", "weights", 0),
    "convolution_0/bias": ("body", "weights", 1),
}
NEW_TENSORS = [*CONTEXT_DTYPES, "linear/kernel", "convolution_0/bias"]


def map_at(file: Nested, which: str) -> tuple[Nested, str]:
    """One of these maps, and what an error about it begins with."""
    value: Any = file
    for step in NEW_PATHS[which]:
        value = value[step]
    where = {"architecture": "architecture", "context": "bundle, shared, context"}
    return value, where.get(which, f"bundle, tensor {which}")


@pytest.mark.parametrize("side", SIDES)
def test_a_dense_pair_with_a_context_model_reads_as_it_was_written(
    dense_bundles: Bundles, side: Side
) -> None:
    bundle = dense_bundles[SIDES.index(side)]
    found = read_by_both(write_bundle(bundle))
    assert found.pair.architecture == bundle.pair.architecture
    assert {name: values.dtype for name, values in found.weights.items()} == {
        name: np.float16 if name.endswith("/kernel") else np.float32 for name in bundle.weights
    }
    for name, values in bundle.weights.items():
        np.testing.assert_array_equal(found.weights[name], values)
    mine, theirs = found.pair.context, bundle.pair.context
    assert mine is not None
    assert theirs is not None
    assert (mine.groups, mine.units) == (theirs.groups, theirs.units)
    for name in CONTEXT_DTYPES:
        np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), strict=True)
        assert not getattr(mine, name).flags.writeable


def test_equal_context_models_give_equal_bytes(dense_bundles: Bundles) -> None:
    bundle = dense_bundles[0]
    assert bundle.pair.context is not None
    arrays: Nested = {name: np.asfortranarray(getattr(bundle.pair.context, name)) for name in CONTEXT_DTYPES}
    pair = replace(bundle.pair, context=replace(bundle.pair.context, **arrays))
    assert write_bundle(replace(bundle, pair=pair)) == write_bundle(bundle)


@pytest.mark.parametrize("name", CONTEXT_DTYPES)
def test_pairs_that_differ_in_one_number_of_the_context_differ_in_their_digest(
    dense_bundles: Bundles, name: str
) -> None:
    def change(shared: Nested) -> None:
        values = np.frombuffer(shared["context"][name]["data"], CONTEXT_DTYPES[name])
        set_numbers(shared["context"][name], CONTEXT_DTYPES[name], 0, 1 if values[0] == 0 else 0)

    found = read_by_both(changed(dense_bundles[0], change))
    assert found.pair.digest != dense_bundles[0].pair.digest


def test_a_dense_pair_may_have_a_table_for_each_channel(dense_bundles: Bundles) -> None:
    certain = Table(-5, np.zeros(0, np.int64))
    pair = replace(dense_bundles[1].pair, context=None, tables=((certain,) * 4,) * 3)
    assert read_by_both(write_bundle(replace(dense_bundles[1], pair=pair))).pair.context is None


def test_a_convolutional_pair_may_have_a_context_model(
    small_bundles: Bundles, dense_bundles: Bundles
) -> None:
    other = dense_bundles[0].pair
    pair = replace(small_bundles[0].pair, context=other.context, tables=other.tables)
    found = read_by_both(write_bundle(replace(small_bundles[0], pair=pair))).pair
    assert found.takes(7, 7)
    assert not found.takes(9, 8)


@pytest.mark.parametrize("elements", [1, 16])
def test_a_context_model_may_have_as_many_elements_as_the_codes_have_values(
    dense_bundles: Bundles, elements: int
) -> None:
    model = make_model(np.random.default_rng(0), (elements,), 1, 3, 9)
    pair = replace(dense_bundles[0].pair, context=model)
    found = read_by_both(write_bundle(replace(dense_bundles[0], pair=pair))).pair.context
    assert found is not None
    assert found.weights.shape == (0,)
    assert found.hidden_bias.shape == (3, 0, 1)


@pytest.mark.parametrize("which", NEW_PATHS)
def test_a_new_map_with_a_key_missing_is_refused(dense_bundles: Bundles, which: str) -> None:
    for key in map_at(nested(dense_bundles[0]), which)[0]:
        file = nested(dense_bundles[0])
        values, where = map_at(file, which)
        value = values.pop(key)
        told = UNNAMED.get(key)
        refused_by_both(repaired(file), told or f"^{where}: expected .*{key}")
        values[f"other {key}"] = value
        refused_by_both(repaired(file), told or f"^{where}: expected .*other {key}")


@pytest.mark.parametrize("which", NEW_PATHS)
@pytest.mark.parametrize("key", ["extra", "", "Groups", "name ", "\0"])
def test_a_new_map_with_a_key_too_many_is_refused(dense_bundles: Bundles, which: str, key: str) -> None:
    file = nested(dense_bundles[0])
    values, where = map_at(file, which)
    values[key] = 1
    refused_by_both(repaired(file), f"^{where}: expected .*{re.escape(repr(key))}")


@pytest.mark.parametrize("which", NEW_PATHS)
def test_a_new_map_in_another_order_is_refused(dense_bundles: Bundles, which: str) -> None:
    keys = list(map_at(nested(dense_bundles[0]), which)[0])
    for place in range(len(keys) - 1):
        file = nested(dense_bundles[0])
        values, where = map_at(file, which)
        order = [*keys[:place], keys[place + 1], keys[place], *keys[place + 2 :]]
        replaced(values, {key: values[key] for key in order})
        refused_by_both(repaired(file), f"^{where}: expected")


@pytest.mark.parametrize("which", NEW_PATHS)
def test_something_else_in_place_of_a_new_map_is_refused(dense_bundles: Bundles, which: str) -> None:
    values: list[Any] = [None, True, 1, 1.5, "map", b"map", [], [["a", 1]], {}]
    for value in values:
        file = nested(dense_bundles[0])
        put_at(file, NEW_PATHS[which], value)
        refused_by_both(repaired(file), "^bundle|^architecture")


@pytest.mark.parametrize("which", [*NEW_TENSORS, "context"])
def test_a_key_that_stands_twice_in_a_new_map_is_refused(dense_bundles: Bundles, which: str) -> None:
    file = nested(dense_bundles[0])
    put_at(file, NEW_PATHS[which], doubled(map_at(file, which)[0]))
    refused_by_both(repaired(file), "expected unique string keys")


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        (("architecture", "elements"), b"\xcc\x0c"),
        (("architecture", "filters"), b"\xdc\x00\x02\x02\x03"),
        (("architecture", "filters", 0), b"\xd0\x02"),
        (("context", "groups"), b"\xdc\x00\x03\x02\x03\x07"),
        (("context", "groups", 1), b"\xcc\x03"),
        (("context", "units"), b"\xcd\x00\x03"),
        (("context", "weights", "dtype"), b"\xd9\x04int8"),
    ],
    ids=str,
)
def test_a_new_value_that_is_not_in_its_shortest_form_is_refused(
    dense_bundles: Bundles, path: tuple[str | int, ...], raw: bytes
) -> None:
    file = nested(dense_bundles[0])
    put_at(file, ("body", "shared", *path), msgpack.unpackb(raw))
    read_by_both(repaired(file))
    put_at(file, ("body", "shared", *path), Raw(raw))
    refused_by_both(repaired(file), "in its shortest form")


MOST = {
    "image_channels": 4,
    "code_channels": 1024,
    "layers": 6,
    "rows": 1024,
    "columns": 1024,
    "units": 16384,
    "elements": 65536,
    "qualities": 256,
}


@pytest.mark.parametrize("name", MOST)
@pytest.mark.parametrize("value", [0, -1, None, True, 3.0, "3", [3], {}, 1 << 63, "one more"])
def test_a_number_of_a_dense_architecture_out_of_bounds_is_refused(
    dense_bundles: Bundles, name: str, value: Any
) -> None:
    value = MOST[name] + 1 if value == "one more" else value
    data = changed(dense_bundles[0], lambda shared: shared["architecture"].update({name: value}))
    found = re.escape(str((3,) if value == [3] else repr(value)))
    told = f"^architecture, {name}: expected a whole number from 1 to {MOST[name]}, found {found}"
    refused_by_both(data, told)


@pytest.mark.parametrize(
    "value",
    [
        *[[0, 3], [2, 0], [1025, 3], [2, -1], [2, None], [True, 3], [2.0, 3], ["2", 3], [[2], 3], [2, {}]],
        *[[2, 1 << 63], [2], [], [2, 3, 4], [2] * 256, 2, None, "23", b"\2\3", {}, {"0": 2, "1": 3}, True],
    ],
    ids=str,
)
def test_filters_that_are_none_are_refused(dense_bundles: Bundles, value: Any) -> None:
    data = changed(dense_bundles[0], lambda shared: shared["architecture"].update(filters=value))
    told = r"^architecture, filters: expected (2, one a layer|(a )?whole numbers? from 1 to 1024), found"
    refused_by_both(data, told)


def test_filters_of_a_convolutional_architecture_that_are_an_array_are_refused(
    small_bundles: Bundles,
) -> None:
    data = changed(small_bundles[0], lambda shared: shared["architecture"].update(filters=[4]))
    refused_by_both(data, r"^architecture, filters: expected a whole number from 1 to 1024, found \(4,\)")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"elements": 17},
            "^architecture, elements: expected at most the 2x2x4 values of the codes, found 17",
        ),
        ({"code_channels": 2}, "^architecture, elements: expected at most the 2x2x2 values of the codes"),
        ({"qualities": 2}, "steps: expected the 2 qualities of the architecture, found 3"),
        ({"qualities": 4}, "steps: expected the 4 qualities of the architecture, found 3"),
        ({"rows": 3}, "image: expected a size that the architecture takes, found 8x8"),
        ({"columns": 3}, "image: expected a size that the architecture takes, found 8x8"),
        ({"rows": 1, "columns": 4}, "image: expected a size that the architecture takes, found 8x8"),
        ({"layers": 1, "filters": [2]}, "image: expected a size that the architecture takes, found 8x8"),
        ({"layers": 3, "filters": [2] * 3}, "image: expected a size that the architecture takes, found 8x8"),
        ({"layers": 3}, "^architecture, filters: expected 3, one a layer, found"),
        ({"code_channels": 5}, r"steps: expected shape \(3, 5\), found \(3, 4\)"),
        ({"elements": 11}, r"linear/kernel: expected shape \(64, 11\), found \(64, 12\)"),
        ({"units": 5}, r"dense_0/bias: expected shape \(3, 5\), found \(3, 4\)"),
        ({"filters": [3, 2]}, r"convolution_0/bias: expected shape \(3,\), found \(2,\)"),
        ({"image_channels": 2}, r"linear/kernel: expected shape \(128, 12\), found \(64, 12\)"),
    ],
    ids=str,
)
def test_parts_of_a_dense_pair_that_disagree_are_refused(
    dense_bundles: Bundles, values: dict[str, Any], told: str
) -> None:
    data = changed(dense_bundles[0], lambda shared: shared["architecture"].update(values))
    refused_by_both(data, told)


@pytest.mark.parametrize("size", [[4, 8], [8, 4], [9, 8], [8, 9], [1, 1], [65535, 65535]])
def test_an_image_size_that_the_architecture_does_not_take_is_refused(
    dense_bundles: Bundles, size: list[int]
) -> None:
    data = changed(dense_bundles[0], lambda shared: shared.update(image=size))
    refused_by_both(data, f"image: expected a size that the architecture takes, found {size[0]}x{size[1]}")


@pytest.mark.parametrize("size", [[5, 5], [8, 5], [6, 7]])
def test_an_image_size_that_the_architecture_takes_is_read(dense_bundles: Bundles, size: list[int]) -> None:
    found = read_by_both(changed(dense_bundles[0], lambda shared: shared.update(image=size)))
    assert [found.pair.height, found.pair.width] == size


def test_the_keys_of_the_other_kind_are_refused(small_bundles: Bundles, dense_bundles: Bundles) -> None:
    for bundle, kind in ((small_bundles[0], "dense"), (dense_bundles[0], "convolutional")):
        data = changed(bundle, partial(set_kind, kind=kind))
        refused_by_both(data, "^architecture: expected the fields ")


def set_kind(shared: Nested, kind: str) -> None:
    shared["architecture"]["kind"] = kind


@pytest.mark.parametrize("side", SIDES)
def test_dense_weights_of_another_dtype_are_refused_by_name(dense_bundles: Bundles, side: Side) -> None:
    bundle = dense_bundles[SIDES.index(side)]
    for place, (name, values) in enumerate(bundle.weights.items()):
        right = values.dtype.name
        for dtype in {"<f2", "<f4", "<i4", "<u2", "|i1"} - {values.dtype.str}:
            file = nested(bundle)
            file["body"]["weights"][place] = tensor(name, dtype, values)
            told = f"tensor {name}: expected dtype {right}, found '{np.dtype(dtype).name}'"
            refused_by_both(repaired(file), told)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_dense_weights_that_are_not_finite_are_refused(
    dense_bundles: Bundles, side: Side, value: float
) -> None:
    bundle = dense_bundles[SIDES.index(side)]
    for place, (name, values) in enumerate(bundle.weights.items()):
        for at in (0, -1):
            file = nested(bundle)
            set_numbers(file["body"]["weights"][place], values.dtype.str, at, value)
            refused_by_both(repaired(file), f"{side}'s weights, {name}: expected finite numbers")


@pytest.mark.parametrize("side", SIDES)
def test_dense_weights_of_another_shape_are_refused_by_name(dense_bundles: Bundles, side: Side) -> None:
    bundle = dense_bundles[SIDES.index(side)]
    for place, (name, values) in enumerate(bundle.weights.items()):
        for other in (
            values[None],
            values[:-1],
            values[..., :-1],
            values.ravel()[:, None],
            values[..., None],
        ):
            if other.shape != values.shape:
                file = nested(bundle)
                file["body"]["weights"][place] = tensor(name, values.dtype.str, other)
                right = rf"shape {re.escape(str(values.shape))}|a shape of at most 4 axes"
                refused_by_both(repaired(file), f"{name}: expected ({right}), found")


@pytest.mark.parametrize("side", SIDES)
def test_dense_weights_missing_or_in_another_order_are_refused(dense_bundles: Bundles, side: Side) -> None:
    bundle = dense_bundles[SIDES.index(side)]
    for place in range(len(bundle.weights)):
        file = nested(bundle)
        taken = file["body"]["weights"].pop(place)
        count = len(bundle.weights)
        refused_by_both(repaired(file), f"weights: expected {count} tensors, found {count - 1}")
        file["body"]["weights"].insert((place + 1) % count, taken)
        refused_by_both(repaired(file), "bundle, tensor .*: expected this name, found")


def test_the_sides_of_a_dense_pair_do_not_hold_each_others_weights(dense_bundles: Bundles) -> None:
    both = [set(bundle.weights) for bundle in dense_bundles]
    assert both[0] != both[1]
    files = [write_bundle(bundle) for bundle in dense_bundles]
    for bundle, other in zip(dense_bundles, reversed(files), strict=True):
        for values in bundle.weights.values():
            assert values.tobytes() not in other


@pytest.mark.parametrize("name", NEW_TENSORS)
@pytest.mark.parametrize("shape", HOSTILE_SHAPES, ids=str)
@pytest.mark.parametrize("data", [b"", None])
def test_a_shape_that_is_none_of_a_new_tensor_is_refused(
    dense_bundles: Bundles, name: str, shape: Any, data: bytes | None
) -> None:
    file = nested(dense_bundles[0])
    values, where = map_at(file, name)
    values["shape"] = shape
    if data is not None:
        values["data"] = data
    refused_by_both(
        repaired(file), f"^{where}: expected|^context, {name}: expected|weights, {name}: expected"
    )


@pytest.mark.parametrize("name", NEW_TENSORS)
@pytest.mark.parametrize("change", [-4, -1, 1, 2, 4])
def test_data_of_another_length_than_a_new_tensors_shape_is_refused(
    dense_bundles: Bundles, name: str, change: int
) -> None:
    file = nested(dense_bundles[0])
    values, where = map_at(file, name)
    length = len(values["data"])
    values["data"] = values["data"][:change] if change < 0 else values["data"] + bytes(change)
    refused_by_both(repaired(file), f"{where}: expected {length} bytes for shape .*, found {length + change}")


@pytest.mark.parametrize("name", NEW_TENSORS)
@pytest.mark.parametrize(
    "dtype", ["float64", "int64", "uint8", "int16", "bfloat16", "<f2", "|i1", "e", "", 1, None, "uint16"]
)
def test_another_dtype_of_a_new_tensor_is_refused_by_name(
    dense_bundles: Bundles, name: str, dtype: Any
) -> None:
    file = nested(dense_bundles[0])
    values, where = map_at(file, name)
    expected = values["dtype"]
    values["dtype"] = dtype
    refused_by_both(repaired(file), f"{where}: expected dtype {expected}, found {re.escape(repr(dtype))}")


@pytest.mark.parametrize("name", NEW_TENSORS)
@pytest.mark.parametrize("value", ["other", "", None, 1, b"weights"])
def test_another_name_of_a_new_tensor_is_refused(dense_bundles: Bundles, name: str, value: Any) -> None:
    file = nested(dense_bundles[0])
    values, where = map_at(file, name)
    values["name"] = value
    refused_by_both(repaired(file), f"{where}: expected this name, found {value!r}")


@pytest.mark.parametrize("name", CONTEXT_DTYPES)
def test_a_context_tensor_of_another_shape_is_refused_by_name(dense_bundles: Bundles, name: str) -> None:
    right = getattr(dense_bundles[0].pair.context, name).shape
    more = [(*right[:axis], right[axis] + 1, *right[axis + 1 :]) for axis in range(len(right))]
    fewer = [(*right[:axis], right[axis] - 1, *right[axis + 1 :]) for axis in range(len(right))]
    none = [(*right[:axis], 0, *right[axis + 1 :]) for axis in range(len(right))]
    if name == "table_index":
        more, fewer = more[1:], fewer[1:]
    for shape in {*more, *fewer, *none, (1, *right), (*right, 1), (), right[::-1]} - {right}:
        values = tensor(name, CONTEXT_DTYPES[name], np.zeros(shape))
        data = changed(dense_bundles[0], partial(put_at, path=("context", name), new=values))
        told = rf"^context, {name}: expected shape \[.*\], found {re.escape(str(list(shape)))}"
        refused_by_both(data, f"{told}|^bundle, tensor {name}: expected a shape of at most 4 axes")


RANGES = {
    "weights": (-127, 127),
    "input_gain": (0, 1 << 20),
    "hidden_bias": (1 - (1 << 24), (1 << 24) - 1),
    "hidden_shift": (0, 23),
    "output_gain": (0, (1 << 28) - 1),
    "output_bias": (-(1 << 20), 1 << 20),
    "table_index": (0, 8),
}


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("place", [0, -1])
def test_a_context_tensor_out_of_its_range_is_refused(dense_bundles: Bundles, name: str, place: int) -> None:
    low, high = RANGES[name]
    limits = np.iinfo(CONTEXT_DTYPES[name])
    for value in {low - 1, high + 1, limits.min, limits.max} - {low, high}:
        if limits.min <= value <= limits.max:
            data = with_number(dense_bundles[0], name, place, value)
            refused_by_both(data, f"^context, {name}: expected {low} to {high}, found .*{value}")


def with_number(bundle: Bundle, name: str, place: int, value: int) -> bytes:
    """The bundle's file with another number in its context; the sums stay small."""

    def change(shared: Nested) -> None:
        if name == "hidden_bias":
            weights = shared["context"]["weights"]
            weights["data"] = bytes(len(weights["data"]))
        set_numbers(shared["context"][name], CONTEXT_DTYPES[name], place, value)

    return changed(bundle, change)


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("place", [0, -1])
def test_a_context_tensor_at_the_ends_of_its_range_is_read(
    dense_bundles: Bundles, name: str, place: int
) -> None:
    for value in RANGES[name]:
        context = read_by_both(with_number(dense_bundles[0], name, place, value)).pair.context
        assert getattr(context, name).flat[place] == value


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        *[([0, 5, 7], "whole numbers"), ([2, -3, 7], "whole numbers"), ([2, 3, 65537], "whole numbers")],
        *[([2, True, 7], "whole numbers"), ([2, 3.0, 7], "whole numbers"), ([2, "3", 7], "whole numbers")],
        *[
            ([2, [3], 7], "whole numbers"),
            ([2, None, 7], "whole numbers"),
            ([2, 3, 1 << 63], "whole numbers"),
        ],
        *[(12, "whole numbers"), (None, "whole numbers"), ("237", "whole numbers"), ({}, "whole numbers")],
        *[([], "1 to 64 groups"), ([1] * 65, "1 to 64 groups"), ([1] * 256, "1 to 64 groups")],
        *[([1] * 257, "not readable as MessagePack"), ([2, 3], "weights: expected shape")],
        *[([2, 3, 8], "weights: expected shape"), ([3, 2, 7], "weights: expected shape")],
        *[([12], r"weights: expected shape \[0\]"), ([65536] * 64, "weights: expected shape")],
    ],
    ids=str,
)
def test_groups_that_are_none_are_refused(dense_bundles: Bundles, groups: Any, told: str) -> None:
    refused_by_both(changed(dense_bundles[0], lambda shared: shared["context"].update(groups=groups)), told)


@pytest.mark.parametrize("units", [0, -1, 65537, 1 << 63, True, 3.0, "3", None, [3], {}])
def test_units_that_are_none_are_refused(dense_bundles: Bundles, units: Any) -> None:
    data = changed(dense_bundles[0], lambda shared: shared["context"].update(units=units))
    refused_by_both(data, "context, groups and units: expected whole numbers from 1 to 65536, found")


@pytest.mark.parametrize("units", [2, 4, 65536])
def test_another_number_of_units_is_refused(dense_bundles: Bundles, units: int) -> None:
    data = changed(dense_bundles[0], lambda shared: shared["context"].update(units=units))
    refused_by_both(data, "context, weights: expected shape")


def test_the_largest_groups_and_units_cost_nothing_to_refuse(dense_bundles: Bundles) -> None:
    def change(shared: Nested) -> None:
        shared["context"].update(groups=[65536] * 64, units=65536)

    refused_by_both(
        changed(dense_bundles[0], change), r"context, weights: expected shape \[43293270343680\], found"
    )


def test_more_elements_than_the_codes_have_are_refused(dense_bundles: Bundles) -> None:
    model = make_model(np.random.default_rng(0), (2, 3, 12), 3, 3, 9)

    def change(shared: Nested) -> None:
        shared["context"] = {"groups": [2, 3, 12], "units": 3, **context_tensors(model)}

    told = "context: expected at most the 16 values of the codes, found 17 elements"
    refused_by_both(changed(dense_bundles[0], change), told)


def test_a_context_of_another_number_of_qualities_is_refused(dense_bundles: Bundles) -> None:
    for qualities in (2, 4):
        model = make_model(np.random.default_rng(0), (2, 3, 7), 3, qualities, 9)
        tensors = {"groups": [2, 3, 7], "units": 3, **context_tensors(model)}
        data = changed(dense_bundles[0], partial(put_at, path=("context",), new=tensors))
        refused_by_both(data, rf"context, input_gain: expected shape \[3, 12\], found \[{qualities}, 12\]")


def test_a_certain_table_with_a_context_model_is_refused(dense_bundles: Bundles) -> None:
    def change(shared: Nested) -> None:
        length = np.frombuffer(shared["table_length"]["data"], "<i4")
        values = np.frombuffer(shared["table_frequencies"]["data"], "<u2")
        set_numbers(shared["table_length"], "<i4", -1, 0)
        shared["table_frequencies"] = tensor("table_frequencies", "<u2", values[: -length[-1]])

    refused_by_both(changed(dense_bundles[0], change), "context: expected no certain table, found one")


def flat_tables(rows: int, tables: int) -> Nested:
    shape = (rows, tables)
    return {
        "table_low": tensor("table_low", "<i4", np.zeros(shape)),
        "table_length": tensor("table_length", "<i4", np.full(shape, 2)),
        "table_frequencies": tensor("table_frequencies", "<u2", np.full(2 * rows * tables, TOTAL // 2)),
    }


@pytest.mark.parametrize(("rows", "tables"), [(2, 9), (3, 9), (9, 1), (0, 9), (1, 0), (0, 0), (1, 65537)])
def test_another_number_of_tables_than_one_row_is_refused(
    dense_bundles: Bundles, rows: int, tables: int
) -> None:
    data = changed(dense_bundles[0], lambda shared: shared.update(flat_tables(rows, tables)))
    told = rf"table_low: expected shape .* and 1 to 65536 tables, found \({rows}, {tables}\)"
    refused_by_both(data, told)


def test_as_many_tables_as_there_may_be_are_read(dense_bundles: Bundles) -> None:
    def change(shared: Nested) -> None:
        shared.update(flat_tables(1, 65536))
        set_numbers(shared["context"]["table_index"], "<i4", 0, 65535)

    assert len(read_by_both(changed(dense_bundles[0], change)).pair.tables[0]) == 65536


def test_table_lengths_of_another_shape_than_the_lows_are_refused(dense_bundles: Bundles) -> None:
    for shape in ((9,), (9, 1), (1, 9, 1), (1, 8), (1, 10), ()):
        for name in ("table_low", "table_length"):
            values = tensor(name, "<i4", np.full(shape, 2))
            data = changed(dense_bundles[0], partial(put_at, path=(name,), new=values))
            refused_by_both(data, "table_(low|length): expected shape")


def test_sums_of_hidden_units_that_are_too_large_are_refused(dense_bundles: Bundles) -> None:
    context = dense_bundles[0].pair.context
    assert context is not None
    largest = 127 * int(np.abs(context.matrices[0][0]).sum(0)[0])
    for excess in (0, 1, largest):
        for sign in (1, -1):
            bias = sign * (SUM_MAX - largest + excess)
            data = changed(dense_bundles[0], partial(set_bias, bias=bias))
            if excess:
                told = f"expected sums of at most 16,777,215 in group 1, found {SUM_MAX + excess:,}$"
                refused_by_both(data, f"^context, weights: {told}")
            else:
                read_by_both(data)


def set_bias(shared: Nested, bias: int) -> None:
    set_numbers(shared["context"]["hidden_bias"], "<i4", 0, bias)


def test_sums_of_outputs_that_are_too_large_are_refused(dense_bundles: Bundles) -> None:
    model = make_model(np.random.default_rng(0), (1, 1), 1100, 3, 9)
    for value, good in ((24, True), (25, False), (-24, True), (-25, False)):
        outputs = np.zeros((1101, 2))
        outputs[:1040, 1], outputs[1040, 1] = 127, value
        weights = np.concatenate([np.zeros(1100), outputs.ravel()]).astype(np.int8)
        wide = replace(model, weights=weights)
        tensors = {"groups": [1, 1], "units": 1100, **context_tensors(wide)}
        data = changed(dense_bundles[0], partial(put_at, path=("context",), new=tensors))
        if good:
            read_by_both(data)
        else:
            refused_by_both(data, r"sums of at most 16,777,215 in group 1, found 16,777,335$")


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32"])
def test_the_writer_refuses_dense_kernels_that_are_not_float16(dense_bundles: Bundles, dtype: str) -> None:
    weights = {
        name: values.astype(dtype) if name.endswith("/kernel") else values
        for name, values in dense_bundles[0].weights.items()
    }
    with pytest.raises(BundleError, match=f"linear/kernel: expected dtype .*float16.*found '?{dtype}"):
        write_bundle(replace(dense_bundles[0], weights=weights))


@pytest.mark.parametrize("name", CONTEXT_DTYPES)
def test_the_writer_refuses_context_tensors_of_another_dtype(dense_bundles: Bundles, name: str) -> None:
    bundle = dense_bundles[0]
    assert bundle.pair.context is not None
    for dtype in ("int64", "float32", "uint16"):
        values = getattr(bundle.pair.context, name).astype(dtype)
        pair = replace(bundle.pair, context=replace(bundle.pair.context, **{name: values}))
        with pytest.raises(BundleError, match=f"tensor {name}: expected dtype .*, found '?{dtype}"):
            write_bundle(replace(bundle, pair=pair))


@settings(deadline=None, max_examples=300)
@given(data=st.data(), part=st.sampled_from(["body", "shared"]), side=st.sampled_from([0, 1]))
def test_mutated_dense_bundles_with_repaired_digests_are_read_or_refused_by_both(
    dense_bundles: Bundles, data: st.DataObject, part: str, side: int
) -> None:
    body = msgpack.unpackb(write_bundle(dense_bundles[side]))["body"]
    if part == "body":
        agreed(with_body(mutated(data, body)))
        return
    opened = msgpack.unpackb(body)
    opened["shared"] = mutated(data, opened["shared"])
    agreed(with_body(packed(opened)))


def agreed(data: bytes) -> None:
    """Read by both readers or refused by both."""
    try:
        bundle = read_bundle(data)
    except CodecError:
        with pytest.raises(ValueError, match=r"."):
            reference_reader.read_bundle(data)
        return
    assert write_bundle(bundle) == data
    assert reference_reader.read_bundle(data).pair == bundle.pair.digest


@settings(deadline=None, max_examples=300)
@given(data=st.data(), side=st.sampled_from([0, 1]))
def test_any_value_in_any_place_of_a_dense_bundle_is_read_or_refused(
    dense_bundles: Bundles, data: st.DataObject, side: int
) -> None:
    file = nested(dense_bundles[side])
    place = data.draw(st.sampled_from(list(leaves(file["body"]["shared"]))))
    put_at(file["body"]["shared"], place, data.draw(anything))
    agreed(repaired(file))


# Provenance


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "text", b"bytes", [], [{}]])
def test_provenance_that_is_no_map_is_refused(small_bundles: Bundles, value: Any) -> None:
    data = edited(small_bundles[0], lambda f: f["body"].update(provenance=value))
    refused(data, f"provenance: expected a map, found {type(value).__name__}")


@pytest.mark.parametrize("value", [{"a": b""}, {"a": [b"x"]}, {"a": {"b": [1, {"c": b"x"}]}}])
def test_bytes_in_provenance_are_refused(small_bundles: Bundles, value: Any) -> None:
    data = edited(small_bundles[0], lambda f: f["body"].update(provenance=value))
    refused(data, "provenance, a.*: expected plain values, found bytes")


def deep(levels: int) -> Nested:
    """Provenance of so many nested maps and arrays."""
    value: Any = 1
    for level in range(levels - 1):
        value = {"a": value} if level % 2 else [value]
    return {"a": value}


def test_eight_levels_of_provenance_are_read_and_a_ninth_is_refused(small_bundles: Bundles) -> None:
    for levels in (8, 9):
        file = nested(small_bundles[0])
        file["body"]["provenance"] = deep(levels)
        if levels == 8:
            assert read_bundle(repaired(file)).provenance == deep(8)
        else:
            told = r"provenance.*nested too deeply; pass limits=Limits\(bundle_nesting="
            refused(repaired(file), told, LimitError)


# Bounds


def test_a_file_longer_than_the_limit_is_refused(small_bundles: Bundles) -> None:
    data = write_bundle(small_bundles[0])
    assert read_bundle(data, limits=Limits(bundle_bytes=len(data))).side == "encoder"
    with pytest.raises(
        LimitError, match=r"bundle: bytes: expected at most .*; pass limits=Limits\(bundle_bytes="
    ):
        read_bundle(data, limits=Limits(bundle_bytes=len(data) - 1))


def test_more_frequencies_than_the_limit_are_refused(small_bundles: Bundles) -> None:
    data = write_bundle(small_bundles[0])
    count = sum(len(table.frequencies) for table in sum(small_bundles[0].pair.tables, ()))
    assert read_bundle(data, limits=Limits(table_entries=count)).side == "encoder"
    told = rf"frequencies: expected at most {count - 1}, found {count}; pass limits=Limits\(table_entries="
    with pytest.raises(LimitError, match=told):
        read_bundle(data, limits=Limits(table_entries=count - 1))


@pytest.mark.parametrize("layers", [1, 6])
def test_more_tensors_than_the_limit_are_refused(layers: int) -> None:
    data = write_bundle(untrained(layers))
    count = 2 * layers + 2
    assert read_bundle(data, limits=Limits(bundle_tensors=count)).side == "decoder"
    told = rf"tensors: expected at most {count - 1}, found {count}; pass limits=Limits\(bundle_tensors="
    with pytest.raises(LimitError, match=told):
        read_bundle(data, limits=Limits(bundle_tensors=count - 1))


def untrained(layers: int) -> Bundle:
    """A decoder with certain tables alone."""
    architecture = Convolutional(code_channels=2, layers=layers, filters=2)
    weights = random_weights(architecture, "decoder", 0)
    certain = Table(0, np.zeros(0, np.int64))
    steps = np.ones((1, 2), np.float32)
    pair = Pair(architecture, 8, 8, steps, ((certain, certain),), bytes(32), weights_digest(weights))
    return Bundle("decoder", pair, weights)


def test_provenance_nested_deeper_than_the_limit_is_refused(small_bundles: Bundles) -> None:
    bundle = replace(small_bundles[0], provenance=deep(3))
    data = write_bundle(bundle)
    assert read_bundle(data, limits=Limits(bundle_nesting=3)).provenance == deep(3)
    with pytest.raises(LimitError, match=r"nested too deeply; pass limits=Limits\(bundle_nesting="):
        read_bundle(data, limits=Limits(bundle_nesting=2))


# The writer refuses what the reader would


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"side": "middle"}, "expected encoder or decoder"),
        ({"weights": {}}, "expected 2 tensors, found 0"),
        ({"provenance": {"a": b"x"}}, "expected plain values, found bytes"),
        ({"provenance": {"a": {1, 2}}}, "provenance"),
        ({"provenance": {"a": 1 << 64}}, "provenance"),
        ({"provenance": {1: "a"}}, "string keys|MessagePack"),
        ({"provenance": {"a": "\ud800"}}, "provenance"),
    ],
)
def test_the_writer_refuses_what_no_reader_would_take(
    small_bundles: Bundles, part: dict[str, Any], told: str
) -> None:
    with pytest.raises(BundleError, match=told):
        write_bundle(replace(small_bundles[0], **part))


def test_the_writer_refuses_provenance_nested_too_deeply(small_bundles: Bundles) -> None:
    for levels in (9, 600, 3000):
        with pytest.raises((BundleError, LimitError), match="bundle"):
            write_bundle(replace(small_bundles[0], provenance=deep(levels)))


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "complex64"])
def test_the_writer_refuses_weights_and_steps_that_are_not_float32(
    small_bundles: Bundles, dtype: str
) -> None:
    bundle = small_bundles[0]
    weights = {name: values.astype(dtype) for name, values in bundle.weights.items()}
    with pytest.raises(BundleError, match=f"expected dtype .*float32.*found '?{dtype}"):
        write_bundle(replace(bundle, weights=weights))
    pair = replace(bundle.pair, steps=bundle.pair.steps.astype(dtype))
    with pytest.raises(BundleError, match=f"expected dtype .*float32.*found '?{dtype}"):
        write_bundle(replace(bundle, pair=pair))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1 << 32), kind=st.sampled_from(list(BUNDLES)))
def test_any_bundle_reads_as_it_was_written_by_both(seed: int, kind: str) -> None:
    read_by_both(write_bundle(BUNDLES[kind](np.random.default_rng(seed))))


# Anything at all


def reads_or_refuses(data: bytes) -> None:
    """A bundle or one of the library's own errors; anything else, warnings included, is not caught here."""
    try:
        bundle = read_bundle(data)
    except CodecError:
        return
    assert write_bundle(bundle) == data


@settings(deadline=None, max_examples=300)
@given(start=st.sampled_from([b"", b"\x84\xa6format", b"\x84\xa6format\xaccodec bundle"]), rest=st.binary())
def test_arbitrary_bytes_are_refused_by_the_librarys_own_errors(start: bytes, rest: bytes) -> None:
    reads_or_refuses(start + rest)


def mutated(data: st.DataObject, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed)))
        changed[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    return bytes(changed)


def with_body(body: bytes) -> bytes:
    digest = hashlib.sha256(body).digest()
    return packed({"format": "codec bundle", "version": 1, "sha256": digest, "body": body})


@settings(deadline=None, max_examples=300)
@given(data=st.data(), part=st.sampled_from(["file", "body", "shared"]), side=st.sampled_from([0, 1]))
def test_mutated_bundles_with_repaired_digests_are_read_or_refused(
    small_bundles: Bundles, data: st.DataObject, part: str, side: int
) -> None:
    whole = write_bundle(small_bundles[side])
    if part == "file":
        reads_or_refuses(mutated(data, whole))
        return
    body = msgpack.unpackb(whole)["body"]
    if part == "body":
        reads_or_refuses(with_body(mutated(data, body)))
        return
    opened = msgpack.unpackb(body)
    opened["shared"] = mutated(data, opened["shared"])
    reads_or_refuses(with_body(packed(opened)))


texts = st.text("aé三\0/\n", max_size=4)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | texts | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(data=st.data(), value=anything, side=st.sampled_from([0, 1]))
def test_any_value_in_any_place_is_read_or_refused(
    small_bundles: Bundles, data: st.DataObject, value: Any, side: int
) -> None:
    file = nested(small_bundles[side])
    put_at(file, data.draw(st.sampled_from(list(leaves(file)))), value)
    reads_or_refuses(repaired(file))
