"""What ``codec evaluate`` does: measures a pair on images, holds it against image formats and its own record.

What enters: both halves and uint8 images [N, H, W, C]. What leaves: tables on standard output, or JSON, an
object a line, as ``docs/evaluating.md`` has it; a warning on standard error; a chart.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
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
from codec.errors import BundleError
from codec.evaluation import Measurement, evaluate, image_errors
from codec.inspection import json_values
from codec.terminal import say, tell

__all__ = ["report"]

_HEAD = "quality  bytes/image  bits/pixel  PSNR dB     MAE  encode/s  decode/s"


def report(
    encoder: Encoder,
    decoder: Decoder,
    images: NDArray[np.uint8],
    qualities: Sequence[int],
    *,
    effort: int = 0,
    formats: bool = True,
    count: int | None = None,
    plot: Path | None = None,
    as_json: bool = False,
) -> None:
    """Measure and print.

    Args:
        formats: whether image formats are measured too.
        count: images that they are measured on, at the most; None is ``codec.comparison.sample``'s choice.
        plot: where a chart of them goes.
    """
    if plot is not None:
        from codec.comparison_chart import draw  # told before any work if matplotlib is missing
    images = _measurable(images, encoder)
    domain = _domain(encoder)
    summaries: list[DomainSummary] = []
    measured: list[Measurement] = []
    distances = None if domain is None else domain.appearance.distance(images)

    def compare(quality: int, decoded: NDArray[np.uint8]) -> None:
        if domain is not None and distances is not None:
            bits = encoder.image_bits(images, quality=quality) / (images.shape[1] * images.shape[2])
            errors = image_errors(images, decoded)
            summaries.append(summarise(domain, quality, bits, distances, errors))

    if not as_json:
        say(_HEAD)
    for m in evaluate(encoder, decoder, images, qualities, effort, on_decoded=compare):
        measured.append(m)
        if not as_json:
            say(_line(m))
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
        for values in _objects(measured, points, curves, summaries):
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


def _objects(
    measured: Sequence[Measurement],
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
                "formats": compared.get(m.quality),
                "domain": by_quality.get(m.quality),
            }
            for m in measured
        ),
        *({"kind": "format", **asdict(curve)} for curve in curves),
    ]
