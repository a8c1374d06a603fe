"""Mixed packets: pictures of any sizes in, the same sizes and names out, and what is told where it fails."""

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import codec
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import DamagedPacketError, ImageError, LimitError, OptionError, PacketError, WrongPairError
from codec.imagefiles import are_mixed, png_bytes, read_image
from codec.inspection import PacketReport
from codec.limits import Limits
from codec.packet import Header
from codec.packet_reader import read_packet
from codec.packet_writer import StreamWriter

Pair = tuple[Encoder, Decoder]
Pixels = NDArray[np.uint8]

SIZES = [(8, 8), (8, 8), (3, 520), (8, 8), (514, 2), (5, 7)]
"""Images of one tile, of two side by side, of two on top of each other."""


def image_of(height: int, width: int, channels: int = 1) -> Pixels:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, channels), np.uint8)


def names_of(count: int) -> list[str]:
    return [f"{i}.png" for i in range(count)]


@pytest.fixture(scope="module")
def pieces(small_pair: Pair) -> list[bytes]:
    """Header, eight chunks and trailer of the packet of SIZES."""
    pictures = [image_of(*size) for size in SIZES]
    return list(small_pair[0].encode_pictures(pictures, quality=1, names=names_of(len(SIZES))))


@pytest.fixture(scope="module")
def packet(pieces: list[bytes]) -> bytes:
    return b"".join(pieces)


# Round trips


def test_pictures_come_back_in_their_sizes_with_their_names(small_pair: Pair, packet: bytes) -> None:
    encoder, decoder = small_pair
    pictures = list(decoder.decode_pictures(packet))
    assert [(p.number, p.name) for p in pictures] == list(enumerate(names_of(len(SIZES))))
    for picture, size in zip(pictures, SIZES, strict=True):
        expected = decoder.decode(encoder.encode(image_of(*size), quality=1))[0]
        assert picture.image.shape == (*size, 1)
        assert np.abs(picture.image.astype(int) - expected).max() <= 1
    for symbols, size in zip(decoder.picture_symbols(packet), SIZES, strict=True):
        expected = decoder.symbols(encoder.encode(image_of(*size), quality=1))[0]
        np.testing.assert_array_equal(symbols, expected, strict=True)


def test_consecutive_pictures_of_one_size_share_a_chunk(packet: bytes) -> None:
    header, chunks = read_packet(packet)
    assert (header.framing, header.shape, header.named) == ("mixed", None, True)
    assert [(c.first, c.count, c.size, c.tile) for c in chunks] == [
        (0, 2, (8, 8), 0),
        (2, 1, (3, 520), 0),
        (2, 1, (3, 520), 1),
        (3, 1, (8, 8), 0),
        (4, 1, (514, 2), 0),
        (4, 1, (514, 2), 1),
        (5, 1, (5, 7), 0),
    ]


def test_bands_are_the_picture_in_parts(small_pair: Pair, packet: bytes) -> None:
    bands = list(small_pair[1].decode_rows(packet))
    assert [(b.number, b.height, b.width, b.top, len(b.rows), b.name) for b in bands] == [
        (0, 8, 8, 0, 8, "0.png"),
        (1, 8, 8, 0, 8, "1.png"),
        (2, 3, 520, 0, 3, "2.png"),
        (3, 8, 8, 0, 8, "3.png"),
        (4, 514, 2, 0, 512, "4.png"),
        (4, 514, 2, 512, 2, "4.png"),
        (5, 5, 7, 0, 5, "5.png"),
    ]
    pictures = [p.image for p in small_pair[1].decode_pictures(packet)]
    np.testing.assert_array_equal(np.concatenate([b.rows for b in bands if b.number == 4]), pictures[4])


def test_a_packet_of_no_pictures_and_one_without_names(small_pair: Pair) -> None:
    encoder, decoder = small_pair
    empty = b"".join(encoder.encode_pictures([]))
    assert (len(empty), list(decoder.decode_pictures(empty))) == (24, [])
    [picture] = decoder.decode_pictures(b"".join(encoder.encode_pictures([image_of(5, 7)[..., 0]])))
    assert (picture.name, picture.image.shape) == (None, (5, 7, 1))


def test_floats_and_bytes_make_the_same_packet(small_pair: Pair) -> None:
    pictures = [image_of(8, 8), image_of(8, 8), image_of(3, 520)]
    floats: list[Any] = [picture / np.float32(255) for picture in pictures]
    floats[1] = floats[1].tolist()
    between = [floats[0], pictures[1], floats[2]]
    packets = [b"".join(small_pair[0].encode_pictures(given)) for given in (pictures, floats, between)]
    payloads = [[c.payload for c in read_packet(p)[1]] for p in packets]
    assert payloads[0] == payloads[1]
    assert payloads[0][1:] == payloads[2][2:]  # what differs in type shares no chunk


def test_packets_of_the_other_framings_are_decoded_picture_by_picture(small_pair: Pair) -> None:
    encoder, decoder = small_pair
    images = np.stack([image_of(8, 8), image_of(8, 8)])
    for packet in (
        encoder.encode(images, names=names_of(2)),
        b"".join(encoder.encode_stream([images], names=names_of(2))),
    ):
        pictures = list(decoder.decode_pictures(packet))
        assert [(p.number, p.name) for p in pictures] == [(0, "0.png"), (1, "1.png")]
        np.testing.assert_array_equal(np.stack([p.image for p in pictures]), decoder.decode(packet))


def test_inspect_tells_the_sizes(packet: bytes) -> None:
    report = codec.inspect(packet)
    assert isinstance(report, PacketReport)
    assert (report.framing, report.images, report.chunks) == ("mixed", 6, 7)
    assert (report.image_size, report.image_sizes, report.names) == (None, SIZES, names_of(6))
    assert "image_sizes     8x8, 8x8, 3x520, 8x8, 514x2, 5x7" in report.to_text()
    assert json.loads(report.to_json())["image_sizes"] == [list(size) for size in SIZES]
    with pytest.raises(LimitError, match=r"sizes of images held at once|names of images held at once"):
        codec.inspect(packet, Limits(packet_images=5))


# Pictures larger than memory


class Computed:
    """A picture that nobody holds: what is asked for is made, and remembered is how much that was at most."""

    def __init__(self, height: int, width: int) -> None:
        self.shape = (height, width, 1)
        self.most = (0, 0)
        self.read: list[tuple[slice, slice]] = []

    def __getitem__(self, part: tuple[slice, slice]) -> Pixels:
        rows, columns = (np.arange(s.start, s.stop) for s in part)
        self.read.append(part)
        self.most = max(self.most[0], len(rows)), max(self.most[1], len(columns))
        pixels: Pixels = ((rows[:, None] * 7 + columns * 3) % 256).astype(np.uint8)
        return pixels[..., None]


def peak(action: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_height_of_a_picture(small_pair: Pair, tmp_path: Path) -> None:
    encoder, decoder = small_pair

    def encode(height: int) -> None:
        with (tmp_path / str(height)).open("wb") as file:
            file.writelines(encoder.encode_pictures([Computed(height, 40)]))

    def decode(height: int) -> None:
        with (tmp_path / str(height)).open("rb") as file:
            rows = sum(len(band.rows) for band in decoder.decode_rows(file))
        assert rows == height

    encode(512 * 40)
    decode(512 * 40)  # nothing is left to be loaded
    for action in (encode, decode):
        small, large = (peak(partial(action, 512 * tiles)) for tiles in (20, 40))
        assert large < 1.1 * small + (1 << 17)
    assert 512 * 40 * 40 > 4 * (1 << 17)  # what it would have grown by


def test_of_a_large_picture_only_the_tile_and_what_is_around_it_is_read(small_pair: Pair) -> None:
    picture = Computed(1 << 30, 1 << 14)
    pieces = small_pair[0].encode_pictures([picture])
    next(pieces)
    next(pieces)
    assert max(picture.most) <= 640
    assert len(picture.read) <= 16


def test_a_memory_map_is_a_picture(small_pair: Pair, tmp_path: Path) -> None:
    encoder, _ = small_pair
    np.save(tmp_path / "picture.npy", image_of(3, 520))
    mapped = np.load(tmp_path / "picture.npy", mmap_mode="r")
    assert list(encoder.encode_pictures([mapped])) == list(encoder.encode_pictures([image_of(3, 520)]))


def test_pictures_are_taken_as_they_are_needed(small_pair: Pair) -> None:
    given: list[None] = []

    def endless() -> Iterator[Pixels]:
        while True:
            given.append(None)
            yield image_of(2 + len(given) % 2, 3)

    pieces = small_pair[0].encode_pictures(endless())
    for _ in range(3):
        next(pieces)
    assert len(given) < 20


# What is refused


class Short:
    """Says more than it gives."""

    shape = (600, 600, 1)

    def __getitem__(self, part: object) -> Pixels:
        return image_of(5, 5)


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        (image_of(8, 8, 3), r"picture 1: expected one picture \[H, W, 1\] or \[H, W\], .*shape \(8, 8, 3\)"),
        (np.zeros((2, 8, 8, 1), np.uint8), r"picture 1: expected one picture .* shape \(2, 8, 8, 1\)"),
        (np.zeros((0, 8), np.uint8), "picture 1: expected sides of 1 to 2,147,483,647 pixels, found 0x8"),
        (Computed(1 << 31, 1), "picture 1: expected sides of 1 to 2,147,483,647 pixels, found 2147483648x1"),
        (Computed((1 << 31) - 1, (1 << 31) - 1), "picture 1: expected at most 4,294,967,296 tiles"),
        (np.zeros((8, 8), np.int32), "picture 1: images: expected uint8, or float"),
        (np.full((8, 8), 2.0), "picture 1: images: expected floats in 0..1"),
        ([[1], [1, 2]], "picture 1: expected an array"),
        ("picture", "picture 1: expected one picture"),
        (Short(), r"picture 1: expected 600x600 pixels for a slice of so many rows and columns"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_picture_that_is_none_is_told_with_its_number(small_pair: Pair, picture: Any, told: str) -> None:
    with pytest.raises(ImageError, match=told):
        list(small_pair[0].encode_pictures([image_of(8, 8), picture]))


def test_names_must_be_as_many_as_pictures(small_pair: Pair) -> None:
    pictures = [image_of(8, 8), image_of(3, 520)]
    for count, told in ((1, "expected 1, found 0"), (3, "one for each image, found more")):
        with pytest.raises(ImageError, match=told):
            list(small_pair[0].encode_pictures(pictures, names=names_of(count)))


def test_a_pair_of_one_size_makes_and_takes_no_mixed_packet() -> None:
    with pytest.raises(
        OptionError, match=r"a pair that takes images of any size, but 'mnist' takes 28x28 alone"
    ):
        codec.load_encoder("mnist").encode_pictures([])
    decoder = codec.load_decoder("mnist")
    writer = StreamWriter(Header("mixed", 0, decoder.bundle.pair.digest[:4]))
    packet = writer.header() + writer.chunk(1, b"", None, (28, 28)) + writer.trailer()
    for decode in (decoder.decode_pictures, decoder.decode_rows, decoder.picture_symbols):
        with pytest.raises(
            PacketError, match=r"expected images of 28x28, the one size .* found a mixed packet"
        ):
            decode(packet)


def test_what_decodes_images_of_one_size_names_what_decodes_mixed_packets(
    small_pair: Pair, packet: bytes
) -> None:
    decoder = small_pair[1]
    ways: list[Callable[[bytes], object]] = [
        decoder.decode,
        decoder.decode_stream,
        decoder.symbols,
        partial(decoder.decode, on_error="skip"),
    ]
    for decode in ways:
        with pytest.raises(PacketError, match=r"found a mixed packet.* use decode_pictures or decode_rows"):
            decode(packet)
    single = small_pair[0].encode(image_of(8, 8))
    for rows in (decoder.decode_rows, decoder.picture_symbols):
        with pytest.raises(PacketError, match="expected a mixed one, found the single framing; use decode"):
            rows(single)
    with pytest.raises(WrongPairError):
        codec.load_decoder("article").decode_pictures(packet)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(chunk_pixels=127), "pixels in a chunk"),
        (
            Limits(band_pixels=2079),
            "pixels in a row of a picture's tiles: expected at most 2,079, found 2,080",
        ),
        (Limits(packet_symbols=1559), "symbols in three rows of a picture's tiles: .* found 1,560"),
        (Limits(image_activations=100), "values of a layer"),
    ],
)
def test_sender_and_receiver_hold_a_picture_to_the_same_limits(
    small_pair: Pair, packet: bytes, limits: Limits, told: str
) -> None:
    pictures = [image_of(*size) for size in SIZES]
    with pytest.raises(LimitError, match=told):
        list(Encoder(small_pair[0].bundle, limits).encode_pictures(pictures))
    for way in ("decode_pictures", "decode_rows"):
        with pytest.raises(LimitError, match=told):
            list(getattr(Decoder(small_pair[1].bundle, limits), way)(packet))


def test_a_whole_picture_has_a_limit_that_its_rows_have_not(small_pair: Pair, packet: bytes) -> None:
    decoder = Decoder(small_pair[1].bundle, Limits(packet_pixels=1500))
    with pytest.raises(LimitError, match="pixels of one picture: expected at most 1,500, found 2,080"):
        list(decoder.decode_pictures(packet))
    assert sum(len(band.rows) for band in decoder.decode_rows(packet)) == sum(height for height, _ in SIZES)


# Damage


def images_of_chunk(number: int) -> set[int]:
    return [{0, 1}, {2}, {2}, {3}, {4}, {4}, {5}][number]


def salvaged(decoder: Decoder, packet: bytes) -> tuple[dict[int, codec.Picture], set[int], bool]:
    """What is left of a packet, what is told missing, and whether its end is."""
    gaps: list[tuple[int, int | None]] = []
    pictures = list(decoder.decode_pictures(packet, lambda *gap: gaps.append(gap)))
    numbers = [picture.number for picture in pictures]
    assert numbers == sorted(set(numbers))
    missing = {i for first, count in gaps for i in range(first, first + (count or 0))}
    assert not missing & set(numbers)
    return {picture.number: picture for picture in pictures}, missing, None in [count for _, count in gaps]


@pytest.mark.parametrize("lost", range(7))
@pytest.mark.parametrize("how", ["cut out", "flipped"])
def test_a_lost_chunk_costs_its_pictures_and_no_other(
    small_pair: Pair, pieces: list[bytes], packet: bytes, lost: int, how: str
) -> None:
    decoder = small_pair[1]
    damaged = list(pieces)
    piece = bytearray(pieces[lost + 1])
    piece[len(piece) // 2] ^= 4
    damaged[lost + 1] = b"" if how == "cut out" else bytes(piece)
    with pytest.raises(DamagedPacketError):
        list(decoder.decode_pictures(b"".join(damaged)))
    whole = {picture.number: picture for picture in decoder.decode_pictures(packet)}
    left, missing, endless = salvaged(decoder, b"".join(damaged))
    assert (missing, endless) == (images_of_chunk(lost), False)
    assert left.keys() == whole.keys() - missing
    for number, picture in left.items():
        assert picture.name == whole[number].name
        np.testing.assert_array_equal(picture.image, whole[number].image)


def test_chunks_in_any_order_are_saved_and_an_end_that_is_gone_is_told(
    small_pair: Pair, pieces: list[bytes]
) -> None:
    header, *chunks, trailer = pieces
    for order in (chunks[::-1], chunks[3:] + chunks[:3], [*chunks, *chunks]):
        shuffled = b"".join([header, *order, trailer])
        with pytest.raises(DamagedPacketError):
            list(small_pair[1].decode_pictures(shuffled))
        left, missing, endless = salvaged(small_pair[1], shuffled)
        assert (set(left), missing, endless) == (set(range(6)), set(), False)
    left, missing, endless = salvaged(small_pair[1], b"".join([header, *chunks[:5]]))
    assert (set(left), missing, endless) == ({0, 1, 2, 3}, set(), True)


def test_a_tile_that_does_not_decode_and_a_size_over_the_limits_cost_their_picture(small_pair: Pair) -> None:
    encoder, decoder = small_pair
    good = next(iter(read_packet(encoder.encode(image_of(8, 8), quality=1))[1])).payload
    header = Header("mixed", 1, encoder.bundle.pair.digest[:4])
    writer = StreamWriter(header)
    parts = [
        writer.chunk(1, good, None, (8, 8)),
        writer.chunk(1, b"\xff" * 40 + b"\0", None, (3, 520), 0),
        writer.chunk(1, b"", None, (3, 520), 1),
        writer.chunk(2, b"", None, (512, 512)),
        writer.chunk(1, good, None, (8, 8)),
    ]
    packet = b"".join([writer.header(), *parts, writer.trailer()])
    bounded = Decoder(decoder.bundle, Limits(chunk_pixels=1 << 12))
    left, missing, endless = salvaged(bounded, packet)
    assert (set(left), missing, endless) == ({0, 4}, {1, 2, 3}, False)
    with pytest.raises(DamagedPacketError):
        list(bounded.decode_pictures(packet))


def test_a_tile_of_another_size_is_no_part_of_a_picture(small_pair: Pair) -> None:
    header = Header("mixed", 1, small_pair[0].bundle.pair.digest[:4])

    def written(*tiles: tuple[tuple[int, int], int]) -> bytes:
        writer = StreamWriter(header)
        made = [writer.chunk(1, b"", None, size, tile) for size, tile in tiles]
        return b"".join([writer.header(), *made, writer.trailer()])

    for tiles, told in (
        ([((3, 520), 0), ((3, 521), 1)], "expected tile 1 of 3x520, found tile 1 of 3x521"),
        ([((3, 1030), 0), ((3, 1030), 2)], "expected tile 1 of 3x1030, found tile 2 of 3x1030"),
        ([((3, 520), 1)], "expected tile 0, found tile 1 of 3x520"),
        ([((3, 520), 0)], "expected tile 1 of 3x520, found the end"),
        ([((3, 520), 0), ((3, 520), 0)], "expected tile 1 of 3x520, found tile 0"),
        ([((3, 520), 0), ((8, 8), 0)], "expected tile 1 of 3x520, found tile 0 of 8x8"),
    ):
        packet = written(*tiles)
        with pytest.raises(DamagedPacketError, match=told):
            list(read_packet(packet)[1])


def test_bands_before_damage_come_and_then_the_error(small_pair: Pair, pieces: list[bytes]) -> None:
    bands = small_pair[1].decode_rows(b"".join(pieces[:5]))
    assert [next(bands).number for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(DamagedPacketError):
        next(bands)


# The command line


def run(*arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "codec", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_a_folder_of_pictures_of_many_sizes_survives_the_trip(tmp_path: Path, digits: Pixels) -> None:
    (tmp_path / "in").mkdir()
    sizes = {"a": (28, 28), "b": (20, 28), "c": (513, 28)}
    for name, (height, width) in sizes.items():
        picture = np.concatenate(digits[:20])[:height, :width]
        (tmp_path / "in" / f"{name}.png").write_bytes(png_bytes(picture))
    (tmp_path / "in" / "d.png").write_bytes(b"no image")
    done = run("encode", "in", "-o", "packet", "--encoder", "article", cwd=tmp_path)
    assert done.returncode == 1
    assert "d.png: not an image file" in done.stderr
    assert "3 images, " in done.stderr
    report = codec.inspect((tmp_path / "packet").read_bytes())
    assert isinstance(report, PacketReport)
    assert (report.framing, report.image_sizes) == ("mixed", list(sizes.values()))
    done = run("decode", "packet", "-o", "out", "--decoder", "article", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {path.stem: read_image(path).shape for path in (tmp_path / "out").iterdir()}
    assert found == {name: (*size, 1) for name, size in sizes.items()}


def test_files_are_mixed_where_sizes_differ_or_one_is_more_than_a_tile(tmp_path: Path) -> None:
    sizes = {"a": (8, 8), "b": (8, 8), "c": (8, 9), "d": (513, 1)}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(png_bytes(image_of(*size)))
    (tmp_path / "bad").write_bytes(b"")
    mixed = {names: are_mixed(tmp_path / name for name in names.split()) for names in (
        "a b bad gone", "a c", "d", "bad", "c",
    )}  # fmt: skip
    assert mixed == {"a b bad gone": False, "a c": True, "d": True, "bad": False, "c": False}
