"""Tiles: how a picture is cut, how far networks look, and that what they make has no seams."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest
from numpy.typing import NDArray

import codec
from codec.analysis import build_analysis
from codec.architecture import KINDS, Architecture, Convolutional, Dense, Side, Upsampling
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.packet_reader import read_packet
from codec.synthesis import build_synthesis
from codec.tiles import MOST_MARGIN, TILE, aligned, longest_window, look, tile_count, tile_span, tiles_along
from tests.conftest import random_pair

# Geometry


@pytest.mark.parametrize("side", [1, 2, 511, 512, 513, 1024, 1025, 1500, 5000])
def test_tiles_cover_a_side_once_and_in_order(side: int) -> None:
    spans = [tile_span(index, side) for index in range(tiles_along(side))]
    assert [start for start, _ in spans] == [TILE * i for i in range(len(spans))]
    assert [stop for _, stop in spans] == [*(start for start, _ in spans[1:]), side]
    assert tile_count(side, 513) == 2 * len(spans)


@pytest.mark.parametrize("alignment", [2, 8, 64])
@pytest.mark.parametrize("margin", [0, 1, 3, MOST_MARGIN // 64])
def test_a_window_reaches_as_far_as_the_margin_and_ends_where_the_picture_does(
    alignment: int, margin: int
) -> None:
    margin *= alignment if margin < 4 else 64
    for side in [*range(1, 40), *range(500, 530), *range(1020, 1200, 7), 4000]:
        whole = aligned(side, alignment)
        for index in range(tiles_along(side)):
            window, tile = look(index, side, alignment, margin)
            start, stop = tile_span(index, whole)
            assert (window.start + tile.start, window.start + tile.stop) == (start, stop)
            assert 0 <= window.start <= max(0, start - margin)
            assert min(whole, stop + margin) <= window.stop <= whole
            assert max(0, index - 1) * TILE <= window.start
            assert window.stop <= (index + 2) * TILE, "no further than the tiles beside it"
            assert window.stop - window.start <= longest_window(side, alignment, margin)
            assert {part % alignment for part in (window.start, window.stop, tile.start, tile.stop)} == {0}
            assert window.start < side, "something of the picture to repeat in the padding"


def test_pictures_of_all_sizes_share_a_few_windows() -> None:
    lengths = set()
    for side in range(700, 9000):
        for index in range(tiles_along(side)):
            window, _ = look(index, side, 8, 64)
            lengths.add(window.stop - window.start)
    assert len(lengths) <= 5


# How far networks look

ARCHITECTURES = [Convolutional(code_channels=2, layers=layers, filters=2) for layers in (1, 2, 3, 4)]
ARCHITECTURES += [Upsampling(code_channels=2, layers=layers, filters=2) for layers in (1, 2, 3, 4)]
EACH = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: f"{a.kind}, {a.layers} layers")


def lively_weights(architecture: Architecture, side: Side) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Positive weights, so that no change is lost in a ReLU, a maximum or a sum."""
    rng = np.random.default_rng(0)
    layers: dict[str, dict[str, NDArray[np.float32]]] = {}
    for name, shape in architecture.weight_shapes(side).items():
        layer, kind = name.split("/")
        scale = 1 / math.prod(shape[:-1])
        layers.setdefault(layer, {})[kind] = rng.uniform(0.5, 1, shape).astype(np.float32) * np.float32(scale)
    return layers


def reached(
    network: Callable[[Any], Any], height: int, width: int, channels: int, changed: Sequence[int]
) -> list[list[int]]:
    """For each column of the input that is changed, the columns of the output that this reaches."""
    inputs = np.ones((1 + len(changed), height, width, channels), np.float32)
    for i, column in enumerate(changed, 1):
        inputs[i, :, column] = 1000
    still, *moved = np.asarray(jax.jit(network)(inputs))
    return [np.flatnonzero((still != some).any((0, 2))).tolist() for some in moved]


@EACH
def test_the_analysis_looks_as_far_as_its_margin_says_and_no_further(architecture: Convolutional) -> None:
    stride, margin = architecture.stride, architecture.margin("encoder")
    parameters = {"params": lively_weights(architecture, "encoder")}
    distances = set()
    changed = range(2 * stride, 3 * stride)
    network = partial(build_analysis(architecture).apply, parameters)
    for at, codes in zip(changed, reached(network, stride, 5 * stride, 1, changed), strict=True):
        assert codes
        distances |= {max(c * stride - at, at - (c + 1) * stride + 1) for c in codes}
    assert margin - architecture.alignment < max(distances) <= margin


@EACH
def test_the_synthesis_looks_as_far_as_its_margin_says_and_no_further(architecture: Convolutional) -> None:
    stride, margin = architecture.stride, architecture.margin("decoder")
    parameters = {"params": lively_weights(architecture, "decoder")}
    network = partial(build_synthesis(architecture).apply, parameters, method="logits")
    [pixels] = reached(network, 1, 7, architecture.code_channels, [3])
    assert max(abs(pixel // stride - 3) * stride for pixel in pixels) == margin


def test_margins_are_whole_multiples_that_windows_have_room_for() -> None:
    for kind in KINDS.values():
        for side in ("encoder", "decoder"):
            for layers in range(1, 7) if issubclass(kind, Convolutional) else (2,):
                architecture = replace(kind(), layers=layers)
                margin = architecture.margin(side)
                assert TILE % architecture.alignment == 0
                assert margin is None or 0 < margin <= MOST_MARGIN
                assert margin is None or margin % architecture.alignment == 0
    assert Dense().margin("encoder") is Dense().margin("decoder") is None


# Seams


@pytest.fixture(scope="module")
def mosaic(digits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture of two tiles that the pair `article` knows how to code: digits side by side."""
    rng = np.random.default_rng(0)
    rows = [np.concatenate(digits[rng.integers(0, 100, 10)], axis=1) for _ in range(26)]
    return np.concatenate(rows)[:709, :278]


@pytest.fixture(scope="module")
def article() -> tuple[Encoder, Decoder]:
    return codec.load_encoder("article"), codec.load_decoder("article")


def near_edges(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where a pixel is at most eight away from the edge between two tiles."""
    near = np.zeros(shape[:2], bool)
    for edge in range(TILE, max(shape[:2]), TILE):
        near[edge - 8 : edge + 8] = True
        near[:, edge - 8 : edge + 8] = True
    return near


def squared(image: NDArray[np.uint8], other: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    return float(((image.astype(float) - other) ** 2)[where].mean())


def test_a_picture_in_tiles_is_the_picture_at_once(
    article: tuple[Encoder, Decoder], mosaic: NDArray[np.uint8]
) -> None:
    encoder, decoder = article
    at_once = encoder.encode(mosaic, quality=4)
    [whole] = decoder.decode(at_once)
    tiled = b"".join(encoder.encode_pictures([mosaic], quality=4))
    [symbols] = decoder.picture_symbols(tiled)
    np.testing.assert_array_equal(symbols, decoder.symbols(at_once)[0], strict=True)
    [picture] = decoder.decode_pictures(tiled)
    apart = np.abs(picture.image.astype(int) - whole)
    assert apart.max() <= 1
    assert (apart > 0).mean() <= 1e-4
    near = near_edges(mosaic.shape)
    assert near.any()
    assert squared(picture.image, mosaic, near) == pytest.approx(squared(whole, mosaic, near), rel=1e-3)
    assert squared(picture.image, mosaic, near) < 1.2 * squared(picture.image, mosaic, ~near)


@pytest.mark.parametrize("blind", [None, "encoder", "decoder"])
def test_many_tiles_have_no_seams_but_where_a_half_looks_at_tiles_alone(
    article: tuple[Encoder, Decoder],
    mosaic: NDArray[np.uint8],
    blind: Side | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder, decoder = article
    mosaic = mosaic[:241, :211]
    real = Convolutional.margin
    monkeypatch.setattr("codec.tiles.TILE", 64)
    monkeypatch.setattr("codec.mixed_decoder.TILE", 64)
    monkeypatch.setattr("codec.tiles._STEP", 32)
    monkeypatch.setattr(Convolutional, "margin", lambda self, side: 0 if side == blind else real(self, side))
    if blind is not None:
        monkeypatch.setattr("codec.tiles._STEP", 4)
    [at_once] = decoder.decode(encoder.encode(mosaic, quality=4))
    tiled = b"".join(encoder.encode_pictures([mosaic], quality=4))
    [picture] = decoder.decode_pictures(tiled)
    apart = np.abs(picture.image.astype(int) - at_once)
    if blind is None:
        assert len(list(read_packet(tiled)[1])) == 16
        assert apart.max() <= 1
        assert (apart > 0).mean() <= 1e-4
    else:
        assert (apart > 1).mean() > 1e-3, "the tests of seams would not see one"


class Aligned(Convolutional):
    """Pads to twice the width of its codes."""

    @property
    def alignment(self) -> int:
        return 2 * self.stride

    def margin(self, side: Side) -> int:
        return self.alignment


def random_picture_in_tiles_is_the_picture_at_once(architecture: Architecture, size: tuple[int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, *size, 1), np.uint8)
    bundles = random_pair(architecture, images[:, :40, :40])
    encoder, decoder = Encoder(bundles[0]), Decoder(bundles[1])
    at_once = encoder.encode(images[3])
    tiled = b"".join(encoder.encode_pictures([images[3]]))
    [symbols] = decoder.picture_symbols(tiled)
    np.testing.assert_array_equal(symbols, decoder.symbols(at_once)[0], strict=True)
    [picture] = decoder.decode_pictures(tiled)
    assert np.abs(picture.image.astype(int) - decoder.decode(at_once)[0]).max() <= 1


@pytest.mark.parametrize("size", [(3, 1037), (518, 9)])
def test_tiles_are_padded_to_the_alignment_where_that_is_more_than_a_code(size: tuple[int, int]) -> None:
    random_picture_in_tiles_is_the_picture_at_once(Aligned(code_channels=2, layers=2, filters=2), size)


def test_tiles_of_an_upsampling_pair_have_no_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codec.tiles._STEP", 4)  # windows are no longer than the margin asks for
    random_picture_in_tiles_is_the_picture_at_once(Upsampling(code_channels=2, filters=4), (24, 1037))
