"""One training step of the article's network, in three libraries' forms, and an epoch of ``mnist``'s.

The same network, Adam, binary cross-entropy and 128 images a step, measured in turn.
"""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.child import Task, cores
from benchmarks.speed.other_pythons import keras
from benchmarks.speed.rows import Epoch, PartFailure, Training, plain
from benchmarks.speed.timing import Timer, compare, spread
from benchmarks.speed.workers import Worker, WorkerError, library, say, scratch
from codec.bundle import Bundle
from codec.loading import load_bundle

if TYPE_CHECKING:
    from codec.training.settings import Settings

__all__ = ["epoch", "rows", "settings_of", "steps"]

_FULL_RUNS, _QUICK_RUNS = 7, 3
_FULL_TURN, _QUICK_TURN = 0.5, 0.1
_OWN, _PLAIN, _KERAS = (
    f"{name}: article's network, one step of 128" for name in ("library", "plain flax", "Keras")
)
_TRAINING_IMAGES = 55_000
_EPOCH = f"mnist: an epoch of {_TRAINING_IMAGES:,} images, estimated from its steps; no warps, no validation"

Row = Training | Epoch | PartFailure


def rows(images: NDArray[np.uint8], quick: bool) -> list[dict[str, Any]]:
    """The section's rows."""
    runs, turn = (_QUICK_RUNS, _QUICK_TURN) if quick else (_FULL_RUNS, _FULL_TURN)
    with scratch(images) as path, library(path, cores()) as worker:
        return plain([*steps(worker, path, runs, turn), epoch(worker, runs, turn)])


def steps(worker: Worker, images: Path, runs: int, turn: float) -> list[Row]:
    """The article's network three times, and the library's ratio to each of the others."""
    say("training: the article's network")
    found: list[Row] = []
    timers: dict[str, Timer] = {
        _OWN: worker.timer(Task("train step", "library")),
        _PLAIN: worker.timer(Task("train step", "plain flax")),
    }
    with ExitStack() as stack:
        try:
            timers[_KERAS] = stack.enter_context(keras(images, cores())).timer(Task("train step", "Keras"))
        except WorkerError as error:
            found.append(PartFailure(_KERAS, str(error)))
        comparison = compare(timers, runs, turn)
    found += [PartFailure(what, error) for what, error in comparison.errors.items()]
    for what, seconds in comparison.seconds.items():
        times = spread([1000 * second for second in seconds])
        row = Training(what, times.median, times.low, times.high, runs)
        peers = [peer for peer in comparison.seconds if peer != _OWN] if what == _OWN else []
        for peer in peers:
            ratio = comparison.ratio(what, peer).median
            found.append(Training(what, times.median, times.low, times.high, runs, peer, ratio))
        if not peers:
            found.append(row)
    return found


def settings_of(bundle: Bundle) -> "Settings":
    """What a rate-distortion pair was trained with, as far as the time of a step depends on it.

    Raises:
        ValueError: its bundle does not say.
    """
    from codec.training.settings import Settings

    made = bundle.provenance.get("settings", {})
    lambdas = tuple(made.get("lambdas", ()))
    if made.get("objective") != "rate-distortion" or len(lambdas) != bundle.pair.qualities:
        raise ValueError(f"{bundle.name}: its bundle does not say how it was trained")
    return Settings(
        name=bundle.name,
        objective="rate-distortion",
        architecture=bundle.pair.architecture,
        epochs=made["epochs"],
        batch_size=made["batch_size"],
        lambdas=lambdas,
        start=bundle.name,
    )


def epoch(worker: Worker, runs: int, turn: float) -> Row:
    """Steps in each phase, in turn, each as often as the schedule has it, over the steps of an epoch."""
    say("training: steps of mnist")
    try:
        from codec.training.loop import objective_for

        settings = settings_of(load_bundle("mnist", "encoder"))
    except (ImportError, ValueError) as error:
        return PartFailure(_EPOCH, str(error))
    in_epoch = _TRAINING_IMAGES // settings.batch_size
    schedule = range(settings.epochs * in_epoch)
    phases = Counter(map(objective_for(settings, _TRAINING_IMAGES).phase, schedule))
    comparison = compare(
        {phase: worker.timer(Task("rate-distortion step", phase)) for phase in phases}, runs, turn
    )
    for reason in comparison.errors.values():
        return PartFailure(_EPOCH, reason)
    mixed = [
        in_epoch
        * sum(count / len(schedule) * comparison.seconds[phase][run] for phase, count in phases.items())
        for run in range(runs)
    ]
    seconds = spread(mixed)
    return Epoch(_EPOCH, seconds.median, seconds.low, seconds.high, runs)
