"""What a pair's networks look like, as data: descriptions that bundles store and both halves build from.

No JAX here: a bundle's weights are checked against ``weight_shapes`` before any network is built. A file
names one of ``KINDS``; it never names code. ``codec.registry`` adds kinds of a user's own.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from reprlib import repr as short
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from codec.errors import BundleError, OptionError
from codec.limits import Limits
from codec.tiles import MOST_MARGIN

__all__ = [
    "KINDS",
    "LIVE_CLASSES",
    "Architecture",
    "Convolutional",
    "Dense",
    "Ranges",
    "Residual",
    "Shapes",
    "Side",
    "Upsampling",
]

Side = Literal["encoder", "decoder"]
Shapes = dict[str, tuple[int, ...]]

LIVE_CLASSES = 432
"""Kinds of neighbourhoods that a pixel may have, for ``codec.rounding``."""

Ranges = Mapping[str, tuple[int, int]]
_FILTERS: Ranges = {"filters": (1, 1024)}
_MOST_LISTED = 1024
"""Values of a field that is a tuple of any length."""


@dataclass(frozen=True, kw_only=True)
class Architecture(ABC):
    """What all kinds of networks have in common.

    Attributes:
        image_channels: channels of the images, 1 for grey and 3 for RGB.
        code_channels: channels of the codes.
        layers: halvings of height and width in the analysis, and doublings in the synthesis.
    """

    kind: ClassVar[str]
    kernel_dtype: ClassVar[Literal["float32", "float16"]] = "float32"
    """How a bundle stores kernels; all other weights are float32."""
    ranges: ClassVar[Ranges] = {"image_channels": (1, 4), "code_channels": (1, 1024), "layers": (1, 6)}
    """The least and the most of each field of whole numbers; fields that are not here hold plain values."""
    steady: ClassVar[bool] = False
    """Whether codes are the same to the last bit however many images the analysis is given at once."""

    image_channels: int = 1
    code_channels: int = 32
    layers: int = 2

    def __post_init__(self) -> None:
        types = _types(type(self))
        for field in fields(self):
            _check_field(
                field.name, types[field.name], getattr(self, field.name), self.ranges.get(field.name)
            )

    @property
    def stride(self) -> int:
        """Pixels along one axis for each cell of the codes."""
        return 1 << self.layers

    @property
    def alignment(self) -> int:
        """Pixels that height and width are padded to whole multiples of."""
        return self.stride

    def code_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Shape of one image's codes, after the image is padded."""
        cells = self.alignment // self.stride
        return (
            -(-height // self.alignment) * cells,
            -(-width // self.alignment) * cells,
            self.code_channels,
        )

    def padded_pixels(self, height: int, width: int) -> int:
        """Values of one image of this size, after it is padded."""
        rows, columns, _ = self.code_shape(height, width)
        return rows * columns * self.stride**2 * self.image_channels

    @abstractmethod
    def activations(self, height: int, width: int) -> int:
        """Values of the widest layer of the networks for one image of this size."""

    def takes(self, height: int, width: int) -> bool:
        """Whether the networks can take images of this size: any, unless a kind says otherwise."""
        return True

    @abstractmethod
    def margin(self, side: Side) -> int | None:
        """How many pixels around a part of a picture one half looks at to make that part.

        The part begins and ends at whole multiples of ``alignment``, and so does what is around it: the codes
        of the part depend on pixels no further away (encoder), its pixels on codes no further away (decoder).
        At most ``codec.tiles.MOST_MARGIN``; None where a half looks at all of the picture.
        """

    @abstractmethod
    def weight_shapes(self, side: Side) -> Shapes:
        """Name and shape of every weight of one half, in the order of the layers."""

    def weight_dtype(self, name: str) -> str:
        """How a bundle stores the weight called ``name``."""
        return self.kernel_dtype if name.endswith("/kernel") else "float32"

    def check_chunk(self, count: int, height: int, width: int, limits: Limits) -> None:
        """Raise ``LimitError`` where a chunk of ``count`` images is over what the limits allow."""
        pixels, symbols = self.padded_pixels(height, width), math.prod(self.code_shape(height, width))
        limits.check("chunk_images", count, "images in a chunk")
        limits.check("chunk_pixels", count * pixels, "pixels in a chunk")
        limits.check("chunk_symbols", count * symbols, "symbols in a chunk")
        limits.check("image_activations", self.activations(height, width), "values of a layer for one image")

    def to_dict(self) -> dict[str, Any]:
        """The description as plain values, for a bundle; "kind" comes first."""
        values = {"kind": self.kind, **asdict(self)}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Architecture":
        """The reverse of ``to_dict``; raises ``BundleError`` on anything but these fields in this order."""
        kind = values.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            raise BundleError(
                f"architecture, kind: expected one of {', '.join(KINDS)}, found {short(kind)}; update "
                "split-codec if the bundle is newer; if the kind is its author's own, import the author's "
                "code that calls codec.register_architecture first"
            )
        expected = ["kind", *(field.name for field in fields(KINDS[kind]))]
        if list(values) != expected:
            found = [f"{name!s:.40}" for name in values]
            raise BundleError(f"architecture: expected the fields {expected}, found {found}")
        arguments: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
            if name != "kind"
        }
        try:
            return KINDS[kind](**arguments)
        except OptionError as error:
            raise BundleError(str(error)) from None


@cache
def _types(kind: type[Architecture]) -> dict[str, Any]:
    """The types that the fields of a kind are declared with."""
    return get_type_hints(kind)


def _check_field(name: str, declared: Any, value: Any, bounds: tuple[int, int] | None) -> None:
    """Raise ``OptionError`` unless ``value`` is what the field is declared to hold, and within its bounds."""
    listed = get_origin(declared) is tuple
    kinds = get_args(declared) if listed else (declared,)
    values = value if isinstance(value, tuple) else (value,)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = len(values) * kinds[:1] if len(values) <= _MOST_LISTED else ()
    fits = listed == isinstance(value, tuple) and len(kinds) == len(values)
    fits = fits and all(type(one) is kind for one, kind in zip(values, kinds, strict=True))
    if fits and bounds is not None:
        fits = all(bounds[0] <= one <= bounds[1] for one in values)
    elif fits:
        fits = all(math.isfinite(one) for one in values if isinstance(one, float))
    if fits:
        return
    if bounds is not None:
        told = f"{'whole numbers' if listed else 'a whole number'} from {bounds[0]} to {bounds[1]}"
    else:
        names = ", ".join(getattr(kind, "__name__", "...") for kind in get_args(declared) or (declared,))
        told = f"a list of {names}" if listed else names
    raise OptionError(f"architecture, {name}: expected {told}, found {short(value)}")


@dataclass(frozen=True, kw_only=True)
class Convolutional(Architecture):
    """Convolutions alone, for images of any size. The defaults are the article's: 28,353 parameters.

    Attributes:
        filters: channels of every hidden layer.
    """

    kind = "convolutional"
    ranges: ClassVar[Ranges] = {**Architecture.ranges, **_FILTERS}
    steady = True
    doubling: ClassVar[str] = "transposed"
    """What the layers of the synthesis that come with a doubling are called."""

    filters: int = 32

    def activations(self, height: int, width: int) -> int:
        """Those of a layer at the images' own size, or of the codes before they are pooled."""
        rows, columns, channels = self.code_shape(height, width)
        return rows * columns * max(self.stride**2 * max(self.filters, self.image_channels), 4 * channels)

    def margin(self, side: Side) -> int:
        """The width of one code, for both halves.

        In the analysis the convolution of layer i reaches 2^i pixels, all of them together stride - 1. In the
        synthesis the last convolution reaches one pixel, and so one value of what each transposed convolution
        takes, up to one code.
        """
        return self.stride

    def weight_shapes(self, side: Side) -> Shapes:
        """Name and shape of every weight of one half, in the order of the layers."""
        outputs: list[tuple[str, int]]
        if side == "encoder":
            inputs = self.image_channels
            outputs = [(f"convolution_{i}", self.filters) for i in range(self.layers - 1)]
            outputs.append((f"convolution_{self.layers - 1}", self.code_channels))
        else:
            inputs = self.code_channels
            outputs = [(f"{self.doubling}_{i}", self.filters) for i in range(self.layers)]
            outputs.append(("convolution", self.image_channels))
        shapes: Shapes = {}
        for name, features in outputs:
            shapes[f"{name}/bias"] = (features,)
            shapes[f"{name}/kernel"] = (3, 3, inputs, features)
            inputs = features
        return shapes


@dataclass(frozen=True, kw_only=True)
class Upsampling(Convolutional):
    """The article's analysis, and a synthesis that doubles by repeating pixels between plain convolutions.

    This is the tutorial's network that cleans noisy digits. Its weights have the shapes of ``Convolutional``.
    """

    kind = "upsampling"
    doubling = "convolution"

    def margin(self, side: Side) -> int:
        """The width of one code in the analysis, of two in the synthesis.

        There the last convolution reaches into the value beside, which belongs to the next code, and so does
        each one before it: the first, over the codes themselves, then reaches the code after that.
        """
        return self.stride if side == "encoder" else 2 * self.stride


@dataclass(frozen=True, kw_only=True)
class Dense(Architecture):
    """Convolutions around dense layers that mix the whole grid, for images of one size.

    Only ``elements`` of the codes' values are ever other than zero: the first ones, counted channel by
    channel, row by row. Biases and gains differ by quality.

    Attributes:
        rows, columns: of the codes.
        filters: channels of each convolution, in the order of the analysis: one for each of ``layers``.
        units: width of the dense layers.
        elements: values of the codes that are in use.
        qualities: operating points that the networks know.
    """

    kind = "dense"
    kernel_dtype = "float16"
    ranges: ClassVar[Ranges] = {
        **Architecture.ranges,
        **_FILTERS,
        "rows": (1, 1024),
        "columns": (1, 1024),
        "elements": (1, 1 << 16),
        "units": (1, 1 << 14),
        "qualities": (1, 256),
    }

    rows: int = 7
    columns: int = 7
    filters: tuple[int, ...] = (24, 40)
    units: int = 512
    elements: int = 392
    qualities: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.filters) is not tuple or len(self.filters) != self.layers:
            raise OptionError(
                f"architecture, filters: expected {self.layers}, one a layer, found {short(self.filters)}"
            )
        if self.elements > self.rows * self.columns * self.code_channels:
            raise OptionError(
                f"architecture, elements: expected at most the {self.rows}x{self.columns}x"
                f"{self.code_channels} values of the codes, found {self.elements}"
            )

    @property
    def pixels(self) -> int:
        """Values of one image, after padding."""
        return self.rows * self.columns * self.stride**2 * self.image_channels

    def activations(self, height: int, width: int) -> int:
        """Those of a convolution, of the dense layers, or of the codes."""
        cells = self.rows * self.columns
        widest = max(filters << 2 * (self.layers - 1 - i) for i, filters in enumerate(self.filters))
        return max(cells * max(widest, self.code_channels), self.pixels, self.units)

    def takes(self, height: int, width: int) -> bool:
        """The sizes that pad to ``rows`` x ``columns`` cells."""
        return self.code_shape(height, width)[:2] == (self.rows, self.columns)

    def margin(self, side: Side) -> int | None:
        """None: dense layers mix the whole grid."""
        return None

    def weight_shapes(self, side: Side) -> Shapes:
        """Name and shape of every weight of one half, in the order of the layers."""
        cells, narrow = self.rows * self.columns, 4 * self.image_channels
        by_code, by_unit = (self.qualities, self.elements), (self.qualities, self.units)
        if side == "encoder":
            shapes: Shapes = {"linear/kernel": (self.pixels, self.elements)}
            inputs = self.image_channels
            for i, features in enumerate(self.filters):
                shapes[f"convolution_{i}/bias"] = (features,)
                shapes[f"convolution_{i}/kernel"] = (3, 3, 4 * inputs, features)
                inputs = features
            shapes |= {
                "dense_0/bias": by_unit,
                "dense_0/kernel": (cells * inputs, self.units),
                "dense_1/bias": by_unit,
                "dense_1/kernel": (self.units, self.units),
                "dense_2/kernel": (self.units, self.elements),
                "codes/bias": by_code,
                "codes/log_gain": by_code,
                "feedback/gain": by_code,
                "feedback/live": (LIVE_CLASSES,),
            }
            return shapes
        features = self.filters[-1]
        shapes = {
            "codes/bias": by_code,
            "codes/log_gain": by_code,
            "linear/bias": (self.pixels,),
            "linear/kernel": (self.elements, self.pixels),
            "dense_0/bias": by_unit,
            "dense_0/kernel": (self.elements, self.units),
            "dense_1/bias": by_unit,
            "dense_1/kernel": (self.units, self.units),
            "dense_2/bias": (self.qualities, features),
            "dense_2/kernel": (self.units, cells * features),
        }
        widths = [4 * filters for filters in reversed(self.filters[:-1])] + [narrow]
        for i, width in enumerate(widths):
            shapes[f"convolution_{i}/bias"] = (width,)
            shapes[f"convolution_{i}/kernel"] = (3, 3, features, width)
            features = width // 4
        return shapes

    def multiply_adds(self, side: Side) -> int:
        """Multiplications with a weight that one image takes in one half."""
        total = 0
        for name, shape in self.weight_shapes(side).items():
            if name.endswith("/kernel"):
                times = 1
                if name.startswith("convolution"):
                    level = int(name.rsplit("/", 1)[0].rsplit("_", 1)[1])
                    halvings = level + 1 if side == "encoder" else self.layers - level
                    times = self.rows * self.columns * 4 ** (self.layers - halvings)
                total += math.prod(shape) * times
        return total


@dataclass(frozen=True, kw_only=True)
class Residual(Architecture):
    """A linear transform of blocks, bent by residual convolutions, for images of any size.

    A *block* is 2x2 cells of the codes, twice the stride a side. Its elements are all values of its cells.
    Biases and gains differ by quality.

    Attributes:
        filters: channels of the convolutions at one value a block; half as many at one a cell.
        blocks: residual blocks in each half.
        qualities: operating points that the networks know.
    """

    kind = "residual"
    kernel_dtype = "float16"
    ranges: ClassVar[Ranges] = {**Architecture.ranges, **_FILTERS, "blocks": (0, 16), "qualities": (1, 256)}

    filters: int = 128
    blocks: int = 2
    qualities: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.filters % 2:
            raise OptionError(f"architecture, filters: expected an even number, found {self.filters}")
        if self.margin("decoder") > MOST_MARGIN:
            raise OptionError(
                f"architecture, layers and blocks: expected them to reach at most {MOST_MARGIN} pixels, "
                f"(blocks + 3) x 2^(layers + 1), found {self.margin('decoder')}"
            )

    @property
    def alignment(self) -> int:
        """The side of a block."""
        return 2 * self.stride

    @property
    def elements(self) -> int:
        """Values of the codes in one block."""
        return 4 * self.code_channels

    @property
    def pixels(self) -> int:
        """Values of the images in one block."""
        return self.alignment**2 * self.image_channels

    def activations(self, height: int, width: int) -> int:
        """Those of the images, of the codes, or of a convolution."""
        rows, columns, _ = self.code_shape(height, width)
        return rows * columns // 4 * max(self.pixels, self.elements, 2 * self.filters)

    def margin(self, side: Side) -> int:
        """One block for each convolution over blocks, and one for those over cells.

        Over blocks there are ``blocks`` + 1 in the analysis and ``blocks`` + 2 in the synthesis; over cells
        there is one.
        """
        over_blocks = self.blocks + (1 if side == "encoder" else 2)
        return (over_blocks + 1) * self.alignment

    def weight_shapes(self, side: Side) -> Shapes:
        """Name and shape of every weight of one half, in the order of the layers."""
        wide, half, cell = self.filters, self.filters // 2, self.pixels // 4
        by_code = {
            "codes/bias": (self.qualities, self.elements),
            "codes/log_gain": (self.qualities, self.elements),
        }
        residual: Shapes = {}
        for i in range(self.blocks):
            residual |= self._convolution(f"residual_{i}", wide, wide)
            residual[f"mix_{i}/kernel"] = (wide, wide)
        if side == "encoder":
            return {
                "linear/kernel": (self.pixels, self.elements),
                **self._convolution("convolution_0", cell, half),
                **self._convolution("convolution_1", 4 * half, wide),
                **residual,
                "elements/kernel": (wide, self.elements),
                **by_code,
            }
        return {
            **by_code,
            "linear/bias": (self.pixels,),
            "linear/kernel": (self.elements, self.pixels),
            **self._convolution("convolution_0", self.elements, wide),
            **residual,
            **self._convolution("convolution_1", wide, 4 * half),
            **self._convolution("convolution_2", half, cell),
        }

    def _convolution(self, name: str, inputs: int, features: int) -> Shapes:
        return {
            f"{name}/bias": (self.qualities, features),
            f"{name}/kernel": (3, 3, inputs, features),
        }


KINDS: dict[str, type[Architecture]] = {
    kind.kind: kind for kind in (Convolutional, Dense, Residual, Upsampling)
}
"""The kinds of networks that this process can build, by the name a bundle gives them."""
