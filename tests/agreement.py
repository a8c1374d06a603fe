"""Both readers on many random packets, whole and damaged: ``python -m tests.agreement --packets 10000``."""

import argparse
import time
from collections import Counter
from random import Random
from types import NoneType

import numpy as np

from codec import inspect
from codec.context import ContextModel
from codec.decoder import Decoder
from codec.errors import CodecError, LimitError
from codec.inspection import PacketReport
from codec.limits import Limits
from codec.packet_reader import read_packet
from codec.quantise import dequantise
from codec.spatial_context import SpatialContext
from tests import reference_reader
from tests.fuzz.packet import mutate
from tests.random_pairs import BUNDLES, random_mixed_packets, random_packets

__all__ = ["agree", "compare"]

LIMITS = Limits(packet_images=256, packet_symbols=1 << 14, chunk_symbols=1 << 16)
"""The second reader is slow: of what is over these it is not asked."""

CONTEXTS = {NoneType: "by channel", ContextModel: "context model", SpatialContext: "spatial context model"}

MUTANTS = 3
"""Of each packet, most of them with repaired checks."""


def compare(packet: bytes, mine: Decoder, theirs: reference_reader.Bundle) -> str:
    """What both readers make of a packet, which must be the same.

    There is one thing that a reader may take or refuse, payloads that go on behind what is read of them: the
    library takes them.
    """
    try:
        header, _ = read_packet(packet, mine.limits)
        if header.framing == "mixed":
            return _compare_mixed(packet, mine, theirs)
        symbols = mine.symbols(packet)
    except LimitError:
        return "over the limits"
    except CodecError as error:
        try:
            reference_reader.read_packet(packet, theirs)
        except ValueError:
            pass
        else:
            raise AssertionError(f"refused by the library alone: {error}") from None
        try:
            reference_reader.read_mixed(packet, theirs)
        except ValueError:
            return f"refused by both, {type(error).__name__}"
        raise AssertionError(f"refused by the library alone: {error}") from None
    try:
        found = reference_reader.read_packet(packet, theirs)
    except ValueError as error:
        if str(error) != "payload longer than the words read":
            raise AssertionError(f"refused by the second reader alone: {error}") from None
        return "a longer payload"
    header, chunks = read_packet(packet, mine.limits)
    names = [name for chunk in chunks for name in chunk.names or ()]
    pair = mine.bundle.pair
    assert found.quality == header.quality
    assert (found.height, found.width) == (header.shape or (pair.height, pair.width))
    assert found.names == (names if header.named else None)
    np.testing.assert_array_equal(found.symbols, symbols, strict=True)
    np.testing.assert_array_equal(found.codes, dequantise(symbols, pair.steps[header.quality]), strict=True)
    return f"the same, {header.framing}{' with names' * header.named}"


def _compare_mixed(packet: bytes, mine: Decoder, theirs: reference_reader.Bundle) -> str:
    """The same of a mixed packet."""
    header, chunks = read_packet(packet, mine.limits)
    names = [name for chunk in chunks for name in chunk.names or ()]
    pictures = list(mine.picture_symbols(packet))
    sizes = inspect(packet, mine.limits)
    assert isinstance(sizes, PacketReport)
    try:
        found = reference_reader.read_mixed(packet, theirs)
    except ValueError as error:
        if str(error) != "payload longer than the words read":
            raise AssertionError(f"refused by the second reader alone: {error}") from None
        return "a longer payload"
    assert [(one.height, one.width) for one in found] == sizes.image_sizes
    assert [name for one in found for name in one.names or ()] == names
    assert all((one.names is not None) == header.named for one in found)
    for one, symbols in zip(found, pictures, strict=True):
        assert one.quality == header.quality
        np.testing.assert_array_equal(one.symbols[0], symbols, strict=True)
        codes = dequantise(symbols, mine.bundle.pair.steps[header.quality])
        np.testing.assert_array_equal(one.codes[0], codes, strict=True)
    tiles = any(chunk.tile for chunk in read_packet(packet)[1])
    return f"the same, mixed{' with names' * header.named}{' in tiles' * tiles}"


def agree(packets: int, seed: int = 0) -> tuple[Counter[str], Counter[str]]:
    """What became of so many whole packets and a tenth as many mixed ones, and of mutants of them."""
    whole: Counter[str] = Counter()
    mutants: Counter[str] = Counter()
    for number, kind in enumerate(BUNDLES):
        count = (packets + number) // len(BUNDLES)
        for rng, mine, theirs, packet, symbols in random_packets(seed, kind, count, LIMITS):
            np.testing.assert_array_equal(mine.symbols(packet), symbols, strict=True)
            context = CONTEXTS[type(mine.bundle.pair.context)]
            whole[f"{compare(packet, mine, theirs)}, {context}"] += 1
            random = Random(int(rng.integers(1 << 62)))
            for _ in range(MUTANTS):
                mutants[compare(mutate(packet, random), mine, theirs)] += 1
    for rng, mine, theirs, packet, pictures in random_mixed_packets(seed, packets // 10, LIMITS):
        for found, symbols in zip(mine.picture_symbols(packet), pictures, strict=True):
            np.testing.assert_array_equal(found, symbols, strict=True)
        whole[compare(packet, mine, theirs)] += 1
        random = Random(int(rng.integers(1 << 62)))
        for _ in range(MUTANTS):
            mutants[compare(mutate(packet, random), mine, theirs)] += 1
    return whole, mutants


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.agreement", description=__doc__)
    parser.add_argument("--packets", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.monotonic()
    told = agree(options.packets, options.seed)
    for what, outcomes in zip(("packets", "mutants"), told, strict=True):
        print(f"{outcomes.total():,} {what}")
        for outcome, count in outcomes.most_common():
            print(f"{count:10,}  {outcome}")
    print(f"no disagreement, in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
