"""Trained weights -> a pair of bundles, calibrated on training images and measured on validation images."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.architecture import Architecture, Dense
from codec.bundle import Bundle, Pair, weights_digest
from codec.context import to_elements
from codec.decoder import Decoder
from codec.encoder import Encoder
from codec.evaluation import evaluate
from codec.images import pad
from codec.integer_context import IntegerContext
from codec.quantise import quantise
from codec.spatial_context import to_blocks
from codec.tables import Table
from codec.training.calibration import QUALITIES, calibrate_steps, count_tables
from codec.training.data import images_within
from codec.training.domain import DomainRecorder, appearing, measurable, with_domain
from codec.training.feedback import measure_feedback
from codec.training.integers import context_model, logistic_tables
from codec.training.loop import validate
from codec.training.rate_distortion import RateDistortion
from codec.training.settings import Settings
from codec.training.spatial_integers import spatial_context
from codec.training.spatial_prior import SpatialPrior
from codec.training.weights import flatten

__all__ = ["export_pair"]

_CODE_VALUES = 1 << 25
"""Code values that tables are counted on: 21,000 images of 28x28."""
_PROBE_IMAGES = 1000
_RANGE_IMAGES = 1000
"""Images that the ranges of the context model's integers are found on, for each quality."""

_Made = tuple[NDArray[np.float32], tuple[tuple[Table, ...], ...], IntegerContext | None]
"""Quantiser steps, tables and, where there is one, the context model."""


def _no_feedback(architecture: Architecture) -> dict[str, Any]:
    """Weights for ``codec.rounding`` that make it round plainly, where an architecture has such weights."""
    shapes = architecture.weight_shapes("encoder")
    names = [name for name in shapes if name.startswith("feedback/")]
    return {"feedback": {name.removeprefix("feedback/"): np.zeros(shapes[name]) for name in names}}


class _Exporter:
    """The two halves' weights, and pairs of bundles made of them."""

    def __init__(self, settings: Settings, weights: dict[str, Any], size: tuple[int, int]) -> None:
        self.settings = settings
        self.weights = weights
        self.size = size
        architecture = settings.architecture
        self._halves: dict[str, dict[str, NDArray[np.floating[Any]]]] = {
            "encoder": flatten(
                {**_no_feedback(architecture), **weights["analysis"]}, architecture, "encoder"
            ),
            "decoder": flatten(weights["synthesis"], architecture, "decoder"),
        }

    def bundles(
        self,
        made: _Made,
        provenance: dict[str, Any] | None = None,
    ) -> tuple[Bundle, Bundle]:
        """The encoder's and the decoder's."""
        steps, tables, context = made
        digests = weights_digest(self._halves["encoder"]), weights_digest(self._halves["decoder"])
        pair = Pair(self.settings.architecture, *self.size, steps, tables, *digests, context)
        return (
            Bundle("encoder", pair, self._halves["encoder"], provenance or {}),
            Bundle("decoder", pair, self._halves["decoder"], provenance or {}),
        )

    def probe(self, qualities: int) -> tuple[Bundle, Bundle]:
        """Bundles that codes can be made with, before there are steps and tables."""
        ones = np.ones((qualities, self.settings.architecture.code_channels), np.float32)
        return self.bundles((ones, tuple(() for _ in range(qualities)), None))

    def by_channel(self, training: NDArray[np.uint8], report: Callable[[str], None]) -> _Made:
        """Steps and tables for codes that were trained for distortion alone."""
        report("calibrating quantiser steps")
        encoder, decoder = self.probe(QUALITIES)
        images = _sample(training, self.settings)
        codes = Encoder(encoder).codes(self.settings.noised(images))
        probed = images_within(_PROBE_IMAGES, images.shape)
        steps = calibrate_steps(Decoder(decoder), images[:probed], codes[:probed], self.weights["synthesis"])
        report("counting symbols")
        return steps, tuple(count_tables(codes, row) for row in steps), None

    def by_context(self, training: NDArray[np.uint8], report: Callable[[str], None]) -> _Made:
        """Steps, tables and context model for codes that were trained with a prior."""
        report("turning the prior into integers")
        prior = self.weights["prior"]
        qualities, elements = prior["mean"].shape[-2:]
        probe, _ = self.probe(qualities)
        steps = probe.pair.steps
        if "steps" in self.weights:
            steps = np.exp(np.asarray(self.weights["steps"]["log_step"], np.float32))
        encoder = Encoder(probe)
        picked = np.random.default_rng(self.settings.seed).permutation(len(training))
        images = self.settings.noised(training[picked[: images_within(_RANGE_IMAGES, training.shape)]])
        found = [quantise(encoder.codes(images, quality=q), steps[q]) for q in range(qualities)]
        shape = RateDistortion(self.settings, steps=1).prior(elements)
        context: IntegerContext
        if isinstance(shape, SpatialPrior):
            blocks = np.stack([to_blocks(symbols) for symbols in found])
            context = spatial_context(prior, shape.groups, shape.units, blocks, self.settings.seed)
        else:
            rows = np.stack([to_elements(symbols, elements) for symbols in found])
            context = context_model(prior, shape.groups, shape.units, rows)
        return steps, (logistic_tables()[1],), context

    def measure_feedback(
        self, made: _Made, training: NDArray[np.uint8], report: Callable[[str], None]
    ) -> None:
        """Set the weights of ``codec.rounding`` for the qualities where it lowers bits + lambda x error."""
        architecture, lambdas = self.settings.architecture, self.settings.lambdas
        if not isinstance(architecture, Dense):
            return
        report("measuring what steered rounding gains")
        images = training[np.random.default_rng(self.settings.seed).permutation(len(training))]
        images = images[:_RANGE_IMAGES]
        noised = self.settings.noised(images)
        measured = measure_feedback(architecture, self.weights, lambdas, noised)
        self._halves["encoder"] |= {f"feedback/{name}": values for name, values in measured.items()}
        encoder, decoder = self.bundles(made)
        costs = [
            [8 * m.bytes_per_image + lambdas[m.quality] * m.mse for m in rows]
            for rows in (
                evaluate(
                    Encoder(encoder), Decoder(decoder), noised, range(len(lambdas)), effort, targets=images
                )
                for effort in (0, 1)
            )
        ]
        useful = np.array(costs[1]) < np.array(costs[0])
        self._halves["encoder"]["feedback/gain"] = measured["gain"] * useful[:, None].astype(np.float32)


def export_pair(
    settings: Settings,
    weights: dict[str, Any],
    dataset: str,
    training: NDArray[np.uint8],
    validation: NDArray[np.uint8],
    report: Callable[[str], None] = lambda line: None,
) -> tuple[Bundle, Bundle]:
    """The encoder's and the decoder's bundle of trained ``weights`` {"analysis": ..., "synthesis": ..., ...}.

    Args:
        training: uint8 [N, H, W, C]; steps, tables and ranges are calibrated on these.
        validation: rate and distortion of each quality are measured on these and recorded.
        report: told of each stage in a line.
    """
    exporter = _Exporter(settings, weights, (training.shape[1], training.shape[2]))
    rated = settings.objective == "rate-distortion"
    made = exporter.by_context(training, report) if rated else exporter.by_channel(training, report)
    exporter.measure_feedback(made, training, report)

    report("measuring")
    targets = measurable(validation, settings.architecture)
    measured = settings.noised(targets)
    estimates = _estimate(settings, weights, measured) if rated else None
    provenance: dict[str, Any] = {
        "name": settings.name,
        "created_by": f"split-codec {version('split-codec')}",
        "dataset": dataset,
        "settings": settings.to_dict(),
        "qualities": [],
    }
    encoder, decoder = exporter.bundles(made, provenance)
    domain = DomainRecorder(Encoder(encoder), settings.noised(appearing(training)), measured, targets)
    halves, qualities = (domain.encoder, Decoder(decoder)), range(encoder.pair.qualities)
    for m in evaluate(*halves, measured, qualities, on_decoded=domain.add, targets=targets):
        found: dict[str, Any] = {
            "psnr": round(m.psnr, 3),
            "bytes_per_image": round(m.bytes_per_image, 3),
            "images": f"{len(measured)} validation images of {dataset}",
        }
        line = f"quality {m.quality}: {m.bytes_per_image:.2f} bytes/image, {m.psnr:.2f} dB"
        if estimates is not None:
            estimate = estimates[m.quality]
            found |= {"lambda": settings.lambdas[m.quality], "estimated_bytes_per_image": round(estimate, 3)}
            line += (
                f"; the prior's estimate is {estimate:.2f} bytes ({m.bytes_per_image / estimate - 1:+.1%})"
            )
        provenance["qualities"].append(found)
        report(line)
    encoder, decoder = exporter.bundles(made, provenance)
    return with_domain(encoder, domain.done(provenance["qualities"][0]["images"])), decoder


def _sample(training: NDArray[np.uint8], settings: Settings) -> NDArray[np.uint8]:
    """Training images picked by the seed, as many as their codes fit in ``_CODE_VALUES``."""
    cells = settings.architecture.code_shape(*training.shape[1:3])
    count = min(len(training), max(1, _CODE_VALUES // int(np.prod(cells))))
    picked = np.random.default_rng(settings.seed).permutation(len(training))[:count]
    return training[picked]


def _estimate(settings: Settings, weights: dict[str, Any], images: NDArray[np.uint8]) -> tuple[float, ...]:
    """Bytes an image that the float prior expects, for each quality."""
    objective = RateDistortion(settings, steps=1)
    padded = pad(images, settings.architecture.alignment)
    return validate(objective, weights, padded, padded).bytes_per_image
