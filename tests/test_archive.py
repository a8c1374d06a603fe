"""Archives: what goes in comes out, by number, slice, name and iteration; whole files, in bounded memory."""

import pickle
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codec import archive as fmt
from codec.archive_encoder import append_archive, create_archive
from codec.archive_inspection import inspect_archive
from codec.archive_metadata import ImageFacts
from codec.archive_reader import Archive, open_archive
from codec.archive_records import Records
from codec.archive_repair import concat_archives
from codec.archive_writer import ArchiveWriter
from codec.bundle_writer import write_bundle
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import (
    ArchiveError,
    DamagedArchiveError,
    DamagedPacketError,
    FileError,
    ImageError,
    LimitError,
    OptionError,
    SealError,
    WrongPairError,
)
from codec.keys import SealingKey
from codec.limits import Limits
from codec.mixed_decoder import Picture
from codec.packet import Header
from codec.packet_writer import StreamWriter
from codec.sealing import seal
from tests.conftest import small_pair_of

Pair = tuple[Encoder, Decoder]
Images = NDArray[np.uint8]


def noise(count: int, height: int = 8, width: int = 8, seed: int = 0) -> Images:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 1), np.uint8)


def names_of(count: int) -> list[str]:
    return [f"{i}.png" for i in range(count)]


def labels_of(count: int) -> list[dict[str, Any]]:
    return [{"label": i % 10} for i in range(count)]


@pytest.fixture
def file(tmp_path: Path, small_pair: Pair) -> Path:
    """An archive of 50 images, 7 a packet, named and labelled."""
    path = tmp_path / "x.archive"
    with create_archive(path, small_pair[0], images_per_packet=7) as archive:
        archive.add(noise(50), names_of(50), labels_of(50))
    return path


@pytest.fixture
def expected(small_pair: Pair) -> Images:
    return small_pair[1].decode(small_pair[0].encode(noise(50)))


# Reading


def test_an_image_is_had_by_its_number_from_either_end(
    file: Path, small_pair: Pair, expected: Images
) -> None:
    archive = open_archive(file, small_pair[1])
    assert len(archive) == 50
    for number in (0, 6, 7, 48, 49, -1, -50, np.int64(20)):
        entry = archive[number]
        assert entry.number == number % 50
        assert (entry.name, entry.metadata) == (f"{number % 50}.png", {"label": number % 10})
        assert np.array_equal(entry.image, expected[number])


@pytest.mark.parametrize(
    "part", [slice(3, 30), slice(None, None, -9), slice(45, 99), slice(9, 9), slice(None)]
)
def test_a_slice_is_a_list_of_images(file: Path, small_pair: Pair, expected: Images, part: slice) -> None:
    entries = open_archive(file, small_pair[1])[part]
    assert [entry.number for entry in entries] == list(range(50))[part]
    assert all(np.array_equal(entry.image, expected[entry.number]) for entry in entries)


def test_an_image_is_had_by_its_name(file: Path, small_pair: Pair, expected: Images) -> None:
    archive = open_archive(file, small_pair[1])
    assert np.array_equal(archive["33.png"].image, expected[33])
    assert archive.find("33.png") == [33]
    assert archive.find("x.png") == []
    assert "33.png" in archive
    assert "x.png" not in archive
    assert 33 not in archive
    with pytest.raises(OptionError, match=r"no image is called 'x.png'"):
        archive["x.png"]


def test_iteration_gives_all_in_order(file: Path, small_pair: Pair, expected: Images) -> None:
    assert np.array_equal(np.stack([entry.image for entry in open_archive(file, small_pair[1])]), expected)


@pytest.mark.parametrize("number", [50, -51, 10**30])
def test_a_number_that_no_image_has_is_an_index_error(file: Path, number: int) -> None:
    for error in (IndexError, OptionError):
        with pytest.raises(error, match=r"expected an image's number below 50, found"):
            open_archive(file)[number]


@pytest.mark.parametrize("number", [1.0, True, None])
def test_what_is_no_number_is_a_type_error(file: Path, number: Any) -> None:
    with pytest.raises(TypeError, match="expected a whole number"):
        open_archive(file)[number]


def test_without_a_decoder_all_but_the_image_is_told(file: Path) -> None:
    entry = open_archive(file)[17]
    assert (entry.number, entry.name, entry.metadata, entry.pixels) == (17, "17.png", {"label": 7}, None)
    with pytest.raises(OptionError, match="opened with a decoder; pass one to open_archive"):
        entry.image  # noqa: B018


def test_each_packet_is_decoded_once_for_images_that_share_it_and_kept_for_the_next(
    file: Path, small_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    whole = Decoder.decode_pictures

    def counted(self: Decoder, packet: bytes) -> Iterator[Picture]:
        decoded.append(1)
        return whole(self, packet)

    monkeypatch.setattr(Decoder, "decode_pictures", counted)
    archive = open_archive(file, small_pair[1])
    list(archive.entries([0, 6, 3, 49, 5]))
    assert len(decoded) == 2
    archive[1], archive["2.png"]
    assert len(decoded) == 2
    list(archive)
    assert len(decoded) == 8
    archive = open_archive(file, small_pair[1], cache_bytes=0)
    archive[1], archive[1]
    assert len(decoded) == 10


def test_the_cache_holds_no_more_than_it_may(file: Path, small_pair: Pair) -> None:
    archive = open_archive(file, small_pair[1], cache_bytes=12_000)
    for number in range(50):
        archive[number]
        assert archive._cached <= 12_000
        assert archive._cached == sum(content.weight for content in archive._cache.values())
    assert len(archive._cache) > 1


def test_an_image_belongs_to_who_asked_for_it(file: Path, small_pair: Pair, expected: Images) -> None:
    archive = open_archive(file, small_pair[1])
    archive[3].image[:] = 0
    archive[3].metadata["label"] = "other"
    assert np.array_equal(archive[3].image, expected[3])
    assert archive[3].metadata == {"label": 3}


def test_names_need_not_differ_unless_one_is_asked_for(tmp_path: Path, small_pair: Pair) -> None:
    with create_archive(tmp_path / "x", small_pair[0], images_per_packet=2) as writer:
        writer.add(noise(5), ["a", "b", "a", "c", "a"])
    archive = open_archive(tmp_path / "x")
    assert archive.find("a") == [0, 2, 4]
    assert archive["c"].number == 3
    with pytest.raises(OptionError, match=r"3 images are called 'a', numbers 0, 2, 4; ask for a number"):
        archive["a"]


def test_names_of_one_hash_are_told_apart(tmp_path: Path, small_pair: Pair) -> None:
    one, other = "plumless", "buckeroo"  # of one CRC
    with create_archive(tmp_path / "x", small_pair[0], images_per_packet=1) as writer:
        writer.add(noise(2), [one, other])
    assert [open_archive(tmp_path / "x").find(name) for name in (one, other)] == [[0], [1]]


def test_asking_for_a_name_reads_the_records_that_may_hold_it_alone(
    tmp_path: Path, small_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    with create_archive(tmp_path / "x", small_pair[0], images_per_packet=1) as writer:
        writer.add(noise(40), names_of(40))
    read: list[int] = []
    whole = Records.metadata

    def counted(self: Records, record: int) -> ImageFacts:
        read.append(record)
        return whole(self, record)

    monkeypatch.setattr(Records, "metadata", counted)
    assert open_archive(tmp_path / "x").find("17.png") == [17]
    assert read == [17]


# Writing


def test_how_images_come_makes_no_difference(tmp_path: Path, file: Path, small_pair: Pair) -> None:
    images, names, labels = noise(50), names_of(50), labels_of(50)
    with create_archive(tmp_path / "y", small_pair[0], images_per_packet=7) as writer:
        writer.add(images[0, ..., 0], names[0], labels[0])
        writer.add(list(images[1:9]), names[1:9], labels[1:9])
        writer.add(images[9 : 9 + 30, ..., 0], iter(names[9:39]), iter(labels[9:39]))
        assert writer.images == 39
        writer.add(images[39:], names[39:], labels[39:])
    assert (tmp_path / "y").read_bytes() == file.read_bytes()


def test_images_of_several_sizes_and_types_have_packets_of_their_own(
    tmp_path: Path, small_pair: Pair
) -> None:
    floats = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8, 1)
    mixed = [noise(1)[0], noise(1, 5, 9)[0], noise(1, 5, 9, seed=1)[0], noise(1, 8, 8, seed=2)[0]]
    with create_archive(tmp_path / "x", small_pair[0]) as writer:
        writer.add(mixed)
        writer.add(floats)
    archive = open_archive(tmp_path / "x", small_pair[1])
    assert [entry.image.shape for entry in archive] == [(8, 8, 1), (5, 9, 1), (5, 9, 1), (8, 8, 1), (8, 8, 1)]
    assert [archive.records.head(i).count for i in range(len(archive.records))] == [1, 2, 1, 1]
    for entry, image in zip(archive, [*mixed, floats[0]], strict=True):
        assert np.array_equal(entry.image, small_pair[1].decode(small_pair[0].encode(image))[0])


def test_large_images_have_fewer_a_packet(tmp_path: Path, small_pair: Pair) -> None:
    with create_archive(tmp_path / "x", small_pair[0]) as writer:
        writer.add(noise(5, 512, 512))
        writer.add(noise(2, 513, 9))  # more than one tile each
    records = open_archive(tmp_path / "x").records
    assert [records.head(i).count for i in range(len(records))] == [4, 1, 1, 1]


def test_metadata_of_numpys_types_comes_back_as_plain_values(tmp_path: Path, small_pair: Pair) -> None:
    given = [
        {
            "label": np.int64(3),
            "box": np.array([1.5, 2]),
            "ok": np.True_,
            "none": None,
            "text": np.str_("三"),
        },
        None,
    ]
    with create_archive(tmp_path / "x", small_pair[0]) as writer:
        writer.add(noise(2), metadata=given)
    assert [entry.metadata for entry in open_archive(tmp_path / "x")] == [
        {"label": 3, "box": [1.5, 2.0], "ok": True, "text": "三"},
        {},
    ]


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"names": ["a", "b"]}, ImageError, "image names: expected 3, found 2"),
    ({"names": ["a", "b", "../c"]}, ImageError, "expected a plain file name"),
    ({"metadata": [{}, {}]}, OptionError, "expected a map for each of 3 images, found 2"),
    ({"metadata": [{}, {}, 5]}, OptionError, "expected a map for each image, found 5"),
    ({"metadata": [{}, {}, {"x": b"1"}]}, OptionError, "expected plain values, found bytes"),
    ({"metadata": [{}, {}, {"x": {1: 2}}]}, OptionError, "plain values"),
    ({"metadata": [{}, {}, {3: 2}]}, OptionError, "plain values"),
    ({"metadata": [{}, {}, {"x": 1 << 64}]}, OptionError, "plain values"),
    ({"metadata": [{}, {}, {"x": object()}]}, OptionError, "plain values"),
    ({"metadata": [{}, {}, {"x": "\udc80"}]}, OptionError, "plain values"),
    ({"metadata": [{}, {}, {"x": [[[[[[[[[1]]]]]]]]]}]}, LimitError, "nested too deeply"),
    ({"metadata": [{}, {}, {"x": "x" * (1 << 24)}]}, LimitError, "bytes: expected at most 16,777,216"),
]


@pytest.mark.parametrize(("facts", "error", "told"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_what_an_archive_cannot_hold_is_refused_and_adds_nothing(
    tmp_path: Path, small_pair: Pair, facts: dict[str, Any], error: type[Exception], told: str
) -> None:
    with create_archive(tmp_path / "x", small_pair[0]) as writer:
        writer.add(noise(2))
        with pytest.raises(error, match=told):
            writer.add(noise(3), **facts)
        with pytest.raises(ImageError):
            writer.add([noise(1)[0], noise(1)[0].astype(int)])
        writer.add(noise(1))
    assert len(open_archive(tmp_path / "x")) == 3


@pytest.mark.parametrize("count", [0, 1025, 2.0, True, None])
def test_images_per_packet_have_bounds(tmp_path: Path, small_pair: Pair, count: Any) -> None:
    with pytest.raises(OptionError, match="images_per_packet: expected 1 to 1,024, found"):
        create_archive(tmp_path / "x", small_pair[0], images_per_packet=count)


@pytest.mark.parametrize("option", [{"quality": 9}, {"effort": 4}])
def test_options_of_the_encoder_are_checked_at_once(
    tmp_path: Path, small_pair: Pair, option: dict[str, Any]
) -> None:
    with pytest.raises(OptionError, match=next(iter(option))):
        create_archive(tmp_path / "x", small_pair[0], **option)


def test_a_new_archive_appears_whole_or_not_at_all(tmp_path: Path, small_pair: Pair) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"older")

    def fail() -> None:
        with create_archive(path, small_pair[0], images_per_packet=1) as writer:
            writer.add(noise(40))
            assert path.read_bytes() == b"older"
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"older"
    assert list(tmp_path.iterdir()) == [path]
    with create_archive(path, small_pair[0]):
        pass
    assert len(open_archive(path)) == 0
    assert list(open_archive(path, small_pair[1])) == []
    assert path.stat().st_size == fmt.HEADER_BYTES + fmt.TRAILER_BYTES


@pytest.mark.parametrize("framing", ["single", "batch", "stream", "compact", "named"])
def test_packets_in_any_framing_go_in_as_they_are(tmp_path: Path, small_pair: Pair, framing: str) -> None:
    encoder, decoder = small_pair
    images = noise(1 if framing in ("single", "compact") else 3)
    if framing == "stream":
        packet = b"".join(encoder.encode_stream([images]))
    else:
        names = names_of(3) if framing == "named" else None
        packet = encoder.encode(images, compact=framing == "compact", names=names)
    nothing = StreamWriter(Header("stream", 0, encoder.bundle.pair.digest))
    with ArchiveWriter(tmp_path / "x", encoder.bundle.pair.digest) as writer:
        writer.add_packet(packet)
        writer.add_packet(nothing.header() + nothing.trailer())
    archive = open_archive(tmp_path / "x", decoder)
    assert list(archive.packets()) == [packet]
    assert np.array_equal(np.stack([entry.image for entry in archive]), decoder.decode(packet))
    assert [entry.name for entry in archive] == (names_of(3) if framing == "named" else [None] * len(images))


def test_a_damaged_a_sealed_and_another_pairs_packet_is_refused(tmp_path: Path, small_pair: Pair) -> None:
    encoder = small_pair[0]
    packet = encoder.encode(noise(2))
    other = Encoder(small_pair_of(7)[0]).encode(noise(2))
    with ArchiveWriter(tmp_path / "x", encoder.bundle.pair.digest) as writer:
        for bad, error in (
            (packet[:-1], DamagedPacketError),
            (other, WrongPairError),
            (seal(packet, SealingKey.generate()), SealError),
        ):
            with pytest.raises(error):
                writer.add_packet(bad)
        writer.add_packet(packet)
    assert len(open_archive(tmp_path / "x")) == 2
    with pytest.raises(OptionError, match="use it in a with block"):
        writer.add_packet(packet)


@pytest.mark.parametrize("pair", [None, b"short", "x" * 32])
def test_a_new_archive_needs_the_pairs_digest(tmp_path: Path, pair: Any) -> None:
    with pytest.raises(OptionError, match="pair: expected the"):
        ArchiveWriter(tmp_path / "x", pair)


def test_another_pairs_decoder_is_told_at_once(file: Path) -> None:
    other = Decoder(small_pair_of(7)[1])
    with pytest.raises(WrongPairError, match=r"made by the pair [0-9a-f]{8}, but this decoder belongs to"):
        open_archive(file, other)


# Appending and joining


def test_appending_is_as_if_all_had_come_at_once(tmp_path: Path, file: Path, small_pair: Pair) -> None:
    images, names, labels = noise(50), names_of(50), labels_of(50)
    path = tmp_path / "y"
    with create_archive(path, small_pair[0], images_per_packet=7) as writer:
        writer.add(images[:28], names[:28], labels[:28])
    opened = open_archive(path)
    with append_archive(path, small_pair[0], images_per_packet=7) as writer:
        writer.add(images[28:], names[28:], labels[28:])
    assert path.read_bytes() == file.read_bytes()
    assert [entry.name for entry in opened] == names[:28], "who had it open reads on"


def test_an_append_that_fails_leaves_the_archive_as_it_was(file: Path, small_pair: Pair) -> None:
    before = file.read_bytes()

    def fail() -> None:
        with append_archive(file, small_pair[0], images_per_packet=1) as writer:
            writer.add(noise(50))
            assert file.read_bytes() != before
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert file.read_bytes() == before


def test_only_one_may_append_at_a_time(file: Path, small_pair: Pair) -> None:
    before = file.read_bytes()
    with (
        append_archive(file, small_pair[0]),
        pytest.raises((FileError, DamagedArchiveError), match=r"another process|its writer is at work"),
        append_archive(file, small_pair[0]) as second,
    ):
        second.add(noise(1))
    assert file.read_bytes() == before


def test_appending_for_another_pair_is_refused(file: Path) -> None:
    with pytest.raises(WrongPairError, match="write another archive"):
        append_archive(file, Encoder(small_pair_of(7)[0]))


def test_a_record_that_cannot_be_written_is_not_passed_over(
    file: Path, small_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_bytes()
    packet = small_pair[0].encode(noise(1))

    def full(*_: object) -> int:
        raise FileError("full")

    def write() -> None:
        with ArchiveWriter(file, None, append=True) as writer:
            with monkeypatch.context() as patched:
                patched.setattr("codec.archive_writer.write_to", full)
                with pytest.raises(FileError, match="full"):
                    writer.add_packet(packet)
            with pytest.raises(FileError, match="cannot be finished"):
                writer.add_packet(packet)

    with pytest.raises(FileError, match="cannot be finished: a packet could only be written in part"):
        write()
    assert file.read_bytes() == before


def test_joined_archives_are_one_and_packets_are_as_they_were(
    tmp_path: Path, file: Path, small_pair: Pair, expected: Images
) -> None:
    with create_archive(tmp_path / "b", small_pair[0]) as writer:
        writer.add(noise(3), ["1.png", "x", "y"])
    assert concat_archives([file, tmp_path / "b", file], tmp_path / "c") == 103
    archive = open_archive(tmp_path / "c", small_pair[1])
    assert [entry.name for entry in archive] == [*names_of(50), "1.png", "x", "y", *names_of(50)]
    assert np.array_equal(np.stack([entry.image for entry in archive[:50]]), expected)
    assert archive.find("1.png") == [1, 50, 54]
    packets = [packet for path in (file, tmp_path / "b", file) for packet in open_archive(path).packets()]
    assert list(archive.packets()) == packets
    inspect_archive(tmp_path / "c")


def test_joining_may_replace_one_of_its_own(file: Path) -> None:
    assert concat_archives([file, file], file) == 100
    assert len(open_archive(file)) == 100
    assert concat_archives([file], file) == 100


def test_only_archives_of_one_pair_are_joined_and_only_whole_ones(
    tmp_path: Path, file: Path, small_pair: Pair
) -> None:
    with create_archive(tmp_path / "other", Encoder(small_pair_of(7)[0])) as writer:
        writer.add(noise(1))
    with pytest.raises(WrongPairError, match="only archives of one pair can be one"):
        concat_archives([file, tmp_path / "other"], tmp_path / "c")
    with pytest.raises(OptionError, match="expected at least one"):
        concat_archives([], tmp_path / "c")
    data = bytearray(file.read_bytes())
    data[open_archive(file).records.index.offset(3) - 1] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedArchiveError, match=r"record 2, images 14 to 20: a check does not match"):
        concat_archives([file], tmp_path / "c")
    assert not (tmp_path / "c").exists()


# Inspection


def test_inspection_tells_what_is_there(tmp_path: Path, file: Path, small_pair: Pair) -> None:
    with append_archive(file, small_pair[0], quality=2) as writer:
        writer.add(noise(2, 5, 9), metadata=[{"weight": 1.5}, None])
    report = inspect_archive(file)
    assert report.pair == small_pair[0].bundle.pair.digest.hex()
    assert (report.images, report.packets, report.most_images, report.names) == (52, 9, 7, 50)
    assert (report.qualities, report.image_sizes) == ([1, 2], [(5, 9)])
    assert report.metadata == {"label": 50, "weight": 1}
    heads = fmt.HEAD_BYTES * report.packets + fmt.HEADER_BYTES
    assert report.bytes == file.stat().st_size
    assert report.bytes == heads + report.packet_bytes + report.metadata_bytes + report.index_bytes


def test_what_is_no_archive_is_told_as_such(tmp_path: Path, small_pair: Pair, file: Path) -> None:
    whole = file.read_bytes()
    for data, error, told in (
        (b"", ArchiveError, "found nothing; this is not an archive"),
        (small_pair[0].encode(noise(1)), ArchiveError, "found c3 7a .*; this is not an archive"),
        (whole[:4] + b"\2" + whole[5:], ArchiveError, "expected format version 1, found 2; update"),
        (whole[:20], DamagedArchiveError, "header: expected 44 bytes, found 20"),
        (whole[:9] + b"x" + whole[10:], DamagedArchiveError, "header: its check does not match"),
        (whole[:-1], DamagedArchiveError, "its index is missing"),
        (whole + b"x", DamagedArchiveError, "its index is missing"),
    ):
        (tmp_path / "y").write_bytes(data)
        with pytest.raises(error, match=told):
            open_archive(tmp_path / "y")
    with pytest.raises(FileError, match="cannot be read: No such file"):
        open_archive(tmp_path / "none")


# Threads, processes, memory


def test_threads_share_an_archive(file: Path, small_pair: Pair, expected: Images) -> None:
    archive = Archive(file, small_pair[1], cache_bytes=5000)
    start = threading.Barrier(8)

    def read(seed: int) -> bool:
        start.wait()
        numbers = np.random.default_rng(seed).integers(0, 50, 60)
        return all(np.array_equal(archive[number].image, expected[number]) for number in numbers)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(8)))


@pytest.mark.parametrize("as_file", [True, False])
def test_an_archive_can_be_pickled_and_reads_its_file_again(
    tmp_path: Path, file: Path, small_pair: Pair, expected: Images, as_file: bool
) -> None:
    (tmp_path / "decoder").write_bytes(write_bundle(small_pair[1].bundle))
    archive = open_archive(file, tmp_path / "decoder" if as_file else small_pair[1])
    archive[3], archive["4.png"]
    pickled = pickle.dumps(archive)
    code = "import pickle, sys; archive = pickle.load(sys.stdin.buffer); print(archive['9.png'].image.sum())"
    done = subprocess.run([sys.executable, "-c", code], input=pickled, capture_output=True, cwd="/")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == int(expected[9].sum())


def test_no_file_stays_open(tmp_path: Path, file: Path) -> None:
    def handles() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    (tmp_path / "cut").write_bytes(file.read_bytes()[:-1])
    before = handles()
    for _ in range(5):
        open_archive(file)[3]
        with pytest.raises(DamagedArchiveError):
            open_archive(tmp_path / "cut")
    assert handles() == before


def peak(action: Callable[..., object], *arguments: Any) -> int:
    tracemalloc.start()
    try:
        action(*arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_grows_by_the_index_alone(tmp_path: Path, small_pair: Pair) -> None:
    packet = small_pair[0].encode(noise(64), quality=2)
    assert len(packet) > 1000

    def write(path: Path, records: int) -> None:
        with ArchiveWriter(path, small_pair[0].bundle.pair.digest) as writer:
            for _ in range(records):
                writer.write_record(packet, 64)

    def read(path: Path, _: int) -> None:
        assert sum(1 for _ in open_archive(path, cache_bytes=1000)) % 64 == 0

    def join(path: Path, _: int) -> None:
        concat_archives([path], tmp_path / "joined")

    for action in (write, read, join):
        few, many = (peak(action, tmp_path / str(records), records) for records in (20, 220))
        assert many < few + 200 * 150, action.__name__


def test_a_large_picture_is_kept_in_tiles_and_one_that_is_too_large_costs_no_other(
    tmp_path: Path, small_pair: Pair
) -> None:
    encoder = Encoder(small_pair[0].bundle, Limits(chunk_pixels=1 << 19, band_pixels=1 << 20))
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (3, 8, 8, 1), np.uint8)
    large = rng.integers(0, 256, (530, 20, 1), np.uint8)
    path = tmp_path / "large.archive"
    with create_archive(path, encoder) as writer:
        writer.add(small[:2])
        with pytest.raises(LimitError, match="pixels in a row of a picture's tiles"):
            writer.add(np.zeros((600, 4000, 1), np.uint8))
        writer.add(large, "large.png", {"label": 1})
        writer.add(small[2])
    archive = open_archive(path, small_pair[1])
    assert [entry.image.shape for entry in archive] == [(8, 8, 1), (8, 8, 1), (530, 20, 1), (8, 8, 1)]
    (picture,) = small_pair[1].decode_pictures(b"".join(encoder.encode_pictures([large])))
    np.testing.assert_array_equal(archive["large.png"].image, picture.image)
    report = inspect_archive(path)
    assert (report.images, report.image_sizes) == (4, [(530, 20)])
