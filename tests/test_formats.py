"""The benchmarks of other formats: lossless is lossless, lossy gets better along its sweep, all is drawn."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("imagecodecs", reason="imagecodecs is not installed; run: pip install '.[bench]'")
pytest.importorskip("matplotlib", reason="matplotlib is not installed; run: pip install '.[bench]'")
pytest.importorskip("zstandard", reason="zstandard is not installed; run: pip install '.[bench]'")

from benchmarks import formats
from benchmarks.codecs import Codec, Pixels
from benchmarks.curves import RESULTS
from benchmarks.formats import SHEETS, SINGLE, STREAMS
from benchmarks.harness import Row, measure
from benchmarks.rate_distortion import Curve, draw, format_curves, save, table

CODECS = {codec.name: codec for codec in (*SINGLE, *SHEETS, *STREAMS)}
LOSSLESS = [name for name, codec in CODECS.items() if codec.lossless]
LOSSY = [name for name, codec in CODECS.items() if not codec.lossless]


@pytest.fixture(scope="module")
def few(digits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A digit of each class, [10, 28, 28]."""
    return digits[::10, ..., 0]


def rows_of(codec: Codec, images: Pixels) -> list[Row]:
    return [row for result in measure(codec, images) for row in result.rows]


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_codecs_return_the_images(few: NDArray[np.uint8], name: str) -> None:
    codec = CODECS[name]
    for row in rows_of(codec, few):
        assert (row.error, row.psnr, row.images) == (None, None, 10)
        assert 50 < (row.bytes_per_image or 0) < 28 * 28


def test_zstandard_with_a_dictionary_returns_the_images(digits: NDArray[np.uint8]) -> None:
    codec = formats.zstd_with_dictionary(digits[1::2, ..., 0], size=8192)
    (row,) = rows_of(codec, digits[::10, ..., 0])
    assert (row.error, row.mse) == (None, 0)


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_codecs_get_better_along_their_settings(few: NDArray[np.uint8], name: str) -> None:
    codec = CODECS[name]
    chosen = replace(codec, settings=codec.settings[:: max(1, len(codec.settings) // 4)], payload=None)
    rows = rows_of(chosen, few)
    assert [row.error for row in rows] == [None] * len(rows)
    sizes, psnrs = [row.bytes_per_image or 0 for row in rows], [row.psnr or 0 for row in rows]
    assert all(later > earlier - 0.3 for earlier, later in pairwise(psnrs))
    assert all(later > earlier - 1 for earlier, later in pairwise(sizes))
    assert psnrs[-1] > psnrs[0] + 5


@pytest.mark.parametrize(("name", "part"), [("PNG", "IDAT alone"), ("AVIF", "AV1 data alone")])
def test_payloads_are_what_is_left_without_the_container(
    few: NDArray[np.uint8], name: str, part: str
) -> None:
    codec = replace(CODECS[name], settings=CODECS[name].settings[:1])
    whole, payload = rows_of(codec, few[:2])
    assert payload.codec == f"{name}, {part}"
    assert 20 < (payload.bytes_per_image or 0) < (whole.bytes_per_image or 0) - 40


def rows(codec: str, arrangement: str, points: list[tuple[float, float | None]]) -> list[dict[str, Any]]:
    return [
        {"codec": codec, "arrangement": arrangement, "bytes_per_image": size, "psnr": psnr}
        for size, psnr in points
    ]


SYNTHETIC = [
    *rows("JPEG", "each", [(200, 19), (400, 37)]),
    *rows("of tomorrow", "each", [(20, 22), (80, 32)]),
    *rows("PNG", "each", [(274, None)]),
    *rows("JPEG XL lossless", "each", [(203, None), (224, None)]),
    *rows("JPEG, one sheet", "sheet", [(30, 19), (200, 37)]),
    *rows("xz", "stream", [(135, None)]),
]


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    pairs = [Curve(name, (30.0, 60.0, 90.0), (17.0, 25.0, 38.0)) for name in ("article", "mnist")]
    path = tmp_path / "curves.png"
    save(draw(SYNTHETIC, pairs), path)
    assert path.stat().st_size < 200_000
    with Image.open(path) as image:
        assert min(image.size) >= 1000
    again = tmp_path / "again.png"
    save(draw(SYNTHETIC, pairs), again)
    assert again.read_bytes() == path.read_bytes()


def test_curves_are_read_as_the_results_say() -> None:
    each = format_curves(SYNTHETIC, "each")
    assert [one.name for one in each] == ["JPEG", "of tomorrow", "PNG", "JPEG XL lossless"]
    assert each[0].bytes_at(28) == pytest.approx(300)
    assert each[0].bytes_at(18) is None
    assert each[3].bytes_per_image == (203,)
    assert table(each).splitlines()[2] == "| JPEG | 237.8 | 260.0 | 281.1 | 292.2 | 322.2 | 350.0 |  |"


def test_the_committed_results_are_of_the_codecs_there_are() -> None:
    found = json.loads((RESULTS / "results.json").read_text())["rate"]["rows"]
    known = {name for codec in CODECS.values() for name in (codec.name, _payload_name(codec)) if name}
    measured = {row["codec"] for row in found if row["kind"] in ("format", "bytes")}
    assert measured == known | {"zstd + dictionary"}
    assert {row["images"] for row in found} <= {500, 2000, 10000}


def _payload_name(codec: Codec) -> str | None:
    return f"{codec.name}, {codec.payload[0]}" if codec.payload else None
