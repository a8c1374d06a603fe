"""Pictures of what a pair does: reconstructions, noise, errors, qualities, codes and what they cost.

What enters: uint8 images [N, H, W, C], or a list of [H, W, C] where sizes differ, and codes or bits of them.
What leaves: a ``Figure``: uint8 pixels, a PNG or SVG file, a drawing in the terminal or in a notebook.
``codec show`` is these functions; ``docs/pictures.md`` shows their pictures.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codec.errors import ImageError, OptionError
from codec.noise import noisy
from codec.pictures import difference
from codec.show_figure import Block, Cell, Drawing, Figure, Row
from codec.tiles import tile_count

if TYPE_CHECKING:
    from codec.decoder import Decoder
    from codec.encoder import Encoder
    from codec.show_colours import Colours

__all__ = [
    "COLUMNS",
    "Drawing",
    "Figure",
    "codes",
    "denoising",
    "differences",
    "distribution",
    "ladder",
    "rate",
    "reconstructions",
    "rows",
]

Images = NDArray[np.uint8] | Sequence[NDArray[np.uint8]]
"""uint8 [N, H, W, C], or [H, W, C] each."""

COLUMNS = 10
"""Images side by side before the rows go on below."""
_MAPS = 16
"""Channels side by side."""


def rows(pictures: Mapping[str, Images], *, columns: int = COLUMNS) -> Figure:
    """A row for each label, with one image of each below the other.

    Args:
        pictures: label to images, as many of each. All lines of a label but its first are small.
        columns: images side by side before the rows go on below.

    Raises:
        ImageError: other types or shapes, none, or not as many of each.
    """
    counts = {len(images) for images in pictures.values()}
    if len(counts) != 1 or 0 in counts:
        raise ImageError(
            f"picture: expected as many images in each row and at least one, found "
            f"{', '.join(str(len(images)) for images in pictures.values()) or 'no row'}"
        )
    (count,) = counts
    blocks = [
        [
            Row(label, [Cell(image) for image in images[start : start + columns]])
            for label, images in pictures.items()
        ]
        for start in range(0, count, columns)
    ]
    return Figure(blocks)


def reconstructions(
    encoder: "Encoder",
    decoder: "Decoder",
    images: Images,
    *,
    quality: int | None = None,
    columns: int = COLUMNS,
) -> Figure:
    """Originals, and below them what the receiver sees of them.

    Raises:
        CodecError: what ``encode`` and ``decode`` raise, a mismatch of the two sides among it.
    """
    decoded, told = _sent(encoder, decoder, images, images, quality)
    return rows({"original": images, f"decoded\n{told}": decoded}, columns=columns)


def denoising(
    encoder: "Encoder",
    decoder: "Decoder",
    images: Images,
    *,
    deviation: float = 0.5,
    seed: int = 0,
    quality: int | None = None,
    columns: int = COLUMNS,
) -> Figure:
    """Clean images, the same with noise, and what the receiver sees of those; its PSNR is to the clean ones.

    Args:
        deviation, seed: of the noise, as for ``codec.noise.noisy``.

    Raises:
        ImageError: images of different sizes.
        OptionError: a deviation below 0, or none that is a number.
        CodecError: as ``reconstructions``.
    """
    if not 0 <= deviation < float("inf"):
        raise OptionError(f"noise: expected a deviation of at least 0, found {deviation}")
    if not len(images):
        raise ImageError("noise: expected at least one image, found none")
    clean = _stacked(images)
    if clean is None:
        raise ImageError("noise: expected images of one size, found several; crop them to one")
    dirty = noisy(clean, deviation, seed)
    decoded, told = _sent(encoder, decoder, dirty, clean, quality)
    return rows(
        {"clean": clean, f"noisy\ndeviation {deviation:g}": dirty, f"decoded\n{told}": decoded},
        columns=columns,
    )


def differences(
    encoder: "Encoder",
    decoder: "Decoder",
    images: Images,
    *,
    quality: int | None = None,
    columns: int = COLUMNS,
) -> Figure:
    """Originals, what the receiver sees, and their absolute difference: white where the two agree.

    Raises:
        CodecError: as ``reconstructions``.
    """
    decoded, told = _sent(encoder, decoder, images, images, quality)
    gaps = [difference(one, other) for one, other in zip(images, decoded, strict=True)]
    shown = rows(
        {"original": images, f"decoded\n{told}": decoded, "difference\nwhite: none": gaps}, columns=columns
    )
    return Figure(shown.blocks, framed=True)


def ladder(
    encoder: "Encoder",
    decoder: "Decoder",
    images: Images,
    *,
    qualities: Iterable[int] | None = None,
    columns: int = COLUMNS,
) -> Figure:
    """Originals, and below them what the receiver sees at each quality, with its bytes and PSNR.

    Args:
        qualities: which; None is all of the pair.

    Raises:
        CodecError: as ``reconstructions``.
    """
    pictures: dict[str, Images] = {"original": images}
    for quality in range(encoder.qualities) if qualities is None else qualities:
        decoded, told = _sent(encoder, decoder, images, images, quality)
        pictures[f"quality {quality}\n{told}"] = decoded
    return rows(pictures, columns=columns)


def codes(
    codes: NDArray[Any] | Sequence[NDArray[Any]], images: Images | None = None, *, columns: int = _MAPS
) -> Figure:
    """Codes or symbols as small maps, one a channel with its number below: blue under zero, red above.

    Args:
        codes: numbers [N, h, w, channels], or [h, w, channels] each.
        images: of which they are, to stand beside them.
        columns: maps side by side.

    Raises:
        ImageError: other shapes, or numbers that are not finite.
        MissingExtraError: Matplotlib, which has the colours, is not installed.
    """
    from codec.show_colours import diverging

    values = _maps(codes, "codes")
    return _figure_of_maps(
        values, images, diverging(values), "code", lambda channel, _: str(channel), columns
    )


def rate(
    bits: NDArray[Any] | Sequence[NDArray[Any]], images: Images | None = None, *, columns: int = _MAPS
) -> Figure:
    """What each element of the codes costs, as small maps, one a channel with its number and its bits below.

    Args:
        bits: as ``Encoder.element_bits`` gives them, [N, h, w, channels], or [h, w, channels] each.
        images, columns: as for ``codes``.

    Raises:
        ImageError, MissingExtraError: as ``codes``.
    """
    from codec.show_colours import rising

    values = _maps(bits, "bits")
    return _figure_of_maps(
        values,
        images,
        rising(values),
        "bits an element",
        lambda channel, some: f"{channel}: {some.sum():.0f}",
        columns,
        [f"\n{some.sum() / 8:.1f} bytes" for some in values],
    )


def distribution(sizes: NDArray[np.float64], *, label: str = "bytes an image") -> Drawing:
    """How many images take how many bytes: a histogram with its mean and median.

    Args:
        sizes: bytes of each image, float64 [N].
        label: of the axis.

    Raises:
        ImageError: no sizes.
        MissingExtraError: Matplotlib, which draws it, is not installed.
    """
    from codec.show_chart import Histogram

    if not np.size(sizes):
        raise ImageError("distribution: expected the bytes of at least one image, found none")
    return Histogram(np.asarray(sizes, np.float64).ravel(), label)


def _sent(
    encoder: "Encoder", decoder: "Decoder", images: Images, clean: Images, quality: int | None
) -> tuple[Images, str]:
    """What the receiver sees of images sent as one packet, and the packet's bytes and PSNR in words."""
    if not len(images):
        raise ImageError("picture: expected at least one image, found none")
    batch = _stacked(images)
    tiled = encoder.bundle.pair.takes_any_size and any(
        tile_count(*np.shape(image)[:2]) > 1 for image in images
    )
    if batch is not None and not tiled:
        packet = encoder.encode(batch, quality=quality)
    else:
        packet = b"".join(encoder.encode_pictures(images, quality=quality))
    decoded = [picture.image for picture in decoder.decode_pictures(packet)]
    return decoded, f"{len(packet) / len(images):.1f} bytes an image\n{_psnr(clean, decoded)}"


def _psnr(images: Images, decoded: Images) -> str:
    """The PSNR over all pixels of all images, in words."""
    from codec.evaluation import pixel_errors, psnr  # which imports both halves

    values = [image.size for image in images]
    errors = [pixel_errors(one[None], other[None])[0] for one, other in zip(images, decoded, strict=True)]
    found = psnr(float(np.average(errors, weights=values)))
    return f"{found:.2f} dB" if np.isfinite(found) else "without loss"


def _stacked(images: Images) -> NDArray[np.uint8] | None:
    """Images as one array, or None where their sizes differ."""
    same = len({np.shape(image) for image in images}) == 1
    return np.stack(list(images)) if same else None


def _maps(values: NDArray[Any] | Sequence[NDArray[Any]], what: str) -> list[NDArray[Any]]:
    """Each image's values, checked: [h, w, channels]."""
    arrays = [np.asarray(some) for some in values]
    for array in arrays:
        if array.ndim != 3 or 0 in array.shape or not np.isfinite(array).all():
            raise ImageError(
                f"{what}: expected finite numbers [N, h, w, channels], found shape {array.shape}"
            )
    if not arrays:
        raise ImageError(f"{what}: expected those of at least one image, found none")
    return arrays


def _figure_of_maps(
    values: list[NDArray[Any]],
    images: Images | None,
    colours: "Colours",
    label: str,
    caption: Any,
    columns: int,
    told: Sequence[str] | None = None,
) -> Figure:
    """A block for each image: itself, if given, and its channels' maps."""
    if images is not None and len(images) != len(values):
        raise ImageError(f"picture: expected an image for each of {len(values)}, found {len(images)}")
    blocks: list[Block] = []
    for i, array in enumerate(values):
        maps = [
            Cell(colours.of(array[..., channel]), caption(channel, array[..., channel]))
            for channel in range(array.shape[2])
        ]
        lines = [maps[start : start + columns] for start in range(0, len(maps), columns)]
        beside: list[list[Cell | None]] = [[]] * len(lines)
        if images is not None:
            beside = [[Cell(images[i])] if line is lines[0] else [None] for line in lines]
        labels = [f"image {i}{told[i] if told else ''}", *("" for _ in lines[1:])]
        blocks.append(
            [Row(text, [*one, *line]) for text, one, line in zip(labels, beside, lines, strict=True)]
        )
    return Figure(blocks, colours.bar(label), framed=True)
