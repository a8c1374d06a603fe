"""Where a run starts that goes on from the weights of a trained pair."""

import math

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

from codec.analysis import build_analysis
from codec.architecture import Architecture, Side
from codec.errors import TrainingError
from codec.images import to_float
from codec.loading import load_bundle, pretrained
from codec.training.calibration import sensitivity
from codec.training.data import Images, images_within
from codec.training.objective import Weights
from codec.training.settings import Settings

__all__ = ["start_from_pair", "start_steps"]

_IMAGES = 256
_LEAST_ACTIVE = 0.1
"""Part of a channel's codes that is taken to carry something, at least."""


def start_from_pair(settings: Settings) -> Weights:
    """The weights of both halves of the pair that ``settings.start`` names, float32.

    Raises:
        FileError: no such pair.
        TrainingError: its networks are not those of ``settings``.
    """
    assert settings.start is not None
    weights: Weights = {}
    sides: dict[str, Side] = {"analysis": "encoder", "synthesis": "decoder"}
    shipped = settings.start in pretrained()
    for part, side in sides.items():
        bundle = load_bundle(settings.start if shipped else f"{settings.start}.{side}.msgpack", side)
        if bundle.pair.architecture != settings.architecture:
            raise TrainingError(
                f"--start {settings.start}: expected the networks {settings.architecture.to_dict()}, "
                f"found {bundle.pair.architecture.to_dict()}"
            )
        weights[part] = bundle.parameters()
    # Export measures these anew.
    weights["analysis"].pop("feedback", None)
    return weights


def start_steps(
    weights: Weights, architecture: Architecture, images: Images, lambdas: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quantiser steps [Q, C] that suit trained ``weights``, and the deviation of each element's codes [D].

    With s the mean squared change of the pixels for unit white noise on a channel, a step d costs
    lambda s d^2 / 12, and each of the channel's n active elements saves a bit when it doubles: the sum is
    least where lambda s d^2 / 6 = n / ln 2.
    """
    some = images[: images_within(_IMAGES, images.shape)]
    analysis = build_analysis(architecture)
    codes: Array = jax.jit(analysis.apply)({"params": weights["analysis"]}, to_float(some))
    values = np.asarray(codes, np.float64)
    change = sensitivity(np.asarray(codes), weights["synthesis"], architecture, some.shape)
    active = np.maximum(_LEAST_ACTIVE, (values != 0).mean((0, 1, 2))) * math.prod(values.shape[1:3])
    deviations = values.transpose(0, 3, 1, 2).reshape(len(values), -1).std(0)
    return np.sqrt(6 * active / (math.log(2) * lambdas[:, None] * change)), deviations
