"""Rate, distortion and speed of a pair on images: from real packets and what the decoder made of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from codec.decoder import Decoder
from codec.encoder import Encoder

__all__ = ["Measurement", "evaluate", "image_errors", "pixel_errors", "psnr"]

_PEAK = 255


@dataclass(frozen=True)
class Measurement:
    """One quality on one set of images.

    Attributes:
        quality: index into the pair's qualities.
        effort: of the encoder.
        images: how many.
        packet_bytes: length of the one packet that holds them all, header included.
        bytes_per_image: packet_bytes over images.
        bits_per_pixel: bits over height x width x images.
        mse: mean squared error of the decoded uint8 pixels, on the 0..1 scale, over all pixels.
        psnr: of that MSE, in dB; infinite if every pixel is the same.
        mae: mean absolute error on the 0..1 scale.
        encode_images_per_s, decode_images_per_s: of one call each, after a warm-up.
    """

    quality: int
    effort: int
    images: int
    packet_bytes: int
    bytes_per_image: float
    bits_per_pixel: float
    mse: float
    psnr: float
    mae: float
    encode_images_per_s: float
    decode_images_per_s: float


def psnr(mse: float) -> float:
    """Peak signal-to-noise ratio in dB: -10 log10 of an MSE on the 0..1 scale."""
    return float(-10 * np.log10(mse)) if mse > 0 else float("inf")


def evaluate(
    encoder: Encoder,
    decoder: Decoder,
    images: NDArray[np.uint8],
    qualities: Sequence[int],
    effort: int = 0,
    on_decoded: Callable[[int, NDArray[np.uint8]], None] | None = None,
    targets: NDArray[np.uint8] | None = None,
) -> Iterator[Measurement]:
    """Encode uint8 ``images`` [N, H, W, C] to one packet and decode it, for each quality.

    Args:
        targets: what errors are counted from, where that is not ``images`` themselves: of noisy images the
            clean ones.
        on_decoded: told each quality and what became of the images.

    Raises:
        CodecError: what ``encode`` and ``decode`` raise, a mismatch of the two sides among it.
    """
    # Once unmeasured and in full: the last chunk's batch sizes differ, and compiling is no part of a figure.
    decoder.decode(encoder.encode(images, quality=qualities[-1], effort=effort))
    for quality in qualities:
        start = perf_counter()
        packet = encoder.encode(images, quality=quality, effort=effort)
        encoded = perf_counter()
        decoded = decoder.decode(packet)
        done = perf_counter()
        if on_decoded is not None:
            on_decoded(quality, decoded)
        squared, absolute = pixel_errors(images if targets is None else targets, decoded)
        pixels = images.shape[0] * images.shape[1] * images.shape[2]
        yield Measurement(
            quality=quality,
            effort=effort,
            images=len(images),
            packet_bytes=len(packet),
            bytes_per_image=len(packet) / len(images),
            bits_per_pixel=8 * len(packet) / pixels,
            mse=squared,
            psnr=psnr(squared),
            mae=absolute,
            encode_images_per_s=len(images) / (encoded - start),
            decode_images_per_s=len(images) / (done - encoded),
        )


def pixel_errors(images: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> tuple[float, float]:
    """Mean squared and mean absolute error on the 0..1 scale, summed in integers, so exact."""
    squared = absolute = 0
    for one, other in zip(images, decoded, strict=True):
        difference = np.abs(one.astype(np.int64) - other)
        squared += int((difference**2).sum())
        absolute += int(difference.sum())
    return squared / images.size / _PEAK**2, absolute / images.size / _PEAK


def image_errors(images: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean squared error of each image on the 0..1 scale: float64 [N]."""
    differences = (one.astype(np.int64) - other for one, other in zip(images, decoded, strict=True))
    return np.array([(difference**2).mean() / _PEAK**2 for difference in differences], np.float64)
