"""Pillow's pictures to 8-bit grey or RGB: what they are by their header, and the rules that convert others.

Without conversion only 8-bit grey, black-and-white and RGB pass, their pixels taken as they are stored.
With it each rule that was applied is told, and what would have to be guessed is refused all the same: 32-bit
values, whose range no file tells, and modes that Pillow has no way from.
"""

from collections import Counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from codec.errors import ImageError

__all__ = ["Converted", "check_convertible", "check_plain", "plain", "plain_arrays", "shape_of", "told"]

Converted = Counter[str]
"""How many pictures each rule was applied to, by its words."""

FIRST: Final = "of several pictures in a file the first is taken"
UPRIGHT: Final = "turned upright, as EXIF tells"
ALPHA: Final = "alpha is laid over white"
DEEP_GREY: Final = "16 bits are rounded to 8 (v x 255 / 65,535)"
DEEP_COLOUR: Final = "of 16 bits a channel the upper 8 are taken"
PALETTE: Final = "a palette's colours become RGB"
INKS: Final = "CMYK becomes RGB, without a colour profile"
YCBCR: Final = "YCbCr becomes RGB"
GREYED: Final = "RGB becomes grey (ITU-R 601)"
COLOURED: Final = "grey becomes RGB of three equal channels"

_GREY = frozenset({"1", "L"})
_DEEP_GREY = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
_WITH_ALPHA = frozenset({"LA", "PA", "RGBA", "RGBa"})
_RULES = {"P": PALETTE, "PA": PALETTE, "CMYK": INKS, "YCbCr": YCBCR}
_CONVERTIBLE = _GREY | _DEEP_GREY | _WITH_ALPHA | _RULES.keys() | {"RGB"}
_COARSE = frozenset({"1", "L;2", "L;4"})
"""Raw modes whose transparent colour is not on the scale of the pixels that Pillow makes of them."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture of each EXIF orientation upright; 1 is."""
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_ORIENTATION = 0x0112
_AT_ONCE_VALUES = 1 << 22


def told(converted: Converted) -> list[str]:
    """A line for each rule that was applied: how often, and the rule."""
    return [f"{count:,} image{'s' * (count > 1)} converted: {rule}" for rule, count in converted.items()]


def check_plain(image: Image.Image, label: str) -> None:
    """Refuse, by its header, a picture that would lose something on the way to 8-bit grey or RGB."""
    if _several(image):
        raise ImageError(
            f"{label}: expected one picture, found an animation; save one frame of it, or add --convert, "
            "which takes the first"
        )
    if image.mode not in _GREY | {"RGB"}:
        _check_known(image, label)
        raise ImageError(
            f"{label}: expected an 8-bit grey or RGB image, found mode {image.mode!r}; add --convert, or "
            "convert it first, for example with Pillow's image.convert('RGB')"
        )
    if "transparency" in image.info:
        raise ImageError(
            f"{label}: expected an image without transparency; flatten it first, or add --convert, "
            "which lays it over white"
        )
    if _deep(image):
        raise ImageError(
            f"{label}: expected an 8-bit grey or RGB image, found 16 bits; convert it first, or add --convert"
        )


def check_convertible(image: Image.Image, label: str) -> None:
    """Refuse, by its header, a picture that no rule makes 8-bit grey or RGB."""
    _check_known(image, label)
    if "transparency" in image.info and (_deep(image) or _raw_modes(image) & _COARSE):
        raise ImageError(
            f"{label}: a transparent colour of other than 8 bits is not converted; flatten the image first"
        )


def _check_known(image: Image.Image, label: str) -> None:
    if image.mode in ("I", "F") and not _scaled(image):
        raise ImageError(
            f"{label}: expected an 8-bit grey or RGB image, found mode {image.mode!r}, 32-bit values of no "
            "known range, which are not converted; scale them to 8 bits first"
        )
    inverted = image.format == "TIFF" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    odd = "I;12" in _raw_modes(image) or (inverted and image.mode in _DEEP_GREY)
    if odd or not (image.mode in _CONVERTIBLE or _scaled(image)):
        kind = "12 or inverted 16 bits" if odd else f"mode {image.mode!r}"
        raise ImageError(
            f"{label}: expected an 8-bit grey or RGB image, found {kind}, which is not converted; "
            "save it as 8-bit grey or RGB first"
        )


def shape_of(image: Image.Image, *, convert: bool) -> tuple[int, int, int]:
    """Height, width and channels, 1 or 3, that a checked picture will have, by its header."""
    grey = image.mode in _GREY | _DEEP_GREY | {"LA"} or _scaled(image)
    width, height = image.size
    if convert and _orientation(image) >= 5:
        height, width = width, height
    return height, width, 1 if grey else 3


def plain(image: Image.Image, channels: int | None, converted: Converted) -> Image.Image:
    """A checked picture as 8-bit grey or RGB, upright, by the rules; they are counted in ``converted``.

    Args:
        channels: 1 or 3, to which grey and RGB are converted; others, and None, change nothing.
    """
    rules = []
    if _several(image):
        rules.append(FIRST)
    deep, orientation = _deep(image), _orientation(image)
    transparent = image.mode in _WITH_ALPHA or "transparency" in image.info
    if image.mode in _DEEP_GREY or _scaled(image):
        rules.append(DEEP_GREY)
        image = Image.fromarray(_rounded(np.asarray(image)))
    elif deep:
        rules.append(DEEP_COLOUR)
    if image.mode in _RULES:
        rules.append(_RULES[image.mode])
    if transparent:
        rules.append(ALPHA)
        grey = image.mode in _GREY | {"LA"}
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image).convert("L" if grey else "RGB")
    elif image.mode != "RGB":
        image = image.convert("L" if image.mode in _GREY else "RGB")
    if orientation in _TURNS:
        rules.append(UPRIGHT)
        image = image.transpose(_TURNS[orientation])
    if channels in (1, 3) and len(image.getbands()) != channels:
        rules.append(GREYED if channels == 1 else COLOURED)
        image = image.convert("L" if channels == 1 else "RGB")
    converted.update(rules)
    return image


def plain_arrays(images: NDArray[Any], channels: int | None, converted: Converted) -> NDArray[np.uint8]:
    """The same of arrays, uint8 or uint16 [N, H, W, C]; those of 2 or 4 channels keep them.

    Arrays that need no conversion are returned as they are, a mapped file among them.
    """
    rules = [DEEP_GREY] if images.dtype != np.uint8 else []
    found = images.shape[3]
    if channels not in (1, 3) or found not in (1, 3):
        channels = found
    if channels != found:
        rules.append(GREYED if channels == 1 else COLOURED)
    if not rules:
        return images
    converted.update({rule: len(images) for rule in rules})
    made = np.empty((*images.shape[:3], channels), np.uint8)
    step = max(1, _AT_ONCE_VALUES // max(1, images[:1].size))
    for start in range(0, len(images), step):
        some = _rounded(images[start : start + step])
        made[start : start + step] = _luma(some) if channels < found else some
    return made


def _rounded(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    return ((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def _luma(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """ITU-R 601's luma of RGB, in the integers that Pillow's convert("L") has."""
    weights = np.array([19595, 38470, 7471], np.uint32)
    return ((images.astype(np.uint32) @ weights + 0x8000) >> 16).astype(np.uint8)[..., None]


def _several(image: Image.Image) -> bool:
    return bool(
        getattr(image, "is_animated", False)
    )  # n_frames reads all of them, in quadratic time for TIFF


def _scaled(image: Image.Image) -> bool:
    """Whether the values of mode I are 16-bit grey, which they are in Netpbm files alone."""
    return image.mode == "I" and image.format == "PPM"


def _orientation(image: Image.Image) -> int:
    """EXIF's, 1 (upright) to 8, by the header."""
    # Pillow turns TIFF files itself. To look for EXIF behind the pixels of a PNG file it would unpack them.
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1
    value = image.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _raw_modes(image: Image.Image) -> set[str]:
    """How the file holds its pixels, in Pillow's words."""
    found = (tile[3] if isinstance(tile[3], tuple) else (tile[3],) for tile in getattr(image, "tile", []))
    return {str(arguments[0]) for arguments in found}


def _deep(image: Image.Image) -> bool:
    """Whether the file holds more than 8 bits a channel, which Pillow would cut down without a word."""
    for tile in getattr(image, "tile", []):
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if tile[0] == "ppm" and any(isinstance(value, int) and value > 255 for value in arguments):
            return True
        if ";16" in str(arguments[0]) and str(arguments[0]) != "BGR;16":  # which is 16 bits for all three
            return True
    return False
