"""Random pairs with all that a bundle may say, random packets of them, and payloads that no writer makes."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from codec.architecture import Architecture, Convolutional, Dense, Residual, Upsampling
from codec.bundle import Bundle, Pair, weights_digest
from codec.bundle_reader import read_bundle
from codec.bundle_writer import write_bundle
from codec.context import ContextModel, from_elements
from codec.decoder import Decoder
from codec.integer_context import IntegerContext
from codec.limits import DEFAULT_LIMITS, Limits
from codec.packet import Chunk, Header
from codec.packet_writer import StreamWriter, write_compact, write_packet
from codec.runs import encode_symbols
from codec.spatial_context import SpatialContext
from codec.tables import TOTAL, Table
from codec.tiles import TILE, tile_count, tiles_along
from tests import reference_reader
from tests.conftest import random_weights
from tests.context_models import likely, make_model, random_groups, random_tables
from tests.spatial_models import likely_symbols, make_spatial_model

Symbols = NDArray[np.int32]


def random_table(rng: np.random.Generator) -> Table:
    """Certain, or of 2 to 300 entries, flat or steep, anywhere within 16 bits."""
    if rng.random() < 0.15:
        return Table(int(rng.integers(-(1 << 15), 1 << 15)), np.zeros(0, np.int64))
    entries = int(rng.choice([2, 3, 5, 20, 300]))
    spread = rng.dirichlet(np.full(entries, rng.choice([0.05, 1.0, 50.0])))
    frequencies = 1 + rng.multinomial(TOTAL - entries, spread)
    low = int(rng.choice([-(1 << 15), (1 << 15) - entries + 1, 0, -(entries // 2)]))
    return Table(low, frequencies.astype(np.int64))


def random_bundle(
    rng: np.random.Generator,
    layers: int = 1,
    channels: int = 1,
    kind: type[Convolutional] | None = None,
) -> Bundle:
    """A decoder's bundle with random weights, steps and tables; of either kind where none is named."""
    code, qualities = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    kind = kind or (Convolutional, Upsampling)[code % 2]
    architecture = kind(image_channels=channels, code_channels=code, layers=layers, filters=2)
    weights = random_weights(architecture, "decoder", int(rng.integers(1 << 30)))
    steps = rng.uniform(0.01, 0.5, (qualities, code)).astype(np.float32)
    tables = tuple(tuple(random_table(rng) for _ in range(code)) for _ in range(qualities))
    height, width = (int(side) for side in rng.integers(1, 20, 2))
    pair = Pair(architecture, height, width, steps, tables, bytes(32), weights_digest(weights))
    return Bundle("decoder", pair, weights)


def random_dense(rng: np.random.Generator, channels: int, qualities: int) -> Dense:
    layers = int(rng.integers(1, 4))
    rows, columns, code, units = (int(number) for number in rng.integers(1, 4, 4))
    return Dense(
        image_channels=channels,
        code_channels=code,
        layers=layers,
        rows=rows,
        columns=columns,
        filters=tuple(int(width) for width in rng.integers(1, 4, layers)),
        units=units,
        elements=int(rng.integers(1, rows * columns * code + 1)),
        qualities=qualities,
    )


def random_context_bundle(rng: np.random.Generator) -> Bundle:
    """A decoder's bundle, dense and with a context model, or at times with one of both alone."""
    channels, qualities = (int(number) for number in rng.integers(1, 4, 2))
    if rng.random() < 0.2:
        code, layers = (int(number) for number in rng.integers(1, 4, 2))
        architecture: Architecture = Convolutional(
            image_channels=channels, code_channels=code, layers=layers, filters=2
        )
        height, width = (int(side) for side in rng.integers(1, 20, 2))
    else:
        architecture = dense = random_dense(rng, channels, qualities)
        cells = np.array([dense.rows, dense.columns])
        height, width = (
            int(side) for side in rng.integers((cells - 1) * dense.stride, cells * dense.stride) + 1
        )
    weights = random_weights(architecture, "decoder", int(rng.integers(1 << 30)))
    code = architecture.code_channels
    steps = rng.choice([1, 0.5, 3], (qualities, code)).astype(np.float32)
    by_channel = isinstance(architecture, Dense) and rng.random() < 0.1
    context = None
    if by_channel:
        tables = tuple(tuple(random_table(rng) for _ in range(code)) for _ in range(qualities))
    else:
        tables = (random_tables(rng),)
        values = int(np.prod(architecture.code_shape(height, width)))
        groups = random_groups(rng, int(rng.integers(1, min(values, 60) + 1)))
        units, kind = int(rng.integers(1, 6)), str(rng.choice(["any", "lively", "extreme"]))
        context = make_model(rng, groups, units, qualities, len(tables[0]), kind=kind)
    digest = weights_digest(weights)
    return Bundle(
        "decoder", Pair(architecture, height, width, steps, tables, bytes(32), digest, context), weights
    )


def random_spatial_bundle(rng: np.random.Generator) -> Bundle:
    """A decoder's bundle, residual and with a spatial context model, or at times another context."""
    layers, channels, qualities = (int(number) for number in rng.integers(1, 4, 3))
    architecture = Residual(
        image_channels=channels,
        code_channels=int(rng.integers(1, 4)),
        layers=layers,
        filters=2 * int(rng.integers(1, 3)),
        blocks=int(rng.integers(0, 3)),
        qualities=qualities,
    )
    height, width = (
        int(side) for side in rng.integers(1, rng.choice([2, 3, 7]) * architecture.stride + 1, 2)
    )
    weights = random_weights(architecture, "decoder", int(rng.integers(1 << 30)))
    code = architecture.code_channels
    steps = rng.choice([1, 0.5, 3], (qualities, code)).astype(np.float32)
    context: IntegerContext | None = None
    other = rng.random()
    if other < 0.1:
        tables = tuple(tuple(random_table(rng) for _ in range(code)) for _ in range(qualities))
    else:
        tables = (random_tables(rng),)
        units, kind = int(rng.integers(1, 6)), str(rng.choice(["any", "lively", "extreme"]))
        if other < 0.2:
            values = int(np.prod(architecture.code_shape(height, width)))
            groups = random_groups(rng, int(rng.integers(1, min(values, 60) + 1)))
            context = make_model(rng, groups, units, qualities, len(tables[0]), kind=kind)
        else:
            groups = random_groups(rng, architecture.elements)
            context = make_spatial_model(rng, groups, units, qualities, len(tables[0]), kind=kind)
    digest = weights_digest(weights)
    return Bundle(
        "decoder", Pair(architecture, height, width, steps, tables, bytes(32), digest, context), weights
    )


def random_symbols(
    rng: np.random.Generator, pair: Pair, quality: int, shape: tuple[int, int, int]
) -> Symbols:
    """Symbols [N, h, w, C] that need the escape never, sometimes or always."""
    if pair.context is not None:
        odd = float(rng.choice([0, 0.1, 1]))
        if isinstance(pair.context, SpatialContext):
            return likely_symbols(rng, pair.context, pair.tables[0], quality, shape, odd)
        assert isinstance(pair.context, ContextModel)
        elements = likely(rng, pair.context, pair.tables[0], quality, shape[0], odd)
        return from_elements(elements, pair.code_shape)
    tables = pair.tables[quality]
    symbols = np.empty((*shape, len(tables)), np.int32)
    for channel, table in enumerate(tables):
        symbols[..., channel] = table.low
        if not table.certain:
            steep = rng.random() < 0.5
            odds = table.frequencies[:-1] / table.frequencies[:-1].sum() if steep else None
            inside = table.low + rng.choice(table.escape, shape, p=odds)
            anything = rng.integers(-(1 << 15), 1 << 15, shape)
            symbols[..., channel] = np.where(rng.random(shape) < rng.choice([0, 0.1, 1]), anything, inside)
    return symbols


def other_size(rng: np.random.Generator, pair: Pair) -> tuple[int, int] | None:
    """An image size that is not the pair's own but that it takes, if there is one."""
    if not isinstance(pair.architecture, Dense) and not isinstance(pair.context, ContextModel):
        return int(rng.integers(20, 26)), int(rng.integers(1, 6))
    most = pair.architecture.alignment
    height, width = (cells * pair.architecture.stride for cells in pair.code_shape[:2])
    sides = rng.integers(0, most, 2)
    size = height - int(sides[0]), width - int(sides[1])
    return None if size == (pair.height, pair.width) else size


def random_packet(rng: np.random.Generator, pair: Pair) -> tuple[bytes, Symbols]:
    """A packet in any framing, and its symbols."""
    framing = str(rng.choice(["single", "batch", "stream", "compact"]))
    quality = int(rng.integers(pair.qualities))
    size = None
    if framing != "compact" and rng.random() < 0.5:
        size = other_size(rng, pair)
    named = framing != "compact" and rng.random() < 0.3
    header = Header(framing, quality, pair.digest[:4], size, bool(named))
    cells = pair.architecture.code_shape(*(size or (pair.height, pair.width)))[:2]
    counts = {"single": [1], "compact": [1], "batch": [int(rng.integers(2, 6))]}.get(framing)
    if counts is None:
        counts = [int(count) for count in rng.integers(1, 4, rng.integers(0, 4))]
    symbols = random_symbols(rng, pair, quality, (sum(counts), *cells))
    parts = np.split(symbols, np.cumsum(counts[:-1], dtype=int)) if counts else []
    payloads = [encode_symbols(part, pair, quality) for part in parts]
    names = [tuple(f"{i}-{k}" for k in range(count)) if named else None for i, count in enumerate(counts)]
    if framing == "compact":
        return write_compact(header, payloads[0]), symbols
    if framing != "stream":
        return write_packet(header, Chunk(0, counts[0], payloads[0], names[0])), symbols
    writer = StreamWriter(header)
    pieces = [writer.chunk(*chunk) for chunk in zip(counts, payloads, names, strict=True)]
    return b"".join([writer.header(), *pieces, writer.trailer()]), symbols


def random_mixed_packet(rng: np.random.Generator, pair: Pair) -> tuple[bytes, list[Symbols]]:
    """A packet of pictures of several sizes, some of them in tiles, and the symbols of each picture."""
    quality, named = int(rng.integers(pair.qualities)), bool(rng.random() < 0.3)
    architecture = pair.architecture
    writer = StreamWriter(Header("mixed", quality, pair.digest[:4], None, named))
    pieces, pictures = [writer.header()], []
    for number in range(int(rng.integers(0, 4))):
        size = (int(rng.integers(1, 12)), int(rng.integers(1, 12)))
        if rng.random() < 0.4:
            size = (int(rng.choice([511, 512, 513, 1030])), int(rng.integers(1, 3)))
            size = size if rng.random() < 0.5 else size[::-1]
        count = 1 if tile_count(*size) > 1 else int(rng.integers(1, 4))
        symbols = random_symbols(rng, pair, quality, (count, *architecture.code_shape(*size)[:2]))
        pictures += list(symbols)
        names = tuple(f"{number}-{k}" for k in range(count)) if named else None
        across = tiles_along(size[1])
        for tile in range(tile_count(*size)):
            rows, columns = (
                slice(TILE * i // architecture.stride, TILE * (i + 1) // architecture.stride)
                for i in divmod(tile, across)
            )
            payload = encode_symbols(np.ascontiguousarray(symbols[:, rows, columns]), pair, quality)
            pieces.append(writer.chunk(count, payload, names, size, tile))
    return b"".join([*pieces, writer.trailer()]), pictures


def random_mixed_packets(
    seed: int, count: int, limits: Limits = DEFAULT_LIMITS
) -> Iterator[tuple[np.random.Generator, Decoder, reference_reader.Bundle, bytes, list[Symbols]]]:
    """So many mixed packets, ten of each pair."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        if number % 10 == 0:
            kind = "spatial" if number // 10 % 2 else "channel"
            drawn = (BUNDLES[kind](rng) for _ in iter(int, 1))
            bundle = next(bundle for bundle in drawn if bundle.pair.takes_any_size)
            data = write_bundle(bundle)
            mine, theirs = Decoder(read_bundle(data), limits), reference_reader.read_bundle(data)
        yield rng, mine, theirs, *random_mixed_packet(rng, bundle.pair)


BUNDLES: dict[str, Callable[[np.random.Generator], Bundle]] = {
    "channel": lambda rng: random_bundle(rng, layers=int(rng.integers(1, 4))),
    "context": random_context_bundle,
    "spatial": random_spatial_bundle,
}


def random_packets(
    seed: int, kind: str, count: int = 100, limits: Limits = DEFAULT_LIMITS
) -> Iterator[tuple[np.random.Generator, Decoder, reference_reader.Bundle, bytes, Symbols]]:
    """So many packets, ten of each pair."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        if number % 10 == 0:
            bundle = BUNDLES[kind](rng)
            data = write_bundle(bundle)
            mine, theirs = Decoder(read_bundle(data), limits), reference_reader.read_bundle(data)
        yield rng, mine, theirs, *random_packet(rng, bundle.pair)


def foreign_payloads(rng: np.random.Generator, pair: Pair, quality: int, symbols: Symbols) -> Iterator[bytes]:
    """Payloads that no writer makes for this pair."""
    for _ in range(4):
        yield rng.bytes(int(rng.integers(0, 40)))
    yield rng.bytes(9) + bytes(int(rng.integers(1, 4)))
    yield b"\xff" * 8 + rng.bytes(4)
    moved = tuple(tuple(replace(table, low=table.low + 1) for table in row) for row in pair.tables)
    yield encode_symbols(symbols, replace(pair, tables=moved), quality)
