"""Made the golden files, once: tiny pairs, packets in every framing, and what they decode to.

``tests/test_golden.py`` pins the SHA-256 of each. They are never made again: a version of the library that
does not read them is wrong, and new cases are new files. Run from the repository's root:

    python -m tests.golden.make
"""

import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.architecture import Convolutional, Dense, Residual, Upsampling
from codec.bundle import Bundle, Pair, weights_digest
from codec.bundle_reader import read_bundle
from codec.bundle_writer import write_bundle
from codec.context import ContextModel, from_elements
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.packet import Chunk, Header
from codec.packet_writer import StreamWriter, write_packet
from codec.quantise import SYMBOL_MAX, SYMBOL_MIN, quantise
from codec.runs import encode_symbols
from codec.spatial_context import SpatialContext
from codec.tables import TOTAL, Table
from tests.conftest import random_pair, random_weights
from tests.context_models import anything, likely, make_model
from tests.spatial_models import likely_symbols, make_spatial_model

FOLDER = Path(__file__).parent
SUFFIXES = (".msgpack", ".npy", ".packet")
SEED = 16
"""A pair whose first channel is certain at the coarsest quality, and at no other."""

DENSE = "dense-"
"""What the names of the files of the pair with dense layers and a context model begin with."""
DENSE_SEED = 17
MIXED = "mixed-"
"""What the names of the files of mixed packets begin with: of the first pair, and made when it was there."""
MIXED_SIZES = {
    "pictures": ((8, 8), (8, 8), (11, 5), (1, 1), (8, 8)),
    "tiles": ((5, 5), (1, 514), (514, 2), (3, 2)),
    "empty": (),
}

RESIDUAL = "residual-"
"""Of the residual pair, which has a spatial context model."""
RESIDUAL_SEED = 18
UPSAMPLING = "upsampling-"
"""Of the upsampling pair, which has a table for each channel."""
UPSAMPLING_SEED = 19

Symbols = NDArray[np.int32]
Packets = dict[str, tuple[bytes, Symbols]]
"""Packets by name, with their symbols [N, h, w, C] as they went in."""


def npy(array: NDArray[Any]) -> bytes:
    """The bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def noise(count: int, height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Images like those that the pair's tables were counted on."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 1), np.uint8)


def shapes_and_edges(height: int, width: int) -> NDArray[np.uint8]:
    """Images unlike them: black, white, halves, a ramp. Their symbols need the escape."""
    images = np.zeros((4, height, width, 1), np.uint8)
    images[1] = 255
    images[2, : height // 2] = 255
    images[3] = np.linspace(0, 255, height * width).reshape(height, width, 1)
    return images


def stream(encoder: Encoder, header: Header, chunks: list[Symbols], names: list[str] | None) -> bytes:
    """A packet of several small chunks; the library's own encoder would make one of them."""
    writer = StreamWriter(header)
    pieces = [writer.header()]
    first = 0
    for symbols in chunks:
        taken = tuple(names[first : first + len(symbols)]) if names else None
        payload = encode_symbols(symbols, encoder.bundle.pair, header.quality)
        pieces.append(writer.chunk(len(symbols), payload, taken))
        first += len(symbols)
    return b"".join([*pieces, writer.trailer()])


class Maker:
    """Makes packets and keeps them with their symbols."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.pair = encoder.bundle.pair
        self.made: Packets = {}

    def symbols(self, images: NDArray[np.uint8], quality: int) -> Symbols:
        values = quantise(self.encoder.codes(images, quality=quality), self.pair.steps[quality])
        if self.pair.context is None:
            for channel, table in enumerate(self.pair.tables[quality]):
                if table.certain:
                    values[..., channel] = table.low
        return values

    def add(self, name: str, images: NDArray[np.uint8], quality: int, **options: Any) -> None:
        packet = self.encoder.encode(images, quality=quality, **options)
        self.made[name] = packet, self.symbols(images, quality)

    def add_stream(self, name: str, chunks: list[Symbols], quality: int, **options: Any) -> None:
        names = options.pop("names", None)
        header = Header("stream", quality, self.pair.digest[:4], named=bool(names), **options)
        whole = np.concatenate(chunks) if chunks else np.empty((0, *self.pair.code_shape), np.int32)
        self.made[name] = stream(self.encoder, header, chunks, names), whole

    def add_symbols(self, name: str, symbols: Symbols, quality: int, **options: Any) -> None:
        payload = encode_symbols(symbols, self.pair, quality)
        header = Header("batch", quality, self.pair.digest[:4], **options)
        self.made[name] = write_packet(header, Chunk(0, len(symbols), payload)), symbols


def packets(encoder: Encoder) -> Packets:
    """Of the convolutional pair."""
    maker = Maker(encoder)
    add, symbols = maker.add, maker.symbols
    for quality in range(encoder.qualities):
        add(f"single-{quality}", noise(1, 8, 8, quality), quality)
        add(f"compact-{quality}", noise(1, 8, 8, 10 + quality), quality, compact=True)
        add(f"batch-{quality}", noise(4, 8, 8, 20 + quality), quality)
    add("single-sized-named", noise(1, 11, 5, 30), 1, names=["one image.png"])
    add("batch-sized-named", noise(3, 11, 5, 31), 2, names=["a.png", "zwölf.png", "三"])
    add("batch-of-130", noise(130, 2, 2, 32), 1)
    add("escapes", shapes_and_edges(8, 8), 2, names=["black", "white", "halves", "ramp"])
    add("escapes-compact", shapes_and_edges(8, 8)[:1], 2, compact=True)
    add("escapes-sized", shapes_and_edges(11, 5), 0)

    images = noise(6, 8, 8, 33)
    parts = [symbols(images[a:b], 1) for a, b in ((0, 2), (2, 3), (3, 6))]
    maker.add_stream("stream-named", parts, 1, names=[f"{i}.png" for i in range(6)])
    wide = np.concatenate([noise(2, 5, 11, 34), shapes_and_edges(5, 11)])
    maker.add_stream("stream-sized", [symbols(wide[:2], 2), symbols(wide[2:], 2)], 2, shape=(5, 11))
    maker.add_stream("stream-empty", [], 0)

    rng = np.random.default_rng(35)
    extremes = rng.integers(SYMBOL_MIN, SYMBOL_MAX + 1, (2, 4, 4, 3)).astype(np.int32)
    extremes[0, 0, 0], extremes[0, 0, 1] = SYMBOL_MIN, SYMBOL_MAX
    extremes[1] = rng.integers(-3, 12, (4, 4, 3))
    maker.add_symbols("extremes", extremes, 2)
    return maker.made


def dense_bundles() -> list[Bundle]:
    """A pair of dense layers that knows three qualities, and a context model of three groups."""
    rng = np.random.default_rng(DENSE_SEED)
    architecture = Dense(
        code_channels=4, layers=2, rows=2, columns=2, filters=(2, 3), units=4, elements=12, qualities=3
    )
    gains = np.log([1, 2, 3], dtype=np.float32)[:, None]
    analysis = random_weights(architecture, "encoder", DENSE_SEED)
    analysis["codes/log_gain"] = analysis["codes/log_gain"] / 4 + gains
    synthesis = random_weights(architecture, "decoder", DENSE_SEED + 1)
    synthesis["codes/log_gain"] = synthesis["codes/log_gain"] / 4 - gains
    for name in ("linear/kernel", "convolution_1/kernel", "linear/bias", "convolution_1/bias"):
        synthesis[name] = synthesis[name] / 16
    synthesis["linear/bias"] += 0.5

    tables = []
    for reach, entries in ((2, 6), (3, 7), (4, 10), (6, 15), (9, 20), (12, 26), (20, 40), (0, 9), (7, 9)):
        frequencies = 1 + rng.multinomial(TOTAL - entries, rng.dirichlet(np.full(entries, 2.0)))
        tables.append(Table(-reach, frequencies.astype(np.int64)))
    model = make_model(rng, (2, 3, 7), 3, 3, len(tables), kind="lively")
    model = replace(model, output_gain=model.output_gain // 4)
    pair = Pair(
        architecture,
        8,
        8,
        np.ones((3, 4), np.float32),
        (tuple(tables),),
        weights_digest(analysis),
        weights_digest(synthesis),
        model,
    )
    provenance = {"name": "random dense", "seed": DENSE_SEED}
    return [Bundle("encoder", pair, analysis, provenance), Bundle("decoder", pair, synthesis, provenance)]


def dense_packets(encoder: Encoder) -> Packets:
    """Of the dense pair, which takes images of 5x5 to 8x8."""
    maker = Maker(encoder)
    add, symbols = maker.add, maker.symbols
    for quality in range(encoder.qualities):
        add(f"single-{quality}", noise(1, 8, 8, 40 + quality), quality)
        add(f"compact-{quality}", noise(1, 8, 8, 50 + quality), quality, compact=True)
        add(f"batch-{quality}", noise(4, 8, 8, 60 + quality), quality)
    add("single-sized", noise(1, 7, 5, 70), 1, names=["one image.png"])
    add("batch-sized", noise(3, 6, 8, 71), 2)
    add("escapes", shapes_and_edges(8, 8), 2, names=["black", "white", "halves", "ramp"])
    add("escapes-compact", shapes_and_edges(8, 8)[1:2], 2, compact=True)

    images = np.concatenate([noise(4, 8, 8, 72), shapes_and_edges(8, 8)[2:]])
    parts = [symbols(images[a:b], 1) for a, b in ((0, 2), (2, 3), (3, 6))]
    maker.add_stream("stream-named", parts, 1, names=[f"{i}.png" for i in range(6)])
    wide = noise(5, 5, 7, 73)
    maker.add_stream("stream-sized", [symbols(wide[:2], 0), symbols(wide[2:], 0)], 0, shape=(5, 7))
    maker.add_stream("stream-empty", [], 2)

    rng = np.random.default_rng(74)
    pair = maker.pair
    assert isinstance(pair.context, ContextModel)
    for quality in range(encoder.qualities):
        elements = likely(rng, pair.context, pair.tables[0], quality, 20, odd=0.05)
        elements[::5] = anything(rng, 4, pair.context.elements)
        elements[5:7, ::4], elements[5:7, 1::4] = SYMBOL_MIN, SYMBOL_MAX
        maker.add_symbols(f"extremes-{quality}", from_elements(elements, pair.code_shape), quality)
    return maker.made


def residual_bundles() -> list[Bundle]:
    """A residual pair that knows three qualities, and a spatial context model of three groups."""
    rng = np.random.default_rng(RESIDUAL_SEED)
    architecture = Residual(code_channels=2, layers=1, filters=4, blocks=1, qualities=3)
    gains = np.log([1, 2, 4], dtype=np.float32)[:, None]
    analysis = random_weights(architecture, "encoder", RESIDUAL_SEED)
    analysis["codes/log_gain"] = analysis["codes/log_gain"] / 4 + gains
    synthesis = random_weights(architecture, "decoder", RESIDUAL_SEED + 1)
    synthesis["codes/log_gain"] = synthesis["codes/log_gain"] / 4 - gains
    for name in ("linear/kernel", "convolution_2/kernel", "linear/bias", "convolution_2/bias"):
        synthesis[name] = synthesis[name] / 8
    synthesis["linear/bias"] += np.float32(0.5)

    tables = []
    for reach, entries in ((2, 6), (3, 7), (4, 10), (6, 15), (9, 20), (12, 26), (20, 40), (0, 9), (7, 9)):
        frequencies = 1 + rng.multinomial(TOTAL - entries, rng.dirichlet(np.full(entries, 2.0)))
        tables.append(Table(-reach, frequencies.astype(np.int64)))
    model = make_spatial_model(rng, (1, 2, 5), 3, 3, len(tables), kind="lively")
    model = replace(model, output_gain=model.output_gain // 4)
    pair = Pair(
        architecture,
        8,
        8,
        np.ones((3, 2), np.float32),
        (tuple(tables),),
        weights_digest(analysis),
        weights_digest(synthesis),
        model,
    )
    provenance = {"name": "random residual", "seed": RESIDUAL_SEED}
    return [Bundle("encoder", pair, analysis, provenance), Bundle("decoder", pair, synthesis, provenance)]


def residual_packets(encoder: Encoder) -> Packets:
    """Of the residual pair: of grids of one block, of odd numbers of blocks, and of one row."""
    maker = Maker(encoder)
    add, symbols = maker.add, maker.symbols
    for quality in range(encoder.qualities):
        add(f"single-{quality}", noise(1, 8, 8, 80 + quality), quality)
        add(f"compact-{quality}", noise(1, 8, 8, 90 + quality), quality, compact=True)
        add(f"batch-{quality}", noise(4, 8, 8, 100 + quality), quality)
    add("single-pixel", noise(1, 1, 1, 110), 2)
    add("single-sized", noise(1, 11, 21, 111), 1, names=["one image.png"])
    add("batch-sized", noise(3, 3, 50, 112), 2, names=["a.png", "zwölf.png", "三"])
    add("escapes", shapes_and_edges(8, 8), 2, names=["black", "white", "halves", "ramp"])
    add("escape-compact", shapes_and_edges(8, 8)[1:2], 2, compact=True)

    images = np.concatenate([noise(4, 8, 8, 113), shapes_and_edges(8, 8)[2:]])
    parts = [symbols(images[a:b], 1) for a, b in ((0, 2), (2, 3), (3, 6))]
    maker.add_stream("stream-named", parts, 1, names=[f"{i}.png" for i in range(6)])
    wide = noise(5, 5, 9, 114)
    maker.add_stream("stream-sized", [symbols(wide[:2], 0), symbols(wide[2:], 0)], 0, shape=(5, 9))
    maker.add_stream("stream-empty", [], 2)

    rng = np.random.default_rng(115)
    pair = maker.pair
    assert isinstance(pair.context, SpatialContext)
    for quality in range(encoder.qualities):
        found = likely_symbols(rng, pair.context, pair.tables[0], quality, (6, 6, 10), odd=0.05)
        found[::3] = anything(rng, 2, found[0].size).reshape(2, *found.shape[1:])
        found[1, ::2], found[1, 1::2] = SYMBOL_MIN, SYMBOL_MAX
        maker.add_symbols(f"extremes-{quality}", found, quality, shape=(11, 18))
    return maker.made


def upsampling_bundles() -> list[Bundle]:
    """An upsampling pair of two layers."""
    architecture = Upsampling(code_channels=3, filters=4)
    bundles = random_pair(architecture, noise(50, 8, 8, UPSAMPLING_SEED), seed=UPSAMPLING_SEED)
    provenance = {"name": "random upsampling", "seed": UPSAMPLING_SEED}
    return [replace(bundle, provenance=provenance) for bundle in bundles]


def upsampling_packets(encoder: Encoder) -> Packets:
    """Of the upsampling pair: its packets have nothing of their own, its images do."""
    maker = Maker(encoder)
    for quality in range(encoder.qualities):
        maker.add(f"single-{quality}", noise(1, 8, 8, 120 + quality), quality)
    maker.add("batch-sized", noise(2, 3, 21, 130), 2, names=["a.png", "b.png"])
    maker.add("escapes", shapes_and_edges(8, 8), 2)
    return maker.made


def contents(prefix: str, bundles: Sequence[Bundle], make: Callable[[Encoder], Packets]) -> dict[str, bytes]:
    """The golden files of a pair by their names."""
    encoder, decoder = Encoder(bundles[0]), Decoder(bundles[1])
    files = {f"{prefix}pair.{bundle.side}.msgpack": write_bundle(bundle) for bundle in bundles}
    for name, (packet, symbols) in make(encoder).items():
        files[f"{prefix}{name}.packet"] = packet
        files[f"{prefix}{name}.symbols.npy"] = npy(symbols)
        files[f"{prefix}{name}.images.npy"] = npy(decoder.decode(packet))
    return files


def convolutional_bundles() -> tuple[Bundle, Bundle]:
    """A pair of convolutions that has a table for each channel."""
    architecture = Convolutional(code_channels=3, layers=1, filters=4)
    return random_pair(architecture, noise(50, 8, 8, SEED), seed=SEED)


def convolutional() -> dict[str, bytes]:
    """The files of the pair of convolutions, by their names."""
    return contents("", convolutional_bundles(), packets)


def dense() -> dict[str, bytes]:
    """The files of the pair of dense layers, by their names."""
    return contents(DENSE, dense_bundles(), dense_packets)


def residual() -> dict[str, bytes]:
    """The files of the residual pair, by their names."""
    return contents(RESIDUAL, residual_bundles(), residual_packets)


def upsampling() -> dict[str, bytes]:
    """The files of the upsampling pair, by their names."""
    return contents(UPSAMPLING, upsampling_bundles(), upsampling_packets)


def mixed() -> dict[str, bytes]:
    """The files of mixed packets of the pair of convolutions; one with names, of each quality.

    Their arrays are flat: the symbols of one picture after the other, in 16 bits, and their pixels.
    """
    encoder = Encoder(read_bundle((FOLDER / "pair.encoder.msgpack").read_bytes(), "encoder"))
    decoder = Decoder(read_bundle((FOLDER / "pair.decoder.msgpack").read_bytes(), "decoder"))
    files = {}
    for quality, (name, sizes) in enumerate(MIXED_SIZES.items()):
        pictures = [noise(1, *size, 80 + i)[0] for i, size in enumerate(sizes)]
        names = [f"{i}.png" for i in range(len(sizes))] if name == "tiles" else None
        packet = b"".join(encoder.encode_pictures(pictures, quality=quality, names=names))
        symbols = [encoder.codes(picture, quality=quality)[0] for picture in pictures]
        expected = [quantise(codes, encoder.bundle.pair.steps[quality]).ravel() for codes in symbols]
        if quality == 0:
            for flat in expected:
                flat[::3] = encoder.bundle.pair.tables[0][0].low  # the certain table's
        images = [picture.image.ravel() for picture in decoder.decode_pictures(packet)]
        files[f"{MIXED}{name}.packet"] = packet
        files[f"{MIXED}{name}.symbols.npy"] = npy(
            np.concatenate([np.empty(0, np.int32), *expected]).astype("<i2")
        )
        files[f"{MIXED}{name}.images.npy"] = npy(np.concatenate([np.empty(0, np.uint8), *images]))
    return files


SETS = {
    "pair.encoder.msgpack": convolutional,
    f"{DENSE}pair.encoder.msgpack": dense,
    f"{RESIDUAL}pair.encoder.msgpack": residual,
    f"{UPSAMPLING}pair.encoder.msgpack": upsampling,
    f"{MIXED}empty.packet": mixed,
}
"""What makes the files among which there is one of this name."""


def main() -> None:
    """Write the files of the pairs that have none."""
    there = sorted(file.name for file in FOLDER.iterdir() if file.suffix in SUFFIXES)
    missing = [make for name, make in SETS.items() if name not in there]
    if not missing:
        sys.exit(f"{', '.join(there)}: golden files are never made again; make new cases beside them")
    for make in missing:
        files = make()
        for name, data in files.items():
            with (FOLDER / name).open("xb") as file:
                file.write(data)
        print(f"{len(files)} files, {sum(map(len, files.values())):,} bytes")


if __name__ == "__main__":
    main()
