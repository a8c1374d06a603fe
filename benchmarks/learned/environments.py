"""A virtual environment for each project whose learned codec is a peer.

It is made from its requirements file, ``.venv-tfc`` or ``.venv-compressai`` in the repository, unless
CODEC_BENCH_TFC_PYTHON or CODEC_BENCH_COMPRESSAI_PYTHON names a Python that has what is required.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]

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
            f"{name}: its environment is not installed; run: python -m benchmarks.learned.peers --quick"
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
