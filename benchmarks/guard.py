"""How often ``codec encode --guard`` stops what is no image of a pair's domain, and digits by mistake.

    python -m benchmarks.guard [PAIR] [QUALITY]    shares of each set that lie outside, as Markdown

What enters: MNIST's test set, and sets made of it, of scikit-image's pictures and of matplotlib's fonts.
Needs the extra ``bench``.
"""

import sys
from collections.abc import Iterator

import matplotlib
import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from codec.encoder import load_encoder
from codec.training.data import load_dataset

__all__ = ["glyphs", "photographs", "sets"]

Pixels = NDArray[np.uint8]

_PICTURES = ("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "moon", "page")
_CUTS = 100
_MADE_OF = 2000
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def photographs() -> Pixels:
    """Cuts of 28x28 from photographs: uint8 [N, 28, 28, 1]."""
    rng = np.random.default_rng(0)
    cuts = []
    for name in _PICTURES:
        picture = np.asarray(Image.fromarray(getattr(skimage.data, name)()).convert("L"))
        for _ in range(_CUTS):
            top, left = (int(rng.integers(0, side - 28)) for side in picture.shape)
            cuts.append(picture[top : top + 28, left : left + 28])
    return np.stack(cuts)[..., None]


def glyphs(characters: str) -> Pixels:
    """Each character in each of matplotlib's text fonts, white on black, centred: uint8 [N, 28, 28, 1]."""
    folder = matplotlib.get_data_path() + "/fonts/ttf"
    found = []
    for style in ("Sans", "Sans-Bold", "Sans-Oblique", "SansMono", "Serif", "Serif-Bold", "Serif-Italic"):
        font = ImageFont.truetype(f"{folder}/DejaVu{style}.ttf", 22)
        for character in characters:
            image = Image.new("L", (28, 28))
            draw = ImageDraw.Draw(image)
            draw.text((14, 14), character, fill=255, font=font, anchor="mm")
            found.append(np.asarray(image))
    return np.stack(found)[..., None]


def sets(test: Pixels) -> Iterator[tuple[str, Pixels]]:
    """Each set's name and uint8 images [N, 28, 28, 1]."""
    some = test[:_MADE_OF]
    rng = np.random.default_rng(0)
    yield "digits of the test set", test
    yield "digits, inverted", 255 - some
    yield (
        "digits with noise, standard deviation 25",
        (np.clip(some + rng.normal(0, 25, some.shape), 0, 255).astype(np.uint8)),
    )
    yield "digits at half the contrast", some // 2
    yield "digits, black and white only", ((some > 127) * 255).astype(np.uint8)
    yield "digits, moved by 4 pixels", np.roll(some, 4, 2)
    yield "digits, moved by 8 and 8 pixels", np.roll(some, (8, 8), (1, 2))
    yield "digits, turned by 90 degrees", np.ascontiguousarray(np.rot90(some, 1, (1, 2)))
    yield "digits, upside down", np.ascontiguousarray(np.rot90(some, 2, (1, 2)))
    yield "printed letters", glyphs(_LETTERS)
    yield "printed digits", glyphs("0123456789")
    yield "cuts of photographs", photographs()
    yield "random pixels", rng.integers(0, 256, some.shape, np.uint8)
    yield "blank images, of each grey", np.arange(256, dtype=np.uint8).repeat(784).reshape(256, 28, 28, 1)


def main() -> None:
    """Print the table."""
    encoder = load_encoder(sys.argv[1] if len(sys.argv) > 1 else "mnist")
    quality = int(sys.argv[2]) if len(sys.argv) > 2 else encoder.default_quality
    print("| set | images | in rate | in appearance | in either |\n|---|---:|---:|---:|---:|", flush=True)
    for name, images in sets(load_dataset("mnist", "test")):
        reports = encoder.check_domain(images, quality=quality)
        rate = np.array([any(text.startswith("rate") for text in one.outside) for one in reports])
        look = np.array([any(text.startswith("appearance") for text in one.outside) for one in reports])
        shares = " | ".join(f"{share.mean():.2%}" for share in (rate, look, rate | look))
        print(f"| {name} | {len(images):,} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
