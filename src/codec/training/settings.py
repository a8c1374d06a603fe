"""The settings of one training run: what the command line sets, checkpoints compare and bundles record."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.architecture import Architecture
from codec.errors import DatasetError, OptionError

__all__ = ["LOSS_NAMES", "MODELS", "Settings"]

MODELS = ("article",)
LOSS_NAMES = ("bce", "mse", "l1")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The defaults are the article's: Adam at 0.001, batches of 128, 50 epochs, binary cross-entropy.

    Attributes:
        model: name of the recipe, and of the pair it makes.
        architecture: the two networks.
        epochs: passes over the training images.
        batch_size: images in one step; an incomplete last batch is left out, of other images each epoch.
        learning_rate: Adam's.
        loss: one of ``LOSS_NAMES``.
        noise: standard deviation of Gaussian noise on the input, clipped to 0..1; the target stays clean.
        seed: of the weights, the order of the images and the noise.
    """

    model: str = "article"
    architecture: Architecture = field(default_factory=Architecture)
    epochs: int = 50
    batch_size: int = 128
    learning_rate: float = 1e-3
    loss: str = "bce"
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise OptionError(f"model: expected one of {', '.join(MODELS)}, found {self.model!r}")
        if self.loss not in LOSS_NAMES:
            raise OptionError(f"loss: expected one of {', '.join(LOSS_NAMES)}, found {self.loss!r}")
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name}: expected at least 1, found {getattr(self, name)}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise OptionError(f"learning rate: expected a positive number, found {self.learning_rate}")
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise OptionError(f"noise: expected 0 or more, found {self.noise}")
        if not 0 <= self.seed < 1 << 31:
            raise OptionError(f"seed: expected 0 to 2^31 - 1, found {self.seed}")

    def for_images(self, images: NDArray[np.uint8], name: str) -> "Settings":
        """These settings with the networks' channels those of uint8 ``images`` [N, H, W, C].

        Raises:
            DatasetError: no network takes images of that many channels.
        """
        channels = images.shape[-1]
        try:
            return replace(self, architecture=replace(self.architecture, image_channels=channels))
        except OptionError:
            raise DatasetError(
                f"{name}: expected images of 1 to 4 channels, found {channels}; "
                "leave out or join channels before training"
            ) from None

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values."""
        return asdict(self)
