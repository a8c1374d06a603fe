"""Archives that every version has to read; and the second reader of them, written from the specification."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from codec.archive_encoder import create_archive
from codec.archive_inspection import inspect_archive
from codec.archive_reader import open_archive
from codec.bundle import Bundle
from codec.bundle_reader import read_bundle
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import CodecError
from tests import reference_archive, reference_reader
from tests.golden import make, make_archive

FOLDER = Path(make.__file__).parent
SHA256 = {
    "empty.archive": "daeb25a6cb11874b7d12677820c329399041c3cf0007d19df53b575a6ff571b8",
    "records.archive": "26a6b90b742dedd3776d05ee712d95c451a6ff3b0a16358234c9426fcc6b49d1",
}


def decoder() -> Decoder:
    return Decoder(read_bundle((FOLDER / "pair.decoder.msgpack").read_bytes(), "decoder"))


def second_bundle() -> reference_reader.Bundle:
    return reference_reader.read_bundle((FOLDER / "pair.decoder.msgpack").read_bytes())


def images_of(packet: str) -> NDArray[np.uint8]:
    values: NDArray[np.uint8] = np.load(FOLDER / f"{packet}.images.npy", allow_pickle=False)
    return values


@pytest.mark.parametrize("name", SHA256)
def test_a_golden_archive_is_the_one_that_was_made_and_is_made_to_the_byte_again(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    assert hashlib.sha256(data).hexdigest() == SHA256[name]
    assert make_archive.contents()[name] == data
    assert {file.name for file in FOLDER.glob("*.archive")} == set(SHA256)
    assert len(data) < 4000


def test_golden_archives_are_never_made_again() -> None:
    with pytest.raises(FileExistsError):
        make_archive.main()


def test_a_golden_archive_has_its_images_names_and_metadata() -> None:
    archive = open_archive(FOLDER / "records.archive", decoder())
    expected = [image for packet, _ in make_archive.RECORDS for image in images_of(packet)]
    entries = list(archive)
    assert len(entries) == len(expected) == 19
    for entry, image in zip(entries, expected, strict=True):
        assert np.abs(entry.image.astype(int) - image).max() <= 1
    assert [entry.name for entry in entries[:9]] == [
        *[None] * 4,
        "same.png",
        None,
        "a.png",
        "zwölf.png",
        "三",
    ]
    assert [entry.metadata for entry in entries[:5]] == [
        {"label": 3, "split": "train"},
        {},
        {"label": -129},
        {},
        {"boxes": [[0, 1.5, 2**40], []], "ok": True},
    ]
    assert entries[10].metadata == {"zwölf": {"a": None, "b": "三"}, "p": 1 / 3}
    assert archive.find("same.png") == [4, 15, 17]
    assert archive["三"].image.shape == (11, 5, 1)


@pytest.mark.parametrize("name", SHA256)
def test_the_second_reader_finds_the_same_in_a_golden_archive(name: str) -> None:
    bundle = second_bundle()
    pair, records = reference_archive.read_archive((FOLDER / name).read_bytes())
    archive = open_archive(FOLDER / name)
    assert pair == archive.pair == bundle.pair
    assert [record.packet for record in records] == list(archive.packets())
    symbols = [
        values for record in records for values in reference_archive.decode_record(record, bundle).symbols
    ]
    assert len(symbols) == len(archive)
    facts = [
        (record.names[i] if record.names else None, record.metadata[i])
        for record in records
        for i in range(record.count)
    ]
    assert facts == [(entry.name, entry.metadata) for entry in archive]


def test_the_second_reader_reads_what_the_library_writes(
    tmp_path: Path, small_bundles: tuple[Bundle, Bundle], small_pair: tuple[Encoder, Decoder]
) -> None:
    rng = np.random.default_rng(3)
    file = tmp_path / "x.archive"
    with create_archive(file, small_pair[0], images_per_packet=3) as writer:
        for i in range(8):
            images = rng.integers(0, 256, (rng.integers(1, 5), 8, 8 + i // 4), np.uint8)
            names = [f"{rng.integers(0, 9)}.png" for _ in images] if i % 3 else None
            writer.add(images, names, [{"i": i, "x": float(rng.random())}] * len(images))
    _, records = reference_archive.read_archive(file.read_bytes())
    facts = [
        (record.names[i] if record.names else None, record.metadata[i])
        for record in records
        for i in range(record.count)
    ]
    assert facts == [(entry.name, entry.metadata) for entry in open_archive(file)]
    assert {record.count for record in records} == {1, 2, 3}


@pytest.mark.parametrize("name", SHA256)
def test_both_readers_refuse_every_flipped_bit_of_a_golden_archive(name: str, tmp_path: Path) -> None:
    """The library where it reads all of it; a name or a value that is wrong is found as well as a pixel."""
    data = (FOLDER / name).read_bytes()
    rng = np.random.default_rng(0)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << int(rng.integers(8))
        file = tmp_path / "changed"
        file.write_bytes(changed)
        with pytest.raises(CodecError):
            inspect_archive(file)
        with pytest.raises(ValueError, match=r"."):
            reference_archive.read_archive(bytes(changed))
