"""Principal components with this library's quantiser, tables and entropy coder: the linear answer.

What a network has to beat. Each component has a table of its own, counted on training images; all images are
one payload, component after component, behind a header of five bytes (the setting and how many images).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmarks.codecs import Codec, Pixels
from codec.entropy import RunDecoder, RunEncoder, Runs, TableRow
from codec.quantise import dequantise, quantise
from codec.training.calibration import count_tables

__all__ = ["principal_components"]

_COMPONENTS = 392
_STEPS = (1.25, 1.0, 0.8, 0.63, 0.5, 0.4, 0.32, 0.25, 0.2, 0.16, 0.125, 0.1)
"""Quantiser steps on the scale where a pixel is 0..1."""
_HEADER = 5


@dataclass(frozen=True, eq=False)
class _Linear:
    """Mean float32 [D], components float32 [D, K] and, for each step, a table a component."""

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    steps: tuple[float, ...]
    shape: tuple[int, int]
    tables: dict[int, TableRow]

    @cached_property
    def _count(self) -> int:
        return len(self.components.T)

    def _steps(self, number: int) -> NDArray[np.float32]:
        return np.full(self._count, self.steps[number], np.float32)

    def symbols(self, images: Pixels, number: int) -> NDArray[np.int32]:
        """int32 [N, K] of images [N, H, W] at a step."""
        values = images.reshape(len(images), -1).astype(np.float32) / 255
        codes = (values - self.mean) @ self.components
        return quantise(codes.astype(np.float32), self._steps(number))

    def encode(self, images: Pixels, step: float) -> bytes:
        number = self.steps.index(step)
        coder = RunEncoder()
        runs = Runs.equal(self._count, len(images))
        coder.encode(self.tables[number], runs, self.symbols(images, number).T.ravel())
        return bytes([number]) + len(images).to_bytes(_HEADER - 1, "big") + coder.payload()

    def decode(self, data: bytes) -> Pixels:
        number, count = data[0], int.from_bytes(data[1:_HEADER], "big")
        coder = RunDecoder(data[_HEADER:])
        symbols = coder.decode(self.tables[number], Runs.equal(self._count, count))
        values = (
            dequantise(symbols.reshape(self._count, count).T, self._steps(number)) @ self.components.T
            + self.mean
        )
        pixels: Pixels = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
        return pixels.reshape((count, *self.shape))


def principal_components(training: Pixels, steps: tuple[float, ...] = _STEPS) -> Codec:
    """Components and tables of uint8 ``training`` images [N, H, W]."""
    values = training.reshape(len(training), -1).astype(np.float64) / 255
    mean = values.mean(0)
    variances, vectors = np.linalg.eigh(np.cov((values - mean).T, bias=True))
    most = np.argsort(-variances)[:_COMPONENTS]
    linear = _Linear(
        mean.astype(np.float32), vectors[:, most].astype(np.float32), steps, training.shape[1:], {}
    )
    codes = (values - mean).astype(np.float32) @ linear.components
    for number, step in enumerate(steps):
        tables = count_tables(codes, np.full(codes.shape[1], step, np.float32))
        linear.tables[number] = TableRow(tables)
    return Codec("PCA", "step", steps, linear.encode, linear.decode, arrangement="packet", kind="linear")
