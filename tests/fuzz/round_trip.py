"""Images of any shape and type, under any options: a packet that decodes to what went in, or a refusal."""

import struct
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from codec.bundle_reader import read_bundle
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import CodecError
from codec.images import as_batch
from codec.limits import Limits
from codec.packet_reader import read_packet
from codec.quantise import quantise
from tests.fuzz.target import Target, mutate_bytes, pick, whole_number

__all__ = ["TARGET"]

LIMITS = Limits(packet_images=64, packet_pixels=1 << 13, chunk_pixels=1 << 12)
_GOLDEN = Path(__file__).parents[1] / "golden"
PAIRS = [
    (
        Encoder(read_bundle((_GOLDEN / f"{name}.encoder.msgpack").read_bytes()), LIMITS),
        Decoder(read_bundle((_GOLDEN / f"{name}.decoder.msgpack").read_bytes()), LIMITS),
    )
    for name in ("pair", "dense-pair", "residual-pair")
]
TYPES = ("u1", "<f4", "<f2", "<f8", ">f4", "?", "i1", "<i4", "<c8", "<U1", "S1", "<M8[s]", "V3", "O")
NAMES = ("a.png", "b", "", ".", "a/b", "\u4e09", "\ud800", "x" * 256, None, 5)
FIELDS = struct.Struct("<BBBBBB4B")
"""Pair, type, axes, quality, flags, the seed of the names, and four sides; behind it stand the pixels."""


# What must hold


def check(data: bytes) -> str:
    """Encode, decode, and compare with the stages one by one."""
    pair, kind, axes, quality, flags, seed, *sides = _fields(data)
    encoder, decoder = PAIRS[pair % len(PAIRS)]
    images = _images(TYPES[kind % len(TYPES)], tuple(sides[: axes % 6]), data[FIELDS.size :])
    options: dict[str, Any] = {"quality": None if quality == 255 else quality, "compact": bool(flags & 1)}
    names = None
    if flags & 2:
        rng = Random(seed)
        names = [pick(rng, NAMES[:2] if flags & 4 else NAMES) for _ in range(sides[0] if axes == 4 else 1)]
        options["names"] = names
    try:
        packet = encoder.encode(images, **options)
    except CodecError as error:
        return type(error).__name__
    batch = as_batch(images, 1)
    symbols = decoder.symbols(packet)
    steps = encoder.bundle.pair.steps[read_packet(packet)[0].quality]
    expected = quantise(encoder.codes(images, quality=options["quality"]), steps)
    if encoder.bundle.pair.context is None:
        row = encoder.bundle.pair.tables[read_packet(packet)[0].quality]
        for channel, table in enumerate(row):
            if table.certain:
                expected[..., channel] = table.low
    assert np.array_equal(symbols, expected)
    decoded = decoder.decode(packet)
    assert decoded.dtype == np.uint8
    assert decoded.shape == batch.shape
    header, chunks = read_packet(packet)
    told = [name for chunk in chunks for name in chunk.names or ()]
    assert told == (names or [])
    return f"{header.framing} of {batch.dtype}"


def _fields(data: bytes) -> tuple[int, ...]:
    return FIELDS.unpack(data[: FIELDS.size].ljust(FIELDS.size, b"\0"))


def _images(kind: str, shape: tuple[int, ...], data: bytes) -> Any:
    """An array of this type and shape; floats are in 0..1 if the bytes before them are not odd."""
    dtype = np.dtype(kind)
    count = int(np.prod(shape, dtype=np.int64))
    if count > 1 << 13:
        shape, count = shape[:1], shape[0]
    if dtype.hasobject:
        return np.full(shape, data[:1], object)
    length = count * dtype.itemsize
    if dtype.kind == "f" and data[:1] < b"\xf0":
        levels = np.frombuffer((data * (count // max(1, len(data)) + 1)).ljust(count, b"\0"), np.uint8, count)
        return (levels / 255).astype(dtype).reshape(shape)
    if dtype.kind == "U":
        return np.full(shape, "x")
    raw = (data * (length // max(1, len(data)) + 1)).ljust(length, b"\0")[:length]
    return np.frombuffer(raw, dtype, count).reshape(shape)


# Mutation


def mutate(data: bytes, rng: Random) -> bytes:
    """Change one of the fields, mostly to one that goes with the others, or the pixels."""
    fields = list(_fields(data))
    pixels = data[FIELDS.size :]
    for _ in range(pick(rng, (1, 1, 2, 3))):
        kind = int(rng.random() * 7)
        if kind == 0:
            fields[0] = int(rng.random() * len(PAIRS))
        elif kind == 1:
            fields[1] = int(rng.random() * 2) if rng.random() < 0.8 else rng.getrandbits(8)
        elif kind == 2:
            fields[3] = pick(rng, (0, 1, 2, 2, 255, 3, 16, 200))
        elif kind == 3:
            fields[4:6] = rng.getrandbits(3), rng.getrandbits(8)
        elif kind == 4:  # small images of few sizes: each is compiled once
            size = pick(rng, ((8, 8), (8, 8), (5, 7), (1, 1), (2, 3)))
            fields[2], fields[6:] = 4, [pick(rng, (1, 1, 2, 5, 17)), *size, 1]
        elif kind == 5:
            fields[2 + 4 * (rng.random() < 0.7) + int(rng.random() * 3)] = whole_number(rng, 4)
        else:
            pixels = mutate_bytes(pixels, rng) or b"\0"
    return FIELDS.pack(*(field & 255 for field in fields)) + pixels


TARGET = Target("round_trip", check, mutate, 1 << 10)
