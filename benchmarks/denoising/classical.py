"""Classical denoisers, each with the settings and the tone curve that suit it best.

Noise that is clipped at black leaves black areas brighter than they were, which no denoiser knows of. So each
is measured as it is, and with a tone curve after it that takes this off again: the mean clean value of each
level that comes out. Settings and curves are learned on training images for each strength of noise.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing.pool import Pool
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from skimage import restoration

from codec.evaluation import pixel_errors

__all__ = ["DENOISERS", "Denoiser", "ToneCurve", "Tuned", "denoised", "tuned"]

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]

_LEVELS = 64
"""Of a tone curve."""


@dataclass(frozen=True)
class Denoiser:
    """A way to clean one image.

    Attributes:
        name: as in the results.
        clean: float64 [H, W] in 0..1 and settings to float64 [H, W].
        settings: to choose among; those called ``sigma`` and ``h`` are parts of the noise's deviation.
        most: measured on no more than so many images, because it is slow.
    """

    name: str
    clean: Callable[..., Any]
    settings: tuple[Mapping[str, Any], ...]
    most: int | None = None


@dataclass(frozen=True)
class ToneCurve:
    """What each of the levels 0 to 63/63 becomes, straight lines in between."""

    values: tuple[float, ...]

    @staticmethod
    def fit(images: Floats, clean: Pixels) -> "ToneCurve":
        """The mean clean value around each level of ``images``; of one that none has, its neighbours'."""
        nearest = np.rint(np.clip(images, 0, 1) * (_LEVELS - 1)).astype(np.intp).ravel()
        count = np.bincount(nearest, minlength=_LEVELS)
        total = np.bincount(nearest, clean.ravel() / 255, minlength=_LEVELS)
        seen = np.flatnonzero(count)
        return ToneCurve(tuple(np.interp(np.arange(_LEVELS), seen, total[seen] / count[seen]).tolist()))

    def __call__(self, images: Floats) -> Floats:
        return np.interp(images, np.linspace(0, 1, _LEVELS), self.values)


@dataclass(frozen=True)
class Tuned:
    """A denoiser with the settings that are best for one strength of noise."""

    denoiser: Denoiser
    settings: Mapping[str, Any]
    curve: ToneCurve | None = None

    @property
    def name(self) -> str:
        """As in the results."""
        return self.denoiser.name + (", tone curve" if self.curve else "")


def _clean(denoiser: Denoiser, settings: Mapping[str, Any], image: Pixels) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some settings of wavelets suit no image as small as these
        cleaned: Floats = np.nan_to_num(np.asarray(denoiser.clean(image / 255, **settings), np.float64))
    return cleaned


def _all(pool: Pool, denoiser: Denoiser, settings: Mapping[str, Any], images: Pixels) -> Floats:
    return np.stack(pool.map(partial(_clean, denoiser, settings), images, chunksize=16))


def _bytes(images: Floats) -> Pixels:
    return np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)


def denoised(pool: Pool, found: Tuned, images: Pixels) -> Pixels:
    """Noisy uint8 ``images`` [N, H, W], cleaned."""
    cleaned = _all(pool, found.denoiser, found.settings, images)
    return _bytes(found.curve(cleaned) if found.curve else cleaned)


def tuned(
    pool: Pool, denoiser: Denoiser, noisy: Pixels, clean: Pixels, deviation: float
) -> tuple[Tuned, Tuned]:
    """The denoiser as it is and with a tone curve, each with the settings of the least squared error.

    Args:
        noisy, clean: training images uint8 [N, H, W] with noise of ``deviation`` and without.
    """
    plain: list[tuple[float, Tuned]] = []
    curved: list[tuple[float, Tuned]] = []
    for settings in denoiser.settings:
        scaled = {
            name: deviation * value if name in ("sigma", "h") else value for name, value in settings.items()
        }
        cleaned = _all(pool, denoiser, scaled, noisy)
        curve = ToneCurve.fit(cleaned, clean)
        for found, after, with_curve in ((plain, cleaned, None), (curved, curve(cleaned), curve)):
            error = pixel_errors(clean, _bytes(after))[0]
            found.append((error, Tuned(denoiser, scaled, with_curve)))
    return min(plain, key=_error)[1], min(curved, key=_error)[1]


def _error(candidate: tuple[float, Tuned]) -> float:
    return candidate[0]


def _grid(**values: tuple[Any, ...]) -> tuple[Mapping[str, Any], ...]:
    """All combinations."""
    return tuple(dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))


def _nothing(image: Floats) -> Floats:
    return image


def _bm3d(image: Floats, sigma: float) -> Any:
    import bm3d

    return bm3d.bm3d(image, sigma)


DENOISERS = (
    Denoiser("noisy input", _nothing, ({},)),
    Denoiser("median", median_filter, _grid(size=(3, 5, 7))),
    Denoiser(
        "total variation",
        restoration.denoise_tv_chambolle,
        _grid(weight=(0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8)),
        most=2000,
    ),
    Denoiser(
        "non-local means",
        partial(restoration.denoise_nl_means, patch_distance=9),
        _grid(patch_size=(3, 5, 7), h=(0.3, 0.5, 0.7, 1.0), sigma=(0.0, 0.6)),
        most=1000,
    ),
    Denoiser(
        "wavelet",
        restoration.denoise_wavelet,
        _grid(
            wavelet=("haar", "db2", "sym4"),
            method=("BayesShrink", "VisuShrink"),
            mode=("soft", "hard"),
            sigma=(0.4, 0.6, 0.8),
        ),
        most=2000,
    ),
    Denoiser("BM3D", _bm3d, _grid(sigma=(0.4, 0.6, 0.8, 1.0)), most=100),
)
"""Each with settings from which the best are chosen."""
