"""How a whole set of images compares with what a bundle records of its domain, and a warning in a line."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec.domain import Domain, Spread

__all__ = ["DomainSummary", "summarise", "warning"]

_NOTABLE_SHARE = 0.01
"""Of images outside: among images of the domain it is one or two in a thousand."""
_NOTABLE_RATIO = 1.2
_NOTABLE_ERRORS = 4
"""How many standard errors a mean must lie above the recorded one, besides: few images vary by chance."""


@dataclass(frozen=True)
class DomainSummary:
    """One quality on a set of images, against the record.

    Attributes:
        quality: index into the pair's qualities.
        rate_ratio: mean bits a pixel over the recorded mean; None where that is 0.
        error_ratio: the same of the squared error.
        outside_rate, outside_appearance, outside_distortion: shares of the images beyond each limit.
        outside: share beyond any.
        notable: whether it is worth a warning.
    """

    quality: int
    rate_ratio: float | None
    error_ratio: float | None
    outside_rate: float
    outside_appearance: float
    outside_distortion: float
    outside: float
    notable: bool


def summarise(
    domain: Domain,
    quality: int,
    bits_per_pixel: NDArray[np.float64],
    distance: NDArray[np.float64],
    errors: NDArray[np.float64],
) -> DomainSummary:
    """The summary of images at a quality.

    Args:
        bits_per_pixel, distance, errors: of each image, float64 [N]; the errors are mean squared ones on the
            scale of 0 to 1.
    """
    rate, error = domain.bits_per_pixel[quality], domain.squared_error[quality]
    beyond = np.stack([bits_per_pixel > rate.limit, distance > domain.distance.limit, errors > error.limit])
    by_rate, by_look, by_error = beyond.mean(1).tolist()
    outside = float(beyond.any(0).mean())
    notable = outside > _NOTABLE_SHARE or _higher(bits_per_pixel, rate) or _higher(errors, error)
    return DomainSummary(
        quality,
        _ratio(bits_per_pixel, rate),
        _ratio(errors, error),
        by_rate,
        by_look,
        by_error,
        outside,
        bool(notable),
    )


def _ratio(values: NDArray[np.float64], recorded: Spread) -> float | None:
    return float(values.mean()) / recorded.mean if recorded.mean > 0 else None


def _higher(values: NDArray[np.float64], recorded: Spread) -> bool:
    """Whether the mean of ``values`` is notably above the recorded one."""
    mean = float(values.mean())
    by_chance = _NOTABLE_ERRORS * recorded.deviation / math.sqrt(len(values))
    return mean > _NOTABLE_RATIO * recorded.mean and mean > recorded.mean + by_chance


def warning(summaries: Iterable[DomainSummary]) -> str | None:
    """A line that warns of the quality with the most images outside; None where none is worth one."""
    notable = [one for one in summaries if one.notable]
    if not notable:
        return None
    worst = max(notable, key=lambda one: (one.outside, one.rate_ratio or 0))
    parts = (
        _times("rate", worst.rate_ratio, worst.outside_rate),
        _times("squared error", worst.error_ratio, worst.outside_distortion),
        f"appearance ({worst.outside_appearance:.1%} outside)",
    )
    return (
        f"warning: at quality {worst.quality} {', '.join(parts)}: {worst.outside:.1%} of these images are "
        "unlike those the pair was trained on"
    )


def _times(name: str, ratio: float | None, share: float) -> str:
    times = "" if ratio is None else f" {ratio:.1f} times the recorded mean"
    return f"{name}{times} ({share:.1%} outside)"
