"""Encode a folder of digits to sharded archives, look into one, and decode them all again.

The folder has a folder for each class, as data sets of pictures often do; the class becomes metadata. The
jobs run in this process; on a machine's or a cluster's cores the engine is ``codec.bulk.ray_engine.run``, and
the commands are ``codec bulk encode`` and ``codec bulk decode``.

    python examples/bulk.py [--out FOLDER]
"""

import argparse
import shutil
from pathlib import Path

import codec
from codec.bulk.jobs import decode_job, encode_job
from codec.files import write_bytes
from codec.imagefiles import png_bytes, read_image
from codec.samples import sample_images


def main() -> None:
    """Write the digits, encode, look, decode."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bulk"), help="folder for all that is written")
    options = parser.parse_args()
    digits, archives, received = (options.out / name for name in ("digits", "archives", "received"))
    for folder in (digits, archives, received):  # what an earlier run left
        shutil.rmtree(folder, ignore_errors=True)

    for i, image in enumerate(sample_images()):  # ten of each class, in turn
        path = digits / str(i % 10) / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, png_bytes(image), lasting=False)

    encoding = encode_job(digits, archives, "mnist", quality=6, images_per_shard=30, metadata=["folder"])
    done = encoding.run(
        on_shard=lambda shard: print(f"{shard.file}: {shard.images} images, {shard.bytes} bytes")
    )
    print(f"{done.images} images, {done.bytes / done.images:.1f} bytes each, names and classes among them")

    archive = codec.open_archive(archives / "000001.archive", "mnist")
    entry = archive[0]
    print(f"image 0 of archive 1: {entry.name}, {entry.metadata}, {entry.image.shape}")

    decoded = decode_job(archives, received, "mnist").run()
    first = next(received.rglob("*.png"))
    print(f"{decoded.images} images in {received}, of {read_image(first).shape[0]} rows each")
    assert encoding.run() == done  # what is there is looked at, and not made again


if __name__ == "__main__":
    main()
