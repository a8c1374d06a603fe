"""Learned codecs of other projects as peers: an environment a project, a cached model a setting.

    python -m benchmarks.learned.environments               trains all peers, for later measurements to find
    python -m benchmarks.learned.environments --quick       an epoch on few images: does all of it work?
    python -m benchmarks.learned.environments --only MAE    those peers whose label has this in it

Each peer runs in a virtual environment made from its requirements file, ``.venv-tfc`` or ``.venv-compressai``
in the repository, unless CODEC_BENCH_TFC_PYTHON or CODEC_BENCH_COMPRESSAI_PYTHON names a Python that has what
is required. Every command is a process of its own, and only files go between them.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.learned.protocol import Images, read_images, read_strings, write_strings

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
CACHE = REPOSITORY / ".bench-cache" / "learned"

_FINISHED = "finished.json"
_LOG = "log.txt"
_ADDRESS = re.compile(r"\w+://\S+")


class PeerError(Exception):
    """A peer that cannot be measured; the message is the reason, in one line."""


class PeerUnavailableError(PeerError):
    """A peer whose environment cannot be made."""


class PeerFailedError(PeerError):
    """A peer whose command failed."""


@dataclass(frozen=True)
class Environment:
    """What one project's code runs in.

    Attributes:
        name: of its requirements file and of its folder.
        module: its script.
        variable: the environment variable that may name a Python to use instead.
        pythons: those that the project has wheels for, the best first.
    """

    name: str
    module: str
    variable: str
    pythons: tuple[str, ...]

    @property
    def requirements(self) -> Path:
        return HERE / f"requirements-{self.name}.txt"


ENVIRONMENTS = {
    "tfc": Environment(
        "tfc", "benchmarks.learned.tensorflow_compression", "CODEC_BENCH_TFC_PYTHON", ("3.11", "3.10", "3.9")
    ),
    "compressai": Environment(
        "compressai",
        "benchmarks.learned.compressai_prior",
        "CODEC_BENCH_COMPRESSAI_PYTHON",
        ("3.13", "3.12", "3.11"),
    ),
}


def environment(name: str, folder: Path | None = None, *, install: bool = True) -> Path:
    """The Python of an environment, which is made with pip if it is not there.

    Args:
        name: a key of ``ENVIRONMENTS``.
        folder: where to make it; ``.venv-NAME`` in the repository by default. The environment's variable goes
            before either.
        install: whether to make it; they are gigabytes.

    Raises:
        PeerUnavailableError: no Python it could be made with, what pip said, or it is not there and not to be
            made.
    """
    wanted = ENVIRONMENTS[name]
    named = os.environ.get(wanted.variable)
    if named:
        found = shutil.which(named)
        if not found:
            raise PeerUnavailableError(f"{wanted.variable}: {named} is no program")
        return Path(found).absolute()  # not resolved: a virtual environment's Python is a link
    folder = folder or REPOSITORY / f".venv-{name}"
    python, marker = folder / "bin" / "python", folder / "installed.txt"
    requirements = wanted.requirements.read_text()
    if python.exists() and marker.exists() and marker.read_text() == requirements:
        return python
    if not install:
        raise PeerUnavailableError(
            f"{name}: its environment is not installed; "
            "run: python -m benchmarks.learned.environments --quick"
        )
    _install([_interpreter(wanted), "-m", "venv", "--clear", str(folder)])
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _install([*pip, "-r", str(wanted.requirements)])
    marker.write_text(requirements)
    return python


def _interpreter(wanted: Environment) -> str:
    if f"{sys.version_info.major}.{sys.version_info.minor}" in wanted.pythons:
        return sys.executable
    found = next(filter(None, (shutil.which(f"python{version}") for version in wanted.pythons)), None)
    if not found:
        raise PeerUnavailableError(
            f"{wanted.name}: needs a Python of {', '.join(wanted.pythons)}, found none"
        )
    return found


def _install(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise PeerUnavailableError(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        raise PeerUnavailableError(reason(done.stdout + done.stderr, done.returncode))


def reason(output: str, status: int) -> str:
    """The line of a failed command's output that says why: the last of an error, or else the last.

    Addresses are left out: reasons stand in committed results.
    """
    lines = [line.strip() for line in output.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("[notice]", "WARNING", "hint:"))]
    errors = [line for line in lines if "error" in line.lower()]
    return _ADDRESS.sub("(address)", (errors or lines or [f"exit status {status}"])[-1])


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
