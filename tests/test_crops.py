"""Tiles of pictures of any size: all lie inside, none that is validated on touches one that is trained on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.training.crops import Ints, Plan, plan, spread_tiles

TILES = st.tuples(st.integers(1, 5), st.integers(1, 5))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Ints, tuple[int, int]]:
    """Heights and widths of pictures, none smaller than the tile."""
    tile = draw(TILES)
    sides = st.tuples(st.integers(tile[0], 4 * tile[0] + 2), st.integers(tile[1], 4 * tile[1] + 2))
    pictures = draw(st.lists(sides, min_size=1, max_size=30))
    return np.array(pictures, np.int64), tile


def planned(sizes: Ints, tile: tuple[int, int], seed: int, wanted: int | None = None) -> Plan:
    return plan(sizes, tile, seed, wanted=wanted, most=10_000, most_held_out=5000)


def covered(sizes: Ints, tiles: Ints, tile: tuple[int, int]) -> list[np.ndarray]:
    """How many of the tiles each pixel of each picture is in."""
    counts = [np.zeros(size, int) for size in sizes]
    for picture, top, left in tiles:
        assert min(top, left) >= 0
        part = counts[picture][top : top + tile[0], left : left + tile[1]]
        assert part.shape == tile
        part += 1
    return counts


@given(cases(), st.integers(0, 99), st.none() | st.integers(1, 60))
@settings(max_examples=80, deadline=None)
def test_no_pixel_is_both_trained_and_validated_on(
    case: tuple[Ints, tuple[int, int]], seed: int, wanted: int | None
) -> None:
    sizes, tile = case
    found = planned(sizes, tile, seed, wanted)
    training, validation = covered(sizes, found.training, tile), covered(sizes, found.validation, tile)
    for trained, held in zip(training, validation, strict=True):
        assert held.max() <= 1
        assert not ((trained > 0) & (held > 0)).any()
    assert (np.diff(found.training[:, 0]) >= 0).all()
    assert (np.diff(found.validation[:, 0]) >= 0).all()


@given(cases(), st.integers(0, 99), st.none() | st.integers(1, 60))
@settings(max_examples=80, deadline=None)
def test_as_many_tiles_are_taken_as_are_told(
    case: tuple[Ints, tuple[int, int]], seed: int, wanted: int | None
) -> None:
    sizes, tile = case
    found = planned(sizes, tile, seed, wanted)
    rows = sizes // np.array(tile)
    held = set(found.validation[:, 0].tolist())
    if len(sizes) >= 20:
        assert not found.strips
        assert len(held) == len(sizes) // 20
        assert len(found.validation) == rows[sorted(held)].prod(1).sum()
        assert found.offered == rows.prod(1).sum() - len(found.validation)
    elif rows.max() >= 2:
        assert found.strips
        assert held == set(np.flatnonzero(rows.max(1) >= 2).tolist())
        assert found.offered == rows.prod(1).sum() - len(found.validation)
    else:
        assert len(held) == min(1, len(sizes) - 1)
    assert found.gridded == min(found.offered, wanted or 2 * found.offered)
    count, most = len(found.training), wanted or 2 * found.offered
    assert count in (most, found.gridded)
    if found.gridded == most:
        assert max(cover.max() for cover in covered(sizes, found.training, tile)) <= 1


@given(cases(), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_same_seed_makes_the_same_tiles(case: tuple[Ints, tuple[int, int]], seed: int) -> None:
    one, other = planned(*case, seed), planned(*case, seed)
    np.testing.assert_array_equal(one.training, other.training)
    np.testing.assert_array_equal(one.validation, other.validation)


def test_another_seed_makes_other_tiles() -> None:
    sizes = np.full((40, 2), 50)
    one, other = planned(sizes, (8, 8), 0), planned(sizes, (8, 8), 1)
    assert not np.array_equal(one.training, other.training)
    assert not np.array_equal(one.validation, other.validation)


def test_tiles_at_random_places_are_more_than_the_grid() -> None:
    found = planned(np.full((40, 2), 50), (8, 8), 0)
    assert (found.offered, found.gridded, len(found.training)) == (38 * 36, 38 * 36, 2 * 38 * 36)
    assert len({tuple(row) for row in found.training.tolist()}) > 1.8 * found.offered


def test_pictures_of_one_tile_give_no_other() -> None:
    found = planned(np.full((40, 2), 8), (8, 8), 0, wanted=1000)
    assert (len(found.training), len(found.validation)) == (38, 2)


def test_a_single_picture_of_one_tile_cannot_be_parted() -> None:
    found = planned(np.array([[8, 9]]), (8, 8), 0)
    assert 0 in (len(found.training), len(found.validation))


def test_the_bound_of_memory_holds_unless_a_number_is_asked_for() -> None:
    sizes = np.full((30, 2), 80)
    bounded = plan(sizes, (8, 8), 0, wanted=None, most=500, most_held_out=7)
    assert (len(bounded.training), len(bounded.validation)) == (500, 7)
    asked = plan(sizes, (8, 8), 0, wanted=6000, most=500, most_held_out=7)
    assert len(asked.training) == 6000


@given(cases(), st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_measured_tiles_are_those_of_the_grids_or_some_of_them(
    case: tuple[Ints, tuple[int, int]], most: int
) -> None:
    sizes, tile = case
    total = (sizes // np.array(tile)).prod(1).sum()
    tiles = spread_tiles(sizes, tile, 0, most)
    assert len(tiles) == min(total, most)
    assert max(cover.max() for cover in covered(sizes, tiles, tile)) == 1


@pytest.mark.parametrize("axis", [0, 1])
def test_a_strip_is_a_twentieth_across_the_longer_side(axis: int) -> None:
    size = [200, 30] if axis == 0 else [30, 200]
    found = planned(np.array([size]), (2, 2), 3)
    along = found.validation[:, 1 + axis]
    assert len(found.validation) == 5 * 15  # 5 of 100 rows of tiles
    assert along.max() - along.min() == 8
    assert along.min() == 0 or along.max() == 198
