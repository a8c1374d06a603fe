"""Whether images are such as a pair was trained for: what a bundle records of its domain, held against them.

The record is made at export, on validation images, and stands in the provenance of the encoder's bundle; see
``docs/evaluating.md``. An image lies outside in rate if its symbols take more bits a pixel than the record's
limit, and in appearance if it looks unlike the training images (``codec.appearance``). The sender sees no
distortion; where a decoder is at hand, the squared error has its limit too.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from reprlib import repr as short
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.appearance import FIGURES, Appearance
from codec.bundle import Bundle
from codec.errors import BundleError

__all__ = ["Domain", "ImageReport", "Spread", "read_domain"]

_LEVELS = {"1%": 0.01, "50%": 0.5, "99%": 0.99, "99.9%": 0.999, "99.95%": 0.9995, "most": 1.0}
_BEYOND = 1.41
"""Of a normal distribution: from its median to its quantile of 99.95 %, over the way to that of 99 %."""


@dataclass(frozen=True)
class Spread:
    """How a figure is spread over the images of a domain.

    Attributes:
        mean, deviation: over the images; the second is the standard deviation.
        quantiles: by their names in the record: 1%, 50%, 99%, 99.9%, 99.95%, most.
    """

    mean: float
    deviation: float
    quantiles: Mapping[str, float]

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> "Spread":
        """That of float64 ``values`` [N], to six digits."""
        found = np.quantile(values, list(_LEVELS.values())).tolist()
        rounded = [float(f"{value:.6g}") for value in (values.mean(), values.std(), *found)]
        return cls(rounded[0], rounded[1], dict(zip(_LEVELS, rounded[2:], strict=True)))

    def to_record(self) -> dict[str, float]:
        """Plain values, as a bundle's provenance holds them."""
        return {"mean": self.mean, "deviation": self.deviation, **self.quantiles}

    @property
    def median(self) -> float:
        return self.quantiles["50%"]

    @property
    def limit(self) -> float:
        """What about one image in two thousand of the domain exceeds.

        The recorded quantile of 99.95 %, or, as the greatest of few images says little, as far beyond the one
        of 99 % as it would be if the logarithm were normally distributed: the larger.
        """
        half, most = self.median, self.quantiles["99%"]
        beyond = most
        if half > 0:  # a stranger's numbers must not overflow
            beyond = half * math.exp(min(_BEYOND * math.log(most / half), 700))
        return max(beyond, self.quantiles["99.95%"])


@dataclass(frozen=True)
class ImageReport:
    """Where one image lies.

    Attributes:
        bits_per_pixel: of its symbols.
        distance: of its appearance from the training images'.
        outside: in what it lies outside, in words: ``rate 0.91 bits a pixel, 3.1 times the recorded median``.
            Empty for an image of the domain.
    """

    bits_per_pixel: float
    distance: float
    outside: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Domain:
    """The record of a bundle.

    Attributes:
        images: which and how many it was made of, in words.
        appearance: of the training images.
        distance: of validation images from it.
        bits_per_pixel, squared_error: for each quality; the error is the mean over an image's pixels, on the
            scale of 0 to 1.
    """

    images: str
    appearance: Appearance
    distance: Spread
    bits_per_pixel: tuple[Spread, ...]
    squared_error: tuple[Spread, ...]

    def to_record(self) -> dict[str, Any]:
        """Plain values, as a bundle's provenance holds them."""
        return {
            "images": self.images,
            "appearance": self.appearance.to_record(),
            "distance": self.distance.to_record(),
            "bits_per_pixel": [spread.to_record() for spread in self.bits_per_pixel],
            "squared_error": [spread.to_record() for spread in self.squared_error],
        }

    def reports(
        self, images: NDArray[np.uint8], bits: NDArray[np.float64], quality: int
    ) -> Iterator[ImageReport]:
        """Of each of uint8 ``images`` [N, H, W, C], whose symbols at a quality take float64 ``bits`` [N]."""
        rate, distance = self.bits_per_pixel[quality], self.distance
        rates = bits / (images.shape[1] * images.shape[2])
        for bpp, far in zip(rates.tolist(), self.appearance.distance(images).tolist(), strict=True):
            outside = []
            if bpp > rate.limit:
                outside.append(f"rate {bpp:.3g} bits a pixel{_times(bpp, rate.median)}")
            if far > distance.limit:
                outside.append(
                    f"appearance, at a distance of {far:.3g}{_times(far, distance.median)} "
                    f"(the limit is {distance.limit:.3g})"
                )
            yield ImageReport(bpp, far, tuple(outside))


def _times(value: float, median: float) -> str:
    return f", {value / median:.1f} times the recorded median" if median > 0 else ""


def read_domain(bundle: Bundle) -> Domain:
    """The record in a bundle's provenance, which anyone may have written: all of it is checked.

    Raises:
        BundleError: there is none, or it is not as this version writes it.
    """
    where = f"{bundle.side} {short(bundle.name)}"
    record = bundle.provenance.get("domain")
    if record is None:
        raise BundleError(
            f"{where}: expected a record of the pair's domain, found none; python -m codec.training.domain "
            "makes one from the images the pair was trained on, and codec train puts it into new pairs"
        )
    pair = bundle.pair
    size = FIGURES * pair.architecture.image_channels
    try:
        look = record["appearance"]
        domain = Domain(
            str(record["images"]),
            Appearance(_floats(look["mean"], (size,)), _floats(look["precision"], (size, size))),
            _spread(record["distance"]),
            tuple(map(_spread, record["bits_per_pixel"])),
            tuple(map(_spread, record["squared_error"])),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BundleError(f"{where}: damaged record of the pair's domain: {short(error)}") from None
    found = {len(domain.bits_per_pixel), len(domain.squared_error)}
    if found != {pair.qualities}:
        raise BundleError(
            f"{where}: expected a record of {pair.qualities} qualities, found {sorted(found)}; "
            "make it anew with python -m codec.training.domain"
        )
    return domain


def _floats(values: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = np.array(values, np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"expected finite numbers {list(shape)}, found {list(array.shape)}")
    return array


def _spread(values: Any) -> Spread:
    names = ("mean", "deviation", *_LEVELS)
    mean, deviation, *quantiles = _floats([values[name] for name in names], (len(names),)).tolist()
    if quantiles != sorted(quantiles) or quantiles[0] < 0:
        raise ValueError(f"expected rising quantiles of at least 0, found {quantiles}")
    return Spread(mean, deviation, dict(zip(_LEVELS, quantiles, strict=True)))
