"""Checkpoints of a run, through orbax: whole or not there, and only for the settings that made them."""

import json
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from codec.errors import TrainingError
from codec.files import write_bytes

__all__ = ["Checkpoints"]


class Checkpoints:
    """The checkpoints in one folder.

    Args:
        folder: made if it is missing.
        run: plain values that tell this run from others; resuming under other values is refused.
        resume: whether the folder's checkpoints are to be gone on from. Otherwise it must hold none.
    """

    def __init__(self, folder: Path, run: dict[str, Any], *, resume: bool) -> None:
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            options=ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False),
        )
        note = folder / "run.json"
        newest = self._manager.latest_step()
        if resume:
            if newest is None:
                raise TrainingError(f"{folder}: expected a checkpoint to resume from, found none")
            try:
                found = json.loads(note.read_text())
            except (OSError, ValueError) as error:
                raise TrainingError(f"{note}: the run's settings cannot be read: {error}") from None
            self._compare(found, json.loads(json.dumps(run)), folder)
        elif newest is not None:
            raise TrainingError(
                f"{folder}: holds the checkpoints of an earlier run; "
                "add --resume to go on with it, or choose another --out"
            )
        write_bytes(note, json.dumps(run, indent=1).encode())

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
        if step != self._manager.latest_step():
            self._manager.save(step, args=ocp.args.StandardSave(values))

    def restore(self, like: dict[str, Any]) -> dict[str, Any]:
        """The newest values, in the structure of ``like``."""
        step = self._manager.latest_step()
        try:
            values: dict[str, Any] = self._manager.restore(step, args=ocp.args.StandardRestore(like))
        except Exception as error:  # orbax and the stores under it raise many kinds
            raise TrainingError(
                f"{self._manager.directory}: checkpoint {step} cannot be read ({type(error).__name__}); "
                "remove its folder to go on from an earlier one"
            ) from None
        return values

    def close(self) -> None:
        """Release the folder."""
        self._manager.close()
