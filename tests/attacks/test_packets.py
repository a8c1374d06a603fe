"""Packets that claim much and hold little, that keep a reader busy, or that name paths."""

import struct
import zlib
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from codec import inspect
from codec.architecture import Convolutional
from codec.bundle import Bundle, Pair
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import DamagedPacketError, LimitError, PacketError
from codec.inspection import PacketReport
from codec.limits import Limits
from codec.packet import Chunk, Header
from codec.packet_reader import read_packet
from codec.packet_writer import StreamWriter, write_compact, write_packet
from codec.tables import Table
from tests.attacks.cost import KIB, MIB, assert_quick, refused, refused_at_once
from tests.conftest import random_weights

Images = NDArray[np.uint8]
BATCH, STREAM, SHAPE, NAMES = 1, 2, 4, 8


def head(decoder: Decoder, flags: int, *size: int) -> bytes:
    digest = decoder.bundle.pair.digest[:4]
    return b"\xc3\x7a" + bytes([16 | flags, 0]) + digest + struct.pack(f"<{len(size)}H", *size)


def sealed(content: bytes) -> bytes:
    return content + struct.pack("<I", zlib.crc32(content))


def varint(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def certain_pair(layers: int = 1, code_channels: int = 1, filters: int = 1) -> Bundle:
    """A decoder all of whose tables are certain: symbols cost no byte."""
    architecture = Convolutional(code_channels=code_channels, layers=layers, filters=filters)
    weights = random_weights(architecture, "decoder", 0)
    tables = ((Table(0, np.zeros(0, np.int64)),) * code_channels,)
    steps = np.ones((1, code_channels), np.float32)
    return Bundle("decoder", Pair(architecture, 8, 8, steps, tables, bytes(32), bytes(32)), weights)


def stream_of(decoder: Decoder, chunks: int, images: int, size: tuple[int, int] | None = None) -> bytes:
    """So many chunks of so many images each, without a byte of payload."""
    writer = StreamWriter(Header("stream", 0, decoder.bundle.pair.digest[:4], size))
    pieces = [writer.chunk(images, b"") for _ in range(chunks)]
    return b"".join([writer.header(), *pieces, writer.trailer()])


Attack = Callable[[Decoder], bytes]


def a_trillion_images_in_a_number_of_six_bytes(decoder: Decoder) -> bytes:
    return sealed(head(decoder, BATCH) + varint(10**12) + b"x" * 12)


def as_many_images_as_five_bytes_can_say(decoder: Decoder) -> bytes:
    return sealed(head(decoder, BATCH) + varint((1 << 35) - 1) + b"x" * 13)


def a_trillion_pixels_in_images_of_the_largest_size(decoder: Decoder) -> bytes:
    return sealed(head(decoder, BATCH | SHAPE, 65535, 65535) + varint(233) + b"x" * 12)


def one_image_of_the_largest_size(decoder: Decoder) -> bytes:
    return sealed(head(decoder, SHAPE, 65535, 65535) + b"x" * 14)


def names_longer_than_any_packet(decoder: Decoder) -> bytes:
    return sealed(head(decoder, NAMES) + varint((1 << 32) - 1) + b"x" * 13)


SMALL: tuple[tuple[Attack, str], ...] = (
    (
        a_trillion_images_in_a_number_of_six_bytes,
        "number of images: expected a number, found .* too many bytes",
    ),
    (
        as_many_images_as_five_bytes_can_say,
        "images in a chunk: expected at most 65,536, found 34,359,738,367",
    ),
    (a_trillion_pixels_in_images_of_the_largest_size, "pixels.*: expected at most .*, found 1,000,7"),
    (one_image_of_the_largest_size, "pixels.*: expected at most .*, found 4,29"),
    (names_longer_than_any_packet, "names: expected 4294967295 bytes, found 13"),
)


@pytest.mark.parametrize(("attack", "told"), SMALL, ids=[attack.__name__ for attack, _ in SMALL])
def test_thirty_bytes_that_claim_a_trillion_are_refused_in_a_millisecond_and_a_megabyte(
    small_pair: tuple[Encoder, Decoder], attack: Attack, told: str
) -> None:
    decoder = small_pair[1]
    packet = attack(decoder)
    assert len(packet) == 30
    for decode in (decoder.decode, decoder.symbols):
        refused_at_once(partial(decode, packet), told)


# A few bytes, many pixels


def test_a_bomb_of_certain_tables_is_bounded_by_limits_that_a_caller_can_lower() -> None:
    bundle = certain_pair()
    bomb = stream_of(Decoder(bundle), 100, 100)
    assert (len(bomb), Decoder(bundle).decode(bomb).nbytes) == (1824, 640_000)
    for limits, told in (
        (Limits(packet_images=9_999), "images decoded at once: expected at most 9,999"),
        (Limits(packet_pixels=639_999), "pixels decoded at once: expected at most 639,999"),
        (Limits(chunk_images=99), "images in a chunk: expected at most 99"),
        (Limits(chunk_pixels=6_399), "pixels in a chunk: expected at most 6,399"),
        (Limits(chunk_symbols=1_599), "symbols in a chunk: expected at most 1,599"),
    ):
        refused(partial(Decoder(bundle, limits).decode, bomb), told, error=LimitError)


def test_a_bomb_of_symbols_is_bounded_though_its_pixels_are_few() -> None:
    decoder = Decoder(certain_pair(code_channels=1024), Limits(packet_symbols=1 << 20))
    bomb = stream_of(decoder, 1000, 16)
    assert len(bomb) == 24 + 18 * 1000
    found = r"symbols decoded at once: expected at most 1,048,576"
    refused(partial(decoder.symbols, bomb), found, error=LimitError, memory=16 * MIB)


def test_padding_that_is_a_thousand_times_the_images_is_counted_and_not_kept() -> None:
    bundle = certain_pair(layers=6)
    bomb = stream_of(Decoder(bundle), 50, 4, (1, 1))
    padded = 50 * 4 * 64 * 64
    told = f"pixels decoded at once: expected at most {padded - 1:,}, found {padded:,}"
    refused(partial(Decoder(bundle, Limits(packet_pixels=padded - 1)).decode, bomb), told, error=LimitError)
    kept = list(Decoder(bundle).decode_stream(bomb))
    assert all(part.images.base is None for part in kept), "a view keeps all that it looks at"


def test_few_images_that_are_large_and_have_few_codes_are_not_filled_up_to_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batches = []

    def synthesise(_: object, __: object, codes: NDArray[np.float32], ___: int) -> Images:
        batches.append(len(codes))
        return np.zeros((len(codes), *(64 * side for side in codes.shape[1:3]), 1), np.uint8)

    monkeypatch.setattr("codec.synthesis.synthesise", synthesise)
    decoder = Decoder(certain_pair(layers=6))
    assert decoder.decode(stream_of(decoder, 1, 2, (512, 512))).shape == (2, 512, 512, 1)
    assert set(batches) == {1}  # as they are compiled, once for each size


def test_layers_a_thousand_times_as_large_as_the_image_are_refused() -> None:
    decoder = Decoder(certain_pair(layers=1, filters=1024))
    packet = stream_of(decoder, 1, 1, (4096, 4096))
    told = "values of a layer for one image: expected at most 536,870,912, found 17,179,869,184"
    refused_at_once(partial(decoder.decode, packet), told, LimitError)


# Pictures that say what they are not


def mixed(decoder: Decoder, *chunks: tuple[int, int, bytes], images: int | None = None) -> bytes:
    """A mixed packet of chunks whose first image, number of images and body are given, every check right."""
    start = head(decoder, BATCH | STREAM)
    seed, pieces = zlib.crc32(start), [sealed(start)]
    for first, count, body in chunks:
        piece = b"\xf1CHK" + struct.pack("<IHI", first, count, len(body)) + body
        pieces.append(piece + struct.pack("<I", zlib.crc32(piece, seed)))
    end = b"\xf1END" + struct.pack("<I", len(chunks) if images is None else images)
    return b"".join([*pieces, end, struct.pack("<I", zlib.crc32(end, seed))])


def place(height: int, width: int, tile: int) -> bytes:
    return varint(height) + varint(width) + varint(tile)


LARGEST = (1 << 31) - 1


@pytest.mark.parametrize(
    ("chunk", "told"),
    [
        (
            (1, place(LARGEST, 1024, 0)),
            "pixels of one picture|symbols decoded|expected tile 1 of",
        ),
        ((1, place(LARGEST, LARGEST, 0)), "in at most 4,294,967,296 tiles, found 2147483647x2147483647"),
        ((1, place(1 << 31, 1, 0)), "image sides of 1 to 2,147,483,647 pixels .*, found 2147483648x1"),
        ((1, place((1 << 35) - 1, 1, 0)), "image sides of 1 to 2,147,483,647 pixels"),
        ((1, place(0, 5, 0)), "image sides of 1 to .* found 0x5"),
        ((1, place(600, 600, 4)), "a tile number below 4, as 600x600 has, found 4"),
        ((1, place(8, 8, 1)), "a tile number below 1, as 8x8 has, found 1"),
        ((1, place(600, 600, (1 << 35) - 1)), "a tile number below 4, as 600x600 has, found 34359738367"),
        ((2, place(600, 600, 0)), "one image of 600x600 in a chunk, found 2"),
        ((1, place(600, 600, 1)), "expected tile 0, found tile 1 of 600x600"),
        ((1, place(600, 600, 0)), "expected tile 1 of 600x600, found the end"),
        ((0, place(8, 8, 0)), "expected the chunk of image 0, found 0 images from 0 on"),
        (
            (1, place(1, LARGEST, 0)),
            "pixels in a row of a picture's tiles: expected at most 134,|pixels of one picture",
        ),
        ((1, b"\x88\x00\x08\x00"), "image height: expected a number in its shortest form"),
        ((1, b"\x08\x08"), "tile number: expected a number, found the end"),
        ((1, b"\xff" * 9), "image height: expected a number, found the end or too many bytes"),
        ((65535, place(512, 512, 0)), "pixels in a chunk: expected at most 16,777,216, found 17,179,607,040"),
    ],
    ids=str,
)
def test_a_picture_that_claims_what_cannot_be_is_refused_at_once(chunk: tuple[int, bytes], told: str) -> None:
    decoder = Decoder(certain_pair())
    packet = mixed(decoder, (0, *chunk), images=chunk[0])
    assert len(packet) < 60
    for decode in (decoder.decode_pictures, decoder.decode_rows, decoder.picture_symbols):
        refused(lambda decode=decode: list(decode(packet)), told, seconds=0.01)  # type: ignore[misc]
    assert list(decoder.decode_pictures(packet, lambda *gap: None)) == []


def test_a_bomb_of_tiles_is_bounded_by_limits_that_a_caller_can_lower() -> None:
    bundle = certain_pair()
    tiles = [(0, 1, place(512, 4 * 512, tile)) for tile in range(4)]
    bomb = mixed(Decoder(bundle), *tiles, images=1)
    assert len(bomb) < 120
    [picture] = Decoder(bundle).decode_pictures(bomb)
    assert picture.image.nbytes == 1 << 20
    for limits, told in (
        (Limits(packet_pixels=(1 << 20) - 1), "pixels of one picture: expected at most 1,048,575"),
        (
            Limits(band_pixels=(1 << 20) - 1),
            "pixels in a row of a picture's tiles: expected at most 1,048,575",
        ),
        (Limits(chunk_pixels=(1 << 18) - 1), "pixels in a chunk: expected at most 262,143"),
        (
            Limits(packet_symbols=(1 << 18) - 1),
            "symbols in three rows of a picture's tiles: expected at most",
        ),
    ):
        lowered = Decoder(bundle, limits)
        refused(lambda d=lowered: list(d.decode_pictures(bomb)), told, error=LimitError)  # type: ignore[misc]


def test_the_size_of_a_picture_whose_tiles_do_not_come_is_not_held(
    small_bundles: tuple[Bundle, Bundle],
) -> None:
    decoder = Decoder(certain_pair())
    packet = mixed(decoder, *((0, 1, place(10_000, 10_000, tile)) for tile in range(2)))
    told = "expected tile 2 of 10000x10000, found the end"
    refused(lambda: list(decoder.decode_pictures(packet)), told, seconds=0.1, memory=3 * MIB)
    assert list(decoder.decode_pictures(packet, lambda *gap: None)) == []


def test_tiles_in_any_disorder_are_refused(small_pair: tuple[Encoder, Decoder]) -> None:
    tile = {t: (0, 1, place(8, 1500, t)) for t in range(3)}
    other = (0, 1, place(8, 1501, 1))
    orders = [[0, 2, 1], [0, 1, 1, 2], [1, 2], [0, 1], [0, 0, 1, 2]]
    wrong = [[tile[number] for number in order] for order in orders]
    wrong += [[tile[0], other, tile[2]], [tile[0], (1, 1, place(8, 8, 0))]]
    for chunks in wrong:
        packet = mixed(small_pair[1], *chunks, images=1)
        refused_at_once(lambda p=packet: list(read_packet(p)[1]), "expected t", DamagedPacketError)  # type: ignore[misc]


# Streams without end


class Endless:
    """A file of chunks without end, each an image and a mebibyte of payload, as a pipe may be."""

    def __init__(self, decoder: Decoder) -> None:
        self._writer = StreamWriter(Header("stream", 0, decoder.bundle.pair.digest[:4]))
        self._held = self._writer.header()
        self.given = 0

    def read(self, count: int) -> bytes:
        while len(self._held) < count:
            self._held += self._writer.chunk(1, b"x" * MIB)
        given, self._held = self._held[:count], self._held[count:]
        self.given += len(given)
        assert self.given < 16 * MIB, "the reader holds all that it is given"
        return given


def test_a_stream_without_end_is_not_held_in_memory(small_bundles: tuple[Bundle, Bundle]) -> None:
    limits = Limits(packet_bytes=4 * MIB)
    for decode in (Decoder(small_bundles[1], limits).decode, Decoder(small_bundles[1], limits).symbols):
        with pytest.raises(LimitError, match="bytes decoded at once: expected at most 4,194,304"):
            decode(Endless(Decoder(small_bundles[1])))  # type: ignore[arg-type, call-overload]


def test_a_long_compact_payload_is_held_to_the_limit_of_a_chunk(small_pair: tuple[Encoder, Decoder]) -> None:
    packet = write_compact(Header("compact", 0, small_pair[1].bundle.pair.digest[:4]), b"x" * 101)
    read = partial(read_packet, packet, Limits(chunk_bytes=100))
    refused_at_once(read, "bytes of a chunk: expected at most 100, found 101", LimitError)


# Salvage


def salvage(packet: bytes) -> list[tuple[int, int | None]]:
    gaps: list[tuple[int, int | None]] = []
    list(read_packet(packet, on_missing=lambda *gap: gaps.append(gap))[1])
    return gaps


HEADER = StreamWriter(Header("stream", 0, b"pair")).header()


@pytest.mark.parametrize(
    ("filling", "length", "seconds"),
    [
        (b"\xf1", MIB, 0.05),  # no single byte costs a step of the interpreter
        (b"\xf1CHK", MIB // 4, 1),
        (b"\xf1END", MIB // 4, 1),
        (b"\xf1CHK" + struct.pack("<IHI", 0, 1, 0), MIB // 4, 1),
        (b"\xf1CHK" + struct.pack("<IHI", 0, 1, 100 * KIB), MIB, 1),
        (b"\xf1CHK" + struct.pack("<IHI", 0, 1, MIB // 2), MIB, 1),
    ],
    ids=["first bytes", "bare markers", "bare ends", "empty chunks", "long chunks", "longer chunks"],
)
def test_markers_without_end_keep_no_reader_busy(filling: bytes, length: int, seconds: float) -> None:
    packet = HEADER + filling * (length // len(filling))
    assert salvage(packet) == [(0, None)]
    assert_quick(partial(salvage, packet), seconds)


def test_a_chunk_that_starts_at_the_last_image_there_can_be_ends_the_packet() -> None:
    seed = zlib.crc32(HEADER[:8])
    piece = b"\xf1CHK" + struct.pack("<IHI", (1 << 32) - 1, 65535, 0)
    chunk = piece + struct.pack("<I", zlib.crc32(piece, seed))
    assert salvage(HEADER + chunk * 1000) == [(0, (1 << 32) - 1), ((1 << 32) + 65534, None)]


# Names


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "a/../b",
        "C:\\windows",
        "\\\\host\\share",
        "x\0.png",
        "",
        "\n",
    ],
)
def test_a_name_that_is_a_path_is_refused(small_pair: tuple[Encoder, Decoder], name: str) -> None:
    joined = name.encode()
    packet = sealed(head(small_pair[1], NAMES) + varint(len(joined)) + joined)
    for read in (partial(small_pair[1].decode, packet), partial(inspect, packet)):
        refused_at_once(read, r"packet, names: ", PacketError)


def test_a_name_of_a_mebibyte_is_not_told_in_full(small_pair: tuple[Encoder, Decoder]) -> None:
    joined = b"\x01" * MIB
    packet = sealed(head(small_pair[1], NAMES) + varint(len(joined)) + joined)
    refused(
        partial(small_pair[1].decode, packet), "image name .*: expected a plain file name", memory=12 * MIB
    )


def test_a_mebibyte_of_slashes_is_no_list_of_a_million_names(small_pair: tuple[Encoder, Decoder]) -> None:
    joined = b"/" * MIB
    packet = sealed(head(small_pair[1], NAMES) + varint(len(joined)) + joined)
    told = "names: expected 1, found 1048577"
    refused(partial(small_pair[1].decode, packet), told, error=PacketError, memory=5 * MIB)


def test_the_names_of_a_stream_that_are_told_at_once_have_a_limit() -> None:
    writer = StreamWriter(Header("stream", 0, b"pair", named=True))
    names = ("ab",) * 1000
    packet = b"".join(
        [writer.header(), *(writer.chunk(1000, b"", names) for _ in range(3)), writer.trailer()]
    )
    told = "names of images held at once: expected at most 2,999, found 3,000"
    refused(partial(inspect, packet, Limits(packet_images=2999)), told, error=LimitError)
    report = inspect(packet)
    assert isinstance(report, PacketReport)
    assert report.names is not None
    assert len(report.names) == 3000


# Payloads


@pytest.mark.parametrize("payload", [b"", b"\xff" * 8, b"\xff" * 64, b"\x01" * 1000])
def test_payloads_that_no_writer_makes_are_symbols_or_damage(
    small_pair: tuple[Encoder, Decoder], payload: bytes
) -> None:
    decoder = small_pair[1]
    for framing, count in (("single", 1), ("batch", 50)):
        packet = write_packet(Header(framing, 0, decoder.bundle.pair.digest[:4]), Chunk(0, count, payload))
        try:
            symbols = decoder.symbols(packet)
        except DamagedPacketError:
            continue
        assert symbols.shape == (count, 4, 4, 3)
        assert np.abs(symbols).max() <= 1 << 15
