"""Pictures of the section: PSNR against the strength of noise, and digits before and after."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.codecs import Pixels
from benchmarks.curves import Row
from benchmarks.denoising.told import CURVES, DIGITS
from benchmarks.rate_distortion import save
from codec.files import write_bytes
from codec.imagefiles import png_bytes
from codec.pictures import picture_rows

__all__ = ["draw_curves", "draw_digits"]

_SHOWN = 12
_COLOURS = ("#7f7f7f", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Of Okabe and Ito, one a denoiser."""
_PAIR = "#0072b2"
_PEERS_TONE = ", tone curve"


def draw_curves(rows: Sequence[Row], out: Path) -> None:
    """Write PSNR against noise into ``out``: the pair's coarsest, middle and finest quality and all peers."""
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    found: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if not row.get("error"):
            found.setdefault(row["method"], []).append((row["deviation"], row["psnr"]))
    pair = [name for name in found if ", quality " in name]
    peers = [name for name in found if name not in pair and "JPEG XL" not in name]
    names = list(dict.fromkeys(name.removesuffix(_PEERS_TONE) for name in peers))
    for name in dict.fromkeys(pair[at] for at in (0, len(pair) // 2, -1) if pair):
        style = "-o" if name == pair[-1] else "-"
        axes.plot(*zip(*found[name], strict=True), style, color=_PAIR, label=name, linewidth=2)
    for name in peers:
        colour = _COLOURS[names.index(name.removesuffix(_PEERS_TONE)) % len(_COLOURS)]
        dashed = "-" if name.endswith(_PEERS_TONE) else "--"
        axes.plot(*zip(*found[name], strict=True), dashed, color=colour, label=name, linewidth=1.2)
    axes.set_xlabel("standard deviation of the noise, pixels from 0 to 1")
    axes.set_ylabel("PSNR against the clean images, dB")
    axes.grid(color="#ececec", linewidth=0.6)
    axes.legend(fontsize=8, ncols=2)
    save(figure, out / CURVES)


def draw_digits(shown: Mapping[str, Pixels], out: Path) -> None:
    """Write a row of twelve images for each label of ``shown``, uint8 [N, H, W] all of the same images."""
    count = min(map(len, shown.values()))
    picked = np.linspace(0, count - 1, min(_SHOWN, count)).round().astype(int)
    rows = {label.replace(", ", "\n"): images[picked][..., None] for label, images in shown.items()}
    write_bytes(out / DIGITS, png_bytes(picture_rows(rows)))
