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
from numpy.typing import NDArray

from codec.images import to_float
from codec.training.devices import ONE_DEVICE, Devices
from codec.training.loop import objective_for
from codec.training.losses import binary_cross_entropy
from codec.training.objective import Weights
from codec.training.settings import Settings
from codec.training.step import initial_state, train_step

_ROUNDS = 15
ARTICLE = Settings()
"""The article's network and how it is trained."""


class Plain(nn.Module):
    """The article's network as flax's own layers, to logits."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(2):
            x = nn.max_pool(nn.relu(nn.Conv(32, (3, 3))(x)), (2, 2), (2, 2))  # type: ignore[no-untyped-call]
        for _ in range(2):
            x = nn.relu(nn.ConvTranspose(32, (3, 3), (2, 2))(x))
        return nn.Conv(1, (3, 3))(x)


def library_step(
    settings: Settings,
    images: NDArray[np.uint8],
    phase: str,
    start: Weights | None = None,
    devices: Devices = ONE_DEVICE,
) -> Callable[[], None]:
    """A call that does one of the library's steps on the first images, uint8 [N, H, W, C], and waits for it.

    Args:
        phase: of the objective that the settings ask for.
        start: weights to start from; None is fresh ones.
        devices: that share the batch.
    """
    objective = objective_for(settings, len(images))
    held = [devices.place(initial_state(objective, images, start))]
    there, batch = devices.hold(images), np.arange(settings.batch_size)

    def once() -> None:
        after = train_step(objective, phase, settings, held[0], there, batch, devices)
        held[0] = jax.block_until_ready(after)

    return once


def plain_step(images: NDArray[np.uint8]) -> Callable[[], None]:
    """The same of the article's network in flax's own layers, a batch as large as the images."""
    targets, model = jnp.asarray(to_float(images)), Plain()
    weights = model.init(jax.random.key(0), targets)
    optimiser = optax.adam(1e-3)

    @jax.jit
    def step(weights: Any, state: Any) -> Any:
        def loss(weights: Any) -> jax.Array:
            logits: Any = model.apply(weights, targets)
            return binary_cross_entropy(logits, targets)

        updates, state = optimiser.update(jax.grad(loss)(weights), state)
        return optax.apply_updates(weights, updates), state

    held = [(weights, optimiser.init(weights))]

    def once() -> None:
        held[0] = jax.block_until_ready(step(*held[0]))

    return once


def main() -> None:
    """Compile both, then time them in turn."""
    images = np.random.default_rng(0).integers(0, 256, (ARTICLE.batch_size, 28, 28, 1), np.uint8)
    steps = {"library": library_step(ARTICLE, images, "distortion"), "plain": plain_step(images)}
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
