"""Rows of measured rate and distortion as curves: what a codec needs, in bytes an image, at a given PSNR.

What enters: the results file, ``results/results.json``, or the rows of its section ``rate``. What leaves: a
curve for each codec and arrangement, and the rows that hold a failure instead of figures.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codec.comparison import bytes_between

RESULTS = Path(__file__).parent / "results"
RESULTS_FILE = RESULTS / "results.json"
TABLE_PSNRS = (22.4, 24.4, 26.3, 27.3, 30.0, 32.5)

Row = Mapping[str, Any]
Results = Mapping[str, Any]

_ARRANGEMENTS = {
    "each": "a file for each image",
    "sheet": "all images side by side in one picture",
    "stream": "all pixels in a row in one file",
    "packet": "one packet of all images",
}


@dataclass(frozen=True)
class Curve:
    """One codec's measurements, PSNR rising; a lossless codec has its best one alone, of infinite PSNR.

    Attributes:
        name: of the codec; of a pair, with the variant that its rows note: ``mnist, effort 3``.
        bytes_per_image: one for each measurement.
        psnr: in dB, one for each measurement.
        arrangement: what became one file: each, sheet, stream or packet.
        kind: pair, format, bytes, linear or learned.
        settings: what each measurement was made with, in words: ``quality 6``.
        images: how many were measured.
    """

    name: str
    bytes_per_image: tuple[float, ...]
    psnr: tuple[float, ...]
    arrangement: str = ""
    kind: str = ""
    settings: tuple[str, ...] = ()
    images: int = 0

    @property
    def lossless(self) -> bool:
        return math.isinf(self.psnr[0])

    @property
    def variant(self) -> bool:
        """A pair used in another than the plain way, which its name says after a comma."""
        return self.kind == "pair" and "," in self.name

    def bytes_at(self, psnr: float) -> float | None:
        """Bytes an image at this PSNR, straight between the measurements; None where there are none."""
        return None if self.lossless else bytes_between(psnr, self.psnr, self.bytes_per_image)


def read_results(path: Path = RESULTS_FILE) -> dict[str, Any]:
    """The sections of the results file; none if there is no such file."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def section_rows(results: Results, section: str) -> list[Row]:
    """The rows of a section; none if it is missing."""
    return list(results.get(section, {}).get("rows", ()))


def name_of(row: Row) -> str:
    """A codec's name less what its arrangement says; a pair's with the variant that the row notes."""
    name = str(row["codec"]).removesuffix(", one sheet").removesuffix(", single packets")
    note = row.get("note")
    return f"{name}, {note}" if note and row.get("kind") == "pair" else name


def setting_of(row: Row) -> str:
    """A row's setting in words: ``quality 6``."""
    setting = row.get("setting", "")
    text = f"{setting:g}" if isinstance(setting, int | float) else str(setting)
    return f"{row.get('parameter', '')} {text}".strip()


def arrangement_of(kind: str, arrangement: str) -> str:
    """An arrangement in words."""
    if arrangement == "each" and kind not in ("format", "bytes", ""):
        return "a packet for each image"
    return _ARRANGEMENTS.get(arrangement, arrangement)


def curve(name: str, rows: Sequence[Row]) -> Curve:
    """Rows of ``bytes_per_image`` and ``psnr`` as a curve."""
    if rows[0]["psnr"] is None:
        points = [min((row["bytes_per_image"], setting_of(row)) for row in rows)]
        psnrs: tuple[float, ...] = (math.inf,)
    else:
        ordered = sorted((row["psnr"], row["bytes_per_image"], setting_of(row)) for row in rows)
        points = [(size, setting) for _, size, setting in ordered]
        psnrs = tuple(psnr for psnr, _, _ in ordered)
    return Curve(
        name,
        tuple(size for size, _ in points),
        psnrs,
        arrangement=rows[0].get("arrangement", ""),
        kind=rows[0].get("kind", ""),
        settings=tuple(setting for _, setting in points) if any(s for _, s in points) else (),
        images=rows[0].get("images", 0),
    )


def front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """PSNR and bytes, both rising: settings that need more bytes for no better picture left out."""
    kept: list[tuple[float, float]] = []
    for psnr, size in sorted(points, reverse=True):
        if not kept or (size < kept[-1][1] and psnr < kept[-1][0]):
            kept.append((psnr, size))
    return kept[::-1]


def curves(rows: Iterable[Row]) -> list[Curve]:
    """A curve for each codec and arrangement, in the order of the rows; failures are left out."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if not row.get("error"):
            key = (row.get("kind"), name_of(row), row.get("arrangement"), row["psnr"] is None)
            groups.setdefault(key, []).append(row)
    return [curve(key[1], group) for key, group in groups.items()]


def failures(rows: Iterable[Row]) -> list[Row]:
    """The rows that have an error instead of figures."""
    return [row for row in rows if row.get("error")]
