"""One training run from start to finish: data, loop, export, and the files it leaves in its folder.

OUT/NAME.encoder.msgpack, OUT/NAME.decoder.msgpack    the pair
OUT/metrics.jsonl                                     a line an epoch
OUT/preview.png                                       validation images above, reconstructions below
OUT/checkpoints/                                      where --resume goes on
"""

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from codec.bundle_writer import write_pair
from codec.errors import FileError
from codec.files import write_bytes
from codec.imagefiles import png_bytes
from codec.images import crop, pad, to_float
from codec.inspection import json_values
from codec.pictures import picture_rows
from codec.training.checkpoints import Checkpoints
from codec.training.data import Dataset
from codec.training.devices import ONE_DEVICE, Devices
from codec.training.export import export_pair
from codec.training.hosts import part
from codec.training.loop import EpochMetrics, Watcher, check_data, objective_for, train
from codec.training.objective import Figures
from codec.training.settings import Settings
from codec.training.step import State

__all__ = ["follow", "run"]

_PREVIEW_IMAGES = 10
_SHOW_EVERY = 20


def run(
    settings: Settings,
    data: Dataset,
    out: Path,
    *,
    resume: bool,
    console: Console,
    devices: Devices = ONE_DEVICE,
    why: str | None = None,
) -> tuple[Path, Path]:
    """Train, or finish training, and write the pair; returns the paths of its two bundles.

    A run that had finished all its epochs and is resumed is exported again.

    Args:
        resume: see ``codec.training.loop.train``.
        console: where progress is told.
        devices: that share the training. Of several processes the first runs this, the others
            ``follow``, and are let go before the export.
        why: a line on the choice of the model, told first if the run can start.

    Raises:
        FileError: ``out`` cannot be made, or something in it cannot be written.
        TrainingError: see ``codec.training.loop.train``.
        OptionError: a batch that does not divide among the devices.
    """
    check_data(settings, data, devices)
    identity = _identity(settings, data)
    _check_agreement(devices, identity)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{out}: cannot be made: {error.strerror}") from None
    remembered = identity.copy()
    if settings.objective == "distortion":
        del remembered["epochs"]  # a rate-distortion schedule spans its epochs; this one may be prolonged
    checkpoints = Checkpoints(out / "checkpoints", remembered, resume=resume)
    if why is not None:
        console.print(why, soft_wrap=True)
    console.print(
        f"{settings.name}: {settings.architecture.kind}, {settings.objective}, on {data.name}: "
        f"{len(data.training):,} training and {len(data.validation):,} validation images of "
        f"{_size(data.training)}{f', {devices.count} devices' * (devices.count > 1)}"
    )
    try:
        with _progress(console) as progress:
            watcher = _Reporter(settings, data, out, progress, resume=resume)
            weights = train(settings, data, checkpoints, resume=resume, watcher=watcher, devices=devices)
        if devices.several_hosts:
            part()
        bundles = export_pair(settings, weights, data.name, data.training, data.validation, console.print)
        encoder, decoder = write_pair(out, settings.name, bundles)
    except FileError as error:
        raise FileError(
            f"{error}; when that is mended, the same command with --resume goes on from the last checkpoint"
        ) from None
    finally:
        checkpoints.close()
    console.print(f"wrote {encoder}\nwrote {decoder}")
    return encoder, decoder


def follow(settings: Settings, data: Dataset, devices: Devices, *, resume: bool) -> None:
    """Take part in the run of the first of several processes, without a folder: nothing is written.

    Raises:
        TrainingError: see ``codec.training.loop.train``; other data or settings than the first process's.
        OptionError: a batch that does not divide among the devices.
    """
    check_data(settings, data, devices)
    _check_agreement(devices, _identity(settings, data))
    train(settings, data, None, resume=resume, devices=devices)
    part()


def _identity(settings: Settings, data: Dataset) -> dict[str, Any]:
    """Plain values that tell this run from others."""
    return {
        "data": data.name,
        "images": list(data.training.shape),
        "sha256": hashlib.sha256(data.training.tobytes()).hexdigest(),
        **settings.to_dict(),
    }


def _check_agreement(devices: Devices, identity: dict[str, Any]) -> None:
    run = {
        "versions": [version(name) for name in ("jax", "split-codec")],
        "devices": devices.count,
        **identity,
    }
    digests = {n: hashlib.sha256(json.dumps(value).encode()).digest() for n, value in run.items()}
    devices.check_agreement(digests)


def _size(images: NDArray[np.uint8]) -> str:
    return "x".join(str(side) for side in images.shape[1:])


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TextColumn("{task.fields[rate]:,.0f} images/s"),
        TimeRemainingColumn(),
        console=console,
    )


def _told(figures: Figures) -> str:
    """Loss, estimated bytes an image and PSNR, from the coarsest to the finest quality."""
    parts = [f"loss {figures.loss:.4f}"]
    if figures.bytes_per_image:
        parts.append(f"{_span(figures.bytes_per_image, 1)} bytes")
    return "  ".join([*parts, f"{_span(figures.psnr, 2)} dB"])


def _span(values: tuple[float, ...], digits: int) -> str:
    ends = values[:1] if len(values) == 1 else (values[0], values[-1])
    return " to ".join(f"{value:.{digits}f}" for value in ends)


class _Reporter(Watcher):
    """Draws the progress bar; writes metrics.jsonl and the preview after each epoch."""

    def __init__(
        self, settings: Settings, data: Dataset, out: Path, progress: Progress, *, resume: bool
    ) -> None:
        self._settings = settings
        self._objective = objective_for(settings, len(data.training))
        self._images = data.validation[:_PREVIEW_IMAGES]
        self._out = out
        self._progress = progress
        self._metrics = out / "metrics.jsonl"
        self._lines = self._metrics.read_text().splitlines() if resume and self._metrics.exists() else []

    def on_start(self, epoch: int, batches: int) -> None:
        """Lines of epochs that the checkpoint does not hold are forgotten: they will be made again."""
        self._lines = self._lines[:epoch]
        self._batches = batches
        self._epoch = epoch
        self._task = self._progress.add_task(
            "",
            total=self._settings.epochs * batches,
            epoch=min(epoch + 1, self._settings.epochs),
            figures="",
            rate=0.0,
        )
        self._progress.update(self._task, completed=epoch * batches)

    def on_step(self, batch: int, state: State, images_per_s: float) -> None:
        """Reading the sums waits for the device, so only now and then."""
        if batch % _SHOW_EVERY == 0 or batch == self._batches:
            self._progress.update(
                self._task,
                completed=self._epoch * self._batches + batch,
                figures=_told(self._objective.figures(np.asarray(state.sums, np.float64))),
                rate=images_per_s,
            )

    def on_epoch(self, metrics: EpochMetrics, state: State) -> None:
        """One line and one picture."""
        self._epoch = metrics.epoch
        self._lines.append(json.dumps(json_values(asdict(metrics)), allow_nan=False))
        write_bytes(self._metrics, ("\n".join(self._lines) + "\n").encode())
        preview = picture_rows({"original": self._images, "reconstruction": self._reconstruct(state)})
        write_bytes(self._out / "preview.png", png_bytes(preview))
        self._progress.console.print(
            f"epoch {metrics.epoch}: {_told(metrics.training)}; validation {_told(metrics.validation)}"
        )
        self._progress.update(self._task, epoch=min(metrics.epoch + 1, self._settings.epochs))

    def _reconstruct(self, state: State) -> NDArray[np.uint8]:
        padded = to_float(pad(self._images, self._settings.architecture.alignment))
        weights = self._objective.trained(state.weights, state.optimiser)
        images = np.asarray(self._objective.reconstruct(weights, padded))
        return crop(np.rint(images * 255).astype(np.uint8), *self._images.shape[1:3])
