"""Bulk jobs on Ray: the bytes of a serial run, also where a worker and a node are killed in the middle."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from codec.bulk import ray_engine
from codec.bulk.jobs import Job, decode_job, encode_job
from codec.bulk.manifest import Entry
from codec.errors import BulkError, FileError, MissingExtraError, OptionError
from tests.bulk import contents, pictures, write_bundles, write_pictures
from tests.bulk_kill import LocalCluster, Trap, begun, killing
from tests.conftest import small_pair_of

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="names of pipes and processes are Linux's"),
    # Ray warns of options of its own that it copies, and of files and processes that it leaves open:
    pytest.mark.filterwarnings("ignore:`.*` is deprecated"),
    pytest.mark.filterwarnings("ignore:.*:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    try:
        started = LocalCluster()
    except Exception as error:  # Ray's own, which has no name
        pytest.skip(f"Ray cannot start a cluster here: {error}")
    with started as cluster:
        yield cluster


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundles of a small pair, pictures, and what a serial job made of them."""
    folder = tmp_path_factory.mktemp("ray").resolve()
    write_bundles(folder, small_pair_of(0))
    write_pictures(folder / "pictures", pictures(30))
    encoding(folder, "serial").run()
    return folder


def encoding(home: Path, out: str, encoder: str = "encoder.msgpack") -> Job:
    return encode_job(
        home / "pictures",
        home / out,
        home / encoder,
        images_per_shard=5,
        images_per_packet=4,
        metadata=["folder"],
    )


def test_a_killed_worker_and_a_lost_node_change_no_byte(home: Path, cluster: LocalCluster) -> None:
    job = encoding(home, "killed")
    traps = {
        "worker": Trap(home / "pictures" / "class-0" / "0007.png"),  # in shard 1
        "node": Trap(home / "pictures" / "class-1" / "0022.png"),  # in shard 4
    }
    times: dict[int, int] = {}

    def count(entry: Entry) -> None:
        times[entry.number] = begun(job, entry)

    with killing(cluster, traps) as killed:
        job.run(ray_engine.run, threads=1, on_shard=count)
    assert set(killed) == {"worker", "node"}
    assert times[1] >= 2
    assert times[4] >= 2
    assert set(times) == set(range(6))
    assert contents(home / "killed") == contents(home / "serial")


def test_what_a_worker_raises_is_raised_here(home: Path, cluster: LocalCluster) -> None:
    bundle = home / "other.msgpack"
    bundle.write_bytes((home / "encoder.msgpack").read_bytes())
    job = encoding(home, "raised", "other.msgpack")
    bundle.unlink()
    with pytest.raises(FileError, match=r"other\.msgpack': neither a file nor a shipped pair"):
        job.run(partial(ray_engine.run, workers=1))
    assert not list((home / "raised").glob("*.archive"))


def test_a_cluster_without_room_for_a_worker_is_told(home: Path, cluster: LocalCluster) -> None:
    job = encoding(home, "no room")
    with pytest.raises(OptionError, match="expected a machine in the cluster with 1 CPUs and 3 GPUs for one"):
        job.run(partial(ray_engine.run, gpus=3))
    with pytest.raises(
        OptionError, match="workers: expected at least one, with CPUs or GPUs, found 0 of 1 and 0"
    ):
        job.run(partial(ray_engine.run, workers=0))


def test_archives_are_decoded_on_ray_too(home: Path, cluster: LocalCluster) -> None:
    decoder = home / "decoder.msgpack"
    decode_job(home / "serial", home / "decoded", decoder).run()
    decode_job(home / "serial", home / "decoded on ray", decoder).run(ray_engine.run, threads=1)
    assert contents(home / "decoded on ray") == contents(home / "decoded")


def test_a_cluster_that_is_not_there_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def init(*arguments: object, **options: object) -> None:
        raise ConnectionError("no such cluster\nmore")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(BulkError, match=r"Ray: cannot start or be reached at '10\.0\.0\.1:6379': more"):
        encoding(home, "unreachable").run(partial(ray_engine.run, address="10.0.0.1:6379"))


def test_without_ray_the_command_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        MissingExtraError, match=r"pip install 'split-codec\[bulk\]', or use the serial engine"
    ):
        ray_engine.imported()
