"""The command line and the files that every learned peer shares; NumPy and the standard library only.

A peer is three functions: ``train`` makes a model folder of images, ``sender`` and ``receiver`` load their
half of it. Images are .npy files, uint8 [N, H, W].

A strings file holds for each image the length of its string, two bytes, the lower first, and the string. The
lengths only separate the strings: they are not counted, because a file or a message of its own has a length.
"""

import argparse
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Sender = Callable[[Images], list[bytes]]
Receiver = Callable[[Sequence[bytes]], Images]

AT_ONCE = 1000
"""Images that go through a network together when files are coded."""
_LENGTH = struct.Struct("<H")


class FormatError(Exception):
    """A file that is not what it should be."""


@dataclass(frozen=True)
class Training:
    """What to train, and how.

    Attributes:
        loss: "mse" or "mae", of pixels from 0 to 1; the whole loss is bits an image + ``weight`` times it.
        latents: how many numbers, or channels of them, are coded.
        epochs: times that the images are gone through.
        seed: of the weights, the order of the images and the noise.
    """

    loss: str
    weight: float
    latents: int
    epochs: int
    seed: int


def write_strings(path: Path, strings: Sequence[bytes]) -> None:
    """Write a strings file; a string of 64 KiB or more is an error."""
    for number, string in enumerate(strings):
        if len(string) > 0xFFFF:
            raise FormatError(
                f"{path}: string {number}: expected at most 65,535 bytes, found {len(string):,}"
            )
    path.write_bytes(b"".join(_LENGTH.pack(len(string)) + string for string in strings))


def read_strings(path: Path) -> list[bytes]:
    """Read a strings file."""
    data = path.read_bytes()
    strings: list[bytes] = []
    place = 0
    while place < len(data):
        start = place + _LENGTH.size
        if start > len(data):
            raise FormatError(f"{path}: ends within the length of string {len(strings)}")
        (length,) = _LENGTH.unpack_from(data, place)
        place = start + length
        if place > len(data):
            raise FormatError(f"{path}: ends within string {len(strings)}")
        strings.append(data[start:place])
    return strings


def read_images(path: Path) -> Images:
    """Read images, uint8 [N, H, W]."""
    images: Images = np.load(path, allow_pickle=False)
    if images.dtype != np.uint8 or images.ndim != 3 or 0 in images.shape:
        raise FormatError(f"{path}: expected uint8 images [N, H, W], found {images.dtype} {images.shape}")
    return images


def rates(runs: int, count: int, work: Callable[[], object]) -> dict[str, float]:
    """Images a second of ``work`` on ``count`` images: the median, the lowest and the highest of the runs."""
    seconds = []
    for _ in range(runs):
        start = perf_counter()
        work()
        seconds.append(perf_counter() - start)
    return {
        "images_per_s": count / median(seconds),
        "images_per_s_low": count / max(seconds),
        "images_per_s_high": count / min(seconds),
    }


def main(
    description: str | None,
    train: Callable[[Images, Training, Path], None],
    sender: Callable[[Path], Sender],
    receiver: Callable[[Path], Receiver],
    arguments: Sequence[str] | None = None,
) -> None:
    """Run one sub-command: train, encode, decode or time. Exit status 1 is a wrong file, 2 wrong usage."""
    parser = _parser(description)
    options = parser.parse_args(arguments)
    try:
        _run(options, train, sender, receiver)
    except (FormatError, OSError) as error:
        parser.exit(1, f"error: {error}\n")


def _run(
    options: argparse.Namespace,
    train: Callable[[Images, Training, Path], None],
    sender: Callable[[Path], Sender],
    receiver: Callable[[Path], Receiver],
) -> None:
    if options.command == "train":
        settings = Training(options.loss, options.weight, options.latents, options.epochs, options.seed)
        options.out.mkdir(parents=True, exist_ok=True)
        train(read_images(options.images), settings, options.out)
    elif options.command == "encode":
        encode, images = sender(options.model), read_images(options.images)
        groups = [encode(images[start : start + AT_ONCE]) for start in range(0, len(images), AT_ONCE)]
        write_strings(options.out, [string for group in groups for string in group])
    elif options.command == "decode":
        decode, strings = receiver(options.model), read_strings(options.strings)
        if not strings:
            raise FormatError(f"{options.strings}: holds no string")
        starts = range(0, len(strings), AT_ONCE)
        np.save(options.out, np.concatenate([decode(strings[start : start + AT_ONCE]) for start in starts]))
    else:
        print(json.dumps(_time(sender(options.model), receiver(options.model), options)))


def _time(encode: Sender, decode: Receiver, options: argparse.Namespace) -> dict[str, object]:
    images = read_images(options.images)[: options.batch]
    if len(images) < options.batch:
        raise FormatError(f"{options.images}: expected {options.batch} images or more, found {len(images)}")
    strings = encode(images)
    decode(strings)  # the first calls trace and compile
    return {
        "batch": options.batch,
        "runs": options.runs,
        "compress": rates(options.runs, options.batch, lambda: encode(images)),
        "decompress": rates(options.runs, options.batch, lambda: decode(strings)),
    }


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="make a model of images")
    encode = commands.add_parser("encode", help="images to strings")
    decode = commands.add_parser("decode", help="strings to images")
    time = commands.add_parser("time", help="images a second each way, as JSON")
    for command in (train, encode, time):
        command.add_argument("--images", type=Path, required=True, help=".npy of uint8 [N, H, W]")
    for command in (encode, decode, time):
        command.add_argument("--model", type=Path, required=True, help="the folder that train made")
    train.add_argument("--loss", choices=("mse", "mae"), required=True, help="of pixels from 0 to 1")
    train.add_argument("--lambda", dest="weight", type=_positive(float), required=True, help="of the loss")
    train.add_argument("--latents", type=_positive(int), required=True, help="how many, or channels of them")
    train.add_argument("--epochs", type=_positive(int), required=True)
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--out", type=Path, required=True, help="the folder to make")
    encode.add_argument("--out", type=Path, required=True, help="the strings file to write")
    decode.add_argument("--strings", type=Path, required=True, help="a strings file")
    decode.add_argument("--out", type=Path, required=True, help="the .npy to write, uint8 [N, H, W]")
    time.add_argument("--batch", type=_positive(int), default=1000, help="images coded together")
    time.add_argument("--runs", type=_positive(int), default=7)
    return parser


def _positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    def convert(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")
        return value

    convert.__name__ = kind.__name__  # argparse names the type in its message
    return convert
