"""One battery that every architecture and every shipped pair must pass: images in, packet, images out."""

import io
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import codec
from codec.architecture import Architecture, Convolutional, Dense, Residual, Upsampling
from codec.bundle import Bundle, weights_digest
from codec.bundle_reader import read_bundle
from codec.bundle_writer import write_bundle
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import BundleError, ImageError, LimitError, OptionError, PacketError, WrongPairError
from codec.limits import Limits
from codec.packet import Chunk, Header
from codec.packet_writer import write_packet
from tests.conftest import random_pair

ARCHITECTURES: dict[str, tuple[Architecture, tuple[int, ...], tuple[int, ...]]] = {
    "grey, one layer": (Convolutional(code_channels=3, layers=1, filters=4), (8, 8, 1), ()),
    "grey, three layers": (Convolutional(code_channels=5, layers=3, filters=4), (16, 24, 1), ()),
    "RGB, two layers, padded": (
        Convolutional(image_channels=3, code_channels=4, layers=2, filters=6),
        (13, 10, 3),
        (),
    ),
    "convolutional with a context model": (
        Convolutional(code_channels=4, layers=1, filters=4),
        (6, 8, 1),
        (12, 12, 24),
    ),
    "upsampling, RGB, padded": (
        Upsampling(image_channels=3, code_channels=4, layers=2, filters=4),
        (10, 13, 3),
        (),
    ),
    "dense": (
        Dense(rows=2, columns=3, filters=(4, 6), units=8, elements=20, qualities=3),
        (8, 12, 1),
        (2, 5, 13),
    ),
    "dense, RGB, padded": (
        Dense(image_channels=3, rows=3, columns=2, filters=(4, 6), units=8, elements=11, qualities=3),
        (11, 7, 3),
        (11,),
    ),
    "residual": (
        Residual(code_channels=3, layers=1, filters=6, blocks=1, qualities=3),
        (8, 12, 1),
        (1, 4, 7),
    ),
    "residual, RGB, of one block": (
        Residual(image_channels=3, code_channels=2, layers=2, filters=4, blocks=0, qualities=3),
        (7, 5, 3),
        (3, 5),
    ),
    "residual by channel": (
        Residual(code_channels=2, layers=2, filters=4, blocks=2, qualities=3),
        (9, 20, 1),
        (),
    ),
}
PAIRS = [*ARCHITECTURES, *codec.pretrained()]
OTHERS = [
    *[name for name, (a, _, groups) in ARCHITECTURES.items() if not groups or isinstance(a, Residual)],
    "article",
]
"""Those that take images of any size."""


@cache
def load(name: str) -> tuple[Encoder, Decoder]:
    """A pair by name, through its bundles' bytes."""
    if name not in ARCHITECTURES:
        return codec.load_encoder(name), codec.load_decoder(name)
    architecture, shape, groups = ARCHITECTURES[name]
    encoder, decoder = random_pair(architecture, noise(40, shape), groups=groups)
    return (
        Encoder(read_bundle(write_bundle(encoder), "encoder")),
        Decoder(read_bundle(write_bundle(decoder), "decoder")),
    )


def noise(count: int, shape: tuple[int, ...], seed: int = 0) -> NDArray[np.uint8]:
    """Images that no domain holds."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def own_shape(encoder: Encoder) -> tuple[int, int, int]:
    """Height, width and channels of the pair."""
    pair = encoder.bundle.pair
    return pair.height, pair.width, pair.architecture.image_channels


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest) -> tuple[Encoder, Decoder]:
    """Each pair in turn."""
    return load(request.param)


Pair = tuple[Encoder, Decoder]


def expected(pair: Pair, images: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """What the receiver must see: codes rounded to whole steps, made into images."""
    encoder, decoder = pair
    own = encoder.bundle.pair
    codes = np.rint(encoder.codes(images, quality=quality) / own.steps[quality])
    if own.context is None:
        for channel, table in enumerate(own.tables[quality]):
            if table.certain:
                codes[..., channel] = table.low
    height, width = images.shape[1:3]
    codes = (codes * own.steps[quality]).astype(np.float32)
    return decoder.images(codes, quality=quality, height=height, width=width)


def test_every_quality_returns_the_quantised_codes_as_images(pair: Pair) -> None:
    encoder, decoder = pair
    images = noise(5, own_shape(encoder))
    for quality in range(encoder.qualities):
        decoded = decoder.decode(encoder.encode(images, quality=quality))
        assert decoded.dtype == np.uint8
        assert decoded.shape == images.shape
        np.testing.assert_array_equal(decoded, expected(pair, images, quality))


@pytest.mark.parametrize("fill", [0, 1, 127, 255])
def test_flat_images_of_any_level_encode(pair: Pair, fill: int) -> None:
    encoder, decoder = pair
    images = np.full((2, *own_shape(encoder)), fill, np.uint8)
    assert decoder.decode(encoder.encode(images)).shape == images.shape


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (17, 30), (7, 100), (33, 20)])
def test_images_of_another_size_come_back_in_their_size(name: str, size: tuple[int, int]) -> None:
    encoder, decoder = pair = load(name)
    images = noise(3, (*size, own_shape(encoder)[2]))
    decoded = decoder.decode(encoder.encode(images, quality=0))
    np.testing.assert_array_equal(decoded, expected(pair, images, 0))


@pytest.mark.parametrize("name", [name for name in PAIRS if name not in OTHERS])
def test_a_pair_for_one_size_refuses_images_codes_and_packets_of_others(name: str) -> None:
    encoder, decoder = load(name)
    height, width, channels = own_shape(encoder)
    stride = encoder.bundle.pair.architecture.stride
    larger = noise(1, (height + stride, width, channels))
    message = f"expected {height}x{width}, the one size that .* takes, found {height + stride}x{width}"
    for call in (encoder.encode, encoder.codes):
        with pytest.raises(ImageError, match=message):
            call(larger)
    rows, columns, depth = encoder.bundle.pair.code_shape
    with pytest.raises(ImageError, match=f"codes: expected {rows}x{columns} cells, the one size"):
        decoder.images(np.zeros((1, rows + 1, columns, depth), np.float32))
    header = Header("single", 0, decoder.bundle.pair.digest[:4], (height + stride, width))
    with pytest.raises(PacketError, match=f"expected images of {height}x{width}, the one size of the pair"):
        decoder.decode(write_packet(header, Chunk(0, 1, b"")))


@pytest.mark.parametrize("name", ["dense, RGB, padded"])
def test_a_pair_for_one_size_takes_the_sizes_that_pad_to_it(name: str) -> None:
    encoder, decoder = pair = load(name)
    images = noise(3, (12, 8, 3))
    np.testing.assert_array_equal(
        decoder.decode(encoder.encode(images, quality=0)), expected(pair, images, 0)
    )


def test_floats_and_bytes_of_the_same_image_give_the_same_packet(pair: Pair) -> None:
    encoder, _ = pair
    images = noise(4, own_shape(encoder))
    assert encoder.encode(images) == encoder.encode(images.astype(np.float32) / np.float32(255))


def test_one_image_needs_no_batch_axis(pair: Pair) -> None:
    encoder, decoder = pair
    images = noise(1, own_shape(encoder))
    packet = encoder.encode(images[0])
    assert packet == encoder.encode(images)
    assert decoder.decode(packet).shape == images.shape


def test_the_same_images_give_the_same_packet_every_time(pair: Pair) -> None:
    encoder, _ = pair
    images = noise(20, own_shape(encoder))
    assert encoder.encode(images) == encoder.encode(images)


def test_the_compact_framing_saves_six_bytes_and_decodes_the_same(pair: Pair) -> None:
    encoder, decoder = pair
    image = noise(1, own_shape(encoder))
    whole, compact = encoder.encode(image), encoder.encode(image, compact=True)
    assert len(whole) - len(compact) == 6
    np.testing.assert_array_equal(decoder.decode(whole), decoder.decode(compact))


def test_names_travel_with_their_images(pair: Pair) -> None:
    encoder, decoder = pair
    images = noise(3, own_shape(encoder))
    names = ("a.png", "Ünïcode ☃.jpg", "c")
    (part,) = decoder.decode_stream(encoder.encode(images, names=names))
    assert part.names == names
    np.testing.assert_array_equal(part.images, decoder.decode(encoder.encode(images)))


def test_a_stream_of_batches_is_the_packet_of_them_all(pair: Pair) -> None:
    encoder, decoder = pair
    images = noise(2500, own_shape(encoder)) if own_shape(encoder)[0] < 16 else noise(60, own_shape(encoder))
    whole = encoder.encode(images, quality=0)
    bounds = [0, 1, 2, 30, len(images)]
    batches = [images[start:end] for start, end in pairwise(bounds)]
    streamed = b"".join(encoder.encode_stream(batches, quality=0))
    parts = list(decoder.decode_stream(io.BytesIO(streamed)))
    assert [part.first for part in parts] == list(np.cumsum([0, *(len(p.images) for p in parts)])[:-1])
    np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), decoder.decode(whole))
    if codec.inspect(whole).framing == "stream":  # type: ignore[union-attr]
        assert streamed == whole


def test_a_missing_or_superfluous_name_is_refused(pair: Pair) -> None:
    encoder, _ = pair
    images = noise(3, own_shape(encoder))
    for names in (["a"], ["a", "b", "c", "d"]):
        with pytest.raises(ImageError, match="image names"):
            encoder.encode(images, names=names)
        with pytest.raises(ImageError, match="image names"):
            b"".join(encoder.encode_stream([images], names=names))


@pytest.mark.parametrize("quality", [-1, 99])
def test_a_quality_that_the_pair_lacks_is_refused(pair: Pair, quality: int) -> None:
    encoder, _ = pair
    with pytest.raises(OptionError, match=rf"quality: expected 0 to {encoder.qualities - 1}"):
        encoder.encode(noise(1, own_shape(encoder)), quality=quality)


@pytest.mark.parametrize("quality", [1.5, "1", True, np.array([0, 1])], ids=repr)
def test_a_quality_that_is_no_whole_number_is_refused(pair: Pair, quality: Any) -> None:
    with pytest.raises(OptionError, match="quality: expected a whole number"):
        pair[0].encode(noise(1, own_shape(pair[0])), quality=quality)


def test_a_numpy_integer_is_a_quality(pair: Pair) -> None:
    image = noise(1, own_shape(pair[0]))
    assert pair[0].encode(image, quality=np.int64(1)) == pair[0].encode(image, quality=1)


def test_images_cannot_be_cropped_to_more_than_the_codes_cover(pair: Pair) -> None:
    encoder, decoder = pair
    codes = encoder.codes(noise(1, own_shape(encoder)))
    for height in (0, -5, 999):
        with pytest.raises(OptionError, match="which the codes cover"):
            decoder.images(codes, height=height)


def test_compact_is_refused_where_it_cannot_frame(pair: Pair) -> None:
    encoder, _ = pair
    height, width, channels = own_shape(encoder)
    cases: list[tuple[NDArray[np.uint8], list[str] | None]] = [
        (noise(2, (height, width, channels)), None),
        (noise(1, (height, width, channels)), ["a"]),
    ]
    if encoder.bundle.pair.takes(height + 1, width):
        cases.append((noise(1, (height + 1, width, channels)), None))
    for images, names in cases:
        with pytest.raises(OptionError, match="compact: expected one image of the pair's own size"):
            encoder.encode(images, names=names, compact=True)


def test_batches_of_two_sizes_in_one_stream_are_refused(pair: Pair) -> None:
    encoder, _ = pair
    height, width, channels = own_shape(encoder)
    batches = [noise(2, (height, width, channels)), noise(2, (height, width + 1, channels))]
    with pytest.raises(ImageError, match="expected batches of one size and type"):
        list(encoder.encode_stream(batches))
    with pytest.raises(ImageError, match="expected at least one batch"):
        encoder.encode_stream([])


def test_another_pairs_packet_is_refused_by_both_names() -> None:
    names = PAIRS[:2]
    encoder, decoder = load(names[0])[0], load(names[1])[1]
    packet = encoder.encode(noise(1, own_shape(encoder)))
    theirs, ours = encoder.bundle.pair.digest[:4].hex(), decoder.bundle.pair.digest[:4].hex()
    with pytest.raises(WrongPairError, match=f"made by the pair {theirs}.*{ours}"):
        decoder.decode(packet)


def test_limits_of_the_encoder_are_its_own() -> None:
    encoder, _ = load(PAIRS[0])
    small = Encoder(encoder.bundle, Limits(chunk_pixels=100))
    with pytest.raises(LimitError, match="chunk_pixels"):
        small.encode(noise(2, own_shape(encoder)))


def test_codes_that_are_not_codes_are_refused(pair: Pair) -> None:
    encoder, decoder = pair
    good = encoder.codes(noise(1, own_shape(encoder)))
    bad: list[Callable[[], object]] = [
        lambda: decoder.images(good[..., :-1]),
        lambda: decoder.images(good.astype(np.int32)),
        lambda: decoder.images(np.full_like(good, np.nan)),
        lambda: decoder.images(good[:0]),
        lambda: decoder.images(good[0, 0]),
    ]
    for call in bad:
        with pytest.raises(ImageError, match="codes: expected finite floats"):
            call()


def test_weights_that_make_codes_overflow_are_told(small_bundles: tuple[Bundle, Bundle]) -> None:
    weights = {name: np.full_like(values, 3e38) for name, values in small_bundles[0].weights.items()}
    pair = replace(small_bundles[0].pair, analysis_sha256=weights_digest(weights))
    encoder = Encoder(read_bundle(write_bundle(Bundle("encoder", pair, weights))))
    with pytest.raises(BundleError, match="codes are not finite"):
        encoder.encode(noise(1, (8, 8, 1)))


def test_threads_that_share_a_pair_get_what_one_gets(pair: Pair) -> None:
    encoder, decoder = pair
    batches = [noise(1 + i % 3, own_shape(encoder), seed=i) for i in range(8)]
    packets = [encoder.encode(batch) for batch in batches]
    decoded = [decoder.decode(packet) for packet in packets]
    failures: list[int] = []

    def work(i: int) -> None:
        if encoder.encode(batches[i]) != packets[i] or (decoder.decode(packets[i]) != decoded[i]).any():
            failures.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_one_shot_functions_take_a_name_or_a_loaded_half(small_pair: Pair) -> None:
    encoder, decoder = small_pair
    images = noise(2, own_shape(encoder))
    packet = codec.encode(images, encoder, quality=1)
    assert packet == encoder.encode(images, quality=1)
    np.testing.assert_array_equal(codec.decode(packet, decoder), decoder.decode(packet))
    digit = np.zeros((28, 28), np.uint8)
    assert codec.decode(codec.encode(digit, "article"), "article").shape == (1, 28, 28, 1)
