"""A process with four devices, as tests need and the process that runs them is not: prints what each number of them does.

``python -m tests.several_devices FOLDER`` trains the same small pairs on one, two and four forced devices of a
processor, and prints the loss after each step as JSON, by objective and number of devices.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

SETTINGS: dict[str, dict[str, Any]] = {
    "dense": {"model": "dense", "qualities": 2, "batch_size": 20},
    # Parts of 32 images, two to a batch.
    "article": {"model": "article", "qualities": 2, "batch_size": 64},
    "distortion": {"objective": "distortion", "batch_size": 64, "noise": 0.2},
}
"""What ``settings_for`` is given, by name."""


def small_digits() -> Any:
    """The hundred digits in the package at 8x8: uint8 [100, 8, 8, 1]."""
    from codec.samples import sample_images

    return sample_images()[:, 2:26:3, 2:26:3]


def _losses(name: str, devices: int, folder: Path, rows: Any) -> list[float]:
    """The running loss of the epoch after each step, then the validation's; and what was computed of it."""
    import numpy as np

    from codec.training.checkpoints import Checkpoints
    from codec.training.data import Dataset
    from codec.training.devices import devices_for
    from codec.training.loop import EpochMetrics, Watcher, objective_for, train
    from codec.training.settings import settings_for
    from codec.training.step import State

    images = small_digits()
    data = Dataset("digits", images[10:], images[:10])
    options = {"layers": 1, "code_channels": 4, **SETTINGS[name]}
    epochs = 2 if name == "dense" else 6
    if SETTINGS[name].get("model") != "dense":
        options["filters"] = 4
    settings = settings_for(data.training, data.name, epochs=epochs, **options)
    objective = objective_for(settings, len(data.training))
    losses: list[float] = []

    class Keeps(Watcher):
        def on_step(self, batch: int, state: State, images_per_s: float) -> None:
            losses.append(objective.figures(np.asarray(state.sums, np.float64)).loss)

        def on_epoch(self, metrics: EpochMetrics, state: State) -> None:
            losses.append(metrics.validation.loss)

    checkpoints = Checkpoints(folder / f"{name}-{devices}", {}, resume=False)
    train(settings, data, checkpoints, watcher=Keeps(), devices=devices_for(str(devices)))
    checkpoints.close()
    return losses


def main() -> None:
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
    os.environ["JAX_PLATFORMS"] = "cpu"
    found = {
        name: {devices: _losses(name, devices, Path(sys.argv[1]), None) for devices in (1, 2, 4)}
        for name in SETTINGS
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
