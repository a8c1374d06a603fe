"""The same packets and pixels from JAX under other instruction sets and libraries, from NumPy and in float64.

    TFDS_DATA_DIR=... python -m tests.backends --images 10000     MNIST's test images
    python -m tests.backends                                      the digits in the package

Each way of computing has a process of its own, which encodes the images and decodes the packets that the
first one made, with all shipped pairs. Told of each: images whose symbols it would have sent otherwise;
symbols that it reads otherwise in the same packet, of which there must be none; the share of pixels that are
one grey level apart, which must be small, and the pixels further apart, of which there must be none.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import codec
from codec import decoder as decoding
from codec.samples import sample_images
from tests import reference_reader

FIRST, NUMPY, FLOAT64 = "JAX", "NumPy", "float64"
FLAGS = {
    FIRST: "",
    "JAX, SSE4.2, 128 bits": "--xla_cpu_max_isa=SSE4_2 --xla_cpu_prefer_vector_width=128",
    "JAX, AVX2, 256 bits": "--xla_cpu_max_isa=AVX2 --xla_cpu_prefer_vector_width=256",
    "JAX, AVX-512, 512 bits": "--xla_cpu_max_isa=AVX512 --xla_cpu_prefer_vector_width=512",
    "JAX, convolutions by Eigen": "--xla_cpu_experimental_ynn_fusion_type=",
    NUMPY: "",
    FLOAT64: "",
}
"""Ways of computing and XLA's flags for each. JAX is on its default platform, or that of JAX_PLATFORMS."""
PIXELS_APART = 1e-4
"""The stated bound on the share of pixels that are one level apart."""
PART = 250

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Difference:
    """One way of computing next to the first.

    Attributes:
        sent: images sent with other symbols.
        received: symbols read otherwise.
        one_level: share of pixels that are one grey level apart.
        further: pixels that are further apart.
    """

    way: str
    pair: str
    quality: int
    sent: int
    received: int
    one_level: float
    further: int

    def within_bounds(self) -> bool:
        """Whether a receiver may compute so."""
        return not self.received and not self.further and self.one_level <= PIXELS_APART


def settings() -> Iterator[tuple[str, int]]:
    """Each shipped pair at its coarsest, default and finest quality."""
    for name in codec.pretrained():
        pair = codec.load_decoder(name).bundle.pair
        yield from ((name, quality) for quality in (0, pair.default_quality, pair.qualities - 1))


def work(way: str, folder: Path) -> None:
    """What one process does: FOLDER/WAY-PAIR-QUALITY.npz, of images.npy and the first one's packets there."""
    decoding._FEW_PIXELS = 1 << 40 if way == NUMPY else 0
    images = np.load(folder / "images.npy")
    for name, quality in settings():
        sender, receiver = codec.load_encoder(name), codec.load_decoder(name)
        sent: list[NDArray[np.int32]] = []
        received: list[NDArray[np.int32]] = []
        pixels: list[Pixels] = []
        for start in range(0, len(images), PART):
            packet = sender.encode(images[start : start + PART], quality=quality)
            shared = folder / f"{name}-{quality}-{start}.packet"
            if way == FIRST:
                shared.write_bytes(packet)
            sent.append(receiver.symbols(packet))
            received.append(receiver.symbols(shared.read_bytes()))
            if way == FLOAT64:
                whole = in_float64(name, received[-1], quality)
                pixels.append(whole[:, : images.shape[1], : images.shape[2]])
            else:
                pixels.append(receiver.decode(shared.read_bytes()))
        np.savez(
            folder / f"{way}-{name}-{quality}.npz",
            sent=np.concatenate(sent),
            received=np.concatenate(received),
            pixels=np.concatenate(pixels),
        )


def in_float64(name: str, symbols: NDArray[np.int32], quality: int) -> Pixels:
    """The reference reader's images of symbols, padding included."""
    path = Path(str(codec.__file__)).parent / "shipped" / f"{name}.decoder.msgpack"
    codes = symbols.astype(np.float32) * codec.load_decoder(name).bundle.pair.steps[quality]
    images = reference_reader.synthesise(reference_reader.read_bundle(path.read_bytes()), codes, quality)
    return np.rint(255 * images).astype(np.uint8)


def compare(images: Pixels, ways: Sequence[str]) -> Iterator[Difference]:
    """The ``ways``, each next to the first, on uint8 ``images`` [N, 28, 28, 1]."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "images.npy", images)
        for way in (FIRST, *ways):
            flags = f"{os.environ.get('XLA_FLAGS', '')} {FLAGS[way]}".strip()
            command = [sys.executable, "-m", "tests.backends", "--work", way, name]
            subprocess.run(command, env={**os.environ, "XLA_FLAGS": flags}, check=True)
            if way == FIRST:
                continue
            for pair, quality in settings():
                one, other = (dict(np.load(folder / f"{w}-{pair}-{quality}.npz")) for w in (FIRST, way))
                apart = np.abs(one["pixels"].astype(int) - other["pixels"])
                yield Difference(
                    way,
                    pair,
                    quality,
                    int((one["sent"] != other["sent"]).any((1, 2, 3)).sum()),
                    int((one["received"] != other["received"]).sum()),
                    float((apart == 1).mean()),
                    int((apart > 1).sum()),
                )


def main() -> None:
    """Print a line for each way, pair and quality; exit status 1 where one is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--images", type=int, help="of MNIST's test set; the digits in the package if left out"
    )
    parser.add_argument("--work", nargs=2, metavar=("WAY", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work[0], Path(arguments.work[1]))
        return
    images = sample_images()
    if arguments.images:
        from codec.training.data import load_dataset

        images = load_dataset("mnist", "test")[: arguments.images]
    within = True
    print(f"{len(images):,} images: sent otherwise, symbols read otherwise, share of pixels one level apart,")
    print("pixels further apart")
    for found in compare(images, [way for way in FLAGS if way != FIRST]):
        within = within and found.within_bounds()
        print(
            f"{found.way:27} {found.pair:11} quality {found.quality:2}  {found.sent:5}  {found.received}  "
            f"{found.one_level:.1e}  {found.further}",
            flush=True,
        )
    sys.exit(not within)


if __name__ == "__main__":
    main()
