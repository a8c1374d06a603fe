"""Pairs of this library as codecs to measure: each image a packet of its own, or one packet of all.

Also what the article itself would send: its codes as they are, 6,272 bytes of floats.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

import codec
from benchmarks.codecs import Codec, Pixels

__all__ = ["float_codes", "pair_codecs"]

_SINGLES = 2000
"""Images that single packets are measured on."""


@cache
def _encoder(name: str) -> codec.Encoder:
    return codec.load_encoder(name)


@cache
def _decoder(name: str) -> codec.Decoder:
    return codec.load_decoder(name)


@dataclass(frozen=True)
class _Pair:
    """A pair by its name, so that another process loads it anew, and there the decoder alone."""

    name: str
    effort: int = 0

    def encode(self, images: Pixels, quality: float) -> bytes:
        """A packet of images [N, H, W], or of one [H, W] in the framing with the least around it."""
        single = images.ndim == 2
        return _encoder(self.name).encode(
            images[..., None], quality=round(quality), effort=self.effort, compact=single
        )

    def decode(self, packet: bytes) -> Pixels:
        return _decoder(self.name).decode(packet)[..., 0]

    def encode_codes(self, images: Pixels, _: float) -> bytes:
        """The codes of images [N, H, W] as float32, without a quantiser."""
        return _encoder(self.name).codes(images[..., None]).tobytes()

    def decode_codes(self, data: bytes) -> Pixels:
        pair = _decoder(self.name).bundle.pair
        codes = np.frombuffer(data, np.float32).reshape(-1, *pair.code_shape)
        return _decoder(self.name).images(codes, height=pair.height, width=pair.width)[..., 0]


def pair_codecs(name: str, efforts: tuple[int, ...] = ()) -> list[Codec]:
    """One packet of all images, again for each of ``efforts``, and a packet for each image."""
    settings = tuple(float(quality) for quality in range(_encoder(name).qualities))

    def one(effort: int) -> Codec:
        pair = _Pair(name, effort)
        label = f"{name}, effort {effort}" if effort else name
        return Codec(label, "quality", settings, pair.encode, pair.decode, arrangement="packet", kind="pair")

    plain = one(0)
    single = replace(plain, name=f"{name}, single packets", arrangement="each", most=_SINGLES)
    return [plain, *map(one, efforts), single]


def float_codes(name: str) -> Codec:
    """A pair's networks alone, their codes sent as the floats they are."""
    pair = _Pair(name)
    return Codec(
        f"{name}, float codes",
        "none",
        (0,),
        pair.encode_codes,
        pair.decode_codes,
        arrangement="packet",
        kind="pair",
    )
