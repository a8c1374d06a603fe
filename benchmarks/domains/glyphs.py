"""The domain of glyphs: single characters as a camera over print might see them, 28x28, grey.

What enters: a seed and the fonts that install with matplotlib. What leaves: training and test images. No
character of the test images is among those of the training images, nor one whose accents alone differ, nor
one that looks the same; some of the test images are of fonts that training never saw, either.
"""

import math
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

__all__ = ["HELD_OUT_FONTS", "Glyph", "glyph_images", "glyphs"]

Pixels = NDArray[np.uint8]

SIDE = 28
HELD_OUT_FONTS = ("DejaVuSansMono-BoldOblique", "STIXGeneralItalic", "cmss10")
"""Fonts of the test images alone."""
_FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-BoldOblique", "DejaVuSans-Oblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-BoldItalic", "DejaVuSerif-Italic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralBolIta",
    "cmb10", "cmmi10", "cmr10", "cmti10", "cmtt10",
)  # fmt: skip
_HELD_OUT_CHARACTERS = 1 / 6
_DRAWN = 48
"""Pixels of the em that glyphs are drawn at, before they are scaled down and turned."""
_MARGIN = 3
_LEAST, _WIDEST = 12, 4
"""A glyph's longer side in pixels as drawn, and that over the shorter one: dots and bars are left out."""
_OVERSAMPLED = 2


@dataclass(frozen=True, order=True)
class Glyph:
    """A character of a font, by its file's name without the ending."""

    font: str
    character: str


def glyphs(seed: int) -> tuple[list[Glyph], list[Glyph]]:
    """The glyphs for training and those for the test."""
    there = {font: _characters(font) for font in (*_FONTS, *HELD_OUT_FONTS)}
    bases = sorted({_base(character) for characters in there.values() for character in characters})
    count = round(len(bases) * _HELD_OUT_CHARACTERS)
    held_out = {bases[at] for at in np.random.default_rng([seed, 0]).permutation(len(bases))[:count]}
    training, test = [], []
    looks = set()
    for font in _FONTS:
        for character in there[font]:
            glyph = Glyph(font, character)
            if _base(character) not in held_out and (mask := _drawn(glyph, 0)) is not None:
                training.append(glyph)
                looks.add((mask.shape, mask.tobytes()))
    for font, characters in there.items():
        for character in characters:
            glyph = Glyph(font, character)
            mask = _drawn(glyph, 0) if _base(character) in held_out else None
            # Greek's capital Alpha is Latin's A in most fonts.
            if mask is not None and (mask.shape, mask.tobytes()) not in looks:
                test.append(glyph)
    return training, test


def glyph_images(training: int, test: int, seed: int = 0) -> tuple[Pixels, Pixels]:
    """So many images of random glyphs, uint8 [N, 28, 28]: for training, and for the test."""
    for_training, for_test = glyphs(seed)
    return _images(for_training, training, [seed, 1]), _images(for_test, test, [seed, 2])


def _images(chosen: list[Glyph], count: int, seed: list[int]) -> Pixels:
    rng = np.random.default_rng(seed)
    found = np.empty((count, SIDE, SIDE), np.uint8)
    for at, number in enumerate(rng.integers(len(chosen), size=count)):
        found[at] = _image(chosen[number], rng)
    return found


def _image(glyph: Glyph, rng: np.random.Generator) -> Pixels:
    """One glyph of random size, slant, weight, contrast, ground and sharpness."""
    mask = _drawn(glyph, int(rng.integers(3)))
    assert mask is not None
    height, width = mask.shape
    scale = rng.uniform(12, 22) / (max(height, width) - 2 * _MARGIN)
    turn, shear = math.radians(rng.normal(0, 5)), rng.normal(0, 0.08)
    stretch = math.exp(rng.normal(0, 0.06))
    # From where a glyph's pixel is, relative to its middle, to where it is drawn.
    slanted = np.array([[1, shear], [0, 1]]) @ np.diag([stretch, 1 / stretch])
    turned = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    back = np.linalg.inv(_OVERSAMPLED * scale * turned @ slanted)
    middle = SIDE * _OVERSAMPLED / 2 + rng.normal(0, 1, 2) * _OVERSAMPLED
    offset = np.array([width, height]) / 2 - back @ middle
    ((a, b), (d, e)), (c, f) = back, offset
    large = Image.fromarray(mask).transform(
        (SIDE * _OVERSAMPLED,) * 2, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BICUBIC
    )
    ink = large.reduce(_OVERSAMPLED).filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.6)))
    ground, level = rng.uniform(0, 40), rng.uniform(150, 255)
    slope = rng.normal(0, 0.3, 2)
    across = np.arange(SIDE) - (SIDE - 1) / 2
    paper = ground + slope[0] * across[:, None] + slope[1] * across
    seen: NDArray[np.float64] = (
        paper + (level - paper) * (np.asarray(ink) / 255) + rng.normal(0, 1, (SIDE, SIDE))
    )
    image: Pixels = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
    return image


def _base(character: str) -> str:
    """A character without its accents and its style: what e, é and a bold e have in common."""
    return unicodedata.normalize("NFKD", character)[0].casefold()[0]


@lru_cache(maxsize=64)
def _characters(font: str) -> tuple[str, ...]:
    """The letters and numbers that a font has, in order."""
    known = [chr(code) for code in FT2Font(str(_path(font))).get_charmap()]
    if font.startswith("cm"):  # other codes than Unicode's, but for the alphabet
        known = [character for character in known if character.isascii()]
    return tuple(sorted(character for character in known if unicodedata.category(character)[0] in "LN"))


def _path(font: str) -> Path:
    return Path(matplotlib.get_data_path(), "fonts", "ttf", f"{font}.ttf")


@lru_cache(maxsize=64)
def _font(name: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_path(name)), _DRAWN, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=1 << 17)
def _drawn(glyph: Glyph, weight: int) -> Pixels | None:
    """A glyph's ink, its edges ``weight`` pixels further out; None for one that is tiny or a mere bar."""
    font = _font(glyph.font)
    left, top, right, bottom = font.getbbox(glyph.character, stroke_width=weight)
    width, height = round(right - left), round(bottom - top)
    if max(width, height) < _LEAST or max(width, height) > _WIDEST * max(1, min(width, height)):
        return None
    ink = Image.new("L", (width + 2 * _MARGIN, height + 2 * _MARGIN))
    place = (_MARGIN - left, _MARGIN - top)
    ImageDraw.Draw(ink).text(place, glyph.character, fill=255, font=font, stroke_width=weight)
    return np.asarray(ink)
