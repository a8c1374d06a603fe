"""Images a second: of whole packets both ways, and of each transform alone, on one core and on all.

Next to them, in turn, the image formats (a file an image; on several cores as many threads), for the
article's network Keras and ONNX Runtime, and TensorFlow Compression's tutorial codec. Peers take large
batches in whichever slices are fastest for them. Transforms alone go from float32 arrays to NumPy arrays; the
library's synthesis rounds to bytes besides, which its peers need not.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.child import Task, cores
from benchmarks.speed.other_pythons import keras, tensorflow_compression, trained_model
from benchmarks.speed.pairs import lambda_of, setting_of
from benchmarks.speed.peers import PEERS
from benchmarks.speed.rows import Failure, Throughput, plain
from benchmarks.speed.timing import Timer, compare
from benchmarks.speed.workers import Worker, WorkerError, library, say, scratch, thread_counts
from codec.loading import pretrained

__all__ = ["Plan", "packets", "rows", "tensorflow_compression_rows", "transforms"]

Row = Throughput | Failure


@dataclass(frozen=True)
class Plan:
    """How much to measure.

    Attributes:
        batches: images given at once.
        with_peers: those of them that the formats are measured at too.
        transform_batches: of the transforms alone.
        runs: times that each has its turn.
        long_runs: the same for batches of over a thousand, whose turns take seconds.
        turn_seconds: a turn takes at least about so long.
    """

    batches: tuple[int, ...] = (1, 32, 256, 1000, 10_000)
    with_peers: tuple[int, ...] = (1, 1000)
    transform_batches: tuple[int, ...] = (1000,)
    runs: int = 7
    long_runs: int = 3
    turn_seconds: float = 0.1


QUICK = Plan((1, 100), (1, 100), (100,), runs=3, turn_seconds=0.02)


def rows(images: NDArray[np.uint8], quick: bool) -> list[dict[str, Any]]:
    """The section's rows."""
    plan = QUICK if quick else Plan()
    found: list[Row] = []
    with scratch(images) as path:
        for threads in thread_counts():
            try:
                with library(path, threads) as worker:
                    found += packets(worker, threads, plan)
                if threads > 1 or not quick:
                    found += transforms(path, threads, plan)
            except WorkerError as error:
                found.append(Failure(f"all, {threads} threads", "encode", str(error)))
    return plain(found) + tensorflow_compression_rows(images, quick)


def pair_settings() -> dict[tuple[str, int], str]:
    """Each shipped pair and effort that is measured, with its setting in words."""
    measured = [(name, 0) for name in pretrained()] + [("mnist", 1)]
    return {(name, effort): setting_of(name, effort) for name, effort in measured}


def packets(worker: Worker, threads: int, plan: Plan) -> list[Row]:
    """Encoding and decoding by the pairs, next to the formats."""
    found: list[Row] = []
    for work in ("encode", "decode"):
        for batch in plan.batches:
            say(f"throughput: {work}, {batch:,} images at once, {threads} threads")
            tasks: dict[str, Task] = {}
            settings: dict[str, str] = {}
            for (name, effort), setting in pair_settings().items():
                if effort and work == "decode":
                    continue
                label = f"{name}, effort {effort}" if effort else name
                tasks[label] = Task(work, name, batch, effort)
                settings[label] = setting
            peers = PEERS if batch in plan.with_peers else {}
            for name, peer in peers.items():
                tasks[name] = Task(work, name, batch)
                settings[name] = peer.setting
            timers = {name: worker.timer(task) for name, task in tasks.items()}
            found += measured(timers, list(peers), settings, work, batch, threads, plan)
    return found


def transforms(images: Path, threads: int, plan: Plan) -> list[Row]:
    """The article's halves alone, next to the same network elsewhere; and the other pairs' halves."""
    found: list[Row] = []
    with ExitStack() as stack:
        worker = stack.enter_context(library(images, threads))
        peer: Worker | None = None
        try:
            peer = stack.enter_context(keras(images, threads))
        except WorkerError as error:
            found += [Failure("Keras", work, str(error)) for work in ("analysis", "synthesis")]
        for work in ("analysis", "synthesis"):
            for batch in plan.transform_batches:
                say(f"throughput: {work} alone, {batch:,} images at once, {threads} threads")
                timers = {name: worker.timer(Task(work, name, batch)) for name in pretrained()}
                peers: dict[str, Timer] = {}
                if peer is not None:
                    peers["Keras"] = peer.timer(Task(work, "Keras", batch))
                if work == "synthesis":
                    peers["ONNX Runtime"] = worker.timer(Task(work, "ONNX Runtime", batch))
                alike = {"article": timers.pop("article"), **peers}
                settings = dict.fromkeys([*timers, *alike], "")
                found += measured(alike, list(peers), settings, work, batch, threads, plan)
                found += measured(timers, [], settings, work, batch, threads, plan)
    return found


def tensorflow_compression_rows(images: NDArray[np.uint8], quick: bool) -> list[dict[str, Any]]:
    """Both ways by TensorFlow Compression's tutorial codec, next to ``mnist``, on all cores.

    Python and model are those that ``benchmarks.learned`` made; CODEC_BENCH_TFC_PYTHON may name another
    Python. The model's weight of the distortion is about ``mnist``'s at its quality. Without them rows say
    what is missing.
    """
    plan = QUICK if quick else Plan()
    peer, works = "TensorFlow Compression", ("encode", "decode")
    found: list[Row] = []
    try:
        setting, model = trained_model(lambda_of("mnist"))
        settings = {"mnist": setting_of("mnist"), peer: setting}
        with (
            scratch(images) as path,
            library(path, cores()) as own,
            tensorflow_compression(path, model, cores()) as its,
        ):
            for work in works:
                for batch in (batch for batch in plan.batches if batch >= 100):
                    say(f"throughput: {peer}, {work}, {batch:,} images at once")
                    timers = {
                        "mnist": own.timer(Task(work, "mnist", batch)),
                        peer: its.timer(Task(work, peer, batch)),
                    }
                    found += measured(timers, [peer], settings, work, batch, cores(), plan)
    except WorkerError as error:
        found += [Failure(peer, work, str(error)) for work in works]
    return plain(found)


def measured(
    timers: Mapping[str, Timer],
    peers: Sequence[str],
    settings: Mapping[str, str],
    work: str,
    batch: int,
    threads: int,
    plan: Plan,
) -> list[Row]:
    """Rows of one comparison: a row a peer of whatever is none, and a row of each peer."""
    runs = plan.long_runs if batch > 1000 else plan.runs
    comparison = compare(timers, runs, plan.turn_seconds)
    found: list[Row] = []
    for name in timers:
        if name in comparison.errors:
            found.append(Failure(name, work, comparison.errors[name]))
            continue
        rate = comparison.rate(name, batch)
        figures = rate.median, rate.low, rate.high, runs
        against = [peer for peer in peers if peer in comparison.seconds] if name not in peers else []
        for peer in (*against, None)[: len(against) or 1]:
            row = Throughput(name, work, batch, threads, settings[name], *figures)
            if peer is not None:
                ratio = comparison.ratio(name, peer)
                row = Throughput(
                    name,
                    work,
                    batch,
                    threads,
                    settings[name],
                    *figures,
                    peer,
                    ratio.median,
                    ratio.low,
                    ratio.high,
                )
            found.append(row)
    return found
