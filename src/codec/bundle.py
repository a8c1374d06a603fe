"""The bundle format's vocabulary, shared by its writer and its reader: what a pair and one side's file hold.

``docs/bundle.md`` specifies the format. A ``Bundle`` in hand is whole and consistent: ``bundle_reader``
checks everything once. No JAX: a bundle can be inspected without it.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import msgpack
import numpy as np
from numpy.typing import NDArray

from codec.architecture import Architecture, Side
from codec.errors import BundleError
from codec.integer_context import IntegerContext
from codec.limits import Limits
from codec.spatial_context import SpatialContext
from codec.tables import Table, pack_tables
from codec.tiles import TILE, Window, longest_window, look, tiles_along

__all__ = ["Bundle", "Pair", "Weights", "is_bundle", "pack_tensors", "weights_digest"]

FORMAT = "codec bundle"
VERSION = 1

Weights = Mapping[str, NDArray[np.floating[Any]]]
"""Every weight of one half by its name, such as "convolution_0/kernel", in the type that a bundle stores."""

FILE_KEYS = ("format", "version", "sha256", "body")
BODY_KEYS = ("side", "shared", "weights", "provenance")
SHARED_KEYS = (
    "architecture",
    "image",
    "context",
    "steps",
    "table_low",
    "table_length",
    "table_frequencies",
    "analysis_sha256",
    "synthesis_sha256",
)
TENSOR_KEYS = ("name", "dtype", "shape", "data")
DTYPES = {"float16": "<f2", "float32": "<f4", "int8": "|i1", "int32": "<i4", "uint16": "<u2"}
BY_CHANNEL = "channel"
"""What stands for the context where a symbol's table is its channel's."""
SPATIAL = "spatial"
"""The kind of a spatial context model's map; the other kind's has none."""
CONTEXT_TENSORS = {
    "weights": "int8",
    "input_gain": "int32",
    "hidden_bias": "int32",
    "hidden_shift": "int32",
    "output_gain": "int32",
    "output_bias": "int32",
    "table_index": "int32",
}
CONTEXT_KEYS = ("groups", "units", *CONTEXT_TENSORS)


@dataclass(frozen=True, eq=False)
class Pair:
    """All that both sides share; its digest is the pair's name on the wire.

    Attributes:
        architecture: both networks.
        height, width: of the images the pair was trained on; those of other sizes say so in their packets.
        steps: quantiser steps, float32 [qualities, code channels].
        tables: by quality and code channel; with a context model a single row for all qualities.
        context: what tells each symbol's table; None is its channel.
        analysis_sha256, synthesis_sha256: digests of the two halves' weights.
    """

    architecture: Architecture
    height: int
    width: int
    steps: NDArray[np.float32]
    tables: tuple[tuple[Table, ...], ...]
    analysis_sha256: bytes
    synthesis_sha256: bytes
    context: IntegerContext | None = None

    @property
    def code_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the codes of an image of the pair's own size."""
        return self.architecture.code_shape(self.height, self.width)

    def takes(self, height: int, width: int) -> bool:
        """Whether the pair can code images of this size."""
        if self._one_grid and self.architecture.code_shape(height, width) != self.code_shape:
            return False
        return self.architecture.takes(height, width)

    @property
    def takes_any_size(self) -> bool:
        """Whether the pair can code images of every size, and large ones tile by tile."""
        return not self._one_grid and self.architecture.margin("encoder") is not None

    @property
    def _one_grid(self) -> bool:
        return self.context is not None and self.context.one_grid

    def window(self, side: Side, size: tuple[int, int], tile: int) -> tuple[Window, Window]:
        """For rows and columns, what one half looks at to make a tile of a picture of ``size``."""
        alignment, margin = self.architecture.alignment, self.architecture.margin(side)
        assert margin is not None, "a pair of one size has no tiles"
        row, column = divmod(tile, tiles_along(size[1]))
        return look(row, size[0], alignment, margin), look(column, size[1], alignment, margin)

    def check_chunk(self, count: int, height: int, width: int, limits: Limits) -> None:
        """Raise ``LimitError`` where a chunk of ``count`` images is over what the limits allow."""
        self.architecture.check_chunk(count, height, width, limits)
        if self.context is not None:
            rows = self.context.row_count((count, *self.architecture.code_shape(height, width)))
            values = rows * self.context.values_a_row
            limits.check("chunk_symbols", values, "values of the context model in a chunk")

    def check_picture(self, height: int, width: int, limits: Limits) -> None:
        """Raise ``LimitError`` where a picture of several tiles is over what the limits allow."""
        architecture = self.architecture
        self.check_chunk(1, min(height, TILE), min(width, TILE), limits)
        pixels = architecture.padded_pixels(min(height, TILE), width)
        limits.check("band_pixels", pixels, "pixels in a row of a picture's tiles")
        symbols = math.prod(architecture.code_shape(min(height, 3 * TILE), width))
        limits.check("packet_symbols", symbols, "symbols in three rows of a picture's tiles")
        margin = max(architecture.margin("encoder") or 0, architecture.margin("decoder") or 0)
        sides = (longest_window(whole, architecture.alignment, margin) for whole in (height, width))
        values = architecture.activations(*sides)
        limits.check("image_activations", values, "values of a layer for one tile and what is around it")

    @property
    def default_quality(self) -> int:
        """The quality where none is named, the middle one, the finer of two."""
        return self.qualities // 2

    @property
    def qualities(self) -> int:
        """How many qualities there are; they count from 0, the coarsest."""
        return len(self.steps)

    def weights_digest(self, side: Side) -> bytes:
        """The digest of one half's weights."""
        return self.analysis_sha256 if side == "encoder" else self.synthesis_sha256

    @cached_property
    def packed(self) -> bytes:
        """The shared map as both files hold it."""
        arrays = pack_tables(self.tables)
        values = (
            self.architecture.to_dict(),
            [self.height, self.width],
            BY_CHANNEL if self.context is None else _pack_context(self.context),
            _tensor("steps", self.steps),
            _tensor("table_low", arrays.low),
            _tensor("table_length", arrays.length),
            _tensor("table_frequencies", arrays.frequencies),
            self.analysis_sha256,
            self.synthesis_sha256,
        )
        return cast(bytes, msgpack.packb(dict(zip(SHARED_KEYS, values, strict=True))))

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of ``packed``, 32 bytes."""
        return hashlib.sha256(self.packed).digest()


@dataclass(frozen=True, eq=False)
class Bundle:
    """One side's file: the shared part, that side's weights, and where they came from."""

    side: Side
    pair: Pair
    weights: Weights
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The pair's name as its maker gave it; the digest is what identifies it."""
        return str(self.provenance.get("name", "unnamed"))

    def parameters(self) -> dict[str, Any]:
        """The weights as flax takes them, float32: {layer: {"kernel": ..., "bias": ...}}, at any depth."""
        nested: dict[str, Any] = {}
        for name, values in self.weights.items():
            *layers, kind = name.split("/")
            inner = nested
            for layer in layers:
                inner = inner.setdefault(layer, {})
            inner[kind] = values.astype(np.float32, copy=False)
        return nested


def is_bundle(data: bytes) -> bool:
    """Whether ``data`` begins like a bundle of any version."""
    return data[1:8] == b"\xa6format" and data[:1] != b"" and data[0] & 0xF0 == 0x80


def _pack_context(context: IntegerContext) -> dict[str, Any]:
    tensors = (_tensor(name, getattr(context, name)) for name in CONTEXT_TENSORS)
    values = dict(zip(CONTEXT_KEYS, (list(context.groups), context.units, *tensors), strict=True))
    return {"kind": SPATIAL, **values} if isinstance(context, SpatialContext) else values


def _tensor(name: str, values: NDArray[Any]) -> dict[str, Any]:
    dtype = values.dtype.name
    if dtype not in DTYPES:
        raise BundleError(f"bundle, tensor {name}: expected dtype {', '.join(DTYPES)}, found {dtype}")
    data = np.ascontiguousarray(values, DTYPES[dtype]).tobytes()
    return dict(zip(TENSOR_KEYS, (name, dtype, list(values.shape), data), strict=True))


def pack_tensors(weights: Weights) -> list[dict[str, Any]]:
    """The tensors of one half as maps, in order."""
    return [_tensor(name, values) for name, values in weights.items()]


def weights_digest(weights: Weights) -> bytes:
    """SHA-256 over the tensors as a bundle stores them, 32 bytes."""
    digest = hashlib.sha256()
    for tensor in pack_tensors(weights):
        digest.update(msgpack.packb(tensor))
    return digest.digest()
