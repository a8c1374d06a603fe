"""What the harness measures: a way to turn images into bytes and back, with its settings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from codec.pictures import from_sheet, sheet

__all__ = ["Arrangement", "Codec", "Kind", "Measurable", "Pixels", "from_sheet", "sheet"]

Pixels = NDArray[np.uint8]
Arrangement = Literal["each", "sheet", "stream", "packet"]
Kind = Literal["pair", "format", "bytes", "linear", "learned"]


@dataclass(frozen=True)
class Codec:
    """A way to turn images into bytes and back, with the settings it is measured at.

    Attributes:
        name: as in the results.
        parameter: what the setting is: quality, distance, effort.
        settings: its values, from the fewest bytes to the most.
        encode: pixels and a setting to bytes. Pixels are [H, W], or [H, W, 3] where they are RGB; of a stream
            or packet there is an axis of images before.
        decode: bytes to those pixels; a flat array of them will do. A function or object that can be pickled.
        lossless: the pixels come back exactly, which measuring checks.
        arrangement: what becomes one file: each image, a sheet of all side by side, the stream of all their
            pixels, or a packet of all.
        kind: of the pair's or of which peer's family.
        payload: what a file holds without its container: its name, and how many of the file's bytes it is.
        most: measured on no more than the first so many images, because it is slow.
    """

    name: str
    parameter: str
    settings: tuple[float, ...]
    encode: Callable[[Pixels, float], bytes]
    decode: Callable[[bytes], Pixels]
    lossless: bool = False
    arrangement: Arrangement = "each"
    kind: Kind = "format"
    payload: tuple[str, Callable[[bytes], int]] | None = None
    most: int | None = None

    def files(self, images: Pixels, setting: float) -> list[bytes]:
        """What is sent for ``images`` [N, H, W] or [N, H, W, 3]."""
        whole = images if self.arrangement == "each" else images[None]
        if self.arrangement == "sheet":
            whole = sheet(images)[None]
        return [self.encode(pixels, setting) for pixels in whole]

    def images(self, files: Sequence[bytes], shape: tuple[int, ...]) -> Pixels:
        """The images of ``shape`` [N, H, W] or [N, H, W, 3] that such files hold."""
        decoded = [np.asarray(self.decode(file)) for file in files]
        if self.arrangement == "sheet":
            return from_sheet(decoded[0], shape)
        return np.concatenate([part.ravel() for part in decoded]).reshape(shape)


class Measurable(Protocol):
    """What the harness asks of a codec; ``Codec`` says what each attribute is."""

    @property
    def name(self) -> str: ...
    @property
    def parameter(self) -> str: ...
    @property
    def settings(self) -> tuple[float, ...]: ...
    @property
    def lossless(self) -> bool: ...
    @property
    def arrangement(self) -> Arrangement: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def payload(self) -> tuple[str, Callable[[bytes], int]] | None: ...
    @property
    def most(self) -> int | None: ...
    def files(self, images: Pixels, setting: float) -> list[bytes]:
        """What is sent for ``images`` [N, H, W]."""
        ...

    def images(self, files: Sequence[bytes], shape: tuple[int, ...]) -> Pixels:
        """The images of ``shape`` [N, H, W] or [N, H, W, 3] that such files hold."""
        ...
