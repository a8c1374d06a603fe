"""What a target is, and the mutations of plain bytes that all of them fall back on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeVar

__all__ = ["CORPUS", "Target", "corpus", "mutate_bytes", "pick", "whole_number"]

Value = TypeVar("Value")

CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Target:
    """One thing to attack.

    Attributes:
        name: of the target and of its folder in the corpus.
        check: asserts what must hold of an input, and tells in a word what became of it.
        mutate: makes another input of one; most checks and digests in it are right again.
        most: bytes of the longest input.
    """

    name: str
    check: Callable[[bytes], str]
    mutate: Callable[[bytes, Random], bytes]
    most: int


def corpus(name: str) -> dict[str, bytes]:
    """The committed inputs of a target by the names of their files."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / name).iterdir())}


_ODD = (0, 1, 2, 3, 7, 8, 15, 16, 127, 128, 129, 254, 255)


def pick(rng: Random, values: Sequence[Value]) -> Value:
    """``rng.choice`` at half its price."""
    return values[int(rng.random() * len(values))]


def whole_number(rng: Random, bits: int) -> int:
    """From 0 up to so many bits; small ones, powers of two and their neighbours are likely."""
    kind = rng.random()
    if kind < 0.4:
        return int(rng.random() * 5)
    if kind < 0.8:
        return max(0, (1 << int(rng.random() * (bits + 1))) + int(rng.random() * 3) - 2) & ((1 << bits) - 1)
    return rng.getrandbits(bits)


def mutate_bytes(data: bytes, rng: Random) -> bytes:
    """Flip, set, insert, remove, repeat or copy a few bytes."""
    changed = bytearray(data)
    for _ in range(pick(rng, (1, 1, 1, 2, 3, 6))):
        at, kind = int(rng.random() * (len(changed) + 1)), int(rng.random() * 7)
        length = pick(rng, (1, 1, 2, 4, 8, 16))
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << int(rng.random() * 8)
        elif kind == 1 and at < len(changed):
            changed[at] = pick(rng, _ODD)
        elif kind == 2:
            changed[at:at] = rng.randbytes(length)
        elif kind == 3:
            del changed[at : at + length]
        elif kind == 4:
            changed[at:at] = changed[at : at + length]
        elif kind == 5:
            start = int(rng.random() * (len(changed) + 1))
            changed[at : at + length] = changed[start : start + length]
        elif kind == 6:
            changed[at : at + length] = rng.randbytes(length)
    return bytes(changed)
