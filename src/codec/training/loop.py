"""The training loop: images and settings in, trained weights out, one metrics line an epoch.

Everything random follows from the seed and the number of the step or epoch, so a run that is stopped and
resumed goes through the same numbers as one that is not. Processes that share a run all go through this loop,
each with all images; where to start is what the first of them says.
"""

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from types import FrameType

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from codec.architecture import Dense, Residual
from codec.errors import TrainingError
from codec.images import pad, to_float
from codec.training.augment import augmented
from codec.training.checkpoints import Checkpoints
from codec.training.data import Dataset, images_within
from codec.training.devices import ONE_DEVICE, Devices
from codec.training.distortion import Distortion
from codec.training.hosts import stop_together, stopping_together
from codec.training.objective import Figures, Objective, Weights
from codec.training.rate_distortion import RateDistortion
from codec.training.settings import MOST_RATED_CODES, Settings
from codec.training.start import start_from_pair
from codec.training.step import State, check_parts, initial_state, train_step
from codec.training.weights import check_networks

__all__ = [
    "EpochMetrics",
    "InterruptedRunError",
    "Watcher",
    "check_data",
    "objective_for",
    "train",
    "validate",
]

_VALIDATION_BATCH = 250
_AUGMENTED = 0.75
"""Part of the epochs that sees warped images; the rest sees the true ones alone."""


@dataclass(frozen=True)
class EpochMetrics:
    """One line of metrics.jsonl."""

    epoch: int
    step: int
    images_per_s: float
    training: Figures
    validation: Figures


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


def objective_for(settings: Settings, training_images: int) -> Objective:
    """What ``settings`` ask to minimise, over a run on so many images."""
    if settings.objective == "distortion":
        return Distortion(settings)
    return RateDistortion(settings, settings.epochs * (training_images // settings.batch_size))


@partial(jax.jit, static_argnums=0)
def _validate_batch(objective: Objective, weights: Weights, inputs: Array, targets: Array) -> Array:
    return objective.validate(weights, to_float(inputs), to_float(targets))


def validate(
    objective: Objective, weights: Weights, inputs: np.ndarray, targets: np.ndarray, *others: Weights
) -> Figures:
    """The objective's figures over padded images uint8 [N, H, W, C].

    Args:
        inputs: what the analysis sees.
        targets: what the synthesis should make of it.
        others: the weights on more devices.
    """
    size = images_within(_VALIDATION_BATCH, inputs.shape)
    batches = [slice(start, start + size) for start in range(0, len(inputs), size)]
    copies = [weights, *others]
    sums = []
    for start in range(0, len(batches), len(copies)):
        turn = zip(copies, batches[start : start + len(copies)], strict=False)
        begun = [
            _validate_batch(objective, copy, jnp.asarray(inputs[batch]), jnp.asarray(targets[batch]))
            for copy, batch in turn
        ]
        sums += [np.asarray(found, np.float64) for found in begun]
    return objective.figures(np.sum(sums, axis=0))


def _spread_over(images: np.ndarray, most: int) -> np.ndarray:
    """At most so many images, evenly from the first to the last: they may be sorted by what they show."""
    picked: np.ndarray = images[np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int)]
    return picked


def check_data(settings: Settings, data: Dataset, devices: Devices) -> None:
    """Raise ``TrainingError`` unless there is a batch of images that the networks take.

    ``OptionError`` is for networks that are not what their architecture tells, and for a batch that does not
    divide among the devices.
    """
    architecture = settings.architecture
    if len(data.training) < settings.batch_size:
        raise TrainingError(
            f"{data.name}: expected at least one batch of {settings.batch_size} training images, "
            f"found {len(data.training)}; lower --batch-size"
        )
    channels = data.training.shape[-1]
    if channels != architecture.image_channels:
        raise TrainingError(
            f"{data.name}: expected images of {architecture.image_channels} channels, found {channels}"
        )
    if not architecture.takes(*data.training.shape[1:3]):
        raise TrainingError(
            f"{data.name}: expected images of a size that the {architecture.kind} architecture takes, "
            f"found {data.training.shape[1]}x{data.training.shape[2]}"
        )
    rated = settings.objective == "rate-distortion"
    codes = architecture.code_shape(*data.training.shape[1:3])
    if rated and not isinstance(architecture, Dense | Residual) and math.prod(codes) > MOST_RATED_CODES:
        raise TrainingError(
            f"{data.name}: expected codes of at most {MOST_RATED_CODES:,} values for rate-distortion, "
            f"found {codes[0]}x{codes[1]}x{codes[2]}; train for distortion, or on smaller images"
        )
    padded = codes[0] * architecture.stride, codes[1] * architecture.stride
    check_networks(architecture, padded, "unclipped" if rated else "logits")

    def objective_of(size: int) -> Objective:
        return objective_for(replace(settings, batch_size=size), len(data.training))

    check_parts(objective_of, settings.batch_size, devices)


@contextmanager
def _deferred_interrupt(several_hosts: bool) -> Iterator[Callable[[int], bool]]:
    """Turn the first Ctrl-C into a flag that is asked for between steps, when the state is whole.

    A second Ctrl-C acts at once. Outside the main thread, which alone receives signals, nothing changes.
    Several hosts agree on the step after which all stop.
    """
    if several_hosts:
        with stopping_together():
            yield stop_together
        return
    if threading.current_thread() is not threading.main_thread():
        yield lambda step: False
        return
    received: list[int] = []
    before = signal.getsignal(signal.SIGINT)

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, remember)
    try:
        yield lambda step: bool(received)
    finally:
        signal.signal(signal.SIGINT, before)


def train(
    settings: Settings,
    data: Dataset,
    checkpoints: Checkpoints | None,
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
    devices: Devices = ONE_DEVICE,
) -> Weights:
    """Train, checkpoint each epoch, and return the weights of both halves.

    Args:
        checkpoints: None in every process but the first of several.
        resume: go on from the newest checkpoint, if there is one, instead of starting anew.
        watcher: told of each step and epoch.
        devices: that share every batch.

    Raises:
        TrainingError: fewer images than one batch, nothing to resume, another run's checkpoint, or a loss
            that is no longer finite.
        OptionError: a batch that does not divide among the devices.
        InterruptedRunError: Ctrl-C; a checkpoint holds the last whole step.
    """
    watcher = watcher or Watcher()
    check_data(settings, data, devices)
    alignment = settings.architecture.alignment
    training = pad(data.training, alignment)
    batches = len(training) // settings.batch_size
    objective = objective_for(settings, len(training))
    shown = _spread_over(data.validation, objective.validation_images)
    targets, inputs = pad(shown, alignment), pad(settings.noised(shown), alignment)
    found = resume and checkpoints is not None and checkpoints.newest is not None
    going_on = bool(devices.from_first(np.array(found)))
    start = start_from_pair(settings) if settings.start and not going_on else None
    state = initial_state(objective, training, start)
    if going_on and checkpoints is not None:
        state = State(**jax.tree.map(jnp.array, checkpoints.restore(state._asdict())))
    state = devices.place(devices.from_first(state))
    epoch, batch = divmod(int(state.step), batches)
    watcher.on_start(epoch, batches)

    def save(state: State) -> None:
        if checkpoints is not None:
            checkpoints.save(int(state.step), state._asdict())

    with _deferred_interrupt(devices.several_hosts) as interrupted:
        while epoch < settings.epochs:
            order = np.random.default_rng([settings.seed, epoch]).permutation(len(training))
            share = settings.augment if epoch < _AUGMENTED * settings.epochs else 0.0
            images = devices.hold(augmented(training, share, [settings.seed, epoch, 1]))
            started, done = perf_counter(), 0
            while batch < batches:
                indices = order[batch * settings.batch_size : (batch + 1) * settings.batch_size]
                step = epoch * batches + batch
                state = State(*objective.enter(step, state.weights, state.optimiser), state.step, state.sums)
                state = devices.place(state)
                phase = objective.phase(step)
                state = jax.block_until_ready(
                    train_step(objective, phase, settings, state, images, indices, devices)
                )
                batch, done = batch + 1, done + settings.batch_size
                watcher.on_step(batch, state, done / (perf_counter() - started))
                # An epoch's last step is followed by its validation: a checkpoint in between would skip it.
                if batch < batches and interrupted(step + 1):
                    save(state)
                    raise _interruption(state, epoch)
            rate = done / (perf_counter() - started) if done else 0.0
            copies = devices.copies(state)
            trained = [objective.trained(copy.weights, copy.optimiser) for copy in copies]
            metrics = EpochMetrics(
                epoch=epoch + 1,
                step=int(state.step),
                images_per_s=rate,
                training=objective.figures(np.asarray(state.sums, np.float64)),
                validation=validate(objective, trained[0], inputs, targets, *trained[1:]),
            )
            if not np.isfinite([metrics.training.loss, metrics.validation.loss]).all():
                raise TrainingError(f"epoch {epoch + 1}: the loss is no longer finite; lower --learning-rate")
            # Metrics first: resuming drops a line too many, but could not make up for one too few.
            watcher.on_epoch(metrics, copies[0])
            state = state._replace(sums=jnp.zeros(state.sums.shape))
            save(state)
            if interrupted(int(state.step)):
                raise _interruption(state, epoch)
            epoch, batch = epoch + 1, 0
    last = devices.copies(devices.place(state))[0]
    return objective.trained(last.weights, last.optimiser)


def _interruption(state: State, epoch: int) -> InterruptedRunError:
    return InterruptedRunError(
        f"interrupted after step {int(state.step):,} in epoch {epoch + 1}; "
        "go on with the same command and --resume"
    )
