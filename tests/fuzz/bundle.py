"""Bundles: values are mutated and the digests repaired, so that the checks behind them are reached."""

import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

import msgpack
import numpy as np

from codec import inspect
from codec.bundle import Bundle
from codec.bundle_reader import read_bundle
from codec.bundle_writer import write_bundle
from codec.decoder import Decoder
from codec.errors import CodecError
from codec.inspection import BundleReport
from codec.limits import Limits
from codec.packet import Chunk, Header
from codec.packet_writer import write_packet
from codec.runs import encode_symbols
from tests.fuzz.target import Target, mutate_bytes, pick, whole_number

__all__ = ["LIMITS", "TARGET", "Tree", "join", "take_apart"]

LIMITS = Limits(
    bundle_bytes=1 << 16,
    bundle_tensors=32,
    bundle_nesting=4,
    bundle_values=1 << 10,
    table_entries=1 << 13,
    chunk_pixels=1 << 11,
    chunk_symbols=1 << 12,
    image_activations=1 << 15,
)
Tree = dict[str, Any]


# What must hold


def check(data: bytes) -> str:
    """Read a bundle; one that is read is written again as it was, told, and decodes or refuses a packet."""
    try:
        bundle = read_bundle(data, limits=LIMITS)
    except CodecError as error:
        return type(error).__name__
    number = zlib.crc32(data)
    if number % 4 == 0:
        assert write_bundle(bundle) == data
    for values in (*bundle.weights.values(), bundle.pair.steps):
        assert np.isfinite(values).all()
        assert not values.flags.writeable
    if number % 4 == 1:
        report = inspect(data, LIMITS)
        assert isinstance(report, BundleReport)
        assert all(line.isprintable() for line in report.to_text().splitlines())
        assert report.to_json()
    return f"{bundle.side}, {_decoded(bundle, number)}"


def _decoded(bundle: Bundle, number: int) -> str:
    pair = bundle.pair
    quality = number % pair.qualities
    payload = number.to_bytes(4, "big").rstrip(b"\0")
    header = Header("batch", quality, pair.digest[:4])
    decoder = Decoder(replace(bundle, side="decoder"), LIMITS)  # symbols need no weights
    try:
        symbols = decoder.symbols(write_packet(header, Chunk(0, 2, payload)))
    except CodecError as error:
        return f"symbols {type(error).__name__}"
    assert symbols.shape == (2, *pair.code_shape)
    again = write_packet(header, Chunk(0, 2, encode_symbols(symbols, pair, quality)))
    assert (decoder.symbols(again) == symbols).all()
    if bundle.side == "decoder":
        images = decoder.decode(again)
        assert images.dtype == np.uint8
        assert images.shape == (2, pair.height, pair.width, pair.architecture.image_channels)
    return "symbols"


# Mutation


def take_apart(data: bytes) -> Tree | None:
    """The file as dicts and lists with the packed parts opened, as far as it can be read."""
    try:
        file = msgpack.unpackb(data, strict_map_key=False)
        file["body"] = msgpack.unpackb(file["body"], strict_map_key=False)
        file["body"]["shared"] = msgpack.unpackb(file["body"]["shared"], strict_map_key=False)
    except (ValueError, TypeError, KeyError, msgpack.UnpackException):
        return None
    return file if isinstance(file["body"]["shared"], dict) else None


def join(file: Tree, pack: Callable[[Tree], bytes] = msgpack.packb) -> bytes:
    """The file of a tree, which is changed on the way, with its digests right."""
    body = file["body"]
    shared, weights = body.get("shared"), body.get("weights")
    if isinstance(shared, dict):
        half = "synthesis_sha256" if body.get("side") == "decoder" else "analysis_sha256"
        if half in shared and isinstance(weights, list):
            digest = hashlib.sha256()
            for tensor in weights:
                digest.update(msgpack.packb(tensor))
            shared[half] = digest.digest()
        body["shared"] = pack(shared)
    file["body"] = pack(body)
    if "sha256" in file:
        file["sha256"] = hashlib.sha256(file["body"]).digest()
    return pack(file)


def _packed(rng: Random, value: Tree) -> bytes:
    """MessagePack that is now and then mutated as bytes, before anything digests it."""
    data: bytes = msgpack.packb(value)
    kind = rng.random()
    if kind < 0.03:
        return mutate_bytes(data, rng)
    if kind < 0.04 and len(value) < 15:  # one of its keys twice
        key = pick(rng, list(value))
        data = bytes([data[0] + 1]) + data[1:] + msgpack.packb(key) + msgpack.packb(value[key])
    return data


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a tree, with each key or index in it."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield value, key
        if isinstance(item, dict | list):
            yield from _places(item)


def _other(value: Any, rng: Random) -> Any:
    """Something like ``value``, or something else altogether."""
    if rng.random() < 0.15:
        return pick(
            rng,
            (
                *(
                    None,
                    True,
                    -1,
                    1.5,
                    float("nan"),
                    "",
                    "\u4e09",
                    b"",
                    [],
                    {},
                    [[[[[[0]]]]]],
                    {"a": {"b": [{}]}},
                ),
                *(1 << 63, -(1 << 63), "x" * 300, [0] * 300, msgpack.ExtType(5, b"x"), msgpack.Timestamp(0)),
            ),
        )
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        kind = rng.random()
        return value + pick(rng, (-1, 1)) if kind < 0.6 else whole_number(rng, 17 if kind < 0.9 else 64)
    if isinstance(value, float):
        return pick(rng, (0.0, -0.0, 1e300, float("inf"), float("nan"), value / 2))
    if isinstance(value, str):
        return value + "x" if rng.random() < 0.5 else value[:-1]
    if isinstance(value, bytes):
        return _numbers(value, rng)
    if isinstance(value, list):
        return _list(value, rng)
    return _map(value, rng)


def _numbers(value: bytes, rng: Random) -> bytes:
    """A tensor's data with a number changed, or moved from one place to another so that the sum stays."""
    kind, data = rng.random(), bytearray(value)
    size = pick(rng, (1, 2, 4))
    if kind < 0.2 or len(data) < 2 * size:
        return mutate_bytes(value, rng)
    one, other = (int(rng.random() * (len(data) // size)) * size for _ in range(2))
    bits = 8 * size
    first = int.from_bytes(data[one : one + size], "little")
    if kind < 0.6:
        second = int.from_bytes(data[other : other + size], "little")
        moved = min(first, (1 << bits) - 1 - second, whole_number(rng, bits))
        data[other : other + size] = (
            (second + moved).to_bytes(size, "little") if other != one else data[one : one + size]
        )
        changed = first - moved if other != one else first
    else:
        changed = (
            (first + pick(rng, (1, -1, 2, 256))) % (1 << bits) if kind < 0.8 else whole_number(rng, bits)
        )
    data[one : one + size] = changed.to_bytes(size, "little")
    return bytes(data)


def _list(value: list[Any], rng: Random) -> list[Any]:
    changed = list(value)
    at = int(rng.random() * (len(changed) + 1))
    kind = rng.random()
    if kind < 0.3:
        del changed[at : at + 1]
    elif kind < 0.6:
        changed.insert(at, changed[at - 1] if changed else 1)
    else:
        rng.shuffle(changed)
    return changed


def _map(value: Tree, rng: Random) -> Tree:
    items = list(value.items())
    at = int(rng.random() * (len(items) + 1))
    kind = rng.random()
    if kind < 0.3:
        del items[at : at + 1]
    elif kind < 0.6:
        others: tuple[Any, ...] = (0, "", None, {}, [])
        items.insert(at, (pick(rng, ("x", "kind", "name", "", "units")), pick(rng, others)))
    else:
        rng.shuffle(items)
    return dict(items)


def _resize(file: Tree, rng: Random) -> None:
    """A tensor of another shape, with as many values as it says."""
    tensors = [*file["body"].get("weights", []), *_tensors(file["body"]["shared"])]
    if not tensors:
        return
    tensor = pick(rng, tensors)
    if not isinstance(tensor, dict) or not isinstance(tensor.get("shape"), list) or not tensor["shape"]:
        return
    shape, data = tensor["shape"], tensor.get("data")
    axis = int(rng.random() * len(shape))
    if isinstance(data, bytes) and isinstance(shape[axis], int) and shape[axis]:
        part = len(data) // shape[axis]
        fewer = rng.random() < 0.5
        shape[axis] += -1 if fewer else 1
        tensor["data"] = data[: len(data) - part] if fewer else data + data[:part]


def _tensors(shared: Tree) -> list[Any]:
    context = shared.get("context")
    maps = [shared, *([context] if isinstance(context, dict) else [])]
    return [value for some in maps for value in some.values() if isinstance(value, dict) and "dtype" in value]


def _provenance(file: Tree, rng: Random) -> None:
    value: Any = pick(rng, (0, "x", 1.5, None, b"x", [], {}))
    for _ in range(int(rng.random() * 7)):
        value = [value] * (1 + int(rng.random() * 3)) if rng.random() < 0.5 else {"k": value}
    file["body"]["provenance"] = {"name": value} if rng.random() < 0.9 else value


def _change(file: Tree, rng: Random) -> None:
    """One value anywhere; those of a tensor and of the architecture are as likely as all the rest."""
    part = file["body"]["shared"] if rng.random() < 0.7 else file
    if rng.random() < 0.3 and isinstance(part.get("architecture"), dict) and part["architecture"]:
        part = part["architecture"]
    holder, key = pick(rng, list(_places(part)) or [(file, "version")])
    holder[key] = _other(holder[key], rng)


def _data(file: Tree, rng: Random) -> None:
    """A number in a tensor."""
    tensors = [*file["body"].get("weights", []), *_tensors(file["body"]["shared"])]
    tensor = pick(rng, tensors) if tensors else None
    if isinstance(tensor, dict) and isinstance(tensor.get("data"), bytes):
        tensor["data"] = _numbers(tensor["data"], rng)


_OPERATIONS = (_change, _change, _data, _data, _data, _resize, _provenance)


def mutate(data: bytes, rng: Random) -> bytes:
    """Change a few values and repair the digests; now and then change bytes and repair nothing."""
    file = take_apart(data)
    if file is None or rng.random() < 0.02:
        return mutate_bytes(data, rng)
    try:
        for _ in range(pick(rng, (1, 1, 1, 2, 3))):
            pick(rng, _OPERATIONS)(file, rng)
        return join(file, partial(_packed, rng))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, IndexError):
        return mutate_bytes(data, rng)  # the tree is no longer one


TARGET = Target("bundle", check, mutate, 1 << 16)
