"""Damage to one chunk of a long packet costs that chunk alone, and nothing wrong ever comes out."""

import struct
import subprocess
import sys
import time
import zlib
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import codec
import codec.encoder
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import DamagedPacketError, LimitError, OptionError, PacketError, WrongPairError
from codec.limits import Limits
from codec.packet import Chunk, Header
from codec.packet_reader import read_packet
from codec.packet_writer import StreamWriter, write_packet
from codec.salvage import Gap, Salvaged, joined

HEADER = Header("stream", 1, b"pair")
PAYLOADS = [bytes([i + 1]) * (20 + i) for i in range(5)]
COUNTS = [3, 1, 4, 1, 5]


def stream() -> list[bytes]:
    """Header, five chunks and the trailer of a packet of 14 images."""
    writer = StreamWriter(HEADER)
    chunks = [writer.chunk(count, payload) for count, payload in zip(COUNTS, PAYLOADS, strict=True)]
    return [writer.header(), *chunks, writer.trailer()]


def salvage(packet: bytes, limits: Limits | None = None) -> tuple[list[Chunk], list[Gap]]:
    gaps: list[Gap] = []
    _, chunks = read_packet(packet, limits or Limits(), lambda *gap: gaps.append(gap))
    return list(chunks), gaps


def whole() -> list[Chunk]:
    return list(read_packet(b"".join(stream()))[1])


def test_an_undamaged_stream_has_no_gaps() -> None:
    assert salvage(b"".join(stream())) == (whole(), [])


@pytest.mark.parametrize("lost", range(5))
def test_any_bit_flipped_in_a_chunk_costs_that_chunk_alone(lost: int) -> None:
    pieces, expected = stream(), whole()
    gap = (sum(COUNTS[:lost]), COUNTS[lost])
    for bit in range(8 * len(pieces[lost + 1])):
        damaged = bytearray(pieces[lost + 1])
        damaged[bit // 8] ^= 1 << bit % 8
        packet = b"".join([*pieces[: lost + 1], bytes(damaged), *pieces[lost + 2 :]])
        assert salvage(packet) == (expected[:lost] + expected[lost + 1 :], [gap])
        with pytest.raises((PacketError, LimitError)):
            list(read_packet(packet)[1])


def test_chunks_cut_out_or_cut_short_are_reported() -> None:
    pieces, expected = stream(), whole()
    assert salvage(b"".join([pieces[0], pieces[3], pieces[6]])) == ([expected[2]], [(0, 4), (8, 6)])
    assert salvage(b"".join([*pieces[:3], pieces[3][:-9], *pieces[4:]])) == (
        expected[:2] + expected[3:],
        [(4, 4)],
    )


def test_a_lost_end_leaves_the_number_unknown() -> None:
    pieces, expected = stream(), whole()
    assert salvage(b"".join(pieces[:-1])) == (expected, [(14, None)])
    assert salvage(pieces[0]) == ([], [(0, None)])


def test_swapped_and_repeated_chunks_come_once_and_in_order() -> None:
    pieces, expected = stream(), whole()
    swapped = b"".join([*pieces[:2], pieces[3], pieces[2], *pieces[4:]])
    assert salvage(swapped) == (expected, [])
    repeated = b"".join([*pieces[:3], pieces[2], *pieces[3:]])
    assert salvage(repeated) == (expected, [])
    early = b"".join([*pieces[:2], pieces[5], *pieces[2:]])
    assert salvage(early) == (expected, [])


def test_what_stands_behind_the_end_is_another_packets() -> None:
    pieces, expected = stream(), whole()
    other = b"".join(stream())
    assert salvage(b"".join([*pieces[:2], *pieces[3:]]) + other) == (
        [expected[0], *expected[2:]],
        [(3, 1)],
    )


def test_a_damaged_header_is_beyond_salvage() -> None:
    packet = bytearray(b"".join(stream()))
    packet[3] ^= 1
    with pytest.raises(DamagedPacketError, match="header"):
        salvage(bytes(packet))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_the_damage_only_chunks_of_the_packet_come_out(data: st.DataObject) -> None:
    head, *rest = stream()
    body = bytearray(b"".join(rest))
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(body)))
        length = data.draw(st.integers(0, 40))
        body[start : start + length] = data.draw(st.binary(max_size=40))
    chunks, gaps = salvage(head + bytes(body))
    assert all(chunk in whole() for chunk in chunks)
    found = {i for chunk in chunks for i in range(chunk.first, chunk.first + chunk.count)}
    told = {i for first, count in gaps for i in range(first, 14 if count is None else first + count)}
    assert found | told >= set(range(14))
    assert not found & told


def test_markers_without_end_do_not_keep_the_reader_busy() -> None:
    claim = b"\xf1CHK" + bytes(4) + b"\1\0" + (400_000).to_bytes(4, "little")
    start = time.monotonic()
    assert salvage(stream()[0] + claim * 60_000) == ([], [(0, None)])
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("limits", [Limits(chunk_images=4), Limits(chunk_bytes=23)])
def test_a_chunk_over_the_limits_is_missing(limits: Limits) -> None:
    assert salvage(b"".join(stream()), limits) == (whole()[:4], [(9, 5)])


def test_a_chunk_with_names_that_nobody_may_write_is_missing() -> None:
    header = Header("stream", 1, b"pair", None, True)
    body = StreamWriter(header)
    pieces = [body.header(), body.chunk(1, b"p", ("one",)), body.chunk(1, b"p", ("two",)), body.trailer()]
    bad = pieces[1][:-4].replace(b"one", b"o/e")
    bad += zlib.crc32(bad, zlib.crc32(pieces[0][:-4])).to_bytes(4, "little")
    chunks, gaps = salvage(b"".join([pieces[0], bad, *pieces[2:]]))
    assert ([chunk.names for chunk in chunks], gaps) == ([("two",)], [(0, 1)])


def test_a_packet_over_the_limits_stays_an_error_while_salvaging() -> None:
    with pytest.raises(LimitError, match="packet_bytes"):
        salvage(b"".join(stream()), Limits(packet_bytes=100))


def test_chunks_without_end_are_held_to_a_limit_before_any_comes_out() -> None:
    with pytest.raises(LimitError, match="chunks of a damaged packet: expected at most 4, found 5"):
        salvage(b"".join(stream()), Limits(packet_images=4))


def test_the_decoder_returns_the_images_that_are_left(small_pair: tuple[Encoder, Decoder]) -> None:
    encoder, decoder = small_pair
    images = np.random.default_rng(1).integers(0, 256, (2500, 8, 8, 1), np.uint8)
    packet = bytearray(encoder.encode(images, quality=0))
    expected = decoder.decode(bytes(packet))
    packet[packet.index(b"\xf1CHK", 100) + 50] ^= 4
    gaps: list[Gap] = []
    parts = list(decoder.decode_stream(bytes(packet), lambda *gap: gaps.append(gap)))
    assert gaps == [(1024, 1024)]
    assert [part.first for part in parts] == [0, 2048]
    for part in parts:
        np.testing.assert_array_equal(part.images, expected[part.first :][: len(part.images)])


# decode(..., on_error="skip")

SIZES = [3, 3, 3, 3, 2]


class Long(NamedTuple):
    """A stream of five chunks with names in its pieces, and its 14 images once decoded."""

    decoder: Decoder
    pieces: list[bytes]
    images: NDArray[np.uint8]


@pytest.fixture(scope="module")
def long(small_pair: tuple[Encoder, Decoder]) -> Long:
    encoder, decoder = small_pair
    images = np.random.default_rng(2).integers(0, 256, (14, 8, 8, 1), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codec.encoder, "_CHUNK_IMAGES", 3)
        pieces = list(encoder.encode_stream([images], quality=1, names=map(name_of, range(14))))
    assert len(pieces) == 2 + len(SIZES)
    return Long(decoder, pieces, decoder.decode(b"".join(pieces)))


def name_of(number: int) -> str:
    return f"{number}.png"


def check(long: Long, left: Salvaged) -> None:
    """What is left is right: images and names of the packet under their numbers, and all others missing."""
    np.testing.assert_array_equal(left.images, long.images[left.numbers])
    assert left.names == tuple(map(name_of, left.numbers.tolist()))
    assert left.numbers.dtype == np.int64
    found = left.numbers.tolist()
    lost = [
        i for first, n in left.missing for i in range(first, max(14, first + 1) if n is None else first + n)
    ]
    assert sorted(found + lost)[:14] == list(range(14))
    assert len(set(found + lost)) == len(found + lost)
    assert found == sorted(found)
    assert all(n is not None for _, n in left.missing[:-1])
    assert joined(left.missing) == left.missing


def test_an_undamaged_packet_is_all_there(long: Long) -> None:
    left = long.decoder.decode(b"".join(long.pieces), on_error="skip")
    check(long, left)
    assert (len(left.images), left.missing) == (14, ())


def test_a_damaged_chunk_is_skipped_and_named(long: Long) -> None:
    packet = bytearray(b"".join(long.pieces))
    packet[len(long.pieces[0] + long.pieces[1]) + 20] ^= 1
    with pytest.raises(DamagedPacketError):
        long.decoder.decode(bytes(packet))
    left = codec.decode(bytes(packet), long.decoder, on_error="skip")
    check(long, left)
    assert left.missing == ((3, 3),)


def test_two_chunks_in_a_row_are_one_gap_and_a_lost_end_has_no_count(long: Long) -> None:
    left = long.decoder.decode(b"".join([*long.pieces[:2], *long.pieces[4:]]), on_error="skip")
    assert left.missing == ((3, 6),)
    left = long.decoder.decode(b"".join(long.pieces)[:-1], on_error="skip")
    check(long, left)
    assert left.missing == ((14, None),)
    left = long.decoder.decode(b"".join(long.pieces[:5]) + long.pieces[5][:-1], on_error="skip")
    check(long, left)
    assert left.missing == ((12, None),)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_the_damage_no_wrong_image_comes_out_and_none_is_forgotten(
    long: Long, data: st.DataObject
) -> None:
    pieces = list(long.pieces)
    for _ in range(data.draw(st.integers(0, 2))):
        one, other = (data.draw(st.integers(1, len(pieces) - 1)) for _ in range(2))
        match data.draw(st.sampled_from(["swap", "repeat", "drop"])):
            case "swap":
                pieces[one], pieces[other] = pieces[other], pieces[one]
            case "repeat":
                pieces.insert(one, pieces[other])
            case "drop":
                del pieces[one]
    body = bytearray(b"".join(pieces[1:]))
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(0, len(body)))
        length = data.draw(st.integers(0, 40))
        match data.draw(st.sampled_from(["burst", "insert", "delete", "copy", "cut"])):
            case "burst":
                noise = data.draw(st.binary(min_size=length, max_size=length))
                body[start : start + length] = noise[: len(body[start : start + length])]
            case "insert":
                body[start:start] = data.draw(st.binary(max_size=40))
            case "delete":
                del body[start : start + length]
            case "copy":
                place = data.draw(st.integers(0, len(body)))
                body[place:place] = body[start : start + 4 * length]
            case "cut":
                del body[start:]
    left = long.decoder.decode(pieces[0] + bytes(body), on_error="skip")
    check(long, left)
    if bytes(body) == b"".join(long.pieces[1:]):
        assert left.missing == ()


def forged(long: Long, number: int, first: int, count: int, payload: bytes) -> bytes:
    """The packet with a chunk of someone's making, whose check matches, in place of one."""
    seed = zlib.crc32(long.pieces[0][:-4])
    names = "/".join(name_of(first + i) for i in range(count)).encode()
    assert len(names) < 16384
    length = bytes([len(names)]) if len(names) < 128 else bytes([len(names) & 127 | 128, len(names) >> 7])
    body = length + names + payload
    piece = b"\xf1CHK" + struct.pack("<IHI", first, count, len(body)) + body
    piece += zlib.crc32(piece, seed).to_bytes(4, "little")
    return b"".join([*long.pieces[: number + 1], piece, *long.pieces[number + 2 :]])


@pytest.mark.parametrize("number", range(5))
def test_a_chunk_that_does_not_decode_is_missing_and_loses_nothing_else(long: Long, number: int) -> None:
    packet = forged(long, number, 3 * number, SIZES[number], b"\xff" * 40 + b"\0")
    with pytest.raises(PacketError):
        long.decoder.decode(packet)
    left = long.decoder.decode(packet, on_error="skip")
    check(long, left)
    assert left.missing == ((3 * number, SIZES[number]),)
    gaps: list[Gap] = []
    parts = list(long.decoder.decode_stream(packet, lambda *gap: gaps.append(gap)))
    assert tuple(gaps) == left.missing
    np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), left.images)


@pytest.mark.parametrize(
    "limits", [Limits(chunk_pixels=200), Limits(chunk_symbols=150), Limits(chunk_images=3, packet_images=14)]
)
def test_a_limit_that_only_one_chunk_breaks_costs_that_chunk(long: Long, limits: Limits) -> None:
    packet = forged(long, 4, 12, 900, b"")
    bounded = Decoder(long.decoder.bundle, limits)
    with pytest.raises((LimitError, PacketError)):
        bounded.decode(packet)
    left = bounded.decode(packet, on_error="skip")
    assert left.numbers.tolist() == list(range(12))
    np.testing.assert_array_equal(left.images, long.images[:12])
    assert left.missing == ((12, None),) or left.missing == ((12, 2),)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(packet_images=13),
        Limits(packet_pixels=13 * 64),
        Limits(packet_bytes=300),
        Limits(chunk_pixels=63),
    ],
)
def test_a_limit_that_the_packet_breaks_stays_an_error(long: Long, limits: Limits) -> None:
    with pytest.raises(LimitError):
        Decoder(long.decoder.bundle, limits).decode(b"".join(long.pieces), on_error="skip")


def test_a_packet_of_one_chunk_is_whole_or_an_error(small_pair: tuple[Encoder, Decoder]) -> None:
    encoder, decoder = small_pair
    images = np.zeros((4, 8, 8, 1), np.uint8)
    for packet in (
        encoder.encode(images),
        encoder.encode(images[0]),
        encoder.encode(images[0], compact=True),
    ):
        left = decoder.decode(packet, on_error="skip")
        np.testing.assert_array_equal(left.images, decoder.decode(packet))
        assert left.numbers.tolist() == list(range(len(left.images)))
        assert (left.missing, left.names) == ((), None)
        for damaged in (packet[:-1], packet[:-1] + bytes([packet[-1] ^ 1])):
            with pytest.raises(DamagedPacketError):
                decoder.decode(damaged, on_error="skip")


def test_a_whole_batch_that_does_not_decode_stays_an_error(small_pair: tuple[Encoder, Decoder]) -> None:
    decoder = small_pair[1]
    header = Header("batch", 0, decoder.bundle.pair.digest[:4])
    packet = write_packet(header, Chunk(0, 2, b"\0"))
    with pytest.raises(DamagedPacketError):
        decoder.decode(packet, on_error="skip")
    with pytest.raises(DamagedPacketError):
        list(decoder.decode_stream(packet, lambda *gap: None))


def test_another_pairs_packet_stays_an_error(long: Long) -> None:
    packet = b"".join(long.pieces)
    with pytest.raises(WrongPairError):
        codec.decode(packet, "mnist", on_error="skip")


@pytest.mark.parametrize("word", ["ignore", "Skip", None, True])
def test_another_word_for_on_error_is_refused(long: Long, word: Any) -> None:
    for call in (long.decoder.decode, partial(codec.decode, decoder=long.decoder)):
        with pytest.raises(OptionError, match="on_error: expected 'raise' or 'skip', found"):
            call(b"".join(long.pieces), on_error=word)


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ([], ()),
        ([(4, 2), (0, 3)], ((0, 3), (4, 2))),
        ([(0, 3), (3, 1), (4, 2)], ((0, 6),)),
        ([(0, 3), (3, None)], ((0, None),)),
        ([(0, 2), (3, None)], ((0, 2), (3, None))),
    ],
)
def test_gaps_that_touch_are_one(gaps: list[Gap], expected: tuple[Gap, ...]) -> None:
    assert joined(gaps) == expected


# The command line


def test_the_command_line_writes_the_rest_and_says_what_is_gone(
    tmp_path: Path, digits: NDArray[np.uint8]
) -> None:
    names = [f"{i}.png" for i in range(6)]
    pieces = list(codec.load_encoder("mnist").encode_stream([digits[:6]], names=names))
    (tmp_path / "cut.packet").write_bytes(b"".join(pieces[:-1]))
    command = [sys.executable, "-m", "codec", "decode", "cut.packet", "-o", "out", "--salvage"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "6 images in out",
        "codec: packet: damaged; the images from number 6 on are missing",
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names


def test_the_command_line_tells_of_gaps_without_number_in_one_line_of_a_few(
    tmp_path: Path, digits: NDArray[np.uint8]
) -> None:
    sender = codec.load_encoder("article")
    single = sender.encode(digits[0], quality=0)
    writer = StreamWriter(Header("stream", 0, sender.bundle.pair.digest[:4]))
    chunks = [writer.chunk(1, single[8:-4]) for _ in range(40)]
    (tmp_path / "gaps.packet").write_bytes(b"".join([writer.header(), *chunks[::2], writer.trailer()]))
    command = [sys.executable, "-m", "codec", "decode", "gaps.packet", "-o", "out", "--salvage"]
    done = subprocess.run(
        [*command, "--decoder", "article"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    first = "1 to 1, 3 to 3, 5 to 5, 7 to 7, 9 to 9, 11 to 11, 13 to 13, 15 to 15, 17 to 17"
    told = f"{first}, ... (10 more gaps) ..., 39 to 39"
    assert done.stderr.splitlines() == [
        "20 images in out",
        f"codec: packet: damaged; the images from number {told} are missing",
    ]
