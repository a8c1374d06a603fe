"""A laid out picture as pixels, through Pillow, or as SVG: images pixel by pixel, text as text."""

import base64
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from codec.imagefiles import png_bytes
from codec.show_layout import Layout, font

__all__ = ["to_pixels", "to_svg"]

_FRAME = "#b0b0b0"
_ANCHORS = {"start": "lm", "middle": "mm", "end": "rm"}
"""Pillow's names for where a text is held, in the middle of its height."""
_FONTS = "Helvetica, Arial, sans-serif"
_NEAREST = {"style": "image-rendering:pixelated", "image-rendering": "optimizeSpeed"}
"""That an image is not smoothed: for browsers, and for programs that know SVG 1.1 alone."""


def to_pixels(layout: Layout) -> NDArray[np.uint8]:
    """The picture, uint8 [H, W, 3]."""
    canvas = Image.new("RGB", (layout.width, layout.height), "white")
    draw: Any = ImageDraw.Draw(canvas)
    for placed in layout.images:
        image = Image.fromarray(placed.image).resize((placed.width, placed.height), Image.Resampling.NEAREST)
        canvas.paste(image, (placed.x, placed.y))
        if layout.framed:
            box = (placed.x - 1, placed.y - 1, placed.x + placed.width, placed.y + placed.height)
            draw.rectangle(box, outline=_FRAME)
    for text in layout.texts:
        draw.text(
            (text.x, text.y), text.text, fill=text.colour, font=font(text.size), anchor=_ANCHORS[text.anchor]
        )
    return np.asarray(canvas)


def to_svg(layout: Layout) -> bytes:
    """The picture as an SVG file; each image is in it with its own pixels, not enlarged."""
    width, height = str(layout.width), str(layout.height)
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": width,
            "height": height,
            "viewBox": f"0 0 {width} {height}",
            "font-family": _FONTS,
        },
    )
    ElementTree.SubElement(root, "rect", {"width": width, "height": height, "fill": "#ffffff"})
    for placed in layout.images:
        box = {name: str(getattr(placed, name)) for name in ("x", "y", "width", "height")}
        data = base64.b64encode(png_bytes(placed.image)).decode()
        ElementTree.SubElement(
            root,
            "image",
            {**box, "preserveAspectRatio": "none", **_NEAREST, "href": f"data:image/png;base64,{data}"},
        )
        if layout.framed:
            outer = {
                "x": f"{placed.x - 0.5}",
                "y": f"{placed.y - 0.5}",
                "width": f"{placed.width + 1}",
                "height": f"{placed.height + 1}",
            }
            ElementTree.SubElement(root, "rect", {**outer, "fill": "none", "stroke": _FRAME})
    for text in layout.texts:
        place = {"x": f"{text.x:g}", "y": f"{text.y:g}", "font-size": f"{text.size}", "fill": text.colour}
        held = {"text-anchor": text.anchor, "dominant-baseline": "central"}
        ElementTree.SubElement(root, "text", {**place, **held}).text = text.text
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"
