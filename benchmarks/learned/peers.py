"""Learned codecs of other projects as peers: a cached model a setting, trained and run in an environment.

    python -m benchmarks.learned.peers               trains all peers, for later measurements to find
    python -m benchmarks.learned.peers --quick       an epoch on few images: does all of it work?
    python -m benchmarks.learned.peers --only MAE    those peers whose label has this in it

Every command is a process of its own, and only files go between them.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.learned.environments import (
    ENVIRONMENTS,
    REPOSITORY,
    PeerError,
    PeerFailedError,
    environment,
    reason,
)
from benchmarks.learned.protocol import Images, read_images, read_strings, write_strings

CACHE = REPOSITORY / ".bench-cache" / "learned"

_FINISHED = "finished.json"
_LOG = "log.txt"


@dataclass(frozen=True)
class LearnedPeer:
    """One codec at one setting, trained and run in its environment.

    Attributes:
        name: of the codec, as in the results.
        setting: value of ``parameter``: the weight of the distortion in its loss.
        parameter: what the setting is.
        environment: a key of ``ENVIRONMENTS``.
        loss: "mse" or "mae".
        latents: how many numbers, or channels of them, are coded.
        epochs: of the training.
        most: trained on the first so many images; None is on all.
        seed: of the training.
    """

    name: str
    setting: float
    parameter: str
    environment: str
    loss: str
    latents: int
    epochs: int
    most: int | None = None
    seed: int = 0

    @property
    def label(self) -> str:
        """Name and setting, for people."""
        return f"{self.name}, {self.loss.upper()}, {self.parameter} {self.setting:g}, {self.latents} latents"

    @property
    def key(self) -> str:
        """Name of the model's folder in the cache: it changes with every setting of the training."""
        settings = json.dumps(self._settings(), sort_keys=True)
        digest = hashlib.sha256(settings.encode()).hexdigest()[:12]
        return f"{self.environment}-{self.loss}-{self.setting:g}-{digest}"

    def _settings(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key not in ("name", "parameter")}

    def prepare(self, training_images: Images, folder: Path = CACHE, *, install: bool = True) -> None:
        """Train the model, unless ``folder`` has one of these settings and images, its files unchanged.

        Args:
            training_images: uint8 [N, 28, 28].
            install: whether to make the environment if it is not there.

        Raises:
            PeerError: no environment, or the training failed.
        """
        images = training_images[: self.most]
        wanted = {**self._settings(), "images": _digest(images)}
        model = folder / self.key
        if _finished(model) == wanted:
            return
        python = environment(self.environment, install=install)
        folder.mkdir(parents=True, exist_ok=True)
        # Beside the models, because a finished one is put in its place in one step.
        with tempfile.TemporaryDirectory(dir=folder, prefix=f"{self.key}-unfinished-") as work:
            partial = Path(work) / "model"
            partial.mkdir()
            np.save(Path(work) / "images.npy", images)
            options = {
                "images": Path(work) / "images.npy",
                "loss": self.loss,
                "lambda": self.setting,
                "latents": self.latents,
                "epochs": self.epochs,
                "seed": self.seed,
                "out": partial,
            }
            self._run(python, "train", options, partial / _LOG)
            files = {path.name: _file_digest(path) for path in partial.iterdir() if path.name != _LOG}
            (partial / _FINISHED).write_text(
                json.dumps({"settings": wanted, "files": files}, indent=1) + "\n"
            )
            shutil.rmtree(model, ignore_errors=True)
            partial.rename(model)

    def files(self, images: Images, folder: Path = CACHE) -> list[bytes]:
        """The string of each of the images, uint8 [N, 28, 28], that the trained sender makes."""
        with tempfile.TemporaryDirectory() as work:
            np.save(Path(work) / "images.npy", images)
            out = Path(work) / "strings.bin"
            self._code("encode", {"images": Path(work) / "images.npy", "out": out}, folder)
            return read_strings(out)

    def decoded(self, strings: Sequence[bytes], shape: tuple[int, ...], folder: Path = CACHE) -> Images:
        """What the trained receiver makes of the strings: uint8 of ``shape`` [N, 28, 28]."""
        with tempfile.TemporaryDirectory() as work:
            write_strings(Path(work) / "strings.bin", strings)
            out = Path(work) / "decoded.npy"
            self._code("decode", {"strings": Path(work) / "strings.bin", "out": out}, folder)
            images = read_images(out)
        if images.shape != shape:
            raise PeerFailedError(f"{self.label}: expected images {shape}, decoded {images.shape}")
        return images

    def speed(self, images: Images, folder: Path = CACHE, batch: int = 1000, runs: int = 7) -> dict[str, Any]:
        """Images a second each way, as its ``time`` command prints them."""
        with tempfile.TemporaryDirectory() as work:
            np.save(Path(work) / "images.npy", images)
            options = {"images": Path(work) / "images.npy", "batch": batch, "runs": runs}
            speeds: dict[str, Any] = json.loads(self._code("time", options, folder))
            return speeds

    def _code(self, command: str, options: dict[str, Any], folder: Path) -> str:
        model = folder / self.key
        if _finished(model) is None:
            raise PeerFailedError(f"{self.label}: not trained in {folder.name}, or its files changed")
        return self._run(environment(self.environment), command, {"model": model, **options})

    def _run(self, python: Path, command: str, options: dict[str, Any], log: Path | None = None) -> str:
        """Run a command of the peer's script; what it prints, which with ``log`` can be watched there."""
        words = [str(python), "-m", ENVIRONMENTS[self.environment].module, command]
        for name, value in options.items():
            words += [f"--{name}", str(value.resolve() if isinstance(value, Path) else value)]
        # Peers run on the processor, like everything they are compared with, and say only what matters.
        quiet = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
        with log.open("w") if log else nullcontext(subprocess.PIPE) as output:
            done = subprocess.run(
                words,
                cwd=REPOSITORY,
                env=os.environ | quiet,
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
            )
        if done.returncode:
            why = reason(done.stderr, done.returncode)
            raise PeerFailedError(f"{self.label}: {command}: {why}")
        return done.stdout or ""


def peers(quick: bool = False) -> list[LearnedPeer]:
    """All peers, those with fewest bytes first; ``quick`` ones learn next to nothing in a few seconds."""
    epochs, most = (1, 512) if quick else (15, None)

    def tutorial(loss: str, setting: float, latents: int) -> LearnedPeer:
        name = "TensorFlow Compression" + (" (MAE)" if loss == "mae" else "")
        return LearnedPeer(name, setting, "lambda", "tfc", loss, latents, epochs, most)

    # A step takes more than five times as long as the tutorial's, hence the fewer epochs.
    def prior(setting: float, latents: int) -> LearnedPeer:
        return LearnedPeer(
            "CompressAI", setting, "lambda", "compressai", "mse", latents, min(epochs, 10), most
        )

    everything = [
        tutorial("mae", 2000, 50),  # the tutorial's own
        tutorial("mse", 16000, 80),
        tutorial("mse", 47040, 120),
        tutorial("mse", 188160, 160),
        tutorial("mse", 752640, 160),
        prior(16000, 96),
        prior(64000, 96),
        prior(256000, 96),
        prior(1024000, 96),
    ]
    return [everything[i] for i in (0, 2, 6)] if quick else everything


def _finished(model: Path) -> dict[str, Any] | None:
    """The settings of a finished model, or None if there is none or a file of it is not as it was written."""
    try:
        record = json.loads((model / _FINISHED).read_text())
        intact = all(_file_digest(model / name) == digest for name, digest in record["files"].items())
        settings: dict[str, Any] = record["settings"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return settings if intact else None


def _digest(images: Images) -> str:
    return hashlib.sha256(f"{images.shape}".encode() + images.tobytes()).hexdigest()


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Train the peers on MNIST's training images less the validation digits."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="an epoch on few images")
    parser.add_argument("--only", default="", help="part of the labels of the peers to train")
    options = parser.parse_args()
    from codec.training.data import load_training

    images = load_training("mnist", None, 0).training[..., 0]
    for peer in peers(options.quick):
        if options.only in peer.label:
            try:
                peer.prepare(images)
                print(f"{peer.label}: trained, {peer.key}", flush=True)
            except PeerError as error:
                print(f"{peer.label}: {error}", flush=True)


if __name__ == "__main__":
    main()
