"""The settings of one training run: what the command line sets, checkpoints compare and bundles record."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from codec.architecture import Architecture
from codec.errors import TrainingError

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
            raise TrainingError(f"model: expected one of {', '.join(MODELS)}, found {self.model!r}")
        if self.loss not in LOSS_NAMES:
            raise TrainingError(f"loss: expected one of {', '.join(LOSS_NAMES)}, found {self.loss!r}")
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name}: expected at least 1, found {getattr(self, name)}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise TrainingError(f"learning rate: expected a positive number, found {self.learning_rate}")
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise TrainingError(f"noise: expected 0 or more, found {self.noise}")
        if not 0 <= self.seed < 1 << 31:
            raise TrainingError(f"seed: expected 0 to 2^31 - 1, found {self.seed}")

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values."""
        return asdict(self)
