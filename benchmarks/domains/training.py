"""Training a domain's pair with default options, as a user would: ``codec train``, on two cores, timed.

What enters: a domain and a folder that is kept. What leaves: the pair's two files and what it took. A run
that was stopped goes on from its last checkpoint, its time added to that of the earlier ones; a pair that is
there, of the same images and settings, is not trained again.
"""

import hashlib
import io
import json
import os
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.domains.data import Domain
from benchmarks.domains.pair import PairFiles
from benchmarks.speed.child import cores
from benchmarks.speed.workers import held_to
from codec.errors import TrainingError
from codec.files import write_bytes
from codec.training.settings import settings_for

__all__ = ["QUICK", "Trained", "trained"]

COMMAND = (sys.executable, "-m", "codec", "train")
CORES = 2
QUICK = (
    *("--model", "article", "--filters", "8", "--code-channels", "4"),
    *("--epochs", "1", "--qualities", "2", "--batch-size", "32"),
)
_INTERRUPTED = 130
_NOTED_EVERY = 5.0
"""Seconds between notes of the time taken so far, for runs that are killed."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A pair, and what it took to make it.

    Attributes:
        pair: its two files.
        folder: where they and all that is kept of the run are.
        command: the command that made it, as a user would type it.
        wall_s: seconds of all attempts together, export among them.
        cpu_s: seconds of processors in them; None where a run was killed on a system that does not tell.
        attempts: 1, or more where runs were stopped.
        cores: that it was held to.
        epochs: passes over the training images.
        bundle_bytes: of both files.
    """

    pair: PairFiles
    folder: Path
    command: str
    wall_s: float
    cpu_s: float | None
    attempts: int
    cores: int
    epochs: int
    bundle_bytes: int

    def told(self) -> dict[str, Any]:
        """All but where the files are."""
        return {name: value for name, value in asdict(self).items() if name not in ("pair", "folder")}

    @property
    def digest(self) -> str:
        """Of both files."""
        both = (self.pair.encoder, self.pair.decoder)
        return hashlib.sha256(b"".join(path.read_bytes() for path in both)).hexdigest()


def trained(domain: Domain, cache: Path, options: tuple[str, ...] = ()) -> Trained:
    """The domain's pair, trained now unless ``cache`` has it; ``options`` are of ``codec train``.

    Raises:
        TrainingError: the training ended early; the same call goes on.
    """
    pixels = domain.training[..., None] if domain.grey else domain.training
    folder = cache / f"{domain.name}-{_key(domain, pixels, options)}"
    out, finished = folder / "pair", folder / "finished.json"
    pair = PairFiles(*(out / f"{domain.name}.{side}.msgpack" for side in ("encoder", "decoder")))
    files = pair.encoder, pair.decoder
    if not all(path.exists() for path in (finished, *files)):
        folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.save(buffer, pixels)
        write_bytes(folder / f"{domain.name}.npy", buffer.getvalue())
        write_bytes(finished, json.dumps(_train(domain.name, folder, out, options)).encode())
    attempts = json.loads(finished.read_text())
    cpu_s = [attempt["cpu_s"] for attempt in attempts]
    return Trained(
        pair=pair,
        folder=folder,
        command=" ".join(
            ["codec train --images", f"{domain.name}.npy --name {domain.name} --out pair", *options]
        ),
        wall_s=sum(attempt["wall_s"] for attempt in attempts),
        cpu_s=None if None in cpu_s else sum(cpu_s),
        attempts=len(attempts),
        cores=max(attempt["cores"] for attempt in attempts),
        epochs=(out / "metrics.jsonl").read_text().count("\n"),
        bundle_bytes=sum(path.stat().st_size for path in files),
    )


def _key(domain: Domain, pixels: NDArray[np.uint8], options: tuple[str, ...]) -> str:
    """It changes with the images, the options, and what the library makes of no options."""
    defaults = settings_for(pixels, domain.name).to_dict()
    wanted = {"data": domain.digest, "options": options, "settings": defaults}
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:12]


def _train(name: str, folder: Path, out: Path, options: tuple[str, ...]) -> list[dict[str, Any]]:
    """Run the command to its end; returns what each attempt took, this one last."""
    note = folder / "attempts.json"
    attempts = json.loads(note.read_text()) if note.exists() else []
    command = [*COMMAND, "--images", str(folder / f"{name}.npy"), "--name", name]
    command += ["--out", str(out), *options]
    command += ["--resume"] if (out / "checkpoints" / "run.json").exists() else []

    def put(cpu_s: float | None) -> list[dict[str, Any]]:
        taken = {"wall_s": perf_counter() - start, "cpu_s": cpu_s, "cores": min(CORES, cores())}
        write_bytes(note, json.dumps([*attempts, taken]).encode(), lasting=False)
        return [*attempts, taken]

    before, start = _children_seconds(), perf_counter()
    with held_to(CORES):
        process = subprocess.Popen(command)
    interrupted = False
    while process.poll() is None:
        try:
            process.wait(_NOTED_EVERY)
        except subprocess.TimeoutExpired:
            put(_seconds_of(process.pid))
        except KeyboardInterrupt:
            interrupted = True  # the child was told too, and writes a checkpoint
    done = put(_children_seconds() - before)
    if interrupted or process.returncode == _INTERRUPTED:
        raise TrainingError(f"{name}: training was interrupted; the same command goes on with it")
    if process.returncode:
        raise TrainingError(
            f"{name}: codec train ended with status {process.returncode}, for the reason above; the same "
            f"command goes on with it, or begins anew if {folder} is removed"
        )
    return done


def _children_seconds() -> float:
    """What ended children have taken of processors."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _seconds_of(process: int) -> float | None:
    """What a running process has taken of processors; None on a system that does not tell."""
    told = Path(f"/proc/{process}/stat")
    if not told.exists():
        return None
    fields = told.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
