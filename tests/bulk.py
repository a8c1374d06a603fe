"""Sources of small pictures for tests of bulk jobs, and what a job left in a folder."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codec.bundle import Bundle
from codec.bundle_writer import write_bundle
from codec.imagefiles import png_bytes


def pictures(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Grey pictures of 8x8, uint8 [count, 8, 8, 1]."""
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), np.uint8)


def write_pictures(folder: Path, images: NDArray[np.uint8], classes: int = 2) -> list[Path]:
    """PNG files in folders, so that their order by path is that of ``images``."""
    paths = []
    for i, image in enumerate(images):
        path = folder / f"class-{i * classes // len(images)}" / f"{i:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_bytes(image))
        paths.append(path)
    return paths


def write_bundles(folder: Path, bundles: tuple[Bundle, Bundle]) -> tuple[Path, Path]:
    """The two bundles of a pair as files."""
    paths = folder / "encoder.msgpack", folder / "decoder.msgpack"
    for path, bundle in zip(paths, bundles, strict=True):
        path.write_bytes(write_bundle(bundle))
    return paths


def contents(folder: Path) -> dict[str, str]:
    """Every file in a folder and the folders in it, by its path, and the digest of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
