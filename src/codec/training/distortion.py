"""The article's objective: how well the float autoencoder reproduces its images, and nothing of rate."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from numpy.typing import NDArray

from codec.analysis import build_analysis
from codec.evaluation import psnr
from codec.synthesis import build_synthesis
from codec.training.data import Images
from codec.training.losses import LOSSES
from codec.training.objective import Figures, Weights
from codec.training.settings import Settings

__all__ = ["Distortion"]


@dataclass(frozen=True)
class Distortion:
    """Adam or Adadelta on a batch's mean loss; see ``codec.training.objective`` for what each method is."""

    settings: Settings
    validation_images = 5000
    part_images = 32

    def initial_weights(self, images: Images, start: Weights | None = None) -> Weights:
        if start is not None:
            return start
        keys = jax.random.split(jax.random.key(self.settings.seed))
        architecture = self.settings.architecture
        codes, analysis = build_analysis(architecture).init_with_output(
            keys[0], jnp.zeros((1, *images.shape[1:]))
        )
        synthesis = build_synthesis(architecture).init(keys[1], codes)
        return {"analysis": analysis["params"], "synthesis": synthesis["params"]}

    def optimiser(self) -> optax.GradientTransformation:
        if self.settings.optimiser == "adadelta":
            # Zeiler 2012, with the decay and epsilon that Keras gives it.
            return optax.adadelta(self.settings.learning_rate, rho=0.95, eps=1e-7)
        return optax.adam(self.settings.learning_rate)

    def phase(self, step: int) -> str:
        return "distortion"

    def enter(self, step: int, weights: Weights, optimiser: optax.OptState) -> tuple[Weights, optax.OptState]:
        return weights, optimiser

    def loss(
        self, phase: str, weights: Weights, inputs: Array, targets: Array, key: Array
    ) -> tuple[Array, Array]:
        architecture = self.settings.architecture
        codes = build_analysis(architecture).apply({"params": weights["analysis"]}, inputs)
        logits = build_synthesis(architecture).apply({"params": weights["synthesis"]}, codes, method="logits")
        assert isinstance(logits, Array)
        loss = LOSSES[self.settings.loss](logits, targets)
        error = jnp.mean((jax.nn.sigmoid(logits) - targets) ** 2)
        return loss, jnp.stack([jnp.float32(1), loss, error]) * len(targets)

    def validate(self, weights: Weights, inputs: Array, targets: Array) -> Array:
        return self.loss("distortion", weights, inputs, targets, jax.random.key(0))[1]

    def reconstruct(self, weights: Weights, images: Array) -> Array:
        architecture = self.settings.architecture
        codes = build_analysis(architecture).apply({"params": weights["analysis"]}, images)
        decoded = build_synthesis(architecture).apply({"params": weights["synthesis"]}, codes)
        assert isinstance(decoded, Array)
        return decoded

    def figures(self, sums: NDArray[np.float64]) -> Figures:
        count, loss, error = sums.tolist()
        return Figures(loss / count, (psnr(error / count),))

    def trained(self, weights: Weights, optimiser: optax.OptState) -> Weights:
        return weights
