"""What is no packet, no bundle and no path: errors of the library for bytes, TypeError for mistakes."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import codec
from codec.bundle import Bundle
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import CodecError, FileError, ImageError, OptionError
from codec.packet_reader import read_packet
from tests.attacks.cost import MIB

Pair = tuple[Encoder, Decoder]
Read = Callable[[Any], object]


def readers(pair: Pair) -> list[Read]:
    decoder = pair[1]
    ways: list[Read] = [decoder.decode, decoder.symbols, codec.inspect, read_packet]
    return [*ways, partial(codec.decode, decoder=decoder), lambda source: list(decoder.decode_stream(source))]


class Source:
    """A file whose ``read`` does what it is told to."""

    def __init__(self, read: Callable[[int], Any]) -> None:
        self.read = read


@pytest.mark.parametrize(
    "source",
    [
        None,
        5,
        1.5,
        "packet",
        [b"packet"],
        {},
        pytest.param(object(), id="object"),
        Path("packet"),
        np.zeros(3, np.uint8),
    ],
    ids=repr,
)
def test_what_is_neither_bytes_nor_a_file_is_a_type_error_that_says_so(small_pair: Pair, source: Any) -> None:
    for read in readers(small_pair):
        with pytest.raises(TypeError, match=r"expected bytes or a file open for reading bytes, found \w+"):
            read(source)


@pytest.mark.parametrize(
    "read",
    [
        lambda count: "\u00c3" * min(count, 5),
        lambda count: b"\xc3" * (count + 1),
        lambda count: [1, 2],
        lambda count: b"\xa0" * 2 * MIB,
    ],
    ids=["text", "one byte more than asked for", "a list", "much more than asked for"],
)
def test_a_file_that_breaks_the_promise_of_its_read_is_a_type_error(
    small_pair: Pair, read: Callable[[int], Any]
) -> None:
    for reader in readers(small_pair):
        with pytest.raises(
            TypeError, match=r"expected a file whose read\([\d,]+\) gives as many bytes at most"
        ):
            reader(Source(read))


def test_what_reading_a_file_raises_passes_as_it_is(small_pair: Pair) -> None:
    def read(count: int) -> bytes:
        raise OSError("the cable was pulled")

    for reader in readers(small_pair):
        with pytest.raises(OSError, match="the cable was pulled"):
            reader(Source(read))


def _give(given: Any, count: int) -> Any:
    return given


def test_a_file_that_has_nothing_is_at_its_end(small_pair: Pair) -> None:
    for given in (b"", None):
        for reader in readers(small_pair):
            with pytest.raises(CodecError, match=r"found nothing|begin with nothing"):
                reader(Source(partial(_give, given)))


def test_any_kind_of_bytes_is_read_alike(small_pair: Pair) -> None:
    encoder, decoder = small_pair
    packet = encoder.encode(np.zeros((8, 8), np.uint8))
    spread = memoryview(bytes(byte for value in packet for byte in (value, 0)))[::2]
    for same in (bytearray(packet), memoryview(packet), spread, io.BytesIO(packet)):
        assert (decoder.decode(same) == decoder.decode(packet)).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("load", [codec.load_encoder, codec.load_decoder])
@pytest.mark.parametrize(
    ("path", "error"),
    [
        (None, TypeError),
        (5, TypeError),
        (b"\xc3\x7a", FileError),
        ("", FileError),
        ("-", FileError),
        ("\0", FileError),
        ("\ud800", FileError),
        ("x" * 100_000, FileError),
        ("/", FileError),
        ("mnist/../mnist", FileError),
        ("mnist.encoder.msgpack", FileError),
        ("../shipped/mnist", FileError),
    ],
)
def test_what_names_no_bundle_is_refused(
    load: Callable[[Any], object], path: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        load(path)


@pytest.mark.parametrize("load", [codec.load_encoder, codec.load_decoder])
@pytest.mark.parametrize("data", [b"", b"\x84\xa6format", b"\x80", b"\x84\xa6format" + b"\xff" * 1000])
def test_bytes_that_are_no_bundle_are_refused_wherever_they_are_loaded(
    tmp_path: Path, load: Callable[[Any], object], data: bytes
) -> None:
    (tmp_path / "bundle").write_bytes(data)
    with pytest.raises(codec.BundleError, match="bundle"):
        load(tmp_path / "bundle")


def test_a_device_without_end_is_read_to_the_limit_and_no_further() -> None:
    with pytest.raises(codec.LimitError, match="expected at most 1,000,000 bytes, found more"):
        codec.load_decoder("/dev/zero", codec.Limits(bundle_bytes=1_000_000))


CODES = np.zeros((1, 4, 4, 3), np.float32)


@pytest.mark.parametrize(
    "codes",
    [
        None,
        "codes",
        b"codes",
        {},
        pytest.param(object(), id="object"),
        [[1.0], [1.0, 2.0]],
        [10**400, 1.0],
        CODES.astype(np.int32),
        CODES.astype(complex),
        CODES.astype(object),
        CODES[..., :2],
        CODES[0, 0],
        CODES[:0],
        CODES[:, :0],
        CODES + np.nan,
        CODES - np.inf,
        CODES.astype(np.float64) + 1e300,
    ],
    ids=lambda value: f"{type(value).__name__} {str(value)[:20]!r}",
)
def test_codes_that_are_none_are_refused(small_pair: Pair, codes: Any) -> None:
    with pytest.raises(ImageError, match=r"^codes: expected"):
        small_pair[1].images(codes)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, np.dtype(">f4")])
def test_codes_of_any_width_give_the_same_images(small_pair: Pair, dtype: Any) -> None:
    codes = np.random.default_rng(0).integers(-9, 9, (2, 4, 4, 3))
    expected = small_pair[1].images(codes.astype(np.float32))
    np.testing.assert_array_equal(small_pair[1].images(codes.astype(dtype)), expected)


@pytest.mark.parametrize("name", [None, 5, b"a.png", ["a"], Path("a.png")], ids=repr)
def test_a_name_that_is_no_text_is_refused(small_pair: Pair, name: Any) -> None:
    encoder, image = small_pair[0], np.zeros((8, 8), np.uint8)
    told = f"image name .*: expected text, found {type(name).__name__}"
    with pytest.raises(ImageError, match=told):
        encoder.encode(image, names=[name])
    with pytest.raises(ImageError, match=told):
        list(encoder.encode_stream([image], names=[name]))


@pytest.mark.parametrize(
    "value", [-1, 3, 1.0, 1.5, True, "1", b"1", float("nan"), (1,), np.array([1, 2])], ids=repr
)
def test_a_quality_that_is_none_is_refused(small_pair: Pair, value: Any) -> None:
    with pytest.raises(OptionError, match="quality: expected 0 to 2, found "):
        small_pair[1].images(CODES, quality=value)
    assert small_pair[1].images(CODES, quality=np.int64(2)).shape == (1, 8, 8, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1, 9, 1.0, True, "1", float("inf"), (1,)], ids=repr)
def test_a_size_that_the_codes_do_not_cover_is_refused(small_pair: Pair, value: Any) -> None:
    for side in ("height", "width"):
        with pytest.raises(OptionError, match="size: expected at most 8x8"):
            small_pair[1].images(CODES, **{side: value})


def test_a_decoder_of_an_encoders_bundle_is_no_decoder(small_bundles: tuple[Bundle, Bundle]) -> None:
    packet = Encoder(small_bundles[0]).encode(np.zeros((8, 8), np.uint8))
    with pytest.raises(codec.WrongSideError, match="expected the decoder's, found the encoder's"):
        Decoder(small_bundles[0]).decode(packet)
    with pytest.raises(codec.WrongSideError, match="expected the encoder's, found the decoder's"):
        Encoder(small_bundles[1])
