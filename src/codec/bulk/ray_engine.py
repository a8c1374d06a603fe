"""Ray Data as a bulk job's engine: a pool of actors, each with its own encoder, over the shards.

A worker or a node that dies costs the shards it was at: Ray gives them to another, which finds nothing of
them under their names, or all.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from codec import errors
from codec.bulk.manifest import Entry, LeftOut
from codec.bulk.plan import Shard
from codec.errors import BulkError, CodecError, MissingExtraError, OptionError

__all__ = ["imported", "run"]

_OBJECTS = 100 << 20
"""Bytes that Ray on this machine may keep objects in: descriptions and entries of shards are small."""


class _Worker:
    """One actor: its process loads and compiles what the work needs at the first shard."""

    def __init__(self, work: Callable[[Shard], Entry], gpus: float) -> None:
        self._work = work
        if not gpus:  # JAX would take a GPU that Ray has given to another
            os.environ.setdefault("JAX_PLATFORMS", "cpu")
        elif gpus < 1:  # nor may it take all the memory of one that is shared
            os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 * gpus:.2f}")

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"entry": json.dumps(asdict(self._work(Shard.from_json(row["shard"])))), "error": ""}
        except CodecError as error:  # for the driver to raise, without a traceback of this process
            return {"entry": "", "error": json.dumps([type(error).__name__, str(error)])}


def imported() -> Any:
    """Ray, with Ray Data.

    Raises:
        MissingExtraError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError(
            f"bulk jobs on Ray: an optional part is not installed ({error}); "
            "run: pip install 'split-codec[bulk]', or use the serial engine"
        ) from None
    return ray


def run(
    work: Callable[[Shard], Entry],
    shards: Sequence[Shard],
    *,
    workers: int | None = None,
    cpus: float = 1,
    gpus: float = 0,
    address: str | None = None,
) -> Iterator[Entry]:
    """The entries of all shards, as they are done.

    Args:
        work: picklable; called in the workers.
        workers: actors at once, at most; None is as many as the cluster has room for when the job begins.
        cpus, gpus: of each worker, for Ray's bookkeeping; its threads are the work's ``threads``.
        address: of a Ray cluster. None is the one that this process is connected to, or RAY_ADDRESS's, or
            else one that is started on this machine for the job.

    Raises:
        MissingExtraError: Ray is not installed.
        OptionError: a number out of its range, or more than the cluster has for even one worker.
        BulkError: Ray cannot start, reach the cluster or go on.
        CodecError: what ``work`` raised first.
    """
    if cpus < 0 or gpus < 0 or not cpus + gpus or (workers is not None and workers < 1):
        raise OptionError(
            f"workers: expected at least one, with CPUs or GPUs, found {workers} of {cpus:g} and {gpus:g}"
        )
    ray = imported()
    with _connected(ray, address):
        room = _room(ray.nodes(), cpus, gpus)
        most = min(workers or room, len(shards))
        rows = [{"shard": shard.to_json()} for shard in shards]
        try:
            with _options(ray.data.DataContext.get_current()):
                entries = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
                    _Worker,
                    fn_constructor_args=(work, gpus),
                    # A pool that may shrink: where a node is lost for good, its workers start again elsewhere
                    # once a worker there has nothing left to do. One of fixed size would wait for ever.
                    compute=ray.data.ActorPoolStrategy(
                        min_size=1,
                        max_size=most,
                        initial_size=min(most, room),
                        max_tasks_in_flight_per_actor=2,
                    ),
                    num_cpus=cpus,
                    num_gpus=gpus,
                )
                for row in entries.iter_rows():
                    yield _entry(row)
        except CodecError:
            raise
        except Exception as error:  # Ray's, and Ray Data's of several kinds
            raise BulkError(f"Ray: {_told(error)}; run the job again to go on") from None


def _entry(row: dict[str, Any]) -> Entry:
    """What a worker returned, or the error that it met."""
    if row["error"]:
        kind, told = json.loads(row["error"])
        raise getattr(errors, kind, CodecError)(told)
    values = json.loads(row["entry"])
    left_out = tuple(LeftOut(**image) for image in values.pop("left_out"))
    return Entry(**values, left_out=left_out)


@contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    """A connection to the cluster, the one there is or one for the block."""
    if ray.is_initialized():
        yield
        return
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": _OBJECTS}
    try:
        ray.init(where, log_to_driver=False, logging_level=logging.ERROR, **(own if where == "local" else {}))
    except Exception as error:  # Ray raises many kinds, and plain Exception
        raise BulkError(f"Ray: cannot start or be reached at {where!r}: {_told(error)}") from None
    try:
        yield
    finally:
        ray.shutdown()


def _room(nodes: Sequence[dict[str, Any]], cpus: float, gpus: float) -> int:
    """How many workers the cluster has room for.

    Raises:
        OptionError: for none.
    """
    room = 0
    for node in nodes:
        has = node["Resources"] if node["Alive"] else {}
        room += int(min(has.get(kind, 0) / asked for kind, asked in (("CPU", cpus), ("GPU", gpus)) if asked))
    if not room:
        raise OptionError(
            f"workers: expected a machine in the cluster with {cpus:g} CPUs and {gpus:g} GPUs for one, "
            "found none"
        )
    return room


@contextmanager
def _options(context: Any) -> Iterator[None]:
    """Let Ray Data draw no bars, as the caller shows how far the job is, and not give up on a slow shard."""
    wanted = {"enable_progress_bars": False, "execution_no_progress_timeout_s": -1}
    before = {name: getattr(context, name) for name in wanted}
    try:
        for name, value in wanted.items():
            setattr(context, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)


def _told(error: BaseException) -> str:
    """The line of Ray's message that says what happened: the last, behind a traceback of another process."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
