"""``codec.inspect``: what a packet or a bundle says of itself, as an object and as JSON."""

import io
import json
from dataclasses import asdict, replace
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

import codec
from codec.bundle import Bundle
from codec.bundle_writer import write_bundle
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import BundleError, DamagedPacketError, LimitError, PacketError
from codec.inspection import BundleReport, PacketReport
from codec.limits import Limits
from codec.packet import Chunk, Header
from codec.packet_reader import read_packet
from codec.packet_writer import StreamWriter

Pair = tuple[Encoder, Decoder]
Bundles = tuple[Bundle, Bundle]

IMAGES = np.random.default_rng(3).integers(0, 256, (3, 8, 8, 1), np.uint8)


def parsed(report: PacketReport | BundleReport) -> Any:
    """The report's JSON, read as strictly as the standard has it."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    text = report.to_json()
    assert "\n" not in text
    return json.loads(text, parse_constant=refuse)


def payload_of(packet: bytes) -> int:
    return sum(len(chunk.payload) for chunk in read_packet(packet)[1])


@pytest.mark.parametrize("framing", ["single", "batch", "stream", "compact"])
def test_a_packet_of_any_framing_is_told(small_pair: Pair, framing: str) -> None:
    encoder, _ = small_pair
    packet = {
        "single": lambda: encoder.encode(IMAGES[0], quality=1),
        "batch": lambda: encoder.encode(IMAGES, quality=1),
        "stream": lambda: b"".join(encoder.encode_stream([IMAGES], quality=1)),
        "compact": lambda: encoder.encode(IMAGES[0], quality=1, compact=True),
    }[framing]()
    count = 1 if framing in ("single", "compact") else 3
    pair = encoder.bundle.pair.digest[: 3 if framing == "compact" else 4].hex()
    found = codec.inspect(packet)
    assert found == PacketReport(
        "packet", framing, pair, 1, count, None, None, 1, len(packet), payload_of(packet)
    )
    assert parsed(found) == asdict(found)
    assert codec.inspect(io.BytesIO(packet)) == found


def test_the_image_size_and_the_names_of_a_packet_are_told(small_pair: Pair) -> None:
    names = ["a.png", "ü", "a.png"]
    packet = small_pair[0].encode(IMAGES[:, :5, :7], names=names)
    found = codec.inspect(packet)
    assert isinstance(found, PacketReport)
    assert (found.image_size, found.names) == ((5, 7), names)
    told = parsed(found)
    assert (told["image_size"], told["names"]) == ([5, 7], names)


def test_the_chunks_of_a_stream_are_counted_together() -> None:
    header = Header("stream", 7, b"pair", (2, 3), True)
    writer = StreamWriter(header)
    chunks = [Chunk(0, 2, b"ab", ("x", "y")), Chunk(2, 1, b"c", ("z",))]
    pieces = [writer.header(), *(writer.chunk(c.count, c.payload, c.names) for c in chunks), writer.trailer()]
    packet = b"".join(pieces)
    assert codec.inspect(packet) == PacketReport(
        "packet", "stream", b"pair".hex(), 7, 3, (2, 3), ["x", "y", "z"], 2, len(packet), 3
    )


def test_a_packet_is_inspected_without_its_pair_and_for_any_quality() -> None:
    writer = StreamWriter(Header("stream", 255, b"none"))
    found = codec.inspect(writer.header() + writer.trailer())
    assert isinstance(found, PacketReport)
    assert (found.quality, found.images, found.chunks, found.payload_bytes) == (255, 0, 0, 0)


@pytest.mark.parametrize(("side", "parameters"), [("encoder", 27 + 3), ("decoder", 4 * 27 + 4 + 36 + 1)])
def test_a_bundle_of_either_side_is_told(small_bundles: Bundles, side: str, parameters: int) -> None:
    bundle = small_bundles[side == "decoder"]
    data = write_bundle(bundle)
    found = codec.inspect(data)
    assert found == BundleReport(
        "bundle",
        side,
        "random",
        bundle.pair.digest.hex(),
        (8, 8, 1),
        (4, 4, 3),
        {"kind": "convolutional", "image_channels": 1, "code_channels": 3, "layers": 1, "filters": 4},
        "channel",
        parameters,
        3,
        len(data),
        {"name": "random", "seed": 0},
    )
    told = parsed(found)
    assert told["kind"] == "bundle"
    assert told == json.loads(json.dumps(asdict(found)))
    assert codec.inspect(io.BytesIO(data)) == found


def test_a_bundle_with_a_context_model_says_so() -> None:
    found = codec.inspect(files("codec.shipped").joinpath("mnist.encoder.msgpack").read_bytes())
    assert isinstance(found, BundleReport)
    assert found.context == "the elements before, 392 in 12 groups"
    assert found.architecture["filters"] == [24, 40]
    assert parsed(found)["code_shape"] == [7, 7, 32]


def test_provenance_is_told_as_json_even_where_json_has_no_such_number(small_bundles: Bundles) -> None:
    odd = {"name": "ü\n", "numbers": [float("nan"), float("inf"), -float("inf"), 1.5, 1 << 63, None, True]}
    found = codec.inspect(write_bundle(replace(small_bundles[0], provenance=odd)))
    assert isinstance(found, BundleReport)
    assert found.name == "ü\n"
    assert parsed(found)["provenance"]["numbers"][3:] == [1.5, 1 << 63, None, True]


@pytest.mark.parametrize(
    "data", [b"", b"\xc3", b"x", b"\x89PNG\r\n\x1a\n more", b"\x84\xa6forma", bytes(1000), b"\xb0" * 40]
)
def test_what_is_neither_packet_nor_bundle_is_told_by_its_first_bytes(data: bytes) -> None:
    first = data[:8].hex(" ") or "nothing"
    told = f"expected a packet or a bundle, found {len(data)} bytes that begin with {first}"
    for source in (data, io.BytesIO(data)):
        with pytest.raises(PacketError, match=f"^{told}$"):
            codec.inspect(source)


def test_a_damaged_packet_or_bundle_is_refused_and_not_told(small_pair: Pair, small_bundles: Bundles) -> None:
    with pytest.raises(DamagedPacketError, match="check does not match"):
        codec.inspect(small_pair[0].encode(IMAGES)[:-1])
    with pytest.raises(BundleError, match="bundle"):
        codec.inspect(write_bundle(small_bundles[0])[:-1])


@pytest.mark.parametrize("limit", ["packet_bytes", "bundle_bytes"])
def test_more_bytes_than_the_limit_are_refused(small_pair: Pair, small_bundles: Bundles, limit: str) -> None:
    packet = limit == "packet_bytes"
    data = small_pair[0].encode(IMAGES) if packet else write_bundle(small_bundles[0])
    for source in (data, io.BytesIO(data)):
        with pytest.raises(LimitError, match=rf"pass limits=Limits\({limit}="):
            codec.inspect(source, Limits(**{limit: len(data) - 1}))
    assert codec.inspect(data, Limits(**{limit: len(data)})) == codec.inspect(data)


def test_reports_cannot_be_changed(small_pair: Pair) -> None:
    found = codec.inspect(small_pair[0].encode(IMAGES))
    with pytest.raises(AttributeError):
        found.bytes = 1  # type: ignore[misc]
