"""What a network looks like, as data: a frozen description that bundles store and both halves build from.

No JAX here: a bundle's weights are checked against ``weight_shapes`` before any network is built. A file
names one of ``KINDS``; it never names code.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from reprlib import repr as short
from typing import Any, Literal

from codec.errors import BundleError, OptionError
from codec.limits import Limits

__all__ = ["KINDS", "Architecture", "Side"]

Side = Literal["encoder", "decoder"]

KINDS = ("convolutional",)
"""The families of networks this version can build."""

_RANGES = {
    "image_channels": (1, 4),
    "code_channels": (1, 1024),
    "layers": (1, 6),
    "filters": (1, 1024),
}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A pair's two networks. The defaults are the article's: 28,353 parameters for grey images.

    Attributes:
        kind: the family, one of ``KINDS``.
        image_channels: channels of the images, 1 for grey and 3 for RGB.
        code_channels: channels of the codes.
        layers: halvings of height and width in the analysis, and doublings in the synthesis.
        filters: channels of every hidden layer.
    """

    kind: str = "convolutional"
    image_channels: int = 1
    code_channels: int = 32
    layers: int = 2
    filters: int = 32

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise OptionError(
                f"architecture, kind: expected one of {', '.join(KINDS)}, found {short(self.kind)}"
            )
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise OptionError(
                    f"architecture, {name}: expected a whole number from {low} to {high}, "
                    f"found {short(value)}"
                )

    @property
    def stride(self) -> int:
        """Pixels along one axis for each cell of the codes."""
        return 1 << self.layers

    def code_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Shape of one image's codes, after the image is padded to whole cells."""
        return -(-height // self.stride), -(-width // self.stride), self.code_channels

    def check_chunk(self, count: int, height: int, width: int, limits: Limits) -> None:
        """Raise ``LimitError`` where a chunk of ``count`` images is over what the limits allow."""
        rows, columns, channels = self.code_shape(height, width)
        pixels = rows * columns * self.stride**2 * self.image_channels
        limits.check("chunk_images", count, "images in a chunk")
        limits.check("chunk_pixels", count * pixels, "pixels in a chunk")
        limits.check("chunk_symbols", count * rows * columns * channels, "symbols in a chunk")

    def weight_shapes(self, side: Side) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight of one half, in the order of the layers."""
        outputs: list[tuple[str, int]]
        if side == "encoder":
            inputs = self.image_channels
            outputs = [(f"convolution_{i}", self.filters) for i in range(self.layers - 1)]
            outputs.append((f"convolution_{self.layers - 1}", self.code_channels))
        else:
            inputs = self.code_channels
            outputs = [(f"transposed_{i}", self.filters) for i in range(self.layers)]
            outputs.append(("convolution", self.image_channels))
        shapes: dict[str, tuple[int, ...]] = {}
        for name, features in outputs:
            shapes[f"{name}/bias"] = (features,)
            shapes[f"{name}/kernel"] = (3, 3, inputs, features)
            inputs = features
        return shapes

    def to_dict(self) -> dict[str, Any]:
        """The description as plain values, for a bundle."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Architecture":
        """The reverse of ``to_dict``; raises ``BundleError`` on anything but exactly these fields."""
        expected = {field.name for field in fields(cls)}
        if set(values) != expected:
            raise BundleError(
                f"architecture: expected the fields {sorted(expected)}, found {sorted(map(str, values))}"
            )
        try:
            return cls(**values)
        except OptionError as error:
            raise BundleError(str(error)) from None
