"""Kill -9 at any moment leaves the old file or the new one, and training goes on. ``tests.kill`` kills."""

from pathlib import Path

import pytest

from codec.bundle_writer import write_bundle
from tests.conftest import small_pair_of
from tests.kill import Packet, Pair, Training, leftovers


@pytest.fixture(scope="module")
def packet(tmp_path_factory: pytest.TempPathFactory) -> Packet:
    return Packet(tmp_path_factory.mktemp("packet"))


@pytest.mark.parametrize(("change", "new"), [(1, False), (2, False), (3, True)])
def test_encode_killed_at_any_change_leaves_the_old_packet_or_the_new_one(
    packet: Packet, change: int, new: bool
) -> None:
    before = len(leftovers(packet.folder))
    assert packet.kill(change=change) == (packet.new if new else packet.old)
    assert len(leftovers(packet.folder)) - before == (change == 2)


def test_encode_killed_where_no_packet_was_leaves_none(packet: Packet) -> None:
    assert packet.kill(older=False, change=2) is None


def test_encode_killed_after_some_time_leaves_the_old_packet_or_the_new_one(packet: Packet) -> None:
    assert packet.kill(after=0.9 * packet.seconds) in (packet.old, packet.new)


def test_a_pair_killed_at_any_change_is_old_or_new_or_known_to_be_mixed(tmp_path: Path) -> None:
    old, new = ([write_bundle(bundle) for bundle in small_pair_of(seed)] for seed in (0, 1))
    pair = Pair(tmp_path, old, new)
    # Both are written, then both are renamed, then what a failure would have left is looked for.
    seen = [pair.kill(change=change) for change in range(1, 7)]
    assert seen == [(False, False)] * 3 + [(True, False)] + [(True, True)] * 2


def test_training_killed_again_and_again_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    training = Training(tmp_path)
    assert training.kill(change=24)  # the first checkpoint is written and has no name yet
    assert not list((training.out / "checkpoints").glob("[0-9]"))
    assert training.kill(change=60)  # somewhere in a later one
    assert list((training.out / "checkpoints").glob("[0-9]"))
    training.finish()
