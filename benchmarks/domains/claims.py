"""What is promised of the pairs of new domains, and whether the measurements keep it.

What enters: a domain's rows, as in the section ``domains`` of the results. What leaves: for grey images our
bytes as a share of JPEG XL's at 26 dB or better; for RGB images what is saved against WebP from 24 to 30 dB.
Bytes between two settings are interpolated straight, of each codec without its settings that need more bytes
for no better picture.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.curves import Curve, Row, curves, front

__all__ = [
    "GREY_DB",
    "GREY_MOST",
    "HOUR_S",
    "RGB_DBS",
    "RGB_LEAST",
    "Saving",
    "Share",
    "savings",
    "shares",
]

GREY_DB = 26.0
GREY_MOST = 0.40
"""Of JPEG XL's bytes."""
RGB_DBS = tuple(float(psnr) for psnr in range(24, 31))
RGB_LEAST = 0.30
"""Of WebP's bytes."""
HOUR_S = 3600.0


@dataclass(frozen=True)
class Share:
    """Our bytes an image against JPEG XL's, each at a PSNR in dB.

    Attributes:
        ours: the curve of our pair: one packet, or a packet for each image.
        setting: the quality that ours was measured at; "" where both are interpolated.
    """

    ours: Curve
    setting: str
    psnr: float
    size: float
    peer_psnr: float
    peer_size: float

    @property
    def share(self) -> float:
        return self.size / self.peer_size


@dataclass(frozen=True)
class Saving:
    """Our bytes an image against WebP's at the same PSNR; None beyond what one of the two was measured at."""

    ours: Curve
    psnr: float
    size: float | None
    peer_size: float | None

    @property
    def saving(self) -> float | None:
        return None if self.size is None or self.peer_size is None else 1 - self.size / self.peer_size


def _clean(one: Curve) -> Curve:
    points = front(zip(one.psnr, one.bytes_per_image, strict=True))
    return replace(one, psnr=tuple(p for p, _ in points), bytes_per_image=tuple(s for _, s in points))


def _both(rows: Sequence[Row], peer: str) -> tuple[list[Curve], Curve | None]:
    """Our curves, and that of a peer with a file for each image; the peer's is None if it has none."""
    found = [one for one in curves(rows) if not one.lossless]
    ours = [one for one in found if one.kind == "pair"]
    theirs = [_clean(one) for one in found if (one.name, one.arrangement) == (peer, "each")]
    return ours, theirs[0] if theirs else None


def shares(rows: Sequence[Row]) -> Iterator[Share]:
    """Three for each of our curves that reaches 26 dB, as JPEG XL does.

    First the strictest: our first quality of 26 dB or more against JPEG XL at 26 dB. Then that quality
    against JPEG XL at the same PSNR, if it reaches it, and both at 26 dB.
    """
    ours, peer = _both(rows, "JPEG XL")
    least = peer.bytes_at(GREY_DB) if peer else None
    if peer is None or least is None:
        return
    for one in ours:
        first = next((at for at, psnr in enumerate(one.psnr) if psnr >= GREY_DB), None)
        if first is None:
            continue
        psnr, size = one.psnr[first], one.bytes_per_image[first]
        setting = one.settings[first] if one.settings else ""
        yield Share(one, setting, psnr, size, GREY_DB, least)
        if (same := peer.bytes_at(psnr)) is not None:
            yield Share(one, setting, psnr, size, psnr, same)
        if (between := _clean(one).bytes_at(GREY_DB)) is not None:
            yield Share(one, "", GREY_DB, between, GREY_DB, least)


def savings(rows: Sequence[Row]) -> Iterator[Saving]:
    """One for each of our curves and whole dB from 24 to 30; none without WebP's rows."""
    ours, peer = _both(rows, "WebP")
    if peer is None:
        return
    for one in ours:
        for psnr in RGB_DBS:
            yield Saving(one, psnr, _clean(one).bytes_at(psnr), peer.bytes_at(psnr))
