"""A comparison with image formats as a PNG: bytes an image against PSNR. Needs the extra ``show``."""

import io
from collections.abc import Sequence
from pathlib import Path

from codec.comparison import PairPoint, PeerCurve
from codec.errors import MissingExtraError
from codec.files import write_bytes

try:
    from matplotlib.figure import Figure
except ImportError as error:
    raise MissingExtraError(
        f"--plot: matplotlib is not installed ({error}); run: pip install 'split-codec[show]'"
    ) from None

__all__ = ["draw"]

_COLOURS = {"JPEG": "#999999", "WebP": "#009e73", "AVIF": "#d55e00", "JPEG XL": "#cc79a7", "PNG": "#56b4e9"}
"""Of Okabe and Ito, which colour-blind readers tell apart."""
_PAIR = "#0072b2"


def draw(points: Sequence[PairPoint], curves: Sequence[PeerCurve], title: str, path: Path) -> None:
    """Write the chart to ``path``.

    Raises:
        FileError: it cannot be written.
    """
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    psnrs = [point.psnr for point in points]
    axes.plot([p.packet_bytes for p in points], psnrs, "o-", color=_PAIR, label="this pair, one packet")
    axes.plot([p.each_bytes for p in points], psnrs, "o--", color=_PAIR, label="this pair, a packet each")
    for curve in curves:
        if curve.missing is not None:
            continue
        name = curve.name.removesuffix(" lossless")
        joint = curve.arrangement == "sheet"
        label = f"{curve.name}, {'side by side' if joint else 'a file each'}"
        if curve.lossless:
            style = ":" if joint else "-."
            axes.axvline(curve.bytes_per_image[0], color=_COLOURS[name], linestyle=style, label=label)
        else:
            style = ".-" if joint else ".--"
            axes.plot(curve.bytes_per_image, curve.psnr, style, color=_COLOURS[name], label=label)
    axes.set_xscale("log")
    axes.set_xlabel("bytes an image, headers included")
    axes.set_ylabel("PSNR, dB")
    axes.set_title(title, loc="left", parse_math=False)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())
