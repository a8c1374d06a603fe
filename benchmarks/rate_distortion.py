"""Rate and distortion of the shipped pairs beside what else there is, as one picture and a table.

    python -m benchmarks.rate_distortion --out curves.png
    python -m benchmarks.rate_distortion --table        bytes an image at some PSNRs, as Markdown

What enters: the section ``rate`` of results/results.json. What leaves: a PNG. Needs the extra ``bench``.
"""

import argparse
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from PIL import Image

from benchmarks.curves import TABLE_PSNRS, Curve, Row, curve, curves, read_results, section_rows

__all__ = [
    "Curve",
    "curve",
    "draw",
    "draw_rows",
    "format_curves",
    "save",
    "table",
]

_LEAST_DB, _MOST_DB, _TOP_DB = 18, 36.5, 42
"""Below, curves are cut off; above the second, lossless codecs have a strip of their own."""
_MUTED, _TEXT = "#7f7f7f", "#4d4d4d"
_NAME_SPACING = 1.08
"""Ratio of bytes that two names of lossless codecs are apart at the least."""
_PAIR_STYLES = {"article": ("#d55e00", "s"), "article-rd": ("#cc79a7", "^"), "mnist": ("#0072b2", "o")}
"""Colours of Okabe and Ito, which colour-blind readers tell apart, and markers, which all do."""
_OTHER_STYLE = ("#009e73", "D")


def format_curves(rows: Sequence[Row], *arrangements: str) -> list[Curve]:
    """A curve for each codec of those arrangements, in the order of the results."""
    return curves(row for row in rows if row["arrangement"] in arrangements)


_DASHES: dict[str, Any] = {
    "JPEG 2000": (0, (4, 1.5)),
    "JPEG-LS": (0, (1, 1)),
    "JPEG XL": (0, (5, 1.5, 1, 1.5)),
    "WebP": (0, (8, 1.5)),
    "AVIF, AV1 data alone": (0, (2, 1)),
}
# Where a format's name stands in each panel: at which PSNR, and on which side of its curve.
_LABELS = {
    "JPEG": (21.5, "right"),
    "JPEG 2000": (19, "right"),
    "JPEG-LS": (34.5, "left"),
    "JPEG XL": (33, "right"),
    "WebP": (23.5, "left"),
    "AVIF": (24.5, "right"),
    "AVIF, AV1 data alone": (32, "right"),
    "TensorFlow Compression": (27.1, "right"),
}
_SHEET_LABELS = {
    "JPEG": (33, "right"),
    "JPEG 2000": (18.7, "right"),
    "JPEG-LS": (20.3, "right"),
    "JPEG XL": (35.2, "right"),
    "WebP": (33, "right"),
    "AVIF": (22.5, "left"),
}


def draw(formats: Sequence[Row], pairs: Sequence[Curve], single: Sequence[Curve] = ()) -> Figure:
    """Two panels over one axis of bytes: every image a file of its own, and all images in one file.

    ``pairs`` have all images in one packet; ``single``, if there are any, each image in a packet of its own:
    they take the place of ``pairs`` in the upper panel.
    """
    figure = Figure(figsize=(9, 10), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, sharey=True)
    _panel(
        upper,
        "Every image a file or packet of its own" if single else "Formats: every image a file of its own",
        format_curves(formats, "each"),
        single or pairs,
        _LABELS,
    )
    joint = format_curves(formats, "sheet", "stream", "packet")
    title = "All images in one file or packet" if single else "Formats: all images in one file, side by side"
    _panel(lower, title, joint, pairs, _SHEET_LABELS)
    lower.set_xlabel(
        "bytes an image"
        if single
        else "bytes an image (pairs: all images in one packet, its length over their number)"
    )
    return figure


def draw_rows(rows: Sequence[Row]) -> Figure:
    """The picture of the results' section ``rate``; variants of pairs are left out."""
    found = [one for one in curves(rows) if one.kind == "pair" and not one.variant and not one.lossless]
    return draw(
        [row for row in rows if row["kind"] != "pair"],
        [one for one in found if one.arrangement == "packet"],
        [one for one in found if one.arrangement == "each"],
    )


def _panel(
    axes: Axes,
    title: str,
    formats: Sequence[Curve],
    pairs: Sequence[Curve],
    labels: Mapping[str, tuple[float, str]],
) -> None:
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_ylabel("PSNR, dB")
    axes.set_xscale("log")
    axes.set_ylim(_LEAST_DB, _TOP_DB)
    axes.set_yticks(range(_LEAST_DB, int(_MOST_DB) + 1, 2))
    axes.xaxis.set_major_locator(
        FixedLocator([5, 7, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300, 400, 600, 800])
    )
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(labelbottom=True)
    axes.grid(color="#ececec", linewidth=0.6)
    axes.axhline(_MOST_DB, color=_MUTED, linewidth=0.6)
    axes.text(0.005, 0.985, "lossless", transform=axes.transAxes, va="top", fontsize=8, color=_MUTED)
    for one in formats:
        if not one.lossless and len(one.psnr) > 1:
            name = _short(one.name)
            end = (one.psnr[0], "left") if one.kind in ("linear", "learned") else (one.psnr[-1], "right")
            _draw_format(axes, one, name, *labels.get(name, end))
    _draw_lossless(
        axes, sorted((one for one in formats if one.lossless), key=lambda one: one.bytes_per_image)
    )
    for one in pairs:
        _draw_pair(axes, one)


def _short(name: str) -> str:
    """A codec's name less what its panel or its place in it says."""
    return name.removesuffix(", one sheet").removesuffix(" lossless")


def _draw_format(axes: Axes, one: Curve, name: str, psnr: float, side: str) -> None:
    # To the strip and no further, wherever the measurements are.
    psnrs = [*(measured for measured in one.psnr if measured < _MOST_DB), min(_MOST_DB, one.psnr[-1])]
    rates = np.interp(psnrs, one.psnr, one.bytes_per_image)
    axes.plot(rates, psnrs, color=_MUTED, linewidth=1.1, linestyle=_DASHES.get(name, "solid"))
    psnr = min(max(psnr, one.psnr[0]), one.psnr[-1])
    axes.annotate(
        name,
        (float(np.interp(psnr, one.psnr, one.bytes_per_image)), psnr),
        xytext=(4 if side == "right" else -4, 0),
        textcoords="offset points",
        ha="left" if side == "right" else "right",
        va="center",
        fontsize=8.5,
        color=_TEXT,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
    )


def _draw_lossless(axes: Axes, curves: Sequence[Curve]) -> None:
    """Ticks in the strip at the top, fewest bytes first; their names are moved right until none touch."""
    least = 0.0
    for one in curves:
        rate = one.bytes_per_image[0]
        place = max(rate, least)
        least = place * _NAME_SPACING
        heights = [_MOST_DB, _MOST_DB + 0.4, _MOST_DB + 1]
        axes.plot([rate, rate, place], heights, color=_MUTED, linewidth=1)
        axes.annotate(
            _short(one.name),
            (place, _MOST_DB + 1.1),
            rotation=60,
            rotation_mode="anchor",
            ha="left",
            va="center",
            fontsize=7.5,
            color=_TEXT,
        )


def _draw_pair(axes: Axes, one: Curve) -> None:
    rate, distortion = np.array(one.bytes_per_image), np.array(one.psnr)
    shown = (distortion >= _LEAST_DB) & (distortion <= _MOST_DB)
    rate, distortion = rate[shown], distortion[shown]
    colour, marker = _PAIR_STYLES.get(one.name, _OTHER_STYLE)
    axes.plot(rate, distortion, color=colour, linewidth=2.4, marker=marker, markersize=5.5, zorder=5)
    axes.annotate(
        one.name,
        (rate[-1], distortion[-1]),
        xytext=(0, 7),
        textcoords="offset points",
        ha="center",
        fontsize=11,
        fontweight="bold",
        color=colour,
        zorder=6,
    )


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, of few colours and without what changes between runs."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    with Image.open(buffer) as image:
        image.convert("RGB").quantize(64).save(path, "PNG", optimize=True)


def table(curves: Sequence[Curve]) -> str:
    """Bytes an image of each curve at ``TABLE_PSNRS``, as Markdown; blank beyond its measurements."""
    heads = [f"{psnr:g} dB" for psnr in TABLE_PSNRS] + ["lossless"]
    lines = ["| | " + " | ".join(heads) + " |", "|:---" + "|---:" * len(heads) + "|"]
    for one in curves:
        sizes = [one.bytes_at(psnr) for psnr in TABLE_PSNRS]
        sizes.append(one.bytes_per_image[0] if one.lossless else None)
        cells = ["" if size is None else f"{size:.1f}" for size in sizes]
        lines.append(f"| {one.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Draw, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, help="the PNG to write")
    parser.add_argument("--table", action="store_true", help="print the table")
    options = parser.parse_args()
    rows = section_rows(read_results(), "rate")
    if options.out:
        save(draw_rows(rows), options.out)
    if options.table:
        print(table(curves(rows)))


if __name__ == "__main__":
    main()
