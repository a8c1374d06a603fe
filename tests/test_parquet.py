"""Parquet files of images: encoded or as tensors, in one file or many, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codec.errors import DatasetError, FileError
from codec.imagefiles import png_bytes
from codec.training.data import Reading, load_images, load_training

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (40, 6, 5, 3), np.uint8)


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)
    return path


def encoded(images: NDArray[np.uint8]) -> list[bytes]:
    return [png_bytes(image) for image in images]


def structures(images: NDArray[np.uint8]) -> Any:
    rows = [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(encoded(images))]
    return pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


def fixed_lists(images: NDArray[np.uint8]) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(images.ravel()), int(np.prod(images.shape[1:])))


def with_shape(path: Path, column: Any, told: str) -> Path:
    field = pa.field("pixels", column.type, metadata={"shape": told})
    pq.write_table(pa.table([column], schema=pa.schema([field])), path)
    return path


def test_bytes_structures_and_tensors_give_the_same_images(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    paths = [
        write(tmp_path / "bytes.parquet", {"image": encoded(images), "label": range(40)}),
        write(tmp_path / "large.parquet", {"img": pa.array(encoded(images), pa.large_binary())}),
        write(tmp_path / "hf.parquet", {"image": structures(images)}, row_group_size=7),
        write(tmp_path / "any.parquet", {"photo": structures(images), "label": range(40)}),
        write(tmp_path / "tensor.parquet", {"x": pa.FixedShapeTensorArray.from_numpy_ndarray(images)}),
        with_shape(tmp_path / "list.parquet", fixed_lists(images), json.dumps(images.shape[1:])),
    ]
    for path in paths:
        np.testing.assert_array_equal(load_images(path), images, err_msg=path.name)


def test_grey_tensors_need_no_channel_axis(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    path = with_shape(tmp_path / "a.parquet", fixed_lists(images[..., 0]), "[6, 5]")
    np.testing.assert_array_equal(load_images(path), images[..., :1])


def test_a_folder_of_parquet_files_is_read_in_the_order_of_its_names(
    tmp_path: Path, images: NDArray[np.uint8]
) -> None:
    write(tmp_path / "data" / "b.parquet", {"image": encoded(images[10:])}, row_group_size=9)
    write(tmp_path / "data" / "a.parquet", {"image": encoded(images[:10])})
    np.testing.assert_array_equal(load_images(tmp_path), images)
    data = load_training(None, tmp_path, 0)
    assert (len(data.training), len(data.validation)) == (38, 2)
    assert load_training(None, tmp_path / "data" / "b.parquet", 0).name == "b"


def test_rows_of_any_size_are_cut_into_tiles(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = [rng.integers(0, 256, (9 + i % 3, 12, 1), np.uint8) for i in range(30)]
    path = write(tmp_path / "a.parquet", {"image": [png_bytes(image) for image in made]})
    with pytest.raises(DatasetError, match="10 of 9x12, 10 of 10x12, 10 of 11x12"):
        load_images(path)
    tiles = load_images(path, Reading(crop=(4, 4)))
    assert tiles.shape == (30 * 6, 4, 4, 1)
    np.testing.assert_array_equal(tiles[0], made[0][:4, :4])
    chosen = load_training(None, path, 0, Reading(crop=(4, 4), crops=5)).training  # of a few rows alone
    found = {t.tobytes() for t in load_images(path, Reading(crop=(4, 4)))}
    assert {tile.tobytes() for tile in chosen} <= found


def test_rows_without_an_image_are_left_out_by_name(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    rows: list[bytes | None] = [*encoded(images)]
    rows[3], rows[8] = None, b"junk"
    path = write(tmp_path / "a.parquet", {"image": rows}, row_group_size=6)
    lines: list[str] = []
    found = load_images(path, Reading(tell=lines.append))
    np.testing.assert_array_equal(found, np.delete(images, [3, 8], 0))
    assert (
        lines[0] == f"{path}, row 3: expected an image, found none; where it has a path, that is not opened"
    )
    assert lines[1].startswith(f"{path}, row 8: not an image file")
    assert lines[2] == "2 of 40 images are left out"
    storage = pa.array([[1] * 30, None] + [[2] * 30] * 20, pa.list_(pa.uint8(), 30))
    path = with_shape(tmp_path / "b.parquet", storage, "[6, 5]")
    assert [image.flat[0] for image in load_images(path)] == [1] + [2] * 20


def test_a_path_in_a_row_is_never_opened(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    (tmp_path / "secret.png").write_bytes(png_bytes(images[0]))
    row = {"bytes": None, "path": str(tmp_path / "secret.png")}
    column = pa.array([row] * 2, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    path = write(tmp_path / "a.parquet", {"image": column})
    with pytest.raises(DatasetError, match=r"more than a tenth of 2 images cannot be read; .* is not opened"):
        load_images(path)


def test_a_column_that_is_missing_or_of_another_kind_is_told_with_all_there_are(
    tmp_path: Path, images: NDArray[np.uint8]
) -> None:
    path = write(tmp_path / "a.parquet", {"a": encoded(images), "b": encoded(images), "label": range(40)})
    with pytest.raises(DatasetError) as caught:
        load_images(path)
    assert str(caught.value) == (
        f"{path}: expected a column of images called image, img, images, picture, pixels, or one alone, "
        "found a (binary), b (binary), label (int64); name it with --column"
    )
    np.testing.assert_array_equal(load_images(path, Reading(column="b")), images)
    with pytest.raises(DatasetError, match=r"expected a column 'c', found a \(binary\), b \(binary\)"):
        load_images(path, Reading(column="c"))
    with pytest.raises(
        DatasetError, match="expected in column 'label' bytes of image files, or uint8 tensors"
    ):
        load_images(path, Reading(column="label"))


@pytest.mark.parametrize("told", ["[6, 4]", "[-6, -5]", "30", "[[6, 5]]", "six", "[30]", "[6.0, 5]"])
def test_lists_whose_shape_does_not_fit_are_no_images(
    tmp_path: Path, images: NDArray[np.uint8], told: str
) -> None:
    path = with_shape(tmp_path / "a.parquet", fixed_lists(images[..., 0]), told)
    with pytest.raises(DatasetError, match="expected a column of images"):
        load_images(path)
    with pytest.raises(DatasetError, match="expected in column 'pixels' bytes"):
        load_images(path, Reading(column="pixels"))


def test_files_that_disagree_are_refused(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    with_shape(tmp_path / "a.parquet", fixed_lists(images[..., 0]), "[6, 5]")
    write(tmp_path / "b.parquet", {"pixels": encoded(images)})
    with pytest.raises(DatasetError, match="expected one kind of images in all files"):
        load_images(tmp_path)


def test_pixels_that_are_missing_are_refused(tmp_path: Path) -> None:
    storage = pa.array([[1, None, 3, 4]], pa.list_(pa.uint8(), 4))
    path = with_shape(tmp_path / "a.parquet", storage, "[2, 2]")
    with pytest.raises(DatasetError, match="expected pixels of 0 to 255, found some that are missing"):
        load_images(path)


def test_what_is_no_parquet_file_is_told(tmp_path: Path, images: NDArray[np.uint8]) -> None:
    path = write(tmp_path / "a.parquet", {"image": encoded(images)})
    whole = path.read_bytes()
    for data in (
        b"",
        b"junk",
        whole[: len(whole) // 2],
        whole[: len(whole) // 2] + bytes(200) + whole[-200:],
    ):
        path.write_bytes(data)
        with pytest.raises(DatasetError, match="not a Parquet file that can be read"):
            load_images(path)
    with pytest.raises(FileError, match="no such file or folder"):
        load_images(tmp_path / "gone.parquet")
