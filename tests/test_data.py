"""Where training images come from, and that validation and test digits never are among them."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codec.errors import DatasetError, FileError, OptionError
from codec.imagefiles import png_bytes
from codec.training.data import load_dataset, load_images, load_training, sample_digits

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


def test_images_of_mixed_sizes_or_channels_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_bytes(np.zeros((4, 4, 1), np.uint8)))
    (tmp_path / "b.png").write_bytes(png_bytes(np.zeros((4, 5, 1), np.uint8)))
    with pytest.raises(
        DatasetError, match=r"one size, found \(4, 4, 1\) in .*a.png and \(4, 5, 1\) in .*b.png"
    ):
        load_images(tmp_path)


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
