"""The tutorials' float autoencoders in Keras and in this library, measured on MNIST's test set.

Needs an environment with TensorFlow beside the package:

    python -m venv keras && keras/bin/pip install --editable '.[keras]'
    keras/bin/python benchmarks/article_vs_keras.py --epochs 50
    keras/bin/python benchmarks/article_vs_keras.py --model denoise --epochs 10

Same network, data (MNIST's training images less the validation digits), loss, optimiser, batch and epochs.
Of the article Keras is trained like the shipped pair, which is measured. Of the tutorial on noisy digits both
are trained here, from the same weights, and measured on the same noisy test images against the clean ones.
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
from codec.training.data import Dataset, load_dataset, load_training
from codec.training.distortion import Distortion
from codec.training.loop import train
from codec.training.losses import binary_cross_entropy
from codec.training.objective import Weights
from codec.training.settings import settings_for

_BATCH = 500
_TEST_NOISE = 0.5
_TOLERANCE = 1e-4
_SAME_STEPS, _SAME_BATCH = 20, 32

Floats = NDArray[np.float32]


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


def build_keras(model: str, noise: float) -> Any:
    """A tutorial's network as its Keras code has it; noise on what goes in is drawn anew in each step."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    inputs = x = layers.Input((28, 28, 1))
    if noise:
        x = keras.ops.clip(layers.GaussianNoise(noise)(x), 0, 1)
    for i in range(2):
        x = layers.Conv2D(32, 3, activation="relu", padding="same", name=f"analysis-convolution_{i}")(x)
        x = layers.MaxPooling2D(2, padding="same")(x)
    for i in range(2):
        if model == "article":
            x = layers.Conv2DTranspose(32, 3, strides=2, activation="relu", padding="same")(x)
        else:
            x = layers.Conv2D(32, 3, activation="relu", padding="same", name=f"synthesis-convolution_{i}")(x)
            x = layers.UpSampling2D(2)(x)
    x = layers.Conv2D(1, 3, activation="sigmoid", padding="same", name="synthesis-convolution")(x)
    return keras.Model(inputs, x)


def fit_keras(
    model: Any, optimiser: Any, images: NDArray[np.uint8], epochs: int, tests: tuple[Floats, Floats]
) -> dict[str, float]:
    """Train it to make ``images`` of themselves, and measure what it makes of one array against another."""
    model.compile(optimiser, "binary_crossentropy", metrics=["mse"])
    pixels = to_float(images)
    model.fit(pixels, pixels, batch_size=128, epochs=epochs, shuffle=True, verbose=2)
    cross_entropy, error = model.evaluate(*tests, batch_size=_BATCH, verbose=0)
    return {"binary_cross_entropy": float(cross_entropy), "psnr": psnr(float(error))}


def with_weights(network: Any, weights: Weights) -> Any:
    """A Keras network with the weights of both halves of this library's."""
    for layer in network.layers:
        if layer.weights:
            half, _, name = layer.name.partition("-")
            layer.set_weights([np.asarray(weights[half][name][kind]) for kind in ("kernel", "bias")])
    return network


def adadelta(learning_rate: float) -> Any:
    """Keras's, with what were its defaults beside the learning rate."""
    import keras

    return keras.optimizers.Adadelta(learning_rate, rho=0.95, epsilon=1e-7)


def losses_of_same_batches(objective: Distortion, weights: Weights, noisy: Floats, clean: Floats) -> None:
    """Print the losses of both over the same batches, the first and the last."""
    network = with_weights(build_keras("denoise", 0), weights)
    network.compile(adadelta(objective.settings.learning_rate), "binary_crossentropy")
    optimiser = objective.optimiser()
    state = optimiser.init(weights)
    told: dict[str, list[float]] = {"codec": [], "keras": []}
    gradient = jax.jit(
        jax.value_and_grad(lambda w, x, y: objective.loss("distortion", w, x, y, jax.random.key(0))[0])
    )
    for step in range(_SAME_STEPS):
        part = slice(step * _SAME_BATCH, (step + 1) * _SAME_BATCH)
        loss, gradients = gradient(weights, noisy[part], clean[part])
        updates, state = optimiser.update(gradients, state, weights)
        weights = jax.tree.map(jax.numpy.add, weights, updates)
        told["codec"].append(float(loss))
        told["keras"].append(
            float(network.train_on_batch(noisy[part], clean[part], return_dict=True)["loss"])
        )
        network.reset_metrics()
    for model, losses in told.items():
        print(json.dumps({"model": f"{model}, the same batches", "losses": [losses[0], losses[-1]]}))


def compare_denoise(images: NDArray[np.uint8], test: NDArray[np.uint8], epochs: int) -> None:
    """Train both on the same clean images from the same weights, and measure both on the same noisy ones.

    Prints one JSON object a model.

    Raises:
        ValueError: with the same weights they do not compute the same.
    """
    settings = settings_for(images, "mnist", model="denoise", epochs=epochs)
    objective = Distortion(settings)
    clean = to_float(test)
    noisy = clean + np.random.default_rng(0).normal(0, _TEST_NOISE, clean.shape).astype(np.float32)
    noisy = np.clip(noisy, 0, 1)

    weights = objective.initial_weights(images)
    network = with_weights(build_keras("denoise", _TEST_NOISE), weights)
    some = noisy[:_BATCH]
    apart = float(np.abs(network.predict(some, verbose=0) - objective.reconstruct(weights, some)).max())
    if apart > _TOLERANCE:
        raise ValueError(f"the networks differ by {apart:.3g} with the same weights")
    losses_of_same_batches(objective, weights, noisy, clean)

    trained = train(settings, Dataset("mnist", images, images[:_BATCH]), None)
    losses = jax.jit(lambda x, y: objective.loss("distortion", trained, x, y, jax.random.key(0))[1])
    parts = [slice(start, start + _BATCH) for start in range(0, len(clean), _BATCH)]
    sums = np.sum([np.asarray(losses(noisy[part], clean[part]), np.float64) for part in parts], axis=0)
    figures = objective.figures(sums)
    told = {"binary_cross_entropy": figures.loss, "psnr": figures.psnr[0]}
    print(json.dumps({"model": f"codec, {epochs} epochs", **told}), flush=True)

    told = fit_keras(network, adadelta(settings.learning_rate), images, epochs, (noisy, clean))
    print(json.dumps({"model": f"keras, {epochs} epochs", **told}))


def main() -> None:
    """Measure this library's network, train Keras, print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", choices=("article", "denoise"), default="article")
    parser.add_argument(
        "--pair", default="article", help="a pair that ships with the package, for the article"
    )
    parser.add_argument("--epochs", type=int, default=50, help="0 measures the article's pair alone")
    parser.add_argument("--images", type=int, help="train on the first so many; all if left out")
    options = parser.parse_args()
    test = load_dataset("mnist", "test")
    if options.model == "denoise":
        compare_denoise(load_training("mnist", None, seed=0).training[: options.images], test, options.epochs)
        return
    encoder, decoder = (load_bundle(options.pair, side) for side in ("encoder", "decoder"))
    print(json.dumps({"model": f"pair {options.pair}", **measure_pair(encoder, decoder, test)}), flush=True)
    if options.epochs:
        training = load_training("mnist", None, seed=0).training[: options.images]
        pixels = to_float(test)
        result = fit_keras(build_keras("article", 0), "adam", training, options.epochs, (pixels, pixels))
        print(json.dumps({"model": f"keras, {options.epochs} epochs", **result}))


if __name__ == "__main__":
    main()
