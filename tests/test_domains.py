"""The benchmark of new domains: its data, training that goes on, its promises, what is told of them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("imagecodecs", reason="imagecodecs is not installed; run: pip install '.[bench]'")
pytest.importorskip("matplotlib", reason="matplotlib is not installed; run: pip install '.[bench]'")
pytest.importorskip("skimage", reason="scikit-image is not installed; run: pip install '.[bench]'")
pytest.importorskip("zstandard", reason="zstandard is not installed; run: pip install '.[bench]'")

import benchmarks.__main__ as command
from benchmarks.curves import curves
from benchmarks.document import markdown
from benchmarks.domains import glyphs, tiles, training
from benchmarks.domains import run as domains_run
from benchmarks.domains.claims import savings, shares
from benchmarks.domains.data import Domain, own, shipped
from benchmarks.domains.pair import PairFiles
from benchmarks.domains.peers import peers
from benchmarks.domains.told import domain_parts, domains_table
from benchmarks.report import write_texts
from codec.architecture import Convolutional
from codec.bundle_writer import write_pair
from codec.errors import CodecError, DatasetError, FileError, TrainingError
from codec.evaluation import pixel_errors
from tests.conftest import random_pair

Pixels = NDArray[np.uint8]


# Data.


def test_glyphs_are_the_same_each_time_and_small_grey_pictures() -> None:
    made, again = glyphs.glyph_images(30, 20), glyphs.glyph_images(30, 20)
    for one, other, count in zip(made, again, (30, 20), strict=True):
        assert (one.shape, str(one.dtype)) == ((count, 28, 28), "uint8")
        np.testing.assert_array_equal(one, other)
        assert all(np.ptp(image) > 80 for image in one)  # something is drawn on each
    assert not np.array_equal(glyphs.glyph_images(30, 20, seed=1)[0], made[0])


def test_no_character_or_look_of_the_test_glyphs_is_in_training() -> None:
    training, test = glyphs.glyphs(0)
    assert len(training) > 20_000
    assert len({glyph.character for glyph in test}) > 300
    bases = {glyphs._base(glyph.character) for glyph in training}
    assert not bases & {glyphs._base(glyph.character) for glyph in test}
    assert glyphs._base("É") == glyphs._base("e") == glyphs._base("\N{MATHEMATICAL BOLD SMALL E}")
    looks = [{_look(glyph) for glyph in some} for some in (training, test)]
    assert not looks[0] & looks[1]
    assert not {glyph.font for glyph in training} & set(glyphs.HELD_OUT_FONTS)
    assert set(glyphs.HELD_OUT_FONTS) <= {glyph.font for glyph in test}


def _look(glyph: glyphs.Glyph) -> tuple[tuple[int, ...], bytes]:
    mask = glyphs._drawn(glyph, 0)
    assert mask is not None
    return mask.shape, mask.tobytes()


def test_tiles_are_the_same_each_time_and_small_colour_pictures() -> None:
    made, again = tiles.tile_images(12, 8), tiles.tile_images(12, 8)
    for one, other, count in zip(made, again, (12, 8), strict=True):
        assert (one.shape, str(one.dtype)) == ((count, 32, 32, 3), "uint8")
        np.testing.assert_array_equal(one, other)
    assert len({image.tobytes() for image in (*made[0], *made[1])}) == 20


def test_test_tiles_are_of_other_pictures_and_no_jpeg_is_taken_at_full_size() -> None:
    assert not set(tiles.TRAINING_PICTURES) & set(tiles.TEST_PICTURES)
    for name in (*tiles.TRAINING_PICTURES, *tiles.TEST_PICTURES):
        largest = max(whole.shape[1] for whole in tiles._scaled(name))
        assert largest * (2 if name.endswith(".jpg") else 1) <= tiles.picture(name).width


def test_a_domain_has_a_digest_of_its_pixels_and_shape() -> None:
    domain = shipped("tiles", quick=True)
    other = Domain("x", "", domain.training[::-1], domain.test)
    assert (domain.grey, len(domain.digest)) == (False, 64)
    assert domain.digest != other.digest
    assert domain.test_digest == other.test_digest


@pytest.mark.parametrize("names", [("x_train", "x_test"), ("train", "test")])
@pytest.mark.parametrize("grey", [True, False])
def test_ones_own_images_lose_those_of_the_test_from_training(
    names: tuple[str, str], grey: bool, tmp_path: Path
) -> None:
    shape = (9, 8, 8, 1) if grey else (9, 8, 8, 3)
    images = np.random.default_rng(3).integers(0, 256, shape, np.uint8)
    path = tmp_path / "mine.npz"
    np.savez(path, **{names[0]: images, names[1]: images[7:], "labels": np.arange(9)})  # type: ignore[arg-type]
    domain = own(path, grey=grey)
    assert (domain.name, domain.grey) == ("mine", grey)
    expected = images[..., 0] if grey else images
    np.testing.assert_array_equal(domain.training, expected[:7])
    np.testing.assert_array_equal(domain.test, expected[7:])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"a": np.zeros((4, 8, 8), np.uint8)},
            "expected arrays x_train and x_test, or train and test, found",
        ),
        (
            {"train": np.zeros((4, 8, 8), np.float32), "test": np.zeros((4, 8, 8), np.uint8)},
            r"train: expected uint8 grey images \[N,H,W\], found float32 \(4, 8, 8\)",
        ),
        (
            {"train": np.zeros((4, 8, 8), np.uint8), "test": np.zeros((4, 8, 8, 3), np.uint8)},
            r"test: expected uint8 grey images \[N,H,W\], found uint8 \(4, 8, 8, 3\)",
        ),
        (
            {"train": np.zeros((4, 8, 8), np.uint8), "test": np.zeros((4, 9, 8), np.uint8)},
            "expected images of one size, found",
        ),
    ],
)
def test_arrays_that_will_not_do_are_refused(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(DatasetError, match=message):
        own(tmp_path / "mine.npz", grey=True)


def test_files_that_are_no_npz_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        own(tmp_path / "none.npz", grey=True)
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(DatasetError, match=r"not a \.npz of plain arrays"):
        own(tmp_path / "text.npz", grey=True)


@pytest.mark.parametrize("grey", [True, False])
def test_each_format_takes_a_domains_images_and_gets_better_along_its_settings(grey: bool) -> None:
    domain = shipped("glyphs" if grey else "tiles", quick=True)
    images = domain.test[:4]
    for codec in peers(grey=grey):
        errors = []
        for setting in (codec.settings[0], codec.settings[-1]):
            decoded = codec.images(codec.files(images, setting), images.shape)
            assert (decoded.shape, str(decoded.dtype)) == (images.shape, "uint8")
            errors.append(pixel_errors(images, decoded)[0])
        assert (errors == [0, 0]) == codec.lossless, codec.name
        assert codec.lossless or errors[1] < errors[0] / 3, codec.name


# Promises.


def rows(
    codec: str, kind: str, arrangement: str, points: list[tuple[float, float]], domain: str = "x"
) -> list[dict[str, Any]]:
    return [
        {
            "domain": domain,
            "codec": codec,
            "kind": kind,
            "arrangement": arrangement,
            "parameter": "quality",
            "setting": number,
            "images": 100,
            "bytes_per_image": size,
            "psnr": psnr,
            "lossless": False,
            "note": "",
            "error": None,
        }
        for number, (size, psnr) in enumerate(points)
    ]


GREY = [
    *rows("x", "pair", "packet", [(20, 25), (40, 27), (60, 29)]),
    *rows("x, single packets", "pair", "each", [(26, 25), (46, 27), (66, 29)]),
    # More bytes for a worse picture than the next: no part of the curve.
    *rows("JPEG XL", "format", "each", [(80, 22), (190, 24.5), (120, 25), (160, 29)]),
    *rows("WebP", "format", "each", [(70, 24), (150, 31)]),
]
RGB = [
    *rows("y", "pair", "packet", [(40, 23), (80, 31)], "y"),
    *rows("y, single packets", "pair", "each", [(60, 25), (86, 31)], "y"),
    *rows("WebP", "format", "each", [(80, 24), (140, 30)], "y"),
]


def test_shares_of_jpeg_xls_bytes_are_of_real_qualities_first() -> None:
    found = list(shares(GREY))
    told = [(one.setting, one.psnr, one.size, one.peer_psnr, one.peer_size) for one in found[:3]]
    assert told == [
        ("quality 1", 27, 40, 26, 130),
        ("quality 1", 27, 40, 27, 140),
        ("", 26, 30, 26, 130),
    ]
    assert [one.share for one in found[:3]] == pytest.approx([40 / 130, 40 / 140, 30 / 130])
    assert [(one.ours.arrangement, one.size) for one in found[3:]] == [
        ("each", 46),
        ("each", 46),
        ("each", 36),
    ]


@pytest.mark.parametrize("lost", ["JPEG XL", "x"])
def test_without_26_db_of_both_there_is_no_share(lost: str) -> None:
    low = [{**row, "psnr": row["psnr"] - 10} if row["codec"].startswith(lost) else row for row in GREY]
    assert list(shares(low)) == []
    assert list(shares([row for row in GREY if not row["codec"].startswith(lost)])) == []


def test_savings_against_webp_are_at_equal_psnr_and_none_beyond_the_measurements() -> None:
    found = list(savings(RGB))
    joint, alone = found[:7], found[7:]
    assert [one.psnr for one in joint] == [24, 25, 26, 27, 28, 29, 30]
    assert [one.size for one in joint] == pytest.approx([45, 50, 55, 60, 65, 70, 75])
    assert [one.peer_size for one in joint] == pytest.approx([80, 90, 100, 110, 120, 130, 140])
    assert joint[0].saving == pytest.approx(1 - 45 / 80)
    assert (alone[0].size, alone[0].saving) == (None, None)
    assert list(savings(rows("y", "pair", "packet", [(40, 23), (80, 31)]))) == []


def entry(name: str, *, grey: bool, cpu_s: float | None = 5400.0) -> dict[str, Any]:
    return {
        "domain": name,
        "data": "pictures of this test",
        "grey": grey,
        "model": "dense",
        "size": [28, 28] if grey else [32, 32, 3],
        "training_images": 60_000,
        "test_images": 10_000,
        "training": {
            "command": "codec train --images x.npy --out pair",
            "wall_s": 3700.0,
            "cpu_s": cpu_s,
            "attempts": 2,
            "cores": 2,
            "epochs": 60,
            "bundle_bytes": 1234567,
        },
    }


def results(grey_rows: list[dict[str, Any]], cpu_s: float | None = 5400.0) -> dict[str, Any]:
    entries = [entry("x", grey=True, cpu_s=cpu_s), entry("y", grey=False, cpu_s=cpu_s)]
    return {
        "domains": {"command": "python -m benchmarks domains", "domains": entries, "rows": grey_rows + RGB}
    }


def test_the_report_tells_promises_measurements_and_whether_they_are_kept(tmp_path: Path) -> None:
    text = markdown(list(domain_parts(results(GREY), tmp_path)))
    assert (
        "Promised, at most 40 % of JPEG XL's bytes at 26 dB or better, after at most what 2 cores do in an "
        "hour, all images in one packet. Measured: 30.8 % (40.0 bytes an image at 27.00 dB, JPEG XL 130.0 at "
        "26.00 dB) with one packet of all images; 35.4 % (46.0 bytes an image at 27.00 dB, JPEG XL 130.0 "
        "at 26.00 dB) with a packet for each image; training took 90 minutes of processors of "
        "120, 62 by the clock. Kept." in text
    )
    assert (
        "30 % fewer bytes than WebP at equal PSNR from 24 to 30 dB, after at most what 2 cores do in an "
        "hour, all images in one packet. Measured: 43.8 to 46.4 % fewer with one packet of all images; "
        "33.3 to 41.7 % fewer with a packet for each image; training took 90 minutes of processors of 120, "
        "62 by the clock. Kept." in text
    )
    assert (
        "`codec train --images x.npy --out pair` chose the model `dense`, 60 epochs, and took 61.7 minutes "
        "on 2 cores, 90.0 of processors, in 2 attempts; both bundles are 1,234,567 bytes." in text
    )
    assert "| one packet of all images | quality 1 | 27.00 | 40.0 | 26.00 | 130.0 | 30.8 |" in text
    assert "| WebP, a file for each image | 80.0 | 90.0 | 100.0 | 110.0 | 120.0 | 130.0 | 140.0 |" in text


def test_a_promise_that_is_not_kept_is_told_so(tmp_path: Path) -> None:
    costly = [
        {**row, "bytes_per_image": 2 * row["bytes_per_image"]} if row["codec"] == "x" else row for row in GREY
    ]
    text = markdown(list(domain_parts(results(costly), tmp_path)))
    assert text.count(" Not kept.") == 1
    assert text.count(" Kept.") == 1
    for cpu_s in (7300.0, None):  # without it the clock counts, for each core
        late = markdown(list(domain_parts(results(GREY, cpu_s=cpu_s), tmp_path)))
        assert late.count("by the clock. Not kept.") == 2
    unmeasured = [row for row in GREY if row["codec"] != "JPEG XL"]
    assert "no such PSNR in common" in markdown(list(domain_parts(results(unmeasured), tmp_path)))


def test_without_measurements_the_report_says_nothing_of_domains(tmp_path: Path) -> None:
    assert list(domain_parts({}, tmp_path)) == []
    with pytest.raises(ValueError, match="python -m benchmarks domains"):
        domains_table({})


def test_the_readmes_table_is_verdict_and_figures() -> None:
    text = domains_table(results(GREY))
    assert text.startswith("`x`. Promised, at most 40 %")
    assert "`y`. Promised, 30 % fewer bytes" in text
    assert "| one packet of all images | interpolated | 26.00 | 30.0 | 26.00 | 130.0 | 23.1 |" in text


def test_charts_of_domains_have_switches_of_their_own(tmp_path: Path) -> None:
    write_texts(results(GREY), tmp_path)
    page = (tmp_path / "report.html").read_text()
    for name, count in (("x", len(curves(GREY))), ("y", len(curves(RGB)))):
        assert page.count(f'id="domain-{name}-') == page.count(f'data-curve="domain-{name}-') == count


# Training, with a program in the place of codec train.


STAND_IN = """
import json, pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
(out / "checkpoints").mkdir(parents=True, exist_ok=True)
with open(out / "calls.txt", "a") as calls:
    print(*sys.argv[1:], file=calls)
if not (out / "checkpoints" / "run.json").exists():
    (out / "checkpoints" / "run.json").write_text("{}")
    sys.exit(int(sys.argv[-1]))
assert "--resume" in sys.argv
(out / "metrics.jsonl").write_text("{}\\n{}\\n")
for side in ("encoder", "decoder"):
    (out / f"new.{side}.msgpack").write_bytes(b"bundle")
"""


@pytest.mark.parametrize(("status", "message"), [(1, "ended with status 1"), (130, "was interrupted")])
def test_training_that_stopped_goes_on_and_one_that_ended_stays(
    status: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "stand_in.py"
    program.write_text(STAND_IN)
    monkeypatch.setattr(training, "COMMAND", (sys.executable, str(program)))
    images = np.arange(5 * 64, dtype=np.uint8).reshape(5, 8, 8)
    domain = Domain("new", "", images, images)
    with pytest.raises(TrainingError, match=f"new: .*{message}"):
        training.trained(domain, tmp_path / "cache", ("--epochs", "2", str(status)))
    made = training.trained(domain, tmp_path / "cache", ("--epochs", "2", str(status)))
    assert (made.attempts, made.epochs, made.bundle_bytes) == (2, 2, 12)
    assert made.wall_s > 0
    assert made.cpu_s is not None
    assert made.cpu_s > 0
    assert 1 <= made.cores <= 2
    assert made.command == f"codec train --images new.npy --name new --out pair --epochs 2 {status}"
    again = training.trained(domain, tmp_path / "cache", ("--epochs", "2", str(status)))
    assert again == made
    calls = (made.folder / "pair" / "calls.txt").read_text().splitlines()
    assert ["--resume" in call for call in calls] == [False, True]
    np.testing.assert_array_equal(np.load(made.folder / "new.npy"), images[..., None])
    other = Domain("new", "", images[::-1], images)
    with pytest.raises(TrainingError):  # other images are another run
        training.trained(other, tmp_path / "cache", ("--epochs", "2", str(status)))


def test_default_options_are_no_options() -> None:
    assert training.COMMAND[1:] == ("-m", "codec", "train")
    assert training.trained.__defaults__ == ((),)


# The whole, with a pair that was not trained.


@pytest.fixture
def untrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Domain, Path, Any], Any]:
    """``trained``, but for the training: a pair of random weights."""

    def stand_in(domain: Domain, cache: Path, options: tuple[str, ...] = ()) -> training.Trained:
        pixels = domain.training[:50, ..., None] if domain.grey else domain.training[:50]
        channels = pixels.shape[-1]
        architecture = Convolutional(image_channels=channels, code_channels=3, layers=1, filters=4)
        out = cache / domain.name / "pair"
        out.mkdir(parents=True, exist_ok=True)
        pair = PairFiles(*write_pair(out, domain.name, random_pair(architecture, pixels, 0)))
        return training.Trained(
            pair=pair,
            folder=cache / domain.name,
            command="codec train",
            wall_s=1.0,
            cpu_s=1.0,
            attempts=1,
            cores=2,
            epochs=1,
            bundle_bytes=99,
        )

    monkeypatch.setattr(domains_run, "trained", stand_in)
    monkeypatch.setattr(command, "_CACHE", tmp_path / "cache")
    return stand_in


def test_a_quick_run_measures_reports_and_keeps_what_it_measured(
    untrained: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = shipped("tiles", quick=True)
    domain = Domain(domain.name, domain.told, domain.training, domain.test[:12])
    monkeypatch.setattr(domains_run, "peers", lambda **options: peers(**options)[1:2])
    out = tmp_path / "out"

    def broken() -> Domain:
        raise DatasetError("no such images")

    def run() -> None:
        command.run(["domains", "report"], out, quick=True, only=None, domains=[broken, lambda: domain])

    with pytest.raises(CodecError, match="no such images"):
        run()  # the other domain is measured all the same
    section = json.loads((out / "results.json").read_text())["domains"]
    assert [one["domain"] for one in section["domains"]] == ["tiles"]
    assert (section["quick"], section["domains"][0]["size"]) == (True, [32, 32, 3])
    assert section["domains"][0]["model"] == "convolutional"
    names = dict.fromkeys(row["codec"] for row in section["rows"])
    assert list(names) == ["tiles", "tiles, single packets", "tiles, not compact, single packets", "WebP"]
    assert not any(row["error"] for row in section["rows"])
    joint, compact, whole = (
        [row for row in section["rows"] if row["codec"] == name] for name in list(names)[:3]
    )
    for one, two, three in zip(joint, compact, whole, strict=True):
        assert three["bytes_per_image"] == two["bytes_per_image"] + 6
        assert one["bits_per_pixel"] == pytest.approx(one["bytes_per_image"] * 8 / 1024)
        assert one["psnr"] == pytest.approx(two["psnr"], abs=0.05)
    assert (out / "domain-tiles-images.png").stat().st_size > 1000

    def measured_again(*arguments: object) -> list[dict[str, Any]]:
        raise AssertionError("this was measured before")

    monkeypatch.setattr(domains_run, "rate_rows", measured_again)
    command.run(["domains", "report"], out, quick=True, only=None, domains=[lambda: domain])
    text = (out / "REPORT.md").read_text()
    assert "### `tiles`" in text
    assert "](domain-tiles.png)" in text
    assert "](domain-tiles-images.png)" in text


def test_with_ones_own_images_the_usual_domains_are_left_out() -> None:
    assert len(list(domains_run.chosen_domains(None, None, quick=True))) == 2
    (load,) = domains_run.chosen_domains(None, Path("none.npz"), quick=True)
    with pytest.raises(FileError, match=r"none\.npz"):
        load()
