"""What the training loop minimises, as an interface: weights, optimiser, loss and the figures it reports."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import optax
from jax import Array
from numpy.typing import NDArray

from codec.training.data import Images

__all__ = ["Figures", "Objective", "Weights"]

Weights = dict[str, Any]
"""Flax parameters by part: {"analysis": ..., "synthesis": ..., ...}."""


@dataclass(frozen=True)
class Figures:
    """How a run does on some images.

    Attributes:
        loss: the objective's own.
        psnr: in dB, from the MSE over all pixels of the float images; for each quality the objective knows.
        bytes_per_image: rate by the prior's own estimate; for each quality, empty without a prior.
    """

    loss: float
    psnr: tuple[float, ...]
    bytes_per_image: tuple[float, ...] = ()


class Objective(Protocol):
    """Hashable, because compiled steps are kept by it.

    Attributes:
        validation_images: how many are worth looking at after each epoch.
        part_images: how many a processor's core takes at once in training: their activations should fit its
            cache, but weights are read, and their gradients written, for each part anew.
    """

    validation_images: int

    @property
    def part_images(self) -> int: ...

    def initial_weights(self, images: Images, start: Weights | None = None) -> Weights:
        """Weights to start from; ``images`` are the training images, padded, uint8 [N, H, W, C].

        ``start`` holds trained weights for the analysis and the synthesis.
        """
        ...

    def optimiser(self) -> optax.GradientTransformation:
        """How gradients become updates."""
        ...

    def phase(self, step: int) -> str:
        """Name of the form that the loss has in ``step``; a step is compiled for each."""
        ...

    def enter(self, step: int, weights: Weights, optimiser: optax.OptState) -> tuple[Weights, optax.OptState]:
        """What ``step`` is to start from, given what the step before it left."""
        ...

    def loss(
        self, phase: str, weights: Weights, inputs: Array, targets: Array, key: Array
    ) -> tuple[Array, Array]:
        """A scalar to minimise, and a vector of sums over the batch that ``figures`` understands."""
        ...

    def validate(self, weights: Weights, inputs: Array, targets: Array) -> Array:
        """The vector of sums for float images [N, H, W, C], without anything random."""
        ...

    def reconstruct(self, weights: Weights, images: Array) -> Array:
        """What becomes of float images [N, H, W, C] in 0..1, for a preview."""
        ...

    def figures(self, sums: NDArray[np.float64]) -> Figures:
        """The figures of summed vectors."""
        ...

    def trained(self, weights: Weights, optimiser: optax.OptState) -> Weights:
        """The weights to validate and export."""
        ...
