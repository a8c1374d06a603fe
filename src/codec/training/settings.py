"""The settings of one training run: what the command line sets, checkpoints compare and bundles record."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.architecture import Architecture, Convolutional, Dense, Residual, Upsampling
from codec.errors import DatasetError, OptionError
from codec.noise import noisy

__all__ = [
    "LOSS_NAMES",
    "MODELS",
    "OBJECTIVES",
    "OPTIMISERS",
    "Settings",
    "model_for",
    "settings_for",
    "spread",
]

MODELS = ("dense", "residual", "article", "denoise")
OBJECTIVES = ("rate-distortion", "distortion")
LOSS_NAMES = ("bce", "mse", "l1")
OPTIMISERS = ("adam", "adadelta")

LAMBDAS = (3e3, 9e5)
"""Weights of the distortion that span 20 to 34 dB on MNIST; other image sizes scale them by their values."""
QUALITIES = 10
_MNIST_VALUES = 784
_MOST_DENSE_VALUES = 1 << 14
"""Pixel values, after padding, above which dense layers over the whole image make no sense."""
_CHOSEN_DENSE_VALUES = 1 << 10
"""Pixel values, after padding, up to which dense layers are chosen: 32x32 grey."""
_IMAGES_PER_VALUE = 4
"""Training images for each pixel value that dense layers want; fewer they learn by heart."""
MOST_RATED_CODES = 1 << 12
"""Code values above which a context model that sees them all is no sensible choice."""
_DENSE_ELEMENTS = 392
_CODE_CHANNELS = 32
_STEPS = {"dense": 25_740, "residual": 15_000, "article": 25_740, "denoise": 25_740}
"""Of the rate-distortion objective where the epochs are left out: at most an hour on two cores."""
_MOST_EPOCHS = 200
_ARTICLE_EPOCHS = 50
_DENOISE_EPOCHS, _DENOISE_NOISE = 10, (0.5, 0.5)
_BATCH = 128
_BATCH_PIXELS, _LEAST_BATCH = 1 << 17, 8
"""Pixels in one step of the residual model, whose batches are smaller for large images: as 128 of 32x32."""
_AUGMENT = 0.3
"""For dense layers over the whole image, which learn their training images by heart."""
_LEARNING_RATES = {"rate-distortion": 2e-3, "distortion": 1e-3}
_ADADELTA_RATE = 1.0
"""Adadelta finds the size of its steps itself, and takes them as they are."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides what a run computes, its images apart; ``settings_for`` fills in what they decide.

    Attributes:
        name: of the pair.
        objective: one of ``OBJECTIVES``: rate and distortion at once, or distortion alone.
        architecture: the two networks.
        epochs: passes over the training images; they are also the length of the rate-distortion schedule.
        batch_size: images in one step; an incomplete last batch is left out, of other images each epoch.
        learning_rate: the optimiser's, at its highest.
        optimiser: one of ``OPTIMISERS``; rate and distortion are trained with Adam.
        noise: least and largest standard deviation of Gaussian noise on the input, clipped to 0..1; drawn
            for each image, the target stays clean.
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
    optimiser: str = "adam"
    noise: tuple[float, float] = (0.0, 0.0)
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
        if self.optimiser not in OPTIMISERS:
            raise OptionError(f"optimiser: expected one of {', '.join(OPTIMISERS)}, found {self.optimiser!r}")
        if self.optimiser != "adam" and self.objective == "rate-distortion":
            raise OptionError(
                f"optimiser: rate and distortion are trained with adam only, found {self.optimiser}"
            )
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name}: expected at least 1, found {getattr(self, name)}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise OptionError(f"learning rate: expected a positive number, found {self.learning_rate}")
        noise: Any = self.noise
        if not (isinstance(noise, tuple) and len(noise) == 2):
            raise OptionError(f"noise: expected the least and the largest, found {noise!r}")
        least, most = self.noise
        if not 0 <= least <= most < math.inf:
            raise OptionError(f"noise: expected 0 or more, or a rising range, found {least:g}:{most:g}")
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
        if isinstance(self.architecture, Dense | Residual):
            if not rated:
                raise OptionError(
                    f"objective: the {self.architecture.kind} model is trained for rate and distortion only"
                )
            if self.architecture.qualities != len(self.lambdas):
                raise OptionError(
                    f"lambda: expected {self.architecture.qualities}, one a quality, "
                    f"found {len(self.lambdas)}"
                )

    def noised(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 ``images`` [N, H, W, C] with the noise of the run: the same at each call."""
        if not any(self.noise):
            return images
        deviations = np.random.default_rng([self.seed, 2]).uniform(*self.noise, len(images))
        return noisy(images, deviations, [self.seed, 3])

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values."""
        return asdict(self) | {
            "architecture": self.architecture.to_dict(),
            "lambdas": list(self.lambdas),
            "noise": list(self.noise),
        }


def model_for(
    images: NDArray[np.uint8], objective: str, layers: int = 2, *, any_size: bool = False
) -> tuple[str, str]:
    """The model that suits uint8 ``images`` [N, H, W, C], one of ``MODELS``, and why, in a sentence.

    Args:
        images: of which only the shape counts.
        objective: one of ``OBJECTIVES``.
        layers: of the networks.
        any_size: whether they are tiles of pictures of any size.
    """
    if objective == "distortion":
        return "article", "no other is trained for distortion alone"
    if any_size:
        return "residual", "the images are tiles of pictures that may have any size"
    count, values = len(images), _padded_values(images, layers)
    least = _IMAGES_PER_VALUE * values
    if values > _CHOSEN_DENSE_VALUES:
        return (
            "residual",
            f"images of {values:,} values are too large for dense layers, which suit up to "
            f"{_CHOSEN_DENSE_VALUES:,}",
        )
    if count < least:
        return "residual", f"{count:,} images are too few for dense layers, which want {least:,} of this size"
    return "dense", f"{count:,} images of {values:,} values are enough for dense layers"


def _padded_values(images: NDArray[np.uint8], layers: int) -> int:
    """Values of one of the images after it is padded to whole cells."""
    height, width = (-(-side >> layers) << layers for side in images.shape[1:3])
    return int(height * width * images.shape[3])


def settings_for(
    images: NDArray[np.uint8],
    data: str,
    *,
    model: str | None = None,
    objective: str | None = None,
    name: str | None = None,
    lambdas: tuple[float, ...] | None = None,
    qualities: int | None = None,
    code_channels: int | None = None,
    layers: int = 2,
    filters: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    optimiser: str | None = None,
    augment: float | None = None,
    noise: tuple[float, float] | None = None,
    any_size: bool = False,
    **others: Any,
) -> Settings:
    """Settings for training on uint8 ``images`` [N, H, W, C] from ``data``; what is None is chosen here.

    Args:
        any_size: whether the images are tiles of pictures of any size.

    Raises:
        OptionError: a value out of range, or options that do not go together.
        DatasetError: no network takes images of this shape.
    """
    if model is not None and model not in MODELS:
        raise OptionError(f"model: expected one of {', '.join(MODELS)}, found {model!r}")
    objective = objective or _default_objective(model)
    if objective not in OBJECTIVES:
        raise OptionError(f"objective: expected one of {', '.join(OBJECTIVES)}, found {objective!r}")
    if model not in (None, "article", "denoise") and objective == "distortion":
        raise OptionError(f"objective: the {model} model is trained for rate and distortion only")
    channels = images.shape[3]
    if not 1 <= channels <= 4:
        raise DatasetError(
            f"{data}: expected images of 1 to 4 channels, found {channels}; leave out or join channels "
            "before training"
        )
    Convolutional(layers=layers)  # raises where they are out of range, before they size anything
    model = model or model_for(images, objective, layers, any_size=any_size)[0]
    values = _padded_values(images, layers)
    if model == "dense" and values > _MOST_DENSE_VALUES:
        raise OptionError(
            f"model: dense takes images of at most {_MOST_DENSE_VALUES:,} values, found {values:,}; "
            "use --model residual, or crop the images"
        )
    rated = objective == "rate-distortion"
    if rated:
        if lambdas is None:
            low, high = (bound * values / _MNIST_VALUES for bound in LAMBDAS)
            lambdas = spread(low, high, QUALITIES if qualities is None else qualities)
        if qualities is not None and qualities != len(lambdas):
            raise OptionError(f"lambda: expected {qualities}, one a quality, found {len(lambdas)}")
    elif lambdas or qualities:
        raise OptionError("lambda and qualities: they belong to the rate-distortion objective")
    architecture = _architecture(model, images, code_channels, layers, filters, len(lambdas or ()))
    if isinstance(architecture, Convolutional) and rated:
        codes = architecture.code_shape(*images.shape[1:3])
        if math.prod(codes) > MOST_RATED_CODES:
            whose = "article's" if model == "article" else model
            raise OptionError(
                f"objective: rate-distortion takes codes of at most {MOST_RATED_CODES:,} values with the "
                f"{whose} model, found {codes[0]}x{codes[1]}x{codes[2]}; use --model residual, crop the "
                "images, lower --code-channels, or add --objective distortion"
            )
    if batch_size is None:
        batch_size = _batch_size(images) if model == "residual" else _BATCH
    if epochs is None:
        in_epoch = max(1, len(images) // max(1, batch_size))
        alone = _DENOISE_EPOCHS if model == "denoise" else _ARTICLE_EPOCHS
        epochs = max(1, min(_MOST_EPOCHS, round(_STEPS[model] / in_epoch))) if rated else alone
    if optimiser is None:
        optimiser = "adadelta" if model == "denoise" and not rated else "adam"
    if learning_rate is None:
        learning_rate = _ADADELTA_RATE if optimiser == "adadelta" else _LEARNING_RATES[objective]
    if noise is None:
        noise = _DENOISE_NOISE if model == "denoise" else (0.0, 0.0)
    return Settings(
        name=name or data.removesuffix(".npy").removesuffix(".npz").replace("/", "-"),
        objective=objective,
        architecture=architecture,
        lambdas=lambdas or (),
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        optimiser=optimiser,
        noise=noise,
        augment=(_AUGMENT if model == "dense" else 0.0) if augment is None else augment,
        **others,
    )


def _default_objective(model: str | None) -> str:
    """The objective where none is named: the tutorial that cleans noisy digits knows nothing of rate."""
    return "distortion" if model == "denoise" else OBJECTIVES[0]


def _batch_size(images: NDArray[np.uint8]) -> int:
    """Images in one step of the residual model: fewer of large ones, and never more than there are."""
    count, height, width, _ = images.shape
    return int(max(1, min(_BATCH, max(_LEAST_BATCH, _BATCH_PIXELS // (height * width)), count)))


def _architecture(
    model: str,
    images: NDArray[np.uint8],
    code_channels: int | None,
    layers: int,
    filters: int | None,
    qualities: int,
) -> Architecture:
    """The networks of a model for uint8 ``images`` [N, H, W, C]."""
    _, height, width, channels = images.shape
    rows, columns = (-(-side >> layers) for side in (height, width))
    if model in ("article", "denoise"):
        return (Convolutional if model == "article" else Upsampling)(
            image_channels=channels,
            code_channels=_CODE_CHANNELS if code_channels is None else code_channels,
            layers=layers,
            filters=32 if filters is None else filters,
        )
    if model == "residual":
        most = channels << 2 * layers
        if code_channels is not None and code_channels > most:
            raise OptionError(
                f"code channels: the residual model takes at most {most}, the values of "
                f"{1 << layers}x{1 << layers} pixels, found {code_channels}"
            )
        return Residual(
            image_channels=channels,
            # Of grey blocks all values; of coloured ones those that matter: the finest colours hardly do.
            code_channels=min(_CODE_CHANNELS, most) if code_channels is None else code_channels,
            layers=layers,
            filters=128 if filters is None else filters,
            qualities=qualities,
        )
    if filters is not None:
        raise OptionError(
            "filters: they belong to the models of convolutions alone: article, denoise and residual"
        )
    code_channels = _CODE_CHANNELS if code_channels is None else code_channels
    return Dense(
        image_channels=channels,
        code_channels=code_channels,
        layers=layers,
        rows=rows,
        columns=columns,
        filters=(*(24 for _ in range(layers - 1)), 40),
        elements=min(_DENSE_ELEMENTS, _padded_values(images, layers), rows * columns * code_channels),
        qualities=qualities,
    )


def spread(low: float, high: float, qualities: int) -> tuple[float, ...]:
    """Lambdas at equal ratios from ``low`` to ``high``, for so many qualities."""
    if qualities < 2:
        raise OptionError(f"qualities: expected at least 2 over a range of lambda, found {qualities}")
    if not 0 < low < high < math.inf:
        raise OptionError(f"lambda: expected a range of positive numbers, found {low:g}:{high:g}")
    return tuple(float(f"{value:.4g}") for value in np.geomspace(low, high, qualities))
