"""Conversion of pictures: each rule on a file that needs it, and what no rule takes."""

import io
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from codec.bundle import Bundle
from codec.conversion import Converted, plain_arrays, told
from codec.errors import ImageError
from codec.imagefiles import decode_image, image_shape, png_bytes, read_images
from tests.test_imagefiles import png, saved


def pixels(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def convert(data: bytes, channels: int | None = None) -> tuple[NDArray[np.uint8], list[str]]:
    """The picture, and the lines that tell how it was converted; its header must have told its shape."""
    converted = Converted()
    image = decode_image(data, "x", channels=channels, converted=converted)
    height, width, found = image_shape(io.BytesIO(data), "x", convert=True)
    assert image.shape == (height, width, channels or found)
    return image, told(converted)


def refused(data: bytes) -> str:
    """Why a picture is refused although conversion is asked for; its header must be enough to tell."""
    with pytest.raises(ImageError) as by_header:
        image_shape(io.BytesIO(data), "x", convert=True)
    with pytest.raises(ImageError) as caught:
        decode_image(data, "x", converted=Converted())
    assert str(caught.value) == str(by_header.value)
    return str(caught.value)


@pytest.mark.parametrize("shape", [(5, 4, 1), (5, 4, 3)])
def test_a_plain_picture_is_not_converted(shape: tuple[int, ...]) -> None:
    image, lines = convert(png_bytes(pixels(*shape)))
    np.testing.assert_array_equal(image, pixels(*shape))
    assert lines == []


@pytest.mark.parametrize(("mode", "colours"), [("LA", 1), ("RGBA", 3)])
def test_alpha_is_laid_over_white(mode: str, colours: int) -> None:
    values = pixels(6, 5, colours + 1)
    values[0, :, -1], values[1, :, -1] = 0, 255
    image, lines = convert(saved(Image.fromarray(values), "PNG"))
    assert Image.fromarray(values).mode == mode
    assert lines == ["1 image converted: alpha is laid over white"]
    alpha = values[..., -1:] / 255
    assert np.abs(image - (values[..., :-1] * alpha + 255 * (1 - alpha))).max() <= 1
    assert (image[0] == 255).all()
    np.testing.assert_array_equal(image[1], values[1, :, :-1])


def test_a_transparent_colour_becomes_white() -> None:
    image, lines = convert(png((1, 2), 8, 0, b"\0\5\6", tRNS=b"\0\5"))
    assert (image.ravel().tolist(), lines) == ([255, 6], ["1 image converted: alpha is laid over white"])
    coloured = png((1, 2), 8, 2, b"\0\5\5\5\5\5\6", tRNS=b"\0\5\0\5\0\5")
    assert convert(coloured)[0].reshape(2, 3).tolist() == [[255, 255, 255], [5, 5, 6]]


def test_a_transparent_colour_that_pillow_would_misread_is_refused() -> None:
    for data in (
        png((1, 4), 2, 0, b"\0\x1b", tRNS=b"\0\1"),
        png((1, 1), 16, 0, b"\0\1\2", tRNS=b"\1\2"),
        png((1, 1), 16, 2, bytes(7), tRNS=bytes(6)),
    ):
        assert refused(data) == (
            "x: a transparent colour of other than 8 bits is not converted; flatten the image first"
        )


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_are_rounded(kind: str) -> None:
    values = np.array([[0, 128, 129, 257, 385, 386, 65407, 65535]], np.uint16)
    image, lines = convert(saved(Image.fromarray(values), kind))
    assert image.ravel().tolist() == [0, 0, 1, 1, 1, 2, 255, 255]
    np.testing.assert_array_equal(image.ravel(), np.round(values.ravel() * (255 / 65535)))
    assert lines == ["1 image converted: 16 bits are rounded to 8 (v x 255 / 65,535)"]


def test_netpbms_sixteen_bits_are_grey_too() -> None:
    image, lines = convert(b"P5 2 1 65535 " + struct.pack(">HH", 129, 65535))
    assert image.ravel().tolist() == [1, 255]
    assert lines == ["1 image converted: 16 bits are rounded to 8 (v x 255 / 65,535)"]


def test_of_sixteen_bits_a_colour_the_upper_eight_are_taken() -> None:
    image, lines = convert(png((1, 1), 16, 2, b"\0" + struct.pack(">HHH", 255, 256, 65535)))
    assert image.ravel().tolist() == [0, 1, 255]
    assert lines == ["1 image converted: of 16 bits a channel the upper 8 are taken"]


def test_a_palettes_colours_become_rgb_and_its_transparent_one_white() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([0, 0, 0, 200, 10, 20, 30, 200, 40])
    image.putdata([0, 1, 2])
    values, lines = convert(saved(image, "PNG"))
    assert values.reshape(3, 3).tolist() == [[0, 0, 0], [200, 10, 20], [30, 200, 40]]
    assert lines == ["1 image converted: a palette's colours become RGB"]
    for kind in ("PNG", "GIF"):
        values, lines = convert(saved(image, kind, transparency=1))
        assert values.reshape(3, 3).tolist() == [[0, 0, 0], [255, 255, 255], [30, 200, 40]]
        assert [line.split(": ")[1] for line in lines] == [
            "a palette's colours become RGB",
            "alpha is laid over white",
        ]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb_without_a_profile(kind: str) -> None:
    options: dict[str, Any] = {"quality": 100} if kind == "JPEG" else {}
    image, lines = convert(saved(Image.new("CMYK", (8, 8), (255, 0, 0, 51)), kind, **options))
    assert np.abs(image.astype(int) - [0, 204, 204]).max() <= 3
    assert lines == ["1 image converted: CMYK becomes RGB, without a colour profile"]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_picture_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
    image, lines = convert(data)
    assert (image == [255, 0, 0]).all()
    assert "1 image converted: of several pictures in a file the first is taken" in lines


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright_as_exif_tells(kind: str, orientation: int) -> None:
    upright = np.zeros((16, 24), np.uint8)
    upright[:8, :8], upright[8:, :8] = 250, 120
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: np.rot90(upright, 2).T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"quality": 100} if kind == "JPEG" else {"lossless": True}
    image, lines = convert(saved(Image.fromarray(np.stack([turned] * 3, -1)), kind, exif=exif, **options))
    assert np.abs(image.astype(int) - upright[..., None]).max() <= 3
    by_pillow = kind == "TIFF" or orientation == 1
    assert lines == ([] if by_pillow else ["1 image converted: turned upright, as EXIF tells"])


def test_without_conversion_pixels_are_as_they_are_stored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.fromarray(pixels(4, 6, 3)), "PNG", exif=exif)
    np.testing.assert_array_equal(decode_image(data, "x"), pixels(4, 6, 3))
    assert image_shape(io.BytesIO(data), "x") == (4, 6, 3)


def test_grey_and_rgb_become_each_other() -> None:
    grey, lines = convert(png_bytes(pixels(4, 6, 3)), channels=1)
    np.testing.assert_array_equal(grey[..., 0], np.asarray(Image.fromarray(pixels(4, 6, 3)).convert("L")))
    assert lines == ["1 image converted: RGB becomes grey (ITU-R 601)"]
    colour, lines = convert(png_bytes(pixels(4, 6, 1)), channels=3)
    np.testing.assert_array_equal(colour, pixels(4, 6, 1).repeat(3, 2))
    assert lines == ["1 image converted: grey becomes RGB of three equal channels"]


@pytest.mark.parametrize("mode", ["F", "I"])
def test_values_of_no_known_range_are_refused_either_way(mode: str) -> None:
    data = saved(Image.new(mode, (4, 4)), "TIFF")
    message = (
        f"x: expected an 8-bit grey or RGB image, found mode {mode!r}, 32-bit values of no known range, "
        "which are not converted; scale them to 8 bits first"
    )
    assert refused(data) == message
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        decode_image(data, "x")


def test_modes_without_a_rule_are_refused() -> None:
    assert refused(saved(Image.new("LAB", (4, 4)), "TIFF")) == (
        "x: expected an 8-bit grey or RGB image, found mode 'LAB', which is not converted; "
        "save it as 8-bit grey or RGB first"
    )
    inverted = saved(Image.fromarray(np.zeros((4, 4), np.uint16)), "TIFF").replace(
        struct.pack("<HHIHH", 262, 3, 1, 1, 0), struct.pack("<HHIHH", 262, 3, 1, 0, 0)
    )
    assert "found 12 or inverted 16 bits, which is not converted" in refused(inverted)


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGBA"), ("JPEG", "RGB"), ("TIFF", "RGB"), ("GIF", "P")])
def test_a_truncated_file_is_refused_either_way(kind: str, mode: str) -> None:
    data = saved(Image.fromarray(pixels(40, 40, 4)).convert(mode), kind)
    for converted in (None, Converted()):
        with pytest.raises(ImageError) as caught:
            decode_image(data[: len(data) // 2], "x", converted=converted)
        if converted is not None or mode == "RGB":
            assert str(caught.value) == (
                "x: truncated: the file ends before its picture does; get a whole copy of it"
            )


def test_a_bitmap_of_five_bits_a_colour_is_no_deep_one() -> None:
    header = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 3, 4, 0, 0, 0, 0)
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F)
    start = 14 + len(header) + len(masks)
    data = b"BM" + struct.pack("<IHHI", start + 4, 0, 0, start) + header + masks
    image = decode_image(data + struct.pack("<HH", 0xF800, 0x001F), "x")
    assert image.reshape(2, 3).tolist() == [[255, 0, 0], [0, 0, 255]]


@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_are_converted_by_the_same_rules(channels: int) -> None:
    deep = np.random.default_rng(2).integers(0, 1 << 16, (7, 5, 4, 3), np.uint16)
    converted = Converted()
    images = plain_arrays(deep, channels, converted)
    rounded = np.round(deep * (255 / 65535)).astype(np.uint8)
    for image, expected in zip(images, rounded, strict=True):
        mode = "L" if channels == 1 else "RGB"
        np.testing.assert_array_equal(image.squeeze(), np.asarray(Image.fromarray(expected).convert(mode)))
    assert told(converted)[0] == "7 images converted: 16 bits are rounded to 8 (v x 255 / 65,535)"
    grey = pixels(3, 4, 4, 1)
    np.testing.assert_array_equal(plain_arrays(grey, 3, converted), grey.repeat(3, 3))
    assert plain_arrays(grey, None, converted) is grey


def test_files_become_what_the_pair_takes(tmp_path: Path, small_bundles: tuple[Bundle, Bundle]) -> None:
    (tmp_path / "a").write_bytes(png_bytes(pixels(8, 8, 3)))
    (tmp_path / "b").write_bytes(saved(Image.fromarray(pixels(8, 8, 4)), "PNG"))
    converted = Converted()
    paths = [tmp_path / "a", tmp_path / "b"]
    images = [image for _, image in read_images(paths, small_bundles[0].pair, None, converted)]
    assert [image.shape for image in images] == [(1, 8, 8, 1)] * 2
    assert told(converted) == [
        "2 images converted: RGB becomes grey (ITU-R 601)",
        "1 image converted: alpha is laid over white",
    ]


def test_a_damaged_picture_is_no_other_picture() -> None:
    whole = bytearray(saved(Image.fromarray(pixels(20, 20, 4)), "PNG"))
    at = whole.index(b"IDAT")
    whole[at + 40] ^= 0xFF
    length = int.from_bytes(whole[at - 4 : at], "big")
    whole[at + 4 + length : at + 8 + length] = struct.pack(">I", zlib.crc32(whole[at : at + 4 + length]))
    with pytest.raises(ImageError):
        decode_image(bytes(whole), "x", converted=Converted())
