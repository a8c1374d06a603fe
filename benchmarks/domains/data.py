"""A domain's training and test images: generated from a seed, or the user's own from a .npz."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codec.errors import DatasetError, FileError

__all__ = ["Domain", "own", "shipped"]

Pixels = NDArray[np.uint8]

_SIZES = {"glyphs": (60_000, 10_000), "tiles": (50_000, 5_000)}
_QUICK = (600, 40)
_PARTS = (("x_train", "x_test"), ("train", "test"))
_FEWEST = 2


@dataclass(frozen=True)
class Domain:
    """Images of one kind; none of the test is among the training images.

    Attributes:
        name: of the domain, and of the pair that is trained for it.
        told: what the images are, for the report.
        training, test: uint8, grey [N, H, W] or RGB [N, H, W, 3].
    """

    name: str
    told: str
    training: Pixels
    test: Pixels

    @property
    def grey(self) -> bool:
        return self.test.ndim == 3

    @property
    def digest(self) -> str:
        """Of the training images' shape and pixels."""
        return _digest(self.training)

    @property
    def test_digest(self) -> str:
        """Of the test images' shape and pixels."""
        return _digest(self.test)


def _digest(images: Pixels) -> str:
    return hashlib.sha256(repr(images.shape).encode() + np.ascontiguousarray(images).data).hexdigest()


def shipped(name: str, *, quick: bool = False) -> Domain:
    """``glyphs`` or ``tiles``, always the same pixels with the same libraries; few where ``quick``."""
    training, test = _QUICK if quick else _SIZES[name]
    if name == "glyphs":
        from benchmarks.domains.glyphs import glyph_images

        return Domain(name, "characters of matplotlib's fonts", *glyph_images(training, test))
    from benchmarks.domains.tiles import tile_images

    return Domain(
        name,
        "pieces of the pictures of scikit-image, scikit-learn and matplotlib",
        *tile_images(training, test),
    )


def own(path: Path, *, grey: bool) -> Domain:
    """The user's images from a .npz of ``x_train`` and ``x_test``, or ``train`` and ``test``.

    Training images that are test images too are left out of the training images.

    Raises:
        FileError: there is no such file, or it cannot be read.
        DatasetError: no such arrays in it, or they are not uint8 [N, H, W] (grey; [N, H, W, 1] will do) or
            [N, H, W, 3] (RGB), of one size.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = next((names for names in _PARTS if set(names) <= set(arrays.files)), None)
            if names is None:
                raise DatasetError(
                    f"{path}: expected arrays x_train and x_test, or train and test, found {arrays.files}"
                )
            training, test = (_checked(f"{path}: {name}", arrays[name], grey=grey) for name in names)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (DatasetError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib and NumPy's own parser each raise their own
        raise DatasetError(f"{path}: not a .npz of plain arrays: {error}") from None
    if training.shape[1:] != test.shape[1:]:
        raise DatasetError(
            f"{path}: expected images of one size, found {training.shape[1:]} for training and "
            f"{test.shape[1:]} for the test"
        )
    known = {image.tobytes() for image in test}
    training = training[[image.tobytes() not in known for image in training]]
    return Domain(path.stem.replace(",", "-"), path.name, training, test)


def _checked(where: str, images: NDArray[np.generic], *, grey: bool) -> Pixels:
    if grey and images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    right = images.ndim == 3 if grey else images.ndim == 4 and images.shape[3] == 3
    if images.dtype != np.uint8 or not right or 0 in images.shape or len(images) < _FEWEST:
        expected = "grey images [N,H,W]" if grey else "RGB images [N,H,W,3]"
        raise DatasetError(f"{where}: expected uint8 {expected}, found {images.dtype} {images.shape}")
    return np.ascontiguousarray(images, np.uint8)
