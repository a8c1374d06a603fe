"""Made the golden files, once: a tiny pair, packets in every framing, and what they decode to.

``tests/test_golden.py`` pins the SHA-256 of each. They are never made again: a version of the library that
does not read them is wrong, and new cases are new files. Run from the repository's root:

    python -m tests.golden.make
"""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.architecture import Architecture
from codec.bundle_writer import write_bundle
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.packet import Chunk, Header
from codec.packet_writer import StreamWriter, write_packet
from codec.quantise import SYMBOL_MAX, SYMBOL_MIN, quantise
from codec.runs import encode_symbols
from tests.conftest import random_pair

FOLDER = Path(__file__).parent
SUFFIXES = (".msgpack", ".npy", ".packet")
SEED = 16
"""A pair whose first channel is certain at the coarsest quality, and at no other."""

Symbols = NDArray[np.int32]


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
        payload = encode_symbols(symbols, encoder.bundle.pair.tables[header.quality])
        pieces.append(writer.chunk(len(symbols), payload, taken))
        first += len(symbols)
    return b"".join([*pieces, writer.trailer()])


def packets(encoder: Encoder) -> dict[str, tuple[bytes, Symbols]]:
    """Name of each golden packet, the packet, and its symbols [N, h, w, C] as they went in."""
    pair = encoder.bundle.pair
    made: dict[str, tuple[bytes, Symbols]] = {}

    def symbols(images: NDArray[np.uint8], quality: int) -> Symbols:
        values = quantise(encoder.codes(images), pair.steps[quality])
        for channel, table in enumerate(pair.tables[quality]):
            if table.certain:
                values[..., channel] = table.low
        return values

    def add(name: str, images: NDArray[np.uint8], quality: int, **options: Any) -> None:
        made[name] = encoder.encode(images, quality=quality, **options), symbols(images, quality)

    def add_stream(name: str, chunks: list[Symbols], quality: int, **options: Any) -> None:
        names = options.pop("names", None)
        header = Header("stream", quality, pair.digest[:4], named=bool(names), **options)
        whole = np.concatenate(chunks) if chunks else np.empty((0, 4, 4, 3), np.int32)
        made[name] = stream(encoder, header, chunks, names), whole

    for quality in range(pair.qualities):
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
    add_stream("stream-named", parts, 1, names=[f"{i}.png" for i in range(6)])
    wide = np.concatenate([noise(2, 5, 11, 34), shapes_and_edges(5, 11)])
    add_stream("stream-sized", [symbols(wide[:2], 2), symbols(wide[2:], 2)], 2, shape=(5, 11))
    add_stream("stream-empty", [], 0)

    rng = np.random.default_rng(35)
    extremes = rng.integers(SYMBOL_MIN, SYMBOL_MAX + 1, (2, 4, 4, 3)).astype(np.int32)
    extremes[0, 0, 0], extremes[0, 0, 1] = SYMBOL_MIN, SYMBOL_MAX
    extremes[1] = rng.integers(-3, 12, (4, 4, 3))
    payload = encode_symbols(extremes, pair.tables[2])
    packet = write_packet(Header("batch", 2, pair.digest[:4]), Chunk(0, 2, payload))
    made["extremes"] = packet, extremes
    return made


def contents() -> dict[str, bytes]:
    """Every golden file by its name."""
    bundles = random_pair(
        Architecture(code_channels=3, layers=1, filters=4), noise(50, 8, 8, SEED), seed=SEED
    )
    encoder, decoder = Encoder(bundles[0]), Decoder(bundles[1])
    files = {f"pair.{bundle.side}.msgpack": write_bundle(bundle) for bundle in bundles}
    for name, (packet, symbols) in packets(encoder).items():
        files[f"{name}.packet"] = packet
        files[f"{name}.symbols.npy"] = npy(symbols)
        files[f"{name}.images.npy"] = npy(decoder.decode(packet))
    return files


def main() -> None:
    """Write the files, unless there are some."""
    there = sorted(file.name for file in FOLDER.iterdir() if file.suffix in SUFFIXES)
    if there:
        sys.exit(f"{', '.join(there)}: golden files are never made again; make new cases beside them")
    files = contents()
    for name, data in files.items():
        with (FOLDER / name).open("xb") as file:
            file.write(data)
    print(f"{len(files)} files, {sum(map(len, files.values())):,} bytes")


if __name__ == "__main__":
    main()
