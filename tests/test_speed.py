"""The benchmarks of speed: pairing, percentiles and rows are right, and a peer that fails says why."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.learned.peers import peers
from benchmarks.speed import SECTIONS, growth, latency, other_pythons, sizes, throughput
from benchmarks.speed.child import Task, cores, peak_mib, timed
from benchmarks.speed.memory import peak_of
from benchmarks.speed.pairs import multiply_adds, quality_at_target
from benchmarks.speed.peers import PEERS
from benchmarks.speed.rows import Failure, Growth, Throughput
from benchmarks.speed.throughput import Plan
from benchmarks.speed.timing import Timer, compare, fastest_slices, spread
from benchmarks.speed.workers import Worker, WorkerError, library, run, scratch
from codec.architecture import Convolutional
from codec.loading import load_bundle, pretrained

ALL_THREADS = cores()


class Clock:
    """Stands still unless work moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def timer(self, seconds: Iterator[float]) -> Timer:
        """Work that takes the next of ``seconds`` each time."""

        def work() -> None:
            self.now += next(seconds)

        return lambda calls: timed(work, calls, self)


def test_each_call_is_timed_by_itself() -> None:
    assert list(Clock().timer(iter([1.0, 2.0, 4.0]))(3)) == [1.0, 2.0, 4.0]


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    clock = Clock()
    ours, theirs = [9.0, 1.0, 2.0, 4.0], [9.0, 3.0, 2.0, 20.0]  # the first of each is not of a round
    comparison = compare({"ours": clock.timer(iter(ours)), "theirs": clock.timer(iter(theirs))}, 3, 0)
    assert comparison.seconds == {"ours": ours[1:], "theirs": theirs[1:]}
    assert comparison.ratio("ours", "theirs") == spread([3.0, 1.0, 5.0])
    assert comparison.ratio("ours", "theirs").median == 3  # the medians' own ratio is 1.5
    assert comparison.rate("ours", 8).median == 4
    assert (comparison.rate("ours", 8).low, comparison.rate("ours", 8).high) == (2, 8)


def test_every_contestant_has_its_turn_in_every_round_and_each_begins_one() -> None:
    turns: list[str] = []

    def timer(name: str) -> Timer:
        def once(calls: int) -> Sequence[float]:
            turns.append(name)
            return [1.0] * calls

        return once

    compare({name: timer(name) for name in "abc"}, 3, 0)
    assert "".join(turns) == "abc" + "abc" + "bca" + "cab"


def test_a_turn_is_as_many_calls_as_fill_it() -> None:
    asked: list[int] = []

    def timer(calls: int) -> Sequence[float]:
        asked.append(calls)
        return [0.3] * calls

    compare({"short": timer}, 2, 1.0)
    assert asked == [1, 4, 4]


def test_a_contestant_that_fails_is_out_and_the_others_go_on() -> None:
    def broken(calls: int) -> Sequence[float]:
        raise WorkerError("ImportError: no such library")

    def breaking() -> Iterator[float]:
        yield from (1.0, 1.0)
        raise ValueError("it wore out")

    clock = Clock()
    timers = {"broken": broken, "breaking": clock.timer(breaking()), "whole": clock.timer(iter([1.0] * 4))}
    comparison = compare(timers, 3, 0)
    assert comparison.errors == {"broken": "ImportError: no such library", "breaking": "it wore out"}
    assert comparison.seconds == {"whole": [1.0, 1.0, 1.0]}


def test_a_failing_peer_becomes_a_row_with_its_reason() -> None:
    def broken(calls: int) -> Sequence[float]:
        raise WorkerError("ImportError: no such library")

    ours: Timer = lambda calls: [0.5] * calls  # noqa: E731
    settings = {"mnist": "quality 9", "peer": "", "other": ""}
    timers = {"mnist": ours, "peer": broken, "other": ours}
    rows = throughput.measured(timers, ["peer", "other"], settings, "encode", 10, 1, Plan(runs=2))
    assert rows == [
        Throughput("mnist", "encode", 10, 1, "quality 9", 20, 20, 20, 2, "other", 1, 1, 1),
        Failure("peer", "encode", "ImportError: no such library"),
        Throughput("other", "encode", 10, 1, "", 20, 20, 20, 2),
    ]


def test_percentiles_are_those_of_the_calls() -> None:
    row = latency.latency("PNG", "encode", "", [number / 1000 for number in range(101)])
    assert row.p50_ms == pytest.approx(50)
    assert row.p99_ms == pytest.approx(99)
    assert row.calls == 101


def test_peers_may_choose_how_to_slice_a_batch() -> None:
    seen: list[int] = []

    def call(part: NDArray[np.int64]) -> list[int]:
        seen.append(len(part))
        return list(part)

    parts = fastest_slices(call, np.arange(5), (2, 100))()
    assert [value for part in parts for value in part] == list(range(5))
    assert set(seen) <= {1, 2, 5}


def test_a_child_process_has_a_peak_of_its_own() -> None:
    held = np.ones(16 << 20)  # 128 MiB that are not the child's
    assert peak_mib() > 128
    assert 5 < peak_of("pass") < 128
    assert peak_of("import numpy; numbers = numpy.ones(16 << 20)") > 128
    assert held[0] == 1


def test_a_command_that_fails_tells_its_last_words() -> None:
    with pytest.raises(WorkerError, match=r"^ValueError: too late$"):
        run([sys.executable, "-c", "raise ValueError('too late')"])
    with pytest.raises(WorkerError, match="no-such-python: cannot be started"):
        Worker(["no-such-python"], ALL_THREADS)


SERVER = """
import os, sys
from benchmarks.speed.child import cores, serve

def prepare(task):
    if task.work == "end":
        sys.exit("that was all")
    if task.work == "fail":
        raise ImportError("no such library")
    print("chatter of a library")
    assert cores() == task.batch
    assert os.environ.get("OMP_NUM_THREADS") == task.codec
    return lambda: None

serve(prepare)
"""


def test_a_worker_answers_until_its_process_ends() -> None:
    with Worker([sys.executable, "-c", SERVER], ALL_THREADS) as worker:
        threads = os.environ.get("OMP_NUM_THREADS")
        assert len(worker.seconds(Task("work", threads, ALL_THREADS), 3)) == 3  # type: ignore[arg-type]
        with pytest.raises(WorkerError, match=r"^ImportError: no such library$"):
            worker.seconds(Task("fail", ""), 1)
        with pytest.raises(WorkerError, match=r"^its process ended: that was all$"):
            worker.seconds(Task("end", ""), 1)
        with pytest.raises(WorkerError, match=r"^its process ended: that was all$"):
            worker.seconds(Task("work", ""), 1)


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or cores() < 2, reason="one core, or no way to choose"
)
def test_one_thread_means_one_core() -> None:
    with Worker([sys.executable, "-c", SERVER], 1) as worker:
        assert worker.seconds(Task("work", "1", 1), 1)
    assert cores() == ALL_THREADS


def test_keras_and_tensorflow_compression_say_what_they_lack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, digits: NDArray[np.uint8]
) -> None:
    monkeypatch.setattr(other_pythons, "find_spec", lambda name: None)
    monkeypatch.delenv(other_pythons.KERAS_PYTHON, raising=False)
    with pytest.raises(WorkerError, match="TensorFlow is not installed here, and CODEC_BENCH_KERAS_PYTHON"):
        other_pythons.keras(tmp_path / "images.npy", ALL_THREADS)
    monkeypatch.delenv(other_pythons.TFC_PYTHON, raising=False)
    monkeypatch.setattr(other_pythons, "ROOT", tmp_path)
    with pytest.raises(
        WorkerError, match="CODEC_BENCH_TFC_PYTHON names no Python that has it, and there is no"
    ):
        other_pythons.tensorflow_compression(tmp_path / "images.npy", tmp_path, ALL_THREADS)
    monkeypatch.setattr(other_pythons, "CACHE", tmp_path)
    rows = throughput.tensorflow_compression_rows(digits[:4], True)
    error = "no model of it is trained; run: python -m benchmarks.learned.peers"
    assert rows == [
        {"codec": "TensorFlow Compression", "work": work, "error": error} for work in ("encode", "decode")
    ]


def test_of_tensorflow_compressions_models_the_one_with_the_nearest_weight_is_timed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(other_pythons, "CACHE", tmp_path)
    wanted = [peer for peer in peers() if peer.environment == "tfc" and peer.loss == "mse"][:2]
    for peer in wanted:
        (tmp_path / peer.key).mkdir()
        (tmp_path / peer.key / "finished.json").touch()
    for peer in wanted:
        setting, model = other_pythons.trained_model(1.1 * peer.setting)
        assert setting == f"lambda {peer.setting:g}, {peer.latents} latents"
        assert model == tmp_path / peer.key


def test_a_few_images_go_through_pair_and_format(
    digits: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, "pair_settings", lambda: {("article", 0): "quality 7"})
    monkeypatch.setattr(throughput, "PEERS", {"PNG": PEERS["PNG"]})
    plan = Plan(batches=(4,), with_peers=(4,), runs=1, turn_seconds=0)
    with scratch(digits[:4]) as path, library(path, ALL_THREADS) as worker:
        rows = throughput.packets(worker, ALL_THREADS, plan)
    assert [(row.codec, row.work) for row in rows] == [
        (codec, work) for work in ("encode", "decode") for codec in ("article", "PNG")
    ]
    for row in rows:
        assert isinstance(row, Throughput)
        assert row.images_per_s_low == row.images_per_s == row.images_per_s_high > 0
        assert (row.batch, row.threads, row.runs) == (4, ALL_THREADS, 1)
        assert (row.ratio is None) == (row.ratio_to is None) == (row.codec == "PNG")


def test_the_library_names_work_that_it_does_not_know(digits: NDArray[np.uint8]) -> None:
    from benchmarks.speed.tasks import prepare

    with pytest.raises(ValueError, match="expected a task that this process knows, found Task"):
        prepare(digits, Task("encode", "no such codec"))
    with pytest.raises(ValueError, match="expected work that formats do, found analysis"):
        prepare(digits, Task("analysis", "PNG"))


def test_onnx_runtime_has_the_librarys_synthesis(digits: NDArray[np.uint8]) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed; run: pip install '.[bench]'")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; run: pip install '.[bench]'")
    from benchmarks.speed.onnx_peer import prepare_synthesis
    from codec.encoder import load_encoder

    codes = load_encoder("article").codes(digits[:4])
    call: Callable[[], Any] = prepare_synthesis(load_bundle("article", "decoder"), codes, 1)  # raises if not
    assert [part.shape for part in call()] == [(4, 1, 28, 28)]


def test_streaming_grows_in_two_rows_a_count_and_leaves_out_what_takes_too_long(
    digits: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "_SURE_COUNT", 200)
    rows = growth.measured(digits, (200, 10**9), most_seconds=1)
    assert [(row.images, row.work) for row in rows] == [
        (count, work) for count in (200, 10**9) for work in ("encode", "decode")
    ]
    for row in rows[:2]:
        assert isinstance(row, Growth)
        assert row.seconds > 0
        assert row.images_per_s == pytest.approx(200 / row.seconds)
        assert row.peak_mib > 50
    for failed in rows[2:]:
        assert not isinstance(failed, Growth)
        assert failed.error.startswith("left out: it would take about ")
        assert failed.error.endswith("of 200 images")


def test_images_go_round_until_there_are_enough(digits: NDArray[np.uint8]) -> None:
    from benchmarks.speed.streaming import rounds

    assert np.array_equal(np.concatenate(list(rounds(digits, 250))), np.resize(digits, (250, 28, 28, 1)))
    assert list(rounds(digits, 0)) == []


def test_sizes_are_those_of_the_shipped_files(digits: NDArray[np.uint8]) -> None:
    rows = sizes.rows(digits, True)
    assert {row["what"] for row in rows} == {
        f"{name}.{side}.msgpack" for name in pretrained() for side in ("encoder", "decoder")
    }
    assert all(row["bytes"] > 10_000 for row in rows)
    assert json.dumps(rows)


def test_multiply_adds_of_the_articles_network_are_the_textbooks() -> None:
    convolutions = 9 * 32 * (28 * 28 + 14 * 14 * 32)
    assert multiply_adds(Convolutional(), "encoder", 28, 28) == convolutions
    transposed = 9 * 32 * 32 * (7 * 7 + 14 * 14)
    assert multiply_adds(Convolutional(), "decoder", 28, 28) == transposed + 9 * 32 * 28 * 28


def test_pairs_are_measured_at_the_quality_nearest_to_30_db() -> None:
    bundle = load_bundle("mnist", "encoder")
    qualities = bundle.provenance["qualities"]
    chosen = abs(qualities[quality_at_target(bundle)]["psnr"] - 30)
    assert all(chosen <= abs(quality["psnr"] - 30) for quality in qualities)


def test_every_section_has_a_module() -> None:
    from importlib import import_module

    assert all(callable(import_module(f"benchmarks.speed.{name}").rows) for name in SECTIONS)
