"""What there is to know of the shipped pairs without running them. No JAX."""

import math

from codec.architecture import Architecture, Convolutional, Dense, Side
from codec.bundle import Bundle
from codec.loading import load_bundle

__all__ = ["TARGET_PSNR", "lambda_of", "multiply_adds", "quality_at_target", "setting_of"]

TARGET_PSNR = 30.0
"""Codecs are compared at settings of about this PSNR."""


def quality_at_target(bundle: Bundle) -> int:
    """The quality whose PSNR, as its maker measured it and the bundle has it, is nearest to the target."""
    measured = [quality["psnr"] for quality in bundle.provenance.get("qualities", ())]
    if len(measured) != bundle.pair.qualities:
        return bundle.pair.default_quality
    return min(range(len(measured)), key=lambda quality: abs(measured[quality] - TARGET_PSNR))


def setting_of(name: str, effort: int = 0) -> str:
    """How a shipped pair is measured, in words."""
    quality = quality_at_target(load_bundle(name, "encoder"))
    return f"quality {quality}, effort {effort}"


def lambda_of(name: str) -> float:
    """The weight of the mean squared error, in bits, that this quality of a shipped pair was trained with."""
    bundle = load_bundle(name, "encoder")
    return float(bundle.provenance["qualities"][quality_at_target(bundle)]["lambda"])


def multiply_adds(architecture: Architecture, side: Side, height: int, width: int) -> int:
    """Multiplications with a weight that one image takes in one half, in the textbook's form of it."""
    if isinstance(architecture, Dense):
        return architecture.multiply_adds(side)
    assert type(architecture) is Convolutional
    rows, columns, _ = architecture.code_shape(height, width)
    layers = architecture.layers
    total = 0
    for name, shape in architecture.weight_shapes(side).items():
        layer, kind = name.split("/")
        if kind != "kernel":
            continue
        # Doublings of the grid, from the codes' to that on which each value meets the whole kernel once: a
        # convolution's output, a transposed convolution's input.
        number = int(layer.rsplit("_", 1)[1]) if "_" in layer else 0
        doublings = number if layer.startswith("transposed") else layers - number
        total += math.prod(shape) * rows * columns * 4**doublings
    return total
