"""Where tiles of one size are cut from pictures of any size: which are trained on, and which are held out.

A tile is a row (picture, top, left) of an int64 array [N, 3], in the order of the pictures. All is decided
from the pictures' sizes and a seed, before a pixel is read.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["HELD_OUT", "WHOLE_PICTURES", "Plan", "held_out", "plan", "spread_tiles"]

Ints = NDArray[np.int64]
Size = tuple[int, int]

HELD_OUT: Final = 0.05
"""Share of the pictures, or of the tiles' rows or columns in each, that is held out."""
WHOLE_PICTURES: Final = 20
"""From so many pictures on whole ones are held out, and of fewer a strip of each."""


@dataclass(frozen=True)
class Plan:
    """Tiles to train on and to validate on.

    Attributes:
        training, validation: the tiles; none of ``training`` shares a pixel with one of ``validation``.
        gridded: how many of ``training`` are of the grids; the others stand at random places.
        offered: how many tiles the grids of the training regions have.
        strips: whether strips were held out and not whole pictures.
    """

    training: Ints
    validation: Ints
    gridded: int
    offered: int
    strips: bool


def plan(sizes: Ints, tile: Size, seed: int, *, wanted: int | None, most: int, most_held_out: int) -> Plan:
    """Tiles of pictures whose heights and widths are ``sizes`` [P, 2], none smaller than ``tile``.

    The grids of the training regions are taken whole; then as many tiles again at random places of the
    regions that are larger than a tile, those with more tiles in proportion more. ``wanted`` sets the sum,
    which else is at most ``most``; where it is less than the grids have, a random choice of them is taken.
    Held out are only tiles of grids.

    Returns:
        the plan; empty where there are fewer than two tiles to part.
    """
    rng = np.random.default_rng(seed)
    training, validation, strips = held_out(sizes, tile, rng)
    offered = int(_counts(training, tile).sum())
    count = min(2 * offered, most) if wanted is None else wanted
    grids = _grid(training, tile, rng, count)
    scattered = _scattered(training, tile, rng, count - len(grids))
    tiles = np.concatenate([grids, scattered])
    return Plan(
        tiles[np.argsort(tiles[:, 0], kind="stable")],
        _grid(validation, tile, rng, most_held_out),
        len(grids),
        offered,
        strips,
    )


def spread_tiles(sizes: Ints, tile: Size, seed: int, most: int) -> Ints:
    """The tiles of the grids of whole pictures, or a random choice of ``most`` of them."""
    return _grid(_whole(sizes, np.arange(len(sizes))), tile, np.random.default_rng(seed), most)


def held_out(sizes: Ints, tile: Size, rng: np.random.Generator) -> tuple[Ints, Ints, bool]:
    """Regions (picture, top, left, height, width) to train on and to validate on, and whether by strips.

    Of 20 pictures or more a twentieth is held out whole. Of fewer, each that has two tiles along a side
    gives a strip across that side, the one with more tiles: a twentieth of its tiles, and one at least,
    from either end. Where none has, one picture is held out whole if there are two.
    """
    count = len(sizes)
    rows = sizes // np.array(tile)
    split = np.flatnonzero(rows.max(1, initial=0) >= 2)
    if count >= WHOLE_PICTURES or not len(split):
        some = min(max(1, int(count * HELD_OUT)), max(0, count - 1))
        order = rng.permutation(count)
        return _whole(sizes, np.sort(order[some:])), _whole(sizes, np.sort(order[:some])), False
    training, validation = _whole(sizes, np.arange(count)), _whole(sizes, split)
    for strip in validation:
        kept = training[strip[0]]
        axis = int(rows[strip[0]].argmax())  # 0: rows of tiles, 1: columns
        side = max(1, int(rows[strip[0], axis] * HELD_OUT)) * tile[axis]
        strip[3 + axis] = side
        kept[3 + axis] -= side
        if rng.integers(2):
            strip[1 + axis] = kept[3 + axis]
        else:
            kept[1 + axis] = side
    return training, validation, True


def _whole(sizes: Ints, pictures: NDArray[np.integer]) -> Ints:
    corner = np.zeros((len(pictures), 2), np.int64)
    return np.concatenate([pictures[:, None], corner, sizes[pictures]], axis=1).astype(np.int64)


def _counts(regions: Ints, tile: Size) -> Ints:
    counts: Ints = (regions[:, 3] // tile[0]) * (regions[:, 4] // tile[1])
    return counts


def _grid(regions: Ints, tile: Size, rng: np.random.Generator, most: int) -> Ints:
    """Tiles side by side from each region's middle, or a random choice of ``most`` of them."""
    counts = _counts(regions, tile)
    total = int(counts.sum())
    chosen = np.arange(total)
    if total > most:
        chosen = np.sort(rng.choice(total, most, replace=False, shuffle=False))
    ends = np.cumsum(counts)
    region = np.searchsorted(ends, chosen, side="right")
    within = chosen - (ends - counts)[region]
    columns = regions[region, 4] // tile[1]
    steps = np.stack([within // columns, within % columns], axis=1) * np.array(tile)
    margins = regions[region, 3:] % np.array(tile) // 2
    return np.concatenate([regions[region, :1], regions[region, 1:3] + margins + steps], axis=1)


def _scattered(regions: Ints, tile: Size, rng: np.random.Generator, count: int) -> Ints:
    """So many tiles at random places; none where no region is larger than a tile."""
    room = regions[:, 3:] - np.array(tile)
    roomy = np.flatnonzero(room.max(1, initial=0) > 0)
    if count <= 0 or not len(roomy):
        return np.empty((0, 3), np.int64)
    weights = _counts(regions[roomy], tile)
    region = rng.choice(roomy, count, p=weights / weights.sum())
    corners = regions[region, 1:3] + rng.integers(0, room[region] + 1)
    return np.concatenate([regions[region, :1], corners], axis=1)
