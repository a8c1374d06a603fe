"""A process that has four devices, which the process of the tests has not.

``python -m tests.several_devices`` takes the same few steps on one, two and four forced devices of a
processor, and prints the loss of each as JSON, by objective and number of devices.
"""

import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "dense": ("straight-through", {"qualities": 2, "batch_size": 20}),
    # Parts of 32 images, two to a batch.
    "article": ("straight-through", {"model": "article", "qualities": 2, "batch_size": 64, "filters": 4}),
    "distortion": (
        "distortion",
        {"objective": "distortion", "batch_size": 64, "filters": 4, "noise": (0.2, 0.2)},
    ),
}
"""Phase of the objective, and what ``settings_for`` is given."""
_COUNT = 4


def small_digits() -> NDArray[np.uint8]:
    """The hundred digits in the package at 8x8: uint8 [100, 8, 8, 1]."""
    from codec.samples import sample_images

    return sample_images()[:, 2:26:3, 2:26:3]


def losses(phase: str, options: dict[str, Any], count: int) -> list[float]:
    """The loss of each step."""
    import jax.numpy as jnp

    from codec.training.devices import devices_for
    from codec.training.loop import objective_for
    from codec.training.settings import settings_for
    from codec.training.step import initial_state, train_step

    images = small_digits()
    settings = settings_for(images, "digits", layers=1, code_channels=4, learning_rate=0.01, **options)
    objective = objective_for(settings, len(images))
    devices = devices_for(str(count))
    state = initial_state(objective, images)
    there = devices.hold(images)
    found = []
    for step in range(_COUNT):
        state = devices.place(state)
        batch = np.random.default_rng(step).permutation(len(images))[: settings.batch_size]
        state = train_step(objective, phase, settings, state, there, batch, devices)
        found.append(objective.figures(np.asarray(state.sums, np.float64)).loss)
        state = state._replace(sums=jnp.zeros(state.sums.shape))
    return found


def main() -> None:
    # Little is computed here and much compiled.
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
    os.environ["JAX_PLATFORMS"] = "cpu"
    print(json.dumps({name: {n: losses(*step, n) for n in (1, 2, 4)} for name, step in STEPS.items()}))


if __name__ == "__main__":
    main()
