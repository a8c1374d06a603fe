"""What a picture larger than memory costs, in memory and in bytes: ``python -m tests.large``.

A picture of 20,000 x 4,000 colour pixels in a memory map, and its first quarter, are encoded to files and
decoded row by row, each in a process of its own, by a pair with random weights. The memory told is the most
that the process held beyond what it mapped from files (RssAnon of Linux, looked at every hundredth of a
second).
"""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

import codec
from codec.architecture import Convolutional
from codec.bundle_writer import write_bundle
from codec.limits import Limits
from codec.packet_reader import read_packet

SMALL = Convolutional(image_channels=3, code_channels=8, layers=2, filters=8)


def draw(top: int, bottom: int, width: int) -> NDArray[np.uint8]:
    """Rows of a picture: waves of three colours, and a little noise."""
    y, x = np.mgrid[top:bottom, :width].astype(np.float32)
    waves = np.stack([np.sin(x / 37 + y / 91), np.sin(x / 11) * np.cos(y / 23), np.cos((x + y) / 150)], -1)
    noise = np.random.default_rng(top).normal(0, 4, waves.shape)
    drawn: NDArray[np.uint8] = np.clip(127.5 + 100 * waves + noise, 0, 255).astype(np.uint8)
    return drawn


def prepare(folder: Path, height: int, width: int) -> None:
    """The picture, and the pair that codes it."""
    from tests.conftest import random_pair

    shape = (height, width, 3)
    picture = np.lib.format.open_memmap(folder / "picture.npy", mode="w+", dtype=np.uint8, shape=shape)
    for top in range(0, height, 500):
        bottom = min(top + 500, height)
        picture[top:bottom] = draw(top, bottom, width)
    picture.flush()
    for bundle in random_pair(SMALL, draw(0, 256, 256)[None]):
        (folder / bundle.side).write_bytes(write_bundle(bundle))


def encode(folder: Path, height: int) -> None:
    picture = np.load(folder / "picture.npy", mmap_mode="r")[:height]
    with (folder / f"{height}.packet").open("wb") as file:
        file.writelines(codec.load_encoder(folder / "encoder").encode_pictures([picture]))


def decode(folder: Path, height: int) -> None:
    with (folder / f"{height}.packet").open("rb") as file:
        rows = sum(len(band.rows) for band in codec.load_decoder(folder / "decoder").decode_rows(file))
    assert rows == height


JOBS: dict[str, Callable[[Path, int], None]] = {"encode": encode, "decode": decode}


def held() -> int:
    """Bytes of memory that this process has, without what is mapped from files."""
    [line] = [text for text in Path("/proc/self/status").read_text().splitlines() if "RssAnon" in text]
    return 1024 * int(line.split()[1])


def measure(job: str, folder: Path, height: int) -> None:
    """Run a job in this process, and print its peak of memory and its seconds."""
    most, done = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.01):
            most = max(most, held())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.monotonic()
    JOBS[job](folder, height)
    seconds = time.monotonic() - start
    done.set()
    watcher.join()
    print(most, seconds)


def tell_bytes(folder: Path, side: int) -> None:
    """What a picture costs in tiles and as one chunk."""
    picture = np.load(folder / "picture.npy", mmap_mode="r")[:side, :side]
    encoder = codec.load_encoder(folder / "encoder", Limits(chunk_pixels=1 << 26))
    tiled, whole = b"".join(encoder.encode_pictures([picture])), encoder.encode(picture)
    tiles = len(list(read_packet(tiled)[1]))
    print(
        f"{side} x {side}: {len(tiled):,} bytes in {tiles} tiles, {len(whole):,} in one chunk: "
        f"{(len(tiled) - len(whole)) / tiles:.1f} a tile, {100 * (len(tiled) / len(whole) - 1):.3f} %"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.large", description=__doc__)
    parser.add_argument("--height", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=4_000)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        job, folder, height = options.measure
        measure(job, Path(folder), int(height))
        return
    with TemporaryDirectory() as name:
        prepare(Path(name), options.height, options.width)
        for job in JOBS:
            for height in (options.height // 4, options.height):
                command = [sys.executable, "-m", "tests.large", "--measure", job, name, str(height)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                most, seconds = map(float, done.stdout.split())
                print(
                    f"{job} {height:,} x {options.width:,}: {most / 1e6:,.0f} MB, {seconds:.1f} s", flush=True
                )
        tell_bytes(Path(name), min(2048, options.width, options.height))


if __name__ == "__main__":
    main()
