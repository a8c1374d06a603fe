"""Bulk jobs in one process: the same shards each whole or not there, resumed after any end."""

import json
import multiprocessing
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import codec
from codec.bulk import manifest
from codec.bulk.jobs import Job, decode_job, encode_job
from codec.bulk.manifest import ATTEMPTS, Entry, read_manifest
from codec.bulk.outputs import Format
from codec.bulk.plan import Shard
from codec.bundle import Bundle
from codec.errors import (
    BulkError,
    DamagedArchiveError,
    FileError,
    KeyFileError,
    OptionError,
    WrongPairError,
)
from codec.imagefiles import png_bytes, read_image
from tests.bulk import contents, pictures, write_bundles, write_pictures
from tests.conftest import small_pair_of
from tests.kill import killed

IMAGES = pictures(23)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, small_bundles: tuple[Bundle, Bundle]) -> Path:
    """A folder with the bundles of a small pair, pictures in folders, and what a serial job made of them."""
    folder = tmp_path_factory.mktemp("bulk")
    write_bundles(folder, small_bundles)
    write_pictures(folder / "pictures", IMAGES)
    encoding(folder, "serial").run()
    return folder


def encoding(home: Path, out: str | Path, source: str | Path = "pictures", **options: Any) -> Job:
    options = {"images_per_shard": 5, "images_per_packet": 4, "metadata": ["folder"], **options}
    return encode_job(home / source, home / out, home / "encoder.msgpack", **options)


def decoding(home: Path, out: str | Path, form: str = "png", source: str | Path = "serial") -> Job:
    return decode_job(home / source, home / out, home / "decoder.msgpack", form=form)


def pixels(home: Path) -> list[Any]:
    """The images of the serial job's archives, in order."""
    archives = sorted((home / "serial").glob("*.archive"))
    return [entry.image for path in archives for entry in codec.open_archive(path, home / "decoder.msgpack")]


# Encoding


def test_a_job_leaves_its_archives_and_a_manifest_and_nothing_else(home: Path) -> None:
    done = read_manifest(home / "serial")
    names = [f"{number:06d}.archive" for number in range(5)]
    assert sorted(contents(home / "serial")) == [*names, "manifest.json"]
    assert [entry.file for entry in done.shards] == names
    assert [entry.images for entry in done.shards] == [5, 5, 5, 5, 3]
    assert [entry.first for entry in done.shards] == [0, 5, 10, 15, 20]
    for entry in done.shards:
        assert entry.bytes == (home / "serial" / entry.file).stat().st_size
        assert entry.sha256 == contents(home / "serial")[entry.file]
    encoder = codec.load_encoder(home / "encoder.msgpack")
    assert done.job["encoder"]["pair"] == encoder.bundle.pair.digest.hex()
    assert done.job["quality"] == encoder.default_quality
    assert done.job["source"]["records"] == 23
    head = json.loads((home / "serial" / "manifest.json").read_text())
    assert (head["version"], head["images"], head["left_out"]) == (1, 23, 0)


def test_the_archives_hold_the_sources_images_in_order(home: Path) -> None:
    encoder, decoder = (
        codec.load_encoder(home / "encoder.msgpack"),
        codec.load_decoder(home / "decoder.msgpack"),
    )
    assert np.array_equal(pixels(home), decoder.decode(encoder.encode(IMAGES)))
    archive = codec.open_archive(home / "serial" / "000002.archive")
    assert [entry.name for entry in archive] == [f"{i:04d}.png" for i in range(10, 15)]
    assert [entry.metadata for entry in archive] == [
        {"folder": f"class-{i * 2 // 23}"} for i in range(10, 15)
    ]


def test_every_run_makes_the_same_bytes(home: Path) -> None:
    encoding(home, "again").run(lambda work, shards: map(work, reversed(shards)), threads=1)
    assert contents(home / "again") == contents(home / "serial")


def test_the_work_travels_to_other_processes(home: Path) -> None:
    job = encoding(home, "spawned")
    assert len(pickle.dumps(job.work)) < 1000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        job.run(pool.imap_unordered, threads=1)
    assert contents(home / "spawned") == contents(home / "serial")


def test_images_that_cannot_be_taken_are_left_out_and_listed(home: Path) -> None:
    for path in write_pictures(home / "some bad", IMAGES)[3:6:2]:
        path.write_bytes(b"no image")
    paths = sorted((home / "some bad").rglob("*.png"))
    paths[8].write_bytes(png_bytes(np.zeros((8, 8, 3), np.uint8)))
    done = encoding(home, "left out", "some bad").run()
    assert [(image.record, image.name) for image in done.left_out] == [
        (i, f"class-0/{i:04d}.png") for i in (3, 5, 8)
    ]
    assert "class-0/0003.png: not an image file" in done.left_out[0].reason
    assert "class-0/0008.png: expected 1 channel, which the pair takes, found 3" in done.left_out[2].reason
    assert [entry.images for entry in done.shards] == [4, 3, 5, 5, 3]
    assert (done.images, [entry.first for entry in done.shards]) == (20, [0, 5, 10, 15, 20])
    assert read_manifest(home / "left out") == done
    archive = codec.open_archive(home / "left out" / "000001.archive")
    assert [entry.name for entry in archive] == ["0006.png", "0007.png", "0009.png"]


def test_a_shard_of_which_nothing_can_be_taken_is_an_empty_archive(home: Path) -> None:
    for path in write_pictures(home / "bad", IMAGES[:6])[:3]:
        path.write_bytes(b"no image")
    done = encoding(home, "empty", "bad", images_per_shard=3).run()
    assert [(entry.images, len(entry.left_out)) for entry in done.shards] == [(0, 3), (3, 0)]
    assert decoding(home, "empty decoded", "npy", "empty").run().images == 3


def test_mistakes_are_told_before_anything_is_made(home: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="quality: expected 0 to 2"):
        encoding(home, tmp_path / "out", quality=7)
    with pytest.raises(OptionError, match="expected folder or file of image files, found 'label'"):
        encoding(home, tmp_path / "out", metadata=["label"])
    with pytest.raises(OptionError, match="images in a shard: expected at least 1, found 0"):
        encoding(home, tmp_path / "out", images_per_shard=0)
    with pytest.raises(OptionError, match="images_per_packet: expected 1 to 1,024, found 0"):
        encoding(home, tmp_path / "out", images_per_packet=0)
    with pytest.raises(OptionError, match="effort: expected 0 to 3, found 9"):
        encoding(home, tmp_path / "out", effort=9)
    with pytest.raises(KeyFileError, match="expected the one line of a public key"):
        encoding(home, tmp_path / "out", trusted=[str(home / "encoder.msgpack")])
    with pytest.raises(OptionError, match="format: expected png, npy, parquet, found 'jpeg'"):
        decoding(home, tmp_path / "out", "jpeg")
    assert not (tmp_path / "out").exists()


# Going on


def interrupted(home: Path, out: str, after: int) -> Job:
    """A job that ended behind so many shards, and had a file left half done."""
    shutil.rmtree(home / out, ignore_errors=True)
    job = encoding(home, out)

    def engine(work: Callable[[Shard], Entry], shards: Any) -> Any:
        yield from map(work, shards[:after])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.run(engine)
    for left in (f"{out}/.codec-half", f"{out}/unfinished/.codec-half"):
        (home / left).write_bytes(b"half")
    (home / out / ".codec-folder").mkdir()
    return job


@pytest.mark.parametrize("after", range(6))
def test_a_job_goes_on_behind_any_shard(home: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    job = interrupted(home, "resumed", after)
    assert not (home / "resumed" / "manifest.json").exists()
    made: list[Entry] = []
    monkeypatch.setattr("codec.bulk.work.record", lambda out, entry: made.append(entry))
    job.run()
    assert [entry.number for entry in made] == list(range(after, 5))
    assert contents(home / "resumed") == contents(home / "serial")


@pytest.mark.parametrize("damage", ["shorter", "changed", "gone", "no record", "half a record"])
def test_a_shard_that_is_not_as_it_was_recorded_is_made_again(home: Path, damage: str) -> None:
    job = interrupted(home, "damaged", 5)
    shard, entry = home / "damaged" / "000002.archive", home / "damaged" / "unfinished" / "000002.json"
    data = shard.read_bytes()
    match damage:
        case "shorter":
            shard.write_bytes(data[:-1])
        case "changed":
            shard.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        case "gone":
            shard.unlink()
        case "no record":
            entry.unlink()
        case _:
            entry.write_bytes(entry.read_bytes()[:50])
    job.run()
    assert contents(home / "damaged") == contents(home / "serial")


def test_a_job_that_is_done_is_looked_through_and_mended(home: Path) -> None:
    shutil.copytree(home / "serial", home / "done")
    job = encoding(home, "done")
    before = (home / "serial" / "000000.archive").stat().st_mtime_ns
    (home / "done" / "000003.archive").write_bytes(b"")
    job.run()
    assert {**contents(home / "done"), "manifest.json": ""} == {
        **contents(home / "serial"),
        "manifest.json": "",
    }
    assert read_manifest(home / "done").shards == read_manifest(home / "serial").shards
    assert (home / "done" / "000000.archive").stat().st_mtime_ns == before


def test_killed_again_and_again_a_job_ends_as_if_nothing_had_happened(home: Path, tmp_path: Path) -> None:
    job: list[str | Path] = [
        "bulk",
        "encode",
        home / "pictures",
        tmp_path / "out",
        "--encoder",
        home / "encoder.msgpack",
    ]
    job += [
        "--images-per-shard",
        "5",
        "--images-per-packet",
        "4",
        "--metadata",
        "folder",
        "--engine",
        "serial",
    ]
    kills = 0
    while killed(tmp_path / "out", *job, change=14):
        kills += 1
        assert not (tmp_path / "out" / "manifest.json").exists()
        for path in (tmp_path / "out").glob("*.archive"):
            codec.open_archive(path)
        assert kills < 10
    assert kills >= 2
    assert contents(tmp_path / "out") == contents(home / "serial")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"quality": 0}, "whose quality is 2 and not 0"),
        ({"images_per_shard": 6}, "whose images_per_shard is 5 and not 6"),
        ({"names": False}, "whose names is True and not False"),
        ({"metadata": ["file"]}, r"whose metadata is \['folder'\] and not \['file'\]"),
    ],
)
@pytest.mark.parametrize("done", [True, False], ids=["done", "unfinished"])
def test_another_job_in_the_same_folder_is_refused(
    home: Path, options: dict[str, Any], told: str, done: bool
) -> None:
    if not done:
        interrupted(home, "other", 2)
    before = contents(home / "serial")
    quality = codec.load_encoder(home / "encoder.msgpack").default_quality
    with pytest.raises(BulkError, match=told.replace("is 2", f"is {quality}") + "; choose another folder"):
        encoding(home, "serial" if done else "other", **options).run()
    assert contents(home / "serial") == before


def test_a_source_that_has_changed_is_told(home: Path) -> None:
    write_pictures(home / "changing", IMAGES[:10])
    job = encoding(home, "changed", "changing")
    job.start()
    (home / "changing" / "class-0" / "new.png").write_bytes(png_bytes(IMAGES[0]))
    with pytest.raises(BulkError, match=r"source\.records is 10 and not 11"):
        encoding(home, "changed", "changing").start()
    (home / "changing" / "class-0" / "0000.png").unlink()
    with pytest.raises(BulkError, match=r"source\.sha256 is .*; the source has changed since"):
        encoding(home, "changed", "changing").start()
    np.save(home / "growing.npy", IMAGES)
    job = encoding(home, "grown", "growing.npy", metadata=())
    longer = replace(job.shards[-1], parts=((".", 20, 23), (".", 0, 1)))
    with pytest.raises(FileError):
        job.work(longer)  # a job that was not started
    job.start()
    job.work(longer)


def test_a_folder_of_other_files_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_bytes(b"")
    with pytest.raises(BulkError, match=r"expected an empty folder or this job's, found 'letter\.txt'"):
        encoding(home, tmp_path).run()
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_job_without_a_shard_does_not_end(home: Path, tmp_path: Path) -> None:
    job = encoding(home, tmp_path / "out")
    job.start()
    entries = [job.work(shard) for shard in job.shards[:3]]
    with pytest.raises(BulkError, match="2 of 5 shards are not done, number 3 among them; run the job again"):
        job.finish(entries)
    assert not (tmp_path / "out" / "manifest.json").exists()
    entries += [job.work(shard) for shard in job.shards[3:]]
    assert job.finish().images == 23
    assert contents(tmp_path / "out") == contents(home / "serial")


def test_a_shard_that_ends_every_worker_ends_the_job(home: Path, tmp_path: Path) -> None:
    job = encoding(home, tmp_path / "out")
    job.start()
    for _ in range(ATTEMPTS):
        manifest.attempt(tmp_path / "out", job.shards[1])
    job.work(job.shards[0])
    with pytest.raises(BulkError, match="shard 1 was begun 5 times and never ended; is there memory enough"):
        job.work(job.shards[1])
    job.run()
    assert contents(tmp_path / "out") == contents(home / "serial")


def test_another_bundle_under_the_encoders_name_is_told(
    home: Path, tmp_path: Path, small_bundles: tuple[Bundle, Bundle]
) -> None:
    write_bundles(tmp_path, small_bundles)
    job = encode_job(home / "pictures", tmp_path / "out", tmp_path / "encoder.msgpack")
    write_bundles(tmp_path, small_pair_of(1))
    with pytest.raises(WrongPairError, match="that the job was begun with, found"):
        job.run()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda values: values.update(version=2),
            "expected format 'codec bulk', version 1, found 'codec bulk', 2",
        ),
        (lambda values: values.update(shards=3), "expected a job and its shards"),
        (lambda values: values["shards"].pop(0), "expected shards numbered from 0"),
        (lambda values: values["shards"][0].update(file="../secret"), "expected a plain file name"),
        (lambda values: values["shards"][0].update(images=-1), "not as this version writes it: images"),
        (lambda values: values["shards"][0].pop("bytes"), "not as this version writes it"),
    ],
)
def test_a_manifest_of_another_kind_is_refused(
    home: Path, tmp_path: Path, change: Callable[[Any], Any], told: str
) -> None:
    values = json.loads((home / "serial" / "manifest.json").read_text())
    change(values)
    (tmp_path / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(BulkError, match=told):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(BulkError, match="expected JSON; the file is damaged"):
        read_manifest(tmp_path)


# Decoding


def test_archives_are_decoded_to_folders_of_png_files(home: Path) -> None:
    done = decoding(home, "png").run()
    assert (done.images, [entry.file for entry in done.shards]) == (23, [f"{i:06d}" for i in range(5)])
    paths = sorted((home / "png").rglob("*.png"))
    assert [path.name for path in paths] == [f"{i:04d}.png" for i in range(23)]
    assert np.array_equal([read_image(path) for path in paths], pixels(home))


def test_images_of_one_name_have_their_number_too(home: Path) -> None:
    for folder in "ab":
        write_pictures(home / "twice" / folder, IMAGES[:2], 1)
    encoding(home, "twice encoded", "twice").run()
    decoding(home, "twice decoded", "png", "twice encoded").run()
    names = sorted(path.stem for path in (home / "twice decoded" / "000000").iterdir())
    assert names == ["0000", "0000-00000002", "0001", "0001-00000003"]


def test_archives_are_decoded_to_npy(home: Path) -> None:
    decoding(home, "npy", "npy").run()
    arrays = [np.load(path) for path in sorted((home / "npy").glob("*.npy"))]
    assert [len(array) for array in arrays] == [5, 5, 5, 5, 3]
    assert np.array_equal(np.concatenate(arrays), pixels(home))


def test_archives_are_decoded_to_parquet_that_can_be_encoded_again(home: Path) -> None:
    decoding(home, "parquet", "parquet").run()
    table = pa.concat_tables(
        parquet.read_table(path) for path in sorted((home / "parquet").glob("*.parquet"))
    )
    assert table.column_names == ["image", "folder"]
    assert table["folder"].to_pylist() == [f"class-{i * 2 // 23}" for i in range(23)]
    assert [cell["path"] for cell in table["image"].to_pylist()] == [f"{i:04d}.png" for i in range(23)]
    done = encoding(home, "from parquet", "parquet").run()
    assert done.job["source"]["kind"] == "parquet"
    archive = codec.open_archive(home / "from parquet" / "000004.archive")
    assert [entry.metadata["folder"] for entry in archive] == ["class-1"] * 3


def test_one_archive_is_a_job_too(home: Path, tmp_path: Path) -> None:
    done = decoding(home, tmp_path / "out", "npy", "serial/000001.archive").run()
    assert done.images == 5
    assert np.array_equal(np.load(tmp_path / "out" / "000001.npy"), pixels(home)[5:10])


@pytest.mark.parametrize("form", ["png", "npy", "parquet"])
def test_decoding_goes_on_and_makes_the_same_bytes(home: Path, form: Format, tmp_path: Path) -> None:
    decoding(home, tmp_path / "whole", form).run()
    job = decoding(home, tmp_path / "parts", form)
    job.start()
    entries = [job.work(shard) for shard in job.shards[:2]]
    damaged = tmp_path / "parts" / entries[1].file
    if form == "png":
        (damaged / "0006.png").unlink()
    else:
        damaged.write_bytes(b"")
    decoding(home, tmp_path / "parts", form).run()
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_packets_that_are_damaged_are_left_out_and_listed(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "serial", tmp_path / "serial")
    path = tmp_path / "serial" / "000001.archive"
    archive = codec.open_archive(path)
    start = path.read_bytes().index(archive.records.packet(0))
    data = bytearray(path.read_bytes())
    data[start + 10] ^= 1
    path.write_bytes(data)
    done = decoding(home, tmp_path / "out", "npy", tmp_path / "serial").run()
    assert [image.record for image in done.left_out] == [5, 6, 7, 8]
    assert [entry.images for entry in done.shards] == [5, 1, 5, 5, 3]
    assert np.array_equal(np.load(tmp_path / "out" / "000001.npy"), pixels(home)[9:10])
    path.write_bytes(data[:-5])
    with pytest.raises(DamagedArchiveError):
        decoding(home, tmp_path / "other", "npy", tmp_path / "serial").run()


def test_a_source_that_is_no_encoding_is_told(home: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"expected manifest\.json of an encoding job that is done"):
        decoding(home, tmp_path / "out", source="pictures")
    decoding(home, tmp_path / "npy", "npy").run()
    with pytest.raises(BulkError, match="expected the manifest of an encoding job, found 'decode'"):
        decoding(home, tmp_path / "out", source=tmp_path / "npy")
    (tmp_path / "other").mkdir()
    decoder = write_bundles(tmp_path / "other", small_pair_of(1))[1]
    with pytest.raises(WrongPairError, match="but this decoder belongs to"):
        decode_job(home / "serial", tmp_path / "out", decoder)
