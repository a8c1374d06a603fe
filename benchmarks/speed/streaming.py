"""A child process that streams images through one half of ``mnist`` and tells its time and peak memory.

    python -m benchmarks.speed.streaming encode IMAGES.npy COUNT PACKET
    python -m benchmarks.speed.streaming decode IMAGES.npy COUNT PACKET

The images go round again until there are COUNT of them. Encoding writes the file PACKET, decoding reads it
piece by piece. Prints a JSON object; its seconds leave out starting, loading and compiling.
"""

import json
import sys
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.child import peak_mib
from benchmarks.speed.pairs import quality_at_target

_AT_ONCE = 1000
_WARM_UP = 1024


def rounds(images: NDArray[np.uint8], count: int) -> Iterator[NDArray[np.uint8]]:
    """``count`` images in all, by going round ``images``, in arrays of at most a thousand."""
    size = min(_AT_ONCE, len(images))
    place = 0
    while count:
        part = images[place : place + min(size, count)]
        yield part
        count -= len(part)
        place = (place + len(part)) % len(images)


def encode(images: NDArray[np.uint8], count: int, path: str) -> float:
    """Seconds of encoding ``count`` images to a file."""
    from codec.encoder import load_encoder

    encoder = load_encoder("mnist")
    quality = quality_at_target(encoder.bundle)
    for size in (_WARM_UP, count % _WARM_UP):  # a whole chunk, and the last one's odd batches
        if size:
            encoder.encode(np.resize(images, (size, *images.shape[1:])), quality=quality)
    start = perf_counter()
    with open(path, "wb") as file:
        for piece in encoder.encode_stream(rounds(images, count), quality=quality):
            file.write(piece)
    return perf_counter() - start


def decode(images: NDArray[np.uint8], count: int, path: str) -> float:
    """Seconds of decoding that file, whose images must be ``count``."""
    from codec.decoder import load_decoder

    decoder = load_decoder("mnist")
    cells = decoder.bundle.pair.architecture.code_shape(*images.shape[1:3])
    for size in (_WARM_UP, count % _WARM_UP):
        if size:
            decoder.images(np.zeros((size, *cells), np.float32))
    decoded = 0
    start = perf_counter()
    with open(path, "rb") as file:
        for chunk in decoder.decode_stream(file):
            decoded += len(chunk.images)
    seconds = perf_counter() - start
    if decoded != count:
        raise ValueError(f"expected {count} images, found {decoded}")
    return seconds


def main() -> None:
    """Stream, and print what it took."""
    work, images, count, path = sys.argv[1], np.load(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    seconds = {"encode": encode, "decode": decode}[work](images, count, path)
    figures: dict[str, Any] = {"seconds": seconds, "peak_mib": peak_mib()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
