"""Charts as inline SVG: rate and distortion with a legend of switches, and bars.

What enters: curves, or labelled values. What leaves: HTML that needs ``webpage``'s style and script for its
colours and switches, and nothing else.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.curves import Curve, arrangement_of

COLOURS = 7
"""How many series colours, ``--series-0`` and on, the page's style has to define."""
_MARKERS = {
    "circle": '<circle r="4"/>',
    "square": '<rect x="-3.6" y="-3.6" width="7.2" height="7.2"/>',
    "triangle": '<path d="M0-4.8 4.6 3.6-4.6 3.6Z"/>',
    "diamond": '<path d="M0-5.2 5.2 0 0 5.2-5.2 0Z"/>',
    "cross": '<path d="M-4-4 4 4M-4 4 4-4" class="open"/>',
}
_EACH_DASHES = "6 4"
_WIDTH, _HEIGHT = 900, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 884, 40, 468
_TICKS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 2000, 5000)
_TICK_SPACE = 28
"""Pixels that two marks of the axis of bytes are apart at the least."""


@dataclass(frozen=True)
class _Scale:
    """Bytes an image and PSNR to places in the chart; bytes on a logarithmic axis."""

    least_bytes: float
    most_bytes: float
    least_db: float
    most_db: float

    def x(self, size: float) -> float:
        share = math.log(size / self.least_bytes) / math.log(self.most_bytes / self.least_bytes)
        return _LEFT + share * (_RIGHT - _LEFT)

    def y(self, psnr: float) -> float:
        return _BOTTOM - (psnr - self.least_db) / (self.most_db - self.least_db) * (_BOTTOM - _TOP)


def _scale(curves: Sequence[Curve]) -> _Scale:
    """Room for every measurement around what the pairs reach; of what is far beyond it, a part."""
    lossy = [one for one in curves if not one.lossless]
    of_interest = [one for one in lossy if one.kind == "pair"] or lossy
    psnrs = [psnr for one in of_interest for psnr in one.psnr] or [20.0, 40.0]
    least, most = math.floor(min(psnrs)) - 1, math.ceil(max(psnrs)) + 3
    inside = [
        size
        for one in curves
        for size, psnr in zip(one.bytes_per_image, one.psnr, strict=True)
        if one.lossless or least <= psnr <= most
    ]
    return _Scale(min(inside) * 0.9, max(inside) * 1.1, least, most)


def _clipped(one: Curve, scale: _Scale) -> list[tuple[float, float]]:
    """Where a lossy curve's line turns, in pixels, cut off at the lower and the upper edge."""
    if one.psnr[-1] < scale.least_db or one.psnr[0] > scale.most_db:
        return []
    edges = [psnr for psnr in (scale.least_db, scale.most_db) if one.psnr[0] < psnr < one.psnr[-1]]
    inside = [psnr for psnr in one.psnr if scale.least_db <= psnr <= scale.most_db]
    turns = [(size, psnr) for size, psnr in zip(one.bytes_per_image, one.psnr, strict=True) if psnr in inside]
    turns += [(one.bytes_at(psnr) or 0, psnr) for psnr in edges]
    return [(scale.x(size), scale.y(psnr)) for size, psnr in sorted(turns, key=lambda turn: turn[1])]


def _tip(one: Curve, at: int) -> str:
    setting = f"{one.settings[at]}: " if one.settings else ""
    distortion = "lossless" if one.lossless else f"{one.psnr[at]:.2f} dB"
    arrangement = arrangement_of(one.kind, one.arrangement)
    return f"{one.name}, {arrangement}; {setting}{one.bytes_per_image[at]:.1f} bytes an image, {distortion}"


def _dashes(one: Curve) -> str:
    return _EACH_DASHES if one.arrangement == "each" else "none"


def _marker(name: str, x: float, y: float, tip: str) -> str:
    title = f"<title>{escape(tip)}</title>" if tip else ""
    return f'<g class="point" transform="translate({x:.1f} {y:.1f})">{title}{_MARKERS[name]}</g>'


def _series(one: Curve, scale: _Scale, marker: str) -> Iterator[str]:
    if one.lossless:
        x = scale.x(one.bytes_per_image[0])
        yield f'<path class="line" d="M{x:.1f} {_TOP}V{_TOP - 12}"/>'
        yield _marker(marker, x, _TOP - 16, _tip(one, 0))
        return
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in _clipped(one, scale))
    dash = _dashes(one)
    yield f'<polyline class="line" stroke-dasharray="{dash}" points="{places}"/>'
    for at, (size, psnr) in enumerate(zip(one.bytes_per_image, one.psnr, strict=True)):
        if scale.least_db <= psnr <= scale.most_db:
            yield _marker(marker, scale.x(size), scale.y(psnr), _tip(one, at))


def _axes(scale: _Scale) -> Iterator[str]:
    last = -math.inf
    for size in _TICKS:
        if scale.least_bytes <= size <= scale.most_bytes and scale.x(size) - last >= _TICK_SPACE:
            x = last = scale.x(size)
            yield f'<path class="grid" d="M{x:.1f} {_TOP}V{_BOTTOM}"/>'
            yield f'<text x="{x:.1f}" y="{_BOTTOM + 18}" text-anchor="middle">{size}</text>'
    for psnr in range(math.ceil(scale.least_db / 2) * 2, math.floor(scale.most_db) + 1, 2):
        y = scale.y(psnr)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{_RIGHT}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{psnr}</text>'
    yield f'<path class="axis" d="M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}M{_LEFT} {_TOP}H{_RIGHT}"/>'
    x, y = (_LEFT + _RIGHT) / 2, (_TOP + _BOTTOM) / 2
    yield f'<text x="{x}" y="{_HEIGHT - 12}" text-anchor="middle">bytes an image, headers included</text>'
    yield f'<text transform="translate(14 {y}) rotate(-90)" text-anchor="middle">PSNR, dB</text>'
    yield f'<text class="faint" x="{_LEFT + 6}" y="{_TOP - 14}">lossless</text>'


def rate_chart(curves: Sequence[Curve], shown: Sequence[Curve], prefix: str = "curve") -> str:
    """Bytes an image against PSNR, a curve for each codec and arrangement.

    A codec keeps its colour and marker in every arrangement; the line is dashed where each image is a file by
    itself. A script shows at first the ``shown`` ones alone; the legend's buttons switch each. Of several
    charts on a page each has a ``prefix`` of its own.
    """
    if not curves:
        return ""
    scale = _scale(curves)
    names = list(dict.fromkeys(one.name.removesuffix(" lossless") for one in curves))
    drawn: list[str] = []
    legend: dict[str, list[str]] = {}
    for number, one in enumerate(curves):
        place = names.index(one.name.removesuffix(" lossless"))
        marker = list(_MARKERS)[place % len(_MARKERS)]
        style = f"series s{place % COLOURS}" + (" pair" if one.kind == "pair" else "")
        drawn.append(f'<g class="{style}" id="{prefix}-{number}">{"".join(_series(one, scale, marker))}</g>')
        dash = _dashes(one)
        sample = f'<path class="line" stroke-dasharray="{dash}" d="M1 8H33"/>{_marker(marker, 17, 8, "")}'
        on = "true" if one in shown else "false"
        legend.setdefault(arrangement_of(one.kind, one.arrangement), []).append(
            f'<button type="button" aria-pressed="true" data-curve="{prefix}-{number}" data-first="{on}">'
            f'<svg class="{style}" viewBox="0 0 34 16" width="34" height="16" aria-hidden="true">'
            f"{sample}</svg>{escape(one.name)}</button>"
        )
    picture = (
        f'<div class="wide"><svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Bytes an image against PSNR; the figures are in the tables">'
        f"{''.join(_axes(scale))}{''.join(drawn)}</svg></div>"
    )
    buttons = "".join(
        f'<div class="legend" role="group" aria-label="{escape(name)}"><b>{escape(name)}</b>'
        f"{''.join(entries)}</div>"
        for name, entries in legend.items()
    )
    tip = (
        '<p class="tip" aria-live="polite">Dashed: each image by itself. Solid: all together. '
        "Point at a mark to read it.</p>"
    )
    return f"<figure>{picture}{tip}{buttons}</figure>"


@dataclass(frozen=True)
class Bar:
    """A labelled value, and the range that it was measured in."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None


_BAR_WIDTH, _BAR_STEP = 640, 38


def bar_chart(title: str, bars: Sequence[Bar], digits: int = 0) -> str:
    """Bars from zero, each under its label and value; a line across a bar's end is its range."""
    if not bars:
        return ""
    most = max(max(bar.value, bar.high or 0) for bar in bars) or 1
    parts = []
    for at, bar in enumerate(bars):
        y = at * _BAR_STEP + 16
        value = f"{bar.value:,.{digits}f}"
        width = bar.value / most * _BAR_WIDTH
        parts.append(
            f'<text x="0" y="{y}">{escape(bar.label)}</text>'
            f'<text x="{_BAR_WIDTH}" y="{y}" text-anchor="end">{value}</text>'
            f'<rect class="bar" x="0" y="{y + 5}" width="{width:.1f}" height="10"/>'
        )
        if bar.low is not None and bar.high is not None:
            low, high = bar.low / most * _BAR_WIDTH, bar.high / most * _BAR_WIDTH
            ends = "".join(f"M{x:.1f} {y + 6}v8" for x in (low, high))
            tip = f"{bar.label}: {bar.low:,.{digits}f} to {bar.high:,.{digits}f}"
            parts.append(
                f'<path class="range" d="M{low:.1f} {y + 10}H{high:.1f}{ends}">'
                f"<title>{escape(tip)}</title></path>"
            )
    height = len(bars) * _BAR_STEP
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><div class="wide">'
        f'<svg class="bars" viewBox="-2 0 {_BAR_WIDTH + 4} {height}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg></div></figure>"
    )
