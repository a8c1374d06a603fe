r"""CompressAI's factorised prior: an entropy bottleneck between convolutions with GDN, for small images.

With ``python`` one that has requirements-compressai.txt installed, in the repository's folder:

    python -m benchmarks.learned.compressai_prior train --images TRAIN.npy --out MODEL \
        --loss mse --lambda 64000 --latents 96 --epochs 15
    python -m benchmarks.learned.compressai_prior encode --model MODEL --images IMAGES.npy --out STRINGS.bin
    python -m benchmarks.learned.compressai_prior decode --model MODEL --strings STRINGS.bin --out DECODED.npy
    python -m benchmarks.learned.compressai_prior time --model MODEL --images IMAGES.npy

The network has the shape of CompressAI's ``FactorizedPrior``, four strides of 2 either way, with one channel
of pixels and fewer filters. It takes images of 32x32: 28x28 ones get a border of 2 black pixels, which is cut
off again and counts for no distortion. The model folder holds sender.pt and receiver.pt, each with the
probability tables; ``encode`` reads the one, ``decode`` the other. How strings are counted:
``benchmarks.learned.protocol``.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # compressai compiles in a way that torch calls old
    from compressai.entropy_models import EntropyBottleneck
    from compressai.layers import GDN

from benchmarks.learned.protocol import FormatError, Images, Receiver, Sender, Training, main

_SIDE, _BORDER = 28, 2
_CODE_SIDE = 2
_FILTERS = 48
_BATCH = 128
_RATE, _QUANTILES_RATE = 1e-3, 1e-2
_TABLES = ("_offset", "_quantized_cdf", "_cdf_length")


def analysis(latents: int) -> Any:
    """Pixels [N, 1, 32, 32] from 0 to 1 to latents [N, ``latents``, 2, 2]."""
    layers: list[Any] = []
    for inputs in (1, _FILTERS, _FILTERS):
        layers += [torch.nn.Conv2d(inputs, _FILTERS, 5, 2, 2), GDN(_FILTERS)]
    return torch.nn.Sequential(*layers, torch.nn.Conv2d(_FILTERS, latents, 5, 2, 2))


def synthesis(latents: int) -> Any:
    """Latents [N, ``latents``, 2, 2] to pixels [N, 1, 32, 32], about 0 to 1."""
    layers: list[Any] = []
    for inputs in (latents, _FILTERS, _FILTERS):
        layers += [_up(inputs, _FILTERS), GDN(_FILTERS, inverse=True)]
    return torch.nn.Sequential(*layers, _up(_FILTERS, 1))


def _up(inputs: int, outputs: int) -> Any:
    return torch.nn.ConvTranspose2d(inputs, outputs, 5, 2, 2, output_padding=1)


def train(images: Images, settings: Training, model: Path) -> None:
    """Train both halves with noise for rounding, build the tables, and write the model folder."""
    _check(images)
    torch.manual_seed(settings.seed)
    sending, receiving = analysis(settings.latents), synthesis(settings.latents)
    bottleneck = EntropyBottleneck(settings.latents)
    # The quantiles, from which the tables' ranges come, have a loss and an optimiser of their own.
    shapes = [value for name, value in bottleneck.named_parameters() if name != "quantiles"]
    optimiser = torch.optim.Adam([*sending.parameters(), *receiving.parameters(), *shapes], _RATE)
    quantiles = torch.optim.Adam([bottleneck.quantiles], _QUANTILES_RATE)
    order = np.random.default_rng(settings.seed)
    batch = min(_BATCH, len(images))
    for epoch in range(settings.epochs):
        start = perf_counter()
        shuffled = order.permutation(len(images))
        steps = range(0, len(images) - batch + 1, batch)
        totals = np.zeros(2)
        for place in steps:
            pixels = _pixels(images[shuffled[place : place + batch]])
            noisy, likelihoods = bottleneck(sending(pixels), training=True)
            error = (receiving(noisy) - pixels)[..., _BORDER:-_BORDER, _BORDER:-_BORDER]
            rate = -likelihoods.log2().sum() / batch
            distortion = (error**2 if settings.loss == "mse" else error.abs()).mean()
            optimiser.zero_grad()
            (rate + settings.weight * distortion).backward()
            optimiser.step()
            quantiles.zero_grad()
            bottleneck.loss().backward()
            quantiles.step()
            totals += rate.item(), distortion.item()
        mean_rate, mean_distortion = totals / len(steps)
        print(
            f"epoch {epoch + 1} of {settings.epochs}: {mean_rate / 8:.2f} bytes an image, "
            f"{settings.loss} {mean_distortion:.6f}, {perf_counter() - start:.1f} s",
            flush=True,
        )
    # The tables are made once and stored: floats that differ in the last bit would make others elsewhere.
    bottleneck.update(force=True)
    for name, network in (("sender", sending), ("receiver", receiving)):
        half = {
            "latents": settings.latents,
            "network": network.state_dict(),
            "bottleneck": bottleneck.state_dict(),
        }
        torch.save(half, model / f"{name}.pt")


def sender(model: Path) -> Sender:
    """The sender's half of a model folder: images to strings."""
    network, bottleneck = _load(model / "sender.pt", analysis)

    def encode(images: Images) -> list[bytes]:
        _check(images)
        with torch.inference_mode():
            strings: list[bytes] = bottleneck.compress(network(_pixels(images)))
        return strings

    return encode


def receiver(model: Path) -> Receiver:
    """The receiver's half of a model folder: strings to images."""
    network, bottleneck = _load(model / "receiver.pt", synthesis)

    def decode(strings: Sequence[bytes]) -> Images:
        with torch.inference_mode():
            pixels = network(bottleneck.decompress(list(strings), (_CODE_SIDE, _CODE_SIDE)))
            pixels = pixels[:, 0, _BORDER:-_BORDER, _BORDER:-_BORDER].clamp(0, 1)
            decoded: Images = (pixels * 255).round().to(torch.uint8).numpy()
        return decoded

    return decode


def _load(path: Path, build: Any) -> tuple[Any, Any]:
    """A half's network, and the bottleneck with the stored tables."""
    half = torch.load(path, weights_only=True)
    network, bottleneck = build(half["latents"]), EntropyBottleneck(half["latents"])
    network.load_state_dict(half["network"])
    for name in _TABLES:  # empty until now, and loading does not change shapes
        setattr(bottleneck, name, half["bottleneck"][name])
    bottleneck.load_state_dict(half["bottleneck"])
    return network.eval(), bottleneck.eval()


def _pixels(images: Images) -> Any:
    """Uint8 [N, 28, 28] to float32 [N, 1, 32, 32] from 0 to 1."""
    pixels = torch.from_numpy(np.ascontiguousarray(images))[:, None].float() / 255
    return torch.nn.functional.pad(pixels, (_BORDER,) * 4)


def _check(images: Images) -> None:
    if images.shape[1:] != (_SIDE, _SIDE):
        raise FormatError(f"images: expected [N, {_SIDE}, {_SIDE}], found {images.shape}")


if __name__ == "__main__":
    main(__doc__, train, sender, receiver)
