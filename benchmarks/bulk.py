"""Speed, memory and sizes of bulk jobs on this machine: in one process, and on Ray with some workers.

    python -m benchmarks.bulk [--images 60000] [--shards 30] [--workers 1 2]

The images are the package's digits, each moved by up to two pixels: compression is not what is measured here.
The speed is of all shards behind the first two of each worker, when all of them have loaded and compiled;
what comes before the first shard is the start. Processor time is that of the processes that do the work.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codec.bulk import ray_engine
from codec.bulk.jobs import Engine, encode_job
from codec.bulk.manifest import Entry
from codec.samples import sample_images

QUALITY = 6


def digits(count: int) -> NDArray[np.uint8]:
    """Grey pictures of 28x28, uint8 [count, 28, 28, 1]."""
    rng = np.random.default_rng(0)
    some = sample_images()
    moved = np.stack([np.roll(some, (y, x), (1, 2)) for y in range(-2, 3) for x in range(-2, 3)])
    pictures: NDArray[np.uint8] = moved.reshape(-1, 28, 28, 1)[rng.integers(0, 2500, count)]
    return pictures


def workers() -> Iterator[int]:
    """The processes of this one's Ray that encode; none if this process does."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            if command.startswith(b"ray::MapWorker") and os.getpid() in ancestors(int(process.name)):
                yield int(process.name)
        except OSError:
            continue  # gone


def ancestors(process: int) -> Iterator[int]:
    """The parent of a process, its parent, and so on."""
    while process > 1:
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        yield process


def used(process: int) -> tuple[float, float]:
    """Seconds of processor time so far, and most memory so far in MiB."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{process}/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0])
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), peak / 1024


def measure(home: Path, name: str, engine: Engine, per_shard: int, count: int, threads: int | None) -> str:
    """One run as a row of the table."""
    job = encode_job(home / "digits.npy", home / name, "mnist", quality=QUALITY, images_per_shard=per_shard)
    start = time.monotonic()
    ends: list[float] = []
    spent: list[float] = []
    peak = 0.0

    def on_shard(entry: Entry) -> None:
        nonlocal peak
        now = [used(process) for process in (list(workers()) or [os.getpid()])]
        ends.append(time.monotonic() - start)
        spent.append(sum(seconds for seconds, _ in now))
        peak = max(peak, *(most for _, most in now))

    done = job.run(engine, threads=threads, on_shard=on_shard)
    warm = 2 * count
    images = per_shard * (len(ends) - warm)
    speed = images / (ends[-1] - ends[warm - 1])
    processor = (spent[-1] - spent[warm - 1]) / images * 1e6
    begun = ends[0] - per_shard * count / speed
    size = done.bytes / done.images
    return f"| {name} | {speed:,.0f} | {processor:,.0f} | {begun:,.1f} | {peak:,.0f} | {size:.1f} |"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bulk")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--shards", type=int, default=30)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    options = parser.parse_args()
    per_shard = options.images // options.shards
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}, cores: {os.cpu_count()}")
    print("| engine | images/s | processor µs/image | start, s | MiB a process | bytes/image |")
    print("|:---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        np.save(home / "digits.npy", digits(per_shard * options.shards))
        print(measure(home, "serial", map, per_shard, 1, None), flush=True)
        print(measure(home, "serial, one thread", map, per_shard, 1, 1), flush=True)
        for count in options.workers:
            engine = partial(ray_engine.run, workers=count)
            print(measure(home, f"Ray, workers: {count}", engine, per_shard, count, 1), flush=True)
        manifests = {
            (folder / "manifest.json").stat().st_size for folder in home.iterdir() if folder.is_dir()
        }
        print(f"manifest: {max(manifests) / options.shards:,.0f} bytes a shard")


if __name__ == "__main__":
    main()
