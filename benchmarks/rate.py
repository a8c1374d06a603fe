"""What every codec needs for how good a picture: the sections ``rate`` and ``bjontegaard``."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import bjontegaard
import numpy as np

import codec
from benchmarks.codecs import Arrangement, Kind, Measurable, Pixels
from benchmarks.curves import front
from benchmarks.formats import SHEETS, SINGLE, STREAMS, zstd_with_dictionary
from benchmarks.harness import Measured, Row, measure
from benchmarks.learned.peers import LearnedPeer, peers
from benchmarks.linear import principal_components
from benchmarks.pairs import float_codes, pair_codecs

__all__ = ["bjontegaard_rows", "codecs", "measured", "rate_rows"]

_DICTIONARY_IMAGES = 10_000
_EFFORTS = (1, 2, 3)
_LEAST_POINTS = 4
"""Points that a curve must have for Akima's interpolation."""


@dataclass(frozen=True)
class _Learned:
    """A trained peer at its one setting; its networks run in an environment of their own."""

    peer: LearnedPeer
    folder: Path
    training: Pixels
    install: bool
    arrangement: Arrangement = "each"
    kind: Kind = "learned"
    lossless: bool = False
    most: int | None = None
    payload: None = None

    @property
    def name(self) -> str:
        return self.peer.name

    @property
    def parameter(self) -> str:
        return self.peer.parameter

    @property
    def settings(self) -> tuple[float, ...]:
        return (self.peer.setting,)

    def files(self, images: Pixels, setting: float) -> list[bytes]:
        self.peer.prepare(self.training, self.folder, install=self.install)
        return self.peer.files(images, self.folder)

    def images(self, files: Sequence[bytes], shape: tuple[int, ...]) -> Pixels:
        return self.peer.decoded(list(files), shape, self.folder)

    def __getstate__(self) -> dict[str, Any]:
        """The receiver gets no training images."""
        return {**self.__dict__, "training": self.training[:0]}


def codecs(training: Pixels, cache: Path, *, quick: bool) -> list[Measurable]:
    """All that is measured, ours first; ``training`` images [N, H, W] are for peers that learn.

    A quick run installs nothing: learned peers whose environments are not there fail and say so.
    """
    found: list[Measurable] = []
    for name in codec.pretrained():
        found += pair_codecs(name, _EFFORTS if name == "mnist" and not quick else ())
    found.append(float_codes("article"))
    found.append(principal_components(training))
    found += [_Learned(peer, cache, training, install=not quick) for peer in peers(quick=quick)]
    dictionary = zstd_with_dictionary(training[:_DICTIONARY_IMAGES])
    return [*found, *SINGLE, dictionary, *SHEETS, *STREAMS]


def measured(codec: Measurable, images: Pixels) -> Iterator[Measured]:
    """Every setting of a codec, telling of each on standard error."""
    start = perf_counter()
    for result in measure(codec, images):
        for row in result.rows:
            print(f"{_told(row)}, {perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        yield result
        start = perf_counter()


def _told(row: Row) -> str:
    where = f"{row.codec}, {row.parameter} {row.setting:g}"
    if row.error is not None:
        return f"{where}: failed: {row.error}"
    distortion = "without loss" if row.psnr is None else f"{row.psnr:.2f} dB"
    return f"{where}: {row.images:,} images, {row.bytes_per_image:.1f} bytes each, {distortion}"


def rate_rows(codec: Measurable, images: Pixels) -> list[dict[str, Any]]:
    """Rows of one codec on uint8 ``images`` [N, H, W] or [N, H, W, 3]."""
    return [asdict(row) for result in measured(codec, images) for row in result.rows]


def bjontegaard_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Mean difference in rate of each pair to each lossy peer, over the PSNRs that both reach.

    In percent; below zero the pair needs fewer bytes (Bjontegaard 2001; Akima's interpolation).
    """
    curves: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for row in rows:
        if row["error"] is None and row["psnr"] is not None:
            key = row["codec"], row["arrangement"], row["kind"]
            curves.setdefault(key, []).append((row["psnr"], row["bytes_per_image"]))
    ours = {key: points for key, points in curves.items() if key[1] == "packet" and key[2] == "pair"}
    found = []
    for pair, ours_points in ours.items():
        for peer, points in curves.items():
            if peer[2] != "pair" and len(ours_points) >= _LEAST_POINTS:
                row = {"pair": pair[0], "codec": peer[0], "arrangement": peer[1]}
                found.append(row | _difference(front(ours_points), front(points)))
    return found


def _difference(ours: list[tuple[float, float]], peer: list[tuple[float, float]]) -> dict[str, Any]:
    if len(peer) < _LEAST_POINTS:
        return {"error": f"{len(peer)} settings are too few for a curve, which takes {_LEAST_POINTS}"}
    low, high = max(ours[0][0], peer[0][0]), min(ours[-1][0], peer[-1][0])
    if low >= high:
        return {
            "error": f"no PSNR in common: {ours[-1][0]:.1f} dB at most, against {peer[0][0]:.1f} dB at least"
        }
    (psnr, size), (peer_psnr, peer_size) = (np.array(points).T for points in (ours, peer))
    percent = bjontegaard.bd_rate(
        peer_size, peer_psnr, size, psnr, method="akima", require_matching_points=False, min_overlap=0
    )
    return {"rate_difference_percent": float(percent), "low_db": low, "high_db": high}
