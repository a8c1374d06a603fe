"""The domain of tiles: pieces of colour photographs, 32x32, RGB.

What enters: a seed and the pictures that install with scikit-image, scikit-learn and matplotlib. What leaves:
training and test images, those of the test from pictures that training never saw. All are scaled down first,
those that are JPEG files by 2 or more, so that no blocks of an earlier compression are left in them.
"""

from pathlib import Path

import matplotlib
import numpy as np
import skimage
import sklearn
from numpy.typing import NDArray
from PIL import Image

__all__ = ["TEST_PICTURES", "TRAINING_PICTURES", "picture", "tile_images"]

Pixels = NDArray[np.uint8]

SIDE = 32
TRAINING_PICTURES = (
    "astronaut.png", "china.jpg", "coffee.png", "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png",
    "rocket.jpg",
)  # fmt: skip
TEST_PICTURES = ("chelsea.png", "flower.jpg", "grace_hopper.jpg")
_SCALES = (1.4, 1.7, 2.0, 2.4, 2.8, 3.4, 4.0)
_LEAST_OF_JPEG = 2.0


def picture(name: str) -> Image.Image:
    """A picture in RGB, by its file's name."""
    folders = (
        Path(skimage.__file__).parent / "data",
        Path(sklearn.__file__).parent / "datasets" / "images",
        Path(matplotlib.get_data_path(), "sample_data"),
    )
    path = next(folder / name for folder in folders if (folder / name).exists())
    with Image.open(path) as image:
        return image.convert("RGB")


def tile_images(training: int, test: int, seed: int = 0) -> tuple[Pixels, Pixels]:
    """So many random tiles, uint8 [N, 32, 32, 3]: for training, and for the test."""
    return _tiles(TRAINING_PICTURES, training, [seed, 1]), _tiles(TEST_PICTURES, test, [seed, 2])


def _tiles(names: tuple[str, ...], count: int, seed: list[int]) -> Pixels:
    """Each from any of the pictures, at any scale and place, turned, mirrored, and in a light of its own."""
    rng = np.random.default_rng(seed)
    scaled = [_scaled(name) for name in names]
    found = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for at in range(count):
        sizes = scaled[rng.integers(len(scaled))]
        whole = sizes[rng.integers(len(sizes))]
        top, left = (rng.integers(side - SIDE + 1) for side in whole.shape[:2])
        tile = np.rot90(whole[top : top + SIDE, left : left + SIDE], int(rng.integers(4)))
        light = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.05, 3))
        found[at] = np.clip(np.rint((tile[:, ::-1] if rng.integers(2) else tile) * light), 0, 255)
    return found


def _scaled(name: str) -> list[NDArray[np.float32]]:
    """A picture at its scales, [H, W, 3] from 0 to 255; values between the whole numbers stay."""
    image = picture(name)
    scales = [scale for scale in _SCALES if scale >= _LEAST_OF_JPEG or not name.endswith(".jpg")]
    planes = [Image.fromarray(np.asarray(image, np.float32)[..., channel]) for channel in range(3)]
    found = []
    for scale in scales:
        size = round(image.width / scale), round(image.height / scale)
        bands = [np.asarray(plane.resize(size, Image.Resampling.LANCZOS)) for plane in planes]
        found.append(np.clip(np.stack(bands, -1), 0, 255))
    return found
