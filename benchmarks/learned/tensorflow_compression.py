r"""The codec of TensorFlow Compression's MNIST tutorial: its network and range coder, its loss or MSE.

With ``python`` one that has requirements-tfc.txt installed, in the repository's folder:

    python -m benchmarks.learned.tensorflow_compression train --images TRAIN.npy --out MODEL \
        --loss mse --lambda 47040 --latents 120 --epochs 15
    python -m benchmarks.learned.tensorflow_compression encode --model MODEL --images I.npy --out STRINGS.bin
    python -m benchmarks.learned.tensorflow_compression decode --model MODEL --strings STRINGS.bin --out D.npy
    python -m benchmarks.learned.tensorflow_compression time --model MODEL --images I.npy

Images are uint8 [N, 28, 28]. The model folder holds sender.npz (analysis and probability tables), which
``encode`` reads, and receiver.npz (synthesis and the same tables), which ``decode`` reads. How strings are
counted: ``benchmarks.learned.protocol``.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_compression as tfc

from benchmarks.learned.protocol import FormatError, Images, Receiver, Sender, Training, main

_SIDE = 28
_BATCH = 128
_RATE = 1e-3


def analysis(latents: int) -> Any:
    """Pixels [N, 28, 28, 1] from 0 to 1 to latents [N, ``latents``]."""
    layers, relu = tf.keras.layers, tf.nn.leaky_relu
    return tf.keras.Sequential(
        [
            layers.Input((_SIDE, _SIDE, 1)),
            layers.Conv2D(20, 5, 2, "same", activation=relu),
            layers.Conv2D(50, 5, 2, "same", activation=relu),
            layers.Flatten(),
            layers.Dense(500, activation=relu),
            layers.Dense(latents),
        ]
    )


def synthesis(latents: int) -> Any:
    """Latents [N, ``latents``] to pixels [N, 28, 28, 1], about 0 to 1."""
    layers, relu = tf.keras.layers, tf.nn.leaky_relu
    return tf.keras.Sequential(
        [
            layers.Input((latents,)),
            layers.Dense(500, activation=relu),
            layers.Dense(7 * 7 * 50, activation=relu),
            layers.Reshape((7, 7, 50)),
            layers.Conv2DTranspose(20, 5, 2, "same", activation=relu),
            layers.Conv2DTranspose(1, 5, 2, "same", activation=relu),
        ]
    )


def train(images: Images, settings: Training, model: Path) -> None:
    """Train both halves with noise for rounding, build the tables, and write the model folder."""
    _check(images)
    tf.keras.utils.set_random_seed(settings.seed)
    sending, receiving = analysis(settings.latents), synthesis(settings.latents)
    log_scales = tf.Variable(tf.zeros(settings.latents))
    variables = [*sending.trainable_variables, *receiving.trainable_variables, log_scales]
    optimiser = tf.keras.optimizers.Adam(_RATE)
    distance = tf.square if settings.loss == "mse" else tf.abs

    def prior() -> Any:
        return tfc.NoisyLogistic(loc=0.0, scale=tf.exp(log_scales))

    def step(batch: Any) -> tuple[Any, Any]:
        pixels = _pixels(batch)
        with tf.GradientTape() as tape:
            model = tfc.ContinuousBatchedEntropyModel(prior(), coding_rank=1)
            noisy, bits = model(sending(pixels), training=True)
            rate, distortion = tf.reduce_mean(bits), tf.reduce_mean(distance(pixels - receiving(noisy)))
            loss = rate + settings.weight * distortion
        optimiser.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return rate, distortion

    compiled = tf.function(step)
    order = np.random.default_rng(settings.seed)
    batch = min(_BATCH, len(images))
    for epoch in range(settings.epochs):
        start = perf_counter()
        shuffled = order.permutation(len(images))
        steps = range(0, len(images) - batch + 1, batch)
        totals = np.zeros(2)
        for place in steps:
            totals += [float(value) for value in compiled(images[shuffled[place : place + batch]])]
        rate, distortion = totals / len(steps)
        print(
            f"epoch {epoch + 1} of {settings.epochs}: {rate / 8:.2f} bytes an image, "
            f"{settings.loss} {distortion:.6f}, {perf_counter() - start:.1f} s",
            flush=True,
        )
    # The tables are made once and stored: floats that differ in the last bit would make others elsewhere.
    coder = tfc.ContinuousBatchedEntropyModel(prior(), coding_rank=1, compression=True)
    tables = {"cdf": coder.cdf.numpy(), "cdf_offset": coder.cdf_offset.numpy()}
    for name, network in (("sender", sending), ("receiver", receiving)):
        weights = {f"weight{i}": weight for i, weight in enumerate(network.get_weights())}
        np.savez(model / f"{name}.npz", latents=np.array(settings.latents), **tables, **weights)


def sender(model: Path) -> Sender:
    """The sender's half of a model folder: images to strings."""
    network, coder = _load(model / "sender.npz", analysis)
    compiled = tf.function(lambda images: coder.compress(network(_pixels(images))))

    def encode(images: Images) -> list[bytes]:
        _check(images)
        strings: list[bytes] = compiled(images).numpy().tolist()
        return strings

    return encode


def receiver(model: Path) -> Receiver:
    """The receiver's half of a model folder: strings to images."""
    network, coder = _load(model / "receiver.npz", synthesis)

    def images(strings: Any) -> Any:
        pixels = network(coder.decompress(strings, ()))[..., 0]
        return tf.saturate_cast(tf.round(pixels * 255), tf.uint8)

    # Without the signature every list of strings would be traced anew.
    compiled = tf.function(images, input_signature=[tf.TensorSpec([None], tf.string)])

    def decode(strings: Sequence[bytes]) -> Images:
        decoded: Images = compiled(tf.constant(list(strings))).numpy()
        return decoded

    return decode


def _load(path: Path, build: Any) -> tuple[Any, Any]:
    """A half's network, and its range coder with the stored tables."""
    with np.load(path, allow_pickle=False) as arrays:
        latents = int(arrays["latents"])
        network = build(latents)
        network.set_weights([arrays[f"weight{i}"] for i in range(len(network.get_weights()))])
        coder = tfc.ContinuousBatchedEntropyModel(
            prior_shape=(latents,),
            coding_rank=1,
            compression=True,
            stateless=True,
            cdf=arrays["cdf"],
            cdf_offset=arrays["cdf_offset"],
            offset_heuristic=False,  # the prior's median is 0
        )
    return network, coder


def _pixels(images: Any) -> Any:
    """Uint8 [N, H, W] to float32 [N, H, W, 1] from 0 to 1."""
    return tf.cast(images, tf.float32)[..., None] / 255


def _check(images: Images) -> None:
    if images.shape[1:] != (_SIDE, _SIDE):
        raise FormatError(f"images: expected [N, {_SIDE}, {_SIDE}], found {images.shape}")


if __name__ == "__main__":
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    main(__doc__, train, sender, receiver)
