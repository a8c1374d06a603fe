"""What ``codec evaluate`` does: measures a pair on images, holds it against image formats and its own record.

What enters: both halves and uint8 images [N, H, W, C]. What leaves: tables on standard output, or JSON, an
object a line, as ``docs/evaluating.md`` has it; a warning on standard error; a chart.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.comparison import PairPoint, PeerCurve, measure_pair, measure_peers, sample
from codec.comparison_table import best, bytes_at_psnr, comparison_lines
from codec.decoder import Decoder
from codec.domain import Domain, read_domain
from codec.domain_summary import DomainSummary, summarise, warning
from codec.encoder import Encoder
from codec.errors import BundleError, OptionError
from codec.evaluation import Measurement, evaluate, image_errors, pixel_errors, psnr
from codec.inspection import json_values
from codec.noise import noisy
from codec.terminal import say, tell

__all__ = ["Noise", "report"]


@dataclass(frozen=True)
class Noise:
    """Gaussian noise as ``codec.noise.noisy`` makes it.

    Attributes:
        deviation: standard deviation, on the scale of 0 to 1.
        seed: of the noise.
    """

    deviation: float
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.deviation < math.inf:
            raise OptionError(f"--noise: expected 0 or more, found {self.deviation}")


_HEAD = "quality  bytes/image  bits/pixel  PSNR dB     MAE  encode/s  decode/s"


def report(
    encoder: Encoder,
    decoder: Decoder,
    images: NDArray[np.uint8],
    qualities: Sequence[int],
    *,
    effort: int = 0,
    noise: Noise | None = None,
    formats: bool = True,
    count: int | None = None,
    plot: Path | None = None,
    as_json: bool = False,
) -> None:
    """Measure and print.

    Args:
        noise: that the images are encoded with; errors are counted from the images without it.
        formats: whether image formats are measured too.
        count: images that they are measured on, at the most; None is ``codec.comparison.sample``'s choice.
        plot: where a chart of them goes.
    """
    if plot is not None:
        from codec.comparison_chart import draw  # told before any work if matplotlib is missing
    targets = _measurable(images, encoder)
    images = targets if noise is None else noisy(targets, noise.deviation, noise.seed)
    domain = _domain(encoder)
    summaries: list[DomainSummary] = []
    measured: list[Measurement] = []
    distances: list[NDArray[np.float64]] = []  # of images that the encoder has taken

    def compare(quality: int, decoded: NDArray[np.uint8]) -> None:
        if domain is not None:
            if not distances:
                distances.append(domain.appearance.distance(images))
            bits = encoder.image_bits(images, quality=quality) / (images.shape[1] * images.shape[2])
            errors = image_errors(targets, decoded)
            summaries.append(summarise(domain, quality, bits, distances[0], errors))

    if not as_json:
        say(_HEAD)
    for m in evaluate(encoder, decoder, images, qualities, effort, on_decoded=compare, targets=targets):
        measured.append(m)
        if not as_json:
            say(_line(m))
    beside: list[dict[str, Any] | None] = [None] * len(measured)
    if noise is not None:
        without = list(evaluate(encoder, decoder, targets, qualities, effort))
        before = psnr(pixel_errors(targets, images)[0])
        beside = [
            {
                **asdict(noise),
                "input_psnr": before,
                "clean_bytes_per_image": clean.bytes_per_image,
                "clean_psnr": clean.psnr,
            }
            for clean in without
        ]
        if not as_json:
            for line in _noise_lines(noise, before, measured, without):
                say(line)
    points, curves = [], []
    if formats:
        shown = sample(images, count)
        points = list(measure_pair(encoder, decoder, shown, qualities, effort))
        curves = list(measure_peers(shown, [point.psnr for point in points]))
        if not as_json:
            for line in comparison_lines(points, curves, len(shown), len(images)):
                say(line)
        if plot is not None:
            draw(points, curves, f"{encoder.bundle.name}, {len(shown):,} images", plot)
    if as_json:
        for values in _objects(measured, beside, points, curves, summaries):
            say(json.dumps(json_values(values), allow_nan=False))
    text = warning(summaries)
    if text is not None:
        tell(text)


def _measurable(images: NDArray[np.uint8], encoder: Encoder) -> NDArray[np.uint8]:
    """Images as many as one packet may hold, evenly picked; a line tells where that is not all."""
    pixels = encoder.bundle.pair.architecture.padded_pixels(*images.shape[1:3])
    most = max(1, encoder.limits.packet_pixels // pixels)
    if len(images) <= most:
        return images
    tell(f"measuring {most:,} of {len(images):,} images, as many as one packet may hold")
    return images[np.linspace(0, len(images) - 1, most).astype(np.intp)]


def _domain(encoder: Encoder) -> Domain | None:
    """The pair's record; of a pair without one a line tells how to get it."""
    try:
        return read_domain(encoder.bundle)
    except BundleError as error:
        tell(f"no word on whether these images are of the pair's domain: {error}")
        return None


def _line(m: Measurement) -> str:
    return (
        f"{m.quality:7}  {m.bytes_per_image:11.2f}  {m.bits_per_pixel:10.4f}  {m.psnr:7.2f}  "
        f"{m.mae:6.4f}  {m.encode_images_per_s:8,.0f}  {m.decode_images_per_s:8,.0f}"
    )


def _noise_lines(
    noise: Noise, before: float, measured: Sequence[Measurement], without: Sequence[Measurement]
) -> Iterator[str]:
    """What the noise costs: each quality beside itself on the images without it."""
    yield ""
    yield (
        f"noise of standard deviation {noise.deviation:g} leaves the images {before:.2f} dB; "
        "PSNR counts from the images without it"
    )
    yield "quality  bytes/image  without noise   more  PSNR dB  without noise"
    for m, clean in zip(measured, without, strict=True):
        yield (
            f"{m.quality:7}  {m.bytes_per_image:11.2f}  {clean.bytes_per_image:13.2f}  "
            f"{m.bytes_per_image / clean.bytes_per_image - 1:+5.0%}  {m.psnr:7.2f}  {clean.psnr:13.2f}"
        )


def _objects(
    measured: Sequence[Measurement],
    noises: Sequence[dict[str, Any] | None],
    points: Sequence[PairPoint],
    curves: Sequence[PeerCurve],
    summaries: Sequence[DomainSummary],
) -> list[dict[str, Any]]:
    """An object for each quality, then one for each format and arrangement."""
    by_quality = {summary.quality: asdict(summary) for summary in summaries}
    compared = {
        point.quality: {
            **asdict(point),
            "bytes_at_psnr": bytes_at_psnr(point.psnr, curves),
            "best": {how: best(point, curves, how) for how in ("each", "sheet")},
        }
        for point in points
    }
    return [
        *(
            {
                "kind": "quality",
                **asdict(m),
                "noise": noise,
                "formats": compared.get(m.quality),
                "domain": by_quality.get(m.quality),
            }
            for m, noise in zip(measured, noises, strict=True)
        ),
        *({"kind": "format", **asdict(curve)} for curve in curves),
    ]
