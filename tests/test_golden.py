"""Files that every version has to read; and the second reader, written from the specification alone."""

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codec.architecture import Architecture, Side
from codec.bundle import Bundle, Pair, weights_digest
from codec.bundle_reader import read_bundle
from codec.bundle_writer import write_bundle
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import DamagedPacketError
from codec.packet import Chunk, Header
from codec.packet_reader import read_packet
from codec.packet_writer import StreamWriter, write_compact, write_packet
from codec.quantise import dequantise
from codec.runs import encode_symbols
from codec.tables import TOTAL, Table
from tests import reference_reader
from tests.conftest import random_weights
from tests.golden import make

FOLDER = Path(make.__file__).parent

SHA256 = {}

PACKETS = sorted(name.removesuffix(".packet") for name in SHA256 if name.endswith(".packet"))

NAMES = {
    "single-sized-named": ("one image.png",),
    "batch-sized-named": ("a.png", "zwölf.png", "三"),
    "escapes": ("black", "white", "halves", "ramp"),
    "stream-named": tuple(f"{i}.png" for i in range(6)),
}

QUALITIES = 3
Symbols = NDArray[np.int32]


def golden(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def array(name: str) -> NDArray[Any]:
    values: NDArray[Any] = np.load(FOLDER / name, allow_pickle=False)
    return values


def levels_apart(found: NDArray[Any], expected: NDArray[Any]) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found.astype(np.float64) - expected.astype(np.float64)).max(initial=0))


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return Decoder(read_bundle(golden("pair.decoder.msgpack"), "decoder"))


# The files themselves


def test_there_is_every_golden_file_and_no_other() -> None:
    kept = {file.name for file in FOLDER.iterdir() if file.suffix in make.SUFFIXES}
    assert kept == set(SHA256)


@pytest.mark.parametrize("name", SHA256)
def test_a_golden_file_is_the_one_that_was_made(name: str) -> None:
    assert hashlib.sha256(golden(name)).hexdigest() == SHA256[name]


def test_golden_files_are_never_made_again() -> None:
    with pytest.raises(SystemExit, match=r"pair\.encoder\.msgpack.*never made again"):
        make.main()


def test_golden_files_are_small() -> None:
    assert sum(len(golden(name)) for name in SHA256) < 60_000


def test_the_golden_packets_have_every_framing_and_quality_and_use_escapes() -> None:
    headers = [read_packet(golden(f"{name}.packet"))[0] for name in PACKETS]
    assert {(h.framing, h.quality) for h in headers} >= {
        (framing, quality) for framing in ("single", "batch", "compact") for quality in range(QUALITIES)
    }
    assert {(h.framing, h.named, h.shape is not None) for h in headers} >= {
        ("single", True, True),
        ("batch", True, True),
        ("stream", True, False),
        ("stream", False, True),
    }
    tables = read_bundle(golden("pair.encoder.msgpack")).pair.tables
    escaped = {"escapes": 0, "escapes-compact": 0, "stream-sized": 0, "extremes": 0}
    for name in escaped:
        for channel, table in enumerate(tables[2]):
            values = array(f"{name}.symbols.npy")[..., channel]
            escaped[name] += int(((values < table.low) | (values >= table.low + table.escape)).sum())
    assert min(escaped.values()) > 0
    assert [table.certain for table in tables[0]] == [True, False, False]


# The library


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_a_golden_bundle_is_read_and_written_again_to_the_byte(side: Side) -> None:
    data = golden(f"pair.{side}.msgpack")
    bundle = read_bundle(data, side)
    assert write_bundle(bundle) == data
    assert bundle.provenance == {"name": "random", "seed": make.SEED}


def test_the_golden_encoder_encodes() -> None:
    encoder = Encoder(read_bundle(golden("pair.encoder.msgpack"), "encoder"))
    packet = encoder.encode(make.noise(2, 8, 8, 0), quality=0)
    assert read_packet(packet)[0] == Header("batch", 0, encoder.bundle.pair.digest[:4])


@pytest.mark.parametrize("name", PACKETS)
def test_a_golden_packet_decodes_to_its_symbols(decoder: Decoder, name: str) -> None:
    expected = array(f"{name}.symbols.npy")
    assert expected.dtype == np.int32
    np.testing.assert_array_equal(decoder.symbols(golden(f"{name}.packet")), expected, strict=True)


@pytest.mark.parametrize("name", PACKETS)
def test_a_golden_packet_decodes_to_its_images_within_a_level(decoder: Decoder, name: str) -> None:
    images = decoder.decode(golden(f"{name}.packet"))
    assert images.dtype == np.uint8
    assert levels_apart(images, array(f"{name}.images.npy")) <= 1


@pytest.mark.parametrize("name", PACKETS)
def test_a_golden_packet_has_its_names(name: str) -> None:
    names = [chunk.names for chunk in read_packet(golden(f"{name}.packet"))[1]]
    assert sum((part or () for part in names), ()) == NAMES.get(name, ())


# The second reader


def assert_same_tables(mine: Sequence[Table], theirs: Sequence[reference_reader.Table]) -> None:
    for table, (low, bounds) in zip(mine, theirs, strict=True):
        expected = [0, *(np.cumsum(table.frequencies) * 256).tolist()] if len(table.frequencies) else []
        assert (table.low, expected) == (low, bounds)


@pytest.mark.parametrize("side", ["encoder", "decoder"])
def test_both_readers_see_the_same_bundle(side: Side) -> None:
    data = golden(f"pair.{side}.msgpack")
    mine, theirs = read_bundle(data), reference_reader.read_bundle(data)
    assert (theirs.side, theirs.pair, theirs.image) == (side, mine.pair.digest, (8, 8))
    assert theirs.architecture == mine.pair.architecture.to_dict()
    assert theirs.provenance == mine.provenance
    assert list(theirs.weights) == list(mine.weights)
    for name, values in mine.weights.items():
        np.testing.assert_array_equal(theirs.weights[name], values, strict=True)
    np.testing.assert_array_equal(theirs.steps, mine.pair.steps, strict=True)
    for quality in range(QUALITIES):
        assert_same_tables(mine.pair.tables[quality], theirs.tables[quality])


@pytest.mark.parametrize("name", PACKETS)
def test_the_second_reader_finds_the_same_symbols_names_and_images(name: str) -> None:
    bundle = reference_reader.read_bundle(golden("pair.decoder.msgpack"))
    found = reference_reader.read_packet(golden(f"{name}.packet"), bundle)
    np.testing.assert_array_equal(found.symbols, array(f"{name}.symbols.npy"), strict=True)
    assert tuple(found.names or ()) == NAMES.get(name, ())
    pixels = 255 * reference_reader.synthesise(bundle, found.codes)[:, : found.height, : found.width]
    assert levels_apart(pixels, array(f"{name}.images.npy")) <= 1


# Random pairs and packets


def random_table(rng: np.random.Generator) -> Table:
    """Certain, or of 2 to 300 entries, flat or steep, anywhere within 16 bits."""
    if rng.random() < 0.15:
        return Table(int(rng.integers(-(1 << 15), 1 << 15)), np.zeros(0, np.int64))
    entries = int(rng.choice([2, 3, 5, 20, 300]))
    spread = rng.dirichlet(np.full(entries, rng.choice([0.05, 1.0, 50.0])))
    frequencies = 1 + rng.multinomial(TOTAL - entries, spread)
    low = int(rng.choice([-(1 << 15), (1 << 15) - entries + 1, 0, -(entries // 2)]))
    return Table(low, frequencies.astype(np.int64))


def random_bundle(rng: np.random.Generator, layers: int = 1, channels: int = 1) -> Bundle:
    """A decoder's bundle with random weights, steps and tables."""
    code, qualities = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    architecture = Architecture(image_channels=channels, code_channels=code, layers=layers, filters=2)
    weights = random_weights(architecture, "decoder", int(rng.integers(1 << 30)))
    steps = rng.uniform(0.01, 0.5, (qualities, code)).astype(np.float32)
    tables = tuple(tuple(random_table(rng) for _ in range(code)) for _ in range(qualities))
    height, width = (int(side) for side in rng.integers(1, 20, 2))
    pair = Pair(architecture, height, width, steps, tables, bytes(32), weights_digest(weights))
    return Bundle("decoder", pair, weights)


def random_symbols(rng: np.random.Generator, tables: Sequence[Table], shape: tuple[int, ...]) -> Symbols:
    """Symbols that need the escape never, sometimes or always."""
    symbols = np.empty((*shape, len(tables)), np.int32)
    for channel, table in enumerate(tables):
        symbols[..., channel] = table.low
        if not table.certain:
            likely = rng.random() < 0.5
            odds = table.frequencies[:-1] / table.frequencies[:-1].sum() if likely else None
            inside = table.low + rng.choice(table.escape, shape, p=odds)
            anything = rng.integers(-(1 << 15), 1 << 15, shape)
            symbols[..., channel] = np.where(rng.random(shape) < rng.choice([0, 0.1, 1]), anything, inside)
    return symbols


def random_packet(rng: np.random.Generator, pair: Pair) -> tuple[bytes, Symbols]:
    """A packet in any framing, and its symbols."""
    framing = str(rng.choice(["single", "batch", "stream", "compact"]))
    quality = int(rng.integers(pair.qualities))
    size = None
    if framing != "compact" and rng.random() < 0.5:
        size = int(rng.integers(20, 26)), int(rng.integers(1, 6))
    named = framing != "compact" and rng.random() < 0.3
    header = Header(framing, quality, pair.digest[:4], size, bool(named))
    cells = pair.architecture.code_shape(*(size or (pair.height, pair.width)))[:2]
    counts = {"single": [1], "compact": [1], "batch": [int(rng.integers(2, 6))]}.get(framing)
    if counts is None:
        counts = [int(count) for count in rng.integers(1, 4, rng.integers(0, 4))]
    symbols = random_symbols(rng, pair.tables[quality], (sum(counts), *cells))
    parts = np.split(symbols, np.cumsum(counts[:-1], dtype=int)) if counts else []
    payloads = [encode_symbols(part, pair.tables[quality]) for part in parts]
    names = [tuple(f"{i}-{k}" for k in range(count)) if named else None for i, count in enumerate(counts)]
    if framing == "compact":
        return write_compact(header, payloads[0]), symbols
    if framing != "stream":
        return write_packet(header, Chunk(0, counts[0], payloads[0], names[0])), symbols
    writer = StreamWriter(header)
    pieces = [writer.chunk(*chunk) for chunk in zip(counts, payloads, names, strict=True)]
    return b"".join([writer.header(), *pieces, writer.trailer()]), symbols


def random_packets(seed: int) -> Iterator[tuple[Decoder, reference_reader.Bundle, bytes, Symbols]]:
    """Ten packets of each of ten pairs."""
    rng = np.random.default_rng(seed)
    for _ in range(10):
        bundle = random_bundle(rng, layers=int(rng.integers(1, 4)))
        data = write_bundle(bundle)
        mine, theirs = Decoder(read_bundle(data)), reference_reader.read_bundle(data)
        for _ in range(10):
            yield mine, theirs, *random_packet(rng, bundle.pair)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_both_readers_find_the_symbols_of_a_hundred_random_packets(seed: int) -> None:
    framings = set()
    for mine, theirs, packet, symbols in random_packets(seed):
        framings.add(read_packet(packet)[0].framing)
        np.testing.assert_array_equal(mine.symbols(packet), symbols, strict=True)
        found = reference_reader.read_packet(packet, theirs)
        np.testing.assert_array_equal(found.symbols, symbols, strict=True)
        codes = dequantise(symbols, mine.bundle.pair.steps[found.quality])
        np.testing.assert_array_equal(found.codes, codes, strict=True)
    assert framings == {"single", "batch", "stream", "compact"}


def foreign_payloads(rng: np.random.Generator, tables: Sequence[Table], symbols: Symbols) -> Iterator[bytes]:
    """Payloads that no writer makes for these tables."""
    for _ in range(4):
        yield rng.bytes(int(rng.integers(0, 40)))
    yield rng.bytes(9) + bytes(int(rng.integers(1, 4)))
    yield b"\xff" * 8 + rng.bytes(4)
    moved = [replace(table, low=table.low + 1) for table in tables]
    yield encode_symbols(symbols, moved)


def test_both_readers_agree_on_payloads_that_no_writer_made() -> None:
    rng = np.random.default_rng(4)
    outcomes = {"same": 0, "zero": 0, "string": 0, "escaped": 0, "longer": 0}
    for mine, theirs, packet, symbols in random_packets(5):
        header, _ = read_packet(packet)
        if header.framing == "stream":
            continue
        header = replace(header, named=False)
        for payload in foreign_payloads(rng, mine.bundle.pair.tables[header.quality], symbols):
            if header.framing == "compact":
                bad = write_compact(header, payload)
            else:
                bad = write_packet(header, Chunk(0, len(symbols), payload))
            try:
                told = ""
                found = reference_reader.read_packet(bad, theirs).symbols
            except ValueError as error:
                told = str(error)
            if told and "longer than the words read" not in told:
                with pytest.raises(DamagedPacketError, match="payload"):
                    mine.symbols(bad)
            elif not told:
                np.testing.assert_array_equal(mine.symbols(bad), found, strict=True)
            outcomes[next((outcome for outcome in outcomes if outcome in told), "same")] += 1
    assert min(outcomes.values()) > 0


@pytest.mark.parametrize(("layers", "channels"), [(1, 3), (2, 1), (3, 4)])
def test_the_second_readers_float64_images_are_within_a_level(layers: int, channels: int) -> None:
    rng = np.random.default_rng(layers)
    bundle = random_bundle(rng, layers, channels)
    data = write_bundle(bundle)
    theirs = reference_reader.read_bundle(data)
    decoder = Decoder(read_bundle(data))
    codes = rng.uniform(-4, 4, (5, 3, 2, bundle.pair.architecture.code_channels)).astype(np.float32)
    images = decoder.images(codes)
    assert images.shape == (5, 3 << layers, 2 << layers, channels)
    assert np.ptp(images) > 20
    assert levels_apart(255 * reference_reader.synthesise(theirs, codes), images) <= 1
