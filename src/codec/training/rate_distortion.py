"""Rate and distortion at once: bits under the prior + lambda x mean squared error, for all qualities.

Rounding has no gradient, so training stands in for it (Balle, Laparra and Simoncelli 2017: uniform noise of
the step's width; Theis and others 2017: rounding with the gradient passed straight through), in three phases:

noise             noise everywhere.
straight-through  rounded symbols for the synthesis and the prior's context, noise for the rate.
settled           the analysis is fixed; synthesis and prior learn on the very symbols that will be sent, with
                  the means and scales that tables are made for.

Weights are averaged exponentially over the steps, and the average is what is validated and exported.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from numpy.typing import NDArray

from codec.analysis import build_analysis
from codec.architecture import Dense, Residual
from codec.context_arithmetic import LOG_SCALES
from codec.evaluation import psnr
from codec.layers import space_to_depth
from codec.logistic import nats
from codec.synthesis import build_synthesis
from codec.training.data import Images
from codec.training.objective import Figures, Weights
from codec.training.principal_components import start_from_principal_components
from codec.training.prior import BITS_PER_NAT, Prior, default_groups, on_grid
from codec.training.settings import Settings
from codec.training.spatial_prior import SpatialPrior, spatial_groups
from codec.training.start import start_steps

__all__ = ["RateDistortion", "elements_of", "squared_error"]

_STRAIGHT_FROM, _SETTLED_FROM = 0.5, 0.85
"""Where the second and third phase begin, as parts of all steps."""
_WARM_UP = 100
_FLAT = 0.15
"""Part of the first two phases before the learning rate falls."""
_SETTLED_RATE = 0.75
"""The learning rate that the last phase starts with, of the highest."""
_CLIP = 5.0
_RATE_PARAMETERS = ("log_gain", "log_step", "mean", "log_scale", "log_gain_in", "log_gain_out")
_RATE_SPEED = 8.0
"""These few parameters set the rate of each quality and have further to go than Adam would take them."""
_BALANCE = 0.55
"""Losses are divided by lambda to this power: without, the finest quality would be all that is learned."""
_LOSS_UNIT = 100
"""Brings losses near one, where clipping of gradients and Adam's epsilon are at home."""
_AVERAGE = 0.999
_LEAST_SCALE = 0.2
"""The prior starts no surer than this of a symbol."""
_UNITS = {"dense": 96, "residual": 32}
_OTHER_UNITS = 64
"""Hidden units of the prior for each group."""
_SCHEDULE = 3
"""Place of the step count in the optimiser's state."""


class _Average(NamedTuple):
    steps: Array
    weights: Any


def _averaging() -> optax.GradientTransformation:
    """Passes updates through and keeps an exponential average of the weights they lead to."""

    def start(weights: Any) -> _Average:
        return _Average(jnp.int32(0), jax.tree.map(jnp.array, weights))

    def update(updates: Any, state: _Average, weights: Any = None) -> tuple[Any, _Average]:
        decay = jnp.minimum(_AVERAGE, (1 + state.steps) / (10 + state.steps))
        after = optax.apply_updates(weights, updates)
        average = jax.tree.map(lambda a, w: decay * a + (1 - decay) * w, state.weights, after)
        return updates, _Average(state.steps + 1, average)

    return optax.GradientTransformation(start, update)


def _scale_parameters() -> optax.GradientTransformation:
    """Updates of the parameters that set the rate, enlarged."""

    def speed(path: tuple[Any, ...], update: Array) -> Array:
        return update * _RATE_SPEED if path[-1].key in _RATE_PARAMETERS else update

    return optax.stateless(lambda updates, weights: jax.tree_util.tree_map_with_path(speed, updates))


@dataclass(frozen=True)
class RateDistortion:
    """See ``codec.training.objective`` for what each method is.

    Attributes:
        settings: of the run.
        steps: in all epochs together; the schedule spans them.
    """

    settings: Settings
    steps: int
    validation_images = 1000

    @property
    def part_images(self) -> int:
        """Few where the networks are convolutions; dense layers are read as seldom as can be."""
        return self.settings.batch_size if isinstance(self.settings.architecture, Dense | Residual) else 32

    @property
    def qualities(self) -> int:
        """How many operating points are trained at once."""
        return len(self.settings.lambdas)

    def prior(self, elements: int) -> Prior | SpatialPrior:
        """The prior's shape for codes of so many elements, of an image or of a block."""
        units = _UNITS.get(self.settings.architecture.kind, _OTHER_UNITS)
        if isinstance(self.settings.architecture, Residual):
            return SpatialPrior(spatial_groups(elements), units, self.qualities)
        return Prior(default_groups(elements), units, self.qualities)

    def _balance(self) -> NDArray[np.float64]:
        """What each quality's loss is multiplied by."""
        weights = np.array(self.settings.lambdas) ** -_BALANCE
        return np.asarray(weights / weights.mean() / _LOSS_UNIT)

    def _settled(self) -> int:
        return int(_SETTLED_FROM * self.steps)

    def initial_weights(self, images: Images, start: Weights | None = None) -> Weights:
        architecture = self.settings.architecture
        keys = jax.random.split(jax.random.key(self.settings.seed), 3)
        shape = images.shape[1:]
        codes, analysis = jax.jit(build_analysis(architecture).init_with_output)(
            keys[0], jnp.zeros((1, *shape)), 0
        )
        synthesis = jax.jit(build_synthesis(architecture).init)(keys[1], codes, 0)
        weights: Weights = {"analysis": analysis["params"], "synthesis": synthesis["params"]}
        no_symbols = jnp.zeros_like(elements_of(architecture, codes))
        elements = no_symbols.shape[-1]
        weights["prior"] = jax.jit(self.prior(elements).init)(keys[2], no_symbols, jnp.zeros(1, jnp.int32))[
            "params"
        ]
        # The step that is best at high rate: d(bits) = d(lambda x step^2 / 12 values) for each element.
        lambdas = np.array(self.settings.lambdas)
        steps = np.sqrt(12 * math.prod(shape) / (2 * math.log(2) * lambdas))
        if isinstance(architecture, Dense | Residual):
            start_from_principal_components(weights, architecture, images, steps)
        else:
            by_channel = np.tile(steps[:, None], (1, codes.shape[-1]))
            if start is not None:
                by_channel, deviations = start_steps(start, architecture, images, lambdas)
                scales = deviations / np.repeat(by_channel, elements // codes.shape[-1], axis=1) / 2
                log_scale = np.log(np.clip(scales, _LEAST_SCALE, np.exp(LOG_SCALES[-1])))
                weights["prior"]["log_scale"] = jnp.asarray(log_scale, jnp.float32)
            weights["steps"] = {"log_step": jnp.asarray(np.log(by_channel), jnp.float32)}
        return weights | (start or {})

    def optimiser(self) -> optax.GradientTransformation:
        return optax.chain(
            optax.clip_by_global_norm(_CLIP),
            optax.scale_by_adam(),
            _scale_parameters(),
            optax.scale_by_learning_rate(self._learning_rate),
            _averaging(),
        )

    def _learning_rate(self, step: Array) -> Array:
        """Warm-up, level and cosine; then, lower, warm-up and cosine again for the last phase."""
        settled, highest = self._settled(), self.settings.learning_rate

        def fall(done: Array) -> Array:
            return jnp.maximum(0.01, 0.5 * (1 + jnp.cos(jnp.pi * jnp.clip(done, 0, 1))))

        def warm(count: Array) -> Array:
            return jnp.minimum(1.0, (count + 1) / _WARM_UP)

        first = warm(step) * fall((step / max(1, settled) - _FLAT) / (1 - _FLAT))
        last = _SETTLED_RATE * warm(step - settled) * fall((step - settled) / max(1, self.steps - settled))
        return highest * jnp.where(step < settled, first, last)

    def phase(self, step: int) -> str:
        if step >= self._settled():
            return "settled"
        return "straight-through" if step >= _STRAIGHT_FROM * self.steps else "noise"

    def enter(self, step: int, weights: Weights, optimiser: optax.OptState) -> tuple[Weights, optax.OptState]:
        if step != self._settled():
            return weights, optimiser
        weights = jax.tree.map(jnp.array, self.trained(weights, optimiser))
        clip, adam, speed, _, average = self.optimiser().init(weights)
        return weights, (clip, adam, speed, optimiser[_SCHEDULE], average)

    def loss(
        self, phase: str, weights: Weights, inputs: Array, targets: Array, key: Array
    ) -> tuple[Array, Array]:
        for_quality, for_noise = jax.random.split(key)
        quality = _balanced(for_quality, len(inputs), self.qualities)
        if phase == "settled":
            weights = {**weights, "analysis": jax.lax.stop_gradient(weights["analysis"])}
            if "steps" in weights:
                weights["steps"] = jax.lax.stop_gradient(weights["steps"])
        bits, images = self._bits_and_images(phase, weights, inputs, quality, for_noise)
        error = squared_error(images, targets)
        lambdas, balance = jnp.asarray(self.settings.lambdas), jnp.asarray(self._balance())
        loss = jnp.mean((bits + lambdas[quality] * error) * balance[quality])
        return loss, self._sums(bits, error, quality)

    def _bits_and_images(
        self, phase: str, weights: Weights, inputs: Array, quality: Array, key: Array | None = None
    ) -> tuple[Array, Array]:
        """Bits of each image, and what the synthesis makes of it, unclipped unless everything is rounded."""
        architecture = self.settings.architecture
        codes = build_analysis(architecture).apply({"params": weights["analysis"]}, inputs, quality)
        assert isinstance(codes, Array)
        steps: Array | float = 1.0
        if "steps" in weights:
            steps = jnp.exp(weights["steps"]["log_step"])[quality][:, None, None, :]
        codes = codes / steps
        symbols = jnp.round(codes)
        if phase == "rounded":
            rated = sent = symbols
        elif phase == "settled":
            rated = sent = jax.lax.stop_gradient(symbols)
        else:
            assert key is not None
            rated = codes + jax.random.uniform(key, codes.shape, minval=-0.5, maxval=0.5)
            straight = codes + jax.lax.stop_gradient(symbols - codes)
            sent = straight if phase == "straight-through" else rated
        elements = elements_of(architecture, sent)
        told = self.prior(elements.shape[-1]).apply({"params": weights["prior"]}, elements, quality)
        if phase in ("settled", "rounded"):
            told = on_grid(*told)
        cost = nats(elements_of(architecture, rated), *told)
        images = build_synthesis(architecture).apply(
            {"params": weights["synthesis"]}, sent * steps, quality, method="unclipped"
        )
        assert isinstance(images, Array)
        if phase == "rounded":
            images = jnp.round(jnp.clip(images, 0, 1) * 255) / 255
        return cost.reshape(len(cost), -1).sum(1) * BITS_PER_NAT, images

    def _sums(self, bits: Array, error: Array, quality: Array) -> Array:
        """For each quality the number of images, their bits and their errors, one after the other."""
        by_quality = jax.nn.one_hot(quality, self.qualities)
        return jnp.concatenate([by_quality.sum(0), bits @ by_quality, error @ by_quality])

    def validate(self, weights: Weights, inputs: Array, targets: Array) -> Array:
        def at(quality: Array) -> Array:
            qualities = jnp.full(len(inputs), quality)
            bits, decoded = self._bits_and_images("rounded", weights, inputs, qualities)
            return self._sums(bits, squared_error(decoded, targets), qualities)

        sums: Array = jax.lax.map(at, jnp.arange(self.qualities)).sum(0)
        return sums

    def reconstruct(self, weights: Weights, images: Array) -> Array:
        quality = jnp.full(len(images), self.qualities // 2)
        return self._bits_and_images("rounded", weights, images, quality)[1]

    def figures(self, sums: NDArray[np.float64]) -> Figures:
        count, bits, error = sums.reshape(3, -1)
        seen = np.maximum(count, 1)
        lambdas = np.array(self.settings.lambdas)
        losses = (bits + lambdas * error) / seen * self._balance()
        return Figures(
            float(losses.mean()),
            tuple(psnr(float(e)) for e in error / seen),
            tuple(float(b) for b in bits / seen / 8),
        )

    def trained(self, weights: Weights, optimiser: optax.OptState) -> Weights:
        average: Weights = optimiser[-1].weights
        return average


def _balanced(key: Array, count: int, qualities: int) -> Array:
    """A quality for each image of a batch, each as often as the others to within one."""
    first, order = jax.random.split(key)
    offset = jax.random.randint(first, (), 0, qualities)
    return jax.random.permutation(order, (jnp.arange(count) + offset) % qualities)


def elements_of(architecture: Any, codes: Array) -> Array:
    """Codes [N, h, w, C] as elements [N, D], channel by channel, row by row; of a dense model those used.

    Of a residual model as the elements of blocks, [N, h/2, w/2, 4C].
    """
    if isinstance(architecture, Residual):
        return space_to_depth(codes)
    flat = codes.transpose(0, 3, 1, 2).reshape(len(codes), -1)
    return flat[:, : architecture.elements] if isinstance(architecture, Dense) else flat


def squared_error(images: Array, targets: Array) -> Array:
    """Mean squared error of each image; going below black or above (nearly) white costs nothing.

    The decoder clips its images, so what a loss without this would spend on pulling those pixels back is free
    for the others.
    """
    images = jnp.where((targets < 0.004) & (images < 0), 0.0, images)
    images = jnp.where((targets > 0.98) & (images > 1), 1.0, images)
    return jnp.mean((images - targets) ** 2, axis=(1, 2, 3))
