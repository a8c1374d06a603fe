"""Time of one training step of the article's network, batch 128: the library's form and plain flax layers.

    python -m benchmarks.step_time

Both are measured in turn in one run, so that the ratio means something on a noisy machine. Prints one JSON
object: medians in milliseconds and the ratio.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from codec.analysis import ConvolutionalAnalysis
from codec.architecture import Convolutional
from codec.synthesis import ConvolutionalSynthesis
from codec.training.losses import binary_cross_entropy

_ROUNDS = 15


class Plain(nn.Module):
    """The article's network as flax's own layers, to logits."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(2):
            x = nn.max_pool(nn.relu(nn.Conv(32, (3, 3))(x)), (2, 2), (2, 2))  # type: ignore[no-untyped-call]
        for _ in range(2):
            x = nn.relu(nn.ConvTranspose(32, (3, 3), (2, 2))(x))
        return nn.Conv(1, (3, 3))(x)


class Library(nn.Module):
    """The same function as the library computes it."""

    @nn.compact
    def __call__(self, x: jax.Array) -> Any:
        codes = ConvolutionalAnalysis(Convolutional())(x)
        return ConvolutionalSynthesis(Convolutional()).logits(codes)


def stepper(model: nn.Module, images: jax.Array) -> Callable[[], None]:
    """A call that does one Adam step and waits for it."""
    weights = model.init(jax.random.key(0), images)
    optimiser = optax.adam(1e-3)

    @jax.jit
    def step(weights: Any, state: Any) -> Any:
        def loss(weights: Any) -> jax.Array:
            logits: Any = model.apply(weights, images)
            return binary_cross_entropy(logits, images)

        updates, state = optimiser.update(jax.grad(loss)(weights), state)
        return optax.apply_updates(weights, updates), state

    held = [(weights, optimiser.init(weights))]

    def once() -> None:
        held[0] = jax.block_until_ready(step(*held[0]))

    return once


def main() -> None:
    """Compile both, then time them in turn."""
    images = jnp.asarray(np.random.default_rng(0).random((128, 28, 28, 1), np.float32))
    steps = {"library": stepper(Library(), images), "plain": stepper(Plain(), images)}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(_ROUNDS):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    medians = {f"{name}_ms": round(1000 * float(np.median(taken)), 1) for name, taken in times.items()}
    print(json.dumps({**medians, "ratio": round(medians["plain_ms"] / medians["library_ms"], 2)}))


if __name__ == "__main__":
    main()
