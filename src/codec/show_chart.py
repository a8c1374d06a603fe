"""A histogram of bytes as PNG or SVG, through Matplotlib. Needs the extra ``show``."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.errors import MissingExtraError
from codec.show_figure import Drawing

try:
    from matplotlib import rc_context
    from matplotlib.figure import Figure as MatplotlibFigure
except ImportError as error:
    raise MissingExtraError(
        f"charts: matplotlib is not installed ({error}); run: pip install 'split-codec[show]'"
    ) from None

__all__ = ["Histogram"]

_BARS, _MEAN, _MEDIAN = "#56b4e9", "#d55e00", "#000000"
"""Of Okabe and Ito, which colour-blind readers tell apart."""
_MOST_BINS = 40
_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "codec"}
"""Text stays text, and names in the file are the same each time."""


class Histogram(Drawing):
    """How many images take how many bytes.

    Args:
        sizes: bytes of each image, float64 [N].
        label: of the axis.
    """

    def __init__(self, sizes: NDArray[np.float64], label: str) -> None:
        self.sizes = sizes
        self.label = label

    def png(self) -> bytes:
        return self._saved("png", {"Software": None})

    def svg(self) -> bytes:
        return self._saved("svg", {"Date": None, "Creator": None})

    def _saved(self, kind: str, metadata: dict[str, Any]) -> bytes:
        buffer = io.BytesIO()
        with rc_context(_STYLE):
            self._figure().savefig(buffer, format=kind, dpi=120, metadata=metadata)
        return buffer.getvalue()

    def _figure(self) -> Any:
        figure = MatplotlibFigure(figsize=(7, 3.6), layout="constrained")
        axes = figure.subplots()
        bins = max(1, min(_MOST_BINS, round(len(self.sizes) ** 0.5) * 2))
        axes.hist(self.sizes, bins=bins, color=_BARS, edgecolor="white", linewidth=0.5)
        mean, median = float(self.sizes.mean()), float(np.median(self.sizes))
        axes.axvline(mean, color=_MEAN, label=f"mean {mean:.1f}")
        axes.axvline(median, color=_MEDIAN, linestyle="--", label=f"median {median:.1f}")
        axes.set_xlabel(self.label)
        axes.set_ylabel(f"images of {len(self.sizes):,}")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        return figure
