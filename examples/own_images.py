"""Train a pair on a folder of your own images, send new ones with it, and look at what arrived.

Without a folder it makes one, of pieces of a photograph that comes with scikit-learn. Everything goes
through the command line, each step in a process of its own: train, encode with the encoder bundle, decode
with the decoder bundle, evaluate. Options are the defaults, but for a few epochs in place of 60 and three
qualities in place of 10: enough to see all of it work, and far from what the pair could become.

    python examples/own_images.py [--images FOLDER] [--epochs N] [--out FOLDER] [OPTIONS OF codec train]

Needs the extra ``train``. Images of a folder of yours are all of one size; one in ten is kept from training.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from codec.files import write_bytes
from codec.imagefiles import image_paths, png_bytes, read_image
from codec.pictures import difference, picture_rows

TILES, SIDE = 640, 16
KEPT = 10
"""One image in so many is new to the pair: it is sent, and never trained on."""
SHOWN = 10
PICTURE = "own_images.png"


def run_codec(*arguments: str | Path) -> str:
    """One process of the command line; returns what it printed."""
    command = [sys.executable, "-m", "codec", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def photograph() -> NDArray[np.uint8]:
    """A picture of a Chinese temple at half its size, where its JPEG blocks are gone."""
    from sklearn.datasets import load_sample_image

    whole = Image.fromarray(load_sample_image("china.jpg"))
    return np.asarray(whole.resize((whole.width // 2, whole.height // 2), Image.Resampling.LANCZOS))


def make_folder(folder: Path) -> None:
    """Write the pieces, 16x16 RGB, from random places."""
    picture, rng = photograph(), np.random.default_rng(0)
    for number in range(TILES):
        top, left = (rng.integers(side - SIDE + 1) for side in picture.shape[:2])
        write_bytes(
            folder / f"{number:04}.png",
            png_bytes(picture[top : top + SIDE, left : left + SIDE]),
            lasting=False,
        )


def share_out(images: Path, training: Path, new: Path) -> None:
    """Copy each image to train on into one folder, and the new ones into another."""
    for number, path in enumerate(image_paths([images])):
        shutil.copy(path, new if number % KEPT == 0 else training)


def main() -> None:
    """Make or take the images, train, send, receive, evaluate, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=Path, help="your folder of image files; made if left out")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the images; 60 would be usual")
    parser.add_argument("--out", type=Path, default=Path("own_images"), help="folder for all that is written")
    options, for_training = parser.parse_known_args()

    made, training, new = (options.out / name for name in ("made", "training", "new"))
    pair, sender, receiver = (options.out / name for name in ("pair", "sender", "receiver"))
    for folder in (made, training, new, pair, sender, receiver):  # what an earlier run left
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    if options.images is None:
        make_folder(made)
    share_out(options.images or made, training, new)

    console = Console()
    console.print(f"training for {options.epochs} epochs on {len(image_paths([training]))} images")
    cut_short = ("--epochs", str(options.epochs), "--qualities", "3")
    run_codec("train", "--images", training, "--out", pair, "--name", "mine", *cut_short, *for_training)
    # Each side gets its own half and no more.
    encoder, decoder = sender / "mine.encoder.msgpack", receiver / "mine.decoder.msgpack"
    shutil.copy(pair / encoder.name, encoder)
    shutil.copy(pair / decoder.name, decoder)

    run_codec("encode", new, "-o", sender / "new.packet", "--encoder", encoder, "--no-names")
    shutil.copy(sender / "new.packet", receiver)
    run_codec("decode", receiver / "new.packet", "-o", receiver / "images", "--decoder", decoder)

    halves = "--encoder", encoder, "--decoder", decoder
    told = run_codec("evaluate", *halves, "--images", new, "--no-formats", "--json")
    originals, received = (
        np.stack([read_image(path) for path in image_paths([folder])])
        for folder in (new, receiver / "images")
    )
    table = Table(title=f"{len(originals)} new images, {originals[0].size:,} bytes each")
    for column in ("quality", "bytes an image", "PSNR dB"):
        table.add_column(column, justify="right")
    for line in map(json.loads, told.splitlines()):
        table.add_row(str(line["quality"]), f"{line['bytes_per_image']:.1f}", f"{line['psnr']:.2f}")
    console.print(table)
    some = slice(0, None, max(1, len(originals) // SHOWN))
    rows = {"original": originals[some], "received": received[some]}
    rows["difference"] = difference(rows["original"], rows["received"])
    write_bytes(options.out / PICTURE, png_bytes(picture_rows(rows)))
    packet = (sender / "new.packet").stat().st_size
    console.print(f"the packet: {packet:,} bytes; originals and what arrived: {options.out / PICTURE}")


if __name__ == "__main__":
    main()
