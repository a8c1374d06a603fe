"""Send a hundred digits from one process to another, each with its own half of a pair, and look at them.

The sender's folder holds the digits and an encoder bundle; the receiver's holds a decoder bundle and what the
sender wrote. Prints what it costs and writes demo/demo.png: originals, reconstructions, differences.

    python examples/demo.py [--pair NAME] [--out FOLDER]
"""

import argparse
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from codec.bundle_reader import read_bundle
from codec.evaluation import psnr
from codec.files import write_bytes
from codec.imagefiles import image_paths, png_bytes, read_image
from codec.pictures import difference, picture_rows
from codec.samples import sample_images


def run_codec(folder: Path, *arguments: str) -> None:
    """One process of the command line, in ``folder``."""
    command = [sys.executable, "-m", "codec", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)


def send(folder: Path, quality: int) -> Path:
    """The sender: encodes its digits with its encoder bundle, and returns the packet's path."""
    packet = f"quality-{quality}.packet"
    options = ["--encoder", "encoder.msgpack", "--quality", str(quality), "--no-names"]
    run_codec(folder, "encode", "digits", "-o", packet, *options)
    return folder / packet


def receive(folder: Path, packet: Path) -> NDArray[np.uint8]:
    """The receiver: decodes the packet with its decoder bundle, and returns the images it wrote."""
    run_codec(folder, "decode", packet.name, "-o", packet.stem, "--decoder", "decoder.msgpack")
    return np.stack([read_image(path) for path in image_paths([folder / packet.stem])])


def main() -> None:
    """Set up the two folders, send at three qualities, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pair", default="mnist", help="a pair that ships with the package")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for all that is written")
    options = parser.parse_args()

    digits = sample_images()
    sender, receiver = options.out / "sender", options.out / "receiver"
    for folder in (sender, receiver):  # what an earlier run left
        shutil.rmtree(folder, ignore_errors=True)
    (sender / "digits").mkdir(parents=True)
    receiver.mkdir()
    bundles = files("codec.shipped")
    encoder = bundles.joinpath(f"{options.pair}.encoder.msgpack").read_bytes()
    write_bytes(sender / "encoder.msgpack", encoder)
    decoder = bundles.joinpath(f"{options.pair}.decoder.msgpack").read_bytes()
    write_bytes(receiver / "decoder.msgpack", decoder)
    png_total = 0
    for i, image in enumerate(digits):
        png = png_bytes(image)
        png_total += len(png)
        write_bytes(sender / "digits" / f"{i:03}.png", png)

    pair = read_bundle(encoder).pair
    cells = pair.architecture.code_shape(pair.height, pair.width)
    count = len(digits)
    table = Table(
        title=f"{count} digits through the pair {options.pair!r}, encoder and decoder in two processes"
    )
    for column in ("what travels", "bytes", "bytes a digit", "PSNR dB"):
        table.add_column(column, justify="left" if column == "what travels" else "right")

    def row(what: str, size: int, quality: str) -> None:
        table.add_row(what, f"{size:,}", f"{size / count:,.1f}", quality)

    row("raw pixels", digits.size, "lossless")
    row("codes as float32", 4 * int(np.prod(cells)) * count, "-")
    row("PNG files", png_total, "lossless")
    shown: dict[str, NDArray[np.uint8]] = {}
    for quality in (1, pair.qualities // 2, pair.qualities - 1):
        packet = send(sender, quality)
        arrived = receiver / packet.name
        shutil.copy(packet, arrived)
        decoded = receive(receiver, arrived)
        error = float(((digits.astype(np.float64) - decoded) ** 2).mean()) / 255**2
        row(f"packet, quality {quality}", packet.stat().st_size, f"{psnr(error):.2f}")
        some = slice(0, count, count // 10)
        if quality == pair.qualities // 2:
            shown = {
                "original": digits[some],
                f"quality {quality}": decoded[some],
                "difference": difference(digits[some], decoded[some]),
            }
    picture = options.out / "demo.png"
    write_bytes(picture, png_bytes(picture_rows(shown)))
    console = Console()
    console.print(table)
    console.print(f"originals, reconstructions and differences: {picture}")


if __name__ == "__main__":
    main()
