"""A trained pair as codecs to measure, grey or RGB: its two bundles are files, each side loads its own."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import codec
from benchmarks.codecs import Arrangement, Codec, Pixels

__all__ = ["PairFiles", "model_of", "pair_codecs"]

_SINGLES = 2000
"""Images that single packets are measured on."""


@dataclass(frozen=True)
class PairFiles:
    """Where a pair's two bundles are."""

    encoder: Path
    decoder: Path


@cache
def _encoder(path: Path) -> codec.Encoder:
    return codec.load_encoder(path)


@cache
def _decoder(path: Path) -> codec.Decoder:
    return codec.load_decoder(path)


@dataclass(frozen=True)
class _Sender:
    """Images without an axis of channels where they are grey; ``compact`` is of a packet of one image."""

    pair: PairFiles
    grey: bool
    compact: bool = False

    def __call__(self, images: Pixels, quality: float) -> bytes:
        pixels = images[..., None] if self.grey else images
        return _encoder(self.pair.encoder).encode(pixels, quality=round(quality), compact=self.compact)


@dataclass(frozen=True)
class _Receiver:
    pair: PairFiles

    def __call__(self, packet: bytes) -> Pixels:
        return _decoder(self.pair.decoder).decode(packet)


def model_of(pair: PairFiles) -> str:
    """The kind of its architecture, which the data decided."""
    return _encoder(pair.encoder).bundle.pair.architecture.kind


def pair_codecs(name: str, pair: PairFiles, *, grey: bool) -> list[Codec]:
    """One packet of all images; a packet for each, in the compact framing; and one for each, in the usual."""
    settings = tuple(float(quality) for quality in range(_encoder(pair.encoder).qualities))

    def one(label: str, arrangement: Arrangement, *, compact: bool) -> Codec:
        return Codec(
            label,
            "quality",
            settings,
            _Sender(pair, grey, compact),
            _Receiver(pair),
            arrangement=arrangement,
            kind="pair",
            most=_SINGLES if arrangement == "each" else None,
        )

    return [
        one(name, "packet", compact=False),
        one(f"{name}, single packets", "each", compact=True),
        one(f"{name}, not compact, single packets", "each", compact=False),
    ]
