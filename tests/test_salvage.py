"""Damage to one chunk of a long packet costs that chunk alone, and nothing wrong ever comes out."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import codec
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import DamagedPacketError, LimitError, PacketError
from codec.limits import Limits
from codec.packet import Chunk, Header
from codec.packet_reader import read_packet
from codec.packet_writer import StreamWriter

Gap = tuple[int, int | None]

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
    assert salvage(swapped) == ([expected[0], *expected[2:]], [(3, 1)])
    repeated = b"".join([*pieces[:3], pieces[2], *pieces[3:]])
    assert salvage(repeated) == (expected, [])


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


def test_limits_hold_while_salvaging() -> None:
    with pytest.raises(LimitError, match="chunk_images"):
        salvage(b"".join(stream()), Limits(chunk_images=4))


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
