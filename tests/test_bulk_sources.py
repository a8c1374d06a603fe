"""What a bulk job's sources list and read, and which shards their listings make."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from codec.bulk import sources
from codec.bulk.plan import Shard, cut, listing_digest
from codec.bulk.sources import ArrayFile, Folder, Parquet, Record, Source, TensorflowDataset, open_source
from codec.errors import DatasetError, FileError, ImageError, MissingExtraError, OptionError
from codec.imagefiles import png_bytes
from tests.bulk import pictures, write_pictures

listings = st.lists(st.tuples(st.text(max_size=3), st.integers(0, 20)), max_size=12)


def images_of(records: list[Record]) -> list[Any]:
    return [record.image for record in records]


def everything(source: Source, *columns: str) -> list[Record]:
    return [record for name, count in source.listing() for record in source.read(name, 0, count, columns)]


# Plans


@given(listings, st.integers(1, 25))
def test_the_shards_of_a_listing_have_each_record_once_and_in_order(
    listing: list[tuple[str, int]], size: int
) -> None:
    shards = list(cut(listing, size))
    records = [(name, i) for shard in shards for name, start, stop in shard.parts for i in range(start, stop)]
    where = iter(records)
    for name, count in listing:
        assert [next(where) for _ in range(count)] == [(name, i) for i in range(count)]
    assert next(where, None) is None
    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert all(shard.records == size for shard in shards[:-1])
    assert all(0 < shard.records <= size and shard.first == size * shard.number for shard in shards)
    assert list(cut(listing, size)) == shards


@given(listings, st.integers(1, 25))
def test_a_shard_travels_as_json(listing: list[tuple[str, int]], size: int) -> None:
    for shard in cut(listing, size):
        assert Shard.from_json(shard.to_json()) == shard


def test_a_listing_of_another_name_number_or_order_has_another_digest() -> None:
    variants = [[("a", 1), ("b", 2)], [("b", 2), ("a", 1)], [("a", 2), ("b", 1)], [("a", 1), ("c", 2)]]
    assert len({listing_digest(some) for some in variants}) == len(variants)
    assert listing_digest(variants[0])[0] == 3
    with pytest.raises(DatasetError, match="expected images, found none"):
        listing_digest([("a", 0)])


def test_a_shard_of_no_images_is_refused() -> None:
    with pytest.raises(OptionError, match="images in a shard: expected at least 1, found 0"):
        list(cut([("a", 1)], 0))


# Folders


def test_a_folder_lists_image_files_in_all_its_folders_by_path(tmp_path: Path) -> None:
    images = pictures(5)
    paths = write_pictures(tmp_path, images)
    for name in ("notes.txt", ".hidden.png", "class-0/.codec-left.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "round").symlink_to(tmp_path)
    source: Any = open_source(str(tmp_path))
    assert source == Folder(str(tmp_path))
    assert list(source.listing()) == [(path.relative_to(tmp_path).as_posix(), 1) for path in paths]
    records = everything(source, "folder")
    assert np.array_equal(images_of(records), images)
    assert [record.metadata["folder"] for record in records] == ["class-0"] * 3 + ["class-1"] * 2


def test_a_file_that_cannot_be_read_is_a_record_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    (tmp_path / "b.png").write_bytes(png_bytes(pictures(1)[0]))
    source = Folder(str(tmp_path))
    listing = list(source.listing())
    (tmp_path / "b.png").unlink()
    bad = [record.image for name, count in listing for record in source.read(name, 0, count, ())]
    assert isinstance(bad[0], ImageError)
    assert "a.png: not an image file" in str(bad[0])
    assert isinstance(bad[1], FileError)


def test_a_folder_has_no_other_columns(tmp_path: Path) -> None:
    write_pictures(tmp_path, pictures(1))
    with pytest.raises(OptionError, match="expected folder or file of image files, found 'label'"):
        everything(Folder(str(tmp_path)), "label")


# Parquet


def write_parquet(path: Path, cells: list[Any], labels: list[Any], rows: int = 2) -> None:
    parquet.write_table(pa.table({"image": cells, "label": labels}), path, row_group_size=rows)


def test_parquet_files_are_read_from_any_row_to_any_row(tmp_path: Path) -> None:
    images = pictures(12)
    for i in range(2):
        some = [png_bytes(image) for image in images[6 * i : 6 * i + 6]]
        write_parquet(tmp_path / f"{i}.parquet", some, list(range(6 * i, 6 * i + 6)), rows=4)
    source: Any = open_source(str(tmp_path))
    assert source == Parquet(str(tmp_path))
    assert list(source.listing()) == [("0.parquet", 6), ("1.parquet", 6)]
    for size in range(1, 8):
        records = [
            record
            for shard in cut(source.listing(), size)
            for part in shard.parts
            for record in source.read(*part, ["label"])
        ]
        assert np.array_equal(images_of(records), images)
        assert [record.metadata for record in records] == [{"label": i} for i in range(12)]


def test_a_column_of_structs_names_its_images(tmp_path: Path) -> None:
    png = png_bytes(pictures(1)[0])
    cells = [
        {"bytes": png, "path": "one.png"},
        {"bytes": png, "path": None},
        {"bytes": None, "path": "gone"},
        None,
    ]
    write_parquet(tmp_path / "one.parquet", cells, [0, 1, 2, None])
    source: Any = open_source(str(tmp_path / "one.parquet"))
    records = everything(source, "label")
    assert [record.name for record in records] == ["one.png", None, "gone", None]
    assert [type(record.image) for record in records] == [np.ndarray, np.ndarray, ImageError, ImageError]
    assert "one.parquet, row 3: expected the bytes of an image file, found NoneType" in str(records[3].image)
    assert records[3].metadata == {"label": None}


def test_parquet_without_the_column_is_told_its_columns(tmp_path: Path) -> None:
    write_parquet(tmp_path / "one.parquet", [b""], [0])
    with pytest.raises(DatasetError, match=r"expected a column 'pixels', found \['image', 'label'\]"):
        list(Parquet(str(tmp_path), "pixels").listing())
    with pytest.raises(OptionError, match=r"expected columns of .* \(image, label\), found 'class'"):
        everything(Parquet(str(tmp_path)), "class")


def test_what_is_no_parquet_is_told(tmp_path: Path) -> None:
    (tmp_path / "one.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(DatasetError, match="not a Parquet file"):
        list(Parquet(str(tmp_path)).listing())


def test_metadata_that_json_has_not_is_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path / "one.parquet", [png_bytes(pictures(1)[0])], [[1, 2]])
    with pytest.raises(OptionError, match="expected text or numbers in 'label', found list"):
        everything(Parquet(str(tmp_path)), "label")


# Arrays and datasets


def test_a_npy_is_mapped(tmp_path: Path) -> None:
    images = pictures(4)
    np.save(tmp_path / "a.npy", images[..., 0])
    source: Any = open_source(str(tmp_path / "a.npy"))
    assert source == ArrayFile(str(tmp_path / "a.npy"))
    assert np.array_equal(images_of(everything(source)), images)
    with pytest.raises(OptionError, match=r"a \.npy holds none, found 'label'"):
        everything(source, "label")


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((2, 8, 8), np.float32), "found float32"),
        (np.zeros((0, 8, 8), np.uint8), r"found uint8 \(0, 8, 8\)"),
        (np.array([{}]), "not a NumPy file of plain arrays"),
    ],
    ids=["floats", "none", "objects"],
)
def test_another_npy_is_told(array: Any, told: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(DatasetError, match=told):
        list(ArrayFile(str(tmp_path / "a.npy")).listing())


def test_a_dataset_is_read_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures(3)
    records = [{"image": image, "label": np.int64(i)} for i, image in enumerate(images)]
    asked = []

    class Builder:
        def __init__(self, name: str) -> None:
            self.name = name

        def as_data_source(self, split: str) -> list[dict[str, Any]]:
            asked.append((self.name, split))
            return records

    monkeypatch.setattr(sources, "dataset_builder", Builder)
    sources._dataset.cache_clear()
    source: Any = open_source("digits:test")
    assert source == TensorflowDataset("digits:test")
    found = everything(source, "label")
    assert asked == [("digits", "test")]
    assert np.array_equal(images_of(found), images)
    assert json.dumps([record.metadata for record in found]) == '[{"label": 0}, {"label": 1}, {"label": 2}]'
    with pytest.raises(DatasetError, match=r"expected 'class', found \['image', 'label'\]"):
        everything(source, "class")
    sources._dataset.cache_clear()


def test_a_dataset_that_is_not_prepared_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(DatasetError, match=r"mnist:test: cannot be read .* set TFDS_DATA_DIR"):
        sources._dataset("mnist:test")
    with pytest.raises(DatasetError, match="no_such_dataset: tensorflow-datasets has none"):
        sources._dataset("no_such_dataset:test")


@pytest.mark.parametrize("missing", ["pyarrow", "tensorflow_datasets"])
def test_a_missing_library_is_told_with_what_installs_it(
    missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    extra = {"pyarrow": "bulk", "tensorflow_datasets": "train"}[missing]
    (tmp_path / "one.parquet").write_bytes(b"")
    with pytest.raises(MissingExtraError, match=rf"pip install 'split-codec\[{extra}\]'"):
        list(Parquet(str(tmp_path)).listing()) if missing == "pyarrow" else sources._dataset("mnist:other")


def test_a_source_that_is_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(FileError, match=r"notes\.txt: expected a folder, a \.parquet or a \.npy file"):
        open_source(str(tmp_path / "notes.txt"))
    with pytest.raises(FileError, match="no such file or folder, and no dataset's NAME:SPLIT"):
        open_source(os.fspath(tmp_path / "nothing"))
