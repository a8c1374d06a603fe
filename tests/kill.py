"""Real processes killed with SIGKILL, and whether what they leave is whole.

    python -m tests.kill --kills 300    # a third of them each: encoding, exporting a pair, training

A process is killed either by itself, before its n-th change to a folder (a file opened for writing,
renamed or removed, a folder made or removed), so that every state of the folder is looked at, or by its
parent after a time, so that the writes of libraries outside Python are cut too. ``tests/test_crashes.py``
does a few of both.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir")
TRAIN = ["--objective", "distortion", "--filters", "2", "--code-channels", "2", "--layers", "1"]
TRAIN += ["--epochs", "3", "--batch-size", "32"]

KILLS: Counter[str] = Counter()
"""How many processes of each job have been killed."""

# In the process that dies


def _dies_before(change: int, folder: str) -> None:
    """Kill this process before its ``change``-th change, from 1, to what is in ``folder``."""
    seen = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in CHANGES) and f"{arguments[0]}/".startswith(f"{folder}/"):
            seen += 1
            if seen == change:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def _write_pair(folder: Path, sources: Path) -> None:
    from codec.bundle_reader import read_bundle
    from codec.bundle_writer import write_pair

    files = [sources / f"pair.{side}.msgpack" for side in ("encoder", "decoder")]
    write_pair(folder, "pair", [read_bundle(file.read_bytes()) for file in files])


def _child(change: int, folder: str, job: Sequence[str]) -> None:
    from codec.cli import main

    if change:
        _dies_before(change, folder)
    if job[0] == "write-pair":
        _write_pair(Path(job[1]), Path(job[2]))
    else:
        sys.argv = ["codec", *job]
        main()


# In its parent


def killed(folder: Path, *job: str | Path, change: int = 0, after: float | None = None) -> bool:
    """Run ``job`` and kill it before a change to ``folder`` or after some seconds; whether that came to pass.

    Job is the arguments of ``codec``, or "write-pair", a folder and a folder with the pair's two bundles.
    """
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "tests.kill", "--child", str(change), str(folder), *map(str, job)]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            _, told = process.communicate(timeout=after)
        except subprocess.TimeoutExpired:
            process.kill()
            _, told = process.communicate()
        status = process.returncode
    assert status in (0, -signal.SIGKILL), told.decode()
    KILLS[str(job[0])] += status != 0
    return status != 0


def leftovers(folder: Path) -> list[str]:
    """Names of the temporary files that kills have left."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".codec-")]


class Packet:
    """``codec encode -o`` over an older packet, or where there was none."""

    def __init__(self, folder: Path) -> None:
        from codec.imagefiles import png_bytes
        from codec.samples import sample_images

        self.folder = folder / "packets"
        self.images = folder / "digits"
        for made in (self.folder, self.images):
            made.mkdir()
        for i, image in enumerate(sample_images()[:5]):
            (self.images / f"{i}.png").write_bytes(png_bytes(image))
        self.path = self.folder / "digits.packet"
        assert not killed(self.folder, *self._job(0))
        self.old = self.path.read_bytes()
        start = time.monotonic()
        assert not killed(self.folder, *self._job(9))
        self.seconds = time.monotonic() - start
        self.new = self.path.read_bytes()
        assert self.old != self.new

    def _job(self, quality: int) -> list[str | Path]:
        return ["encode", self.images, "-o", self.path, "--quality", str(quality)]

    def kill(self, *, older: bool = True, change: int = 0, after: float | None = None) -> bytes | None:
        """What one kill left under the packet's name."""
        self.path.write_bytes(self.old) if older else self.path.unlink(missing_ok=True)
        done = not killed(self.folder, *self._job(9), change=change, after=after)
        left = self.path.read_bytes() if self.path.exists() else None
        assert left in ((self.new,) if done else (self.new, self.old if older else None))
        assert {path.name for path in self.folder.iterdir()} <= {self.path.name, *leftovers(self.folder)}
        return left


class Pair:
    """The two bundles of a training written over those of an earlier one."""

    def __init__(self, folder: Path, old: Sequence[bytes], new: Sequence[bytes]) -> None:
        self.folder, self.sources = folder / "pair", folder / "new pair"
        names = [f"pair.{side}.msgpack" for side in ("encoder", "decoder")]
        for made in (self.folder, self.sources):
            made.mkdir()
        for name, data in zip(names, new, strict=True):
            (self.sources / name).write_bytes(data)
        self.paths = [self.folder / name for name in names]
        self.old, self.new = list(old), list(new)
        start = time.monotonic()
        self.kill()
        self.seconds = time.monotonic() - start

    def kill(self, *, change: int = 0, after: float | None = None) -> tuple[bool, bool]:
        """Which of the two files is the new one after a kill; a mixed pair is noticed."""
        for path, data in zip(self.paths, self.old, strict=True):
            path.write_bytes(data)
        done = not killed(self.folder, "write-pair", self.folder, self.sources, change=change, after=after)
        left = [path.read_bytes() for path in self.paths]
        for one, old, new in zip(left, self.old, self.new, strict=True):
            assert one in ((new,) if done else (old, new))
        encoder, decoder = (one == new for one, new in zip(left, self.new, strict=True))
        self._check(mixed=encoder != decoder)
        return encoder, decoder

    def _check(self, *, mixed: bool) -> None:
        import numpy as np

        import codec

        encoder, decoder = codec.load_encoder(self.paths[0]), codec.load_decoder(self.paths[1])
        packet = encoder.encode(np.zeros((8, 8, 1), np.uint8))
        try:
            decoder.decode(packet)
            assert not mixed
        except codec.WrongPairError:
            assert mixed


class Training:
    """``codec train``, killed and resumed, beside one that nothing stopped."""

    def __init__(self, folder: Path) -> None:
        import numpy as np

        from codec.samples import sample_images

        self.data = folder / "digits.npy"
        np.save(self.data, sample_images()[:, 6:14, 6:14])
        self.whole, self.out = folder / "whole", folder / "out"
        start = time.monotonic()
        assert not killed(self.whole, *self._job(self.whole))
        self.seconds = time.monotonic() - start

    def _job(self, out: Path) -> list[str | Path]:
        job: list[str | Path] = ["train", "--images", self.data, "--out", out, *TRAIN]
        # Before its settings are written a run has not begun; from then on it is resumed.
        return [*job, "--resume"] if (out / "checkpoints" / "run.json").exists() else job

    def kill(self, *, change: int = 0, after: float | None = None) -> bool:
        """Start or resume, and kill; whether it was killed. What is there afterwards is whole."""
        stopped = killed(self.out, *self._job(self.out), change=change, after=after)
        self._check_files()
        return stopped

    def _check_files(self) -> None:
        from codec.bundle_reader import read_bundle
        from codec.imagefiles import read_image

        for path in self.out.rglob("*"):
            if path.name == "run.json":
                assert json.loads(path.read_text())["data"] == self.data.name
            elif path.name == "metrics.jsonl":
                numbers = [json.loads(line)["epoch"] for line in path.read_text().splitlines()]
                assert numbers == list(range(1, len(numbers) + 1))
            elif path.name == "preview.png":
                read_image(path)
            elif path.suffix == ".msgpack":
                read_bundle(path.read_bytes())

    def finish(self) -> None:
        """Resume to the end, and compare with the run that nothing stopped."""
        assert not self.kill()
        for path in self.whole.glob("*.msgpack"):
            assert (self.out / path.name).read_bytes() == path.read_bytes()
        assert self._metrics(self.out) == self._metrics(self.whole)
        assert self._checkpoints(self.out) == self._checkpoints(self.whole)

    @staticmethod
    def _metrics(out: Path) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        return [{key: value for key, value in line.items() if key != "images_per_s"} for line in lines]

    @staticmethod
    def _checkpoints(out: Path) -> set[str]:
        return {path.name for path in (out / "checkpoints").iterdir() if not path.name.startswith(".codec-")}


# Hundreds


def moments(rng: random.Random, seconds: float, changes: int) -> Iterator[dict[str, Any]]:
    """When to kill a process of so many seconds and changes: before each in turn, and after some time."""
    for change in itertools.cycle(range(1, changes + 1)):
        yield {"change": change}
        yield {"after": rng.uniform(0.4, 1.0) * seconds}


def kill_packets(folder: Path, kills: int, rng: random.Random) -> Counter[str]:
    """What was left under a packet's name."""
    packet = Packet(folder)
    names = {packet.old: "the old packet", packet.new: "the new packet", None: "no packet"}
    left: Counter[str] = Counter()
    for when in moments(rng, packet.seconds, 3):
        before = KILLS["encode"]
        found = names[packet.kill(older=rng.random() < 0.7, **when)]
        left[found] += KILLS["encode"] - before
        if KILLS["encode"] >= kills:
            return left
    raise AssertionError


def kill_pairs(folder: Path, kills: int, rng: random.Random) -> Counter[str]:
    """Which of a pair's two files was the new one."""
    from codec.bundle_writer import write_bundle
    from tests.conftest import small_pair_of

    old, new = ([write_bundle(bundle) for bundle in small_pair_of(seed)] for seed in (0, 1))
    pair = Pair(folder, old, new)
    names = {
        (False, False): "the old pair",
        (True, False): "one of each, which decoding noticed",
        (True, True): "the new pair",
    }
    left: Counter[str] = Counter()
    for when in moments(rng, pair.seconds, 6):
        before = KILLS["write-pair"]
        found = names[pair.kill(**when)]
        left[found] += KILLS["write-pair"] - before
        if KILLS["write-pair"] >= kills:
            return left
    raise AssertionError


def kill_trainings(folder: Path, kills: int, rng: random.Random) -> Counter[str]:
    """How often trainings were killed before they ended with the bytes of one that nothing stopped."""
    training = Training(folder)
    left: Counter[str] = Counter()
    when = moments(rng, training.seconds, 80)
    while KILLS["train"] < kills:
        shutil.rmtree(training.out, ignore_errors=True)
        stopped = sum(training.kill(**next(when)) for _ in range(rng.randint(1, 4)))
        training.finish()
        left[f"resumed after {stopped} kills"] += 1
        print(f"train: {KILLS['train']} kills so far", flush=True)
    return left


def main() -> None:
    """Kill, check, tell."""
    if sys.argv[1:2] == ["--child"]:
        _child(int(sys.argv[2]), sys.argv[3], sys.argv[4:])
        return
    parser = argparse.ArgumentParser(prog="python -m tests.kill")
    parser.add_argument("--kills", type=int, default=300, help="of all jobs together")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for job in options.jobs:
        with tempfile.TemporaryDirectory() as folder:
            share = -(-options.kills // len(options.jobs))
            left = JOBS[job](Path(folder), share, random.Random(options.seed))
        print(f"{job}: {KILLS[job]} kills; left {dict(left)}", flush=True)


JOBS = {"encode": kill_packets, "write-pair": kill_pairs, "train": kill_trainings}

if __name__ == "__main__":
    main()
