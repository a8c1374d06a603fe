"""Codes <-> symbols, in NumPy: float32 [N, h, w, C] to int32 of the same shape, and back.

Symbols are codes divided by the channel's step and rounded to the nearest integer, halves to even. They
saturate at 16 bits, far outside any table, so that every image encodes.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["SYMBOL_MAX", "SYMBOL_MIN", "dequantise", "quantise"]

SYMBOL_MIN, SYMBOL_MAX = -(1 << 15), (1 << 15) - 1


def quantise(codes: NDArray[np.float32], steps: NDArray[np.float32]) -> NDArray[np.int32]:
    """Symbols of finite float32 ``codes`` [..., C] under positive float32 ``steps`` [C]."""
    with np.errstate(over="ignore"):
        scaled = np.rint(codes / steps)
    symbols: NDArray[np.int32] = np.clip(scaled, SYMBOL_MIN, SYMBOL_MAX).astype(np.int32)
    return symbols


def dequantise(symbols: NDArray[np.int32], steps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Codes of int32 ``symbols`` [..., C]: one float32 product each, the same on every machine."""
    return symbols.astype(np.float32) * steps
