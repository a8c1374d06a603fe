"""The packet format: its bytes, its checks, its bounds. Packets are also built by hand, field by field."""

import contextlib
import io
import itertools
import random
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec import inspect
from codec.bundle import Bundle
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import (
    CodecError,
    DamagedPacketError,
    ImageError,
    LimitError,
    PacketError,
    WrongPairError,
)
from codec.inspection import PacketReport
from codec.limits import DEFAULT_LIMITS, Limits
from codec.packet import Chunk, Header, crc16, is_packet
from codec.packet_reader import read_packet
from codec.packet_writer import StreamWriter, write_compact, write_packet
from codec.tiles import tile_count

BATCH, STREAM, SHAPE, NAMES = 1, 2, 4, 8
PAIR = bytes.fromhex("c0ffee42")
ANY_LENGTH = Limits(chunk_bytes=1 << 32)
"""With these a stream whose length field is damaged is read on, so that its check has to tell."""

Pair = tuple[Encoder, Decoder]


def head(
    flags: int = 0, quality: int = 0, pair: bytes = PAIR, size: tuple[int, ...] = (), version: int = 1
) -> bytes:
    return b"\xc3\x7a" + bytes([version << 4 | flags, quality]) + pair + struct.pack(f"<{len(size)}H", *size)


def sealed(content: bytes) -> bytes:
    return content + struct.pack("<I", zlib.crc32(content))


def sealed_compact(content: bytes) -> bytes:
    return content + struct.pack("<H", crc16(content))


def chunk(header: bytes, first: int, count: int, body: bytes) -> bytes:
    piece = b"\xf1CHK" + struct.pack("<IHI", first, count, len(body)) + body
    return piece + struct.pack("<I", zlib.crc32(header + piece))


def trailer(header: bytes, images: int) -> bytes:
    piece = b"\xf1END" + struct.pack("<I", images)
    return piece + struct.pack("<I", zlib.crc32(header + piece))


def varint(value: int) -> bytes:
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def named(joined: bytes, payload: bytes = b"p") -> bytes:
    return varint(len(joined)) + joined + payload


def read(packet: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[Header, list[Chunk]]:
    header, chunks = read_packet(packet, limits)
    return header, list(chunks)


def report(packet: bytes) -> PacketReport:
    found = inspect(packet)
    assert isinstance(found, PacketReport)
    return found


def images_of(count: int, height: int = 8, width: int = 8, seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 1), np.uint8)


def written_stream(header: Header, *chunks: Chunk, limits: Limits = DEFAULT_LIMITS) -> bytes:
    writer = StreamWriter(header, limits)
    pieces = [writer.chunk(c.count, c.payload, c.names, c.size, c.tile) for c in chunks]
    return b"".join([writer.header(), *pieces, writer.trailer()])


def example_packets() -> dict[str, bytes]:
    header = Header("stream", 1, PAIR, (11, 5), True)
    return {
        "single": write_packet(Header("single", 2, PAIR), Chunk(0, 1, b"payload")),
        "batch": write_packet(
            Header("batch", 2, PAIR, (9, 8), True), Chunk(0, 3, b"pay", ("a", "b.png", "ü"))
        ),
        "stream": written_stream(
            header,
            Chunk(0, 2, b"first", ("a", "b")),
            Chunk(2, 1, b"", ("c",)),
            Chunk(3, 3, b"third", ("d", "e", "f")),
        ),
        "mixed": written_stream(
            Header("mixed", 1, PAIR, None, True),
            Chunk(0, 2, b"first", ("a", "b"), (300, 8)),
            Chunk(2, 1, b"left", ("c",), (8, 700), 0),
            Chunk(2, 1, b"right", None, (8, 700), 1),
            Chunk(3, 1, b"", ("d",), (1, 1)),
        ),
        "compact": write_compact(Header("compact", 2, PAIR), b"payload"),
    }


EXAMPLES = example_packets()


# What framing costs


def test_a_single_image_costs_twelve_bytes_of_framing(small_pair: Pair) -> None:
    found = report(small_pair[0].encode(images_of(1)))
    assert (found.framing, found.bytes - found.payload_bytes) == ("single", 12)
    assert found.payload_bytes > 0


def test_a_compact_image_costs_six_bytes_of_framing(small_pair: Pair) -> None:
    found = report(small_pair[0].encode(images_of(1), compact=True))
    assert (found.framing, found.bytes - found.payload_bytes) == ("compact", 6)


def test_compact_and_single_packets_carry_the_same_payload(small_pair: Pair) -> None:
    encoder, _ = small_pair
    single, compact = (read(encoder.encode(images_of(1), compact=c))[1][0].payload for c in (False, True))
    assert single == compact != b""


@pytest.mark.parametrize(("count", "cost"), [(2, 13), (127, 13), (128, 14), (1024, 14)])
def test_a_batch_costs_thirteen_bytes_up_to_127_images(small_pair: Pair, count: int, cost: int) -> None:
    found = report(small_pair[0].encode(images_of(count)))
    assert (found.framing, found.images, found.bytes - found.payload_bytes) == ("batch", count, cost)


@pytest.mark.parametrize("chunks", [0, 1, 2, 5])
def test_a_stream_costs_24_bytes_and_18_a_chunk(chunks: int) -> None:
    parts = [Chunk(i, 1, bytes([1] * i)) for i in range(chunks)]
    found = report(written_stream(Header("stream", 0, PAIR), *parts))
    assert (found.chunks, found.images) == (chunks, chunks)
    assert found.bytes - found.payload_bytes == 24 + 18 * chunks


def test_a_batch_of_more_images_than_a_chunk_holds_becomes_a_stream(small_pair: Pair) -> None:
    found = report(small_pair[0].encode(images_of(1025)))
    assert (found.framing, found.images, found.chunks) == ("stream", 1025, 2)
    assert found.bytes - found.payload_bytes == 24 + 2 * 18


@pytest.mark.parametrize("framing", ["single", "batch", "stream"])
def test_an_image_size_costs_four_bytes(framing: str) -> None:
    def length(shape: tuple[int, int] | None) -> int:
        header, part = Header(framing, 0, PAIR, shape), Chunk(0, 2 - (framing == "single"), b"p")
        return len(written_stream(header, part) if framing == "stream" else write_packet(header, part))

    assert length((11, 5)) - length(None) == 4


def test_images_of_the_pairs_own_size_do_not_state_it(small_pair: Pair) -> None:
    encoder, _ = small_pair
    assert report(encoder.encode(images_of(1))).image_size is None
    assert report(encoder.encode(images_of(1, 8, 9))).image_size == (8, 9)


@pytest.mark.parametrize("names", [("a",), ("a" * 255,), ("ü" * 100, "b"), ("a", "b", "c")])
def test_names_cost_their_own_bytes_and_separators_and_a_length(names: tuple[str, ...]) -> None:
    framing = "single" if len(names) == 1 else "batch"
    without = write_packet(Header(framing, 0, PAIR), Chunk(0, len(names), b"p"))
    joined = sum(len(name.encode()) for name in names) + len(names) - 1
    packet = write_packet(Header(framing, 0, PAIR, named=True), Chunk(0, len(names), b"p", names))
    assert len(packet) - len(without) == joined + (1 if joined < 128 else 2)


# What is written, byte for byte, and read back


def test_the_writers_bytes_are_those_of_the_specification() -> None:
    batch, stream = head(BATCH | SHAPE | NAMES, 2, size=(9, 8)), head(STREAM | SHAPE | NAMES, 1, size=(11, 5))
    mixed = head(BATCH | STREAM | NAMES, quality=1)
    specified = {
        "single": sealed(head(quality=2) + b"payload"),
        "batch": sealed(batch + b"\x03" + named("a/b.png/ü".encode(), b"pay")),
        "stream": sealed(stream)
        + chunk(stream, 0, 2, named(b"a/b", b"first"))
        + chunk(stream, 2, 1, named(b"c", b""))
        + chunk(stream, 3, 3, named(b"d/e/f", b"third"))
        + trailer(stream, 6),
        "mixed": sealed(mixed)
        + chunk(mixed, 0, 2, b"\xac\x02\x08\x00" + named(b"a/b", b"first"))
        + chunk(mixed, 2, 1, b"\x08\xbc\x05\x00" + named(b"c", b"left"))
        + chunk(mixed, 2, 1, b"\x08\xbc\x05\x01right")
        + chunk(mixed, 3, 1, b"\x01\x01\x00" + named(b"d", b""))
        + trailer(mixed, 4),
        "compact": sealed_compact(b"\xa2" + PAIR[:3] + b"payload"),
    }
    assert specified == EXAMPLES


def test_the_check_of_compact_packets_is_the_crc_of_the_specification() -> None:
    assert crc16(b"123456789") == 0x29B1  # CRC-16/CCITT-FALSE's published check value


payloads = st.binary(max_size=60)
sizes = st.none() | st.tuples(st.integers(1, 0xFFFF), st.integers(1, 0xFFFF))
file_names = st.text("ab.-~:* é三😀\x80\u202e", min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..")
)


def drawn_names(data: st.DataObject, count: int, wanted: bool) -> tuple[str, ...] | None:
    return tuple(data.draw(st.lists(file_names, min_size=count, max_size=count))) if wanted else None


@settings(deadline=None)
@given(st.data(), st.integers(0, 255), st.binary(min_size=4, max_size=4), sizes, st.booleans(), payloads)
def test_a_single_packet_reads_as_it_was_written(
    data: st.DataObject, quality: int, pair: bytes, shape: tuple[int, int] | None, names: bool, payload: bytes
) -> None:
    header = Header("single", quality, pair, shape, names)
    part = Chunk(0, 1, payload, drawn_names(data, 1, names))
    assert read(write_packet(header, part)) == (header, [part])


@settings(deadline=None)
@given(st.data(), st.integers(2, 40), sizes, st.booleans(), payloads)
def test_a_batch_reads_as_it_was_written(
    data: st.DataObject, count: int, shape: tuple[int, int] | None, names: bool, payload: bytes
) -> None:
    header = Header("batch", 1, PAIR, shape, names)
    part = Chunk(0, count, payload, drawn_names(data, count, names))
    assert read(write_packet(header, part)) == (header, [part])


@settings(deadline=None)
@given(st.integers(2, DEFAULT_LIMITS.chunk_images))
def test_every_count_of_a_batch_reads_as_it_was_written(count: int) -> None:
    _, [part] = read(write_packet(Header("batch", 1, PAIR), Chunk(0, count, b"p")))
    assert part.count == count


@settings(deadline=None)
@given(st.data(), st.lists(st.integers(1, 6), max_size=5), sizes, st.booleans())
def test_a_stream_reads_as_it_was_written(
    data: st.DataObject, counts: list[int], shape: tuple[int, int] | None, names: bool
) -> None:
    header = Header("stream", 3, PAIR, shape, names)
    firsts = itertools.accumulate(counts, initial=0)
    parts = [
        Chunk(first, count, data.draw(payloads), drawn_names(data, count, names))
        for first, count in zip(firsts, counts, strict=False)
    ]
    assert read(written_stream(header, *parts)) == (header, parts)


sides = st.sampled_from([1, 127, 128, 512, 513, 1537, (1 << 31) - 1])


@settings(deadline=None)
@given(
    st.data(), st.lists(st.tuples(sides, st.integers(1, 1030), st.integers(1, 3)), max_size=4), st.booleans()
)
def test_a_mixed_packet_reads_as_it_was_written(
    data: st.DataObject, images: list[tuple[int, int, int]], names: bool
) -> None:
    header = Header("mixed", 3, PAIR, None, names)
    parts: list[Chunk] = []
    for height, width, count in images:
        first, tiles = parts[-1].behind if parts else 0, tile_count(height, width)
        if tiles > 10:
            continue
        count = count if tiles == 1 else 1
        carried = drawn_names(data, count, names)
        for tile in range(tiles):
            payload = data.draw(payloads)
            parts.append(Chunk(first, count, payload, None if tile else carried, (height, width), tile))
    assert read(written_stream(header, *parts)) == (header, parts)


@settings(deadline=None)
@given(st.integers(0, 15), payloads)
def test_a_compact_packet_reads_as_it_was_written(quality: int, payload: bytes) -> None:
    packet = write_compact(Header("compact", quality, PAIR), payload)
    assert read(packet) == (Header("compact", quality, PAIR[:3]), [Chunk(0, 1, payload)])


@pytest.mark.parametrize("size", [(8, 8), (11, 5), (1, 1)])
def test_images_keep_their_size_and_names_in_every_framing(small_pair: Pair, size: tuple[int, int]) -> None:
    encoder, decoder = small_pair
    images, names = images_of(3, *size), ("a.png", "ü", "a.png")
    packets = {
        "single": encoder.encode(images[:1], names=names[:1]),
        "batch": encoder.encode(images, names=names),
        "stream": b"".join(encoder.encode_stream([images[:2], images[2:]], names=names)),
    }
    for framing, packet in packets.items():
        count = 1 if framing == "single" else 3
        [part] = decoder.decode_stream(packet)
        assert report(packet).framing == framing
        assert part.images.shape == (count, *size, 1)
        assert part.names == names[:count]
        np.testing.assert_array_equal(decoder.decode(packet), part.images)


def test_a_stream_of_no_chunks_is_a_packet_of_no_images(small_pair: Pair) -> None:
    _, decoder = small_pair
    pair = decoder.bundle.pair.digest[:4]
    packet = written_stream(Header("stream", 0, pair))
    assert decoder.decode(packet).shape == (0, 8, 8, 1)
    assert decoder.symbols(packet).shape == (0, 4, 4, 3)
    assert list(decoder.decode_stream(packet)) == []


class Dripping(io.BytesIO):
    """A file that returns one byte a call, as a slow socket may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(0 if size == 0 else 1)


@pytest.mark.parametrize("framing", EXAMPLES)
def test_a_file_that_returns_one_byte_at_a_time_is_read_whole(framing: str) -> None:
    header, chunks = read_packet(Dripping(EXAMPLES[framing]))
    assert (header, list(chunks)) == read(EXAMPLES[framing])


def test_a_file_that_returns_one_byte_at_a_time_is_decoded_and_inspected(small_pair: Pair) -> None:
    encoder, decoder = small_pair
    for packet in (encoder.encode(images_of(2)), encoder.encode(images_of(1), compact=True)):
        np.testing.assert_array_equal(decoder.decode(Dripping(packet)), decoder.decode(packet))
        assert inspect(Dripping(packet)) == inspect(packet)


@pytest.mark.parametrize("framing", ["single", "batch", "compact"])
def test_a_dripping_packet_over_its_limit_is_refused(framing: str) -> None:
    packet = EXAMPLES[framing]
    with pytest.raises(LimitError, match=r"Limits\(packet_bytes="):
        read_packet(Dripping(packet), Limits(packet_bytes=len(packet) // 2))


# Damage


@pytest.mark.parametrize("framing", EXAMPLES)
def test_every_flipped_bit_is_refused(framing: str) -> None:
    packet = EXAMPLES[framing]
    accepted = []
    for bit in range(8 * len(packet)):
        damaged = bytearray(packet)
        damaged[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(PacketError):
            accepted.append((bit, read(bytes(damaged), ANY_LENGTH)))
    assert accepted == []


def bursts(packet: bytes, width: int, order: Literal["little", "big"]) -> Iterator[bytes]:
    """``packet`` with each run of at most ``width`` bits inverted at its ends and at random in between.

    A check of ``width`` bits notices every one of them, but not every longer one. ``order`` is that in which
    the check takes the bits of a byte: from the least significant or from the most.
    """
    whole, bits = int.from_bytes(packet, order), 8 * len(packet)
    rng = random.Random(width)
    for length in range(2, width + 1):
        ends = 1 | 1 << length - 1
        for start in range(bits - length + 1):
            for inner in (0, (1 << length) - 1, rng.getrandbits(length)):
                yield (whole ^ (inner | ends) << start).to_bytes(len(packet), order)


@pytest.mark.parametrize("framing", EXAMPLES)
def test_every_burst_as_long_as_the_check_is_refused(framing: str) -> None:
    packet = EXAMPLES[framing]
    damage = bursts(packet, 16, "big") if framing == "compact" else bursts(packet, 32, "little")
    for damaged in damage:
        with pytest.raises(PacketError):
            read(damaged, ANY_LENGTH)


@pytest.mark.parametrize("framing", EXAMPLES)
def test_every_two_bytes_swapped_are_refused(framing: str) -> None:
    packet = EXAMPLES[framing]
    for one, other in itertools.combinations(range(len(packet)), 2):
        swapped = bytearray(packet)
        swapped[one], swapped[other] = packet[other], packet[one]
        if swapped != packet:
            with pytest.raises(PacketError):
                read(bytes(swapped), ANY_LENGTH)


@pytest.mark.parametrize("framing", EXAMPLES)
def test_every_byte_repeated_or_left_out_is_refused(framing: str) -> None:
    packet = EXAMPLES[framing]
    for i in range(len(packet)):
        for damaged in (packet[:i] + packet[i : i + 1] + packet[i:], packet[:i] + packet[i + 1 :]):
            with pytest.raises(PacketError):
                read(damaged, ANY_LENGTH)


@pytest.mark.parametrize("framing", EXAMPLES)
def test_every_proper_prefix_is_refused(framing: str) -> None:
    packet = EXAMPLES[framing]
    for length in range(len(packet)):
        with pytest.raises(PacketError):
            read(packet[:length])


def test_every_flipped_bit_and_every_prefix_is_refused_by_the_decoder(small_pair: Pair) -> None:
    encoder, decoder = small_pair
    packet = encoder.encode(images_of(1), names=["n"])
    damaged = [packet[:length] for length in range(len(packet))]
    for bit in range(8 * len(packet)):
        flipped = bytearray(packet)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    assert decoder.decode(packet).shape == (1, 8, 8, 1)
    for bad in damaged:
        with pytest.raises(PacketError):
            decoder.decode(bad)


@pytest.mark.parametrize("framing", EXAMPLES)
@pytest.mark.parametrize("tail", [b"\0", b"x", b"\xf1END", b"\0" * 100])
def test_bytes_behind_the_end_are_refused(framing: str, tail: bytes) -> None:
    with pytest.raises(DamagedPacketError):
        read(EXAMPLES[framing] + tail)


@pytest.mark.parametrize("framing", EXAMPLES)
def test_two_packets_one_behind_the_other_are_refused(framing: str) -> None:
    with pytest.raises(DamagedPacketError):
        read(EXAMPLES[framing] * 2)


@pytest.mark.parametrize("images", [6, 3, 1, 0])
def test_chunks_swapped_dropped_or_duplicated_are_refused(images: int) -> None:
    header = head(STREAM)
    parts = [chunk(header, 0, 1, b"a"), chunk(header, 1, 2, b"b"), chunk(header, 3, 3, b"c")]
    orders = [order for length in range(5) for order in itertools.product(range(3), repeat=length)]
    accepted = []
    for order in orders:
        packet = sealed(header) + b"".join(parts[i] for i in order) + trailer(header, images)
        with contextlib.suppress(DamagedPacketError):
            accepted.append((order, len(read(packet)[1])))
    whole = {6: (0, 1, 2), 3: (0, 1), 1: (0,), 0: ()}[images]
    assert accepted == [(whole, len(whole))]


def test_any_two_chunks_of_a_long_stream_swapped_or_any_one_repeated_are_refused(small_pair: Pair) -> None:
    encoder, decoder = small_pair
    payload = read(encoder.encode(images_of(1), quality=0))[1][0].payload
    writer = StreamWriter(Header("stream", 0, encoder.bundle.pair.digest[:4]))
    start, chunks = writer.header(), [writer.chunk(1, payload) for _ in range(40)]
    end = writer.trailer()
    assert decoder.decode(start + b"".join(chunks) + end).shape == (40, 8, 8, 1)
    for one, other in itertools.product(range(40), repeat=2):
        swapped, repeated = list(chunks), list(chunks)
        swapped[one], swapped[other] = chunks[other], chunks[one]
        repeated.insert(one, chunks[other])
        for damaged in [repeated, swapped][: 1 + (one < other)]:
            with pytest.raises(DamagedPacketError):
                list(read_packet(start + b"".join(damaged) + end)[1])


def test_a_dropped_last_chunk_is_told_by_the_number_of_images() -> None:
    header = head(STREAM)
    with pytest.raises(DamagedPacketError, match="expected 3 images, found 1; a chunk is missing"):
        read(sealed(header) + chunk(header, 0, 1, b"a") + trailer(header, 3))


def test_a_swapped_chunk_is_told_by_the_image_it_should_begin_with() -> None:
    header = head(STREAM)
    with pytest.raises(DamagedPacketError, match="expected the chunk of image 0, found 2 images from 1 on"):
        read(sealed(header) + chunk(header, 1, 2, b"b") + chunk(header, 0, 1, b"a") + trailer(header, 3))


def test_a_chunk_without_images_is_refused() -> None:
    header = head(STREAM)
    with pytest.raises(DamagedPacketError, match="found 0 images from 0 on"):
        read(sealed(header) + chunk(header, 0, 0, b"") + trailer(header, 0))


def test_a_stream_without_its_trailer_is_truncated() -> None:
    header = head(STREAM)
    with pytest.raises(DamagedPacketError, match="truncated"):
        read(sealed(header) + chunk(header, 0, 1, b"a"))


@pytest.mark.parametrize(
    "other",
    [
        head(STREAM, quality=1),
        head(STREAM, pair=b"more"),
        head(STREAM | SHAPE, size=(11, 5)),
        head(STREAM | NAMES),
    ],
    ids=["quality", "pair", "size", "names"],
)
def test_a_chunk_of_another_packet_is_refused(other: bytes) -> None:
    header = head(STREAM)
    moved = chunk(other, 0, 1, b"\x01ap")
    assert len(read(sealed(other) + moved + trailer(other, 1))[1]) == 1
    with pytest.raises(DamagedPacketError, match="check of the chunk after image 0 does not match"):
        read(sealed(header) + moved + trailer(header, 1))


def test_a_trailer_of_another_packet_is_refused() -> None:
    header = head(STREAM)
    with pytest.raises(DamagedPacketError, match="trailer: its check does not match"):
        read(sealed(header) + trailer(head(STREAM, quality=1), 0))


def test_chunks_before_a_damaged_one_are_decoded(small_pair: Pair) -> None:
    encoder, decoder = small_pair
    pair = encoder.bundle.pair.digest[:4]
    payload = read(encoder.encode(images_of(2), quality=2))[1][0].payload
    header = head(STREAM, 2, pair)
    good, bad = chunk(header, 0, 2, payload), bytearray(chunk(header, 2, 2, payload))
    bad[20] ^= 1
    stream = decoder.decode_stream(sealed(header) + good + bytes(bad) + trailer(header, 4))
    np.testing.assert_array_equal(
        next(stream).images, decoder.decode(encoder.encode(images_of(2), quality=2))
    )
    with pytest.raises(DamagedPacketError, match="chunk after image 2"):
        next(stream)


# Headers that no reader may take


@pytest.mark.parametrize("data", [b"", b"\xc3", b"\xc4\x7a", b"PNG", b"\x7a\xc3", b"\xb0\0\0\0\0\0"])
def test_what_does_not_begin_like_a_packet_is_none(data: bytes) -> None:
    assert not is_packet(data)
    with pytest.raises(PacketError, match=f"found {data[:2].hex(' ') or 'nothing'}; this is not a packet"):
        read(data + b"and some more bytes" * bool(data[1:]))


@pytest.mark.parametrize("framing", EXAMPLES)
def test_every_framing_begins_like_a_packet(framing: str) -> None:
    assert is_packet(EXAMPLES[framing])


@pytest.mark.parametrize("version", [0, *range(2, 16)])
@pytest.mark.parametrize("flags", [0, BATCH, STREAM, BATCH | STREAM])
def test_an_unknown_version_is_named(version: int, flags: int) -> None:
    with pytest.raises(PacketError, match=rf"expected format version 1, found {version}; update split-codec"):
        read(sealed(head(flags, version=version) + b"whatever the future holds"))


@pytest.mark.parametrize("extra", [SHAPE, NAMES | SHAPE])
def test_a_mixed_packet_that_states_one_image_size_is_refused(extra: int) -> None:
    with pytest.raises(PacketError, match="expected no image size in a mixed packet's header, found one"):
        read(sealed(head(BATCH | STREAM | extra, size=(1, 1))) + b"\x02payload")


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize("flags", [0, BATCH, STREAM])
def test_an_image_size_of_zero_is_refused(size: tuple[int, int], flags: int) -> None:
    header = head(SHAPE | flags, size=size)
    body = b"" if flags == STREAM else b"\x02" if flags else b"p"
    with pytest.raises(PacketError, match=f"size of at least 1x1, found {size[0]}x{size[1]}"):
        read(sealed(header + body) + trailer(header, 0) * (flags == STREAM))


@pytest.mark.parametrize("flags", [0, BATCH, STREAM])
def test_a_packet_that_states_the_pairs_own_image_size_is_refused(small_pair: Pair, flags: int) -> None:
    _, decoder = small_pair
    header = head(SHAPE | flags, pair=decoder.bundle.pair.digest[:4], size=(8, 8))
    packet = sealed(header + varint(2) * (flags == BATCH))
    packet += (chunk(header, 0, 1, b"") + trailer(header, 1)) * (flags == STREAM)
    for decode in every_way_to_decode(decoder):
        with pytest.raises(PacketError, match="8x8"):
            decode(packet)


@pytest.mark.parametrize("count", [0, 1])
def test_a_batch_of_fewer_than_two_images_is_refused(count: int) -> None:
    with pytest.raises(PacketError, match=f"at least 2 images, found {count}"):
        read(sealed(head(BATCH) + varint(count) + b"payload"))


@pytest.mark.parametrize("digits", [b"\x82\0", b"\x80\0", b"\xff\x80\0", b"\x82\x80\x80\x80\0"])
def test_a_number_that_is_not_in_its_shortest_form_is_refused(digits: bytes) -> None:
    with pytest.raises(PacketError, match="number of images: expected a number in its shortest form"):
        read(sealed(head(BATCH) + digits + b"payload"))
    with pytest.raises(PacketError, match="length of the names: expected a number in its shortest form"):
        read(sealed(head(NAMES) + digits + b"payload"))


@pytest.mark.parametrize("digits", [b"", b"\x82", b"\xff\xff\xff", b"\xff\xff\xff\xff\xff\x01"])
def test_a_number_without_an_end_or_of_too_many_bytes_is_refused(digits: bytes) -> None:
    with pytest.raises(DamagedPacketError, match="number of images: expected a number, found the end"):
        read(sealed(head(BATCH) + digits))
    with pytest.raises(DamagedPacketError, match="length of the names: expected a number, found the end"):
        read(sealed(head(NAMES) + digits))


# Names


@pytest.mark.parametrize(
    ("joined", "told"),
    [
        (b"a", "expected 2, found 1"),
        (b"a/b/c", "expected 2, found 3"),
        (b"", "expected 2, found 1"),
        (b"a/", "plain file name"),
        (b"/a", "plain file name"),
        (b"../a", "plain file name"),
        (b"./a", "plain file name"),
        (b"a/..", "plain file name"),
        (b"a\\b/c", "plain file name"),
        (b"a/\0", "plain file name"),
        (b"a/b\n", "plain file name"),
        (b"a/\x1b[2J", "plain file name"),
        (b"a/\x1f", "plain file name"),
        (b"a/\x7f", "plain file name"),
        (b"a/" + b"b" * 256, "1 to 255 bytes"),
        (b"a/" + "ü".encode() * 128, "1 to 255 bytes"),
        (b"a/\xff", "utf-8"),
        (b"a/\xc3", "utf-8"),
        (b"a/\xed\xa0\x80", "utf-8"),
        (b"a/\xc0\xae", "utf-8"),
    ],
)
def test_names_that_are_no_plain_file_names_are_refused(joined: bytes, told: str) -> None:
    with pytest.raises(PacketError, match=f"names: .*{told}"):
        read(sealed(head(BATCH | NAMES) + b"\x02" + named(joined)))
    header = head(STREAM | NAMES)
    with pytest.raises(PacketError, match=f"names: .*{told}"):
        read(sealed(header) + chunk(header, 0, 2, named(joined)) + trailer(header, 2))


@pytest.mark.parametrize("name", ["...", ".hidden", "a b", "C:", "~", "-rf", "\x80", "é" * 127, "a" * 255])
def test_odd_but_plain_names_are_read_and_written(name: str) -> None:
    part = Chunk(0, 1, b"p", (name,))
    assert read(write_packet(Header("single", 0, PAIR, named=True), part))[1] == [part]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/", "a\\b", "a\n", "\0", "\x7f", "a" * 256, "\ud800", "ü" * 128]
)
def test_the_writer_takes_no_name_that_the_reader_refuses(name: str) -> None:
    header, part = Header("single", 0, PAIR, named=True), Chunk(0, 1, b"p", (name,))
    with pytest.raises(ImageError, match=r"image name .*: expected"):
        write_packet(header, part)
    with pytest.raises(ImageError, match=r"image name .*: expected"):
        written_stream(Header("stream", 0, PAIR, named=True), part)


def test_names_longer_than_the_body_are_refused() -> None:
    with pytest.raises(DamagedPacketError, match="names: expected 9 bytes, found 3"):
        read(sealed(head(NAMES) + b"\x09abc"))


@pytest.mark.parametrize("names", [None, (), ("a",), ("a", "b", "c")])
def test_the_writer_wants_a_name_for_each_image(names: tuple[str, ...] | None) -> None:
    with pytest.raises(ImageError, match=f"expected 2, found {len(names or ())}"):
        write_packet(Header("batch", 0, PAIR, named=True), Chunk(0, 2, b"p", names))


# Packets of another pair or quality


def every_way_to_decode(decoder: Decoder) -> tuple[Callable[[bytes], object], ...]:
    return decoder.decode, lambda packet: list(decoder.decode_stream(packet)), decoder.symbols


def foreign_packets(pair: bytes, quality: int) -> list[bytes]:
    stream = head(STREAM, quality, pair)
    return [
        sealed(head(0, quality, pair) + b"payload"),
        sealed(head(BATCH, quality, pair) + b"\x02payload"),
        sealed(stream) + chunk(stream, 0, 1, b"payload") + trailer(stream, 1),
        sealed(stream) + trailer(stream, 0),
        *([sealed_compact(bytes([0xA0 | quality]) + pair[:3] + b"payload")] if quality < 16 else []),
    ]


def test_a_packet_of_another_pair_is_an_error_that_names_both(small_pair: Pair) -> None:
    _, decoder = small_pair
    mine = decoder.bundle.pair.digest
    for packet in foreign_packets(PAIR, 0):
        length = 3 if packet[0] >> 4 == 10 else 4
        told = f"pair {PAIR[:length].hex()}, .*{decoder.bundle.name!r}, {mine[:length].hex()};"
        for decode in every_way_to_decode(decoder):
            with pytest.raises(WrongPairError, match=told):
                decode(packet)


@pytest.mark.parametrize("quality", [3, 15, 255])
def test_a_quality_that_the_pair_does_not_have_is_refused(small_pair: Pair, quality: int) -> None:
    _, decoder = small_pair
    for packet in foreign_packets(decoder.bundle.pair.digest[:4], quality):
        for decode in every_way_to_decode(decoder):
            with pytest.raises(PacketError, match=f"expected a quality from 0 to 2, found {quality}"):
                decode(packet)


def test_a_pair_whose_digest_differs_in_the_last_stated_bit_is_another(small_pair: Pair) -> None:
    _, decoder = small_pair
    mine = decoder.bundle.pair.digest
    near = mine[:3] + bytes([mine[3] ^ 1])
    with pytest.raises(WrongPairError, match=f"pair {near.hex()}"):
        decoder.decode(sealed(head(pair=near) + b"p"))


# Bounds


def hostile_claims(pair: bytes) -> dict[str, bytes]:
    """Packets of some thirty bytes, every check of which matches, that claim what no memory holds."""
    large = head(STREAM | SHAPE, pair=pair, size=(0xFFFF, 0xFFFF))
    length = b"\xf1CHK" + struct.pack("<IHI", 0, 1, (1 << 32) - 1)
    return {
        "images": sealed(head(BATCH, pair=pair) + varint((1 << 32) - 1) + b"x" * 13),
        "images in five whole groups": sealed(head(BATCH, pair=pair) + varint((1 << 35) - 1) + b"x" * 13),
        "images with names": sealed(head(BATCH | NAMES, pair=pair) + varint((1 << 32) - 1) + b"\x01ax"),
        "image size": sealed(head(SHAPE, pair=pair, size=(0xFFFF, 0xFFFF)) + b"x" * 14),
        "images of a size": sealed(
            head(BATCH | SHAPE, pair=pair, size=(0xFFFF, 0xFFFF)) + varint(65536) + b"x" * 11
        ),
        "images in a chunk": sealed(large) + chunk(large, 0, 0xFFFF, b"x") + trailer(large, 0xFFFF),
        "length of a chunk": sealed(head(STREAM, pair=pair)) + length,
    }


@pytest.mark.parametrize("claim", hostile_claims(PAIR))
def test_a_few_bytes_that_claim_much_are_refused_before_anything_is_allocated(
    small_pair: Pair, claim: str
) -> None:
    _, decoder = small_pair
    packet = hostile_claims(decoder.bundle.pair.digest[:4])[claim]
    assert len(packet) <= 60
    for decode in every_way_to_decode(decoder):
        tracemalloc.start()
        start = time.perf_counter()
        try:
            with pytest.raises(LimitError, match=r"expected at most [\d,]+, found [\d,]+; pass limits="):
                decode(packet)
            assert time.perf_counter() - start < 1
            assert tracemalloc.get_traced_memory()[1] < 2 << 20
        finally:
            tracemalloc.stop()


def test_names_that_claim_to_be_long_are_refused_before_anything_is_allocated(small_pair: Pair) -> None:
    _, decoder = small_pair
    packet = sealed(head(NAMES, pair=decoder.bundle.pair.digest[:4]) + varint((1 << 32) - 1) + b"x" * 13)
    for decode in every_way_to_decode(decoder):
        with pytest.raises(DamagedPacketError, match="names: expected 4294967295 bytes, found 13"):
            decode(packet)


@pytest.mark.parametrize("framing", EXAMPLES)
def test_reading_a_small_file_takes_little_memory(framing: str, tmp_path: Path) -> None:
    path = tmp_path / "packet"
    path.write_bytes(EXAMPLES[framing])
    tracemalloc.start()
    try:
        with path.open("rb") as file:
            list(read_packet(file)[1])
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def test_a_file_that_claims_a_long_chunk_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "packet"
    length = struct.pack("<IHI", 0, 1, DEFAULT_LIMITS.chunk_bytes)
    path.write_bytes(sealed(head(STREAM)) + b"\xf1CHK" + length + b"and not much more")
    tracemalloc.start()
    try:
        with path.open("rb") as file, pytest.raises(DamagedPacketError, match=r"found 17; .* truncated"):
            list(read_packet(file)[1])
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def bounded(bundles: tuple[Bundle, Bundle], limit: str, value: int) -> Pair:
    limits = Limits(**{limit: value})
    return Encoder(bundles[0], limits), Decoder(bundles[1], limits)


@pytest.mark.parametrize(
    ("limit", "bound"),
    [
        ("packet_images", 3),
        ("packet_pixels", 3 * 12 * 6),
        ("chunk_images", 3),
        ("chunk_pixels", 3 * 12 * 6),
        ("chunk_symbols", 3 * 6 * 3 * 3),
    ],
)
def test_the_decoder_takes_what_meets_a_limit_and_refuses_what_is_over_it(
    small_pair: Pair, small_bundles: tuple[Bundle, Bundle], limit: str, bound: int
) -> None:
    images = images_of(3, 11, 5)
    batch = small_pair[0].encode(images)
    stream = b"".join(small_pair[0].encode_stream([images]))
    enough = bounded(small_bundles, limit, bound)[1]
    np.testing.assert_array_equal(enough.decode(batch), small_pair[1].decode(stream))
    np.testing.assert_array_equal(enough.decode(stream), small_pair[1].decode(batch))
    decoder = bounded(small_bundles, limit, bound - 1)[1]
    for packet in (batch, stream):
        told = rf"expected at most {bound - 1}, found {bound}; pass limits=Limits\({limit}="
        with pytest.raises(LimitError, match=told):
            decoder.decode(packet)
        if limit.startswith("chunk"):
            with pytest.raises(LimitError, match=told):
                list(decoder.decode_stream(packet))


@pytest.mark.parametrize("limit", ["packet_images", "packet_pixels"])
def test_limits_of_a_packet_count_all_its_chunks_but_only_when_it_is_decoded_at_once(
    small_pair: Pair, small_bundles: tuple[Bundle, Bundle], limit: str
) -> None:
    encoder, whole = small_pair
    [part] = read(encoder.encode(images_of(2)))[1]
    header = Header("stream", encoder.default_quality, encoder.bundle.pair.digest[:4])
    packet = written_stream(header, part, part, part)
    size = 1 if limit == "packet_images" else 64
    decoder = bounded(small_bundles, limit, 6 * size - 1)[1]
    with pytest.raises(LimitError, match=f"found {6 * size:,}"):
        decoder.decode(packet)
    assert [d.first for d in decoder.decode_stream(packet)] == [0, 2, 4]
    assert len(bounded(small_bundles, limit, 6 * size)[1].decode(packet)) == 6
    assert len(whole.decode(packet)) == 6


@pytest.mark.parametrize("framing", ["single", "batch", "compact"])
def test_a_packet_longer_than_the_limit_is_refused(framing: str) -> None:
    packet = EXAMPLES[framing]
    assert len(read(packet, Limits(packet_bytes=len(packet)))[1]) == 1
    for bound in (1, 5, len(packet) - 1):
        with pytest.raises(LimitError, match=rf"bytes: expected at most {bound}, .*Limits\(packet_bytes="):
            read(packet, Limits(packet_bytes=bound))


def test_a_chunk_longer_than_the_limit_is_refused() -> None:
    header = head(STREAM)
    packet = sealed(header) + chunk(header, 0, 1, b"12345") + trailer(header, 1)
    assert len(read(packet, Limits(chunk_bytes=5))[1]) == 1
    with pytest.raises(LimitError, match=r"chunk after image 0: expected at most 4, found 5; .*chunk_bytes="):
        read(packet, Limits(chunk_bytes=4))


def test_a_name_longer_than_the_limit_is_refused() -> None:
    part = Chunk(0, 1, b"p", ("abcde",))
    packet = write_packet(Header("single", 0, PAIR, named=True), part)
    assert read(packet, Limits(name_bytes=5))[1] == [part]
    with pytest.raises(PacketError, match="1 to 4 bytes"):
        read(packet, Limits(name_bytes=4))


def test_a_higher_limit_makes_no_name_longer_than_the_format_allows() -> None:
    part = Chunk(0, 1, b"p", ("a" * 256,))
    with pytest.raises(ImageError, match="1 to 255 bytes"):
        write_packet(Header("single", 0, PAIR, named=True), part, Limits(name_bytes=1000))
    with pytest.raises(PacketError, match="1 to 255 bytes"):
        read(sealed(head(NAMES) + named(b"a" * 256)), Limits(name_bytes=1000))


@pytest.mark.parametrize(
    ("limit", "values"),
    [
        ("packet_bytes", (1, 20, 40, 200)),
        ("packet_images", (1, 2, 3)),
        ("packet_pixels", (1, 54, 64, 72, 150, 192, 216)),
        ("chunk_images", (1, 2, 3)),
        ("chunk_pixels", (1, 54, 60, 72, 150, 180, 216)),
        ("chunk_symbols", (1, 48, 54, 108, 162)),
        ("chunk_bytes", (1, 10, 30, 100)),
        ("name_bytes", (1, 2, 3)),
    ],
)
def test_what_is_written_under_a_limit_can_be_read_under_it(
    small_bundles: tuple[Bundle, Bundle], limit: str, values: tuple[int, ...]
) -> None:
    own, odd, names = images_of(3), images_of(3, 11, 5), ["1", "22", "333"]
    written = refused = 0
    for value in values:
        encoder, decoder = bounded(small_bundles, limit, value)
        at_once = (
            partial(encoder.encode, own[0], compact=True),
            partial(encoder.encode, own, names=names),
            partial(encoder.encode, odd[0]),
            partial(encoder.encode, odd),
        )
        for encode in at_once:
            try:
                packet = encode()
            except (LimitError, ImageError):
                refused += 1
            else:
                written += 1
                assert len(decoder.decode(packet)) >= 1
        try:
            pieces = list(encoder.encode_stream([odd[:1], odd[1:]], names=names))
        except (LimitError, ImageError):
            refused += 1
        else:
            assert sum(len(part.images) for part in decoder.decode_stream(b"".join(pieces))) == 3
    assert written > 0
    assert refused > 0


# Anything at all

TIGHT = Limits(packet_images=64, packet_pixels=1 << 13, chunk_images=64, chunk_pixels=1 << 11)


def decodes_or_refuses(decoder: Decoder, packet: bytes) -> None:
    """An array or one of the library's own errors; anything else, warnings included, is not caught here."""
    try:
        images = decoder.decode(packet)
    except CodecError:
        return
    assert images.dtype == np.uint8
    assert images.ndim == 4
    assert len(decoder.symbols(packet)) == len(images)


@settings(deadline=None, max_examples=300)
@given(start=st.sampled_from([b"", b"\xc3\x7a", b"\xc3\x7a\x10\0", b"\xa0", b"\xa2"]), rest=st.binary())
def test_arbitrary_bytes_are_refused_by_the_librarys_own_errors(
    small_bundles: tuple[Bundle, Bundle], start: bytes, rest: bytes
) -> None:
    decodes_or_refuses(Decoder(small_bundles[1], TIGHT), start + rest)


bodies = st.binary(max_size=80)
shapes = st.sampled_from([(), (), (), (11, 5), (1, 1), (40, 3), (8, 8), (0xFFFF, 1), (0xFFFF, 0xFFFF)])


@st.composite
def packets_with_good_checks(draw: st.DrawFn, pair: bytes) -> bytes:
    framing = draw(st.sampled_from(["single", "batch", "stream", "compact"]))
    quality = draw(st.integers(0, 3))
    if framing == "compact":
        return sealed_compact(bytes([0xA0 | quality]) + pair[:3] + draw(bodies))
    flags = {"single": 0, "batch": BATCH, "stream": STREAM}[framing]
    size = draw(shapes)
    flags |= SHAPE * bool(size) | NAMES * draw(st.booleans())
    header = head(flags, quality, pair, size)
    counts = draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))

    def body(count: int) -> bytes:
        names = named("/".join(draw(st.lists(st.sampled_from("ab."), max_size=count))).encode(), b"")
        return (names if flags & NAMES and draw(st.booleans()) else b"") + draw(bodies)

    if framing == "stream":
        chunks = [chunk(header, sum(counts[:i]), count, body(count)) for i, count in enumerate(counts)]
        return sealed(header) + b"".join(chunks) + trailer(header, sum(counts))
    count = 1 if framing == "single" else counts[0]
    return sealed(header + varint(count) * (framing == "batch") + body(count))


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_any_payload_under_good_checks_gives_images_or_the_librarys_own_errors(
    small_bundles: tuple[Bundle, Bundle], data: st.DataObject
) -> None:
    decoder = Decoder(small_bundles[1], TIGHT)
    pair = decoder.bundle.pair.digest[:4]
    decodes_or_refuses(decoder, data.draw(packets_with_good_checks(pair)))


@st.composite
def mutations(draw: st.DrawFn, content: bytes) -> bytes:
    mutated = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(mutated)))
        mutated[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(mutated)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_mutated_packets_with_repaired_checks_give_images_or_the_librarys_own_errors(
    small_bundles: tuple[Bundle, Bundle], small_pair: Pair, data: st.DataObject
) -> None:
    encoder, decoder = small_pair[0], Decoder(small_bundles[1], TIGHT)
    framing = data.draw(st.sampled_from(["single", "batch", "compact"]))
    compact = framing == "compact"
    images = images_of(1 + 2 * (framing == "batch"))
    names = [f"{i}.png" for i in range(len(images))] if framing == "batch" else None
    packet = encoder.encode(images, names=names, compact=compact)
    if compact:
        decodes_or_refuses(decoder, sealed_compact(data.draw(mutations(packet[:-2]))))
    else:
        decodes_or_refuses(decoder, sealed(data.draw(mutations(packet[:-4]))))
