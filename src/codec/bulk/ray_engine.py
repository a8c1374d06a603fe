"""Ray Data as a bulk job's engine: a pool of actors, each with its own encoder, over the shards.

A worker or a node that dies costs the shards it was at: Ray gives them to another, which finds nothing of them under
their names, or all.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from codec import errors
from codec.bulk.manifest import Entry, LeftOut
from codec.bulk.plan import Shard
from codec.errors import BulkError, CodecError, MissingExtraError, OptionError

__all__ = ["run"]

_RETRIES = 5
"""How often a shard whose worker died is tried again; one that kills every worker must end the job."""


class _Worker:
    """One actor: its process loads and compiles what the work needs at the first shard."""

    def __init__(self, work: Callable[[Shard], Entry]) -> None:
        self._work = work

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        shard = Shard.from_json(row["shard"])
        try:
            return {"entry": asdict(self._work(shard)), "error": None}
        except CodecError as error:  # for the driver to raise, without a traceback of this process
            return {"entry": None, "error": [type(error).__name__, str(error)]}


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
        workers: actors at once, at most; None is as many as the cluster has room for.
        cpus, gpus: of each worker. A worker's JAX uses ``threads`` of the work, not ``cpus``.
        address: of a Ray cluster; None is the one that this process is connected to, RAY_ADDRESS's, or one that
            is started on this machine for the job.

    Raises:
        MissingExtraError: Ray is not installed.
        OptionError: more than the cluster has for even one worker.
        BulkError: Ray cannot start or reach the cluster, or a shard's workers die again and again.
        CodecError: what ``work`` raised first.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ImportError as error:
        raise MissingExtraError(
            f"bulk jobs on Ray: an optional part is not installed ({error}); "
            "run: pip install 'split-codec[bulk]', or use --engine serial"
        ) from None
    with _connected(ray, address):
        room = _room(ray.cluster_resources(), cpus, gpus)
        most = min(workers or room, len(shards))
        context = ray.data.DataContext.get_current().copy()
        context.enable_progress_bars = False
        context.verbose_stats_logs = False
        rows = [{"shard": shard.to_json()} for shard in shards]
        with ray.data.DataContext.current(context):
            entries = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
                _Worker,
                fn_constructor_args=(work,),
                # A pool that may shrink: where a node is lost for good, an idle worker makes room for the lost one.
                compute=ray.data.ActorPoolStrategy(
                    min_size=1, max_size=most, initial_size=min(most, room), max_tasks_in_flight_per_actor=1
                ),
                num_cpus=cpus,
                num_gpus=gpus,
                max_task_retries=_RETRIES,
            )
            try:
                for row in entries.iter_rows():
                    if row["error"] is not None:
                        kind, told = row["error"]
                        raise getattr(errors, kind, CodecError)(told)
                    values = row["entry"]
                    left_out = tuple(LeftOut(**image) for image in values.pop("left_out"))
                    yield Entry(**values, left_out=left_out)
            except ray.exceptions.RayError as error:
                raise BulkError(f"Ray: {_last_line(error)}") from None
