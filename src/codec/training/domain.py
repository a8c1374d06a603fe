"""The record of a pair's domain: how rate, distortion and appearance are spread over validation images.

    python -m codec.training.domain PATH --dataset NAME | --images PATH

Export makes it for every new pair. For one that has none, the command makes it of the images that the pair
was trained on and puts it into the provenance of PATH.encoder.msgpack. Nothing else changes: weights, tables
and the pair's digest stay as they are, and so do the packets. A signature of the file has to be made anew.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from codec.appearance import Appearance
from codec.architecture import Architecture
from codec.bundle import Bundle
from codec.bundle_writer import write_bundle
from codec.cli_data import ColumnOption, ConvertOption, CropOption, CropsOption, ImagesOption, tile_size
from codec.decoder import Decoder, load_decoder
from codec.domain import Domain, Spread
from codec.encoder import Encoder, load_encoder
from codec.evaluation import evaluate, image_errors
from codec.files import write_bytes
from codec.limits import DEFAULT_LIMITS
from codec.terminal import run, say, tell
from codec.training.data import Reading, load_training
from codec.training.settings import Settings

__all__ = [
    "MEASURED_IMAGES",
    "DomainRecorder",
    "appearing",
    "main",
    "measurable",
    "measure_domain",
    "with_domain",
]

MEASURED_IMAGES = 5000
"""Validation images that a pair is measured on, at the most."""
_SEEN_IMAGES = 10_000
"""Training images that the appearance is taken from, at the most."""


def measurable(images: NDArray[np.uint8], architecture: Architecture) -> NDArray[np.uint8]:
    """The first of ``images`` [N, H, W, C] that a pair is measured on: 5,000, or what one packet may hold."""
    most = DEFAULT_LIMITS.packet_pixels // architecture.padded_pixels(*images.shape[1:3])
    return images[: max(1, min(MEASURED_IMAGES, most))]


def appearing(training: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The training images [N, H, W, C] that the appearance is taken from: at most 10,000, in random order."""
    return training[np.random.default_rng(0).permutation(len(training))[:_SEEN_IMAGES]]


class DomainRecorder:
    """Collects what a record holds, a quality at a time, as the images come out of the decoder.

    Args:
        encoder: of the pair.
        seen: training images as the analysis saw them, uint8 [N, H, W, C], of ``appearing``; what images of
            the domain look like is taken from these.
        measured: validation images, of which rate, distortion and distance are recorded.
        targets: what the decoder should make of them.
    """

    def __init__(
        self,
        encoder: Encoder,
        seen: NDArray[np.uint8],
        measured: NDArray[np.uint8],
        targets: NDArray[np.uint8],
    ) -> None:
        self.encoder = encoder
        self._appearance = Appearance.of(seen)
        self._measured = measured
        self._targets = targets
        self._rates: list[Spread] = []
        self._errors: list[Spread] = []

    def add(self, quality: int, decoded: NDArray[np.uint8]) -> None:
        """The next quality, and what became of the measured images at it."""
        pixels = self._measured.shape[1] * self._measured.shape[2]
        bits = self.encoder.image_bits(self._measured, quality=quality)
        self._rates.append(Spread.of(bits / pixels))
        self._errors.append(Spread.of(image_errors(self._targets, decoded)))

    def done(self, images: str) -> Domain:
        """The record of all qualities; ``images`` says of which."""
        distance = Spread.of(self._appearance.distance(self._measured))
        return Domain(images, self._appearance, distance, tuple(self._rates), tuple(self._errors))


def measure_domain(
    encoder: Encoder,
    decoder: Decoder,
    training: NDArray[np.uint8],
    measured: NDArray[np.uint8],
    images: str,
) -> Domain:
    """The record of a pair that is there already, with the noise that it was trained with.

    Args:
        training, measured: training and validation images without noise, uint8 [N, H, W, C].
        images: says of which.
    """
    noised = _noise_of(encoder.bundle).noised
    inputs = noised(measured)
    recorder = DomainRecorder(encoder, noised(appearing(training)), inputs, measured)
    qualities = range(encoder.qualities)
    for _ in evaluate(encoder, decoder, inputs, qualities, on_decoded=recorder.add, targets=measured):
        pass
    return recorder.done(images)


def _noise_of(bundle: Bundle) -> Settings:
    """Settings with the noise that the bundle says it was trained with; older bundles have one number."""
    recorded = bundle.provenance.get("settings", {})
    noise = recorded.get("noise", 0.0)
    least, most = noise if isinstance(noise, list) else (noise, noise)
    return Settings(noise=(least, most), seed=recorded.get("seed", 0))


def with_domain(bundle: Bundle, domain: Domain) -> Bundle:
    """``bundle`` with the record in its provenance."""
    return replace(bundle, provenance={**bundle.provenance, "domain": domain.to_record()})


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def record(
    pair: Annotated[
        Path, typer.Argument(metavar="PATH", help="Of PATH.encoder.msgpack and PATH.decoder.msgpack.")
    ],
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="The tensorflow-datasets dataset it was trained on.")
    ] = None,
    images: ImagesOption = None,
    convert: ConvertOption = False,
    crop: CropOption = None,
    crops: CropsOption = None,
    column: ColumnOption = None,
    split: Annotated[str, typer.Option(help="The dataset's split.")] = "train",
    seed: Annotated[int, typer.Option(help="Of the training run: it picked the validation images.")] = 0,
) -> None:
    """Put a record of its domain into a trained pair's encoder bundle; options are those of its training."""
    file = Path(f"{pair}.encoder.msgpack")
    encoder, decoder = load_encoder(file), load_decoder(f"{pair}.decoder.msgpack")
    tile = tile_size(crop, crops)
    reading = Reading(convert=convert, crop=tile, crops=crops, column=column, tell=tell)
    data = load_training(dataset, images, seed, reading, split)
    measured = measurable(data.validation, encoder.bundle.pair.architecture)
    told = f"{len(measured)} validation images of {data.name}"
    domain = measure_domain(encoder, decoder, data.training, measured, told)
    write_bytes(file, write_bundle(with_domain(encoder.bundle, domain)))
    say(f"{file}: recorded the domain, {told}")


def main() -> None:
    """Run the command; every failure but wrong usage is one line on standard error."""
    run(app)


if __name__ == "__main__":
    main()
