"""The bundle format's vocabulary, shared by its writer and its reader: what a pair and one side's file hold.

``docs/bundle.md`` specifies the format. A ``Bundle`` in hand is whole and consistent: ``bundle_reader``
checks everything once. No JAX: a bundle can be inspected without it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import msgpack
import numpy as np
from numpy.typing import NDArray

from codec.architecture import Architecture, Side
from codec.errors import BundleError
from codec.tables import Table, pack_tables

__all__ = ["Bundle", "Pair", "Weights", "is_bundle", "pack_tensors", "weights_digest"]

FORMAT = "codec bundle"
VERSION = 1

Weights = Mapping[str, NDArray[np.float32]]
"""Every weight of one half by its name, such as "convolution_0/kernel"."""

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
ARCHITECTURE_KEYS = ("kind", "image_channels", "code_channels", "layers", "filters")
TENSOR_KEYS = ("name", "dtype", "shape", "data")
DTYPES = {"float32": "<f4", "int32": "<i4", "uint16": "<u2"}
CONTEXT = "channel"


@dataclass(frozen=True, eq=False)
class Pair:
    """All that both sides share; its digest is the pair's name on the wire.

    Attributes:
        architecture: both networks.
        height, width: of the images the pair was trained on; those of other sizes say so in their packets.
        steps: quantiser steps, float32 [qualities, code channels].
        tables: by quality and context; the context is the code channel.
        analysis_sha256, synthesis_sha256: digests of the two halves' weights.
    """

    architecture: Architecture
    height: int
    width: int
    steps: NDArray[np.float32]
    tables: tuple[tuple[Table, ...], ...]
    analysis_sha256: bytes
    synthesis_sha256: bytes

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
            CONTEXT,
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

    def parameters(self) -> dict[str, dict[str, NDArray[np.float32]]]:
        """The weights nested as flax takes them: {layer: {"kernel": ..., "bias": ...}}."""
        nested: dict[str, dict[str, NDArray[np.float32]]] = {}
        for name, values in self.weights.items():
            layer, kind = name.rsplit("/", 1)
            nested.setdefault(layer, {})[kind] = values
        return nested


def is_bundle(data: bytes) -> bool:
    """Whether ``data`` begins like a bundle of any version."""
    return data[1:8] == b"\xa6format" and data[:1] != b"" and data[0] & 0xF0 == 0x80


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
    return hashlib.sha256(b"".join(map(msgpack.packb, pack_tensors(weights)))).digest()
