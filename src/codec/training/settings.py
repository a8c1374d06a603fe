"""The settings of one training run: what the command line sets, checkpoints compare and bundles record."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.architecture import Architecture, Convolutional, Dense
from codec.errors import DatasetError, OptionError

__all__ = ["LOSS_NAMES", "MODELS", "OBJECTIVES", "Settings", "settings_for", "spread"]

MODELS = ("dense", "article")
OBJECTIVES = ("rate-distortion", "distortion")
LOSS_NAMES = ("bce", "mse", "l1")

LAMBDAS = (3e3, 9e5)
"""Weights of the distortion that span 20 to 34 dB on MNIST; other image sizes scale them by their values."""
QUALITIES = 10
_MNIST_VALUES = 784
_MOST_DENSE_VALUES = 1 << 14
"""Pixel values, after padding, above which dense layers over the whole image make no sense."""
_MOST_RATED_CODES = 1 << 12
"""Code values above which a context model that sees them all is no sensible choice."""
_DENSE_ELEMENTS = 392
_EPOCHS = {"rate-distortion": 60, "distortion": 50}
_AUGMENT = 0.3
"""For dense layers over the whole image, which learn their training images by heart."""
_LEARNING_RATES = {"rate-distortion": 2e-3, "distortion": 1e-3}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides what a run computes, its images apart; ``settings_for`` fills in what they decide.

    Attributes:
        name: of the pair.
        objective: one of ``OBJECTIVES``: rate and distortion at once, or distortion alone.
        architecture: the two networks.
        epochs: passes over the training images; they are also the length of the rate-distortion schedule.
        batch_size: images in one step; an incomplete last batch is left out, of other images each epoch.
        learning_rate: Adam's, at its highest.
        noise: standard deviation of Gaussian noise on the input, clipped to 0..1; the target stays clean.
        augment: share of the training images that is warped anew in each epoch, but for the last quarter.
        seed: of the weights, the order of the images, their warps and the noise.
        loss: one of ``LOSS_NAMES``; of the distortion objective.
        start: the pair whose weights training goes on from, a shipped one's name or a path without
            ``.encoder.msgpack``; None is a fresh start.
        lambdas: for each quality, the bits that a mean squared error of 1 (on the 0..1 scale) is worth; of
            the rate-distortion objective.
    """

    name: str = "article"
    objective: str = "distortion"
    architecture: Architecture = field(default_factory=Convolutional)
    epochs: int = 50
    batch_size: int = 128
    learning_rate: float = 1e-3
    noise: float = 0.0
    augment: float = 0.0
    seed: int = 0
    loss: str = "bce"
    start: str | None = None
    lambdas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise OptionError(f"objective: expected one of {', '.join(OBJECTIVES)}, found {self.objective!r}")
        if self.loss not in LOSS_NAMES:
            raise OptionError(f"loss: expected one of {', '.join(LOSS_NAMES)}, found {self.loss!r}")
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name}: expected at least 1, found {getattr(self, name)}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise OptionError(f"learning rate: expected a positive number, found {self.learning_rate}")
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise OptionError(f"noise: expected 0 or more, found {self.noise}")
        if not 0 <= self.augment <= 1:
            raise OptionError(f"augment: expected 0 to 1, found {self.augment}")
        if not 0 <= self.seed < 1 << 31:
            raise OptionError(f"seed: expected 0 to 2^31 - 1, found {self.seed}")
        if not self.name or self.name != self.name.strip() or set(self.name) & set("/\\\0"):
            raise OptionError(f"name: expected one that a file can have, found {self.name!r}")
        rated = self.objective == "rate-distortion"
        low, high = (1, 256) if rated else (0, 0)
        if not low <= len(self.lambdas) <= high:
            raise OptionError(f"lambda: expected {low} to {high} values, found {len(self.lambdas)}")
        if any(not (math.isfinite(value) and value > 0) for value in self.lambdas):
            raise OptionError(f"lambda: expected positive numbers, found {self.lambdas}")
        if list(self.lambdas) != sorted(set(self.lambdas)):
            raise OptionError(f"lambda: expected rising numbers, found {self.lambdas}")
        if isinstance(self.architecture, Dense):
            if not rated:
                raise OptionError("objective: the dense model is trained for rate and distortion only")
            if self.architecture.qualities != len(self.lambdas):
                raise OptionError(
                    f"lambda: expected {self.architecture.qualities}, one a quality, "
                    f"found {len(self.lambdas)}"
                )

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values."""
        return asdict(self) | {"architecture": self.architecture.to_dict(), "lambdas": list(self.lambdas)}


def settings_for(
    images: NDArray[np.uint8],
    data: str,
    *,
    model: str | None = None,
    objective: str | None = None,
    name: str | None = None,
    lambdas: tuple[float, ...] | None = None,
    qualities: int | None = None,
    code_channels: int = 32,
    layers: int = 2,
    filters: int | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    augment: float | None = None,
    **others: Any,
) -> Settings:
    """Settings for training on uint8 ``images`` [N, H, W, C] from ``data``; what is None is chosen here.

    The model is dense for the rate-distortion objective where the images are small enough, the article's
    otherwise.

    Raises:
        OptionError: a value out of range, or options that do not go together.
        DatasetError: no network takes images of this shape.
    """
    if model is not None and model not in MODELS:
        raise OptionError(f"model: expected one of {', '.join(MODELS)}, found {model!r}")
    objective = objective or OBJECTIVES[0]
    if objective not in OBJECTIVES:
        raise OptionError(f"objective: expected one of {', '.join(OBJECTIVES)}, found {objective!r}")
    if model == "dense" and objective == "distortion":
        raise OptionError("objective: the dense model is trained for rate and distortion only")
    stride = 1 << layers
    rows, columns = (-(-side // stride) for side in images.shape[1:3])
    channels = images.shape[3]
    if not 1 <= channels <= 4:
        raise DatasetError(
            f"{data}: expected images of 1 to 4 channels, found {channels}; leave out or join channels "
            "before training"
        )
    values = rows * columns * stride**2 * channels
    small = values <= _MOST_DENSE_VALUES
    model = model or ("dense" if objective == "rate-distortion" and small else "article")
    if model == "dense" and not small:
        raise OptionError(
            f"model: dense takes images of at most {_MOST_DENSE_VALUES:,} values, found {values:,}; "
            "use --model article, or crop the images"
        )
    if objective == "rate-distortion":
        codes = rows * columns * code_channels
        if model == "article" and codes > _MOST_RATED_CODES:
            raise OptionError(
                f"objective: rate-distortion takes codes of at most {_MOST_RATED_CODES:,} values, found "
                f"{rows}x{columns}x{code_channels}; crop the images, lower --code-channels, or add "
                "--objective distortion"
            )
        if lambdas is None:
            low, high = (bound * values / _MNIST_VALUES for bound in LAMBDAS)
            lambdas = spread(low, high, QUALITIES if qualities is None else qualities)
        if qualities is not None and qualities != len(lambdas):
            raise OptionError(f"lambda: expected {qualities}, one a quality, found {len(lambdas)}")
    elif lambdas or qualities:
        raise OptionError("lambda and qualities: they belong to the rate-distortion objective")
    common = {"image_channels": channels, "code_channels": code_channels, "layers": layers}
    architecture: Architecture
    if model == "article":
        architecture = Convolutional(**common, filters=filters or 32)
    else:
        if filters is not None:
            raise OptionError("filters: they belong to the article's model")
        cells = rows * columns
        architecture = Dense(
            **common,
            rows=rows,
            columns=columns,
            filters=(*(24 for _ in range(layers - 1)), 40),
            elements=min(_DENSE_ELEMENTS, values, cells * code_channels),
            qualities=len(lambdas or ()),
        )
    return Settings(
        name=name or data.removesuffix(".npy").removesuffix(".npz").replace("/", "-"),
        objective=objective,
        architecture=architecture,
        lambdas=lambdas or (),
        epochs=_EPOCHS[objective] if epochs is None else epochs,
        learning_rate=_LEARNING_RATES[objective] if learning_rate is None else learning_rate,
        augment=(_AUGMENT if model == "dense" else 0.0) if augment is None else augment,
        **others,
    )


def spread(low: float, high: float, qualities: int) -> tuple[float, ...]:
    """Lambdas at equal ratios from ``low`` to ``high``, for so many qualities."""
    if qualities < 2:
        raise OptionError(f"qualities: expected at least 2 over a range of lambda, found {qualities}")
    if not 0 < low < high < math.inf:
        raise OptionError(f"lambda: expected a range of positive numbers, found {low:g}:{high:g}")
    return tuple(float(f"{value:.4g}") for value in np.geomspace(low, high, qualities))
