"""The training loop: images and settings in, trained weights out, one metrics line an epoch.

Everything random follows from the seed and the number of the step or epoch, so a run that is stopped and
resumed goes through the same numbers as one that is not.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from types import FrameType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from codec.analysis import Analysis
from codec.errors import TrainingError
from codec.evaluation import psnr
from codec.images import pad, to_float
from codec.synthesis import Synthesis
from codec.training.checkpoints import Checkpoints
from codec.training.data import Dataset, images_within
from codec.training.losses import LOSSES
from codec.training.settings import Settings

__all__ = ["EpochMetrics", "InterruptedRunError", "State", "Watcher", "check_data", "train"]

Weights = dict[str, Any]
"""Flax parameters of both halves: {"analysis": ..., "synthesis": ...}."""

_VALIDATION_BATCH = 250


class State(NamedTuple):
    """All that a step changes, and all that a checkpoint holds.

    ``loss_sum`` and ``error_sum`` add up the running epoch's batches: mean loss, and mean squared error.
    """

    weights: Weights
    optimiser: optax.OptState
    step: Array
    loss_sum: Array
    error_sum: Array


@dataclass(frozen=True)
class EpochMetrics:
    """One line of metrics.jsonl: losses in the loss's own unit, PSNR in dB from the MSE over all pixels."""

    epoch: int
    step: int
    training_loss: float
    training_psnr: float
    validation_loss: float
    validation_psnr: float
    images_per_s: float


class InterruptedRunError(TrainingError):
    """Ctrl-C: a checkpoint was written and ``--resume`` goes on from it."""


class Watcher:
    """Told how a run goes; the base class ignores it all."""

    def on_start(self, epoch: int, batches: int) -> None:
        """A run starts, or goes on, inside ``epoch`` (from 0) of that many batches."""

    def on_step(self, batch: int, state: State, images_per_s: float) -> None:
        """Batch number ``batch`` (from 1) of the epoch is done."""

    def on_epoch(self, metrics: EpochMetrics, state: State) -> None:
        """An epoch is done and validated; its checkpoint is written next."""


def _optimiser(settings: Settings) -> optax.GradientTransformation:
    return optax.adam(settings.learning_rate)


def initial_state(settings: Settings, image_shape: tuple[int, ...]) -> State:
    """Freshly initialised weights and optimiser for images [H, W, C]."""
    keys = jax.random.split(jax.random.key(settings.seed))
    images = jnp.zeros((1, *image_shape))
    analysis, synthesis = Analysis(settings.architecture), Synthesis(settings.architecture)
    codes, analysis_weights = analysis.init_with_output(keys[0], images)
    weights = {
        "analysis": analysis_weights["params"],
        "synthesis": synthesis.init(keys[1], codes)["params"],
    }
    return State(weights, _optimiser(settings).init(weights), jnp.int32(0), jnp.float32(0), jnp.float32(0))


def _forward(settings: Settings, weights: Weights, inputs: Array, targets: Array) -> tuple[Array, Array]:
    """Loss and mean squared error of reconstructing ``targets`` from ``inputs``."""
    codes = Analysis(settings.architecture).apply({"params": weights["analysis"]}, inputs)
    logits = Synthesis(settings.architecture).apply({"params": weights["synthesis"]}, codes, method="logits")
    assert isinstance(logits, Array)
    error = jnp.mean((jax.nn.sigmoid(logits) - targets) ** 2)
    return LOSSES[settings.loss](logits, targets), error


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def _train_step(settings: Settings, state: State, images: Array, indices: Array) -> State:
    targets = to_float(images[indices])
    inputs = targets
    if settings.noise:
        key = jax.random.fold_in(jax.random.key(settings.seed + 1), state.step)
        inputs = inputs + settings.noise * jax.random.normal(key, inputs.shape)
        inputs = jnp.clip(inputs, 0, 1)
    (loss, error), gradients = jax.value_and_grad(
        lambda weights: _forward(settings, weights, inputs, targets), has_aux=True
    )(state.weights)
    updates, optimiser = _optimiser(settings).update(gradients, state.optimiser, state.weights)
    return State(
        optax.apply_updates(state.weights, updates),
        optimiser,
        state.step + 1,
        state.loss_sum + loss,
        state.error_sum + error,
    )


@partial(jax.jit, static_argnums=0)
def _evaluate_batch(settings: Settings, weights: Weights, images: Array) -> tuple[Array, Array]:
    targets = to_float(images)
    return _forward(settings, weights, targets, targets)


def validate(settings: Settings, weights: Weights, images: np.ndarray) -> tuple[float, float]:
    """Mean loss and mean squared error of the float autoencoder over clean images."""
    loss = error = 0.0
    size = images_within(_VALIDATION_BATCH, images.shape)
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        batch_loss, batch_error = _evaluate_batch(settings, weights, jnp.asarray(batch))
        loss += float(batch_loss) * len(batch)
        error += float(batch_error) * len(batch)
    return loss / len(images), error / len(images)


def check_data(settings: Settings, data: Dataset) -> None:
    """Raise ``TrainingError`` unless there is a batch of images that the networks take."""
    if len(data.training) < settings.batch_size:
        raise TrainingError(
            f"{data.name}: expected at least one batch of {settings.batch_size} training images, "
            f"found {len(data.training)}; lower --batch-size"
        )
    channels = data.training.shape[-1]
    if channels != settings.architecture.image_channels:
        raise TrainingError(
            f"{data.name}: expected images of {settings.architecture.image_channels} channels, "
            f"found {channels}"
        )


@contextmanager
def _deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a flag that is asked for between steps, when the state is whole.

    A second Ctrl-C acts at once. Outside the main thread, which alone receives signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    received: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: bool(received)
    finally:
        signal.signal(signal.SIGINT, before)


def train(
    settings: Settings,
    data: Dataset,
    checkpoints: Checkpoints,
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
) -> Weights:
    """Train, checkpoint each epoch, and return the weights of both halves.

    Args:
        resume: go on from the newest checkpoint instead of starting anew.
        watcher: told of each step and epoch.

    Raises:
        TrainingError: fewer images than one batch, nothing to resume, another run's checkpoint, or a loss
            that is no longer finite.
        InterruptedRunError: Ctrl-C; a checkpoint holds the last whole step.
    """
    watcher = watcher or Watcher()
    check_data(settings, data)
    stride = settings.architecture.stride
    training, validation = pad(data.training, stride), pad(data.validation, stride)
    batches = len(training) // settings.batch_size
    state = initial_state(settings, training.shape[1:])
    if resume:
        state = State(**checkpoints.restore(state._asdict()))
    images = jnp.asarray(training)
    epoch, batch = divmod(int(state.step), batches)
    watcher.on_start(epoch, batches)
    with _deferred_interrupt() as interrupted:
        while epoch < settings.epochs:
            order = np.random.default_rng([settings.seed, epoch]).permutation(len(training))
            started, done = perf_counter(), 0
            while batch < batches:
                indices = order[batch * settings.batch_size : (batch + 1) * settings.batch_size]
                state = jax.block_until_ready(_train_step(settings, state, images, indices))
                batch, done = batch + 1, done + settings.batch_size
                watcher.on_step(batch, state, done / (perf_counter() - started))
                # An epoch's last step is followed by its validation: a checkpoint in between would skip it.
                if batch < batches and interrupted():
                    checkpoints.save(int(state.step), state._asdict())
                    raise _interruption(state, epoch)
            rate = done / (perf_counter() - started) if done else 0.0
            loss, error = validate(settings, state.weights, validation)
            metrics = EpochMetrics(
                epoch=epoch + 1,
                step=int(state.step),
                training_loss=float(state.loss_sum) / batches,
                training_psnr=psnr(float(state.error_sum) / batches),
                validation_loss=loss,
                validation_psnr=psnr(error),
                images_per_s=rate,
            )
            if not np.isfinite(metrics.training_loss) or not np.isfinite(loss):
                raise TrainingError(f"epoch {epoch + 1}: the loss is no longer finite; lower --learning-rate")
            state = state._replace(loss_sum=jnp.float32(0), error_sum=jnp.float32(0))
            # Metrics first: resuming drops a line too many, but could not make up for one too few.
            watcher.on_epoch(metrics, state)
            checkpoints.save(int(state.step), state._asdict())
            if interrupted():
                raise _interruption(state, epoch)
            epoch, batch = epoch + 1, 0
    return state.weights


def _interruption(state: State, epoch: int) -> InterruptedRunError:
    return InterruptedRunError(
        f"interrupted after step {int(state.step):,} in epoch {epoch + 1}; "
        "go on with the same command and --resume"
    )
