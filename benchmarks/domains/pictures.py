"""Pictures of a domain: bytes an image against PSNR, and test images as they were and as they came out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.codecs import Codec, Pixels
from benchmarks.curves import Curve, Row, arrangement_of, curves
from benchmarks.domains.claims import GREY_DB
from benchmarks.domains.data import Domain
from benchmarks.rate_distortion import save
from codec.evaluation import pixel_errors, psnr
from codec.files import write_bytes
from codec.imagefiles import png_bytes
from codec.pictures import picture_rows

__all__ = ["curves_name", "draw_curves", "draw_images", "images_name"]

_SHOWN = 12
_COLOURS = {"JPEG XL": "#d55e00", "WebP": "#009e73", "JPEG": "#7d6000", "AVIF": "#cc79a7", "PNG": "#7f7f7f"}
_OURS = "#0072b2"
_DASHES = {"each": (0, (4, 2)), "sheet": "solid", "packet": "solid"}
_LEAST_DB, _MOST_DB = 19, 37


def curves_name(domain: str) -> str:
    """The file of ``draw_curves``."""
    return f"domain-{domain}.png"


def images_name(domain: str) -> str:
    """The file of ``draw_images``."""
    return f"domain-{domain}-images.png"


def draw_curves(domain: str, rows: Sequence[Row], out: Path) -> None:
    """Write the picture of a domain's rows into ``out``: dashed where each image is by itself."""
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    for one in curves(rows):
        if one.lossless or one.variant:
            continue
        ours = one.kind == "pair"
        axes.plot(
            one.bytes_per_image,
            one.psnr,
            color=_OURS if ours else _colour(one),
            linestyle=_DASHES[one.arrangement],
            linewidth=2.4 if ours else 1.3,
            marker="o" if ours else None,
            markersize=4.5,
            label=f"{one.name}, {arrangement_of(one.kind, one.arrangement)}",
        )
    axes.set_xscale("log")
    axes.set_ylim(_LEAST_DB, _MOST_DB)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.xaxis.set_minor_formatter("{x:.0f}")
    if axes.get_xlim()[1] > 30 * axes.get_xlim()[0]:
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("bytes an image, headers included")
    axes.set_ylabel("PSNR, dB")
    axes.grid(which="both", color="#ececec", linewidth=0.6)
    axes.legend(fontsize=8, loc="lower right")
    axes.set_title(domain, loc="left", fontsize=11)
    save(figure, out / curves_name(domain))


def _colour(one: Curve) -> str:
    return _COLOURS.get(one.name, "#5f5f66")


def draw_images(domain: Domain, rows: Sequence[Row], ours: Codec, peer: Codec, out: Path) -> None:
    """Write twelve test images into ``out``: as they are, from ``ours``, from ``peer`` at about equal bytes.

    Ours are at the first quality of 26 dB or more over all test images, or at the finest; the peer's at the
    setting whose bytes are nearest to those. Bytes and PSNR told are of the twelve.
    """
    images = domain.test[np.linspace(0, len(domain.test) - 1, _SHOWN).round().astype(int)]
    own = [row for row in rows if row["codec"] == ours.name and not row["error"]]
    its = [row for row in rows if row["codec"] == peer.name and not row["error"]]
    if not own or not its:
        return
    chosen = next((row for row in own if row["psnr"] >= GREY_DB), own[-1])
    nearest = min(its, key=lambda row: abs(row["bytes_per_image"] - chosen["bytes_per_image"]))
    strips = {f"original\n{images[0].size} bytes": images}
    for codec, row in ((ours, chosen), (peer, nearest)):
        files = codec.files(images, row["setting"])
        decoded = codec.images(files, images.shape)
        size, error = sum(map(len, files)) / len(images), pixel_errors(images, decoded)[0]
        strips[f"{codec.name.split(',')[0]}, {size:.0f} bytes\n{psnr(error):.1f} dB"] = decoded
    shown = {label: _with_channels(strip) for label, strip in strips.items()}
    write_bytes(out / images_name(domain.name), png_bytes(picture_rows(shown)))


def _with_channels(images: Pixels) -> Pixels:
    return images if images.ndim == 4 else images[..., None]
