"""Checkpoints of a run, through orbax: whole or not there, and only for the settings that made them.

They hold plain arrays and nothing of the devices that these were on: a run goes on with any number of them.
"""

import json
import os
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from codec.datasources import first_line
from codec.errors import FileError, TrainingError
from codec.files import write_bytes

__all__ = ["Checkpoints"]


class Checkpoints:
    """The checkpoints in one folder.

    A save that is stopped in the middle leaves the one before it, and a folder that the next run removes.

    Args:
        folder: made if it is missing.
        run: plain values that tell this run from others; resuming under other values is refused.
        resume: whether the folder's run is to be gone on with, from the start if it had no checkpoint yet.
            Otherwise it must hold no checkpoint.

    Raises:
        FileError: the folder cannot be made or written to.
        TrainingError: another run's folder, or none to go on with.
    """

    def __init__(self, folder: Path, run: dict[str, Any], *, resume: bool) -> None:
        note = folder / "run.json"
        if resume and not note.exists():
            raise TrainingError(
                f"{folder}: expected a run to resume, found none; leave out --resume to begin one"
            )
        options = ocp.CheckpointManagerOptions(
            max_to_keep=2,
            enable_async_checkpointing=False,
            cleanup_tmp_directories=True,
            create=False,
            # Of several processes the first alone comes here; orbax would wait for the others.
            multiprocessing_options=ocp.options.MultiprocessingOptions(active_processes={0}),
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(folder.absolute(), options=options)
        except OSError as error:
            raise FileError(f"{folder}: cannot be made: {error.strerror or error}") from None
        if resume:
            try:
                found = json.loads(note.read_text())
            except (OSError, ValueError) as error:
                raise TrainingError(f"{note}: the run's settings cannot be read: {error}") from None
            self._compare(found, json.loads(json.dumps(run)), folder)
        elif self.newest is not None:
            raise TrainingError(
                f"{folder}: holds the checkpoints of an earlier run; "
                "add --resume to go on with it, or choose another --out"
            )
        write_bytes(note, json.dumps(run, indent=1).encode())

    @property
    def newest(self) -> int | None:
        """The step of the newest checkpoint, None before the first."""
        step: int | None = self._manager.latest_step()
        return step

    @staticmethod
    def _compare(found: dict[str, Any], expected: dict[str, Any], folder: Path) -> None:
        names = sorted(n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n))
        if names:
            raise TrainingError(
                f"{folder}: made with other settings; "
                + "; ".join(f"{n} was {found.get(n)!r}, is now {expected.get(n)!r}" for n in names)
            )

    def save(self, step: int, values: dict[str, Any]) -> None:
        """Write ``values``, a tree of arrays, atomically; a step that is already there stays."""
        if step == self.newest:
            return
        values = jax.tree.map(np.asarray, values)
        try:
            self._manager.save(step, args=ocp.args.StandardSave(values))
        except Exception as error:  # orbax and the stores under it raise many kinds
            full = os.strerror(ENOSPC)
            reason = full if full in str(error) else first_line(error)
            raise FileError(
                f"{self._manager.directory}: checkpoint {step} cannot be written: {reason}"
            ) from None

    def restore(self, like: dict[str, Any]) -> dict[str, Any]:
        """The newest values, NumPy arrays in the structure of ``like``."""
        step = self.newest
        like = jax.tree.map(np.asarray, like)
        try:
            values: dict[str, Any] = self._manager.restore(step, args=ocp.args.StandardRestore(like))
        except Exception as error:  # orbax and the stores under it raise many kinds
            raise TrainingError(
                f"{self._manager.directory}: checkpoint {step} cannot be read ({type(error).__name__}); "
                "remove its folder to go on from an earlier one"
            ) from None
        return values

    def close(self) -> None:
        """Release the folder. Every save has ended before, so that what orbax says here is of no use."""
        with suppress(Exception):
            self._manager.close()
