"""Codes <-> symbols, in NumPy: float32 [N, h, w, C] to int32 of the same shape, and back.

Symbols are codes divided by the channel's step and rounded to the nearest integer, halves to even. They
saturate at 16 bits, far outside any table, so that every image encodes.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["SYMBOL_MAX", "SYMBOL_MIN", "dequantise", "near_edge", "quantise"]

SYMBOL_MIN, SYMBOL_MAX = -(1 << 15), (1 << 15) - 1


def quantise(codes: NDArray[np.float32], steps: NDArray[np.float32]) -> NDArray[np.int32]:
    """Symbols of finite float32 ``codes`` [..., C] under positive float32 ``steps`` [C]."""
    with np.errstate(over="ignore"):
        scaled = np.rint(codes / steps)
    symbols: NDArray[np.int32] = np.clip(scaled, SYMBOL_MIN, SYMBOL_MAX).astype(np.int32)
    return symbols


def near_edge(codes: NDArray[np.float32], steps: NDArray[np.float32], reach: float) -> NDArray[np.bool_]:
    """Where a slightly different code would be another symbol: bool of the shape of ``codes`` [..., C].

    Args:
        codes, steps: as for ``quantise``.
        reach: how different, in steps, and relative to the code where it is larger than a step.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = codes / steps
        from_edge = np.abs(scaled - np.floor(scaled) - np.float32(0.5))
        near: NDArray[np.bool_] = from_edge < reach * np.maximum(np.abs(scaled), 1)
    return near


def dequantise(symbols: NDArray[np.int32], steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Codes of int32 ``symbols`` [..., C]: one float32 product each, the same on every machine."""
    return symbols.astype(np.float32) * steps
