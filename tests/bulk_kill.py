"""Bulk jobs on a cluster of real processes on this machine, whose workers and nodes are killed in the middle.

    python -m tests.bulk_kill --kills 20    # workers by SIGKILL and nodes in turn, at random shards

The result is compared with a serial run's, byte for byte. ``tests/test_bulk_ray.py`` kills one of each.

A worker is caught in the middle of a shard by a picture that is a named pipe while the job runs: whoever
opens it waits. When it is known who does, it is killed, and the picture put back.
"""

import argparse
import errno
import logging
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

from codec.bulk.jobs import Job, encode_job
from codec.bulk.manifest import Entry
from tests.bulk import contents, pictures, write_bundles, write_pictures
from tests.conftest import small_pair_of

PATIENCE = 240.0
"""Seconds until a job that does not come to a trap has failed: a machine may be slow to start a worker."""
NODES = 2
STARTS = 4
OBJECTS = 80 << 20


class Trap:
    """A picture that catches whoever reads it."""

    def __init__(self, picture: Path) -> None:
        self.picture = picture
        self._data = picture.read_bytes()
        self._writer: int | None = None
        picture.unlink()
        os.mkfifo(picture)

    def wait(self, given_up: threading.Event) -> int:
        """The process that is caught."""
        end = time.monotonic() + PATIENCE
        while self._writer is None:
            assert time.monotonic() < end, f"nobody read {self.picture}"
            assert not given_up.is_set(), "the job has ended"
            time.sleep(0.05)
            try:
                self._writer = os.open(self.picture, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:  # nobody reads it
                    raise
        while not (readers := self._readers()):
            assert time.monotonic() < end
        (reader,) = readers
        return reader

    def _readers(self) -> set[int]:
        """The other processes that have the pipe open."""
        found = set()
        for link in Path("/proc").glob("[0-9]*/fd/*"):
            try:
                if link.readlink() == self.picture:
                    found.add(int(link.parts[2]))
            except OSError:
                continue  # not ours to look at, or gone
        return found - {os.getpid()}

    def put_back(self) -> None:
        """The picture where it was; who reads the pipe still waits."""
        temporary = self.picture.with_name(".picture")
        temporary.write_bytes(self._data)
        temporary.replace(self.picture)

    def close(self) -> None:
        """Let go of who still reads the pipe; to them it ends."""
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None


class LocalCluster:
    """A Ray cluster on this machine: a head without workers, and some nodes of one worker each."""

    def __init__(self) -> None:
        os.environ.setdefault("RAY_raylet_start_wait_time_s", "60")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        from ray.cluster_utils import Cluster

        self._ray: Any = ray
        head = {
            "num_cpus": 0,
            "include_dashboard": False,
            "object_store_memory": OBJECTS,
        }
        self._cluster: Any = _patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
        for _ in range(NODES):
            self.add_node()

    def __enter__(self) -> Self:
        self._ray.init(address=self._cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        return self

    def __exit__(self, *unused: object) -> None:
        self._ray.shutdown()
        self._cluster.shutdown()

    def add_node(self) -> None:
        """Another node of one worker."""
        _patiently(lambda: self._cluster.add_node(num_cpus=1, object_store_memory=OBJECTS))

    def remove_node_of(self, process: int) -> None:
        """Kill all of the node that a worker belongs to."""
        ancestors = set(_ancestors(process))
        (node,) = (node for node in self._cluster.worker_nodes if set(_processes(node)) & ancestors)
        self._cluster.remove_node(node, allow_graceful=False)


def _patiently(start: Callable[[], Any]) -> Any:
    """What ``start`` makes: a node gives up where its own agents take 15 seconds, on a busy machine."""
    for _ in range(STARTS - 1):
        try:
            return start()
        except Exception as error:  # Ray's own, which has no name
            print(f"once more: {error}")
    return start()


def _processes(node: Any) -> Iterator[int]:
    return (info.process.pid for infos in node.all_processes.values() for info in infos)


def _ancestors(process: int) -> Iterator[int]:
    while process > 1:
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        yield process


@contextmanager
def killing(cluster: LocalCluster, victims: "dict[str, Trap]") -> Iterator[dict[str, int]]:
    """While the block runs, kill who is caught in each trap: the ``worker``, or all of its ``node``."""
    killed: dict[str, int] = {}
    given_up = threading.Event()

    def kill() -> None:
        for what, trap in victims.items():
            process = trap.wait(given_up)
            trap.put_back()  # for who comes next
            if not what.startswith("worker"):
                cluster.remove_node_of(process)  # its worker notices in time, and dies with it:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            while Path(f"/proc/{process}/fd/0").exists():  # or it would read on when the trap lets go
                time.sleep(0.01)
            killed[what] = process
            trap.close()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    except BaseException:
        given_up.set()
        raise
    finally:
        thread.join(PATIENCE)
        for trap in victims.values():
            trap.put_back()
            trap.close()


def begun(job: Job, entry: Entry) -> int:
    """How often a shard of a job that runs has been begun."""
    return (job.out / "unfinished" / f"{entry.number:06d}.begun").stat().st_size


def main() -> None:
    """Kill, compare, tell."""
    from codec.bulk import ray_engine

    parser = argparse.ArgumentParser(prog="python -m tests.bulk_kill")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    kills = 0
    with tempfile.TemporaryDirectory() as name, LocalCluster() as cluster:
        home = Path(name).resolve()
        encoder, _ = write_bundles(home, small_pair_of(0))
        paths = write_pictures(home / "pictures", pictures(60))
        job = partial(encode_job, home / "pictures", encoder=encoder, images_per_shard=5, images_per_packet=4)
        job(out=home / "serial").run()
        while kills < options.kills:
            whole = job(out=home / "out")  # planned before there are traps, which are no images
            first, second = sorted(rng.sample(range(12), 2))
            traps = {
                "worker": Trap(paths[5 * first + rng.randrange(5)]),
                "node": Trap(paths[5 * second + rng.randrange(5)]),
            }
            with killing(cluster, traps) as killed:
                whole.run(ray_engine.run, threads=1)
            assert set(killed) == set(traps)
            assert contents(home / "out") == contents(home / "serial")
            kills += len(killed)
            print(f"{kills} kills, the last in shards {first} and {second}: as a serial run", flush=True)
            shutil.rmtree(home / "out")
            cluster.add_node()


if __name__ == "__main__":
    main()
