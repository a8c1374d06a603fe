"""Peers that need an environment of their own: Keras on TensorFlow, and TensorFlow Compression."""

import math
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.learned.environments import ENVIRONMENTS
from benchmarks.learned.peers import CACHE
from benchmarks.learned.peers import peers as learned_peers
from benchmarks.speed.workers import ROOT, Worker, WorkerError
from codec.images import to_float
from codec.loading import load_bundle

__all__ = ["KERAS_PYTHON", "TFC_PYTHON", "keras", "tensorflow_compression", "trained_model"]

KERAS_PYTHON = "CODEC_BENCH_KERAS_PYTHON"
"""The environment variable that names a Python with TensorFlow."""
TFC_PYTHON = ENVIRONMENTS["tfc"].variable
"""The environment variable that names a Python with TensorFlow Compression."""
_CHECKED = 16


def keras(images: Path, threads: int) -> Worker:
    """A process with the article's network in Keras, on the images of a .npy file.

    Raises:
        WorkerError: there is no Python with TensorFlow.
    """
    python = os.environ.get(KERAS_PYTHON)
    if not python:
        if find_spec("tensorflow") is None:
            raise WorkerError(
                f"TensorFlow is not installed here, and {KERAS_PYTHON} names no Python that has it"
            )
        python = sys.executable
    reference = images.with_name("article.npz")
    if not reference.exists():
        write_reference(images, reference)
    return Worker([python, "-m", "benchmarks.keras_peer", str(images), str(reference)], threads)


def write_reference(images: Path, path: Path) -> None:
    """The article's weights, and what the library's float networks make of a few images with them."""
    from codec.analysis import build_analysis  # JAX, which a parent process can do without otherwise
    from codec.synthesis import build_synthesis

    encoder, decoder = load_bundle("article", "encoder"), load_bundle("article", "decoder")
    architecture = encoder.pair.architecture
    pixels = to_float(np.load(images)[:_CHECKED])
    codes = np.asarray(build_analysis(architecture).apply({"params": encoder.parameters()}, pixels))
    decoded = np.asarray(build_synthesis(architecture).apply({"params": decoder.parameters()}, codes))
    arrays: dict[str, Any] = {**encoder.weights, **decoder.weights}
    np.savez(path, pixels=pixels, codes=codes, decoded=decoded, **arrays)


def trained_model(lambda_: float) -> tuple[str, Path]:
    """Of TensorFlow Compression's models that are trained for MSE, the one with the nearest weight of it.

    Returns:
        Its settings in words, and its folder.

    Raises:
        WorkerError: none is trained.
    """
    trained = [
        peer
        for peer in learned_peers() + learned_peers(quick=True)
        if (peer.environment, peer.loss) == ("tfc", "mse") and (CACHE / peer.key / "finished.json").exists()
    ]
    if not trained:
        raise WorkerError("no model of it is trained; run: python -m benchmarks.learned.peers")
    nearest = min(trained, key=lambda peer: abs(math.log(peer.setting / lambda_)))
    return f"lambda {nearest.setting:g}, {nearest.latents} latents", CACHE / nearest.key


def tensorflow_compression(images: Path, model: Path, threads: int) -> Worker:
    """A process with TensorFlow Compression's tutorial codec, on the images of a .npy file.

    Its Python is the one that the environment variable names, or the one that ``benchmarks.learned`` has
    made.

    Raises:
        WorkerError: there is neither.
    """
    made = ROOT / ".venv-tfc" / "bin" / "python"
    python = os.environ.get(TFC_PYTHON) or (str(made) if made.exists() else None)
    if not python:
        raise WorkerError(f"{TFC_PYTHON} names no Python that has it, and there is no .venv-tfc")
    return Worker([python, "-m", "benchmarks.speed.tfc_peer", str(images), str(model)], threads)
