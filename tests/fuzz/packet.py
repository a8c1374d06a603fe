"""Packets in all framings: fields are mutated and the checks repaired, then read in every way there is."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from codec import inspect
from codec.bundle_reader import read_bundle
from codec.decoder import Decoder
from codec.errors import CodecError, LimitError
from codec.inspection import PacketReport
from codec.limits import Limits
from codec.packet import Chunk, Header, crc16, is_packet
from codec.packet_reader import read_packet
from codec.packet_writer import StreamWriter, write_compact, write_packet
from codec.quantise import SYMBOL_MAX, SYMBOL_MIN
from codec.runs import encode_symbols
from codec.tiles import tile_count
from tests.fuzz.target import Target, mutate_bytes, pick, whole_number

__all__ = ["DECODERS", "LIMITS", "TARGET"]

LIMITS = Limits(
    packet_bytes=1 << 12,
    packet_images=256,
    packet_pixels=1 << 13,
    packet_symbols=1 << 14,
    chunk_images=256,
    chunk_pixels=1 << 11,
    chunk_symbols=1 << 12,
    chunk_bytes=1 << 10,
)
_GOLDEN = Path(__file__).parents[1] / "golden"
DECODERS = [
    Decoder(read_bundle((_GOLDEN / f"{name}.decoder.msgpack").read_bytes(), "decoder"), LIMITS)
    for name in ("pair", "dense-pair", "residual-pair")
]
"""One pair with a table for each channel, one with a context model, one with a spatial one."""

BATCH, STREAM, SHAPE, NAMES = 1, 2, 4, 8
SIZES = ((8, 8), (7, 8), (5, 5), (1, 1), (11, 5), (3, 40), (65535, 65535), (1, 65535), (0, 8))


# What must hold


def check(packet: bytes) -> str:
    """Read, inspect, decode and salvage; return how it was refused, or its framing."""
    try:
        header, chunks = _read(packet)
    except CodecError as error:
        _refused(packet, type(error))
        return type(error).__name__
    assert is_packet(packet)
    assert _written(header, chunks) == packet, "the reader takes what no writer writes"
    _inspected(packet, header, chunks)
    decoder = next((d for d in DECODERS if d.bundle.pair.digest.startswith(header.pair)), DECODERS[0])
    if header.framing == "mixed":
        return _mixed(decoder, packet, chunks)
    try:
        symbols = decoder.symbols(packet)
    except CodecError as error:
        return f"{header.framing}, {type(error).__name__}"
    _decoded(decoder, packet, header, chunks, symbols)
    return header.framing


def _mixed(decoder: Decoder, packet: bytes, chunks: list[Chunk]) -> str:
    """Symbols and pixels of pictures, in whatever way they are asked for, are of the size they say."""
    sizes = [chunk.size for chunk in chunks for _ in range(chunk.count) if not chunk.tile]
    assert None not in sizes
    try:
        symbols = list(decoder.picture_symbols(packet))
    except CodecError as error:
        return f"mixed, {type(error).__name__}"
    pair = decoder.bundle.pair
    assert [some.shape for some in symbols] == [pair.architecture.code_shape(*size) for size in sizes if size]
    if zlib.crc32(packet) % 16 == 0:
        try:
            pictures = list(decoder.decode_pictures(packet))
        except LimitError:
            return "mixed, LimitError of pixels"
        assert [picture.image.shape[:2] for picture in pictures] == sizes
        saved = list(decoder.decode_pictures(packet, lambda *gap: _none_is_missing()))
        bands = list(decoder.decode_rows(packet))
        for i, picture in enumerate(pictures):
            assert (picture.number, saved[i].name) == (i, picture.name)
            rows = np.concatenate([band.rows for band in bands if band.number == i])
            assert (picture.image == rows).all()
            assert (picture.image == saved[i].image).all()
    return f"mixed{', tiles' * any(chunk.tile for chunk in chunks)}"


def _none_is_missing() -> None:
    raise AssertionError("a gap in a packet that is whole")


def _read(packet: bytes) -> tuple[Header, list[Chunk]]:
    header, chunks = read_packet(packet, LIMITS)
    listed = list(chunks)
    assert [chunk.first for chunk in listed] == [
        sum(chunk.count for chunk in listed[:i] if chunk.tile + 1 == chunk.tiles) for i in range(len(listed))
    ]
    for chunk in listed:
        assert (chunk.size is not None) == (header.framing == "mixed")
        assert chunk.tile < chunk.tiles
        assert 1 <= chunk.count <= LIMITS.chunk_images
        assert len(chunk.payload) <= LIMITS.chunk_bytes
        assert (chunk.names is not None) == (header.named and not chunk.tile)
        assert chunk.names is None or len(chunk.names) == chunk.count
    if header.framing in ("stream", "mixed"):
        assert _salvaged(packet) == listed
    return header, listed


def _refused(packet: bytes, error: type[CodecError]) -> None:
    """What cannot be read cannot be decoded; of a stream, whole chunks alone may be saved."""
    ways: list[Callable[[bytes], object]] = [decoder.symbols for decoder in DECODERS]
    ways.append(partial(inspect, limits=LIMITS))
    for read in ways:
        try:
            read(packet)
        except CodecError:
            continue
        raise AssertionError(f"{read} takes what read_packet refuses with {error.__name__}")
    try:
        _salvaged(packet)
    except CodecError:
        return


def _salvaged(packet: bytes) -> list[Chunk]:
    """The chunks that can be saved; they and the gaps that are told must cover all images, each once."""
    told: list[tuple[int, int | None]] = []
    _, chunks = read_packet(packet, LIMITS, lambda first, count: told.append((first, count)))
    saved = list(chunks)
    whole = [(chunk.first, chunk.count) for chunk in saved if chunk.tile + 1 == chunk.tiles]
    parts = sorted(whole + [(f, c or 0) for f, c in told])
    end = 0
    for first, count in parts:
        assert first == end, f"salvage: images {end} to {first} are neither saved nor told missing"
        end = first + count
    assert None not in [count for _, count in told[:-1]]
    return saved


def _written(header: Header, chunks: list[Chunk]) -> bytes:
    if header.framing == "compact":
        return write_compact(header, chunks[0].payload)
    if header.framing not in ("stream", "mixed"):
        return write_packet(header, chunks[0])
    writer = StreamWriter(header)
    pieces = [writer.chunk(c.count, c.payload, c.names, c.size, c.tile) for c in chunks]
    return b"".join([writer.header(), *pieces, writer.trailer()])


def _inspected(packet: bytes, header: Header, chunks: list[Chunk]) -> None:
    try:
        report = inspect(packet, LIMITS)
    except CodecError as error:
        if not header.named and header.framing != "mixed":  # lists of names and sizes have a bound
            raise AssertionError("read, but not inspected") from error
        return
    assert isinstance(report, PacketReport)
    names = [name for chunk in chunks for name in chunk.names or ()]
    assert (report.framing, report.quality, report.bytes) == (header.framing, header.quality, len(packet))
    assert report.images == sum(chunk.count for chunk in chunks if not chunk.tile)
    assert report.names == (names if header.named else None)
    if zlib.crc32(packet) % 8 == 1:
        assert all(line.isprintable() for line in report.to_text().splitlines())
        assert report.to_json()


def _decoded(
    decoder: Decoder, packet: bytes, header: Header, chunks: list[Chunk], symbols: NDArray[np.int32]
) -> None:
    pair, (height, width) = (
        decoder.bundle.pair,
        header.shape
        or (
            decoder.bundle.pair.height,
            decoder.bundle.pair.width,
        ),
    )
    images = sum(chunk.count for chunk in chunks)
    assert symbols.dtype == np.int32
    assert symbols.shape == (images, *pair.architecture.code_shape(height, width))
    assert images <= LIMITS.packet_images
    if symbols.size:
        assert SYMBOL_MIN <= symbols.min() <= symbols.max() <= SYMBOL_MAX
    number = zlib.crc32(packet)
    if number % 8 == 0:
        _coded_again(decoder, header, chunks, symbols)
    # Threads for several chunks cost a hundred times what all the rest does.
    if number % (16 if len(chunks) < 2 else 512) == 0:
        pixels = decoder.decode(packet)
        assert pixels.dtype == np.uint8
        assert pixels.shape == (images, height, width, 1)


def _coded_again(decoder: Decoder, header: Header, chunks: list[Chunk], symbols: NDArray[np.int32]) -> None:
    """The symbols coded again are no longer than the payload was, and are the same symbols."""
    pair = decoder.bundle.pair
    for chunk in chunks:
        part = symbols[chunk.first : chunk.first + chunk.count]
        payload = encode_symbols(part, pair, header.quality)
        assert len(payload) <= len(chunk.payload), "a payload that is shorter than the shortest"
        framing = "single" if chunk.count == 1 else "batch"
        plain = Header(framing, header.quality, pair.digest[:4], header.shape)
        assert (decoder.symbols(write_packet(plain, Chunk(0, chunk.count, payload))) == part).all()


# Mutation


@dataclass
class Parts:
    """A packet's fields. ``head`` ends where the check or the body begins; streams alone have more bodies."""

    head: bytearray
    bodies: list[tuple[int, int, bytes]] = field(default_factory=list)
    images: int = 0

    @property
    def compact(self) -> bool:
        return self.head[0] >> 4 == 10

    @property
    def stream(self) -> bool:
        """Whether it is framed as a stream or a mixed packet is."""
        return not self.compact and bool(self.head[2] & STREAM)

    def joined(self, rng: Random) -> bytes:
        """With every check right, and the counts of a stream too, but for one packet in some."""
        if self.compact:
            data = bytes(self.head + self.bodies[0][2])
            return data + struct.pack("<H", crc16(data))
        if not self.stream:
            data = bytes(self.head + self.bodies[0][2])
            return data + struct.pack("<I", zlib.crc32(data))
        true = rng.random() < 0.9
        seed, images = zlib.crc32(self.head), 0
        pieces = [bytes(self.head), struct.pack("<I", seed)]
        for first, count, body in self.bodies:
            part = self._part(body)
            fields = struct.pack("<IHI", images if true else first, count, len(body))
            piece = b"\xf1CHK" + fields + body
            pieces += [piece, struct.pack("<I", zlib.crc32(piece, seed))]
            images += count if part else 0
        end = b"\xf1END" + struct.pack("<I", images if true else self.images)
        return b"".join([*pieces, end, struct.pack("<I", zlib.crc32(end, seed))])

    def _part(self, body: bytes) -> bool:
        """Whether the images of a chunk are whole once it has come, if that can be read."""
        if not self.head[2] & BATCH:
            return True
        numbers: list[int] = []
        at = 0
        while len(numbers) < 3:
            end = at
            while end < len(body) and body[end] > 127:
                end += 1
            numbers.append(sum((byte & 127) << 7 * i for i, byte in enumerate(body[at : end + 1])))
            at = end + 1
        return numbers[2] + 1 == tile_count(numbers[0], numbers[1])


def take_apart(packet: bytes) -> Parts | None:
    """The fields of what looks like a packet, whatever is wrong with it."""
    if packet[:1] and packet[0] >> 4 == 10 and len(packet) >= 6:
        return Parts(bytearray(packet[:4]), [(0, 1, packet[4:-2])])
    if packet[:2] != b"\xc3\x7a" or len(packet) < 12:
        return None
    end = 12 if packet[2] & SHAPE else 8
    parts = Parts(bytearray(packet[:end]))
    if not packet[2] & STREAM:
        parts.bodies.append((0, 1, packet[end:-4]))
        return parts
    at = end + 4
    while packet.startswith(b"\xf1CHK", at) and at + 14 <= len(packet):
        first, count, length = struct.unpack_from("<IHI", packet, at + 4)
        parts.bodies.append((first, count, packet[at + 14 : at + 14 + length]))
        at += 18 + length
    if at + 8 <= len(packet):
        (parts.images,) = struct.unpack_from("<I", packet, at + 4)
    return parts


def varint(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def _flags(parts: Parts, rng: Random) -> None:
    if parts.compact:
        return
    flags = parts.head[2] ^ pick(rng, (BATCH, STREAM, SHAPE, NAMES, NAMES | BATCH, 16, 128))
    shaped = len(parts.head) == 12
    parts.head[2] = flags
    if bool(flags & SHAPE) != shaped and rng.random() < 0.8:
        parts.head[8:] = struct.pack("<HH", *pick(rng, SIZES)) if flags & SHAPE else b""
    if not parts.bodies and not flags & STREAM:
        parts.bodies.append((0, 1, b""))


def _size(parts: Parts, rng: Random) -> None:
    if not parts.compact:
        parts.head[2] |= SHAPE
        size = pick(rng, SIZES) if rng.random() < 0.7 else (whole_number(rng, 16), whole_number(rng, 5))
        parts.head[8:] = struct.pack("<HH", *size)


def _quality(parts: Parts, rng: Random) -> None:
    if parts.compact:
        parts.head[0] = 0xA0 | int(rng.random() * 4)
    else:
        parts.head[3] = int(rng.random() * 4) if rng.random() < 0.9 else rng.getrandbits(8)


def _pair(parts: Parts, rng: Random) -> None:
    digest = pick(rng, DECODERS).bundle.pair.digest
    if parts.compact:
        parts.head[1:4] = digest[:3]
    else:
        parts.head[4:8] = digest[:4]


def _compact(parts: Parts) -> None:
    """Turn a packet into a compact one, or back."""
    if parts.compact:
        digest = next(
            (d.bundle.pair.digest for d in DECODERS if d.bundle.pair.digest[:3] == parts.head[1:4]),
            b"\0\0\0\0",
        )
        parts.head = bytearray(b"\xc3\x7a\x10" + bytes([parts.head[0] & 15]) + digest[:4])
    else:
        parts.head = bytearray([0xA0 | parts.head[3] & 15, *parts.head[4:7]])
        parts.bodies = parts.bodies[:1] or [(0, 1, b"")]


def _body(parts: Parts, rng: Random) -> None:
    """Mutate what one chunk holds."""
    if parts.bodies:
        i = int(rng.random() * len(parts.bodies))
        first, count, body = parts.bodies[i]
        parts.bodies[i] = first, count, mutate_bytes(body, rng)


def _payload(parts: Parts, rng: Random) -> None:
    """Another payload behind what may be a count."""
    if parts.bodies:
        i = int(rng.random() * len(parts.bodies))
        first, count, body = parts.bodies[i]
        keep = int(rng.random() * 3)
        parts.bodies[i] = first, count, body[:keep] + rng.randbytes(int(rng.random() * 40))


def _names(parts: Parts, rng: Random) -> None:
    """Names, right or wrong, before the payload of one chunk."""
    if parts.compact or not parts.bodies:
        return
    parts.head[2] |= NAMES
    i = int(rng.random() * len(parts.bodies))
    first, count, body = parts.bodies[i]
    start = b"" if parts.stream or not parts.head[2] & BATCH else body[:1]
    images = start[0] if start else count
    words = ("a", "b.png", "\u4e09", ".", "..", "", "a\\b", "\x00", "x" * 255, "y" * 256)
    likely = words[:3] if rng.random() < 0.8 else words
    joined = "/".join(pick(rng, likely) for _ in range(images + pick(rng, (0, 0, 0, 0, 1, -1)))).encode()
    length = len(joined) if rng.random() < 0.95 else whole_number(rng, 35)
    parts.bodies[i] = first, count, start + varint(length) + joined + body[len(start) :]


def _count(parts: Parts, rng: Random) -> None:
    """Another number of images in one chunk."""
    if not parts.bodies or parts.compact:
        return
    i = int(rng.random() * len(parts.bodies))
    first, count, body = parts.bodies[i]
    if parts.stream:
        parts.bodies[i] = first, whole_number(rng, 16), body
    else:
        parts.head[2] |= BATCH
        number = whole_number(rng, 6) if rng.random() < 0.7 else whole_number(rng, 36)
        parts.bodies[i] = first, count, varint(number) + body[int(rng.random() * 2) :]


def _chunks(parts: Parts, rng: Random) -> None:
    """Swap, repeat, drop or add chunks of a stream."""
    if not parts.stream:
        return
    kind, i = int(rng.random() * 4), int(rng.random() * (len(parts.bodies) + 1))
    if kind == 0:
        parts.bodies.insert(i, (whole_number(rng, 32), whole_number(rng, 3), rng.randbytes(i)))
    elif kind == 1:
        del parts.bodies[i : i + 1]
    elif kind == 2:
        parts.bodies[i:i] = parts.bodies[i : i + 1]
    else:
        rng.shuffle(parts.bodies)
    parts.images = whole_number(rng, 32)


MIXED_SIZES = (
    (8, 8),
    (5, 5),
    (1, 520),
    (2, 1030),
    (600, 1),
    (520, 520),
    (0, 8),
    ((1 << 31) - 1, 1),
    (1 << 31, 1),
)


def _place(parts: Parts, rng: Random) -> None:
    """Another size or tile in one chunk of a packet that is mixed, or becomes so."""
    if parts.compact or not parts.bodies:
        return
    if not parts.stream or not parts.head[2] & BATCH:
        parts.head[2] = (parts.head[2] | BATCH | STREAM) & ~SHAPE
        del parts.head[8:]
    size = pick(rng, MIXED_SIZES)
    tile = pick(rng, (0, 0, 0, 1, 2, 3)) if rng.random() < 0.9 else whole_number(rng, 36)
    i = int(rng.random() * len(parts.bodies))
    first, count, body = parts.bodies[i]
    keep = pick(rng, (0, 3, 4, 5))
    place = b"".join(map(varint, (*size, tile)))
    parts.bodies[i] = first, pick(rng, (1, 1, count)), place + body[keep:]
    if rng.random() < 0.3:  # the tiles of an image, one after the other
        tiles = min(4, tile_count(*size))
        start = b"".join(map(varint, size))
        parts.bodies[i : i + 1] = [(first, 1, start + varint(t) + body[keep:]) for t in range(tiles)]


_OPERATIONS = (
    *(_flags, _size, _quality, _quality, _pair, _body, _body, _body, _payload, _payload),
    *(_place, _place),
    *(_names, _names, _count, _count, _chunks, _chunks),
)


def mutate(packet: bytes, rng: Random) -> bytes:
    """Change a few fields and repair the checks; now and then change bytes and repair nothing."""
    parts = take_apart(packet)
    if parts is None or rng.random() < 0.03:
        return mutate_bytes(packet, rng)
    for _ in range(pick(rng, (1, 1, 1, 2, 2, 3, 5))):
        pick(rng, _OPERATIONS)(parts, rng)
    if rng.random() < 0.02:
        _compact(parts)
    joined = parts.joined(rng)
    return mutate_bytes(joined, rng) if rng.random() < 0.06 else joined


TARGET = Target("packet", check, mutate, 1 << 11)
