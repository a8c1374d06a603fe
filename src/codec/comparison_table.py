"""A comparison with image formats as lines that people read at a glance."""

import math
from collections.abc import Iterator, Sequence
from typing import TypedDict

from codec.comparison import Arrangement, PairPoint, PeerCurve

__all__ = ["Best", "best", "bytes_at_psnr", "comparison_lines"]

_LABELS = {"each": "", "sheet": " joint"}


class Best(TypedDict):
    """The format with the fewest bytes at a quality's PSNR, in one arrangement.

    ``ratio`` is the pair's bytes over the format's: of a packet for each image against a file for each, of
    one packet of all against all side by side in one picture.
    """

    name: str
    bytes_per_image: float
    ratio: float


def bytes_at_psnr(psnr: float, curves: Sequence[PeerCurve]) -> dict[str, dict[str, float | None]]:
    """By arrangement and name what each lossy format needs; None where it does not reach so far."""
    found: dict[str, dict[str, float | None]] = {"each": {}, "sheet": {}}
    for curve in curves:
        if not curve.lossless and curve.missing is None:
            found[curve.arrangement][curve.name] = curve.bytes_at(psnr)
    return found


def best(point: PairPoint, curves: Sequence[PeerCurve], arrangement: Arrangement) -> Best | None:
    """The best format at a quality's PSNR, or, where it is less, without loss; None where there is none."""
    sizes = [
        (size, curve.name)
        for curve in curves
        if curve.arrangement == arrangement and curve.missing is None
        for size in [curve.bytes_per_image[0] if curve.lossless else curve.bytes_at(point.psnr)]
        if size is not None
    ]
    if not sizes:
        return None
    size, name = min(sizes)
    own = point.each_bytes if arrangement == "each" else point.packet_bytes
    return Best(name=name, bytes_per_image=size, ratio=own / size)


def comparison_lines(
    points: Sequence[PairPoint], curves: Sequence[PeerCurve], shown: int, of: int
) -> Iterator[str]:
    """The table, and what there is to say of it.

    Args:
        shown, of: images that were measured, and how many there were.
    """
    sampled = f"{shown:,} images" + (f" of {of:,}, picked at random" if shown < of else "")
    yield ""
    yield f"Bytes an image at the same PSNR, on {sampled}:"
    lossy = [curve for curve in curves if not curve.lossless and curve.missing is None]
    yield _row("quality", "PSNR dB", "one packet", "each", [_head(curve) for curve in lossy], "each / best")
    for point in points:
        sizes = [_size(curve.bytes_at(point.psnr)) for curve in lossy]
        against = best(point, curves, "each")
        yield _row(
            str(point.quality),
            f"{point.psnr:.2f}" if math.isfinite(point.psnr) else "no loss",
            _size(point.packet_bytes),
            _size(point.each_bytes),
            sizes,
            "" if against is None else f"{against['ratio']:.0%} of {against['name']}",
        )
    yield "one packet: of all images; each: a packet for each image; formats: a file for each image,"
    yield "or, joint, all images side by side in one picture; -: no setting of the format is near."
    yield from _verdicts(points, curves)
    yield from _lossless(curves)
    for reason in dict.fromkeys(curve.missing for curve in curves if curve.missing is not None):
        yield f"Not measured: {reason}"


def _row(quality: str, psnr: str, packet: str, each: str, sizes: Sequence[str], verdict: str) -> str:
    cells = "  ".join(f"{size:>13}" for size in sizes)
    return f"{quality:>7}  {psnr:>7}  {packet:>10}  {each:>8}  {cells}  {verdict}".rstrip()


def _head(curve: PeerCurve) -> str:
    return f"{curve.name}{_LABELS[curve.arrangement]}"


def _size(size: float | None) -> str:
    return "-" if size is None else f"{size:,.1f}"


def _verdicts(points: Sequence[PairPoint], curves: Sequence[PeerCurve]) -> Iterator[str]:
    """A sentence for each arrangement: what share of the best format's bytes this pair needs."""
    arrangements: tuple[tuple[Arrangement, str, str], ...] = (
        ("each", "A packet for each image", "a file for each"),
        ("sheet", "One packet of all", "all side by side"),
    )
    for arrangement, ours, theirs in arrangements:
        found = [one for point in points if (one := best(point, curves, arrangement)) is not None]
        if found:
            ratios = sorted(one["ratio"] for one in found)
            span = " to ".join(dict.fromkeys(f"{ratio:.0%}" for ratio in (ratios[0], ratios[-1])))
            names = " or ".join(dict.fromkeys(one["name"] for one in found))
            yield f"{ours} needs {span} of the bytes of the best format, {theirs} ({names})."


def _lossless(curves: Sequence[PeerCurve]) -> Iterator[str]:
    for arrangement, how in (("each", "a file for each image"), ("sheet", "all side by side")):
        sizes = sorted(
            (curve.bytes_per_image[0], curve.name.removesuffix(" lossless"))
            for curve in curves
            if curve.lossless and curve.missing is None and curve.arrangement == arrangement
        )
        if sizes:
            yield f"Without loss, {how}: {', '.join(f'{name} {size:,.1f}' for size, name in sizes)}."
