"""The plan of a bulk job: which records of the source go to which shard, told by its listing alone.

So every run of a job, serial or parallel, first or resumed, has the same shards.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from codec.errors import DatasetError, OptionError

__all__ = ["Part", "Shard", "cut", "listing_digest"]

Part = tuple[str, int, int]
"""A file or split of the source, and the numbers in it of the first record and of the one behind the last."""


@dataclass(frozen=True)
class Shard:
    """One shard: its number, its first record's number in the whole source, and where its records are."""

    number: int
    first: int
    parts: tuple[Part, ...]

    @property
    def records(self) -> int:
        """How many records there are."""
        return sum(stop - start for _, start, stop in self.parts)

    def to_json(self) -> str:
        """The shard as one line of JSON, for engines that carry plain values."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Shard":
        """What ``to_json`` wrote."""
        values = json.loads(text)
        parts = tuple((str(name), int(start), int(stop)) for name, start, stop in values["parts"])
        return Shard(values["number"], values["first"], parts)


def cut(listing: Iterable[tuple[str, int]], size: int) -> Iterator[Shard]:
    """The shards of a listing: ``size`` records each, in order, and a last one of what is left.

    Args:
        listing: names of files or splits, each with its number of records.
    """
    if size < 1:
        raise OptionError(f"images in a shard: expected at least 1, found {size}")
    number = first = held = 0
    parts: list[Part] = []
    for name, count in listing:
        start = 0
        while start < count:
            stop = min(count, start + size - held)
            parts.append((name, start, stop))
            held += stop - start
            start = stop
            if held == size:
                yield Shard(number, first, tuple(parts))
                number, first, held, parts = number + 1, first + held, 0, []
    if held:
        yield Shard(number, first, tuple(parts))


def listing_digest(listing: Iterable[tuple[str, int]]) -> tuple[int, str]:
    """How many records a listing has, and the SHA-256 of its names and numbers.

    Raises:
        DatasetError: it has none.
    """
    digest = hashlib.sha256()
    records = 0
    for name, count in listing:
        digest.update(f"{json.dumps([name, count])}\n".encode())
        records += count
    if not records:
        raise DatasetError("source: expected images, found none")
    return records, digest.hexdigest()
