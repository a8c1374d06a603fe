"""The article's float autoencoder in Keras, trained like the shipped pair; both measured on MNIST's test set.

Needs an environment with TensorFlow beside the package:

    python -m venv keras && keras/bin/pip install --editable '.[keras]'
    keras/bin/python benchmarks/article_vs_keras.py --epochs 50

Same network, data (MNIST's training images less the validation digits), loss, optimiser, batch and epochs.
Prints one JSON object a model: binary cross-entropy in nats a pixel and PSNR in dB of float images, without a
quantiser.
"""

import argparse
import json
import os
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from codec.analysis import build_analysis
from codec.bundle import Bundle
from codec.evaluation import psnr
from codec.images import to_float
from codec.loading import load_bundle
from codec.synthesis import build_synthesis
from codec.training.data import load_dataset, load_training
from codec.training.losses import binary_cross_entropy

_BATCH = 500


def measure_pair(encoder: Bundle, decoder: Bundle, images: NDArray[np.uint8]) -> dict[str, float]:
    """Mean binary cross-entropy and PSNR of a pair's networks without the quantiser between them."""
    architecture = encoder.pair.architecture

    @jax.jit
    def losses(batch: jax.Array) -> tuple[jax.Array, jax.Array]:
        codes = build_analysis(architecture).apply({"params": encoder.parameters()}, batch)
        parameters = {"params": decoder.parameters()}
        logits: Any = build_synthesis(architecture).apply(parameters, codes, method="logits")
        return binary_cross_entropy(logits, batch), ((jax.nn.sigmoid(logits) - batch) ** 2).mean()

    batches = [to_float(images[start : start + _BATCH]) for start in range(0, len(images), _BATCH)]
    sums = np.sum([[float(x) * len(batch) for x in losses(batch)] for batch in batches], axis=0)
    cross_entropy, error = sums / len(images)
    return {"binary_cross_entropy": float(cross_entropy), "psnr": psnr(float(error))}


def train_keras(training: NDArray[np.uint8], test: NDArray[np.uint8], epochs: int) -> dict[str, float]:
    """The article's network as its Keras code has it, trained and measured the same way."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    inputs = x = layers.Input((28, 28, 1))
    for _ in range(2):
        x = layers.Conv2D(32, 3, activation="relu", padding="same")(x)
        x = layers.MaxPooling2D(2, padding="same")(x)
    for _ in range(2):
        x = layers.Conv2DTranspose(32, 3, strides=2, activation="relu", padding="same")(x)
    outputs = layers.Conv2D(1, 3, activation="sigmoid", padding="same")(x)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "binary_crossentropy", metrics=["mse"])
    pixels = to_float(training)
    model.fit(pixels, pixels, batch_size=128, epochs=epochs, shuffle=True, verbose=2)
    targets = to_float(test)
    cross_entropy, error = model.evaluate(targets, targets, batch_size=_BATCH, verbose=0)
    return {"binary_cross_entropy": float(cross_entropy), "psnr": psnr(float(error))}


def main() -> None:
    """Measure the shipped pair, train Keras, print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pair", default="article", help="a pair that ships with the package")
    parser.add_argument("--epochs", type=int, default=50, help="of Keras; 0 measures the pair alone")
    options = parser.parse_args()
    test = load_dataset("mnist", "test")
    encoder, decoder = (load_bundle(options.pair, side) for side in ("encoder", "decoder"))
    print(json.dumps({"model": f"pair {options.pair}", **measure_pair(encoder, decoder, test)}), flush=True)
    if options.epochs:
        training = load_training("mnist", None, seed=0).training
        result = train_keras(training, test, options.epochs)
        print(json.dumps({"model": f"keras, {options.epochs} epochs", **result}))


if __name__ == "__main__":
    main()
