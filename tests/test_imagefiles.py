"""Image files: what is read, in which order, and what is refused rather than converted."""

import io
import os
import re
import struct
import weakref
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from codec import imagefiles
from codec.bundle import Bundle, Pair
from codec.errors import FileError, ImageError, LimitError
from codec.imagefiles import IMAGE_SUFFIXES, image_paths, png_bytes, read_image, read_images
from codec.limits import Limits

Read = Callable[..., NDArray[np.uint8]]


def pixels(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(size: tuple[int, int], depth: int, colour: int, rows: bytes, **chunks: bytes) -> bytes:
    """A PNG file written by hand, of kinds that Pillow does not write."""
    header = struct.pack(">IIBBBBB", size[1], size[0], depth, colour, 0, 0, 0)
    parts = [("IHDR", header), *chunks.items(), ("IDAT", zlib.compress(rows)), ("IEND", b"")]
    tagged = [(len(body), kind.encode() + body) for kind, body in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", length) + body + struct.pack(">I", zlib.crc32(body)) for length, body in tagged
    )


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Writes bytes to a file and reads it as an image."""

    def write_and_read(data: bytes, limits: Limits = Limits()) -> NDArray[np.uint8]:
        path = tmp_path / "image"
        path.write_bytes(data)
        return read_image(path, limits)

    return write_and_read


@pytest.mark.parametrize("shape", [(5, 4, 1), (5, 4, 3), (1, 1, 1), (1, 1, 3)])
def test_an_image_comes_back_from_its_png_file(read: Read, shape: tuple[int, ...]) -> None:
    image = pixels(*shape)
    again = read(png_bytes(image))
    assert again.dtype == np.uint8
    np.testing.assert_array_equal(again, image)


def test_a_grey_image_needs_no_channel_axis(read: Read) -> None:
    np.testing.assert_array_equal(read(png_bytes(pixels(5, 4)))[..., 0], pixels(5, 4))


def test_equal_images_are_equal_png_files() -> None:
    assert png_bytes(pixels(9, 7, 3)) == png_bytes(np.asfortranarray(pixels(9, 7, 3)))


@pytest.mark.parametrize("kind", ["BMP", "PPM", "TIFF", "WEBP"])
def test_other_lossless_files_are_read_too(read: Read, kind: str) -> None:
    image = pixels(6, 5, 3)
    np.testing.assert_array_equal(read(saved(Image.fromarray(image), kind, lossless=True)), image)


def test_a_grey_jpeg_has_one_channel_and_a_coloured_one_three(read: Read) -> None:
    assert read(saved(Image.new("L", (4, 6), 80), "JPEG")).shape == (6, 4, 1)
    assert read(saved(Image.new("RGB", (4, 6), (80, 80, 80)), "JPEG")).shape == (6, 4, 3)


def test_one_bit_a_pixel_is_read_as_black_and_white(read: Read) -> None:
    bits = pixels(3, 10) > 127
    image = read(saved(Image.fromarray(bits), "PNG"))
    np.testing.assert_array_equal(image, np.where(bits, 255, 0)[..., None])


def test_two_bits_a_pixel_are_read_as_four_greys(read: Read) -> None:
    image = read(png((1, 4), 2, 0, b"\0\x1b"))
    np.testing.assert_array_equal(image.ravel(), [0, 85, 170, 255])


def test_a_folder_is_its_image_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.png", "a10.PNG", "a2.jpg", "notes.txt", "c.tiff", "png", "B.gif"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in image_paths([tmp_path])] == [
        "B.gif",
        "a10.PNG",
        "a2.jpg",
        "b.png",
        "c.tiff",
    ]


def test_sources_keep_the_order_they_are_given_in(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in (folder / "2.png", folder / "1.png", tmp_path / "z.dat", tmp_path / "a.png"):
        path.write_bytes(b"")
    found = image_paths([tmp_path / "z.dat", os.fspath(folder), tmp_path / "a.png", folder / "2.png"])
    assert [path.name for path in found] == ["z.dat", "1.png", "2.png", "a.png", "2.png"]


def test_a_folder_without_an_image_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"")
    message = (
        f"{tmp_path}: expected a folder of image files, found none; "
        f"files that end in {', '.join(sorted(IMAGE_SUFFIXES))} count"
    )
    with pytest.raises(FileError, match=f"^{re.escape(message)}$"):
        image_paths([tmp_path])


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "missing.png"
    with pytest.raises(FileError, match=f"^{re.escape(str(path))}: no such file or folder$"):
        image_paths([path])


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "missing.png"
    with pytest.raises(FileError, match=f"^image {re.escape(str(path))}: cannot be read: No such file"):
        read_image(path)


@pytest.mark.parametrize("data", [b"", b"hello", b"\0" * 1000, b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image_is_refused(read: Read, tmp_path: Path, data: bytes) -> None:
    message = f"{tmp_path / 'image'}: not an image file of the kinds BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP"
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        read(data)


def test_a_truncated_png_file_is_refused_wherever_it_ends(read: Read) -> None:
    whole = png_bytes(pixels(20, 20, 3))
    for length in range(0, whole.index(b"IEND") - 8, 37):
        with pytest.raises(ImageError, match=r"not an image file|truncated: the file ends before"):
            read(whole[:length])


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGBA", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("I;16", "PNG"), ("CMYK", "JPEG")],
)
def test_a_pixel_format_that_would_have_to_be_converted_is_refused(
    read: Read, tmp_path: Path, mode: str, kind: str
) -> None:
    message = (
        f"{tmp_path / 'image'}: expected an 8-bit grey or RGB image, found mode {mode!r}; "
        "add --convert, or convert it first, for example with Pillow's image.convert('RGB')"
    )
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        read(saved(Image.new(mode, (4, 4)), kind))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_an_animation_is_refused(read: Read, tmp_path: Path, kind: str) -> None:
    frames = [Image.fromarray(pixels(4, 4) // (i + 1)) for i in range(3)]
    message = (
        f"{tmp_path / 'image'}: expected one picture, found an animation; save one frame of it, or add "
        "--convert, which takes the first"
    )
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        read(saved(frames[0], kind, save_all=True, append_images=frames[1:]))


def test_a_file_over_the_limit_is_refused(read: Read, tmp_path: Path) -> None:
    data = png_bytes(pixels(20, 20, 1))
    assert read(data, Limits(image_file_bytes=len(data))).shape == (20, 20, 1)
    message = f"image {tmp_path / 'image'}: expected at most {len(data) - 1} bytes, found more"
    with pytest.raises(LimitError, match=f"^{re.escape(message)}$"):
        read(data, Limits(image_file_bytes=len(data) - 1))


def test_pixels_over_the_limit_are_refused_before_any_is_unpacked(read: Read, tmp_path: Path) -> None:
    claim = png((8000, 9000), 8, 0, b"\0")
    message = (
        f"{tmp_path / 'image'}: pixels: expected at most 67,108,864, found 72,000,000; "
        "pass limits=Limits(image_file_pixels=...) to allow more"
    )
    with pytest.raises(LimitError, match=f"^{re.escape(message)}$"):
        read(claim)
    assert read(png_bytes(pixels(5, 4)), Limits(image_file_pixels=20)).shape == (5, 4, 1)


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_the_limit_on_pixels_decides_and_not_pillows(read: Read, side: int) -> None:
    with pytest.raises(LimitError, match="pixels: expected at most 67,108,864"):
        read(png((side, side), 8, 0, b"\0"))


@pytest.mark.parametrize(
    "data",
    [png((1, 1), 16, 2, bytes(7)), b"P6 1 1 65535 " + bytes(6)],
    ids=["PNG", "PPM"],
)
def test_sixteen_bits_a_colour_are_refused(read: Read, data: bytes) -> None:
    with pytest.raises(ImageError, match="expected an 8-bit grey or RGB image"):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        png((1, 1), 8, 0, b"\0\5", tRNS=b"\0\5"),
        png((1, 1), 8, 2, b"\0\5\5\5", tRNS=b"\0\5\0\5\0\5"),
    ],
    ids=["grey", "RGB"],
)
def test_a_transparent_colour_is_refused(read: Read, data: bytes) -> None:
    with pytest.raises(ImageError, match="transparen"):
        read(data)


def test_a_tiff_file_whose_second_frame_has_no_size_is_refused(read: Read) -> None:
    data = saved(Image.new("L", (4, 4)), "TIFF")
    directory = int.from_bytes(data[4:8], "little")
    link = directory + 2 + 12 * int.from_bytes(data[directory : directory + 2], "little")
    empty = len(data) + len(data) % 2
    linked = data[:link] + struct.pack("<I", empty) + data[link + 4 :]
    with pytest.raises(ImageError, match="found an animation"):
        read(linked.ljust(empty, b"\0") + bytes(6))


def test_a_format_outside_the_listed_suffixes_is_no_image_file(read: Read) -> None:
    with pytest.raises(
        ImageError, match="not an image file of the kinds BMP, GIF, JPEG, PNG, PPM, TIFF, WEBP"
    ):
        read(saved(Image.new("RGB", (4, 4)), "SGI"))


def test_a_name_that_the_system_cannot_look_up_is_refused() -> None:
    with pytest.raises(FileError, match="name too long"):
        image_paths(["a" * 300])


# Many files


@pytest.fixture
def pair(small_bundles: tuple[Bundle, Bundle]) -> Pair:
    return small_bundles[0].pair


def test_bad_files_are_told_and_the_first_good_one_sets_the_size(tmp_path: Path, pair: Pair) -> None:
    shapes = {"a": None, "b": (9, 9, 3), "c": (9, 8, 1), "d": (8, 8, 1), "e": (9, 8, 1)}
    for name, shape in shapes.items():
        (tmp_path / name).write_bytes(b"" if shape is None else png_bytes(pixels(*shape)))
    paths = [tmp_path / name for name in [*shapes, "f"]]
    bad: list[tuple[str, str]] = []
    good = list(read_images(paths, pair, lambda path, error: bad.append((path.name, str(error)))))
    assert [path.name for path, _ in good] == ["c", "e"]
    assert all(image.shape == (1, 9, 8, 1) for _, image in good)
    assert [name for name, _ in bad] == ["a", "b", "d", "f"]
    assert all(str(tmp_path / name) in words for name, words in bad)
    with pytest.raises(ImageError, match="not an image file"):
        list(read_images(paths, pair))


def test_files_are_read_one_after_the_other_and_let_go(
    tmp_path: Path, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good").write_bytes(png_bytes(pixels(8, 8, 1)))
    (tmp_path / "bad").write_bytes(b"")
    alive: list[weakref.ref[NDArray[np.uint8]]] = []
    real = imagefiles.read_image

    def watched(path: Path, **options: Any) -> NDArray[np.uint8]:
        image = real(path, **options)
        alive.append(weakref.ref(image))
        return image

    monkeypatch.setattr(imagefiles, "read_image", watched)
    paths = [tmp_path / name for name in ("good", "bad")] * 50
    for _, image in read_images(paths, pair, lambda path, error: None):
        assert image.shape == (1, 8, 8, 1)
        assert sum(reference() is not None for reference in alive) <= 2
    assert len(alive) == 50


def test_too_little_memory_is_not_a_damaged_image(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(MemoryError):
        read(png_bytes(pixels(4, 4)))
