"""Images of a domain are told from others; records are checked; the guard leaves out what it should."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codec.appearance import FIGURES, Appearance, figures
from codec.bundle import Bundle
from codec.bundle_reader import read_bundle
from codec.bundle_writer import write_bundle
from codec.decoder import Decoder
from codec.domain import Spread, read_domain
from codec.domain_summary import summarise, warning
from codec.encoder import Encoder, load_encoder
from codec.errors import BundleError, CodecError, ImageError
from codec.evaluation import image_errors, pixel_errors
from codec.guard import guarded
from codec.imagefiles import png_bytes
from codec.loading import load_bundle, pretrained
from codec.training import domain as command
from codec.training.domain import measure_domain, with_domain

Pixels = NDArray[np.uint8]


def blobs(count: int, seed: int) -> Pixels:
    """Smooth images of 8x8, which every pair here calls its domain."""
    coarse = np.random.default_rng(seed).integers(40, 216, (count, 3, 3, 1))
    return np.asarray(coarse.repeat(4, 1).repeat(4, 2)[:, 1:9, 2:10], np.uint8)


@pytest.fixture(scope="module")
def recorded(small_bundles: tuple[Bundle, Bundle]) -> Encoder:
    """The small pair's encoder with a record made of smooth images."""
    encoder, decoder = Encoder(small_bundles[0]), Decoder(small_bundles[1])
    domain = measure_domain(encoder, decoder, blobs(400, 1), blobs(300, 2), "300 blobs")
    return Encoder(read_bundle(write_bundle(with_domain(small_bundles[0], domain))))


def test_a_record_survives_its_bundle_and_changes_nothing_else(
    recorded: Encoder, small_bundles: tuple[Bundle, Bundle]
) -> None:
    domain = read_domain(recorded.bundle)
    assert domain.images == "300 blobs"
    assert domain.to_record() == recorded.bundle.provenance["domain"]
    assert recorded.bundle.pair.packed == small_bundles[0].pair.packed
    assert replace(recorded.bundle, provenance={}).weights.keys() == small_bundles[0].weights.keys()
    for spread in domain.bits_per_pixel:
        assert 0 < spread.median <= spread.quantiles["99.95%"] <= spread.limit
    images = blobs(300, 2)
    assert domain.bits_per_pixel[1].mean == pytest.approx(
        recorded.image_bits(images, quality=1).mean() / 64, rel=1e-5
    )


def test_images_of_the_domain_are_inside_and_others_are_outside(recorded: Encoder) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (50, 8, 8, 1), np.uint8)
    for images in (noise, np.full((50, 8, 8, 1), 128, np.uint8), np.zeros((50, 8, 8, 1), np.uint8)):
        assert all(report.outside for report in recorded.check_domain(images))
    inside = [not report.outside for report in recorded.check_domain(blobs(300, 4))]
    assert np.mean(inside) > 0.98
    (report,) = recorded.check_domain(np.zeros((8, 8), np.float32), quality=0)
    assert report.outside[-1].startswith("appearance, at a distance of ")


def test_rate_alone_puts_an_image_outside(recorded: Encoder) -> None:
    domain = read_domain(recorded.bundle)
    images = blobs(2, 5)
    bits = np.array([64 * domain.bits_per_pixel[0].median, 640 * domain.bits_per_pixel[0].limit])
    one, other = domain.reports(images, bits, 0)
    assert one.outside == ()
    assert len(other.outside) == 1
    assert other.outside[0].startswith("rate ")
    assert other.outside[0].endswith(" times the recorded median")


def test_figures_are_there_for_images_of_any_size_and_number_of_channels() -> None:
    for shape in ((3, 1, 1, 1), (2, 1, 9, 3), (2, 300, 200, 4)):
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        found = figures(images)
        assert found.shape == (shape[0], FIGURES * shape[3])
        assert np.isfinite(found).all()
        assert np.isfinite(Appearance.of(images).distance(images)).all()


def test_few_images_leave_a_margin_to_the_limit() -> None:
    few = Spread.of(np.random.default_rng(0).lognormal(0, 0.3, 20))
    assert few.limit > 1.1 * few.quantiles["most"]
    assert Spread.of(np.zeros(5)).limit == 0


def test_without_a_record_the_error_says_how_to_get_one(small_pair: tuple[Encoder, Decoder]) -> None:
    with pytest.raises(
        BundleError, match=r"'random': .* found none; python -m codec\.training\.domain makes"
    ):
        small_pair[0].check_domain(blobs(1, 0))


def _drop(record: dict[str, Any]) -> None:
    del record["distance"]


def _text(record: dict[str, Any]) -> None:
    record["bits_per_pixel"] = "fast"


def _size(record: dict[str, Any]) -> None:
    record["appearance"]["precision"] = [[1.0]]


def _falling(record: dict[str, Any]) -> None:
    record["squared_error"][0]["most"] = 0.0


def _infinite(record: dict[str, Any]) -> None:
    record["appearance"]["mean"][0] = float("inf")


@pytest.mark.parametrize("change", [_drop, _text, _size, _falling, _infinite])
def test_damaged_records_are_refused(recorded: Encoder, change: Callable[[dict[str, Any]], None]) -> None:
    record = read_domain(recorded.bundle).to_record()
    change(record)
    bundle = replace(recorded.bundle, provenance={"name": "x", "domain": record})
    with pytest.raises(BundleError, match="damaged record of the pair's domain"):
        read_domain(bundle)


@pytest.mark.parametrize("record", [5, "record", [1, 2], {}, {"appearance": 3}])
def test_records_of_any_shape_end_in_an_error(recorded: Encoder, record: Any) -> None:
    with pytest.raises(BundleError, match="damaged record"):
        read_domain(replace(recorded.bundle, provenance={"domain": record}))


def test_a_record_of_other_qualities_is_refused(recorded: Encoder) -> None:
    record = read_domain(recorded.bundle).to_record()
    record["squared_error"].pop()
    with pytest.raises(BundleError, match=r"expected a record of 3 qualities, found \[2, 3\]"):
        read_domain(replace(recorded.bundle, provenance={"domain": record}))


def test_extreme_numbers_in_a_record_do_not_overflow() -> None:
    quantiles = dict.fromkeys(("1%", "50%"), 1e-300) | dict.fromkeys(
        ("99%", "99.9%", "99.95%", "most"), 1e300
    )
    assert Spread(1, 1, quantiles).limit >= 1e300


def test_a_set_of_images_is_warned_of_with_its_figures(
    recorded: Encoder, small_pair: tuple[Encoder, Decoder]
) -> None:
    domain = read_domain(recorded.bundle)

    def summary(images: Pixels) -> Any:
        decoded = small_pair[1].decode(recorded.encode(images, quality=1))
        bits = recorded.image_bits(images, quality=1) / 64
        return summarise(domain, 1, bits, domain.appearance.distance(images), image_errors(images, decoded))

    good = summary(blobs(300, 2))
    assert (good.notable, warning([good])) == (False, None)
    assert good.rate_ratio == pytest.approx(1, rel=1e-5)
    assert good.error_ratio == pytest.approx(1, rel=1e-5)
    bad = summary(np.random.default_rng(3).integers(0, 256, (50, 8, 8, 1), np.uint8))
    assert (bad.outside, bad.outside_appearance) == (1, 1)
    assert bad.error_ratio > 1.2
    text = warning([good, bad])
    assert text is not None
    assert text.startswith(f"warning: at quality 1 rate {bad.rate_ratio:.1f} times the recorded mean (")
    assert text.endswith("100.0% of these images are unlike those the pair was trained on")


def test_image_errors_have_the_mean_of_all_pixels() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 256, (4, 5, 6, 3), np.uint8) for _ in range(2))
    errors = image_errors(one, other)
    assert errors.shape == (4,)
    assert errors.mean() == pytest.approx(pixel_errors(one, other)[0])


# The guard


@pytest.fixture
def folder(tmp_path: Path) -> list[Path]:
    """Blobs, noise, a file that is no image, and a blob: in this order."""
    noise = np.random.default_rng(3).integers(0, 256, (8, 8, 1), np.uint8)
    contents = [png_bytes(blobs(1, 7)[0]), png_bytes(noise), b"no image", png_bytes(blobs(1, 8)[0])]
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


@pytest.mark.parametrize("action", ["refuse", "flag"])
def test_the_guard_tells_of_files_in_their_order(recorded: Encoder, folder: list[Path], action: Any) -> None:
    told: list[str] = []

    def bad(path: Path, error: CodecError) -> None:
        told.append(f"bad {path.stem}")

    def outside(path: Path, error: CodecError) -> None:
        assert "outside the domain the pair was trained for: " in str(error)
        told.append(f"outside {path.stem}")

    for path, image in guarded(folder, recorded, None, action, outside, bad):
        assert image.shape == (1, 8, 8, 1)
        told.append(path.stem)
    middle = ["bad 1"] if action == "refuse" else ["outside 1", "1"]
    assert told == ["0", *middle, "bad 2", "3"]


def test_a_single_refused_image_is_an_error(recorded: Encoder, folder: list[Path]) -> None:
    with pytest.raises(ImageError, match=r"1\.png: outside the domain .*: "):
        list(guarded(folder[1:2], recorded, 0, "refuse", lambda *_: None))


def test_the_guard_of_a_pair_without_a_record_reads_nothing(small_pair: tuple[Encoder, Decoder]) -> None:
    with pytest.raises(BundleError, match="found none"):
        next(guarded([Path("gone.png")], small_pair[0], 0, "flag", lambda *_: None))


# The command and the shipped pairs


def test_the_command_adds_a_record_and_keeps_everything_else(
    tmp_path: Path, small_bundles: tuple[Bundle, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    for bundle in small_bundles:
        (tmp_path / f"small.{bundle.side}.msgpack").write_bytes(write_bundle(bundle))
    np.save(tmp_path / "blobs.npy", blobs(100, 0))
    images = str(tmp_path / "blobs.npy")
    monkeypatch.setattr("sys.argv", ["domain", str(tmp_path / "small"), "--images", images])
    with pytest.raises(SystemExit) as stop:
        command.app()
    assert stop.value.code == 0
    found = load_bundle(tmp_path / "small.encoder.msgpack", "encoder")
    provenance = dict(found.provenance)
    assert provenance.pop("domain")["images"] == "5 validation images of blobs.npy"
    assert write_bundle(replace(found, provenance=provenance)) == write_bundle(small_bundles[0])
    decoder = (tmp_path / "small.decoder.msgpack").read_bytes()
    assert decoder == write_bundle(small_bundles[1])


DIGESTS = {
    "article": "99fcde2d8b7c9f5e6e0c44f44a0fe9b7b62fa2401b8e336b08ce79c8e4927961",
    "article-rd": "8fb0e9c6c42a528ad7ca1ea3463dc4c9214b0863e07bcbf86944f20c45bf3a57",
    "mnist": "c69ecb0d53fd3956361fac87aea6336ae21a0d47689d5b22f04b09fd5f1ede0a",
    "mnist-denoise": "940226777549a1763d459c4ec2f7de5961a76f8ee6cf6d5ee72b1ae05e71574b",
}
"""Of each pair, over its tables, its steps and both halves' weights."""


@pytest.mark.parametrize("name", pretrained())
def test_shipped_pairs_have_a_record_and_are_what_they_were(name: str) -> None:
    bundle = load_bundle(name, "encoder")
    assert bundle.pair.digest.hex() == DIGESTS[name]
    assert read_domain(bundle).images == "5000 validation images of mnist"


def test_the_default_pair_tells_digits_from_what_are_none(digits: Pixels) -> None:
    encoder = load_encoder("mnist")
    assert not any(report.outside for report in encoder.check_domain(digits))
    rng = np.random.default_rng(0)
    noisy = np.clip(digits + rng.normal(0, 25, digits.shape), 0, 255).astype(np.uint8)
    for images in (255 - digits, noisy, np.roll(digits, 10, (1, 2)), np.zeros_like(digits[:1])):
        assert np.mean([bool(report.outside) for report in encoder.check_domain(images)]) > 0.9
