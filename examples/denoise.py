"""Noisy digits go in, clean ones come out: one pair of weights for any strength of noise.

    python examples/denoise.py                    a table, and denoise.png
    python examples/denoise.py --noise 0.8 --quality 1

The sender sees nothing but noisy images. What it sends costs hardly more than clean images would, for noise
is what its codes leave out. The receiver holds the other half of the weights and gets the clean images.
"""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

import codec
from codec.evaluation import pixel_errors, psnr
from codec.files import write_bytes
from codec.imagefiles import png_bytes
from codec.noise import noisy
from codec.pictures import picture_rows
from codec.samples import sample_images

SHOWN = 12


def main() -> None:
    """Encode and decode the sample digits at several strengths of noise."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--noise", type=float, default=0.5, help="standard deviation in the picture; 0 to 1")
    parser.add_argument("--quality", type=int, default=3, help="of the pair, from 0, the coarsest")
    parser.add_argument("--out", type=Path, default=Path("denoise.png"), help="the picture")
    options = parser.parse_args()

    clean = sample_images()
    encoder, decoder = codec.load_encoder("mnist-denoise"), codec.load_decoder("mnist-denoise")
    if not 0 <= options.noise <= 1 or not 0 <= options.quality < encoder.qualities:
        parser.error(f"expected --noise from 0 to 1 and --quality from 0 to {encoder.qualities - 1}")
    table = Table("noise", "noisy image, dB", "decoded, dB", "bytes an image")
    for deviation in sorted({0.0, 0.2, 0.4, 0.6, 0.8, options.noise}):
        noised = noisy(clean, deviation, seed=0)
        packet = encoder.encode(noised, quality=options.quality)
        decoded = decoder.decode(packet)
        before, after = (psnr(pixel_errors(clean, images)[0]) for images in (noised, decoded))
        table.add_row(f"{deviation:g}", f"{before:.2f}", f"{after:.2f}", f"{len(packet) / len(clean):.1f}")
        if deviation == options.noise:
            some = slice(0, len(clean), len(clean) // SHOWN)
            rows = {"clean": clean[some], f"noise {deviation:g}": noised[some], "decoded": decoded[some]}
            write_bytes(options.out, png_bytes(picture_rows(rows)))
    Console().print(table)
    print(options.out)


if __name__ == "__main__":
    main()
