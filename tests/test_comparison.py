"""A pair beside image formats: bytes are those of files, no format is left out silently, tables say it."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import codec
from codec.bundle import Bundle
from codec.bundle_writer import write_bundle
from codec.cli_evaluate import report
from codec.comparison import PairPoint, PeerCurve, bytes_between, measure_pair, measure_peers, sample
from codec.comparison_table import best, bytes_at_psnr, comparison_lines
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.errors import MissingExtraError
from codec.evaluation import evaluate
from codec.imagefiles import png_bytes
from codec.inspection import PacketReport
from codec.peers import PEERS, Peer, open_pixels, save_pixels
from codec.pictures import from_sheet, sheet
from codec.training.domain import measure_domain, with_domain

Pixels = NDArray[np.uint8]


def inspected(path: Path) -> PacketReport:
    found = codec.inspect(path.read_bytes())
    assert isinstance(found, PacketReport)
    return found


def _levels(pixels: Pixels, setting: float) -> bytes:
    """A toy format: PNG of fewer grey levels."""
    step = round(setting)
    return save_pixels((pixels // step * step + step // 2).astype(np.uint8), "PNG")


TOY = Peer("toy", "step", (128, 64, 32, 16, 8, 4, 2), _levels, open_pixels, feature="zlib")
GONE = replace(TOY, name="gone", feature="libtiff")


def smooth(count: int, size: int, channels: int = 1) -> Pixels:
    values = np.random.default_rng(0).integers(0, 256, (count, 2, 2, channels), np.uint8)
    resized = [np.asarray(Image.fromarray(v.squeeze()).resize((size, size))) for v in values]
    return np.stack(resized).reshape(count, size, size, channels)


def test_a_pairs_points_are_its_real_packets(small_pair: tuple[Encoder, Decoder], digits: Pixels) -> None:
    encoder, decoder = small_pair
    (point,) = measure_pair(encoder, decoder, digits[:4], [1])
    assert point.packet_bytes == len(encoder.encode(digits[:4], quality=1)) / 4
    assert point.each_bytes == sum(len(encoder.encode(image, quality=1)) for image in digits[:4]) / 4
    (row,) = evaluate(encoder, decoder, digits[:4], [1])
    assert point.psnr == row.psnr


def test_a_formats_bytes_are_those_of_its_files_and_lie_between_its_settings() -> None:
    images = smooth(5, 16)
    each, joint = measure_peers(images, [28.0, 33.0], [TOY])
    assert (each.arrangement, joint.arrangement) == ("each", "sheet")
    assert list(each.psnr) == sorted(each.psnr)
    assert each.psnr[0] <= 28
    assert each.psnr[-1] >= 33
    for setting, size, _ in zip(each.settings, each.bytes_per_image, each.psnr, strict=True):
        assert size == sum(len(_levels(image[..., 0], setting)) for image in images) / 5
    at = each.psnr.index(max(value for value in each.psnr if value <= 33))
    found = each.bytes_at(33.0)
    assert found is not None
    assert min(each.bytes_per_image[at : at + 2]) <= found <= max(each.bytes_per_image[at : at + 2])
    assert joint.bytes_per_image[0] == len(_levels(sheet(images[..., 0]), joint.settings[0])) / 5


def test_only_settings_near_the_pairs_are_measured() -> None:
    (curve, _) = measure_peers(smooth(2, 16), [50.0], [TOY])
    assert len(curve.settings) <= 4
    (curve, _) = measure_peers(smooth(2, 16), [math.inf], [TOY])
    assert curve.settings == ()
    assert curve.bytes_at(30) is None


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_format_takes_grey_and_colour(peer: Peer, channels: int) -> None:
    try:
        peer.check()
    except MissingExtraError as error:
        pytest.skip(str(error))
    ends = replace(peer, settings=peer.settings[:: max(1, len(peer.settings) - 1)])
    curves = list(measure_peers(smooth(2, 24, channels), [10.0, 70.0], [ends]))
    assert [curve.missing for curve in curves] == [None, None]
    for curve in curves:
        if peer.lossless:
            assert curve.psnr == (math.inf,)
            assert curve.bytes_at(30) is None
        else:
            assert curve.psnr[-1] > (30 if peer.name == "WebP" else 38)  # its colours are subsampled
        assert all(size > 10 for size in curve.bytes_per_image)


def test_large_images_and_single_ones_are_not_put_side_by_side() -> None:
    assert [c.arrangement for c in measure_peers(smooth(2, 140), [30.0], [TOY])] == ["each"]
    assert [c.arrangement for c in measure_peers(smooth(1, 16), [30.0], [TOY])] == ["each"]


def test_a_format_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codec.peers.features.check", lambda name: name != "libtiff")
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    jpeg_xl = next(peer for peer in PEERS if peer.name == "JPEG XL")
    curves = list(measure_peers(smooth(1, 16), [30.0], [TOY, GONE, jpeg_xl]))
    assert curves[0].missing is None
    assert curves[1].missing == "gone: this Pillow does not write it; run: pip install 'pillow>=11.3'"
    assert curves[2].missing is not None
    assert curves[2].missing.endswith("run: pip install 'split-codec[bench]'")
    lines = list(comparison_lines([PairPoint(0, 1.0, 2.0, 30.0)], curves, 1, 1))
    assert [line for line in lines if line.startswith("Not measured: gone: this Pillow")]
    assert [line for line in lines if line.startswith("Not measured: JPEG XL: imagecodecs")]


def test_formats_do_not_take_four_channels() -> None:
    (curve,) = measure_peers(np.zeros((1, 4, 4, 4), np.uint8), [30.0], [TOY])
    assert curve.missing == "toy: takes images of 1 or 3 channels here"


CURVES = [
    PeerCurve("A", "each", "q", False, (1, 2), (100.0, 200.0), (20.0, 30.0)),
    PeerCurve("B", "each", "q", False, (1, 2), (130.0, 160.0), (20.0, 40.0)),
    PeerCurve("PNG", "each", "level", True, (9,), (170.0,), (math.inf,)),
    PeerCurve("A", "sheet", "q", False, (1, 2), (10.0, 20.0), (20.0, 30.0)),
]
POINTS = [PairPoint(0, 5.0, 30.0, 20.0), PairPoint(1, 30.0, 60.0, 30.0), PairPoint(2, 90.0, 200.0, 45.0)]


def test_the_best_format_is_the_one_of_fewest_bytes_at_that_psnr() -> None:
    assert best(POINTS[0], CURVES, "each") == {"name": "A", "bytes_per_image": 100, "ratio": 0.3}
    assert best(POINTS[1], CURVES, "each") == {"name": "B", "bytes_per_image": 145, "ratio": 60 / 145}
    assert best(POINTS[2], CURVES, "each") == {"name": "PNG", "bytes_per_image": 170, "ratio": 200 / 170}
    assert best(POINTS[1], CURVES, "sheet") == {"name": "A", "bytes_per_image": 20, "ratio": 1.5}
    assert best(POINTS[2], CURVES, "sheet") is None
    assert bytes_at_psnr(30.0, CURVES) == {"each": {"A": 200, "B": 145}, "sheet": {"A": 20}}


def test_the_table_says_what_share_of_the_best_formats_bytes_the_pair_needs() -> None:
    lines = list(comparison_lines(POINTS, CURVES, 50, 1000))
    assert "on 50 images of 1,000, picked at random:" in lines[1]
    rows = [line.split() for line in lines[3:6]]
    assert rows[0] == ["0", "20.00", "5.0", "30.0", "100.0", "130.0", "10.0", "30%", "of", "A"]
    assert rows[2] == ["2", "45.00", "90.0", "200.0", "-", "-", "-", "118%", "of", "PNG"]
    text = "\n".join(lines)
    assert "needs 30% to 118% of the bytes of the best format, a file for each (A or B or PNG)." in text
    assert (
        "One packet of all needs 50% to 150% of the bytes of the best format, all side by side (A)." in text
    )
    assert "Without loss, a file for each image: PNG 170.0." in text


def test_bytes_between_are_straight_and_none_beyond() -> None:
    assert bytes_between(25, (20, 30), (100, 200)) == 150
    assert bytes_between(19.9, (20, 30), (100, 200)) is None
    assert bytes_between(30.1, (20, 30), (100, 200)) is None
    assert bytes_between(30, (), ()) is None


def test_a_sample_is_the_same_each_time_and_in_order() -> None:
    images = np.arange(256, dtype=np.uint8).repeat(4).reshape(256, 2, 2, 1)
    picked = sample(images, 20)
    assert np.array_equal(picked, sample(images, 20))
    assert len(picked) == 20
    assert (np.diff(picked[:, 0, 0, 0].astype(int)) > 0).all()
    assert len(sample(images)) == 200
    assert np.array_equal(sample(images, 1000), images)
    assert len(sample(np.zeros((9, 512, 512, 1), np.uint8))) == 4


@pytest.mark.parametrize("shape", [(7, 3, 5), (1, 2, 2), (10, 4, 4, 3)])
def test_a_sheet_holds_all_images(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert np.array_equal(from_sheet(sheet(images), shape), images)


def test_json_has_an_object_a_quality_and_one_a_curve(
    small_pair: tuple[Encoder, Decoder],
    digits: Pixels,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "codec.cli_evaluate.measure_peers", lambda images, psnrs: measure_peers(images, psnrs, [TOY])
    )
    report(*small_pair, digits[:3], [0, 2], as_json=True)
    captured = capfdbinary.readouterr()
    objects = [json.loads(line) for line in captured.out.splitlines()]
    assert [one["kind"] for one in objects] == ["quality", "quality", "format", "format"]
    assert objects[1]["formats"]["psnr"] == objects[1]["psnr"]
    assert set(objects[1]["formats"]["bytes_at_psnr"]["each"]) == {"toy"}
    assert objects[0]["domain"] is None
    assert objects[2]["name"] == "toy"
    assert b"no word on whether these images are of the pair's domain" in captured.err


def test_the_chart_is_a_picture(
    small_pair: tuple[Encoder, Decoder],
    tmp_path: Path,
    digits: Pixels,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("matplotlib")
    peers = [replace(TOY, name="JPEG"), next(peer for peer in PEERS if peer.name == "PNG")]
    monkeypatch.setattr(
        "codec.cli_evaluate.measure_peers", lambda images, psnrs: measure_peers(images, psnrs, peers)
    )
    report(*small_pair, digits[:3], [0, 2], plot=tmp_path / "chart.png")
    with Image.open(tmp_path / "chart.png") as image:
        assert min(image.size) > 500


def test_without_matplotlib_a_chart_is_an_error_before_any_measurement(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.zeros((2, 28, 28), np.uint8))
    code = """
import sys
sys.modules["matplotlib"] = None
sys.argv[1:] = ["evaluate", "--images", "images.npy", "--plot", "x.png"]
from codec.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("codec: --plot: matplotlib is not installed (")
    assert done.stderr.count("\n") == 1


def test_the_command_line_leaves_out_what_is_refused_and_tells_of_what_is_flagged(
    small_bundles: tuple[Bundle, Bundle], tmp_path: Path, digits: Pixels
) -> None:
    encoder, decoder = Encoder(small_bundles[0]), Decoder(small_bundles[1])
    record = measure_domain(encoder, decoder, digits, digits, "digits")
    (tmp_path / "encoder").write_bytes(write_bundle(with_domain(small_bundles[0], record)))
    (tmp_path / "images").mkdir()
    for number, image in enumerate([digits[3], 255 - digits[4], digits[5]]):
        (tmp_path / "images" / f"{number}.png").write_bytes(png_bytes(image))

    def encode(guard: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "codec", "encode", "images", "-o", "packet", "--encoder", "encoder"]
        return subprocess.run([*command, "--guard", guard], cwd=tmp_path, capture_output=True, text=True)

    done = encode("refuse")
    assert done.returncode == 1
    assert "codec: images/1.png: outside the domain the pair was trained for: " in done.stderr
    assert "codec: 1 of 3 images cannot be encoded; they are listed above" in done.stderr
    assert inspected(tmp_path / "packet").names == ["0.png", "2.png"]
    done = encode("flag")
    assert done.returncode == 0
    assert "codec: warning: images/1.png: outside the domain" in done.stderr
    assert inspected(tmp_path / "packet").images == 3
