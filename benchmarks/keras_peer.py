"""The article's network in Keras on TensorFlow, timed line by line by another process.

    PYTHON -m benchmarks.keras_peer IMAGES.npy ARTICLE.npz

Stands alone: the Python that runs it needs TensorFlow and nothing of the package. It answers requests for
times (``benchmarks.speed.child``): of the analysis, the synthesis and the training step of 128. ARTICLE.npz
has the article's weights, and pixels, codes and decoded pixels that the library's networks made with them:
what Keras makes is held to those first, so that it is the same network that is timed.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.child import Task, cores, serve
from benchmarks.speed.timing import fastest_slices

_TOLERANCE = 1e-4
_STEP_BATCH = 128
_SLICES = (64, 256, 1024)


class Network:
    """Both halves, with the weights and the check of a reference (see above).

    Raises:
        ValueError: they compute something else.
    """

    def __init__(self, reference: Any) -> None:
        import keras
        import tensorflow as tf
        from keras import layers

        tf.config.threading.set_intra_op_parallelism_threads(cores())
        inputs = x = layers.Input((28, 28, 1))
        for number in range(2):
            convolution = layers.Conv2D(
                32, 3, activation="relu", padding="same", name=f"convolution_{number}"
            )
            x = layers.MaxPooling2D(2, padding="same")(convolution(x))
        self.analysis = keras.Model(inputs, x)
        codes = y = layers.Input((7, 7, 32))
        for number in range(2):
            y = layers.Conv2DTranspose(
                32, 3, strides=2, activation="relu", padding="same", name=f"transposed_{number}"
            )(y)
        outputs = layers.Conv2D(1, 3, activation="sigmoid", padding="same", name="convolution")(y)
        self.synthesis = keras.Model(codes, outputs)
        self.both = keras.Model(inputs, self.synthesis(self.analysis(inputs)))
        for half in (self.analysis, self.synthesis):
            for layer in half.layers:
                if layer.weights:
                    kernel, bias = (reference[f"{layer.name}/{kind}"] for kind in ("kernel", "bias"))
                    if layer.name.startswith("transposed"):  # turned round, and features before inputs
                        kernel = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
                    layer.set_weights([kernel, bias])
        self.both.compile("adam", "binary_crossentropy")
        self._check("analysis", reference["pixels"], reference["codes"])
        self._check("synthesis", reference["codes"], reference["decoded"])

    def half(self, work: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """One half as a compiled function, from and to NumPy."""
        import tensorflow as tf

        model = {"analysis": self.analysis, "synthesis": self.synthesis}[work]
        signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]
        compiled = tf.function(lambda x: model(x, training=False), input_signature=signature)
        return lambda x: compiled(x).numpy()

    def _check(self, work: str, given: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
        difference = float(np.abs(self.half(work)(given) - expected).max())
        if not difference <= _TOLERANCE:
            raise ValueError(
                f"{work}: expected the library's values to within {_TOLERANCE:g}, found {difference:.3g}"
            )


def main() -> None:
    """Answer until standard input ends."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    images = np.load(sys.argv[1]).astype(np.float32) / 255
    reference = np.load(sys.argv[2])
    networks: list[Network] = []

    def prepare(task: Task) -> Callable[[], Any]:
        if not networks:  # on the first request, whose answer then says what is wrong
            networks.append(Network(reference))
        (network,) = networks
        if task.work == "train step":
            import tensorflow as tf

            batch = tf.constant(np.resize(images, (_STEP_BATCH, *images.shape[1:])))
            return lambda: network.both.train_on_batch(batch, batch)
        half = network.half(task.work)
        batch = np.resize(images, (task.batch, *images.shape[1:]))
        return fastest_slices(
            half, batch if task.work == "analysis" else network.half("analysis")(batch), _SLICES
        )

    serve(prepare)


if __name__ == "__main__":
    main()
