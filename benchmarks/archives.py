"""What images a packet cost an archive of MNIST test images: bytes an image, and time to read one or all.

    TFDS_DATA_DIR=... python -m benchmarks.archives

A random read is of an image whose packet is not at hand, from an archive that is open: the median of
processor time, so that others on the machine matter little. The names are like ``00017.png``.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import codec
from codec.training.data import load_dataset

__all__ = ["main"]

SIZES = {1: 1_000, 16: 10_000, 64: 10_000, 256: 10_000, 1024: 10_000}
"""Images a packet, and how many images: encoding each by itself takes long."""


def main() -> None:
    """Print a row for each number of images a packet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pair", default="mnist")
    parser.add_argument("--quality", type=int, default=6)
    options = parser.parse_args()
    images = load_dataset("mnist", "test")
    encoder, decoder = codec.load_encoder(options.pair), codec.load_decoder(options.pair)
    whole = len(encoder.encode(images, quality=options.quality))
    print(f"one packet of all: {whole / len(images):.1f} bytes an image")
    print(
        "images a packet  bytes an image  with labels  with names too  random read ms  by name ms  images/s"
    )
    with tempfile.TemporaryDirectory() as folder:
        for size, count in SIZES.items():
            path = Path(folder) / f"{size}.archive"
            with codec.create_archive(
                path, encoder, quality=options.quality, images_per_packet=size
            ) as writer:
                writer.add(images[:count])
            _row(path, decoder, size)


def _row(path: Path, decoder: codec.Decoder, size: int) -> None:
    archive = codec.open_archive(path, decoder)
    count = len(archive)
    names = [f"{i:05d}.png" for i in range(count)]
    labels = [{"label": i % 10} for i in range(count)]  # of the size that real ones have
    files = [path, *(_with_facts(archive, path, facts, labels) for facts in (None, names))]
    archive = codec.open_archive(files[-1], decoder, cache_bytes=0)
    wanted = random.Random(0).sample(range(count), 100)
    archive[wanted[0]], archive[names[0]]
    read = statistics.median(_milliseconds(partial(archive.__getitem__, number)) for number in wanted)
    by_name = statistics.median(_milliseconds(partial(archive.__getitem__, names[i])) for i in wanted)
    rate = 1e3 * count / _milliseconds(lambda: deque(archive, 0))
    plain, labelled, named = (file.stat().st_size / count for file in files)
    print(
        f"{size:15}  {plain:14.1f}  {labelled:11.1f}  {named:14.1f}  "
        f"{read:14.2f}  {by_name:10.2f}  {rate:8,.0f}",
        flush=True,
    )


def _with_facts(
    archive: codec.Archive, path: Path, names: list[str] | None, labels: list[dict[str, int]]
) -> Path:
    """The same packets with names, or none, and labels beside them."""
    copy = path.with_suffix(f".{names is not None}.archive")
    with codec.ArchiveWriter(copy, archive.pair) as writer:
        start = 0
        for record, packet in enumerate(archive.packets()):
            end = start + archive.records.head(record).count
            part = None if names is None else names[start:end]
            writer.write_record(packet, end - start, part, labels[start:end])
            start = end
    return copy


def _milliseconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return 1e3 * (time.process_time() - start)


if __name__ == "__main__":
    main()
