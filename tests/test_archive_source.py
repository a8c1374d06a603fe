"""Archives as data sources, as grain, tensorflow-datasets and PyTorch ask for them, and in grain's loader."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codec.archive_encoder import create_archive
from codec.archive_source import ArchiveSource
from codec.bundle_writer import write_bundle
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import OptionError

Pair = tuple[Encoder, Decoder]


@pytest.fixture
def file(tmp_path: Path, small_pair: Pair) -> Path:
    """An archive of 40 labelled images, 8 a packet."""
    path = tmp_path / "x.archive"
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
    with create_archive(path, small_pair[0], images_per_packet=8) as writer:
        writer.add(images, [f"{i}.png" for i in range(40)], [{"label": i} for i in range(40)])
    return path


@pytest.fixture
def expected(small_pair: Pair) -> NDArray[np.uint8]:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
    return small_pair[1].decode(small_pair[0].encode(images))


def test_a_source_gives_dictionaries_by_number(
    file: Path, small_pair: Pair, expected: NDArray[np.uint8]
) -> None:
    source = ArchiveSource(file, small_pair[1])
    assert len(source) == 40
    for number in (0, 39, -1, np.int32(17), np.uint64(3)):
        record = source[number]
        assert record.keys() == {"image", "label"}
        assert record["label"] == int(number) % 40
        assert np.array_equal(record["image"], expected[number])
    assert repr(source) == f"ArchiveSource('{file}', 40 images)"
    assert ArchiveSource(file, small_pair[1], names=True)[4]["name"] == "4.png"
    with pytest.raises(IndexError):
        source[40]


def test_a_batch_decodes_each_packet_once_in_any_order(
    file: Path, small_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    whole = Decoder.decode_pictures

    def counted(self: Decoder, packet: bytes) -> Any:
        decoded.append(1)
        return whole(self, packet)

    monkeypatch.setattr(Decoder, "decode_pictures", counted)
    source = ArchiveSource(file, small_pair[1], cache_bytes=0)
    wanted = [39, 0, 8, 1, 38, 9, 0, -40]
    assert [record["label"] for record in source.__getitems__(wanted)] == [39, 0, 8, 1, 38, 9, 0, 0]
    assert len(decoded) == 3
    assert source.__getitems__([]) == []


def test_metadata_that_would_hide_the_image_is_told(tmp_path: Path, small_pair: Pair) -> None:
    with create_archive(tmp_path / "x", small_pair[0]) as writer:
        writer.add(np.zeros((8, 8), np.uint8), metadata={"image": 1})
    with pytest.raises(OptionError, match="image 0: expected metadata under other keys than image"):
        ArchiveSource(tmp_path / "x", small_pair[1])[0]


def test_a_source_can_be_pickled(file: Path, small_pair: Pair, expected: NDArray[np.uint8]) -> None:
    source = pickle.loads(pickle.dumps(ArchiveSource(file, small_pair[1], names=True)))
    assert np.array_equal(source[9]["image"], expected[9])
    assert source[9]["name"] == "9.png"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("workers", [0, 2])
def test_grain_shuffles_batches_and_loads_it_in_worker_processes(
    file: Path, tmp_path: Path, small_pair: Pair, expected: NDArray[np.uint8], workers: int
) -> None:
    grain = pytest.importorskip("grain")
    flags = pytest.importorskip("absl.flags")
    flags.FLAGS.mark_as_parsed()  # as absl.app does, which grain's processes ask for
    (tmp_path / "decoder").write_bytes(write_bundle(small_pair[1].bundle))
    source = ArchiveSource(file, tmp_path / "decoder")
    loader = grain.DataLoader(
        data_source=source,
        sampler=grain.samplers.IndexSampler(
            num_records=len(source),
            shard_options=grain.sharding.NoSharding(),
            shuffle=True,
            num_epochs=1,
            seed=3,
        ),
        operations=[grain.transforms.Batch(10)],
        worker_count=workers,
    )
    seen = []
    for batch in loader:
        assert batch["image"].shape == (10, 8, 8, 1)
        assert np.array_equal(batch["image"], expected[batch["label"]])
        seen += batch["label"].tolist()
    assert sorted(seen) == list(range(40))
    assert seen != sorted(seen)


@pytest.mark.filterwarnings("ignore")
def test_grain_reads_batches_at_once(
    file: Path, small_pair: Pair, expected: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    grain = pytest.importorskip("grain")
    asked: list[int] = []
    whole = ArchiveSource.__getitems__

    def counted(self: ArchiveSource, indices: Any) -> Any:
        asked.append(len(indices))
        return whole(self, indices)

    monkeypatch.setattr(ArchiveSource, "_getitems", counted)
    batches = grain.MapDataset.source(ArchiveSource(file, small_pair[1])).shuffle(seed=1).batch(8)
    for batch in batches[0], batches[4]:
        assert np.array_equal(batch["image"], expected[batch["label"]])
    dataset = grain.MapDataset.source(ArchiveSource(file, small_pair[1]))
    assert [record["label"] for record in dataset._getitems([7, 3])] == [7, 3]
    assert asked == [2]
