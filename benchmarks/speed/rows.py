"""The rows of the results. Runs are warm; "low" and "high" are the least and the greatest of them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

__all__ = [
    "Ceiling",
    "ColdStart",
    "Epoch",
    "Failure",
    "Growth",
    "GrowthFailure",
    "Latency",
    "Memory",
    "PartFailure",
    "Size",
    "Throughput",
    "Training",
    "plain",
]


@dataclass(frozen=True)
class Throughput:
    """Images a second of one codec; with several peers there is a row for each.

    Attributes:
        work: encode, decode, analysis or synthesis.
        batch: images given at once.
        threads: processor cores that the process may use.
        setting: quality and the like.
        ratio_to: the peer measured in turn with it; None where there is none.
        ratio: how many times as fast as the peer; the median of the runs' own ratios.
    """

    codec: str
    work: str
    batch: int
    threads: int
    setting: str
    images_per_s: float
    images_per_s_low: float
    images_per_s_high: float
    runs: int
    ratio_to: str | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None


@dataclass(frozen=True)
class Failure:
    """A codec that could not be measured, and why."""

    codec: str
    work: str
    error: str


@dataclass(frozen=True)
class Latency:
    """One image in a warm process."""

    codec: str
    work: str
    setting: str
    p50_ms: float
    p99_ms: float
    calls: int


@dataclass(frozen=True)
class ColdStart:
    """A whole process, from its start to its end. A ratio above 1 is faster than ``ratio_to``."""

    what: str
    median_s: float
    low_s: float
    high_s: float
    runs: int
    ratio_to: str | None = None
    ratio: float | None = None


@dataclass(frozen=True)
class Training:
    """One training step. A ratio above 1 is faster than ``ratio_to``."""

    what: str
    median_ms: float
    low_ms: float
    high_ms: float
    runs: int
    ratio_to: str | None = None
    ratio: float | None = None


@dataclass(frozen=True)
class Epoch:
    """All steps over the training images once, estimated from the time of a step in each phase."""

    what: str
    median_s: float
    low_s: float
    high_s: float
    runs: int


@dataclass(frozen=True)
class Memory:
    """The most memory that a process ever had resident."""

    what: str
    peak_mib: float


@dataclass(frozen=True)
class Size:
    """A file that ships with the package."""

    what: str
    bytes: int


@dataclass(frozen=True)
class Ceiling:
    """How near one half comes to the machine's matrix product.

    Attributes:
        batch: images given at once; of those that were tried, the one with the most images a second. share:
        multiply-adds a second of the half over those of the product, both measured in turn: the median.
        matrix_product_gmacs_per_s: thousand millions of multiply-adds a second, float32.
    """

    what: str
    batch: int
    threads: int
    multiply_adds_per_image: int
    images_per_s: float
    share: float
    share_low: float
    share_high: float
    matrix_product_gmacs_per_s: float
    runs: int


@dataclass(frozen=True)
class Growth:
    """So many images streamed by one process. The time is without starting and compiling."""

    codec: str
    images: int
    work: str
    seconds: float
    images_per_s: float
    peak_mib: float


@dataclass(frozen=True)
class GrowthFailure:
    """A number of images that was not streamed, and why."""

    codec: str
    images: int
    work: str
    error: str


@dataclass(frozen=True)
class PartFailure:
    """Anything else that could not be measured, and why."""

    what: str
    error: str


def plain(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """Rows as plain values."""
    return [asdict(row) for row in rows]
