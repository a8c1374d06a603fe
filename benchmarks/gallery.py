"""The section ``gallery``: twelve digits from every codec, at about equal bytes and at about equal PSNR."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.codecs import Measurable, Pixels
from benchmarks.harness import Row
from benchmarks.rate import measured
from benchmarks.rate_distortion import save

__all__ = ["draw_gallery"]

_DIGITS = 12
_BYTES, _PSNR = 40.0, 26.3


@dataclass(frozen=True)
class _Shown:
    row: Row
    digits: Pixels


def draw_gallery(codecs: Sequence[Measurable], images: Pixels, out: Path) -> dict[str, Any]:
    """Write gallery-bytes.png and gallery-psnr.png into ``out``; returns which setting each codec shows.

    Args:
        codecs: those that lose something; others would show the originals.
        images: uint8 [N, H, W], all encoded; twelve are shown, from the first to the last.
    """
    lossy = [
        codec for codec in codecs if not codec.lossless and "," not in codec.name.removesuffix(", one sheet")
    ]
    picked = np.linspace(0, len(images) - 1, _DIGITS).round().astype(int)
    shown = [
        _Shown(result.rows[0], result.decoded[picked])
        for codec in lossy
        for result in measured(codec, images)
        if result.decoded is not None
    ]
    by_codec: dict[str, list[_Shown]] = {}
    for one in shown:
        by_codec.setdefault(one.row.codec, []).append(one)
    rows = []
    for name, distance, title in (
        ("gallery-bytes.png", _from_bytes, f"About {_BYTES:.0f} bytes an image, or as few as the codec can"),
        ("gallery-psnr.png", _from_psnr, f"About {_PSNR} dB"),
    ):
        chosen = [min(candidates, key=distance) for candidates in by_codec.values()]
        save(_figure(title, images[picked], chosen), out / name)
        rows += [
            {
                "picture": name,
                "codec": one.row.codec,
                "arrangement": one.row.arrangement,
                "setting": one.row.setting,
                "bytes_per_image": one.row.bytes_per_image,
                "psnr": one.row.psnr,
            }
            for one in chosen
        ]
    return {"rows": rows}


def _from_bytes(one: _Shown) -> float:
    return abs(math.log((one.row.bytes_per_image or math.inf) / _BYTES))


def _from_psnr(one: _Shown) -> float:
    return abs((one.row.psnr or math.inf) - _PSNR)


def _figure(title: str, originals: Pixels, shown: Sequence[_Shown]) -> Figure:
    height = 0.6 * (len(shown) + 1) + 0.5
    figure = Figure(figsize=(9, height))
    figure.subplots_adjust(left=0.22, right=0.99, bottom=0.1 / height, top=1 - 0.4 / height, hspace=0.12)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    axes = figure.subplots(len(shown) + 1, 1)
    strips = [("originals, 784 bytes", originals), *((_label(one.row), one.digits) for one in shown)]
    for axis, (label, digits) in zip(axes, strips, strict=True):
        axis.imshow(np.concatenate(list(digits), axis=1), cmap="gray", vmin=0, vmax=255)
        axis.set_axis_off()
        axis.text(-0.01, 0.5, label, transform=axis.transAxes, ha="right", va="center", fontsize=8.5)
    return figure


def _label(row: Row) -> str:
    return f"{row.codec}\n{row.bytes_per_image:.1f} bytes, {row.psnr:.1f} dB"
