"""Measures a pair and classical denoisers on noisy images against the clean ones, by strength of noise."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.denoising.classical import DENOISERS, Tuned, denoised, tuned
from benchmarks.denoising.pictures import draw_digits
from benchmarks.formats import SINGLE
from benchmarks.harness import distortion
from codec.decoder import Decoder, load_decoder
from codec.encoder import Encoder, load_encoder
from codec.noise import noisy

__all__ = ["PAIR", "measure_denoising"]

Pixels = NDArray[np.uint8]
Row = dict[str, Any]

PAIR = "mnist-denoise"
SEED = 0
"""Of the noise on the images that are measured, as ``codec evaluate --noise`` has it."""
_DEVIATIONS = tuple(round(0.1 * tenth, 1) for tenth in range(1, 9))
_SHOWN = 0.5
_TUNED_ON, _TUNING_SEED = 60, 1
_JPEG_XL_IMAGES = 1000


def measure_denoising(
    images: Pixels, training: Pixels, put: Callable[[dict[str, Any]], None], out: Path, *, quick: bool
) -> None:
    """Rows for each strength of noise, put after each; denoising.png in ``out``.

    Args:
        images: uint8 [N, H, W], measured on.
        training: uint8 [N, H, W], of which the denoisers' settings are chosen.
    """
    rows: list[Row] = []
    encoder, decoder = load_encoder(PAIR), load_decoder(PAIR)
    with get_context("spawn").Pool() as pool:
        for deviation in (_SHOWN,) if quick else _DEVIATIONS:
            noised = noisy(images[..., None], deviation, SEED)[..., 0]
            shown = {"clean": images, f"noise {deviation:g}": noised}
            for row, cleaned in [
                *_classical(pool, images, noised, training, deviation),
                *_pair(encoder, decoder, images, noised),
            ]:
                print(_told(deviation, row), file=sys.stderr, flush=True)
                rows.append({"deviation": deviation, **row})
                if cleaned is not None and row["method"] != "noisy input":
                    shown[row["method"]] = cleaned
            put({"rows": rows})
            if deviation == _SHOWN:
                draw_digits(shown, out)


def _told(deviation: float, row: Row) -> str:
    result = row.get("error") or f"{row['psnr']:.2f} dB"
    return f"noise {deviation:g}, {row['method']}: {result}"


def _classical(
    pool: Pool, images: Pixels, noised: Pixels, training: Pixels, deviation: float
) -> Iterator[tuple[Row, Pixels | None]]:
    """Each denoiser with and without a tone curve, and the best of all before JPEG XL."""
    clean = training[:_TUNED_ON]
    before = noisy(clean[..., None], deviation, _TUNING_SEED)[..., 0]
    best: tuple[float, Pixels] = (0.0, noised)
    for denoiser in DENOISERS:
        if denoiser.name == "BM3D" and find_spec("bm3d") is None:
            yield (
                {"method": "BM3D", "error": "not installed; pip install bm3d, free for research alone"},
                None,
            )
            continue
        some = slice(denoiser.most)
        few = slice(_TUNED_ON if denoiser.most is None else denoiser.most // 4)
        for found in tuned(pool, denoiser, before[few], clean[few], deviation):
            cleaned = denoised(pool, found, noised[some])
            row = _row(found, images[some], cleaned)
            yield row, cleaned
            if len(cleaned) >= _JPEG_XL_IMAGES and row["psnr"] > best[0]:
                best = row["psnr"], cleaned
    yield _before_jpeg_xl(images[:_JPEG_XL_IMAGES], best[1][:_JPEG_XL_IMAGES]), None


def _row(found: Tuned, images: Pixels, cleaned: Pixels) -> Row:
    return {
        "method": found.name,
        "settings": {name: _plain(value) for name, value in found.settings.items()},
        "images": len(images),
        **_figures(images, cleaned),
    }


def _plain(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _figures(images: Pixels, cleaned: Pixels) -> Row:
    """PSNR and SSIM against the clean images."""
    found = distortion(images, cleaned)
    return {"psnr": found["psnr"], "ssim": found["ssim"]}


def _before_jpeg_xl(images: Pixels, cleaned: Pixels) -> Row:
    """The denoised images as JPEG XL files, at the setting of the fewest bytes near the best PSNR."""
    (codec,) = [replace(one, most=None) for one in SINGLE if one.name == "JPEG XL" and not one.lossless]
    found = []
    for setting in codec.settings:
        files = codec.files(cleaned, setting)
        figures = _figures(images, codec.images(files, images.shape))
        found.append(
            {
                "settings": {codec.parameter: setting},
                "bytes_per_image": sum(map(len, files)) / len(files),
                **figures,
            }
        )
    best = max(one["psnr"] for one in found)
    chosen = min(
        (one for one in found if one["psnr"] > best - 0.1), key=lambda one: float(one["bytes_per_image"])
    )
    return {"method": "the best of these, then JPEG XL", "images": len(images), **chosen}


def _pair(
    encoder: Encoder, decoder: Decoder, images: Pixels, noised: Pixels
) -> Iterator[tuple[Row, Pixels | None]]:
    """Each quality: one packet of all images, and what the clean ones need at the same setting."""
    for quality in range(encoder.qualities):
        packet = encoder.encode(noised, quality=quality)
        cleaned = decoder.decode(packet)[..., 0]
        without = encoder.encode(images, quality=quality)
        row = {
            "method": f"{PAIR}, quality {quality}",
            "images": len(images),
            **_figures(images, cleaned),
            "bytes_per_image": len(packet) / len(images),
            "clean_bytes_per_image": len(without) / len(images),
            "clean_psnr": _figures(images, decoder.decode(without)[..., 0])["psnr"],
        }
        yield row, cleaned
