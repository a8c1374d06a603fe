"""Hours of mixed encoding and decoding in one process: does its memory grow, does a result ever differ?

    python -m tests.soak --minutes 60

Threads share one encoder and one decoder of each shipped pair. They encode and decode digits in batches of
many sizes, at every quality, in every framing, images of other sizes too, and read damaged packets, which
must be refused. Every packet and every image is compared with the first one made of the same. A line a
minute; exit status 1 if a result differed, or if the process's memory grew after its first tenth by more than
stated.
"""

import argparse
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import codec
from codec.samples import sample_images

THREADS = 4
KINDS = 240
"""Different tasks; each is done again and again."""
GROWTH = 0.05
"""Most that memory may grow by, as a share of what it was after the first tenth."""
WARM = 0.1

Task = Callable[[], tuple[bytes, NDArray[np.uint8]]]


def resident() -> int:
    """Memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def tasks() -> list[Task]:
    """Things to do, each with a packet and images for a result."""
    digits = sample_images()
    pairs = [(codec.load_encoder(name), codec.load_decoder(name)) for name in codec.pretrained()]
    draw = random.Random(0)

    def make(number: int) -> Task:
        encoder, decoder = pairs[number % len(pairs)]
        quality = draw.randrange(encoder.qualities)
        first, count = draw.randrange(len(digits)), draw.choice([1, 1, 2, 15, 33, 70, 1100])
        images = np.resize(np.roll(digits, first, axis=0), (count, *digits.shape[1:]))
        if encoder.bundle.pair.takes(8, 8) and number % 5 == 0:
            side = 4 * draw.randrange(8, 40)  # more sizes than stay compiled
            images = np.resize(images[0], (min(count, 3), side, side, 1))
        effort = draw.choice([0, 0, 0, 1]) if count < 20 else 0
        single = len(images) == 1 and images.shape[1:] == digits.shape[1:]
        compact = single and draw.random() < 0.3
        bit = draw.randrange(64)

        def task() -> tuple[bytes, NDArray[np.uint8]]:
            packet = encoder.encode(images, quality=quality, effort=effort, compact=compact)
            damaged = bytearray(packet)
            damaged[len(packet) // 2] ^= 1 << bit % 8
            try:
                decoder.decode(bytes(damaged))
                raise AssertionError("a damaged packet was decoded")
            except codec.CodecError:
                return packet, decoder.decode(packet)

        return task

    return [make(number) for number in range(KINDS)]


def main() -> None:
    """Soak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    seconds = 60 * parser.parse_args().minutes
    kinds, first, lock = tasks(), dict[int, tuple[bytes, NDArray[np.uint8]]](), threading.Lock()
    done, wrong = [0] * THREADS, list[str]()
    start = time.monotonic()

    def work(thread: int) -> None:
        draw = random.Random(thread)
        while time.monotonic() - start < seconds and not wrong:
            number = draw.randrange(KINDS)
            try:
                packet, images = kinds[number]()
            except BaseException as error:
                wrong.append(f"task {number}: {error!r}")
                return
            with lock:
                expected = first.setdefault(number, (packet, images))
            if packet != expected[0] or not np.array_equal(images, expected[1]):
                wrong.append(f"task {number}: another result than before")
            done[thread] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    warm = 0
    while any(thread.is_alive() for thread in threads):
        time.sleep(min(60.0, seconds / 20))
        passed = time.monotonic() - start
        if not warm and passed >= WARM * seconds and len(first) == KINDS:
            warm = resident()
        print(f"{passed / 60:6.1f} min  {sum(done):8,} tasks  {resident() / 2**20:6.0f} MiB", flush=True)
    growth = resident() / warm - 1 if warm else float("inf")
    print(f"{sum(done):,} tasks, memory grew by {growth:.1%}; {'; '.join(wrong) or 'no result differed'}")
    sys.exit(bool(wrong) or growth > GROWTH)


if __name__ == "__main__":
    main()
