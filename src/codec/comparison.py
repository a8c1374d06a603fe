"""A pair beside image formats, on the same images and at the same PSNR: both halves and images enter.

A format's bytes at a PSNR lie straight between its settings on either side of it, as in the benchmarks. Bytes
are those of whole files and packets, framing included. Each image is a file of its own; small images are also
put side by side in one picture, where a format does not pay its header for each.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from codec.batching import in_threads
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import MissingExtraError
from codec.evaluation import pixel_errors, psnr
from codec.peers import PEERS, Peer
from codec.pictures import from_sheet, sheet

__all__ = [
    "Arrangement",
    "PairPoint",
    "PeerCurve",
    "bytes_between",
    "measure_pair",
    "measure_peers",
    "sample",
]

Arrangement = Literal["each", "sheet"]
Pixels = NDArray[np.uint8]

_SAMPLE_IMAGES = 200
_SAMPLE_VALUES = 1 << 20
"""Where nobody says how many images: the slowest format takes about 20 seconds for so many on one core."""
_SMALL_VALUES = 1 << 14
"""Images of more values are not put side by side: of their files the header is a small part."""


@dataclass(frozen=True)
class PairPoint:
    """A pair at one quality on the sample.

    Attributes:
        packet_bytes: an image's, of one packet of all.
        each_bytes: an image's, of a packet for each.
        psnr: in dB, over all pixels.
    """

    quality: int
    packet_bytes: float
    each_bytes: float
    psnr: float


@dataclass(frozen=True)
class PeerCurve:
    """A format in one arrangement, at as many of its settings as the comparison took.

    Attributes:
        name: the format's.
        arrangement: "each", a file for each image; "sheet", all side by side in one picture.
        parameter: what a setting is.
        lossless: then there is one setting.
        settings, bytes_per_image, psnr: of each measurement, PSNR rising; infinite without loss.
        missing: why there is no measurement; None where there are some.
    """

    name: str
    arrangement: Arrangement
    parameter: str
    lossless: bool
    settings: tuple[float, ...] = ()
    bytes_per_image: tuple[float, ...] = ()
    psnr: tuple[float, ...] = ()
    missing: str | None = None

    def bytes_at(self, psnr: float) -> float | None:
        """Bytes an image at a PSNR; None beyond the measurements, and of a lossless format."""
        return None if self.lossless else bytes_between(psnr, self.psnr, self.bytes_per_image)


def bytes_between(psnr: float, psnrs: Sequence[float], sizes: Sequence[float]) -> float | None:
    """Bytes at a PSNR, straight between measurements of rising ``psnrs``; None where there are none."""
    if not psnrs or not psnrs[0] <= psnr <= psnrs[-1]:
        return None
    return float(np.interp(psnr, psnrs, sizes))


def sample(images: Pixels, count: int | None = None, seed: int = 0) -> Pixels:
    """At most ``count`` of uint8 ``images`` [N, H, W, C], picked by ``seed``, in their order.

    Without a count: 200, or fewer large ones.
    """
    if count is None:
        count = max(1, min(_SAMPLE_IMAGES, _SAMPLE_VALUES // images[0].size))
    picked = np.random.default_rng(seed).permutation(len(images))[:count]
    return images[np.sort(picked)]


def measure_pair(
    encoder: Encoder, decoder: Decoder, images: Pixels, qualities: Sequence[int], effort: int = 0
) -> Iterator[PairPoint]:
    """What each quality needs for uint8 ``images`` [N, H, W, C], and the PSNR of what came out."""
    for quality in qualities:
        packet = encoder.encode(images, quality=quality, effort=effort)
        each = sum(len(encoder.encode(image, quality=quality, effort=effort)) for image in images)
        squared, _ = pixel_errors(images, decoder.decode(packet))
        yield PairPoint(quality, len(packet) / len(images), each / len(images), psnr(squared))


def measure_peers(
    images: Pixels, psnrs: Sequence[float], peers: Sequence[Peer] = PEERS
) -> Iterator[PeerCurve]:
    """Each format over the range of ``psnrs``, in dB, on uint8 ``images`` [N, H, W, C] of 1 or 3 channels."""
    finite = [value for value in psnrs if math.isfinite(value)]
    arrangements: tuple[Arrangement, ...] = ("each", "sheet")
    if len(images) == 1 or images[0].size > _SMALL_VALUES:
        arrangements = ("each",)
    for arrangement in arrangements:
        for peer in peers:
            told = (peer.name, arrangement, peer.parameter, peer.lossless)
            try:
                if images.shape[3] not in (1, 3):
                    raise MissingExtraError(f"{peer.name}: takes images of 1 or 3 channels here")
                peer.check()
            except MissingExtraError as error:
                yield PeerCurve(*told, missing=str(error))
                continue
            yield PeerCurve(*told, *_curve(_Measured(peer, images, arrangement), finite))


class _Measured:
    """A format's settings on some images, each measured once and when asked for."""

    def __init__(self, peer: Peer, images: Pixels, arrangement: Arrangement) -> None:
        self.settings = peer.settings
        self.lossless = peer.lossless
        self._decode: Callable[[bytes, str], Pixels] = peer.decode
        self._mode = "L" if images.shape[3] == 1 else "RGB"
        self._images = images[..., 0] if images.shape[3] == 1 else images
        self._joint = arrangement == "sheet"
        self._encode = (peer.encode_sheet if self._joint else None) or peer.encode
        self.found: dict[int, tuple[float, float]] = {}

    def psnr(self, number: int) -> float:
        """The PSNR of a setting, by its number."""
        if number not in self.found:
            self.found[number] = self._measure(self.settings[number])
        return self.found[number][0]

    def _measure(self, setting: float) -> tuple[float, float]:
        """PSNR and bytes an image."""
        pictures = sheet(self._images)[None] if self._joint else self._images

        def through(pixels: Pixels) -> tuple[int, Pixels]:
            data = self._encode(np.ascontiguousarray(pixels), setting)
            return len(data), self._decode(data, self._mode)

        results = in_threads(through, pictures)
        decoded = np.stack([pixels for _, pixels in results])
        if self._joint:
            decoded = from_sheet(decoded[0], self._images.shape)
        squared, _ = pixel_errors(self._images, decoded)
        return psnr(squared), sum(size for size, _ in results) / len(self._images)


def _curve(
    measured: _Measured, psnrs: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Settings, bytes and PSNRs, from the last setting below all ``psnrs`` to the first above all."""
    last = len(measured.settings) - 1
    if measured.lossless:
        measured.psnr(last)
    elif psnrs:
        low, high = 0, last
        while low < high:  # the last setting that is not better than the lowest
            middle = (low + high + 1) // 2
            if measured.psnr(middle) <= min(psnrs):
                low = middle
            else:
                high = middle - 1
        while measured.psnr(low) < max(psnrs) and low < last:
            low += 1
    points = sorted((value, size, measured.settings[n]) for n, (value, size) in measured.found.items())
    decibels, sizes, settings = zip(*points, strict=True) if points else ((), (), ())
    return settings, sizes, decibels
