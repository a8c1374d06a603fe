"""Measuring a codec: what it sends as bytes, and what another process makes of those bytes alone.

The receiving process is started before the first image is encoded, so that nothing but the codec as it was
then, and the bytes, can reach it. It counts the bytes as they come in. What a codec says of its own output
is never asked. A codec that fails gets a row that says so.
"""

import math
import multiprocessing
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from skimage.metrics import structural_similarity

from benchmarks.codecs import Arrangement, Kind, Measurable, Pixels
from codec.evaluation import pixel_errors, psnr

__all__ = ["Measured", "Row", "measure", "unseen"]

_START_SECONDS = 120
_PEAK = 255


@dataclass(frozen=True)
class Row:
    """One codec at one setting: rate and distortion over all its images, or why there are none.

    Attributes:
        bytes_per_image: of all that the receiver was sent, headers included, over the number of images.
        bits_per_pixel: the same in bits, over height x width.
        mse, mae: mean squared and absolute error over all pixels, on the 0..1 scale.
        psnr: of that MSE, in dB; None where every pixel came back.
        ssim: mean structural similarity of the images (Wang and others 2004; 7x7 windows).
        worst_psnr: of the image with the largest error; None where every pixel came back.
        error: why the measurement failed; then there are no figures.
    """

    codec: str
    kind: Kind
    arrangement: Arrangement
    parameter: str
    setting: float
    images: int
    lossless: bool
    bytes_per_image: float | None = None
    bits_per_pixel: float | None = None
    mse: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    mae: float | None = None
    worst_psnr: float | None = None
    note: str = ""
    error: str | None = None


@dataclass(frozen=True)
class Measured:
    """Rows of one setting (the files' and, where it is counted too, their payload's) and what was decoded."""

    rows: tuple[Row, ...]
    decoded: Pixels | None


def unseen(images: Pixels, training: Pixels) -> None:
    """Raise ``ValueError`` if one of ``images`` is among the ``training`` images."""
    known = {image.tobytes() for image in training}
    seen = [number for number, image in enumerate(images) if image.tobytes() in known]
    if seen:
        raise ValueError(
            f"expected images that nothing was trained on, found image {seen[0]} in the training set"
        )


def _receive(connection: Connection, codec: Measurable) -> None:
    """The other process: files in, their length and the images out."""
    connection.send("ready")
    while True:
        shape = connection.recv()
        if shape is None:
            return
        files = [connection.recv_bytes() for _ in range(connection.recv())]
        try:
            answer: Any = sum(map(len, files)), codec.images(files, shape)
        except Exception as error:  # any failure of a peer is a result
            answer = f"{type(error).__name__}: {error}"
        connection.send(answer)


class Receiver:
    """The process that decodes; it has the codec as it is now and whatever bytes ``decode`` sends it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def decode(self, files: Sequence[bytes], shape: tuple[int, ...]) -> tuple[int, Pixels]:
        """How many bytes arrived, and the images that came out of them.

        Raises:
            ValueError: decoding failed there; the message says how.
        """
        self._connection.send(shape)
        self._connection.send(len(files))
        for file in files:
            self._connection.send_bytes(file)
        answer: tuple[int, Pixels] | str = self._connection.recv()
        if isinstance(answer, str):
            raise ValueError(f"decoding failed: {answer}")
        return answer


@contextmanager
def receiver(codec: Measurable) -> Iterator[Receiver]:
    """A fresh process that decodes for ``codec``."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_receive, args=(theirs, codec), daemon=True)
    try:
        process.start()
    except (AttributeError, pickle.PicklingError, TypeError) as error:
        raise ValueError(f"the codec cannot be given to another process: {error}") from None
    theirs.close()
    try:
        if not ours.poll(_START_SECONDS) or ours.recv() != "ready":
            raise ValueError(f"the receiving process did not start within {_START_SECONDS} s")
        yield Receiver(ours)
        ours.send(None)
    except EOFError:
        raise ValueError("the receiving process ended early") from None
    finally:
        process.join(5)
        process.kill()
        ours.close()


def measure(codec: Measurable, images: Pixels) -> Iterator[Measured]:
    """Every setting of a codec on uint8 ``images`` [N, H, W] or [N, H, W, 3]."""
    images = images[: codec.most]
    blank = [_row(codec, setting, len(images)) for setting in codec.settings]
    try:
        with receiver(codec) as other:
            for start, setting in zip(blank, codec.settings, strict=True):
                yield _measured(codec, images, start, setting, other)
    except (OSError, ValueError) as error:
        yield Measured(tuple(_failed(row, error) for row in blank[:1]), None)


def _row(codec: Measurable, setting: float, images: int) -> Row:
    return Row(codec.name, codec.kind, codec.arrangement, codec.parameter, setting, images, codec.lossless)


def _failed(row: Row, error: Exception) -> Row:
    return replace(row, error=f"{error}")


def _measured(codec: Measurable, images: Pixels, start: Row, setting: float, other: Receiver) -> Measured:
    try:
        files = codec.files(images, setting)
        length, decoded = other.decode(files, images.shape)
        row = replace(start, **rate(images, length), **distortion(images, decoded))
        if codec.lossless and row.mse:
            raise ValueError(f"expected the same pixels back, found an MSE of {row.mse:.3g}")
    except Exception as error:  # any failure of a peer is a result, shown as one
        return Measured((_failed(start, error),), None)
    if codec.payload is None:
        return Measured((row,), decoded)
    part, count = codec.payload
    alone = replace(row, codec=f"{codec.name}, {part}", **rate(images, sum(map(count, files))))
    return Measured((row, alone), decoded)


def rate(images: Pixels, length: int) -> dict[str, Any]:
    """Fields of a row for so many bytes."""
    return {
        "bytes_per_image": length / len(images),
        "bits_per_pixel": 8 * length / math.prod(images.shape[:3]),
    }


def distortion(images: Pixels, decoded: Pixels) -> dict[str, Any]:
    """Fields of a row for ``decoded``, uint8 [N, H, W] or [N, H, W, 3] as ``images`` is.

    Raises:
        ValueError: it is of another shape or type.
    """
    if decoded.shape != images.shape or decoded.dtype != np.uint8:
        raise ValueError(
            f"expected uint8 images {list(images.shape)}, found {decoded.dtype} {list(decoded.shape)}"
        )
    squared, absolute = pixel_errors(images, decoded)
    errors = [
        ((one.astype(np.float64) - other) ** 2).mean() / _PEAK**2
        for one, other in zip(images, decoded, strict=True)
    ]
    channels = -1 if images.ndim == 4 else None
    similar = [
        structural_similarity(  # type: ignore[no-untyped-call]
            one, other, data_range=_PEAK, channel_axis=channels
        )
        for one, other in zip(images, decoded, strict=True)
    ]
    return {
        "mse": squared,
        "psnr": psnr(squared) if squared else None,
        "ssim": float(np.mean(similar)),
        "mae": absolute,
        "worst_psnr": psnr(float(max(errors))) if squared else None,
    }
