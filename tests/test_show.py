"""Pictures: images stand where their labels say, labels tell what was measured, files hold both."""

import base64
import io
import os
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from codec import cli, show
from codec.architecture import Convolutional
from codec.archive_encoder import create_archive
from codec.bundle import Bundle
from codec.bundle_writer import write_bundle
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import CodecError, FileError, ImageError, LimitError, MissingExtraError, OptionError
from codec.evaluation import evaluate
from codec.imagefiles import png_bytes, read_image
from codec.noise import noisy
from codec.show_colours import diverging, rising
from codec.show_figure import Cell, ColourBar, Figure, Row
from tests.conftest import random_pair

Pixels = NDArray[np.uint8]
SCALE = 7
"""By which images of 8x8 are enlarged, to 56 pixels."""


@pytest.fixture(scope="module")
def images() -> Pixels:
    """Twelve images for the small pair."""
    return np.random.default_rng(1).integers(0, 256, (12, 8, 8, 1), np.uint8)


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    small_bundles: tuple[Bundle, Bundle],
    small_pair: tuple[Encoder, Decoder],
    images: Pixels,
) -> Path:
    """The small pair as small.*, the images as digits/, x.npy, x.packet and x.archive."""
    path = tmp_path_factory.mktemp("show")
    for bundle in small_bundles:
        (path / f"small.{bundle.side}.msgpack").write_bytes(write_bundle(bundle))
    (path / "digits").mkdir()
    for i, image in enumerate(images):
        (path / "digits" / f"{i:02}.png").write_bytes(png_bytes(image))
    np.save(path / "x.npy", images)
    (path / "x.packet").write_bytes(small_pair[0].encode(images, quality=1))
    (path / "large.png").write_bytes(png_bytes(np.zeros((9, 8, 1), np.uint8)))
    (path / "colour.png").write_bytes(png_bytes(np.zeros((8, 8, 3), np.uint8)))
    colours = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), np.uint8)
    architecture = Convolutional(image_channels=3, code_channels=2, layers=1, filters=2)
    for bundle in random_pair(architecture, colours, qualities=1):
        (path / f"colour.{bundle.side}.msgpack").write_bytes(write_bundle(bundle))
    with create_archive(path / "x.archive", small_pair[0], quality=1, images_per_packet=5) as archive:
        archive.add(images)
    return path


def shown(folder: Path, *arguments: str) -> str:
    """What ``codec show`` printed, run in a folder; its error is raised."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        result = CliRunner().invoke(cli.app, ["show", *arguments])
    finally:
        os.chdir(before)
    if isinstance(result.exception, CodecError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


PAIR = ["--encoder", "small.encoder.msgpack", "--decoder", "small.decoder.msgpack"]


def enlarged(image: Pixels, scale: int = SCALE) -> Pixels:
    return np.broadcast_to(image, (*image.shape[:2], 3)).repeat(scale, 0).repeat(scale, 1)


def places(picture: Pixels, image: Pixels, scale: int = SCALE) -> list[tuple[int, int]]:
    """The upper left corners of where an image, enlarged, is in a picture: row and column."""
    patch = enlarged(image, scale)
    high, wide = patch.shape[:2]
    found = []
    for row in range(picture.shape[0] - high + 1):
        line = np.lib.stride_tricks.sliding_window_view(picture[row], (wide, 3))[:, 0]
        for column in np.flatnonzero((line == patch[0]).all((1, 2))):
            if np.array_equal(picture[row : row + high, column : column + wide], patch):
                found.append((row, int(column)))
    return found


def place(picture: Pixels, image: Pixels, scale: int = SCALE) -> tuple[int, int]:
    """Of the one place where it is."""
    [found] = places(picture, image, scale)
    return found


def labels(figure: Any) -> list[str]:
    return [row.label for row in figure.rows]


# Figures


def test_images_stand_in_rows_below_each_other_with_white_between(images: Pixels) -> None:
    figure = show.rows({"a": images[:3], "b": 255 - images[:3]})
    picture = figure.pixels()
    above = [place(picture, image) for image in images[:3]]
    below = [place(picture, 255 - image) for image in images[:3]]
    assert [column for _, column in above] == [column for _, column in below]
    assert len({row for row, _ in above}) == len({row for row, _ in below}) == 1
    assert below[0][0] == above[0][0] + 8 * SCALE + 4
    (top, left), (_, second) = above[:2]
    assert second == left + 8 * SCALE + 4
    assert (picture[top : top + 56, left + 56 : second] == 255).all()
    assert (picture[:, :left] < 128).any(), "labels"
    assert (picture[:, : left - 8][[0, -1]] == 255).all(), "no label is cut"


def test_rows_go_on_below_where_there_are_many(images: Pixels) -> None:
    picture = show.rows({"a": images, "b": 255 - images}).pixels()
    first, eleventh = place(picture, images[0]), place(picture, images[10])
    assert eleventh[1] == first[1]
    assert eleventh[0] > place(picture, 255 - images[0])[0]
    assert place(picture, images[9])[1] > place(picture, images[8])[1]


def test_colour_images_keep_their_colours_and_sizes_may_differ() -> None:
    rng = np.random.default_rng(2)
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((8, 8), (60, 70), (4, 8))]
    picture = show.rows({"a": images}).pixels()
    columns = [place(picture, image, scale)[1] for image, scale in zip(images, (7, 1, 7), strict=True)]
    assert columns == sorted(columns)


def test_pictures_refuse_what_they_cannot_draw(images: Pixels, small_pair: tuple[Encoder, Decoder]) -> None:
    with pytest.raises(ImageError, match=r"expected images of uint8 \[H, W, C\], found float64 \(8, 8, 1\)"):
        show.rows({"a": images / 255})  # type: ignore[dict-item]
    with pytest.raises(ImageError, match=r"as many images in each row and at least one, found 2, 3"):
        show.rows({"a": images[:2], "b": images[:3]})
    for empty in ({}, {"a": images[:0]}):
        with pytest.raises(ImageError, match="at least one"):
            show.rows(empty)
    with pytest.raises(ImageError, match="at least one image, found none"):
        show.ladder(*small_pair, [])
    with pytest.raises(ImageError, match="finite"):
        show.codes(np.full((1, 2, 2, 3), np.nan))
    with pytest.raises(ImageError, match="an image for each of 2, found 1"):
        show.rate(np.ones((2, 2, 2, 3)), images[:1])
    huge = show.rows({"a": np.broadcast_to(np.zeros(1, np.uint8), (10, 9000, 1000, 1))})
    with pytest.raises(LimitError, match=r"expected at most 67,108,864 pixels, found .*show fewer images"):
        huge.pixels()


def test_reconstructions_are_what_the_decoder_makes_of_the_packet(
    images: Pixels, small_pair: tuple[Encoder, Decoder]
) -> None:
    encoder, decoder = small_pair
    figure = show.reconstructions(encoder, decoder, images[:2], quality=2)
    packet = encoder.encode(images[:2], quality=2)
    original, decoded = figure.rows
    assert f"{len(packet) / 2:.1f} bytes an image" in decoded.label
    for i, image in enumerate(decoder.decode(packet)):
        np.testing.assert_array_equal(decoded.cells[i].image, image)  # type: ignore[union-attr]
        np.testing.assert_array_equal(original.cells[i].image, images[i])  # type: ignore[union-attr]


def test_images_of_several_sizes_travel_in_one_mixed_packet(
    folder: Path, tmp_path: Path, small_pair: tuple[Encoder, Decoder]
) -> None:
    encoder, decoder = small_pair
    rng = np.random.default_rng(6)
    images = [rng.integers(0, 256, (*size, 1), np.uint8) for size in ((8, 8), (9, 20))]
    packet = b"".join(encoder.encode_pictures(images))
    (tmp_path / "mixed.packet").write_bytes(packet)
    figure = show.reconstructions(encoder, decoder, images)
    assert figure.rows[1].label.startswith(f"decoded\n{len(packet) / 2:.1f} bytes an image")
    shown(folder, str(tmp_path / "mixed.packet"), *PAIR[2:], "-o", str(tmp_path / "x.png"))
    for picture in (figure.pixels(), read_image(tmp_path / "x.png")):
        assert places(picture, [picture.image for picture in decoder.decode_pictures(packet)][1], 3)
    codes = [
        symbols * decoder.bundle.pair.steps[encoder.default_quality]
        for symbols in decoder.picture_symbols(packet)
    ]
    shown(folder, str(tmp_path / "mixed.packet"), *PAIR[2:], "-k", "codes", "-o", str(tmp_path / "x.png"))
    expected = show.codes(codes, [picture.image for picture in decoder.decode_pictures(packet)])
    assert (tmp_path / "x.png").read_bytes() == expected.png()


def test_noise_is_clipped_rounded_and_the_seeds(images: Pixels) -> None:
    found = noisy(images, 0.5, 3)
    drawn = np.random.default_rng(3).standard_normal(images.shape)
    exact = np.clip(images / 255 + 0.5 * drawn, 0, 1) * 255
    assert found.dtype == np.uint8
    assert np.abs(found - exact).max() <= 0.5
    assert not np.array_equal(found, noisy(images, 0.5, 4))
    np.testing.assert_array_equal(noisy(images[:2], 0.5, 3), found[:2])


def test_denoising_shows_clean_noisy_and_decoded_and_measures_against_the_clean(
    images: Pixels, small_pair: tuple[Encoder, Decoder]
) -> None:
    encoder, decoder = small_pair
    clean, dirty, decoded = show.denoising(encoder, decoder, images[:2], deviation=0.25, seed=9).rows
    noise = noisy(images[:2], 0.25, 9)
    np.testing.assert_array_equal([cell.image for cell in clean.cells], images[:2])  # type: ignore[union-attr]
    np.testing.assert_array_equal([cell.image for cell in dirty.cells], noise)  # type: ignore[union-attr]
    made = decoder.decode(encoder.encode(noise))
    np.testing.assert_array_equal([cell.image for cell in decoded.cells], made)  # type: ignore[union-attr]
    error = ((made / 255 - images[:2] / 255) ** 2).mean()
    assert decoded.label.endswith(f"\n{-10 * np.log10(error):.2f} dB")
    assert dirty.label == "noisy\ndeviation 0.25"
    for deviation in (-1, float("nan"), float("inf")):
        with pytest.raises(OptionError, match="a deviation of at least 0"):
            show.denoising(encoder, decoder, images, deviation=deviation)


def test_differences_are_white_where_the_two_agree(
    images: Pixels, small_pair: tuple[Encoder, Decoder]
) -> None:
    encoder, decoder = small_pair
    picture = show.differences(encoder, decoder, images[:2]).pixels()
    decoded = decoder.decode(encoder.encode(images[:2]))
    gaps = 255 - np.abs(images[:2].astype(int) - decoded)
    assert place(picture, gaps[1].astype(np.uint8))[1] == place(picture, images[1])[1]


def test_a_ladders_labels_are_what_evaluate_measures(
    images: Pixels, small_pair: tuple[Encoder, Decoder]
) -> None:
    encoder, decoder = small_pair
    made: list[Pixels] = []
    measured = list(
        evaluate(encoder, decoder, images, range(3), on_decoded=lambda _, decoded: made.append(decoded))
    )
    figure = show.ladder(encoder, decoder, images, columns=12)
    assert labels(figure) == [
        "original",
        *(f"quality {m.quality}\n{m.bytes_per_image:.1f} bytes an image\n{m.psnr:.2f} dB" for m in measured),
    ]
    picture = figure.pixels()
    rows = [place(picture, decoded[5])[0] for decoded in made]
    assert rows == sorted(set(rows))


def test_codes_are_maps_of_blue_below_zero_and_red_above() -> None:
    codes = np.random.default_rng(4).normal(size=(2, 7, 7, 32))
    codes[0, 0, 0, :3] = -9, 0, 9
    figure = show.codes(codes)
    assert labels(figure) == ["image 0", "", "image 1", ""]
    cells = [cell for row in figure.rows for cell in row.cells if cell is not None]
    assert [cell.caption for cell in cells] == [str(i) for i in range(32)] * 2
    colours = diverging(list(codes)).of(codes)
    picture = figure.pixels()
    for i in (0, 1, 31):
        np.testing.assert_array_equal(cells[32 + i].image, colours[1, ..., i, :])
        assert place(picture, cells[32 + i].image, 8)
    red, green, blue = (int(value) for value in cells[0].image[0, 0])
    assert blue > red
    assert (cells[1].image[0, 0] > 240).all()
    red, green, blue = (int(value) for value in cells[2].image[0, 0])
    assert red > max(green, blue)
    assert figure.bar is not None
    low, middle, high = figure.bar.ticks
    assert (middle, high) == ("0", f"{low.removeprefix('-').removesuffix('less')}more")


def test_colours_rise_in_lightness() -> None:
    for colours, values in (
        (rising([np.arange(11)]), np.linspace(0, 9, 50)),
        (diverging([np.arange(11)]), np.linspace(9, 0, 50)),
        (diverging([np.arange(11)]), np.linspace(-9, 0, 50)),
    ):
        lightness = colours.of(values) @ [0.2126, 0.7152, 0.0722]
        assert (np.diff(lightness) > -1).all()
        assert lightness[-1] > lightness[0] + 150


def test_the_rate_of_elements_sums_to_what_the_image_costs(
    images: Pixels, small_pair: tuple[Encoder, Decoder]
) -> None:
    encoder, _ = small_pair
    bits = encoder.element_bits(images, quality=1)
    assert bits.shape == encoder.codes(images).shape
    np.testing.assert_allclose(bits.sum((1, 2, 3)), encoder.image_bits(images, quality=1))
    figure = show.rate(bits[:2], images[:2])
    assert labels(figure) == [f"image {i}\n{bits[i].sum() / 8:.1f} bytes" for i in range(2)]
    beside, *maps = figure.rows[1].cells
    assert beside is not None
    np.testing.assert_array_equal(beside.image, images[1])
    assert [cell.caption for cell in maps if cell] == [f"{c}: {bits[1, ..., c].sum():.0f}" for c in range(3)]
    assert figure.rows[0].cells[0] is not None


# Files


def svg_texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_an_svg_holds_the_very_pixels_and_text_as_text(tmp_path: Path, images: Pixels) -> None:
    figure = show.rows({"a < b\nsmall & grey": images[:2], "c\x1b[31m": images[2:4]})
    figure.save(tmp_path / "x.svg")
    data = (tmp_path / "x.svg").read_bytes()
    root = ElementTree.fromstring(data)
    assert svg_texts(root) == ["a < b", "small & grey", "c\N{REPLACEMENT CHARACTER}[31m"]
    embedded = list(root.iter("{http://www.w3.org/2000/svg}image"))
    assert len(embedded) == 4
    for element, image in zip(embedded, images, strict=False):
        png = base64.b64decode(element.attrib["href"].removeprefix("data:image/png;base64,"))
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png)))[..., :1], image)
        assert element.attrib["style"] == "image-rendering:pixelated"
        assert float(element.attrib["width"]) == 8 * SCALE
    assert figure.svg() == data
    figure.save(tmp_path / "x.PNG")
    np.testing.assert_array_equal(read_image(tmp_path / "x.PNG"), figure.pixels())
    with pytest.raises(OptionError, match=r"x\.gif: expected a file that ends in \.png or \.svg"):
        figure.save(tmp_path / "x.gif")
    assert figure._repr_png_() == (tmp_path / "x.PNG").read_bytes()


def test_a_distribution_is_a_chart_that_names_its_mean_and_is_the_same_each_time() -> None:
    sizes = np.array([1.0, 2, 3, 10])
    chart = show.distribution(sizes)
    texts = " ".join(svg_texts(ElementTree.fromstring(chart.svg())))
    assert "mean 4.0" in texts
    assert "median 2.5" in texts
    assert "images of 4" in texts
    assert chart.svg() == show.distribution(sizes).svg()
    assert chart.png() == show.distribution(sizes).png()
    assert not re.search(rb"<dc:date>|Matplotlib v", chart.svg())
    assert b"tEXt" not in chart.png()
    with pytest.raises(ImageError, match="at least one image"):
        show.distribution(sizes[:0])


@pytest.mark.parametrize("name", ["show_colours", "show_chart"])
def test_where_matplotlib_is_missing_a_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, name: str, images: Pixels
) -> None:
    monkeypatch.delitem(sys.modules, f"codec.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'split-codec\[show\]'"):
        show.codes(np.ones((1, 2, 2, 3))) if name == "show_colours" else show.distribution(np.ones(3))
    assert show.rows({"a": images}).png()


# The terminal


def console(width: int = 80, **options: Any) -> Console:
    settings: dict[str, Any] = {"force_terminal": True, "color_system": "truecolor", **options}
    return Console(file=io.StringIO(), width=width, legacy_windows=False, _environ={}, **settings)


def drawn(figure: Figure, target: Console) -> list[str]:
    figure.draw(target)
    assert isinstance(target.file, io.StringIO)
    return target.file.getvalue().splitlines()


def cell(upper: tuple[int, ...], lower: tuple[int, ...] | None) -> str:
    below = "" if lower is None else f";48;2;{lower[0]};{lower[1]};{lower[2]}"
    return f"\x1b[38;2;{upper[0]};{upper[1]};{upper[2]}{below}m▀\x1b[0m"


def test_a_character_shows_two_pixels() -> None:
    pixels = np.arange(1, 28, dtype=np.uint8).reshape(3, 3, 3)
    image = pixels[:, :2]
    figure = Figure([[Row("a\nb\x1b", [Cell(image, "7")])]])
    rows = [[tuple(int(value) for value in pixel) for pixel in row] for row in image]
    assert drawn(figure, console()) == [
        "a, b\N{REPLACEMENT CHARACTER}",
        cell(rows[0][0], rows[1][0]) + cell(rows[0][1], rows[1][1]),
        cell(rows[2][0], None) + cell(rows[2][1], None),
        "\x1b[2m7\x1b[0m",
    ]


def test_a_caption_stands_below_its_own_image() -> None:
    low, high = (np.full((size, 3, 1), 9, np.uint8) for size in (2, 6))
    lines = drawn(Figure([[Row("", [Cell(high, "H"), Cell(low, "L")])]]), console())
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines] == ["▀▀▀ ▀▀▀", "▀▀▀  L", "▀▀▀", " H"]


def test_images_side_by_side_are_a_column_apart_and_a_bar_tells_the_colours() -> None:
    grey = np.full((2, 2, 1), 9, np.uint8)
    bar = ColourBar("bits", ("0", "1", "2"), np.full((5, 3), 7, np.uint8))
    lines = drawn(Figure([[Row("", [Cell(grey), None, Cell(grey)])]], bar), console())
    assert lines[0] == "\x1b[38;2;9;9;9;48;2;9;9;9m▀▀\x1b[0m  \x1b[38;2;9;9;9;48;2;9;9;9m▀▀\x1b[0m"
    assert lines[2].startswith("0 \x1b[38;2;7;7;7m█")
    assert lines[2].endswith(" 2  bits")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (
            console(width=16),
            "terminal: expected at least 17 columns, found 16; make it wider, or write a file",
        ),
        (
            console(force_terminal=False),
            "standard output: expected a terminal to draw in; write a file instead",
        ),
        (console(color_system=None), "terminal: expected one that shows 256 colours or more"),
        (console(color_system="standard"), "terminal: expected one that shows 256 colours or more"),
        (console(no_color=True), "terminal: expected one that shows 256 colours or more"),
    ],
    ids=["narrow", "no terminal", "no colours", "16 colours", "colours off"],
)
def test_where_no_picture_can_be_drawn_a_line_says_what_to_do(
    images: Pixels, target: Console, reason: str
) -> None:
    with pytest.raises(OptionError, match=f"^{re.escape(reason)}.* -o FILE.png or FILE.svg$"):
        show.rows({"a": images[:2]}).draw(target)


# The command


def test_a_packet_is_shown_by_the_decoder_alone(
    folder: Path, tmp_path: Path, images: Pixels, small_pair: tuple[Encoder, Decoder]
) -> None:
    decoder = ["--decoder", "small.decoder.msgpack"]
    decoded = small_pair[1].decode((folder / "x.packet").read_bytes())
    for name, count in (("x.packet", 3), ("x.archive", 7)):
        shown(folder, name, *decoder, "--count", str(count), "-o", str(tmp_path / "x.png"))
        picture = read_image(tmp_path / "x.png")
        assert all(place(picture, image) for image in decoded[:count])
        assert places(picture, decoded[count]) == []
        shown(folder, name, *decoder, "--count", str(count), "-o", str(tmp_path / "y.svg"), "-k", "codes")
        root = ElementTree.parse(tmp_path / "y.svg").getroot()
        assert [text for text in svg_texts(root) if text.startswith("image")] == [
            f"image {i}" for i in range(count)
        ]
    codes = small_pair[1].symbols((folder / "x.packet").read_bytes())[:3] * small_pair[1].bundle.pair.steps[1]
    shown(folder, "x.packet", *decoder, "-k", "codes", "-o", str(tmp_path / "z.png"))
    np.testing.assert_array_equal(read_image(tmp_path / "z.png"), show.codes(codes, decoded[:3]).pixels())


@pytest.mark.parametrize("what", ["digits", "x.npy"])
def test_images_are_shown_with_both_halves(
    folder: Path, tmp_path: Path, images: Pixels, small_pair: tuple[Encoder, Decoder], what: str
) -> None:
    encoder, decoder = small_pair
    drawings = {
        (): show.reconstructions(encoder, decoder, images[:10]),
        ("-k", "difference", "--count", "2", "-q", "0"): show.differences(
            encoder, decoder, images[:2], quality=0
        ),
        ("--noise", "0.3", "--seed", "5"): show.denoising(
            encoder, decoder, images[:10], deviation=0.3, seed=5
        ),
        ("-k", "ladder", "--count", "12"): show.ladder(encoder, decoder, images),
        ("-k", "codes", "-q", "2"): show.codes(encoder.codes(images[:3], quality=2), images[:3]),
        ("-k", "rate"): show.rate(encoder.element_bits(images[:3]), images[:3]),
        ("-k", "distribution"): show.distribution(
            encoder.image_bits(images) / 8, label="bytes an image, without framing"
        ),
    }
    for options, drawing in drawings.items():
        shown(folder, what, *PAIR, *options, "-o", str(tmp_path / "x.png"))
        assert (tmp_path / "x.png").read_bytes() == drawing.png(), options


def test_a_pair_is_shown_as_a_ladder_by_its_path(
    folder: Path, tmp_path: Path, images: Pixels, small_pair: tuple[Encoder, Decoder]
) -> None:
    shown(folder, "small", "--images", "x.npy", "--count", "4", "-o", str(tmp_path / "x.svg"))
    assert (tmp_path / "x.svg").read_bytes() == show.ladder(*small_pair, images[:4]).svg()


def test_a_shipped_pair_is_shown_with_the_packages_digits(tmp_path: Path, digits: Pixels) -> None:
    shown(tmp_path, "mnist", "-k", "rows", "--count", "5", "-o", "x.png")
    picture = read_image(tmp_path / "x.png")
    picked = digits[np.linspace(0, 99, 5).round().astype(int)]
    columns = [place(picture, digit, 2)[1] for digit in picked]
    assert columns == sorted(columns)


@pytest.mark.parametrize(
    ("arguments", "kind", "reason"),
    [
        (["x.packet", "-o", "x.jpg"], OptionError, r"^x.jpg: expected a file that ends in .png or .svg"),
        (["x.packet", "-o", "-"], OptionError, r"^-: expected a file that ends in .png or .svg"),
        (["x.packet"], OptionError, r"^standard output: expected a terminal to draw in; write a file"),
        (["x.packet", "-k", "pie", "-o", "x.png"], OptionError, r"^--kind: expected rows, .*, found 'pie'$"),
        (
            ["x.packet", "-k", "rate", "-o", "x.png"],
            OptionError,
            r"^--kind rate: expected images and an encoder, found the packet x.packet, which has the kinds "
            r"rows and codes$",
        ),
        (
            ["x.archive", "--noise", "1", "-o", "x.png"],
            OptionError,
            r"^--kind noise: .* the archive x.archive",
        ),
        (
            ["x.packet", "-q", "1", "-o", "x.png"],
            OptionError,
            r"^--quality: expected with images, found x.pa",
        ),
        (
            ["x.packet", "--images", "x.npy", "-o", "x.png"],
            OptionError,
            r"^--images: expected with .* a pair",
        ),
        (["x.packet", "-o", "x.png"], CodecError, r"^packet: made by the pair .* use the decoder bundle"),
        (["digits", "-o", "x.png"], ImageError, r"00.png: expected 28x28 pixels, the one size"),
        (
            ["digits", "large.png", *PAIR, "--noise", "1", "--count", "13", "-o", "x.png"],
            ImageError,
            r"^noise: expected images of one",
        ),
        (["colour.png", *PAIR, "-o", "x.png"], ImageError, r"^colour.png: expected 1 channel"),
        (
            ["digits", *PAIR, "-k", "rate", "--noise", "1", "-o", "x.png"],
            OptionError,
            r"^--noise: expected with",
        ),
        (
            ["digits", *PAIR, "--noise", "-1", "-o", "x.png"],
            OptionError,
            r"^noise: expected a deviation of at",
        ),
        (["digits", *PAIR, "-q", "9", "-o", "x.png"], OptionError, r"^quality: expected 0 to 2"),
        (
            ["digits", *PAIR, "-k", "ladder", "-q", "1", "-o", "x.png"],
            OptionError,
            r"^--quality: .* leave it",
        ),
        (
            ["digits", "--count", "201", "-o", "x.png"],
            OptionError,
            r"^--count: expected at most 200 with --k",
        ),
        (["gone", "-o", "x.png"], FileError, r"^gone: no such file or folder$"),
        (["gone.npy", "-o", "x.png"], FileError, r"^gone.npy: cannot be read"),
        (
            ["colour", "-o", "x.png"],
            OptionError,
            r"^the pair colour: expected images of 8x8 pixels and 3 channels, .* --images PATH$",
        ),
        (
            ["small", "--encoder", "mnist", "-o", "x.png"],
            OptionError,
            r"^--encoder, --decoder: expected with im",
        ),
        (["x.packet", "--convert", "-o", "x.png"], OptionError, r"^--convert: expected with images"),
        (
            ["digits", *PAIR, "--seed", "1", "-o", "x.png"],
            OptionError,
            r"^--seed: expected with --kind noise",
        ),
        (["x.packet", *PAIR[2:], "-o", "gone/x.png"], FileError, r"^gone/x.png: cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_clear_line(
    folder: Path, arguments: list[str], kind: type[CodecError], reason: str
) -> None:
    with pytest.raises(kind, match=reason) as raised:
        shown(folder, *arguments)
    assert "\n" not in str(raised.value)
    assert not (folder / "x.png").exists()
    assert not list(folder.glob(".codec-*"))


def test_a_terminal_is_given_what_it_has_room_for(
    folder: Path, images: Pixels, small_pair: tuple[Encoder, Decoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    for width, options, columns in ((26, [], 3), (26, ["--count", "5"], 3), (200, [], 10)):
        target, expected = console(width), console(width)
        monkeypatch.setattr("codec.show_terminal.terminal", lambda target=target: target)
        shown(folder, "digits", *PAIR, *options)
        count = int(options[1]) if options else columns
        show.reconstructions(*small_pair, images[:count], columns=columns).draw(expected)
        assert target.file.getvalue() == expected.file.getvalue()  # type: ignore[attr-defined]
    target = console(25)
    monkeypatch.setattr("codec.show_terminal.terminal", lambda: target)
    shown(folder, "digits", *PAIR, "-k", "codes")
    assert "image 0" in target.file.getvalue()  # type: ignore[attr-defined]
    with pytest.raises(OptionError, match=r"a chart is drawn to a file alone; add -o FILE\.png"):
        shown(folder, "digits", *PAIR, "-k", "distribution")
