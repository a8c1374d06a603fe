"""TensorFlow Compression's tutorial codec, timed line by line by another process.

    PYTHON -m benchmarks.speed.tfc_peer IMAGES.npy MODEL

PYTHON has ``benchmarks/learned/requirements-tfc.txt`` installed and needs nothing of the package; MODEL is a
folder that ``benchmarks.learned.tensorflow_compression train`` made. Whole batches go through at once, as its
users do it.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.child import Task, serve


def main() -> None:
    """Answer until standard input ends."""
    images = np.load(sys.argv[1])[..., 0]

    def prepare(task: Task) -> Callable[[], Any]:
        from benchmarks.learned import tensorflow_compression as peer

        batch = np.resize(images, (task.batch, *images.shape[1:]))
        encode = peer.sender(Path(sys.argv[2]))
        if task.work == "encode":
            return lambda: encode(batch)
        strings, decode = encode(batch), peer.receiver(Path(sys.argv[2]))
        return lambda: decode(strings)

    serve(prepare)


if __name__ == "__main__":
    main()
