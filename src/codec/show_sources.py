"""What ``codec show`` is given, read: pairs by name, packets by their first bytes, arrays, sample digits."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from codec.errors import FileError, OptionError
from codec.loading import pretrained

if TYPE_CHECKING:
    from codec.decoder import Decoder
    from codec.encoder import Encoder

__all__ = ["array_images", "batches", "is_packet_file", "packet_codes", "pair_files", "sample_digits"]

Pixels = NDArray[np.uint8]

_HEAD = 64
"""Bytes that tell a packet from an image."""


def pair_files(what: str) -> tuple[str, str] | None:
    """The encoder and the decoder of a pair: a shipped one's name, or PATH of PATH.encoder.msgpack."""
    if what in pretrained():
        return what, what
    encoder, decoder = (f"{what}.{side}.msgpack" for side in ("encoder", "decoder"))
    return (encoder, decoder) if Path(encoder).is_file() else None


def is_packet_file(path: str) -> bool:
    """Whether it is standard input, or a file that begins like a packet, sealed or not."""
    from codec.packet import is_packet
    from codec.sealing import is_sealed

    if path == "-":
        return True
    if not Path(path).is_file():
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {error.strerror}") from None
    return is_packet(head) or is_sealed(head)


def packet_codes(decoder: "Decoder", packet: bytes) -> Iterator[NDArray[np.float32]]:
    """The codes in a packet, an image at a time: its symbols times the steps of its quality."""
    from codec.packet_reader import read_packet
    from codec.quantise import dequantise

    header, _ = read_packet(packet, decoder.limits)
    symbols = decoder.picture_symbols if header.framing == "mixed" else decoder.symbols
    for some in symbols(packet):
        yield dequantise(some, decoder.bundle.pair.steps[header.quality])


def sample_digits(name: str, encoder: "Encoder", count: int) -> list[Pixels]:
    """Digits in the package, evenly picked, for a pair that takes such."""
    from codec.samples import sample_images

    pair, digits = encoder.bundle.pair, sample_images()
    _, height, width, channels = digits.shape
    if pair.architecture.image_channels != channels or not pair.takes(height, width):
        raise OptionError(
            f"the pair {name}: expected images of {pair.height}x{pair.width} pixels and "
            f"{pair.architecture.image_channels} channels, which the package has none of; add --images PATH"
        )
    picked = np.linspace(0, len(digits) - 1, min(count, len(digits))).round().astype(np.intp)
    return list(digits[picked])


def array_images(path: Path, encoder: "Encoder", count: int) -> list[Pixels]:
    """The first images of a .npy file, uint8 or floats in 0 to 1, which nothing converts."""
    from codec.datasources import numpy_file
    from codec.images import as_batch

    channels = encoder.bundle.pair.architecture.image_channels
    with numpy_file(path) as array:
        several = array.ndim == 4 or (array.ndim == 3 and array.shape[2] != channels)
        batch = as_batch(np.array(array[:count] if several else array), channels)
    return list(batch if batch.dtype == np.uint8 else np.rint(batch * 255).astype(np.uint8))


def batches(images: list[Pixels]) -> Iterator[NDArray[np.uint8]]:
    """Images as arrays of those of one size."""
    for shape in dict.fromkeys(image.shape for image in images):
        yield np.stack([image for image in images if image.shape == shape])
