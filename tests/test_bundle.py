"""The bundle format: what is written is read, and what breaks a rule is refused by that very rule."""

import copy
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any, get_args

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec.architecture import Architecture, Side
from codec.bundle import Bundle, Pair, is_bundle, weights_digest
from codec.bundle_reader import read_bundle
from codec.bundle_writer import write_bundle
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
from tests.conftest import random_weights

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
    refused(data, "architecture, kind: expected one of convolutional, found")


@pytest.mark.parametrize("context", ["position", "", b"channel", None, 1, ["channel"]])
def test_an_unknown_context_is_refused(small_bundles: Bundles, context: Any) -> None:
    data = edited(small_bundles[0], lambda f: f["body"]["shared"].update(context=context))
    refused(data, "context: expected 'channel', found")


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


def replaced(values: Nested, other: Nested) -> None:
    values.clear()
    values.update(other)


@pytest.mark.parametrize("which", MAPS)
def test_a_map_with_a_key_missing_is_refused(small_bundles: Bundles, which: str) -> None:
    for key in maps(nested(small_bundles[0]))[which][0]:
        file = nested(small_bundles[0])
        values, where = maps(file)[which]
        value = values.pop(key)
        told = {"format": "is not a bundle", "version": "format version 1, found None"}.get(key)
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


@pytest.mark.parametrize("side", SIDES)
def test_every_value_of_another_type_is_refused(small_bundles: Bundles, side: Side) -> None:
    bundle = small_bundles[SIDES.index(side)]
    paths = [path for path in leaves(nested(bundle)) if path[:2] != ("body", "provenance")]
    assert len(paths) > 60
    accepted = []
    for path in paths:
        for value in OTHERS:
            file = nested(bundle)
            put_at(file, path, value)
            try:
                accepted.append((path, value, read_bundle(repaired(file))))
            except BundleError as error:
                if not str(error).startswith(("bundle", "architecture", "tables")):
                    raise
    assert accepted == []


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
    architecture = Architecture(code_channels=2, layers=layers, filters=2)
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
