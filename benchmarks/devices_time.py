"""Time of one training step of MNIST's networks, batch 128, on one device and on several, in turn.

    python -m benchmarks.devices_time [DEVICES]

On a processor the devices, two if left out, are forced ones, which share its cores. Prints one JSON object
for each model: medians in milliseconds and how many times as fast the several are.
"""

import json
import os
import sys
import time

import numpy as np

_ROUNDS = 9


def main() -> None:
    """Compile a model's two steps, then time them in turn."""
    count = sys.argv[1] if len(sys.argv) > 1 else "2"
    forced = f"--xla_force_host_platform_device_count={count}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {forced}".strip()  # before JAX looks
    from benchmarks.step_time import library_step
    from codec.training.devices import ONE_DEVICE, devices_for
    from codec.training.settings import settings_for

    images = np.random.default_rng(0).integers(0, 256, (128, 28, 28, 1), np.uint8)
    several = devices_for(count)
    for model, objective, phase in (
        ("dense", "rate-distortion", "straight-through"),
        ("article", "rate-distortion", "straight-through"),
        ("article", "distortion", "distortion"),
    ):
        settings = settings_for(images, "random", model=model, objective=objective)
        steps = [library_step(settings, images, phase, devices=d) for d in (ONE_DEVICE, several)]
        taken: list[list[float]] = [[] for _ in steps]
        for step in steps:
            step()
        for _ in range(_ROUNDS):
            for times, step in zip(taken, steps, strict=True):
                start = time.perf_counter()
                step()
                times.append(time.perf_counter() - start)
        one, many = (1000 * float(np.median(times)) for times in taken)
        row = {"model": model, "objective": objective, "one_ms": round(one, 1), f"{count}_ms": round(many, 1)}
        print(json.dumps({**row, "times_as_fast": round(one / many, 2)}), flush=True)


if __name__ == "__main__":
    main()
