"""Where training images come from, and that validation and test digits never are among them."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codec.errors import DatasetError, FileError, OptionError
from codec.imagefiles import png_bytes, read_image
from codec.training import sources
from codec.training.data import Reading, load_dataset, load_images, load_training, sample_digits

prepared = Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser() / "mnist"
needs_mnist = pytest.mark.skipif(
    not prepared.is_dir(), reason="needs a prepared MNIST: set TFDS_DATA_DIR to a folder that holds it"
)


def test_a_folder_a_npy_and_a_npz_give_the_same_images(tmp_path: Path, digits: NDArray[np.uint8]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for i, image in enumerate(digits[:5]):
        (folder / f"{i}.png").write_bytes(png_bytes(image))
    (folder / "notes.txt").write_text("not an image, and not read")
    np.save(tmp_path / "a.npy", digits[:5])
    np.save(tmp_path / "flat.npy", digits[:5, ..., 0])
    np.savez(tmp_path / "a.npz", digits[:5])
    np.savez(tmp_path / "b.npz", labels=np.arange(5), images=digits[:5])
    for name in ("folder", "a.npy", "flat.npy", "a.npz", "b.npz"):
        np.testing.assert_array_equal(load_images(tmp_path / name), digits[:5])


def test_colour_images_keep_their_channels(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 7, 3), np.uint8)
    (tmp_path / "a.png").write_bytes(png_bytes(image))
    np.testing.assert_array_equal(load_images(tmp_path), image[None])


def pictures(folder: Path, *shapes: tuple[int, ...]) -> list[NDArray[np.uint8]]:
    """Random pictures of these shapes, in PNG files 000.png and on."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    made = [rng.integers(0, 256, shape, np.uint8) for shape in shapes]
    for number, image in enumerate(made):
        (folder / f"{number:03}.png").write_bytes(png_bytes(image))
    return made


def test_a_folder_is_searched_with_the_folders_in_it(tmp_path: Path) -> None:
    cats, dogs = pictures(tmp_path / "cat", (4, 4, 1)), pictures(tmp_path / "dog" / "small", (4, 4, 1))
    pictures(tmp_path / ".hidden", (9, 9, 1))
    (tmp_path / "cat" / "._000.png").write_bytes(b"what another system left")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    np.testing.assert_array_equal(load_images(tmp_path), [*cats, *dogs])


def test_a_single_file_is_read_too(tmp_path: Path) -> None:
    (image,) = pictures(tmp_path, (4, 4, 3))
    np.testing.assert_array_equal(load_images(tmp_path / "000.png"), image[None])


def test_images_of_mixed_sizes_are_counted_and_a_crop_proposed(tmp_path: Path) -> None:
    pictures(tmp_path, *[(40, 40, 1)] * 12, *[(64, 33, 1)] * 7, (8, 8, 1))
    with pytest.raises(DatasetError) as caught:
        load_images(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: expected images of one size, found 12 of 40x40, 7 of 64x33, 1 of 8x8; resize them to "
        "one, or add --crop 32x32, which cuts tiles from the 19 that are as large"
    )
    pictures(tmp_path, *[(side, 3, 1) for side in range(1, 21)])
    with pytest.raises(DatasetError, match=r"1 of 5x3 and 15 of 15 more sizes; resize them to one$"):
        load_images(tmp_path)


def test_grey_and_rgb_files_are_not_mixed_unless_converted(tmp_path: Path) -> None:
    made = pictures(tmp_path, (4, 4, 1), (4, 4, 3), (4, 4, 1))
    with pytest.raises(DatasetError) as caught:
        load_images(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: expected images of one kind, found 2 of grey and 1 of RGB; keep them in folders of "
        "their own, or add --convert, which makes all RGB"
    )
    lines: list[str] = []
    images = load_images(tmp_path, Reading(convert=True, tell=lines.append))
    np.testing.assert_array_equal(images, [image * np.ones(3, np.uint8) for image in made])
    assert lines == ["2 images converted: grey becomes RGB of three equal channels"]
    assert load_images(tmp_path, Reading(convert=True, channels=1)).shape == (3, 4, 4, 1)


def test_a_few_unreadable_files_are_left_out_and_told(tmp_path: Path) -> None:
    made = pictures(tmp_path, *[(4, 4, 1)] * 80)
    for number in range(0, 56, 8):
        (tmp_path / f"{number:03}.png").write_bytes(b"junk")
    whole = (tmp_path / "001.png").read_bytes()
    (tmp_path / "001.png").write_bytes(whole[: whole.index(b"IDAT") + 6])  # told by its pixels alone
    lines: list[str] = []
    images = load_images(tmp_path, Reading(tell=lines.append))
    good = [image for number, image in enumerate(made) if (number % 8 and number != 1) or number >= 56]
    np.testing.assert_array_equal(images, good)
    assert [line.split(": ")[0] for line in lines[:5]] == [
        str(tmp_path / f"{number:03}.png") for number in (0, 8, 16, 24, 32)
    ]
    assert lines[5:] == ["8 of 80 images are left out; the first 5 are told above"]


def test_more_than_a_tenth_unreadable_is_refused(tmp_path: Path) -> None:
    pictures(tmp_path, *[(4, 4, 1)] * 20)
    for number in (3, 5):
        (tmp_path / f"{number:03}.png").write_bytes(b"")
    assert len(load_images(tmp_path)) == 18
    (tmp_path / "007.png").write_bytes(b"")
    with pytest.raises(
        DatasetError,
        match=r"more than a tenth of 20 images cannot be read; the first: .*003.png: not an image",
    ):
        load_images(tmp_path)


def test_a_file_that_changes_while_the_others_are_read_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path, *[(4, 4, 1)] * 20)
    real = read_image

    def changed(path: Path, **options: Any) -> NDArray[np.uint8]:
        image = real(path, **options)
        return image[:3] if path.name == "002.png" else image

    monkeypatch.setattr(sources, "read_image", changed)
    lines: list[str] = []
    assert len(load_images(tmp_path, Reading(tell=lines.append))) == 19
    assert lines[0].endswith("002.png: is (3, 4, 1), but its header told (4, 4, 1)")


def test_tiles_are_cut_from_pictures_of_any_size(tmp_path: Path) -> None:
    made = pictures(tmp_path, *[(20 + i, 30 - i, 3) for i in range(20)], (7, 40, 3))
    lines: list[str] = []
    reading = Reading(crop=(8, 8), tell=lines.append)
    data = load_training(None, tmp_path, 3, reading)
    assert (data.training.shape[1:], data.validation.shape[1:]) == ((8, 8, 3), (8, 8, 3))
    assert lines[0] == "1 of 21 images are smaller than 8x8 and left out"
    grids = sum((height // 8) * (width // 8) for height, width, _ in (image.shape for image in made[:20]))
    offered = grids - len(data.validation)
    assert lines[1:] == [
        f"crop 8x8: 20 images; {2 * offered:,} training tiles ({offered} of the grids, {offered} at random "
        f"places; --crops takes another number), and {len(data.validation)} validation tiles of others"
    ]
    found = {tile.tobytes(): number for number, image in enumerate(made[:20]) for tile in every_tile(image)}
    held = {found[tile.tobytes()] for tile in data.validation}
    trained = {found[tile.tobytes()] for tile in data.training}
    assert len(held) == 1
    assert trained == set(range(20)) - held
    again = load_training(None, tmp_path, 3, reading)
    np.testing.assert_array_equal(again.training, data.training)
    assert len(load_training(None, tmp_path, 3, Reading(crop=(8, 8), crops=17)).training) == 17
    assert len(load_images(tmp_path, reading)) == grids
    assert len(load_images(tmp_path, Reading(crop=(8, 8), crops=17))) == 17


def every_tile(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    tiles = np.lib.stride_tricks.sliding_window_view(image, (8, 8, 3))
    return tiles.reshape(-1, 8, 8, 3)


def test_of_few_pictures_strips_are_held_out(tmp_path: Path) -> None:
    image = np.arange(64, dtype=np.uint8).repeat(16).reshape(64, 16, 1)  # each row its own value
    np.save(tmp_path / "a.npy", image[None])
    lines: list[str] = []
    data = load_training(None, tmp_path / "a.npy", 0, Reading(crop=(8, 8), crops=100, tell=lines.append))
    assert (len(data.training), len(data.validation)) == (100, 2)
    assert not set(data.training.ravel()) & set(data.validation.ravel())
    assert lines == [
        "crop 8x8: 1 images; 100 training tiles (14 of the grids, 86 at random places; --crops takes another "
        "number), and 2 validation tiles of strips of the same, too few to hold out whole ones"
    ]


def test_a_crop_larger_than_all_images_is_refused(tmp_path: Path) -> None:
    pictures(tmp_path, (20, 20, 1), (10, 30, 1))
    with pytest.raises(
        DatasetError,
        match=r"images of at least 16x21, the size of --crop, found none of 2; take a smaller one",
    ):
        load_images(tmp_path, Reading(crop=(16, 21)))
    with pytest.raises(DatasetError, match=r"2 tiles of 16x16, .*, found 1; take a smaller --crop or more"):
        load_training(None, tmp_path / "000.png", 0, Reading(crop=(16, 16)))


def test_training_images_equal_to_a_validation_image_are_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    some = rng.integers(0, 256, (50, 4, 4, 1), np.uint8)
    some[:10] = 255  # blank ones tell nothing of others
    np.save(tmp_path / "a.npy", some.repeat(4, 0))
    lines: list[str] = []
    data = load_training(None, tmp_path / "a.npy", 0, Reading(tell=lines.append))
    assert (len(data.validation), len(data.training) < 190) == (10, True)
    left_out = 190 - len(data.training)
    assert lines == [f"{left_out} training images that equal a validation image are left out"]
    held = {image.tobytes() for image in data.validation} - {bytes([255]) * 16}
    assert held
    assert not held & {image.tobytes() for image in data.training}
    assert bytes([255]) * 16 in {image.tobytes() for image in data.training}
    assert left_out == 4 * len(held) - (10 - sum(i.min() == 255 for i in data.validation))
    np.save(tmp_path / "same.npy", some[-1:].repeat(30, 0))
    with pytest.raises(DatasetError, match="found every training image held out too"):
        load_training(None, tmp_path / "same.npy", 0)


def test_arrays_of_sixteen_bits_are_converted_where_asked(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 1 << 16, (40, 5, 4), np.uint16)
    np.save(tmp_path / "a.npy", deep)
    with pytest.raises(DatasetError) as caught:
        load_images(tmp_path / "a.npy")
    assert str(caught.value) == (
        f"{tmp_path / 'a.npy'}: expected uint8 images, found uint16; scale them to 8 bits, or add --convert, "
        "which rounds v x 255 / 65,535"
    )
    lines: list[str] = []
    images = load_images(tmp_path / "a.npy", Reading(convert=True, tell=lines.append))
    np.testing.assert_array_equal(images[..., 0], np.round(deep * (255 / 65535)))
    assert lines == ["40 images converted: 16 bits are rounded to 8 (v x 255 / 65,535)"]


def test_a_npy_is_mapped_and_not_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((10, 8, 8, 3), np.uint8))
    images = load_images(tmp_path / "a.npy")
    base: Any = images
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


def test_channels_that_come_first_are_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((10, 3, 8, 8), np.uint8))
    with pytest.raises(DatasetError, match=r"seems to be \[N,C,H,W\]; save array.transpose\(0, 2, 3, 1\)"):
        load_images(tmp_path / "a.npy")


def test_an_array_of_a_npz_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 4, 4), np.uint8), y=np.ones((3, 4, 4), np.uint8))
    assert len(load_images(tmp_path / "a.npz", Reading(column="y"))) == 3
    with pytest.raises(DatasetError, match=r"one called 'z', found \['x', 'y'\]; name one with --column"):
        load_images(tmp_path / "a.npz", Reading(column="z"))
    np.save(tmp_path / "a.npy", np.zeros((2, 4, 4), np.uint8))
    pictures(tmp_path / "folder", (4, 4, 1))
    for name in ("a.npy", "folder"):
        with pytest.raises(OptionError, match="column: "):
            load_images(tmp_path / name, Reading(column="x"))


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_files_that_are_not_arrays_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    with pytest.raises(FileError, match="cannot be read"):
        load_images(path)
    path.write_bytes(b"junk")
    with pytest.raises(DatasetError, match="not a NumPy file of plain arrays"):
        load_images(path)


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    objects: Any = np.array([None])
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    with pytest.raises(DatasetError, match="not a NumPy file of plain arrays"):
        load_images(tmp_path / "a.npy")


def test_arrays_of_another_shape_or_type_are_refused(tmp_path: Path) -> None:
    arrays: list[NDArray[Any]] = [
        np.zeros((2, 4, 4)),
        np.zeros((4, 4), np.uint8),
        np.zeros((0, 4, 4), np.uint8),
    ]
    for i, array in enumerate(arrays):
        np.save(tmp_path / f"{i}.npy", array)
        with pytest.raises(DatasetError, match="expected uint8 images shaped"):
            load_images(tmp_path / f"{i}.npy")
    np.savez(tmp_path / "two.npz", a=np.zeros(1), b=np.zeros(1))
    with pytest.raises(DatasetError, match="one called 'images', found \\['a', 'b'\\]"):
        load_images(tmp_path / "two.npz")


def test_a_twentieth_is_held_out_and_never_trained_on(tmp_path: Path) -> None:
    images = np.arange(200, dtype=np.uint8).reshape(200, 1, 1, 1).repeat(4, 1).repeat(4, 2)
    np.save(tmp_path / "a.npy", images)
    data = load_training(None, tmp_path / "a.npy", seed=1)
    assert (len(data.training), len(data.validation)) == (190, 10)
    levels = {int(image.flat[0]) for image in data.validation}
    assert len(levels) == 10
    assert not levels & {int(image.flat[0]) for image in data.training}
    again = load_training(None, tmp_path / "a.npy", seed=1)
    np.testing.assert_array_equal(again.validation, data.validation)


def test_one_image_is_too_few(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((1, 4, 4), np.uint8))
    with pytest.raises(DatasetError, match="at least 2 images to train on, found 1"):
        load_training(None, tmp_path / "a.npy", seed=0)


def test_neither_or_both_sources_are_refused() -> None:
    for dataset, images in ((None, None), ("mnist", "x.npy")):
        with pytest.raises(OptionError, match="one of --dataset and --images"):
            load_training(dataset, images, seed=0)


def test_the_digits_in_the_package_are_every_fiftieth_of_mlxtends(digits: NDArray[np.uint8]) -> None:
    sample = sample_digits()
    assert sample.shape == (5000, 28, 28, 1)
    np.testing.assert_array_equal(digits, sample[::50])


@needs_mnist
def test_mnists_validation_digits_are_taken_out_of_its_training_digits() -> None:
    data = load_training("mnist", None, seed=0)
    assert data.training.shape == (55000, 28, 28, 1)
    assert data.validation.shape == (5000, 28, 28, 1)
    training = {image.tobytes() for image in data.training}
    assert not any(image.tobytes() in training for image in data.validation)
    test = load_dataset("mnist", "test")
    assert test.shape == (10000, 28, 28, 1)
    assert not any(image.tobytes() in training for image in test)


@needs_mnist
def test_a_split_that_a_dataset_lacks_is_told() -> None:
    with pytest.raises(
        DatasetError, match=r"expected one of the splits \['train', 'test'\], found 'validation'"
    ):
        load_dataset("mnist", "validation")


class Records:
    """A stand-in for a prepared data set of tensorflow-datasets: features of its own, records in memory."""

    def __init__(self, features: dict[str, Any], records: list[dict[str, Any]]) -> None:
        self.info = SimpleNamespace(features=features, splits={"train": None, "test": None})
        self.data_path = "nowhere"
        self._records = records

    def as_data_source(self, split: str) -> list[dict[str, Any]]:
        if split not in self.info.splits:
            raise ValueError(split)
        return self._records if split == "train" else self._records[:1]


def test_a_dataset_of_mixed_sizes_and_another_feature_is_cut_into_tiles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")
    rng = np.random.default_rng(0)
    features = {
        "photo": tfds.features.Image(shape=(None, None, 3)),
        "mask": tfds.features.Image(shape=(4, 4, 1)),
        "deep": tfds.features.Image(shape=(4, 4, 1), dtype=np.uint16),
        "label": tfds.features.ClassLabel(num_classes=2),
    }
    records: list[dict[str, Any]] = [
        {
            "photo": rng.integers(0, 256, (16 + i, 20, 3), np.uint8),
            "mask": rng.integers(0, 256, (4, 4, 1), np.uint8),
            "deep": rng.integers(0, 1 << 16, (4, 4, 1), np.uint16),
            "label": 1,
        }
        for i in range(3)
    ]
    builder = Records(features, records)
    monkeypatch.setattr(tfds, "builder", lambda name, **options: builder)
    with pytest.raises(DatasetError) as caught:
        load_dataset("x", "train")
    assert str(caught.value) == (
        "dataset x: expected one feature of images, or one called 'image', found photo, mask, deep among "
        "photo, mask, deep, label; name it with --column"
    )
    masks = load_dataset("x", "train", Reading(column="mask"))
    np.testing.assert_array_equal(masks, [record["mask"] for record in records])
    assert len(load_dataset("x", "test", Reading(column="mask"))) == 1
    with pytest.raises(DatasetError, match="1 of 16x20, 1 of 17x20, 1 of 18x20; resize them to one"):
        load_dataset("x", "train", Reading(column="photo"))
    data = load_training("x", None, 0, Reading(column="photo", crop=(8, 8)))
    assert data.training.shape[1:] == (8, 8, 3)
    assert len(data.validation) == 6
    with pytest.raises(DatasetError, match="expected uint8 images, found uint16; add --convert"):
        load_dataset("x", "train", Reading(column="deep"))
    deep = load_dataset("x", "train", Reading(column="deep", convert=True))
    np.testing.assert_array_equal(deep, [np.round(record["deep"] * (255 / 65535)) for record in records])
    with pytest.raises(DatasetError, match="which it has photo and mask and deep, found 'label'"):
        load_dataset("x", "train", Reading(column="label"))
