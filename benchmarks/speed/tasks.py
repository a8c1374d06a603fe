"""The child process that works with the library and with the peers of its own environment.

    python -m benchmarks.speed.tasks IMAGES.npy

Answers requests for times (``benchmarks.speed.child``). A batch larger than the images goes round them again.
"""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.child import Task, cores, serve
from benchmarks.speed.pairs import quality_at_target
from benchmarks.speed.peers import PEERS
from codec.decoder import Decoder, load_decoder
from codec.encoder import Encoder, load_encoder
from codec.images import to_float
from codec.loading import load_bundle, pretrained

__all__ = ["prepare"]

_STEP_BATCH = 128
_START_IMAGES = 1000
"""Enough for principal components, which training starts with."""

Pixels = NDArray[np.uint8]
Call = Callable[[], Any]


def prepare(images: Pixels, task: Task) -> Call:
    """What does a task once, on uint8 ``images`` [N, 28, 28, 1].

    Raises:
        ImportError, CodecError, ValueError: whatever the task's libraries raise.
    """
    if task.work == "matrix product":
        return _matrix_product(task.batch)
    if task.work == "rate-distortion step":
        return _rate_distortion_step(_batch_of(images, _START_IMAGES), task.codec)
    if task.work == "train step":
        return _article_step(_batch_of(images, _STEP_BATCH), task.codec)
    batch = _batch_of(images, task.batch)
    if task.codec in PEERS:
        return _format(batch, task)
    if task.codec == "ONNX Runtime":
        return _onnx_runtime(batch, task)
    if task.codec in pretrained():
        return _pair(batch, task)
    raise ValueError(f"expected a task that this process knows, found {task}")


def _batch_of(images: Pixels, count: int) -> Pixels:
    return np.resize(images, (count, *images.shape[1:]))


@cache
def _loaded(name: str) -> tuple[Encoder, Decoder, int]:
    encoder, decoder = load_encoder(name), load_decoder(name)
    return encoder, decoder, quality_at_target(encoder.bundle)


def _pair(batch: Pixels, task: Task) -> Call:
    """Packets as a user makes them, or one half alone on float32 arrays, in the library's own batches."""
    encoder, decoder, quality = _loaded(task.codec)
    if task.work == "encode":
        return lambda: encoder.encode(batch, quality=quality, effort=task.effort)
    if task.work == "decode":
        packet = encoder.encode(batch, quality=quality)
        return lambda: decoder.decode(packet)
    pixels = to_float(batch)
    if task.work == "analysis":
        return lambda: encoder.codes(pixels, quality=quality)
    if task.work == "synthesis":
        codes = encoder.codes(pixels, quality=quality)
        return lambda: decoder.images(codes, quality=quality)
    raise ValueError(f"expected work that pairs do, found {task.work}")


def _format(batch: Pixels, task: Task) -> Call:
    """A file an image; on several cores the images are shared out among as many threads."""
    peer = PEERS[task.codec]
    squeezed = list(batch[..., 0])
    if task.work == "encode":
        return _shared_out(peer.encode, squeezed)
    if task.work == "decode":
        return _shared_out(peer.decode, [peer.encode(pixels) for pixels in squeezed])
    raise ValueError(f"expected work that formats do, found {task.work}")


def _shared_out(work: Callable[[Any], Any], items: Sequence[Any]) -> Call:
    threads = min(cores(), len(items))
    if threads == 1:
        return lambda: [work(item) for item in items]
    pool = ThreadPoolExecutor(threads)
    parts = [items[number::threads] for number in range(threads)]
    return lambda: list(pool.map(lambda part: [work(item) for item in part], parts))


def _onnx_runtime(batch: Pixels, task: Task) -> Call:
    from benchmarks.speed.onnx_peer import prepare_synthesis

    if task.work != "synthesis":
        raise ValueError(f"expected synthesis, found {task.work}")
    encoder, decoder, quality = _loaded("article")
    return prepare_synthesis(decoder.bundle, encoder.codes(batch, quality=quality), cores())


def _matrix_product(side: int) -> Call:
    factors = jax.random.normal(jax.random.key(0), (2, side, side), jnp.float32)
    multiply = jax.jit(jnp.matmul)
    return lambda: jax.block_until_ready(multiply(factors[0], factors[1]))


def _article_step(batch: Pixels, form: str) -> Call:
    from benchmarks.step_time import ARTICLE, library_step, plain_step

    return library_step(ARTICLE, batch, "distortion") if form == "library" else plain_step(batch)


def _rate_distortion_step(images: Pixels, phase: str) -> Call:
    """One step of the training of ``mnist``, from its weights, in one phase of its schedule."""
    from benchmarks.speed.training import settings_of
    from benchmarks.step_time import library_step
    from codec.training.start import start_from_pair

    settings = settings_of(load_bundle("mnist", "encoder"))
    return library_step(settings, images, phase, start_from_pair(settings))


if __name__ == "__main__":
    digits: Pixels = np.load(sys.argv[1])
    serve(lambda task: prepare(digits, task))
